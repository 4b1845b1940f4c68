#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""In a service manager's place: prints what arrives at a notify socket, a line a datagram, until STOPPING=1.

    manager.py SOCKET FILE     SOCKET is a path, or '@' and an abstract name. Before each line stands whether FILE is there
                               when the datagram is read, "+" or "-", and the milliseconds of CLOCK_MONOTONIC.
"""

import os
import socket
import sys
import time

name, file = sys.argv[1:]
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.bind("\0" + name[1:] if name.startswith("@") else name)
print("listening", flush=True)
text = ""
while "STOPPING=1" not in text:
    text = sock.recv(4096).decode()
    print("+" if os.path.exists(file) else "-", time.monotonic_ns() // 1000000, text.replace("\n", " "), flush=True)
