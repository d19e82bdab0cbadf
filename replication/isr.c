/* Arithmetic of small ordered sets of broker ids. */
#include "replication/isr.h"

#include <string.h>

#include "broker/base/check.h"

bool replica_list_set(struct replica_list *list, const int32_t *ids, int32_t count) {
    list->count = 0;
    if (count > REPLICAS_MAX) {
        return false;
    }
    for (int32_t i = 0; i < count; i++) {
        list->ids[list->count++] = ids[i];
    }
    return true;
}

bool replica_list_contains(const struct replica_list *list, int32_t broker_id) {
    for (int32_t i = 0; i < list->count; i++) {
        if (list->ids[i] == broker_id) {
            return true;
        }
    }
    return false;
}

bool replica_list_equal(const struct replica_list *a, const struct replica_list *b) {
    return a->count == b->count && memcmp(a->ids, b->ids, sizeof a->ids[0] * (size_t)a->count) == 0;
}

void isr_reset(struct isr *isr, const struct replica_list *committed) {
    isr->change = ISR_SETTLED;
    isr->is_parked = false;
    isr->proposal++;
    isr->committed = *committed;
    isr->proposed.count = 0;
}

const struct replica_list *isr_maximal(const struct isr *isr) {
    return isr->change == ISR_EXPANDING ? &isr->proposed : &isr->committed;
}

bool isr_is_settled(const struct isr *isr) {
    return isr->change == ISR_SETTLED;
}

void isr_expand(struct isr *isr, int32_t newcomer, int64_t broker_epoch) {
    CHECK(isr_is_settled(isr));
    CHECK(!replica_list_contains(&isr->committed, newcomer));
    CHECK(isr->committed.count < REPLICAS_MAX);
    isr->proposed = isr->committed;
    isr->proposed.ids[isr->proposed.count++] = newcomer;
    isr->newcomer_epoch = broker_epoch;
    isr->change = ISR_EXPANDING;
    isr->proposal++;
}

int64_t isr_member_epoch(const struct isr *isr, int32_t broker_id, int64_t broker_epoch) {
    return replica_list_contains(&isr->committed, broker_id) ? broker_epoch : isr->newcomer_epoch;
}

void isr_shrink(struct isr *isr, const struct replica_list *leavers) {
    CHECK(isr_is_settled(isr));
    isr->proposed.count = 0;
    for (int32_t i = 0; i < isr->committed.count; i++) {
        if (!replica_list_contains(leavers, isr->committed.ids[i])) {
            isr->proposed.ids[isr->proposed.count++] = isr->committed.ids[i];
        }
    }
    CHECK(isr->proposed.count < isr->committed.count);
    isr->change = ISR_SHRINKING;
    isr->proposal++;
}

void isr_confirm(struct isr *isr, const struct replica_list *committed) {
    CHECK(!isr_is_settled(isr));
    isr_reset(isr, committed);
}

void isr_revert(struct isr *isr) {
    CHECK(!isr_is_settled(isr));
    isr->change = ISR_SETTLED;
    isr->proposal++;
    isr->proposed.count = 0;
}

void isr_park(struct isr *isr) {
    CHECK(!isr_is_settled(isr));
    isr->is_parked = true;
}
