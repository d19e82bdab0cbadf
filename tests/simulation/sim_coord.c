/* See sim_coord.h. A client talks to the server by two queues, one each way, that keep their order as TCP does; the
 * server applies a request when it arrives, so the tree is linearizable by construction. When a connection breaks, some
 * prefix of what travelled towards the server is still applied: the client cannot know which. */
#include "tests/simulation/sim_coord.h"

#include <stdlib.h>
#include <utlist.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/random.h"
#include "tests/simulation/sim_coord_internal.h"

#define TRAVEL_MS_MAX 3    /* one way */
#define CONNECT_MS_MAX 200 /* a server found and the session taken up again */

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

static void schedule_connect(struct client *client);
static void on_inbox(void *context);
static void on_outbox(void *context);

static struct client *client_of(struct coord *coord) {
    return CONTAINER_OF(coord, struct client, coord);
}

static int64_t draw(struct sim_coord_server *server, int64_t max) {
    return (int64_t)random_below(&server->random, (uint64_t)max + 1);
}

/* ---- requests and items ---- */

static void request_free(struct request *request) {
    for (int32_t i = 0; i < request->count; i++) {
        free((char *)(uintptr_t)request->ops[i].path);
        free((uint8_t *)(uintptr_t)request->ops[i].data.data);
        if (request->created != NULL) {
            free(request->created[i]);
        }
    }
    for (int32_t i = 0; i < request->name_count; i++) {
        free(request->names[i]);
    }
    free(request->names);
    free(request->created);
    free(request->results);
    free(request->ops);
    free(request->data);
    free(request);
}

static void item_free(struct item *item) {
    if (item->request != NULL) {
        request_free(item->request);
    }
    free(item->path);
    free(item);
}

static void free_items(struct item **list) {
    while (*list != NULL) {
        struct item *item = *list;
        DL_DELETE(*list, item);
        item_free(item);
    }
}

static void deliver_multi(struct request *request) {
    bool has_results = request->results != NULL && request->error != ERR_CONNECTION_LOSS &&
                       request->error != ERR_SESSION_EXPIRED && request->error != ERR_CLOSING;
    ((coord_multi_callback *)request->on_done)(request->context, request->error, has_results ? request->results : NULL,
                                               has_results ? request->count : 0);
}

static void request_deliver(struct request *request) {
    int error = request->error;
    const struct coord_stat *stat = error == 0 ? &request->stat : NULL;
    switch (request->type) {
    case REQUEST_GET:
        ((coord_get_callback *)request->on_done)(
            request->context, error, (struct slice){request->data, error == 0 ? request->data_size : -1}, stat);
        break;
    case REQUEST_CHILDREN:
        ((coord_children_callback *)request->on_done)(request->context, error, (const char *const *)request->names,
                                                      error == 0 ? request->name_count : 0, stat);
        break;
    case REQUEST_CREATE:
        ((coord_path_callback *)request->on_done)(request->context, error, error == 0 ? request->created[0] : NULL);
        break;
    case REQUEST_MULTI: deliver_multi(request); break;
    case REQUEST_EXISTS:
    case REQUEST_SET:
    case REQUEST_DELETE: ((coord_stat_callback *)request->on_done)(request->context, error, stat); break;
    }
}

/* ---- on the loop ---- */

static void send_request(struct client *client, struct request *request);

static void set_state(struct client *client, enum coord_session_state state) {
    if (client->state != state) {
        client->state = state;
        if (client->on_session != NULL) {
            client->on_session(client->session_context, state);
        }
    }
}

static void on_fence(struct timer *timer) {
    set_state(CONTAINER_OF(timer, struct client, fence_timer), COORD_FENCED);
}

static void end_waiting(struct client *client, int error, bool doomed_only) {
    struct request *request, *next;
    DL_FOREACH_SAFE(client->waiting, request, next) {
        if (!doomed_only || request->is_doomed) {
            DL_DELETE(client->waiting, request);
            request->error = error;
            request_deliver(request);
            request_free(request);
        }
    }
}

