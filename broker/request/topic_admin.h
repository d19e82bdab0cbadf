/* Making, growing and removing topics: what CreateTopics, CreatePartitions, DeleteTopics and auto-creation share.
 *
 * A plan is decided from the request, the settings and the metadata image alone; carrying it out writes the znodes in
 * Kafka's order (the topic's config first, then the topic). The controller sees the znodes and does the rest; whoever
 * wants to wait for that watches the image. Everything runs on the loop. */
#ifndef OTTLA_REQUEST_TOPIC_ADMIN_H
#define OTTLA_REQUEST_TOPIC_ADMIN_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/arena.h"
#include "broker/base/clock.h"
#include "broker/base/slice.h"
#include "broker/config.h"
#include "broker/metadata/image.h"
#include "broker/properties.h"
#include "broker/request/waiting_room.h"
#include "coordinator-client/coord.h"
#include "coordinator-client/znode_codec.h"

struct topic_admin;
struct request_context;
struct create_topics_request_creatable_topic;
struct create_partitions_request_create_partitions_topic;

/* Partitions of one topic that one request may ask for; each costs a znode and a directory. */
#define TOPIC_PARTITIONS_MAX 100000

/* A Kafka error and its text (in the caller's arena or static; null: none). */
struct topic_verdict {
    int16_t error_code;
    struct str message;
};

/* What is to be written; in the arena of whoever planned it. */
struct topic_plan {
    struct str topic;
    struct znode_topic assignment;
    struct znode_config config;
};

struct topic_admin *topic_admin_create(const struct config *config, struct clock *clock, struct coord *coord,
                                       struct image *image, uint64_t seed);
/* Nothing is under way any more: the coordinator has ended every call. */
void topic_admin_destroy(struct topic_admin *admin);

/* Kafka's rules for names. */
struct topic_verdict topic_admin_check_name(struct str topic, struct arena *arena);
bool topic_admin_is_internal(struct str topic);
/* Equal once every '.' is read as '_'. */
bool topic_admin_names_collide(struct str a, struct str b);

/* Everything that can be said of a new topic without asking the coordinator. */
struct topic_verdict topic_admin_plan(struct topic_admin *admin,
                                      const struct create_topics_request_creatable_topic *wanted, struct arena *arena,
                                      struct topic_plan *ret);
/* The plan's values as settings. The caller deinits them. */
void topic_plan_properties(const struct topic_plan *plan, struct properties *ret);

/* `message` lives during the call only; topic_id is zero on error. */
typedef void topic_admin_done(void *context, int16_t error_code, struct str message, struct uuid topic_id);

/* Asks the coordinator whether the name is free and, unless only validating, writes the topic. The plan is copied. */
void topic_admin_write(struct topic_admin *admin, const struct topic_plan *plan, bool validate_only,
                       topic_admin_done *on_done, void *context);
/* Marks a topic for deletion; fine when it is already. */
void topic_admin_delete(struct topic_admin *admin, struct str topic, topic_admin_done *on_done, void *context);
/* Adds partitions. `wanted` must live until on_done. */
void topic_admin_grow(struct topic_admin *admin, const struct create_partitions_request_create_partitions_topic *wanted,
                      bool validate_only, topic_admin_done *on_done, void *context);

/* Begins to create a topic somebody asked for without it being there, internal topics with their own settings. Returns
 * what to say of the topic now: LEADER_NOT_AVAILABLE while it comes, or why it cannot. Of type
 * request_context.topic_creator. */
int16_t topic_admin_auto_create(struct request_context *context, struct str topic);

/* A request that waits for the image to show its topics: marked after every change. Leaves by itself when finished. */
struct topic_wait {
    struct wait wait;
    struct topic_wait *previous;
    struct topic_wait *next;
};
void topic_admin_wait(struct topic_admin *admin, struct waiting_room *room, struct topic_wait *wait,
                      int64_t timeout_ms);
void topic_admin_leave(struct topic_admin *admin, struct topic_wait *wait);
/* An image_changed_callback; context is the topic_admin. */
void topic_admin_on_image_changed(void *context);
/* Whether every one of the topic's first `count` partitions has a leader. */
bool topic_admin_has_leaders(const struct image *image, struct str topic, int32_t count);

#endif
