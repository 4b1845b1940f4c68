// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * For LD_PRELOAD: a disk that takes all writes, and of which fsync() or the close() after it tells that nothing is
 * there: FAILS=fsync, FAILS=close.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int synced = -1;

static int fails(const char *call)
{
	const char *which = getenv("FAILS");

	if (!which || strcmp(which, call) != 0)
		return 0;
	errno = EIO;
	return -1;
}

int fsync(int fd)
{
	synced = fd;
	return fails("fsync");
}

int close(int fd)
{
	int r = (int)syscall(SYS_close, fd);

	if (r || fd != synced)
		return r;
	synced = -1;
	return fails("close");
}
