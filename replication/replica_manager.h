/* The partitions this broker replicates: what handlers call and what the controller commands.
 *
 * Runs on the loop. Ties the pure cores (partition.h, fetcher.h) to log, transport and clock. Message types are the
 * generated ones, so that handlers pass decoded requests straight through. */
#ifndef OTTLA_REPLICATION_REPLICA_MANAGER_H
#define OTTLA_REPLICATION_REPLICA_MANAGER_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/clock.h"
#include "broker/log/log_manager.h"
#include "broker/metadata/image.h"
#include "broker/network/transport.h"
#include "replication/partition_watcher.h"

struct replica_manager;
struct partition_runtime;
struct arena;
struct leader_and_isr_request;
struct leader_and_isr_response;
struct stop_replica_request;
struct stop_replica_response;
struct update_metadata_request;

struct partition_throttle {
    bool is_leader;
    bool is_follower;
};

struct replica_manager_config {
    int32_t broker_id;
    const char *inter_broker_listener;
    const char *rack; /* NULL when unset */
    int64_t replica_lag_time_max_ms;
    int64_t fetch_wait_max_ms;
    int32_t fetch_min_bytes;
    int32_t fetch_max_bytes; /* per partition */
    int32_t fetch_response_max_bytes;
    int64_t fetch_backoff_ms;
    int64_t socket_timeout_ms;
    int32_t log_moves_max; /* between directories, at a time */
    bool rack_aware_selector;
    /* Group and transaction coordinators hear of leadership of their partitions. NULL: nobody. */
    void (*on_leadership)(void *context, const char *topic, int32_t partition, bool is_leader, int32_t leader_epoch);
    /* What the topic's settings say of this partition at this broker. NULL: nothing is throttled. */
    struct partition_throttle (*throttle)(void *context, const char *topic, int32_t partition);
    void *context;
};

struct replica_manager *replica_manager_create(const struct replica_manager_config *config, struct clock *clock,
                                               struct log_manager *logs, struct image *image,
                                               struct transport *transport);
void replica_manager_destroy(struct replica_manager *manager);
/* Our registration's epoch (czxid); again after every re-registration. */
void replica_manager_set_broker_epoch(struct replica_manager *manager, int64_t broker_epoch);
int64_t replica_manager_broker_epoch(const struct replica_manager *manager);
/* Starts ISR expiry and fetching. */
void replica_manager_start(struct replica_manager *manager);
/* The broker is about to hand over what it leads and to stop. What it is told to follow from now on without being in
 * sync it does not fetch: its new leader would propose it for the in-sync set, and no acks=all would be answered until
 * the controller, which may be the one that stops, has refused. Kafka fetches nothing new at all then. */
void replica_manager_leave(struct replica_manager *manager);
/* Stops fetchers; waiting operations end with NOT_LEADER_OR_FOLLOWER. */
void replica_manager_stop(struct replica_manager *manager);

/* To be asked right before a command is obeyed: whether it may be. A controller opens its next connection when it has
 * given up the one before, so once it was heard on one, what is left of an older one is late, and tells of what is no
 * more; such a connection is closed. Connections are numbered in the order they were accepted. */
bool replica_manager_hears(struct replica_manager *manager, int32_t controller_epoch, int64_t connection);
/* Controller commands; responses are filled in the arena. Epoch gates of zookeeper-mode.md 4.1 included. */
void replica_manager_leader_and_isr(struct replica_manager *manager, const struct leader_and_isr_request *request,
                                    int16_t version, struct arena *arena, struct leader_and_isr_response *ret);
void replica_manager_stop_replica(struct replica_manager *manager, const struct stop_replica_request *request,
                                  int16_t version, struct arena *arena, struct stop_replica_response *ret);
/* Applies to the image; returns the Kafka error of the gates (0, STALE_BROKER_EPOCH, STALE_CONTROLLER_EPOCH). */
int16_t replica_manager_update_metadata(struct replica_manager *manager, const struct update_metadata_request *request,
                                        int16_t version);
/* Calls back after every applied UpdateMetadata (topics and leaders may have changed). Up to 4 listeners. */
typedef void image_changed_callback(void *context);
void replica_manager_on_image_changed(struct replica_manager *manager, image_changed_callback *on_change,
                                      void *context);

/* Lookup of the local replica. Kafka error: 0, UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER (known in the image
 * but not here), KAFKA_STORAGE_ERROR. */
int16_t replica_manager_partition(struct replica_manager *manager, struct str topic, int32_t partition,
                                  struct partition_runtime **ret_partition);
