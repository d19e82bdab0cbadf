/* What the broker offers to request handlers: the modules they call and the few facts they need.
 *
 * broker.c fills it in before the first frame and owns everything it points to; the simulator does the same with its
 * seams. Whatever may change while the broker runs is changed here, on the loop. */
#ifndef OTTLA_REQUEST_CONTEXT_H
#define OTTLA_REQUEST_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/slice.h"

struct clock;
struct config;
struct controller_runtime;
struct coord;
struct dynamic_config;
struct fetch_sessions;
struct group_runtime;
struct image;
struct log_manager;
struct producer_ids;
struct record_workspace;
struct replica_manager;
struct topic_admin;
struct transport;
struct waiting_room;

#define REQUEST_LISTENERS_MAX 16
#define REQUEST_FEATURES_MAX 16

struct request_feature {
    const char *name;
    int16_t version_min;
    int16_t version_max;
};

struct request_context {
    struct clock *clock;
    struct image *image;
    struct replica_manager *replicas;
    struct controller_runtime *controller;
    struct coord *coord;
    struct log_manager *logs;
    struct transport *transport;
    const struct config *config; /* what is in force; changed in place by dynamic_config */
    struct dynamic_config *dynamic_config;
    struct topic_admin *topic_admin;
    struct group_runtime *groups;
    /* Starts the auto-creation of a topic whose name is valid (topic_admin.h) and returns at once with what Metadata
     * then says of the topic: LEADER_NOT_AVAILABLE while it comes, INVALID_REPLICATION_FACTOR, ... NULL: unknown
     * topics stay unknown. */
    int16_t (*topic_creator)(struct request_context *context, struct str topic);
    struct waiting_room *waiting_room;     /* made by the dispatcher */
    struct fetch_sessions *fetch_sessions; /* made by the dispatcher */
    struct producer_ids *producer_ids;     /* made by the dispatcher */
    struct record_workspace *workspace;    /* made by the dispatcher; for records that must be converted */

    int32_t broker_id;
    const char *cluster_id;
    const char *listeners[REQUEST_LISTENERS_MAX]; /* names, in the order of struct request's index */
    int32_t listener_count;
    const char *inter_broker_listener;

    /* Settings, named as in server.properties. */
    bool auto_create_topics_enable;
    bool unstable_api_versions_enable;
    int32_t fetch_max_bytes; /* fetch.max.bytes: bound on what one Fetch may ask for */
    int32_t max_incremental_fetch_session_cache_slots;
    uint64_t seed;              /* for fetch session ids */
    int64_t request_timeout_ms; /* for requests to the controller */
    int64_t transaction_max_timeout_ms;

    /* The /feature znode as ApiVersions repeats it. */
    int64_t features_epoch; /* its dataVersion, -1 when there is none */
    struct request_feature features[REQUEST_FEATURES_MAX];
    int32_t feature_count;
};

#endif
