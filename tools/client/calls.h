/* The requests a tool sends, one function each: call_metadata(), call_produce(), ...
 *
 * A call picks the highest version both sides know within the range below, sends, and waits for the answer. The answer
 * and what it points to live in the arena. Returns 0; ERR_NOT_FOUND or ERR_OUT_OF_RANGE when the broker does not serve
 * the request at such a version; ERR_DISCONNECTED, ERR_TIMED_OUT, ERR_CLOSING or ERR_CORRUPT (the connection is then
 * closed). Error codes inside the answer are the caller's to read. */
#ifndef OTTLA_TOOLS_CLIENT_CALLS_H
#define OTTLA_TOOLS_CLIENT_CALLS_H

#include "generated/protocol/alter_configs.h"
#include "generated/protocol/alter_partition_reassignments.h"
#include "generated/protocol/alter_replica_log_dirs.h"
#include "generated/protocol/api_versions.h"
#include "generated/protocol/create_partitions.h"
#include "generated/protocol/create_topics.h"
#include "generated/protocol/delete_groups.h"
#include "generated/protocol/delete_records.h"
#include "generated/protocol/delete_topics.h"
#include "generated/protocol/describe_cluster.h"
#include "generated/protocol/describe_configs.h"
#include "generated/protocol/describe_groups.h"
#include "generated/protocol/describe_log_dirs.h"
#include "generated/protocol/elect_leaders.h"
#include "generated/protocol/fetch.h"
#include "generated/protocol/find_coordinator.h"
#include "generated/protocol/heartbeat.h"
#include "generated/protocol/incremental_alter_configs.h"
#include "generated/protocol/init_producer_id.h"
#include "generated/protocol/join_group.h"
#include "generated/protocol/leave_group.h"
#include "generated/protocol/list_groups.h"
#include "generated/protocol/list_offsets.h"
#include "generated/protocol/list_partition_reassignments.h"
#include "generated/protocol/metadata.h"
#include "generated/protocol/offset_commit.h"
#include "generated/protocol/offset_delete.h"
#include "generated/protocol/offset_fetch.h"
#include "generated/protocol/produce.h"
#include "generated/protocol/sync_group.h"
#include "tools/client/broker_connection.h"

/* name, key, lowest and highest version used, first flexible version */
#define CLIENT_CALLS(X)                                                                                                \
    X(produce, 0, 3, 11, 9)                                                                                            \
    X(fetch, 1, 4, 17, 12)                                                                                             \
    X(list_offsets, 2, 1, 9, 6)                                                                                        \
    X(metadata, 3, 1, 12, 9)                                                                                           \
    X(offset_commit, 8, 7, 9, 8)                                                                                       \
    X(offset_fetch, 9, 5, 7, 6)                                                                                        \
    X(find_coordinator, 10, 0, 6, 3)                                                                                   \
    X(join_group, 11, 5, 9, 6)                                                                                         \
    X(heartbeat, 12, 3, 4, 4)                                                                                          \
    X(leave_group, 13, 3, 5, 4)                                                                                        \
    X(sync_group, 14, 3, 5, 4)                                                                                         \
    X(describe_groups, 15, 0, 5, 5)                                                                                    \
    X(list_groups, 16, 0, 5, 3)                                                                                        \
    X(create_topics, 19, 1, 7, 5)                                                                                      \
    X(delete_topics, 20, 1, 5, 4)                                                                                      \
    X(delete_records, 21, 0, 2, 2)                                                                                     \
    X(init_producer_id, 22, 0, 4, 2)                                                                                   \
    X(describe_configs, 32, 1, 4, 4)                                                                                   \
    X(alter_replica_log_dirs, 34, 1, 2, 2)                                                                             \
    X(describe_log_dirs, 35, 1, 4, 2)                                                                                  \
    X(create_partitions, 37, 0, 3, 2)                                                                                  \
    X(delete_groups, 42, 0, 2, 2)                                                                                      \
    X(elect_leaders, 43, 0, 2, 2)                                                                                      \
    X(incremental_alter_configs, 44, 0, 1, 1)                                                                          \
    X(alter_partition_reassignments, 45, 0, 0, 0)                                                                      \
    X(list_partition_reassignments, 46, 0, 0, 0)                                                                       \
    X(offset_delete, 47, 0, 0, INT16_MAX)                                                                              \
    X(describe_cluster, 60, 0, 1, 0)

#define DECLARE_CALL(name, key, min, max, flexible)                                                                    \
    int call_##name(struct broker_connection *connection, const struct name##_request *request, int64_t deadline_ms,   \
                    struct arena *arena, struct name##_response *ret_response);
CLIENT_CALLS(DECLARE_CALL)
#undef DECLARE_CALL

/* Asks for the ranges the broker serves and keeps them in the connection. */
int call_api_versions(struct broker_connection *connection, int64_t deadline_ms, struct arena *arena,
                      struct api_versions_response *ret_response);

/* A produce with acks=0, which the broker does not answer. */
int call_produce_unanswered(struct broker_connection *connection, const struct produce_request *request,
                            int64_t deadline_ms);

/* A fetch whose answer is not waited for, so that several brokers can be asked at once. The version goes to
 * fetch_take(), once broker_connection_poll_answer() has said 1. */
int fetch_send(struct broker_connection *connection, const struct fetch_request *request, int16_t version,
               int64_t deadline_ms);
int fetch_version(const struct broker_connection *connection, bool topic_ids_known, int16_t *ret_version);
int fetch_take(struct broker_connection *connection, int16_t version, struct arena *arena,
               struct fetch_response *ret_response);

#endif
