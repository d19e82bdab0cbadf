/* See real_loop.h. */
#include "tests/lib/real_loop.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "broker/base/check.h"

struct posted {
    struct posted *next;
    task_callback *run;
    void *context;
};

struct spawned {
    struct real_loop *loop;
    task_callback *work, *done;
    void *context;
};

/* A started timer's slot: the list element that holds it. */
struct started {
    struct started *next;
    struct timer *timer;
};

struct real_loop {
    struct clock clock;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct posted *first, **last;
    int workers;
    struct started *timers; /* by deadline; the loop's thread only */
};

static struct real_loop *loop_of(struct clock *clock) {
    return CONTAINER_OF(clock, struct real_loop, clock);
}

static int64_t milliseconds(clockid_t id) {
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t loop_now_ms(struct clock *clock) {
    (void)clock;
    return milliseconds(CLOCK_MONOTONIC);
}

static int64_t loop_wall_ms(struct clock *clock) {
    (void)clock;
    return milliseconds(CLOCK_REALTIME);
}

static void loop_start(struct clock *clock, struct timer *timer) {
    struct started **at = &loop_of(clock)->timers;
    struct started *entry = xmalloc(sizeof *entry);
    while (*at != NULL && (*at)->timer->deadline_ms <= timer->deadline_ms) {
        at = &(*at)->next;
    }
    *entry = (struct started){*at, timer};
    *at = entry;
    timer->slot = entry;
}

static void loop_stop(struct clock *clock, struct timer *timer) {
    struct started **at = &loop_of(clock)->timers;
    while (*at != timer->slot) {
        at = &(*at)->next;
    }
    *at = (*at)->next;
    free(timer->slot);
    timer->slot = NULL;
}

static void loop_post(struct clock *clock, task_callback *run, void *context) {
    struct real_loop *loop = loop_of(clock);
    struct posted *posted = xmalloc(sizeof *posted);
    *posted = (struct posted){NULL, run, context};
    pthread_mutex_lock(&loop->lock);
    *loop->last = posted;
    loop->last = &posted->next;
    pthread_cond_signal(&loop->changed);
    pthread_mutex_unlock(&loop->lock);
}

static void *worker(void *context) {
    struct spawned *spawned = context;
    struct real_loop *loop = spawned->loop;
    spawned->work(spawned->context);
    loop_post(&loop->clock, spawned->done, spawned->context);
    free(spawned);
    pthread_mutex_lock(&loop->lock);
    loop->workers--;
    pthread_cond_signal(&loop->changed);
    pthread_mutex_unlock(&loop->lock);
    return NULL;
}

static void loop_spawn(struct clock *clock, task_callback *work, task_callback *done, void *context) {
    struct real_loop *loop = loop_of(clock);
    struct spawned *spawned = xmalloc(sizeof *spawned);
    pthread_t thread;
    *spawned = (struct spawned){loop, work, done, context};
    pthread_mutex_lock(&loop->lock);
    loop->workers++;
    pthread_mutex_unlock(&loop->lock);
    CHECK(pthread_create(&thread, NULL, worker, spawned) == 0);
    pthread_detach(thread);
}

struct real_loop *real_loop_create(void) {
    static const struct clock_ops ops = {loop_now_ms, loop_wall_ms, loop_start, loop_stop, loop_post, loop_spawn};
    struct real_loop *loop = xcalloc(1, sizeof *loop);
    pthread_condattr_t attributes;
    loop->clock.ops = &ops;
    loop->last = &loop->first;
    pthread_mutex_init(&loop->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&loop->changed, &attributes);
    return loop;
}

struct clock *real_loop_clock(struct real_loop *loop) {
    return &loop->clock;
}

/* The next posted task, waiting for one until `until_ms`; NULL when there was none. Called with the lock held. */
static struct posted *take_posted(struct real_loop *loop, int64_t until_ms) {
    while (loop->first == NULL && milliseconds(CLOCK_MONOTONIC) < until_ms) {
        struct timespec until = {until_ms / 1000, until_ms % 1000 * 1000000};
        pthread_cond_timedwait(&loop->changed, &loop->lock, &until);
    }
    struct posted *posted = loop->first;
    if (posted != NULL) {
        loop->first = posted->next;
        loop->last = loop->first == NULL ? &loop->first : loop->last;
    }
    return posted;
}

static void run_posted(struct posted *posted) {
    if (posted != NULL) {
        posted->run(posted->context);
        free(posted);
    }
}

bool real_loop_until(struct real_loop *loop, const bool *condition, int64_t timeout_ms) {
    int64_t end_ms = milliseconds(CLOCK_MONOTONIC) + timeout_ms;
    while (!*condition && milliseconds(CLOCK_MONOTONIC) < end_ms) {
        struct started *timer = loop->timers;
        if (timer != NULL && timer->timer->deadline_ms <= milliseconds(CLOCK_MONOTONIC)) {
            struct timer *due = timer->timer;
            loop_stop(&loop->clock, due);
            due->on_fire(due);
            continue;
        }
        pthread_mutex_lock(&loop->lock);
        struct posted *posted = take_posted(loop, timer == NULL ? end_ms : MIN(end_ms, timer->timer->deadline_ms));
        pthread_mutex_unlock(&loop->lock);
        run_posted(posted);
    }
    return *condition;
}

void real_loop_destroy(struct real_loop *loop) {
    pthread_mutex_lock(&loop->lock);
    while (loop->first != NULL || loop->workers > 0) {
        if (loop->first == NULL) {
            pthread_cond_wait(&loop->changed, &loop->lock);
            continue;
        }
        struct posted *posted = take_posted(loop, 0);
        pthread_mutex_unlock(&loop->lock);
        run_posted(posted);
        pthread_mutex_lock(&loop->lock);
    }
    pthread_mutex_unlock(&loop->lock);
    CHECK(loop->timers == NULL);
    pthread_mutex_destroy(&loop->lock);
    pthread_cond_destroy(&loop->changed);
    free(loop);
}
