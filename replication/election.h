/* Who leads a partition next, and with which in-sync set (zookeeper-mode.md 3.5).
 *
 * Pure: liveness is in the arguments. Every election raises the leader epoch by one; that is left to the caller, who
 * writes the result under the version it read. */
#ifndef OTTLA_REPLICATION_ELECTION_H
#define OTTLA_REPLICATION_ELECTION_H

#include <stdbool.h>
#include <stdint.h>

enum election_strategy {
    ELECTION_OFFLINE,   /* the leader is gone: a live in-sync replica; any live one where unclean election is allowed */
    ELECTION_REASSIGN,  /* the first of the target replicas that is live and in sync */
    ELECTION_PREFERRED, /* the first assigned replica or nobody */
    ELECTION_CONTROLLED_SHUTDOWN, /* away from brokers that are about to stop */
};

/* A broker as the partition sees it. Live means: registered, and not with this replica on a failed directory. */
struct election_replica {
    int32_t broker_id;
    bool is_live;          /* and not shutting down */
    bool is_reachable;     /* live or shutting down */
    bool is_shutting_down; /* asked for a controlled shutdown */
};

struct election {
    enum election_strategy strategy;
    const struct election_replica *replicas; /* assignment order; for ELECTION_REASSIGN the target replicas */
    int32_t replica_count;
    const struct election_replica *isr; /* in the order of the znode */
    int32_t isr_count;
    bool is_unclean_allowed; /* ELECTION_OFFLINE only */
};

struct election_result {
    int32_t leader;
    bool is_unclean; /* the leader was not in sync: the partition is RECOVERING from now on */
    int32_t *isr;    /* caller's memory: isr_count of the election, at least one */
    int32_t isr_count;
    int32_t *recipients; /* caller's memory, replica_count: who is told by LeaderAndIsr */
    int32_t recipient_count;
};

/* False when nobody may lead; recipients are filled in either case. Rules 11 and 12: assignment order decides, and a
 * clean leader comes from the in-sync set only. */
bool election_decide(const struct election *election, struct election_result *ret);
/* Whether any in-sync replica is live: only without one does an unclean election come into question. */
bool election_has_live_isr(const struct election *election);

#endif
