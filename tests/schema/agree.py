#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Do schema, manual page, program and lines say the same?

    agree.py man                      each property and word of the schema is in porttrace-json(5), and nothing else
    agree.py words FILE               FILE: what test_json_lines --words prints
    agree.py seen [--unseen LIST] FILE...   each property of the schema is in one of the lines; LIST names, with the
                                      reason, those that are not

Prints what differs and ends with 1, or prints a count.
"""
import argparse
import os
import re
import sys

import validate

MAN = os.path.join(validate.ROOT, "docs", "porttrace-json.5")

# A table of words in the program -> where the schema has just these; several tables may share a place.
TABLES = {
    "event_kind_names": ["event.action"],
    "event_outcome_names": ["event.outcome"],
    "event_how_names": ["porttrace.assignment.how"],
    "event_pool_names": ["porttrace.pool.kind"],
    "event_half_names": ["porttrace.pool.half"],
    "event_role_names": ["network.direction"],
    "event_proto_names": ["network.transport"],
    "event_backend_names": ["porttrace.backend"],
    "port_class_names": ["porttrace.source.class", "porttrace.destination.class", "porttrace.port.class"],
    "event_cause_names": ["porttrace.cause"],
    "event_confidence_names": ["porttrace.process.confidence"],
    "event_closer_names": ["porttrace.socket.closed_by"],
    "close_state_names": ["porttrace.socket.state"],
    "sockdiag_state_names": ["porttrace.socket.state"],
    "holder_kind_names": ["porttrace.holder.kind"],
    "life_state_names": ["porttrace.life.state"],
}
STATES = "porttrace.pool.states"  # pressure_state_names are keys there
NO_TABLE = {"event.action": {"list"}}  # words that stand in no table


def properties(schema, path=""):
    """(path, schema of it) of all below; the items of an array have the path of the array."""
    for key, inner in schema.get("properties", {}).items():
        below = f"{path}.{key}" if path else key
        yield below, inner
        yield from properties(inner, below)
        yield from properties(inner.get("items", {}), below)


def is_leaf(inner):
    return not inner.get("properties") and not inner.get("items", {}).get("properties")


def enum_of(inner):
    return inner.get("enum") or inner.get("items", {}).get("enum") or []


def check_man(schema):
    with open(MAN, encoding="utf-8") as f:
        text = f.read()
    leaves = {p for p, inner in properties(schema) if is_leaf(inner)}
    items = re.findall(r"^\.It Va (.*)$", text, re.M)
    named = [p for line in items for p in line.replace(" ,", "").split()]
    yield from (f"porttrace-json(5) does not name {p}" for p in sorted(leaves - set(named)))
    yield from (f"porttrace-json(5) names {p}, which the schema does not have" for p in sorted(set(named) - leaves))
    yield from (f"porttrace-json(5) names {p} twice" for p in sorted({p for p in named if named.count(p) > 1}))
    marked = set(re.findall(r"[\w.-]+", " ".join(re.findall(r"\b(?:Cm|Li) (.*)$", text, re.M))))
    for path, inner in properties(schema):
        for word in enum_of(inner):
            if isinstance(word, str) and word not in marked:
                yield f"porttrace-json(5) does not have the word {word} of {path}"
    for path, inner in properties(schema):
        if not inner.get("description"):
            yield f"the schema does not describe {path}"


def check_words(schema, path):
    by_path = dict(properties(schema))
    want = {p: set(words) for p, words in NO_TABLE.items()}
    with open(path, encoding="utf-8") as f:
        for line in f:
            table, *words = line.split()
            for place in TABLES.pop(table, [STATES] if table == "pressure_state_names" else []):
                want.setdefault(place, set()).update(words)
    yield from (f"the program has no table {t}" for t in TABLES)
    for place, words in want.items():
        has = set(enum_of(by_path[place]) or by_path[place].get("properties", {}))
        yield from (f"{place}: the program has {w}, the schema not" for w in sorted(words - has))
        yield from (f"{place}: the schema has {w}, the program not" for w in sorted(has - words))


def read_unseen(path):
    """NAME REASON: the reason is not optional."""
    table = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                name, reason = line.split(None, 1)
                table[name] = reason
    return table


def check_seen(schema, files, unseen):
    validator = validate.Validator(schema)
    for path in files:
        yield from validate.check_file(validator, path, sequence=False)[1]
    all_paths = {p for p, _ in properties(schema)}
    for path in sorted(all_paths - validator.seen):
        if path not in unseen:
            yield f"no line has {path}"
    yield from (f"{p} is listed as not seen, and the schema does not have it" for p in sorted(set(unseen) - all_paths))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("man", "words", "seen"))
    parser.add_argument("--schema", default=validate.SCHEMA)
    parser.add_argument("--unseen")
    parser.add_argument("files", nargs="*")
    args = parser.parse_intermixed_args()
    schema = validate.read_schema(args.schema)
    if args.what == "man":
        found = check_man(schema)
    elif args.what == "words":
        found = check_words(schema, args.files[0])
    else:
        found = check_seen(schema, args.files, read_unseen(args.unseen) if args.unseen else {})
    problems = list(found)
    print("\n".join(problems) or f"{len(list(properties(schema)))} properties")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
