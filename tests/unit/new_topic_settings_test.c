/* A broker does not serve a new partition before it knows the topic's settings: they lie in the coordinator before the
 * topic does, and no notification tells of them. */
#include "broker/dynamic_config.h"
#include "broker/request/waiting_room.h"
#include "broker/topic_config.h"
#include "tests/unit/dispatch_fixture.h"

static struct config *config;
static struct dynamic_config *dynamic;
static int32_t pair[] = {1, 2};

static void on_topic(void *context, const char *topic) {
    (void)context;
    replica_manager_topic_config_changed(fx.replicas, topic);
}

static const struct dynamic_config_callbacks callbacks = {.on_topic = on_topic};

static struct partition_throttle throttle_of(void *context, const char *topic, int32_t partition) {
    (void)context;
    const struct properties *values = dynamic_config_topic(dynamic, topic);
    return (struct partition_throttle){
        .is_leader =
            topic_config_is_throttled(values, TOPIC_CONFIG_KEY_leader_replication_throttled_replicas, partition, 1),
        .is_follower =
            topic_config_is_throttled(values, TOPIC_CONFIG_KEY_follower_replication_throttled_replicas, partition, 1),
    };
}

static void log_config_of(void *context, const char *topic, struct log_config *ret_config) {
    (void)context;
    dynamic_config_log_config(dynamic, topic, ret_config);
}

static void set_up(void) {
    config = test_broker_config("1", "");
    fixture_topic_config = log_config_of;
    fixture_throttle = throttle_of;
    fixture_start();
    memory_put(fx.world, "/config/changes", NULL);
    memory_put(fx.world, "/config/topics/t", "{\"version\":1,\"config\":{\"min.insync.replicas\":\"2\"}}");
    dynamic = dynamic_config_create(config, fx.clock, memory_coord(fx.world), &callbacks);
    dynamic_config_follow(dynamic);
    memory_run(fx.world);
    fx.context.dynamic_config = dynamic;
}

static void tear_down(void) {
    fixture_finish();
    config_destroy(config);
}

static void send_command(struct reply *reply, int32_t leader_epoch) {
    send_leader_and_isr(reply, "t", 1, pair, 2, leader_epoch);
}

static int16_t min_insync(void) {
    struct log *log = log_manager_find(fx.logs, "t", 0);
    ck_assert_ptr_nonnull(log);
    return log_get_config(log)->min_insync_replicas;
}

START_TEST(a_new_log_is_not_there_before_its_topics_settings_are) {
    struct reply reply;
    send_command(&reply, 0);
    ck_assert(!reply.is_answered);
    ck_assert_ptr_null(log_manager_find(fx.logs, "t", 0));
    memory_run(fx.world);
    ck_assert(reply.is_answered);
    ck_assert_int_eq(min_insync(), 2);
    reply_free(&reply);
    /* The log is there: its settings are followed, and a later command need not wait. */
    send_command(&reply, 1);
    ck_assert(reply.is_answered);
    reply_free(&reply);
    dynamic_config_destroy(dynamic);
}
END_TEST

START_TEST(lost_connections_while_reading_make_the_command_wait_and_not_the_defaults_count) {
    struct reply reply;
    memory_lose_replies(fx.world, 3, false);
    send_command(&reply, 0);
    memory_run(fx.world);
    ck_assert(!reply.is_answered);
    ck_assert_ptr_null(log_manager_find(fx.logs, "t", 0));
    memory_run_for(fx.world, 1000);
    ck_assert(reply.is_answered);
    ck_assert_int_eq(min_insync(), 2);
    reply_free(&reply);
    dynamic_config_destroy(dynamic);
}
END_TEST

START_TEST(a_coordinator_that_stays_away_costs_the_connection_so_that_the_command_comes_again) {
    struct reply reply;
    memory_lose_replies(fx.world, 1000000, false);
    send_command(&reply, 0);
    memory_run_for(fx.world, 60000);
    ck_assert(!reply.is_answered && reply.is_closed);
    reply_free(&reply);
    memory_lose_replies(fx.world, 0, false);
    send_command(&reply, 0);
    memory_run_for(fx.world, 1000);
    ck_assert(reply.is_answered);
    ck_assert_int_eq(min_insync(), 2);
    reply_free(&reply);
    dynamic_config_destroy(dynamic);
}
END_TEST

START_TEST(a_broker_that_stops_meanwhile_makes_no_log) {
    struct reply reply;
    send_command(&reply, 0);
    waiting_room_finish_all(fx.context.waiting_room);
    ck_assert(reply.is_closed);
    memory_run(fx.world);
    ck_assert_ptr_null(log_manager_find(fx.logs, "t", 0));
    reply_free(&reply);
    memory_lose_replies(fx.world, 1000, false); /* and one whose settings never come */
    send_command(&reply, 0);
    waiting_room_finish_all(fx.context.waiting_room);
    memory_run(fx.world);
    dynamic_config_destroy(dynamic);
    ck_assert(reply.is_closed);
    reply_free(&reply);
}
END_TEST

START_TEST(throttled_replicas_are_known_with_the_partition_and_follow_the_settings) {
    struct reply reply;
    struct partition_runtime *partition = NULL;
    memory_put(fx.world, "/config/topics/t",
               "{\"version\":1,\"config\":{\"leader.replication.throttled.replicas\":\"0:1,1:2\"}}");
    send_command(&reply, 0);
    memory_run(fx.world);
    reply_free(&reply);
    ck_assert_int_eq(replica_manager_partition(fx.replicas, STR_LITERAL("t"), 0, &partition), 0);
    ck_assert(partition_runtime_throttle(partition).is_leader);
    ck_assert(!partition_runtime_throttle(partition).is_follower);
    memory_put(fx.world, "/config/topics/t",
               "{\"version\":1,\"config\":{\"follower.replication.throttled.replicas\":\"*\"}}");
    memory_put(fx.world, "/config/changes/config_change_0000000000", "{\"version\":2,\"entity_path\":\"topics/t\"}");
    memory_run(fx.world);
    ck_assert(!partition_runtime_throttle(partition).is_leader);
    ck_assert(partition_runtime_throttle(partition).is_follower);
    dynamic_config_destroy(dynamic);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_new_log_is_not_there_before_its_topics_settings_are),
        TEST(lost_connections_while_reading_make_the_command_wait_and_not_the_defaults_count),
        TEST(a_coordinator_that_stays_away_costs_the_connection_so_that_the_command_comes_again),
        TEST(a_broker_that_stops_meanwhile_makes_no_log),
        TEST(throttled_replicas_are_known_with_the_partition_and_follow_the_settings),
    };
    return run_tests_with_fixture("settings of new topics", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
