/* The replica state machine, and the shrinking of in-sync sets when a replica goes offline (zookeeper-mode.md 3.4). */
#include "replication/controller_core.h"

#define AREA "kafka.controller.KafkaController"

struct replicas_task {
    struct task task;
    struct replica_set replicas; /* sorted by broker */
    enum replica_status target;
    int32_t at;                           /* first replica of the broker being taken offline */
    int32_t broker_id;                    /* that broker */
    struct partition_set removing;        /* partitions whose in-sync set has still to be looked at */
    struct znode_partition_state *states; /* one per removing partition */
    bool is_second_look;                  /* somebody else wrote: no state in memory will do */
};

static const char *const status_names[] = {
    "NonExistentReplica",
    "NewReplica",
    "OnlineReplica",
    "OfflineReplica",
    "ReplicaDeletionStarted",
    "ReplicaDeletionSuccessful",
    "ReplicaDeletionIneligible",
};

static bool may_become(enum replica_status from, enum replica_status to) {
    switch (to) {
    case REPLICA_NEW: return from == REPLICA_NONE;
    case REPLICA_ONLINE:
    case REPLICA_OFFLINE:
        return from == REPLICA_NEW || from == REPLICA_ONLINE || from == REPLICA_OFFLINE ||
               from == REPLICA_DELETION_INELIGIBLE;
    case REPLICA_DELETION_STARTED: return from == REPLICA_OFFLINE;
    case REPLICA_DELETION_SUCCESSFUL: return from == REPLICA_DELETION_STARTED;
    case REPLICA_DELETION_INELIGIBLE: return from == REPLICA_OFFLINE || from == REPLICA_DELETION_STARTED;
    case REPLICA_NONE: return from == REPLICA_DELETION_SUCCESSFUL;
    }
    return false;
}

static int compare_refs(const void *a, const void *b) {
    const struct replica_ref *left = a, *right = b;
    int order = (left->broker_id > right->broker_id) - (left->broker_id < right->broker_id);
    if (order == 0) {
        order = str_compare(left->partition->topic->name, right->partition->topic->name);
    }
    return order != 0 ? order
                      : (left->partition->index > right->partition->index) -
                            (left->partition->index < right->partition->index);
}

static void keep_valid(struct controller *controller, struct replicas_task *self) {
    int32_t kept = 0;
    for (int32_t i = 0; i < self->replicas.count; i++) {
        struct replica_ref *ref = &self->replicas.items[i];
        struct controller_replica *replica = replica_find(ref->partition, ref->broker_id);
        if (replica == NULL) {
            continue;
        }
        if (may_become(replica->status, self->target)) {
            self->replicas.items[kept++] = *ref;
        } else {
            trace_error(AREA, "[Controller id=%d] Replica %d of %.*s-%d may not go from %s to %s",
                        controller->config.broker_id, ref->broker_id, STR_ARGS(ref->partition->topic->name),
                        ref->partition->index, status_names[replica->status], status_names[self->target]);
        }
    }
    self->replicas.count = kept;
}

static void change(struct controller *controller, const struct replica_ref *ref, enum replica_status target) {
    struct controller_partition *partition = ref->partition;
    struct controller_replica *replica = replica_find(partition, ref->broker_id);
    switch (target) {
    case REPLICA_NEW:
        if (partition->has_state && partition->leader == ref->broker_id) {
            trace_error(AREA, "[Controller id=%d] Replica %d of %.*s-%d leads and cannot be new",
                        controller->config.broker_id, ref->broker_id, STR_ARGS(partition->topic->name),
                        partition->index);
            return;
        }
        if (partition->has_state) {
            batch_leader_and_isr(controller, ref->broker_id, partition, true);
        }
        break;
    case REPLICA_ONLINE:
        if (replica->status != REPLICA_NEW && partition->has_state) {
            batch_leader_and_isr(controller, ref->broker_id, partition, false);
        }
        break;
    case REPLICA_DELETION_STARTED:
        replica->deletion_began = controller->sent_count;
        batch_stop_replica(controller, ref->broker_id, partition, true);
        break;
    case REPLICA_OFFLINE:
    case REPLICA_DELETION_SUCCESSFUL:
    case REPLICA_DELETION_INELIGIBLE:
    case REPLICA_NONE: break;
    }
    replica->status = target;
}

