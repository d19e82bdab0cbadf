/* The table of logs: finding, making, deleting, failing. */
#include "broker/log/log_manager.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/log/log_manager_internal.h"

#define AREA "kafka.log.LogManager"

struct managed_log *manager_find_entry(const struct log_manager *manager, const char *topic, int32_t partition) {
    char key[LOG_DIRECTORY_NAME_MAX + 16];
    int size = snprintf(key, sizeof key, "%s-%" PRId32, topic, partition);
    struct managed_log *entry = NULL;
    if (size > 0 && (size_t)size < sizeof key) {
        HASH_FIND_STR(manager->logs, key, entry);
    }
    return entry;
}

struct managed_log *manager_add_entry(struct log_manager *manager, const char *topic, int32_t partition) {
    struct managed_log *entry = manager_find_entry(manager, topic, partition);
    if (entry == NULL) {
        entry = xcalloc(1, sizeof *entry);
        entry->clean_offset = -1;
        entry->key = xasprintf("%s-%" PRId32, topic, partition);
        entry->topic = xstrdup(topic);
        entry->partition = partition;
        entry->directory = -1;
        entry->preferred_directory = -1;
        entry->told.directory = -1;
        HASH_ADD_KEYPTR(hh, manager->logs, entry->key, strlen(entry->key), entry);
    }
    return entry;
}

void manager_destroy_log(struct log_manager *manager, struct log *log) {
    manager_drop_write_of(manager, log);
    log_destroy(log);
}

static void entry_free(struct log_manager *manager, struct managed_log *entry) {
    HASH_DEL(manager->logs, entry);
    manager_forget_preferred(manager, entry);
    manager_destroy_log(manager, entry->log);
    manager_destroy_log(manager, entry->future.log);
    manager_destroy_log(manager, entry->replaced);
    free(entry->key);
    free(entry->topic);
    free(entry);
}

static bool entry_is_online(const struct log_manager *manager, const struct managed_log *entry) {
    return entry != NULL && entry->log != NULL && !manager->directories[entry->directory].is_offline;
}

struct log *log_manager_find(struct log_manager *manager, const char *topic, int32_t partition) {
    const struct managed_log *entry = manager_find_entry(manager, topic, partition);
    return entry_is_online(manager, entry) ? entry->log : NULL;
}

bool manager_any_directory_offline(const struct log_manager *manager) {
    for (int32_t i = 0; i < manager->directory_count; i++) {
        if (manager->directories[i].is_offline) {
            return true;
        }
    }
    return false;
}

bool log_manager_is_offline(const struct log_manager *manager, const char *topic, int32_t partition) {
    const struct managed_log *entry = manager_find_entry(manager, topic, partition);
    return !entry_is_online(manager, entry) && manager_any_directory_offline(manager);
}

int64_t log_manager_checkpointed_high_watermark(const struct log_manager *manager, const char *topic,
                                                int32_t partition) {
    const struct managed_log *entry = manager_find_entry(manager, topic, partition);
    return entry != NULL ? entry->high_watermark : 0;
}

int64_t manager_high_watermark(const struct log_manager *manager, const struct managed_log *entry) {
    int64_t offset;
    if (manager->config.high_watermark != NULL &&
        manager->config.high_watermark(manager->config.context, entry->topic, entry->partition, &offset)) {
        return offset;
    }
    return entry->high_watermark;
}

static struct log_config topic_config(const struct log_manager *manager, const char *topic) {
    struct log_config config = manager->config.defaults;
    if (manager->config.topic_config != NULL) {
        manager->config.topic_config(manager->config.context, topic, &config);
    }
    return config;
}

static void collect_deletion(void *context, struct log *log, const char *path) {
    (void)log;
    struct log_opening *opening = context;
    opening->deletions =
        xrealloc(opening->deletions, (size_t)(opening->deletion_count + 1) * sizeof *opening->deletions);
    opening->deletions[opening->deletion_count++] = xstrdup(path);
}

static void opening_init(struct log_manager *manager, struct managed_log *entry, int32_t directory, const char *name,
                         bool is_clean, struct log_opening *ret_opening) {
    char path[LOG_PATH_SIZE];
    path_join(path, manager->directories[directory].path, name);
    *ret_opening = (struct log_opening){.entry = entry, .directory = directory, .path = xstrdup(path)};
    ret_opening->options = (struct log_open_options){.disk = manager->disk,
                                                     .clock = manager->clock,
                                                     .directory = ret_opening->path,
                                                     .topic = entry->topic,
                                                     .partition = entry->partition,
                                                     .config = topic_config(manager, entry->topic),
                                                     .clean_offset = -1,
                                                     .had_clean_shutdown = is_clean};
}

