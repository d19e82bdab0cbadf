/* Elections that somebody asks for: administrators, the rebalancing timer, the legacy node, a changed setting; and the
 * notifications of other brokers. Also which watch means what. */
#include "generated/protocol/elect_leaders.h"
#include "replication/controller_core.h"

/* ---- ElectLeaders ---- */

struct elect_task {
    struct task task;
    struct partition_set electing;
};

static bool is_unclean(const struct controller_event *event) {
    return event->version >= 1 && event->elect_leaders->election_type == 1;
}

/* An error, or 0 and the partition needs an election. */
static int16_t check_election(struct controller *controller, struct controller_partition *partition, bool unclean) {
    if (!controller->is_active) {
        return KAFKA_NOT_CONTROLLER;
    }
    if (partition == NULL) {
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    }
    if (partition->topic->is_queued_for_deletion) {
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    }
    if (!partition->has_state || partition->replica_count == 0) {
        return unclean ? KAFKA_ELIGIBLE_LEADERS_NOT_AVAILABLE : KAFKA_PREFERRED_LEADER_NOT_AVAILABLE;
    }
    if (unclean) {
        const struct controller_broker *leader = broker_find(controller, partition->leader);
        return leader == NULL || leader->is_shutting_down ? KAFKA_NONE : KAFKA_ELECTION_NOT_NEEDED;
    }
    return partition->leader != partition->replicas[0].broker_id ? KAFKA_NONE : KAFKA_ELECTION_NOT_NEEDED;
}

static struct str message_of(int16_t error) {
    switch (error) {
    case KAFKA_NONE: return STR_NULL;
    case KAFKA_INVALID_TOPIC_EXCEPTION: return STR_LITERAL("The topic is being deleted");
    case KAFKA_UNKNOWN_TOPIC_OR_PARTITION: return STR_LITERAL("The partition does not exist.");
    default: return str_from(kafka_error_text(error));
    }
}

static void set_result(struct elect_leaders_response_partition_result *result, int32_t partition, int16_t error) {
    *result = (struct elect_leaders_response_partition_result){partition, error, message_of(error)};
}

static void fill_named(struct controller *controller, struct elect_task *self) {
    const struct controller_event *event = &controller->current->event;
    const struct elect_leaders_request *request = event->elect_leaders;
    struct elect_leaders_response *response = event->ret_elect_leaders;
    int32_t count = request->topic_partitions_count;
    response->replica_election_results =
        ARENA_ARRAY(event->arena, struct elect_leaders_response_replica_election_result, count + 1);
    response->replica_election_results_count = count;
    for (int32_t i = 0; i < count; i++) {
        const struct elect_leaders_request_topic_partitions *from = &request->topic_partitions[i];
        struct elect_leaders_response_replica_election_result *to = &response->replica_election_results[i];
        to->topic = from->topic;
        to->partition_result_count = from->partitions_count;
        to->partition_result =
            ARENA_ARRAY(event->arena, struct elect_leaders_response_partition_result, from->partitions_count + 1);
        for (int32_t j = 0; j < from->partitions_count; j++) {
            struct controller_partition *partition = partition_lookup(controller, from->topic, from->partitions[j]);
            int16_t error = check_election(controller, partition, is_unclean(event));
            set_result(&to->partition_result[j], from->partitions[j], error);
            if (error == KAFKA_NONE && !partition->is_in_batch) {
                partition->is_in_batch = true; /* named twice, elected once */
                partition_set_add(controller, &self->electing, partition);
            }
        }
    }
}

/* No list: everything, and what needs no election is not mentioned. */
static void fill_all(struct controller *controller, struct elect_task *self) {
    const struct controller_event *event = &controller->current->event;
    struct elect_leaders_response *response = event->ret_elect_leaders;
    response->replica_election_results = ARENA_ARRAY(
        event->arena, struct elect_leaders_response_replica_election_result, HASH_CNT(by_name, controller->topics) + 1);
    response->replica_election_results_count = 0;
    for (struct controller_topic *topic = controller->topics; topic != NULL; topic = topic->by_name.next) {
        struct elect_leaders_response_replica_election_result *to =
            &response->replica_election_results[response->replica_election_results_count];
        to->topic = arena_str(event->arena, topic->name);
        to->partition_result =
            ARENA_ARRAY(event->arena, struct elect_leaders_response_partition_result, topic->partition_count + 1);
        for (int32_t i = 0; i < topic->partition_count; i++) {
            int16_t error = check_election(controller, topic->partitions[i], is_unclean(event));
            if (error == KAFKA_ELECTION_NOT_NEEDED) {
                continue;
            }
            set_result(&to->partition_result[to->partition_result_count++], topic->partitions[i]->index, error);
            if (error == KAFKA_NONE) {
                partition_set_add(controller, &self->electing, topic->partitions[i]);
            }
        }
        response->replica_election_results_count += to->partition_result_count > 0;
    }
}

