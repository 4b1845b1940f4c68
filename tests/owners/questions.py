#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Compares `porttrace who --at` and `porttrace history` with the log of owners-lives.

    questions.py PORTTRACE HISTORY NETNS LOG COUNT SEED START KILLED READY END

The log is that of a load which ran from START to END; porttrace was killed at KILLED and wrote again from READY on (all
CLOCK_REALTIME, in ns). What may be lost is the second before the kill, and what happened until READY.

Prints a line for each verdict, "ok NAME: ..." or "wrong NAME: ...". Ends with 1 if one of them is wrong.
"""

import bisect
import json
import random
import subprocess
import sys
from datetime import datetime

MS, SECOND = 10**6, 10**9
# The hooks run between both times of the log. porttrace turns their clock (boot) into CLOCK_REALTIME by an offset that it
# measures with each reading of its ring: what lies between the two reads of a measurement is its error.
MARGIN = MS
TIME_WAIT = 60 * SECOND
FOREVER = 1 << 62
FIXED_PORTS = range(20000, 20100)


class Socket:
    """One life: `spans` are [(before, after, state, address)], `end` is (before, after, how) or None."""

    def __init__(self, fields):
        self.cookie, self.proto, self.pid, self.name = int(fields[1]), fields[2], int(fields[3]), fields[4]
        self.port = int(fields[6].split("/")[1])
        self.spans, self.end, self.peer, self.again = [], None, None, FOREVER
        self.add(fields)
        self.begin = self.spans[0][:2]

    def add(self, fields):
        self.spans.append((int(fields[8]), int(fields[9]), fields[5], fields[6].split("/")[0]))
        self.ends = (fields[6], fields[7])

    def linked(self):
        return self.proto == "tcp" and self.spans[-1][2] == "connected"

    def how(self):
        """Of a killed process it is not written who closed first: it follows from the peer."""
        how = self.end[2]
        if how != "killed":
            return how
        if not self.linked():
            return "plain"
        peer = self.peer and self.peer.end
        if not peer or peer[2] == "passive":
            return "active"
        return "passive" if peer[1] < self.end[0] - MARGIN else "active"

    def both_active(self):
        peer = self.peer and self.peer.end
        return self.how() == "active" and peer and self.peer.how() == "active"

    def state(self, at):
        """(state, address), None for what is changing."""
        for before, after, _, _ in self.spans[1:]:
            if before - MARGIN <= at <= after + MARGIN:
                return None, None
        last = [s for s in self.spans if s[1] < at][-1]
        return last[2], last[3]

    def at(self, at):
        """What it was at a moment: "none", "edge" (not known to the ns), "maybe", or ("held", state, address)."""
        if at < self.begin[0] - MARGIN:
            return "none"
        if at <= self.begin[1] + MARGIN:
            return "edge"
        if not self.end or at < self.end[0] - MARGIN:
            return ("held", *self.state(at))
        if self.how() == "active":
            return self.after_active(at)
        return "edge" if at <= self.end[1] + MARGIN else "none"

    def after_active(self, at):
        # A new connection between the same ends takes the place of one in TIME_WAIT: it may be gone.
        if self.both_active() or at > self.end[0] + TIME_WAIT - SECOND or at >= self.again - MARGIN:
            return "maybe"
        peer = self.peer and self.peer.end
        if not peer or at <= max(peer[1], self.end[1]) + MARGIN:
            return "held", None, None # FIN_WAIT
        return "held", "time-wait", self.spans[-1][3]


# ---- the log ----

def read_log(path):
    sockets, killed = {}, {}
    with open(path) as f:
        for fields in (line.split() for line in f):
            mark, cookie = fields[0], int(fields[1])
            end = (int(fields[8]), int(fields[9]), fields[5])
            if mark == "o":
                sockets[cookie] = Socket(fields)
            elif mark == "s":
                sockets[cookie].add(fields)
            elif mark == "c":
                sockets[cookie].end = end
            else:
                killed[int(fields[3])] = end
    for s in sockets.values():
        s.end = s.end or killed.get(s.pid)
    return sockets


def find_peers(sockets):
    """The accepted end of each connection, and which connection came next between the same ends."""
    by_ends = {}
    for s in sockets.values():
        if s.linked():
            by_ends.setdefault(s.ends, []).append((s.spans[-1][1], s.cookie))
    for ends in by_ends.values():
        ends.sort()
        for (_, one), (_, other) in zip(ends, ends[1:]):
            sockets[one].again = sockets[other].spans[-1][0]
    for s in sockets.values():
        if s.linked() and s.port not in FIXED_PORTS:
            others = by_ends.get(s.ends[::-1], [])
            i = bisect.bisect(others, (s.spans[-1][0], 0))
            if i < len(others):
                s.peer = sockets[others[i][1]]
                s.peer.peer = s
                s.peer.begin = (s.spans[-1][0], s.peer.begin[1]) # the kernel had it before accept()
                s.peer.again = min(s.peer.again, s.again)
    for s in sockets.values():
        if s.peer:
            s.again = min(s.again, s.peer.again)


# ---- porttrace ----

def time_ns(text):
    """2026-11-25T12:03:41.123456789Z"""
    whole, part = text.rstrip("Z").split(".") if "." in text else (text.rstrip("Z"), "0")
    return int(datetime.fromisoformat(whole + "+00:00").timestamp()) * SECOND + int(part.ljust(9, "0"))


def local_end(row):
    """source is who opened the connection, destination all else."""
    ingress = row["network"].get("direction") == "ingress"
    return row["destination"] if ingress or "source" not in row else row["source"]


class Asked:
    def __init__(self, porttrace, history, netns):
        self.porttrace, self.netns, self.rest = porttrace, netns, ["--history", history, "--json"]

    def who(self, port, proto, at):
        r = subprocess.run([self.porttrace, "who", f"{port}/{proto}", "--at", f"@{at // SECOND}.{at % SECOND:09}",
                            "--netns", self.netns, *self.rest], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return [json.loads(line) for line in r.stdout.splitlines()], r.returncode, r.stderr.strip()

    def history(self):
        r = subprocess.run([self.porttrace, "history", "--limit", "1000000", *self.rest], check=True,
                           stdout=subprocess.PIPE, text=True)
        rows = (json.loads(line) for line in r.stdout.splitlines())
        return [row for row in rows if row["porttrace"]["socket"].get("netns") == int(self.netns)]


# ---- one question ----

class Judge:
    def __init__(self, sockets, asked, dark):
        self.asked, self.dark, self.sockets = asked, dark, sockets
        self.by_port, self.count, self.held, self.states = {}, 0, 0, {}
        for s in sockets.values():
            self.by_port.setdefault((s.proto, s.port), []).append(s)

    def can_be_asked(self, port, proto, at):
        return not any(s.at(at) == "edge" for s in self.by_port.get((proto, port), []))

    def nobody_saw(self, s):
        """It came and was closed while nobody looked: only its TIME_WAIT was seen."""
        return s.begin[1] >= self.dark[0] and s.end and s.end[0] <= self.dark[1] + MARGIN

    def check_row(self, s, row, now):
        process, state = row.get("process", {}), row["porttrace"]["life"]["state"]
        if not (self.nobody_saw(s) and not process) and (process.get("pid"), process.get("name")) != (s.pid, s.name):
            return f"process {process.get('pid')} {process.get('name')}, not {s.pid} {s.name}"
        if now == "maybe":
            return None
        if now[1] and state != now[1]:
            return f"state {state}, not {now[1]}"
        self.states[now[1]] = self.states.get(now[1], 0) + 1
        address = local_end(row)["ip"]
        # the cgroup backend does not see which address a connect of UDP chose
        fine = address == now[2] or (s.proto == "udp" and address == s.spans[0][3])
        return f"address {address}, not {now[2]}" if now[2] and not fine else None

    def compare(self, rows, want, maybe):
        rows = {row["porttrace"]["socket"].get("cookie"): row for row in rows}
        for s, now in want + maybe:
            row = rows.pop(s.cookie, None)
            if not row and now != "maybe":
                return f"socket {s.cookie} of {s.pid} {s.name} ({now[1]}) is missing"
            problem = row and self.check_row(s, row, now)
            if problem:
                return f"socket {s.cookie}: {problem}"
        for cookie, row in rows.items():
            life = self.sockets.get(cookie)
            return f"socket {cookie} had it not: {row['porttrace']['life']} {row['event']}; log: {life and life.end}"
        return None

    def ask(self, port, proto, at):
        """None, or what is wrong with the answer."""
        now = [(s, s.at(at)) for s in self.by_port.get((proto, port), [])]
        want, maybe = [n for n in now if n[1][0] == "held"], [n for n in now if n[1] == "maybe"]
        rows, status, said = self.asked.who(port, proto, at)
        self.count += 1
        self.held += bool(want)
        problem = self.compare(rows, want, maybe)
        if not problem and status != (0 if rows else 1):
            problem = f"status {status}"
        if not problem and said != ("" if rows else said) or "no porttrace was writing" in said:
            problem = said
        return problem and f"{port}/{proto} at {at}: {problem}"


# ---- verdicts ----

failed = False


def verdict(name, text, problems):
    global failed
    failed |= bool(problems)
    print(f"{'wrong' if problems else 'ok'} {name}: {text}" + (f": {problems[0]}" if problems else ""))
    for p in problems[1:8]:
        print(f"# {p}")


def random_question(rnd, judge, lives, windows):
    """Mostly somebody's port while it was held; ports at any time; and ports that nobody ever had."""
    first, last = rnd.choices(windows, [w[1] - w[0] for w in windows])[0]
    kind = rnd.random()
    if kind < 0.05:
        return rnd.randint(2000, 19999), rnd.choice(("tcp", "udp")), rnd.randint(first, last)
    s = rnd.choice(lives)
    if kind < 0.7:
        end = FOREVER if not s.end or s.how() == "active" else s.end[0]
        first, last = max(first, s.begin[1]), min(last, end)
        if first >= last:
            return None
    return s.port, s.proto, rnd.randint(first, last)


