/* See sim_coord.h. The server's end: it applies a request when it arrives, so the tree is linearizable by construction.
 * When a connection breaks, some prefix of what travelled towards the server is still applied: the client cannot know
 * which. */
#include <stdlib.h>
#include <utlist.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tests/simulation/sim_coord_internal.h"

#define CONNECT_MS_MAX 200 /* a server found and the session taken up again */

/* ---- the server ---- */

static void notify(struct session *session, const struct watch *watch, enum coord_watch_type type) {
    struct item *item = xcalloc(1, sizeof *item);
    item->type = ITEM_WATCH;
    item->watch = watch->watch;
    item->watch_type = type;
    item->path = xstrdup(watch->path);
    if (session->client != NULL && session->client->is_linked) {
        sim_client_send(session->client, item, sim_server_draw(session->server, TRAVEL_MS_MAX));
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

void sim_client_on_inbox(void *context) {
    struct client *client = context;
    struct item *item = sim_client_arrive(client, &client->inbox, &client->inbox_event, sim_client_on_inbox);
    apply(client->session, item->request);
    sim_client_send(client, item, sim_server_draw(client->server, TRAVEL_MS_MAX));
    if (is_write(item->request) && client->replies_to_lose > 0) {
        client->replies_to_lose--;
        sim_client_break_link(client, sim_server_draw(client->server, TRAVEL_MS_MAX));
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

void sim_session_stop_expiry(struct session *session) {
    if (session->expiry != NULL) {
        sim_cancel(session->server->sim, session->expiry);
        session->expiry = NULL;
    }
}

void sim_session_end(struct session *session, bool may_linger) {
    struct sim_coord_server *server = session->server;
    struct watch *watch, *next;
    sim_session_stop_expiry(session);
    session->is_expired = true;
    DL_FOREACH_SAFE(server->watches, watch, next) {
        if (watch->session == session) {
            DL_DELETE(server->watches, watch);
            free(watch);
        }
    }
    sim_client_free_items(&session->backlog);
    int64_t linger_ms = may_linger && server->linger_ms_max > 0 ? sim_server_draw(server, server->linger_ms_max) : 0;
    if (linger_ms > 0) {
        session->removal = sim_at(server->sim, linger_ms, on_removal, session);
    } else {
        remove_ephemerals(session);
    }
}

static void on_expiry(void *context) {
    struct session *session = context;
    session->expiry = NULL;
    sim_session_end(session, true);
}

/* The server heard the client up to a third of the timeout ago, the interval of pings. */
void sim_session_start_expiry(struct session *session) {
    struct sim_coord_server *server = session->server;
    sim_session_stop_expiry(session);
    if (!session->is_expired && !server->is_unavailable) {
        int64_t unheard_ms = sim_server_draw(server, session->timeout_ms / 3);
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

void sim_client_break_link(struct client *client, int64_t detected_after_ms) {
    struct sim_coord_server *server = client->server;
    struct item *lost = NULL, *item, *next;
    if (!client->is_linked) {
        return;
    }
    client->is_linked = false;
    bool is_applied = true;
    DL_FOREACH(client->inbox, item) { /* some prefix still gets there */
        is_applied =
            is_applied && !client->session->is_expired && !server->is_unavailable && sim_server_draw(server, 1) == 0;
        if (is_applied) {
            apply(client->session, item->request);
        }
    }
    lose_requests(client, &client->outbox, &client->outbox_event, &lost);
    lose_requests(client, &client->inbox, &client->inbox_event, &lost);
    DL_FOREACH_SAFE(lost, item, next) {
        DL_DELETE(lost, item);
        sim_client_send(client, item, detected_after_ms);
    }
    sim_client_send_state(client, COORD_CONNECTING, detected_after_ms);
    sim_session_start_expiry(client->session);
    sim_client_schedule_connect(client);
}

static void on_connect(void *context) {
    struct client *client = context;
    struct sim_coord_server *server = client->server;
    client->connect_event = NULL;
    if (client->is_cut || server->is_unavailable || client->is_linked || client->is_dead) {
        return; /* healing schedules the next attempt */
    }
    if (client->session != NULL && client->session->is_expired) {
        client->session->client = NULL;
        client->session = NULL;
        client->is_dead = true;
        sim_client_send_state(client, COORD_EXPIRED, sim_server_draw(server, TRAVEL_MS_MAX));
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
    sim_session_stop_expiry(client->session);
    client->is_linked = true;
    sim_client_send_state(client, COORD_CONNECTED, sim_server_draw(server, TRAVEL_MS_MAX));
    while (client->session->backlog != NULL) {
        struct item *item = client->session->backlog;
        DL_DELETE(client->session->backlog, item);
        sim_client_send(client, item, sim_server_draw(server, TRAVEL_MS_MAX));
    }
}

void sim_client_schedule_connect(struct client *client) {
    if (client->connect_event == NULL && !client->is_linked && !client->is_gone) {
        client->connect_event =
            sim_at(client->server->sim, 1 + sim_server_draw(client->server, CONNECT_MS_MAX), on_connect, client);
    }
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
        sim_session_stop_expiry(session);
        if (session->removal != NULL) {
            sim_cancel(server->sim, session->removal);
        }
        sim_client_free_items(&session->backlog);
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
        sim_session_stop_expiry(session);
        if (is_available && !session->is_expired) {
            sim_session_start_expiry(session); /* until its client is heard again */
        }
    }
    DL_FOREACH(server->clients, client) {
        if (!client->is_gone && !is_available) {
            sim_client_break_link(client, sim_server_draw(server, TRAVEL_MS_MAX));
        } else if (!client->is_gone && (client->session != NULL || client->state != COORD_EXPIRED)) {
            sim_client_schedule_connect(client);
        }
    }
}

void sim_coord_server_set_linger(struct sim_coord_server *server, int64_t linger_ms_max) {
    server->linger_ms_max = linger_ms_max;
}

bool sim_coord_server_close(struct sim_coord_server *server, int64_t session_id, bool *ret_is_ended) {
    struct session *session;
    *ret_is_ended = false;
    if (server->is_unavailable) {
        return false;
    }
    DL_FOREACH(server->sessions, session) {
        if (session->id == session_id && !session->is_expired) {
            CHECK(session->client == NULL); /* of a process that lives nobody may */
            sim_session_end(session, false);
            *ret_is_ended = true;
        }
    }
    return true;
}

void sim_coord_server_expire(struct sim_coord_server *server, int64_t session_id) {
    struct session *session;
    DL_FOREACH(server->sessions, session) {
        if (session->id == session_id && !session->is_expired) {
            sim_session_end(session, true);
            if (session->client != NULL) {
                sim_client_break_link(session->client, sim_server_draw(server, TRAVEL_MS_MAX));
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
