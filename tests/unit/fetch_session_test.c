/* Fetch sessions: the server's cache with its dirty lists, and the numbers a follower sends (KIP-227). */
#include <check.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/protocol/errors.h"
#include "replication/fetch_session.h"
#include "tests/lib/runner.h"

#define EVICT_MS 120000

static struct fetch_sessions *cache;
static struct partition_watcher *lists[3]; /* what three partitions would hold */

static void set_up(void) {
    cache = fetch_sessions_create(2, EVICT_MS, 42);
}

static void tear_down(void) {
    fetch_sessions_destroy(cache);
}

static struct fetch_session *begin(int32_t id, int32_t epoch, bool is_privileged, int64_t now_ms) {
    struct fetch_session *session = NULL;
    ck_assert_int_eq(fetch_sessions_begin(cache,
                                          &(struct fetch_begin){.session_id = id,
                                                                .session_epoch = epoch,
                                                                .is_privileged = is_privileged,
                                                                .now_ms = now_ms},
                                          &session),
                     KAFKA_NONE);
    ck_assert_ptr_nonnull(session);
    return session;
}

static int16_t refused(int32_t id, int32_t epoch, bool uses_topic_ids) {
    struct fetch_session *session = NULL;
    int16_t error = fetch_sessions_begin(
        cache, &(struct fetch_begin){.session_id = id, .session_epoch = epoch, .uses_topic_ids = uses_topic_ids},
        &session);
    ck_assert_ptr_null(session);
    return error;
}

static struct fetch_entry *name(struct fetch_session *session, int32_t partition, int64_t offset) {
    return fetch_session_name(session, &(struct fetch_named){.topic = STR_LITERAL("t"),
                                                             .partition = partition,
                                                             .fetch_offset = offset,
                                                             .current_leader_epoch = -1,
                                                             .last_fetched_epoch = -1,
                                                             .log_start_offset = -1,
                                                             .max_bytes = 1000});
}

static const struct fetch_outcome nothing = {.high_watermark = 5, .log_start_offset = 0};
static const struct fetch_outcome records = {.high_watermark = 5, .log_start_offset = 0, .records_bytes = 70};

/* Opens a session of `count` partitions that have nothing to say; returns its id. */
static int32_t open_idle(int32_t count, bool is_privileged, int64_t now_ms, bool is_watched) {
    struct fetch_session *session = begin(0, 0, is_privileged, now_ms);
    for (int32_t i = 0; i < count; i++) {
        struct fetch_entry *entry = name(session, i, 5);
        if (is_watched) {
            partition_watcher_add(&lists[i], &entry->watcher);
        }
        ck_assert(fetch_entry_settle(entry, &nothing, false));
    }
    return fetch_session_finish(session, now_ms);
}

START_TEST(a_full_fetch_answers_every_partition_and_opens_a_session) {
    int32_t id = open_idle(3, true, 0, false);
    ck_assert_int_gt(id, 0);
    ck_assert_int_eq(fetch_sessions_count(cache), 1);
}
END_TEST

START_TEST(an_incremental_fetch_walks_only_what_was_named_or_changed) {
    int32_t id = open_idle(3, true, 0, true);
    struct fetch_session *session = begin(id, 1, true, 10);
    ck_assert_ptr_null(fetch_session_first(session));
    ck_assert_int_eq(fetch_session_finish(session, 10), id);
    lists[1]->on_change(lists[1]);
    session = begin(id, 2, true, 20);
    ck_assert_int_eq(session->dirty_count, 1);
    ck_assert_int_eq(fetch_session_first(session)->partition, 1);
    fetch_entry_begin_read(fetch_session_first(session));
    ck_assert(!fetch_entry_settle(fetch_session_first(session), &nothing, false));
    ck_assert_ptr_null(fetch_session_first(session));
    name(session, 2, 6);
    ck_assert_int_eq(fetch_session_first(session)->fetch_offset, 6);
    fetch_session_finish(session, 20);
}
END_TEST

START_TEST(a_change_between_reading_and_answering_is_looked_at_by_the_next_fetch) {
    int32_t id = open_idle(1, true, 0, true);
    struct fetch_session *session = begin(id, 1, true, 10);
    struct fetch_entry *entry = name(session, 0, 6);
    fetch_entry_begin_read(entry);
    lists[0]->on_change(lists[0]);
    ck_assert(!fetch_entry_settle(entry, &nothing, false));
    ck_assert_int_eq(fetch_session_finish(session, 10), id);
    session = begin(id, 2, true, 20);
    ck_assert_ptr_eq(fetch_session_first(session), entry);
    fetch_session_finish(session, 20);
}
END_TEST

