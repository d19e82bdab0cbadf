/* What a follower asks one leader next, and what it makes of the answers. Pure.
 *
 * One fetcher per source broker, one request at a time, incremental sessions (fetch_session.h). Partitions whose
 * position changed since they were last named are on a list; the others cost nothing. Appending, truncating and
 * sending are done by fetcher_runtime.c, which reports back here. Facts: zookeeper-mode.md 4.8. */
#ifndef OTTLA_REPLICATION_FETCHER_H
#define OTTLA_REPLICATION_FETCHER_H

#include <stdbool.h>
#include <stdint.h>

#include <uthash.h>

#include "broker/base/slice.h"
#include "replication/fetch_session.h"

enum fetcher_state {
    FETCHER_FETCHING,
    FETCHER_WAITING,   /* backs off until resume_ms */
    FETCHER_RESOLVING, /* its offset is out of range; the leader is being asked for its own */
    FETCHER_PARKED,    /* fenced under our own epoch: silent until the next command (rule 20) */
};

/* Where a partition stands: all of it goes into the request. */
struct fetch_position {
    int64_t offset;
    int64_t log_start_offset;
    int32_t last_fetched_epoch; /* -1: the log has no epochs */
};

struct fetcher_key {
    struct uuid topic_id;
    int32_t partition;
};

struct fetcher;

/* Embedded in its owner, who keeps the topic's text alive. */
struct fetcher_partition {
    struct fetcher *fetcher; /* NULL while in none */
    struct str topic;
    struct fetcher_key key; /* topic id zero when unknown */
    int32_t leader_epoch;
    enum fetcher_state state;
    struct fetch_position position;
    int64_t resume_ms;
    bool is_caught_up;                                 /* had all the leader exposed, when it last answered */
    int32_t max_bytes;                                 /* to ask for, at most */
    bool is_counted;                                   /* what was asked for counts against the throttle */
    bool is_in_session;                                /* the leader's session has it */
    bool is_dirty;                                     /* position or state changed since it was last named */
    struct fetcher_partition *prev, *next;             /* all */
    struct fetcher_partition *dirty_prev, *dirty_next; /* dirty, in the order of becoming so */
    struct fetcher_partition *wait_prev, *wait_next;   /* waiting, by resume_ms */
    UT_hash_handle hh;                                 /* by key, when the id is known */
};

/* A partition that left while the leader's session had it. */
struct fetcher_forgotten {
    char *topic;
    struct fetcher_key key;
    struct fetcher_forgotten *next;
};

struct fetcher {
    int32_t broker_id; /* the leader's */
    int64_t backoff_ms;
    struct follower_session session;
    bool session_uses_ids;
    bool is_in_flight;
    int64_t quiet_until_ms; /* after a failed request */
    int32_t count;
    int32_t fetching_count;
    int32_t nameless_count; /* fetching ones without a topic id: then all go by names (Fetch 12) */
    struct fetcher_partition *all;
    struct fetcher_partition *dirty;
    struct fetcher_partition *waiting;
    struct fetcher_partition *by_key;
    struct fetcher_forgotten *forgotten;
};

void fetcher_init(struct fetcher *fetcher, int32_t broker_id, int64_t backoff_ms);
/* No partition may be left. */
void fetcher_deinit(struct fetcher *fetcher);
void fetcher_add(struct fetcher *fetcher, struct fetcher_partition *partition, struct str topic, struct uuid topic_id,
                 int32_t index, int32_t leader_epoch, const struct fetch_position *position);
void fetcher_remove(struct fetcher_partition *partition);
struct fetcher_partition *fetcher_find(const struct fetcher *fetcher, struct uuid topic_id, int32_t index);

/* What may be done at now_ms: send a request, or look again at *ret_wake_ms (INT64_MAX: when something changes). */
enum fetcher_turn { FETCHER_SLEEP, FETCHER_SEND };
enum fetcher_turn fetcher_turn(struct fetcher *fetcher, int64_t now_ms, int64_t *ret_wake_ms);

/* The request. Named: every fetching partition when the session is full, else the dirty ones that fetch. Forgotten:
 * partitions that left, and dirty ones that do not fetch now but are in the session. */
