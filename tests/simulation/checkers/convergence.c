/* See convergence.h. */
#include "tests/simulation/checkers/convergence.h"

#include <inttypes.h>
#include <stdio.h>

#include "replication/partition_runtime.h"
#include "replication/replica_manager_internal.h"
#include "tests/simulation/checkers/view.h"

/* What the leader knows of the others, for whoever looks into a failure. */
static void describe(const struct partition_runtime *leader, char *ret_text, size_t size) {
    size_t used = 0;
    ret_text[0] = '\0';
    for (int32_t i = 0; leader != NULL && i < leader->core.remote_count && used < size; i++) {
        const struct replica_state *remote = &leader->core.remotes[i];
        const struct partition_peer *peer = replica_manager_peer(leader->manager, remote->broker_id);
        used += (size_t)snprintf(
            ret_text + used, size - used, "; knows %d at %" PRId64 ", replica epoch %" PRId64 ", peer epoch %" PRId64,
            remote->broker_id, remote->log_end_offset, remote->replica_epoch, peer == NULL ? -2 : peer->replica_epoch);
    }
}

static bool is_converged(const struct world *world, const struct topic *topic, int32_t p, char *ret_why, int why_size) {
    const struct topic_state *state = &topic->states[p];
    if (!state->is_known) {
        snprintf(ret_why, (size_t)why_size, "%s-%d is not registered", topic->name, p);
        return false;
    }
    if (topic->is_moving[p]) {
        snprintf(ret_why, (size_t)why_size, "%s-%d is still being reassigned", topic->name, p);
        return false;
    }
    struct partition_runtime *leader =
        state->leader < 0 ? NULL : view_replica(view_machine(world, state->leader), topic, p);
    if (leader == NULL || state->isr_count < topic->replica_counts[p]) {
        char known[256];
        describe(leader, known, sizeof known);
        snprintf(ret_why, (size_t)why_size, "%s-%d: leader %d epoch %d%s, %d of %d in sync%s", topic->name, p,
                 state->leader, state->leader_epoch, leader == NULL ? " does not serve it" : "", state->isr_count,
                 topic->replica_counts[p], known);
        return false;
    }
    int64_t end = log_end_offset(leader->log);
    for (int32_t i = 0; i < state->isr_count; i++) {
        struct partition_runtime *runtime = view_replica(view_machine(world, state->isr[i]), topic, p);
        if (runtime == NULL) {
            snprintf(ret_why, (size_t)why_size, "%s-%d: broker %d does not serve its replica", topic->name, p,
                     state->isr[i]);
            return false;
        }
        if (log_end_offset(runtime->log) != end || partition_runtime_high_watermark(runtime) != end) {
            snprintf(ret_why, (size_t)why_size,
                     "%s-%d: leader %d ends at %" PRId64 ", broker %d at %" PRId64 " with high watermark %" PRId64,
                     topic->name, p, state->leader, end, state->isr[i], log_end_offset(runtime->log),
                     partition_runtime_high_watermark(runtime));
            return false;
        }
    }
    return true;
}

bool convergence_is_reached(const struct world *world, char *ret_why, int why_size) {
    if (!cluster_all_serving(world->cluster)) {
        snprintf(ret_why, (size_t)why_size, "not every broker serves");
        return false;
    }
    for (int32_t i = 0; i < topics_count(world->topics); i++) {
        const struct topic *topic = topics_at(world->topics, i);
        if (!topic->is_gone && topic->is_deleting) {
            snprintf(ret_why, (size_t)why_size, "%s is still being deleted", topic->name);
            return false;
        }
    }
    FOR_EACH_STREAM(world, topic, p) {
        if (!is_converged(world, topic, p, ret_why, why_size)) {
            return false;
        }
    }
    return true;
}
