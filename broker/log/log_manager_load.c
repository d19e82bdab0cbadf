/* Starting: claiming the directories, reading what the last run left, loading every log. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/log/log_manager_internal.h"
#include "broker/log/offset_checkpoint.h"

static const char *const checkpoint_names[] = {"recovery-point-offset-checkpoint", "log-start-offset-checkpoint",
                                               "replication-offset-checkpoint"};

static int64_t *checkpoint_field(struct managed_log *entry, enum checkpoint_kind kind) {
    switch (kind) {
    case CHECKPOINT_RECOVERY_POINT: return &entry->recovery_point;
    case CHECKPOINT_START_OFFSET: return &entry->start_offset;
    case CHECKPOINT_HIGH_WATERMARK: break;
    }
    return &entry->high_watermark;
}

static int read_checkpoint(struct log_manager *manager, int32_t directory, enum checkpoint_kind kind) {
    char path[LOG_PATH_SIZE];
    path_join(path, manager->directories[directory].path, checkpoint_names[kind]);
    struct byte_buffer text = {0};
    struct checkpoint_reader reader;
    int error = file_read_whole(manager->disk, path, CHECKPOINT_SIZE_MAX, &text);
    if (error == 0) {
        error = checkpoint_read_begin(&reader, &text);
    }
    for (int32_t i = 0; error == 0 && i < reader.count; i++) {
        struct str topic;
        int32_t partition;
        int64_t offset;
        error = checkpoint_read_offset(&reader, &topic, &partition, &offset);
        if (error == 0 && topic.size <= LOG_DIRECTORY_NAME_MAX && offset >= 0) {
            char name[LOG_DIRECTORY_NAME_MAX + 1];
            snprintf(name, sizeof name, "%.*s", STR_ARGS(topic));
            *checkpoint_field(manager_add_entry(manager, name, partition), kind) = offset;
        }
    }
    byte_buffer_deinit(&text);
    if (error == ERR_CORRUPT) {
        /* Kafka goes on without: recovery then begins at 0, high watermarks and starts come back from the leaders. */
        trace_warn("log", "The checkpoint %s is malformed and taken to be empty", path);
        return 0;
    }
    return error == ERR_NOT_FOUND ? 0 : error;
}

int manager_read_checkpoints(struct log_manager *manager, int32_t directory) {
    int error = 0;
    for (int kind = CHECKPOINT_RECOVERY_POINT; error == 0 && kind <= CHECKPOINT_HIGH_WATERMARK; kind++) {
        error = read_checkpoint(manager, directory, (enum checkpoint_kind)kind);
    }
    return error;
}

int manager_write_checkpoint(struct log_manager *manager, int32_t directory, enum checkpoint_kind kind) {
    struct byte_buffer lines = {0};
    struct byte_buffer text = {0};
    int32_t count = 0;
    for (struct managed_log *entry = manager->logs; entry != NULL; entry = entry->hh.next) {
        if (entry->log == NULL || entry->directory != directory) {
            continue;
        }
        int64_t offset = 0;
        switch (kind) {
        case CHECKPOINT_RECOVERY_POINT: offset = entry->log->recovery_point; break;
        case CHECKPOINT_START_OFFSET:
            offset = entry->log->start_offset;
            if (offset <= entry->log->segments[0]->base_offset) {
                continue; /* rule 32: the first segment's name says it */
            }
            break;
        case CHECKPOINT_HIGH_WATERMARK:
            offset = manager_high_watermark(manager, entry);
            entry->high_watermark = offset;
            break;
        }
        checkpoint_print(&lines, "%s %" PRId32 " %" PRId64 "\n", entry->topic, entry->partition, offset);
        count++;
    }
    checkpoint_print(&text, "0\n%" PRId32 "\n", count);
    byte_buffer_append(&text, lines.data, lines.size);
    char path[LOG_PATH_SIZE];
    const char *place = manager->directories[directory].path;
    path_join(path, place, checkpoint_names[kind]);
    int error = file_replace(manager->disk, place, path, text.data, text.size);
    byte_buffer_deinit(&lines);
    byte_buffer_deinit(&text);
    return error;
}

/* Makes a directory and those above it. */
static int make_directories(struct disk *disk, const char *path) {
    char part[LOG_PATH_SIZE];
    size_t size = strlen(path);
    for (size_t i = 1; i <= size; i++) {
        if (path[i] == '/' || path[i] == 0) {
            memcpy(part, path, i);
            part[i] = 0;
            int error = disk->ops->make_directory(disk, part);
            /* Above the last one another error is fine: the directory is there and not ours to make. */
            if (error != 0 && error != ERR_EXISTS && i == size) {
                return error;
            }
        }
    }
    return 0;
}

