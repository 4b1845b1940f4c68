// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "output.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

void output_init(struct output *out, int fd)
{
	out->fd = fd;
	out->buf = (struct buf){ .data = out->room, .size = sizeof(out->room) };
	out->torn = out->torn_own = false;
}

/* Another program may have made our stdout non-blocking: the flag belongs to the open file. */
static int output_wait(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return poll(&p, 1, -1) < 0 ? -errno : 0;
}

/* Ends of lines in the first `n` bytes, but for those that belong to the line above. `own`: is the last its own? */
static size_t output_count(const struct output *out, size_t n, bool *own)
{
	size_t lines = 0;

	*own = out->torn_own;
	for (size_t i = 0; i < n; i++) {
		if (i ? out->buf.data[i - 1] == '\n' : !out->torn)
			*own = out->buf.data[i] != ' ';
		lines += *own && out->buf.data[i] == '\n';
	}
	return lines;
}

/* Most often all of it. */
static void output_drop(struct output *out, size_t n)
{
	bool own;

	if (n == out->buf.len) {
		out->torn = false;
	} else if (n) {
		output_count(out, n, &own);
		out->torn_own = own;
		out->torn = out->buf.data[n - 1] != '\n';
	}
	out->buf.len -= n;
	memmove(out->buf.data, out->buf.data + n, out->buf.len);
}

int output_flush(struct output *out)
{
	size_t done = 0;
	int err = 0;

	while (!err && done < out->buf.len) {
		ssize_t n = write(out->fd, out->buf.data + done, out->buf.len - done);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0)
			err = -EIO;
		else
			err = errno == EAGAIN ? output_wait(out->fd) : -errno;
	}
	output_drop(out, done);
	return err;
}

int output_reserve(struct output *out, size_t n)
{
	int err;

	if (out->buf.size - out->buf.len >= n)
		return 0;
	err = output_flush(out);
	/* An interrupted flush may have made room enough: the caller decides whether to go on. */
	return err == -EINTR || out->buf.size - out->buf.len < n ? err : 0;
}

size_t output_pending(const struct output *out)
{
	bool own;

	return output_count(out, out->buf.len, &own);
}
