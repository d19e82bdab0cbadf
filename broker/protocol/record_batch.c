/* Headers, checksums and the records inside. The record walker is written once, over a window of bytes: for
 * uncompressed batches the window is the batch, for compressed ones it is refilled from the decompressor. */
#include "broker/protocol/record_batch.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "broker/base/check.h"
#include "broker/base/crc32c.h"
#include "broker/base/errors.h"
#include "broker/protocol/errors.h"

int32_t record_batch_last_sequence(const struct record_batch *batch) {
    if (batch->base_sequence < 0) {
        return -1;
    }
    int64_t last = (int64_t)batch->base_sequence + (batch->last_offset - batch->base_offset);
    return (int32_t)(last > INT32_MAX ? last - INT32_MAX - 1 : last);
}

static int decode_message(const uint8_t *at, size_t available, int32_t length, struct record_batch *ret) {
    int8_t magic = ret->magic;
    if (length < (magic == 0 ? MESSAGE_V0_SIZE_MIN : MESSAGE_V1_SIZE_MIN)) {
        return ERR_CORRUPT;
    }
    if (available < (size_t)(magic == 0 ? MESSAGE_AT_TIMESTAMP : MESSAGE_AT_TIMESTAMP + 8)) {
        return ERR_OUT_OF_RANGE;
    }
    ret->last_offset = ret->base_offset;
    ret->leader_epoch = -1;
    ret->crc = load_u32(at + MESSAGE_AT_CRC);
    ret->attributes = at[MESSAGE_AT_ATTRIBUTES];
    ret->base_timestamp = magic == 0 ? -1 : load_i64(at + MESSAGE_AT_TIMESTAMP);
    ret->max_timestamp = ret->base_timestamp;
    ret->producer_id = -1;
    ret->producer_epoch = -1;
    ret->base_sequence = -1;
    ret->record_count = -1;
    ret->attributes &= BATCH_CODEC_MASK | BATCH_LOG_APPEND_TIME;
    ret->codec = (uint8_t)(ret->attributes & BATCH_CODEC_MASK);
    return 0;
}

int record_batch_decode(const uint8_t *at, size_t available, struct record_batch *ret) {
    if (available < BATCH_AT_MAGIC + 1) {
        return ERR_OUT_OF_RANGE;
    }
    int32_t length = load_i32(at + BATCH_AT_LENGTH);
    ret->base_offset = load_i64(at + BATCH_AT_BASE_OFFSET);
    ret->magic = (int8_t)at[BATCH_AT_MAGIC];
    if (length < MESSAGE_V0_SIZE_MIN || length > INT32_MAX - BATCH_OVERHEAD || ret->base_offset < 0) {
        return ERR_CORRUPT;
    }
    ret->size = length + BATCH_OVERHEAD;
    if (ret->magic == 0 || ret->magic == 1) {
        return decode_message(at, available, length, ret);
    }
    if (ret->magic != 2 || ret->size < BATCH_HEADER_SIZE) {
        return ERR_CORRUPT;
    }
    if (available < BATCH_HEADER_SIZE) {
        return ERR_OUT_OF_RANGE;
    }
    ret->leader_epoch = load_i32(at + BATCH_AT_LEADER_EPOCH);
    ret->crc = load_u32(at + BATCH_AT_CRC);
    ret->attributes = load_u16(at + BATCH_AT_ATTRIBUTES);
    ret->codec = (uint8_t)(ret->attributes & BATCH_CODEC_MASK);
    ret->last_offset = (int64_t)((uint64_t)ret->base_offset + (uint64_t)load_i32(at + BATCH_AT_LAST_OFFSET_DELTA));
    ret->base_timestamp = load_i64(at + BATCH_AT_BASE_TIMESTAMP);
    ret->max_timestamp = load_i64(at + BATCH_AT_MAX_TIMESTAMP);
    ret->producer_id = load_i64(at + BATCH_AT_PRODUCER_ID);
    ret->producer_epoch = load_i16(at + BATCH_AT_PRODUCER_EPOCH);
    ret->base_sequence = load_i32(at + BATCH_AT_BASE_SEQUENCE);
    ret->record_count = load_i32(at + BATCH_AT_RECORD_COUNT);
    return 0;
}

