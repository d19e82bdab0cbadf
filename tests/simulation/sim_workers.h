/* The background workers of a simulated process, as network/loop.c has them: so many threads take what is spawned in
 * the order given, each works beside the loop and beside the others, and what follows is posted to the loop in the
 * order of finishing. Nothing else is promised, and nothing else is kept.
 *
 * A job runs on a stack of its own. Before each operation on the disk it may stand still for a while that chance
 * decides, mostly not at all, sometimes long; the loop and other jobs go on meanwhile, and the process may die. A job
 * that waits for a lock lets whoever holds it go on. */
#ifndef OTTLA_SIM_WORKERS_H
#define OTTLA_SIM_WORKERS_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/random.h"
#include "tests/simulation/sim_clock.h"

struct sim_workers;

/* Chance is the caller's. */
struct sim_workers *sim_workers_create(struct sim *sim, struct clock *clock, struct random *random);
/* Jobs are forgotten where they stand. Also on the stack of one of them, which leaves by sim_escape next. */
void sim_workers_destroy(struct sim_workers *workers);
void sim_workers_set_count(struct sim_workers *workers, int32_t count);
/* A slow disk: most jobs stand still often, each time up to max_ms; 0: as usual; negative: no job for long. */
void sim_workers_set_slow(struct sim_workers *workers, int64_t max_ms);
void sim_workers_spawn(struct sim_workers *workers, task_callback *work, task_callback *done, void *context);
/* On the loop, as at the end of a process: what has begun is worked off at once, without what follows it. */
void sim_workers_finish(struct sim_workers *workers);

/* Nothing is given to them and not done. */
bool sim_workers_are_idle(const struct sim_workers *workers);

/* Of every operation on a disk: others may come first. Returns at once outside of jobs. */
void sim_workers_turn(void);
/* Somebody holds a lock that is wanted here, in the process that runs now: he gets on. */
void sim_workers_wait(struct sim_workers *workers);

#endif
