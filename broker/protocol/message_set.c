/* Both directions between message sets and record batches. */
#include "broker/protocol/message_set.h"

#include <zlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/errors.h"

#define MESSAGE_KEY_AT(magic) ((magic) == 0 ? MESSAGE_AT_TIMESTAMP : MESSAGE_AT_TIMESTAMP + 8)

/* One message, taken apart. Sizes of -1 are null. */
struct message {
    struct record_batch header;
    struct slice key;
    struct slice value;
};

static struct slice read_bytes(struct reader *r) {
    int32_t size = reader_i32(r);
    if (size < -1) {
        reader_fail(r);
    }
    const uint8_t *data = size > 0 ? reader_take(r, (size_t)size) : NULL;
    return (struct slice){data, size};
}

/* Takes the message at the front of `bytes`: 0, ERR_OUT_OF_RANGE when it is cut off, ERR_CORRUPT. */
static int read_message(struct slice bytes, struct message *ret) {
    int error = record_batch_decode(bytes.data, (size_t)MAX(bytes.size, 0), &ret->header);
    if (error != 0) {
        return error;
    }
    if (ret->header.size > bytes.size) {
        return ERR_OUT_OF_RANGE;
    }
    if (ret->header.magic > 1 || !record_batch_crc_is_valid(bytes, &ret->header)) {
        return ERR_CORRUPT;
    }
    size_t key_at = MESSAGE_KEY_AT(ret->header.magic);
    struct reader r = reader_of(bytes.data + key_at, (size_t)ret->header.size - key_at);
    ret->key = read_bytes(&r);
    ret->value = read_bytes(&r);
    return r.failed || reader_left(&r) > 0 ? ERR_CORRUPT : 0;
}

/* Records of a batch being built, in workspace->records. */
struct batch_builder {
    struct byte_buffer *records;
    int32_t count;
    int64_t base_timestamp;
    int64_t max_timestamp;
};

static void put_varlong(struct byte_buffer *buffer, int64_t value) {
    struct writer w = writer_of(byte_buffer_reserve(buffer, 10), 10);
    writer_varlong(&w, value);
    buffer->size += writer_size(&w);
}

static void put_bytes(struct byte_buffer *buffer, struct slice bytes) {
    put_varlong(buffer, bytes.size);
    byte_buffer_append(buffer, bytes.data, (size_t)MAX(bytes.size, 0));
}

static void builder_add(struct batch_builder *builder, const struct message *message) {
    int64_t timestamp = message->header.max_timestamp;
    if (builder->count == 0) {
        builder->base_timestamp = timestamp;
    }
    builder->max_timestamp = MAX(builder->max_timestamp, timestamp);
    int64_t delta = (int64_t)((uint64_t)timestamp - (uint64_t)builder->base_timestamp);
    int32_t key_size = message->key.size;
    int32_t value_size = message->value.size;
    size_t size = 2 + varlong_size(delta) + varint_size(builder->count) + varint_size(key_size) +
                  (size_t)MAX(key_size, 0) + varint_size(value_size) + (size_t)MAX(value_size, 0);
    put_varlong(builder->records, (int64_t)size);
    byte_buffer_append(builder->records, "", 1);
    put_varlong(builder->records, delta);
    put_varlong(builder->records, builder->count);
    put_bytes(builder->records, message->key);
    put_bytes(builder->records, message->value);
    put_varlong(builder->records, 0);
    builder->count++;
}

