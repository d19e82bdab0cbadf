/* Settings against each other: what the finer unit wins, and which combinations cannot work. The wording is Kafka's. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/config.h"

#define RACK_AWARE_SELECTOR "org.apache.kafka.common.replica.RackAwareReplicaSelector"

static int refuse(char **ret_message, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int refuse(char **ret_message, const char *format, ...) {
    va_list args;
    va_start(args, format);
    if (vasprintf(ret_message, format, args) < 0) {
        *ret_message = xstrdup("out of memory");
    }
    va_end(args);
    return ERR_INVALID;
}

#define REQUIRE(condition, ...)                                                                                        \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            return refuse(ret_message, "requirement failed: " __VA_ARGS__);                                            \
        }                                                                                                              \
    } while (0)

/* The finer unit wins; Kafka takes -1 (or less, in a coarser unit) for "for ever". */
static void derive_units(struct config *config) {
    const int64_t minute_ms = 60000;
    const int64_t hour_ms = 3600000;
    if (config->log_retention_ms == CONFIG_UNSET) {
        int64_t retention_ms = config->log_retention_minutes != CONFIG_UNSET ? config->log_retention_minutes * minute_ms
                                                                             : config->log_retention_hours * hour_ms;
        config->log_retention_ms = retention_ms < 0 ? -1 : retention_ms;
    } else if (config->log_retention_ms < 0) {
        config->log_retention_ms = -1;
    }
    if (config->log_roll_ms == CONFIG_UNSET) {
        config->log_roll_ms = config->log_roll_hours * hour_ms;
    }
    if (config->log_roll_jitter_ms == CONFIG_UNSET) {
        config->log_roll_jitter_ms = config->log_roll_jitter_hours * hour_ms;
    }
    if (config->log_flush_interval_ms == CONFIG_UNSET) {
        config->log_flush_interval_ms = config->log_flush_scheduler_interval_ms;
    }
    if (config->zookeeper_connection_timeout_ms == CONFIG_UNSET) {
        config->zookeeper_connection_timeout_ms = config->zookeeper_session_timeout_ms;
    }
}

static int derive_directories(struct config *config, char **ret_message) {
    const char *at = config->log_dirs != NULL ? config->log_dirs : config->log_dir;
    const char *entry;
    int32_t size;
    config->log_dir_count = 0;
    while (setting_list_next(&at, &entry, &size)) {
        if (size == 0) {
            continue;
        }
        REQUIRE(config->log_dir_count < CONFIG_LOG_DIRS_MAX, "log.dirs names more than %d directories",
                CONFIG_LOG_DIRS_MAX);
        char *path = xstrndup(entry, (size_t)size);
        const char *kept = config_keep(config, path);
        free(path);
        for (int32_t i = 0; i < config->log_dir_count; i++) {
            REQUIRE(config->log_dir_list[i] != kept, "log.dirs names %s twice", kept);
        }
        config->log_dir_list[config->log_dir_count++] = kept;
    }
    REQUIRE(config->log_dir_count > 0, "At least one log directory must be defined via log.dirs or log.dir.");
    return 0;
}

static int derive_id(struct config *config, char **ret_message) {
    if (config->node_id != config->broker_id && config_is_given(config, CONFIG_KEY_node_id)) {
        return refuse(ret_message, "You must set `node.id` to the same value as `broker.id`.");
    }
    config->node_id = config->broker_id;
    return 0;
}

int config_derive(struct config *config, char **ret_message) {
    int error = derive_id(config, ret_message);
    if (error != 0) {
        return error;
    }
    derive_units(config);
    config->rack_aware_selector =
        config->replica_selector_class != NULL && strcmp(config->replica_selector_class, RACK_AWARE_SELECTOR) == 0;
    error = config_check(config, ret_message);
    if (error == 0) {
        error = derive_directories(config, ret_message);
    }
    return error != 0 ? error : config_derive_listeners(config, ret_message);
}

static int check_logs(const struct config *config, char **ret_message) {
    REQUIRE(config->log_roll_ms >= 1, "log.roll.ms must be greater than or equal to 1");
    REQUIRE(config->log_roll_jitter_ms >= 0, "log.roll.jitter.ms must be greater than or equal to 0");
    REQUIRE(config->log_retention_ms >= 1 || config->log_retention_ms == -1,
            "log.retention.ms must be unlimited (-1) or, greater than or equal to 1");
    REQUIRE(config->log_cleaner_threads == 0 ||
                config->log_cleaner_dedupe_buffer_size / config->log_cleaner_threads > 1024 * 1024,
            "log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.");
    return 0;
}

/* "host:count,...": a count that is none would count as 0 and keep everybody out of that address. */
static int check_overrides(const char *overrides, char **ret_message) {
    const char *at = overrides[0] == '\0' ? NULL : overrides;
    const char *entry;
    int32_t size;
    while (setting_list_next(&at, &entry, &size)) {
        const char *colon = size > 0 ? memrchr(entry, ':', (size_t)size) : NULL;
        if (colon == NULL) {
            return refuse(ret_message,
                          "Error parsing configuration property 'max.connections.per.ip.overrides': '%.*s' is not "
                          "host:count",
                          size, entry);
        }
        int count_size = (int)(entry + size - colon - 1);
        if (count_size == 0 || count_size > 9 || strspn(colon + 1, "0123456789") < (size_t)count_size) {
            return refuse(ret_message, "For input string: \"%.*s\"", count_size, colon + 1);
        }
    }
    return 0;
}

