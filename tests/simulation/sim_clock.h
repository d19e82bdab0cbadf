/* Virtual time: one scheduler for the whole cluster, one clock seam per simulated process.
 *
 * The scheduler keeps what shall happen in a heap by time; among events of one millisecond a seeded draw decides, so
 * that other orders are tried, but what one clock posts keeps its order, as the seam promises. Nothing here looks at
 * real time: a seed replays exactly. */
#ifndef OTTLA_SIM_CLOCK_H
#define OTTLA_SIM_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/clock.h"

/* Wall time of a simulation's first millisecond: 2023-11-14, far from 0 so that subtractions stay positive. */
#define SIM_WALL_EPOCH_MS INT64_C(1700000000000)

struct sim;
struct sim_event;
struct sim_workers;

struct sim *sim_create(uint64_t seed);
/* All clocks are destroyed before; events still scheduled are dropped. */
void sim_destroy(struct sim *sim);
int64_t sim_now_ms(const struct sim *sim);
/* Events run so far, and a hash over their order: equal for two runs of one seed. */
uint64_t sim_event_count(const struct sim *sim);
uint64_t sim_trace_hash(const struct sim *sim);
/* Mixes something of the caller's into the hash. */
void sim_trace_mix(struct sim *sim, uint64_t value);

/* Something outside of every process: the network, a disk, a fault. The event is valid until it ran or was cancelled.
 */
struct sim_event *sim_at(struct sim *sim, int64_t after_ms, task_callback *run, void *context);
void sim_cancel(struct sim *sim, struct sim_event *event);
/* Runs the next event; false when there is none. */
bool sim_step(struct sim *sim);
/* Runs everything up to that time, and sets the clock to it. */
void sim_run_until(struct sim *sim, int64_t time_ms);

/* The clock whose event runs now, NULL between processes. */
struct clock *sim_running(const struct sim *sim);
/* Leaves the running event of a process at once, as if it had been killed in the middle of it. The caller has killed
 * its clock before. Does not return. */
_Noreturn void sim_escape(struct sim *sim);

/* In the running event of a process: a lock is held by one of its jobs, which gets on. */
void sim_wait(void);

/* A process's clock. Monotonic time is the same for all; wall time is shifted by the offset. */
struct clock *sim_clock_create(struct sim *sim, int64_t wall_offset_ms);
/* What its events allocate belongs to the simulator, as for clients: they come and go, and share what lives longer. */
void sim_clock_set_outside(struct clock *clock);
/* What was posted is dropped unrun; timers must have been stopped by their owners. */
void sim_clock_destroy(struct clock *clock);
/* The process died: what it had armed and posted is forgotten. Its memory may go; the clock is destroyed next. */
void sim_clock_kill(struct clock *clock);
/* SIGSTOP: events pile up and run late, in order, from until_ms on. */
void sim_clock_pause(struct clock *clock, int64_t until_ms);
/* Who runs what is given to clock_spawn (sim_workers.h). */
struct sim_workers *sim_clock_workers(struct clock *clock);
/* The wall clock jumps. */
void sim_clock_set_wall_offset(struct clock *clock, int64_t wall_offset_ms);

#endif
