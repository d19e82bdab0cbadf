/* L3: a leader that is not stale moves its high watermark only over what the registered in-sync set, and whoever it has
 * proposed, told it to have; and (L13) not at all while that set is below min.insync.replicas. */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "replication/partition_runtime.h"
#include "tests/simulation/checkers/view.h"

struct seen {
    int32_t leader_epoch;
    int32_t partition_epoch;
    uint32_t incarnation;
    int64_t high_watermark;
    int32_t isr_count;
};

struct high_watermark {
    struct world *world;
    struct seen seen[CLUSTER_BROKERS_MAX + 1][STREAMS_MAX];
};

static void *create(struct world *world) {
    struct high_watermark *checker = xcalloc(1, sizeof *checker);
    checker->world = world;
    return checker;
}

static void check_members(const struct world *world, const struct machine *machine, const struct topic *topic,
                          int32_t partition, const struct partition *core) {
    const struct topic_state *state = &topic->states[partition];
    for (int32_t i = 0; i < state->isr_count; i++) {
        const struct replica_state *remote = partition_replica(core, state->isr[i]);
        if (remote != NULL && remote->log_end_offset < core->high_watermark) {
            violate(world, "L3",
                    "broker %d leads %s-%d in epoch %d with high watermark %" PRId64
                    ", but broker %d of the in-sync set told it of %" PRId64,
                    machine->id, topic->name, partition, core->leader_epoch, core->high_watermark, state->isr[i],
                    remote->log_end_offset);
        }
    }
    for (int32_t i = 0; core->isr.change == ISR_EXPANDING && i < core->isr.proposed.count; i++) {
        const struct replica_state *remote = partition_replica(core, core->isr.proposed.ids[i]);
        if (remote != NULL && remote->log_end_offset < core->high_watermark) {
            violate(world, "L3",
                    "broker %d leads %s-%d in epoch %d with high watermark %" PRId64 ", but the proposed broker %d "
                    "told it of %" PRId64,
                    machine->id, topic->name, partition, core->leader_epoch, core->high_watermark,
                    core->isr.proposed.ids[i], remote->log_end_offset);
        }
    }
}

static void look(struct high_watermark *checker, const struct machine *machine, const struct topic *topic,
                 int32_t partition) {
    const struct world *world = checker->world;
    struct partition_runtime *runtime = view_replica(machine, topic, partition);
    struct seen *seen = &checker->seen[machine->id][stream_of(topic, partition)];
    if (runtime == NULL || runtime->core.role != PARTITION_LEADER) {
        seen->incarnation = 0;
        return;
    }
    const struct partition *core = &runtime->core;
    bool is_same = seen->incarnation == machine->incarnation && seen->leader_epoch == core->leader_epoch;
    bool has_moved = is_same && core->high_watermark > seen->high_watermark;
    bool is_stale = topic->states[partition].version != core->partition_epoch ||
                    topic->states[partition].leader_epoch != core->leader_epoch;
    if (has_moved && !is_stale) {
        check_members(world, machine, topic, partition, core);
    }
    int32_t min = MIN(world->plan->min_insync, core->replicas.count);
    if (core->isr.committed.count < min) {
        world->marks->counts[MARK_BELOW_MIN_ISR] += !is_same || seen->isr_count >= min;
        if (has_moved && seen->partition_epoch == core->partition_epoch && seen->isr_count < min) {
            violate(world, "L13",
                    "broker %d moved the high watermark of %s-%d to %" PRId64 " with %d of %d replicas in sync",
                    machine->id, topic->name, partition, core->high_watermark, core->isr.committed.count, min);
        }
    }
    *seen = (struct seen){.leader_epoch = core->leader_epoch,
                          .partition_epoch = core->partition_epoch,
                          .incarnation = machine->incarnation,
                          .high_watermark = core->high_watermark,
                          .isr_count = core->isr.committed.count};
}

static void on_step(void *context) {
    struct high_watermark *checker = context;
    FOR_EACH_STREAM(checker->world, topic, partition) {
        for (int32_t id = 1; id <= checker->world->cluster->count; id++) {
            look(checker, view_machine(checker->world, id), topic, partition);
        }
    }
}

const struct checker_ops checker_high_watermark = {
    .name = "L3",
    .sentence = "the high watermark moves only over the registered and the proposed in-sync set",
    .create = create,
    .destroy = free,
    .on_step = on_step,
};
