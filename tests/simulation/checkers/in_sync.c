/* L4: whoever is in the registered in-sync set holds everything that was ever exposed. A machine that lost its power is
 * left out until it has been back in sync: without a sync before the acknowledgement nothing else can be promised. */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "replication/partition_runtime.h"
#include "tests/simulation/checkers/exposed.h"
#include "tests/simulation/checkers/view.h"

struct in_sync {
    struct world *world;
};

static void *create(struct world *world) {
    struct in_sync *checker = xcalloc(1, sizeof *checker);
    checker->world = world;
    return checker;
}

static void on_step(void *context) {
    struct in_sync *checker = context;
    const struct world *world = checker->world;
    FOR_EACH_STREAM(world, topic, partition) {
        const struct topic_state *state = &topic->states[partition];
        int64_t exposed = exposed_end(world->exposed, stream_of(topic, partition));
        for (int32_t i = 0; state->is_known && !topic->is_deleting && i < state->isr_count; i++) {
            const struct machine *machine = view_machine(world, state->isr[i]);
            struct partition_runtime *runtime =
                machine == NULL || machine->is_lossy ? NULL : view_replica(machine, topic, partition);
            if (runtime != NULL && log_end_offset(runtime->log) < exposed) {
                violate(world, "L4",
                        "broker %d is in the in-sync set of %s-%d (leader %d epoch %d) with %" PRId64 " of %" PRId64
                        " exposed records",
                        machine->id, topic->name, partition, state->leader, state->leader_epoch,
                        log_end_offset(runtime->log), exposed);
            }
        }
    }
}

const struct checker_ops checker_in_sync = {
    .name = "L4",
    .sentence = "every member of the in-sync set has everything that was ever exposed",
    .create = create,
    .destroy = free,
    .on_step = on_step,
};
