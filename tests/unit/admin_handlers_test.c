/* The admin handlers from decoded request to answer: waiting, time-outs, refusals, and recorded answers to the byte. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/trace.h"
#include "broker/dynamic_config.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "broker/request/topic_admin.h"
#include "generated/protocol/alter_configs.h"
#include "generated/protocol/create_partitions.h"
#include "generated/protocol/create_topics.h"
#include "generated/protocol/delete_topics.h"
#include "generated/protocol/incremental_alter_configs.h"
#include "replication/controller_runtime.h"
#include "tests/lib/broker_settings.h"
#include "tests/lib/memory_coord.h"
#include "tests/lib/runner.h"

static struct fixture {
    struct memory_world *world;
    struct config *config;
    struct request_context context;
    struct request request;
    bool is_controller;
    int32_t answers;
    struct create_topics_response created;
    struct delete_topics_response deleted;
    struct create_partitions_response grown;
    uint8_t bytes[4096]; /* of an answer of the config APIs */
    size_t size;
} f;

/* In the place of the dispatcher and the controller. */

bool controller_runtime_is_active(const struct controller_runtime *controller) {
    (void)controller;
    return f.is_controller;
}

void request_answer(struct request *request, const void *message) {
    f.answers++;
    struct encoder e = {.w = writer_of(f.bytes, sizeof f.bytes)};
    switch (request->header.api_key) {
    case 19: f.created = *(const struct create_topics_response *)message; return;
    case 20: f.deleted = *(const struct delete_topics_response *)message; return;
    case 37: f.grown = *(const struct create_partitions_response *)message; return;
    case 33: alter_configs_response_encode(message, request->header.api_version, &e); break;
    case 44: incremental_alter_configs_response_encode(message, request->header.api_version, &e); break;
    default: ck_abort_msg("an API this test does not know");
    }
    ck_assert(!e.w.failed);
    f.size = writer_size(&e.w);
}

static const struct dynamic_config_callbacks no_callbacks;

static void set_up_with(const char *lines) {
    trace_nothing();
    memset(&f, 0, sizeof f);
    f.is_controller = true;
    f.config = test_broker_config("2", lines);
    f.world = memory_world_create();
    memory_put(f.world, "/controller", "{}");
    memory_put(f.world, "/brokers/topics", NULL);
    memory_put(f.world, "/config/topics", NULL);
    memory_put(f.world, "/config/brokers", NULL);
    memory_put(f.world, "/config/changes", NULL);
    memory_put(f.world, "/admin/delete_topics", NULL);
    f.context.clock = memory_clock(f.world);
    f.context.coord = memory_coord(f.world);
    f.context.config = f.config;
    f.context.broker_id = 2;
    f.context.image = image_create();
    const struct image_broker brokers[] = {{.id = 1}, {.id = 2}, {.id = 3}};
    image_set_brokers(f.context.image, brokers, 3);
    f.context.waiting_room = waiting_room_create(f.context.clock);
    f.context.topic_admin = topic_admin_create(f.config, f.context.clock, f.context.coord, f.context.image, 1);
    f.context.dynamic_config = dynamic_config_create(f.config, f.context.clock, f.context.coord, &no_callbacks);
    f.request.context = &f.context;
    arena_init(&f.request.arena, SIZE_MAX);
}

static void set_up(void) {
    set_up_with("");
}

static void tear_down(void) {
    dynamic_config_destroy(f.context.dynamic_config);
    topic_admin_destroy(f.context.topic_admin);
    waiting_room_destroy(f.context.waiting_room);
    memory_world_destroy(f.world);
    image_destroy(f.context.image);
    config_destroy(f.config);
    arena_deinit(&f.request.arena);
    trace_set_sink(NULL, NULL);
}

static void serve(void (*handle)(struct request *request), int16_t key, int16_t version, const void *message) {
    f.request.header.api_key = key;
    f.request.header.api_version = version;
    f.request.message = message;
    handle(&f.request);
    memory_run(f.world);
}

/* The controller has done its part: the image shows the partitions, led or not. */
static void show_topic(const char *name, int32_t count, int32_t leader) {
    const struct uuid id = {{7, 7, 7}};
    int32_t replica = 1;
    for (int32_t i = 0; i < count; i++) {
        const struct image_partition state = {.partition = i,
                                              .leader = leader,
                                              .replicas = &replica,
                                              .replica_count = 1,
                                              .isr = &replica,
                                              .isr_count = 1};
        image_set_partition(f.context.image, name, id, &state);
    }
    topic_admin_on_image_changed(f.context.topic_admin);
    memory_run(f.world);
}

