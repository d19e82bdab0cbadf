/* The follower's side of replication: names, sessions, back-off and truncation. */
#include "replication/fetcher.h"

#include <stdlib.h>

#include <utlist.h>

#include "broker/base/check.h"
#include "broker/protocol/errors.h"

void fetcher_init(struct fetcher *fetcher, int32_t broker_id, int64_t backoff_ms) {
    *fetcher = (struct fetcher){.broker_id = broker_id, .backoff_ms = backoff_ms};
}

static void forget_all(struct fetcher *fetcher) {
    struct fetcher_forgotten *at = NULL;
    struct fetcher_forgotten *after = NULL;
    LL_FOREACH_SAFE(fetcher->forgotten, at, after) {
        free(at->topic);
        free(at);
    }
    fetcher->forgotten = NULL;
}

void fetcher_deinit(struct fetcher *fetcher) {
    CHECK(fetcher->count == 0);
    forget_all(fetcher);
}

static void list_dirty(struct fetcher_partition *partition) {
    if (!partition->is_dirty) {
        DL_APPEND2(partition->fetcher->dirty, partition, dirty_prev, dirty_next);
        partition->is_dirty = true;
    }
}

static void unlist_dirty(struct fetcher_partition *partition) {
    if (partition->is_dirty) {
        DL_DELETE2(partition->fetcher->dirty, partition, dirty_prev, dirty_next);
        partition->is_dirty = false;
    }
}

/* By time; whoever backs off for as long as the others goes to the end at once. */
static void list_waiting(struct fetcher_partition *partition) {
    struct fetcher *fetcher = partition->fetcher;
    struct fetcher_partition *at = fetcher->waiting == NULL ? NULL : fetcher->waiting->wait_prev;
    while (at != NULL && at->resume_ms > partition->resume_ms) {
        at = at == fetcher->waiting ? NULL : at->wait_prev;
    }
    if (at == NULL) {
        DL_PREPEND2(fetcher->waiting, partition, wait_prev, wait_next);
    } else {
        DL_APPEND_ELEM2(fetcher->waiting, at, partition, wait_prev, wait_next);
    }
}

static bool has_no_id(const struct fetcher_partition *partition) {
    return uuid_is_zero(partition->key.topic_id);
}

/* The one place that changes a state and the counts and lists that go with it. */
static void set_state(struct fetcher_partition *partition, enum fetcher_state state) {
    struct fetcher *fetcher = partition->fetcher;
    if (partition->state == FETCHER_FETCHING) {
        fetcher->fetching_count--;
        fetcher->nameless_count -= has_no_id(partition) ? 1 : 0;
    } else if (partition->state == FETCHER_WAITING) {
        DL_DELETE2(fetcher->waiting, partition, wait_prev, wait_next);
    }
    partition->state = state;
    if (state == FETCHER_FETCHING) {
        fetcher->fetching_count++;
        fetcher->nameless_count += has_no_id(partition) ? 1 : 0;
    } else if (state == FETCHER_WAITING) {
        list_waiting(partition);
    }
    list_dirty(partition);
}

/* A partition that left and comes back before the leader heard of it is still in the session. To forget and to name it
 * in one request would lose it: Kafka names first, then forgets. */
static bool take_forgotten(struct fetcher *fetcher, const struct fetcher_partition *partition) {
    for (struct fetcher_forgotten **at = &fetcher->forgotten; *at != NULL; at = &(*at)->next) {
        struct fetcher_forgotten *found = *at;
        bool is_same = fetcher->session_uses_ids ? uuid_equal(found->key.topic_id, partition->key.topic_id)
                                                 : str_equal_text(partition->topic, found->topic);
        if (is_same && found->key.partition == partition->key.partition) {
            *at = found->next;
            free(found->topic);
            free(found);
            return true;
        }
    }
    return false;
}

void fetcher_add(struct fetcher *fetcher, struct fetcher_partition *partition, struct str topic, struct uuid topic_id,
                 int32_t index, int32_t leader_epoch, const struct fetch_position *position) {
    *partition = (struct fetcher_partition){.fetcher = fetcher,
                                            .topic = topic,
                                            .leader_epoch = leader_epoch,
                                            .state = FETCHER_PARKED,
                                            .position = *position};
    partition->key.topic_id = topic_id;
    partition->key.partition = index;
    partition->is_in_session = take_forgotten(fetcher, partition);
    DL_APPEND(fetcher->all, partition);
    fetcher->count++;
    if (!has_no_id(partition)) {
        HASH_ADD(hh, fetcher->by_key, key, sizeof partition->key, partition);
    }
    set_state(partition, FETCHER_FETCHING);
}

