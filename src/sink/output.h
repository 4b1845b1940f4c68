/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the sinks that write lines to a file descriptor share: a buffer of whole lines and its way
 * out. */
#ifndef PORTTRACE_SINK_OUTPUT_H
#define PORTTRACE_SINK_OUTPUT_H

#include "../buf.h"

#define OUTPUT_SIZE (64 * 1024) /* what a pipe holds by default */

struct output {
	int fd;		/* not owned */
	struct buf buf; /* lines not yet written; all but a torn first one are whole */
	bool torn;	/* the first one's beginning has been written */
	bool torn_own;	/* and it does not belong to the line above */
	char room[OUTPUT_SIZE];
};

void output_init(struct output *out, int fd);

/*
 * Makes room for a line of up to `n` bytes, writing out what is buffered if it must. 0, or -errno
 * when there is no room: then nothing was taken and nothing is lost; call again.
 */
int output_reserve(struct output *out, size_t n);

/*
 * A buffer over the next `n` bytes of room, to write one line into; output_commit adds that line. Field by field: a
 * struct that is returned is read again at once, in other sizes than it was written, and the processor waits for that.
 */
static inline void output_line(struct output *out, size_t n, struct buf *ret)
{
	size_t left = out->buf.size - out->buf.len;

	ret->data = out->buf.data + out->buf.len;
	ret->len = 0;
	ret->size = n < left ? n : left;
	ret->overflow = false;
}

static inline void output_commit(struct output *out, const struct buf *line)
{
	out->buf.len += line->len;
}

/*
 * Writes all that is buffered, in one write(2) if the file takes it. 0 or -errno; what was not
 * written stays. -EINTR: a signal came; look at the stop flag, then flush again.
 */
int output_flush(struct output *out);

/* Lines that are not written out whole. What begins with a space belongs to the line above. */
size_t output_pending(const struct output *out);

#endif