/* ---- going offline ---- */

/* The next broker's replicas: all are told to stop, those with known state must leave the in-sync set. */
static void begin_broker(struct controller *controller, struct replicas_task *self) {
    self->broker_id = self->replicas.items[self->at].broker_id;
    self->removing = (struct partition_set){0};
    for (; self->at < self->replicas.count && self->replicas.items[self->at].broker_id == self->broker_id; self->at++) {
        struct controller_partition *partition = self->replicas.items[self->at].partition;
        batch_stop_replica(controller, self->broker_id, partition, false);
        if (partition->has_state) {
            partition_set_add(controller, &self->removing, partition);
        } else {
            batch_metadata_all(controller, partition);
            replica_find(partition, self->broker_id)->status = REPLICA_OFFLINE;
        }
    }
}

static void finish(struct controller *controller, struct replicas_task *self, struct controller_partition *partition) {
    replica_find(partition, self->broker_id)->status = REPLICA_OFFLINE;
    if (partition->topic->is_queued_for_deletion) {
        return;
    }
    /* Everybody hears of it, also when no other replica is there to be told. */
    batch_metadata_all(controller, partition);
    for (int32_t i = 0; i < partition->replica_count; i++) {
        if (partition->replicas[i].broker_id != self->broker_id) {
            batch_leader_and_isr(controller, partition->replicas[i].broker_id, partition, false);
        }
    }
}

/* Without the replica; but the last member stays, since it alone may lead cleanly later (rule 11). */
static void shrink(struct controller *controller, struct znode_partition_state *state, int32_t broker_id) {
    if (state->leader == broker_id) {
        state->leader = CONTROLLER_NO_LEADER;
    }
    if (state->isr_count > 1) {
        int32_t kept = 0;
        for (int32_t i = 0; i < state->isr_count; i++) {
            if (state->isr[i] != broker_id) {
                state->isr[kept++] = state->isr[i];
            }
        }
        state->isr_count = kept;
    }
    state->leader_epoch++;
    state->controller_epoch = controller->epoch;
}

/* In memory is what this controller wrote last: enough to decide by, as the write is under its version (rule 5). */
static bool is_known(const struct controller *controller, const struct replicas_task *self,
                     const struct controller_partition *partition) {
    return !self->is_second_look && partition->controller_epoch <= controller->epoch &&
           !partition->topic->is_queued_for_deletion;
}

static void ask_unknown(struct controller *controller, struct replicas_task *self) {
    struct partition_set unread = {0};
    for (int32_t i = 0; i < self->removing.count; i++) {
        if (!is_known(controller, self, self->removing.items[i])) {
            partition_set_add(controller, &unread, self->removing.items[i]);
        }
    }
    ask_states(controller, &unread);
}

/* The state in memory, or the next that was read; 0 or an error. */
static int next_state(struct controller *controller, const struct replicas_task *self,
                      const struct controller_partition *partition, const struct controller_reply **reply,
                      struct znode_partition_state *ret_state, int32_t *ret_version) {
    if (is_known(controller, self, partition)) {
        *ret_state = partition_state(partition);
        /* A set of its own: it is about to be changed. */
        ret_state->isr = ARENA_ARRAY(&controller->arena, int32_t, partition->isr_count + 1);
        for (int32_t i = 0; i < partition->isr_count; i++) {
            ret_state->isr[i] = partition->isr[i];
        }
        *ret_version = partition->partition_epoch;
        return 0;
    }
    const struct controller_reply *read = (*reply)++;
    *ret_version = read->version;
    return read->error != 0 ? read->error : znode_decode_partition_state(&controller->arena, read->data, ret_state);
}

