"""The systems that are measured: our broker, Apache Kafka, and the floor. Each is three processes on loopback with
directories on a file system of its own; all of them answer the same questions."""
import os
import re
import shutil
import signal
import socket
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))
PROGRAMS = os.path.join(BUILD, "tests")
ZOOKEEPER_CLASSPATH = "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar"
APACHE_LIBS = os.path.join(BUILD, "apache", "libs")
SESSION_TIMEOUT_MS = 18000
# What both systems are told alike; everything else is their default.
EQUAL_SETTINGS = {
    "zookeeper.session.timeout.ms": SESSION_TIMEOUT_MS,
    "offsets.topic.replication.factor": 3,
    "min.insync.replicas": 1,  # topics that need two say so
    "unclean.leader.election.enable": "false",
    "group.initial.rebalance.delay.ms": 0,
    "controlled.shutdown.retry.backoff.ms": 300,
    "log.segment.delete.delay.ms": 1000,
    "auto.create.topics.enable": "false",
}


class Failure(Exception):
    """Something did not happen, or happened that must not: there is no number."""


def await_true(seconds, what, condition, pause=0.01):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failure(f"gave up waiting for {what}")
        time.sleep(pause)


def is_open(port):
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def run(*command, timeout=600, **kwargs):
    """The output of a command that has to succeed."""
    try:
        done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=timeout, check=False, **kwargs)
    except subprocess.TimeoutExpired as late:
        raise Failure(f"{os.path.basename(str(command[0]))} {command[1]}: not done within {timeout} s") from late
    if done.returncode != 0:
        raise Failure(f"{os.path.basename(str(command[0]))} {command[1]}: "
                      f"{(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def descendants(pid):
    found = [pid]
    try:
        for child in open(f"/proc/{pid}/task/{pid}/children", encoding="ascii").read().split():
            found += descendants(int(child))
    except OSError:
        pass
    return found


def cpu_of(pid):
    """Seconds of user and system time of a process and its children so far."""
    ticks = 0
    for one in descendants(pid):
        try:
            fields = open(f"/proc/{one}/stat", encoding="utf-8").read().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        except OSError:
            pass
    return ticks / os.sysconf("SC_CLK_TCK")


def scheduled_of(pid):
    """The same from the scheduler, to the nanosecond; threads that have ended are not in it."""
    nanoseconds = 0
    for one in descendants(pid):
        try:
            for task in os.listdir(f"/proc/{one}/task"):
                nanoseconds += int(open(f"/proc/{one}/task/{task}/schedstat", encoding="ascii").read().split()[0])
        except OSError:
            pass
    return nanoseconds / 1e9


def rss_of(pid):
    total = 0
    for one in descendants(pid):
        try:
            for line in open(f"/proc/{one}/status", encoding="utf-8"):
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1])
        except OSError:
            pass
    return total / 1024


class Processes:
    """Children by name, in a directory, ended by pid."""

    def __init__(self, directory):
        self.directory = directory
        self.running = {}
        os.makedirs(directory, exist_ok=True)

    def spawn(self, name, *command):
        log = open(os.path.join(self.directory, name + ".log"), "a", encoding="utf-8")
        self.running[name] = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log,
                                              stdin=subprocess.DEVNULL, start_new_session=True)
        log.close()
        return self.running[name]

    def kill_whole(self, name):
        """With what it started, first: nobody is left to clear up after it."""
        for pid in reversed(descendants(self.running[name].pid)):
            os.kill(pid, signal.SIGKILL)
        self.end(name, signal.SIGKILL)

    def end(self, name, how=signal.SIGTERM, seconds=60):
        child = self.running.pop(name, None)
        if child is None:
            return
        child.send_signal(how)
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def end_all(self):
        names = list(self.running)
        for name in names:
            if name != "zookeeper":
                self.running[name].terminate()
        for name in names:
            if name != "zookeeper":
                self.end(name)
        self.end("zookeeper")

    def check_all(self):
        """Whoever should run and does not has ended by itself."""
        for name, child in self.running.items():
            if child.poll() is not None:
                raise Failure(f"{name} has ended by itself: {self.log_tail(name)}")

    def log_tail(self, name):
        try:
            return open(os.path.join(self.directory, name + ".log"), encoding="utf-8", errors="replace").read()[-600:]
        except OSError:
            return ""


