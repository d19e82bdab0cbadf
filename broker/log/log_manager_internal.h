/* What the files of the log manager share. */
#ifndef OTTLA_LOG_LOG_MANAGER_INTERNAL_H
#define OTTLA_LOG_LOG_MANAGER_INTERNAL_H

#include <uthash.h>

#include "broker/base/random.h"
#include "broker/log/log_internal.h"
#include "broker/log/log_manager.h"

/* Largest name of a partition's directory: what file systems allow. */
#define LOG_DIRECTORY_NAME_MAX 255
/* Kafka's producer.id.expiration.check.interval.ms. */
#define PRODUCER_EXPIRATION_CHECK_MS 600000
/* First look at retention after the start, as Kafka's initial task delay. */
#define INITIAL_DELAY_MS 30000

enum checkpoint_kind {
    CHECKPOINT_RECOVERY_POINT,
    CHECKPOINT_START_OFFSET,
    CHECKPOINT_HIGH_WATERMARK,
    CHECKPOINT_CLEANER,
};
#define CHECKPOINT_KINDS 4

struct log_checkpoint {
    struct replaced_file *file;
    struct byte_buffer decided; /* what the file says, or will when writes under way are done; empty at first */
    bool was_absent;            /* at the start, and nothing was written since */
    bool is_being_written;      /* by a worker */
    bool is_wanted_again;       /* when that is done */
};

struct log_directory {
    char *path;
    struct disk_file *lock;
    bool is_offline;
    bool had_clean_shutdown;
    bool has_identity; /* a meta.properties was read */
    int32_t broker_id;
    char *cluster_id;
    int32_t log_count;
    struct log_checkpoint checkpoints[CHECKPOINT_KINDS];
};

/* What the checkpoints of one directory said of a log. */
struct told_offsets {
    int32_t directory; /* -1 none */
    int64_t recovery_point;
    int64_t start_offset;
    int64_t high_watermark;
    int64_t clean_offset; /* -1 unknown */
};

/* A copy of a partition's log on its way to replace it, in another directory. */
struct future_log {
    struct log *log; /* NULL: none */
    int32_t directory;
    int64_t serial;
    bool is_loading;
    bool was_found; /* at the start, and nobody went on with it yet */
};

/* One partition: its log, or only what the checkpoints say of it. */
struct managed_log {
    char *key; /* "topic-partition", also the directory's name */
    char *topic;
    int32_t partition;
    struct log *log;   /* NULL: only in a checkpoint */
    int32_t directory; /* that holds the log, or whose checkpoints tell of it; -1 neither */
    bool is_loading;
    int64_t serial; /* tells a log from another of the same name made later */
    int64_t recovery_point;
    int64_t start_offset;
    int64_t high_watermark;
    int64_t clean_offset; /* -1 unknown */
    bool is_uncleanable;  /* until the next start */
    struct future_log future;
    struct log *replaced; /* by what was the future log; its directory still has its name */
    int32_t replaced_directory;
    int32_t preferred_directory; /* where a log that is not there yet is to be made; -1 anywhere */
    struct told_offsets told;    /* by the directory read last */
    UT_hash_handle hh;
};

/* Outlives the manager for as long as background work may come back to it. */
struct manager_link {
    struct log_manager *manager; /* NULL once destroyed */
    int32_t references;
};

struct pending_deletion {
    struct pending_deletion *next;
    struct manager_link *link; /* once a worker has it */
    struct disk *disk;
    char *path;
    bool is_directory;
    int64_t due_ms;
};

struct write_job;

