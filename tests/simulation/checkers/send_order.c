/* Nonmonotonic send: what one producer sends to one partition, one after the other, gets growing offsets. */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "tests/simulation/checkers/checker.h"

struct sent {
    int64_t number;
    int64_t offset;
    bool is_known;
};

struct send_order {
    struct world *world;
    struct sent acked[PLAN_PRODUCERS_MAX][STREAMS_MAX];
};

static void *create(struct world *world) {
    struct send_order *checker = xcalloc(1, sizeof *checker);
    checker->world = world;
    return checker;
}

static void on_acked(void *context, const struct topic *topic, struct value value, int64_t offset) {
    struct send_order *checker = context;
    struct sent *last = &checker->acked[value.producer][stream_of(topic, value.partition)];
    if (offset < 0) {
        return;
    }
    if (last->is_known && last->offset >= offset) {
        violate(checker->world, "nonmonotonic send",
                "producer %d %s-%d: record %" PRId64 " is at %" PRId64 " and the later %" PRId64 " at %" PRId64,
                value.producer, topic->name, value.partition, last->number, last->offset, value.number, offset);
    }
    *last = (struct sent){value.number, offset, true};
}

const struct checker_ops checker_send_order = {
    .name = "nonmonotonic send",
    .sentence = "sends of one producer to one partition get growing offsets",
    .create = create,
    .destroy = free,
    .on_acked = on_acked,
};
