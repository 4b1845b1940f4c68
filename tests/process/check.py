#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Compare what the processes of tests/process said of themselves with what porttrace said of them.

    check.py --record FILE --events FILE       prints "PASS name", "FAIL name: what", "SKIP name: why"
"""
import argparse
import collections
import json
import re
import sys

# What is longer may be cut, but not to less than this.
COMMAND_LINE_MIN = 200
SHOWN_PROBLEMS = 4


def dig(obj, path):
    for key in path.split("."):
        obj = obj.get(key) if isinstance(obj, dict) else None
    return obj


def text(hexadecimal):
    return normal(bytes.fromhex(hexadecimal).decode("utf-8", "replace"))


def normal(value):
    """How many characters stand for a run of broken bytes is a matter of taste."""
    return re.sub("\ufffd+", "\ufffd", value) if isinstance(value, str) else value


def command_line(hexadecimal):
    return text(bytes.fromhex(hexadecimal).rstrip(b"\0 ").replace(b"\0", b" ").hex())


def field_problem(name, want, got):
    return [] if want == got else [f"{name}: expected {want!r}, got {got!r}"]


def command_line_problem(want, got):
    if got == want:
        return []
    if got and len(got) >= COMMAND_LINE_MIN and want.startswith(got.rstrip("\ufffd")):
        return []
    return [f"command_line: expected {want[:60]!r}, got {got[:60] if got else got!r}"]


def process_problems(record, event):
    """Of one event. The parent may be unknown, but not another."""
    process = event.get("process", {})
    comm = text(record["comm"])
    out = field_problem("pid", record["pid"], process.get("pid"))
    out += field_problem("thread", record["tid"], dig(process, "thread.id"))
    if dig(process, "parent.pid") is not None:
        out += field_problem("parent", record["ppid"], dig(process, "parent.pid"))
    out += field_problem("user", str(record["uid"]), dig(event, "user.id"))
    out += field_problem("name", comm or None, normal(process.get("name")))
    out += field_problem("executable", text(record["exe"]), normal(process.get("executable")))
    return out + command_line_problem(command_line(record["args"]), normal(process.get("command_line")))


def creator_problems(record, event):
    creator = dig(event, "porttrace.creator") or {}
    if "creator" not in record:
        return field_problem("creator", None, creator.get("pid"))
    return (field_problem("creator", record["creator"], creator.get("pid"))
            + field_problem("its name", text(record["creator_name"]), normal(creator.get("name"))))


def vpid_problems(record, event):
    return field_problem("vpid", record.get("vpid"), dig(event, "process.vpid"))


def verdict_names(record):
    """{what is judged: the name it is judged by}"""
    case = record["case"]
    names = {"process": f"{case}_close" if record["action"] == "close" else case}
    for fact in ("creator", "vpid"):
        names[fact] = f"{case}_{fact}" if fact in record else case
    return names


def judge(record, event, problems):
    names = verdict_names(record)
    for what, found in (("process", process_problems), ("creator", creator_problems), ("vpid", vpid_problems)):
        problems[names[what]] += found(record, event) if event else []
    if event is None:
        problems[names["process"]].append(f"no {record['action']} of pid {record['pid']}")


def load(path):
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return [json.loads(line) for line in file if line.strip()]


def index(events):
    """The first event of each action and socket, and what there is twice."""
    found, twice = {}, []
    for event in events:
        key = (dig(event, "event.action"), dig(event, "porttrace.socket.cookie"))
        if key in found and key[1]:
            twice.append(f"{key[0]} twice, of pid {dig(event, 'process.pid')}")
        found.setdefault(key, event)
    return found, twice


def judge_all(records, events):
    problems, skipped = collections.defaultdict(list), {}
    found, twice = index(events)
    problems["events"] += twice
    for record in records:
        if "skip" in record:
            skipped[record["case"]] = record["skip"]
        else:
            judge(record, found.get((record["action"], record["cookie"])), problems)
    wanted = sum(r.get("action") == "connect" for r in records)
    shown = sum(dig(e, "event.action") == "connect" for e in events)
    problems["events"] += field_problem("connects", wanted, shown)
    return problems, skipped


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", required=True)
    parser.add_argument("--events", required=True)
    args = parser.parse_args()
    problems, skipped = judge_all(load(args.record), load(args.events))
    for name, reason in skipped.items():
        print(f"SKIP {name}: {reason}")
    for name, found in problems.items():
        more = f"; and {len(found) - SHOWN_PROBLEMS} more" if len(found) > SHOWN_PROBLEMS else ""
        if found:
            print(f"FAIL {name}: {'; '.join(found[:SHOWN_PROBLEMS])}{more}")
        elif name not in skipped:
            print(f"PASS {name}")
    failed = sum(bool(found) for found in problems.values())
    print(f"{len(problems) - failed} passed, {failed} failed, {len(skipped)} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
