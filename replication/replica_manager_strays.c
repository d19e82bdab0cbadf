/* Replicas that nobody wants any more and nobody said so to: their broker was away, or their controller died, when they
 * were dropped; and logs of former topics in the place of new ones. stray.h decides. Kafka's brokers keep both for
 * ever, and a topic made anew under the same name cannot live where they lie. */
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/trace.h"
#include "broker/protocol/errors.h"
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

static struct log *find_log(struct replica_manager *manager, struct str topic, int32_t index) {
    char name[TOPIC_NAME_MAX + 1] = {0};
    if (topic.size <= 0 || topic.size > TOPIC_NAME_MAX) {
        return NULL;
    }
    memcpy(name, topic.data, (size_t)topic.size);
    return log_manager_find(manager->logs, name, index);
}

/* What is known of the log that is here; its owner, when a command of this life named it. */
static struct stray_facts facts_of(const struct partition_runtime *partition, const struct log *log,
                                   struct uuid told_topic_id, const struct command_stamp *told) {
    int32_t named_epoch = partition == NULL ? -1 : partition->named_epoch;
    return (struct stray_facts){.log_topic_id = log_topic_id(log),
                                .told_topic_id = told_topic_id,
                                .known_epoch = MAX(named_epoch, log_latest_epoch(log)),
                                .named = partition == NULL ? COMMAND_STAMP_NONE : partition->named,
                                .told = *told};
}

bool replica_manager_has_other_topic(struct replica_manager *manager, struct str topic, int32_t index,
                                     struct uuid topic_id) {
    const struct log *log = find_log(manager, topic, index);
    return log != NULL && stray_is_other_topic(log_topic_id(log), topic_id);
}

int16_t replica_manager_make_way(struct replica_manager *manager, struct str topic, int32_t index, struct uuid topic_id,
                                 const struct command_stamp *stamp) {
    const struct stray_facts facts =
        facts_of(replica_manager_find(manager, topic, index), find_log(manager, topic, index), topic_id, stamp);
    char here[UUID_TEXT_SIZE], told[UUID_TEXT_SIZE];
    uuid_format(facts.log_topic_id, here);
    uuid_format(topic_id, told);
    if (!stray_makes_way(&facts)) {
        trace_error(AREA, "%.*s-%d: topic id %s in memory does not match the topic id received: %s", STR_ARGS(topic),
                    index, here, told);
        return KAFKA_INCONSISTENT_TOPIC_ID;
    }
    trace_warn(AREA, "%.*s-%d: what is here is of a topic of that name that is no more (%s, now %s); it is set aside",
               STR_ARGS(topic), index, here, told);
    return replica_manager_set_replica_aside(manager, topic, index);
}

void replica_manager_drop_stray(struct replica_manager *manager, const char *topic, struct uuid topic_id,
                                const struct command_stamp *stamp, const struct image_partition *told) {
    const struct partition_runtime *partition = replica_manager_find(manager, str_from(topic), told->partition);
    const struct log *log = find_log(manager, str_from(topic), told->partition);
    int32_t self = manager->config.broker_id;
    if (log == NULL || (partition != NULL && partition->is_offline)) {
        return;
    }
    struct stray_facts facts = facts_of(partition, log, topic_id, stamp);
    facts.is_wanted = contains(told->replicas, told->replica_count, self) || contains(told->isr, told->isr_count, self);
    facts.is_deletion = told->leader == IMAGE_LEADER_DURING_DELETE;
    facts.told_epoch = told->leader_epoch;
    switch (stray_judge(&facts)) {
    case STRAY_KEEP: break;
    case STRAY_DELETE:
        trace_warn(AREA, "%s-%d: this broker is no replica of it any more; what it has goes", topic, told->partition);
        replica_manager_delete_replica(manager, str_from(topic), told->partition);
        break;
    case STRAY_SET_ASIDE:
        trace_warn(AREA, "%s-%d: what is here is of a topic of that name that is no more; it is set aside", topic,
                   told->partition);
        replica_manager_set_replica_aside(manager, str_from(topic), told->partition);
        break;
    }
}
