/* The first half of a start: claiming the directories, and whose they are. Loading is in log_manager_load.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/log/log_manager_internal.h"

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
            trace_error("kafka.log.LogManager", "Cannot use log dir %s: %s", directory->path, error_text(error));
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
        for (int kind = 0; kind < CHECKPOINT_KINDS; kind++) {
            manager->directories[i].checkpoints[kind].file = replaced_file_create();
        }
    }
    manager->config.directories = NULL; /* the caller's array need not stay */
    manager->cleaner_looked_ms = -1;
    random_seed(&manager->random, (uint64_t)clock_wall_ms(clock) * 1000003U + (uint64_t)(config->broker_id + 1));
    int error = claim_directories(manager, ret_message);
    if (error != 0) {
        log_manager_destroy(manager);
        return error;
    }
    *ret_manager = manager;
    return 0;
}
