/* Requests to brokers, gathered while decisions are made and sent as one batch (zookeeper-mode.md 3.6).
 *
 * A LeaderAndIsr entry brings a metadata entry to everybody. What a batch says of a partition is what is known when it
 * is sent. Brokers that are not live or shutting down are left out silently. */
#include "broker/protocol/api_keys.h"
#include "generated/protocol/leader_and_isr.h"
#include "generated/protocol/stop_replica.h"
#include "generated/protocol/update_metadata.h"
#include "replication/controller_core.h"

/* What inter-broker protocol 3.4-IV0 and later speaks (rule 25). */
#define LEADER_AND_ISR_VERSION 7
#define STOP_REPLICA_VERSION 4
#define UPDATE_METADATA_VERSION 8

void batch_open(struct controller *controller) {
    CHECK(!controller->is_batch_open);
    controller->is_batch_open = true;
    controller->batch_partitions = (struct partition_set){0};
    controller->is_batch_full = false;
}

/* The flag sticks once set. */
static void add_entry(struct controller *controller, struct batch_entry **entries,
                      struct controller_partition *partition, bool flag) {
    struct batch_entry *entry;
    HASH_FIND_PTR(*entries, &partition, entry);
    if (entry == NULL) {
        entry = ARENA_NEW(&controller->arena, struct batch_entry);
        entry->partition = partition;
        HASH_ADD_PTR(*entries, partition, entry);
    }
    entry->flag |= flag;
}

void batch_metadata_of(struct controller *controller, struct controller_partition *partition) {
    CHECK(controller->is_batch_open);
    /* Only partitions with known state have metadata to tell. */
    if (partition->has_state && !partition->is_in_batch) {
        partition->is_in_batch = true;
        partition_set_add(controller, &controller->batch_partitions, partition);
    }
}

/* Who did not hear of a deletion (its queue went with its registration, or with the controller before) would keep the
 * topic for ever, and as controller refuse to make it again. Kafka's brokers heed the type from KRaft alone and merge
 * the partitions as ever. */
void batch_metadata_full(struct controller *controller) {
    struct partition_set all = {0};
    all_partitions(controller, &all);
    for (int32_t i = 0; i < all.count; i++) {
        if (!all.items[i]->topic->is_queued_for_deletion) {
            batch_metadata_of(controller, all.items[i]);
        }
    }
    controller->is_batch_full = true;
}

void batch_metadata_to(struct controller *controller, int32_t broker_id) {
    struct controller_broker *broker = broker_find(controller, broker_id);
    if (broker != NULL) {
        broker->is_metadata_target = true;
    }
}

void batch_metadata_all(struct controller *controller, struct controller_partition *partition) {
    for (int32_t i = 0; i < controller->broker_count; i++) {
        controller->brokers[i]->is_metadata_target = true;
    }
    if (partition != NULL) {
        batch_metadata_of(controller, partition);
    }
}

/* A replica of a topic that goes hears of its end only: a broker that came back may have deleted it by what we told it,
 * and would begin it anew, empty, and lead it. */
void batch_leader_and_isr(struct controller *controller, int32_t broker_id, struct controller_partition *partition,
                          bool is_new) {
    CHECK(controller->is_batch_open && partition->has_state);
    struct controller_broker *broker = broker_find(controller, broker_id);
    if (broker != NULL && !partition->topic->is_queued_for_deletion) {
        add_entry(controller, &broker->leader_and_isr, partition, is_new);
    }
    batch_metadata_all(controller, partition);
}

void batch_repeat_leader_and_isr(struct controller *controller, int32_t broker_id,
                                 struct controller_partition *partition) {
    CHECK(controller->is_batch_open && partition->has_state);
    struct controller_broker *broker = broker_find(controller, broker_id);
    if (broker != NULL && !partition->topic->is_queued_for_deletion) {
        add_entry(controller, &broker->leader_and_isr, partition, false);
    }
}

void batch_stop_replica(struct controller *controller, int32_t broker_id, struct controller_partition *partition,
                        bool is_delete) {
    CHECK(controller->is_batch_open);
    struct controller_broker *broker = broker_find(controller, broker_id);
    if (broker != NULL) {
        add_entry(controller, &broker->stop_replica, partition, is_delete);
    }
}

/* ---- building ---- */

static int compare_partitions(const struct controller_partition *a, const struct controller_partition *b) {
    int order = str_compare(a->topic->name, b->topic->name);
    return order != 0 ? order : (a->index > b->index) - (a->index < b->index);
}

static int compare_entries(const struct batch_entry *a, const struct batch_entry *b) {
    return compare_partitions(a->partition, b->partition);
}

