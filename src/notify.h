/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a service tells its manager: datagrams to $NOTIFY_SOCKET, as sd_notify(3) has them. */
#ifndef PORTTRACE_NOTIFY_H
#define PORTTRACE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct notify {
	bool open; /* there is a manager; without one all of these do nothing */
	int fd; /* owned */
	struct sockaddr_un to;
	socklen_t to_len;
	uint64_t watchdog_ns; /* the manager wants a sign of life so often; 0 = it does not */
	uint64_t sign_ns; /* CLOCK_MONOTONIC: of the next one */
};

/*
 * From $NOTIFY_SOCKET (a path, or '@' and an abstract name), $WATCHDOG_USEC and $WATCHDOG_PID. 0 also if there is no
 * manager; -errno if its address is none. The caller ends it with notify_close.
 */
int notify_open(struct notify *ret);
void notify_close(struct notify *n);
/* "READY=1", "STATUS=words", or several, a line each. 0, or -errno: what the manager does not take in 0.1 s is gone. */
int notify_send(struct notify *n, const char *text);
/* "RELOADING=1" with the time, as Type=notify-reload wants it. READY=1 ends it. */
void notify_reloading(struct notify *n);
/* To be called more often than each `watchdog_ns`: tells the manager twice in that time. */
void notify_sign(struct notify *n, uint64_t now_ns);

#endif
