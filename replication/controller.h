/* The controller's decisions, pure: events go in, actions come out (zookeeper-mode.md section 3).
 *
 * One event is processed at a time; what arrives meanwhile queues inside. An event may need several rounds with the
 * coordinator: the core emits CONTROLLER_ASK and goes on when CONTROLLER_EVENT_REPLIES brings one reply per ask.
 * Actions are carried out in order. Nothing here reads a clock, a socket or a global; the runtime does that. */
#ifndef OTTLA_REPLICATION_CONTROLLER_H
#define OTTLA_REPLICATION_CONTROLLER_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/arena.h"
#include "broker/base/slice.h"

struct controller;
struct alter_partition_request;
struct alter_partition_reassignments_request;
struct alter_partition_reassignments_response;
struct alter_partition_response;
struct elect_leaders_request;
struct elect_leaders_response;
struct leader_and_isr_response;
struct list_partition_reassignments_request;
struct list_partition_reassignments_response;
struct stop_replica_request;
struct stop_replica_response;

struct controller_config {
    int32_t broker_id;
    const char *inter_broker_listener;
    const char *control_plane_listener; /* NULL: the inter-broker one */
    bool unclean_leader_election;       /* the broker's default; topics override in /config/topics */
    bool auto_leader_rebalance;
    bool delete_topic_enable;
    int64_t leader_imbalance_check_ms;
    int32_t leader_imbalance_percentage;
    int64_t socket_timeout_ms;
    size_t queue_bytes_max; /* of requests that wait for a broker; 0: CONTROLLER_CHANNEL_QUEUE_BYTES_MAX */
    uint64_t seed;          /* of the ids given to topics without one; 0: the runtime takes the time */
};

/* Requests from brokers and clients that may wait for the controller. Watches are not counted: equal ones collapse. */
#define CONTROLLER_CALLS_MAX 4096
/* Producer ids handed out at a time. */
#define CONTROLLER_PRODUCER_ID_BLOCK 1000
#define CONTROLLER_FIRST_REBALANCE_MS 5000

/* ---- what the core asks of the coordinator ---- */

enum controller_op_type { CONTROLLER_OP_CHECK, CONTROLLER_OP_CREATE, CONTROLLER_OP_SET, CONTROLLER_OP_DELETE };

struct controller_op {
    enum controller_op_type type;
    const char *path;
    struct slice data; /* create, set; size -1 is null data */
    int32_t version;   /* check, set, delete; -1 is any */
    bool is_ephemeral; /* create */
};

enum controller_ask_type { CONTROLLER_GET, CONTROLLER_CHILDREN, CONTROLLER_MULTI };

struct controller_ask {
    enum controller_ask_type type;
    const char *path; /* get, children */
    bool is_watching; /* get (also when the node is absent), children */
    struct controller_op *ops;
    int32_t op_count;
    bool is_fenced; /* op 0 checks /controller_epoch: its failure means that another controller was elected */
};

/* `error` is a code of errors.h. A multi has one error per op; versions of the set ones. The runtime repeats what a
 * lost connection left undecided, so a reply may show the effect of its own first try. */
struct controller_reply {
    int error;
    struct slice data;
    int32_t version;
    int64_t czxid;
    const char *const *names;
    int32_t name_count;
    const int *op_errors;
    const int32_t *op_versions;
};

/* ---- events ---- */

enum controller_event_type {
    CONTROLLER_EVENT_START,           /* the broker is registered */
    CONTROLLER_EVENT_SESSION_EXPIRED, /* rule 37: stop acting at once */
    CONTROLLER_EVENT_SESSION_CREATED, /* and registered again */
    CONTROLLER_EVENT_STOP,            /* resign, delete /controller; answered by CONTROLLER_STOPPED */
    CONTROLLER_EVENT_REPLIES,
    CONTROLLER_EVENT_WATCH,
    CONTROLLER_EVENT_REBALANCE, /* the timer of CONTROLLER_SET_TIMER */
    CONTROLLER_EVENT_LEADER_AND_ISR_ANSWERED,
    CONTROLLER_EVENT_STOP_REPLICA_ANSWERED,
    CONTROLLER_EVENT_QUEUE_DROPPED,   /* a broker did not answer: what waited for it is gone */
    CONTROLLER_EVENT_UNCLEAN_ENABLED, /* unclean election was switched on: for a topic, or by default */
    CONTROLLER_EVENT_ALTER_PARTITION,
    CONTROLLER_EVENT_CONTROLLED_SHUTDOWN,
    CONTROLLER_EVENT_ALLOCATE_PRODUCER_IDS,
    CONTROLLER_EVENT_ELECT_LEADERS,
    CONTROLLER_EVENT_ALTER_REASSIGNMENTS,
    CONTROLLER_EVENT_LIST_REASSIGNMENTS,
    CONTROLLER_EVENT_TYPE_COUNT,
};

struct controlled_shutdown_partition {
    struct str topic;
    int32_t partition;
};

/* A partition and what became of it at one broker. */
struct controller_partition_result {
    struct str topic; /* null: topic_id names it */
    struct uuid topic_id;
    int32_t partition;
    int16_t error_code;
};

