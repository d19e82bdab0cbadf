/* The table of topic settings, and from a topic's texts to the settings of its log. */
#include "broker/topic_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"

#define ANY .limit = LIMIT_NONE
#define AT_LEAST(low) .limit = LIMIT_AT_LEAST, .min = (low)
#define BETWEEN(low, high) .limit = LIMIT_BETWEEN, .min = (low), .max = (high)
#define ONE_OF(list) .limit = LIMIT_ONE_OF, .choices = (list)
#define GZIP_LEVEL .limit = LIMIT_GZIP_LEVEL
#define RELEASE .limit = LIMIT_RELEASE
#define THROTTLED_REPLICAS .limit = LIMIT_THROTTLED_REPLICAS
#define SYNONYMS(...)                                                                                                  \
    { __VA_ARGS__ }
#define NO_SYNONYMS                                                                                                    \
    { NULL }

static const struct topic_config_definition definitions[TOPIC_CONFIG_KEY_COUNT] = {
#define X(type_name, field, key_text, default_text, allowed, synonym_list, meaning_text)                               \
    {.setting = {.key = (key_text),                                                                                    \
                 .type = SETTING_##type_name,                                                                          \
                 .default_value = (default_text),                                                                      \
                 .meaning = (meaning_text),                                                                            \
                 allowed},                                                                                             \
     .synonyms = synonym_list},
#include "broker/topic_config.tbl.h"
#undef X
};

const struct topic_config_definition *topic_config_definition(enum topic_config_key key) {
    CHECK(key < TOPIC_CONFIG_KEY_COUNT);
    return &definitions[key];
}

enum topic_config_key topic_config_find(struct str name) {
    for (int key = 0; key < TOPIC_CONFIG_KEY_COUNT; key++) {
        if (str_equal_text(name, definitions[key].setting.key)) {
            return (enum topic_config_key)key;
        }
    }
    return TOPIC_CONFIG_KEY_COUNT;
}

enum config_key topic_config_broker_key(enum topic_config_key key) {
    const char *synonym = definitions[key].synonyms[0];
    return synonym == NULL ? CONFIG_KEY_COUNT : config_find(str_from(synonym));
}

char *topic_config_inherited(const struct config *config, enum topic_config_key key) {
    const struct setting *setting = &definitions[key].setting;
    enum config_key broker_key = topic_config_broker_key(key);
    if (broker_key == CONFIG_KEY_COUNT) {
        return setting->default_value == NULL ? NULL : xstrdup(setting->default_value);
    }
    const struct config_definition *definition = config_definition(broker_key);
    const void *field = (const char *)config + definition->offset;
    switch (definition->setting.type) {
    case SETTING_BOOLEAN: return xstrdup(*(const bool *)field ? "true" : "false");
    case SETTING_INT: return xasprintf("%d", *(const int32_t *)field);
    case SETTING_LONG: return xasprintf("%lld", (long long)*(const int64_t *)field);
    case SETTING_SHORT: return xasprintf("%d", *(const int16_t *)field);
    case SETTING_DOUBLE: {
        struct setting_value value;
        char *message = NULL;
        int error = setting_parse(&definition->setting, config_text(config, broker_key), &value, &message);
        CHECK(error == 0); /* it was read before */
        return value.text;
    }
    default: {
        const char *text = *(const char *const *)field;
        return text == NULL ? NULL : xstrdup(text);
    }
    }
}

static int16_t codec_number(const char *name) {
    static const char *const codecs[] = {"uncompressed", "gzip", "snappy", "lz4", "zstd"};
    for (size_t i = 0; i < ARRAY_SIZE(codecs); i++) {
        if (strcmp(name, codecs[i]) == 0) {
            return (int16_t)i;
        }
    }
    return -1; /* producer */
}

static bool list_has(const char *list, const char *wanted) {
    const char *at = list;
    const char *entry;
    int32_t size;
    while (setting_list_next(&at, &entry, &size)) {
        if ((size_t)size == strlen(wanted) && memcmp(entry, wanted, (size_t)size) == 0) {
            return true;
        }
    }
    return false;
}

bool topic_config_is_throttled(const struct properties *values, enum topic_config_key key, int32_t partition,
                               int32_t broker_id) {
    const char *text = values == NULL ? NULL : properties_get(values, definitions[key].setting.key);
    char replica[32];
    snprintf(replica, sizeof replica, "%d:%d", partition, broker_id);
    return text != NULL && (list_has(text, "*") || list_has(text, replica));
}

