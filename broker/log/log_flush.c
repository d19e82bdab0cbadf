/* Making a log durable: which files to sync, the syncs, and what may be believed afterwards. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/log/log_internal.h"

struct sync_outcome {
    pthread_mutex_t
        mutex; /* held by whoever syncs, so that nobody asks between the system's answer and our note of it */
    int error;
    int32_t references; /* atomic */
};

struct sync_outcome *sync_outcome_create(void) {
    struct sync_outcome *outcome = xcalloc(1, sizeof *outcome);
    CHECK(pthread_mutex_init(&outcome->mutex, NULL) == 0);
    outcome->references = 1;
    return outcome;
}

static struct sync_outcome *sync_outcome_ref(struct sync_outcome *outcome) {
    __atomic_add_fetch(&outcome->references, 1, __ATOMIC_RELAXED);
    return outcome;
}

struct sync_outcome *sync_outcome_unref(struct sync_outcome *outcome) {
    if (outcome != NULL && __atomic_sub_fetch(&outcome->references, 1, __ATOMIC_ACQ_REL) == 0) {
        pthread_mutex_destroy(&outcome->mutex);
        free(outcome);
    }
    return NULL;
}

int sync_outcome_error(struct sync_outcome *outcome) {
    pthread_mutex_lock(&outcome->mutex);
    int error = outcome->error;
    pthread_mutex_unlock(&outcome->mutex);
    return error;
}

static void add_file(struct log_flush *flush, struct disk_file *file) {
    if (flush->count == flush->capacity) {
        flush->capacity = MAX(flush->capacity * 2, 8);
        flush->files = xrealloc(flush->files, (size_t)flush->capacity * sizeof(struct disk_file *));
    }
    flush->files[flush->count++] = file;
}

/* A file that is not open, if it exists. */
static int add_path(struct log_flush *flush, const char *path) {
    struct disk_file *file;
    int error = disk_open(flush->disk, path, DISK_WRITE, &file);
    if (error == 0) {
        add_file(flush, file);
    }
    return error == ERR_NOT_FOUND ? 0 : error;
}

static int add_index(struct log_flush *flush, const struct log_place *place, struct segment_index *index) {
    if (index->file != NULL) {
        int error = segment_index_write_pending(index);
        if (error == 0) {
            add_file(flush, disk_file_ref(index->file));
        }
        return error;
    }
    char path[LOG_PATH_SIZE];
    path_of_offset(path, place, index->base_offset, segment_index_suffix(index->kind));
    return add_path(flush, path);
}

static int add_segment(struct log_flush *flush, const struct log_place *place, struct log_segment *segment) {
    char path[LOG_PATH_SIZE];
    add_file(flush, disk_file_ref(segment->file));
    int error = add_index(flush, place, &segment->offset_index);
    if (error == 0) {
        error = add_index(flush, place, &segment->time_index);
    }
    if (error == 0) {
        path_of_offset(path, place, segment->base_offset, ".txnindex");
        error = add_path(flush, path);
    }
    if (error == 0) {
        path_of_offset(path, place, segment->base_offset, ".snapshot");
        error = add_path(flush, path);
    }
    /* Optimistic: whatever is written from now on says otherwise again, and a failed sync fences the log. */
    segment->is_synced = true;
    return error;
}

/* Workers finish in any order, and the recovery point passes all below the offset of whoever is done: what an earlier
 * flush may not have synced yet is synced once more. */
static void doubt_flushes_in_flight(struct log *log) {
    if (log->flushes_in_flight == 0) {
        return;
    }
#ifdef MUTANT_M37 /* a flush believes an earlier one that is still under way */
    return;
#endif
    for (int32_t i = log->segment_count - 1; i >= 0; i--) {
        log->segments[i]->is_synced = false;
        if (log->segments[i]->base_offset <= log->recovery_point) {
            break;
        }
    }
    log->has_unsynced_metadata = true;
}

