/* A producer for one topic: records are gathered into batches per partition, batches are sent to the partitions'
 * leaders, one batch of a partition at a time, and tried again as Kafka's producer does.
 *
 * With acks=all it is idempotent: a batch keeps its producer id and sequence over all its tries, so a retry after a
 * lost answer cannot write it twice (KIP-98). Nothing runs in the background: the owner calls producer_step(). */
#ifndef OTTLA_TOOLS_CLIENT_PRODUCER_H
#define OTTLA_TOOLS_CLIENT_PRODUCER_H

#include "broker/base/random.h"
#include "broker/protocol/compression.h"
#include "tools/client/client.h"

struct producer_settings {
    int32_t batch_size;
    int64_t linger_ms;
    int32_t retries;
    int64_t retry_backoff_ms;
    int32_t request_timeout_ms;
    int64_t metadata_max_age_ms;
    int64_t max_block_ms;
    int64_t delivery_timeout_ms;
    int64_t buffer_memory;
    int32_t max_request_size;
    int16_t acks;
    enum compression_codec codec;
    bool idempotent;
};

struct producer_header {
    struct str key;
    struct slice value; /* size -1 is null */
};

struct producer_record {
    struct slice key;
    struct slice value;
    const struct producer_header *headers;
    int32_t header_count;
    int64_t timestamp_ms;
};

/* Told of every record that will not arrive; sizes are -1 for null. */
typedef void producer_error_callback(void *context, int32_t key_size, int32_t value_size,
                                     const struct failure *failure);

struct record_sizes {
    int32_t key;
    int32_t value;
};

struct producer_batch {
    struct producer_batch *next;
    struct byte_buffer records; /* uncompressed */
    struct record_sizes *sizes;
    int32_t count;
    int64_t base_timestamp_ms;
    int64_t max_timestamp_ms;
    int64_t created_ms;
    int64_t retry_at_ms;
    int32_t attempts;
    int64_t producer_id; /* set with the sequence at the first try, -1 before */
    int16_t producer_epoch;
    int32_t base_sequence;
};

struct producer_partition {
    int32_t leader; /* -1 none */
    struct producer_batch *first;
    struct producer_batch *last; /* still open */
    int64_t sequence_owner;      /* the producer id next_sequence belongs to */
    int32_t next_sequence;
};

struct producer {
    struct client *client;
    struct str topic;
    struct producer_settings settings;
    producer_error_callback *on_error;
    void *context;
    struct producer_partition *partitions;
    int32_t partition_count;
    int64_t metadata_at_ms;
    bool metadata_stale;
    int64_t producer_id; /* -1: to be asked for */
    int16_t producer_epoch;
    int32_t sticky_partition; /* -1: to be drawn */
    int64_t sticky_bytes;
    int64_t queued_bytes;
    struct random random;
    struct compression *compression;
    struct arena arena;
};

/* The client, the topic's text and the context must outlive the producer. */
void producer_init(struct producer *producer, struct client *client, struct str topic,
                   const struct producer_settings *settings, producer_error_callback *on_error, void *context);
void producer_deinit(struct producer *producer);

/* Copies the record into a batch. Blocks for metadata and for memory, up to max_block_ms. 0; ERR_CLOSING when the user
 * wants to stop; else a negative code with the failure set: this record is not taken. */
int producer_send(struct producer *producer, const struct producer_record *record, struct failure *failure);
/* Sends what is due: full batches, those whose linger is over, with `flush` all. 0 or ERR_CLOSING. */
int producer_step(struct producer *producer, bool flush);
/* Steps until every record is acknowledged or given up. 0 or ERR_CLOSING. */
int producer_flush(struct producer *producer);
/* When the next step has something to do; INT64_MAX for never. */
int64_t producer_wakeup_ms(const struct producer *producer);

/* Kafka's hash for keys. */
uint32_t murmur2(const uint8_t *data, size_t size);
/* What Kafka's producer reckons a record to take at most, as compared with max.request.size. */
int64_t record_size_upper_bound(const struct producer_record *record);

#endif
