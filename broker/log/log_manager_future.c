/* A partition's second log, on its way to another directory: making it, and putting it in the first one's place.
 *
 * The replacement is two renames in two directories: first the future log takes the partition's name, durably, then the
 * log it replaces is renamed for deletion. A crash between them leaves both under the same name, whole each: the start
 * takes the one that goes on later and deletes the other (Kafka refuses to start then). Any other crash leaves one. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/log/log_manager_internal.h"

#define AREA "kafka.log.LogManager"

/* Partitions whose directory is remembered before they are here: what one reassignment may bring. */
#define PREFERRED_DIRECTORIES_MAX 10000

static bool is_path_of(const struct log_directory *directory, struct str path) {
    size_t size = strlen(directory->path);
    while (size > 1 && directory->path[size - 1] == '/') {
        size--;
    }
    return path.size >= 0 && (size_t)path.size == size && memcmp(directory->path, path.data, size) == 0;
}

static int32_t find_directory(const struct log_manager *manager, struct str path) {
    for (int32_t i = 0; i < manager->directory_count; i++) {
        if (is_path_of(&manager->directories[i], path)) {
            return i;
        }
    }
    return -1;
}

enum log_directory_state log_manager_directory_state(const struct log_manager *manager, struct str path) {
    int32_t directory = find_directory(manager, path);
    return directory < 0                                ? LOG_DIRECTORY_UNKNOWN
           : manager->directories[directory].is_offline ? LOG_DIRECTORY_OFFLINE
                                                        : LOG_DIRECTORY_ONLINE;
}

bool log_manager_is_in(const struct log_manager *manager, const struct log *log, struct str path) {
    const struct managed_log *entry = manager_entry_of(manager, log);
    return entry != NULL && is_path_of(&manager->directories[manager_directory_of(entry, log)], path);
}

void manager_forget_preferred(struct log_manager *manager, struct managed_log *entry) {
    manager->preferred_count -= entry->preferred_directory >= 0 ? 1 : 0;
    entry->preferred_directory = -1;
}

void log_manager_prefer_directory(struct log_manager *manager, const char *topic, int32_t partition, struct str path) {
    int32_t directory = find_directory(manager, path);
    const struct managed_log *known = manager_find_entry(manager, topic, partition);
    bool is_remembered = known != NULL && known->preferred_directory >= 0;
    if (directory < 0 || (!is_remembered && manager->preferred_count >= PREFERRED_DIRECTORIES_MAX)) {
        return;
    }
    struct managed_log *entry = manager_add_entry(manager, topic, partition);
    manager_forget_preferred(manager, entry);
    entry->preferred_directory = directory;
    manager->preferred_count++;
}

bool manager_has_future(const struct log_manager *manager, const struct managed_log *entry) {
    return entry->future.log != NULL && !manager->directories[entry->future.directory].is_offline;
}

struct log *log_manager_find_future(const struct log_manager *manager, const char *topic, int32_t partition) {
    const struct managed_log *entry = manager_find_entry(manager, topic, partition);
    return entry != NULL && manager_has_future(manager, entry) ? entry->future.log : NULL;
}

void log_manager_for_each_future(struct log_manager *manager, log_visitor *visit, void *context) {
    for (struct managed_log *entry = manager->logs; entry != NULL; entry = entry->hh.next) {
        if (manager_has_future(manager, entry)) {
            visit(context, entry->topic, entry->partition, entry->future.log);
        }
    }
}

/* "<topic>-<partition>.<32 hex digits>-future"; whoever asked has seen to it that it fits. */
static char *future_name(struct log_manager *manager, const struct managed_log *entry) {
    char *name = xasprintf("%s.%016" PRIx64 "%016" PRIx64 "-future", entry->key, random_u64(&manager->random),
                           random_u64(&manager->random));
    CHECK(strlen(name) <= LOG_DIRECTORY_NAME_MAX);
    return name;
}

