/* A list of waits, a list of those to look at, and one posted task that looks. */
#include "broker/request/waiting_room.h"

#include <stdlib.h>

#include "broker/base/check.h"

struct waiting_room {
    struct clock *clock;
    struct wait *first;
    struct wait *marked;
    struct wait **marked_end;
    int32_t count;
    int32_t image_follower_count;
    bool is_posted;
    bool is_destroyed; /* while the task is still posted */
};

struct waiting_room *waiting_room_create(struct clock *clock) {
    struct waiting_room *room = xcalloc(1, sizeof *room);
    room->clock = clock;
    room->marked_end = &room->marked;
    return room;
}

void waiting_room_destroy(struct waiting_room *room) {
    if (room == NULL) {
        return;
    }
    CHECK(room->count == 0);
    if (room->is_posted) {
        room->is_destroyed = true;
    } else {
        free(room);
    }
}

int32_t waiting_room_count(const struct waiting_room *room) {
    return room->count;
}

static void unmark(struct waiting_room *room, struct wait *wait) {
    struct wait **link = &room->marked;
    while (*link != wait) {
        CHECK(*link != NULL);
        link = &(*link)->next_marked;
    }
    *link = wait->next_marked;
    if (room->marked_end == &wait->next_marked) {
        room->marked_end = link;
    }
    wait->is_marked = false;
}

static void leave(struct wait *wait) {
    struct waiting_room *room = wait->room;
    timer_stop(room->clock, &wait->timer);
    for (int32_t i = 0; i < wait->watch_count; i++) {
        partition_watcher_remove(&wait->watches[i].watcher);
    }
    if (wait->is_marked) {
        unmark(room, wait);
    }
    if (wait->previous != NULL) {
        wait->previous->next = wait->next;
    } else {
        room->first = wait->next;
    }
    if (wait->next != NULL) {
        wait->next->previous = wait->previous;
    }
    room->count--;
    room->image_follower_count -= wait->follows_image;
    wait->request->on_abandoned = NULL;
    wait->request->waiting = NULL;
}

static void finish(struct wait *wait) {
    leave(wait);
    wait->finish(wait);
}

static void on_deadline(struct timer *timer) {
    finish(CONTAINER_OF(timer, struct wait, timer));
}

static void on_request_abandoned(struct request *request) {
    finish(request->waiting);
}

/* Looks at what was marked up to now; what these answers mark in turn is looked at in the same run, and each answer
 * takes a wait away, so the run ends. */
static void check_marked(void *context) {
    struct waiting_room *room = context;
    room->is_posted = false;
    if (room->is_destroyed) {
        free(room);
        return;
    }
    while (room->marked != NULL) {
        struct wait *wait = room->marked;
        unmark(room, wait);
        if (wait->is_over(wait)) {
            finish(wait);
        }
    }
}

void wait_mark(struct wait *wait) {
    struct waiting_room *room = wait->room;
    if (wait->is_marked) {
        return;
    }
    wait->is_marked = true;
    wait->next_marked = NULL;
    *room->marked_end = wait;
    room->marked_end = &wait->next_marked;
    if (!room->is_posted) {
        room->is_posted = true;
        clock_post(room->clock, check_marked, room);
    }
}

static void on_partition_changed(struct partition_watcher *watcher) {
    struct wait_watch *watch = CONTAINER_OF(watcher, struct wait_watch, watcher);
    watch->is_changed = true;
    wait_mark(watch->wait);
}

void waiting_room_enter(struct waiting_room *room, struct wait *wait, int64_t timeout_ms) {
    wait->room = room;
    wait->next = room->first;
    if (room->first != NULL) {
        room->first->previous = wait;
    }
    room->first = wait;
    room->count++;
    room->image_follower_count += wait->follows_image;
    wait->request->waiting = wait;
    wait->request->on_abandoned = on_request_abandoned;
    timer_start(room->clock, &wait->timer, timeout_ms, on_deadline);
}

void wait_hasten(struct wait *wait, int64_t timeout_ms) {
    struct clock *clock = wait->room->clock;
    if (wait->timer.deadline_ms - clock_now_ms(clock) > timeout_ms) {
        timer_start(clock, &wait->timer, timeout_ms, on_deadline);
    }
}

void wait_watch_partition(struct wait *wait, struct wait_watch *watch, struct partition_runtime *partition) {
    watch->wait = wait;
    watch->watcher.on_change = on_partition_changed;
    partition_runtime_watch(partition, &watch->watcher);
}

void waiting_room_on_image_changed(void *context) {
    struct waiting_room *room = context;
    if (room->image_follower_count == 0) {
        return;
    }
    for (struct wait *wait = room->first; wait != NULL; wait = wait->next) {
        if (wait->follows_image) {
            wait_mark(wait);
        }
    }
}

void waiting_room_finish_all(struct waiting_room *room) {
    while (room->first != NULL) {
        finish(room->first);
    }
}