static void handle_session(struct client *client, enum coord_session_state state) {
    timer_stop(client->clock, &client->fence_timer);
    if (state == COORD_CONNECTED) {
        struct request *waiting = client->waiting;
        client->waiting = NULL;
        set_state(client, state);
        while (waiting != NULL) {
            struct request *request = waiting;
            DL_DELETE(waiting, request);
            send_request(client, request);
        }
    } else if (state == COORD_EXPIRED) {
        client->state = COORD_EXPIRED; /* so that what the callbacks ask for ends, too */
        end_waiting(client, ERR_SESSION_EXPIRED, false);
        if (client->on_session != NULL) {
            client->on_session(client->session_context, state);
        }
    } else {
        timer_start(client->clock, &client->fence_timer, client->timeout_ms, on_fence);
        client->state = state;
        end_waiting(client, ERR_CONNECTION_LOSS, true);
        if (client->on_session != NULL) {
            client->on_session(client->session_context, state);
        }
    }
}

static void handle_posted(void *context) {
    struct client *client = context;
    struct item *item = client->posted;
    if (client->is_gone || item == NULL) {
        return;
    }
    DL_DELETE(client->posted, item);
    if (item->type == ITEM_REQUEST) {
        request_deliver(item->request);
    } else if (item->type == ITEM_WATCH) {
        item->watch.on_event(item->watch.context, item->watch_type, item->path);
    } else {
        handle_session(client, item->state);
    }
    item_free(item);
}

static void post_item(struct client *client, struct item *item) {
    DL_APPEND(client->posted, item);
    clock_post(client->clock, handle_posted, client);
}

/* ---- travelling ---- */

static void travel(struct client *client, struct item **queue, struct sim_event **event, task_callback *arrive,
                   struct item *item, int64_t delay_ms) {
    int64_t due_ms = sim_now_ms(client->server->sim) + delay_ms;
    item->due_ms = *queue == NULL ? due_ms : MAX(due_ms, (*queue)->prev->due_ms);
    DL_APPEND(*queue, item);
    if (*event == NULL) {
        *event = sim_at(client->server->sim, (*queue)->due_ms - sim_now_ms(client->server->sim), arrive, client);
    }
}

static void send_to_client(struct client *client, struct item *item, int64_t delay_ms) {
    travel(client, &client->outbox, &client->outbox_event, on_outbox, item, delay_ms);
}

static void send_state(struct client *client, enum coord_session_state state, int64_t delay_ms) {
    struct item *item = xcalloc(1, sizeof *item);
    item->type = ITEM_SESSION;
    item->state = state;
    send_to_client(client, item, delay_ms);
}

/* The first of the queue arrived; sets the event of the next. */
static struct item *arrive(struct client *client, struct item **queue, struct sim_event **event,
                           task_callback *on_arrival) {
    struct item *item = *queue;
    struct sim *sim = client->server->sim;
    DL_DELETE(*queue, item);
    *event = *queue == NULL ? NULL : sim_at(sim, (*queue)->due_ms - sim_now_ms(sim), on_arrival, client);
    return item;
}

static void on_outbox(void *context) {
    struct client *client = context;
    post_item(client, arrive(client, &client->outbox, &client->outbox_event, on_outbox));
}

/* ---- the server ---- */

static void notify(struct session *session, const struct watch *watch, enum coord_watch_type type) {
    struct item *item = xcalloc(1, sizeof *item);
    item->type = ITEM_WATCH;
    item->watch = watch->watch;
    item->watch_type = type;
    item->path = xstrdup(watch->path);
    if (session->client != NULL && session->client->is_linked) {
        send_to_client(session->client, item, draw(session->server, TRAVEL_MS_MAX));
    } else {
        DL_APPEND(session->backlog, item);
    }
}

static void trigger(struct sim_coord_server *server, const char *path, bool is_child, enum coord_watch_type type) {
    struct watch *watch, *next;
    DL_FOREACH_SAFE(server->watches, watch, next) {
        if (watch->is_child == is_child && strcmp(watch->path, path) == 0) {
            DL_DELETE(server->watches, watch);
            notify(watch->session, watch, type);
            free(watch);
        }
    }
}

static void trigger_for(struct sim_coord_server *server, const struct coord_op *op) {
    if (op->type == COORD_OP_SET) {
        trigger(server, op->path, false, COORD_WATCH_CHANGED);
    } else if (op->type == COORD_OP_CREATE || op->type == COORD_OP_DELETE) {
        bool is_created = op->type == COORD_OP_CREATE;
        char *parent = sim_tree_parent(op->path);
        trigger(server, op->path, false, is_created ? COORD_WATCH_CREATED : COORD_WATCH_DELETED);
        if (!is_created) {
            trigger(server, op->path, true, COORD_WATCH_DELETED);
        }
        trigger(server, parent, true, COORD_WATCH_CHILDREN);
        free(parent);
    }
}

