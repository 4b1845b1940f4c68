// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include "cleanup.h"
#include "netns.h"
#include "parse.h"
#include "proc.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 /* include/uapi/asm-generic/socket.h, 5.14 */
#endif

/*
 * The longest text of ip_local_reserved_ports: "10001-10002,10004-10005,...", four bytes a port.
 * The kernel gives what one read() has room for and nothing after that.
 */
#define NETNS_RESERVED_MAX (65536 * 4)

bool netns_is_reserved(const struct netns_facts *facts, uint16_t port)
{
	return facts->reserved[port / 8] >> (port % 8) & 1;
}

int netns_parse_reserved(const char *text, uint8_t bits[65536 / 8])
{
	unsigned int low, high;
	int n;

	while (*text && *text != '\n') {
		if (sscanf(text, "%5u%n", &low, &n) != 1)
			return -EINVAL;
		text += n;
		high = low;
		if (*text == '-') {
			if (sscanf(text, "-%5u%n", &high, &n) != 1)
				return -EINVAL;
			text += n;
		}
		if (high < low || high > UINT16_MAX || (*text && !strchr(",\n", *text)))
			return -EINVAL;
		for (; low <= high; low++)
			bits[low / 8] |= (uint8_t)(1u << (low % 8));
		text += *text == ',';
	}
	return 0;
}

static int netns_read_reserved(int dir_fd, struct netns_facts *facts)
{
	_free_ char *text = malloc(NETNS_RESERVED_MAX);
	ssize_t n;

	if (!text)
		return -ENOMEM;
	n = proc_read(dir_fd, "ip_local_reserved_ports", text, NETNS_RESERVED_MAX);
	return n < 0 ? (int)n : netns_parse_reserved(text, facts->reserved);
}

/* A number of /proc/sys/net/ipv4; `missing` where the kernel has no such file. */
static int netns_read_number(int dir_fd, const char *name, int missing, int *ret)
{
	char text[32];
	ssize_t n = proc_read(dir_fd, name, text, sizeof(text));

	*ret = missing;
	if (n == -ENOENT || n == -ESRCH) /* proc_read takes it for a process that has gone */
		return 0;
	if (n < 0)
		return (int)n;
	return sscanf(text, "%d", ret) == 1 ? 0 : -EINVAL;
}

/* What decides whether connect() takes over a TIME_WAIT, and whether there is IPv6. */
static int netns_read_numbers(int dir_fd, struct netns_facts *facts)
{
	int timestamps = 0, delay = 0, no_ipv6 = 1;
	int r = netns_read_number(dir_fd, "tcp_tw_reuse", 0, &facts->tw_reuse);

	if (r == 0)
		r = netns_read_number(dir_fd, "tcp_timestamps", 1, &timestamps);
	if (r == 0)
		r = netns_read_number(dir_fd, "tcp_tw_reuse_delay", 0, &delay);
	if (r == 0)
		r = netns_read_number(dir_fd, "../ipv6/conf/all/disable_ipv6", 1, &no_ipv6);
	facts->no_ipv6 = no_ipv6 != 0;
	facts->timestamps = timestamps != 0;
	facts->tw_reuse_delay_ms = (uint32_t)delay;
	return r;
}

/* The calling thread's namespace: /proc/sys/net shows everyone their own. */
static int netns_read_own(const char *proc, struct netns_facts *facts)
{
	char path[256], text[64];
	unsigned int low, high, unprivileged;
	_close_ int fd = -1;
	ssize_t n = snprintf(path, sizeof(path), "%s/sys/net/ipv4", proc);

	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = proc_read(fd, "ip_local_port_range", text, sizeof(text));
	if (n < 0)
		return (int)n;
	if (sscanf(text, "%u %u", &low, &high) != 2 || low > high || high > UINT16_MAX)
		return -EINVAL;
	n = proc_read(fd, "ip_unprivileged_port_start", text, sizeof(text));
	if (n < 0)
		return (int)n;
	if (sscanf(text, "%u", &unprivileged) != 1 || unprivileged > UINT16_MAX)
		return -EINVAL;
	facts->range_low = (uint16_t)low;
	facts->range_high = (uint16_t)high;
	facts->unprivileged_start = (uint16_t)unprivileged;
	facts->cookie = netns_cookie();
	n = netns_read_numbers(fd, facts);
	return n < 0 ? (int)n : netns_read_reserved(fd, facts);
}

uint64_t netns_cookie(void)
{
	_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) < 0)
		return 0;
	return cookie;
}

struct netns_visit {
	int ns_fd;
	int (*fn)(void *arg); /* what to do there */
	void *arg;
	int err;
};

static void *netns_visit_thread(void *arg)
{
	struct netns_visit *visit = arg;

	/* setns() moves this thread only, and it ends here. */
	visit->err = setns(visit->ns_fd, CLONE_NEWNET) < 0 ? -errno : visit->fn(visit->arg);
	return NULL;
}

struct netns_reading {
	const char *proc;
	struct netns_facts *facts;
};

static int netns_visit_sysctls(void *arg)
{
	struct netns_reading *reading = arg;

	return netns_read_own(reading->proc, reading->facts);
}

