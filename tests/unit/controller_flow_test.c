/* The controller's flows on a tree in memory: what is written and what is sent, in which order. Trees are those Apache
 * Kafka leaves (recordings/znodes). */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/protocol/errors.h"
#include "coordinator-client/znode_codec.h"
#include "coordinator-client/znode_path.h"
#include "tests/lib/controller_calls.h"
#include "tests/lib/controller_world.h"
#include "tests/lib/runner.h"

#define TOPIC TEST_TOPIC(TEST_THREE_PARTITIONS)
#define STATE(p) "/brokers/topics/t/partitions/" #p "/state"

static struct world *world;
static struct controller_config config;

static void set_up(void) {
    config = (struct controller_config){.inter_broker_listener = "PLAINTEXT", .delete_topic_enable = true};
    world = world_create(3);
}

static void tear_down(void) {
    world_destroy(world);
}

static void create_topic(void) {
    world_put_topic(world, TOPIC);
}

static void assert_text(const char *path, const char *expected) {
    const char *text = world_text(world, path);
    ck_assert_msg(text != NULL, "no %s", path);
    ck_assert_str_eq(text, expected);
}

static void remove_broker(int32_t id) {
    char path[ZNODE_PATH_SIZE];
    world_remove(world, znode_broker_path(path, id));
}

/* ---- election ---- */

START_TEST(the_first_controller_has_epoch_one_and_kafkas_nodes) {
    world_start(world, 1, &config);
    ck_assert(controller_is_active(world->controllers[1]));
    ck_assert_int_eq(controller_epoch(world->controllers[1]), 1);
    assert_text("/controller", "{\"version\":2,\"brokerid\":1,\"timestamp\":\"1000\",\"kraftControllerEpoch\":-1}");
    assert_text("/controller_epoch", "1");
    ck_assert_int_eq(world_find(world, "/controller_epoch")->version, 1);
    assert_text("/feature", "{\"features\":{},\"version\":2,\"status\":1}");
    ck_assert_int_eq(world_find(world, "/feature")->version, 0);
}
END_TEST

START_TEST(whoever_comes_second_waits_and_takes_over_when_the_node_goes) {
    world_start(world, 1, &config);
    world_start(world, 2, &config);
    ck_assert(!controller_is_active(world->controllers[2]));
    ck_assert_int_eq(controller_active_id(world->controllers[2]), 1);
    controller_destroy(world->controllers[1]);
    world->controllers[1] = NULL;
    world_remove(world, "/controller");
    world_settle(world);
    ck_assert(controller_is_active(world->controllers[2]));
    ck_assert_int_eq(controller_epoch(world->controllers[2]), 2);
}
END_TEST

START_TEST(rule_3_a_claim_whose_answer_was_lost_is_recognised_as_won) {
    world->loses_replies = true;
    world_start(world, 1, &config);
    ck_assert(controller_is_active(world->controllers[1]));
    assert_text("/controller_epoch", "1");
}
END_TEST

START_TEST(a_deposed_controller_stops_at_its_first_write) {
    world_start(world, 1, &config);
    create_topic();
    /* Another was elected, and this one has not heard of it. */
    world_put(world, "/controller_epoch", "2");
    world_put(world, "/controller", "{\"version\":2,\"brokerid\":2,\"timestamp\":\"1\",\"kraftControllerEpoch\":-1}");
    char before[256];
    snprintf(before, sizeof before, "%s", world_text(world, STATE(2)));
    remove_broker(3);
    struct controller_event event = {.type = CONTROLLER_EVENT_WATCH, .path = STR_LITERAL(ZNODE_BROKER_IDS)};
    world_step(world, 1, &event);
    ck_assert(!controller_is_active(world->controllers[1]));
    assert_text(STATE(2), before);
}
END_TEST

START_TEST(rule_37_an_expired_session_ends_it_at_once_and_a_stop_removes_the_node) {
    world_start(world, 1, &config);
    struct controller_event event = {.type = CONTROLLER_EVENT_SESSION_EXPIRED, .path = STR_NULL};
    world_step(world, 1, &event);
    ck_assert(!controller_is_active(world->controllers[1]));
    world_remove(world, "/controller");
    event.type = CONTROLLER_EVENT_SESSION_CREATED;
    world_step(world, 1, &event);
    ck_assert_int_eq(controller_epoch(world->controllers[1]), 2);
    event.type = CONTROLLER_EVENT_STOP;
    world_step(world, 1, &event);
    ck_assert(world->is_stopped);
    ck_assert_ptr_null(world_find(world, "/controller"));
}
END_TEST

