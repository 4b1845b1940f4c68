# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Which porttrace was measured, and when. As a program: the line that a part of results.md has of it."""
import datetime
import os
import subprocess

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build"))
PORTTRACE = os.environ.get("PORTTRACE", os.path.join(BUILD, "porttrace"))


def output_of(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout


def first_line(*command):
    return output_of(*command).split("\n")[0]


def porttrace_version():
    """With the last commit that changed it, and whether it has been changed since."""
    sources = ("--", "src", "bpf", "include", "vmlinux")
    commit = first_line("git", "-C", ROOT, "log", "-1", "--format=%h", *sources)
    changed = output_of("git", "-C", ROOT, "status", "--porcelain", *sources).strip()
    return f"{first_line(PORTTRACE, '--version')} ({commit}{', changed' if changed else ''})"


def measured():
    return f"Measured {datetime.date.today().isoformat()}, {porttrace_version()}."


if __name__ == "__main__":
    print(measured())