static int open_future(struct log_manager *manager, struct managed_log *entry, int32_t directory) {
    int error = manager_correct_checkpoints(manager, entry, directory);
    if (error != 0) {
        return error;
    }
    struct log_opening opening;
    char *name = future_name(manager, entry);
    manager_opening_init_aside(manager, entry, directory, name, false, &opening);
    opening.is_future = true;
    free(name);
    opening.error = manager->disk->ops->make_directory(manager->disk, opening.path);
    if (opening.error == 0) {
        manager_opening_run(&opening, manager->workspace);
    }
    error = manager_opening_settle(manager, &opening);
    if (error == 0) {
        error = log_set_topic_id(entry->future.log, log_topic_id(entry->log));
    }
    return error;
}

int log_manager_create_future(struct log_manager *manager, const char *topic, int32_t partition, struct str path,
                              struct log **ret_log) {
    struct managed_log *entry = manager_find_entry(manager, topic, partition);
    int32_t directory = find_directory(manager, path);
    if (entry == NULL || entry->log == NULL || directory < 0 || manager_any_directory_offline(manager)) {
        return ERR_NOT_FOUND;
    }
    CHECK(entry->future.log == NULL && entry->directory != directory);
    int error = open_future(manager, entry, directory);
    manager_forget_preferred(manager, entry);
    if (error != 0) {
        manager_fail_directory(manager, directory, error, "creating a future log");
        return error;
    }
    trace_info(AREA, "Created future log for partition %s in %s", entry->key, log_directory(entry->future.log));
    *ret_log = entry->future.log;
    return 0;
}

int log_manager_delete_future(struct log_manager *manager, const char *topic, int32_t partition) {
    struct managed_log *entry = manager_find_entry(manager, topic, partition);
    if (entry == NULL || !manager_has_future(manager, entry)) {
        return 0;
    }
    struct future_log future = entry->future;
    entry->future = (struct future_log){0};
    int error = manager_delete_directory(manager, future.log, future.directory);
    if (error != 0) {
        entry->future = future; /* offline, until the next start finds it */
    }
    return error;
}

int log_manager_revise_future(struct log_manager *manager, const char *topic, int32_t partition) {
    struct managed_log *entry = manager_find_entry(manager, topic, partition);
    if (entry == NULL || entry->log == NULL || !manager_has_future(manager, entry) || !entry->future.was_found) {
        return 0;
    }
    entry->future.was_found = false;
    if (!entry->log->config.compact && entry->log->clean_offset < 0) {
        return 0;
    }
    trace_info(AREA, "The copy %s of a log that is cleaned begins anew", log_directory(entry->future.log));
    return log_truncate_fully_and_start_at(entry->future.log, entry->log->start_offset);
}

/* A piece of a log on its way through a worker. */
struct read_job {
    struct manager_link *link;
    char *topic;
    int32_t partition;
    int64_t serial; /* of the future log */
    int64_t truncations;
    struct log_read_info read;
    uint8_t *bytes;
    struct log_chunk chunk;
};

static void read_job_run(void *context) {
    struct read_job *job = context;
    struct records *records = &job->read.records;
    int64_t got =
        records->size > 0 ? disk_read(records->file, job->bytes, (size_t)records->size, records->position) : 0;
    job->chunk.error = got < 0 ? (int)got : 0;
    job->chunk.records = (struct slice){job->bytes, (int32_t)MAX(got, 0)}; /* fewer: cut off meanwhile, so stale */
}

static void read_job_done(void *context) {
    struct read_job *job = context;
    struct log_manager *manager = job->link->manager;
    const struct managed_log *entry = manager != NULL ? manager_find_entry(manager, job->topic, job->partition) : NULL;
    if (entry != NULL && entry->log != NULL && manager_has_future(manager, entry) &&
        entry->future.serial == job->serial) {
        job->chunk.is_stale = entry->log->truncations != job->truncations;
        if (job->chunk.is_stale) {
            job->chunk.records.size = 0;
        }
        manager->config.on_future_read(manager->config.context, job->topic, job->partition, &job->chunk);
    }
    disk_file_unref(job->read.records.file);
    manager_link_release(job->link);
    free(job->bytes);
    free(job->topic);
    free(job);
}

