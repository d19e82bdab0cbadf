"""The machine under the benchmark, and the traps it sets: a congestion control that doubles the cost of loopback, memory
whose first touch costs more than the work, a file system that other work has worn, neighbours."""
import os
import platform
import shutil
import subprocess
import sys
import time

from systems import cpu_of, run, scheduled_of

STEAL_MAX = 0.03
FOREIGN_MAX = 0.10
SHORT_SECONDS = 5  # a shorter block is measured by the scheduler's clock, not in ticks of 10 ms
TICK = os.sysconf("SC_CLK_TCK")
KTHREADD = "2"  # the parent of the kernel's threads


def own_network():
    """A network namespace of our own with reno, in which the program begins anew. The JVM cannot choose per socket."""
    control = "/proc/sys/net/ipv4/tcp_congestion_control"
    if open(control, encoding="ascii").read().strip() == "reno":
        return
    if os.environ.get("BENCH_NAMESPACE"):
        sys.exit("bench: this network namespace does not take reno")
    if os.geteuid() != 0:
        sys.exit("bench: only root can make the network namespace in which numbers mean something")
    os.environ["BENCH_NAMESPACE"] = "1"
    os.execvp("unshare", ["unshare", "--net", "sh", "-c",
                          f'ip link set lo up && echo reno >{control} && exec "$@"', "sh", sys.executable, *sys.argv])


class Disk:
    """A file system made for this run, mounted by loop; a plain directory where that is not possible."""

    def __init__(self, path, gigabytes):
        self.path = path
        self.image = path + ".image"
        os.makedirs(path)
        self.is_fresh = False
        try:
            with open(self.image, "wb") as image:
                image.truncate(gigabytes << 30)
            run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.image)
            run("mount", "-o", "loop", self.image, path)
            self.is_fresh = True
        except Exception as error:  # pylint: disable=broad-except
            print(f"bench: no file system of its own ({error}); directories of this one are worn by other work")

    def remove(self):
        if self.is_fresh:
            subprocess.run(["umount", self.path], check=False)
        if os.path.exists(self.image):
            os.unlink(self.image)
        shutil.rmtree(self.path, ignore_errors=True)


def recycle_memory(directory, megabytes):
    """Pages that this machine has touched lately: the first touch of new ones costs 1.7 s/GB, at random."""
    path = os.path.join(directory, "scratch")
    piece = os.urandom(1 << 20)
    try:
        with open(path, "wb") as scratch:
            for _ in range(megabytes):
                scratch.write(piece)
    except OSError:
        pass  # the disk is smaller than that: what was written is recycled
    os.unlink(path)


def settle(directory, seconds=15):
    """Waits until what was written before is on the disk, so that the next block does not pay for it; and gives back what
    was deleted, since the images of three systems together are larger than many a disk."""
    run("sync", "-f", directory)
    subprocess.run(["fstrim", directory], stderr=subprocess.DEVNULL, check=False)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        meminfo = dict(line.split(":") for line in open("/proc/meminfo", encoding="ascii"))
        if int(meminfo["Dirty"].split()[0]) + int(meminfo["Writeback"].split()[0]) < 16 * 1024:
            return
        time.sleep(0.1)


def kernel_threads_cpu():
    """Seconds of all threads of the kernel: what writes to the disk behind everyone's back, above all."""
    ticks = 0
    for name in os.listdir("/proc"):
        try:
            fields = open(f"/proc/{name}/stat", encoding="utf-8").read().rsplit(")", 1)[1].split() if name.isdigit() else ()
            if fields and fields[1] == KTHREADD:
                ticks += int(fields[11]) + int(fields[12])
        except OSError:
            pass
    return ticks / TICK


class Snapshot:
    """CPU of the processes and of the whole machine at one time."""

    def __init__(self, pids, others=()):
        self.at = time.monotonic()
        self.cpu = {pid: cpu_of(pid) for pid in pids}
        self.scheduled = {pid: scheduled_of(pid) for pid in pids}
        self.others = sum(cpu_of(pid) for pid in others)
        self.kernel = kernel_threads_cpu()
        fields = [int(word) for word in open("/proc/stat", encoding="ascii").readline().split()[1:9]]
        user, nice, system, _, _, irq, softirq, steal = fields
        self.busy = (user + nice + system + irq + softirq) / TICK
        self.irq = (irq + softirq) / TICK
        self.steal = steal / TICK


def between(before, after, client_cpu=0.0):
    """What the block took: the brokers' CPU, and what on the machine was nobody's of ours."""
    seconds = after.at - before.at
    ticks = [after.cpu[pid] - before.cpu[pid] for pid in after.cpu if pid in before.cpu]
    exact = [after.scheduled[pid] - before.scheduled[pid] for pid in after.cpu if pid in before.cpu]
    brokers = exact if seconds < SHORT_SECONDS else ticks
    capacity = seconds * os.cpu_count()
    kernel = max(0.0, after.kernel - before.kernel)  # a block's own pages go to the disk while it runs: no neighbour
    known = sum(brokers) + client_cpu + after.others - before.others + kernel
    return {
        "wall": seconds,
        "broker_cpu": sum(brokers),
        "cpu_of_each": brokers,
        "cpu_ticks": sum(ticks),
        "cpu_exact": sum(exact),
        "zookeeper_and_idle_cpu": after.others - before.others,
        "kernel_threads_cpu": kernel,
        "irq": after.irq - before.irq,
        "steal_share": (after.steal - before.steal) / capacity,
        "foreign_share": max(0.0, after.busy - before.busy - known) / capacity,
    }


def is_noisy(sample):
    return sample.get("steal_share", 0) > STEAL_MAX or sample.get("foreign_share", 0) > FOREIGN_MAX


def facts():
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False,
                            cwd=os.path.dirname(os.path.abspath(__file__))).stdout.strip()
    memory = next(line for line in open("/proc/meminfo", encoding="ascii") if line.startswith("MemTotal"))
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                  if line.startswith("model name")), "")
    return {"date": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "commit": commit, "kernel": platform.release(), "cpu": model,
            "cpus": os.cpu_count(), "memory_kb": int(memory.split()[1]), "load": os.getloadavg(),
            "congestion_control": open("/proc/sys/net/ipv4/tcp_congestion_control", encoding="ascii").read().strip()}
