/* The log manager on real directories: where logs go, what a broken directory costs, and what is believed of what the
 * last run left behind. */
#include <sys/resource.h>

#include "tests/unit/log_manager_fixture.h"

START_TEST(a_new_log_goes_to_the_directory_with_the_fewest) {
    char places[7] = {0};
    for (int i = 0; i < 6; i++) {
        make_log("t", i);
        places[i] = place_of("t", i);
    }
    ck_assert_str_eq(places, "ababab");
    ck_assert_int_eq(log_manager_delete(manager, "t", 1), 0);
    ck_assert_int_eq(log_manager_delete(manager, "t", 3), 0);
    make_log("u", 0);
    make_log("u", 1);
    ck_assert_int_eq(place_of("u", 0), 'b');
    ck_assert_int_eq(place_of("u", 1), 'b');
    stop_broker();
    start(); /* the count comes from what is there */
    make_log("u", 2);
    make_log("u", 3);
    ck_assert_int_ne(place_of("u", 2), place_of("u", 3));
}
END_TEST

START_TEST(many_logs_load_and_close_on_several_threads) {
    for (int i = 0; i < 60; i++) {
        append(make_log("t", i), i % 7);
    }
    kill_broker();
    start(); /* recovers */
    for (int i = 0; i < 60; i++) {
        struct log *log = log_manager_find(manager, "t", i);
        ck_assert_ptr_nonnull(log);
        ck_assert_int_eq(log_end_offset(log), i % 7);
        append(log, 1);
    }
    restart();
    for (int i = 0; i < 60; i++) {
        struct log *log = log_manager_find(manager, "t", i);
        ck_assert_int_eq(log_end_offset(log), i % 7 + 1);
        ck_assert_int_eq(log_recovery_point(log), i % 7 + 1);
    }
    ck_assert_int_eq(errors_logged, 0);
}
END_TEST

static int recoveries_told;
static void count_recoveries(enum trace_level level, const char *line, void *context) {
    (void)level;
    (void)context;
    recoveries_told += strstr(line, "not stopped cleanly") != NULL;
}

START_TEST(only_a_directory_with_logs_is_said_to_be_recovered) {
    trace_set_sink(count_recoveries, NULL);
    recoveries_told = 0;
    kill_broker();
    start(); /* both are empty, as at the very first start */
    ck_assert_int_eq(recoveries_told, 0);
    append(make_log("t", 0), 1);
    kill_broker();
    start();
    ck_assert_int_eq(recoveries_told, 1);
    restart();
    ck_assert_int_eq(recoveries_told, 1);
}
END_TEST
START_TEST(a_failed_directory_takes_its_logs_offline_and_nothing_else) {
    struct log *log_a = make_log("t", 0);
    struct log *log_b = make_log("t", 1);
    append(log_a, 3);
    append(log_b, 3);
    disk.broken = directories[0];
    test_time.defers_work = true;
    struct log_append_info info;
    struct test_batch batch = test_batch_of(1);
    struct byte_buffer bytes = {0};
    test_batch_encode(&batch, &bytes);
    struct slice records = {bytes.data, (int32_t)bytes.size};
    ck_assert_int_eq(log_append_as_leader(log_a, records, 0, LOG_ORIGIN_CLIENT, 9, 0, &info), ERR_IO);
    byte_buffer_deinit(&bytes);
    ck_assert_int_eq(failed_directories, 0); /* it is the caller who knows */
    log_manager_fail_directory_of(manager, log_a);
    while (test_clock_work(&test_time)) { /* the epoch file too: nothing new */
    }
    test_time.defers_work = false;
    ck_assert_int_eq(failed_directories, 1);
    ck_assert_int_eq(errors_logged, 1);
    ck_assert_ptr_nonnull(strstr(last_error, "using the log of t-0: input/output error"));
    ck_assert_ptr_null(log_manager_find(manager, "t", 0));
    ck_assert(log_manager_is_offline(manager, "t", 0));
    ck_assert(!log_manager_is_offline(manager, "t", 1));
    append(log_b, 3);
    test_clock_advance(&test_time, 120000); /* duties go on for the other one, in silence */
    ck_assert_int_eq(errors_logged, 1);
    char *checkpoint = text_of(directories[1], "replication-offset-checkpoint");
    ck_assert_ptr_nonnull(strstr(checkpoint, "t 1 "));
    free(checkpoint);
    make_log("u", 0);
    make_log("u", 1);
    ck_assert_int_eq(place_of("u", 0), 'b');
    ck_assert_int_eq(place_of("u", 1), 'b');
    ck_assert_int_eq(log_manager_shutdown(manager), 0);
    ck_assert(!exists(directories[0], ".kafka_cleanshutdown"));
    ck_assert(exists(directories[1], ".kafka_cleanshutdown"));
}
END_TEST

