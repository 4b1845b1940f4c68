#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Sockets for tests/schema/run, in a network namespace of its own: each thing that a line can tell, once or twice.

Says READY when all is done, and keeps what is open until its standard input ends.
"""
import os
import signal
import socket
import subprocess
import sys
import time

ANY, SERVER, NOBODY = 0, 6000, 1
RESERVED, RESERVED_TOO = 40005, 40015
LOW, HIGH = 40000, 40019
UDPLITE = 136
kept = []


def sysctl(name, value):
    with open("/proc/sys/net/ipv4/" + name, "w", encoding="ascii") as f:
        f.write(value)


def tcp(family=socket.AF_INET):
    kept.append(socket.socket(family, socket.SOCK_STREAM))
    return kept[-1]


def listener(port, family=socket.AF_INET, host="127.0.0.1"):
    sock = tcp(family)
    sock.bind((host, port))
    sock.listen(64)
    return sock


def fails(call, *args):
    """Calls what must fail."""
    try:
        call(*args)
    except OSError:
        return
    raise SystemExit(f"{call} {args} did not fail")


def child(do):
    """Runs `do` in a process, and returns its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            do()
        finally:
            os._exit(0)
    return pid


def pair(server, port=SERVER, source=None):
    """A connection, both ends."""
    client = tcp()
    if source:
        client.bind(("127.0.0.1", source))
    client.connect(("127.0.0.1", port))
    kept.append(server.accept()[0])
    return client, kept[-1]


def end_first(server, port=SERVER):
    """A connection that is in TIME_WAIT on the client's side."""
    client, other = pair(server, port)
    client.sendall(b"12345")
    other.recv(5)
    client.close()
    other.recv(1)
    other.close()


def plain(server):
    fails(tcp().bind, ("127.0.0.1", SERVER))
    fails(tcp().connect, ("127.0.0.1", NOBODY))
    pair(server, source=631)
    reserved = listener(RESERVED)
    pair(reserved, RESERVED, source=RESERVED + 1)
    tcp().bind(("127.0.0.1", RESERVED + 2))
    pair(server, source=RESERVED_TOO)
    six = listener(SERVER, socket.AF_INET6, "::1")
    tcp(socket.AF_INET6).connect(("::1", SERVER))
    kept.append(six.accept()[0])
    mapped = tcp(socket.AF_INET6)
    mapped.connect(("::ffff:127.0.0.1", SERVER))
    kept.append(server.accept()[0])
    marked = tcp()
    marked.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 7)
    marked.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    marked.connect(("127.0.0.1", SERVER))
    kept.append(server.accept()[0])


def datagrams():
    for protocol in socket.IPPROTO_UDP, UDPLITE:
        try:
            first = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, protocol)
        except OSError:
            continue
        first.bind(("127.0.0.1", ANY))
        second = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, protocol)
        second.sendto(b"1", first.getsockname())
        second.connect(first.getsockname())
        kept.append(second)
        first.close()


def processes(server):
    """Accepted by a child; ended by a signal; passed on; and left in TIME_WAIT by one that has exited."""
    client = tcp()
    client.connect(("127.0.0.1", SERVER))
    os.waitpid(child(lambda: server.accept()[0].close()), 0)
    client.close()
    pid = child(lambda: (pair(server), time.sleep(600)))
    time.sleep(0.2)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.waitpid(child(lambda: [end_first(server) for _ in range(3)]), 0)
    child(lambda: time.sleep(600))  # has all of them open


def exhaust(server):
    """Takes the ports that are left, and fails; again, a second later."""
    try:
        while True:
            pair(server)
    except OSError:
        pass
    # told at most once a second; many together are a storm
    for pause in [0, 0, 1.5] + [0] * 300 + [1.5]:
        time.sleep(pause)
        with socket.socket() as sock:  # closed at once: the cgroup backend learns of it then
            fails(sock.connect, ("127.0.0.1", SERVER))


def main():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    sysctl("ip_local_port_range", f"{LOW} {HIGH}")
    sysctl("ip_local_reserved_ports", f"{RESERVED},{RESERVED_TOO}")
    sysctl("tcp_tw_reuse", "0")  # else TIME_WAIT on loopback is taken over after a second
    server = listener(SERVER)
    plain(server)
    datagrams()
    for _ in range(2):
        end_first(server)
    processes(server)
    exhaust(server)
    print("READY", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
