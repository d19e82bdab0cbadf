/* Operations on stored settings, and Kafka's refusals. */
#include "broker/request/config_change.h"

#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/protocol/errors.h"
#include "broker/request/config_entries.h"
#include "broker/setting.h"
#include "broker/topic_config.h"

#define VERDICT_OK ((struct config_verdict){KAFKA_NONE, STR_NULL})
#define REFUSE(arena, code, ...) ((struct config_verdict){(code), arena_printf((arena), __VA_ARGS__)})

static char *copy_text(struct str text) {
    return xstrndup(text.data == NULL ? "" : text.data, (size_t)MAX(text.size, 0));
}

static struct config_verdict check_broker_name(struct str name, int32_t broker_id, struct arena *arena) {
    if (name.size <= 0) {
        return VERDICT_OK;
    }
    char *text = copy_text(name);
    char *end;
    long id = strtol(text, &end, 10);
    bool is_number = *end == '\0' && strspn(text, "0123456789+-") == strlen(text);
    free(text);
    if (!is_number) {
        return REFUSE(arena, KAFKA_INVALID_REQUEST, "Node id must be an integer, but it is: %.*s", STR_ARGS(name));
    }
    if (id != broker_id) {
        return REFUSE(arena, KAFKA_INVALID_REQUEST, "Unexpected broker id, expected %d, but received %.*s", broker_id,
                      STR_ARGS(name));
    }
    return VERDICT_OK;
}

struct config_verdict config_change_check_entries(const struct config_change *changes, int32_t count,
                                                  struct arena *arena) {
    for (int32_t i = 0; i < count; i++) {
        for (int32_t j = 0; j < i; j++) {
            if (str_equal(changes[i].name, changes[j].name)) {
                return REFUSE(arena, KAFKA_INVALID_REQUEST, "Error due to duplicate config keys");
            }
        }
    }
    struct str nulls = STR_NULL;
    for (int32_t i = 0; i < count; i++) {
        if (changes[i].operation != CONFIG_DELETE && str_is_null(changes[i].value)) {
            nulls = arena_printf(arena, "%.*s%s%.*s", STR_ARGS(nulls), nulls.size > 0 ? ", " : "",
                                 STR_ARGS(changes[i].name));
        }
    }
    if (!str_is_null(nulls)) {
        return REFUSE(arena, KAFKA_INVALID_REQUEST, "Null value not supported for : %.*s", STR_ARGS(nulls));
    }
    for (int32_t i = 0; i < count; i++) {
        if (changes[i].operation < CONFIG_SET || changes[i].operation > CONFIG_SUBTRACT) {
            return REFUSE(arena, KAFKA_INVALID_REQUEST, "Unknown operations type %d", changes[i].operation);
        }
    }
    return VERDICT_OK;
}

struct config_verdict config_change_check_request(int8_t resource_type, struct str resource_name, int32_t broker_id,
                                                  const struct config_change *changes, int32_t count,
                                                  struct arena *arena) {
    struct config_verdict verdict = config_change_check_entries(changes, count, arena);
    if (verdict.error_code != KAFKA_NONE) {
        return verdict;
    }
    switch (resource_type) {
    case CONFIG_RESOURCE_TOPIC:
        if (resource_name.size <= 0) {
            return REFUSE(arena, KAFKA_INVALID_REQUEST, "Default topic resources are not allowed.");
        }
        return VERDICT_OK;
    case CONFIG_RESOURCE_BROKER: return check_broker_name(resource_name, broker_id, arena);
    case CONFIG_RESOURCE_CLIENT_METRICS:
        return REFUSE(arena, KAFKA_INVALID_REQUEST,
                      "AlterConfigs is only supported for topics and brokers, but resource type is CLIENT_METRICS");
    default: return REFUSE(arena, KAFKA_INVALID_REQUEST, "Unknown resource type %d", resource_type);
    }
}