bool record_batch_crc_is_valid(struct slice batch, const struct record_batch *header) {
    if (header->magic == 2) {
        return crc32c(0, batch.data + BATCH_AT_ATTRIBUTES, (size_t)header->size - BATCH_AT_ATTRIBUTES) == header->crc;
    }
    return (uint32_t)crc32(0, batch.data + BATCH_AT_MAGIC, (uInt)(header->size - BATCH_AT_MAGIC)) == header->crc;
}

void record_batch_update_crc(uint8_t *batch, int32_t size) {
    store_u32(batch + BATCH_AT_CRC, crc32c(0, batch + BATCH_AT_ATTRIBUTES, (size_t)size - BATCH_AT_ATTRIBUTES));
}

struct record_workspace *record_workspace_create(void) {
    struct record_workspace *workspace = xcalloc(1, sizeof *workspace);
    workspace->compression = compression_create();
    return workspace;
}

void record_workspace_destroy(struct record_workspace *workspace) {
    if (workspace != NULL) {
        compression_destroy(workspace->compression);
        byte_buffer_deinit(&workspace->unpacked);
        byte_buffer_deinit(&workspace->records);
        byte_buffer_deinit(&workspace->converted);
        free(workspace);
    }
}

static struct slice batch_body(struct slice batch, const struct record_batch *header) {
    return (struct slice){batch.data + BATCH_HEADER_SIZE, header->size - BATCH_HEADER_SIZE};
}

void record_iterator_begin_memory(struct record_iterator *iterator, struct slice records, int32_t count) {
    *iterator = (struct record_iterator){
        .at = records.data, .end = records.data + records.size, .window_begin = records.data, .left = count};
}

void record_iterator_begin(struct record_iterator *iterator, struct record_workspace *workspace, struct slice batch,
                           const struct record_batch *header) {
    CHECK(header->magic == 2);
    record_iterator_begin_memory(iterator, batch_body(batch, header), header->record_count);
    if (header->codec == CODEC_NONE) {
        return;
    }
    iterator->at = iterator->end = iterator->window_begin = workspace->window;
    iterator->workspace = workspace;
    iterator->error = header->codec >= CODEC_COUNT
                          ? ERR_CORRUPT
                          : decompress_begin(workspace->compression, (enum compression_codec)header->codec,
                                             batch_body(batch, header));
}

/* True when at least one byte can be read. */
static bool iterator_refill(struct record_iterator *it) {
    if (it->at < it->end) {
        return true;
    }
    if (it->workspace == NULL || it->error != 0) {
        return false;
    }
    it->consumed += it->end - it->window_begin;
    it->at = it->end = it->window_begin;
    if (it->consumed > (int64_t)BATCH_UNPACKED_MAX) {
        it->error = ERR_TOO_LARGE;
        return false;
    }
    int64_t got = decompress_read(it->workspace->compression, it->workspace->window, sizeof it->workspace->window);
    if (got < 0) {
        it->error = (int)got;
        return false;
    }
    it->end = it->window_begin + got;
    return got > 0;
}

static int64_t iterator_position(const struct record_iterator *it) {
    return it->consumed + (it->at - it->window_begin);
}

/* The sticky error of malformed records; an error of the decompressor came first and stays. */
static void iterator_fail(struct record_iterator *it) {
    it->error = it->error == 0 ? ERR_INVALID : it->error;
}

static uint8_t iterator_byte(struct record_iterator *it) {
    if (it->at == it->end && !iterator_refill(it)) {
        iterator_fail(it);
        return 0;
    }
    return *it->at++;
}

static int64_t iterator_varlong_slow(struct record_iterator *it, int bits) {
    uint64_t value = 0;
    for (int shift = 0; shift < bits; shift += 7) {
        uint8_t byte = iterator_byte(it);
        value |= (uint64_t)(byte & 0x7fU) << shift;
        if ((byte & 0x80U) == 0) {
            return (int64_t)(value >> 1 ^ (0U - (value & 1U)));
        }
    }
    iterator_fail(it);
    return 0;
}

/* One byte or two, as most are, without more ado. */
static inline int64_t iterator_varlong(struct record_iterator *it, int bits) {
    const uint8_t *at = it->at;
    if (it->end - at < 2 || (at[0] & at[1] & 0x80U) != 0) {
        return iterator_varlong_slow(it, bits);
    }
    bool is_long = (at[0] & 0x80U) != 0;
    uint32_t value = is_long ? (at[0] & 0x7fU) | (uint32_t)at[1] << 7 : at[0];
    it->at = at + (is_long ? 2 : 1);
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1U);
}

