/* kafka-reassign-partitions --verify --watch without a cluster: what is left of a plan, and the estimate. */
#include <check.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "tests/lib/runner.h"
#include "tools/progress.h"
#include "tools/reassign_watch.h"

static struct arena arena;

static void setup(void) {
    arena_init(&arena, SIZE_MAX);
}

static void teardown(void) {
    arena_deinit(&arena);
}

START_TEST(the_rate_is_what_became_less_in_the_time_between) {
    struct progress progress = {0};
    ck_assert_int_eq(progress_rate(&progress), 0);
    progress_note(&progress, 1000, 50000);
    ck_assert_int_eq(progress_rate(&progress), 0);
    ck_assert_int_eq(progress_seconds_left(&progress), -1);
    progress_note(&progress, 3000, 40000);
    ck_assert_int_eq(progress_rate(&progress), 5000);
    ck_assert_int_eq(progress_seconds_left(&progress), 8);
    progress_note(&progress, 4000, 39999);
    ck_assert_int_eq(progress_rate(&progress), 3333);
    ck_assert_int_eq(progress_seconds_left(&progress), 13); /* 12.0009, and not a second too early */
}
END_TEST

START_TEST(there_is_no_estimate_while_it_becomes_more) {
    struct progress progress = {0};
    progress_note(&progress, 1000, 100);
    progress_note(&progress, 2000, 100);
    ck_assert_int_eq(progress_seconds_left(&progress), -1);
    progress_note(&progress, 3000, 200);
    ck_assert_int_eq(progress_seconds_left(&progress), -1);
    progress_note(&progress, 4000, 0);
    ck_assert_int_eq(progress_seconds_left(&progress), 0);
}
END_TEST

/* A second between samples: ten bytes in each for a while, then a thousand. */
START_TEST(only_the_last_samples_count) {
    struct progress progress = {0};
    int64_t left = 1000000, now_ms = 0;
    for (int i = 0; i < 10 * PROGRESS_SAMPLES + 7; i++, left -= 10) {
        progress_note(&progress, now_ms += 1000, left);
        ck_assert_int_eq(progress_rate(&progress), i == 0 ? 0 : 10);
    }
    for (int i = 0; i < PROGRESS_SAMPLES; i++) {
        left -= 1000;
        progress_note(&progress, now_ms += 1000, left);
    }
    ck_assert_int_eq(progress_rate(&progress), 1000);
    ck_assert_int_eq(progress_seconds_left(&progress), (left + 999) / 1000);
}
END_TEST

static void is_text(struct str text, const char *expected) {
    ck_assert_msg(str_equal_text(text, expected), "%.*s instead of %s", STR_ARGS(text), expected);
}

START_TEST(bytes_and_durations_are_written_for_people) {
    is_text(progress_bytes(&arena, 0), "0 B");
    is_text(progress_bytes(&arena, 999), "999 B");
    is_text(progress_bytes(&arena, 1000), "1.0 kB");
    is_text(progress_bytes(&arena, 12345678), "12.3 MB");
    is_text(progress_bytes(&arena, 999949), "999.9 kB");
    is_text(progress_bytes(&arena, 999951), "1.0 MB");
    is_text(progress_bytes(&arena, INT64_MAX), "9.2 EB");
    is_text(progress_duration(&arena, 0), "0 s");
    is_text(progress_duration(&arena, 59), "59 s");
    is_text(progress_duration(&arena, 250), "4 min 10 s");
    is_text(progress_duration(&arena, 3600), "1 h 0 min");
    is_text(progress_duration(&arena, 90061), "1 d 1 h");
}
END_TEST

/* ---- moves ---- */

static int32_t replicas[][3] = {{3, 1}, {3, 2}, {2, 3}, {4, 5}};
static const char *dirs[] = {NULL, "/b"};

/* a-0 and a-1 move to broker 3, b-0 does not move, c-0 is to change its directory on broker 5. */
static struct reassign_item items[] = {
    {{"a", 1}, 0, replicas[0], 2, NULL},
    {{"a", 1}, 1, replicas[1], 2, NULL},
    {{"b", 1}, 0, replicas[2], 2, NULL},
    {{"c", 1}, 0, replicas[3], 2, dirs},
};
static const struct reassign_plan plan = {items, ARRAY_SIZE(items)};
static int32_t three[] = {3}, two[] = {2};
static struct reassign_ongoing running[] = {
    {.topic = {"a", 1}, .partition = 0, .adding = three, .adding_count = 1, .removing = two, .removing_count = 1},
    {.topic = {"a", 1}, .partition = 1, .adding = three, .adding_count = 1, .removing = two, .removing_count = 1},
};
static const struct reassign_ongoing_list ongoing = {running, ARRAY_SIZE(running)};

