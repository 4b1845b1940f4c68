#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What porttrace pressure and why said of each scenario, against its numbers and against what the program saw.

    check.py DIR [--no-bpf]     DIR as collect.sh leaves it

Prints PASS, FAIL and SKIP lines. SKIP: what this kernel, or this way of looking, cannot show, by name.
"""
import argparse
import collections
import functools
import json
import os
import re
import sys

ERRORS = "EADDRNOTAVAIL"


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except FileNotFoundError:
        return ""


def pool_name(record):
    pool = record["pool"]
    source = pool["source"]["ip"]
    if pool["kind"] != "connect":
        return f'{pool["kind"]} {source}'
    return f'connect {source} -> {pool["destination"]["ip"]} {pool["destination"]["port"]}'


@functools.cache
def read_events(directory):
    """Of each process: what the trace told of it, as JSON, and as people read it."""
    events, told = collections.defaultdict(list), collections.defaultdict(list)
    for line in read(f"{directory}/events.jsonl").splitlines():
        event = json.loads(line)
        events[event.get("process", {}).get("pid")].append(event)
    pid = None
    for line in read(f"{directory}/events.text").splitlines():
        words = line.split()
        if not line.startswith("    ") and len(words) > 4 and words[3].isdigit():
            pid = int(words[3])
        told[pid].append(line)
    return events, told


def why_blocks(text):
    """Of each paragraph: its namespace, first word, rule."""
    for block in text.split("\n\n"):
        netns = re.search(r"netns (\d+)", block)
        cause = re.search(r"^  CAUSE   (P\d\d)", block, re.M)
        if netns:
            yield int(netns[1]), block.split()[0], cause[1] if cause else None, block


class Case:
    """One scenario: what was seen, and what is wrong with that."""

    def __init__(self, directory, name, bpf, release):
        self.name, self.bpf = name, bpf
        self.kernel = tuple(int(n) for n in re.match(r"(\d+)\.(\d+)", release).groups())
        self.wrong, self.skipped = [], []
        lines = [json.loads(s) for s in read(f"{directory}/{name}.load").splitlines() if s.startswith("{")]
        self.load = lines[0] if lines else {}
        self.end = lines[1].get("facts", {}) if len(lines) > 1 else {}
        self.facts = self.load.get("facts", {})
        self.directory, self.errors = directory, read(f"{directory}/{name}.err")
        self.answers(name)
        self.text = read(f"{directory}/{name}.text")
        events, told = read_events(directory)
        self.events, self.told = events[self.load.get("pid")], "\n".join(told[self.load.get("pid")])
        self.seen_rules = set()

    def answers(self, name):
        """What was said of one namespace, or of all."""
        own = os.path.exists(f"{self.directory}/{name}.pressure")
        said = f"{self.directory}/{name if own else read(f'{self.directory}/{name}.batch').strip()}"
        self.records = [json.loads(s) for s in read(said + ".pressure").splitlines()]
        self.blocks = list(why_blocks(read(said + ".why")))
        self.why_text = read(said + ".why")
        self.errors += read(said + ".pressure.err") + read(said + ".why.err")
        status = read(said + ".why.status"), read(said + ".pressure.status")
        self.status = [int(s) for s in status] if own and all(status) else None

    def expect(self, what, wanted, got):
        if wanted != got:
            self.wrong.append(f"{what} is {got}, not {wanted}")

    def between(self, what, low, high, got):
        if got is None or not low <= got <= high:
            self.wrong.append(f"{what} is {got}, not {low} to {high}")

    def skip(self, what):
        self.skipped.append(what)

    def app(self, step, **wanted):
        """What the program saw."""
        got = next((s for s in self.load.get("steps", []) if s["step"] == step), {})
        for key, value in wanted.items():
            self.expect(f"the program's {step} {key}", value, got.get(key))

    def pool(self, name, netns=None, **wanted):
        """One pool. used, cap, half_used, half_free, severity, rule; states; owners (name, pid, ports)."""
        found = [r for r in self.records
                 if pool_name(r) == name and r["netns"]["inode"] == (netns or self.load.get("netns"))]
        if len(found) != 1:
            self.wrong.append(f"{len(found)} pools '{name}', of {sorted(self.pools())}")
            return {}
        got = found[0]
        self.seen_rules.add(got.get("rule"))
        flat = {"used": got["used"], "cap": got["capacity"]["max"], "half_used": got.get("first_half_used"),
                "half_free": got.get("first_half_free", {}).get("max"), "severity": got["severity"],
                "free": got["free"]["max"], "rule": got.get("rule"), "unattributed": got["unattributed"],
                "range": (got["netns"]["range_low"], got["netns"]["range_high"])}
        for key, value in wanted.items():
            if key == "states":
                self.expect(f"{name} states", value, {k: v for k, v in got["states"].items() if v})
            elif key == "owners":
                self.expect(f"{name} owners", value, [(o["name"], o["pid"], o["ports"]) for o in got["owners"]])
            elif key == "exited":
                self.expect(f"{name} exited", value, [o.get("exited", False) for o in got["owners"]])
            else:
                self.expect(f"{name} {key}", value, flat[key])
        return got

    def pools(self):
        return [pool_name(r) for r in self.records if r["netns"]["inode"] == self.load.get("netns")]

    def only(self, *names):
        self.expect("the pools", sorted(names), sorted(self.pools()))

    def netns(self, **wanted):
        got = next((r["netns"] for r in self.records if r["netns"]["inode"] == self.load.get("netns")), {})
        for key, value in wanted.items():
            self.expect(key, value, got.get(key))

    def blocked(self, ports):
        """By sockets that were bound, then connected."""
        self.netns(blocked_bind_connect=ports, blocked_blocked=0)

    def why(self, status, *rules, notes=()):
        """The exit status, the rules of its pools, those of the namespace: these and no others."""
        own = [b for b in self.blocks if b[0] == self.load.get("netns")]
        self.expect("rules of the pools", sorted(set(rules)),
                    sorted({b[2] or "none" for b in own if b[1] in ("PRESSURE", "EXHAUSTED")}))
        self.expect("rules of the namespace", sorted(notes),
                    sorted(b[2] for b in own if b[1] in ("NOTE", "HARMLESS")))
        self.expect("a pool is exhausted", status == 2, any(b[1] == "EXHAUSTED" for b in own))
        if self.status:
            self.expect("the exit status of why", status, self.status[0])
            self.expect("2 from pressure", status == 2, self.status[1] == 2)

    def connects(self):
        return [e for e in self.events if e["event"]["action"] == "connect"]

    def halves(self, second, walls):
        """Ports of the second half, and how often it was told that the first is full."""
        pools = [e["porttrace"].get("pool", {}) for e in self.events if e["event"]["outcome"] == "success"]
        self.expect("events of the second half", second, sum(p.get("half") == "second" for p in pools))
        self.expect("events that tell of the wall", walls, sum("wall" in p for p in pools))

    def failure(self, what, rule, cause, **wanted):
        """Events of this cause: each with its rule, and with what else is wanted of porttrace.holder."""
        found = [e for e in self.events if e["porttrace"].get("cause") == cause]
        if not found:
            self.wrong.append(f"no event of {what} has the cause {cause}")
        for event in found:
            self.expect(f"{what}: rule", rule, event["porttrace"].get("pool", {}).get("rule"))
            holder = event["porttrace"].get("holder", {})
            got = {"kind": holder.get("kind"), "pid": holder.get("process", {}).get("pid")}
            for key, value in wanted.items():
                self.expect(f"{what}: holder {key}", value, got[key])
        return found

    def says(self, *texts):
        """Below the events, for people."""
        for text in texts:
            if not re.search(text, self.told):
                self.wrong.append(f"'{text}' is not said of an event")

    def no_warning(self):
        """No event tells of a wall or a rule."""
        self.expect("warnings with an event", [], [e["event"]["action"] for e in self.events
                                                   if {"wall", "rule"} & set(e["porttrace"].get("pool", {}))])

    def silent(self):
        """Nothing is under pressure, and no rule fires."""
        self.why(0)
        for record in self.records:
            if record["netns"]["inode"] == self.load.get("netns"):
                self.expect(f"{pool_name(record)} severity", "ok", record["severity"])
                self.expect(f"{pool_name(record)} rule", None, record.get("rule"))

    def me(self, ports):
        return [(f"load-{self.name}", self.load.get("pid"), ports)]


D1, D2 = "connect 127.0.0.1 -> 127.0.0.1 8080", "connect 127.0.0.1 -> 127.0.0.1 8081"
FULL = {"used": 100, "cap": 100, "free": 0, "half_used": 50, "half_free": 0, "severity": "crit"}


def t01(c):
    c.app("8080", ok=100, error=ERRORS, even=50, first_odd=51)
    c.only(D1)
    c.pool(D1, **FULL, rule="P12", states={"established": 100}, owners=c.me(100), unattributed=0)
    c.why(2, "P12")
    c.halves(50, 1)
    # in an emulated machine the share of the time that looks may have can be spent
    walls = [pool for pool in (e["porttrace"].get("pool", {}) for e in c.connects())
             if pool.get("wall") and (not c.bpf or pool.get("capacity"))]
    c.expect("the capacity that the wall's event tells", [100] * len(walls), [pool.get("capacity") for pool in walls])
    for pool in walls:
        c.between("the used ports that it tells", 51, 100, pool.get("used"))
    for pool in [e["porttrace"]["pool"] for e in c.connects() if e["porttrace"].get("pool", {}).get("rule")]:
        c.expect("the states that the event tells", 100, pool["states"]["established"])
        c.expect("the owners that it tells", c.me(100), [(o["name"], o["pid"], o["ports"]) for o in pool["owners"]])
        c.expect("the range that it tells", (40000, 40099), (pool["range_low"], pool["range_high"]))
    if c.bpf:
        c.expect("failures for want of a port", ["port_exhausted"],
                 [e["porttrace"].get("cause") for e in c.connects() if e["event"]["outcome"] == "failure"])


def t02(c):
    c.app("8080", ok=100, error=ERRORS)
    c.app("8081", ok=100, error=ERRORS)
    c.app("other", ok=100, error=ERRORS)
    c.app("again", ok=0, error=ERRORS)
    other = "connect 127.0.0.1 -> 127.0.0.2 8080"
    c.only(D1, D2, other)
    for pool in (D1, D2, other):
        c.pool(pool, **FULL, rule="P12", owners=c.me(100))
    c.why(2, "P12")
    if re.search(r"\b300\b", c.why_text if c.status else "") or re.search(r"\b300\b", c.text):
        c.wrong.append("300 are said to be used")


def t03(c):
    c.app("bind", ok=100, error="EADDRINUSE", at_bind=True, even=50, first_odd=1)
    c.app("elsewhere", ok=0, error=ERRORS)
    c.only("bind 127.0.0.1")
    c.pool("bind 127.0.0.1", **FULL, rule="P03", states={"established": 100}, owners=c.me(100))
    c.blocked(100)
    c.netns(blocked_bound=0, blocked_phantom=0)
    c.why(2, "P03")


def t04(c):
    c.app("other", ok=100, error="EADDRINUSE", at_bind=True)
    c.only("bind 127.0.0.1", "bind 127.0.0.2")
    for pool in ("bind 127.0.0.1", "bind 127.0.0.2"):
        c.pool(pool, **FULL, rule="P03", owners=c.me(100))
    c.blocked(100)
    c.why(2, "P03")


def p04(c):
    c.app("neighbour", ok=5)
    c.app("bind", ok=95, error="EADDRINUSE")
    c.app("neighbour_more", ok=0, error=ERRORS)
    c.pool(D2, used=5, cap=5, free=0, severity="crit", rule="P04", owners=[("neighbour", c.facts.get("neighbour_pid"), 5)])
    c.pool("bind 127.0.0.1", used=100, cap=100, rule="P03",
           owners=[("load-P04", c.load.get("pid"), 95), ("neighbour", c.facts.get("neighbour_pid"), 5)])
    c.blocked(95)
    c.why(2, "P03", "P04")
    if "most of them of load-P04[" not in c.why_text:
        c.wrong.append("who has bound the ports is not said")


def t05(c):
    c.app("all", ok=600, error=ERRORS)
    pools = [f"connect 127.0.0.{s} -> 127.0.0.1 {p}" for s in (1, 2, 3) for p in (8080, 8081)]
    c.only(*pools)
    for pool in pools:
        c.pool(pool, **FULL, rule="P12", owners=c.me(100))
    c.netns(blocked_bind_connect=0, blocked_bound=0)
    c.why(2, "P12")


def t06(c):
    c.app("8080", ok=89, error=ERRORS)
    c.pool(D1, used=89, cap=89, free=0, severity="crit", rule="P12", owners=c.me(89))
    c.netns(reserved=11)
    c.why(2, "P12", notes=["P06"])


def t07(c):
    c.app("8080", ok=80, error=ERRORS, first_odd=31)
    c.pool(D1, used=80, cap=80, free=0, half_used=30, half_free=0, severity="crit", owners=c.me(80))
    c.netns(reserved=20)
    c.why(2, "P12", notes=["P06"])


def t07_half(c):
    c.app("8080", ok=30, error="", even=30)
    c.pool(D1, used=30, cap=80, free=50, half_used=30, half_free=0, severity="warn")
    c.why(1, "P12", notes=["P06"])


def t08(c):
    c.app("8080", ok=97, error=ERRORS)
    if not c.bpf and c.kernel < (6, 8):
        c.skip("T08: a socket that is bound and no more, without BPF before Linux 6.8")
        return
    c.pool(D1, used=97, cap=97, free=0, severity="crit", owners=c.me(97))
    c.netns(listening=2, blocked_bound=1, blocked_bind_connect=0)
    c.why(2, "P12")


def t09(c):
    c.app("bind", ok=100, error="EADDRINUSE", at_bind=True)
    c.app("connect", ok=0, error=ERRORS)
    if not c.bpf and c.kernel < (6, 8):
        c.skip("T09: sockets that are bound and no more, without BPF before Linux 6.8")
        return
    c.only("bind 127.0.0.1")
    c.pool("bind 127.0.0.1", **FULL, rule="P05", states={"bound": 100})
    c.netns(blocked_bound=100)
    c.why(2, "P05", notes=["P05"])
    if "ss -tan does not show them" not in c.why_text:
        c.wrong.append("that ss does not show them is not said")


def waits(c, pool, rule, owner, exited=False):
    c.app("close", ok=100)
    c.app("again", ok=0, error=ERRORS)
    got = c.pool(pool, **FULL, states={"time-wait": 100})
    c.pool(pool, rule=rule, owners=[owner], exited=[exited], unattributed=0)
    c.between("the next release", 1, 61500, got.get("next_release_ms"))
    c.why(2, rule)


def t10(c):
    waits(c, D1, "P01", c.me(100)[0])


def t10_exited(c):
    waits(c, D1, "P02", ("t10-client", c.facts.get("client_pid"), 100), exited=True)
    if f't10-client[{c.facts.get("client_pid")}] (exited)' not in c.why_text:
        c.wrong.append("that the owner has exited is not said")


def churned(c):
    """The pool's capacity each second: the fifth hundred after four seconds."""
    c.app("churn", ok=500)
    c.between("taken over", 400, 400, c.facts.get("recycled"))
    c.between("milliseconds", 3950, 10000, c.facts.get("ms"))


