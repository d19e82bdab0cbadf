/* Brokers that come, go, bounce or change, and what their answers say (zookeeper-mode.md 3.7). */
#include "replication/controller_core.h"

/* ---- startup and failure ---- */

struct brokers_task {
    struct task task;
    struct id_set ids;
    struct replica_set replicas;
};

static void forget_offline_dirs(struct brokers_task *self) {
    for (int32_t i = 0; i < self->replicas.count; i++) {
        replica_find(self->replicas.items[i].partition, self->replicas.items[i].broker_id)->is_dir_offline = false;
    }
}

/* Nothing but the broker list to those that were there; everything to the new ones. */
static void introduce(struct controller *controller, struct brokers_task *self) {
    batch_open(controller);
    for (int32_t i = 0; i < controller->broker_count; i++) {
        if (!ids_contain(self->ids.items, self->ids.count, controller->brokers[i]->id)) {
            batch_metadata_to(controller, controller->brokers[i]->id);
        }
    }
    batch_send(controller);
    batch_open(controller);
    for (int32_t i = 0; i < self->ids.count; i++) {
        batch_metadata_to(controller, self->ids.items[i]);
    }
    batch_metadata_full(controller);
    batch_send(controller);
}

static enum task_verdict startup_run(struct controller *controller, struct task *task) {
    struct brokers_task *self = CONTAINER_OF(task, struct brokers_task, task);
    switch (task->phase++) {
    case 0:
        replicas_on(controller, &self->ids, &self->replicas);
        forget_offline_dirs(self);
        introduce(controller, self);
        call_replicas(controller, &self->replicas, REPLICA_ONLINE);
        call_elect_offline(controller);
        call_resume_reassignments(controller, &self->ids);
        return TASK_AGAIN;
    default: break;
    }
    for (int32_t i = 0; i < self->replicas.count; i++) {
        self->replicas.items[i].partition->topic->is_ineligible_for_deletion = false;
    }
    call_delete_topics_step(controller);
    return TASK_DONE;
}

static enum task_verdict failure_run(struct controller *controller, struct task *task) {
    struct brokers_task *self = CONTAINER_OF(task, struct brokers_task, task);
    (void)task;
    replicas_on(controller, &self->ids, &self->replicas);
    forget_offline_dirs(self);
    call_replicas_offline(controller, &self->replicas);
    return TASK_DONE;
}

/* ---- replicas become offline ---- */

struct offline_task {
    struct task task;
    struct replica_set alive;    /* of topics that stay */
    struct replica_set deleting; /* of topics that are being deleted */
    bool is_leader_lost;
};

static enum task_verdict offline_run(struct controller *controller, struct task *task) {
    struct offline_task *self = CONTAINER_OF(task, struct offline_task, task);
    if (task->phase++ == 0) {
        struct partition_set all = {0}, leaderless = {0};
        all_partitions(controller, &all);
        for (int32_t i = 0; i < all.count; i++) {
            struct controller_partition *partition = all.items[i];
            if (partition->has_state && !partition->topic->is_queued_for_deletion &&
                !replica_is_online(controller, partition, partition->leader)) {
                partition_set_add(controller, &leaderless, partition);
            }
        }
        self->is_leader_lost = leaderless.count > 0;
        call_partitions(controller, &leaderless, PARTITION_OFFLINE, ELECTION_OFFLINE, false);
        call_elect_offline(controller);
        call_replicas(controller, &self->alive, REPLICA_OFFLINE);
        call_fail_deletion(controller, &self->deleting);
        return TASK_AGAIN;
    }
    if (!self->is_leader_lost) {
        send_metadata_to_all(controller, NULL); /* so that the others forget the broker */
    }
    return TASK_DONE;
}

void call_replicas_offline(struct controller *controller, const struct replica_set *replicas) {
    struct offline_task *self = TASK_NEW(controller, struct offline_task, offline_run);
    for (int32_t i = 0; i < replicas->count; i++) {
        struct replica_ref *ref = &replicas->items[i];
        replica_set_add(controller, ref->partition->topic->is_queued_for_deletion ? &self->deleting : &self->alive,
                        ref->partition, ref->broker_id);
    }
    task_call(controller, &self->task);
}

/* ---- /brokers/ids ---- */

struct broker_change {
    struct task task;
    struct broker_readings found;
    struct id_set added;
    struct id_set bounced;
    struct id_set returned; /* of those that bounced: all but the incompatible */
    struct id_set dead;
};

static const struct broker_reading *find_reading(const struct broker_readings *readings, int32_t id) {
    for (int32_t i = 0; i < readings->count; i++) {
        if (readings->items[i].id == id) {
            return &readings->items[i];
        }
    }
    return NULL;
}

