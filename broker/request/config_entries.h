/* What DescribeConfigs and CreateTopics say of settings: values, sources, synonyms, in Kafka's order.
 *
 * Everything is allocated in the arena or lives in the tables and the config. */
#ifndef OTTLA_REQUEST_CONFIG_ENTRIES_H
#define OTTLA_REQUEST_CONFIG_ENTRIES_H

#include "broker/base/arena.h"
#include "broker/config.h"
#include "broker/properties.h"
#include "generated/protocol/create_topics.h"
#include "generated/protocol/describe_configs.h"

/* Numbers of the protocol. */
enum config_resource {
    CONFIG_RESOURCE_TOPIC = 2,
    CONFIG_RESOURCE_BROKER = 4,
    CONFIG_RESOURCE_BROKER_LOGGER = 8,
    CONFIG_RESOURCE_CLIENT_METRICS = 16,
};

struct config_entries_options {
    const struct str *keys; /* only these; NULL or none: all */
    int32_t key_count;
    bool with_synonyms;
    bool with_documentation;
};

/* `own` are the topic's values. */
void config_entries_of_topic(const struct config *config, const struct properties *own,
                             const struct config_entries_options *options, struct arena *arena,
                             struct describe_configs_response_describe_configs_result *ret);
/* This broker (is_default: the dynamic default of all brokers). */
void config_entries_of_broker(const struct config *config, bool is_default,
                              const struct config_entries_options *options, struct arena *arena,
                              struct describe_configs_response_describe_configs_result *ret);
/* The same entries as CreateTopics tells them. */
void config_entries_of_new_topic(const struct config *config, const struct properties *own, struct arena *arena,
                                 struct create_topics_response_creatable_topic_result *ret);

#endif