static int netns_visit_cookie(void *arg)
{
	*(uint64_t *)arg = netns_cookie();
	return 0;
}

/* The thread gets no signals: they are for the main loop. */
static int netns_visit(int ns_fd, int (*fn)(void *arg), void *arg)
{
	struct netns_visit visit = { .ns_fd = ns_fd, .fn = fn, .arg = arg };
	sigset_t all, before;
	pthread_t thread;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&thread, NULL, netns_visit_thread, &visit);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		return -err;
	pthread_join(thread, NULL);
	return visit.err;
}

uint64_t netns_cookie_at(const char *path)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t cookie = 0;

	if (fd >= 0)
		netns_visit(fd, netns_visit_cookie, &cookie);
	return cookie;
}

static int netns_inum(int fd, const char *name, uint32_t *ret)
{
	struct stat st;

	if (fstatat(fd, name, &st, *name ? 0 : AT_EMPTY_PATH) < 0)
		return -errno;
	*ret = (uint32_t)st.st_ino;
	return 0;
}

/* Our own number; 0 where `proc` does not show it. */
static uint32_t netns_own_inum(const char *proc)
{
	char path[256];
	uint32_t inum = 0;
	int n = snprintf(path, sizeof(path), "%s/thread-self/ns/net", proc);

	if (n > 0 && (size_t)n < sizeof(path))
		netns_inum(AT_FDCWD, path, &inum);
	return inum;
}

/* A descriptor of the namespace of a process, and its inode; or -errno. */
static int netns_open_process(const char *proc, uint32_t pid, uint32_t *ret_inum)
{
	_close_ int dir_fd = proc_open(proc, pid, 0), ns_fd = -1;
	int err;

	if (dir_fd < 0)
		return dir_fd;
	ns_fd = openat(dir_fd, "ns/net", O_RDONLY | O_CLOEXEC);
	if (ns_fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	err = netns_inum(ns_fd, "", ret_inum);
	return err < 0 ? err : TAKE_FD(ns_fd);
}

static int netns_read_process(const char *proc, uint32_t pid, uint32_t own, struct netns_facts *facts)
{
	struct netns_reading reading = { proc, facts };
	_close_ int ns_fd = netns_open_process(proc, pid, &facts->inum);

	if (ns_fd < 0)
		return ns_fd;
	if (facts->inum == own)
		return netns_read_own(proc, facts);
	return netns_visit(ns_fd, netns_visit_sysctls, &reading);
}

int netns_run(const char *proc, uint32_t pid, uint32_t inum, int (*fn)(void *arg), void *arg)
{
	_close_ int ns_fd = -1;
	uint32_t found;

	if (!proc)
		proc = "/proc";
	if (inum && netns_own_inum(proc) == inum)
		return fn(arg);
	ns_fd = pid ? netns_open_process(proc, pid, &found) : -ESRCH;
	if (ns_fd < 0)
		return ns_fd;
	return found == inum ? netns_visit(ns_fd, fn, arg) : -ESRCH;
}

int netns_run_fd(int ns_fd, int (*fn)(void *arg), void *arg)
{
	return netns_visit(ns_fd, fn, arg);
}

static bool netns_has_process(const char *proc, uint32_t pid, uint32_t inum)
{
	_close_ int dir_fd = proc_open(proc, pid, 0);
	uint32_t found;

	return dir_fd >= 0 && netns_inum(dir_fd, "ns/net", &found) == 0 && found == inum;
}

uint32_t netns_find_process(const char *proc, uint32_t inum)
{
	const char *path = proc ? proc : "/proc";
	_closedir_ DIR *dir = opendir(path);
	struct dirent *entry;
	uint32_t pid;

	while (dir && (entry = readdir(dir)))
		if (!parse_u32(entry->d_name, 1, UINT32_MAX, &pid) && netns_has_process(path, pid, inum))
			return pid;
	return 0;
}

int netns_read_sysctls(const char *proc, uint32_t pid, struct netns_facts *ret)
{
	_free_ struct netns_facts *facts = calloc(1, sizeof(*facts));
	uint32_t own;
	int err;

	if (!facts)
		return -ENOMEM;
	if (!proc)
		proc = "/proc";
	facts->inum = netns_own_inum(proc);
	own = facts->inum;
	err = pid ? netns_read_process(proc, pid, own, facts) : netns_read_own(proc, facts);
	if (err < 0)
		return err;
	facts->is_own = facts->inum == own;
	*ret = *facts;
	return 0;
}

int netns_resolve(const char *text, uint32_t *ret_inum, char *ret_path, size_t size)
{
	bool is_pid = !text[strspn(text, "0123456789")];
	struct statfs fs;
	struct stat st;

	snprintf(ret_path, size, is_pid ? "/proc/%s/ns/net" : "%s", text);
	if (stat(ret_path, &st) < 0 || statfs(ret_path, &fs) < 0)
		return is_pid && errno == ENOENT ? -ESRCH : -errno;
	if (fs.f_type != NSFS_MAGIC)
		return -EINVAL;
	*ret_inum = (uint32_t)st.st_ino;
	return 0;
}
