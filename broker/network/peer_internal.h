/* A connection to another broker, shared by what carries requests over it (peer.c) and what makes it (peer_connect.c).
 */
#ifndef OTTLA_NETWORK_PEER_INTERNAL_H
#define OTTLA_NETWORK_PEER_INTERNAL_H

#include <ev.h>
#include <netdb.h>
#include <stdbool.h>

#include "broker/network/frame_pool.h"
#include "broker/network/peer.h"
#include "broker/network/reach.h"
#include "broker/protocol/frame.h"

/* One request under way. */
struct call {
    struct call *next;
    struct call *prev;
    transport_answer *on_answer;
    void *context;
    int64_t deadline_ms;
    int32_t correlation_id;
    int16_t api_key;
    int16_t api_version;
    int error; /* once ended without an answer */
    uint8_t *frame;
    size_t frame_size;
    size_t frame_capacity;
};

enum peer_state { PEER_RESOLVING, PEER_CONNECTING, PEER_CONNECTED, PEER_CLOSED };

struct peer {
    struct peer *next;
    struct peer *prev;
    struct peers *peers;
    int32_t broker_id;
    enum transport_channel channel;
    char *host;
    int32_t port;
    enum peer_state state;
    struct addrinfo *addresses;
    struct addrinfo *address;   /* the next one to try */
    int32_t untried_count;      /* of the addresses */
    int descriptor;             /* -1: none */
    struct timer connect_timer; /* while an attempt lasts */
    ev_io read_watcher;
    ev_io write_watcher;
    struct timer timer; /* next deadline of a call, or idleness */
    struct call *calls; /* utlist, oldest first */
    struct call *unsent;
    size_t unsent_at; /* bytes of `unsent` that are out */
    int32_t call_count;
    int32_t next_correlation_id;
    int64_t last_active_ms;
    struct frame_reader reader;
    struct frame_buffer *partial;
    int32_t references;
};

struct peers {
    struct transport transport;
    struct loop *loop;
    struct clock *clock;
    struct peers_config config;
    struct peer *list; /* a handful: brokers times channels */
    struct call *ended;
    struct call *free_calls;
    int32_t free_call_count;
    struct reach reach;
    struct frame_pool pool;
    struct frame_buffer *read_buffer;
    int32_t calls_alive;
    int32_t references; /* peers alive */
    bool is_posted;
    bool is_closed;
};

/* ---- peer.c ---- */

/* The end of a connection: every call ends in order, the one that timed out (NULL: none) with that. */
void peer_fail(struct peer *peer, int error, struct call *timed_out);
void peer_unref(struct peer *peer);
void peer_close_socket(struct peer *peer);
/* Watches a new socket: first for the end of its connecting. */
void peer_watch(struct peer *peer);

/* ---- peer_connect.c ---- */

/* Looks up the host and connects; the peer fails when none of its addresses answers. */
void peer_start(struct peer *peer);
/* The socket that was connecting is writable: connected, or on to the next address. */
void peer_take_connect_result(struct peer *peer);

#endif
