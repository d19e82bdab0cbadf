/* Settings in the coordinator: loading them, hearing of changes, and changing them. */
#include <check.h>
#include <stdio.h>

#include "broker/base/errors.h"
#include "broker/dynamic_config.h"
#include "tests/lib/broker_settings.h"
#include "tests/lib/memory_coord.h"
#include "tests/lib/runner.h"

static struct config *make_config(void) {
    trace_nothing();
    return test_broker_config("1", "");
}

struct heard {
    int32_t topics;
    char topic[64];
    int32_t brokers;
    int32_t loaded;
    int error;
    int32_t written;
    int32_t decided;
};

static struct heard heard;

static void on_topic(void *context, const char *topic) {
    (void)context;
    heard.topics++;
    snprintf(heard.topic, sizeof heard.topic, "%s", topic == NULL ? "(all)" : topic);
}

static void on_broker(void *context) {
    (void)context;
    heard.brokers++;
}

static void on_loaded(void *context, int error) {
    (void)context;
    heard.loaded++;
    heard.error = error;
}

static void on_written(void *context, int error) {
    (void)context;
    heard.written++;
    heard.error = error;
}

static bool set_retention(void *context, struct properties *values) {
    heard.decided++;
    properties_set(values, "retention.ms", context);
    return true;
}

static const struct dynamic_config_callbacks callbacks = {on_topic, on_broker, NULL};

static struct memory_world *make_world(void) {
    memset(&heard, 0, sizeof heard);
    struct memory_world *world = memory_world_create();
    memory_put(world, "/controller", "{}");
    memory_put(world, "/config/changes", NULL);
    memory_put(world, "/config/topics", NULL);
    memory_put(world, "/config/brokers", NULL);
    return world;
}

START_TEST(everything_stored_is_in_force_after_loading) {
    struct memory_world *world = make_world();
    struct config *config = make_config();
    memory_put(world, "/config/topics/a", "{\"version\":1,\"config\":{\"retention.ms\":\"5\"}}");
    memory_put(world, "/config/topics/b", "{\"version\":1,\"config\":{}}");
    memory_put(world, "/config/brokers/<default>", "{\"version\":1,\"config\":{\"message.max.bytes\":\"100\"}}");
    memory_put(world, "/config/brokers/1", "{\"version\":1,\"config\":{\"message.max.bytes\":\"200\"}}");
    memory_put(world, "/config/brokers/2", "{\"version\":1,\"config\":{\"message.max.bytes\":\"300\"}}");
    struct dynamic_config *dynamic =
        dynamic_config_create(config, memory_clock(world), memory_coord(world), &callbacks);
    memory_lose_replies(world, 5, false);
    dynamic_config_load(dynamic, on_loaded, NULL);
    memory_run_for(world, 5000);
    ck_assert_int_eq(heard.loaded, 1);
    ck_assert_int_eq(heard.error, 0);
    ck_assert_int_eq(config->message_max_bytes, 200);
    struct log_config log;
    dynamic_config_log_config(dynamic, "a", &log);
    ck_assert_int_eq(log.retention_ms, 5);
    ck_assert_int_eq(log.max_message_bytes, 200);
    dynamic_config_log_config(dynamic, "b", &log);
    ck_assert_int_eq(log.retention_ms, 604800000);
    ck_assert_int_eq(heard.topics + heard.brokers, 0); /* nobody is there yet to hear of it */
    dynamic_config_destroy(dynamic);
    memory_world_destroy(world);
    config_destroy(config);
}
END_TEST

