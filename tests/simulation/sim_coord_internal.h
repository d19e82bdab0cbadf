/* The inside of the simulated coordinator: the znode tree, apart from who asks and when (sim_tree.c); sessions and
 * connections as the server has them (sim_coord_server.c); a process's end (sim_coord.c). */
#ifndef OTTLA_SIM_COORD_INTERNAL_H
#define OTTLA_SIM_COORD_INTERNAL_H

#include <uthash.h>

#include "broker/base/random.h"
#include "tests/simulation/sim_coord.h"

#define TRAVEL_MS_MAX 3 /* one way */

struct sim_znode {
    UT_hash_handle hh; /* by path */
    char *path;
    uint8_t *data; /* NULL: null data */
    struct coord_stat stat;
};

struct sim_tree {
    struct sim_znode *nodes;
    int64_t zxid;
};

void sim_tree_init(struct sim_tree *tree);
void sim_tree_deinit(struct sim_tree *tree);
struct sim_znode *sim_tree_find(const struct sim_tree *tree, const char *path);
/* Applies all or nothing. results has one entry per op; created[i] is the heap name of a create, else NULL, and is the
 * caller's. Returns 0 or the error of the part that failed. A new zxid is drawn only on success. */
int sim_tree_apply(struct sim_tree *tree, const struct coord_op *ops, int32_t count, int64_t session_id,
                   int64_t wall_ms, struct coord_op_result *results, char **created);
/* Heap array of the names of the children, sorted. */
char **sim_tree_children(const struct sim_tree *tree, const char *path, int32_t *ret_count);
/* Heap copy of the parent's path; "/" for a top-level node. */
char *sim_tree_parent(const char *path);

struct client;
struct session;

struct watch {
    struct watch *prev, *next;
    struct session *session;
    struct coord_watch watch;
    bool is_child;
    char path[];
};

enum request_type {
    REQUEST_GET,
    REQUEST_EXISTS,
    REQUEST_CHILDREN,
    REQUEST_CREATE,
    REQUEST_SET,
    REQUEST_DELETE,
    REQUEST_MULTI
};

struct request {
    struct request *prev, *next; /* in the client's waiting list */
    enum request_type type;
    struct coord_op *ops; /* of a read: one with the path only */
    int32_t count;
    struct coord_watch watch;
    void (*on_done)(void);
    void *context;
    bool is_doomed; /* sent into a connection that was dead already */
    int error;
    struct coord_stat stat;
    uint8_t *data;
    int32_t data_size;
    char **names;
    int32_t name_count;
    struct coord_op_result *results;
    char **created;
};

enum item_type { ITEM_REQUEST, ITEM_WATCH, ITEM_SESSION };

/* What travels, either way. */
struct item {
    struct item *prev, *next;
    enum item_type type;
    int64_t due_ms;
    struct request *request;
    struct coord_watch watch;
    enum coord_watch_type watch_type;
    char *path;
    enum coord_session_state state;
};

struct session {
    struct session *prev, *next;
    struct sim_coord_server *server;
    int64_t id;
    int64_t timeout_ms;
    struct client *client; /* NULL: its process is gone */
    bool is_expired;
    struct sim_event *expiry;
    struct sim_event *removal; /* of ephemeral nodes that linger */
    struct item *backlog;      /* watch events for a client that is away */
};

struct client {
    struct coord coord;
    struct client *prev, *next;
    struct sim_coord_server *server;
    struct clock *clock;
    int64_t timeout_ms;
    bool is_gone;
    bool is_cut;
    bool is_linked;
    bool is_dead; /* told that its session expired: a new one begins only when it asks for that */
    int32_t replies_to_lose;
    struct session *session; /* as the server knows it; NULL before the first connection and after expiry was told */
    enum coord_session_state state;
    coord_session_callback *on_session;
    void *session_context;
    struct timer fence_timer;
    struct request *waiting; /* for a connection */
    struct item *inbox;      /* to the server */
    struct item *outbox;     /* to the client */
    struct item *posted;     /* arrived, to be handled on the loop */
    struct sim_event *inbox_event, *outbox_event, *connect_event;
};

struct sim_coord_server {
    struct sim *sim;
    struct random random;
    struct sim_tree tree;
    struct watch *watches;
    struct session *sessions;
    struct client *clients;
    int64_t next_session_id;
    int64_t linger_ms_max;
    bool is_unavailable;
    sim_coord_observer *on_transaction;
    void *observer_context;
};

/* One of the server's draws, in [0, max]. */
int64_t sim_server_draw(struct sim_coord_server *server, int64_t max);

/* sim_coord.c: a process's end. */
void sim_client_free_items(struct item **list);
void sim_client_send(struct client *client, struct item *item, int64_t delay_ms);
void sim_client_send_state(struct client *client, enum coord_session_state state, int64_t delay_ms);
/* The first of the queue arrived; sets the event of the next. */
struct item *sim_client_arrive(struct client *client, struct item **queue, struct sim_event **event,
                               task_callback *on_arrival);

/* sim_coord_server.c: the server's. */
void sim_client_on_inbox(void *client);
void sim_session_start_expiry(struct session *session);
void sim_session_stop_expiry(struct session *session);
void sim_session_end(struct session *session, bool may_linger);
void sim_client_break_link(struct client *client, int64_t detected_after_ms);
void sim_client_schedule_connect(struct client *client);

#endif
