/* The cleaner: picks the log with the largest dirty share, has it cleaned by a worker slice by slice, and goes on to
 * the next until none is dirty enough (Kafka's LogCleanerManager).
 *
 * It never stops silently. A log that cannot be cleaned is named once in the log and left alone until the broker starts
 * anew; everything else goes on. What it may read and write a second, how much memory its key maps take and how many
 * logs are cleaned at once are settings (log.cleaner.*). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/log/compaction.h"
#include "broker/log/log_manager_internal.h"

#define AREA "kafka.log.LogCleaner"

/* A slice keeps a worker busy for some tens of milliseconds; between two the loop may end the cleaning. */
#define SLICE_BYTES ((int64_t)8 * 1024 * 1024)
/* With a budget, a slice is at most what may pass in this part of a second. */
#define SLICES_PER_SECOND 4
#define IO_BUFFER_MIN 4096

struct cleaner_job {
    struct cleaner_job *next;
    struct manager_link *link;
    struct clock *clock;
    char *topic;
    int32_t partition;
    int64_t serial;
    struct compaction *compaction;
    int64_t slice_bytes;
    double bytes_per_ms_max;
    int64_t started_ms;
    struct timer pause;
    bool is_paused;
};

static void job_destroy(struct cleaner_job *job, bool remove_output) {
    compaction_destroy(job->compaction, remove_output);
    manager_link_release(job->link);
    free(job->topic);
    free(job);
}

static void unlink_job(struct log_manager *manager, const struct cleaner_job *job) {
    struct cleaner_job **link = &manager->cleaner_jobs;
    while (*link != job) {
        link = &(*link)->next;
    }
    *link = job->next;
}

static struct managed_log *job_entry(const struct cleaner_job *job) {
    struct log_manager *manager = job->link->manager;
    struct managed_log *entry = manager != NULL ? manager_find_entry(manager, job->topic, job->partition) : NULL;
    return entry != NULL && entry->log != NULL && entry->serial == job->serial ? entry : NULL;
}

static void start_jobs(struct log_manager *manager);

/* Ends the job, and looks for the next log at once when this one made progress. */
static void end_job(struct log_manager *manager, struct cleaner_job *job, bool remove_output, bool go_on) {
    unlink_job(manager, job);
    job_destroy(job, remove_output);
    if (go_on && !manager->cleaner_is_stopping) {
        start_jobs(manager);
    }
}

static void report(const struct cleaner_job *job, int64_t elapsed_ms) {
    const struct compaction_stats *stats = &job->compaction->stats;
    trace_info(AREA,
               "Cleaned log %s-%" PRId32 " up to offset %" PRId64 " in %" PRId64 " ms: %" PRId64 " bytes of %" PRId64
               " and %" PRId64 " records of %" PRId64 " are left",
               job->topic, job->partition, job->compaction->end_offset, elapsed_ms, stats->bytes_written,
               stats->bytes_cleaned, stats->records_kept, stats->records_read);
}

static void on_done(struct log_manager *manager, struct managed_log *entry, struct cleaner_job *job) {
    const struct compaction_stats *stats = &job->compaction->stats;
    struct log_cleaner_status *status = &manager->cleaner_status;
    int64_t elapsed_ms = clock_now_ms(manager->clock) - job->started_ms;
    report(job, elapsed_ms);
    status->cleaned_count++;
    status->cleaned_bytes_read += stats->bytes_read;
    status->clean_ms_max = MAX(status->clean_ms_max, elapsed_ms);
    status->recopied_share_max =
        MAX(status->recopied_share_max, (double)stats->bytes_written / (double)MAX(stats->bytes_cleaned, 1));
    entry->log->clean_offset = job->compaction->end_offset;
    manager_checkpoint_later(manager, entry->directory, CHECKPOINT_CLEANER);
    end_job(manager, job, false, true);
}

static void on_failed(struct log_manager *manager, struct managed_log *entry, struct cleaner_job *job) {
    const struct compaction *c = job->compaction;
    if (c->error == ERR_NO_SPACE) {
        trace_warn(AREA, "No space to clean log %s in; it is tried again later", entry->key);
        end_job(manager, job, true, false);
    } else if (c->failure != NULL) {
        entry->is_uncleanable = true;
        manager->uncleanable_count++;
        trace_error(AREA,
                    "Log %s cannot be cleaned near offset %" PRId64 ": %s (%s). It is left as it is and keeps growing; "
                    "restart the broker once the cause is removed",
                    entry->key, compaction_position(c), c->failure, error_text(c->error));
        end_job(manager, job, true, true);
    } else {
        int error = c->error;
        end_job(manager, job, true, false);
        manager_log_failed(manager, entry, entry->log, error, "cleaning a log");
    }
}

static void spawn_slice(struct cleaner_job *job);

static void on_pause_over(struct timer *timer) {
    struct cleaner_job *job = CONTAINER_OF(timer, struct cleaner_job, pause);
    job->is_paused = false;
    spawn_slice(job);
}

