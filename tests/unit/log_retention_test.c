/* Where segments end, and when they go: by size, by time, below the log start. */
#include <check.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tests/lib/log_fixture.h"
#include "tests/lib/runner.h"

#define HOUR_MS INT64_C(3600000)
#define FIRST_MS INT64_C(1700000000000)

static struct test_clock test_time;
static char *directory;
static struct log_config config;
static struct log *log_;

static void set_up(void) {
    test_clock_init(&test_time, FIRST_MS);
    directory = test_directory_create();
    config = test_log_config();
    log_ = test_log_open(disk_posix(), &test_time.base, directory, &config, 0, false);
}

static void tear_down(void) {
    log_destroy(log_);
    test_directory_remove(directory);
    free(directory);
}

static void append_at(int64_t timestamp) {
    struct test_batch batch = test_batch_of(1);
    batch.timestamp = timestamp;
    ck_assert_int_eq(test_append(log_, &batch).error_code, 0);
}

/* Segments of three batches each, an hour between batches, rolled by hand. */
static void fill(int segments) {
    for (int i = 0; i < segments; i++) {
        for (int k = 0; k < 3; k++) {
            append_at(FIRST_MS + (i * 3 + k) * HOUR_MS);
        }
        if (i + 1 < segments) {
            ck_assert_int_eq(log_roll(log_), 0);
        }
    }
    ck_assert_int_eq(log_->segment_count, segments);
}

static int apply(int64_t high_watermark, int64_t wall_ms) {
    log_set_config(log_, &config);
    return log_apply_retention(log_, high_watermark, wall_ms);
}

START_TEST(whole_segments_go_while_the_log_without_them_is_still_large_enough) {
    fill(5);
    int64_t segment = log_->segments[0]->size;
    ck_assert_int_eq(apply(15, FIRST_MS), 0); /* -1: no bound */
    config.retention_bytes = 4 * segment + 1;
    ck_assert_int_eq(apply(15, FIRST_MS), 0); /* one less would be too little */
    config.retention_bytes = 4 * segment;
    ck_assert_int_eq(apply(15, FIRST_MS), 1);
    ck_assert_int_eq(log_start_offset(log_), 3);
    config.retention_bytes = 2 * segment;
    ck_assert_int_eq(apply(15, FIRST_MS), 2);
    ck_assert_int_eq(log_start_offset(log_), 9);
    config.retention_bytes = 0;
    ck_assert_int_eq(apply(15, FIRST_MS), 2); /* the active one as well: an empty one takes its place */
    ck_assert_int_eq(log_start_offset(log_), 15);
    ck_assert_int_eq(log_end_offset(log_), 15);
    ck_assert_int_eq(log_size_bytes(log_), 0);
    append_at(FIRST_MS);
    ck_assert_int_eq(log_end_offset(log_), 16);
}
END_TEST

START_TEST(segments_go_when_their_greatest_timestamp_is_too_old) {
    fill(4);
    config.retention_ms = 10 * HOUR_MS;
    ck_assert_int_eq(apply(12, FIRST_MS + 12 * HOUR_MS), 0); /* the first ends at hour 2, exactly 10 hours ago */
    ck_assert_int_eq(apply(12, FIRST_MS + 12 * HOUR_MS + 1), 1);
    ck_assert_int_eq(log_start_offset(log_), 3);
    ck_assert_int_eq(apply(12, FIRST_MS + 100 * HOUR_MS), 3);
    ck_assert_int_eq(log_start_offset(log_), 12);
    ck_assert_int_eq(log_->segment_count, 1);
    ck_assert_int_eq(apply(12, FIRST_MS + 1000 * HOUR_MS), 0); /* the empty one stays */
}
END_TEST

START_TEST(an_old_segment_behind_a_young_one_waits_for_it) {
    append_at(FIRST_MS + 50 * HOUR_MS);
    ck_assert_int_eq(log_roll(log_), 0);
    append_at(FIRST_MS);
    ck_assert_int_eq(log_roll(log_), 0);
    append_at(FIRST_MS + 60 * HOUR_MS);
    config.retention_ms = 10 * HOUR_MS;
    ck_assert_int_eq(apply(3, FIRST_MS + 55 * HOUR_MS), 0);
    ck_assert_int_eq(apply(3, FIRST_MS + 61 * HOUR_MS), 2);
}
END_TEST

START_TEST(nothing_at_or_above_the_high_watermark_goes) {
    fill(4);
    config.retention_bytes = 0;
    config.retention_ms = 0;
    ck_assert_int_eq(apply(0, FIRST_MS + 1000 * HOUR_MS), 0);
    ck_assert_int_eq(apply(5, FIRST_MS + 1000 * HOUR_MS), 1); /* the second segment ends at 6 */
    ck_assert_int_eq(apply(6, FIRST_MS + 1000 * HOUR_MS), 1);
    ck_assert_int_eq(apply(11, FIRST_MS + 1000 * HOUR_MS), 1);
    ck_assert_int_eq(log_start_offset(log_), 9);
    ck_assert_int_eq(apply(12, FIRST_MS + 1000 * HOUR_MS), 1);
    ck_assert_int_eq(log_start_offset(log_), 12);
}
END_TEST

