import java.time.Duration;
import java.util.*;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.TopicPartition;

/**
 * Consumers in a group: cooperative-sticky, static members, commits with metadata, fencing; and the other assignors.
 */
class GroupSteps {
    static final String TOPIC = "j-shared", GROUP = "j-group";
    static KafkaConsumer<byte[], byte[]> first;
    static KafkaConsumer<byte[], byte[]> second;

    static KafkaConsumer<byte[], byte[]> member(String group, String instance, Map<String, ?> settings) {
        Map<String, Object> all =
                new HashMap<>(Map.of("group.id", group, "session.timeout.ms", 30000, "heartbeat.interval.ms", 300,
                        "partition.assignment.strategy", CooperativeStickyAssignor.class.getName()));
        if (instance != null) {
            all.put("group.instance.id", instance);
        }
        all.putAll(settings);
        return ConsumerSteps.consumer(all);
    }

    /** All are polled until each has its share, in one generation. */
    private static void awaitShares(String what, int partitions, List<KafkaConsumer<byte[], byte[]>> members)
            throws Exception {
        Steps.await(what, () -> {
            members.forEach(member -> member.poll(Duration.ofMillis(50)));
            return members.stream().allMatch(member -> member.assignment().size() == partitions / members.size())
                    && members.stream().mapToInt(member -> member.groupMetadata().generationId()).distinct().count() == 1;
        });
    }

    private static String committed(KafkaConsumer<byte[], byte[]> consumer, TopicPartition... partitions) {
        return Steps.byName(consumer.committed(Set.of(partitions))).toString();
    }

    static void run() throws Exception {
        AdminSteps.create(TOPIC, AdminSteps.FOUR, Map.of("retention.ms", "-1")); // the records are old
        try (var producer = ProducerSteps.producer(Map.of())) {
            for (int i = 0; i < 40; i++) {
                producer.send(new org.apache.kafka.clients.producer.ProducerRecord<>(
                        TOPIC, i % 4, ProducerSteps.FIRST_MS + i, null, ProducerSteps.bytes("" + i)));
            }
        }
        shared();
        commits();
        absence();
        Steps.step("fenced by its own instance id", GroupSteps::fenced);
        withEveryAssignor();
        alone();
    }

    private static void shared() throws Exception {
        first = member(GROUP, "i1", Map.of());
        first.subscribe(List.of(TOPIC));
        awaitShares("one member", 4, List.of(first));
        Steps.say("one member", Steps.sorted(first.assignment()));
        second = member(GROUP, "i2", Map.of());
        second.subscribe(List.of(TOPIC));
        awaitShares("two members", 4, List.of(first, second));
        Steps.say("two members",
                first.assignment().size() + " and " + second.assignment().size() + ", instances "
                        + first.groupMetadata().groupInstanceId() + " " + second.groupMetadata().groupInstanceId()
                        + ", one generation "
                        + (first.groupMetadata().generationId() == second.groupMetadata().generationId()));
    }

    private static void commits() {
        TopicPartition mine = first.assignment().iterator().next(), another = second.assignment().iterator().next();
        Steps.step("commit", () -> {
            first.commitSync(Map.of(mine, new OffsetAndMetadata(3, Optional.of(0), "what I noted")));
            return first.committed(Set.of(mine)).get(mine);
        });
        Steps.step("commit with much to say", () -> {
            first.commitSync(Map.of(mine, new OffsetAndMetadata(4, "x".repeat(5000))));
            return "ok";
        });
        Steps.step("commit to what another has", () -> {
            first.commitSync(Map.of(another, new OffsetAndMetadata(2)));
            return first.committed(Set.of(another)).get(another);
        });
        Steps.step("commit to an unknown topic", () -> {
            first.commitSync(
                    Map.of(new TopicPartition("j-nosuch", 0), new OffsetAndMetadata(2)), Duration.ofSeconds(2));
            return "ok";
        });
        Steps.step("commit without waiting", () -> {
            List<String> told = new ArrayList<>();
            first.commitAsync(
                    Map.of(mine, new OffsetAndMetadata(5)), (offsets, error) -> told.add(offsets.size() + " " + error));
            Steps.await("the commit", () -> {
                first.poll(Duration.ofMillis(20));
                return !told.isEmpty();
            });
            return told + " " + first.committed(Set.of(mine)).get(mine);
        });
        Steps.step("committed of an unknown topic", () -> committed(first, new TopicPartition("j-nosuch", 0)));
    }