def ask_random(judge, count, seed, windows):
    rnd, problems = random.Random(seed), []
    lives = list(judge.sockets.values())
    while judge.count < count:
        question = random_question(rnd, judge, lives, windows)
        if question and judge.can_be_asked(*question):
            problems.append(judge.ask(*question))
    problems = [p for p in problems if p]
    text = f"{judge.count} questions, {len(problems)} wrong, {judge.held} with an owner"
    if judge.held < count // 2 or judge.held > count * 9 // 10:
        problems.append("a half to nine tenths should have an owner")
    if len(judge.states.keys() & {"bound", "listening", "connected", "time-wait"}) < 4:
        problems.append(f"not all states were asked for: {judge.states}")
    verdict("questions", text, problems)


def ask_across(judge, killed, ready):
    """What was there before the kill and after the restart, asked about the first moment after it."""
    at, asked, problems = ready + MS, 0, []
    for s in judge.sockets.values():
        if s.begin[1] < killed - SECOND and s.at(at)[0] == "held" and judge.can_be_asked(s.port, s.proto, at):
            problems.append(judge.ask(s.port, s.proto, at))
            asked += 1
    problems = [p for p in problems if p]
    text = f"{asked} sockets of before the kill asked for after the restart, {len(problems)} wrong"
    verdict("across", text, problems if asked >= 50 else ["fewer than 50"])