static void take_results(struct controller *controller) {
    struct elect_leaders_response *response = controller->current->event.ret_elect_leaders;
    for (int32_t i = 0; i < response->replica_election_results_count; i++) {
        struct elect_leaders_response_replica_election_result *to = &response->replica_election_results[i];
        for (int32_t j = 0; j < to->partition_result_count; j++) {
            struct elect_leaders_response_partition_result *result = &to->partition_result[j];
            struct controller_partition *partition = partition_lookup(controller, to->topic, result->partition_id);
            if (result->error_code == KAFKA_NONE && partition != NULL) {
                set_result(result, result->partition_id, partition->election_error);
            }
        }
    }
}

static enum task_verdict elect_leaders_run(struct controller *controller, struct task *task) {
    struct elect_task *self = CONTAINER_OF(task, struct elect_task, task);
    const struct controller_event *event = &controller->current->event;
    if (task->phase++ > 0) {
        take_results(controller);
        answer_call(controller, KAFKA_NONE);
        return TASK_DONE;
    }
    elect_leaders_response_init(event->ret_elect_leaders);
    if (event->elect_leaders->topic_partitions_count >= 0) {
        fill_named(controller, self);
    } else if (controller->is_active) {
        fill_all(controller, self);
    }
    for (int32_t i = 0; i < self->electing.count; i++) {
        self->electing.items[i]->is_in_batch = false;
    }
    if (!controller->is_active) {
        answer_call(controller, KAFKA_NOT_CONTROLLER);
        return TASK_DONE;
    }
    call_partitions(controller, &self->electing, PARTITION_ONLINE,
                    is_unclean(event) ? ELECTION_OFFLINE : ELECTION_PREFERRED, is_unclean(event));
    return TASK_AGAIN;
}

struct task *elect_leaders_task(struct controller *controller) {
    return &TASK_NEW(controller, struct elect_task, elect_leaders_run)->task;
}

/* ---- rebalancing ---- */

static bool could_lead(struct controller *controller, struct controller_partition *partition) {
    int32_t preferred = partition->replicas[0].broker_id;
    return replica_is_online(controller, partition, preferred) &&
           ids_contain(partition->isr, partition->isr_count, preferred) && !partition_is_reassigning(partition);
}

static bool is_counted(const struct controller_partition *partition, int32_t broker_id) {
    return partition->replica_count > 0 && partition->replicas[0].broker_id == broker_id &&
           !partition->topic->is_queued_for_deletion;
}

/* What this broker should lead and does not, when that is too much. */
static void find_imbalance(struct controller *controller, int32_t broker_id, const struct partition_set *all,
                           struct partition_set *ret) {
    int64_t preferred = 0, elsewhere = 0;
    for (int32_t i = 0; i < all->count; i++) {
        if (is_counted(all->items[i], broker_id)) {
            preferred++;
            elsewhere += all->items[i]->has_state && all->items[i]->leader != broker_id;
        }
    }
    if (elsewhere * 100 <= preferred * controller->config.leader_imbalance_percentage) {
        return;
    }
    for (int32_t i = 0; i < all->count; i++) {
        struct controller_partition *partition = all->items[i];
        if (is_counted(partition, broker_id) && partition->has_state && partition->leader != broker_id &&
            could_lead(controller, partition)) {
            partition_set_add(controller, ret, partition);
        }
    }
}