static const struct setting *find_setting(int8_t resource_type, struct str name) {
    if (resource_type == CONFIG_RESOURCE_TOPIC) {
        enum topic_config_key key = topic_config_find(name);
        return key == TOPIC_CONFIG_KEY_COUNT ? NULL : &topic_config_definition(key)->setting;
    }
    enum config_key key = config_find(name);
    return key == CONFIG_KEY_COUNT ? NULL : &config_definition(key)->setting;
}

static bool list_contains(const char *list, const char *wanted, int32_t wanted_size) {
    const char *at = *list == '\0' ? NULL : list;
    const char *entry;
    int32_t size;
    while (setting_list_next(&at, &entry, &size)) {
        if (size == wanted_size && memcmp(entry, wanted, (size_t)size) == 0) {
            return true;
        }
    }
    return false;
}

/* Entries of `from` that `other` does not hold, added to *list with commas. */
static void append_missing(char **list, const char *from, const char *other) {
    const char *at = *from == '\0' ? NULL : from;
    const char *entry;
    int32_t size;
    while (setting_list_next(&at, &entry, &size)) {
        if (!list_contains(other, entry, size)) {
            char *longer = xasprintf("%s%s%.*s", *list, **list == '\0' ? "" : ",", size, entry);
            free(*list);
            *list = longer;
        }
    }
}

/* APPEND and SUBTRACT work on the stored list, or on the default where nothing is stored. */
static void change_list(const struct setting *setting, struct properties *values, bool is_append, struct str value) {
    const char *stored = properties_get(values, setting->key);
    const char *old = stored != NULL ? stored : setting->default_value != NULL ? setting->default_value : "";
    char *changed = copy_text(value);
    char *result = xstrdup(is_append ? old : "");
    if (is_append) {
        append_missing(&result, changed, old);
    } else {
        append_missing(&result, old, changed);
    }
    properties_set(values, setting->key, result);
    free(result);
    free(changed);
}

struct config_verdict config_change_apply(int8_t resource_type, struct properties *values,
                                          const struct config_change *changes, int32_t count, struct arena *arena) {
    for (int32_t i = 0; i < count; i++) {
        const struct config_change *change = &changes[i];
        char *name = copy_text(change->name);
        if (change->operation == CONFIG_SET) {
            char *value = copy_text(change->value);
            properties_set(values, name, value);
            free(value);
        } else if (change->operation == CONFIG_DELETE) {
            properties_remove(values, name);
        }
        free(name);
        if (change->operation == CONFIG_SET || change->operation == CONFIG_DELETE) {
            continue;
        }
        bool is_append = change->operation == CONFIG_APPEND;
        const struct setting *setting = find_setting(resource_type, change->name);
        if (setting == NULL) {
            return REFUSE(arena, KAFKA_INVALID_CONFIG, "Unknown config name: %.*s", STR_ARGS(change->name));
        }
        if (setting->type != SETTING_LIST) {
            return REFUSE(arena, KAFKA_INVALID_CONFIG, "Config value %s is not allowed for config key: %.*s",
                          is_append ? "append" : "subtract", STR_ARGS(change->name));
        }
        change_list(setting, values, is_append, change->value);
    }
    return VERDICT_OK;
}

struct config_verdict config_change_check_topic(const struct config *config, struct str topic,
                                                const struct properties *values, struct arena *arena) {
    char *message = NULL;
    if (topic_config_check(config, values, &message) == 0) {
        return VERDICT_OK;
    }
    struct config_verdict verdict;
    /* Kafka wraps what its parser says, not what it says itself. */
    if (strncmp(message, "Invalid value ", 14) == 0 || strncmp(message, "Tiered Storage ", 15) == 0) {
        verdict = REFUSE(arena, KAFKA_INVALID_CONFIG,
                         "Invalid config value for resource ConfigResource(type=TOPIC, name='%.*s'): %s",
                         STR_ARGS(topic), message);
    } else {
        verdict = REFUSE(arena, KAFKA_INVALID_CONFIG, "%s", message);
    }
    free(message);
    return verdict;
}

