#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Compares the owners that `porttrace list` names with the log of owners-waits, for all sockets that ss has in TIME_WAIT.

    waits.py LOG SS LIST LEAST      SS: of ss -tanH state time-wait, LIST: of porttrace list -s time-wait --json

Prints what it found; ends with 1 if a socket is missing or too much, an owner is wrong, or there are fewer than LEAST.
"""

import json
import sys


def port(text):
    return int(text.rsplit(":", 1)[1])


def read_log(path):
    """{(local port, remote port): (pid, name)}: the newest, as ports come again."""
    with open(path) as f:
        return {(int(a), int(b)): (int(pid), name) for a, b, pid, name in (line.split() for line in f)}


def read_ss(path):
    with open(path) as f:
        return {(port(fields[2]), port(fields[3])) for fields in (line.split() for line in f)}


def read_list(path):
    owners = {}
    with open(path) as f:
        for row in map(json.loads, f):
            process = row.get("process", {})
            owners[row["source"]["port"], row["destination"]["port"]] = process.get("pid"), process.get("name")
    return owners


def main():
    log, waiting, owners = read_log(sys.argv[1]), read_ss(sys.argv[2]), read_list(sys.argv[3])
    problems = [f"{s} is not listed" for s in sorted(waiting - owners.keys())]
    problems += [f"{s} is listed, but not in TIME_WAIT" for s in sorted(owners.keys() - waiting)]
    wrong = [f"{s} is said to be of {owners[s]}, not {log.get(s)}" for s in sorted(waiting & owners.keys())
             if owners[s] != log.get(s)]
    print(f"{len(waiting)} sockets in TIME_WAIT of {len(set(log.values()))} processes, {len(owners)} listed, "
          f"{len(wrong)} wrong owners" + "".join(f"; {p}" for p in (problems + wrong)[:4]))
    return 1 if problems or wrong or len(waiting) < int(sys.argv[4]) else 0


if __name__ == "__main__":
    sys.exit(main())
