/* From what was read to the answer of a Fetch: which partitions belong into it, and how each version wants them. */
#include "broker/base/check.h"
#include "broker/base/clock.h"
#include "broker/base/errors.h"
#include "broker/metadata/image.h"
#include "broker/protocol/errors.h"
#include "broker/protocol/message_set.h"
#include "broker/protocol/record_batch.h"
#include "broker/request/context.h"
#include "broker/request/fetch.h"
#include "broker/request/leaders.h"

#define VERSION_WITH_TIMESTAMPS 2
#define VERSION_WITH_STORAGE_ERROR 6
#define VERSION_WITH_IDS 13
#define VERSION_WITH_LEADER_HINTS 16

struct fetch_answer {
    struct fetch *fetch;
    struct fetch_response response;
    struct fetch_response_partition_data *partitions; /* room for all; topics take runs of it */
    int32_t partition_count;
    struct leader_hints hints;
};

/* Old clients do not know the error; they are to look for another leader, as new ones do. */
static int16_t storage_error(const struct fetch *fetch) {
    return fetch->request->header.api_version < VERSION_WITH_STORAGE_ERROR ? KAFKA_NOT_LEADER_OR_FOLLOWER
                                                                           : KAFKA_STORAGE_ERROR;
}

/* Reading failed: the directory is given up, and another broker leads. */
static int16_t give_up(const struct fetch *fetch, struct fetch_part *part, int error) {
    partition_runtime_fail(part->partition, error);
    return storage_error(fetch);
}

static void fill_aborted(struct fetch *fetch, struct fetch_part *part, struct fetch_response_partition_data *ret) {
    ret->aborted_transactions_count = -1;
    if (part->read.isolation != FETCH_TXN_COMMITTED) {
        return;
    }
    struct log_aborted_transaction *list = NULL;
    int32_t count = 0;
    int64_t from = part->read.read.records.size > 0 ? part->read.read.first_offset : part->read.fetch_offset;
    int status = log_aborted_transactions(partition_runtime_log(part->partition), from, part->read.last_stable_offset,
                                          &fetch->request->arena, &list, &count);
    if (status != 0) {
        /* Without the list a consumer would take aborted records for committed ones. */
        ret->error_code = give_up(fetch, part, status);
        count = 0;
    }
    ret->aborted_transactions_count = count;
    ret->aborted_transactions = ARENA_ARRAY(&fetch->request->arena, struct fetch_response_aborted_transaction, count);
    for (int32_t i = 0; i < count; i++) {
        ret->aborted_transactions[i] =
            (struct fetch_response_aborted_transaction){list[i].producer_id, list[i].first_offset};
    }
}

static void fill_error(struct fetch_answer *answer, struct fetch_part *part,
                       struct fetch_response_partition_data *ret) {
    const int16_t version = answer->fetch->request->header.api_version;
    ret->error_code =
        part->read.error_code == KAFKA_STORAGE_ERROR ? storage_error(answer->fetch) : part->read.error_code;
    ret->high_watermark = -1;
    ret->aborted_transactions_count = part->is_unknown ? 0 : -1;
    bool is_stale_client =
        ret->error_code == KAFKA_NOT_LEADER_OR_FOLLOWER || ret->error_code == KAFKA_FENCED_LEADER_EPOCH;
    if (version >= VERSION_WITH_LEADER_HINTS && is_stale_client) {
        leader_hints_add(&answer->hints, part->entry->topic, part->entry->partition, &ret->current_leader.leader_id,
                         &ret->current_leader.leader_epoch);
    }
}

/* Bytes before the first zstd batch, which old clients cannot read: they get what they can, and the error when they
 * come to it. */
static int32_t convertible_size(const uint8_t *bytes, int32_t size) {
    int32_t at = 0;
    struct record_batch batch;
    while (record_batch_decode(bytes + at, (size_t)(size - at), &batch) == 0 && batch.codec != CODEC_ZSTD &&
           batch.size <= size - at) {
        at += batch.size;
    }
    return at > 0 ? at : size;
}

/* Old versions know message sets only (clients.md 31): the region is read and converted, and the answer has the exact
 * size of what came out. */
