/* Replicas that nobody wants any more and nobody said so to: their broker was away, or their controller died, when they
 * were dropped. An UpdateMetadata that names their partition without them tells; it comes from the same controller,
 * through the same gates, as the StopReplica they missed. Kafka's brokers keep them for ever, and a topic made anew
 * under the same name cannot live where they lie. */
#include "broker/base/trace.h"
#include "replication/replica_manager_internal.h"

#define AREA "kafka.server.ReplicaManager"

static bool contains(const int32_t *ids, int32_t count, int32_t id) {
    for (int32_t i = 0; i < count; i++) {
        if (ids[i] == id) {
            return true;
        }
    }
    return false;
}

/* A member of the in-sync set stays, whatever the assignment: it leaves the set first. So does one that has heard of a
 * later epoch than the message tells of. */
static bool is_stray(const struct replica_manager *manager, const struct partition_runtime *partition,
                     const struct log *log, struct uuid topic_id, const struct image_partition *told) {
    if (contains(told->replicas, told->replica_count, manager->config.broker_id) ||
        contains(told->isr, told->isr_count, manager->config.broker_id)) {
        return false;
    }
    bool is_other_topic =
        !uuid_is_zero(topic_id) && !uuid_is_zero(log_topic_id(log)) && !uuid_equal(topic_id, log_topic_id(log));
    return partition == NULL || is_other_topic || told->leader_epoch > partition->core.leader_epoch;
}

void replica_manager_drop_stray(struct replica_manager *manager, const char *topic, struct uuid topic_id,
                                const struct image_partition *told) {
    struct partition_runtime *partition = replica_manager_find(manager, str_from(topic), told->partition);
    const struct log *log = log_manager_find(manager->logs, topic, told->partition);
    if (log == NULL || (partition != NULL && partition->is_offline) ||
        !is_stray(manager, partition, log, topic_id, told)) {
        return;
    }
    trace_warn(AREA, "%s-%d: this broker is no replica of it any more; what it has goes", topic, told->partition);
    replica_manager_delete_replica(manager, str_from(topic), told->partition);
}
