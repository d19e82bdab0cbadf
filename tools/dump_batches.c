/* Taking batches and records apart, formats 0 to 2. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "broker/base/check.h"
#include "broker/base/crc32c.h"
#include "broker/base/errors.h"
#include "broker/protocol/compression.h"
#include "tools/dump.h"

#define CODEC_MASK 7U
#define FLAG_APPEND_TIME 8U
#define MAGIC_0_HEADER 6  /* of an old message: crc, magic, attributes */
#define MAGIC_1_HEADER 14 /* and a timestamp */

static int fail_file(struct failure *failure, const char *path, int system_errno) {
    return failure_set(failure,
                       system_errno == ENOENT   ? "java.nio.file.NoSuchFileException"
                       : system_errno == EACCES ? "java.nio.file.AccessDeniedException"
                                                : "java.io.IOException",
                       "%s", path);
}

int dump_reader_open(struct dump_reader *reader, const char *path, int64_t begin, int64_t end,
                     struct failure *failure) {
    *reader = (struct dump_reader){.fd = open(path, O_RDONLY | O_CLOEXEC), .position = begin};
    struct stat stat;
    if (reader->fd < 0 || fstat(reader->fd, &stat) != 0) {
        int error = fail_file(failure, path, errno);
        dump_reader_close(reader);
        return error;
    }
    reader->path = xstrdup(path);
    reader->file_size = (int64_t)stat.st_size;
    reader->end = MIN(reader->file_size, end);
    return 0;
}

void dump_reader_close(struct dump_reader *reader) {
    if (reader->fd >= 0) {
        close(reader->fd);
    }
    free(reader->path);
    free(reader->buffer);
    *reader = (struct dump_reader){.fd = -1};
}

static int read_exactly(struct dump_reader *reader, size_t size, struct failure *failure) {
    if (reader->buffer_size < size) {
        reader->buffer = xrealloc(reader->buffer, size);
        reader->buffer_size = size;
    }
    for (size_t have = 0; have < size;) {
        ssize_t got = pread(reader->fd, reader->buffer + have, size - have, (off_t)reader->position + (off_t)have);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return fail_file(failure, reader->path, got < 0 ? errno : EIO);
        }
        have += (size_t)got;
    }
    return 0;
}

static void decode_batch(struct dump_batch *batch) {
    const uint8_t *at = batch->bytes;
    batch->crc = load_u32(at + 17);
    batch->attributes = load_u16(at + 21);
    batch->last_offset = batch->base_offset + load_i32(at + 23);
    batch->base_timestamp = load_i64(at + 27);
    batch->max_timestamp = load_i64(at + 35);
    batch->producer_id = load_i64(at + 43);
    batch->producer_epoch = load_i16(at + 51);
    batch->base_sequence = load_i32(at + 53);
    batch->count = load_i32(at + 57);
    batch->leader_epoch = load_i32(at + 12);
    batch->is_valid = crc32c(0, at + 21, (size_t)batch->size - 21) == batch->crc;
}

static void decode_message(struct dump_batch *batch) {
    const uint8_t *at = batch->bytes;
    batch->crc = load_u32(at + 12);
    batch->attributes = at[17];
    batch->last_offset = batch->base_offset;
    batch->max_timestamp = batch->magic == 1 ? load_i64(at + 18) : -1;
    batch->producer_id = -1;
    batch->producer_epoch = -1;
    batch->base_sequence = -1;
    batch->count = -1;
    batch->is_valid = (uint32_t)crc32(0, at + 16, (uInt)batch->size - 16) == batch->crc;
}

