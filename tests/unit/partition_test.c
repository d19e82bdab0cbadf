/* The partition core, rule by rule (zookeeper-mode.md section 8): roles, high watermark, in-sync set, acknowledgements.
 * Broker 1 is us; 2 and 3 are the other replicas. */
#include <check.h>

#include "broker/base/check.h"
#include "broker/protocol/errors.h"
#include "replication/partition.h"
#include "tests/lib/runner.h"

#define LAG_MS 30000

static struct partition p;
static struct partition_peer peers[2];
static int32_t peer_count;
static int64_t now_ms;
static unsigned actions;

static void set_up(void) {
    now_ms = 1000000;
    peers[0] = (struct partition_peer){.broker_id = 2, .last_fetch_ms = now_ms, .replica_epoch = 20};
    peers[1] = (struct partition_peer){.broker_id = 3, .last_fetch_ms = now_ms, .replica_epoch = 30};
    peer_count = 2;
    partition_init(&p, 1, 0, 10, 5, 1);
}
static void tear_down(void) {
    partition_deinit(&p);
}

static struct partition_event event_of(enum partition_event_type type) {
    return (struct partition_event){
        .type = type, .now_ms = now_ms, .lag_max_ms = LAG_MS, .peers = peers, .peer_count = peer_count};
}
static unsigned step(struct partition_event event) {
    partition_step(&p, &event, &actions);
    return actions;
}

static struct replica_list list(int32_t a, int32_t b, int32_t c) {
    struct replica_list ids = {.count = 0};
    const int32_t all[] = {a, b, c};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        if (all[i] != 0) {
            ids.ids[ids.count++] = all[i];
        }
    }
    return ids;
}

static unsigned become(int32_t leader, int32_t epoch, struct replica_list isr) {
    struct partition_event event = event_of(leader == 1 ? PARTITION_BECOME_LEADER : PARTITION_BECOME_FOLLOWER);
    event.become.leader = leader;
    event.become.leader_epoch = epoch;
    event.become.partition_epoch = p.partition_epoch + 1;
    event.become.replicas = list(1, 2, 3);
    event.become.isr = isr;
    return step(event);
}
/* A follower's fetch; its broker's liveness is told with it, as the manager does. */
static unsigned fetched(int32_t broker_id, int64_t offset) {
    struct partition_event event = event_of(PARTITION_REPLICA_FETCHED);
    for (int32_t i = 0; i < peer_count; i++) {
        if (peers[i].broker_id == broker_id) {
            peers[i].last_fetch_ms = now_ms;
            event.replica.replica_epoch = peers[i].replica_epoch;
        }
    }
    event.replica.broker_id = broker_id;
    event.replica.fetch_offset = offset;
    return step(event);
}
static unsigned appended(int64_t log_end) {
    struct partition_event event = event_of(PARTITION_LEADER_APPENDED);
    event.log.log_end = log_end;
    return step(event);
}
static unsigned answered(uint32_t proposal, int16_t error, struct replica_list isr, int32_t partition_epoch) {
    struct partition_event event = event_of(PARTITION_ISR_ANSWERED);
    event.isr_answer.proposal = proposal;
    event.isr_answer.error_code = error;
    event.isr_answer.leader_epoch = p.leader_epoch;
    event.isr_answer.partition_epoch = partition_epoch;
    event.isr_answer.isr = isr;
    return step(event);
}
static unsigned tick(void) {
    return step(event_of(PARTITION_TICK));
}
static void assert_list(const struct replica_list *actual, struct replica_list expected) {
    ck_assert(replica_list_equal(actual, &expected));
}

