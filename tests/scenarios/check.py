#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Compare what the workload recorded with what porttrace showed.

Every expectation must be matched by exactly one event of the same process, and every event of
the workload's processes by an expectation. A key which an expectation lacks must be absent from
the event too, unless the expectation names it in "free": then the program cannot know it.
"""
import argparse
import calendar
import collections
import errno as errnos
import ipaddress
import json
import re
import sys
import time


# --- What a cgroup backend cannot see -------------------------------------------------------
# name, sentence, which expectations, fields that are not compared, presence of the event:
# "must" (it is shown) or "maybe" (it may be missing; if it is shown, it has to be right).

Blind = collections.namedtuple("Blind", "name sentence applies fields presence")

ENDPOINTS = ("direction", "type", "local.ip", "local.port", "remote.ip", "remote.port")

CGROUP_BLIND = (
    Blind("bind_errno",
          "A bind() that fails runs bind4/6 but not post_bind; no errno is told.",
          lambda x: x["action"] == "bind" and x["outcome"] == "failure"
          and x.get("how") != "autobind",
          ("errno",), "must"),
    Blind("bind_without_port",
          "IP_BIND_ADDRESS_NO_PORT runs no post_bind, so success looks like failure.",
          lambda x: x.get("note") == "bind_without_port",
          ("outcome", "errno", "how"), "must"),
    Blind("autobind_failure",
          "When sendto() or connect() finds no port for a UDP socket, no program runs.",
          lambda x: x["action"] == "bind" and x["outcome"] == "failure"
          and x.get("how") == "autobind",
          (), "maybe"),
    Blind("autobind_by_connect",
          "The port that a UDP connect() takes is told by no program, at best at close.",
          lambda x: x["action"] == "bind" and x.get("by") == "connect",
          ("local.ip", "local.port", "type"), "maybe"),
    Blind("bind0_failure",
          "A bind() to port 0 without post_bind failed, or has left the choice to connect().",
          lambda x: x["action"] == "bind" and x["outcome"] == "failure"
          and x.get("how") == "bind0",
          ("outcome", "errno"), "must"),
    Blind("listen_backlog",
          "The backlog is in no sockops field.",
          lambda x: x["action"] == "listen" and x["outcome"] == "success",
          ("backlog",), "must"),
    Blind("connect_no_answer",
          "bpf_sock_ops has no errno: no answer, unreachable and disconnected look alike.",
          lambda x: x["action"] == "connect" and x["transport"] == "tcp"
          and x["outcome"] == "failure" and not x.get("sync")
          and x.get("errno") != "ECONNREFUSED",
          ("errno", "reason"), "must"),
    Blind("listen_failure",
          "TCP_LISTEN_CB runs after success only.",
          lambda x: x["action"] == "listen" and x["outcome"] == "failure",
          (), "maybe"),
    Blind("sync_connect_errno",
          "A TCP connect() refused by the call itself runs connect4/6 and then nothing.",
          lambda x: x["action"] == "connect" and x["transport"] == "tcp" and x.get("sync"),
          ("errno", "local.ip", "local.port"), "must"),
    Blind("deferred_connect",
          "The port of a TCP_FASTOPEN_CONNECT is told with its SYN, so not if nothing was written.",
          lambda x: x["action"] == "connect" and x.get("note") == "unsent",
          ("local.ip", "local.port"), "must"),
    Blind("deferred_close",
          "A port that was never told is not known at close either.",
          lambda x: x["action"] == "close" and x.get("note") == "unsent",
          ENDPOINTS, "maybe"),
    Blind("udp_connect_result",
          "connect4/6 runs before a UDP connect() and nothing after: no result, no local port.",
          lambda x: x["action"] == "connect" and x["transport"] == "udp",
          ("outcome", "errno", "local.ip", "local.port"), "must"),
    Blind("udp_close_port",
          "The port that a UDP connect() took is not known at close either.",
          lambda x: x["action"] == "close" and x.get("note") == "udp_autobound_by_connect",
          ("local.ip", "local.port"), "must"),
    Blind("udp_close_after_failed_connect",
          "Whether the UDP connect() worked is not known, so neither is whose peer it had.",
          lambda x: x["action"] == "close" and x.get("note") == "udp_connect_failed",
          ENDPOINTS, "must"),
    Blind("accept_failure",
          "An accept() that fails runs no program.",
          lambda x: x["action"] == "accept" and x["outcome"] == "failure",
          (), "maybe"),
    Blind("broken_connection",
          "No hook tells the error that ended a connection before it was closed.",
          lambda x: x["action"] == "close" and x["outcome"] == "failure" and x.get("errno")
          and "cookie" not in x.get("free", ()),
          ("outcome", "errno"), "must"),
    Blind("never_accepted",
          "A connection that nobody accepted has no socket, and no hook where its listener ends.",
          lambda x: x["action"] == "close" and "cookie" in x.get("free", ()),
          ("outcome", "errno"), "maybe"),
    Blind("socket_stays_open",
          "A listener that is shut down, and connect(AF_UNSPEC), run no program.",
          lambda x: x["action"] == "close" and x.get("cause") in ("shut_down", "disconnected"),
          ("duration", "outcome"), "maybe"),
    Blind("state_after",
          "The close is told when the FIN's exchange is over, with what it left by then.",
          lambda x: x["action"] == "close" and x.get("state") == "closing",
          ("state",), "must"),
    Blind("udp_connect_address",
          "The local address that a UDP connect() chooses is told by no program.",
          lambda x: x["action"] == "close" and x["transport"] == "udp" and x["role"] == "egress",
          ("local.ip",), "must"),
    Blind("reset_of_half_closed",
          "FIN_WAIT2 ends in CLOSE by the peer's FIN as by a reset of one's own.",
          lambda x: x["action"] == "close" and x.get("closed_by") == "local" and x.get("state") == "closed",
          ("state",), "must"),
    Blind("holder_late",
          "A bind that failed is told at the socket's next use: the port may have another holder by then.",
          lambda x: x["action"] in ("bind", "listen") and x.get("holder"),
          ("holder",), "must"),
    Blind("older_socket",
          "Of a socket made before the start only the close is seen, without its ports.",
          lambda x: x.get("older"),
          ENDPOINTS, "maybe"),
)

# A backend without the kernel's word for these asks /proc, where a short-lived process may be
# gone; what it does say has to be right.
OPTIONS = ("reuseaddr", "reuseport", "no_port", "freebind", "transparent", "v6only", "device",
           "mark")
BYTES = ("local.bytes", "remote.bytes")
CREATOR = ("creator.pid", "creator.name")

# What stands in an expectation under the name of the event's field.
PLAIN = ("outcome", "tid", "ppid", "uid", "comm", "transport", "type", "how", "errno", "reason",
         "cookie", "netns", "backlog", "cause", "fd", "closed_by", "state", "exit", "mptcp",
         "iana", "vpid", "port_free") + OPTIONS

FIELDS = PLAIN + ("direction", "local.ip", "local.port", "remote.ip", "remote.port",
                  "requested.ip", "requested.port") + BYTES + CREATOR

# One word of an expectation's "free" for several fields.
GROUPS = {"options": OPTIONS, "bytes": BYTES, "creator": CREATOR, "holder": ("holder",)}

# What a cgroup program cannot see, or is not asked: compared only where it is told.
SOFT = {"tracing": {"ppid"},
        "cgroup": {"ppid", "netns", "comm", "cause", "fd", "closed_by", "state", "exit", "mptcp",
                   "iana", "vpid", "port_free", "holder"}
        | set(OPTIONS) | set(BYTES) | set(CREATOR)}

# Of the pool that the kernel picks a port from; see Expectation.pool_differences and wall_problems.
PICKED = ("bind0", "connect", "autobind")
FALL = 10  # a tenth of the range, all in the first half: the pool has fallen below

MAX_LINE = 4096
SECOND = 1_000_000_000


# --- Events ---------------------------------------------------------------------------------

def dig(obj, path):
    for key in path.split("."):
        obj = obj.get(key) if isinstance(obj, dict) else None
    return obj


def canonical_ip(text):
    try:
        return str(ipaddress.ip_address(text)) if text is not None else None
    except ValueError:
        return text


def number(value):
    try:
        return int(value)
    except (TypeError, ValueError):
        return value


def timestamp_ns(text):
    m = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{9})Z", text or "")
    if not m:
        return None
    return calendar.timegm(time.strptime(m[1], "%Y-%m-%dT%H:%M:%S")) * SECOND + int(m[2])


class Event:
    """One line of porttrace, flat. src/dst become local/remote once the role is known."""

    PATHS = {
        "action": "event.action", "outcome": "event.outcome", "reason": "event.reason",
        "sequence": "event.sequence", "duration": "event.duration",
        "pid": "process.pid", "tid": "process.thread.id", "ppid": "process.parent.pid",
        "comm": "process.name", "uid": "user.id", "transport": "network.transport",
        "type": "network.type", "direction": "network.direction", "errno": "error.type",
        "errno_number": "error.code", "how": "porttrace.assignment.how",
        "requested.ip": "porttrace.assignment.requested.ip",
        "requested.port": "porttrace.assignment.requested.port",
        "cookie": "porttrace.socket.cookie", "netns": "porttrace.socket.netns",
        "backlog": "porttrace.socket.backlog", "cause": "porttrace.cause",
        "fd": "porttrace.socket.fd", "closed_by": "porttrace.socket.closed_by",
        "state": "porttrace.socket.state", "exit": "porttrace.exit",
        "mptcp": "porttrace.socket.mptcp", "iana": "network.iana_number",
        "vpid": "process.vpid", "port_free": "porttrace.port.free",
        "creator.pid": "porttrace.creator.pid", "creator.name": "porttrace.creator.name",
        "holder": "porttrace.holder", "confidence": "porttrace.process.confidence",
        "pool": "porttrace.pool.kind", "half": "porttrace.pool.half",
        "search_us": "porttrace.pool.search_us", "wall": "porttrace.pool.wall",
        "src.bytes": "source.bytes", "dst.bytes": "destination.bytes",
        **{name: f"porttrace.socket.{name}" for name in OPTIONS},
        "src.ip": "source.ip", "src.port": "source.port",
        "dst.ip": "destination.ip", "dst.port": "destination.port",
    }

    def __init__(self, obj):
        self.f = {name: dig(obj, path) for name, path in self.PATHS.items()}
        self.f["uid"] = number(self.f["uid"])
        for name in ("src.ip", "dst.ip", "requested.ip"):
            self.f[name] = canonical_ip(self.f[name])
        self.time = timestamp_ns(obj.get("@timestamp"))
        self.match = None

    def get(self, field, role):
        """Port 0 of an endpoint says the same as no port; of a request it is a request."""
        end, _, part = field.partition(".")
        if end not in ("local", "remote"):
            return self.f.get(field)
        local = "src" if role == "egress" else "dst"
        side = local if end == "local" else {"src": "dst", "dst": "src"}[local]
        value = self.f[f"{side}.{part}"]
        return None if part == "port" and value == 0 else value

    def __str__(self):
        f = self.f
        src = f"{f['src.ip']}:{f['src.port']} -> " if f["src.ip"] else ""
        return (f"#{f['sequence']} {f['action']} {f['outcome']} {f['errno'] or ''} pid {f['pid']} "
                f"{f['transport']} {src}{f['dst.ip']}:{f['dst.port']} how {f['how']} "
                f"cookie {f['cookie']}")


def load_events(path, problems):
    events, last = [], 0
    with open(path, "rb") as file:
        for n, line in enumerate(file, 1):
            try:
                obj = json.loads(line)
                assert isinstance(obj, dict)
            except (ValueError, AssertionError):
                problems.append(f"line {n} is no JSON object: {line[:80]!r}")
                continue
            problems += [f"line {n}: {p}" for p in line_problems(line, obj, last)]
            last = dig(obj, "event.sequence") or last + 1
            if dig(obj, "event.kind") == "event":
                events.append(Event(obj))
    return events


def line_problems(line, obj, last):
    if not line.endswith(b"\n"):
        yield "does not end with a newline"
    if len(line) > MAX_LINE:
        yield f"{len(line)} bytes, more than {MAX_LINE}"
    if dig(obj, "event.sequence") != last + 1:
        yield f"event.sequence: expected {last + 1}, got {dig(obj, 'event.sequence')}"
    if timestamp_ns(obj.get("@timestamp")) is None:
        yield f"@timestamp {obj.get('@timestamp')!r} is not RFC 3339 with 9 digits and Z"
    if not dig(obj, "ecs.version"):
        yield "no ecs.version"
    if dig(obj, "event.module") != "porttrace":
        yield f"event.module {dig(obj, 'event.module')!r}"
    if dig(obj, "porttrace.schema") != 1:
        yield f"porttrace.schema {dig(obj, 'porttrace.schema')!r}"
    if dig(obj, "event.kind") == "event":
        yield from error_problems(obj)


def error_problems(obj):
    error = obj.get("error")
    if error is None:
        return
    if dig(obj, "event.outcome") != "failure":
        yield f"error in an event with outcome {dig(obj, 'event.outcome')}"
    number_of = getattr(errnos, str(error.get("type")), None)
    if number_of is None or error.get("code") != str(number_of) or not error.get("message"):
        yield f"error {error} is not one errno"


# --- Expectations ---------------------------------------------------------------------------

class Expectation:
    def __init__(self, obj, backend):
        self.x = obj
        self.role = obj["role"]
        self.blind = {field for word in obj.get("free", ()) for field in GROUPS.get(word, (word,))}
        self.presence = "must"
        if backend == "cgroup":
            self.blind |= set(obj.get("blind", ()))
            self.apply_blind()
        self.f = self.flatten()
        self.match = None

    def apply_blind(self):
        for blind in CGROUP_BLIND:
            if blind.applies(self.x):
                self.blind |= set(blind.fields)
                if blind.presence == "maybe":
                    self.presence = "maybe"

    def flatten(self):
        x = self.x
        f = {k: x.get(k) for k in PLAIN}
        f["local.bytes"] = x.get("bytes", {}).get("local")
        f["remote.bytes"] = x.get("bytes", {}).get("remote")
        f["creator.pid"] = x.get("creator", {}).get("pid")
        f["creator.name"] = x.get("creator", {}).get("name")
        f["direction"] = None if self.role == "none" else self.role
        for end in ("local", "remote", "requested"):
            f[f"{end}.ip"] = canonical_ip(x.get(end, {}).get("ip"))
            f[f"{end}.port"] = x.get(end, {}).get("port")
        return f

    def differences(self, ev, backend):
        """[(field, expected, got)]; nothing of what is blind or free."""
        out = []
        for field in FIELDS:
            if field in self.blind or (field == "reason" and not self.f["reason"]):
                continue
            want, got = self.f[field], ev.get(field, self.role)
            if want != got and not self.excused(field, got, backend):
                out.append((field, want, got))
        return (out + self.duration_differences(ev) + self.reason_differences(ev)
                + self.holder_differences(ev, backend) + self.pool_differences(ev, backend))

    def reason_differences(self, ev):
        """A cause is for programs; people get words beside it."""
        return [("reason", "words", None)] if ev.f["cause"] and not ev.f["reason"] else []

    def holder_differences(self, ev, backend):
        """Who holds the port, when it is in use; else nothing is said."""
        want, got = self.x.get("holder"), ev.f["holder"]
        if "holder" in self.blind or (got is None and "holder" in SOFT[backend]):
            return []
        if want is None or got is None:
            return [("holder", want, got)] if want or got else []
        said = {"kind": got.get("kind"), "pid": dig(got, "process.pid"),
                "name": dig(got, "process.name"), "uid": number(dig(got, "user.id")),
                "exited": bool(got.get("exited")), "ip": canonical_ip(got.get("ip"))}
        if said["exited"] and want.get("pid") != self.x["pid"]:
            said["exited"] = want.get("exited")  # another process may end before it is looked at
        out = [(f"holder.{k}", want.get(k), v) for k, v in said.items() if want.get(k) != v]
        most, left = want.get("expires"), got.get("expires")
        if (most is None) != (left is None) or (most and not 0 <= left <= most):
            out.append(("holder.expires", f"0..{most}" if most else None, left))
        return out

    def pool(self, ev):
        """The kind of pool. A bind to port 0 of whose result nothing is known may have left the choice to connect."""
        if self.x.get("how") not in PICKED:
            return None
        if self.x["transport"] == "udp":
            return "udp"
        if self.x["how"] == "bind0" and ev.f["outcome"] == "unknown":
            return None
        return "connect" if self.x["how"] == "connect" else "bind"

    def span(self, backend):
        """The range that the kernel picked from; the socket's own is told by no hook of the cgroup backend."""
        return (backend == "tracing" and self.x.get("own_range")) or self.x.get("range")

    def half(self, kind, backend):
        """By the parity of the port that getsockname() told, and of the range's low end in /proc."""
        port, span = self.f["local.port"], self.span(backend)
        if kind not in ("connect", "bind") or not port or not span or not span[0] <= port <= span[1]:
            return None
        if kind == "connect" and self.x.get("own_range") and backend == "tracing":
            return None
        same = (port - span[0]) % 2 == 0
        return "first" if span[0] == span[1] or same == (kind == "connect") else "second"

    def pool_differences(self, ev, backend):
        if "how" in self.blind:
            return []
        kind, out = self.pool(ev), []
        if ev.f["pool"] != kind:
            out.append(("pool", kind, ev.f["pool"]))
        half = self.half(kind, backend)
        soft = backend == "cgroup" and ev.f["half"] is None and not self.x["scenario"].startswith("pool_")
        if "local.port" not in self.blind and self.x.get("range") and ev.f["half"] != half and not soft:
            out.append(("half", half, ev.f["half"]))
        # Without the options a bind does not say how the kernel went through the range.
        if self.x.get("wall") and not ev.f["wall"] and (backend == "tracing" or kind == "connect"):
            out.append(("wall", True, ev.f["wall"]))
        return out + self.search_differences(ev, backend)

    def search_differences(self, ev, backend):
        """The kernel looked wherever it gave a port or had none; no longer than the call took."""
        got, x = ev.f["search_us"], self.x
        looked = backend == "tracing" and x.get("how") in PICKED and (
            x["outcome"] == "success" or x.get("cause") in ("port_exhausted", "refused", "timed_out"))
        if not looked:
            may = backend == "tracing" and x.get("how") in PICKED
            return [] if got is None or may else [("search_us", None, got)]
        took = ev.f["duration"] if x["action"] == "connect" else None
        if not isinstance(got, int) or got <= 0 or (took and (got - 1) * 1000 > took):
            return [("search_us", f"1..{took}", got)]
        return []

    def excused(self, field, got, backend):
        if field == "state" and got in self.states_under_way():
            return True
        if field == "cookie" and self.x.get("cookie_maybe"):
            return got in (None, 0)
        return field in SOFT[backend] and got is None

    def states_under_way(self):
        """The last ACK of a connection that the peer closed first may come after close() has returned."""
        orderly = self.x["outcome"] == "success" and self.x.get("closed_by") == "remote"
        return ("closing",) if orderly and self.x.get("state") == "closed" else ()

    def duration_differences(self, ev):
        """A latency or a life cannot be longer than the program itself measured."""
        took, got = self.x.get("took"), ev.f["duration"]
        if took is None or "duration" in self.blind:
            return []
        if got is None:
            known = self.x["action"] == "connect" and self.x["outcome"] == "success"
            return [("duration", f"<= {took}", None)] if known else []
        # The record of a close is written before close() is called.
        slack = took // 5 + SECOND if self.x["action"] == "close" else 2_000_000
        if not isinstance(got, int) or not 0 <= got <= took + slack:
            return [("duration", f"0..{took}", got)]
        return []

    def __str__(self):
        x, f = self.x, self.f
        remote = f" remote {f['remote.ip']}:{f['remote.port']}" if x.get("remote") else ""
        return (f"{x['action']} {x['outcome']} {x.get('errno', '')} pid {x['pid']} "
                f"{x['transport']} local {f['local.ip']}:{f['local.port']}{remote} "
                f"how {x.get('how')} cookie {x.get('cookie')}")


