#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What is wrong with what a manager was told, as manager.py printed it: a line each; nothing if all is well.

    notified.py FILE
"""

import sys

told = [line.rstrip("\n").split(" ", 2) for line in open(sys.argv[1]) if line.strip() != "listening"]
words = [text.split("=")[0] for _, _, text in told]
order = [w for w in words if w not in ("WATCHDOG", "STATUS")]

if order != ["READY", "RELOADING", "READY", "STOPPING"]:
    print("in this order:", " ".join(order))
for word, least in (("WATCHDOG", 3), ("STATUS", 1)):
    if words.count(word) < least:
        print("only", words.count(word), word)
if "WATCHDOG" in words and words.index("WATCHDOG") < words.index("READY") and words.count("WATCHDOG") < 4:
    print("no sign of life after READY")
for i, (there, ms, text) in enumerate(told):
    if words[i] == "RELOADING":
        us = int(text.split("MONOTONIC_USEC=")[1])
        if not int(told[0][1]) <= us // 1000 <= int(ms):
            print("reloading at", us, "us, read at", ms, "ms")
    if words[i] == "READY" and there == "-":
        print("ready without a file")
    if words[i] == "STATUS" and ("cgroup backend:" not in text or "of 1 sinks work" not in text):
        print("status:", text)
