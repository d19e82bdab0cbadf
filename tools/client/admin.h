/* Admin calls as tools make them: to whichever broker serves them, tried again while the cluster says "not now".
 *
 * Each returns 0 or a negative code with the failure set. Error codes of single topics or partitions inside an answer
 * stay the caller's. */
#ifndef OTTLA_TOOLS_CLIENT_ADMIN_H
#define OTTLA_TOOLS_CLIENT_ADMIN_H

#include "broker/protocol/errors.h"
#include "tools/client/client.h"

/* Topics sorted by name; those with an error of their own are in it too. */
int admin_list_topics(struct client *client, struct arena *arena, struct metadata_response *ret_response,
                      struct failure *failure);

int admin_create_topics(struct client *client, const struct create_topics_request *request, struct arena *arena,
                        struct create_topics_response *ret_response, struct failure *failure);
int admin_delete_topics(struct client *client, const struct delete_topics_request *request, struct arena *arena,
                        struct delete_topics_response *ret_response, struct failure *failure);
int admin_create_partitions(struct client *client, const struct create_partitions_request *request, struct arena *arena,
                            struct create_partitions_response *ret_response, struct failure *failure);
int admin_elect_leaders(struct client *client, const struct elect_leaders_request *request, struct arena *arena,
                        struct elect_leaders_response *ret_response, struct failure *failure);
int admin_alter_reassignments(struct client *client, const struct alter_partition_reassignments_request *request,
                              struct arena *arena, struct alter_partition_reassignments_response *ret_response,
                              struct failure *failure);
int admin_list_reassignments(struct client *client, const struct list_partition_reassignments_request *request,
                             struct arena *arena, struct list_partition_reassignments_response *ret_response,
                             struct failure *failure);

/* Both go to any broker, or to broker `node_id` when it is not negative (a broker's own settings). */
int admin_describe_configs(struct client *client, int32_t node_id, const struct describe_configs_request *request,
                           struct arena *arena, struct describe_configs_response *ret_response,
                           struct failure *failure);
int admin_alter_configs(struct client *client, int32_t node_id, const struct incremental_alter_configs_request *request,
                        struct arena *arena, struct incremental_alter_configs_response *ret_response,
                        struct failure *failure);

/* Both go to broker `node_id`. */
int admin_describe_log_dirs(struct client *client, int32_t node_id, const struct describe_log_dirs_request *request,
                            struct arena *arena, struct describe_log_dirs_response *ret_response,
                            struct failure *failure);
int admin_alter_log_dirs(struct client *client, int32_t node_id, const struct alter_replica_log_dirs_request *request,
                         struct arena *arena, struct alter_replica_log_dirs_response *ret_response,
                         struct failure *failure);

/* Whether a topic is Kafka's own. */
bool topic_is_internal(struct str name);

#endif