static int claim_directory(struct log_manager *manager, struct log_directory *directory, char **ret_message) {
    char path[LOG_PATH_SIZE];
    int error = make_directories(manager->disk, directory->path);
    if (error == 0) {
        path_join(path, directory->path, ".lock");
        error = disk_open(manager->disk, path, DISK_CREATE, &directory->lock);
    }
    if (error == 0) {
        error = manager->disk->ops->lock(directory->lock);
    }
    if (error == ERR_LOCKED) {
        *ret_message = xasprintf("Failed to acquire lock on file .lock in %s. Another broker is using this directory.",
                                 directory->path);
    }
    if (error == 0) {
        error = manager_read_identity(manager, directory, ret_message);
        error = error == ERR_NOT_FOUND ? 0 : error;
    }
    return error;
}

/* All directories, and the configuration, must tell of the same broker and cluster. */
static int settle_identity(struct log_manager *manager, char **ret_message) {
    manager->broker_id = manager->config.broker_id;
    for (int32_t i = 0; i < manager->directory_count; i++) {
        const struct log_directory *directory = &manager->directories[i];
        if (directory->is_offline || !directory->has_identity) {
            continue;
        }
        if (directory->broker_id >= 0 && manager->broker_id >= 0 && directory->broker_id != manager->broker_id) {
            *ret_message =
                xasprintf("Configured broker.id %d doesn't match stored broker.id %d in %s/meta.properties. If "
                          "you moved your data, make sure your configured broker.id matches.",
                          manager->broker_id, directory->broker_id, directory->path);
            return ERR_INVALID;
        }
        if (directory->cluster_id != NULL && manager->cluster_id != NULL &&
            strcmp(directory->cluster_id, manager->cluster_id) != 0) {
            *ret_message = xasprintf("The cluster.id %s in %s/meta.properties doesn't match %s in another directory.",
                                     directory->cluster_id, directory->path, manager->cluster_id);
            return ERR_INVALID;
        }
        manager->broker_id = MAX(manager->broker_id, directory->broker_id);
        if (manager->cluster_id == NULL && directory->cluster_id != NULL) {
            manager->cluster_id = xstrdup(directory->cluster_id);
        }
    }
    return 0;
}

static int32_t online_count(const struct log_manager *manager) {
    int32_t count = 0;
    for (int32_t i = 0; i < manager->directory_count; i++) {
        count += manager->directories[i].is_offline ? 0 : 1;
    }
    return count;
}

static int claim_directories(struct log_manager *manager, char **ret_message) {
    const char *unusable = NULL;
    int reason = 0;
    for (int32_t i = 0; i < manager->directory_count; i++) {
        struct log_directory *directory = &manager->directories[i];
        int error = claim_directory(manager, directory, ret_message);
        if (error == ERR_LOCKED || error == ERR_INVALID) {
            return error;
        }
        if (error != 0) {
            directory->is_offline = true;
            unusable = directory->path;
            reason = error;
            trace_error("log", "Cannot use log dir %s: %s", directory->path, error_text(error));
        }
    }
    if (online_count(manager) == 0) {
        *ret_message =
            xasprintf("None of the directories of log.dirs can be used; %s: %s", unusable, error_text(reason));
        return ERR_IO;
    }
    return settle_identity(manager, ret_message);
}

int log_manager_open(struct disk *disk, struct clock *clock, const struct log_manager_config *config,
                     struct log_manager **ret_manager, char **ret_message) {
    struct log_manager *manager = xcalloc(1, sizeof *manager);
    *ret_message = NULL;
    manager->disk = disk;
    manager->clock = clock;
    manager->config = *config;
    manager->workspace = record_workspace_create();
    manager->link = xcalloc(1, sizeof *manager->link);
    *manager->link = (struct manager_link){.manager = manager, .references = 1};
    manager->directories = xcalloc((size_t)config->directory_count + 1, sizeof *manager->directories);
    manager->directory_count = config->directory_count;
    for (int32_t i = 0; i < config->directory_count; i++) {
        /* Leave room for a partition's directory and a file in it. */
        CHECK(strlen(config->directories[i]) < LOG_PATH_SIZE - 2 * LOG_DIRECTORY_NAME_MAX);
        manager->directories[i].path = xstrdup(config->directories[i]);
        manager->directories[i].broker_id = -1;
    }
    manager->config.directories = NULL; /* the caller's array need not stay */
    random_seed(&manager->random, (uint64_t)clock_wall_ms(clock) * 1000003U + (uint64_t)(config->broker_id + 1));
    int error = claim_directories(manager, ret_message);
    if (error != 0) {
        log_manager_destroy(manager);
        return error;
    }
    *ret_manager = manager;
    return 0;
}

struct directory_names {
    char **names;
    int32_t count;
    int32_t capacity;
};

