/* Making a connection to another broker: its names, looked up on a worker, and its addresses, tried in turn. */
#include <ev.h>
#include <netdb.h>
#include <sys/socket.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/repeat.h"
#include "broker/base/trace.h"
#include "broker/network/peer_internal.h"

#define AREA "kafka.network.SocketServer"

static void connect_failed(struct peer *peer);

static void tell_unreached(struct peer *peer, int reason, const char *what) {
    struct peers *peers = peer->peers;
    int64_t untold;
    char text[REPEAT_TEXT_SIZE];
    if (reach_tell_failure(&peers->reach, peer->broker_id, peer->channel, reason, clock_now_ms(peers->clock),
                           &untold)) {
        trace_info(AREA, "Connection to node %d (%s:%d) could not be established%s%s", peer->broker_id, peer->host,
                   peer->port, what, repeat_text(untold, text));
    }
}

static void on_connect_timer(struct timer *timer) {
    struct peer *peer = CONTAINER_OF(timer, struct peer, connect_timer);
    tell_unreached(peer, ERR_TIMED_OUT, " in time");
    connect_failed(peer);
}

/* Tries the addresses in turn, each once. One that drops what it is sent is given up after a while: the kernel would
 * try on for two minutes, longer than any request waits. */
static void connect_next(struct peer *peer) {
    struct peers *peers = peer->peers;
    while (peer->untried_count > 0) {
        const struct addrinfo *address = peer->address;
        peer->address = address->ai_next != NULL ? address->ai_next : peer->addresses;
        peer->untried_count--;
        peer->descriptor = reach_connect(address, peers->config.socket_receive_buffer_bytes);
        if (peer->descriptor < 0) {
            reach_note_failure(&peers->reach, peer->broker_id, peer->channel);
            continue;
        }
        peer_watch(peer);
        if (peers->config.connection_setup_timeout_ms > 0) {
            timer_start(peers->clock, &peer->connect_timer,
                        reach_timeout_ms(&peers->reach, peer->broker_id, peer->channel,
                                         peers->config.connection_setup_timeout_ms,
                                         peers->config.connection_setup_timeout_max_ms),
                        on_connect_timer);
        }
        return;
    }
    tell_unreached(peer, ERR_DISCONNECTED, "");
    peer_fail(peer, ERR_DISCONNECTED, NULL);
}

static void connect_failed(struct peer *peer) {
    reach_note_failure(&peer->peers->reach, peer->broker_id, peer->channel);
    peer_close_socket(peer);
    connect_next(peer);
}

/* Begins with the address after those that failed before; a request's time may be over before all have been tried. */
static void connect_first(struct peer *peer) {
    peer->state = PEER_CONNECTING;
    for (const struct addrinfo *info = peer->addresses; info != NULL; info = info->ai_next) {
        peer->untried_count++;
    }
    peer->address = peer->addresses;
    if (peer->untried_count > 0) {
        int32_t skip = reach_start(&peer->peers->reach, peer->broker_id, peer->channel) % peer->untried_count;
        for (; skip > 0; skip--) {
            peer->address = peer->address->ai_next;
        }
    }
    connect_next(peer);
}

/* On a worker: names may take the resolver's time. */
static void resolve(void *context) {
    struct peer *peer = context;
    peer->addresses = reach_lookup(peer->host, peer->port, AI_ADDRCONFIG);
    if (peer->addresses == NULL) {
        peer->addresses = reach_lookup(peer->host, peer->port, 0);
    }
}

static void on_resolved(void *context) {
    struct peer *peer = context;
    if (peer->state == PEER_CLOSED) {
        if (peer->addresses != NULL) {
            freeaddrinfo(peer->addresses);
        }
    } else {
        connect_first(peer);
    }
    peer_unref(peer);
}

void peer_take_connect_result(struct peer *peer) {
    struct ev_loop *ev = loop_ev(peer->peers->loop);
    int error = 0;
    socklen_t size = sizeof error;
    ev_io_stop(ev, &peer->write_watcher);
    if (getsockopt(peer->descriptor, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
        connect_failed(peer);
    } else {
        timer_stop(peer->peers->clock, &peer->connect_timer);
        if (reach_note_success(&peer->peers->reach, peer->broker_id, peer->channel)) {
            trace_info(AREA, "Connection to node %d (%s:%d) is established again", peer->broker_id, peer->host,
                       peer->port);
        }
        peer->state = PEER_CONNECTED;
        freeaddrinfo(peer->addresses);
        peer->addresses = NULL;
        ev_io_start(ev, &peer->read_watcher);
    }
}

void peer_start(struct peer *peer) {
    peer->addresses = reach_lookup(peer->host, peer->port, AI_NUMERICHOST);
    if (peer->addresses != NULL) {
        connect_first(peer);
        return;
    }
    peer->state = PEER_RESOLVING;
    peer->references++;
    clock_spawn(peer->peers->clock, resolve, on_resolved, peer);
}
