/* Settings over the wire: entries as recorded, changes and their refusals. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/protocol/errors.h"
#include "broker/protocol/header.h"
#include "broker/request/config_change.h"
#include "broker/request/config_entries.h"
#include "tests/lib/broker_settings.h"
#include "tests/lib/recordings.h"
#include "tests/lib/runner.h"

static struct arena arena;

static struct config *make_config(const char *lines) {
    trace_nothing();
    return test_broker_config("1", lines);
}

/* Entries. */

struct recorded {
    int found;
};

/* The recorded answer for topic "plain", all keys, no synonyms: the very bytes come out of the tables. */
static void compare_recorded(const struct recorded_frame *frame, void *context) {
    struct recorded *recorded = context;
    if (frame->is_request || frame->api_key != 32 || frame->api_version != 4 || frame->size < 1000) {
        return;
    }
    struct reader r = reader_of(frame->bytes + 5, frame->size - 5); /* correlation id, tags */
    struct describe_configs_response expected;
    ck_assert_int_eq(describe_configs_response_decode(&r, 4, &arena, &expected), 0);
    if (!str_equal_text(expected.results[0].resource_name, "plain")) {
        return;
    }
    struct config *config = make_config("");
    struct properties own;
    properties_init(&own);
    properties_set(&own, "segment.bytes", "1048576");
    properties_set(&own, "retention.ms", "123456");
    struct config_entries_options options = {0};
    struct describe_configs_response_describe_configs_result result;
    describe_configs_response_describe_configs_result_init(&result);
    config_entries_of_topic(config, &own, &options, &arena, &result);
    ck_assert_int_eq(result.configs_count, expected.results[0].configs_count);
    for (int32_t i = 0; i < result.configs_count; i++) {
        const struct describe_configs_response_describe_configs_resource_result *a = &result.configs[i];
        const struct describe_configs_response_describe_configs_resource_result *b = &expected.results[0].configs[i];
        ck_assert_msg(str_equal(a->name, b->name), "%d: %.*s, recorded %.*s", i, STR_ARGS(a->name), STR_ARGS(b->name));
        ck_assert_msg(str_equal(a->value, b->value), "%.*s=%.*s, recorded %.*s", STR_ARGS(a->name), STR_ARGS(a->value),
                      STR_ARGS(b->value));
        ck_assert_int_eq(a->config_source, b->config_source);
        ck_assert_int_eq(a->config_type, b->config_type);
        ck_assert_int_eq(a->read_only, b->read_only);
        ck_assert_int_eq(a->is_sensitive, b->is_sensitive);
    }
    properties_deinit(&own);
    config_destroy(config);
    recorded->found++;
}

START_TEST(a_topics_entries_are_those_recorded_in_the_order_recorded) {
    arena_init(&arena, SIZE_MAX);
    struct recorded recorded = {0};
    recordings_each("tests/recordings/wire", compare_recorded, &recorded);
    ck_assert_int_ge(recorded.found, 1);
    arena_deinit(&arena);
}
END_TEST

/* "SOURCE:name=value" for each synonym, as kafka-configs shows them. */
static void print_synonyms(const struct describe_configs_response_describe_configs_resource_result *entry, char *ret,
                           size_t size) {
    size_t used = 0;
    ret[0] = '\0';
    for (int32_t i = 0; i < entry->synonyms_count; i++) {
        used +=
            (size_t)snprintf(ret + used, size - used, "%s%d:%.*s=%.*s", i > 0 ? ", " : "", entry->synonyms[i].source,
                             STR_ARGS(entry->synonyms[i].name), STR_ARGS(entry->synonyms[i].value));
    }
}