static void builder_finish(const struct batch_builder *builder, enum compression_codec codec,
                           struct record_workspace *workspace) {
    struct byte_buffer *out = &workspace->converted;
    out->size = 0;
    uint8_t *header = byte_buffer_reserve(out, BATCH_HEADER_SIZE);
    memset(header, 0, BATCH_HEADER_SIZE);
    out->size = BATCH_HEADER_SIZE;
    struct slice records = {builder->records->data, (int32_t)builder->records->size};
    compress_all(workspace->compression, codec, records, out);
    header = out->data;
    store_i32(header + BATCH_AT_LENGTH, (int32_t)out->size - BATCH_OVERHEAD);
    store_i32(header + BATCH_AT_LEADER_EPOCH, -1);
    header[BATCH_AT_MAGIC] = 2;
    store_u16(header + BATCH_AT_ATTRIBUTES, (uint16_t)codec);
    store_i32(header + BATCH_AT_LAST_OFFSET_DELTA, builder->count - 1);
    store_i64(header + BATCH_AT_BASE_TIMESTAMP, builder->base_timestamp);
    store_i64(header + BATCH_AT_MAX_TIMESTAMP, builder->max_timestamp);
    store_i64(header + BATCH_AT_PRODUCER_ID, -1);
    store_i16(header + BATCH_AT_PRODUCER_EPOCH, -1);
    store_i32(header + BATCH_AT_BASE_SEQUENCE, -1);
    store_i32(header + BATCH_AT_RECORD_COUNT, builder->count);
    record_batch_update_crc(header, (int32_t)out->size);
}

static void refuse(struct message_set_verdict *verdict, int16_t error_code, const char *message) {
    verdict->error_code = error_code;
    verdict->message = message;
}

/* Adds the messages inside a compressed wrapper. */
static bool add_inner(struct batch_builder *builder, const struct message *wrapper, struct record_workspace *workspace,
                      struct message_set_verdict *verdict) {
    workspace->unpacked.size = 0;
    int error = wrapper->header.codec >= CODEC_ZSTD || wrapper->value.size <= 0
                    ? ERR_CORRUPT
                    : decompress_all(workspace->compression, (enum compression_codec)wrapper->header.codec,
                                     wrapper->value, BATCH_UNPACKED_MAX, &workspace->unpacked);
    if (error != 0) {
        refuse(verdict, error == ERR_TOO_LARGE ? KAFKA_MESSAGE_TOO_LARGE : KAFKA_UNKNOWN_SERVER_ERROR,
               "Failed to decompress the message set");
        return false;
    }
    struct slice rest = {workspace->unpacked.data, (int32_t)workspace->unpacked.size};
    while (rest.size > 0) {
        struct message inner;
        if (read_message(rest, &inner) != 0) {
            refuse(verdict, KAFKA_CORRUPT_MESSAGE, "Invalid message inside a compressed message set");
            return false;
        }
        if (inner.header.magic != wrapper->header.magic || inner.header.codec != CODEC_NONE) {
            refuse(verdict, KAFKA_INVALID_RECORD, "Compressed outer record has an unexpected inner record");
            return false;
        }
        builder_add(builder, &inner);
        rest.data += inner.header.size;
        rest.size -= inner.header.size;
    }
    return true;
}

static bool add_messages(struct batch_builder *builder, struct slice rest, int32_t message_size_max,
                         struct record_workspace *workspace, enum compression_codec *ret_codec,
                         struct message_set_verdict *verdict) {
    int8_t magic = -1;
    while (rest.size > 0) {
        struct message message;
        int error = read_message(rest, &message);
        if (error == ERR_OUT_OF_RANGE) {
            break; /* cut off: dropped, as Kafka does */
        }
        if (error != 0) {
            refuse(verdict, KAFKA_CORRUPT_MESSAGE, "Record is corrupt");
        } else if (message.header.size > message_size_max) {
            refuse(verdict, KAFKA_MESSAGE_TOO_LARGE, "The message exceeds the maximum configured size");
        } else if ((magic >= 0 && message.header.magic != magic) || *ret_codec != CODEC_NONE ||
                   (builder->count > 0 && message.header.codec != CODEC_NONE)) {
            refuse(verdict, KAFKA_INVALID_RECORD, "Compressed outer record has more than one batch");
        } else if (message.header.codec != CODEC_NONE) {
            *ret_codec = (enum compression_codec)message.header.codec;
            add_inner(builder, &message, workspace, verdict);
        } else {
            builder_add(builder, &message);
        }
        if (verdict->error_code != 0) {
            return false;
        }
        magic = message.header.magic;
        rest.data += message.header.size;
        rest.size -= message.header.size;
    }
    return true;
}

