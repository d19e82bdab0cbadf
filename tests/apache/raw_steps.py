"""Odd requests that take several steps, reach another broker or are the controller's own; one line "case: outcome" for
each, to compare brokers by.

Usage: raw_steps.py HOST PORT ELSEWHERE [last]. The broker at PORT leads partition 0 of the topic "raw" and is the
controller; partition 1 of the topic "one" is led by the one at ELSEWHERE, which is not. "last": only what leaves
topics behind.
"""
import sys

from raw_frames import array, batch, binary, compact, i8, i16, i32, i64, outcome, string

HOST, PORT, ELSEWHERE = sys.argv[1:4]
TOPIC, UNKNOWN_ID = "raw", b"\x11" * 16
TOPIC_RESOURCE, BROKER_RESOURCE, LOGGER_RESOURCE = 2, 4, 8
SET, DELETE, APPEND, SUBTRACT = range(4)
NOTHING = b"\0"  # no tagged fields


def unsigned(r):
    n, shift = 0, 0
    while True:
        byte = r.number("B")
        n, shift = n | (byte & 127) << shift, shift + 7
        if byte < 128:
            return n


def short(r):
    size = unsigned(r) - 1
    if size < 0:
        return None
    r.at += size
    return r.data[r.at - size:r.at].decode()


def many(r, read): return [read() for _ in range(unsigned(r) - 1)]


def tags(r):
    for _ in range(unsigned(r)):
        unsigned(r)
        r.at += unsigned(r)


def numbers(r, codes): return [r.number(c) for c in codes]


def few(items): return bytes([len(items) + 1]) + b"".join(items)


# Fetch sessions.

def fetch(session, epoch, topics=((TOPIC, 0),), forgotten=()):
    wanted = [string(t) + array([i32(p) + i32(-1) + i64(10 ** 6) + i64(-1) + i32(1000)]) for t, p in topics]
    gone = [string(t) + array([i32(p)]) for t, p in forgotten]
    return i32(-1) + i32(0) + i32(0) + i32(1 << 20) + i8(0) + i32(session) + i32(epoch) + array(wanted) + array(gone) + string("")


def fetched(r):
    r.number("i")
    code, session = r.number("h"), r.number("i")

    def part():
        found = numbers(r, "ihqqqii")
        r.binary()
        return found[:3]
    return code, session, r.array(lambda: (r.string(), r.array(part)))


def fetch_by_id(session, epoch, *ids):
    part = i32(0) + i32(-1) + i64(0) + i32(-1) + i64(-1) + i32(1000) + NOTHING
    return (NOTHING + i32(-1) + i32(0) + i32(0) + i32(1 << 20) + i8(0) + i32(session) + i32(epoch) +
            few([t + few([part]) + NOTHING for t in ids]) + few([]) + compact("") + NOTHING)


def fetched_by_id(r):
    tags(r)
    r.number("i")
    code, session = numbers(r, "hi")
    return code, session, unsigned(r) - 1


