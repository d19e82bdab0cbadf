/* The cluster as this broker knows it, from the controller's UpdateMetadata.
 *
 * Owned by the loop; lookups return views that live until the next image_apply_*. Brokers find the controller here,
 * not by watching ZooKeeper (zookeeper-mode.md 4.4). */
#ifndef OTTLA_METADATA_IMAGE_H
#define OTTLA_METADATA_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/slice.h"

struct image;

/* In a partition state of UpdateMetadata: the partition goes away (its topic is being deleted). */
#define IMAGE_LEADER_DURING_DELETE (-2)
/* Type of an UpdateMetadata whose topics are all there are. */
#define IMAGE_UPDATE_FULL 2

struct image_endpoint {
    char *listener;
    char *host;
    int32_t port;
    int16_t security_protocol;
};

struct image_broker {
    int32_t id;
    char *rack; /* NULL when unset */
    struct image_endpoint *endpoints;
    int32_t endpoint_count;
};

struct image_partition {
    int32_t partition;
    int32_t controller_epoch;
    int32_t leader; /* -1 none */
    int32_t leader_epoch;
    int32_t partition_epoch;
    int32_t *replicas;
    int32_t replica_count;
    int32_t *isr;
    int32_t isr_count;
    int32_t *offline;
    int32_t offline_count;
};

struct image_topic {
    char *name;
    struct uuid id;                      /* zero when unknown */
    struct image_partition **partitions; /* sorted by index */
    int32_t partition_count;
};

struct image *image_create(void);
void image_destroy(struct image *image);

void image_set_controller(struct image *image, int32_t broker_id);
int32_t image_controller(const struct image *image); /* -1 unknown */
/* Replaces the live brokers (deep copy). */
void image_set_brokers(struct image *image, const struct image_broker *brokers, int32_t count);
const struct image_broker *image_broker(const struct image *image, int32_t id);          /* NULL when not live */
const struct image_broker *image_brokers(const struct image *image, int32_t *ret_count); /* sorted by id */
const struct image_endpoint *image_broker_endpoint(const struct image_broker *broker, const char *listener);
/* Stores or replaces one partition state (deep copy); leader -2 removes it. Zero topic_id clears the id. A
 * topic of that name with another id has been made anew: nothing of the former one stays, which may have had more
 * partitions. */
void image_set_partition(struct image *image, const char *topic, struct uuid topic_id,
                         const struct image_partition *state);
const struct image_topic *image_topic(const struct image *image, struct str name);
const struct image_topic *image_topic_by_id(const struct image *image, struct uuid id);
const struct image_partition *image_partition(const struct image *image, struct str topic, int32_t partition);
/* Another number (never 0) since a topic, the id of one or a partition came or went: as long as it is the same, what
 * was looked up is what would be found. New states of partitions do not count. */
uint64_t image_shape(const struct image *image);
/* Topics in name order: index 0 .. count-1. */
int32_t image_topic_count(const struct image *image);
const struct image_topic *image_topic_at(const struct image *image, int32_t index);

#endif
