/* Partition directories that Apache Kafka wrote: opened, read record by record, rebuilt, written anew.
 *
 * The other side of each comparison is a parser of this file's own, which shares nothing with the broker but the
 * compression libraries. */
#include <check.h>
#include <dirent.h>
#include <inttypes.h>
#include <lz4frame.h>
#include <snappy-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tests/lib/log_fixture.h"
#include "tests/lib/runner.h"

#define RECORDINGS "tests/recordings/disk"

static const char *const directories[] = {
    "clean/__consumer_offsets-24",
    "clean/__consumer_offsets-33",
    "clean/__transaction_state-11",
    "clean/d-bzstd-0",
    "clean/d-compact-0",
    "clean/d-gzip-0",
    "clean/d-idem-0",
    "clean/d-lat-0",
    "clean/d-lz4-0",
    "clean/d-plain-0",
    "clean/d-snappy-0",
    "clean/d-txn-0",
    "clean/d-zstd-0",
    "killed/d-plain-0",
    "killed/d-txn-0",
};

static struct test_clock test_time;

static struct log_config recorded_config(const char *name) {
    struct log_config config = test_log_config();
    if (strstr(name, "/d-") != NULL) {
        config.segment_bytes = strstr(name, "compact") != NULL ? 2000 : 6000;
        config.index_interval_bytes = 512;
        config.segment_index_bytes = 4096;
    }
    return config;
}

static bool is_clean(const char *name) {
    return strncmp(name, "clean/", 6) == 0;
}

/* A recorded directory copied to where it may be written. */
static char *copy_recorded(const char *name, char **ret_parent) {
    test_clock_init(&test_time, 1700000100000);
    trace_nothing();
    *ret_parent = test_directory_create();
    char *from = xasprintf(RECORDINGS "/%s", name);
    char *to = xasprintf("%s/copy", *ret_parent);
    test_directory_copy(from, to);
    free(from);
    return to;
}

static void drop_copy(char *copy, char *parent) {
    test_directory_remove(parent);
    free(copy);
    free(parent);
}

/* Text of all records, one line each, so that a difference shows as text. */
static void print_record(struct byte_buffer *text, int64_t offset, int64_t timestamp, uint32_t key_crc,
                         int32_t key_size, uint32_t value_crc, int32_t value_size, int32_t headers,
                         uint32_t headers_crc) {
    char line[200];
    int size = snprintf(line, sizeof line, "%" PRId64 " %" PRId64 " key %d %08x value %d %08x headers %d %08x\n",
                        offset, timestamp, key_size, key_crc, value_size, value_crc, headers, headers_crc);
    byte_buffer_append(text, line, (size_t)size);
}

static uint32_t crc_of(const uint8_t *data, int64_t size) {
    return size > 0 ? (uint32_t)crc32(0, data, (uInt)size) : 0;
}

/* --- the independent side --- */

static uint64_t plain_number(const uint8_t *at, int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) {
        value = value << 8 | at[i];
    }
    return value;
}

static int64_t plain_varint(const uint8_t **at) {
    uint64_t value = 0;
    int shift = 0;
    do {
        value |= (uint64_t)(**at & 0x7f) << shift;
        shift += 7;
    } while ((*(*at)++ & 0x80) != 0);
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

#define PLAIN_UNPACKED_MAX (1 << 20)

static size_t plain_unpack(int codec, const uint8_t *from, size_t size, uint8_t *to) {
    size_t unpacked = PLAIN_UNPACKED_MAX;
    if (codec == 1) {
        z_stream z = {
            .next_in = (Bytef *)(uintptr_t)from, .avail_in = (uInt)size, .next_out = to, .avail_out = (uInt)unpacked};
        ck_assert_int_eq(inflateInit2(&z, 31), Z_OK);
        ck_assert_int_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
        inflateEnd(&z);
        return z.total_out;
    }
    if (codec == 2) {
        size_t total = 0;
        for (size_t at = 16; at < size;) {
            size_t block = plain_number(from + at, 4);
            size_t room = PLAIN_UNPACKED_MAX - total;
            ck_assert_int_eq(snappy_uncompress((const char *)from + at + 4, block, (char *)to + total, &room),
                             SNAPPY_OK);
            total += room;
            at += 4 + block;
        }
        return total;
    }
    if (codec == 3) {
        LZ4F_dctx *context;
        ck_assert(!LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)));
        ck_assert_uint_eq(LZ4F_decompress(context, to, &unpacked, from, &size, NULL), 0);
        LZ4F_freeDecompressionContext(context);
        return unpacked;
    }
    if (codec == 4) {
        unpacked = ZSTD_decompress(to, unpacked, from, size);
        ck_assert(!ZSTD_isError(unpacked));
        return unpacked;
    }
    memcpy(to, from, size);
    return size;
}

