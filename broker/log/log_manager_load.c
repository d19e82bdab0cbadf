/* The second half of a start: every log in every directory is loaded, and recovered where the last run ended badly.
 *
 * Names are looked at one after the other; the logs they stand for are then opened by several threads for each
 * directory, all directories at once, num.recovery.threads.per.data.dir of them where there is something to recover.
 * Opened logs know no manager yet: what they want deleted is collected and handed over afterwards. */
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/log/log_manager_internal.h"

#define AREA "kafka.log.LogManager"

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

/* The logs of one directory, and how far loading them is. */
struct directory_load {
    struct log_manager *manager;
    int32_t directory;
    struct log_opening *openings;
    int32_t count;
    int32_t capacity;
    int32_t error; /* atomic: the first */
    char *message; /* of an error that ends the start */
};

/* `name` of a future log; NULL for a partition's own. */
static void add_opening(struct directory_load *load, struct managed_log *entry, const char *name) {
    if (load->count == load->capacity) {
        load->capacity = MAX(load->capacity * 2, 64);
        load->openings = xrealloc(load->openings, (size_t)load->capacity * sizeof *load->openings);
    }
    struct log_opening *opening = &load->openings[load->count++];
    bool is_clean = load->manager->directories[load->directory].had_clean_shutdown;
    bool is_rival = name == NULL && (entry->log != NULL || entry->is_loading);
    if (name != NULL || is_rival) {
        manager_opening_init_aside(load->manager, entry, load->directory, name != NULL ? name : entry->key, is_clean,
                                   opening);
    } else {
        manager_opening_init(load->manager, entry, load->directory, is_clean, opening);
    }
    opening->is_future = name != NULL;
    opening->options.is_copy = opening->is_future;
    opening->is_rival = is_rival;
    entry->is_loading = entry->is_loading || name == NULL;
    entry->future.is_loading = entry->future.is_loading || name != NULL;
}

/* "<topic>-<partition>.<hex>-future": a log that was on its way to another directory. A second one is worth nothing. */
static int note_future(struct directory_load *load, const char *name) {
    struct log_manager *manager = load->manager;
    char topic[LOG_DIRECTORY_NAME_MAX + 1];
    int32_t partition;
    const char *dot = strrchr(name, '.');
    char *stem = xstrndup(name, dot == NULL ? 0 : (size_t)(dot - name));
    bool is_named = parse_partition(stem, topic, &partition);
    free(stem);
    if (!is_named) {
        return ERR_INVALID;
    }
    struct managed_log *entry = manager_add_entry(manager, topic, partition);
    if (entry->future.log != NULL || entry->future.is_loading) {
        char path[LOG_PATH_SIZE];
        path_join(path, manager->directories[load->directory].path, name);
        trace_warn(AREA, "%s is a second copy of %s on its way to another directory; it goes", path, entry->key);
        manager_delete_later(manager, path, true, 0);
        return 0;
    }
    trace_info(AREA, "Found the future log %s of %s", name, entry->key);
    add_opening(load, entry, name);
    return 0;
}

