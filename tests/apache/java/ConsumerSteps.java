import java.time.Duration;
import java.util.*;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * The consumer with partitions it was assigned: reading, seeking, offsets by time, and what it does when they are
 * gone.
 */
class ConsumerSteps {
    private static final List<TopicPartition> ALL = List.of(part(0), part(1), part(2), part(3));

    static TopicPartition part(int partition) { return new TopicPartition(ProducerSteps.TOPIC, partition); }

    static KafkaConsumer<byte[], byte[]> consumer(Map<String, ?> settings) {
        Properties all = Steps.settings(Map.of("enable.auto.commit", "false", "auto.offset.reset", "earliest"));
        settings.forEach((name, value) -> all.put(name, value.toString()));
        return new KafkaConsumer<>(all, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static String text(byte[] data) {
        return data == null         ? "null"
                : data.length > 100 ? data.length + " bytes " + Arrays.hashCode(data)
                                    : new String(data);
    }

    static String shown(ConsumerRecord<byte[], byte[]> r) {
        StringBuilder headers = new StringBuilder();
        for (Header header : r.headers()) {
            headers.append(header.key()).append('=').append(text(header.value())).append(' ');
        }
        return r.partition() + "@" + r.offset() + " " + r.timestampType() + " "
                + (r.timestamp() - ProducerSteps.FIRST_MS) + " " + text(r.key()) + " = " + text(r.value()) + " "
                + headers + r.leaderEpoch().orElse(-1) + " " + r.serializedKeySize() + "/" + r.serializedValueSize();
    }

    /** Polls until there are `count` records; in the order of partitions and, within one, as they came. */
    static List<ConsumerRecord<byte[], byte[]>> read(KafkaConsumer<byte[], byte[]> consumer, int count)
            throws Exception {
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        Steps.await(count + " records", () -> {
            consumer.poll(Duration.ofMillis(100)).forEach(records::add);
            return records.size() >= count;
        });
        records.sort(Comparator.comparingInt(ConsumerRecord::partition));
        return records;
    }

    private static String offsets(Map<TopicPartition, Long> offsets) { return Steps.byName(offsets).toString(); }

    private static String found(Map<TopicPartition, OffsetAndTimestamp> found) {
        return Steps.byName(found)
                .entrySet()
                .stream()
                .map(e
                        -> e.getKey() + " "
                                + (e.getValue() == null ? null
                                                        : e.getValue().offset() + " "
                                                        + (e.getValue().timestamp() - ProducerSteps.FIRST_MS) + " "
                                                        + e.getValue().leaderEpoch().orElse(-1)))
                .collect(Collectors.joining("; "));
    }

    static void run() throws Exception {
        long total;
        try (KafkaConsumer<byte[], byte[]> consumer =
                        consumer(Map.of("max.poll.records", 37, "isolation.level", "read_committed"))) {
            total = consumer.endOffsets(ALL).values().stream().mapToLong(Long::longValue).sum();
            consumer.assign(ALL);
            read(consumer, (int) total).forEach(record -> Steps.say("read", shown(record)));
            moves(consumer);
            times(consumer);
        }
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(Map.of("max.partition.fetch.bytes", 1000,
                     "fetch.max.bytes", 2000, "fetch.min.bytes", 1, "receive.buffer.bytes", 4096))) {
            consumer.assign(ALL);
            Steps.step("read in small pieces", () -> read(consumer, (int) total).size() == total);
        }
        deletion();
    }

    private static void moves(KafkaConsumer<byte[], byte[]> consumer) throws Exception {
        Steps.say("lag", ALL.stream().map(p -> consumer.currentLag(p).orElse(-1)).collect(Collectors.toList()));
        consumer.seek(part(0), new OffsetAndMetadata(10, Optional.of(0), ""));
        consumer.pause(List.of(part(1), part(2), part(3)));
        Steps.step("seek", () -> shown(read(consumer, 1).get(0)));
        consumer.seekToBeginning(List.of(part(0)));
        Steps.step("seek to the beginning", () -> consumer.position(part(0)) + " " + shown(read(consumer, 1).get(0)));
        consumer.seekToEnd(ALL);
        Steps.step("seek to the end", () -> ALL.stream().map(consumer::position).collect(Collectors.toList()));
        consumer.seek(part(0), 1_000_000);
        Steps.step("beyond the end", () -> shown(read(consumer, 1).get(0)));
        consumer.resume(consumer.paused());
        Steps.step("partitions of an unknown topic", () -> {
            try (KafkaConsumer<byte[], byte[]> careful = consumer(Map.of("allow.auto.create.topics", "false"))) {
                return careful.partitionsFor("j-nosuch");
            }
        });
        Steps.step("topics",
                ()
                        -> Steps.byName(consumer.listTopics())
                                   .entrySet()
                                   .stream()
                                   .filter(e -> e.getKey().startsWith("j-"))
                                   .map(e -> e.getKey() + " " + e.getValue().size())
                                   .collect(Collectors.toList()));
        try (KafkaConsumer<byte[], byte[]> strict = consumer(Map.of("auto.offset.reset", "none"))) {
            strict.assign(List.of(part(0)));
            strict.seek(part(0), 1_000_000);
            Steps.step("beyond the end without a way back", () -> {
                for (int i = 0; i < 100; i++) {
                    strict.poll(Duration.ofMillis(100));
                }
                return "nothing";
            });
        }
    }

    private static void times(KafkaConsumer<byte[], byte[]> consumer) {
        Steps.step("beginning", () -> offsets(consumer.beginningOffsets(ALL)));
        Steps.step("end", () -> offsets(consumer.endOffsets(ALL)));
        for (long at : new long[] {-1_000_000, 0, 7, 50, 499, 500, 502, 503, 1010, 1049, 5000}) {
            Steps.step("time " + at,
                    ()
                            -> found(consumer.offsetsForTimes(
                                    ALL.stream().collect(Collectors.toMap(p -> p, p -> ProducerSteps.FIRST_MS + at)))));
        }
        Map<String, OffsetSpec> specs =
                new TreeMap<>(Map.of("earliest", OffsetSpec.earliest(), "latest", OffsetSpec.latest(), "largest time",
                        OffsetSpec.maxTimestamp(), "time", OffsetSpec.forTimestamp(ProducerSteps.FIRST_MS + 1020)));
        specs.forEach(
                (name, spec)
                        -> Steps.step("listed by " + name,
                                ()
                                        -> Steps.byName(Steps.admin
                                                                .listOffsets(ALL.stream().collect(
                                                                        Collectors.toMap(p -> p, p -> spec)))
                                                                .all()
                                                                .get())
                                                   .entrySet()
                                                   .stream()
                                                   .map(e
                                                           -> e.getKey() + " " + e.getValue().offset() + " "
                                                                   + (e.getValue().timestamp() < 0
                                                                                   ? -1
                                                                                   : e.getValue().timestamp()
                                                                                           - ProducerSteps.FIRST_MS)
                                                                   + " " + e.getValue().leaderEpoch().orElse(-1))
                                                   .collect(Collectors.toList())));
        Steps.step("listed of an unknown topic",
                ()
                        -> Steps.admin
                                   .listOffsets(Map.of(new TopicPartition("j-nosuch", 0), OffsetSpec.latest()),
                                           new ListOffsetsOptions().timeoutMs(2000))
                                   .all()
                                   .get());
    }

    private static void deletion() throws Exception {
        Steps.step("records deleted",
                ()
                        -> Steps.admin.deleteRecords(Map.of(part(1), RecordsToDelete.beforeOffset(40)))
                                   .lowWatermarks()
                                   .get(part(1))
                                   .get()
                                   .lowWatermark());
        Steps.step("records deleted up to the end",
                ()
                        -> Steps.admin.deleteRecords(Map.of(part(3), RecordsToDelete.beforeOffset(-1)))
                                   .lowWatermarks()
                                   .get(part(3))
                                   .get()
                                   .lowWatermark());
        Steps.step("records deleted beyond",
                () -> Steps.admin.deleteRecords(Map.of(part(0), RecordsToDelete.beforeOffset(5000))).all().get());
        Steps.step("records deleted of a compacted topic",
                ()
                        -> Steps.admin
                                   .deleteRecords(Map.of(
                                           new TopicPartition("j-compacted", 0), RecordsToDelete.beforeOffset(0)))
                                   .all()
                                   .get());
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(Map.of())) {
            consumer.assign(List.of(part(1)));
            consumer.seek(part(1), 3);
            Steps.step("read what is gone", () -> shown(read(consumer, 1).get(0)));
            Steps.step("beginning after that", () -> offsets(consumer.beginningOffsets(ALL)));
            Steps.step("time after that", () -> found(consumer.offsetsForTimes(Map.of(part(1), 0L, part(3), 0L))));
        }
        try (KafkaConsumer<byte[], byte[]> strict = consumer(Map.of("auto.offset.reset", "none"))) {
            strict.assign(List.of(part(1)));
            strict.seek(part(1), 3);
            Steps.step("read what is gone without a way on", () -> {
                for (int i = 0; i < 100; i++) {
                    strict.poll(Duration.ofMillis(100));
                }
                return "nothing";
            });
        }
    }
}