def session_cases():
    def begun(line, *topics):
        return fetched(line.call(1, 11, fetch(0, 0, topics or ((TOPIC, 0),))))

    def shown(answer): return answer[0], answer[1] != 0, answer[2]

    def goes(*epochs, **how):
        def act(line):
            session = begun(line)[1]
            return [shown(fetched(line.call(1, 11, fetch(session, epoch, (), **how)))) for epoch in epochs]
        return act

    def adds(topics, **how):
        def act(line):
            session = begun(line)[1]
            return [shown(fetched(line.call(1, 11, fetch(session, 1, topics, **how)))),
                    shown(fetched(line.call(1, 11, fetch(session, 2, ()))))]
        return act

    def names_then_ids(line):
        session = begun(line)[1]
        code, session, topics = fetched_by_id(line.call(1, 13, fetch_by_id(session, 1)))
        return code, session != 0, topics

    def ids_then_names(line):
        session = fetched_by_id(line.call(1, 13, fetch_by_id(0, 0, UNKNOWN_ID)))[1]
        return shown(fetched(line.call(1, 11, fetch(session, 1, ()))))

    def unknown_id_again(line):
        first = fetched_by_id(line.call(1, 13, fetch_by_id(0, 0, UNKNOWN_ID)))
        again = [fetched_by_id(line.call(1, 13, fetch_by_id(first[1], n))) for n in (1, 2)]
        return [(code, session != 0, topics) for code, session, topics in [first] + again]

    yield "session of nothing", lambda line: shown(fetched(line.call(1, 11, fetch(0, 0, ()))))
    yield "session of a topic twice", lambda line: shown(begun(line, (TOPIC, 0), (TOPIC, 0)))
    yield "session of an unknown topic", lambda line: shown(begun(line, ("nosuch", 0), (TOPIC, 9)))
    yield "session in its order", goes(1, 2, 3)
    yield "session with an epoch ahead", goes(2)
    yield "session with an epoch again", goes(1, 1)
    yield "session with an epoch ahead and then the right one", goes(5, 1)
    yield "session that is closed and goes on", goes(1, -1, 2)
    yield "session that begins anew", goes(1, 0, 1)
    yield "session that forgets its partition", goes(1, 2, forgotten=((TOPIC, 0),))
    yield "session that forgets what it never had", goes(1, forgotten=(("nosuch", 3),))
    forgets = fetch(0, 0, forgotten=((TOPIC, 0),))
    yield "session that begins with what it forgets", lambda line: shown(fetched(line.call(1, 11, forgets)))
    yield "session that adds an unknown partition", adds(((TOPIC, 7),))
    yield "session that adds and forgets at once", adds((("one", 0),), forgotten=(("one", 0),))
    yield "session of names, asked by ids", names_then_ids
    yield "session of ids, asked by names", ids_then_names
    yield "session of an unknown id", unknown_id_again


# Settings.

def altered(r):
    r.number("i")
    return r.array(lambda: (r.number("h"), r.string(), r.number("b"), r.string()))


def incremental(*resources, validate=0):
    return 44, 0, array([i8(kind) + string(name) + array([string(k) + i8(how) + string(v) for k, how, v in entries])
                         for kind, name, entries in resources]) + i8(validate), altered


def alter(*resources, validate=0):
    return 33, 1, array([i8(kind) + string(name) + array([string(k) + string(v) for k, v in entries])
                         for kind, name, entries in resources]) + i8(validate), altered


def describe_configs(kind, name, *keys, version=1, synonyms=1):
    body = array([i8(kind) + string(name) + (array([string(k) for k in keys]) if keys else i32(-1))]) + i8(synonyms)
    return 32, version, body + (i8(0) if version >= 3 else b""), lambda r: configs(r, version)


def configs(r, version):
    def entry():
        found = [r.string(), r.string()] + numbers(r, "bbb")
        found.append(r.array(lambda: (r.string(), r.string(), r.number("b"))))
        if version >= 3:
            found += [r.number("b"), r.string()]
        return found
    r.number("i")
    return r.array(lambda: (r.number("h"), r.string(), r.number("b"), r.string(), sorted(r.array(entry))))


