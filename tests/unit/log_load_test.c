/* Opening a partition directory that a crash, a cleaner or a power cut left in disorder. */
#include "tests/unit/log_load_fixture.h"

START_TEST(rule_27_index_entries_are_the_last_offsets_of_batches_and_zeros_at_the_end_are_no_entries) {
    struct test_batch batch = test_batch_of(3);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(test_append(log_, &batch).error_code, 0);
    }
    ck_assert_int_eq(log_->segment_count, 1);
    int64_t batch_size = log_->segments[0]->size / 3;
    close_it();
    int64_t size;
    uint8_t *index = test_file_read(directory, "00000000000000000000.index", &size);
    ck_assert_int_eq(size, 16);
    ck_assert_int_eq(load_i32(index), 5); /* batches are 0-2, 3-5, 6-8; the first never has an entry */
    ck_assert_int_eq(load_i32(index + 4), batch_size);
    ck_assert_int_eq(load_i32(index + 8), 8);
    ck_assert_int_eq(load_i32(index + 12), 2 * batch_size);
    free(index);
    cut(0, ".index", 240); /* what a crash leaves: zeros up to the preallocated size */
    cut(0, ".timeindex", 240);
    open_it(0, false);
    ck_assert_int_eq(log_end_offset(log_), 9);
    ck_assert_int_eq(log_->segments[0]->offset_index.entries, 2);
    struct log_read_info info;
    ck_assert_int_eq(log_read(log_, 7, 10, 9, true, &info), 0);
    ck_assert_int_eq(info.first_offset, 6);
    disk_file_unref(info.records.file);
}
END_TEST

START_TEST(rule_28_offset_and_epoch_are_written_without_touching_the_checksum) {
    struct test_batch batch = test_batch_of(2);
    struct byte_buffer sent = {0};
    test_batch_encode(&batch, &sent);
    append(5);
    batch.leader_epoch = 3;
    int64_t position = log_active_segment(log_)->size;
    ck_assert_int_eq(test_append(log_, &batch).error_code, 0);
    uint8_t *stored = xmalloc(sent.size);
    ck_assert_int_eq(disk_read(log_active_segment(log_)->file, stored, sent.size, position), (int64_t)sent.size);
    ck_assert_int_eq(load_i64(stored), 5);
    ck_assert_int_eq(load_i32(stored + BATCH_AT_LEADER_EPOCH), 3);
    ck_assert_mem_eq(stored + BATCH_AT_MAGIC, sent.data + BATCH_AT_MAGIC, sent.size - BATCH_AT_MAGIC);
    free(stored);
    byte_buffer_deinit(&sent);
}
END_TEST

START_TEST(rule_29_recovery_begins_in_the_segment_of_the_recovery_point) {
    append(30);
    ck_assert_int_gt(log_->segment_count, 4);
    int64_t first = base(1);
    int64_t second = base(2);
    kill_it();
    flip(first, 80);
    open_it(second, false); /* what lies below was synced: it is not read */
    ck_assert_int_eq(log_end_offset(log_), 30);
    ck_assert_int_eq(log_recovery_point(log_), second);
    kill_it();
    open_it(first + 1, false);
    ck_assert_int_eq(log_end_offset(log_), first); /* the point lies in the segment, so all of it is looked at */
    ck_assert_int_eq(log_recovery_point(log_), first);
}
END_TEST

START_TEST(rule_29_a_bad_batch_ends_the_log_and_what_lies_behind_is_deleted_later) {
    append(30);
    int64_t first = base(1);
    int64_t second = base(2);
    int64_t batch_size = log_->segments[1]->size / (second - first);
    kill_it();
    flip(first, batch_size + 80);
    open_it(0, false);
    ck_assert_int_eq(log_end_offset(log_), first + 1);
    ck_assert_int_eq(size_of(first, ".log"), batch_size);
    ck_assert(!exists(second, ".log"));
    append(3);
    ck_assert_int_eq(log_end_offset(log_), first + 4);
}
END_TEST

START_TEST(rule_29_recovery_never_raises_the_recovery_point) {
    append(30);
    int64_t second = base(2);
    kill_it();
    open_it(second + 1, false);
    ck_assert_int_eq(log_end_offset(log_), 30);
    ck_assert_int_eq(log_recovery_point(log_), second + 1);
    ck_assert_int_eq(log_flush(log_), 0);
    ck_assert_int_eq(log_recovery_point(log_), 30);
    kill_it();
    open_it(5000, false); /* nor is a checkpoint believed that says more than there is */
    ck_assert_int_eq(log_recovery_point(log_), 30);
}
END_TEST

