"""Rows whose load is librdkafka, as applications have it: LinkedIn's of 2014, many small producers, a reader that catches up
beside one at the end of the log. The floor knows no metadata and has none of these. librdkafka costs more than a good
broker does, so that records a second are a figure of the client; CPU is the broker's."""
import json
import os
import signal
import subprocess
import time

import machine
from request_rows import LOAD, NUMBERS, WARM_SECONDS, check_replicas, measured, value_of
from systems import PROGRAMS, Failure, run

OPEN_LOOP = os.path.join(PROGRAMS, "open_loop")
CHILD_SECONDS_MAX = 300
RECORD_OVERHEAD = 12  # of a record in a batch, about
TAIL_RATE, TAIL_VALUE, TAIL_PARTITIONS, TAIL_SECONDS = 20000, 1000, 4, 20
BACKLOG_BATCH = 65536


def last_object(text):
    return json.loads(text.strip().splitlines()[-1])


def all_of(commands):
    """Runs them at the same time; what each printed last."""
    children = [subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                for command in commands]
    outs = [child.communicate(timeout=CHILD_SECONDS_MAX) for child in children]
    for child, (out, errors) in zip(children, outs):
        if child.returncode != 0:
            raise Failure(f"{os.path.basename(child.args[0])} {child.args[1]}: {(errors or out).strip()[-300:]}")
    return [last_object(out) for out, _ in outs]


def together(outs):
    """Of several clients at the same time: the work is added, the slowest counts."""
    done = {key: sum(out[key] for out in outs) for key in ("records", "client_cpu")}
    for key in ("seconds", "p50_ms", "p99_ms", "max_ms"):
        if key in outs[0]:
            done[key] = max(out[key] for out in outs)
    return done


def produce(system, topic, row, amount):
    """By all producers of the row; `amount` is a number of records, or RATE and SECONDS."""
    mode = "flood" if len(amount) == 1 else "produce"
    return together(all_of([OPEN_LOOP, mode, system.bootstrap(), topic, row["partitions"], *amount, row["value"],
                            f"producer={number}", *row["settings"]] for number in range(row["producers"])))


def consume(system, topic, row, records):
    return last_object(run(OPEN_LOOP, "consume", system.bootstrap(), topic, row["partitions"], records,
                           timeout=CHILD_SECONDS_MAX))


def warm_up(bench, system, row, amount):
    """The same load on another topic; before a system's first block for as long as its compiler takes."""
    deadline = time.monotonic() + WARM_SECONDS[system.name] * bench.scale
    is_first = (system.name, "clients") not in bench.warmed
    bench.warmed.add((system.name, "clients"))
    topic = f"warm-{next(NUMBERS)}"
    system.create(topic, row["partitions"], row["replicas"], spread=True)
    produce(system, topic, row, amount)
    while is_first and time.monotonic() < deadline:
        produce(system, topic, row, amount)
    system.delete(topic)


