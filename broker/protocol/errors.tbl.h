/* Kafka's error codes: once, here. To add one, add a row: constant, code, name, may a client retry, the
 * exception that Kafka's tools print for it (in org.apache.kafka.common.errors), one sentence. The constant is
 * KAFKA_<name>; code 56 is called KAFKA_STORAGE_ERROR and keeps that one prefix. Included with KAFKA_ERROR defined. */

KAFKA_ERROR(KAFKA_UNKNOWN_SERVER_ERROR, -1, "UNKNOWN_SERVER_ERROR", false, "UnknownServerException",
            "The broker met an error it did not expect while handling the request.")
KAFKA_ERROR(KAFKA_NONE, 0, "NONE", false, "", "No error.")
KAFKA_ERROR(KAFKA_OFFSET_OUT_OF_RANGE, 1, "OFFSET_OUT_OF_RANGE", false, "OffsetOutOfRangeException",
            "The requested offset is not within the range of offsets maintained by the server.")
KAFKA_ERROR(KAFKA_CORRUPT_MESSAGE, 2, "CORRUPT_MESSAGE", true, "CorruptRecordException",
            "The message did not pass its CRC check, exceeds the size limit, has a null key on a compacted topic, or "
            "is damaged otherwise.")
KAFKA_ERROR(KAFKA_UNKNOWN_TOPIC_OR_PARTITION, 3, "UNKNOWN_TOPIC_OR_PARTITION", true, "UnknownTopicOrPartitionException",
            "This server does not host this topic-partition.")
KAFKA_ERROR(KAFKA_INVALID_FETCH_SIZE, 4, "INVALID_FETCH_SIZE", false, "InvalidFetchSizeException",
            "The fetch size asked for is not valid.")
KAFKA_ERROR(KAFKA_LEADER_NOT_AVAILABLE, 5, "LEADER_NOT_AVAILABLE", true, "LeaderNotAvailableException",
            "There is no leader for this topic-partition while an election is under way.")
KAFKA_ERROR(KAFKA_NOT_LEADER_OR_FOLLOWER, 6, "NOT_LEADER_OR_FOLLOWER", true, "NotLeaderOrFollowerException",
            "For requests meant for the leader only, this broker is not the leader; for the rest, it is not a replica "
            "of the topic-partition.")
KAFKA_ERROR(KAFKA_REQUEST_TIMED_OUT, 7, "REQUEST_TIMED_OUT", true, "TimeoutException", "The request timed out.")
KAFKA_ERROR(KAFKA_BROKER_NOT_AVAILABLE, 8, "BROKER_NOT_AVAILABLE", false, "BrokerNotAvailableException",
            "The broker is not available.")
KAFKA_ERROR(
    KAFKA_REPLICA_NOT_AVAILABLE, 9, "REPLICA_NOT_AVAILABLE", true, "ReplicaNotAvailableException",
    "The replica is not available for the topic-partition asked for; brokers may still be learning of a change.")
KAFKA_ERROR(KAFKA_MESSAGE_TOO_LARGE, 10, "MESSAGE_TOO_LARGE", false, "RecordTooLargeException",
            "The request holds a message larger than the broker accepts.")
KAFKA_ERROR(KAFKA_STALE_CONTROLLER_EPOCH, 11, "STALE_CONTROLLER_EPOCH", false, "ControllerMovedException",
            "The controller has moved to another broker.")
KAFKA_ERROR(KAFKA_OFFSET_METADATA_TOO_LARGE, 12, "OFFSET_METADATA_TOO_LARGE", false, "OffsetMetadataTooLarge",
            "The metadata field of the offset commit is too large.")
KAFKA_ERROR(KAFKA_NETWORK_EXCEPTION, 13, "NETWORK_EXCEPTION", true, "NetworkException",
            "The connection ended before an answer was received.")
KAFKA_ERROR(KAFKA_COORDINATOR_LOAD_IN_PROGRESS, 14, "COORDINATOR_LOAD_IN_PROGRESS", true,
            "CoordinatorLoadInProgressException",
            "The coordinator is still loading its state and cannot serve the request yet.")
KAFKA_ERROR(KAFKA_COORDINATOR_NOT_AVAILABLE, 15, "COORDINATOR_NOT_AVAILABLE", true, "CoordinatorNotAvailableException",
            "The coordinator is not available.")