static struct create_topics_request_creatable_topic wanted[2];

static struct create_topics_request creation(int32_t count, int32_t timeout_ms) {
    for (int i = 0; i < 2; i++) {
        create_topics_request_creatable_topic_init(&wanted[i]);
        wanted[i].name = STR_LITERAL("t");
        wanted[i].num_partitions = 2;
        wanted[i].replication_factor = 3;
    }
    return (struct create_topics_request){.topics = wanted, .topics_count = count, .timeout_ms = timeout_ms};
}

START_TEST(create_topics_answers_when_every_partition_has_a_leader) {
    set_up();
    struct create_topics_request message = creation(1, 5000);
    serve(handle_create_topics, 19, 7, &message);
    ck_assert_int_eq(f.answers, 0);
    ck_assert_ptr_nonnull(memory_data(f.world, "/brokers/topics/t"));
    show_topic("t", 2, -1);
    ck_assert_int_eq(f.answers, 0);
    show_topic("t", 2, 1);
    ck_assert_int_eq(f.answers, 1);
    ck_assert_int_eq(f.created.topics[0].error_code, KAFKA_NONE);
    ck_assert_int_eq(f.created.topics[0].num_partitions, 2);
    ck_assert_int_eq(f.created.topics[0].replication_factor, 3);
    ck_assert_int_eq(f.created.topics[0].configs_count, 36);
    ck_assert(!uuid_is_zero(f.created.topics[0].topic_id));
    tear_down();
}
END_TEST

START_TEST(create_topics_times_out_and_says_nothing_of_the_topic_but_its_id) {
    set_up();
    struct create_topics_request message = creation(1, 5000);
    serve(handle_create_topics, 19, 7, &message);
    memory_run_for(f.world, 4999);
    ck_assert_int_eq(f.answers, 0);
    memory_run_for(f.world, 2);
    ck_assert_int_eq(f.answers, 1);
    ck_assert_int_eq(f.created.topics[0].error_code, KAFKA_REQUEST_TIMED_OUT);
    ck_assert_int_eq(f.created.topics[0].num_partitions, -1);
    ck_assert_int_eq(f.created.topics[0].configs_count, 0);
    ck_assert(!uuid_is_zero(f.created.topics[0].topic_id));
    tear_down();
    set_up();
    message = creation(1, 0); /* a client that will not wait */
    serve(handle_create_topics, 19, 7, &message);
    ck_assert_int_eq(f.answers, 1);
    ck_assert_int_eq(f.created.topics[0].error_code, KAFKA_REQUEST_TIMED_OUT);
    ck_assert_ptr_nonnull(memory_data(f.world, "/brokers/topics/t"));
    tear_down();
}
END_TEST

START_TEST(create_topics_only_validates_when_asked_to) {
    set_up();
    struct create_topics_request message = creation(1, 5000);
    message.validate_only = true;
    serve(handle_create_topics, 19, 7, &message);
    ck_assert_int_eq(f.answers, 1);
    ck_assert_int_eq(f.created.topics[0].error_code, KAFKA_NONE);
    ck_assert_int_eq(f.created.topics[0].num_partitions, 2);
    ck_assert(uuid_is_zero(f.created.topics[0].topic_id));
    ck_assert_ptr_null(memory_data(f.world, "/brokers/topics/t"));
    ck_assert_ptr_null(memory_data(f.world, "/config/topics/t"));
    tear_down();
}
END_TEST

START_TEST(a_topic_named_twice_is_refused_both_times) {
    set_up();
    struct create_topics_request message = creation(2, 5000);
    serve(handle_create_topics, 19, 7, &message);
    ck_assert_int_eq(f.answers, 1);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(f.created.topics[i].error_code, KAFKA_INVALID_REQUEST);
        ck_assert(str_equal_text(f.created.topics[i].error_message, "Found multiple entries for this topic."));
    }
    tear_down();
}
END_TEST

START_TEST(only_the_controller_makes_and_removes_topics) {
    set_up();
    f.is_controller = false;
    struct create_topics_request create = creation(1, 5000);
    serve(handle_create_topics, 19, 7, &create);
    ck_assert_int_eq(f.created.topics[0].error_code, KAFKA_NOT_CONTROLLER);
    struct str name = STR_LITERAL("t");
    struct delete_topics_request remove = {.topic_names = &name, .topic_names_count = 1, .timeout_ms = 1000};
    serve(handle_delete_topics, 20, 5, &remove);
    ck_assert_int_eq(f.deleted.responses[0].error_code, KAFKA_NOT_CONTROLLER);
    struct create_partitions_request_create_partitions_topic topic = {.name = name, .count = 3};
    struct create_partitions_request grow = {.topics = &topic, .topics_count = 1, .timeout_ms = 1000};
    serve(handle_create_partitions, 37, 3, &grow);
    ck_assert_int_eq(f.grown.results[0].error_code, KAFKA_NOT_CONTROLLER);
    tear_down();
}
END_TEST

