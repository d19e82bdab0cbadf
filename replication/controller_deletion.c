/* Topic deletion: replicas first, then the znodes (zookeeper-mode.md 3.7).
 *
 * A reassignment under way does not hold a deletion up, as it does in Kafka, where both then may wait for ever: the
 * followers of a topic on its way out are told that it has no leader. All its replicas go, those that were coming too.
 *
 * The node below /admin/delete_topics goes last, so that whoever is controller next finds what is left to do (rule
 * 38). A replica that is away makes its topic wait. */
#include "replication/controller_core.h"

#define AREA "kafka.controller.KafkaController"

static bool all_in(const struct controller_topic *topic, enum replica_status status) {
    for (int32_t i = 0; i < topic->partition_count; i++) {
        for (int32_t j = 0; j < topic->partitions[i]->replica_count; j++) {
            if (topic->partitions[i]->replicas[j].status != status) {
                return false;
            }
        }
    }
    return true;
}

static void collect(struct controller *controller, const struct controller_topic *topic, enum replica_status status,
                    struct replica_set *ret) {
    for (int32_t i = 0; i < topic->partition_count; i++) {
        for (int32_t j = 0; j < topic->partitions[i]->replica_count; j++) {
            if (topic->partitions[i]->replicas[j].status == status) {
                replica_set_add(controller, ret, topic->partitions[i], topic->partitions[i]->replicas[j].broker_id);
            }
        }
    }
}

/* ---- removing the znodes of a topic whose replicas are gone ---- */

struct complete {
    struct task task;
    struct controller_topic *topic;
    struct name_list partitions;
    int32_t tries;
};

/* A tree that somebody goes on adding to is left for the next event of its topic. */
#define DELETE_TRIES_MAX 3

/* A recursive delete from the leaves; the session keeps the order. What is absent is deleted. */
static void ask_delete_tree(struct controller *controller, struct complete *self) {
    char path[ZNODE_PATH_SIZE];
    struct str name = self->topic->name;
    for (int32_t i = 0; i < self->partitions.count; i++) {
        int32_t index = znode_number(self->partitions.items[i].data);
        if (index >= 0) {
            ask_fenced(controller, CONTROLLER_OP_DELETE, znode_partition_state_path(path, name, index), SLICE_NULL, -1);
            ask_fenced(controller, CONTROLLER_OP_DELETE, znode_partition_path(path, name, index), SLICE_NULL, -1);
        }
    }
    ask_fenced(controller, CONTROLLER_OP_DELETE, znode_partitions_path(path, name), SLICE_NULL, -1);
    ask_fenced(controller, CONTROLLER_OP_DELETE, znode_topic_path(path, name), SLICE_NULL, -1);
}

/* The tree's own node is the last that was asked for. */
static bool is_tree_gone(const struct controller *controller) {
    int error = reply_op_error(&controller->replies[controller->reply_count - 1], 1);
    return error == 0 || error == ERR_NOT_FOUND;
}

static void call_read_partitions(struct controller *controller, struct complete *self) {
    char path[ZNODE_PATH_SIZE];
    znode_partitions_path(path, self->topic->name);
    call_read_names(controller, arena_str(&controller->arena, str_from(path)).data, false, &self->partitions);
}

static enum task_verdict complete_run(struct controller *controller, struct task *task) {
    struct complete *self = CONTAINER_OF(task, struct complete, task);
    char path[ZNODE_PATH_SIZE];
    switch (task->phase++) {
    case 0: call_read_partitions(controller, self); return TASK_AGAIN;
    case 1: ask_delete_tree(controller, self); return TASK_AGAIN;
    case 2:
        /* What stands for the deletion stays until the tree is gone (rule 38). */
        if (!is_tree_gone(controller)) {
            if (++self->tries == DELETE_TRIES_MAX) {
                trace_error(AREA, "[Controller id=%d] The nodes of topic %.*s cannot be removed",
                            controller->config.broker_id, STR_ARGS(self->topic->name));
                return TASK_DONE;
            }
            task->phase = 1;
            call_read_partitions(controller, self);
            return TASK_AGAIN;
        }
        ask_fenced(controller, CONTROLLER_OP_DELETE, znode_config_path(path, "topics", self->topic->name), SLICE_NULL,
                   -1);
        ask_fenced(controller, CONTROLLER_OP_DELETE, znode_delete_topic_path(path, self->topic->name), SLICE_NULL, -1);
        return TASK_AGAIN;
    default: break;
    }
    trace_info(AREA, "[Controller id=%d] Deleted topic %.*s", controller->config.broker_id,
               STR_ARGS(self->topic->name));
    topic_remove(controller, self->topic);
    return TASK_DONE;
}

