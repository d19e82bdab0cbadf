/* Changes of the in-sync set on their way from a leader to the controller, and what comes of those that are refused. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/trace.h"
#include "broker/protocol/errors.h"
#include "tests/lib/fake_cluster.h"
#include "tests/lib/runner.h"

static struct fake_cluster c;

static void tear_down(void) {
    fake_cluster_destroy(&c);
}

static void create(int32_t count) {
    fake_cluster_create(&c, count, 1);
}

static struct replica_status_counts counts_of(int32_t id) {
    struct replica_status_counts counts;
    replica_manager_count(c.brokers[id].replicas, &counts);
    return counts;
}

START_TEST(a_silent_follower_leaves_the_in_sync_set_and_returns) {
    create(3);
    fake_cluster_lead(&c, 1, 123);
    fake_append(&c, 1, 10, -1);
    fake_cluster_run(&c, 1000);
    c.brokers[3].is_cut = true;
    fake_append(&c, 1, 10, -1);
    fake_cluster_run(&c, FAKE_LAG_MS / 2);
    ck_assert_int_eq(fake_high_watermark(&c, 1), 10); /* still waited for */
    fake_cluster_run(&c, FAKE_LAG_MS * 3 / 2);
    ck_assert_int_eq(fake_isr(&c), 12);
    ck_assert_int_eq(fake_high_watermark(&c, 1), 20);
    ck_assert_int_eq(counts_of(1).under_replicated, 1);
    ck_assert_int_eq(counts_of(2).under_replicated, 0); /* the leader tells, alone */
    ck_assert_int_eq(counts_of(1).isr_shrinks, 1);
    c.brokers[3].is_cut = false;
    fake_cluster_run(&c, 5000);
    ck_assert_int_eq(fake_isr(&c), 123);
    ck_assert_int_eq(fake_log_end(&c, 3), 20);
    ck_assert_int_eq(counts_of(1).under_replicated, 0);
    ck_assert_int_eq(counts_of(1).isr_expands, 1);
    ck_assert_int_eq(replica_manager_traffic(c.brokers[1].replicas)->messages_in, 20);
    ck_assert_int_eq(replica_manager_traffic(c.brokers[3].replicas)->replication_bytes_in,
                     replica_manager_traffic(c.brokers[1].replicas)->bytes_in);
}
END_TEST

START_TEST(followers_return_although_the_partition_is_idle_and_changes_go_one_at_a_time) {
    create(5);
    fake_cluster_lead(&c, 1, 1);
    fake_append(&c, 1, 10, 1);
    fake_cluster_run(&c, 2000);
    ck_assert_int_eq(c.isr_count, 5);
    for (int32_t id = 2; id <= 5; id++) {
        ck_assert(fake_logs_equal(&c, 1, id));
    }
}
END_TEST

START_TEST(a_refused_return_is_tried_again_by_the_periodic_look) {
    create(2);
    c.refuse_isr_changes = KAFKA_INELIGIBLE_REPLICA;
    fake_cluster_lead(&c, 1, 1);
    fake_append(&c, 1, 10, 1);
    fake_cluster_run(&c, 2000);
    ck_assert_int_eq(fake_isr(&c), 1);
    ck_assert_int_ge(counts_of(1).isr_failures, 1);
    c.refuse_isr_changes = 0;
    fake_cluster_run(&c, FAKE_LAG_MS);
    ck_assert_int_eq(fake_isr(&c), 12);
}
END_TEST

/* ---- Refused again and again ---- */

static int proposals_told;
static int failures_told; /* of requests */
static int refusals_told; /* of the partition */
static char last_failure[256];

static void note_line(enum trace_level level, const char *line, void *context) {
    (void)level;
    (void)context;
    proposals_told += strstr(line, "proposing an in-sync set") != NULL;
    refusals_told += strstr(line, "t-0: the controller answers") != NULL;
    if (strstr(line, "AlterPartition") != NULL && strstr(line, "trying again") != NULL) {
        failures_told++;
        snprintf(last_failure, sizeof last_failure, "%s", line);
    }
}

/* In small steps, so that no retry is late. */
static void run_finely(int64_t for_ms) {
    for (int64_t ms = 0; ms < for_ms; ms += 10) {
        fake_cluster_run(&c, 10);
    }
}

static int32_t requests_within(int64_t for_ms) {
    int32_t before = c.alter_requests;
    run_finely(for_ms);
    return c.alter_requests - before;
}

/* Broker 2 leads, broker 3 is silent: until the leader proposes to go on without it. */
static void propose_to_shrink(void) {
    fake_cluster_lead(&c, 2, 123);
    fake_append(&c, 2, 10, -1);
    fake_cluster_run(&c, 1000);
    c.brokers[3].is_cut = true;
    fake_append(&c, 2, 10, -1);
    trace_set_sink(note_line, NULL);
    proposals_told = failures_told = refusals_told = 0;
    c.alter_requests = 0;
    for (int64_t ms = 0; ms < 2 * FAKE_LAG_MS && c.alter_requests == 0; ms += 10) {
        run_finely(10);
    }
    ck_assert_int_eq(c.alter_requests, 1);
}

