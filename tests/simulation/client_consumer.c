/* Consumers: every partition of every topic, one Fetch under way to each broker, as a client library does it. With
 * sessions a request names only what changed; without, everything. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/errors.h"
#include "generated/protocol/fetch.h"
#include "generated/protocol/list_offsets.h"
#include "tests/simulation/client.h"
#include "tests/simulation/workload_batch.h"

#define VERSION_FETCH_BY_NAME 12
#define VERSION_FETCH_BY_ID 13
#define VERSION_LIST_OFFSETS 6
#define EARLIEST (-2)

CLIENT_ENCODER(fetch)
CLIENT_ENCODER(list_offsets)

static void go_on(struct timer *timer);

static bool has_session(const struct client *client) {
    return client->workload->world->plan->consumers[client->number].has_session;
}

static int16_t fetch_version(const struct client *client) {
    return client->workload->world->plan->consumers[client->number].is_by_id ? VERSION_FETCH_BY_ID
                                                                             : VERSION_FETCH_BY_NAME;
}

static int64_t now_ms(const struct client *client) {
    return clock_now_ms(client->clock);
}

/* ---- where a log begins ---- */

static void on_offsets(void *context, int error, const uint8_t *body, size_t size) {
    struct client_partition *partition = context;
    struct client *client = partition->client;
    struct workload *workload = client->workload;
    struct reader r = reader_of(body, size);
    struct list_offsets_response response;
    partition->is_asking = false;
    partition->resume_ms = now_ms(client) + BACKOFF_MS;
    if (error != 0 || list_offsets_response_decode(&r, VERSION_LIST_OFFSETS, client_arena(workload), &response) != 0 ||
        response.topics_count != 1 || response.topics[0].partitions_count != 1 ||
        response.topics[0].partitions[0].error_code != KAFKA_NONE) {
        client_refresh(client);
        return;
    }
    const struct topic *topic = client_topic_of(partition);
    int64_t start = response.topics[0].partitions[0].offset;
    /* Of a topic that is going away nobody knows which of the name answered; of a log that ends before our position we
     * wait for the leader that has it. */
    if (topic_is_settled(topic) && start > partition->position) {
        checkers_on_reset(workload->checkers, client->number, topic, partition->partition, partition->position, start);
        partition->position = start;
    }
}

static void ask_start(struct client_partition *partition) {
    struct client *client = partition->client;
    struct list_offsets_request_list_offsets_partition asked;
    list_offsets_request_list_offsets_partition_init(&asked);
    asked.partition_index = partition->partition;
    asked.current_leader_epoch = partition->leader_epoch;
    asked.timestamp = EARLIEST;
    struct list_offsets_request_list_offsets_topic topic;
    list_offsets_request_list_offsets_topic_init(&topic);
    topic.name = str_from(client_topic_of(partition)->name);
    topic.partitions = &asked;
    topic.partitions_count = 1;
    struct list_offsets_request request;
    list_offsets_request_init(&request);
    request.replica_id = -1;
    request.topics = &topic;
    request.topics_count = 1;
    partition->is_asking = true;
    CLIENT_CALL(client, partition->leader, LIST_OFFSETS, list_offsets, VERSION_LIST_OFFSETS, &request, on_offsets,
                partition);
}

/* ---- answers ---- */

struct reading {
    struct client_partition *partition;
    const struct topic *topic;
};

static void on_record(void *context, int64_t position, int64_t offset, struct value value) {
    const struct reading *reading = context;
    const struct client *client = reading->partition->client;
    const struct consumed consumed = {.consumer = client->number,
                                      .topic = reading->topic,
                                      .partition = reading->partition->partition,
                                      .position = position,
                                      .offset = offset,
                                      .value = value,
                                      .is_final = reading->partition->is_final};
    checkers_on_consumed(client->workload->checkers, &consumed);
}

static void on_batch(void *context, const struct record_batch *batch) {
    const struct reading *reading = context;
    checkers_on_batch(reading->partition->client->workload->checkers, reading->topic, reading->partition->partition,
                      batch);
}

static void take_records(struct client_partition *partition, const struct fetch_response_partition_data *data) {
    const struct world *world = partition->client->workload->world;
    struct reading reading = {partition, client_topic_of(partition)};
    int64_t end = partition->position;
    if (!workload_batch_read(data->records, &end, on_batch, on_record, &reading)) {
        violate(world, "corrupt", "%s-%d at %" PRId64 ": records that do not decode", reading.topic->name,
                partition->partition, partition->position);
    }
    if (end > partition->position && data->high_watermark >= 0 && end > data->high_watermark) {
        violate(world, "L8", "%s-%d: read up to %" PRId64 " with a high watermark of %" PRId64, reading.topic->name,
                partition->partition, end, data->high_watermark);
    }
    partition->position = end;
}

