/* Levels of loggers: what lines they let through, and what DescribeConfigs and IncrementalAlterConfigs say of them, in
 * the words a running Kafka 3.9.2 was heard to use. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "broker/base/trace.h"
#include "broker/protocol/errors.h"
#include "broker/request/broker_loggers.h"
#include "tests/lib/runner.h"

#define LOGGER "kafka.log.LogManager"
#define OTHER "kafka.server.ReplicaManager"

static struct arena arena;
static char lines[4096];

static void keep_line(enum trace_level level, const char *line, void *context) {
    (void)level;
    (void)context;
    const char *text = strchr(line, ']'); /* without the stamp */
    size_t used = strlen(lines);
    snprintf(lines + used, sizeof lines - used, "%s\n", text + 2);
}

static void set_up(void) {
    arena_init(&arena, SIZE_MAX);
    lines[0] = '\0';
    trace_set_sink(keep_line, NULL);
}

static void tear_down(void) {
    trace_set_sink(NULL, NULL);
    trace_set_level(TRACE_INFO);
    for (int i = TRACE_ROOT + 1; i < trace_logger_count(); i++) {
        trace_logger_unset(i);
    }
    arena_deinit(&arena);
}

static int logger(const char *name) {
    int found = trace_logger_find(name, strlen(name));
    ck_assert_int_ge(found, 0);
    return found;
}

START_TEST(a_logger_writes_what_its_level_lets_through) {
    set_up();
    trace_debug(LOGGER, "too low");
    trace_info(LOGGER, "as root");
    trace_logger_set(logger(LOGGER), TRACE_DEBUG);
    trace_debug(LOGGER, "its own level");
    trace_debug(OTHER, "another logger");
    trace_debug("no such logger", "follows root");
    trace_logger_set(logger(OTHER), TRACE_ERROR);
    trace_warn(OTHER, "silenced");
    trace_error(OTHER, "%s", "an error is heard");
    trace_set_level(TRACE_FATAL);
    trace_error("kafka.Kafka$", "root has become silent");
    trace_info(LOGGER, "still its own level");
    trace_logger_unset(logger(LOGGER));
    trace_info(LOGGER, "root's again");
    ck_assert_str_eq(lines, "INFO as root (kafka.log.LogManager)\n"
                            "DEBUG its own level (kafka.log.LogManager)\n"
                            "ERROR an error is heard (kafka.server.ReplicaManager)\n"
                            "INFO still its own level (kafka.log.LogManager)\n");
    tear_down();
}
END_TEST

START_TEST(what_no_logger_writes_is_not_even_formatted) {
    set_up();
    int evaluated = 0;
    trace_debug(LOGGER, "%d", ++evaluated);
    ck_assert_int_eq(evaluated, 0);
    trace_logger_set(logger(LOGGER), TRACE_TRACE);
    trace_debug(LOGGER, "%d", ++evaluated);
    ck_assert_int_eq(evaluated, 1);
    trace_logger_unset(logger(LOGGER));
    trace_debug(LOGGER, "%d", ++evaluated);
    ck_assert_int_eq(evaluated, 1);
    tear_down();
}
END_TEST

static struct describe_configs_response_describe_configs_result describe(const char *name, const char *only) {
    struct str key = str_from(only == NULL ? "" : only);
    struct config_entries_options options = {.keys = &key, .key_count = only == NULL ? 0 : 1, .with_synonyms = true};
    struct describe_configs_response_describe_configs_result result;
    describe_configs_response_describe_configs_result_init(&result);
    broker_loggers_describe(str_from(name), 1, &options, &arena, &result);
    return result;
}

static const char *level_of(const char *name) {
    struct describe_configs_response_describe_configs_result result = describe("1", name);
    ck_assert_int_eq(result.configs_count, 1);
    return arena_printf(&arena, "%.*s", STR_ARGS(result.configs[0].value)).data;
}

START_TEST(they_are_described_with_the_levels_in_force) {
    set_up();
    struct describe_configs_response_describe_configs_result all = describe("1", NULL);
    ck_assert_int_eq(all.error_code, KAFKA_NONE);
    ck_assert_int_eq(all.configs_count, trace_logger_count());
    ck_assert(str_equal_text(all.configs[0].name, "root"));
    for (int32_t i = 0; i < all.configs_count; i++) {
        ck_assert(str_equal_text(all.configs[i].value, "INFO"));
        ck_assert_int_eq(all.configs[i].config_source, 6);
        ck_assert_int_eq(all.configs[i].synonyms_count, 0);
        ck_assert(!all.configs[i].read_only && !all.configs[i].is_sensitive);
    }
    ck_assert_int_eq(describe("1", "nosuch").configs_count, 0);
    trace_set_level(TRACE_WARN);
    trace_logger_set(logger(OTHER), TRACE_TRACE);
    ck_assert_str_eq(level_of("root"), "WARN");
    ck_assert_str_eq(level_of(LOGGER), "WARN");
    ck_assert_str_eq(level_of(OTHER), "TRACE");
    tear_down();
}
END_TEST

