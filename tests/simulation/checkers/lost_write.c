/* Lost write: what was acknowledged is read by somebody, since what follows it was. */
#include <inttypes.h>
#include <stdlib.h>

#include "tests/simulation/checkers/client_common.h"

static void visit(const struct world *world, const struct topic *topic, int32_t partition, struct value value,
                  const struct value_fate *fate) {
    if (fate->offset < 0) {
        violate(world, "lost write",
                "producer %d record %" PRId64 " of %s-%d was acknowledged at %" PRId64 " and is read by nobody",
                value.producer, value.number, topic->name, partition, fate->acked);
    }
}

static void on_end(void *context) {
    const struct client_checker *checker = context;
    client_checker_each_acked(checker->world, visit);
}

const struct checker_ops checker_lost_write = {
    .name = "lost write",
    .sentence = "what was acknowledged is read by somebody",
    .create = client_checker_create,
    .destroy = free,
    .on_end = on_end,
};