KAFKA_ERROR(KAFKA_NOT_COORDINATOR, 16, "NOT_COORDINATOR", true, "NotCoordinatorException",
            "This broker is not the coordinator asked for.")
KAFKA_ERROR(KAFKA_INVALID_TOPIC_EXCEPTION, 17, "INVALID_TOPIC_EXCEPTION", false, "InvalidTopicException",
            "The operation was tried on a topic that is not valid.")
KAFKA_ERROR(KAFKA_RECORD_LIST_TOO_LARGE, 18, "RECORD_LIST_TOO_LARGE", false, "RecordBatchTooLargeException",
            "The request holds a batch of messages larger than a segment of the log.")
KAFKA_ERROR(KAFKA_NOT_ENOUGH_REPLICAS, 19, "NOT_ENOUGH_REPLICAS", true, "NotEnoughReplicasException",
            "Messages are rejected since there are fewer in-sync replicas than required.")
KAFKA_ERROR(KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND, 20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", true,
            "NotEnoughReplicasAfterAppendException",
            "Messages were written to the log, but to fewer in-sync replicas than required.")
KAFKA_ERROR(KAFKA_INVALID_REQUIRED_ACKS, 21, "INVALID_REQUIRED_ACKS", false, "InvalidRequiredAcksException",
            "The acks value of the produce request is not valid.")
KAFKA_ERROR(KAFKA_ILLEGAL_GENERATION, 22, "ILLEGAL_GENERATION", false, "IllegalGenerationException",
            "The generation given is not the one the group is in.")
KAFKA_ERROR(KAFKA_INCONSISTENT_GROUP_PROTOCOL, 23, "INCONSISTENT_GROUP_PROTOCOL", false,
            "InconsistentGroupProtocolException",
            "The member's protocol type or protocols do not fit those of the group's other members.")
KAFKA_ERROR(KAFKA_INVALID_GROUP_ID, 24, "INVALID_GROUP_ID", false, "InvalidGroupIdException",
            "The configured groupId is invalid.")
KAFKA_ERROR(KAFKA_UNKNOWN_MEMBER_ID, 25, "UNKNOWN_MEMBER_ID", false, "UnknownMemberIdException",
            "The coordinator does not know this member.")
KAFKA_ERROR(KAFKA_INVALID_SESSION_TIMEOUT, 26, "INVALID_SESSION_TIMEOUT", false, "InvalidSessionTimeoutException",
            "The session timeout lies outside the range the broker allows (group.min.session.timeout.ms to "
            "group.max.session.timeout.ms).")
KAFKA_ERROR(KAFKA_REBALANCE_IN_PROGRESS, 27, "REBALANCE_IN_PROGRESS", false, "RebalanceInProgressException",
            "The group is rebalancing, so the member has to join again.")
KAFKA_ERROR(KAFKA_INVALID_COMMIT_OFFSET_SIZE, 28, "INVALID_COMMIT_OFFSET_SIZE", false,
            "InvalidCommitOffsetSizeException", "The offset commit is too large to be stored.")
KAFKA_ERROR(KAFKA_TOPIC_AUTHORIZATION_FAILED, 29, "TOPIC_AUTHORIZATION_FAILED", false, "TopicAuthorizationException",
            "Topic authorization failed.")
KAFKA_ERROR(KAFKA_GROUP_AUTHORIZATION_FAILED, 30, "GROUP_AUTHORIZATION_FAILED", false, "GroupAuthorizationException",
            "Group authorization failed.")
KAFKA_ERROR(KAFKA_CLUSTER_AUTHORIZATION_FAILED, 31, "CLUSTER_AUTHORIZATION_FAILED", false,
            "ClusterAuthorizationException", "Cluster authorization failed.")
KAFKA_ERROR(KAFKA_INVALID_TIMESTAMP, 32, "INVALID_TIMESTAMP", false, "InvalidTimestampException",
            "The timestamp of the message lies outside the range that is accepted.")
KAFKA_ERROR(KAFKA_UNSUPPORTED_SASL_MECHANISM, 33, "UNSUPPORTED_SASL_MECHANISM", false,
            "UnsupportedSaslMechanismException", "The broker does not support the SASL mechanism asked for.")
KAFKA_ERROR(KAFKA_ILLEGAL_SASL_STATE, 34, "ILLEGAL_SASL_STATE", false, "IllegalSaslStateException",
            "The request is not valid in the present SASL state.")
