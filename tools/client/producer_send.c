/* Sending batches: one request per leader with the first ready batch of each of its partitions, and what to do with
 * the answer. */
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/errors.h"
#include "broker/protocol/record_batch.h"
#include "tools/client/producer_internal.h"

#define SENDER_LOGGER "org.apache.kafka.clients.producer.internals.Sender"
/* How long one look for leaders may take inside a step, so that a step comes back to its caller. */
#define METADATA_STEP_MS 1000
/* A partition without leader is looked at again after this. */
#define NO_LEADER_PAUSE_MS 100

/* A part of one request. */
struct sending {
    struct producer_partition *partition;
    struct byte_buffer bytes;
};

static void fail_batch(struct producer *producer, struct producer_partition *partition, const struct failure *failure) {
    const struct producer_batch *batch = partition->first;
    for (int32_t i = 0; i < batch->count; i++) {
        producer->on_error(producer->context, batch->sizes[i].key, batch->sizes[i].value, failure);
    }
    producer_drop_first(producer, partition);
}

static int32_t partition_index(const struct producer *producer, const struct producer_partition *partition) {
    return (int32_t)(partition - producer->partitions);
}

/* Gives up batches older than delivery.timeout.ms. */
static void expire_batches(struct producer *producer) {
    int64_t oldest_ms = monotonic_ms() - producer->settings.delivery_timeout_ms;
    for (int32_t i = 0; i < producer->partition_count; i++) {
        struct producer_partition *partition = &producer->partitions[i];
        while (partition->first != NULL && partition->first->created_ms <= oldest_ms) {
            struct failure failure = {0};
            failure_set(&failure, "TimeoutException",
                        "Expiring %d record(s) for %.*s-%d:%lld ms has passed since batch creation",
                        partition->first->count, STR_ARGS(producer->topic), i,
                        (long long)producer->settings.delivery_timeout_ms);
            /* Whether it was written is unknown, so its sequence must not be used again. */
            if (partition->first->attempts > 0) {
                producer->producer_id = -1;
            }
            fail_batch(producer, partition, &failure);
            failure_clear(&failure);
        }
    }
}

/* A producer id from any broker. 0 when there is one now; ERR_DISCONNECTED to try later; ERR_CLOSING. */
static int await_producer_id(struct producer *producer) {
    if (!producer->settings.idempotent || producer->producer_id >= 0) {
        return 0;
    }
    struct broker_connection *connection;
    int64_t deadline_ms = monotonic_ms() + METADATA_STEP_MS;
    int error = client_any(producer->client, deadline_ms, &connection);
    if (error != 0) {
        return error == ERR_CLOSING ? error : ERR_DISCONNECTED;
    }
    struct init_producer_id_request request;
    init_producer_id_request_init(&request);
    request.transactional_id = STR_NULL;
    request.transaction_timeout_ms = INT32_MAX;
    request.producer_id = -1;
    request.producer_epoch = -1;
    struct init_producer_id_response response;
    deadline_ms = monotonic_ms() + producer->settings.request_timeout_ms;
    error = call_init_producer_id(connection, &request, deadline_ms, &producer->arena, &response);
    if (error == 0 && response.error_code == 0) {
        producer->producer_id = response.producer_id;
        producer->producer_epoch = response.producer_epoch;
        return 0;
    }
    bool final = error == ERR_NOT_FOUND || error == ERR_OUT_OF_RANGE ||
                 (error == 0 && !kafka_error_is_retriable(response.error_code));
    if (!final) {
        return error == ERR_CLOSING ? error : ERR_DISCONNECTED;
    }
    struct failure failure = {0};
    if (error == 0) {
        failure_set_code(&failure, response.error_code, STR_NULL);
    } else {
        client_failure(&failure, error, "initProducerId");
    }
    for (int32_t i = 0; i < producer->partition_count; i++) {
        while (producer->partitions[i].first != NULL) {
            fail_batch(producer, &producer->partitions[i], &failure);
        }
    }
    failure_clear(&failure);
    return ERR_DISCONNECTED;
}

