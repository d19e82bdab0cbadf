/* Reassignments by the controller on a tree in memory: what is written and sent, in which order, and what is refused.
 * Node contents are those Apache Kafka leaves (recordings/znodes 28, 31, 32). */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/trace.h"
#include "broker/protocol/errors.h"
#include "coordinator-client/znode_codec.h"
#include "coordinator-client/znode_path.h"
#include "tests/lib/controller_calls.h"
#include "tests/lib/controller_world.h"
#include "tests/lib/runner.h"
#include "tests/lib/transcript.h"

#define TOPIC_NODE "/brokers/topics/t"
#define TOPIC(partitions, adding, removing)                                                                            \
    "{\"partitions\":{" partitions "},\"topic_id\":\"" TEST_TOPIC_ID "\",\"adding_replicas\":{" adding "},"            \
    "\"removing_replicas\":{" removing "},\"version\":3}"
#define STATE(leader, epoch, isr)                                                                                      \
    "{\"controller_epoch\":1,\"leader\":" #leader ",\"version\":1,\"leader_epoch\":" #epoch ",\"isr\":[" isr "]}"
#define STATE_NODE(p) "/brokers/topics/t/partitions/" #p "/state"

static struct world *world;
static struct controller_config config;

static void set_up(void) {
    config = (struct controller_config){.inter_broker_listener = "PLAINTEXT", .delete_topic_enable = true};
    trace_set_level(TRACE_FATAL);
    world = world_create(4);
    world_start(world, 1, &config);
}

static void tear_down(void) {
    world_destroy(world);
}

static void create(const char *node) {
    world_put_topic(world, node);
    world_clear_trace(world);
}

static void assert_text(const char *path, const char *expected) {
    const char *text = world_text(world, path);
    ck_assert_msg(text != NULL, "no %s", path);
    ck_assert_str_eq(text, expected);
}

static int16_t move(int32_t partition, int32_t a, int32_t b) {
    struct move wish = {.partition = partition, .replicas = {a, b}, .replica_count = b > 0 ? 2 : 1};
    int16_t error = controller_call_reassign(world, 1, &wish, 1);
    world_settle(world);
    return error;
}

static int16_t cancel(int32_t partition) {
    struct move wish = {.partition = partition, .replica_count = -1};
    int16_t error = controller_call_reassign(world, 1, &wish, 1);
    world_settle(world);
    return error;
}

/* The leader says so. */
static void set_in_sync(int32_t controller_id, int32_t partition, const int32_t *isr, int32_t count) {
    char path[ZNODE_PATH_SIZE];
    struct znode_partition_state state;
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    const struct world_node *node = world_find(world, znode_partition_state_path(path, STR_LITERAL("t"), partition));
    ck_assert_int_eq(znode_decode_partition_state(&arena, (struct slice){node->data, node->size}, &state), 0);
    struct alter_wish wish = {.broker_id = state.leader,
                              .version = 3,
                              .partition = partition,
                              .leader_epoch = state.leader_epoch,
                              .partition_epoch = node->version,
                              .isr_count = count};
    memcpy(wish.isr, isr, (size_t)count * sizeof *isr);
    ck_assert_int_eq(controller_call_alter(world, controller_id, &wish).partition.error_code, KAFKA_NONE);
    arena_deinit(&arena);
    world_settle(world);
}
#define IN_SYNC(partition, ...)                                                                                        \
    set_in_sync(1, partition, (const int32_t[]){__VA_ARGS__}, (int32_t)(sizeof((int32_t[]){__VA_ARGS__}) / 4))

/* ---- the ordinary course ---- */

/* The topic's node, and the state of its first partition. */
static void assert_nodes(const char *topic, const char *state) {
    assert_text(TOPIC_NODE, topic);
    assert_text(STATE_NODE(0), state);
}

