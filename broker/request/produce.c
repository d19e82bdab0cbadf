/* Produce: append at once, answer when the acks asked for are there.
 *
 * The records are appended where they lie in the frame; the next request of the connection is served while this one
 * waits for its followers, which is what makes pipelined producers fast and keeps their order. */
#include "generated/protocol/produce.h"
#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "broker/protocol/errors.h"
#include "broker/protocol/record_batch.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "broker/request/leaders.h"
#include "broker/request/topics.h"
#include "broker/request/waiting_room.h"

#define VERSION_WITH_LEADER_HINTS 10
#define ADMIN_CLIENT_ID "__admin_client"

/* An appended partition whose followers are waited for. */
struct produce_part {
    struct str topic;
    int32_t partition;
    struct partition_runtime *found; /* there as long as the request is being handled, and while it is watched */
    int32_t leader_epoch;            /* under which it was appended */
    int64_t last_offset;
    bool is_done;
    struct produce_response_partition_produce_response *answer;
};

struct produce {
    struct wait wait;
    struct request *request;
    struct produce_response response;
    struct produce_part *parts;
    int32_t part_count;
    int32_t parts_left;
    int32_t partition_count;
    bool has_errors;
};

static void fill_answer(struct produce *produce, const struct log_append_info *info,
                        struct produce_response_partition_produce_response *answer) {
    answer->error_code = info->error_code;
    answer->error_message = str_from(info->error_message);
    answer->log_start_offset = info->log_start_offset;
    if (info->error_code == KAFKA_NONE) {
        answer->base_offset = info->first_offset;
        answer->log_append_time_ms = info->log_append_time_ms;
        return;
    }
    produce->has_errors = true;
    answer->base_offset = -1;
    if (info->record_error_index >= 0) {
        struct produce_response_batch_index_and_error_message *error =
            ARENA_NEW(&produce->request->arena, struct produce_response_batch_index_and_error_message);
        produce_response_batch_index_and_error_message_init(error);
        error->batch_index = info->record_error_index;
        error->batch_index_error_message = str_from(info->record_error_message);
        answer->record_errors = error;
        answer->record_errors_count = 1;
    }
}

/* A transactional batch that no coordinator will ever end would hold back every read_committed consumer for good. The
 * codes are Kafka's, for a request that names no transaction and for a partition that is not part of it. */
static int16_t refuse_transactional(const struct produce_request *message, const struct records *records) {
    if (records->size <= BATCH_AT_ATTRIBUTES + 1 || records->data[BATCH_AT_MAGIC] < 2 ||
        (load_i16(records->data + BATCH_AT_ATTRIBUTES) & BATCH_TRANSACTIONAL) == 0) {
        return KAFKA_NONE;
    }
    return str_is_null(message->transactional_id) ? KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED
                                                  : KAFKA_INVALID_TXN_STATE;
}

/* What stands in the internal topics is believed when it is loaded: only the coordinators write it, and Kafka's own
 * tools, which say who they are. */
static bool is_forbidden(const struct request *request, struct str topic, int32_t partition) {
    return topic_is_internal(topic) && !str_equal_text(request->header.client_id, ADMIN_CLIENT_ID) &&
           image_partition(request->context->image, topic, partition) != NULL;
}

static void append(struct produce *produce, struct str topic, const struct produce_request_partition_produce_data *data,
                   struct produce_response_partition_produce_response *answer) {
    struct request *request = produce->request;
    const struct produce_request *message = request->message;
    struct log_append_info info = {.log_start_offset = -1, .record_error_index = -1, .log_append_time_ms = -1};
    struct partition_runtime *partition = NULL;
    /* Apache Kafka 3.9 never answers null records; we do (zookeeper-mode.md 7.1). */
    info.error_code = data->records.size < 0 ? KAFKA_INVALID_RECORD : refuse_transactional(message, &data->records);
    if (info.error_code == KAFKA_NONE && is_forbidden(request, topic, data->index)) {
        info.error_code = KAFKA_INVALID_TOPIC_EXCEPTION;
    }
    if (info.error_code == KAFKA_NONE) {
        struct slice records = {data->records.data, data->records.size};
        replica_manager_append(request->context->replicas, topic, data->index, records, message->acks,
                               LOG_ORIGIN_CLIENT, request->header.api_version, &info, &partition);
    }
    fill_answer(produce, &info, answer);
    if (info.error_code != KAFKA_NONE || message->acks != -1) {
        return;
    }
    produce->parts[produce->part_count++] = (struct produce_part){
        .topic = topic,
        .partition = data->index,
        .found = partition,
        .leader_epoch = partition_runtime_leader_epoch(partition),
        .last_offset = info.last_offset,
        .answer = answer,
    };
}

/* Goes through the partitions of the request and makes the skeleton of the answer. */
static void append_all(struct produce *produce) {
    struct request *request = produce->request;
    const struct produce_request *message = request->message;
    bool are_acks_valid = message->acks >= -1 && message->acks <= 1;
    produce_response_init(&produce->response);
    produce->response.responses_count = message->topic_data_count;
    produce->response.responses =
        ARENA_ARRAY(&request->arena, struct produce_response_topic_produce_response, message->topic_data_count);
    for (int32_t i = 0; i < message->topic_data_count; i++) {
        const struct produce_request_topic_produce_data *topic = &message->topic_data[i];
        struct produce_response_topic_produce_response *answer = &produce->response.responses[i];
        produce_response_topic_produce_response_init(answer);
        answer->name = topic->name;
        answer->partition_responses_count = topic->partition_data_count;
        answer->partition_responses = ARENA_ARRAY(&request->arena, struct produce_response_partition_produce_response,
                                                  topic->partition_data_count);
        for (int32_t j = 0; j < topic->partition_data_count; j++) {
            struct produce_response_partition_produce_response *part = &answer->partition_responses[j];
            produce_response_partition_produce_response_init(part);
            part->index = topic->partition_data[j].index;
            if (are_acks_valid) {
                append(produce, topic->name, &topic->partition_data[j], part);
            } else {
                part->error_code = KAFKA_INVALID_REQUIRED_ACKS;
                part->base_offset = -1;
            }
        }
    }
}

