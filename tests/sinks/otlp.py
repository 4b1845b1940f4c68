#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The sink otlp: against a receiver (receiver.py) with every answer that the protocol has, and none.

Each record is compared, field by field, with the line of the same sequence that a file: sink got.

    tests/sinks/otlp.py [TEST...]
"""

import calendar
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

import json

import drive
from drive import Drive, verdict
from receiver import Receiver

TAKEN = ("200", "201", "202", "204", "deaf", "mute")


# ---- what a record has to be, from the line of JSON ----

def at(doc, path):
    for part in path.split("."):
        doc = doc.get(part) if isinstance(doc, dict) else None
    return doc


def unix_nano(text):
    m = re.fullmatch(r"(.*)\.(\d{9})Z", text)
    return calendar.timegm(time.strptime(m.group(1), "%Y-%m-%dT%H:%M:%S")) * 10**9 + int(m.group(2))


# attribute -> field of the line, where nothing has to be turned round
SAME = {
    "network.transport": "network.transport", "network.type": "network.type", "porttrace.direction": "network.direction",
    "process.pid": "process.pid", "process.vpid": "process.vpid", "process.parent_pid": "process.parent.pid",
    "process.executable.name": "process.name", "process.executable.path": "process.executable",
    "process.command_line": "process.command_line", "thread.id": "process.thread.id", "user.id": "user.id",
    "user.name": "user.name", "container.id": "container.id", "container.runtime.name": "container.runtime",
    "k8s.pod.uid": "orchestrator.resource.id", "porttrace.unit": "porttrace.unit", "error.type": "error.type",
    "error.message": "error.message", "porttrace.sequence": "event.sequence", "porttrace.outcome": "event.outcome",
    "porttrace.cause": "porttrace.cause", "porttrace.reason": "event.reason", "porttrace.duration": "event.duration",
    "porttrace.backend": "porttrace.backend", "porttrace.late": "porttrace.late", "porttrace.exit": "porttrace.exit",
    "porttrace.confidence": "porttrace.process.confidence", "porttrace.port.free": "porttrace.port.free",
    "porttrace.assignment.how": "porttrace.assignment.how",
    "porttrace.assignment.requested.address": "porttrace.assignment.requested.ip",
    "porttrace.assignment.requested.port": "porttrace.assignment.requested.port",
    "porttrace.ports.range": "porttrace.ports.range", "porttrace.ports.in_use": "porttrace.ports.in_use",
    "porttrace.creator.pid": "porttrace.creator.pid", "porttrace.creator.name": "porttrace.creator.name",
    "porttrace.holder.kind": "porttrace.holder.kind", "porttrace.holder.process.pid": "porttrace.holder.process.pid",
    "porttrace.holder.process.name": "porttrace.holder.process.name",
    "porttrace.holder.user.id": "porttrace.holder.user.id", "porttrace.holder.user.name": "porttrace.holder.user.name",
    "porttrace.holder.container.id": "porttrace.holder.container.id", "porttrace.holder.exited": "porttrace.holder.exited",
    "porttrace.holder.expires": "porttrace.holder.expires", "porttrace.holder.address": "porttrace.holder.ip"}
SAME.update({f"porttrace.socket.{n}": f"porttrace.socket.{n}" for n in (
    "cookie", "netns", "fd", "backlog", "mptcp", "reuseaddr", "reuseport", "no_port", "freebind", "transparent", "v6only",
    "device", "mark", "closed_by", "state")})
SAME.update({f"porttrace.pool.{n}": f"porttrace.pool.{n}" for n in (
    "kind", "half", "search_us", "wall", "used", "capacity", "reserved", "blocked", "next_free_ms", "rule", "why", "also",
    "failed_before")})
FACTS = ("class", "service", "ephemeral", "reserved", "privileged")
POOL_SIMPLE = {name.rsplit(".", 1)[1] for name in SAME if name.startswith("porttrace.pool.")}


# what the resource, the record itself or what is below tells; all else must be in SAME
ELSEWHERE = re.compile(r"@timestamp|ecs\.|host\.|agent\.|event\.(kind|module|dataset|category|type|action)|error\.code|"
                       r"(porttrace\.)?(source|destination)\.|process\.start|porttrace\.schema|porttrace\.pool\.|"
                       r"orchestrator\.|network\.iana_number")


def leaves(doc, path=""):
    for key, value in doc.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{key}.")
        else:
            yield path + key


def forgotten(line):
    return [p for p in leaves(line) if p not in SAME.values() and not ELSEWHERE.match(p)]


def expected_event(line):
    found = {name: at(line, path) for name, path in SAME.items()}
    # source is who opened the connection; local is the process's own side
    egress = at(line, "network.direction") == "egress"
    local, peer = ("source", "destination") if egress else ("destination", "source")
    for side, where in ((local, "local"), (peer, "peer")):
        found[f"network.{where}.address"] = at(line, f"{side}.ip")
        found[f"network.{where}.port"] = at(line, f"{side}.port")
        for fact in FACTS:
            found[f"porttrace.{where}.{fact}"] = at(line, f"porttrace.{side}.{fact}")
    found["porttrace.bytes_sent"], found["porttrace.bytes_received"] = at(line, f"{local}.bytes"), at(line, f"{peer}.bytes")
    if at(line, "process.start"):
        found["porttrace.process.start_unix_nano"] = unix_nano(at(line, "process.start"))
    if at(line, "network.iana_number"):
        found["porttrace.iana_number"] = int(at(line, "network.iana_number"))
    detail = {k: v for k, v in (at(line, "porttrace.pool") or {}).items() if k not in POOL_SIMPLE}
    if detail:
        found["porttrace.pool.detail"] = json.dumps(detail, separators=(",", ":"))
    return {name: value for name, value in found.items() if value is not None}


def expected_stats(line):
    stats = at(line, "porttrace.stats")
    found = {f"porttrace.stats.{n}": stats[n] for n in ("seen", "emitted", "filtered", "lost_kernel", "lost_queue",
                                                         "lost_sink")}
    if "evicted" in stats:
        found["porttrace.stats.evicted"] = stats["evicted"]
    found["porttrace.stats.since_unix_nano"] = unix_nano(stats["since"])
    found["porttrace.sequence"] = at(line, "event.sequence")
    if "sinks" in stats:
        found["porttrace.stats.sinks"] = stats["sinks"]
    return found


def difference(record, line):
    """What is wrong with a record, or None."""
    is_stats = at(line, "event.dataset") == "porttrace.stats"
    wanted = expected_stats(line) if is_stats else expected_event(line)
    name = "porttrace.stats" if is_stats else "porttrace.socket." + at(line, "event.action")
    got = record["attributes"]
    if not is_stats and forgotten(line):
        return f"OTLP does not have {forgotten(line)}"
    for key in sorted(set(wanted) | set(got)):
        if wanted.get(key) != got.get(key) or type(wanted.get(key)) is not type(got.get(key)):
            return f"{key} is {got.get(key)!r}, not {wanted.get(key)!r}"
    if (record["name"], record["time"]) != (name, unix_nano(line["@timestamp"])):
        return f"{record['name']} at {record['time']}"
    if record["severity"] != (13 if at(line, "event.outcome") == "failure" else 9):
        return f"severity {record['severity']} of {at(line, 'event.outcome')}"
    parts = [at(line, "event.action"), at(line, "network.transport"), at(line, "event.outcome"), at(line, "error.type"),
             f"[{at(line, 'process.pid')}]"]
    if not is_stats and not all(p in record["body"] for p in parts if p):
        return f"body '{record['body']}' without one of {parts}"
    return None


def compare(run, receiver, twice=0):
    """Each record that arrived is the generated one; each that was delivered arrived, `twice` of them more than once."""
    lines = {}
    for text in run.lines:
        line = json.loads(text)
        lines[at(line, "event.sequence")] = line
    taken = receiver.records()
    run.problems += receiver.complaints[:3]
    for record in taken:
        line = lines.get(record["attributes"]["porttrace.sequence"])
        why = difference(record, line) if line else "was never generated"
        if why:
            run.problems.append(f"record {record['attributes']['porttrace.sequence']}: {why}")
            break
    for _, _, resource, _, _ in receiver.requests:
        if (resource.get("service.instance.id"), resource.get("host.name")) != (drive.RUN, "web-1"):
            run.problems.append(f"resource {resource}")
            break
    kept = [r["attributes"]["porttrace.sequence"] for r in receiver.records(*TAKEN)]
    if len(kept) - len(set(kept)) != twice:
        run.problems.append(f"{len(kept) - len(set(kept))} records arrived twice, {twice} may have")
    return set(kept)


def expect(run, what, wanted, got):
    if wanted != got:
        run.problems.append(f"{what}: {got}, not {wanted}")


def uri(receiver, params=""):
    return f"otlp:http://127.0.0.1:{receiver.port}{params}"


# ---- the tests: each gives (run, receiver, problems are in run) ----

class Run(Drive):
    """Once it has ended, the receiver looks at what it got."""

    receiver = None

    def end(self):
        super().end()
        self.receiver.look()
        return self


def run_with(plan, *options, params="", path="/v1/logs"):
    receiver = Receiver(plan, path)
    run = Run("-q", 8192, *options, uris=[uri(receiver, params)])
    run.receiver = receiver
    return run, receiver


def test_healthy():
    run, receiver = run_with([], "-n", 2000, "-r", 20000)
    run.end().expect_no_loss()
    expect(run, "records", run.generated, len(compare(run, receiver)))
    return run, receiver


def test_any_2xx():
    run, receiver = run_with(["201", "202", "204", "200"], "-n", 2300, "-r", 20000)
    run.end().expect_no_loss()
    expect(run, "records", run.generated, len(compare(run, receiver)))
    return run, receiver


def test_other_path():
    run, receiver = run_with([], "-n", 100, params="/otlp/v1/logs", path="/otlp/v1/logs")
    run.end().expect_no_loss()
    expect(run, "records", run.generated, len(compare(run, receiver)))
    return run, receiver


def test_429_retry_after():
    """The request waits as long as it was asked to, and nothing else is sent meanwhile."""
    run, receiver = run_with(["200", "429:2"], "-n", 2000, "-r", 20000)
    run.end().expect_no_loss()
    run.expect_said("answered HTTP 429: as it \\\"was\\\" planned")
    kept = compare(run, receiver)
    expect(run, "records", run.generated, len(kept))
    times = [(when, act) for when, act, *_ in receiver.requests]
    begin = next(i for i, (_, act) in enumerate(times) if act == "429:2")
    if times[begin + 1][0] - times[begin][0] < 1.9:
        run.problems.append("did not wait for two seconds")
    return run, receiver


def test_try_again():
    run, receiver = run_with(["503", "502", "504"], "-n", 600)
    run.end().expect_no_loss()
    run.expect_said("answered HTTP 503")
    run.expect_said("works")
    expect(run, "records", run.generated, len(compare(run, receiver)))
    return run, receiver


def test_refused():
    """What the receiver does not want is lost, and not sent again."""
    run, receiver = run_with(["400", "200", "404", "500"], "-n", 2300, "-r", 20000)
    run.end()
    kept = compare(run, receiver)
    refused = receiver.records("400", "404", "500")
    expect(run, "delivered", len(kept), run.account["delivered"])
    expect(run, "lost", (len(refused), 0), (run.account["lost_sink"], run.account["lost_queue"]))
    if kept & {r["attributes"]["porttrace.sequence"] for r in refused}:
        run.problems.append("a refused record was sent again")
    run.expect_loss()
    run.expect_said("answered HTTP 400")
    return run, receiver


def test_partial_success():
    run, receiver = run_with(["partial:3"], "-n", 300)
    run.end()
    compare(run, receiver)
    expect(run, "lost", 3, run.account["lost_sink"])
    run.expect_said(f"3 of {run.generated} records were rejected")
    return run, receiver


def test_all_rejected():
    """More than there were."""
    run, receiver = run_with(["200", "partial:100000"], "-n", 1500, "-r", 20000)
    run.end()
    compare(run, receiver)
    sizes = [len(records) for _, act, _, records, _ in receiver.requests if act.startswith("partial")]
    expect(run, "lost", sum(sizes), run.account["lost_sink"])
    run.expect_loss()
    return run, receiver


def test_no_answer():
    """Taken, but not answered: sent again, so there twice, and to be told by run and sequence."""
    run, receiver = run_with(["200", "deaf", "mute"], "-n", 2000, "-r", 20000, params="?timeout=1s")
    run.end().expect_no_loss()
    again = sum(len(records) for _, act, _, records, _ in receiver.requests if act in ("deaf", "mute"))
    kept = compare(run, receiver, again)
    expect(run, "records", run.generated, len(kept))
    return run, receiver


def test_given_up():
    """A request that nobody takes ends after `retry`; those behind it are delivered."""
    run, receiver = run_with(["503"] * 2, "-n", 1500, "-r", 20000, params="?retry=500ms")
    run.end()
    kept = compare(run, receiver)
    expect(run, "delivered", len(kept), run.account["delivered"])
    run.expect_loss()
    return run, receiver


def test_hanging():
    """Not even read, for longer than the run: the file beside it gets all, and each record is counted."""
    run, receiver = run_with(["hang"] * 99, "-n", 20000, "-r", 10000, "-q", 4096, "-f", 1000, "-w", params="?timeout=30s")
    run.await_said("given")
    run.terminate()
    run.end()
    expect(run, "delivered", 0, run.account["delivered"])
    if not run.account["lost_queue"] or not run.account["lost_sink"]:
        run.problems.append(f"lost at one stage only: {run.account}")
    return run, receiver


def test_away_and_back():
    """Nobody listens at first."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    run = Run("-n", 1000, "-r", 5000, uris=[f"otlp:http://127.0.0.1:{port}"])
    run.await_said("cannot send: ")
    run.receiver = receiver = Receiver(port=port)
    run.end().expect_no_loss()
    expect(run, "records", run.generated, len(compare(run, receiver)))
    return run, receiver


