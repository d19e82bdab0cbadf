/* The legacy node /admin/reassign_partitions: what old tools want moved, taken out entry by entry as it is done,
 * refused or overtaken by a request (zookeeper-mode.md 1.5, 3.8). */
#include "replication/controller_core.h"

#define AREA "kafka.controller.KafkaController"

/* ---- taking entries out ---- */

struct forget {
    struct task task;
    const struct znode_partition_list *gone;
};

static bool names(const struct znode_partition_list *list, const struct znode_partition_entry *entry) {
    for (int32_t i = 0; i < list->entry_count; i++) {
        if (list->entries[i].partition == entry->partition && str_equal(list->entries[i].topic, entry->topic)) {
            return true;
        }
    }
    return false;
}

/* Under the version read: somebody may be adding to the node. What is written or deleted fires the watch set here, and
 * that reads again. */
static void ask_without(struct controller *controller, struct forget *self) {
    const struct controller_reply *reply = controller->replies;
    struct znode_partition_list list;
    if (reply->error != 0 || znode_decode_partition_list(&controller->arena, reply->data, true, &list) != 0) {
        return;
    }
    int32_t kept = 0;
    for (int32_t i = 0; i < list.entry_count; i++) {
        if (!names(self->gone, &list.entries[i])) {
            list.entries[kept++] = list.entries[i];
        }
    }
    if (kept == 0) {
        ask_fenced(controller, CONTROLLER_OP_DELETE, ZNODE_REASSIGN_PARTITIONS, SLICE_NULL, reply->version);
    } else if (kept < list.entry_count) {
        list.entry_count = kept;
        ask_fenced(controller, CONTROLLER_OP_SET, ZNODE_REASSIGN_PARTITIONS,
                   znode_encode_reassign_partitions(&controller->arena, &list), reply->version);
    }
}

static enum task_verdict forget_run(struct controller *controller, struct task *task) {
    struct forget *self = CONTAINER_OF(task, struct forget, task);
    switch (task->phase++) {
    case 0: break;
    case 1: ask_without(controller, self); return controller->ask_count > 0 ? TASK_AGAIN : TASK_DONE;
    default:
        if (reply_op_error(controller->replies, 1) != ERR_BAD_VERSION) {
            return TASK_DONE;
        }
        task->phase = 1;
        break;
    }
    ask_get(controller, ZNODE_REASSIGN_PARTITIONS, true);
    return TASK_AGAIN;
}

static void call_forget(struct controller *controller, const struct znode_partition_list *gone) {
    if (gone->entry_count > 0) {
        struct forget *self = TASK_NEW(controller, struct forget, forget_run);
        self->gone = gone;
        task_call(controller, &self->task);
    }
}

void call_forget_in_reassign_node(struct controller *controller, const struct partition_set *gone) {
    struct znode_partition_list *list = ARENA_NEW(&controller->arena, struct znode_partition_list);
    list->entries = ARENA_ARRAY(&controller->arena, struct znode_partition_entry, gone->count + 1);
    list->entry_count = 0;
    for (int32_t i = 0; i < gone->count; i++) {
        list->entries[list->entry_count++] = (struct znode_partition_entry){
            .topic = arena_str(&controller->arena, gone->items[i]->topic->name),
            .partition = gone->items[i]->index,
        };
    }
    call_forget(controller, list);
}

/* ---- taking them up ---- */

static void take_entry(struct controller *controller, struct controller_partition *partition,
                       const struct znode_partition_entry *entry, struct reassignment_list *list,
                       struct znode_partition_list *gone) {
    struct znode_topic_partition wanted, now;
    struct str message;
    int16_t error = reassignment_check(controller, &controller->arena, partition, entry->replicas, entry->replica_count,
                                       &wanted, &message);
    if (error != KAFKA_NONE) {
        trace_warn(AREA, "[Controller id=%d] Moving %.*s-%d as " ZNODE_REASSIGN_PARTITIONS " says is refused: %s: %.*s",
                   controller->config.broker_id, STR_ARGS(entry->topic), entry->partition, kafka_error_name(error),
                   STR_ARGS(message));
        gone->entries[gone->entry_count++] = *entry;
        return;
    }
    now = partition_assignment(controller, partition);
    if (!reassignment_is_same(&now, &wanted)) {
        reassignment_add(controller, list, partition, &wanted);
    } else if (!partition_is_reassigning(partition)) {
        gone->entries[gone->entry_count++] = *entry;
    }
}

static enum task_verdict reassign_node_run(struct controller *controller, struct task *task) {
    struct znode_partition_list found;
    struct reassignment_list list = {0};
    if (task->phase++ == 0) {
        ask_get(controller, ZNODE_REASSIGN_PARTITIONS, true);
        return TASK_AGAIN;
    }
    if (controller->replies->error != 0) {
        return TASK_DONE;
    }
    if (znode_decode_partition_list(&controller->arena, controller->replies->data, true, &found) != 0) {
        trace_warn(AREA, "[Controller id=%d] " ZNODE_REASSIGN_PARTITIONS " is not to be understood",
                   controller->config.broker_id);
        return TASK_DONE;
    }
    struct znode_partition_list *gone = ARENA_NEW(&controller->arena, struct znode_partition_list);
    gone->entries = ARENA_ARRAY(&controller->arena, struct znode_partition_entry, found.entry_count + 1);
    gone->entry_count = 0;
    struct controller_partition **partitions =
        ARENA_ARRAY(&controller->arena, struct controller_partition *, found.entry_count + 1);
    bool *is_overtaken = ARENA_ARRAY(&controller->arena, bool, found.entry_count + 1);
    for (int32_t i = 0; i < found.entry_count; i++) {
        partitions[i] = partition_lookup(controller, found.entries[i].topic, found.entries[i].partition);
    }
    reassignment_mark_overtaken(partitions, found.entry_count, is_overtaken);
    for (int32_t i = 0; i < found.entry_count; i++) {
        if (!is_overtaken[i]) {
            take_entry(controller, partitions[i], &found.entries[i], &list, gone);
        }
    }
    call_forget(controller, gone);
    call_reassign(controller, &list);
    return TASK_DONE;
}

struct task *reassign_node_task(struct controller *controller) {
    return task_init(ARENA_NEW(&controller->arena, struct task), reassign_node_run);
}

void call_reassign_node(struct controller *controller) {
    task_call(controller, reassign_node_task(controller));
}
