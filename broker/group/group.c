/* The events of a group but joining and rebalancing, which have files of their own. */
#include "broker/group/group.h"

#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/group/group_internal.h"
#include "broker/protocol/errors.h"

const char *group_state_name(enum group_state state) {
    static const char *const names[] = {"Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead"};
    return names[state];
}

void group_init(struct group *group, struct str id, const struct group_limits *limits) {
    *group = (struct group){
        .id = group_keep_str(id),
        .limits = limits,
        .state = GROUP_EMPTY,
        .protocol_type = STR_NULL,
        .protocol = STR_NULL,
        .leader = STR_NULL,
        .state_timestamp_ms = -1,
        .rebalance_end_ms = GROUP_NEVER,
        .sync_end_ms = GROUP_NEVER,
        .wake_ms = GROUP_NEVER,
        .bytes = (int64_t)sizeof *group + id.size,
    };
}

void group_deinit(struct group *group) {
    struct group_member *member;
    struct group_member *after;
    HASH_ITER(hh, group->members, member, after) {
        group_remove_member(group, member);
    }
    struct group_pending_member *pending;
    struct group_pending_member *pending_after;
    HASH_ITER(hh, group->pending, pending, pending_after) {
        group_remove_pending(group, pending);
    }
    while (group->stores != NULL) {
        struct group_store *store = group->stores;
        group->stores = store->next;
        group_free_store(store);
    }
    group_forget_subscription(group);
    CHECK(group->protocol_count_size == 0);
    free(group->protocol_counts);
    group_drop_str(&group->protocol_type);
    group_drop_str(&group->protocol);
    group_drop_str(&group->leader);
    group_drop_str(&group->id);
}

struct group_action *group_add_action(struct group_actions *actions, enum group_action_type type) {
    if (actions->count == actions->capacity) {
        int32_t capacity = MAX(4, 2 * actions->capacity);
        struct group_action *list = ARENA_ARRAY(actions->arena, struct group_action, capacity);
        if (actions->count > 0) {
            memcpy(list, actions->list, (size_t)actions->count * sizeof *list);
        }
        actions->list = list;
        actions->capacity = capacity;
    }
    struct group_action *action = &actions->list[actions->count++];
    *action = (struct group_action){.type = type,
                                    .member_id = {"", 0},
                                    .leader = {"", 0},
                                    .protocol_type = STR_NULL,
                                    .protocol = STR_NULL,
                                    .assignment = {NULL, 0}};
    return action;
}

/* ---- Time ---- */

void group_wake_at(struct group *group, int64_t at_ms) {
    group->wake_ms = MIN(group->wake_ms, at_ms);
}

void group_expect_until(struct group *group, struct group_member *member, int64_t deadline_ms) {
    member->deadline_ms = deadline_ms;
    group_wake_at(group, deadline_ms);
}

void group_expect_heartbeat(struct group *group, struct group_member *member, const struct group_event *event) {
    group_expect_until(group, member, event->now_ms + member->session_timeout_ms);
}

void group_set_state(struct group *group, enum group_state state, const struct group_event *event) {
    group->state = state;
    group->state_timestamp_ms = event->wall_ms;
}

/* The exact time of what is due next. */
static void look_ahead(struct group *group) {
    const struct group_member *member;
    const struct group_pending_member *pending;
    group->wake_ms = MIN(group->rebalance_end_ms, group->sync_end_ms);
    for (member = group->members; member != NULL; member = member->hh.next) {
        group_wake_at(group, member->deadline_ms);
    }
    for (pending = group->pending; pending != NULL; pending = pending->hh.next) {
        group_wake_at(group, pending->deadline_ms);
    }
}

static void expire_pending(struct group *group, const struct group_event *event) {
    struct group_pending_member *pending;
    struct group_pending_member *after;
    HASH_ITER(hh, group->pending, pending, after) {
        if (pending->deadline_ms <= event->now_ms) {
            group_remove_pending(group, pending);
        }
    }
}

/* Who waits for the others is alive, unless it is new: then it may have gone without ever having learnt its id. */
static bool is_excused(const struct group_member *member) {
    return !member->is_new && (member->join_waiter != NULL || member->sync_waiter != NULL);
}