/* The budget counts what was read and written; a slice that came too early waits. */
static void go_on(struct log_manager *manager, struct cleaner_job *job) {
    const struct compaction_stats *stats = &job->compaction->stats;
    int64_t due_ms = (int64_t)((double)(stats->bytes_read + stats->bytes_written) / job->bytes_per_ms_max);
    int64_t wait_ms = due_ms - (clock_now_ms(manager->clock) - job->started_ms);
    if (wait_ms > 0) {
        job->is_paused = true;
        timer_start(manager->clock, &job->pause, wait_ms, on_pause_over);
    } else {
        spawn_slice(job);
    }
}

static void slice_run(void *context) {
    struct cleaner_job *job = context;
    compaction_work(job->compaction, job->slice_bytes);
}

/* Whether the log was cut meanwhile, under the worker too, who then finds segments to end early. What the disk failed
 * with counts all the same. */
static bool is_outdated(const struct managed_log *entry, const struct compaction *c) {
    bool is_of_disk = c->state == COMPACTION_FAILED && c->failure == NULL;
    return entry->log->truncations != c->truncations && !is_of_disk;
}

static void slice_done(void *context) {
    struct cleaner_job *job = context;
    struct log_manager *manager = job->link->manager;
    struct managed_log *entry = job_entry(job);
    if (manager == NULL) {
        job_destroy(job, false);
        return;
    }
    if (entry == NULL || manager->cleaner_is_stopping || entry->log->is_fenced || !entry->log->config.compact ||
        manager_has_future(manager, entry)) {
        /* Where the log is gone its successor may be, with what this slice wrote among its files. */
        end_job(manager, job, entry == NULL || !entry->log->is_fenced, true);
        return;
    }
    if (is_outdated(entry, job->compaction)) {
        trace_info(AREA, "Log %s was truncated while it was cleaned; it is looked at again later", entry->key);
        end_job(manager, job, true, false);
        return;
    }
    int error = 0;
    switch (job->compaction->state) {
    case COMPACTION_DONE: on_done(manager, entry, job); return;
    case COMPACTION_FAILED: on_failed(manager, entry, job); return;
    case COMPACTION_REPLACES:
        error = log_replace_segments(entry->log, job->compaction);
        if (error == ERR_NOT_FOUND) {
            trace_info(AREA, "Log %s changed while it was cleaned; it is looked at again later", entry->key);
            end_job(manager, job, true, false);
            return;
        }
        if (error != 0) {
            end_job(manager, job, false, false);
            manager_log_failed(manager, entry, entry->log, error, "replacing segments of a log");
            return;
        }
        break;
    case COMPACTION_MORE: break;
    }
    go_on(manager, job);
}

static void spawn_slice(struct cleaner_job *job) {
    clock_spawn(job->clock, slice_run, slice_done, job);
}

/* Also of an earlier log of the name: output has its path from the name, and one of the two would take the other's. */
static bool is_in_progress(const struct log_manager *manager, const struct managed_log *entry) {
    for (const struct cleaner_job *job = manager->cleaner_jobs; job != NULL; job = job->next) {
        if (job->partition == entry->partition && strcmp(job->topic, entry->topic) == 0) {
            return true;
        }
    }
    return false;
}

static struct compaction_range range_of(struct log_manager *manager, const struct managed_log *entry) {
    struct log *log = entry->log;
    int64_t stable = log_last_stable_offset(log, manager_high_watermark(manager, entry));
#ifdef MUTANT_M31 /* cleans what is not committed */
    stable = log_end_offset(log);
#endif
    return log_cleanable_range(log, log->clean_offset, stable, clock_wall_ms(manager->clock));
}

/* The log with the largest dirty share among those that are dirty enough; NULL when there is none. */
static struct managed_log *find_filthiest(struct log_manager *manager, struct compaction_range *ret_range,
                                          double *ret_dirty_share_max) {
    struct managed_log *filthiest = NULL;
    double ratio_max = -1;
    for (struct managed_log *entry = manager->logs; entry != NULL; entry = entry->hh.next) {
        if (entry->log == NULL || entry->is_loading || entry->is_uncleanable || entry->log->is_fenced ||
            !entry->log->config.compact || manager->directories[entry->directory].is_offline ||
            is_in_progress(manager, entry) || manager_has_future(manager, entry)) {
            continue;
        }
        struct compaction_range range = range_of(manager, entry);
        if (range.dirty_bytes == 0) {
            continue;
        }
        double ratio = (double)range.dirty_bytes / (double)(range.clean_bytes + range.dirty_bytes);
        *ret_dirty_share_max = MAX(*ret_dirty_share_max, ratio);
        if ((range.is_overdue || ratio > entry->log->config.min_cleanable_ratio) && ratio > ratio_max) {
            ratio_max = ratio;
            filthiest = entry;
            *ret_range = range;
        }
    }
    return filthiest;
}

static struct compaction_limits job_limits(const struct log_cleaner_config *config) {
    return (struct compaction_limits){.map_bytes_max = config->dedupe_buffer_bytes / MAX(config->threads, 1),
                                      .map_load_factor = config->load_factor,
                                      .io_buffer_bytes = MAX(config->io_buffer_bytes, IO_BUFFER_MIN)};
}

