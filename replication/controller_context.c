/* The cluster as the controller holds it in memory: brokers, topics, partitions and their replicas. */
#include "replication/controller_core.h"

/* ---- sets, in the event's arena ---- */

static void *grow(struct controller *controller, void *items, int32_t count, int32_t *capacity, size_t item_size) {
    if (count < *capacity) {
        return items;
    }
    *capacity = *capacity == 0 ? 16 : *capacity * 2;
    void *larger = arena_alloc(&controller->arena, (size_t)*capacity * item_size);
    if (count > 0) {
        memcpy(larger, items, (size_t)count * item_size);
    }
    return larger;
}

void partition_set_add(struct controller *controller, struct partition_set *set, struct controller_partition *item) {
    set->items = grow(controller, set->items, set->count, &set->capacity, sizeof *set->items);
    set->items[set->count++] = item;
}

void replica_set_add(struct controller *controller, struct replica_set *set, struct controller_partition *partition,
                     int32_t broker_id) {
    set->items = grow(controller, set->items, set->count, &set->capacity, sizeof *set->items);
    set->items[set->count++] = (struct replica_ref){partition, broker_id};
}

void id_set_add(struct controller *controller, struct id_set *set, int32_t id) {
    set->items = grow(controller, set->items, set->count, &set->capacity, sizeof *set->items);
    set->items[set->count++] = id;
}

bool ids_contain(const int32_t *ids, int32_t count, int32_t id) {
    for (int32_t i = 0; i < count; i++) {
        if (ids[i] == id) {
            return true;
        }
    }
    return false;
}

bool ids_equal(const int32_t *a, int32_t a_count, const int32_t *b, int32_t b_count) {
    return a_count == b_count && (a_count == 0 || memcmp(a, b, (size_t)a_count * sizeof *a) == 0);
}

static int32_t *copy_ids(const int32_t *ids, int32_t count) {
    int32_t *copy = xcalloc((size_t)count + 1, sizeof *copy);
    if (count > 0) {
        memcpy(copy, ids, (size_t)count * sizeof *copy);
    }
    return copy;
}

/* ---- brokers ---- */

