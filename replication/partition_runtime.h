/* One local replica: its pure core, its log, and who watches it. For the files of this folder; others see
 * replica_manager.h. */
#ifndef OTTLA_REPLICATION_PARTITION_RUNTIME_H
#define OTTLA_REPLICATION_PARTITION_RUNTIME_H

#include <uthash.h>

#include "broker/base/repeat.h"
#include "replication/alter_partition_manager.h"
#include "replication/fetcher.h"
#include "replication/partition.h"
#include "replication/replica_manager.h"
#include "replication/stray.h"

/* Kafka's bound on topic names; the key of the table is the name and the index. */
#define TOPIC_NAME_MAX 249
#define PARTITION_KEY_MAX (TOPIC_NAME_MAX + sizeof(int32_t))

struct topic_traffic;
struct log_move_runtime;

struct partition_runtime {
    struct replica_manager *manager;
    struct partition core;
    struct log *log; /* NULL while offline */
    struct uuid topic_id;
    int32_t index;
    bool is_offline;  /* its directory failed: KAFKA_STORAGE_ERROR until the broker starts again */
    bool is_ticking;  /* in manager->ticking */
    bool was_in_sync; /* by the command that gave it its role */
    /* The latest LeaderAndIsr that named this log's topic, and the highest leader epoch of any, followed or not. */
    struct command_stamp named;
    int32_t named_epoch;
    /* What the topic's *.replication.throttled.replicas say of us: our followers, and we as one, are held back while
     * out of sync. */
    struct partition_throttle throttle;
    struct fetcher_partition fetch;
    struct repeat fetch_failures; /* what the leader answers instead of records, and records that cannot be taken */
    struct alter_partition_item alter;
    struct partition_watcher *watchers;
    struct topic_traffic *traffic;
    struct log_move_runtime *move; /* to another directory; NULL: none */
    struct partition_runtime *tick_prev, *tick_next;
    UT_hash_handle hh;
    char *topic;
    uint32_t key_size;
    uint8_t key[PARTITION_KEY_MAX];
};

/* The key of (topic, index); 0 for a name that cannot exist. */
uint32_t partition_key(uint8_t ret_key[PARTITION_KEY_MAX], struct str topic, int32_t index);

/* Takes over what the topic's settings say of throttling. */
void partition_runtime_read_throttle(struct partition_runtime *partition);
/* Something that waits for the partition may go on. */
void partition_runtime_wake(struct partition_runtime *partition);
/* Into the manager's table, offline until a log is opened. */
struct partition_runtime *partition_runtime_create(struct replica_manager *manager, struct str topic, int32_t index);
/* Out of the table; watchers hear it. */
void partition_runtime_destroy(struct partition_runtime *partition);
/* The log is there: the core starts idle with the checkpointed high watermark. */
void partition_runtime_open(struct partition_runtime *partition, struct log *log);
/* No log any more: answers KAFKA_STORAGE_ERROR. */
void partition_runtime_set_offline(struct partition_runtime *partition);

/* Time and live brokers filled in. */
struct partition_event partition_runtime_event(const struct partition_runtime *partition,
                                               enum partition_event_type type);
/* Steps the core and performs what it says. False when the partition went offline by that. */
bool partition_runtime_apply(struct partition_runtime *partition, const struct partition_event *event);
/* The position a fetch from the leader starts or goes on at. */
struct fetch_position partition_runtime_position(const struct partition_runtime *partition);
/* Retention moves the start of a log by itself; the core is told when the partition is next used. */
void partition_runtime_sync_start(struct partition_runtime *partition);
/* Cuts the log, below its start too; false when that failed. */
bool partition_runtime_truncate(struct partition_runtime *partition, int64_t offset);
bool partition_runtime_restart_at(struct partition_runtime *partition, int64_t offset);
/* Drops all records, but not what is known of their producers: the log begins at its end. */
bool partition_runtime_start_at_end(struct partition_runtime *partition);
/* Records were appended, as leader or as follower. */
void partition_runtime_count_appended(struct partition_runtime *partition, bool as_leader, int64_t records,
                                      int64_t bytes);
/* Raises the log start, at most to the high watermark. */
bool partition_runtime_raise_start(struct partition_runtime *partition, int64_t offset);

#endif