static void compare_brokers(struct controller *controller, struct broker_change *self) {
    for (int32_t i = 0; i < self->found.count; i++) {
        const struct broker_reading *reading = &self->found.items[i];
        const struct controller_broker *known = broker_find(controller, reading->id);
        if (known == NULL && !reading->is_incompatible) {
            id_set_add(controller, &self->added, reading->id);
        } else if (known != NULL && reading->epoch > known->epoch) {
            id_set_add(controller, &self->bounced, reading->id); /* rule 10 */
            if (!reading->is_incompatible) {
                id_set_add(controller, &self->returned, reading->id);
            }
        }
    }
    for (int32_t i = 0; i < controller->broker_count; i++) {
        if (find_reading(&self->found, controller->brokers[i]->id) == NULL) {
            id_set_add(controller, &self->dead, controller->brokers[i]->id);
        }
    }
}

static void call_brokers(struct controller *controller, const struct id_set *ids,
                         enum task_verdict (*run)(struct controller *, struct task *)) {
    struct brokers_task *self = TASK_NEW(controller, struct brokers_task, run);
    self->ids = *ids;
    task_call(controller, &self->task);
}

static void open_brokers(struct controller *controller, struct broker_change *self, const struct id_set *ids) {
    for (int32_t i = 0; i < ids->count; i++) {
        controller_open_broker(controller, find_reading(&self->found, ids->items[i]));
    }
}

static void close_brokers(struct controller *controller, const struct id_set *ids) {
    for (int32_t i = 0; i < ids->count; i++) {
        broker_remove(controller, ids->items[i]);
        emit(controller, CONTROLLER_REMOVE_BROKER)->broker_id = ids->items[i];
    }
}

static enum task_verdict broker_change_run(struct controller *controller, struct task *task) {
    struct broker_change *self = CONTAINER_OF(task, struct broker_change, task);
    switch (task->phase++) {
    case 0: call_read_brokers(controller, &self->found); return TASK_AGAIN;
    case 1:
        if (self->found.is_corrupt) {
            return TASK_DONE; /* an event that fails, as in Kafka */
        }
        compare_brokers(controller, self);
        if (self->added.count > 0) {
            open_brokers(controller, self, &self->added);
            call_brokers(controller, &self->added, startup_run);
        }
        return TASK_AGAIN;
    case 2:
        if (self->bounced.count > 0) {
            close_brokers(controller, &self->bounced);
            call_brokers(controller, &self->bounced, failure_run);
        }
        return TASK_AGAIN;
    case 3:
        if (self->returned.count > 0) {
            open_brokers(controller, self, &self->returned);
            call_brokers(controller, &self->returned, startup_run);
        }
        return TASK_AGAIN;
    default:
        if (self->dead.count > 0) {
            close_brokers(controller, &self->dead);
            call_brokers(controller, &self->dead, failure_run);
        }
        return TASK_DONE;
    }
}

struct task *broker_change_task(struct controller *controller) {
    return &TASK_NEW(controller, struct broker_change, broker_change_run)->task;
}

/* ---- /brokers/ids/N ---- */

struct modification {
    struct task task;
    int32_t broker_id;
};

static bool is_same_endpoint(const struct znode_endpoint *a, const struct znode_endpoint *b) {
    return str_equal(a->listener, b->listener) && str_equal(a->host, b->host) && a->port == b->port &&
           str_equal(a->security_protocol, b->security_protocol);
}

static bool is_same_info(const struct znode_broker *a, const struct znode_broker *b) {
    if (a->endpoint_count != b->endpoint_count || a->feature_count != b->feature_count) {
        return false;
    }
    for (int32_t i = 0; i < a->endpoint_count; i++) {
        if (!is_same_endpoint(&a->endpoints[i], &b->endpoints[i])) {
            return false;
        }
    }
    for (int32_t i = 0; i < a->feature_count; i++) {
        if (!str_equal(a->features[i].name, b->features[i].name) ||
            a->features[i].min_version != b->features[i].min_version ||
            a->features[i].max_version != b->features[i].max_version) {
            return false;
        }
    }
    return true;
}

static enum task_verdict modification_run(struct controller *controller, struct task *task) {
    struct modification *self = CONTAINER_OF(task, struct modification, task);
    struct controller_broker *broker = broker_find(controller, self->broker_id);
    struct znode_broker info;
    char path[ZNODE_PATH_SIZE];
    if (broker == NULL) {
        return TASK_DONE;
    }
    if (task->phase++ == 0) {
        ask_get(controller, znode_broker_path(path, self->broker_id), true);
        return TASK_AGAIN;
    }
    /* A new incarnation is the business of the listing. */
    if (controller->replies->error == 0 && controller->replies->czxid == broker->epoch &&
        znode_decode_broker(&controller->arena, controller->replies->data, &info) == 0 &&
        !is_same_info(&broker->info, &info)) {
        broker_update(broker, &info);
        send_metadata_to_all(controller, NULL);
    }
    return TASK_DONE;
}

