#include "broker/protocol/batch_builder.h"

#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "broker/protocol/record_batch.h"

#define NO_PRODUCER (-1)
#define NO_SEQUENCE (-1)

void batch_builder_begin(struct batch_builder *builder, struct byte_buffer *buffer, int64_t timestamp_ms) {
    *builder = (struct batch_builder){.buffer = buffer, .timestamp_ms = timestamp_ms, .base_sequence = NO_SEQUENCE};
    buffer->size = 0;
    memset(byte_buffer_reserve(buffer, BATCH_HEADER_SIZE), 0, BATCH_HEADER_SIZE);
    buffer->size = BATCH_HEADER_SIZE;
}

static size_t field_size(struct slice field) {
    return varint_size(field.size) + (size_t)MAX(field.size, 0);
}

static void write_field(struct writer *w, struct slice field) {
    writer_varint(w, field.size);
    if (field.size > 0) {
        writer_bytes(w, field.data, (size_t)field.size);
    }
}

void batch_builder_add(struct batch_builder *builder, struct slice key, struct slice value) {
    size_t size =
        1 + varlong_size(0) + varint_size(builder->count) + field_size(key) + field_size(value) + varint_size(0);
    CHECK(size <= INT32_MAX / 2);
    size_t room = size + varint_size((int32_t)size);
    struct writer w = writer_of(byte_buffer_reserve(builder->buffer, room), room);
    writer_varint(&w, (int32_t)size);
    writer_i8(&w, 0); /* attributes */
    writer_varlong(&w, 0);
    writer_varint(&w, builder->count);
    write_field(&w, key);
    write_field(&w, value);
    writer_varint(&w, 0); /* headers */
    CHECK(!w.failed && writer_size(&w) == room);
    builder->buffer->size += room;
    builder->count++;
}

struct slice batch_builder_finish(struct batch_builder *builder) {
    uint8_t *batch = builder->buffer->data;
    CHECK(builder->count > 0 && builder->buffer->size <= INT32_MAX);
    int32_t size = (int32_t)builder->buffer->size;
    store_i64(batch + BATCH_AT_BASE_OFFSET, 0);
    store_i32(batch + BATCH_AT_LENGTH, size - BATCH_OVERHEAD);
    store_i32(batch + BATCH_AT_LEADER_EPOCH, -1);
    batch[BATCH_AT_MAGIC] = 2;
    store_i32(batch + BATCH_AT_LAST_OFFSET_DELTA, builder->count - 1);
    store_i64(batch + BATCH_AT_BASE_TIMESTAMP, builder->timestamp_ms);
    store_i64(batch + BATCH_AT_MAX_TIMESTAMP, builder->timestamp_ms);
    store_i64(batch + BATCH_AT_PRODUCER_ID, NO_PRODUCER);
    store_i16(batch + BATCH_AT_PRODUCER_EPOCH, NO_PRODUCER);
    store_i32(batch + BATCH_AT_BASE_SEQUENCE, builder->base_sequence);
    store_i32(batch + BATCH_AT_RECORD_COUNT, builder->count);
    record_batch_update_crc(batch, size);
    return (struct slice){batch, size};
}