static int32_t broker_position(struct controller *controller, int32_t id) {
    int32_t low = 0, high = controller->broker_count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (controller->brokers[middle]->id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct controller_broker *broker_find(struct controller *controller, int32_t id) {
    int32_t at = broker_position(controller, id);
    return at < controller->broker_count && controller->brokers[at]->id == id ? controller->brokers[at] : NULL;
}

void broker_update(struct controller_broker *broker, const struct znode_broker *info) {
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    struct znode_broker copy = *info;
    copy.endpoints = ARENA_ARRAY(&arena, struct znode_endpoint, info->endpoint_count + 1);
    for (int32_t i = 0; i < info->endpoint_count; i++) {
        const struct znode_endpoint *from = &info->endpoints[i];
        copy.endpoints[i] = (struct znode_endpoint){
            .listener = arena_str(&arena, from->listener),
            .host = arena_str(&arena, from->host),
            .port = from->port,
            .security_protocol = arena_str(&arena, from->security_protocol),
        };
    }
    copy.rack = arena_str(&arena, info->rack);
    copy.features = ARENA_ARRAY(&arena, struct znode_feature_range, info->feature_count + 1);
    for (int32_t i = 0; i < info->feature_count; i++) {
        copy.features[i] = info->features[i];
        copy.features[i].name = arena_str(&arena, info->features[i].name);
    }
    arena_deinit(&broker->arena);
    broker->arena = arena;
    broker->info = copy;
}

struct controller_broker *broker_add(struct controller *controller, int32_t id, int64_t epoch,
                                     const struct znode_broker *info) {
    int32_t at = broker_position(controller, id);
    struct controller_broker *broker = xcalloc(1, sizeof *broker);
    broker->id = id;
    broker->epoch = epoch;
    broker_update(broker, info);
    controller->brokers =
        xrealloc(controller->brokers, ((size_t)controller->broker_count + 1) * sizeof(struct controller_broker *));
    memmove(&controller->brokers[at + 1], &controller->brokers[at],
            (size_t)(controller->broker_count - at) * sizeof(struct controller_broker *));
    controller->brokers[at] = broker;
    controller->broker_count++;
    return broker;
}

static void broker_free(struct controller_broker *broker) {
    HASH_CLEAR(hh, broker->leader_and_isr);
    HASH_CLEAR(hh, broker->stop_replica);
    arena_deinit(&broker->arena);
    free(broker);
}

void broker_remove(struct controller *controller, int32_t id) {
    int32_t at = broker_position(controller, id);
    CHECK(at < controller->broker_count && controller->brokers[at]->id == id);
    broker_free(controller->brokers[at]);
    controller->broker_count--;
    memmove(&controller->brokers[at], &controller->brokers[at + 1],
            (size_t)(controller->broker_count - at) * sizeof(struct controller_broker *));
}

const struct znode_endpoint *broker_endpoint(const struct controller_broker *broker, const char *listener) {
    for (int32_t i = 0; i < broker->info.endpoint_count; i++) {
        if (str_equal_text(broker->info.endpoints[i].listener, listener)) {
            return &broker->info.endpoints[i];
        }
    }
    return NULL;
}

/* ---- topics and partitions ---- */

struct controller_topic *topic_find(struct controller *controller, struct str name) {
    struct controller_topic *topic;
    HASH_FIND(by_name, controller->topics, name.data, (size_t)MAX(name.size, 0), topic);
    return topic;
}

struct controller_topic *topic_find_by_id(struct controller *controller, struct uuid id) {
    struct controller_topic *topic;
    HASH_FIND(by_id, controller->topics_by_id, &id, sizeof id, topic);
    return topic;
}

struct controller_topic *topic_add(struct controller *controller, struct str name) {
    struct controller_topic *topic = xcalloc(1, sizeof *topic);
    topic->name = (struct str){xstrndup(name.data, (size_t)name.size), name.size};
    HASH_ADD_KEYPTR(by_name, controller->topics, topic->name.data, (size_t)name.size, topic);
    return topic;
}

void topic_set_id(struct controller *controller, struct controller_topic *topic, struct uuid id) {
    if (!uuid_is_zero(topic->id)) {
        HASH_DELETE(by_id, controller->topics_by_id, topic);
    }
    topic->id = id;
    if (!uuid_is_zero(id)) {
        HASH_ADD(by_id, controller->topics_by_id, id, sizeof topic->id, topic);
    }
}

void topic_remove(struct controller *controller, struct controller_topic *topic) {
    topic_set_id(controller, topic, (struct uuid){{0}});
    HASH_DELETE(by_name, controller->topics, topic);
    topic->next_dead = controller->dead_topics;
    controller->dead_topics = topic;
}

static void topic_free(struct controller_topic *topic) {
    for (int32_t i = 0; i < topic->partition_count; i++) {
        struct controller_partition *partition = topic->partitions[i];
        free(partition->replicas);
        free(partition->adding);
        free(partition->removing);
        free(partition->isr);
        free(partition);
    }
    free(topic->partitions);
    free((char *)topic->name.data);
    free(topic);
}

void context_bury_dead(struct controller *controller) {
    while (controller->dead_topics != NULL) {
        struct controller_topic *topic = controller->dead_topics;
        controller->dead_topics = topic->next_dead;
        topic_free(topic);
    }
}

static int32_t partition_position(const struct controller_topic *topic, int32_t index) {
    int32_t low = 0, high = topic->partition_count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (topic->partitions[middle]->index < index) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct controller_partition *partition_find(struct controller_topic *topic, int32_t index) {
    int32_t at = partition_position(topic, index);
    return at < topic->partition_count && topic->partitions[at]->index == index ? topic->partitions[at] : NULL;
}

struct controller_partition *partition_lookup(struct controller *controller, struct str topic_name, int32_t index) {
    struct controller_topic *topic = topic_find(controller, topic_name);
    return topic == NULL ? NULL : partition_find(topic, index);
}

static void set_changing(struct controller_partition *partition, const struct znode_topic_partition *assigned) {
    int32_t *adding = copy_ids(assigned->adding, assigned->adding_count); /* which may be the ones replaced */
    int32_t *removing = copy_ids(assigned->removing, assigned->removing_count);
    free(partition->adding);
    free(partition->removing);
    partition->adding = adding;
    partition->adding_count = assigned->adding_count;
    partition->removing = removing;
    partition->removing_count = assigned->removing_count;
}

void partition_assign(struct controller_partition *partition, const struct znode_topic_partition *assigned) {
    int32_t known_count = partition->replica_count + partition->leaving_count;
    struct controller_replica *replicas =
        xcalloc((size_t)assigned->replica_count + (size_t)known_count + 1, sizeof *replicas);
    for (int32_t i = 0; i < assigned->replica_count; i++) {
        const struct controller_replica *known = replica_find(partition, assigned->replicas[i]);
        replicas[i] = known != NULL ? *known : (struct controller_replica){.broker_id = assigned->replicas[i]};
    }
    int32_t count = assigned->replica_count;
    for (int32_t i = 0; i < known_count; i++) {
        if (!ids_contain(assigned->replicas, assigned->replica_count, partition->replicas[i].broker_id)) {
            replicas[count++] = partition->replicas[i];
        }
    }
    free(partition->replicas);
    partition->replicas = replicas;
    partition->replica_count = assigned->replica_count;
    partition->leaving_count = count - assigned->replica_count;
    set_changing(partition, assigned);
}

void partition_forget_leaving(struct controller_partition *partition) {
    partition->leaving_count = 0;
}

struct znode_topic_partition partition_assignment(struct controller *controller,
                                                  const struct controller_partition *partition) {
    struct arena *arena = &controller->arena;
    struct znode_topic_partition assignment = {
        .partition = partition->index,
        .replicas = ARENA_ARRAY(arena, int32_t, partition->replica_count + 1),
        .replica_count = partition->replica_count,
        .adding = ARENA_ARRAY(arena, int32_t, partition->adding_count + 1),
        .adding_count = partition->adding_count,
        .removing = ARENA_ARRAY(arena, int32_t, partition->removing_count + 1),
        .removing_count = partition->removing_count,
    };
    for (int32_t i = 0; i < partition->replica_count; i++) {
        assignment.replicas[i] = partition->replicas[i].broker_id;
    }
    memcpy(assignment.adding, partition->adding, (size_t)partition->adding_count * sizeof *partition->adding);
    memcpy(assignment.removing, partition->removing, (size_t)partition->removing_count * sizeof *partition->removing);
    return assignment;
}

struct controller_partition *partition_add(struct controller_topic *topic,
                                           const struct znode_topic_partition *assigned) {
    int32_t at = partition_position(topic, assigned->partition);
    struct controller_partition *partition = xcalloc(1, sizeof *partition);
    partition->topic = topic;
    partition->index = assigned->partition;
    partition->replicas = xcalloc((size_t)assigned->replica_count + 1, sizeof *partition->replicas);
    for (int32_t i = 0; i < assigned->replica_count; i++) {
        partition->replicas[i].broker_id = assigned->replicas[i];
    }
    partition->replica_count = assigned->replica_count;
    set_changing(partition, assigned);
    topic->partitions =
        xrealloc(topic->partitions, ((size_t)topic->partition_count + 1) * sizeof(struct controller_partition *));
    memmove(&topic->partitions[at + 1], &topic->partitions[at],
            (size_t)(topic->partition_count - at) * sizeof(struct controller_partition *));
    topic->partitions[at] = partition;
    topic->partition_count++;
    return partition;
}

void partition_set_state(struct controller_partition *partition, const struct znode_partition_state *state,
                         int32_t controller_epoch, int32_t partition_epoch) {
    int32_t *isr = copy_ids(state->isr, state->isr_count); /* which may be the one replaced */
    free(partition->isr);
    partition->has_state = true;
    partition->leader = state->leader;
    partition->leader_epoch = state->leader_epoch;
    partition->controller_epoch = controller_epoch;
    partition->recovery_state = state->leader_recovery_state;
    partition->partition_epoch = partition_epoch;
    partition->isr = isr;
    partition->isr_count = state->isr_count;
}

struct znode_partition_state partition_state(const struct controller_partition *partition) {
    return (struct znode_partition_state){.leader = partition->leader,
                                          .leader_epoch = partition->leader_epoch,
                                          .controller_epoch = partition->controller_epoch,
                                          .leader_recovery_state = partition->recovery_state,
                                          .isr = partition->isr,
                                          .isr_count = partition->isr_count};
}

bool partition_is_reassigning(const struct controller_partition *partition) {
    return partition->adding_count > 0 || partition->removing_count > 0;
}

void topic_partitions(struct controller *controller, struct controller_topic *topic, struct partition_set *set) {
    for (int32_t i = 0; i < topic->partition_count; i++) {
        partition_set_add(controller, set, topic->partitions[i]);
    }
}

void all_partitions(struct controller *controller, struct partition_set *set) {
    for (struct controller_topic *topic = controller->topics; topic != NULL; topic = topic->by_name.next) {
        topic_partitions(controller, topic, set);
    }
}

/* ---- replicas ---- */

struct controller_replica *replica_find(struct controller_partition *partition, int32_t broker_id) {
    for (int32_t i = 0; i < partition->replica_count + partition->leaving_count; i++) {
        if (partition->replicas[i].broker_id == broker_id) {
            return &partition->replicas[i];
        }
    }
    return NULL;
}

bool replica_is_reachable(struct controller *controller, struct controller_partition *partition, int32_t broker_id) {
    struct controller_replica *replica = replica_find(partition, broker_id);
    return broker_find(controller, broker_id) != NULL && (replica == NULL || !replica->is_dir_offline);
}

bool replica_is_online(struct controller *controller, struct controller_partition *partition, int32_t broker_id) {
    struct controller_broker *broker = broker_find(controller, broker_id);
    return broker != NULL && !broker->is_shutting_down && replica_is_reachable(controller, partition, broker_id);
}

void replicas_of(struct controller *controller, const struct partition_set *partitions, struct replica_set *set) {
    for (int32_t i = 0; i < partitions->count; i++) {
        struct controller_partition *partition = partitions->items[i];
        for (int32_t j = 0; j < partition->replica_count; j++) {
            replica_set_add(controller, set, partition, partition->replicas[j].broker_id);
        }
    }
}

void replicas_on(struct controller *controller, const struct id_set *brokers, struct replica_set *set) {
    for (struct controller_topic *topic = controller->topics; topic != NULL; topic = topic->by_name.next) {
        for (int32_t i = 0; i < topic->partition_count; i++) {
            for (int32_t j = 0; j < brokers->count; j++) {
                if (replica_find(topic->partitions[i], brokers->items[j]) != NULL) {
                    replica_set_add(controller, set, topic->partitions[i], brokers->items[j]);
                }
            }
        }
    }
}

void context_clear(struct controller *controller) {
    controller->is_batch_open = false;
    while (controller->broker_count > 0) {
        broker_remove(controller, controller->brokers[controller->broker_count - 1]->id);
    }
    while (controller->topics != NULL) {
        topic_remove(controller, controller->topics);
    }
}

void controller_count(const struct controller *controller, struct controller_counts *ret_counts) {
    *ret_counts = (struct controller_counts){0};
    if (!controller->is_active) {
        return;
    }
    for (int32_t i = 0; i < controller->broker_count; i++) {
        ret_counts->live_brokers += !controller->brokers[i]->is_shutting_down;
    }
    for (const struct controller_topic *topic = controller->topics; topic != NULL; topic = topic->by_name.next) {
        ret_counts->topics++;
        ret_counts->topics_to_delete += topic->is_queued_for_deletion;
        for (int32_t i = 0; i < topic->partition_count; i++) {
            const struct controller_partition *partition = topic->partitions[i];
            ret_counts->partitions++;
            ret_counts->reassigning_partitions += partition->adding_count > 0 || partition->removing_count > 0;
            if (!topic->is_queued_for_deletion) {
                ret_counts->offline_partitions += partition->status != PARTITION_ONLINE;
                ret_counts->not_preferred_leaders +=
                    partition->replica_count > 0 && partition->leader != partition->replicas[0].broker_id;
            }
        }
    }
}