def run_block(bench, row, system, records):
    """A block of producers, or of one consumer, of small records."""
    others, directory = bench.other_pids(system), system.processes.directory
    size = (row["value"] + RECORD_OVERHEAD) * row["replicas"]
    machine.recycle_memory(directory, min(3 * size * records >> 20, bench.recycle_max))
    each = max(row["partitions"], records // row["producers"])
    amount, short = (each,), (max(row["partitions"], each // 5),)
    if "rate" in row:
        amount, short = (row["rate"], max(5, int(row["seconds"] * min(1, bench.scale)))), (row["rate"], 3)
    warm_up(bench, system, row, short)
    topic = f"client-{next(NUMBERS)}"
    system.create(topic, row["partitions"], row["replicas"], spread=True)
    try:
        sample = measured(system, others, lambda: produce(system, topic, row, amount))
        written = sample["records"]
        if row["reads"]:
            consume(system, topic, row, written)
            sample = measured(system, others, lambda: consume(system, topic, row, written))
        else:
            consume(system, topic, row, written)
        if row["replicas"] == 3:  # where a single one is, nobody has to be asked
            check_replicas(system, topic, row["partitions"], 3, written * row["value"])
        system.processes.check_all()
    finally:
        system.delete(topic)
        machine.settle(directory, 15 if bench.scale >= 1 else 2)
    sample.update(requests=sample["records"], rate=sample["records"] / sample["seconds"])
    return dict(sample, value=value_of(row, sample))


# ---- A reader that catches up ----

def resident(paths):
    return sum(int(line) for line in run("fincore", "--bytes", "--noheadings", "--output", "RES", *paths).split())


def evict(system, topic):
    """Nothing of the topic is in memory, neither of its files nor of the image that their file system is in. What is not
    on the disk yet stays where it is: nobody waits for the disk here."""
    files = [path for paths in system.replicas_of(topic, 0, 1) for path in paths]
    image = system.processes.directory + ".image"
    both = files + ([image] if os.path.exists(image) else [])
    for path in both:
        file = os.open(path, os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)
    return files, both


def settle_and_evict(system, topic):
    for _ in range(2):  # what the files leave goes to the image, and that to the disk
        machine.settle(system.processes.directory)
        run("sync")
        files, both = evict(system, topic)
    whole, left = sum(os.path.getsize(path) for path in files), resident(both)
    if left > max(whole // 10, 16 << 20):
        raise Failure(f"{left} bytes stay in memory of a backlog of {whole}")


def tail(system, row, seconds, backlog=None):
    """Producers at a rate and a consumer at the end of the log; beside them, perhaps, one that reads a backlog of BYTES
    from the disk, again and again. How old records were when they came, and how much of the backlog was read."""
    topic = f"tail-{next(NUMBERS)}"
    system.create(topic, row["partitions"], 3, spread=True)
    reader = subprocess.Popen([OPEN_LOOP, "consume", system.bootstrap(), topic, str(row["partitions"]), "0"],
                              stdout=subprocess.PIPE, text=True)
    producer = subprocess.Popen([OPEN_LOOP, "produce", system.bootstrap(), topic, str(row["partitions"]), str(row["rate"]),
                                 str(seconds), str(row["value"])], stdout=subprocess.PIPE, text=True)
    drained, busy, cpu = 0, 0.0, 0.0
    while backlog is not None and producer.poll() is None:
        evict(system, backlog[0])
        done = json.loads(run(LOAD, "consume", "127.0.0.1", system.port, backlog[0], 0, 1048576, backlog[1]))
        drained, busy, cpu = drained + done["bytes"], busy + done["seconds"], cpu + done["client_cpu"]
    produced = last_object(producer.communicate(timeout=CHILD_SECONDS_MAX)[0])
    reader.send_signal(signal.SIGTERM)
    read = last_object(reader.communicate(timeout=CHILD_SECONDS_MAX)[0])
    if producer.returncode or reader.returncode or read["records"] != produced["records"]:
        raise Failure(f"{produced['records']} records were acknowledged, and {read['records']} came to the tail")
    system.delete(topic)
    return dict(read, client_cpu=read["client_cpu"] + produced["client_cpu"] + cpu, drained=drained, busy=busy)


def run_catch_up(bench, row, system, requests):
    """The age of what comes to the reader at the end, beside another that catches up, in times its age before."""
    others, seconds = bench.other_pids(system), max(6, int(TAIL_SECONDS * min(1, bench.scale)))
    topic = f"backlog-{next(NUMBERS)}"
    system.create(topic, 1, 3)
    try:
        done = json.loads(run(LOAD, "produce", "127.0.0.1", system.port, topic, 1, BACKLOG_BATCH, 1000, requests, 5, 1, -1, 0))
        tail(system, row, 3)
        before = measured(system, others, lambda: tail(system, row, seconds))
        settle_and_evict(system, topic)
        sample = measured(system, others, lambda: tail(system, row, seconds, (topic, done["bytes"])))
        run(LOAD, "verify", "127.0.0.1", system.port, topic, 1, done["records"])
        check_replicas(system, topic, 1, 3, done["bytes"])
        system.processes.check_all()
    finally:
        system.delete(topic)
        machine.settle(system.processes.directory, 15 if bench.scale >= 1 else 2)
    return dict(sample, value=sample["p99_ms"] / before["p99_ms"], before=before,
                drain=sample["drained"] / max(sample["busy"], 1e-9) / 1e6)


def client_row(name, title, goal_apache, records, unit="s/M", **more):
    return dict({"name": name, "title": title, "group": "linkedin", "goal_floor": None, "goal_apache": goal_apache,
                 "requests": records, "unit": unit, "run": run_block, "needs_cluster": True, "connections": 1,
                 "producers": 1, "partitions": 6, "replicas": 3, "value": 100, "reads": False, "settings": ()}, **more)


ASYNC = ("enable.idempotence=false", "acks=1", "batch.size=8196")
SYNC = ("enable.idempotence=false", "acks=all", "batch.size=64000")
ROWS = [
    client_row("linkedin-1", "librdkafka, 5 M x 100 B: RF=1 acks=1, 8 KiB batches", None, 5000000, replicas=1, settings=ASYNC),
    client_row("linkedin-2", "- RF=3 acks=1", 5, 5000000, settings=ASYNC),
    client_row("linkedin-3", "- RF=3 acks=all, 64 KB batches", 3, 5000000, settings=SYNC),
    client_row("linkedin-4", "- RF=3 acks=1, 3 producers", None, 5000000, settings=ASYNC, producers=3),
    client_row("linkedin-6", "- a consumer", None, 5000000, reads=True, settings=ASYNC),
    *(client_row(f"linkedin-{n}-rate", f"- row {n}: records a second", None, 5000000, "1/s", field="rate", of=f"linkedin-{n}")
      for n in (1, 2, 3, 4, 6)),
    client_row("small-open", "10 producers, a batch a record, 100 partitions, 3 k/s, idempotent: CPU", None, 90000, "us",
               group="clients", partitions=100, producers=10, rate=300, seconds=20,
               settings=("batch.num.messages=1", "linger.ms=0")),
    client_row("small-open-p99", "- p99", None, 90000, "ms", group="clients", field="p99_ms", of="small-open"),
    client_row("catch-up", "a reader from disk beside one at the end: the latter's p99 during / before", None, 30000, "x",
               group="clients", run=run_catch_up, goal_value=2, partitions=TAIL_PARTITIONS, rate=TAIL_RATE, value=TAIL_VALUE),
    client_row("catch-up-p99", "- p99 during", None, 30000, "ms", group="clients", field="p99_ms", of="catch-up"),
    client_row("catch-up-drain", "- what the reader from disk gets", None, 30000, "MB/s", group="clients", field="drain",
               of="catch-up"),
]