START_TEST(a_partition_moves_and_nothing_is_dropped_before_the_target_is_in_sync) {
    create(TOPIC("\"0\":[1,2]", "", ""));
    world->writes_are_traced = true;
    world_note(world, "1 leads t-0 with 2 in sync. It is to move to 2 and 3.");
    ck_assert_int_eq(move(0, 2, 3), KAFKA_NONE);
    assert_nodes(TOPIC("\"0\":[2,3,1]", "\"0\":[3]", "\"0\":[1]"), STATE(1, 1, "1,2"));
    ck_assert_str_eq(controller_call_list(world, 1, -1), "t-0 2,3,1 adding 3 removing 1\n");
    ck_assert_str_eq(controller_call_list(world, 1, 0), "t-0 2,3,1 adding 3 removing 1\n");
    ck_assert_str_eq(controller_call_list(world, 1, 1), "");
    world_note(world, "3 is in sync: now, and not before, 2 takes over and 1 goes.");
    IN_SYNC(0, 1, 2, 3);
    assert_nodes(TOPIC("\"0\":[2,3]", "", ""), STATE(2, 3, "2,3"));
    ck_assert_str_eq(controller_call_list(world, 1, -1), "");
    ck_assert_int_eq(world_find(world, TOPIC_NODE)->version, 2);
    ck_assert_int_eq(world_find(world, STATE_NODE(0))->version, 4);
    transcript_compare(world->trace, "tests/trace/reassignment.txt");
}
END_TEST

START_TEST(a_leader_that_stays_keeps_leading_under_a_new_epoch) {
    create(TOPIC("\"0\":[1,2]", "", ""));
    ck_assert_int_eq(move(0, 1, 3), KAFKA_NONE);
    IN_SYNC(0, 1, 2, 3);
    assert_nodes(TOPIC("\"0\":[1,3]", "", ""), STATE(1, 3, "1,3"));
}
END_TEST

START_TEST(a_replication_factor_grows_and_shrinks) {
    create(TOPIC("\"0\":[1]", "", ""));
    ck_assert_int_eq(move(0, 1, 2), KAFKA_NONE);
    assert_text(TOPIC_NODE, TOPIC("\"0\":[1,2]", "\"0\":[2]", ""));
    IN_SYNC(0, 1, 2);
    assert_text(TOPIC_NODE, TOPIC("\"0\":[1,2]", "", ""));
    ck_assert_int_eq(move(0, 2, 0), KAFKA_NONE);
    assert_nodes(TOPIC("\"0\":[2]", "", ""), STATE(2, 4, "2"));
    ck_assert_ptr_nonnull(strstr(world->trace, "1>1 SR t-0 epoch=4 delete"));
}
END_TEST

START_TEST(a_mere_change_of_order_moves_nothing_but_the_preferred_leader) {
    create(TOPIC("\"0\":[1,2]", "", ""));
    ck_assert_int_eq(move(0, 2, 1), KAFKA_NONE);
    assert_nodes(TOPIC("\"0\":[2,1]", "", ""), STATE(1, 1, "1,2"));
    ck_assert_ptr_null(strstr(world->trace, " SR "));
}
END_TEST

START_TEST(what_is_wanted_already_writes_nothing) {
    create(TOPIC("\"0\":[1,2]", "", ""));
    int32_t writes = world->writes;
    ck_assert_int_eq(move(0, 1, 2), KAFKA_NONE);
    ck_assert_int_eq(world->writes, writes);
    ck_assert_int_eq(move(0, 3, 4), KAFKA_NONE);
    writes = world->writes;
    ck_assert_int_eq(move(0, 3, 4), KAFKA_NONE);
    ck_assert_int_eq(world->writes, writes);
}
END_TEST

START_TEST(many_partitions_of_one_topic_move_with_one_write_of_its_node) {
    create(TOPIC("\"0\":[1,2],\"1\":[2,1],\"2\":[1,2],\"3\":[2,1]", "", ""));
    struct move wishes[] = {
        {.partition = 0, .replicas = {3, 4}, .replica_count = 2},
        {.partition = 2, .replicas = {4, 3}, .replica_count = 2},
        {.partition = 3, .replicas = {4, 4}, .replica_count = 2},
        {.partition = 0, .replicas = {4, 2}, .replica_count = 2},
    };
    ck_assert_int_eq(controller_call_reassign(world, 1, wishes, 4), KAFKA_NONE);
    world_settle(world);
    assert_text(TOPIC_NODE, TOPIC("\"0\":[4,2,1],\"1\":[2,1],\"2\":[4,3,1,2],\"3\":[2,1]", "\"0\":[4],\"2\":[4,3]",
                                  "\"0\":[1],\"2\":[1,2]"));
    ck_assert_int_eq(world_find(world, TOPIC_NODE)->version, 1);
}
END_TEST

