/* See compact_log.h. */
#include "tests/lib/compact_log.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/bytes.h"
#include "broker/base/check.h"

struct compact compact;

struct log_config compact_config(void) {
    struct log_config config = test_log_config();
    config.compact = true;
    config.delete = false;
    config.segment_bytes = 1200;
    config.index_interval_bytes = 200;
    config.segment_index_bytes = 480;
    config.delete_retention_ms = COMPACT_RETENTION_MS;
    return config;
}

void compact_open(struct disk *disk, const struct log_config *config) {
    compact.log = test_log_open(disk, &compact.clock.base, compact.directory, config, 0, false);
    compact.log->clean_offset = -1;
}

void compact_set_up(void) {
    test_clock_init(&compact.clock, COMPACT_WALL_MS);
    compact.directory = test_directory_create();
    compact.codec = CODEC_NONE;
    struct log_config config = compact_config();
    compact_open(disk_posix(), &config);
}

void compact_tear_down(void) {
    log_destroy(compact.log);
    compact.log = NULL;
    test_directory_remove(compact.directory);
    free(compact.directory);
}

/* ---- Writing ---- */

const struct compact_batch compact_plain = {.producer_id = -1, .base_sequence = -1};

static void put_record(struct byte_buffer *records, int32_t index, const struct compact_record *record, int64_t value) {
    char key[16];
    char text[40];
    int key_size = snprintf(key, sizeof key, "key-%d", record->key);
    int value_size = snprintf(text, sizeof text, "value %lld ..................", (long long)value);
    struct record_view view = {.key_size = record->key < 0 ? -1 : key_size,
                               .key = (const uint8_t *)key,
                               .value_size = record->is_tombstone ? -1 : value_size,
                               .value = (const uint8_t *)text};
    record_append(records, &view, index, index);
}

static void encode(const struct compact_batch *spec, const struct compact_record *list, int32_t count, int64_t offset,
                   struct byte_buffer *ret) {
    struct byte_buffer records = {0};
    uint8_t *header = byte_buffer_reserve(ret, BATCH_HEADER_SIZE);
    memset(header, 0, BATCH_HEADER_SIZE);
    ret->size += BATCH_HEADER_SIZE;
    for (int32_t i = 0; i < count; i++) {
        put_record(&records, i, &list[i], offset + i);
    }
    struct compression *compression = compression_create();
    compress_all(compression, compact.codec, (struct slice){records.data, (int32_t)records.size}, ret);
    compression_destroy(compression);
    byte_buffer_deinit(&records);
    uint8_t *batch = ret->data;
    store_i32(batch + BATCH_AT_LENGTH, (int32_t)ret->size - BATCH_OVERHEAD);
    batch[BATCH_AT_MAGIC] = 2;
    store_u16(batch + BATCH_AT_ATTRIBUTES, (uint16_t)(spec->attributes | compact.codec));
    store_i32(batch + BATCH_AT_LAST_OFFSET_DELTA, count - 1);
    store_i64(batch + BATCH_AT_BASE_TIMESTAMP, compact.clock.wall_ms);
    store_i64(batch + BATCH_AT_MAX_TIMESTAMP, compact.clock.wall_ms + count - 1);
    store_i64(batch + BATCH_AT_PRODUCER_ID, spec->producer_id);
    store_i16(batch + BATCH_AT_PRODUCER_EPOCH, spec->producer_id < 0 ? -1 : 0);
    store_i32(batch + BATCH_AT_BASE_SEQUENCE, spec->base_sequence);
    store_i32(batch + BATCH_AT_RECORD_COUNT, count);
    record_batch_update_crc(batch, (int32_t)ret->size);
}

