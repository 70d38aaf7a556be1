#!/usr/bin/python3
"""threads.py URI: synchronous requests of many threads, and batches of asynchronous ones."""
import sys
import threading

import nbd

uri = sys.argv[1]
size = nbd.NBD()
size.connect_uri(uri)
part = size.get_size() // 8
failures = []


def worker(i):
    try:
        h = nbd.NBD()
        h.connect_uri(uri)
        base = i * part
        for k in range(60):
            n = 1 + (k * 7919 + i) % 200000
            at = base + (k * 104729) % (part - n)
            data = bytes([i + 1, k]) * ((n + 1) // 2)
            h.pwrite(data[:n], at)
            assert h.pread(n, at) == data[:n]
        # A batch: all writes are sent before the first answer is taken.
        cookies = [h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray([k]) * 4096), base + k * 4096) for k in range(64)]
        cookies += [h.aio_flush()]
        while cookies:
            h.poll(-1)
            cookies = [c for c in cookies if not h.aio_command_completed(c)]
        buffers = [nbd.Buffer(4096) for _ in range(64)]
        cookies = [h.aio_pread(b, base + k * 4096) for k, b in enumerate(buffers)]
        while cookies:
            h.poll(-1)
            cookies = [c for c in cookies if not h.aio_command_completed(c)]
        for k, b in enumerate(buffers):
            assert b.to_bytearray() == bytearray([k]) * 4096
        h.shutdown()
    except BaseException as e:
        failures.append(repr(e))
        raise


threads = [threading.Thread(target=worker, args=(i,)) for i in range(8)]
for t in threads:
    t.start()
for t in threads:
    t.join()
sys.exit(1 if failures else 0)
