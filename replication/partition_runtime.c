/* Performs what the partition core decides, and answers for the partition: append, fetch, acknowledgements. */
#include "replication/partition_runtime.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/protocol/errors.h"
#include "replication/fetcher_runtime.h"
#include "replication/log_move_runtime.h"
#include "replication/replica_manager_internal.h"

#define AREA "kafka.cluster.Partition"

uint32_t partition_key(uint8_t ret_key[PARTITION_KEY_MAX], struct str topic, int32_t index) {
    if (topic.size <= 0 || topic.size > TOPIC_NAME_MAX) {
        return 0;
    }
    memcpy(ret_key, topic.data, (size_t)topic.size);
    memcpy(ret_key + topic.size, &index, sizeof index);
    return (uint32_t)topic.size + (uint32_t)sizeof index;
}

struct partition_runtime *partition_runtime_create(struct replica_manager *manager, struct str topic, int32_t index) {
    struct partition_runtime *partition = xcalloc(1, sizeof *partition);
    partition->manager = manager;
    partition->topic = xstrndup(topic.data, (size_t)topic.size);
    partition->index = index;
    partition->is_offline = true;
    partition->named = COMMAND_STAMP_NONE;
    partition->named_epoch = -1;
    partition_init(&partition->core, manager->config.broker_id, 0, 0, 0, 1);
    partition->key_size = partition_key(partition->key, topic, index);
    CHECK(partition->key_size > 0);
    partition->traffic = topic_traffic_ref(manager, partition->topic);
    HASH_ADD_KEYPTR(hh, manager->partitions, partition->key, partition->key_size, partition);
    return partition;
}

/* From a copy of the list's head on, each watcher takes at most itself out of the list. */
void partition_runtime_wake(struct partition_runtime *partition) {
    struct partition_watcher *watcher = partition->watchers;
    while (watcher != NULL) {
        struct partition_watcher *next = watcher->next;
        watcher->on_change(watcher);
        watcher = next;
    }
}

static void leave_everything(struct partition_runtime *partition) {
    log_move_runtime_remove(partition);
    fetcher_runtime_remove(partition);
    alter_partition_manager_withdraw(partition->manager->alter, partition);
    if (partition->is_ticking) {
        DL_DELETE2(partition->manager->ticking, partition, tick_prev, tick_next);
        partition->is_ticking = false;
    }
}

void partition_runtime_destroy(struct partition_runtime *partition) {
    leave_everything(partition);
    HASH_DEL(partition->manager->partitions, partition);
    while (partition->watchers != NULL) {
        struct partition_watcher *watcher = partition->watchers;
        partition_watcher_remove(watcher);
        watcher->on_change(watcher);
    }
    partition_deinit(&partition->core);
    topic_traffic_unref(partition->manager, partition->traffic);
    free(partition->topic);
    free(partition);
}

void partition_runtime_open(struct partition_runtime *partition, struct log *log) {
    struct replica_manager *manager = partition->manager;
    int64_t high_watermark = log_manager_checkpointed_high_watermark(manager->logs, partition->topic, partition->index);
    partition_deinit(&partition->core);
    partition_init(&partition->core, manager->config.broker_id, log_start_offset(log), log_end_offset(log),
                   high_watermark, log_get_config(log)->min_insync_replicas);
    partition->log = log;
    partition->topic_id = log_topic_id(log);
    partition->is_offline = false;
    partition_runtime_read_throttle(partition);
}

void partition_runtime_read_throttle(struct partition_runtime *partition) {
    const struct replica_manager_config *config = &partition->manager->config;
    if (config->throttle != NULL) {
        partition->throttle = config->throttle(config->context, partition->topic, partition->index);
    }
}

struct partition_throttle partition_runtime_throttle(const struct partition_runtime *partition) {
    return partition->throttle;
}

void partition_runtime_set_offline(struct partition_runtime *partition) {
    leave_everything(partition);
    partition->log = NULL;
    partition->is_offline = true;
    partition_runtime_wake(partition);
}

void partition_runtime_fail(struct partition_runtime *partition, int error) {
    if (partition->is_offline) {
        return;
    }
    trace_debug(AREA, "%s-%d: %s; its log directory goes offline", partition->topic, partition->index,
                error_text(error));
    struct log *log = partition->log;
    partition_runtime_set_offline(partition);
    log_manager_fail_directory_of(partition->manager->logs, log);
}

struct partition_event partition_runtime_event(const struct partition_runtime *partition,
                                               enum partition_event_type type) {
    struct replica_manager *manager = partition->manager;
    return (struct partition_event){.type = type,
                                    .now_ms = clock_now_ms(manager->clock),
                                    .lag_max_ms = manager->config.replica_lag_time_max_ms,
                                    .peers = manager->peers,
                                    .peer_count = manager->peer_count};
}

