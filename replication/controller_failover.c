/* Becoming the controller, and ceasing to be it (zookeeper-mode.md 1.2, 3.2, 3.3). */
#include "replication/controller_core.h"

#define AREA "kafka.controller.KafkaController"

static int32_t id_in_node(const struct controller_reply *reply) {
    struct znode_controller node;
    return reply->error == 0 && znode_decode_controller(reply->data, &node) == 0 ? node.broker_id : -1;
}

/* ---- election ---- */

struct elect {
    struct task task;
    int32_t epoch; /* read; the one tried is the next */
    int32_t epoch_version;
};

static void ask_claim(struct controller *controller, struct elect *self) {
    struct arena *arena = &controller->arena;
    struct znode_controller node = {controller->config.broker_id, controller->wall_ms, -1};
    struct controller_op ops[] = {
        {.type = CONTROLLER_OP_CREATE,
         .path = ZNODE_CONTROLLER,
         .data = znode_encode_controller(arena, &node),
         .is_ephemeral = true},
        {.type = CONTROLLER_OP_SET,
         .path = ZNODE_CONTROLLER_EPOCH,
         .data = znode_encode_controller_epoch(arena, self->epoch + 1),
         .version = self->epoch_version},
    };
    ask_multi(controller, ops, 2);
}

static void win(struct controller *controller, struct elect *self, int32_t epoch_version) {
    controller->is_active = true;
    controller->active_id = controller->config.broker_id;
    controller->epoch = self->epoch + 1;
    controller->epoch_version = epoch_version;
    trace_info(AREA, "[Controller id=%d] Elected controller, epoch %d", controller->config.broker_id,
               controller->epoch);
    call_failover(controller);
}

enum { READ_NODE, NODE_READ, EPOCH_READ, EPOCH_CREATED, CLAIMED, CLAIM_CHECKED };

static enum task_verdict elect_run(struct controller *controller, struct task *task) {
    struct elect *self = CONTAINER_OF(task, struct elect, task);
    const struct controller_reply *reply = controller->replies;
    switch (task->phase) {
    case READ_NODE:
        ask_get(controller, ZNODE_CONTROLLER, true);
        task->phase = NODE_READ;
        return TASK_AGAIN;
    case NODE_READ:
        if (reply->error != ERR_NOT_FOUND) {
            controller->active_id = id_in_node(reply);
            return TASK_DONE;
        }
        controller->active_id = -1;
        ask_get(controller, ZNODE_CONTROLLER_EPOCH, false);
        task->phase = EPOCH_READ;
        return TASK_AGAIN;
    case EPOCH_READ:
        if (reply->error == ERR_NOT_FOUND) {
            struct controller_op op = {.type = CONTROLLER_OP_CREATE,
                                       .path = ZNODE_CONTROLLER_EPOCH,
                                       .data = znode_encode_controller_epoch(&controller->arena, 0)};
            ask_multi(controller, &op, 1);
            task->phase = EPOCH_CREATED;
            return TASK_AGAIN;
        }
        if (reply->error != 0 || znode_decode_controller_epoch(reply->data, &self->epoch) != 0) {
            trace_error(AREA, "[Controller id=%d] /controller_epoch cannot be read; not running for election",
                        controller->config.broker_id);
            return TASK_DONE;
        }
        self->epoch_version = reply->version;
        ask_claim(controller, self);
        task->phase = CLAIMED;
        return TASK_AGAIN;
    case EPOCH_CREATED:
        ask_get(controller, ZNODE_CONTROLLER_EPOCH, false);
        task->phase = EPOCH_READ;
        return TASK_AGAIN;
    case CLAIMED:
        if (reply->error == 0) {
            win(controller, self, reply->op_versions[1]);
            return TASK_DONE;
        }
        ask_get(controller, ZNODE_CONTROLLER, true);
        ask_get(controller, ZNODE_CONTROLLER_EPOCH, false);
        task->phase = CLAIM_CHECKED;
        return TASK_AGAIN;
    default: break;
    }
    /* Rule 3: the claim may have been won and its answer lost. */
    int32_t epoch_now = -1;
    controller->active_id = id_in_node(&reply[0]);
    if (controller->active_id == controller->config.broker_id && reply[1].error == 0 &&
        znode_decode_controller_epoch(reply[1].data, &epoch_now) == 0 && epoch_now == self->epoch + 1) {
        win(controller, self, reply[1].version);
    } else if (reply[0].error == ERR_NOT_FOUND) {
        task->phase = READ_NODE; /* the winner is gone again */
        return TASK_AGAIN;
    }
    return TASK_DONE;
}