START_TEST(a_follower_with_a_new_broker_epoch_has_all_its_partitions_looked_at) {
    int32_t id = open_idle(3, true, 0, true);
    struct fetch_session *session = begin(id, 1, true, 10);
    fetch_session_set_replica_epoch(session, 7);
    while (fetch_session_first(session) != NULL) {
        ck_assert(!fetch_entry_settle(fetch_session_first(session), &nothing, false));
    }
    fetch_session_finish(session, 10);
    session = begin(id, 2, true, 20);
    fetch_session_set_replica_epoch(session, 7);
    ck_assert_ptr_null(fetch_session_first(session));
    fetch_session_set_replica_epoch(session, 8);
    ck_assert_int_eq(session->dirty_count, 3);
    fetch_session_finish(session, 20);
}
END_TEST

START_TEST(records_keep_a_partition_dirty_behind_the_others) {
    int32_t id = open_idle(2, false, 0, true);
    struct fetch_session *session = begin(id, 1, false, 0);
    name(session, 0, 5);
    name(session, 1, 5);
    ck_assert(fetch_entry_settle(fetch_session_first(session), &records, false));
    ck_assert_int_eq(fetch_session_first(session)->partition, 1);
    ck_assert_int_eq(session->dirty_count, 2);
    fetch_session_finish(session, 0);
}
END_TEST

START_TEST(an_error_is_answered_again_and_again) {
    int32_t id = open_idle(1, false, 0, true);
    const struct fetch_outcome error = {.error_code = KAFKA_NOT_LEADER_OR_FOLLOWER, .high_watermark = -1};
    for (int32_t epoch = 1; epoch < 3; epoch++) {
        struct fetch_session *session = begin(id, epoch, false, 0);
        struct fetch_entry *entry = epoch == 1 ? name(session, 0, 5) : fetch_session_first(session);
        ck_assert(fetch_outcome_ends_wait(&error));
        ck_assert(fetch_entry_settle(entry, &error, false));
        fetch_session_finish(session, 0);
    }
    struct fetch_session *session = begin(id, 3, false, 0);
    ck_assert(fetch_entry_settle(fetch_session_first(session), &nothing, false));
    ck_assert_ptr_null(fetch_session_first(session));
    fetch_session_finish(session, 0);
}
END_TEST

START_TEST(a_moved_high_watermark_or_start_is_news_and_the_former_owed_to_a_follower) {
    for (int follower = 0; follower < 2; follower++) {
        int32_t id = open_idle(1, follower == 1, 0, true);
        struct fetch_session *session = begin(id, 1, follower == 1, 0);
        struct fetch_entry *entry = name(session, 0, 6);
        struct fetch_outcome outcome = nothing;
        ck_assert(!fetch_entry_is_news(entry, &outcome));
        outcome.log_start_offset = 3;
        ck_assert(fetch_entry_is_news(entry, &outcome));
        ck_assert(!fetch_entry_owes_news(entry, &outcome));
        outcome.high_watermark = 6;
        ck_assert(fetch_entry_is_news(entry, &outcome));
        ck_assert_int_eq(fetch_entry_owes_news(entry, &outcome), follower == 1);
        ck_assert(!fetch_outcome_ends_wait(&outcome));
        fetch_session_finish(session, 0);
    }
}
END_TEST

START_TEST(who_names_a_partition_again_and_came_no_further_is_answered_again) {
    const struct fetch_named further = {.topic = STR_LITERAL("t"),
                                        .fetch_offset = 6,
                                        .current_leader_epoch = 1,
                                        .last_fetched_epoch = -1,
                                        .log_start_offset = -1,
                                        .max_bytes = 1000};
    struct fetch_named repeated = further, earlier = further, other_epoch = further;
    earlier.fetch_offset = 5;
    other_epoch.fetch_offset = 7;
    other_epoch.current_leader_epoch = 2;
    const struct fetch_named *again[] = {&repeated, &earlier, &other_epoch};
    for (size_t i = 0; i < ARRAY_SIZE(again); i++) {
        struct fetch_session *session = begin(0, 0, true, 0);
        struct fetch_entry *entry = fetch_session_name(session, &further);
        ck_assert(fetch_entry_settle(entry, &nothing, false));
        int32_t id = fetch_session_finish(session, 0);
        session = begin(id, 1, true, 10);
        entry = fetch_session_name(session, again[i]);
        ck_assert(fetch_entry_owes_news(entry, &nothing)); /* an idle partition has nothing else to wake it */
        ck_assert(fetch_entry_settle(entry, &nothing, false));
        struct fetch_named next = *again[i];
        next.fetch_offset++;
        ck_assert_int_eq(fetch_session_finish(session, 10), id);
        session = begin(id, 2, true, 20);
        ck_assert(!fetch_entry_settle(fetch_session_name(session, &next), &nothing, false));
        fetch_session_finish(session, 20);
        tear_down(); /* two sessions are all there is room for */
        set_up();
    }
}
END_TEST

