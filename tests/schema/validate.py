#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Are these lines what docs/porttrace.schema.json and the rules of porttrace-json(5) say?

    validate.py [--schema FILE] [--first N] [--any-sequence] FILE...     FILE may end in .gz

The schema is judged by jsonschema, which knows nothing of porttrace. What a schema cannot say is checked here: the
length of a line, doubled keys, raw control characters, floats, addresses in their usual form, event.sequence without
holes in each file. Prints each problem, at most 20, and ends with 1 if there is one.
"""
import argparse
import gzip
import ipaddress
import json
import os
import re
import sys

from jsonschema import Draft7Validator

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCHEMA = os.path.join(ROOT, "docs", "porttrace.schema.json")
LINE_MAX = 4096
MANY_OWNERS = 144  # what a process more of a socket may add to that
PROBLEMS_SHOWN = 20
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Wrong(Exception):
    """What is wrong with a line."""


def read_schema(path=SCHEMA):
    with open(path, encoding="utf-8") as f:
        schema = json.load(f)
    Draft7Validator.check_schema(schema)
    return schema


# --- the text ---

def unique_keys(pairs):
    keys = [k for k, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise Wrong(f"the key {key} is there twice")
    return dict(pairs)


def no_float(text):
    raise Wrong(f"the number {text} is no integer")


def parse(line):
    """The object of a line of bytes, with its end."""
    if not line.endswith(b"\n"):
        raise Wrong("does not end")
    try:
        text = line[:-1].decode("utf-8", "strict")
    except UnicodeDecodeError as e:
        raise Wrong(f"no UTF-8: {e.reason}") from e
    odd = CONTROL.search(text)
    if odd:
        raise Wrong(f"U+{ord(odd.group()):04X} is not escaped")
    try:
        record = json.loads(text, object_pairs_hook=unique_keys, parse_float=no_float, parse_constant=no_float)
    except ValueError as e:
        raise Wrong(f"no JSON: {e}") from e
    if len(line) > LINE_MAX + MANY_OWNERS * owners_of(record):
        raise Wrong(f"{len(line)} bytes long")
    return record


def owners_of(record):
    try:
        return len(record["porttrace"].get("processes") or record["porttrace"]["life"]["also"])
    except (KeyError, TypeError, AttributeError):
        return 0


# --- what it says ---

def check_address(where, value, versions):
    try:
        ip = ipaddress.ip_address(value)
    except ValueError as e:
        raise Wrong(f"{where}: {e}") from e
    if str(ip) != value and not re.match(r"::(\d+\.){3}\d+$", value):
        raise Wrong(f"{where}: {value} is usually written {ip}")
    if getattr(ip, "ipv4_mapped", None):
        raise Wrong(f"{where}: {value} is IPv4")
    versions.add(f"ipv{ip.version}")


def check_sides(record):
    """Addresses are of network.type, or one is, if an IPv6 socket wanted an IPv4 peer; a bind has no source..."""
    versions = set()
    for side in "source", "destination":
        end = record.get(side, {})
        if "ip" in end:
            check_address(side + ".ip", end["ip"], versions)
    kind = record.get("network", {}).get("type")
    is_ipv6 = "v6only" in record.get("porttrace", {}).get("socket", {}) or record["event"].get("action") == "close"
    if kind and versions - {kind} and not (is_ipv6 and kind in versions):
        raise Wrong(f"network.type is {kind}, the addresses are {' '.join(sorted(versions))}")
    action = record["event"].get("action")
    if action in ("bind", "listen") and "source" in record:
        raise Wrong(f"a {action} has a source")
    if action in ("connect", "accept") and record["event"]["type"] != ["connection", "start"]:
        raise Wrong(f"event.type of {action} is {record['event']['type']}")


class Validator:
    """Judges lines, and remembers which properties it has seen."""

    def __init__(self, schema):
        self.judge = Draft7Validator(schema)
        self.seen = set()
        self.words = {}

    def note(self, value, path):
        if isinstance(value, dict):
            for key, inner in value.items():
                below = f"{path}.{key}" if path else key
                self.seen.add(below)
                self.note(inner, below)
        elif isinstance(value, list):
            for inner in value:
                self.note(inner, path)
        elif isinstance(value, str):
            self.words.setdefault(path, set()).add(value)

    def check(self, line):
        """The record. Raises Wrong."""
        record = parse(line)
        for error in self.judge.iter_errors(record):
            where = ".".join(str(p) for p in error.absolute_path) or "the line"
            raise Wrong(f"{where}: {error.message[:200]}")
        check_sides(record)
        self.note(record, "")
        return record


def open_any(path):
    return gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb")


def check_file(validator, path, sequence=True, first=None):
    """(lines, problems) of one file: of a run whose sequence begins with 1, unless that does not matter."""
    lines, problems = 0, []
    with open_any(path) as f:
        for line in f:
            lines += 1
            try:
                record = validator.check(line)
                if sequence and record["event"].get("sequence", lines) != lines:
                    raise Wrong(f"event.sequence is {record['event']['sequence']}, not {lines}")
            except Wrong as e:
                problems.append(f"{path}:{lines}: {e}")
            if lines == first or len(problems) > PROBLEMS_SHOWN:
                break
    return lines, problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--schema", default=SCHEMA)
    parser.add_argument("--any-sequence", action="store_true")
    parser.add_argument("--first", type=int, help="only so many lines of each file")
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    validator, total, problems = Validator(read_schema(args.schema)), 0, []
    for path in args.files:
        lines, wrong = check_file(validator, path, not args.any_sequence, args.first)
        total += lines
        problems += wrong
    for problem in problems[:PROBLEMS_SHOWN]:
        print(problem)
    print(f"{total} lines, {len(problems)} problems")
    return 1 if problems or not total else 0


if __name__ == "__main__":
    sys.exit(main())
