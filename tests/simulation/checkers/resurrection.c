/* No key comes back: where the last word on a key is a tombstone, no replica holds an older value as the newest in the
 * end.
 *
 * Kafka promises that only to replicas that are never behind for longer than delete.retention.ms: who is may miss a
 * tombstone that was removed meanwhile, and keeps what it deleted. So is, by the same gap, who loses tombstones to a
 * power cut, and all when a clock jumps. Such partitions are not judged. */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "replication/partition_runtime.h"
#include "tests/simulation/checkers/cleaned.h"
#include "tests/simulation/checkers/client_common.h"
#include "tests/simulation/checkers/exposed.h"
#include "tests/simulation/checkers/view.h"
#include "tests/simulation/workload_batch.h"

/* A replica that has everything that was exposed at some moment begins anew with what is exposed now. */
struct chase {
    bool is_begun;
    int64_t target;
    int64_t since_ms;
};

struct resurrection {
    struct world *world;
    struct chase chases[CLUSTER_BROKERS_MAX + 1][STREAMS_MAX];
    bool is_void; /* a clock has jumped, or power was lost */
};

static void *create(struct world *world) {
    struct resurrection *checker = xcalloc(1, sizeof *checker);
    checker->world = world;
    return checker;
}

static void chase(struct resurrection *checker, const struct topic *topic, int32_t partition, int32_t id) {
    const struct world *world = checker->world;
    int32_t stream = stream_of(topic, partition);
    struct chase *chase = &checker->chases[id][stream];
    struct partition_runtime *runtime = view_replica(view_machine(world, id), topic, partition);
    int64_t now_ms = sim_now_ms(world->cluster->sim);
    if (!chase->is_begun || (runtime != NULL && log_end_offset(runtime->log) >= chase->target)) {
        *chase = (struct chase){true, exposed_end(world->exposed, stream), now_ms};
    }
    if (now_ms - chase->since_ms > world->plan->tombstone_ms / 2) {
        keys_stream(world->keys, stream)->is_exempt = true;
    }
}

static void on_step(void *context) {
    struct resurrection *checker = context;
    const struct world *world = checker->world;
    for (int32_t id = 1; id <= world->cluster->count; id++) {
        checker->is_void = checker->is_void || view_machine(world, id)->wall_offset_ms != 0;
    }
    checker->is_void = checker->is_void || world->marks->counts[MARK_POWER_LOST] > 0;
    FOR_EACH_KEYED(world, topic, partition) {
        keys_stream(world->keys, stream_of(topic, partition))->is_exempt |= checker->is_void;
        for (int32_t i = 0; i < topic->replica_counts[partition]; i++) {
            chase(checker, topic, partition, topic->replicas[partition][i]);
        }
    }
}

static void visit(void *context, const struct cleaned *cleaned) {
    struct resurrection *checker = context;
    const struct keyed_stream *stream =
        keys_stream(checker->world->keys, stream_of(cleaned->topic, cleaned->partition));
    for (int32_t key = 0; key < cleaned->topic->key_count; key++) {
        const struct key_state *last = &stream->last[key];
        const struct key_state *found = &cleaned->newest[key];
        if (!last->is_known || !workload_is_tombstone(last->value) || stream->is_exempt) {
            continue;
        }
        checker->world->marks->counts[MARK_TOMBSTONE_GONE] += !found->is_known;
        if (found->is_known && found->offset < last->offset &&
            found->offset >= client_checker_latest_start(checker->world, cleaned->topic, cleaned->partition)) {
            violate(checker->world, "resurrection",
                    "broker %d %s-%d: key %d was deleted at %" PRId64 " and has its value of %" PRId64 " again",
                    cleaned->broker, cleaned->topic->name, cleaned->partition, key, last->offset, found->offset);
        }
    }
}

static void on_end(void *context) {
    struct resurrection *checker = context;
    cleaned_each(checker->world, visit, checker);
}

const struct checker_ops checker_resurrection = {
    .name = "resurrection",
    .sentence = "a key that was deleted does not come back",
    .create = create,
    .destroy = free,
    .on_step = on_step,
    .on_end = on_end,
};