START_TEST(a_new_log_whose_directory_cannot_be_made_is_made_in_the_next_one) {
    struct log *log;
    disk.broken = directories[0];
    ck_assert_int_eq(log_manager_get_or_create(manager, "t", 0, true, topic_id, &log), 0);
    ck_assert_int_eq(failed_directories, 1);
    ck_assert_ptr_nonnull(strstr(last_error, "creating a log: input/output error"));
    ck_assert_int_eq(place_of("t", 0), 'b');
    append(log, 3);
    disk.broken = directories[1]; /* the last one */
    ck_assert_int_eq(log_manager_get_or_create(manager, "t", 1, true, topic_id, &log), ERR_IO);
    ck_assert_int_eq(failed_directories, 2);
    ck_assert_int_eq(log_manager_get_or_create(manager, "t", 2, true, topic_id, &log), ERR_NOT_FOUND);
}
END_TEST

START_TEST(a_log_that_may_lie_in_a_directory_that_fails_is_not_made_in_the_next_one) {
    struct log *log;
    disk.broken = directories[0];
    ck_assert_int_eq(log_manager_get_or_create(manager, "t", 0, false, topic_id, &log), ERR_IO);
    ck_assert_int_eq(failed_directories, 1);
    ck_assert_int_eq(log_manager_get_or_create(manager, "t", 0, false, topic_id, &log), ERR_NOT_FOUND);
    ck_assert(!exists(directories[1], "t-0"));
}
END_TEST

