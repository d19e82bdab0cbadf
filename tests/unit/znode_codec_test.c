/* Znodes against the trees recorded from a running Apache Kafka 3.9.2: each decodes, and encodes to the same bytes. */
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "coordinator-client/znode_codec.h"
#include "coordinator-client/znode_path.h"
#include "tests/lib/runner.h"

static struct slice slice_of(const char *text) {
    return (struct slice){(const uint8_t *)text, (int32_t)strlen(text)};
}

static bool has_prefix(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool has_suffix(const char *text, const char *suffix) {
    size_t size = strlen(text), suffix_size = strlen(suffix);
    return size >= suffix_size && strcmp(text + size - suffix_size, suffix) == 0;
}

/* Decodes and encodes again; SLICE_NULL when the data does not decode or the path is of a kind we do not keep. */
static struct slice round_trip_topics(struct arena *arena, const char *path, struct slice data) {
    struct znode_partition_state state;
    struct znode_topic topic;
    if (has_suffix(path, "/state")) {
        return znode_decode_partition_state(arena, data, &state) != 0 ? SLICE_NULL
                                                                      : znode_encode_partition_state(arena, &state);
    }
    return znode_decode_topic(arena, data, &topic) != 0 ? SLICE_NULL : znode_encode_topic(arena, &topic);
}

static struct slice round_trip_config(struct arena *arena, const char *path, struct slice data) {
    struct znode_config config;
    struct str entity_path;
    if (has_prefix(path, ZNODE_CONFIG_CHANGES "/")) {
        return znode_decode_config_change(arena, data, &entity_path) != 0
                   ? SLICE_NULL
                   : znode_encode_config_change(arena, entity_path);
    }
    return znode_decode_config(arena, data, &config) != 0 ? SLICE_NULL : znode_encode_config(arena, &config);
}

static struct slice round_trip_list(struct arena *arena, const char *path, struct slice data) {
    bool with_replicas = strcmp(path, ZNODE_REASSIGN_PARTITIONS) == 0;
    struct znode_partition_list list;
    if (znode_decode_partition_list(arena, data, with_replicas, &list) != 0) {
        return SLICE_NULL;
    }
    return with_replicas ? znode_encode_reassign_partitions(arena, &list) : znode_encode_isr_change(arena, &list);
}

static struct slice round_trip_single(struct arena *arena, const char *path, struct slice data) {
    struct znode_controller controller;
    struct znode_producer_id_block block;
    struct znode_feature feature;
    struct str id;
    int32_t number;
    if (strcmp(path, ZNODE_CONTROLLER) == 0 && znode_decode_controller(data, &controller) == 0) {
        return znode_encode_controller(arena, &controller);
    }
    if (strcmp(path, ZNODE_CONTROLLER_EPOCH) == 0 && znode_decode_controller_epoch(data, &number) == 0) {
        return znode_encode_controller_epoch(arena, number);
    }
    if (strcmp(path, ZNODE_CLUSTER_ID) == 0 && znode_decode_cluster_id(arena, data, &id) == 0) {
        return znode_encode_cluster_id(arena, id);
    }
    if (strcmp(path, ZNODE_PRODUCER_ID_BLOCK) == 0 && znode_decode_producer_id_block(data, &block) == 0) {
        return znode_encode_producer_id_block(arena, &block);
    }
    if (strcmp(path, ZNODE_FEATURE) == 0 && znode_decode_feature(arena, data, &feature) == 0) {
        return znode_encode_feature(arena, &feature);
    }
    if (has_prefix(path, ZNODE_LOG_DIR_EVENTS "/") && znode_decode_log_dir_event(data, &number) == 0) {
        return znode_encode_log_dir_event(arena, number);
    }
    return SLICE_NULL;
}

static struct slice round_trip(struct arena *arena, const char *path, struct slice data) {
    struct znode_broker broker;
    if (has_prefix(path, ZNODE_BROKER_IDS "/")) {
        return znode_decode_broker(arena, data, &broker) != 0 ? SLICE_NULL : znode_encode_broker(arena, &broker);
    }
    if (has_prefix(path, ZNODE_TOPICS "/")) {
        return round_trip_topics(arena, path, data);
    }
    if (has_prefix(path, ZNODE_CONFIG "/")) {
        return round_trip_config(arena, path, data);
    }
    if (has_prefix(path, ZNODE_ISR_CHANGES "/") || strcmp(path, ZNODE_REASSIGN_PARTITIONS) == 0 ||
        strcmp(path, ZNODE_PREFERRED_REPLICA_ELECTION) == 0) {
        return round_trip_list(arena, path, data);
    }
    return round_trip_single(arena, path, data);
}

/* Kinds that belong to the authorizer, to delegation tokens and to clients of the old consumer. */
static bool is_kept(const char *path) {
    static const char *const others[] = {"/kafka-acl", "/delegation_token", "/consumers", "/brokers/seqid",
                                         "/zookeeper"};
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        if (has_prefix(path, others[i])) {
            return false;
        }
    }
    return true;
}

