/* Gathering records; sending them is in producer_send.c. */
#include "tools/client/producer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/errors.h"
#include "broker/protocol/record_batch.h"
#include "tools/client/producer_internal.h"

#define METADATA_LOGGER "org.apache.kafka.clients.Metadata"
#define NETWORK_LOGGER "org.apache.kafka.clients.NetworkClient"
#define RECORD_OVERHEAD_MAX 21 /* length, attributes, timestamp and offset delta at their longest */

uint32_t murmur2(const uint8_t *data, size_t size) {
    const uint32_t m = 0x5bd1e995U;
    uint32_t h = 0x9747b28cU ^ (uint32_t)size;
    size_t words = size / 4;
    for (size_t i = 0; i < words; i++) {
        uint32_t k;
        memcpy(&k, data + i * 4, sizeof k); /* little endian, as Kafka's */
        k *= m;
        k ^= k >> 24;
        k *= m;
        h *= m;
        h ^= k;
    }
    const uint8_t *tail = data + words * 4;
    switch (size % 4) {
    case 3: h ^= (uint32_t)tail[2] << 16; __attribute__((fallthrough));
    case 2: h ^= (uint32_t)tail[1] << 8; __attribute__((fallthrough));
    case 1:
        h ^= tail[0];
        h *= m;
        break;
    default: break;
    }
    h ^= h >> 13;
    h *= m;
    h ^= h >> 15;
    return h;
}

static size_t field_size(int32_t size) {
    return varint_size(size) + (size_t)MAX(size, 0);
}

/* Everything of a record behind its offset delta. */
static size_t record_payload_size(const struct producer_record *record) {
    size_t size = field_size(record->key.size) + field_size(record->value.size) + varint_size(record->header_count);
    for (int32_t i = 0; i < record->header_count; i++) {
        size += field_size(record->headers[i].key.size) + field_size(record->headers[i].value.size);
    }
    return size;
}

int64_t record_size_upper_bound(const struct producer_record *record) {
    return (int64_t)(BATCH_HEADER_SIZE + RECORD_OVERHEAD_MAX + record_payload_size(record));
}

void producer_init(struct producer *producer, struct client *client, struct str topic,
                   const struct producer_settings *settings, producer_error_callback *on_error, void *context) {
    *producer = (struct producer){
        .client = client,
        .topic = topic,
        .settings = *settings,
        .on_error = on_error,
        .context = context,
        .metadata_stale = true,
        .producer_id = -1,
        .producer_epoch = -1,
        .sticky_partition = -1,
        .compression = compression_create(),
    };
    uint64_t seed = 0;
    CHECK(getrandom(&seed, sizeof seed, 0) == (ssize_t)sizeof seed);
    random_seed(&producer->random, seed);
    arena_init(&producer->arena, SIZE_MAX);
}

void producer_deinit(struct producer *producer) {
    for (int32_t i = 0; i < producer->partition_count; i++) {
        while (producer->partitions[i].first != NULL) {
            producer_drop_first(producer, &producer->partitions[i]);
        }
    }
    free(producer->partitions);
    compression_destroy(producer->compression);
    arena_deinit(&producer->arena);
    *producer = (struct producer){0};
}

void producer_drop_first(struct producer *producer, struct producer_partition *partition) {
    struct producer_batch *batch = partition->first;
    partition->first = batch->next;
    if (partition->last == batch) {
        partition->last = NULL;
    }
    producer->queued_bytes -= (int64_t)batch->records.size;
    byte_buffer_deinit(&batch->records);
    free(batch->sizes);
    free(batch);
}

static void take_partitions(struct producer *producer, const struct metadata_response_metadata_response_topic *topic) {
    int32_t count = producer->partition_count;
    for (int32_t i = 0; i < topic->partitions_count; i++) {
        count = MAX(count, topic->partitions[i].partition_index + 1);
    }
    producer->partitions = xrealloc(producer->partitions, (size_t)count * sizeof *producer->partitions);
    for (int32_t i = producer->partition_count; i < count; i++) {
        producer->partitions[i] = (struct producer_partition){.leader = -1, .sequence_owner = -1};
    }
    producer->partition_count = count;
    for (int32_t i = 0; i < topic->partitions_count; i++) {
        int32_t leader = topic->partitions[i].leader_id;
        producer->partitions[topic->partitions[i].partition_index].leader =
            client_find_node(producer->client, leader) == NULL ? -1 : leader;
    }
}

/* Returns 0; ERR_NOT_FOUND while the topic has no usable metadata; ERR_INVALID with the failure set for a name no topic
 * can have; errors of client_metadata. */
