/* How other brokers are reached: the addresses of a host, a connection to one of them, and what is remembered of the
 * attempts: how often in a row a connection could not be made, and which address is the one to begin with. That
 * outlives the connections, so that the next attempt goes on where the last one stopped. */
#ifndef OTTLA_NETWORK_REACH_H
#define OTTLA_NETWORK_REACH_H

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/network/transport.h"

/* The addresses of host:port, for freeaddrinfo(); NULL when there is none. `flags` are those of getaddrinfo(). Blocks
 * unless they include AI_NUMERICHOST. */
struct addrinfo *reach_lookup(const char *host, int32_t port, int flags);
/* A socket that is connected to this address or about to be, -1 when it cannot be. Its buffer for what comes in is the
 * system's where receive_buffer_bytes is not positive. */
int reach_connect(const struct addrinfo *address, int32_t receive_buffer_bytes);

/* Peers remembered, brokers times channels; one more, and the one noted longest ago is forgotten: it is tried as if for
 * the first time. */
#define REACH_MAX 256

struct reach_entry;

struct reach {
    struct reach_entry *list; /* noted longest ago first */
    int32_t count;
};

/* The address to begin with, counted from 0 and not bounded by how many there are. */
int32_t reach_start(const struct reach *reach, int32_t broker_id, enum transport_channel channel);
/* How long the next attempt may take: `first_ms`, doubled for each failure in a row up to `max_ms`, as
 * socket.connection.setup.timeout.ms and its .max say. */
int64_t reach_timeout_ms(const struct reach *reach, int32_t broker_id, enum transport_channel channel, int64_t first_ms,
                         int64_t max_ms);
/* This address could not be reached; the next one is to be tried. */
void reach_note_failure(struct reach *reach, int32_t broker_id, enum transport_channel channel);
/* Whether a line is worth it that says that this peer was not reached for this reason, see base/repeat.h. */
bool reach_tell_failure(struct reach *reach, int32_t broker_id, enum transport_channel channel, int32_t reason,
                        int64_t now_ms, int64_t *ret_untold);
/* The address tried is good, and the one to begin with. True when that ends what failures were told of. */
bool reach_note_success(struct reach *reach, int32_t broker_id, enum transport_channel channel);
void reach_deinit(struct reach *reach);

#endif
