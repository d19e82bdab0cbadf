/* L7: a leader epoch has one leader. Every broker that believes to lead is asked which epoch in, at every step; epochs
 * of a partition that died with its leader between two steps are seen in the batches (lineage.c). */
#include <stdlib.h>

#include "broker/base/check.h"
#include "replication/partition_runtime.h"
#include "tests/simulation/checkers/view.h"

#define EPOCHS_MAX 1024

struct leaders {
    struct world *world;
    int8_t *leader_of_epoch[STREAMS_MAX]; /* 0 unknown; NULL before anybody led */
};

static void *create(struct world *world) {
    struct leaders *checker = xcalloc(1, sizeof *checker);
    checker->world = world;
    return checker;
}

static void destroy(void *context) {
    struct leaders *checker = context;
    for (int32_t i = 0; i < STREAMS_MAX; i++) {
        free(checker->leader_of_epoch[i]);
    }
    free(checker);
}

static void on_step(void *context) {
    struct leaders *checker = context;
    const struct world *world = checker->world;
    FOR_EACH_STREAM(world, topic, partition) {
        for (int32_t id = 1; id <= world->cluster->count; id++) {
            const struct partition_runtime *runtime = view_replica(view_machine(world, id), topic, partition);
            if (runtime == NULL || !partition_runtime_is_leader(runtime)) {
                continue;
            }
            int32_t epoch = partition_runtime_leader_epoch(runtime);
            int8_t **leaders = &checker->leader_of_epoch[stream_of(topic, partition)];
            CHECK(epoch >= 0 && epoch < EPOCHS_MAX);
            if (*leaders == NULL) {
                *leaders = xcalloc(EPOCHS_MAX, sizeof **leaders);
            }
            if ((*leaders)[epoch] != 0 && (*leaders)[epoch] != id) {
                violate(world, "L7", "%s-%d epoch %d is led by %d and by %d", topic->name, partition, epoch,
                        (*leaders)[epoch], id);
            }
            (*leaders)[epoch] = (int8_t)id;
        }
    }
}

const struct checker_ops checker_leaders = {
    .name = "L7",
    .sentence = "at most one broker leads in a leader epoch",
    .create = create,
    .destroy = destroy,
    .on_step = on_step,
};
