// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mntent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "cache.h"
#include "cleanup.h"
#include "proc.h"

int proc_open(const char *proc, uint32_t pid, uint64_t start_ns)
{
	char path[256];
	struct proc_stat stat = { 0 };
	_close_ int fd = -1;
	int err, n = snprintf(path, sizeof(path), "%s/%" PRIu32, proc, pid);

	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	if (start_ns) {
		err = proc_read_stat(fd, &stat);
		if (err < 0)
			return err;
		if (!proc_start_matches(start_ns, stat.start_ticks))
			return -ESRCH;
	}
	return TAKE_FD(fd);
}

bool proc_has_ended(const char *proc, uint32_t pid, uint64_t start_ns)
{
	_close_ int fd = proc_open(proc, pid, 0);
	struct proc_stat stat;

	/* With hidepid= the directories of others seem not to exist. */
	if (fd < 0)
		return fd == -ESRCH && kill((pid_t)pid, 0) < 0 && errno == ESRCH;
	if (proc_read_stat(fd, &stat) < 0)
		return false;
	return stat.ended || (start_ns && !proc_start_matches(start_ns, stat.start_ticks));
}

ssize_t proc_read(int dir_fd, const char *name, char *buf, size_t size)
{
	_close_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	for (; n > 0 && len < size - 1; len += (size_t)n) {
		n = read(fd, buf + len, size - 1 - len);
		if (n < 0)
			return -errno;
	}
	buf[len] = '\0';
	return (ssize_t)len;
}

int proc_read_stat(int dir_fd, struct proc_stat *ret)
{
	char text[1024]; /* 52 numbers and a name; what is needed stands in the first half */
	ssize_t n = proc_read(dir_fd, "stat", text, sizeof(text));

	return n < 0 ? (int)n : proc_parse_stat(text, ret);
}

int proc_parse_stat(const char *text, struct proc_stat *ret)
{
	/* The fields behind the name are letters and numbers, so the last parenthesis ends it. */
	const char *behind = strrchr(text, ')');
	struct proc_stat stat;
	long threads;
	char state;

	/* proc(5): 3 state, 4 ppid, ... 20 num_threads, 22 starttime */
	if (!behind ||
	    sscanf(behind,
		   ") %c %" SCNu32 " %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s"
		   " %ld %*s %" SCNu64,
		   &state, &stat.parent_pid, &threads, &stat.start_ticks) != 4)
		return -EINVAL;
	stat.ended = (state == 'Z' || state == 'X') && threads <= 1;
	*ret = stat;
	return 0;
}

uint64_t proc_ticks_to_ns(uint64_t ticks)
{
	return ticks * (NS_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK));
}

bool proc_start_matches(uint64_t start_ns, uint64_t start_ticks)
{
	uint64_t ticks = start_ns / proc_ticks_to_ns(1);

	return ticks <= start_ticks + 1 && start_ticks <= ticks + 1;
}

uint64_t proc_boot_offset_ns(void)
{
	struct timespec real, boot;

	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	return (uint64_t)(real.tv_sec - boot.tv_sec) * NS_PER_SEC + (uint64_t)real.tv_nsec -
	       (uint64_t)boot.tv_nsec;
}

bool proc_find_mount(const char *type, char *ret_path, size_t size)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent entry;
	char line[4096];
	bool found = false;

	if (!mounts)
		return false;
	while (!found && getmntent_r(mounts, &entry, line, sizeof(line)))
		found = !strcmp(entry.mnt_type, type);
	if (found)
		snprintf(ret_path, size, "%s", entry.mnt_dir);
	endmntent(mounts);
	return found;
}

void proc_join_args(const char *args, size_t size, bool cut, char *ret, size_t ret_size)
{
	size_t n = size < ret_size ? size : ret_size - 1;

	cut = cut || n < size;
	memmove(ret, args, n);
	if (cut) {
		while (n > 0 && ((unsigned char)ret[n - 1] & 0xc0) == 0x80)
			n--;
		if (n > 0 && (unsigned char)ret[n - 1] >= 0xc0)
			n--;
	}
	while (n > 0 && (ret[n - 1] == '\0' || ret[n - 1] == ' '))
		n--;
	for (size_t i = 0; i < n; i++)
		if (ret[i] == '\0')
			ret[i] = ' ';
	ret[n] = '\0';
}