START_TEST(notifications_bring_changes_of_topics_and_brokers) {
    struct memory_world *world = make_world();
    struct config *config = make_config();
    struct dynamic_config *dynamic =
        dynamic_config_create(config, memory_clock(world), memory_coord(world), &callbacks);
    dynamic_config_load(dynamic, on_loaded, NULL);
    memory_run(world);
    dynamic_config_follow(dynamic);
    memory_run(world);
    memory_put(world, "/config/topics/a", "{\"version\":1,\"config\":{\"retention.ms\":\"7\"}}");
    memory_put(world, "/config/changes/config_change_0000000000", "{\"version\":2,\"entity_path\":\"topics/a\"}");
    memory_run(world);
    ck_assert_int_eq(heard.topics, 1);
    ck_assert_str_eq(heard.topic, "a");
    ck_assert_str_eq(properties_get(dynamic_config_topic(dynamic, "a"), "retention.ms"), "7");
    memory_put(world, "/config/brokers/<default>", "{\"version\":1,\"config\":{\"log.retention.ms\":\"9\"}}");
    memory_put(world, "/config/changes/config_change_0000000001",
               "{\"version\":2,\"entity_path\":\"brokers/<default>\"}");
    memory_run(world);
    ck_assert_int_eq(heard.brokers, 1);
    ck_assert_str_eq(heard.topic, "(all)");
    ck_assert_int_eq(config->log_retention_ms, 9);
    memory_put(world, "/config/changes/config_change_0000000002", "not json");
    memory_put(world, "/config/changes/config_change_0000000003", "{\"version\":2,\"entity_path\":\"users/u\"}");
    memory_put(world, "/config/topics/a", "{\"version\":1,\"config\":{}}");
    memory_put(world, "/config/changes/config_change_0000000004",
               "{\"version\":1,\"entity_type\":\"topics\",\"entity_name\":\"a\"}");
    memory_run(world);
    ck_assert_ptr_null(dynamic_config_topic(dynamic, "a"));
    ck_assert_int_eq(memory_child_count(world, "/config/changes"), 5);
    /* After 15 minutes whoever hears of the next one clears the old ones away. */
    memory_run_for(world, 16 * 60 * 1000);
    memory_put(world, "/config/changes/config_change_0000000005", "{\"version\":2,\"entity_path\":\"topics/a\"}");
    memory_run(world);
    ck_assert_int_eq(memory_child_count(world, "/config/changes"), 1);
    dynamic_config_destroy(dynamic);
    memory_world_destroy(world);
    config_destroy(config);
}
END_TEST

START_TEST(a_change_is_written_fenced_and_told_whatever_replies_get_lost) {
    for (int32_t lost = 0; lost < 6; lost++) {
        for (int is_applied = 0; is_applied < 2; is_applied++) {
            for (int is_there = 0; is_there < 2; is_there++) {
                struct memory_world *world = make_world();
                struct config *config = make_config();
                struct dynamic_config *dynamic =
                    dynamic_config_create(config, memory_clock(world), memory_coord(world), &callbacks);
                if (is_there) {
                    memory_put(world, "/config/topics/a", "{\"version\":1,\"config\":{\"segment.bytes\":\"50\"}}");
                }
                memory_lose_replies(world, lost, is_applied != 0);
                char value[] = "11";
                dynamic_config_change(dynamic, "topics", STR_LITERAL("a"), set_retention, on_written, value);
                memory_run_for(world, 10000);
                ck_assert_int_eq(heard.written, 1);
                ck_assert_int_eq(heard.error, 0);
                const char *stored = memory_data(world, "/config/topics/a");
                ck_assert_ptr_nonnull(strstr(stored, "\"retention.ms\":\"11\""));
                ck_assert_int_eq(strstr(stored, "segment.bytes") != NULL, is_there);
                ck_assert_int_ge(memory_child_count(world, "/config/changes"), 1);
                ck_assert_str_eq(memory_data(world, "/config/changes/config_change_0000000000"),
                                 "{\"version\":2,\"entity_path\":\"topics/a\"}");
                dynamic_config_destroy(dynamic);
                memory_world_destroy(world);
                config_destroy(config);
            }
        }
    }
}
END_TEST

static struct memory_world *racing_world;

/* The first time, somebody else changes the node between our reading and our writing. */
static bool set_while_racing(void *context, struct properties *values) {
    if (heard.decided == 0) {
        memory_put(racing_world, "/config/topics/a", "{\"version\":1,\"config\":{\"segment.bytes\":\"99\"}}");
    }
    return set_retention(context, values);
}

