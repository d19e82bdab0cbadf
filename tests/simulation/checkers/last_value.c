/* The last value of every key stays: in the end each replica has it, where it was written, and the last reading found
 * it. */
#include <inttypes.h>
#include <stdlib.h>

#include "tests/simulation/checkers/cleaned.h"
#include "tests/simulation/checkers/client_common.h"
#include "tests/simulation/checkers/view.h"
#include "tests/simulation/workload_batch.h"

static void on_step(void *context) {
    const struct client_checker *checker = context;
    keys_learn(checker->world->keys, checker->world);
}

static void visit(void *context, const struct cleaned *cleaned) {
    const struct client_checker *checker = context;
    const struct keyed_stream *stream =
        keys_stream(checker->world->keys, stream_of(cleaned->topic, cleaned->partition));
    for (int32_t key = 0; key < cleaned->topic->key_count; key++) {
        const struct key_state *last = &stream->last[key];
        const struct key_state *found = &cleaned->newest[key];
        if (!last->is_known || workload_is_tombstone(last->value) ||
            last->offset < client_checker_latest_start(checker->world, cleaned->topic, cleaned->partition)) {
            continue;
        }
        if (!found->is_known || found->offset != last->offset) {
            violate(checker->world, "last value",
                    "broker %d %s-%d: the last value of key %d, at %" PRId64 ", is gone; the newest is at %" PRId64,
                    cleaned->broker, cleaned->topic->name, cleaned->partition, key, last->offset,
                    found->is_known ? found->offset : -1);
        }
        const struct value_fate *fate = values_fate(checker->world->values, last->value);
        if (last->value.topic == cleaned->topic->index && !fate->is_read_finally) {
            violate(checker->world, "last value",
                    "%s-%d: the last value of key %d, at %" PRId64 ", is not in the last reading", cleaned->topic->name,
                    cleaned->partition, key, last->offset);
        }
    }
}

static void on_end(void *context) {
    struct client_checker *checker = context;
    cleaned_each(checker->world, visit, checker);
}

const struct checker_ops checker_last_value = {
    .name = "last value",
    .sentence = "compaction keeps the last value of every key on every replica",
    .create = client_checker_create,
    .destroy = free,
    .on_step = on_step,
    .on_end = on_end,
};