def settings_cases():
    topic = TOPIC_RESOURCE, "one"
    cases = [
        ("of an unknown topic", describe_configs(TOPIC_RESOURCE, "nosuch")),
        ("of a topic with a bad name", describe_configs(TOPIC_RESOURCE, "a b")),
        ("of a topic with an empty name", describe_configs(TOPIC_RESOURCE, "")),
        ("of a topic, all", describe_configs(*topic, version=3)),
        ("of a topic, two and an unknown one", describe_configs(*topic, "retention.ms", "nosuch", "segment.ms")),
        ("of a topic, without synonyms", describe_configs(*topic, "retention.ms", synonyms=0)),
        ("of a broker elsewhere", describe_configs(BROKER_RESOURCE, "2", "log.dirs")),
        ("of an unknown broker", describe_configs(BROKER_RESOURCE, "77", "log.dirs")),
        ("of a broker without a number", describe_configs(BROKER_RESOURCE, "x", "log.dirs")),
        ("of this broker, some", describe_configs(BROKER_RESOURCE, "1", "broker.id", "num.io.threads", "log.retention.ms",
                                                  "log.retention.hours", "advertised.listeners", "compression.type")),
        ("of all brokers", describe_configs(BROKER_RESOURCE, "")),
        ("of resource type 99", describe_configs(99, "x")),
        ("of a logger of another broker", describe_configs(LOGGER_RESOURCE, "2")),
        ("changed in an unknown topic", incremental((TOPIC_RESOURCE, "nosuch", [("retention.ms", SET, "1")]))),
        ("changed with an unknown key", incremental((*topic, [("nosuch", SET, "1")]))),
        ("changed with a bad value", incremental((*topic, [("retention.ms", SET, "soon")]))),
        ("changed with a value below the least", incremental((*topic, [("segment.bytes", SET, "1")]))),
        ("changed with a value not among the possible", incremental((*topic, [("cleanup.policy", SET, "shred")]))),
        ("changed with no value", incremental((*topic, [("retention.ms", SET, None)]))),
        ("changed with an empty value", incremental((*topic, [("retention.ms", SET, "")]))),
        ("changed by operation 9", incremental((*topic, [("retention.ms", 9, "1")]))),
        ("changed twice by a key", incremental((*topic, [("retention.ms", SET, "1"), ("retention.ms", SET, "2")]))),
        ("changed twice by a resource", incremental((*topic, [("retention.ms", SET, "1")]), (*topic, [("segment.ms", SET, "1")]))),
        ("changed by appending to no list", incremental((*topic, [("retention.ms", APPEND, "1")]))),
        ("changed by appending to a list", incremental((*topic, [("cleanup.policy", APPEND, "compact")]))),
        ("as they are then", describe_configs(*topic, "cleanup.policy")),
        ("changed by appending it again", incremental((*topic, [("cleanup.policy", APPEND, "compact")]))),
        ("as they are still", describe_configs(*topic, "cleanup.policy")),
        ("changed by subtracting", incremental((*topic, [("cleanup.policy", SUBTRACT, "compact,nosuch")]))),
        ("as they are after that", describe_configs(*topic, "cleanup.policy")),
        ("changed by deleting", incremental((*topic, [("cleanup.policy", DELETE, None)]))),
        ("changed only to see", incremental((*topic, [("retention.ms", SET, "77")]), validate=1)),
        ("changed to nothing", incremental((*topic, []))),
        ("changed in resource type 99", incremental((99, "x", [("a", SET, "1")]))),
        ("changed in a broker without a number", incremental((BROKER_RESOURCE, "x", [("log.cleaner.threads", SET, "1")]))),
        ("changed in another broker", incremental((BROKER_RESOURCE, "2", [("log.cleaner.threads", SET, "1")]))),
        ("changed in this broker that are fixed", incremental((BROKER_RESOURCE, "1", [("log.dirs", SET, "/x")]))),
        ("changed in all brokers that are each one's", incremental((BROKER_RESOURCE, "", [("listeners", SET, "A://:1")]))),
        ("changed in this broker badly", incremental((BROKER_RESOURCE, "1", [("log.cleaner.threads", SET, "many")]))),
        ("altered in an unknown topic", alter((TOPIC_RESOURCE, "nosuch", [("retention.ms", "1")]))),
        ("altered with a bad value", alter((*topic, [("retention.ms", "soon")]))),
        ("altered with no value", alter((*topic, [("retention.ms", None)]))),
        ("altered with an unknown key", alter((*topic, [("nosuch", "1")]))),
        ("altered only to see", alter((*topic, [("segment.ms", "100000")]), validate=1)),
        ("altered in resource type 99", alter((99, "x", []))),
    ]
    for name, question in cases:
        yield f"settings {name}", question


# Topics.

