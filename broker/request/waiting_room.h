/* Where requests wait: for followers to catch up (acks=all), for records to arrive (long polls), for a deadline.
 *
 * A wait watches partitions. What changes them only marks the wait; the check runs in a task of its own a moment later,
 * so that nothing answers from inside an append and a hundred changes cost one check. */
#ifndef OTTLA_REQUEST_WAITING_ROOM_H
#define OTTLA_REQUEST_WAITING_ROOM_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/clock.h"
#include "broker/request/request.h"
#include "replication/replica_manager.h"

struct waiting_room;
struct wait;

/* One watched partition of a wait. */
struct wait_watch {
    struct partition_watcher watcher;
    struct wait *wait;
    bool is_changed; /* since the last check; whoever checks clears it */
};

/* Lives in the arena of its request. Fill in the first group and zero the rest. */
struct wait {
    struct request *request;
    /* Looks at what changed; true when the wait is over. */
    bool (*is_over)(struct wait *wait);
    /* Answers the request, once, after the wait has left the room: it was over, its time was up, the client has gone
     * or the broker stops. */
    void (*finish)(struct wait *wait);
    struct wait_watch *watches;
    int32_t watch_count;
    bool follows_image; /* marked as well whenever the cluster's image changed */

    struct waiting_room *room;
    struct timer timer;
    struct wait *previous;
    struct wait *next;
    struct wait *next_marked;
    bool is_marked;
};

struct waiting_room *waiting_room_create(struct clock *clock);
/* The room is empty: waiting_room_finish_all() came before. */
void waiting_room_destroy(struct waiting_room *room);

/* Enters the room for at most `timeout_ms`. Whoever enters has found that the wait is not over yet. */
void waiting_room_enter(struct waiting_room *room, struct wait *wait, int64_t timeout_ms);
/* Watches one partition from now on; `watch` is one of wait->watches. */
void wait_watch_partition(struct wait *wait, struct wait_watch *watch, struct partition_runtime *partition);
/* The wait ends after `timeout_ms` from now, if it would not end before. */
void wait_hasten(struct wait *wait, int64_t timeout_ms);
/* Asks for a check for a reason other than a partition. */
void wait_mark(struct wait *wait);
/* The image changed: an image_changed_callback whose context is the room. */
void waiting_room_on_image_changed(void *context);
/* The broker stops: everything that waits is answered as it stands. */
void waiting_room_finish_all(struct waiting_room *room);
int32_t waiting_room_count(const struct waiting_room *room);

#endif
