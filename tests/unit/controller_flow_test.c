/* The controller's flows on a tree in memory: what is written, what is sent in which order, and what remains when the
 * controller dies before any of its writes. Trees are those Apache Kafka leaves (recordings/znodes). */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/protocol/errors.h"
#include "coordinator-client/znode_codec.h"
#include "coordinator-client/znode_path.h"
#include "generated/protocol/alter_partition.h"
#include "tests/lib/controller_world.h"
#include "tests/lib/runner.h"

#define TOPIC                                                                                                          \
    "{\"partitions\":{\"0\":[1,2,3],\"1\":[2,3,1],\"2\":[3,1,2]},\"topic_id\":\"Qs-O1kFsRRm0ud19RMuSyQ\","             \
    "\"adding_replicas\":{},\"removing_replicas\":{},\"version\":3}"
#define STATE(p) "/brokers/topics/t/partitions/" #p "/state"

static struct world *world;
static struct controller_config config;

static void set_up(void) {
    config = (struct controller_config){.inter_broker_listener = "PLAINTEXT", .delete_topic_enable = true};
    world = xcalloc(1, sizeof *world);
    world_init(world);
    for (int32_t id = 1; id <= 3; id++) {
        world_register(world, id);
    }
}

static void tear_down(void) {
    world_deinit(world);
    free(world);
}

