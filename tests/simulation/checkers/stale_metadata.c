/* Stale metadata: what one client hears from one broker, in that broker's one life, never goes back to an older leader
 * epoch, nor from a topic to the one it replaced. */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "generated/protocol/metadata.h"
#include "tests/simulation/checkers/checker.h"

struct told {
    uint32_t incarnation;
    int32_t epoch;
};

struct stale_metadata {
    struct world *world;
    struct told epochs[SIM_NODES_MAX][CLUSTER_BROKERS_MAX + 1][STREAMS_MAX];
    struct told topics[SIM_NODES_MAX][CLUSTER_BROKERS_MAX + 1][PLAN_TOPICS_MAX]; /* index of the incarnation */
};

static void *create(struct world *world) {
    struct stale_metadata *checker = xcalloc(1, sizeof *checker);
    checker->world = world;
    return checker;
}

/* Whether `value` is lower than what was told before in the same life. */
static bool goes_back(struct told *told, uint32_t incarnation, int32_t value, int32_t *ret_before) {
    bool is_same = told->incarnation == incarnation;
    *ret_before = told->epoch;
    if (!is_same || value > told->epoch) {
        *told = (struct told){incarnation, value};
    }
    return is_same && value < *ret_before;
}

static void on_metadata(void *context, int32_t node, struct machine *machine, uint32_t incarnation,
                        const struct metadata_response *response) {
    struct stale_metadata *checker = context;
    for (int32_t i = 0; i < response->topics_count; i++) {
        const struct metadata_response_metadata_response_topic *from = &response->topics[i];
        const struct topic *topic = topics_by_id(checker->world->topics, from->topic_id);
        int32_t before;
        if (from->error_code != 0 || topic == NULL) {
            continue;
        }
        if (goes_back(&checker->topics[node][machine->id][topic->slot], incarnation, topic->index, &before)) {
            violate(checker->world, "stale metadata", "broker %d told client %d of a %s that was replaced", machine->id,
                    node, topic->name);
        }
        for (int32_t k = 0; k < from->partitions_count; k++) {
            const struct metadata_response_metadata_response_partition *partition = &from->partitions[k];
            struct told *told = &checker->epochs[node][machine->id][stream_of(topic, partition->partition_index)];
            if (partition->leader_epoch >= 0 && goes_back(told, incarnation, partition->leader_epoch, &before)) {
                violate(checker->world, "stale metadata",
                        "broker %d told client %d of leader epoch %d of %s-%d, and before of %d", machine->id, node,
                        partition->leader_epoch, topic->name, partition->partition_index, before);
            }
        }
    }
}

const struct checker_ops checker_stale_metadata = {
    .name = "stale metadata",
    .sentence = "what one broker tells one client of leader epochs and topics never goes back",
    .create = create,
    .destroy = free,
    .on_metadata = on_metadata,
};