static void take_partition(struct client_partition *partition, const struct fetch_response_partition_data *data) {
    struct client *client = partition->client;
    if (data->error_code == KAFKA_NONE) {
        if (data->diverging_epoch.end_offset < 0) {
            take_records(partition, data);
        }
        return;
    }
    partition->session_broker = 0; /* name it again */
    partition->resume_ms = now_ms(client) + BACKOFF_MS;
    if (data->error_code == KAFKA_OFFSET_OUT_OF_RANGE && !partition->is_asking) {
        ask_start(partition);
    } else if (!client_error_is_passing(data->error_code) && data->error_code != KAFKA_OFFSET_OUT_OF_RANGE &&
               client_asked_newest(partition)) {
        violate(client->workload->world, "refused", "consumer %d of %s-%d at %" PRId64 " was told %s by %d (epoch %d)",
                client->number, client_topic_of(partition)->name, partition->partition, partition->position,
                kafka_error_name(data->error_code), partition->leader, partition->leader_epoch);
    }
    client_refresh(client);
}

/* The partition an answer speaks of, if it still is what was asked for. */
static struct client_partition *
partition_of(struct fetch_link *link, const struct fetch_response_fetchable_topic_response *from, int32_t index) {
    struct client *client = link->client;
    struct topics *topics = client->workload->world->topics;
    const struct topic *topic = fetch_version(client) == VERSION_FETCH_BY_ID ? topics_by_id(topics, from->topic_id)
                                                                             : topics_by_name(topics, from->topic);
    if (topic == NULL || index < 0 || index >= PARTITIONS_MAX || client->topics[topic->slot].topic != topic->index) {
        return NULL;
    }
    struct client_partition *partition = &client->topics[topic->slot].partitions[index];
    bool is_asked = partition->leader == link->broker && partition->session_broker == link->broker &&
                    partition->named_position == partition->position;
    return is_asked && !partition->is_stale ? partition : NULL;
}

static void forget_session(struct fetch_link *link) {
    struct client *client = link->client;
    link->session_id = 0;
    link->session_epoch = 0;
    for (int32_t slot = 0; slot < PLAN_TOPICS_MAX; slot++) {
        for (int32_t p = 0; p < PARTITIONS_MAX; p++) {
            if (client->topics[slot].partitions[p].session_broker == link->broker) {
                client->topics[slot].partitions[p].session_broker = 0;
            }
        }
    }
}

static void end_flight(struct fetch_link *link) {
    link->is_in_flight = false;
    for (int32_t slot = 0; slot < PLAN_TOPICS_MAX; slot++) {
        for (int32_t p = 0; p < PARTITIONS_MAX; p++) {
            struct client_partition *partition = &link->client->topics[slot].partitions[p];
            if (link->was_named[slot][p]) {
                link->was_named[slot][p] = false;
                partition->is_in_flight = false;
                if (partition->is_stale) {
                    partition->is_stale = false;
                    partition->session_broker = 0;
                }
            }
        }
    }
}

static void on_fetched(void *context, int error, const uint8_t *body, size_t size) {
    struct fetch_link *link = context;
    struct client *client = link->client;
    struct workload *workload = client->workload;
    struct reader r = reader_of(body, size);
    struct fetch_response response;
    int64_t pause_ms = client_draw(workload, 0, 50);
    if (error == 0 && fetch_response_decode(&r, fetch_version(client), client_arena(workload), &response) == 0 &&
        response.error_code == KAFKA_NONE) {
        link->session_id = has_session(client) ? response.session_id : 0;
        link->session_epoch = link->session_id == 0 ? 0 : link->session_epoch + 1;
        for (int32_t i = 0; i < response.responses_count; i++) {
            for (int32_t k = 0; k < response.responses[i].partitions_count; k++) {
                const struct fetch_response_partition_data *data = &response.responses[i].partitions[k];
                struct client_partition *partition = partition_of(link, &response.responses[i], data->partition_index);
                if (partition != NULL) {
                    take_partition(partition, data);
                }
            }
        }
        if (link->session_id == 0) {
            forget_session(link);
        }
    } else {
        forget_session(link);
        client_refresh(client);
        pause_ms = BACKOFF_MS;
    }
    end_flight(link);
    client_later(client, &link->timer, pause_ms, go_on);
}

/* ---- questions ---- */

struct question {
    struct fetch_request request;
    struct fetch_request_fetch_topic topics[PLAN_TOPICS_MAX];
    struct fetch_request_fetch_partition partitions[PLAN_TOPICS_MAX][PARTITIONS_MAX];
    struct fetch_request_forgotten_topic forgotten[PLAN_TOPICS_MAX];
    int32_t forgotten_partitions[PLAN_TOPICS_MAX][PARTITIONS_MAX];
    int32_t wanted; /* partitions this broker leads */
};

