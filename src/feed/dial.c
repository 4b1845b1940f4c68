// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "dial.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../clock.h"

#define DIAL_RETRY_NS UINT64_C(1000000000)
#define DIAL_PATIENCE_NS UINT64_C(5000000000) /* of one address that does not answer */

int dial_init_path(struct dial *d, const char *path, int type, char *err)
{
	*d = (struct dial){ .type = type, .fd = -1, .path.sun_family = AF_UNIX };
	if (*path != '/' || strlen(path) >= sizeof(d->path.sun_path)) {
		snprintf(err, FEED_ERR_SIZE, "needs an absolute path of at most %zu bytes",
			 sizeof(d->path.sun_path) - 1);
		return -EINVAL;
	}
	strcpy(d->path.sun_path, path);
	return 0;
}

int dial_init_host(struct dial *d, const char *target, const char *default_port, int type, char *err)
{
	*d = (struct dial){ .type = type, .fd = -1 };
	if (!strchr(target, '/') && feed_uri_host(target, default_port, d->host, sizeof(d->host), d->port) == 0)
		return 0;
	snprintf(err, FEED_ERR_SIZE, "needs a host and a port, such as //logs.example.org:514 or //[::1]:514");
	return -EINVAL;
}

void dial_close(struct dial *d)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
	d->connected = false;
	if (d->found)
		freeaddrinfo(d->found);
	d->found = d->next = NULL;
}

int dial_error(const struct dial *d)
{
	socklen_t size = sizeof(int);
	int error = 0;

	return getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &size) ? -errno : -error;
}

/* ---- connecting ---- */

/* 0, -EINPROGRESS, or -errno and nothing is left. */
static int dial_try(struct dial *d, const struct sockaddr *address, socklen_t size, int type)
{
	int on = 1, r;

	d->fd = socket(address->sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (d->fd < 0)
		return -errno;
	d->is_stream = type == SOCK_STREAM;
	if (d->is_stream)
		setsockopt(d->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	r = connect(d->fd, address, size) ? -errno : 0;
	if (r < 0 && r != -EINPROGRESS) {
		close(d->fd);
		d->fd = -1;
	}
	d->connected = r == 0;
	return r;
}

static int dial_path(struct dial *d)
{
	const struct sockaddr *address = (const struct sockaddr *)&d->path;
	int r = dial_try(d, address, sizeof(d->path), d->type);

	if (r == -EPROTOTYPE && d->stream_too)
		r = dial_try(d, address, sizeof(d->path), SOCK_STREAM);
	return r;
}

/* The next address that does not refuse at once. */
static int dial_addresses(struct dial *d)
{
	int r = -EHOSTUNREACH;

	while (d->next && r < 0 && r != -EINPROGRESS) {
		r = dial_try(d, d->next->ai_addr, d->next->ai_addrlen, d->type);
		d->next = d->next->ai_next;
	}
	d->give_up_ns = clock_now_ns(CLOCK_MONOTONIC) + DIAL_PATIENCE_NS;
	return r;
}

static int dial_find(struct dial *d, struct feed_status *status)
{
	struct addrinfo hints = { .ai_socktype = d->type, .ai_flags = AI_NUMERICSERV };
	char text[FEED_TROUBLE_SIZE];
	int r;

	if (d->found)
		freeaddrinfo(d->found);
	d->found = NULL;
	r = getaddrinfo(d->host, d->port, &hints, &d->found);
	d->next = d->found;
	if (r == 0)
		return 0;
	snprintf(text, sizeof(text), "cannot find host %.80s: %.50s", d->host, gai_strerror(r));
	feed_trouble(status, text);
	return -EAGAIN;
}

/* What has become of an attempt that was under way. */
static int dial_answer(struct dial *d)
{
	struct pollfd p = { .fd = d->fd, .events = POLLOUT };
	int r = poll(&p, 1, FEED_TICK_MS);

	if (r < 0)
		r = -EINPROGRESS;
	else if (r > 0)
		r = dial_error(d);
	else
		r = clock_now_ns(CLOCK_MONOTONIC) < d->give_up_ns ? -EINPROGRESS : -ETIMEDOUT;
	d->connected = r == 0;
	if (r < 0 && r != -EINPROGRESS) {
		close(d->fd);
		d->fd = -1;
	}
	return r;
}

static int dial_begin(struct dial *d, struct feed_status *status)
{
	uint64_t now_ns = clock_now_ns(CLOCK_MONOTONIC);
	int r;

	if (now_ns < d->retry_ns)
		return -EAGAIN;
	d->retry_ns = now_ns + DIAL_RETRY_NS;
	if (!d->host[0])
		return dial_path(d);
	r = dial_find(d, status);
	return r < 0 ? r : dial_addresses(d);
}

int dial_connect(struct dial *d, struct feed_status *status)
{
	int r = 0;

	if (d->connected)
		return 0;
	if (d->fd < 0)
		r = dial_begin(d, status);
	if (d->fd >= 0 && !d->connected)
		r = dial_answer(d);
	while (d->fd < 0 && d->next) {
		r = dial_addresses(d);
		if (r == -EINPROGRESS)
			r = dial_answer(d);
	}
	if (r < 0 && r != -EAGAIN && r != -EINPROGRESS)
		feed_trouble_errno(status, "cannot connect", -r);
	return r < 0 ? -EAGAIN : 0;
}

/* ---- writing ---- */

int dial_wait(const struct dial *d, uint64_t until_ns)
{
	uint64_t now_ns = clock_now_ns(CLOCK_MONOTONIC);
	int ms = now_ns < until_ns ? (int)((until_ns - now_ns + 999999) / 1000000) : 0;
	struct pollfd p = { .fd = d->fd, .events = POLLOUT | (d->is_stream ? POLLRDHUP : 0) };
	int r = poll(&p, 1, ms);

	if (r <= 0)
		return r < 0 && errno != EINTR ? -errno : -EAGAIN;
	if (d->is_stream && p.revents & (POLLRDHUP | POLLHUP | POLLERR)) {
		r = dial_error(d);
		return r < 0 ? r : -EPIPE;
	}
	return 0;
}

/* ENOBUFS is over at some time, and nothing tells when. */
int dial_send(const struct dial *d, const struct msghdr *message, uint64_t until_ns)
{
	int r;

	if (sendmsg(d->fd, message, MSG_NOSIGNAL) >= 0)
		return 0;
	if (errno != EAGAIN)
		return errno == ENOBUFS || errno == EINTR ? -EAGAIN : -errno;
	r = dial_wait(d, until_ns);
	if (r < 0)
		return r;
	if (sendmsg(d->fd, message, MSG_NOSIGNAL) >= 0)
		return 0;
	return errno == ENOBUFS || errno == EINTR ? -EAGAIN : -errno;
}