/* ---- starting or resuming ---- */

struct delete_step {
    struct task task;
    struct partition_set partitions; /* of the topics whose replicas are stopped now */
    struct partition_set unseen;
    struct replica_set retried;
    struct replica_set dead;
    struct replica_set alive;
};

static bool is_eligible(const struct controller_topic *topic) {
    if (topic->is_ineligible_for_deletion) {
        return false;
    }
    for (int32_t i = 0; i < topic->partition_count; i++) {
        for (int32_t j = 0; j < topic->partitions[i]->replica_count; j++) {
            if (topic->partitions[i]->replicas[j].status == REPLICA_DELETION_STARTED) {
                return false;
            }
        }
    }
    return true;
}

static bool is_started(const struct controller_topic *topic) {
    for (int32_t i = 0; i < topic->partition_count; i++) {
        for (int32_t j = 0; j < topic->partitions[i]->replica_count; j++) {
            if (topic->partitions[i]->replicas[j].status == REPLICA_DELETION_STARTED) {
                return true;
            }
        }
    }
    return false;
}

static void sort_topic(struct controller *controller, struct delete_step *self, struct controller_topic *topic) {
    if (all_in(topic, REPLICA_DELETION_SUCCESSFUL)) {
        struct complete *complete = TASK_NEW(controller, struct complete, complete_run);
        complete->topic = topic;
        task_call(controller, &complete->task);
        return;
    }
    if (!is_started(topic)) {
        collect(controller, topic, REPLICA_DELETION_INELIGIBLE, &self->retried);
    }
    if (!is_eligible(topic)) {
        return;
    }
    for (int32_t i = 0; i < topic->partition_count; i++) {
        struct controller_partition *partition = topic->partitions[i];
        partition_set_add(controller, &self->partitions, partition);
        if (!topic->is_deletion_started && partition->status != PARTITION_NONE) {
            partition_set_add(controller, &self->unseen, partition);
        }
        for (int32_t j = 0; j < partition->replica_count; j++) {
            struct controller_replica *replica = &partition->replicas[j];
            if (!replica_is_online(controller, partition, replica->broker_id)) {
                replica_set_add(controller, &self->dead, partition, replica->broker_id);
                topic->is_ineligible_for_deletion = true; /* until the broker is back */
            } else if (replica->status != REPLICA_DELETION_SUCCESSFUL) {
                replica_set_add(controller, &self->alive, partition, replica->broker_id);
            }
        }
    }
    topic->is_deletion_started = true;
}

static enum task_verdict delete_step_run(struct controller *controller, struct task *task) {
    struct delete_step *self = CONTAINER_OF(task, struct delete_step, task);
    switch (task->phase++) {
    case 0:
        for (struct controller_topic *topic = controller->topics; topic != NULL; topic = topic->by_name.next) {
            if (topic->is_queued_for_deletion) {
                sort_topic(controller, self, topic);
            }
        }
        call_replicas(controller, &self->retried, REPLICA_OFFLINE);
        call_partitions(controller, &self->unseen, PARTITION_OFFLINE, ELECTION_OFFLINE, false);
        call_partitions(controller, &self->unseen, PARTITION_NONE, ELECTION_OFFLINE, false);
        return TASK_AGAIN;
    case 1:
        if (self->partitions.count == 0) {
            return TASK_DONE;
        }
        send_metadata_to_all(controller, &self->partitions); /* nobody serves them from now on */
        call_replicas(controller, &self->dead, REPLICA_OFFLINE);
        call_replicas(controller, &self->dead, REPLICA_DELETION_INELIGIBLE);
        call_replicas(controller, &self->alive, REPLICA_OFFLINE);
        call_replicas(controller, &self->alive, REPLICA_DELETION_STARTED);
        return TASK_AGAIN;
    default: return TASK_DONE;
    }
}

