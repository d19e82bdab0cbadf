/* What the znodes say: Kafka's JSON, both ways (zookeeper-mode.md section 1).
 *
 * Pure. Encoding writes the bytes Kafka 3.9 writes, key order included, so that znodes of mixed clusters look alike;
 * decoding finds keys by name, ignores those it does not know and takes a number also where it is written as text.
 * Everything that is decoded or encoded lives in the caller's arena, whose budget must not bound it (a znode is at most
 * a megabyte). Decoders return 0 or ERR_CORRUPT, and accept null data only where said. */
#ifndef OTTLA_ZNODE_CODEC_H
#define OTTLA_ZNODE_CODEC_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/arena.h"
#include "broker/base/slice.h"

/* /brokers/ids/N */
struct znode_endpoint {
    struct str listener;
    struct str host; /* IPv6 without brackets */
    int32_t port;
    struct str security_protocol; /* "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL" */
};

struct znode_feature_range {
    struct str name;
    int32_t min_version;
    int32_t max_version;
};

struct znode_broker {
    int32_t version; /* of the schema; encoding writes 5 */
    struct znode_endpoint *endpoints;
    int32_t endpoint_count;
    struct str rack; /* null when unset */
    int32_t jmx_port;
    int64_t timestamp_ms;
    struct znode_feature_range *features;
    int32_t feature_count;
};

/* host and port of the oldest schema are derived: the first PLAINTEXT endpoint, else null and -1. */
struct slice znode_encode_broker(struct arena *arena, const struct znode_broker *broker);
int znode_decode_broker(struct arena *arena, struct slice data, struct znode_broker *ret);

/* /controller */
struct znode_controller {
    int32_t broker_id;
    int64_t timestamp_ms;
    int32_t kraft_controller_epoch; /* -1; larger during a migration, then the node is not ours to touch */
};
struct slice znode_encode_controller(struct arena *arena, const struct znode_controller *controller);
int znode_decode_controller(struct slice data, struct znode_controller *ret);

/* /controller_epoch: decimal text. */
struct slice znode_encode_controller_epoch(struct arena *arena, int32_t epoch);
int znode_decode_controller_epoch(struct slice data, int32_t *ret_epoch);

/* /brokers/topics/T */
struct znode_topic_partition {
    int32_t partition;
    int32_t *replicas;
    int32_t replica_count;
    int32_t *adding;
    int32_t adding_count;
    int32_t *removing;
    int32_t removing_count;
};

struct znode_topic {
    int32_t version;                          /* as read; encoding writes 3 */
    struct uuid topic_id;                     /* zero when absent */
    struct znode_topic_partition *partitions; /* ascending */
    int32_t partition_count;
};
struct slice znode_encode_topic(struct arena *arena, const struct znode_topic *topic);
int znode_decode_topic(struct arena *arena, struct slice data, struct znode_topic *ret);

/* /brokers/topics/T/partitions/P/state; the partition epoch is the node's dataVersion, not in here. */
struct znode_partition_state {
    int32_t leader; /* -1 none */
    int32_t leader_epoch;
    int32_t controller_epoch;
    int32_t leader_recovery_state; /* 0 recovered, 1 recovering; 0 is not written */
    int32_t *isr;
    int32_t isr_count;
};
struct slice znode_encode_partition_state(struct arena *arena, const struct znode_partition_state *state);
int znode_decode_partition_state(struct arena *arena, struct slice data, struct znode_partition_state *ret);

/* /config/TYPE/ENTITY. Encoding orders the keys as Kafka's Properties would: by hash, and
 * within a bucket by age, so a reader who changes a map keeps the order it found and appends. Null data decodes to no
 * entries. */
struct znode_config_entry {
    struct str name;
    struct str value;
};

struct znode_config {
    struct znode_config_entry *entries;
    int32_t entry_count;
};
struct slice znode_encode_config(struct arena *arena, const struct znode_config *config);
int znode_decode_config(struct arena *arena, struct slice data, struct znode_config *ret);
/* NULL when absent. */
const struct znode_config_entry *znode_config_find(const struct znode_config *config, struct str name);

/* /config/changes/config_change_N. The path below /config ("topics/foo"); version 1 nodes give the same form. */
struct slice znode_encode_config_change(struct arena *arena, struct str entity_path);
int znode_decode_config_change(struct arena *arena, struct slice data, struct str *ret_entity_path);

/* Lists of partitions: /isr_change_notification/isr_change_N, /admin/preferred_replica_election, and with replicas
 * /admin/reassign_partitions. */
struct znode_partition_entry {
    struct str topic;
    int32_t partition;
    int32_t *replicas; /* reassignment only */
    int32_t replica_count;
};

struct znode_partition_list {
    struct znode_partition_entry *entries;
    int32_t entry_count;
};
struct slice znode_encode_isr_change(struct arena *arena, const struct znode_partition_list *list);
struct slice znode_encode_preferred_replica_election(struct arena *arena, const struct znode_partition_list *list);
struct slice znode_encode_reassign_partitions(struct arena *arena, const struct znode_partition_list *list);
/* Decodes all three; replicas are required when with_replicas. */
int znode_decode_partition_list(struct arena *arena, struct slice data, bool with_replicas,
                                struct znode_partition_list *ret);

/* /log_dir_event_notification/log_dir_event_N; the only event is 1, a failed directory. */
struct slice znode_encode_log_dir_event(struct arena *arena, int32_t broker_id);
int znode_decode_log_dir_event(struct slice data, int32_t *ret_broker_id);

/* /latest_producer_id_block. Null data: start 0, end -1, so that the next block begins at 0. */
struct znode_producer_id_block {
    int32_t broker_id;
    int64_t first;
    int64_t last;
};
struct slice znode_encode_producer_id_block(struct arena *arena, const struct znode_producer_id_block *block);
int znode_decode_producer_id_block(struct slice data, struct znode_producer_id_block *ret);

/* /cluster/id */
struct slice znode_encode_cluster_id(struct arena *arena, struct str id);
int znode_decode_cluster_id(struct arena *arena, struct slice data, struct str *ret_id);

/* /feature. min_version is written by schema version 1 only. */
struct znode_feature {
    int32_t version;
    int32_t status; /* 0 disabled, 1 enabled */
    struct znode_feature_range *features;
    int32_t feature_count;
};
struct slice znode_encode_feature(struct arena *arena, const struct znode_feature *feature);
int znode_decode_feature(struct arena *arena, struct slice data, struct znode_feature *ret);

#endif
