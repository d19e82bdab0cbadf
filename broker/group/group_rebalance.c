/* From one generation to the next: everybody joins anew, the leader assigns, the assignment goes into the log. */
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/group/group_internal.h"
#include "broker/protocol/errors.h"

/* A group of static members that do not come back is looked at again after its rebalance time-out, which may be 0. */
#define REBALANCE_AGAIN_MS_MIN 100

/* ---- Sync answers ---- */

static void answer_sync(struct group *group, struct group_member *member, int16_t error_code,
                        const struct group_event *event, struct group_actions *actions) {
    if (member->sync_waiter == NULL) {
        return;
    }
    struct group_action *action = group_add_action(actions, GROUP_ANSWER_SYNC);
    action->waiter = member->sync_waiter;
    action->error_code = error_code;
    if (error_code == KAFKA_NONE) {
        action->protocol_type = group->protocol_type;
        action->protocol = group->protocol;
        action->assignment = member->assignment;
    }
    member->sync_waiter = NULL;
    /* While it waited it counted as alive: the session begins now. */
    group_expect_heartbeat(group, member, event);
}

void group_refuse_sync(struct group *group, struct group_member *member, int16_t error_code,
                       const struct group_event *event, struct group_actions *actions) {
    answer_sync(group, member, error_code, event, actions);
}

static void refuse_all_syncs(struct group *group, int16_t error_code, const struct group_event *event,
                             struct group_actions *actions) {
    struct group_member *member;
    for (member = group->members; member != NULL; member = member->hh.next) {
        group_set_assignment(group, member, (struct slice){NULL, 0});
        group_drop_slice(&member->staged_assignment);
        answer_sync(group, member, error_code, event, actions);
    }
}

static void forget_due_syncs(struct group *group) {
    struct group_member *member;
    for (member = group->members; member != NULL && group->sync_due_count > 0; member = member->hh.next) {
        group->sync_due_count -= member->is_sync_due;
        member->is_sync_due = false;
    }
    group->sync_end_ms = GROUP_NEVER;
}

/* ---- Stores ---- */

struct group_store *group_begin_store(struct group *group, enum group_store_kind kind, bool is_staged,
                                      struct group_actions *actions) {
    struct group_store *store = xcalloc(1, sizeof *store);
    store->number = ++group->last_store;
    store->kind = kind;
    store->generation = group->generation;
    store->next = group->stores;
    group->stores = store;
    struct group_action *action = group_add_action(actions, GROUP_STORE);
    action->store_number = store->number;
    action->store_staged = is_staged;
    return store;
}

void group_free_store(struct group_store *store) {
    group_drop_str(&store->old_id);
    group_drop_str(&store->new_id);
    group_drop_str(&store->old_leader);
    free(store->old_protocols);
    free(store);
}

static bool is_storing_assignment(const struct group *group) {
    for (const struct group_store *store = group->stores; store != NULL; store = store->next) {
        if (store->kind == GROUP_STORE_ASSIGNMENT && store->generation == group->generation) {
            return true;
        }
    }
    return false;
}

static void assignment_stored(struct group *group, const struct group_store *store, const struct group_event *event,
                              struct group_actions *actions) {
    if (group->state != GROUP_COMPLETING_REBALANCE || group->generation != store->generation) {
        return; /* somebody joined meanwhile: another generation follows */
    }
    if (event->stored.error_code != KAFKA_NONE) {
        refuse_all_syncs(group, event->stored.error_code, event, actions);
        group_prepare_rebalance(group, event,
                                arena_printf(actions->arena, "Error %s when storing group assignment during SyncGroup",
                                             kafka_error_name(event->stored.error_code)),
                                actions);
        return;
    }
    group_set_state(group, GROUP_STABLE, event);
    struct group_member *member;
    for (member = group->members; member != NULL; member = member->hh.next) {
        group_set_assignment(group, member, member->staged_assignment);
        member->staged_assignment = (struct slice){NULL, 0};
        answer_sync(group, member, KAFKA_NONE, event, actions);
    }
}

