/* See sim_clock.h. */
#include "tests/simulation/sim_clock.h"

#include <setjmp.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/random.h"
#include "tests/simulation/sim_fiber.h"
#include "tests/simulation/sim_heap.h"
#include "tests/simulation/sim_workers.h"

struct sim_clock;

struct sim_event {
    int64_t time_ms;
    uint64_t tie;
    uint64_t sequence;
    int32_t heap_index;
    struct sim_clock *owner; /* NULL: outside of every process */
    struct timer *timer;     /* NULL: run(context) */
    task_callback *run;
    void *context;
};

struct sim {
    int64_t now_ms;
    struct random random;
    struct random work_random; /* of the workers of all processes */
    uint64_t next_sequence;
    uint64_t event_count;
    uint64_t hash;
    struct sim_event **heap;
    int32_t heap_count;
    int32_t heap_capacity;
    struct sim_clock *running; /* whose event runs; NULL outside of every process */
    jmp_buf escape;            /* out of that event */
};

/* Posted tasks, first in first out; a single heap event runs the head. */
struct posted {
    task_callback *run;
    void *context;
};

struct sim_clock {
    struct clock clock;
    struct sim *sim;
    int64_t wall_offset_ms;
    int64_t paused_until_ms;
    bool is_dead;
    bool is_outside; /* what its events allocate is the simulator's */
    struct posted *queue;
    int32_t queue_begin, queue_count, queue_capacity;
    struct sim_event *drain;
    int32_t events; /* of ours in the heap: timers and the drain */
    struct sim_workers *workers;
};

/* The one whose step is being run: a lock takes no context. */
static struct sim *stepping;

static struct sim_clock *clock_of(struct clock *clock) {
    return CONTAINER_OF(clock, struct sim_clock, clock);
}

/* ---- heap ---- */

static bool is_before(const struct sim_event *a, const struct sim_event *b) {
    if (a->time_ms != b->time_ms) {
        return a->time_ms < b->time_ms;
    }
    return a->tie != b->tie ? a->tie < b->tie : a->sequence < b->sequence;
}

static void place(struct sim *sim, int32_t index, struct sim_event *event) {
    sim->heap[index] = event;
    event->heap_index = index;
}