START_TEST(segments_below_the_log_start_go_whatever_the_policy) {
    fill(4);
    config.delete = false;
    config.compact = true;
    config.retention_bytes = 0;
    config.retention_ms = 0;
    ck_assert_int_eq(apply(12, FIRST_MS + 1000 * HOUR_MS), 0); /* a compacted log is not deleted from */
    ck_assert_int_eq(log_increase_start_offset(log_, 7), 0);
    ck_assert_int_eq(log_start_offset(log_), 7);
    ck_assert_int_eq(log_->segment_count, 2); /* 6 to 8 holds the start */
    ck_assert_int_eq(log_->segments[0]->base_offset, 6);
    ck_assert_int_eq(log_increase_start_offset(log_, 13), ERR_OUT_OF_RANGE);
    ck_assert_int_eq(log_increase_start_offset(log_, 3), 0); /* never back */
    ck_assert_int_eq(log_start_offset(log_), 7);
    struct log_read_info info;
    ck_assert_int_eq(log_read(log_, 6, 100, 12, true, &info), ERR_OUT_OF_RANGE);
    ck_assert_int_eq(log_increase_start_offset(log_, 12), 0);
    ck_assert_int_eq(log_->segment_count, 1);
}
END_TEST

START_TEST(without_timestamps_a_segment_is_as_old_as_its_file) {
    struct test_batch batch = test_batch_of(1);
    batch.timestamp = -1;
    ck_assert_int_eq(test_append(log_, &batch).error_code, 0);
    ck_assert_int_eq(log_->segments[0]->max_timestamp, -1);
    int64_t modified_ms = disk_posix()->ops->modified_ms(log_->segments[0]->file);
    ck_assert_int_gt(modified_ms, FIRST_MS);
    config.retention_ms = HOUR_MS;
    ck_assert_int_eq(apply(1, modified_ms + HOUR_MS), 0);
    ck_assert_int_eq(apply(1, modified_ms + HOUR_MS + 1), 1);
}
END_TEST

START_TEST(the_epochs_of_what_was_deleted_are_forgotten) {
    for (int32_t epoch = 0; epoch < 3; epoch++) {
        struct test_batch batch = test_batch_of(2);
        batch.leader_epoch = epoch;
        ck_assert_int_eq(test_append(log_, &batch).error_code, 0);
        ck_assert_int_eq(log_roll(log_), 0);
    }
    ck_assert_int_eq(log_increase_start_offset(log_, 3), 0);
    ck_assert_int_eq(log_epoch_for_offset(log_, 2), -1);
    ck_assert_int_eq(log_epoch_for_offset(log_, 3), 1);
    ck_assert_int_eq(log_epoch_end_offset(log_, 0).end_offset, 3);
    int64_t size;
    char *text = (char *)test_file_read(directory, "leader-epoch-checkpoint", &size);
    text[size] = 0;
    ck_assert_str_eq(text, "0\n2\n1 3\n2 4\n");
    free(text);
}
END_TEST

START_TEST(a_segment_is_rolled_when_the_next_batch_does_not_fit) {
    append_at(FIRST_MS);
    int64_t batch = log_->segments[0]->size;
    config.segment_bytes = (int32_t)(3 * batch);
    log_set_config(log_, &config);
    for (int i = 0; i < 8; i++) {
        append_at(FIRST_MS);
    }
    ck_assert_int_eq(log_->segment_count, 3);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(log_->segments[i]->base_offset, 3 * i);
        ck_assert_int_eq(log_->segments[i]->size, 3 * batch);
    }
}
END_TEST

START_TEST(a_segment_is_rolled_by_the_timestamps_of_its_records) {
    config.segment_ms = HOUR_MS;
    log_set_config(log_, &config);
    append_at(FIRST_MS);
    test_clock_advance(&test_time, 10 * HOUR_MS); /* the wall clock does not matter */
    append_at(FIRST_MS + HOUR_MS);
    ck_assert_int_eq(log_->segment_count, 1);
    append_at(FIRST_MS + HOUR_MS + 1);
    ck_assert_int_eq(log_->segment_count, 2);
    append_at(FIRST_MS);
    ck_assert_int_eq(log_->segment_count, 2);
}
END_TEST

START_TEST(without_timestamps_a_segment_is_rolled_by_the_wall_clock) {
    config.segment_ms = HOUR_MS;
    log_set_config(log_, &config);
    append_at(-1);
    test_clock_advance(&test_time, HOUR_MS);
    append_at(-1);
    ck_assert_int_eq(log_->segment_count, 1);
    test_clock_advance(&test_time, 1);
    append_at(-1);
    ck_assert_int_eq(log_->segment_count, 2);
}
END_TEST