static bool is_thread_count(enum config_key key) {
    switch (key) {
    case CONFIG_KEY_num_io_threads:
    case CONFIG_KEY_num_network_threads:
    case CONFIG_KEY_num_replica_fetchers:
    case CONFIG_KEY_num_recovery_threads_per_data_dir:
    case CONFIG_KEY_background_threads: return true;
    default: return false;
    }
}

/* Kafka wraps one exception in another and sends both; programs look for its words. */
#define THREAD_COUNT_REFUSED                                                                                           \
    "Invalid value org.apache.kafka.common.config.ConfigException: Dynamic thread count update validation failed for " \
    "%s=%d, "
#define CLEANER_THREADS_REFUSED                                                                                        \
    "Invalid value org.apache.kafka.common.config.ConfigException: Log cleaner threads cannot be "
#define THREAD_COUNT_END " for configuration Invalid dynamic configuration"

/* The cleaner has the same rule and words of its own. */
static struct config_verdict check_cleaner_threads(int32_t now, int32_t wanted, struct arena *arena) {
    if (wanted < 1) {
        return REFUSE(arena, KAFKA_INVALID_REQUEST,
                      "Invalid value org.apache.kafka.common.config.ConfigException: Log cleaner threads should be at "
                      "least 1" THREAD_COUNT_END);
    }
    if (wanted < now / 2) {
        return REFUSE(arena, KAFKA_INVALID_REQUEST,
                      CLEANER_THREADS_REFUSED "reduced to less than half the current value %d" THREAD_COUNT_END, now);
    }
    if (wanted > (int64_t)now * 2) {
        return REFUSE(arena, KAFKA_INVALID_REQUEST,
                      CLEANER_THREADS_REFUSED "increased to more than double the current value %d" THREAD_COUNT_END,
                      now);
    }
    return VERDICT_OK;
}

/* Kafka lets thread counts change only within half and double; scripts that grow them in steps rely on the refusal. */
static struct config_verdict check_thread_counts(const struct config *config, const struct properties *values,
                                                 struct arena *arena) {
    for (int32_t i = 0; i < values->count; i++) {
        enum config_key key = config_find(str_from(values->list[i].key));
        if (key == CONFIG_KEY_log_cleaner_threads) {
            struct config_verdict verdict =
                check_cleaner_threads(config->log_cleaner_threads, atoi(values->list[i].value), arena);
            if (verdict.error_code != KAFKA_NONE) {
                return verdict;
            }
        }
        if (key == CONFIG_KEY_COUNT || !is_thread_count(key)) {
            continue;
        }
        int32_t now = *(const int32_t *)((const char *)config + config_definition(key)->offset);
        int32_t wanted = atoi(values->list[i].value); /* checked before to be an INT */
        const char *name = values->list[i].key;
        if (wanted == now) {
            continue;
        }
        if (wanted <= 0) {
            return REFUSE(arena, KAFKA_INVALID_REQUEST,
                          THREAD_COUNT_REFUSED "value should be at least 1" THREAD_COUNT_END, name, wanted);
        }
        if (wanted < now / 2) {
            return REFUSE(arena, KAFKA_INVALID_REQUEST,
                          THREAD_COUNT_REFUSED "value should be at least half the current value %d" THREAD_COUNT_END,
                          name, wanted, now);
        }
        if (wanted > (int64_t)now * 2) {
            return REFUSE(arena, KAFKA_INVALID_REQUEST,
                          THREAD_COUNT_REFUSED
                          "value should not be greater than double the current value %d" THREAD_COUNT_END,
                          name, wanted, now);
        }
    }
    return VERDICT_OK;
}

/* "listener.name.internal.ssl.key.password" is ssl.key.password, of one listener. */
static struct str without_listener(const char *name) {
    static const char prefix[] = "listener.name.";
    if (strncmp(name, prefix, sizeof prefix - 1) == 0) {
        const char *dot = strchr(name + sizeof prefix - 1, '.');
        return str_from(dot == NULL ? name : dot + 1);
    }
    return str_from(name);
}

