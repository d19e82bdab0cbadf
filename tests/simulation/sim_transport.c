/* See sim_transport.h. A call goes through these hands: sent -> (link) -> dispatched -> answered, in order -> (link)
 * -> told to its sender. Whoever dies on the way, the call is freed when nobody points to it any more. */
#include "tests/simulation/sim_transport.h"

#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/random.h"
#include "broker/log/disk.h"
#include "broker/protocol/exchange.h"
#include "broker/protocol/header.h"
#include "broker/request/dispatch.h"

struct sim_link {
    int64_t min_ms;
    int64_t max_ms;
    bool is_cut;
};

struct sim_member {
    struct clock *clock; /* NULL: no process here */
    struct dispatcher *dispatcher;
    uint32_t incarnation;
};

enum call_state { CALL_TRAVELS, CALL_SERVED, CALL_ANSWERED, CALL_RETURNS };

struct sim_call {
    struct exchange exchange;
    struct sim_connection *connection;
    struct sim_call *next; /* of the connection, in the order of sending */
    enum call_state state;
    bool is_with_server; /* the exchange has not been ended */
    bool is_with_client; /* the sender has not been told */
    bool closes;         /* instead of an answer the connection ends */
    bool has_answer;
    bool is_over;   /* for the sender; the server may still be at work on it, as after a closed connection */
    int references; /* posted tasks and events that point here */
    int16_t api_key;
    int16_t api_version;
    uint8_t *frame;
    size_t frame_size;
    uint8_t *answer; /* after its size */
    size_t answer_size;
    int error;
    transport_answer *on_answer;
    void *context;
    struct sim_event *timeout;
};

struct sim_connection {
    struct sim_network *network;
    struct sim_connection *next;
    int32_t from;
    int32_t to;
    int32_t channel;
    uint32_t from_incarnation;
    uint32_t to_incarnation; /* of the process that accepted; 0 before */
    bool is_broken;
    struct sim_call *first; /* not over */
    struct sim_call *last;
    int64_t arrival_ms[2]; /* of the last message each way: later ones come no earlier */
    int references;
};

/* One message on its way. */
struct sim_message {
    struct sim_network *network;
    struct sim_message *next; /* in the order of sending */
    struct sim_connection *connection;
    struct sim_call *call; /* NULL: the connection broke */
    bool is_answer;
    bool is_arrived; /* held back by a cut */
    struct sim_event *event;
};

struct sim_network {
    struct sim *sim;
    struct random random;
    struct sim_link links[SIM_NODES_MAX][SIM_NODES_MAX];
    struct sim_member members[SIM_NODES_MAX];
    struct sim_connection *connections;
    struct sim_message *messages;
    struct sim_message **messages_end;
    uint64_t message_count;
};

struct sim_transport {
    struct transport transport;
    struct sim_network *network;
    int32_t node;
};

static void on_message(void *context);

/* ---- lifetimes ---- */

static void connection_unref(struct sim_connection *connection) {
    if (--connection->references > 0) {
        return;
    }
    struct sim_connection **at = &connection->network->connections;
    while (*at != connection) {
        at = &(*at)->next;
    }
    *at = connection->next;
    free(connection);
}

/* Frees the call when nobody needs it any more. */
static void call_settle(struct sim_call *call) {
    if (call->is_with_server || call->is_with_client || call->references > 0) {
        return;
    }
    struct sim_connection *connection = call->connection;
    struct sim_call **at = &connection->first;
    struct sim_call *before = NULL;
    while (*at != NULL && *at != call) {
        before = *at;
        at = &(*at)->next;
    }
    CHECK(*at == call);
    *at = call->next;
    if (connection->last == call) {
        connection->last = before;
    }
    if (call->timeout != NULL) {
        sim_cancel(connection->network->sim, call->timeout);
    }
    free(call->frame);
    free(call->answer);
    free(call);
    connection_unref(connection);
}

static void call_unref(struct sim_call *call) {
    call->references--;
    call_settle(call);
}

static bool client_lives(const struct sim_connection *connection) {
    const struct sim_member *member = &connection->network->members[connection->from];
    return member->clock != NULL && member->incarnation == connection->from_incarnation;
}

static bool server_lives(const struct sim_connection *connection) {
    const struct sim_member *member = &connection->network->members[connection->to];
    return member->clock != NULL && member->incarnation == connection->to_incarnation;
}

