/* What the log manager leaves to workers, on real directories: checkpoints, epoch files, flushes. When each is written,
 * that no old content comes after a new one, and who waits for it. */
#include <dirent.h>

#include "broker/log/log_internal.h"
#include "tests/unit/log_manager_fixture.h"

START_TEST(checkpoints_are_written_at_their_intervals_and_after_the_start_only) {
    struct log *log = make_log("t", 0);
    append(log, 7);
    ck_assert(!exists(directories[0], "recovery-point-offset-checkpoint"));
    test_clock_advance(&test_time, 4999);
    ck_assert(!exists(directories[0], "replication-offset-checkpoint"));
    test_clock_advance(&test_time, 1);
    check_text(directories[0], "replication-offset-checkpoint", "0\n1\nt 0 0\n");
    test_clock_advance(&test_time, 54999);
    ck_assert(!exists(directories[0], "recovery-point-offset-checkpoint"));
    test_clock_advance(&test_time, 1);
    check_text(directories[0], "recovery-point-offset-checkpoint", "0\n1\nt 0 0\n");
    ck_assert_int_eq(log_flush(log), 0);
    test_clock_advance(&test_time, 60000);
    check_text(directories[0], "recovery-point-offset-checkpoint", "0\n1\nt 0 7\n");
}
END_TEST

START_TEST(a_checkpoint_that_would_say_the_same_again_is_not_written) {
    const char *name = "recovery-point-offset-checkpoint";
    char *path = xasprintf("%s/%s", directories[0], name);
    struct log *log = make_log("t", 0);
    test_clock_advance(&test_time, 60000);
    check_text(directories[0], name, "0\n1\nt 0 0\n");
    ck_assert_int_eq(unlink(path), 0);
    test_clock_advance(&test_time, 120000);
    ck_assert(!exists(directories[0], name));
    append(log, 2);
    ck_assert_int_eq(log_flush(log), 0);
    test_clock_advance(&test_time, 60000);
    check_text(directories[0], name, "0\n1\nt 0 2\n");
    ck_assert_int_eq(unlink(path), 0);
    make_log("second", 0); /* in the other directory */
    make_log("third", 2147483647);
    test_clock_advance(&test_time, 60000);
    char *text = text_of(directories[0], name);
    ck_assert_ptr_nonnull(strstr(text, "t 0 2\n"));
    ck_assert_ptr_nonnull(strstr(text, "third 2147483647 0\n"));
    free(text);
    free(path);
}
END_TEST

START_TEST(a_younger_checkpoint_is_never_replaced_by_an_older_one) {
    struct log *log = make_log("t", 0);
    append(log, 7);
    ck_assert_int_eq(log_flush(log), 0);
    test_time.defers_work = true;
    test_clock_advance(&test_time, 60000); /* "t 0 7" is on its way */
    ck_assert_int_gt(test_time.job_count, 0);
    ck_assert_int_eq(log_truncate_to(log, 3), 0); /* which writes "t 0 3", at once */
    check_text(directories[0], "recovery-point-offset-checkpoint", "0\n1\nt 0 3\n");
    test_clock_work_all(&test_time);
    check_text(directories[0], "recovery-point-offset-checkpoint", "0\n1\nt 0 3\n");
}
END_TEST

START_TEST(a_log_made_anew_is_not_taken_for_the_one_just_deleted) {
    struct log *log = make_log("t", 0);
    append(log, 7);
    ck_assert_int_eq(log_flush(log), 0);
    ck_assert_int_eq(log_manager_checkpoint(manager), 0);
    test_time.defers_work = true;
    ck_assert_int_eq(log_manager_delete(manager, "t", 0), 0);
    make_log("t", 0);
    ck_assert_int_eq(place_of("t", 0), 'a');
    check_text(directories[0], "recovery-point-offset-checkpoint", "0\n0\n"); /* nothing of it is left */
}
END_TEST

START_TEST(a_log_made_anew_does_not_begin_where_a_deleted_one_did) {
    kill_broker(); /* before the checkpoint forgot a log of this name */
    write_text(directories[0], "log-start-offset-checkpoint", "0\n1\nt 0 5\n");
    start();
    append(make_log("t", 0), 6);
    kill_broker();
    start();
    struct log *log = log_manager_find(manager, "t", 0);
    ck_assert_int_eq(log_start_offset(log), 0);
    ck_assert_int_eq(log_end_offset(log), 6);
}
END_TEST

