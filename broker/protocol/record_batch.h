/* Record batches: the header every part of the broker looks at, and the records inside, which few do.
 *
 * The format is Kafka's magic 2 (zookeeper-mode.md 5.5); headers of the older message sets decode into the same struct,
 * so that old segments can be walked. Base offset, length and leader epoch lie outside the checksum (rule 28) and are
 * changed in place. */
#ifndef OTTLA_PROTOCOL_RECORD_BATCH_H
#define OTTLA_PROTOCOL_RECORD_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/base/bytes.h"
#include "broker/base/slice.h"
#include "broker/protocol/compression.h"

/* Where the fields of a batch lie. */
enum {
    BATCH_AT_BASE_OFFSET = 0,
    BATCH_AT_LENGTH = 8,
    BATCH_AT_LEADER_EPOCH = 12,
    BATCH_AT_MAGIC = 16,
    BATCH_AT_CRC = 17,
    BATCH_AT_ATTRIBUTES = 21,
    BATCH_AT_LAST_OFFSET_DELTA = 23,
    BATCH_AT_BASE_TIMESTAMP = 27,
    BATCH_AT_MAX_TIMESTAMP = 35,
    BATCH_AT_PRODUCER_ID = 43,
    BATCH_AT_PRODUCER_EPOCH = 51,
    BATCH_AT_BASE_SEQUENCE = 53,
    BATCH_AT_RECORD_COUNT = 57,
    BATCH_HEADER_SIZE = 61,
    BATCH_OVERHEAD = 12, /* base offset and length, which the length does not count */
};

enum {
    BATCH_CODEC_MASK = 0x07,
    BATCH_LOG_APPEND_TIME = 0x08,
    BATCH_TRANSACTIONAL = 0x10,
    BATCH_CONTROL = 0x20,
    BATCH_DELETE_HORIZON = 0x40,
};

/* A message of the old formats: offset, size, crc, magic, attributes, [timestamp], key, value. */
enum {
    MESSAGE_AT_CRC = 12,
    MESSAGE_AT_ATTRIBUTES = 17,
    MESSAGE_AT_TIMESTAMP = 18,
    MESSAGE_V0_SIZE_MIN = 14, /* of the size field: crc, magic, attributes, two lengths */
    MESSAGE_V1_SIZE_MIN = 22,
};

/* Bytes of a batch that record_batch_decode may ask for. */
#define BATCH_DECODE_SIZE ((size_t)BATCH_HEADER_SIZE)

/* Most a compressed batch may unpack to. Without a bound a megabyte of gzip keeps the loop busy for seconds; Kafka's
 * own clients build batches of max.request.size (1 MiB by default) before compression. */
#define BATCH_UNPACKED_MAX ((size_t)256 * 1024 * 1024)

struct record_batch {
    int64_t base_offset; /* magic 0 and 1: the message's own offset */
    int64_t last_offset;
    int32_t size; /* the whole batch in bytes */
    int32_t leader_epoch;
    int8_t magic;
    uint8_t codec;
    uint16_t attributes;
    uint32_t crc;
    int64_t base_timestamp;
    int64_t max_timestamp;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
    int32_t record_count; /* -1 where the format does not say */
};

static inline bool record_batch_is_control(const struct record_batch *batch) {
    return (batch->attributes & BATCH_CONTROL) != 0;
}
static inline bool record_batch_is_transactional(const struct record_batch *batch) {
    return (batch->attributes & BATCH_TRANSACTIONAL) != 0;
}
/* Sequence of the last record; sequences wrap from the largest int32 to 0. */
int32_t record_batch_last_sequence(const struct record_batch *batch);

/* Decodes the header at `at`, of which `available` bytes can be read. Returns 0; ERR_OUT_OF_RANGE when the header goes
 * beyond them; ERR_CORRUPT for lengths or a magic that no batch has. Says nothing about the bytes after the header. */
int record_batch_decode(const uint8_t *at, size_t available, struct record_batch *ret);
/* The checksum of a complete batch, any magic. */
bool record_batch_crc_is_valid(struct slice batch, const struct record_batch *header);
/* Recomputes it (magic 2) after bytes it covers were changed. */
void record_batch_update_crc(uint8_t *batch, int32_t size);