static void assert_entry(const struct config *config, bool is_topic, const char *name, const char *value,
                         const char *synonyms) {
    struct str key = str_from(name);
    struct config_entries_options options = {.keys = &key, .key_count = 1, .with_synonyms = true};
    struct describe_configs_response_describe_configs_result result;
    describe_configs_response_describe_configs_result_init(&result);
    if (is_topic) {
        config_entries_of_topic(config, NULL, &options, &arena, &result);
    } else {
        config_entries_of_broker(config, false, &options, &arena, &result);
    }
    ck_assert_int_eq(result.configs_count, 1);
    char text[512];
    print_synonyms(&result.configs[0], text, sizeof text);
    ck_assert_str_eq(text, synonyms);
    snprintf(text, sizeof text, "%.*s", STR_ARGS(result.configs[0].value));
    ck_assert_str_eq(text, value);
    ck_assert_int_eq(result.configs[0].config_source, synonyms[0] == '\0' ? 5 : synonyms[0] - '0');
}

/* tests/recordings/cli/static-configs.txt */
START_TEST(synonyms_begin_with_the_asked_name_as_recorded) {
    arena_init(&arena, SIZE_MAX);
    struct config *config = make_config("log.segment.bytes=536870912\nlog.retention.hours=72\nnum.io.threads=4\n");
    assert_entry(config, true, "retention.ms", "259200000", "");
    assert_entry(config, true, "segment.bytes", "536870912",
                 "4:log.segment.bytes=536870912, 5:log.segment.bytes=1073741824");
    assert_entry(config, true, "flush.ms", "9223372036854775807", "");
    assert_entry(config, true, "follower.replication.throttled.replicas", "", "");
    assert_entry(config, false, "log.retention.ms", "", "");
    struct properties values;
    properties_init(&values);
    properties_set(&values, "log.retention.ms", "86400000");
    char *message = NULL;
    ck_assert_int_eq(config_set_dynamic(config, CONFIG_DYNAMIC_DEFAULT, &values, false, &message), 0);
    properties_deinit(&values);
    const char *all = "3:log.retention.ms=86400000, 4:log.retention.hours=72, 5:log.retention.hours=168";
    assert_entry(config, true, "retention.ms", "86400000", all);
    assert_entry(config, false, "log.retention.ms", "86400000", all);
    assert_entry(config, false, "num.io.threads", "4", "4:num.io.threads=4, 5:num.io.threads=8");
    config_destroy(config);
    arena_deinit(&arena);
}
END_TEST

START_TEST(a_broker_lists_315_keys_and_the_default_only_what_is_set) {
    arena_init(&arena, SIZE_MAX);
    struct config *config = make_config("");
    struct config_entries_options options = {0};
    struct describe_configs_response_describe_configs_result result;
    describe_configs_response_describe_configs_result_init(&result);
    config_entries_of_broker(config, false, &options, &arena, &result);
    ck_assert_int_eq(result.configs_count, 315);
    config_entries_of_broker(config, true, &options, &arena, &result);
    ck_assert_int_eq(result.configs_count, 0);
    config_destroy(config);
    arena_deinit(&arena);
}
END_TEST

/* tests/recordings/cli/static-configs.txt: the whole of `configs --describe --broker 1 --all`. */

#define RECORDING "tests/recordings/cli/static-configs.txt"
#define LISTING "|All configs for broker 1 are:\n"

static char *recorded_listing(void) {
    FILE *file = fopen(RECORDING, "r");
    ck_assert_ptr_nonnull(file);
    static char text[200000];
    size_t size = fread(text, 1, sizeof text - 1, file);
    text[size] = '\0';
    fclose(file);
    char *begin = strstr(text, LISTING);
    ck_assert_ptr_nonnull(begin);
    begin += strlen(LISTING);
    char *end = strstr(begin, "stderr:");
    ck_assert_ptr_nonnull(end);
    *end = '\0';
    return begin;
}