static enum task_verdict rebalance_run(struct controller *controller, struct task *task) {
    struct partition_set all = {0};
    (void)task;
    if (!controller->is_active || !controller->config.auto_leader_rebalance) {
        return TASK_DONE;
    }
    all_partitions(controller, &all);
    for (int32_t i = 0; i < controller->broker_count; i++) {
        struct partition_set electing = {0};
        find_imbalance(controller, controller->brokers[i]->id, &all, &electing);
        call_partitions(controller, &electing, PARTITION_ONLINE, ELECTION_PREFERRED, false);
    }
    emit(controller, CONTROLLER_SET_TIMER)->after_ms = controller->config.leader_imbalance_check_ms;
    return TASK_DONE;
}

struct task *rebalance_task(struct controller *controller) {
    return task_init(ARENA_NEW(&controller->arena, struct task), rebalance_run);
}

/* ---- /admin/preferred_replica_election ---- */

static enum task_verdict preferred_node_run(struct controller *controller, struct task *task) {
    struct znode_partition_list list;
    struct partition_set electing = {0};
    switch (task->phase++) {
    case 0: ask_get(controller, ZNODE_PREFERRED_REPLICA_ELECTION, true); return TASK_AGAIN;
    case 1: break;
    case 2:
        ask_fenced(controller, CONTROLLER_OP_DELETE, ZNODE_PREFERRED_REPLICA_ELECTION, SLICE_NULL, -1);
        return TASK_AGAIN;
    default: {
        /* Reading again arms the watch for the next one, and finds one that is there already. */
        int error = reply_op_error(controller->replies, 1);
        if (error != 0 && error != ERR_NOT_FOUND) {
            return TASK_DONE;
        }
        task->phase = 1;
        ask_get(controller, ZNODE_PREFERRED_REPLICA_ELECTION, true);
        return TASK_AGAIN;
    }
    }
    if (controller->replies->error != 0) {
        return TASK_DONE;
    }
    if (znode_decode_partition_list(&controller->arena, controller->replies->data, false, &list) != 0) {
        list.entry_count = 0;
    }
    for (int32_t i = 0; i < list.entry_count; i++) {
        struct controller_partition *partition =
            partition_lookup(controller, list.entries[i].topic, list.entries[i].partition);
        if (check_election(controller, partition, false) == KAFKA_NONE) {
            partition_set_add(controller, &electing, partition);
        }
    }
    call_partitions(controller, &electing, PARTITION_ONLINE, ELECTION_PREFERRED, false);
    return TASK_AGAIN;
}

struct task *preferred_node_task(struct controller *controller) {
    return task_init(ARENA_NEW(&controller->arena, struct task), preferred_node_run);
}

void call_preferred_node(struct controller *controller) {
    task_call(controller, preferred_node_task(controller));
}

/* ---- unclean election was switched on ---- */

static enum task_verdict unclean_enabled_run(struct controller *controller, struct task *task) {
    const struct controller_event *event = &controller->current->event;
    struct partition_set all = {0}, offline = {0};
    (void)task;
    if (str_is_null(event->path)) {
        controller->is_unclean_default = event->is_unclean_default;
        if (!event->is_unclean_default) {
            return TASK_DONE;
        }
    }
    if (!controller->is_active) {
        return TASK_DONE;
    }
    all_partitions(controller, &all);
    for (int32_t i = 0; i < all.count; i++) {
        struct controller_partition *partition = all.items[i];
        if ((partition->status == PARTITION_OFFLINE || partition->status == PARTITION_NEW) &&
            !partition->topic->is_queued_for_deletion &&
            (str_is_null(event->path) || str_equal(event->path, partition->topic->name))) {
            partition_set_add(controller, &offline, partition);
        }
    }
    call_partitions(controller, &offline, PARTITION_ONLINE, ELECTION_OFFLINE, false);
    return TASK_DONE;
}

struct task *unclean_enabled_task(struct controller *controller) {
    return task_init(ARENA_NEW(&controller->arena, struct task), unclean_enabled_run);
}

/* ---- notifications ---- */

struct notifications {
    struct task task;
    const char *path;
    struct name_list names;
    struct partition_set partitions; /* whose state changed */
    struct id_set brokers;           /* with a failed directory */
};

