/* A consumer as member of a group (classic protocol, range assignment): joins, is assigned partitions, commits, leaves.
 *
 * Nothing runs in the background: group_poll() sends heartbeats and commits when they are due, between fetches. */
#ifndef OTTLA_TOOLS_CLIENT_GROUP_H
#define OTTLA_TOOLS_CLIENT_GROUP_H

#include "tools/client/consumer.h"

struct group_settings {
    const char *group_id;
    const char *instance_id; /* NULL for a dynamic member */
    bool auto_commit;
    int64_t auto_commit_interval_ms;
    int32_t session_timeout_ms;
    int32_t heartbeat_interval_ms;
    int32_t rebalance_timeout_ms;
};

struct group_member {
    struct consumer *consumer;
    struct group_settings settings;
    struct broker_connection coordinator;
    char *member_id; /* "" before the first join */
    int32_t generation;
    bool is_joined;
    bool leads;
    struct str *topics; /* subscribed to, sorted; kept in the arena of topics */
    int32_t topic_count;
    struct topic_count *counts; /* leading: partitions of each topic as they were assigned */
    int32_t count_count;
    int64_t heartbeat_at_ms; /* next */
    int64_t commit_at_ms;    /* next */
    int64_t look_at_ms;      /* leading: next look whether topics have changed */
    int64_t retry_at_ms;
    struct arena topics_arena;
    struct arena arena; /* of one call */
};

/* The consumer reads by assignment (consumer_settings.by_assignment). */
void group_member_init(struct group_member *member, struct consumer *consumer, const struct group_settings *settings);
/* Commits what was read, if that is automatic, leaves unless static, and gives everything back. */
void group_member_close(struct group_member *member);

/* As consumer_poll, within the group. */
int group_poll(struct group_member *member, int64_t deadline_ms, struct failure *failure);

/* ---- group_assign.c: what members say of themselves, and who gets what ---- */

struct topic_count {
    struct str topic;
    int32_t partitions;
};

struct assigned_partition {
    struct str topic;
    int32_t partition;
};

struct slice group_encode_subscription(struct arena *arena, const struct str *topics, int32_t count);
/* The range assignment for the members of a JoinGroup answer; topics nobody knows are left out. */
void group_assign_range(struct arena *arena, const struct join_group_response *joined, const struct topic_count *counts,
                        int32_t count, struct sync_group_request *ret);
/* Topics of all members, each once, sorted. */
int32_t group_subscribed_topics(struct arena *arena, const struct join_group_response *joined, struct str **ret_topics);
/* 0 or ERR_CORRUPT. */
int group_decode_assignment(struct arena *arena, struct slice bytes, struct assigned_partition **ret_list,
                            int32_t *ret_count);

#endif