def t11(c):
    churned(c)
    c.between("TIME_WAIT", 95, 100, c.pool(D1, rule=None, severity="ok").get("states", {}).get("time-wait"))
    c.why(0, notes=["P23"])
    if "were borrowed from TIME_WAIT" not in c.why_text:
        c.wrong.append("that ports are borrowed is not said")


def t12(c):
    far = "connect 10.77.0.1 -> 10.77.0.2 8080"
    waits(c, far, "P14", c.me(100)[0])
    if "net.ipv4.tcp_tw_reuse=1" not in c.why_text or "now 2, loopback only" not in c.why_text:
        c.wrong.append("the remedy is not said")


def t12_reuse(c):
    churned(c)
    c.pool("connect 10.77.0.1 -> 10.77.0.2 8080", severity="ok", states={"time-wait": 100})
    c.silent()


def t13(c):
    waits(c, D1, "P13", c.me(100)[0])


def t14(c):
    c.app("8080", ok=5100, error="")
    c.silent()
    c.no_warning()


def t14_wide(c):
    c.app("8080", ok=9000, error="")
    c.only()
    c.why(0, notes=["P23"])


def t15(c):
    c.app("8080", ok=2000, error="")
    c.expect("aborted", 2000, c.facts.get("aborted"))
    c.only()
    c.why(1, notes=["P25"])
    if "data may be lost" not in c.why_text:
        c.wrong.append("what SO_LINGER 0 does is not said")


