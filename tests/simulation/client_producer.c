/* Producers: one batch under way per partition. An idempotent one sends it again, same sequence, until it is told; any
 * other sends a record once and leaves it at that. */
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

/* The batch is over, whatever became of it. */
static void settle(struct client_partition *partition) {
    partition->next_number += partition->batch_count;
    partition->next_sequence += partition->batch_count;
    partition->batch_count = 0;
    partition->attempts = 0;
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
    } else if (!client_error_is_passing(code) && client_asked_newest(partition)) {
        violate(client->workload->world, "refused", "producer %d %s-%d number %" PRId64 " was refused with %s by %d",
                client->number, client_topic_of(partition)->name, partition->partition, partition->next_number,
                kafka_error_name(code), partition->asked_leader);
    } else {
        client_refresh(client);
    }
}

static void on_produced(void *context, int error, const uint8_t *body, size_t size) {
    struct client_partition *partition = context;
    struct client *client = partition->client;
    struct workload *workload = client->workload;
    struct reader r = reader_of(body, size);
    struct produce_response response;
    int64_t pause_ms = client_draw(workload, 0, workload->world->plan->think_ms);
    partition->is_in_flight = false;
    if (error == 0 && acks_of(client) == 0) {
        settle(partition);
    } else if (error == 0 && produce_response_decode(&r, VERSION_PRODUCE, client_arena(workload), &response) == 0 &&
               response.responses_count == 1 && response.responses[0].partition_responses_count == 1) {
        const struct produce_response_partition_produce_response *answer =
            &response.responses[0].partition_responses[0];
        pause_ms = answer->error_code == KAFKA_NONE ? pause_ms : BACKOFF_MS;
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

/* ---- sending ---- */

static int64_t records_wanted(const struct client_partition *partition) {
    return partition->client->workload->world->plan->records_per_partition - partition->next_number;
}

static void produce(struct client_partition *partition) {
    struct client *client = partition->client;
    struct workload *workload = client->workload;
    struct topic *topic = client_topic_of(partition);
    if (partition->batch_count == 0) {
        partition->batch_count = (int32_t)client_draw(workload, 1, MIN(records_wanted(partition), 4));
    }
    for (int32_t i = 0; i < partition->batch_count; i++) {
        struct value_fate *fate = values_fate(workload->world->values, value_of(partition, partition->next_number + i));
        fate->sent_ms = sim_now_ms(workload->world->cluster->sim);
    }
    struct workload_batch batch = {
        .producer_id = is_idempotent(client) ? client->producer_id : -1,
        .producer_epoch = is_idempotent(client) ? client->producer_epoch : -1,
        .base_sequence = is_idempotent(client) ? partition->next_sequence : -1,
        .timestamp_ms = clock_wall_ms(client->clock),
        .first = value_of(partition, partition->next_number),
        .count = partition->batch_count,
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
    partition->is_in_flight = true;
    partition->attempts++;
    partition->asked_leader = partition->leader;
    partition->asked_epoch = partition->leader_epoch;
    CLIENT_CALL(client, partition->leader, PRODUCE, produce, VERSION_PRODUCE, &request, on_produced, partition);
}

void client_go_on_producing(struct timer *timer) {
    struct client_partition *partition = CONTAINER_OF(timer, struct client_partition, timer);
    struct client *client = partition->client;
    if (partition->is_in_flight || client_topic_of(partition) == NULL) {
        return; /* the answer, or the next metadata, goes on */
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
