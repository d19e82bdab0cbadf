/* Creation, lookups and the periodic look. Commands of the controller are in replica_manager_commands.c. */
#include "replication/replica_manager.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "broker/base/check.h"
#include "broker/protocol/errors.h"
#include "replication/fetcher_runtime.h"
#include "replication/log_move_runtime.h"
#include "replication/replica_manager_internal.h"

struct replica_manager *replica_manager_create(const struct replica_manager_config *config, struct clock *clock,
                                               struct log_manager *logs, struct image *image,
                                               struct transport *transport) {
    struct replica_manager *manager = xcalloc(1, sizeof *manager);
    manager->config = *config;
    manager->clock = clock;
    manager->logs = logs;
    manager->image = image;
    manager->transport = transport;
    manager->broker_epoch = -1;
    throttle_init(&manager->leader_throttle, THROTTLE_UNLIMITED, clock_now_ms(clock));
    throttle_init(&manager->follower_throttle, THROTTLE_UNLIMITED, clock_now_ms(clock));
    throttle_init(&manager->move_throttle, THROTTLE_UNLIMITED, clock_now_ms(clock));
    manager->alter = alter_partition_manager_create(manager);
    replica_manager_update_peers(manager);
    return manager;
}

void replica_manager_destroy(struct replica_manager *manager) {
    struct partition_runtime *partition = NULL;
    struct partition_runtime *after = NULL;
    if (manager == NULL) {
        return;
    }
    manager->config.on_leadership = NULL; /* coordinators stand on this manager and are gone by now */
    replica_manager_stop(manager);
    HASH_ITER(hh, manager->partitions, partition, after) {
        partition_runtime_destroy(partition);
    }
    fetcher_runtime_destroy_all(manager);
    alter_partition_manager_destroy(manager->alter);
    refused_batches_deinit(&manager->refused);
    free(manager->peers);
    free(manager);
}

void replica_manager_set_broker_epoch(struct replica_manager *manager, int64_t broker_epoch) {
    manager->broker_epoch = broker_epoch;
    alter_partition_manager_hurry(manager->alter);
}

int64_t replica_manager_broker_epoch(const struct replica_manager *manager) {
    return manager->broker_epoch;
}

/* ---- The periodic look ---- */

void replica_manager_watch_tick(struct partition_runtime *partition) {
    struct replica_manager *manager = partition->manager;
    bool needs_tick = !partition->is_offline && partition_needs_tick(&partition->core);
    if (needs_tick && !partition->is_ticking) {
        DL_APPEND2(manager->ticking, partition, tick_prev, tick_next);
    } else if (!needs_tick && partition->is_ticking) {
        DL_DELETE2(manager->ticking, partition, tick_prev, tick_next);
    }
    partition->is_ticking = needs_tick;
}

/* Every partition of the list leaves it or stays in its place, so that the walk is safe. */
static void tick_all(struct replica_manager *manager, enum partition_event_type type) {
    struct partition_runtime *partition = NULL;
    struct partition_runtime *after = NULL;
    DL_FOREACH_SAFE2(manager->ticking, partition, after, tick_next) {
        struct partition_event event = partition_runtime_event(partition, type);
        partition_runtime_apply(partition, &event);
    }
}

static void on_tick_timer(struct timer *timer) {
    struct replica_manager *manager = CONTAINER_OF(timer, struct replica_manager, tick_timer);
    tick_all(manager, PARTITION_TICK);
    timer_start(manager->clock, timer, manager->config.replica_lag_time_max_ms / 2, on_tick_timer);
}

void replica_manager_start(struct replica_manager *manager) {
    manager->is_started = true;
    timer_start(manager->clock, &manager->tick_timer, manager->config.replica_lag_time_max_ms / 2, on_tick_timer);
    fetcher_runtime_start_all(manager);
    log_move_runtime_start_all(manager);
}

void replica_manager_leave(struct replica_manager *manager) {
    manager->is_leaving = true;
}

void replica_manager_stop(struct replica_manager *manager) {
    struct partition_runtime *partition = NULL;
    struct partition_runtime *after = NULL;
    manager->is_started = false;
    timer_stop(manager->clock, &manager->tick_timer);
    timer_stop(manager->clock, &manager->move_timer);
    HASH_ITER(hh, manager->partitions, partition, after) {
        struct partition_event event = partition_runtime_event(partition, PARTITION_RESIGN);
        partition_runtime_apply(partition, &event);
        log_move_runtime_pause(partition);
    }
}

/* ---- Live brokers ---- */

struct partition_peer *replica_manager_peer(const struct replica_manager *manager, int32_t broker_id) {
    for (int32_t i = 0; i < manager->peer_count; i++) {
        if (manager->peers[i].broker_id == broker_id) {
            return &manager->peers[i];
        }
    }
    return NULL;
}