class Floor:
    """Made anew for each topic: it has no others."""
    name = "floor"
    is_cluster = False

    def __init__(self, directory, base_port, lies=()):
        self.processes = Processes(directory)
        self.port = base_port + 1
        self.lies = list(lies)

    def start(self):
        pass

    def stop(self):
        self.processes.end_all()

    def create(self, topic, partitions, replicas, **_):
        del topic
        self.stop()
        count = 3 if replicas == 3 else 1
        for number in range(1, 4):
            shutil.rmtree(self.directory_of(number), ignore_errors=True)
            os.makedirs(self.directory_of(number))
        floor = os.path.join(PROGRAMS, "floor")
        self.processes.spawn("leader", floor, "lead", self.port, self.directory_of(1), partitions, count - 1, *self.lies)
        await_true(10, "the floor", lambda: is_open(self.port))
        for number in range(2, count + 1):
            self.processes.spawn(f"follower-{number}", floor, "follow", self.port, self.directory_of(number), partitions,
                                 number - 2, *[lie for lie in self.lies if lie == "no-crc"])

    def delete(self, topic):
        del topic
        self.stop()

    def directory_of(self, number):
        return os.path.join(self.processes.directory, f"data-{number}")

    def replicas_of(self, topic, partition, replicas):
        del topic
        return [[os.path.join(self.directory_of(number), f"{partition}.log")] for number in range(1, replicas + 1)]

    def pids(self):
        return [child.pid for child in self.processes.running.values()]


