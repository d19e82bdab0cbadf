"""Kafka's frames by hand, in the versions before the flexible ones: for tests that need to say exactly what is sent and when."""
import socket
import struct


def string(text):
    return struct.pack(">h", -1) if text is None else struct.pack(">h", len(text.encode())) + text.encode()


def binary(data):
    return struct.pack(">i", len(data)) + data


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, code):
        size = struct.calcsize(">" + code)
        value, = struct.unpack_from(">" + code, self.data, self.at)
        self.at += size
        return value

    def string(self):
        size = self.number("h")
        if size < 0:
            return None
        self.at += size
        return self.data[self.at - size:self.at].decode()

    def binary(self):
        size = self.number("i")
        self.at += max(size, 0)
        return self.data[self.at - max(size, 0):self.at]

    def array(self, read):
        return [read() for _ in range(self.number("i"))]


class Connection:
    def __init__(self, host, port):
        self.socket = socket.create_connection((host, int(port)))
        self.socket.settimeout(30)

    def send(self, key, version, body):
        frame = struct.pack(">hhi", key, version, 7) + string("frames") + body
        self.socket.sendall(struct.pack(">i", len(frame)) + frame)

    def receive(self):
        data = b""
        while len(data) < 4 or len(data) < 4 + struct.unpack(">i", data[:4])[0]:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError
            data += more
        return Reader(data[8:])

    def call(self, key, version, body):
        self.send(key, version, body)
        return self.receive()