static void plain_batch(const uint8_t *batch, size_t size, struct byte_buffer *text) {
    static uint8_t unpacked[PLAIN_UNPACKED_MAX];
    int64_t base_offset = (int64_t)plain_number(batch, 8);
    unsigned attributes = (unsigned)plain_number(batch + 21, 2);
    int64_t base_timestamp = (int64_t)plain_number(batch + 27, 8);
    int64_t max_timestamp = (int64_t)plain_number(batch + 35, 8);
    int count = (int)plain_number(batch + 57, 4);
    ck_assert_int_eq(batch[16], 2);
    size_t left = plain_unpack((int)(attributes & 7), batch + 61, size - 61, unpacked);
    const uint8_t *at = unpacked;
    for (int i = 0; i < count; i++) {
        int64_t length = plain_varint(&at);
        const uint8_t *end = at + length;
        at++;
        int64_t timestamp = base_timestamp + plain_varint(&at);
        int64_t offset = base_offset + plain_varint(&at);
        int32_t key_size = (int32_t)plain_varint(&at);
        const uint8_t *key = at;
        at += key_size > 0 ? key_size : 0;
        int32_t value_size = (int32_t)plain_varint(&at);
        const uint8_t *value = at;
        at += value_size > 0 ? value_size : 0;
        int32_t headers = (int32_t)plain_varint(&at);
        timestamp = (attributes & 8) != 0 ? max_timestamp : timestamp;
        print_record(text, offset, timestamp, crc_of(key, key_size), key_size, crc_of(value, value_size), value_size,
                     headers, crc_of(at, end - at));
        at = end;
    }
    ck_assert_ptr_eq(at, unpacked + left);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of the files of a directory with this ending, sorted; the last is NULL. */
static char **names_of(const char *directory, const char *suffix) {
    DIR *entries = opendir(directory);
    ck_assert_ptr_nonnull(entries);
    char **names = xcalloc(256, sizeof(char *));
    size_t count = 0;
    const struct dirent *entry;
    while ((entry = readdir(entries)) != NULL) {
        size_t size = strlen(entry->d_name);
        if (entry->d_name[0] != '.' && size >= strlen(suffix) &&
            strcmp(entry->d_name + size - strlen(suffix), suffix) == 0) {
            ck_assert_uint_lt(count, 255);
            names[count++] = xstrdup(entry->d_name);
        }
    }
    closedir(entries);
    qsort(names, count, sizeof(char *), compare_names);
    return names;
}

static void free_names(char **names) {
    for (size_t i = 0; names[i] != NULL; i++) {
        free(names[i]);
    }
    free(names);
}

/* All bytes of all live segments, one after the other. */
static void plain_bytes(const char *name, struct byte_buffer *bytes) {
    char *path = xasprintf(RECORDINGS "/%s", name);
    char **names = names_of(path, ".log");
    for (size_t i = 0; names[i] != NULL; i++) {
        int64_t size;
        uint8_t *data = test_file_read(path, names[i], &size);
        byte_buffer_append(bytes, data, (size_t)size);
        free(data);
    }
    free_names(names);
    free(path);
}

static void plain_text(const char *name, struct byte_buffer *text) {
    struct byte_buffer bytes = {0};
    plain_bytes(name, &bytes);
    for (size_t at = 0; at < bytes.size;) {
        size_t size = plain_number(bytes.data + at + 8, 4) + 12;
        plain_batch(bytes.data + at, size, text);
        at += size;
    }
    byte_buffer_deinit(&bytes);
}

/* --- the log's side --- */

static void log_text(struct log *log, struct byte_buffer *text) {
    struct byte_buffer bytes = {0};
    struct record_workspace *workspace = record_workspace_create();
    test_read_all(log, 1000, &bytes);
    for (size_t at = 0; at < bytes.size;) {
        struct record_batch header;
        struct record_iterator iterator;
        struct record_view record;
        ck_assert_int_eq(record_batch_decode(bytes.data + at, bytes.size - at, &header), 0);
        struct slice batch = {bytes.data + at, header.size};
        ck_assert(record_batch_crc_is_valid(batch, &header));
        ck_assert_int_eq(record_batch_unpack(batch, &header, workspace), 0);
        record_iterator_begin_memory(&iterator,
                                     (struct slice){workspace->unpacked.data, (int32_t)workspace->unpacked.size},
                                     header.record_count);
        int more;
        while ((more = record_iterator_next(&iterator, &record)) > 0) {
            int64_t timestamp = (header.attributes & BATCH_LOG_APPEND_TIME) != 0
                                    ? header.max_timestamp
                                    : header.base_timestamp + record.timestamp_delta;
            print_record(text, header.base_offset + record.offset_delta, timestamp, crc_of(record.key, record.key_size),
                         record.key_size, crc_of(record.value, record.value_size), record.value_size,
                         record.header_count, crc_of(record.headers, record.headers_end - record.headers));
        }
        ck_assert_int_eq(more, 0);
        at += (size_t)header.size;
    }
    record_workspace_destroy(workspace);
    byte_buffer_deinit(&bytes);
}

/* Every file of the recorded directory that ends in `suffix` is byte for byte in the other one, and no others are. */
static void compare_files(const char *name, const char *copy, const char *suffix) {
    char *recorded = xasprintf(RECORDINGS "/%s", name);
    char **expected = names_of(recorded, suffix);
    char **found = names_of(copy, suffix);
    for (size_t i = 0; expected[i] != NULL || found[i] != NULL; i++) {
        ck_assert_msg(expected[i] != NULL && found[i] != NULL && strcmp(expected[i], found[i]) == 0,
                      "%s: recorded %s, found %s", name, expected[i] != NULL ? expected[i] : "nothing",
                      found[i] != NULL ? found[i] : "nothing");
        int64_t expected_size;
        int64_t found_size;
        uint8_t *expected_bytes = test_file_read(recorded, expected[i], &expected_size);
        uint8_t *found_bytes = test_file_read(copy, found[i], &found_size);
        ck_assert_msg(expected_size == found_size && memcmp(expected_bytes, found_bytes, (size_t)found_size) == 0,
                      "%s/%s differs (%" PRId64 " bytes recorded, %" PRId64 " found)", name, expected[i], expected_size,
                      found_size);
        free(expected_bytes);
        free(found_bytes);
    }
    free_names(expected);
    free_names(found);
    free(recorded);
}

START_TEST(every_recorded_directory_reads_record_by_record) {
    int records = 0;
    for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
        char *parent;
        char *copy = copy_recorded(directories[i], &parent);
        struct log_config config = recorded_config(directories[i]);
        struct log *log = test_log_open(disk_posix(), &test_time.base, copy, &config, 0, is_clean(directories[i]));
        struct byte_buffer expected = {0};
        struct byte_buffer found = {0};
        plain_text(directories[i], &expected);
        log_text(log, &found);
        ck_assert_msg(expected.size == found.size && memcmp(expected.data, found.data, found.size) == 0,
                      "%s reads differently", directories[i]);
        ck_assert_uint_gt(found.size, 0);
        for (size_t at = 0; at < found.size; at++) {
            records += found.data[at] == '\n';
        }
        byte_buffer_deinit(&expected);
        byte_buffer_deinit(&found);
        log_destroy(log);
        drop_copy(copy, parent);
    }
    printf("directories %zu of 15 read record by record\n", ARRAY_SIZE(directories));
    ck_assert_int_eq(records, 950);
    ck_assert_uint_eq(ARRAY_SIZE(directories), 15);
}
END_TEST

