/* The topics of a run as the coordinator's tree says, every incarnation of a name by itself: what checkers and clients
 * of the simulator know without asking a broker. */
#ifndef OTTLA_SIM_TOPICS_H
#define OTTLA_SIM_TOPICS_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/slice.h"
#include "tests/simulation/sim_coord.h"

#define TOPICS_MAX 64 /* incarnations in one run */
#define PARTITIONS_MAX 12
#define STREAMS_MAX (TOPICS_MAX * PARTITIONS_MAX)
#define TOPIC_REPLICAS_MAX 8
#define TOPIC_NAME_BYTES 24
#define OFFSETS_TOPIC "__consumer_offsets"
#define OFFSETS_SLOT 100 /* beyond the workload's own topics */

struct plan;
struct sim;

struct topic_state {
    bool is_known;
    int32_t leader;
    int32_t leader_epoch;
    int32_t version; /* of the node: the partition epoch */
    int32_t isr[TOPIC_REPLICAS_MAX];
    int32_t isr_count;
};

struct topic {
    int32_t index;
    int32_t slot; /* of the name: "topic-0" is 0 */
    char name[TOPIC_NAME_BYTES];
    struct uuid id;
    int64_t created_ms;
    bool is_deleting; /* somebody asked for it */
    bool is_gone;
    int32_t key_count; /* of one partition; 0: the workload's records have no keys */
    bool is_compacted; /* what was exposed may be written anew, without what later records replaced */
    bool may_shrink;   /* was told to forget its oldest records, by retention or DeleteRecords */
    int32_t partition_count;
    int32_t replicas[PARTITIONS_MAX][TOPIC_REPLICAS_MAX];
    int32_t replica_counts[PARTITIONS_MAX];
    int32_t former_counts[PARTITIONS_MAX]; /* before the last change: a leader may not have heard of that */
    int32_t target_counts[PARTITIONS_MAX]; /* when the move ends: its leader hears of that before it is registered */
    int32_t least_counts[PARTITIONS_MAX];  /* ever: all that is sure of a leader some changes behind */
    bool is_moving[PARTITIONS_MAX];        /* being reassigned */
    struct topic_state states[PARTITIONS_MAX];
};

struct topics;

/* The plan says which are compacted. */
struct topics *topics_create(struct sim *sim, const struct plan *plan);
void topics_destroy(struct topics *topics);
/* Of every transaction. */
void topics_observe(struct topics *topics, const struct sim_transaction *transaction);
int32_t topics_count(const struct topics *topics);
struct topic *topics_at(struct topics *topics, int32_t index);
struct topic *topics_by_id(struct topics *topics, struct uuid id); /* NULL when unknown */
struct topic *topics_current(struct topics *topics, int32_t slot); /* the one that has the name now, or NULL */
struct topic *topics_by_name(struct topics *topics, struct str name);
/* Still there, and nobody asked to delete it: whoever names it means this one. */
bool topic_is_settled(const struct topic *topic);
void topic_name(int32_t slot, char ret_name[16]);
static inline int32_t stream_of(const struct topic *topic, int32_t partition) {
    return topic->index * PARTITIONS_MAX + partition;
}

#endif
