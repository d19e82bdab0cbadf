/* Rules of the controller that are easily got wrong, by the numbers of Kafka's ZooKeeper mode reference, and its
 * smaller flows. Rule 13, AlterPartition, is controller_alter_test.c. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/trace.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/errors.h"
#include "coordinator-client/znode_path.h"
#include "tests/lib/controller_calls.h"
#include "tests/lib/controller_world.h"
#include "tests/lib/runner.h"

#define STATE(p) "/brokers/topics/t/partitions/" #p "/state"

static struct world *world;
static struct controller_config config;

static void set_up(void) {
    config = TEST_CONTROLLER_CONFIG;
    trace_set_level(TRACE_FATAL);
    world = world_create(3);
}

static void tear_down(void) {
    world_destroy(world);
}

static void start_with_topic(void) {
    world_start(world, 1, &config);
    world_put_topic(world, TEST_TOPIC(TEST_THREE_PARTITIONS));
    world_clear_trace(world);
}

static void remove_broker(int32_t id) {
    char path[ZNODE_PATH_SIZE];
    world_remove(world, znode_broker_path(path, id));
}

static void watch(const char *path) {
    struct controller_event event = {.type = CONTROLLER_EVENT_WATCH, .path = str_from(path)};
    world_step(world, 1, &event);
}

static void assert_state(const char *path, const char *expected) {
    const char *text = world_text(world, path);
    ck_assert_ptr_nonnull(text);
    ck_assert_msg(strstr(text, expected) != NULL, "%s holds %s", path, text);
}

/* ---- rules ---- */

