/* Connections to other brokers. A request is one allocation that is kept for the next; answers are read into pooled
 * buffers. Whatever ends without an answer is delivered by a posted task, so that no callback runs inside a send. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <utlist.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/network/peer_internal.h"
#include "broker/protocol/header.h"

#define AREA "kafka.network.SocketServer"
#define PEER_READ_BYTES ((size_t)64 * 1024)
#define PEER_READS_MAX 8
/* Request records kept for reuse, each with a buffer of at most so many bytes. */
#define CALL_POOL_MAX 64
#define CALL_KEEP_MAX_BYTES ((size_t)256 * 1024)

void peer_unref(struct peer *peer) {
    if (--peer->references > 0) {
        return;
    }
    CHECK(peer->state == PEER_CLOSED);
    peer->peers->references--;
    free(peer->host);
    free(peer);
}

static struct call *call_take(struct peers *peers, size_t size) {
    struct call *call = peers->free_calls;
    if (call != NULL) {
        LL_DELETE(peers->free_calls, call);
        peers->free_call_count--;
    } else {
        call = xcalloc(1, sizeof *call);
    }
    if (call->frame_capacity < size) {
        free(call->frame);
        call->frame = xmalloc(size);
        call->frame_capacity = size;
    }
    call->frame_size = size;
    call->error = 0;
    peers->calls_alive++;
    return call;
}

static void call_release(struct peers *peers, struct call *call) {
    peers->calls_alive--;
    if (peers->free_call_count >= CALL_POOL_MAX || call->frame_capacity > CALL_KEEP_MAX_BYTES) {
        free(call->frame);
        free(call);
        return;
    }
    LL_PREPEND(peers->free_calls, call);
    peers->free_call_count++;
}

static void deliver_ended(void *context) {
    struct peers *peers = context;
    peers->is_posted = false;
    struct call *list = peers->ended;
    peers->ended = NULL;
    while (list != NULL) {
        struct call *call = list;
        DL_DELETE(list, call);
        transport_answer *on_answer = call->on_answer;
        void *owner = call->context;
        int error = call->error;
        call_release(peers, call);
        on_answer(owner, error, NULL, 0);
    }
}

static void call_end(struct peers *peers, struct call *call, int error) {
    call->error = error;
    DL_APPEND(peers->ended, call);
    if (!peers->is_posted) {
        peers->is_posted = true;
        clock_post(peers->clock, deliver_ended, peers);
    }
}

static void on_peer_timer(struct timer *timer) {
    struct peer *peer = CONTAINER_OF(timer, struct peer, timer);
    int64_t now_ms = clock_now_ms(peer->peers->clock);
    int64_t idle_max_ms = peer->peers->config.connections_max_idle_ms;
    int64_t wake_ms = INT64_MAX;
    struct call *call;
    DL_FOREACH(peer->calls, call) {
        if (call->deadline_ms <= now_ms) {
            trace_info(AREA, "Disconnecting from node %d: a request timed out (API key %d)", peer->broker_id,
                       call->api_key);
            peer_fail(peer, ERR_DISCONNECTED, call);
            return;
        }
        wake_ms = MIN(wake_ms, call->deadline_ms);
    }
    if (peer->calls == NULL && idle_max_ms > 0) {
        wake_ms = peer->last_active_ms + idle_max_ms;
        if (wake_ms <= now_ms) {
            peer_fail(peer, ERR_DISCONNECTED, NULL);
            return;
        }
    }
    if (wake_ms != INT64_MAX) {
        timer_start(peer->peers->clock, timer, wake_ms - now_ms, on_peer_timer);
    }
}

