/* Moves between log directories: the future log of a partition is filled by chunks that a worker reads and the loop
 * appends, as many moves at a time as there are slots (num.replica.alter.log.dirs.threads), in the order of their names
 * as Kafka's, under one throttle. One timer looks after all of them. */
#include "replication/log_move_runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/protocol/errors.h"
#include "broker/protocol/record_batch.h"
#include "replication/log_move.h"
#include "replication/replica_manager_internal.h"

#define AREA "kafka.server.ReplicaAlterLogDirsThread"

/* The longest directory name, and what a future log's adds to topic and index: ".", 32 digits, "-future". */
#define DIRECTORY_NAME_MAX 255
#define FUTURE_SUFFIX_SIZE 40

struct log_move_runtime {
    struct partition_runtime *partition;
    struct log_move core;
    bool has_slot;
    bool is_due; /* to be looked at in the next turn */
    bool is_flushing;
    int64_t wake_ms;
    struct log_move_runtime *prev, *next;
};

static void on_timer(struct timer *timer);

static void arm(struct replica_manager *manager) {
    int64_t wake_ms = INT64_MAX;
    for (const struct log_move_runtime *move = manager->moves; move != NULL; move = move->next) {
        wake_ms = MIN(wake_ms, move->is_due ? 0 : move->wake_ms);
    }
    timer_stop(manager->clock, &manager->move_timer);
    if (wake_ms != INT64_MAX) {
        timer_start(manager->clock, &manager->move_timer, wake_ms - clock_now_ms(manager->clock), on_timer);
    }
}

static void kick(struct log_move_runtime *move) {
    struct replica_manager *manager = move->partition->manager;
    if (!move->is_due && manager->is_started) {
        timer_start(manager->clock, &manager->move_timer, 0, on_timer);
    }
    move->is_due = true;
}

static struct log *future_of(const struct log_move_runtime *move) {
    return log_manager_find_future(move->partition->manager->logs, move->partition->topic, move->partition->index);
}

/* A doubt about the log goes with its files, so nothing takes its place before that is settled. */
static bool is_settled(const struct log_move_runtime *move) {
    return log_doubtful_from(move->partition->log) < 0 &&
           log_manager_future_is_settled(move->partition->manager->logs, move->partition->topic,
                                         move->partition->index);
}

/* ---- Their table ---- */

static int compare(const struct log_move_runtime *a, const struct log_move_runtime *b) {
    int order = strcmp(a->partition->topic, b->partition->topic);
    return order != 0 ? order
                      : (a->partition->index > b->partition->index) - (a->partition->index < b->partition->index);
}

static struct log_move_runtime *add(struct partition_runtime *partition) {
    struct log_move_runtime *move = xcalloc(1, sizeof *move);
    move->partition = partition;
    move->wake_ms = INT64_MAX;
    log_move_init(&move->core);
    partition->move = move;
    DL_INSERT_INORDER(partition->manager->moves, move, compare);
    return move;
}

/* The next in turn may begin. */
static void release_slot(struct log_move_runtime *move) {
    struct replica_manager *manager = move->partition->manager;
    if (!move->has_slot) {
        return;
    }
    move->has_slot = false;
    manager->slots_used--;
    for (struct log_move_runtime *other = manager->moves; other != NULL; other = other->next) {
        if (other != move && other->core.is_running && !other->has_slot) {
            kick(other);
            return;
        }
    }
}

void log_move_runtime_remove(struct partition_runtime *partition) {
    struct replica_manager *manager = partition->manager;
    struct log_move_runtime *move = partition->move;
    if (move == NULL) {
        return;
    }
    DL_DELETE(manager->moves, move);
    release_slot(move);
    partition->move = NULL;
    free(move);
}

static bool take_slot(struct log_move_runtime *move) {
    struct replica_manager *manager = move->partition->manager;
    if (!move->has_slot && manager->slots_used < MAX(manager->config.log_moves_max, 1)) {
        move->has_slot = true;
        manager->slots_used++;
        trace_info(AREA, "Beginning/resuming copy of partition %s-%d from offset %lld", move->partition->topic,
                   move->partition->index, (long long)log_end_offset(future_of(move)));
    }
    return move->has_slot;
}

/* ---- One step ---- */

static struct log_move_log look_of(const struct log *log) {
    return (struct log_move_log){
        .start = log_start_offset(log), .end = log_end_offset(log), .recovery_point = log_recovery_point(log)};
}

