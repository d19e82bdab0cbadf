/* The real transport: one connection per (broker, channel), requests pipelined, answers matched in order.
 *
 * A connection is made by the first request and lives until it breaks, times out, idles out or its address changes;
 * whoever sends decides when to try again. */
#ifndef OTTLA_NETWORK_PEER_H
#define OTTLA_NETWORK_PEER_H

#include <stdbool.h>

#include "broker/network/loop.h"
#include "broker/network/transport.h"

struct peers;

struct peers_config {
    int32_t socket_receive_buffer_bytes; /* -1: the system's */
    int64_t connections_max_idle_ms;     /* <= 0: no bound */
    /* For one attempt at one address, doubled with each failure in a row up to the second; <= 0: the system's. */
    int64_t connection_setup_timeout_ms;
    int64_t connection_setup_timeout_max_ms;
};

/* Requests of one connection that have no answer yet; one more ends with ERR_TOO_LARGE. The controller keeps one in
 * flight, fetchers one, forwarding a few. */
#define PEER_IN_FLIGHT_MAX 64
/* An answer larger than this is no answer: a Fetch is bounded by replica.fetch.response.max.bytes plus one batch. */
#define PEER_ANSWER_MAX_BYTES (256 * 1024 * 1024)

struct peers *peers_create(struct loop *loop, const struct peers_config *config);
struct transport *peers_transport(struct peers *peers);
/* Ends every request with ERR_CLOSING, on the loop, after this returns; later ones end the same way. */
void peers_close(struct peers *peers);
/* After peers_close(): every on_answer has been called and no name is being resolved any more. */
bool peers_is_idle(const struct peers *peers);
/* Frees memory once peers_is_idle(). */
void peers_destroy(struct peers *peers);

#endif
