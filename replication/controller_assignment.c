/* Writing assignments and raising leader epochs: what a reassignment does to the coordinator's tree (zookeeper-mode.md
 * 3.8). */
#include "replication/controller_core.h"

#define AREA "kafka.controller.KafkaController"

void reassignment_add(struct controller *controller, struct reassignment_list *list,
                      struct controller_partition *partition, const struct znode_topic_partition *wanted) {
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 16 : list->capacity * 2;
        struct reassignment *items = ARENA_ARRAY(&controller->arena, struct reassignment, list->capacity);
        if (list->count > 0) {
            memcpy(items, list->items, (size_t)list->count * sizeof *items);
        }
        list->items = items;
    }
    list->items[list->count++] = (struct reassignment){.partition = partition, .wanted = *wanted};
}

/* ---- the topics' nodes ---- */

struct write_assignments {
    struct task task;
    struct reassignment_list list;
    struct controller_topic **topics; /* whose nodes are still to be written */
    int32_t topic_count;
};

static bool contains_topic(const struct write_assignments *self, const struct controller_topic *topic) {
    /* Requests name their partitions topic by topic: look at the last one first. */
    for (int32_t i = self->topic_count - 1; i >= 0; i--) {
        if (self->topics[i] == topic) {
            return true;
        }
    }
    return false;
}

static void fail_topic(struct write_assignments *self, const struct controller_topic *topic) {
    for (int32_t i = 0; i < self->list.count; i++) {
        self->list.items[i].is_failed |= self->list.items[i].partition->topic == topic;
    }
}

static int compare_assignments(const void *a, const void *b) {
    const struct znode_topic_partition *left = a, *right = b;
    return (left->partition > right->partition) - (left->partition < right->partition);
}

/* What this controller holds, with the wanted assignments; and partitions somebody has added and nobody here has looked
 * at yet. Kafka's controller writes what it holds, and such partitions are gone. */
static struct znode_topic merged(struct controller *controller, const struct write_assignments *self,
                                 struct controller_topic *topic, const struct znode_topic *found) {
    struct znode_topic node = {.topic_id = topic->id};
    node.partitions = ARENA_ARRAY(&controller->arena, struct znode_topic_partition,
                                  topic->partition_count + found->partition_count + 1);
    for (int32_t i = 0; i < topic->partition_count; i++) {
        node.partitions[node.partition_count++] = partition_assignment(controller, topic->partitions[i]);
    }
    for (int32_t i = 0; i < self->list.count; i++) {
        const struct reassignment *item = &self->list.items[i];
        if (item->partition->topic == topic) {
            struct znode_topic_partition *to = bsearch(&item->wanted, node.partitions, (size_t)topic->partition_count,
                                                       sizeof *to, compare_assignments);
            *to = item->wanted;
        }
    }
    for (int32_t i = 0; i < found->partition_count; i++) {
        if (partition_find(topic, found->partitions[i].partition) == NULL) {
            node.partitions[node.partition_count++] = found->partitions[i];
        }
    }
    return node;
}

static void ask_topics(struct controller *controller, const struct write_assignments *self) {
    for (int32_t i = 0; i < self->topic_count; i++) {
        char path[ZNODE_PATH_SIZE];
        ask_get(controller, znode_topic_path(path, self->topics[i]->name), false);
    }
}

static void ask_writes(struct controller *controller, struct write_assignments *self) {
    int32_t kept = 0;
    for (int32_t i = 0; i < self->topic_count; i++) {
        struct controller_topic *topic = self->topics[i];
        const struct controller_reply *reply = &controller->replies[i];
        struct znode_topic found, node;
        char path[ZNODE_PATH_SIZE];
        if (reply->error != 0 || znode_decode_topic(&controller->arena, reply->data, &found) != 0) {
            trace_error(AREA, "[Controller id=%d] The assignment of topic %.*s cannot be changed: its node is %s",
                        controller->config.broker_id, STR_ARGS(topic->name),
                        reply->error != 0 ? "gone" : "not to be understood");
            fail_topic(self, topic);
            continue;
        }
        node = merged(controller, self, topic, &found);
        ask_fenced(controller, CONTROLLER_OP_SET, znode_topic_path(path, topic->name),
                   znode_encode_topic(&controller->arena, &node), reply->version);
        self->topics[kept++] = topic;
    }
    self->topic_count = kept;
}

/* Whose node changed in between, or whose answer was lost, is read again. */
static void on_written(struct controller *controller, struct write_assignments *self) {
    int32_t kept = 0;
    for (int32_t i = 0; i < self->topic_count; i++) {
        int error = reply_op_error(&controller->replies[i], 1);
        if (error == ERR_BAD_VERSION) {
            self->topics[kept++] = self->topics[i];
        } else if (error != 0) {
            trace_error(AREA, "[Controller id=%d] Changing the assignment of topic %.*s failed: %s",
                        controller->config.broker_id, STR_ARGS(self->topics[i]->name), error_text(error));
            fail_topic(self, self->topics[i]);
        }
    }
    self->topic_count = kept;
}