static struct log_move_event event_of(struct log_move_runtime *move, enum log_move_event_type type) {
    struct replica_manager *manager = move->partition->manager;
    const struct log *future = future_of(move);
    int64_t now_ms = clock_now_ms(manager->clock);
    bool may_copy = move->core.is_running && take_slot(move);
    return (struct log_move_event){.type = type,
                                   .now_ms = now_ms,
                                   .backoff_ms = manager->config.fetch_backoff_ms,
                                   .allowance = may_copy ? throttle_allowance(&manager->move_throttle, now_ms) : 0,
                                   .wait_ms = may_copy ? throttle_wait_ms(&manager->move_throttle) : INT64_MAX / 2,
                                   .is_settled = is_settled(move),
                                   .shared_end = log_shared_end(move->partition->log, future),
                                   .current = look_of(move->partition->log),
                                   .future = look_of(future)};
}

static void step(struct log_move_runtime *move, const struct log_move_event *event);

static void step_plain(struct log_move_runtime *move, enum log_move_event_type type) {
    struct log_move_event event = event_of(move, type);
    step(move, &event);
}

/* The target directory cannot be used any more; the move is gone by this. */
static void fail_target(struct log_move_runtime *move, int error) {
    trace_debug(AREA, "%s-%d: %s while copying it", move->partition->topic, move->partition->index, error_text(error));
    log_manager_fail_directory_of(move->partition->manager->logs, future_of(move));
}

/* The current log may begin in the middle of a batch, and batches are copied whole. */
static int append(struct log *future, struct slice records) {
    struct log_append_info info;
    struct record_batch first;
    int error = log_append_as_follower(future, records, &info);
    if (error == ERR_INVALID && log_start_offset(future) == log_end_offset(future) &&
        record_batch_decode(records.data, (size_t)records.size, &first) == 0 &&
        first.base_offset < log_end_offset(future) && first.last_offset >= log_end_offset(future)) {
        error = log_truncate_fully_and_start_at(future, first.base_offset);
        error = error != 0 ? error : log_append_as_follower(future, records, &info);
    }
    return error;
}

/* Takes what was read into the future log and goes on; false when the move is gone by that, or backs off. */
static bool take_records(struct log_move_runtime *move, struct slice records) {
    struct partition_runtime *partition = move->partition;
    int error = records.size > 0 ? append(future_of(move), records) : 0;
    if (error == ERR_INVALID || error == ERR_CORRUPT) {
        trace_warn(AREA, "%s-%d: records from offset %lld on cannot be copied: %s; trying again later",
                   partition->topic, partition->index, (long long)log_end_offset(future_of(move)), error_text(error));
        step_plain(move, LOG_MOVE_FAILED);
        release_slot(move);
        return false;
    }
    if (error != 0) {
        fail_target(move, error);
        return false;
    }
    throttle_record(&partition->manager->move_throttle, records.size);
    return true;
}

static void tell_read(struct log_move_runtime *move, int64_t bytes, bool has_read_all) {
    struct log_move_event event = event_of(move, LOG_MOVE_READ);
    event.bytes = bytes;
    event.has_read_all = has_read_all;
    step(move, &event);
}

/* The few records that are missing, read here: they were just written. An error is the current log's. */
static int read_rest(struct log_move_runtime *move, struct byte_buffer *ret_bytes) {
    struct log *log = move->partition->log;
    struct log_read_info read;
    int error = log_read(log, log_end_offset(future_of(move)), LOG_MOVE_CHUNK_BYTES, log_end_offset(log), true, &read);
    if (error == 0 && read.records.size > 0) {
        size_t size = (size_t)read.records.size;
        int64_t got = disk_read(read.records.file, byte_buffer_reserve(ret_bytes, size), size, read.records.position);
        disk_file_unref(read.records.file);
        error = got < 0 ? (int)got : 0;
        ret_bytes->size = got > 0 ? (size_t)got : 0;
    }
    return error;
}

static void replace(struct log_move_runtime *move) {
    struct partition_runtime *partition = move->partition;
    struct log_manager *logs = partition->manager->logs;
    struct log *log = NULL;
    if (log_manager_promote_future(logs, partition->topic, partition->index, &log) != 0) {
        return; /* the target directory failed, and took the move along */
    }
    CHECK(log_end_offset(log) == partition->core.log_end);
    partition->log = log;
    log_move_runtime_remove(partition);
    log_manager_delete_replaced(logs, partition->topic, partition->index);
    partition_runtime_sync_start(partition);
    partition_runtime_wake(partition);
}

static void finish(struct log_move_runtime *move) {
    struct byte_buffer bytes = {0};
    int error = read_rest(move, &bytes);
    if (error != 0) {
        byte_buffer_deinit(&bytes);
        partition_runtime_fail(move->partition, error);
        return;
    }
    bool is_taken = take_records(move, (struct slice){bytes.data, (int32_t)bytes.size});
    int64_t size = (int64_t)bytes.size;
    byte_buffer_deinit(&bytes);
    if (!is_taken) {
        return;
    }
    const struct log *log = move->partition->log;
    const struct log *future = future_of(move);
    bool has_all = log_end_offset(future) == log_end_offset(log);
    if (has_all && log_start_offset(future) == log_start_offset(log) && is_settled(move)) {
        replace(move);
        return;
    }
    tell_read(move, size, has_all);
}