static int on_name(void *context, const char *name, bool is_directory) {
    struct directory_names *list = context;
    if (!is_directory) {
        return 0;
    }
    if (list->count == list->capacity) {
        list->capacity = MAX(list->capacity * 2, 64);
        list->names = xrealloc(list->names, (size_t)list->capacity * sizeof(char *));
    }
    list->names[list->count++] = xstrdup(name);
    return 0;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool ends_with(const char *name, const char *suffix) {
    size_t name_size = strlen(name);
    size_t suffix_size = strlen(suffix);
    return name_size > suffix_size && strcmp(name + name_size - suffix_size, suffix) == 0;
}

/* Splits "topic-partition". */
static bool parse_partition(const char *name, char ret_topic[LOG_DIRECTORY_NAME_MAX + 1], int32_t *ret_partition) {
    const char *dash = strrchr(name, '-');
    if (dash == NULL || dash == name || dash[1] == 0 || strlen(name) > LOG_DIRECTORY_NAME_MAX) {
        return false;
    }
    int64_t partition = 0;
    for (const char *at = dash + 1; *at != 0; at++) {
        if (*at < '0' || *at > '9' || partition > INT32_MAX) {
            return false;
        }
        partition = partition * 10 + (*at - '0');
    }
    memcpy(ret_topic, name, (size_t)(dash - name));
    ret_topic[dash - name] = 0;
    *ret_partition = (int32_t)partition;
    return partition <= INT32_MAX;
}

/* Loads what one sub-directory holds. ERR_INVALID with a message ends the start; other errors cost the log dir. */
static int load_name(struct log_manager *manager, int32_t directory, const char *name, char **ret_message) {
    const struct log_directory *place = &manager->directories[directory];
    char topic[LOG_DIRECTORY_NAME_MAX + 1];
    int32_t partition;
    if (strcmp(name, "remote-log-index-cache") == 0 || strcmp(name, "__cluster_metadata-0") == 0 ||
        ends_with(name, "-stray") || ends_with(name, "-future") || strcmp(name, "lost+found") == 0) {
        return 0;
    }
    if (ends_with(name, "-delete")) {
        char path[LOG_PATH_SIZE];
        path_join(path, place->path, name);
        manager_delete_later(manager, path, true, manager->config.defaults.file_delete_delay_ms);
        return 0;
    }
    if (!parse_partition(name, topic, &partition)) {
        *ret_message = xasprintf("Found directory %s/%s, which is not in the form of topic-partition. Log directories "
                                 "must only contain topic data.",
                                 place->path, name);
        return ERR_INVALID;
    }
    struct managed_log *entry = manager_add_entry(manager, topic, partition);
    if (entry->log != NULL) {
        *ret_message = xasprintf("Duplicate log directories for %s are found in both %s and %s.", name,
                                 manager->directories[entry->directory].path, place->path);
        return ERR_INVALID;
    }
    int error = manager_open_log(manager, entry, directory, place->had_clean_shutdown);
    if (error != 0) {
        trace_error("log", "Failed to load log %s/%s: %s", place->path, name, error_text(error));
    }
    /* ERR_INVALID is for the messages above; a log that cannot be loaded costs its directory. */
    return error == ERR_INVALID ? ERR_CORRUPT : error;
}

/* Rule 29: the mark of a clean stop goes before anything is served, durably, or a crash could find it again. */
static int take_clean_mark(struct log_manager *manager, struct log_directory *place) {
    char path[LOG_PATH_SIZE];
    path_join(path, place->path, ".kafka_cleanshutdown");
#ifdef MUTANT_M11 /* the clean mark stays */
    struct disk_file *mark;
    place->had_clean_shutdown = disk_open(manager->disk, path, DISK_READ, &mark) == 0;
    if (place->had_clean_shutdown) {
        disk_file_unref(mark);
    }
    return 0;
#endif
    int error = manager->disk->ops->unlink(manager->disk, path);
    place->had_clean_shutdown = error == 0;
    if (error == ERR_NOT_FOUND) {
        return 0;
    }
    return error != 0 ? error : manager->disk->ops->sync_directory(manager->disk, place->path);
}

static int load_directory(struct log_manager *manager, int32_t directory, char **ret_message) {
    struct log_directory *place = &manager->directories[directory];
    struct directory_names list = {0};
    int error = take_clean_mark(manager, place);
    if (error == 0) {
        error = manager_read_checkpoints(manager, directory);
    }
    if (error == 0) {
        error = manager->disk->ops->list(manager->disk, place->path, on_name, &list);
    }
    if (error == 0 && list.count > 0) {
        qsort(list.names, (size_t)list.count, sizeof(char *), compare_names);
    }
    for (int32_t i = 0; i < list.count; i++) {
        if (error == 0) {
            error = load_name(manager, directory, list.names[i], ret_message);
        }
        free(list.names[i]);
    }
    free(list.names);
    if (error == 0) {
        trace_info("log", "Loaded %d logs from %s%s", place->log_count, place->path,
                   place->had_clean_shutdown ? "" : " (not stopped cleanly: recovered)");
    }
    return error;
}

int log_manager_load(struct log_manager *manager, char **ret_message) {
    *ret_message = NULL;
    for (int32_t i = 0; i < manager->directory_count; i++) {
        if (manager->directories[i].is_offline) {
            continue;
        }
        int error = load_directory(manager, i, ret_message);
        if (error == ERR_INVALID && *ret_message != NULL) {
            return error;
        }
        if (error != 0) {
            manager_fail_directory(manager, i, error, "loading logs");
        }
    }
    if (online_count(manager) == 0) {
        *ret_message = xasprintf("None of the log directories could be loaded (log.dirs).");
        return ERR_IO;
    }
    return 0;
}
