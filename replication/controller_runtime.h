/* The controller of this broker: runs for election, and while elected commands the cluster.
 *
 * controller.c decides (pure); this performs: coordinator reads and writes, and requests to brokers, in the order the
 * core gives. Everything on the loop. Requests of other brokers and clients come in as typed calls with a callback. */
#ifndef OTTLA_REPLICATION_CONTROLLER_RUNTIME_H
#define OTTLA_REPLICATION_CONTROLLER_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/clock.h"
#include "broker/base/slice.h"
#include "broker/network/transport.h"
#include "coordinator-client/coord.h"
#include "replication/controller.h"

struct controller_runtime;
struct arena;
struct alter_partition_request;
struct alter_partition_reassignments_request;
struct alter_partition_reassignments_response;
struct alter_partition_response;
struct elect_leaders_request;
struct elect_leaders_response;
struct list_partition_reassignments_request;
struct list_partition_reassignments_response;

struct controller_runtime *controller_runtime_create(const struct controller_config *config, struct clock *clock,
                                                     struct coord *coord, struct transport *transport);
void controller_runtime_destroy(struct controller_runtime *controller);
/* Watches /controller and runs for election. The broker is registered with this epoch. */
void controller_runtime_start(struct controller_runtime *controller, int64_t broker_epoch);
/* Session lost for good: stop acting before a new session exists (rule 37). */
void controller_runtime_on_session_expired(struct controller_runtime *controller);
/* A new session and registration exist: re-read /controller, resign if it changed, run for election. */
void controller_runtime_on_session_created(struct controller_runtime *controller, int64_t broker_epoch);
/* Resigns if active and deletes /controller; on_done when that is through. */
void controller_runtime_stop(struct controller_runtime *controller, void (*on_done)(void *context), void *context);

bool controller_runtime_is_active(const struct controller_runtime *controller);
int32_t controller_runtime_epoch(const struct controller_runtime *controller);
/* As controller_count(). */
void controller_runtime_count(const struct controller_runtime *controller, struct controller_counts *ret_counts);

/* Unclean election was switched on for a topic; or, with NULL, the broker's default is `is_default` from now on. */
void controller_runtime_unclean_enabled(struct controller_runtime *controller, const char *topic, bool is_default);

/* Calls are answered exactly once, on the loop, never inside the call; what they point to stays until then.
 *
 * `error` is a Kafka error for the whole request (NOT_CONTROLLER, ...); the response is filled in `arena` before. */
typedef void controller_answer(void *context, int16_t error_code);
void controller_alter_partition(struct controller_runtime *controller, const struct alter_partition_request *request,
                                int16_t version, struct arena *arena, struct alter_partition_response *ret,
                                controller_answer *on_done, void *context);
/* The list (in the arena) is what the broker still leads. */
void controller_controlled_shutdown(struct controller_runtime *controller, int32_t broker_id, int64_t broker_epoch,
                                    struct arena *arena, struct controlled_shutdown_partition **ret_list,
                                    int32_t *ret_count, controller_answer *on_done, void *context);
void controller_allocate_producer_ids(struct controller_runtime *controller, int32_t broker_id, int64_t broker_epoch,
                                      int64_t *ret_first, int32_t *ret_count, controller_answer *on_done,
                                      void *context);
void controller_elect_leaders(struct controller_runtime *controller, const struct elect_leaders_request *request,
                              int16_t version, struct arena *arena, struct elect_leaders_response *ret,
                              controller_answer *on_done, void *context);
/* Answered when the moves have begun, or ended where nothing had to be copied. */
void controller_alter_reassignments(struct controller_runtime *controller,
                                    const struct alter_partition_reassignments_request *request, struct arena *arena,
                                    struct alter_partition_reassignments_response *ret, controller_answer *on_done,
                                    void *context);
void controller_list_reassignments(struct controller_runtime *controller,
                                   const struct list_partition_reassignments_request *request, struct arena *arena,
                                   struct list_partition_reassignments_response *ret, controller_answer *on_done,
                                   void *context);

#endif
