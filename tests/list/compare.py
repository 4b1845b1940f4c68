#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Does `porttrace list --json` say what `ss -tuanp` says in each namespace, socket for socket?

    tests/list/compare.py DIRECTORY [--prefix NAME]     what tests/list/collect.sh has written there

State, addresses, ports, waiting bytes or connections, and the set of processes of each socket are compared. ss is asked before
and after: what it tells both times must be listed, and what is listed must have been told at least once (TIME_WAIT ends on its
own). Sockets that only have a port, which ss does not tell by default and the kernel only from 6.8, are compared with what the
load itself recorded. Prints ok and not ok lines.
"""

import argparse
import collections
import glob
import ipaddress
import json
import os
import re
import sys

SS_STATES = {"ESTAB": "established", "UNCONN": "bound"}
SHOWN = 5

Socket = collections.namedtuple("Socket", "transport state local remote queue pids")


def address(text, port):
    """("127.0.0.1", 80): v4-mapped addresses as IPv4; None if there is none."""
    if port in ("*", None):
        return None
    ip = ipaddress.ip_address("::" if text == "*" else text.strip("[]").split("%")[0])
    return str(getattr(ip, "ipv4_mapped", None) or ip), int(port)


def ss_socket(line):
    transport, state, queue, _, local, remote, *rest = line.split(None, 6)
    state = SS_STATES.get(state, state.lower())
    if transport == "udp" and state == "established":
        state = "connected"
    pids = frozenset(int(p) for p in re.findall(r"\bpid=(\d+)", rest[0] if rest else ""))
    return Socket(transport, state, address(*local.rsplit(":", 1)), address(*remote.rsplit(":", 1)), int(queue), pids)


def read_ss(path):
    with open(path, encoding="utf-8") as f:
        return collections.Counter(ss_socket(line) for line in f if line.strip())


def list_socket(record):
    own, sock = record["porttrace"], record["porttrace"]["socket"]
    sides = [address(s.get("ip"), s.get("port")) for s in (record.get("source"), record.get("destination")) if s]
    if record["network"].get("direction") == "ingress":
        sides.reverse()
    processes = own.get("processes") or ([record["process"]] if "process" in record else [])
    if sock["state"] == "time-wait":
        processes = []  # nobody has it open: who had it, only a history tells, and ss never
    return Socket(record["network"]["transport"], sock["state"], sides[0], sides[1] if len(sides) > 1 else None,
                  sock.get("queue", 0), frozenset(p["pid"] for p in processes))


def read_list(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def is_bound_only(s):
    return s.transport == "tcp" and s.state == "bound"


def compare_namespace(directory, number, records):
    """Sentences on what differs, and how many sockets ss told of."""
    path = os.path.join(directory, str(number))
    with open(path + ".json", encoding="utf-8") as f:
        load = json.load(f)
    with open(path + ".netns", encoding="utf-8") as f:
        inode = int(f.read())
    before, after = read_ss(path + ".before"), read_ss(path + ".after")
    listed = collections.Counter(list_socket(r) for r in records if r["porttrace"]["socket"].get("netns") == inode)
    bound = collections.Counter(s for s in listed.elements() if is_bound_only(s))
    listed -= bound
    found = [f"not listed: {s}" for s in ((before & after) - listed).elements()]
    found += [f"not in ss: {s}" for s in (listed - (before | after)).elements()]
    with open(os.path.join(directory, "release"), encoding="utf-8") as f:
        release = tuple(int(n) for n in re.findall(r"\d+", f.read())[:2])
    want = sorted(load["bound"]) if release >= (6, 8) else []
    if sorted(s.local[1] for s in bound.elements()) != want:
        found.append(f"of {len(want)} sockets that only have a port, {sum(bound.values())} are listed")
    found += [f"bound, but not of the load: {s}" for s in bound if load["pid"] not in s.pids]
    made = load["listeners"] + 2 * load["connections"] + load["time_wait"] + load["udp"]
    if sum(before.values()) < made * 9 // 10:
        found.append(f"the load made {made} sockets, ss tells of {sum(before.values())}: nothing to compare")
    return [f"namespace {number}: {text}" for text in found], sum(listed.values()) + sum(bound.values())


def check_status(directory, name):
    with open(os.path.join(directory, name + ".status"), encoding="utf-8") as f:
        status = f.read().strip()
    return [] if status == "0" else [f"{name}: exit status {status}"]


def check_twins(records):
    seen = collections.Counter((r["porttrace"]["socket"]["cookie"], r["porttrace"]["socket"].get("netns"))
                               for r in records)
    return [f"cookie {cookie} stands {n} times" for (cookie, _), n in seen.items() if n > 1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("directory")
    parser.add_argument("--prefix", default="list")
    args = parser.parse_args()
    failed = False

    def verdict(name, problems, said=""):
        nonlocal failed
        failed |= bool(problems)
        print(f"{'not ok' if problems else 'ok'} - {args.prefix}/{name}"
              + (f": {len(problems)} differences: {problems[0]}" if problems else said and f": {said}"))
        for p in problems[1:SHOWN]:
            print(f"#   {p}")

    records = read_list(os.path.join(args.directory, "list.jsonl"))
    problems, sockets = check_status(args.directory, "list"), 0
    numbers = sorted(int(os.path.basename(p)[:-len(".netns")]) for p in glob.glob(args.directory + "/*.netns"))
    for number in numbers:
        found, count = compare_namespace(args.directory, number, records)
        problems += found
        sockets += count
    if not numbers:
        problems.append("no namespace was looked at")
    verdict("equals ss -tuanp", problems, f"{sockets} sockets in {len(numbers)} namespaces, 0 differences")
    problems = []
    for name in "churn-1", "churn-2", "churn-3":
        problems += check_status(args.directory, name)
        problems += check_twins(read_list(os.path.join(args.directory, name + ".jsonl")))
    verdict("under churn no socket stands twice", problems)
    return failed


if __name__ == "__main__":
    sys.exit(main())
