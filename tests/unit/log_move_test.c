/* What is done next for a replica on its way to another directory: each rule by itself. */
#include <check.h>

#include "broker/base/check.h"
#include "replication/log_move.h"
#include "tests/lib/runner.h"

static struct log_move move;
static struct log_move_event event;

/* A log [10, 100) that is synced up to 50, and a copy of it up to 60. */
static void set_up(void) {
    log_move_init(&move);
    move.is_running = true;
    event = (struct log_move_event){.type = LOG_MOVE_LOOK,
                                    .now_ms = 1000,
                                    .backoff_ms = 500,
                                    .allowance = INT64_MAX,
                                    .is_settled = true,
                                    .shared_end = 60,
                                    .current = {.start = 10, .end = 100, .recovery_point = 50},
                                    .future = {.start = 10, .end = 60, .recovery_point = 40}};
}

static struct log_move_decision step(void) {
    struct log_move_decision decision;
    log_move_step(&move, &event, &decision);
    event.type = LOG_MOVE_LOOK;
    return decision;
}

static struct log_move_decision tell(enum log_move_event_type type) {
    event.type = type;
    return step();
}

/* The copy has everything. */
static void catch_up(void) {
    event.future.end = event.shared_end = event.current.end;
}

START_TEST(records_are_copied_a_chunk_at_a_time_from_where_the_copy_ends) {
    struct log_move_decision decision = step();
    ck_assert_int_eq(decision.action, LOG_MOVE_DO_READ);
    ck_assert_int_eq(decision.offset, 60);
    ck_assert_int_eq(decision.bytes, LOG_MOVE_CHUNK_BYTES);
    ck_assert_int_eq(step().action, LOG_MOVE_WAIT); /* a worker reads */
    event.future.end = event.shared_end = 70;
    decision = tell(LOG_MOVE_READ);
    ck_assert_int_eq(decision.action, LOG_MOVE_DO_READ);
    ck_assert_int_eq(decision.offset, 70);
}
END_TEST

START_TEST(the_throttle_bounds_a_chunk_and_is_waited_for) {
    event.allowance = 300;
    ck_assert_int_eq(step().bytes, 300);
    event.allowance = 0;
    event.wait_ms = 40;
    struct log_move_decision decision = tell(LOG_MOVE_READ);
    ck_assert_int_eq(decision.action, LOG_MOVE_WAIT);
    ck_assert_int_eq(decision.wake_ms, 1040);
}
END_TEST

START_TEST(a_copy_behind_the_start_of_the_log_begins_anew_there) {
    event.future = (struct log_move_log){.start = 0, .end = 0};
    event.shared_end = 0;
    struct log_move_decision decision = step();
    ck_assert_int_eq(decision.action, LOG_MOVE_DO_RESTART);
    ck_assert_int_eq(decision.offset, 10);
    /* So does one that shares nothing with what is there now, and one that lacks what the log begins with. */
    event.future = (struct log_move_log){.start = 10, .end = 60};
    event.shared_end = 5;
    ck_assert_int_eq(step().action, LOG_MOVE_DO_RESTART);
    event.future.start = 20;
    event.shared_end = 60;
    ck_assert_int_eq(step().action, LOG_MOVE_DO_RESTART);
}
END_TEST

START_TEST(a_copy_is_cut_to_what_it_shares_with_the_log) {
    event.shared_end = 55;
    struct log_move_decision decision = step();
    ck_assert_int_eq(decision.action, LOG_MOVE_DO_TRUNCATE);
    ck_assert_int_eq(decision.offset, 55);
    /* Not while a worker reads for it: what it brings would no longer fit. */
    event.shared_end = 60;
    ck_assert_int_eq(step().action, LOG_MOVE_DO_READ);
    event.shared_end = 55;
    ck_assert_int_eq(step().action, LOG_MOVE_WAIT);
    ck_assert_int_eq(tell(LOG_MOVE_READ).action, LOG_MOVE_DO_TRUNCATE);
}
END_TEST

START_TEST(the_start_follows) {
    event.current.start = 30;
    struct log_move_decision decision = step();
    ck_assert_int_eq(decision.action, LOG_MOVE_DO_RAISE_START);
    ck_assert_int_eq(decision.offset, 30);
}
END_TEST