void peer_close_socket(struct peer *peer) {
    struct ev_loop *ev = loop_ev(peer->peers->loop);
    timer_stop(peer->peers->clock, &peer->connect_timer);
    if (peer->descriptor >= 0 && peer->calls != NULL) {
        /* What we gave up must not arrive behind what we send next: after a plain close the kernel goes on delivering
         * for minutes, and an UpdateMetadata has nothing in it that would tell that it is old. */
        const struct linger reset = {.l_onoff = 1, .l_linger = 0};
        setsockopt(peer->descriptor, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    if (peer->descriptor >= 0) {
        ev_io_stop(ev, &peer->read_watcher);
        ev_io_stop(ev, &peer->write_watcher);
        close(peer->descriptor);
        peer->descriptor = -1;
    }
}

void peer_fail(struct peer *peer, int error, struct call *timed_out) {
    struct peers *peers = peer->peers;
    if (peer->state == PEER_CLOSED) {
        return;
    }
    if (peer->state == PEER_CONNECTING && timed_out != NULL) {
        reach_note_failure(&peers->reach, peer->broker_id, peer->channel);
    }
    peer_close_socket(peer);
    timer_stop(peers->clock, &peer->timer);
    peer->partial = frame_buffer_unref(peer->partial);
    if (peer->state != PEER_RESOLVING && peer->addresses != NULL) {
        freeaddrinfo(peer->addresses);
        peer->addresses = NULL;
    }
    peer->state = PEER_CLOSED;
    DL_DELETE(peers->list, peer);
    while (peer->calls != NULL) {
        struct call *call = peer->calls;
        DL_DELETE(peer->calls, call);
        call_end(peers, call, call == timed_out ? ERR_TIMED_OUT : error);
    }
    peer_unref(peer);
}

/* Sends what the socket takes. */
static void peer_send(struct peer *peer) {
    struct ev_loop *ev = loop_ev(peer->peers->loop);
    while (peer->unsent != NULL) {
        struct call *call = peer->unsent;
        ssize_t sent = send(peer->descriptor, call->frame + peer->unsent_at, call->frame_size - peer->unsent_at,
                            MSG_NOSIGNAL | (call->next != NULL ? MSG_MORE : 0));
        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
            ev_io_start(ev, &peer->write_watcher);
            return;
        }
        if (sent < 0) {
            peer_fail(peer, ERR_DISCONNECTED, NULL);
            return;
        }
        peer->unsent_at += (size_t)sent;
        if (peer->unsent_at == call->frame_size) {
            peer->unsent = call->next;
            peer->unsent_at = 0;
        }
    }
    ev_io_stop(ev, &peer->write_watcher);
}

/* Hands one answer to whoever asked. False when the stream makes no sense. */
static bool take_answer(struct peer *peer, const uint8_t *bytes, size_t size) {
    struct peers *peers = peer->peers;
    struct call *call = peer->calls;
    if (call == NULL || call == peer->unsent) {
        return false;
    }
    struct reader r = reader_of(bytes, size);
    int32_t correlation_id;
    if (response_header_decode(&r, call->api_key, call->api_version, &correlation_id) != 0 ||
        correlation_id != call->correlation_id) {
        return false;
    }
    DL_DELETE(peer->calls, call);
    peer->call_count--;
    transport_answer *on_answer = call->on_answer;
    void *owner = call->context;
    call_release(peers, call);
    on_answer(owner, 0, r.at, reader_left(&r));
    return true;
}

static bool take_up(struct peer *peer, const uint8_t *data, size_t size) {
    while (size > 0 && peer->state == PEER_CONNECTED) {
        struct frame_part part;
        int64_t taken = frame_feed(&peer->reader, data, size, &part);
        if (taken < 0) {
            return false;
        }
        data += taken;
        size -= (size_t)taken;
        if (part.is_first && part.is_last) {
            if (!take_answer(peer, part.bytes.data, (size_t)part.bytes.size)) {
                return false;
            }
            continue;
        }
        if (part.is_first) {
            peer->partial = frame_buffer_take(&peer->peers->pool, (size_t)peer->reader.size);
        }
        if (peer->partial == NULL) {
            continue; /* still inside the length */
        }
        uint8_t *to = peer->partial->data + part.offset;
        if (part.bytes.size > 0 && to != part.bytes.data) {
            memcpy(to, part.bytes.data, (size_t)part.bytes.size);
        }
        if (part.is_last) {
            struct frame_buffer *whole = peer->partial;
            peer->partial = NULL;
            bool is_good = take_answer(peer, whole->data, (size_t)part.offset + (size_t)part.bytes.size);
            frame_buffer_unref(whole);
            if (!is_good) {
                return false;
            }
        }
    }
    return true;
}

/* Reads once; false when there is nothing more for now. */
static bool read_once(struct peer *peer) {
    struct peers *peers = peer->peers;
    struct frame_buffer *buffer = frame_buffer_ref(peer->partial != NULL ? peer->partial : peers->read_buffer);
    uint8_t *to = peer->partial != NULL ? buffer->data + peer->reader.filled : buffer->data;
    size_t room = peer->partial != NULL ? (size_t)frame_left(&peer->reader) : buffer->capacity;
    ssize_t count = recv(peer->descriptor, to, room, 0);
    bool is_more = count > 0;
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) {
        peer_fail(peer, ERR_DISCONNECTED, NULL);
    } else if (count > 0) {
        peer->last_active_ms = clock_now_ms(peers->clock);
        if (!take_up(peer, to, (size_t)count)) {
            trace_warn(AREA, "Disconnecting from node %d: its answer makes no sense", peer->broker_id);
            peer_fail(peer, ERR_DISCONNECTED, NULL);
            is_more = false;
        } else {
            is_more = (size_t)count == room || peer->partial != NULL;
        }
    }
    frame_buffer_unref(buffer);
    return is_more;
}

