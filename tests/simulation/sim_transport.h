/* The network of a simulated cluster: connections between brokers, and from clients to brokers.
 *
 * A connection keeps the order of what is sent on it, each way, as TCP does. Links (a directed pair of nodes) have a
 * delay and may be cut: then bytes wait and arrive after healing, unless their sender, alive, gave up first (peer.c
 * resets such a connection; what a dead or stopped process had sent is still delivered). What was on the wire when a
 * connection was reset may arrive nevertheless, also after what was sent on the next one. When a process dies
 * its peers see the connection break, unless the link is cut. A request enters its target by the dispatcher, on the
 * target's clock; answers leave in the order of the requests. */
#ifndef OTTLA_SIM_TRANSPORT_H
#define OTTLA_SIM_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/network/transport.h"
#include "tests/simulation/sim_clock.h"

/* Brokers and clients. */
#define SIM_NODES_MAX 48
#define SIM_FRAME_MAX (16 * 1024 * 1024)

struct sim_network;
struct sim_connection;
struct dispatcher;

struct sim_network *sim_network_create(struct sim *sim, uint64_t seed);
/* After sim's last event: nothing may come any more. */
void sim_network_destroy(struct sim_network *network);

/* The process at a node lives: what it sends and receives runs on its clock. */
void sim_network_join(struct sim_network *network, int32_t node, struct clock *clock);
/* It serves requests. */
void sim_network_serve(struct sim_network *network, int32_t node, struct dispatcher *dispatcher);
/* It died: nobody calls it back; its connections break. */
void sim_network_leave(struct sim_network *network, int32_t node);

/* From one node to another; both directions are separate. */
void sim_network_set_delay(struct sim_network *network, int32_t from, int32_t to, int64_t min_ms, int64_t max_ms);
void sim_network_cut(struct sim_network *network, int32_t from, int32_t to, bool is_cut);
/* Breaks every connection between the two. */
void sim_network_reset(struct sim_network *network, int32_t a, int32_t b);
/* The next command on an open connection that way is sent, the connection is reset right behind it, and it arrives up
 * to seconds later. */
void sim_network_strand(struct sim_network *network, int32_t from, int32_t to);
/* Every link whole and fast again. */
void sim_network_heal(struct sim_network *network);
/* A request as its target takes it up, and its answer as it leaves; bodies without headers, valid during the call. */
struct sim_exchange {
    int32_t from;
    int32_t to;
    int16_t api_key;
    int16_t api_version;
    struct slice request;
    struct slice answer; /* null at the request */
};
typedef void sim_exchange_observer(void *context, const struct sim_exchange *exchange);
void sim_network_observe(struct sim_network *network, sim_exchange_observer *on_request,
                         sim_exchange_observer *on_answer, void *context);
/* Bytes carried, for the hash of the run. */
uint64_t sim_network_messages(const struct sim_network *network);

/* Requests that arrived on a connection given up, after others on its successor. */
int64_t sim_network_late(const struct sim_network *network);

/* The transport seam of the process at a node. Broker ids are nodes. */
struct transport *sim_transport_create(struct sim_network *network, int32_t node);
void sim_transport_destroy(struct transport *transport);

#endif