/* The older single bound counts while the newer ones are at their defaults. */
static int64_t timestamp_bound(int64_t bound_ms, int64_t difference_ms) {
    return bound_ms != INT64_MAX ? bound_ms : difference_ms;
}

static void merge_broker(const struct config *config, struct log_config *ret) {
    *ret = (struct log_config){
        .segment_bytes = config->log_segment_bytes,
        .segment_ms = config->log_roll_ms,
        .segment_jitter_ms = config->log_roll_jitter_ms,
        .segment_index_bytes = config->log_index_size_max_bytes,
        .index_interval_bytes = config->log_index_interval_bytes,
        .retention_bytes = config->log_retention_bytes,
        .retention_ms = config->log_retention_ms,
        .max_message_bytes = config->message_max_bytes,
        .flush_messages = config->log_flush_interval_messages,
        .flush_ms = config->log_flush_interval_ms,
        .file_delete_delay_ms = config->log_segment_delete_delay_ms,
        .message_timestamp_before_max_ms = config->log_message_timestamp_before_max_ms,
        .message_timestamp_after_max_ms = config->log_message_timestamp_after_max_ms,
        .producer_id_expiration_ms = config->producer_id_expiration_ms,
        .delete_retention_ms = config->log_cleaner_delete_retention_ms,
        .min_compaction_lag_ms = config->log_cleaner_min_compaction_lag_ms,
        .max_compaction_lag_ms = config->log_cleaner_max_compaction_lag_ms,
        .min_cleanable_ratio = config->log_cleaner_min_cleanable_ratio,
        .compression_type = codec_number(config->compression_type),
        .min_insync_replicas = (int16_t)MIN(config->min_insync_replicas, INT16_MAX),
        .log_append_time = strcmp(config->log_message_timestamp_type, "LogAppendTime") == 0,
        .compact = list_has(config->log_cleanup_policy, "compact"),
        .delete = list_has(config->log_cleanup_policy, "delete"),
        .preallocate = config->log_preallocate,
        .unclean_leader_election = config->unclean_leader_election_enable,
        .message_downconversion = config->log_message_downconversion_enable,
    };
}

static void merge_value(struct log_config *ret, enum topic_config_key key, const struct setting_value *value,
                        int64_t *difference_ms) {
    switch (key) {
    case TOPIC_CONFIG_KEY_segment_bytes: ret->segment_bytes = (int32_t)value->integer; return;
    case TOPIC_CONFIG_KEY_segment_ms: ret->segment_ms = value->integer; return;
    case TOPIC_CONFIG_KEY_segment_jitter_ms: ret->segment_jitter_ms = value->integer; return;
    case TOPIC_CONFIG_KEY_segment_index_bytes: ret->segment_index_bytes = (int32_t)value->integer; return;
    case TOPIC_CONFIG_KEY_index_interval_bytes: ret->index_interval_bytes = (int32_t)value->integer; return;
    case TOPIC_CONFIG_KEY_retention_bytes: ret->retention_bytes = value->integer; return;
    case TOPIC_CONFIG_KEY_retention_ms: ret->retention_ms = value->integer; return;
    case TOPIC_CONFIG_KEY_max_message_bytes: ret->max_message_bytes = (int32_t)value->integer; return;
    case TOPIC_CONFIG_KEY_flush_messages: ret->flush_messages = value->integer; return;
    case TOPIC_CONFIG_KEY_flush_ms: ret->flush_ms = value->integer; return;
    case TOPIC_CONFIG_KEY_file_delete_delay_ms: ret->file_delete_delay_ms = value->integer; return;
    case TOPIC_CONFIG_KEY_message_timestamp_before_max_ms:
        ret->message_timestamp_before_max_ms = value->integer;
        return;
    case TOPIC_CONFIG_KEY_message_timestamp_after_max_ms: ret->message_timestamp_after_max_ms = value->integer; return;
    case TOPIC_CONFIG_KEY_message_timestamp_difference_max_ms: *difference_ms = value->integer; return;
    case TOPIC_CONFIG_KEY_compression_type: ret->compression_type = codec_number(value->text); return;
    case TOPIC_CONFIG_KEY_min_insync_replicas:
        ret->min_insync_replicas = (int16_t)MIN(value->integer, INT16_MAX);
        return;
    case TOPIC_CONFIG_KEY_message_timestamp_type:
        ret->log_append_time = strcmp(value->text, "LogAppendTime") == 0;
        return;
    case TOPIC_CONFIG_KEY_cleanup_policy:
        ret->compact = list_has(value->text, "compact");
        ret->delete = list_has(value->text, "delete");
        return;
    case TOPIC_CONFIG_KEY_delete_retention_ms: ret->delete_retention_ms = value->integer; return;
    case TOPIC_CONFIG_KEY_min_compaction_lag_ms: ret->min_compaction_lag_ms = value->integer; return;
    case TOPIC_CONFIG_KEY_max_compaction_lag_ms: ret->max_compaction_lag_ms = value->integer; return;
    case TOPIC_CONFIG_KEY_min_cleanable_dirty_ratio: ret->min_cleanable_ratio = value->real; return;
    case TOPIC_CONFIG_KEY_preallocate: ret->preallocate = value->boolean; return;
    case TOPIC_CONFIG_KEY_unclean_leader_election_enable: ret->unclean_leader_election = value->boolean; return;
    case TOPIC_CONFIG_KEY_message_downconversion_enable: ret->message_downconversion = value->boolean; return;
    default: return; /* of no concern to a log */
    }
}

