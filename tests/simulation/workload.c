/* See workload.h. */
#include "tests/simulation/workload.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "broker/base/random.h"
#include "broker/base/trace.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/errors.h"
#include "broker/protocol/record_batch.h"
#include "generated/protocol/create_topics.h"
#include "generated/protocol/fetch.h"
#include "generated/protocol/init_producer_id.h"
#include "generated/protocol/metadata.h"
#include "generated/protocol/produce.h"
#include "tests/simulation/checkers/history.h"
#include "tests/simulation/checkers/replicas.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/workload_batch.h"

#define CLIENTS_MAX HISTORY_PRODUCERS_MAX
#define CALL_TIMEOUT_MS 4000
#define BACKOFF_MS 100
#define METADATA_MAX_AGE_MS 5000
#define VERSION_CREATE_TOPICS 5
#define VERSION_INIT_PRODUCER_ID 4
#define VERSION_METADATA 9
#define VERSION_PRODUCE 9
#define VERSION_FETCH 12

struct client;

/* One partition as one client sees it. */
struct client_partition {
    struct client *client;
    int32_t partition;
    int32_t leader; /* -1 unknown */
    int32_t leader_epoch;
    struct timer timer;
    bool is_in_flight;
    /* producer */
    int64_t next_number; /* of the first record not acknowledged; its sequence as well */
    int32_t batch_count; /* records of the batch under way, 0 none */
    /* consumer */
    int64_t position;
};

struct client {
    struct workload *workload;
    int32_t node;
    bool is_producer;
    int32_t number; /* of the producer */
    struct clock *clock;
    struct transport *transport;
    struct client_partition partitions[HISTORY_PARTITIONS_MAX];
    bool is_asking; /* for metadata */
    bool wants_metadata;
    struct timer metadata_timer;
    struct timer start_timer;
    int64_t producer_id; /* -1 none yet */
    int16_t producer_epoch;
};

struct workload {
    struct cluster *cluster;
    struct workload_config config;
    struct history *history;
    struct replicas *replicas;
    struct random random;
    struct client clients[CLIENTS_MAX];
    int32_t client_count;
    bool has_topic;
    struct arena arena; /* of one message */
};

static void begin_client(struct timer *timer);
static void ask_metadata(struct timer *timer);
static void go_on(struct timer *timer);

/* ---- sending ---- */

typedef size_t size_function(const void *message, int16_t version);
typedef void encode_function(const void *message, int16_t version, struct encoder *e);

static void call(struct client *client, int32_t broker, int16_t api_key, int16_t version, const void *message,
                 size_t size, encode_function *encode, transport_answer *on_answer, void *context) {
    uint8_t *body = xmalloc(size);
    struct encoder e = encoder_of(body, size);
    encode(message, version, &e);
    CHECK(!e.w.failed && writer_size(&e.w) == size);
    struct transport_request request = {
        .broker_id = broker,
        .channel = CHANNEL_CONTROL,
        .host = "sim",
        .port = 9092,
        .api_key = api_key,
        .api_version = version,
        .client_id = client->is_producer ? "producer" : "consumer",
        .body = body,
        .body_size = size,
        .timeout_ms = CALL_TIMEOUT_MS,
        .on_answer = on_answer,
        .context = context,
    };
    transport_send(client->transport, &request);
    free(body);
}

#define CALL(client, broker, API_NAME, name, version, message, on_answer, context)                                     \
    call(client, broker, API_##API_NAME, version, message, name##_request_encoded_size(message, version),              \
         encode_##name, on_answer, context)
#define ENCODER(name)                                                                                                  \
    static void encode_##name(const void *message, int16_t version, struct encoder *e) {                               \
        name##_request_encode(message, version, e);                                                                    \
    }
ENCODER(create_topics)
ENCODER(init_producer_id)
ENCODER(metadata)
ENCODER(produce)
ENCODER(fetch)

static int32_t any_broker(struct workload *workload) {
    return 1 + (int32_t)random_below(&workload->random, (uint64_t)workload->cluster->count);
}

static struct arena *fresh_arena(struct workload *workload) {
    arena_reset(&workload->arena, SIZE_MAX);
    return &workload->arena;
}

