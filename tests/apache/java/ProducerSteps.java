import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * The producer: idempotent with acks=all and otherwise, every codec, headers, keys, timestamps, large records,
 * refusals.
 */
class ProducerSteps {
    static final String TOPIC = "j-records";
    static final long FIRST_MS = 1_700_000_000_000L;
    static final int LARGE = 900_000;

    static KafkaProducer<byte[], byte[]> producer(Map<String, ?> settings) {
        return new KafkaProducer<>(Steps.settings(settings), new ByteArraySerializer(), new ByteArraySerializer());
    }

    static byte[] bytes(String text) { return text == null ? null : text.getBytes(StandardCharsets.UTF_8); }

    private static String shown(RecordMetadata sent) {
        return sent.partition() + "@" + sent.offset() + " "
                + (sent.hasTimestamp() ? sent.timestamp() - FIRST_MS : "no time") + " " + sent.serializedKeySize() + "/"
                + sent.serializedValueSize();
    }

    private static ProducerRecord<byte[], byte[]> record(int partition, long at, String key, String value) {
        return new ProducerRecord<>(TOPIC, partition, FIRST_MS + at, bytes(key), bytes(value));
    }

    static void run() throws Exception {
        AdminSteps.create(TOPIC, AdminSteps.FOUR, Map.of("retention.ms", "-1"));
        idempotent();
        withEveryCodec();
        withOtherAcks();
        refused();
        Steps.step("producers of a partition",
                ()
                        -> Steps.admin.describeProducers(List.of(new TopicPartition(TOPIC, 0)))
                                   .all()
                                   .get()
                                   .values()
                                   .stream()
                                   .flatMap(state -> state.activeProducers().stream())
                                   .map(p
                                           -> "epoch " + p.producerEpoch() + " sequence " + p.lastSequence() + " at "
                                                   + (p.lastTimestamp() - FIRST_MS) + " " + p.coordinatorEpoch() + " "
                                                   + p.currentTransactionStartOffset())
                                   .sorted()
                                   .collect(Collectors.toList()));
        Steps.step("producers of an unknown topic",
                ()
                        -> Steps.admin
                                   .describeProducers(List.of(new TopicPartition("j-nosuch", 0)),
                                           new DescribeProducersOptions().timeoutMs(2000))
                                   .all()
                                   .get());
    }