/* Changes of the future log that take no worker; false when its directory failed. */
static bool change(struct log_move_runtime *move, const struct log_move_decision *decision) {
    struct log *future = future_of(move);
    int error = 0;
    switch (decision->action) {
    case LOG_MOVE_DO_RESTART: error = log_truncate_fully_and_start_at(future, decision->offset); break;
    case LOG_MOVE_DO_TRUNCATE:
        trace_info(AREA, "%s-%d: the copy in another directory is cut from %lld to %lld", move->partition->topic,
                   move->partition->index, (long long)log_end_offset(future), (long long)decision->offset);
        error = log_truncate_to(future, decision->offset);
        break;
    default: error = log_increase_start_offset(future, decision->offset); break;
    }
    if (error != 0) {
        fail_target(move, error);
        return false;
    }
    partition_runtime_wake(move->partition); /* DeleteRecords waits for this log, too */
    return true;
}

static void step(struct log_move_runtime *move, const struct log_move_event *event) {
    struct partition_runtime *partition = move->partition;
    struct log_move_decision decision;
    log_move_step(&move->core, event, &decision);
    move->wake_ms = decision.wake_ms;
    int error = 0;
    switch (decision.action) {
    case LOG_MOVE_WAIT: break;
    case LOG_MOVE_DO_READ:
        error = log_manager_read_for_future(partition->manager->logs, partition->topic, partition->index,
                                            decision.offset, (int32_t)decision.bytes);
        break;
    case LOG_MOVE_DO_FLUSH:
        move->is_flushing = true;
        if (!log_manager_flush_future(partition->manager->logs, partition->topic, partition->index)) {
            move->is_flushing = false;
            step_plain(move, LOG_MOVE_FLUSHED);
            return;
        }
        break;
    case LOG_MOVE_DO_FINISH: finish(move); return;
    default:
        if (change(move, &decision)) {
            kick(partition->move);
        }
        return;
    }
    if (error != 0) {
        partition_runtime_fail(partition, error);
        return;
    }
    arm(partition->manager);
}

/* Each step may take moves out of the list, so the walk begins anew after every one. */
static void on_timer(struct timer *timer) {
    struct replica_manager *manager = CONTAINER_OF(timer, struct replica_manager, move_timer);
    int64_t now_ms = clock_now_ms(manager->clock);
    struct log_move_runtime *move;
    if (!manager->is_started) {
        return; /* log_move_runtime_start_all() */
    }
    DL_FOREACH(manager->moves, move) {
        move->is_due = move->is_due || move->wake_ms <= now_ms;
    }
    for (;;) {
        DL_SEARCH_SCALAR(manager->moves, move, is_due, true);
        if (move == NULL) {
            break;
        }
        move->is_due = false;
        move->wake_ms = INT64_MAX;
        if (future_of(move) != NULL) {
            step_plain(move, LOG_MOVE_LOOK);
        }
    }
    arm(manager);
}

/* ---- What happens to them ---- */

static struct log_move_runtime *find(struct replica_manager *manager, const char *topic, int32_t index) {
    /* After the stop logs are closed, and nothing goes on. */
    struct partition_runtime *partition =
        manager->is_started ? replica_manager_find(manager, str_from(topic), index) : NULL;
    struct log_move_runtime *move = partition == NULL || partition->is_offline ? NULL : partition->move;
    return move != NULL && future_of(move) != NULL ? move : NULL;
}

void replica_manager_on_future_settled(void *context, const char *topic, int32_t partition) {
    struct log_move_runtime *move = find(context, topic, partition);
    if (move != NULL && move->is_flushing &&
        log_manager_future_is_settled(move->partition->manager->logs, topic, partition)) {
        move->is_flushing = false;
        step_plain(move, LOG_MOVE_FLUSHED);
    } else if (move != NULL) {
        kick(move);
    }
}

void replica_manager_on_future_read(void *context, const char *topic, int32_t partition,
                                    const struct log_chunk *chunk) {
    struct log_move_runtime *move = find(context, topic, partition);
    if (move == NULL) {
        return;
    }
    if (chunk->error != 0) {
        partition_runtime_fail(move->partition, chunk->error);
        return;
    }
    if (!chunk->is_stale && chunk->records.size == 0 && log_end_offset(future_of(move)) < chunk->end_offset) {
        /* A follower of a cleaned log was cut inside a gap: nothing is there until it is appended to. */
        step_plain(move, LOG_MOVE_FAILED);
        release_slot(move);
        return;
    }
    struct log_move_event event = event_of(move, LOG_MOVE_LOOK);
    /* What was read may fit no more: the current log was cut, or the future one was to follow its start. */
    bool is_stale = chunk->is_stale || event.shared_end < event.future.end || chunk->records.size == 0;
    if (!is_stale && !take_records(move, chunk->records)) {
        return;
    }
    tell_read(move, is_stale ? 0 : chunk->records.size,
              !is_stale && log_end_offset(future_of(move)) >= chunk->end_offset);
}