void fetcher_remove(struct fetcher_partition *partition) {
    struct fetcher *fetcher = partition->fetcher;
    if (fetcher == NULL) {
        return;
    }
    set_state(partition, FETCHER_PARKED);
    unlist_dirty(partition);
    if (!has_no_id(partition)) {
        HASH_DEL(fetcher->by_key, partition);
    }
    DL_DELETE(fetcher->all, partition);
    fetcher->count--;
    /* The session of a full request that is under way will have it too. */
    if (partition->is_in_session && (fetcher->is_in_flight || !follower_session_is_full(&fetcher->session))) {
        struct fetcher_forgotten *forgotten = xcalloc(1, sizeof *forgotten);
        forgotten->topic = xstrndup(partition->topic.data, (size_t)partition->topic.size);
        forgotten->key = partition->key;
        LL_PREPEND(fetcher->forgotten, forgotten);
    }
    partition->fetcher = NULL;
    if (fetcher->count == 0 && !fetcher->is_in_flight) {
        follower_session_reset(&fetcher->session);
        forget_all(fetcher);
    }
}

struct fetcher_partition *fetcher_find(const struct fetcher *fetcher, struct uuid topic_id, int32_t index) {
    struct fetcher_key key;
    struct fetcher_partition *partition = NULL;
    memset(&key, 0, sizeof key);
    key.topic_id = topic_id;
    key.partition = index;
    HASH_FIND(hh, fetcher->by_key, &key, sizeof key, partition);
    return partition;
}

enum fetcher_turn fetcher_turn(struct fetcher *fetcher, int64_t now_ms, int64_t *ret_wake_ms) {
    *ret_wake_ms = INT64_MAX;
    if (fetcher->is_in_flight || fetcher->count == 0) {
        return FETCHER_SLEEP;
    }
    if (now_ms < fetcher->quiet_until_ms) {
        *ret_wake_ms = fetcher->quiet_until_ms;
        return FETCHER_SLEEP;
    }
    while (fetcher->waiting != NULL && fetcher->waiting->resume_ms <= now_ms) {
        set_state(fetcher->waiting, FETCHER_FETCHING);
    }
    if (fetcher->fetching_count > 0) {
        return FETCHER_SEND;
    }
    if (fetcher->waiting != NULL) {
        *ret_wake_ms = fetcher->waiting->resume_ms;
    }
    return FETCHER_SLEEP;
}

void fetcher_plan(struct fetcher *fetcher, struct fetcher_plan *ret_plan) {
    /* Rule 24: ids only when every topic has one. The session is of one kind; another kind is another session. */
    bool uses_topic_ids = fetcher->nameless_count == 0;
    if (uses_topic_ids != fetcher->session_uses_ids) {
        follower_session_reset(&fetcher->session);
        fetcher->session_uses_ids = uses_topic_ids;
    }
    *ret_plan = (struct fetcher_plan){.session_id = fetcher->session.id,
                                      .session_epoch = fetcher->session.epoch,
                                      .uses_topic_ids = uses_topic_ids,
                                      .is_full = follower_session_is_full(&fetcher->session)};
}

static struct fetcher_partition *next_named(struct fetcher_partition *at, bool is_full) {
    while (at != NULL && at->state != FETCHER_FETCHING) {
        at = is_full ? at->next : at->dirty_next;
    }
    return at;
}

struct fetcher_partition *fetcher_named_first(const struct fetcher *fetcher, const struct fetcher_plan *plan) {
    return next_named(plan->is_full ? fetcher->all : fetcher->dirty, plan->is_full);
}

struct fetcher_partition *fetcher_named_next(const struct fetcher_partition *partition,
                                             const struct fetcher_plan *plan) {
    return next_named(plan->is_full ? partition->next : partition->dirty_next, plan->is_full);
}

static struct fetcher_partition *next_leaving(struct fetcher_partition *at) {
    while (at != NULL && (at->state == FETCHER_FETCHING || !at->is_in_session)) {
        at = at->dirty_next;
    }
    return at;
}

struct fetcher_partition *fetcher_leaving_first(const struct fetcher *fetcher, const struct fetcher_plan *plan) {
    return plan->is_full ? NULL : next_leaving(fetcher->dirty);
}

struct fetcher_partition *fetcher_leaving_next(const struct fetcher_partition *partition) {
    return next_leaving(partition->dirty_next);
}

void fetcher_on_sent(struct fetcher *fetcher, const struct fetcher_plan *plan) {
    CHECK(!fetcher->is_in_flight);
    fetcher->is_in_flight = true;
    forget_all(fetcher);
    if (plan->is_full) {
        struct fetcher_partition *at = NULL;
        DL_FOREACH(fetcher->all, at) {
            at->is_in_session = at->state == FETCHER_FETCHING;
        }
    }
    while (fetcher->dirty != NULL) {
        struct fetcher_partition *partition = fetcher->dirty;
        unlist_dirty(partition);
        partition->is_in_session = partition->state == FETCHER_FETCHING;
    }
}