int producer_update_metadata(struct producer *producer, int64_t deadline_ms, struct failure *failure) {
    struct metadata_response response;
    arena_reset(&producer->arena, SIZE_MAX);
    int error = client_metadata(producer->client, &producer->topic, 1, true, deadline_ms, &producer->arena, &response);
    if (error != 0) {
        return error;
    }
    producer->metadata_at_ms = monotonic_ms();
    const struct metadata_response_metadata_response_topic *topic =
        response.topics_count == 1 ? &response.topics[0] : NULL;
    const char *log_name = producer->client->settings.log_name;
    if (topic == NULL || topic->error_code != 0) {
        struct broker_connection *connection;
        int32_t correlation_id = 0;
        if (client_any(producer->client, deadline_ms, &connection) == 0) {
            correlation_id = connection->correlation_id;
        }
        int16_t code = topic == NULL ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : topic->error_code;
        report_log("WARN", NETWORK_LOGGER,
                   "[%s] The metadata response from the cluster reported a recoverable issue with correlation id %d : "
                   "{%.*s=%s}",
                   log_name, correlation_id, STR_ARGS(producer->topic), kafka_error_name(code));
        if (code == KAFKA_INVALID_TOPIC_EXCEPTION) {
            report_log("ERROR", METADATA_LOGGER, "[%s] Metadata response reported invalid topics [%.*s]", log_name,
                       STR_ARGS(producer->topic));
            return failure_set(failure, "InvalidTopicException", "Invalid topics: [%.*s]", STR_ARGS(producer->topic));
        }
        if (!kafka_error_is_retriable(code)) {
            return failure_set_code(failure, code, STR_NULL);
        }
        return ERR_NOT_FOUND;
    }
    take_partitions(producer, topic);
    producer->metadata_stale = false;
    for (int32_t i = 0; i < producer->partition_count; i++) {
        producer->metadata_stale = producer->metadata_stale || producer->partitions[i].leader < 0;
    }
    return producer->partition_count > 0 ? 0 : ERR_NOT_FOUND;
}

/* Until the number of partitions is known. */
static int await_metadata(struct producer *producer, struct failure *failure) {
    if (producer->partition_count > 0) {
        return 0;
    }
    int64_t deadline_ms = monotonic_ms() + producer->settings.max_block_ms;
    for (;;) {
        int error = producer_update_metadata(producer, deadline_ms, failure);
        if (error == 0 || error == ERR_CLOSING || failure->text != NULL) {
            return error;
        }
        if (error == ERR_NOT_FOUND) {
            error = client_backoff(producer->client, deadline_ms);
        }
        if (error == ERR_TIMED_OUT) {
            failure_set(failure, "TimeoutException", "Topic %.*s not present in metadata after %lld ms.",
                        STR_ARGS(producer->topic), (long long)producer->settings.max_block_ms);
        }
        if (error != 0) {
            return error;
        }
    }
}

/* Records without a key stay with one partition until a batch's worth has gone there (KIP-794). */
static int32_t choose_partition(struct producer *producer, const struct producer_record *record, size_t size) {
    if (record->key.size >= 0) {
        uint32_t hash = murmur2(record->key.data, (size_t)record->key.size) & 0x7fffffffU;
        return (int32_t)(hash % (uint32_t)producer->partition_count);
    }
    bool moves = producer->sticky_partition < 0 || producer->sticky_bytes >= producer->settings.batch_size ||
                 producer->partitions[producer->sticky_partition].leader < 0;
    if (moves) {
        int32_t with_leader = 0;
        for (int32_t i = 0; i < producer->partition_count; i++) {
            with_leader += producer->partitions[i].leader >= 0;
        }
        int32_t choices = with_leader > 0 ? with_leader : producer->partition_count;
        int32_t left = (int32_t)random_below(&producer->random, (uint64_t)choices);
        int32_t at = 0;
        for (;; at++) {
            bool counts = with_leader == 0 || producer->partitions[at].leader >= 0;
            if (counts && left-- == 0) {
                break;
            }
        }
        producer->sticky_partition = at;
        producer->sticky_bytes = 0;
    }
    producer->sticky_bytes += (int64_t)size;
    return producer->sticky_partition;
}

static void put_field(struct writer *w, const void *data, int32_t size) {
    writer_varint(w, size);
    writer_bytes(w, data, (size_t)MAX(size, 0));
}

static void append_record(struct producer_batch *batch, const struct producer_record *record) {
    int64_t timestamp_delta = record->timestamp_ms - batch->base_timestamp_ms;
    size_t size = 1 + varlong_size(timestamp_delta) + varint_size(batch->count) + record_payload_size(record);
    size_t room = varint_size((int32_t)size) + size;
    uint8_t *to = byte_buffer_reserve(&batch->records, room);
    struct writer w = writer_of(to, room);
    writer_varint(&w, (int32_t)size);
    writer_i8(&w, 0);
    writer_varlong(&w, timestamp_delta);
    writer_varint(&w, batch->count);
    put_field(&w, record->key.data, record->key.size);
    put_field(&w, record->value.data, record->value.size);
    writer_varint(&w, record->header_count);
    for (int32_t i = 0; i < record->header_count; i++) {
        put_field(&w, record->headers[i].key.data, record->headers[i].key.size);
        put_field(&w, record->headers[i].value.data, record->headers[i].value.size);
    }
    CHECK(!w.failed && writer_size(&w) == room);
    batch->records.size += room;
    batch->sizes = xrealloc(batch->sizes, ((size_t)batch->count + 1) * sizeof *batch->sizes);
    batch->sizes[batch->count++] = (struct record_sizes){record->key.size, record->value.size};
    batch->max_timestamp_ms = MAX(batch->max_timestamp_ms, record->timestamp_ms);
}