int log_manager_read_for_future(struct log_manager *manager, const char *topic, int32_t partition, int64_t offset,
                                int32_t bytes) {
    struct managed_log *entry = manager_find_entry(manager, topic, partition);
    CHECK(entry != NULL && entry->log != NULL && entry->future.log != NULL && manager->config.on_future_read != NULL);
    struct log_read_info read;
    int error = log_read(entry->log, offset, bytes, entry->log->end_offset, true, &read);
    if (error != 0) {
        return error;
    }
    struct read_job *job = xcalloc(1, sizeof *job);
    *job = (struct read_job){.link = manager_link_ref(manager),
                             .topic = xstrdup(topic),
                             .partition = partition,
                             .serial = entry->future.serial,
                             .truncations = entry->log->truncations,
                             .read = read,
                             .bytes = xmalloc((size_t)MAX(read.records.size, 1)),
                             .chunk = {.end_offset = entry->log->end_offset}};
    clock_spawn(manager->clock, read_job_run, read_job_done, job);
    return 0;
}

bool log_manager_flush_future(struct log_manager *manager, const char *topic, int32_t partition) {
    const struct managed_log *entry = manager_find_entry(manager, topic, partition);
    return entry != NULL && manager_has_future(manager, entry) &&
           manager_start_flush(manager, entry, entry->future.log, entry->future.log->end_offset);
}

bool log_manager_future_is_settled(const struct log_manager *manager, const char *topic, int32_t partition) {
    const struct log *log = log_manager_find_future(manager, topic, partition);
    return log != NULL && log->flushes_in_flight == 0 && !replaced_file_is_behind(log->epochs.file);
}

/* All that the future log must have on disk before it may bear the name. */
static int prepare(struct log_manager *manager, struct managed_log *entry) {
    struct log *log = entry->future.log;
    /* A producer whose records were all deleted or cleaned away is known to the log that saw them, and may still repeat
     * its last batch. */
    log_exchange_producers(log, entry->log);
    log->producers.snapshot_offset = 0;
    int error = log_take_snapshot(log, true);
    if (error == 0) {
        /* It may have come after the copy was begun, or a power cut took it from that. */
        error = log_set_topic_id(log, log_topic_id(entry->log));
    }
    if (error == 0) {
        /* Where a cleaner took the last batches of an epoch, the copy would know of it no more, and a leader that has
         * forgotten an epoch sends its followers back too far. */
        error = epoch_cache_adopt(&log->epochs, &entry->log->epochs);
    }
    if (error == 0 && log->start_offset > log->segments[0]->base_offset) {
        error = manager_write_checkpoint(manager, entry->future.directory, CHECKPOINT_START_OFFSET);
    }
    return error;
}