static int woken;
static void count_wake(struct fetch_session *session) {
    (void)session;
    woken++;
}

START_TEST(a_waiting_fetch_is_woken_by_its_partitions) {
    int32_t id = open_idle(1, true, 0, true);
    struct fetch_session *session = begin(id, 1, true, 0);
    woken = 0;
    session->on_dirty = count_wake;
    lists[0]->on_change(lists[0]);
    ck_assert_int_eq(woken, 1);
    fetch_session_finish(session, 0);
    lists[0]->on_change(lists[0]);
    ck_assert_int_eq(woken, 1);
}
END_TEST

START_TEST(told_to_lead_followers_waits_end_and_are_short_for_a_second_and_consumers_go_on) {
    int32_t follower_id = open_idle(1, true, 0, true);
    int32_t consumer_id = open_idle(2, false, 0, false);
    struct fetch_session *follower = begin(follower_id, 1, true, 0);
    struct fetch_session *consumer = begin(consumer_id, 1, false, 0);
    woken = 0;
    follower->on_dirty = consumer->on_dirty = count_wake;
    ck_assert_int_eq(fetch_session_wait_ms(follower, 500, 100), 500);
    fetch_sessions_hurry(cache, 100);
    ck_assert_int_eq(woken, 1);
    ck_assert(follower->is_hurried && !consumer->is_hurried);
    fetch_session_finish(follower, 100);
    follower = begin(follower_id, 2, true, 100);
    ck_assert(!follower->is_hurried);
    ck_assert_int_lt(fetch_session_wait_ms(follower, 500, 1099), 50);
    ck_assert_int_eq(fetch_session_wait_ms(follower, 1, 1099), 1);
    ck_assert_int_eq(fetch_session_wait_ms(follower, 500, 1100), 500);
    ck_assert_int_eq(fetch_session_wait_ms(consumer, 500, 101), 500);
    fetch_sessions_hurry(cache, 200); /* nobody waits that could be woken */
    ck_assert_int_eq(woken, 1);
    fetch_session_finish(follower, 200);
    fetch_session_finish(consumer, 200);
}
END_TEST

