"""Rows that put a load on a system and divide its CPU by what was done. All systems get the same bytes in the same shape,
and a block whose correctness check fails has no number."""
import itertools
import json
import os
import time

import machine
from systems import PROGRAMS, Failure, await_true, run

LOAD = os.path.join(PROGRAMS, "load")
NUMBERS = itertools.count(1)
WARM_SECONDS = {"apache": 30, "ours": 2, "floor": 1}
WARM_AGAIN_SECONDS = {"apache": 2, "ours": 0.5, "floor": 0.5}  # what the warm-up writes is no memory to recycle
COMPARE_BYTES = 1 << 20
LOAD_SECONDS_MAX = 300


def load(*words):
    return json.loads(run(LOAD, *words, timeout=LOAD_SECONDS_MAX))


def concatenated(paths, skip=0):
    for path in paths:
        with open(path, "rb") as file:
            size = os.path.getsize(path)
            file.seek(min(skip, size))
            skip -= min(skip, size)
            while True:
                piece = file.read(COMPARE_BYTES)
                if not piece:
                    break
                yield piece


def stream_equal(left, right, skip_left=0, skip_right=0):
    """Whether two lists of files hold the same bytes after those skipped, however these are cut into files."""
    a, b = concatenated(left, skip_left), concatenated(right, skip_right)
    x = y = b""
    while True:
        x = x or next(a, b"")
        y = y or next(b, b"")
        size = min(len(x), len(y))
        if size == 0:
            return not x and not y
        if x[:size] != y[:size]:
            return False
        x, y = x[size:], y[size:]


def sizes(replicas):
    return [sum(os.path.getsize(path) for path in paths) for paths in replicas]


def disk_use(paths):
    """Bytes that the directories of these files take on the disk: indexes, snapshots and all."""
    return sum(os.stat(os.path.join(directory, name)).st_blocks * 512
               for directory in {os.path.dirname(path) for path in paths} for name in os.listdir(directory))


def check_replicas(system, topic, partitions, replicas, bytes_written):
    """Every replica holds all that was acknowledged, byte for byte. The bytes they take on the disk."""
    if replicas > 1:
        found = [sizes(system.replicas_of(topic, p, replicas)) for p in range(partitions)]
        await_true(20, f"equal replicas of {topic} (sizes {found})", lambda: all(
            len(set(sizes(system.replicas_of(topic, p, replicas)))) == 1 for p in range(partitions)))
    total = 0
    for partition in range(partitions):
        files = system.replicas_of(topic, partition, replicas)
        total += sizes(files)[0]
        for other in files[1:]:
            if not stream_equal(files[0], other):
                raise Failure(f"the replicas of {topic}-{partition} differ")
    if total < bytes_written:
        raise Failure(f"{bytes_written} bytes were acknowledged, and {total} are on the disk")
    return disk_use(path for p in range(partitions) for paths in system.replicas_of(topic, p, replicas) for path in paths)


class Topic:
    """A topic for one block, with an account of what was written to it."""

    def __init__(self, system, partitions, replicas):
        self.system = system
        self.name = f"bench-{next(NUMBERS)}"
        self.partitions = partitions
        self.replicas = replicas
        self.producers = 0
        self.records = 0
        self.bytes = 0
        system.create(self.name, partitions, replicas)

    def produce(self, row, requests):
        done = load("produce", "127.0.0.1", self.system.port, self.name, self.partitions, row["batch"], row["value"],
                    requests, row["depth"], row["connections"], -1 if self.replicas == 3 else 1, self.producers,
                    *([row["codec"]] if "codec" in row else []))
        self.producers += row["connections"]
        self.records += done["records"]
        self.bytes += done["bytes"]
        return done

    def check(self):
        """All of it is there and as it was sent; bytes on the disk per byte acknowledged, a replica."""
        read = load("verify", "127.0.0.1", self.system.port, self.name, self.partitions, self.records)
        if read["bytes"] != self.bytes:  # packed anew, perhaps
            raise Failure(f"{self.bytes} bytes were sent, and {read['bytes']} are read")
        used = check_replicas(self.system, self.name, self.partitions, self.replicas, self.bytes)
        run(LOAD, "probe", "127.0.0.1", self.system.port, self.name)
        return used / self.bytes / self.replicas

    def warm_up(self, row, requests, seconds):
        """The same load, until its time is over; at least once."""
        deadline = time.monotonic() + seconds
        self.produce(row, requests)
        while time.monotonic() < deadline:
            self.produce(row, requests)


def measured(system, others, action):
    before = machine.Snapshot(system.pids(), others)
    done = action()
    sample = machine.between(before, machine.Snapshot(system.pids(), others), done["client_cpu"])
    sample.update(done)
    return sample