KAFKA_ERROR(KAFKA_UNSUPPORTED_VERSION, 35, "UNSUPPORTED_VERSION", false, "UnsupportedVersionException",
            "The version of the API is not supported.")
KAFKA_ERROR(KAFKA_TOPIC_ALREADY_EXISTS, 36, "TOPIC_ALREADY_EXISTS", false, "TopicExistsException",
            "A topic of this name already exists.")
KAFKA_ERROR(KAFKA_INVALID_PARTITIONS, 37, "INVALID_PARTITIONS", false, "InvalidPartitionsException",
            "The number of partitions is below 1.")
KAFKA_ERROR(KAFKA_INVALID_REPLICATION_FACTOR, 38, "INVALID_REPLICATION_FACTOR", false,
            "InvalidReplicationFactorException",
            "The replication factor is below 1 or above the number of brokers available.")
KAFKA_ERROR(KAFKA_INVALID_REPLICA_ASSIGNMENT, 39, "INVALID_REPLICA_ASSIGNMENT", false,
            "InvalidReplicaAssignmentException", "The replica assignment is not valid.")
KAFKA_ERROR(KAFKA_INVALID_CONFIG, 40, "INVALID_CONFIG", false, "InvalidConfigurationException",
            "The configuration is not valid.")
KAFKA_ERROR(KAFKA_NOT_CONTROLLER, 41, "NOT_CONTROLLER", true, "NotControllerException",
            "This broker is not the controller of the cluster.")
KAFKA_ERROR(KAFKA_INVALID_REQUEST, 42, "INVALID_REQUEST", false, "InvalidRequestException",
            "The request cannot be understood as it stands: a field conflicts with the protocol or misses what it "
            "needs. See the broker's log.")
KAFKA_ERROR(KAFKA_UNSUPPORTED_FOR_MESSAGE_FORMAT, 43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", false,
            "UnsupportedForMessageFormatException",
            "The message format of the broker's log does not support the request.")
KAFKA_ERROR(KAFKA_POLICY_VIOLATION, 44, "POLICY_VIOLATION", false, "PolicyViolationException",
            "The request does not satisfy the policy configured.")
KAFKA_ERROR(KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER, 45, "OUT_OF_ORDER_SEQUENCE_NUMBER", false,
            "OutOfOrderSequenceException", "The broker received a sequence number out of order.")
KAFKA_ERROR(KAFKA_DUPLICATE_SEQUENCE_NUMBER, 46, "DUPLICATE_SEQUENCE_NUMBER", false, "DuplicateSequenceException",
            "The broker received a sequence number it has already seen.")
KAFKA_ERROR(KAFKA_INVALID_PRODUCER_EPOCH, 47, "INVALID_PRODUCER_EPOCH", false, "InvalidProducerEpochException",
            "The producer tried to write with an old epoch.")
KAFKA_ERROR(KAFKA_INVALID_TXN_STATE, 48, "INVALID_TXN_STATE", false, "InvalidTxnStateException",
            "The producer tried a transactional operation in a state that does not allow it.")
KAFKA_ERROR(KAFKA_INVALID_PRODUCER_ID_MAPPING, 49, "INVALID_PRODUCER_ID_MAPPING", false, "InvalidPidMappingException",
            "The producer tried to use a producer id that does not belong to its transactional id.")
KAFKA_ERROR(KAFKA_INVALID_TRANSACTION_TIMEOUT, 50, "INVALID_TRANSACTION_TIMEOUT", false, "InvalidTxnTimeoutException",
            "The transaction timeout is larger than the broker allows (transaction.max.timeout.ms).")
KAFKA_ERROR(KAFKA_CONCURRENT_TRANSACTIONS, 51, "CONCURRENT_TRANSACTIONS", true, "ConcurrentTransactionsException",
            "The producer tried to change a transaction while another operation on it was in progress.")
KAFKA_ERROR(KAFKA_TRANSACTION_COORDINATOR_FENCED, 52, "TRANSACTION_COORDINATOR_FENCED", false,
            "TransactionCoordinatorFencedException",
            "The transaction coordinator that sent the marker is no longer the current one for the producer.")
KAFKA_ERROR(KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, 53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", false,
            "TransactionalIdAuthorizationException", "Transactional id authorization failed.")