START_TEST(rule_8_an_equal_leader_epoch_is_refused_whatever_else_it_says) {
    const int32_t replicas[] = {1, 2, 3};
    ck_assert_int_eq(partition_check_command(NULL, 1, 0, replicas, 3), KAFKA_NONE);
    become(1, 4, list(1, 2, 3));
    ck_assert_int_eq(partition_check_command(&p, 1, 4, replicas, 3), KAFKA_STALE_CONTROLLER_EPOCH);
    ck_assert_int_eq(partition_check_command(&p, 1, 3, replicas, 3), KAFKA_STALE_CONTROLLER_EPOCH);
    ck_assert_int_eq(partition_check_command(&p, 1, 5, replicas, 3), KAFKA_NONE);
    ck_assert_int_eq(partition_check_command(&p, 1, 5, replicas + 1, 2), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}
END_TEST

START_TEST(more_replicas_than_a_set_holds_are_refused) {
    int32_t replicas[REPLICAS_MAX + 1];
    for (int32_t i = 0; i <= REPLICAS_MAX; i++) {
        replicas[i] = i;
    }
    ck_assert_int_eq(partition_check_command(NULL, 1, 0, replicas, REPLICAS_MAX), KAFKA_NONE);
    ck_assert_int_eq(partition_check_command(NULL, 1, 0, replicas, REPLICAS_MAX + 1), KAFKA_INVALID_REQUEST);
}
END_TEST

START_TEST(the_checkpointed_high_watermark_is_brought_into_the_log) {
    struct partition q;
    partition_init(&q, 1, 5, 10, 3, 1);
    ck_assert_int_eq(q.high_watermark, 5);
    partition_init(&q, 1, 5, 10, 30, 1);
    ck_assert_int_eq(q.high_watermark, 10);
}
END_TEST

START_TEST(rule_17_a_new_leader_writes_its_epoch_start_at_its_log_end) {
    ck_assert(become(1, 4, list(1, 2, 3)) & PARTITION_WRITE_EPOCH_START);
    ck_assert_int_eq(p.leader_epoch_start, 10);
    ck_assert_int_eq(p.high_watermark, 5);
}
END_TEST

START_TEST(rule_14_the_high_watermark_waits_for_the_whole_in_sync_set) {
    become(1, 4, list(1, 2, 3));
    appended(20);
    fetched(2, 20);
    ck_assert_int_eq(p.high_watermark, 5);
    ck_assert(fetched(3, 15) & PARTITION_WAKE);
    ck_assert_int_eq(p.high_watermark, 15);
    fetched(3, 20);
    ck_assert_int_eq(p.high_watermark, 20);
}
END_TEST

START_TEST(a_leader_alone_in_sync_exposes_what_it_appends) {
    peer_count = 0;
    ck_assert(become(1, 4, list(1, 0, 0)) & PARTITION_WAKE);
    ck_assert_int_eq(p.high_watermark, 10);
    appended(20);
    ck_assert_int_eq(p.high_watermark, 20);
}
END_TEST

START_TEST(rule_14_a_proposed_newcomer_is_waited_for_before_it_is_confirmed) {
    become(1, 4, list(1, 2, 0));
    fetched(2, 10);
    ck_assert(fetched(3, 10) & PARTITION_PROPOSE_ISR);
    assert_list(isr_maximal(&p.isr), list(1, 2, 3));
    assert_list(&p.isr.committed, list(1, 2, 0));
    appended(20);
    fetched(2, 20);
    now_ms += LAG_MS + 1; /* no longer caught up: only the proposal holds the high watermark */
    peers[0].last_fetch_ms = now_ms;
    fetched(2, 20);
    ck_assert_int_eq(p.high_watermark, 10);
}
END_TEST

START_TEST(rule_14_a_proposed_leaver_is_waited_for_until_confirmed) {
    become(1, 4, list(1, 2, 3));
    fetched(2, 10);
    fetched(3, 10);
    appended(20);
    now_ms += LAG_MS + 1;
    fetched(2, 20);
    ck_assert(tick() & PARTITION_PROPOSE_ISR);
    assert_list(&p.isr.proposed, list(1, 2, 0));
    ck_assert_int_eq(p.high_watermark, 10);
    ck_assert(answered(p.isr.proposal, KAFKA_NONE, list(1, 2, 0), 7) & PARTITION_WAKE);
    ck_assert_int_eq(p.high_watermark, 20);
    ck_assert_int_eq(p.partition_epoch, 7);
}
END_TEST

/* A reassignment ends: 3 is assigned no longer, in sync for a moment still, and might be elected in it. Then records
 * come that it has not. Returns the event that led there. */
static struct partition_event move_away(void) {
    become(1, 4, list(1, 2, 3));
    fetched(2, 10);
    fetched(3, 10);
    struct partition_event event = event_of(PARTITION_BECOME_LEADER);
    event.become.leader = 1;
    event.become.leader_epoch = 5;
    event.become.partition_epoch = p.partition_epoch + 1;
    event.become.replicas = list(1, 2, 0);
    event.become.isr = list(1, 2, 3);
    step(event);
    appended(20);
    return event;
}

START_TEST(rule_14_who_is_in_sync_is_waited_for_also_when_it_is_no_replica_any_more) {
    struct partition_event event = move_away();
    fetched(2, 20);
    ck_assert_int_eq(p.high_watermark, 10);
    event.become.leader_epoch = 6;
    event.become.partition_epoch++;
    event.become.isr = list(1, 2, 0);
    step(event);
    ck_assert_int_eq(p.high_watermark, 20);
    ck_assert(!(fetched(3, 20) & PARTITION_PROPOSE_ISR));
}
END_TEST

START_TEST(rule_14_who_left_the_assignment_and_the_set_does_not_join_again) {
    move_away();
    now_ms += LAG_MS + 1;
    fetched(2, 20);
    ck_assert(tick() & PARTITION_PROPOSE_ISR);
    answered(p.isr.proposal, KAFKA_NONE, list(1, 2, 0), p.partition_epoch + 1);
    ck_assert_int_eq(p.high_watermark, 20);
    ck_assert(!(fetched(3, 20) & PARTITION_PROPOSE_ISR));
}
END_TEST

START_TEST(rule_15_below_min_insync_replicas_the_high_watermark_is_frozen) {
    p.min_insync_replicas = 2;
    become(1, 4, list(1, 0, 0));
    appended(20);
    ck_assert_int_eq(p.high_watermark, 5);
    ck_assert(!partition_has_enough_replicas(&p));
    fetched(2, 20); /* a proposal to join is not enough */
    ck_assert_int_eq(p.isr.change, ISR_EXPANDING);
    ck_assert_int_eq(p.high_watermark, 5);
    now_ms += LAG_MS + 1; /* 3 is not waited for */
    answered(p.isr.proposal, KAFKA_NONE, list(1, 2, 0), 3);
    ck_assert_int_eq(p.high_watermark, 20);
}
END_TEST

START_TEST(min_insync_replicas_beyond_the_number_of_replicas_counts_as_that_number) {
    p.min_insync_replicas = 5;
    become(1, 4, list(1, 2, 3));
    ck_assert_int_eq(partition_effective_min_isr(&p), 3);
    ck_assert(partition_has_enough_replicas(&p));
}
END_TEST

START_TEST(a_lower_min_insync_replicas_lets_the_high_watermark_go_on) {
    p.min_insync_replicas = 2;
    peer_count = 0;
    become(1, 4, list(1, 0, 0));
    struct partition_event event = event_of(PARTITION_CONFIGURED);
    event.min_insync_replicas = 1;
    ck_assert(step(event) & PARTITION_WAKE);
    ck_assert_int_eq(p.high_watermark, 10);
}
END_TEST

START_TEST(rule_16_a_follower_joins_only_from_the_high_watermark_on) {
    become(1, 4, list(1, 2, 0));
    appended(20);
    fetched(2, 20);
    ck_assert_int_eq(p.high_watermark, 20);
    ck_assert(!(fetched(3, 19) & PARTITION_PROPOSE_ISR));
    ck_assert(fetched(3, 20) & PARTITION_PROPOSE_ISR);
    assert_list(&p.isr.proposed, list(1, 2, 3)); /* behind the others */
}
END_TEST

START_TEST(rule_16_a_follower_joins_only_from_this_leaders_epoch_start_on) {
    become(1, 4, list(1, 2, 0));
    ck_assert_int_eq(p.high_watermark, 5); /* 2 has not fetched yet */
    ck_assert(!(fetched(3, 9) & PARTITION_PROPOSE_ISR));
    ck_assert(fetched(3, 10) & PARTITION_PROPOSE_ISR);
}
END_TEST

START_TEST(a_broker_that_is_not_alive_does_not_join) {
    become(1, 4, list(1, 2, 0));
    peer_count = 1;
    ck_assert(!(fetched(3, 10) & PARTITION_PROPOSE_ISR));
}
END_TEST

START_TEST(an_old_fetch_of_a_restarted_follower_does_not_bring_it_in) {
    become(1, 4, list(1, 2, 0));
    fetched(2, 10);
    ck_assert(fetched(3, 10) & PARTITION_PROPOSE_ISR);
    answered(p.isr.proposal, KAFKA_INELIGIBLE_REPLICA, list(0, 0, 0), 0);
    peers[1].replica_epoch = 31; /* it fetched another partition under a new broker epoch */
    ck_assert(!(tick() & PARTITION_PROPOSE_ISR));
    ck_assert(fetched(3, 10) & PARTITION_PROPOSE_ISR);
}
END_TEST

/* A proposal may be sent again for minutes. */
START_TEST(a_newcomer_that_is_restarted_while_it_is_proposed_stays_proposed_in_its_former_life) {
    become(1, 4, list(1, 2, 0));
    fetched(2, 10);
    ck_assert(fetched(3, 10) & PARTITION_PROPOSE_ISR);
    ck_assert_int_eq(isr_member_epoch(&p.isr, 3, partition_replica(&p, 3)->replica_epoch), 30);
    peers[1].replica_epoch = 31;
    fetched(3, 4); /* it came back with less */
    ck_assert_int_eq(partition_replica(&p, 3)->replica_epoch, 31);
    ck_assert_int_eq(isr_member_epoch(&p.isr, 3, 31), 30);
    ck_assert_int_eq(isr_member_epoch(&p.isr, 2, 20), 20);
    answered(p.isr.proposal, KAFKA_INELIGIBLE_REPLICA, list(0, 0, 0), 0);
    ck_assert(!(tick() & PARTITION_PROPOSE_ISR));
    ck_assert(fetched(3, 10) & PARTITION_PROPOSE_ISR);
    ck_assert_int_eq(isr_member_epoch(&p.isr, 3, 31), 31);
}
END_TEST

/* The controller took it out because its broker is about to stop: waiting for it would end with the controller's no. */
START_TEST(who_was_taken_out_of_the_set_is_proposed_and_waited_for_when_it_has_fetched_under_the_new_epoch) {
    become(1, 4, list(1, 2, 3));
    fetched(2, 10);
    fetched(3, 10);
    become(1, 5, list(1, 2, 0));
    ck_assert(!(tick() & PARTITION_PROPOSE_ISR));
    appended(12);
    fetched(2, 12);
    ck_assert_int_eq(p.high_watermark, 12);
    ck_assert(fetched(3, 12) & PARTITION_PROPOSE_ISR);
}
END_TEST

START_TEST(the_last_fetch_of_a_dead_process_does_not_undo_the_first_of_its_successor) {
    become(1, 4, list(1, 2, 0));
    fetched(2, 10);
    peer_count = 1; /* broker 3 fetches before it is known to be back, so it cannot join yet */
    struct partition_event event = event_of(PARTITION_REPLICA_FETCHED);
    event.replica.broker_id = 3;
    event.replica.fetch_offset = 10;
    event.replica.replica_epoch = 31;
    ck_assert(!(step(event) & PARTITION_PROPOSE_ISR));
    event.replica.replica_epoch = 30;
    event.replica.fetch_offset = 8;
    ck_assert(!(step(event) & PARTITION_PROPOSE_ISR));
    peer_count = 2;
    peers[1].replica_epoch = 31;
    ck_assert(tick() & PARTITION_PROPOSE_ISR);
}
END_TEST

START_TEST(what_is_known_of_a_broker_that_left_does_not_bring_it_in) {
    become(1, 4, list(1, 2, 0));
    fetched(2, 10);
    fetched(3, 10);
    answered(p.isr.proposal, KAFKA_INELIGIBLE_REPLICA, list(0, 0, 0), 0);
    peer_count = 1;
    step(event_of(PARTITION_PEERS_CHANGED));
    peer_count = 2;
    peers[1].replica_epoch = -1; /* until it fetches anything */
    ck_assert(!(step(event_of(PARTITION_PEERS_CHANGED)) & PARTITION_PROPOSE_ISR));
    peers[1].replica_epoch = 31;
    ck_assert(!(tick() & PARTITION_PROPOSE_ISR));
    ck_assert(fetched(3, 10) & PARTITION_PROPOSE_ISR);
}
END_TEST

START_TEST(a_follower_that_caught_up_while_a_change_was_in_flight_joins_after_it) {
    become(1, 4, list(1, 0, 0));
    ck_assert(fetched(2, 10) & PARTITION_PROPOSE_ISR);
    ck_assert(!(fetched(3, 10) & PARTITION_PROPOSE_ISR)); /* one change at a time */
    ck_assert(answered(p.isr.proposal, KAFKA_NONE, list(1, 2, 0), 2) & PARTITION_PROPOSE_ISR);
    assert_list(&p.isr.proposed, list(1, 2, 3));
}
END_TEST

START_TEST(rule_18_caught_up_means_having_reached_the_log_end_of_the_previous_fetch) {
    become(1, 4, list(1, 2, 3));
    fetched(2, 10);
    fetched(3, 10);
    /* Under steady load 2 never reaches the log end, but always that of its last fetch. */
    for (int64_t end = 20; end <= 200; end += 10) {
        appended(end);
        now_ms += LAG_MS / 2;
        fetched(2, end - 10);
        fetched(2, end - 5);
    }
    tick();
    ck_assert(p.isr.change == ISR_SHRINKING);
    assert_list(&p.isr.proposed, list(1, 2, 0)); /* 3 goes, 2 stays */
}
END_TEST

START_TEST(rule_18_a_new_leader_gives_its_in_sync_set_a_full_lag_window) {
    become(1, 4, list(1, 2, 3));
    now_ms += LAG_MS;
    ck_assert(!(tick() & PARTITION_PROPOSE_ISR));
    now_ms += 1;
    ck_assert(tick() & PARTITION_PROPOSE_ISR);
    assert_list(&p.isr.proposed, list(1, 0, 0));
}
END_TEST

START_TEST(an_idle_follower_is_not_behind_because_its_session_did_not_name_the_partition) {
    become(1, 4, list(1, 2, 3));
    fetched(2, 10);
    fetched(3, 10);
    now_ms += 100 * LAG_MS;
    peers[0].last_fetch_ms = now_ms - 10; /* its broker goes on fetching other partitions */
    appended(11);
    tick();
    assert_list(&p.isr.proposed, list(1, 2, 0)); /* 3's broker did not */
}
END_TEST

START_TEST(a_follower_with_everything_is_in_sync_however_long_ago_it_fetched) {
    become(1, 4, list(1, 2, 3));
    fetched(2, 10);
    fetched(3, 10);
    now_ms += 100 * LAG_MS;
    ck_assert(!(tick() & PARTITION_PROPOSE_ISR));
    ck_assert(!partition_needs_tick(&p));
}
END_TEST

START_TEST(an_answer_to_a_superseded_proposal_is_ignored) {
    become(1, 4, list(1, 2, 0));
    fetched(3, 10);
    uint32_t proposal = p.isr.proposal;
    become(1, 5, list(1, 2, 0));
    answered(proposal, KAFKA_NONE, list(1, 2, 3), 9);
    assert_list(&p.isr.committed, list(1, 2, 0));
    ck_assert_int_ne(p.partition_epoch, 9);
}
END_TEST

START_TEST(an_answer_of_another_leader_epoch_or_an_older_partition_epoch_leaves_the_change_pending) {
    become(1, 4, list(1, 2, 0));
    fetched(3, 10);
    answered(p.isr.proposal, KAFKA_NONE, list(1, 2, 3), p.partition_epoch - 1);
    ck_assert_int_eq(p.isr.change, ISR_EXPANDING);
    answered(p.isr.proposal, KAFKA_NONE, list(1, 2, 3), p.partition_epoch); /* it was so already */
    ck_assert_int_eq(p.isr.change, ISR_SETTLED);
    assert_list(&p.isr.committed, list(1, 2, 3));
}
END_TEST

START_TEST(a_refused_change_is_taken_back_and_an_unclear_one_stays_until_the_next_command) {
    const int16_t parking[] = {KAFKA_UNKNOWN_TOPIC_OR_PARTITION, KAFKA_UNKNOWN_TOPIC_ID, KAFKA_FENCED_LEADER_EPOCH,
                               KAFKA_INVALID_UPDATE_VERSION,     KAFKA_INVALID_REQUEST,  KAFKA_NEW_LEADER_ELECTED};
    become(1, 4, list(1, 2, 0));
    fetched(3, 10);
    ck_assert(!(answered(p.isr.proposal, KAFKA_OPERATION_NOT_ATTEMPTED, list(0, 0, 0), 0) & PARTITION_PROPOSE_ISR));
    ck_assert_int_eq(p.isr.change, ISR_SETTLED);
    ck_assert(tick() & PARTITION_PROPOSE_ISR);
    ck_assert(answered(p.isr.proposal, KAFKA_NOT_CONTROLLER, list(0, 0, 0), 0) & PARTITION_PROPOSE_ISR);
    for (size_t i = 0; i < ARRAY_SIZE(parking); i++) {
        answered(p.isr.proposal, parking[i], list(0, 0, 0), 0);
        ck_assert(p.isr.is_parked);
        ck_assert(!(tick() & PARTITION_PROPOSE_ISR));
        assert_list(isr_maximal(&p.isr), list(1, 2, 3));
        become(1, 5 + (int32_t)i, list(1, 2, 0));
        ck_assert(fetched(3, 10) & PARTITION_PROPOSE_ISR);
    }
}
END_TEST

START_TEST(acks_all_is_done_at_the_high_watermark_and_fails_with_too_few_in_sync) {
    become(1, 4, list(1, 2, 3));
    appended(20);
    ck_assert_int_eq(partition_ack_state(&p, 19, 4), KAFKA_REQUEST_TIMED_OUT);
    fetched(2, 20);
    fetched(3, 20);
    ck_assert_int_eq(partition_ack_state(&p, 19, 4), KAFKA_NONE);
    p.min_insync_replicas = 3;
    become(1, 5, list(1, 2, 0));
    ck_assert_int_eq(partition_ack_state(&p, 19, 4), KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND);
}
END_TEST

START_TEST(acks_all_survives_a_new_epoch_of_the_same_leader_but_not_a_lost_leadership) {
    become(1, 4, list(1, 2, 3));
    appended(20);
    become(1, 5, list(1, 2, 3));
    ck_assert_int_eq(partition_ack_state(&p, 19, 4), KAFKA_REQUEST_TIMED_OUT);
    become(2, 6, list(1, 2, 3));
    ck_assert_int_eq(partition_ack_state(&p, 19, 4), KAFKA_NOT_LEADER_OR_FOLLOWER);
    become(1, 7, list(1, 2, 3));
    ck_assert_int_eq(partition_ack_state(&p, 19, 4), KAFKA_NOT_LEADER_OR_FOLLOWER);
}
END_TEST

START_TEST(a_follower_takes_the_leaders_high_watermark_up_to_its_own_log_end_and_also_down) {
    become(2, 4, list(1, 2, 3));
    struct partition_event event = event_of(PARTITION_FOLLOWER_FETCHED);
    event.log.log_end = 15;
    event.log.leader_high_watermark = 30;
    ck_assert(step(event) & PARTITION_WAKE);
    ck_assert_int_eq(p.high_watermark, 15);
    event.log.leader_high_watermark = 12;
    step(event);
    ck_assert_int_eq(p.high_watermark, 12);
    ck_assert(!(step(event) & PARTITION_WAKE));
}
END_TEST

START_TEST(truncation_takes_the_high_watermark_along) {
    become(2, 4, list(1, 2, 3));
    struct partition_event event = event_of(PARTITION_TRUNCATED);
    event.log.log_end = 3;
    step(event);
    ck_assert_int_eq(p.high_watermark, 3);
    event = event_of(PARTITION_START_RAISED); /* KAFKA-9491: a full truncation, beginning anew at 50 */
    event.start.log_start = 50;
    event.start.log_end = 50;
    step(event);
    ck_assert_int_eq(p.high_watermark, 50);
}
END_TEST

START_TEST(rule_19_a_follower_of_the_same_leader_in_a_new_epoch_starts_fetching_anew) {
    ck_assert(become(2, 4, list(1, 2, 3)) & PARTITION_START_FETCHING);
    ck_assert(become(2, 5, list(1, 2, 3)) & PARTITION_START_FETCHING);
}
END_TEST

START_TEST(a_leader_that_follows_stops_waiting_for_anyone) {
    become(1, 4, list(1, 2, 3));
    fetched(3, 10);
    unsigned done = become(2, 5, list(1, 2, 3));
    ck_assert(done & PARTITION_STOP_FETCHING);
    ck_assert(done & PARTITION_TELL_LEADERSHIP);
    ck_assert(done & PARTITION_WAKE);
    ck_assert_int_eq(p.isr.committed.count, 0);
    ck_assert_int_eq(p.leader_epoch_start, OFFSET_UNKNOWN);
    ck_assert(!partition_needs_tick(&p));
}
END_TEST

START_TEST(current_leader_epochs_are_fenced_on_both_sides) {
    become(1, 4, list(1, 2, 3));
    ck_assert_int_eq(partition_check_leader_epoch(&p, -1), KAFKA_NONE);
    ck_assert_int_eq(partition_check_leader_epoch(&p, 4), KAFKA_NONE);
    ck_assert_int_eq(partition_check_leader_epoch(&p, 3), KAFKA_FENCED_LEADER_EPOCH);
    ck_assert_int_eq(partition_check_leader_epoch(&p, 5), KAFKA_UNKNOWN_LEADER_EPOCH);
    ck_assert_int_eq(partition_check_replica(&p, 2, 4), KAFKA_NONE);
    ck_assert_int_eq(partition_check_replica(&p, 9, 4), KAFKA_UNKNOWN_LEADER_EPOCH);
    ck_assert_int_eq(partition_check_replica(&p, 9, -1), KAFKA_NOT_LEADER_OR_FOLLOWER);
}
END_TEST

START_TEST(divergence_is_a_smaller_epoch_or_an_end_before_the_fetch_offset) {
    ck_assert(!partition_is_diverging(3, 10, 3, 10));
    ck_assert(!partition_is_diverging(3, 12, 3, 10));
    ck_assert(partition_is_diverging(3, 9, 3, 10));
    ck_assert(partition_is_diverging(2, 12, 3, 10));
}
END_TEST

START_TEST(the_low_watermark_is_the_smallest_start_of_the_live_replicas) {
    become(1, 4, list(1, 2, 3));
    ck_assert_int_eq(partition_low_watermark(&p, peers, 2), OFFSET_UNKNOWN);
    ck_assert_int_eq(partition_low_watermark(&p, peers, 0), 0);
    fetched(2, 10);
    fetched(3, 10);
    struct partition_event event = event_of(PARTITION_START_RAISED);
    event.start.log_start = 4;
    event.start.log_end = 10;
    step(event);
    ck_assert_int_eq(partition_low_watermark(&p, peers, 2), 0);
    ck_assert_int_eq(partition_low_watermark(&p, peers, 0), 4);
}
END_TEST

START_TEST(a_partition_that_resigned_neither_leads_nor_follows) {
    become(1, 4, list(1, 2, 3));
    fetched(3, 10);
    ck_assert(step(event_of(PARTITION_RESIGN)) & PARTITION_TELL_LEADERSHIP);
    ck_assert_int_eq(p.role, PARTITION_IDLE);
    ck_assert_int_eq(p.leader_epoch, 4);
    ck_assert_int_eq(partition_ack_state(&p, 3, 4), KAFKA_NOT_LEADER_OR_FOLLOWER);
    ck_assert(!(tick() & PARTITION_PROPOSE_ISR));
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(rule_8_an_equal_leader_epoch_is_refused_whatever_else_it_says),
        TEST(more_replicas_than_a_set_holds_are_refused),
        TEST(the_checkpointed_high_watermark_is_brought_into_the_log),
        TEST(rule_17_a_new_leader_writes_its_epoch_start_at_its_log_end),
        TEST(rule_14_the_high_watermark_waits_for_the_whole_in_sync_set),
        TEST(a_leader_alone_in_sync_exposes_what_it_appends),
        TEST(rule_14_a_proposed_newcomer_is_waited_for_before_it_is_confirmed),
        TEST(rule_14_a_proposed_leaver_is_waited_for_until_confirmed),
        TEST(rule_14_who_is_in_sync_is_waited_for_also_when_it_is_no_replica_any_more),
        TEST(rule_14_who_left_the_assignment_and_the_set_does_not_join_again),
        TEST(rule_15_below_min_insync_replicas_the_high_watermark_is_frozen),
        TEST(min_insync_replicas_beyond_the_number_of_replicas_counts_as_that_number),
        TEST(a_lower_min_insync_replicas_lets_the_high_watermark_go_on),
        TEST(rule_16_a_follower_joins_only_from_the_high_watermark_on),
        TEST(rule_16_a_follower_joins_only_from_this_leaders_epoch_start_on),
        TEST(a_broker_that_is_not_alive_does_not_join),
        TEST(an_old_fetch_of_a_restarted_follower_does_not_bring_it_in),
        TEST(a_newcomer_that_is_restarted_while_it_is_proposed_stays_proposed_in_its_former_life),
        TEST(who_was_taken_out_of_the_set_is_proposed_and_waited_for_when_it_has_fetched_under_the_new_epoch),
        TEST(the_last_fetch_of_a_dead_process_does_not_undo_the_first_of_its_successor),
        TEST(what_is_known_of_a_broker_that_left_does_not_bring_it_in),
        TEST(a_follower_that_caught_up_while_a_change_was_in_flight_joins_after_it),
        TEST(rule_18_caught_up_means_having_reached_the_log_end_of_the_previous_fetch),
        TEST(rule_18_a_new_leader_gives_its_in_sync_set_a_full_lag_window),
        TEST(an_idle_follower_is_not_behind_because_its_session_did_not_name_the_partition),
        TEST(a_follower_with_everything_is_in_sync_however_long_ago_it_fetched),
        TEST(an_answer_to_a_superseded_proposal_is_ignored),
        TEST(an_answer_of_another_leader_epoch_or_an_older_partition_epoch_leaves_the_change_pending),
        TEST(a_refused_change_is_taken_back_and_an_unclear_one_stays_until_the_next_command),
        TEST(acks_all_is_done_at_the_high_watermark_and_fails_with_too_few_in_sync),
        TEST(acks_all_survives_a_new_epoch_of_the_same_leader_but_not_a_lost_leadership),
        TEST(a_follower_takes_the_leaders_high_watermark_up_to_its_own_log_end_and_also_down),
        TEST(truncation_takes_the_high_watermark_along),
        TEST(rule_19_a_follower_of_the_same_leader_in_a_new_epoch_starts_fetching_anew),
        TEST(a_leader_that_follows_stops_waiting_for_anyone),
        TEST(current_leader_epochs_are_fenced_on_both_sides),
        TEST(divergence_is_a_smaller_epoch_or_an_end_before_the_fetch_offset),
        TEST(the_low_watermark_is_the_smallest_start_of_the_live_replicas),
        TEST(a_partition_that_resigned_neither_leads_nor_follows),
    };
    return run_tests_with_fixture("partition", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
