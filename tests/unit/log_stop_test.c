/* A clean stop of many logs, which one sync of the file system makes durable; and what idle logs cost a start and a
 * stop: no index of theirs is opened, none changes its length. */
#include "tests/unit/log_crash_fixture.h"

#define DIRECTORY "/data"
#define LOGS 12

static struct log_manager *manager;

static int start(void) {
    static const char *const directories[] = {DIRECTORY};
    const struct log_manager_config config = crash_config(directories, 1);
    return open_and_load(&config, &manager);
}

static struct log *log_of(int32_t partition) {
    return log_manager_find(manager, "t", partition);
}

static bool append_to(struct log *log, int count, int32_t leader_epoch) {
    for (int i = 0; i < count; i++) {
        struct test_batch batch = test_batch_of(1);
        batch.leader_epoch = leader_epoch;
        batch.timestamp = test_time.wall_ms + i;
        struct byte_buffer bytes = {0};
        struct log_append_info info;
        test_batch_encode(&batch, &bytes);
        int error = log_append_as_leader(log, (struct slice){bytes.data, (int32_t)bytes.size}, leader_epoch,
                                         LOG_ORIGIN_CLIENT, 9, test_time.wall_ms, &info);
        byte_buffer_deinit(&bytes);
        if (error != 0) {
            return false;
        }
    }
    return true;
}

/* As many records as the partition's number says; the first log has none, and what is written is never synced before
 * the stop. */
static bool fill(int32_t partition, int32_t leader_epoch) {
    struct log *log = log_of(partition);
    return log_assign_epoch_start(log, leader_epoch) == 0 && append_to(log, partition, leader_epoch);
}

static bool make_logs(void) {
    struct log *log;
    bool alive = start() == 0 && log_manager_write_identity(manager, 1, "cluster") == 0;
    for (int32_t i = 0; alive && i < LOGS; i++) {
        alive = log_manager_get_or_create(manager, "t", i, true, (struct uuid){{1}}, &log) == 0 && fill(i, 3);
    }
    return alive;
}

/* A life of many logs that ends in order, or at this operation. Returns false when it got to its end. */
static bool crash_at(int64_t operation, bool power_loss, const char *when) {
    begin_on_new_disk(operation);
    test_time.defers_work = true; /* the workers get to nothing: the epoch files are left to the stop */
    bool is_filled = make_logs();
    bool is_stopped = is_filled && log_manager_shutdown(manager) == 0;
    log_manager_destroy(manager);
    test_clock_work_all(&test_time);
    memory_disk_restart(disk, power_loss);
    test_time.defers_work = false;
    ck_assert_msg(start() == 0, "%s: does not start again", when);
    for (int32_t i = 0; i < LOGS; i++) {
        struct log *log = log_of(i);
        int64_t end = log == NULL ? 0 : log_end_offset(log);
        bool must_be_whole = is_stopped || (is_filled && !power_loss);
        ck_assert_msg(end == i || (!must_be_whole && end < i), "%s: log %d ends at %lld", when, i, (long long)end);
        if (is_stopped) {
            ck_assert_int_eq(log_recovery_point(log), i);
            ck_assert_int_eq(log_latest_epoch(log), i == 0 ? -1 : 3);
        }
        ck_assert(log == NULL || append_to(log, 1, 4));
    }
    ck_assert_int_eq(log_manager_shutdown(manager), 0);
    log_manager_destroy(manager);
    memory_disk_destroy(disk);
    return !is_stopped;
}

START_TEST(a_kill_anywhere_in_the_stop_of_many_logs_loses_nothing) {
    ck_assert_int_gt(sweep_operations(crash_at, false), 100);
}
END_TEST

START_TEST(a_power_cut_anywhere_in_the_stop_of_many_logs_leaves_no_log_that_is_believed_and_torn) {
    ck_assert_int_gt(sweep_operations(crash_at, true), 100);
}
END_TEST

/* Changing operations that the stop of logs takes which were all written to before. */
static int64_t operations_of_stop(int32_t logs) {
    struct log *log;
    begin_on_new_disk(0);
    ck_assert_int_eq(start(), 0);
    for (int32_t i = 0; i < logs; i++) {
        ck_assert_int_eq(log_manager_get_or_create(manager, "t", i, true, (struct uuid){{1}}, &log), 0);
        ck_assert(append_to(log, 1, 0));
    }
    int64_t before = memory_disk_operations(disk);
    ck_assert_int_eq(log_manager_shutdown(manager), 0);
    int64_t operations = memory_disk_operations(disk) - before;
    log_manager_destroy(manager);
    memory_disk_destroy(disk);
    return operations;
}

START_TEST(a_log_that_is_closed_among_many_is_not_synced_by_itself) {
    /* Its producer snapshot is made and written, its time index is written, both indexes are cut: no sync of the log,
     * of its indexes, its snapshot, partition.metadata, the directory and the one above. */
    ck_assert_int_le(operations_of_stop(40) - operations_of_stop(20), 20 * 5);
}
END_TEST

START_TEST(logs_that_nothing_is_written_to_are_loaded_and_closed_without_a_change) {
    begin_on_new_disk(0);
    ck_assert(make_logs());
    ck_assert_int_eq(log_manager_shutdown(manager), 0);
    log_manager_destroy(manager);
    ck_assert_int_eq(start(), 0);
    int64_t before = memory_disk_operations(disk);
    for (int32_t i = 0; i < LOGS; i++) {
        ck_assert_ptr_null(log_active_segment(log_of(i))->offset_index.file);
        ck_assert_ptr_null(log_active_segment(log_of(i))->time_index.file);
        ck_assert_int_eq(log_close(log_of(i)), 0);
    }
    ck_assert_int_eq(memory_disk_operations(disk), before);
    log_manager_destroy(manager);
    memory_disk_destroy(disk);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_kill_anywhere_in_the_stop_of_many_logs_loses_nothing),
        TEST(a_power_cut_anywhere_in_the_stop_of_many_logs_leaves_no_log_that_is_believed_and_torn),
        TEST(a_log_that_is_closed_among_many_is_not_synced_by_itself),
        TEST(logs_that_nothing_is_written_to_are_loaded_and_closed_without_a_change),
    };
    return run_tests("log_stop", tests, sizeof tests / sizeof tests[0]);
}