KAFKA_ERROR(KAFKA_SECURITY_DISABLED, 54, "SECURITY_DISABLED", false, "SecurityDisabledException",
            "Security features are disabled.")
KAFKA_ERROR(KAFKA_OPERATION_NOT_ATTEMPTED, 55, "OPERATION_NOT_ATTEMPTED", false, "OperationNotAttemptedException",
            "The broker did not try this operation; this may be because others of the same request failed.")
KAFKA_ERROR(KAFKA_STORAGE_ERROR, 56, "KAFKA_STORAGE_ERROR", true, "KafkaStorageException",
            "The broker met an error of its disk while accessing a log file.")
KAFKA_ERROR(KAFKA_LOG_DIR_NOT_FOUND, 57, "LOG_DIR_NOT_FOUND", false, "LogDirNotFoundException",
            "The log directory asked for is not in the broker's configuration.")
KAFKA_ERROR(KAFKA_SASL_AUTHENTICATION_FAILED, 58, "SASL_AUTHENTICATION_FAILED", false, "SaslAuthenticationException",
            "SASL authentication failed.")
KAFKA_ERROR(
    KAFKA_UNKNOWN_PRODUCER_ID, 59, "UNKNOWN_PRODUCER_ID", false, "UnknownProducerIdException",
    "The broker keeps no state for this producer id, perhaps because its last records were deleted by retention.")
KAFKA_ERROR(KAFKA_REASSIGNMENT_IN_PROGRESS, 60, "REASSIGNMENT_IN_PROGRESS", false, "ReassignmentInProgressException",
            "A partition reassignment is in progress.")
KAFKA_ERROR(KAFKA_DELEGATION_TOKEN_AUTH_DISABLED, 61, "DELEGATION_TOKEN_AUTH_DISABLED", false,
            "DelegationTokenDisabledException", "Delegation tokens are not enabled.")
KAFKA_ERROR(KAFKA_DELEGATION_TOKEN_NOT_FOUND, 62, "DELEGATION_TOKEN_NOT_FOUND", false,
            "DelegationTokenNotFoundException", "The delegation token was not found on the server.")
KAFKA_ERROR(KAFKA_DELEGATION_TOKEN_OWNER_MISMATCH, 63, "DELEGATION_TOKEN_OWNER_MISMATCH", false,
            "DelegationTokenOwnerMismatchException", "The principal is neither owner nor renewer of the token.")
KAFKA_ERROR(KAFKA_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, 64, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", false,
            "UnsupportedByAuthenticationException", "Delegation token requests are not allowed on this connection.")
KAFKA_ERROR(KAFKA_DELEGATION_TOKEN_AUTHORIZATION_FAILED, 65, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", false,
            "DelegationTokenAuthorizationException", "Delegation token authorization failed.")
KAFKA_ERROR(KAFKA_DELEGATION_TOKEN_EXPIRED, 66, "DELEGATION_TOKEN_EXPIRED", false, "DelegationTokenExpiredException",
            "The delegation token has expired.")
KAFKA_ERROR(KAFKA_INVALID_PRINCIPAL_TYPE, 67, "INVALID_PRINCIPAL_TYPE", false, "InvalidPrincipalTypeException",
            "The principal type is not supported.")
KAFKA_ERROR(KAFKA_NON_EMPTY_GROUP, 68, "NON_EMPTY_GROUP", false, "GroupNotEmptyException", "The group is not empty.")
KAFKA_ERROR(KAFKA_GROUP_ID_NOT_FOUND, 69, "GROUP_ID_NOT_FOUND", false, "GroupIdNotFoundException",
            "The group id does not exist.")
KAFKA_ERROR(KAFKA_FETCH_SESSION_ID_NOT_FOUND, 70, "FETCH_SESSION_ID_NOT_FOUND", true, "FetchSessionIdNotFoundException",
            "The fetch session id was not found.")
KAFKA_ERROR(KAFKA_INVALID_FETCH_SESSION_EPOCH, 71, "INVALID_FETCH_SESSION_EPOCH", true,
            "InvalidFetchSessionEpochException", "The epoch of the fetch session is not valid.")
KAFKA_ERROR(KAFKA_LISTENER_NOT_FOUND, 72, "LISTENER_NOT_FOUND", true, "ListenerNotFoundException",
            "The leader has no endpoint on the listener by which the metadata was asked for.")
