"""Rows about what a cluster is and does besides serving requests: memory, idleness, starting, dying, growing. No floor has
these; goals are absolute, and ratios to Apache Kafka."""
import json
import os
import re
import signal
import subprocess
import time

import machine
import request_rows
from systems import BUILD, PROGRAMS, Failure, await_true, rss_of, run

OPEN_LOOP = os.path.join(PROGRAMS, "open_loop")
PARTITIONS = (100, 1000, 4000)  # made one after the other in one cluster
START_PARTITIONS = (0, 1000, 5000)
LAST_STEP = {"open": 0, "groups": 0, "faults": 0, "growth": 1}  # of these a group of rows needs; the others all
SESSION_TIMEOUT_MS = 6000  # what Apache Kafka waits after a kill, and the figures of its that are known waited
IDLE_SECONDS = 20
BESIDE_REQUESTS = 5000
BESIDE_APACHE_SHARE = 0.1  # 42 ms each
OPEN_SECONDS, OPEN_VALUE = 30, 1024
RATE = 2000  # records a second while brokers die and restart
REPEATS = 5
START_REPEATS = 5
START_BASE_PORTS = {"ours": 27400, "apache": 27500}


def state_row(group, name, title, unit, goal, goal_apache):
    return {"group": group, "name": name, "title": title, "unit": unit, "goal_value": goal, "goal_apache": goal_apache}


ROWS = [
    state_row("beside", "one-beside-p50", "one at a time beside 5,000 idle partitions: p50", "ms", None, 40),
    state_row("beside", "one-beside", "- in times itself alone", "x", 1.3, None),
    state_row("beside", "one-beside-cpu", "- CPU of a request", "us", None, 40),
    state_row("beside", "one-beside-1100", "one at a time beside 1,100: p50 in times itself alone", "x", 1.3, None),
    state_row("beside", "one-beside-1100-p50", "- p50", "ms", None, 40),
    state_row("memory", "rss-0", "RSS a broker, 100 partitions", "MB", 25, 10),
    state_row("memory", "rss-1", "RSS a broker, 1,100 partitions", "MB", 40, 10),
    state_row("memory", "rss-2", "RSS a broker, 5,100 partitions", "MB", 75, 10),
    state_row("idle", "idle-0", "idle CPU of three brokers, 100 partitions", "%", 0.2, 14),
    state_row("idle", "idle-1", "idle CPU of three brokers, 1,100 partitions", "%", 0.5, 14),
    state_row("idle", "idle-2", "idle CPU of three brokers, 5,100 partitions", "%", 1, 14),
    state_row("start", "start-0", "start to first produce, empty", "s", 0.2, 10),
    state_row("start", "start-1", "start to first produce, 1,000 partitions", "s", 0.4, 10),
    state_row("start", "start-2", "start to first produce, 5,000 partitions", "s", 0.6, 10),
    *(state_row("start-dead", f"start-dead-{step}", f"start to first produce after SIGKILL, {what}", "s", goal, None)
      for step, what, goal in ((0, "empty", 0.2), (1, "1,000 partitions", 0.4), (2, "5,000 partitions", 0.6))),
    state_row("faults", "kill-leader", "SIGKILL the leader of 100: longest silence", "s", 0.5, 14),
    state_row("faults", "kill-session", "- with nobody left to end its session: first ack after that expired", "s", 0.2, 3),
    state_row("faults", "rolling-silence", "rolling restart: longest time without an ack", "s", 0.1, 10),
    state_row("faults", "rolling-wait", "rolling restart: longest wait of a message", "s", 0.3, 20),
    state_row("growth", "shutdown-1000", "controlled shutdown of the leader of 1,000", "s", 0.3, 6),
    state_row("growth", "create-1000", "create 1,000 partitions RF=3 until in sync", "s", 0.8, 8),
    state_row("growth-5100", "create-4000", "4,000 more", "s", None, None),
    state_row("open", "open-10k", "100 partitions x 1 KB at 10 k/s by librdkafka: p99", "ms", None, None),
    state_row("open", "open-25k", "- at 25 k/s", "ms", None, None),
    state_row("open", "open-50k", "- at 50 k/s", "ms", None, None),
    state_row("open", "open-cpu", "- CPU at 25 k/s", "s/GB", None, None),
    state_row("groups", "heartbeat", "a group's heartbeat, one at a time", "us", 20, None),
    state_row("groups", "commit", "a committed offset, RF=3, depth 5", "us", None, None),
    state_row("growth", "kill-controller", "controller killed, 1,100: a topic can be made, after expiry", "s", 0.4, 10),
    state_row("growth-5100", "kill-controller-5100", "- 5,100", "s", None, None),
]


