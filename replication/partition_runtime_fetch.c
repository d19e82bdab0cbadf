/* Reading a partition for a follower or a consumer: gates, divergence, isolation, and what the leader learns of the
 * follower by it (zookeeper-mode.md 4.8, 4.9). */
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/errors.h"
#include "replication/partition_runtime.h"
#include "replication/replica_manager_internal.h"

/* From this version on a consumer says where it is and may be served by a follower (KIP-392). */
#define VERSION_OF_FOLLOWER_FETCHING 11

static bool is_replica(const struct partition_fetch *fetch) {
    return fetch->replica_id >= 0;
}

static int64_t offset_limit(const struct partition_runtime *partition, enum fetch_isolation isolation) {
    switch (isolation) {
    case FETCH_LOG_END: return partition->core.log_end;
    case FETCH_TXN_COMMITTED: return partition_runtime_last_stable_offset(partition);
    case FETCH_HIGH_WATERMARK: break;
    }
    return partition->core.high_watermark;
}

static const char *rack_of(const struct partition_runtime *partition, int32_t broker_id) {
    const struct image_broker *broker = image_broker(partition->manager->image, broker_id);
    return broker == NULL ? NULL : broker->rack;
}

/* The replica in the consumer's rack that serves it best: the leader if it is there, else of the in-sync followers that
 * hold the offset the one with the most records, then the one caught up last. -1: read here. */
static int32_t preferred_read_replica(const struct partition_runtime *partition, const struct partition_fetch *fetch) {
    const struct replica_manager_config *config = &partition->manager->config;
    const struct replica_state *best = NULL;
    if (!config->rack_aware_selector || partition->core.role != PARTITION_LEADER || is_replica(fetch) ||
        fetch->version < VERSION_OF_FOLLOWER_FETCHING || fetch->rack.size <= 0 ||
        str_equal(fetch->rack, str_from(config->rack))) {
        return -1;
    }
    for (int32_t i = 0; i < partition->core.remote_count; i++) {
        const struct replica_state *remote = &partition->core.remotes[i];
        if (!replica_list_contains(&partition->core.isr.committed, remote->broker_id) ||
            remote->log_end_offset < fetch->fetch_offset || remote->log_start_offset > fetch->fetch_offset ||
            !str_equal(fetch->rack, str_from(rack_of(partition, remote->broker_id)))) {
            continue;
        }
        if (best == NULL || remote->log_end_offset > best->log_end_offset ||
            (remote->log_end_offset == best->log_end_offset && remote->caught_up_ms > best->caught_up_ms)) {
            best = remote;
        }
    }
    return best == NULL ? -1 : best->broker_id;
}

static int16_t check_reader(const struct partition_runtime *partition, const struct partition_fetch *fetch) {
    bool must_lead = is_replica(fetch) || (fetch->replica_id == -1 && fetch->version < VERSION_OF_FOLLOWER_FETCHING);
    int16_t error = partition_runtime_check_epoch(partition, fetch->current_leader_epoch, must_lead);
    if (error == KAFKA_NONE && partition->core.role == PARTITION_IDLE) {
        error = KAFKA_NOT_LEADER_OR_FOLLOWER;
    }
    if (error == KAFKA_NONE && is_replica(fetch)) {
        error = partition_check_replica(&partition->core, fetch->replica_id, fetch->current_leader_epoch);
    }
    return error;
}

/* 0 with is_diverging decided, or OFFSET_OUT_OF_RANGE. */
static int16_t check_offset(struct partition_runtime *partition, struct partition_fetch *fetch) {
    int64_t start = partition->core.log_start;
    if (fetch->fetch_offset < start) {
        return KAFKA_OFFSET_OUT_OF_RANGE;
    }
    if (fetch->last_fetched_epoch >= 0) {
        struct log_epoch_end end = log_epoch_end_offset(partition->log, fetch->last_fetched_epoch);
        if (end.epoch < 0 || end.end_offset < 0) {
            return KAFKA_OFFSET_OUT_OF_RANGE;
        }
        fetch->is_diverging =
            partition_is_diverging(end.epoch, end.end_offset, fetch->last_fetched_epoch, fetch->fetch_offset);
        fetch->diverging_epoch = end.epoch;
        fetch->diverging_end_offset = end.end_offset;
    }
    return !fetch->is_diverging && fetch->fetch_offset > partition->core.log_end ? KAFKA_OFFSET_OUT_OF_RANGE
                                                                                 : KAFKA_NONE;
}

/* Whether what this follower gets counts against our rate: only while it is out of sync. */
static bool is_throttled(const struct partition_runtime *partition, const struct partition_fetch *fetch) {
    return is_replica(fetch) && partition->throttle.is_leader && throttle_is_on(&partition->manager->leader_throttle) &&
           !replica_list_contains(&partition->core.isr.committed, fetch->replica_id);
}

