/* A broker's place in ZooKeeper: the persistent paths, the cluster id, a generated broker id, and the registration
 * whose czxid is the broker epoch (zookeeper-mode.md 1.1 to 1.3).
 *
 * Everything is asynchronous over coord.h, on the loop. A lost connection is ridden out by trying again and then
 * reading who owns what; an expired session ends an operation with ERR_SESSION_EXPIRED, and its caller begins again
 * after coord_reopen. */
#ifndef OTTLA_REGISTRATION_H
#define OTTLA_REGISTRATION_H

#include <stdint.h>

#include "broker/base/clock.h"
#include "coordinator-client/coord.h"
#include "coordinator-client/znode_codec.h"

typedef void registration_step_callback(void *context, int error);
/* Makes every path of znode_persistent_paths with its parents; those that exist are left alone. */
void registration_create_paths(struct coord *coord, registration_step_callback *on_done, void *context);

/* The cluster's id, of 22 characters as a rule; valid during the call, NULL on error. */
typedef void registration_cluster_id_callback(void *context, int error, const char *cluster_id);
/* Reads /cluster/id; when there is none, proposes this one (random) and reads who won. */
void registration_cluster_id(struct coord *coord, struct uuid proposal, registration_cluster_id_callback *on_done,
                             void *context);

/* A broker id nobody had before: the next of /brokers/seqid, above reserved_max (reserved.broker.max.id, 1000). */
typedef void registration_broker_id_callback(void *context, int error, int32_t broker_id);
void registration_generate_broker_id(struct coord *coord, int32_t reserved_max,
                                     registration_broker_id_callback *on_done, void *context);

/* On error, message is one line for the operator (valid during the call). ERR_EXISTS: another broker has our id or one
 * of our addresses. */
typedef void registration_callback(void *context, int error, int64_t broker_epoch, const char *message);

struct registration;

/* owner_wait_ms: how long the node of a predecessor (a crashed process of ours, most likely) is waited for; its session
 * timeout. broker is copied. The registration must live until the coord is destroyed. */
struct registration *registration_create(struct clock *clock, struct coord *coord, int32_t broker_id,
                                         const struct znode_broker *broker, int64_t owner_wait_ms);
void registration_destroy(struct registration *registration);
/* Registers for the current session; again after each new session. One at a time. */
void registration_register(struct registration *registration, registration_callback *on_done, void *context);
/* Other endpoints: the node's data change, the broker epoch does not. */
void registration_update(struct registration *registration, const struct znode_broker *broker,
                         registration_step_callback *on_done, void *context);

#endif
