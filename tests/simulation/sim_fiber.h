/* A second stack: something that stops in the middle of a call and goes on later. Only the loop's own stack resumes;
 * fibers do not resume each other. */
#ifndef OTTLA_SIM_FIBER_H
#define OTTLA_SIM_FIBER_H

#include <stdbool.h>

#include "broker/base/clock.h"

struct sim_fiber;

enum sim_fiber_state { FIBER_SUSPENDED, FIBER_FINISHED, FIBER_ABANDONED };

/* Runs run(context) at the first resume. */
struct sim_fiber *sim_fiber_create(task_callback *run, void *context);
/* Until it suspends, finishes or is abandoned; then, or when it was destroyed meanwhile, only a suspended one is still
 * there. */
enum sim_fiber_state sim_fiber_resume(struct sim_fiber *fiber);
/* On the fiber: back to whoever resumed it, until the next time. */
void sim_fiber_suspend(void);
/* On the fiber: back to whoever resumed it, for good; no frame of it is left in order. */
_Noreturn void sim_fiber_abandon(void);
/* Whose stack this is; NULL: the loop's. */
struct sim_fiber *sim_fiber_current(void);
/* Suspended or not begun: what its frames hold is not given back. The running one ends when it is abandoned next. */
void sim_fiber_destroy(struct sim_fiber *fiber);

#endif
