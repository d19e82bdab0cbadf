/* What one seed decides before anything runs: topology, workload, faults. Each part draws from a stream of its own, so
 * that a change of one leaves the others as they were.
 *
 * Swarm: every seed enables some features and some kinds of faults, and every third follows a script (scripts.h). */
#ifndef OTTLA_SIM_PLAN_H
#define OTTLA_SIM_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define PLAN_TOPICS_MAX 3
#define PLAN_PRODUCERS_MAX 3
#define PLAN_CONSUMERS_MAX 3
#define PLAN_PARTITIONS_MAX 8
#define PLAN_GROUPS_MAX 3
#define PLAN_MEMBERS_MAX 8 /* of one group */

/* The streams of chance. */
enum plan_stream {
    STREAM_PLAN,
    STREAM_SCHEDULE,
    STREAM_WORKLOAD,
    STREAM_NETWORK,
    STREAM_DISK,
    STREAM_COORD,
    STREAM_FAULTS,
    STREAM_GROUPS,
    STREAM_CLEANING,
    STREAM_MOVES,
    STREAM_WORKERS
};
/* Seed of a stream; number tells several of a kind apart. */
uint64_t plan_seed(uint64_t seed, enum plan_stream stream, int32_t number);

/* What the administrator does while clients work. */
#define ADMIN_KINDS(X)                                                                                                 \
    X(RECREATE, "recreate")                                                                                            \
    X(EXTEND, "extend")                                                                                                \
    X(DELETE_RECORDS, "delete-records")                                                                                \
    X(RETENTION, "retention")                                                                                          \
    X(SEGMENT_BYTES, "segment-bytes")                                                                                  \
    X(PREFERRED, "preferred-election")
enum admin_kind {
#define X(name, text) ADMIN_##name,
    ADMIN_KINDS(X)
#undef X
        ADMIN_KIND_COUNT
};

#define SCRIPTS(X)                                                                                                     \
    X(NONE, "none")                                                                                                    \
    X(DOUBLE_FAILOVER, "fast double failover")                                                                         \
    X(DEPOSED_CONTROLLER, "deposed controller, late requests")                                                         \
    X(BOUNCED_BROKER, "requests for a former life")                                                                    \
    X(INDEX_ERROR, "index write error")                                                                                \
    X(DIVERGING_FOLLOWER, "follower ahead of its new leader")                                                          \
    X(BOUNCED_FOLLOWER, "join of a bounced follower")                                                                  \
    X(CONTROLLER_STEP, "controller dies at a step")                                                                    \
    X(DIRTY_AFTER_CLEAN, "power loss after a clean stop")                                                              \
    X(COORDINATOR_TWICE, "a coordinator and its successor die")
enum script_kind {
#define X(name, text) SCRIPT_##name,
    SCRIPTS(X)
#undef X
        SCRIPT_KIND_COUNT
};
#define SCRIPT_DRAWN_LAST SCRIPT_DIRTY_AFTER_CLEAN /* what follows is drawn with the groups it is about */

/* cleanup.policy */
enum cleanup { CLEANUP_DELETE, CLEANUP_COMPACT, CLEANUP_BOTH };

struct plan_group {
    int32_t members;
    int32_t static_members; /* of them, the first ones */
    int32_t session_timeout_ms;
    int32_t rebalance_timeout_ms;
    int64_t processing_ms; /* of what one Fetch brought, at most */
    int64_t fate_ms;       /* between two members that come or go, on average */
};

struct plan {
    uint64_t seed;
    int32_t brokers;
    int32_t log_dirs;
    int32_t workers; /* background.threads */
    int32_t min_insync;
    int32_t segment_bytes;
    int64_t linger_ms; /* of ephemeral nodes behind their session */
    int32_t topic_count;
    struct {
        int32_t partitions;
        int32_t replication;
        enum cleanup cleanup;
        int32_t key_count; /* of a partition's records when it is compacted, else 0: they have none */
    } topics[PLAN_TOPICS_MAX];
    int32_t producer_count;
    struct {
        bool is_idempotent;
        int16_t acks;
    } producers[PLAN_PRODUCERS_MAX];
    int32_t consumer_count;
    struct {
        bool has_session; /* incremental fetch sessions */
        bool is_by_id;    /* topics by id */
        int32_t max_wait_ms;
    } consumers[PLAN_CONSUMERS_MAX];
    int64_t records_per_partition; /* of each producer and topic */
    int64_t think_ms;
    bool admin[ADMIN_KIND_COUNT];
    int64_t admin_pause_ms;
    enum script_kind script;
    int32_t
        group_count; /* 0 in most seeds: nobody asks for a coordinator, and __consumer_offsets does not come to be */
    struct plan_group groups[PLAN_GROUPS_MAX];
    int32_t offsets_partitions;
    int32_t offsets_segment_bytes;
    bool cleans; /* soon and often; else the cleaner has nothing to do within a run */
    double clean_ratio;
    int64_t clean_backoff_ms;
    int64_t clean_bytes_per_second; /* 0 no limit */
    int64_t tombstone_ms;           /* delete.retention.ms */
    bool is_moving;                 /* partitions are reassigned, and reassignments cancelled */
    int64_t move_pause_ms;
    bool moves_dirs; /* replicas are moved between the directories of their brokers */
    int64_t dir_pause_ms;
};

void plan_draw(struct plan *plan, uint64_t seed);
void plan_print(const struct plan *plan, FILE *to);
/* Of __consumer_offsets. */
int32_t plan_offsets_replication(const struct plan *plan);
/* min.insync.replicas as it counts for this topic. */
int32_t plan_effective_min(const struct plan *plan, int32_t replication);
/* Nothing acknowledged by acks=all lies on one machine alone, in no topic. */
bool plan_survives_power_loss(const struct plan *plan);

#endif