/* Watches and observers of a transaction that was applied. */
static void publish(struct sim_coord_server *server, const struct coord_op *ops, int32_t count, char *const *created,
                    int64_t session_id) {
    struct coord_op *made = xcalloc((size_t)count + 1, sizeof *made);
    for (int32_t i = 0; i < count; i++) {
        made[i] = ops[i];
        made[i].path = created[i] != NULL ? created[i] : ops[i].path;
        trigger_for(server, &made[i]);
    }
    sim_trace_mix(server->sim, (uint64_t)server->tree.zxid);
    if (server->on_transaction != NULL) {
        const struct sim_transaction transaction = {server->tree.zxid, session_id, made, count};
        server->on_transaction(server->observer_context, &transaction);
    }
    free(made);
}

static int64_t server_wall_ms(const struct sim_coord_server *server) {
    return SIM_WALL_EPOCH_MS + sim_now_ms(server->sim);
}

static void apply_write(struct session *session, struct request *request) {
    struct sim_coord_server *server = session->server;
    request->results = xcalloc((size_t)request->count + 1, sizeof *request->results);
    request->created = xcalloc((size_t)request->count + 1, sizeof *request->created);
    request->error = sim_tree_apply(&server->tree, request->ops, request->count, session->id, server_wall_ms(server),
                                    request->results, request->created);
    if (request->error == 0) {
        request->stat = request->results[0].stat;
        publish(server, request->ops, request->count, request->created, session->id);
    }
}

static void add_watch(struct session *session, const struct request *request) {
    const char *path = request->ops[0].path;
    bool is_child = request->type == REQUEST_CHILDREN;
    struct watch *watch;
    DL_FOREACH(session->server->watches, watch) {
        if (watch->session == session && watch->is_child == is_child &&
            watch->watch.on_event == request->watch.on_event && watch->watch.context == request->watch.context &&
            strcmp(watch->path, path) == 0) {
            return;
        }
    }
    watch = xcalloc(1, sizeof *watch + strlen(path) + 1);
    memcpy(watch->path, path, strlen(path) + 1);
    watch->session = session;
    watch->watch = request->watch;
    watch->is_child = is_child;
    DL_APPEND(session->server->watches, watch);
}

static void apply_read(struct session *session, struct request *request) {
    const struct sim_tree *tree = &session->server->tree;
    const struct sim_znode *node = sim_tree_find(tree, request->ops[0].path);
    request->error = node == NULL ? ERR_NOT_FOUND : 0;
    request->data_size = -1;
    if (node != NULL) {
        request->stat = node->stat;
        if (request->type == REQUEST_CHILDREN) {
            request->names = sim_tree_children(tree, node->path, &request->name_count);
        } else if (request->type == REQUEST_GET && node->data != NULL) {
            request->data_size = node->stat.data_size;
            request->data = xmalloc((size_t)request->data_size + 1);
            memcpy(request->data, node->data, (size_t)request->data_size);
        }
    }
    if (request->watch.on_event != NULL && (node != NULL || request->type != REQUEST_CHILDREN)) {
        add_watch(session, request);
    }
}

static bool is_write(const struct request *request) {
    return request->type >= REQUEST_CREATE;
}

static void apply(struct session *session, struct request *request) {
    if (is_write(request)) {
        apply_write(session, request);
    } else {
        apply_read(session, request);
    }
}

static void break_link(struct client *client, int64_t detected_after_ms);

static void on_inbox(void *context) {
    struct client *client = context;
    struct item *item = arrive(client, &client->inbox, &client->inbox_event, on_inbox);
    apply(client->session, item->request);
    send_to_client(client, item, draw(client->server, TRAVEL_MS_MAX));
    if (is_write(item->request) && client->replies_to_lose > 0) {
        client->replies_to_lose--;
        break_link(client, draw(client->server, TRAVEL_MS_MAX));
    }
}

/* ---- connections and sessions ---- */