/* One broker's only directory, with one log. */
static void tell(struct watched_moves *moves, int32_t broker_id, const char *topic, int32_t partition, int64_t size,
                 bool is_future) {
    struct describe_log_dirs_response response;
    struct describe_log_dirs_response_describe_log_dirs_result result;
    struct describe_log_dirs_response_describe_log_dirs_topic logs;
    struct describe_log_dirs_response_describe_log_dirs_partition log;
    describe_log_dirs_response_init(&response);
    describe_log_dirs_response_describe_log_dirs_result_init(&result);
    describe_log_dirs_response_describe_log_dirs_topic_init(&logs);
    describe_log_dirs_response_describe_log_dirs_partition_init(&log);
    log.partition_index = partition;
    log.partition_size = size;
    log.is_future_key = is_future;
    logs.name = str_from(topic);
    logs.partitions = &log;
    logs.partitions_count = 1;
    result.topics = &logs;
    result.topics_count = 1;
    response.results = &result;
    response.results_count = 1;
    reassign_watch_take(moves, broker_id, &response);
}

START_TEST(what_a_new_replica_lacks_of_the_largest_old_one_is_left) {
    struct watched_moves moves = reassign_watch_collect(&arena, &plan, &ongoing);
    tell(&moves, 1, "a", 0, 1000, false);
    tell(&moves, 2, "a", 0, 900, false); /* a follower, some way behind */
    tell(&moves, 3, "a", 0, 300, false);
    tell(&moves, 2, "a", 1, 5000, false);
    tell(&moves, 2, "b", 0, 7777, false);
    reassign_watch_settle(&moves);
    ck_assert_int_eq(moves.count, 2);
    ck_assert_int_eq(moves.partition_count, 2);
    ck_assert_int_eq(reassign_watch_left(&moves.items[0]), 700);
    ck_assert_int_eq(reassign_watch_left(&moves.items[1]), 5000); /* nothing there yet */
    ck_assert_int_eq(moves.left_bytes, 5700);
}
END_TEST

START_TEST(a_replica_that_is_larger_than_its_source_leaves_nothing) {
    struct watched_moves moves = reassign_watch_collect(&arena, &plan, &ongoing);
    tell(&moves, 1, "a", 0, 1000, false);
    tell(&moves, 3, "a", 0, 1300, false); /* the source has been compacted meanwhile */
    tell(&moves, 3, "a", 1, 200, false);  /* and nobody has told of its source */
    reassign_watch_settle(&moves);
    ck_assert_int_eq(moves.partition_count, 2);
    ck_assert_int_eq(moves.left_bytes, 0);
}
END_TEST

START_TEST(a_future_log_is_compared_with_the_current_one_of_its_broker) {
    struct watched_moves moves = reassign_watch_collect(&arena, &plan, &(struct reassign_ongoing_list){0});
    tell(&moves, 4, "c", 0, 99999, false);
    tell(&moves, 5, "c", 0, 4000, false);
    tell(&moves, 5, "c", 0, 1500, true);
    reassign_watch_settle(&moves);
    ck_assert_int_eq(moves.count, 1);
    ck_assert_int_eq(moves.items[0].broker_id, 5);
    ck_assert_int_eq(moves.left_bytes, 2500);
}
END_TEST

START_TEST(without_a_future_log_a_directory_is_reached) {
    struct watched_moves moves = reassign_watch_collect(&arena, &plan, &(struct reassign_ongoing_list){0});
    tell(&moves, 5, "c", 0, 4000, false);
    reassign_watch_settle(&moves);
    ck_assert_int_eq(moves.count, 0);
    ck_assert_int_eq(moves.partition_count, 0);
}
END_TEST

START_TEST(a_partition_that_only_loses_replicas_is_moving) {
    struct reassign_ongoing_list leaving = {
        .count = 1,
        .items = (struct reassign_ongoing[]){
            {.topic = STR_LITERAL("b"), .partition = 0, .removing = two, .removing_count = 1},
        }};
    struct watched_moves moves = reassign_watch_collect(&arena, &plan, &leaving);
    tell(&moves, 2, "b", 0, 4000, false);
    reassign_watch_settle(&moves);
    ck_assert_int_eq(moves.partition_count, 1);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(the_rate_is_what_became_less_in_the_time_between),
        TEST(there_is_no_estimate_while_it_becomes_more),
        TEST(only_the_last_samples_count),
        TEST(bytes_and_durations_are_written_for_people),
        TEST(what_a_new_replica_lacks_of_the_largest_old_one_is_left),
        TEST(a_replica_that_is_larger_than_its_source_leaves_nothing),
        TEST(a_future_log_is_compared_with_the_current_one_of_its_broker),
        TEST(without_a_future_log_a_directory_is_reached),
        TEST(a_partition_that_only_loses_replicas_is_moving),
    };
    return run_tests_with_fixture("reassignments of the tools", tests, sizeof tests / sizeof tests[0], setup, teardown);
}
