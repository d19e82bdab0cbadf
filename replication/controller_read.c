/* Reading the coordinator: listings, registrations, assignments and partition states. */
#include "replication/controller_core.h"

#define AREA "kafka.controller.KafkaController"

static int compare_names(const void *a, const void *b) {
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static void take_names(struct controller *controller, const struct controller_reply *reply, struct name_list *ret) {
    int32_t count = reply->error == 0 ? reply->name_count : 0;
    ret->items = ARENA_ARRAY(&controller->arena, struct str, count + 1);
    ret->count = count;
    for (int32_t i = 0; i < count; i++) {
        ret->items[i] = arena_str(&controller->arena, str_from(reply->names[i]));
    }
    qsort(ret->items, (size_t)count, sizeof *ret->items, compare_names);
}

/* ---- names ---- */

struct read_names {
    struct task task;
    const char *path;
    bool is_watching;
    struct name_list *ret;
};

static enum task_verdict read_names_run(struct controller *controller, struct task *task) {
    struct read_names *self = CONTAINER_OF(task, struct read_names, task);
    if (task->phase++ == 0) {
        ask_children(controller, self->path, self->is_watching);
        return TASK_AGAIN;
    }
    take_names(controller, &controller->replies[0], self->ret);
    return TASK_DONE;
}

void call_read_names(struct controller *controller, const char *path, bool is_watching, struct name_list *ret) {
    struct read_names *self = TASK_NEW(controller, struct read_names, read_names_run);
    self->path = path;
    self->is_watching = is_watching;
    self->ret = ret;
    task_call(controller, &self->task);
}

/* ---- clearing a directory of notifications ---- */

struct clear_children {
    struct task task;
    const char *path;
    struct name_list names;
};

static enum task_verdict clear_children_run(struct controller *controller, struct task *task) {
    struct clear_children *self = CONTAINER_OF(task, struct clear_children, task);
    switch (task->phase++) {
    case 0: call_read_names(controller, self->path, true, &self->names); return TASK_AGAIN;
    case 1:
        for (int32_t i = 0; i < self->names.count; i++) {
            char path[ZNODE_PATH_SIZE];
            ask_fenced(controller, CONTROLLER_OP_DELETE, znode_child_path(path, self->path, self->names.items[i].data),
                       SLICE_NULL, -1);
        }
        return self->names.count > 0 ? TASK_AGAIN : TASK_DONE;
    default: return TASK_DONE; /* gone already is as good as deleted */
    }
}

void call_clear_children(struct controller *controller, const char *path) {
    struct clear_children *self = TASK_NEW(controller, struct clear_children, clear_children_run);
    self->path = path;
    task_call(controller, &self->task);
}

/* ---- brokers ---- */

struct read_brokers {
    struct task task;
    struct id_set ids;
    struct broker_readings *ret;
};

static int compare_ids(const void *a, const void *b) {
    int32_t left = *(const int32_t *)a, right = *(const int32_t *)b;
    return (left > right) - (left < right);
}

/* Whether the broker supports every finalized feature, as far as there are any. */
static bool supports(const struct znode_broker *info, const struct znode_feature *finalized) {
    for (int32_t i = 0; i < finalized->feature_count; i++) {
        const struct znode_feature_range *wanted = &finalized->features[i];
        bool is_supported = false;
        for (int32_t j = 0; j < info->feature_count; j++) {
            const struct znode_feature_range *has = &info->features[j];
            is_supported |= str_equal(has->name, wanted->name) && has->min_version <= wanted->max_version &&
                            wanted->max_version <= has->max_version;
        }
        if (!is_supported) {
            return false;
        }
    }
    return true;
}

static void check_features(struct controller *controller, const struct controller_reply *reply,
                           struct broker_readings *ret) {
    struct znode_feature finalized;
    if (reply->error != 0 || znode_decode_feature(&controller->arena, reply->data, &finalized) != 0) {
        return; /* none are finalized, or nobody can tell */
    }
    for (int32_t i = 0; i < ret->count; i++) {
        ret->items[i].is_incompatible = !supports(&ret->items[i].info, &finalized);
        if (ret->items[i].is_incompatible) {
            trace_warn(AREA, "[Controller id=%d] Broker %d is ignored: it does not support what is finalized",
                       controller->config.broker_id, ret->items[i].id);
        }
    }
}

static void take_brokers(struct controller *controller, struct read_brokers *self) {
    struct broker_readings *ret = self->ret;
    ret->items = ARENA_ARRAY(&controller->arena, struct broker_reading, self->ids.count + 1);
    ret->count = 0;
    ret->is_corrupt = false;
    for (int32_t i = 0; i < self->ids.count; i++) {
        const struct controller_reply *reply = &controller->replies[i];
        struct broker_reading *reading = &ret->items[ret->count];
        if (reply->error != 0) {
            continue; /* it left meanwhile; the listing's watch tells */
        }
        reading->is_incompatible = false;
        reading->id = self->ids.items[i];
        reading->epoch = reply->czxid;
        if (znode_decode_broker(&controller->arena, reply->data, &reading->info) != 0) {
            trace_error(AREA, "[Controller id=%d] Registration of broker %d cannot be read",
                        controller->config.broker_id, reading->id);
            ret->is_corrupt = true;
            continue;
        }
        ret->count++;
    }
}

static enum task_verdict read_brokers_run(struct controller *controller, struct task *task) {
    struct read_brokers *self = CONTAINER_OF(task, struct read_brokers, task);
    switch (task->phase++) {
    case 0: ask_children(controller, ZNODE_BROKER_IDS, true); return TASK_AGAIN;
    case 1:
        for (int32_t i = 0; i < controller->replies[0].name_count; i++) {
            int32_t id = znode_number(controller->replies[0].names[i]);
            if (id >= 0) {
                id_set_add(controller, &self->ids, id);
            }
        }
        if (self->ids.count > 0) {
            qsort(self->ids.items, (size_t)self->ids.count, sizeof *self->ids.items, compare_ids);
        }
        for (int32_t i = 0; i < self->ids.count; i++) {
            char path[ZNODE_PATH_SIZE];
            ask_get(controller, znode_broker_path(path, self->ids.items[i]), true);
        }
        ask_get(controller, ZNODE_FEATURE, false);
        return TASK_AGAIN;
    default: break;
    }
    take_brokers(controller, self);
    check_features(controller, &controller->replies[self->ids.count], self->ret);
    return TASK_DONE;
}

void call_read_brokers(struct controller *controller, struct broker_readings *ret) {
    struct read_brokers *self = TASK_NEW(controller, struct read_brokers, read_brokers_run);
    self->ret = ret;
    task_call(controller, &self->task);
}

/* ---- topics ---- */

struct read_topics {
    struct task task;
    const struct name_list *names;
    struct topic_reading *ret;
};

/* Never 0, never 1 (Kafka reserves it), never one whose text would look like an option to a tool. */
static struct uuid new_topic_id(struct controller *controller) {
    struct uuid id;
    char text[UUID_TEXT_SIZE];
    do {
        uint64_t halves[2] = {random_u64(&controller->random), random_u64(&controller->random)};
        memcpy(id.bytes, halves, sizeof id.bytes);
        id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0FU) | 0x40U); /* version 4, variant 2: as Java makes them */
        id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3FU) | 0x80U);
        uuid_format(id, text);
    } while (text[0] == '-');
    return id;
}