/* ERR_NOT_FOUND when nothing of the log is closed. */
static int start_job(struct log_manager *manager, struct managed_log *entry, const struct compaction_range *range) {
    const struct log_cleaner_config *config = &manager->config.cleaner;
    struct compaction_limits limits = job_limits(config);
    struct compaction *compaction;
    int error = compaction_begin(entry->log, range, &limits, clock_wall_ms(manager->clock), &compaction);
    if (error != 0) {
        return error;
    }
    struct cleaner_job *job = xcalloc(1, sizeof *job);
    double share = config->bytes_per_second_max / MAX(config->threads, 1);
    *job = (struct cleaner_job){.next = manager->cleaner_jobs,
                                .link = manager_link_ref(manager),
                                .clock = manager->clock,
                                .topic = xstrdup(entry->topic),
                                .partition = entry->partition,
                                .serial = entry->serial,
                                .compaction = compaction,
                                .slice_bytes = share < (double)SLICE_BYTES * SLICES_PER_SECOND
                                                   ? MAX((int64_t)share / SLICES_PER_SECOND, 1)
                                                   : SLICE_BYTES,
                                .bytes_per_ms_max = MAX(share / 1000, 0.001),
                                .started_ms = clock_now_ms(manager->clock)};
    manager->cleaner_jobs = job;
    spawn_slice(job);
    return 0;
}

static int32_t job_count(const struct log_manager *manager) {
    int32_t count = 0;
    for (const struct cleaner_job *job = manager->cleaner_jobs; job != NULL; job = job->next) {
        count++;
    }
    return count;
}

static void start_jobs(struct log_manager *manager) {
    while (job_count(manager) < manager->config.cleaner.threads) {
        struct compaction_range range;
        double dirty_share_max = 0;
        struct managed_log *entry = find_filthiest(manager, &range, &dirty_share_max);
        manager->cleaner_status.dirty_share_max = dirty_share_max;
        manager->cleaner_looked_ms = clock_now_ms(manager->clock);
        if (entry == NULL) {
            return;
        }
        int error = start_job(manager, entry, &range);
        if (error == ERR_CORRUPT || error == ERR_TOO_LARGE) {
            entry->is_uncleanable = true;
            manager->uncleanable_count++;
            trace_error(AREA, "Log %s cannot be cleaned: its transaction index is not readable", entry->key);
        } else if (error != 0) {
            manager_log_failed(manager, entry, entry->log, error, "beginning to clean a log");
            return;
        }
    }
}

static void on_cleaner_timer(struct timer *timer) {
    struct log_manager *manager = CONTAINER_OF(timer, struct log_manager, cleaner_timer);
    start_jobs(manager);
    timer_start(manager->clock, timer, MAX(manager->config.cleaner.backoff_ms, 1), on_cleaner_timer);
}

void manager_start_cleaner(struct log_manager *manager) {
    if (manager->config.cleaner.is_enabled) {
        timer_start(manager->clock, &manager->cleaner_timer, MAX(manager->config.cleaner.backoff_ms, 1),
                    on_cleaner_timer);
    }
}

void manager_stop_cleaner(struct log_manager *manager) {
    manager->cleaner_is_stopping = true;
    timer_stop(manager->clock, &manager->cleaner_timer);
    struct cleaner_job *next;
    for (struct cleaner_job *job = manager->cleaner_jobs; job != NULL; job = next) {
        next = job->next;
        if (job->is_paused) { /* the others end with their slice */
            timer_stop(manager->clock, &job->pause);
            end_job(manager, job, true, false);
        }
    }
}

void log_manager_configure_cleaner(struct log_manager *manager, const struct log_cleaner_config *config) {
    manager->config.cleaner = *config;
}

int32_t log_manager_uncleanable_count(const struct log_manager *manager) {
    return manager->uncleanable_count;
}

void log_manager_cleaner_status(struct log_manager *manager, struct log_cleaner_status *ret_status) {
    *ret_status = manager->cleaner_status;
    ret_status->jobs = job_count(manager);
    ret_status->since_look_ms =
        manager->cleaner_looked_ms < 0 ? -1 : clock_now_ms(manager->clock) - manager->cleaner_looked_ms;
    bool is_looking = !manager->config.cleaner.is_enabled || timer_is_running(&manager->cleaner_timer);
    ret_status->stopped_threads = is_looking ? 0 : manager->config.cleaner.threads;
}

void log_manager_uncleanable(struct log_manager *manager, const char *directory, int32_t *ret_count,
                             int64_t *ret_bytes) {
    *ret_count = 0;
    *ret_bytes = 0;
    for (struct managed_log *entry = manager->logs; entry != NULL; entry = entry->hh.next) {
        if (entry->log != NULL && entry->is_uncleanable && !entry->log->is_fenced &&
            strcmp(manager->directories[entry->directory].path, directory) == 0) {
            struct compaction_range range = range_of(manager, entry);
            *ret_count += 1;
            *ret_bytes += range.dirty_bytes;
        }
    }
}
