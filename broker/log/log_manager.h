/* All logs of a broker: the directories, what is in them, and the checkpoints.
 *
 * Owns every struct log. Several log.dirs; a failed one takes its logs offline and nothing else. Background duties
 * (retention, flush, checkpoint, delayed deletion) run from timers on the clock; blocking work goes to clock_spawn. */
#ifndef OTTLA_LOG_LOG_MANAGER_H
#define OTTLA_LOG_LOG_MANAGER_H

#include "broker/base/clock.h"
#include "broker/log/log.h"

struct log_manager;

/* log.cleaner.*; a change counts from the next cleaning on. */
struct log_cleaner_config {
    bool is_enabled;
    int32_t threads; /* logs cleaned at once */
    int64_t dedupe_buffer_bytes;
    double load_factor;
    int32_t io_buffer_bytes;
    double bytes_per_second_max; /* read and written */
    int64_t backoff_ms;
};

/* Batches of a log, for its future log. */
struct log_chunk {
    struct slice records; /* writable, and the caller's for the length of the call; empty when is_stale */
    int64_t end_offset;   /* of the log when they were asked for */
    bool is_stale;        /* the log was truncated meanwhile */
    int error;            /* the disk's */
};

struct log_manager_config {
    const char *const *directories;
    int32_t directory_count;
    int32_t broker_id; /* -1: take it from meta.properties */
    struct log_config defaults;
    int64_t retention_check_ms;
    int64_t flush_check_ms;
    int64_t flush_offset_checkpoint_ms;
    int64_t start_offset_checkpoint_ms;
    int64_t high_watermark_checkpoint_ms;
    int32_t recovery_threads_per_directory;
    struct log_cleaner_config cleaner;
    /* Topic settings by name; called while loading and when a log is made. NULL: the defaults for all. */
    void (*topic_config)(void *context, const char *topic, struct log_config *ret_config);
    /* The current high watermark of a partition that is not simply in the checkpoint; for the checkpoint writer. */
    bool (*high_watermark)(void *context, const char *topic, int32_t partition, int64_t *ret_offset);
    /* A directory failed: its partitions are offline. Called on the loop, once per directory. */
    void (*on_directory_failed)(void *context, const char *directory);
    /* A worker is done with something of a future log: what waits for it may go on. */
    void (*on_future_settled)(void *context, const char *topic, int32_t partition);
    /* What log_manager_read_for_future() asked for; never for a future log that is gone meanwhile. */
    void (*on_future_read)(void *context, const char *topic, int32_t partition, const struct log_chunk *chunk);
    void *context;
};

/* Locks the directories and reads meta.properties of each. Directories that cannot be used are offline; ERR_IO when
 * none is left, ERR_LOCKED when another process holds one, ERR_INVALID for contradictory ids; *ret_message (heap) then
 * says why in one line. */
int log_manager_open(struct disk *disk, struct clock *clock, const struct log_manager_config *config,
                     struct log_manager **ret_manager, char **ret_message);
/* Broker id found in meta.properties, -1 when new; cluster id or NULL. */
int32_t log_manager_stored_broker_id(const struct log_manager *manager);
const char *log_manager_stored_cluster_id(const struct log_manager *manager);
/* Writes meta.properties where missing or different. */
int log_manager_write_identity(struct log_manager *manager, int32_t broker_id, const char *cluster_id);
/* Loads and recovers every log (blocking; before serving). Removes .kafka_cleanshutdown. */
int log_manager_load(struct log_manager *manager, char **ret_message);
/* Starts the timers. High watermark checkpointing waits for log_manager_enable_high_watermarks(). */
void log_manager_start(struct log_manager *manager);
/* After the first LeaderAndIsr (zookeeper-mode.md rule 21). */
void log_manager_enable_high_watermarks(struct log_manager *manager);

struct log *log_manager_find(struct log_manager *manager, const char *topic, int32_t partition);
/* Finds or makes the log. With is_new=false and a directory offline: ERR_NOT_FOUND (rule 22). */
int log_manager_get_or_create(struct log_manager *manager, const char *topic, int32_t partition, bool is_new,
                              struct uuid topic_id, struct log **ret_log);
/* True when the partition's log lies, or may lie, in a failed directory. */
bool log_manager_is_offline(const struct log_manager *manager, const char *topic, int32_t partition);
/* High watermark from replication-offset-checkpoint as read at start, 0 when not there. */
int64_t log_manager_checkpointed_high_watermark(const struct log_manager *manager, const char *topic,
                                                int32_t partition);
/* Renames the directory to ...-delete at once, drops the log, removes the files after file.delete.delay.ms. */
int log_manager_delete(struct log_manager *manager, const char *topic, int32_t partition);
/* The same to ...-stray, which no broker opens or removes: what becomes of it is for an operator to say. */
int log_manager_set_aside(struct log_manager *manager, const char *topic, int32_t partition);
/* An I/O error happened in this log's directory: fence it and all its neighbours. */
void log_manager_fail_directory_of(struct log_manager *manager, struct log *log);

/* ---- Moving a log to another directory (AlterReplicaLogDirs) ----
 *
 * A future log is a second log of a partition, in another directory, named ...-future until it takes the first one's
 * place. While there is one, the partition is not cleaned. */
