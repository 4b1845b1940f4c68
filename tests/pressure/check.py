#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What porttrace pressure and why said of each scenario, against its numbers and against what the program saw.

    check.py DIR [--no-bpf]     DIR as collect.sh leaves it

Prints PASS, FAIL and SKIP lines. SKIP: what this kernel, or this way of looking, cannot show, by name.
"""
import argparse
import collections
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
        own = os.path.exists(f"{directory}/{name}.pressure")
        said = f"{directory}/{name if own else 'all'}"
        self.records = [json.loads(s) for s in read(said + ".pressure").splitlines()]
        self.blocks = list(why_blocks(read(said + ".why")))
        self.why_text, self.text = read(said + ".why"), read(f"{directory}/{name}.text")
        self.errors = read(said + ".pressure.err") + read(said + ".why.err") + read(f"{directory}/{name}.err")
        status = read(said + ".why.status"), read(said + ".pressure.status")
        self.status = [int(s) for s in status] if own and all(status) else None
        self.seen_rules = set()

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
    c.silent()


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


def t14_wide(c):
    c.app("8080", ok=9000, error="")
    c.only()
    c.why(0, notes=["P23"])


def t15(c):
    c.app("8080", ok=2000, error="")
    c.only()
    c.silent()


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
    c.skip("T21: IP_LOCAL_PORT_RANGE of a socket, which no interface shows, and so P12 for it")


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
    c.silent()
    c.skip("T25: that the cause is no_address, not_local, clash (P20): pressure counts no failed calls")


def t26(c):
    c.app("8080", ok=50)
    c.app("stolen", ok=0, error="EADDRINUSE")
    c.app("stolen_reuse", ok=0, error="EADDRINUSE")
    c.pool(D1, used=50, cap=100, half_used=50, half_free=0, severity="warn")
    c.why(1, "P12")
    c.skip("T26: P21, a stolen service port: pressure counts no failed calls")


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


SCENARIOS = {
    "T01": t01, "T02": t02, "T03": t03, "T04": t04, "P04": p04, "T05": t05, "T06": t06, "T07": t07,
    "T07-half": t07_half, "T08": t08, "T09": t09, "T10": t10, "T10-exited": t10_exited, "T11": t11, "T12": t12,
    "T12-reuse": t12_reuse, "T13": t13, "T14": t14, "T14-wide": t14_wide, "T15": t15, "T16": t16, "T17": t17,
    "T18": t18, "P19": p19, "T19": t19, "T20": t20, "T21": t21, "T22": t22, "T23": t23, "T24": t24,
    "T24-bound": t24_bound, "T25": t25, "T26": t26, "T29": t29, "T30": t30, "T31": t31, "P11": p11, "P16": p16,
    "P22": p22, "healthy": healthy,
}

# What no scenario makes here, and why.
ABSENT = {
    "T27": "T27: P18, the NAT of this host: needs nft",
    "P17": "P17, a storm: pressure counts no failed calls",
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
    for what in ABSENT.values():
        print(f"SKIP {what}")
    print(f"{count['passed']} passed, {count['failed']} failed")
    sys.exit(1 if count["failed"] or not made else 0)


if __name__ == "__main__":
    main()
