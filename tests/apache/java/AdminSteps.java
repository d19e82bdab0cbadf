import java.util.*;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.ConfigResource;

/** Topics, their settings and the cluster, through AdminClient. */
class AdminSteps {
    static final Map<Integer, List<Integer>> FOUR =
            Map.of(0, List.of(1, 2, 3), 1, List.of(2, 3, 1), 2, List.of(3, 1, 2), 3, List.of(1, 3, 2));
    private static final ConfigResource PLACED = new ConfigResource(ConfigResource.Type.TOPIC, "j-placed");
    private static Admin admin;

    static void run() throws Exception {
        admin = Steps.admin;
        cluster();
        creation();
        description();
        settings();
        growth();
        elections();
    }

    static void create(String name, Map<Integer, List<Integer>> placed, Map<String, String> configs) throws Exception {
        admin.createTopics(List.of(new NewTopic(name, placed).configs(configs))).all().get();
        awaitTopic(name, placed.size());
    }

    /** Several times in a row, because each question goes to a broker of the client's choice. */
    static void awaitTopic(String name, int partitions) throws Exception {
        int[] inARow = {0};
        Steps.await(name, () -> {
            inARow[0] = isReady(name, partitions) ? inARow[0] + 1 : 0;
            return inARow[0] == 5;
        });
    }

    private static boolean isReady(String name, int partitions) throws Exception {
        try {
            TopicDescription found = admin.describeTopics(List.of(name)).allTopicNames().get().get(name);
            return found.partitions().size() == partitions
                    && found.partitions().stream().allMatch(
                            p -> p.leader() != null && p.isr().size() == p.replicas().size());
        } catch (java.util.concurrent.ExecutionException e) {
            return false;
        }
    }

