/* Every flow of the controller, cut off before each of its writes: the next controller takes the cluster to where the
 * flow would have taken it. And every flow with the answer to each of its writes lost. */
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

#define EVENT_NODE "/log_dir_event_notification/log_dir_event_0000000000"

static struct world *world;
static struct controller_config config;
static int32_t active; /* the controller whose turn it is */

static void world_new(void) {
    config = TEST_CONTROLLER_CONFIG;
    trace_set_level(TRACE_FATAL);
    world = world_create(3);
    active = 1;
    world_start(world, 1, &config);
}

static void world_end(void) {
    world_destroy(world);
}

/* ---- what happens ---- */

static void remove_broker(int32_t id) {
    char path[ZNODE_PATH_SIZE];
    if (world_find(world, znode_broker_path(path, id)) != NULL) {
        world_remove(world, path);
    }
}

static void create(void) {
    world_put_topic(world, TEST_TOPIC(TEST_THREE_PARTITIONS));
}

static void create_unclean(void) {
    world_put(world, "/config/topics/t", "{\"version\":1,\"config\":{\"unclean.leader.election.enable\":\"true\"}}");
    world_put(world, "/brokers/topics/t", TEST_TOPIC("\"0\":[3,2],\"1\":[2,3]"));
    world_settle(world);
}

static void create_on_2_and_3(void) {
    world_put_topic(world, TEST_TOPIC("\"0\":[3,2],\"1\":[2,3]"));
}

static void ask_deletion(void) {
    world_put(world, "/admin/delete_topics/t", NULL);
    world_settle(world);
}

static void extend(void) {
    world_put(world, "/brokers/topics/t", TEST_TOPIC(TEST_THREE_PARTITIONS ",\"3\":[1,3],\"4\":[2,1]"));
    world_settle(world);
}

static void kill_2(void) {
    remove_broker(2);
    world_settle(world);
}

static void kill_3(void) {
    remove_broker(3);
    world_settle(world);
}

static void kill_both(void) {
    remove_broker(2);
    remove_broker(3);
    world_settle(world);
}

static void return_2(void) {
    world_register(world, 2);
    world_settle(world);
}

static void return_3(void) {
    world_register(world, 3);
    world_settle(world);
}

/* Gone and back before anybody looked. */
static void bounce_3(void) {
    remove_broker(3);
    world_register(world, 3);
    world_settle(world);
}

/* Calls are repeated by their callers at whoever is controller then. */
static void shut_down_3(void) {
    controller_call_shutdown(world, active, 3, -1);
    world_settle(world);
}

static void elect_preferred(void) {
    controller_call_elect_all(world, active, false);
    world_settle(world);
}

static void elect_preferred_by_node(void) {
    world_put(world, "/admin/preferred_replica_election",
              "{\"version\":1,\"partitions\":[{\"topic\":\"t\",\"partition\":1},{\"topic\":\"t\",\"partition\":2}]}");
    world_settle(world);
}

static void rebalance(void) {
    struct controller_event event = {.type = CONTROLLER_EVENT_REBALANCE, .path = STR_NULL};
    world_step(world, active, &event);
    world_settle(world);
}

/* The returned replicas join again, as their leaders ask. */
static void rejoin(void) {
    for (int32_t i = 0; i < 3; i++) {
        char path[ZNODE_PATH_SIZE];
        struct znode_partition_state state;
        struct arena arena;
        arena_init(&arena, SIZE_MAX);
        const struct world_node *node = world_find(world, znode_partition_state_path(path, STR_LITERAL("t"), i));
        ck_assert_int_eq(znode_decode_partition_state(&arena, (struct slice){node->data, node->size}, &state), 0);
        struct alter_wish wish = {.broker_id = state.leader,
                                  .version = 3,
                                  .partition = i,
                                  .leader_epoch = state.leader_epoch,
                                  .partition_epoch = node->version,
                                  .isr = {1, 2, 3},
                                  .isr_count = 3};
        arena_deinit(&arena);
        if (world->controllers[active] != NULL) {
            controller_call_alter(world, active, &wish);
        }
    }
    if (world->controllers[active] != NULL) {
        world_settle(world);
    }
}