void manager_opening_init(struct log_manager *manager, struct managed_log *entry, int32_t directory, bool is_clean,
                          struct log_opening *ret_opening) {
    if (entry->directory != directory) {
        manager_forget_checkpoints(entry);
    }
    entry->directory = directory;
    opening_init(manager, entry, directory, entry->key, is_clean, ret_opening);
    ret_opening->options.recovery_point = entry->recovery_point;
    ret_opening->options.start_offset = entry->start_offset;
    ret_opening->options.clean_offset = entry->clean_offset;
}

void manager_opening_init_aside(struct log_manager *manager, struct managed_log *entry, int32_t directory,
                                const char *name, bool is_clean, struct log_opening *ret_opening) {
    opening_init(manager, entry, directory, name, is_clean, ret_opening);
    if (entry->told.directory == directory) {
        ret_opening->options.recovery_point = entry->told.recovery_point;
        ret_opening->options.start_offset = entry->told.start_offset;
        ret_opening->options.clean_offset = entry->told.clean_offset;
    }
}

int manager_opening_run(struct log_opening *opening, struct record_workspace *workspace) {
    opening->options.workspace = workspace;
    opening->options.hooks = (struct log_hooks){.delete_later = collect_deletion, .context = opening};
    opening->error = log_open(&opening->options, &opening->log);
    return opening->error;
}

int manager_opening_settle(struct log_manager *manager, struct log_opening *opening) {
    struct managed_log *entry = opening->entry;
    int error = opening->error;
    if (opening->log != NULL) {
        opening->log->hooks = manager_hooks(manager);
        opening->log->workspace = manager->workspace;
        manager->directories[opening->directory].log_count++;
    }
    if (opening->log != NULL && opening->is_future) {
        entry->future = (struct future_log){.log = opening->log,
                                            .directory = opening->directory,
                                            .serial = manager->next_serial++,
                                            .was_found = !manager->is_loaded};
    } else if (opening->log != NULL && opening->is_rival) {
        error = manager_settle_rivals(manager, entry, opening->log, opening->directory);
    } else if (opening->log != NULL) {
        entry->log = opening->log;
        entry->serial = manager->next_serial++;
    }
    for (int32_t i = 0; i < opening->deletion_count; i++) {
        manager_delete_later(manager, opening->deletions[i], false, opening->options.config.file_delete_delay_ms);
        free(opening->deletions[i]);
    }
    free(opening->deletions);
    free(opening->path);
    return error;
}

static int open_new_log(struct log_manager *manager, struct managed_log *entry, int32_t directory) {
    struct log_opening opening;
    manager_opening_init(manager, entry, directory, false, &opening);
    manager_opening_run(&opening, manager->workspace);
    return manager_opening_settle(manager, &opening);
}

/* The online directory with the fewest partitions, -1 when there is none. */
static int32_t least_used_directory(const struct log_manager *manager) {
    int32_t best = -1;
    for (int32_t i = 0; i < manager->directory_count; i++) {
        if (!manager->directories[i].is_offline &&
            (best < 0 || manager->directories[i].log_count < manager->directories[best].log_count)) {
            best = i;
        }
    }
    return best;
}

/* Makes the directory of a new log where it is to be, or where there is the most room for it: when one cannot be made,
 * whose disk goes offline with that, in the next one (Kafka's getOrCreateLog). */
static int make_log_directory(struct log_manager *manager, struct managed_log *entry, bool is_new,
                              int32_t *ret_directory) {
    bool is_told = entry->preferred_directory >= 0;
    int error = ERR_NOT_FOUND;
    for (;;) {
        int32_t directory = is_told ? entry->preferred_directory : least_used_directory(manager);
        if (directory < 0 || manager->directories[directory].is_offline) {
            return error;
        }
        if (entry->future.log != NULL && entry->future.directory == directory) {
            /* What it was a copy of is no more. */
            log_manager_delete_future(manager, entry->topic, entry->partition);
        }
        manager_forget_checkpoints(entry);
        error = manager_correct_checkpoints(manager, entry, directory);
        char path[LOG_PATH_SIZE];
        path_join(path, manager->directories[directory].path, entry->key);
        error = error != 0 ? error : manager->disk->ops->make_directory(manager->disk, path);
        if (error == 0 || error == ERR_EXISTS) {
            *ret_directory = directory;
            return 0;
        }
        manager_fail_directory(manager, directory, error, "creating a log");
        /* Rule 22: what there is of it may lie there. And a want of open files would take one after the other. */
        if (!is_new || error == ERR_FILE_LIMIT) {
            return error;
        }
    }
}