START_TEST(an_epoch_of_a_deleted_log_is_not_written_into_its_successor) {
    test_time.defers_work = true;
    ck_assert_int_eq(log_assign_epoch_start(make_log("t", 0), 5), 0);
    ck_assert_int_eq(log_manager_delete(manager, "t", 0), 0);
    const char *directory = log_directory(make_log("t", 0));
    test_clock_work_all(&test_time);
    char *path = xasprintf("%s/leader-epoch-checkpoint", directory);
    ck_assert_int_ne(access(path, F_OK), 0);
    free(path);
    ck_assert_int_eq(errors_logged, 0);
}
END_TEST

#define MANY_LOGS 20

static void do_nothing(void *context) {
    (void)context;
}

static void note_done(void *context) {
    *(bool *)context = true;
}

static bool has_epoch_file(int32_t partition) {
    char *path = xasprintf("%s/leader-epoch-checkpoint", log_directory(log_manager_find(manager, "t", partition)));
    bool is_there = access(path, F_OK) == 0;
    free(path);
    return is_there;
}

static void lead_many(void) {
    test_time.defers_work = true;
    for (int32_t i = 0; i < MANY_LOGS; i++) {
        ck_assert_int_eq(log_assign_epoch_start(make_log("t", i), 5), 0);
    }
}

START_TEST(other_work_does_not_stand_behind_the_epochs_of_thousands_of_new_leaders) {
    bool is_done = false;
    int turns = 0;
    lead_many();
    clock_spawn(&test_time.base, do_nothing, note_done, &is_done);
    while (!is_done && test_clock_work(&test_time)) {
        turns++;
    }
    ck_assert_int_le(turns, 3); /* the job itself, and the two files that workers had */
    ck_assert(!has_epoch_file(MANY_LOGS - 1));
    test_clock_work_all(&test_time);
    for (int32_t i = 0; i < MANY_LOGS; i++) {
        ck_assert(has_epoch_file(i));
    }
    ck_assert(log_manager_is_idle(manager));
}
END_TEST

static void check_epoch(int32_t partition, int32_t epoch) {
    char *expected = xasprintf("0\n1\n%d 0\n", epoch);
    check_text(log_directory(log_manager_find(manager, "t", partition)), "leader-epoch-checkpoint", expected);
    free(expected);
}

/* However often leaders change while the disk is slow: as many files wait as there are logs. */
START_TEST(of_the_epochs_of_a_log_only_the_last_waits_to_be_written) {
    int turns = 0;
    lead_many();
    for (int32_t epoch = 6; epoch < 100; epoch++) {
        for (int32_t i = 0; i < MANY_LOGS; i++) {
            ck_assert_int_eq(log_assign_epoch_start(log_manager_find(manager, "t", i), epoch), 0);
        }
    }
    while (test_clock_work(&test_time)) {
        turns++;
    }
    ck_assert_int_eq(turns, MANY_LOGS + 2); /* two were being written, and come again */
    for (int32_t i = 0; i < MANY_LOGS; i++) {
        check_epoch(i, 99);
    }
    ck_assert(log_manager_is_idle(manager));
}
END_TEST

START_TEST(a_deleted_log_does_not_wait_to_have_its_epochs_written) {
    lead_many();
    for (int32_t i = 1; i < MANY_LOGS; i++) {
        ck_assert_int_eq(log_manager_delete(manager, "t", i), 0);
    }
    /* The manager CHECKs that no more wait than there are logs, which is one. */
    ck_assert_int_eq(log_assign_epoch_start(log_manager_find(manager, "t", 0), 6), 0);
    test_clock_work_all(&test_time);
    check_epoch(0, 6);
    ck_assert(log_manager_is_idle(manager));
    ck_assert_int_eq(errors_logged, 0);
}
END_TEST

START_TEST(a_clean_stop_writes_the_epochs_that_still_wait) {
    lead_many();
    ck_assert_int_eq(log_manager_shutdown(manager), 0);
    for (int32_t i = 0; i < MANY_LOGS; i++) {
        ck_assert(has_epoch_file(i));
    }
}
END_TEST

