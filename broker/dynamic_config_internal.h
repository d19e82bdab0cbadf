/* Shared by dynamic_config.c and dynamic_config_change.c only. */
#ifndef OTTLA_DYNAMIC_CONFIG_INTERNAL_H
#define OTTLA_DYNAMIC_CONFIG_INTERNAL_H

#include "broker/dynamic_config.h"
#include "broker/topic_config.h"
#include "coordinator-client/znode_codec.h"

#define DYNAMIC_RETRY_AFTER_MS 200

struct dynamic_topic;
struct dynamic_read;
struct dynamic_change;

/* A notification this broker has read, kept until it may be purged. */
struct dynamic_notification {
    int64_t ctime_ms;
    char name[32];
};

struct dynamic_config {
    struct config *config;
    struct clock *clock;
    struct coord *coord;
    struct dynamic_config_callbacks callbacks;
    struct dynamic_topic *topics; /* by name; only those with values of their own */
    struct dynamic_read *reads;
    int32_t reads_started;
    bool is_listing; /* the listing of topics is under way */
    bool is_following;
    dynamic_config_loaded *on_loaded;
    void *load_context;
    struct timer list_retry;
    struct timer follow_retry;
    int64_t last_notification; /* sequence number */
    struct dynamic_notification *notifications;
    int32_t notification_count;
    int32_t notification_capacity;
    struct dynamic_change *changes;
};

void dynamic_config_take_entries(const struct znode_config *from, struct properties *ret);
void dynamic_config_drop_changes(struct dynamic_config *dynamic);

#endif