static void create_topic(void) {
    world_put(world, "/config/topics/t", "{\"version\":1,\"config\":{}}");
    world_put(world, "/brokers/topics/t", TOPIC);
    world_settle(world);
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

START_TEST(a_claim_whose_answer_was_lost_is_recognised_as_won) {
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

START_TEST(an_expired_session_ends_it_at_once_and_a_stop_removes_the_node) {
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
    world_register(world, 3);
    world_settle(world);
    ck_assert_ptr_null(world_find(world, "/brokers/topics/t"));
    ck_assert_ptr_null(world_find(world, "/admin/delete_topics/t"));
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

START_TEST(a_state_somebody_else_changed_is_read_again_before_it_is_written) {
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
    struct arena arena;
    struct controlled_shutdown_partition *list = NULL;
    int32_t count = -1, call = 0;
    arena_init(&arena, SIZE_MAX);
    struct controller_event event = {.type = CONTROLLER_EVENT_CONTROLLED_SHUTDOWN,
                                     .path = STR_NULL,
                                     .call = &call,
                                     .arena = &arena,
                                     .broker_id = 3,
                                     .broker_epoch = -1,
                                     .ret_list = &list,
                                     .ret_count = &count};
    world_step(world, 1, &event);
    ck_assert_int_eq(world->calls_answered, 1);
    ck_assert_int_eq(world->call_error, KAFKA_NONE);
    ck_assert_int_eq(count, 0);
    assert_text(STATE(2), "{\"controller_epoch\":1,\"leader\":1,\"version\":1,\"leader_epoch\":1,\"isr\":[1,2]}");
    assert_text(STATE(0), "{\"controller_epoch\":1,\"leader\":1,\"version\":1,\"leader_epoch\":1,\"isr\":[1,2]}");
    arena_deinit(&arena);
}
END_TEST

/* ---- AlterPartition ---- */

static struct alter_partition_response_partition_data alter(int32_t leader_epoch, int32_t partition_epoch, int32_t *isr,
                                                            int32_t isr_count, int16_t *ret_error) {
    static struct arena arena;
    static int32_t call;
    struct alter_partition_request request;
    struct alter_partition_response response;
    struct alter_partition_request_topic_data topic;
    struct alter_partition_request_partition_data partition;
    arena_deinit(&arena);
    arena_init(&arena, SIZE_MAX);
    alter_partition_request_init(&request);
    alter_partition_request_topic_data_init(&topic);
    alter_partition_request_partition_data_init(&partition);
    partition.leader_epoch = leader_epoch;
    partition.partition_epoch = partition_epoch;
    partition.new_isr = isr;
    partition.new_isr_count = isr_count;
    uuid_parse(STR_LITERAL("Qs-O1kFsRRm0ud19RMuSyQ"), &topic.topic_id);
    topic.partitions = &partition;
    topic.partitions_count = 1;
    request.broker_id = 1;
    request.broker_epoch = world_find(world, "/brokers/ids/1")->czxid;
    request.topics = &topic;
    request.topics_count = 1;
    struct controller_event event = {.type = CONTROLLER_EVENT_ALTER_PARTITION,
                                     .path = STR_NULL,
                                     .call = &call,
                                     .arena = &arena,
                                     .version = 2,
                                     .alter_partition = &request,
                                     .ret_alter_partition = &response};
    world_step(world, 1, &event);
    *ret_error = world->call_error;
    return response.topics[0].partitions[0];
}

START_TEST(alter_partition_checks_in_kafkas_order_and_refuses_an_empty_set) {
    int16_t error;
    int32_t two[] = {1, 2}, stranger[] = {1, 9}, headless[] = {2, 3}, twice[] = {1, 1};
    world_start(world, 1, &config);
    create_topic();
    ck_assert_int_eq(alter(1, 0, two, 2, &error).error_code, KAFKA_NOT_CONTROLLER);
    ck_assert_int_eq(alter(0, 1, two, 2, &error).error_code, KAFKA_NOT_CONTROLLER);
    ck_assert_int_eq(alter(-1, 0, two, 2, &error).error_code, KAFKA_FENCED_LEADER_EPOCH);
    ck_assert_int_eq(alter(0, 0, two, 0, &error).error_code, KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(alter(0, 0, headless, 2, &error).error_code, KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(alter(0, 0, twice, 2, &error).error_code, KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(alter(0, 0, stranger, 2, &error).error_code, KAFKA_INELIGIBLE_REPLICA);
    ck_assert_int_eq(world_find(world, STATE(0))->version, 0);

    world_clear_trace(world);
    struct alter_partition_response_partition_data done = alter(0, 0, two, 2, &error);
    ck_assert_int_eq(done.error_code, KAFKA_NONE);
    ck_assert_int_eq(done.partition_epoch, 1);
    ck_assert_int_eq(done.isr_count, 2);
    assert_text(STATE(0), "{\"controller_epoch\":1,\"leader\":1,\"version\":1,\"leader_epoch\":0,\"isr\":[1,2]}");
    ck_assert_ptr_null(strstr(world->trace, "LISR")); /* metadata only, no epoch bump */
    ck_assert_ptr_nonnull(strstr(world->trace, "1>3 UMR brokers=1,2,3 t-0:1\n"));

    ck_assert_int_eq(alter(0, 0, two, 2, &error).error_code, KAFKA_NONE); /* a retry of the same */
    ck_assert_int_eq(world_find(world, STATE(0))->version, 1);
    ck_assert_int_eq(alter(0, 0, two, 1, &error).error_code, KAFKA_INVALID_UPDATE_VERSION);
}
END_TEST

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

/* ---- dying before any write ---- */

static void flow_create(void) {
    create_topic();
}
static void flow_delete(void) {
    world_put(world, "/admin/delete_topics/t", NULL);
    world_settle(world);
}
static void flow_broker_dies(void) {
    remove_broker(3);
    world_settle(world);
}
static void flow_broker_returns(void) {
    world_register(world, 3);
    world_settle(world);
}

/* Paths, and of partition states leader and in-sync set: what must not depend on who was controller when. */
static void summarize(char *text, size_t size) {
    char lines[WORLD_NODES_MAX][256];
    size_t used = 0;
    for (int32_t i = 0; i < world->node_count; i++) {
        const struct world_node *node = &world->nodes[i];
        struct znode_partition_state state;
        struct arena arena;
        arena_init(&arena, SIZE_MAX);
        int at = snprintf(lines[i], sizeof lines[i], "%s", node->path);
        if (strstr(node->path, "/state") != NULL) {
            ck_assert_int_eq(znode_decode_partition_state(&arena, (struct slice){node->data, node->size}, &state), 0);
            at += snprintf(lines[i] + at, sizeof lines[i] - (size_t)at, " leader=%d isr=", state.leader);
            for (int32_t j = 0; j < state.isr_count; j++) {
                at += snprintf(lines[i] + at, sizeof lines[i] - (size_t)at, "%d,", state.isr[j]);
            }
        }
        arena_deinit(&arena);
    }
    qsort(lines, (size_t)world->node_count, sizeof lines[0], (int (*)(const void *, const void *))strcmp);
    for (int32_t i = 0; i < world->node_count; i++) {
        used += (size_t)snprintf(text + used, size - used, "%s\n", lines[i]);
    }
}

static void sweep(void (*before[])(void), int32_t before_count, void (*flow)(void)) {
    static char expected[32768], found[32768];
    int32_t crash = -1, crashes = 0;
    for (;;) {
        tear_down();
        set_up();
        world_start(world, 1, &config);
        for (int32_t i = 0; i < before_count; i++) {
            before[i]();
        }
        world->writes_max = crash < 0 ? -1 : world->writes + crash;
        flow();
        if (crash < 0) {
            summarize(expected, sizeof expected);
            crash = 0;
            continue;
        }
        if (world->controllers[1] != NULL) {
            break; /* fewer writes than that */
        }
        crashes++;
        world->writes_max = -1;
        world_remove(world, "/controller");
        world_start(world, 2, &config);
        world_settle(world);
        summarize(found, sizeof found);
        ck_assert_msg(strcmp(found, expected) == 0, "died before write %d:\n%s\ninstead of\n%s", crash, found,
                      expected);
        crash++;
    }
    ck_assert_int_gt(crashes, 2);
}

START_TEST(a_crash_before_any_write_of_a_creation_is_repaired_by_the_next_controller) {
    sweep(NULL, 0, flow_create);
}
END_TEST

START_TEST(a_crash_before_any_write_of_a_deletion_is_repaired_by_the_next_controller) {
    void (*before[])(void) = {flow_create};
    sweep(before, 1, flow_delete);
}
END_TEST

START_TEST(a_crash_before_any_write_of_a_broker_failure_is_repaired_by_the_next_controller) {
    void (*before[])(void) = {flow_create};
    sweep(before, 1, flow_broker_dies);
}
END_TEST

START_TEST(a_crash_while_a_deletion_ends_with_a_returning_broker_is_repaired_by_the_next_controller) {
    void (*before[])(void) = {flow_create, flow_broker_dies, flow_delete};
    sweep(before, 3, flow_broker_returns);
}
END_TEST

START_TEST(every_reply_may_get_lost_and_the_tree_is_the_same) {
    static char expected[32768], found[32768];
    world_start(world, 1, &config);
    flow_create();
    flow_broker_dies();
    summarize(expected, sizeof expected);
    tear_down();
    set_up();
    world->loses_replies = true;
    world_start(world, 1, &config);
    flow_create();
    world->loses_replies = false;
    flow_broker_dies();
    summarize(found, sizeof found);
    ck_assert_str_eq(found, expected);
}
END_TEST

int main(void) {
    const struct test tests[] = {
        TEST(the_first_controller_has_epoch_one_and_kafkas_nodes),
        TEST(whoever_comes_second_waits_and_takes_over_when_the_node_goes),
        TEST(a_claim_whose_answer_was_lost_is_recognised_as_won),
        TEST(a_deposed_controller_stops_at_its_first_write),
        TEST(an_expired_session_ends_it_at_once_and_a_stop_removes_the_node),
        TEST(a_new_topic_gets_kafkas_nodes_and_its_replicas_hear_of_it),
        TEST(a_topic_without_an_id_is_given_one),
        TEST(a_deleted_topic_leaves_nothing_behind),
        TEST(a_deletion_waits_for_a_dead_replica_and_ends_when_it_is_back),
        TEST(more_partitions_are_created_and_the_old_ones_left_alone),
        TEST(a_dead_broker_costs_each_partition_one_epoch),
        TEST(the_last_in_sync_replica_stays_in_the_set),
        TEST(a_bounced_broker_is_a_failure_and_a_startup),
        TEST(a_state_somebody_else_changed_is_read_again_before_it_is_written),
        TEST(a_replica_on_a_failed_directory_leaves_the_set),
        TEST(a_controlled_shutdown_moves_every_leader_and_answers_what_is_left),
        TEST(alter_partition_checks_in_kafkas_order_and_refuses_an_empty_set),
        TEST(producer_ids_never_repeat_even_when_answers_get_lost),
        TEST(a_crash_before_any_write_of_a_creation_is_repaired_by_the_next_controller),
        TEST(a_crash_before_any_write_of_a_deletion_is_repaired_by_the_next_controller),
        TEST(a_crash_before_any_write_of_a_broker_failure_is_repaired_by_the_next_controller),
        TEST(a_crash_while_a_deletion_ends_with_a_returning_broker_is_repaired_by_the_next_controller),
        TEST(every_reply_may_get_lost_and_the_tree_is_the_same),
    };
    return run_tests_with_fixture("controller flows", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