/* t-0 on 1, 2 and t-1 on 2, 1: room to move to 3. */
static void create_on_1_and_2(void) {
    world_put_topic(world, TEST_TOPIC("\"0\":[1,2],\"1\":[2,1]"));
}

static void reassign(int32_t first, int32_t second) {
    const struct move wishes[] = {{.partition = 0, .replicas = {first, second}, .replica_count = 2},
                                  {.partition = 1, .replicas = {second, first}, .replica_count = 2}};
    controller_call_reassign(world, active, wishes, 2);
    world_settle(world);
}

static void move_to_2_and_3(void) {
    reassign(2, 3);
}

static void move_to_3_and_1(void) {
    reassign(3, 1);
}

static void cancel(void) {
    const struct move wishes[] = {{.partition = 0, .replica_count = -1}, {.partition = 1, .replica_count = -1}};
    controller_call_reassign(world, active, wishes, 2);
    world_settle(world);
}

static void move_by_node(void) {
    if (world_find(world, "/admin/reassign_partitions") == NULL) {
        world_put(world, "/admin/reassign_partitions",
                  "{\"version\":1,\"partitions\":[{\"topic\":\"t\",\"partition\":0,\"replicas\":[2,3]},"
                  "{\"topic\":\"t\",\"partition\":1,\"replicas\":[3,2]}]}");
    }
    world_settle(world);
}

/* Every replica of what is moving that lives has caught up, and the leader says so. */
static bool catch_up_one(const struct znode_topic_partition *partition, struct arena *arena) {
    char path[ZNODE_PATH_SIZE];
    struct znode_partition_state state;
    const struct world_node *node =
        world_find(world, znode_partition_state_path(path, STR_LITERAL("t"), partition->partition));
    if (partition->adding_count + partition->removing_count == 0 ||
        znode_decode_partition_state(arena, (struct slice){node->data, node->size}, &state) != 0) {
        return false;
    }
    struct alter_wish wish = {.broker_id = state.leader,
                              .version = 3,
                              .partition = partition->partition,
                              .leader_epoch = state.leader_epoch,
                              .partition_epoch = node->version};
    for (int32_t i = 0; i < partition->replica_count; i++) {
        if (world_find(world, znode_broker_path(path, partition->replicas[i])) != NULL) {
            wish.isr[wish.isr_count++] = partition->replicas[i];
        }
    }
    controller_call_alter(world, active, &wish);
    return world->controllers[active] != NULL;
}

static void catch_up(void) {
    for (int32_t i = 0; world->controllers[active] != NULL && i < 2; i++) {
        const struct world_node *node = world_find(world, "/brokers/topics/t");
        struct znode_topic topic;
        struct arena arena;
        arena_init(&arena, SIZE_MAX);
        if (node != NULL && znode_decode_topic(&arena, (struct slice){node->data, node->size}, &topic) == 0 &&
            catch_up_one(&topic.partitions[i], &arena)) {
            world_settle(world);
        }
        arena_deinit(&arena);
    }
}

static void fail_directory(void) {
    world->storage_error = 1; /* of partition 0 ... */
    world->storage_broker = 1;
    if (world_find(world, EVENT_NODE) == NULL) {
        world_put(world, EVENT_NODE, "{\"version\":1,\"broker\":1,\"event\":1}");
    }
    world_settle(world);
}

static void elect_unclean_by_admin(void) {
    controller_call_elect_all(world, active, true);
    world_settle(world);
}

/* ---- the flows ---- */

typedef void action(void);

struct flow {
    const char *name;
    action *before[4];
    action *run;
    bool is_call;       /* repeated at the next controller */
    action *after[2];   /* what is needed to come to an end: a deletion waits for replicas that are away */
    int32_t writes_min; /* so that a flow that does nothing is noticed */
};