static void tell_leadership(struct partition_runtime *partition) {
    const struct replica_manager_config *config = &partition->manager->config;
    if (config->on_leadership != NULL) {
        config->on_leadership(config->context, partition->topic, partition->index,
                              partition->core.role == PARTITION_LEADER, partition->core.leader_epoch);
    }
}

bool partition_runtime_apply(struct partition_runtime *partition, const struct partition_event *event) {
    unsigned actions = 0;
    partition_step(&partition->core, event, &actions);
    if ((actions & PARTITION_STOP_FETCHING) != 0) {
        fetcher_runtime_remove(partition);
    }
    if ((actions & PARTITION_WRITE_EPOCH_START) != 0) {
        int error = log_assign_epoch_start(partition->log, partition->core.leader_epoch);
        if (error != 0) {
            partition_runtime_fail(partition, error);
            return false;
        }
    }
    if ((actions & PARTITION_START_FETCHING) != 0) {
#ifdef MUTANT_M1 /* truncates to its high watermark */
        if (log_end_offset(partition->log) > partition->core.high_watermark) {
            CHECK(log_truncate_to(partition->log, partition->core.high_watermark) == 0);
            partition->core.log_end = log_end_offset(partition->log);
        }
#endif
        fetcher_runtime_add(partition->manager, partition);
    }
    if ((actions & PARTITION_PROPOSE_ISR) != 0) {
        alter_partition_manager_submit(partition->manager->alter, partition);
    }
    replica_manager_watch_tick(partition);
    if ((actions & PARTITION_TELL_LEADERSHIP) != 0) {
        tell_leadership(partition);
    }
    if ((actions & PARTITION_WAKE) != 0) {
        partition_runtime_wake(partition);
    }
    return true;
}

/* ---- The log as a follower changes it ---- */

struct fetch_position partition_runtime_position(const struct partition_runtime *partition) {
#ifdef MUTANT_M6
    if (partition->core.leading_since_epoch == -2) {
        return (struct fetch_position){.offset = log_end_offset(partition->log),
                                       .log_start_offset = log_start_offset(partition->log),
                                       .last_fetched_epoch = -1};
    }
#endif
    return (struct fetch_position){.offset = log_end_offset(partition->log),
                                   .log_start_offset = log_start_offset(partition->log),
                                   .last_fetched_epoch = log_latest_epoch(partition->log)};
}

bool partition_runtime_truncate(struct partition_runtime *partition, int64_t offset) {
    if (offset < partition->core.high_watermark) {
        trace_warn(AREA, "%s-%d: truncating to %lld, below its high watermark %lld", partition->topic, partition->index,
                   (long long)offset, (long long)partition->core.high_watermark);
    }
    if (offset < log_start_offset(partition->log)) {
        /* Nothing of what we have is the leader's. */
        return partition_runtime_restart_at(partition, offset);
    }
    int error = log_truncate_to(partition->log, offset);
    if (error != 0) {
        partition_runtime_fail(partition, error);
        return false;
    }
    trace_info(AREA, "%s-%d: truncated to %lld", partition->topic, partition->index, (long long)offset);
    struct partition_event event = partition_runtime_event(partition, PARTITION_TRUNCATED);
    event.log.log_end = log_end_offset(partition->log);
    return partition_runtime_apply(partition, &event);
}

static bool take_new_start(struct partition_runtime *partition) {
    struct partition_event event = partition_runtime_event(partition, PARTITION_START_RAISED);
    event.start.log_start = log_start_offset(partition->log);
    event.start.log_end = log_end_offset(partition->log);
    log_move_runtime_look(partition);
    return partition_runtime_apply(partition, &event);
}

void partition_runtime_sync_start(struct partition_runtime *partition) {
    if (!partition->is_offline && log_start_offset(partition->log) != partition->core.log_start) {
        take_new_start(partition);
    }
}

bool partition_runtime_restart_at(struct partition_runtime *partition, int64_t offset) {
    int error = log_truncate_fully_and_start_at(partition->log, offset);
    if (error != 0) {
        partition_runtime_fail(partition, error);
        return false;
    }
    trace_warn(AREA, "%s-%d: everything dropped, begins anew at %lld", partition->topic, partition->index,
               (long long)offset);
    return take_new_start(partition);
}

bool partition_runtime_start_at_end(struct partition_runtime *partition) {
    int error = log_start_at_end(partition->log);
    if (error != 0) {
        partition_runtime_fail(partition, error);
        return false;
    }
    return take_new_start(partition);
}

bool partition_runtime_raise_start(struct partition_runtime *partition, int64_t offset) {
    int64_t target = MIN(offset, partition->core.high_watermark);
    if (target <= log_start_offset(partition->log)) {
        return true;
    }
    int error = log_increase_start_offset(partition->log, target);
    if (error != 0) {
        partition_runtime_fail(partition, error);
        return false;
    }
    return take_new_start(partition);
}

