#!/usr/bin/python3
"""parallel.py URI OPERATIONS [extended|structured|simple]

Random reads, writes, zeroes, trims and flushes over eight connections with 64
requests in flight on each, checked against a shadow copy. Every request
has a slot of the device to itself while it is in flight.
"""
import random
import sys

import nbd

CONNECTIONS = 8
failures = []  # an exception within a callback would not end the program
DEPTH = 64

uri, operations = sys.argv[1], int(sys.argv[2])
mode = sys.argv[3] if len(sys.argv) > 3 else "structured"


class Slot:
    """A part of the device with what it should hold."""

    def __init__(self, conn, offset, size):
        self.conn, self.offset, self.size = conn, offset, size
        self.shadow = None  # unknown until it was written

    def issue(self):
        conn, size = self.conn, random.randint(1, self.size)
        at = random.randint(0, self.size - size)
        op = random.choice(["read", "read", "write", "write", "fua", "zero", "trim", "flush", "cache"])
        conn.active += 1
        conn.left -= 1
        if self.shadow is None:
            op, size, at = "write", self.size, 0
            self.shadow = bytearray(size)
        if op == "read":
            buf = nbd.Buffer(size)
            want = bytes(self.shadow[at:at + size])

            def done(err):
                if buf.to_bytearray() != want:
                    failures.append("read of %d at %d" % (size, self.offset + at))
                return self.done(err)

            conn.h.aio_pread(buf, self.offset + at, completion=done)
        elif op in ("write", "fua"):
            data = random.randbytes(size)
            self.shadow[at:at + size] = data
            buf = nbd.Buffer.from_bytearray(bytearray(data))
            self.keep = buf
            conn.h.aio_pwrite(buf, self.offset + at, completion=self.done, flags=nbd.CMD_FLAG_FUA if op == "fua" else 0)
        elif op == "zero":
            self.shadow[at:at + size] = bytes(size)
            conn.h.aio_zero(size, self.offset + at, completion=self.done)
        elif op == "trim":
            self.shadow = None  # what it reads now is not defined
            conn.h.aio_trim(size, self.offset + at, completion=self.done)
        elif op == "cache":
            conn.h.aio_cache(size, self.offset + at, completion=self.done)
        else:
            conn.h.aio_flush(completion=self.done)

    def done(self, err):
        if err.value != 0:
            failures.append("error %d at %d" % (err.value, self.offset))
        self.conn.active -= 1
        self.conn.free.append(self)
        return 1


class Connection:
    def __init__(self, index, base, size):
        self.h = nbd.NBD()
        if mode == "simple":
            self.h.set_request_structured_replies(False)
        self.h.connect_uri(uri)
        if mode == "extended":
            assert self.h.get_extended_headers_negotiated()
        part = size // DEPTH
        self.free = [Slot(self, base + i * part, part) for i in range(DEPTH)]
        self.active, self.left = 0, operations // CONNECTIONS

    def fill(self):
        while self.free and self.left > 0:
            self.free.pop(random.randrange(len(self.free))).issue()


first = nbd.NBD()
first.connect_uri(uri)
assert first.can_multi_conn(), "the server must allow several connections"
part = first.get_size() // CONNECTIONS
conns = [Connection(i, i * part, part) for i in range(CONNECTIONS)]
while not failures and any(c.active or c.left > 0 for c in conns):
    for c in conns:
        c.fill()
        if c.active:
            c.h.poll(1)
if failures:
    sys.exit("\n".join(failures))

# What one connection wrote, another reads.
first.flush()
for c in conns:
    for s in c.free:
        if s.shadow is not None:
            assert first.pread(s.size, s.offset) == bytes(s.shadow), "at the end, at %d" % s.offset
for c in conns:
    c.h.shutdown()
first.shutdown()