static void ask_shrunk(struct controller *controller, struct replicas_task *self) {
    const struct controller_reply *reply = controller->replies;
    int32_t kept = 0;
    self->states = ARENA_ARRAY(&controller->arena, struct znode_partition_state, self->removing.count + 1);
    for (int32_t i = 0; i < self->removing.count; i++) {
        struct controller_partition *partition = self->removing.items[i];
        struct znode_partition_state *state = &self->states[kept];
        int32_t version;
        if (next_state(controller, self, partition, &reply, state, &version) != 0 ||
            state->controller_epoch > controller->epoch) {
            /* Rule 6 for the last case. A topic that is being deleted may have lost its nodes. */
            if (!partition->topic->is_queued_for_deletion) {
                trace_error(AREA, "[Controller id=%d] State of %.*s-%d cannot be used; its replica %d stays",
                            controller->config.broker_id, STR_ARGS(partition->topic->name), partition->index,
                            self->broker_id);
            } else {
                replica_find(partition, self->broker_id)->status = REPLICA_OFFLINE;
            }
            continue;
        }
        if (!ids_contain(state->isr, state->isr_count, self->broker_id)) {
            partition_set_state(partition, state, controller->epoch, version);
            finish(controller, self, partition);
            continue;
        }
        char path[ZNODE_PATH_SIZE];
        shrink(controller, state, self->broker_id);
        ask_fenced(controller, CONTROLLER_OP_SET,
                   znode_partition_state_path(path, partition->topic->name, partition->index),
                   znode_encode_partition_state(&controller->arena, state), version);
        self->removing.items[kept++] = partition;
    }
    self->removing.count = kept;
}

static void on_shrunk(struct controller *controller, struct replicas_task *self) {
    struct partition_set again = {0};
    for (int32_t i = 0; i < self->removing.count; i++) {
        struct controller_partition *partition = self->removing.items[i];
        int error = reply_op_error(&controller->replies[i], 1);
        if (error == ERR_BAD_VERSION) {
            partition_set_add(controller, &again, partition);
        } else if (error != 0) {
            trace_error(AREA, "[Controller id=%d] Taking replica %d of %.*s-%d offline failed: %s",
                        controller->config.broker_id, self->broker_id, STR_ARGS(partition->topic->name),
                        partition->index, error_text(error));
        } else {
            partition_set_state(partition, &self->states[i], controller->epoch, controller->replies[i].op_versions[1]);
            finish(controller, self, partition);
        }
    }
    self->removing = again;
    self->is_second_look = true;
}

/* ---- the task ---- */

enum { BEGIN, NEXT_BROKER, READ, STATES_READ, WRITTEN };

static enum task_verdict replicas_run(struct controller *controller, struct task *task) {
    struct replicas_task *self = CONTAINER_OF(task, struct replicas_task, task);
    for (;;) {
        switch (task->phase) {
        case BEGIN:
            batch_open(controller);
            keep_valid(controller, self);
            if (self->target != REPLICA_OFFLINE) {
                for (int32_t i = 0; i < self->replicas.count; i++) {
                    change(controller, &self->replicas.items[i], self->target);
                }
                batch_send(controller);
                return TASK_DONE;
            }
            task->phase = NEXT_BROKER;
            break;
        case NEXT_BROKER:
            if (self->at == self->replicas.count) {
                batch_send(controller);
                return TASK_DONE;
            }
            begin_broker(controller, self);
            self->is_second_look = false;
            task->phase = READ;
            break;
        case READ: {
            int32_t asked = controller->ask_count;
            task->phase = self->removing.count > 0 ? STATES_READ : NEXT_BROKER;
            ask_unknown(controller, self);
            if (controller->ask_count > asked) {
                return TASK_AGAIN;
            }
            break;
        }
        case STATES_READ:
            ask_shrunk(controller, self);
            task->phase = self->removing.count > 0 ? WRITTEN : NEXT_BROKER;
            if (self->removing.count > 0) {
                return TASK_AGAIN;
            }
            break;
        default:
            on_shrunk(controller, self);
            task->phase = READ;
            break;
        }
    }
}

void call_replicas(struct controller *controller, const struct replica_set *replicas, enum replica_status target) {
    if (replicas->count == 0) {
        return;
    }
    struct replicas_task *self = TASK_NEW(controller, struct replicas_task, replicas_run);
    replica_set_add(controller, &self->replicas, replicas->items[0].partition, replicas->items[0].broker_id);
    for (int32_t i = 1; i < replicas->count; i++) {
        replica_set_add(controller, &self->replicas, replicas->items[i].partition, replicas->items[i].broker_id);
    }
    qsort(self->replicas.items, (size_t)self->replicas.count, sizeof *self->replicas.items, compare_refs);
    self->target = target;
    task_call(controller, &self->task);
}
