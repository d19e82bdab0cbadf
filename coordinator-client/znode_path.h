/* Where Kafka keeps things in ZooKeeper: every path this project touches (zookeeper-mode.md section 1).
 *
 * Paths are without the chroot. Functions write into a caller's buffer of ZNODE_PATH_SIZE and return it. */
#ifndef OTTLA_ZNODE_PATH_H
#define OTTLA_ZNODE_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/base/slice.h"

/* A topic name has at most 249 characters; entity names of quotas may be percent-encoded, three bytes for one. */
#define ZNODE_PATH_SIZE 1024

#define ZNODE_CONSUMERS "/consumers"
#define ZNODE_CONTROLLER "/controller"
#define ZNODE_CONTROLLER_EPOCH "/controller_epoch"
#define ZNODE_BROKER_IDS "/brokers/ids"
#define ZNODE_BROKER_SEQID "/brokers/seqid"
#define ZNODE_TOPICS "/brokers/topics"
#define ZNODE_CLUSTER "/cluster"
#define ZNODE_CLUSTER_ID "/cluster/id"
#define ZNODE_CONFIG "/config"
#define ZNODE_CONFIG_CHANGES "/config/changes"
#define ZNODE_CONFIG_CHANGE_PREFIX "config_change_"
#define ZNODE_ADMIN "/admin"
#define ZNODE_DELETE_TOPICS "/admin/delete_topics"
#define ZNODE_REASSIGN_PARTITIONS "/admin/reassign_partitions"
#define ZNODE_PREFERRED_REPLICA_ELECTION "/admin/preferred_replica_election"
#define ZNODE_ISR_CHANGES "/isr_change_notification"
#define ZNODE_ISR_CHANGE_PREFIX "isr_change_"
#define ZNODE_LOG_DIR_EVENTS "/log_dir_event_notification"
#define ZNODE_LOG_DIR_EVENT_PREFIX "log_dir_event_"
#define ZNODE_PRODUCER_ID_BLOCK "/latest_producer_id_block"
#define ZNODE_FEATURE "/feature"
#define ZNODE_ACL "/kafka-acl"
#define ZNODE_ACL_EXTENDED "/kafka-acl-extended"
#define ZNODE_ACL_CHANGES "/kafka-acl-changes"
#define ZNODE_ACL_EXTENDED_CHANGES "/kafka-acl-extended-changes"
#define ZNODE_DELEGATION_TOKENS "/delegation_token/tokens"
#define ZNODE_MIGRATION "/migration"

/* The name of a default entity in /config. */
#define ZNODE_DEFAULT_ENTITY "<default>"

/* What a starting broker makes when absent, null data, in Kafka's order; parents come into being on the way. */
extern const char *const znode_persistent_paths[];
extern const size_t znode_persistent_path_count;

char *znode_broker_path(char ret_path[ZNODE_PATH_SIZE], int32_t broker_id);
char *znode_topic_path(char ret_path[ZNODE_PATH_SIZE], struct str topic);
char *znode_partitions_path(char ret_path[ZNODE_PATH_SIZE], struct str topic);
char *znode_partition_path(char ret_path[ZNODE_PATH_SIZE], struct str topic, int32_t partition);
char *znode_partition_state_path(char ret_path[ZNODE_PATH_SIZE], struct str topic, int32_t partition);
char *znode_delete_topic_path(char ret_path[ZNODE_PATH_SIZE], struct str topic);
/* type: "topics", "brokers", "users", "clients", "ips"; entity as it is spelt in the path. */
char *znode_config_path(char ret_path[ZNODE_PATH_SIZE], const char *type, struct str entity);
/* entity_path: "topics/foo", as a config change notification spells it. */
char *znode_config_entity_path(char ret_path[ZNODE_PATH_SIZE], struct str entity_path);
/* parent "/" name, for the children of a listing. */
char *znode_child_path(char ret_path[ZNODE_PATH_SIZE], const char *parent, const char *name);
/* What "create -s" is asked for, e.g. "/config/changes/config_change_". */
char *znode_sequential_path(char ret_path[ZNODE_PATH_SIZE], const char *parent, const char *prefix);

/* The last part of a path. */
const char *znode_name(const char *path);
/* Number of a sequential node ("config_change_0000000012" with its prefix): -1 when it is none. */
int64_t znode_sequence(const char *name, const char *prefix);
/* A decimal child name such as a broker id or partition number; -1 when it is none. */
int32_t znode_number(const char *name);
/* Paths that hold secrets: with zookeeper.set.acl nobody but the creators may read them. */
bool znode_is_sensitive(const char *path);

#endif