static const struct flow flows[] = {
    {.name = "a topic is created", .run = create, .writes_min = 7},
    {.name = "a topic grows", .before = {create}, .run = extend, .writes_min = 4},
    {.name = "a topic is deleted", .before = {create}, .run = ask_deletion, .writes_min = 10},
    {.name = "a topic is deleted while one replica is away",
     .before = {create, kill_3},
     .run = ask_deletion,
     .after = {return_3},
     .writes_min = 3},
    {.name = "the replica of a deleted topic comes back",
     .before = {create, kill_3, ask_deletion},
     .run = return_3,
     .writes_min = 10},
    {.name = "a topic is deleted whose replicas are all away but one",
     .before = {create, kill_both},
     .run = ask_deletion,
     .after = {return_2, return_3},
     .writes_min = 3},
    {.name = "a broker dies", .before = {create}, .run = kill_3, .writes_min = 3},
    {.name = "two brokers die at once", .before = {create}, .run = kill_both, .writes_min = 4},
    {.name = "brokers die one after the other", .before = {create, kill_3}, .run = kill_2, .writes_min = 3},
    {.name = "a broker comes back to the last one", .before = {create, kill_both}, .run = return_2},
    /* The next controller cannot know that it was ever gone. */
    {.name = "a broker bounces",
     .before = {create},
     .run = bounce_3,
     .after = {rejoin, elect_preferred},
     .writes_min = 3},
    {.name = "a broker shuts down", .before = {create}, .run = shut_down_3, .is_call = true, .writes_min = 3},
    {.name = "returned replicas join again",
     .before = {create, kill_3, return_3},
     .run = rejoin,
     .is_call = true,
     .writes_min = 3},
    {.name = "preferred leaders are elected by request",
     .before = {create, kill_3, return_3, rejoin},
     .run = elect_preferred,
     .is_call = true,
     .writes_min = 1},
    {.name = "preferred leaders are elected by the legacy node",
     .before = {create, kill_3, return_3, rejoin},
     .run = elect_preferred_by_node,
     .writes_min = 2},
    {.name = "preferred leaders are elected by the timer",
     .before = {create, kill_3, return_3, rejoin},
     .run = rebalance,
     .is_call = true,
     .writes_min = 1},
    {.name = "a reassignment begins",
     .before = {create_on_1_and_2},
     .run = move_to_2_and_3,
     .is_call = true,
     .writes_min = 3},
    {.name = "a reassignment ends",
     .before = {create_on_1_and_2, move_to_2_and_3},
     .run = catch_up,
     .is_call = true,
     .after = {catch_up, elect_preferred},
     .writes_min = 8},
    {.name = "a reassignment is cancelled",
     .before = {create_on_1_and_2, move_to_2_and_3},
     .run = cancel,
     .is_call = true,
     .after = {elect_preferred},
     .writes_min = 3},
    {.name = "a reassignment overtakes another",
     .before = {create_on_1_and_2, move_to_2_and_3},
     .run = move_to_3_and_1,
     .is_call = true,
     .writes_min = 3},
    {.name = "a reassignment is asked for by the legacy node",
     .before = {create_on_1_and_2},
     .run = move_by_node,
     .writes_min = 3},
    {.name = "a reassignment by the legacy node ends",
     .before = {create_on_1_and_2, move_by_node},
     .run = catch_up,
     .is_call = true,
     .after = {catch_up, elect_preferred},
     .writes_min = 9},
    {.name = "a target of a reassignment dies and returns",
     .before = {create_on_1_and_2, move_to_2_and_3, kill_3},
     .run = return_3,
     .after = {catch_up, elect_preferred},
     .writes_min = 2},
    {.name = "a source of a reassignment dies",
     .before = {create_on_1_and_2, move_to_3_and_1},
     .run = kill_2,
     .after = {catch_up, elect_preferred},
     .writes_min = 2},
    {.name = "a topic is deleted while it moves",
     .before = {create_on_1_and_2, move_to_2_and_3},
     .run = ask_deletion,
     .writes_min = 8},
    {.name = "a directory fails", .before = {create}, .run = fail_directory, .is_call = true, .writes_min = 2},
    {.name = "an unclean leader is elected",
     .before = {create_unclean, kill_2, kill_3},
     .run = return_2,
     .writes_min = 1},
    {.name = "an unclean leader is elected by an administrator",
     .before = {create_on_2_and_3, kill_2, kill_3, return_2},
     .run = elect_unclean_by_admin,
     .is_call = true,
     .writes_min = 2},
};

/* Paths, assignments, and of partition states leader, in-sync set and recovery: what must not depend on who was
 * controller when. */
