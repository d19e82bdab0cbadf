/* What timers begin: retention, flushing, checkpoints, forgetting producers; and stopping. The loop decides and
 * renames; syncs, writes of checkpoints and deletions are done by workers (log_manager_background.c). */
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/log/log_manager_internal.h"

/* A future log follows the start of the log it copies. */
static void retain(struct log_manager *manager, struct managed_log *entry, struct log *log) {
    if (log != entry->log) {
        return;
    }
    int removed = log_apply_retention(log, manager_high_watermark(manager, entry), clock_wall_ms(manager->clock));
    if (removed < 0) {
        int error = log_is_fenced(log) && log->fence_error != 0 ? log->fence_error : removed;
        manager_log_failed(manager, entry, log, error, "deleting old segments");
    }
}

static void on_retention_timer(struct timer *timer) {
    struct log_manager *manager = CONTAINER_OF(timer, struct log_manager, retention_timer);
    manager_each_usable(manager, retain);
    timer_start(manager->clock, timer, manager->config.retention_check_ms, on_retention_timer);
}

static void flush_if_due(struct log_manager *manager, struct managed_log *entry, struct log *log) {
    int64_t now_ms = clock_now_ms(manager->clock);
    if (log->end_offset > log->recovery_point && now_ms - log->last_flush_ms >= log->config.flush_ms) {
        log->last_flush_ms = now_ms;
        manager_start_flush(manager, entry, log, log->end_offset);
    }
}

static void on_flush_timer(struct timer *timer) {
    struct log_manager *manager = CONTAINER_OF(timer, struct log_manager, flush_timer);
    manager_each_usable(manager, flush_if_due);
    timer_start(manager->clock, timer, manager->config.flush_check_ms, on_flush_timer);
}

static void checkpoints_later(struct log_manager *manager, enum checkpoint_kind kind) {
    for (int32_t i = 0; i < manager->directory_count; i++) {
        manager_checkpoint_later(manager, i, kind);
    }
}

static int write_checkpoints(struct log_manager *manager, enum checkpoint_kind kind) {
    int last_error = 0;
    for (int32_t i = 0; i < manager->directory_count; i++) {
        int error = manager->directories[i].is_offline ? 0 : manager_write_checkpoint(manager, i, kind);
        if (error != 0) {
            manager_fail_directory(manager, i, error, "writing a checkpoint");
            last_error = error;
        }
    }
    return last_error;
}

static void on_recovery_point_timer(struct timer *timer) {
    struct log_manager *manager = CONTAINER_OF(timer, struct log_manager, recovery_point_timer);
    checkpoints_later(manager, CHECKPOINT_RECOVERY_POINT);
    timer_start(manager->clock, timer, manager->config.flush_offset_checkpoint_ms, on_recovery_point_timer);
}

static void on_start_offset_timer(struct timer *timer) {
    struct log_manager *manager = CONTAINER_OF(timer, struct log_manager, start_offset_timer);
    checkpoints_later(manager, CHECKPOINT_START_OFFSET);
    timer_start(manager->clock, timer, manager->config.start_offset_checkpoint_ms, on_start_offset_timer);
}

static void on_high_watermark_timer(struct timer *timer) {
    struct log_manager *manager = CONTAINER_OF(timer, struct log_manager, high_watermark_timer);
    checkpoints_later(manager, CHECKPOINT_HIGH_WATERMARK);
    timer_start(manager->clock, timer, manager->config.high_watermark_checkpoint_ms, on_high_watermark_timer);
}

static void expire_producers(struct log_manager *manager, struct managed_log *entry, struct log *log) {
    (void)entry;
    producer_state_expire(&log->producers, clock_wall_ms(manager->clock), log->config.producer_id_expiration_ms);
}

static void on_producer_timer(struct timer *timer) {
    struct log_manager *manager = CONTAINER_OF(timer, struct log_manager, producer_timer);
    manager_each_usable(manager, expire_producers);
    timer_start(manager->clock, timer, PRODUCER_EXPIRATION_CHECK_MS, on_producer_timer);
}

void log_manager_start(struct log_manager *manager) {
    struct clock *clock = manager->clock;
    manager->is_started = true;
    timer_start(clock, &manager->retention_timer, MIN(INITIAL_DELAY_MS, manager->config.retention_check_ms),
                on_retention_timer);
    timer_start(clock, &manager->flush_timer, MIN(INITIAL_DELAY_MS, manager->config.flush_check_ms), on_flush_timer);
    timer_start(clock, &manager->recovery_point_timer, manager->config.flush_offset_checkpoint_ms,
                on_recovery_point_timer);
    timer_start(clock, &manager->start_offset_timer, manager->config.start_offset_checkpoint_ms, on_start_offset_timer);
    timer_start(clock, &manager->producer_timer, PRODUCER_EXPIRATION_CHECK_MS, on_producer_timer);
    manager_start_cleaner(manager);
    manager_arm_deletions(manager);
}