static int append_bytes(struct byte_buffer *bytes, enum log_append_origin origin) {
    struct log_append_info info;
    int error = log_append_as_leader(compact.log, (struct slice){bytes->data, (int32_t)bytes->size}, 0, origin, 9,
                                     compact.clock.wall_ms, &info);
    if (error == 0) {
        ck_assert_msg(info.error_code == 0, "%d %s", info.error_code, info.error_message);
    }
    byte_buffer_deinit(bytes);
    return error;
}

int compact_write_batch(const struct compact_batch *spec, const struct compact_record *list, int32_t count) {
    int64_t offset = log_end_offset(compact.log);
    ck_assert_int_lt(offset + count, COMPACT_RECORDS_MAX);
    memcpy(&compact.model[offset], list, (size_t)count * sizeof *list);
    struct byte_buffer bytes = {0};
    encode(spec, list, count, offset, &bytes);
    return append_bytes(&bytes, LOG_ORIGIN_CLIENT);
}

void compact_write_key(int32_t key) {
    struct compact_record record = {.key = key};
    ck_assert_int_eq(compact_write_batch(&compact_plain, &record, 1), 0);
}

void compact_write_tombstone(int32_t key) {
    struct compact_record record = {.key = key, .is_tombstone = true};
    ck_assert_int_eq(compact_write_batch(&compact_plain, &record, 1), 0);
}

void compact_write_transactional(int64_t producer_id, int32_t sequence, int32_t key, bool will_abort) {
    struct compact_record record = {.key = key, .is_aborted = will_abort};
    struct compact_batch spec = {
        .producer_id = producer_id, .base_sequence = sequence, .attributes = BATCH_TRANSACTIONAL};
    ck_assert_int_eq(compact_write_batch(&spec, &record, 1), 0);
}

int compact_write_marker(int64_t producer_id, bool is_commit) {
    struct byte_buffer bytes = {0};
    compact.model[log_end_offset(compact.log)] = (struct compact_record){.key = -2};
    test_marker_encode(producer_id, 0, is_commit, 0, compact.clock.wall_ms, &bytes);
    return append_bytes(&bytes, LOG_ORIGIN_COORDINATOR);
}

void compact_roll(void) {
    ck_assert_int_eq(log_roll(compact.log), 0);
}

/* ---- Reading ---- */

void compact_read(struct compact_content *ret) {
    struct byte_buffer bytes = {0};
    test_read_all(compact.log, 1 << 20, &bytes);
    struct record_workspace *workspace = record_workspace_create();
    *ret = (struct compact_content){.count = 0};
    int64_t next = 0;
    for (size_t at = 0; at < bytes.size;) {
        struct record_batch header;
        ck_assert_int_eq(record_batch_decode(bytes.data + at, bytes.size - at, &header), 0);
        struct slice batch = {bytes.data + at, header.size};
        ck_assert(record_batch_crc_is_valid(batch, &header));
        ck_assert_int_ge(header.base_offset, next);
        ck_assert_int_ge(header.last_offset, header.base_offset);
        next = header.last_offset + 1;
        ret->batches++;
        ret->empty_batches += header.record_count == 0;
        ck_assert_int_eq(record_batch_unpack(batch, &header, workspace), 0);
        struct record_iterator iterator;
        struct record_view record;
        record_iterator_begin_memory(&iterator,
                                     (struct slice){workspace->unpacked.data, (int32_t)workspace->unpacked.size},
                                     header.record_count);
        while (record_iterator_next(&iterator, &record) > 0) {
            int64_t offset = header.base_offset + record.offset_delta;
            ck_assert_int_le(offset, header.last_offset);
            ret->horizons[offset] = (header.attributes & BATCH_DELETE_HORIZON) != 0 ? header.base_timestamp : 0;
            if (record_batch_is_control(&header)) {
                ret->markers++;
                continue;
            }
            char text[40];
            int size = snprintf(text, sizeof text, "value %lld ..................", (long long)offset);
            ck_assert_int_eq(record.value_size < 0, compact.model[offset].is_tombstone);
            ck_assert(record.value_size < 0 ||
                      (record.value_size == size && memcmp(record.value, text, (size_t)size) == 0));
            int64_t timestamp = header.base_timestamp + record.timestamp_delta;
            ck_assert_int_ge(timestamp, COMPACT_WALL_MS);
            ck_assert_int_le(timestamp, header.max_timestamp);
            ret->offsets[ret->count++] = offset;
        }
        at += (size_t)header.size;
    }
    record_workspace_destroy(workspace);
    byte_buffer_deinit(&bytes);
}

