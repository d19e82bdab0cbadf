/* AlterPartition and AllocateProducerIds (zookeeper-mode.md 1.8, 3.7). */
#include "generated/protocol/alter_partition.h"
#include "replication/controller_core.h"

/* ---- AlterPartition ---- */

struct alteration {
    struct controller_partition *partition;
    struct alter_partition_response_partition_data *answer;
    struct znode_partition_state state;
};

struct alter_task {
    struct task task;
    struct alteration *writes;
    int32_t write_count;
    struct partition_set asked;
};

static void take_isr(struct controller *controller, const struct alter_partition_request_partition_data *data,
                     int16_t version, struct znode_partition_state *ret) {
    int32_t count = version >= 3 ? data->new_isr_with_epochs_count : data->new_isr_count;
    ret->isr_count = MAX(count, 0);
    ret->isr = ARENA_ARRAY(&controller->arena, int32_t, ret->isr_count + 1);
    for (int32_t i = 0; i < ret->isr_count; i++) {
        ret->isr[i] = version >= 3 ? data->new_isr_with_epochs[i].broker_id : data->new_isr[i];
    }
}

static bool has_duplicates(const struct znode_partition_state *state) {
    for (int32_t i = 1; i < state->isr_count; i++) {
        if (ids_contain(state->isr, i, state->isr[i])) {
            return true;
        }
    }
    return false;
}

static void answer_current(struct controller *controller, const struct controller_partition *partition,
                           struct alter_partition_response_partition_data *answer) {
    struct arena *arena = controller->current->event.arena;
    answer->error_code = KAFKA_NONE;
    answer->leader_id = partition->leader;
    answer->leader_epoch = partition->leader_epoch;
    answer->isr = ARENA_ARRAY(arena, int32_t, partition->isr_count + 1);
    answer->isr_count = partition->isr_count;
    for (int32_t i = 0; i < partition->isr_count; i++) {
        answer->isr[i] = partition->isr[i];
    }
    answer->leader_recovery_state = (int8_t)partition->recovery_state;
    answer->partition_epoch = partition->partition_epoch;
}

/* The life of the broker in which the leader saw it fetch, -1 when the request does not say. */
static int64_t epoch_of_member(const struct alter_partition_request_partition_data *data, int16_t version,
                               int32_t number) {
    return version >= 3 ? data->new_isr_with_epochs[number].broker_epoch : -1;
}

/* A newcomer joins with what it has now, not with what it had before it was restarted (L9). Kafka asks this with KRaft
 * only; there, as here, a leader that does not say is believed. */
static bool is_former_life(const struct controller_partition *partition, const struct controller_broker *broker,
                           int64_t epoch) {
#ifdef MUTANT_M23
    return false;
#endif
    return epoch >= 0 && epoch != broker->epoch && !ids_contain(partition->isr, partition->isr_count, broker->id);
}

/* A leader that has not heard yet that a replica left the assignment does not bring it back. */
static bool may_be_in_sync(const struct controller_partition *partition, int32_t id) {
    for (int32_t i = 0; i < partition->replica_count; i++) {
        if (partition->replicas[i].broker_id == id) {
            return true;
        }
    }
    return ids_contain(partition->isr, partition->isr_count, id);
}

/* Kafka's checks in Kafka's order (rule 13). ret_is_done: nothing is to be written, the current state is the answer. */
static int16_t check_alteration(struct controller *controller, struct controller_partition *partition,
                                const struct alter_partition_request_partition_data *data, int16_t version,
                                const struct znode_partition_state *state, bool *ret_is_done) {
    *ret_is_done = false;
    if (data->partition_epoch > partition->partition_epoch || data->leader_epoch > partition->leader_epoch) {
        return KAFKA_NOT_CONTROLLER; /* the asker knows more than this controller: it is probably deposed */
    }
    if (data->leader_epoch < partition->leader_epoch) {
        return KAFKA_FENCED_LEADER_EPOCH;
    }
    if (state->leader == partition->leader && state->leader_recovery_state == partition->recovery_state &&
        ids_equal(state->isr, state->isr_count, partition->isr, partition->isr_count)) {
        *ret_is_done = true; /* a retry of what was done */
        return KAFKA_NONE;
    }
    if (data->partition_epoch < partition->partition_epoch) {
        return KAFKA_INVALID_UPDATE_VERSION;
    }
    /* Kafka writes an empty set, and loses the right to a clean election for good. Nobody honest asks for one, nor
     * for a set without its leader or with a member twice. */
    if (state->isr_count == 0 || has_duplicates(state) || !ids_contain(state->isr, state->isr_count, state->leader)) {
        return KAFKA_INVALID_REQUEST;
    }
    if ((state->leader_recovery_state != 0 && state->isr_count > 1) ||
        (state->leader_recovery_state != 0 && partition->recovery_state == 0)) {
        return KAFKA_INVALID_REQUEST;
    }
    for (int32_t i = 0; i < state->isr_count; i++) {
        const struct controller_broker *broker = broker_find(controller, state->isr[i]);
        if (broker == NULL || broker->is_shutting_down || !may_be_in_sync(partition, broker->id) ||
            is_former_life(partition, broker, epoch_of_member(data, version, i))) {
            return version >= 2 ? KAFKA_INELIGIBLE_REPLICA : KAFKA_OPERATION_NOT_ATTEMPTED;
        }
    }
    return KAFKA_NONE;
}