/* Kafka's rule for any IOException; the line must say what would have helped. */
START_TEST(a_directory_lost_for_want_of_open_files_is_said_to_be) {
    struct rlimit before;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    const struct rlimit none = {.rlim_cur = 3, .rlim_max = before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct log *log;
    int error = log_manager_get_or_create(manager, "t", 0, true, topic_id, &log);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_int_eq(error, ERR_FILE_LIMIT);
    ck_assert_int_eq(failed_directories, 1);
    ck_assert_ptr_nonnull(strstr(last_error, "creating a log: too many open files; raise LimitNOFILE"));
    ck_assert_ptr_null(strstr(last_error, "input/output"));
}
END_TEST

START_TEST(a_directory_that_cannot_be_read_at_start_is_offline_and_one_line_says_so) {
    append(make_log("t", 0), 3);
    append(make_log("t", 1), 4);
    stop_broker();
    disk.broken = directories[0];
    disk.error = ERR_DENIED;
    start();
    ck_assert_int_eq(errors_logged, 1);
    ck_assert_ptr_nonnull(strstr(last_error, directories[0]));
    ck_assert_ptr_nonnull(strstr(last_error, "permission denied"));
    ck_assert_ptr_null(log_manager_find(manager, "t", 0));
    ck_assert(log_manager_is_offline(manager, "t", 0));
    ck_assert_int_eq(log_end_offset(log_manager_find(manager, "t", 1)), 4);
    /* Rule 22: what may lie there is not begun anew, unless the controller knows that it is new. */
    struct log *log;
    ck_assert_int_eq(log_manager_get_or_create(manager, "t", 0, false, topic_id, &log), ERR_NOT_FOUND);
    ck_assert_int_eq(log_manager_get_or_create(manager, "v", 0, true, topic_id, &log), 0);
    stop_broker();
    disk.broken = NULL;
    start(); /* back, with everything */
    ck_assert_int_eq(log_end_offset(log_manager_find(manager, "t", 0)), 3);
}
END_TEST

static void check_refused(int error, const char *reason) {
    char *message;
    ck_assert_int_eq(try_start(&message), error);
    ck_assert_ptr_nonnull(strstr(message, reason));
    free(message);
}

START_TEST(with_no_directory_left_the_broker_does_not_start) {
    kill_broker();
    disk.broken = root;
    check_refused(ERR_IO, "None of the directories of log.dirs can be used");
    disk.broken = NULL;
}
END_TEST

START_TEST(a_partition_of_two_topics_in_two_directories_ends_the_start) {
    append(make_log("t", 0), 3);
    stop_broker();
    char *path = xasprintf("%s/t-0", directories[1]);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    write_text(path, "partition.metadata", "version: 0\ntopic_id: CQAAAAAAAAAAAAAAAAAAAA");
    free(path);
    check_refused(ERR_INVALID, "Duplicate log directories for t-0 are found in both");
    ck_assert(exists(directories[0], "t-0"));
}
END_TEST

/* A move was interrupted, and the directory it went to is lost at the start, because of another log: the one that goes
 * on later is in there, but cannot be used, so the other one stays. */
START_TEST(a_log_is_not_given_up_for_a_later_one_in_a_directory_that_is_lost) {
    append(make_log("t", 0), 3);
    append(make_log("t", 1), 1);
    stop_broker();
    char *command = xasprintf("cp -r %s/t-0 %s/t-0", directories[0], root);
    ck_assert_int_eq(system(command), 0);
    free(command);
    start();
    append(log_manager_find(manager, "t", 0), 2);
    stop_broker();
    command = xasprintf("mv %s/t-0 %s/ && mv %s/t-0 %s/", directories[0], directories[1], root, directories[0]);
    ck_assert_int_eq(system(command), 0);
    free(command);
    char *path = xasprintf("%s/t-1", directories[1]);
    write_text(path, "leader-epoch-checkpoint", "no such thing");
    free(path);
    start();
    ck_assert_int_eq(failed_directories, 1);
    const struct log *log = log_manager_find(manager, "t", 0);
    ck_assert_ptr_nonnull(log);
    ck_assert_int_eq(log_end_offset(log), 3);
    ck_assert_int_eq(place_of("t", 0), 'a');
}
END_TEST

START_TEST(what_another_directory_says_of_a_moved_log_is_not_believed) {
    append(make_log("t", 0), 5);
    stop_broker();
    write_text(directories[1], "replication-offset-checkpoint", "0\n1\nt 0 4\n");
    write_text(directories[1], "recovery-point-offset-checkpoint", "0\n1\nt 0 4\n");
    write_text(directories[0], "replication-offset-checkpoint", "0\n1\nt 0 2\n");
    start();
    ck_assert_int_eq(log_manager_checkpointed_high_watermark(manager, "t", 0), 2);
}
END_TEST

/* Moved from a to b, and dead before the checkpoints of a said so: they are wrong of what is made in a after that. */
START_TEST(what_a_directory_says_of_a_log_that_left_it_is_not_believed_of_its_next_one) {
    static const struct {
        const char *name;
        const char *corrected;
    } files[] = {{"recovery-point-offset-checkpoint", "0\n1\nt 0 0\n"}, {"log-start-offset-checkpoint", "0\n0\n"}};
    struct log *future;
    make_log("t", 0);
    append(make_log("t", 1), 5);
    kill_broker();
    for (int directory = 0; directory < DIRECTORIES; directory++) {
        for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
            write_text(directories[directory], files[i].name, "0\n2\nt 1 4\nu 0 4\n");
        }
    }
    start();
    ck_assert_int_eq(log_manager_create_future(manager, "t", 1, str_from(directories[0]), &future), 0);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        check_text(directories[0], files[i].name, files[i].corrected);
    }
    kill_broker();
    write_text(directories[0], files[0].name, "0\n1\nu 0 4\n");
    start();
    log_manager_prefer_directory(manager, "u", 0, str_from(directories[0]));
    make_log("u", 0);
    ck_assert_int_eq(place_of("u", 0), 'a');
    check_text(directories[0], files[0].name, "0\n2\nt 0 0\nt 1 0\n");
}
END_TEST

/* The same, and the log that left is deleted before the directory it left says something else: its name is in no table
 * any more, and in that directory's files still. */
