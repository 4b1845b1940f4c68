#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Would the unit have let it? Prints what it would not have: a line each.

    allowed.py UNIT STRACE     the output of strace -f -o STRACE, against SystemCallFilter= (as systemd-analyze spells its
                               sets out) and RestrictAddressFamilies= of UNIT
"""

import re
import subprocess
import sys

unit, trace = open(sys.argv[1]).read(), open(sys.argv[2], errors="replace").read()


def expand(name):
    if not name.startswith("@"):
        return {name}
    text = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True).stdout
    words = [line.strip() for line in text.splitlines() if line.startswith(" ") and not line.strip().startswith("#")]
    return set().union(*(expand(w) for w in words)) if words else set()


# what every filter lets pass
allowed = expand("@default")
for line in re.findall(r"^SystemCallFilter=(.*)$", unit, re.M):
    names = set().union(*(expand(n) for n in line.lstrip("~").split()))
    allowed = allowed - names if line.startswith("~") else allowed | names

called = set(re.findall(r"^\d+ +(\w+)\(", trace, re.M))
families = set(re.findall(r"^RestrictAddressFamilies=(.*)$", unit, re.M)[0].split())
if not {"bpf", "execve", "socket"} <= called or len(called) < 30:
    print("not traced:", " ".join(sorted(called)))
for name in sorted(called - allowed):
    print("system call", name)
for name in sorted(set(re.findall(r"\bsocket\((AF_\w+)", trace)) - families):
    print("address family", name)
for flags in sorted(set(re.findall(r"\bsetns\(\d+, (\w+)", trace))):
    if flags != "CLONE_NEWNET":
        print("namespace", flags)
for prot in re.findall(r"\bm(?:map|protect)\(.*PROT_WRITE\|PROT_EXEC", trace):
    print("memory that can be written and executed:", prot)
