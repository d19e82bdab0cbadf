"""Groups of confluent-kafka against three brokers: eager, cooperative and static members that come and go, and what its
administration says of them and does to them.

usage: confluent_groups.py HOST:PORT,... TOPIC      the topic is there, with six partitions"""
import sys
import time

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

SERVERS, TOPIC = sys.argv[1:3]
PARTITIONS = 6
written = 0


def write(count):
    global written
    producer = Producer({"bootstrap.servers": SERVERS, "enable.idempotence": True})
    for i in range(count):
        producer.produce(TOPIC, value=b"%d" % (written + i), partition=(written + i) % PARTITIONS)
    assert producer.flush(60) == 0
    written += count


def consumer(group, **settings):
    return Consumer({"bootstrap.servers": SERVERS, "group.id": group, "auto.offset.reset": "earliest",
                     "enable.auto.commit": False, "session.timeout.ms": 10000, "heartbeat.interval.ms": 500,
                     **{key.replace("_", "."): value for key, value in settings.items()}})


def take(members, seen, is_over, seconds=60):
    """Polls the members in turn, committing what each has read, until `is_over`."""
    deadline = time.monotonic() + seconds
    while not is_over():
        assert time.monotonic() < deadline, (len(seen), written)
        for member in members:
            messages = [m for m in member.consume(50, 0.1) if m.error() is None]
            for m in messages:
                assert (m.partition(), m.offset()) not in seen, "read again after its commit"
                seen.add((m.partition(), m.offset()))
            if messages:
                member.commit(asynchronous=False)


def lives(group, **settings):
    """One member reads, a second one joins, the first one leaves, the second one goes on: nothing twice, nothing lost."""
    seen = set()
    first = consumer(group, **({"group_instance_id": "one"} if settings.pop("static", False) else {}), **settings)
    first.subscribe([TOPIC])
    take([first], seen, lambda: len(seen) == written)
    second = consumer(group, **settings)
    second.subscribe([TOPIC])
    take([first, second], seen, lambda: len(first.assignment()) == len(second.assignment()) == PARTITIONS // 2)
    write(120)
    take([first, second], seen, lambda: len(seen) == written)
    first.close()
    write(60)
    take([second], seen, lambda: len(seen) == written)
    return second


def offsets(admin, group):
    result = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result()
    return {p.partition: p.offset for p in result.topic_partitions}


write(120)
admin = AdminClient({"bootstrap.servers": SERVERS})
for name, settings in [("eager", {"partition_assignment_strategy": "range"}),
                       ("cooperative", {"partition_assignment_strategy": "cooperative-sticky"}),
                       ("static", {"static": True})]:
    group = "confluent-" + name
    member = lives(group, **settings)
    listed = {g.group_id for g in admin.list_consumer_groups().result().valid}
    assert group in listed, listed
    described = admin.describe_consumer_groups([group])[group].result()
    assert described.state.name == "STABLE", described.state
    assert sum(len(m.assignment.topic_partitions) for m in described.members) == PARTITIONS
    member.close()
    ends = {p: member_end for p, member_end in offsets(admin, group).items()}
    assert sum(ends.values()) == written and len(ends) == PARTITIONS, ends
    wish = ConsumerGroupTopicPartitions(group, [TopicPartition(TOPIC, 3, 5)])
    for _ in range(100):  # a static member stays until its session ends
        result = admin.alter_consumer_group_offsets([wish])[group]
        if result.exception() is None:
            break
        time.sleep(0.2)
    assert result.exception() is None, result.exception()
    assert offsets(admin, group)[3] == 5
    admin.delete_consumer_groups([group])[group].result()
    assert group not in {g.group_id for g in admin.list_consumer_groups().result().valid}
    print("confluent-kafka", name, "ok")