bool log_flush_begin(struct log *log, int64_t offset, struct log_flush *ret_flush) {
    *ret_flush = (struct log_flush){.log = log,
                                    .disk = log->place.disk,
                                    .directory = xstrdup(log->place.directory),
                                    .sync_parent = !log->parent_is_synced,
                                    .outcome = sync_outcome_ref(log->sync_outcome),
                                    .offset = offset,
                                    .truncations = log->truncations};
    doubt_flushes_in_flight(log);
    ret_flush->epochs = epoch_cache_catch_up(&log->epochs);
    bool is_wanted = offset > log->recovery_point || ret_flush->epochs != NULL;
    for (int32_t i = 0; i < log->segment_count && ret_flush->error == 0; i++) {
        struct log_segment *segment = log->segments[i];
        if (!segment->is_synced && (segment->base_offset < offset || offset == log->end_offset)) {
            is_wanted = true;
            ret_flush->error = add_segment(ret_flush, &log->place, segment);
        }
    }
    if (log->has_unsynced_metadata && ret_flush->error == 0) {
        /* Rule 24: partition.metadata is durable no later than the first data. */
        char path[LOG_PATH_SIZE];
        path_join(path, log->place.directory, "partition.metadata");
        is_wanted = true;
        ret_flush->error = add_path(ret_flush, path);
        log->has_unsynced_metadata = false;
    }
    if (is_wanted) {
        log->flushes_in_flight++;
    } else {
        log_flush_discard(ret_flush);
    }
    return is_wanted;
}

static void sync_everything(struct log_flush *flush) {
    if (flush->epochs != NULL && flush->error == 0) {
        file_write_run(flush->epochs);
        flush->error = flush->epochs->error;
    }
    for (int32_t i = 0; i < flush->count && flush->error == 0; i++) {
        flush->error = disk_sync(flush->files[i]);
    }
    if (flush->error == 0) {
        flush->error = flush->disk->ops->sync_directory(flush->disk, flush->directory);
    }
    const char *slash = strrchr(flush->directory, '/');
    if (flush->error == 0 && flush->sync_parent && slash != NULL && slash > flush->directory) {
        char parent[LOG_PATH_SIZE];
        memcpy(parent, flush->directory, (size_t)(slash - flush->directory));
        parent[slash - flush->directory] = 0;
        flush->error = flush->disk->ops->sync_directory(flush->disk, parent);
    }
}

void log_flush_run(struct log_flush *flush) {
    struct sync_outcome *outcome = flush->outcome;
    pthread_mutex_lock(&outcome->mutex);
    flush->error = flush->error != 0 ? flush->error : outcome->error;
    sync_everything(flush);
    outcome->error = outcome->error != 0 ? outcome->error : flush->error;
    pthread_mutex_unlock(&outcome->mutex);
}

void log_flush_discard(struct log_flush *flush) {
    for (int32_t i = 0; i < flush->count; i++) {
        disk_file_unref(flush->files[i]);
    }
    if (flush->epochs != NULL) {
        file_write_destroy(flush->epochs);
    }
    flush->outcome = sync_outcome_unref(flush->outcome);
    free(flush->files);
    free(flush->directory);
    flush->epochs = NULL;
    flush->files = NULL;
    flush->directory = NULL;
    flush->count = 0;
}

void log_note_durable(struct log *log, int64_t offset) {
    int64_t durable = log->doubtful_from < 0 ? offset : MIN(offset, log->doubtful_from);
    log->recovery_point = MAX(log->recovery_point, durable);
    log->parent_is_synced = true;
    log->last_flush_ms = clock_now_ms(log->clock);
}

bool log_is_durable(const struct log *log) {
    for (int32_t i = 0; i < log->segment_count; i++) {
        if (!log->segments[i]->is_synced) {
            return false;
        }
    }
    return log->end_offset <= log->recovery_point && !log->has_unsynced_metadata &&
           log->producers.end_offset <= log->producers.snapshot_offset && !replaced_file_is_behind(log->epochs.file);
}

int log_flush_finish(struct log *log, struct log_flush *flush) {
    int error = flush->error;
    CHECK(log->flushes_in_flight > 0);
    log->flushes_in_flight--;
    if (error == 0 && flush->truncations == log->truncations) {
        log_note_durable(log, flush->offset);
    }
    log_flush_discard(flush);
    return log_fence(log, error);
}

int log_flush(struct log *log) {
    struct log_flush flush;
    if (log->is_fenced) {
        return ERR_FENCED;
    }
    if (!log_flush_begin(log, log->end_offset, &flush)) {
        return 0;
    }
    log_flush_run(&flush);
    return log_flush_finish(log, &flush);
}
