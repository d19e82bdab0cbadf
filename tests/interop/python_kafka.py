"""python3-kafka against the brokers named on the command line, once per protocol generation it can speak."""
import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition, codec
from kafka.errors import MessageSizeTooLargeError

SERVERS = sys.argv[1].split(",")
COUNT = 500


def round_trip(version):
    topic = "python-" + ".".join(map(str, version))
    producer = KafkaProducer(bootstrap_servers=SERVERS, api_version=version, acks="all", retries=20,
                             compression_type="gzip" if version >= (0, 8, 2) else None)
    sent = [b"value %d" % i for i in range(COUNT)]
    futures = [producer.send(topic, value=value, partition=0) for value in sent]
    offsets = [future.get(timeout=60).offset for future in futures]
    assert offsets == list(range(COUNT)), offsets[:10]
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=SERVERS, api_version=version, group_id=None,
                             auto_offset_reset="earliest", consumer_timeout_ms=30000)
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek(partition, 0)
    read = []
    for record in consumer:
        read.append(record.value)
        if len(read) == COUNT:
            break
    assert read == sent, "%d records came back, first difference at %s" % (
        len(read), next((i for i, pair in enumerate(zip(read, sent)) if pair[0] != pair[1]), "the end"))
    consumer.close()


def consume(topic, count, **settings):
    consumer = KafkaConsumer(bootstrap_servers=SERVERS, group_id=None, consumer_timeout_ms=30000, **settings)
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek(partition, 0)
    read = []
    for record in consumer:
        read.append(record)
        if len(read) == count:
            break
    return consumer, read


def codecs():
    """Every codec this Python has the module of."""
    there = [name for name in ("gzip", "snappy", "lz4", "zstd") if getattr(codec, "has_" + name)()]
    for name in there:
        producer = KafkaProducer(bootstrap_servers=SERVERS, compression_type=name, acks="all", linger_ms=20)
        futures = [producer.send("python-codec-" + name, b"compresses well " * 20 + b"%d" % i) for i in range(COUNT)]
        offsets = sorted(future.get(timeout=60).offset for future in futures)
        assert offsets == list(range(COUNT)), offsets[:10]
        producer.close()
        consumer, read = consume("python-codec-" + name, COUNT)
        assert [record.value for record in read] == [b"compresses well " * 20 + b"%d" % i for i in range(COUNT)]
        consumer.close()
    return there


def odd_records():
    """Headers, nulls, times of the producer's; and what lies where by time."""
    producer = KafkaProducer(bootstrap_servers=SERVERS, acks="all")
    sent = [(None, b"v", []), (b"k", None, []), (b"", b"", [("h", b"1"), ("h", b"2"), ("empty", b"")]),
            (b"k", b"v", [("bytes", b"\xff\x00")])]
    base = 1700000000000
    for i, (key, value, headers) in enumerate(sent):
        producer.send("python-odd", value, key, headers, 0, base + 1000 * i).get(timeout=60)
    producer.close()
    consumer, read = consume("python-odd", len(sent))
    assert [(record.key, record.value, record.headers) for record in read] == sent, read
    assert [record.timestamp for record in read] == [base + 1000 * i for i in range(len(sent))], read
    partition = TopicPartition("python-odd", 0)
    for asked, offset in [(base - 5, 0), (base, 0), (base + 1, 1), (base + 3000, 3)]:
        found = consumer.offsets_for_times({partition: asked})[partition]
        assert found.offset == offset and found.timestamp == base + 1000 * offset, (asked, found)
    assert consumer.offsets_for_times({partition: base + 3001})[partition] is None
    assert consumer.end_offsets([partition]) == {partition: len(sent)}
    consumer.close()


def large_messages():
    producer = KafkaProducer(bootstrap_servers=SERVERS, acks="all", max_request_size=5000000, buffer_memory=64000000)
    assert producer.send("python-large", b"x" * 1048000, partition=0).get(timeout=60).offset == 0
    try:
        producer.send("python-large", b"x" * 1049000, partition=0).get(timeout=60)
        raise AssertionError("a message beyond the limit was taken")
    except MessageSizeTooLargeError:
        pass
    assert producer.send("python-large", b"after", partition=0).get(timeout=60).offset == 1
    producer.close()
    consumer, read = consume("python-large", 2, max_partition_fetch_bytes=1000)
    assert [len(record.value) for record in read] == [1048000, 5]
    consumer.close()


print("codecs:", *codecs())
odd_records()
large_messages()
for generation in [(0, 8, 2), (0, 9), (0, 10), (0, 10, 1), (0, 11), (1, 0, 0), (2, 0, 0), (2, 6, 0)]:
    round_trip(generation)
    print("python-kafka as", ".".join(map(str, generation)), "ok")
