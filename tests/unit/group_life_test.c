/* The group core, transition by transition, as Kafka 3.9's coordinator makes them: generation fencing, sessions,
 * leaving, static members, loading and the end. */
#include "tests/unit/group_fixture.h"

/* ---- Generation fencing ---- */

START_TEST(requests_of_another_generation_are_refused) {
    two_members();
    ck_assert_int_eq(heartbeat("a", 1), KAFKA_ILLEGAL_GENERATION);
    ck_assert_int_eq(heartbeat("a", 3), KAFKA_ILLEGAL_GENERATION);
    ck_assert_int_eq(commit("a", 1, false), KAFKA_ILLEGAL_GENERATION);
    follow("old", "a", 1);
    ck_assert_int_eq(error_of("old"), KAFKA_ILLEGAL_GENERATION);
}
END_TEST

START_TEST(commits_of_members_are_let_through_until_the_new_generation_has_formed) {
    two_members();
    ck_assert_int_eq(commit("b", 2, false), KAFKA_NONE);
    JOIN(.waiter = "a 3", .id = "a");
    ck_assert_int_eq(commit("b", 2, false), KAFKA_NONE); /* PreparingRebalance: what it has read before it joins */
    JOIN(.waiter = "b 3", .id = "b");
    ck_assert_int_eq(commit("b", 2, false), KAFKA_ILLEGAL_GENERATION);
    ck_assert_int_eq(commit("b", 3, false), KAFKA_REBALANCE_IN_PROGRESS);
}
END_TEST