static void expire_members(struct group *group, const struct group_event *event, struct group_actions *actions) {
    struct group_member *member;
    struct group_member *after;
    HASH_ITER(hh, group->members, member, after) {
        if (member->deadline_ms > event->now_ms) {
            continue;
        }
        if (is_excused(member)) {
            member->deadline_ms = GROUP_NEVER;
            continue;
        }
        struct str reason =
            arena_printf(actions->arena, "removing member %.*s on heartbeat expiration", STR_ARGS(member->id));
        group_depart(group, member, event, reason, actions);
    }
}

static void tick(struct group *group, const struct group_event *event, struct group_actions *actions) {
    expire_pending(group, event);
    expire_members(group, event, actions);
    group_expire_sync(group, event, actions);
    group_settle(group, event, actions);
    look_ahead(group);
}

/* ---- Members ---- */

int16_t group_check_member(const struct group *group, struct str member_id, struct str instance_id) {
    if (!str_is_null(instance_id)) {
        const struct group_member *owner = group_instance_of(group, instance_id);
        if (owner == NULL) {
            return KAFKA_UNKNOWN_MEMBER_ID;
        }
        if (!str_equal(owner->id, member_id)) {
            return KAFKA_FENCED_INSTANCE_ID;
        }
    }
    return group_member_of(group, member_id) == NULL ? KAFKA_UNKNOWN_MEMBER_ID : KAFKA_NONE;
}

static int16_t heartbeat(struct group *group, const struct group_event *event) {
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
    if (group->state == GROUP_EMPTY) {
        return KAFKA_UNKNOWN_MEMBER_ID;
    }
    group_expect_heartbeat(group, group_member_of(group, event->member_id), event);
    return group->state == GROUP_PREPARING_REBALANCE ? KAFKA_REBALANCE_IN_PROGRESS : KAFKA_NONE;
}

static int16_t leave(struct group *group, const struct group_event *event, struct group_actions *actions) {
    if (group->state == GROUP_DEAD) {
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    }
    struct group_member *member;
    if (event->member_id.size == 0) {
        /* An operator removes a static member by its instance id (KIP-345). */
        member = group_instance_of(group, event->instance_id);
        if (member == NULL) {
            return KAFKA_UNKNOWN_MEMBER_ID;
        }
    } else {
        struct group_pending_member *pending = group_pending_of(group, event->member_id);
        if (pending != NULL) {
            group_remove_pending(group, pending);
            return KAFKA_NONE;
        }
        int16_t error = group_check_member(group, event->member_id, event->instance_id);
        if (error != KAFKA_NONE) {
            return error;
        }
        member = group_member_of(group, event->member_id);
    }
    struct str reason = arena_printf(actions->arena, "Removing member %.*s on LeaveGroup; client reason: %.*s",
                                     STR_ARGS(member->id), STR_ARGS(event->reason));
    group_depart(group, member, event, reason, actions);
    return KAFKA_NONE;
}

static int16_t check_commit(struct group *group, const struct group_event *event) {
    if (group->state == GROUP_DEAD) {
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    }
    bool is_empty = group->state == GROUP_EMPTY;
    if (event->generation < 0 && is_empty) {
        return KAFKA_NONE; /* consumers without group management, and tools */
    }
    if (event->generation < 0 && event->member_id.size == 0 && str_is_null(event->instance_id)) {
        /* Older transactional clients do not say who they are; others have to. */
        return event->commit.is_transactional ? KAFKA_NONE : KAFKA_UNKNOWN_MEMBER_ID;
    }
    int16_t error = group_check_member(group, event->member_id, event->instance_id);
#ifndef MUTANT_M34
    if (error == KAFKA_NONE && event->generation != group->generation) {
        error = KAFKA_ILLEGAL_GENERATION;
    }
#endif
#ifdef MUTANT_M34 /* commits of older generations are let through */
    if (error == KAFKA_NONE && event->generation < group->generation) {
        return KAFKA_NONE;
    }
#endif
    if (error != KAFKA_NONE || event->commit.is_transactional || is_empty) {
        return error;
    }
    if (group->state == GROUP_COMPLETING_REBALANCE) {
        return KAFKA_REBALANCE_IN_PROGRESS;
    }
    group_expect_heartbeat(group, group_member_of(group, event->member_id), event);
    return KAFKA_NONE;
}

/* ---- Beginning and end ---- */

