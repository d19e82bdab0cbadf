/* The log manager on real directories: where logs go, what a broken directory costs, what the checkpoints and deletions
 * leave on disk, and who waits for all that. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/log/log_manager.h"
#include "broker/protocol/errors.h"
#include "tests/lib/faulty_disk.h"
#include "tests/lib/log_fixture.h"
#include "tests/lib/runner.h"

#define DIRECTORIES 2

static struct test_clock test_time;
static struct faulty_disk disk;
static char *root;
static char *directories[DIRECTORIES];
static struct log_manager *manager;
static struct log_config log_config;
static int failed_directories;
static int errors_logged;
static char last_error[1024];
static struct uuid topic_id = {{7}};

static void note_line(enum trace_level level, const char *line, void *context) {
    (void)context;
    if (level >= TRACE_ERROR) {
        errors_logged++;
        snprintf(last_error, sizeof last_error, "%s", line);
    }
}

static void on_directory_failed(void *context, const char *directory) {
    (void)context;
    (void)directory;
    failed_directories++;
}

static int try_start(char **ret_message) {
    struct log_manager_config config = {.directories = (const char *const *)directories,
                                        .directory_count = DIRECTORIES,
                                        .broker_id = 1,
                                        .defaults = log_config,
                                        .retention_check_ms = 300000,
                                        .flush_check_ms = INT64_MAX,
                                        .flush_offset_checkpoint_ms = 60000,
                                        .start_offset_checkpoint_ms = 60000,
                                        .high_watermark_checkpoint_ms = 5000,
                                        .recovery_threads_per_directory = 2,
                                        .on_directory_failed = on_directory_failed};
    *ret_message = NULL;
    int error = log_manager_open(&disk.base, &test_time.base, &config, &manager, ret_message);
    if (error != 0) {
        manager = NULL;
        return error;
    }
    error = log_manager_load(manager, ret_message);
    if (error != 0) {
        log_manager_destroy(manager);
        manager = NULL;
        return error;
    }
    error = log_manager_write_identity(manager, 1, "cluster");
    log_manager_start(manager);
    log_manager_enable_high_watermarks(manager);
    return error;
}

static void start(void) {
    char *message;
    int error = try_start(&message);
    ck_assert_msg(error == 0, "start: %s", message != NULL ? message : error_text(error));
}

static void kill_broker(void) {
    log_manager_destroy(manager);
    manager = NULL;
}

static void stop_broker(void) {
    ck_assert_int_eq(log_manager_shutdown(manager), 0);
    kill_broker();
}

static void set_up(void) {
    test_clock_init(&test_time, 1700000100000);
    faulty_disk_init(&disk, &test_time.is_working);
    root = test_directory_create();
    for (int i = 0; i < DIRECTORIES; i++) {
        directories[i] = xasprintf("%s/%c", root, 'a' + i);
    }
    log_config = test_log_config();
    failed_directories = 0;
    errors_logged = 0;
    trace_set_sink(note_line, NULL);
    start();
}

static void tear_down(void) {
    while (test_clock_work(&test_time)) {
    }
    log_manager_destroy(manager);
    test_directory_remove(root);
    free(root);
    for (int i = 0; i < DIRECTORIES; i++) {
        free(directories[i]);
    }
}

static struct log *make_log(const char *topic, int32_t partition) {
    struct log *log;
    ck_assert_int_eq(log_manager_get_or_create(manager, topic, partition, true, topic_id, &log), 0);
    return log;
}

static void append(struct log *log, int count) {
    for (int i = 0; i < count; i++) {
        struct test_batch batch = test_batch_of(1);
        ck_assert_int_eq(test_append(log, &batch).error_code, 0);
    }
}

/* Where the log of a partition lies: 'a', 'b'. */
static char place_of(const char *topic, int32_t partition) {
    return log_directory(log_manager_find(manager, topic, partition))[strlen(root) + 1];
}

static bool exists(const char *directory, const char *name) {
    char *path = xasprintf("%s/%s", directory, name);
    bool found = access(path, F_OK) == 0;
    free(path);
    return found;
}

static char *text_of(const char *directory, const char *name) {
    int64_t size;
    char *text = (char *)test_file_read(directory, name, &size);
    ck_assert_msg(text != NULL, "no %s/%s", directory, name);
    text[size] = 0;
    return text;
}

static void check_text(const char *directory, const char *name, const char *expected) {
    char *text = text_of(directory, name);
    ck_assert_str_eq(text, expected);
    free(text);
}

