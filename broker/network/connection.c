/* The way in of a connection, and its life. Output is connection_output.c. */
#include "broker/network/connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "broker/base/clock.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/network/connection_output.h"

#define AREA "kafka.network.SocketServer"

static void exchange_answered(struct exchange *exchange, const struct answer *answer);
static void exchange_silent(struct exchange *exchange);
static void exchange_closing(struct exchange *exchange);
static void exchange_of_broker(struct exchange *exchange);
static void take_up(struct connection *connection, struct frame_buffer *buffer, size_t at, size_t end);

static const struct exchange_ops exchange_ops = {
    .answer = exchange_answered,
    .answer_nothing = exchange_silent,
    .close = exchange_closing,
    .is_of_broker = exchange_of_broker,
};

static void connection_unref(struct connection *connection) {
    if (--connection->references == 0 && connection->is_closed) {
        free(connection);
    }
}

static struct connection_exchange *exchange_take(struct connection *connection) {
    struct network *network = connection->network;
    struct connection_exchange *e = network->free_exchanges;
    if (e != NULL) {
        network->free_exchanges = e->next;
        network->free_exchange_count--;
    } else {
        e = xmalloc(sizeof *e);
    }
    memset(e, 0, offsetof(struct connection_exchange, small));
    e->connection = connection;
    e->exchange.ops = &exchange_ops;
    e->exchange.client_host = str_from(connection->host);
    e->exchange.listener = connection->listener->index;
    e->exchange.connection = connection->number;
    e->exchange.is_privileged = connection->listener->is_privileged;
    connection->references++;
    connection->in_flight++;
    if (connection->last != NULL) {
        connection->last->next = e;
    } else {
        connection->first = e;
    }
    connection->last = e;
    return e;
}

void connection_exchange_release(struct connection_exchange *e) {
    struct connection *connection = e->connection;
    struct network *network = connection->network;
    e->buffer = frame_buffer_unref(e->buffer);
    if (network->free_exchange_count < EXCHANGE_POOL_MAX) {
        e->next = network->free_exchanges;
        network->free_exchanges = e;
        network->free_exchange_count++;
    } else {
        free(e);
    }
    network_on_memory_freed(network);
    connection_unref(connection);
}

/* Whether the next frame that is here may be handed out. */
static bool may_deliver(const struct connection *connection) {
    return !connection->is_ending && !connection->is_closed && connection->in_flight < CONNECTION_IN_FLIGHT_MAX &&
           connection->in_flight_bytes < CONNECTION_IN_FLIGHT_MAX_BYTES &&
           connection->output_bytes < CONNECTION_OUTPUT_MAX_BYTES;
}

/* Memory that waiting produces hold is given back by what brokers send next: those are read at the bound too. Where
 * they have a listener of their own, that tells them; where clients share it, what a connection has sent does. A client
 * that claims to be a replica is believed, as on a listener of the brokers' own. */
static bool may_read(const struct connection *connection) {
    const struct listener *listener = connection->listener;
    if (!may_deliver(connection)) {
        return false;
    }
    if (connection->is_broker || (listener->is_privileged && connection->network->has_client_listener)) {
        return true;
    }
    return network_has_memory(connection->network, connection->partial != NULL) ||
           (listener->is_privileged && connection->received_bytes < CONNECTION_FIRST_BYTES);
}

/* Takes up what was left over while too much was in flight. A posted task, because the answer that made room may come
 * from inside another request's handler. */
static void resume(void *context) {
    struct connection *connection = context;
    connection->is_resume_posted = false;
    if (!connection->is_closed && connection->unparsed != NULL) {
        struct frame_buffer *buffer = connection->unparsed;
        connection->unparsed = NULL;
        take_up(connection, buffer, connection->unparsed_at, connection->unparsed_end);
        frame_buffer_unref(buffer);
        network_on_memory_freed(connection->network);
    }
    connection_unref(connection);
}

void connection_update_reading(struct connection *connection) {
    struct ev_loop *ev = loop_ev(connection->network->loop);
    bool is_wanted = may_read(connection);
    if (connection->unparsed != NULL && may_deliver(connection)) {
        if (!connection->is_resume_posted) {
            connection->is_resume_posted = true;
            connection->references++;
            clock_post(connection->network->clock, resume, connection);
        }
        is_wanted = false;
    }
    if (is_wanted == connection->is_reading || connection->is_closed) {
        return;
    }
    connection->is_reading = is_wanted;
    if (is_wanted) {
        ev_io_start(ev, &connection->read_watcher);
    } else {
        ev_io_stop(ev, &connection->read_watcher);
    }
}

/* After answers were given: out with them, unless more are about to be given in this very callback. */
static void flush(struct connection *connection) {
    if (connection->is_closed || connection->is_in_callback) {
        return;
    }
    if (!connection_flush(connection) || (connection->is_ending && connection->first == NULL)) {
        connection_close(connection);
        return;
    }
    connection_update_reading(connection);
}

