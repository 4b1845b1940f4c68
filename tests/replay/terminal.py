#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A file on a disk that hangs, for tests/replay/disks: a terminal. It takes some kilobytes, and then nothing.

    terminal.py FOLDER     FOLDER/name tells its path. Once FOLDER/go is there, all that was and is written goes to
                           FOLDER/taken, until FOLDER/end is there and no more comes: then FOLDER/done is made.
"""
import os
import pty
import select
import sys
import tty


def main():
    folder = sys.argv[1]
    master, slave = pty.openpty()  # while the slave is open, nothing that was written is lost
    tty.setraw(slave)
    with open(folder + "/name.new", "w") as f:
        f.write(os.ttyname(slave))
    os.rename(folder + "/name.new", folder + "/name")
    while not os.path.exists(folder + "/go"):
        if os.path.exists(folder + "/end"):
            return
        select.select([], [], [], 0.05)
    with open(folder + "/taken", "wb") as out:
        while True:
            ended = os.path.exists(folder + "/end")
            if select.select([master], [], [], 0.05)[0]:
                out.write(os.read(master, 65536))
            elif ended:
                break
    open(folder + "/done", "w").close()


main()
