/* Incremental fetch sessions (KIP-227), both sides, pure.
 *
 * The server's side is a cache of sessions, used for every Fetch: a fetch without a session, or one that opens a
 * session, is simply a session that has just been made. A session keeps one entry per partition and a list of the
 * entries that may have something to say (dirty ones): named by this request, reported by their watcher, or answered
 * with records or an error last time. Work follows that list; an idle partition of a session costs memory only.
 *
 * How a Fetch is served:
 *   1. fetch_sessions_begin(); on an error answer it at top level, with SessionId 0 and no topics.
 *   2. fetch_session_forget() for each forgotten partition, then fetch_session_name() for each partition named.
 *      fetch_session_check() then tells whether an emptied incremental session went on as a sessionless fetch.
 *   3. Walk fetch_session_first()/fetch_session_next(); for each entry read the partition (and set the entry's watcher
 *      on it once: partition_runtime_watch(partition, &entry->watcher)), and tell fetch_entry_is_news() what came.
 *   4. To wait: set on_dirty; it is called when a clean entry becomes dirty; walk again.
 *   5. To answer: for each dirty entry fetch_entry_settle() tells whether it belongs into the answer (and takes it off
 *      the list when it has nothing more to say), then fetch_session_finish() gives the SessionId of the answer and
 *      ends the use of the pointer. On an abandoned connection fetch_session_finish() too.
 * When the session was closed by another request meanwhile, fetch_session_is_closed() is true: answer
 * INVALID_FETCH_SESSION_EPOCH at top level.
 *
 * The follower's side is struct follower_session: which id and epoch the next request carries. */
#ifndef OTTLA_REPLICATION_FETCH_SESSION_H
#define OTTLA_REPLICATION_FETCH_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include <uthash.h>

#include "broker/base/slice.h"
#include "replication/partition_watcher.h"

#define FETCH_SESSION_ID_NONE 0
#define FETCH_SESSION_EPOCH_INITIAL 0  /* opens a session, closing the one named */
#define FETCH_SESSION_EPOCH_FINAL (-1) /* no session, closing the one named */
#define FETCH_NEWS_WAIT_MS 5

struct fetch_sessions;

/* One partition of a session. The caller may read everything and writes only `context`, what it found, and through
 * functions. */
struct fetch_entry {
    struct str topic; /* null while the id is unknown here; set by fetch_entry_set_topic() */
    struct uuid topic_id;
    int32_t partition;
    int64_t fetch_offset;
    int32_t current_leader_epoch;
    int32_t last_fetched_epoch;
    int64_t log_start_offset; /* the follower's, -1 */
    int32_t max_bytes;
    struct partition_watcher watcher; /* its callback marks the entry dirty */
    void *context;                    /* the handler's, during one fetch */
    /* Found by the handler when it set the watcher; there as long as that is set (a partition takes its watchers
     * along), and the right one as long as image_shape() is this. */
    struct partition_runtime *found;
    uint64_t found_in;

    int64_t sent_high_watermark;
    int64_t sent_log_start_offset;
    bool is_new; /* never answered: belongs into the answer of a fetch that is not incremental in any case */
    bool is_dirty;
    bool is_changed; /* since it was last read; then what was read is not the last word */
    struct fetch_entry *prev;
    struct fetch_entry *next;
    struct fetch_session *session;
    UT_hash_handle hh;
    char *owned_topic;
    uint32_t key_size;
    uint8_t key[];
};

struct fetch_session {
    int32_t id;    /* 0: not in the cache */
    int32_t epoch; /* that the next request must carry */
    bool is_privileged;
    bool uses_topic_ids;
    bool is_incremental; /* this fetch: only news are answered */
    bool is_busy;        /* between begin and finish */
    bool is_closed;
    bool is_hurried;       /* to be answered as it stands */
    int64_t replica_epoch; /* the follower's, of its last fetch; -1 unknown */
    bool wants_cache;      /* to be kept at finish, when there is room */
    int64_t created_ms;
    int64_t used_ms;
    struct fetch_entry *entries; /* uthash */
    struct fetch_entry *dirty;   /* utlist, in the order of answering */
    int32_t dirty_count;
    /* Called when a clean entry becomes dirty while the session is busy. Reset by finish. */
    void (*on_dirty)(struct fetch_session *session);
    void *context;
    struct fetch_sessions *cache;
    UT_hash_handle hh;
};

/* slots_max: max.incremental.fetch.session.cache.slots. Sessions unused so long, or older than that and worth less,
 * make room for others (Kafka's 120000 ms). */
struct fetch_sessions *fetch_sessions_create(int32_t slots_max, int64_t evict_after_ms, uint64_t seed);
/* No session may be busy. */
void fetch_sessions_destroy(struct fetch_sessions *cache);
int32_t fetch_sessions_count(const struct fetch_sessions *cache);