void replica_manager_update_peers(struct replica_manager *manager) {
    int32_t count = 0;
    const struct image_broker *brokers = image_brokers(manager->image, &count);
    struct partition_peer *peers = count == 0 ? NULL : xcalloc((size_t)count, sizeof *peers);
    bool is_same = count == manager->peer_count;
    for (int32_t i = 0; i < count; i++) {
        const struct partition_peer *known = replica_manager_peer(manager, brokers[i].id);
        peers[i] = known != NULL ? *known : (struct partition_peer){.broker_id = brokers[i].id, .replica_epoch = -1};
        is_same = is_same && known != NULL;
    }
    free(manager->peers);
    manager->peers = peers;
    manager->peer_count = count;
    if (!is_same) {
        tick_all(manager, PARTITION_PEERS_CHANGED);
    }
}

void replica_manager_on_follower_fetch(struct replica_manager *manager, int32_t replica_id, int64_t replica_epoch) {
    struct partition_peer *peer = replica_manager_peer(manager, replica_id);
    /* An older epoch is a fetch of a process that is dead by now (see partition.c). */
    if (peer != NULL && (replica_epoch < 0 || replica_epoch >= peer->replica_epoch)) {
        peer->last_fetch_ms = clock_now_ms(manager->clock);
        peer->replica_epoch = replica_epoch;
    }
}

/* ---- Lookups ---- */

struct partition_runtime *replica_manager_find(const struct replica_manager *manager, struct str topic, int32_t index) {
    uint8_t key[PARTITION_KEY_MAX];
    uint32_t key_size = partition_key(key, topic, index);
    struct partition_runtime *partition = NULL;
    if (key_size > 0) {
        HASH_FIND(hh, manager->partitions, key, key_size, partition);
    }
    return partition;
}

int16_t replica_manager_partition(struct replica_manager *manager, struct str topic, int32_t partition,
                                  struct partition_runtime **ret_partition) {
    *ret_partition = replica_manager_find(manager, topic, partition);
    if (*ret_partition != NULL) {
        return partition_runtime_look_again(*ret_partition);
    }
    return image_partition(manager->image, topic, partition) != NULL ? KAFKA_NOT_LEADER_OR_FOLLOWER
                                                                     : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

int32_t replica_manager_partition_count(const struct replica_manager *manager) {
    return (int32_t)HASH_COUNT(manager->partitions);
}

void replica_manager_for_each(struct replica_manager *manager, partition_visitor *visit, void *context) {
    struct partition_runtime *partition = NULL;
    struct partition_runtime *after = NULL;
    HASH_ITER(hh, manager->partitions, partition, after) {
        visit(context, partition);
    }
}

bool replica_manager_high_watermark(void *context, const char *topic, int32_t partition, int64_t *ret_offset) {
    const struct replica_manager *manager = context;
    const struct partition_runtime *found = replica_manager_find(manager, str_from(topic), partition);
    if (found == NULL || found->is_offline) {
        return false;
    }
    *ret_offset = found->core.high_watermark;
    return true;
}

void replica_manager_directory_failed(struct replica_manager *manager, const char *directory) {
    struct partition_runtime *partition = NULL;
    struct partition_runtime *after = NULL;
    size_t size = strlen(directory);
    HASH_ITER(hh, manager->partitions, partition, after) {
        const char *path = partition->log == NULL ? NULL : log_directory(partition->log);
        if (path != NULL && strncmp(path, directory, size) == 0 && path[size] == '/') {
            partition_runtime_set_offline(partition);
        }
        /* The target is lost: the replica stays where it is. */
        if (partition->move != NULL &&
            log_manager_find_future(manager->logs, partition->topic, partition->index) == NULL) {
            log_move_runtime_remove(partition);
        }
    }
}

void replica_manager_set_throttle_rates(struct replica_manager *manager, int64_t leader_rate, int64_t follower_rate) {
    int64_t now_ms = clock_now_ms(manager->clock);
    throttle_set_rate(&manager->leader_throttle, leader_rate, now_ms);
    throttle_set_rate(&manager->follower_throttle, follower_rate, now_ms);
}

void replica_manager_topic_config_changed(struct replica_manager *manager, const char *topic) {
    struct partition_runtime *partition = NULL;
    struct partition_runtime *after = NULL;
    HASH_ITER(hh, manager->partitions, partition, after) {
        if (partition->is_offline || (topic != NULL && strcmp(partition->topic, topic) != 0)) {
            continue;
        }
        struct partition_event event = partition_runtime_event(partition, PARTITION_CONFIGURED);
        event.min_insync_replicas = log_get_config(partition->log)->min_insync_replicas;
        partition_runtime_apply(partition, &event);
        partition_runtime_read_throttle(partition);
    }
}

void replica_manager_on_image_changed(struct replica_manager *manager, image_changed_callback *on_change,
                                      void *context) {
    CHECK(manager->listener_count < IMAGE_LISTENERS_MAX);
    manager->listeners[manager->listener_count].on_change = on_change;
    manager->listeners[manager->listener_count].context = context;
    manager->listener_count++;
}
