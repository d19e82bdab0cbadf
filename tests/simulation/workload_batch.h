/* The record batches of the simulated clients: values say who wrote them, so that whoever reads can check. */
#ifndef OTTLA_SIM_WORKLOAD_BATCH_H
#define OTTLA_SIM_WORKLOAD_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/protocol/records.h"
#include "tests/simulation/values.h"

#define WORKLOAD_BATCH_MAX 1024

struct workload_batch {
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
    int64_t timestamp_ms;
    struct value first; /* the others count on */
    int32_t count;
    int32_t key_count; /* 0: no keys */
};

/* In a compacted topic a record's key, and whether it deletes it, follow from what it is. */
int32_t workload_key(struct value value, int32_t key_count);
bool workload_is_tombstone(struct value value);

#define WORKLOAD_VALUE_BYTES 16
/* What a record's value, or a tombstone's header, says. */
struct value workload_value(const uint8_t *bytes);
/* Returns the size. */
int32_t workload_batch_encode(const struct workload_batch *batch, uint8_t ret_bytes[WORKLOAD_BATCH_MAX]);
struct record_batch;
typedef void workload_on_batch(void *context, const struct record_batch *batch);
/* A record given to whoever was at `position`. */
typedef void workload_on_record(void *context, int64_t position, int64_t offset, struct value value);
/* Tells of every batch, and of every record from *position on, and moves it behind the last. False when they do not
 * decode; a last batch cut short is left. */
bool workload_batch_read(struct records records, int64_t *position, workload_on_batch *on_batch,
                         workload_on_record *on_record, void *context);

#endif
