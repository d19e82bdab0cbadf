/* What is to go, and when: deleted logs and segments after their delay, producers nobody heard of for long. */
#include "tests/unit/log_manager_fixture.h"

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

START_TEST(a_log_that_is_set_aside_is_renamed_at_once_and_stays) {
    append(make_log("t", 0), 3);
    ck_assert_int_eq(log_manager_set_aside(manager, "t", 1), ERR_NOT_FOUND);
    ck_assert_int_eq(log_manager_set_aside(manager, "t", 0), 0);
    ck_assert_ptr_null(log_manager_find(manager, "t", 0));
    ck_assert(!exists(directories[0], "t-0"));
    check_text(directories[0], "recovery-point-offset-checkpoint", "0\n0\n");
    char *name = find_by_suffix(directories[0], "-stray");
    ck_assert_ptr_nonnull(name);
    ck_assert_uint_eq(strlen(name), strlen("t-0.") + 32 + strlen("-stray"));
    ck_assert_int_eq(log_end_offset(make_log("t", 0)), 0);
    test_clock_advance(&test_time, 600000);
    restart();
    test_clock_advance(&test_time, 600000);
    ck_assert_int_eq(log_end_offset(log_manager_find(manager, "t", 0)), 0);
    char *place = xasprintf("%s/%s", directories[0], name);
    ck_assert(exists(place, "00000000000000000000.log"));
    ck_assert(exists(place, "partition.metadata"));
    free(place);
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
    struct log *log = make_segments(9);
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
    log_config.file_delete_delay_ms = 5000;
    struct log *log = make_segments(9);
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

static struct test_batch batch_of_producer(void) {
    struct test_batch batch = test_batch_of(1);
    batch.producer_id = 5;
    batch.producer_epoch = 0;
    batch.base_sequence = 0;
    batch.timestamp = test_time.wall_ms;
    return batch;
}

/* It holds this batch, and forgets producers after an hour. */
static struct log *make_log_of_producer(const struct test_batch *batch) {
    log_config.producer_id_expiration_ms = 3600000;
    restart();
    struct log *log = make_log("t", 0);
    ck_assert_int_eq(test_append(log, batch).error_code, 0);
    return log;
}

START_TEST(idle_producers_are_forgotten_after_their_expiration) {
    struct test_batch batch = batch_of_producer();
    struct log *log = make_log_of_producer(&batch);
    struct log_producer_state state;
    test_time.wall_ms += 2999999;
    test_clock_advance(&test_time, 600000); /* one look, a millisecond too early */
    ck_assert_int_eq(log_producer_state(log, 5, &state), 0);
    batch.base_sequence = 7;
    ck_assert_int_eq(test_append(log, &batch).error_code, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    test_clock_advance(&test_time, 600000);
    ck_assert_int_eq(log_producer_state(log, 5, &state), ERR_NOT_FOUND);
    ck_assert_int_eq(test_append(log, &batch).error_code, 0); /* a producer nobody knows may begin anywhere */
}
END_TEST

START_TEST(a_producer_with_an_open_transaction_is_never_forgotten) {
    struct test_batch batch = batch_of_producer();
    batch.attributes = BATCH_TRANSACTIONAL;
    struct log *log = make_log_of_producer(&batch);
    struct log_producer_state state;
    test_time.wall_ms += 86400000;
    test_clock_advance(&test_time, 600000);
    ck_assert_int_eq(log_producer_state(log, 5, &state), 0);
    ck_assert_int_eq(log_first_unstable_offset(log), 0);
}
END_TEST

START_TEST(expired_producers_of_a_snapshot_are_not_loaded) {
    struct test_batch batch = batch_of_producer();
    make_log_of_producer(&batch);
    stop_broker();
    test_time.wall_ms += 3600001;
    start();
    struct log_producer_state state;
    ck_assert_int_eq(log_producer_state(log_manager_find(manager, "t", 0), 5, &state), ERR_NOT_FOUND);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_deleted_log_is_renamed_at_once_and_goes_after_its_delay),
        TEST(a_log_that_is_set_aside_is_renamed_at_once_and_stays),
        TEST(the_name_of_a_deleted_log_fits_a_file_system),
        TEST(what_waited_for_deletion_when_the_broker_died_goes_after_the_next_start),
        TEST(deleted_segments_wait_for_file_delete_delay_ms),
        TEST(idle_producers_are_forgotten_after_their_expiration),
        TEST(a_producer_with_an_open_transaction_is_never_forgotten),
        TEST(expired_producers_of_a_snapshot_are_not_loaded),
    };
    return run_tests_with_fixture("log deletion", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