/* Counts the nodes with data of one recorded tree and those that came back the same. */
static void check_tree(const char *file_name, int *ret_nodes, int *ret_same) {
    char *line = NULL;
    size_t capacity = 0;
    FILE *file = fopen(file_name, "r");
    ck_assert_ptr_nonnull(file);
    while (getline(&line, &capacity, file) > 0) {
        char *path = strstr(line, " /");
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '#' || path == NULL) {
            continue;
        }
        path++;
        char *data = strchr(path, ' ');
        ck_assert_ptr_nonnull(data);
        *data++ = '\0';
        if (strcmp(data, "null") == 0 || !is_kept(path)) {
            continue;
        }
        struct arena arena;
        arena_init(&arena, SIZE_MAX);
        struct slice made = round_trip(&arena, path, slice_of(data));
        ++*ret_nodes;
        if (made.size == (int32_t)strlen(data) && memcmp(made.data, data, (size_t)made.size) == 0) {
            ++*ret_same;
        } else {
            printf("%s: %s\n  recorded %s\n  made     %.*s\n", file_name, path, data, made.size < 0 ? 4 : made.size,
                   made.size < 0 ? "null" : (const char *)made.data);
        }
        arena_deinit(&arena);
    }
    free(line);
    fclose(file);
}

START_TEST(every_recorded_znode_decodes_and_encodes_to_the_same_bytes) {
    static const char directory[] = "tests/recordings/znodes";
    int trees = 0, same_trees = 0, nodes = 0;
    DIR *dir = opendir(directory);
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (!has_suffix(entry->d_name, ".txt")) {
            continue;
        }
        char *file_name = xasprintf("%s/%s", directory, entry->d_name);
        int tree_nodes = 0, tree_same = 0;
        check_tree(file_name, &tree_nodes, &tree_same);
        free(file_name);
        nodes += tree_nodes;
        trees++;
        same_trees += tree_same == tree_nodes;
    }
    closedir(dir);
    printf("znode trees %d of %d\n", same_trees, trees);
    ck_assert_int_gt(nodes, 2600);
    ck_assert_int_eq(trees, 43);
    ck_assert_int_eq(same_trees, trees);
}
END_TEST

START_TEST(old_broker_registrations_are_read) {
    struct arena arena;
    struct znode_broker broker;
    arena_init(&arena, SIZE_MAX);
    ck_assert_int_eq(
        znode_decode_broker(&arena, slice_of("{\"version\":1,\"host\":\"h\",\"port\":9092,\"jmx_port\":-1}"), &broker),
        0);
    ck_assert_int_eq(broker.endpoint_count, 1);
    ck_assert_int_eq(broker.endpoints[0].port, 9092);
    ck_assert(str_equal_text(broker.endpoints[0].security_protocol, "PLAINTEXT"));
    ck_assert_int_eq(znode_decode_broker(&arena,
                                         slice_of("{\"version\":3,\"host\":null,\"port\":-1,\"jmx_port\":9,"
                                                  "\"endpoints\":[\"SSL://[::1]:93\"],\"rack\":\"r\",\"odd\":[{}]}"),
                                         &broker),
                     0);
    ck_assert(str_equal_text(broker.endpoints[0].security_protocol, "SSL"));
    ck_assert(str_equal_text(broker.endpoints[0].host, "::1"));
    ck_assert(str_equal_text(broker.rack, "r"));
    struct slice again = znode_encode_broker(&arena, &broker);
    ck_assert_ptr_nonnull(memmem(again.data, (size_t)again.size, "\"SSL://[::1]:93\"", 16));
    ck_assert_ptr_nonnull(memmem(again.data, (size_t)again.size, "\"port\":-1,\"host\":null", 21));
    arena_deinit(&arena);
}
END_TEST