START_TEST(a_clean_close_lets_the_next_start_read_nothing) {
    append(30);
    int64_t first = base(1);
    close_it();
    flip(first, 80);
    open_it(0, true);
    ck_assert_int_eq(log_end_offset(log_), 30);
    ck_assert_int_eq(log_recovery_point(log_), 30);
}
END_TEST

static void check_producer(int32_t last_sequence) {
    struct log_producer_state state;
    ck_assert_int_eq(log_producer_state(log_, 5, &state), 0);
    ck_assert_int_eq(state.last_sequence, last_sequence);
}

static void remove_snapshots(void) {
    char *command = xasprintf("rm %s/*.snapshot", directory);
    ck_assert_int_eq(system(command), 0);
    free(command);
}

START_TEST(rule_30_a_snapshot_at_the_log_end_is_left_by_a_clean_close) {
    append_of_producer(30);
    int64_t last = base(log_->segment_count - 1);
    ck_assert(exists(last, ".snapshot")); /* at each roll */
    close_it();
    ck_assert(exists(30, ".snapshot"));
    open_it(0, true);
    check_producer(29);
}
END_TEST

START_TEST(rule_30_a_clean_log_without_any_snapshot_has_no_producers) {
    append_of_producer(30);
    close_it();
    remove_snapshots();
    open_it(0, true);
    struct log_producer_state state;
    ck_assert_int_eq(log_producer_state(log_, 5, &state), ERR_NOT_FOUND);
    ck_assert(exists(30, ".snapshot"));
}
END_TEST

START_TEST(rule_30_after_a_crash_the_producers_come_back_from_the_batches) {
    append_of_producer(30);
    kill_it();
    remove_snapshots();
    open_it(0, false);
    check_producer(29);
}
END_TEST

START_TEST(a_torn_snapshot_is_dropped_and_an_older_one_used) {
    append_of_producer(30);
    close_it();
    cut(30, ".snapshot", 20);
    open_it(0, true);
    check_producer(29);
    ck_assert_int_gt(size_of(30, ".snapshot"), 20);
}
END_TEST

START_TEST(snapshots_that_belong_to_no_segment_go_but_the_one_at_the_end) {
    append_of_producer(30);
    close_it();
    copy_file(30, ".snapshot", ".snapshot.kept");
    rename_file(30, ".snapshot.kept", ".kept");
    char *stray = path_of(3, ".snapshot");
    char *command = xasprintf("cp %s/%020d.kept %s", directory, 30, stray);
    ck_assert_int_eq(system(command), 0);
    free(command);
    free(stray);
    open_it(0, true);
    ck_assert(!exists(3, ".snapshot"));
    ck_assert(exists(30, ".snapshot"));
    for (int i = 1; i < log_->segment_count; i++) {
        ck_assert(exists(base(i), ".snapshot"));
    }
}
END_TEST

START_TEST(rule_31_complete_output_of_a_cleaner_replaces_what_it_was_made_of) {
    append(30);
    int64_t first = base(1);
    int64_t second = base(2);
    int64_t third = base(3);
    close_it();
    /* The cleaner merged the segments 1 and 2 into one of the name of 1; the crash came before the renaming. */
    char *one = path_of(first, ".log");
    char *two = path_of(second, ".log");
    char *command = xasprintf("cat %s %s > %s.swap", one, two, one);
    ck_assert_int_eq(system(command), 0);
    free(command);
    free(one);
    free(two);
    rename_file(first, ".index", ".index.swap"); /* stale, so it will be found wrong and rebuilt */
    open_it(0, true);
    ck_assert(!exists(first, ".log.swap"));
    ck_assert(!exists(second, ".log"));
    ck_assert(!exists(second, ".index"));
    ck_assert(!exists(second, ".timeindex"));
    ck_assert(!exists(second, ".snapshot"));
    ck_assert_int_eq(base(1), first);
    ck_assert_int_eq(base(2), third);
    ck_assert_int_eq(log_end_offset(log_), 30);
    struct byte_buffer all = {0};
    test_read_all(log_, INT32_MAX, &all);
    struct record_batch header;
    int64_t next = 0;
    for (size_t at = 0; at < all.size; at += (size_t)header.size) {
        ck_assert_int_eq(record_batch_decode(all.data + at, all.size - at, &header), 0);
        ck_assert_int_eq(header.base_offset, next++);
    }
    ck_assert_int_eq(next, 30);
    byte_buffer_deinit(&all);
}
END_TEST