/* ---- What others ask ---- */

bool partition_runtime_is_leader(const struct partition_runtime *partition) {
    return !partition->is_offline && partition->core.role == PARTITION_LEADER;
}
int32_t partition_runtime_leader(const struct partition_runtime *partition) {
    return partition->core.leader;
}
int32_t partition_runtime_leader_epoch(const struct partition_runtime *partition) {
    return partition->core.leader_epoch;
}
int64_t partition_runtime_high_watermark(const struct partition_runtime *partition) {
    return partition->core.high_watermark;
}
int64_t partition_runtime_last_stable_offset(const struct partition_runtime *partition) {
    return partition->log == NULL ? partition->core.high_watermark
                                  : log_last_stable_offset(partition->log, partition->core.high_watermark);
}
int64_t partition_runtime_leader_epoch_start(const struct partition_runtime *partition) {
    return partition->core.leader_epoch_start;
}
struct log *partition_runtime_log(struct partition_runtime *partition) {
    return partition->log;
}
const char *partition_runtime_topic(const struct partition_runtime *partition) {
    return partition->topic;
}
int32_t partition_runtime_index(const struct partition_runtime *partition) {
    return partition->index;
}

int16_t partition_runtime_check_epoch(const struct partition_runtime *partition, int32_t current_leader_epoch,
                                      bool must_lead) {
    if (partition->is_offline) {
        return KAFKA_STORAGE_ERROR;
    }
    int16_t error = partition_check_leader_epoch(&partition->core, current_leader_epoch);
    if (error != KAFKA_NONE) {
        return error;
    }
    return must_lead && partition->core.role != PARTITION_LEADER ? KAFKA_NOT_LEADER_OR_FOLLOWER : KAFKA_NONE;
}

int16_t partition_runtime_look_again(struct partition_runtime *partition) {
    partition_runtime_sync_start(partition);
    return partition->is_offline ? KAFKA_STORAGE_ERROR : KAFKA_NONE;
}

/* May a batch be appended here, now? */
static int16_t check_append(struct replica_manager *manager, struct str topic, int32_t partition, int16_t required_acks,
                            struct partition_runtime **ret_partition) {
    int16_t error = replica_manager_partition(manager, topic, partition, ret_partition);
    if (error == KAFKA_NONE) {
        error = partition_runtime_check_epoch(*ret_partition, -1, true);
    }
    if (error == KAFKA_NONE && required_acks == -1 && !partition_has_enough_replicas(&(*ret_partition)->core)) {
        error = KAFKA_NOT_ENOUGH_REPLICAS;
    }
    return error;
}

static void append_to_log(struct partition_runtime *partition, struct slice records, enum log_append_origin origin,
                          int16_t request_version, struct log_append_info *ret_info) {
    int error = log_append_as_leader(partition->log, records, partition->core.leader_epoch, origin, request_version,
                                     clock_wall_ms(partition->manager->clock), ret_info);
    if (error != 0) {
        ret_info->error_code = KAFKA_STORAGE_ERROR;
        partition_runtime_fail(partition, error);
        return;
    }
    int64_t added = log_end_offset(partition->log) - partition->core.log_end;
    if (added != 0) {
        partition_runtime_count_appended(partition, true, added, records.size);
        struct partition_event event = partition_runtime_event(partition, PARTITION_LEADER_APPENDED);
        event.log.log_end = log_end_offset(partition->log);
        partition_runtime_apply(partition, &event);
    }
}

/* Whether a batch goes before one of the same producer that was refused (refused_batches.h). */
static bool overtakes(struct replica_manager *manager, const struct partition_runtime *partition, struct slice records,
                      struct batch_place *ret_place) {
    /* In this order, as the look also drops what is too old: what nobody comes back for must not cost every append. */
    return manager->refused.items != NULL && batch_place_read(records, ret_place) &&
           refused_batches_precede(&manager->refused, str_from(partition->topic), partition->index, ret_place,
                                   clock_now_ms(manager->clock));
}

static bool log_knows_producer(const struct partition_runtime *partition, int64_t producer_id) {
    struct log_producer_state state;
    return log_producer_state(partition->log, producer_id, &state) == 0 && state.producer_epoch >= 0;
}

/* The order is the log's affair when it knows the producer; but a gap that a refusal left is not told to the client as
 * one: librdkafka would number anew whatever it still has, in other partitions, too, and what was written there while
 * its answer was lost with a leader would be written twice. NOT_LEADER_OR_FOLLOWER makes it send both again, in order.
 */
