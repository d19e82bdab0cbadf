/* What goes through the partitions, counted; and how they are at this moment. For operators: nothing here decides. */
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "replication/replica_manager_internal.h"

struct topic_traffic *topic_traffic_ref(struct replica_manager *manager, const char *topic) {
    struct topic_traffic *traffic = NULL;
    HASH_FIND_STR(manager->topic_traffic, topic, traffic);
    if (traffic == NULL) {
        traffic = xcalloc(1, sizeof *traffic);
        traffic->topic = xstrdup(topic);
        HASH_ADD_KEYPTR(hh, manager->topic_traffic, traffic->topic, strlen(traffic->topic), traffic);
    }
    traffic->references++;
    return traffic;
}

void topic_traffic_unref(struct replica_manager *manager, struct topic_traffic *traffic) {
    if (--traffic->references == 0) {
        HASH_DEL(manager->topic_traffic, traffic);
        free(traffic->topic);
        free(traffic);
    }
}

static void count_appended(struct traffic *traffic, bool as_leader, int64_t records, int64_t bytes) {
    if (as_leader) {
        traffic->messages_in += records;
        traffic->bytes_in += bytes;
    } else {
        traffic->replication_bytes_in += bytes;
    }
}

void partition_runtime_count_appended(struct partition_runtime *partition, bool as_leader, int64_t records,
                                      int64_t bytes) {
    count_appended(&partition->traffic->traffic, as_leader, records, bytes);
    count_appended(&partition->manager->traffic, as_leader, records, bytes);
}

static void count_sent(struct traffic *traffic, int32_t replica_id, int64_t bytes) {
    *(replica_id >= 0 ? &traffic->replication_bytes_out : &traffic->bytes_out) += bytes;
}

void partition_runtime_count_sent(struct partition_runtime *partition, int32_t replica_id, int64_t bytes) {
    count_sent(&partition->traffic->traffic, replica_id, bytes);
    count_sent(&partition->manager->traffic, replica_id, bytes);
}

void replica_manager_for_each_traffic(struct replica_manager *manager, traffic_visitor *visit, void *context) {
    for (const struct topic_traffic *topic = manager->topic_traffic; topic != NULL; topic = topic->hh.next) {
        visit(context, topic->topic, &topic->traffic);
    }
}

const struct traffic *replica_manager_traffic(const struct replica_manager *manager) {
    return &manager->traffic;
}

void replica_manager_count(struct replica_manager *manager, struct replica_status_counts *ret_counts) {
    *ret_counts = (struct replica_status_counts){.isr_expands = manager->isr_expands,
                                                 .isr_shrinks = manager->isr_shrinks,
                                                 .isr_failures = manager->isr_failures};
    for (const struct partition_runtime *runtime = manager->partitions; runtime != NULL; runtime = runtime->hh.next) {
        const struct partition *partition = &runtime->core;
        ret_counts->partitions++;
        ret_counts->offline += runtime->is_offline;
        if (!partition_runtime_is_leader(runtime)) {
            continue;
        }
        int32_t in_sync = partition->isr.committed.count;
        int32_t least = partition_effective_min_isr(partition);
        ret_counts->leaders++;
        ret_counts->under_replicated += in_sync < partition->replicas.count;
        ret_counts->under_min_isr += in_sync < least;
        ret_counts->at_min_isr += in_sync == least;
    }
}