class OpenLoop:
    """A producer that runs beside what is done to the brokers; its records are read back and compared afterwards."""

    def __init__(self, system, topic, partitions, rate=RATE):
        self.system, self.topic, self.partitions = system, topic, partitions
        self.child = subprocess.Popen([OPEN_LOOP, "produce", system.bootstrap(), topic, str(partitions), str(rate), "600",
                                       "100"], stdout=subprocess.PIPE, text=True)
        if not self.child.stdout.readline().startswith("acked"):
            raise Failure("the open loop got no acknowledgement")
        time.sleep(3)  # quiet load, beyond the warm-up, before anything is done to the brokers

    def end(self):
        time.sleep(1)
        self.child.send_signal(signal.SIGTERM)
        out, _ = self.child.communicate(timeout=180)
        if self.child.returncode != 0:
            raise Failure(f"not every record was acknowledged: {out.strip()}")
        done = json.loads(out.strip().splitlines()[-1])
        run(OPEN_LOOP, "consume", self.system.bootstrap(), self.topic, self.partitions, done["records"], timeout=180)
        return done


def note(bench, row, system, value, **more):
    sample = dict({"row": row, "system": system.name, "pair": more.pop("pair", 0), "value": value, "is_kept": True,
                   "is_noisy": False, "at": time.time()}, **more)
    bench.note(sample)
    print(f"  {row:15} {system.name:7} {sample['pair']}: {value:.3f}", flush=True)


def refuse(bench, row, system, failure):
    bench.note({"row": row, "system": system.name, "pair": 0, "failure": str(failure), "is_kept": True})
    print(f"  {row:15} {system.name:7} NO NUMBER: {failure}", flush=True)


def attempt(bench, row, system, action, *words):
    """A row whose correctness check fails has no number, and the others go on."""
    began = time.monotonic()
    try:
        action(bench, system, *words)
        bench.note({"row": row, "system": system.name, "took": time.monotonic() - began})
    except Failure as failure:
        refuse(bench, row, system, failure)


def scaled(bench, count):
    return count if bench.scale >= 1 or count == 0 else max(6, int(count * bench.scale))


def measure_rss(bench, system, step):
    for pair, pid in enumerate(system.pids()):
        note(bench, f"rss-{step}", system, rss_of(pid), pair=pair)


def measure_idle(bench, systems, step):
    """Of all at the same time, by the scheduler's clock: a tick of 10 ms is a tenth of what some of them need."""
    seconds = max(5, IDLE_SECONDS * min(1, bench.scale))
    time.sleep(min(10, seconds))  # what creation left to be done
    for pair in range(3):
        before = [machine.Snapshot(system.pids()) for system in systems]
        time.sleep(seconds)
        for system, was in zip(systems, before):
            sample = machine.between(was, machine.Snapshot(system.pids()))
            note(bench, f"idle-{step}", system, sample["cpu_exact"] / sample["wall"] * 100, pair=pair, raw=sample)