static void remove_ephemerals(struct session *session) {
    struct sim_coord_server *server = session->server;
    struct sim_znode *node, *next;
    HASH_ITER(hh, server->tree.nodes, node, next) {
        if (node->stat.ephemeral_owner == session->id) {
            char *path = xstrdup(node->path), *created = NULL;
            struct coord_op op = {.type = COORD_OP_DELETE, .path = path, .version = COORD_ANY_VERSION};
            struct coord_op_result result = {0};
            CHECK(sim_tree_apply(&server->tree, &op, 1, 0, server_wall_ms(server), &result, &created) == 0);
            publish(server, &op, 1, &created, 0);
            free(path);
        }
    }
}

static void on_removal(void *context) {
    struct session *session = context;
    session->removal = NULL;
    remove_ephemerals(session);
}

static void stop_expiry(struct session *session) {
    if (session->expiry != NULL) {
        sim_cancel(session->server->sim, session->expiry);
        session->expiry = NULL;
    }
}

static void end_session(struct session *session, bool may_linger) {
    struct sim_coord_server *server = session->server;
    struct watch *watch, *next;
    stop_expiry(session);
    session->is_expired = true;
    DL_FOREACH_SAFE(server->watches, watch, next) {
        if (watch->session == session) {
            DL_DELETE(server->watches, watch);
            free(watch);
        }
    }
    free_items(&session->backlog);
    int64_t linger_ms = may_linger && server->linger_ms_max > 0 ? draw(server, server->linger_ms_max) : 0;
    if (linger_ms > 0) {
        session->removal = sim_at(server->sim, linger_ms, on_removal, session);
    } else {
        remove_ephemerals(session);
    }
}

static void on_expiry(void *context) {
    struct session *session = context;
    session->expiry = NULL;
    end_session(session, true);
}

/* The server heard the client up to a third of the timeout ago, the interval of pings. */
static void start_expiry(struct session *session) {
    struct sim_coord_server *server = session->server;
    stop_expiry(session);
    if (!session->is_expired && !server->is_unavailable) {
        int64_t unheard_ms = draw(server, session->timeout_ms / 3);
        session->expiry = sim_at(server->sim, session->timeout_ms - unheard_ms, on_expiry, session);
    }
}

/* Puts what was under way into the client's hands as connection loss, in its order. */
static void lose_requests(struct client *client, struct item **queue, struct sim_event **event, struct item **lost) {
    struct item *item, *next;
    DL_FOREACH_SAFE(*queue, item, next) {
        if (item->type == ITEM_REQUEST) {
            DL_DELETE(*queue, item);
            item->request->error = ERR_CONNECTION_LOSS;
            DL_APPEND(*lost, item);
        } else if (item->type == ITEM_WATCH) { /* told again when the session comes back */
            DL_DELETE(*queue, item);
            DL_APPEND(client->session->backlog, item);
        }
    }
    if (*event != NULL && *queue == NULL) {
        sim_cancel(client->server->sim, *event);
        *event = NULL;
    }
}

static void break_link(struct client *client, int64_t detected_after_ms) {
    struct sim_coord_server *server = client->server;
    struct item *lost = NULL, *item, *next;
    if (!client->is_linked) {
        return;
    }
    client->is_linked = false;
    bool is_applied = true;
    DL_FOREACH(client->inbox, item) { /* some prefix still gets there */
        is_applied = is_applied && !client->session->is_expired && !server->is_unavailable && draw(server, 1) == 0;
        if (is_applied) {
            apply(client->session, item->request);
        }
    }
    lose_requests(client, &client->outbox, &client->outbox_event, &lost);
    lose_requests(client, &client->inbox, &client->inbox_event, &lost);
    DL_FOREACH_SAFE(lost, item, next) {
        DL_DELETE(lost, item);
        send_to_client(client, item, detected_after_ms);
    }
    send_state(client, COORD_CONNECTING, detected_after_ms);
    start_expiry(client->session);
    schedule_connect(client);
}

static void on_connect(void *context) {
    struct client *client = context;
    struct sim_coord_server *server = client->server;
    client->connect_event = NULL;
    if (client->is_cut || server->is_unavailable || client->is_linked) {
        return; /* healing schedules the next attempt */
    }
    if (client->session != NULL && client->session->is_expired) {
        client->session->client = NULL;
        client->session = NULL;
        send_state(client, COORD_EXPIRED, draw(server, TRAVEL_MS_MAX));
        return;
    }
    if (client->session == NULL) {
        struct session *session = xcalloc(1, sizeof *session);
        session->server = server;
        session->id = server->next_session_id++;
        session->timeout_ms = client->timeout_ms;
        session->client = client;
        DL_APPEND(server->sessions, session);
        client->session = session;
    }
    stop_expiry(client->session);
    client->is_linked = true;
    send_state(client, COORD_CONNECTED, draw(server, TRAVEL_MS_MAX));
    while (client->session->backlog != NULL) {
        struct item *item = client->session->backlog;
        DL_DELETE(client->session->backlog, item);
        send_to_client(client, item, draw(server, TRAVEL_MS_MAX));
    }
}

