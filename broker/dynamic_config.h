/* Settings that change while the broker runs: read from /config at start, again after every notification, and written
 * on behalf of AlterConfigs.
 *
 * Keeps the own values of every topic, and puts the dynamic values of this broker and of all brokers into the config.
 * Knows nothing of who uses them: whoever holds a copy of a setting listens. Everything runs on the loop. */
#ifndef OTTLA_DYNAMIC_CONFIG_H
#define OTTLA_DYNAMIC_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/clock.h"
#include "broker/config.h"
#include "broker/log/log.h"
#include "broker/properties.h"
#include "coordinator-client/coord.h"

struct dynamic_config;

struct dynamic_config_callbacks {
    /* A topic's values changed, or all topics' did because the broker's settings under them changed (NULL). */
    void (*on_topic)(void *context, const char *topic);
    /* The broker's settings changed: the fields of the config hold the new ones. */
    void (*on_broker)(void *context);
    void *context;
};

struct dynamic_config *dynamic_config_create(struct config *config, struct clock *clock, struct coord *coord,
                                             const struct dynamic_config_callbacks *callbacks);
void dynamic_config_destroy(struct dynamic_config *dynamic);

/* Reads the dynamic values of this broker (config->broker_id) and of all brokers, and those of every topic. on_done
 * once: 0 or why not. A broker id that is still to be drawn has no values of its own. */
typedef void dynamic_config_loaded(void *context, int error);
void dynamic_config_load(struct dynamic_config *dynamic, dynamic_config_loaded *on_done, void *context);
/* From now on follows /config/changes. To be called again in every new session; what was missed is read anew. */
void dynamic_config_follow(struct dynamic_config *dynamic);

/* The topic's own values; NULL when it has none. Lives until the next change of that topic. */
const struct properties *dynamic_config_topic(const struct dynamic_config *dynamic, const char *topic);
/* What is in force for a topic's log; of type log_manager_config.topic_config, context is the dynamic_config. */
void dynamic_config_log_config(void *context, const char *topic, struct log_config *ret_config);
/* A topic is new to us: its values, written before it was made known, are read; on_topic tells when they are here. */
void dynamic_config_reread_topic(struct dynamic_config *dynamic, struct str topic);
/* As above; on_done comes once, later: 0 when the values are in force, however long the coordinator stays away, or
 * ERR_CLOSING when the broker ends before. */
void dynamic_config_await_topic(struct dynamic_config *dynamic, struct str topic, dynamic_config_loaded *on_done,
                                void *context);
/* A topic is gone: its values are forgotten. */
void dynamic_config_forget_topic(struct dynamic_config *dynamic, const char *topic);

/* AlterConfigs: reads the stored values of "topics" T or "brokers" N or <default>, lets `decide` change them, writes
 * them back and notifies every broker. decide returns false when nothing is to be written. on_done: 0 or why not;
 * ERR_INVALID when decide refused. Both are called once, later, decide before on_done unless reading failed. */
typedef bool dynamic_config_decide(void *context, struct properties *values);
typedef void dynamic_config_written(void *context, int error);
void dynamic_config_change(struct dynamic_config *dynamic, const char *type, struct str entity,
                           dynamic_config_decide *decide, dynamic_config_written *on_done, void *context);

#endif
