/* The clock seam: the only source of time, and of "later".
 *
 * One clock drives one loop. The real one (network/loop.c) is libev; the simulated one moves to the next event. All
 * callbacks run on the loop, never inside the call that armed them. */
#ifndef OTTLA_BASE_CLOCK_H
#define OTTLA_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct clock;
struct timer;

typedef void timer_callback(struct timer *timer);
typedef void task_callback(void *context);

/* Embedded in its owner; step back to it with CONTAINER_OF. Zero-initialise before the first start. */
struct timer {
    timer_callback *on_fire;
    void *slot;          /* the implementation's; NULL while stopped */
    int64_t deadline_ms; /* monotonic, set by timer_start */
};

struct clock_ops {
    int64_t (*now_ms)(struct clock *clock);  /* monotonic */
    int64_t (*wall_ms)(struct clock *clock); /* since 1970, may jump */
    void (*start)(struct clock *clock, struct timer *timer);
    void (*stop)(struct clock *clock, struct timer *timer);
    /* From any thread: run on the loop, in the order of posting. */
    void (*post)(struct clock *clock, task_callback *run, void *context);
    /* Run `work` on a background worker, then `done` on the loop. Of several, each may end before an earlier one. */
    void (*spawn)(struct clock *clock, task_callback *work, task_callback *done, void *context);
};

struct clock {
    const struct clock_ops *ops;
};

static inline int64_t clock_now_ms(struct clock *clock) {
    return clock->ops->now_ms(clock);
}
static inline int64_t clock_wall_ms(struct clock *clock) {
    return clock->ops->wall_ms(clock);
}
static inline bool timer_is_running(const struct timer *timer) {
    return timer->slot != NULL;
}
static inline void timer_stop(struct clock *clock, struct timer *timer) {
    if (timer_is_running(timer)) {
        clock->ops->stop(clock, timer);
    }
}
/* One-shot; a running timer is restarted. */
static inline void timer_start(struct clock *clock, struct timer *timer, int64_t after_ms, timer_callback *on_fire) {
    timer_stop(clock, timer);
    timer->on_fire = on_fire;
    int64_t now_ms = clock_now_ms(clock);
    /* "Never" is written as the largest number (log.flush.scheduler.interval.ms): it must not wrap to "at once". */
    timer->deadline_ms = after_ms <= 0 ? now_ms : after_ms > INT64_MAX - now_ms ? INT64_MAX : now_ms + after_ms;
    clock->ops->start(clock, timer);
}
static inline void clock_post(struct clock *clock, task_callback *run, void *context) {
    clock->ops->post(clock, run, context);
}
static inline void clock_spawn(struct clock *clock, task_callback *work, task_callback *done, void *context) {
    clock->ops->spawn(clock, work, done, context);
}

#endif
