/* AlterPartition (rule 13): Kafka's checks, one test each, and their order. Versions 0 to 3 unless a check has versions
 * of its own. */
#include <check.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/trace.h"
#include "broker/protocol/errors.h"
#include "coordinator-client/znode_path.h"
#include "tests/lib/controller_calls.h"
#include "tests/lib/controller_world.h"
#include "tests/lib/runner.h"

#define STATE "/brokers/topics/t/partitions/0/state"
#define UNTOUCHED "{\"controller_epoch\":1,\"leader\":1,\"version\":1,\"leader_epoch\":0,\"isr\":[1,2,3]}"

static struct world *world;
static const struct controller_config config = {.inter_broker_listener = "PLAINTEXT", .delete_topic_enable = true};

static void set_up(void) {
    trace_set_level(TRACE_FATAL);
    world = world_create(3);
    world_start(world, 1, &config);
    world_put(world, "/brokers/topics/t", TEST_TOPIC("\"0\":[1,2,3]"));
    world_settle(world);
    ck_assert_str_eq(world_text(world, STATE), UNTOUCHED);
    world_clear_trace(world);
}

static void tear_down(void) {
    world_destroy(world);
}

/* A change that would be made: 3 leaves. */
static struct alter_wish good(int16_t version) {
    return (struct alter_wish){.version = version, .isr = {1, 2}, .isr_count = 2};
}

/* Refused at the top; nothing was written. */
static void assert_refused_whole(const struct alter_wish *wish, int16_t expected) {
    struct alter_answer answer = controller_call_alter(world, 1, wish);
    ck_assert(answer.is_answered);
    ck_assert_int_eq(answer.error_code, expected);
    ck_assert_str_eq(world->log, "");
}

/* Refused for the partition; nothing was written, and the answer carries zeros beside its error. */
static void assert_refused(const struct alter_wish *wish, int16_t expected) {
    struct alter_answer answer = controller_call_alter(world, 1, wish);
    ck_assert(answer.is_answered);
    ck_assert_int_eq(answer.error_code, KAFKA_NONE);
    ck_assert_int_eq(answer.partition.error_code, expected);
    ck_assert_int_eq(answer.partition.leader_id, 0);
    ck_assert_int_eq(answer.partition.leader_epoch, 0);
    ck_assert_int_eq(answer.partition.isr_count, 0);
    ck_assert_int_eq(answer.partition.partition_epoch, 0);
    ck_assert_str_eq(world->log, "");
}

static void assert_done(const struct alter_wish *wish, int32_t partition_epoch) {
    struct alter_answer answer = controller_call_alter(world, 1, wish);
    ck_assert_int_eq(answer.error_code, KAFKA_NONE);
    ck_assert_int_eq(answer.partition.error_code, KAFKA_NONE);
    ck_assert_int_eq(answer.partition.leader_id, 1);
    ck_assert_int_eq(answer.partition.isr_count, wish->isr_count);
    ck_assert_int_eq(answer.partition.partition_epoch, partition_epoch);
}

START_TEST(rule_13_a_change_is_written_told_to_everybody_and_costs_no_leader_epoch) {
    for (int16_t version = 0; version <= 3; version++) {
        struct alter_wish wish = good(version);
        wish.partition_epoch = version;
        wish.isr[1] = version % 2 == 0 ? 2 : 3;
        world_clear_trace(world);
        assert_done(&wish, version + 1);
        ck_assert_str_eq(world->log, "fenced set " STATE "\n");
        ck_assert_str_eq(world->trace, "1>1 UMR brokers=1,2,3 t-0:1\n1>2 UMR brokers=1,2,3 t-0:1\n"
                                       "1>3 UMR brokers=1,2,3 t-0:1\n");
    }
    ck_assert_str_eq(world_text(world, STATE),
                     "{\"controller_epoch\":1,\"leader\":1,\"version\":1,\"leader_epoch\":0,\"isr\":[1,3]}");
}
END_TEST

START_TEST(rule_13_check_1_only_the_controller_answers) {
    struct alter_wish wish = good(3);
    world_start(world, 2, &config);
    struct alter_answer answer = controller_call_alter(world, 2, &wish);
    ck_assert(answer.is_answered);
    ck_assert_int_eq(answer.error_code, KAFKA_NOT_CONTROLLER);
    ck_assert_str_eq(world->log, "");
}
END_TEST

START_TEST(rule_13_check_2_the_broker_must_be_known_by_this_very_epoch) {
    for (int16_t version = 0; version <= 3; version++) {
        struct alter_wish wish = good(version);
        wish.broker_epoch_beyond = 1;
        assert_refused_whole(&wish, KAFKA_STALE_BROKER_EPOCH);
        wish.broker_epoch_beyond = -1;
        assert_refused_whole(&wish, KAFKA_STALE_BROKER_EPOCH);
        wish = good(version);
        wish.broker_id = 9;
        assert_refused_whole(&wish, KAFKA_STALE_BROKER_EPOCH);
    }
}
END_TEST