/* ---- cancelling and overriding ---- */

START_TEST(a_cancel_returns_to_the_old_set) {
    create(TOPIC("\"0\":[1,2]", "", ""));
    world->writes_are_traced = true;
    world_note(world, "t-0 on 1 and 2 is to move to 3 and 4; 3 is in sync when it is cancelled.");
    ck_assert_int_eq(move(0, 3, 4), KAFKA_NONE);
    IN_SYNC(0, 1, 2, 3);
    ck_assert_int_eq(cancel(0), KAFKA_NONE);
    assert_nodes(TOPIC("\"0\":[1,2]", "", ""), STATE(1, 3, "1,2"));
    ck_assert_str_eq(controller_call_list(world, 1, -1), "");
    ck_assert_int_eq(cancel(0), KAFKA_NO_REASSIGNMENT_IN_PROGRESS);
    ck_assert_str_eq(controller_call_message(), "No partition reassignment is in progress.");
    transcript_compare(world->trace, "tests/trace/reassignment-cancelled.txt");
}
END_TEST

START_TEST(a_newcomer_that_leads_hands_over_before_a_cancel_removes_it) {
    create(TOPIC("\"0\":[1,2]", "", ""));
    ck_assert_int_eq(move(0, 3, 4), KAFKA_NONE);
    IN_SYNC(0, 1, 2, 3);
    world_remove(world, "/brokers/ids/1");
    world_remove(world, "/controller");
    world_start(world, 2, &config);
    world_settle(world);
    assert_text(STATE_NODE(0), "{\"controller_epoch\":2,\"leader\":3,\"version\":1,\"leader_epoch\":4,\"isr\":[2,3]}");
    world_clear_trace(world);
    struct move wish = {.partition = 0, .replica_count = -1};
    ck_assert_int_eq(controller_call_reassign(world, 2, &wish, 1), KAFKA_NONE);
    const char *elected = strstr(world->trace, "LISR t-0 leader=2 epoch=5"), *stopped = strstr(world->trace, "2>3 SR");
    ck_assert(elected != NULL && stopped != NULL && elected < stopped);
    assert_text(TOPIC_NODE, TOPIC("\"0\":[1,2]", "", ""));
    ck_assert_ptr_null(strstr(world->trace, "leader=-1"));
}
END_TEST

