/* What goes on in the background: flushing, retention, checkpoints, deferred deletion; and stopping. */
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/log/log_manager_internal.h"

/* A flush on its way through a worker. */
struct flush_job {
    struct manager_link *link;
    char *topic;
    int32_t partition;
    int64_t serial;
    struct log_flush flush;
};

static void link_release(struct manager_link *link) {
    if (--link->references == 0) {
        free(link);
    }
}

static void flush_job_run(void *context) {
    struct flush_job *job = context;
    log_flush_run(&job->flush);
}

static void flush_job_done(void *context) {
    struct flush_job *job = context;
    struct log_manager *manager = job->link->manager;
    struct managed_log *entry = manager != NULL ? manager_find_entry(manager, job->topic, job->partition) : NULL;
    if (entry != NULL && entry->log != NULL && entry->serial == job->serial) {
        int error = log_flush_finish(entry->log, &job->flush);
        if (error != 0) {
            manager_log_failed(manager, entry, error, "flushing a log");
        }
    } else {
        log_flush_discard(&job->flush);
    }
    link_release(job->link);
    free(job->topic);
    free(job);
}

static void start_flush(struct log_manager *manager, const struct managed_log *entry, int64_t offset) {
    struct flush_job *job = xcalloc(1, sizeof *job);
    if (!log_flush_begin(entry->log, offset, &job->flush)) {
        free(job);
        return;
    }
    job->link = manager->link;
    job->link->references++;
    job->topic = xstrdup(entry->topic);
    job->partition = entry->partition;
    job->serial = entry->serial;
    clock_spawn(manager->clock, flush_job_run, flush_job_done, job);
}

static struct managed_log *entry_of(const struct log_manager *manager, const struct log *log) {
    struct managed_log *entry = manager_find_entry(manager, log->topic, log->partition);
    return entry != NULL && entry->log == log ? entry : NULL;
}

static void on_flush_wanted(void *context, struct log *log, int64_t offset) {
    struct log_manager *manager = context;
    const struct managed_log *entry = entry_of(manager, log);
    if (entry != NULL) {
        start_flush(manager, entry, offset);
    }
}

static void on_delete_later(void *context, struct log *log, const char *path) {
    manager_delete_later(context, path, false, log->config.file_delete_delay_ms);
}

static int on_recovery_point_lowered(void *context, struct log *log) {
    struct log_manager *manager = context;
    const struct managed_log *entry = entry_of(manager, log);
    return entry == NULL ? 0 : manager_write_checkpoint(manager, entry->directory, CHECKPOINT_RECOVERY_POINT);
}

struct log_hooks manager_hooks(struct log_manager *manager) {
    return (struct log_hooks){.flush_wanted = on_flush_wanted,
                              .delete_later = on_delete_later,
                              .recovery_point_lowered = on_recovery_point_lowered,
                              .context = manager};
}

static void deletion_free(struct pending_deletion *item) {
    free(item->path);
    free(item);
}

static int remove_inside(void *context, const char *name, bool is_directory) {
    struct pending_deletion *item = context;
    char path[LOG_PATH_SIZE];
    path_join(path, item->path, name);
    return is_directory ? item->disk->ops->remove_directory(item->disk, path) : file_remove(item->disk, path);
}

static void deletion_run(void *context) {
    struct pending_deletion *item = context;
    int error = 0;
    if (item->is_directory) {
        error = item->disk->ops->list(item->disk, item->path, remove_inside, item);
        if (error == 0) {
            error = item->disk->ops->remove_directory(item->disk, item->path);
        }
    } else {
        error = file_remove(item->disk, item->path);
    }
    /* What stays is taken up again by the next start. */
    if (error != 0 && error != ERR_NOT_FOUND) {
        trace_warn("log", "Failed to delete %s: %s", item->path, error_text(error));
    }
}

static void deletion_done(void *context) {
    deletion_free(context);
}

static void on_deletion_timer(struct timer *timer);

static void arm_deletions(struct log_manager *manager) {
    if (manager->is_started && manager->deletions != NULL) {
        timer_start(manager->clock, &manager->deletion_timer, manager->deletions->due_ms - clock_now_ms(manager->clock),
                    on_deletion_timer);
    }
}