static int16_t down_convert(struct fetch *fetch, struct fetch_part *part, struct records *ret) {
    struct request *request = fetch->request;
    const struct records *region = &part->read.read.records;
    uint8_t *bytes = arena_alloc(&request->arena, (size_t)region->size);
    int64_t count = disk_read(region->file, bytes, (size_t)region->size, region->position);
    if (count != region->size) { /* less: the log was cut meanwhile */
        return count < 0 ? give_up(fetch, part, (int)count) : storage_error(fetch);
    }
    int8_t magic = request->header.api_version < VERSION_WITH_TIMESTAMPS ? 0 : 1;
    return record_batch_down_convert((struct slice){bytes, convertible_size(bytes, region->size)}, magic,
                                     part->read.fetch_offset, &request->arena, request->context->workspace, ret);
}

/* Whether the partition has gone since it was read, as when its topic is deleted: its watchers go with it. */
static bool is_gone(const struct fetch_part *part) {
    return !partition_watcher_is_set(&part->entry->watcher);
}

static void fill_partition(struct fetch_answer *answer, struct fetch_part *part,
                           struct fetch_response_partition_data *ret) {
    fetch_response_partition_data_init(ret);
    ret->partition_index = part->entry->partition;
    ret->records = (struct records){.size = 0};
    if (part->read.error_code == KAFKA_NONE && is_gone(part)) {
        part->read.error_code = KAFKA_NOT_LEADER_OR_FOLLOWER;
    }
    if (part->read.error_code == KAFKA_NONE && partition_runtime_log(part->partition) == NULL) {
        part->read.error_code = KAFKA_STORAGE_ERROR; /* another part of this answer gave up its directory */
    }
    if (part->read.error_code != KAFKA_NONE) {
        fill_error(answer, part, ret);
        return;
    }
    ret->high_watermark = part->read.high_watermark;
    ret->last_stable_offset = part->read.last_stable_offset;
    ret->log_start_offset = part->read.result_log_start_offset;
    ret->preferred_read_replica = part->read.preferred_read_replica;
    if (part->read.is_diverging) {
        ret->diverging_epoch.epoch = part->read.diverging_epoch;
        ret->diverging_epoch.end_offset = part->read.diverging_end_offset;
    }
    fill_aborted(answer->fetch, part, ret);
    if (ret->error_code != KAFKA_NONE) {
        return;
    }
    if (part->read.read.records.size > 0 && answer->fetch->request->header.api_version < FETCH_VERSION_WITH_BATCHES) {
        ret->error_code = down_convert(answer->fetch, part, &ret->records);
        if (ret->error_code != KAFKA_NONE) {
            ret->records = (struct records){.size = 0};
        }
    } else if (part->read.read.records.size > 0) {
        ret->records = part->read.read.records;
        part->read.read.records = (struct records){.size = 0};
    }
    partition_runtime_count_sent(part->partition, part->read.replica_id, ret->records.size);
}

/* The topic the partition goes under: that of the partition before when it is the same. */
static struct fetch_response_fetchable_topic_response *topic_for(struct fetch_answer *answer,
                                                                 const struct fetch_entry *entry) {
    struct fetch_response *response = &answer->response;
    bool uses_ids = answer->fetch->session->uses_topic_ids;
    if (response->responses_count > 0) {
        struct fetch_response_fetchable_topic_response *last = &response->responses[response->responses_count - 1];
        if (uses_ids ? uuid_equal(last->topic_id, entry->topic_id) : str_equal(last->topic, entry->topic)) {
            return last;
        }
    }
    struct fetch_response_fetchable_topic_response *topic = &response->responses[response->responses_count++];
    fetch_response_fetchable_topic_response_init(topic);
    if (uses_ids) {
        topic->topic_id = entry->topic_id;
    } else {
        /* The entry, and its name, may go with the session before the answer is encoded. */
        topic->topic = arena_str(&answer->fetch->request->arena, entry->topic);
    }
    topic->partitions = &answer->partitions[answer->partition_count];
    return topic;
}