START_TEST(rule_13_check_3_the_partition_must_be_known_by_id_or_by_name) {
    for (int16_t version = 0; version <= 3; version++) {
        struct alter_wish wish = good(version);
        wish.is_unknown_topic = true;
        assert_refused(&wish, version >= 2 ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        wish = good(version);
        wish.partition = 7;
        assert_refused(&wish, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    }
}
END_TEST

START_TEST(rule_13_check_4_whoever_knows_more_than_the_controller_is_told_that_it_is_none) {
    for (int16_t version = 0; version <= 3; version++) {
        struct alter_wish wish = good(version);
        wish.leader_epoch = 1;
        assert_refused(&wish, KAFKA_NOT_CONTROLLER);
        wish = good(version);
        wish.partition_epoch = 1;
        assert_refused(&wish, KAFKA_NOT_CONTROLLER);
        wish.leader_epoch = -1; /* comes before check 5 */
        assert_refused(&wish, KAFKA_NOT_CONTROLLER);
    }
}
END_TEST

START_TEST(rule_13_check_5_an_older_leader_epoch_is_fenced) {
    for (int16_t version = 0; version <= 3; version++) {
        struct alter_wish wish = good(version);
        wish.leader_epoch = -1;
        assert_refused(&wish, KAFKA_FENCED_LEADER_EPOCH);
        wish.isr_count = 0; /* comes before everything about the set */
        assert_refused(&wish, KAFKA_FENCED_LEADER_EPOCH);
        wish = (struct alter_wish){.version = version, .leader_epoch = -1, .isr = {1, 2, 3}, .isr_count = 3};
        assert_refused(&wish, KAFKA_FENCED_LEADER_EPOCH); /* also what would change nothing */
    }
}
END_TEST

START_TEST(rule_13_check_6_a_repeated_request_succeeds_before_its_partition_epoch_is_looked_at) {
    struct alter_wish wish = good(3);
    assert_done(&wish, 1);
    world_clear_trace(world);
    assert_done(&wish, 1); /* with the partition epoch of before */
    ck_assert_str_eq(world->log, "");
    wish.partition_epoch = 1;
    assert_done(&wish, 1);
    ck_assert_str_eq(world->log, "");
    /* The same members in another order are another set. */
    wish.isr[0] = 2;
    wish.isr[1] = 1;
    wish.partition_epoch = 0;
    assert_refused(&wish, KAFKA_INVALID_UPDATE_VERSION);
    /* So is the same set of another leader. */
    wish = good(3);
    wish.broker_id = 2;
    assert_refused(&wish, KAFKA_INVALID_UPDATE_VERSION);
}
END_TEST

START_TEST(rule_13_check_7_an_older_partition_epoch_is_refused) {
    struct alter_wish wish = good(3);
    assert_done(&wish, 1);
    world_clear_trace(world);
    for (int16_t version = 0; version <= 3; version++) {
        wish = good(version);
        wish.isr[2] = 3;
        wish.isr_count = 3;
        assert_refused(&wish, KAFKA_INVALID_UPDATE_VERSION);
        wish.isr[2] = 9; /* comes before check 9 */
        assert_refused(&wish, KAFKA_INVALID_UPDATE_VERSION);
    }
}
END_TEST

START_TEST(rule_13_check_8_recovery_may_end_and_not_begin_and_a_recovering_leader_is_alone) {
    struct alter_wish wish = good(3);
    wish.recovery_state = 1;
    assert_refused(&wish, KAFKA_INVALID_REQUEST);
    wish.isr_count = 1; /* alone, but it had recovered */
    assert_refused(&wish, KAFKA_INVALID_REQUEST);
    wish.isr[1] = 9; /* comes before check 9 */
    wish.isr_count = 2;
    assert_refused(&wish, KAFKA_INVALID_REQUEST);
}
END_TEST

/* Kafka 3.9 writes an empty set, and with it the right to a clean election is lost for good. */
START_TEST(rule_13_an_empty_set_or_one_without_its_leader_or_with_a_member_twice_is_refused) {
    for (int16_t version = 0; version <= 3; version++) {
        struct alter_wish wish = {.version = version};
        assert_refused(&wish, KAFKA_INVALID_REQUEST);
        wish = (struct alter_wish){.version = version, .isr = {2, 3}, .isr_count = 2};
        assert_refused(&wish, KAFKA_INVALID_REQUEST);
        wish = (struct alter_wish){.version = version, .isr = {1, 2, 2}, .isr_count = 3};
        assert_refused(&wish, KAFKA_INVALID_REQUEST);
    }
}
END_TEST

START_TEST(rule_13_check_9_every_member_must_be_alive_and_not_shutting_down) {
    int32_t epoch = 0;
    world_remove(world, "/brokers/ids/3");
    world_settle(world);
    controller_call_shutdown(world, 1, 2, -1);
    /* 3 left by its death, 2 by its shutdown: 1 is alone, two epochs on. */
    epoch = 2;
    world_clear_trace(world);
    for (int16_t version = 0; version <= 3; version++) {
        for (int32_t member = 2; member <= 3; member++) {
            struct alter_wish wish = {.version = version,
                                      .leader_epoch = epoch,
                                      .partition_epoch = epoch,
                                      .isr = {1, member},
                                      .isr_count = 2};
            assert_refused(&wish, version >= 2 ? KAFKA_INELIGIBLE_REPLICA : KAFKA_OPERATION_NOT_ATTEMPTED);
        }
    }
}
END_TEST

/* What the simulator showed: a proposal that travelled while its newcomer was restarted (L9). */
START_TEST(a_newcomer_that_was_restarted_since_its_fetch_is_not_admitted) {
    struct alter_wish wish = good(3);
    assert_done(&wish, 1);
    int64_t epoch = world_find(world, "/brokers/ids/3")->czxid;
    wish = (struct alter_wish){
        .version = 3, .partition_epoch = 1, .isr = {1, 2, 3}, .isr_count = 3, .member_epochs = {0, 0, epoch - 1}};
    world_clear_trace(world);
    assert_refused(&wish, KAFKA_INELIGIBLE_REPLICA);
    wish.member_epochs[2] = epoch;
    assert_done(&wish, 2);
    /* Who is in the set already is not asked again, and an Apache leader does not say. */
    wish = (struct alter_wish){
        .version = 3, .partition_epoch = 2, .isr = {1, 3}, .isr_count = 2, .member_epochs = {0, epoch - 1}};
    assert_done(&wish, 3);
    wish = (struct alter_wish){.version = 3, .partition_epoch = 3, .isr = {1, 2, 3}, .isr_count = 3};
    assert_done(&wish, 4);
}
END_TEST

START_TEST(rule_13_check_10_a_state_written_by_somebody_else_meanwhile_is_not_overwritten) {
    struct alter_wish wish = good(3);
    world->stolen_write = world->writes;
    struct alter_answer answer = controller_call_alter(world, 1, &wish);
    ck_assert_int_eq(answer.partition.error_code, KAFKA_INVALID_UPDATE_VERSION);
    ck_assert_str_eq(world_text(world, STATE), UNTOUCHED);
    wish.partition_epoch = 1; /* as the asker learns by the metadata that followed */
    assert_done(&wish, 2);
}
END_TEST

START_TEST(rule_13_a_write_whose_answer_was_lost_is_recognised_as_done) {
    struct alter_wish wish = good(3);
    world->lost_write = world->writes;
    assert_done(&wish, 1);
    ck_assert_int_eq(world_find(world, STATE)->version, 1);
}
END_TEST

START_TEST(rule_13_a_controller_that_was_deposed_meanwhile_writes_nothing_and_says_so) {
    struct alter_wish wish = good(3);
    world_put(world, "/controller_epoch", "2");
    struct alter_answer answer = controller_call_alter(world, 1, &wish);
    ck_assert(answer.is_answered);
    ck_assert_int_eq(answer.error_code, KAFKA_NOT_CONTROLLER);
    ck_assert_str_eq(world_text(world, STATE), UNTOUCHED);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(rule_13_a_change_is_written_told_to_everybody_and_costs_no_leader_epoch),
        TEST(rule_13_check_1_only_the_controller_answers),
        TEST(rule_13_check_2_the_broker_must_be_known_by_this_very_epoch),
        TEST(rule_13_check_3_the_partition_must_be_known_by_id_or_by_name),
        TEST(rule_13_check_4_whoever_knows_more_than_the_controller_is_told_that_it_is_none),
        TEST(rule_13_check_5_an_older_leader_epoch_is_fenced),
        TEST(rule_13_check_6_a_repeated_request_succeeds_before_its_partition_epoch_is_looked_at),
        TEST(rule_13_check_7_an_older_partition_epoch_is_refused),
        TEST(rule_13_check_8_recovery_may_end_and_not_begin_and_a_recovering_leader_is_alone),
        TEST(rule_13_an_empty_set_or_one_without_its_leader_or_with_a_member_twice_is_refused),
        TEST(rule_13_check_9_every_member_must_be_alive_and_not_shutting_down),
        TEST(a_newcomer_that_was_restarted_since_its_fetch_is_not_admitted),
        TEST(rule_13_check_10_a_state_written_by_somebody_else_meanwhile_is_not_overwritten),
        TEST(rule_13_a_write_whose_answer_was_lost_is_recognised_as_done),
        TEST(rule_13_a_controller_that_was_deposed_meanwhile_writes_nothing_and_says_so),
    };
    return run_tests_with_fixture("AlterPartition", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