/* ---- topics ---- */

START_TEST(a_new_topic_gets_kafkas_nodes_and_its_replicas_hear_of_it) {
    world_start(world, 1, &config);
    world_clear_trace(world);
    create_topic();
    assert_text(STATE(1), "{\"controller_epoch\":1,\"leader\":2,\"version\":1,\"leader_epoch\":0,\"isr\":[2,3,1]}");
    ck_assert_int_eq(world_find(world, STATE(1))->version, 0);
    ck_assert_int_eq(world_find(world, "/brokers/topics/t/partitions/1")->size, -1);
    /* All LeaderAndIsr before any UpdateMetadata, each broker told of its three replicas. */
    const char *expected = "1>1 LISR t-0 leader=1 epoch=0 version=0 isr=1,2,3 new\n"
                           "1>1 LISR t-1 leader=2 epoch=0 version=0 isr=2,3,1 new\n"
                           "1>1 LISR t-2 leader=3 epoch=0 version=0 isr=3,1,2 new\n"
                           "1>2 LISR t-0 leader=1 epoch=0 version=0 isr=1,2,3 new\n"
                           "1>2 LISR t-1 leader=2 epoch=0 version=0 isr=2,3,1 new\n"
                           "1>2 LISR t-2 leader=3 epoch=0 version=0 isr=3,1,2 new\n"
                           "1>3 LISR t-0 leader=1 epoch=0 version=0 isr=1,2,3 new\n"
                           "1>3 LISR t-1 leader=2 epoch=0 version=0 isr=2,3,1 new\n"
                           "1>3 LISR t-2 leader=3 epoch=0 version=0 isr=3,1,2 new\n"
                           "1>1 UMR brokers=1,2,3 t-0:1 t-1:2 t-2:3\n"
                           "1>2 UMR brokers=1,2,3 t-0:1 t-1:2 t-2:3\n"
                           "1>3 UMR brokers=1,2,3 t-0:1 t-1:2 t-2:3\n";
    ck_assert_str_eq(world->trace, expected);
}
END_TEST

START_TEST(a_topic_without_an_id_is_given_one) {
    world_start(world, 1, &config);
    world_put(world, "/brokers/topics/old", "{\"version\":1,\"partitions\":{\"0\":[1]}}");
    world_settle(world);
    ck_assert_ptr_nonnull(strstr(world_text(world, "/brokers/topics/old"), "\"topic_id\":\""));
}
END_TEST

START_TEST(a_deleted_topic_leaves_nothing_behind) {
    world_start(world, 1, &config);
    create_topic();
    world_put(world, "/admin/delete_topics/t", NULL);
    world_settle(world);
    ck_assert_ptr_null(world_find(world, "/brokers/topics/t"));
    ck_assert_ptr_null(world_find(world, "/config/topics/t"));
    ck_assert_ptr_null(world_find(world, "/admin/delete_topics/t"));
    ck_assert_ptr_nonnull(strstr(world->trace, "UMR brokers=1,2,3 t-0:-2 t-1:-2 t-2:-2\n"));
    ck_assert_ptr_nonnull(strstr(world->trace, "1>2 SR t-0 epoch=-2 delete\n"));
}
END_TEST

START_TEST(a_deletion_waits_for_a_dead_replica_and_ends_when_it_is_back) {
    world_start(world, 1, &config);
    create_topic();
    remove_broker(3);
    world_settle(world);
    world_put(world, "/admin/delete_topics/t", NULL);
    world_settle(world);
    ck_assert_ptr_nonnull(world_find(world, "/brokers/topics/t"));
    world_clear_trace(world);
    world_register(world, 3);
    world_settle(world);
    ck_assert_ptr_null(strstr(world->trace, "1>3 LISR t-0")); /* or it would begin anew what it may have deleted */
    ck_assert_ptr_nonnull(strstr(world->trace, "1>3 SR t-0 epoch=-2 delete\n"));
    ck_assert_ptr_null(world_find(world, "/brokers/topics/t"));
    ck_assert_ptr_null(world_find(world, "/admin/delete_topics/t"));
}
END_TEST