/* The exchange is over for its server. On a closed connection nothing waits for it in order any more. */
static bool end_exchange(struct connection_exchange *e, enum exchange_state state) {
    CHECK(e->state == EXCHANGE_WAITING);
    struct connection *connection = e->connection;
    connection->in_flight--;
    connection->in_flight_bytes -= e->frame_bytes;
    if (connection->is_closed) {
        connection_exchange_release(e);
        return false;
    }
    e->state = state;
    return true;
}

static void exchange_answered(struct exchange *exchange, const struct answer *answer) {
    struct connection_exchange *e = CONTAINER_OF(exchange, struct connection_exchange, exchange);
    struct connection *connection = e->connection;
    if (!end_exchange(e, EXCHANGE_ANSWERED)) {
        answer_drop(answer, 0);
        return;
    }
    e->answer = *answer;
    e->buffer = frame_buffer_unref(e->buffer);
    network_on_memory_freed(connection->network);
    connection->output_bytes += answer_total_bytes(answer);
    flush(connection);
}

static void exchange_silent(struct exchange *exchange) {
    struct connection_exchange *e = CONTAINER_OF(exchange, struct connection_exchange, exchange);
    if (end_exchange(e, EXCHANGE_SILENT)) {
        flush(e->connection);
    }
}

static void exchange_closing(struct exchange *exchange) {
    struct connection_exchange *e = CONTAINER_OF(exchange, struct connection_exchange, exchange);
    if (end_exchange(e, EXCHANGE_CLOSING)) {
        e->connection->is_ending = true;
        flush(e->connection);
    }
}

/* What follows from it is seen to when frames have been handed out. */
static void exchange_of_broker(struct exchange *exchange) {
    CONTAINER_OF(exchange, struct connection_exchange, exchange)->connection->is_broker = true;
}

static void deliver(struct connection *connection, struct frame_buffer *buffer, const uint8_t *bytes, size_t size) {
    struct connection_exchange *e = exchange_take(connection);
    uint8_t *frame;
    e->frame_bytes = (int64_t)size;
    connection->in_flight_bytes += e->frame_bytes;
    if (size <= CONNECTION_SMALL_FRAME_BYTES) {
        memcpy(e->small, bytes, size);
        frame = e->small;
    } else {
        e->buffer = frame_buffer_ref(buffer);
        frame = buffer->data + (bytes - buffer->data);
    }
    const struct network_config *config = &connection->network->config;
    config->on_frame(config->context, &e->exchange, frame, size);
}

static void refuse_frame(struct connection *connection, int64_t error) {
    trace_warn(AREA, "Closing connection of %s: %s", connection->host,
               error == ERR_TOO_LARGE ? "a frame larger than socket.request.max.bytes" : "a malformed frame size");
    connection->is_ending = true;
}

/* Hands out the frames in buffer[at, end). The caller keeps its reference. */
static void take_up(struct connection *connection, struct frame_buffer *buffer, size_t at, size_t end) {
    connection->references++;
    connection->is_in_callback = true;
    while (at < end && may_deliver(connection)) {
        struct frame_part part;
        int64_t taken = frame_feed(&connection->reader, buffer->data + at, end - at, &part);
        if (taken < 0) {
            refuse_frame(connection, taken);
            break;
        }
        at += (size_t)taken;
        if (part.is_first && part.is_last) {
            deliver(connection, buffer, part.bytes.data, (size_t)part.bytes.size);
            continue;
        }
        if (part.is_first) {
            connection->partial = frame_buffer_take(&connection->network->pool, (size_t)connection->reader.size);
            connection->partial_since_ms = clock_now_ms(connection->network->clock);
        }
        if (connection->partial == NULL) {
            continue; /* still inside the size */
        }
        uint8_t *to = connection->partial->data + part.offset;
        if (part.bytes.size > 0 && part.bytes.data != to) {
            memcpy(to, part.bytes.data, (size_t)part.bytes.size);
        }
        frame_buffer_charge(connection->partial, (size_t)part.offset + (size_t)part.bytes.size);
        if (part.is_last) {
            struct frame_buffer *whole = connection->partial;
            connection->partial = NULL;
            deliver(connection, whole, whole->data, (size_t)part.offset + (size_t)part.bytes.size);
            frame_buffer_unref(whole);
        }
    }
    connection->is_in_callback = false;
    if (!connection->is_closed) {
        if (at < end && !connection->is_ending) {
            connection->unparsed = frame_buffer_ref(buffer);
            connection->unparsed_at = at;
            connection->unparsed_end = end;
        }
        flush(connection);
    }
    connection_unref(connection);
}