static int create_log(struct log_manager *manager, const char *topic, int32_t partition, bool is_new,
                      struct managed_log **ret) {
    struct managed_log *entry = manager_add_entry(manager, topic, partition);
    int32_t directory;
    int error = make_log_directory(manager, entry, is_new, &directory);
    if (error != 0) {
        return error;
    }
    manager_forget_preferred(manager, entry);
    error = open_new_log(manager, entry, directory);
    if (error != 0) {
        manager_fail_directory(manager, directory, error, "creating a log");
        return error;
    }
    trace_info(AREA, "Created log for partition %s in %s", entry->key, log_directory(entry->log));
    *ret = entry;
    return 0;
}

int log_manager_get_or_create(struct log_manager *manager, const char *topic, int32_t partition, bool is_new,
                              struct uuid topic_id, struct log **ret_log) {
    struct managed_log *entry = manager_find_entry(manager, topic, partition);
    if (!entry_is_online(manager, entry)) {
        if (entry != NULL && entry->log != NULL) {
            return ERR_NOT_FOUND;
        }
        /* Rule 22: the data may lie in the directory that is offline. */
        if (!is_new && manager_any_directory_offline(manager)) {
            return ERR_NOT_FOUND;
        }
        int error = create_log(manager, topic, partition, is_new, &entry);
        if (error != 0) {
            return error;
        }
    }
    if (!uuid_is_zero(topic_id)) {
        int error = log_set_topic_id(entry->log, topic_id);
        if (error == ERR_INVALID) {
            return error;
        }
        if (error != 0) {
            manager_log_failed(manager, entry, entry->log, error, "writing partition.metadata");
            return error;
        }
    }
    *ret_log = entry->log;
    return 0;
}

/* "<topic>-<partition>.<32 hex digits><suffix>", the topic cut so that the whole fits a file name. */
static void removed_name(struct log_manager *manager, const struct log *log, const char *suffix,
                         char ret_name[LOG_DIRECTORY_NAME_MAX + 1]) {
    char tail[80];
    int size = snprintf(tail, sizeof tail, "-%" PRId32 ".%016" PRIx64 "%016" PRIx64 "%s", log->partition,
                        random_u64(&manager->random), random_u64(&manager->random), suffix);
    CHECK(size > 0 && (size_t)size < sizeof tail);
    snprintf(ret_name, LOG_DIRECTORY_NAME_MAX + 1, "%.*s%s", LOG_DIRECTORY_NAME_MAX - size, log->topic, tail);
}

/* Renames a log's directory and destroys the log, which is in no table any more. */
static int remove_directory(struct log_manager *manager, struct log *log, int32_t directory, const char *suffix,
                            char ret_path[LOG_PATH_SIZE]) {
    struct log_directory *place = &manager->directories[directory];
    char name[LOG_DIRECTORY_NAME_MAX + 1];
    removed_name(manager, log, suffix, name);
    path_join(ret_path, place->path, name);
    epoch_cache_retire(&log->epochs);
    int error = manager->disk->ops->rename(manager->disk, log_directory(log), ret_path);
    if (error == 0) {
        error = manager->disk->ops->sync_directory(manager->disk, place->path);
    }
    if (error != 0) {
        log_fence(log, error);
        manager_fail_directory(manager, directory, error, "renaming a log to remove it");
        return error;
    }
    trace_info(AREA, "Log for partition %s-%d is renamed to %s", log->topic, log->partition, ret_path);
    bool was_cleaned = log->clean_offset >= 0;
    manager_destroy_log(manager, log);
    place->log_count--;
    for (int kind = 0; kind < CHECKPOINT_KINDS; kind++) {
        /* The high watermark too, also before the first LeaderAndIsr: what stayed in the file would be that of a new
         * topic of the same name, after a crash. Logs nobody commanded yet keep the one that was read. */
        if (manager->is_loaded && (kind != CHECKPOINT_CLEANER || was_cleaned)) {
            manager_checkpoint_later(manager, directory, (enum checkpoint_kind)kind);
        }
    }
    return 0;
}

