/* A clean stop: every log is closed and durable, the checkpoints tell of it, and a mark says so, last.
 *
 * Each of these waits for the one before, and each wait is one for the disk. Where many logs have something to sync,
 * the whole file system is synced between the steps (disk.h), three times, however many logs there are. */
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/log/log_manager_internal.h"

/* Per directory. A journaling file system has those who sync at the same time wait for one commit together; one after
 * the other, each file of each log waits for one of its own (600 files: 2.2 s by one thread, 0.07 s by four). */
#define CLOSE_THREADS 8

/* From so many logs with something to sync on, one sync of the file system is cheaper than theirs: it waits for the
 * disk once, where they wait for its journal three times each. What others wrote there it writes as well. */
#define GROUP_SYNC_LOGS_MIN 8

/* The logs of one directory, and the error of one that could not be closed. */
struct directory_close {
    struct disk_file *place; /* whose file system is synced for all it covers; NULL: each log syncs its own */
    struct log **logs;
    int32_t count;
    int32_t error; /* atomic */
};

static bool is_in_group(const struct directory_close *close, const struct log *log) {
    return close->place != NULL && close->place->disk->ops->covers(close->place, log->segments[0]->file);
}

/* On any thread: a log that is closed touches nothing but its own. */
static void close_one(struct directory_work *self, int32_t number, void *own) {
    (void)own;
    struct directory_close *close = self->context;
    struct log *log = close->logs[number];
    int error = is_in_group(close, log) ? log_close_begin(log) : log_close(log);
    if (error != 0) {
        __atomic_store_n(&close->error, error, __ATOMIC_RELAXED);
        __atomic_store_n(&self->is_stopped, true, __ATOMIC_RELAXED);
    }
}

static void collect(const struct log_manager *manager, struct directory_close *close, int32_t directory) {
    int32_t dirty = 0;
    close->logs = xcalloc((size_t)manager->directories[directory].log_count + 1, sizeof(struct log *));
    for (struct managed_log *entry = manager->logs; entry != NULL; entry = entry->hh.next) {
        struct log *log = entry->log != NULL && entry->directory == directory ? entry->log
                          : entry->future.directory == directory              ? entry->future.log
                                                                              : NULL;
        if (log != NULL) {
            CHECK(close->count < manager->directories[directory].log_count);
            close->logs[close->count++] = log;
            dirty += log_is_durable(log) ? 0 : 1;
        }
    }
    bool is_group = manager->disk->ops->sync_file_system != NULL && dirty >= GROUP_SYNC_LOGS_MIN;
    close->place = is_group ? manager->directories[directory].lock : NULL;
}

/* What `step` returns above 0 of any log of the group, or an error. */
static int each_in_group(const struct directory_close *close, int (*step)(struct log *log)) {
    int result = 0;
    for (int32_t i = 0; result >= 0 && i < close->count; i++) {
        if (is_in_group(close, close->logs[i])) {
            int status = step(close->logs[i]);
            result = status < 0 ? status : MAX(result, status);
        }
    }
    return result;
}

static int sync_all(const struct directory_close *close) {
    return close->place->disk->ops->sync_file_system(close->place);
}

/* All logs are written and none is synced, or only those that lie elsewhere. */
static int settle_group(struct log_manager *manager, int32_t directory, const struct directory_close *close) {
    static const enum checkpoint_kind kinds[] = {CHECKPOINT_RECOVERY_POINT, CHECKPOINT_START_OFFSET,
                                                 CHECKPOINT_HIGH_WATERMARK};
    struct file_write *checkpoints[ARRAY_SIZE(kinds)] = {NULL};
    int error = sync_all(close);
    if (error == 0) {
        error = MIN(each_in_group(close, log_close_place), 0);
    }
    if (error == 0) {
        error = each_in_group(close, log_close_end);
    }
    for (size_t i = 0; error == 0 && i < ARRAY_SIZE(kinds); i++) {
        if (kinds[i] != CHECKPOINT_HIGH_WATERMARK || manager->high_watermarks_enabled) {
            error = manager_stage_checkpoint(manager, directory, kinds[i], &checkpoints[i]);
        }
    }
    if (error == 0) {
        error = sync_all(close); /* epoch files in their places, what the checkpoints will say */
    }
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (error == 0 && checkpoints[i] != NULL) {
            error = file_write_place(checkpoints[i]);
        }
        if (checkpoints[i] != NULL) {
            file_write_destroy(checkpoints[i]);
        }
    }
    return error;
}

static int settle_directory(struct log_manager *manager, int32_t directory, const struct directory_close *close) {
    if (close->error != 0 || close->place != NULL) {
        return close->error != 0 ? close->error : settle_group(manager, directory, close);
    }
    return manager_write_checkpoints(manager, directory);
}

/* Everything is on disk: say so, last of all. */
static int write_clean_mark(struct log_manager *manager, int32_t directory, const struct directory_close *close) {
    static const char content[] = "{\"version\":0,\"brokerEpoch\":-1}";
    struct disk *disk = manager->disk;
    const char *place = manager->directories[directory].path;
    char path[LOG_PATH_SIZE];
    path_join(path, place, ".kafka_cleanshutdown");
    int error = close->place != NULL ? sync_all(close) : 0; /* the checkpoints in their places */
    return error != 0 ? error : file_replace(disk, place, path, content, sizeof content - 1);
}

/* Closes the logs and has the checkpoints tell of it. */
static int settle_directories(struct log_manager *manager, struct directory_close *closes) {
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
        int error = manager->directories[i].is_offline ? 0 : settle_directory(manager, i, &closes[i]);
        if (error != 0) {
            manager_fail_directory(manager, i, error, "closing its logs");
            last_error = error;
        }
    }
    free(works);
    return last_error;
}

int log_manager_shutdown(struct log_manager *manager) {
    struct directory_close *closes = xcalloc((size_t)manager->directory_count, sizeof *closes);
    manager_stop_cleaner(manager);
    manager_stop_timers(manager); /* closed logs are nobody's duty, and nothing is written after the clean mark */
    int first_error = settle_directories(manager, closes);
    for (int32_t i = 0; i < manager->directory_count; i++) {
        int error = manager->directories[i].is_offline ? 0 : write_clean_mark(manager, i, &closes[i]);
        if (error != 0) {
            manager_fail_directory(manager, i, error, "marking a clean stop");
            first_error = first_error == 0 ? error : first_error;
        }
        free(closes[i].logs);
    }
    free(closes);
    return first_error;
}