struct task *elect_task(struct controller *controller) {
    return &TASK_NEW(controller, struct elect, elect_run)->task;
}

/* ---- /controller was created, changed or deleted ---- */

/* The node is ours although we resigned: the session outlived the time in which we fenced ourselves. Nobody else can be
 * elected while it stands. It goes only if no election came in between, which the epoch's version tells. */
static void ask_give_back(struct controller *controller, int32_t epoch_version) {
    struct controller_op ops[] = {
        {.type = CONTROLLER_OP_CHECK, .path = ZNODE_CONTROLLER_EPOCH, .data = SLICE_NULL, .version = epoch_version},
        {.type = CONTROLLER_OP_DELETE, .path = ZNODE_CONTROLLER, .data = SLICE_NULL, .version = -1},
    };
    ask_multi(controller, ops, 2);
}

static enum task_verdict controller_node_run(struct controller *controller, struct task *task) {
    const struct controller_reply *reply = controller->replies;
    if (!controller->is_registered) {
        return TASK_DONE;
    }
    switch (task->phase++) {
    case 0:
        ask_get(controller, ZNODE_CONTROLLER_EPOCH, false);
        ask_get(controller, ZNODE_CONTROLLER, true);
        return TASK_AGAIN;
    case 1: {
        controller->active_id = id_in_node(&reply[1]);
        bool is_mine = controller->active_id == controller->config.broker_id;
        if (controller->is_active && !is_mine) {
            controller_resign(controller);
        }
        if (reply[1].error == ERR_NOT_FOUND) {
            task_call(controller, elect_task(controller));
        } else if (is_mine && !controller->is_active && reply[0].error == 0) {
            ask_give_back(controller, reply[0].version);
            return TASK_AGAIN;
        }
        return TASK_DONE;
    }
    case 2: task_call(controller, elect_task(controller)); return TASK_DONE;
    default: return TASK_DONE;
    }
}

struct task *controller_node_task(struct controller *controller) {
    return task_init(ARENA_NEW(&controller->arena, struct task), controller_node_run);
}

/* ---- giving up ---- */

struct give_up {
    struct task task;
    bool is_stop;
};

static enum task_verdict give_up_run(struct controller *controller, struct task *task) {
    struct give_up *self = CONTAINER_OF(task, struct give_up, task);
    if (task->phase++ == 0 && controller->is_active) {
        ask_fenced(controller, CONTROLLER_OP_DELETE, ZNODE_CONTROLLER, SLICE_NULL, -1);
        controller_resign(controller);
        controller->active_id = -1;
        controller->is_registered &= !self->is_stop;
        return TASK_AGAIN;
    }
    if (self->is_stop) {
        controller->is_registered = false;
        emit(controller, CONTROLLER_STOPPED);
    }
    return TASK_DONE;
}

struct task *stop_task(struct controller *controller) {
    struct give_up *self = TASK_NEW(controller, struct give_up, give_up_run);
    self->is_stop = true;
    return &self->task;
}

/* ---- failover ---- */

struct failover {
    struct task task;
    struct broker_readings brokers;
    struct name_list topics;
    struct topic_reading *readings;
    struct name_list deletions;
    struct partition_set partitions;
    struct replica_set online;
    struct replica_set offline;
};

