/* Helpers; every failure in here fails the test that called. */
#include "tests/lib/log_fixture.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"

static int64_t clock_now(struct clock *clock) {
    return CONTAINER_OF(clock, struct test_clock, base)->now_ms;
}

static int64_t clock_wall(struct clock *clock) {
    return CONTAINER_OF(clock, struct test_clock, base)->wall_ms;
}

static void clock_start(struct clock *clock, struct timer *timer) {
    struct test_clock *test = CONTAINER_OF(clock, struct test_clock, base);
    for (size_t i = 0; i < ARRAY_SIZE(test->timers); i++) {
        if (test->timers[i] == NULL) {
            test->timers[i] = timer;
            timer->slot = &test->timers[i];
            return;
        }
    }
    ck_abort_msg("too many timers");
}

static void clock_stop(struct clock *clock, struct timer *timer) {
    (void)clock;
    *(struct timer **)timer->slot = NULL;
    timer->slot = NULL;
}

static void clock_run_now(struct clock *clock, task_callback *run, void *context) {
    (void)clock;
    run(context);
}

static void do_job(struct test_clock *clock, const struct test_job *job) {
    clock->is_working = true;
    job->work(job->context);
    clock->is_working = false;
    job->done(job->context);
}

static void clock_spawn_now(struct clock *clock, task_callback *work, task_callback *done, void *context) {
    struct test_clock *test = CONTAINER_OF(clock, struct test_clock, base);
    struct test_job job = {work, done, context};
    if (test->defers_work) {
        ck_assert_int_lt(test->job_count, (int)ARRAY_SIZE(test->jobs));
        test->jobs[test->job_count++] = job;
    } else {
        do_job(test, &job);
    }
}

bool test_clock_work(struct test_clock *clock) {
    if (clock->job_count == 0) {
        return false;
    }
    struct test_job job = clock->jobs[0];
    memmove(clock->jobs, clock->jobs + 1, (size_t)--clock->job_count * sizeof job);
    do_job(clock, &job);
    return true;
}

void test_clock_work_all(struct test_clock *clock) {
    while (test_clock_work(clock)) {
    }
}

void test_clock_init(struct test_clock *clock, int64_t wall_ms) {
    static const struct clock_ops ops = {.now_ms = clock_now,
                                         .wall_ms = clock_wall,
                                         .start = clock_start,
                                         .stop = clock_stop,
                                         .post = clock_run_now,
                                         .spawn = clock_spawn_now};
    *clock = (struct test_clock){.base = {.ops = &ops}, .now_ms = 1000, .wall_ms = wall_ms};
}

void test_clock_advance(struct test_clock *clock, int64_t by_ms) {
    int64_t end_ms = clock->now_ms + by_ms;
    for (;;) {
        struct timer *next = NULL;
        for (size_t i = 0; i < ARRAY_SIZE(clock->timers); i++) {
            if (clock->timers[i] != NULL && clock->timers[i]->deadline_ms <= end_ms &&
                (next == NULL || clock->timers[i]->deadline_ms < next->deadline_ms)) {
                next = clock->timers[i];
            }
        }
        if (next == NULL) {
            break;
        }
        int64_t step_ms = MAX(next->deadline_ms - clock->now_ms, 0);
        clock->now_ms += step_ms;
        clock->wall_ms += step_ms;
        clock_stop(&clock->base, next);
        next->on_fire(next);
    }
    clock->wall_ms += end_ms - clock->now_ms;
    clock->now_ms = end_ms;
}

char *test_directory_create(void) {
    const char *base = getenv("TMPDIR");
    char *path = xasprintf("%s/ottla-log-XXXXXX", base != NULL ? base : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(path));
    return path;
}

void test_directory_remove(const char *path) {
    DIR *directory = opendir(path);
    ck_assert_ptr_nonnull(directory);
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        char *inner = xasprintf("%s/%s", path, entry->d_name);
        struct stat status;
        ck_assert_int_eq(lstat(inner, &status), 0);
        if (S_ISDIR(status.st_mode)) {
            test_directory_remove(inner);
        } else {
            ck_assert_int_eq(unlink(inner), 0);
        }
        free(inner);
    }
    closedir(directory);
    ck_assert_int_eq(rmdir(path), 0);
}

uint8_t *test_file_read(const char *directory, const char *name, int64_t *ret_size) {
    char *path = xasprintf("%s/%s", directory, name);
    FILE *file = fopen(path, "rb");
    free(path);
    *ret_size = -1;
    if (file == NULL) {
        return NULL;
    }
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    int64_t size = ftell(file);
    rewind(file);
    uint8_t *bytes = xmalloc((size_t)size + 1);
    ck_assert_uint_eq(fread(bytes, 1, (size_t)size, file), (size_t)size);
    fclose(file);
    *ret_size = size;
    return bytes;
}