struct task *broker_modification_task(struct controller *controller, int32_t broker_id) {
    struct modification *self = TASK_NEW(controller, struct modification, modification_run);
    self->broker_id = broker_id;
    return &self->task;
}

/* ---- answers ---- */

static struct controller_partition *named(struct controller *controller,
                                          const struct controller_partition_result *result) {
    struct controller_topic *topic = str_is_null(result->topic) ? topic_find_by_id(controller, result->topic_id)
                                                                : topic_find(controller, result->topic);
    return topic == NULL ? NULL : partition_find(topic, result->partition);
}

/* An answer counts while its request is of this controller and its broker the one that was asked. */
static bool is_current(struct controller *controller, const struct controller_event *event) {
    const struct controller_broker *broker = broker_find(controller, event->broker_id);
    return controller->is_active && event->controller_epoch == controller->epoch && broker != NULL &&
           broker->epoch == event->broker_epoch;
}

static enum task_verdict leader_and_isr_answered_run(struct controller *controller, struct task *task) {
    const struct controller_event *event = &controller->current->event;
    struct replica_set offline = {0};
    (void)task;
    if (!is_current(controller, event) || event->error_code != KAFKA_NONE) {
        return TASK_DONE;
    }
    for (int32_t i = 0; i < event->result_count; i++) {
        struct controller_partition *partition = named(controller, &event->results[i]);
        struct controller_replica *replica = partition == NULL ? NULL : replica_find(partition, event->broker_id);
        if (replica == NULL) {
            continue;
        }
        if (event->results[i].error_code == KAFKA_NONE) {
            replica->is_dir_offline = false;
        } else if (event->results[i].error_code == KAFKA_STORAGE_ERROR && !replica->is_dir_offline) {
            replica->is_dir_offline = true;
            replica_set_add(controller, &offline, partition, event->broker_id);
        }
    }
    if (offline.count > 0) {
        call_replicas_offline(controller, &offline);
    }
    return TASK_DONE;
}

struct task *leader_and_isr_answered_task(struct controller *controller) {
    return task_init(ARENA_NEW(&controller->arena, struct task), leader_and_isr_answered_run);
}

struct stop_answered {
    struct task task;
    struct replica_set failed;
    struct replica_set deleted;
};

static enum task_verdict stop_replica_answered_run(struct controller *controller, struct task *task) {
    struct stop_answered *self = CONTAINER_OF(task, struct stop_answered, task);
    const struct controller_event *event = &controller->current->event;
    if (task->phase++ > 0) {
        call_delete_topics_step(controller);
        return TASK_DONE;
    }
    if (!is_current(controller, event)) {
        return TASK_DONE;
    }
    for (int32_t i = 0; i < event->result_count; i++) {
        struct controller_partition *partition = named(controller, &event->results[i]);
        struct controller_replica *replica = partition == NULL ? NULL : replica_find(partition, event->broker_id);
        if (replica == NULL || !partition->topic->is_queued_for_deletion ||
            replica->status != REPLICA_DELETION_STARTED || event->number <= replica->deletion_began) {
            continue;
        }
        bool is_failed = event->error_code != KAFKA_NONE || event->results[i].error_code != KAFKA_NONE;
        replica_set_add(controller, is_failed ? &self->failed : &self->deleted, partition, event->broker_id);
    }
    if (self->failed.count + self->deleted.count == 0) {
        return TASK_DONE;
    }
    call_fail_deletion(controller, &self->failed);
    call_replicas(controller, &self->deleted, REPLICA_DELETION_SUCCESSFUL);
    return TASK_AGAIN;
}

struct task *stop_replica_answered_task(struct controller *controller) {
    return &TASK_NEW(controller, struct stop_answered, stop_replica_answered_run)->task;
}

/* ---- a broker that did not answer until its queue was full ---- */

/* What it must know of its replica, as it is now. */
static void repeat_command(struct controller *controller, int32_t broker_id, struct controller_partition *partition) {
    const struct controller_replica *replica = replica_find(partition, broker_id);
    switch (replica->status) {
    case REPLICA_NEW:
    case REPLICA_ONLINE:
        if (partition->has_state) {
            batch_repeat_leader_and_isr(controller, broker_id, partition);
        }
        break;
    case REPLICA_OFFLINE: batch_stop_replica(controller, broker_id, partition, false); break;
    case REPLICA_DELETION_STARTED: batch_stop_replica(controller, broker_id, partition, true); break;
    case REPLICA_NONE:
    case REPLICA_DELETION_SUCCESSFUL:
    case REPLICA_DELETION_INELIGIBLE: break;
    }
}

