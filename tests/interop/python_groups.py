"""Groups of python3-kafka against the brokers named on the command line, once per protocol generation it can speak."""
import sys
import threading

from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition

SERVERS = sys.argv[1].split(",")
COUNT = 200


def consume(topic, group, version, expected):
    """What a group of one reads until it has so much; commits it."""
    consumer = KafkaConsumer(topic, bootstrap_servers=SERVERS, api_version=version, group_id=group,
                             auto_offset_reset="earliest", enable_auto_commit=False, consumer_timeout_ms=30000)
    read = []
    for record in consumer:
        read.append((record.partition, record.offset))
        if len(read) == expected:
            break
    consumer.commit()
    consumer.close()
    return read


def resume(version):
    name = "pygroup-" + ".".join(map(str, version))
    producer = KafkaProducer(bootstrap_servers=SERVERS, acks="all", retries=20)
    for part in range(2):
        for i in range(COUNT):
            producer.send(name, value=b"%d" % i, partition=0)
        producer.flush()
        read = consume(name, name, version, COUNT)
        assert read == [(0, part * COUNT + i) for i in range(COUNT)], (part, len(read), read[:3])
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=SERVERS, api_version=version, group_id=name)
    partition = TopicPartition(name, 0)
    assert consumer.committed(partition) == 2 * COUNT
    consumer.assign([partition])
    consumer.commit({partition: OffsetAndMetadata(17, "metadata comes back")})
    assert consumer.committed(partition) == 17
    consumer.close()


def share(topic, version):
    """Two members divide the four partitions of the topic between them and read everything."""
    producer = KafkaProducer(bootstrap_servers=SERVERS, acks="all", retries=20)
    for partition in range(4):
        producer.send(topic, value=b"first", partition=partition).get(timeout=60)
    seen, lock, stop = [], threading.Lock(), threading.Event()

    def member():
        consumer = KafkaConsumer(topic, bootstrap_servers=SERVERS, api_version=version, group_id=topic,
                                 auto_offset_reset="earliest", consumer_timeout_ms=500, max_poll_records=10)
        while not stop.is_set():
            for record in consumer:
                with lock:
                    seen.append((record.partition, record.offset))
        consumer.close()

    members = [threading.Thread(target=member) for _ in range(2)]
    for thread in members:
        thread.start()
    for partition in range(4):
        for i in range(50):
            producer.send(topic, value=b"%d" % i, partition=partition)
    producer.flush()
    wanted = {(partition, offset) for partition in range(4) for offset in range(51)}
    for _ in range(600):
        with lock:
            if wanted <= set(seen):
                break
        stop.wait(0.1)
    stop.set()
    for thread in members:
        thread.join()
    assert wanted <= set(seen), sorted(wanted - set(seen))[:5]
    producer.close()


for generation in [(0, 9), (0, 10, 1), (0, 11), (1, 0, 0), (2, 0, 0), (2, 6, 0)]:
    resume(generation)
    print("python-kafka groups as", ".".join(map(str, generation)), "ok")
share(sys.argv[2], (2, 6, 0))