    /** A static member that goes keeps its place, and finds it again without a rebalance. */
    private static void absence() throws Exception {
        List<String> had = Steps.sorted(second.assignment());
        int generation = second.groupMetadata().generationId();
        String id = second.groupMetadata().memberId();
        second.close();
        for (int i = 0; i < 20; i++) {
            first.poll(Duration.ofMillis(50));
        }
        Steps.say("while it is away the other has",
                first.assignment().size() + " in the same generation "
                        + (first.groupMetadata().generationId() == generation));
        second = member(GROUP, "i2", Map.of());
        second.subscribe(List.of(TOPIC));
        awaitShares("its return", 4, List.of(first, second));
        Steps.say("it returns to what it had",
                Steps.sorted(second.assignment()).equals(had) + ", in the same generation "
                        + (second.groupMetadata().generationId() == generation) + ", under the same id "
                        + second.groupMetadata().memberId().equals(id));
    }

    private static Object fenced() throws Exception {
        try (KafkaConsumer<byte[], byte[]> twin = member(GROUP, "i2", Map.of())) {
            twin.subscribe(List.of(TOPIC));
            Steps.await("the twin", () -> {
                twin.poll(Duration.ofMillis(50));
                return twin.assignment().size() == 2;
            });
            for (int i = 0; i < 200; i++) {
                second.poll(Duration.ofMillis(50));
            }
            return "nothing";
        } finally {
            second.close();
            second = member(GROUP, "i2", Map.of());
            second.subscribe(List.of(TOPIC));
            awaitShares("the return of the fenced", 4, List.of(first, second));
        }
    }

    private static void withEveryAssignor() throws Exception {
        for (Class<?> assignor : List.of(RangeAssignor.class, RoundRobinAssignor.class, StickyAssignor.class)) {
            String group = "j-" + assignor.getSimpleName();
            Map<String, ?> settings = Map.of("partition.assignment.strategy", assignor.getName());
            try (var one = member(group, null, settings); var other = member(group, null, settings)) {
                one.subscribe(java.util.regex.Pattern.compile("j-shar.*"));
                other.subscribe(List.of(TOPIC));
                awaitShares(assignor.getSimpleName(), 4, List.of(one, other));
                Steps.say(assignor.getSimpleName(),
                        one.assignment().size() + " and " + other.assignment().size() + " "
                                + committed(one, new TopicPartition(TOPIC, 0)));
                one.unsubscribe();
                awaitShares(assignor.getSimpleName(), 4, List.of(other));
                Steps.say(assignor.getSimpleName() + " alone", other.assignment().size());
            }
        }
    }

    /**
     * Commits of a consumer that was assigned its partitions; what it reads after that, and where it never committed.
     */
    private static void alone() throws Exception {
        TopicPartition zero = new TopicPartition(TOPIC, 0), one = new TopicPartition(TOPIC, 1);
        try (var consumer = member("j-alone", null, Map.of())) {
            consumer.assign(List.of(zero, one));
            Steps.step("committed by nobody", () -> committed(consumer, zero, one));
            consumer.commitSync(Map.of(zero, new OffsetAndMetadata(7, Optional.empty(), "noted")));
        }
        try (var consumer = member("j-alone", null, Map.of("auto.offset.reset", "latest"))) {
            consumer.assign(List.of(zero, one));
            Steps.step("positions",
                    ()
                            -> consumer.position(zero) + " " + consumer.position(one) + " "
                            + committed(consumer, zero, one));
            Steps.step("read on",
                    ()
                            -> ConsumerSteps.read(consumer, 3)
                                       .stream()
                                       .map(ConsumerSteps::shown)
                                       .collect(Collectors.toList()));
        }
        try (var consumer = member("j-alone", null, Map.of("auto.offset.reset", "none"))) {
            consumer.assign(List.of(one));
            Steps.step("no offset to begin at", () -> consumer.poll(Duration.ofSeconds(20)).count());
        }
        try (var consumer = member(GROUP, null, Map.of())) {
            consumer.assign(List.of(zero));
            Steps.step("commit into a group of members", () -> {
                consumer.commitSync(Map.of(zero, new OffsetAndMetadata(1)));
                return "ok";
            });
        }
    }
}
