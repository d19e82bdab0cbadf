/* Producer ids for idempotent producers: blocks from the controller, handed out one by one.
 *
 * The next block is asked for while the current one still has a tenth left, so that InitProducerId seldom waits. An id
 * is never given twice: the controller writes each block to ZooKeeper before it hands it out. */
#ifndef OTTLA_REQUEST_PRODUCER_IDS_H
#define OTTLA_REQUEST_PRODUCER_IDS_H

#include <stdint.h>

struct producer_ids;
struct request_context;

/* Requests that wait for a block at the same time; one more is told to come back. */
#define PRODUCER_IDS_WAITING_MAX 10000
/* Between attempts while the controller cannot be reached. */
#define PRODUCER_IDS_RETRY_MS 100

/* One who waits for an id; embedded in its owner. */
struct producer_id_waiter {
    struct producer_id_waiter *next;
    struct producer_id_waiter *previous;
    /* error_code is 0, or COORDINATOR_LOAD_IN_PROGRESS when the controller gave no block in time. */
    void (*on_id)(struct producer_id_waiter *waiter, int16_t error_code, int64_t producer_id);
    int64_t deadline_ms;
};

struct producer_ids *producer_ids_create(struct request_context *context);
/* Nobody waits any more, and no answer of the controller is under way. */
void producer_ids_destroy(struct producer_ids *ids);
/* Calls back at once when there is an id, else when one comes or the time is up. */
void producer_ids_take(struct producer_ids *ids, struct producer_id_waiter *waiter);
/* The broker stops: whoever waits is told so. */
void producer_ids_stop(struct producer_ids *ids);

#endif