def t16(c):
    c.app("close", ok=100, error=ERRORS)
    c.pool(D1, **FULL, rule="P09", states={"fin-wait-2": 100}, owners=c.me(100))
    c.between("the first free port", 7900, 9900, c.end.get("free_after_ms"))
    c.why(2, "P09")


def t17(c):
    c.app("8080", ok=100)
    c.pool(D1, **FULL, rule="P08", states={"close-wait": 100}, owners=c.me(100))
    c.why(2, "P08")


def t18(c):
    c.app("syn", ok=100, error=ERRORS)
    c.pool("connect 127.0.0.1 -> 127.0.0.1 8090", **FULL, rule="P10", states={"syn-sent": 100}, owners=c.me(100))
    c.why(2, "P10")


def p19(c):
    c.app("syn", ok=5, error="")
    c.pool("connect 127.0.0.1 -> 127.0.0.1 8090", severity="ok")
    c.why(1, "P19")


def t19(c):
    c.app("connect", ok=100, error="EAGAIN")
    c.app("other", ok=0, error="EAGAIN")
    c.app("bind", ok=0, error="EADDRINUSE", at_bind=True)
    c.only("udp 0.0.0.0")
    c.pool("udp 0.0.0.0", used=100, cap=100, free=0, half_used=None, severity="crit", rule="P15", owners=c.me(100))
    c.why(2, "P15")
    if 'which is not "would block"' not in c.why_text:
        c.wrong.append("what EAGAIN means is not said")


