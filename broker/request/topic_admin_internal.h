/* Shared by topic_plan.c and topic_admin.c only. */
#ifndef OTTLA_REQUEST_TOPIC_ADMIN_INTERNAL_H
#define OTTLA_REQUEST_TOPIC_ADMIN_INTERNAL_H

#include "broker/base/random.h"
#include "broker/request/topic_admin.h"

struct topic_op;
struct auto_creation;

struct topic_admin {
    const struct config *config;
    struct clock *clock;
    struct coord *coord;
    struct image *image;
    struct random random;
    struct topic_op *ops;       /* under way */
    struct topic_op *creations; /* hash, by what their names collide on */
    struct topic_wait *waits;   /* in the waiting room */
    struct auto_creation *auto_creations;
};

/* Places partitions first_partition, first_partition + 1, ... on the live brokers (zookeeper-mode.md 3.9). start_index
 * -1: drawn. */
struct topic_verdict topic_admin_place(struct topic_admin *admin, int32_t partition_count, int32_t replication_factor,
                                       int32_t start_index, int32_t first_partition, struct arena *arena,
                                       struct znode_topic *ret);

/* Adds to `topic`, as read, the partitions that are wanted. */
struct topic_verdict topic_admin_plan_growth(struct topic_admin *admin, struct str name,
                                             const struct create_partitions_request_create_partitions_topic *wanted,
                                             struct arena *arena, struct znode_topic *topic);

void topic_admin_forget_auto_creations(struct topic_admin *admin);

#endif