def test_away_at_the_end():
    run, receiver = run_with(["503"] * 99, "-n", 1000, "-w", "-f", 2000)
    run.await_said("answered HTTP 503")
    run.await_said("given")
    run.terminate()
    run.end()
    expect(run, "delivered", 0, run.account["delivered"])
    return run, receiver


def test_flushed_at_the_end():
    """What waits to be tried again is tried once more when the run ends."""
    run, receiver = run_with(["503", "503"], "-n", 300, "-w")
    run.await_said("answered HTTP 503")
    run.await_said("given")
    run.terminate()
    run.end().expect_no_loss()
    expect(run, "records", run.generated, len(compare(run, receiver)))
    return run, receiver


def test_headers():
    with tempfile.NamedTemporaryFile("w") as f:
        f.write("# for the gateway\n\nAuthorization: Bearer s3cret\nX-Scope-OrgID: ports\n")
        f.flush()
        run, receiver = run_with([], "-n", 100, params=f"?headers={f.name}")
        run.end().expect_no_loss()
    headers = receiver.requests[0][4]
    expect(run, "headers", ("Bearer s3cret", "ports"), (headers.get("Authorization"), headers.get("X-Scope-OrgID")))
    compare(run, receiver)
    return run, receiver


def test_parameters():
    run, receiver = run_with([], "-n", 10)
    run.end()
    for target, text in (("otlp:localhost:4318", "needs an address"), ("otlp:http://", "needs an address"),
                         ("otlp:ftp://host", "needs an address"), ("otlp:http://u:p@host:4318", "into a file"),
                         ("otlp:http://host?headers=/nonexistent/x", "cannot read /nonexistent/x"),
                         ("otlp:http://host?timeout=soon", "needs a duration"),
                         ("otlp:http://host?header=x", "unknown parameter 'header' of otlp:")):
        r = subprocess.run([os.path.join(drive.BUILD, "tests/sinks-drive"), target], stderr=subprocess.PIPE, text=True,
                           timeout=drive.PATIENCE_S)
        if r.returncode != 1 or text not in r.stderr:
            run.problems.append(f"{target}: {r.returncode} {r.stderr.strip()}")
    return run, receiver


TESTS = {name[5:]: test for name, test in list(globals().items()) if name.startswith("test_")}


def main():
    why = drive.why_not("otlp:http://127.0.0.1:1")
    if why:
        print(f"skip - otlp: {why}")
        return 0
    if not sys.argv[1:]:
        return drive.run_all(__file__, TESTS)
    for name in sys.argv[1:]:
        try:
            run, receiver = TESTS[name]()
            run.problems += [c for c in receiver.complaints[:1] if c not in run.problems]
            receiver.close()
            verdict("otlp/" + name.replace("_", "-"), run.problems)
        except (TimeoutError, RuntimeError) as e:
            verdict("otlp/" + name.replace("_", "-"), [e])
    return 1 if drive.failed else 0


if __name__ == "__main__":
    sys.exit(main())