static void alter_one(struct controller *controller, struct alter_task *self, struct controller_partition *partition,
                      const struct alter_partition_request_partition_data *data,
                      struct alter_partition_response_partition_data *answer) {
    const struct controller_event *event = &controller->current->event;
    struct alteration *write = &self->writes[self->write_count];
    write->state = (struct znode_partition_state){
        .leader = event->alter_partition->broker_id,
        .leader_epoch = data->leader_epoch,
        .controller_epoch = controller->epoch,
        .leader_recovery_state = data->leader_recovery_state,
    };
    take_isr(controller, data, event->version, &write->state);
    bool is_done;
    partition_set_add(controller, &self->asked, partition);
    answer->error_code = check_alteration(controller, partition, data, event->version, &write->state, &is_done);
    if (is_done) {
        answer_current(controller, partition, answer);
    } else if (answer->error_code == KAFKA_NONE) {
        char path[ZNODE_PATH_SIZE];
        write->partition = partition;
        write->answer = answer;
        self->write_count++;
        ask_fenced(controller, CONTROLLER_OP_SET,
                   znode_partition_state_path(path, partition->topic->name, partition->index),
                   znode_encode_partition_state(&controller->arena, &write->state), data->partition_epoch);
    }
}

static int32_t count_partitions(const struct alter_partition_request *request) {
    int32_t count = 0;
    for (int32_t i = 0; i < request->topics_count; i++) {
        count += request->topics[i].partitions_count;
    }
    return count;
}

static void begin_alter(struct controller *controller, struct alter_task *self) {
    const struct controller_event *event = &controller->current->event;
    const struct alter_partition_request *request = event->alter_partition;
    struct alter_partition_response *response = event->ret_alter_partition;
    response->topics = ARENA_ARRAY(event->arena, struct alter_partition_response_topic_data, request->topics_count + 1);
    response->topics_count = request->topics_count;
    self->writes = ARENA_ARRAY(&controller->arena, struct alteration, count_partitions(request) + 1);
    for (int32_t i = 0; i < request->topics_count; i++) {
        const struct alter_partition_request_topic_data *from = &request->topics[i];
        struct alter_partition_response_topic_data *to = &response->topics[i];
        struct controller_topic *topic = event->version >= 2 ? topic_find_by_id(controller, from->topic_id)
                                                             : topic_find(controller, from->topic_name);
        alter_partition_response_topic_data_init(to);
        to->topic_name = from->topic_name;
        to->topic_id = from->topic_id;
        to->partitions =
            ARENA_ARRAY(event->arena, struct alter_partition_response_partition_data, from->partitions_count + 1);
        to->partitions_count = from->partitions_count;
        for (int32_t j = 0; j < from->partitions_count; j++) {
            struct controller_partition *partition =
                topic == NULL ? NULL : partition_find(topic, from->partitions[j].partition_index);
            struct alter_partition_response_partition_data *answer = &to->partitions[j];
            alter_partition_response_partition_data_init(answer);
            answer->partition_index = from->partitions[j].partition_index;
            if (partition == NULL || !partition->has_state) {
                answer->error_code =
                    topic == NULL && event->version >= 2 ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            } else {
                alter_one(controller, self, partition, &from->partitions[j], answer);
            }
        }
    }
}

static bool is_same_state(const struct znode_partition_state *a, const struct znode_partition_state *b) {
    return a->leader == b->leader && a->leader_epoch == b->leader_epoch && a->controller_epoch == b->controller_epoch &&
           a->leader_recovery_state == b->leader_recovery_state &&
           ids_equal(a->isr, a->isr_count, b->isr, b->isr_count);
}

/* Settles what was written. What met another version is asked for again: our own write may have been applied before its
 * answer was lost (C5), and what else holds there is better known than not. Their count is left in write_count. */
static void settle_writes(struct controller *controller, struct alter_task *self) {
    int32_t unclear_count = 0;
    for (int32_t i = 0; i < self->write_count; i++) {
        struct alteration *write = &self->writes[i];
        int error = reply_op_error(&controller->replies[i], 1);
        if (error == 0) {
            partition_set_state(write->partition, &write->state, controller->epoch,
                                controller->replies[i].op_versions[1]);
            answer_current(controller, write->partition, write->answer);
        } else if (error == ERR_BAD_VERSION) {
            char path[ZNODE_PATH_SIZE];
            ask_get(controller,
                    znode_partition_state_path(path, write->partition->topic->name, write->partition->index), false);
            self->writes[unclear_count++] = *write;
        } else {
            write->answer->error_code = KAFKA_UNKNOWN_SERVER_ERROR;
        }
    }
    self->write_count = unclear_count;
}