def t20(c):
    c.app("connect", ok=91, error="EAGAIN")
    c.pool("udp 0.0.0.0", used=91, cap=91, free=0, rule="P15", owners=c.me(91))
    c.netns(reserved=10)
    c.why(2, "P15", notes=["P06"])


def t21(c):
    step = next((s for s in c.load.get("steps", [])), {})
    if step.get("ok", 0) > 10 or c.kernel < (6, 1) or step.get("error") != ERRORS:
        c.skip("T21: this kernel has no IP_LOCAL_PORT_RANGE")
        return
    c.app("8080", ok=10, error=ERRORS)
    c.pool(D1, used=10, cap=100)
    if not c.bpf:
        c.skip("T21: IP_LOCAL_PORT_RANGE of a socket, and so P12 for it: only the tracing backend sees the option")
        return
    pools = [e["porttrace"].get("pool", {}) for e in c.connects()]
    c.expect("halves of a socket's own range", set(), {p["half"] for p in pools if "half" in p})
    c.expect("verdicts on its pool", {("connect", 10, 10, "P12")},
             {tuple(p.get(k) for k in ("kind", "used", "capacity", "rule")) for p in pools if "used" in p})
    c.says(r"a range of its own \(IP_LOCAL_PORT_RANGE\) of 10 ports \(40010-40019\)")