def grow(bench, system, step):
    """The next partitions; all but the first are rows. False: the system has not got them, and no row that needs them."""
    count = scaled(bench, PARTITIONS[step])
    began = time.monotonic()
    try:
        system.create(f"state-{step}", count, 3, spread=True)
    except Failure as failure:
        refuse(bench, f"create-{PARTITIONS[step]}", system, failure)
        return False
    if step > 0:
        note(bench, f"create-{PARTITIONS[step]}", system, time.monotonic() - began, partitions=count)
    return True


def one_at_a_time(bench, system):
    row = dict(next(row for row in request_rows.ROWS if row["name"] == "one-p50"), name="one-beside")
    requests = BESIDE_REQUESTS * bench.scale * (BESIDE_APACHE_SHARE if system.name == "apache" else 1)
    return request_rows.run_block(bench, row, system, max(200, int(requests)))


def revive(system, number):
    system.start_broker(number)
    system.await_brokers()


def kill_leader(bench, system):
    """The process of the broker alone, and it with everything that could end its session: then the time from when the
    session expired is what counts."""
    count = scaled(bench, PARTITIONS[0])
    for pair in range(REPEATS if bench.scale >= 1 else 1):
        for row in ("kill-leader", "kill-session"):
            topic = f"{row}-{pair}"
            system.create(topic, count, 3)
            loop = OpenLoop(system, topic, count)
            if row == "kill-leader":
                system.processes.end("broker-1", signal.SIGKILL)
            else:
                system.processes.kill_whole("broker-1")
            system.await_unregistered(1)
            expired = time.monotonic()
            await_true(60, "other leaders", lambda t=topic: system.in_sync(t, 2) == count, pause=0.5)
            time.sleep(2)  # until the client has asked who leads: it does each second
            done = loop.end()
            value = done["silence_ms"] / 1e3 if row == "kill-leader" else max(0.0, done["silence_end"] - expired)
            note(bench, row, system, value, pair=pair, raw=done)
            revive(system, 1)
            system.await_in_sync(topic, count, 3)
            system.delete(topic)


def rolling_restart(bench, system):
    count = scaled(bench, PARTITIONS[0])
    for pair in range(REPEATS if bench.scale >= 1 else 1):
        topic = f"rolling-{pair}"
        system.create(topic, count, 3, spread=True)
        loop = OpenLoop(system, topic, count)
        for number in range(1, 4):
            system.processes.end(f"broker-{number}", signal.SIGTERM)
            revive(system, number)
            system.await_in_sync(topic, count, 3)
        done = loop.end()
        note(bench, "rolling-silence", system, done["silence_ms"] / 1e3, pair=pair, raw=done)
        note(bench, "rolling-wait", system, done["max_ms"] / 1e3, pair=pair)
        system.delete(topic)


def shell(system, *words):
    return run(os.path.join(BUILD, "bin", "zookeeper-shell"), f"127.0.0.1:{system.zookeeper_port}", *words, timeout=30)


def kill_controller(bench, system, row):
    """From when the dead controller's registration is gone until a topic has been made by the one after it."""
    for pair in range(REPEATS if bench.scale >= 1 else 1):
        number = int(re.search(r'"brokerid": *(\d+)', shell(system, "get", "/controller")).group(1))
        survivor = f"127.0.0.1:{system.base_port + number % 3 + 1}"
        system.processes.end(f"broker-{number}", signal.SIGKILL)
        killed = time.monotonic()
        system.await_unregistered(number)
        expired = time.monotonic()

        def made(name=f"after-{row}-{pair}", broker=survivor):
            try:
                run(os.path.join(BUILD, "bin", "kafka-topics"), "--bootstrap-server", broker, "--create", "--topic", name,
                    "--partitions", 1, "--replication-factor", 2, timeout=30)
                return True
            except Failure as failure:
                return "already exists" in str(failure)
        await_true(120, "a topic to be made", made)
        done = time.monotonic()
        note(bench, row, system, done - expired, pair=pair, in_all=done - killed)
        revive(system, number)
        system.await_in_sync("state-1", scaled(bench, PARTITIONS[1]), 3)


