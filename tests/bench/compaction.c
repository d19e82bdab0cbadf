/* What compaction costs: a log of closed segments is cleaned on the real disk, page cache warm, syncs included, with
 * the settings a broker has by default. Megabytes a second are bytes of input (counted once, though they are read
 * twice) by the clock and by CPU. What is left must be the last record of every key, its value whole; asserts nothing
 * about time.
 *
 * One record in ten is its key's last, in the order of chance: the worst case, since every batch is built anew. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "broker/base/random.h"
#include "broker/protocol/batch_builder.h"
#include "tests/lib/compact_log.h"
#include "tests/lib/runner.h"

#define INPUT_BYTES (INT64_C(256) << 20)
#define SEGMENT_BYTES (64 << 20)
#define RECORDS_PER_KEY 10
#define KEY_SIZE 24 /* "key-" and twenty digits */
#define VALUE_SIZE_MAX 1024
#define SLICE_BYTES ((int64_t)8 << 20)

static const struct compaction_limits limits = {
    .map_bytes_max = 128 << 20, .map_load_factor = 0.9, .io_buffer_bytes = 512 << 10};

static struct random chance;
static int64_t *last_of; /* by key */

static double seconds_of(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The value tells the offset it was written at, and half of it is noise. */
static void make_value(uint8_t *value, int32_t size, int64_t offset) {
    struct random noise;
    random_seed(&noise, (uint64_t)offset);
    memset(value, 'v', (size_t)size);
    store_i64(value, offset);
    for (int32_t at = 8; at + 8 <= size / 2; at += 8) {
        store_i64(value + at, (int64_t)random_below(&noise, INT64_MAX));
    }
}

static void write_batch(int32_t value_size, int64_t key_count, int32_t records) {
    static struct byte_buffer bytes;
    struct batch_builder builder;
    uint8_t value[VALUE_SIZE_MAX];
    char key[KEY_SIZE + 1];
    int64_t offset = log_end_offset(compact.log);
    batch_builder_begin(&builder, &bytes, compact.clock.wall_ms);
    for (int32_t i = 0; i < records; i++, offset++) {
        int64_t number = (int64_t)random_below(&chance, (uint64_t)key_count);
        snprintf(key, sizeof key, "key-%020" PRId64, number);
        make_value(value, value_size, offset);
        batch_builder_add(&builder, (struct slice){(const uint8_t *)key, KEY_SIZE}, (struct slice){value, value_size});
        last_of[number] = offset;
    }
    struct log_append_info info;
    ck_assert_int_eq(log_append_as_leader(compact.log, batch_builder_finish(&builder), 0, LOG_ORIGIN_COORDINATOR, 9,
                                          compact.clock.wall_ms, &info),
                     0);
    ck_assert_int_eq(info.error_code, 0);
}

static void check_records(const struct record_batch *header, struct slice batch, struct record_workspace *workspace,
                          int32_t value_size, int64_t *left) {
    struct record_iterator iterator;
    struct record_view record;
    uint8_t value[VALUE_SIZE_MAX];
    ck_assert(record_batch_crc_is_valid(batch, header));
    ck_assert_int_eq(record_batch_unpack(batch, header, workspace), 0);
    record_iterator_begin_memory(&iterator, (struct slice){workspace->unpacked.data, (int32_t)workspace->unpacked.size},
                                 header->record_count);
    while (record_iterator_next(&iterator, &record) > 0) {
        int64_t offset = header->base_offset + record.offset_delta;
        make_value(value, value_size, offset);
        ck_assert_int_eq(record.key_size, KEY_SIZE);
        ck_assert_int_eq(last_of[strtoll((const char *)record.key + 4, NULL, 10)], offset);
        ck_assert_int_eq(record.value_size, value_size);
        ck_assert_mem_eq(record.value, value, (size_t)value_size);
        (*left)--;
    }
}

/* Every key's last record is there, and no other. */
static void check_log(int32_t value_size, int64_t key_count) {
    struct byte_buffer bytes = {0};
    struct record_workspace *workspace = record_workspace_create();
    int64_t left = 0;
    for (int64_t i = 0; i < key_count; i++) {
        left += last_of[i] >= 0;
    }
    test_read_all(compact.log, 1 << 20, &bytes);
    for (size_t at = 0; at < bytes.size;) {
        struct record_batch header;
        ck_assert_int_eq(record_batch_decode(bytes.data + at, bytes.size - at, &header), 0);
        check_records(&header, (struct slice){bytes.data + at, header.size}, workspace, value_size, &left);
        at += (size_t)header.size;
    }
    ck_assert_int_eq(left, 0);
    record_workspace_destroy(workspace);
    byte_buffer_deinit(&bytes);
}

static void measure(const char *label, int32_t value_size, int32_t records_per_batch) {
    int64_t record_bytes = KEY_SIZE + value_size + 8;
    int64_t key_count = INPUT_BYTES / record_bytes / RECORDS_PER_KEY;
    compact_set_up();
    compact.log->config.segment_bytes = SEGMENT_BYTES;
    compact.log->config.segment_index_bytes = 10 << 20;
    compact.log->config.index_interval_bytes = 4096;
    random_seed(&chance, 1);
    last_of = xmalloc((size_t)key_count * sizeof *last_of);
    memset(last_of, -1, (size_t)key_count * sizeof *last_of);
    while (log_size_bytes(compact.log) < INPUT_BYTES) {
        write_batch(value_size, key_count, records_per_batch);
    }
    compact_roll();
    int64_t records = log_end_offset(compact.log);
    double bytes = (double)log_size_bytes(compact.log);
    double began = seconds_of(CLOCK_MONOTONIC);
    double cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    ck_assert_int_eq(compact_clean_with(&limits, SLICE_BYTES), COMPACTION_DONE);
    cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    double seconds = seconds_of(CLOCK_MONOTONIC) - began;
    ck_assert_int_eq(compact.log->clean_offset, records);
    check_log(value_size, key_count);
    printf("compaction, %-38s %6.0f MB/s of input, %6.0f by CPU, %5.0f ns a record (>= 200 MB/s)\n", label,
           bytes / seconds / 1e6, bytes / cpu / 1e6, cpu / (double)records * 1e9);
    free(last_of);
    compact_tear_down();
}

START_TEST(costs_are_told) {
    measure("1 KiB records in batches of 16 KiB", 1000, 16);
    measure("100-byte records in batches of 16 KiB", 68, 160);
    measure("100-byte records, each its own batch", 68, 1);
}
END_TEST

int main(void) {
    static const struct test tests[] = {TEST(costs_are_told)};
    return run_tests("compaction", tests, ARRAY_SIZE(tests));
}