KAFKA_ERROR(KAFKA_TOPIC_DELETION_DISABLED, 73, "TOPIC_DELETION_DISABLED", false, "TopicDeletionDisabledException",
            "Deleting topics is disabled.")
KAFKA_ERROR(KAFKA_FENCED_LEADER_EPOCH, 74, "FENCED_LEADER_EPOCH", true, "FencedLeaderEpochException",
            "The leader epoch in the request is older than the broker's.")
KAFKA_ERROR(KAFKA_UNKNOWN_LEADER_EPOCH, 75, "UNKNOWN_LEADER_EPOCH", true, "UnknownLeaderEpochException",
            "The leader epoch in the request is newer than the broker's.")
KAFKA_ERROR(KAFKA_UNSUPPORTED_COMPRESSION_TYPE, 76, "UNSUPPORTED_COMPRESSION_TYPE", false,
            "UnsupportedCompressionTypeException", "The client does not support the compression type of the records.")
KAFKA_ERROR(KAFKA_STALE_BROKER_EPOCH, 77, "STALE_BROKER_EPOCH", false, "StaleBrokerEpochException",
            "The broker epoch has changed.")
KAFKA_ERROR(KAFKA_OFFSET_NOT_AVAILABLE, 78, "OFFSET_NOT_AVAILABLE", true, "OffsetNotAvailableException",
            "The leader's high watermark has not yet reached the start of its epoch, so offsets cannot be given.")
KAFKA_ERROR(KAFKA_MEMBER_ID_REQUIRED, 79, "MEMBER_ID_REQUIRED", false, "MemberIdRequiredException",
            "The member has to have a member id before it can join the group.")
KAFKA_ERROR(KAFKA_PREFERRED_LEADER_NOT_AVAILABLE, 80, "PREFERRED_LEADER_NOT_AVAILABLE", true,
            "PreferredLeaderNotAvailableException", "The preferred leader is not available.")
KAFKA_ERROR(KAFKA_GROUP_MAX_SIZE_REACHED, 81, "GROUP_MAX_SIZE_REACHED", false, "GroupMaxSizeReachedException",
            "The group has reached its largest size.")
KAFKA_ERROR(KAFKA_FENCED_INSTANCE_ID, 82, "FENCED_INSTANCE_ID", false, "FencedInstanceIdException",
            "The broker refused this static member because another with the same group instance id has registered "
            "under a different member id.")
KAFKA_ERROR(KAFKA_ELIGIBLE_LEADERS_NOT_AVAILABLE, 83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", true,
            "EligibleLeadersNotAvailableException", "No eligible leader of the topic-partition is available.")
KAFKA_ERROR(KAFKA_ELECTION_NOT_NEEDED, 84, "ELECTION_NOT_NEEDED", true, "ElectionNotNeededException",
            "No election is needed for the topic-partition.")
KAFKA_ERROR(KAFKA_NO_REASSIGNMENT_IN_PROGRESS, 85, "NO_REASSIGNMENT_IN_PROGRESS", false,
            "NoReassignmentInProgressException", "No partition reassignment is in progress.")
KAFKA_ERROR(KAFKA_GROUP_SUBSCRIBED_TO_TOPIC, 86, "GROUP_SUBSCRIBED_TO_TOPIC", false, "GroupSubscribedToTopicException",
            "Deleting offsets of a topic is forbidden while the consumer group is actively subscribed to it.")
KAFKA_ERROR(KAFKA_INVALID_RECORD, 87, "INVALID_RECORD", false, "InvalidRecordException",
            "The broker could not validate the record, so it was rejected.")
KAFKA_ERROR(KAFKA_UNSTABLE_OFFSET_COMMIT, 88, "UNSTABLE_OFFSET_COMMIT", true, "UnstableOffsetCommitException",
            "There are offsets of transactions that have yet to be completed.")
KAFKA_ERROR(KAFKA_THROTTLING_QUOTA_EXCEEDED, 89, "THROTTLING_QUOTA_EXCEEDED", true, "ThrottlingQuotaExceededException",
            "The throttling quota has been exceeded.")
KAFKA_ERROR(KAFKA_PRODUCER_FENCED, 90, "PRODUCER_FENCED", false, "ProducerFencedException",
            "A newer producer with the same transactional id has fenced this one.")