static void later(struct client *client, struct timer *timer, int64_t after_ms, timer_callback *on_fire) {
    if (!timer_is_running(timer)) {
        timer_start(client->clock, timer, after_ms, on_fire);
    }
}

/* ---- topic and producer id ---- */

static void on_created(void *context, int error, const uint8_t *body, size_t size) {
    struct client *client = context;
    struct workload *workload = client->workload;
    struct reader r = reader_of(body, size);
    struct create_topics_response response;
    if (error == 0 && create_topics_response_decode(&r, VERSION_CREATE_TOPICS, fresh_arena(workload), &response) == 0 &&
        response.topics_count == 1 &&
        (response.topics[0].error_code == KAFKA_NONE || response.topics[0].error_code == KAFKA_TOPIC_ALREADY_EXISTS)) {
        workload->has_topic = true;
    }
    later(client, &client->start_timer, BACKOFF_MS, begin_client);
}

static void create_topic(struct client *client) {
    struct workload *workload = client->workload;
    struct create_topics_request_creatable_topic topic;
    create_topics_request_creatable_topic_init(&topic);
    topic.name = STR_LITERAL(WORKLOAD_TOPIC);
    topic.num_partitions = workload->config.partitions;
    topic.replication_factor = (int16_t)MIN(WORKLOAD_REPLICATION, workload->cluster->count);
    struct create_topics_request request;
    create_topics_request_init(&request);
    request.topics = &topic;
    request.topics_count = 1;
    request.timeout_ms = CALL_TIMEOUT_MS - 1000;
    CALL(client, any_broker(workload), CREATE_TOPICS, create_topics, VERSION_CREATE_TOPICS, &request, on_created,
         client);
}

static void on_producer_id(void *context, int error, const uint8_t *body, size_t size) {
    struct client *client = context;
    struct reader r = reader_of(body, size);
    struct init_producer_id_response response;
    if (error == 0 &&
        init_producer_id_response_decode(&r, VERSION_INIT_PRODUCER_ID, fresh_arena(client->workload), &response) == 0 &&
        response.error_code == KAFKA_NONE) {
        client->producer_id = response.producer_id;
        client->producer_epoch = response.producer_epoch;
    }
    later(client, &client->start_timer, BACKOFF_MS, begin_client);
}

static void begin_client(struct timer *timer) {
    struct client *client = CONTAINER_OF(timer, struct client, start_timer);
    struct workload *workload = client->workload;
    if (!workload->has_topic) {
        if (client == &workload->clients[0]) {
            create_topic(client);
        } else {
            later(client, &client->start_timer, 10 * BACKOFF_MS, begin_client);
        }
        return;
    }
    if (client->is_producer && client->producer_id < 0) {
        struct init_producer_id_request request;
        init_producer_id_request_init(&request);
        request.transactional_id = STR_NULL;
        request.transaction_timeout_ms = INT32_MAX;
        request.producer_id = -1;
        request.producer_epoch = -1;
        CALL(client, any_broker(workload), INIT_PRODUCER_ID, init_producer_id, VERSION_INIT_PRODUCER_ID, &request,
             on_producer_id, client);
        return;
    }
    later(client, &client->metadata_timer, 0, ask_metadata);
    for (int32_t p = 0; p < workload->config.partitions; p++) {
        later(client, &client->partitions[p].timer, BACKOFF_MS, go_on);
    }
}

/* ---- metadata ---- */

static void on_metadata(void *context, int error, const uint8_t *body, size_t size) {
    struct client *client = context;
    struct reader r = reader_of(body, size);
    struct metadata_response response;
    client->is_asking = false;
    if (error == 0 && metadata_response_decode(&r, VERSION_METADATA, fresh_arena(client->workload), &response) == 0 &&
        response.topics_count == 1) {
        for (int32_t i = 0; i < response.topics[0].partitions_count; i++) {
            const struct metadata_response_metadata_response_partition *found = &response.topics[0].partitions[i];
            CHECK(found->partition_index >= 0 && found->partition_index < HISTORY_PARTITIONS_MAX);
            struct client_partition *partition = &client->partitions[found->partition_index];
            if (found->leader_epoch >= partition->leader_epoch) { /* a broker may be behind */
                if (found->leader_id != partition->leader) {
                    trace_debug("client", "client %d partition %d: leader %d epoch %d, was %d epoch %d", client->number,
                                found->partition_index, found->leader_id, found->leader_epoch, partition->leader,
                                partition->leader_epoch);
                }
                partition->leader = found->leader_id;
                partition->leader_epoch = found->leader_epoch;
            }
        }
    } else {
        client->wants_metadata = true;
    }
    later(client, &client->metadata_timer, client->wants_metadata ? BACKOFF_MS : METADATA_MAX_AGE_MS, ask_metadata);
    client->wants_metadata = false;
}

