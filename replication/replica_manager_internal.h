/* The replica manager's own state, shared by the files that make it up. */
#ifndef OTTLA_REPLICATION_REPLICA_MANAGER_INTERNAL_H
#define OTTLA_REPLICATION_REPLICA_MANAGER_INTERNAL_H

#include "replication/alter_partition_manager.h"
#include "replication/partition_runtime.h"
#include "replication/refused_batches.h"
#include "replication/replica_manager.h"
#include "replication/throttle.h"

#define IMAGE_LISTENERS_MAX 4

struct fetcher_runtime;
struct offset_call;

/* What went through the partitions of one topic. Goes with the last of them. */
struct topic_traffic {
    char *topic;
    int32_t references;
    struct traffic traffic;
    UT_hash_handle hh;
};

struct replica_manager {
    struct replica_manager_config config;
    struct clock *clock;
    struct log_manager *logs;
    struct image *image;
    struct transport *transport;
    int64_t broker_epoch;
    int32_t controller_epoch; /* highest seen */
    int32_t heard_epoch;      /* of the controller whose command was heard last, and on which connection */
    int64_t heard_connection;
    bool is_started;
    bool is_leaving;
    bool has_had_leader_and_isr;
    struct partition_runtime *partitions; /* uthash */
    struct partition_runtime *ticking;    /* those that need a periodic look */
    struct timer tick_timer;
    struct partition_peer *peers; /* live brokers, sorted by id */
    int32_t peer_count;
    struct fetcher_runtime *fetchers;  /* uthash by broker id */
    struct throttle leader_throttle;   /* of what followers out of sync get of throttled partitions */
    struct throttle follower_throttle; /* of what we, behind, take of them */
    struct throttle move_throttle;     /* of moves between directories */
    struct log_move_runtime *moves;    /* by topic and index */
    int32_t slots_used;                /* moves that copy, config.log_moves_max at most */
    struct timer move_timer;
    struct offset_call *offset_calls; /* under way */
    struct refused_batches refused;   /* of producers our logs do not know */
    struct alter_partition_manager *alter;
    struct topic_traffic *topic_traffic; /* uthash by topic */
    struct traffic traffic;
    int64_t isr_expands;
    int64_t isr_shrinks;
    int64_t isr_failures; /* changes the controller refused */
    struct {
        image_changed_callback *on_change;
        void *context;
    } listeners[IMAGE_LISTENERS_MAX];
    int32_t listener_count;
};

/* The topic's counters, made where they are not yet; given back by topic_traffic_unref. */
struct topic_traffic *topic_traffic_ref(struct replica_manager *manager, const char *topic);
void topic_traffic_unref(struct replica_manager *manager, struct topic_traffic *traffic);
struct partition_runtime *replica_manager_find(const struct replica_manager *manager, struct str topic, int32_t index);
struct partition_peer *replica_manager_peer(const struct replica_manager *manager, int32_t broker_id);
/* Stops the replica and deletes its log, or sets it aside, if only on disk; the partition is gone then. Kafka error. */
int16_t replica_manager_delete_replica(struct replica_manager *manager, struct str topic, int32_t index);
int16_t replica_manager_set_replica_aside(struct replica_manager *manager, struct str topic, int32_t index);
/* Removes what is here of a partition that, as an UpdateMetadata tells, is not replicated here. */
void replica_manager_drop_stray(struct replica_manager *manager, const char *topic, struct uuid topic_id,
                                const struct command_stamp *stamp, const struct image_partition *told);
/* Whether the log that is here bears another topic's id than a command that wants a replica here. */
bool replica_manager_has_other_topic(struct replica_manager *manager, struct str topic, int32_t index,
                                     struct uuid topic_id);
/* Then it is set aside when it is certainly the older one; else INCONSISTENT_TOPIC_ID. */
int16_t replica_manager_make_way(struct replica_manager *manager, struct str topic, int32_t index, struct uuid topic_id,
                                 const struct command_stamp *stamp);
/* After the image's live brokers changed. */
void replica_manager_update_peers(struct replica_manager *manager);
/* Whether this partition belongs to those the timer looks at. */
void replica_manager_watch_tick(struct partition_runtime *partition);

#endif