static void assign_sequence(struct producer *producer, struct producer_partition *partition) {
    struct producer_batch *batch = partition->first;
    if (!producer->settings.idempotent || batch->producer_id >= 0) {
        return;
    }
    if (partition->sequence_owner != producer->producer_id) {
        partition->sequence_owner = producer->producer_id;
        partition->next_sequence = 0;
    }
    batch->producer_id = producer->producer_id;
    batch->producer_epoch = producer->producer_epoch;
    batch->base_sequence = partition->next_sequence;
    partition->next_sequence = (int32_t)(((uint32_t)partition->next_sequence + (uint32_t)batch->count) & 0x7fffffffU);
}

static void encode_batch(struct producer *producer, const struct producer_batch *batch, struct byte_buffer *ret) {
    uint8_t *to = byte_buffer_reserve(ret, BATCH_HEADER_SIZE);
    memset(to, 0, BATCH_HEADER_SIZE);
    ret->size = BATCH_HEADER_SIZE;
    compress_all(producer->compression, producer->settings.codec,
                 (struct slice){batch->records.data, (int32_t)batch->records.size}, ret);
    to = ret->data;
    store_i32(to + BATCH_AT_LENGTH, (int32_t)ret->size - BATCH_OVERHEAD);
    store_i32(to + BATCH_AT_LEADER_EPOCH, -1);
    to[BATCH_AT_MAGIC] = 2;
    store_i16(to + BATCH_AT_ATTRIBUTES, (int16_t)producer->settings.codec);
    store_i32(to + BATCH_AT_LAST_OFFSET_DELTA, batch->count - 1);
    store_i64(to + BATCH_AT_BASE_TIMESTAMP, batch->base_timestamp_ms);
    store_i64(to + BATCH_AT_MAX_TIMESTAMP, batch->max_timestamp_ms);
    store_i64(to + BATCH_AT_PRODUCER_ID, batch->producer_id);
    store_i16(to + BATCH_AT_PRODUCER_EPOCH, batch->producer_epoch);
    store_i32(to + BATCH_AT_BASE_SEQUENCE, batch->base_sequence);
    store_i32(to + BATCH_AT_RECORD_COUNT, batch->count);
    record_batch_update_crc(to, (int32_t)ret->size);
}

/* The batch is tried again later, or given up when its tries are used. */
static void retry_or_fail(struct producer *producer, struct producer_partition *partition, int16_t code,
                          struct str message, int32_t correlation_id, bool is_uncertain) {
    struct producer_batch *batch = partition->first;
    int32_t left = producer->settings.retries - batch->attempts;
    batch->attempts++;
    if (left > 0 && (kafka_error_is_retriable(code) || code == KAFKA_UNKNOWN_PRODUCER_ID)) {
        bool has_text = !str_is_null(message);
        report_log("WARN", SENDER_LOGGER,
                   "[%s] Got error produce response with correlation id %d on topic-partition %.*s-%d, retrying (%d "
                   "attempts left). Error: %s%s%.*s",
                   producer->client->settings.log_name, correlation_id, STR_ARGS(producer->topic),
                   partition_index(producer, partition), left - 1, kafka_error_name(code),
                   has_text ? ". Error Message: " : "", STR_ARGS(message));
        batch->retry_at_ms = monotonic_ms() + producer->settings.retry_backoff_ms;
        if (code == KAFKA_UNKNOWN_PRODUCER_ID) {
            /* The broker has forgotten this producer, so nothing of it can be there twice: begin anew. */
            producer->producer_id = -1;
            batch->producer_id = -1;
        }
        return;
    }
    struct failure failure = {0};
    failure_set_code(&failure, code, message);
    if (is_uncertain || code == KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER || code == KAFKA_INVALID_PRODUCER_EPOCH) {
        producer->producer_id = -1;
    } else if (batch->producer_id >= 0 && partition->sequence_owner == batch->producer_id) {
        /* Refused and so not written: its sequence is the next one still. */
        partition->next_sequence = batch->base_sequence;
    }
    fail_batch(producer, partition, &failure);
    failure_clear(&failure);
}