/* 50, 100, 200, 400, 800 ms after the first, then every second. */
static void check_back_off(void) {
    ck_assert_int_eq(requests_within(1700), 5);
    ck_assert_int_eq(requests_within(10000), 10);
}

START_TEST(a_refused_request_waits_longer_every_time_and_is_told_once_per_cause) {
    create(3);
    c.refuse_alter_requests = KAFKA_STALE_BROKER_EPOCH;
    propose_to_shrink();
    check_back_off();
    ck_assert_int_eq(proposals_told, 1);
    ck_assert_int_eq(failures_told, 1);
    ck_assert_ptr_nonnull(strstr(last_failure, "STALE_BROKER_EPOCH"));
    c.refuse_alter_requests = KAFKA_NOT_CONTROLLER;
    run_finely(5000);
    ck_assert_int_eq(failures_told, 2);
    ck_assert_ptr_nonnull(strstr(last_failure, "NOT_CONTROLLER"));
    c.refuse_alter_requests = 0;
    run_finely(1010);
    ck_assert_int_eq(fake_isr(&c), 12);
    ck_assert_int_eq(proposals_told, 1);
    ck_assert_int_eq(refusals_told, 1); /* that it was taken */
    c.refuse_alter_requests = KAFKA_NOT_CONTROLLER;
    c.brokers[3].is_cut = false; /* the next change begins with the shortest wait, and tells its cause again */
    c.alter_requests = 0;
    for (int64_t ms = 0; ms < FAKE_LAG_MS && c.alter_requests == 0; ms += 10) {
        run_finely(10);
    }
    check_back_off();
    ck_assert_int_eq(failures_told, 3);
    ck_assert_int_eq(proposals_told, 2);
}
END_TEST

START_TEST(a_refused_partition_waits_longer_every_time_and_is_told_once_per_cause) {
    create(3);
    c.refuse_isr_changes = KAFKA_NOT_CONTROLLER;
    propose_to_shrink();
    check_back_off();
    ck_assert_int_eq(proposals_told, 1);
    ck_assert_int_eq(refusals_told, 1);
    c.refuse_isr_changes = KAFKA_UNKNOWN_SERVER_ERROR;
    run_finely(5000);
    ck_assert_int_eq(refusals_told, 2);
    c.refuse_isr_changes = 0;
    run_finely(1010);
    ck_assert_int_eq(fake_isr(&c), 12);
    ck_assert_int_eq(refusals_told, 3);
    ck_assert_int_eq(failures_told, 0);
}
END_TEST

START_TEST(a_broker_that_registered_anew_does_not_wait) {
    create(3);
    c.refuse_alter_requests = KAFKA_STALE_BROKER_EPOCH;
    propose_to_shrink();
    run_finely(5000);
    c.refuse_alter_requests = 0;
    replica_manager_set_broker_epoch(c.brokers[2].replicas, c.clock.now_ms);
    ck_assert_int_eq(requests_within(10), 1);
    ck_assert_int_eq(fake_isr(&c), 12);
}
END_TEST

START_TEST(a_change_does_not_wait_once_another_controller_is_known) {
    create(3);
    fake_cluster_lead(&c, 2, 23);
    fake_append(&c, 2, 10, -1);
    fake_cluster_run(&c, 1000);
    ck_assert_int_eq(fake_isr(&c), 231);
    trace_set_sink(note_line, NULL);
    failures_told = 0;
    c.alter_requests = 0;
    fake_broker_kill(&c, 1); /* the controller */
    fake_append(&c, 2, 10, 1);
    fake_cluster_run(&c, 2 * FAKE_LAG_MS);
    ck_assert_int_eq(failures_told, 1);
    ck_assert_int_eq(c.alter_requests, 0);
    fake_cluster_update_metadata(&c);
    ck_assert_int_eq(requests_within(10), 1);
    ck_assert_int_eq(fake_isr(&c), 23);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_silent_follower_leaves_the_in_sync_set_and_returns),
        TEST(followers_return_although_the_partition_is_idle_and_changes_go_one_at_a_time),
        TEST(a_refused_return_is_tried_again_by_the_periodic_look),
        TEST(a_refused_request_waits_longer_every_time_and_is_told_once_per_cause),
        TEST(a_refused_partition_waits_longer_every_time_and_is_told_once_per_cause),
        TEST(a_broker_that_registered_anew_does_not_wait),
        TEST(a_change_does_not_wait_once_another_controller_is_known),
    };
    return run_tests_with_fixture("alter partition manager", tests, ARRAY_SIZE(tests), NULL, tear_down);
}
