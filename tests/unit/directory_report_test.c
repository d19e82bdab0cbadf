/* The controller hears of every failed log directory, whatever happens on the way. */
#include <check.h>

#include "broker/base/check.h"
#include "broker/directory_report.h"
#include "coordinator-client/znode_path.h"
#include "tests/lib/memory_coord.h"
#include "tests/lib/runner.h"

static struct memory_world *memory;
static struct directory_report report;

static void set_up(void) {
    memory = memory_world_create();
    memory_put(memory, ZNODE_LOG_DIR_EVENTS, NULL);
    directory_report_init(&report, memory_clock(memory), memory_coord(memory), 7);
}

static void tear_down(void) {
    directory_report_stop(&report);
    memory_run(memory);
    memory_world_destroy(memory);
}

START_TEST(a_failure_is_reported_once_with_kafkas_node) {
    directory_report_send(&report);
    memory_run_for(memory, 10000);
    ck_assert_int_eq(memory_child_count(memory, ZNODE_LOG_DIR_EVENTS), 1);
    ck_assert_str_eq(memory_data(memory, ZNODE_LOG_DIR_EVENTS "/log_dir_event_0000000000"),
                     "{\"version\":1,\"broker\":7,\"event\":1}");
}
END_TEST

START_TEST(lost_connections_delay_it_and_do_not_end_it) {
    memory_lose_replies(memory, 5, false);
    directory_report_send(&report);
    memory_run_for(memory, 1000);
    ck_assert_int_eq(memory_child_count(memory, ZNODE_LOG_DIR_EVENTS), 0);
    memory_run_for(memory, 10000);
    ck_assert_int_eq(memory_child_count(memory, ZNODE_LOG_DIR_EVENTS), 1);
}
END_TEST

START_TEST(a_second_failure_during_the_first_report_is_reported_too) {
    directory_report_send(&report);
    directory_report_send(&report);
    directory_report_send(&report);
    memory_run_for(memory, 10000);
    ck_assert_int_eq(memory_child_count(memory, ZNODE_LOG_DIR_EVENTS), 2);
}
END_TEST

START_TEST(a_broker_that_stops_reports_nothing_more) {
    memory_lose_replies(memory, 1, false);
    directory_report_send(&report);
    memory_run(memory);
    directory_report_stop(&report);
    memory_run_for(memory, 10000);
    ck_assert_int_eq(memory_child_count(memory, ZNODE_LOG_DIR_EVENTS), 0);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_failure_is_reported_once_with_kafkas_node),
        TEST(lost_connections_delay_it_and_do_not_end_it),
        TEST(a_second_failure_during_the_first_report_is_reported_too),
        TEST(a_broker_that_stops_reports_nothing_more),
    };
    return run_tests_with_fixture("reports of failed directories", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
