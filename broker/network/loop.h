/* The real clock: one libev loop, a pool of worker threads behind it, and signals.
 *
 * Only broker/network includes ev.h; the rest of the broker sees struct clock. */
#ifndef OTTLA_NETWORK_LOOP_H
#define OTTLA_NETWORK_LOOP_H

#include <stdint.h>

#include "broker/base/clock.h"

struct loop;
struct ev_loop;

/* Tasks posted or spawned and not yet run. Far above what the broker ever has on the way; beyond it something runs
 * away, and the process stops rather than eat the machine. */
#define LOOP_TASKS_MAX (1 << 20)
#define LOOP_WORKERS_MAX 64
#define LOOP_SIGNALS_MAX 4

/* `worker_count` threads run what is given to clock_spawn, in the order given; 1 to LOOP_WORKERS_MAX. The threads block
 * all signals, so that signals reach the loop. */
struct loop *loop_create(int32_t worker_count);
/* Waits for the work under way; what has not begun is dropped without its `done`. */
void loop_destroy(struct loop *loop);
struct clock *loop_clock(struct loop *loop);
/* For the other files of network/. */
struct ev_loop *loop_ev(struct loop *loop);

/* Runs until loop_stop(). */
void loop_run(struct loop *loop);
/* On the loop: loop_run() returns after the current callback. */
void loop_stop(struct loop *loop);

/* Calls back on the loop for each arrival of a signal. At most LOOP_SIGNALS_MAX signals. */
void loop_on_signal(struct loop *loop, int signal_number, void (*on_signal)(void *context, int signal_number),
                    void *context);

#endif
