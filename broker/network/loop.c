/* libev underneath struct clock. Timers are ev_timers in reused slots; posts go through one locked queue whose order is
 * kept; workers take from a second one. Queues keep their memory, so a steady state allocates nothing. */
#include "broker/network/loop.h"

#include <ev.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "broker/base/check.h"

struct task {
    task_callback *run;
    task_callback *done; /* spawned tasks only */
    void *context;
};

/* First in, first out, in one array that doubles when it is full. */
struct task_queue {
    struct task *tasks;
    size_t capacity; /* a power of two */
    size_t head;
    size_t count;
};

struct timer_slot {
    ev_timer watcher;
    struct timer *timer;
    struct timer_slot *next_free;
};

struct signal_slot {
    ev_signal watcher;
    void (*on_signal)(void *context, int signal_number);
    void *context;
};

struct loop {
    struct clock clock;
    struct ev_loop *ev;
    ev_async wake;
    struct timer_slot *free_slots;
    struct signal_slot signals[LOOP_SIGNALS_MAX];
    int32_t signal_count;

    pthread_mutex_t post_mutex;
    struct task_queue posted;
    struct task_queue running; /* the loop's: swapped with posted, then run without the lock */

    pthread_mutex_t work_mutex;
    pthread_cond_t work_arrived;
    struct task_queue work;
    bool is_closing;
    pthread_t workers[LOOP_WORKERS_MAX];
    int32_t worker_count;
};

static void queue_push(struct task_queue *queue, struct task task) {
    if (queue->count == queue->capacity) {
        size_t capacity = queue->capacity == 0 ? 64 : queue->capacity * 2;
        CHECK(capacity <= LOOP_TASKS_MAX);
        struct task *tasks = xmalloc(capacity * sizeof *tasks);
        for (size_t i = 0; i < queue->count; i++) {
            tasks[i] = queue->tasks[(queue->head + i) & (queue->capacity - 1)];
        }
        free(queue->tasks);
        *queue = (struct task_queue){.tasks = tasks, .capacity = capacity, .count = queue->count};
    }
    queue->tasks[(queue->head + queue->count++) & (queue->capacity - 1)] = task;
}

static struct task queue_pop(struct task_queue *queue) {
    struct task task = queue->tasks[queue->head];
    queue->head = (queue->head + 1) & (queue->capacity - 1);
    queue->count--;
    return task;
}

static struct loop *loop_of(struct clock *clock) {
    return CONTAINER_OF(clock, struct loop, clock);
}