static void put_back_static(struct group *group, struct group_store *store, struct group_member *member,
                            const struct group_event *event, struct group_actions *actions) {
    void *waiter = member->join_waiter;
    if (waiter != NULL) {
        member->join_waiter = NULL;
        group->awaiting_join_count--;
        struct group_action *action = group_add_action(actions, GROUP_ANSWER_JOIN);
        action->waiter = waiter;
        action->error_code = event->stored.error_code;
        action->member_id = STR_LITERAL("");
        action->generation = group->generation;
        action->protocol_type = group->protocol_type;
        action->protocol = group->protocol;
        action->leader = arena_str(actions->arena, store->old_leader);
    }
    group_swap_protocols(group, member, &store->old_protocols, &store->old_protocol_count, &store->old_protocol_bytes);
    member->rebalance_timeout_ms = store->old_rebalance_timeout_ms;
    member->session_timeout_ms = store->old_session_timeout_ms;
    group_rename_member(group, member, store->old_id);
    group_expect_heartbeat(group, member, event);
}

static void static_stored(struct group *group, struct group_store *store, const struct group_event *event,
                          struct group_actions *actions) {
    struct group_member *member = group_member_of(group, store->new_id);
    if (member == NULL || group->state != GROUP_STABLE || group->generation != store->generation) {
        return; /* a rebalance has begun, whose end answers it */
    }
    group_expect_heartbeat(group, member, event); /* while it waited it counted as alive */
    if (event->stored.error_code != KAFKA_NONE) {
        put_back_static(group, store, member, event, actions);
    } else if (store->supports_skip_assignment) {
        bool leads = group_is_leader(group, member->id);
        group_answer_joined(group, member, STR_NULL, leads, leads, actions);
    } else {
        /* By naming the former leader nobody takes itself for the leader and assigns what would not be heard. */
        group_answer_joined(group, member, store->old_leader, false, false, actions);
    }
}

void group_stored(struct group *group, const struct group_event *event, struct group_actions *actions) {
    struct group_store **link = &group->stores;
    while (*link != NULL && (*link)->number != event->stored.number) {
        link = &(*link)->next;
    }
    struct group_store *store = *link;
    CHECK(store != NULL);
    *link = store->next;
    if (store->kind == GROUP_STORE_ASSIGNMENT) {
        assignment_stored(group, store, event, actions);
    } else if (store->kind == GROUP_STORE_STATIC) {
        static_stored(group, store, event, actions);
    }
    group_free_store(store);
}

/* ---- Beginning ---- */

void group_prepare_rebalance(struct group *group, const struct group_event *event, struct str reason,
                             struct group_actions *actions) {
    if (group->state == GROUP_PREPARING_REBALANCE || group->state == GROUP_DEAD) {
        return;
    }
    if (group->state == GROUP_COMPLETING_REBALANCE) {
        refuse_all_syncs(group, KAFKA_REBALANCE_IN_PROGRESS, event, actions);
    }
    forget_due_syncs(group);
    int32_t timeout_ms = group_rebalance_timeout_ms(group);
    int32_t delay_ms = MAX(group->limits->initial_rebalance_delay_ms, 0);
    group->is_initial_delay = group->state == GROUP_EMPTY;
    group->has_new_member = false;
    group->initial_left_ms = MAX(timeout_ms - delay_ms, 0);
    group->rebalance_end_ms = event->now_ms + (group->is_initial_delay ? delay_ms : timeout_ms);
    group_wake_at(group, group->rebalance_end_ms);
    group_set_state(group, GROUP_PREPARING_REBALANCE, event);
    actions->reason = reason;
}

void group_depart(struct group *group, struct group_member *member, const struct group_event *event, struct str reason,
                  struct group_actions *actions) {
    group_refuse_join(group, member, KAFKA_UNKNOWN_MEMBER_ID, STR_LITERAL(""), actions);
    answer_sync(group, member, KAFKA_UNKNOWN_MEMBER_ID, event, actions);
    group_remove_member(group, member);
    if (group->state == GROUP_STABLE || group->state == GROUP_COMPLETING_REBALANCE) {
        group_prepare_rebalance(group, event, reason, actions);
    }
}