/* The settings the recorded broker was started with, from its own listing. */
static struct config *recorded_config(const char *listing) {
    struct properties properties;
    properties_init(&properties);
    for (const char *at = strstr(listing, "STATIC_BROKER_CONFIG:"); at != NULL;
         at = strstr(at, "STATIC_BROKER_CONFIG:")) {
        at += strlen("STATIC_BROKER_CONFIG:");
        char *key = xstrndup(at, strcspn(at, "="));
        const char *value = at + strlen(key) + 1;
        char *copy = xstrndup(value, strcspn(value, ",}"));
        if (strcmp(key, "authorizer.class.name") != 0) { /* not to be had in this version */
            properties_set(&properties, key, strcmp(copy, "PLAINTEXT://<B1>") == 0 ? "PLAINTEXT://b:1" : copy);
        }
        free(key);
        free(copy);
    }
    char *message = NULL;
    struct config *config = NULL;
    ck_assert_msg(config_create(&properties, &config, &message) == 0, "%s", message);
    properties_deinit(&properties);
    properties_set(&properties, "log.retention.ms", "86400000");
    ck_assert_int_eq(config_set_dynamic(config, CONFIG_DYNAMIC_DEFAULT, &properties, false, &message), 0);
    properties_deinit(&properties);
    properties_set(&properties, "num.io.threads", "6");
    ck_assert_int_eq(config_set_dynamic(config, CONFIG_DYNAMIC_BROKER, &properties, false, &message), 0);
    properties_deinit(&properties);
    return config;
}

/* As kafka-configs prints an entry. */
static void print_entry(const struct describe_configs_response_describe_configs_resource_result *entry, char *ret,
                        size_t size) {
    static const char *const sources[] = {
        "", "", "DYNAMIC_BROKER_CONFIG", "DYNAMIC_DEFAULT_BROKER_CONFIG", "STATIC_BROKER_CONFIG", "DEFAULT_CONFIG"};
    struct str null = STR_LITERAL("null");
    struct str value = str_is_null(entry->value) ? null : entry->value;
    size_t used = (size_t)snprintf(ret, size, "|  %.*s=%.*s sensitive=%s synonyms={", STR_ARGS(entry->name),
                                   STR_ARGS(value), entry->is_sensitive ? "true" : "false");
    for (int32_t i = 0; i < entry->synonyms_count; i++) {
        value = str_is_null(entry->synonyms[i].value) ? null : entry->synonyms[i].value;
        used +=
            (size_t)snprintf(ret + used, size - used, "%s%s:%.*s=%.*s", i > 0 ? ", " : "",
                             sources[entry->synonyms[i].source], STR_ARGS(entry->synonyms[i].name), STR_ARGS(value));
    }
    snprintf(ret + used, size - used, "}\n");
}

START_TEST(a_brokers_listing_is_the_recorded_one_line_by_line) {
    arena_init(&arena, SIZE_MAX);
    trace_nothing();
    const char *listing = recorded_listing();
    struct config *config = recorded_config(listing);
    struct config_entries_options options = {.with_synonyms = true};
    struct describe_configs_response_describe_configs_result result;
    describe_configs_response_describe_configs_result_init(&result);
    config_entries_of_broker(config, false, &options, &arena, &result);
    int32_t lines = 0;
    for (const char *at = listing; *at == '|'; at = strchr(at, '\n') + 1) {
        lines++;
    }
    ck_assert_int_eq(result.configs_count, lines);
    for (int32_t i = 0; i < result.configs_count; i++) {
        char line[2048];
        print_entry(&result.configs[i], line, sizeof line);
        struct str name = result.configs[i].name;
        if (!str_equal_text(name, "listeners") && !str_equal_text(name, "authorizer.class.name")) {
            ck_assert_msg(strstr(listing, line) != NULL, "not recorded: %s", line);
        }
    }
    config_destroy(config);
    arena_deinit(&arena);
}
END_TEST

/* Changes. */

static void assert_verdict(struct config_verdict verdict, int16_t error_code, const char *message) {
    char text[512];
    snprintf(text, sizeof text, "%.*s", STR_ARGS(verdict.message));
    ck_assert_str_eq(text, message);
    ck_assert_int_eq(verdict.error_code, error_code);
}