/* ---- messages ---- */

static void message_free(struct sim_message *message) {
    struct sim_network *network = message->network;
    struct sim_message **at = &network->messages;
    while (*at != message) {
        at = &(*at)->next;
    }
    *at = message->next;
    if (network->messages_end == &message->next) {
        network->messages_end = at;
    }
    struct sim_call *call = message->call;
    struct sim_connection *connection = message->connection;
    free(message);
    if (call != NULL) {
        call_unref(call);
    }
    connection_unref(connection);
}

static struct sim_link *link_of(struct sim_message *message) {
    const struct sim_connection *connection = message->connection;
    return message->is_answer ? &message->network->links[connection->to][connection->from]
                              : &message->network->links[connection->from][connection->to];
}

static void message_schedule(struct sim_message *message) {
    struct sim_network *network = message->network;
    const struct sim_link *link = link_of(message);
    int64_t delay_ms =
        link->min_ms + (int64_t)random_below(&network->random, (uint64_t)(link->max_ms - link->min_ms) + 1);
    int64_t *last_ms = &message->connection->arrival_ms[message->is_answer];
    *last_ms = MAX(*last_ms + 1, sim_now_ms(network->sim) + delay_ms); /* one a millisecond keeps the order */
    message->event = sim_at(network->sim, *last_ms - sim_now_ms(network->sim), on_message, message);
}

static void message_send(struct sim_connection *connection, struct sim_call *call, bool is_answer) {
    struct sim_network *network = connection->network;
    struct sim_message *message = xcalloc(1, sizeof *message);
    message->network = network;
    message->connection = connection;
    message->call = call;
    message->is_answer = is_answer;
    connection->references++;
    if (call != NULL) {
        call->references++;
    }
    *network->messages_end = message;
    network->messages_end = &message->next;
    network->message_count++;
    message_schedule(message);
}

/* ---- the sender's end ---- */

static void tell_sender(void *context) {
    struct sim_call *call = context;
    if (call->is_with_client) {
        call->is_with_client = false;
        call->on_answer(call->context, call->error, call->answer, call->answer_size);
    }
    call_unref(call);
}

static void finish_for_sender(struct sim_call *call, int error) {
    if (call->timeout != NULL) {
        sim_cancel(call->connection->network->sim, call->timeout);
        call->timeout = NULL;
    }
    if (!call->is_with_client || call->is_over) {
        return;
    }
    call->is_over = true;
    call->error = error;
    if (!client_lives(call->connection)) {
        call->is_with_client = false;
        return;
    }
    call->references++;
    clock_post(call->connection->network->members[call->connection->from].clock, tell_sender, call);
}

static void abandon(void *context) {
    struct sim_call *call = context;
    if (call->is_with_server) {
        call->exchange.is_abandoned = true;
        if (call->exchange.on_abandoned != NULL) {
            call->exchange.on_abandoned(&call->exchange);
        }
    }
    call_unref(call);
}

/* The server notices that its peer is gone. */
static void break_server_end(struct sim_connection *connection) {
    struct clock *clock = connection->network->members[connection->to].clock;
    for (struct sim_call *call = connection->first; call != NULL; call = call->next) {
        if (call->is_with_server && server_lives(connection)) {
            call->references++;
            clock_post(clock, abandon, call);
        }
    }
}

/* The sender's end breaks; the first call may end with another error than the others. */
static void break_client_end(struct sim_connection *connection, struct sim_call *blamed, int error) {
    connection->references++;
    connection->is_broken = true;
    struct sim_call *next = NULL;
    for (struct sim_call *call = connection->first; call != NULL; call = next) {
        next = call->next;
        if (next != NULL) {
            next->references++;
        }
        finish_for_sender(call, call == blamed ? error : ERR_DISCONNECTED);
        call_settle(call);
        if (next != NULL) {
            next->references--;
        }
    }
    connection_unref(connection);
}

/* ---- the server's end ---- */

