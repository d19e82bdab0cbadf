"""Asks a coordinator, frame by frame, what a group's life is made of, and prints the answers: run against Apache's and
against ours, the two outputs must be equal. Member ids are printed as m1, m2, ... in the order they were given out.

usage: groups_questions.py HOST:PORT"""
import os
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from kafka_frames import Connection, array, binary, string  # noqa: E402

HOST, PORT = sys.argv[1].rsplit(":", 1)
names = {}


def name(member):
    if member == "":
        return '""'
    return names.setdefault(member, "m%d" % (len(names) + 1)) if "-" in member else member


asker = Connection(HOST, PORT)


def join_body(group, member="", instance=None, session=10000, rebalance=10000, kind="consumer",
              protocols=(("range", b"meta"),)):
    return (string(group) + struct.pack(">ii", session, rebalance) + string(member) + string(instance) + string(kind) +
            array([string(p) + binary(m) for p, m in protocols]))


def read_join(r):
    r.number("i")
    error, generation, protocol, leader, member = r.number("h"), r.number("i"), r.string(), r.string(), r.string()
    members = r.array(lambda: (r.string(), r.string(), r.binary()))
    return {"error": error, "generation": generation, "protocol": protocol, "leader": leader, "member": member,
            "members": members}


def shown(joined):
    member = name(joined["member"])
    return "error %d generation %d protocol %r leader %s member %s members %s" % (
        joined["error"], joined["generation"], joined["protocol"], name(joined["leader"]), member,
        sorted((name(m), i, data) for m, i, data in joined["members"]))


def join(group, on=None, version=5, **how):
    return read_join((on or asker).call(11, version, join_body(group, **how)))


def joined_id(group, **how):
    """Joins as clients of KIP-394 do; the member id of a generation."""
    first = join(group, **how)
    return join(group, member=first["member"], **how) if first["error"] == 79 else first


def sync(group, generation, member, parts=(), instance=None, on=None):
    body = (string(group) + struct.pack(">i", generation) + string(member) + string(instance) +
            array([string(m) + binary(a) for m, a in parts]))
    r = (on or asker).call(14, 3, body)
    r.number("i")
    return "error %d assignment %r" % (r.number("h"), r.binary())


def heartbeat(group, generation, member, instance=None):
    r = asker.call(12, 3, string(group) + struct.pack(">i", generation) + string(member) + string(instance))
    r.number("i")
    return "error %d" % r.number("h")


def leave(group, *members):
    r = asker.call(13, 3, string(group) + array([string(m) + string(i) for m, i in members]))
    r.number("i")
    return "error %d members %s" % (r.number("h"), r.array(lambda: (name(r.string()), r.string(), r.number("h"))))


def commit(group, generation, member, offset=5, topic="t", partition=0, metadata="", instance=None):
    body = (string(group) + struct.pack(">i", generation) + string(member) + string(instance) +
            array([string(topic) + array([struct.pack(">iqi", partition, offset, 3) + string(metadata)])]))
    r = asker.call(8, 7, body)
    r.number("i")
    return "errors %s" % r.array(lambda: (r.string(), r.array(lambda: (r.number("i"), r.number("h")))))


def fetch(group, topics=(("t", (0,)),)):
    body = string(group) + (struct.pack(">i", -1) if topics is None else
                            array([string(t) + array([struct.pack(">i", p) for p in ps]) for t, ps in topics]))
    r = asker.call(9, 5, body)
    r.number("i")
    found = r.array(lambda: (r.string(), sorted(r.array(
        lambda: (r.number("i"), r.number("q"), r.number("i"), r.string(), r.number("h"))))))
    return "%s error %d" % (sorted(found), r.number("h"))


def describe(group):
    r = asker.call(15, 4, array([string(group)]) + b"\1")
    r.number("i")
    return "%s" % r.array(lambda: (
        r.number("h"), r.string(), r.string(), r.string(), r.string(),
        sorted(r.array(lambda: (name(r.string()), r.string(), r.string(), r.string(), r.binary(), r.binary()))),
        r.number("i")))


def listed(prefix):
    r = asker.call(16, 2, b"")
    r.number("i")
    error = r.number("h")
    groups = r.array(lambda: (r.string(), r.string()))
    return "error %d %s" % (error, sorted(g for g in groups if g[0].startswith(prefix)))


def delete(*groups):
    r = asker.call(42, 1, array([string(g) for g in groups]))
    r.number("i")
    return "%s" % sorted(r.array(lambda: (r.string(), r.number("h"))))


def delete_offset(group, topic="t", partition=0):
    r = asker.call(47, 0, string(group) + array([string(topic) + array([struct.pack(">i", partition)])]))
    error = r.number("h")
    r.number("i")
    return "error %d %s" % (error, r.array(lambda: (r.string(), r.array(lambda: (r.number("i"), r.number("h"))))))


