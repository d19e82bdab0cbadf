/* Duplicate: a record is at one offset only. Whoever retries is idempotent; the others send a record once. */
#include <inttypes.h>
#include <stdlib.h>

#include "tests/simulation/checkers/client_common.h"

/* Retention takes what is known of a producer along with its records, from whoever begins a log anew behind them: a
 * retry may then be written again, in Kafka too. */
static bool is_taken(const struct world *world, const struct consumed *consumed, int64_t offset) {
    return consumed->topic->may_shrink &&
           offset < client_checker_latest_start(world, consumed->topic, consumed->partition);
}

static void on_consumed(void *context, const struct consumed *consumed) {
    const struct client_checker *checker = context;
    struct value_fate *fate = values_fate(checker->world->values, consumed->value);
    if (fate == NULL || consumed->value.topic != consumed->topic->index) {
        return; /* of another topic of the name: C6 judges */
    }
    if (fate->offset >= 0 && fate->offset != consumed->offset && !is_taken(checker->world, consumed, fate->offset)) {
        violate(checker->world, "duplicate",
                "producer %d record %" PRId64 " of %s-%d is at %" PRId64 " and at %" PRId64, consumed->value.producer,
                consumed->value.number, consumed->topic->name, consumed->partition, fate->offset, consumed->offset);
    }
    fate->offset = consumed->offset;
    fate->is_read_finally = fate->is_read_finally || consumed->is_final;
}

const struct checker_ops checker_duplicate = {
    .name = "duplicate",
    .sentence = "a record is at one offset only",
    .create = client_checker_create,
    .destroy = free,
    .on_consumed = on_consumed,
};