/* Each broker says that it deleted its replicas of t, in answer to the request of that number. */
static void all_say_that_they_deleted(int64_t number) {
    struct controller_partition_result results[3];
    for (int32_t i = 0; i < 3; i++) {
        results[i] = (struct controller_partition_result){.topic = STR_LITERAL("t"), .partition = i};
    }
    for (int32_t id = 1; id <= 3; id++) {
        char path[32];
        snprintf(path, sizeof path, "/brokers/ids/%d", id);
        struct controller_event event = {.type = CONTROLLER_EVENT_STOP_REPLICA_ANSWERED,
                                         .path = STR_NULL,
                                         .broker_id = id,
                                         .broker_epoch = world_find(world, path)->czxid,
                                         .controller_epoch = 1,
                                         .number = number,
                                         .results = results,
                                         .result_count = 3};
        world_step(world, 1, &event);
    }
    world_settle(world);
}

/* As when a topic is made and deleted twice while a broker is slow: StopReplica names no topic id. */
START_TEST(an_answer_to_what_was_asked_before_a_deletion_began_is_not_taken_for_its_end) {
    world_start(world, 1, &config);
    create_topic();
    world->is_mute = true;
    world_put(world, "/admin/delete_topics/t", NULL);
    world_settle(world);
    all_say_that_they_deleted(1);
    ck_assert_ptr_nonnull(world_find(world, "/brokers/topics/t"));
    all_say_that_they_deleted(1000);
    ck_assert_ptr_null(world_find(world, "/brokers/topics/t"));
}
END_TEST

START_TEST(more_partitions_are_created_and_the_old_ones_left_alone) {
    world_start(world, 1, &config);
    create_topic();
    world_put(world, "/brokers/topics/t",
              "{\"partitions\":{\"0\":[1,2,3],\"1\":[2,3,1],\"2\":[3,1,2],\"3\":[1,3]},\"topic_id\":"
              "\"Qs-O1kFsRRm0ud19RMuSyQ\",\"adding_replicas\":{},\"removing_replicas\":{},\"version\":3}");
    world_settle(world);
    assert_text(STATE(3), "{\"controller_epoch\":1,\"leader\":1,\"version\":1,\"leader_epoch\":0,\"isr\":[1,3]}");
    ck_assert_int_eq(world_find(world, STATE(0))->version, 0);
}
END_TEST

/* ---- brokers ---- */

START_TEST(a_dead_broker_costs_each_partition_one_epoch) {
    world_start(world, 1, &config);
    create_topic();
    remove_broker(3);
    world_settle(world);
    assert_text(STATE(0), "{\"controller_epoch\":1,\"leader\":1,\"version\":1,\"leader_epoch\":1,\"isr\":[1,2]}");
    assert_text(STATE(1), "{\"controller_epoch\":1,\"leader\":2,\"version\":1,\"leader_epoch\":1,\"isr\":[2,1]}");
    assert_text(STATE(2), "{\"controller_epoch\":1,\"leader\":1,\"version\":1,\"leader_epoch\":1,\"isr\":[1,2]}");
}
END_TEST

START_TEST(the_last_in_sync_replica_stays_in_the_set) {
    world_start(world, 1, &config);
    world_put(world, "/brokers/topics/one",
              "{\"partitions\":{\"0\":[3]},\"topic_id\":\"Qs-O1kFsRRm0ud19RMuSyQ\",\"adding_replicas\":{},"
              "\"removing_replicas\":{},\"version\":3}");
    world_settle(world);
    remove_broker(3);
    world_settle(world);
    assert_text("/brokers/topics/one/partitions/0/state",
                "{\"controller_epoch\":1,\"leader\":-1,\"version\":1,\"leader_epoch\":1,\"isr\":[3]}");
    /* No other replica has to be commanded, but every broker has to know. */
    ck_assert_ptr_nonnull(strstr(world->trace, "1>2 UMR brokers=1,2 one-0:-1"));
    world_register(world, 3);
    world_settle(world);
    assert_text("/brokers/topics/one/partitions/0/state",
                "{\"controller_epoch\":1,\"leader\":3,\"version\":1,\"leader_epoch\":2,\"isr\":[3]}");
}
END_TEST

START_TEST(a_bounced_broker_is_a_failure_and_a_startup) {
    world_start(world, 1, &config);
    create_topic();
    remove_broker(3);
    world_register(world, 3);
    world_settle(world);
    assert_text(STATE(2), "{\"controller_epoch\":1,\"leader\":1,\"version\":1,\"leader_epoch\":1,\"isr\":[1,2]}");
    ck_assert_ptr_nonnull(strstr(world->trace, "1>3 LISR t-2 leader=1 epoch=1"));
}
END_TEST

