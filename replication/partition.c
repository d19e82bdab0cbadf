/* The rules by which a partition replica changes. Each decision that a mutant of reliability.md turns is one
 * expression in one function here. */
#include "replication/partition.h"

#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/protocol/errors.h"

static int64_t clamp(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : value > high ? high : value;
}

void partition_init(struct partition *partition, int32_t broker_id, int64_t log_start, int64_t log_end,
                    int64_t high_watermark, int32_t min_insync_replicas) {
    *partition = (struct partition){.broker_id = broker_id,
                                    .leader = -1,
                                    .leader_epoch = -1,
                                    .leading_since_epoch = -1,
                                    .leader_epoch_start = OFFSET_UNKNOWN,
                                    .min_insync_replicas = min_insync_replicas,
                                    .log_start = log_start,
                                    .log_end = log_end,
                                    .high_watermark = clamp(high_watermark, log_start, log_end)};
}

void partition_deinit(struct partition *partition) {
    free(partition->remotes);
    partition->remotes = NULL;
    partition->remote_count = 0;
}

static struct replica_state *find_remote(const struct partition *partition, int32_t broker_id) {
    for (int32_t i = 0; i < partition->remote_count; i++) {
        if (partition->remotes[i].broker_id == broker_id) {
            return &partition->remotes[i];
        }
    }
    return NULL;
}

const struct replica_state *partition_replica(const struct partition *partition, int32_t broker_id) {
    return find_remote(partition, broker_id);
}

static const struct partition_peer *find_peer(const struct partition_peer *peers, int32_t count, int32_t broker_id) {
    int32_t low = 0;
    while (low < count) {
        int32_t middle = low + (count - low) / 2;
        if (peers[middle].broker_id == broker_id) {
            return &peers[middle];
        }
        if (peers[middle].broker_id < broker_id) {
            low = middle + 1;
        } else {
            count = middle;
        }
    }
    return NULL;
}

static const struct partition_peer *live_peer(const struct partition_event *event, int32_t broker_id) {
    return find_peer(event->peers, event->peer_count, broker_id);
}

/* ---- Gates and questions ---- */