def new_topic(name, partitions=1, replication=1, assignment=(), entries=()):
    placed = [i32(n) + array([i32(b) for b in brokers]) for n, brokers in assignment]
    return string(name) + i32(partitions) + i16(replication) + array(placed) + array([string(k) + string(v) for k, v in entries])


def created(r):
    r.number("i")
    return sorted(r.array(lambda: (r.string(), r.number("h"), r.string() or "")))


def create(*topics, timeout=10000, validate=0): return 19, 4, array(topics) + i32(timeout) + i8(validate), created


def create_described(name, partitions, replication, entries=(), validate=1):
    topic = (compact(name) + i32(partitions) + i16(replication) + few([]) +
             few([compact(k) + compact(v) + NOTHING for k, v in entries]) + NOTHING)
    return 19, 7, NOTHING + few([topic]) + i32(10000) + i8(validate) + NOTHING, created_described


def created_described(r):
    def entry():
        found = [short(r), short(r)] + numbers(r, "bbb")
        tags(r)
        return found

    def topic():
        found = [short(r)]
        r.at += 16
        found += [r.number("h"), short(r)] + numbers(r, "ih") + [many(r, entry)]
        tags(r)
        return found
    tags(r)
    r.number("i")
    return many(r, topic)


def grown(r):
    r.number("i")
    return sorted(r.array(lambda: (r.string(), r.number("h"), r.string())))


def grow(*topics, validate=0):
    items = [string(name) + i32(count) + (i32(-1) if placed is None else array([array([i32(b) for b in p]) for p in placed]))
             for name, count, placed in topics]
    return 37, 1, array(items) + i32(10000) + i8(validate), grown


def delete_by_name(*names):
    def deleted(r):
        r.number("i")
        return sorted(r.array(lambda: (r.string(), r.number("h"))))
    return 20, 3, array([string(n) for n in names]) + i32(10000), deleted


def elected(r):
    r.number("i")
    return r.number("h"), sorted(r.array(lambda: (r.string(), sorted(r.array(lambda: (*numbers(r, "ih"), r.string())[:2])))))


def elect(kind, *partitions):
    return 43, 1, i8(kind) + array([string(t) + array([i32(p)]) for t, p in partitions]) + i32(10000), elected


def metadata(*names, version=7, create_it=0):
    def topic():
        return string(names[0])

    def read(r):
        r.number("i")
        brokers = r.array(lambda: (r.number("i"), r.string(), r.number("i"), r.string()))
        r.string()
        controller = r.number("i")

        def part():
            found = numbers(r, "hiii")
            return found + [r.array(lambda: r.number("i")) for _ in range(3)]
        topics = r.array(lambda: (r.number("h"), r.string(), r.number("b"), sorted(r.array(part))))
        return len(brokers), controller, sorted(topics)
    return 3, version, array([string(n) for n in names]) + i8(create_it), read


