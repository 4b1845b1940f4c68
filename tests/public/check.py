#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What became of the public test programs: one line each.

    check.py KERNEL DIRECTORY NAME...     DIRECTORY is what guest.sh wrote

A program must end with the same status and the same lines beside porttrace as alone; and what it did, as strace
saw it, must be what porttrace shows.
"""
import json
import os
import re
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "strace"))
import compare  # noqa: E402

RUNS = "plain", "traced", "strace"
MOST_ERRORS = 8

# What differs between two runs of one program: ports that the kernel chose, pids, times, addresses in memory.
RANDOM = re.compile(r"0x[0-9a-f]+|\d+\.\d+|\b\d{4,}\b")


# Lines that say a result in the kernel's format; what stands between them comes of several processes, in any order.
TAP = re.compile(r"ok \d|not ok \d|# Totals|# PASSED|# FAILED|1\.\.\d")


def result_lines(directory, how):
    lines = compare.read(directory, how + ".out").splitlines()
    if any(line.startswith("TAP version") for line in lines):
        lines = [line for line in lines if TAP.match(line)]
    return [RANDOM.sub("N", line) for line in lines]


def same_result(directory):
    """Errors where the run beside porttrace ended otherwise than the one alone."""
    alone, traced = (compare.read(directory, how + ".status").strip() for how in ("plain", "traced"))
    if alone != traced:
        yield "exit status %s alone, %s beside porttrace" % (alone, traced)
    lines = [result_lines(directory, how) for how in ("plain", "traced")]
    for number, (one, other) in enumerate(zip(*lines), 1):
        if one != other:
            yield "line %d: %r alone, %r beside porttrace" % (number, one, other)
            return
    if len(lines[0]) != len(lines[1]):
        yield "%d lines alone, %d beside porttrace" % tuple(map(len, lines))


def was_ended(directory, how):
    """By guest.sh, as its time was up? A log of strace is not whole then."""
    text = compare.read(directory, how + ".out")
    return "guest.sh: ended after" in text or compare.read(directory, how + ".status").strip() == "137"


def more_runs(directory):
    path = os.path.join(directory, "again")
    if not os.path.exists(path):
        return ""
    return " after %d more runs" % len(compare.read(directory, "again").split())


def own_records(log, records):
    """What porttrace showed of the processes in a log of strace."""
    tids = {int(line.split(None, 1)[0]) for line in log}
    return [r for r in records if r.get("process", {}).get("pid") in tids]


def check_program(directory, records):
    """Errors of one program, and how many events were compared."""
    if not os.path.exists(os.path.join(directory, "strace.status")):
        return ["was not run"], 0
    cut = [how for how in RUNS if was_ended(directory, how)]
    if cut:
        return ["had to be ended: the run " + how for how in cut], 0
    log = compare.read(directory, "strace.log").splitlines()
    strace = compare.Strace(log)
    errors = list(same_result(directory))
    errors += compare.compare(strace, own_records(log, records))
    count = sum(map(len, strace.threads.values()))
    return errors + ([] if count else ["strace saw no event: nothing was compared"]), count


def say(verdict, name, text):
    print("%s - %s: %s" % (verdict, name, text))
    return verdict == "not ok"


def main(kernel, directory, *names):
    failed = False
    try:
        records = [json.loads(line) for line in compare.read(directory, "events.jsonl").splitlines()]
        for text in compare.closing_line(compare.read(directory, "stderr"), len(records)):
            failed |= say("not ok", kernel + "/public", text)
    except (OSError, ValueError) as error:
        say("not ok", kernel + "/public", "no events: %s" % error)
        return 1
    for name in names:
        try:
            errors, count = check_program(os.path.join(directory, name), records)
        except (OSError, ValueError, KeyError) as error:
            errors, count = ["cannot be compared: %s: %s" % (type(error).__name__, error)], 0
        if len(errors) > MOST_ERRORS:
            errors[MOST_ERRORS:] = ["and %d more" % (len(errors) - MOST_ERRORS)]
        for text in errors:
            failed |= say("not ok", "%s/public/%s" % (kernel, name), text)
        if not errors:
            more = more_runs(os.path.join(directory, name))
            say("ok", "%s/public/%s" % (kernel, name), "%d events, same result%s" % (count, more))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
