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

struct log_directory {
    char *path;
    struct disk_file *lock;
    bool is_offline;
    bool had_clean_shutdown;
    bool has_identity; /* a meta.properties was read */
    int32_t broker_id;
    char *cluster_id;
    int32_t log_count;
};

/* One partition: its log, or only what the checkpoints say of it. */
struct managed_log {
    char *key; /* "topic-partition", also the directory's name */
    char *topic;
    int32_t partition;
    struct log *log; /* NULL: only in a checkpoint */
    int32_t directory;
    int64_t serial; /* tells a log from another of the same name made later */
    int64_t recovery_point;
    int64_t start_offset;
    int64_t high_watermark;
    UT_hash_handle hh;
};

/* Outlives the manager for as long as background work may come back to it. */
struct manager_link {
    struct log_manager *manager; /* NULL once destroyed */
    int32_t references;
};

struct pending_deletion {
    struct pending_deletion *next;
    struct disk *disk;
    char *path;
    bool is_directory;
    int64_t due_ms;
};

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
    bool is_started;
    struct pending_deletion *deletions; /* by due time */
    struct timer deletion_timer;
    struct timer retention_timer;
    struct timer flush_timer;
    struct timer recovery_point_timer;
    struct timer start_offset_timer;
    struct timer high_watermark_timer;
    struct timer producer_timer;
};

struct managed_log *manager_find_entry(const struct log_manager *manager, const char *topic, int32_t partition);
struct managed_log *manager_add_entry(struct log_manager *manager, const char *topic, int32_t partition);
int manager_open_log(struct log_manager *manager, struct managed_log *entry, int32_t directory, bool is_clean);
void manager_fail_directory(struct log_manager *manager, int32_t directory, int error, const char *what);
/* A log's operation failed: that takes its whole directory. */
void manager_log_failed(struct log_manager *manager, const struct managed_log *entry, int error, const char *what);
/* The partition's high watermark as far as anyone knows it. */
int64_t manager_high_watermark(const struct log_manager *manager, const struct managed_log *entry);
void manager_delete_later(struct log_manager *manager, const char *path, bool is_directory, int64_t delay_ms);
struct log_hooks manager_hooks(struct log_manager *manager);

enum checkpoint_kind { CHECKPOINT_RECOVERY_POINT, CHECKPOINT_START_OFFSET, CHECKPOINT_HIGH_WATERMARK };
int manager_write_checkpoint(struct log_manager *manager, int32_t directory, enum checkpoint_kind kind);
int manager_read_checkpoints(struct log_manager *manager, int32_t directory);

/* meta.properties of one directory; ERR_NOT_FOUND, ERR_INVALID with a message, or the disk's error. */
int manager_read_identity(struct log_manager *manager, struct log_directory *directory, char **ret_message);

#endif
