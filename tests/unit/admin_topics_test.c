/* Topics: names, plans, growth, and what happens in the coordinator, lost replies included. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/topic_admin.h"
#include "generated/protocol/create_partitions.h"
#include "generated/protocol/create_topics.h"
#include "tests/lib/broker_settings.h"
#include "tests/lib/memory_coord.h"
#include "tests/lib/runner.h"

struct fixture {
    struct memory_world *world;
    struct config *config;
    struct image *image;
    struct topic_admin *admin;
    struct arena arena;
    int32_t done;
    int16_t error_code;
    char message[512];
    struct uuid topic_id;
};

static struct fixture f;

static void set_up(void) {
    trace_nothing();
    memset(&f, 0, sizeof f);
    f.config = test_broker_config("1", "");
    f.world = memory_world_create();
    memory_put(f.world, "/brokers/topics", NULL);
    memory_put(f.world, "/config/topics", NULL);
    memory_put(f.world, "/admin/delete_topics", NULL);
    f.image = image_create();
    const struct image_broker brokers[] = {{.id = 1}, {.id = 2}, {.id = 3}};
    image_set_brokers(f.image, brokers, 3);
    f.admin = topic_admin_create(f.config, memory_clock(f.world), memory_coord(f.world), f.image, 42);
    arena_init(&f.arena, SIZE_MAX);
}

static void tear_down(void) {
    topic_admin_destroy(f.admin);
    memory_world_destroy(f.world);
    image_destroy(f.image);
    config_destroy(f.config);
    arena_deinit(&f.arena);
    trace_set_sink(NULL, NULL);
}

static void on_done(void *context, int16_t error_code, struct str message, struct uuid topic_id) {
    (void)context;
    f.done++;
    f.error_code = error_code;
    snprintf(f.message, sizeof f.message, "%.*s", STR_ARGS(message));
    f.topic_id = topic_id;
}

static struct create_topics_request_creatable_topic wanted(const char *name, int32_t partitions, int16_t factor) {
    struct create_topics_request_creatable_topic topic;
    create_topics_request_creatable_topic_init(&topic);
    topic.name = str_from(name);
    topic.num_partitions = partitions;
    topic.replication_factor = factor;
    return topic;
}

static void assert_refused(const struct create_topics_request_creatable_topic *topic, int16_t error_code,
                           const char *message) {
    struct topic_plan plan;
    struct topic_verdict verdict = topic_admin_plan(f.admin, topic, &f.arena, &plan);
    ck_assert_int_eq(verdict.error_code, error_code);
    snprintf(f.message, sizeof f.message, "%.*s", STR_ARGS(verdict.message));
    ck_assert_str_eq(f.message, message);
}

static void create(const char *name, int32_t partitions, int16_t factor) {
    struct create_topics_request_creatable_topic topic = wanted(name, partitions, factor);
    struct topic_plan plan;
    ck_assert_int_eq(topic_admin_plan(f.admin, &topic, &f.arena, &plan).error_code, KAFKA_NONE);
    topic_admin_write(f.admin, &plan, false, on_done, NULL);
}

START_TEST(plans_are_refused_with_the_words_of_kafka) {
    set_up();
    struct create_topics_request_creatable_topic topic = wanted(".", 1, 1);
    assert_refused(&topic, KAFKA_INVALID_TOPIC_EXCEPTION, "Topic name is invalid: '.' is not allowed");
    topic = wanted("", 1, 1);
    assert_refused(&topic, KAFKA_INVALID_TOPIC_EXCEPTION, "Topic name is invalid: the empty string is not allowed");
    topic = wanted("a b", 1, 1);
    assert_refused(&topic, KAFKA_INVALID_TOPIC_EXCEPTION,
                   "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', "
                   "'_' and '-'");
    topic = wanted("t", 0, 1);
    assert_refused(&topic, KAFKA_INVALID_PARTITIONS, "Number of partitions must be larger than 0.");
    topic = wanted("t", 1, 0);
    assert_refused(&topic, KAFKA_INVALID_REPLICATION_FACTOR, "Replication factor must be larger than 0.");
    topic = wanted("t", 1, 4);
    assert_refused(&topic, KAFKA_INVALID_REPLICATION_FACTOR, "Replication factor: 4 larger than available brokers: 3.");
    struct create_topics_request_creatable_topic_config bad = {STR_LITERAL("nope"), STR_LITERAL("1")};
    topic = wanted("t", 1, 1);
    topic.configs = &bad;
    topic.configs_count = 1;
    assert_refused(&topic, KAFKA_INVALID_CONFIG, "Unknown topic config name: nope");
    bad.value = STR_NULL;
    assert_refused(&topic, KAFKA_INVALID_CONFIG, "Null value not supported for topic configs: nope");
    tear_down();
}
END_TEST

static void assert_assignment_refused(int32_t first_index, int32_t *ids, int32_t id_count, const char *message) {
    struct create_topics_request_creatable_replica_assignment assignment = {
        .partition_index = first_index, .broker_ids = ids, .broker_ids_count = id_count};
    struct create_topics_request_creatable_topic topic = wanted("t", -1, -1);
    topic.assignments = &assignment;
    topic.assignments_count = 1;
    assert_refused(&topic, KAFKA_INVALID_REPLICA_ASSIGNMENT, message);
}

START_TEST(a_topic_none_of_whose_brokers_lives_is_refused_instead_of_becoming_a_ghost) {
    set_up();
    int32_t dead[] = {8, 9};
    assert_assignment_refused(0, dead, 2,
                              "None of the brokers in the replica assignment of partition 0 is alive: 8, 9.");
    int32_t twice[] = {1, 1};
    assert_assignment_refused(0, twice, 2, "Duplicate replica assignment found: partition 0 has replicas 1, 1");
    assert_assignment_refused(1, twice, 1, "partitions should be a consecutive 0-based integer sequence");
    assert_assignment_refused(0, twice, 0, "Cannot have replication factor of 0 for partition id 0.");
    tear_down();
}
END_TEST

START_TEST(a_topic_is_written_settings_first_as_kafka_writes_it) {
    set_up();
    create("plain", 2, 3);
    memory_run(f.world);
    ck_assert_int_eq(f.done, 1);
    ck_assert_int_eq(f.error_code, KAFKA_NONE);
    ck_assert_str_eq(memory_data(f.world, "/config/topics/plain"), "{\"version\":1,\"config\":{}}");
    struct znode_topic topic;
    const char *data = memory_data(f.world, "/brokers/topics/plain");
    ck_assert_ptr_nonnull(data);
    struct slice bytes = {(const uint8_t *)data, (int32_t)strlen(data)};
    ck_assert_int_eq(znode_decode_topic(&f.arena, bytes, &topic), 0);
    ck_assert_int_eq(topic.partition_count, 2);
    ck_assert_int_eq(topic.partitions[1].replica_count, 3);
    ck_assert(uuid_equal(topic.topic_id, f.topic_id));
    ck_assert(!uuid_is_zero(f.topic_id));
    ck_assert_int_eq(f.topic_id.bytes[6] & 0xf0, 0x40); /* a version 4 UUID */
    tear_down();
}
END_TEST

