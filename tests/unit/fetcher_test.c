/* The follower's side: what is named, what is forgotten, what answers mean, where to truncate. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/trace.h"
#include "broker/protocol/errors.h"
#include "replication/fetcher.h"
#include "tests/lib/fake_cluster.h"
#include "tests/lib/runner.h"

#define BACKOFF_MS 1000

static struct fetcher fetcher;
static struct fetcher_partition parts[4];
static struct fetcher_plan plan;

static void set_up(void) {
    fetcher_init(&fetcher, 2, BACKOFF_MS);
}
static void tear_down(void) {
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        fetcher_remove(&parts[i]);
    }
    fetcher_deinit(&fetcher);
}

static struct fetch_position at(int64_t offset) {
    return (struct fetch_position){.offset = offset, .last_fetched_epoch = 3};
}
static void add(int32_t index, int64_t offset) {
    struct fetch_position position = at(offset);
    fetcher_add(&fetcher, &parts[index], STR_LITERAL("t"), (struct uuid){{7}}, index, 3, &position);
}
static void move(int32_t index, int64_t offset) {
    struct fetch_position position = at(offset);
    fetcher_move(&parts[index], &position);
}

/* "full 0 1 forget 2": the next request, which is then on its way. */
static const char *sent(int64_t now_ms) {
    static char text[200];
    int64_t wake_ms = 0;
    ck_assert_int_eq(fetcher_turn(&fetcher, now_ms, &wake_ms), FETCHER_SEND);
    fetcher_plan(&fetcher, &plan);
    int n = snprintf(text, sizeof text, "%s", plan.is_full ? "full" : "more");
    for (struct fetcher_partition *p = fetcher_named_first(&fetcher, &plan); p != NULL;
         p = fetcher_named_next(p, &plan)) {
        n += snprintf(text + n, sizeof text - (size_t)n, " %d@%d", p->key.partition, (int)p->position.offset);
    }
    for (struct fetcher_forgotten *f = fetcher.forgotten; f != NULL && !plan.is_full; f = f->next) {
        n += snprintf(text + n, sizeof text - (size_t)n, " gone %d", f->key.partition);
    }
    for (struct fetcher_partition *p = fetcher_leaving_first(&fetcher, &plan); p != NULL; p = fetcher_leaving_next(p)) {
        n += snprintf(text + n, sizeof text - (size_t)n, " leave %d", p->key.partition);
    }
    fetcher_on_sent(&fetcher, &plan);
    return text;
}
static void answered(int64_t now_ms) {
    ck_assert(fetcher_on_answer(&fetcher, KAFKA_NONE, 77, now_ms));
}
static enum fetch_verdict judge(int32_t index, int16_t error_code) {
    return fetcher_judge(&parts[index], &(struct fetch_answer){.error_code = error_code});
}
static int64_t sleeps_until(int64_t now_ms) {
    int64_t wake_ms = 0;
    ck_assert_int_eq(fetcher_turn(&fetcher, now_ms, &wake_ms), FETCHER_SLEEP);
    return wake_ms;
}

START_TEST(a_session_begins_with_everything_and_goes_on_with_what_changed) {
    add(0, 10);
    add(1, 20);
    ck_assert_str_eq(sent(0), "full 0@10 1@20");
    ck_assert_int_eq(sleeps_until(0), INT64_MAX); /* one request at a time */
    answered(0);
    ck_assert_str_eq(sent(0), "more");
    answered(0);
    move(1, 25);
    move(0, 10);
    ck_assert_str_eq(sent(0), "more 1@25");
    ck_assert_int_eq(plan.session_id, 77);
    ck_assert_int_eq(plan.session_epoch, 2);
}
END_TEST

START_TEST(a_partition_added_or_removed_changes_the_session) {
    add(0, 10);
    add(1, 20);
    sent(0);
    answered(0);
    add(2, 30);
    fetcher_remove(&parts[1]);
    ck_assert_str_eq(sent(0), "more 2@30 gone 1");
    answered(0);
    ck_assert_str_eq(sent(0), "more");
}
END_TEST

START_TEST(a_partition_removed_while_the_full_request_is_under_way_is_forgotten_after_it) {
    add(0, 10);
    add(1, 20);
    sent(0);
    fetcher_remove(&parts[1]);
    answered(0);
    ck_assert_str_eq(sent(0), "more gone 1");
}
END_TEST

