"""Two members of a group whose coordinator is killed at one step of what they do: join, sync, assign, commit or leave.
They go on as the protocol says, and within a minute the group must stand under another coordinator, with a commit that
has not gone back. Prints the id of the broker that was killed.

usage: group_steps.py HOST:PORT,... TOPIC STEP CLUSTER-DIRECTORY"""
import os
import signal
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from kafka_frames import Connection, array, binary, string  # noqa: E402

SERVERS = [server.rsplit(":", 1) for server in sys.argv[1].split(",")]
TOPIC, STEP, CLUSTER = sys.argv[2:5]
GROUP = "steps-" + STEP
TIMEOUT_MS = 10000
DEADLINE = time.monotonic() + 60
MOVED = (14, 15, 16)  # loading, not available, not coordinator


class Moved(Exception):
    pass


def coordinator():
    """Its broker id and a connection to it; asks until there is one."""
    while time.monotonic() < DEADLINE:
        for host, port in SERVERS:
            try:
                r = Connection(host, port).call(10, 0, string(GROUP))
                error, node, found, at = r.number("h"), r.number("i"), r.string(), r.number("i")
                if error == 0:
                    return node, Connection(found, at)
            except (OSError, EOFError):
                continue
        time.sleep(0.1)
    raise SystemExit("no coordinator within the time")


class Member:
    def __init__(self, name):
        self.name, self.id, self.generation, self.connection = name, "", -1, None

    def call(self, key, version, body):
        """The answer; Moved when the coordinator has to be looked for."""
        try:
            if self.connection is None:
                self.connection = coordinator()[1]
            return self.connection.call(key, version, body)
        except (OSError, EOFError):
            self.connection = None
            time.sleep(0.1)
            raise Moved

    def look(self, error):
        if error in MOVED:
            self.connection = None
            time.sleep(0.1)
            raise Moved
        if error == 25:
            self.id = ""

    def join_body(self):
        return (string(GROUP) + struct.pack(">ii", TIMEOUT_MS, TIMEOUT_MS) + string(self.id) + string(None) +
                string("consumer") + array([string("range") + binary(b"")]))

    def take_join(self, r):
        r.number("i")
        error, generation = r.number("h"), r.number("i")
        r.string()
        leader, member = r.string(), r.string()
        members = r.array(lambda: (r.string(), r.string(), r.binary()))
        if error in (0, 79):
            self.id = member
        self.look(error)
        self.generation, self.members = generation, [m for m, _, _ in members]
        return error

    def join(self):
        return self.take_join(self.call(11, 5, self.join_body()))

    def sync_body(self):
        return (string(GROUP) + struct.pack(">i", self.generation) + string(self.id) + string(None) +
                array([string(m) + binary(m.encode()) for m in self.members]))

    def take_sync(self, r):
        r.number("i")
        error, assignment = r.number("h"), r.binary()
        self.look(error)
        assert error != 0 or assignment == self.id.encode(), (error, assignment)
        return error

    def sync(self):
        return self.take_sync(self.call(14, 3, self.sync_body()))

    def commit_body(self, offset):
        return (string(GROUP) + struct.pack(">i", self.generation) + string(self.id) + string(None) +
                array([string(TOPIC) + array([struct.pack(">iqi", 0, offset, -1) + string("")])]))

    def commit(self, offset):
        r = self.call(8, 7, self.commit_body(offset))
        r.number("i")
        error = r.array(lambda: (r.string(), r.array(lambda: (r.number("i"), r.number("h")))))[0][1][0][1]
        self.look(error)
        return error

    def leave_body(self):
        return string(GROUP) + array([string(self.id) + string(None)])

    def heartbeat(self):
        r = self.call(12, 3, string(GROUP) + struct.pack(">i", self.generation) + string(self.id) + string(None))
        r.number("i")
        error = r.number("h")
        self.look(error)
        return error

    def stand(self, is_over):
        """Joins, syncs and heartbeats, as clients do, until `is_over`."""
        is_stable = False
        while time.monotonic() < DEADLINE and not is_over(self, is_stable):
            try:
                if not is_stable:
                    is_stable = self.join() == 0 and self.sync() == 0
                else:
                    is_stable = self.heartbeat() == 0
                    time.sleep(0.1)
            except Moved:
                continue


def fetch():
    while time.monotonic() < DEADLINE:
        try:
            r = coordinator()[1].call(9, 5, string(GROUP) + array([string(TOPIC) + array([struct.pack(">i", 0)])]))
        except (OSError, EOFError):
            continue
        r.number("i")
        topics = r.array(lambda: (r.string(), r.array(
            lambda: (r.number("i"), r.number("q"), r.number("i"), r.string(), r.number("h")))))
        error = r.number("h")
        if error == 0:
            return topics[0][1][0][1]
        time.sleep(0.1)
    raise SystemExit("no answer to OffsetFetch within the time")


def together(members, until):
    threads = [threading.Thread(target=m.stand, args=(until,)) for m in members]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def both_stable():
    """True for each once both are members of one stable generation and have been for some heartbeats."""
    seen = {}

    def is_over(member, is_stable):
        seen[member.name] = (member.generation, seen.get(member.name, (0, 0))[1] + 1) if is_stable else (0, 0)
        generations = {g for g, n in seen.values() if n >= 3}
        return len(seen) == 2 and len(generations) == 1 and all(n >= 3 for _, n in seen.values())
    return is_over


a, b = Member("a"), Member("b")
together([a, b], both_stable())
assert a.generation == b.generation > 0, (a.generation, b.generation)
leader, follower = (a, b) if a.members else (b, a)
while True:
    try:
        assert leader.commit(50) == 0
        break
    except Moved:  # leadership went back to the preferred replica, as it does after a restart
        together([a, b], both_stable())
        leader, follower = (a, b) if a.members else (b, a)
node = coordinator()[0]
if STEP == "join":
    leader.connection.send(11, 5, leader.join_body())
elif STEP in ("sync", "assign"):
    thread = threading.Thread(target=follower.join)
    leader.connection.send(11, 5, leader.join_body())
    time.sleep(0.2)
    thread.start()
    leader.take_join(leader.connection.receive())
    thread.join()
    sender = leader if STEP == "assign" else follower
    sender.connection.send(14, 3, sender.sync_body())
elif STEP == "commit":
    leader.connection.send(8, 7, leader.commit_body(77))
elif STEP == "leave":
    follower.connection.send(13, 3, follower.leave_body())
with open("%s/broker-%d.pid" % (CLUSTER, node)) as pid:
    os.kill(int(pid.read()), signal.SIGKILL)
print(node)
a.connection = b.connection = None  # an answer may have come before the kill, and nobody waits for it
found = fetch()
assert found in ((50, 77) if STEP == "commit" else (50,)), found
together([a, b], both_stable())
assert a.generation == b.generation > 0, "the group does not stand again: %d, %d" % (a.generation, b.generation)
while True:
    try:
        assert a.commit(100) == 0
        break
    except Moved:
        together([a, b], both_stable())
assert fetch() == 100
