"""python3-kafka against the brokers named on the command line, once per protocol generation it can speak."""
import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

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


for generation in [(0, 8, 2), (0, 9), (0, 10), (0, 10, 1), (0, 11), (1, 0, 0), (2, 0, 0), (2, 6, 0)]:
    round_trip(generation)
    print("python-kafka as", ".".join(map(str, generation)), "ok")
