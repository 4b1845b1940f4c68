/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The calls that are traced. A 32-bit program on x86 has two ways into the kernel for each of
 * them, and its C library takes the older one: so it says which.
 */
#ifndef PORTTRACE_TESTS_CALLS_H
#define PORTTRACE_TESTS_CALLS_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

extern bool via_socketcall;

#ifdef __i386__

static inline int call_either(int old, int direct, long a, long b, long c, long d)
{
	long args[4] = { a, b, c, d };

	if (via_socketcall)
		return syscall(SYS_socketcall, old, args);
	return syscall(direct, a, b, c, d);
}

static inline int call_bind(int fd, const void *sa, socklen_t len)
{
	return call_either(2, SYS_bind, fd, (long)sa, len, 0);
}

static inline int call_connect(int fd, const void *sa, socklen_t len)
{
	return call_either(3, SYS_connect, fd, (long)sa, len, 0);
}

static inline int call_listen(int fd, int backlog)
{
	return call_either(4, SYS_listen, fd, backlog, 0, 0);
}

static inline int call_accept4(int fd, void *sa, socklen_t *len, int flags)
{
	return call_either(18, SYS_accept4, fd, (long)sa, (long)len, flags);
}

#else

static inline int call_bind(int fd, const void *sa, socklen_t len)
{
	return bind(fd, sa, len);
}

static inline int call_connect(int fd, const void *sa, socklen_t len)
{
	return connect(fd, sa, len);
}

static inline int call_listen(int fd, int backlog)
{
	return listen(fd, backlog);
}

static inline int call_accept4(int fd, void *sa, socklen_t *len, int flags)
{
	return accept4(fd, sa, len, flags);
}

#endif
#endif