/* /feature as inter-broker protocol 3.9 has it: enabled, and no finalized features. */
static bool ask_feature(struct controller *controller, const struct controller_reply *reply) {
    struct znode_feature feature = {.version = 2, .status = 1};
    struct znode_feature found;
    struct controller_op op = {.type = CONTROLLER_OP_CREATE, .path = ZNODE_FEATURE};
    if (reply->error == 0) {
        if (znode_decode_feature(&controller->arena, reply->data, &found) == 0) {
            if (found.version == 2 && found.status == 1) {
                return false;
            }
            if (found.status == 1) {
                feature.features = found.features;
                feature.feature_count = found.feature_count;
            }
        }
        op.type = CONTROLLER_OP_SET;
        op.version = reply->version;
    }
    op.data = znode_encode_feature(&controller->arena, &feature);
    ask_multi(controller, &op, 1);
    return true;
}

static void take_topics(struct controller *controller, struct failover *self) {
    for (int32_t i = 0; i < self->topics.count; i++) {
        const struct topic_reading *reading = &self->readings[i];
        if (!reading->is_found) {
            continue;
        }
        struct controller_topic *topic = topic_add(controller, reading->name);
        topic_set_id(controller, topic, reading->topic.topic_id);
        for (int32_t j = 0; j < reading->topic.partition_count; j++) {
            partition_add(topic, &reading->topic.partitions[j]);
        }
    }
    all_partitions(controller, &self->partitions);
}

static void emit_add_broker(struct controller *controller, const struct controller_broker *broker) {
    const char *listener = controller->config.control_plane_listener != NULL ? controller->config.control_plane_listener
                                                                             : controller->config.inter_broker_listener;
    const struct znode_endpoint *endpoint = broker_endpoint(broker, listener);
    if (endpoint == NULL) {
        trace_error(AREA, "[Controller id=%d] Broker %d has no listener %s", controller->config.broker_id, broker->id,
                    listener);
        return;
    }
    struct controller_action *action = emit(controller, CONTROLLER_ADD_BROKER);
    action->broker_id = broker->id;
    action->broker_epoch = broker->epoch;
    action->host = arena_str(&controller->actions->arena, endpoint->host).data;
    action->port = endpoint->port;
}

void controller_open_broker(struct controller *controller, const struct broker_reading *reading) {
    emit_add_broker(controller, broker_add(controller, reading->id, reading->epoch, &reading->info));
}

/* Topics with a replica away wait with their deletion. */
static void take_deletions(struct controller *controller, struct failover *self) {
    for (int32_t i = 0; i < self->deletions.count; i++) {
        struct controller_topic *topic = topic_find(controller, self->deletions.items[i]);
        if (topic == NULL || !controller->config.delete_topic_enable) {
            continue;
        }
        topic->is_queued_for_deletion = true;
        for (int32_t j = 0; j < topic->partition_count; j++) {
            struct controller_partition *partition = topic->partitions[j];
            for (int32_t k = 0; k < partition->replica_count; k++) {
                topic->is_ineligible_for_deletion |=
                    !replica_is_online(controller, partition, partition->replicas[k].broker_id);
            }
        }
    }
}

/* Of a topic that is gone but for its last nodes: the controller before died while it removed them. With deletion
 * switched off the wish alone is dropped. */
static void ask_drop_deletions(struct controller *controller, struct failover *self) {
    for (int32_t i = 0; i < self->deletions.count; i++) {
        char path[ZNODE_PATH_SIZE];
        struct str name = self->deletions.items[i];
        bool is_rest = topic_find(controller, name) == NULL && controller->config.delete_topic_enable;
        if (is_rest) {
            ask_fenced(controller, CONTROLLER_OP_DELETE, znode_config_path(path, "topics", name), SLICE_NULL, -1);
        }
        if (is_rest || !controller->config.delete_topic_enable) {
            ask_fenced(controller, CONTROLLER_OP_DELETE, znode_delete_topic_path(path, name), SLICE_NULL, -1);
        }
    }
}

