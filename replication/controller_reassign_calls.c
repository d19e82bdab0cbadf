/* Who asks for reassignments: AlterPartitionReassignments, the legacy node /admin/reassign_partitions; and who asks
 * what is under way (zookeeper-mode.md 3.8). */
#include "generated/protocol/alter_partition_reassignments.h"
#include "generated/protocol/list_partition_reassignments.h"
#include "replication/controller_core.h"
#include "replication/isr.h"

#define AREA "kafka.controller.KafkaController"

/* ---- checks ---- */

struct refusal {
    int16_t error_code;
    struct str message;
};

static const struct refusal ACCEPTED = {KAFKA_NONE, {NULL, -1}};

/* "ArrayBuffer(1, 2)", as Scala prints lists. */
static struct str print_ids(struct arena *arena, const char *name, const int32_t *ids, int32_t count) {
    struct str text = arena_printf(arena, "%s(", name);
    for (int32_t i = 0; i < count; i++) {
        text = arena_printf(arena, "%.*s%s%d", STR_ARGS(text), i == 0 ? "" : ", ", ids[i]);
    }
    return arena_printf(arena, "%.*s)", STR_ARGS(text));
}

static struct refusal refuse(struct str message) {
    return (struct refusal){KAFKA_INVALID_REPLICA_ASSIGNMENT, message};
}

static bool has_duplicates(const int32_t *ids, int32_t count) {
    for (int32_t i = 1; i < count; i++) {
        if (ids_contain(ids, i, ids[i])) {
            return true;
        }
    }
    return false;
}

static bool has_negative(const int32_t *ids, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        if (ids[i] < 0) {
            return true;
        }
    }
    return false;
}

/* The order of the checks is Kafka's; each looks only at what those before let pass. */
static struct refusal check_replicas(struct arena *arena, const int32_t *replicas, int32_t count) {
    if (count == 0) {
        return refuse(STR_LITERAL("Empty replica list specified in partition reassignment."));
    }
    if (has_duplicates(replicas, count)) {
        struct str list = print_ids(arena, "ArrayBuffer", replicas, count);
        return refuse(
            arena_printf(arena, "Duplicate replica ids in partition reassignment replica list: %.*s", STR_ARGS(list)));
    }
    if (has_negative(replicas, count)) {
        struct str list = print_ids(arena, "ArrayBuffer", replicas, count);
        return refuse(arena_printf(arena, "Invalid broker id in replica list: %.*s", STR_ARGS(list)));
    }
    return ACCEPTED;
}

static struct refusal check_added(struct controller *controller, struct arena *arena, const int32_t *added,
                                  int32_t count) {
    int32_t *live = ARENA_ARRAY(arena, int32_t, controller->broker_count + 1);
    int32_t live_count = 0;
    for (int32_t i = 0; i < controller->broker_count; i++) {
        if (!controller->brokers[i]->is_shutting_down) {
            live[live_count++] = controller->brokers[i]->id;
        }
    }
    for (int32_t i = 0; i < count; i++) {
        if (!ids_contain(live, live_count, added[i])) {
            struct str list = print_ids(arena, "ArrayBuffer", added, count);
            struct str alive = print_ids(arena, "Set", live, live_count);
            return refuse(arena_printf(arena,
                                       "Replica assignment has brokers that are not alive. Replica list: %.*s, live "
                                       "broker list: %.*s",
                                       STR_ARGS(list), STR_ARGS(alive)));
        }
    }
    return ACCEPTED;
}

/* A replica on its way in goes at once when it is wanted no longer. Kafka lets it go even when it is the only one in
 * sync, and what was acknowledged goes with it. */
static struct refusal check_kept(struct controller *controller, struct arena *arena,
                                 struct controller_partition *partition, const struct znode_topic_partition *wanted) {
    bool is_lost = false;
    for (int32_t i = 0; i < partition->isr_count; i++) {
        int32_t id = partition->isr[i];
        if (!ids_contain(wanted->replicas, wanted->replica_count, id)) {
            is_lost = true;
        } else if (replica_is_online(controller, partition, id)) {
            return ACCEPTED;
        }
    }
    return is_lost ? refuse(arena_printf(arena,
                                         "The replicas that would stay for %.*s-%d are not in sync or not alive; "
                                         "acknowledged records would be lost.",
                                         STR_ARGS(partition->topic->name), partition->index))
                   : ACCEPTED;
}

