/* Work the log manager hands to workers: flushes, checkpoints of epochs, deletions. Each job holds a link to the
 * manager, which may be gone when the job is done, and the log's name and serial, since the log may be gone as well. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/log/log_manager_internal.h"

struct manager_link *manager_link_ref(struct log_manager *manager) {
    manager->link->references++;
    return manager->link;
}

void manager_link_release(struct manager_link *link) {
    if (--link->references == 0) {
        free(link);
    }
}

bool log_manager_is_idle(const struct log_manager *manager) {
    return manager->link->references == 1;
}

/* A flush on its way through a worker. */
struct flush_job {
    struct manager_link *link;
    char *topic;
    int32_t partition;
    int64_t serial;
    struct log_flush flush;
};

static void flush_job_run(void *context) {
    struct flush_job *job = context;
    log_flush_run(&job->flush);
}

/* NULL when it, or its manager, is gone. */
static struct log *find_log(const struct log_manager *manager, const char *topic, int32_t partition, int64_t serial) {
    return manager != NULL ? manager_find_serial(manager, topic, partition, serial) : NULL;
}

static void tell_settled(struct log_manager *manager, const struct log *log) {
    const struct managed_log *entry = manager_entry_of(manager, log);
    if (entry->future.log == log && manager->config.on_future_settled != NULL) {
        manager->config.on_future_settled(manager->config.context, entry->topic, entry->partition);
    }
}

static int64_t serial_of(const struct managed_log *entry, const struct log *log) {
    return entry->future.log == log ? entry->future.serial : entry->serial;
}

static void start_wanted_flush(struct log_manager *manager, struct log *log) {
    int64_t offset = MIN(log->flush_wanted, log->end_offset);
    bool is_wanted = log->is_flush_wanted;
    log->flush_wanted = 0;
    log->is_flush_wanted = false;
    if (is_wanted && !log_is_fenced(log)) { /* closed logs are, too */
        manager_start_flush(manager, manager_entry_of(manager, log), log, offset);
    }
}

static void flush_job_done(void *context) {
    struct flush_job *job = context;
    struct log_manager *manager = job->link->manager;
    struct log *log = find_log(manager, job->topic, job->partition, job->serial);
    if (log != NULL) {
        int error = log_flush_finish(log, &job->flush);
        if (error != 0) {
            manager_log_failed(manager, manager_entry_of(manager, log), log, error, "flushing a log");
        } else {
            start_wanted_flush(manager, log);
        }
        tell_settled(manager, log);
    } else {
        log_flush_discard(&job->flush);
    }
    manager_link_release(job->link);
    free(job->topic);
    free(job);
}

/* One at a time of a log: each begins by opening all that is not known to be synced, so that flushes which queue up
 * behind a slow disk would each hold the files of all before them. */
bool manager_start_flush(struct log_manager *manager, const struct managed_log *entry, struct log *log,
                         int64_t offset) {
    if (log->flushes_in_flight > 0) {
        log->is_flush_wanted = true;
        log->flush_wanted = MAX(log->flush_wanted, offset);
        return true;
    }
    struct flush_job *job = xcalloc(1, sizeof *job);
    if (!log_flush_begin(log, offset, &job->flush)) {
        free(job);
        return false;
    }
    job->link = manager_link_ref(manager);
    job->topic = xstrdup(entry->topic);
    job->partition = entry->partition;
    job->serial = serial_of(entry, log);
    clock_spawn(manager->clock, flush_job_run, flush_job_done, job);
    return true;
}

static void on_flush_wanted(void *context, struct log *log, int64_t offset) {
    struct log_manager *manager = context;
    const struct managed_log *entry = manager_entry_of(manager, log);
    if (entry != NULL) {
        manager_start_flush(manager, entry, log, offset);
    }
}

static void on_delete_later(void *context, struct log *log, const char *path) {
    manager_delete_later(context, path, false, log->config.file_delete_delay_ms);
}

/* Epoch files that workers have at once. Whoever begins to lead thousands of partitions has as many to write, which
 * takes seconds; they need not be there before the recovery point passes them, and groups to be loaded, flushes and the
 * cleaner are not to stand behind all of them. */
#define EPOCH_WRITES_AT_ONCE 2

/* The epoch file of a log on its way through a worker. */
struct write_job {
    UT_hash_handle hh;     /* while it waits, by log */
    const struct log *log; /* not to be asked once it runs: it may be gone */
    struct manager_link *link;
    char *topic;
    int32_t partition;
    int64_t serial;
    struct file_write *write;
};

static void write_job_run(void *context) {
    file_write_run(((struct write_job *)context)->write);
}

static void free_write_job(struct write_job *job) {
    file_write_destroy(job->write);
    manager_link_release(job->link);
    free(job->topic);
    free(job);
}

static void start_writes(struct log_manager *manager);

static void write_job_done(void *context) {
    struct write_job *job = context;
    struct log_manager *manager = job->link->manager;
    const struct log *log = find_log(manager, job->topic, job->partition, job->serial);
    /* Of a log that was deleted meanwhile nothing is left to write to. */
    if (log != NULL && job->write->error != 0) {
        manager_log_failed(manager, manager_entry_of(manager, log), log, job->write->error,
                           "writing an epoch checkpoint");
    }
    if (log != NULL) {
        tell_settled(manager, log);
    }
    free_write_job(job);
    if (manager != NULL) {
        manager->writes_running--;
        start_writes(manager);
    }
}

static struct write_job *take_off(struct log_manager *manager, struct write_job *job) {
    HASH_DEL(manager->writes, job);
    return job;
}

