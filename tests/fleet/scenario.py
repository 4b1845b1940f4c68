#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""
A fleet out of one host's records:  scenario.py REAL.jsonl [HOSTS [EVENTS]] >FLEET.jsonl

What porttrace wrote is given to HOSTS hosts (8), at other times, again and again until there are EVENTS (as many as there are).
Beside that stand incidents, in the same schema: ports that run out, a port that changes hands, connections between two hosts,
records that were lost, and strings that are hard to read. All about the midnight after 2026-11-22, UTC.
"""
import hashlib
import json
import random
import sys
from datetime import datetime, timedelta, timezone

# Of what runs on servers: name, executable, command line, unit, whether in a container, how often.
PROGRAMS = [
    ("nginx", "/usr/sbin/nginx", "nginx: worker process", "nginx.service", False, 18),
    ("envoy", "/usr/local/bin/envoy", "/usr/local/bin/envoy -c /etc/envoy/envoy.yaml --concurrency 4 --drain-time-s 45", "", True, 20),
    ("java", "/usr/lib/jvm/java-17/bin/java", "java -Xms2g -Xmx2g -XX:+UseG1GC -Dspring.profiles.active=prod -jar /app/orders.jar", "",
     True, 16),
    ("python3", "/usr/bin/python3.11", "/usr/bin/python3 -m gunicorn shop.wsgi:application --workers 8 --bind 0.0.0.0:8000", "", True, 9),
    ("node", "/usr/bin/node", "node /srv/web/dist/server.js --port 3000", "", True, 9),
    ("postgres", "/usr/lib/postgresql/15/bin/postgres", "postgres: 15/main: shop orders 10.0.3.9(51234) idle", "postgresql@15-main.service",
     False, 8),
    ("redis-server", "/usr/bin/redis-server", "/usr/bin/redis-server 127.0.0.1:6379", "redis-server.service", False, 5),
    ("systemd-resolve", "/usr/lib/systemd/systemd-resolved", "/lib/systemd/systemd-resolved", "systemd-resolved.service", False, 5),
    ("node_exporter", "/usr/bin/prometheus-node-exporter", "/usr/bin/prometheus-node-exporter", "prometheus-node-exporter.service",
     False, 3),
    ("kubelet", "/usr/bin/kubelet", "/usr/bin/kubelet --config=/var/lib/kubelet/config.yaml --node-ip=10.0.3.9", "kubelet.service", False, 3),
    ("curl", "/usr/bin/curl", "curl -sf http://127.0.0.1:8080/health", "cron.service", False, 2),
    ("sshd", "/usr/sbin/sshd", "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups", "ssh.service", False, 1),
]
BASE = int(datetime(2026, 11, 22, 23, 50, tzinfo=timezone.utc).timestamp())
SECOND = 10**9


def stamp(ns):
    at = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=ns // SECOND)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ns % SECOND:09d}Z"


def ns_of(text):
    at = datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    return int(at.timestamp()) * SECOND + int(text[20:29])


def at(minute, second=0, ns=0):
    """Since 23:50."""
    return (BASE + minute * 60 + second) * SECOND + ns


def line(record):
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False)


class Run:
    """One start of porttrace on one host: it numbers the records."""

    def __init__(self, host):
        self.host, self.sequence = host, 0
        self.id = hashlib.sha256(host.encode()).hexdigest()[:16]
        self.lines = []

    def add(self, record, ns):
        self.sequence += 1
        record["@timestamp"] = stamp(ns)
        record["event"]["sequence"] = self.sequence
        record["host"]["name"] = self.host
        record["agent"] = {"ephemeral_id": self.id}
        self.lines.append(line(record))

    def event(self, ns, *args, **more):
        self.add(event(*args, **more), ns)


def event(action, cookie, process, source=None, destination=None, direction=None, outcome="success", duration=None, error=None,
          cause=None, pool=None, state=None, holder=None, container=None, reason=None, ephemeral=False, user=None):
    """As src/json_lines.c writes it, in its order. A process is (pid, name, executable), or None; a side (ip, port)."""
    side = lambda s: {"ip": s[0]} if s[1] is None else {"ip": s[0], "port": s[1]}
    ev = {"kind": "event", "module": "porttrace", "dataset": "porttrace.socket", "category": ["network"], "type": ["start"],
          "action": action, "outcome": outcome, "sequence": 0}
    ev.update({k: v for k, v in (("duration", duration), ("reason", reason)) if v is not None})
    r = {"@timestamp": "", "ecs": {"version": "9.4.0"}, "event": ev}
    if error:
        r["error"] = {"code": "98", "type": error, "message": "Some words"}
    r["network"] = {"transport": "tcp", "type": "ipv4", **({"direction": direction} if direction else {})}
    r.update({k: side(v) for k, v in (("source", source), ("destination", destination)) if v})
    if process:
        r["process"] = {"pid": process[0], "thread": {"id": process[0] + 1}, "parent": {"pid": 1}, "name": process[1]}
        r["process"].update({"executable": process[2], "command_line": process[2] + ' -x "y"', "start": stamp(at(0))})
    r["user"] = {"id": "33", **({"name": user} if user else {})}
    r["host"], r["agent"] = {}, {}
    if container:
        r["container"] = {"id": container, "runtime": "docker"}
    p = {"schema": 1, "backend": "tracing", **({"cause": cause} if cause else {})}
    if not process:
        p["process"] = {"confidence": "closer"}
    if pool:
        p["assignment"] = {"how": "connect", "requested": {"ip": "0.0.0.0", "port": 0}}
        p["pool"] = pool
    if ephemeral:
        p["source"] = {"class": "registered", "ephemeral": True}
    p["destination"] = {"class": "registered", "service": "http-alt"}
    p["socket"] = {"cookie": cookie, "netns": 4026531840, **({"state": state} if state else {})}
    if holder:
        p["holder"] = {"kind": holder[0], "process": {"pid": holder[1], "name": holder[2]}, "user": {"id": "0", "name": "root"}}
    r["porttrace"] = p
    return r


# ---- the incidents ----

def exhaustion(run):
    """All even ports, then the wall, then all odd ones, then none: minutes 2 to 6."""
    api, server = (4242, "api", "/opt/api/bin/api"), ("10.0.0.7", 5432)
    for i in range(300):
        pool = {"kind": "connect", "half": "first" if i < 150 else "second", "search_us": 3 if i < 150 else 90}
        if i == 150:
            pool.update({"wall": True, "used": 14116, "capacity": 28232})
        port = 32768 + 2 * i if i < 150 else 32769 + 2 * (i - 150)
        run.event(at(2, 0, i * SECOND // 2), "connect", 9000 + i, api, ("10.0.0.5", port), server, "egress", pool=pool,
                  duration=100000 + i, ephemeral=True)
    for i in range(40):
        run.event(at(5, i), "connect", 9500 + i, api, ("10.0.0.5", None), server, "egress", outcome="failure",
                  error="EADDRNOTAVAIL", cause="port_exhausted", duration=80000, reason="no free local port for this destination",
                  pool={"kind": "connect", "used": 28232, "capacity": 28232, "rule": "P01", "why": "the cause"})
    for i in range(5):
        run.event(at(4, i * 7), "connect", 9700 + i, (77, "cron", "/usr/sbin/cron"), ("10.0.0.5", 50000 + i), server, "egress",
                  duration=200000, pool={"kind": "connect", "half": "first"})


def changes_hands(run):
    """8080: nginx, which goes; python3, refused first; and connections, of which one leaves TIME_WAIT."""
    nginx, python = (977, "nginx", "/usr/sbin/nginx"), (5150, "python3", "/usr/bin/python3")
    here, peer = ("10.0.0.5", 8080), ("10.0.0.9", 51514)
    run.event(at(0, 1), "bind", 100, nginx, None, ("0.0.0.0", 8080), user="www")
    run.event(at(0, 2), "listen", 100, nginx, None, ("0.0.0.0", 8080), user="www")
    run.event(at(5), "bind", 101, python, None, here, outcome="failure", error="EADDRINUSE", cause="in_use",
              reason="taken", holder=("listener", 977, "nginx"))
    run.event(at(5, 1), "bind", 102, python, None, here, outcome="failure", error="EADDRINUSE", cause="in_use",
              reason="taken", holder=("listener", 977, "nginx"))
    run.event(at(6), "accept", 103, nginx, peer, here, "ingress")
    run.event(at(8, 20), "close", 103, nginx, peer, here, "ingress", duration=140 * SECOND, state="time-wait")
    run.event(at(6, 30), "accept", 104, nginx, ("10.0.0.9", 51516), here, "ingress")
    run.event(at(6, 40), "close", 104, nginx, ("10.0.0.9", 51516), here, "ingress", duration=10 * SECOND, state="time-wait")
    run.event(at(6, 53), "release", 104, nginx, ("10.0.0.9", 51516), here, "ingress")
    run.event(at(8, 30), "close", 100, nginx, None, ("0.0.0.0", 8080), duration=509 * SECOND, state="closed", user="www")
    run.event(at(8, 40), "bind", 105, python, None, ("0.0.0.0", 8080))
    run.event(at(8, 41), "listen", 105, python, None, ("0.0.0.0", 8080))
    run.event(at(9), "connect", 106, python, here, ("10.0.0.7", 1), "egress", outcome="failure", error="ECONNREFUSED",
              cause="refused")
    run.event(at(9, 59), "close", 50, (12, "oldd", "/sbin/oldd"), None, ("0.0.0.0", 9090), duration=172800 * SECOND, state="closed")


def other_end(run):
    worker, there = (31, "worker", "/opt/worker"), ("10.0.0.5", 8080)
    for cookie, port, begin, end in (700, 51514, at(6), at(8, 20)), (701, 51516, at(6, 30), at(6, 40)):
        run.event(begin - 200, "connect", cookie, worker, ("10.0.0.9", port), there, "egress", duration=150, container="ab" * 32)
        run.event(end + 900, "close", cookie, worker, ("10.0.0.9", port), there, "egress", duration=9, state="closed",
                  container="ab" * 32)


def hard_to_read(run):
    """Strings that look like JSON, or like SQL; what is absent; and two lines that are no records."""
    names = ['a"b\\c\'d', '","source":{"p', "tab\there\n", "sö\u4e2d\U0001f600", ',"porttrace":{', "\x01\x7f\\x01", "\\", "\\N", "'; --"]
    for i, name in enumerate(names):
        run.event(at(3, i), "connect", 800 + i, (60 + i, name, '/opt/"porttrace":{"schema":1/' + name), ("10.0.0.5", 40000 + i),
                  ("10.0.0.8", 80), "egress", user=name, reason=name)
    run.event(at(3, 20), "close", 820, None, ("10.0.0.5", 40100), ("10.0.0.8", 80), "egress")
    run.event(at(3, 21), "connect", 821, (70, "nobody", "/bin/x"), None, ("10.0.0.8", 80), "egress", outcome="unknown")
    run.event(at(3, 22), "bind", 822, (70, "nobody", "/bin/x"), None, None, outcome="unknown")
    run.event(at(3, 23), "close", 0, (70, "nobody", "/bin/x"), ("10.0.0.5", 53000), ("10.0.0.8", 53))
    run.lines += ["this is not JSON", '{"@timestamp":"tomorrow","event":{"kind":"event","dataset":"other.socket"}}']


def loses(run, real_stats):
    """Counts of its own; and what got lost behind it."""
    for minute in range(0, 12, 2):
        record = json.loads(real_stats)
        record["porttrace"]["stats"].update({"seen": 1000 * minute, "emitted": 1000 * minute - minute, "lost_kernel": minute // 2,
                                             "lost_queue": minute // 4, "lost_sink": 1, **({"evicted": 100 * minute} if minute else {})})
        run.add(record, at(minute, 59))
    middle = len(run.lines) // 2
    del run.lines[middle:middle + 7]


def fleet(real, hosts, events):
    """[Run]: the real records on each host, then the incidents on some of them."""
    records = [json.loads(text) for text in real]
    first = ns_of(records[0]["@timestamp"])
    rounds = max(1, -(-events // (len(real) * hosts)))
    runs = [Run(f"web-{i:02}") for i in range(hosts)]
    random.seed(7)
    for i, run in enumerate(runs):
        for turn in range(rounds):
            for text in real:
                record = json.loads(text)
                when = ns_of(record["@timestamp"]) - first
                if rounds > 1:
                    vary(record, i, turn)
                run.add(record, at(0, 37 * i) + turn * SECOND + when * (60 if rounds == 1 else 1))
    return runs


def vary(record, host, turn):
    """What differs on another host and at another time: programs, process ids, cookies, ports, addresses, durations."""
    pid = record.get("process", {}).get("pid", 0) + turn * 7919 + host * 104729
    vary_process(record, host, 1000 + pid % 4190000)
    peer = f"10.{host % 8}.{random.choice((3, 4))}.{random.choice((5, 7, 9, 12, 40, 41, 42, 200))}"
    by = turn * 7919 + host * 104729 + random.randrange(3) * 2
    for side in record.get("source"), record.get("destination"):
        if side and side.get("port", 0) >= 10000:
            side["port"] = 32768 + (side["port"] + by) % 28232
        if side and side["ip"] in ("127.0.0.1", "::1"):
            side["ip"] = peer
    if "duration" in record["event"]:
        record["event"]["duration"] = int(record["event"]["duration"] * random.lognormvariate(0, 1)) + 1
    if "cookie" in record.get("porttrace", {}).get("socket", {}):
        record["porttrace"]["socket"]["cookie"] += by * 13


def vary_process(record, host, pid):
    """The same process id is the same program, one of some ten on each host."""
    if "process" not in record:
        return
    choice = random.Random(pid * 31 + host)
    name, executable, words, unit, contained, _ = choice.choices(PROGRAMS, [program[-1] for program in PROGRAMS])[0]
    p = record["process"]
    p.update({"pid": pid, "thread": {"id": pid + choice.randrange(2)}, "parent": {"pid": 1 + choice.randrange(3) * 800}, "name": name})
    p.update({"executable": executable, "command_line": words, "start": stamp(at(-choice.randrange(9000), 7, choice.randrange(SECOND)))})
    record["user"] = {"id": str(100 + len(name)), "name": name[:8]}
    if unit:
        record["porttrace"]["unit"] = unit
    if contained:
        identity = hashlib.sha256(f"{host} {name} {pid % 3}".encode()).hexdigest()
        record["container"] = {"id": identity, "runtime": "containerd"}
        record["orchestrator"] = {"type": "kubernetes", "resource": {"type": "pod", "id": f"{identity[:8]}-{identity[8:12]}-4a5b"}}
        record["porttrace"] = record.pop("porttrace") # the last, as it is written


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        real = f.read().splitlines()
    hosts, events = (int(a) for a in (sys.argv[2:4] + ["8", "0"][len(sys.argv) - 2:]))
    runs = fleet(real, hosts, events)
    if not events:
        exhaustion(runs[5])
        changes_hands(runs[2])
        other_end(runs[6])
        hard_to_read(runs[1])
        loses(runs[3], next(text for text in real if '"porttrace.stats"' in text))
    for run in runs:
        sys.stdout.write("".join(text + "\n" for text in run.lines))


if __name__ == "__main__":
    main()
