/* Poll skip and nonmonotonic poll: one consumer of one partition is given every record, one after the other; it begins
 * elsewhere only when it was told that its position is gone, and that only where retention may have taken it. */
#include <inttypes.h>
#include <stdlib.h>

#include "tests/simulation/checkers/client_common.h"

static void on_consumed(void *context, const struct consumed *consumed) {
    const struct client_checker *checker = context;
    bool may_skip = consumed->topic->is_compacted && consumed->offset > consumed->position;
    if (consumed->offset != consumed->position && !may_skip) {
        violate(checker->world, consumed->offset > consumed->position ? "poll skip" : "nonmonotonic poll",
                "consumer %d of %s-%d at %" PRId64 " was given %" PRId64, consumed->consumer, consumed->topic->name,
                consumed->partition, consumed->position, consumed->offset);
    }
}

static void on_reset(void *context, int32_t consumer, const struct topic *topic, int32_t partition, int64_t from,
                     int64_t to) {
    const struct client_checker *checker = context;
    checker->world->marks->counts[MARK_CONSUMER_RESET]++;
    if (!topic->may_shrink || to <= from) {
        violate(checker->world, "poll skip", "consumer %d of %s-%d was sent from %" PRId64 " to %" PRId64, consumer,
                topic->name, partition, from, to);
    }
}

const struct checker_ops checker_poll_order = {
    .name = "poll skip",
    .sentence = "successive polls skip no record and never go back",
    .create = client_checker_create,
    .destroy = free,
    .on_consumed = on_consumed,
    .on_reset = on_reset,
};