struct log_manager {
    struct disk *disk;
    struct clock *clock;
    struct log_manager_config config;
    struct log_directory *directories;
    int32_t directory_count;
    struct managed_log *logs;
    struct record_workspace *workspace;
    struct manager_link *link;
    struct random random;
    int64_t next_serial;
    int32_t broker_id;
    char *cluster_id;
    bool high_watermarks_enabled;
    bool is_loaded; /* every log is in the table, so that checkpoints may be written from it */
    bool is_started;
    struct write_job *writes; /* epoch files that wait for their turn, first in, first out; one per log at most */
    int32_t writes_running;
    int32_t preferred_count;            /* logs with a preferred directory */
    struct pending_deletion *deletions; /* by due time */
    struct timer deletion_timer;
    struct timer retention_timer;
    struct timer flush_timer;
    struct timer recovery_point_timer;
    struct timer start_offset_timer;
    struct timer high_watermark_timer;
    struct timer producer_timer;
    struct timer cleaner_timer;
    struct cleaner_job *cleaner_jobs; /* log.cleaner.threads of them at most */
    bool cleaner_is_stopping;
    struct log_cleaner_status cleaner_status;
    int64_t cleaner_looked_ms; /* -1 never */
    int32_t uncleanable_count;
};

struct managed_log *manager_find_entry(const struct log_manager *manager, const char *topic, int32_t partition);
struct managed_log *manager_add_entry(struct log_manager *manager, const char *topic, int32_t partition);
/* Whose log, or future log, this is; NULL when it is nobody's any more. */
struct managed_log *manager_entry_of(const struct log_manager *manager, const struct log *log);
int32_t manager_directory_of(const struct managed_log *entry, const struct log *log);
/* The log with this serial, the future one included; NULL when it is gone. */
struct log *manager_find_serial(const struct log_manager *manager, const char *topic, int32_t partition,
                                int64_t serial);
bool manager_any_directory_offline(const struct log_manager *manager);
bool manager_has_future(const struct log_manager *manager, const struct managed_log *entry);
/* Calls for every log in a usable directory, future logs included. */
typedef void usable_log_visitor(struct log_manager *manager, struct managed_log *entry, struct log *log);
void manager_each_usable(struct log_manager *manager, usable_log_visitor *visit);
/* Takes a log's directory away: renamed to ...-delete, durably; its files go later. The log is destroyed, whose it was
 * must not point to it any more. On an error its directory is given up. */
int manager_delete_directory(struct log_manager *manager, struct log *log, int32_t directory);
/* What a crash in the middle of a replacement leaves: the partition's log in one directory and a second one, `rival`,
 * in another. The one that goes on later becomes the partition's, the other goes. ERR_INVALID when they are of
 * different topics, which no crash leaves. */
int manager_settle_rivals(struct log_manager *manager, struct managed_log *entry, struct log *rival, int32_t directory);
void manager_forget_preferred(struct log_manager *manager, struct managed_log *entry);

/* Opening a log in three steps, so that the middle one can run on any thread. */
struct log_opening {
    struct managed_log *entry;
    int32_t directory;
    bool is_future;
    bool is_rival; /* another directory has a log of the partition, too */
    char *path;
    struct log_open_options options;
    char **deletions; /* files renamed to .deleted meanwhile */
    int32_t deletion_count;
    struct log *log;
    int error;
};
void manager_opening_init(struct log_manager *manager, struct managed_log *entry, int32_t directory, bool is_clean,
                          struct log_opening *ret_opening);
/* The same for one that does not become the partition's log: under the name it has, by what its directory tells. */
void manager_opening_init_aside(struct log_manager *manager, struct managed_log *entry, int32_t directory,
                                const char *name, bool is_clean, struct log_opening *ret_opening);
int manager_opening_run(struct log_opening *opening, struct record_workspace *workspace);
/* The log, if there is one, becomes the entry's. Frees the opening; returns its error. */
int manager_opening_settle(struct log_manager *manager, struct log_opening *opening);
void manager_fail_directory(struct log_manager *manager, int32_t directory, int error, const char *what);
/* A log's operation failed: that takes its whole directory. */
void manager_log_failed(struct log_manager *manager, const struct managed_log *entry, const struct log *log, int error,
                        const char *what);
