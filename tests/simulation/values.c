/* See values.h. */
#include "tests/simulation/values.h"

#include <stdlib.h>

#include "broker/base/check.h"

struct sequence {
    struct value_fate *fates;
    int64_t count;
    int64_t capacity;
};

struct values {
    struct sequence sequences[PLAN_PRODUCERS_MAX][STREAMS_MAX];
    int64_t acked_count;
};

#define NUMBERS_MAX 100000

struct values *values_create(void) {
    return xcalloc(1, sizeof(struct values));
}

void values_destroy(struct values *values) {
    for (int32_t producer = 0; producer < PLAN_PRODUCERS_MAX; producer++) {
        for (int32_t stream = 0; stream < STREAMS_MAX; stream++) {
            free(values->sequences[producer][stream].fates);
        }
    }
    free(values);
}

struct value_fate *values_fate(struct values *values, struct value value) {
    if (value.producer < 0 || value.producer >= PLAN_PRODUCERS_MAX || value.topic < 0 || value.topic >= TOPICS_MAX ||
        value.partition < 0 || value.partition >= PARTITIONS_MAX || value.number < 0 || value.number >= NUMBERS_MAX) {
        return NULL;
    }
    struct sequence *sequence = &values->sequences[value.producer][value.topic * PARTITIONS_MAX + value.partition];
    if (value.number >= sequence->capacity) {
        sequence->capacity = MAX(value.number + 1, 2 * sequence->capacity + 64);
        sequence->fates = xrealloc(sequence->fates, sizeof *sequence->fates * (size_t)sequence->capacity);
    }
    while (sequence->count <= value.number) {
        sequence->fates[sequence->count++] = (struct value_fate){.acked = VALUE_NOT_ACKED, .offset = -1};
    }
    return &sequence->fates[value.number];
}

int64_t values_count(const struct values *values, int32_t producer, int32_t topic, int32_t partition) {
    return values->sequences[producer][topic * PARTITIONS_MAX + partition].count;
}

int64_t values_acked_count(const struct values *values) {
    return values->acked_count;
}

void values_note_acked(struct values *values) {
    values->acked_count++;
}