static int compare_items(const void *a, const void *b) {
    return compare_partitions(*(struct controller_partition *const *)a, *(struct controller_partition *const *)b);
}

static int32_t *copy_ids(struct arena *arena, const int32_t *ids, int32_t count) {
    int32_t *copy = ARENA_ARRAY(arena, int32_t, count + 1);
    if (count > 0) {
        memcpy(copy, ids, (size_t)count * sizeof *copy);
    }
    return copy;
}

static int32_t *copy_replicas(struct arena *arena, const struct controller_partition *partition) {
    int32_t *copy = ARENA_ARRAY(arena, int32_t, partition->replica_count + 1);
    for (int32_t i = 0; i < partition->replica_count; i++) {
        copy[i] = partition->replicas[i].broker_id;
    }
    return copy;
}

static struct controller_action *emit_send(struct controller *controller, const struct controller_broker *broker,
                                           enum api_key key, int16_t version, const void *message) {
    struct controller_action *action = emit(controller, CONTROLLER_SEND);
    action->broker_id = broker->id;
    action->broker_epoch = broker->epoch;
    action->api_key = (int16_t)key;
    action->api_version = version;
    action->message = message;
    action->number = ++controller->sent_count;
    return action;
}

static void fill_leader_and_isr(struct arena *arena, const struct batch_entry *entry,
                                struct leader_and_isr_request_leader_and_isr_partition_state *state) {
    const struct controller_partition *partition = entry->partition;
    leader_and_isr_request_leader_and_isr_partition_state_init(state);
    state->partition_index = partition->index;
    state->controller_epoch = partition->controller_epoch;
    state->leader = partition->leader;
    state->leader_epoch = partition->leader_epoch;
    state->isr = copy_ids(arena, partition->isr, partition->isr_count);
    state->isr_count = partition->isr_count;
    state->partition_epoch = partition->partition_epoch;
    state->replicas = copy_replicas(arena, partition);
    state->replicas_count = partition->replica_count;
    state->adding_replicas = copy_ids(arena, partition->adding, partition->adding_count);
    state->adding_replicas_count = partition->adding_count;
    state->removing_replicas = copy_ids(arena, partition->removing, partition->removing_count);
    state->removing_replicas_count = partition->removing_count;
    state->is_new = entry->flag;
    state->leader_recovery_state = (int8_t)partition->recovery_state;
}

/* Leaders named in this request that are reachable, by the listener brokers talk on. */
static void fill_live_leaders(struct controller *controller, struct arena *arena, struct batch_entry *entries,
                              struct leader_and_isr_request *request) {
    request->live_leaders =
        ARENA_ARRAY(arena, struct leader_and_isr_request_leader_and_isr_live_leader, controller->broker_count + 1);
    request->live_leaders_count = 0;
    for (int32_t i = 0; i < controller->broker_count; i++) {
        struct controller_broker *broker = controller->brokers[i];
        const struct znode_endpoint *endpoint = broker_endpoint(broker, controller->config.inter_broker_listener);
        for (struct batch_entry *entry = entries; entry != NULL; entry = entry->hh.next) {
            if (entry->partition->leader == broker->id && endpoint != NULL) {
                request->live_leaders[request->live_leaders_count++] =
                    (struct leader_and_isr_request_leader_and_isr_live_leader){
                        .broker_id = broker->id,
                        .host_name = arena_str(arena, endpoint->host),
                        .port = endpoint->port,
                    };
                break;
            }
        }
    }
}

static void send_leader_and_isr(struct controller *controller, struct controller_broker *broker) {
    struct arena *arena = &controller->actions->arena;
    int32_t count = (int32_t)HASH_COUNT(broker->leader_and_isr);
    if (count == 0) {
        return;
    }
    HASH_SORT(broker->leader_and_isr, compare_entries);
    struct leader_and_isr_request *request = ARENA_NEW(arena, struct leader_and_isr_request);
    leader_and_isr_request_init(request);
    request->controller_id = controller->config.broker_id;
    request->controller_epoch = controller->epoch;
    request->broker_epoch = broker->epoch;
    request->topic_states = ARENA_ARRAY(arena, struct leader_and_isr_request_leader_and_isr_topic_state, count);
    struct leader_and_isr_request_leader_and_isr_partition_state *states =
        ARENA_ARRAY(arena, struct leader_and_isr_request_leader_and_isr_partition_state, count);
    struct leader_and_isr_request_leader_and_isr_topic_state *topic = NULL;
    const struct controller_topic *last = NULL;
    for (struct batch_entry *entry = broker->leader_and_isr; entry != NULL; entry = entry->hh.next) {
        if (entry->partition->topic != last) {
            last = entry->partition->topic;
            topic = &request->topic_states[request->topic_states_count++];
            leader_and_isr_request_leader_and_isr_topic_state_init(topic);
            topic->topic_name = arena_str(arena, last->name);
            topic->topic_id = last->id;
            topic->partition_states = states;
            topic->partition_states_count = 0;
        }
        fill_leader_and_isr(arena, entry, states++);
        topic->partition_states_count++;
    }
    fill_live_leaders(controller, arena, broker->leader_and_isr, request);
    HASH_CLEAR(hh, broker->leader_and_isr);
    emit_send(controller, broker, API_LEADER_AND_ISR, LEADER_AND_ISR_VERSION, request);
}