static void name_partition(struct question *question, struct fetch_link *link, struct client_partition *partition,
                           const struct topic *topic) {
    struct fetch_request *request = &question->request;
    struct fetch_request_fetch_topic *to =
        request->topics_count == 0 ? NULL : &question->topics[request->topics_count - 1];
    if (to == NULL || !uuid_equal(to->topic_id, topic->id)) {
        to = &question->topics[request->topics_count];
        fetch_request_fetch_topic_init(to);
        to->topic = str_from(topic->name);
        to->topic_id = topic->id;
        to->partitions = question->partitions[request->topics_count++];
    }
    struct fetch_request_fetch_partition *data = &to->partitions[to->partitions_count++];
    fetch_request_fetch_partition_init(data);
    data->partition = partition->partition;
    data->current_leader_epoch = partition->leader_epoch;
    data->fetch_offset = partition->position;
    data->last_fetched_epoch = -1;
    data->log_start_offset = -1;
    data->partition_max_bytes = (int32_t)client_draw(link->client->workload, 100, 4000);
    partition->session_broker = link->broker;
    partition->named_position = partition->position;
    partition->named_epoch = partition->leader_epoch;
    partition->asked_leader = link->broker;
    partition->asked_epoch = partition->leader_epoch;
    partition->is_in_flight = true;
    link->was_named[partition->slot][partition->partition] = true;
}

static void forget_partition(struct question *question, struct client_partition *partition, const struct topic *topic) {
    struct fetch_request *request = &question->request;
    struct fetch_request_forgotten_topic *to = request->forgotten_topics_data_count == 0
                                                   ? NULL
                                                   : &question->forgotten[request->forgotten_topics_data_count - 1];
    if (to == NULL || !uuid_equal(to->topic_id, topic->id)) {
        to = &question->forgotten[request->forgotten_topics_data_count];
        fetch_request_forgotten_topic_init(to);
        to->topic = str_from(topic->name);
        to->topic_id = topic->id;
        to->partitions = question->forgotten_partitions[request->forgotten_topics_data_count++];
    }
    to->partitions[to->partitions_count++] = partition->partition;
    partition->session_broker = 0;
}

static void consider(struct question *question, struct fetch_link *link, struct client_partition *partition) {
    const struct topic *topic = client_topic_of(partition);
    bool is_ours = partition->leader == link->broker && !partition->is_asking && !partition->is_stale &&
                   !partition->is_in_flight && partition->resume_ms <= now_ms(link->client);
    bool is_in_session = link->session_epoch > 0 && partition->session_broker == link->broker;
    if (is_ours) {
        question->wanted++;
        if (!is_in_session || partition->named_position != partition->position ||
            partition->named_epoch != partition->leader_epoch) {
            name_partition(question, link, partition, topic);
        }
    } else if (is_in_session) {
        forget_partition(question, partition, topic);
    }
}

static void go_on(struct timer *timer) {
    struct fetch_link *link = CONTAINER_OF(timer, struct fetch_link, timer);
    struct client *client = link->client;
    struct question question = {.wanted = 0};
    if (link->is_in_flight) {
        return;
    }
    if (link->must_restart) {
        forget_session(link);
        link->must_restart = false;
    }
    struct fetch_request *request = &question.request;
    fetch_request_init(request);
    request->replica_id = -1;
    request->max_wait_ms = client->workload->world->plan->consumers[client->number].max_wait_ms;
    request->min_bytes = 1;
    request->max_bytes = 1 << 20;
    request->session_id = link->session_id;
    request->session_epoch = has_session(client) ? link->session_epoch : -1;
    request->topics = question.topics;
    request->topics_count = 0;
    request->forgotten_topics_data = question.forgotten;
    request->forgotten_topics_data_count = 0;
    request->rack_id = STR_LITERAL("");
    for (int32_t slot = 0; slot < PLAN_TOPICS_MAX; slot++) {
        for (int32_t p = 0; p < client->topics[slot].partition_count; p++) {
            consider(&question, link, &client->topics[slot].partitions[p]);
        }
    }
    if (question.wanted == 0 && request->forgotten_topics_data_count == 0) {
        client_later(client, timer, BACKOFF_MS, go_on);
        return;
    }
    link->is_in_flight = true;
    CLIENT_CALL(client, link->broker, FETCH, fetch, fetch_version(client), request, on_fetched, link);
}

void client_kick_consumer(struct client *client) {
    for (int32_t broker = 1; broker <= client->workload->world->cluster->count; broker++) {
        if (!client->links[broker].is_in_flight) {
            client_later(client, &client->links[broker].timer, 0, go_on);
        }
    }
}

void client_begin_consumer(struct client *client) {
    client_begin_metadata(client);
}