static bool is_about_metadata(int16_t code) {
    return code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION || code == KAFKA_LEADER_NOT_AVAILABLE ||
           code == KAFKA_NOT_LEADER_OR_FOLLOWER || code == KAFKA_NETWORK_EXCEPTION || code == KAFKA_STORAGE_ERROR ||
           code == KAFKA_FENCED_LEADER_EPOCH || code == KAFKA_UNKNOWN_LEADER_EPOCH;
}

static void take_answer(struct producer *producer, struct sending *sent, int32_t count,
                        const struct produce_response *response, int32_t correlation_id) {
    for (int32_t i = 0; i < count; i++) {
        int32_t index = partition_index(producer, sent[i].partition);
        const struct produce_response_partition_produce_response *found = NULL;
        for (int32_t t = 0; t < response->responses_count; t++) {
            for (int32_t j = 0; j < response->responses[t].partition_responses_count; j++) {
                if (response->responses[t].partition_responses[j].index == index) {
                    found = &response->responses[t].partition_responses[j];
                }
            }
        }
        int16_t code = found == NULL ? KAFKA_UNKNOWN_SERVER_ERROR : found->error_code;
        if (code == 0 || code == KAFKA_DUPLICATE_SEQUENCE_NUMBER) {
            producer_drop_first(producer, sent[i].partition);
            continue;
        }
        producer->metadata_stale = producer->metadata_stale || is_about_metadata(code);
        bool is_uncertain = code == KAFKA_REQUEST_TIMED_OUT || code == KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND ||
                            code == KAFKA_UNKNOWN_SERVER_ERROR;
        retry_or_fail(producer, sent[i].partition, code, found == NULL ? STR_NULL : found->error_message,
                      correlation_id, is_uncertain);
    }
}

/* One request and its answer. With acks=0 there is no answer to wait for. */
static int exchange(struct producer *producer, struct broker_connection *connection,
                    const struct produce_request *request, struct produce_response *ret_response) {
    int64_t deadline_ms = monotonic_ms() + producer->settings.request_timeout_ms;
    if (producer->settings.acks == 0) {
        *ret_response = (struct produce_response){0};
        return call_produce_unanswered(connection, request, deadline_ms);
    }
    return call_produce(connection, request, deadline_ms, &producer->arena, ret_response);
}

static int send_to(struct producer *producer, struct broker_connection *connection, struct sending *sending,
                   int32_t count) {
    struct produce_request request;
    struct produce_request_topic_produce_data topic;
    produce_request_init(&request);
    produce_request_topic_produce_data_init(&topic);
    request.transactional_id = STR_NULL;
    request.acks = producer->settings.acks;
    request.timeout_ms = producer->settings.request_timeout_ms;
    request.topic_data = &topic;
    request.topic_data_count = 1;
    topic.name = producer->topic;
    topic.partition_data = ARENA_ARRAY(&producer->arena, struct produce_request_partition_produce_data, count);
    topic.partition_data_count = count;
    for (int32_t i = 0; i < count; i++) {
        assign_sequence(producer, sending[i].partition);
        encode_batch(producer, sending[i].partition->first, &sending[i].bytes);
        produce_request_partition_produce_data_init(&topic.partition_data[i]);
        topic.partition_data[i].index = partition_index(producer, sending[i].partition);
        topic.partition_data[i].records =
            (struct records){.size = (int32_t)sending[i].bytes.size, .data = sending[i].bytes.data};
    }
    struct produce_response response;
    int error = exchange(producer, connection, &request, &response);
    int32_t correlation_id = connection->correlation_id;
    if (error == 0 && producer->settings.acks != 0) {
        take_answer(producer, sending, count, &response, correlation_id);
    }
    for (int32_t i = 0; i < count; i++) {
        if (error == 0 && producer->settings.acks == 0) {
            producer_drop_first(producer, sending[i].partition);
        } else if (error != 0 && error != ERR_CLOSING) {
            producer->metadata_stale = true;
            int16_t code = error == ERR_TIMED_OUT ? KAFKA_REQUEST_TIMED_OUT : KAFKA_NETWORK_EXCEPTION;
            retry_or_fail(producer, sending[i].partition, code, STR_NULL, correlation_id, true);
        }
        byte_buffer_deinit(&sending[i].bytes);
    }
    return error == ERR_CLOSING ? error : 0;
}