/* The same for one that was looked up before and is still there: 0 or KAFKA_STORAGE_ERROR. */
int16_t partition_runtime_look_again(struct partition_runtime *partition);

/* What others may ask of a local partition. */
bool partition_runtime_is_leader(const struct partition_runtime *partition);
int32_t partition_runtime_leader(const struct partition_runtime *partition);
int32_t partition_runtime_leader_epoch(const struct partition_runtime *partition);
int64_t partition_runtime_high_watermark(const struct partition_runtime *partition);
int64_t partition_runtime_last_stable_offset(const struct partition_runtime *partition);
/* A new leader's high watermark may lag behind its epoch start: ListOffsets then answers OFFSET_NOT_AVAILABLE. */
int64_t partition_runtime_leader_epoch_start(const struct partition_runtime *partition);
struct log *partition_runtime_log(struct partition_runtime *partition);
/* An I/O error: the directory of this log, with all its neighbours, goes offline. */
void partition_runtime_fail(struct partition_runtime *partition, int error);
/* CurrentLeaderEpoch of a request against ours: 0, FENCED_LEADER_EPOCH or UNKNOWN_LEADER_EPOCH; then leadership:
 * NOT_LEADER_OR_FOLLOWER when must_lead and we do not. -1 skips the epoch. */
int16_t partition_runtime_check_epoch(const struct partition_runtime *partition, int32_t current_leader_epoch,
                                      bool must_lead);

/* Produce. Appends at once; for required_acks -1 the caller then waits with replica_manager_await_offset.
 * Kafka errors in ret_info->error_code (NOT_LEADER_OR_FOLLOWER, NOT_ENOUGH_REPLICAS, ...). */
void replica_manager_append(struct replica_manager *manager, struct str topic, int32_t partition, struct slice records,
                            int16_t required_acks, enum log_append_origin origin, int16_t request_version,
                            struct log_append_info *ret_info, struct partition_runtime **ret_partition);

/* State of an acks=all append: 0 done, REQUEST_TIMED_OUT while not yet (keep waiting), or its final error
 * (NOT_LEADER_OR_FOLLOWER, NOT_ENOUGH_REPLICAS_AFTER_APPEND, KAFKA_STORAGE_ERROR). */
int16_t partition_runtime_ack_state(const struct partition_runtime *partition, int64_t last_offset,
                                    int32_t leader_epoch);

/* Watching a partition: partition_watcher.h says when it is called. */
void partition_runtime_watch(struct partition_runtime *partition, struct partition_watcher *watcher);

enum fetch_isolation { FETCH_LOG_END, FETCH_HIGH_WATERMARK, FETCH_TXN_COMMITTED };

/* One partition of a Fetch request and what came of it. Reading as a follower (replica_id >= 0) also updates what the
 * leader knows of that follower, unless it diverges. */
struct partition_fetch {
    int32_t replica_id; /* -1 consumer, -2 debugging consumer */
    /* Of the follower's own registration, -1 unknown. As it says itself: it may fetch before the image names it as
     * live, and an idle partition is not named again later. */
    int64_t replica_epoch;
    bool is_reread; /* looked at again while the fetch waits: the follower's state was updated the first time */
    int64_t fetch_offset;
    int32_t current_leader_epoch; /* -1 unknown */
    int32_t last_fetched_epoch;   /* -1 unknown */
    int64_t log_start_offset;     /* the follower's, -1 */
    int32_t max_bytes;
    bool min_one_batch;
    enum fetch_isolation isolation;
    struct str rack; /* consumer's rack; empty or null: none */
    int16_t version;
    /* result */
    int16_t error_code;
    int64_t high_watermark;
    int64_t last_stable_offset;
    int64_t result_log_start_offset;
    int32_t preferred_read_replica; /* -1 */
    bool is_diverging;
    int32_t diverging_epoch;
    int64_t diverging_end_offset;
    struct log_read_info read; /* one reference to the file when size > 0 */
    int64_t throttled_bytes;   /* counted against the leader's rate by this read */
    bool is_held_back;         /* nothing was read, because of that rate */
};
void partition_runtime_fetch(struct partition_runtime *partition, struct partition_fetch *fetch);
/* Gives back what a read counted against the rate, when it is not sent. */
void replica_manager_unfetch(struct replica_manager *manager, struct partition_fetch *fetch);
/* Once per Fetch request of a follower (v15+: with its ReplicaEpoch, else -1), before its partitions are looked at:
 * with incremental sessions most of them are not named, and yet the follower is alive for all of them. */
