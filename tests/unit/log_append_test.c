/* One log from the outside: append, read, roll, reopen, truncate. */
#include <check.h>
#include <stdlib.h>

#include "broker/base/errors.h"
#include "broker/protocol/errors.h"
#include "tests/lib/log_fixture.h"
#include "tests/lib/runner.h"

static struct test_clock test_time;
static char *directory;

static struct log *open_fresh(const struct log_config *config) {
    test_clock_init(&test_time, 1700000100000);
    directory = test_directory_create();
    return test_log_open(disk_posix(), &test_time.base, directory, config, 0, false);
}

static void finish(struct log *log) {
    log_destroy(log);
    test_directory_remove(directory);
    free(directory);
}

START_TEST(offsets_are_assigned_from_the_log_end) {
    struct log_config config = test_log_config();
    struct log *log = open_fresh(&config);
    struct test_batch batch = test_batch_of(3);
    batch.leader_epoch = 4;
    struct log_append_info info = test_append(log, &batch);
    ck_assert_int_eq(info.error_code, 0);
    ck_assert_int_eq(info.first_offset, 0);
    ck_assert_int_eq(info.last_offset, 2);
    info = test_append(log, &batch);
    ck_assert_int_eq(info.first_offset, 3);
    ck_assert_int_eq(log_end_offset(log), 6);
    ck_assert_int_eq(log_latest_epoch(log), 4);
    struct byte_buffer bytes = {0};
    test_read_all(log, 1 << 20, &bytes);
    struct record_batch header;
    ck_assert_int_eq(record_batch_decode(bytes.data, bytes.size, &header), 0);
    ck_assert_int_eq(header.leader_epoch, 4);
    ck_assert(record_batch_crc_is_valid((struct slice){bytes.data, header.size}, &header));
    byte_buffer_deinit(&bytes);
    finish(log);
}
END_TEST

START_TEST(what_was_appended_is_read_back_across_segments_in_any_step) {
    struct log_config config = test_log_config();
    config.segment_bytes = 3000;
    config.index_interval_bytes = 300;
    struct log *log = open_fresh(&config);
    for (int i = 0; i < 100; i++) {
        struct test_batch batch = test_batch_of(1 + i % 4);
        ck_assert_int_eq(test_append(log, &batch).error_code, 0);
    }
    ck_assert_int_gt(log->segment_count, 3);
    struct byte_buffer all = {0};
    test_read_all(log, INT32_MAX, &all);
    ck_assert_int_eq((int64_t)all.size, log_size_bytes(log));
    const int32_t steps[] = {1, 100, 250, 700, 5000};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct byte_buffer again = {0};
        test_read_all(log, steps[i], &again);
        ck_assert_uint_eq(again.size, all.size);
        ck_assert_mem_eq(again.data, all.data, all.size);
        byte_buffer_deinit(&again);
    }
    byte_buffer_deinit(&all);
    finish(log);
}
END_TEST

START_TEST(a_closed_log_opens_with_everything_there) {
    struct log_config config = test_log_config();
    config.segment_bytes = 2000;
    struct log *log = open_fresh(&config);
    for (int i = 0; i < 50; i++) {
        struct test_batch batch = test_batch_of(2);
        batch.leader_epoch = i / 20;
        test_append(log, &batch);
    }
    struct byte_buffer before = {0};
    test_read_all(log, INT32_MAX, &before);
    ck_assert_int_eq(log_close(log), 0);
    ck_assert_int_eq(log_recovery_point(log), 100);
    log_destroy(log);
    log = test_log_open(disk_posix(), &test_time.base, directory, &config, 100, true);
    ck_assert_int_eq(log_end_offset(log), 100);
    ck_assert_int_eq(log_latest_epoch(log), 2);
    ck_assert_int_eq(log_epoch_end_offset(log, 0).end_offset, 40);
    struct byte_buffer after = {0};
    test_read_all(log, INT32_MAX, &after);
    ck_assert_uint_eq(after.size, before.size);
    ck_assert_mem_eq(after.data, before.data, before.size);
    byte_buffer_deinit(&before);
    byte_buffer_deinit(&after);
    finish(log);
}
END_TEST