/* ---- Ending ---- */

/* Dynamic members that have not come are members no more. */
static void drop_absent(struct group *group) {
    struct group_member *member;
    struct group_member *after;
    HASH_ITER(hh, group->members, member, after) {
        if (member->join_waiter == NULL && str_is_null(member->instance_id)) {
            group_remove_member(group, member);
        }
    }
}

/* Somebody who has joined leads; false when nobody has. */
static bool elect_leader(struct group *group) {
    const struct group_member *leader = str_is_null(group->leader) ? NULL : group_member_of(group, group->leader);
    if (leader != NULL && leader->join_waiter != NULL) {
        return true;
    }
    const struct group_member *member = group->members;
    while (member != NULL && member->join_waiter == NULL) {
        member = member->hh.next;
    }
    if (member == NULL) {
        return false;
    }
    group_drop_str(&group->leader);
    group->leader = group_keep_str(member->id);
    return true;
}

static void form_generation(struct group *group, const struct group_event *event, struct group_actions *actions) {
    struct group_member *member;
    group_drop_str(&group->protocol);
    group->protocol = group_keep_str(group_select_protocol(group));
    group_set_state(group, GROUP_COMPLETING_REBALANCE, event);
    group_learn_subscription(group);
    for (member = group->members; member != NULL; member = member->hh.next) {
        group_drop_slice(&member->staged_assignment);
        group_answer_joined(group, member, STR_NULL, group_is_leader(group, member->id), false, actions);
        group_expect_heartbeat(group, member, event);
        member->is_new = false;
        member->is_sync_due = true;
    }
    group->sync_due_count = group_size(group);
    group->sync_end_ms = event->now_ms + group_rebalance_timeout_ms(group);
    group_wake_at(group, group->sync_end_ms);
}

static void complete_join(struct group *group, const struct group_event *event, struct group_actions *actions) {
    drop_absent(group);
    if (!elect_leader(group) && group->members != NULL) {
        /* Only static members are left, and none has come: until their sessions end they are waited for. */
        group->is_initial_delay = false;
        group->rebalance_end_ms = event->now_ms + MAX(group_rebalance_timeout_ms(group), REBALANCE_AGAIN_MS_MIN);
        group_wake_at(group, group->rebalance_end_ms);
        return;
    }
    group->rebalance_end_ms = GROUP_NEVER;
    group->is_initial_delay = false;
    group->generation = group->generation == INT32_MAX ? 0 : group->generation + 1;
    actions->is_completed = true;
    if (group->members != NULL) {
        form_generation(group, event, actions);
        return;
    }
    group_drop_str(&group->protocol);
    group_set_state(group, GROUP_EMPTY, event);
    group_learn_subscription(group);
    group_begin_store(group, GROUP_STORE_EMPTY, false, actions);
}

/* The first rebalance of an empty group waits a little for more members, and again while more come. */
static bool prolong(struct group *group, const struct group_event *event) {
    if (!group->is_initial_delay || !group->has_new_member || group->initial_left_ms == 0) {
        return false;
    }
    int32_t delay_ms = MIN(group->limits->initial_rebalance_delay_ms, group->initial_left_ms);
    if (delay_ms <= 0) {
        return false;
    }
    group->has_new_member = false;
    group->initial_left_ms -= delay_ms;
    group->rebalance_end_ms = event->now_ms + delay_ms;
    group_wake_at(group, group->rebalance_end_ms);
    return true;
}

void group_settle(struct group *group, const struct group_event *event, struct group_actions *actions) {
    if (group->state != GROUP_PREPARING_REBALANCE) {
        return;
    }
    bool has_all =
        !group->is_initial_delay && group->awaiting_join_count == group_size(group) && group->pending == NULL;
    bool is_time_up = event->now_ms >= group->rebalance_end_ms;
    if (has_all || (is_time_up && !prolong(group, event))) {
        complete_join(group, event, actions);
    }
}