static void add_nodes(struct fetch_answer *answer) {
    struct request *request = answer->fetch->request;
    const struct leader_hints *hints = &answer->hints;
    answer->response.node_endpoints_count = hints->count;
    answer->response.node_endpoints = ARENA_ARRAY(&request->arena, struct fetch_response_node_endpoint, hints->count);
    for (int32_t i = 0; i < hints->count; i++) {
        const struct image_endpoint *endpoint = image_broker_endpoint(hints->nodes[i], request_listener_name(request));
        struct fetch_response_node_endpoint *node = &answer->response.node_endpoints[i];
        fetch_response_node_endpoint_init(node);
        node->node_id = hints->nodes[i]->id;
        node->host = str_from(endpoint->host);
        node->port = endpoint->port;
        node->rack = str_from(hints->nodes[i]->rack);
    }
}

/* In the order of the session's list, which is the order of reading and of fairness. */
static void fill_topics(struct fetch_answer *answer, int32_t part_count) {
    struct fetch *fetch = answer->fetch;
    struct arena *arena = &fetch->request->arena;
    answer->response.responses = ARENA_ARRAY(arena, struct fetch_response_fetchable_topic_response, part_count);
    answer->partitions = ARENA_ARRAY(arena, struct fetch_response_partition_data, part_count);
    answer->hints = leader_hints_begin(fetch->request, part_count);
    for (struct fetch_part *part = fetch->parts; part != NULL; part = part->next) {
        if (!fetch_entry_settle(part->entry, &part->outcome, part->had_no_room)) {
            continue;
        }
        struct fetch_response_fetchable_topic_response *topic = topic_for(answer, part->entry);
        fill_partition(answer, part, &topic->partitions[topic->partitions_count++]);
        answer->partition_count++;
    }
    if (answer->hints.count > 0) {
        add_nodes(answer);
    }
}

void fetch_answer(struct fetch *fetch) {
    struct request *request = fetch->request;
    struct fetch_answer answer = {.fetch = fetch};
    fetch_response_init(&answer.response);
    int32_t part_count = 0;
    for (struct fetch_part *part = fetch->parts; part != NULL; part = part->next) {
        part_count++;
    }
    bool is_closed = fetch_session_is_closed(fetch->session);
    if (is_closed) {
        answer.response.error_code = KAFKA_INVALID_FETCH_SESSION_EPOCH;
    } else {
        fill_topics(&answer, part_count);
    }
    for (struct fetch_part *part = fetch->parts; part != NULL; part = part->next) {
        disk_file_unref(part->read.read.records.file); /* what did not go into the answer */
        if (!is_closed) {
            part->entry->context = NULL;
        }
    }
    int32_t session_id = fetch_session_finish(fetch->session, clock_now_ms(request->context->clock));
    answer.response.session_id = is_closed ? 0 : session_id;
    request_answer(request, &answer.response);
}

void fetch_answer_malformed(struct request *request) {
    const struct fetch_request *message = request->message;
    struct fetch_response response;
    fetch_response_init(&response);
    response.error_code = KAFKA_UNKNOWN_SERVER_ERROR;
    if (request->header.api_version < VERSION_WITH_IDS) {
        response.responses_count = message->topics_count;
        response.responses =
            ARENA_ARRAY(&request->arena, struct fetch_response_fetchable_topic_response, message->topics_count);
        for (int32_t i = 0; i < message->topics_count; i++) {
            const struct fetch_request_fetch_topic *asked = &message->topics[i];
            struct fetch_response_fetchable_topic_response *topic = &response.responses[i];
            fetch_response_fetchable_topic_response_init(topic);
            topic->topic = asked->topic;
            topic->partitions_count = asked->partitions_count;
            topic->partitions =
                ARENA_ARRAY(&request->arena, struct fetch_response_partition_data, asked->partitions_count);
            for (int32_t j = 0; j < asked->partitions_count; j++) {
                fetch_response_partition_data_init(&topic->partitions[j]);
                topic->partitions[j].partition_index = asked->partitions[j].partition;
                topic->partitions[j].error_code = KAFKA_UNKNOWN_SERVER_ERROR;
                topic->partitions[j].high_watermark = -1;
                topic->partitions[j].records = (struct records){.size = 0};
            }
        }
    }
    request_answer(request, &response);
}
