"""24 GB through three brokers in one go: produced with acks=all in rounds, each read back and checked while the next is
produced, with retention behind so that the disk need not hold it all. What may not grow does not: memory and open files.
What is left at the end is the same on every replica."""
import json
import os
import subprocess
import time

import machine
from request_rows import LOAD, stream_equal
from systems import BUILD, Failure, await_true, descendants, rss_of, run

BYTES, ROUNDS = 24_000_000_000, 24
WARM_ROUNDS = 4  # in which buffers take the size that they keep
PARTITIONS, CONNECTIONS, DEPTH, BATCH = 8, 8, 8, 16384
KEPT_ROUNDS = 2.5  # a round is read while the next is written
SEGMENTS_A_ROUND = 4
SEGMENT_BYTES_MIN = 4 << 20  # a segment is an open file
DISK_GB = 18
SAMPLE_SECONDS = 0.5
FILES_SECONDS = 60  # until what was deleted is closed
BASE_PORTS = {"ours": 27600, "apache": 27700}
HEADER_BYTES = 12  # of a batch: its offset and its length


def endurance_row(name, title, unit, goal=None, goal_apache=None):
    return {"group": "endurance", "name": name, "title": title, "unit": unit, "goal_value": goal, "goal_apache": goal_apache}


ROWS = [
    endurance_row("endurance-rss", "24 GB in one go: a broker's largest RSS / its least, after warm-up", "x", 1.1),
    endurance_row("endurance-rss-max", "- largest RSS of a broker", "MB"),
    endurance_row("endurance-files", "- open files that a broker did not have before", "files", 0),
    endurance_row("endurance-cpu", "- CPU a GB produced and consumed", "s/GB"),
]


class Watch:
    """Resident memory of every broker, sampled while children run."""

    def __init__(self, system):
        self.system = system
        self.seen = []
        self.files = []

    def wait_for(self, child):
        while True:
            self.seen.append([rss_of(pid) for pid in self.system.pids()])
            self.files.append(max(open_files(self.system)))
            self.system.processes.check_all()
            try:
                out, errors = child.communicate(timeout=SAMPLE_SECONDS)
                break
            except subprocess.TimeoutExpired:
                pass
        if child.returncode != 0:
            raise Failure(f"load {child.args[1]}: {(errors or out).strip()[-300:]}")
        return json.loads(out)


