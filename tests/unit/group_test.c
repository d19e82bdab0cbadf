/* The group core, transition by transition, as Kafka 3.9's coordinator makes them: joining, rebalancing, assigning. */
#include "tests/unit/group_fixture.h"

/* ---- The first generation ---- */

START_TEST(a_lone_member_forms_a_generation_leads_and_gets_what_it_assigns) {
    JOIN(.waiter = "a");
    const struct group_action *joined = answer_to("a");
    ck_assert_ptr_nonnull(joined);
    ck_assert_int_eq(joined->error_code, KAFKA_NONE);
    ck_assert_int_eq(joined->generation, 1);
    ck_assert(str_equal_text(joined->member_id, "a") && str_equal_text(joined->leader, "a"));
    ck_assert(str_equal_text(joined->protocol, "range") && joined->has_members && !joined->skip_assignment);
    ck_assert_int_eq(g.state, GROUP_COMPLETING_REBALANCE);
    lead("sync", "a", 1, "a", "parts");
    ck_assert_ptr_null(answer_to("sync")); /* not before it is stored */
    ck_assert(stores_staged[0]);
    stored(0, KAFKA_NONE);
    ck_assert_int_eq(g.state, GROUP_STABLE);
    ck_assert_int_eq(answer_to("sync")->assignment.size, 5);
    ck_assert_int_eq(heartbeat("a", 1), KAFKA_NONE);
}
END_TEST

START_TEST(the_initial_delay_waits_for_more_members_and_is_prolonged_while_they_come) {
    limits.initial_rebalance_delay_ms = 3000;
    JOIN(.waiter = "a");
    ck_assert_ptr_null(answer_to("a"));
    now_ms += 2000;
    JOIN(.waiter = "b");
    pass(1000); /* one came: another 3 s */
    ck_assert_ptr_null(answer_to("a"));
    pass(3000);
    ck_assert_int_eq(answer_to("a")->generation, 1);
    ck_assert_int_eq(answer_to("b")->generation, 1);
    ck_assert(!answer_to("b")->has_members);
}
END_TEST

START_TEST(the_initial_delay_is_never_longer_than_the_rebalance_timeout) {
    limits.initial_rebalance_delay_ms = 3000;
    JOIN(.waiter = "a", .rebalance_ms = 5000);
    now_ms += 1000;
    JOIN(.waiter = "b", .rebalance_ms = 5000);
    pass(2000);
    now_ms += 500;
    JOIN(.waiter = "c", .rebalance_ms = 5000);
    pass(1500); /* 3 + 2 seconds: what was left */
    ck_assert_ptr_nonnull(answer_to("c"));
}
END_TEST

START_TEST(kip_394_a_dynamic_member_is_given_an_id_first_and_counted_once_it_uses_it) {
    JOIN(.waiter = "first", .fresh = "a", .needs_id = true);
    ck_assert_int_eq(error_of("first"), KAFKA_MEMBER_ID_REQUIRED);
    ck_assert(str_equal_text(answer_to("first")->member_id, "a"));
    ck_assert_int_eq(group_size(&g), 0);
    JOIN(.waiter = "second", .id = "a", .needs_id = true);
    ck_assert_int_eq(answer_to("second")->generation, 1);
    ck_assert_ptr_null(g.pending);
}
END_TEST

START_TEST(kip_394_an_unused_id_is_forgotten_with_its_session) {
    JOIN(.waiter = "first", .fresh = "a", .needs_id = true);
    pass(SESSION_MS);
    JOIN(.waiter = "late", .id = "a", .needs_id = true);
    ck_assert_int_eq(error_of("late"), KAFKA_UNKNOWN_MEMBER_ID);
}
END_TEST

START_TEST(kip_394_a_rebalance_waits_for_ids_given_out) {
    one_member();
    JOIN(.waiter = "pending", .fresh = "b", .needs_id = true);
    JOIN(.waiter = "a again", .id = "a"); /* the leader begins a rebalance */
    ck_assert_ptr_null(answer_to("a again"));
    JOIN(.waiter = "b", .id = "b", .needs_id = true);
    ck_assert_int_eq(answer_to("a again")->generation, 2);
    ck_assert_int_eq(answer_to("b")->generation, 2);
}
END_TEST

/* ---- Who may join ---- */

