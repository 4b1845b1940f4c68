#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""That compare.py finds what differs: a small record by hand, whole and then with one thing wrong at a time."""

import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SS = """tcp   LISTEN    0   128   127.0.0.1:80    0.0.0.0:*        users:(("a",pid=7,fd=3),("b",pid=8,fd=3))
tcp   ESTAB     5   0     [::ffff:127.0.0.1]:80 [::ffff:127.0.0.1]:4000 users:(("a",pid=7,fd=4))
tcp   TIME-WAIT 0   0     [::1]:81        [::1]:4001
udp   UNCONN    0   0     *:53            *:*              users:(("a",pid=7,fd=5))
"""


def record(cookie, transport, state, source, destination, pids, queue=0):
    own = {"socket": {"cookie": cookie, "netns": 99, "state": state, "queue": queue}}
    if len(pids) > 1:
        own["processes"] = [{"pid": p} for p in pids]
    r = {"network": {"transport": transport}, "destination": destination, "porttrace": own}
    if source:
        r["source"] = source
    if pids:
        r["process"] = {"pid": pids[0]}
    return r


def end(ip, port):
    return {"ip": ip, "port": port}


def records():
    return [record(1, "tcp", "listen", None, end("127.0.0.1", 80), [7, 8]),
            record(2, "tcp", "established", end("127.0.0.1", 80), end("127.0.0.1", 4000), [7], 5),
            record(3, "tcp", "time-wait", end("::1", 81), end("::1", 4001), []),
            record(4, "udp", "bound", None, end("::", 53), [7]),
            record(5, "tcp", "bound", None, end("127.0.0.1", 82), [7])]


def write(directory, name, text):
    with open(os.path.join(directory, name), "w", encoding="utf-8") as f:
        f.write(text)


def compare(listed, ss=SS):
    with tempfile.TemporaryDirectory() as d:
        write(d, "release", "6.12.0\n")
        write(d, "0.netns", "99\n")
        write(d, "0.before", ss)
        write(d, "0.after", ss)
        write(d, "0.json", '{"pid":7,"listeners":1,"connections":0,"time_wait":1,"udp":1,"bound":[82]}')
        for name in "list", "churn-1", "churn-2", "churn-3":
            write(d, name + ".jsonl", "".join(json.dumps(r) + "\n" for r in listed))
            write(d, name + ".status", "0\n")
        return subprocess.run([sys.executable, os.path.join(HERE, "compare.py"), d], stdout=subprocess.PIPE,
                              check=False).returncode


def changed(index, change):
    r = records()
    change(r[index])
    return r


def main():
    wrong = {
        "one missing": records()[1:],
        "one too many": records() + [record(6, "udp", "bound", None, end("::", 54), [7])],
        "twice": records() + records()[:1],
        "a bound one missing": records()[:-1],
        "another state": changed(2, lambda r: r["porttrace"]["socket"].update(state="fin-wait-2")),
        "another port": changed(1, lambda r: r["destination"].update(port=4002)),
        "another address": changed(3, lambda r: r["destination"].update(ip="0.0.0.0")),
        "a process missing": changed(0, lambda r: r["porttrace"]["processes"].pop()),
        "bytes that wait": changed(1, lambda r: r["porttrace"]["socket"].update(queue=4)),
    }
    failed = compare(records()) != 0
    print(("not ok" if failed else "ok") + " - list/checker/nothing wrong")
    for name, listed in wrong.items():
        bad = compare(listed) == 0
        failed |= bad
        print(("not ok" if bad else "ok") + f" - list/checker/{name}")
    bad = compare([], "") == 0
    print(("not ok" if bad else "ok") + " - list/checker/nothing at all")
    return failed or bad


if __name__ == "__main__":
    sys.exit(main())