START_TEST(rule_31_swap_files_at_or_above_a_cleaned_one_are_incomplete) {
    append(30);
    int64_t first = base(1);
    int64_t second = base(2);
    int64_t third = base(3);
    close_it();
    /* Output of one round: 1 is still .cleaned, 2 is .swap already, since renaming goes from the highest down. */
    copy_file(first, ".log", ".log.cleaned");
    copy_file(first, ".index", ".index.cleaned");
    copy_file(second, ".log", ".log.swap");
    copy_file(second, ".index", ".index.swap");
    cut(second, ".log.swap", 0);
    /* That of an earlier round lies below and is complete. */
    copy_file(0, ".log", ".log.swap");
    open_it(0, true);
    ck_assert(!exists(first, ".log.cleaned"));
    ck_assert(!exists(first, ".index.cleaned"));
    ck_assert(!exists(second, ".log.swap"));
    ck_assert(!exists(second, ".index.swap"));
    ck_assert(!exists(0, ".log.swap"));
    ck_assert_int_eq(base(1), first);
    ck_assert_int_eq(base(2), second);
    ck_assert_int_eq(base(3), third);
    ck_assert_int_gt(size_of(second, ".log"), 0);
    ck_assert_int_eq(log_end_offset(log_), 30);
}
END_TEST

START_TEST(an_index_without_its_log_goes_and_a_missing_index_is_rebuilt_even_after_a_clean_close) {
    append(30);
    int64_t first = base(1);
    close_it();
    copy_file(0, ".index", ".kept");
    int64_t expected;
    uint8_t *before = test_file_read(directory, "00000000000000000000.kept", &expected);
    recopy_name(0, ".index");
    char *orphan = path_of(500, ".index");
    char *command = xasprintf("cp %s/%020d.kept %s", directory, 0, orphan);
    ck_assert_int_eq(system(command), 0);
    free(command);
    free(orphan);
    open_it(0, true);
    ck_assert(!exists(500, ".index"));
    int64_t size;
    uint8_t *after = test_file_read(directory, "00000000000000000000.index", &size);
    ck_assert_int_eq(size, expected);
    ck_assert_mem_eq(after, before, (size_t)size);
    ck_assert_int_eq(base(1), first);
    free(before);
    free(after);
}
END_TEST

START_TEST(a_preallocated_segment_is_cut_to_size_when_rolled_and_when_closed) {
    kill_it();
    recopy_name(0, ".log");
    config.preallocate = true;
    open_it(0, false);
    ck_assert_int_eq(size_of(0, ".log"), 600);
    append(8);
    int64_t first = base(1);
    ck_assert_int_eq(log_->segment_count, 2);
    ck_assert_int_eq(size_of(0, ".log"), log_->segments[0]->size);
    ck_assert_int_lt(size_of(0, ".log"), 601);
    ck_assert_int_eq(size_of(first, ".log"), 600);
    int64_t used = log_->segments[1]->size;
    ck_assert_int_eq(log_size_bytes(log_), log_->segments[0]->size + used);
    kill_it();
    open_it(0, false); /* zeros behind the last batch are no batch */
    ck_assert_int_eq(log_end_offset(log_), 8);
    ck_assert_int_eq(size_of(first, ".log"), used);
    append(20);
    int64_t last = base(log_->segment_count - 1);
    used = log_active_segment(log_)->size;
    close_it();
    ck_assert_int_eq(size_of(last, ".log"), used);
}
END_TEST

START_TEST(the_indexes_of_the_active_segment_are_preallocated_and_cut_when_it_is_closed) {
    append(5);
    ck_assert_int_eq(size_of(0, ".index"), 240);
    ck_assert_int_eq(size_of(0, ".timeindex"), 240);
    int64_t max_timestamp = log_active_segment(log_)->max_timestamp;
    close_it();
    int64_t size;
    uint8_t *times = test_file_read(directory, "00000000000000000000.timeindex", &size);
    ck_assert_int_gt(size, 0);
    ck_assert_int_eq(size % 12, 0);
    ck_assert_int_lt(size, 240);
    /* The last entry tells of the segment's greatest timestamp, index interval or not. */
    ck_assert_int_eq(load_i64(times + size - 12), max_timestamp);
    ck_assert_int_eq(load_i32(times + size - 4), 4);
    free(times);
    ck_assert_int_lt(size_of(0, ".index"), 240);
}
END_TEST