void test_directory_copy(const char *from, const char *to) {
    ck_assert(mkdir(to, 0755) == 0);
    DIR *directory = opendir(from);
    ck_assert_msg(directory != NULL, "no directory %s", from);
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        int64_t size;
        char *path = xasprintf("%s/%s", from, entry->d_name);
        struct stat status;
        ck_assert_int_eq(stat(path, &status), 0);
        free(path);
        if (!S_ISREG(status.st_mode)) {
            continue;
        }
        uint8_t *bytes = test_file_read(from, entry->d_name, &size);
        path = xasprintf("%s/%s", to, entry->d_name);
        FILE *file = fopen(path, "wb");
        ck_assert_ptr_nonnull(file);
        ck_assert_uint_eq(fwrite(bytes, 1, (size_t)size, file), (size_t)size);
        fclose(file);
        free(path);
        free(bytes);
    }
    closedir(directory);
}

struct log_config test_log_config(void) {
    return (struct log_config){.segment_bytes = 1 << 30,
                               .segment_ms = (int64_t)7 * 86400000,
                               .max_compaction_lag_ms = INT64_MAX,
                               .min_cleanable_ratio = 0.5,
                               .delete_retention_ms = 86400000,
                               .segment_index_bytes = 10 << 20,
                               .index_interval_bytes = 4096,
                               .retention_bytes = -1,
                               .retention_ms = -1,
                               .max_message_bytes = 1048588,
                               .flush_messages = INT64_MAX,
                               .flush_ms = INT64_MAX,
                               .file_delete_delay_ms = 60000,
                               .message_timestamp_before_max_ms = INT64_MAX,
                               .message_timestamp_after_max_ms = INT64_MAX,
                               .producer_id_expiration_ms = INT64_MAX,
                               .compression_type = -1,
                               .min_insync_replicas = 1,
                               .delete = true,
                               .message_downconversion = true};
}

struct log_manager_config test_log_manager_config(const char *const *directories, int32_t count) {
    return (struct log_manager_config){.directories = directories,
                                       .directory_count = count,
                                       .broker_id = 1,
                                       .defaults = test_log_config(),
                                       .retention_check_ms = 300000,
                                       .flush_check_ms = INT64_MAX,
                                       .flush_offset_checkpoint_ms = 60000,
                                       .start_offset_checkpoint_ms = 60000,
                                       .high_watermark_checkpoint_ms = 5000,
                                       .recovery_threads_per_directory = 1};
}

struct log *test_log_open(struct disk *disk, struct clock *clock, const char *directory,
                          const struct log_config *config, int64_t recovery_point, bool is_clean) {
    struct log_open_options options = {.disk = disk,
                                       .clock = clock,
                                       .directory = directory,
                                       .topic = "t",
                                       .config = *config,
                                       .recovery_point = recovery_point,
                                       .had_clean_shutdown = is_clean};
    struct log *log = NULL;
    int error = log_open(&options, &log);
    ck_assert_msg(error == 0, "open %s: %s", directory, error_text(error));
    return log;
}

struct test_batch test_batch_of(int32_t count) {
    return (struct test_batch){.record_count = count,
                               .value_size = 20,
                               .timestamp = 1700000000000,
                               .producer_id = -1,
                               .producer_epoch = -1,
                               .base_sequence = -1,
                               .leader_epoch = -1};
}

static void put_varlong(struct byte_buffer *buffer, int64_t value) {
    struct writer w = writer_of(byte_buffer_reserve(buffer, 10), 10);
    writer_varlong(&w, value);
    buffer->size += writer_size(&w);
}

static void put_record(struct byte_buffer *records, const struct test_batch *batch, int32_t index) {
    struct byte_buffer body = {0};
    char key[32];
    int key_size = snprintf(key, sizeof key, "key%d", index);
    byte_buffer_append(&body, "", 1);
    put_varlong(&body, index);
    put_varlong(&body, index);
    put_varlong(&body, batch->null_keys ? -1 : key_size);
    byte_buffer_append(&body, key, batch->null_keys ? 0 : (size_t)key_size);
    put_varlong(&body, batch->value_size);
    for (int32_t i = 0; i < batch->value_size; i++) {
        uint8_t byte = (uint8_t)('a' + (i * 7 + index) % 26);
        byte_buffer_append(&body, &byte, 1);
    }
    put_varlong(&body, 0);
    put_varlong(records, (int64_t)body.size);
    byte_buffer_append(records, body.data, body.size);
    byte_buffer_deinit(&body);
}