START_TEST(rule_5_a_state_somebody_else_changed_is_read_again_before_it_is_written) {
    world_start(world, 1, &config);
    create_topic();
    world->stolen_write = world->writes; /* the election of t-2 */
    remove_broker(3);
    world_settle(world);
    assert_text(STATE(2), "{\"controller_epoch\":1,\"leader\":1,\"version\":1,\"leader_epoch\":1,\"isr\":[1,2]}");
    ck_assert_int_eq(world_find(world, STATE(2))->version, 2);
}
END_TEST

START_TEST(a_replica_on_a_failed_directory_leaves_the_set) {
    world_start(world, 1, &config);
    create_topic();
    world->storage_error = 1; /* partition 0 ... */
    world->storage_broker = 1;
    world_put(world, "/log_dir_event_notification/log_dir_event_0000000000",
              "{\"version\":1,\"broker\":1,\"event\":1}");
    world_settle(world);
    assert_text(STATE(0), "{\"controller_epoch\":1,\"leader\":2,\"version\":1,\"leader_epoch\":1,\"isr\":[2,3]}");
    ck_assert_ptr_null(world_find(world, "/log_dir_event_notification/log_dir_event_0000000000"));
}
END_TEST

START_TEST(a_controlled_shutdown_moves_every_leader_and_answers_what_is_left) {
    world_start(world, 1, &config);
    create_topic();
    ck_assert_int_eq(controller_call_shutdown(world, 1, 3, -1), 0);
    assert_text(STATE(2), "{\"controller_epoch\":1,\"leader\":1,\"version\":1,\"leader_epoch\":1,\"isr\":[1,2]}");
    assert_text(STATE(0), "{\"controller_epoch\":1,\"leader\":1,\"version\":1,\"leader_epoch\":1,\"isr\":[1,2]}");
}
END_TEST

/* ---- producer ids ---- */

START_TEST(producer_ids_never_repeat_even_when_answers_get_lost) {
    int64_t first = -1, last = -1;
    int32_t count, call = 0;
    world_start(world, 1, &config);
    struct controller_event event = {.type = CONTROLLER_EVENT_ALLOCATE_PRODUCER_IDS,
                                     .path = STR_NULL,
                                     .broker_id = 1,
                                     .broker_epoch = world_find(world, "/brokers/ids/1")->czxid,
                                     .ret_first = &first,
                                     .ret_count = &count};
    event.call = &call;
    world_step(world, 1, &event);
    ck_assert_int_eq(first, 0);
    ck_assert_int_eq(count, 1000);
    assert_text("/latest_producer_id_block",
                "{\"version\":1,\"broker\":1,\"block_start\":\"0\",\"block_end\":\"999\"}");
    last = first;
    world->stolen_write = world->writes; /* as if our own first try had been applied */
    world_step(world, 1, &event);
    ck_assert_int_gt(first, last);
    event.broker_epoch++;
    world_step(world, 1, &event);
    ck_assert_int_eq(world->call_error, KAFKA_STALE_BROKER_EPOCH);
}
END_TEST

int main(void) {
    const struct test tests[] = {
        TEST(the_first_controller_has_epoch_one_and_kafkas_nodes),
        TEST(whoever_comes_second_waits_and_takes_over_when_the_node_goes),
        TEST(rule_3_a_claim_whose_answer_was_lost_is_recognised_as_won),
        TEST(a_deposed_controller_stops_at_its_first_write),
        TEST(rule_37_an_expired_session_ends_it_at_once_and_a_stop_removes_the_node),
        TEST(a_new_topic_gets_kafkas_nodes_and_its_replicas_hear_of_it),
        TEST(a_topic_without_an_id_is_given_one),
        TEST(a_deleted_topic_leaves_nothing_behind),
        TEST(a_deletion_waits_for_a_dead_replica_and_ends_when_it_is_back),
        TEST(an_answer_to_what_was_asked_before_a_deletion_began_is_not_taken_for_its_end),
        TEST(more_partitions_are_created_and_the_old_ones_left_alone),
        TEST(a_dead_broker_costs_each_partition_one_epoch),
        TEST(the_last_in_sync_replica_stays_in_the_set),
        TEST(a_bounced_broker_is_a_failure_and_a_startup),
        TEST(rule_5_a_state_somebody_else_changed_is_read_again_before_it_is_written),
        TEST(a_replica_on_a_failed_directory_leaves_the_set),
        TEST(a_controlled_shutdown_moves_every_leader_and_answers_what_is_left),
        TEST(producer_ids_never_repeat_even_when_answers_get_lost),
    };
    return run_tests_with_fixture("controller flows", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
