# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the tests of the network sinks share: drive (drive.c) with a file: sink beside it, whose lines are what was generated."""

import concurrent.futures
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD") or os.path.join(ROOT, "build")
RUN = "0123456789abcdef0123456789abcdef"
PATIENCE_S = 60

failed = False


def verdict(name, problems):
    global failed
    if problems:
        failed = True
        print(f"not ok - {name}: {'; '.join(str(p)[:300] for p in problems[:5])}", flush=True)
    else:
        print(f"ok - {name}", flush=True)


def why_not(uri):
    """What this build lacks for the tests of a sink, or ''."""
    programs = [os.path.join(BUILD, "tests/sinks-drive")]
    if uri.startswith("kafka"):
        programs.append(os.path.join(BUILD, "tests/sinks-kafka"))
    missing = [p for p in programs if not os.path.exists(p)]
    if missing:
        return f"{missing[0]} is not built"
    said = subprocess.run([programs[0], "-n", "0", "-f", "0", uri], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True).stderr
    return said.strip() if "built without" in said or "cannot be loaded" in said else ""


def until(what, condition):
    """Polls; raises after PATIENCE_S."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {PATIENCE_S} s for {what}")
        time.sleep(0.02)


def run_all(path, names):
    """Each test in a process of its own, some at a time: they wait most of the time. Exit status."""
    def one(name):
        r = subprocess.run([sys.executable, path, name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        ended = "" if re.search("^(not )?ok - ", r.stdout, re.M) else f"not ok - {name}: ended with {r.returncode}\n"
        return ended + r.stdout, r.returncode

    status = 0
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for said, code in pool.map(one, names):
            print(said, end="", flush=True)
            status = status or code
    return status


class Drive:
    """Sinks `uris` and a file: sink. The accounts are in .account (of the first URI) and .file_account."""

    def __init__(self, *options, uris):
        self.dir = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.dir.name, "all.jsonl")
        self.said, self.problems = [], []
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "tests/sinks-drive"), *map(str, options), *uris, "file:" + self.path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.said.append(line.strip())

    def has_said(self, text):
        return any(text in line for line in self.said)

    def expect_said(self, text):
        if not self.has_said(text):
            self.problems.append(f"nothing said of '{text}': {self.said}")

    def await_said(self, text):
        until(f"'{text}' among {self.said}", lambda: self.has_said(text) or self.process.poll() is not None)

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def end(self):
        """Waits for it; the accounts must be exact, and the file must have everything."""
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise TimeoutError("drive did not end")
        self.reader.join()
        if self.process.returncode:
            raise RuntimeError(f"drive ended with {self.process.returncode}: {self.said}")
        result = json.loads(self.process.stdout.read())
        self.generated = result["generated"]
        self.account, self.file_account = result["sinks"][0], result["sinks"][-1]
        with open(self.path, encoding="utf-8") as f:
            self.lines = [line.rstrip("\n") for line in f]
        for account in result["sinks"]:
            total = account["delivered"] + account["lost_queue"] + account["lost_sink"]
            if total != self.generated or account["waiting"]:
                self.problems.append(f"generated {self.generated}, but {account}")
        if self.file_account["delivered"] != self.generated or len(self.lines) != self.generated:
            self.problems.append(f"the other sink got {len(self.lines)} of {self.generated}")
        return self

    @property
    def lost(self):
        return self.account["lost_queue"] + self.account["lost_sink"]

    def expect_no_loss(self):
        if self.account["delivered"] != self.generated:
            self.problems.append(f"lost some of {self.generated}: {self.account}")

    def expect_loss(self):
        if not self.lost:
            self.problems.append("nothing was lost: the fault had no effect")