void test_batch_encode_records(const struct test_batch *batch, const struct byte_buffer *records,
                               struct byte_buffer *ret) {
    struct compression *compression = compression_create();
    size_t begin = ret->size;
    memset(byte_buffer_reserve(ret, BATCH_HEADER_SIZE), 0, BATCH_HEADER_SIZE);
    ret->size += BATCH_HEADER_SIZE;
    compress_all(compression, batch->codec, (struct slice){records->data, (int32_t)records->size}, ret);
    compression_destroy(compression);
    uint8_t *at = ret->data + begin;
    int32_t size = (int32_t)(ret->size - begin);
    store_i64(at, batch->base_offset);
    store_i32(at + BATCH_AT_LENGTH, size - BATCH_OVERHEAD);
    store_i32(at + BATCH_AT_LEADER_EPOCH, batch->leader_epoch);
    at[BATCH_AT_MAGIC] = 2;
    store_u16(at + BATCH_AT_ATTRIBUTES, (uint16_t)(batch->attributes | (unsigned)batch->codec));
    store_i32(at + BATCH_AT_LAST_OFFSET_DELTA, batch->record_count - 1);
    store_i64(at + BATCH_AT_BASE_TIMESTAMP, batch->timestamp);
    store_i64(at + BATCH_AT_MAX_TIMESTAMP, batch->timestamp + batch->record_count - 1);
    store_i64(at + BATCH_AT_PRODUCER_ID, batch->producer_id);
    store_i16(at + BATCH_AT_PRODUCER_EPOCH, batch->producer_epoch);
    store_i32(at + BATCH_AT_BASE_SEQUENCE, batch->base_sequence);
    store_i32(at + BATCH_AT_RECORD_COUNT, batch->record_count);
    record_batch_update_crc(at, size);
}

void test_batch_encode(const struct test_batch *batch, struct byte_buffer *ret) {
    struct byte_buffer records = {0};
    for (int32_t i = 0; i < batch->record_count; i++) {
        put_record(&records, batch, i);
    }
    test_batch_encode_records(batch, &records, ret);
    byte_buffer_deinit(&records);
}

void test_marker_encode(int64_t producer_id, int16_t producer_epoch, bool is_commit, int32_t coordinator_epoch,
                        int64_t timestamp, struct byte_buffer *ret) {
    uint8_t bytes[64];
    struct writer w = writer_of(bytes, sizeof bytes);
    writer_varint(&w, 16);
    writer_i8(&w, 0);
    writer_varint(&w, 0);
    writer_varint(&w, 0);
    writer_varint(&w, 4);
    writer_i16(&w, 0);
    writer_i16(&w, is_commit ? 1 : 0);
    writer_varint(&w, 6);
    writer_i16(&w, 0);
    writer_i32(&w, coordinator_epoch);
    writer_varint(&w, 0);
    struct byte_buffer records = {.data = bytes, .size = writer_size(&w), .capacity = sizeof bytes};
    struct test_batch batch = test_batch_of(1);
    batch.timestamp = timestamp;
    batch.producer_id = producer_id;
    batch.producer_epoch = producer_epoch;
    batch.attributes = BATCH_TRANSACTIONAL | BATCH_CONTROL;
    test_batch_encode_records(&batch, &records, ret);
}

struct log_append_info test_append(struct log *log, const struct test_batch *batch) {
    struct byte_buffer bytes = {0};
    struct log_append_info info;
    test_batch_encode(batch, &bytes);
    int error = log_append_as_leader(log, (struct slice){bytes.data, (int32_t)bytes.size}, batch->leader_epoch,
                                     LOG_ORIGIN_CLIENT, 9, clock_wall_ms(log->clock), &info);
    ck_assert_msg(error == 0, "append: %s", error_text(error));
    byte_buffer_deinit(&bytes);
    return info;
}

void test_read_all(struct log *log, int32_t max_bytes, struct byte_buffer *ret) {
    int64_t offset = log_start_offset(log);
    while (offset < log_end_offset(log)) {
        struct log_read_info info;
        int error = log_read(log, offset, max_bytes, log_end_offset(log), true, &info);
        ck_assert_msg(error == 0, "read at %lld: %s", (long long)offset, error_text(error));
        if (info.records.size == 0) {
            break; /* compaction emptied the end of the log */
        }
        size_t size = (size_t)info.records.size;
        uint8_t *to = byte_buffer_reserve(ret, size);
        ck_assert_int_eq(disk_read(info.records.file, to, size, info.records.position), info.records.size);
        disk_file_unref(info.records.file);
        ret->size += size;
        for (size_t at = 0; at < size;) {
            struct record_batch header;
            ck_assert_int_eq(record_batch_decode(to + at, size - at, &header), 0);
            ck_assert_uint_le(at + (size_t)header.size, size);
            ck_assert_int_ge(header.last_offset, offset);
            offset = header.last_offset + 1;
            at += (size_t)header.size;
        }
    }
}