void topic_config_merge(const struct config *config, const struct properties *values, struct log_config *ret) {
    merge_broker(config, ret);
    int64_t difference_ms = config->log_message_timestamp_difference_max_ms;
    for (int32_t i = 0; values != NULL && i < values->count; i++) {
        enum topic_config_key key = topic_config_find(str_from(values->list[i].key));
        struct setting_value value;
        char *message = NULL;
        if (key == TOPIC_CONFIG_KEY_COUNT) {
            continue;
        }
        if (setting_parse(&definitions[key].setting, values->list[i].value, &value, &message) != 0) {
            free(message);
            continue;
        }
        merge_value(ret, key, &value, &difference_ms);
        setting_value_deinit(&value);
    }
    ret->message_timestamp_before_max_ms = timestamp_bound(ret->message_timestamp_before_max_ms, difference_ms);
    ret->message_timestamp_after_max_ms = timestamp_bound(ret->message_timestamp_after_max_ms, difference_ms);
}

static int refuse(char **ret_message, const char *text) {
    *ret_message = xstrdup(text);
    return ERR_INVALID;
}

static int check_remote(enum topic_config_key key, bool is_on, char **ret_message) {
    if (!is_on) {
        return 0;
    }
    switch (key) {
    case TOPIC_CONFIG_KEY_remote_storage_enable:
        return refuse(ret_message, "Tiered Storage functionality is disabled in the broker. Topic cannot be configured "
                                   "with remote log storage.");
    case TOPIC_CONFIG_KEY_remote_log_delete_on_disable:
    case TOPIC_CONFIG_KEY_remote_log_copy_disable:
        return refuse(ret_message, "It is invalid to set `remote.log.delete.on.disable` or `remote.log.copy.disable` "
                                   "under Zookeeper's mode.");
    default: return 0;
    }
}

int topic_config_check(const struct config *config, const struct properties *values, char **ret_message) {
    int64_t min_lag_ms = config->log_cleaner_min_compaction_lag_ms;
    int64_t max_lag_ms = config->log_cleaner_max_compaction_lag_ms;
    for (int32_t i = 0; i < values->count; i++) {
        enum topic_config_key key = topic_config_find(str_from(values->list[i].key));
        if (key == TOPIC_CONFIG_KEY_COUNT) {
            *ret_message = xasprintf("Unknown topic config name: %s", values->list[i].key);
            return ERR_INVALID;
        }
    }
    for (int32_t i = 0; i < values->count; i++) {
        enum topic_config_key key = topic_config_find(str_from(values->list[i].key));
        struct setting_value value;
        int error = setting_parse(&definitions[key].setting, values->list[i].value, &value, ret_message);
        if (error == 0) {
            error = check_remote(key, value.boolean, ret_message);
            min_lag_ms = key == TOPIC_CONFIG_KEY_min_compaction_lag_ms ? value.integer : min_lag_ms;
            max_lag_ms = key == TOPIC_CONFIG_KEY_max_compaction_lag_ms ? value.integer : max_lag_ms;
            setting_value_deinit(&value);
        }
        if (error != 0) {
            return error;
        }
    }
    if (min_lag_ms > max_lag_ms) {
        *ret_message = xasprintf("conflict topic config setting min.compaction.lag.ms (%lld) > max.compaction.lag.ms "
                                 "(%lld)",
                                 (long long)min_lag_ms, (long long)max_lag_ms);
        return ERR_INVALID;
    }
    return 0;
}
