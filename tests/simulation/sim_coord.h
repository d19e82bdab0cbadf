/* The coordinator of a simulated cluster: a linearizable znode tree with sessions, seen by each process through
 * coord.h.
 *
 * Modelled after ZooKeeper as this project relies on it: zxids, versions, multis that are all or nothing, ephemeral and
 * sequential nodes, one-shot watches whose events precede later answers of the same session, session timers on the
 * server's side, operations that were applied but whose answer was lost, and ephemeral nodes that linger after their
 * session expired (ZOOKEEPER-2985). Not modelled: reads from a server that lags behind. */
#ifndef OTTLA_SIM_COORD_H
#define OTTLA_SIM_COORD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "coordinator-client/coord.h"
#include "tests/simulation/sim_clock.h"

struct sim_coord_server;

struct sim_coord_server *sim_coord_server_create(struct sim *sim, uint64_t seed);
/* After all clients. */
void sim_coord_server_destroy(struct sim_coord_server *server);

/* One transaction as it was applied: a single operation counts as a multi of one. Session 0 is the server itself
 * removing the ephemeral nodes of an expired session. Paths and data are valid during the call. */
struct sim_transaction {
    int64_t zxid;
    int64_t session_id;
    const struct coord_op *ops; /* of a sequential create: the name that was made */
    int32_t count;
};
typedef void sim_coord_observer(void *context, const struct sim_transaction *transaction);
void sim_coord_server_observe(struct sim_coord_server *server, sim_coord_observer *on_transaction, void *context);

/* No quorum: every connection breaks, nothing is applied, sessions do not age. When it is back they start anew. */
void sim_coord_server_set_available(struct sim_coord_server *server, bool is_available);
/* Ephemeral nodes stay up to this long after their session expired. */
void sim_coord_server_set_linger(struct sim_coord_server *server, int64_t linger_ms_max);
/* Closes the session of a process that is gone, as another one does that knows its password. False: there is no quorum
 * to ask. *ret_is_ended: this call ended it, it had not run out before. */
bool sim_coord_server_close(struct sim_coord_server *server, int64_t session_id, bool *ret_is_ended);
/* Ends a session as an operator would, whoever has it. */
void sim_coord_server_expire(struct sim_coord_server *server, int64_t session_id);

/* What checkers read, without a session. False when there is no such node; data are valid until the next write. */
bool sim_coord_server_get(const struct sim_coord_server *server, const char *path, struct slice *ret_data,
                          struct coord_stat *ret_stat);
typedef void sim_coord_visitor(void *context, const char *path, struct slice data, const struct coord_stat *stat);
/* Every node below `path`, and itself, parents first. */
void sim_coord_server_each(const struct sim_coord_server *server, const char *path, sim_coord_visitor *visit,
                           void *context);
void sim_coord_server_dump(const struct sim_coord_server *server, FILE *to);

/* A process's session on its clock. */
struct coord *sim_coord_create(struct sim_coord_server *server, struct clock *clock, int64_t session_timeout_ms);
/* Closes the session: its ephemeral nodes go at once. Outstanding operations end with ERR_CLOSING inside the call. */
void sim_coord_destroy(struct coord *coord);
/* The process died: nothing is called back, the session lives on until its timeout. Frees the client. */
void sim_coord_kill(struct coord *coord);
/* Network between this client and the servers. While cut the session ages; healing reconnects. */
void sim_coord_cut(struct coord *coord, bool is_cut);
/* The connection breaks and comes back; what travelled ends with ERR_CONNECTION_LOSS. */
void sim_coord_reset(struct coord *coord);
/* The next `count` writes are applied, but the connection breaks before their answer arrives. */
void sim_coord_lose_replies(struct coord *coord, int32_t count);

#endif