static int64_t milliseconds(clockid_t id) {
    struct timespec now;
    CHECK(clock_gettime(id, &now) == 0);
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

static void slot_release(struct loop *loop, struct timer_slot *slot) {
    slot->timer = NULL;
    slot->next_free = loop->free_slots;
    loop->free_slots = slot;
}

static void slot_arm(struct loop *loop, struct timer_slot *slot, int64_t after_ms) {
    /* Relative to libev's idea of now, which is that of the last poll: a timer may come early by the time the current
     * callback has run, and on_timer() then arms it again for the rest. */
    ev_timer_set(&slot->watcher, (double)(after_ms > 0 ? after_ms : 0) / 1000.0, 0.0);
    ev_timer_start(loop->ev, &slot->watcher);
}

static void on_timer(struct ev_loop *ev, ev_timer *watcher, int events) {
    (void)events;
    struct timer_slot *slot = CONTAINER_OF(watcher, struct timer_slot, watcher);
    struct loop *loop = ev_userdata(ev);
    struct timer *timer = slot->timer;
    int64_t left_ms = timer->deadline_ms - loop_now_ms(&loop->clock);
    if (left_ms > 0) {
        slot_arm(loop, slot, left_ms);
        return;
    }
    timer->slot = NULL;
    slot_release(loop, slot);
    timer->on_fire(timer);
}

static void loop_start_timer(struct clock *clock, struct timer *timer) {
    struct loop *loop = loop_of(clock);
    struct timer_slot *slot = loop->free_slots;
    if (slot != NULL) {
        loop->free_slots = slot->next_free;
    } else {
        slot = xcalloc(1, sizeof *slot);
        ev_init(&slot->watcher, on_timer);
    }
    slot->timer = timer;
    timer->slot = slot;
    slot_arm(loop, slot, timer->deadline_ms - loop_now_ms(clock));
}

static void loop_stop_timer(struct clock *clock, struct timer *timer) {
    struct loop *loop = loop_of(clock);
    struct timer_slot *slot = timer->slot;
    ev_timer_stop(loop->ev, &slot->watcher);
    timer->slot = NULL;
    slot_release(loop, slot);
}

static void loop_post(struct clock *clock, task_callback *run, void *context) {
    struct loop *loop = loop_of(clock);
    pthread_mutex_lock(&loop->post_mutex);
    queue_push(&loop->posted, (struct task){.run = run, .context = context});
    pthread_mutex_unlock(&loop->post_mutex);
    ev_async_send(loop->ev, &loop->wake);
}

/* Runs what was posted up to now; what these tasks post themselves waits for the next turn, so that sockets and timers
 * are never starved. */
static void on_wake(struct ev_loop *ev, ev_async *watcher, int events) {
    (void)watcher;
    (void)events;
    struct loop *loop = ev_userdata(ev);
    CHECK(loop->running.count == 0);
    pthread_mutex_lock(&loop->post_mutex);
    struct task_queue swapped = loop->running;
    loop->running = loop->posted;
    loop->posted = swapped;
    pthread_mutex_unlock(&loop->post_mutex);
    while (loop->running.count > 0) {
        struct task task = queue_pop(&loop->running);
        task.run(task.context);
    }
}

static void loop_spawn(struct clock *clock, task_callback *work, task_callback *done, void *context) {
    struct loop *loop = loop_of(clock);
    pthread_mutex_lock(&loop->work_mutex);
    queue_push(&loop->work, (struct task){.run = work, .done = done, .context = context});
    pthread_cond_signal(&loop->work_arrived);
    pthread_mutex_unlock(&loop->work_mutex);
}

static void *work(void *argument) {
    struct loop *loop = argument;
    pthread_mutex_lock(&loop->work_mutex);
    for (;;) {
        while (loop->work.count == 0 && !loop->is_closing) {
            pthread_cond_wait(&loop->work_arrived, &loop->work_mutex);
        }
        if (loop->is_closing) {
            break;
        }
        struct task task = queue_pop(&loop->work);
        pthread_mutex_unlock(&loop->work_mutex);
        task.run(task.context);
        if (task.done != NULL) {
            loop_post(&loop->clock, task.done, task.context);
        }
        pthread_mutex_lock(&loop->work_mutex);
    }
    pthread_mutex_unlock(&loop->work_mutex);
    return NULL;
}

static const struct clock_ops loop_clock_ops = {
    .now_ms = loop_now_ms,
    .wall_ms = loop_wall_ms,
    .start = loop_start_timer,
    .stop = loop_stop_timer,
    .post = loop_post,
    .spawn = loop_spawn,
};

struct loop *loop_create(int32_t worker_count) {
    CHECK(worker_count >= 1 && worker_count <= LOOP_WORKERS_MAX);
    struct loop *loop = xcalloc(1, sizeof *loop);
    loop->clock.ops = &loop_clock_ops;
    loop->ev = ev_loop_new(EVFLAG_AUTO);
    CHECK(loop->ev != NULL);
    ev_set_userdata(loop->ev, loop);
    ev_async_init(&loop->wake, on_wake);
    ev_async_start(loop->ev, &loop->wake);
    CHECK(pthread_mutex_init(&loop->post_mutex, NULL) == 0);
    CHECK(pthread_mutex_init(&loop->work_mutex, NULL) == 0);
    CHECK(pthread_cond_init(&loop->work_arrived, NULL) == 0);

    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    for (; loop->worker_count < worker_count; loop->worker_count++) {
        CHECK(pthread_create(&loop->workers[loop->worker_count], NULL, work, loop) == 0);
    }
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return loop;
}

void loop_destroy(struct loop *loop) {
    if (loop == NULL) {
        return;
    }
    pthread_mutex_lock(&loop->work_mutex);
    loop->is_closing = true;
    pthread_cond_broadcast(&loop->work_arrived);
    pthread_mutex_unlock(&loop->work_mutex);
    for (int32_t i = 0; i < loop->worker_count; i++) {
        CHECK(pthread_join(loop->workers[i], NULL) == 0);
    }
    while (loop->free_slots != NULL) {
        struct timer_slot *slot = loop->free_slots;
        loop->free_slots = slot->next_free;
        free(slot);
    }
    for (int32_t i = 0; i < loop->signal_count; i++) {
        ev_signal_stop(loop->ev, &loop->signals[i].watcher);
    }
    ev_async_stop(loop->ev, &loop->wake);
    ev_loop_destroy(loop->ev);
    free(loop->posted.tasks);
    free(loop->running.tasks);
    free(loop->work.tasks);
    pthread_cond_destroy(&loop->work_arrived);
    pthread_mutex_destroy(&loop->work_mutex);
    pthread_mutex_destroy(&loop->post_mutex);
    free(loop);
}

struct clock *loop_clock(struct loop *loop) {
    return &loop->clock;
}

struct ev_loop *loop_ev(struct loop *loop) {
    return loop->ev;
}

void loop_run(struct loop *loop) {
    ev_run(loop->ev, 0);
}

void loop_stop(struct loop *loop) {
    ev_break(loop->ev, EVBREAK_ALL);
}

static void on_signal_event(struct ev_loop *ev, ev_signal *watcher, int events) {
    (void)ev;
    (void)events;
    struct signal_slot *slot = CONTAINER_OF(watcher, struct signal_slot, watcher);
    slot->on_signal(slot->context, watcher->signum);
}

void loop_on_signal(struct loop *loop, int signal_number, void (*on_signal)(void *context, int signal_number),
                    void *context) {
    CHECK(loop->signal_count < LOOP_SIGNALS_MAX);
    struct signal_slot *slot = &loop->signals[loop->signal_count++];
    slot->on_signal = on_signal;
    slot->context = context;
    ev_signal_init(&slot->watcher, on_signal_event, signal_number);
    ev_signal_start(loop->ev, &slot->watcher);
}
