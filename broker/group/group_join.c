/* JoinGroup: who may come in, and what it brings about. */
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/group/group_internal.h"
#include "broker/protocol/errors.h"

void group_answer_join_error(struct group_actions *actions, void *waiter, int16_t error_code, struct str member_id) {
    struct group_action *action = group_add_action(actions, GROUP_ANSWER_JOIN);
    action->waiter = waiter;
    action->error_code = error_code;
    action->member_id = arena_str(actions->arena, member_id);
    action->generation = -1;
}

static void *end_join_waiting(struct group *group, struct group_member *member) {
    void *waiter = member->join_waiter;
    group->awaiting_join_count -= waiter != NULL;
    member->join_waiter = NULL;
    return waiter;
}

void group_refuse_join(struct group *group, struct group_member *member, int16_t error_code, struct str member_id,
                       struct group_actions *actions) {
    void *waiter = end_join_waiting(group, member);
    if (waiter != NULL) {
        group_answer_join_error(actions, waiter, error_code, member_id);
    }
}

/* The answer to whoever waits, with the generation as it is. */
static void answer_with_generation(const struct group *group, void *waiter, struct str member_id, struct str leader,
                                   bool lists_members, bool skip_assignment, struct group_actions *actions) {
    struct group_action *action = group_add_action(actions, GROUP_ANSWER_JOIN);
    action->waiter = waiter;
    action->member_id = arena_str(actions->arena, member_id);
    action->leader = arena_str(actions->arena, leader);
    action->generation = group->generation;
    action->protocol_type = group->protocol_type;
    action->protocol = group->protocol;
    action->has_members = lists_members;
    action->skip_assignment = skip_assignment;
}

void group_answer_joined(struct group *group, struct group_member *member, struct str leader, bool lists_members,
                         bool skip_assignment, struct group_actions *actions) {
    void *waiter = end_join_waiting(group, member);
    if (waiter != NULL) {
        answer_with_generation(group, waiter, member->id, str_is_null(leader) ? group->leader : leader, lists_members,
                               skip_assignment, actions);
    }
}

void group_await_join(struct group *group, struct group_member *member, void *waiter, struct group_actions *actions) {
    group_refuse_join(group, member, KAFKA_REBALANCE_IN_PROGRESS, member->id, actions);
    member->join_waiter = waiter;
    group->awaiting_join_count++;
}

/* group.max.size. Those who wait already are inside; while a rebalance runs it is they who are counted, so that a
 * group that is too large sheds whoever comes last. */
static bool has_room(const struct group *group, struct str member_id) {
    const struct group_member *member = group_member_of(group, member_id);
    switch (group->state) {
    case GROUP_EMPTY:
    case GROUP_DEAD: return true;
    case GROUP_PREPARING_REBALANCE:
        return (member != NULL && member->join_waiter != NULL) || group->awaiting_join_count < group->limits->size_max;
    case GROUP_COMPLETING_REBALANCE:
    case GROUP_STABLE: return member != NULL || group_size(group) < group->limits->size_max;
    }
    return false;
}

static void add_and_rebalance(struct group *group, const struct group_event *event, struct str member_id,
                              struct group_actions *actions) {
    struct group_member *member = xcalloc(1, sizeof *member);
    struct group_pending_member *pending = group_pending_of(group, member_id);
    if (pending != NULL) {
        group_remove_pending(group, pending);
    }
    member->id = group_keep_str(member_id);
    member->instance_id = group_keep_str(event->instance_id);
    member->client_id = group_keep_str(event->join.client_id);
    member->client_host = group_keep_str(event->join.client_host);
    member->rebalance_timeout_ms = event->join.rebalance_timeout_ms;
    member->session_timeout_ms = event->join.session_timeout_ms;
    member->protocol_count = event->join.protocol_count;
    member->protocol_bytes =
        group_copy_protocols(event->join.protocols, event->join.protocol_count, &member->protocols);
    member->join_waiter = event->waiter;
    member->is_new = true;
    if (group->state == GROUP_PREPARING_REBALANCE && group->generation == 0) {
        group->has_new_member = true;
    }
    if (group->members == NULL) {
        group_drop_str(&group->protocol_type);
        group->protocol_type = group_keep_str(event->protocol_type);
    }
    group_add_member(group, member);
    group_expect_until(group, member, event->now_ms + GROUP_NEW_MEMBER_TIMEOUT_MS);
    group_prepare_rebalance(group, event,
                            arena_printf(actions->arena,
                                         "Adding new member %.*s with group instance id %.*s; client reason: %.*s",
                                         STR_ARGS(member_id), STR_ARGS(event->instance_id), STR_ARGS(event->reason)),
                            actions);
}

