// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "parse.h"

#define NOTIFY_WAIT_US 100000

/* The address, and its length: an abstract name begins with a zero byte and has no end of its own. */
static int notify_address(const char *text, struct sockaddr_un *ret, socklen_t *ret_len)
{
	size_t len = strlen(text);

	if (text[0] != '/' && text[0] != '@')
		return -EAFNOSUPPORT;
	if (len < 2 || len >= sizeof(ret->sun_path))
		return -EINVAL;
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(ret->sun_path, text, len);
	if (text[0] == '@')
		ret->sun_path[0] = '\0';
	*ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (text[0] == '/'));
	return 0;
}

/* 0 if no sign of life is wanted, or that of another process is. */
static uint64_t notify_watchdog_ns(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	char *end;
	unsigned long long us;
	uint32_t who;

	if (pid && (parse_u32(pid, 1, UINT32_MAX, &who) < 0 || who != (uint32_t)getpid()))
		return 0;
	if (!usec || *usec < '0' || *usec > '9')
		return 0;
	errno = 0;
	us = strtoull(usec, &end, 10);
	return errno || *end || us > UINT64_MAX / 1000 ? 0 : us * 1000;
}

int notify_open(struct notify *ret)
{
	const char *text = getenv("NOTIFY_SOCKET");
	struct timeval wait = { .tv_usec = NOTIFY_WAIT_US };
	int r;

	*ret = (struct notify){ .fd = -1 };
	if (!text || !*text)
		return 0;
	r = notify_address(text, &ret->to, &ret->to_len);
	if (r < 0)
		return r;
	ret->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (ret->fd < 0)
		return -errno;
	setsockopt(ret->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	ret->open = true;
	ret->watchdog_ns = notify_watchdog_ns();
	return 0;
}

void notify_close(struct notify *n)
{
	if (n->open)
		close(n->fd);
	n->open = false;
}

int notify_send(struct notify *n, const char *text)
{
	size_t len = strlen(text);

	if (!n->open)
		return 0;
	return sendto(n->fd, text, len, MSG_NOSIGNAL, (struct sockaddr *)&n->to, n->to_len) < 0 ? -errno : 0;
}

void notify_reloading(struct notify *n)
{
	char text[80];

	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
		 (unsigned long long)clock_now_ns(CLOCK_MONOTONIC) / 1000);
	notify_send(n, text);
}

void notify_sign(struct notify *n, uint64_t now_ns)
{
	if (!n->watchdog_ns || now_ns < n->sign_ns)
		return;
	n->sign_ns = now_ns + n->watchdog_ns / 2;
	notify_send(n, "WATCHDOG=1");
}