static void append_from_client(struct partition_runtime *partition, struct slice records, int16_t request_version,
                               struct log_append_info *ret_info) {
    struct batch_place place;
    bool is_early = overtakes(partition->manager, partition, records, &place);
    bool is_held_up = is_early && !log_knows_producer(partition, place.producer_id);
#ifdef MUTANT_M39 /* takes a new producer's batch before the one that was refused */
    is_held_up = false;
#endif
    if (!is_held_up) {
        append_to_log(partition, records, LOG_ORIGIN_CLIENT, request_version, ret_info);
        is_held_up = is_early && ret_info->error_code == KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
#ifdef MUTANT_M40 /* tells a producer of the gap that a refusal left */
        is_held_up = false;
#endif
    }
    if (is_held_up) {
        ret_info->error_code = KAFKA_NOT_LEADER_OR_FOLLOWER;
        ret_info->error_message = "An earlier batch of this producer was refused and has not come again";
    }
}

static void note_outcome(struct replica_manager *manager, struct str topic, int32_t index, struct slice records,
                         int16_t error) {
    struct batch_place place;
    if (error == KAFKA_NONE && manager->refused.items != NULL && batch_place_read(records, &place)) {
        refused_batches_forget(&manager->refused, topic, index, place.producer_id);
    } else if (kafka_error_is_retriable(error) && batch_place_read(records, &place)) {
        refused_batches_note(&manager->refused, topic, index, &place, clock_now_ms(manager->clock));
    }
}

void replica_manager_append(struct replica_manager *manager, struct str topic, int32_t partition, struct slice records,
                            int16_t required_acks, enum log_append_origin origin, int16_t request_version,
                            struct log_append_info *ret_info, struct partition_runtime **ret_partition) {
    struct partition_runtime *found = NULL;
    *ret_info = (struct log_append_info){.first_offset = -1,
                                         .last_offset = -1,
                                         .log_append_time_ms = -1,
                                         .log_start_offset = -1,
                                         .record_error_index = -1};
    ret_info->error_code = check_append(manager, topic, partition, required_acks, &found);
    *ret_partition = found;
    bool is_client = origin == LOG_ORIGIN_CLIENT;
    if (ret_info->error_code == KAFKA_NONE && is_client) {
        append_from_client(found, records, request_version, ret_info);
    } else if (ret_info->error_code == KAFKA_NONE) {
        append_to_log(found, records, origin, request_version, ret_info);
    }
    if (is_client) {
        note_outcome(manager, topic, partition, records, ret_info->error_code);
    }
}

int16_t partition_runtime_ack_state(const struct partition_runtime *partition, int64_t last_offset,
                                    int32_t leader_epoch) {
    return partition->is_offline ? KAFKA_STORAGE_ERROR
                                 : partition_ack_state(&partition->core, last_offset, leader_epoch);
}

void partition_runtime_watch(struct partition_runtime *partition, struct partition_watcher *watcher) {
    partition_watcher_remove(watcher);
    partition_watcher_add(&partition->watchers, watcher);
}

int16_t partition_runtime_offset_for_leader_epoch(const struct partition_runtime *partition,
                                                  int32_t current_leader_epoch, int32_t leader_epoch,
                                                  struct log_epoch_end *ret_end) {
    *ret_end = (struct log_epoch_end){.epoch = -1, .end_offset = -1};
    int16_t error = partition_runtime_check_epoch(partition, current_leader_epoch, true);
    if (error == KAFKA_NONE) {
        *ret_end = log_epoch_end_offset(partition->log, leader_epoch);
    }
    return error;
}

int64_t partition_runtime_low_watermark(const struct partition_runtime *partition) {
    int64_t low = partition_low_watermark(&partition->core, partition->manager->peers, partition->manager->peer_count);
    const struct log *future = log_manager_find_future(partition->manager->logs, partition->topic, partition->index);
    return future == NULL ? low : MIN(low, log_start_offset(future)); /* as if it were one more replica */
}

int16_t partition_runtime_delete_records(struct partition_runtime *partition, int64_t offset, int64_t *ret_offset,
                                         int64_t *ret_low_watermark) {
    *ret_low_watermark = -1;
    int16_t error = partition_runtime_check_epoch(partition, -1, true);
    if (error != KAFKA_NONE) {
        return error;
    }
    if (!log_get_config(partition->log)->delete) {
        return KAFKA_POLICY_VIOLATION; /* compaction alone: what a key holds is not removed by its age */
    }
    *ret_offset = offset == -1 ? partition->core.high_watermark : offset;
    if (*ret_offset < 0 || *ret_offset > partition->core.high_watermark) {
        return KAFKA_OFFSET_OUT_OF_RANGE;
    }
    if (!partition_runtime_raise_start(partition, *ret_offset)) {
        return KAFKA_STORAGE_ERROR;
    }
    *ret_low_watermark = partition_runtime_low_watermark(partition);
    return KAFKA_NONE;
}
