/* Controllers on a tree in memory: the pure core, a coordinator that answers at once, brokers that obey. For tests.
 *
 * A controller can be made to die before its n-th write; what it asked and sent until then has happened. */
#ifndef OTTLA_TESTS_CONTROLLER_WORLD_H
#define OTTLA_TESTS_CONTROLLER_WORLD_H

#include "replication/controller.h"

#define WORLD_NODES_MAX 256
#define WORLD_BROKERS_MAX 8
#define WORLD_TRACE_SIZE 65536

struct world_node {
    char *path;
    uint8_t *data;
    int32_t size; /* -1: null */
    int32_t version;
    int64_t czxid;
};

struct world_answer;

struct world {
    struct world_node nodes[WORLD_NODES_MAX];
    int32_t node_count;
    int64_t zxid;
    struct controller *controllers[WORLD_BROKERS_MAX]; /* by broker id */
    int32_t writes;                                    /* multis applied so far */
    int32_t writes_max;                                /* the controller dies before the next one; -1: never */
    bool loses_replies;          /* every write is applied, and then asked again, as after a lost connection */
    int32_t lost_write;          /* likewise this write only; -1: none */
    int32_t stolen_write;        /* before this write somebody else changes the node it sets; -1: never */
    int16_t storage_error;       /* partition index + 1 whose LeaderAndIsr fails at ... */
    int32_t storage_broker;      /* ... this broker */
    int32_t delete_error_broker; /* which fails to delete its replicas; 0: none */
    bool writes_are_traced;      /* in the trace as well, with what they write */
    bool is_mute;                /* no broker answers */
    int16_t call_error;          /* of the last answered call */
    int32_t calls_answered;
    bool is_stopped;
    struct world_answer *answers; /* of brokers, not yet delivered */
    char trace[WORLD_TRACE_SIZE]; /* what was sent, one request and partition a line */
    size_t trace_size;
    char log[WORLD_TRACE_SIZE]; /* what was written, one op a line: "fenced set /path" */
    size_t log_size;
    int16_t versions[8]; /* of requests sent, by API key */
};

/* The tree of a new cluster, in which brokers 1 to `brokers` are registered. */
struct world *world_create(int32_t brokers);
void world_destroy(struct world *world);
void world_put(struct world *world, const char *path, const char *data); /* as a stranger */
void world_remove(struct world *world, const char *path);
const struct world_node *world_find(const struct world *world, const char *path);
/* "" for null data, NULL when there is no such node. */
const char *world_text(const struct world *world, const char *path);
void world_register(struct world *world, int32_t broker_id);
/* Topic "t", without settings of its own. */
void world_put_topic(struct world *world, const char *node);
/* Creates the controller of a registered broker and lets it run for election. */
void world_start(struct world *world, int32_t broker_id, const struct controller_config *config);
void world_step(struct world *world, int32_t broker_id, struct controller_event *event);
/* Fires every watch there is at every controller, and delivers the brokers' answers, until nothing changes. */
void world_settle(struct world *world);
/* A line of the test's own in the trace: "# ...". */
void world_note(struct world *world, const char *text);
void world_clear_trace(struct world *world); /* and the log */

#endif