KAFKA_ERROR(KAFKA_RESOURCE_NOT_FOUND, 91, "RESOURCE_NOT_FOUND", false, "ResourceNotFoundException",
            "The request names a resource that does not exist.")
KAFKA_ERROR(KAFKA_DUPLICATE_RESOURCE, 92, "DUPLICATE_RESOURCE", false, "DuplicateResourceException",
            "The request names the same resource more than once.")
KAFKA_ERROR(KAFKA_UNACCEPTABLE_CREDENTIAL, 93, "UNACCEPTABLE_CREDENTIAL", false, "UnacceptableCredentialException",
            "The credential asked for does not meet the criteria of acceptance.")
KAFKA_ERROR(KAFKA_INCONSISTENT_VOTER_SET, 94, "INCONSISTENT_VOTER_SET", false, "InconsistentVoterSetException",
            "Either the sender or the receiver of a voter-only request is not one of the voters expected.")
KAFKA_ERROR(KAFKA_INVALID_UPDATE_VERSION, 95, "INVALID_UPDATE_VERSION", false, "InvalidUpdateVersionException",
            "The update version given is not valid.")
KAFKA_ERROR(KAFKA_FEATURE_UPDATE_FAILED, 96, "FEATURE_UPDATE_FAILED", false, "FeatureUpdateFailedException",
            "Features could not be updated because of an error of the server.")
KAFKA_ERROR(KAFKA_PRINCIPAL_DESERIALIZATION_FAILURE, 97, "PRINCIPAL_DESERIALIZATION_FAILURE", false,
            "PrincipalDeserializationException",
            "The principal could not be read while a request was forwarded; this is an error inside the cluster.")
KAFKA_ERROR(KAFKA_SNAPSHOT_NOT_FOUND, 98, "SNAPSHOT_NOT_FOUND", false, "SnapshotNotFoundException",
            "The snapshot asked for was not found.")
KAFKA_ERROR(KAFKA_POSITION_OUT_OF_RANGE, 99, "POSITION_OUT_OF_RANGE", false, "PositionOutOfRangeException",
            "The position asked for is not below the size of the snapshot and not negative.")
KAFKA_ERROR(KAFKA_UNKNOWN_TOPIC_ID, 100, "UNKNOWN_TOPIC_ID", true, "UnknownTopicIdException",
            "This server does not host this topic id.")
KAFKA_ERROR(KAFKA_DUPLICATE_BROKER_REGISTRATION, 101, "DUPLICATE_BROKER_REGISTRATION", false,
            "DuplicateBrokerRegistrationException", "This broker id is already in use.")
KAFKA_ERROR(KAFKA_BROKER_ID_NOT_REGISTERED, 102, "BROKER_ID_NOT_REGISTERED", false, "BrokerIdNotRegisteredException",
            "This broker id is not registered.")
KAFKA_ERROR(KAFKA_INCONSISTENT_TOPIC_ID, 103, "INCONSISTENT_TOPIC_ID", true, "InconsistentTopicIdException",
            "The topic id of the log does not match the topic id in the request.")
KAFKA_ERROR(KAFKA_INCONSISTENT_CLUSTER_ID, 104, "INCONSISTENT_CLUSTER_ID", false, "InconsistentClusterIdException",
            "The cluster id in the request does not match the one found on the server.")
KAFKA_ERROR(KAFKA_TRANSACTIONAL_ID_NOT_FOUND, 105, "TRANSACTIONAL_ID_NOT_FOUND", false,
            "TransactionalIdNotFoundException", "The transactional id was not found.")
KAFKA_ERROR(KAFKA_FETCH_SESSION_TOPIC_ID_ERROR, 106, "FETCH_SESSION_TOPIC_ID_ERROR", true,
            "FetchSessionTopicIdException", "The fetch session met inconsistent use of topic ids.")
KAFKA_ERROR(KAFKA_INELIGIBLE_REPLICA, 107, "INELIGIBLE_REPLICA", false, "IneligibleReplicaException",
            "The new in-sync set contains at least one replica that is not eligible.")
KAFKA_ERROR(KAFKA_NEW_LEADER_ELECTED, 108, "NEW_LEADER_ELECTED", false, "NewLeaderElectedException",
            "AlterPartition was applied, but the leader has changed.")
KAFKA_ERROR(KAFKA_OFFSET_MOVED_TO_TIERED_STORAGE, 109, "OFFSET_MOVED_TO_TIERED_STORAGE", false,
            "OffsetMovedToTieredStorageException", "The offset asked for has moved to tiered storage.")