/* NULL replicas: back to what was before anything moved. */
static struct refusal check_reassignment(struct controller *controller, struct arena *arena,
                                         struct controller_partition *partition, const int32_t *replicas, int32_t count,
                                         struct znode_topic_partition *ret_wanted) {
    struct refusal refusal = ACCEPTED;
    bool is_cancel = replicas == NULL;
    if (!is_cancel) {
        refusal = check_replicas(arena, replicas, count);
    } else if (partition == NULL || !partition_is_reassigning(partition)) {
        return (struct refusal){KAFKA_NO_REASSIGNMENT_IN_PROGRESS,
                                str_from(kafka_error_text(KAFKA_NO_REASSIGNMENT_IN_PROGRESS))};
    }
    if (refusal.error_code != KAFKA_NONE) {
        return refusal;
    }
    if (partition == NULL) {
        refusal = check_added(controller, arena, replicas, count);
        return refusal.error_code != KAFKA_NONE
                   ? refusal
                   : (struct refusal){KAFKA_UNKNOWN_TOPIC_OR_PARTITION, STR_LITERAL("The partition does not exist.")};
    }
    if (is_cancel) {
        struct znode_topic_partition now = partition_assignment(controller, partition);
        int32_t *original = ARENA_ARRAY(arena, int32_t, now.replica_count + 1);
        count = 0;
        for (int32_t i = 0; i < now.replica_count; i++) {
            if (!ids_contain(now.adding, now.adding_count, now.replicas[i])) {
                original[count++] = now.replicas[i];
            }
        }
        replicas = original;
    }
    *ret_wanted = reassignment_towards(controller, partition, replicas, count);
    if (ret_wanted->replica_count > REPLICAS_MAX) {
        return refuse(
            arena_printf(arena, "A partition has at most %d replicas, those it moves from included.", REPLICAS_MAX));
    }
    refusal = check_added(controller, arena, ret_wanted->adding, ret_wanted->adding_count);
    if (refusal.error_code != KAFKA_NONE) {
        return refusal;
    }
    if (partition->topic->is_queued_for_deletion || !partition->has_state) {
        return (struct refusal){KAFKA_UNKNOWN_TOPIC_OR_PARTITION, STR_LITERAL("The partition does not exist.")};
    }
    return check_kept(controller, arena, partition, ret_wanted);
}

int16_t reassignment_check(struct controller *controller, struct arena *arena, struct controller_partition *partition,
                           const int32_t *replicas, int32_t count, struct znode_topic_partition *ret_wanted,
                           struct str *ret_message) {
    struct refusal refusal = check_reassignment(controller, arena, partition, replicas, count, ret_wanted);
    *ret_message = refusal.message;
    return refusal.error_code;
}

void reassignment_mark_overtaken(struct controller_partition **partitions, int32_t count, bool *ret_is_overtaken) {
    for (int32_t i = count - 1; i >= 0; i--) {
        ret_is_overtaken[i] = partitions[i] != NULL && partitions[i]->is_in_batch;
        if (partitions[i] != NULL) {
            partitions[i]->is_in_batch = true;
        }
    }
    for (int32_t i = 0; i < count; i++) {
        if (partitions[i] != NULL) {
            partitions[i]->is_in_batch = false;
        }
    }
}

/* ---- AlterPartitionReassignments ---- */

struct wish {
    struct controller_partition *partition;
    struct alter_partition_reassignments_response_reassignable_partition_response *answer;
};

struct alter_reassignments {
    struct task task;
    struct reassignment_list list;
    struct wish *wishes; /* one per item of the list */
};

static void take_wish(struct controller *controller, struct alter_reassignments *self,
                      struct controller_partition *partition,
                      const struct alter_partition_reassignments_request_reassignable_partition *from,
                      struct alter_partition_reassignments_response_reassignable_partition_response *to) {
    static const int32_t none[1];
    const int32_t *replicas = from->replicas_count < 0 ? NULL : from->replicas_count == 0 ? none : from->replicas;
    struct znode_topic_partition wanted;
    alter_partition_reassignments_response_reassignable_partition_response_init(to);
    to->partition_index = from->partition_index;
    to->error_code = reassignment_check(controller, controller->current->event.arena, partition, replicas,
                                        from->replicas_count, &wanted, &to->error_message);
    if (to->error_code == KAFKA_NONE) {
        self->wishes[self->list.count] = (struct wish){partition, to};
        reassignment_add(controller, &self->list, partition, &wanted);
    }
}

