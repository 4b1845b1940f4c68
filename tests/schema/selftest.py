#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Does the validator refuse what is wrong?  Golden lines, each changed in one way; and for each property another type."""
import copy
import json
import os
import sys

import agree
import validate

GOLDEN = os.path.join(validate.ROOT, "tests", "golden", "lines.jsonl")
MANY = 20  # fewer refused changes would mean that nothing was changed

failed = False


def verdict(name, problem):
    global failed
    failed = failed or bool(problem)
    print(f"not ok - schema/selftest/{name}: {problem}" if problem else f"ok - schema/selftest/{name}")


def text_of(record):
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def is_refused(validator, line):
    try:
        validator.check(line)
    except validate.Wrong:
        return True
    return False


def put(path, value):
    """A change: the member at `path` gets a value."""
    def change(record):
        *way, last = path.split(".")
        for key in way:
            record = record.setdefault(key, {})
        record[last] = value
    return change


def drop(path):
    def change(record):
        *way, last = path.split(".")
        for key in way:
            record = record[key]
        del record[last]
    return change


# name, which golden line (the first of that action, or dataset), the change
CHANGES = (
    ("no ecs.version", "connect", drop("ecs.version")),
    ("no ecs", "connect", drop("ecs")),
    ("another ecs.version", "connect", put("ecs.version", "8.0.0")),
    ("no @timestamp", "bind", drop("@timestamp")),
    ("a time without nanoseconds", "bind", put("@timestamp", "2026-11-22T08:45:53.001Z")),
    ("a time with an offset", "bind", put("@timestamp", "2026-11-22T08:45:53.001000111+01:00")),
    ("a month 13", "bind", put("@timestamp", "2026-13-22T08:45:53.001000111Z")),
    ("a time that is a number", "bind", put("@timestamp", 1795337153)),
    ("no porttrace.schema", "listen", drop("porttrace.schema")),
    ("porttrace.schema 2", "listen", put("porttrace.schema", 2)),
    ("an unknown key at the top", "accept", put("extra", 1)),
    ("an unknown key below event", "accept", put("event.extra", 1)),
    ("an unknown key below porttrace", "accept", put("porttrace.extra", 1)),
    ("an unknown key below porttrace.socket", "accept", put("porttrace.socket.extra", 1)),
    ("an unknown action", "close", put("event.action", "shutdown")),
    ("an unknown outcome", "close", put("event.outcome", "ok")),
    ("an unknown cause", "connect", put("porttrace.cause", "bad_luck")),
    ("a null", "connect", put("process.name", None)),
    ("an empty string", "connect", put("process.name", "")),
    ("an empty object", "connect", put("source", {})),
    ("a pid that is a string", "connect", put("process.pid", "977")),
    ("a pid 0", "connect", put("process.pid", 0)),
    ("a uid that is a number", "connect", put("user.id", 1000)),
    ("a port 65536", "connect", put("destination.port", 65536)),
    ("a port below 0", "connect", put("source.port", -1)),
    ("a fraction", "connect", put("event.duration", 1.0)),
    ("a cookie of 2^53", "connect", put("porttrace.socket.cookie", 2 ** 53)),
    ("an address that is none", "connect", put("source.ip", "10.0.0")),
    ("an address of the other family", "connect", put("source.ip", "::1")),
    ("a mapped address", "connect", put("destination.ip", "::ffff:10.0.0.1")),
    ("a padded address", "connect", put("destination.ip", "010.0.0.1")),
    ("a success with an error", "connect", put("error", {"code": "98", "type": "EADDRINUSE"})),
    ("an error code that is a number", "connect", put("error.code", 98)),
    ("a bind with a source", "bind", put("source", {"ip": "127.0.0.1", "port": 1})),
    ("sequence 0", "release", put("event.sequence", 0)),
    ("no sequence", "release", drop("event.sequence")),
    ("no outcome", "release", drop("event.outcome")),
    ("late: false", "bind", put("porttrace.late", False)),
    ("statistics in an event", "bind", put("porttrace.stats", {"seen": 1})),
    ("a life in an event", "bind", put("porttrace.life", {"state": "bound"})),
    ("a boot id in an event", "bind", put("host.boot", {"id": "x"})),
    ("another dataset", "bind", put("event.dataset", "porttrace.stats")),
    ("a state of a socket in a close", "close", put("porttrace.socket.state", "listen")),
    ("an outcome in a state", "list", put("event.outcome", "success")),
    ("no state in a state", "list", drop("porttrace.socket.state")),
    ("a sequence in a life", "porttrace.life", put("event.sequence", 1)),
    ("an unknown state in a life", "porttrace.life", put("porttrace.life.state", "listen")),
    ("no porttrace.stats in statistics", "porttrace.stats", drop("porttrace.stats")),
    ("an outcome in statistics", "porttrace.stats", put("event.outcome", "success")),
    ("no lost_kernel in statistics", "porttrace.stats", drop("porttrace.stats.lost_kernel")),
    ("a name too long", "connect", put("process.name", "x" * 17)),
    ("a raw C1 control", "connect", put("process.name", "\u009b31m")),
)


