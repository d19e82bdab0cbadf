/* The sockets clients connect to, and the bounds on connections as a whole.
 *
 * Frames go to one callback as exchanges (protocol/exchange.h); network knows nothing of what they mean. */
#ifndef OTTLA_NETWORK_LISTENER_H
#define OTTLA_NETWORK_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/network/admission.h"
#include "broker/network/loop.h"
#include "broker/protocol/exchange.h"

struct network;

/* Called on the loop for each whole frame, in the order of its connection, also while earlier ones wait. The bytes
 * belong to the exchange: they stay, and may be written to, until it has been ended. */
typedef void connection_frame_callback(void *context, struct exchange *exchange, uint8_t *frame, size_t size);

/* Memory of frames that are being received or served, all connections together, where queued.max.request.bytes sets no
 * bound: ten of the largest, and what a Java broker has in all by default. At the bound, connections in the middle of a
 * frame go on and the others are not read, save those of brokers: all of the inter-broker listener where clients have
 * another, else those known by what they sent. */
#define NETWORK_FRAMES_MAX_BYTES ((int64_t)1024 * 1024 * 1024)
/* At that bound a frame has to be complete so long after it began, else its connection is closed: memory cannot be held
 * by sending slowly. */
#define NETWORK_FRAME_STALL_MS 30000

/* What may change while the broker runs. ADMISSION_UNLIMITED where there is no bound. */
struct network_limits {
    int32_t max_connections;
    int32_t max_connections_per_ip;
    const char *max_connections_per_ip_overrides; /* "host:count,..."; NULL or "" for none */
    int32_t max_connection_creation_rate;         /* per second */
};

struct network_config {
    int32_t socket_request_max_bytes;
    int32_t socket_send_buffer_bytes;    /* -1: the system's */
    int32_t socket_receive_buffer_bytes; /* -1: the system's */
    int32_t socket_listen_backlog_size;
    int64_t connections_max_idle_ms; /* <= 0: no bound */
    int64_t frames_max_bytes;        /* NETWORK_FRAMES_MAX_BYTES, or what queued.max.request.bytes says */
    int64_t frame_stall_ms;          /* NETWORK_FRAME_STALL_MS */
    struct network_limits limits;
    connection_frame_callback *on_frame;
    void *context;
};

/* The config is copied but for its strings, which stay. */
struct network *network_create(struct loop *loop, const struct network_config *config);
/* Binds a listener: host "" is every interface, port 0 any free one. `index` is what its exchanges carry. Connections
 * queue in the kernel until network_start_accepting(). Returns 0 or an error with one line in *ret_message (heap). */
int network_listen(struct network *network, int32_t index, bool is_privileged, const char *host, int32_t port,
                   char **ret_message);
/* The port of that listener, -1 for an unknown index. */
int32_t network_port(const struct network *network, int32_t index);
void network_start_accepting(struct network *network);
/* Closes the listeners; connections go on. */
void network_stop_accepting(struct network *network);
/* Closes every connection: requests that wait are told that they are abandoned. */
void network_close_connections(struct network *network);
/* After network_close_connections(), once every exchange has been ended. */
void network_destroy(struct network *network);
int32_t network_connection_count(const struct network *network);
int32_t network_listener_connection_count(const struct network *network, int32_t index);
/* Connections accepted since the start, all listeners together. */
int64_t network_accepted_count(const struct network *network);
/* For settings that change while the broker runs. Connections beyond max.connections are closed, least recently active
 * first. */
void network_set_limits(struct network *network, const struct network_limits *limits);
/* The bounds of one listener alone. */
void network_set_listener_limits(struct network *network, int32_t index, int32_t max_connections,
                                 int32_t max_connection_creation_rate);
/* Bytes of frames that are being received or served. */
int64_t network_frame_bytes(const struct network *network);

#endif
