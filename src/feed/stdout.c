// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* --sink stdout: JSON Lines to standard output, through a queue: a slow reader stops nobody. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "writer.h"

struct stdout_feed {
	struct feed_writer writer;
	struct feed_status *status;
};

static int stdout_open(const struct feed_options *opts, void **ret_state, char *err)
{
	struct stdout_feed *s = calloc(1, sizeof(*s));

	(void)err;
	if (!s)
		return -ENOMEM;
	feed_writer_init(&s->writer, STDOUT_FILENO, PIPE_BUF);
	s->status = opts->status;
	*ret_state = s;
	return 0;
}

static size_t stdout_deliver(void *state, const struct feed_record *records, size_t count)
{
	struct stdout_feed *s = state;
	int error;
	size_t n = feed_writer_deliver(&s->writer, s->status, records, count, &error);

	if (error && error != -EAGAIN && error != -EINTR)
		feed_trouble_errno(s->status, "cannot write", -error);
	else if (!error)
		feed_trouble(s->status, NULL);
	return n;
}

static void stdout_finish(void *state, uint64_t deadline_ns)
{
	struct stdout_feed *s = state;

	(void)deadline_ns;
	if (feed_writer_end(&s->writer, s->status) < 0)
		feed_writer_give_up(&s->writer, s->status);
}

static void stdout_close(void *state)
{
	struct stdout_feed *s = state;

	if (s)
		feed_writer_free(&s->writer);
	free(s);
}

const struct feed_ops feed_stdout = {
	.scheme = "stdout",
	.form = "stdout:",
	.format = &feed_json,
	.open = stdout_open,
	.deliver = stdout_deliver,
	.finish = stdout_finish,
	.close = stdout_close,
};
