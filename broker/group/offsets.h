/* The committed offsets of one group.
 *
 * Pure bookkeeping of what the log of __consumer_offsets says: what is committed, what is on its way there, and what
 * transactions hold back. Order in the log decides: every change carries the offset of its record, and an older record
 * never undoes a newer one, in whatever order writes end. */
#ifndef OTTLA_GROUP_OFFSETS_H
#define OTTLA_GROUP_OFFSETS_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/slice.h"

struct offsets_topic;
struct offsets_transaction;

struct committed_offset {
    int64_t offset;
    int32_t leader_epoch; /* -1 unknown */
    struct str metadata;  /* never null */
    int64_t commit_timestamp_ms;
    int64_t expire_timestamp_ms; /* -1: by the group's retention */
};

struct offsets {
    struct offsets_topic *topics; /* uthash by name */
    struct offsets_transaction *transactions;
    int32_t count;         /* committed */
    int32_t pending_count; /* on their way into the log */
    int64_t bytes;
};

void offsets_deinit(struct offsets *offsets);

/* A commit sets out into the log; until offsets_settle() the partition is not stable. */
void offsets_stage(struct offsets *offsets, struct str topic, int32_t partition);
/* It has ended there, at record_offset, or failed (commit NULL). */
void offsets_settle(struct offsets *offsets, struct str topic, int32_t partition, const struct committed_offset *commit,
                    int64_t record_offset);
/* What a record says that needs no staging: while loading, and for tombstones (commit NULL). True when it changed what
 * is committed. */
bool offsets_apply(struct offsets *offsets, struct str topic, int32_t partition, const struct committed_offset *commit,
                   int64_t record_offset);

/* Commits of an open transaction wait for its marker. */
void offsets_stage_transactional(struct offsets *offsets, int64_t producer_id, struct str topic, int32_t partition,
                                 const struct committed_offset *commit, int64_t record_offset);
void offsets_end_transaction(struct offsets *offsets, int64_t producer_id, bool is_commit);

/* The committed offset; its metadata lives until the next change. False: none. */
bool offsets_find(const struct offsets *offsets, struct str topic, int32_t partition, struct committed_offset *ret);
/* Nothing is on its way: neither a commit into the log nor a transaction (KIP-447). */
bool offsets_are_stable(const struct offsets *offsets, struct str topic, int32_t partition);
/* Nothing committed and nothing on its way: such a group may end. */
bool offsets_are_empty(const struct offsets *offsets);

typedef void offsets_visitor(void *context, struct str topic, int32_t partition, const struct committed_offset *commit);
/* Every committed offset. The visitor changes nothing. */
void offsets_each(const struct offsets *offsets, offsets_visitor *visit, void *context);

/* Every offset that is committed or on its way: what a group leaves in the log. */
void offsets_each_known(const struct offsets *offsets, offsets_visitor *visit, void *context);
bool offsets_have_topic(const struct offsets *offsets, struct str topic);

/* How the retention of Kafka 3.9 (KIP-211, KIP-496) looks at a group. */
enum offsets_age {
    OFFSETS_KEPT,         /* members are there and may commit any moment: nothing expires */
    OFFSETS_SINCE_EMPTY,  /* an empty group: since it became so, commit by commit where that is not known */
    OFFSETS_SINCE_COMMIT, /* no group management */
    OFFSETS_UNSUBSCRIBED, /* a stable consumer group: topics nobody subscribes to, since the commit */
};
struct offsets_retention {
    enum offsets_age age;
    int64_t now_ms; /* wall time */
    int64_t retention_ms;
    int64_t empty_since_ms; /* -1 unknown */
    bool (*is_subscribed)(void *context, struct str topic);
    void *context;
};
/* Every committed offset that has expired. An offset with a commit on its way has not. */
void offsets_each_expired(const struct offsets *offsets, const struct offsets_retention *retention,
                          offsets_visitor *visit, void *visitor_context);

#endif
