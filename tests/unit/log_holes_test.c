/* Gaps that a crash may have left in a log: which end it, and which are remembered until somebody settles them
 * (replication/README.md, "Holes"). */
#include "tests/unit/log_load_fixture.h"

START_TEST(a_hole_in_what_was_not_flushed_ends_the_log_there) {
    append(30);
    int64_t first = base(1);
    int64_t second = base(2);
    int64_t batch_size = log_->segments[1]->size / (second - first);
    kill_it();
    cut(first, ".log", size_of(first, ".log") - batch_size); /* at the end of a batch: every checksum is right */
    open_it(0, false);
    ck_assert_int_eq(log_end_offset(log_), second - 1);
    ck_assert(!exists(second, ".log"));
}
END_TEST

/* Thirty records in a compacted log, of which a power cut takes the last of the second segment. */
static int64_t leave_hole(void) {
    config.compact = true;
    log_set_config(log_, &config);
    append(30);
    int64_t first = base(1);
    int64_t second = base(2);
    int64_t batch_size = log_->segments[1]->size / (second - first);
    kill_it();
    cut(first, ".log", size_of(first, ".log") - batch_size);
    return second - 1;
}

START_TEST(a_compacted_log_keeps_what_lies_behind_its_holes_and_knows_the_first_that_a_crash_may_have_left) {
    int64_t hole = leave_hole();
    open_it(0, false);
    ck_assert_int_eq(log_end_offset(log_), 30);
    ck_assert_int_eq(base(2), hole + 1);
    ck_assert_int_eq(log_doubtful_from(log_), hole);
    ck_assert_int_eq(log_truncate_to(log_, hole + 1), 0);
    ck_assert_int_eq(log_doubtful_from(log_), hole);
    ck_assert_int_eq(log_truncate_to(log_, hole), 0);
    ck_assert_int_eq(log_doubtful_from(log_), -1);
}
END_TEST

START_TEST(where_recovery_cuts_a_compacted_log_nothing_is_doubtful) {
    config.compact = true;
    log_set_config(log_, &config);
    append(30);
    int64_t torn = base(1);
    int64_t end = base(2) - 1;
    kill_it();
    cut(torn, ".log", size_of(torn, ".log") - 3);
    open_it(0, false);
    ck_assert_int_eq(log_end_offset(log_), end);
    ck_assert_int_eq(log_doubtful_from(log_), -1);
}
END_TEST

START_TEST(what_was_flushed_before_the_crash_is_not_doubtful) {
    int64_t hole = leave_hole();
    open_it(hole + 1, false);
    ck_assert_int_eq(log_doubtful_from(log_), -1);
    ck_assert_int_eq(log_end_offset(log_), 30);
}
END_TEST

START_TEST(a_doubt_outlives_flushes_and_clean_stops_until_a_leader_is_believed) {
    int64_t hole = leave_hole();
    open_it(0, false);
    ck_assert_int_eq(log_flush(log_), 0);
    ck_assert_int_eq(log_recovery_point(log_), hole);
    close_it();
    config.compact = false; /* its topic is not compacted any more */
    open_it(hole, true);
    ck_assert_int_eq(log_doubtful_from(log_), hole);
    ck_assert_int_eq(log_recovery_point(log_), hole);
    log_believe(log_);
    ck_assert_int_eq(log_flush(log_), 0);
    ck_assert_int_eq(log_recovery_point(log_), 30);
    close_it();
    open_it(30, true);
    ck_assert_int_eq(log_doubtful_from(log_), -1);
}
END_TEST

static void open_otherwise(int64_t start_offset, bool is_copy) {
    const struct log_open_options options = {.disk = disk_posix(),
                                             .clock = &test_time.base,
                                             .directory = directory,
                                             .topic = "t",
                                             .config = config,
                                             .start_offset = start_offset,
                                             .clean_offset = -1,
                                             .is_copy = is_copy};
    ck_assert_int_eq(log_open(&options, &log_), 0);
}

START_TEST(a_hole_below_the_log_start_is_nobodys_loss) {
    int64_t hole = leave_hole();
    open_otherwise(hole + 1, false);
    ck_assert_int_eq(log_doubtful_from(log_), -1);
    ck_assert_int_eq(log_start_offset(log_), hole + 1);
}
END_TEST

START_TEST(a_copy_on_its_way_to_another_directory_ends_at_its_first_hole) {
    int64_t hole = leave_hole();
    open_otherwise(0, true);
    ck_assert_int_eq(log_end_offset(log_), hole);
    ck_assert_int_eq(log_doubtful_from(log_), -1);
}
END_TEST

START_TEST(a_segment_that_begins_below_the_end_of_the_one_before_it_is_no_part_of_the_log) {
    append(30);
    int64_t second = base(1);
    kill_it();
    copy_file(second, ".log", ".kept");
    config.segment_bytes = 1 << 20;
    open_it(0, false);
    ck_assert_int_eq(log_truncate_fully_and_start_at(log_, 0), 0);
    append(30);
    ck_assert_int_eq(log_->segment_count, 1);
    kill_it();
    rename_file(second, ".kept", ".log");
    open_it(0, false);
    ck_assert_int_eq(log_->segment_count, 1);
    ck_assert_int_eq(log_end_offset(log_), 30);
    ck_assert(!exists(second, ".log"));
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_hole_in_what_was_not_flushed_ends_the_log_there),
        TEST(a_compacted_log_keeps_what_lies_behind_its_holes_and_knows_the_first_that_a_crash_may_have_left),
        TEST(where_recovery_cuts_a_compacted_log_nothing_is_doubtful),
        TEST(what_was_flushed_before_the_crash_is_not_doubtful),
        TEST(a_doubt_outlives_flushes_and_clean_stops_until_a_leader_is_believed),
        TEST(a_hole_below_the_log_start_is_nobodys_loss),
        TEST(a_copy_on_its_way_to_another_directory_ends_at_its_first_hole),
        TEST(a_segment_that_begins_below_the_end_of_the_one_before_it_is_no_part_of_the_log),
    };
    return run_tests_with_fixture("log holes", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