def coordinator(version, key="g", kind=0):
    r = asker.call(10, version, string(key) + (struct.pack(">b", kind) if version > 0 else b""))
    if version > 0:
        r.number("i")
    error = r.number("h")
    return "error %d message %r" % (error, r.string() if version > 0 else None)


def say(what, answer):
    print("%s: %s" % (what, shown(answer) if isinstance(answer, dict) else answer))


def wait_for_coordinator():
    for _ in range(300):
        if "error 0" in coordinator(0) and "error 0" in heartbeat_of_nobody():
            return
        time.sleep(0.1)


def await_state(group, state):
    deadline = time.monotonic() + 30
    while state not in describe(group):
        assert time.monotonic() < deadline, "%s does not become %s: %s" % (group, state, describe(group))
        time.sleep(0.02)


def heartbeat_of_nobody():
    r = asker.call(12, 3, string("probe") + struct.pack(">i", 1) + string("x") + string(None))
    r.number("i")
    return "error 0" if r.number("h") == 25 else "not yet"


def life_of_one():
    first = join("one")
    say("a first join", first)
    member = first["member"]
    second = join("one", member=member)
    say("with the id", second)
    say("heartbeat before the sync", heartbeat("one", 1, member))
    say("commit before the sync", commit("one", 1, member))
    say("join again before the sync", join("one", member=member))
    say("sync of another generation", sync("one", 9, member))
    say("sync of nobody", sync("one", 1, "x-y"))
    say("sync", sync("one", 1, member, [(member, b"all")]))
    say("sync again", sync("one", 1, member))
    say("describe", describe("one"))
    say("heartbeat", heartbeat("one", 1, member))
    say("heartbeat of another generation", heartbeat("one", 2, member))
    say("heartbeat of nobody", heartbeat("one", 1, "x-y"))
    say("heartbeat of an instance", heartbeat("one", 1, member, "i"))
    say("commit", commit("one", 1, member, 7, metadata="note"))
    say("fetch", fetch("one"))
    say("fetch all", fetch("one", None))
    say("commit of another generation", commit("one", 0, member))
    say("commit without generation", commit("one", -1, ""))
    say("commit with id, without generation", commit("one", -1, member))
    say("commit of nobody", commit("one", 1, "x-y"))
    say("commit to an unknown topic", commit("one", 1, member, topic="unknown"))
    say("commit to an unknown partition", commit("one", 1, member, partition=99))
    say("commit with much metadata", commit("one", 1, member, metadata="x" * 5000))
    say("fetch an unknown partition", fetch("one", (("t", (0, 1, 99)), ("unknown", (0,)))))
    say("delete it", delete("one"))
    say("delete an offset", delete_offset("one"))
    say("delete an offset of an unknown topic", delete_offset("one", "unknown"))
    say("join of another type", join("one", kind="connect"))
    say("join without a common protocol", join("one", protocols=(("other", b""),)))
    say("the leader joins again", join("one", member=member))
    say("sync 2", sync("one", 2, member, []))
    say("leave of nobody", leave("one", ("x-y", None)))
    say("leave by an unknown instance", leave("one", ("", "i")))
    say("leave", leave("one", (member, None)))
    say("leave again", leave("one", (member, None)))
    say("describe the empty group", describe("one"))
    say("heartbeat of the former member", heartbeat("one", 2, member))
    say("rejoin of the former member", join("one", member=member))
    say("sync of the former member", sync("one", 2, member))
    say("commit of the former member", commit("one", 2, member))
    say("commit without generation to the empty group", commit("one", -1, "", 9))
    say("fetch", fetch("one"))
    say("delete an offset of the empty group", delete_offset("one"))
    say("fetch after that", fetch("one"))
    say("delete the empty group", delete("one", "nobody"))
    say("describe the deleted group", describe("one"))


def bad_requests():
    say("empty group id", join(""))
    say("short session", join("bad", session=100))
    say("long session", join("bad", session=2000000))
    say("unknown member", join("bad", member="x-y"))
    say("no type", join("bad", kind=""))
    say("no protocols", join("bad", protocols=()))
    say("heartbeat, empty id", heartbeat("", 1, "m"))
    say("heartbeat, no group", heartbeat("none", 1, "m"))
    say("sync, empty id", sync("", 1, "m"))
    say("sync, no group", sync("none", 1, "m"))
    say("leave, empty id", leave("", ("m", None)))
    say("leave, no group", leave("none", ("m", None), ("", "i")))
    say("commit, empty id", commit("", -1, "", 3))
    say("fetch, empty id", fetch(""))
    say("commit, no group, generation", commit("none", 3, "m"))
    say("fetch, no group", fetch("none"))
    say("fetch all, no group", fetch("none", None))
    say("describe, no group", describe("none"))
    say("describe, empty id", describe(""))
    say("delete an offset, no group", delete_offset("none"))
    say("delete an offset, empty id", delete_offset(""))
    say("coordinator, version 0", coordinator(0))
    say("coordinator, version 1", coordinator(1))