static inline int32_t iterator_varint(struct record_iterator *it) {
    int64_t value = iterator_varlong(it, 35);
    if (value < INT32_MIN || value > INT32_MAX) {
        iterator_fail(it);
        return 0;
    }
    return (int32_t)value;
}

/* Passes over `size` bytes; returns where they are when they lie in memory. */
static const uint8_t *iterator_skip(struct record_iterator *it, int64_t size) {
    if (it->workspace == NULL) {
        if (size > it->end - it->at) {
            iterator_fail(it);
            return NULL;
        }
        const uint8_t *from = it->at;
        it->at += size;
        return from;
    }
    while (size > 0) {
        if (!iterator_refill(it)) {
            iterator_fail(it);
            return NULL;
        }
        int64_t step = MIN(size, (int64_t)(it->end - it->at));
        it->at += step;
        size -= step;
    }
    return NULL;
}

/* A length field and its bytes, which must end before `end`. */
static inline const uint8_t *iterator_field(struct record_iterator *it, int64_t end, bool may_be_null,
                                            int32_t *ret_size) {
    *ret_size = iterator_varint(it);
    if (*ret_size < (may_be_null ? -1 : 0) || *ret_size > end - iterator_position(it)) {
        iterator_fail(it);
        return NULL;
    }
    return *ret_size > 0 ? iterator_skip(it, *ret_size) : it->at;
}

int record_iterator_next(struct record_iterator *it, struct record_view *ret) {
    if (it->error != 0) {
        return it->error;
    }
    if (it->left <= 0) {
        bool has_more = iterator_refill(it);
        if (it->error == 0 && (has_more || it->left < 0)) {
            it->error = ERR_INVALID;
        }
        return it->error;
    }
    it->left--;
    int32_t size = iterator_varint(it);
    int64_t end = iterator_position(it) + size;
    if (size < 0 || (it->workspace == NULL && size > it->end - it->at)) {
        iterator_fail(it);
    }
    (void)iterator_byte(it); /* attributes: unused, any value passes as it does in Kafka */
    ret->timestamp_delta = iterator_varlong(it, 70);
    ret->offset_delta = iterator_varint(it);
    ret->key = iterator_field(it, end, true, &ret->key_size);
    ret->value = iterator_field(it, end, true, &ret->value_size);
    ret->header_count = iterator_varint(it);
    ret->headers = it->at;
    if (it->error == 0 && (ret->header_count < 0 || ret->header_count > end - iterator_position(it))) {
        iterator_fail(it);
    }
    for (int32_t i = 0; i < ret->header_count && it->error == 0; i++) {
        int32_t ignored;
        iterator_field(it, end, false, &ignored);
        iterator_field(it, end, true, &ignored);
    }
    ret->headers_end = it->at;
    if (it->error == 0 && iterator_position(it) != end) {
        iterator_fail(it);
    }
    return it->error == 0 ? 1 : it->error;
}

void record_iterator_skip(struct record_iterator *it) {
    CHECK(it->workspace == NULL && it->left > 0);
    it->left--;
    int32_t size = iterator_varint(it);
    iterator_skip(it, size);
    CHECK(it->error == 0);
}

static void refuse(struct record_verdict *verdict, int16_t error_code, const char *message) {
    verdict->error_code = error_code;
    verdict->message = message;
}

static void validate_header(const struct record_batch *header, const struct record_rules *rules,
                            struct record_verdict *verdict) {
    if (header->codec >= CODEC_COUNT) {
        refuse(verdict, KAFKA_UNKNOWN_SERVER_ERROR, "Unknown compression type id");
    } else if (header->record_count < 0) {
        refuse(verdict, KAFKA_INVALID_RECORD, "Found invalid record count in record batch");
    } else if (!rules->from_client) {
        return;
    } else if (header->last_offset < header->base_offset) {
        refuse(verdict, KAFKA_INVALID_RECORD, "Batch has an invalid offset range");
    } else if (header->record_count == 0) {
        refuse(verdict, KAFKA_INVALID_RECORD, "Invalid reported count for record batch: 0");
    } else if (header->last_offset - header->base_offset + 1 != header->record_count) {
        refuse(verdict, KAFKA_INVALID_RECORD, "Inconsistent batch offset range and count of records");
    } else if (record_batch_is_control(header)) {
        refuse(verdict, KAFKA_INVALID_RECORD, "Clients are not allowed to write control records");
    } else if (header->producer_id >= 0 && header->base_sequence < 0) {
        refuse(verdict, KAFKA_INVALID_RECORD, "Invalid sequence number in record batch with a producer id");
    }
}