static void unload(struct group *group, const struct group_event *event, struct group_actions *actions) {
    struct group_member *member;
    for (member = group->members; member != NULL; member = member->hh.next) {
        group_refuse_join(group, member, KAFKA_NOT_COORDINATOR, member->id, actions);
        group_refuse_sync(group, member, KAFKA_NOT_COORDINATOR, event, actions);
    }
    group_set_state(group, GROUP_DEAD, event);
    group->rebalance_end_ms = GROUP_NEVER;
    group->sync_end_ms = GROUP_NEVER;
    group->wake_ms = GROUP_NEVER;
}

static void loaded(struct group *group, const struct group_event *event, struct group_actions *actions) {
    struct group_member *member;
    for (member = group->members; member != NULL; member = member->hh.next) {
        group_expect_heartbeat(group, member, event);
    }
    group_learn_subscription(group);
    if (group_size(group) > group->limits->size_max) {
        group_prepare_rebalance(group, event, STR_LITERAL("Freshly-loaded group is over capacity"), actions);
    }
}

static int16_t end_group(struct group *group, const struct group_event *event) {
    if (group->state == GROUP_EMPTY) {
        group_set_state(group, GROUP_DEAD, event);
        group->wake_ms = GROUP_NEVER;
        return KAFKA_NONE;
    }
    return group->state == GROUP_DEAD ? KAFKA_GROUP_ID_NOT_FOUND : KAFKA_NON_EMPTY_GROUP;
}

void group_load(struct group *group, int32_t generation, struct str protocol_type, struct str protocol,
                struct str leader, int64_t state_timestamp_ms) {
    CHECK(group->members == NULL);
    group->generation = generation;
    group->protocol_type = protocol_type.size > 0 ? group_keep_str(protocol_type) : STR_NULL;
    group->protocol = group_keep_str(protocol);
    group->leader = group_keep_str(leader);
    group->state_timestamp_ms = state_timestamp_ms;
}

void group_load_member(struct group *group, const struct group_loaded_member *loaded_member) {
    if (loaded_member->id.size <= 0 || group_member_of(group, loaded_member->id) != NULL ||
        group_instance_of(group, loaded_member->instance_id) != NULL) {
        return;
    }
    struct group_member *member = xcalloc(1, sizeof *member);
    member->id = group_keep_str(loaded_member->id);
    member->instance_id = group_keep_str(loaded_member->instance_id);
    member->client_id = group_keep_str(loaded_member->client_id);
    member->client_host = group_keep_str(loaded_member->client_host);
    member->rebalance_timeout_ms = loaded_member->rebalance_timeout_ms;
    member->session_timeout_ms = loaded_member->session_timeout_ms;
    const struct group_protocol protocol = {.name = str_is_null(group->protocol) ? STR_LITERAL("") : group->protocol,
                                            .metadata = loaded_member->subscription};
    member->protocol_bytes = group_copy_protocols(&protocol, 1, &member->protocols);
    member->protocol_count = 1;
    group_set_assignment(group, member, group_keep_slice(loaded_member->assignment));
    member->deadline_ms = GROUP_NEVER;
    group->state = GROUP_STABLE;
    group_add_member(group, member);
}

void group_step(struct group *group, const struct group_event *event, struct group_actions *ret_actions) {
    struct arena *arena = ret_actions->arena;
    *ret_actions = (struct group_actions){.arena = arena, .reason = STR_NULL};
    switch (event->type) {
    case GROUP_JOIN: group_join(group, event, ret_actions); break;
    case GROUP_SYNC: group_sync(group, event, ret_actions); break;
    case GROUP_HEARTBEAT: ret_actions->error_code = heartbeat(group, event); break;
    case GROUP_LEAVE: ret_actions->error_code = leave(group, event, ret_actions); break;
    case GROUP_COMMIT: ret_actions->error_code = check_commit(group, event); break;
    case GROUP_DELETE: ret_actions->error_code = end_group(group, event); break;
    case GROUP_EXPIRE:
        if (group->state == GROUP_EMPTY && group->pending == NULL && !event->expire.has_offsets) {
            end_group(group, event);
        }
        break;
    case GROUP_TICK: tick(group, event, ret_actions); return;
    case GROUP_STORED: group_stored(group, event, ret_actions); break;
    case GROUP_LOADED: loaded(group, event, ret_actions); break;
    case GROUP_UNLOAD: unload(group, event, ret_actions); break;
    }
    group_settle(group, event, ret_actions);
}