def topic_cases():
    yield "topics only to see", create(new_topic("seen", 2, 2), validate=1)
    yield "topics only to see, one there is", create(new_topic(TOPIC), validate=1)
    yield "topics only to see, with defaults", create_described("seen", -1, -1)
    settings = [("retention.ms", "5"), ("cleanup.policy", "compact")]
    yield "topics only to see, with settings", create_described("seen", 3, 2, settings)
    yield "topics only to see, with a bad setting", create_described("seen", 3, 2, [("retention.ms", "x")])
    yield "topics with no setting's value", create(new_topic("x", entries=[("retention.ms", None)]))
    yield "topics with an unknown broker among the replicas", create(new_topic("half", -1, -1, [(0, [1, 99])]), validate=1)
    yield "topics with a negative broker", create(new_topic("x", -1, -1, [(0, [-1])]), validate=1)
    yield "topics with a partition twice", create(new_topic("x", -1, -1, [(0, [1]), (0, [2])]), validate=1)
    yield "topics with a partition without replicas", create(new_topic("x", -1, -1, [(0, [])]), validate=1)
    yield "topics with a negative partition", create(new_topic("x", -1, -1, [(-1, [1])]), validate=1)
    yield "topics with replication -2", create(new_topic("x", 1, -2), validate=1)
    yield "topics with a long name", create(new_topic("x" * 250))
    yield "topics named .", create(new_topic("."))
    yield "topics of the cluster's own", create(new_topic("__cluster_metadata"))
    yield "topics of bad and good names", create(new_topic("good", -1, -1, [(0, [1, 2, 3])]), new_topic("ba d"), new_topic(TOPIC))
    yield "topics without waiting", create(new_topic("hasty", -1, -1, [(0, [1, 2, 3])]), timeout=0)
    yield "topics none", create()
    yield "partitions fewer", grow((TOPIC, 0, None))
    yield "partitions as many", grow((TOPIC, 1, None))
    yield "partitions negative", grow((TOPIC, -1, None))
    yield "partitions of a topic twice", grow((TOPIC, 2, None), (TOPIC, 3, None))
    yield "partitions with too few places", grow((TOPIC, 3, [(1, 2, 3)]))
    yield "partitions with too many places", grow((TOPIC, 2, [(1, 2, 3), (1, 2, 3)]))
    yield "partitions with fewer replicas", grow((TOPIC, 2, [(1,)]))
    yield "partitions with no replicas", grow((TOPIC, 2, [()]))
    yield "partitions with a replica twice", grow((TOPIC, 2, [(1, 1, 2)]))
    yield "partitions on an unknown broker", grow((TOPIC, 2, [(1, 2, 99)]))
    yield "partitions only to see", grow((TOPIC, 2, [(1, 2, 3)]), validate=1)
    yield "partitions with no places", grow((TOPIC, 2, []))
    yield "deletion of unknown names", delete_by_name("nosuch", "nosuch2")
    yield "deletion of a name twice", delete_by_name("nosuch", "nosuch")
    yield "deletion of nothing", delete_by_name()
    yield "election of type 7", elect(7, (TOPIC, 0))
    yield "election not needed", elect(0, (TOPIC, 0))
    yield "election unclean not needed", elect(1, (TOPIC, 0))
    yield "election in an unknown topic", elect(0, ("nosuch", 0))
    yield "election in an unknown partition", elect(0, (TOPIC, 9))
    yield "election of nothing", elect(0)
    yield "metadata of a topic", metadata("one")
    yield "metadata of no topic", metadata()
    yield "metadata of a bad name", metadata("a b", create_it=1)
    yield "metadata of an empty name", metadata("", create_it=1)
    yield "metadata of a topic twice", metadata(TOPIC, TOPIC)
    yield "metadata of an unknown topic, not to be created", metadata("nosuch")
    yield "metadata of a colliding name", metadata("ra.w", "ra_w", create_it=0)


# Coordinators, producers and directories.

def coordinator(key, kind):
    def found(r):
        r.number("i")
        return r.number("h"), r.string()
    return 10, 2, string(key) + i8(kind), found


def init_producer(name, timeout, producer=(-1, -1)):
    def initialised(r):
        tags(r)
        return numbers(r, "ih")[1], r.number("q") >= 0, r.number("h")
    return 22, 3, NOTHING + compact(name) + i32(timeout) + i64(producer[0]) + i16(producer[1]) + NOTHING, initialised


def producers(topic, partition):
    def described(r):
        def part():
            found = numbers(r, "ih")
            short(r)

            def producer():
                known = numbers(r, "qiiqiq")
                tags(r)
                return known
            found.append(sorted(many(r, producer)))
            tags(r)
            return found

        def each():
            found = short(r), many(r, part)
            tags(r)
            return found
        tags(r)
        r.number("i")
        return many(r, each)
    return 61, 0, NOTHING + few([compact(topic) + few([i32(partition)]) + NOTHING]) + NOTHING, described


def directories(*topics):
    def described(r):
        r.number("i")

        def part(): return r.number("i"), r.number("q") >= 0, *numbers(r, "qb")
        return [d[0:1] + d[2:] for d in r.array(lambda: (r.number("h"), r.string(), sorted(
            r.array(lambda: (r.string(), r.array(part))))))]
    return 35, 1, array([string(t) + array([i32(p)]) for t, p in topics]), described