enum log_directory_state { LOG_DIRECTORY_UNKNOWN, LOG_DIRECTORY_ONLINE, LOG_DIRECTORY_OFFLINE };
/* `path` as the settings name it. */
enum log_directory_state log_manager_directory_state(const struct log_manager *manager, struct str path);
/* Whether the log lies in this directory. */
bool log_manager_is_in(const struct log_manager *manager, const struct log *log, struct str path);
/* Should this partition's log come to be made, it is made there. Not kept beyond some 10,000 partitions, nor over a
 * restart. */
void log_manager_prefer_directory(struct log_manager *manager, const char *topic, int32_t partition, struct str path);
/* The future log of a partition; NULL when there is none in a usable directory. */
struct log *log_manager_find_future(const struct log_manager *manager, const char *topic, int32_t partition);
/* Makes it, empty. ERR_NOT_FOUND when the partition has no log here or any directory is offline: one of them may hold
 * a future log already. */
int log_manager_create_future(struct log_manager *manager, const char *topic, int32_t partition, struct str path,
                              struct log **ret_log);
int log_manager_delete_future(struct log_manager *manager, const char *topic, int32_t partition);
/* Before a copy is gone on with. One that was found at the start may be of before a cleaning, made while its directory
 * was not there: it has records whose tombstones are gone from the log. Where that may be it is emptied. On an error
 * the future log is fenced. */
int log_manager_revise_future(struct log_manager *manager, const char *topic, int32_t partition);
/* Reads batches of the log from `offset` on, at most `bytes` unless the first alone is larger, in the background;
 * config.on_future_read tells. 0, or the log's error. */
int log_manager_read_for_future(struct log_manager *manager, const char *topic, int32_t partition, int64_t offset,
                                int32_t bytes);
/* In the background; config.on_future_settled tells. False when there is nothing to do. */
bool log_manager_flush_future(struct log_manager *manager, const char *topic, int32_t partition);
/* Whether no worker has anything to do in the future log's directory, and its files say all that is known of it. */
bool log_manager_future_is_settled(const struct log_manager *manager, const char *topic, int32_t partition);
/* The future log, which is settled and has everything, becomes the log; the one before is kept until
 * log_manager_delete_replaced(), which must follow in the same turn, once nobody reads it any more. On an error the
 * future log's directory has failed and nothing was replaced. Blocks for two small writes and a directory. */
int log_manager_promote_future(struct log_manager *manager, const char *topic, int32_t partition, struct log **ret_log);
void log_manager_delete_replaced(struct log_manager *manager, const char *topic, int32_t partition);

typedef void log_visitor(void *context, const char *topic, int32_t partition, struct log *log);
void log_manager_for_each(struct log_manager *manager, log_visitor *visit, void *context);
void log_manager_for_each_future(struct log_manager *manager, log_visitor *visit, void *context);
/* Re-reads topic_config for every log of this topic (all topics when NULL). */
void log_manager_reconfigure(struct log_manager *manager, const char *topic);

void log_manager_configure_cleaner(struct log_manager *manager, const struct log_cleaner_config *config);
/* Logs that the cleaner gave up since the start. */
int32_t log_manager_uncleanable_count(const struct log_manager *manager);

/* How the cleaner does. */
struct log_cleaner_status {
    int32_t stopped_threads; /* log.cleaner.threads while it does not look for work though it should; else 0 */
    int32_t jobs;            /* logs being cleaned */
    int64_t since_look_ms;   /* that it last looked for work; -1 never */
    double dirty_share_max;  /* of any log, when it last looked: 0 to 1 */
    int64_t cleaned_count;   /* logs, since the start */
    int64_t cleaned_bytes_read;
    int64_t clean_ms_max;      /* the longest cleaning */
    double recopied_share_max; /* the worst ratio of bytes written to bytes cleaned */
};
void log_manager_cleaner_status(struct log_manager *manager, struct log_cleaner_status *ret_status);
/* Logs of one directory that the cleaner gave up, and the bytes in them that it will not clean. Walks all logs. */
void log_manager_uncleanable(struct log_manager *manager, const char *directory, int32_t *ret_count,
                             int64_t *ret_bytes);

struct log_directory_info {
    const char *path;
    bool is_offline;
    int64_t total_bytes;
    int64_t usable_bytes;
};
int32_t log_manager_directories(struct log_manager *manager, struct log_directory_info *ret_list, int32_t capacity);

/* Whether this directory has failed. */
bool log_manager_is_failed(const struct log_manager *manager, const char *directory);

/* True when no worker has anything of ours to do: what the manager refers to may be freed without a leak. */
bool log_manager_is_idle(const struct log_manager *manager);
/* Writes every checkpoint now. */
int log_manager_checkpoint(struct log_manager *manager);
/* Clean stop: flush all, producer snapshots, checkpoints, .kafka_cleanshutdown. */
int log_manager_shutdown(struct log_manager *manager);
/* Frees memory and closes files without any of that (after shutdown, or to simulate a crash). */
void log_manager_destroy(struct log_manager *manager);

#endif
