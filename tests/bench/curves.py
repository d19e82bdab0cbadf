"""How cost grows: with the size of a batch, with partitions, with idle connections, with consumers. Samples carry "curve",
x and y; tests/bench/plot draws them."""
import resource
import socket
import subprocess
import json

import machine
import request_rows
from request_rows import LOAD, Topic, check_replicas, measured
from state_rows import OPEN_LOOP, scaled
from systems import Failure, run

BATCHES = (200, 1000, 4000, 16000, 64000, 256000, 1000000)
BATCH_BYTES_TOTAL = 200_000_000
BATCH_REQUESTS_MAX = 50_000
PARTITIONS = (1, 10, 100, 1000, 5000)
PARTITION_RATE, PARTITION_SECONDS, PARTITION_VALUE = 10000, 15, 1000
CONNECTIONS = (1, 100, 1000, 5000)
CONNECTION_REQUESTS = 50_000
CONSUMERS = (1, 2, 4, 8, 16)
CONSUMER_BYTES = 400_000_000
FLOOR_CONNECTIONS_MAX = 100  # it has no room for more


def point(bench, curve, system, x, sample, y):
    sample = dict(sample, curve=curve, system=system.name, x=x, y=y, is_noisy=machine.is_noisy(sample))
    bench.note(sample)
    print(f"  {curve:12} {system.name:7} {x:8}: {y:.3f}", flush=True)


def batch_size(bench, system):
    for size in BATCHES:
        requests = max(50, int(min(BATCH_REQUESTS_MAX, BATCH_BYTES_TOTAL // size) * bench.scale))
        row = request_rows.request_row("curve", "", (None, None), requests, batch=size, value=min(size - 100, 1000))
        sample = request_rows.run_block(bench, row, system, requests)
        point(bench, "batch", system, size, sample, sample["value"])


def partitions(bench, system):
    """By librdkafka, open loop: needs metadata, which the floor has not."""
    if not system.is_cluster:
        return
    for count in PARTITIONS:
        topic = f"curve-{count}"
        count = scaled(bench, count) if count > 10 else count
        system.create(topic, count, 3, spread=True)
        seconds = max(3, int(PARTITION_SECONDS * bench.scale))

        def produce(topic=topic, count=count, seconds=seconds):
            out = run(OPEN_LOOP, "produce", system.bootstrap(), topic, count, PARTITION_RATE, seconds, PARTITION_VALUE,
                      timeout=300)
            return json.loads(out.strip().splitlines()[-1])
        sample = measured(system, bench.other_pids(system), produce)
        run(OPEN_LOOP, "consume", system.bootstrap(), topic, count, sample["records"], timeout=180)
        point(bench, "partitions", system, count, sample, sample["broker_cpu"] / sample["records"] * 1e6)
        system.delete(topic)


def connections(bench, system):
    row = request_rows.request_row("curve", "", (None, None), CONNECTION_REQUESTS, replicas=1, batch=1024, value=900)
    requests = max(500, int(CONNECTION_REQUESTS * bench.scale))
    for count in CONNECTIONS:
        if not system.is_cluster and count > FLOOR_CONNECTIONS_MAX:
            continue
        topic = Topic(system, 1, 1)
        idle = [socket.create_connection(("127.0.0.1", system.port)) for _ in range(count - 1)]
        try:
            topic.produce(row, requests // 10)
            sample = measured(system, bench.other_pids(system), lambda t=topic: t.produce(row, requests))
            topic.check()
        finally:
            for one in idle:
                one.close()
            system.delete(topic.name)
        point(bench, "connections", system, count, sample, sample["broker_cpu"] / sample["requests"] * 1e6)


def consumers(bench, system):
    row = request_rows.request_row("curve", "", (None, None), 1000, replicas=1, batch=65536)
    topic = Topic(system, 1, 1)
    total = int(CONSUMER_BYTES * bench.scale)
    topic.produce(row, max(20, total // 65536))
    for count in CONSUMERS:
        def read(count=count):
            children = [subprocess.Popen([LOAD, "consume", "127.0.0.1", str(system.port), topic.name, "0", "1048576",
                                          str(total)], stdout=subprocess.PIPE, text=True) for _ in range(count)]
            outs = [json.loads(child.communicate(timeout=300)[0] or "{}") for child in children]
            if any(child.returncode != 0 for child in children):
                raise Failure("a consumer was not satisfied")
            return {"bytes": sum(out["bytes"] for out in outs), "client_cpu": sum(out["client_cpu"] for out in outs)}
        sample = measured(system, bench.other_pids(system), read)
        point(bench, "consumers", system, count, sample, sample["broker_cpu"] / (sample["bytes"] / 1e9))
    topic.check()
    check_replicas(system, topic.name, 1, 1, topic.bytes)
    system.delete(topic.name)


def run_all(bench):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 20000)), hard))
    for curve in (batch_size, connections, consumers, partitions):
        for system in bench.systems.values():
            try:
                curve(bench, system)
            except Failure as failure:
                bench.note({"curve": curve.__name__, "system": system.name, "failure": str(failure)})
                print(f"  {curve.__name__} {system.name}: NO CURVE: {failure}", flush=True)