/* What the simulator showed: the epoch file knew of deleted records, the checkpoint of the log start did not yet. */
START_TEST(a_log_that_begins_earlier_than_its_epochs_reads_them_from_its_batches) {
    struct log_config config = test_log_config();
    struct log *log = open_fresh(&config);
    for (int i = 0; i < 30; i++) {
        struct test_batch batch = test_batch_of(2);
        batch.leader_epoch = 3 + i / 10;
        test_append(log, &batch);
    }
    ck_assert_int_eq(log_increase_start_offset(log, 45), 0);
    ck_assert_int_eq(log_epoch_end_offset(log, 2).end_offset, 45);
    log_destroy(log);
    log = test_log_open(disk_posix(), &test_time.base, directory, &config, 0, false);
    ck_assert_int_eq(log_start_offset(log), 0);
    ck_assert_int_eq(log_epoch_end_offset(log, 2).end_offset, 0);
    ck_assert_int_eq(log_epoch_end_offset(log, 3).end_offset, 20);
    ck_assert_int_eq(log_epoch_end_offset(log, 4).end_offset, 40);
    ck_assert_int_eq(log_latest_epoch(log), 5);
    finish(log);
}
END_TEST

START_TEST(a_follower_ends_up_with_the_leaders_bytes) {
    struct log_config config = test_log_config();
    config.segment_bytes = 1500;
    struct log *leader = open_fresh(&config);
    char *other = test_directory_create();
    struct log *follower = test_log_open(disk_posix(), &test_time.base, other, &config, 0, false);
    for (int i = 0; i < 60; i++) {
        struct test_batch batch = test_batch_of(1 + i % 3);
        batch.leader_epoch = i / 30;
        test_append(leader, &batch);
    }
    struct byte_buffer bytes = {0};
    test_read_all(leader, INT32_MAX, &bytes);
    struct log_append_info info;
    /* A last batch cut short is left out and comes again. */
    ck_assert_int_eq(log_append_as_follower(follower, (struct slice){bytes.data, (int32_t)bytes.size - 5}, &info), 0);
    ck_assert_int_lt(log_end_offset(follower), log_end_offset(leader));
    struct log_read_info rest;
    ck_assert_int_eq(log_read(leader, log_end_offset(follower), 1 << 20, INT64_MAX, true, &rest), 0);
    uint8_t last[4096];
    ck_assert_int_eq(disk_read(rest.records.file, last, (size_t)rest.records.size, rest.records.position),
                     rest.records.size);
    disk_file_unref(rest.records.file);
    ck_assert_int_eq(log_append_as_follower(follower, (struct slice){last, rest.records.size}, &info), 0);
    ck_assert_int_eq(log_end_offset(follower), log_end_offset(leader));
    ck_assert_int_eq(follower->segment_count, leader->segment_count);
    ck_assert_int_eq(log_epoch_end_offset(follower, 0).end_offset, log_epoch_end_offset(leader, 0).end_offset);
    struct byte_buffer copy = {0};
    test_read_all(follower, INT32_MAX, &copy);
    ck_assert_uint_eq(copy.size, bytes.size);
    ck_assert_mem_eq(copy.data, bytes.data, bytes.size);
    /* The same again is not in order; a flipped bit is not accepted. */
    ck_assert_int_eq(log_append_as_follower(follower, (struct slice){last, rest.records.size}, &info), ERR_INVALID);
    last[rest.records.size - 1] ^= 1;
    ck_assert_int_eq(log_append_as_follower(follower, (struct slice){last, rest.records.size}, &info), ERR_CORRUPT);
    ck_assert(!log_is_fenced(follower));
    byte_buffer_deinit(&bytes);
    byte_buffer_deinit(&copy);
    log_destroy(follower);
    test_directory_remove(other);
    free(other);
    finish(leader);
}
END_TEST

static void put_batch(struct byte_buffer *bytes, int64_t offset, int32_t epoch) {
    struct test_batch batch = test_batch_of(1);
    batch.base_offset = offset;
    batch.leader_epoch = epoch;
    test_batch_encode(&batch, bytes);
}

/* A leader's cleaner took out offsets 3 to 8, of epochs 0, 1 and 2. Had the follower let epoch 0 last until 9, it would
 * as leader let another keep what that one has of epoch 0 at 5, where everybody else had epoch 1. */