START_TEST(only_the_broker_that_is_asked_has_them) {
    set_up();
    static const char *const cases[][2] = {
        {"", "Broker id must not be empty"},
        {"x", "Broker id must be an integer, but it is: x"},
        {"2", "Unexpected broker id, expected 1 but received 2"},
        {"99999999999", "Broker id must be an integer, but it is: 99999999999"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct describe_configs_response_describe_configs_result result = describe(cases[i][0], NULL);
        ck_assert_int_eq(result.error_code, KAFKA_INVALID_REQUEST);
        ck_assert_msg(str_equal_text(result.error_message, cases[i][1]), "%.*s", STR_ARGS(result.error_message));
        ck_assert_int_eq(result.configs_count, 0);
    }
    tear_down();
}
END_TEST

static void alters(const char *broker, const char *name, int8_t operation, const char *value, int16_t code,
                   const char *message) {
    struct config_change change = {str_from(name), operation, value == NULL ? STR_NULL : str_from(value)};
    struct config_verdict verdict = broker_loggers_alter(str_from(broker), 1, &change, 1, false, &arena);
    ck_assert_msg(verdict.error_code == code && (message == NULL || str_equal_text(verdict.message, message)),
                  "%s %d %s: %d %.*s", name, operation, value == NULL ? "null" : value, verdict.error_code,
                  STR_ARGS(verdict.message));
}

#define UNSUPPORTED(level)                                                                                             \
    "Cannot set the log level of " LOGGER " to " level " as it is not a supported log level. Valid log levels are "    \
    "DEBUG, ERROR, FATAL, INFO, TRACE, WARN"

START_TEST(changes_are_refused_in_kafkas_words) {
    set_up();
    alters("1", LOGGER, CONFIG_SET, "LOUD", KAFKA_INVALID_CONFIG, UNSUPPORTED("LOUD"));
    alters("1", LOGGER, CONFIG_SET, "debug", KAFKA_INVALID_CONFIG, UNSUPPORTED("debug"));
    alters("1", LOGGER, CONFIG_SET, "", KAFKA_INVALID_CONFIG, UNSUPPORTED(""));
    alters("1", "nosuch", CONFIG_SET, "LOUD", KAFKA_INVALID_CONFIG, "Logger nosuch does not exist!");
    alters("1", "nosuch", CONFIG_DELETE, NULL, KAFKA_INVALID_CONFIG, "Logger nosuch does not exist!");
    alters("1", "root", CONFIG_DELETE, NULL, KAFKA_INVALID_REQUEST,
           "Removing the log level of the root logger is not allowed");
    alters("1", "nosuch", CONFIG_APPEND, "INFO", KAFKA_INVALID_REQUEST,
           "APPEND operation is not allowed for the BROKER_LOGGER resource");
    alters("1", LOGGER, CONFIG_SUBTRACT, "INFO", KAFKA_INVALID_REQUEST,
           "SUBTRACT operation is not allowed for the BROKER_LOGGER resource");
    alters("1", LOGGER, CONFIG_SET, NULL, KAFKA_INVALID_REQUEST, "Null value not supported for : " LOGGER);
    alters("1", LOGGER, 7, "INFO", KAFKA_INVALID_REQUEST, NULL);
    alters("", LOGGER, CONFIG_SET, "DEBUG", KAFKA_INVALID_REQUEST, "Node id must be an integer, but it is: ");
    alters("x", LOGGER, CONFIG_SET, "DEBUG", KAFKA_INVALID_REQUEST, "Node id must be an integer, but it is: x");
    alters("2", LOGGER, CONFIG_SET, "DEBUG", KAFKA_INVALID_REQUEST, "Unexpected node id. Expected 1, but received 2");
    ck_assert_str_eq(level_of(LOGGER), "INFO");
    tear_down();
}
END_TEST

START_TEST(changes_are_made_all_or_none) {
    set_up();
    struct config_change changes[] = {{STR_LITERAL(LOGGER), CONFIG_SET, STR_LITERAL("DEBUG")},
                                      {STR_LITERAL("nosuch"), CONFIG_SET, STR_LITERAL("DEBUG")}};
    ck_assert_int_eq(broker_loggers_alter(STR_LITERAL("1"), 1, changes, 2, false, &arena).error_code,
                     KAFKA_INVALID_CONFIG);
    ck_assert_str_eq(level_of(LOGGER), "INFO");
    changes[1].name = STR_LITERAL(OTHER);
    ck_assert_int_eq(broker_loggers_alter(STR_LITERAL("1"), 1, changes, 2, true, &arena).error_code, KAFKA_NONE);
    ck_assert_str_eq(level_of(LOGGER), "INFO");
    ck_assert_int_eq(broker_loggers_alter(STR_LITERAL("1"), 1, changes, 2, false, &arena).error_code, KAFKA_NONE);
    ck_assert_str_eq(level_of(LOGGER), "DEBUG");
    ck_assert_str_eq(level_of(OTHER), "DEBUG");
    alters("1", LOGGER, CONFIG_DELETE, NULL, KAFKA_NONE, NULL);
    alters("1", LOGGER, CONFIG_DELETE, NULL, KAFKA_NONE, NULL); /* what has no level of its own can lose it again */
    alters("1", "root", CONFIG_SET, "ERROR", KAFKA_NONE, NULL);
    ck_assert_str_eq(level_of(LOGGER), "ERROR");
    ck_assert_str_eq(level_of(OTHER), "DEBUG");
    tear_down();
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_logger_writes_what_its_level_lets_through), TEST(what_no_logger_writes_is_not_even_formatted),
        TEST(they_are_described_with_the_levels_in_force), TEST(only_the_broker_that_is_asked_has_them),
        TEST(changes_are_refused_in_kafkas_words),         TEST(changes_are_made_all_or_none),
    };
    return run_tests("broker loggers", tests, sizeof tests / sizeof tests[0]);
}
