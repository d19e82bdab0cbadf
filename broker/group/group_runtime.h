/* The group coordinator of one broker: the groups whose partition of __consumer_offsets it leads.
 *
 * Gathers events for group.h and offsets.h and carries out what they say: records go into the log through the replica
 * manager, answers come once they are replicated. What becomes of a group is decided by its partition: becoming leader
 * loads it, in slices; losing it answers everybody and forgets. Runs on the loop; answers may come before a call
 * returns, each exactly once. */
#ifndef OTTLA_GROUP_GROUP_RUNTIME_H
#define OTTLA_GROUP_GROUP_RUNTIME_H

#include "broker/base/clock.h"
#include "broker/group/group.h"
#include "broker/group/offsets.h"
#include "broker/metadata/image.h"
#include "replication/replica_manager.h"

#define GROUP_TOPIC "__consumer_offsets"
/* Groups of one broker, and the memory of their members and offsets together. Beyond, nobody new is let in
 * (COORDINATOR_NOT_AVAILABLE); what the log holds is loaded all the same. */
#define GROUPS_MAX 1000000
#define GROUPS_BYTES_MAX ((int64_t)1024 * 1024 * 1024)
/* Commits and group records on their way into the log. */
#define GROUP_WRITES_MAX 100000

struct group_runtime;
struct group_waiter;

struct group_runtime_config {
    struct group_limits limits;
    int32_t topic_partitions; /* while the topic is not there */
    /* Asks how many partitions the topic is registered with: the image knows of those only that had a leader so far,
     * and a group must not change its partition. group_runtime_set_partition_count answers. NULL: the image is
     * believed. */
    void (*ask_partition_count)(void *context);
    void *context;
    int32_t offset_metadata_max_bytes;
    int64_t offsets_retention_ms;
    int64_t retention_check_ms;
    int64_t commit_timeout_ms;
    int16_t required_acks;
    int32_t load_buffer_bytes;
    int8_t compression_codec;
    uint64_t seed; /* of member ids */
};

struct group_runtime *group_runtime_create(const struct group_runtime_config *config, struct clock *clock,
                                           struct replica_manager *replicas, struct image *image);
/* Begins to look for expired offsets. */
void group_runtime_start(struct group_runtime *runtime);
/* Everybody who waits is answered; nothing is served any more. */
void group_runtime_stop(struct group_runtime *runtime);
void group_runtime_destroy(struct group_runtime *runtime);

/* For replica_manager_config.on_leadership; context is the runtime. */
void group_runtime_on_leadership(void *context, const char *topic, int32_t partition, bool is_leader,
                                 int32_t leader_epoch);
/* Without a ZooKeeper session another broker may lead by now without this one knowing: nothing is served meanwhile. */
void group_runtime_set_fenced(struct group_runtime *runtime, bool is_fenced);
/* These partitions are being deleted: so are what groups have committed for them. */
void group_runtime_on_partition_deleted(struct group_runtime *runtime, struct str topic, int32_t partition);

/* Rule 33: abs(String.hashCode(key)) modulo `partition_count`. */
int32_t group_partition_of(struct str key, int32_t partition_count);
/* -1: not known yet; the question is on its way. */
int32_t group_runtime_partition(struct group_runtime *runtime, struct str group_id);
/* The answer, for the topic of this id, kept as long as that lives (also when partitions are added, as in Kafka); a
 * count of 0 says that it could not be had, and the next group asks again. */
void group_runtime_set_partition_count(struct group_runtime *runtime, struct uuid topic_id, int32_t count);

/* ---- Members ----
 *
 * The event's own fields are the caller's to fill; time, waiter and new member id are filled in here. The answer is a
 * JOIN or SYNC action of group.h; `group` is NULL where there is none. */
typedef void group_answered(void *context, const struct group *group, const struct group_action *answer);
/* Returns who waits, NULL when the answer has been given. */
struct group_waiter *group_runtime_join(struct group_runtime *runtime, struct str group_id, struct group_event *event,
                                        group_answered *on_answered, void *context);
struct group_waiter *group_runtime_sync(struct group_runtime *runtime, struct str group_id, struct group_event *event,
                                        group_answered *on_answered, void *context);
/* Nobody listens for the answer any more. */
void group_waiter_forget(struct group_waiter *waiter);
int16_t group_runtime_heartbeat(struct group_runtime *runtime, struct str group_id, struct group_event *event);
/* Whether the group is served here at all: the error of the whole request. */
int16_t group_runtime_check(struct group_runtime *runtime, struct str group_id);
/* One member, after group_runtime_check. */
int16_t group_runtime_leave(struct group_runtime *runtime, struct str group_id, struct group_event *event);

/* ---- Offsets ---- */

struct group_commit {
    struct str topic;
    int32_t partition;
    struct committed_offset commit; /* times are filled in by the caller */
    int16_t error_code;             /* result */
};
typedef void group_committed(void *context);
/* The commits belong to the caller and stay until on_done; every one of them has its result then. */
void group_runtime_commit(struct group_runtime *runtime, struct str group_id, struct group_event *event,
                          struct group_commit *commits, int32_t count, group_committed *on_done, void *context);

typedef void group_deleted(void *context, int16_t error_code);
void group_runtime_delete(struct group_runtime *runtime, struct str group_id, group_deleted *on_done, void *context);
/* Partitions whose topic a member subscribes to get their error in the list; the others are deleted together. The list
 * stays until on_done. */
void group_runtime_delete_offsets(struct group_runtime *runtime, struct str group_id, struct group_commit *list,
                                  int32_t count, group_deleted *on_done, void *context);

/* ---- Reading ---- */

/* NULL with error 0: served here, but there is no such group. Views live until the next change. */
const struct group *group_runtime_find(struct group_runtime *runtime, struct str group_id, int16_t *ret_error);
const struct offsets *group_runtime_offsets(struct group_runtime *runtime, struct str group_id, int16_t *ret_error);
typedef void group_visitor(void *context, const struct group *group);
/* Every group served here. COORDINATOR_LOAD_IN_PROGRESS when there may be more, COORDINATOR_NOT_AVAILABLE for none. */
int16_t group_runtime_each(struct group_runtime *runtime, group_visitor *visit, void *context);
int32_t group_runtime_group_count(const struct group_runtime *runtime);
/* Groups by state, their committed offsets, and partitions being loaded or loaded since the start. */
struct group_runtime_counts {
    int32_t by_state[GROUP_DEAD + 1];
    int64_t offsets;
    int32_t loading;
    int64_t loads;
    int64_t load_ms_sum;
    int64_t load_ms_max;
};
const struct group_runtime_counts *group_runtime_counts(const struct group_runtime *runtime);
/* Memory of groups and offsets, about. */
int64_t group_runtime_bytes(const struct group_runtime *runtime);

#endif
