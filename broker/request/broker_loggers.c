/* Reads and sets the levels that trace keeps, with Kafka's checks in Kafka's order. */
#include "broker/request/broker_loggers.h"

#include "broker/base/check.h"
#include "broker/base/trace.h"
#include "broker/protocol/errors.h"

#define SOURCE_DYNAMIC_BROKER_LOGGER 6
#define VERDICT_OK ((struct config_verdict){KAFKA_NONE, STR_NULL})
#define REFUSE(arena, code, ...) ((struct config_verdict){(code), arena_printf((arena), __VA_ARGS__)})

static bool is_id(struct str name, int32_t *ret_id) {
    int64_t id = 0;
    for (int32_t i = 0; i < name.size; i++) {
        if (name.data[i] < '0' || name.data[i] > '9' || id > INT32_MAX / 10) {
            return false;
        }
        id = id * 10 + (name.data[i] - '0');
    }
    *ret_id = (int32_t)MIN(id, INT32_MAX);
    return name.size > 0;
}

static bool is_asked(const struct config_entries_options *options, const char *name) {
    for (int32_t i = 0; i < options->key_count; i++) {
        if (str_equal_text(options->keys[i], name)) {
            return true;
        }
    }
    return options->key_count <= 0;
}

static void refuse(struct describe_configs_response_describe_configs_result *ret, struct str message) {
    ret->error_code = KAFKA_INVALID_REQUEST;
    ret->error_message = message;
}

void broker_loggers_describe(struct str name, int32_t broker_id, const struct config_entries_options *options,
                             struct arena *arena, struct describe_configs_response_describe_configs_result *ret) {
    int32_t id;
    if (name.size <= 0) {
        refuse(ret, STR_LITERAL("Broker id must not be empty"));
        return;
    }
    if (!is_id(name, &id)) {
        refuse(ret, arena_printf(arena, "Broker id must be an integer, but it is: %.*s", STR_ARGS(name)));
        return;
    }
    if (id != broker_id) {
        refuse(ret,
               arena_printf(arena, "Unexpected broker id, expected %d but received %.*s", broker_id, STR_ARGS(name)));
        return;
    }
    int count = trace_logger_count();
    ret->configs = ARENA_ARRAY(arena, struct describe_configs_response_describe_configs_resource_result, count);
    for (int i = 0; i < count; i++) {
        if (!is_asked(options, trace_logger_name(i))) {
            continue;
        }
        struct describe_configs_response_describe_configs_resource_result *entry = &ret->configs[ret->configs_count++];
        describe_configs_response_describe_configs_resource_result_init(entry);
        entry->name = str_from(trace_logger_name(i));
        entry->value = str_from(trace_level_name(trace_logger_level(i)));
        entry->config_source = SOURCE_DYNAMIC_BROKER_LOGGER;
    }
}

static struct config_verdict check_change(const struct config_change *change, struct arena *arena) {
    if (change->operation != CONFIG_SET && change->operation != CONFIG_DELETE) {
        return REFUSE(arena, KAFKA_INVALID_REQUEST, "%s operation is not allowed for the BROKER_LOGGER resource",
                      change->operation == CONFIG_APPEND ? "APPEND" : "SUBTRACT");
    }
    int logger = trace_logger_find(change->name.data, (size_t)MAX(change->name.size, 0));
    if (logger < 0) {
        return REFUSE(arena, KAFKA_INVALID_CONFIG, "Logger %.*s does not exist!", STR_ARGS(change->name));
    }
    if (change->operation == CONFIG_DELETE && logger == TRACE_ROOT) {
        return REFUSE(arena, KAFKA_INVALID_REQUEST, "Removing the log level of the root logger is not allowed");
    }
    if (change->operation == CONFIG_SET && trace_level_find(change->value.data, (size_t)change->value.size) < 0) {
        return REFUSE(arena, KAFKA_INVALID_CONFIG,
                      "Cannot set the log level of %.*s to %.*s as it is not a supported log level. Valid log levels "
                      "are DEBUG, ERROR, FATAL, INFO, TRACE, WARN",
                      STR_ARGS(change->name), STR_ARGS(change->value));
    }
    return VERDICT_OK;
}

struct config_verdict broker_loggers_alter(struct str name, int32_t broker_id, const struct config_change *changes,
                                           int32_t count, bool validate_only, struct arena *arena) {
    struct config_verdict verdict = config_change_check_entries(changes, count, arena);
    if (verdict.error_code != KAFKA_NONE) {
        return verdict;
    }
    int32_t id;
    if (!is_id(name, &id)) {
        return REFUSE(arena, KAFKA_INVALID_REQUEST, "Node id must be an integer, but it is: %.*s", STR_ARGS(name));
    }
    if (id != broker_id) {
        return REFUSE(arena, KAFKA_INVALID_REQUEST, "Unexpected node id. Expected %d, but received %.*s", broker_id,
                      STR_ARGS(name));
    }
    for (int32_t i = 0; i < count && verdict.error_code == KAFKA_NONE; i++) {
        verdict = check_change(&changes[i], arena);
    }
    for (int32_t i = 0; i < count && verdict.error_code == KAFKA_NONE && !validate_only; i++) {
        const struct config_change *change = &changes[i];
        int logger = trace_logger_find(change->name.data, (size_t)change->name.size);
        if (change->operation == CONFIG_DELETE) {
            trace_logger_unset(logger);
        } else {
            int level = trace_level_find(change->value.data, (size_t)change->value.size);
            trace_logger_set(logger, (enum trace_level)level);
        }
    }
    return verdict;
}