int log_manager_promote_future(struct log_manager *manager, const char *topic, int32_t partition,
                               struct log **ret_log) {
    struct managed_log *entry = manager_find_entry(manager, topic, partition);
    CHECK(entry != NULL && entry->log != NULL && entry->replaced == NULL);
    CHECK(log_manager_future_is_settled(manager, topic, partition));
    CHECK(entry->future.log->end_offset == entry->log->end_offset);
    struct future_log future = entry->future;
    const struct log_directory *place = &manager->directories[future.directory];
    char path[LOG_PATH_SIZE];
    path_join(path, place->path, entry->key);
    int error = prepare(manager, entry);
    if (error == 0) {
        error = manager->disk->ops->rename(manager->disk, log_directory(future.log), path);
    }
    if (error == 0) {
        error = manager->disk->ops->sync_directory(manager->disk, place->path);
    }
    if (error != 0) {
        log_exchange_producers(future.log, entry->log);
        manager_fail_directory(manager, future.directory, error, "replacing a log");
        return error;
    }
    manager_move_deletions(manager, log_directory(future.log), path);
    free(future.log->place.directory);
    future.log->place.directory = xstrdup(path);
    future.log->clean_offset = entry->log->clean_offset;
    entry->replaced = entry->log;
    entry->replaced_directory = entry->directory;
    entry->log = future.log;
    entry->directory = future.directory;
    entry->serial = future.serial;
    entry->is_uncleanable = false;
    entry->future = (struct future_log){0};
    for (int kind = 0; kind < CHECKPOINT_KINDS; kind++) {
        manager_checkpoint_later(manager, entry->directory, (enum checkpoint_kind)kind);
    }
    trace_info(AREA, "The current replica is successfully replaced with the future replica for %s", entry->key);
    *ret_log = entry->log;
    return 0;
}

void log_manager_delete_replaced(struct log_manager *manager, const char *topic, int32_t partition) {
    struct managed_log *entry = manager_find_entry(manager, topic, partition);
    CHECK(entry != NULL && entry->replaced != NULL);
    struct log *log = entry->replaced;
    entry->replaced = NULL;
    if (manager_delete_directory(manager, log, entry->replaced_directory) != 0) {
        manager_destroy_log(
            manager, log); /* its directory is offline; should it come back, the next start sees to what is in it */
    }
}

/* ---- Both there at a start ---- */

static bool goes_on_later(const struct log *log, const struct log *other) {
    int32_t epoch = log_latest_epoch(log);
    int32_t other_epoch = log_latest_epoch(other);
    return epoch != other_epoch ? epoch > other_epoch : log->end_offset > other->end_offset;
}

/* The records are those of one history, so whoever knows of the later epoch, or has more of it, has all that the other
 * may have acknowledged. Where one log was deleted from its start, that stays deleted. */
int manager_settle_rivals(struct log_manager *manager, struct managed_log *entry, struct log *rival,
                          int32_t directory) {
    struct log *own = entry->log;
    if (own != NULL && !uuid_is_zero(own->topic_id) && !uuid_is_zero(rival->topic_id) &&
        !uuid_equal(own->topic_id, rival->topic_id)) {
        manager_destroy_log(manager, rival);
        return ERR_INVALID;
    }
    bool own_is_lost = own == NULL || manager->directories[entry->directory].is_offline;
    bool rival_wins = own_is_lost || goes_on_later(rival, own);
    if (rival_wins) {
        struct log *loser = own;
        int32_t loser_directory = entry->directory;
        entry->log = rival;
        entry->directory = directory;
        entry->serial = manager->next_serial++;
        entry->high_watermark = entry->told.directory == directory ? entry->told.high_watermark : 0;
        own = rival;
        rival = loser;
        directory = loser_directory;
    }
    if (own_is_lost) {
        manager_destroy_log(manager, rival);
        return 0;
    }
    trace_warn(AREA,
               "%s is in two directories, as if a move had been interrupted: %s [%lld, %lld) is kept, %s "
               "[%lld, %lld) goes",
               entry->key, log_directory(own), (long long)own->start_offset, (long long)own->end_offset,
               log_directory(rival), (long long)rival->start_offset, (long long)rival->end_offset);
    int error = log_increase_start_offset(own, MIN(rival->start_offset, own->end_offset));
    if (error != 0) {
        /* Lost with its directory: the other one stays, too, until the next start. */
        manager_fail_directory(manager, entry->directory, error, "raising a log start");
        manager->directories[directory].log_count--;
        manager_destroy_log(manager, rival);
        return 0;
    }
    if (manager_delete_directory(manager, rival, directory) != 0) {
        manager_destroy_log(manager, rival);
    }
    return 0;
}