START_TEST(what_a_directory_says_of_a_log_that_was_deleted_elsewhere_is_not_believed_of_its_successor) {
    log_manager_prefer_directory(manager, "t", 0, str_from(directories[1]));
    append(make_log("t", 0), 5);
    kill_broker();
    write_text(directories[0], "recovery-point-offset-checkpoint", "0\n1\nt 0 1000\n");
    write_text(directories[0], "log-start-offset-checkpoint", "0\n1\nt 0 500\n");
    start();
    ck_assert_int_eq(place_of("t", 0), 'b');
    ck_assert_int_eq(log_manager_delete(manager, "t", 0), 0);
    log_manager_prefer_directory(manager, "t", 0, str_from(directories[0]));
    append(make_log("t", 0), 6);
    ck_assert_int_eq(place_of("t", 0), 'a');
    kill_broker();
    start();
    struct log *log = log_manager_find(manager, "t", 0);
    ck_assert_int_eq(log_start_offset(log), 0);
    ck_assert_int_eq(log_end_offset(log), 6);
    ck_assert_int_eq(log_recovery_point(log), 0);
}
END_TEST

START_TEST(rule_32_the_start_checkpoint_lists_only_starts_above_the_first_segment) {
    struct log *log = make_segments(9);
    append(make_log("t", 1), 5);
    ck_assert_int_eq(log_manager_checkpoint(manager), 0);
    check_text(directories[0], "log-start-offset-checkpoint", "0\n0\n");
    ck_assert_int_eq(log_increase_start_offset(log, 4), 0);
    int64_t base = log->segments[0]->base_offset;
    test_clock_advance(&test_time, 60000);
    check_text(directories[0], "log-start-offset-checkpoint", base < 4 ? "0\n1\nt 0 4\n" : "0\n0\n");
    ck_assert_int_lt(base, 4); /* or the test shows nothing */
    ck_assert_int_eq(log_increase_start_offset(log, log->segments[1]->base_offset), 0);
    test_clock_advance(&test_time, 60000);
    check_text(directories[0], "log-start-offset-checkpoint", "0\n0\n");
    ck_assert(!exists(directories[0], "log-start-offset-checkpoint.tmp"));
    int64_t start_offset = log_start_offset(log);
    kill_broker();
    start();
    ck_assert_int_eq(log_start_offset(log_manager_find(manager, "t", 0)), start_offset);
}
END_TEST

START_TEST(rule_39_only_meta_properties_of_version_0_and_this_cluster_are_valid) {
    char *text = text_of(directories[0], "meta.properties");
    ck_assert_ptr_nonnull(strstr(text, "\nbroker.id=1\nversion=0\ncluster.id=cluster\n"));
    free(text);
    stop_broker();
    write_text(directories[0], "meta.properties", "version=1\nnode.id=1\ncluster.id=cluster\n");
    check_refused(ERR_INVALID, "has version 1; a ZooKeeper cluster needs version 0");
    write_text(directories[0], "meta.properties", "version=0\nbroker.id=2\ncluster.id=cluster\n");
    check_refused(ERR_INVALID, "Configured broker.id 1 doesn't match stored broker.id 2");
    write_text(directories[0], "meta.properties", "version=0\nbroker.id=1\ncluster.id=other\n");
    check_refused(ERR_INVALID, "doesn't match");
    write_text(directories[0], "meta.properties", "#\n# a comment\r\nversion=0\r\nbroker.id=1\ncluster.id=cluster");
    start();
}
END_TEST

START_TEST(rule_29_the_clean_mark_goes_before_serving_and_comes_back_last) {
    append(make_log("t", 0), 3);
    ck_assert(!exists(directories[0], ".kafka_cleanshutdown"));
    stop_broker();
    check_text(directories[0], ".kafka_cleanshutdown", "{\"version\":0,\"brokerEpoch\":-1}");
    start();
    ck_assert(!exists(directories[0], ".kafka_cleanshutdown"));
    ck_assert_int_eq(log_recovery_point(log_manager_find(manager, "t", 0)), 3);
    kill_broker();
    ck_assert(!exists(directories[0], ".kafka_cleanshutdown"));
    start();
    ck_assert_int_eq(log_end_offset(log_manager_find(manager, "t", 0)), 3);
}
END_TEST