/* Kafka lets the only replica in sync go, and the acknowledged records with it. */
START_TEST(a_cancel_that_would_lose_what_was_acknowledged_is_refused) {
    create(TOPIC("\"0\":[2]", "", ""));
    ck_assert_int_eq(move(0, 3, 4), KAFKA_NONE);
    IN_SYNC(0, 2, 3);
    world_remove(world, "/brokers/ids/2");
    world_settle(world);
    ck_assert_int_eq(cancel(0), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    ck_assert_str_eq(controller_call_message(), "The replicas that would stay for t-0 are not in sync or not alive; "
                                                "acknowledged records would be lost.");
    ck_assert_int_eq(move(0, 4, 0), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    assert_text(TOPIC_NODE, TOPIC("\"0\":[3,4,2]", "\"0\":[3,4]", "\"0\":[2]"));
    ck_assert_int_eq(move(0, 3, 0), KAFKA_NONE);
    assert_text(TOPIC_NODE, TOPIC("\"0\":[3]", "", ""));
}
END_TEST

START_TEST(a_second_reassignment_drops_what_only_the_first_wanted) {
    create(TOPIC("\"0\":[1,2]", "", ""));
    world->writes_are_traced = true;
    world_note(world, "t-0 on 1 and 2 is to move to 3 and 4, and then rather to 2 and 4.");
    ck_assert_int_eq(move(0, 3, 4), KAFKA_NONE);
    ck_assert_int_eq(move(0, 2, 4), KAFKA_NONE);
    assert_text(TOPIC_NODE, TOPIC("\"0\":[2,4,1]", "\"0\":[4]", "\"0\":[1]"));
    IN_SYNC(0, 1, 2, 4);
    assert_text(TOPIC_NODE, TOPIC("\"0\":[2,4]", "", ""));
    transcript_compare(world->trace, "tests/trace/reassignment-overtaken.txt");
}
END_TEST

/* ---- what else may happen ---- */

START_TEST(the_next_controller_goes_on_and_a_returning_target_is_told_again) {
    create(TOPIC("\"0\":[1,2]", "", ""));
    world->writes_are_traced = true;
    world_note(world, "t-0 on 1 and 2 is to move to 3 and 4, when 4 dies, and then 1, which is the controller.");
    ck_assert_int_eq(move(0, 3, 4), KAFKA_NONE);
    world_remove(world, "/brokers/ids/4");
    world_settle(world);
    world_remove(world, "/brokers/ids/1");
    world_remove(world, "/controller");
    controller_destroy(world->controllers[1]);
    world->controllers[1] = NULL;
    world_start(world, 2, &config);
    world_settle(world);
    ck_assert_str_eq(controller_call_list(world, 2, -1), "t-0 3,4,1,2 adding 3,4 removing 1,2\n");
    world_note(world, "4 is back.");
    world_register(world, 4);
    world_settle(world);
    world_note(world, "The target is in sync.");
    set_in_sync(2, 0, (const int32_t[]){2, 3, 4}, 3);
    assert_text(TOPIC_NODE, TOPIC("\"0\":[3,4]", "", ""));
    transcript_compare(world->trace, "tests/trace/reassignment-failover.txt");
}
END_TEST

START_TEST(while_none_of_the_target_lives_nobody_leaves) {
    create(TOPIC("\"0\":[1,2]", "", ""));
    ck_assert_int_eq(move(0, 3, 0), KAFKA_NONE);
    /* 3 alone is in sync, and dies. */
    world_put(world, STATE_NODE(0), STATE(3, 5, "3"));
    world_remove(world, "/brokers/ids/3");
    world_remove(world, "/controller");
    world_start(world, 2, &config);
    world_settle(world);
    assert_text(TOPIC_NODE, TOPIC("\"0\":[3,1,2]", "\"0\":[3]", "\"0\":[1,2]"));
    world_register(world, 3);
    world_settle(world);
    assert_text(TOPIC_NODE, TOPIC("\"0\":[3]", "", ""));
}
END_TEST

/* Kafka lets the deletion wait for the move, and the move for followers that are told the topic has no leader. */
START_TEST(a_topic_that_is_moving_is_deleted_with_all_its_replicas) {
    create(TOPIC("\"0\":[1,2]", "", ""));
    world_put(world, ZNODE_REASSIGN_PARTITIONS,
              "{\"version\":1,\"partitions\":[{\"topic\":\"t\",\"partition\":0,\"replicas\":[1,3]}]}");
    world_settle(world);
    world->delete_error_broker = 3;
    world_clear_trace(world);
    world_put(world, "/admin/delete_topics/t", NULL);
    world_settle(world);
    ck_assert_ptr_nonnull(strstr(world->trace, "1>2 SR t-0 epoch=-2 delete"));
    ck_assert_ptr_nonnull(strstr(world->trace, "1>3 SR t-0 epoch=-2 delete"));
    ck_assert_ptr_null(world_find(world, ZNODE_REASSIGN_PARTITIONS));
    ck_assert_int_eq(move(0, 1, 4), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(cancel(0), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    /* The replica that could not be deleted keeps the topic's nodes until its broker has been away and is back; nothing
     * moves in between. */
    ck_assert_ptr_nonnull(world_find(world, TOPIC_NODE));
    world->delete_error_broker = 0;
    world_remove(world, "/brokers/ids/3");
    world_settle(world);
    world_register(world, 3);
    world_settle(world);
    ck_assert_ptr_null(world_find(world, TOPIC_NODE));
    ck_assert_ptr_null(world_find(world, "/admin/delete_topics/t"));
}
END_TEST

/* Kafka's controller writes the partitions it knows, and the new ones are gone. */
START_TEST(partitions_added_meanwhile_by_somebody_else_stay) {
    create(TOPIC("\"0\":[1,2]", "", ""));
    world_put(world, TOPIC_NODE, TOPIC("\"0\":[1,2],\"1\":[4]", "", ""));
    struct move wish = {.partition = 0, .replicas = {1, 3}, .replica_count = 2};
    ck_assert_int_eq(controller_call_reassign(world, 1, &wish, 1), KAFKA_NONE);
    assert_text(TOPIC_NODE, TOPIC("\"0\":[1,3,2],\"1\":[4]", "\"0\":[3]", "\"0\":[2]"));
    world_settle(world);
    assert_text(STATE_NODE(1), STATE(4, 0, "4"));
}
END_TEST

START_TEST(a_topic_node_somebody_changed_in_between_is_read_again) {
    create(TOPIC("\"0\":[1,2]", "", ""));
    world->stolen_write = world->writes;
    ck_assert_int_eq(move(0, 1, 3), KAFKA_NONE);
    assert_text(TOPIC_NODE, TOPIC("\"0\":[1,3,2]", "\"0\":[3]", "\"0\":[2]"));
}
END_TEST

/* ---- the legacy node ---- */

START_TEST(the_legacy_node_is_worked_off_and_goes) {
    create(TOPIC("\"0\":[1,2],\"1\":[2,1]", "", ""));
    world_put(world, ZNODE_REASSIGN_PARTITIONS,
              "{\"version\":1,\"partitions\":[{\"topic\":\"t\",\"partition\":0,\"replicas\":[1,3]},"
              "{\"topic\":\"t\",\"partition\":1,\"replicas\":[2,3]},"
              "{\"topic\":\"t\",\"partition\":7,\"replicas\":[2,3]},"
              "{\"topic\":\"nobody\",\"partition\":0,\"replicas\":[2,3]},"
              "{\"topic\":\"t\",\"partition\":1,\"replicas\":[2,3]}]}");
    world_settle(world);
    assert_text(TOPIC_NODE, TOPIC("\"0\":[1,3,2],\"1\":[2,3,1]", "\"0\":[3],\"1\":[3]", "\"0\":[2],\"1\":[1]"));
    IN_SYNC(0, 1, 2, 3);
    assert_text(ZNODE_REASSIGN_PARTITIONS,
                "{\"version\":1,\"partitions\":[{\"topic\":\"t\",\"partition\":1,"
                "\"replicas\":[2,3]},{\"topic\":\"t\",\"partition\":1,\"replicas\":[2,3]}]}");
    ck_assert_int_eq(cancel(1), KAFKA_NONE);
    ck_assert_ptr_null(world_find(world, ZNODE_REASSIGN_PARTITIONS));
    assert_text(TOPIC_NODE, TOPIC("\"0\":[1,3],\"1\":[2,1]", "", ""));
    world_put(world, ZNODE_REASSIGN_PARTITIONS,
              "{\"version\":1,\"partitions\":[{\"topic\":\"t\",\"partition\":0,\"replicas\":[]}]}");
    world_settle(world);
    ck_assert_ptr_null(world_find(world, ZNODE_REASSIGN_PARTITIONS));
}
END_TEST

START_TEST(a_new_controller_takes_up_the_legacy_node) {
    create(TOPIC("\"0\":[1,2]", "", ""));
    world_put(world, ZNODE_REASSIGN_PARTITIONS,
              "{\"version\":1,\"partitions\":[{\"topic\":\"t\",\"partition\":0,\"replicas\":[1,3]}]}");
    world_remove(world, "/controller");
    controller_destroy(world->controllers[1]);
    world->controllers[1] = NULL;
    world_start(world, 2, &config);
    assert_text(TOPIC_NODE, TOPIC("\"0\":[1,3,2]", "\"0\":[3]", "\"0\":[2]"));
}
END_TEST

/* ---- refusals ---- */

static void assert_refused(struct move wish, int16_t error, const char *message) {
    int32_t writes = world->writes;
    ck_assert_int_eq(controller_call_reassign(world, 1, &wish, 1), error);
    ck_assert_str_eq(controller_call_message(), message);
    ck_assert_int_eq(world->writes, writes);
}

START_TEST(wishes_are_refused_in_kafkas_words) {
    create(TOPIC("\"0\":[1,2]", "", ""));
    assert_refused((struct move){.replica_count = 0}, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                   "Empty replica list specified in partition reassignment.");
    assert_refused((struct move){.replicas = {-1, -1}, .replica_count = 2}, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                   "Duplicate replica ids in partition reassignment replica list: ArrayBuffer(-1, -1)");
    assert_refused((struct move){.replicas = {1, -2}, .replica_count = 2}, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                   "Invalid broker id in replica list: ArrayBuffer(1, -2)");
    assert_refused(
        (struct move){.replicas = {1, 99}, .replica_count = 2}, KAFKA_INVALID_REPLICA_ASSIGNMENT,
        "Replica assignment has brokers that are not alive. Replica list: ArrayBuffer(99), live broker list: "
        "Set(1, 2, 3, 4)");
    assert_refused((struct move){.partition = 77, .replicas = {1}, .replica_count = 1},
                   KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "The partition does not exist.");
    assert_refused((struct move){.replica_count = -1}, KAFKA_NO_REASSIGNMENT_IN_PROGRESS,
                   "No partition reassignment is in progress.");
    assert_refused((struct move){.partition = 77, .replica_count = -1}, KAFKA_NO_REASSIGNMENT_IN_PROGRESS,
                   "No partition reassignment is in progress.");
    world_start(world, 2, &config);
    ck_assert_int_eq(controller_call_reassign(world, 2, &(struct move){.replicas = {1}, .replica_count = 1}, 1),
                     KAFKA_NOT_CONTROLLER);
}
END_TEST

/* A dead replica that is there already may stay; it is only newcomers that must live. */
START_TEST(a_dead_replica_may_stay_but_not_come) {
    create(TOPIC("\"0\":[1,2]", "", ""));
    world_remove(world, "/brokers/ids/2");
    world_settle(world);
    ck_assert_int_eq(move(0, 2, 3), KAFKA_NONE);
    assert_text(TOPIC_NODE, TOPIC("\"0\":[2,3,1]", "\"0\":[3]", "\"0\":[1]"));
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_partition_moves_and_nothing_is_dropped_before_the_target_is_in_sync),
        TEST(a_leader_that_stays_keeps_leading_under_a_new_epoch),
        TEST(a_replication_factor_grows_and_shrinks),
        TEST(a_mere_change_of_order_moves_nothing_but_the_preferred_leader),
        TEST(what_is_wanted_already_writes_nothing),
        TEST(many_partitions_of_one_topic_move_with_one_write_of_its_node),
        TEST(a_cancel_returns_to_the_old_set),
        TEST(a_newcomer_that_leads_hands_over_before_a_cancel_removes_it),
        TEST(a_cancel_that_would_lose_what_was_acknowledged_is_refused),
        TEST(a_second_reassignment_drops_what_only_the_first_wanted),
        TEST(the_next_controller_goes_on_and_a_returning_target_is_told_again),
        TEST(while_none_of_the_target_lives_nobody_leaves),
        TEST(a_topic_that_is_moving_is_deleted_with_all_its_replicas),
        TEST(partitions_added_meanwhile_by_somebody_else_stay),
        TEST(a_topic_node_somebody_changed_in_between_is_read_again),
        TEST(the_legacy_node_is_worked_off_and_goes),
        TEST(a_new_controller_takes_up_the_legacy_node),
        TEST(wishes_are_refused_in_kafkas_words),
        TEST(a_dead_replica_may_stay_but_not_come),
    };
    return run_tests_with_fixture("reassignments", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