static void schedule_connect(struct client *client) {
    if (client->connect_event == NULL && !client->is_linked && !client->is_gone) {
        client->connect_event =
            sim_at(client->server->sim, 1 + draw(client->server, CONNECT_MS_MAX), on_connect, client);
    }
}

/* ---- the seam ---- */

static void post_failure(struct client *client, struct request *request, int error) {
    struct item *item = xcalloc(1, sizeof *item);
    request->error = error;
    item->type = ITEM_REQUEST;
    item->request = request;
    post_item(client, item);
}

static void send_request(struct client *client, struct request *request) {
    CHECK(!client->is_gone);
    if (client->state == COORD_EXPIRED) {
        post_failure(client, request, ERR_SESSION_EXPIRED);
    } else if (client->state == COORD_CONNECTED && client->is_linked) {
        struct item *item = xcalloc(1, sizeof *item);
        item->type = ITEM_REQUEST;
        item->request = request;
        travel(client, &client->inbox, &client->inbox_event, on_inbox, item, draw(client->server, TRAVEL_MS_MAX));
    } else {
        request->is_doomed = client->state == COORD_CONNECTED;
        DL_APPEND(client->waiting, request);
    }
}

static struct request *request_new(enum request_type type, const struct coord_op *ops, int32_t count,
                                   void (*on_done)(void), void *context) {
    struct request *request = xcalloc(1, sizeof *request);
    request->type = type;
    request->count = count;
    request->on_done = on_done;
    request->context = context;
    request->ops = xcalloc((size_t)count + 1, sizeof *request->ops);
    for (int32_t i = 0; i < count; i++) {
        bool has_data = ops[i].type == COORD_OP_CREATE || ops[i].type == COORD_OP_SET;
        request->ops[i] = ops[i];
        request->ops[i].path = xstrdup(ops[i].path);
        request->ops[i].data.data = NULL;
        if (has_data && ops[i].data.size >= 0) {
            uint8_t *copy = xmalloc((size_t)ops[i].data.size + 1);
            memcpy(copy, ops[i].data.size == 0 ? (const uint8_t *)"" : ops[i].data.data, (size_t)ops[i].data.size);
            request->ops[i].data.data = copy;
        }
    }
    return request;
}

#define ERASED(callback) ((void (*)(void))(callback))

static void read_node(struct coord *coord, enum request_type type, const char *path, struct coord_watch watch,
                      void (*on_done)(void), void *context) {
    const struct coord_op op = {.type = COORD_OP_CHECK, .path = path};
    struct request *request = request_new(type, &op, 1, on_done, context);
    request->watch = watch;
    send_request(client_of(coord), request);
}

static void sim_get(struct coord *coord, const char *path, struct coord_watch watch, coord_get_callback *on_done,
                    void *context) {
    read_node(coord, REQUEST_GET, path, watch, ERASED(on_done), context);
}

static void sim_exists(struct coord *coord, const char *path, struct coord_watch watch, coord_stat_callback *on_done,
                       void *context) {
    read_node(coord, REQUEST_EXISTS, path, watch, ERASED(on_done), context);
}

static void sim_children(struct coord *coord, const char *path, struct coord_watch watch,
                         coord_children_callback *on_done, void *context) {
    read_node(coord, REQUEST_CHILDREN, path, watch, ERASED(on_done), context);
}

static void sim_create_node(struct coord *coord, const struct coord_op *op, coord_path_callback *on_done,
                            void *context) {
    send_request(client_of(coord), request_new(REQUEST_CREATE, op, 1, ERASED(on_done), context));
}

static void sim_set(struct coord *coord, const char *path, struct slice data, int32_t version,
                    coord_stat_callback *on_done, void *context) {
    const struct coord_op op = {.type = COORD_OP_SET, .path = path, .data = data, .version = version};
    send_request(client_of(coord), request_new(REQUEST_SET, &op, 1, ERASED(on_done), context));
}