static void add_leader_hints(struct produce *produce) {
    struct leader_hints hints = leader_hints_begin(produce->request, produce->partition_count);
    for (int32_t i = 0; i < produce->response.responses_count; i++) {
        struct produce_response_topic_produce_response *topic = &produce->response.responses[i];
        for (int32_t j = 0; j < topic->partition_responses_count; j++) {
            struct produce_response_partition_produce_response *part = &topic->partition_responses[j];
            if (part->error_code == KAFKA_NOT_LEADER_OR_FOLLOWER) {
                leader_hints_add(&hints, topic->name, part->index, &part->current_leader.leader_id,
                                 &part->current_leader.leader_epoch);
            }
        }
    }
    produce->response.node_endpoints_count = hints.count;
    produce->response.node_endpoints =
        ARENA_ARRAY(&produce->request->arena, struct produce_response_node_endpoint, hints.count);
    for (int32_t i = 0; i < hints.count; i++) {
        const struct image_endpoint *endpoint =
            image_broker_endpoint(hints.nodes[i], request_listener_name(produce->request));
        struct produce_response_node_endpoint *node = &produce->response.node_endpoints[i];
        produce_response_node_endpoint_init(node);
        node->node_id = hints.nodes[i]->id;
        node->host = str_from(endpoint->host);
        node->port = endpoint->port;
        node->rack = str_from(hints.nodes[i]->rack);
    }
}

static void answer(struct produce *produce) {
    if (produce->request->header.api_version >= VERSION_WITH_LEADER_HINTS && produce->has_errors) {
        add_leader_hints(produce);
    }
    request_answer(produce->request, &produce->response);
}

/* Looks whether one partition has its acknowledgements; its answer is then settled. `partition` is NULL when it may
 * have gone. */
static bool settle_part(struct produce *produce, struct produce_part *part, struct partition_runtime *partition) {
    struct replica_manager *replicas = produce->request->context->replicas;
    int16_t error = partition != NULL ? partition_runtime_look_again(partition)
                                      : replica_manager_partition(replicas, part->topic, part->partition, &partition);
    if (error == KAFKA_NONE) {
        error = partition_runtime_ack_state(partition, part->last_offset, part->leader_epoch);
    }
    if (error == KAFKA_REQUEST_TIMED_OUT) {
        return false;
    }
    part->is_done = true;
    part->answer->error_code = error;
    produce->has_errors = produce->has_errors || error != KAFKA_NONE;
    produce->parts_left--;
    return true;
}

static bool produce_is_over(struct wait *wait) {
    struct produce *produce = CONTAINER_OF(wait, struct produce, wait);
    for (int32_t i = 0; i < produce->part_count; i++) {
        struct produce_part *part = &produce->parts[i];
        struct wait_watch *watch = &wait->watches[i];
        if (!part->is_done && watch->is_changed) {
            watch->is_changed = false;
            settle_part(produce, part, partition_watcher_is_set(&watch->watcher) ? part->found : NULL);
        }
    }
    return produce->parts_left == 0;
}

static void finish_produce(struct wait *wait) {
    struct produce *produce = CONTAINER_OF(wait, struct produce, wait);
    for (int32_t i = 0; i < produce->part_count; i++) {
        struct produce_part *part = &produce->parts[i];
        if (!part->is_done && !settle_part(produce, part, NULL)) {
            part->answer->error_code = KAFKA_REQUEST_TIMED_OUT;
        }
    }
    answer(produce);
}

static void await_followers(struct produce *produce) {
    struct request *request = produce->request;
    const struct produce_request *message = request->message;
    produce->wait.request = request;
    produce->wait.is_over = produce_is_over;
    produce->wait.finish = finish_produce;
    produce->wait.watch_count = produce->part_count;
    produce->wait.watches = ARENA_ARRAY(&request->arena, struct wait_watch, produce->part_count);
    for (int32_t i = 0; i < produce->part_count; i++) {
        if (!produce->parts[i].is_done) {
            wait_watch_partition(&produce->wait, &produce->wait.watches[i], produce->parts[i].found);
        }
    }
    waiting_room_enter(request->context->waiting_room, &produce->wait, message->timeout_ms);
}

void handle_produce(struct request *request) {
    const struct produce_request *message = request->message;
    struct produce *produce = ARENA_NEW(&request->arena, struct produce);
    produce->request = request;
    for (int32_t i = 0; i < message->topic_data_count; i++) {
        produce->partition_count += message->topic_data[i].partition_data_count;
    }
    produce->parts = ARENA_ARRAY(&request->arena, struct produce_part, produce->partition_count);
    append_all(produce);
    if (message->acks == 0) {
        /* Nobody listens for an error; the end of the connection makes the client look again. */
        if (produce->has_errors) {
            request_close_connection(request);
        } else {
            request_answer_nothing(request);
        }
        return;
    }
    produce->parts_left = produce->part_count;
    for (int32_t i = 0; i < produce->part_count; i++) {
        settle_part(produce, &produce->parts[i], produce->parts[i].found);
    }
    if (produce->parts_left == 0) {
        answer(produce);
    } else {
        await_followers(produce);
    }
}