int dump_reader_next(struct dump_reader *reader, struct dump_batch *ret_batch, struct failure *failure) {
    if (reader->position >= reader->end - DUMP_UP_TO_MAGIC) {
        return 0;
    }
    int error = read_exactly(reader, DUMP_UP_TO_MAGIC, failure);
    if (error != 0) {
        return error;
    }
    int32_t size = load_i32(reader->buffer + 8);
    int8_t magic = (int8_t)reader->buffer[16];
    if (size < DUMP_RECORD_SIZE_MIN) {
        return failure_set(failure, "CorruptRecordException",
                           "Found record size %d smaller than minimum record overhead (%d) in file %s.", size,
                           DUMP_RECORD_SIZE_MIN, reader->path);
    }
    if (reader->position > reader->end - DUMP_OVERHEAD - size) {
        return 0;
    }
    bool is_short = magic >= 2 ? size + DUMP_OVERHEAD < DUMP_HEADER_SIZE : magic == 1 && size < MAGIC_1_HEADER + 8;
    if (is_short || magic < 0) {
        return failure_set(failure, "CorruptRecordException", "A batch of format %d and size %d cannot be, in file %s.",
                           magic, size, reader->path);
    }
    error = read_exactly(reader, (size_t)size + DUMP_OVERHEAD, failure);
    if (error != 0) {
        return error;
    }
    *ret_batch = (struct dump_batch){
        .position = reader->position,
        .base_offset = load_i64(reader->buffer),
        .size = size + DUMP_OVERHEAD,
        .magic = magic,
        .bytes = reader->buffer,
    };
    if (magic >= 2) {
        decode_batch(ret_batch);
    } else {
        decode_message(ret_batch);
    }
    reader->position += ret_batch->size;
    return 1;
}

const char *dump_timestamp_type(const struct dump_batch *batch) {
    if (batch->magic == 0) {
        return "NoTimestampType";
    }
    return (batch->attributes & FLAG_APPEND_TIME) != 0 ? "LogAppendTime" : "CreateTime";
}

static int fail_records(struct failure *failure, const struct dump_batch *batch) {
    return failure_set(failure, "org.apache.kafka.common.InvalidRecordException",
                       "The records of the batch at position %lld (base offset %lld) cannot be read.",
                       (long long)batch->position, (long long)batch->base_offset);
}

static struct slice take_slice(struct reader *r) {
    int32_t size = reader_varint(r);
    return size < 0 ? SLICE_NULL : (struct slice){reader_take(r, (size_t)size), size};
}

static int32_t sequence_of(const struct dump_batch *batch, int32_t delta) {
    if (batch->base_sequence < 0) {
        return -1;
    }
    return (int32_t)(((uint32_t)batch->base_sequence + (uint32_t)delta) & 0x7fffffffU);
}

static bool decode_record(const struct dump_batch *batch, struct reader *r, struct dump_record *ret) {
    int32_t size = reader_varint(r);
    const uint8_t *body = size < 0 ? NULL : reader_take(r, (size_t)size);
    if (body == NULL) {
        return false;
    }
    struct reader fields = reader_of(body, (size_t)size);
    reader_i8(&fields); /* attributes: none are defined */
    int64_t timestamp_delta = reader_varlong(&fields);
    int32_t offset_delta = reader_varint(&fields);
    bool append_time = (batch->attributes & FLAG_APPEND_TIME) != 0;
    *ret = (struct dump_record){
        .offset = batch->base_offset + offset_delta,
        .timestamp = append_time ? batch->max_timestamp : batch->base_timestamp + timestamp_delta,
        .sequence = sequence_of(batch, offset_delta),
    };
    ret->key = take_slice(&fields);
    ret->value = take_slice(&fields);
    ret->header_count = reader_varint(&fields);
    ret->headers = fields;
    for (int32_t i = 0; i < ret->header_count && !fields.failed; i++) {
        take_slice(&fields);
        take_slice(&fields);
    }
    return !fields.failed && reader_left(&fields) == 0 && ret->header_count >= 0;
}

static int walk_batch(const struct dump_batch *batch, struct slice records, dump_record_callback *on_record,
                      void *context, struct failure *failure) {
    struct reader r = reader_of(records.data, (size_t)records.size);
    for (int32_t i = 0; i < batch->count; i++) {
        struct dump_record record;
        if (!decode_record(batch, &r, &record)) {
            return fail_records(failure, batch);
        }
        int stop = on_record(context, &record);
        if (stop != 0) {
            return stop;
        }
    }
    return 0;
}

