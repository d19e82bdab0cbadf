/* A log in a directory of its own that a test ends, cuts, and opens again. For the tests that include it. */
#ifndef OTTLA_TESTS_LOG_LOAD_FIXTURE_H
#define OTTLA_TESTS_LOG_LOAD_FIXTURE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tests/lib/log_fixture.h"
#include "tests/lib/runner.h"

static struct test_clock test_time;
static char *directory;
static struct log_config config;
static struct log *log_;

static inline void open_it(int64_t recovery_point, bool is_clean) {
    log_ = test_log_open(disk_posix(), &test_time.base, directory, &config, recovery_point, is_clean);
}

static inline void set_up(void) {
    test_clock_init(&test_time, 1700000100000);
    directory = test_directory_create();
    config = test_log_config();
    config.segment_bytes = 600;
    config.index_interval_bytes = 100;
    config.segment_index_bytes = 240;
    open_it(0, false);
}

static inline void tear_down(void) {
    log_destroy(log_);
    test_directory_remove(directory);
    free(directory);
}

static inline void append(int count) {
    for (int i = 0; i < count; i++) {
        struct test_batch batch = test_batch_of(1);
        batch.timestamp += log_end_offset(log_);
        batch.leader_epoch = 0;
        ck_assert_int_eq(test_append(log_, &batch).error_code, 0);
    }
}

static inline void append_of_producer(int count) {
    for (int i = 0; i < count; i++) {
        struct test_batch batch = test_batch_of(1);
        batch.timestamp = test_time.wall_ms;
        batch.producer_id = 5;
        batch.producer_epoch = 0;
        batch.base_sequence = i;
        ck_assert_int_eq(test_append(log_, &batch).error_code, 0);
    }
}

/* The process goes, files stay as they are. */
static inline void kill_it(void) {
    log_destroy(log_);
    log_ = NULL;
}

static inline void close_it(void) {
    ck_assert_int_eq(log_close(log_), 0);
    kill_it();
}

static inline char *path_of(int64_t offset, const char *suffix) {
    return xasprintf("%s/%020lld%s", directory, (long long)offset, suffix);
}

static inline bool exists(int64_t offset, const char *suffix) {
    char *path = path_of(offset, suffix);
    bool found = access(path, F_OK) == 0;
    free(path);
    return found;
}

static inline void rename_file(int64_t offset, const char *suffix, const char *to) {
    char *from_path = path_of(offset, suffix);
    char *to_path = path_of(offset, to);
    ck_assert_int_eq(rename(from_path, to_path), 0);
    free(from_path);
    free(to_path);
}

static inline void copy_file(int64_t offset, const char *suffix, const char *to) {
    char *from_path = path_of(offset, suffix);
    char *to_path = path_of(offset, to);
    char *command = xasprintf("cp %s %s", from_path, to_path);
    ck_assert_int_eq(system(command), 0);
    free(command);
    free(from_path);
    free(to_path);
}

static inline void recopy_name(int64_t offset, const char *suffix) {
    char *path = path_of(offset, suffix);
    ck_assert_int_eq(unlink(path), 0);
    free(path);
}

static inline int64_t size_of(int64_t offset, const char *suffix) {
    char *path = path_of(offset, suffix);
    struct stat status;
    int64_t size = stat(path, &status) == 0 ? (int64_t)status.st_size : -1;
    free(path);
    return size;
}

static inline void cut(int64_t offset, const char *suffix, int64_t size) {
    char *path = path_of(offset, suffix);
    ck_assert_int_eq(truncate(path, size), 0);
    free(path);
}

static inline void flip(int64_t offset, int64_t position) {
    char *path = path_of(offset, ".log");
    FILE *file = fopen(path, "r+b");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, position, SEEK_SET), 0);
    int byte = fgetc(file);
    ck_assert_int_eq(fseek(file, position, SEEK_SET), 0);
    fputc(byte ^ 1, file);
    fclose(file);
    free(path);
}

static inline int64_t base(int segment) {
    return log_->segments[segment]->base_offset;
}

#endif