KAFKA_ERROR(KAFKA_FENCED_MEMBER_EPOCH, 110, "FENCED_MEMBER_EPOCH", false, "FencedMemberEpochException",
            "The epoch of the member is fenced by the group coordinator; the member has to give up its partitions and "
            "join again.")
KAFKA_ERROR(KAFKA_UNRELEASED_INSTANCE_ID, 111, "UNRELEASED_INSTANCE_ID", false, "UnreleasedInstanceIdException",
            "The instance id is still in use by another member of the group, which has to leave first.")
KAFKA_ERROR(KAFKA_UNSUPPORTED_ASSIGNOR, 112, "UNSUPPORTED_ASSIGNOR", false, "UnsupportedAssignorException",
            "The group coordinator does not support the assignor or its range of versions.")
KAFKA_ERROR(KAFKA_STALE_MEMBER_EPOCH, 113, "STALE_MEMBER_EPOCH", false, "StaleMemberEpochException",
            "The member epoch is stale; the member has to retry with the epoch it receives.")
KAFKA_ERROR(KAFKA_MISMATCHED_ENDPOINT_TYPE, 114, "MISMATCHED_ENDPOINT_TYPE", false, "MismatchedEndpointTypeException",
            "The request was sent to an endpoint of the wrong type.")
KAFKA_ERROR(KAFKA_UNSUPPORTED_ENDPOINT_TYPE, 115, "UNSUPPORTED_ENDPOINT_TYPE", false,
            "UnsupportedEndpointTypeException", "This endpoint type is not supported yet.")
KAFKA_ERROR(KAFKA_UNKNOWN_CONTROLLER_ID, 116, "UNKNOWN_CONTROLLER_ID", false, "UnknownControllerIdException",
            "The controller id is not known.")
KAFKA_ERROR(KAFKA_UNKNOWN_SUBSCRIPTION_ID, 117, "UNKNOWN_SUBSCRIPTION_ID", false, "UnknownSubscriptionIdException",
            "The subscription id of the client's telemetry is unknown or old; it has to ask again.")
KAFKA_ERROR(KAFKA_TELEMETRY_TOO_LARGE, 118, "TELEMETRY_TOO_LARGE", false, "TelemetryTooLargeException",
            "The client sent more telemetry than the broker accepts.")
KAFKA_ERROR(KAFKA_INVALID_REGISTRATION, 119, "INVALID_REGISTRATION", false, "InvalidRegistrationException",
            "The registration of the controller is not valid.")
KAFKA_ERROR(KAFKA_TRANSACTION_ABORTABLE, 120, "TRANSACTION_ABORTABLE", false, "TransactionAbortableException",
            "The server met an error with the transaction; the client can abort it and go on.")
KAFKA_ERROR(KAFKA_INVALID_RECORD_STATE, 121, "INVALID_RECORD_STATE", false, "InvalidRecordStateException",
            "The state of the record is not valid; the acknowledgement of its delivery could not be completed.")
KAFKA_ERROR(KAFKA_SHARE_SESSION_NOT_FOUND, 122, "SHARE_SESSION_NOT_FOUND", true, "ShareSessionNotFoundException",
            "The share session was not found.")
KAFKA_ERROR(KAFKA_INVALID_SHARE_SESSION_EPOCH, 123, "INVALID_SHARE_SESSION_EPOCH", true,
            "InvalidShareSessionEpochException", "The epoch of the share session is not valid.")
KAFKA_ERROR(KAFKA_FENCED_STATE_EPOCH, 124, "FENCED_STATE_EPOCH", false, "FencedStateEpochException",
            "The share coordinator refused the request because the share-group state epoch did not match.")
KAFKA_ERROR(KAFKA_INVALID_VOTER_KEY, 125, "INVALID_VOTER_KEY", false, "InvalidVoterKeyException",
            "The voter key does not match the key of the replica that received it.")
KAFKA_ERROR(KAFKA_DUPLICATE_VOTER, 126, "DUPLICATE_VOTER", false, "DuplicateVoterException",
            "The voter is already one of the voters.")
KAFKA_ERROR(KAFKA_VOTER_NOT_FOUND, 127, "VOTER_NOT_FOUND", false, "VoterNotFoundException",
            "The voter is not one of the voters.")
