/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Writes lines to a regular file so that a SIGKILL of this process leaves no torn one at its end.
 *
 * The kernel copies a page at once into a file, and looks for SIGKILL before the next (generic_perform_write,
 * mm/filemap.c): a killed process's write(2) may end in the midst of a line. So it is not this process that writes but
 * a helper, a child that a SIGKILL of this process does not reach:
 *
 *     whole_write: copies lines into a page of memory that both have -> a message "so many bytes" -> waits
 *     helper:      write(2) until all is out or nothing more goes    -> a message "so many bytes are" -> waits
 *
 * When this process has gone, however it went, the socket between them ends: the helper has ended the write that it was
 * asked for, takes away a line that it could only begin (a full disk), and ends. Nothing is left but what a disk that
 * hangs holds.
 *
 * Why a process with a memory of its own, and not a task that shares ours (CLONE_VM): the OOM killer, which sends most
 * SIGKILLs that nobody expects, kills all that share the memory; and with our files (CLONE_FILES) it would keep the
 * programs attached, and the locks of the history held, as long as a disk hangs. It is made at the start, when we are
 * small. It has no file but the socket and the one that is written; a session of its own, so that a signal to our
 * process group does not reach it; all signals blocked, as a manager of services sends SIGTERM to it too while sinks
 * still get what waits; a name of its own ("file-sink"), so that killall and pkill by ours do not mean it. It ends no
 * wait for children but one with __WALL, and no SIGCHLD tells of it: the traced command's end is told by these. Its
 * capabilities are those of the thread that made it, which writing to an open file is all the same to.
 *
 * Where it cannot be made, or was killed itself, this process writes. And whoever writes goes behind the end of a page
 * only with a line that does: should both be killed at once (a whole cgroup, a pid namespace with its first process),
 * a torn line is rare still.
 */
#ifndef PORTTRACE_FEED_WHOLE_H
#define PORTTRACE_FEED_WHOLE_H

#include <sys/types.h>
#include <sys/uio.h>

#define WHOLE_ROOM (64 * 1024)

struct whole {
	char *room; /* WHOLE_ROOM bytes, shared with the helper; NULL before whole_open() */
	int file; /* as whole_use() got it; not owned, the helper has its own */
	int socket; /* to the helper; -1 = none */
	pid_t helper; /* 0 = none */
};

/* 0 or -ENOMEM. One that is all zeros can be given to whole_close(). */
int whole_open(struct whole *w);
/* Waits for the helper's end, but not for that of a disk that hangs. */
void whole_close(struct whole *w);

/*
 * The file that is written from now on: regular, O_APPEND, O_RDWR; the helper holds it too, until the next call.
 * -1 = none. Makes the helper if there is none.
 */
void whole_use(struct whole *w, int file);

/*
 * Writes what of `lines` fits into WHOLE_ROOM, as write(2): the number of bytes that are written, fewer than all if
 * something stopped it, or -errno. Lines end with a newline, and may be continued by the next call.
 */
ssize_t whole_write(struct whole *w, const struct iovec *lines, int count);

#endif