/* Takes over what the member says of itself now. */
static void update_member(struct group *group, struct group_member *member, const struct group_event *event,
                          struct group_store *ret_old, struct group_actions *actions) {
    struct group_protocol *protocols;
    int64_t bytes = group_copy_protocols(event->join.protocols, event->join.protocol_count, &protocols);
    int32_t count = event->join.protocol_count;
    group_swap_protocols(group, member, &protocols, &count, &bytes);
    if (ret_old != NULL) {
        ret_old->old_protocols = protocols;
        ret_old->old_protocol_count = count;
        ret_old->old_protocol_bytes = bytes;
        ret_old->old_rebalance_timeout_ms = member->rebalance_timeout_ms;
        ret_old->old_session_timeout_ms = member->session_timeout_ms;
    } else {
        free(protocols);
    }
    member->rebalance_timeout_ms = event->join.rebalance_timeout_ms;
    member->session_timeout_ms = event->join.session_timeout_ms;
    group_await_join(group, member, event->waiter, actions);
}

static void update_and_rebalance(struct group *group, struct group_member *member, const struct group_event *event,
                                 const char *what, struct group_actions *actions) {
    update_member(group, member, event, NULL, actions);
    group_prepare_rebalance(group, event,
                            arena_printf(actions->arena, "%s %.*s; client reason: %.*s", what, STR_ARGS(member->id),
                                         STR_ARGS(event->reason)),
                            actions);
}

/* A static member comes back without its member id: the process was started anew. It takes the place of its former
 * self, whose requests are fenced from now on. In a stable group nobody else notices, as long as the protocol stays. */
static void replace_static(struct group *group, struct group_member *member, const struct group_event *event,
                           struct group_actions *actions) {
    struct group_store old = {.old_id = group_keep_str(member->id),
                              .new_id = group_keep_str(event->join.new_member_id),
                              .old_leader = group_keep_str(group->leader),
                              .supports_skip_assignment = event->join.supports_skip_assignment};
    group_refuse_join(group, member, KAFKA_FENCED_INSTANCE_ID, member->id, actions);
    group_refuse_sync(group, member, KAFKA_FENCED_INSTANCE_ID, event, actions);
    group_rename_member(group, member, event->join.new_member_id);
    update_member(group, member, event, &old, actions);
    group_expect_heartbeat(group, member, event);
    if (group->state == GROUP_STABLE && str_equal(group_select_protocol(group), group->protocol)) {
        struct group_store *store = group_begin_store(group, GROUP_STORE_STATIC, false, actions);
        old.number = store->number;
        old.kind = store->kind;
        old.generation = store->generation;
        old.next = store->next;
        *store = old;
        return;
    }
    /* In CompletingRebalance the leader may be assigning to the former id: it would never reach the new one. */
    group_prepare_rebalance(group, event,
                            arena_printf(actions->arena,
                                         "Updating metadata for static member %.*s with instance id %.*s; client "
                                         "reason: %.*s",
                                         STR_ARGS(member->id), STR_ARGS(event->instance_id), STR_ARGS(event->reason)),
                            actions);
    free(old.old_protocols);
    group_drop_str(&old.old_id);
    group_drop_str(&old.new_id);
    group_drop_str(&old.old_leader);
}

static void join_without_id(struct group *group, const struct group_event *event, struct group_actions *actions) {
    struct group_member *known = group_instance_of(group, event->instance_id);
    if (known != NULL) {
        replace_static(group, known, event, actions);
    } else if (!event->join.requires_known_id) {
        add_and_rebalance(group, event, event->join.new_member_id, actions);
    } else if ((int32_t)HASH_COUNT(group->pending) >= GROUP_PENDING_MEMBERS_MAX) {
        group_answer_join_error(actions, event->waiter, KAFKA_GROUP_MAX_SIZE_REACHED, STR_LITERAL(""));
    } else {
        group_add_pending(group, event->join.new_member_id, event->now_ms + event->join.session_timeout_ms);
        group_answer_join_error(actions, event->waiter, KAFKA_MEMBER_ID_REQUIRED, event->join.new_member_id);
    }
}