START_TEST(a_join_without_protocols_or_type_is_inconsistent) {
    JOIN(.waiter = "no type", .type = "");
    ck_assert_int_eq(error_of("no type"), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    step((struct group_event){.type = GROUP_JOIN,
                              .member_id = STR_LITERAL(""),
                              .instance_id = STR_NULL,
                              .protocol_type = STR_LITERAL("consumer"),
                              .waiter = (void *)(uintptr_t) "no protocols"});
    ck_assert_int_eq(error_of("no protocols"), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
}
END_TEST

START_TEST(a_member_of_another_type_or_without_a_common_protocol_stays_out) {
    one_member();
    JOIN(.waiter = "connect", .type = "connect");
    JOIN(.waiter = "sticky", .protocols = {"sticky"});
    ck_assert_int_eq(error_of("connect"), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    ck_assert_int_eq(error_of("sticky"), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    ck_assert_int_eq(g.state, GROUP_STABLE);
}
END_TEST

/* Found by the simulator: a consumer that comes just then would give up for good. */
START_TEST(whoever_joins_while_the_last_member_has_left_the_first_rebalance_is_let_in) {
    limits.initial_rebalance_delay_ms = 3000;
    JOIN(.waiter = "a");
    ck_assert_int_eq(leave("a", NULL), KAFKA_NONE);
    ck_assert_int_eq(g.state, GROUP_PREPARING_REBALANCE);
    JOIN(.waiter = "b", .protocols = {"sticky"});
    pass(3000);
    if (answer_to("b") == NULL) {
        pass(3000);
    }
    ck_assert_int_eq(error_of("b"), KAFKA_NONE);
    ck_assert(str_equal_text(answer_to("b")->protocol, "sticky"));
}
END_TEST

START_TEST(an_id_nobody_has_given_out_is_unknown) {
    JOIN(.waiter = "x", .id = "stranger");
    ck_assert_int_eq(error_of("x"), KAFKA_UNKNOWN_MEMBER_ID);
}
END_TEST

START_TEST(the_protocol_most_members_prefer_among_those_all_offer_is_chosen) {
    limits.initial_rebalance_delay_ms = 3000;
    JOIN(.waiter = "a", .protocols = {"range", "roundrobin", "sticky"});
    JOIN(.waiter = "b", .protocols = {"sticky", "roundrobin", "range"});
    JOIN(.waiter = "c", .protocols = {"sticky", "roundrobin"});
    pass(3000);
    if (answer_to("a") == NULL) {
        pass(3000);
    }
    ck_assert(str_equal_text(answer_to("a")->protocol, "sticky")); /* two of three */
}
END_TEST

START_TEST(group_max_size_lets_nobody_more_in) {
    limits.size_max = 1;
    one_member();
    JOIN(.waiter = "b");
    ck_assert_int_eq(error_of("b"), KAFKA_GROUP_MAX_SIZE_REACHED);
    ck_assert_int_eq(g.state, GROUP_STABLE);
}
END_TEST

START_TEST(a_group_above_group_max_size_sheds_whoever_rejoins_last) {
    two_members();
    limits.size_max = 1;
    JOIN(.waiter = "a 3", .id = "a");
    JOIN(.waiter = "b 3", .id = "b");
    ck_assert_int_eq(error_of("b 3"), KAFKA_GROUP_MAX_SIZE_REACHED);
    ck_assert_int_eq(answer_to("a 3")->generation, 3);
    ck_assert_int_eq(group_size(&g), 1);
}
END_TEST

/* ---- Rebalances ---- */

START_TEST(a_new_member_makes_everybody_join_again) {
    one_member();
    JOIN(.waiter = "b");
    ck_assert_int_eq(g.state, GROUP_PREPARING_REBALANCE);
    ck_assert_int_eq(heartbeat("a", 1), KAFKA_REBALANCE_IN_PROGRESS);
    ck_assert_ptr_null(answer_to("b"));
    JOIN(.waiter = "a again", .id = "a");
    ck_assert_int_eq(answer_to("b")->generation, 2);
    ck_assert(str_equal_text(answer_to("b")->leader, "a"));
    ck_assert(answer_to("a again")->has_members && !answer_to("b")->has_members);
}
END_TEST

START_TEST(members_that_do_not_rejoin_in_the_longest_rebalance_timeout_are_left_behind) {
    JOIN(.waiter = "a", .session_ms = 100000, .rebalance_ms = 20000);
    lead("sync a", "a", 1, "a", "all");
    stored(0, KAFKA_NONE);
    JOIN(.waiter = "b", .rebalance_ms = 30000);
    pass(30000);
    ck_assert_int_eq(answer_to("b")->generation, 2);
    ck_assert(str_equal_text(answer_to("b")->leader, "b")); /* the former leader has gone */
    ck_assert_int_eq(heartbeat("a", 1), KAFKA_UNKNOWN_MEMBER_ID);
}
END_TEST

START_TEST(the_leader_rejoining_a_stable_group_begins_a_rebalance_a_follower_does_not) {
    two_members();
    JOIN(.waiter = "b same", .id = "b");
    ck_assert_int_eq(answer_to("b same")->generation, 2);
    ck_assert_int_eq(g.state, GROUP_STABLE);
    JOIN(.waiter = "b other", .id = "b", .metadata = "new topics");
    ck_assert_int_eq(g.state, GROUP_PREPARING_REBALANCE);
    JOIN(.waiter = "a other", .id = "a");
    ck_assert_int_eq(answer_to("b other")->generation, 3);
}
END_TEST

START_TEST(a_join_repeated_before_the_sync_gets_the_same_generation) {
    JOIN(.waiter = "a");
    JOIN(.waiter = "a lost answer", .id = "a");
    ck_assert_int_eq(answer_to("a lost answer")->generation, 1);
    ck_assert(answer_to("a lost answer")->has_members);
    ck_assert_int_eq(g.state, GROUP_COMPLETING_REBALANCE);
}
END_TEST

START_TEST(a_second_join_of_a_waiting_member_ends_the_first) {
    one_member();
    JOIN(.waiter = "b", .fresh = "b");
    JOIN(.waiter = "b again", .id = "b");
    ck_assert_int_eq(error_of("b"), KAFKA_REBALANCE_IN_PROGRESS);
    JOIN(.waiter = "a again", .id = "a");
    ck_assert_int_eq(answer_to("b again")->generation, 2);
}
END_TEST

START_TEST(syncs_that_wait_are_sent_to_join_again_when_a_rebalance_begins) {
    two_members();
    JOIN(.waiter = "a 3", .id = "a");
    JOIN(.waiter = "b 3", .id = "b");
    follow("sync b 3", "b", 3);
    JOIN(.waiter = "c");
    ck_assert_int_eq(error_of("sync b 3"), KAFKA_REBALANCE_IN_PROGRESS);
    follow("sync a 3", "a", 3);
    ck_assert_int_eq(error_of("sync a 3"), KAFKA_REBALANCE_IN_PROGRESS);
}
END_TEST

START_TEST(members_that_never_sync_are_removed_after_the_rebalance_timeout) {
    two_members();
    JOIN(.waiter = "a 3", .id = "a");
    JOIN(.waiter = "b 3", .id = "b");
    lead("sync a 3", "a", 3, "a", "x");
    stored(2, KAFKA_NONE);
    for (int i = 0; i < 8; i++) {
        now_ms += SESSION_MS - 2500;
        heartbeat("a", 3);
        heartbeat("b", 3); /* alive, but it never asks what it was assigned */
    }
    step((struct group_event){.type = GROUP_TICK});
    ck_assert_int_eq(g.state, GROUP_PREPARING_REBALANCE);
    ck_assert_int_eq(heartbeat("b", 3), KAFKA_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(heartbeat("a", 3), KAFKA_REBALANCE_IN_PROGRESS);
}
END_TEST

/* ---- Assignments ---- */

START_TEST(m30_an_assignment_counts_when_it_is_stored_and_not_before) {
    two_members();
    JOIN(.waiter = "a 3", .id = "a");
    JOIN(.waiter = "b 3", .id = "b");
    lead("sync a 3", "a", 3, "b", "for b");
    follow("sync b 3", "b", 3);
    ck_assert_ptr_null(answer_to("sync b 3"));
    ck_assert_int_eq(g.state, GROUP_COMPLETING_REBALANCE);
    stored(2, KAFKA_NONE);
    ck_assert_int_eq(answer_to("sync b 3")->assignment.size, 5);
    ck_assert_int_eq(answer_to("sync a 3")->assignment.size, 0); /* forgotten by the leader: nothing */
}
END_TEST

START_TEST(an_assignment_that_cannot_be_stored_ends_in_another_rebalance) {
    JOIN(.waiter = "a");
    lead("sync a", "a", 1, "a", "all");
    stored(0, KAFKA_COORDINATOR_NOT_AVAILABLE);
    ck_assert_int_eq(error_of("sync a"), KAFKA_COORDINATOR_NOT_AVAILABLE);
    ck_assert_int_eq(g.state, GROUP_PREPARING_REBALANCE);
}
END_TEST

START_TEST(an_assignment_of_a_generation_that_is_over_is_ignored) {
    JOIN(.waiter = "a");
    lead("sync a", "a", 1, "a", "all");
    JOIN(.waiter = "b"); /* while the assignment is on its way into the log */
    ck_assert_int_eq(error_of("sync a"), KAFKA_REBALANCE_IN_PROGRESS);
    JOIN(.waiter = "a again", .id = "a");
    stored(0, KAFKA_NONE);
    ck_assert_int_eq(g.state, GROUP_COMPLETING_REBALANCE);
    ck_assert_int_eq(g.generation, 2);
}
END_TEST

START_TEST(a_leader_that_syncs_twice_stores_once) {
    JOIN(.waiter = "a");
    lead("sync", "a", 1, "a", "first");
    lead("sync again", "a", 1, "a", "other");
    ck_assert_int_eq(store_count, 1);
    stored(0, KAFKA_NONE);
    ck_assert_int_eq(error_of("sync"), KAFKA_REBALANCE_IN_PROGRESS);
    ck_assert_int_eq(answer_to("sync again")->assignment.size, 5);
    ck_assert_mem_eq(answer_to("sync again")->assignment.data, "first", 5);
}
END_TEST

START_TEST(a_sync_of_a_stable_group_gets_the_assignment_in_force) {
    one_member();
    follow("once more", "a", 1);
    ck_assert_int_eq(answer_to("once more")->assignment.size, 3);
}
END_TEST

START_TEST(kip_559_a_sync_with_another_type_or_protocol_is_inconsistent) {
    JOIN(.waiter = "a");
    step((struct group_event){.type = GROUP_SYNC,
                              .member_id = STR_LITERAL("a"),
                              .instance_id = STR_NULL,
                              .generation = 1,
                              .protocol_type = STR_LITERAL("consumer"),
                              .waiter = (void *)(uintptr_t) "wrong",
                              .sync = {.protocol = STR_LITERAL("roundrobin")}});
    ck_assert_int_eq(error_of("wrong"), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_lone_member_forms_a_generation_leads_and_gets_what_it_assigns),
        TEST(the_initial_delay_waits_for_more_members_and_is_prolonged_while_they_come),
        TEST(the_initial_delay_is_never_longer_than_the_rebalance_timeout),
        TEST(kip_394_a_dynamic_member_is_given_an_id_first_and_counted_once_it_uses_it),
        TEST(kip_394_an_unused_id_is_forgotten_with_its_session),
        TEST(kip_394_a_rebalance_waits_for_ids_given_out),
        TEST(a_join_without_protocols_or_type_is_inconsistent),
        TEST(a_member_of_another_type_or_without_a_common_protocol_stays_out),
        TEST(whoever_joins_while_the_last_member_has_left_the_first_rebalance_is_let_in),
        TEST(an_id_nobody_has_given_out_is_unknown),
        TEST(the_protocol_most_members_prefer_among_those_all_offer_is_chosen),
        TEST(group_max_size_lets_nobody_more_in),
        TEST(a_group_above_group_max_size_sheds_whoever_rejoins_last),
        TEST(a_new_member_makes_everybody_join_again),
        TEST(members_that_do_not_rejoin_in_the_longest_rebalance_timeout_are_left_behind),
        TEST(the_leader_rejoining_a_stable_group_begins_a_rebalance_a_follower_does_not),
        TEST(a_join_repeated_before_the_sync_gets_the_same_generation),
        TEST(a_second_join_of_a_waiting_member_ends_the_first),
        TEST(syncs_that_wait_are_sent_to_join_again_when_a_rebalance_begins),
        TEST(members_that_never_sync_are_removed_after_the_rebalance_timeout),
        TEST(m30_an_assignment_counts_when_it_is_stored_and_not_before),
        TEST(an_assignment_that_cannot_be_stored_ends_in_another_rebalance),
        TEST(an_assignment_of_a_generation_that_is_over_is_ignored),
        TEST(a_leader_that_syncs_twice_stores_once),
        TEST(a_sync_of_a_stable_group_gets_the_assignment_in_force),
        TEST(kip_559_a_sync_with_another_type_or_protocol_is_inconsistent),
    };
    return run_tests_with_fixture("group", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
