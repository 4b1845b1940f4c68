#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Asks `porttrace who --at` random questions, and compares the answers with the generator's log.

    ask.py PORTTRACE HISTORY COUNT SEED LOG FIRST_NS LAST_NS [LOG FIRST_NS LAST_NS...]

Each log is of one run; it is asked about the time from FIRST_NS to LAST_NS. Ends with 1 if an answer is wrong.
"""

import json
import random
import subprocess
import sys

porttrace, history, count, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]


def read_log(path):
    """[(port, name, begin, free or None)]"""
    open_lives, lives = {}, []
    with open(path) as f:
        for line in f:
            fields = line.split()
            if len(fields) != 4 or not line.endswith("\n"):
                continue
            mark, port, ns, name = fields[0], int(fields[1]), int(fields[2]), fields[3]
            if mark == "b":
                open_lives[name] = (port, name, ns)
            else:
                lives.append((*open_lives.pop(name), ns))
    return lives + [(*life, None) for life in open_lives.values()]


def answer(port, at):
    r = subprocess.run([porttrace, "who", f"{port}/tcp", "--at", f"@{at // 10**9}.{at % 10**9:09}", "--history", history,
                        "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    names = sorted(json.loads(line)["process"]["name"] for line in r.stdout.splitlines())
    return names, r.returncode, r.stderr


def main():
    rnd, runs, wrong, held = random.Random(seed), [], 0, 0
    for i in range(5, len(sys.argv), 3):
        runs.append((read_log(sys.argv[i]), int(sys.argv[i + 1]), int(sys.argv[i + 2])))
    for _ in range(count):
        lives, first, last = rnd.choice(runs)
        at, port = rnd.randint(first, last), rnd.choice(lives)[0]
        want = sorted(name for p, name, begin, free in lives if p == port and begin <= at and (free is None or at <= free))
        names, status, said = answer(port, at)
        held += bool(want)
        if names != want or status != (0 if want else 1) or (want and said):
            wrong += 1
            print(f"port {port} at {at}: {names}, status {status}, not {want}: {said.strip()}")
    print(f"{count} questions, {held} with an owner, {wrong} wrong answers")
    return 1 if wrong or not held or held == count else 0


if __name__ == "__main__":
    sys.exit(main())