void message_set_up_convert(struct slice messages, int32_t message_size_max, struct record_workspace *workspace,
                            struct message_set_verdict *ret_verdict) {
    *ret_verdict = (struct message_set_verdict){0};
    workspace->records.size = 0;
    struct batch_builder builder = {.records = &workspace->records, .base_timestamp = -1, .max_timestamp = -1};
    enum compression_codec codec = CODEC_NONE;
    if (!add_messages(&builder, messages, message_size_max, workspace, &codec, ret_verdict)) {
        return;
    }
    if (builder.count == 0) {
        refuse(ret_verdict, KAFKA_INVALID_RECORD, "Record batch has no batches at all");
        return;
    }
    builder_finish(&builder, codec, workspace);
}

/* Appends one message of an old format. */
static void put_message(struct byte_buffer *out, int8_t magic, int64_t offset, uint8_t attributes, int64_t timestamp,
                        struct slice key, struct slice value) {
    size_t size = (size_t)MESSAGE_KEY_AT(magic) + 8 + (size_t)MAX(key.size, 0) + (size_t)MAX(value.size, 0);
    uint8_t *begin = byte_buffer_reserve(out, size);
    struct writer w = writer_of(begin, size);
    writer_i64(&w, offset);
    writer_i32(&w, (int32_t)size - BATCH_OVERHEAD);
    writer_i32(&w, 0);
    writer_i8(&w, magic);
    writer_i8(&w, (int8_t)attributes);
    if (magic == 1) {
        writer_i64(&w, timestamp);
    }
    writer_i32(&w, key.size);
    writer_bytes(&w, key.data, (size_t)MAX(key.size, 0));
    writer_i32(&w, value.size);
    writer_bytes(&w, value.data, (size_t)MAX(value.size, 0));
    CHECK(!w.failed && writer_size(&w) == size);
    store_u32(begin + MESSAGE_AT_CRC, (uint32_t)crc32(0, begin + BATCH_AT_MAGIC, (uInt)(size - BATCH_AT_MAGIC)));
    out->size += size;
}

struct down_conversion {
    int8_t magic;
    int64_t first_offset;
    struct record_workspace *workspace;
    struct byte_buffer *out;
};

/* The records of one batch as messages in `out`; inner messages of a wrapper have relative offsets in magic 1. */
static int16_t put_records(const struct down_conversion *down, const struct record_batch *batch, bool is_inner,
                           struct byte_buffer *out, int64_t *ret_last_offset) {
    const struct byte_buffer *unpacked = &down->workspace->unpacked;
    struct record_iterator iterator;
    struct record_view record;
    struct slice records = {unpacked->data, (int32_t)unpacked->size};
    bool append_time = (batch->attributes & BATCH_LOG_APPEND_TIME) != 0;
    uint8_t attributes = append_time && down->magic == 1 ? BATCH_LOG_APPEND_TIME : 0;
    int64_t base = -1;
    int more;
    *ret_last_offset = -1;
    record_iterator_begin_memory(&iterator, records, batch->record_count);
    while ((more = record_iterator_next(&iterator, &record)) > 0) {
        int64_t offset = batch->base_offset + record.offset_delta;
        int64_t timestamp = append_time ? batch->max_timestamp
                                        : (int64_t)((uint64_t)batch->base_timestamp + (uint64_t)record.timestamp_delta);
        if (!is_inner && offset < down->first_offset) {
            continue;
        }
        base = base < 0 ? offset : base;
        put_message(out, down->magic, is_inner && down->magic == 1 ? offset - base : offset, attributes, timestamp,
                    (struct slice){record.key, record.key_size}, (struct slice){record.value, record.value_size});
        *ret_last_offset = offset;
    }
    return more == 0 ? KAFKA_NONE : KAFKA_CORRUPT_MESSAGE;
}