/* The partition's high watermark as far as anyone knows it. */
int64_t manager_high_watermark(const struct log_manager *manager, const struct managed_log *entry);
/* Or has it follow the one that is under way. False when there is nothing to flush. */
bool manager_start_flush(struct log_manager *manager, const struct managed_log *entry, struct log *log, int64_t offset);
/* Files that wait for their deletion below `from` are now below `to`. */
void manager_move_deletions(struct log_manager *manager, const char *from, const char *to);
/* No duty begins after this. */
void manager_stop_timers(struct log_manager *manager);
void manager_start_cleaner(struct log_manager *manager);
void manager_stop_cleaner(struct log_manager *manager);
/* What waits to be written, is not: whoever stops in order has written it all, and recovery needs none of it. */
void manager_drop_writes(struct log_manager *manager);
void manager_drop_write_of(struct log_manager *manager, const struct log *log);
/* Frees a log that is in no table any more, or never was, and what waits to be written of it; NULL does nothing. */
void manager_destroy_log(struct log_manager *manager, struct log *log);
void manager_arm_deletions(struct log_manager *manager);
void manager_deletion_free(struct pending_deletion *item);
void manager_delete_later(struct log_manager *manager, const char *path, bool is_directory, int64_t delay_ms);
struct log_hooks manager_hooks(struct log_manager *manager);

/* Calls `work` for 0 to count - 1 of every directory, all directories at once, each on up to `threads` threads; in line
 * where the disk is not concurrent. Blocks: before serving, and at the end. `begin` makes what one thread needs for
 * itself, `end` takes it back; both may be NULL. */
struct directory_work {
    void *context;
    int32_t count;
    int32_t threads; /* 0: as many as num.recovery.threads.per.data.dir says */
    int32_t next;    /* atomic: threads take the numbers in turn */
    bool is_stopped; /* atomic: set by work that makes the rest pointless */
    void *(*begin)(void);
    void (*end)(void *own);
    void (*work)(struct directory_work *self, int32_t number, void *own);
};
void manager_work_in_parallel(const struct log_manager *manager, struct directory_work *works);

/* Background work holds a reference to the link, and finds the manager gone (NULL) or there when it is done. */
struct manager_link *manager_link_ref(struct log_manager *manager);
void manager_link_release(struct manager_link *link);

/* Now, on this thread. */
/* All but the cleaner's, which is written when it is done with a log. */
int manager_write_checkpoints(struct log_manager *manager, int32_t directory);
/* At a stop: its first half (file_util.h); the write is the caller's, also after an error. */
int manager_stage_checkpoint(struct log_manager *manager, int32_t directory, enum checkpoint_kind kind,
                             struct file_write **ret_write);
int manager_write_checkpoint(struct log_manager *manager, int32_t directory, enum checkpoint_kind kind);
/* In the background, with what is true now or later, unless the file says it already; a failure takes the directory
 * offline. */
void manager_checkpoint_later(struct log_manager *manager, int32_t directory, enum checkpoint_kind kind);
/* What checkpoints said of a log is not true of the one that takes its place. */
void manager_forget_checkpoints(struct managed_log *entry);
/* Whether the file may tell of a log that is not there: because it is what was read at the start, or a content of
 * before is still on its way. */
bool manager_checkpoint_may_be_stale(const struct log_manager *manager, int32_t directory, enum checkpoint_kind kind);
/* Before a log is made in the directory, or a future log: writes what may tell of an earlier one of that name. */
int manager_correct_checkpoints(struct log_manager *manager, struct managed_log *entry, int32_t directory);
int manager_read_checkpoints(struct log_manager *manager, int32_t directory);

/* meta.properties of one directory; ERR_NOT_FOUND, ERR_INVALID with a message, or the disk's error. */
int manager_read_identity(struct log_manager *manager, struct log_directory *directory, char **ret_message);

#endif
