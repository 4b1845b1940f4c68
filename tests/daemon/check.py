#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Judges what tests/daemon/guest left of a daemon with the tracing backend.

    check.py DIR

What the loads themselves counted, what each sink's other end got, what the daemon said and what its metrics say have
to be the same numbers; the rights of its threads those that doctor had told. Prints PASS, FAIL and SKIP lines, and
how many.
"""
import json
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "schema"))

# include/uapi/linux/capability.h
CAPABILITIES = {"CAP_DAC_OVERRIDE": 1, "CAP_DAC_READ_SEARCH": 2, "CAP_NET_BIND_SERVICE": 10, "CAP_NET_ADMIN": 12,
                "CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21, "CAP_PERFMON": 38, "CAP_BPF": 39}
FRAME = re.compile(r"<\d+>1 \S+ \S+ porttrace \d+ \S+ - @cee: (\{.*\})\n", re.S)
SINKS = {"file": "file:/var/lib/porttrace/events.jsonl", "unix": "unix:/var/lib/porttrace/socket",
         "syslog": "syslog://127.0.0.1:5140"}
ACTIONS = ("bind", "listen", "connect", "accept", "close")


class Job:
    """What lies in the directory; text that is not there is empty."""

    def __init__(self, path):
        self.path = path

    def text(self, name):
        try:
            with open(os.path.join(self.path, name), encoding="utf-8", newline="\n") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def json(self, name):
        return json.loads(self.text(name).splitlines()[0])

    def lines(self, name):
        return self.text(name).splitlines(keepends=True)

    def of_file(self):
        """The lines of the file sink: before the file was turned, and after."""
        return self.lines("events.1") + self.lines("events.2")

    def of_syslog(self):
        return [FRAME.fullmatch(line).group(1) + "\n" for line in self.lines("syslog")]

    def closing(self, name):
        """The last of the lines of counts: seen, lost, and each sink's delivered and lost."""
        text = self.text(name)
        shown, seen, lost = re.findall(r"^(\d+) events shown, (\d+) seen, (\d+) lost", text, re.M)[-1]
        filtered = re.findall(r" lost.*; (\d+) filtered", text)[-1]
        sinks = {uri: (int(d), int(l)) for uri, d, l in
                 re.findall(r"^porttrace: sink (\S+): (\d+) delivered, (\d+) lost", text, re.M)}
        return int(shown), int(seen), int(lost), int(filtered), sinks

    def metrics(self, name):
        """NAME{LABELS} -> value"""
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
                for line in self.lines(name) if not line.startswith("#")}


def need(condition, why):
    if not condition:
        raise AssertionError(why)


def same(what, wanted, got):
    need(wanted == got, f"{what}: {got}, not {wanted}")


# ---- events ----

def sinks_get_all(job):
    """Each other end has what its sink counts, and what all give up and hand on is all that there was."""
    shown, seen, lost, filtered, sinks = job.closing("daemon.err")
    got = {"file": job.of_file(), "unix": job.lines("unix.jsonl"), "syslog": job.of_syslog()}
    total = len(got["file"]) + sinks[SINKS["file"]][1]
    for name, uri in SINKS.items():
        same(f"delivered by {name}", len(got[name]), sinks[uri][0])
        same(f"delivered and lost by {name}", total, sum(sinks[uri]))
    same("shown, filtered and lost", seen, shown + filtered + lost)
    need(job.lines("events.1") and job.lines("events.2"), "one of the files has nothing")
    if not any(l for _, l in sinks.values()):
        need(got["file"] == got["unix"] == got["syslog"], "not all got the same lines")


def sequence_is_whole(job):
    sequences = [json.loads(line)["event"]["sequence"] for line in job.of_file()]
    lost = job.closing("daemon.err")[4][SINKS["file"]][1]
    same("holes", lost, sequences[-1] - len(sequences))
    need(sequences == sorted(set(sequences)) and sequences[0] == 1, "out of order, or twice")


def load_is_told(job):
    """The two loads' own counts."""
    told = dict.fromkeys(ACTIONS, 0)
    for line in job.of_file():
        record = json.loads(line)
        if record.get("process", {}).get("name") == "stress":
            told[record["event"]["action"]] += 1
    made = {a: job.json("load.1")[a] + job.json("load.2")[a] for a in ACTIONS}
    if job.closing("daemon.err")[2]:
        need(all(told[a] <= made[a] for a in ACTIONS), f"told {told}, made {made}")
        return
    same("events of the loads", made, told)


def lines_are_valid(job):
    import validate  # needs jsonschema
    schema = validate.Draft7Validator(validate.read_schema())
    for line in job.of_file():
        found = next(schema.iter_errors(json.loads(line)), None)
        need(not found, f"{found.message if found else ''}: {line[:200]}")


# ---- metrics ----

def metrics_agree(job):
    """The last file of metrics and the closing lines; and what is scraped only grows."""
    end, first, last = (job.metrics(f"{name}.prom") for name in ("end", "first", "last"))
    _, _, lost, _, sinks = job.closing("daemon.err")
    for uri in SINKS.values():
        results = [end[f'porttrace_sink_records_total{{sink="{uri}",result="{r}"}}']
                   for r in ("delivered", "lost_queue", "lost_sink")]
        same(f"{uri}: delivered and lost", sinks[uri], (results[0], results[1] + results[2]))
        same(f"{uri}: waiting", 0, end[f'porttrace_sink_waiting_records{{sink="{uri}"}}'])
    same("events lost", lost + sum(l for _, l in sinks.values()), end["porttrace_events_lost_total"])
    for series, value in first.items():
        if "_total{" in series or series.endswith("_total"):
            need(value <= last.get(series, -1) <= end.get(series, -1) or "{netns=" in series and "comm" not in series,
                 f"{series}: {value}, {last.get(series)}, {end.get(series)}")
    if not job.closing("daemon.err")[2]:
        connects = job.json("load.1")["connect"] + job.json("load.2")["connect"]
        same("assignments of the loads", connects, sum(
            v for s, v in end.items() if "assignments" in s and 'comm="stress"' in s and 'op="connect"' in s))