def shut_down(bench, system):
    """How long a broker that leads 1,000 partitions takes to hand them over and to end."""
    count = scaled(bench, PARTITIONS[1])
    for pair in range(3 if bench.scale >= 1 else 1):
        topic = f"led-{pair}"
        system.create(topic, count, 3)
        began = time.monotonic()
        system.processes.end("broker-1", signal.SIGTERM)
        took = time.monotonic() - began
        if system.in_sync(topic, 2) != count:
            raise Failure("a partition has no leader after its former one was stopped in order")
        note(bench, "shutdown-1000", system, took, pair=pair, partitions=count)
        revive(system, 1)
        system.await_in_sync(topic, count, 3)
        system.delete(topic)


def open_rates(bench, system):
    """O1 of performance benchmarks: an open loop over 100 partitions, latency from when a record was due."""
    count = scaled(bench, PARTITIONS[0])
    seconds = max(5, int(OPEN_SECONDS * min(1, bench.scale)))
    for pair in range(3 if bench.scale >= 1 else 1):
        for row, rate in (("open-10k", 10000), ("open-25k", 25000), ("open-50k", 50000)):
            topic = f"{row}-{pair}"
            system.create(topic, count, 3, spread=True)
            before = machine.Snapshot(system.pids())
            done = json.loads(run(OPEN_LOOP, "produce", system.bootstrap(), topic, count, rate, seconds, OPEN_VALUE,
                                  timeout=300).strip().splitlines()[-1])
            sample = machine.between(before, machine.Snapshot(system.pids()), done["client_cpu"])
            run(OPEN_LOOP, "consume", system.bootstrap(), topic, count, done["records"], timeout=180)
            note(bench, row, system, done["p99_ms"], pair=pair, raw=dict(sample, **done))
            if row == "open-25k":
                note(bench, "open-cpu", system, sample["broker_cpu"] / (done["records"] * OPEN_VALUE / 1e9), pair=pair)
            system.delete(topic)


def group_requests(bench, system):
    """Heartbeats and commits of the only member of a new group, at the broker that coordinates it."""
    replay = os.path.join(PROGRAMS, "replay")
    requests = max(200, int(50000 * bench.scale))
    for pair in range(REPEATS if bench.scale >= 1 else 1):
        for row, mode, depth, more in (("heartbeat", "beat", 1, ()), ("commit", "commit", 5, ("state-0",))):
            def port(group):
                return run(replay, "coordinator", "127.0.0.1", system.port, group).strip()

            def serves(mode=mode, more=more):
                group = f"probe-{time.monotonic_ns()}"
                try:
                    run(replay, mode, "127.0.0.1", port(group), group, 1, 1, *more)
                    return True
                except Failure:
                    return False
            await_true(60, "a coordinator", serves)
            group = f"{row}-{pair}"
            at, before = port(group), machine.Snapshot(system.pids())
            run(replay, mode, "127.0.0.1", at, group, requests, depth, *more)
            sample = machine.between(before, machine.Snapshot(system.pids()))
            note(bench, row, system, sample["broker_cpu"] / requests * 1e6, pair=pair, raw=sample)


def beside_idle(bench, system, alone, suffix):
    for pair in range(REPEATS if bench.scale >= 1 else 1):
        sample = one_at_a_time(bench, system)
        note(bench, f"one-beside{suffix}-p50", system, sample["value"], pair=pair)
        note(bench, f"one-beside{suffix}", system, sample["value"] / alone[system.name], pair=pair, alone=alone[system.name])
        if not suffix:
            note(bench, "one-beside-cpu", system, sample["broker_cpu"] / sample["requests"] * 1e6, pair=pair)