START_TEST(wrong_ids_epochs_and_kinds_are_refused) {
    int32_t id = open_idle(1, false, 0, false);
    ck_assert_int_eq(refused(id == 7 ? 8 : 7, 1, false), KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    ck_assert_int_eq(refused(id, 2, false), KAFKA_INVALID_FETCH_SESSION_EPOCH);
    ck_assert_int_eq(refused(id, 1, true), KAFKA_FETCH_SESSION_TOPIC_ID_ERROR);
    struct fetch_session *session = begin(id, 1, false, 0);
    ck_assert_int_eq(refused(id, 2, false), KAFKA_INVALID_FETCH_SESSION_EPOCH);
    fetch_session_finish(session, 0);
}
END_TEST

START_TEST(a_full_fetch_closes_the_session_it_names_even_while_that_waits) {
    int32_t id = open_idle(1, false, 0, false);
    struct fetch_session *waiting = begin(id, 1, false, 0);
    struct fetch_session *again = begin(id, -1, false, 0);
    ck_assert(fetch_session_is_closed(waiting));
    ck_assert_int_eq(fetch_session_finish(again, 0), 0);
    ck_assert_int_eq(fetch_session_finish(waiting, 0), 0);
    ck_assert_int_eq(fetch_sessions_count(cache), 0);
    ck_assert_int_eq(refused(id, 2, false), KAFKA_FETCH_SESSION_ID_NOT_FOUND);
}
END_TEST

START_TEST(forgetting_the_last_partition_closes_the_session) {
    int32_t id = open_idle(1, false, 0, false);
    struct fetch_session *session = begin(id, 1, false, 0);
    fetch_session_forget(session, STR_LITERAL("t"), (struct uuid){{0}}, 0);
    fetch_session_check(session);
    ck_assert_int_eq(fetch_session_finish(session, 0), 0);
    ck_assert_int_eq(fetch_sessions_count(cache), 0);
}
END_TEST

START_TEST(the_same_name_with_another_topic_id_is_another_partition) {
    struct fetch_session *session = NULL;
    ck_assert_int_eq(fetch_sessions_begin(cache, &(struct fetch_begin){.uses_topic_ids = true}, &session), 0);
    struct fetch_named named = {.topic = STR_LITERAL("t"), .topic_id = {{1}}};
    struct fetch_entry *first = fetch_session_name(session, &named);
    named.topic_id = (struct uuid){{2}};
    ck_assert_ptr_ne(fetch_session_name(session, &named), first);
    named.topic_id = (struct uuid){{1}};
    ck_assert_ptr_eq(fetch_session_name(session, &named), first);
    fetch_session_finish(session, 0);
}
END_TEST

START_TEST(a_follower_takes_a_consumers_place_and_a_consumer_does_not_take_a_followers) {
    open_idle(1, true, 0, false);
    int32_t consumer = open_idle(1, false, 0, false);
    ck_assert_int_eq(open_idle(5, false, 1, false), 0);
    ck_assert_int_gt(open_idle(1, true, 1, false), 0);
    ck_assert_int_eq(refused(consumer, 1, false), KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    ck_assert_int_eq(open_idle(5, false, 2, false), 0);
    ck_assert_int_eq(fetch_sessions_count(cache), 2);
}
END_TEST

START_TEST(an_unused_session_makes_room_for_anyone) {
    int32_t old = open_idle(9, true, 0, false);
    open_idle(9, true, 1000, false);
    ck_assert_int_eq(open_idle(1, false, EVICT_MS, false), 0);
    ck_assert_int_gt(open_idle(1, false, EVICT_MS + 1, false), 0);
    ck_assert_int_eq(refused(old, 1, false), KAFKA_FETCH_SESSION_ID_NOT_FOUND);
}
END_TEST

START_TEST(session_epochs_wrap_to_one) {
    ck_assert_int_eq(fetch_session_epoch_after(0), 1);
    ck_assert_int_eq(fetch_session_epoch_after(INT32_MAX), 1);
    ck_assert_int_eq(fetch_session_epoch_after(-1), -1);
}
END_TEST

START_TEST(a_follower_counts_epochs_and_starts_again_after_errors) {
    struct follower_session session = {0};
    ck_assert(follower_session_is_full(&session));
    ck_assert(follower_session_on_answer(&session, 0, 77));
    ck_assert_int_eq(session.epoch, 1);
    ck_assert(follower_session_on_answer(&session, 0, 77));
    ck_assert_int_eq(session.epoch, 2);
    ck_assert(!follower_session_on_answer(&session, KAFKA_INVALID_FETCH_SESSION_EPOCH, 0));
    ck_assert(follower_session_is_full(&session));
    ck_assert_int_eq(session.id, 77); /* the full request closes it */
    ck_assert(!follower_session_on_answer(&session, KAFKA_FETCH_SESSION_ID_NOT_FOUND, 0));
    ck_assert_int_eq(session.id, 0);
    ck_assert(follower_session_on_answer(&session, 0, 0)); /* no room at the leader */
    ck_assert(follower_session_is_full(&session));
    ck_assert(follower_session_on_answer(&session, 0, 78));
    follower_session_reset(&session);
    ck_assert_int_eq(session.id, 78);
    ck_assert(follower_session_is_full(&session));
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_full_fetch_answers_every_partition_and_opens_a_session),
        TEST(an_incremental_fetch_walks_only_what_was_named_or_changed),
        TEST(a_change_between_reading_and_answering_is_looked_at_by_the_next_fetch),
        TEST(a_follower_with_a_new_broker_epoch_has_all_its_partitions_looked_at),
        TEST(records_keep_a_partition_dirty_behind_the_others),
        TEST(an_error_is_answered_again_and_again),
        TEST(a_moved_high_watermark_or_start_is_news_and_the_former_owed_to_a_follower),
        TEST(who_names_a_partition_again_and_came_no_further_is_answered_again),
        TEST(a_waiting_fetch_is_woken_by_its_partitions),
        TEST(told_to_lead_followers_waits_end_and_are_short_for_a_second_and_consumers_go_on),
        TEST(wrong_ids_epochs_and_kinds_are_refused),
        TEST(a_full_fetch_closes_the_session_it_names_even_while_that_waits),
        TEST(forgetting_the_last_partition_closes_the_session),
        TEST(the_same_name_with_another_topic_id_is_another_partition),
        TEST(a_follower_takes_a_consumers_place_and_a_consumer_does_not_take_a_followers),
        TEST(an_unused_session_makes_room_for_anyone),
        TEST(session_epochs_wrap_to_one),
        TEST(a_follower_counts_epochs_and_starts_again_after_errors),
    };
    return run_tests_with_fixture("fetch_session", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