START_TEST(a_partition_that_leaves_and_comes_back_is_only_named) {
    add(0, 10);
    add(1, 20);
    sent(0);
    answered(0);
    fetcher_remove(&parts[1]);
    add(1, 22);
    ck_assert_str_eq(sent(0), "more 1@22");
}
END_TEST

START_TEST(a_failed_request_backs_off_and_begins_a_new_session_that_closes_the_old) {
    add(0, 10);
    sent(0);
    answered(0);
    sent(0);
    fetcher_on_failed(&fetcher, 500);
    ck_assert_int_eq(sleeps_until(600), 1500);
    ck_assert_str_eq(sent(1500), "full 0@10");
    ck_assert_int_eq(plan.session_id, 77);
    ck_assert_int_eq(plan.session_epoch, 0);
}
END_TEST

START_TEST(a_session_the_leader_does_not_know_is_replaced_at_once) {
    add(0, 10);
    sent(0);
    answered(0);
    sent(0);
    ck_assert(!fetcher_on_answer(&fetcher, KAFKA_FETCH_SESSION_ID_NOT_FOUND, 0, 0));
    ck_assert_str_eq(sent(0), "full 0@10");
    ck_assert_int_eq(plan.session_id, 0);
    ck_assert(!fetcher_on_answer(&fetcher, KAFKA_INCONSISTENT_TOPIC_ID, 0, 0));
    ck_assert_int_eq(sleeps_until(1), BACKOFF_MS);
}
END_TEST

START_TEST(a_partition_that_backs_off_leaves_the_session_and_returns) {
    add(0, 10);
    add(1, 20);
    sent(0);
    answered(0);
    ck_assert_int_eq(judge(1, KAFKA_NOT_LEADER_OR_FOLLOWER), FETCH_RETRY);
    fetcher_delay(&parts[1], 0);
    ck_assert_str_eq(sent(0), "more leave 1");
    answered(0);
    ck_assert_str_eq(sent(999), "more");
    answered(999);
    ck_assert_str_eq(sent(1000), "more 1@20");
}
END_TEST

START_TEST(with_every_partition_backing_off_nothing_is_asked_until_the_first_is_due) {
    add(0, 10);
    sent(0);
    answered(0);
    fetcher_delay(&parts[0], 100);
    ck_assert_int_eq(sleeps_until(200), 1100);
}
END_TEST

START_TEST(a_leader_that_was_not_told_yet_is_asked_again_soon_and_then_less_and_less_often) {
    static const int64_t waits_ms[] = {20, 40, 80, 160, 320, 640, BACKOFF_MS, BACKOFF_MS};
    add(0, 10);
    sent(0);
    answered(0);
    for (int i = 0; i < (int)ARRAY_SIZE(waits_ms); i++) {
        fetcher_delay_unready(&parts[0], 100, i + 1);
        ck_assert_int_eq(sleeps_until(101), 100 + waits_ms[i]);
    }
    fetcher_delay_unready(&parts[0], 100, INT64_MAX);
    ck_assert_int_eq(sleeps_until(101), 100 + BACKOFF_MS);
}
END_TEST

START_TEST(rule_20_a_fenced_partition_is_silent_until_it_is_added_anew) {
    add(0, 10);
    sent(0);
    answered(0);
    ck_assert_int_eq(judge(0, KAFKA_FENCED_LEADER_EPOCH), FETCH_PARK);
    fetcher_park(&parts[0]);
    ck_assert_int_eq(sleeps_until(1000000), INT64_MAX);
    fetcher_remove(&parts[0]);
    add(0, 10);
    ck_assert_str_eq(sent(1000000), "full 0@10");
}
END_TEST

START_TEST(an_answer_to_a_question_of_before_is_ignored) {
    add(0, 10);
    sent(0);
    fetcher_remove(&parts[0]); /* a new leader epoch while the answer is on its way */
    add(0, 10);
    answered(0);
    ck_assert_int_eq(judge(0, KAFKA_NONE), FETCH_IGNORE);
    ck_assert_int_eq(judge(0, KAFKA_FENCED_LEADER_EPOCH), FETCH_IGNORE);
}
END_TEST

