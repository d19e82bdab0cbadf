/* L6: leader epochs never go down along a log, and the epoch cache says what a scan of the log says. Read from the
 * files, after every restart and at the end. A log that knows it may have lost something (replication/README.md,
 * "Holes") is looked at when that is settled. */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/broker_internal.h"
#include "broker/log/log_manager.h"
#include "tests/simulation/checkers/dump.h"
#include "tests/simulation/checkers/view.h"

struct lineage {
    struct world *world;
};

static void *create(struct world *world) {
    struct lineage *checker = xcalloc(1, sizeof *checker);
    checker->world = world;
    return checker;
}

static int64_t cached_start(const struct dump *dump, int32_t epoch) {
    for (int32_t i = 0; i < dump->epoch_count; i++) {
        if (dump->epochs[i].epoch == epoch) {
            return dump->epochs[i].start;
        }
    }
    return -1;
}

static void check(const struct world *world, const struct machine *machine, const struct topic *of, int32_t partition,
                  const struct dump *dump) {
    const char *topic = of->name;
    /* Where records were deleted, the cache begins at the log start and the files may still hold what is before. */
    int64_t first = !of->may_shrink ? 0 : dump->epoch_count > 0 ? dump->epochs[0].start : INT64_MAX;
    bool is_first = true;
    for (int32_t i = 0; i < dump->count; i++) {
        const struct exposed_batch *batch = &dump->batches[i];
        int32_t before = i == 0 ? -1 : dump->batches[i - 1].leader_epoch;
        if (batch->leader_epoch < before) {
            violate(world, "L6", "broker %d %s-%d goes from leader epoch %d back to %d at %" PRId64, machine->id, topic,
                    partition, before, batch->leader_epoch, batch->base_offset);
        }
        if (batch->base_offset < first || (batch->leader_epoch == before && !is_first)) {
            continue;
        }
        int64_t start = cached_start(dump, batch->leader_epoch);
        /* Of the oldest epoch the log may have lost the beginning, where the cleaner works of each. */
        bool may_begin_earlier = is_first || of->is_compacted;
        if (start < 0 || (may_begin_earlier ? start > batch->base_offset : start != batch->base_offset)) {
            violate(world, "L6",
                    "broker %d %s-%d: leader epoch %d begins at %" PRId64 " in the log and at %" PRId64 " in the cache",
                    machine->id, topic, partition, batch->leader_epoch, batch->base_offset, start);
        }
        is_first = false;
    }
    int64_t end = dump->count == 0 ? 0 : dump->batches[dump->count - 1].last_offset + 1;
    int32_t last = dump->count == 0 ? -1 : dump->batches[dump->count - 1].leader_epoch;
    for (int32_t i = 0; i < dump->epoch_count; i++) {
        if (i > 0 &&
            (dump->epochs[i].epoch <= dump->epochs[i - 1].epoch || dump->epochs[i].start < dump->epochs[i - 1].start)) {
            violate(world, "L6", "broker %d %s-%d: the epoch cache goes back at epoch %d", machine->id, topic,
                    partition, dump->epochs[i].epoch);
        }
        /* The cleaner may have taken what was last in the epoch before. */
        bool is_at_end = of->is_compacted ? dump->epochs[i].start >= end : dump->epochs[i].start == end;
        if (dump->count > 0 && dump->epochs[i].epoch > last && !is_at_end) {
            violate(world, "L6",
                    "broker %d %s-%d: the cache lets epoch %d begin at %" PRId64 ", the log ends at %" PRId64
                    " in epoch %d",
                    machine->id, topic, partition, dump->epochs[i].epoch, dump->epochs[i].start, end, last);
        }
    }
}

static bool is_doubtful(const struct machine *machine, const struct topic *topic, int32_t partition) {
    const struct log *log =
        view_is_running(machine) ? log_manager_find(machine->broker->logs, topic->name, partition) : NULL;
    return log != NULL && log_doubtful_from(log) >= 0;
}

static void check_machine(struct lineage *checker, const struct machine *machine) {
    if (cluster_has_lost_directory(machine)) {
        return;
    }
    FOR_EACH_STREAM(checker->world, topic, partition) {
        struct dump dump;
        if (dump_read(machine, topic->name, partition, &dump) && dump.problem[0] == '\0' &&
            !is_doubtful(machine, topic, partition)) {
            check(checker->world, machine, topic, partition, &dump);
        }
        dump_free(&dump);
    }
}

static void on_serving(void *context, struct machine *machine) {
    check_machine(context, machine);
}

static void on_end(void *context) {
    struct lineage *checker = context;
    for (int32_t id = 1; id <= checker->world->cluster->count; id++) {
        check_machine(checker, view_machine(checker->world, id));
    }
}

const struct checker_ops checker_lineage = {
    .name = "L6",
    .sentence = "leader epochs never go down along a log, and the epoch cache equals a scan of it",
    .create = create,
    .destroy = free,
    .on_serving = on_serving,
    .on_end = on_end,
};