static void on_peer_readable(struct ev_loop *ev, ev_io *watcher, int events) {
    (void)ev;
    (void)events;
    struct peer *peer = CONTAINER_OF(watcher, struct peer, read_watcher);
    peer->references++;
    for (int i = 0; i < PEER_READS_MAX && peer->state == PEER_CONNECTED; i++) {
        if (!read_once(peer)) {
            break;
        }
    }
    if (peer->state == PEER_CONNECTED && peer->calls == NULL) {
        on_peer_timer(&peer->timer);
    }
    peer_unref(peer);
}

static void on_peer_writable(struct ev_loop *ev, ev_io *watcher, int events) {
    (void)ev;
    (void)events;
    struct peer *peer = CONTAINER_OF(watcher, struct peer, write_watcher);
    peer->references++;
    if (peer->state == PEER_CONNECTING) {
        peer_take_connect_result(peer);
    }
    if (peer->state == PEER_CONNECTED) {
        peer_send(peer);
    }
    peer_unref(peer);
}

void peer_watch(struct peer *peer) {
    ev_io_init(&peer->read_watcher, on_peer_readable, peer->descriptor, EV_READ);
    ev_io_init(&peer->write_watcher, on_peer_writable, peer->descriptor, EV_WRITE);
    ev_io_start(loop_ev(peer->peers->loop), &peer->write_watcher);
}

static struct peer *peer_open(struct peers *peers, const struct transport_request *request) {
    struct peer *peer = xcalloc(1, sizeof *peer);
    peer->peers = peers;
    peer->broker_id = request->broker_id;
    peer->channel = request->channel;
    peer->host = xstrdup(request->host);
    peer->port = request->port;
    peer->descriptor = -1;
    peer->references = 1;
    peers->references++;
    frame_reader_init(&peer->reader, PEER_ANSWER_MAX_BYTES);
    DL_APPEND(peers->list, peer);
    return peer;
}

static struct peer *peer_find(struct peers *peers, int32_t broker_id, enum transport_channel channel) {
    struct peer *peer;
    DL_FOREACH(peers->list, peer) {
        if (peer->broker_id == broker_id && peer->channel == channel) {
            return peer;
        }
    }
    return NULL;
}

