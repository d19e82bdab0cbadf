/* Invariants of the control plane, checked on every transaction the coordinator applies (reliability.md 2b):
 *
 *   C1  partition state is written only in a multi that checks the version of /controller_epoch, carries that epoch,
 * and within one epoch by one session only C2  the controller epoch grows by one, together with the creation of
 * /controller; leader epochs never go back C3  a state follows from the one before: a new leader has a new epoch, one
 * higher, and comes from the in-sync set unless it is marked as recovering (unclean) L2  the leader is in the in-sync
 * set, which is never empty and holds replicas only
 *
 * Keeps its own model of what was written and asks nobody; a deleted topic is forgotten. */
#ifndef OTTLA_CHECKER_ZNODES_H
#define OTTLA_CHECKER_ZNODES_H

#include "tests/simulation/sim_coord.h"

struct znode_checker;

/* invariant: "C1", "C2", "C3" or "L2"; message is one line, valid during the call. */
typedef void znode_violation(void *context, const char *invariant, const char *message);

struct znode_checker *znode_checker_create(znode_violation *on_violation, void *context);
void znode_checker_destroy(struct znode_checker *checker);
/* A sim_coord_observer; context is the checker. */
void znode_checker_observe(void *checker, const struct sim_transaction *transaction);
/* Partition states looked at so far: a run that saw none has proved nothing. */
int64_t znode_checker_states_seen(const struct znode_checker *checker);

#endif