void log_move_runtime_start_all(struct replica_manager *manager) {
    arm(manager);
}

void log_move_runtime_look(struct partition_runtime *partition) {
    if (partition->move != NULL) {
        kick(partition->move);
    }
}

void log_move_runtime_pause(struct partition_runtime *partition) {
    if (partition->move != NULL && future_of(partition->move) != NULL) {
        step_plain(partition->move, LOG_MOVE_PAUSE);
        release_slot(partition->move);
    }
}

void log_move_runtime_resume(struct partition_runtime *partition) {
    struct replica_manager *manager = partition->manager;
    const struct log *future = log_manager_find_future(manager->logs, partition->topic, partition->index);
    if (future == NULL) {
        return;
    }
    struct uuid own_id = log_topic_id(partition->log);
    struct uuid id = log_topic_id(future);
    if (!uuid_is_zero(id) && !uuid_is_zero(own_id) && !uuid_equal(id, own_id)) {
        trace_warn(AREA, "%s-%d: what was on its way here is of another topic of that name; it goes", partition->topic,
                   partition->index);
        log_move_runtime_remove(partition);
        log_manager_delete_future(manager->logs, partition->topic, partition->index);
        return;
    }
    struct log_move_runtime *move = partition->move != NULL ? partition->move : add(partition);
    int error = log_manager_revise_future(manager->logs, partition->topic, partition->index);
    if (error != 0) {
        fail_target(move, error);
        return;
    }
    move->core.is_running = true;
    kick(move);
}

/* ---- AlterReplicaLogDirs ---- */

void replica_manager_set_move_rate(struct replica_manager *manager, int64_t rate) {
    throttle_set_rate(&manager->move_throttle, rate, clock_now_ms(manager->clock));
}

static bool is_too_long(struct str topic, int32_t index) {
    char digits[16];
    int size = snprintf(digits, sizeof digits, "-%d", index);
    return topic.size + size + FUTURE_SUFFIX_SIZE > DIRECTORY_NAME_MAX;
}

/* A move to another directory than this ends. */
static int16_t cancel_other(struct replica_manager *manager, struct partition_runtime *partition, struct str path) {
    const struct log *future = log_manager_find_future(manager->logs, partition->topic, partition->index);
    if (future == NULL || log_manager_is_in(manager->logs, future, path)) {
        return KAFKA_NONE;
    }
    trace_info(AREA, "%s-%d: the move to %s is given up", partition->topic, partition->index, log_directory(future));
    log_move_runtime_remove(partition);
    int error = log_manager_delete_future(manager->logs, partition->topic, partition->index);
    return error == 0 ? KAFKA_NONE : KAFKA_STORAGE_ERROR;
}

static int16_t move_to(struct replica_manager *manager, struct partition_runtime *partition, struct str path) {
    struct log *future = log_manager_find_future(manager->logs, partition->topic, partition->index);
    if (future != NULL || log_manager_is_in(manager->logs, partition->log, path)) {
        return KAFKA_NONE;
    }
    int error = log_manager_create_future(manager->logs, partition->topic, partition->index, path, &future);
    if (error != 0) {
        return KAFKA_STORAGE_ERROR;
    }
    log_move_runtime_resume(partition);
    return KAFKA_NONE;
}

int16_t replica_manager_alter_log_dir(struct replica_manager *manager, struct str topic, int32_t index,
                                      struct str path) {
    struct partition_runtime *partition = replica_manager_find(manager, topic, index);
    if (is_too_long(topic, index) || topic.size <= 0 || index < 0) {
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    }
    switch (log_manager_directory_state(manager->logs, path)) {
    case LOG_DIRECTORY_UNKNOWN: return KAFKA_LOG_DIR_NOT_FOUND;
    case LOG_DIRECTORY_OFFLINE: return KAFKA_STORAGE_ERROR;
    case LOG_DIRECTORY_ONLINE: break;
    }
    if (partition != NULL && partition->is_offline) {
        return KAFKA_STORAGE_ERROR;
    }
    if (partition != NULL) {
        int16_t error = cancel_other(manager, partition, path);
        return error != KAFKA_NONE ? error : move_to(manager, partition, path);
    }
    if (image_partition(manager->image, topic, index) == NULL) {
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    }
    char name[TOPIC_NAME_MAX + 1] = {0};
    memcpy(name, topic.data, (size_t)topic.size);
    log_manager_prefer_directory(manager->logs, name, index, path);
    return KAFKA_REPLICA_NOT_AVAILABLE;
}