/* Sends the ready batches of one leader's partitions. */
static int step_leader(struct producer *producer, int32_t leader, bool flush) {
    struct sending *sending = ARENA_ARRAY(&producer->arena, struct sending, producer->partition_count);
    int32_t count = 0;
    int64_t bytes = 0;
    for (int32_t i = 0; i < producer->partition_count; i++) {
        struct producer_partition *partition = &producer->partitions[i];
        const struct producer_batch *batch = partition->first;
        if (partition->leader != leader || batch == NULL || !producer_batch_is_ready(producer, batch, flush)) {
            continue;
        }
        if (count > 0 && bytes + (int64_t)batch->records.size > producer->settings.max_request_size) {
            break;
        }
        bytes += (int64_t)batch->records.size;
        sending[count++].partition = partition;
    }
    if (count == 0) {
        return 0;
    }
    struct broker_connection *connection;
    int64_t deadline_ms = monotonic_ms() + producer->settings.request_timeout_ms;
    int error = leader < 0 ? ERR_DISCONNECTED : client_node(producer->client, leader, deadline_ms, &connection);
    if (error == 0) {
        return send_to(producer, connection, sending, count);
    }
    /* Not reached at all: this costs no try, only time. */
    producer->metadata_stale = true;
    for (int32_t i = 0; i < count; i++) {
        sending[i].partition->first->retry_at_ms = monotonic_ms() + NO_LEADER_PAUSE_MS;
    }
    return error == ERR_CLOSING ? error : 0;
}

static bool has_ready_batch(const struct producer *producer, bool flush) {
    for (int32_t i = 0; i < producer->partition_count; i++) {
        const struct producer_batch *batch = producer->partitions[i].first;
        if (batch != NULL && producer_batch_is_ready(producer, batch, flush)) {
            return true;
        }
    }
    return false;
}

int producer_step(struct producer *producer, bool flush) {
    expire_batches(producer);
    if (!has_ready_batch(producer, flush)) {
        return 0;
    }
    bool is_old = producer->metadata_at_ms + producer->settings.metadata_max_age_ms <= monotonic_ms();
    int error = 0;
    if (producer->metadata_stale || is_old) {
        struct failure failure = {0};
        error = producer_update_metadata(producer, monotonic_ms() + METADATA_STEP_MS, &failure);
        failure_clear(&failure);
    }
    if (error != ERR_CLOSING) {
        error = await_producer_id(producer);
    }
    if (error != 0) {
        return error == ERR_CLOSING ? error : 0;
    }
    for (int32_t i = -1; i < producer->client->node_count && error == 0; i++) {
        error = step_leader(producer, i < 0 ? -1 : producer->client->nodes[i]->id, flush);
    }
    arena_reset(&producer->arena, SIZE_MAX);
    return error;
}

int producer_flush(struct producer *producer) {
    for (;;) {
        int error = producer_step(producer, true);
        bool left = false;
        int64_t next_ms = INT64_MAX;
        for (int32_t i = 0; i < producer->partition_count; i++) {
            const struct producer_batch *batch = producer->partitions[i].first;
            left = left || batch != NULL;
            next_ms = batch == NULL ? next_ms : MIN(next_ms, batch->retry_at_ms);
        }
        if (error != 0 || !left) {
            return error;
        }
        if (next_ms > monotonic_ms()) {
            error = wait_fd(-1, 0, producer->client->settings.cancel_fd, next_ms);
        } else if (producer->settings.idempotent && producer->producer_id < 0) {
            error = wait_fd(-1, 0, producer->client->settings.cancel_fd, monotonic_ms() + NO_LEADER_PAUSE_MS);
        }
        if (error == ERR_CLOSING) {
            return error;
        }
    }
}
