/* Inconsistent offsets: one offset of one partition has one record, for its producer and for every consumer. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "tests/simulation/checkers/checker.h"

struct observed {
    struct value value;
    bool is_known;
};

struct inconsistent_offsets {
    struct world *world;
    struct observed *observed[STREAMS_MAX]; /* by offset */
    int64_t capacity[STREAMS_MAX];
};

static void *create(struct world *world) {
    struct inconsistent_offsets *checker = xcalloc(1, sizeof *checker);
    checker->world = world;
    return checker;
}

static void destroy(void *context) {
    struct inconsistent_offsets *checker = context;
    for (int32_t i = 0; i < STREAMS_MAX; i++) {
        free(checker->observed[i]);
    }
    free(checker);
}

static void observe(struct inconsistent_offsets *checker, const struct topic *topic, int32_t partition, const char *who,
                    struct value value, int64_t offset) {
    int32_t stream = stream_of(topic, partition);
    if (offset >= checker->capacity[stream]) {
        int64_t capacity = MAX(offset + 1, 2 * checker->capacity[stream] + 256);
        checker->observed[stream] = xrealloc(checker->observed[stream], sizeof(struct observed) * (size_t)capacity);
        memset(checker->observed[stream] + checker->capacity[stream], 0,
               sizeof(struct observed) * (size_t)(capacity - checker->capacity[stream]));
        checker->capacity[stream] = capacity;
    }
    struct observed *at = &checker->observed[stream][offset];
    if (!at->is_known) {
        *at = (struct observed){value, true};
    } else if (at->value.producer != value.producer || at->value.topic != value.topic ||
               at->value.number != value.number) {
        violate(checker->world, "inconsistent offsets",
                "%s-%d offset %" PRId64 " is %d/%" PRId64 " and, %s, %d/%" PRId64, topic->name, partition, offset,
                at->value.producer, at->value.number, who, value.producer, value.number);
    }
}

static void on_acked(void *context, const struct topic *topic, struct value value, int64_t offset) {
    if (offset >= 0) {
        observe(context, topic, value.partition, "to its producer", value, offset);
    }
}

static void on_consumed(void *context, const struct consumed *consumed) {
    observe(context, consumed->topic, consumed->partition, "to a consumer", consumed->value, consumed->offset);
}

const struct checker_ops checker_inconsistent_offsets = {
    .name = "inconsistent offsets",
    .sentence = "one offset has one record for all who see it",
    .create = create,
    .destroy = destroy,
    .on_acked = on_acked,
    .on_consumed = on_consumed,
};