def cluster(endpoint=1):
    def described(r):
        tags(r)
        r.number("i")
        found = [r.number("h"), short(r) is None, r.number("b")]
        short(r)

        def broker():
            known = r.number("i"), short(r), r.number("i"), short(r)
            tags(r)
            return known[0], known[3]
        return found + [r.number("i"), sorted(many(r, broker)), r.number("i")]
    return 60, 1, NOTHING + i8(1) + i8(endpoint) + NOTHING, described


def other_cases():
    yield "coordinator of kind 9", coordinator("g", 9)
    yield "coordinator of kind -1", coordinator("g", -1)
    yield "producer id for a transaction of no time", init_producer("t", 0)
    yield "producer id for a transaction of less", init_producer("t", -1)
    yield "producer id for a transaction without end", init_producer("t", 2 ** 31 - 1)
    yield "producer id for an empty transaction", init_producer("", 1000)
    yield "producer id with one in hand", init_producer(None, 1000, (5, 3))
    yield "producer id with an epoch only", init_producer(None, 1000, (-1, 3))
    yield "producers of a partition", producers(TOPIC, 0)
    yield "producers of an unknown partition", producers(TOPIC, 9)
    yield "producers of an unknown topic", producers("nosuch", 0)
    yield "producers of a bad name", producers("a b", 0)
    yield "directories of a partition", directories((TOPIC, 0))
    yield "directories of an unknown topic", directories(("nosuch", 0), (TOPIC, 9))
    yield "directories of nothing", directories()
    yield "cluster as brokers", cluster()
    yield "cluster as controllers", cluster(2)
    yield "cluster as nothing known", cluster(9)


# What only the controller is asked, or asks.

def first_code(r): return r.number("h")


def state(topic, partition, controller_epoch, leader, leader_epoch):
    return (string(topic) + i32(partition) + i32(controller_epoch) + i32(leader) + i32(leader_epoch) + array([i32(1)]) +
            i32(0) + array([i32(1)]) + i8(0))


def alter_partition(broker, epoch, partitions=()):
    def altered(r):
        tags(r)
        return numbers(r, "ih")[1], unsigned(r) - 1
    return 56, 0, NOTHING + i32(broker) + i64(epoch) + few([]) + NOTHING, altered


def allocate(broker, epoch):
    def allocated(r):
        tags(r)
        return numbers(r, "ihqi")[1:]
    return 67, 0, NOTHING + i32(broker) + i64(epoch) + NOTHING, allocated


def shut_down(broker, epoch=None, version=2):
    def shut(r): return r.number("h"), len(r.array(lambda: (r.string(), r.number("i"))))
    return 7, version, i32(broker) + (i64(epoch) if version >= 2 else b""), shut


def controller_cases():
    epoch = i32(1) + i32(0)
    yield "controller's LeaderAndIsr of an older epoch", \
        (4, 1, epoch + array([state(TOPIC, 0, 0, 2, 99)]) + array([]), first_code)
    yield "controller's StopReplica of an older epoch", \
        (5, 0, epoch + i8(1) + array([string(TOPIC) + i32(0)]), first_code)
    yield "controller's UpdateMetadata of an older epoch", (6, 1, i32(1) + i32(0) + array([]) + array([]), first_code)
    yield "controller's LeaderAndIsr for a former life", (4, 2, i32(1) + i32(1) + i64(1) + array([]) + array([]), first_code)
    yield "controller's StopReplica for a former life", (5, 1, i32(1) + i32(1) + i64(1) + i8(1) + array([]), first_code)
    yield "controller asked for in-sync sets by a former life", alter_partition(2, 1)
    yield "controller asked for in-sync sets by nobody", alter_partition(99, 1)
    yield "controller asked for producer ids by a former life", allocate(2, 1)
    yield "controller asked for producer ids by nobody", allocate(99, 1)
    yield "controller told of the end of a former life", shut_down(2, 1)
    yield "controller told of the end of nobody", shut_down(99, 1)
    yield "controller told of the end of nobody, version 1", shut_down(99, version=1)