def without_management():
    say("commit", commit("simple", -1, "", 1))
    say("commit with a member", commit("simple", -1, "m-1", 2))
    say("describe", describe("simple"))
    say("fetch all", fetch("simple", None))
    say("list", listed("simple"))
    say("delete an offset", delete_offset("simple"))
    say("describe after its last offset", describe("simple"))


def static_members():
    first = join("static", instance="i")
    say("a static member needs no id", first)
    member = first["member"]
    say("sync", sync("static", 1, member, [(member, b"all")], "i"))
    say("heartbeat", heartbeat("static", 1, member, "i"))
    say("heartbeat of another instance", heartbeat("static", 1, member, "j"))
    back = join("static", instance="i")
    say("it comes back", back)
    say("sync of its successor", sync("static", 1, back["member"], [], "i"))
    say("heartbeat of its former self", heartbeat("static", 1, member, "i"))
    say("sync of its former self", sync("static", 1, member, [], "i"))
    say("commit of its former self", commit("static", 1, member, instance="i"))
    say("join of its former self", join("static", member=member, instance="i"))
    say("leave of its former self", leave("static", (member, "i")))
    say("describe", describe("static"))
    again = join("static", instance="i", protocols=(("other", b""), ("range", b"new")))
    say("it comes back with other metadata", again)
    say("it comes back with another protocol only", join("static", instance="i", protocols=(("other", b""),)))
    say("leave by instance", leave("static", ("", "i"), ("", "i")))
    say("describe", describe("static"))


def two_members():
    a = joined_id("two")
    sync("two", 1, a["member"], [(a["member"], b"1")])
    other = Connection(HOST, PORT)
    pending = join("two", on=other)
    say("a second one asks for an id", pending)
    say("the group does not notice", heartbeat("two", 1, a["member"]))
    other.send(11, 5, join_body("two", member=pending["member"]))
    await_state("two", "PreparingRebalance")
    say("heartbeat while it waits", heartbeat("two", 1, a["member"]))
    say("describe while it waits", describe("two"))
    say("sync while it waits", sync("two", 1, a["member"]))
    say("commit while it waits", commit("two", 1, a["member"], 11))
    say("delete while it waits", delete("two"))
    say("the first joins", join("two", member=a["member"]))
    b = read_join(other.receive())
    say("the second has joined", b)
    say("commit of the old generation", commit("two", 1, a["member"]))
    say("commit before the assignment", commit("two", 2, a["member"]))
    waiting = Connection(HOST, PORT)
    waiting.send(14, 3, string("two") + struct.pack(">i", 2) + string(b["member"]) + string(None) + array([]))
    time.sleep(0.3)  # nothing tells that a sync waits
    say("the leader assigns", sync("two", 2, a["member"], [(a["member"], b"A"), (b["member"], b"B")]))
    r = waiting.receive()
    r.number("i")
    say("the follower has its part", "error %d assignment %r" % (r.number("h"), r.binary()))
    say("a follower that joins unchanged", join("two", member=b["member"]))
    other.send(11, 5, join_body("two", member=b["member"], protocols=(("range", b"changed"),)))
    await_state("two", "PreparingRebalance")
    say("a follower that joins changed", heartbeat("two", 2, a["member"]))
    say("the follower leaves while it waits", leave("two", (b["member"], None)))
    say("its join", read_join(other.receive()))
    say("describe", describe("two"))
    say("the leader joins alone", join("two", member=a["member"]))
    say("the leader leaves before the assignment", leave("two", (a["member"], None)))
    say("describe", describe("two"))


# Falls silent before everything else is asked, for six seconds are the shortest session.
def falls_silent():
    member = joined_id("silent", session=6000)["member"]
    sync("silent", 1, member, [(member, b"1")])
    return member


def silence():
    await_state("silent", "Empty")
    say("heartbeat after the session", heartbeat("silent", 1, silent))
    say("describe", describe("silent"))


def protocols():
    a = joined_id("votes", protocols=(("range", b"a"), ("roundrobin", b"b")))
    say("one member prefers range", a)
    sync("votes", 1, a["member"], [])
    other = Connection(HOST, PORT)
    pending = join("votes", on=other, protocols=(("roundrobin", b"c"),))
    other.send(11, 5, join_body("votes", member=pending["member"], protocols=(("roundrobin", b"c"),)))
    await_state("votes", "PreparingRebalance")
    say("only roundrobin is common", join("votes", member=a["member"], protocols=(("range", b"a"), ("roundrobin", b"b"))))
    say("the other", read_join(other.receive()))


wait_for_coordinator()
silent = falls_silent()
for scenario in (life_of_one, bad_requests, without_management, static_members, two_members, protocols, silence):
    print("== %s" % scenario.__name__)
    scenario()