START_TEST(names_that_are_taken_colliding_or_being_deleted_are_refused) {
    set_up();
    memory_put(f.world, "/brokers/topics/a.b", "{}");
    memory_put(f.world, "/brokers/topics/c", "{}");
    memory_put(f.world, "/admin/delete_topics/d", NULL);
    create("a_b", 1, 1);
    memory_run(f.world);
    ck_assert_int_eq(f.error_code, KAFKA_INVALID_TOPIC_EXCEPTION);
    ck_assert_str_eq(f.message, "Topic 'a_b' collides with existing topics: a.b");
    create("c", 1, 1);
    memory_run(f.world);
    ck_assert_int_eq(f.error_code, KAFKA_TOPIC_ALREADY_EXISTS);
    ck_assert_str_eq(f.message, "Topic 'c' already exists.");
    create("d", 1, 1);
    memory_run(f.world);
    ck_assert_str_eq(f.message, "Topic 'd' is marked for deletion.");
    ck_assert_ptr_null(memory_data(f.world, "/config/topics/d"));
    tear_down();
}
END_TEST

static void on_collided(void *context, int16_t error_code, struct str message, struct uuid topic_id) {
    (void)message;
    (void)topic_id;
    *(int16_t *)context = error_code;
}

START_TEST(of_two_colliding_names_asked_for_at_once_the_first_is_created) {
    const char *names[] = {"a.b.c", "a_b.c", "a.b_c", "a.b-c"};
    const int16_t expected[] = {KAFKA_NONE, KAFKA_INVALID_TOPIC_EXCEPTION, KAFKA_INVALID_TOPIC_EXCEPTION, KAFKA_NONE};
    for (int is_applied = 0; is_applied < 2; is_applied++) {
        for (int32_t lost = 0; lost < 6; lost++) {
            set_up();
            memory_lose_replies(f.world, lost, is_applied != 0);
            int16_t codes[4] = {-99, -99, -99, -99};
            struct topic_plan plan;
            for (int i = 0; i < 4; i++) {
                struct create_topics_request_creatable_topic topic = wanted(names[i], 1, 1);
                ck_assert_int_eq(topic_admin_plan(f.admin, &topic, &f.arena, &plan).error_code, KAFKA_NONE);
                topic_admin_write(f.admin, &plan, false, on_collided, &codes[i]);
            }
            memory_run_for(f.world, 30000);
            ck_assert_mem_eq(codes, expected, sizeof codes);
            ck_assert_ptr_null(memory_data(f.world, "/config/topics/a_b.c"));
            tear_down();
        }
    }
}
END_TEST

