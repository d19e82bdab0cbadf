/* Producers: one batch under way per partition. An idempotent one sends it again, same sequence, until it is told; any
 * other sends a record once and leaves it at that. An idempotent one also sends the next batch right behind it, at
 * times, and when that one is acknowledged takes both for written, as librdkafka does. */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/trace.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/errors.h"
#include "generated/protocol/init_producer_id.h"
#include "generated/protocol/produce.h"
#include "tests/simulation/client.h"
#include "tests/simulation/workload_batch.h"

#define VERSION_INIT_PRODUCER_ID 4
#define VERSION_PRODUCE 9
#define BATCH_RECORDS_MAX 4

CLIENT_ENCODER(init_producer_id)
CLIENT_ENCODER(produce)

static void begin(struct timer *timer);

static bool is_idempotent(const struct client *client) {
    return client->workload->world->plan->producers[client->number].is_idempotent;
}

static int16_t acks_of(const struct client *client) {
    return client->workload->world->plan->producers[client->number].acks;
}

static void on_producer_id(void *context, int error, const uint8_t *body, size_t size) {
    struct client *client = context;
    struct reader r = reader_of(body, size);
    struct init_producer_id_response response;
    if (error == 0 &&
        init_producer_id_response_decode(&r, VERSION_INIT_PRODUCER_ID, client_arena(client->workload), &response) ==
            0 &&
        response.error_code == KAFKA_NONE) {
        client->producer_id = response.producer_id;
        client->producer_epoch = response.producer_epoch;
    }
    client_later(client, &client->start_timer, BACKOFF_MS, begin);
}

static void begin(struct timer *timer) {
    struct client *client = CONTAINER_OF(timer, struct client, start_timer);
    if (!is_idempotent(client) || client->producer_id >= 0) {
        client_begin_metadata(client);
        return;
    }
    struct init_producer_id_request request;
    init_producer_id_request_init(&request);
    request.transactional_id = STR_NULL;
    request.transaction_timeout_ms = INT32_MAX;
    request.producer_id = -1;
    request.producer_epoch = -1;
    CLIENT_CALL(client, client_any_broker(client->workload), INIT_PRODUCER_ID, init_producer_id,
                VERSION_INIT_PRODUCER_ID, &request, on_producer_id, client);
}

void client_begin_producer(struct client *client) {
    client_later(client, &client->start_timer, BACKOFF_MS, begin);
}

/* ---- answers ---- */

static struct value value_of(const struct client_partition *partition, int64_t number) {
    const struct client *client = partition->client;
    return (struct value){client->number, partition->topic, partition->partition, number};
}

/* The batch is over, whatever became of it. What was sent behind it may be written: it stays what it is. */
static void settle(struct client_partition *partition) {
    partition->next_number += partition->batch_count;
    partition->next_sequence += partition->batch_count;
    partition->batch_count = partition->behind_count;
    partition->attempts = partition->batch_count > 0;
    partition->behind_count = 0;
}

static void acknowledged(struct client_partition *partition, int64_t offset) {
    struct workload *workload = partition->client->workload;
    const struct topic *topic = topics_at(workload->world->topics, partition->topic);
    for (int32_t i = 0; acks_of(partition->client) == -1 && i < partition->batch_count; i++) {
        struct value value = value_of(partition, partition->next_number + i);
        struct value_fate *fate = values_fate(workload->world->values, value);
        fate->acked = offset < 0 ? VALUE_ACKED_SOMEWHERE : offset + i;
        /* By name nobody knows which topic it went to once this one may have been replaced. */
        fate->is_old = !topic_is_settled(topic);
        values_note_acked(workload->world->values);
        if (!fate->is_old) {
            checkers_on_acked(workload->checkers, topic, value, offset < 0 ? -1 : offset + i);
        }
    }
    settle(partition);
}