START_TEST(lists_are_appended_to_and_subtracted_from) {
    arena_init(&arena, SIZE_MAX);
    struct properties values;
    properties_init(&values);
    struct config_change append = {STR_LITERAL("cleanup.policy"), CONFIG_APPEND, STR_LITERAL("compact")};
    assert_verdict(config_change_apply(CONFIG_RESOURCE_TOPIC, &values, &append, 1, &arena), KAFKA_NONE, "");
    ck_assert_str_eq(properties_get(&values, "cleanup.policy"), "delete,compact");
    assert_verdict(config_change_apply(CONFIG_RESOURCE_TOPIC, &values, &append, 1, &arena), KAFKA_NONE, "");
    ck_assert_str_eq(properties_get(&values, "cleanup.policy"), "delete,compact");
    struct config_change subtract = {STR_LITERAL("cleanup.policy"), CONFIG_SUBTRACT, STR_LITERAL("delete")};
    assert_verdict(config_change_apply(CONFIG_RESOURCE_TOPIC, &values, &subtract, 1, &arena), KAFKA_NONE, "");
    ck_assert_str_eq(properties_get(&values, "cleanup.policy"), "compact");
    struct config_change remove = {STR_LITERAL("cleanup.policy"), CONFIG_DELETE, STR_NULL};
    assert_verdict(config_change_apply(CONFIG_RESOURCE_TOPIC, &values, &remove, 1, &arena), KAFKA_NONE, "");
    ck_assert_int_eq(values.count, 0);
    struct config_change number = {STR_LITERAL("retention.ms"), CONFIG_APPEND, STR_LITERAL("1")};
    assert_verdict(config_change_apply(CONFIG_RESOURCE_TOPIC, &values, &number, 1, &arena), KAFKA_INVALID_CONFIG,
                   "Config value append is not allowed for config key: retention.ms");
    properties_deinit(&values);
    arena_deinit(&arena);
}
END_TEST

START_TEST(requests_that_cannot_be_meant_are_refused) {
    arena_init(&arena, SIZE_MAX);
    struct config_change twice[] = {{STR_LITERAL("a"), CONFIG_SET, STR_LITERAL("1")},
                                    {STR_LITERAL("a"), CONFIG_DELETE, STR_NULL}};
    assert_verdict(config_change_check_request(CONFIG_RESOURCE_TOPIC, STR_LITERAL("t"), 1, twice, 2, &arena),
                   KAFKA_INVALID_REQUEST, "Error due to duplicate config keys");
    struct config_change null = {STR_LITERAL("a"), CONFIG_SET, STR_NULL};
    assert_verdict(config_change_check_request(CONFIG_RESOURCE_TOPIC, STR_LITERAL("t"), 1, &null, 1, &arena),
                   KAFKA_INVALID_REQUEST, "Null value not supported for : a");
    assert_verdict(config_change_check_request(CONFIG_RESOURCE_TOPIC, STR_LITERAL(""), 1, NULL, 0, &arena),
                   KAFKA_INVALID_REQUEST, "Default topic resources are not allowed.");
    assert_verdict(config_change_check_request(CONFIG_RESOURCE_BROKER, STR_LITERAL("2"), 1, NULL, 0, &arena),
                   KAFKA_INVALID_REQUEST, "Unexpected broker id, expected 1, but received 2");
    assert_verdict(config_change_check_request(CONFIG_RESOURCE_BROKER, STR_LITERAL("x"), 1, NULL, 0, &arena),
                   KAFKA_INVALID_REQUEST, "Node id must be an integer, but it is: x");
    assert_verdict(config_change_check_request(CONFIG_RESOURCE_BROKER, STR_LITERAL(""), 1, NULL, 0, &arena), KAFKA_NONE,
                   "");
    arena_deinit(&arena);
}
END_TEST

static void assert_broker_refused(const struct config *config, const char *entity, const char *key, const char *value,
                                  const char *message) {
    struct properties values;
    properties_init(&values);
    properties_set(&values, key, value);
    assert_verdict(config_change_check_broker(config, str_from(entity), &values, &arena), KAFKA_INVALID_REQUEST,
                   message);
    properties_deinit(&values);
}