/* One old message, its offset and size in front; false when it is cut short. */
static bool decode_old_record(struct reader *r, struct dump_record *ret, uint8_t *ret_attributes) {
    int64_t offset = reader_i64(r);
    int32_t size = reader_i32(r);
    const uint8_t *body = size < MAGIC_0_HEADER ? NULL : reader_take(r, (size_t)size);
    if (body == NULL) {
        return false;
    }
    struct reader fields = reader_of(body, (size_t)size);
    *ret = (struct dump_record){.offset = offset, .sequence = -1, .crc = reader_u32(&fields)};
    ret->is_valid = (uint32_t)crc32(0, body + 4, (uInt)size - 4) == ret->crc;
    int8_t magic = reader_i8(&fields);
    *ret_attributes = (uint8_t)reader_i8(&fields);
    ret->timestamp = magic >= 1 ? reader_i64(&fields) : -1;
    int32_t key_size = reader_i32(&fields);
    ret->key = key_size < 0 ? SLICE_NULL : (struct slice){reader_take(&fields, (size_t)key_size), key_size};
    int32_t value_size = reader_i32(&fields);
    ret->value = value_size < 0 ? SLICE_NULL : (struct slice){reader_take(&fields, (size_t)value_size), value_size};
    return !fields.failed;
}

/* The messages inside a compressed one. Format 1 numbers them from 0, and the outer offset is the last one's. */
static int walk_old_messages(const struct dump_batch *batch, struct slice unpacked, dump_record_callback *on_record,
                             void *context, struct failure *failure) {
    int64_t last_inner = -1;
    struct reader r = reader_of(unpacked.data, (size_t)unpacked.size);
    struct dump_record record;
    uint8_t attributes;
    while (reader_left(&r) > 0) {
        if (!decode_old_record(&r, &record, &attributes)) {
            return fail_records(failure, batch);
        }
        last_inner = record.offset;
    }
    int64_t shift = batch->magic == 1 ? batch->last_offset - last_inner : 0;
    r = reader_of(unpacked.data, (size_t)unpacked.size);
    while (reader_left(&r) > 0) {
        decode_old_record(&r, &record, &attributes);
        record.offset += shift;
        if ((batch->attributes & FLAG_APPEND_TIME) != 0) {
            record.timestamp = batch->max_timestamp;
        }
        int stop = on_record(context, &record);
        if (stop != 0) {
            return stop;
        }
    }
    return 0;
}

static int unpack(enum compression_codec codec, struct slice input, struct byte_buffer *ret) {
    struct compression *compression = compression_create();
    int error = codec >= CODEC_COUNT ? ERR_CORRUPT : decompress_all(compression, codec, input, DUMP_UNPACKED_MAX, ret);
    compression_destroy(compression);
    return error;
}

static int walk_old(const struct dump_batch *batch, dump_record_callback *on_record, void *context,
                    struct failure *failure) {
    struct reader r = reader_of(batch->bytes, (size_t)batch->size);
    struct dump_record record;
    uint8_t attributes;
    if (!decode_old_record(&r, &record, &attributes)) {
        return fail_records(failure, batch);
    }
    enum compression_codec codec = attributes & CODEC_MASK;
    if (codec == CODEC_NONE) {
        return on_record(context, &record);
    }
    struct byte_buffer unpacked = {0};
    int error = record.value.size < 0 || unpack(codec, record.value, &unpacked) != 0
                    ? fail_records(failure, batch)
                    : walk_old_messages(batch, (struct slice){unpacked.data, (int32_t)unpacked.size}, on_record,
                                        context, failure);
    byte_buffer_deinit(&unpacked);
    return error;
}

int dump_records(const struct dump_batch *batch, dump_record_callback *on_record, void *context,
                 struct failure *failure) {
    if (batch->magic < 2) {
        return walk_old(batch, on_record, context, failure);
    }
    struct slice records = {batch->bytes + DUMP_HEADER_SIZE, batch->size - DUMP_HEADER_SIZE};
    struct byte_buffer unpacked = {0};
    enum compression_codec codec = batch->attributes & CODEC_MASK;
    int error = 0;
    if (codec != CODEC_NONE && batch->count > 0) {
        error = unpack(codec, records, &unpacked);
        records = (struct slice){unpacked.data, (int32_t)unpacked.size};
    }
    error = error != 0 ? fail_records(failure, batch) : walk_batch(batch, records, on_record, context, failure);
    byte_buffer_deinit(&unpacked);
    return error;
}