static void take_answer(struct client_partition *partition, int16_t code, int64_t offset) {
    struct client *client = partition->client;
    trace_debug("client", "producer %d %d-%d number %" PRId64 "+%d: %s at %" PRId64 " by %d", client->number,
                partition->slot, partition->partition, partition->next_number, partition->batch_count,
                kafka_error_name(code), offset, partition->asked_leader);
    if (code == KAFKA_NONE) {
        client->workload->world->marks->counts[MARK_RETRY_ACKNOWLEDGED] += partition->attempts > 1;
        acknowledged(partition, offset);
    } else if (code == KAFKA_DUPLICATE_SEQUENCE_NUMBER) {
        acknowledged(partition, -1);
    } else if (!is_idempotent(client)) {
        settle(partition);
        client_refresh(client);
    } else if (code == KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER && partition->behind_count > 0 && partition->attempts > 1) {
        /* Both may be written, and a log that was loaded since knows the last batch of each producer only: there is no
         * more in Kafka's snapshots. Nobody was told of success. What follows is numbered anew. */
        client->workload->world->marks->counts[MARK_BATCHES_GIVEN_UP]++;
        settle(partition);
        settle(partition);
        partition->next_sequence = 0;
        partition->epochs_begun++;
    } else if (!client_error_is_passing(code) && client_asked_newest(partition)) {
        violate(client->workload->world, "refused", "producer %d %s-%d number %" PRId64 " was refused with %s by %d",
                client->number, client_topic_of(partition)->name, partition->partition, partition->next_number,
                kafka_error_name(code), partition->asked_leader);
    } else {
        client_refresh(client);
    }
}

/* The answer's one partition, NULL when there is none to read. */
static const struct produce_response_partition_produce_response *
answer_of(struct client *client, int error, const uint8_t *body, size_t size, struct produce_response *ret_response) {
    struct reader r = reader_of(body, size);
    if (error != 0 || produce_response_decode(&r, VERSION_PRODUCE, client_arena(client->workload), ret_response) != 0 ||
        ret_response->responses_count != 1 || ret_response->responses[0].partition_responses_count != 1) {
        return NULL;
    }
    return &ret_response->responses[0].partition_responses[0];
}

/* A client that is told of a gap numbers anew whatever it has, in other partitions, too, and so may write twice what
 * was written there while its answer got lost. Where a refusal made the gap, it is refused like the first. */
static void check_gap(const struct client_partition *partition) {
    if (partition->is_refused && partition->is_told_of_gap) {
        violate(partition->client->workload->world, "gap",
                "producer %d %d-%d number %" PRId64 " was refused by %d, and the batch behind it for the gap",
                partition->client->number, partition->slot, partition->partition, partition->next_number,
                partition->asked_leader);
    }
}

static void on_produced(void *context, int error, const uint8_t *body, size_t size) {
    struct client_partition *partition = context;
    struct client *client = partition->client;
    struct workload *workload = client->workload;
    struct produce_response response;
    int64_t pause_ms = client_draw(workload, 0, workload->world->plan->think_ms);
    partition->is_in_flight = false;
    const struct produce_response_partition_produce_response *answer =
        acks_of(client) == 0 ? NULL : answer_of(client, error, body, size, &response);
    if (error == 0 && acks_of(client) == 0) {
        settle(partition);
    } else if (answer != NULL) {
        pause_ms = answer->error_code == KAFKA_NONE ? pause_ms : BACKOFF_MS;
        partition->is_refused = client_error_is_passing(answer->error_code) && answer->base_offset < 0;
        check_gap(partition);
        take_answer(partition, answer->error_code, answer->base_offset);
    } else {
        pause_ms = BACKOFF_MS;
        if (!is_idempotent(client)) {
            settle(partition);
        }
        client_refresh(client);
    }
    client_later(client, &partition->timer, pause_ms, client_go_on_producing);
}

/* Of a batch that was sent behind another one, which may be over by now or not. */
static void on_behind_produced(void *context, int error, const uint8_t *body, size_t size) {
    struct client_partition *partition = context;
    struct client *client = partition->client;
    struct produce_response response;
    const struct produce_response_partition_produce_response *answer = answer_of(client, error, body, size, &response);
    partition->is_behind_in_flight = false;
    if (answer != NULL) {
        trace_debug("client", "producer %d %d-%d sent behind number %" PRId64 ": %s at %" PRId64 " by %d",
                    client->number, partition->slot, partition->partition, partition->next_number,
                    kafka_error_name(answer->error_code), answer->base_offset, partition->asked_leader);
        client->workload->world->marks->counts[MARK_OVERTAKING_REFUSED] +=
            answer->error_code == KAFKA_NOT_LEADER_OR_FOLLOWER && !str_is_null(answer->error_message);
        partition->is_told_of_gap = answer->error_code == KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
        check_gap(partition);
    }
    if (answer != NULL && answer->error_code == KAFKA_NONE) {
        if (partition->behind_count > 0) {
            acknowledged(partition, -1); /* the one before it must be written, too */
        }
        acknowledged(partition, answer->base_offset);
    }
    client_later(client, &partition->timer, BACKOFF_MS, client_go_on_producing);
}