def start_times(bench, kind, step):
    """One broker and its ZooKeeper: from exec until a produce request is acknowledged, after a clean stop, and after a
    SIGKILL that its registration did not outlive."""
    count = scaled(bench, START_PARTITIONS[step])
    path = bench.directory(f"start-{kind.name}-{step}", 8 if bench.scale >= 1 else 2)
    system = kind(path, START_BASE_PORTS[kind.name], brokers=1, settings={
        "offsets.topic.replication.factor": 1, "zookeeper.session.timeout.ms": SESSION_TIMEOUT_MS})
    try:
        system.start()
        system.create("first", 1, 1)
        if count > 0:
            system.create("others", count, 1)
        first = [os.path.join(PROGRAMS, "load"), "produce", "127.0.0.1", str(system.port), "first", "1", "300", "200", "1",
                 "1", "1", "1", "0"]
        for pair in range(START_REPEATS if bench.scale >= 1 else 1):
            for row, how in (("start", signal.SIGTERM), ("start-dead", signal.SIGKILL)):
                system.processes.end("broker-1", how)
                system.await_unregistered(1)
                began = time.monotonic()
                system.spawn_broker(1)
                await_true(120, "the first produce", lambda: subprocess.run(
                    first, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0)
                note(bench, f"{row}-{step}", system, time.monotonic() - began, pair=pair, partitions=count)
                system.await_brokers()
    finally:
        system.stop()
        bench.disks.pop(os.path.basename(path)).remove()


def run_starts(bench, kinds, is_wanted):
    for step in range(3):
        for kind in kinds:
            if is_wanted(f"start-{step}", f"start-dead-{step}"):
                try:
                    start_times(bench, kind, step)
                except Failure as failure:
                    refuse(bench, f"start-{step}", kind, failure)


# After each step of growth: the rows, any of which is wanted, what measures them, and with what words.
AFTER = (
    ((("heartbeat", "commit"), group_requests, ()),
     (("open-10k", "open-25k", "open-50k", "open-cpu"), open_rates, ()),
     (("kill-leader", "kill-session"), kill_leader, ()),
     (("rolling-silence", "rolling-wait"), rolling_restart, ())),
    ((("shutdown-1000",), shut_down, ()),
     (("kill-controller",), kill_controller, ("kill-controller",))),
    ((("kill-controller-5100",), kill_controller, ("kill-controller-5100",)),),
)


def run_all(bench, kinds, wanted):
    def is_wanted(*rows):
        return wanted is None or any(row in wanted for row in rows)

    run_starts(bench, kinds, is_wanted)
    steps = [int(row["name"][-1]) if row["group"] in ("memory", "idle") else LAST_STEP.get(row["group"], 2)
             for row in ROWS if not row["name"].startswith("start-") and is_wanted(row["name"])]
    systems = []
    bench.systems = {}
    for kind in kinds if steps else []:
        system = kind(bench.directory(f"state-{kind.name}", 12 if bench.scale >= 1 else 4),
                      START_BASE_PORTS[kind.name] + 50, settings={"zookeeper.session.timeout.ms": SESSION_TIMEOUT_MS})
        bench.systems[kind.name] = system
        systems.append(system)
        system.start()
    alone = {}
    for step in range(max(steps, default=-1) + 1):
        for system in list(systems):
            if not grow(bench, system, step):
                system.stop()
                systems.remove(system)
        if is_wanted(f"idle-{step}"):
            measure_idle(bench, systems, step)
        for system in systems:
            if is_wanted(f"rss-{step}"):
                measure_rss(bench, system, step)
            if step == 0 and is_wanted(*(row["name"] for row in ROWS if row["group"] == "beside")):
                alone[system.name] = one_at_a_time(bench, system)["value"]
            if system.name in alone and step > 0:
                attempt(bench, "one-beside", system, beside_idle, alone, "-1100" if step == 1 else "")
            for rows, action, words in AFTER[step]:
                if is_wanted(*rows):
                    attempt(bench, rows[0], system, action, *words)
    for system in systems:
        system.stop()