# What a broker that is neither the controller nor the leader says.

def produced_elsewhere(r):
    def part():
        found = numbers(r, "ihqqq")[:4]
        many(r, lambda: (r.number("i"), short(r), tags(r)))
        found.append(short(r))
        for _ in range(unsigned(r)):
            tag, size = unsigned(r), unsigned(r)
            found.append((tag, r.data[r.at:r.at + size].hex()))
            r.at += size
        return found

    def topic():
        found = short(r), many(r, part)
        tags(r)
        return found
    tags(r)
    found = many(r, topic)
    r.number("i")
    nodes = [unsigned(r) for _ in range(unsigned(r))]
    return found, nodes


def produce_v10(topic, partition):
    data = batch()
    part = i32(partition) + bytes([len(data) + 1]) + data + NOTHING
    topics = few([compact(topic) + few([part]) + NOTHING])
    return 0, 10, NOTHING + compact(None) + i16(-1) + i32(5000) + topics + NOTHING, produced_elsewhere


def per_partition(codes, kept):
    def read(r):
        r.number("i")
        return r.array(lambda: (r.string(), r.array(lambda: numbers(r, codes)[kept])))
    return read


def elsewhere_cases():
    """Sent to the broker that is not the controller."""
    latest = array([string(TOPIC) + array([i32(0) + i32(-1) + i64(-1)])])
    first_epoch = array([string(TOPIC) + array([i32(0) + i32(-1) + i32(0)])])
    all_of_it = array([string(TOPIC) + array([i32(0) + i64(0)])])
    found = per_partition("ihqqi", slice(1, None))
    yield "create topics", create(new_topic("x"))
    yield "create topics with a bad name", create(new_topic("a b"))
    yield "more partitions", grow((TOPIC, 5, None))
    yield "delete topics", delete_by_name(TOPIC)
    yield "elect leaders", elect(0, (TOPIC, 0))
    yield "in-sync sets", alter_partition(1, 1)
    yield "producer ids", allocate(1, 1)
    yield "controlled shutdown", shut_down(1, 1)
    yield "settings of a topic", incremental((TOPIC_RESOURCE, "one", [("retention.ms", SET, "5000000")]))
    yield "produce", produce_v10(TOPIC, 0)
    yield "fetch", (1, 11, fetch(0, -1), fetched)
    yield "offsets", (2, 5, i32(-1) + i8(0) + latest, found)
    yield "the end of an epoch", (23, 3, i32(-1) + first_epoch, per_partition("hiiq", slice(None)))
    yield "delete records", (21, 1, all_of_it + i32(5000), per_partition("iqh", slice(1, None)))
    yield "producers", producers(TOPIC, 0)
    yield "offsets as debugging consumer", (2, 5, i32(-2) + i8(0) + latest, found)


def last_cases():
    yield "ghost topic on a broker there is not", create(new_topic("ghost", -1, -1, [(0, [99])]), timeout=2000)
    yield "ghost partition on a broker there is not", create(new_topic("halfghost", -1, -1, [(0, [1]), (1, [99])]), timeout=2000)
    yield "topics with a replica on a broker there is not", create(new_topic("limping", -1, -1, [(0, [1, 99])]))
    yield "topics with a replica on a broker there is not, described", metadata("limping")
    yield "coordinator of an empty group", coordinator("", 0)


def run(port, prefix, cases):
    for name, case in cases:
        if callable(case):
            said = outcome(HOST, port, case)
        else:
            key, version, body, read = case
            said = outcome(HOST, port, lambda line: read(line.call(key, version, body)))
        print(f"{prefix}{name}: {said}", flush=True)


if sys.argv[4:] == ["last"]:
    run(PORT, "", last_cases())
else:
    for group in (session_cases, settings_cases, topic_cases, other_cases, controller_cases):
        run(PORT, "", group())
    run(ELSEWHERE, "elsewhere ", elsewhere_cases())