static int check_network(const struct config *config, char **ret_message) {
    REQUIRE(config->queued_max_request_bytes <= 0 ||
                config->queued_max_request_bytes >= config->socket_request_max_bytes,
            "queued.max.request.bytes must be larger or equal to socket.request.max.bytes");
    REQUIRE(config->max_connections_per_ip > 0 || config->max_connections_per_ip_overrides[0] != '\0',
            "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property is set.");
    REQUIRE(config->connections_max_idle_ms < 0 ||
                config->connection_failed_authentication_delay_ms < config->connections_max_idle_ms,
            "connection.failed.authentication.delay.ms=%d should always be less than connections.max.idle.ms=%lld to "
            "prevent failed authentication responses from timing out",
            config->connection_failed_authentication_delay_ms, (long long)config->connections_max_idle_ms);
    return check_overrides(config->max_connections_per_ip_overrides, ret_message);
}

static int check_replication(const struct config *config, char **ret_message) {
    REQUIRE(config->replica_fetch_wait_max_ms <= config->replica_socket_timeout_ms,
            "replica.socket.timeout.ms should always be at least replica.fetch.wait.max.ms to prevent unnecessary "
            "socket timeouts");
    REQUIRE(config->replica_fetch_wait_max_ms <= config->replica_lag_time_max_ms,
            "replica.fetch.wait.max.ms should always be less than or equal to replica.lag.time.max.ms to prevent "
            "frequent changes in ISR");
    REQUIRE(config->offsets_commit_required_acks >= -1 &&
                config->offsets_commit_required_acks <= config->offsets_topic_replication_factor,
            "offsets.commit.required.acks must be greater or equal -1 and less or equal to "
            "offsets.topic.replication.factor");
    if (config->replica_selector_class != NULL && config->replica_selector_class[0] != '\0' &&
        !config->rack_aware_selector) {
        return refuse(ret_message,
                      "Invalid value %s for configuration replica.selector.class: only " RACK_AWARE_SELECTOR
                      " is built in, plug-ins cannot be loaded",
                      config->replica_selector_class);
    }
    return 0;
}

/* What this version cannot do and must not quietly leave out, because it guards data or decides who may do what. */
static int check_supported(const struct config *config, char **ret_message) {
    static const struct {
        enum config_key key;
        const char *reason;
    } refused[] = {
        {CONFIG_KEY_authorizer_class_name, "access control is not available in this version, and starting without it "
                                           "would let everybody in"},
        {CONFIG_KEY_create_topic_policy_class_name, "policy plug-ins cannot be loaded"},
        {CONFIG_KEY_alter_config_policy_class_name, "policy plug-ins cannot be loaded"},
        {CONFIG_KEY_client_quota_callback_class, "quota plug-ins cannot be loaded"},
        {CONFIG_KEY_process_roles, "this broker runs with ZooKeeper, not with KRaft"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        const char *text = config_text(config, refused[i].key);
        if (text != NULL && text[0] != '\0') {
            return refuse(ret_message, "Invalid value %s for configuration %s: %s", text,
                          config_definition(refused[i].key)->setting.key, refused[i].reason);
        }
    }
    static const struct {
        enum config_key key;
        size_t offset;
        const char *reason;
    } switches[] = {
        {CONFIG_KEY_zookeeper_ssl_client_enable, offsetof(struct config, zookeeper_ssl_client_enable),
         "TLS towards ZooKeeper is not available in this version"},
        {CONFIG_KEY_zookeeper_set_acl, offsetof(struct config, zookeeper_set_acl),
         "this version does not authenticate itself to ZooKeeper, so its nodes would have no owner"},
        {CONFIG_KEY_zookeeper_metadata_migration_enable, offsetof(struct config, zookeeper_metadata_migration_enable),
         "migration to KRaft is not supported"},
        {CONFIG_KEY_remote_log_storage_system_enable, offsetof(struct config, remote_log_storage_system_enable),
         "tiered storage is not supported"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(switches); i++) {
        if (*(const bool *)((const char *)config + switches[i].offset)) {
            return refuse(ret_message, "Invalid value true for configuration %s: %s",
                          config_definition(switches[i].key)->setting.key, switches[i].reason);
        }
    }
    REQUIRE(config->controller_listener_names == NULL || config->controller_listener_names[0] == '\0',
            "controller.listener.names must be empty when not running in KRaft mode: [%s]",
            config->controller_listener_names);
    return 0;
}

int config_check(const struct config *config, char **ret_message) {
    if (config->zookeeper_connect == NULL || config->zookeeper_connect[0] == '\0') {
        return refuse(ret_message, "Missing required configuration `zookeeper.connect` which has no default value.");
    }
    if (config->broker_id_generation_enable) {
        REQUIRE(config->broker_id >= -1 && config->broker_id <= config->reserved_broker_max_id,
                "broker.id must be greater than or equal to -1 and not greater than reserved.broker.max.id");
    } else {
        REQUIRE(config->broker_id >= 0, "broker.id must be greater than or equal to 0");
    }
    int error = check_supported(config, ret_message);
    if (error == 0) {
        error = check_logs(config, ret_message);
    }
    if (error == 0) {
        error = check_replication(config, ret_message);
    }
    return error != 0 ? error : check_network(config, ret_message);
}
