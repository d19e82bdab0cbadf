/* Topic settings: the table (topic_config.tbl.h), its checks, and what is in force for one topic.
 *
 * A topic's own value beats the broker's settings it falls back to. Topic values are texts, as /config/topics/T holds
 * them. */
#ifndef OTTLA_TOPIC_CONFIG_H
#define OTTLA_TOPIC_CONFIG_H

#include <stdint.h>

#include "broker/base/slice.h"
#include "broker/config.h"
#include "broker/log/log.h"
#include "broker/properties.h"
#include "broker/setting.h"

enum topic_config_key {
#define X(type, field, key, default_value, allowed, synonyms, meaning) TOPIC_CONFIG_KEY_##field,
#include "broker/topic_config.tbl.h"
#undef X
    TOPIC_CONFIG_KEY_COUNT
};

#define TOPIC_CONFIG_SYNONYMS_MAX 3

struct topic_config_definition {
    struct setting setting;
    const char *synonyms[TOPIC_CONFIG_SYNONYMS_MAX]; /* broker keys in the order of force; NULL ends them */
};

const struct topic_config_definition *topic_config_definition(enum topic_config_key key);
/* TOPIC_CONFIG_KEY_COUNT when there is no such key. */
enum topic_config_key topic_config_find(struct str name);
/* Whether a list of throttled replicas (the value of `key`: "p:broker,p:broker", or * for all) names this replica. */
bool topic_config_is_throttled(const struct properties *values, enum topic_config_key key, int32_t partition,
                               int32_t broker_id);
/* The first broker key a topic key falls back to; CONFIG_KEY_COUNT when there is none. */
enum config_key topic_config_broker_key(enum topic_config_key key);

/* Checks all values of one topic, as CreateTopics and AlterConfigs must. 0, or ERR_INVALID with *ret_message (heap). */
int topic_config_check(const struct config *config, const struct properties *values, char **ret_message);
/* The text in force for a topic without a value of its own: the broker's, in the topic key's unit. Heap; NULL for null.
 */
char *topic_config_inherited(const struct config *config, enum topic_config_key key);
/* What is in force for the log of a topic. Values that cannot be used are left out (topic_config_check keeps them from
 * getting in). `values` may be NULL. */
void topic_config_merge(const struct config *config, const struct properties *values, struct log_config *ret);

#endif
