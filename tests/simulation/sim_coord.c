/* See sim_coord.h. A process's end: what it asks waits for a connection, travels, and comes back to its loop. A client
 * talks to the server by two queues, one each way, that keep their order as TCP does. */
#include <stdlib.h>
#include <utlist.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tests/simulation/sim_coord_internal.h"

static struct client *client_of(struct coord *coord) {
    return CONTAINER_OF(coord, struct client, coord);
}

int64_t sim_server_draw(struct sim_coord_server *server, int64_t max) {
    return (int64_t)random_below(&server->random, (uint64_t)max + 1);
}

static void on_outbox(void *context);

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

void sim_client_free_items(struct item **list) {
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

void sim_client_send(struct client *client, struct item *item, int64_t delay_ms) {
    travel(client, &client->outbox, &client->outbox_event, on_outbox, item, delay_ms);
}

void sim_client_send_state(struct client *client, enum coord_session_state state, int64_t delay_ms) {
    struct item *item = xcalloc(1, sizeof *item);
    item->type = ITEM_SESSION;
    item->state = state;
    sim_client_send(client, item, delay_ms);
}

/* The first of the queue arrived; sets the event of the next. */
struct item *sim_client_arrive(struct client *client, struct item **queue, struct sim_event **event,
                               task_callback *on_arrival) {
    struct item *item = *queue;
    struct sim *sim = client->server->sim;
    DL_DELETE(*queue, item);
    *event = *queue == NULL ? NULL : sim_at(sim, (*queue)->due_ms - sim_now_ms(sim), on_arrival, client);
    return item;
}

static void on_outbox(void *context) {
    struct client *client = context;
    post_item(client, sim_client_arrive(client, &client->outbox, &client->outbox_event, on_outbox));
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
        travel(client, &client->inbox, &client->inbox_event, sim_client_on_inbox, item,
               sim_server_draw(client->server, TRAVEL_MS_MAX));
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
    client->is_dead = false;
    sim_client_schedule_connect(client);
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
    sim_client_schedule_connect(client);
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
    sim_client_free_items(&client->inbox);
    sim_client_free_items(&client->outbox);
    sim_client_free_items(&client->posted);
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
        sim_session_end(session, false);
    } else if (session != NULL && session->expiry == NULL) {
        sim_session_start_expiry(session);
    }
}

void sim_coord_kill(struct coord *coord) {
    struct client *client = client_of(coord);
    struct session *session = client->session;
    leave(client);
    if (session != NULL && session->expiry == NULL) {
        sim_session_start_expiry(session);
    }
}

void sim_coord_cut(struct coord *coord, bool is_cut) {
    struct client *client = client_of(coord);
    if (is_cut && !client->is_cut) {
        client->is_cut = true;
        sim_client_break_link(client, sim_server_draw(client->server, client->timeout_ms * 2 / 3));
    } else if (!is_cut && client->is_cut) {
        client->is_cut = false;
        if (client->session != NULL || client->state != COORD_EXPIRED) {
            sim_client_schedule_connect(client);
        }
    }
}

void sim_coord_reset(struct coord *coord) {
    sim_client_break_link(client_of(coord), 0);
}

void sim_coord_lose_replies(struct coord *coord, int32_t count) {
    client_of(coord)->replies_to_lose = count;
}