static void write_text(const char *directory, const char *name, const char *text) {
    char *path = xasprintf("%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    fclose(file);
    free(path);
}

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

START_TEST(a_failed_directory_takes_its_logs_offline_and_nothing_else) {
    struct log *log_a = make_log("t", 0);
    struct log *log_b = make_log("t", 1);
    append(log_a, 3);
    append(log_b, 3);
    disk.broken = directories[0];
    struct log_append_info info;
    struct test_batch batch = test_batch_of(1);
    struct byte_buffer bytes = {0};
    test_batch_encode(&batch, &bytes);
    struct slice records = {bytes.data, (int32_t)bytes.size};
    ck_assert_int_eq(log_append_as_leader(log_a, records, 0, LOG_ORIGIN_CLIENT, 9, 0, &info), ERR_IO);
    byte_buffer_deinit(&bytes);
    ck_assert_int_eq(failed_directories, 0); /* it is the caller who knows */
    log_manager_fail_directory_of(manager, log_a);
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

START_TEST(with_no_directory_left_the_broker_does_not_start) {
    kill_broker();
    disk.broken = root;
    char *message;
    ck_assert_int_eq(try_start(&message), ERR_IO);
    ck_assert_ptr_nonnull(strstr(message, "None of the directories of log.dirs can be used"));
    free(message);
    disk.broken = NULL;
}
END_TEST

START_TEST(a_partition_in_two_directories_ends_the_start) {
    make_log("t", 0);
    stop_broker();
    char *path = xasprintf("%s/t-0", directories[1]);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    free(path);
    char *message;
    ck_assert_int_eq(try_start(&message), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(message, "Duplicate log directories for t-0 are found in both"));
    free(message);
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

START_TEST(rule_32_the_start_checkpoint_lists_only_starts_above_the_first_segment) {
    log_config.segment_bytes = 300;
    stop_broker();
    start();
    struct log *log = make_log("t", 0);
    append(log, 9);
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

START_TEST(a_younger_checkpoint_is_never_replaced_by_an_older_one) {
    struct log *log = make_log("t", 0);
    append(log, 7);
    ck_assert_int_eq(log_flush(log), 0);
    test_time.defers_work = true;
    test_clock_advance(&test_time, 60000); /* "t 0 7" is on its way */
    ck_assert_int_gt(test_time.job_count, 0);
    ck_assert_int_eq(log_truncate_to(log, 3), 0); /* which writes "t 0 3", at once */
    check_text(directories[0], "recovery-point-offset-checkpoint", "0\n1\nt 0 3\n");
    while (test_clock_work(&test_time)) {
    }
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
    check_text(directories[0], "recovery-point-offset-checkpoint", "0\n1\nt 0 0\n");
}
END_TEST

START_TEST(the_loop_syncs_nothing_that_can_wait) {
    log_config.segment_bytes = 300;
    log_config.retention_bytes = 0;
    stop_broker();
    start();
    struct log *log = make_log("t", 0);
    make_log("t", 1);
    append(log, 1);
    log_assign_epoch_start(log, 3);
    test_time.defers_work = true;
    int64_t before = disk.loop_syncs;
    int64_t by_workers = disk.worker_syncs;
    append(log, 20); /* rolls, which wants a flush */
    ck_assert_int_gt(log->segment_count, 4);
    ck_assert_int_gt(log_apply_retention(log, 20, test_time.wall_ms), 4);
    test_clock_advance(&test_time, 120000);
    for (int i = 0; i < 4; i++) {
        while (test_clock_work(&test_time)) {
        }
        test_clock_advance(&test_time, 60000);
    }
    ck_assert_int_eq(disk.loop_syncs, before);
    ck_assert_int_gt(disk.worker_syncs, by_workers + 10);
}
END_TEST

START_TEST(a_background_write_that_fails_takes_its_directory_offline) {
    make_log("t", 0);
    make_log("t", 1);
    test_time.defers_work = true;
    test_clock_advance(&test_time, 5000);
    disk.broken = directories[1];
    while (test_clock_work(&test_time)) {
    }
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
    while (test_clock_work(&test_time)) {
    }
    test_time.defers_work = false;
    start();
    ck_assert(log_manager_is_idle(manager));
    ck_assert_int_eq(log_end_offset(log_manager_find(manager, "t", 0)), 20);
}
END_TEST

/* The one entry of a directory whose name ends so; NULL when there is none. */
static char *find_by_suffix(const char *directory, const char *suffix) {
    char *command = xasprintf("ls %s | grep -- '%s$' | head -n 1", directory, suffix);
    FILE *list = popen(command, "r");
    ck_assert_ptr_nonnull(list);
    char name[300];
    char *found = fgets(name, sizeof name, list) != NULL ? xstrndup(name, strcspn(name, "\n")) : NULL;
    pclose(list);
    free(command);
    return found;
}

START_TEST(a_deleted_log_is_renamed_at_once_and_goes_after_its_delay) {
    append(make_log("t", 0), 3);
    ck_assert_int_eq(log_manager_delete(manager, "t", 0), 0);
    ck_assert(!exists(directories[0], "t-0"));
    char *name = find_by_suffix(directories[0], "-delete");
    ck_assert_ptr_nonnull(name);
    ck_assert_int_eq(strncmp(name, "t-0.", 4), 0);
    ck_assert_uint_eq(strlen(name), strlen("t-0.") + 32 + strlen("-delete"));
    ck_assert_uint_eq(strspn(name + 4, "0123456789abcdef"), 32);
    check_text(directories[0], "recovery-point-offset-checkpoint", "0\n0\n");
    test_clock_advance(&test_time, 59999);
    ck_assert(exists(directories[0], name));
    test_clock_advance(&test_time, 1);
    ck_assert(!exists(directories[0], name));
    free(name);
}
END_TEST

START_TEST(the_name_of_a_deleted_log_fits_a_file_system) {
    char topic[250];
    memset(topic, 'x', sizeof topic);
    topic[249] = 0;
    make_log(topic, 4);
    ck_assert_int_eq(log_manager_delete(manager, topic, 4), 0);
    char *name = find_by_suffix(directories[0], "-delete");
    ck_assert_ptr_nonnull(name);
    ck_assert_uint_eq(strlen(name), 255);
    ck_assert_ptr_nonnull(strstr(name, "x-4."));
    free(name);
}
END_TEST

START_TEST(what_waited_for_deletion_when_the_broker_died_goes_after_the_next_start) {
    log_config.segment_bytes = 300;
    stop_broker();
    start();
    struct log *log = make_log("t", 0);
    append(log, 9);
    append(make_log("t", 1), 3);
    ck_assert_int_eq(log_increase_start_offset(log, log->segments[2]->base_offset), 0);
    ck_assert_int_eq(log_manager_delete(manager, "t", 1), 0);
    char *place = xstrdup(log_directory(log));
    ck_assert(exists(place, "00000000000000000000.log.deleted"));
    ck_assert(exists(place, "00000000000000000000.index.deleted"));
    ck_assert(exists(place, "00000000000000000000.timeindex.deleted"));
    kill_broker();
    start();
    ck_assert(!exists(place, "00000000000000000000.log.deleted")); /* the load does it */
    ck_assert(!exists(place, "00000000000000000000.timeindex.deleted"));
    char *name = find_by_suffix(directories[1], "-delete");
    ck_assert_ptr_nonnull(name);
    test_clock_advance(&test_time, 60000);
    ck_assert(!exists(directories[1], name));
    ck_assert_int_eq(log_end_offset(log_manager_find(manager, "t", 0)), 9);
    free(name);
    free(place);
}
END_TEST

START_TEST(deleted_segments_wait_for_file_delete_delay_ms) {
    log_config.segment_bytes = 300;
    log_config.file_delete_delay_ms = 5000;
    stop_broker();
    start();
    struct log *log = make_log("t", 0);
    append(log, 9);
    const char *place = log_directory(log);
    ck_assert_int_eq(log_increase_start_offset(log, log->segments[2]->base_offset), 0);
    ck_assert(!exists(place, "00000000000000000000.log"));
    test_clock_advance(&test_time, 4999);
    ck_assert(exists(place, "00000000000000000000.log.deleted"));
    test_clock_advance(&test_time, 1);
    char *left = find_by_suffix(place, ".deleted");
    ck_assert_ptr_null(left);
}
END_TEST

START_TEST(rule_39_only_meta_properties_of_version_0_and_this_cluster_are_valid) {
    char *message;
    char *text = text_of(directories[0], "meta.properties");
    ck_assert_ptr_nonnull(strstr(text, "\nbroker.id=1\nversion=0\ncluster.id=cluster\n"));
    free(text);
    stop_broker();
    write_text(directories[0], "meta.properties", "version=1\nnode.id=1\ncluster.id=cluster\n");
    ck_assert_int_eq(try_start(&message), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(message, "has version 1; a ZooKeeper cluster needs version 0"));
    free(message);
    write_text(directories[0], "meta.properties", "version=0\nbroker.id=2\ncluster.id=cluster\n");
    ck_assert_int_eq(try_start(&message), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(message, "Configured broker.id 1 doesn't match stored broker.id 2"));
    free(message);
    write_text(directories[0], "meta.properties", "version=0\nbroker.id=1\ncluster.id=other\n");
    ck_assert_int_eq(try_start(&message), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(message, "doesn't match"));
    free(message);
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

START_TEST(idle_producers_are_forgotten_after_their_expiration) {
    log_config.producer_id_expiration_ms = 3600000;
    stop_broker();
    start();
    struct log *log = make_log("t", 0);
    struct test_batch batch = test_batch_of(1);
    batch.producer_id = 5;
    batch.producer_epoch = 0;
    batch.base_sequence = 0;
    batch.timestamp = test_time.wall_ms;
    ck_assert_int_eq(test_append(log, &batch).error_code, 0);
    struct log_producer_state state;
    test_clock_advance(&test_time, 3599999);
    ck_assert_int_eq(log_producer_state(log, 5, &state), 0);
    batch.base_sequence = 7;
    ck_assert_int_eq(test_append(log, &batch).error_code, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    test_clock_advance(&test_time, 1);
    ck_assert_int_eq(log_producer_state(log, 5, &state), ERR_NOT_FOUND);
    ck_assert_int_eq(test_append(log, &batch).error_code, 0); /* a producer nobody knows may begin anywhere */
}
END_TEST

START_TEST(a_producer_with_an_open_transaction_is_never_forgotten) {
    log_config.producer_id_expiration_ms = 3600000;
    stop_broker();
    start();
    struct log *log = make_log("t", 0);
    struct test_batch batch = test_batch_of(1);
    batch.producer_id = 5;
    batch.producer_epoch = 0;
    batch.base_sequence = 0;
    batch.timestamp = test_time.wall_ms;
    batch.attributes = BATCH_TRANSACTIONAL;
    ck_assert_int_eq(test_append(log, &batch).error_code, 0);
    struct log_producer_state state;
    test_clock_advance(&test_time, 86400000);
    ck_assert_int_eq(log_producer_state(log, 5, &state), 0);
    ck_assert_int_eq(log_first_unstable_offset(log), 0);
}
END_TEST

START_TEST(expired_producers_of_a_snapshot_are_not_loaded) {
    log_config.producer_id_expiration_ms = 3600000;
    stop_broker();
    start();
    struct log *log = make_log("t", 0);
    struct test_batch batch = test_batch_of(1);
    batch.producer_id = 5;
    batch.producer_epoch = 0;
    batch.base_sequence = 0;
    batch.timestamp = test_time.wall_ms;
    ck_assert_int_eq(test_append(log, &batch).error_code, 0);
    stop_broker();
    test_time.wall_ms += 3600001;
    start();
    struct log_producer_state state;
    ck_assert_int_eq(log_producer_state(log_manager_find(manager, "t", 0), 5, &state), ERR_NOT_FOUND);
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
        TEST(a_failed_directory_takes_its_logs_offline_and_nothing_else),
        TEST(a_directory_that_cannot_be_read_at_start_is_offline_and_one_line_says_so),
        TEST(with_no_directory_left_the_broker_does_not_start),
        TEST(a_partition_in_two_directories_ends_the_start),
        TEST(what_another_directory_says_of_a_moved_log_is_not_believed),
        TEST(rule_32_the_start_checkpoint_lists_only_starts_above_the_first_segment),
        TEST(checkpoints_are_written_at_their_intervals_and_after_the_start_only),
        TEST(a_younger_checkpoint_is_never_replaced_by_an_older_one),
        TEST(a_log_made_anew_is_not_taken_for_the_one_just_deleted),
        TEST(the_loop_syncs_nothing_that_can_wait),
        TEST(a_background_write_that_fails_takes_its_directory_offline),
        TEST(a_manager_that_went_is_not_missed_by_its_workers),
        TEST(a_deleted_log_is_renamed_at_once_and_goes_after_its_delay),
        TEST(the_name_of_a_deleted_log_fits_a_file_system),
        TEST(what_waited_for_deletion_when_the_broker_died_goes_after_the_next_start),
        TEST(deleted_segments_wait_for_file_delete_delay_ms),
        TEST(rule_39_only_meta_properties_of_version_0_and_this_cluster_are_valid),
        TEST(rule_29_the_clean_mark_goes_before_serving_and_comes_back_last),
        TEST(a_full_disk_fences_the_log_and_leaves_no_piece_of_a_batch),
        TEST(idle_producers_are_forgotten_after_their_expiration),
        TEST(a_producer_with_an_open_transaction_is_never_forgotten),
        TEST(expired_producers_of_a_snapshot_are_not_loaded),
        TEST(rule_24_the_topic_id_is_on_disk_with_the_first_data_and_durable_with_the_first_flush),
    };
    return run_tests_with_fixture("log manager", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