/* ---- SyncGroup ---- */

static int16_t check_sync(const struct group *group, const struct group_event *event) {
    if (group->state == GROUP_DEAD) {
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    }
    int16_t error = group_check_member(group, event->member_id, event->instance_id);
    if (error != KAFKA_NONE) {
        return error;
    }
    if (event->generation != group->generation) {
        return KAFKA_ILLEGAL_GENERATION;
    }
    bool is_type_right = str_is_null(event->protocol_type) || str_equal(event->protocol_type, group->protocol_type);
    bool is_protocol_right = str_is_null(event->sync.protocol) || str_equal(event->sync.protocol, group->protocol);
    return is_type_right && is_protocol_right ? KAFKA_NONE : KAFKA_INCONSISTENT_GROUP_PROTOCOL;
}

/* Members the leader has forgotten get nothing. */
static void stage_assignments(struct group *group, const struct group_event *event) {
    struct group_member *member;
    for (member = group->members; member != NULL; member = member->hh.next) {
        group_drop_slice(&member->staged_assignment);
    }
    for (int32_t i = 0; i < event->sync.assignment_count; i++) {
        member = group_member_of(group, event->sync.assignments[i].member_id);
        if (member != NULL) {
            group_drop_slice(&member->staged_assignment);
            member->staged_assignment = group_keep_slice(event->sync.assignments[i].assignment);
        }
    }
}

static void sync_is_in(struct group *group, struct group_member *member) {
    group->sync_due_count -= member->is_sync_due;
    member->is_sync_due = false;
    if (group->sync_due_count == 0) {
        group->sync_end_ms = GROUP_NEVER;
    }
}

void group_sync(struct group *group, const struct group_event *event, struct group_actions *actions) {
    int16_t error = check_sync(group, event);
    struct group_member *member = group_member_of(group, event->member_id);
    if (error == KAFKA_NONE) {
        switch (group->state) {
        case GROUP_EMPTY:
        case GROUP_DEAD: error = KAFKA_UNKNOWN_MEMBER_ID; break;
        case GROUP_PREPARING_REBALANCE: error = KAFKA_REBALANCE_IN_PROGRESS; break;
        case GROUP_COMPLETING_REBALANCE:
        case GROUP_STABLE: break;
        }
    }
    if (error != KAFKA_NONE) {
        struct group_action *action = group_add_action(actions, GROUP_ANSWER_SYNC);
        action->waiter = event->waiter;
        action->error_code = error;
        return;
    }
    sync_is_in(group, member);
    /* Whoever waited in this member's name before has lost its connection or its patience. */
    answer_sync(group, member, KAFKA_REBALANCE_IN_PROGRESS, event, actions);
    member->sync_waiter = event->waiter;
    if (group->state == GROUP_STABLE) {
        answer_sync(group, member, KAFKA_NONE, event, actions);
    } else if (group_is_leader(group, member->id) && !is_storing_assignment(group)) {
        stage_assignments(group, event);
        group_begin_store(group, GROUP_STORE_ASSIGNMENT, true, actions);
    }
}

void group_expire_sync(struct group *group, const struct group_event *event, struct group_actions *actions) {
    bool is_waited_for = group->state == GROUP_COMPLETING_REBALANCE || group->state == GROUP_STABLE;
    if (event->now_ms < group->sync_end_ms) {
        return;
    }
    group->sync_end_ms = GROUP_NEVER;
    if (!is_waited_for || group->sync_due_count == 0) {
        return;
    }
    struct group_member *member;
    struct group_member *after;
    HASH_ITER(hh, group->members, member, after) {
        if (member->is_sync_due) {
            group_refuse_join(group, member, KAFKA_UNKNOWN_MEMBER_ID, STR_LITERAL(""), actions);
            answer_sync(group, member, KAFKA_UNKNOWN_MEMBER_ID, event, actions);
            group_remove_member(group, member);
        }
    }
    group_prepare_rebalance(group, event, STR_LITERAL("Removing members on pending sync request expiration"), actions);
}
