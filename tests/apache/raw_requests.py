"""Odd and wrong requests, sent to a broker as raw frames; one line "case: outcome" for each, to compare brokers by.

Usage: raw_requests.py HOST PORT. The broker leads partition 0 of the topic "raw" and is the controller. An outcome is the
codes of the answer, "closed" for a connection that ended, "no answer" for one that stayed silent.
"""
import struct
import sys
import time

from raw_frames import array, batch, binary, compact, i8, i16, i32, i64, outcome, raw, record, string, unread

HOST, PORT = sys.argv[1:3]
TOPIC = "raw"
UNKNOWN_ID = b"\x11" * 16
PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS, CREATE, DELETE = 0, 1, 2, 3, 18, 19, 20
DELETE_RECORDS, INIT_PRODUCER, EPOCH_END, CREATE_PARTITIONS = 21, 22, 23, 37


def old_message(magic):
    import zlib
    body = i8(magic) + i8(0) + (i64(10 ** 12) if magic else b"") + binary(b"k") + binary(b"v")
    body = struct.pack(">I", zlib.crc32(body)) + body
    return i64(0) + i32(len(body)) + body


def produce(records, acks=-1, topic=TOPIC, partition=0, version=7):
    data = i32(-1) if records is None else binary(records)
    topics = array([string(topic) + array([i32(partition) + data])])
    return PRODUCE, version, string(None) + i16(acks) + i32(5000) + topics, produced


def fetch(offset=0, topic=TOPIC, partition=0, session=0, epoch=-1, leader_epoch=-1, isolation=0, size=1 << 20):
    part = i32(partition) + i32(leader_epoch) + i64(offset) + i64(-1) + i32(size)
    topics = array([string(topic) + array([part])])
    head = i32(-1) + i32(100) + i32(0) + i32(1 << 20) + i8(isolation) + i32(session) + i32(epoch)
    return FETCH, 11, head + topics + array([]) + string(""), fetched


def fetch_by_id(topic_id):
    part = i32(0) + i32(-1) + i64(0) + i32(-1) + i64(-1) + i32(1 << 20) + b"\0"
    body = b"\0" + i32(-1) + i32(100) + i32(0) + i32(1 << 20) + i8(0) + i32(0) + i32(-1)
    return FETCH, 13, body + b"\2" + topic_id + b"\2" + part + b"\0" + b"\1" + b"\1" + b"\0", fetched_by_id


def offsets(*times, topic=TOPIC, partition=0, version=5, leader_epoch=-1):
    parts = [i32(partition) + i32(leader_epoch) + i64(when) for when in times]
    return LIST_OFFSETS, version, i32(-1) + i8(0) + array([string(topic) + array(parts)]), listed


def new_topic(name, partitions=1, replication=3, assignment=(), configs=()):
    placed = [i32(n) + array([i32(b) for b in brokers]) for n, brokers in assignment]
    return string(name) + i32(partitions) + i16(replication) + array(placed) + array([string(k) + string(v) for k, v in configs])


def placed_topic(name): return new_topic(name, -1, -1, [(0, [1, 2, 3])])


def create(*topics): return CREATE, 4, array(list(topics)) + i32(10000) + i8(0), named_codes


def delete(name, topic_id=b"\0" * 16):
    return DELETE, 6, b"\0\2" + compact(name) + topic_id + b"\0" + i32(10000) + b"\0", deleted


def more_partitions(name, count):
    return CREATE_PARTITIONS, 1, array([string(name) + i32(count) + i32(-1)]) + i32(10000) + i8(0), named_codes


def delete_records(offset, topic=TOPIC, partition=0):
    return DELETE_RECORDS, 1, array([string(topic) + array([i32(partition) + i64(offset)])]) + i32(5000), records_deleted


def init_producer(name, timeout): return INIT_PRODUCER, 1, string(name) + i32(timeout), initialised


def epoch_end(current, wanted, topic=TOPIC):
    return EPOCH_END, 3, i32(-1) + array([string(topic) + array([i32(0) + i32(current) + i32(wanted)])]), epoch_ended


def metadata_by_id(version):
    return METADATA, version, b"\0\2" + UNKNOWN_ID + b"\0\0" + i8(0) + (i8(0) if version < 11 else b"") + i8(0) + b"\0", described


def per_partition(r, read): return r.array(lambda: (r.string(), r.array(read)))


def produced(r): return per_partition(r, lambda: [r.number(c) for c in "ihqqq"][1:3])


def fetched(r):
    r.number("i")
    top, session = r.number("h"), r.number("i")

    def part():
        code, hw = [r.number(c) for c in "ihqqq"][1:3]
        aborted = r.number("i")
        r.at += 16 * max(aborted, 0) + 4
        return code, hw, aborted, len(r.binary())
    return top, session != 0, per_partition(r, part)