static void start_writes(struct log_manager *manager) {
    while (manager->writes != NULL && manager->writes_running < EPOCH_WRITES_AT_ONCE) {
        manager->writes_running++;
        clock_spawn(manager->clock, write_job_run, write_job_done, take_off(manager, manager->writes));
    }
}

void manager_drop_writes(struct log_manager *manager) {
    while (manager->writes != NULL) {
        free_write_job(take_off(manager, manager->writes));
    }
}

static struct write_job *find_waiting(const struct log_manager *manager, const struct log *log) {
    struct write_job *job = NULL;
    HASH_FIND_PTR(manager->writes, &log, job);
    return job;
}

void manager_drop_write_of(struct log_manager *manager, const struct log *log) {
    struct write_job *job = find_waiting(manager, log);
    if (job != NULL) {
        free_write_job(take_off(manager, job));
    }
}

/* As many as there are logs may wait. */
static uint32_t writes_max(const struct log_manager *manager) {
    uint32_t logs = 0;
    for (int32_t i = 0; i < manager->directory_count; i++) {
        logs += (uint32_t)manager->directories[i].log_count;
    }
    return logs;
}

static void on_write_later(void *context, struct log *log, struct file_write *write) {
    struct log_manager *manager = context;
    struct write_job *job = find_waiting(manager, log);
    if (job != NULL) {
        file_write_destroy(job->write); /* of before: it would only be written over */
        job->write = write;
        return;
    }
    const struct managed_log *entry = manager_entry_of(manager, log);
    CHECK(entry != NULL && HASH_COUNT(manager->writes) < writes_max(manager));
    job = xcalloc(1, sizeof *job);
    *job = (struct write_job){.log = log,
                              .link = manager_link_ref(manager),
                              .topic = xstrdup(entry->topic),
                              .partition = entry->partition,
                              .serial = serial_of(entry, log),
                              .write = write};
    HASH_ADD_PTR(manager->writes, log, job);
    start_writes(manager);
}

static int write_checkpoint_of(struct log_manager *manager, const struct log *log, enum checkpoint_kind kind) {
    const struct managed_log *entry = manager_entry_of(manager, log);
    return entry == NULL ? 0 : manager_write_checkpoint(manager, manager_directory_of(entry, log), kind);
}

static int on_recovery_point_lowered(void *context, struct log *log) {
    return write_checkpoint_of(context, log, CHECKPOINT_RECOVERY_POINT);
}

static int on_start_offset_lowered(void *context, struct log *log) {
    return write_checkpoint_of(context, log, CHECKPOINT_START_OFFSET);
}

struct log_hooks manager_hooks(struct log_manager *manager) {
    return (struct log_hooks){.flush_wanted = on_flush_wanted,
                              .delete_later = on_delete_later,
                              .write_later = on_write_later,
                              .recovery_point_lowered = on_recovery_point_lowered,
                              .start_offset_lowered = on_start_offset_lowered,
                              .context = manager};
}

void manager_deletion_free(struct pending_deletion *item) {
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
        trace_warn("kafka.log.LogManager", "Failed to delete %s: %s", item->path, error_text(error));
    }
}

static void deletion_done(void *context) {
    struct pending_deletion *item = context;
    manager_link_release(item->link);
    manager_deletion_free(item);
}

static void on_deletion_timer(struct timer *timer);

void manager_arm_deletions(struct log_manager *manager) {
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
        item->link = manager_link_ref(manager);
        clock_spawn(manager->clock, deletion_run, deletion_done, item);
    }
    manager_arm_deletions(manager);
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
        manager_arm_deletions(manager);
    }
}

void manager_move_deletions(struct log_manager *manager, const char *from, const char *to) {
    size_t size = strlen(from);
    for (struct pending_deletion *item = manager->deletions; item != NULL; item = item->next) {
        if (strncmp(item->path, from, size) == 0 && item->path[size] == '/') {
            char *path = xasprintf("%s%s", to, item->path + size);
            free(item->path);
            item->path = path;
        }
    }
}

static void *work_on_directory(void *context) {
    struct directory_work *self = context;
    void *own = self->begin != NULL ? self->begin() : NULL;
    while (!__atomic_load_n(&self->is_stopped, __ATOMIC_RELAXED)) {
        int32_t number = __atomic_fetch_add(&self->next, 1, __ATOMIC_RELAXED);
        if (number >= self->count) {
            break;
        }
        self->work(self, number, own);
    }
    if (self->end != NULL) {
        self->end(own);
    }
    return NULL;
}

/* Threads beyond this many per directory only wait for each other's reads. */
#define DIRECTORY_THREADS_MAX 64

void manager_work_in_parallel(const struct log_manager *manager, struct directory_work *works) {
    pthread_t *threads = xcalloc((size_t)manager->directory_count * DIRECTORY_THREADS_MAX, sizeof *threads);
    int32_t count = 0;
    for (int32_t i = 0; i < manager->directory_count; i++) {
        int32_t threads_max = works[i].threads > 0 ? works[i].threads : manager->config.recovery_threads_per_directory;
        int32_t wanted = MIN(MAX(1, MIN(threads_max, DIRECTORY_THREADS_MAX)), works[i].count);
        bool is_alone = manager->directory_count == 1 && wanted == 1;
        for (int32_t k = 0; k < wanted; k++) {
            if (is_alone || !manager->disk->ops->is_concurrent ||
                pthread_create(&threads[count], NULL, work_on_directory, &works[i]) != 0) {
                work_on_directory(&works[i]);
            } else {
                count++;
            }
        }
    }
    for (int32_t i = 0; i < count; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    free(threads);
}