/* This broker was told to lead: followers must name their new partitions before anything in them is acknowledged, and
 * have one fetch at a time, which may be waiting for records of others. Ends those waits, and keeps the next ones short
 * until the followers, too, have been told. */
void fetch_sessions_hurry(struct fetch_sessions *cache, int64_t now_ms);

struct fetch_begin {
    int32_t session_id;    /* 0 in versions before 7 */
    int32_t session_epoch; /* -1 in versions before 7 */
    bool uses_topic_ids;   /* version 13 and above */
    bool is_privileged;    /* a follower */
    int64_t now_ms;
};
/* Kafka error: 0 with a busy session, FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH or
 * FETCH_SESSION_TOPIC_ID_ERROR. */
int16_t fetch_sessions_begin(struct fetch_sessions *cache, const struct fetch_begin *begin,
                             struct fetch_session **ret_session);

struct fetch_named {
    struct str topic;     /* counts when the session goes by names; what an id means the handler finds out */
    struct uuid topic_id; /* zero when the session goes by names */
    int32_t partition;
    int64_t fetch_offset;
    int32_t current_leader_epoch;
    int32_t last_fetched_epoch;
    int64_t log_start_offset;
    int32_t max_bytes;
};
/* Adds or updates and marks dirty, behind the others. A partition named twice is one entry. */
struct fetch_entry *fetch_session_name(struct fetch_session *session, const struct fetch_named *named);
void fetch_session_forget(struct fetch_session *session, struct str topic, struct uuid topic_id, int32_t partition);
/* After naming and forgetting: an incremental session left without partitions is closed, as Kafka does. */
void fetch_session_check(struct fetch_session *session);
/* The name of the id became known, or is another now (copied). */
void fetch_entry_set_topic(struct fetch_entry *entry, struct str topic);

/* The broker epoch a follower fetches with. With another one than before every entry is dirty: what a leader knows of a
 * replica counts only under the epoch it fetched with, and idle partitions would not be looked at again. */
void fetch_session_set_replica_epoch(struct fetch_session *session, int64_t replica_epoch);

/* How long a fetch that wants to wait so long may. */
int32_t fetch_session_wait_ms(const struct fetch_session *session, int32_t wait_ms, int64_t now_ms);

struct fetch_entry *fetch_session_first(const struct fetch_session *session);
struct fetch_entry *fetch_session_next(const struct fetch_entry *entry);

/* What reading an entry's partition gave. */
struct fetch_outcome {
    int16_t error_code;
    int64_t high_watermark;
    int64_t log_start_offset;
    int32_t records_bytes;
    bool has_preferred_replica;
    bool is_diverging;
};
/* Before reading an entry's partition: a change from here on keeps the entry dirty beyond the answer. */
static inline void fetch_entry_begin_read(struct fetch_entry *entry) {
    entry->is_changed = false;
}
/* Whether this belongs into the answer: always in a fetch that is not incremental; else records, an error, a diverging
 * epoch, a preferred replica, or another high watermark or start offset than last answered. */
bool fetch_entry_is_news(const struct fetch_entry *entry, const struct fetch_outcome *outcome);
/* Whether a waiting fetch ends whatever its bytes: an error, a diverging epoch, a preferred replica. */
bool fetch_outcome_ends_wait(const struct fetch_outcome *outcome);
/* Whether a follower has not been told the high watermark. Under load the next records take it along; a follower that
 * learned it only with them would let its consumers and, after a change of leader, everybody wait. So its long poll
 * goes on for FETCH_NEWS_WAIT_MS at most. A follower's first fetch names everything and waits as any. */
bool fetch_entry_owes_news(const struct fetch_entry *entry, const struct fetch_outcome *outcome);
/* As fetch_entry_is_news(), remembering what is answered. An entry with records or an error stays dirty, behind the
 * others (fairness); any other is clean until its watcher or the client says otherwise. Take the next entry first.
 * keep_dirty: there was no room in the answer to read it; it is looked at again by the next fetch. */
bool fetch_entry_settle(struct fetch_entry *entry, const struct fetch_outcome *outcome, bool keep_dirty);

bool fetch_session_is_closed(const struct fetch_session *session);
/* Ends the use of the session by this request; returns the SessionId for the answer. A session that was not cached and
 * finds no place is freed. */
int32_t fetch_session_finish(struct fetch_session *session, int64_t now_ms);

/* The follower's side. */
struct follower_session {
    int32_t id;
    int32_t epoch; /* of the next request */
};
static inline bool follower_session_is_full(const struct follower_session *session) {
    return session->epoch == FETCH_SESSION_EPOCH_INITIAL;
}
/* The answer to a request of this session: top-level error and the SessionId in it. True when the partitions of the
 * answer may be used; after false the next request names everything. */
bool follower_session_on_answer(struct follower_session *session, int16_t error_code, int32_t session_id);
/* No answer came, or one that cannot be used: the next request is full and closes the old session. */
void follower_session_reset(struct follower_session *session);
int32_t fetch_session_epoch_after(int32_t epoch);

#endif