bool compact_has(const struct compact_content *seen, int64_t offset) {
    for (int32_t i = 0; i < seen->count; i++) {
        if (seen->offsets[i] == offset) {
            return true;
        }
    }
    return false;
}

void compact_check(const struct compact_content *seen, int64_t clean_end, bool tombstones_may_be_gone) {
    int64_t last[COMPACT_KEYS_MAX];
    memset(last, -1, sizeof last);
    for (int64_t offset = 0; offset < log_end_offset(compact.log); offset++) {
        if (compact.model[offset].key >= 0 && !compact.model[offset].is_aborted) {
            last[compact.model[offset].key] = offset;
        }
    }
    for (int32_t key = 0; key < COMPACT_KEYS_MAX; key++) {
        if (last[key] >= 0 && !(tombstones_may_be_gone && compact.model[last[key]].is_tombstone)) {
            ck_assert_msg(compact_has(seen, last[key]), "key %d lost its last value at %lld", key,
                          (long long)last[key]);
        }
    }
    int64_t last_clean[COMPACT_KEYS_MAX];
    memset(last_clean, -1, sizeof last_clean);
    for (int64_t offset = 0; offset < clean_end; offset++) {
        if (compact.model[offset].key >= 0 && !compact.model[offset].is_aborted) {
            last_clean[compact.model[offset].key] = offset;
        }
    }
    for (int32_t i = 0; i < seen->count && seen->offsets[i] < clean_end; i++) {
        const struct compact_record *record = &compact.model[seen->offsets[i]];
        ck_assert_int_ge(record->key, 0);
        ck_assert(!record->is_aborted);
        ck_assert_int_eq(last_clean[record->key], seen->offsets[i]);
    }
}

/* ---- Cleaning ---- */

const struct compaction_limits compact_roomy = {
    .map_bytes_max = 1 << 20, .map_load_factor = 0.9, .io_buffer_bytes = 4096};

enum compaction_state compact_clean_with(const struct compaction_limits *limits, int64_t slice_bytes) {
    struct log *log = compact.log;
    struct compaction_range range =
        log_cleanable_range(log, log->clean_offset, log_end_offset(log), compact.clock.wall_ms);
    struct compaction *compaction;
    if (compaction_begin(log, &range, limits, compact.clock.wall_ms, &compaction) != 0) {
        return COMPACTION_FAILED;
    }
    enum compaction_state state;
    int error = 0;
    do {
        state = compaction_work(compaction, slice_bytes);
        if (state == COMPACTION_REPLACES) {
            error = log_replace_segments(log, compaction);
        }
    } while (error == 0 && state != COMPACTION_DONE && state != COMPACTION_FAILED);
    if (state == COMPACTION_DONE) {
        log->clean_offset = compaction->end_offset;
    }
    compaction_destroy(compaction, error == 0);
    return error == 0 ? state : COMPACTION_FAILED;
}

void compact_clean(void) {
    ck_assert_int_eq(compact_clean_with(&compact_roomy, INT64_MAX), COMPACTION_DONE);
}

void compact_reopen(void) {
    struct log_config config = compact.log->config;
    ck_assert_int_eq(log_close(compact.log), 0);
    int64_t clean_offset = compact.log->clean_offset;
    log_destroy(compact.log);
    compact.log = test_log_open(disk_posix(), &compact.clock.base, compact.directory, &config, 0, true);
    compact.log->clean_offset = clean_offset;
}
