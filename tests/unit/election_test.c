/* Who leads, by strategy: assignment order, liveness and the in-sync set decide. */
#include <check.h>

#include "broker/base/check.h"
#include "replication/election.h"
#include "tests/lib/runner.h"

static struct election_replica live(int32_t id) {
    return (struct election_replica){id, true, true, false};
}
static struct election_replica dead(int32_t id) {
    return (struct election_replica){id, false, false, false};
}
static struct election_replica leaving(int32_t id) {
    return (struct election_replica){id, false, true, true};
}

static int32_t isr[8], recipients[8];

static bool decide(enum election_strategy strategy, const struct election_replica *replicas, int32_t replica_count,
                   const struct election_replica *in_sync, int32_t in_sync_count, bool is_unclean_allowed,
                   struct election_result *ret) {
    struct election election = {strategy, replicas, replica_count, in_sync, in_sync_count, is_unclean_allowed};
    *ret = (struct election_result){.isr = isr, .recipients = recipients};
    return election_decide(&election, ret);
}

START_TEST(the_first_live_in_sync_replica_leads_and_the_dead_leave_the_set) {
    struct election_replica replicas[] = {dead(1), live(2), live(3)}, in_sync[] = {live(3), dead(1), live(2)};
    struct election_result result;
    ck_assert(decide(ELECTION_OFFLINE, replicas, 3, in_sync, 3, false, &result));
    ck_assert_int_eq(result.leader, 2);
    ck_assert_int_eq(result.isr_count, 2);
    ck_assert_int_eq(result.isr[0], 3); /* the order of the set is kept */
    ck_assert_int_eq(result.isr[1], 2);
    ck_assert_int_eq(result.recipient_count, 2);
    ck_assert(!result.is_unclean);
}
END_TEST

START_TEST(nobody_leads_when_no_in_sync_replica_is_live_and_unclean_is_forbidden) {
    struct election_replica replicas[] = {dead(1), live(2)}, in_sync[] = {dead(1)};
    struct election_result result;
    ck_assert(!decide(ELECTION_OFFLINE, replicas, 2, in_sync, 1, false, &result));
}
END_TEST

START_TEST(an_unclean_leader_is_alone_in_the_set_and_recovering) {
    struct election_replica replicas[] = {dead(1), live(2), live(3)}, in_sync[] = {dead(1)};
    struct election_result result;
    ck_assert(decide(ELECTION_OFFLINE, replicas, 3, in_sync, 1, true, &result));
    ck_assert_int_eq(result.leader, 2);
    ck_assert_int_eq(result.isr_count, 1);
    ck_assert_int_eq(result.isr[0], 2);
    ck_assert(result.is_unclean);
}
END_TEST

START_TEST(a_clean_leader_is_preferred_where_unclean_election_is_allowed) {
    struct election_replica replicas[] = {live(1), live(2)}, in_sync[] = {live(2)};
    struct election_result result;
    ck_assert(decide(ELECTION_OFFLINE, replicas, 2, in_sync, 1, true, &result));
    ck_assert_int_eq(result.leader, 2);
    ck_assert(!result.is_unclean);
}
END_TEST

START_TEST(the_preferred_leader_is_the_first_replica_or_nobody) {
    struct election_replica replicas[] = {live(1), live(2)}, in_sync[] = {live(2), live(1)}, lagging[] = {live(2)};
    struct election_result result;
    ck_assert(decide(ELECTION_PREFERRED, replicas, 2, in_sync, 2, false, &result));
    ck_assert_int_eq(result.leader, 1);
    ck_assert_int_eq(result.isr_count, 2);
    ck_assert(!decide(ELECTION_PREFERRED, replicas, 2, lagging, 1, false, &result));
}
END_TEST

START_TEST(a_controlled_shutdown_moves_the_leader_away_and_out_of_the_set) {
    struct election_replica replicas[] = {leaving(1), live(2), live(3)}, in_sync[] = {leaving(1), live(2), live(3)};
    struct election_result result;
    ck_assert(decide(ELECTION_CONTROLLED_SHUTDOWN, replicas, 3, in_sync, 3, false, &result));
    ck_assert_int_eq(result.leader, 2);
    ck_assert_int_eq(result.isr_count, 2);
    ck_assert_int_eq(result.recipient_count, 3); /* the leaving one is told as well */
}
END_TEST

START_TEST(a_controlled_shutdown_fails_when_nobody_else_is_in_sync) {
    struct election_replica replicas[] = {leaving(1), live(2)}, in_sync[] = {leaving(1)};
    struct election_result result;
    ck_assert(!decide(ELECTION_CONTROLLED_SHUTDOWN, replicas, 2, in_sync, 1, true, &result));
}
END_TEST

START_TEST(a_reassignment_elects_among_its_targets_and_leaves_the_set_alone) {
    struct election_replica targets[] = {live(4), live(5)}, in_sync[] = {live(1), live(5)};
    struct election_result result;
    ck_assert(decide(ELECTION_REASSIGN, targets, 2, in_sync, 2, false, &result));
    ck_assert_int_eq(result.leader, 5);
    ck_assert_int_eq(result.isr_count, 2);
}
END_TEST

int main(void) {
    const struct test tests[] = {
        TEST(the_first_live_in_sync_replica_leads_and_the_dead_leave_the_set),
        TEST(nobody_leads_when_no_in_sync_replica_is_live_and_unclean_is_forbidden),
        TEST(an_unclean_leader_is_alone_in_the_set_and_recovering),
        TEST(a_clean_leader_is_preferred_where_unclean_election_is_allowed),
        TEST(the_preferred_leader_is_the_first_replica_or_nobody),
        TEST(a_controlled_shutdown_moves_the_leader_away_and_out_of_the_set),
        TEST(a_controlled_shutdown_fails_when_nobody_else_is_in_sync),
        TEST(a_reassignment_elects_among_its_targets_and_leaves_the_set_alone),
    };
    return run_tests("election", tests, ARRAY_SIZE(tests));
}