static int16_t security_protocol_id(struct str name) {
    static const char *const names[] = {"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"};
    for (int16_t i = 0; i < (int16_t)ARRAY_SIZE(names); i++) {
        if (str_equal_text(name, names[i])) {
            return i;
        }
    }
    return 0;
}

static void fill_live_brokers(struct controller *controller, struct arena *arena,
                              struct update_metadata_request *request) {
    request->live_brokers =
        ARENA_ARRAY(arena, struct update_metadata_request_update_metadata_broker, controller->broker_count + 1);
    request->live_brokers_count = controller->broker_count;
    for (int32_t i = 0; i < controller->broker_count; i++) {
        const struct znode_broker *info = &controller->brokers[i]->info;
        struct update_metadata_request_update_metadata_broker *broker = &request->live_brokers[i];
        update_metadata_request_update_metadata_broker_init(broker);
        broker->id = controller->brokers[i]->id;
        broker->rack = arena_str(arena, info->rack);
        broker->endpoints =
            ARENA_ARRAY(arena, struct update_metadata_request_update_metadata_endpoint, info->endpoint_count + 1);
        broker->endpoints_count = info->endpoint_count;
        for (int32_t j = 0; j < info->endpoint_count; j++) {
            broker->endpoints[j] = (struct update_metadata_request_update_metadata_endpoint){
                .port = info->endpoints[j].port,
                .host = arena_str(arena, info->endpoints[j].host),
                .listener = arena_str(arena, info->endpoints[j].listener),
                .security_protocol = security_protocol_id(info->endpoints[j].security_protocol),
            };
        }
    }
}

static void fill_metadata(struct controller *controller, struct arena *arena, struct controller_partition *partition,
                          struct update_metadata_request_update_metadata_partition_state *state) {
    update_metadata_request_update_metadata_partition_state_init(state);
    state->partition_index = partition->index;
    state->controller_epoch = partition->controller_epoch;
    if (partition->topic->is_queued_for_deletion) {
        /* Kafka makes a fresh state here: epoch and version 0 whatever they were. */
        state->leader = CONTROLLER_LEADER_DURING_DELETE;
    } else {
        state->leader = partition->leader;
        state->leader_epoch = partition->leader_epoch;
        state->zk_version = partition->partition_epoch;
    }
    state->isr = copy_ids(arena, partition->isr, partition->isr_count);
    state->isr_count = partition->isr_count;
    state->replicas = copy_replicas(arena, partition);
    state->replicas_count = partition->replica_count;
    state->offline_replicas = ARENA_ARRAY(arena, int32_t, partition->replica_count + 1);
    state->offline_replicas_count = 0;
    for (int32_t i = 0; i < partition->replica_count; i++) {
        int32_t id = partition->replicas[i].broker_id;
        if (!replica_is_online(controller, partition, id)) {
            state->offline_replicas[state->offline_replicas_count++] = id;
        }
    }
}

static void fill_topics(struct controller *controller, struct arena *arena, struct update_metadata_request *request) {
    struct partition_set *set = &controller->batch_partitions;
    if (set->count == 0) {
        return;
    }
    qsort(set->items, (size_t)set->count, sizeof(struct controller_partition *), compare_items);
    request->topic_states = ARENA_ARRAY(arena, struct update_metadata_request_update_metadata_topic_state, set->count);
    struct update_metadata_request_update_metadata_partition_state *states =
        ARENA_ARRAY(arena, struct update_metadata_request_update_metadata_partition_state, set->count);
    struct update_metadata_request_update_metadata_topic_state *topic = NULL;
    const struct controller_topic *last = NULL;
    for (int32_t i = 0; i < set->count; i++) {
        if (set->items[i]->topic != last) {
            last = set->items[i]->topic;
            topic = &request->topic_states[request->topic_states_count++];
            update_metadata_request_update_metadata_topic_state_init(topic);
            topic->topic_name = arena_str(arena, last->name);
            topic->topic_id = last->id;
            topic->partition_states = states;
            topic->partition_states_count = 0;
        }
        fill_metadata(controller, arena, set->items[i], states++);
        topic->partition_states_count++;
        set->items[i]->is_in_batch = false;
    }
}