START_TEST(the_loop_syncs_nothing_that_can_wait) {
    log_config.segment_bytes = 300;
    log_config.retention_bytes = 0;
    restart();
    struct log *log = make_log("t", 0);
    make_log("t", 1);
    append(log, 1);
    test_time.defers_work = true;
    int64_t before = disk.loop_syncs;
    int64_t by_workers = disk.worker_syncs;
    log_assign_epoch_start(log, 3);
    append(log, 20); /* rolls, which wants a flush */
    ck_assert_int_gt(log->segment_count, 4);
    ck_assert_int_gt(log_apply_retention(log, 20, test_time.wall_ms), 4);
    test_clock_advance(&test_time, 120000);
    for (int i = 0; i < 4; i++) {
        test_clock_work_all(&test_time);
        test_clock_advance(&test_time, 60000);
    }
    ck_assert_int_eq(disk.loop_syncs, before);
    ck_assert_int_gt(disk.worker_syncs, by_workers + 10);
}
END_TEST

static int descriptors_open(void) {
    int count = 0;
    DIR *listing = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(listing);
    while (readdir(listing) != NULL) {
        count++;
    }
    closedir(listing);
    return count;
}

START_TEST(flushes_that_wait_for_a_slow_disk_do_not_hold_the_files_of_all_before_them) {
    struct log *log = make_segments(1);
    test_time.defers_work = true;
    int before = descriptors_open();
    append(log, 60);
    int32_t rolled = log->segment_count - 1;
    ck_assert_int_gt(rolled, 15);
    ck_assert_int_le(descriptors_open() - before, rolled + 8); /* a segment's own, and what one flush holds */
    test_clock_work_all(&test_time);
    ck_assert_int_eq(log_recovery_point(log), log->segments[rolled]->base_offset);
    ck_assert_int_eq(log->flushes_in_flight, 0);
}
END_TEST

START_TEST(a_background_write_that_fails_takes_its_directory_offline) {
    make_log("t", 0);
    make_log("t", 1);
    test_time.defers_work = true;
    test_clock_advance(&test_time, 5000);
    disk.broken = directories[1];
    test_clock_work_all(&test_time);
    ck_assert_int_eq(failed_directories, 1);
    ck_assert_int_eq(errors_logged, 1);
    ck_assert(log_manager_is_offline(manager, "t", 1));
    ck_assert_ptr_nonnull(log_manager_find(manager, "t", 0));
    disk.broken = NULL;
}
END_TEST

START_TEST(a_manager_that_went_is_not_missed_by_its_workers) {
    struct log *log = make_log("t", 0);
    log_config.segment_bytes = 300;
    log_set_config(log, &log_config);
    test_time.defers_work = true;
    append(log, 20);
    test_clock_advance(&test_time, 60000);
    ck_assert(!log_manager_is_idle(manager));
    kill_broker();
    test_clock_work_all(&test_time);
    test_time.defers_work = false;
    start();
    ck_assert(log_manager_is_idle(manager));
    ck_assert_int_eq(log_end_offset(log_manager_find(manager, "t", 0)), 20);
}
END_TEST

START_TEST(after_a_clean_stop_no_duty_finds_fault_with_closed_logs) {
    append(make_log("t", 0), 3);
    ck_assert_int_eq(log_manager_shutdown(manager), 0);
    char *checkpoint = text_of(directories[0], "recovery-point-offset-checkpoint");
    test_clock_advance(&test_time, 700000); /* the process takes its time to end */
    ck_assert_int_eq(errors_logged, 0);
    ck_assert_int_eq(failed_directories, 0);
    check_text(directories[0], "recovery-point-offset-checkpoint", checkpoint);
    free(checkpoint);
}
END_TEST

/* Syncs of a clean stop after rolls whose flushes the workers have done, or have yet to do. */
static int64_t syncs_of_a_clean_stop(const char *topic, bool is_flushed) {
    struct log *log = make_log(topic, 0);
    test_time.defers_work = true;
    append(log, 20);
    ck_assert_int_eq(log->segment_count, 7);
    while (is_flushed && test_clock_work(&test_time)) {
    }
    int64_t before = disk.loop_syncs;
    ck_assert_int_eq(log_manager_shutdown(manager), 0);
    ck_assert_int_eq(log_recovery_point(log), 20);
    int64_t syncs = disk.loop_syncs - before;
    while (test_clock_work(&test_time)) { /* what they find out afterwards harms nobody */
    }
    ck_assert_int_eq(errors_logged, 0);
    ck_assert_int_eq(failed_directories, 0);
    return syncs;
}