static void start_replicas(struct controller *controller, struct failover *self) {
    for (int32_t i = 0; i < self->partitions.count; i++) {
        struct controller_partition *partition = self->partitions.items[i];
        for (int32_t j = 0; j < partition->replica_count; j++) {
            struct controller_replica *replica = &partition->replicas[j];
            bool is_online = replica_is_online(controller, partition, replica->broker_id);
            replica->status = is_online ? REPLICA_ONLINE : REPLICA_DELETION_INELIGIBLE;
            replica_set_add(controller, is_online ? &self->online : &self->offline, partition, replica->broker_id);
        }
    }
    call_replicas(controller, &self->online, REPLICA_ONLINE);
    call_replicas(controller, &self->offline, REPLICA_OFFLINE);
}

static void start_partitions(struct controller *controller, struct failover *self) {
    for (int32_t i = 0; i < self->partitions.count; i++) {
        struct controller_partition *partition = self->partitions.items[i];
        partition->status = !partition->has_state                                         ? PARTITION_NEW
                            : replica_is_online(controller, partition, partition->leader) ? PARTITION_ONLINE
                                                                                          : PARTITION_OFFLINE;
    }
    call_elect_offline(controller);
}

static enum task_verdict failover_run(struct controller *controller, struct task *task) {
    struct failover *self = CONTAINER_OF(task, struct failover, task);
    switch (task->phase++) {
    case 0: ask_get(controller, ZNODE_FEATURE, false); return TASK_AGAIN;
    case 1:
        if (ask_feature(controller, controller->replies)) {
            return TASK_AGAIN;
        }
        task->phase++;
        /* fallthrough */
    case 2:
        call_clear_children(controller, ZNODE_LOG_DIR_EVENTS);
        call_clear_children(controller, ZNODE_ISR_CHANGES);
        call_read_brokers(controller, &self->brokers);
        call_read_names(controller, ZNODE_TOPICS, true, &self->topics);
        call_read_names(controller, ZNODE_DELETE_TOPICS, true, &self->deletions);
        return TASK_AGAIN;
    case 3:
        if (self->brokers.is_corrupt) {
            trace_error(AREA, "[Controller id=%d] Failover is not possible; giving up the election",
                        controller->config.broker_id);
            task_call(controller, &TASK_NEW(controller, struct give_up, give_up_run)->task);
            return TASK_DONE;
        }
        for (int32_t i = 0; i < self->brokers.count; i++) {
            if (!self->brokers.items[i].is_incompatible) {
                controller_open_broker(controller, &self->brokers.items[i]);
            }
        }
        self->readings = ARENA_ARRAY(&controller->arena, struct topic_reading, self->topics.count + 1);
        call_read_topics(controller, &self->topics, self->readings);
        return TASK_AGAIN;
    case 4:
        take_topics(controller, self);
        call_read_states(controller, &self->partitions);
        return TASK_AGAIN;
    case 5:
        take_deletions(controller, self);
        ask_drop_deletions(controller, self);
        if (controller->ask_count > 0) {
            return TASK_AGAIN;
        }
        task->phase++;
        /* fallthrough */
    case 6:
        send_metadata_to_all(controller, NULL); /* rule 7: before any LeaderAndIsr */
        start_replicas(controller, self);
        return TASK_AGAIN;
    case 7: start_partitions(controller, self); return TASK_AGAIN;
    default: break;
    }
    /* What was deleted while the controller before could not reach everybody, this broker perhaps among them. */
    batch_open(controller);
    batch_metadata_all(controller, NULL);
    batch_metadata_full(controller);
    batch_send(controller);
    call_reassign_node(controller);
    call_resume_reassignments(controller, NULL);
    call_delete_topics_step(controller);
    call_preferred_node(controller);
    if (controller->config.auto_leader_rebalance) {
        emit(controller, CONTROLLER_SET_TIMER)->after_ms = CONTROLLER_FIRST_REBALANCE_MS;
    }
    return TASK_DONE;
}

void call_failover(struct controller *controller) {
    task_call(controller, &TASK_NEW(controller, struct failover, failover_run)->task);
}
