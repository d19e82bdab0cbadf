/* The retry rules of admin calls. */
#include "tools/client/admin.h"

#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"

bool topic_is_internal(struct str name) {
    return str_equal_text(name, "__consumer_offsets") || str_equal_text(name, "__transaction_state") ||
           str_equal_text(name, "__share_group_state");
}

static int compare_topics(const void *a, const void *b) {
    const struct metadata_response_metadata_response_topic *left = a;
    const struct metadata_response_metadata_response_topic *right = b;
    return str_compare(left->name, right->name);
}

static int compare_partitions(const void *a, const void *b) {
    const struct metadata_response_metadata_response_partition *left = a;
    const struct metadata_response_metadata_response_partition *right = b;
    return (left->partition_index > right->partition_index) - (left->partition_index < right->partition_index);
}

int admin_list_topics(struct client *client, struct arena *arena, struct metadata_response *ret_response,
                      struct failure *failure) {
    int error = client_metadata(client, NULL, -1, false, client_deadline(client), arena, ret_response);
    if (error != 0) {
        client_failure(failure, error, "listTopics");
        return error;
    }
    if (ret_response->topics_count > 0) {
        qsort(ret_response->topics, (size_t)ret_response->topics_count, sizeof *ret_response->topics, compare_topics);
    }
    for (int32_t i = 0; i < ret_response->topics_count; i++) {
        struct metadata_response_metadata_response_topic *topic = &ret_response->topics[i];
        if (topic->partitions_count > 0) {
            qsort(topic->partitions, (size_t)topic->partitions_count, sizeof *topic->partitions, compare_partitions);
        }
    }
    return 0;
}

/* After a failed try: waits, or gives up with the reason in words. Returns 0 to try again. */
static int retry(struct client *client, int error, int64_t deadline_ms, const char *call_name,
                 struct failure *failure) {
    if (error == ERR_DISCONNECTED || error == ERR_TIMED_OUT || error == 0) {
        error = client_backoff(client, deadline_ms);
    }
    if (error != 0) {
        client_failure(failure, error, call_name);
    }
    return error;
}

static int64_t request_deadline(const struct client *client, int64_t deadline_ms) {
    return MIN(deadline_ms, monotonic_ms() + client->settings.request_timeout_ms);
}

static int16_t create_topics_code(const struct create_topics_response *response) {
    return response->topics_count > 0 ? response->topics[0].error_code : 0;
}

static int16_t delete_topics_code(const struct delete_topics_response *response) {
    return response->responses_count > 0 ? response->responses[0].error_code : 0;
}

static int16_t create_partitions_code(const struct create_partitions_response *response) {
    return response->results_count > 0 ? response->results[0].error_code : 0;
}

static int16_t elect_leaders_code(const struct elect_leaders_response *response) {
    if (response->error_code != 0 || response->replica_election_results_count <= 0 ||
        response->replica_election_results[0].partition_result_count <= 0) {
        return response->error_code;
    }
    return response->replica_election_results[0].partition_result[0].error_code;
}

static int16_t list_partition_reassignments_code(const struct list_partition_reassignments_response *response) {
    return response->error_code;
}

static int16_t alter_partition_reassignments_code(const struct alter_partition_reassignments_response *response) {
    return response->error_code;
}

/* These go to the controller; NOT_CONTROLLER means look for it again. */
#define DEFINE_CONTROLLER_CALL(function, api, call_name)                                                               \
    int function(struct client *client, const struct api##_request *request, struct arena *arena,                      \
                 struct api##_response *ret_response, struct failure *failure) {                                       \
        int64_t deadline_ms = client_deadline(client);                                                                 \
        for (;;) {                                                                                                     \
            struct broker_connection *connection;                                                                      \
            int error = client_controller(client, deadline_ms, arena, &connection);                                    \
            if (error == 0) {                                                                                          \
                error = call_##api(connection, request, request_deadline(client, deadline_ms), arena, ret_response);   \
            }                                                                                                          \
            if (error == 0 && api##_code(ret_response) != KAFKA_NOT_CONTROLLER) {                                      \
                return 0;                                                                                              \
            }                                                                                                          \
            client_forget_controller(client);                                                                          \
            error = retry(client, error, deadline_ms, call_name, failure);                                             \
            if (error != 0) {                                                                                          \
                return error;                                                                                          \
            }                                                                                                          \
        }                                                                                                              \
    }

DEFINE_CONTROLLER_CALL(admin_create_topics, create_topics, "createTopics")
DEFINE_CONTROLLER_CALL(admin_delete_topics, delete_topics, "deleteTopics")
DEFINE_CONTROLLER_CALL(admin_create_partitions, create_partitions, "createPartitions")
DEFINE_CONTROLLER_CALL(admin_elect_leaders, elect_leaders, "electLeaders")
DEFINE_CONTROLLER_CALL(admin_alter_reassignments, alter_partition_reassignments, "alterPartitionReassignments")
DEFINE_CONTROLLER_CALL(admin_list_reassignments, list_partition_reassignments, "listPartitionReassignments")

/* A named broker must be known before it can be asked; any broker will do for the rest. */
static int connect_to(struct client *client, int32_t node_id, int64_t deadline_ms, struct arena *arena,
                      struct broker_connection **ret_connection) {
    if (node_id < 0) {
        return client_any(client, deadline_ms, ret_connection);
    }
    int error = 0;
    if (client_find_node(client, node_id) == NULL) {
        struct metadata_response response;
        error = client_metadata(client, NULL, 0, false, deadline_ms, arena, &response);
    }
    if (error == 0) {
        error = client_node(client, node_id, deadline_ms, ret_connection);
        error = error == ERR_NOT_FOUND ? ERR_DISCONNECTED : error;
    }
    return error;
}

#define DEFINE_NODE_CALL(function, api, call_name)                                                                     \
    int function(struct client *client, int32_t node_id, const struct api##_request *request, struct arena *arena,     \
                 struct api##_response *ret_response, struct failure *failure) {                                       \
        int64_t deadline_ms = client_deadline(client);                                                                 \
        for (;;) {                                                                                                     \
            struct broker_connection *connection;                                                                      \
            int error = connect_to(client, node_id, deadline_ms, arena, &connection);                                  \
            if (error == 0) {                                                                                          \
                error = call_##api(connection, request, request_deadline(client, deadline_ms), arena, ret_response);   \
            }                                                                                                          \
            if (error == 0) {                                                                                          \
                return 0;                                                                                              \
            }                                                                                                          \
            error = retry(client, error, deadline_ms, call_name, failure);                                             \
            if (error != 0) {                                                                                          \
                return error;                                                                                          \
            }                                                                                                          \
        }                                                                                                              \
    }

DEFINE_NODE_CALL(admin_describe_configs, describe_configs, "describeConfigs")
DEFINE_NODE_CALL(admin_alter_configs, incremental_alter_configs, "incrementalAlterConfigs")
DEFINE_NODE_CALL(admin_describe_log_dirs, describe_log_dirs, "describeLogDirs")
DEFINE_NODE_CALL(admin_alter_log_dirs, alter_replica_log_dirs, "alterReplicaLogDirs")
