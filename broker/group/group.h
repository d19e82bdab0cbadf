/* One consumer group of the classic protocol: who is in it, which generation they form, who waits for what.
 *
 * Pure: group_step() takes an event with everything in it, time included, changes the state and says what is to be
 * done. It knows no requests; whoever waits is an opaque pointer that comes back exactly once, with its answer.
 * Behaviour and error codes are those of Kafka 3.9's group coordinator in ZooKeeper mode; README.md lists the
 * invariants. Committed offsets are offsets.h. */
#ifndef OTTLA_GROUP_GROUP_H
#define OTTLA_GROUP_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include <uthash.h>

#include "broker/base/arena.h"
#include "broker/base/slice.h"

#define GROUP_NEVER INT64_MAX
/* How long a new member may wait for the end of its first rebalance. It does not know its member id yet, so it cannot
 * send heartbeats, and a client that gave up and asks again would leave one dead member behind each time. Kafka's. */
#define GROUP_NEW_MEMBER_TIMEOUT_MS 300000
/* Ids given out with MEMBER_ID_REQUIRED and not yet used. Each lives for a session time-out at most; without a bound
 * anybody could ask for any number of them. */
#define GROUP_PENDING_MEMBERS_MAX 10000
/* Protocols one member may offer; clients offer one or two. */
#define GROUP_PROTOCOLS_MAX 64
/* Subscription bytes of one member, all its protocols together. A group is one record of its partition's log, which
 * takes 1 MiB by default; this leaves room for who has raised that. */
#define GROUP_METADATA_MAX ((int64_t)16 * 1024 * 1024)

/* Memory of the members of one group: the leader's JoinGroup answer and DescribeGroups list all of it in one frame. */
#define GROUP_BYTES_MAX ((int64_t)256 * 1024 * 1024)

enum group_state { GROUP_EMPTY, GROUP_PREPARING_REBALANCE, GROUP_COMPLETING_REBALANCE, GROUP_STABLE, GROUP_DEAD };

/* As in DescribeGroups: "PreparingRebalance". */
const char *group_state_name(enum group_state state);

struct group_protocol {
    struct str name;
    struct slice metadata;
};

struct group_limits {
    int32_t session_timeout_min_ms;
    int32_t session_timeout_max_ms;
    int32_t initial_rebalance_delay_ms;
    int32_t size_max;
};

struct group_member {
    struct str id;          /* the key of the group's table */
    struct str instance_id; /* null for dynamic members */
    struct str client_id;
    struct str client_host;
    int32_t rebalance_timeout_ms;
    int32_t session_timeout_ms;
    struct group_protocol *protocols; /* in the member's order of preference; one block of memory */
    int32_t protocol_count;
    int64_t protocol_bytes;
    struct slice assignment;        /* of the generation that is stable, empty before */
    struct slice staged_assignment; /* the leader's, on its way into the log */
    void *join_waiter;              /* NULL: not waiting */
    void *sync_waiter;
    int64_t deadline_ms; /* end of the session, GROUP_NEVER while waiting counts as being alive */
    bool is_new;         /* has not seen the end of a rebalance */
    bool is_sync_due;    /* of this generation and has not sent SyncGroup */
    UT_hash_handle hh;
    UT_hash_handle hh_instance; /* in the table of static members, by instance id */
};

struct group_pending_member;
struct group_protocol_count;
struct group_store;

struct group {
    struct str id;
    const struct group_limits *limits;
    enum group_state state;
    int32_t generation;
    struct str protocol_type;     /* null: never had a member */
    struct str protocol;          /* chosen for this generation; null: none */
    struct str leader;            /* member id; null: none */
    int64_t state_timestamp_ms;   /* wall time of the last change of state, -1 unknown */
    struct group_member *members; /* uthash, by id; in the order of joining */
    struct group_member *instances;
    struct group_pending_member *pending;
    struct group_protocol_count *protocol_counts; /* how many members offer each protocol */
    int32_t protocol_count_size;
    int32_t awaiting_join_count;
    int32_t sync_due_count;
    struct str *subscribed; /* topics of a consumer group's members; valid while is_subscription_known */
    int32_t subscribed_count;
    bool is_subscription_known;
    bool is_initial_delay;      /* the running rebalance waits for more members, whoever has joined */
    bool has_new_member;        /* one joined during that delay: it may be prolonged */
    int32_t initial_left_ms;    /* by so much at most */
    int64_t rebalance_end_ms;   /* GROUP_NEVER: none runs */
    int64_t sync_end_ms;        /* members that have not sent SyncGroup by then are removed */
    int64_t wake_ms;            /* no event is due before: send GROUP_TICK then */
    struct group_store *stores; /* records on their way into the log */
    uint64_t last_store;        /* number of the newest */
    int64_t bytes;              /* memory of the members, about */
};

