/* What the files of the coordinator's runtime share. */
#ifndef OTTLA_GROUP_RUNTIME_INTERNAL_H
#define OTTLA_GROUP_RUNTIME_INTERNAL_H

#include <uthash.h>

#include "broker/base/random.h"
#include "broker/group/group_runtime.h"
#include "broker/protocol/batch_builder.h"
#include "broker/protocol/record_batch.h"
#include "replication/partition_watcher.h"

/* Kafka's name of the class that says these things. */
#define GROUP_AREA "kafka.coordinator.group.GroupCoordinator"

struct group_load;
struct group_write;
struct group_cleaning;

/* A group with its offsets and its alarm. */
struct group_entry {
    struct group group;
    struct offsets offsets;
    struct group_shard *shard; /* NULL: out of its table, and freed with the last write */
    struct timer timer;
    struct slice loaded_value; /* while loading: the newest group record */
    int32_t write_count;       /* writes under way that name it */
    int64_t counted_bytes;     /* of it in the runtime's sum */
    enum group_state counted_state;
    int32_t counted_offsets;
    UT_hash_handle hh;
};

/* Groups a transaction has offsets for, while loading. */
struct group_shard_transaction {
    int64_t producer_id;
    struct group_entry **entries;
    int32_t count;
    UT_hash_handle hh;
};

/* One partition of __consumer_offsets that this broker leads. */
struct group_shard {
    struct group_runtime *runtime;
    int32_t index;
    int32_t leader_epoch; /* the newest of an uninterrupted leadership */
    bool is_loading;
    bool is_lost; /* on its way out */
    bool is_marked;
    struct partition_watcher watcher;
    struct group_entry *entries; /* uthash by group id */
    struct group_write *writes;  /* in the order of their offsets */
    struct timer write_timer;
    struct group_load *load;
    struct group_shard_transaction *transactions;
    struct group_shard *next_marked;
    UT_hash_handle hh;
};

struct group_runtime {
    int32_t partition_count; /* of the topic with this id, as registered; 0 not known */
    struct uuid counted_topic_id;
    bool is_asking_count;
    struct group_runtime_config config;
    struct clock *clock;
    struct replica_manager *replicas;
    struct image *image;
    struct random random;
    struct group_shard *shards; /* uthash by index */
    struct group_shard *marked; /* to be looked at in the posted task; those that are lost are in no table */
    bool is_posted;
    bool is_stopped;
    bool is_fenced;
    bool is_destroyed; /* freed when the task and the loads have run */
    int32_t load_count;
    struct arena arena; /* of one step and what it brings about */
    int32_t arena_depth;
    struct byte_buffer buffer; /* the batch being built */
    struct record_workspace *workspace;
    int32_t group_count;
    struct group_runtime_counts counts;
    int64_t bytes;
    int32_t write_count;
    struct timer expiry_timer;
    struct group_cleaning *cleanings; /* passes over all shards, one at a time */
};

/* A record on its way: appended, not yet replicated. The owner embeds it. */
struct group_write {
    struct group_shard *shard;
    struct group_entry *entry;
    int64_t last_offset;
    int32_t leader_epoch;
    int64_t deadline_ms;
    bool is_overdue; /* its owner has been told that it takes too long */
    /* Ends the write and frees it: 0, or a Kafka error of the log; `may_come`: the record may be replicated yet. */
    void (*on_done)(struct group_write *write, int16_t error_code);
    /* It takes too long. True: the write is over for its owner, who has freed it; false: on_done comes as well. */
    bool (*on_overdue)(struct group_write *write);
    struct group_write *prev;
    struct group_write *next;
};

/* ---- group_runtime.c ---- */

/* The shard of a group when this broker may serve it, else the error. */
int16_t group_runtime_shard(struct group_runtime *runtime, struct str group_id, struct group_shard **ret_shard);
struct group_entry *group_shard_find(const struct group_shard *shard, struct str group_id);
/* NULL when there are too many. `is_loading`: however many there are. */
struct group_entry *group_shard_make(struct group_shard *shard, struct str group_id, bool is_loading);
/* Out of the table; everybody who waited has been answered. */
void group_entry_remove(struct group_entry *entry);
void group_entry_release(struct group_entry *entry); /* a write that named it has ended */
void group_entry_count(struct group_entry *entry);   /* its memory has changed */
/* Steps the group and performs what it says; returns the step's own error. */
int16_t group_entry_step(struct group_entry *entry, struct group_event *event);
/* Something about the shard is to be looked at. */
void group_shard_mark(struct group_shard *shard);
/* The partition, when this broker still leads it as the shard knows; NULL otherwise. */
struct partition_runtime *group_shard_partition(const struct group_shard *shard);
/* The arena lives until as many ends as begins. */
struct arena *group_runtime_arena_begin(struct group_runtime *runtime);
void group_runtime_arena_end(struct group_runtime *runtime);
void group_runtime_free_if_over(struct group_runtime *runtime);

/* ---- group_runtime_write.c ---- */

/* The batch built in runtime->buffer goes into the shard's log. 0 and the offset of its first record, or the log's
 * Kafka error. With a write it joins the queue, and on_done comes later; without, nobody waits for its replication. */
int16_t group_shard_append(struct group_shard *shard, struct batch_builder *builder, struct group_write *write,
                           int64_t *ret_first_offset);
/* Writes whose fate is known end. */
void group_shard_settle(struct group_shard *shard);
/* All end with NOT_LEADER_OR_FOLLOWER. */
void group_shard_fail_writes(struct group_shard *shard);
/* The GROUP_STORE action. */
void group_entry_store(struct group_entry *entry, uint64_t store_number, bool is_staged);
int16_t group_error_of_offsets(int16_t log_error);

/* ---- group_runtime_load.c ---- */

void group_shard_load(struct group_shard *shard);
/* The partition has changed: perhaps what was read is replicated by now. */
void group_shard_check_load(struct group_shard *shard);
void group_shard_cancel_load(struct group_shard *shard);

/* ---- group_runtime_clean.c ---- */

/* An empty group without offsets ends; a group that is dead leaves the table. Writes its tombstone. */
void group_entry_bury(struct group_entry *entry, bool is_deleted);
void group_runtime_start_expiry(struct group_runtime *runtime);
void group_runtime_drop_cleanings(struct group_runtime *runtime);

/* group_placement.c: asks, unless the question is on its way. */
void group_runtime_ask_partition_count(struct group_runtime *runtime);

#endif