START_TEST(data_that_is_not_what_kafka_writes_is_corrupt_and_nothing_worse) {
    static const char *const bad[] = {"",
                                      "{",
                                      "[]",
                                      "null",
                                      "7",
                                      "{\"version\":\"x\"}",
                                      "{\"version\":5,\"jmx_port\":1,\"endpoints\":[\"a:b\"]}",
                                      "{\"version\":5,\"jmx_port\":1,\"endpoints\":[\"P://h:99999\"]}",
                                      "{\"version\":5,\"jmx_port\":1,\"endpoints\":[]}",
                                      "{\"version\":3,\"partitions\":{\"-1\":[1]}}",
                                      "{\"version\":3,\"partitions\":{\"0\":[\"x\"]}}",
                                      "{\"version\":3,\"partitions\":{\"0\":[1]},\"topic_id\":\"short\"}",
                                      "{\"leader\":1,\"leader_epoch\":99999999999,\"controller_epoch\":1,\"isr\":[1]}",
                                      "{\"leader\":1,\"leader_epoch\":1,\"controller_epoch\":1,\"isr\":1}"};
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct slice data = slice_of(bad[i]);
        struct znode_broker broker;
        struct znode_topic topic;
        struct znode_partition_state state;
        struct znode_controller controller;
        ck_assert_int_eq(znode_decode_broker(&arena, data, &broker), ERR_CORRUPT);
        ck_assert_int_eq(znode_decode_topic(&arena, data, &topic), ERR_CORRUPT);
        ck_assert_int_eq(znode_decode_partition_state(&arena, data, &state), ERR_CORRUPT);
        ck_assert_int_eq(znode_decode_controller(data, &controller), ERR_CORRUPT);
    }
    int32_t epoch;
    ck_assert_int_eq(znode_decode_controller_epoch(slice_of("99999999999"), &epoch), ERR_CORRUPT);
    ck_assert_int_eq(znode_decode_controller_epoch(slice_of("1x"), &epoch), ERR_CORRUPT);
    arena_deinit(&arena);
}
END_TEST

START_TEST(an_empty_config_or_producer_block_is_the_first_of_its_kind) {
    struct arena arena;
    struct znode_config config;
    struct znode_producer_id_block block;
    arena_init(&arena, SIZE_MAX);
    ck_assert_int_eq(znode_decode_config(&arena, SLICE_NULL, &config), 0);
    ck_assert_int_eq(config.entry_count, 0);
    ck_assert_int_eq(znode_decode_producer_id_block(SLICE_NULL, &block), 0);
    ck_assert_int_eq(block.last, -1);
    arena_deinit(&arena);
}
END_TEST

START_TEST(texts_are_escaped_as_jackson_does) {
    struct arena arena;
    struct znode_config_entry entry = {STR_LITERAL("k"), STR_LITERAL("a\"b\\c\n\x01/\xc3\xa4")};
    struct znode_config config = {&entry, 1}, again;
    arena_init(&arena, SIZE_MAX);
    struct slice made = znode_encode_config(&arena, &config);
    const char expected[] = "{\"version\":1,\"config\":{\"k\":\"a\\\"b\\\\c\\n\\u0001/\xc3\xa4\"}}";
    ck_assert_int_eq(made.size, (int)sizeof expected - 1);
    ck_assert_mem_eq(made.data, expected, sizeof expected - 1);
    ck_assert_int_eq(znode_decode_config(&arena, made, &again), 0);
    ck_assert(str_equal(again.entries[0].value, entry.value));
    arena_deinit(&arena);
}
END_TEST

START_TEST(the_notification_of_kafka_0_8_names_the_same_entity) {
    struct arena arena;
    struct str path;
    arena_init(&arena, SIZE_MAX);
    ck_assert_int_eq(znode_decode_config_change(
                         &arena, slice_of("{\"version\":1,\"entity_type\":\"topics\",\"entity_name\":\"foo\"}"), &path),
                     0);
    ck_assert(str_equal_text(path, "topics/foo"));
    arena_deinit(&arena);
}
END_TEST

START_TEST(rule_35_paths_are_spelt_and_read_back) {
    char path[ZNODE_PATH_SIZE];
    ck_assert_str_eq(znode_partition_state_path(path, STR_LITERAL("a.b"), 12),
                     "/brokers/topics/a.b/partitions/12/state");
    ck_assert_str_eq(znode_config_path(path, "brokers", STR_LITERAL(ZNODE_DEFAULT_ENTITY)),
                     "/config/brokers/<default>");
    ck_assert_int_eq(znode_sequence("config_change_0000000012", ZNODE_CONFIG_CHANGE_PREFIX), 12);
    ck_assert_int_eq(znode_sequence("config_change_", ZNODE_CONFIG_CHANGE_PREFIX), -1);
    ck_assert_int_eq(znode_number("1x"), -1);
    ck_assert_int_eq(znode_number("99999999999999999999"), -1);
    ck_assert(znode_is_sensitive("/config/users/u"));
    ck_assert(!znode_is_sensitive("/config/users2"));
    ck_assert_str_eq(znode_name("/a/b"), "b");
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(every_recorded_znode_decodes_and_encodes_to_the_same_bytes),
        TEST(old_broker_registrations_are_read),
        TEST(data_that_is_not_what_kafka_writes_is_corrupt_and_nothing_worse),
        TEST(an_empty_config_or_producer_block_is_the_first_of_its_kind),
        TEST(texts_are_escaped_as_jackson_does),
        TEST(the_notification_of_kafka_0_8_names_the_same_entity),
        TEST(rule_35_paths_are_spelt_and_read_back),
    };
    return run_tests("znode codec", tests, sizeof tests / sizeof tests[0]);
}