START_TEST(two_admins_at_once_do_not_undo_each_other) {
    racing_world = make_world();
    struct config *config = make_config();
    struct dynamic_config *dynamic =
        dynamic_config_create(config, memory_clock(racing_world), memory_coord(racing_world), &callbacks);
    memory_put(racing_world, "/config/topics/a", "{\"version\":1,\"config\":{}}");
    char value[] = "11";
    dynamic_config_change(dynamic, "topics", STR_LITERAL("a"), set_while_racing, on_written, value);
    memory_run_for(racing_world, 10000);
    ck_assert_int_eq(heard.error, 0);
    ck_assert_int_eq(heard.decided, 2);
    ck_assert_ptr_nonnull(strstr(memory_data(racing_world, "/config/topics/a"), "\"segment.bytes\":\"99\""));
    ck_assert_ptr_nonnull(strstr(memory_data(racing_world, "/config/topics/a"), "\"retention.ms\":\"11\""));
    dynamic_config_destroy(dynamic);
    memory_world_destroy(racing_world);
    config_destroy(config);
}
END_TEST

/* Every broker purges; a notification lives for a quarter of an hour, so that all have read it. */
START_TEST(rule_36_notifications_are_read_once_and_purged_by_their_age) {
    struct memory_world *world = make_world();
    struct config *config = make_config();
    struct dynamic_config *dynamic =
        dynamic_config_create(config, memory_clock(world), memory_coord(world), &callbacks);
    const char *change = "{\"version\":2,\"entity_path\":\"topics/a\"}";
    dynamic_config_follow(dynamic);
    memory_put(world, "/config/changes/config_change_0000000001", change);
    memory_run_for(world, 10 * 60000);
    memory_put(world, "/config/changes/config_change_0000000002", change);
    memory_run_for(world, 4 * 60000);
    ck_assert_int_eq(memory_child_count(world, "/config/changes"), 2);
    memory_run_for(world, 2 * 60000);
    int32_t calls = memory_call_count(world);
    memory_put(world, "/config/changes/config_change_0000000003", change);
    memory_run(world);
    ck_assert_ptr_null(memory_data(world, "/config/changes/config_change_0000000001"));
    ck_assert_ptr_nonnull(memory_data(world, "/config/changes/config_change_0000000002"));
    /* The listing, the new notification, its topic, the purge and the listing that brings: the second one was not read
     * again. */
    ck_assert_int_eq(memory_call_count(world) - calls, 5);
    dynamic_config_destroy(dynamic);
    memory_world_destroy(world);
    config_destroy(config);
}
END_TEST

START_TEST(nothing_is_changed_in_a_cluster_that_kraft_has_taken_over) {
    struct memory_world *world = make_world();
    struct config *config = make_config();
    struct dynamic_config *dynamic =
        dynamic_config_create(config, memory_clock(world), memory_coord(world), &callbacks);
    memory_put(world, "/controller",
               "{\"version\":2,\"brokerid\":3000,\"timestamp\":\"1\",\"kraftControllerEpoch\":7}");
    char value[] = "11";
    dynamic_config_change(dynamic, "topics", STR_LITERAL("a"), set_retention, on_written, value);
    memory_run_for(world, 10000);
    ck_assert_int_eq(heard.error, ERR_DENIED);
    ck_assert_ptr_null(memory_data(world, "/config/topics/a"));
    ck_assert_int_eq(memory_child_count(world, "/config/changes"), 0);
    dynamic_config_destroy(dynamic);
    memory_world_destroy(world);
    config_destroy(config);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(everything_stored_is_in_force_after_loading),
        TEST(notifications_bring_changes_of_topics_and_brokers),
        TEST(a_change_is_written_fenced_and_told_whatever_replies_get_lost),
        TEST(two_admins_at_once_do_not_undo_each_other),
        TEST(rule_36_notifications_are_read_once_and_purged_by_their_age),
        TEST(nothing_is_changed_in_a_cluster_that_kraft_has_taken_over),
    };
    return run_tests("dynamic config", tests, sizeof tests / sizeof tests[0]);
}