def fetched_by_id(r):
    r.number("b")
    top = [r.number(c) for c in "ihi"][1]
    if r.number("b") < 2:
        return top, "no topics"
    r.at += 17
    return top, [r.number(c) for c in "ih"][1]


def listed(r):
    r.number("i")
    return per_partition(r, lambda: [r.number(c) for c in "ihqqi"][1:])


def named_codes(r):
    r.number("i")
    return sorted(r.array(lambda: (r.string(), r.number("h"), r.string())[:2]))


def deleted(r):
    r.number("b"), r.number("i"), r.number("b")
    name = r.number("b")
    r.at += max(name - 1, 0) + 16
    return r.number("h")


def records_deleted(r):
    r.number("i")
    return per_partition(r, lambda: [r.number(c) for c in "iqh"][1:])


def initialised(r): return [r.number(c) for c in "ih"][1]


def epoch_ended(r):
    r.number("i")
    return per_partition(r, lambda: [r.number(c) for c in "hiiq"])


def described(r):
    r.number("b"), r.number("i")
    return {"brokers": r.number("b") - 1, "cluster": r.number("b"), "controller": r.number("i"),
            "topics": r.number("b") - 1, "code": r.number("h")}


def first_code(r): return r.number("h")


EMPTY_NAME = b"\0" + b"\1" + b"\1" + b"\0"
CASES = [
    ("ApiVersions of an unknown version", (API_VERSIONS, 99, EMPTY_NAME, first_code)),
    ("ApiVersions without a software name", (API_VERSIONS, 3, EMPTY_NAME, first_code)),
    ("ApiVersions of a negative version", (API_VERSIONS, -1, b"", first_code)),
    ("ApiVersions with bytes after the body", (API_VERSIONS, 0, b"more", first_code)),
    ("an unknown key", (999, 0, b"", unread)),
    ("an unknown version", (METADATA, 99, b"", unread)),
    ("a cut body", (METADATA, 1, b"\0\0", unread)),
    ("an array longer than the body", (METADATA, 1, i32(1 << 30), unread)),
    ("produce one record", produce(batch())),
    ("produce two records", produce(batch(count=2, last=1))),
    ("produce with acks 2", produce(batch(), acks=2)),
    ("produce to an unknown topic", produce(batch(), topic="nosuch")),
    ("produce to an unknown partition", produce(batch(), partition=9)),
    ("produce a wrong CRC", produce(batch(wrong=1))),
    ("produce magic 3", produce(batch(magic=3))),
    ("produce magic 0 in version 7", produce(old_message(0))),
    ("produce magic 1 in version 7", produce(old_message(1))),
    ("produce a count unlike the last offset", produce(batch(last=5))),
    ("produce a count of 0", produce(batch(count=0, last=-1))),
    ("produce garbage as gzip", produce(batch(attributes=1, records=b"garbage"))),
    ("produce garbage as snappy", produce(batch(attributes=2, records=b"garbage"))),
    ("produce garbage as lz4", produce(batch(attributes=3, records=b"garbage"))),
    ("produce garbage as zstd", produce(batch(attributes=4, records=b"garbage"))),
    ("produce codec 5", produce(batch(attributes=5))),
    ("produce codec 7", produce(batch(attributes=7))),
    ("produce zstd in version 6", produce(batch(attributes=4), version=6)),
    ("produce a control batch", produce(batch(attributes=0x20))),
    ("produce unused attribute bits", produce(batch(attributes=0x80))),
    ("produce LogAppendTime", produce(batch(attributes=8))),
    ("produce a producer id without a sequence", produce(batch(producer=(5, 0, -1)))),
    ("produce as an unknown producer", produce(batch(producer=(7001, 0, 3)))),
    ("produce the duplicate", produce(batch(producer=(7001, 0, 3)))),
    ("produce with a gap", produce(batch(producer=(7001, 0, 9)))),
    ("produce a new epoch not at 0", produce(batch(producer=(7001, 1, 4)))),
    ("produce a new epoch at 0", produce(batch(producer=(7001, 1, 0)))),
    ("produce an older epoch", produce(batch(producer=(7001, 0, 4)))),
    ("produce two batches", produce(batch() * 2)),
    ("produce a base offset", produce(batch(base=5))),
    ("produce a cut batch", produce(batch()[:-1])),
    ("produce no batch", produce(b"")),
    ("produce bytes after the last record", produce(batch(records=record(0) + b"xy"))),
    ("produce null records", produce(None)),
    ("fetch", fetch()),
    ("fetch before the start", fetch(offset=-5)),
    ("fetch beyond the end", fetch(offset=10000)),
    ("fetch an unknown topic", fetch(topic="nosuch")),
    ("fetch an unknown partition", fetch(partition=9)),
    ("fetch an unknown id", fetch_by_id(UNKNOWN_ID)),
    ("fetch with a newer epoch", fetch(leader_epoch=99)),
    ("fetch with a first session", fetch(epoch=0)),
    ("fetch in an unknown session", fetch(session=12345, epoch=1)),
    ("fetch a session with a wrong epoch", fetch(session=0, epoch=5)),
    ("fetch with isolation level 5", fetch(isolation=5)),
    ("offsets of the end", offsets(-1)),
    ("offsets of the start", offsets(-2)),
    ("offsets of the largest timestamp", offsets(-3)),
    ("offsets of an odd timestamp", offsets(-9)),
    ("offsets of a time", offsets(5)),
    ("offsets of a time to come", offsets(10 ** 14)),
    ("offsets of a partition twice", offsets(-1, -1)),
    ("offsets of an unknown topic", offsets(-1, topic="nosuch")),
    ("offsets with a newer epoch", offsets(-1, leader_epoch=99)),
    ("metadata by id in version 10", metadata_by_id(10)),
    ("metadata by id in version 11", metadata_by_id(11)),
    ("create a topic", create(placed_topic("made"))),
    ("create it again", create(placed_topic("made"))),
    ("create a topic twice in a request", create(new_topic("twice"), new_topic("twice"))),
    ("create two colliding names in a request", create(placed_topic("c.d"), placed_topic("c_d"), placed_topic("c.e"))),
    ("create with replication 0", create(new_topic("x", replication=0))),
    ("create with replication 4", create(new_topic("x", replication=4))),
    ("create with 0 partitions", create(new_topic("x", partitions=0))),
    ("create with -2 partitions", create(new_topic("x", partitions=-2))),
    ("create a bad name", create(new_topic("a b"))),
    ("create an empty name", create(new_topic(""))),
    ("create a dot-dot name", create(new_topic(".."))),
    ("create a name with a dot", create(placed_topic("a.b"))),
    ("create a colliding name", create(placed_topic("a_b"))),
    ("create with a bad setting", create(new_topic("x", configs=[("nosuch", "1")]))),
    ("create with a bad value", create(new_topic("x", configs=[("retention.ms", "abc")]))),
    ("create with gaps in the assignment", create(new_topic("x", -1, -1, [(0, [1]), (2, [2])]))),
    ("create with a duplicate replica", create(new_topic("x", -1, -1, [(0, [1, 1])]))),
    ("create with an uneven assignment", create(new_topic("x", -1, -1, [(0, [1]), (1, [1, 2])]))),
    ("create with an assignment and counts", create(new_topic("x", 1, 1, [(0, [1])]))),
    ("delete an unknown name", delete("nosuch")),
    ("delete an unknown id", delete(None, UNKNOWN_ID)),
    ("delete by name and id", delete("made", UNKNOWN_ID)),
    ("as many partitions as there are", more_partitions(TOPIC, 1)),
    ("0 partitions", more_partitions(TOPIC, 0)),
    ("more partitions of an unknown topic", more_partitions("nosuch", 2)),
    ("delete records beyond the end", delete_records(10000)),
    ("delete records before -5", delete_records(-5)),
    ("delete records of an unknown topic", delete_records(0, topic="nosuch")),
    ("delete one record", delete_records(1)),
    ("fetch a deleted record", fetch(offset=0)),
    ("a producer id with a timeout of 0", init_producer(None, 0)),
    ("a producer id for an empty name", init_producer("", 60000)),
    ("the end of a newer epoch", epoch_end(-1, 99)),
    ("the end of an epoch seen from a newer one", epoch_end(99, 0)),
    ("the end of epoch 0", epoch_end(-1, 0)),
    ("the end of an epoch of an unknown topic", epoch_end(-1, 0, topic="nosuch")),
]
FRAMES = [
    ("a frame of size -1", i32(-1)),
    ("a frame of size 0", i32(0)),
    ("a frame larger than allowed", i32(1 << 30)),
    ("a frame of two bytes", i32(2) + b"\0\3"),
    ("a frame of noise", i32(40) + b"\xff" * 40),
    ("an announced frame that does not come", i32(100) + b"\0"),
]


# Kafka answers 14 until its first block of producer ids has come.
def gets_producer_id(line): return initialised(line.call(*init_producer(None, 60000)[:3]))


deadline = time.monotonic() + 30
while outcome(HOST, PORT, gets_producer_id) == 14 and time.monotonic() < deadline:
    pass
for name, (key, version, body, read) in CASES:
    print(f"{name}: {outcome(HOST, PORT, lambda line: read(line.call(key, version, body)))}", flush=True)
for name, data in FRAMES:
    print(f"{name}: {outcome(HOST, PORT, raw(data))}", flush=True)


def produces_nowhere(line): return unread(line.call(*produce(batch(), acks=0, topic="nosuch")[:3]))


print(f"produce with acks 0 to an unknown topic: {outcome(HOST, PORT, produces_nowhere)}")
