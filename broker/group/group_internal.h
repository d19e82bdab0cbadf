/* What the files of the pure core share: members and their protocols, answers, rebalances. */
#ifndef OTTLA_GROUP_INTERNAL_H
#define OTTLA_GROUP_INTERNAL_H

#include "broker/group/group.h"

/* An id given out with MEMBER_ID_REQUIRED. */
struct group_pending_member {
    struct str id;
    int64_t deadline_ms;
    UT_hash_handle hh;
};

struct group_protocol_count {
    struct str name;
    int32_t count;
};

enum group_store_kind {
    GROUP_STORE_EMPTY,      /* a generation without members */
    GROUP_STORE_ASSIGNMENT, /* the leader's assignment: the group becomes stable with it */
    GROUP_STORE_STATIC,     /* a static member came back under a new id while the group was stable */
};

struct group_store {
    uint64_t number;
    enum group_store_kind kind;
    int32_t generation;
    struct group_store *next;
    /* Of GROUP_STORE_STATIC: what there was, to be put back when the write fails. */
    struct str old_id;
    struct str new_id;
    struct str old_leader;
    struct group_protocol *old_protocols;
    int32_t old_protocol_count;
    int64_t old_protocol_bytes;
    int32_t old_rebalance_timeout_ms;
    int32_t old_session_timeout_ms;
    bool supports_skip_assignment;
};

/* ---- group_members.c ---- */

/* Heap copies; null stays null. */
struct str group_keep_str(struct str text);
struct slice group_keep_slice(struct slice bytes);
void group_drop_str(struct str *text);
void group_drop_slice(struct slice *bytes);

struct group_member *group_member_of(const struct group *group, struct str member_id);
struct group_member *group_instance_of(const struct group *group, struct str instance_id);
bool group_is_leader(const struct group *group, struct str member_id);
/* Whether a member with this type and these protocols fits in: everybody else offers one of them as well. */
bool group_supports(const struct group *group, struct str protocol_type, const struct group_protocol *protocols,
                    int32_t count);
/* The protocol all offer that most prefer; there are members. */
struct str group_select_protocol(const struct group *group);
bool group_member_offers_same(const struct group_member *member, const struct group_protocol *protocols, int32_t count);
/* Adds it to the tables; the member's strings, protocols and waiter are set. */
void group_add_member(struct group *group, struct group_member *member);
/* Copies the protocols into a block of their own; returns the bytes of their names and metadata. */
int64_t group_copy_protocols(const struct group_protocol *protocols, int32_t count, struct group_protocol **ret);
/* Takes the block over in the place of what the member offered before, which is given back in the arguments. */
void group_swap_protocols(struct group *group, struct group_member *member, struct group_protocol **protocols,
                          int32_t *count, int64_t *bytes);
/* The bytes become the group's, in the place of what there was. */
void group_set_assignment(struct group *group, struct group_member *member, struct slice assignment);
/* Out of the tables and gone; nobody waits for it any more. Another one becomes leader if it was. */
void group_remove_member(struct group *group, struct group_member *member);
void group_rename_member(struct group *group, struct group_member *member, struct str new_id);
struct group_pending_member *group_pending_of(const struct group *group, struct str member_id);
void group_add_pending(struct group *group, struct str member_id, int64_t deadline_ms);
void group_remove_pending(struct group *group, struct group_pending_member *pending);
int32_t group_rebalance_timeout_ms(const struct group *group);
/* From the metadata of all members: which topics they subscribe to, when they are consumers. */
void group_learn_subscription(struct group *group);
void group_forget_subscription(struct group *group);

/* ---- group.c ---- */

struct group_action *group_add_action(struct group_actions *actions, enum group_action_type type);
/* The error of a request of this member, 0 when it is one: static members by both ids. */
int16_t group_check_member(const struct group *group, struct str member_id, struct str instance_id);
/* The session begins anew. */
void group_expect_heartbeat(struct group *group, struct group_member *member, const struct group_event *event);
void group_expect_until(struct group *group, struct group_member *member, int64_t deadline_ms);
void group_wake_at(struct group *group, int64_t at_ms);
void group_set_state(struct group *group, enum group_state state, const struct group_event *event);

/* ---- group_join.c ---- */

void group_join(struct group *group, const struct group_event *event, struct group_actions *actions);
void group_answer_join_error(struct group_actions *actions, void *waiter, int16_t error_code, struct str member_id);
/* Ends a member's waiting for a join with an error. */
void group_refuse_join(struct group *group, struct group_member *member, int16_t error_code, struct str member_id,
                       struct group_actions *actions);
/* Ends it with the generation as it is. Without a leader given, the group's own. */
void group_answer_joined(struct group *group, struct group_member *member, struct str leader, bool lists_members,
                         bool skip_assignment, struct group_actions *actions);
/* The member waits for the join to end; whoever waited in its name before is sent to ask again. */
void group_await_join(struct group *group, struct group_member *member, void *waiter, struct group_actions *actions);

/* ---- group_rebalance.c ---- */

void group_sync(struct group *group, const struct group_event *event, struct group_actions *actions);
void group_stored(struct group *group, const struct group_event *event, struct group_actions *actions);
/* Gathers everybody anew, if the state allows one to begin; an arena_printf'd reason. */
void group_prepare_rebalance(struct group *group, const struct group_event *event, struct str reason,
                             struct group_actions *actions);
/* A member goes; the rest forms a new generation. */
void group_depart(struct group *group, struct group_member *member, const struct group_event *event, struct str reason,
                  struct group_actions *actions);
/* Ends the rebalance when everybody has joined or its time is up. */
void group_settle(struct group *group, const struct group_event *event, struct group_actions *actions);
void group_expire_sync(struct group *group, const struct group_event *event, struct group_actions *actions);
struct group_store *group_begin_store(struct group *group, enum group_store_kind kind, bool is_staged,
                                      struct group_actions *actions);
void group_free_store(struct group_store *store);
void group_refuse_sync(struct group *group, struct group_member *member, int16_t error_code,
                       const struct group_event *event, struct group_actions *actions);

#endif