def blocked(job, load, reason):
    name = f'porttrace_ephemeral_blocked_ports{{netns="{job.json(load)["netns"]}",reason="{reason}"}}'
    return job.metrics("last.prom").get(name)


def buckets_are_read(job):
    """Sockets of other namespaces, bound before the start. That a bind keeps the ports of T03 away only the buckets tell:
    without, it is not known of one of them. Nor is T08's socket, before Linux 6.8."""
    same("ports of T03 that a bind keeps away", 100.0, sum(
        blocked(job, "T03.load", r) or 0 for r in ("bind_connect", "accepted", "phantom", "unknown")))
    same("sockets of T08 that are bound and no more", 1.0, blocked(job, "T08.load", "bound"))
    same("sockets of T08 that listen", 2.0, blocked(job, "T08.load", "listen"))


# ---- rights ----

def mask(names):
    return sum(1 << CAPABILITIES[n] for n in set(names))


def values(job, name, field):
    return {int(v, 16) for v in re.findall(rf"^{field}:\s*(\S+)$", job.text(f"{name}.rights"), re.M)}


def rights_are_told(job, name, more=()):
    """What threads have is what -v tells, and what doctor tells. The threads that write have what is always kept.
    `more`: what was held beside what doctor had."""
    rows = [r for r in job.json("doctor.json")["daemon"]["keeps"] if r["held"] or r["capability"] in more]
    always = [r["capability"] for r in rows if not r.get("condition")]
    told = re.findall(r"^porttrace: keeps (CAP_\w+): ", job.text(f"{name}.err"), re.M)
    with_metrics = [r["capability"] for r in rows if r.get("condition") == "with metrics and the tracing backend"]
    same("what -v tells", set(always + with_metrics), set(told))
    need(with_metrics, "doctor tells of nothing for the bind buckets")
    for field in ("CapEff", "CapPrm"):
        same(field, {mask(told), mask(always)}, values(job, name, field))
    for field in ("CapInh", "CapAmb"):
        same(field, {0}, values(job, name, field))
    same("NoNewPrivs", {1}, values(job, name, "NoNewPrivs"))
    same("users", ["65534"] * 4, re.search(r"^Uid:\s*(.*)$", job.text(f"{name}.rights"), re.M).group(1).split())


def rights_left(job):
    rights_are_told(job, "daemon", more=("CAP_SYS_ADMIN",))


def without_sys_admin(job):
    """It works, as doctor says; and what it does without is told."""
    same("doctor says that it works", True, job.json("doctor.json")["works"])
    need(not job.text("less.end"), f"it does not start: {job.text('less.end')} {job.text('less.err')[-300:]}")
    rights_are_told(job, "less")
    need("does without CAP_SYS_ADMIN" in job.text("less.err"), "not told what it does without")
    need(not any(m >> CAPABILITIES["CAP_SYS_ADMIN"] & 1 for m in values(job, "less", "CapEff")), "it has CAP_SYS_ADMIN")
    need(job.text("less.prom"), "no metrics")


# ---- signals ----

def signals(job):
    asked, end = job.closing("asked"), job.closing("daemon.err")
    need(len(re.findall(r"^\d+ events shown", job.text("daemon.err"), re.M)) == 2, "not told twice: SIGUSR1, SIGTERM")
    need(0 < asked[1] <= end[1], f"seen: {asked[1]}, then {end[1]}")
    same("status after SIGTERM", 0, job.json("daemon.end")["status"])


def programs_go(job):
    for name in ("daemon", "killed"):
        end = job.json(f"{name}.end")
        need(end["with"] >= end["before"] + 10, f"{name}: only {end['with']} programs while it runs")
        same(f"{name}: programs that stay", end["before"], end["after"])
    same("status after SIGKILL", 137, job.json("killed.end")["status"])


def killed_file_is_whole(job):
    """What a SIGKILL leaves: lines, and at most a piece at the end."""
    lines = job.lines("less.jsonl")
    need(lines, "nothing was written")
    same("sequence", list(range(1, len(lines))), [json.loads(line)["event"]["sequence"] for line in lines[:-1]])


def history_answers(job):
    pid = int(job.text("keeper").split()[1])
    life = job.json("who")
    same("who had the port", (pid, "keeper", 20500, "explicit"),
         (life["process"]["pid"], life["process"]["name"], life["destination"]["port"],
          life["porttrace"]["assignment"]["how"]))


CHECKS = (sinks_get_all, sequence_is_whole, load_is_told, lines_are_valid, metrics_agree, buckets_are_read, rights_left,
          without_sys_admin, signals, programs_go, killed_file_is_whole, history_answers)


def judge(check, job):
    """"", or what is wrong."""
    try:
        check(job)
    except AssertionError as e:
        return str(e)
    except (LookupError, ValueError, AttributeError) as e:
        return f"something is not there: {type(e).__name__}: {e}: {job.text('daemon.err')[-300:]}"
    return ""


def main():
    job = Job(sys.argv[1])
    failed = 0
    for check in CHECKS:
        name = check.__name__.replace("_", "-")
        try:
            why = judge(check, job)
        except ImportError as e:
            print(f"SKIP {name}: {e}")
            continue
        failed += bool(why)
        print(f"FAIL {name}: {' '.join(why.split())}" if why else f"PASS {name}")
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