class Cluster:
    """ZooKeeper and brokers; ours, unless a subclass starts something else."""
    name = "ours"
    is_cluster = True
    is_slow_to_start = False

    def __init__(self, directory, base_port, brokers=3, settings=None):
        self.processes = Processes(directory)
        self.base_port = base_port
        self.zookeeper_port = base_port
        self.brokers = brokers
        self.port = base_port + 1
        self.settings = dict(EQUAL_SETTINGS, **(settings or {}))

    def bootstrap(self):
        return ",".join(f"127.0.0.1:{self.base_port + number}" for number in range(1, self.brokers + 1))

    def directory_of(self, number):
        return os.path.join(self.processes.directory, f"data-{number}")

    def start_zookeeper(self):
        directory = self.processes.directory
        os.makedirs(os.path.join(directory, "zookeeper"), exist_ok=True)
        config = os.path.join(directory, "zookeeper.cfg")
        with open(config, "w", encoding="ascii") as out:
            out.write(f"tickTime=1000\ndataDir={directory}/zookeeper\nclientPort={self.zookeeper_port}\n"
                      "clientPortAddress=127.0.0.1\nadmin.enableServer=false\nmaxClientCnxns=0\n"
                      "4lw.commands.whitelist=*\n")
        self.processes.spawn("zookeeper", "java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp",
                             ZOOKEEPER_CLASSPATH, "org.apache.zookeeper.server.quorum.QuorumPeerMain", config)
        await_true(60, "ZooKeeper", lambda: b"Mode:" in self.ask_zookeeper("srvr"))

    def ask_zookeeper(self, word):
        try:
            with socket.create_connection(("127.0.0.1", self.zookeeper_port), 1) as line:
                line.settimeout(1)
                line.sendall(word.encode())
                answer = b""
                while True:
                    part = line.recv(4096)
                    if not part:
                        return answer
                    answer += part
        except OSError:
            return b""

    def registered(self):
        """The brokers that have a registration. Cheap: it may be asked while something is measured."""
        dump = self.ask_zookeeper("dump").decode(errors="replace")
        if "phemeral" not in dump:
            raise Failure("ZooKeeper does not tell its ephemeral nodes")
        return {int(word) for word in re.findall(r"/brokers/ids/(\d+)", dump)}

    def await_unregistered(self, number, seconds=60):
        await_true(seconds, f"the registration of broker {number} to go", lambda: number not in self.registered())

    def command(self, properties):
        return [os.path.join(BUILD, "bin", "kafka-server-start"), properties]

    def spawn_broker(self, number):
        properties = os.path.join(self.processes.directory, f"server-{number}.properties")
        settings = dict(self.settings, **{
            "broker.id": number, "listeners": f"PLAINTEXT://127.0.0.1:{self.base_port + number}",
            "zookeeper.connect": f"127.0.0.1:{self.zookeeper_port}", "log.dirs": self.directory_of(number)})
        with open(properties, "w", encoding="ascii") as out:
            for key, value in settings.items():
                out.write(f"{key}={value}\n")
        return self.processes.spawn(f"broker-{number}", *self.command(properties))

    def start_broker(self, number):
        child = self.spawn_broker(number)
        await_true(120, f"{self.name} broker {number}",
                   lambda: is_open(self.base_port + number) or child.poll() is not None)
        if child.poll() is not None:
            raise Failure(f"{self.name} broker {number} ended: {self.processes.log_tail(f'broker-{number}')}")

    def start(self):
        self.start_zookeeper()
        for number in range(1, self.brokers + 1):
            self.start_broker(number)
        self.await_brokers()

    def await_brokers(self):
        for number in range(1, self.brokers + 1):
            await_true(60, f"broker {number} to know all", lambda n=number: self.sees(n) == self.brokers)

    def sees(self, number):
        try:
            return run(os.path.join(BUILD, "bin", "kafka-broker-api-versions"), "--bootstrap-server",
                       f"127.0.0.1:{self.base_port + number}", timeout=20).count("(id: ")
        except Failure:
            return 0

    def stop(self):
        self.processes.end_all()

    def topics(self, *words, timeout=600):
        return run(os.path.join(BUILD, "bin", "kafka-topics"), "--bootstrap-server", self.bootstrap(), *words,
                   timeout=timeout)

    def create(self, topic, partitions, replicas, spread=False):
        """Led by broker 1, so that every system has the same work in the same places; or spread over all."""
        where = ["--partitions", partitions, "--replication-factor", replicas]
        if not spread:
            order = ":".join(str(number) for number in range(1, replicas + 1))
            where = ["--replica-assignment", ",".join([order] * partitions)]
        try:
            self.topics("--create", "--topic", topic, *where, "--config", f"min.insync.replicas={2 if replicas == 3 else 1}")
        except Failure as failure:  # of thousands of partitions Kafka's answer comes too late, and the tool asks again
            if "already exists" not in str(failure):
                raise
        self.await_in_sync(topic, partitions, replicas)

    def in_sync(self, topic, replicas):
        lines = self.topics("--describe", "--topic", topic).splitlines()
        rows = [line.split("Isr:")[1].split()[0] for line in lines if "Isr:" in line and "Leader: none" not in line]
        return sum(len(row.split(",")) == replicas for row in rows)

    def await_in_sync(self, topic, partitions, replicas, seconds=180):
        def holds():
            try:
                return self.in_sync(topic, replicas) == partitions
            except Failure:
                return False
        await_true(seconds, f"{topic} in sync", holds)

    def delete(self, topic):
        self.topics("--delete", "--topic", topic)
        pattern = f"{topic}-"
        await_true(120, f"{topic} to go", lambda: not any(
            name.startswith(pattern) for number in range(1, self.brokers + 1)
            for name in os.listdir(self.directory_of(number))))

    def replicas_of(self, topic, partition, replicas):
        found = []
        for number in range(1, replicas + 1):
            directory = os.path.join(self.directory_of(number), f"{topic}-{partition}")
            names = os.listdir(directory) if os.path.isdir(directory) else []
            found.append([os.path.join(directory, name) for name in sorted(names) if name.endswith(".log")])
        return found

    def pids(self):
        return [child.pid for name, child in self.processes.running.items() if name.startswith("broker-")]


class Apache(Cluster):
    """Apache Kafka 3.9.2, fetched by tests/apache/fetch."""
    name = "apache"
    is_slow_to_start = True

    def command(self, properties):
        logging = os.path.join(self.processes.directory, "log4j.properties")
        with open(logging, "w", encoding="ascii") as out:
            out.write("log4j.rootLogger=WARN, A\nlog4j.appender.A=org.apache.log4j.ConsoleAppender\n"
                      "log4j.appender.A.layout=org.apache.log4j.PatternLayout\n"
                      "log4j.appender.A.layout.ConversionPattern=[%d] %p %m (%c)%n\n")
        return ["java", "-Xmx1g", "-Xms1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", f"-Dlog4j.configuration=file:{logging}",
                "-cp", APACHE_LIBS + "/*", "kafka.Kafka", properties]
