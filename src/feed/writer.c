// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "writer.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define FEED_WRITER_LINES 64

void feed_writer_init(struct feed_writer *w, int fd, size_t step)
{
	*w = (struct feed_writer){ .fd = fd, .step = step };
}

void feed_writer_free(struct feed_writer *w)
{
	free(w->rest);
	w->rest = NULL;
}

static int feed_writer_wait(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int r = poll(&p, 1, FEED_TICK_MS);

	return r < 0 ? -errno : r == 0 ? -EAGAIN : 0;
}

/* The end of a line that only its beginning was written of. */
static int feed_writer_keep(struct feed_writer *w, const struct feed_record *rec, size_t written)
{
	if (w->rest_size < rec->size) {
		char *room = realloc(w->rest, rec->size);

		if (!room)
			return -ENOMEM;
		w->rest = room;
		w->rest_size = rec->size;
	}
	memcpy(w->rest, rec->data, rec->size);
	w->rest_done = written;
	w->rest_len = rec->size;
	return 0;
}

void feed_writer_give_up(struct feed_writer *w, struct feed_status *status)
{
	if (w->rest_len)
		feed_lost(status, 1);
	w->rest_len = 0;
}

/* Bytes, or -errno. */
static ssize_t feed_writer_write(const struct feed_writer *w, const struct iovec *lines, int count)
{
	ssize_t n = w->whole ? whole_write(w->whole, lines, count) : writev(w->fd, lines, count);

	return n < 0 && !w->whole ? -errno : n;
}

int feed_writer_end(struct feed_writer *w, struct feed_status *status)
{
	while (w->rest_len) {
		struct iovec line = { w->rest + w->rest_done, w->rest_len - w->rest_done };
		int r = feed_writer_wait(w->fd);
		ssize_t n = r ? r : feed_writer_write(w, &line, 1);

		if (n < 0)
			return (int)n;
		w->rest_done += (size_t)n;
		if (w->rest_done < w->rest_len)
			continue;
		w->rest_len = 0;
		feed_delivered(status, 1);
	}
	return 0;
}

/* As many lines as one write takes: at least one. */
static int feed_writer_gather(const struct feed_writer *w, const struct feed_record *records, size_t count,
			      struct iovec *ret)
{
	size_t bytes = 0;
	int n = 0;

	while ((size_t)n < count && n < FEED_WRITER_LINES && (!n || bytes + records[n].size <= w->step)) {
		ret[n] = (struct iovec){ (void *)records[n].data, records[n].size };
		bytes += records[n++].size;
	}
	return n;
}

/* Of `records`, those that `written` bytes are of, with the last, which may be cut. */
static size_t feed_writer_count(struct feed_writer *w, struct feed_status *status, const struct feed_record *records,
				size_t written)
{
	size_t n = 0;

	while (written && written >= records[n].size)
		written -= records[n++].size;
	feed_delivered(status, n);
	if (!written)
		return n;
	if (feed_writer_keep(w, &records[n], written) < 0)
		feed_lost(status, 1);
	return n + 1;
}

size_t feed_writer_deliver(struct feed_writer *w, struct feed_status *status, const struct feed_record *records,
			   size_t count, int *ret_error)
{
	struct iovec lines[FEED_WRITER_LINES];
	size_t done = 0;

	*ret_error = feed_writer_end(w, status);
	while (!*ret_error && done < count) {
		int n = feed_writer_gather(w, records + done, count - done, lines);
		ssize_t written;

		*ret_error = feed_writer_wait(w->fd);
		if (*ret_error)
			break;
		written = feed_writer_write(w, lines, n);
		if (written < 0)
			*ret_error = (int)written;
		else
			done += feed_writer_count(w, status, records + done, (size_t)written);
		if (!*ret_error)
			*ret_error = feed_writer_end(w, status);
	}
	return done;
}
