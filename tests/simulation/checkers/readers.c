/* L8: what a consumer was given is what was exposed there, for ever: the batches of every Fetch answer are compared
 * with the one history, and a log begins later only where somebody asked for it, and never beyond what was exposed. */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/protocol/record_batch.h"
#include "replication/partition_runtime.h"
#include "tests/simulation/checkers/exposed.h"
#include "tests/simulation/checkers/view.h"

struct readers {
    struct world *world;
    int64_t starts[CLUSTER_BROKERS_MAX + 1][STREAMS_MAX];
};

static void *create(struct world *world) {
    struct readers *checker = xcalloc(1, sizeof *checker);
    checker->world = world;
    return checker;
}

static void on_batch(void *context, const struct topic *topic, int32_t partition, const struct record_batch *batch) {
    struct readers *checker = context;
    int32_t stream = stream_of(topic, partition);
    const struct exposed_batch read = {batch->base_offset, batch->last_offset, batch->leader_epoch, batch->crc};
    const struct exposed_batch *expected = exposed_find(checker->world->exposed, stream, batch->base_offset);
    if (batch->base_offset == exposed_end(checker->world->exposed, stream)) {
        exposed_add(checker->world->exposed, stream, &read); /* shown before anybody looked at the replicas */
    } else if (expected != NULL &&
               !(topic->is_compacted ? exposed_same(&read, expected) : exposed_equal(&read, expected))) {
        violate(checker->world, "L8",
                "a consumer of %s-%d was given [%" PRId64 ",%" PRId64 "] of epoch %d where [%" PRId64 ",%" PRId64
                "] of epoch %d was exposed",
                topic->name, partition, read.base_offset, read.last_offset, read.leader_epoch, expected->base_offset,
                expected->last_offset, expected->leader_epoch);
    }
}

static void on_step(void *context) {
    struct readers *checker = context;
    const struct world *world = checker->world;
    FOR_EACH_STREAM(world, topic, partition) {
        int32_t stream = stream_of(topic, partition);
        for (int32_t id = 1; id <= world->cluster->count; id++) {
            struct partition_runtime *runtime = view_replica(view_machine(world, id), topic, partition);
            int64_t *seen = &checker->starts[id][stream];
            int64_t start = runtime == NULL ? *seen : log_start_offset(runtime->log);
            if (start > *seen) {
                world->marks->counts[MARK_START_RAISED]++;
            }
            int64_t high_watermark = runtime == NULL ? 0 : partition_runtime_high_watermark(runtime);
            if (start != *seen &&
                (!topic->may_shrink || start > MAX(high_watermark, exposed_end(world->exposed, stream)))) {
                violate(world, "L8", "broker %d: the log of %s-%d begins at %" PRId64 " of %" PRId64 " exposed, %s", id,
                        topic->name, partition, start, exposed_end(world->exposed, stream),
                        topic->may_shrink ? "beyond it" : "and nobody asked for that");
            }
            *seen = start;
        }
    }
}

const struct checker_ops checker_readers = {
    .name = "L8",
    .sentence = "what was once served is never served otherwise, nor gone unless retention removed it",
    .create = create,
    .destroy = free,
    .on_step = on_step,
    .on_batch = on_batch,
};