START_TEST(a_start_beyond_the_end_means_that_nothing_there_is_worth_keeping) {
    append(10);
    kill_it();
    struct log_open_options options = {.disk = disk_posix(),
                                       .clock = &test_time.base,
                                       .directory = directory,
                                       .topic = "t",
                                       .config = config,
                                       .start_offset = 40};
    ck_assert_int_eq(log_open(&options, &log_), 0);
    ck_assert_int_eq(log_start_offset(log_), 40);
    ck_assert_int_eq(log_end_offset(log_), 40);
    ck_assert_int_eq(log_latest_epoch(log_), -1);
    append(1);
    ck_assert(exists(40, ".log"));
    ck_assert(!exists(0, ".log"));
}
END_TEST

static void append_of_epoch(int32_t epoch, int count) {
    for (int i = 0; i < count; i++) {
        struct test_batch batch = test_batch_of(1);
        batch.leader_epoch = epoch;
        ck_assert_int_eq(test_append(log_, &batch).error_code, 0);
    }
}

static void copy_name(const char *from, const char *to) {
    char *command = xasprintf("cp %s/%s %s/%s", directory, from, directory, to);
    ck_assert_int_eq(system(command), 0);
    free(command);
}

/* Found by the simulator: the worker that writes the epoch file did not come to it, and the last segment's index is not
 * whole either. Indexes are rebuilt before the log is recovered from the recovery point on. */
START_TEST(an_epoch_begins_where_its_first_batch_is_also_when_a_later_index_is_rebuilt_first) {
    append_of_epoch(3, 5);
    copy_name("leader-epoch-checkpoint", "before");
    append_of_epoch(5, 40);
    int64_t last = log_active_segment(log_)->base_offset;
    ck_assert_int_gt(last, 5);
    kill_it();
    copy_name("before", "leader-epoch-checkpoint");
    recopy_name(last, ".index");
    open_it(0, false);
    ck_assert_int_eq(log_end_offset(log_), 45);
    ck_assert_int_eq(log_epoch_for_offset(log_, 4), 3);
    ck_assert_int_eq(log_epoch_for_offset(log_, 5), 5);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(rule_27_index_entries_are_the_last_offsets_of_batches_and_zeros_at_the_end_are_no_entries),
        TEST(rule_28_offset_and_epoch_are_written_without_touching_the_checksum),
        TEST(rule_29_recovery_begins_in_the_segment_of_the_recovery_point),
        TEST(rule_29_a_bad_batch_ends_the_log_and_what_lies_behind_is_deleted_later),
        TEST(rule_29_recovery_never_raises_the_recovery_point),
        TEST(a_clean_close_lets_the_next_start_read_nothing),
        TEST(rule_30_a_snapshot_at_the_log_end_is_left_by_a_clean_close),
        TEST(rule_30_a_clean_log_without_any_snapshot_has_no_producers),
        TEST(rule_30_after_a_crash_the_producers_come_back_from_the_batches),
        TEST(a_torn_snapshot_is_dropped_and_an_older_one_used),
        TEST(snapshots_that_belong_to_no_segment_go_but_the_one_at_the_end),
        TEST(rule_31_complete_output_of_a_cleaner_replaces_what_it_was_made_of),
        TEST(rule_31_swap_files_at_or_above_a_cleaned_one_are_incomplete),
        TEST(an_index_without_its_log_goes_and_a_missing_index_is_rebuilt_even_after_a_clean_close),
        TEST(a_preallocated_segment_is_cut_to_size_when_rolled_and_when_closed),
        TEST(the_indexes_of_the_active_segment_are_preallocated_and_cut_when_it_is_closed),
        TEST(a_start_beyond_the_end_means_that_nothing_there_is_worth_keeping),
        TEST(an_epoch_begins_where_its_first_batch_is_also_when_a_later_index_is_rebuilt_first),
    };
    return run_tests_with_fixture("log load", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
