/* A record log on a disk that dies at a chosen operation, and what was told to be in it. For the tests that include it.
 *
 * Every record is a batch of its own, and its timestamp a tag that no other one has. */
#ifndef OTTLA_TESTS_LOG_CRASH_FIXTURE_H
#define OTTLA_TESTS_LOG_CRASH_FIXTURE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/log/log_internal.h"
#include "broker/log/log_manager.h"
#include "tests/lib/log_fixture.h"
#include "tests/lib/memory_disk.h"
#include "tests/lib/runner.h"

#define RECORDS_MAX 400

static struct test_clock test_time;
static struct memory_disk *disk;

/* What the process was told. */
static struct {
    int64_t end;                              /* acknowledged log end */
    int64_t flushed;                          /* everything below was flushed and not truncated since */
    int64_t truncating;                       /* lowest offset an unfinished truncation aims at, or the end */
    int32_t value[RECORDS_MAX];               /* tag last acknowledged at each offset */
    bool was_there[RECORDS_MAX][RECORDS_MAX]; /* tags ever sent at each offset */
    int32_t next_tag;
} model;

/* A new disk that dies at this operation (0: when it is told to), and no log yet. */
static inline void begin_on_new_disk(int64_t operation) {
    trace_nothing();
    memset(&model, 0, sizeof model);
    test_clock_init(&test_time, 1700000100000);
    disk = memory_disk_create();
    if (operation > 0) {
        memory_disk_fail_at(disk, operation);
    }
}

/* Logs of many small segments. */
static inline struct log_manager_config crash_config(const char *const *directories, int32_t count) {
    struct log_manager_config config = test_log_manager_config(directories, count);
    config.defaults.segment_bytes = 700;
    config.defaults.index_interval_bytes = 150;
    config.defaults.segment_index_bytes = 240;
    return config;
}

/* NULL in *ret_manager after an error. */
static inline int open_and_load(const struct log_manager_config *config, struct log_manager **ret_manager) {
    char *message = NULL;
    int error = log_manager_open(memory_disk_base(disk), &test_time.base, config, ret_manager, &message);
    if (error == 0) {
        error = log_manager_load(*ret_manager, &message);
        if (error != 0) {
            log_manager_destroy(*ret_manager);
        }
    }
    if (error != 0) {
        *ret_manager = NULL;
    }
    free(message);
    return error;
}

static inline bool append(struct log *log, int32_t leader_epoch) {
    int64_t offset = log_end_offset(log);
    ck_assert_int_lt(offset, RECORDS_MAX);
    ck_assert_int_lt(model.next_tag, RECORDS_MAX);
    struct test_batch batch = test_batch_of(1);
    batch.timestamp = model.next_tag;
    batch.leader_epoch = leader_epoch;
    model.was_there[offset][model.next_tag] = true;
    struct byte_buffer bytes = {0};
    struct log_append_info info;
    test_batch_encode(&batch, &bytes);
    int error = log_append_as_leader(log, (struct slice){bytes.data, (int32_t)bytes.size}, leader_epoch,
                                     LOG_ORIGIN_CLIENT, 9, test_time.wall_ms, &info);
    byte_buffer_deinit(&bytes);
    if (error == 0) {
        ck_assert_int_eq(info.error_code, 0);
        ck_assert_int_eq(info.first_offset, offset);
        model.value[offset] = model.next_tag;
        model.end = offset + 1;
        model.truncating = MAX(model.truncating, model.end);
    }
    model.next_tag++;
    return error == 0;
}

static inline bool truncate_to(struct log *log, int64_t offset) {
    model.truncating = offset;
    model.flushed = MIN(model.flushed, offset);
    if (log_truncate_to(log, offset) != 0) {
        return false;
    }
    model.end = offset;
    return true;
}

/* Batches without a hole, each as it was once appended at its offset, and what was promised among them. */
static inline void check_content(struct log *log, bool power_loss, const char *when) {
    struct byte_buffer bytes = {0};
    int64_t expected = log_start_offset(log);
    int64_t promised = power_loss ? model.flushed : MIN(model.end, model.truncating);
    test_read_all(log, 300, &bytes);
    for (size_t at = 0; at < bytes.size;) {
        struct record_batch header;
        ck_assert_int_eq(record_batch_decode(bytes.data + at, bytes.size - at, &header), 0);
        struct slice batch = {bytes.data + at, header.size};
        int64_t offset = header.base_offset;
        int64_t tag = header.base_timestamp;
        ck_assert_msg(record_batch_crc_is_valid(batch, &header), "%s: a bad batch at %lld", when, (long long)offset);
        ck_assert_msg(offset == expected || at == 0, "%s: a hole before %lld", when, (long long)offset);
        ck_assert_msg(offset < RECORDS_MAX && tag >= 0 && tag < RECORDS_MAX && model.was_there[offset][tag],
                      "%s: a stranger at %lld", when, (long long)offset);
        ck_assert_msg(offset >= promised || tag == model.value[offset], "%s: an old batch at %lld", when,
                      (long long)offset);
        expected = header.last_offset + 1;
        at += (size_t)header.size;
    }
    ck_assert_msg(log_end_offset(log) >= promised, "%s: the log ends at %lld, %lld were promised", when,
                  (long long)log_end_offset(log), (long long)promised);
    byte_buffer_deinit(&bytes);
}

/* What is left of the log, which may be missing when nothing was promised. */
static inline void check_what_is_left(struct log *log, bool power_loss, const char *when) {
    ck_assert_msg(log != NULL || (power_loss ? model.flushed : model.end) == 0, "%s: the log is gone", when);
    if (log != NULL) {
        check_content(log, power_loss, when);
        model.end = model.truncating = log_end_offset(log);
    }
}

/* Runs a life that dies at each of its disk operations in turn, until one gets to its end; how many these were. */
static inline int64_t sweep_operations(bool (*crash_at)(int64_t operation, bool power_loss, const char *when),
                                       bool power_loss) {
    char when[80];
    int64_t operation = 0;
    do {
        operation++;
        snprintf(when, sizeof when, "%s at operation %lld", power_loss ? "power cut" : "kill", (long long)operation);
    } while (crash_at(operation, power_loss, when));
    printf("%s at each of %lld disk operations: recovered\n", power_loss ? "power cut" : "kill",
           (long long)operation - 1);
    return operation;
}

#endif
