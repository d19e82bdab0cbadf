/* A coordinator and a clock in memory, for unit tests: everything happens when the test says so, in order.
 *
 * Time is virtual. A test may let replies get lost, before or after the operation was applied. */
#ifndef OTTLA_TESTS_MEMORY_COORD_H
#define OTTLA_TESTS_MEMORY_COORD_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/clock.h"
#include "coordinator-client/coord.h"

struct memory_world;

struct memory_world *memory_world_create(void);
void memory_world_destroy(struct memory_world *world);
struct clock *memory_clock(struct memory_world *world);
struct coord *memory_coord(struct memory_world *world);

/* Runs everything that is due now, and what it brings about. */
void memory_run(struct memory_world *world);
/* As above, moving time on by so much, from timer to timer. */
void memory_run_for(struct memory_world *world, int64_t ms);

/* Writes as somebody else would; parents come into being. NULL data: null. Watches fire. */
void memory_put(struct memory_world *world, const char *path, const char *data);
void memory_remove(struct memory_world *world, const char *path);
/* NULL when the node is not there; "" also for null data. */
const char *memory_data(struct memory_world *world, const char *path);
int32_t memory_child_count(struct memory_world *world, const char *path);

/* The next `count` calls end with ERR_CONNECTION_LOSS; applied or not. */
void memory_lose_replies(struct memory_world *world, int32_t count, bool is_applied);
/* From now on calls come from this session (1 before); ephemeral nodes of others stay. */
void memory_set_session(struct memory_world *world, int64_t session_id);
/* How many calls there were. */
int32_t memory_call_count(const struct memory_world *world);

#endif
