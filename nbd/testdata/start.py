#!/usr/bin/python3
"""start.py stdio|activation COMMAND...: start a server as libnbd starts one."""
import sys

import nbd

h = nbd.NBD()
if sys.argv[1] == "stdio":
    h.connect_command(sys.argv[2:])
else:
    h.connect_systemd_socket_activation(sys.argv[2:])
data = bytes(range(256)) * 1024
h.pwrite(data, 3)
assert h.pread(len(data), 3) == data
h.shutdown()
