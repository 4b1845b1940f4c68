/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the feeds that write lines to a file descriptor share: whole lines, counted when they are out. */
#ifndef PORTTRACE_FEED_WRITER_H
#define PORTTRACE_FEED_WRITER_H

#include <sys/types.h>

#include "../feed.h"
#include "whole.h"

struct feed_writer {
	int fd; /* not owned; -1 = none */
	size_t step; /* bytes of a write at most: with PIPE_BUF none to a pipe blocks after poll() */
	struct whole *whole; /* not owned; not NULL: who writes to it, as it is a regular file */
	char *rest; /* of a line whose beginning has been written */
	size_t rest_size, rest_done, rest_len; /* room, written, all */
};

void feed_writer_init(struct feed_writer *w, int fd, size_t step);
void feed_writer_free(struct feed_writer *w);

/*
 * Writes records, and counts them as delivered in `status`; waits at most FEED_TICK_MS for room. Number of records
 * taken; *ret_error is 0, or -errno of what stopped it (-EAGAIN: no room). A line that was begun is ended later.
 */
size_t feed_writer_deliver(struct feed_writer *w, struct feed_status *status, const struct feed_record *records,
			   size_t count, int *ret_error);
/* A line that was begun will not be ended: it is counted as lost. */
void feed_writer_give_up(struct feed_writer *w, struct feed_status *status);
/* Ends a line that was begun. 0, or -errno: it is still there. */
int feed_writer_end(struct feed_writer *w, struct feed_status *status);

#endif