START_TEST(jitter_shortens_segments_each_by_its_own_share_and_the_same_each_time) {
    config.segment_ms = 10 * HOUR_MS;
    config.segment_jitter_ms = 4 * HOUR_MS;
    int different = 0;
    int64_t before = -1;
    struct log_segment segment = {.place = &log_->place};
    for (segment.base_offset = 0; segment.base_offset < 50; segment.base_offset++) {
        int64_t roll_ms = segment_roll_ms(&segment, &config);
        ck_assert_int_le(roll_ms, 10 * HOUR_MS);
        ck_assert_int_gt(roll_ms, 6 * HOUR_MS);
        ck_assert_int_eq(roll_ms, segment_roll_ms(&segment, &config));
        different += roll_ms != before;
        before = roll_ms;
    }
    ck_assert_int_eq(different, 50);
    log_set_config(log_, &config);
    int64_t roll_ms = segment_roll_ms(log_->segments[0], &config);
    append_at(FIRST_MS);
    append_at(FIRST_MS + roll_ms);
    ck_assert_int_eq(log_->segment_count, 1);
    append_at(FIRST_MS + roll_ms + 1);
    ck_assert_int_eq(log_->segment_count, 2);
    config.segment_jitter_ms = 1000 * HOUR_MS; /* bounded by segment.ms itself */
    ck_assert_int_gt(segment_roll_ms(log_->segments[0], &config), 0);
    config.segment_jitter_ms = 0;
    ck_assert_int_eq(segment_roll_ms(log_->segments[0], &config), 10 * HOUR_MS);
}
END_TEST

START_TEST(a_full_index_rolls_the_segment) {
    config.segment_index_bytes = 40; /* five offsets, three times, of which the last is kept for the end */
    config.index_interval_bytes = 0;
    log_set_config(log_, &config);
    ck_assert_int_eq(log_roll(log_), 0); /* nothing to begin after, yet */
    append_at(FIRST_MS);
    ck_assert_int_eq(log_roll(log_), 0);
    for (int i = 0; i < 20; i++) {
        append_at(FIRST_MS + i);
    }
    ck_assert_int_gt(log_->segment_count, 4);
    ck_assert_int_eq(log_end_offset(log_), 21);
}
END_TEST

START_TEST(flush_messages_makes_appends_durable_before_they_are_answered) {
    config.flush_messages = 3;
    log_set_config(log_, &config);
    append_at(FIRST_MS);
    append_at(FIRST_MS);
    ck_assert_int_eq(log_recovery_point(log_), 0);
    append_at(FIRST_MS);
    ck_assert_int_eq(log_recovery_point(log_), 3);
    append_at(FIRST_MS);
    ck_assert_int_eq(log_recovery_point(log_), 3);
}
END_TEST

START_TEST(rule_30_a_producer_whose_records_were_all_deleted_still_cannot_write_its_last_batch_twice) {
    struct test_batch batch = test_batch_of(2);
    batch.producer_id = 7;
    batch.base_sequence = 0;
    ck_assert_int_eq(test_append(log_, &batch).error_code, 0);
    config.retention_bytes = 0;
    ck_assert_int_eq(apply(2, FIRST_MS), 1);
    ck_assert_int_eq(log_start_offset(log_), 2);
    /* The process dies: the state is built anew, and the snapshot at the log start is all there is of the producer. */
    log_destroy(log_);
    log_ = test_log_open(disk_posix(), &test_time.base, directory, &config, 0, false);
    ck_assert_int_eq(log_start_offset(log_), 2);
    struct log_append_info info = test_append(log_, &batch);
    ck_assert_int_eq(info.error_code, 0);
    ck_assert(info.is_duplicate);
    ck_assert_int_eq(log_end_offset(log_), 2);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(whole_segments_go_while_the_log_without_them_is_still_large_enough),
        TEST(segments_go_when_their_greatest_timestamp_is_too_old),
        TEST(an_old_segment_behind_a_young_one_waits_for_it),
        TEST(nothing_at_or_above_the_high_watermark_goes),
        TEST(segments_below_the_log_start_go_whatever_the_policy),
        TEST(without_timestamps_a_segment_is_as_old_as_its_file),
        TEST(the_epochs_of_what_was_deleted_are_forgotten),
        TEST(rule_30_a_producer_whose_records_were_all_deleted_still_cannot_write_its_last_batch_twice),
        TEST(a_segment_is_rolled_when_the_next_batch_does_not_fit),
        TEST(a_segment_is_rolled_by_the_timestamps_of_its_records),
        TEST(without_timestamps_a_segment_is_rolled_by_the_wall_clock),
        TEST(jitter_shortens_segments_each_by_its_own_share_and_the_same_each_time),
        TEST(a_full_index_rolls_the_segment),
        TEST(flush_messages_makes_appends_durable_before_they_are_answered),
    };
    return run_tests_with_fixture("log retention", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