int manager_delete_directory(struct log_manager *manager, struct log *log, int32_t directory) {
    int64_t delay_ms = log_get_config(log)->file_delete_delay_ms;
    char path[LOG_PATH_SIZE];
    int error = remove_directory(manager, log, directory, "-delete", path);
    if (error == 0) {
        trace_info(AREA, "%s is scheduled for deletion", path);
        manager_delete_later(manager, path, true, delay_ms);
    }
    return error;
}

/* Takes a log out of the table and its directory away; what was on its way elsewhere goes first. */
static int remove_log(struct log_manager *manager, const char *topic, int32_t partition, bool is_deletion) {
    struct managed_log *entry = manager_find_entry(manager, topic, partition);
    int future_error = entry != NULL ? log_manager_delete_future(manager, topic, partition) : 0;
    if (entry == NULL || entry->log == NULL) {
        return future_error != 0 ? future_error : ERR_NOT_FOUND;
    }
    int32_t directory = entry->directory;
    if (manager->directories[directory].is_offline) {
        return ERR_FENCED;
    }
    /* Out of the table before checkpoints are written, which then say nothing of it; back into it when that fails. */
    struct log *log = entry->log;
    char path[LOG_PATH_SIZE];
    entry->log = NULL;
    int error = is_deletion ? manager_delete_directory(manager, log, directory)
                            : remove_directory(manager, log, directory, "-stray", path);
    if (error != 0) {
        entry->log = log;
        return error;
    }
    entry_free(manager, entry);
    return 0;
}

int log_manager_delete(struct log_manager *manager, const char *topic, int32_t partition) {
    return remove_log(manager, topic, partition, true);
}

int log_manager_set_aside(struct log_manager *manager, const char *topic, int32_t partition) {
    return remove_log(manager, topic, partition, false);
}

void manager_fail_directory(struct log_manager *manager, int32_t directory, int error, const char *what) {
    struct log_directory *place = &manager->directories[directory];
    if (place->is_offline) {
        return;
    }
    place->is_offline = true;
    trace_error(AREA, "Stopping serving logs in dir %s after an error while %s: %s", place->path, what,
                error_text(error));
    for (struct managed_log *entry = manager->logs; entry != NULL; entry = entry->hh.next) {
        if (entry->log != NULL && entry->directory == directory) {
            log_fence(entry->log, error);
        }
        if (entry->future.log != NULL && entry->future.directory == directory) {
            log_fence(entry->future.log, error);
        }
    }
    if (manager->config.on_directory_failed != NULL) {
        manager->config.on_directory_failed(manager->config.context, place->path);
    }
}

struct managed_log *manager_entry_of(const struct log_manager *manager, const struct log *log) {
    struct managed_log *entry = manager_find_entry(manager, log->topic, log->partition);
    return entry != NULL && (entry->log == log || entry->future.log == log) ? entry : NULL;
}

int32_t manager_directory_of(const struct managed_log *entry, const struct log *log) {
    return entry->future.log == log ? entry->future.directory : entry->directory;
}

struct log *manager_find_serial(const struct log_manager *manager, const char *topic, int32_t partition,
                                int64_t serial) {
    const struct managed_log *entry = manager_find_entry(manager, topic, partition);
    if (entry == NULL) {
        return NULL;
    }
    return entry->log != NULL && entry->serial == serial                 ? entry->log
           : entry->future.log != NULL && entry->future.serial == serial ? entry->future.log
                                                                         : NULL;
}

void manager_log_failed(struct log_manager *manager, const struct managed_log *entry, const struct log *log, int error,
                        const char *what) {
    manager_fail_directory(manager, manager_directory_of(entry, log), error, what);
}

void log_manager_fail_directory_of(struct log_manager *manager, struct log *log) {
    const struct managed_log *entry = manager_entry_of(manager, log);
    if (entry != NULL) {
        char what[LOG_DIRECTORY_NAME_MAX + 32];
        snprintf(what, sizeof what, "using the log of %s", entry->key);
        manager_log_failed(manager, entry, log, log->fence_error != 0 ? log->fence_error : ERR_IO, what);
    }
}

