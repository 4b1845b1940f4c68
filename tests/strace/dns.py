#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The least DNS over UDP that dig accepts: every name has the address 192.0.2.53.

    dns.py serve PORT            answers on IPv4 and IPv6 until it is killed
    dns.py ask PORT ADDRESS...   asks from sockets that were neither bound nor connected
"""
import selectors
import socket
import struct
import sys

ADDRESS = "192.0.2.53"


def question_end(query):
    pos = 12
    while query[pos]:
        pos += query[pos] + 1
    return pos + 5


def answer(query):
    header = query[:2] + struct.pack(">HHHHH", 0x8580, 1, 1, 0, 0)
    record = struct.pack(">HHHIH", 0xC00C, 1, 1, 60, 4) + socket.inet_aton(ADDRESS)
    return header + query[12:question_end(query)] + record


def serve(port):
    selector = selectors.DefaultSelector()
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.bind((host, port))
        selector.register(sock, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            query, peer = key.fileobj.recvfrom(1500)
            key.fileobj.sendto(answer(query), peer)


def ask(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.settimeout(5)
    name = b"".join(bytes([len(x)]) + x for x in (b"porttrace", b"test", b""))
    sock.sendto(struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + name + struct.pack(">HH", 1, 1), (host, port))
    print(socket.inet_ntoa(sock.recv(1500)[-4:]))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        for address in sys.argv[3:]:
            ask(address, int(sys.argv[2]))
