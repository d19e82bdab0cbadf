/* --verify --watch of kafka-reassign-partitions. */
#ifndef OTTLA_TOOLS_REASSIGN_WATCH_H
#define OTTLA_TOOLS_REASSIGN_WATCH_H

#include "tools/reassign.h"

/* Waits until nothing of the plan is moving, silently or with progress on a terminal. 0; ERR_CLOSING for the user's
 * interrupt, which the client must know of; else the failure is set. */
int reassign_watch(struct admin_tool *tool, const struct reassign_plan *plan);

/* ---- its parts, without a cluster ---- */

/* One new replica, or one that changes its directory. */
struct watched_move {
    struct str topic;
    int32_t partition;
    int32_t broker_id; /* -1: replicas only leave */
    bool is_dir;
    int64_t source_bytes; /* the largest of the old replicas, -1 unknown */
    int64_t copied_bytes; /* -1 unknown, or not there yet */
};

struct watched_moves {
    struct watched_move *items; /* by topic and partition */
    int32_t count;
    int32_t partition_count; /* that are moving: set by reassign_watch_settle */
    int64_t left_bytes;      /* by reassign_watch_settle */
    bool is_whole;           /* every broker has told its sizes */
};

/* What of the plan is being moved between brokers, and may be between directories. */
struct watched_moves reassign_watch_collect(struct arena *arena, const struct reassign_plan *plan,
                                            const struct reassign_ongoing_list *ongoing);
/* The sizes that one broker tells. */
void reassign_watch_take(struct watched_moves *moves, int32_t broker_id,
                         const struct describe_log_dirs_response *response);
/* Once all have: what is not moving goes, the rest is added up. */
void reassign_watch_settle(struct watched_moves *moves);
int64_t reassign_watch_left(const struct watched_move *move);

#endif