static void rejoin(struct group *group, const struct group_event *event, struct group_actions *actions) {
    struct group_member *member = group_member_of(group, event->member_id);
    bool is_leader = group_is_leader(group, event->member_id);
    bool is_same = group_member_offers_same(member, event->join.protocols, event->join.protocol_count);
    switch (group->state) {
    case GROUP_PREPARING_REBALANCE:
        update_and_rebalance(group, member, event, "Joining group during PreparingRebalance: member", actions);
        return;
    case GROUP_COMPLETING_REBALANCE:
        if (!is_same) {
            update_and_rebalance(group, member, event, "Updating metadata during CompletingRebalance: member", actions);
        } else {
            /* Perhaps the answer to its first JoinGroup was lost. */
            answer_with_generation(group, event->waiter, member->id, group->leader, is_leader, false, actions);
        }
        return;
    case GROUP_STABLE:
        if (is_leader) {
            /* It has seen something that changes the assignment but not its metadata, such as new partitions. */
            update_and_rebalance(group, member, event, "Leader re-joining group during Stable: member", actions);
        } else if (!is_same) {
            update_and_rebalance(group, member, event, "Updating metadata during Stable: member", actions);
        } else {
            answer_with_generation(group, event->waiter, member->id, group->leader, false, false, actions);
        }
        return;
    case GROUP_EMPTY:
    case GROUP_DEAD: group_answer_join_error(actions, event->waiter, KAFKA_UNKNOWN_MEMBER_ID, event->member_id); return;
    }
}

static void join_with_id(struct group *group, const struct group_event *event, struct group_actions *actions) {
    if (group_pending_of(group, event->member_id) != NULL) {
        /* Ids are only pending for dynamic members: Kafka breaks off with an exception here. */
        if (!str_is_null(event->instance_id)) {
            group_answer_join_error(actions, event->waiter, KAFKA_UNKNOWN_SERVER_ERROR, event->member_id);
        } else {
            add_and_rebalance(group, event, event->member_id, actions);
        }
        return;
    }
    int16_t error = group_check_member(group, event->member_id, event->instance_id);
    if (error != KAFKA_NONE) {
        group_answer_join_error(actions, event->waiter, error, event->member_id);
        return;
    }
    rejoin(group, event, actions);
}

/* What is wrong with the request whoever sends it. */
static int16_t check_join(const struct group *group, const struct group_event *event) {
    if (group->state == GROUP_DEAD) {
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    }
    int64_t bytes = 0;
    for (int32_t i = 0; i < event->join.protocol_count; i++) {
        bytes += MAX(event->join.protocols[i].metadata.size, 0);
    }
    if (bytes > GROUP_METADATA_MAX || event->join.protocol_count > GROUP_PROTOCOLS_MAX ||
        !group_supports(group, event->protocol_type, event->join.protocols, event->join.protocol_count)) {
        return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    }
    return group->bytes + bytes > GROUP_BYTES_MAX ? KAFKA_GROUP_MAX_SIZE_REACHED : KAFKA_NONE;
}

void group_join(struct group *group, const struct group_event *event, struct group_actions *actions) {
    if (!has_room(group, event->member_id)) {
        struct group_member *member = group_member_of(group, event->member_id);
        if (member != NULL) {
            group_depart(group, member, event, STR_LITERAL("The group has too many members"), actions);
        }
        group_answer_join_error(actions, event->waiter, KAFKA_GROUP_MAX_SIZE_REACHED, STR_LITERAL(""));
        return;
    }
    int16_t error = check_join(group, event);
    if (error != KAFKA_NONE) {
        group_answer_join_error(actions, event->waiter, error, event->member_id);
    } else if (event->member_id.size == 0) {
        join_without_id(group, event, actions);
    } else {
        join_with_id(group, event, actions);
    }
}