START_TEST(a_password_is_never_stored_not_even_for_one_listener) {
    arena_init(&arena, SIZE_MAX);
    struct config *config = make_config("");
    static const char *const keys[] = {"ssl.keystore.password", "listener.name.plaintext.ssl.keystore.password"};
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        struct properties values;
        properties_init(&values);
        properties_set(&values, keys[i], "secret");
        struct config_verdict verdict = config_change_check_broker(config, str_from("1"), &values, &arena);
        ck_assert_int_eq(verdict.error_code, KAFKA_INVALID_CONFIG);
        properties_deinit(&values);
    }
    config_destroy(config);
    arena_deinit(&arena);
}
END_TEST

START_TEST(broker_changes_are_refused_with_the_words_of_kafka) {
    arena_init(&arena, SIZE_MAX);
    struct config *config = make_config("");
    assert_broker_refused(config, "1", "log.dirs", "/x", "Cannot update these configs dynamically: Set(log.dirs)");
    assert_broker_refused(config, "1", "log.cleaner.threads", "x",
                          "Invalid value x for configuration log.cleaner.threads: Not a number of type INT");
    assert_broker_refused(config, "1", "num.io.threads", "17",
                          "Invalid value org.apache.kafka.common.config.ConfigException: "
                          "Dynamic thread count update validation failed for num.io.threads=17, value should not be "
                          "greater than double the current value 8 for configuration Invalid dynamic configuration");
    assert_broker_refused(config, "1", "num.io.threads", "3",
                          "Invalid value org.apache.kafka.common.config.ConfigException: "
                          "Dynamic thread count update validation failed for num.io.threads=3, value should be at "
                          "least half the current value 8 for configuration Invalid dynamic configuration");
    assert_broker_refused(config, "", "listeners", "PLAINTEXT://:1",
                          "Cannot update these configs at default cluster level, broker id must be specified: "
                          "Set(listeners)");
    assert_broker_refused(config, "", "principal.builder.class", "X",
                          "Invalid value X for configuration principal.builder.class: Class X could not be found.");
    assert_broker_refused(config, "1", "log.cleaner.threads", "3",
                          "Invalid value org.apache.kafka.common.config.ConfigException: Log cleaner threads cannot be "
                          "increased to more than double the current value 1 for configuration Invalid dynamic "
                          "configuration");
    assert_broker_refused(config, "1", "max.connections.per.ip.overrides", "127.0.0.1:x", "For input string: \"x\"");
    config_destroy(config);
    arena_deinit(&arena);
}
END_TEST

START_TEST(a_bad_topic_value_names_the_resource) {
    arena_init(&arena, SIZE_MAX);
    struct config *config = make_config("");
    struct properties values;
    properties_init(&values);
    properties_set(&values, "retention.ms", "abc");
    assert_verdict(config_change_check_topic(config, STR_LITERAL("t"), &values, &arena), KAFKA_INVALID_CONFIG,
                   "Invalid config value for resource ConfigResource(type=TOPIC, name='t'): Invalid value abc for "
                   "configuration retention.ms: Not a number of type LONG");
    properties_set(&values, "foo", "1");
    assert_verdict(config_change_check_topic(config, STR_LITERAL("t"), &values, &arena), KAFKA_INVALID_CONFIG,
                   "Unknown topic config name: foo");
    properties_deinit(&values);
    config_destroy(config);
    arena_deinit(&arena);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_topics_entries_are_those_recorded_in_the_order_recorded),
        TEST(synonyms_begin_with_the_asked_name_as_recorded),
        TEST(a_broker_lists_315_keys_and_the_default_only_what_is_set),
        TEST(a_brokers_listing_is_the_recorded_one_line_by_line),
        TEST(lists_are_appended_to_and_subtracted_from),
        TEST(requests_that_cannot_be_meant_are_refused),
        TEST(a_password_is_never_stored_not_even_for_one_listener),
        TEST(broker_changes_are_refused_with_the_words_of_kafka),
        TEST(a_bad_topic_value_names_the_resource),
    };
    return run_tests("admin configs", tests, sizeof tests / sizeof tests[0]);
}