/* The open batch if the record fits, else a new one behind it. A batch that was tried is closed. */
static struct producer_batch *open_batch(struct producer *producer, struct producer_partition *partition,
                                         const struct producer_record *record, size_t size) {
    struct producer_batch *last = partition->last;
    if (last != NULL && last->producer_id < 0 && last->attempts == 0 &&
        BATCH_HEADER_SIZE + last->records.size + size <= (size_t)producer->settings.batch_size) {
        return last;
    }
    struct producer_batch *batch = xcalloc(1, sizeof *batch);
    *batch = (struct producer_batch){
        .base_timestamp_ms = record->timestamp_ms,
        .max_timestamp_ms = record->timestamp_ms,
        .created_ms = monotonic_ms(),
        .producer_id = -1,
        .producer_epoch = -1,
        .base_sequence = -1,
    };
    if (partition->first == NULL) {
        partition->first = batch;
    } else {
        struct producer_batch *tail = partition->first;
        while (tail->next != NULL) {
            tail = tail->next;
        }
        tail->next = batch;
    }
    partition->last = batch;
    return batch;
}

/* Waits until the queue has room; what is queued is sent meanwhile. */
static int await_memory(struct producer *producer, int64_t size, struct failure *failure) {
    int64_t deadline_ms = monotonic_ms() + producer->settings.max_block_ms;
    while (producer->queued_bytes > 0 && producer->queued_bytes + size > producer->settings.buffer_memory) {
        int error = producer_step(producer, true);
        if (error == 0 && producer->queued_bytes + size > producer->settings.buffer_memory) {
            error = client_backoff(producer->client, deadline_ms);
        }
        if (error == ERR_TIMED_OUT) {
            failure_set(failure, "org.apache.kafka.clients.producer.BufferExhaustedException",
                        "Failed to allocate %lld bytes within the configured max blocking time %lld ms. Total memory: "
                        "%lld bytes.",
                        (long long)size, (long long)producer->settings.max_block_ms,
                        (long long)producer->settings.buffer_memory);
        }
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

int producer_send(struct producer *producer, const struct producer_record *record, struct failure *failure) {
    int error = await_metadata(producer, failure);
    if (error != 0) {
        return error;
    }
    int64_t bound = record_size_upper_bound(record);
    if (bound > producer->settings.max_request_size) {
        return failure_set(failure, "RecordTooLargeException",
                           "The message is %lld bytes when serialized which is larger than %d, which is the value of "
                           "the max.request.size configuration.",
                           (long long)bound, producer->settings.max_request_size);
    }
    error = await_memory(producer, bound, failure);
    if (error != 0) {
        return error;
    }
    size_t size = record_payload_size(record) + RECORD_OVERHEAD_MAX;
    struct producer_partition *partition = &producer->partitions[choose_partition(producer, record, size)];
    struct producer_batch *batch = open_batch(producer, partition, record, size);
    size_t before = batch->records.size;
    append_record(batch, record);
    producer->queued_bytes += (int64_t)(batch->records.size - before);
    return 0;
}

static bool batch_is_due(const struct producer *producer, const struct producer_batch *batch, int64_t now) {
    bool full = batch->next != NULL || BATCH_HEADER_SIZE + batch->records.size >= (size_t)producer->settings.batch_size;
    return batch->attempts > 0 || full || batch->created_ms + producer->settings.linger_ms <= now;
}

bool producer_batch_is_ready(const struct producer *producer, const struct producer_batch *batch, bool flush) {
    int64_t now = monotonic_ms();
    return batch->retry_at_ms <= now && (flush || batch_is_due(producer, batch, now));
}

int64_t producer_wakeup_ms(const struct producer *producer) {
    int64_t wakeup_ms = INT64_MAX;
    int64_t now = monotonic_ms();
    for (int32_t i = 0; i < producer->partition_count; i++) {
        const struct producer_batch *batch = producer->partitions[i].first;
        if (batch == NULL) {
            continue;
        }
        int64_t due_ms =
            batch_is_due(producer, batch, now) ? batch->retry_at_ms : batch->created_ms + producer->settings.linger_ms;
        wakeup_ms = MIN(wakeup_ms, MAX(due_ms, now));
    }
    return wakeup_ms;
}