static struct controller_partition **find_partitions(struct controller *controller,
                                                     const struct alter_partition_reassignments_request *request,
                                                     int32_t *ret_count) {
    int32_t count = 0, at = 0;
    for (int32_t i = 0; i < request->topics_count; i++) {
        count += request->topics[i].partitions_count;
    }
    struct controller_partition **found = ARENA_ARRAY(&controller->arena, struct controller_partition *, count + 1);
    for (int32_t i = 0; i < request->topics_count; i++) {
        struct controller_topic *topic = topic_find(controller, request->topics[i].name);
        for (int32_t j = 0; j < request->topics[i].partitions_count; j++) {
            found[at++] =
                topic == NULL ? NULL : partition_find(topic, request->topics[i].partitions[j].partition_index);
        }
    }
    *ret_count = count;
    return found;
}

/* A partition named twice is what it is named last, and answered once: as in Kafka. */
static void take_wishes(struct controller *controller, struct alter_reassignments *self) {
    const struct controller_event *event = &controller->current->event;
    const struct alter_partition_reassignments_request *request = event->alter_reassignments;
    struct alter_partition_reassignments_response *response = event->ret_alter_reassignments;
    int32_t count, at = 0;
    struct controller_partition **partitions = find_partitions(controller, request, &count);
    bool *is_overtaken = ARENA_ARRAY(&controller->arena, bool, count + 1);
    reassignment_mark_overtaken(partitions, count, is_overtaken);
    self->wishes = ARENA_ARRAY(&controller->arena, struct wish, count + 1);
    response->responses =
        ARENA_ARRAY(event->arena, struct alter_partition_reassignments_response_reassignable_topic_response,
                    request->topics_count + 1);
    for (int32_t i = 0; i < request->topics_count; i++) {
        const struct alter_partition_reassignments_request_reassignable_topic *from = &request->topics[i];
        struct alter_partition_reassignments_response_reassignable_topic_response *to =
            &response->responses[response->responses_count];
        alter_partition_reassignments_response_reassignable_topic_response_init(to);
        to->name = from->name;
        to->partitions =
            ARENA_ARRAY(event->arena, struct alter_partition_reassignments_response_reassignable_partition_response,
                        from->partitions_count + 1);
        for (int32_t j = 0; j < from->partitions_count; j++, at++) {
            if (!is_overtaken[at]) {
                take_wish(controller, self, partitions[at], &from->partitions[j],
                          &to->partitions[to->partitions_count++]);
            }
        }
        response->responses_count += to->partitions_count > 0;
    }
}

/* What is wanted already is under way or done. */
static void drop_unchanged(struct controller *controller, struct reassignment_list *list, struct wish *wishes) {
    int32_t kept = 0;
    for (int32_t i = 0; i < list->count; i++) {
        struct znode_topic_partition now = partition_assignment(controller, list->items[i].partition);
        if (!reassignment_is_same(&now, &list->items[i].wanted)) {
            list->items[kept] = list->items[i];
            wishes[kept++] = wishes[i];
        }
    }
    list->count = kept;
}

static struct partition_set partitions_of(struct controller *controller, const struct reassignment_list *list) {
    struct partition_set set = {0};
    for (int32_t i = 0; i < list->count; i++) {
        partition_set_add(controller, &set, list->items[i].partition);
    }
    return set;
}

static enum task_verdict alter_reassignments_run(struct controller *controller, struct task *task) {
    struct alter_reassignments *self = CONTAINER_OF(task, struct alter_reassignments, task);
    struct alter_partition_reassignments_response *response = controller->current->event.ret_alter_reassignments;
    if (task->phase++ > 0) {
        for (int32_t i = 0; i < self->list.count; i++) {
            if (self->list.items[i].is_failed) {
                self->wishes[i].answer->error_code = KAFKA_UNKNOWN_SERVER_ERROR;
                self->wishes[i].answer->error_message = str_from(kafka_error_text(KAFKA_UNKNOWN_SERVER_ERROR));
            }
        }
        answer_call(controller, KAFKA_NONE);
        return TASK_DONE;
    }
    alter_partition_reassignments_response_init(response);
    if (!controller->is_active) {
        answer_call(controller, KAFKA_NOT_CONTROLLER);
        return TASK_DONE;
    }
    take_wishes(controller, self);
    /* The latest wish counts, wherever it comes from. */
    struct partition_set wished = partitions_of(controller, &self->list);
    call_forget_in_reassign_node(controller, &wished);
    drop_unchanged(controller, &self->list, self->wishes);
    call_reassign(controller, &self->list);
    return TASK_AGAIN;
}