void manager_each_usable(struct log_manager *manager, usable_log_visitor *visit) {
    for (struct managed_log *entry = manager->logs; entry != NULL; entry = entry->hh.next) {
        if (entry->log != NULL && !manager->directories[entry->directory].is_offline) {
            visit(manager, entry, entry->log);
        }
        if (manager_has_future(manager, entry)) {
            visit(manager, entry, entry->future.log);
        }
    }
}

void log_manager_for_each(struct log_manager *manager, log_visitor *visit, void *context) {
    struct managed_log *entry;
    struct managed_log *next;
    HASH_ITER(hh, manager->logs, entry, next) {
        if (entry_is_online(manager, entry)) {
            visit(context, entry->topic, entry->partition, entry->log);
        }
    }
}

void log_manager_reconfigure(struct log_manager *manager, const char *topic) {
    for (struct managed_log *entry = manager->logs; entry != NULL; entry = entry->hh.next) {
        if (topic == NULL || strcmp(topic, entry->topic) == 0) {
            struct log_config config = topic_config(manager, entry->topic);
            if (entry->log != NULL) {
                log_set_config(entry->log, &config);
            }
            if (entry->future.log != NULL) {
                log_set_config(entry->future.log, &config);
            }
        }
    }
}

int32_t log_manager_directories(struct log_manager *manager, struct log_directory_info *ret_list, int32_t capacity) {
    for (int32_t i = 0; i < MIN(manager->directory_count, capacity); i++) {
        const struct log_directory *place = &manager->directories[i];
        ret_list[i] = (struct log_directory_info){
            .path = place->path, .is_offline = place->is_offline, .total_bytes = -1, .usable_bytes = -1};
        if (!place->is_offline) {
            int error = manager->disk->ops->space(manager->disk, place->path, &ret_list[i].total_bytes,
                                                  &ret_list[i].usable_bytes);
            if (error != 0) {
                ret_list[i].total_bytes = -1;
                ret_list[i].usable_bytes = -1;
            }
        }
    }
    return manager->directory_count;
}

bool log_manager_is_failed(const struct log_manager *manager, const char *directory) {
    for (int32_t i = 0; i < manager->directory_count; i++) {
        if (strcmp(manager->directories[i].path, directory) == 0) {
            return manager->directories[i].is_offline;
        }
    }
    return false;
}

int32_t log_manager_stored_broker_id(const struct log_manager *manager) {
    return manager->broker_id;
}

const char *log_manager_stored_cluster_id(const struct log_manager *manager) {
    return manager->cluster_id;
}

void manager_stop_timers(struct log_manager *manager) {
    struct timer *timers[] = {&manager->deletion_timer,     &manager->retention_timer,
                              &manager->flush_timer,        &manager->recovery_point_timer,
                              &manager->start_offset_timer, &manager->high_watermark_timer,
                              &manager->producer_timer,     &manager->cleaner_timer};
    for (size_t i = 0; i < ARRAY_SIZE(timers); i++) {
        timer_stop(manager->clock, timers[i]);
    }
}

void log_manager_destroy(struct log_manager *manager) {
    if (manager == NULL) {
        return;
    }
    manager_stop_cleaner(manager);
    manager_stop_timers(manager);
    manager_drop_writes(manager);
    struct managed_log *entry;
    struct managed_log *next;
    HASH_ITER(hh, manager->logs, entry, next) {
        entry_free(manager, entry);
    }
    while (manager->deletions != NULL) {
        struct pending_deletion *item = manager->deletions;
        manager->deletions = item->next;
        manager_deletion_free(item);
    }
    for (int32_t i = 0; i < manager->directory_count; i++) {
        disk_file_unref(manager->directories[i].lock);
        free(manager->directories[i].path);
        free(manager->directories[i].cluster_id);
        for (int kind = 0; kind < CHECKPOINT_KINDS; kind++) {
            replaced_file_unref(manager->directories[i].checkpoints[kind].file);
            byte_buffer_deinit(&manager->directories[i].checkpoints[kind].decided);
        }
    }
    free(manager->directories);
    free(manager->cluster_id);
    record_workspace_destroy(manager->workspace);
    manager->link->manager = NULL;
    manager_link_release(manager->link);
    free(manager);
}