int16_t partition_check_command(const struct partition *partition, int32_t broker_id, int32_t leader_epoch,
                                const int32_t *replicas, int32_t replica_count) {
    int32_t current = partition == NULL ? -1 : partition->leader_epoch;
    /* Rule 8: an equal epoch changes nothing, whatever else it says; each change brokers must see has a new one. */
    if (leader_epoch <= current) {
        return KAFKA_STALE_CONTROLLER_EPOCH;
    }
    struct replica_list list;
    if (!replica_list_set(&list, replicas, replica_count)) {
        return KAFKA_INVALID_REQUEST;
    }
    return replica_list_contains(&list, broker_id) ? KAFKA_NONE : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

bool partition_is_superseded(const struct partition *partition, int32_t partition_epoch) {
    return partition_epoch < partition->partition_epoch;
}

int16_t partition_check_leader_epoch(const struct partition *partition, int32_t current_leader_epoch) {
    if (current_leader_epoch < 0 || current_leader_epoch == partition->leader_epoch) {
        return KAFKA_NONE;
    }
#ifdef MUTANT_M3 /* unfenced (KIP-320) */
    return KAFKA_NONE;
#endif
    return current_leader_epoch < partition->leader_epoch ? KAFKA_FENCED_LEADER_EPOCH : KAFKA_UNKNOWN_LEADER_EPOCH;
}

int16_t partition_check_replica(const struct partition *partition, int32_t replica_id, int32_t current_leader_epoch) {
    if (find_remote(partition, replica_id) != NULL) {
        return KAFKA_NONE;
    }
    return current_leader_epoch >= 0 ? KAFKA_UNKNOWN_LEADER_EPOCH : KAFKA_NOT_LEADER_OR_FOLLOWER;
}

bool partition_is_diverging(int32_t end_epoch, int64_t end_offset, int32_t last_fetched_epoch, int64_t fetch_offset) {
    return end_epoch < last_fetched_epoch || end_offset < fetch_offset;
}

int32_t partition_effective_min_isr(const struct partition *partition) {
    return MIN(partition->min_insync_replicas, partition->replicas.count);
}

/* Rule 15: the committed set counts, never one that is only proposed. */
bool partition_has_enough_replicas(const struct partition *partition) {
    return partition->isr.committed.count >= partition_effective_min_isr(partition);
}

int16_t partition_ack_state(const struct partition *partition, int64_t last_offset, int32_t leader_epoch) {
    /* Between two leaderships the record may have been truncated; a new epoch of the same leadership keeps it. */
    if (partition->role != PARTITION_LEADER || leader_epoch < partition->leading_since_epoch) {
        return KAFKA_NOT_LEADER_OR_FOLLOWER;
    }
    if (partition->high_watermark <= last_offset) {
        return KAFKA_REQUEST_TIMED_OUT;
    }
    return partition_has_enough_replicas(partition) ? KAFKA_NONE : KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND;
}

int64_t partition_low_watermark(const struct partition *partition, const struct partition_peer *peers,
                                int32_t peer_count) {
    int64_t low = partition->log_start;
    for (int32_t i = 0; i < partition->remote_count; i++) {
        const struct replica_state *remote = &partition->remotes[i];
        if (find_peer(peers, peer_count, remote->broker_id) != NULL) {
            low = MIN(low, remote->log_start_offset);
        }
    }
    return low;
}

bool partition_needs_tick(const struct partition *partition) {
    if (partition->role != PARTITION_LEADER) {
        return false;
    }
    if (partition->isr.change != ISR_SETTLED || partition->isr.committed.count != partition->replicas.count ||
        partition->high_watermark != partition->log_end) {
        return true;
    }
    for (int32_t i = 0; i < partition->remote_count; i++) {
        if (partition->remotes[i].log_end_offset != partition->log_end) {
            return true;
        }
    }
    return false;
}

/* ---- In-sync set ---- */

static bool is_caught_up(const struct partition *partition, const struct replica_state *remote,
                         const struct partition_event *event) {
    return remote->log_end_offset == partition->log_end || event->now_ms - remote->caught_up_ms <= event->lag_max_ms;
}

/* Rule 16: to join, a follower has everything that was ever exposed, and everything this leader began with. */
static bool has_reached_leader(const struct partition *partition, const struct replica_state *remote) {
#ifdef MUTANT_M5 /* joins before the start of the leader's epoch */
    return remote->log_end_offset >= partition->high_watermark;
#endif
    return remote->log_end_offset >= partition->high_watermark &&
           remote->log_end_offset >= partition->leader_epoch_start;
}

/* What we remember of a follower is worth something only while its broker is the one that fetched: live, fetching, and
 * not restarted since (an old fetch of a broker that came back with less must not bring it in, L9). */
static bool is_state_current(const struct replica_state *remote, const struct partition_event *event) {
    const struct partition_peer *peer = live_peer(event, remote->broker_id);
#ifdef MUTANT_M23 /* whichever life of the broker it was that fetched */
    return peer != NULL;
#endif
    return peer != NULL && remote->replica_epoch == peer->replica_epoch &&
           event->now_ms - peer->last_fetch_ms <= event->lag_max_ms;
}

static void try_expand(struct partition *partition, const struct partition_event *event, unsigned *actions) {
    for (int32_t i = 0; i < partition->remote_count && isr_is_settled(&partition->isr); i++) {
        const struct replica_state *remote = &partition->remotes[i];
        if (remote->log_end_offset != OFFSET_UNKNOWN &&
            !replica_list_contains(&partition->isr.committed, remote->broker_id) &&
            replica_list_contains(&partition->replicas, remote->broker_id) && is_state_current(remote, event) &&
            has_reached_leader(partition, remote)) {
            isr_expand(&partition->isr, remote->broker_id, remote->replica_epoch);
            *actions |= PARTITION_PROPOSE_ISR;
        }
    }
}

static void try_shrink(struct partition *partition, const struct partition_event *event, unsigned *actions) {
    struct replica_list leavers = {.count = 0};
    if (!isr_is_settled(&partition->isr)) {
        return;
    }
    for (int32_t i = 0; i < partition->isr.committed.count; i++) {
        int32_t broker_id = partition->isr.committed.ids[i];
        const struct replica_state *remote = find_remote(partition, broker_id);
        if (broker_id != partition->broker_id && (remote == NULL || !is_caught_up(partition, remote, event))) {
            leavers.ids[leavers.count++] = broker_id;
        }
    }
    if (leavers.count > 0) {
        isr_shrink(&partition->isr, &leavers);
        *actions |= PARTITION_PROPOSE_ISR;
    }
}

/* ---- High watermark ---- */

/* Rule 14: all of the maximal set, and whoever is about to join it anyway, so that joining never waits. */
static bool is_waited_for(const struct partition *partition, const struct replica_state *remote,
                          const struct partition_event *event) {
#ifdef MUTANT_M4 /* the committed set instead of the maximal one */
    return replica_list_contains(&partition->isr.committed, remote->broker_id);
#endif
    return replica_list_contains(isr_maximal(&partition->isr), remote->broker_id) ||
           (is_caught_up(partition, remote, event) && live_peer(event, remote->broker_id) != NULL);
}

static void try_advance(struct partition *partition, const struct partition_event *event, unsigned *actions) {
    if (partition->role != PARTITION_LEADER || !partition_has_enough_replicas(partition)) {
        return;
    }
    int64_t candidate = partition->log_end;
    for (int32_t i = 0; i < partition->remote_count; i++) {
        const struct replica_state *remote = &partition->remotes[i];
        if (remote->log_end_offset < candidate && is_waited_for(partition, remote, event)) {
            candidate = remote->log_end_offset;
        }
    }
    if (candidate > partition->high_watermark) {
        partition->high_watermark = candidate;
        *actions |= PARTITION_WAKE;
    }
}

/* ---- Roles ---- */

static struct replica_state remote_fresh(int32_t broker_id) {
    return (struct replica_state){.broker_id = broker_id,
                                  .log_end_offset = OFFSET_UNKNOWN,
                                  .log_start_offset = OFFSET_UNKNOWN,
                                  .last_fetch_leader_end = OFFSET_UNKNOWN,
                                  .replica_epoch = -1};
}

/* The remotes become those of the new assignment and of the in-sync set, with what is known of those that stay. A
 * reassignment takes replicas out of the assignment first and out of the in-sync set then; in between they may still be
 * elected, so the high watermark waits for them (Kafka's leader does not). */
static void set_replicas(struct partition *partition, const struct replica_list *replicas,
                         const struct replica_list *in_sync) {
    int32_t capacity = replicas->count + in_sync->count;
    struct replica_state *remotes = capacity == 0 ? NULL : xcalloc((size_t)capacity, sizeof *partition->remotes);
    int32_t count = 0;
    for (int32_t i = 0; i < capacity; i++) {
        int32_t id = i < replicas->count ? replicas->ids[i] : in_sync->ids[i - replicas->count];
        if (id != partition->broker_id && (i < replicas->count || !replica_list_contains(replicas, id))) {
            const struct replica_state *known = find_remote(partition, id);
            remotes[count++] = known != NULL ? *known : remote_fresh(id);
        }
    }
    free(partition->remotes);
    partition->remotes = remotes;
    partition->remote_count = count;
    partition->replicas = *replicas;
}

/* Rule 18: members of the in-sync set get a full lag window from now; the others do not hold anything back. A leader
 * that goes on in a new epoch keeps what it knows of their log ends: they are still prefixes of its log. Whoever is not
 * in sync is proposed again when it has fetched under this epoch: the controller may have taken it out because it is
 * about to stop, and a set that is proposed with it would hold back every acknowledgement until that was refused. */
static void reset_remotes(struct partition *partition, const struct partition_event *event, bool is_new_leader) {
    for (int32_t i = 0; i < partition->remote_count; i++) {
        struct replica_state *remote = &partition->remotes[i];
        bool is_in_sync = replica_list_contains(&partition->isr.committed, remote->broker_id);
        if (is_new_leader) {
            *remote = remote_fresh(remote->broker_id);
        } else {
            remote->log_end_offset = is_in_sync ? remote->log_end_offset : OFFSET_UNKNOWN;
            remote->last_fetch_leader_end = partition->log_end;
            remote->last_fetch_ms = is_in_sync ? event->now_ms : 0;
        }
        remote->caught_up_ms = is_in_sync ? event->now_ms : event->now_ms - event->lag_max_ms - 1;
    }
}

static void become_leader(struct partition *partition, const struct partition_event *event, unsigned *actions) {
    /* Also when we missed an epoch: another may have led meanwhile, and the followers cut what they had from us. */
    bool is_new_leader =
        partition->role != PARTITION_LEADER || event->become.leader_epoch > partition->leader_epoch + 1;
    bool is_new_epoch = event->become.leader_epoch > partition->leader_epoch;
    set_replicas(partition, &event->become.replicas, &event->become.isr);
    isr_reset(&partition->isr, &event->become.isr);
    partition->role = PARTITION_LEADER;
    partition->leader = partition->broker_id;
    partition->partition_epoch = event->become.partition_epoch;
    if (is_new_epoch) {
        /* Rule 17: nothing may be appended under this epoch before the cache says where it begins. */
        partition->leader_epoch = event->become.leader_epoch;
        partition->leader_epoch_start = partition->log_end;
        *actions |= PARTITION_WRITE_EPOCH_START;
        reset_remotes(partition, event, is_new_leader);
    }
    if (is_new_leader) {
        partition->leading_since_epoch = partition->leader_epoch;
        *actions |= PARTITION_STOP_FETCHING;
    }
    *actions |= PARTITION_TELL_LEADERSHIP | PARTITION_WAKE;
    try_advance(partition, event, actions);
}

static void become_follower(struct partition *partition, const struct partition_event *event, unsigned *actions) {
    const struct replica_list nobody = {.count = 0};
    bool is_new_epoch = event->become.leader_epoch > partition->leader_epoch;
#ifdef MUTANT_M6 /* does not look for a truncation while its leader stays the same (KAFKA-7164) */
    bool has_same_leader = partition->role == PARTITION_FOLLOWER && partition->leader == event->become.leader;
#endif
    set_replicas(partition, &event->become.replicas, &nobody);
    isr_reset(&partition->isr, &nobody);
    partition->role = PARTITION_FOLLOWER;
    partition->leader = event->become.leader;
    partition->partition_epoch = event->become.partition_epoch;
    partition->leader_epoch_start = OFFSET_UNKNOWN;
    partition->leading_since_epoch = -1;
#ifdef MUTANT_M6
    partition->leading_since_epoch = has_same_leader ? -2 : -1;
#endif
    if (is_new_epoch) {
        /* Also when the leader stays: what it tells under the new epoch is checked against our log anew (M6). */
        partition->leader_epoch = event->become.leader_epoch;
        *actions |= PARTITION_STOP_FETCHING | PARTITION_START_FETCHING;
    }
    *actions |= PARTITION_TELL_LEADERSHIP | PARTITION_WAKE;
}

static void resign(struct partition *partition, const struct partition_event *event, unsigned *actions) {
    const struct replica_list nobody = {.count = 0};
    (void)event;
    isr_reset(&partition->isr, &nobody);
    partition->role = PARTITION_IDLE;
    partition->leader = -1;
    partition->leader_epoch_start = OFFSET_UNKNOWN;
    partition->leading_since_epoch = -1;
    *actions |= PARTITION_STOP_FETCHING | PARTITION_TELL_LEADERSHIP | PARTITION_WAKE;
}

/* ---- Progress ---- */

static void on_replica_fetched(struct partition *partition, const struct partition_event *event, unsigned *actions) {
    struct replica_state *remote = find_remote(partition, event->replica.broker_id);
    if (partition->role != PARTITION_LEADER || remote == NULL) {
        return;
    }
    /* The last words of a dead process may arrive after the first of its successor; broker epochs only grow. */
    if (event->replica.replica_epoch >= 0 && event->replica.replica_epoch < remote->replica_epoch) {
        return;
    }
    int64_t offset = event->replica.fetch_offset;
    int64_t low_before = remote->log_start_offset;
    /* Rule 18: having reached what we had at the previous fetch, it was caught up at the time of that fetch. */
    if (offset >= partition->log_end) {
        remote->caught_up_ms = MAX(remote->caught_up_ms, event->now_ms);
    } else if (offset >= remote->last_fetch_leader_end) {
        remote->caught_up_ms = MAX(remote->caught_up_ms, remote->last_fetch_ms);
    }
    remote->log_end_offset = offset;
    remote->log_start_offset = event->replica.log_start_offset;
    remote->last_fetch_leader_end = MAX(remote->last_fetch_leader_end, partition->log_end);
    remote->last_fetch_ms = event->now_ms;
    remote->replica_epoch = event->replica.replica_epoch;
    if (remote->log_start_offset != low_before) {
        *actions |= PARTITION_WAKE;
    }
    try_expand(partition, event, actions);
    try_advance(partition, event, actions);
}

/* A follower that had everything until now has not been asked about this partition since it became idle (sessions name
 * only what changed): it was caught up as long as its broker was fetching. Its lag begins with this append. */
static void on_leader_appended(struct partition *partition, const struct partition_event *event, unsigned *actions) {
    for (int32_t i = 0; i < partition->remote_count; i++) {
        struct replica_state *remote = &partition->remotes[i];
        const struct partition_peer *peer = live_peer(event, remote->broker_id);
        if (remote->log_end_offset == partition->log_end && peer != NULL) {
            remote->caught_up_ms = MAX(remote->caught_up_ms, peer->last_fetch_ms);
            remote->last_fetch_ms = MAX(remote->last_fetch_ms, peer->last_fetch_ms);
        }
    }
    partition->log_end = event->log.log_end;
    *actions |= PARTITION_WAKE;
    try_advance(partition, event, actions);
}

/* Rule 19, M7: the leader's high watermark counts only once our log is a prefix of the leader's; a diverging answer
 * never comes here. It may go down. */
static void on_follower_fetched(struct partition *partition, const struct partition_event *event, unsigned *actions) {
    bool has_appended = event->log.log_end != partition->log_end;
    partition->log_end = event->log.log_end;
    int64_t high_watermark = MAX(MIN(event->log.leader_high_watermark, partition->log_end), partition->log_start);
    if (has_appended || high_watermark != partition->high_watermark) {
        partition->high_watermark = high_watermark;
        *actions |= PARTITION_WAKE;
    }
}

static void on_truncated(struct partition *partition, const struct partition_event *event, unsigned *actions) {
    partition->log_end = event->log.log_end;
    partition->high_watermark = MIN(partition->high_watermark, partition->log_end);
    *actions |= PARTITION_WAKE;
}

static void on_start_raised(struct partition *partition, const struct partition_event *event, unsigned *actions) {
    partition->log_start = event->start.log_start;
    partition->log_end = event->start.log_end;
    /* After a full truncation too the high watermark lies in the log (KAFKA-9491). */
#ifdef MUTANT_M16 /* the high watermark stays where it was after a full truncation */
    partition->high_watermark = MAX(partition->high_watermark, partition->log_start);
#else
    partition->high_watermark = clamp(partition->high_watermark, partition->log_start, partition->log_end);
#endif
    *actions |= PARTITION_WAKE;
    try_advance(partition, event, actions);
}

static void on_isr_confirmed(struct partition *partition, const struct partition_event *event, unsigned *actions) {
    if (event->isr_answer.leader_epoch != partition->leader_epoch ||
        event->isr_answer.partition_epoch < partition->partition_epoch) {
        return; /* something newer is on its way: stay as we are until it comes */
    }
    isr_confirm(&partition->isr, &event->isr_answer.isr);
    partition->partition_epoch = event->isr_answer.partition_epoch;
    *actions |= PARTITION_WAKE;
    try_advance(partition, event, actions);
    try_expand(partition, event, actions);
}

static void on_isr_answered(struct partition *partition, const struct partition_event *event, unsigned *actions) {
    if (partition->role != PARTITION_LEADER || isr_is_settled(&partition->isr) ||
        event->isr_answer.proposal != partition->isr.proposal) {
        return;
    }
    switch (event->isr_answer.error_code) {
    case KAFKA_NONE: on_isr_confirmed(partition, event, actions); break;
    case KAFKA_OPERATION_NOT_ATTEMPTED:
    case KAFKA_INELIGIBLE_REPLICA:
        /* The controller says that our state is right and nothing was done; the tick tries again. */
        isr_revert(&partition->isr);
        break;
    case KAFKA_UNKNOWN_TOPIC_OR_PARTITION:
    case KAFKA_UNKNOWN_TOPIC_ID:
    case KAFKA_FENCED_LEADER_EPOCH:
    case KAFKA_INVALID_UPDATE_VERSION:
    case KAFKA_INVALID_REQUEST:
    case KAFKA_NEW_LEADER_ELECTED:
        /* We do not know what holds there, so the stricter reading stays until a LeaderAndIsr tells. */
        isr_park(&partition->isr);
        break;
    default: *actions |= PARTITION_PROPOSE_ISR; break;
    }
}

/* What we know of a replica outside the set ends with its broker: it comes back by a fetch of its own. */
static void on_peers_changed(struct partition *partition, const struct partition_event *event, unsigned *actions) {
    if (partition->role != PARTITION_LEADER) {
        return;
    }
    for (int32_t i = 0; i < partition->remote_count; i++) {
        struct replica_state *remote = &partition->remotes[i];
        if (live_peer(event, remote->broker_id) == NULL &&
            !replica_list_contains(&partition->isr.committed, remote->broker_id) &&
            !replica_list_contains(isr_maximal(&partition->isr), remote->broker_id)) {
            /* A follower that says its broker epoch is told apart from one that came back with less (L9); it may have
             * fetched before the image named it, and would not say again what we forget here. */
            if (remote->replica_epoch < 0) {
                *remote = remote_fresh(remote->broker_id);
            }
            remote->caught_up_ms = event->now_ms - event->lag_max_ms - 1;
        }
    }
    try_expand(partition, event, actions);
    try_advance(partition, event, actions);
}

static void on_tick(struct partition *partition, const struct partition_event *event, unsigned *actions) {
    if (partition->role != PARTITION_LEADER) {
        return;
    }
    try_shrink(partition, event, actions);
    try_expand(partition, event, actions);
    try_advance(partition, event, actions);
}

/* What holds after every step, whatever came. */
static void check_invariants(const struct partition *partition) {
    CHECK(partition->log_start <= partition->high_watermark);
    CHECK(partition->high_watermark <= partition->log_end);
    CHECK((partition->role == PARTITION_LEADER) == (partition->leader_epoch_start != OFFSET_UNKNOWN));
    CHECK(partition->role == PARTITION_LEADER || isr_is_settled(&partition->isr));
    CHECK(partition->role != PARTITION_LEADER || partition->leader == partition->broker_id);
    CHECK(partition->leading_since_epoch <= partition->leader_epoch);
}

void partition_step(struct partition *partition, const struct partition_event *event, unsigned *ret_actions) {
    static void (*const steps[])(struct partition *, const struct partition_event *, unsigned *) = {
        [PARTITION_BECOME_LEADER] = become_leader,
        [PARTITION_BECOME_FOLLOWER] = become_follower,
        [PARTITION_RESIGN] = resign,
        [PARTITION_REPLICA_FETCHED] = on_replica_fetched,
        [PARTITION_LEADER_APPENDED] = on_leader_appended,
        [PARTITION_FOLLOWER_FETCHED] = on_follower_fetched,
        [PARTITION_TRUNCATED] = on_truncated,
        [PARTITION_START_RAISED] = on_start_raised,
        [PARTITION_ISR_ANSWERED] = on_isr_answered,
        [PARTITION_PEERS_CHANGED] = on_peers_changed,
        [PARTITION_TICK] = on_tick,
    };
    *ret_actions = 0;
    if (event->type == PARTITION_CONFIGURED) {
        partition->min_insync_replicas = event->min_insync_replicas;
        try_advance(partition, event, ret_actions);
    } else {
        steps[event->type](partition, event, ret_actions);
    }
    check_invariants(partition);
}
