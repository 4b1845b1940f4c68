# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a program takes on a disk: its Debian package and all that this needs, beside what each Debian system has."""
import os
import re
import subprocess

FIELDS = "${Package}\\t${Installed-Size}\\t${Priority}\\t${Provides}\\t${Pre-Depends}, ${Depends}\\n"


def output_of(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout


def read_packages():
    """{name: (KiB, required, [[alternative names] of each need])}, and {provided name: package}"""
    packages, provided = {}, {}
    for line in output_of("dpkg-query", "-W", "-f", FIELDS).splitlines():
        name, size, priority, provides, needs = line.split("\t")
        words = [[re.sub(r"[ (:].*", "", w.strip()) for w in need.split("|")] for need in needs.split(",") if need.strip()]
        packages[name] = (int(size or 0), priority == "required", words)
        for p in provides.split(","):
            provided.setdefault(re.sub(r"[ (:].*", "", p.strip()), name)
    return packages, provided


def closure(names, packages, provided):
    found, left = set(), list(names)
    while left:
        name = left.pop()
        name = name if name in packages else provided.get(name)
        if name is None or name in found:
            continue
        found.add(name)
        left += [next((w for w in need if w in packages or w in provided), "") for need in packages[name][2]]
    return found


def owners(paths):
    """The packages of these files."""
    found = set()
    for path in paths:
        for known in (path, os.path.realpath(path), path.replace("/lib/", "/usr/lib/", 1)):
            lines = output_of("dpkg-query", "-S", known).splitlines()
            owner = next((l.split(":")[0] for l in lines if not l.startswith("diversion ")), "")
            if owner:
                found.add(owner)
                break
    return found


def libraries(program):
    return re.findall(r"=> (/\S+)", output_of("ldd", program))


def installed(program, is_package=True):
    """(KiB, number of packages) with what it needs. Not a package's: the file, stripped, and its libraries' packages."""
    packages, provided = read_packages()
    base = closure([n for n, p in packages.items() if p[1]], packages, provided)
    own = 0
    if is_package:
        first = owners([program])
    else:
        first, stripped = owners(libraries(program)), program + ".stripped"
        subprocess.run(["strip", "-o", stripped, program], check=True)
        own = os.path.getsize(stripped) // 1024
        os.unlink(stripped)
    more = closure(first, packages, provided) - base
    return own + sum(packages[n][0] for n in more), len(more)