enum group_event_type {
    GROUP_JOIN,
    GROUP_SYNC,
    GROUP_HEARTBEAT,
    GROUP_LEAVE,  /* one member */
    GROUP_COMMIT, /* may these offsets be committed? */
    GROUP_DELETE, /* the whole group, if it is empty */
    GROUP_EXPIRE, /* an empty group without offsets ends */
    GROUP_TICK,
    GROUP_STORED, /* what GROUP_STORE asked for has ended */
    GROUP_LOADED, /* from the log: members have one session time-out to show up */
    GROUP_UNLOAD, /* the partition has another leader */
};

struct group_assignment {
    struct str member_id;
    struct slice assignment;
};

struct group_event {
    enum group_event_type type;
    int64_t now_ms;  /* monotonic */
    int64_t wall_ms; /* since 1970 */
    /* Of JOIN, SYNC, HEARTBEAT, LEAVE, COMMIT. */
    struct str member_id;
    struct str instance_id; /* null: none */
    int32_t generation;     /* not JOIN and LEAVE; COMMIT: -1 for a client without group management */
    struct str protocol_type;
    void *waiter; /* JOIN and SYNC: comes back with the answer */
    struct str reason;
    union {
        struct {
            struct str new_member_id; /* for a member that has none */
            struct str client_id;
            struct str client_host;
            int32_t session_timeout_ms;
            int32_t rebalance_timeout_ms;
            const struct group_protocol *protocols;
            int32_t protocol_count;
            bool requires_known_id;        /* JoinGroup 4+, dynamic member (KIP-394) */
            bool supports_skip_assignment; /* JoinGroup 9+ (KIP-814) */
        } join;
        struct {
            struct str protocol; /* null: not checked, as the type */
            const struct group_assignment *assignments;
            int32_t assignment_count;
        } sync;
        struct {
            bool is_transactional;
        } commit;
        struct {
            bool has_offsets; /* committed or on their way */
        } expire;
        struct {
            uint64_t number;
            int16_t error_code; /* as towards clients */
        } stored;
    };
};

enum group_action_type { GROUP_ANSWER_JOIN, GROUP_ANSWER_SYNC, GROUP_STORE };

/* Carried out in order, before the next event: what they point to lives in the state or in the actions' arena. */
struct group_action {
    enum group_action_type type;
    void *waiter;
    int16_t error_code;
    struct str member_id; /* JOIN: as the answer names it */
    struct str leader;
    int32_t generation;
    struct str protocol_type;
    struct str protocol;
    bool skip_assignment;
    bool has_members;        /* JOIN: the leader's answer lists the members and their metadata */
    struct slice assignment; /* SYNC */
    uint64_t store_number;   /* STORE: name it in GROUP_STORED */
    bool store_staged;       /* STORE: with the staged assignments, else with those in force */
};

struct group_actions {
    struct arena *arena;
    struct group_action *list;
    int32_t count;
    int32_t capacity;
    int16_t error_code; /* the answer to HEARTBEAT, LEAVE, COMMIT, DELETE */
    struct str reason;  /* why a rebalance began in this step; null: none did */
    bool is_completed;  /* a generation has formed in this step, perhaps an empty one */
};

/* A new group, empty. The limits outlive it. */
void group_init(struct group *group, struct str id, const struct group_limits *limits);
/* Nobody waits any more: GROUP_UNLOAD or GROUP_DELETE came before, or nothing ever joined. */
void group_deinit(struct group *group);
/* `actions` holds nothing but its arena. */
void group_step(struct group *group, const struct group_event *event, struct group_actions *ret_actions);

/* ---- Reading ---- */

int32_t group_size(const struct group *group);
const struct group_member *group_find_member(const struct group *group, struct str member_id);
/* The metadata for a protocol; empty when the member does not offer it. */
struct slice group_member_metadata(const struct group_member *member, struct str protocol);
/* Whether its members consume: OffsetDelete then looks at their topics. */
bool group_is_consumer(const struct group *group);
/* True as well while the subscription is not known. */
bool group_is_subscribed(const struct group *group, struct str topic);

/* ---- Loading: a fresh group is given what its last record held; GROUP_LOADED then starts it. ---- */

struct group_loaded_member {
    struct str id;
    struct str instance_id;
    struct str client_id;
    struct str client_host;
    int32_t rebalance_timeout_ms;
    int32_t session_timeout_ms;
    struct slice subscription;
    struct slice assignment;
};
void group_load(struct group *group, int32_t generation, struct str protocol_type, struct str protocol,
                struct str leader, int64_t state_timestamp_ms);
/* After group_load, which named the protocol. A member id given twice is taken once. */
void group_load_member(struct group *group, const struct group_loaded_member *member);

#endif