START_TEST(lost_replies_never_make_a_created_topic_look_like_somebody_elses) {
    for (int is_applied = 0; is_applied < 2; is_applied++) {
        for (int32_t lost = 1; lost < 6; lost++) {
            set_up();
            memory_lose_replies(f.world, lost, is_applied != 0);
            create("plain", 1, 1);
            memory_run_for(f.world, 10000);
            ck_assert_int_eq(f.done, 1);
            ck_assert_msg(f.error_code == KAFKA_NONE, "%s", f.message);
            ck_assert_ptr_nonnull(memory_data(f.world, "/brokers/topics/plain"));
            tear_down();
        }
    }
}
END_TEST

START_TEST(a_coordinator_that_stays_away_ends_in_not_controller) {
    set_up();
    memory_lose_replies(f.world, 1000, false);
    create("plain", 1, 1);
    memory_run_for(f.world, 60000);
    ck_assert_int_eq(f.done, 1);
    ck_assert_int_eq(f.error_code, KAFKA_NOT_CONTROLLER);
    memory_lose_replies(f.world, 0, false);
    tear_down();
}
END_TEST

START_TEST(deleting_marks_the_topic_once_and_again) {
    set_up();
    memory_put(f.world, "/brokers/topics/t", "{}");
    for (int i = 0; i < 2; i++) {
        topic_admin_delete(f.admin, STR_LITERAL("t"), on_done, NULL);
        memory_run(f.world);
        ck_assert_int_eq(f.error_code, KAFKA_NONE);
        ck_assert_str_eq(memory_data(f.world, "/admin/delete_topics/t"), "");
    }
    topic_admin_delete(f.admin, STR_LITERAL("nope"), on_done, NULL);
    memory_run(f.world);
    ck_assert_int_eq(f.error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    tear_down();
}
END_TEST

static struct create_partitions_request_create_partitions_topic growth;

static void grow(const char *name, int32_t count) {
    growth.name = str_from(name);
    growth.count = count;
    topic_admin_grow(f.admin, &growth, false, on_done, NULL);
}

#define TOPIC_NODE                                                                                                     \
    "{\"version\":3,\"partitions\":{\"0\":[2,3],\"1\":[3,1]},\"topic_id\":\"bWQx0fYdTJqGmVtq3xq1aA\","                 \
    "\"adding_replicas\":{},\"removing_replicas\":{}}"

START_TEST(partitions_are_added_behind_the_old_ones_which_stay) {
    set_up();
    create_partitions_request_create_partitions_topic_init(&growth);
    growth.assignments_count = -1;
    memory_put(f.world, "/brokers/topics/t", TOPIC_NODE);
    grow("t", 4);
    memory_run(f.world);
    ck_assert_msg(f.error_code == KAFKA_NONE, "%s", f.message);
    const char *data = memory_data(f.world, "/brokers/topics/t");
    ck_assert_ptr_nonnull(strstr(data, "\"0\":[2,3]"));
    ck_assert_ptr_nonnull(strstr(data, "\"1\":[3,1]"));
    ck_assert_ptr_nonnull(strstr(data, "\"3\":["));
    ck_assert_ptr_nonnull(strstr(data, "bWQx0fYdTJqGmVtq3xq1aA"));
    grow("t", 4);
    memory_run(f.world);
    ck_assert_int_eq(f.error_code, KAFKA_INVALID_PARTITIONS);
    ck_assert_str_eq(f.message, "Topic already has 4 partitions.");
    grow("t", 1);
    memory_run(f.world);
    ck_assert_str_eq(f.message, "Topic currently has 4 partitions, which is higher than the requested 1.");
    grow("nope", 1);
    memory_run(f.world);
    ck_assert_int_eq(f.error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_str_eq(f.message, "The topic 'nope' does not exist.");
    tear_down();
}
END_TEST

START_TEST(assignments_of_added_partitions_are_checked) {
    set_up();
    create_partitions_request_create_partitions_topic_init(&growth);
    int32_t ids[] = {1, 9};
    struct create_partitions_request_create_partitions_assignment assignment = {.broker_ids = ids,
                                                                                .broker_ids_count = 2};
    growth.assignments = &assignment;
    growth.assignments_count = 1;
    memory_put(f.world, "/brokers/topics/t", TOPIC_NODE);
    grow("t", 3);
    memory_run(f.world);
    ck_assert_int_eq(f.error_code, KAFKA_INVALID_REPLICA_ASSIGNMENT);
    ck_assert_str_eq(f.message, "Unknown broker(s) in replica assignment: 9.");
    ids[1] = 2;
    grow("t", 4);
    memory_run(f.world);
    ck_assert_str_eq(f.message, "Increasing the number of partitions by 2 but 1 assignments provided.");
    assignment.broker_ids_count = 1;
    grow("t", 3);
    memory_run(f.world);
    ck_assert_str_eq(f.message,
                     "Inconsistent replication factor between partitions, partition 0 has 2 while partitions "
                     "[2] have replication factors [1], respectively.");
    tear_down();
}
END_TEST

START_TEST(no_partitions_are_added_while_replicas_move_or_the_topic_goes) {
    set_up();
    create_partitions_request_create_partitions_topic_init(&growth);
    growth.assignments_count = -1;
    memory_put(f.world, "/brokers/topics/t",
               "{\"version\":3,\"partitions\":{\"0\":[2,3,1]},\"topic_id\":\"bWQx0fYdTJqGmVtq3xq1aA\","
               "\"adding_replicas\":{\"0\":[1]},\"removing_replicas\":{}}");
    grow("t", 4);
    memory_run(f.world);
    ck_assert_int_eq(f.error_code, KAFKA_REASSIGNMENT_IN_PROGRESS);
    ck_assert_str_eq(f.message, "A partition reassignment is in progress for the topic 't'.");
    memory_put(f.world, "/admin/delete_topics/t", NULL);
    grow("t", 4);
    memory_run(f.world);
    ck_assert_int_eq(f.error_code, KAFKA_INVALID_TOPIC_EXCEPTION);
    ck_assert_str_eq(f.message, "The topic is queued for deletion.");
    tear_down();
}
END_TEST

START_TEST(lost_replies_do_not_turn_a_growth_into_a_refusal) {
    for (int is_applied = 0; is_applied < 2; is_applied++) {
        for (int32_t lost = 1; lost < 4; lost++) {
            set_up();
            create_partitions_request_create_partitions_topic_init(&growth);
            growth.assignments_count = -1;
            memory_put(f.world, "/brokers/topics/t", TOPIC_NODE);
            memory_lose_replies(f.world, lost, is_applied != 0);
            grow("t", 5);
            memory_run_for(f.world, 10000);
            ck_assert_int_eq(f.done, 1);
            ck_assert_msg(f.error_code == KAFKA_NONE, "%s", f.message);
            ck_assert_ptr_nonnull(strstr(memory_data(f.world, "/brokers/topics/t"), "\"4\":["));
            tear_down();
        }
    }
}
END_TEST

START_TEST(auto_creation_gives_internal_topics_their_settings) {
    set_up();
    struct request_context context = {.topic_admin = f.admin};
    ck_assert_int_eq(topic_admin_auto_create(&context, STR_LITERAL("__consumer_offsets")), KAFKA_LEADER_NOT_AVAILABLE);
    ck_assert_int_eq(topic_admin_auto_create(&context, STR_LITERAL("__consumer_offsets")), KAFKA_LEADER_NOT_AVAILABLE);
    ck_assert_int_eq(topic_admin_auto_create(&context, STR_LITERAL("bad name")), KAFKA_INVALID_TOPIC_EXCEPTION);
    memory_run(f.world);
    const char *settings = memory_data(f.world, "/config/topics/__consumer_offsets");
    ck_assert_ptr_nonnull(strstr(settings, "\"cleanup.policy\":\"compact\""));
    ck_assert_ptr_nonnull(strstr(settings, "\"segment.bytes\":\"104857600\""));
    ck_assert_ptr_nonnull(strstr(settings, "\"compression.type\":\"producer\""));
    ck_assert_ptr_nonnull(strstr(memory_data(f.world, "/brokers/topics/__consumer_offsets"), "\"49\":["));
    image_set_brokers(f.image, &(struct image_broker){.id = 1}, 1);
    ck_assert_int_eq(topic_admin_auto_create(&context, STR_LITERAL("__transaction_state")),
                     KAFKA_INVALID_REPLICATION_FACTOR);
    tear_down();
}
END_TEST

START_TEST(who_has_heard_of_no_broker_yet_makes_no_topic_and_asks_for_patience) {
    set_up();
    struct request_context context = {.topic_admin = f.admin};
    image_set_brokers(f.image, NULL, 0);
    ck_assert_int_eq(topic_admin_auto_create(&context, STR_LITERAL("t")), KAFKA_LEADER_NOT_AVAILABLE);
    memory_run(f.world);
    ck_assert_ptr_null(memory_data(f.world, "/brokers/topics/t"));
    image_set_brokers(f.image, &(struct image_broker){.id = 1}, 1);
    ck_assert_int_eq(topic_admin_auto_create(&context, STR_LITERAL("t")), KAFKA_LEADER_NOT_AVAILABLE);
    memory_run(f.world);
    ck_assert_ptr_nonnull(memory_data(f.world, "/brokers/topics/t"));
    tear_down();
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(plans_are_refused_with_the_words_of_kafka),
        TEST(a_topic_none_of_whose_brokers_lives_is_refused_instead_of_becoming_a_ghost),
        TEST(a_topic_is_written_settings_first_as_kafka_writes_it),
        TEST(names_that_are_taken_colliding_or_being_deleted_are_refused),
        TEST(of_two_colliding_names_asked_for_at_once_the_first_is_created),
        TEST(lost_replies_never_make_a_created_topic_look_like_somebody_elses),
        TEST(a_coordinator_that_stays_away_ends_in_not_controller),
        TEST(deleting_marks_the_topic_once_and_again),
        TEST(partitions_are_added_behind_the_old_ones_which_stay),
        TEST(assignments_of_added_partitions_are_checked),
        TEST(no_partitions_are_added_while_replicas_move_or_the_topic_goes),
        TEST(lost_replies_do_not_turn_a_growth_into_a_refusal),
        TEST(auto_creation_gives_internal_topics_their_settings),
        TEST(who_has_heard_of_no_broker_yet_makes_no_topic_and_asks_for_patience),
    };
    return run_tests("admin topics", tests, sizeof tests / sizeof tests[0]);
}