void log_manager_enable_high_watermarks(struct log_manager *manager) {
    if (!manager->high_watermarks_enabled) {
        manager->high_watermarks_enabled = true;
        timer_start(manager->clock, &manager->high_watermark_timer, manager->config.high_watermark_checkpoint_ms,
                    on_high_watermark_timer);
    }
}

int log_manager_checkpoint(struct log_manager *manager) {
    int error = write_checkpoints(manager, CHECKPOINT_RECOVERY_POINT);
    int start_error = write_checkpoints(manager, CHECKPOINT_START_OFFSET);
    int watermark_error = manager->high_watermarks_enabled ? write_checkpoints(manager, CHECKPOINT_HIGH_WATERMARK) : 0;
    return error != 0 ? error : start_error != 0 ? start_error : watermark_error;
}

/* Everything is on disk: say so, last of all. */
static int write_clean_mark(struct log_manager *manager, int32_t directory) {
    static const char content[] = "{\"version\":0,\"brokerEpoch\":-1}";
    const char *place = manager->directories[directory].path;
    char path[LOG_PATH_SIZE];
    path_join(path, place, ".kafka_cleanshutdown");
    return file_replace(manager->disk, place, path, content, sizeof content - 1);
}

/* Per directory. A journaling file system has those who sync at the same time wait for one commit together; one after
 * the other, each file of each log waits for one of its own (600 files: 2.2 s by one thread, 0.07 s by four). */
#define CLOSE_THREADS 8

/* The logs of one directory, and the error of one that could not be closed. */
struct directory_close {
    struct log **logs;
    int32_t count;
    int32_t error; /* atomic */
};

/* On any thread: a log that is closed touches nothing but its own. */
static void close_one(struct directory_work *self, int32_t number, void *own) {
    (void)own;
    struct directory_close *close = self->context;
    int error = log_close(close->logs[number]);
    if (error != 0) {
        __atomic_store_n(&close->error, error, __ATOMIC_RELAXED);
        __atomic_store_n(&self->is_stopped, true, __ATOMIC_RELAXED);
    }
}

static void collect(const struct log_manager *manager, struct directory_close *close, int32_t directory) {
    close->logs = xcalloc((size_t)manager->directories[directory].log_count + 1, sizeof(struct log *));
    for (struct managed_log *entry = manager->logs; entry != NULL; entry = entry->hh.next) {
        struct log *log = entry->log != NULL && entry->directory == directory ? entry->log
                          : entry->future.directory == directory              ? entry->future.log
                                                                              : NULL;
        if (log != NULL) {
            CHECK(close->count < manager->directories[directory].log_count);
            close->logs[close->count++] = log;
        }
    }
}

static int close_logs(struct log_manager *manager) {
    struct directory_close *closes = xcalloc((size_t)manager->directory_count, sizeof *closes);
    struct directory_work *works = xcalloc((size_t)manager->directory_count, sizeof *works);
    int last_error = 0;
    for (int32_t i = 0; i < manager->directory_count; i++) {
        if (!manager->directories[i].is_offline) {
            collect(manager, &closes[i], i);
        }
        works[i] = (struct directory_work){
            .context = &closes[i], .count = closes[i].count, .threads = CLOSE_THREADS, .work = close_one};
    }
    manager_work_in_parallel(manager, works);
    for (int32_t i = 0; i < manager->directory_count; i++) {
        if (closes[i].error != 0) {
            manager_fail_directory(manager, i, closes[i].error, "closing a log");
            last_error = closes[i].error;
        }
        free(closes[i].logs);
    }
    free(works);
    free(closes);
    return last_error;
}

int log_manager_shutdown(struct log_manager *manager) {
    manager_stop_cleaner(manager);
    manager_stop_timers(manager); /* closed logs are nobody's duty, and nothing is written after the clean mark */
    int first_error = close_logs(manager);
    int error = log_manager_checkpoint(manager);
    first_error = first_error == 0 ? error : first_error;
    for (int32_t i = 0; i < manager->directory_count; i++) {
        error = manager->directories[i].is_offline ? 0 : write_clean_mark(manager, i);
        if (error != 0) {
            manager_fail_directory(manager, i, error, "marking a clean stop");
            first_error = first_error == 0 ? error : first_error;
        }
    }
    return first_error;
}