def run_block(bench, row, system, requests):
    """One block of a row on one system; the sample, with its value."""
    directory = system.processes.directory
    others = bench.other_pids(system)
    topic = Topic(system, row["partitions"], row["replicas"])
    try:
        warm = WARM_SECONDS if system.name not in bench.warmed else WARM_AGAIN_SECONDS
        bench.warmed.add(system.name)
        topic.warm_up(row, max(row["connections"], requests // 10), warm[system.name] * min(1, bench.scale))
        # Right before: within seconds what is free goes back to the host, and its next first touch costs up to 1.7 s/GB.
        machine.recycle_memory(directory, min(2 * row["batch"] * requests * row["replicas"] >> 20, bench.recycle_max))
        if row["kind"] == "consume":
            topic.produce(row, requests)
            wanted = topic.bytes * 2
            sample = measured(system, others, lambda: load(
                "consume", "127.0.0.1", system.port, topic.name, 0, row["fetch"], wanted))
        else:
            sample = measured(system, others, lambda: topic.produce(row, requests))
        sample["on_disk"] = topic.check()
        system.processes.check_all()
    finally:
        topic.system.delete(topic.name)
        machine.settle(directory, 15 if bench.scale >= 1 else 2)
    return dict(sample, value=value_of(row, sample))


def value_of(row, sample):
    if "field" in row:
        return sample[row["field"]]
    if row["unit"] == "s/GB":
        return sample["broker_cpu"] / (sample["bytes"] / 1e9)
    if row["unit"] == "s/M":
        return sample["broker_cpu"] / (sample["records"] / 1e6)
    return sample["broker_cpu"] / sample["requests"] * 1e6


def share_of(row, system):
    """Of a block: where Apache Kafka takes a minute for what takes others seconds, a part of it tells as much."""
    return row.get("apache_share", 1) if system.name == "apache" else 1


def request_row(name, title, goals, requests, unit="us", replicas=3, batch=900, value=None, depth=5, connections=1,
                partitions=1, kind="produce", **more):
    return dict({"name": name, "title": title, "group": kind, "goal_floor": goals[0], "goal_apache": goals[1],
                 "requests": requests, "unit": unit, "replicas": replicas, "batch": batch, "value": value or min(batch - 80, 1000),
                 "depth": depth, "connections": connections, "partitions": partitions, "kind": kind}, **more)


ONE_AT_A_TIME = {"batch": 300, "value": 200, "depth": 1, "group": "one"}
ROWS = [
    request_row("rf3-1m", "produce RF=3 acks=all, 1 MB", (1.4, 2.5), 1000, "s/GB", batch=1000000, apache_share=0.5),
    request_row("rf3-16k", "produce RF=3 acks=all, 16 KiB", (1.5, 8), 30000, "s/GB", batch=16384, apache_share=0.3),
    request_row("rf1-1m", "produce RF=1, 1 MB", (1.4, 5), 1500, "s/GB", replicas=1, batch=1000000, apache_share=0.7),
    request_row("rf1-16k", "produce RF=1, 16 KiB", (1.4, 6), 60000, "s/GB", replicas=1, batch=16384, apache_share=0.5),
    request_row("consume-1m", "consume, 1 MiB a fetch", (1.4, 2.3), 1000, "s/GB", replicas=1, batch=65536,
                kind="consume", fetch=1048576),
    request_row("consume-8m", "consume, 8 MiB a fetch", (1.4, 2.3), 1000, "s/GB", replicas=1, batch=65536,
                kind="consume", fetch=8388608),
    request_row("rf3-16k-8x8", "produce RF=3, 16 KiB, 8 connections x 8", (1.5, 7), 30000, "s/GB", batch=16384, depth=8,
                connections=8, partitions=8, apache_share=0.4),
    request_row("rf3-1k-5", "1 KiB request RF=3, depth 5", (1.6, 10), 100000, batch=1024, value=940, group="small",
                apache_share=0.5),
    request_row("rf3-1k-64", "1 KiB request RF=3, depth 64", (1.8, 30), 400000, batch=1024, value=940, depth=64,
                group="small", apache_share=0.2),
    request_row("rf3-1k-8x8", "1 KiB request RF=3, 8 connections x 8", (2, 18), 400000, batch=1024, value=940, depth=8,
                connections=8, partitions=8, group="small", apache_share=0.3),
    request_row("one-p50", "one at a time, 200 B, RF=3: p50", (2, 3), 20000, "ms", field="p50_ms", **ONE_AT_A_TIME),
    request_row("one-p99", "one at a time, 200 B, RF=3: p99", (2, 4), 20000, "ms", field="p99_ms", of="one-p50",
                **ONE_AT_A_TIME),
    request_row("one-cpu", "one at a time, 200 B, RF=3: CPU", (None, 5), 20000, "us", of="one-p50", **ONE_AT_A_TIME),
    request_row("one-p999", "one at a time, 200 B, RF=3: p99.9", (None, None), 20000, "ms", field="p999_ms", of="one-p50",
                **ONE_AT_A_TIME),
    request_row("small-10", "100 B in a batch of its own, RF=3, 10 producers x 5", (None, None), 100000, batch=170,
                value=100, connections=10, partitions=10, group="small", apache_share=0.3),
    request_row("lz4", "lz4 from the producer, RF=3, some 32 KiB a request: bytes of the wire", (None, None), 20000, "s/GB",
                batch=65536, codec="lz4", group="packed"),
    request_row("zstd", "- zstd", (None, None), 20000, "s/GB", batch=65536, codec="zstd", group="packed"),
    # The goal is 1.0 to the one decimal that Apache Kafka's figure has.
    request_row("on-disk", "bytes on disk per byte acked, RF=3, 16 KiB", (None, None), 30000, "x", field="on_disk",
                of="rf3-16k", goal_value=1.05),
]