static void take_topics(struct controller *controller, struct read_topics *self) {
    for (int32_t i = 0; i < self->names->count; i++) {
        struct topic_reading *reading = &self->ret[i];
        const struct controller_reply *reply = &controller->replies[i];
        reading->name = self->names->items[i];
        reading->is_found = reply->error == 0;
        if (reading->is_found && znode_decode_topic(&controller->arena, reply->data, &reading->topic) != 0) {
            /* As in Kafka: a topic that cannot be read has no partitions, and nothing is written to it. */
            trace_error(AREA, "[Controller id=%d] Assignment of topic %.*s cannot be read",
                        controller->config.broker_id, STR_ARGS(reading->name));
            reading->topic = (struct znode_topic){0};
        }
    }
}

/* Topics made by brokers older than 2.8 have no id; from now on they do. */
static bool ask_topic_ids(struct controller *controller, struct read_topics *self) {
    bool is_asked = false;
    for (int32_t i = 0; i < self->names->count; i++) {
        struct topic_reading *reading = &self->ret[i];
        if (reading->is_found && reading->topic.partition_count > 0 && uuid_is_zero(reading->topic.topic_id)) {
            char path[ZNODE_PATH_SIZE];
            reading->topic.topic_id = new_topic_id(controller);
            ask_fenced(controller, CONTROLLER_OP_SET, znode_topic_path(path, reading->name),
                       znode_encode_topic(&controller->arena, &reading->topic), -1);
            is_asked = true;
        }
    }
    return is_asked;
}

static enum task_verdict read_topics_run(struct controller *controller, struct task *task) {
    struct read_topics *self = CONTAINER_OF(task, struct read_topics, task);
    switch (task->phase++) {
    case 0:
        for (int32_t i = 0; i < self->names->count; i++) {
            char path[ZNODE_PATH_SIZE];
            ask_get(controller, znode_topic_path(path, self->names->items[i]), true);
        }
        return self->names->count > 0 ? TASK_AGAIN : TASK_DONE;
    case 1: take_topics(controller, self); return ask_topic_ids(controller, self) ? TASK_AGAIN : TASK_DONE;
    default: return TASK_DONE;
    }
}

void call_read_topics(struct controller *controller, const struct name_list *names, struct topic_reading *ret) {
    struct read_topics *self = TASK_NEW(controller, struct read_topics, read_topics_run);
    self->names = names;
    self->ret = ret;
    task_call(controller, &self->task);
}

/* ---- partition states ---- */

struct read_states {
    struct task task;
    struct partition_set partitions;
};

void ask_states(struct controller *controller, const struct partition_set *partitions) {
    for (int32_t i = 0; i < partitions->count; i++) {
        char path[ZNODE_PATH_SIZE];
        const struct controller_partition *partition = partitions->items[i];
        ask_get(controller, znode_partition_state_path(path, partition->topic->name, partition->index), false);
    }
}

void take_states(struct controller *controller, const struct partition_set *partitions) {
    for (int32_t i = 0; i < partitions->count; i++) {
        struct znode_partition_state state;
        const struct controller_reply *reply = &controller->replies[i];
        struct controller_partition *partition = partitions->items[i];
        if (reply->error == 0 && znode_decode_partition_state(&controller->arena, reply->data, &state) == 0) {
            partition_set_state(partition, &state, state.controller_epoch, reply->version);
        } else {
            partition->has_state = false;
        }
    }
}

static enum task_verdict read_states_run(struct controller *controller, struct task *task) {
    struct read_states *self = CONTAINER_OF(task, struct read_states, task);
    if (task->phase++ == 0) {
        ask_states(controller, &self->partitions);
        return self->partitions.count > 0 ? TASK_AGAIN : TASK_DONE;
    }
    take_states(controller, &self->partitions);
    return TASK_DONE;
}

void call_read_states(struct controller *controller, const struct partition_set *partitions) {
    struct read_states *self = TASK_NEW(controller, struct read_states, read_states_run);
    self->partitions = *partitions;
    task_call(controller, &self->task);
}