/* As a new controller would: the cluster first, then its replicas. What tells of topics on their way out was kept. */
static enum task_verdict queue_dropped_run(struct controller *controller, struct task *task) {
    const struct controller_event *event = &controller->current->event;
    const struct controller_broker *broker = broker_find(controller, event->broker_id);
    struct partition_set all = {0};
    (void)task;
    if (!controller->is_active || broker == NULL || broker->epoch != event->broker_epoch) {
        return TASK_DONE; /* its line is closed */
    }
    all_partitions(controller, &all);
    batch_open(controller);
    batch_metadata_to(controller, event->broker_id);
    batch_metadata_full(controller);
    batch_send(controller);
    batch_open(controller);
    for (int32_t i = 0; i < all.count; i++) {
        if (replica_find(all.items[i], event->broker_id) != NULL) {
            repeat_command(controller, event->broker_id, all.items[i]);
        }
    }
    batch_send(controller);
    emit(controller, CONTROLLER_TOLD)->broker_id = event->broker_id;
    return TASK_DONE;
}

struct task *queue_dropped_task(struct controller *controller) {
    return task_init(ARENA_NEW(&controller->arena, struct task), queue_dropped_run);
}

/* ---- controlled shutdown ---- */

struct shutdown_task {
    struct task task;
    struct partition_set led;
    struct partition_set followed;
};

static int16_t check_shutdown(struct controller *controller, const struct controller_event *event) {
    const struct controller_broker *broker = broker_find(controller, event->broker_id);
    if (!controller->is_active) {
        return not_controller_error(event->type);
    }
    if (broker == NULL) {
        return KAFKA_BROKER_NOT_AVAILABLE;
    }
    return event->broker_epoch != -1 && event->broker_epoch < broker->epoch ? KAFKA_STALE_BROKER_EPOCH : KAFKA_NONE;
}

static void split_shutdown(struct controller *controller, struct shutdown_task *self, int32_t id) {
    struct partition_set all = {0};
    all_partitions(controller, &all);
    for (int32_t i = 0; i < all.count; i++) {
        struct controller_partition *partition = all.items[i];
        if (replica_find(partition, id) != NULL && partition->replica_count > 1 && partition->has_state &&
            !partition->topic->is_queued_for_deletion) {
            partition_set_add(controller, partition->leader == id ? &self->led : &self->followed, partition);
        }
    }
}

static void stop_followers(struct controller *controller, struct shutdown_task *self, int32_t id) {
    struct replica_set replicas = {0};
    batch_open(controller);
    for (int32_t i = 0; i < self->followed.count; i++) {
        batch_stop_replica(controller, id, self->followed.items[i], false);
        replica_set_add(controller, &replicas, self->followed.items[i], id);
    }
    batch_send(controller);
    call_replicas(controller, &replicas, REPLICA_OFFLINE);
}

static void answer_shutdown(struct controller *controller, const struct controller_event *event) {
    struct partition_set all = {0};
    all_partitions(controller, &all);
    struct controlled_shutdown_partition *list =
        ARENA_ARRAY(event->arena, struct controlled_shutdown_partition, all.count + 1);
    int32_t count = 0;
    for (int32_t i = 0; i < all.count; i++) {
        if (all.items[i]->has_state && all.items[i]->leader == event->broker_id && all.items[i]->replica_count > 1) {
            list[count++] = (struct controlled_shutdown_partition){arena_str(event->arena, all.items[i]->topic->name),
                                                                   all.items[i]->index};
        }
    }
    *event->ret_list = list;
    *event->ret_count = count;
    answer_call(controller, KAFKA_NONE);
}

static enum task_verdict controlled_shutdown_run(struct controller *controller, struct task *task) {
    struct shutdown_task *self = CONTAINER_OF(task, struct shutdown_task, task);
    const struct controller_event *event = &controller->current->event;
    switch (task->phase++) {
    case 0: {
        int16_t error = check_shutdown(controller, event);
        if (error != KAFKA_NONE) {
            answer_call(controller, error);
            return TASK_DONE;
        }
        broker_find(controller, event->broker_id)->is_shutting_down = true;
        split_shutdown(controller, self, event->broker_id);
        call_partitions(controller, &self->led, PARTITION_ONLINE, ELECTION_CONTROLLED_SHUTDOWN, false);
        return TASK_AGAIN;
    }
    case 1: stop_followers(controller, self, event->broker_id); return TASK_AGAIN;
    default: answer_shutdown(controller, event); return TASK_DONE;
    }
}

struct task *controlled_shutdown_task(struct controller *controller) {
    return &TASK_NEW(controller, struct shutdown_task, controlled_shutdown_run)->task;
}