void replica_manager_unfetch(struct replica_manager *manager, struct partition_fetch *fetch) {
    throttle_record(&manager->leader_throttle, -fetch->throttled_bytes);
    fetch->throttled_bytes = 0;
}

static void read_records(struct partition_runtime *partition, struct partition_fetch *fetch) {
    struct replica_manager *manager = partition->manager;
    int64_t limit = offset_limit(partition, fetch->isolation);
    int32_t max_bytes = fetch->max_bytes;
    if (fetch->fetch_offset >= limit || max_bytes <= 0) {
        return;
    }
    bool is_counted = is_throttled(partition, fetch);
    if (is_counted) {
        int64_t allowance = throttle_allowance(&manager->leader_throttle, clock_now_ms(manager->clock));
        fetch->is_held_back = allowance <= 0;
        if (fetch->is_held_back) {
            return;
        }
        max_bytes = (int32_t)MIN((int64_t)max_bytes, allowance);
    }
    int error = log_read(partition->log, fetch->fetch_offset, max_bytes, limit, fetch->min_one_batch, &fetch->read);
    if (is_counted && error == 0) {
        fetch->throttled_bytes = fetch->read.records.size;
        throttle_record(&manager->leader_throttle, fetch->throttled_bytes);
    }
    if (error == ERR_OUT_OF_RANGE) {
        fetch->error_code = KAFKA_OFFSET_OUT_OF_RANGE;
    } else if (error != 0) {
        fetch->error_code = KAFKA_STORAGE_ERROR;
        partition_runtime_fail(partition, error);
    }
}

/* M8: only a reader whose log is a prefix of ours tells by its offset how much of our log it has. */
static void learn_of_replica(struct partition_runtime *partition, const struct partition_fetch *fetch) {
#ifdef MUTANT_M8 /* credits a follower whose log diverges */
    if (!is_replica(fetch) || fetch->is_reread) {
#else
    if (!is_replica(fetch) || fetch->is_reread || fetch->is_diverging) {
#endif
        return;
    }
    struct partition_event event = partition_runtime_event(partition, PARTITION_REPLICA_FETCHED);
    event.replica.broker_id = fetch->replica_id;
    event.replica.fetch_offset = fetch->fetch_offset;
    event.replica.log_start_offset = fetch->log_start_offset;
    event.replica.replica_epoch = fetch->replica_epoch;
    partition_runtime_apply(partition, &event);
}

static void clear_result(struct partition_fetch *fetch, int16_t error_code) {
    fetch->error_code = error_code;
    fetch->high_watermark = -1;
    fetch->last_stable_offset = -1;
    fetch->result_log_start_offset = -1;
    fetch->preferred_read_replica = -1;
    fetch->is_diverging = false;
    fetch->diverging_epoch = -1;
    fetch->diverging_end_offset = -1;
    fetch->read = (struct log_read_info){.records = {.size = 0}, .first_offset = -1};
    fetch->throttled_bytes = 0;
    fetch->is_held_back = false;
}

void partition_runtime_fetch(struct partition_runtime *partition, struct partition_fetch *fetch) {
    clear_result(fetch, check_reader(partition, fetch));
    if (fetch->error_code == KAFKA_NONE) {
        fetch->preferred_read_replica = preferred_read_replica(partition, fetch);
        if (fetch->preferred_read_replica < 0) {
            fetch->error_code = check_offset(partition, fetch);
        }
    }
    if (fetch->error_code != KAFKA_NONE) {
        clear_result(fetch, fetch->error_code);
        return;
    }
    /* Before reading and before the follower's own progress counts, as Kafka does: what is answered was true when the
     * records were not yet read. */
    fetch->high_watermark = partition->core.high_watermark;
    fetch->last_stable_offset = partition_runtime_last_stable_offset(partition);
    fetch->result_log_start_offset = partition->core.log_start;
    if (!fetch->is_diverging && fetch->preferred_read_replica < 0) {
        read_records(partition, fetch);
    }
    if (fetch->error_code != KAFKA_NONE) {
        clear_result(fetch, fetch->error_code);
        return;
    }
    if (!fetch->is_diverging) {
        fetch->diverging_epoch = -1;
        fetch->diverging_end_offset = -1;
    }
    learn_of_replica(partition, fetch);
}

int64_t partition_runtime_available_bytes(const struct partition_runtime *partition, int64_t offset,
                                          enum fetch_isolation isolation) {
    struct log_read_info read = {.records = {.size = 0}};
    if (partition->is_offline) {
        return 0;
    }
    int64_t limit = offset_limit(partition, isolation);
    if (offset >= limit || log_read(partition->log, offset, INT32_MAX, limit, true, &read) != 0) {
        return 0;
    }
    disk_file_unref(read.records.file);
    return read.records.size;
}