static void ask_metadata(struct timer *timer) {
    struct client *client = CONTAINER_OF(timer, struct client, metadata_timer);
    struct metadata_request_metadata_request_topic topic;
    metadata_request_metadata_request_topic_init(&topic);
    topic.name = STR_LITERAL(WORKLOAD_TOPIC);
    struct metadata_request request;
    metadata_request_init(&request);
    request.topics = &topic;
    request.topics_count = 1;
    request.allow_auto_topic_creation = false;
    client->is_asking = true;
    CALL(client, any_broker(client->workload), METADATA, metadata, VERSION_METADATA, &request, on_metadata, client);
}

static void refresh(struct client *client) {
    if (client->is_asking) {
        client->wants_metadata = true;
    } else if (!timer_is_running(&client->metadata_timer) ||
               client->metadata_timer.deadline_ms > clock_now_ms(client->clock) + BACKOFF_MS / 2) {
        timer_start(client->clock, &client->metadata_timer, BACKOFF_MS / 2, ask_metadata);
    }
}

/* ---- producing ---- */

static bool is_passing(int16_t code) {
    return kafka_error_is_retriable(code) || code == KAFKA_FENCED_LEADER_EPOCH || code == KAFKA_UNKNOWN_LEADER_EPOCH;
}

/* A leader that does not know yet that it was replaced may lack what its successor has acknowledged, and then refuses
 * the next sequence or a later offset. Kafka's clients find their way from there; only the newest leader must not. */
static bool is_newest(const struct client_partition *partition) {
    return partition->leader == replicas_newest_leader(partition->client->workload->replicas, partition->partition);
}

static void acknowledged(struct client_partition *partition, int64_t offset) {
    struct client *client = partition->client;
    struct workload *workload = client->workload;
    for (int32_t i = 0; i < partition->batch_count; i++) {
        struct history_value value = {client->number, partition->partition, partition->next_number + i};
        history_on_acked(workload->history, value, offset < 0 ? -1 : offset + i);
    }
    if (offset >= 0) {
        replicas_on_acked(workload->replicas, partition->partition, offset + partition->batch_count - 1);
    }
    partition->next_number += partition->batch_count;
    partition->batch_count = 0;
}

static void on_produced(void *context, int error, const uint8_t *body, size_t size) {
    struct client_partition *partition = context;
    struct client *client = partition->client;
    struct workload *workload = client->workload;
    struct reader r = reader_of(body, size);
    struct produce_response response;
    partition->is_in_flight = false;
    int64_t pause_ms = BACKOFF_MS;
    if (error == 0 && produce_response_decode(&r, VERSION_PRODUCE, fresh_arena(workload), &response) == 0 &&
        response.responses_count == 1 && response.responses[0].partition_responses_count == 1) {
        const struct produce_response_partition_produce_response *answer =
            &response.responses[0].partition_responses[0];
        trace_debug("client", "producer %d partition %d number %" PRId64 "+%d: %s at %" PRId64 " by %d", client->number,
                    partition->partition, partition->next_number, partition->batch_count,
                    kafka_error_name(answer->error_code), answer->base_offset, partition->leader);
        if (answer->error_code == KAFKA_NONE) {
            acknowledged(partition, answer->base_offset);
            pause_ms = (int64_t)random_below(&workload->random, (uint64_t)workload->config.think_ms + 1);
        } else if (answer->error_code == KAFKA_DUPLICATE_SEQUENCE_NUMBER) {
            acknowledged(partition, -1);
        } else if (!is_passing(answer->error_code) && is_newest(partition)) {
            cluster_violate(workload->cluster, "producer %d partition %d number %" PRId64 " was refused with %s by %d",
                            client->number, partition->partition, partition->next_number,
                            kafka_error_name(answer->error_code), partition->leader);
        } else {
            refresh(client);
        }
    } else {
        refresh(client);
    }
    later(client, &partition->timer, pause_ms, go_on);
}