void replica_manager_on_follower_fetch(struct replica_manager *manager, int32_t replica_id, int64_t replica_epoch);
/* Bytes a fetch from `offset` could now get (for fetch.min.bytes), without reading. */
int64_t partition_runtime_available_bytes(const struct partition_runtime *partition, int64_t offset,
                                          enum fetch_isolation isolation);
/* Smallest log start among live in-sync replicas, for DeleteRecords. */
int64_t partition_runtime_low_watermark(const struct partition_runtime *partition);

/* OffsetForLeaderEpoch: Kafka error, and where `leader_epoch` ends here (-1, -1 when not known). */
int16_t partition_runtime_offset_for_leader_epoch(const struct partition_runtime *partition,
                                                  int32_t current_leader_epoch, int32_t leader_epoch,
                                                  struct log_epoch_end *ret_end);
/* DeleteRecords: raises the log start to `offset` (-1: the high watermark). Kafka error and the low watermark now; the
 * caller waits until partition_runtime_low_watermark() reaches *ret_offset. */
int16_t partition_runtime_delete_records(struct partition_runtime *partition, int64_t offset, int64_t *ret_offset,
                                         int64_t *ret_low_watermark);
struct partition_throttle partition_runtime_throttle(const struct partition_runtime *partition);
const char *partition_runtime_topic(const struct partition_runtime *partition);
int32_t partition_runtime_index(const struct partition_runtime *partition);
/* For log_manager_config.high_watermark: false when the checkpointed value stands. `context` is the manager. */
bool replica_manager_high_watermark(void *context, const char *topic, int32_t partition, int64_t *ret_offset);
typedef void partition_visitor(void *context, struct partition_runtime *partition);
void replica_manager_for_each(struct replica_manager *manager, partition_visitor *visit, void *context);

int32_t replica_manager_partition_count(const struct replica_manager *manager);
/* ---- What goes through, since the start ---- */

struct traffic {
    int64_t messages_in; /* appended as leader */
    int64_t bytes_in;
    int64_t bytes_out; /* to consumers */
    int64_t replication_bytes_in;
    int64_t replication_bytes_out;
};
/* Records of this size left for a reader: a follower's broker id, or a negative number for a consumer. */
void partition_runtime_count_sent(struct partition_runtime *partition, int32_t replica_id, int64_t bytes);
typedef void traffic_visitor(void *context, const char *topic, const struct traffic *traffic);
/* Of every topic that has a partition here, and of all there ever were. */
void replica_manager_for_each_traffic(struct replica_manager *manager, traffic_visitor *visit, void *context);
const struct traffic *replica_manager_traffic(const struct replica_manager *manager);

/* How the partitions are now, and how often in-sync sets changed. Walks all of them. */
struct replica_status_counts {
    int32_t partitions;
    int32_t leaders;
    int32_t offline;
    int32_t under_replicated; /* the following: of those led here */
    int32_t under_min_isr;
    int32_t at_min_isr;
    int64_t isr_expands;
    int64_t isr_shrinks;
    int64_t isr_failures;
};
void replica_manager_count(struct replica_manager *manager, struct replica_status_counts *ret_counts);

/* A log directory failed: its partitions answer KAFKA_STORAGE_ERROR from now on. */
void replica_manager_directory_failed(struct replica_manager *manager, const char *directory);
/* Bytes per second for throttled partitions: what followers out of sync are given by us as leader, and what we take
 * while behind. INT64_MAX: as fast as it goes. Followers in sync are never held back, and do not count. */
void replica_manager_set_throttle_rates(struct replica_manager *manager, int64_t leader_rate, int64_t follower_rate);
/* Bytes per second that moves between directories may copy, all together. */
void replica_manager_set_move_rate(struct replica_manager *manager, int64_t rate);
/* AlterReplicaLogDirs for one partition (KIP-113): a copy of its log is made in the directory `path`, while it is
 * served, and takes its place. Another target replaces the one before, the directory it is in cancels; a replica that
 * is not here yet will be made there. Kafka error. */
int16_t replica_manager_alter_log_dir(struct replica_manager *manager, struct str topic, int32_t partition,
                                      struct str path);
/* For the log manager's configuration; the context is the replica manager. */
void replica_manager_on_future_settled(void *context, const char *topic, int32_t partition);
void replica_manager_on_future_read(void *context, const char *topic, int32_t partition, const struct log_chunk *chunk);
/* Topic settings changed (min.insync.replicas and others): re-evaluate. */
void replica_manager_topic_config_changed(struct replica_manager *manager, const char *topic);

#endif
