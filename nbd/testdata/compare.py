#!/usr/bin/python3
"""compare.py [options] NAME=COMMAND...: NBD servers beside each other.

Every COMMAND serves {image} on the unix socket {socket} until it is ended. Runs of
the servers alternate, so that other load on the machine meets all of them. For each row it prints the median and the best rate (requests, or MB for copies, a second),
and the least processor time of the server for a request; the last server
named is the one that the others are compared with.

    compare.py --rounds 5 --rows rr4k1,rr4k32 \\
        ours='fatkit serve --listen unix:{socket} {image}' \\
        nbdkit='nbdkit -f -r -U {socket} file {image}'
"""
import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

TICK = os.sysconf("SC_CLK_TCK")

# name: (fio's rw, block size, depth, jobs, requests of a job)
ROWS = {
    "rr4k1": ("randread", "4k", 1, 1, 40000),
    "rr4k32": ("randread", "4k", 32, 1, 150000),
    "rr4k32x4": ("randread", "4k", 32, 4, 40000),
    "rw4k1": ("randwrite", "4k", 1, 1, 40000),
    "rw4k32": ("randwrite", "4k", 32, 1, 150000),
    "rw4k32x4": ("randwrite", "4k", 32, 4, 40000),
    "sr256k": ("read", "256k", 16, 1, 10000),
    "sw256k": ("write", "256k", 16, 1, 6000),
    "copy": None,
}


def cpu(pid):
    """Processor time of a process in seconds."""
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


class Server:
    def __init__(self, command, image, folder):
        self.socket = os.path.join(folder, "s")
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        args = [a.format(socket=self.socket, image=image) for a in shlex.split(command)]
        self.process = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.time() + 10
        while not os.path.exists(self.socket):
            if time.time() > end or self.process.poll() is not None:
                sys.exit("the server did not start: " + command)
            time.sleep(0.02)
        time.sleep(0.1)
        self.uri = "nbd+unix:///?socket=" + self.socket

    def stop(self):
        self.process.terminate()
        self.process.wait()


def copy(server, size):
    start, before = time.time(), cpu(server.process.pid)
    subprocess.run(["nbdcopy", server.uri, "null:"], check=True)
    requests = size >> 18  # nbdcopy's requests of 256 KiB
    return size / (time.time() - start) / 1e6, (cpu(server.process.pid) - before) / requests


def fio(server, size, row):
    rw, block, depth, jobs, requests = row
    before = cpu(server.process.pid)
    with tempfile.TemporaryDirectory() as folder:
        out = subprocess.run(
            ["fio", "--name=row", "--ioengine=nbd", "--uri=" + server.uri, "--rw=" + rw, "--bs=" + block,
             "--iodepth=%d" % depth, "--numjobs=%d" % jobs, "--number_ios=%d" % requests, "--size=%d" % size,
             "--norandommap", "--randrepeat=0", "--group_reporting", "--thread=0", "--output-format=json"],
            check=True, cwd=folder, stdout=subprocess.PIPE, text=True).stdout
    job = json.loads(out[out.index("{"):])["jobs"][0]
    side = job["read" if "read" in rw else "write"]
    return side["iops"], (cpu(server.process.pid) - before) / side["total_ios"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--size", type=int, default=512, help="MiB of the image")
    parser.add_argument("--image", help="an image to use, instead of random bytes in /dev/shm")
    parser.add_argument("servers", nargs="+")
    options = parser.parse_args()
    commands = dict(s.split("=", 1) for s in options.servers)
    folder = tempfile.mkdtemp()
    image = options.image or "/dev/shm/nbd-compare-%d.img" % os.getpid()
    if not options.image:
        with open(image, "wb") as f:
            for _ in range(options.size):
                f.write(os.urandom(1 << 20))
    try:
        for row in options.rows.split(","):
            results = {name: [] for name in commands}
            for _ in range(options.rounds):
                for name, command in commands.items():
                    server = Server(command, image, folder)
                    try:
                        size = os.path.getsize(image)
                        results[name].append(fio(server, size, ROWS[row]) if ROWS[row] else copy(server, size))
                    finally:
                        server.stop()
            report(row, results)
    finally:
        if not options.image:
            os.unlink(image)


def report(row, results):
    median = {name: statistics.median(r for r, _ in runs) for name, runs in results.items()}
    least = {name: min(c for _, c in runs) for name, runs in results.items()}
    last = list(results)[-1]
    for name, runs in results.items():
        print("%-9s %-12s median %9.0f (%.2fx)  best %9.0f  %6.2f us of CPU a request (%.2fx)" % (
            row, name, median[name], median[name] / median[last], max(r for r, _ in runs),
            least[name] * 1e6, least[name] / (least[last] or 1e-9)), flush=True)


main()