def t22(c):
    six = "connect ::1 -> ::1 8080"
    c.app("ipv4", ok=100, error=ERRORS)
    c.app("ipv6", ok=100, error=ERRORS)
    c.only(D1, six)
    for pool in (D1, six):
        c.pool(pool, **FULL, rule="P12", owners=c.me(100))
    c.why(2, "P12")


def t23(c):
    c.app("seventy", ok=70)
    c.app("thirty", ok=30)
    c.app("third", ok=0, error=ERRORS)
    c.pool(D1, **FULL, rule="P12", unattributed=0, owners=[
        ("seventy", c.facts.get("seventy_pid"), 70), ("thirty", c.facts.get("thirty_pid"), 30)])
    c.why(2, "P12")


def t24(c):
    c.app("first", ok=100)
    c.app("bind", ok=100)
    if c.kernel >= (6, 18):
        c.app("second", ok=100, error=ERRORS)
        c.pool(D1, **FULL, rule="P12")
        c.pool(D2, **FULL, rule="P12")
        c.why(2, "P12")
        return
    c.app("second", ok=0, error=ERRORS)
    if not c.bpf:
        c.skip("T24: phantoms, without BPF")
        return
    c.pool(D1, used=100, cap=100, free=0)
    c.netns(blocked_phantom=100)
    c.why(2, "P12", notes=["P07"])


def t24_bound(c):
    c.app("second", ok=0, error=ERRORS)
    if not c.bpf and c.kernel < (6, 8):
        c.skip("T24-bound: sockets that are bound and no more, without BPF before Linux 6.8")
        return
    c.pool(D1, **FULL)
    c.pool("bind 127.0.0.5", **FULL, rule="P05", states={"bound": 100})
    c.netns(blocked_bound=100)
    c.why(2, "P04", "P05", notes=["P05"])