    private static void idempotent() throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer(Map.of(
                     "acks", "all", "enable.idempotence", "true", "max.request.size", 2_000_000, "linger.ms", 5))) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < 100; i++) {
                ProducerRecord<byte[], byte[]> record =
                        record(i % 4, i, i % 3 == 0 ? null : "key " + i % 5, i % 7 == 0 ? null : "value " + i);
                if (i % 2 == 0) {
                    record.headers()
                            .add("number", bytes("" + i))
                            .add("number", bytes("again"))
                            .add(new RecordHeader("nothing", (byte[]) null))
                            .add("", new byte[0]);
                }
                sent.add(producer.send(record));
            }
            byte[] large = new byte[LARGE];
            new Random(7).nextBytes(large);
            sent.add(producer.send(new ProducerRecord<>(TOPIC, 0, FIRST_MS + 500, bytes("large"), large)));
            producer.flush();
            for (Future<RecordMetadata> each : sent) {
                Steps.say("sent", shown(each.get()));
            }
            Steps.step("too large for the broker",
                    ()
                            -> producer.send(new ProducerRecord<>(TOPIC, 0, FIRST_MS + 501, null, new byte[1_500_000]))
                                       .get());
            Steps.step("and goes on", () -> shown(producer.send(record(0, 502, "after", "the large one")).get()));
            Steps.step("partitions of the topic",
                    ()
                            -> producer.partitionsFor(TOPIC)
                                       .stream()
                                       .map(p
                                               -> p.partition() + ":" + p.leader().id() + ":" + p.replicas().length
                                                       + ":" + p.inSyncReplicas().length + ":"
                                                       + p.offlineReplicas().length)
                                       .sorted()
                                       .collect(Collectors.toList()));
        }
    }

    private static void withEveryCodec() throws Exception {
        for (String codec : List.of("gzip", "snappy", "lz4", "zstd")) {
            try (KafkaProducer<byte[], byte[]> producer =
                            producer(Map.of("compression.type", codec, "linger.ms", 1000, "batch.size", 100_000))) {
                List<Future<RecordMetadata>> sent = new ArrayList<>();
                for (int i = 0; i < 50; i++) {
                    sent.add(producer.send(
                            record(1, 1000 + i, codec, codec + " says the same thing over and over, number " + i)));
                }
                producer.flush();
                Steps.say(codec, shown(sent.get(0).get()) + " to " + shown(sent.get(49).get()));
            }
        }
    }

    private static void withOtherAcks() throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer(Map.of("acks", "1", "enable.idempotence", "false"))) {
            Steps.step("acks 1", () -> shown(producer.send(record(2, 2000, "one", "1")).get()));
        }
        try (KafkaProducer<byte[], byte[]> producer = producer(Map.of("acks", "0", "enable.idempotence", "false"))) {
            Steps.step("acks 0", () -> shown(producer.send(record(2, 2001, "none", "0")).get()));
        }
        AdminSteps.create(
                "j-append-time", Map.of(0, List.of(2, 3, 1)), Map.of("message.timestamp.type", "LogAppendTime"));
        try (KafkaProducer<byte[], byte[]> producer = producer(Map.of())) {
            Steps.step("append time", () -> {
                RecordMetadata sent =
                        producer.send(new ProducerRecord<>("j-append-time", 0, 5L, null, bytes("x"))).get();
                return sent.offset() + " " + (sent.timestamp() > FIRST_MS);
            });
        }
    }

    private static void refused() throws Exception {
        AdminSteps.create("j-compacted", Map.of(0, List.of(1, 2, 3)), Map.of("cleanup.policy", "compact"));
        AdminSteps.create("j-strict", Map.of(0, List.of(1, 2, 3)),
                Map.of("message.timestamp.before.max.ms", "1000", "message.timestamp.after.max.ms", "1000"));
        AdminSteps.create("j-unsafe", Map.of(0, List.of(1, 2, 3)), Map.of("min.insync.replicas", "4"));
        AdminSteps.create("j-narrow", Map.of(0, List.of(1, 2, 3)), Map.of("max.message.bytes", "200"));
        Map<String, ?> hasty = Map.of("retries", 0, "enable.idempotence", "false", "delivery.timeout.ms", 20000);
        try (KafkaProducer<byte[], byte[]> producer = producer(hasty)) {
            Steps.step("no key for a compacted topic",
                    () -> producer.send(new ProducerRecord<>("j-compacted", bytes("x"))).get());
            Steps.step("an old timestamp",
                    () -> producer.send(new ProducerRecord<>("j-strict", 0, 5L, null, bytes("x"))).get());
            Steps.step("a timestamp to come",
                    ()
                            -> producer.send(new ProducerRecord<>("j-strict", 0, Long.MAX_VALUE - 5, null, bytes("x")))
                                       .get());
            Steps.step("too few replicas in sync",
                    () -> producer.send(new ProducerRecord<>("j-unsafe", bytes("x"))).get());
            Steps.step("too large for the topic",
                    () -> producer.send(new ProducerRecord<>("j-narrow", new byte[300])).get());
            Steps.step("an invalid name", () -> producer.send(new ProducerRecord<>("j x", bytes("x"))).get());
        }
        try (KafkaProducer<byte[], byte[]> producer = producer(Map.of())) {
            Steps.step("a topic made by sending",
                    () -> producer.send(new ProducerRecord<>("j-auto", bytes("x"))).get().offset());
        }
    }
}