START_TEST(what_was_not_synced_is_bounded) {
    step();
    event.bytes = LOG_MOVE_UNSYNCED_BYTES_MAX;
    ck_assert_int_eq(tell(LOG_MOVE_READ).action, LOG_MOVE_DO_FLUSH);
    event.bytes = 0;
    ck_assert_int_eq(step().action, LOG_MOVE_WAIT);
    ck_assert_int_eq(tell(LOG_MOVE_FLUSHED).action, LOG_MOVE_DO_READ);
}
END_TEST

START_TEST(nothing_durable_becomes_less_so_by_the_replacement) {
    catch_up();
    ck_assert_int_eq(step().action, LOG_MOVE_DO_FLUSH);
    event.current.recovery_point = 95; /* synced again meanwhile */
    event.future.recovery_point = 90;
    ck_assert_int_eq(tell(LOG_MOVE_FLUSHED).action, LOG_MOVE_DO_FLUSH);
    event.future.recovery_point = 100;
    event.is_settled = false;
    ck_assert_int_eq(tell(LOG_MOVE_FLUSHED).action, LOG_MOVE_WAIT);
    event.is_settled = true;
    ck_assert_int_eq(step().action, LOG_MOVE_DO_FINISH);
}
END_TEST

START_TEST(whoever_is_near_finishes_also_under_load) {
    step();
    event.future.end = event.shared_end = event.future.recovery_point = 100;
    event.current.end = 103; /* appended while it was read */
    event.has_read_all = true;
    ck_assert_int_eq(tell(LOG_MOVE_READ).action, LOG_MOVE_DO_FLUSH);
    event.current.end = 106;
    ck_assert_int_eq(tell(LOG_MOVE_FLUSHED).action, LOG_MOVE_DO_FINISH);
    /* The rest was too much for one turn: back to the worker, and no second flush is waited for. */
    event.future.end = event.shared_end = 104;
    event.has_read_all = false;
    ck_assert_int_eq(tell(LOG_MOVE_READ).action, LOG_MOVE_DO_READ);
    event.future.end = event.shared_end = 106;
    event.has_read_all = true;
    ck_assert_int_eq(tell(LOG_MOVE_READ).action, LOG_MOVE_DO_FINISH);
}
END_TEST

START_TEST(a_copy_that_was_cut_is_flushed_again_before_it_replaces_the_log) {
    catch_up();
    event.future.recovery_point = 100;
    step();
    ck_assert_int_eq(tell(LOG_MOVE_FLUSHED).action, LOG_MOVE_DO_FINISH);
    event.shared_end = event.current.end = 90;
    ck_assert_int_eq(tell(LOG_MOVE_READ).action, LOG_MOVE_DO_TRUNCATE);
    event.future.end = event.future.recovery_point = 90;
    ck_assert_int_eq(step().action, LOG_MOVE_DO_FLUSH);
}
END_TEST

START_TEST(a_stopped_replica_is_not_copied_and_a_failure_backs_off) {
    ck_assert_int_eq(tell(LOG_MOVE_PAUSE).action, LOG_MOVE_WAIT);
    ck_assert_int_eq(step().action, LOG_MOVE_WAIT);
    ck_assert_int_eq(tell(LOG_MOVE_RESUME).action, LOG_MOVE_DO_READ);
    struct log_move_decision decision = tell(LOG_MOVE_FAILED);
    ck_assert_int_eq(decision.action, LOG_MOVE_WAIT);
    ck_assert_int_eq(decision.wake_ms, 1500);
    event.now_ms = 1500;
    ck_assert_int_eq(step().action, LOG_MOVE_DO_READ);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(records_are_copied_a_chunk_at_a_time_from_where_the_copy_ends),
        TEST(the_throttle_bounds_a_chunk_and_is_waited_for),
        TEST(a_copy_behind_the_start_of_the_log_begins_anew_there),
        TEST(a_copy_is_cut_to_what_it_shares_with_the_log),
        TEST(the_start_follows),
        TEST(what_was_not_synced_is_bounded),
        TEST(nothing_durable_becomes_less_so_by_the_replacement),
        TEST(whoever_is_near_finishes_also_under_load),
        TEST(a_copy_that_was_cut_is_flushed_again_before_it_replaces_the_log),
        TEST(a_stopped_replica_is_not_copied_and_a_failure_backs_off),
    };
    return run_tests_with_fixture("log_move", tests, ARRAY_SIZE(tests), set_up, NULL);
}