/* No class can be loaded here, so none is found; Kafka answers the same of one it does not find. */
static struct config_verdict check_plug_in(enum config_key key, const char *value, struct arena *arena) {
    if (key == CONFIG_KEY_metric_reporters && value[0] != '\0') {
        return REFUSE(
            arena, KAFKA_INVALID_REQUEST,
            "Invalid value org.apache.kafka.common.config.ConfigException: Validation of dynamic config "
            "update of Set(metric.reporters) failed with class class kafka.server.DynamicMetricsReporters for "
            "configuration Invalid dynamic configuration");
    }
    if (key == CONFIG_KEY_principal_builder_class) {
        return REFUSE(arena, KAFKA_INVALID_REQUEST,
                      "Invalid value %s for configuration principal.builder.class: Class %s could not be found.", value,
                      value);
    }
    return VERDICT_OK;
}

/* What can change only with TLS and SASL, which this version has not, or needs sockets to be opened anew. */
static struct config_verdict check_available(const struct config *config, enum config_source source,
                                             const struct properties *values, struct arena *arena) {
    for (int32_t i = 0; i < values->count; i++) {
        enum config_key key = config_find(without_listener(values->list[i].key));
        if (key == CONFIG_KEY_COUNT) {
            continue;
        }
        const struct config_definition *definition = config_definition(key);
        bool is_listener = key == CONFIG_KEY_listeners || key == CONFIG_KEY_advertised_listeners ||
                           key == CONFIG_KEY_listener_security_protocol_map;
        bool is_password = definition->setting.type == SETTING_PASSWORD;
        if (source == CONFIG_DYNAMIC_DEFAULT && definition->dynamic == CONFIG_PER_BROKER &&
            (is_listener || is_password)) {
            return REFUSE(arena, KAFKA_INVALID_REQUEST,
                          "Cannot update these configs at default cluster level, broker id must be specified: Set(%s)",
                          values->list[i].key);
        }
        struct config_verdict verdict = check_plug_in(key, values->list[i].value, arena);
        if (verdict.error_code != KAFKA_NONE) {
            return verdict;
        }
        /* Never stored: there is no password.encoder.secret here to store it under, and ZooKeeper is no place for it.
         */
        if (is_password) {
            return REFUSE(arena, KAFKA_INVALID_CONFIG,
                          "Invalid config value for resource ConfigResource(type=BROKER, name='%d'): Password encoder "
                          "secret not configured",
                          config->broker_id);
        }
        if (strncmp(values->list[i].key, "ssl.", 4) == 0 || strncmp(values->list[i].key, "sasl.", 5) == 0) {
            return REFUSE(arena, KAFKA_INVALID_REQUEST,
                          "These security configs can be dynamically updated only per-listener using the listener "
                          "prefix: HashSet(%s)",
                          values->list[i].key);
        }
        const char *now = config_text(config, key);
        if (is_listener && (now == NULL || strcmp(now, values->list[i].value) != 0)) {
            return REFUSE(arena, KAFKA_INVALID_REQUEST,
                          "%s cannot be changed while the broker runs in this version: change server.properties and "
                          "restart the broker",
                          values->list[i].key);
        }
    }
    return VERDICT_OK;
}

struct config_verdict config_change_check_broker(const struct config *config, struct str resource_name,
                                                 const struct properties *values, struct arena *arena) {
    enum config_source source = resource_name.size <= 0 ? CONFIG_DYNAMIC_DEFAULT : CONFIG_DYNAMIC_BROKER;
    struct config_verdict verdict = check_available(config, source, values, arena);
    if (verdict.error_code != KAFKA_NONE) {
        return verdict;
    }
    char *message = NULL;
    if (config_check_dynamic(config, source, values, &message) != 0) {
        verdict = REFUSE(arena, KAFKA_INVALID_REQUEST, "%s", message);
        free(message);
        return verdict;
    }
    return check_thread_counts(config, values, arena);
}