/* The whole frame: size, header, body. */
static struct call *make_call(struct peers *peers, const struct transport_request *request, int32_t correlation_id) {
    struct request_header header = {
        .api_key = request->api_key,
        .api_version = request->api_version,
        .correlation_id = correlation_id,
        .client_id = str_from(request->client_id),
    };
    size_t header_size = request_header_encoded_size(&header);
    size_t size = FRAME_PREFIX_BYTES + header_size + request->body_size;
    CHECK(size <= INT32_MAX);
    struct call *call = call_take(peers, size);
    struct encoder e = encoder_of(call->frame, size);
    writer_i32(&e.w, (int32_t)(size - FRAME_PREFIX_BYTES));
    request_header_encode(&header, &e);
    writer_bytes(&e.w, request->body, request->body_size);
    CHECK(!e.w.failed && writer_size(&e.w) == size);
    call->on_answer = request->on_answer;
    call->context = request->context;
    call->api_key = request->api_key;
    call->api_version = request->api_version;
    call->correlation_id = correlation_id;
    call->deadline_ms = clock_now_ms(peers->clock) + request->timeout_ms;
    return call;
}

static void peers_send(struct transport *transport, const struct transport_request *request) {
    struct peers *peers = CONTAINER_OF(transport, struct peers, transport);
    if (peers->is_closed) {
        call_end(peers, make_call(peers, request, 0), ERR_CLOSING);
        return;
    }
    struct peer *peer = peer_find(peers, request->broker_id, request->channel);
    if (peer != NULL && (peer->port != request->port || strcmp(peer->host, request->host) != 0)) {
        peer_fail(peer, ERR_DISCONNECTED, NULL);
        peer = NULL;
    }
    bool is_new = peer == NULL;
    if (is_new) {
        peer = peer_open(peers, request);
    }
    struct call *call = make_call(peers, request, peer->next_correlation_id);
    if (peer->call_count >= PEER_IN_FLIGHT_MAX) {
        call_end(peers, call, ERR_TOO_LARGE);
        return;
    }
    peer->next_correlation_id = peer->next_correlation_id == INT32_MAX ? 0 : peer->next_correlation_id + 1;
    DL_APPEND(peer->calls, call);
    peer->call_count++;
    peer->last_active_ms = clock_now_ms(peers->clock);
    if (!timer_is_running(&peer->timer) || call->deadline_ms < peer->timer.deadline_ms) {
        timer_start(peers->clock, &peer->timer, request->timeout_ms, on_peer_timer);
    }
    if (peer->unsent == NULL) {
        peer->unsent = call;
        peer->unsent_at = 0;
    }
    if (is_new) {
        peer_start(peer);
    } else if (peer->state == PEER_CONNECTED && peer->unsent == call) {
        peer_send(peer);
    }
}

static void peers_disconnect(struct transport *transport, int32_t broker_id, enum transport_channel channel) {
    struct peers *peers = CONTAINER_OF(transport, struct peers, transport);
    struct peer *peer = peer_find(peers, broker_id, channel);
    if (peer != NULL) {
        peer_fail(peer, ERR_DISCONNECTED, NULL);
    }
}

static const struct transport_ops peers_ops = {.send = peers_send, .disconnect = peers_disconnect};

struct peers *peers_create(struct loop *loop, const struct peers_config *config) {
    struct peers *peers = xcalloc(1, sizeof *peers);
    peers->transport.ops = &peers_ops;
    peers->loop = loop;
    peers->clock = loop_clock(loop);
    peers->config = *config;
    peers->read_buffer = frame_buffer_take(&peers->pool, PEER_READ_BYTES);
    return peers;
}

struct transport *peers_transport(struct peers *peers) {
    return &peers->transport;
}

void peers_close(struct peers *peers) {
    peers->is_closed = true;
    while (peers->list != NULL) {
        peer_fail(peers->list, ERR_CLOSING, NULL);
    }
}

bool peers_is_idle(const struct peers *peers) {
    return peers->calls_alive == 0 && peers->references == 0 && !peers->is_posted;
}

void peers_destroy(struct peers *peers) {
    if (peers == NULL) {
        return;
    }
    CHECK(peers_is_idle(peers));
    while (peers->free_calls != NULL) {
        struct call *call = peers->free_calls;
        LL_DELETE(peers->free_calls, call);
        free(call->frame);
        free(call);
    }
    reach_deinit(&peers->reach);
    frame_buffer_unref(peers->read_buffer);
    frame_pool_deinit(&peers->pool);
    free(peers);
}