/* The shared read buffer, with room to read into. */
static struct frame_buffer *read_buffer(struct network *network) {
    struct frame_buffer *buffer = network->read_buffer;
    if (buffer != NULL && buffer->references == 1) {
        buffer->filled = 0;
    }
    if (buffer == NULL || buffer->capacity - buffer->filled < CONNECTION_READ_ROOM_MIN) {
        frame_buffer_unref(buffer);
        buffer = frame_buffer_take(&network->pool, CONNECTION_READ_BYTES);
        frame_buffer_charge(buffer, buffer->capacity);
        network->read_buffer = buffer;
    }
    return buffer;
}

/* Reads once. False when nothing more can be read for now. */
static bool read_once(struct connection *connection) {
    struct frame_buffer *partial = connection->partial;
    uint8_t *to;
    size_t room;
    struct frame_buffer *buffer = NULL;
    if (partial != NULL) {
        to = partial->data + connection->reader.filled;
        room = (size_t)frame_left(&connection->reader);
    } else {
        buffer = read_buffer(connection->network);
        to = buffer->data + buffer->filled;
        room = buffer->capacity - buffer->filled;
    }
    if (connection->received_bytes < CONNECTION_FIRST_BYTES) {
        room = MIN(room, (size_t)(CONNECTION_FIRST_BYTES - connection->received_bytes));
    }
    ssize_t count = recv(connection->descriptor, to, room, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (count <= 0) {
        connection_close(connection);
        return false;
    }
    connection->received_bytes += count;
    network_touch(connection->network, connection);
    bool is_more_likely = (size_t)count == room;
    if (partial != NULL) {
        frame_buffer_ref(partial);
        size_t at = (size_t)connection->reader.filled;
        take_up(connection, partial, at, at + (size_t)count);
        frame_buffer_unref(partial);
        return true;
    }
    size_t at = buffer->filled;
    buffer->filled += (size_t)count;
    frame_buffer_ref(buffer);
    take_up(connection, buffer, at, buffer->filled);
    frame_buffer_unref(buffer);
    return is_more_likely || connection->partial != NULL;
}

static void on_readable(struct ev_loop *ev, ev_io *watcher, int events) {
    (void)ev;
    (void)events;
    struct connection *connection = CONTAINER_OF(watcher, struct connection, read_watcher);
    connection->references++;
    connection->is_being_read = true;
    connection_update_reading(connection); /* memory may have become short since */
    for (int i = 0; i < CONNECTION_READS_MAX && connection->is_reading && !connection->is_closed; i++) {
        if (!read_once(connection)) {
            break;
        }
    }
    connection->is_being_read = false;
    network_on_memory_freed(connection->network);
    connection_unref(connection);
}

static void on_writable(struct ev_loop *ev, ev_io *watcher, int events) {
    (void)ev;
    (void)events;
    flush(CONTAINER_OF(watcher, struct connection, write_watcher));
}

struct connection *connection_open(struct listener *listener, int descriptor, const char *host,
                                   struct address_count *address) {
    struct network *network = listener->network;
    struct connection *connection = xcalloc(1, sizeof *connection);
    connection->network = network;
    connection->number = network->accepted_count + 1;
    connection->listener = listener;
    connection->descriptor = descriptor;
    connection->address = address;
    snprintf(connection->host, sizeof connection->host, "%s", host);
    frame_reader_init(&connection->reader, network->config.socket_request_max_bytes);
    ev_io_init(&connection->read_watcher, on_readable, descriptor, EV_READ);
    ev_io_init(&connection->write_watcher, on_writable, descriptor, EV_WRITE);
    connection_update_reading(connection);
    return connection;
}

/* Tells the servers of what still waits; they may answer at once, which changes the list. */
static void abandon_waiting(struct connection *connection) {
    for (;;) {
        struct connection_exchange *e = connection->first;
        if (e == NULL) {
            return;
        }
        connection->first = e->next;
        if (e->state == EXCHANGE_WAITING) {
            e->exchange.is_abandoned = true;
            if (e->exchange.on_abandoned != NULL) {
                e->exchange.on_abandoned(&e->exchange);
            }
            continue;
        }
        if (e->state == EXCHANGE_ANSWERED) {
            answer_drop(&e->answer, e->splice_index);
        }
        connection_exchange_release(e);
    }
}

void connection_close(struct connection *connection) {
    if (connection->is_closed) {
        return;
    }
    struct ev_loop *ev = loop_ev(connection->network->loop);
    connection->references++;
    connection->is_closed = true;
    connection->is_reading = false;
    ev_io_stop(ev, &connection->read_watcher);
    ev_io_stop(ev, &connection->write_watcher);
    close(connection->descriptor);
    connection->descriptor = -1;
    connection->partial = frame_buffer_unref(connection->partial);
    connection->unparsed = frame_buffer_unref(connection->unparsed);
    abandon_waiting(connection);
    connection->last = NULL;
    network_on_connection_closed(connection->network, connection);
    connection_unref(connection);
}
