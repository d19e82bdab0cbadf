/* The APIs this broker serves: dispatch, ApiVersions and the reference pages come from this table.
 *
 * Included with API(c_name, ENUM_NAME, authorization) defined. c_name is the schema's, ENUM_NAME its spelling in
 * API_LIST; versions are those of the schema. The authorization says what an authorizer will be asked: resource and
 * operation, or EACH where the handler asks per named resource. To add an API: a row here, handle_<c_name>() in a file
 * of its own, and the generated header in dispatch.c. */

API(produce, PRODUCE, AUTHORIZE_EACH_TOPIC_WRITE)
API(fetch, FETCH, AUTHORIZE_EACH_TOPIC_READ)
API(list_offsets, LIST_OFFSETS, AUTHORIZE_EACH_TOPIC_DESCRIBE)
API(metadata, METADATA, AUTHORIZE_EACH_TOPIC_DESCRIBE)
API(leader_and_isr, LEADER_AND_ISR, AUTHORIZE_CLUSTER_ACTION)
API(stop_replica, STOP_REPLICA, AUTHORIZE_CLUSTER_ACTION)
API(update_metadata, UPDATE_METADATA, AUTHORIZE_CLUSTER_ACTION)
API(controlled_shutdown, CONTROLLED_SHUTDOWN, AUTHORIZE_CLUSTER_ACTION)
API(api_versions, API_VERSIONS, AUTHORIZE_NOTHING)
API(create_topics, CREATE_TOPICS, AUTHORIZE_EACH_TOPIC_CREATE)
API(delete_topics, DELETE_TOPICS, AUTHORIZE_EACH_TOPIC_DELETE)
API(delete_records, DELETE_RECORDS, AUTHORIZE_EACH_TOPIC_DELETE)
API(init_producer_id, INIT_PRODUCER_ID, AUTHORIZE_CLUSTER_IDEMPOTENT_WRITE)
API(offset_for_leader_epoch, OFFSET_FOR_LEADER_EPOCH, AUTHORIZE_EACH_TOPIC_DESCRIBE)
API(describe_configs, DESCRIBE_CONFIGS, AUTHORIZE_EACH_CONFIG_DESCRIBE)
API(alter_configs, ALTER_CONFIGS, AUTHORIZE_EACH_CONFIG_ALTER)
API(describe_log_dirs, DESCRIBE_LOG_DIRS, AUTHORIZE_CLUSTER_DESCRIBE)
API(create_partitions, CREATE_PARTITIONS, AUTHORIZE_EACH_TOPIC_ALTER)
API(elect_leaders, ELECT_LEADERS, AUTHORIZE_CLUSTER_ALTER)
API(incremental_alter_configs, INCREMENTAL_ALTER_CONFIGS, AUTHORIZE_EACH_CONFIG_ALTER)
API(alter_partition, ALTER_PARTITION, AUTHORIZE_CLUSTER_ACTION)
API(describe_cluster, DESCRIBE_CLUSTER, AUTHORIZE_CLUSTER_DESCRIBE)
API(allocate_producer_ids, ALLOCATE_PRODUCER_IDS, AUTHORIZE_CLUSTER_ACTION)
