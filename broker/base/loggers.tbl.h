/* Every logger: whose levels operators see and set with kafka-configs --broker-logger. They carry the names of Kafka's
 * classes with the same duties, so that what people search their logs for is found; check-layers proves that every area
 * that writes a line is here. Sorted; `root` first, which the others follow unless they have a level of their own. */
/* clang-format off */
X("root")
X("kafka.Kafka$")
X("kafka.cluster.Partition")
X("kafka.controller.KafkaController")
X("kafka.coordinator.group.GroupCoordinator")
X("kafka.coordinator.group.GroupMetadataManager")
X("kafka.log.LogCleaner")
X("kafka.log.LogManager")
X("kafka.network.SocketServer")
X("kafka.request.logger")
X("kafka.server.DefaultAlterPartitionManager")
X("kafka.server.DefaultAutoTopicCreationManager")
X("kafka.server.DynamicConfigManager")
X("kafka.server.KafkaApis")
X("kafka.server.KafkaConfig")
X("kafka.server.KafkaServer")
X("kafka.server.ReplicaFetcherThread")
X("kafka.server.ReplicaManager")
X("kafka.server.ZkAdminManager")
X("kafka.zookeeper.ZooKeeperClient")