def t25(c):
    c.app("no_address", ok=0, error=ERRORS)
    c.app("not_local", ok=0, error=ERRORS, at_bind=True)
    c.app("clash", ok=1, error=ERRORS, at_bind=False)
    c.why(0)
    if not c.bpf:
        c.skip("T25: the causes no_address, not_local, tuple_clash (P20): the cgroup backend sees no errno of a bind, nor "
               "that nothing was sent for another reason than a lack of ports")
        return
    c.failure("the connect to ::1", "P20", "no_address")
    c.failure("the bind to 10.9.9.9", "P20", "not_local")
    c.failure("the second connect from 40003", "P20", "tuple_clash", kind="connection", pid=c.load.get("pid"))
    c.says(r"no source address for \[::1\] \(IPv6 is disabled in this namespace\)", r"10\.9\.9\.9 is on no interface",
           r"port 40003 is already connected to 127\.0\.0\.1:8080 \(connection, opened by load-T25\[")
    never_exhausted(c)


def t25_wait(c):
    c.app("clash", ok=1, error=ERRORS, at_bind=False)
    if not c.bpf:
        c.skip("T25-wait: a clash with TIME_WAIT (P20): the cgroup backend does not see why nothing was sent")
        return
    c.failure("the second connect from 40004", "P20", "tuple_clash", kind="time-wait", pid=c.load.get("pid"))
    c.says(r"port 40004 is already connected to 127\.0\.0\.1:8080 \(TIME_WAIT, \d+ s left, opened by load-T25-wait\[")
    never_exhausted(c)


def never_exhausted(c):
    c.expect("events of a lack of ports", [], [e for e in c.events if e["porttrace"].get("cause") == "port_exhausted"])
    c.expect("words of a lack of ports", [], re.findall(r".*exhausted.*", c.told, re.I))


def t26(c):
    c.app("8080", ok=50)
    c.app("stolen", ok=0, error="EADDRINUSE")
    c.app("stolen_reuse", ok=0, error="EADDRINUSE")
    c.pool(D1, used=50, cap=100, half_used=50, half_free=0, severity="warn")
    c.why(1, "P12")
    if not c.bpf:
        c.skip("T26: P21, a stolen service port: the cgroup backend sees no errno of a bind")
        return
    found = c.failure("the service's bind", "P21", "in_use", kind="connection", pid=c.load.get("pid"))
    c.expect("binds that failed", 2, len(found))
    c.says(r"port 40020 is in the ephemeral range 40000-40099, and the kernel gave it to a client \(connection, opened by load-T26\[",
           f"sudo nsenter -t {c.load.get('pid')} -n sysctl -w net.ipv4.ip_local_reserved_ports=39000-39004,40020\n",
           r"SO_REUSEADDR \(does not help: measured\)")


def t27(c):
    if not c.facts.get("snat"):
        c.skip("T27: P18, the NAT of this host: this kernel takes no nftables rule of SNAT")
        return
    c.app("8080", ok=10, error="")
    c.app("eleventh", ok=0, error="ETIMEDOUT")
    c.app("8081", ok=10, error="")
    # tcp_syn_linear_timeouts, since 6.5: one SYN more in the same time
    c.expect("translations that failed, of one connect", 3 if c.kernel >= (6, 5) else 2, c.facts.get("nat_failed"))
    c.pool(D1, severity="ok")
    c.why(1, "P18")


def p17(c):
    c.app("8080", ok=100, error=ERRORS)
    storms = [e for e in c.events if e["porttrace"].get("pool", {}).get("also") == "P17"]
    if not storms:
        c.wrong.append(f"P17 fires with no event, of {len(c.events)}")
    for event in storms:
        pool = event["porttrace"]["pool"]
        c.expect("the storm's pool", ("connect", 100, 100), tuple(pool.get(k) for k in ("kind", "used", "capacity")))
    c.says(r"\d+ attempts failed in the last 10 s")