static void take_notification(struct controller *controller, struct notifications *self,
                              const struct controller_reply *reply) {
    struct znode_partition_list list;
    int32_t broker_id;
    if (reply->error != 0) {
        return;
    }
    if (strcmp(self->path, ZNODE_LOG_DIR_EVENTS) == 0) {
        if (znode_decode_log_dir_event(reply->data, &broker_id) == 0) {
            id_set_add(controller, &self->brokers, broker_id);
        }
        return;
    }
    if (znode_decode_partition_list(&controller->arena, reply->data, false, &list) != 0) {
        return;
    }
    for (int32_t i = 0; i < list.entry_count; i++) {
        struct controller_partition *partition =
            partition_lookup(controller, list.entries[i].topic, list.entries[i].partition);
        if (partition != NULL) {
            partition_set_add(controller, &self->partitions, partition);
        }
    }
}

static enum task_verdict notifications_run(struct controller *controller, struct task *task) {
    struct notifications *self = CONTAINER_OF(task, struct notifications, task);
    struct replica_set replicas = {0};
    char path[ZNODE_PATH_SIZE];
    switch (task->phase++) {
    case 0: call_read_names(controller, self->path, true, &self->names); return TASK_AGAIN;
    case 1:
        for (int32_t i = 0; i < self->names.count; i++) {
            ask_get(controller, znode_child_path(path, self->path, self->names.items[i].data), false);
        }
        return self->names.count > 0 ? TASK_AGAIN : TASK_DONE;
    case 2:
        for (int32_t i = 0; i < self->names.count; i++) {
            take_notification(controller, self, &controller->replies[i]);
        }
        call_read_states(controller, &self->partitions);
        return TASK_AGAIN;
    case 3:
        if (self->partitions.count > 0) {
            send_metadata_to_all(controller, &self->partitions);
        }
        /* LeaderAndIsr for all they have: their answers tell which replicas are gone. */
        replicas_on(controller, &self->brokers, &replicas);
        call_replicas(controller, &replicas, REPLICA_ONLINE);
        return TASK_AGAIN;
    case 4:
        for (int32_t i = 0; i < self->names.count; i++) {
            ask_fenced(controller, CONTROLLER_OP_DELETE, znode_child_path(path, self->path, self->names.items[i].data),
                       SLICE_NULL, -1);
        }
        return TASK_AGAIN;
    default: return TASK_DONE;
    }
}

static struct task *notifications_task(struct controller *controller, const char *path) {
    struct notifications *self = TASK_NEW(controller, struct notifications, notifications_run);
    self->path = path;
    return &self->task;
}

struct task *isr_change_task(struct controller *controller) {
    return notifications_task(controller, ZNODE_ISR_CHANGES);
}

struct task *log_dir_event_task(struct controller *controller) {
    return notifications_task(controller, ZNODE_LOG_DIR_EVENTS);
}

/* ---- which watch means what ---- */

static bool is_child(struct str path, const char *parent, struct str *ret_name) {
    int32_t size = (int32_t)strlen(parent);
    if (path.size <= size + 1 || memcmp(path.data, parent, (size_t)size) != 0 || path.data[size] != '/') {
        return false;
    }
    *ret_name = (struct str){path.data + size + 1, path.size - size - 1};
    return memchr(ret_name->data, '/', (size_t)ret_name->size) == NULL;
}

struct task *watch_task(struct controller *controller, struct str path) {
    static const struct {
        const char *path;
        struct task *(*task)(struct controller *controller);
    } table[] = {
        {ZNODE_BROKER_IDS, broker_change_task},          {ZNODE_TOPICS, topic_change_task},
        {ZNODE_DELETE_TOPICS, topic_deletion_task},      {ZNODE_ISR_CHANGES, isr_change_task},
        {ZNODE_LOG_DIR_EVENTS, log_dir_event_task},      {ZNODE_PREFERRED_REPLICA_ELECTION, preferred_node_task},
        {ZNODE_REASSIGN_PARTITIONS, reassign_node_task},
    };
    struct str name;
    if (str_equal_text(path, ZNODE_CONTROLLER)) {
        return controller_node_task(controller);
    }
    if (!controller->is_active) {
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        if (str_equal_text(path, table[i].path)) {
            return table[i].task(controller);
        }
    }
    if (is_child(path, ZNODE_BROKER_IDS, &name)) {
        return broker_modification_task(controller, znode_number(arena_str(&controller->arena, name).data));
    }
    return is_child(path, ZNODE_TOPICS, &name) ? partition_modification_task(controller, name) : NULL;
}