static uint8_t *flatten(const struct answer *answer, size_t *ret_size) {
    size_t total = answer->size;
    for (int32_t i = 0; i < answer->splice_count; i++) {
        total += (size_t)answer->splices[i].records.size;
    }
    uint8_t *bytes = xmalloc(total);
    size_t done = 0;
    size_t from = 0;
    bool is_short = false;
    for (int32_t i = 0; i < answer->splice_count; i++) {
        struct splice *splice = &answer->splices[i];
        size_t part = (size_t)splice->at - from;
        memcpy(bytes + done, answer->bytes + from, part);
        done += part;
        from += part;
        int64_t count =
            disk_read(splice->records.file, bytes + done, (size_t)splice->records.size, splice->records.position);
        is_short = is_short || count != splice->records.size;
        done += (size_t)splice->records.size;
        splice->records.file = disk_file_unref(splice->records.file);
    }
    memcpy(bytes + done, answer->bytes + from, answer->size - from);
    if (is_short) { /* as sendfile would find out: the connection ends */
        free(bytes);
        return NULL;
    }
    *ret_size = total;
    return bytes;
}

/* Answers leave in the order of the requests. */
static void flush(struct sim_connection *connection) {
    connection->references++;
    for (struct sim_call *call = connection->first; call != NULL; call = call->next) {
        if (call->state == CALL_TRAVELS || call->state == CALL_SERVED) {
            break;
        }
        if (call->state == CALL_ANSWERED) {
            call->state = CALL_RETURNS;
            message_send(connection, call, true);
        }
    }
    connection_unref(connection);
}

static void end_exchange(struct sim_call *call) {
    CHECK(call->is_with_server);
    if (call->state == CALL_SERVED) {
        call->state = CALL_ANSWERED;
        flush(call->connection);
    }
    call->is_with_server = false;
    call_settle(call);
}

static void exchange_answer(struct exchange *exchange, const struct answer *answer) {
    struct sim_call *call = CONTAINER_OF(exchange, struct sim_call, exchange);
    size_t size = 0;
    uint8_t *bytes = flatten(answer, &size);
    answer->on_sent(answer->owner);
    call->has_answer = bytes != NULL;
    call->closes = bytes == NULL;
    if (bytes != NULL) {
        call->answer = bytes;
        call->answer_size = size;
    }
    end_exchange(call);
}

static void exchange_answer_nothing(struct exchange *exchange) {
    end_exchange(CONTAINER_OF(exchange, struct sim_call, exchange));
}

static void exchange_close(struct exchange *exchange) {
    struct sim_call *call = CONTAINER_OF(exchange, struct sim_call, exchange);
    call->closes = true;
    end_exchange(call);
}

static void serve(void *context) {
    static const struct exchange_ops ops = {exchange_answer, exchange_answer_nothing, exchange_close};
    struct sim_call *call = context;
    struct sim_connection *connection = call->connection;
    struct dispatcher *dispatcher = connection->network->members[connection->to].dispatcher;
    if (dispatcher != NULL && call->state == CALL_TRAVELS) {
        call->state = CALL_SERVED;
        call->is_with_server = true;
        call->exchange.ops = &ops;
        call->exchange.client_host = STR_LITERAL("127.0.0.1");
        call->exchange.is_privileged = true;
        dispatch_frame(dispatcher, &call->exchange, call->frame, call->frame_size);
    }
    call_unref(call);
}

static void request_arrived(struct sim_connection *connection, struct sim_call *call) {
    struct sim_member *member = &connection->network->members[connection->to];
    if (connection->to_incarnation == 0 && member->clock != NULL && member->dispatcher != NULL) {
        connection->to_incarnation = member->incarnation; /* accepted */
    }
    if (!server_lives(connection) || member->dispatcher == NULL) {
        message_send(connection, NULL, true); /* refused */
        return;
    }
    call->references++;
    clock_post(member->clock, serve, call);
}

static void answer_arrived(struct sim_connection *connection, struct sim_call *call) {
    if (call->closes) {
        break_client_end(connection, NULL, 0);
        break_server_end(connection);
        return;
    }
    if (!call->has_answer) {
        finish_for_sender(call, 0); /* acks=0: the sender needs to know that nothing will come */
        return;
    }
    struct reader r = reader_of(call->answer + 4, call->answer_size - 4);
    int32_t correlation_id;
    CHECK(response_header_decode(&r, call->api_key, call->api_version, &correlation_id) == 0);
    size_t left = reader_left(&r);
    memmove(call->answer, r.at, left);
    call->answer_size = left;
    finish_for_sender(call, 0);
}

