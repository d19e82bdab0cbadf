"""Commits offsets of groups without members, and reads them back.

Usage: commits.py HOST:PORT write FIRST LAST | read. Groups g0 to g4 commit FIRST, FIRST + 1, ... LAST for partition 0 of the
topic "plain" with a note; "read" prints what each has committed.
"""
import os
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from kafka_frames import Connection, array, string  # noqa: E402

HOST, PORT = sys.argv[1].rsplit(":", 1)
COMMIT, FETCH, FIND_COORDINATOR = 8, 9, 10
TRY_AGAIN = (3, 14, 15, 16)
line = Connection(HOST, PORT)


def commit(group, offset):
    part = struct.pack(">iqi", 0, offset, -1) + string(f"note {offset}")
    member = struct.pack(">i", -1) + string("") + string(None)
    r = line.call(COMMIT, 7, string(group) + member + array([string("plain") + array([part])]))
    r.number("i")
    (_, ((_, code),)), = r.array(lambda: (r.string(), r.array(lambda: (r.number("i"), r.number("h")))))
    return code, None


def committed(group):
    r = line.call(FETCH, 5, string(group) + array([string("plain") + array([struct.pack(">i", 0)])]))
    r.number("i")
    (_, (part,)), = r.array(lambda: (r.string(), r.array(
        lambda: (r.number("i"), r.number("q"), r.number("i"), r.string(), r.number("h")))))
    return r.number("h") or part[4], (part[1], part[3])


def insist(ask, *what):
    """While the coordinator is not ready."""
    deadline = time.monotonic() + 60
    while True:
        code, answer = ask(*what)
        if code not in TRY_AGAIN or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    if code:
        sys.exit(f"{ask.__name__}{what}: error {code}")
    return answer


def coordinator(group):
    r = line.call(FIND_COORDINATOR, 1, string(group) + b"\0")
    r.number("i")
    return r.number("h"), None


for g in range(5):
    insist(coordinator, f"g{g}")  # which also makes the topic of the offsets
if sys.argv[2] == "write":
    for n in range(int(sys.argv[3]), int(sys.argv[4]) + 1):
        for g in range(5):
            insist(commit, f"g{g}", n)
else:
    for g in range(5):
        print(f"g{g}", *insist(committed, f"g{g}"))