def client(mode, system, topic, *words):
    return subprocess.Popen([LOAD, mode, "127.0.0.1", str(system.port), topic, str(PARTITIONS), *map(str, words)],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def go_on(system, topic, rounds, requests, watch):
    """Rounds of producing; the one before is read from where it began. All that was written."""
    before, written, position = None, 0, 0
    for number in range(rounds + 1):
        producer = verifier = None
        if number < rounds:
            producer = client("produce", system, topic, BATCH, 1000, requests, DEPTH, CONNECTIONS, -1, number * CONNECTIONS)
        if before is not None:
            verifier = client("verify", system, topic, before["records"], position // PARTITIONS)
        done = watch.wait_for(producer) if producer else None
        if verifier:
            read = watch.wait_for(verifier)
            if read["bytes"] != before["bytes"]:
                raise Failure(f"round {number}: {before['bytes']} bytes were acknowledged, and {read['bytes']} are read")
            written, position = written + before["bytes"], position + before["records"]
        if number == WARM_ROUNDS - 1 and rounds > WARM_ROUNDS:
            watch.seen.clear()
        before = done
    return written


def bytes_before(paths, offset):
    """Where the batch with this offset begins in the log that these files are."""
    at = 0
    for path in paths:
        place, size = 0, os.path.getsize(path)
        with open(path, "rb") as file:
            while place < size:
                file.seek(place)
                header = file.read(HEADER_BYTES)
                if int.from_bytes(header[:8], "big") >= offset:
                    return at + place
                place += HEADER_BYTES + int.from_bytes(header[8:], "big")
        at += size
    return at


def check_replicas(system, topic):
    """From where the shortest begins, for each deletes old segments on its own. The bytes compared."""
    run(os.path.join(BUILD, "bin", "kafka-configs"), "--bootstrap-server", system.bootstrap(), "--alter", "--entity-type",
        "topics", "--entity-name", topic, "--add-config", "retention.bytes=-1")
    compared = 0
    for partition in range(PARTITIONS):
        directories = [os.path.join(system.directory_of(number), f"{topic}-{partition}") for number in (1, 2, 3)]
        await_true(60, "deletions to be done", lambda these=directories: not any(
            name.endswith(".deleted") for directory in these for name in os.listdir(directory)), pause=0.5)
        replicas = system.replicas_of(topic, partition, 3)
        start = max(int(os.path.basename(paths[0]).split(".")[0]) for paths in replicas)
        skips = [bytes_before(paths, start) for paths in replicas]
        left = [sum(map(os.path.getsize, paths)) - skip for paths, skip in zip(replicas, skips)]
        if left[0] == 0 or not all(stream_equal(replicas[0], other, skips[0], skip)
                                   for other, skip in zip(replicas[1:], skips[1:])):
            raise Failure(f"the replicas of {topic}-{partition} differ from offset {start} on ({left} bytes)")
        compared += left[0]
    return compared


def open_files(system):
    return [sum(len(os.listdir(f"/proc/{one}/fd")) for one in descendants(pid)) for pid in system.pids()]


def files_beyond(system, before):
    """Open files of the broker that has most more than before; what is on the way to be closed is waited for."""
    try:
        await_true(FILES_SECONDS, "files to be closed", lambda: all(
            now <= was for now, was in zip(open_files(system), before)), pause=0.5)
    except Failure:
        pass
    return max(now - was for now, was in zip(open_files(system), before))


def create(system, topic, requests):
    bytes_of_round = requests * BATCH // PARTITIONS
    segment = max(SEGMENT_BYTES_MIN, bytes_of_round // SEGMENTS_A_ROUND)
    system.create(topic, PARTITIONS, 3)
    run(os.path.join(BUILD, "bin", "kafka-configs"), "--bootstrap-server", system.bootstrap(), "--alter", "--entity-type",
        "topics", "--entity-name", topic, "--add-config",
        f"retention.bytes={int(bytes_of_round * KEPT_ROUNDS)},segment.bytes={segment}")


def run_all(bench, kinds, note):
    requests = max(400, int(BYTES * bench.scale) // ROUNDS // BATCH) // CONNECTIONS * CONNECTIONS
    for kind in kinds:
        system = kind(bench.directory(f"endurance-{kind.name}", DISK_GB if bench.scale >= 1 else 4), BASE_PORTS[kind.name],
                      settings={"log.retention.check.interval.ms": 2000})
        bench.systems = {kind.name: system}
        try:
            system.start()
            began = time.monotonic()
            create(system, "warm", requests)  # connections between brokers stay, and are there before
            go_on(system, "warm", 2, requests, Watch(system))
            system.delete("warm")
            files, before, watch = open_files(system), machine.Snapshot(system.pids()), Watch(system)
            create(system, "endurance", requests)
            written = go_on(system, "endurance", ROUNDS, requests, watch)
            sample = machine.between(before, machine.Snapshot(system.pids()))
            compared = check_replicas(system, "endurance")
            system.delete("endurance")
            beyond = files_beyond(system, files)
            each = [(min(seen), max(seen)) for seen in zip(*watch.seen)]
            raw = dict(sample, bytes=written, compared=compared, rss=each, samples=len(watch.seen), files_before=files,
                       files_most=max(watch.files), files_after=open_files(system), took=time.monotonic() - began)
            note(bench, "endurance-rss", system, max(most / least for least, most in each), raw=raw)
            note(bench, "endurance-rss-max", system, max(most for _, most in each))
            note(bench, "endurance-files", system, beyond)
            note(bench, "endurance-cpu", system, sample["broker_cpu"] / (written / 1e9))
            print(f"  {written / 1e9:.1f} GB; RSS least..most, MB: " + ", ".join(f"{a:.1f}..{b:.1f}" for a, b in each)
                  + f"; {compared / 1e9:.2f} GB of each replica compared", flush=True)
        except Failure as failure:
            bench.note({"row": "endurance-rss", "system": kind.name, "pair": 0, "failure": str(failure), "is_kept": True})
            print(f"  endurance {kind.name} NO NUMBER: {failure}", flush=True)
        finally:
            system.stop()