static void produce(struct client_partition *partition) {
    struct client *client = partition->client;
    struct workload *workload = client->workload;
    int64_t left = workload->config.records_per_partition - partition->next_number;
    if (left <= 0) {
        return;
    }
    if (partition->batch_count == 0) {
        partition->batch_count = 1 + (int32_t)random_below(&workload->random, (uint64_t)MIN(left, 4));
    }
    struct workload_batch batch = {
        .producer_id = client->producer_id,
        .producer_epoch = client->producer_epoch,
        .base_sequence = (int32_t)partition->next_number,
        .timestamp_ms = clock_wall_ms(client->clock),
        .first = {client->number, partition->partition, partition->next_number},
        .count = partition->batch_count,
    };
    uint8_t bytes[WORKLOAD_BATCH_MAX];
    struct produce_request_partition_produce_data data;
    produce_request_partition_produce_data_init(&data);
    data.index = partition->partition;
    data.records = (struct records){.size = workload_batch_encode(&batch, bytes), .data = bytes};
    struct produce_request_topic_produce_data topic;
    produce_request_topic_produce_data_init(&topic);
    topic.name = STR_LITERAL(WORKLOAD_TOPIC);
    topic.partition_data = &data;
    topic.partition_data_count = 1;
    struct produce_request request;
    produce_request_init(&request);
    request.acks = -1;
    request.timeout_ms = CALL_TIMEOUT_MS - 1000;
    request.topic_data = &topic;
    request.topic_data_count = 1;
    partition->is_in_flight = true;
    CALL(client, partition->leader, PRODUCE, produce, VERSION_PRODUCE, &request, on_produced, partition);
}

/* ---- consuming ---- */

static void on_fetched(void *context, int error, const uint8_t *body, size_t size) {
    struct client_partition *partition = context;
    struct client *client = partition->client;
    struct workload *workload = client->workload;
    struct reader r = reader_of(body, size);
    struct fetch_response response;
    partition->is_in_flight = false;
    int64_t pause_ms = BACKOFF_MS;
    if (error == 0 && fetch_response_decode(&r, VERSION_FETCH, fresh_arena(workload), &response) == 0 &&
        response.error_code == KAFKA_NONE && response.responses_count == 1 &&
        response.responses[0].partitions_count == 1) {
        const struct fetch_response_partition_data *data = &response.responses[0].partitions[0];
        if (data->error_code == KAFKA_NONE && data->diverging_epoch.end_offset < 0) {
            int64_t end = partition->position;
            if (!workload_batch_read(workload->history, partition->partition, data->records, &end)) {
                cluster_violate(workload->cluster, "partition %d at %" PRId64 ": records that do not decode",
                                partition->partition, partition->position);
            }
            if (end > data->high_watermark && data->high_watermark >= 0 && end > partition->position) {
                cluster_violate(workload->cluster,
                                "partition %d: read up to %" PRId64 " with a high watermark of %" PRId64,
                                partition->partition, end, data->high_watermark);
            }
            partition->position = end;
            pause_ms = (int64_t)random_below(&workload->random, 50);
        } else if (data->error_code != KAFKA_NONE && !is_passing(data->error_code) && is_newest(partition)) {
            cluster_violate(workload->cluster, "a consumer of partition %d at %" PRId64 " was told %s by %d (epoch %d)",
                            partition->partition, partition->position, kafka_error_name(data->error_code),
                            partition->leader, partition->leader_epoch);
        } else {
            refresh(client);
        }
    } else {
        refresh(client);
    }
    later(client, &partition->timer, pause_ms, go_on);
}

