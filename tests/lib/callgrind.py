#!/usr/bin/env python3
"""What callgrind counted, per request: callgrind.py DUMP REQUESTS [TOP].

Prints "instructions N allocations N calls N" (calls into the kernel, by libc's names for them), then which calls, then
the TOP functions with their own instructions. Instructions are those of user code; the kernel's are not seen.
"""
import collections
import re
import sys

ALLOCATIONS = {"malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "strdup"}
KERNEL = {
    "epoll_wait", "epoll_ctl", "recv", "recvmsg", "read", "readv", "write", "writev", "send", "sendmsg", "sendfile",
    "sendfile64", "pread", "pread64", "preadv", "pwrite", "pwrite64", "pwritev", "pwritev64", "fsync", "fdatasync",
    "ftruncate", "ftruncate64", "open", "open64", "close", "accept4", "fallocate", "fallocate64", "stat", "fstat",
}
NAME = re.compile(r"(c?fn)=\((\d+)\)(?: (.*))?$")


def read(path):
    names, own, calls = {}, collections.Counter(), collections.Counter()
    function = callee = None
    is_call_cost = False
    for line in open(path, encoding="utf-8", errors="replace"):
        match = NAME.match(line)
        if match:
            kind, number, name = match.groups()
            if name:
                names[number] = name.split("@")[0].split("'")[0]
            if kind == "fn":
                function = names[number]
            else:
                callee = names[number]
        elif line.startswith("calls="):
            calls[callee] += int(line[6:].split()[0])
            is_call_cost = True
        elif line[0] in "+-*0123456789":
            if is_call_cost:  # the callee's, which stands with the callee
                is_call_cost = False
            else:
                own[function] += int(line.split()[1])
    return own, calls


def main():
    requests = int(sys.argv[2])
    top = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    own, calls = read(sys.argv[1])
    kernel = {name: count for name, count in calls.items() if name in KERNEL}
    allocations = sum(count for name, count in calls.items() if name in ALLOCATIONS)
    print(f"instructions {sum(own.values()) / requests:.0f} allocations {allocations / requests:.2f} "
          f"calls {sum(kernel.values()) / requests:.2f}")
    print("  " + ", ".join(f"{name} {count / requests:.2f}" for name, count in sorted(kernel.items(), key=lambda c: -c[1])
                           if count * 100 >= requests))
    for name, count in own.most_common(top):
        print(f"  {count / requests:8.0f}  {name}")


main()
