"""What raw_requests.py and raw_steps.py build their frames from, and how they say what came of one."""
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from kafka_frames import Connection, array, binary, string  # noqa: E402, F401

SILENCE = 4


def i8(n): return struct.pack(">b", n)
def i16(n): return struct.pack(">h", n)
def i32(n): return struct.pack(">i", n)
def i64(n): return struct.pack(">q", n)


def compact(text): return b"\0" if text is None else bytes([len(text) + 1]) + text.encode()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def varint(n):
    n, out = (n << 1) ^ (n >> 63), b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def record(delta):
    body = b"\0" + varint(0) + varint(delta) + varint(-1) + varint(1) + b"v" + varint(0)
    return varint(len(body)) + body


def batch(base=0, attributes=0, producer=(-1, -1, -1), magic=2, last=0, count=1, wrong=0, records=None):
    if records is None:
        records = b"".join(record(n) for n in range(count))
    body = i16(attributes) + i32(last) + i64(10 ** 12) * 2 + i64(producer[0]) + i16(producer[1]) + i32(producer[2])
    body += i32(count) + records
    return i64(base) + i32(len(body) + 9) + i32(-1) + i8(magic) + struct.pack(">I", crc32c(body) ^ wrong) + body


def unread(r): return "answered"


def outcome(host, port, act):
    """What act(connection) says, on a connection of its own."""
    line = Connection(host, port)
    line.socket.settimeout(SILENCE)
    try:
        return act(line)
    except socket.timeout:
        return "no answer"
    except (EOFError, ConnectionError):
        return "closed"
    finally:
        line.socket.close()


def raw(data):
    def act(line):
        line.socket.sendall(data)
        return unread(line.receive())
    return act