/* Notes what one sub-directory holds. ERR_INVALID with a message ends the start. */
static int note_name(struct directory_load *load, const char *name) {
    struct log_manager *manager = load->manager;
    const struct log_directory *place = &manager->directories[load->directory];
    char topic[LOG_DIRECTORY_NAME_MAX + 1];
    int32_t partition;
    if (strcmp(name, "remote-log-index-cache") == 0 || strcmp(name, "__cluster_metadata-0") == 0 ||
        ends_with(name, "-stray") || strcmp(name, "lost+found") == 0) {
        return 0;
    }
    if (ends_with(name, "-delete")) {
        char path[LOG_PATH_SIZE];
        path_join(path, place->path, name);
        manager_delete_later(manager, path, true, manager->config.defaults.file_delete_delay_ms);
        return 0;
    }
    bool is_future = ends_with(name, "-future");
    if (is_future && note_future(load, name) == 0) {
        return 0;
    }
    if (is_future || !parse_partition(name, topic, &partition)) {
        load->message = xasprintf("Found directory %s/%s, which is not in the form of topic-partition. Log directories "
                                  "must only contain topic data.",
                                  place->path, name);
        return ERR_INVALID;
    }
    struct managed_log *entry = manager_add_entry(manager, topic, partition);
    add_opening(load, entry, NULL);
    return 0;
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

static int note_names(struct directory_load *load) {
    struct log_manager *manager = load->manager;
    struct log_directory *place = &manager->directories[load->directory];
    struct directory_names list = {0};
    int error = take_clean_mark(manager, place);
    if (error == 0) {
        error = manager_read_checkpoints(manager, load->directory);
    }
    if (error == 0) {
        error = manager->disk->ops->list(manager->disk, place->path, on_name, &list);
    }
    if (error == 0 && list.count > 0) {
        qsort(list.names, (size_t)list.count, sizeof(char *), compare_names);
    }
    for (int32_t i = 0; i < list.count; i++) {
        if (error == 0) {
            error = note_name(load, list.names[i]);
        }
        free(list.names[i]);
    }
    free(list.names);
    return error;
}

static void *begin_opening(void) {
    return record_workspace_create();
}

static void end_opening(void *own) {
    record_workspace_destroy(own);
}

/* On any thread. After one that cannot be opened the others need not be. */
static void open_one(struct directory_work *self, int32_t number, void *own) {
    struct directory_load *load = self->context;
    int error = manager_opening_run(&load->openings[number], own);
    if (error != 0) {
        trace_error(AREA, "Failed to load log %s: %s", load->openings[number].path, error_text(error));
        __atomic_store_n(&load->error, error, __ATOMIC_RELAXED);
        __atomic_store_n(&self->is_stopped, true, __ATOMIC_RELAXED);
    }
}

/* Per directory, after a clean stop: opening waits for no disk, as a rule, and num.recovery.threads.per.data.dir is
 * about recovery, which reads all that was not flushed. */
#define CLEAN_LOAD_THREADS 4

static void open_everything(const struct log_manager *manager, struct directory_load *loads) {
    struct directory_work *works = xcalloc((size_t)manager->directory_count, sizeof *works);
    for (int32_t i = 0; i < manager->directory_count; i++) {
        works[i] =
            (struct directory_work){.context = &loads[i],
                                    .count = loads[i].error == 0 ? loads[i].count : 0,
                                    .threads = manager->directories[i].had_clean_shutdown ? CLEAN_LOAD_THREADS : 0,
                                    .begin = begin_opening,
                                    .end = end_opening,
                                    .work = open_one};
    }
    manager_work_in_parallel(manager, works);
    free(works);
}

/* Takes over what was opened. */
static int settle_directory(struct directory_load *load) {
    struct log_manager *manager = load->manager;
    const struct log_directory *place = &manager->directories[load->directory];
    for (int32_t i = 0; i < load->count; i++) {
        struct managed_log *entry = load->openings[i].entry;
        bool *is_loading = load->openings[i].is_future ? &entry->future.is_loading : &entry->is_loading;
        *is_loading = false;
        bool is_rival = load->openings[i].is_rival;
        if (is_rival && (load->error != 0 || place->is_offline)) {
            log_destroy(load->openings[i].log); /* lost with its directory; nobody's log goes for it */
            load->openings[i].log = NULL;
        }
        int error = manager_opening_settle(manager, &load->openings[i]);
        if (is_rival && error == ERR_INVALID && load->message == NULL) {
            load->message = xasprintf("Duplicate log directories for %s are found in both %s and %s.", entry->key,
                                      manager->directories[entry->directory].path, place->path);
        }
    }
    free(load->openings);
    if (load->error == 0 && !place->is_offline) {
        trace_info(AREA, "Loaded %d logs from %s%s", place->log_count, place->path,
                   place->had_clean_shutdown || place->log_count == 0 ? "" : " (not stopped cleanly: recovered)");
    }
    /* ERR_INVALID is for what ends the start; a log that cannot be loaded costs its directory. */
    return load->error == ERR_INVALID ? ERR_CORRUPT : load->error;
}

int log_manager_load(struct log_manager *manager, char **ret_message) {
    *ret_message = NULL;
    struct directory_load *loads = xcalloc((size_t)manager->directory_count, sizeof *loads);
    int32_t online = 0;
    for (int32_t i = 0; i < manager->directory_count && *ret_message == NULL; i++) {
        loads[i] = (struct directory_load){.manager = manager, .directory = i};
        int error = manager->directories[i].is_offline ? 0 : note_names(&loads[i]);
        *ret_message = loads[i].message;
        loads[i].error = error; /* then none of its logs is opened */
    }
    if (*ret_message == NULL) {
        open_everything(manager, loads);
    }
    for (int32_t i = 0; i < manager->directory_count; i++) {
        int error = settle_directory(&loads[i]);
        if (*ret_message == NULL) {
            *ret_message = loads[i].message;
        }
        if (error != 0 && *ret_message == NULL) {
            manager_fail_directory(manager, i, error, "loading logs");
        }
        online += manager->directories[i].is_offline ? 0 : 1;
    }
    free(loads);
    if (*ret_message != NULL) {
        return ERR_INVALID;
    }
    manager->is_loaded = true;
    if (online == 0) {
        *ret_message = xasprintf("None of the log directories could be loaded (log.dirs).");
        return ERR_IO;
    }
    return 0;
}
