/* See sim_workers.h. */
#include "tests/simulation/sim_workers.h"

#include <stdlib.h>

#include <utlist.h>

#include "broker/base/check.h"
#include "tests/simulation/sim_fiber.h"

#define WORKERS_DEFAULT 10
#define LOCK_RETRY_MS 1
/* Of one job, so that a slow disk delays and does not starve. */
#define STANDSTILL_MS_MAX 6000

struct job {
    struct job *prev, *next;
    struct sim_workers *workers;
    task_callback *work;
    task_callback *done;
    void *context;
    struct sim_fiber *fiber; /* NULL: nobody took it up yet */
    struct timer turn;
    int32_t kind;          /* of haste */
    uint64_t pause_one_in; /* operations, where it pauses at all */
    int64_t pause_ms_max;
    int64_t left_ms; /* that it may stand still in all */
};

struct sim_workers {
    struct sim *sim;
    struct clock *clock;
    struct random *random;
    int32_t count;
    int32_t busy;
    int64_t slow_ms;
    bool is_hurried;     /* jobs do one operation at a time, for somebody who waits */
    bool is_finishing;   /* they do not stand still at all */
    struct job *waiting; /* in the order given */
    struct job *taken;
};

static struct job *running; /* on whose stack this is; NULL: the loop's */

static uint64_t draw(struct sim_workers *workers, uint64_t n) {
    return random_below(workers->random, n);
}

/* Most jobs are through at once, some take their time, a few very long: on a slow disk most. */
static void draw_pace(struct job *job) {
    struct sim_workers *workers = job->workers;
    job->left_ms = STANDSTILL_MS_MAX;
    job->kind = (int32_t)draw(workers, 20);
    job->pause_one_in = 1 + draw(workers, 4);
    job->pause_ms_max = job->kind < 1 ? INT64_C(50) << draw(workers, 6) : INT64_C(2) << draw(workers, 5);
}

static int64_t draw_pause(struct job *job) {
    struct sim_workers *workers = job->workers;
    int64_t max_ms = 0;
    if (workers->slow_ms > 0 && job->kind < 15) {
        max_ms = workers->slow_ms;
    } else if (job->kind < 5 && (job->kind > 0 || workers->slow_ms >= 0)) {
        max_ms = job->pause_ms_max;
    }
    if (max_ms == 0 || draw(workers, job->pause_one_in) != 0) {
        return 0;
    }
    int64_t ms = MIN((int64_t)draw(workers, (uint64_t)max_ms) + 1, job->left_ms);
    job->left_ms -= ms;
    return ms;
}

static void on_turn(struct timer *timer);

static void suspend(struct job *job, int64_t ms) {
    timer_start(job->workers->clock, &job->turn, ms, on_turn);
    running = NULL;
    sim_fiber_suspend();
    running = job;
}

static void stand_still(struct job *job) {
    if (job->workers->is_finishing) {
        return;
    }
    int64_t ms = draw_pause(job);
    if (ms > 0 || job->workers->is_hurried) {
        suspend(job, ms);
    }
}

static void run_job(void *context) {
    struct job *job = context;
    job->work(job->context);
    stand_still(job);
}

static void take_up(struct sim_workers *workers) {
    while (workers->waiting != NULL && workers->busy < workers->count) {
        struct job *job = workers->waiting;
        DL_DELETE(workers->waiting, job);
        DL_APPEND(workers->taken, job);
        workers->busy++;
        timer_start(workers->clock, &job->turn, draw_pause(job), on_turn);
    }
}

/* Until it stands still or is through. */
static void go_on(struct job *job) {
    struct sim_workers *workers = job->workers;
    struct sim *sim = workers->sim;
    timer_stop(workers->clock, &job->turn);
    if (job->fiber == NULL) {
        job->fiber = sim_fiber_create(run_job, job);
    }
    running = job;
    enum sim_fiber_state state = sim_fiber_resume(job->fiber);
    running = NULL;
    if (state == FIBER_ABANDONED) {
        sim_escape(sim); /* the process died, and all of this with it */
    }
    if (state == FIBER_FINISHED) {
        if (job->done != NULL && !workers->is_finishing) {
            clock_post(workers->clock, job->done, job->context);
        }
        DL_DELETE(workers->taken, job);
        free(job);
        workers->busy--;
        if (!workers->is_finishing) {
            take_up(workers);
        }
    }
}

static void on_turn(struct timer *timer) {
    go_on(CONTAINER_OF(timer, struct job, turn));
}

void sim_workers_spawn(struct sim_workers *workers, task_callback *work, task_callback *done, void *context) {
    struct job *job = xcalloc(1, sizeof *job);
    job->workers = workers;
    job->work = work;
    job->done = done;
    job->context = context;
    draw_pace(job);
    DL_APPEND(workers->waiting, job);
    take_up(workers);
}

void sim_workers_turn(void) {
    if (running != NULL) {
        stand_still(running);
    }
}

void sim_workers_wait(struct sim_workers *workers) {
    struct job *waiter = running;
    if (waiter != NULL) {
        suspend(waiter, LOCK_RETRY_MS);
        return;
    }
    bool is_stuck = true;
    struct job *job;
    struct job *next;
    workers->is_hurried = true;
    DL_FOREACH_SAFE(workers->taken, job, next) {
        if (job->fiber != NULL) {
            is_stuck = false;
            go_on(job);
        }
    }
    workers->is_hurried = false;
    CHECK(!is_stuck);
}

void sim_workers_finish(struct sim_workers *workers) {
    workers->is_finishing = true;
    while (workers->taken != NULL) { /* more than once around: some wait for a lock of others */
        struct job *job;
        struct job *next;
        DL_FOREACH_SAFE(workers->taken, job, next) {
            go_on(job);
        }
    }
}

bool sim_workers_are_idle(const struct sim_workers *workers) {
    return workers->waiting == NULL && workers->taken == NULL;
}

struct sim_workers *sim_workers_create(struct sim *sim, struct clock *clock, struct random *random) {
    struct sim_workers *workers = xcalloc(1, sizeof *workers);
    *workers = (struct sim_workers){.sim = sim, .clock = clock, .random = random, .count = WORKERS_DEFAULT};
    return workers;
}

void sim_workers_destroy(struct sim_workers *workers) {
    struct job *lists[] = {workers->waiting, workers->taken};
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        struct job *job;
        struct job *next;
        DL_FOREACH_SAFE(lists[i], job, next) {
            timer_stop(workers->clock, &job->turn);
            if (job->fiber != NULL) {
                sim_fiber_destroy(job->fiber);
            }
            free(job);
        }
    }
    free(workers);
}

void sim_workers_set_count(struct sim_workers *workers, int32_t count) {
    CHECK(count >= 1);
    workers->count = count;
}

void sim_workers_set_slow(struct sim_workers *workers, int64_t max_ms) {
    workers->slow_ms = max_ms;
}