START_TEST(opening_and_closing_a_clean_directory_changes_no_byte) {
    static const char *const suffixes[] = {".log", "index", ".snapshot", "metadata"};
    /* Not the epoch checkpoint: an epoch in which nothing was written is dropped on load, as Kafka does. */
    for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
        if (!is_clean(directories[i])) {
            continue;
        }
        char *parent;
        char *copy = copy_recorded(directories[i], &parent);
        struct log_config config = recorded_config(directories[i]);
        struct log *log = test_log_open(disk_posix(), &test_time.base, copy, &config, 0, true);
        ck_assert(!uuid_is_zero(log_topic_id(log)));
        ck_assert_int_eq(log_close(log), 0);
        log_destroy(log);
        for (size_t k = 0; k < ARRAY_SIZE(suffixes); k++) {
            compare_files(directories[i], copy, suffixes[k]);
        }
        drop_copy(copy, parent);
    }
}
END_TEST

static void remove_files(const char *directory, const char *suffix) {
    char **names = names_of(directory, suffix);
    for (size_t i = 0; names[i] != NULL; i++) {
        char *path = xasprintf("%s/%s", directory, names[i]);
        ck_assert_int_eq(unlink(path), 0);
        free(path);
    }
    free_names(names);
}

START_TEST(indexes_snapshots_and_epochs_come_back_byte_for_byte_from_the_data) {
    for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
        /* What the cleaner wrote is not what an append or a recovery writes. */
        if (!is_clean(directories[i]) || strstr(directories[i], "compact") != NULL) {
            continue;
        }
        char *parent;
        char *copy = copy_recorded(directories[i], &parent);
        struct log_config config = recorded_config(directories[i]);
        remove_files(copy, "index");
        remove_files(copy, ".snapshot");
        struct log *log = test_log_open(disk_posix(), &test_time.base, copy, &config, 0, false);
        ck_assert_int_eq(log_close(log), 0);
        log_destroy(log);
        compare_files(directories[i], copy, ".log");
        compare_files(directories[i], copy, "index");
        compare_files(directories[i], copy, ".snapshot");
        drop_copy(copy, parent);
    }
}
END_TEST