static bool tells_of_deletion(const struct partition_set *set) {
    for (int32_t i = 0; i < set->count; i++) {
        if (set->items[i]->topic->is_queued_for_deletion) {
            return true;
        }
    }
    return false;
}

/* The same for everybody but the broker epoch. */
static void send_metadata(struct controller *controller) {
    struct arena *arena = &controller->actions->arena;
    struct update_metadata_request shared;
    update_metadata_request_init(&shared);
    shared.controller_id = controller->config.broker_id;
    shared.controller_epoch = controller->epoch;
    shared.type = controller->is_batch_full ? CONTROLLER_METADATA_FULL : 0;
    bool is_kept = tells_of_deletion(&controller->batch_partitions);
    fill_topics(controller, arena, &shared);
    fill_live_brokers(controller, arena, &shared);
    for (int32_t i = 0; i < controller->broker_count; i++) {
        struct controller_broker *broker = controller->brokers[i];
        if (broker->is_metadata_target) {
            broker->is_metadata_target = false;
            struct update_metadata_request *request = ARENA_NEW(arena, struct update_metadata_request);
            *request = shared;
            request->broker_epoch = broker->epoch;
            emit_send(controller, broker, API_UPDATE_METADATA, UPDATE_METADATA_VERSION, request)->is_kept = is_kept;
        }
    }
}

static int32_t stop_epoch(const struct controller_partition *partition) {
    if (partition->topic->is_queued_for_deletion) {
        return CONTROLLER_EPOCH_DURING_DELETE;
    }
    return partition->has_state ? partition->leader_epoch : CONTROLLER_NO_EPOCH;
}

static void send_stop_replica(struct controller *controller, struct controller_broker *broker) {
    struct arena *arena = &controller->actions->arena;
    int32_t count = (int32_t)HASH_COUNT(broker->stop_replica);
    if (count == 0) {
        return;
    }
    HASH_SORT(broker->stop_replica, compare_entries);
    struct stop_replica_request *request = ARENA_NEW(arena, struct stop_replica_request);
    stop_replica_request_init(request);
    request->controller_id = controller->config.broker_id;
    request->controller_epoch = controller->epoch;
    request->broker_epoch = broker->epoch;
    request->topic_states = ARENA_ARRAY(arena, struct stop_replica_request_stop_replica_topic_state, count);
    struct stop_replica_request_stop_replica_partition_state *states =
        ARENA_ARRAY(arena, struct stop_replica_request_stop_replica_partition_state, count);
    struct stop_replica_request_stop_replica_topic_state *topic = NULL;
    const struct controller_topic *last = NULL;
    for (struct batch_entry *entry = broker->stop_replica; entry != NULL; entry = entry->hh.next) {
        if (entry->partition->topic != last) {
            last = entry->partition->topic;
            topic = &request->topic_states[request->topic_states_count++];
            topic->topic_name = arena_str(arena, last->name);
            topic->partition_states = states;
        }
        *states++ = (struct stop_replica_request_stop_replica_partition_state){
            .partition_index = entry->partition->index,
            .leader_epoch = stop_epoch(entry->partition),
            .delete_partition = entry->flag,
        };
        topic->partition_states_count++;
    }
    HASH_CLEAR(hh, broker->stop_replica);
    emit_send(controller, broker, API_STOP_REPLICA, STOP_REPLICA_VERSION, request);
}

void batch_send(struct controller *controller) {
    CHECK(controller->is_batch_open);
    controller->is_batch_open = false;
    for (int32_t i = 0; i < controller->broker_count; i++) {
        send_leader_and_isr(controller, controller->brokers[i]);
    }
    send_metadata(controller);
    for (int32_t i = 0; i < controller->broker_count; i++) {
        send_stop_replica(controller, controller->brokers[i]);
    }
}

void batch_discard(struct controller *controller) {
    if (!controller->is_batch_open) {
        return;
    }
    controller->is_batch_open = false;
    for (int32_t i = 0; i < controller->broker_count; i++) {
        HASH_CLEAR(hh, controller->brokers[i]->leader_and_isr);
        HASH_CLEAR(hh, controller->brokers[i]->stop_replica);
        controller->brokers[i]->is_metadata_target = false;
    }
    for (int32_t i = 0; i < controller->batch_partitions.count; i++) {
        controller->batch_partitions.items[i]->is_in_batch = false;
    }
}

void send_metadata_to_all(struct controller *controller, const struct partition_set *partitions) {
    batch_open(controller);
    batch_metadata_all(controller, NULL);
    for (int32_t i = 0; partitions != NULL && i < partitions->count; i++) {
        batch_metadata_of(controller, partitions->items[i]);
    }
    batch_send(controller);
}