static int print_node(const struct world_node *node, char *line, size_t size) {
    struct znode_partition_state state;
    struct arena arena;
    bool is_topic = strcmp(node->path, "/brokers/topics/t") == 0;
    int at = snprintf(line, size, "%s %.*s", node->path, is_topic ? node->size : 0, (const char *)node->data);
    if (strstr(node->path, "/state") == NULL) {
        return at;
    }
    arena_init(&arena, SIZE_MAX);
    ck_assert_int_eq(znode_decode_partition_state(&arena, (struct slice){node->data, node->size}, &state), 0);
    at += snprintf(line + at, size - (size_t)at, " leader=%d recovery=%d isr=", state.leader,
                   state.leader_recovery_state);
    for (int32_t j = 0; j < state.isr_count; j++) {
        at += snprintf(line + at, size - (size_t)at, "%d,", state.isr[j]);
    }
    arena_deinit(&arena);
    return at;
}

static void summarize(char *text, size_t size) {
    static char lines[WORLD_NODES_MAX][512];
    size_t used = 0;
    for (int32_t i = 0; i < world->node_count; i++) {
        print_node(&world->nodes[i], lines[i], sizeof lines[i]);
    }
    qsort(lines, (size_t)world->node_count, sizeof lines[0], (int (*)(const void *, const void *))strcmp);
    for (int32_t i = 0; i < world->node_count; i++) {
        used += (size_t)snprintf(text + used, size - used, "%s\n", lines[i]);
    }
}

static void prepare(const struct flow *flow) {
    world_new();
    for (size_t i = 0; i < ARRAY_SIZE(flow->before) && flow->before[i] != NULL; i++) {
        flow->before[i]();
    }
}

static void finish(const struct flow *flow) {
    for (size_t i = 0; i < ARRAY_SIZE(flow->after) && flow->after[i] != NULL; i++) {
        flow->after[i]();
    }
}

static char expected[32768], found[32768];

static int32_t run_undisturbed(const struct flow *flow) {
    prepare(flow);
    int32_t before = world->writes;
    flow->run();
    int32_t writes = world->writes - before;
    finish(flow);
    summarize(expected, sizeof expected);
    world_end();
    ck_assert_msg(writes >= flow->writes_min, "%s: %d writes", flow->name, writes);
    return writes;
}

static void crash_in(const struct flow *flow) {
    int32_t writes = run_undisturbed(flow);
    for (int32_t crash = 0; crash < writes; crash++) {
        prepare(flow);
        world->writes_max = world->writes + crash;
        flow->run();
        ck_assert_ptr_null(world->controllers[1]);
        world->writes_max = -1;
        world_remove(world, "/controller");
        active = 2;
        world_start(world, 2, &config);
        world_settle(world);
        if (flow->is_call) {
            flow->run();
        }
        finish(flow);
        summarize(found, sizeof found);
        ck_assert_msg(strcmp(found, expected) == 0, "%s, died before write %d of %d:\n%s\ninstead of\n%s", flow->name,
                      crash, writes, found, expected);
        world_end();
    }
}

START_TEST(a_crash_before_any_write_of_any_flow_is_repaired_by_the_next_controller) {
    for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
        crash_in(&flows[i]);
    }
}
END_TEST

static void lose_answers_of(const struct flow *flow) {
    int32_t writes = run_undisturbed(flow);
    for (int32_t lost = 0; lost < writes; lost++) {
        prepare(flow);
        world->lost_write = world->writes + lost;
        flow->run();
        finish(flow);
        summarize(found, sizeof found);
        ck_assert_msg(strcmp(found, expected) == 0, "%s, answer %d of %d lost:\n%s\ninstead of\n%s", flow->name, lost,
                      writes, found, expected);
        world_end();
    }
}

START_TEST(the_answer_to_any_write_of_any_flow_may_get_lost) {
    for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
        lose_answers_of(&flows[i]);
    }
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_crash_before_any_write_of_any_flow_is_repaired_by_the_next_controller),
        TEST(the_answer_to_any_write_of_any_flow_may_get_lost),
    };
    return run_tests("controller crashes", tests, ARRAY_SIZE(tests));
}