static void on_message(void *context) {
    struct sim_message *message = context;
    message->event = NULL;
    if (link_of(message)->is_cut) {
        message->is_arrived = true; /* goes on when the link is whole */
        return;
    }
    struct sim_connection *connection = message->connection;
    struct sim_call *call = message->call;
    if (!message->is_answer && call == NULL) {
        break_server_end(connection);
    } else if (!message->is_answer) {
        request_arrived(connection, call); /* also when its sender has given up meanwhile */
    } else if (connection->is_broken) {
        /* Nobody there any more. */
    } else if (call == NULL) {
        break_client_end(connection, NULL, 0);
    } else {
        answer_arrived(connection, call);
    }
    message_free(message);
}

/* ---- the seam ---- */

static struct sim_connection *connection_find(struct sim_network *network, int32_t from, int32_t to, int32_t channel) {
    for (struct sim_connection *at = network->connections; at != NULL; at = at->next) {
        if (at->from == from && at->to == to && at->channel == channel && !at->is_broken &&
            at->from_incarnation == network->members[from].incarnation) {
            return at;
        }
    }
    return NULL;
}

static void on_timeout(void *context) {
    struct sim_call *call = context;
    struct sim_connection *connection = call->connection;
    call->timeout = NULL;
    connection->references++;
    break_client_end(connection, call, ERR_TIMED_OUT);
    message_send(connection, NULL, false);
    connection_unref(connection);
}

static void encode_frame(struct sim_call *call, const struct transport_request *request) {
    struct request_header header = {
        .api_key = request->api_key,
        .api_version = request->api_version,
        .client_id = str_from(request->client_id),
    };
    size_t header_size = request_header_encoded_size(&header);
    call->frame_size = header_size + request->body_size;
    CHECK(call->frame_size <= SIM_FRAME_MAX);
    call->frame = xmalloc(call->frame_size);
    struct encoder e = encoder_of(call->frame, header_size);
    request_header_encode(&header, &e);
    CHECK(!e.w.failed && writer_size(&e.w) == header_size);
    if (request->body_size > 0) {
        memcpy(call->frame + header_size, request->body, request->body_size);
    }
}

static void transport_sim_send(struct transport *base, const struct transport_request *request) {
    struct sim_transport *transport = CONTAINER_OF(base, struct sim_transport, transport);
    struct sim_network *network = transport->network;
    CHECK(request->broker_id >= 0 && request->broker_id < SIM_NODES_MAX);
    struct sim_connection *connection =
        connection_find(network, transport->node, request->broker_id, (int32_t)request->channel);
    if (connection == NULL) {
        connection = xcalloc(1, sizeof *connection);
        connection->network = network;
        connection->from = transport->node;
        connection->to = request->broker_id;
        connection->channel = (int32_t)request->channel;
        connection->from_incarnation = network->members[transport->node].incarnation;
        connection->next = network->connections;
        network->connections = connection;
    }
    struct sim_call *call = xcalloc(1, sizeof *call);
    call->connection = connection;
    call->api_key = request->api_key;
    call->api_version = request->api_version;
    call->on_answer = request->on_answer;
    call->context = request->context;
    call->is_with_client = true;
    encode_frame(call, request);
    connection->references++;
    if (connection->last != NULL) {
        connection->last->next = call;
    } else {
        connection->first = call;
    }
    connection->last = call;
    call->timeout = sim_at(network->sim, MAX(request->timeout_ms, 1), on_timeout, call);
    message_send(connection, call, false);
}

static void transport_sim_disconnect(struct transport *base, int32_t broker_id, enum transport_channel channel) {
    struct sim_transport *transport = CONTAINER_OF(base, struct sim_transport, transport);
    struct sim_connection *connection =
        connection_find(transport->network, transport->node, broker_id, (int32_t)channel);
    if (connection != NULL) {
        connection->references++;
        break_client_end(connection, NULL, 0);
        message_send(connection, NULL, false);
        connection_unref(connection);
    }
}

struct transport *sim_transport_create(struct sim_network *network, int32_t node) {
    static const struct transport_ops ops = {transport_sim_send, transport_sim_disconnect};
    struct sim_transport *transport = xcalloc(1, sizeof *transport);
    transport->transport.ops = &ops;
    transport->network = network;
    transport->node = node;
    return &transport->transport;
}

void sim_transport_destroy(struct transport *transport) {
    free(CONTAINER_OF(transport, struct sim_transport, transport));
}

/* ---- the network ---- */

