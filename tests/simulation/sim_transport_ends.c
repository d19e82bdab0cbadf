/* The two ends of a call in the simulated network: how a request is served, and how its sender hears of it. */
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/log/disk.h"
#include "broker/protocol/header.h"
#include "broker/request/dispatch.h"
#include "tests/simulation/sim_transport_internal.h"

/* ---- the sender's end ---- */

static void tell_sender(void *context) {
    struct sim_call *call = context;
    if (call->is_with_client) {
        call->is_with_client = false;
        call->on_answer(call->context, call->error, call->answer, call->answer_size);
    }
    sim_call_unref(call);
}

void sim_call_finish(struct sim_call *call, int error) {
    if (call->timeout != NULL) {
        sim_cancel(call->connection->network->sim, call->timeout);
        call->timeout = NULL;
    }
    if (!call->is_with_client || call->is_over) {
        return;
    }
    call->is_over = true;
    call->error = error;
    if (!sim_connection_client_lives(call->connection)) {
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
    sim_call_unref(call);
}

/* The server notices that its peer is gone. */
void sim_connection_break_server(struct sim_connection *connection) {
    struct clock *clock = connection->network->members[connection->to].clock;
    for (struct sim_call *call = connection->first; call != NULL; call = call->next) {
        if (call->is_with_server && sim_connection_server_lives(connection)) {
            call->references++;
            clock_post(clock, abandon, call);
        }
    }
}

/* The sender's end breaks; the first call may end with another error than the others. */
void sim_connection_break_client(struct sim_connection *connection, struct sim_call *blamed, int error) {
    connection->references++;
    connection->is_broken = true;
    struct sim_call *next = NULL;
    for (struct sim_call *call = connection->first; call != NULL; call = next) {
        next = call->next;
        if (next != NULL) {
            next->references++;
        }
        sim_call_finish(call, call == blamed ? error : ERR_DISCONNECTED);
        sim_call_settle(call);
        if (next != NULL) {
            next->references--;
        }
    }
    sim_connection_unref(connection);
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
            sim_message_send(connection, call, true);
        }
    }
    sim_connection_unref(connection);
}

static void end_exchange(struct sim_call *call) {
    CHECK(call->is_with_server);
    if (call->state == CALL_SERVED) {
        call->state = CALL_ANSWERED;
        flush(call->connection);
    }
    call->is_with_server = false;
    sim_call_settle(call);
}

static struct sim_exchange exchange_of(const struct sim_call *call) {
    struct reader r = reader_of(call->frame, call->frame_size);
    struct request_header header;
    CHECK(request_header_decode(&r, &header) == 0);
    return (struct sim_exchange){.from = call->connection->from,
                                 .to = call->connection->to,
                                 .api_key = call->api_key,
                                 .api_version = call->api_version,
                                 .request = {r.at, (int32_t)reader_left(&r)},
                                 .answer = SLICE_NULL};
}

static void observe_request(const struct sim_call *call) {
    const struct sim_network *network = call->connection->network;
    if (network->on_request != NULL) {
        const struct sim_exchange exchange = exchange_of(call);
        network->on_request(network->observer_context, &exchange);
    }
}

static void observe_answer(const struct sim_call *call) {
    const struct sim_network *network = call->connection->network;
    if (network->on_answer != NULL) {
        struct sim_exchange exchange = exchange_of(call);
        struct reader r = reader_of(call->answer + 4, call->answer_size - 4);
        int32_t correlation_id;
        CHECK(response_header_decode(&r, call->api_key, call->api_version, &correlation_id) == 0);
        exchange.answer = (struct slice){r.at, (int32_t)reader_left(&r)};
        network->on_answer(network->observer_context, &exchange);
    }
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
        observe_answer(call);
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
    static const struct exchange_ops ops = {
        .answer = exchange_answer, .answer_nothing = exchange_answer_nothing, .close = exchange_close};
    struct sim_call *call = context;
    struct sim_connection *connection = call->connection;
    struct dispatcher *dispatcher = connection->network->members[connection->to].dispatcher;
    if (dispatcher != NULL && call->state == CALL_TRAVELS) {
        call->state = CALL_SERVED;
        call->is_with_server = true;
        call->exchange.ops = &ops;
        call->exchange.client_host = STR_LITERAL("127.0.0.1");
        call->exchange.is_privileged = true;
        call->exchange.connection = connection->number;
        observe_request(call);
        dispatch_frame(dispatcher, &call->exchange, call->frame, call->frame_size);
    }
    sim_call_unref(call);
}

void sim_call_request_arrived(struct sim_connection *connection, struct sim_call *call) {
    struct sim_member *member = &connection->network->members[connection->to];
    if (connection->to_incarnation == 0 && member->clock != NULL && member->dispatcher != NULL) {
        connection->to_incarnation = member->incarnation; /* accepted */
        connection->number = ++connection->network->accepted_count;
    }
    if (!sim_connection_server_lives(connection) || member->dispatcher == NULL) {
        sim_message_send(connection, NULL, true); /* refused */
        return;
    }
    call->references++;
    clock_post(member->clock, serve, call);
}

void sim_call_answer_arrived(struct sim_connection *connection, struct sim_call *call) {
    if (call->closes) {
        sim_connection_break_client(connection, NULL, 0);
        sim_connection_break_server(connection);
        return;
    }
    if (!call->has_answer) {
        sim_call_finish(call, 0); /* acks=0: the sender needs to know that nothing will come */
        return;
    }
    struct reader r = reader_of(call->answer + 4, call->answer_size - 4);
    int32_t correlation_id;
    CHECK(response_header_decode(&r, call->api_key, call->api_version, &correlation_id) == 0);
    size_t left = reader_left(&r);
    memmove(call->answer, r.at, left);
    call->answer_size = left;
    sim_call_finish(call, 0);
}