static void sim_remove(struct coord *coord, const char *path, int32_t version, coord_stat_callback *on_done,
                       void *context) {
    const struct coord_op op = {.type = COORD_OP_DELETE, .path = path, .version = version};
    send_request(client_of(coord), request_new(REQUEST_DELETE, &op, 1, ERASED(on_done), context));
}

static void sim_multi(struct coord *coord, const struct coord_op *ops, int32_t count, coord_multi_callback *on_done,
                      void *context) {
    send_request(client_of(coord), request_new(REQUEST_MULTI, ops, count, ERASED(on_done), context));
}

static enum coord_session_state sim_state(struct coord *coord) {
    return client_of(coord)->state;
}

static int64_t sim_session_id(struct coord *coord) {
    return client_of(coord)->session == NULL ? 0 : client_of(coord)->session->id;
}

static void sim_on_session(struct coord *coord, coord_session_callback *on_change, void *context) {
    client_of(coord)->on_session = on_change;
    client_of(coord)->session_context = context;
}

static void sim_reopen(struct coord *coord) {
    struct client *client = client_of(coord);
    CHECK(client->state == COORD_EXPIRED);
    client->state = COORD_CONNECTING;
    schedule_connect(client);
}

struct coord *sim_coord_create(struct sim_coord_server *server, struct clock *clock, int64_t session_timeout_ms) {
    static const struct coord_ops ops = {sim_get,   sim_exists, sim_children,   sim_create_node, sim_set,   sim_remove,
                                         sim_multi, sim_state,  sim_session_id, sim_on_session,  sim_reopen};
    struct client *client = xcalloc(1, sizeof *client);
    client->coord.ops = &ops;
    client->server = server;
    client->clock = clock;
    client->timeout_ms = session_timeout_ms;
    client->state = COORD_CONNECTING;
    DL_APPEND(server->clients, client);
    schedule_connect(client);
    return &client->coord;
}

/* Forgets everything on its way. The object stays until the server goes, for posts that may still be queued. */
static void leave(struct client *client) {
    struct sim_event **events[] = {&client->inbox_event, &client->outbox_event, &client->connect_event};
    client->is_gone = true;
    client->is_linked = false;
    timer_stop(client->clock, &client->fence_timer);
    for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
        if (*events[i] != NULL) {
            sim_cancel(client->server->sim, *events[i]);
            *events[i] = NULL;
        }
    }
    free_items(&client->inbox);
    free_items(&client->outbox);
    free_items(&client->posted);
    while (client->waiting != NULL) {
        struct request *request = client->waiting;
        DL_DELETE(client->waiting, request);
        request_free(request);
    }
    if (client->session != NULL) {
        client->session->client = NULL;
        client->session = NULL;
    }
}

static void close_requests(struct item **list) {
    struct item *item, *next;
    DL_FOREACH_SAFE(*list, item, next) {
        if (item->type == ITEM_REQUEST) {
            DL_DELETE(*list, item);
            item->request->error = ERR_CLOSING;
            request_deliver(item->request);
            item_free(item);
        }
    }
}

void sim_coord_destroy(struct coord *coord) {
    struct client *client = client_of(coord);
    struct session *session = client->session;
    client->on_session = NULL;
    close_requests(&client->posted);
    close_requests(&client->outbox);
    close_requests(&client->inbox);
    end_waiting(client, ERR_CLOSING, false);
    bool is_heard = client->is_linked;
    leave(client);
    if (session != NULL && is_heard) {
        end_session(session, false);
    } else if (session != NULL && session->expiry == NULL) {
        start_expiry(session);
    }
}

void sim_coord_kill(struct coord *coord) {
    struct client *client = client_of(coord);
    struct session *session = client->session;
    leave(client);
    if (session != NULL && session->expiry == NULL) {
        start_expiry(session);
    }
}

void sim_coord_cut(struct coord *coord, bool is_cut) {
    struct client *client = client_of(coord);
    if (is_cut && !client->is_cut) {
        client->is_cut = true;
        break_link(client, draw(client->server, client->timeout_ms * 2 / 3));
    } else if (!is_cut && client->is_cut) {
        client->is_cut = false;
        if (client->session != NULL || client->state != COORD_EXPIRED) {
            schedule_connect(client);
        }
    }
}

void sim_coord_reset(struct coord *coord) {
    break_link(client_of(coord), 0);
}

