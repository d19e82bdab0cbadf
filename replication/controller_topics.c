/* Topics that appear, grow, vanish, and are deleted (zookeeper-mode.md 3.7). */
#include "replication/controller_core.h"

/* ---- new partitions ---- */

struct partitions_of {
    struct task task;
    struct partition_set partitions;
};

static enum task_verdict new_partitions_run(struct controller *controller, struct task *task) {
    struct partitions_of *self = CONTAINER_OF(task, struct partitions_of, task);
    struct replica_set replicas = {0};
    (void)task;
    replicas_of(controller, &self->partitions, &replicas);
    call_partitions(controller, &self->partitions, PARTITION_NEW, ELECTION_OFFLINE, false);
    call_replicas(controller, &replicas, REPLICA_NEW);
    call_partitions(controller, &self->partitions, PARTITION_ONLINE, ELECTION_OFFLINE, false);
    call_replicas(controller, &replicas, REPLICA_ONLINE);
    return TASK_DONE;
}

void call_new_partitions(struct controller *controller, const struct partition_set *partitions) {
    struct partitions_of *self = TASK_NEW(controller, struct partitions_of, new_partitions_run);
    self->partitions = *partitions;
    task_call(controller, &self->task);
}

/* ---- /brokers/topics ---- */

struct topic_change {
    struct task task;
    struct name_list listed;
    struct name_list added;
    struct topic_reading *readings;
};

static void compare_topics(struct controller *controller, struct topic_change *self) {
    self->added.items = ARENA_ARRAY(&controller->arena, struct str, self->listed.count + 1);
    for (struct controller_topic *topic = controller->topics; topic != NULL; topic = topic->by_name.next) {
        topic->is_seen = false;
    }
    for (int32_t i = 0; i < self->listed.count; i++) {
        struct controller_topic *topic = topic_find(controller, self->listed.items[i]);
        if (topic == NULL) {
            self->added.items[self->added.count++] = self->listed.items[i];
        } else {
            topic->is_seen = true;
        }
    }
    struct controller_topic *next;
    for (struct controller_topic *topic = controller->topics; topic != NULL; topic = next) {
        next = topic->by_name.next;
        if (!topic->is_seen) {
            topic_remove(controller, topic);
        }
    }
}

static enum task_verdict topic_change_run(struct controller *controller, struct task *task) {
    struct topic_change *self = CONTAINER_OF(task, struct topic_change, task);
    switch (task->phase++) {
    case 0: call_read_names(controller, ZNODE_TOPICS, true, &self->listed); return TASK_AGAIN;
    case 1:
        compare_topics(controller, self);
        self->readings = ARENA_ARRAY(&controller->arena, struct topic_reading, self->added.count + 1);
        call_read_topics(controller, &self->added, self->readings);
        return TASK_AGAIN;
    default: break;
    }
    struct partition_set added = {0};
    for (int32_t i = 0; i < self->added.count; i++) {
        const struct topic_reading *reading = &self->readings[i];
        if (!reading->is_found) {
            continue;
        }
        struct controller_topic *topic = topic_add(controller, reading->name);
        topic_set_id(controller, topic, reading->topic.topic_id);
        for (int32_t j = 0; j < reading->topic.partition_count; j++) {
            partition_set_add(controller, &added, partition_add(topic, &reading->topic.partitions[j]));
        }
    }
    if (added.count > 0) {
        call_new_partitions(controller, &added);
    }
    return TASK_DONE;
}

struct task *topic_change_task(struct controller *controller) {
    return &TASK_NEW(controller, struct topic_change, topic_change_run)->task;
}

/* ---- /brokers/topics/T ---- */

struct partition_modification {
    struct task task;
    struct str topic;
};

/* A topic on its way out does not grow: the assignment goes back to what it was. */
static void ask_restore(struct controller *controller, struct controller_topic *topic) {
    struct znode_topic node = {.topic_id = topic->id};
    char path[ZNODE_PATH_SIZE];
    node.partitions = ARENA_ARRAY(&controller->arena, struct znode_topic_partition, topic->partition_count + 1);
    node.partition_count = topic->partition_count;
    for (int32_t i = 0; i < topic->partition_count; i++) {
        node.partitions[i] = partition_assignment(controller, topic->partitions[i]);
    }
    ask_fenced(controller, CONTROLLER_OP_SET, znode_topic_path(path, topic->name),
               znode_encode_topic(&controller->arena, &node), -1);
}

static bool adds_partitions(struct controller_topic *topic, const struct znode_topic *node) {
    for (int32_t i = 0; i < node->partition_count; i++) {
        if (partition_find(topic, node->partitions[i].partition) == NULL) {
            return true;
        }
    }
    return false;
}

static enum task_verdict partition_modification_run(struct controller *controller, struct task *task) {
    struct partition_modification *self = CONTAINER_OF(task, struct partition_modification, task);
    struct controller_topic *topic = topic_find(controller, self->topic);
    char path[ZNODE_PATH_SIZE];
    if (topic == NULL) {
        return TASK_DONE;
    }
    switch (task->phase++) {
    case 0: ask_get(controller, znode_topic_path(path, self->topic), true); return TASK_AGAIN;
    case 1: break;
    default: return TASK_DONE;
    }
    struct znode_topic node;
    if (controller->replies->error != 0 ||
        znode_decode_topic(&controller->arena, controller->replies->data, &node) != 0 ||
        !adds_partitions(topic, &node)) {
        return TASK_DONE;
    }
    if (topic->is_queued_for_deletion) {
        trace_warn("kafka.controller.KafkaController",
                   "[Controller id=%d] Topic %.*s is being deleted; its new partitions are taken back",
                   controller->config.broker_id, STR_ARGS(topic->name));
        ask_restore(controller, topic);
        return TASK_AGAIN;
    }
    struct partition_set added = {0};
    for (int32_t i = 0; i < node.partition_count; i++) {
        if (partition_find(topic, node.partitions[i].partition) == NULL) {
            partition_set_add(controller, &added, partition_add(topic, &node.partitions[i]));
        }
    }
    call_new_partitions(controller, &added);
    return TASK_DONE;
}

struct task *partition_modification_task(struct controller *controller, struct str topic) {
    struct partition_modification *self =
        TASK_NEW(controller, struct partition_modification, partition_modification_run);
    self->topic = arena_str(&controller->arena, topic);
    return &self->task;
}