def mixture(c):
    c.app("close_wait", ok=25)
    c.app("fin_wait", ok=25)
    c.app("established", ok=50, error=ERRORS)
    c.pool(D1, used=100, cap=100, free=0, severity="crit", rule=None, owners=c.me(100),
           states={"established": 50, "close-wait": 25, "fin-wait-2": 25})
    c.why(2, "none", notes=["P06"])
    for text in ("50 established, 25 close-wait, 25 fin-wait-2", "opened by load-mixture[", "CAUSE   not known",
                 f"50 established, and with load-mixture[{c.load.get('pid')}]: porttrace list -s established -D 8080"):
        if text not in c.why_text:
            c.wrong.append(f"why does not say '{text}'")


def t29(c):
    step = next((s for s in c.load.get("steps", [])), {})
    c.between("connections", 950, 1000, step.get("ok"))
    c.between("overflows", step.get("ok", 0) - 60, step.get("ok", 0) - 20, c.facts.get("overflow"))
    c.why(1, notes=["P24"])


def t30(c):
    c.app("outer", ok=100, error=ERRORS)
    c.app("inner", ok=30, error="")
    c.pool(D1, **FULL, range=(40000, 40099))
    c.pool(D1, netns=c.facts.get("inner_netns"), used=30, cap=28232, severity="ok", rule=None, range=(32768, 60999),
           owners=[("inner", c.facts.get("inner_pid"), 30)])
    c.status = None  # of all namespaces
    c.why(2, "P12")


def t31(c):
    c.app("8080", ok=160, error="", even=160)
    c.silent()
    c.no_warning()
    c.halves(0, 0)


def p11(c):
    c.app("8080", ok=14200, even=14116, first_odd=14117)
    c.pool(D1, used=14200, cap=28232, half_used=14116, half_free=0, severity="warn", rule="P11", owners=c.me(14200))
    c.why(1, "P11")


def p16(c):
    c.app("8080", ok=10050, even=10000, first_odd=10001)
    c.pool(D1, cap=20000, half_used=10000, half_free=0, rule="P16")
    c.why(1, "P16")


def p22(c):
    c.app("self", ok=1)
    c.why(1, notes=["P22"])


def healthy(c):
    for step, ok in (("connect", 10), ("udp", 6), ("bind", 5), ("closing", 5), ("bound", 1)):
        c.app(step, ok=ok, error="")
    c.silent()
    n = 0
    while os.path.exists(f"{c.directory}/healthy.{n + 1}.pressure"):
        n += 1
        c.answers(f"healthy.{n}")
        c.silent()
    c.no_warning()
    c.between("answers in a row", 2, 1000, n)


SCENARIOS = {
    "T01": t01, "T02": t02, "T03": t03, "T04": t04, "P04": p04, "T05": t05, "T06": t06, "T07": t07,
    "T07-half": t07_half, "T08": t08, "T09": t09, "T10": t10, "T10-exited": t10_exited, "T11": t11, "T12": t12,
    "T12-reuse": t12_reuse, "T13": t13, "T14": t14, "T14-wide": t14_wide, "T15": t15, "T16": t16, "T17": t17,
    "T18": t18, "P19": p19, "T19": t19, "T20": t20, "T21": t21, "T22": t22, "T23": t23, "T24": t24,
    "T24-bound": t24_bound, "T25": t25, "T25-wait": t25_wait, "T26": t26, "T27": t27, "T29": t29, "T30": t30, "T31": t31, "P11": p11, "P16": p16,
    "P17": p17, "mixture": mixture, "P22": p22, "healthy": healthy,
}

def check(directory, name, bpf, release):
    case = Case(directory, name, bpf, release)
    if not case.load.get("steps"):
        case.wrong.append(f"the load told nothing: {case.errors.strip()[:100]}")
    else:
        SCENARIOS[name](case)
        if case.errors:
            case.wrong.append(f"on standard error: {case.errors.strip()[:200]}")
    return case


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("--no-bpf", action="store_true")
    args = parser.parse_args()
    release = read(args.directory + "/release") or "0.0"
    made = [n for n in SCENARIOS if os.path.exists(f"{args.directory}/{n}.load")]
    count = collections.Counter()
    for name in made:
        case = check(args.directory, name, not args.no_bpf, release)
        count["failed" if case.wrong else "passed"] += 1
        print(f"FAIL {name}: {'; '.join(case.wrong)}" if case.wrong else f"PASS {name}")
        for what in case.skipped:
            print(f"SKIP {what}")
    print(f"{count['passed']} passed, {count['failed']} failed")
    sys.exit(1 if count["failed"] or not made else 0)


if __name__ == "__main__":
    main()