def lost_events(sockets, rows, start, killed):
    """[(before, what)] of the log's events that the history has not."""
    times = {}
    for row in rows:
        for kind in "start", "end":
            if kind in row["event"]:
                cookie = row["porttrace"]["socket"].get("cookie")
                times.setdefault((cookie, kind), []).append(time_ns(row["event"][kind]))
    found, lost = 0, []
    for s in sockets.values():
        for kind, span in ("start", s.begin), ("end", s.end):
            if not span or not start < span[0] or not span[1] < killed:
                continue
            if any(span[0] - MARGIN <= t <= span[1] + MARGIN for t in times.get((s.cookie, kind), [])):
                found += 1
            else:
                lost.append((span[0], f"the {kind} of {s.cookie}, {s.port}/{s.proto} of {s.name}"))
    return found, sorted(lost), [t for spans in times.values() for t in spans if t < killed]


def check_loss(sockets, rows, start, killed):
    found, lost, times = lost_events(sockets, rows, start, killed)
    since = killed - lost[0][0] if lost else 0
    newest = killed - max(times)
    problems = [f"{(killed - at) // MS} ms before the kill: {what}" for at, what in lost if at < killed - SECOND]
    if newest > SECOND:
        problems.append("the newest is too old")
    verdict("loss", f"{found} events of before the kill are kept, {len(lost)} of its last {since // MS} ms are lost; "
            f"the newest is {newest // MS} ms older than the kill", problems)


def main():
    porttrace, history, netns, log = sys.argv[1:5]
    count, seed, start, killed, ready, end = (int(a) for a in sys.argv[5:11])
    sockets = read_log(log)
    find_peers(sockets)
    asked = Asked(porttrace, history, netns)
    dark = (killed - SECOND, ready)
    check_loss(sockets, asked.history(), start, killed)
    ask_across(Judge(sockets, asked, dark), killed, ready)
    ask_random(Judge(sockets, asked, dark), count, seed, [(start, dark[0]), (ready, end)])
    return failed


if __name__ == "__main__":
    sys.exit(main())