static int16_t convert_batch(const struct down_conversion *down, const struct record_batch *batch, struct slice bytes) {
    struct record_workspace *workspace = down->workspace;
    int64_t last_offset;
    if (record_batch_is_control(batch)) {
        return KAFKA_NONE;
    }
    if (batch->codec == CODEC_ZSTD) {
        return KAFKA_UNSUPPORTED_COMPRESSION_TYPE;
    }
    if (record_batch_unpack(bytes, batch, workspace) != 0 || workspace->unpacked.size > INT32_MAX) {
        return KAFKA_CORRUPT_MESSAGE;
    }
    /* Clients of magic 0 expect lz4 frames with a wrong header checksum; they get plain messages instead. */
    if (batch->codec == CODEC_NONE || (batch->codec == CODEC_LZ4 && down->magic == 0)) {
        return put_records(down, batch, false, down->out, &last_offset);
    }
    workspace->records.size = 0;
    int16_t error = put_records(down, batch, true, &workspace->records, &last_offset);
    if (error != KAFKA_NONE || last_offset < 0) {
        return error;
    }
    struct byte_buffer packed = {0};
    compress_all(workspace->compression, (enum compression_codec)batch->codec,
                 (struct slice){workspace->records.data, (int32_t)workspace->records.size}, &packed);
    uint8_t time_bit = down->magic == 1 ? (uint8_t)(batch->attributes & BATCH_LOG_APPEND_TIME) : 0;
    put_message(down->out, down->magic, last_offset, (uint8_t)(batch->codec | time_bit), batch->max_timestamp,
                SLICE_NULL, (struct slice){packed.data, (int32_t)packed.size});
    byte_buffer_deinit(&packed);
    return KAFKA_NONE;
}

/* A message of magic 1 as one of magic 0: the timestamp goes. A compressed one cannot be taken apart in place. */
static int16_t convert_message(const struct down_conversion *down, struct slice bytes) {
    struct message message;
    if (read_message(bytes, &message) != 0) {
        return KAFKA_CORRUPT_MESSAGE;
    }
    if (message.header.codec != CODEC_NONE) {
        return KAFKA_UNSUPPORTED_COMPRESSION_TYPE;
    }
    if (message.header.base_offset >= down->first_offset) {
        put_message(down->out, 0, message.header.base_offset, 0, -1, message.key, message.value);
    }
    return KAFKA_NONE;
}

int16_t record_batch_down_convert(struct slice batches, int8_t to_magic, int64_t first_offset, struct arena *arena,
                                  struct record_workspace *workspace, struct records *ret_records) {
    struct down_conversion down = {
        .magic = to_magic, .first_offset = first_offset, .workspace = workspace, .out = &workspace->converted};
    CHECK(to_magic == 0 || to_magic == 1);
    workspace->converted.size = 0;
    *ret_records = (struct records){0};
    while (batches.size > 0) {
        struct record_batch header;
        int error = record_batch_decode(batches.data, (size_t)batches.size, &header);
        if (error == ERR_OUT_OF_RANGE || (error == 0 && header.size > batches.size)) {
            break;
        }
        int16_t code = error != 0                ? KAFKA_CORRUPT_MESSAGE
                       : header.magic == 2       ? convert_batch(&down, &header, batches)
                       : header.magic > to_magic ? convert_message(&down, batches)
                                                 : KAFKA_NONE;
        if (code != KAFKA_NONE) {
            return code;
        }
        if (header.magic <= to_magic) {
            byte_buffer_append(down.out, batches.data, (size_t)header.size);
        }
        batches.data += header.size;
        batches.size -= header.size;
    }
    if (down.out->size > INT32_MAX) {
        return KAFKA_MESSAGE_TOO_LARGE;
    }
    uint8_t *copy = arena_try_alloc(arena, down.out->size + 1);
    if (copy == NULL) {
        return KAFKA_MESSAGE_TOO_LARGE;
    }
    if (down.out->size > 0) {
        memcpy(copy, down.out->data, down.out->size);
    }
    *ret_records = (struct records){.size = (int32_t)down.out->size, .data = copy};
    return KAFKA_NONE;
}