START_TEST(errors_and_divergence_are_told_apart) {
    add(0, 10);
    sent(0);
    answered(0);
    ck_assert_int_eq(judge(0, KAFKA_NONE), FETCH_APPEND);
    ck_assert_int_eq(judge(0, KAFKA_OFFSET_OUT_OF_RANGE), FETCH_RESOLVE);
    ck_assert_int_eq(judge(0, KAFKA_UNKNOWN_LEADER_EPOCH), FETCH_RETRY);
    ck_assert_int_eq(judge(0, KAFKA_STORAGE_ERROR), FETCH_RETRY);
    ck_assert_int_eq(fetcher_judge(&parts[0], &(struct fetch_answer){.is_diverging = true}), FETCH_TRUNCATE);
}
END_TEST

START_TEST(rule_24_one_topic_without_an_id_makes_the_session_go_by_names) {
    struct fetch_position position = at(5);
    add(0, 10);
    sent(0);
    ck_assert(plan.uses_topic_ids);
    answered(0);
    fetcher_add(&fetcher, &parts[1], STR_LITERAL("old"), (struct uuid){{0}}, 1, 3, &position);
    ck_assert_str_eq(sent(0), "full 0@10 1@5");
    ck_assert(!plan.uses_topic_ids);
    answered(0);
    fetcher_remove(&parts[1]);
    ck_assert_str_eq(sent(0), "full 0@10");
    ck_assert(plan.uses_topic_ids);
}
END_TEST

START_TEST(rule_19_truncation_goes_to_the_end_of_the_last_shared_epoch) {
    /* Both have the epoch: the shorter end (KIP-101). */
    ck_assert_int_eq(fetcher_truncation(4, 12, 4, 15, 20), 12);
    ck_assert_int_eq(fetcher_truncation(4, 18, 4, 15, 20), 15);
    /* We lack the leader's epoch: our end of a smaller one, and another round (KIP-279). */
    ck_assert_int_eq(fetcher_truncation(4, 12, 3, 15, 20), 15);
    ck_assert_int_eq(fetcher_truncation(4, 18, 3, 8, 20), 8);
    /* We know no epoch at all. */
    ck_assert_int_eq(fetcher_truncation(4, 12, -1, -1, 20), 12);
    ck_assert_int_eq(fetcher_truncation(4, 30, -1, -1, 20), 20);
}
END_TEST

START_TEST(what_lies_before_the_leaders_start_cannot_be_told_from_foreign_records) {
    ck_assert(fetcher_keeps_nothing(56, 0, 56)); /* the leader knows no older epoch than the one at its start */
    ck_assert(fetcher_keeps_nothing(40, 0, 56));
    ck_assert(!fetcher_keeps_nothing(57, 0, 56)); /* what is shared reaches into its log */
    ck_assert(!fetcher_keeps_nothing(56, 56, 56));
    ck_assert(!fetcher_keeps_nothing(40, 60, 56));
}
END_TEST

START_TEST(a_member_of_the_in_sync_set_leaves_it_before_a_gap_cuts_it_below_its_high_watermark) {
    ck_assert(!fetcher_may_cut(0, 75, 316, true));
    ck_assert(!fetcher_may_cut(74, 75, 75, true));
    ck_assert(fetcher_may_cut(75, 75, 316, true)); /* what is cut was not committed, as far as we know */
    ck_assert(fetcher_may_cut(0, 75, 316, false));
    ck_assert(fetcher_may_cut(0, 75, 74, true)); /* the leader lost what was: as Kafka, at once */
}
END_TEST

START_TEST(an_offset_out_of_range_is_resolved_by_the_leaders_end_and_then_its_start) {
    int64_t offset = 0;
    ck_assert_int_eq(fetcher_resolution(20, 15, -1, &offset), RESOLUTION_TRUNCATE);
    ck_assert_int_eq(offset, 15);
    ck_assert_int_eq(fetcher_resolution(20, 50, -1, &offset), RESOLUTION_ASK_START);
    ck_assert_int_eq(fetcher_resolution(20, 50, 30, &offset), RESOLUTION_RESTART);
    ck_assert_int_eq(offset, 30);
    ck_assert_int_eq(fetcher_resolution(20, 50, 10, &offset), RESOLUTION_CONTINUE);
    ck_assert_int_eq(offset, 20);
}
END_TEST

/* ---- What is said of it ---- */

static int failures_told;
static int successes_told;
static char last_told[256];