/* Text and lists are copied when the event has to wait; requests, responses and ret_ pointers of calls are the
 * caller's and stay until the call is answered. */
struct controller_event {
    enum controller_event_type type;
    int64_t wall_ms;                  /* now */
    uint32_t serial;                  /* REPLIES: of the asks */
    struct controller_reply *replies; /* REPLIES */
    int32_t reply_count;
    struct str path;          /* WATCH; UNCLEAN_ENABLED: the topic, or null */
    int32_t broker_id;        /* *_ANSWERED, QUEUE_DROPPED, CONTROLLED_SHUTDOWN, ALLOCATE_PRODUCER_IDS */
    int64_t broker_epoch;     /* *_ANSWERED, QUEUE_DROPPED: of that incarnation; calls: of the caller */
    int32_t controller_epoch; /* *_ANSWERED: of the request */
    int64_t number;           /* *_ANSWERED: of the request */
    int16_t error_code;       /* *_ANSWERED: the top-level one */
    struct controller_partition_result *results; /* *_ANSWERED; STOP_REPLICA: only partitions that were to be deleted */
    int32_t result_count;
    bool is_unclean_default; /* UNCLEAN_ENABLED: the broker's default from now on, when path is null */
    void *call;              /* what CONTROLLER_ANSWER names */
    struct arena *arena;     /* where answers live */
    int16_t version;
    const struct alter_partition_request *alter_partition;
    struct alter_partition_response *ret_alter_partition;
    const struct elect_leaders_request *elect_leaders;
    struct elect_leaders_response *ret_elect_leaders;
    const struct alter_partition_reassignments_request *alter_reassignments;
    struct alter_partition_reassignments_response *ret_alter_reassignments;
    const struct list_partition_reassignments_request *list_reassignments;
    struct list_partition_reassignments_response *ret_list_reassignments;
    struct controlled_shutdown_partition **ret_list;
    int32_t *ret_count;
    int64_t *ret_first;
};

/* ---- actions ---- */

enum controller_action_type {
    CONTROLLER_ASK,
    CONTROLLER_FORGET_ASKS, /* asks not yet submitted are void, replies to the others are ignored */
    CONTROLLER_ADD_BROKER,  /* a sender for it, with an empty queue */
    CONTROLLER_REMOVE_BROKER,
    CONTROLLER_SEND,
    CONTROLLER_TOLD, /* the broker was told everything anew after QUEUE_DROPPED */
    CONTROLLER_ANSWER,
    CONTROLLER_SET_TIMER, /* one-shot, replaces the one set before; negative stops it */
    CONTROLLER_STOPPED,
};

struct controller_action {
    enum controller_action_type type;
    uint32_t serial; /* ASK */
    struct controller_ask *asks;
    int32_t ask_count;
    int32_t broker_id;    /* ADD_BROKER, REMOVE_BROKER, SEND, TOLD */
    int64_t broker_epoch; /* ADD_BROKER, SEND */
    const char *host;     /* ADD_BROKER */
    int32_t port;
    int16_t api_key;     /* SEND */
    int16_t api_version; /* SEND: by inter-broker protocol version, never by ApiVersions (rule 25) */
    const void *message; /* SEND: the generated request struct */
    int64_t number;      /* SEND: of the request, ascending */
    bool is_kept;        /* SEND: stays when the queue is dropped: it tells of topics that are gone */
    void *call;          /* ANSWER */
    int16_t error_code;
    int64_t after_ms; /* SET_TIMER */
};

/* What one step wants done, in order. Everything it points to lives until the next reset; asks live until they are
 * answered or forgotten. */
struct controller_actions {
    struct arena arena;
    struct controller_action *items;
    int32_t count;
    int32_t capacity;
};

void controller_actions_init(struct controller_actions *actions);
void controller_actions_deinit(struct controller_actions *actions);
void controller_actions_reset(struct controller_actions *actions);

/* The texts of `config` must outlive the controller. */
struct controller *controller_create(const struct controller_config *config);
void controller_destroy(struct controller *controller);
/* Appends to `ret_actions`. */
void controller_step(struct controller *controller, const struct controller_event *event,
                     struct controller_actions *ret_actions);

bool controller_is_active(const struct controller *controller);

/* The cluster as the active controller sees it; all 0 while not active. Walks all partitions. */
struct controller_counts {
    int32_t live_brokers;
    int32_t topics;
    int32_t partitions;
    int32_t offline_partitions;    /* without a leader, of topics that are not going away */
    int32_t not_preferred_leaders; /* led by another than the first replica, likewise */
    int32_t topics_to_delete;
    int32_t reassigning_partitions;
};
void controller_count(const struct controller *controller, struct controller_counts *ret_counts);
/* 0 while not active. */
int32_t controller_epoch(const struct controller *controller);
/* Broker in /controller when it was last read, -1 for none. */
int32_t controller_active_id(const struct controller *controller);
/* Whether an event is being processed. */
bool controller_is_busy(const struct controller *controller);

#endif
