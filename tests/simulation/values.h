/* Every record of a run: who sent it, and what became of it. A value is unique; a checker that sees one again knows it.
 *
 * An idempotent producer sends a value until it is told that it is there; any other sends it once. */
#ifndef OTTLA_SIM_VALUES_H
#define OTTLA_SIM_VALUES_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/simulation/plan.h"
#include "tests/simulation/topics.h"

struct value {
    int32_t producer;
    int32_t topic;     /* incarnation the producer meant */
    int32_t partition; /* likewise */
    int64_t number;    /* counts from 0 per producer, topic and partition */
};

#define VALUE_NOT_ACKED (-2)
#define VALUE_ACKED_SOMEWHERE (-1)

struct value_fate {
    int64_t sent_ms;    /* the last time, 0 never */
    int64_t arrived_ms; /* at a broker, the last time */
    int64_t acked;      /* by acks=all: offset, or one of the above */
    int64_t offset;     /* where it was read, in the topic it was meant for; -1 not read */
    bool is_read_finally;
    bool is_old; /* acked, and the topic was being deleted by then */
};

struct values;

struct values *values_create(void);
void values_destroy(struct values *values);
/* NULL for a value nobody can have sent. Valid until the next call. */
struct value_fate *values_fate(struct values *values, struct value value);
/* How many numbers there are of a producer in a stream. */
int64_t values_count(const struct values *values, int32_t producer, int32_t topic, int32_t partition);
int64_t values_acked_count(const struct values *values);
void values_note_acked(struct values *values);

#endif