struct task *alter_reassignments_task(struct controller *controller) {
    return &TASK_NEW(controller, struct alter_reassignments, alter_reassignments_run)->task;
}

/* ---- ListPartitionReassignments ---- */

static int32_t *copy_ids(struct arena *arena, const int32_t *ids, int32_t count) {
    int32_t *copy = ARENA_ARRAY(arena, int32_t, count + 1);
    memcpy(copy, ids, (size_t)count * sizeof *copy);
    return copy;
}

static void list_partition(struct controller *controller, struct controller_partition *partition,
                           struct list_partition_reassignments_response_ongoing_topic_reassignment *topic) {
    struct arena *arena = controller->current->event.arena;
    if (partition == NULL || !partition_is_reassigning(partition)) {
        return;
    }
    struct list_partition_reassignments_response_ongoing_partition_reassignment *to =
        &topic->partitions[topic->partitions_count++];
    struct znode_topic_partition now = partition_assignment(controller, partition);
    list_partition_reassignments_response_ongoing_partition_reassignment_init(to);
    to->partition_index = partition->index;
    to->replicas = copy_ids(arena, now.replicas, now.replica_count);
    to->replicas_count = now.replica_count;
    to->adding_replicas = copy_ids(arena, now.adding, now.adding_count);
    to->adding_replicas_count = now.adding_count;
    to->removing_replicas = copy_ids(arena, now.removing, now.removing_count);
    to->removing_replicas_count = now.removing_count;
}

static struct list_partition_reassignments_response_ongoing_topic_reassignment *
begin_topic(struct controller *controller, struct str name, int32_t capacity) {
    const struct controller_event *event = &controller->current->event;
    struct list_partition_reassignments_response *response = event->ret_list_reassignments;
    struct list_partition_reassignments_response_ongoing_topic_reassignment *topic =
        &response->topics[response->topics_count];
    list_partition_reassignments_response_ongoing_topic_reassignment_init(topic);
    topic->name = arena_str(event->arena, name);
    topic->partitions = ARENA_ARRAY(
        event->arena, struct list_partition_reassignments_response_ongoing_partition_reassignment, capacity + 1);
    return topic;
}

static void list_named(struct controller *controller) {
    const struct list_partition_reassignments_request *request = controller->current->event.list_reassignments;
    struct list_partition_reassignments_response *response = controller->current->event.ret_list_reassignments;
    for (int32_t i = 0; i < request->topics_count; i++) {
        const struct list_partition_reassignments_request_list_partition_reassignments_topics *from =
            &request->topics[i];
        struct list_partition_reassignments_response_ongoing_topic_reassignment *to =
            begin_topic(controller, from->name, from->partition_indexes_count);
        for (int32_t j = 0; j < from->partition_indexes_count; j++) {
            list_partition(controller, partition_lookup(controller, from->name, from->partition_indexes[j]), to);
        }
        response->topics_count += to->partitions_count > 0;
    }
}

static void list_all(struct controller *controller) {
    struct list_partition_reassignments_response *response = controller->current->event.ret_list_reassignments;
    for (struct controller_topic *topic = controller->topics; topic != NULL; topic = topic->by_name.next) {
        struct list_partition_reassignments_response_ongoing_topic_reassignment *to =
            begin_topic(controller, topic->name, topic->partition_count);
        for (int32_t i = 0; i < topic->partition_count; i++) {
            list_partition(controller, topic->partitions[i], to);
        }
        response->topics_count += to->partitions_count > 0;
    }
}

static enum task_verdict list_reassignments_run(struct controller *controller, struct task *task) {
    const struct controller_event *event = &controller->current->event;
    int32_t asked = event->list_reassignments->topics_count;
    (void)task;
    list_partition_reassignments_response_init(event->ret_list_reassignments);
    if (!controller->is_active) {
        answer_call(controller, KAFKA_NOT_CONTROLLER);
        return TASK_DONE;
    }
    int32_t capacity = asked < 0 ? (int32_t)HASH_CNT(by_name, controller->topics) : asked;
    event->ret_list_reassignments->topics = ARENA_ARRAY(
        event->arena, struct list_partition_reassignments_response_ongoing_topic_reassignment, capacity + 1);
    if (asked < 0) {
        list_all(controller);
    } else {
        list_named(controller);
    }
    answer_call(controller, KAFKA_NONE);
    return TASK_DONE;
}

struct task *list_reassignments_task(struct controller *controller) {
    return task_init(ARENA_NEW(&controller->arena, struct task), list_reassignments_run);
}
