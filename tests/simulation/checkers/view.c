/* See view.h. */
#include "tests/simulation/checkers/view.h"

#include "broker/broker_internal.h"
#include "replication/replica_manager_internal.h"

bool view_is_running(const struct machine *machine) {
    return machine != NULL && (machine->state == MACHINE_SERVING || machine->state == MACHINE_STOPPING);
}

struct partition_runtime *view_replica(const struct machine *machine, const struct topic *topic, int32_t partition) {
    if (!view_is_running(machine)) {
        return NULL;
    }
    /* The plain lookup: the public one may step the partition, and whoever looks must not. */
    struct partition_runtime *found = replica_manager_find(machine->broker->replicas, str_from(topic->name), partition);
    return found == NULL || found->log == NULL || log_is_fenced(found->log) || !uuid_equal(found->topic_id, topic->id)
               ? NULL
               : found;
}

bool view_is_in_sync(const struct topic *topic, int32_t partition, int32_t broker_id) {
    const struct topic_state *state = &topic->states[partition];
    for (int32_t i = 0; i < state->isr_count; i++) {
        if (state->isr[i] == broker_id) {
            return true;
        }
    }
    return false;
}
