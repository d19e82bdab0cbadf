/* What timers begin: retention, flushing, checkpoints, forgetting producers. The loop decides and
 * renames; syncs, writes of checkpoints and deletions are done by workers (log_manager_background.c). */
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
    int last_error = 0;
    for (int32_t i = 0; i < manager->directory_count; i++) {
        int error = manager->directories[i].is_offline ? 0 : manager_write_checkpoints(manager, i);
        if (error != 0) {
            manager_fail_directory(manager, i, error, "writing a checkpoint");
            last_error = error;
        }
    }
    return last_error;
}