START_TEST(a_full_disk_fences_the_log_and_leaves_no_piece_of_a_batch) {
    struct log *log = make_log("t", 0);
    append(log, 3);
    int64_t size = log_size_bytes(log);
    disk.space = 10;
    struct log_append_info info;
    struct test_batch batch = test_batch_of(1);
    struct byte_buffer bytes = {0};
    test_batch_encode(&batch, &bytes);
    struct slice records = {bytes.data, (int32_t)bytes.size};
    ck_assert_int_eq(log_append_as_leader(log, records, 0, LOG_ORIGIN_CLIENT, 9, 0, &info), ERR_NO_SPACE);
    byte_buffer_deinit(&bytes);
    log_manager_fail_directory_of(manager, log);
    ck_assert_int_eq(errors_logged, 1);
    ck_assert_ptr_nonnull(strstr(last_error, "no space left on device"));
    struct stat status;
    char *path = xasprintf("%s/00000000000000000000.log", log_directory(log));
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_eq(status.st_size, size);
    free(path);
    kill_broker();
    disk.space = -1;
    start();
    ck_assert_int_eq(log_end_offset(log_manager_find(manager, "t", 0)), 3);
}
END_TEST

START_TEST(rule_24_the_topic_id_is_on_disk_with_the_first_data_and_durable_with_the_first_flush) {
    struct log *log = make_log("t", 0);
    char text[UUID_TEXT_SIZE];
    uuid_format(topic_id, text);
    char *expected = xasprintf("version: 0\ntopic_id: %s", text);
    check_text(log_directory(log), "partition.metadata", expected);
    free(expected);
    ck_assert_int_eq(log_set_topic_id(log, (struct uuid){{8}}), ERR_INVALID);
    int64_t syncs = disk.loop_syncs;
    ck_assert_int_eq(log_flush(log), 0); /* no data yet: the id alone wants it */
    ck_assert_int_gt(disk.loop_syncs, syncs);
    write_text(log_directory(log), "partition.metadata", ""); /* as a power cut before it would leave it */
    kill_broker();
    start();
    log = log_manager_find(manager, "t", 0);
    ck_assert(uuid_is_zero(log_topic_id(log)));
    ck_assert_int_eq(log_set_topic_id(log, topic_id), 0);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_new_log_goes_to_the_directory_with_the_fewest),
        TEST(many_logs_load_and_close_on_several_threads),
        TEST(only_a_directory_with_logs_is_said_to_be_recovered),
        TEST(a_failed_directory_takes_its_logs_offline_and_nothing_else),
        TEST(a_directory_lost_for_want_of_open_files_is_said_to_be),
        TEST(a_new_log_whose_directory_cannot_be_made_is_made_in_the_next_one),
        TEST(a_log_that_may_lie_in_a_directory_that_fails_is_not_made_in_the_next_one),
        TEST(a_directory_that_cannot_be_read_at_start_is_offline_and_one_line_says_so),
        TEST(with_no_directory_left_the_broker_does_not_start),
        TEST(a_partition_of_two_topics_in_two_directories_ends_the_start),
        TEST(a_log_is_not_given_up_for_a_later_one_in_a_directory_that_is_lost),
        TEST(what_another_directory_says_of_a_moved_log_is_not_believed),
        TEST(what_a_directory_says_of_a_log_that_left_it_is_not_believed_of_its_next_one),
        TEST(what_a_directory_says_of_a_log_that_was_deleted_elsewhere_is_not_believed_of_its_successor),
        TEST(rule_32_the_start_checkpoint_lists_only_starts_above_the_first_segment),
        TEST(rule_39_only_meta_properties_of_version_0_and_this_cluster_are_valid),
        TEST(rule_29_the_clean_mark_goes_before_serving_and_comes_back_last),
        TEST(a_full_disk_fences_the_log_and_leaves_no_piece_of_a_batch),
        TEST(rule_24_the_topic_id_is_on_disk_with_the_first_data_and_durable_with_the_first_flush),
    };
    return run_tests_with_fixture("log manager", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
