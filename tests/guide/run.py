#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs every command of a guide, in order, and compares what it prints with what the guide says it prints.

    run.py GUIDE [--tracing] [--write FILE]

To be run as root in a network and mount namespace of its own (tests/docs.sh does that), with porttrace and sudo in PATH.

A block "sh runnable" has the commands, one a line; "# ends with 2" behind one is its exit status, 0 if that is not said.
The block "text" that follows is their output; numbers that differ from run to run are not compared. Also:

    sh runnable any       these may end with 0, 1 or 2: they look at the whole machine
    text tracing          compared only with --tracing; without it porttrace sees less there
    text live             of a verdict: its lines alone are compared, in each backend the same
    text bound            compared from Linux 6.8: before, sockets that are bound show only with BPF
    text rate             steep or flat: whether the last rate costs four times the CPU of the first ones
    text rate-flat        the same, from Linux 6.8

--tracing: porttrace has the tracing backend and BPF; else lines of what it cannot see without are left out.
--write: the guide with the real output in its blocks.
"""
import argparse
import os
import re
import statistics
import subprocess
import sys

FENCE = re.compile(r"^```(.*)$")
HAS_OUTPUT = re.compile(r"text( [a-z-]+)?")
# What differs from run to run.
VARIES = [
    (r"\d\d:\d\d:\d\d\.\d+", "TIME"), (r"netns \d+", "netns N"), (r"\[\d+\]", "[PID]"),
    (r"\b(tcp|udp) +\d+ ", r"\1 PID "), (r"\b(process|kill) \d+", r"\1 PID"),
    (r"\b(next in|after|in) \d[\d.]* ?(us|ms|s|m)\b", r"\1 T"), (r"\d+ / \d+", "N / N"),
    (r"\d+ events shown, \d+ seen", "N events shown, N seen"),
    (r"\b(17,9\d\d|18,000|10,[23]\d\d)\b", "N"),  # of 18,000 TIME_WAITs a few may be missing
]
BLIND = re.compile(r"^(Not visible: |Who opened what is in TIME_WAIT takes |Of [\d,]+ ports? it is not known|"
                   r"Of the free ones [\d,]+ are in TIME_WAIT)") # the last: told where the bind buckets can be read
counts = {"ok": 0, "not ok": 0}


class Block:
    def __init__(self, info, first):
        self.info, self.first, self.lines = info, first, []


def read_blocks(lines):
    blocks, block = [], None
    for number, line in enumerate(lines):
        fence = FENCE.match(line)
        if fence and block is None:
            block = Block(fence[1].strip(), number + 1)
        elif fence:
            blocks.append(block)
            block = None
        elif block is not None:
            block.lines.append(line)
    return blocks


def commands(block):
    """(command, exit status or None for any of 0 to 2)"""
    for line in "\n".join(block.lines).replace("\\\n", " ").split("\n"):
        command, _, comment = line.partition(" #")
        said = re.search(r"ends with (\d+)", comment)
        if command.strip():
            yield command.strip(), None if block.info.endswith(" any") else int(said[1]) if said else 0


def report(what, problem=""):
    counts["not ok" if problem else "ok"] += 1
    print(f"not ok - docs/guide: {what}: {problem}" if problem else f"ok - docs/guide: {what}", flush=True)


def run(command):
    try:
        done = subprocess.run(["bash", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return "", -1
    return done.stdout, done.returncode


def normal(text, tracing):
    for pattern, by in VARIES:
        text = re.sub(pattern, by, text)
    lines = [re.sub(r"(\d)\?(?= )", r"\1", " ".join(line.split())) for line in text.split("\n")]
    if not tracing: # the bind buckets may not be readable, and then a number of free ports is a bound
        lines = [re.sub(r"^at most (?=\d+ more )", "", line) for line in lines]
    return [line for line in lines if line and (tracing or not BLIND.match(line))]


def verdict(text, tracing):
    """What stands to the right of an event's own line."""
    return normal("\n".join(line for line in text.split("\n") if line.startswith("    ")), tracing)


def is_compared(info, tracing):
    new = tuple(map(int, re.match(r"(\d+)\.(\d+)", os.uname().release).groups())) >= (6, 8)
    return {"text rate-flat": new, "text bound": new or tracing, "text tracing": tracing}.get(info, True)


