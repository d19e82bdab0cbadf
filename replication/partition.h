/* One replica of one partition: who leads, who is in sync, how far everything is replicated. Pure: partition_step()
 * takes an event with all it needs (time, log end, live brokers) and says what is to be done.
 *
 * The log itself is elsewhere; log_start and log_end mirror it and are brought by the events. partition_runtime.c
 * performs the actions. Facts: zookeeper-mode.md 4.2, 4.5, 4.6; the numbered invariants are in README.md. */
#ifndef OTTLA_REPLICATION_PARTITION_H
#define OTTLA_REPLICATION_PARTITION_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/slice.h"
#include "replication/isr.h"

#define OFFSET_UNKNOWN (-1)

enum partition_role {
    PARTITION_IDLE, /* known, its log may exist, but nobody told it to lead or whom to follow */
    PARTITION_LEADER,
    PARTITION_FOLLOWER,
};

/* What a leader knows of another replica. */
struct replica_state {
    int32_t broker_id;
    int64_t log_end_offset;   /* fetch offset of its last fetch under this leader epoch */
    int64_t log_start_offset; /* -1 unknown */
    int64_t caught_up_ms;     /* last time it had everything */
    int64_t last_fetch_ms;
    int64_t last_fetch_leader_end; /* our log end at that fetch */
    int64_t replica_epoch;         /* broker epoch it fetched with, -1 unknown */
};

/* A live broker, as the metadata image and its fetches tell. */
struct partition_peer {
    int32_t broker_id;
    int64_t last_fetch_ms; /* of any partition */
    int64_t replica_epoch; /* newest seen in a fetch, -1 unknown */
};

struct partition {
    int32_t broker_id; /* ours */
    enum partition_role role;
    int32_t leader;              /* -1 unknown */
    int32_t leader_epoch;        /* -1 before the first command */
    int32_t leading_since_epoch; /* first epoch of this uninterrupted leadership */
    int32_t partition_epoch;
    int64_t leader_epoch_start; /* log end when this leader epoch began; leaders only */
    int32_t min_insync_replicas;
    struct replica_list replicas;
    struct isr isr; /* leaders only; empty otherwise */
    struct replica_state *remotes;
    int32_t remote_count;
    int64_t log_start;
    int64_t log_end;
    int64_t high_watermark;
};

enum partition_event_type {
    PARTITION_BECOME_LEADER,
    PARTITION_BECOME_FOLLOWER,
    PARTITION_RESIGN,          /* neither leads nor follows any more: StopReplica, or the broker stops */
    PARTITION_REPLICA_FETCHED, /* a follower's fetch was answered without error and without divergence */
    PARTITION_LEADER_APPENDED,
    PARTITION_FOLLOWER_FETCHED, /* an answer of our leader has been appended, if it held records */
    PARTITION_TRUNCATED,
    PARTITION_START_RAISED,
    PARTITION_ISR_ANSWERED, /* AlterPartition */
    PARTITION_PEERS_CHANGED,
    PARTITION_CONFIGURED,
    PARTITION_TICK,
};

struct partition_event {
    enum partition_event_type type;
    int64_t now_ms;
    int64_t lag_max_ms;
    const struct partition_peer *peers; /* live brokers, sorted by id */
    int32_t peer_count;
    union {
        struct {
            int32_t leader;
            int32_t leader_epoch;
            int32_t partition_epoch;
            struct replica_list replicas;
            struct replica_list isr;
        } become;
        struct {
            int32_t broker_id;
            int64_t fetch_offset;
            int64_t log_start_offset;
            int64_t replica_epoch;
        } replica;
        struct {
            int64_t log_end;               /* after the append or truncation */
            int64_t leader_high_watermark; /* FOLLOWER_FETCHED */
        } log;
        struct {
            int64_t log_start;
            int64_t log_end; /* grows with the start when that is beyond it */
        } start;
        struct {
            uint32_t proposal;
            int16_t error_code;
            int32_t leader_epoch;
            int32_t partition_epoch;
            struct replica_list isr;
        } isr_answer;
        int32_t min_insync_replicas;
    };
};

/* What is to be done, in this order. */
enum partition_action {
    PARTITION_STOP_FETCHING = 1 << 0,
    /* Write (leader_epoch, log_end) to the epoch cache, durably, before anything else happens to this partition. */
    PARTITION_WRITE_EPOCH_START = 1 << 1,
    PARTITION_START_FETCHING = 1 << 2, /* from `leader` under `leader_epoch` */
    PARTITION_PROPOSE_ISR = 1 << 3,    /* isr.proposed, under isr.proposal, leader_epoch and partition_epoch */
    PARTITION_TELL_LEADERSHIP = 1 << 4,
    PARTITION_WAKE = 1 << 5, /* whoever waits here should look again */
};

/* An idle partition whose log is there. The high watermark (of the checkpoint) is brought into the log's range. */
void partition_init(struct partition *partition, int32_t broker_id, int64_t log_start, int64_t log_end,
                    int64_t high_watermark, int32_t min_insync_replicas);
void partition_deinit(struct partition *partition);
/* Performs the event; ret_actions is a set of partition_action. */
void partition_step(struct partition *partition, const struct partition_event *event, unsigned *ret_actions);

/* A command of the controller against what is here (`partition` NULL: nothing). Kafka error: 0 to apply it,
 * UNKNOWN_TOPIC_OR_PARTITION, STALE_CONTROLLER_EPOCH, INVALID_REQUEST. The last gate, partition epoch, is
 * partition_is_superseded(). */
int16_t partition_check_command(const struct partition *partition, int32_t broker_id, int32_t leader_epoch,
                                const int32_t *replicas, int32_t replica_count);
/* True when the state here is newer than this one, which is then skipped. */
bool partition_is_superseded(const struct partition *partition, int32_t partition_epoch);

/* 0, FENCED_LEADER_EPOCH or UNKNOWN_LEADER_EPOCH; -1 is not checked. */
int16_t partition_check_leader_epoch(const struct partition *partition, int32_t current_leader_epoch);
/* A follower that fetches must be a replica: 0, UNKNOWN_LEADER_EPOCH or NOT_LEADER_OR_FOLLOWER. */
int16_t partition_check_replica(const struct partition *partition, int32_t replica_id, int32_t current_leader_epoch);
/* Whether what a reader holds ends elsewhere than our log does under the reader's last epoch (KIP-595). `end` is our
 * end of that epoch. */
bool partition_is_diverging(int32_t end_epoch, int64_t end_offset, int32_t last_fetched_epoch, int64_t fetch_offset);
/* Replicas that must hold a record for acks=all: min.insync.replicas, but not more than there are. */
int32_t partition_effective_min_isr(const struct partition *partition);
/* May acks=all be accepted now? */
bool partition_has_enough_replicas(const struct partition *partition);
/* State of an append under leader_epoch that ended at last_offset: 0, REQUEST_TIMED_OUT while not yet, or final. */
int16_t partition_ack_state(const struct partition *partition, int64_t last_offset, int32_t leader_epoch);
/* Smallest log start among us and the live replicas. */
int64_t partition_low_watermark(const struct partition *partition, const struct partition_peer *peers,
                                int32_t peer_count);
const struct replica_state *partition_replica(const struct partition *partition, int32_t broker_id);
/* False for a partition that needs no periodic look: every replica is in sync and has everything. */
bool partition_needs_tick(const struct partition *partition);

#endif
