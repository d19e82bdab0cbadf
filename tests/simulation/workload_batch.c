/* See workload_batch.h. */
#include "tests/simulation/workload_batch.h"

#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/record_batch.h"

#define VALUE_BYTES WORKLOAD_VALUE_BYTES

static uint8_t *put_varint(uint8_t *to, int32_t value) {
    uint32_t bits = (uint32_t)value << 1 ^ (value < 0 ? UINT32_MAX : 0);
    while (bits >= 0x80) {
        *to++ = (uint8_t)(bits | 0x80);
        bits >>= 7;
    }
    *to++ = (uint8_t)bits;
    return to;
}

/* Neither key nor kind must follow the number's order. */
static uint32_t scatter(struct value value) {
    uint64_t x = (uint64_t)value.number * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)value.producer * 7919 +
                 (uint64_t)value.partition * 104729;
    x ^= x >> 29;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    return (uint32_t)(x >> 32);
}

int32_t workload_key(struct value value, int32_t key_count) {
    return (int32_t)(scatter(value) % (uint32_t)key_count);
}

bool workload_is_tombstone(struct value value) {
    return scatter(value) >> 16 & 1;
}

static uint8_t *put_value(uint8_t *at, const struct value *first, int32_t i) {
    store_i32(at, first->producer);
    store_i16(at + 4, (int16_t)first->topic);
    store_i16(at + 6, (int16_t)first->partition);
    store_i64(at + 8, first->number + i);
    return at + VALUE_BYTES;
}

/* A tombstone says in a header who it is. */
static uint8_t *put_record(uint8_t *at, const struct workload_batch *batch, int32_t i) {
    struct value value = batch->first;
    value.number += i;
    if (batch->key_count == 0) {
        at = put_varint(at, -1);
    } else {
        at = put_varint(at, 4);
        store_i32(at, workload_key(value, batch->key_count));
        at += 4;
    }
    if (batch->key_count > 0 && workload_is_tombstone(value)) {
        at = put_varint(at, -1);
        at = put_varint(at, 1);
        at = put_varint(at, 1);
        *at++ = 'v';
        at = put_varint(at, VALUE_BYTES);
        return put_value(at, &batch->first, i);
    }
    at = put_varint(at, VALUE_BYTES);
    at = put_value(at, &batch->first, i);
    return put_varint(at, 0); /* no headers */
}

int32_t workload_batch_encode(const struct workload_batch *batch, uint8_t ret_bytes[WORKLOAD_BATCH_MAX]) {
    uint8_t *at = ret_bytes + BATCH_HEADER_SIZE;
    for (int32_t i = 0; i < batch->count; i++) {
        CHECK(at + 64 < ret_bytes + WORKLOAD_BATCH_MAX);
        uint8_t *length = at++; /* one byte suffices */
        *at++ = 0;              /* attributes */
        at = put_varint(at, 0); /* timestamp delta */
        at = put_varint(at, i);
        at = put_record(at, batch, i);
        put_varint(length, (int32_t)(at - length - 1));
    }
    int32_t size = (int32_t)(at - ret_bytes);
    store_i64(ret_bytes + BATCH_AT_BASE_OFFSET, 0);
    store_i32(ret_bytes + BATCH_AT_LENGTH, size - BATCH_OVERHEAD);
    store_i32(ret_bytes + BATCH_AT_LEADER_EPOCH, -1);
    ret_bytes[BATCH_AT_MAGIC] = 2;
    store_i16(ret_bytes + BATCH_AT_ATTRIBUTES, 0);
    store_i32(ret_bytes + BATCH_AT_LAST_OFFSET_DELTA, batch->count - 1);
    store_i64(ret_bytes + BATCH_AT_BASE_TIMESTAMP, batch->timestamp_ms);
    store_i64(ret_bytes + BATCH_AT_MAX_TIMESTAMP, batch->timestamp_ms);
    store_i64(ret_bytes + BATCH_AT_PRODUCER_ID, batch->producer_id);
    store_i16(ret_bytes + BATCH_AT_PRODUCER_EPOCH, batch->producer_epoch);
    store_i32(ret_bytes + BATCH_AT_BASE_SEQUENCE, batch->base_sequence);
    store_i32(ret_bytes + BATCH_AT_RECORD_COUNT, batch->count);
    record_batch_update_crc(ret_bytes, size);
    return size;
}

struct value workload_value(const uint8_t *bytes) {
    return (struct value){load_i32(bytes), load_i16(bytes + 4), load_i16(bytes + 6), load_i64(bytes + 8)};
}

/* NULL: it is none of ours. */
static const uint8_t *value_bytes(const struct record_view *view) {
    if (view->value_size >= 0) {
        return view->value_size == VALUE_BYTES ? view->value : NULL;
    }
    /* The header's name and its value's size take a byte each before the value. */
    ptrdiff_t size = view->headers_end - view->headers;
    return view->header_count == 1 && size >= VALUE_BYTES ? view->headers_end - VALUE_BYTES : NULL;
}

static bool read_records(struct slice bytes, const struct record_batch *batch, int64_t *position,
                         workload_on_record *on_record, void *context) {
    struct slice records = {bytes.data + BATCH_HEADER_SIZE, bytes.size - BATCH_HEADER_SIZE};
    struct record_iterator iterator;
    record_iterator_begin_memory(&iterator, records, batch->record_count);
    struct record_view view;
    int status;
    while ((status = record_iterator_next(&iterator, &view)) == 1) {
        int64_t offset = batch->base_offset + view.offset_delta;
        if (offset < *position) {
            continue; /* the batch begins before what was asked for, which is Kafka's way */
        }
        const uint8_t *bytes_of_value = value_bytes(&view);
        if (bytes_of_value == NULL) {
            return false;
        }
        struct value value = workload_value(bytes_of_value);
        on_record(context, *position, offset, value);
        *position = offset + 1;
    }
    return status == 0;
}

bool workload_batch_read(struct records records, int64_t *position, workload_on_batch *on_batch,
                         workload_on_record *on_record, void *context) {
    struct slice left = {records.data, MAX(records.size, 0)};
    while (left.size > 0) {
        struct record_batch batch;
        int error = record_batch_decode(left.data, (size_t)left.size, &batch);
        if (error != 0 || batch.size > left.size) {
            return error != ERR_CORRUPT;
        }
        struct slice bytes = {left.data, batch.size};
        if (!record_batch_crc_is_valid(bytes, &batch)) {
            return false;
        }
        on_batch(context, &batch);
        if (!read_records(bytes, &batch, position, on_record, context)) {
            return false;
        }
        *position = MAX(*position, batch.last_offset + 1); /* the cleaner may have taken its last records */
        left.data += batch.size;
        left.size -= batch.size;
    }
    return true;
}