START_TEST(a_killed_brokers_directory_recovers_to_what_a_clean_stop_leaves) {
    static const char *const names[] = {"killed/d-plain-0", "killed/d-txn-0"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char *parent;
        char *copy = copy_recorded(names[i], &parent);
        char *clean = xasprintf("clean/%s", strchr(names[i], '/') + 1);
        struct log_config config = recorded_config(names[i]);
        struct log *log = test_log_open(disk_posix(), &test_time.base, copy, &config, 0, false);
        ck_assert_int_eq(log_recovery_point(log), 0);
        ck_assert_int_eq(log_close(log), 0);
        log_destroy(log);
        compare_files(clean, copy, ".log");
        compare_files(clean, copy, "index");
        compare_files(clean, copy, ".snapshot");
        free(clean);
        drop_copy(copy, parent);
    }
}
END_TEST

/* Appends recorded batches one by one, or all at once, to an empty log. */
static void replay(const char *name, bool one_by_one) {
    test_clock_init(&test_time, 1700000100000);
    struct byte_buffer bytes = {0};
    plain_bytes(name, &bytes);
    char *directory = test_directory_create();
    struct log_config config = recorded_config(name);
    struct log *log = test_log_open(disk_posix(), &test_time.base, directory, &config, 0, false);
    struct log_append_info info;
    for (size_t at = 0; at < bytes.size;) {
        int32_t size = one_by_one ? (int32_t)plain_number(bytes.data + at + 8, 4) + 12 : (int32_t)bytes.size;
        ck_assert_int_eq(log_append_as_follower(log, (struct slice){bytes.data + at, size}, &info), 0);
        at += (size_t)size;
    }
    ck_assert_int_eq(log_close(log), 0);
    log_destroy(log);
    compare_files(name, directory, ".log");
    compare_files(name, directory, "index");
    compare_files(name, directory, ".snapshot");
    byte_buffer_deinit(&bytes);
    test_directory_remove(directory);
    free(directory);
}

START_TEST(a_follower_of_the_recorded_batches_writes_the_recorded_files) {
    for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
        if (is_clean(directories[i]) && strstr(directories[i], "compact") == NULL) {
            replay(directories[i], true);
            replay(directories[i], false);
        }
    }
}
END_TEST

START_TEST(aborted_transactions_and_the_stable_offset_are_those_of_kafka) {
    char *parent;
    char *copy = copy_recorded("clean/d-txn-0", &parent);
    struct log_config config = recorded_config("clean/d-txn-0");
    struct log *log = test_log_open(disk_posix(), &test_time.base, copy, &config, 0, true);
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    struct log_aborted_transaction *aborted;
    int32_t count;
    ck_assert_int_eq(log_aborted_transactions(log, 0, log_end_offset(log), &arena, &aborted, &count), 0);
    ck_assert_int_eq(count, 2);
    ck_assert_int_eq(log_first_unstable_offset(log), 56);
    ck_assert_int_eq(log_last_stable_offset(log, log_end_offset(log)), 56);
    ck_assert_int_eq(log_last_stable_offset(log, 30), 30);
    arena_deinit(&arena);
    log_destroy(log);
    drop_copy(copy, parent);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(every_recorded_directory_reads_record_by_record),
        TEST(opening_and_closing_a_clean_directory_changes_no_byte),
        TEST(indexes_snapshots_and_epochs_come_back_byte_for_byte_from_the_data),
        TEST(a_killed_brokers_directory_recovers_to_what_a_clean_stop_leaves),
        TEST(a_follower_of_the_recorded_batches_writes_the_recorded_files),
        TEST(aborted_transactions_and_the_stable_offset_are_those_of_kafka),
    };
    return run_tests("log_recordings", tests, sizeof tests / sizeof tests[0]);
}