/* What validation needs besides the bytes, kept from one batch to the next. One per thread. */
struct record_workspace {
    struct compression *compression;
    struct byte_buffer unpacked;  /* records of one batch, uncompressed */
    struct byte_buffer records;   /* records being built */
    struct byte_buffer converted; /* the batch that is written in place of the one received */
    uint8_t window[8 * 1024];     /* of a stream being unpacked */
};

struct record_workspace *record_workspace_create(void);
void record_workspace_destroy(struct record_workspace *workspace);

/* One record of a magic 2 batch. The pointers are set when the records lie in memory, NULL when they are streamed. */
struct record_view {
    int64_t timestamp_delta;
    int32_t offset_delta;
    int32_t key_size;   /* -1 null */
    int32_t value_size; /* -1 null */
    int32_t header_count;
    const uint8_t *key;
    const uint8_t *value;
    const uint8_t *headers; /* encoded, as in the record */
    const uint8_t *headers_end;
};

struct record_iterator {
    const uint8_t *at;
    const uint8_t *end;
    struct record_workspace *workspace; /* set while streaming */
    int64_t consumed;                   /* bytes of the stream before the window */
    const uint8_t *window_begin;
    int32_t left; /* records still to come */
    int error;
};

/* Walks the records of a complete magic 2 batch; compressed ones are unpacked on the way, a window at a time. */
void record_iterator_begin(struct record_iterator *iterator, struct record_workspace *workspace, struct slice batch,
                           const struct record_batch *header);
/* Walks `count` records that lie uncompressed in memory. */
void record_iterator_begin_memory(struct record_iterator *iterator, struct slice records, int32_t count);
/* Returns 1 with a record; 0 at the end, when nothing follows the last record; ERR_INVALID for records that are not
 * well formed, ERR_CORRUPT for data that does not unpack, ERR_TOO_LARGE beyond BATCH_UNPACKED_MAX. */
int record_iterator_next(struct record_iterator *iterator, struct record_view *ret_view);
/* Passes over a record in memory that is known to be well formed. */
void record_iterator_skip(struct record_iterator *iterator);

struct record_rules {
    int64_t wall_ms;
    int64_t timestamp_before_max_ms;
    int64_t timestamp_after_max_ms;
    bool is_compacted;
    bool log_append_time;
    bool from_client;
};

struct record_verdict {
    int16_t error_code; /* Kafka's; 0: the batch may be written */
    const char *message;
    int32_t record_index; /* of the first record at fault, -1 when the batch is */
    const char *record_message;
    int64_t max_timestamp;    /* of the records, -1 none */
    bool has_foreign_offsets; /* inner offsets are not 0, 1, 2...: the batch must be built anew */
};

/* Everything Kafka checks of a magic 2 batch whose length, checksum and base offset are already known to be good
 * (zookeeper-mode.md 4.12 and 7.1), in one pass over the records. */
void record_batch_validate(struct slice batch, const struct record_batch *header, const struct record_rules *rules,
                           struct record_workspace *workspace, struct record_verdict *ret_verdict);

/* Appends one record, uncompressed, with these deltas. The record's bytes may lie in `to` when it has room enough. */
void record_append(struct byte_buffer *to, const struct record_view *record, int64_t timestamp_delta,
                   int32_t offset_delta);
/* Unpacks the records of a batch into workspace->unpacked. Errors as of record_iterator_next. */
int record_batch_unpack(struct slice batch, const struct record_batch *header, struct record_workspace *workspace);
/* Builds the batch anew in workspace->converted with another codec; with has_foreign_offsets the inner offsets become
 * 0, 1, 2... The header is carried over, except codec, length, record count and checksum. Errors as above. */
int record_batch_recode(struct slice batch, const struct record_batch *header, enum compression_codec codec,
                        bool renumber, struct record_workspace *workspace);

/* The marker in a control batch: what a transaction came to. */
struct end_transaction_marker {
    bool is_commit;
    int32_t coordinator_epoch;
};
/* ERR_NOT_FOUND for a control batch of another kind or without records, ERR_INVALID when it is malformed. */
int record_batch_marker(struct slice batch, const struct record_batch *header, struct end_transaction_marker *ret);

#endif