static void on_deletion_timer(struct timer *timer) {
    struct log_manager *manager = CONTAINER_OF(timer, struct log_manager, deletion_timer);
    int64_t now_ms = clock_now_ms(manager->clock);
    while (manager->deletions != NULL && manager->deletions->due_ms <= now_ms) {
        struct pending_deletion *item = manager->deletions;
        manager->deletions = item->next;
        clock_spawn(manager->clock, deletion_run, deletion_done, item);
    }
    arm_deletions(manager);
}

void manager_delete_later(struct log_manager *manager, const char *path, bool is_directory, int64_t delay_ms) {
    struct pending_deletion *item = xcalloc(1, sizeof *item);
    *item = (struct pending_deletion){.disk = manager->disk,
                                      .path = xstrdup(path),
                                      .is_directory = is_directory,
                                      .due_ms = clock_now_ms(manager->clock) + delay_ms};
    struct pending_deletion **link = &manager->deletions;
    while (*link != NULL && (*link)->due_ms <= item->due_ms) {
        link = &(*link)->next;
    }
    item->next = *link;
    *link = item;
    if (manager->deletions == item) {
        arm_deletions(manager);
    }
}

static bool entry_is_usable(const struct log_manager *manager, const struct managed_log *entry) {
    return entry->log != NULL && !manager->directories[entry->directory].is_offline;
}

static void on_retention_timer(struct timer *timer) {
    struct log_manager *manager = CONTAINER_OF(timer, struct log_manager, retention_timer);
    int64_t wall_ms = clock_wall_ms(manager->clock);
    for (struct managed_log *entry = manager->logs; entry != NULL; entry = entry->hh.next) {
        if (entry_is_usable(manager, entry)) {
            int removed = log_apply_retention(entry->log, manager_high_watermark(manager, entry), wall_ms);
            if (removed < 0) {
                manager_log_failed(manager, entry, removed, "deleting old segments");
            }
        }
    }
    timer_start(manager->clock, timer, manager->config.retention_check_ms, on_retention_timer);
}

static void on_flush_timer(struct timer *timer) {
    struct log_manager *manager = CONTAINER_OF(timer, struct log_manager, flush_timer);
    int64_t now_ms = clock_now_ms(manager->clock);
    for (struct managed_log *entry = manager->logs; entry != NULL; entry = entry->hh.next) {
        if (entry_is_usable(manager, entry) && entry->log->end_offset > entry->log->recovery_point &&
            now_ms - entry->log->last_flush_ms >= entry->log->config.flush_ms) {
            entry->log->last_flush_ms = now_ms;
            start_flush(manager, entry, entry->log->end_offset);
        }
    }
    timer_start(manager->clock, timer, manager->config.flush_check_ms, on_flush_timer);
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
    write_checkpoints(manager, CHECKPOINT_RECOVERY_POINT);
    timer_start(manager->clock, timer, manager->config.flush_offset_checkpoint_ms, on_recovery_point_timer);
}

static void on_start_offset_timer(struct timer *timer) {
    struct log_manager *manager = CONTAINER_OF(timer, struct log_manager, start_offset_timer);
    write_checkpoints(manager, CHECKPOINT_START_OFFSET);
    timer_start(manager->clock, timer, manager->config.start_offset_checkpoint_ms, on_start_offset_timer);
}

static void on_high_watermark_timer(struct timer *timer) {
    struct log_manager *manager = CONTAINER_OF(timer, struct log_manager, high_watermark_timer);
    write_checkpoints(manager, CHECKPOINT_HIGH_WATERMARK);
    timer_start(manager->clock, timer, manager->config.high_watermark_checkpoint_ms, on_high_watermark_timer);
}

static void on_producer_timer(struct timer *timer) {
    struct log_manager *manager = CONTAINER_OF(timer, struct log_manager, producer_timer);
    int64_t wall_ms = clock_wall_ms(manager->clock);
    for (struct managed_log *entry = manager->logs; entry != NULL; entry = entry->hh.next) {
        if (entry_is_usable(manager, entry)) {
            producer_state_expire(&entry->log->producers, wall_ms, entry->log->config.producer_id_expiration_ms);
        }
    }
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
    arm_deletions(manager);
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

int log_manager_shutdown(struct log_manager *manager) {
    int first_error = 0;
    for (struct managed_log *entry = manager->logs; entry != NULL; entry = entry->hh.next) {
        if (entry_is_usable(manager, entry)) {
            int error = log_close(entry->log);
            if (error != 0) {
                manager_log_failed(manager, entry, error, "closing a log");
                first_error = first_error == 0 ? error : first_error;
            }
        }
    }
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