START_TEST(a_clean_mark_does_not_believe_a_flush_that_is_still_under_way) {
    log_config.segment_bytes = 300;
    restart();
    int64_t least = syncs_of_a_clean_stop("t", true);
    kill_broker();
    start();
    int64_t doubting = syncs_of_a_clean_stop("u", false);
    ck_assert_int_ge(doubting - least, 6 * 3); /* each rolled segment with its two indexes */
}
END_TEST

/* What was written to a log is lost, and a worker is told so, who is the only one the kernel tells; the loop does not
 * know yet. The flush is the caller's to finish. */
static struct log *lose_writes(struct log_flush *ret_flush) {
    struct log *log = make_log("t", 0);
    append(log, 3);
    ck_assert(log_flush_begin(log, 3, ret_flush));
    char *path = xasprintf("%s/%020d.log", log_directory(log), 0);
    disk.lossy = path;
    log_flush_run(ret_flush);
    disk.lossy = NULL;
    free(path);
    ck_assert_int_eq(ret_flush->error, ERR_IO);
    return log;
}

START_TEST(a_lost_write_that_one_flush_was_told_of_fails_every_other_flush_of_the_log) {
    struct log_flush flush;
    struct log *log = lose_writes(&flush);
    append(log, 1);
    ck_assert_int_eq(log_flush(log), ERR_IO);
    ck_assert_int_eq(log_recovery_point(log), 0);
    ck_assert(log_is_fenced(log));
    ck_assert_int_eq(log_flush_finish(log, &flush), ERR_IO);
    ck_assert_int_eq(log_recovery_point(log), 0);
}
END_TEST

START_TEST(a_truncation_is_not_durable_where_a_flush_was_told_of_a_lost_write) {
    struct log_flush flush;
    struct log *log = lose_writes(&flush);
    ck_assert_int_eq(log_truncate_to(log, 1), ERR_IO);
    ck_assert(log_is_fenced(log));
    log_flush_discard(&flush);
}
END_TEST

START_TEST(a_lost_write_that_a_flush_was_told_of_leaves_no_clean_mark) {
    struct log_flush flush;
    lose_writes(&flush);
    ck_assert_int_ne(log_manager_shutdown(manager), 0);
    ck_assert(!exists(directories[0], ".kafka_cleanshutdown"));
    ck_assert(exists(directories[1], ".kafka_cleanshutdown"));
    log_flush_discard(&flush);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(checkpoints_are_written_at_their_intervals_and_after_the_start_only),
        TEST(a_checkpoint_that_would_say_the_same_again_is_not_written),
        TEST(a_younger_checkpoint_is_never_replaced_by_an_older_one),
        TEST(a_log_made_anew_is_not_taken_for_the_one_just_deleted),
        TEST(a_log_made_anew_does_not_begin_where_a_deleted_one_did),
        TEST(an_epoch_of_a_deleted_log_is_not_written_into_its_successor),
        TEST(other_work_does_not_stand_behind_the_epochs_of_thousands_of_new_leaders),
        TEST(of_the_epochs_of_a_log_only_the_last_waits_to_be_written),
        TEST(a_deleted_log_does_not_wait_to_have_its_epochs_written),
        TEST(a_clean_stop_writes_the_epochs_that_still_wait),
        TEST(the_loop_syncs_nothing_that_can_wait),
        TEST(flushes_that_wait_for_a_slow_disk_do_not_hold_the_files_of_all_before_them),
        TEST(a_background_write_that_fails_takes_its_directory_offline),
        TEST(a_manager_that_went_is_not_missed_by_its_workers),
        TEST(after_a_clean_stop_no_duty_finds_fault_with_closed_logs),
        TEST(a_lost_write_that_one_flush_was_told_of_fails_every_other_flush_of_the_log),
        TEST(a_truncation_is_not_durable_where_a_flush_was_told_of_a_lost_write),
        TEST(a_lost_write_that_a_flush_was_told_of_leaves_no_clean_mark),
        TEST(a_clean_mark_does_not_believe_a_flush_that_is_still_under_way),
    };
    return run_tests_with_fixture("log manager's background", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