def slope(text, _tracing):
    cost = [int(n) for n in re.findall(r"(\d+) us of CPU", text)]
    return [] if not cost else ["steep" if cost[-1] > statistics.median(cost[:len(cost) // 2]) * 4 else "flat"]


# What is compared of an output, if not all of it.
PARTS = {"text live": verdict, "text rate": slope, "text rate-flat": slope}


def difference(said, got):
    for i in range(max(len(said), len(got))):
        a, b = (said[i] if i < len(said) else "nothing"), (got[i] if i < len(got) else "nothing")
        if a != b:
            return f"prints '{b}', the guide says '{a}'"
    return ""


def run_block(block, output, args):
    text = ""
    for command, status in commands(block):
        printed, got = run(command)
        text += printed
        right = got in (0, 1, 2) if status is None else got == status
        report(command, "" if right else f"ends with {got}, the guide says {status}: {printed[-300:]!r}")
    if not output:
        return None
    said = "\n".join(output.lines)
    if is_compared(output.info, args.tracing):
        part = PARTS.get(output.info, normal)
        report(f"line {output.first}", difference(part(said, args.tracing), part(text, args.tracing)))
    return text


def inline(text):
    """Commands in the text: those that porttrace has to understand, and settings that the kernel has to have."""
    for command in sorted(set(re.findall(r"`((?:porttrace|sysctl -w) [^`]+)`", text))):
        if command.startswith("porttrace"):
            # a daemon would keep a history
            real = re.sub(r"daemon$", "daemon --help", command.replace("PID", "$$"))
            printed, got = run(f"timeout --preserve-status -k 5 -s INT 5 {real}")
            wrong = got not in (0, 1, 2, 130) or re.search(r"^porttrace: .*(unknown|neither|--help|is no )", printed, re.M)
            report(command, f"ends with {got}: {printed[-200:]}" if wrong else "")
        elif os.path.exists("/proc/sys/" + command.split()[2].split("=")[0].replace(".", "/")):
            got = run(command)[1]
            report(command, f"ends with {got}" if got else "")
        else:
            print(f"skip - docs/guide: {command}: this kernel, or this machine, has no such setting")


def remedies_are_shown(blocks):
    """What the guide has the reader set in its namespace, a screen has told before: word for word."""
    shown = ""
    for block in blocks:
        if block.info.startswith("text"):
            shown += "\n".join(block.lines)
        for command, _ in commands(block) if block.info.startswith("sh runnable") else ():
            if command.startswith("sudo ip netns exec ports sysctl -w"):
                setting = command.removeprefix("sudo ")
                report(f"a screen says: {setting}", "" if setting in shown else "none does")


def rules_are_told(text, source):
    """Each rule of rule.c has its row, in rule.c's words."""
    with open(source, encoding="utf-8") as f:
        rules = re.findall(r'^\t\{ "(P\d\d)", "([^"]+)"', f.read(), re.M)
    missing = [rule for rule, words in rules if f"| {rule} | {words} |" not in text]
    report(f"a row for each of {len(rules)} rules", f"not for {missing}" if missing or len(rules) < 20 else "")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("guide")
    parser.add_argument("--tracing", action="store_true")
    parser.add_argument("--write")
    args = parser.parse_args()
    with open(args.guide, encoding="utf-8") as f:
        lines = f.read().split("\n")
    blocks, real = read_blocks(lines), {}
    for i, block in enumerate(blocks):
        if not block.info.startswith("sh runnable"):
            continue
        follows = blocks[i + 1] if i + 1 < len(blocks) and HAS_OUTPUT.fullmatch(blocks[i + 1].info) else None
        text = run_block(block, follows, args)
        if text is not None:
            real[follows.first] = (len(follows.lines), text.rstrip("\n").split("\n"))
    remedies_are_shown(blocks)
    if os.path.exists("src/rule.c"):
        rules_are_told("\n".join(lines), "src/rule.c")
    inline("\n".join(lines))
    if args.write:
        for first in sorted(real, reverse=True):
            count, text = real[first]
            lines[first:first + count] = text
        with open(args.write, "w", encoding="utf-8") as f:
            f.write("\n".join(lines))
    sys.exit(1 if counts["not ok"] or not counts["ok"] else 0)


if __name__ == "__main__":
    main()