static void consume(struct client_partition *partition) {
    struct client *client = partition->client;
    struct workload *workload = client->workload;
    struct fetch_request_fetch_partition data;
    fetch_request_fetch_partition_init(&data);
    data.partition = partition->partition;
    data.current_leader_epoch = partition->leader_epoch;
    data.fetch_offset = partition->position;
    data.last_fetched_epoch = -1;
    data.log_start_offset = -1;
    data.partition_max_bytes = 100 + (int32_t)random_below(&workload->random, 4000);
    struct fetch_request_fetch_topic topic;
    fetch_request_fetch_topic_init(&topic);
    topic.topic = STR_LITERAL(WORKLOAD_TOPIC);
    topic.partitions = &data;
    topic.partitions_count = 1;
    struct fetch_request request;
    fetch_request_init(&request);
    request.replica_id = -1;
    request.max_wait_ms = 500;
    request.min_bytes = 1;
    request.max_bytes = 1 << 20;
    request.session_epoch = -1;
    request.topics = &topic;
    request.topics_count = 1;
    request.rack_id = STR_LITERAL("");
    partition->is_in_flight = true;
    CALL(client, partition->leader, FETCH, fetch, VERSION_FETCH, &request, on_fetched, partition);
}

static void go_on(struct timer *timer) {
    struct client_partition *partition = CONTAINER_OF(timer, struct client_partition, timer);
    struct client *client = partition->client;
    if (partition->leader < 0) {
        refresh(client);
        later(client, timer, BACKOFF_MS, go_on);
    } else if (client->is_producer) {
        produce(partition);
    } else {
        consume(partition);
    }
}

/* ---- the whole ---- */

struct workload *workload_create(struct cluster *cluster, const struct workload_config *config, struct history *history,
                                 struct replicas *replicas, uint64_t seed) {
    struct workload *workload = xcalloc(1, sizeof *workload);
    workload->cluster = cluster;
    workload->config = *config;
    workload->history = history;
    workload->replicas = replicas;
    workload->client_count = config->producers + config->consumers;
    CHECK(workload->client_count <= CLIENTS_MAX && CLUSTER_CLIENT_NODE + CLIENTS_MAX <= SIM_NODES_MAX);
    random_seed(&workload->random, seed);
    arena_init(&workload->arena, SIZE_MAX);
    for (int32_t i = 0; i < workload->client_count; i++) {
        struct client *client = &workload->clients[i];
        client->workload = workload;
        client->node = CLUSTER_CLIENT_NODE + i;
        client->is_producer = i < config->producers;
        client->number = i;
        client->producer_id = -1;
        client->clock = sim_clock_create(cluster->sim, 0);
        sim_network_join(cluster->network, client->node, client->clock);
        client->transport = sim_transport_create(cluster->network, client->node);
        for (int32_t p = 0; p < config->partitions; p++) {
            client->partitions[p] =
                (struct client_partition){.client = client, .partition = p, .leader = -1, .leader_epoch = -1};
        }
    }
    return workload;
}

void workload_start(struct workload *workload) {
    for (int32_t i = 0; i < workload->client_count; i++) {
        later(&workload->clients[i], &workload->clients[i].start_timer, BACKOFF_MS, begin_client);
    }
}

void workload_destroy(struct workload *workload) {
    for (int32_t i = 0; i < workload->client_count; i++) {
        struct client *client = &workload->clients[i];
        sim_network_leave(workload->cluster->network, client->node);
        sim_clock_kill(client->clock);
        sim_clock_destroy(client->clock);
        sim_transport_destroy(client->transport);
    }
    arena_deinit(&workload->arena);
    free(workload);
}

bool workload_has_topic(const struct workload *workload) {
    return workload->has_topic;
}

bool workload_is_done(const struct workload *workload, char *ret_why, int why_size) {
    for (int32_t i = 0; i < workload->client_count; i++) {
        const struct client *client = &workload->clients[i];
        for (int32_t p = 0; p < workload->config.partitions; p++) {
            const struct client_partition *partition = &client->partitions[p];
            if (client->is_producer && partition->next_number < workload->config.records_per_partition) {
                snprintf(ret_why, (size_t)why_size, "producer %d has %" PRId64 " of %" PRId64 " acknowledged in %d",
                         client->number, partition->next_number, workload->config.records_per_partition, p);
                return false;
            }
            if (!client->is_producer && partition->position < replicas_committed_end(workload->replicas, p)) {
                snprintf(ret_why, (size_t)why_size, "a consumer is at %" PRId64 " of %" PRId64 " in partition %d",
                         partition->position, replicas_committed_end(workload->replicas, p), p);
                return false;
            }
        }
    }
    return true;
}