START_TEST(commits_without_a_generation_need_an_empty_group) {
    ck_assert_int_eq(commit("", -1, false), KAFKA_NONE);
    ck_assert_int_eq(commit("", 5, false), KAFKA_UNKNOWN_MEMBER_ID);
    one_member();
    ck_assert_int_eq(commit("", -1, false), KAFKA_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(commit("", -1, true), KAFKA_NONE); /* older transactional clients do not say who they are */
    ck_assert_int_eq(commit("x", 1, true), KAFKA_UNKNOWN_MEMBER_ID);
}
END_TEST

/* ---- Sessions ---- */

START_TEST(a_silent_member_is_removed_when_its_session_ends) {
    two_members();
    now_ms += SESSION_MS - 1;
    ck_assert_int_eq(heartbeat("a", 2), KAFKA_NONE);
    pass(1);
    ck_assert_int_eq(g.state, GROUP_PREPARING_REBALANCE);
    ck_assert_int_eq(group_size(&g), 1);
    ck_assert_int_eq(heartbeat("b", 2), KAFKA_UNKNOWN_MEMBER_ID);
}
END_TEST

START_TEST(the_last_member_gone_leaves_an_empty_generation_in_the_log) {
    one_member();
    pass(SESSION_MS);
    ck_assert_int_eq(g.state, GROUP_EMPTY);
    ck_assert_int_eq(g.generation, 2);
    ck_assert_int_eq(store_count, 2);
    ck_assert(!stores_staged[1]);
    ck_assert(str_is_null(g.leader) && str_is_null(g.protocol));
    stored(1, KAFKA_COORDINATOR_NOT_AVAILABLE); /* nobody is there to mind */
    ck_assert_int_eq(g.state, GROUP_EMPTY);
}
END_TEST

START_TEST(who_waits_for_others_is_alive) {
    two_members();
    JOIN(.waiter = "b 3", .id = "b", .metadata = "other");
    for (int i = 0; i < 4; i++) {
        now_ms += SESSION_MS - 1000;
        ck_assert_int_eq(heartbeat("a", 2), KAFKA_REBALANCE_IN_PROGRESS);
        step((struct group_event){.type = GROUP_TICK});
    }
    ck_assert_int_eq(group_size(&g), 2);
    JOIN(.waiter = "a 3", .id = "a");
    ck_assert_int_eq(answer_to("b 3")->generation, 3);
}
END_TEST

START_TEST(a_new_member_that_waits_too_long_is_told_that_it_is_unknown) {
    JOIN(.waiter = "a", .session_ms = 600000, .rebalance_ms = 700000);
    lead("sync a", "a", 1, "a", "all");
    stored(0, KAFKA_NONE);
    JOIN(.waiter = "b");
    pass(GROUP_NEW_MEMBER_TIMEOUT_MS);
    ck_assert_int_eq(error_of("b"), KAFKA_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(g.state, GROUP_PREPARING_REBALANCE);
    ck_assert_int_eq(group_size(&g), 1);
}
END_TEST

START_TEST(heartbeats_put_the_alarm_off) {
    one_member();
    step((struct group_event){.type = GROUP_TICK});
    wait_quietly(SESSION_MS - 1);
    heartbeat("a", 1);
    pass(1); /* the alarm rings, nobody is late */
    ck_assert_int_eq(g.state, GROUP_STABLE);
    wait_quietly(SESSION_MS - 2);
}
END_TEST

/* ---- Leaving ---- */

START_TEST(a_member_that_leaves_starts_a_rebalance_at_once) {
    two_members();
    ck_assert_int_eq(leave("b", NULL), KAFKA_NONE);
    ck_assert_int_eq(g.state, GROUP_PREPARING_REBALANCE);
    ck_assert_int_eq(leave("b", NULL), KAFKA_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(leave("a", NULL), KAFKA_NONE);
    ck_assert_int_eq(g.state, GROUP_EMPTY);
}
END_TEST

START_TEST(an_id_given_out_can_be_given_back) {
    one_member();
    JOIN(.waiter = "pending", .fresh = "b", .needs_id = true);
    JOIN(.waiter = "a 2", .id = "a");
    ck_assert_ptr_null(answer_to("a 2"));
    ck_assert_int_eq(leave("b", NULL), KAFKA_NONE);
    ck_assert_int_eq(answer_to("a 2")->generation, 2);
}
END_TEST

START_TEST(a_member_that_leaves_while_it_waits_is_answered) {
    one_member();
    JOIN(.waiter = "b", .fresh = "b");
    ck_assert_int_eq(leave("b", NULL), KAFKA_NONE);
    ck_assert_int_eq(error_of("b"), KAFKA_UNKNOWN_MEMBER_ID);
}
END_TEST

/* ---- Static members (KIP-345) ---- */

/* A stable group of one static member, instance i, id s1. */
static void one_static(void) {
    JOIN(.waiter = "s1", .instance = "i", .needs_id = false);
    lead("sync s1", "s1", 1, "s1", "all");
    stored(0, KAFKA_NONE);
}

START_TEST(kip_345_a_static_member_that_comes_back_keeps_its_assignment_without_a_rebalance) {
    one_static();
    JOIN(.waiter = "s2", .instance = "i");
    ck_assert_ptr_null(answer_to("s2")); /* not before the new id is stored */
    stored(1, KAFKA_NONE);
    ck_assert_int_eq(answer_to("s2")->generation, 1);
    ck_assert(str_equal_text(answer_to("s2")->leader, "s1")); /* it must not take itself for the leader */
    ck_assert_int_eq(g.state, GROUP_STABLE);
    follow("sync s2", "s2", 1);
    ck_assert_int_eq(answer_to("sync s2")->assignment.size, 3);
}
END_TEST

START_TEST(kip_814_a_static_leader_that_comes_back_is_told_to_skip_the_assignment) {
    one_static();
    JOIN(.waiter = "s2", .instance = "i", .skips = true);
    stored(1, KAFKA_NONE);
    ck_assert(answer_to("s2")->skip_assignment && answer_to("s2")->has_members);
    ck_assert(str_equal_text(answer_to("s2")->leader, "s2"));
}
END_TEST

START_TEST(kip_345_the_former_self_is_fenced) {
    one_static();
    JOIN(.waiter = "s2", .instance = "i");
    stored(1, KAFKA_NONE);
    ck_assert_int_eq(heartbeat_of("s1", "i", 1), KAFKA_FENCED_INSTANCE_ID);
    ck_assert_int_eq(heartbeat_of("s2", "i", 1), KAFKA_NONE);
    ck_assert_int_eq(heartbeat_of("s2", "other", 1), KAFKA_UNKNOWN_MEMBER_ID);
    JOIN(.waiter = "s1 again", .id = "s1", .instance = "i");
    ck_assert_int_eq(error_of("s1 again"), KAFKA_FENCED_INSTANCE_ID);
}
END_TEST

START_TEST(kip_345_a_new_id_that_cannot_be_stored_is_taken_back) {
    one_static();
    JOIN(.waiter = "s2", .instance = "i");
    stored(1, KAFKA_NOT_COORDINATOR);
    ck_assert_int_eq(error_of("s2"), KAFKA_NOT_COORDINATOR);
    ck_assert_int_eq(heartbeat_of("s1", "i", 1), KAFKA_NONE);
    ck_assert(str_equal_text(g.leader, "s1"));
}
END_TEST

START_TEST(kip_345_a_static_member_that_went_while_its_new_id_was_stored_is_missed) {
    one_static();
    JOIN(.waiter = "s2", .instance = "i", .session_ms = 10000);
    pass(10000); /* it waits for us: it is not to be blamed */
    ck_assert_int_eq(g.state, GROUP_STABLE);
    stored(1, KAFKA_NONE);
    ck_assert_int_eq(error_of("s2"), KAFKA_NONE);
    wait_quietly(9999);
    pass(1);
    ck_assert_int_eq(g.state, GROUP_EMPTY);
}
END_TEST

START_TEST(kip_345_a_static_member_back_during_the_assignment_begins_a_rebalance) {
    JOIN(.waiter = "s1", .instance = "i");
    JOIN(.waiter = "s2", .instance = "i");
    /* The only member has joined already. */
    ck_assert_int_eq(answer_to("s2")->generation, 2);
    ck_assert(str_equal_text(answer_to("s2")->leader, "s2"));
}
END_TEST

START_TEST(kip_345_a_static_member_is_not_left_behind_by_a_rebalance_but_by_its_session) {
    JOIN(.waiter = "s1", .instance = "i", .session_ms = 100000, .rebalance_ms = 20000);
    lead("sync s1", "s1", 1, "s1", "all");
    stored(0, KAFKA_NONE);
    JOIN(.waiter = "b", .rebalance_ms = 20000);
    pass(20000);
    ck_assert_int_eq(answer_to("b")->generation, 2);
    ck_assert_int_eq(group_size(&g), 2); /* still a member: it may be starting anew */
    ck_assert(str_equal_text(answer_to("b")->leader, "b"));
}
END_TEST

START_TEST(kip_345_a_rebalance_nobody_joins_waits_for_the_sessions_of_static_members) {
    JOIN(.waiter = "s1", .instance = "i", .session_ms = 50000, .rebalance_ms = 20000);
    JOIN(.waiter = "b", .rebalance_ms = 20000, .fresh = "b");
    JOIN(.waiter = "s1 again", .id = "s1", .instance = "i", .session_ms = 50000, .rebalance_ms = 20000);
    ck_assert_int_eq(leave("b", NULL), KAFKA_NONE);
    ck_assert_int_eq(g.state, GROUP_PREPARING_REBALANCE);
    pass(20000);
    ck_assert_int_eq(g.state, GROUP_PREPARING_REBALANCE);
    pass(20000);
    pass(10000);
    ck_assert_int_eq(g.state, GROUP_EMPTY);
}
END_TEST

START_TEST(kip_345_an_operator_removes_a_static_member_by_its_instance) {
    one_static();
    ck_assert_int_eq(leave("", "nobody"), KAFKA_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(leave("wrong", "i"), KAFKA_FENCED_INSTANCE_ID);
    ck_assert_int_eq(leave("", "i"), KAFKA_NONE);
    ck_assert_int_eq(g.state, GROUP_EMPTY);
}
END_TEST

/* ---- Beginning and end ---- */

START_TEST(a_loaded_group_goes_on_where_it_was) {
    group_load(&g, 7, STR_LITERAL("consumer"), STR_LITERAL("range"), STR_LITERAL("a"), 1700000000000);
    group_load_member(&g, &(struct group_loaded_member){.id = STR_LITERAL("a"),
                                                        .instance_id = STR_NULL,
                                                        .client_id = STR_LITERAL("c"),
                                                        .client_host = STR_LITERAL("/h"),
                                                        .session_timeout_ms = SESSION_MS,
                                                        .rebalance_timeout_ms = REBALANCE_MS,
                                                        .subscription = {(const uint8_t *)"m", 1},
                                                        .assignment = {(const uint8_t *)"part", 4}});
    step((struct group_event){.type = GROUP_LOADED});
    ck_assert_int_eq(g.state, GROUP_STABLE);
    ck_assert_int_eq(heartbeat("a", 7), KAFKA_NONE);
    follow("sync", "a", 7);
    ck_assert_int_eq(answer_to("sync")->assignment.size, 4);
    pass(SESSION_MS); /* and is removed like any other when it stays silent */
    ck_assert_int_eq(g.state, GROUP_EMPTY);
}
END_TEST

START_TEST(unloading_answers_everybody_who_waits) {
    two_members();
    JOIN(.waiter = "c");
    step((struct group_event){.type = GROUP_UNLOAD});
    ck_assert_int_eq(error_of("c"), KAFKA_NOT_COORDINATOR);
    ck_assert_int_eq(heartbeat("a", 2), KAFKA_COORDINATOR_NOT_AVAILABLE);
    JOIN(.waiter = "d");
    ck_assert_int_eq(error_of("d"), KAFKA_COORDINATOR_NOT_AVAILABLE);
}
END_TEST

START_TEST(only_an_empty_group_can_be_deleted) {
    one_member();
    ck_assert_int_eq(step((struct group_event){.type = GROUP_DELETE}), KAFKA_NON_EMPTY_GROUP);
    leave("a", NULL);
    ck_assert_int_eq(step((struct group_event){.type = GROUP_DELETE}), KAFKA_NONE);
    ck_assert_int_eq(g.state, GROUP_DEAD);
}
END_TEST

START_TEST(an_empty_group_ends_with_its_last_offset) {
    step((struct group_event){.type = GROUP_EXPIRE, .expire = {true}});
    ck_assert_int_eq(g.state, GROUP_EMPTY);
    step((struct group_event){.type = GROUP_EXPIRE, .expire = {false}});
    ck_assert_int_eq(g.state, GROUP_DEAD);
}
END_TEST

START_TEST(what_consumers_subscribe_to_is_read_from_their_metadata) {
    /* Version 0, one topic "t", user data -1. */
    static const uint8_t subscription[] = {0, 0, 0, 0, 0, 1, 0, 1, 't', 0xff, 0xff, 0xff, 0xff};
    const struct group_protocol range = {STR_LITERAL("range"), {subscription, sizeof subscription}};
    step((struct group_event){.type = GROUP_JOIN,
                              .member_id = STR_LITERAL(""),
                              .instance_id = STR_NULL,
                              .protocol_type = STR_LITERAL("consumer"),
                              .waiter = (void *)(uintptr_t) "a",
                              .join = {.new_member_id = STR_LITERAL("a"),
                                       .client_id = STR_LITERAL("c"),
                                       .client_host = STR_LITERAL("/h"),
                                       .session_timeout_ms = SESSION_MS,
                                       .rebalance_timeout_ms = REBALANCE_MS,
                                       .protocols = &range,
                                       .protocol_count = 1}});
    ck_assert(group_is_consumer(&g) && g.is_subscription_known);
    ck_assert(group_is_subscribed(&g, STR_LITERAL("t")) && !group_is_subscribed(&g, STR_LITERAL("u")));
    JOIN(.waiter = "b"); /* whose metadata is no subscription: nothing is known, so everything counts */
    JOIN(.waiter = "a 2", .id = "a");
    ck_assert(!g.is_subscription_known && group_is_subscribed(&g, STR_LITERAL("u")));
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(requests_of_another_generation_are_refused),
        TEST(commits_of_members_are_let_through_until_the_new_generation_has_formed),
        TEST(commits_without_a_generation_need_an_empty_group),
        TEST(a_silent_member_is_removed_when_its_session_ends),
        TEST(the_last_member_gone_leaves_an_empty_generation_in_the_log),
        TEST(who_waits_for_others_is_alive),
        TEST(a_new_member_that_waits_too_long_is_told_that_it_is_unknown),
        TEST(heartbeats_put_the_alarm_off),
        TEST(a_member_that_leaves_starts_a_rebalance_at_once),
        TEST(an_id_given_out_can_be_given_back),
        TEST(a_member_that_leaves_while_it_waits_is_answered),
        TEST(kip_345_a_static_member_that_comes_back_keeps_its_assignment_without_a_rebalance),
        TEST(kip_814_a_static_leader_that_comes_back_is_told_to_skip_the_assignment),
        TEST(kip_345_the_former_self_is_fenced),
        TEST(kip_345_a_new_id_that_cannot_be_stored_is_taken_back),
        TEST(kip_345_a_static_member_that_went_while_its_new_id_was_stored_is_missed),
        TEST(kip_345_a_static_member_back_during_the_assignment_begins_a_rebalance),
        TEST(kip_345_a_static_member_is_not_left_behind_by_a_rebalance_but_by_its_session),
        TEST(kip_345_a_rebalance_nobody_joins_waits_for_the_sessions_of_static_members),
        TEST(kip_345_an_operator_removes_a_static_member_by_its_instance),
        TEST(a_loaded_group_goes_on_where_it_was),
        TEST(unloading_answers_everybody_who_waits),
        TEST(only_an_empty_group_can_be_deleted),
        TEST(an_empty_group_ends_with_its_last_offset),
        TEST(what_consumers_subscribe_to_is_read_from_their_metadata),
    };
    return run_tests_with_fixture("group_life", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