void fetcher_on_failed(struct fetcher *fetcher, int64_t now_ms) {
    fetcher->is_in_flight = false;
    fetcher->quiet_until_ms = now_ms + fetcher->backoff_ms;
    follower_session_reset(&fetcher->session);
    forget_all(fetcher);
}

bool fetcher_on_answer(struct fetcher *fetcher, int16_t error_code, int32_t session_id, int64_t now_ms) {
    CHECK(fetcher->is_in_flight);
    fetcher->is_in_flight = false;
    if (follower_session_on_answer(&fetcher->session, error_code, session_id)) {
        return true;
    }
    forget_all(fetcher);
    /* A session the leader does not know (any more) is replaced at once; anything else may last. */
    if (error_code != KAFKA_FETCH_SESSION_ID_NOT_FOUND && error_code != KAFKA_INVALID_FETCH_SESSION_EPOCH) {
        fetcher->quiet_until_ms = now_ms + fetcher->backoff_ms;
    }
    return false;
}

enum fetch_verdict fetcher_judge(const struct fetcher_partition *partition, const struct fetch_answer *answer) {
    /* Dirty: something changed after the question, so that the answer is to another question. */
    if (partition->state != FETCHER_FETCHING || partition->is_dirty || !partition->is_in_session) {
        return FETCH_IGNORE;
    }
    switch (answer->error_code) {
    case KAFKA_NONE: return answer->is_diverging ? FETCH_TRUNCATE : FETCH_APPEND;
    case KAFKA_OFFSET_OUT_OF_RANGE: return FETCH_RESOLVE;
    case KAFKA_FENCED_LEADER_EPOCH:
        /* Rule 20: the question carried the epoch we still have, so only a command can help. */
        return FETCH_PARK;
    default: return FETCH_RETRY;
    }
}

void fetcher_move(struct fetcher_partition *partition, const struct fetch_position *position) {
    bool is_same = partition->position.offset == position->offset &&
                   partition->position.log_start_offset == position->log_start_offset &&
                   partition->position.last_fetched_epoch == position->last_fetched_epoch;
    partition->position = *position;
    if (partition->state != FETCHER_FETCHING) {
        set_state(partition, FETCHER_FETCHING);
    } else if (!is_same) {
        list_dirty(partition);
    }
}

void fetcher_delay_until(struct fetcher_partition *partition, int64_t resume_ms) {
    if (partition->state == FETCHER_WAITING) {
        set_state(partition, FETCHER_PARKED); /* out of its place */
    }
    partition->resume_ms = resume_ms;
    set_state(partition, FETCHER_WAITING);
}

void fetcher_delay(struct fetcher_partition *partition, int64_t now_ms) {
    fetcher_delay_until(partition, now_ms + partition->fetcher->backoff_ms);
}

void fetcher_delay_unready(struct fetcher_partition *partition, int64_t now_ms, int64_t times) {
    int64_t wait_ms = (int64_t)FETCHER_UNREADY_MS << MIN(MAX(times - 1, 0), 16);
    fetcher_delay_until(partition, now_ms + MIN(wait_ms, partition->fetcher->backoff_ms));
}

void fetcher_park(struct fetcher_partition *partition) {
    set_state(partition, FETCHER_PARKED);
}

void fetcher_resolve(struct fetcher_partition *partition) {
    set_state(partition, FETCHER_RESOLVING);
}

int64_t fetcher_truncation(int32_t leader_epoch, int64_t leader_end, int32_t own_epoch, int64_t own_end,
                           int64_t log_end) {
#ifdef MUTANT_M2 /* takes the leader's answer for its own epoch (KIP-279) */
    return MIN(leader_end, log_end);
#endif
    /* Rule 19 (KIP-101, KIP-279): cut to the end of the last epoch that both have, never to the high watermark. When we
     * do not have the leader's epoch, what we have of a smaller one may still be too much: another round decides. */
    int64_t shared_end = own_epoch < 0 ? leader_end : own_epoch != leader_epoch ? own_end : MIN(own_end, leader_end);
    return MIN(shared_end, log_end);
}

bool fetcher_keeps_nothing(int64_t cut, int64_t own_start, int64_t leader_start) {
    return own_start < leader_start && cut <= leader_start;
}

bool fetcher_may_cut(int64_t end, int64_t high_watermark, int64_t leader_high_watermark, bool is_in_sync) {
    return end >= high_watermark || leader_high_watermark < high_watermark || !is_in_sync;
}

enum fetch_resolution fetcher_resolution(int64_t log_end, int64_t leader_end, int64_t leader_start,
                                         int64_t *ret_offset) {
    if (leader_end < log_end) {
        *ret_offset = leader_end;
        return RESOLUTION_TRUNCATE;
    }
    if (leader_start < 0) {
        return RESOLUTION_ASK_START;
    }
    *ret_offset = MAX(leader_start, log_end);
    return leader_start > log_end ? RESOLUTION_RESTART : RESOLUTION_CONTINUE;
}