struct sim_network *sim_network_create(struct sim *sim, uint64_t seed) {
    struct sim_network *network = xcalloc(1, sizeof *network);
    network->sim = sim;
    network->messages_end = &network->messages;
    random_seed(&network->random, seed);
    sim_network_heal(network);
    return network;
}

void sim_network_join(struct sim_network *network, int32_t node, struct clock *clock) {
    CHECK(node >= 0 && node < SIM_NODES_MAX && network->members[node].clock == NULL);
    network->members[node].clock = clock;
    network->members[node].incarnation++;
}

void sim_network_serve(struct sim_network *network, int32_t node, struct dispatcher *dispatcher) {
    network->members[node].dispatcher = dispatcher;
}

/* Of a connection of a dead process: its calls are in nobody's hands at that end. */
static void forget_end(struct sim_connection *connection, bool is_server, bool is_client) {
    connection->references++;
    struct sim_call *next = NULL;
    for (struct sim_call *call = connection->first; call != NULL; call = next) {
        next = call->next;
        if (next != NULL) {
            next->references++;
        }
        if (is_server) {
            call->is_with_server = false;
        }
        if (is_client) {
            call->is_with_client = false;
            if (call->timeout != NULL) {
                sim_cancel(connection->network->sim, call->timeout);
                call->timeout = NULL;
            }
        }
        call_settle(call);
        if (next != NULL) {
            next->references--;
        }
    }
    connection_unref(connection);
}

void sim_network_leave(struct sim_network *network, int32_t node) {
    struct sim_member *member = &network->members[node];
    uint32_t incarnation = member->incarnation;
    member->clock = NULL;
    member->dispatcher = NULL;
    struct sim_connection *next = NULL;
    for (struct sim_connection *at = network->connections; at != NULL; at = next) {
        at->references++;
        if (at->from == node && at->from_incarnation == incarnation) {
            if (!at->is_broken) {
                message_send(at, NULL, false);
            }
            at->is_broken = true;
            forget_end(at, false, true);
        } else if (at->to == node && at->to_incarnation == incarnation) {
            if (!at->is_broken) {
                message_send(at, NULL, true);
            }
            forget_end(at, true, false);
        }
        next = at->next;
        connection_unref(at);
    }
}

void sim_network_set_delay(struct sim_network *network, int32_t from, int32_t to, int64_t min_ms, int64_t max_ms) {
    network->links[from][to].min_ms = min_ms;
    network->links[from][to].max_ms = max_ms;
}

void sim_network_cut(struct sim_network *network, int32_t from, int32_t to, bool is_cut) {
    network->links[from][to].is_cut = is_cut;
    if (is_cut) {
        return;
    }
    for (struct sim_message *message = network->messages; message != NULL; message = message->next) {
        if (message->is_arrived && link_of(message) == &network->links[from][to]) {
            message->is_arrived = false;
            message_schedule(message);
        }
    }
}

void sim_network_reset(struct sim_network *network, int32_t a, int32_t b) {
    struct sim_connection *next = NULL;
    for (struct sim_connection *at = network->connections; at != NULL; at = next) {
        at->references++;
        if (!at->is_broken && ((at->from == a && at->to == b) || (at->from == b && at->to == a))) {
            message_send(at, NULL, false);
            break_client_end(at, NULL, 0);
        }
        next = at->next;
        connection_unref(at);
    }
}

void sim_network_heal(struct sim_network *network) {
    for (int32_t from = 0; from < SIM_NODES_MAX; from++) {
        for (int32_t to = 0; to < SIM_NODES_MAX; to++) {
            sim_network_set_delay(network, from, to, 1, 3);
            sim_network_cut(network, from, to, false);
        }
    }
}

uint64_t sim_network_messages(const struct sim_network *network) {
    return network->message_count;
}

void sim_network_destroy(struct sim_network *network) {
    while (network->messages != NULL) {
        struct sim_message *message = network->messages;
        if (message->event != NULL) {
            sim_cancel(network->sim, message->event);
        }
        message_free(message);
    }
    while (network->connections != NULL) { /* whoever still waited here is gone with his process */
        struct sim_connection *connection = network->connections;
        connection->references++;
        for (struct sim_call *call = connection->first; call != NULL; call = call->next) {
            call->references = 0;
        }
        forget_end(connection, true, true);
        connection_unref(connection);
    }
    free(network);
}