struct fetcher_plan {
    int32_t session_id;
    int32_t session_epoch;
    bool uses_topic_ids;
    bool is_full;
};
void fetcher_plan(struct fetcher *fetcher, struct fetcher_plan *ret_plan);
struct fetcher_partition *fetcher_named_first(const struct fetcher *fetcher, const struct fetcher_plan *plan);
struct fetcher_partition *fetcher_named_next(const struct fetcher_partition *partition,
                                             const struct fetcher_plan *plan);
/* Dirty partitions to be forgotten; the list fetcher->forgotten comes on top. */
struct fetcher_partition *fetcher_leaving_first(const struct fetcher *fetcher, const struct fetcher_plan *plan);
struct fetcher_partition *fetcher_leaving_next(const struct fetcher_partition *partition);
/* The planned request is on its way. */
void fetcher_on_sent(struct fetcher *fetcher, const struct fetcher_plan *plan);
/* No answer, or not a usable one: back off, then begin a new session. */
void fetcher_on_failed(struct fetcher *fetcher, int64_t now_ms);
/* An answer with this top-level error and session id. True: look at its partitions. */
bool fetcher_on_answer(struct fetcher *fetcher, int16_t error_code, int32_t session_id, int64_t now_ms);

struct fetch_answer {
    int16_t error_code;
    bool is_diverging;
};
enum fetch_verdict {
    FETCH_IGNORE,   /* asked before the partition's position or leader changed */
    FETCH_APPEND,   /* records (maybe none), then high watermark, then log start */
    FETCH_TRUNCATE, /* fetcher_truncation() says where */
    FETCH_RESOLVE,
    FETCH_PARK,
    FETCH_RETRY,
};
enum fetch_verdict fetcher_judge(const struct fetcher_partition *partition, const struct fetch_answer *answer);

/* Reports: the position is this now (and the partition fetches); back off; silent; asking the leader's offsets. */
void fetcher_move(struct fetcher_partition *partition, const struct fetch_position *position);
void fetcher_delay(struct fetcher_partition *partition, int64_t now_ms);
/* The same for the n-th time in a row that the leader did not know yet that it leads, or under which epoch: it is told
 * in the same moment as we were, and until it is asked again nothing is acknowledged. Short at first, then twice as
 * long each time, up to the back-off; Kafka's follower waits a whole second where a slow leader is told last. */
#define FETCHER_UNREADY_MS 20
void fetcher_delay_unready(struct fetcher_partition *partition, int64_t now_ms, int64_t times);
void fetcher_delay_until(struct fetcher_partition *partition, int64_t resume_ms);
void fetcher_park(struct fetcher_partition *partition);
void fetcher_resolve(struct fetcher_partition *partition);

/* Where to cut the log when the leader says that its epoch `leader_epoch` (<= the last we fetched) ends at
 * `leader_end`. own_epoch/own_end: our own end of the greatest epoch <= leader_epoch, -1 when we know none. */
int64_t fetcher_truncation(int32_t leader_epoch, int64_t leader_end, int32_t own_epoch, int64_t own_end,
                           int64_t log_end);

/* Whether all we would keep below `cut` lies before the leader's log start while ours is older: nobody can say any more
 * whose records these are, since a leader forgets the epochs that end before its start, and names that start for any of
 * them. A log start need not outlive a crash, so they would be seen again: they go with the rest. */
bool fetcher_keeps_nothing(int64_t cut, int64_t own_start, int64_t leader_start);

/* Whether a follower may end its log at `end` now. Below its own high watermark a leader that has committed as much as
 * we know to be committed sends nobody but for a gap that a cleaner left (README.md, "Gaps"); a member of the in-sync
 * set then waits until it is none, lest it be elected with less than is committed. */
bool fetcher_may_cut(int64_t end, int64_t high_watermark, int64_t leader_high_watermark, bool is_in_sync);

/* Out of range at the leader. First with its log end (leader_start -1), then, when told so, with its start too. */
enum fetch_resolution {
    RESOLUTION_TRUNCATE,  /* to *ret_offset */
    RESOLUTION_ASK_START, /* the leader's earliest offset decides */
    RESOLUTION_RESTART,   /* drop the log and begin at *ret_offset */
    RESOLUTION_CONTINUE,  /* fetch from *ret_offset */
};
enum fetch_resolution fetcher_resolution(int64_t log_end, int64_t leader_end, int64_t leader_start,
                                         int64_t *ret_offset);

#endif