START_TEST(an_epoch_begins_where_the_batch_before_it_ended_in_a_cleaned_log) {
    struct log_config config = test_log_config();
    struct log *log = open_fresh(&config);
    struct byte_buffer bytes = {0};
    struct log_append_info info;
    put_batch(&bytes, 2, 0);
    put_batch(&bytes, 9, 2);
    put_batch(&bytes, 12, 2);
    put_batch(&bytes, 15, 3);
    ck_assert_int_eq(log_append_as_follower(log, (struct slice){bytes.data, (int32_t)bytes.size}, &info), 0);
    byte_buffer_deinit(&bytes);
    ck_assert_int_eq(log_epoch_end_offset(log, 0).end_offset, 3);
    ck_assert_int_eq(log_epoch_end_offset(log, 1).end_offset, 3);
    ck_assert_int_eq(log_epoch_end_offset(log, 2).end_offset, 13);
    finish(log);
}
END_TEST

START_TEST(truncation_leaves_what_lies_below) {
    struct log_config config = test_log_config();
    config.segment_bytes = 1500;
    config.index_interval_bytes = 200;
    struct log *log = open_fresh(&config);
    struct byte_buffer all = {0};
    for (int i = 0; i < 60; i++) {
        struct test_batch batch = test_batch_of(2);
        batch.leader_epoch = i / 20;
        test_append(log, &batch);
    }
    test_read_all(log, INT32_MAX, &all);
    for (int64_t to = 118; to >= 0; to -= 14) {
        ck_assert_int_eq(log_truncate_to(log, to), 0);
        ck_assert_int_eq(log_end_offset(log), to);
        struct byte_buffer left = {0};
        test_read_all(log, INT32_MAX, &left);
        ck_assert_uint_eq(left.size, all.size / 60 * (size_t)(to / 2));
        ck_assert_mem_eq(left.data, all.data, left.size);
        byte_buffer_deinit(&left);
    }
    struct test_batch batch = test_batch_of(1);
    ck_assert_int_eq(log_truncate_fully_and_start_at(log, 500), 0);
    ck_assert_int_eq(test_append(log, &batch).first_offset, 500);
    ck_assert_int_eq(log_start_offset(log), 500);
    ck_assert_int_eq(log_latest_epoch(log), -1);
    byte_buffer_deinit(&all);
    finish(log);
}
END_TEST

START_TEST(reads_stop_below_the_bound_and_outside_the_log) {
    struct log_config config = test_log_config();
    struct log *log = open_fresh(&config);
    struct test_batch batch = test_batch_of(5);
    for (int i = 0; i < 4; i++) {
        test_append(log, &batch);
    }
    struct log_read_info info;
    ck_assert_int_eq(log_read(log, 0, 1 << 20, 10, true, &info), 0);
    ck_assert_int_eq(info.records.size, log_size_bytes(log) / 2);
    disk_file_unref(info.records.file);
    /* A bound inside a batch leaves that batch out. */
    ck_assert_int_eq(log_read(log, 7, 1 << 20, 12, true, &info), 0);
    ck_assert_int_eq(info.first_offset, 5);
    ck_assert_int_eq(info.records.size, log_size_bytes(log) / 4);
    disk_file_unref(info.records.file);
    ck_assert_int_eq(log_read(log, 20, 1 << 20, 20, true, &info), 0);
    ck_assert_int_eq(info.records.size, 0);
    ck_assert_int_eq(log_read(log, 21, 1 << 20, 21, true, &info), ERR_OUT_OF_RANGE);
    ck_assert_int_eq(log_increase_start_offset(log, 6), 0);
    ck_assert_int_eq(log_read(log, 5, 1 << 20, 20, true, &info), ERR_OUT_OF_RANGE);
    /* A hard limit cuts the first batch; without one it comes whole. */
    ck_assert_int_eq(log_read(log, 6, 10, 20, false, &info), 0);
    ck_assert_int_eq(info.records.size, 10);
    ck_assert(info.first_batch_is_partial);
    disk_file_unref(info.records.file);
    ck_assert_int_eq(log_read(log, 6, 10, 20, true, &info), 0);
    ck_assert_int_eq(info.records.size, log_size_bytes(log) / 4);
    disk_file_unref(info.records.file);
    finish(log);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(offsets_are_assigned_from_the_log_end),
        TEST(what_was_appended_is_read_back_across_segments_in_any_step),
        TEST(a_closed_log_opens_with_everything_there),
        TEST(a_log_that_begins_earlier_than_its_epochs_reads_them_from_its_batches),
        TEST(a_follower_ends_up_with_the_leaders_bytes),
        TEST(an_epoch_begins_where_the_batch_before_it_ended_in_a_cleaned_log),
        TEST(truncation_leaves_what_lies_below),
        TEST(reads_stop_below_the_bound_and_outside_the_log),
    };
    return run_tests("log_append", tests, sizeof tests / sizeof tests[0]);
}
