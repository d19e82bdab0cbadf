/* Leader election by strategy: one rule for who may lead, one for what remains in sync, one for who is told. */
#include "replication/election.h"

#include <stddef.h>

static bool is_in_sync(const struct election *election, int32_t broker_id) {
    for (int32_t i = 0; i < election->isr_count; i++) {
        if (election->isr[i].broker_id == broker_id) {
            return true;
        }
    }
    return false;
}

static bool may_lead(const struct election *election, const struct election_replica *replica) {
    if (!is_in_sync(election, replica->broker_id)) {
        return false;
    }
    return election->strategy == ELECTION_CONTROLLED_SHUTDOWN ? replica->is_reachable && !replica->is_shutting_down
                                                              : replica->is_live;
}

static const struct election_replica *find_leader(const struct election *election) {
    /* The preferred leader is the first assigned replica: the others are not even looked at. */
    int32_t count =
        election->strategy == ELECTION_PREFERRED && election->replica_count > 1 ? 1 : election->replica_count;
    for (int32_t i = 0; i < count; i++) {
        if (may_lead(election, &election->replicas[i])) {
            return &election->replicas[i];
        }
    }
    return NULL;
}

static bool stays_in_sync(enum election_strategy strategy, const struct election_replica *member) {
    switch (strategy) {
    case ELECTION_OFFLINE: return member->is_live;
    case ELECTION_CONTROLLED_SHUTDOWN: return !member->is_shutting_down;
    case ELECTION_REASSIGN:
    case ELECTION_PREFERRED: break;
    }
    return true;
}

static bool is_told(enum election_strategy strategy, const struct election_replica *replica) {
    switch (strategy) {
    case ELECTION_OFFLINE: return replica->is_live;
    case ELECTION_CONTROLLED_SHUTDOWN: return replica->is_reachable;
    case ELECTION_REASSIGN:
    case ELECTION_PREFERRED: break;
    }
    return true;
}

bool election_has_live_isr(const struct election *election) {
    for (int32_t i = 0; i < election->isr_count; i++) {
        if (election->isr[i].is_live) {
            return true;
        }
    }
    return false;
}

bool election_decide(const struct election *election, struct election_result *ret) {
    const struct election_replica *leader = find_leader(election);
    ret->is_unclean = false;
    ret->isr_count = 0;
    ret->recipient_count = 0;
    for (int32_t i = 0; i < election->replica_count; i++) {
        if (is_told(election->strategy, &election->replicas[i])) {
            ret->recipients[ret->recipient_count++] = election->replicas[i].broker_id;
        }
    }
    if (leader == NULL && election->strategy == ELECTION_OFFLINE && election->is_unclean_allowed &&
        !election_has_live_isr(election)) {
        for (int32_t i = 0; i < election->replica_count && leader == NULL; i++) {
            leader = election->replicas[i].is_live ? &election->replicas[i] : NULL;
        }
        ret->is_unclean = leader != NULL;
    }
    if (leader == NULL) {
        return false;
    }
    ret->leader = leader->broker_id;
    if (ret->is_unclean) {
        ret->isr[ret->isr_count++] = leader->broker_id;
        return true;
    }
    for (int32_t i = 0; i < election->isr_count; i++) {
        if (stays_in_sync(election->strategy, &election->isr[i])) {
            ret->isr[ret->isr_count++] = election->isr[i].broker_id;
        }
    }
    return true;
}