/* Kafka looks at every record before it answers and lets a bad timestamp win over a missing key; so does this. */
static void validate_record(const struct record_batch *header, const struct record_view *record, int32_t index,
                            int64_t timestamp, const struct record_rules *rules, struct record_verdict *verdict) {
    if (rules->is_compacted && record->key_size < 0) {
        if (verdict->error_code == 0) {
            refuse(verdict, KAFKA_INVALID_RECORD, "One or more records have been rejected due to record errors");
            verdict->record_index = index;
            verdict->record_message = "Compacted topic cannot accept message without key";
        }
        return;
    }
    const char *fault = NULL;
    if (!rules->log_append_time && timestamp != -1) {
        int64_t age_ms = (int64_t)((uint64_t)rules->wall_ms - (uint64_t)timestamp);
        if (age_ms > rules->timestamp_before_max_ms ||
            (int64_t)(0U - (uint64_t)age_ms) > rules->timestamp_after_max_ms) {
            fault = "Timestamp of message is out of range";
        }
    } else if ((header->attributes & BATCH_LOG_APPEND_TIME) != 0) {
        fault = "Producer should not set timestamp type to LogAppendTime";
    }
    if (fault != NULL && verdict->error_code != KAFKA_INVALID_TIMESTAMP) {
        refuse(verdict, KAFKA_INVALID_TIMESTAMP, "One or more records have been rejected due to invalid timestamp");
        verdict->record_index = index;
        verdict->record_message = fault;
    }
}

static void refuse_bytes(struct record_verdict *verdict, int error) {
    verdict->record_index = -1;
    verdict->record_message = NULL;
    switch (error) {
    case ERR_TOO_LARGE:
        refuse(verdict, KAFKA_MESSAGE_TOO_LARGE, "The batch unpacks to more than the broker allows");
        return;
    case ERR_CORRUPT: refuse(verdict, KAFKA_UNKNOWN_SERVER_ERROR, "Failed to decompress record stream"); return;
    default: refuse(verdict, KAFKA_INVALID_RECORD, "Found invalid record structure"); return;
    }
}

void record_batch_validate(struct slice batch, const struct record_batch *header, const struct record_rules *rules,
                           struct record_workspace *workspace, struct record_verdict *ret_verdict) {
    *ret_verdict = (struct record_verdict){.record_index = -1, .max_timestamp = -1};
    validate_header(header, rules, ret_verdict);
    if (ret_verdict->error_code != 0) {
        return;
    }
    bool append_time = (header->attributes & BATCH_LOG_APPEND_TIME) != 0;
    struct record_iterator iterator;
    struct record_view record;
    record_iterator_begin(&iterator, workspace, batch, header);
    int32_t index = 0;
    int more;
    while ((more = record_iterator_next(&iterator, &record)) > 0) {
        int64_t timestamp = append_time
                                ? header->max_timestamp
                                : (int64_t)((uint64_t)header->base_timestamp + (uint64_t)record.timestamp_delta);
        validate_record(header, &record, index, timestamp, rules, ret_verdict);
        ret_verdict->max_timestamp = MAX(ret_verdict->max_timestamp, timestamp);
        ret_verdict->has_foreign_offsets |= record.offset_delta != index;
        index++;
    }
    if (more < 0) {
        refuse_bytes(ret_verdict, more);
    }
}

int record_batch_unpack(struct slice batch, const struct record_batch *header, struct record_workspace *workspace) {
    workspace->unpacked.size = 0;
    if (header->codec >= CODEC_COUNT) {
        return ERR_CORRUPT;
    }
    return decompress_all(workspace->compression, (enum compression_codec)header->codec, batch_body(batch, header),
                          BATCH_UNPACKED_MAX, &workspace->unpacked);
}