START_TEST(rule_4_every_write_of_a_controller_carries_the_check_of_its_epoch) {
    start_with_topic();
    remove_broker(3);
    world_settle(world);
    world_register(world, 3);
    world_put(world, "/admin/preferred_replica_election", "{\"version\":1,\"partitions\":[]}");
    world_settle(world);
    controller_call_shutdown(world, 1, 2, -1);
    remove_broker(2);
    world_register(world, 2);
    world_settle(world);
    world_put(world, "/admin/delete_topics/t", NULL);
    world_settle(world);
    ck_assert_ptr_null(world_find(world, "/brokers/topics/t"));
    int32_t count = 0;
    for (char *line = strtok(world->log, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        ck_assert_msg(strncmp(line, "fenced ", 7) == 0, "%s", line);
        count++;
    }
    ck_assert_int_gt(count, 15);
}
END_TEST

START_TEST(rule_4_a_failed_check_stops_the_whole_event) {
    start_with_topic();
    world_put(world, "/controller_epoch", "2");
    world_put(world, "/controller", "{\"version\":2,\"brokerid\":2,\"timestamp\":\"1\",\"kraftControllerEpoch\":-1}");
    remove_broker(3);
    watch(ZNODE_BROKER_IDS);
    ck_assert(!controller_is_active(world->controllers[1]));
    ck_assert_str_eq(world->log, "");
    ck_assert_ptr_null(strstr(world->trace, "LISR")); /* nobody hears of what was not written */
    ck_assert_ptr_null(strstr(world->trace, "UMR"));
    assert_state(STATE(2), "\"leader\":3");
}
END_TEST

START_TEST(rule_6_a_state_that_a_newer_controller_wrote_is_left_alone) {
    start_with_topic();
    world_put(world, STATE(2), "{\"controller_epoch\":9,\"leader\":3,\"version\":1,\"leader_epoch\":5,\"isr\":[3,1]}");
    remove_broker(3);
    world_settle(world);
    assert_state(STATE(2), "\"controller_epoch\":9,\"leader\":3");
    assert_state(STATE(1), "\"isr\":[2,1]"); /* the others are served as usual */
}
END_TEST

START_TEST(rule_9_alter_partition_takes_the_brokers_very_epoch_and_no_larger_one) {
    start_with_topic();
    struct alter_wish wish = {.version = 3, .isr = {1, 2}, .isr_count = 2, .broker_epoch_beyond = -1};
    ck_assert_int_eq(controller_call_alter(world, 1, &wish).error_code, KAFKA_STALE_BROKER_EPOCH);
    wish.broker_epoch_beyond = 1;
    ck_assert_int_eq(controller_call_alter(world, 1, &wish).error_code, KAFKA_STALE_BROKER_EPOCH);
    wish.broker_epoch_beyond = 0;
    ck_assert_int_eq(controller_call_alter(world, 1, &wish).error_code, KAFKA_NONE);
}
END_TEST

START_TEST(rule_10_a_bounced_broker_gets_a_new_line_and_hears_everything_again) {
    start_with_topic();
    remove_broker(3);
    world_register(world, 3);
    watch(ZNODE_BROKER_IDS);
    const char *closed = strstr(world->trace, "1 closes its line to 3\n");
    const char *opened = strstr(world->trace, "1 opens a line to 3\n");
    const char *told = strstr(world->trace, "1>3 LISR t-2 leader=1 epoch=1");
    ck_assert(closed != NULL && opened != NULL && told != NULL);
    ck_assert(closed < opened && opened < told);
    ck_assert(strstr(opened, "1>3 UMR") < told); /* rule 7 */
    /* What was deleted while its line was closed it learns from what is not named. */
    ck_assert_ptr_nonnull(strstr(opened, "1>3 UMR full"));
}
END_TEST

START_TEST(a_new_controller_tells_everybody_what_there_is_as_somebody_may_have_missed_a_deletion) {
    start_with_topic();
    world_remove(world, "/controller");
    world_start(world, 2, &config);
    world_settle(world);
    for (int32_t id = 1; id <= 3; id++) {
        char told[80];
        snprintf(told, sizeof told, "2>%d UMR full brokers=1,2,3 t-0:1 t-1:2 t-2:3\n", id);
        ck_assert_msg(strstr(world->trace, told) != NULL, "%s", world->trace);
    }
}
END_TEST

START_TEST(rule_11_the_last_member_of_an_in_sync_set_stays_in_it) {
    start_with_topic();
    for (int32_t id = 2; id <= 3; id++) {
        remove_broker(id);
        world_settle(world);
    }
    assert_state(STATE(1), "\"leader\":1");
    remove_broker(1);
    watch(ZNODE_BROKER_IDS);
    for (int32_t i = 0; i < 3; i++) {
        char path[ZNODE_PATH_SIZE];
        assert_state(znode_partition_state_path(path, STR_LITERAL("t"), i), "\"isr\":[1]");
    }
    assert_state(STATE(1), "\"leader\":-1");
    world_register(world, 2); /* not in sync: it may not lead */
    watch(ZNODE_BROKER_IDS);
    assert_state(STATE(1), "\"leader\":-1");
    world_register(world, 1);
    watch(ZNODE_BROKER_IDS);
    assert_state(STATE(1), "\"leader\":1");
}
END_TEST

/* Broker 2 is back, and not in sync with broker 3, which is gone. */
static void lose_in_sync_set(void) {
    remove_broker(2);
    world_settle(world);
    remove_broker(3);
    world_settle(world);
    world_register(world, 2);
    world_settle(world);
}

START_TEST(rule_12_an_unclean_leader_is_alone_in_its_set_and_recovering_until_a_follower_joins) {
    world_start(world, 1, &config);
    world_put(world, "/config/topics/t", "{\"version\":1,\"config\":{\"unclean.leader.election.enable\":\"true\"}}");
    world_put(world, "/brokers/topics/t", TEST_TOPIC("\"0\":[3,2]"));
    world_settle(world);
    lose_in_sync_set();
    const char *state = world_text(world, STATE(0));
    ck_assert_ptr_nonnull(strstr(state, "\"isr\":[2]"));
    ck_assert_ptr_nonnull(strstr(state, "\"leader_recovery_state\":1"));
    world_register(world, 3);
    world_settle(world);
    ck_assert_ptr_nonnull(strstr(world_text(world, STATE(0)), "\"leader_recovery_state\":1"));
    struct alter_wish wish = {.broker_id = 2,
                              .version = 3,
                              .leader_epoch = 3,
                              .partition_epoch = world_find(world, STATE(0))->version,
                              .isr = {2, 3},
                              .isr_count = 2};
    ck_assert_int_eq(controller_call_alter(world, 1, &wish).partition.error_code, KAFKA_NONE);
    ck_assert_ptr_null(strstr(world_text(world, STATE(0)), "leader_recovery_state"));
}
END_TEST

START_TEST(rule_25_requests_have_the_versions_of_the_inter_broker_protocol) {
    start_with_topic();
    world_put(world, "/admin/delete_topics/t", NULL);
    world_settle(world);
    ck_assert_int_eq(world->versions[API_LEADER_AND_ISR], 7);
    ck_assert_int_eq(world->versions[API_UPDATE_METADATA], 8);
    ck_assert_int_eq(world->versions[API_STOP_REPLICA], 4);
}
END_TEST

START_TEST(rule_38_a_deleted_topics_tree_goes_before_its_settings_and_those_before_what_asked_for_it) {
    start_with_topic();
    world_put(world, "/admin/delete_topics/t", NULL);
    world_settle(world);
    const char *state = strstr(world->log, "delete /brokers/topics/t/partitions/0/state\n");
    const char *topic = strstr(world->log, "delete /brokers/topics/t\n");
    const char *settings = strstr(world->log, "delete /config/topics/t\n");
    const char *wish = strstr(world->log, "delete /admin/delete_topics/t\n");
    ck_assert(state != NULL && topic != NULL && settings != NULL && wish != NULL);
    ck_assert(state < topic && topic < settings && settings < wish);
}
END_TEST

/* Whoever writes an assignment does not look at the controller's epoch: the last writer wins. */
START_TEST(rule_40_a_lost_or_foreign_change_of_an_assignment_changes_no_replica) {
    start_with_topic();
    world_put(world, "/brokers/topics/t", TEST_TOPIC("\"0\":[3,2],\"1\":[2,3,1]")); /* moved, and one lost */
    world_settle(world);
    ck_assert_str_eq(world->log, "");
    ck_assert_ptr_null(strstr(world->trace, "LISR"));
    remove_broker(3);
    world_settle(world);
    assert_state(STATE(0), "\"leader\":1");
    assert_state(STATE(2), "\"leader\":1,"); /* the lost one is still served */
}
END_TEST

/* ---- KRaft's traces ---- */

START_TEST(a_controller_node_of_kraft_is_not_claimed) {
    world_put(world, "/controller", "{\"version\":2,\"brokerid\":3000,\"timestamp\":\"1\",\"kraftControllerEpoch\":4}");
    world_put(world, "/controller_epoch", "7");
    world_put(world, "/migration", "{\"version\":0,\"kraft_controller_id\":3000}");
    world_start(world, 1, &config);
    world_settle(world);
    ck_assert(!controller_is_active(world->controllers[1]));
    ck_assert_int_eq(controller_active_id(world->controllers[1]), 3000);
    ck_assert_str_eq(world->log, "");
}
END_TEST

/* ---- brokers ---- */

START_TEST(a_broker_that_lacks_a_finalized_feature_is_left_out) {
    world_put(world, "/feature", "{\"features\":{\"f\":{\"max_version_level\":3}},\"version\":2,\"status\":1}");
    world_put(world, "/brokers/ids/1",
              "{\"features\":{\"f\":{\"min_version\":1,\"max_version\":3}},\"listener_security_protocol_map\":"
              "{\"PLAINTEXT\":\"PLAINTEXT\"},\"endpoints\":[\"PLAINTEXT://h1:9092\"],\"jmx_port\":-1,\"port\":9092,"
              "\"host\":\"h1\",\"version\":5,\"timestamp\":\"1\"}");
    remove_broker(3);
    world_start(world, 1, &config);
    ck_assert_ptr_nonnull(strstr(world->trace, "1>1 UMR brokers=1\n")); /* 2 has no features at all */
    world_register(world, 3);
    world_settle(world);
    ck_assert_ptr_null(strstr(world->trace, "brokers=1,"));
    assert_state("/feature", "\"max_version_level\":3");
}
END_TEST

START_TEST(changed_endpoints_are_told_to_everybody_and_cost_no_epoch) {
    start_with_topic();
    world_put(world, "/brokers/ids/2",
              "{\"features\":{},\"listener_security_protocol_map\":{\"PLAINTEXT\":\"PLAINTEXT\"},\"endpoints\":"
              "[\"PLAINTEXT://moved:9093\"],\"jmx_port\":-1,\"port\":9093,\"host\":\"moved\",\"version\":5,"
              "\"timestamp\":\"1\"}");
    world_settle(world);
    ck_assert_str_eq(world->trace, "1>1 UMR brokers=1,2,3\n1>2 UMR brokers=1,2,3\n1>3 UMR brokers=1,2,3\n");
    ck_assert_str_eq(world->log, "");
}
END_TEST

START_TEST(a_registration_that_cannot_be_read_fails_the_event_and_changes_nothing) {
    start_with_topic();
    remove_broker(3);
    world_put(world, "/brokers/ids/4", "not json");
    watch(ZNODE_BROKER_IDS);
    ck_assert_str_eq(world->trace, "");
    assert_state(STATE(2), "\"leader\":3");
    world_remove(world, "/brokers/ids/4");
    watch(ZNODE_BROKER_IDS);
    assert_state(STATE(2), "\"leader\":1");
}
END_TEST

START_TEST(a_broker_whose_queue_was_dropped_is_told_everything_anew_and_nobody_else_anything) {
    start_with_topic();
    struct controller_event event = {.type = CONTROLLER_EVENT_QUEUE_DROPPED,
                                     .path = STR_NULL,
                                     .broker_id = 3,
                                     .broker_epoch = world_find(world, "/brokers/ids/3")->czxid};
    world_step(world, 1, &event);
    ck_assert_str_eq(world->trace, "1>3 UMR full brokers=1,2,3 t-0:1 t-1:2 t-2:3\n"
                                   "1>3 LISR t-0 leader=1 epoch=0 version=0 isr=1,2,3\n"
                                   "1>3 LISR t-1 leader=2 epoch=0 version=0 isr=2,3,1\n"
                                   "1>3 LISR t-2 leader=3 epoch=0 version=0 isr=3,1,2\n"
                                   "1 has told 3 everything\n");
    world_clear_trace(world);
    event.broker_epoch--; /* of a former life */
    world_step(world, 1, &event);
    ck_assert_str_eq(world->trace, "");
}
END_TEST

START_TEST(a_dropped_command_to_delete_a_replica_is_repeated) {
    start_with_topic();
    world->is_mute = true; /* no broker answers */
    world_put(world, "/admin/delete_topics/t", NULL);
    world_settle(world);
    world_clear_trace(world);
    struct controller_event event = {.type = CONTROLLER_EVENT_QUEUE_DROPPED,
                                     .path = STR_NULL,
                                     .broker_id = 3,
                                     .broker_epoch = world_find(world, "/brokers/ids/3")->czxid};
    world_step(world, 1, &event);
    ck_assert_str_eq(world->trace, "1>3 UMR full brokers=1,2,3\n"
                                   "1>3 SR t-0 epoch=-2 delete\n1>3 SR t-1 epoch=-2 delete\n"
                                   "1>3 SR t-2 epoch=-2 delete\n1 has told 3 everything\n");
}
END_TEST

START_TEST(a_controlled_shutdown_is_refused_to_whom_it_does_not_concern) {
    start_with_topic();
    int64_t epoch = world_find(world, "/brokers/ids/3")->czxid;
    ck_assert_int_eq(controller_call_shutdown(world, 1, 9, -1), -1);
    ck_assert_int_eq(world->call_error, KAFKA_BROKER_NOT_AVAILABLE);
    ck_assert_int_eq(controller_call_shutdown(world, 1, 3, epoch - 1), -1);
    ck_assert_int_eq(world->call_error, KAFKA_STALE_BROKER_EPOCH);
    world_start(world, 2, &config);
    ck_assert_int_eq(controller_call_shutdown(world, 2, 3, epoch), -1);
    ck_assert_int_eq(world->call_error, KAFKA_STALE_CONTROLLER_EPOCH);
    ck_assert_str_eq(world->log, "");
    ck_assert_int_eq(controller_call_shutdown(world, 1, 3, epoch), 0);
}
END_TEST

START_TEST(a_broker_that_shuts_down_keeps_what_nobody_else_could_lead_and_counts_as_gone_for_elections) {
    start_with_topic();
    remove_broker(2);
    world_settle(world);
    remove_broker(1);
    world_settle(world); /* 3 leads everything alone */
    assert_state(STATE(0), "\"leader\":3");
    world_clear_trace(world);
    ck_assert_int_eq(controller_call_shutdown(world, 1, 3, -1), 3);
    ck_assert_str_eq(world->log, "");
    ck_assert_int_eq(controller_call_shutdown(world, 1, 3, -1), 3); /* asked again, the same answer */
    world_register(world, 1);
    world_settle(world);
    assert_state(STATE(0), "\"leader\":3,"); /* 1 is not in sync */
}
END_TEST

/* ---- topics ---- */

START_TEST(partitions_added_to_a_topic_on_its_way_out_are_taken_back) {
    start_with_topic();
    remove_broker(3);
    world_settle(world);
    world_put(world, "/admin/delete_topics/t", NULL);
    world_settle(world);
    world_put(world, "/brokers/topics/t", TEST_TOPIC(TEST_THREE_PARTITIONS ",\"3\":[1]"));
    world_settle(world);
    ck_assert_str_eq(world_text(world, "/brokers/topics/t"), TEST_TOPIC(TEST_THREE_PARTITIONS));
    ck_assert_ptr_null(world_find(world, "/brokers/topics/t/partitions/3"));
    world_register(world, 3);
    world_settle(world);
    ck_assert_ptr_null(world_find(world, "/brokers/topics/t"));
}
END_TEST

START_TEST(a_topic_deleted_while_it_is_being_created_goes_away_whole) {
    world_start(world, 1, &config);
    world_put(world, "/config/topics/t", "{\"version\":1,\"config\":{}}");
    world_put(world, "/brokers/topics/t", TEST_TOPIC(TEST_THREE_PARTITIONS));
    world_put(world, "/admin/delete_topics/t", NULL);
    world_settle(world);
    ck_assert_ptr_null(world_find(world, "/brokers/topics/t"));
    ck_assert_ptr_null(world_find(world, "/config/topics/t"));
    ck_assert_ptr_null(world_find(world, "/admin/delete_topics/t"));
}
END_TEST

START_TEST(a_wish_to_delete_what_is_not_there_or_may_not_go_is_dropped) {
    start_with_topic();
    world_put(world, "/admin/delete_topics/nobody", NULL);
    world_settle(world);
    ck_assert_ptr_null(world_find(world, "/admin/delete_topics/nobody"));
    tear_down();
    set_up();
    config.delete_topic_enable = false;
    start_with_topic();
    world_put(world, "/admin/delete_topics/t", NULL);
    world_settle(world);
    ck_assert_ptr_null(world_find(world, "/admin/delete_topics/t"));
    ck_assert_ptr_nonnull(world_find(world, STATE(0)));
}
END_TEST

START_TEST(a_replica_that_could_not_be_deleted_is_tried_again_when_its_broker_returns) {
    start_with_topic();
    world->delete_error_broker = 2;
    world_put(world, "/admin/delete_topics/t", NULL);
    world_settle(world);
    ck_assert_ptr_nonnull(world_find(world, "/brokers/topics/t"));
    world->delete_error_broker = 0;
    world_settle(world); /* not by itself */
    ck_assert_ptr_nonnull(world_find(world, "/brokers/topics/t"));
    remove_broker(2);
    world_register(world, 2);
    world_settle(world);
    ck_assert_ptr_null(world_find(world, "/brokers/topics/t"));
}
END_TEST

START_TEST(a_new_topic_without_a_live_replica_waits_for_one) {
    world_start(world, 1, &config);
    remove_broker(3);
    world_settle(world);
    world_put(world, "/brokers/topics/t", TEST_TOPIC("\"0\":[3]"));
    world_settle(world);
    ck_assert_ptr_null(world_find(world, STATE(0)));
    world_register(world, 3);
    world_settle(world);
    assert_state(STATE(0), "\"leader\":3");
}
END_TEST

/* ---- notifications and elections ---- */

START_TEST(a_change_of_an_in_sync_set_written_by_an_old_broker_is_told_to_everybody) {
    start_with_topic();
    world_put(world, STATE(0), "{\"controller_epoch\":1,\"leader\":1,\"version\":1,\"leader_epoch\":0,\"isr\":[1,2]}");
    world_put(
        world, "/isr_change_notification/isr_change_0000000007",
        "{\"version\":1,\"partitions\":[{\"topic\":\"t\",\"partition\":0},{\"topic\":\"gone\",\"partition\":4}]}");
    world_settle(world);
    ck_assert_ptr_nonnull(strstr(world->trace, "1>3 UMR brokers=1,2,3 t-0:1\n"));
    ck_assert_ptr_null(world_find(world, "/isr_change_notification/isr_change_0000000007"));
    struct alter_wish wish = {.version = 3, .partition_epoch = 1, .isr = {1, 2, 3}, .isr_count = 3};
    ck_assert_int_eq(controller_call_alter(world, 1, &wish).partition.error_code, KAFKA_NONE);
}
END_TEST

START_TEST(leftover_notifications_are_wiped_by_a_new_controller) {
    world_put(world, "/isr_change_notification/isr_change_0000000001", "{\"version\":1,\"partitions\":[]}");
    world_put(world, "/log_dir_event_notification/log_dir_event_0000000001",
              "{\"version\":1,\"broker\":1,\"event\":1}");
    world_start(world, 1, &config);
    ck_assert_ptr_null(world_find(world, "/isr_change_notification/isr_change_0000000001"));
    ck_assert_ptr_null(world_find(world, "/log_dir_event_notification/log_dir_event_0000000001"));
}
END_TEST

static void rejoin(int32_t partition, int32_t leader, int32_t leader_epoch, int32_t partition_epoch) {
    struct alter_wish wish = {.broker_id = leader,
                              .version = 3,
                              .partition = partition,
                              .leader_epoch = leader_epoch,
                              .partition_epoch = partition_epoch,
                              .isr = {1, 2, 3},
                              .isr_count = 3};
    ck_assert_int_eq(controller_call_alter(world, 1, &wish).partition.error_code, KAFKA_NONE);
}

START_TEST(the_rebalancing_timer_moves_leadership_back_when_too_much_is_elsewhere) {
    struct controller_event event = {.type = CONTROLLER_EVENT_REBALANCE, .path = STR_NULL};
    start_with_topic();
    remove_broker(3);
    world_settle(world);
    world_register(world, 3);
    world_settle(world);
    world_step(world, 1, &event);
    assert_state(STATE(2), "\"leader\":1"); /* the preferred one is not in sync yet */
    rejoin(2, 1, 1, 1);
    world->controllers[1] = (controller_destroy(world->controllers[1]), NULL);
    world_remove(world, "/controller");
    config.leader_imbalance_percentage = 100;
    world_start(world, 1, &config);
    world_step(world, 1, &event);
    assert_state(STATE(2), "\"leader\":1"); /* 100 % elsewhere is not more than 100 % */
    world->controllers[1] = (controller_destroy(world->controllers[1]), NULL);
    world_remove(world, "/controller");
    config.leader_imbalance_percentage = 10;
    world_start(world, 1, &config);
    world_step(world, 1, &event);
    assert_state(STATE(2), "\"leader\":3");
    assert_state(STATE(2), "\"isr\":[1,2,3]");
}
END_TEST

START_TEST(unclean_election_switched_on_for_a_topic_or_for_all_elects_at_once) {
    for (int is_default = 0; is_default < 2; is_default++) {
        tear_down();
        set_up();
        world_start(world, 1, &config);
        world_put_topic(world, TEST_TOPIC("\"0\":[3,2]"));
        lose_in_sync_set();
        assert_state(STATE(0), "\"leader\":-1");
        struct controller_event event = {.type = CONTROLLER_EVENT_UNCLEAN_ENABLED, .path = STR_NULL};
        if (is_default) {
            event.is_unclean_default = true;
        } else {
            world_put(world, "/config/topics/t",
                      "{\"version\":1,\"config\":{\"unclean.leader.election.enable\":\"true\"}}");
            event.path = STR_LITERAL("t");
        }
        world_step(world, 1, &event);
        assert_state(STATE(0), "\"leader\":2");
    }
}
END_TEST

/* A topic's own "false" beats a default of "true". */
START_TEST(a_topic_that_forbids_unclean_election_is_not_elected_by_the_default) {
    config.unclean_leader_election = true;
    world_start(world, 1, &config);
    world_put(world, "/config/topics/t", "{\"version\":1,\"config\":{\"unclean.leader.election.enable\":\"false\"}}");
    world_put(world, "/brokers/topics/t", TEST_TOPIC("\"0\":[3,2]"));
    world_settle(world);
    lose_in_sync_set();
    assert_state(STATE(0), "\"leader\":-1");
    world_put(world, "/config/topics/t", "garbage"); /* nobody knows: no data is given up */
    remove_broker(2);
    world_register(world, 2);
    world_settle(world);
    assert_state(STATE(0), "\"leader\":-1");
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(rule_4_every_write_of_a_controller_carries_the_check_of_its_epoch),
        TEST(rule_4_a_failed_check_stops_the_whole_event),
        TEST(rule_6_a_state_that_a_newer_controller_wrote_is_left_alone),
        TEST(rule_9_alter_partition_takes_the_brokers_very_epoch_and_no_larger_one),
        TEST(rule_10_a_bounced_broker_gets_a_new_line_and_hears_everything_again),
        TEST(a_new_controller_tells_everybody_what_there_is_as_somebody_may_have_missed_a_deletion),
        TEST(rule_11_the_last_member_of_an_in_sync_set_stays_in_it),
        TEST(rule_12_an_unclean_leader_is_alone_in_its_set_and_recovering_until_a_follower_joins),
        TEST(rule_25_requests_have_the_versions_of_the_inter_broker_protocol),
        TEST(rule_38_a_deleted_topics_tree_goes_before_its_settings_and_those_before_what_asked_for_it),
        TEST(rule_40_a_lost_or_foreign_change_of_an_assignment_changes_no_replica),
        TEST(a_controller_node_of_kraft_is_not_claimed),
        TEST(a_broker_that_lacks_a_finalized_feature_is_left_out),
        TEST(changed_endpoints_are_told_to_everybody_and_cost_no_epoch),
        TEST(a_registration_that_cannot_be_read_fails_the_event_and_changes_nothing),
        TEST(a_broker_whose_queue_was_dropped_is_told_everything_anew_and_nobody_else_anything),
        TEST(a_dropped_command_to_delete_a_replica_is_repeated),
        TEST(a_controlled_shutdown_is_refused_to_whom_it_does_not_concern),
        TEST(a_broker_that_shuts_down_keeps_what_nobody_else_could_lead_and_counts_as_gone_for_elections),
        TEST(partitions_added_to_a_topic_on_its_way_out_are_taken_back),
        TEST(a_topic_deleted_while_it_is_being_created_goes_away_whole),
        TEST(a_wish_to_delete_what_is_not_there_or_may_not_go_is_dropped),
        TEST(a_replica_that_could_not_be_deleted_is_tried_again_when_its_broker_returns),
        TEST(a_new_topic_without_a_live_replica_waits_for_one),
        TEST(a_change_of_an_in_sync_set_written_by_an_old_broker_is_told_to_everybody),
        TEST(leftover_notifications_are_wiped_by_a_new_controller),
        TEST(the_rebalancing_timer_moves_leadership_back_when_too_much_is_elsewhere),
        TEST(unclean_election_switched_on_for_a_topic_or_for_all_elects_at_once),
        TEST(a_topic_that_forbids_unclean_election_is_not_elected_by_the_default),
    };
    return run_tests_with_fixture("controller rules", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