static void note_line(enum trace_level level, const char *line, void *context) {
    (void)level;
    (void)context;
    bool is_failure = strstr(line, "Fetch from broker 1 failed: ") != NULL;
    bool is_success = strstr(line, "Fetch from broker 1 works again") != NULL;
    failures_told += is_failure;
    successes_told += is_success;
    if (is_failure || is_success) {
        snprintf(last_told, sizeof last_told, "%s", line);
    }
}

START_TEST(a_leader_that_is_away_makes_a_line_in_30_s_and_one_when_it_is_back) {
    static struct fake_cluster c;
    fake_cluster_create(&c, 2, 1);
    fake_cluster_lead(&c, 1, 12);
    fake_append(&c, 1, 3, -1);
    fake_cluster_run(&c, 1000);
    trace_set_sink(note_line, NULL);
    c.brokers[1].is_cut = true;
    fake_cluster_run(&c, 5000);
    ck_assert_int_eq(failures_told, 1);
    ck_assert_ptr_nonnull(strstr(last_told, "failed: disconnected (kafka."));
    fake_cluster_run(&c, 95000);
    ck_assert_int_eq(failures_told, 4); /* after 0, 30, 60 and 90 s */
    ck_assert_ptr_nonnull(strstr(last_told, "failed: disconnected (lines before it not shown: 29)"));
    ck_assert_int_eq(successes_told, 0);
    c.brokers[1].is_cut = false;
    fake_cluster_run(&c, 60000);
    ck_assert_int_eq(successes_told, 1);
    ck_assert_int_eq(failures_told, 4);
    trace_set_sink(NULL, NULL);
    fake_cluster_destroy(&c);
}
END_TEST

static int retries_told;

static void note_retry(enum trace_level level, const char *line, void *context) {
    (void)level;
    (void)context;
    retries_told += strstr(line, "t-0: leader 1 answers UNKNOWN_LEADER_EPOCH; trying again") != NULL;
}

START_TEST(a_leader_that_refuses_a_partition_makes_a_line_in_30_s) {
    static struct fake_cluster c;
    fake_cluster_create(&c, 2, 1);
    fake_cluster_lead(&c, 1, 12);
    fake_cluster_run(&c, 1000);
    c.leader_epoch++;
    c.partition_epoch++;
    trace_set_sink(note_retry, NULL);
    ck_assert_int_eq(fake_cluster_command(&c, 2, 1), 0); /* and 1 hears nothing of that epoch */
    fake_cluster_run(&c, 25000);
    ck_assert_int_eq(retries_told, 1);
    fake_cluster_run(&c, 10000);
    ck_assert_int_eq(retries_told, 2);
    trace_set_sink(NULL, NULL);
    fake_cluster_destroy(&c);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_session_begins_with_everything_and_goes_on_with_what_changed),
        TEST(a_partition_added_or_removed_changes_the_session),
        TEST(a_partition_removed_while_the_full_request_is_under_way_is_forgotten_after_it),
        TEST(a_partition_that_leaves_and_comes_back_is_only_named),
        TEST(a_failed_request_backs_off_and_begins_a_new_session_that_closes_the_old),
        TEST(a_session_the_leader_does_not_know_is_replaced_at_once),
        TEST(a_partition_that_backs_off_leaves_the_session_and_returns),
        TEST(with_every_partition_backing_off_nothing_is_asked_until_the_first_is_due),
        TEST(a_leader_that_was_not_told_yet_is_asked_again_soon_and_then_less_and_less_often),
        TEST(rule_20_a_fenced_partition_is_silent_until_it_is_added_anew),
        TEST(an_answer_to_a_question_of_before_is_ignored),
        TEST(errors_and_divergence_are_told_apart),
        TEST(rule_24_one_topic_without_an_id_makes_the_session_go_by_names),
        TEST(rule_19_truncation_goes_to_the_end_of_the_last_shared_epoch),
        TEST(what_lies_before_the_leaders_start_cannot_be_told_from_foreign_records),
        TEST(a_member_of_the_in_sync_set_leaves_it_before_a_gap_cuts_it_below_its_high_watermark),
        TEST(an_offset_out_of_range_is_resolved_by_the_leaders_end_and_then_its_start),
        TEST(a_leader_that_is_away_makes_a_line_in_30_s_and_one_when_it_is_back),
        TEST(a_leader_that_refuses_a_partition_makes_a_line_in_30_s),
    };
    return run_tests_with_fixture("fetcher", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