static void append_varint(struct byte_buffer *buffer, int64_t value) {
    struct writer w = writer_of(byte_buffer_reserve(buffer, 10), 10);
    writer_varlong(&w, value);
    buffer->size += writer_size(&w);
}

void record_append(struct byte_buffer *to, const struct record_view *record, int64_t timestamp_delta,
                   int32_t offset_delta) {
    size_t headers_size = (size_t)(record->headers_end - record->headers);
    size_t size = 1 + varlong_size(timestamp_delta) + varint_size(offset_delta) + varint_size(record->key_size) +
                  (size_t)MAX(record->key_size, 0) + varint_size(record->value_size) +
                  (size_t)MAX(record->value_size, 0) + varint_size(record->header_count) + headers_size;
    append_varint(to, (int64_t)size);
    byte_buffer_append(to, "", 1);
    append_varint(to, timestamp_delta);
    append_varint(to, offset_delta);
    append_varint(to, record->key_size);
    byte_buffer_append(to, record->key, (size_t)MAX(record->key_size, 0));
    append_varint(to, record->value_size);
    byte_buffer_append(to, record->value, (size_t)MAX(record->value_size, 0));
    append_varint(to, record->header_count);
    byte_buffer_append(to, record->headers, headers_size);
}

/* Copies the unpacked records behind themselves with offsets 0, 1, 2...; returns where the copies begin. */
static int renumber_records(struct record_workspace *workspace, int32_t count, size_t *ret_begin) {
    struct byte_buffer *bytes = &workspace->unpacked;
    size_t old_size = bytes->size;
    /* An offset takes at most five bytes, the record's length may grow by as many. */
    byte_buffer_reserve(bytes, old_size + (size_t)count * 10 + 64);
    struct record_iterator iterator;
    struct record_view record;
    record_iterator_begin_memory(&iterator, (struct slice){bytes->data, (int32_t)old_size}, count);
    *ret_begin = old_size;
    int more;
    for (int32_t i = 0; (more = record_iterator_next(&iterator, &record)) > 0; i++) {
        record_append(bytes, &record, record.timestamp_delta, i);
    }
    return more;
}

int record_batch_recode(struct slice batch, const struct record_batch *header, enum compression_codec codec,
                        bool renumber, struct record_workspace *workspace) {
    size_t begin = 0;
    int error = record_batch_unpack(batch, header, workspace);
    if (error == 0 && renumber) {
        error = renumber_records(workspace, header->record_count, &begin);
    }
    if (error != 0) {
        return error;
    }
    struct byte_buffer *out = &workspace->converted;
    out->size = 0;
    byte_buffer_append(out, batch.data, BATCH_HEADER_SIZE);
    struct slice records = {workspace->unpacked.data + begin, (int32_t)(workspace->unpacked.size - begin)};
    compress_all(workspace->compression, codec, records, out);
    if (out->size > INT32_MAX) {
        return ERR_TOO_LARGE;
    }
    store_i32(out->data + BATCH_AT_LENGTH, (int32_t)out->size - BATCH_OVERHEAD);
    store_u16(out->data + BATCH_AT_ATTRIBUTES,
              (uint16_t)((header->attributes & ~(unsigned)BATCH_CODEC_MASK) | (unsigned)codec));
    record_batch_update_crc(out->data, (int32_t)out->size);
    return 0;
}

int record_batch_marker(struct slice batch, const struct record_batch *header, struct end_transaction_marker *ret) {
    if (header->magic != 2 || !record_batch_is_control(header) || header->record_count <= 0 ||
        header->codec != CODEC_NONE) {
        return ERR_NOT_FOUND;
    }
    struct record_iterator iterator;
    struct record_view record;
    record_iterator_begin(&iterator, NULL, batch, header);
    if (record_iterator_next(&iterator, &record) <= 0 || record.key_size < 4) {
        return ERR_INVALID;
    }
    int16_t type = load_i16(record.key + 2);
    if (type != 0 && type != 1) {
        return ERR_NOT_FOUND;
    }
    /* int16 version, int32 coordinator epoch; later versions may add to it. */
    if (record.value_size < 6) {
        return ERR_INVALID;
    }
    ret->is_commit = type == 1;
    ret->coordinator_epoch = load_i32(record.value + 2);
    return 0;
}