void call_delete_topics_step(struct controller *controller) {
    if (controller->config.delete_topic_enable) {
        task_call(controller, &TASK_NEW(controller, struct delete_step, delete_step_run)->task);
    }
}

/* ---- a replica that could not be deleted ---- */

struct fail_deletion {
    struct task task;
    struct replica_set replicas;
};

static enum task_verdict fail_deletion_run(struct controller *controller, struct task *task) {
    struct fail_deletion *self = CONTAINER_OF(task, struct fail_deletion, task);
    if (task->phase++ == 0) {
        struct replica_set failed = {0};
        for (int32_t i = 0; i < self->replicas.count; i++) {
            struct replica_ref *ref = &self->replicas.items[i];
            struct controller_replica *replica = replica_find(ref->partition, ref->broker_id);
            ref->partition->topic->is_ineligible_for_deletion = true;
            if (replica->status == REPLICA_OFFLINE || replica->status == REPLICA_DELETION_STARTED) {
                replica_set_add(controller, &failed, ref->partition, ref->broker_id);
            }
        }
        call_replicas(controller, &failed, REPLICA_DELETION_INELIGIBLE);
        return TASK_AGAIN;
    }
    call_delete_topics_step(controller);
    return TASK_DONE;
}

void call_fail_deletion(struct controller *controller, const struct replica_set *replicas) {
    if (replicas->count == 0 || !controller->config.delete_topic_enable) {
        return;
    }
    struct fail_deletion *self = TASK_NEW(controller, struct fail_deletion, fail_deletion_run);
    self->replicas = *replicas;
    task_call(controller, &self->task);
}

/* ---- /admin/delete_topics ---- */

static void call_forget_moves_of_deleted(struct controller *controller) {
    struct partition_set moving = {0};
    for (struct controller_topic *topic = controller->topics; topic != NULL; topic = topic->by_name.next) {
        for (int32_t i = 0; topic->is_queued_for_deletion && i < topic->partition_count; i++) {
            if (partition_is_reassigning(topic->partitions[i])) {
                partition_set_add(controller, &moving, topic->partitions[i]);
            }
        }
    }
    call_forget_in_reassign_node(controller, &moving);
}

struct topic_deletion {
    struct task task;
    struct name_list names;
};

static enum task_verdict topic_deletion_run(struct controller *controller, struct task *task) {
    struct topic_deletion *self = CONTAINER_OF(task, struct topic_deletion, task);
    switch (task->phase++) {
    case 0: call_read_names(controller, ZNODE_DELETE_TOPICS, true, &self->names); return TASK_AGAIN;
    case 1:
        for (int32_t i = 0; i < self->names.count; i++) {
            struct controller_topic *topic = topic_find(controller, self->names.items[i]);
            char path[ZNODE_PATH_SIZE];
            if (topic == NULL || !controller->config.delete_topic_enable) {
                ask_fenced(controller, CONTROLLER_OP_DELETE, znode_delete_topic_path(path, self->names.items[i]),
                           SLICE_NULL, -1);
                continue;
            }
            topic->is_queued_for_deletion = true;
        }
        if (controller->ask_count > 0) {
            return TASK_AGAIN;
        }
        break;
    default: break;
    }
    call_forget_moves_of_deleted(controller);
    call_delete_topics_step(controller);
    return TASK_DONE;
}

struct task *topic_deletion_task(struct controller *controller) {
    return &TASK_NEW(controller, struct topic_deletion, topic_deletion_run)->task;
}