static void sift(struct sim *sim, int32_t index) {
    struct sim_event *event = sim->heap[index];
    while (index > 0 && is_before(event, sim->heap[(index - 1) / 2])) {
        place(sim, index, sim->heap[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    for (int32_t child; (child = 2 * index + 1) < sim->heap_count; index = child) {
        if (child + 1 < sim->heap_count && is_before(sim->heap[child + 1], sim->heap[child])) {
            child++;
        }
        if (!is_before(sim->heap[child], event)) {
            break;
        }
        place(sim, index, sim->heap[child]);
    }
    place(sim, index, event);
}

static void heap_remove(struct sim *sim, struct sim_event *event) {
    int32_t index = event->heap_index;
    struct sim_event *last = sim->heap[--sim->heap_count];
    if (last != event) {
        place(sim, index, last);
        sift(sim, index);
    }
    if (event->owner != NULL) {
        event->owner->events--;
    }
}

static struct sim_event *schedule(struct sim *sim, int64_t time_ms, struct sim_clock *owner) {
    struct sim_event *event = outside_calloc(1, sizeof *event);
    event->time_ms = MAX(time_ms, sim->now_ms);
    event->tie = random_u64(&sim->random);
    event->sequence = sim->next_sequence++;
    event->owner = owner;
    if (sim->heap_count == sim->heap_capacity) {
        sim->heap_capacity = sim->heap_capacity == 0 ? 256 : sim->heap_capacity * 2;
        sim->heap = outside_realloc(sim->heap, sizeof(struct sim_event *) * (size_t)sim->heap_capacity);
    }
    sim->heap_count++;
    place(sim, sim->heap_count - 1, event);
    sift(sim, sim->heap_count - 1);
    if (owner != NULL) {
        owner->events++;
    }
    return event;
}

/* ---- the scheduler ---- */

struct sim *sim_create(uint64_t seed) {
    struct sim *sim = outside_calloc(1, sizeof *sim);
    random_seed(&sim->random, seed);
    random_seed(&sim->work_random, ~seed);
    sim->now_ms = 1000;
    sim->hash = UINT64_C(0xcbf29ce484222325);
    return sim;
}

void sim_destroy(struct sim *sim) {
    for (int32_t i = 0; i < sim->heap_count; i++) {
        CHECK(sim->heap[i]->owner == NULL);
        free(sim->heap[i]);
    }
    free(sim->heap);
    free(sim);
}

int64_t sim_now_ms(const struct sim *sim) {
    return sim->now_ms;
}

uint64_t sim_event_count(const struct sim *sim) {
    return sim->event_count;
}

uint64_t sim_trace_hash(const struct sim *sim) {
    return sim->hash;
}

void sim_trace_mix(struct sim *sim, uint64_t value) {
    sim->hash = (sim->hash ^ value) * UINT64_C(0x100000001b3);
    sim->hash ^= sim->hash >> 29;
}

struct sim_event *sim_at(struct sim *sim, int64_t after_ms, task_callback *run, void *context) {
    struct sim_event *event = schedule(sim, sim->now_ms + after_ms, NULL);
    event->run = run;
    event->context = context;
    return event;
}

void sim_cancel(struct sim *sim, struct sim_event *event) {
    heap_remove(sim, event);
    free(event);
}

static void run_drain(struct sim_clock *clock) {
    struct posted posted = clock->queue[clock->queue_begin];
    clock->queue_begin = (clock->queue_begin + 1) % clock->queue_capacity;
    clock->queue_count--;
    clock->drain = clock->queue_count > 0 ? schedule(clock->sim, clock->sim->now_ms, clock) : NULL;
    posted.run(posted.context);
}

bool sim_step(struct sim *sim) {
    if (sim->heap_count == 0) {
        return false;
    }
    struct sim_event *event = sim->heap[0];
    struct sim_clock *owner = event->owner;
    CHECK(event->time_ms >= sim->now_ms);
    sim->now_ms = event->time_ms;
    if (owner != NULL && owner->paused_until_ms > sim->now_ms) {
        event->time_ms = owner->paused_until_ms; /* again, when the process goes on */
        sift(sim, 0);
        return true;
    }
    heap_remove(sim, event);
    sim->event_count++;
    sim_trace_mix(sim, (uint64_t)event->time_ms ^ event->sequence << 20);
    struct sim_event copy = *event;
    free(event);
    if (owner == NULL) {
        copy.run(copy.context);
        return true;
    }
    stepping = sim;
    sim->running = owner;
    sim_heap_enter(owner->is_outside ? NULL : owner);
    if (setjmp(sim->escape) == 0) {
        if (copy.timer != NULL) {
            copy.timer->slot = NULL;
            copy.timer->on_fire(copy.timer);
        } else {
            run_drain(owner);
        }
    }
    sim_heap_enter(NULL);
    sim->running = NULL;
    stepping = NULL;
    return true;
}

struct clock *sim_running(const struct sim *sim) {
    return sim->running == NULL ? NULL : &sim->running->clock;
}

void sim_escape(struct sim *sim) {
    CHECK(sim->running != NULL);
    if (sim_fiber_current() != NULL) {
        sim_fiber_abandon(); /* whoever resumed it escapes in turn */
    }
    longjmp(sim->escape, 1);
}

void sim_wait(void) {
    CHECK(stepping != NULL && stepping->running != NULL);
    sim_workers_wait(stepping->running->workers);
}

void sim_run_until(struct sim *sim, int64_t time_ms) {
    while (sim->heap_count > 0 && sim->heap[0]->time_ms <= time_ms) {
        sim_step(sim);
    }
    sim->now_ms = MAX(sim->now_ms, time_ms);
}

/* ---- the seam ---- */

static int64_t clock_sim_now_ms(struct clock *clock) {
    return clock_of(clock)->sim->now_ms;
}

static int64_t clock_sim_wall_ms(struct clock *clock) {
    return SIM_WALL_EPOCH_MS + clock_of(clock)->sim->now_ms + clock_of(clock)->wall_offset_ms;
}

static void clock_sim_start(struct clock *clock, struct timer *timer) {
    struct sim_clock *sim_clock = clock_of(clock);
    CHECK(!sim_clock->is_dead);
    struct sim_event *event = schedule(sim_clock->sim, timer->deadline_ms, sim_clock);
    event->timer = timer;
    timer->slot = event;
}

static void clock_sim_stop(struct clock *clock, struct timer *timer) {
    sim_cancel(clock_of(clock)->sim, timer->slot);
    timer->slot = NULL;
}

static void clock_sim_post(struct clock *clock, task_callback *run, void *context) {
    struct sim_clock *sim_clock = clock_of(clock);
    CHECK(!sim_clock->is_dead);
    if (sim_clock->queue_count == sim_clock->queue_capacity) {
        int32_t capacity = sim_clock->queue_capacity == 0 ? 64 : sim_clock->queue_capacity * 2;
        struct posted *queue = outside_malloc(sizeof *queue * (size_t)capacity);
        for (int32_t i = 0; i < sim_clock->queue_count; i++) {
            queue[i] = sim_clock->queue[(sim_clock->queue_begin + i) % sim_clock->queue_capacity];
        }
        free(sim_clock->queue);
        sim_clock->queue = queue;
        sim_clock->queue_begin = 0;
        sim_clock->queue_capacity = capacity;
    }
    int32_t end = (sim_clock->queue_begin + sim_clock->queue_count++) % sim_clock->queue_capacity;
    sim_clock->queue[end] = (struct posted){run, context};
    if (sim_clock->drain == NULL) {
        sim_clock->drain = schedule(sim_clock->sim, sim_clock->sim->now_ms, sim_clock);
    }
}

static void clock_sim_spawn(struct clock *clock, task_callback *work, task_callback *done, void *context) {
    CHECK(!clock_of(clock)->is_dead);
    sim_workers_spawn(clock_of(clock)->workers, work, done, context);
}

struct clock *sim_clock_create(struct sim *sim, int64_t wall_offset_ms) {
    static const struct clock_ops ops = {clock_sim_now_ms, clock_sim_wall_ms, clock_sim_start,
                                         clock_sim_stop,   clock_sim_post,    clock_sim_spawn};
    struct sim_clock *clock = outside_calloc(1, sizeof *clock);
    clock->clock.ops = &ops;
    clock->sim = sim;
    clock->wall_offset_ms = wall_offset_ms;
    clock->workers = sim_workers_create(sim, &clock->clock, &sim->work_random);
    return &clock->clock;
}

void sim_clock_set_outside(struct clock *clock) {
    clock_of(clock)->is_outside = true;
}

void sim_clock_destroy(struct clock *clock) {
    struct sim_clock *sim_clock = clock_of(clock);
    if (sim_clock->drain != NULL) {
        sim_cancel(sim_clock->sim, sim_clock->drain);
    }
    if (sim_clock->workers != NULL) {
        sim_workers_destroy(sim_clock->workers);
    }
    CHECK(sim_clock->events == 0); /* a timer of somebody who is gone would fire into freed memory */
    free(sim_clock->queue);
    free(sim_clock);
}

void sim_clock_kill(struct clock *clock) {
    struct sim_clock *sim_clock = clock_of(clock);
    struct sim *sim = sim_clock->sim;
    sim_workers_destroy(sim_clock->workers);
    sim_clock->workers = NULL;
    sim_clock->is_dead = true;
    if (sim_clock->drain != NULL) {
        sim_cancel(sim, sim_clock->drain);
        sim_clock->drain = NULL;
    }
    int32_t count = sim->heap_count;
    sim->heap_count = 0;
    for (int32_t i = 0; i < count; i++) {
        struct sim_event *event = sim->heap[i];
        if (event->owner == sim_clock) {
            free(event); /* its timer is gone with the process's memory */
        } else {
            place(sim, sim->heap_count++, event);
            sift(sim, sim->heap_count - 1);
        }
    }
    sim_clock->events = 0;
}

void sim_clock_pause(struct clock *clock, int64_t until_ms) {
    clock_of(clock)->paused_until_ms = until_ms;
}

void sim_clock_set_wall_offset(struct clock *clock, int64_t wall_offset_ms) {
    clock_of(clock)->wall_offset_ms = wall_offset_ms;
}

struct sim_workers *sim_clock_workers(struct clock *clock) {
    return clock_of(clock)->workers;
}
