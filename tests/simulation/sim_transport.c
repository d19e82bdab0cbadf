/* See sim_transport.h and sim_transport_internal.h: links, messages and who is there. */
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/header.h"
#include "tests/simulation/sim_transport_internal.h"

/* Of bytes on the wire behind the end of their connection, each. */
#define LATE_MS_MAX 2000
#define STRANDED_MS_MIN 50
#define STRANDED_MS_MAX 4000

static void on_message(void *context);

/* ---- lifetimes ---- */

void sim_connection_unref(struct sim_connection *connection) {
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
void sim_call_settle(struct sim_call *call) {
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
    sim_connection_unref(connection);
}

void sim_call_unref(struct sim_call *call) {
    call->references--;
    sim_call_settle(call);
}

bool sim_connection_client_lives(const struct sim_connection *connection) {
    const struct sim_member *member = &connection->network->members[connection->from];
    return member->clock != NULL && member->incarnation == connection->from_incarnation;
}

bool sim_connection_server_lives(const struct sim_connection *connection) {
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
        sim_call_unref(call);
    }
    sim_connection_unref(connection);
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

void sim_message_send(struct sim_connection *connection, struct sim_call *call, bool is_answer) {
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

static bool is_unheard(const struct sim_message *message, const struct sim_connection *connection) {
    return message->connection == connection && !message->is_answer && !message->is_lost;
}

/* What of an aborted connection had not arrived. The sender's kernel forgets what it still had, but bytes that are on
 * the wire, or stuck in it, may arrive nevertheless, late, and after those of the next connection. */
static void abort_sending(struct sim_connection *connection) {
    struct sim_network *network = connection->network;
    uint64_t unheard = 0;
    connection->is_aborted = true;
    if (connection->is_stranded) {
        return;
    }
    for (struct sim_message *message = network->messages; message != NULL; message = message->next) {
        unheard += is_unheard(message, connection);
    }
    /* Nothing was sent before somebody accepted the connection; nothing comes behind what is missing. */
    bool is_late = unheard > 0 && connection->to_incarnation != 0 && random_below(&network->random, 2) == 0;
    uint64_t kept = is_late ? 1 + random_below(&network->random, unheard) : 0;
    for (struct sim_message *message = network->messages; message != NULL; message = message->next) {
        if (!is_unheard(message, connection)) {
            continue;
        }
        message->is_lost = kept == 0;
        kept -= kept > 0;
        if (!message->is_lost && message->event != NULL) {
            sim_cancel(network->sim, message->event);
            int64_t *last_ms = &connection->arrival_ms[0];
            *last_ms = MAX(*last_ms, sim_now_ms(network->sim)) + (int64_t)random_below(&network->random, LATE_MS_MAX);
            message_schedule(message);
        }
    }
}

/* Another connection between the same two came after this one, and was heard before it. */
static bool is_overtaken(const struct sim_connection *connection) {
    for (const struct sim_connection *at = connection->network->connections; at != connection; at = at->next) {
        if (at->from == connection->from && at->to == connection->to && at->channel == connection->channel &&
            at->from_incarnation == connection->from_incarnation && at->to_incarnation != 0) {
            return true;
        }
    }
    return false;
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
    if (message->is_lost) {
        /* See abort_sending. */
    } else if (!message->is_answer && call == NULL) {
        sim_connection_break_server(connection);
    } else if (!message->is_answer) {
        connection->network->late_count += connection->is_aborted && is_overtaken(connection);
        sim_call_request_arrived(connection, call); /* also when its sender has given up meanwhile */
    } else if (connection->is_broken) {
        /* Nobody there any more. */
    } else if (call == NULL) {
        sim_connection_break_client(connection, NULL, 0);
    } else {
        sim_call_answer_arrived(connection, call);
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
    abort_sending(connection);
    sim_connection_break_client(connection, call, ERR_TIMED_OUT);
    sim_message_send(connection, NULL, false);
    sim_connection_unref(connection);
}

/* See sim_network_strand. */
static void strand(struct sim_connection *connection) {
    struct sim_network *network = connection->network;
    struct sim_message *message = CONTAINER_OF(network->messages_end, struct sim_message, next); /* the last one */
    sim_cancel(network->sim, message->event);
    connection->arrival_ms[0] += STRANDED_MS_MIN + (int64_t)random_below(&network->random, STRANDED_MS_MAX);
    message_schedule(message);
    connection->is_stranded = true;
    connection->references++;
    abort_sending(connection);
    sim_connection_break_client(connection, NULL, 0);
    sim_message_send(connection, NULL, false);
    sim_connection_unref(connection);
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
    sim_message_send(connection, call, false);
    bool *strands = &network->links[connection->from][connection->to].strands;
    if (*strands && request->channel == CHANNEL_CONTROL && connection->to_incarnation != 0) {
        *strands = false;
        strand(connection);
    }
}

static void transport_sim_disconnect(struct transport *base, int32_t broker_id, enum transport_channel channel) {
    struct sim_transport *transport = CONTAINER_OF(base, struct sim_transport, transport);
    struct sim_connection *connection =
        connection_find(transport->network, transport->node, broker_id, (int32_t)channel);
    if (connection != NULL) {
        connection->references++;
        abort_sending(connection);
        sim_connection_break_client(connection, NULL, 0);
        sim_message_send(connection, NULL, false);
        sim_connection_unref(connection);
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

void sim_network_observe(struct sim_network *network, sim_exchange_observer *on_request,
                         sim_exchange_observer *on_answer, void *context) {
    network->on_request = on_request;
    network->on_answer = on_answer;
    network->observer_context = context;
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
        sim_call_settle(call);
        if (next != NULL) {
            next->references--;
        }
    }
    sim_connection_unref(connection);
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
                sim_message_send(at, NULL, false);
            }
            at->is_broken = true;
            forget_end(at, false, true);
        } else if (at->to == node && at->to_incarnation == incarnation) {
            if (!at->is_broken) {
                sim_message_send(at, NULL, true);
            }
            forget_end(at, true, false);
        }
        next = at->next;
        sim_connection_unref(at);
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
    /* What is still under way comes after what was held back. */
    for (struct sim_message *message = network->messages; message != NULL; message = message->next) {
        if (link_of(message) == &network->links[from][to]) {
            if (message->event != NULL) {
                sim_cancel(network->sim, message->event);
            }
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
            abort_sending(at);
            sim_message_send(at, NULL, false);
            sim_connection_break_client(at, NULL, 0);
        }
        next = at->next;
        sim_connection_unref(at);
    }
}

void sim_network_strand(struct sim_network *network, int32_t from, int32_t to) {
    network->links[from][to].strands = true;
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

int64_t sim_network_late(const struct sim_network *network) {
    return network->late_count;
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
        sim_connection_unref(connection);
    }
    free(network);
}
