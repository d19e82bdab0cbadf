/* The in-sync set of one partition as its leader holds it: what the controller confirmed, and at most one change that
 * is on its way there (zookeeper-mode.md 4.5, KIP-497). Pure.
 *
 * Two readings, never mixed: the committed set answers "how many replicas hold this" (min.insync.replicas), the maximal
 * set answers "for whom must we wait" (high watermark, acks=all): a newcomer is waited for as soon as it is proposed, a
 * leaver until its leaving is confirmed. */
#ifndef OTTLA_REPLICATION_ISR_H
#define OTTLA_REPLICATION_ISR_H

#include <stdbool.h>
#include <stdint.h>

/* Replicas of one partition, old and new together while it is being moved. Nobody replicates to more brokers than
 * this; a command that names more is refused, so that the sets have a fixed size. */
#define REPLICAS_MAX 64

struct replica_list {
    int32_t count;
    int32_t ids[REPLICAS_MAX];
};

/* False, and an empty list, when there are more than REPLICAS_MAX. */
bool replica_list_set(struct replica_list *list, const int32_t *ids, int32_t count);
bool replica_list_contains(const struct replica_list *list, int32_t broker_id);
/* Same ids in the same order. */
bool replica_list_equal(const struct replica_list *a, const struct replica_list *b);

enum isr_change {
    ISR_SETTLED,
    ISR_EXPANDING,
    ISR_SHRINKING,
};

struct isr {
    enum isr_change change;
    bool is_parked;    /* the change failed for good: no more tries, and no other change, until the next leader epoch */
    uint32_t proposal; /* number of the change under way; an answer to another one is out of date */
    struct replica_list committed;
    struct replica_list proposed; /* while a change is under way */
    int64_t newcomer_epoch;       /* broker epoch of whose fetch it was that made the newcomer one */
};

/* What a LeaderAndIsr says; whatever was under way is superseded. */
void isr_reset(struct isr *isr, const struct replica_list *committed);
const struct replica_list *isr_maximal(const struct isr *isr);
/* No change is under way, so that one may begin. */
bool isr_is_settled(const struct isr *isr);
/* Propose the set with the newcomer behind the others, or without the leavers. The set must be settled. */
void isr_expand(struct isr *isr, int32_t newcomer, int64_t broker_epoch);
void isr_shrink(struct isr *isr, const struct replica_list *leavers);
/* The broker epoch to be told of a member of the proposed set that is there in `broker_epoch` now: of the newcomer,
 * however often the proposal is sent, the one that it was made for. */
int64_t isr_member_epoch(const struct isr *isr, int32_t broker_id, int64_t broker_epoch);
/* The end of the change under way: confirmed as `committed`; certainly not applied; or unknown for good. */
void isr_confirm(struct isr *isr, const struct replica_list *committed);
void isr_revert(struct isr *isr);
void isr_park(struct isr *isr);

#endif