void sim_coord_lose_replies(struct coord *coord, int32_t count) {
    client_of(coord)->replies_to_lose = count;
}

/* ---- the server from outside ---- */

struct sim_coord_server *sim_coord_server_create(struct sim *sim, uint64_t seed) {
    struct sim_coord_server *server = xcalloc(1, sizeof *server);
    server->sim = sim;
    server->next_session_id = 0x1000;
    random_seed(&server->random, seed);
    sim_tree_init(&server->tree);
    return server;
}

void sim_coord_server_destroy(struct sim_coord_server *server) {
    while (server->clients != NULL) {
        struct client *client = server->clients;
        CHECK(client->is_gone);
        DL_DELETE(server->clients, client);
        free(client);
    }
    while (server->sessions != NULL) {
        struct session *session = server->sessions;
        stop_expiry(session);
        if (session->removal != NULL) {
            sim_cancel(server->sim, session->removal);
        }
        free_items(&session->backlog);
        DL_DELETE(server->sessions, session);
        free(session);
    }
    while (server->watches != NULL) {
        struct watch *watch = server->watches;
        DL_DELETE(server->watches, watch);
        free(watch);
    }
    sim_tree_deinit(&server->tree);
    free(server);
}

void sim_coord_server_observe(struct sim_coord_server *server, sim_coord_observer *on_transaction, void *context) {
    server->on_transaction = on_transaction;
    server->observer_context = context;
}

void sim_coord_server_set_available(struct sim_coord_server *server, bool is_available) {
    struct client *client;
    struct session *session;
    if (server->is_unavailable == !is_available) {
        return;
    }
    server->is_unavailable = !is_available;
    DL_FOREACH(server->sessions, session) {
        stop_expiry(session);
        if (is_available && !session->is_expired) {
            start_expiry(session); /* until its client is heard again */
        }
    }
    DL_FOREACH(server->clients, client) {
        if (!client->is_gone && !is_available) {
            break_link(client, draw(server, TRAVEL_MS_MAX));
        } else if (!client->is_gone && (client->session != NULL || client->state != COORD_EXPIRED)) {
            schedule_connect(client);
        }
    }
}

void sim_coord_server_set_linger(struct sim_coord_server *server, int64_t linger_ms_max) {
    server->linger_ms_max = linger_ms_max;
}

void sim_coord_server_expire(struct sim_coord_server *server, int64_t session_id) {
    struct session *session;
    DL_FOREACH(server->sessions, session) {
        if (session->id == session_id && !session->is_expired) {
            end_session(session, true);
            if (session->client != NULL) {
                break_link(session->client, draw(server, TRAVEL_MS_MAX));
            }
            return;
        }
    }
}

static struct slice node_data(const struct sim_znode *node) {
    return node->data == NULL ? SLICE_NULL : (struct slice){node->data, node->stat.data_size};
}

bool sim_coord_server_get(const struct sim_coord_server *server, const char *path, struct slice *ret_data,
                          struct coord_stat *ret_stat) {
    const struct sim_znode *node = sim_tree_find(&server->tree, path);
    if (node != NULL) {
        *ret_data = node_data(node);
        *ret_stat = node->stat;
    }
    return node != NULL;
}

void sim_coord_server_each(const struct sim_coord_server *server, const char *path, sim_coord_visitor *visit,
                           void *context) {
    const struct sim_znode *node = sim_tree_find(&server->tree, path);
    if (node == NULL) {
        return;
    }
    int32_t count;
    char **names = sim_tree_children(&server->tree, path, &count);
    visit(context, path, node_data(node), &node->stat);
    for (int32_t i = 0; i < count; i++) {
        char *child = xasprintf("%s/%s", strcmp(path, "/") == 0 ? "" : path, names[i]);
        sim_coord_server_each(server, child, visit, context);
        free(child);
        free(names[i]);
    }
    free(names);
}

static void dump_node(void *context, const char *path, struct slice data, const struct coord_stat *stat) {
    fprintf(context, "%c v%d c%d %s %.*s\n", stat->ephemeral_owner != 0 ? 'E' : 'P', stat->version, stat->cversion,
            path, data.size < 0 ? 4 : data.size, data.size < 0 ? "null" : (const char *)data.data);
}

void sim_coord_server_dump(const struct sim_coord_server *server, FILE *to) {
    sim_coord_server_each(server, "/", dump_node, to);
}