/* ---- sending ---- */

static int64_t records_wanted(const struct client_partition *partition) {
    return partition->client->workload->world->plan->records_per_partition - partition->next_number;
}

/* Sends `count` records from the one that lies `skipped` behind the first of the batch under way. */
static void send_batch(struct client_partition *partition, int32_t skipped, int32_t count,
                       transport_answer *on_answer) {
    struct client *client = partition->client;
    struct workload *workload = client->workload;
    struct topic *topic = client_topic_of(partition);
    int64_t first = partition->next_number + skipped;
    for (int32_t i = 0; i < count; i++) {
        struct value_fate *fate = values_fate(workload->world->values, value_of(partition, first + i));
        fate->sent_ms = sim_now_ms(workload->world->cluster->sim);
    }
    struct workload_batch batch = {
        .producer_id = is_idempotent(client) ? client->producer_id : -1,
        .producer_epoch = is_idempotent(client) ? (int16_t)(client->producer_epoch + partition->epochs_begun) : -1,
        .base_sequence = is_idempotent(client) ? partition->next_sequence + skipped : -1,
        .timestamp_ms = clock_wall_ms(client->clock),
        .first = value_of(partition, first),
        .count = count,
        .key_count = topic->key_count,
    };
    uint8_t bytes[WORKLOAD_BATCH_MAX];
    struct produce_request_partition_produce_data data;
    produce_request_partition_produce_data_init(&data);
    data.index = partition->partition;
    data.records = (struct records){.size = workload_batch_encode(&batch, bytes), .data = bytes};
    struct produce_request_topic_produce_data to;
    produce_request_topic_produce_data_init(&to);
    to.name = str_from(topic->name);
    to.partition_data = &data;
    to.partition_data_count = 1;
    struct produce_request request;
    produce_request_init(&request);
    request.acks = acks_of(client);
    request.timeout_ms = CALL_TIMEOUT_MS - 1000;
    request.topic_data = &to;
    request.topic_data_count = 1;
    CLIENT_CALL(client, partition->leader, PRODUCE, produce, VERSION_PRODUCE, &request, on_answer, partition);
}

static void produce(struct client_partition *partition) {
    struct workload *workload = partition->client->workload;
    if (partition->batch_count == 0) {
        partition->batch_count = (int32_t)client_draw(workload, 1, MIN(records_wanted(partition), BATCH_RECORDS_MAX));
    }
    partition->is_in_flight = true;
    partition->attempts++;
    partition->is_refused = false;
    partition->is_told_of_gap = false;
    partition->asked_leader = partition->leader;
    partition->asked_epoch = partition->leader_epoch;
    int64_t left = records_wanted(partition) - partition->batch_count;
    bool is_followed = is_idempotent(partition->client) && left > 0 && client_draw(workload, 0, 1) == 1;
    if (is_followed && partition->behind_count == 0) {
        partition->behind_count = (int32_t)client_draw(workload, 1, MIN(left, BATCH_RECORDS_MAX));
    }
    send_batch(partition, 0, partition->batch_count, on_produced);
    if (is_followed) {
        partition->is_behind_in_flight = true;
        send_batch(partition, partition->batch_count, partition->behind_count, on_behind_produced);
    }
}

void client_go_on_producing(struct timer *timer) {
    struct client_partition *partition = CONTAINER_OF(timer, struct client_partition, timer);
    struct client *client = partition->client;
    if (partition->is_in_flight || partition->is_behind_in_flight || client_topic_of(partition) == NULL) {
        return; /* the answers, or the next metadata, goes on */
    }
    if (partition->batch_count == 0 && partition->topic != client->topics[partition->slot].topic) {
        /* Numbers begin anew; sequences go on, since the last batch may have come to either topic. */
        partition->topic = client->topics[partition->slot].topic;
        partition->next_number = 0;
    }
    if (records_wanted(partition) <= 0) {
        return;
    }
    if (partition->leader < 0) {
        client_refresh(client);
        client_later(client, timer, BACKOFF_MS, client_go_on_producing);
    } else {
        produce(partition);
    }
}