    private static void cluster() {
        DescribeClusterResult cluster =
                admin.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true));
        Steps.step("cluster id", () -> cluster.clusterId().get().length());
        Steps.step("controller", () -> cluster.controller().get());
        Steps.step("nodes", () -> Steps.sorted(cluster.nodes().get()));
        Steps.step("authorized operations",
                () -> Steps.sorted(Optional.ofNullable(cluster.authorizedOperations().get()).orElse(Set.of())));
        Steps.step("features", () -> admin.describeFeatures().featureMetadata().get());
        Steps.step("metadata quorum", () -> admin.describeMetadataQuorum().quorumInfo().get());
    }

    private static String created(NewTopic... topics) {
        CreateTopicsResult result = admin.createTopics(List.of(topics));
        return Steps.byName(result.values())
                .keySet()
                .stream()
                .map(name -> name + " " + Steps.outcome(() -> {
                    Config config = result.config(name).get();
                    String set = config.entries()
                                         .stream()
                                         .filter(e -> e.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG)
                                         .map(e -> e.name() + "=" + e.value())
                                         .sorted()
                                         .collect(Collectors.joining(","));
                    return result.numPartitions(name).get() + "x" + result.replicationFactor(name).get() + " [" + set
                            + "] of " + config.entries().size();
                }))
                .collect(Collectors.joining("; "));
    }

    private static void creation() throws Exception {
        Steps.say("create with places",
                created(new NewTopic("j-placed", FOUR)
                                .configs(Map.of("retention.ms", "7200000", "min.insync.replicas", "2"))));
        awaitTopic("j-placed", 4);
        Steps.say("create with counts", created(new NewTopic("j-counted", 2, (short) 3)));
        awaitTopic("j-counted", 2);
        Steps.say("create with defaults", created(new NewTopic("j-default", Optional.empty(), Optional.empty())));
        awaitTopic("j-default", 1);
        Steps.say("create some that cannot be",
                created(new NewTopic("j-placed", 1, (short) 1), new NewTopic("j x", 1, (short) 1),
                        new NewTopic("j-many", 1, (short) 9), new NewTopic("j.placed", 0, (short) 1),
                        new NewTopic("j-bad", 1, (short) 1).configs(Map.of("nosuch", "1"))));
        Steps.step("create only to see", () -> {
            CreateTopicsResult seen = admin.createTopics(
                    List.of(new NewTopic("j-seen", 5, (short) 2)), new CreateTopicsOptions().validateOnly(true));
            return seen.numPartitions("j-seen").get() + "x" + seen.replicationFactor("j-seen").get();
        });
        Steps.step("list",
                ()
                        -> Steps.sorted(admin.listTopics().names().get())
                                   .stream()
                                   .filter(n -> n.startsWith("j-"))
                                   .collect(Collectors.toList()));
    }

    private static String shown(TopicDescription topic) {
        return topic.name() + " internal " + topic.isInternal() + " "
                + topic.partitions()
                          .stream()
                          .map(p
                                  -> p.partition() + ":" + p.leader().id() + ":" + ids(p.replicas()) + ":"
                                          + Steps.sorted(p.isr()).size())
                          .collect(Collectors.joining(" "))
                + " " + (topic.authorizedOperations() == null ? null : Steps.sorted(topic.authorizedOperations()));
    }

    private static List<Integer> ids(List<Node> nodes) {
        return nodes.stream().map(Node::id).collect(Collectors.toList());
    }

    private static void description() throws Exception {
        Steps.step("describe",
                () -> shown(admin.describeTopics(List.of("j-placed")).allTopicNames().get().get("j-placed")));
        Steps.step("describe with operations",
                ()
                        -> shown(admin.describeTopics(List.of("j-placed"),
                                              new DescribeTopicsOptions().includeAuthorizedOperations(true))
                                         .allTopicNames()
                                         .get()
                                         .get("j-placed")));
        Steps.step("describe by id", () -> {
            Uuid id = admin.describeTopics(List.of("j-placed")).allTopicNames().get().get("j-placed").topicId();
            return shown(admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds().get().get(id));
        });
        Steps.step("describe an unknown one", () -> admin.describeTopics(List.of("j-nosuch")).allTopicNames().get());
        Steps.step("describe an unknown id",
                () -> admin.describeTopics(TopicCollection.ofTopicIds(List.of(new Uuid(5, 5)))).allTopicIds().get());
        Steps.step("log directories",
                ()
                        -> admin.describeLogDirs(List.of(1, 2, 3))
                                   .allDescriptions()
                                   .get()
                                   .values()
                                   .stream()
                                   .map(dirs
                                           -> dirs.values()
                                                      .stream()
                                                      .map(dir
                                                              -> dir.error() + " "
                                                                      + dir.replicaInfos()
                                                                                .entrySet()
                                                                                .stream()
                                                                                .filter(e
                                                                                        -> e.getKey()
                                                                                                   .topic()
                                                                                                   .startsWith(
                                                                                                           "j-placed"))
                                                                                .map(e
                                                                                        -> e.getKey() + " "
                                                                                                + e.getValue())
                                                                                .sorted()
                                                                                .collect(Collectors.toList())
                                                                      + dir.totalBytes().isPresent()
                                                                      + dir.usableBytes().isPresent())
                                                      .collect(Collectors.toList()))
                                   .map(Object::toString)
                                   .sorted()
                                   .collect(Collectors.toList()));
        Steps.step("directory of a replica",
                ()
                        -> admin.describeReplicaLogDirs(List.of(new TopicPartitionReplica("j-placed", 0, 2)))
                                   .all()
                                   .get()
                                   .values()
                                   .stream()
                                   .map(info
                                           -> (info.getCurrentReplicaLogDir() != null) + " "
                                                   + info.getCurrentReplicaOffsetLag() + " "
                                                   + info.getFutureReplicaLogDir())
                                   .collect(Collectors.toList()));
        Steps.step("directories of an unknown broker",
                ()
                        -> admin.describeLogDirs(List.of(77), new DescribeLogDirsOptions().timeoutMs(2000))
                                   .allDescriptions()
                                   .get());
    }

    private static String shown(ConfigEntry e) {
        return e.name() + "=" + e.value() + " " + e.source() + " " + e.type() + (e.isReadOnly() ? " fixed" : "")
                + (e.isSensitive() ? " secret" : "")
                + e.synonyms()
                          .stream()
                          .map(s -> " " + s.source() + ":" + s.name() + "=" + s.value())
                          .collect(Collectors.joining());
    }

    /** A line for every setting. */
    private static void describeConfigs(String step, ConfigResource resource) throws Exception {
        Config config = admin.describeConfigs(List.of(resource), new DescribeConfigsOptions().includeSynonyms(true))
                                .all()
                                .get()
                                .get(resource);
        config.entries().stream().map(AdminSteps::shown).sorted().forEach(line -> Steps.say(step, line));
    }

    private static String alter(ConfigResource resource, boolean isTrial, AlterConfigOp... ops) {
        return Steps.done(()
                                  -> admin.incrementalAlterConfigs(Map.of(resource, List.of(ops)),
                                                  new AlterConfigsOptions().validateOnly(isTrial).timeoutMs(3000))
                                             .all()
                                             .get());
    }

    private static AlterConfigOp op(OpType type, String name, String value) {
        return new AlterConfigOp(new ConfigEntry(name, value), type);
    }

    /** Once the broker asked tells it: a change reaches brokers by a notification. */
    private static void awaitValue(ConfigResource resource, String name, String value) throws Exception {
        Steps.await(name, () -> {
            ConfigEntry entry = admin.describeConfigs(List.of(resource)).all().get().get(resource).get(name);
            return entry != null && Objects.equals(entry.value(), value);
        });
    }

    private static void settings() throws Exception {
        ConfigResource one = new ConfigResource(ConfigResource.Type.BROKER, "1"),
                       all = new ConfigResource(ConfigResource.Type.BROKER, "");
        Steps.say("set",
                alter(PLACED, false, op(OpType.SET, "retention.ms", "3600000"),
                        op(OpType.APPEND, "cleanup.policy", "compact"),
                        op(OpType.DELETE, "min.insync.replicas", null)));
        Steps.say("set only to see", alter(PLACED, true, op(OpType.SET, "retention.ms", "1")));
        Steps.say("set what there is not", alter(PLACED, false, op(OpType.SET, "nosuch", "1")));
        Steps.say("set badly", alter(PLACED, false, op(OpType.SET, "retention.ms", "abc")));
        Steps.say("append to what is no list", alter(PLACED, false, op(OpType.APPEND, "retention.ms", "1")));
        Steps.say("set in an unknown topic",
                alter(new ConfigResource(ConfigResource.Type.TOPIC, "j-nosuch"), false,
                        op(OpType.SET, "retention.ms", "1")));
        describeConfigs("topic's setting", PLACED);
        Steps.say("subtract", alter(PLACED, false, op(OpType.SUBTRACT, "cleanup.policy", "compact")));
        awaitValue(PLACED, "cleanup.policy", "delete");
        Steps.say("set in a broker", alter(one, false, op(OpType.SET, "log.cleaner.threads", "2")));
        Steps.say("set in all brokers",
                alter(all, false, op(OpType.SET, "num.io.threads", "9"),
                        op(OpType.SET, "log.retention.ms", "90000000")));
        Steps.say("set in a broker what is fixed", alter(one, false, op(OpType.SET, "broker.id", "9")));
        Steps.say("set in an unknown broker",
                alter(new ConfigResource(ConfigResource.Type.BROKER, "77"), false,
                        op(OpType.SET, "log.cleaner.threads", "2")));
        awaitValue(one, "log.cleaner.threads", "2");
        awaitValue(one, "log.retention.ms", "90000000");
        describeConfigs("broker's setting", one);
        describeConfigs("all brokers' setting", all);
        Steps.say("unset in a broker", alter(one, false, op(OpType.DELETE, "log.cleaner.threads", null)));
        awaitValue(one, "log.cleaner.threads", "1");
        Steps.say("unset in all brokers",
                alter(all, false, op(OpType.DELETE, "num.io.threads", null),
                        op(OpType.DELETE, "log.retention.ms", null)));
        awaitValue(one, "num.io.threads", "8");
        Steps.step("settings of an unknown broker",
                () -> admin.describeConfigs(List.of(new ConfigResource(ConfigResource.Type.BROKER, "x"))).all().get());
        Steps.step("settings of an unknown topic",
                ()
                        -> admin.describeConfigs(List.of(new ConfigResource(ConfigResource.Type.TOPIC, "j-nosuch")))
                                   .all()
                                   .get());
    }

    private static void growth() throws Exception {
        Steps.step("more partitions",
                ()
                        -> Steps.done(()
                                              -> admin
                                                         .createPartitions(Map.of("j-counted",
                                                                 NewPartitions.increaseTo(4,
                                                                         List.of(List.of(1, 2, 3), List.of(2, 3, 1)))))
                                                         .all()
                                                         .get()));
        awaitTopic("j-counted", 4);
        Steps.step("fewer partitions",
                () -> admin.createPartitions(Map.of("j-counted", NewPartitions.increaseTo(2))).all().get());
        Steps.step("as many partitions",
                () -> admin.createPartitions(Map.of("j-counted", NewPartitions.increaseTo(4))).all().get());
        Steps.step("partitions on too few brokers",
                ()
                        -> admin.createPartitions(Map.of("j-counted", NewPartitions.increaseTo(5, List.of(List.of(1)))))
                                   .all()
                                   .get());
        Steps.step("partitions of an unknown topic",
                () -> admin.createPartitions(Map.of("j-nosuch", NewPartitions.increaseTo(5))).all().get());
    }

    private static void elections() {
        TopicPartition known = new TopicPartition("j-placed", 0), unknown = new TopicPartition("j-nosuch", 0);
        for (ElectionType type : ElectionType.values()) {
            Steps.step(type + " election",
                    ()
                            -> Steps.byName(admin.electLeaders(type, Set.of(known, unknown)).partitions().get())
                                       .entrySet()
                                       .stream()
                                       .map(e
                                               -> e.getKey() + " "
                                                       + e.getValue()
                                                                 .map(error -> error.getClass().getSimpleName())
                                                                 .orElse("elected"))
                                       .collect(Collectors.toList()));
        }
        Steps.step(
                "election everywhere", () -> admin.electLeaders(ElectionType.UNCLEAN, null).partitions().get().size());
    }

    static void end() throws Exception {
        Uuid id = admin.describeTopics(List.of("j-default")).allTopicNames().get().get("j-default").topicId();
        Steps.say("delete by id",
                Steps.done(() -> admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all().get()));
        Steps.say("delete", Steps.done(() -> admin.deleteTopics(List.of("j-placed", "j-counted")).all().get()));
        Steps.say("delete an unknown one", Steps.done(() -> admin.deleteTopics(List.of("j-nosuch")).all().get()));
        Steps.say("delete an unknown id",
                Steps.done(() -> admin.deleteTopics(TopicCollection.ofTopicIds(List.of(new Uuid(5, 5)))).all().get()));
        Steps.await("the topics to go",
                ()
                        -> admin.listTopics().names().get().stream().noneMatch(
                                Set.of("j-default", "j-placed", "j-counted")::contains));
    }
}