START_TEST(delete_topics_answers_when_the_image_has_forgotten_the_topic) {
    set_up();
    show_topic("t", 1, 1);
    memory_put(f.world, "/brokers/topics/t", "{}");
    struct delete_topics_request_delete_topic_state topics[2] = {{STR_NULL, {{7, 7, 7}}}, {STR_NULL, {{9}}}};
    struct delete_topics_request message = {.topics = topics, .topics_count = 2, .timeout_ms = 1000};
    serve(handle_delete_topics, 20, 6, &message);
    ck_assert_int_eq(f.answers, 0);
    ck_assert_ptr_nonnull(memory_data(f.world, "/admin/delete_topics/t"));
    show_topic("t", 1, -2);
    ck_assert_int_eq(f.answers, 1);
    ck_assert_int_eq(f.deleted.responses[0].error_code, KAFKA_NONE);
    ck_assert(str_equal_text(f.deleted.responses[0].name, "t"));
    ck_assert_int_eq(f.deleted.responses[1].error_code, KAFKA_UNKNOWN_TOPIC_ID);
    topics[0].name = STR_LITERAL("x"); /* a name and an id: nothing is done at all */
    serve(handle_delete_topics, 20, 6, &message);
    ck_assert_int_eq(f.deleted.responses[0].error_code, KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(f.deleted.responses[1].error_code, KAFKA_INVALID_REQUEST);
    tear_down();
}
END_TEST

START_TEST(deletion_can_be_forbidden) {
    set_up_with("delete.topic.enable=false\n");
    struct str name = STR_LITERAL("t");
    struct delete_topics_request message = {.topic_names = &name, .topic_names_count = 1, .timeout_ms = 1000};
    serve(handle_delete_topics, 20, 2, &message);
    ck_assert_int_eq(f.deleted.responses[0].error_code, KAFKA_INVALID_REQUEST);
    serve(handle_delete_topics, 20, 3, &message);
    ck_assert_int_eq(f.deleted.responses[0].error_code, KAFKA_TOPIC_DELETION_DISABLED);
    tear_down();
}
END_TEST

START_TEST(create_partitions_waits_for_the_new_leaders_too) {
    set_up();
    show_topic("t", 1, 1);
    memory_put(f.world, "/brokers/topics/t",
               "{\"version\":3,\"partitions\":{\"0\":[1]},\"topic_id\":\"bWQx0fYdTJqGmVtq3xq1aA\",\"adding_replicas\":"
               "{},\"removing_replicas\":{}}");
    struct create_partitions_request_create_partitions_topic topic = {
        .name = STR_LITERAL("t"), .count = 3, .assignments_count = -1};
    struct create_partitions_request message = {.topics = &topic, .topics_count = 1, .timeout_ms = 1000};
    serve(handle_create_partitions, 37, 3, &message);
    ck_assert_int_eq(f.answers, 0);
    show_topic("t", 3, 1);
    ck_assert_int_eq(f.answers, 1);
    ck_assert_int_eq(f.grown.results[0].error_code, KAFKA_NONE);
    tear_down();
}
END_TEST

static struct incremental_alter_configs_request decode_incremental(const char *hex) {
    static uint8_t bytes[512];
    size_t size = 0;
    for (; hex[0] != '\0'; hex += 2) {
        unsigned byte;
        ck_assert_int_eq(sscanf(hex, "%2x", &byte), 1);
        bytes[size++] = (uint8_t)byte;
    }
    struct reader r = reader_of(bytes, size);
    struct incremental_alter_configs_request message;
    ck_assert_int_eq(incremental_alter_configs_request_decode(&r, 1, &f.request.arena, &message), 0);
    return message;
}

static void assert_bytes(const char *hex) {
    char found[8192];
    for (size_t i = 0; i < f.size; i++) {
        snprintf(found + 2 * i, 3, "%02x", f.bytes[i]);
    }
    ck_assert_str_eq(found, hex);
}

/* tests/recordings/wire/044-IncrementalAlterConfigs-v1.hex, bodies only. */
START_TEST(partitions_asked_for_twice_of_one_topic_are_refused_once) {
    set_up();
    struct create_partitions_request_create_partitions_topic topics[] = {
        {.name = STR_LITERAL("twice"), .count = 3, .assignments_count = -1},
        {.name = STR_LITERAL("nosuch"), .count = 2, .assignments_count = -1},
        {.name = STR_LITERAL("twice"), .count = 4, .assignments_count = -1}};
    struct create_partitions_request message = {.topics = topics, .topics_count = 3, .timeout_ms = 1000};
    serve(handle_create_partitions, 37, 3, &message);
    ck_assert_int_eq(f.answers, 1);
    ck_assert_int_eq(f.grown.results_count, 2);
    ck_assert_int_eq(f.grown.results[0].error_code, KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(f.grown.results[1].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert(str_equal_text(f.grown.results[1].name, "nosuch"));
    tear_down();
}
END_TEST

START_TEST(incremental_alter_configs_answers_as_recorded) {
    set_up();
    show_topic("sw-1", 1, 1);
    struct incremental_alter_configs_request message = decode_incremental(
        "04020573772d31020a626f6775732e6b6579000231000002056e6f7065020d"
        "726574656e74696f6e2e6d730002310000020573772d31020d726574656e74696f6e2e6d73000461626300000000");
    serve(handle_incremental_alter_configs, 44, 1, &message);
    ck_assert_int_eq(f.answers, 1);
    assert_bytes("0000000004002a2845616368207265736f75726365206d75737420617070656172206174206d6f7374206f6e63652e0205"
                 "73772d310000032154686520746f70696320276e6f70652720646f6573206e6f742065786973742e02056e6f706500002a28"
                 "45616368207265736f75726365206d75737420617070656172206174206d6f7374206f6e63652e020573772d310000");
    message =
        decode_incremental("02040232022f7265706c6963612e616c7465722e6c6f672e646972732e696f2e6d61782e62797465732e7065"
                           "722e7365636f6e64010000000000");
    serve(handle_incremental_alter_configs, 44, 1, &message);
    assert_bytes("000000000200000004023200"
                 "00");
    tear_down();
}
END_TEST

START_TEST(alter_configs_replaces_what_is_stored_and_tells_every_broker) {
    set_up();
    memory_put(f.world, "/config/brokers/<default>", "{\"version\":1,\"config\":{\"message.max.bytes\":\"9\"}}");
    struct alter_configs_request_alterable_config entry = {STR_LITERAL("log.retention.ms"), STR_LITERAL("5")};
    struct alter_configs_request_alter_configs_resource resource = {
        .resource_type = 4, .resource_name = STR_LITERAL(""), .configs = &entry, .configs_count = 1};
    struct alter_configs_request message = {.resources = &resource, .resources_count = 1, .validate_only = true};
    serve(handle_alter_configs, 33, 2, &message);
    ck_assert_int_eq(f.answers, 1);
    ck_assert_int_eq(memory_child_count(f.world, "/config/changes"), 0);
    message.validate_only = false;
    serve(handle_alter_configs, 33, 2, &message);
    ck_assert_int_eq(f.answers, 2);
    ck_assert_str_eq(memory_data(f.world, "/config/brokers/<default>"),
                     "{\"version\":1,\"config\":{\"log.retention.ms\":\"5\"}}");
    ck_assert_str_eq(memory_data(f.world, "/config/changes/config_change_0000000000"),
                     "{\"version\":2,\"entity_path\":\"brokers/<default>\"}");
    entry.value = STR_LITERAL("x");
    serve(handle_alter_configs, 33, 2, &message);
    ck_assert_int_eq(memory_child_count(f.world, "/config/changes"), 1);
    tear_down();
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(create_topics_answers_when_every_partition_has_a_leader),
        TEST(create_topics_times_out_and_says_nothing_of_the_topic_but_its_id),
        TEST(create_topics_only_validates_when_asked_to),
        TEST(a_topic_named_twice_is_refused_both_times),
        TEST(only_the_controller_makes_and_removes_topics),
        TEST(delete_topics_answers_when_the_image_has_forgotten_the_topic),
        TEST(deletion_can_be_forbidden),
        TEST(create_partitions_waits_for_the_new_leaders_too),
        TEST(partitions_asked_for_twice_of_one_topic_are_refused_once),
        TEST(incremental_alter_configs_answers_as_recorded),
        TEST(alter_configs_replaces_what_is_stored_and_tells_every_broker),
    };
    return run_tests("admin handlers", tests, sizeof tests / sizeof tests[0]);
}
