/* See client_common.h. */
#include "tests/simulation/checkers/client_common.h"

#include "broker/base/check.h"
#include "replication/partition_runtime.h"
#include "tests/simulation/checkers/view.h"

void *client_checker_create(struct world *world) {
    struct client_checker *checker = xcalloc(1, sizeof *checker);
    checker->world = world;
    return checker;
}

int64_t client_checker_latest_start(const struct world *world, const struct topic *topic, int32_t partition) {
    int64_t start = 0;
    for (int32_t id = 1; id <= world->cluster->count; id++) {
        struct partition_runtime *runtime = view_replica(view_machine(world, id), topic, partition);
        start = runtime == NULL ? start : MAX(start, log_start_offset(runtime->log));
    }
    return start;
}

void client_checker_each_acked(const struct world *world, value_visitor *visit) {
    FOR_EACH_STREAM(world, topic, partition) {
        int64_t start = client_checker_latest_start(world, topic, partition);
        for (int32_t producer = 0; producer < world->plan->producer_count; producer++) {
            int64_t count = values_count(world->values, producer, topic->index, partition);
            for (int64_t number = 0; number < count; number++) {
                const struct value value = {producer, topic->index, partition, number};
                const struct value_fate *fate = values_fate(world->values, value);
                /* Of a compacted topic the last value of each key is what counts: last_value.c. */
                /* Where replicas move, the one whose log began latest may be gone with the move. */
                bool is_trimmed = topic->may_shrink && (fate->acked < start || world->plan->is_moving);
                bool is_taken = topic->is_compacted || is_trimmed;
                if (fate->acked != VALUE_NOT_ACKED && !fate->is_old && !is_taken) {
                    visit(world, topic, partition, value, fate);
                }
            }
        }
    }
}