static void settle_unclear(struct controller *controller, struct alter_task *self) {
    for (int32_t i = 0; i < self->write_count; i++) {
        struct alteration *write = &self->writes[i];
        const struct controller_reply *reply = &controller->replies[i];
        struct znode_partition_state found;
        write->answer->error_code = KAFKA_INVALID_UPDATE_VERSION;
        if (reply->error != 0 || znode_decode_partition_state(&controller->arena, reply->data, &found) != 0) {
            continue;
        }
        partition_set_state(write->partition, &found, found.controller_epoch, reply->version);
        if (is_same_state(&found, &write->state)) {
            answer_current(controller, write->partition, write->answer);
        }
    }
}

static void end_alter(struct controller *controller, struct alter_task *self) {
    if (self->asked.count > 0) {
        send_metadata_to_all(controller, &self->asked);
    }
    answer_call(controller, KAFKA_NONE);
    call_complete_reassignments(controller, &self->asked);
}

static int16_t check_caller(struct controller *controller, int32_t broker_id, int64_t broker_epoch, int16_t unknown) {
    const struct controller_broker *broker = broker_find(controller, broker_id);
    if (!controller->is_active) {
        return KAFKA_NOT_CONTROLLER;
    }
    if (broker == NULL) {
        return unknown;
    }
    return broker->epoch != broker_epoch ? KAFKA_STALE_BROKER_EPOCH : KAFKA_NONE; /* rule 9: exact */
}

static enum task_verdict alter_partition_run(struct controller *controller, struct task *task) {
    struct alter_task *self = CONTAINER_OF(task, struct alter_task, task);
    const struct controller_event *event = &controller->current->event;
    switch (task->phase++) {
    case 0: break;
    case 1:
        settle_writes(controller, self);
        if (self->write_count > 0) {
            return TASK_AGAIN;
        }
        end_alter(controller, self);
        return TASK_DONE;
    default:
        settle_unclear(controller, self);
        end_alter(controller, self);
        return TASK_DONE;
    }
    alter_partition_response_init(event->ret_alter_partition);
    int16_t error = check_caller(controller, event->alter_partition->broker_id, event->alter_partition->broker_epoch,
                                 KAFKA_STALE_BROKER_EPOCH);
    if (error != KAFKA_NONE) {
        event->ret_alter_partition->error_code = error;
        answer_call(controller, error);
        return TASK_DONE;
    }
    begin_alter(controller, self);
    if (self->write_count > 0) {
        return TASK_AGAIN;
    }
    end_alter(controller, self);
    return TASK_DONE;
}

struct task *alter_partition_task(struct controller *controller) {
    return &TASK_NEW(controller, struct alter_task, alter_partition_run)->task;
}

/* ---- AllocateProducerIds ---- */

struct producer_ids {
    struct task task;
    struct znode_producer_id_block block;
};

static enum task_verdict allocate_producer_ids_run(struct controller *controller, struct task *task) {
    struct producer_ids *self = CONTAINER_OF(task, struct producer_ids, task);
    const struct controller_event *event = &controller->current->event;
    const struct controller_reply *reply = controller->replies;
    switch (task->phase++) {
    case 0: {
        int16_t error = check_caller(controller, event->broker_id, event->broker_epoch, KAFKA_BROKER_ID_NOT_REGISTERED);
        if (error != KAFKA_NONE) {
            answer_call(controller, error);
            return TASK_DONE;
        }
        ask_get(controller, ZNODE_PRODUCER_ID_BLOCK, false);
        return TASK_AGAIN;
    }
    case 1: {
        struct controller_op op = {.type = CONTROLLER_OP_SET, .path = ZNODE_PRODUCER_ID_BLOCK};
        struct znode_producer_id_block last;
        if (reply->error != 0 || znode_decode_producer_id_block(reply->data, &last) != 0 ||
            last.last > INT64_MAX - CONTROLLER_PRODUCER_ID_BLOCK) {
            trace_error("kafka.controller.KafkaController", "[Controller id=%d] No producer ids can be handed out: %s",
                        controller->config.broker_id,
                        reply->error != 0 ? error_text(reply->error) : "the last block cannot be read or is the end");
            answer_call(controller, KAFKA_UNKNOWN_SERVER_ERROR);
            return TASK_DONE;
        }
        self->block =
            (struct znode_producer_id_block){event->broker_id, last.last + 1, last.last + CONTROLLER_PRODUCER_ID_BLOCK};
        op.version = reply->version; /* what keeps two controllers from handing out the same ids */
        op.data = znode_encode_producer_id_block(&controller->arena, &self->block);
        ask_multi(controller, &op, 1);
        return TASK_AGAIN;
    }
    default: break;
    }
    if (reply->error != 0) {
        /* Perhaps our own write, its answer lost: the block after it costs nothing. */
        task->phase = 1;
        ask_get(controller, ZNODE_PRODUCER_ID_BLOCK, false);
        return TASK_AGAIN;
    }
    *event->ret_first = self->block.first;
    *event->ret_count = CONTROLLER_PRODUCER_ID_BLOCK;
    answer_call(controller, KAFKA_NONE);
    return TASK_DONE;
}

struct task *allocate_producer_ids_task(struct controller *controller) {
    return &TASK_NEW(controller, struct producer_ids, allocate_producer_ids_run)->task;
}