static enum task_verdict write_assignments_run(struct controller *controller, struct task *task) {
    struct write_assignments *self = CONTAINER_OF(task, struct write_assignments, task);
    switch (task->phase++) {
    case 0: break;
    case 1: ask_writes(controller, self); return controller->ask_count > 0 ? TASK_AGAIN : TASK_DONE;
    default:
        on_written(controller, self);
        task->phase = 1;
        break;
    }
    ask_topics(controller, self);
    return self->topic_count > 0 ? TASK_AGAIN : TASK_DONE;
}

void call_write_assignments(struct controller *controller, const struct reassignment_list *list) {
    struct write_assignments *self = TASK_NEW(controller, struct write_assignments, write_assignments_run);
    self->list = *list;
    self->topics = ARENA_ARRAY(&controller->arena, struct controller_topic *, list->count + 1);
    for (int32_t i = 0; i < list->count; i++) {
        if (!contains_topic(self, list->items[i].partition->topic)) {
            self->topics[self->topic_count++] = list->items[i].partition->topic;
        }
    }
    task_call(controller, &self->task);
}

/* ---- leader epochs ---- */

struct raise_epochs {
    struct task task;
    struct partition_set partitions;      /* still to be written */
    struct znode_partition_state *states; /* of them */
};

static void ask_raise(struct controller *controller, struct raise_epochs *self) {
    self->states = ARENA_ARRAY(&controller->arena, struct znode_partition_state, self->partitions.count + 1);
    for (int32_t i = 0; i < self->partitions.count; i++) {
        struct controller_partition *partition = self->partitions.items[i];
        char path[ZNODE_PATH_SIZE];
        self->states[i] = (struct znode_partition_state){
            .leader = partition->leader,
            .leader_epoch = partition->leader_epoch + 1,
            .controller_epoch = controller->epoch,
            .leader_recovery_state = partition->recovery_state,
            .isr = partition->isr,
            .isr_count = partition->isr_count,
        };
        partition->election_error = KAFKA_UNKNOWN_SERVER_ERROR;
        ask_fenced(controller, CONTROLLER_OP_SET,
                   znode_partition_state_path(path, partition->topic->name, partition->index),
                   znode_encode_partition_state(&controller->arena, &self->states[i]), partition->partition_epoch);
    }
}

/* Who is being added hears that it is new: it may choose a directory even while one of its others is offline. */
static void tell_replicas(struct controller *controller, struct controller_partition *partition) {
    for (int32_t i = 0; i < partition->replica_count; i++) {
        struct controller_replica *replica = &partition->replicas[i];
        bool is_new = ids_contain(partition->adding, partition->adding_count, replica->broker_id);
        batch_leader_and_isr(controller, replica->broker_id, partition, is_new);
        if (is_new && replica->status == REPLICA_NONE) {
            replica->status = REPLICA_NEW;
        }
    }
}

static void on_raised(struct controller *controller, struct raise_epochs *self) {
    struct partition_set again = {0};
    for (int32_t i = 0; i < self->partitions.count; i++) {
        struct controller_partition *partition = self->partitions.items[i];
        int error = reply_op_error(&controller->replies[i], 1);
        if (error == ERR_BAD_VERSION) {
            partition_set_add(controller, &again, partition);
        } else if (error != 0) {
            trace_error(AREA, "[Controller id=%d] Raising the leader epoch of %.*s-%d failed: %s",
                        controller->config.broker_id, STR_ARGS(partition->topic->name), partition->index,
                        error_text(error));
        } else {
            partition_set_state(partition, &self->states[i], controller->epoch, controller->replies[i].op_versions[1]);
            partition->election_error = KAFKA_NONE;
            tell_replicas(controller, partition);
        }
    }
    self->partitions = again;
}

/* Rule 6 for a newer controller; a topic on its way out may have lost its nodes. */
static void keep_usable(struct controller *controller, struct raise_epochs *self) {
    int32_t kept = 0;
    for (int32_t i = 0; i < self->partitions.count; i++) {
        struct controller_partition *partition = self->partitions.items[i];
        if (partition->has_state && partition->controller_epoch <= controller->epoch) {
            self->partitions.items[kept++] = partition;
        } else {
            partition->election_error = KAFKA_UNKNOWN_SERVER_ERROR;
        }
    }
    self->partitions.count = kept;
}

static enum task_verdict raise_epochs_run(struct controller *controller, struct task *task) {
    struct raise_epochs *self = CONTAINER_OF(task, struct raise_epochs, task);
    switch (task->phase++) {
    case 0: batch_open(controller); break;
    case 1:
        on_raised(controller, self);
        if (self->partitions.count > 0) {
            task->phase = 2;
            ask_states(controller, &self->partitions);
            return TASK_AGAIN;
        }
        break;
    default:
        take_states(controller, &self->partitions);
        task->phase = 1;
        break;
    }
    keep_usable(controller, self);
    ask_raise(controller, self);
    if (self->partitions.count > 0) {
        return TASK_AGAIN;
    }
    batch_send(controller);
    return TASK_DONE;
}

void call_raise_epochs(struct controller *controller, const struct partition_set *partitions) {
    if (partitions->count == 0) {
        return;
    }
    struct raise_epochs *self = TASK_NEW(controller, struct raise_epochs, raise_epochs_run);
    for (int32_t i = 0; i < partitions->count; i++) {
        partition_set_add(controller, &self->partitions, partitions->items[i]);
    }
    task_call(controller, &self->task);
}