def load_expectations(path, backend):
    expectations, scenarios, pids = [], {}, {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            obj = json.loads(line)
            if obj.get("meta") == "process":
                pids[obj["pid"]] = obj["scenario"]
            elif obj.get("meta") == "scenario":
                scenarios[obj["scenario"]] = obj
            else:
                expectations.append(Expectation(obj, backend))
                pids.setdefault(obj["pid"], obj["scenario"])
    return expectations, scenarios, pids


# --- Matching -------------------------------------------------------------------------------

def candidates(exp, events):
    x = exp.x
    for ev in events:
        if ev.match or ev.f["pid"] != x["pid"] or ev.f["action"] != x["action"]:
            continue
        if "cookie" in exp.blind:  # then the peer says which connection it is
            if ev.get("remote.port", exp.role) == exp.f["remote.port"]:
                yield ev
        elif ev.f["cookie"] in (None, 0, x["cookie"]):
            yield ev


def pair(exp, ev):
    exp.match, ev.match = ev, exp


def match_all(expectations, events, backend):
    """Exact pairs first; then, to say which field differs, the nearest of what is left."""
    for exp in expectations:
        for ev in candidates(exp, events):
            if not exp.differences(ev, backend):
                pair(exp, ev)
                break
    for exp in expectations:
        left = [] if exp.match else list(candidates(exp, events))
        if left:
            pair(exp, min(left, key=lambda ev: len(exp.differences(ev, backend))))
    for exp in expectations:
        left = [] if exp.match else near(exp, events)
        if left:
            pair(exp, min(left, key=lambda ev: len(exp.differences(ev, backend))))


def near(exp, events):
    """An event of another process or cookie that else looks like this one."""
    return [ev for ev in events if not ev.match and ev.f["action"] == exp.x["action"]
            and exp.x["cookie"] == ev.f["cookie"] and "cookie" not in exp.blind]


def expectation_problems(exp, backend):
    if exp.match is None:
        return [f"missing: {exp}"] if exp.presence == "must" else []
    diffs = exp.differences(exp.match, backend)
    if exp.match.f["pid"] != exp.x["pid"]:
        diffs.insert(0, ("pid", exp.x["pid"], exp.match.f["pid"]))
    return [f"{exp.x['action']} #{exp.match.f['sequence']}: {field}: "
            f"expected {want!r}, got {got!r}" for field, want, got in diffs]


def order_problems(expectations):
    """Within one socket the events come in the order of the calls."""
    sockets = collections.defaultdict(list)
    for exp in expectations:
        if exp.match and "cookie" not in exp.blind:
            sockets[exp.x["cookie"]].append(exp)
    for exps in sockets.values():
        exps.sort(key=lambda e: e.x["at"])
        for a, b in zip(exps, exps[1:]):
            if a.x["at"] < b.x["at"] and a.match.f["sequence"] > b.match.f["sequence"]:
                yield b.x["scenario"], (f"order: {a.x['action']} #{a.match.f['sequence']} must "
                                        f"come before {b.x['action']} #{b.match.f['sequence']}")


def scenario_of(ev, expectations, scenarios, pids, main_pid):
    """Which scenario an extra event belongs to: by its socket, its process, its time."""
    for exp in expectations:
        if ev.f["cookie"] and exp.x["cookie"] == ev.f["cookie"] and "cookie" not in exp.blind:
            return exp.x["scenario"]
    if ev.f["pid"] != main_pid and ev.f["pid"] in pids:
        return pids[ev.f["pid"]]
    during = [s for s in scenarios.values() if ev.time and s["start"] <= ev.time <= s["end"]]
    during.sort(key=lambda s: s["end"] - s["start"])
    return during[0]["scenario"] if during else "-"


def time_problems(exp, scenarios, backend):
    window = scenarios.get(exp.x["scenario"])
    if backend != "tracing" or not window or exp.match is None or exp.match.time is None:
        return []
    if window["start"] - SECOND <= exp.match.time <= window["end"] + SECOND:
        return []
    return [f"{exp.x['action']} #{exp.match.f['sequence']}: its time is not the scenario's"]


# --- Report ---------------------------------------------------------------------------------

def closing_problems(path, shown):
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    m = re.search(r"(\d+) events shown, (\d+) seen, (\d+) lost", text)
    if not m:
        return ["no closing line on stderr"]
    said, seen, lost = map(int, m.groups())
    out = [f"{said} events shown, but {shown} lines"] if said != shown else []
    out += [f"{lost} events lost"] if lost else []
    out += [f"{seen} seen is less than shown and lost"] if seen < said + lost else []
    return out


def pool_key(ev, span):
    f, connect = ev.f, ev.f["pool"] == "connect"
    return (f["netns"], f["pool"], f["device"], span, f["src.ip" if connect else "dst.ip"],
            connect and (f["dst.ip"], f["dst.port"]))


def is_past_first(ev, span):
    """With SO_REUSEADDR, or where that is not known, only the upper part of the range shows it for a bind."""
    if ev.f["half"] != "second":
        return False
    middle, size = span[0] + (span[1] - span[0] + 1) // 4 * 2, span[1] - span[0] + 1
    if ev.f["pool"] == "connect" or ev.f["reuseaddr"] is False or size < 4:
        return True
    return ev.f["dst.port"] >= middle


def wall_problems(events, backend):
    """Of each pool the first event past the first half says so, and none else until it has fallen below."""
    up, row = set(), collections.Counter()
    for ev in sorted((e for e in events if e.match), key=lambda e: e.f["sequence"]):
        span, half = ev.match.span(backend), ev.f["half"]
        if not span or not half:
            continue
        key, size = pool_key(ev, tuple(span)), span[1] - span[0] + 1
        row[key] = row[key] + 1 if half == "first" else 0
        if row[key] * FALL >= size:
            up.discard(key)
        want = is_past_first(ev, span) and key not in up
        if want:
            up.add(key)
        if bool(ev.f["wall"]) != want or want != ("wall: " in (ev.f["reason"] or "")):
            yield ev.match.x["scenario"], f"wall: expected {want}, got {ev.f['wall']} {ev.f['reason']!r}: {ev}"


def own_namespaces(expectations, main_pid):
    """Network namespaces in which nobody else is: there the kernel's own threads are judged too."""
    shared = {exp.x["netns"] for exp in expectations if exp.x["pid"] == main_pid}
    return {exp.x["netns"] for exp in expectations} - shared


def is_judged(ev, expectations):
    """A release may come a minute later, and of another socket's port: only of those expected."""
    return ev.f["action"] != "release" or any(exp.x["action"] == "release" and
                                              exp.x["cookie"] == ev.f["cookie"]
                                              for exp in expectations)


def judge(expectations, events, scenarios, pids, backend):
    """{scenario: [problem, ...]} for everything that is wrong."""
    problems = collections.defaultdict(list)
    match_all(expectations, events, backend)
    for exp in expectations:
        problems[exp.x["scenario"]] += expectation_problems(exp, backend)
        problems[exp.x["scenario"]] += time_problems(exp, scenarios, backend)
    for scenario, text in order_problems(expectations):
        problems[scenario].append(text)
    for scenario, text in wall_problems(events, backend):
        problems[scenario].append(text)
    main_pid = next(iter(pids), None)
    own = own_namespaces(expectations, main_pid)
    for ev in events:
        ours = ev.f["pid"] in pids or ev.f["netns"] in own
        if ev.match is None and ours and is_judged(ev, expectations):
            name = scenario_of(ev, expectations, scenarios, pids, main_pid)
            problems[name].append(f"extra: {ev}")
    for name, s in scenarios.items():
        if s["status"] == "bad":
            problems[name].append(f"the workload itself failed: {s['reason']}")
    for exp in expectations:
        if scenarios and exp.x["scenario"] not in scenarios:
            problems[exp.x["scenario"]].append("the workload did not end this scenario")
            scenarios[exp.x["scenario"]] = {"status": "bad", "start": 0, "end": 0}
    return problems


def report(names, scenarios, problems, counts):
    results = {}
    for name in names:
        found = [p for p in problems.get(name, ()) if p]
        skipped = scenarios.get(name, {}).get("status") == "skip" and not counts[name]
        results[name] = "fail" if found else "skip" if skipped else "pass"
        if found:
            print(f"FAIL {name}: {'; '.join(found[:6])}"
                  + (f"; and {len(found) - 6} more" if len(found) > 6 else ""))
        elif skipped:
            print(f"SKIP {name}: {scenarios[name]['reason']}")
        else:
            print(f"PASS {name} ({counts[name]} events)")
    return results


def parse_args():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--expect", required=True, help="written by workload --expect")
    p.add_argument("--events", required=True, help="written by porttrace --json")
    p.add_argument("--backend", choices=("tracing", "cgroup"), default="tracing")
    p.add_argument("--stderr", help="of porttrace: check the closing line too")
    p.add_argument("--summary", help="write the results as one JSON object")
    return p.parse_args()


def main():
    args = parse_args()
    expectations, scenarios, pids = load_expectations(args.expect, args.backend)
    invariants = []
    events = load_events(args.events, invariants)
    if args.stderr:
        invariants += closing_problems(args.stderr, len(events))
    if not scenarios:
        invariants.append("the expectation file has no scenario")
    problems = judge(expectations, events, scenarios, pids, args.backend)
    problems["invariants"] = invariants
    counts = collections.Counter(e.x["scenario"] for e in expectations if e.match)
    counts["invariants"] = len(events)
    names = list(scenarios) + [n for n in problems if n not in scenarios]
    results = report(names, scenarios, problems, counts)
    total = collections.Counter(results.values())
    print(f"{total['pass']} passed, {total['fail']} failed, {total['skip']} skipped")
    if args.summary:
        with open(args.summary, "w", encoding="utf-8") as file:
            json.dump({"backend": args.backend, "passed": total["pass"], "failed": total["fail"],
                       "skipped": total["skip"], "results": results,
                       "problems": {n: p for n, p in problems.items() if p}}, file, indent=1)
    return 1 if total["fail"] else 0


if __name__ == "__main__":
    sys.exit(main())