def find(records, what):
    return next(r for r in records if what in (r["event"].get("action"), r["event"]["dataset"]))


def check_changes(validator, records):
    for name, what, change in CHANGES:
        record = copy.deepcopy(find(records, what))
        before = text_of(record)
        change(record)
        line = text_of(record)
        problem = "the line is the same" if line == before else "" if is_refused(validator, line) else "is not refused"
        verdict(name, problem)


# The text of a line, changed.
TEXTS = (
    ("no end", lambda line: line[:-1]),
    ("half a line", lambda line: line[:len(line) // 2] + b"\n"),
    ("two objects", lambda line: line[:-1] + line),
    ("a doubled key", lambda line: line.replace(b'"pid":', b'"pid":1,"pid":', 1)),
    ("no UTF-8", lambda line: line.replace(b'"nginx"', b'"ngin\xff"', 1)),
    ("a raw ESC", lambda line: line.replace(b'"nginx"', b'"ngi\x1b"', 1)),
    ("a raw DEL", lambda line: line.replace(b'"nginx"', b'"ngi\x7f"', 1)),
    ("NaN", lambda line: line.replace(b'"sequence":1', b'"sequence":NaN', 1)),
    ("an exponent", lambda line: line.replace(b'"sequence":1', b'"sequence":1e0', 1)),
    ("4097 bytes", lambda line: b"{" + b" " * (4097 - len(line)) + line[1:]),
)


def check_texts(validator, line):
    for name, change in TEXTS:
        changed = change(line)
        verdict(name, "the line is the same" if changed == line else "" if is_refused(validator, changed) else
                "is not refused")
    verdict("4096 bytes are right", "refused" if is_refused(validator, b"{" + b" " * (4096 - len(line)) + line[1:]) else "")


def places(value, path=()):
    """The way to each member of a record."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield path + (key,)
        if isinstance(inner, (dict, list)):
            yield from places(inner, path + (key,))


def check_types(validator, records):
    """Each member of each golden line, with a value of another type: refused, all of them."""
    count, wrong = 0, []
    for record in records:
        for way in places(record):
            changed = copy.deepcopy(record)
            at = changed
            for key in way[:-1]:
                at = at[key]
            at[way[-1]] = 7 if isinstance(at[way[-1]], str) else "seven"
            count += 1
            if not is_refused(validator, text_of(changed)):
                wrong.append(".".join(map(str, way)))
    verdict("another type, for each member", f"not refused: {wrong[:5]}" if wrong else
            "" if count > MANY else "nothing was changed")


def check_words_and_paths(schema):
    """The comparisons find a property, and a word, that one of both lacks."""
    less = copy.deepcopy(schema)
    del less["properties"]["porttrace"]["properties"]["holder"]["properties"]["expires"]
    verdict("a property that the schema lacks", "" if list(agree.check_man(less)) else "not found in porttrace-json(5)")
    more = copy.deepcopy(schema)
    more["properties"]["porttrace"]["properties"]["colour"] = {"type": "string", "description": "x", "enum": ["bluish"]}
    found = list(agree.check_man(more))
    verdict("a property and a word that the man page lacks", "" if len(found) == 2 else f"found: {found}")
    found = list(agree.check_seen(more, [GOLDEN], {}))
    verdict("a property that no line has", "" if found == ["no line has porttrace.colour"] else f"found: {found[:3]}")


def check_sequence(validator):
    lines, problems = validate.check_file(validator, os.path.join(os.path.dirname(__file__), "examples.jsonl"))
    verdict("examples are right", "" if lines == 7 and not problems else str(problems))
    path = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"porttrace-schema-{os.getpid()}.jsonl")
    with open(GOLDEN, "rb") as golden, open(path, "wb") as f:
        f.writelines(line for n, line in enumerate(golden) if n != 3)
    problems = validate.check_file(validator, path)[1]
    os.unlink(path)
    verdict("a hole in the sequence", "" if problems and "event.sequence is 5, not 4" in problems[0] else "not found")


def main():
    schema = validate.read_schema()
    validator = validate.Validator(schema)
    with open(GOLDEN, "rb") as f:
        lines = f.readlines()
    records = [json.loads(line) for line in lines]
    check_changes(validator, records)
    check_texts(validator, lines[0])
    check_types(validator, records)
    check_words_and_paths(schema)
    check_sequence(validator)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
