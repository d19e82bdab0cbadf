/* Unseen: when all is healed, one more reading from the beginning to the end finds everything that was acknowledged,
 * and finds it where its producer was told. */
#include <inttypes.h>
#include <stdlib.h>

#include "tests/simulation/checkers/client_common.h"

static void visit(const struct world *world, const struct topic *topic, int32_t partition, struct value value,
                  const struct value_fate *fate) {
    if (!fate->is_read_finally) {
        violate(world, "unseen",
                "producer %d record %" PRId64 " of %s-%d, acknowledged at %" PRId64 ", is not in the last reading",
                value.producer, value.number, topic->name, partition, fate->acked);
    } else if (fate->acked >= 0 && fate->acked != fate->offset) {
        violate(world, "unseen",
                "producer %d record %" PRId64 " of %s-%d was acknowledged at %" PRId64 " and is read at %" PRId64,
                value.producer, value.number, topic->name, partition, fate->acked, fate->offset);
    }
}

static void on_end(void *context) {
    const struct client_checker *checker = context;
    client_checker_each_acked(checker->world, visit);
}

const struct checker_ops checker_unseen = {
    .name = "unseen",
    .sentence = "after healing everything acknowledged is polled, where its producer was told it is",
    .create = client_checker_create,
    .destroy = free,
    .on_end = on_end,
};
