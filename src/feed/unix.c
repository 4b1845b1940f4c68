// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* --sink unix:/path: JSON Lines to whoever listens on a stream socket. A connection that breaks is made anew. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "dial.h"
#include "writer.h"

#define UNIX_STEP (64 * 1024)

struct unix_feed {
	struct dial dial;
	struct feed_writer writer;
	struct feed_status *status;
};

static int unix_open(const struct feed_options *opts, void **ret_state, char *err)
{
	struct unix_feed *u = calloc(1, sizeof(*u));
	int r = u ? dial_init_path(&u->dial, opts->uri->target, SOCK_STREAM, err) : -ENOMEM;

	if (r < 0) {
		free(u);
		return r;
	}
	feed_writer_init(&u->writer, -1, UNIX_STEP);
	u->status = opts->status;
	*ret_state = u;
	return 0;
}

static void unix_disconnect(struct unix_feed *u)
{
	dial_close(&u->dial);
	feed_writer_give_up(&u->writer, u->status);
}

static size_t unix_deliver(void *state, const struct feed_record *records, size_t count)
{
	struct unix_feed *u = state;
	size_t n = 0;
	int error = dial_connect(&u->dial, u->status);

	u->writer.fd = u->dial.fd;
	if (!error)
		n = feed_writer_deliver(&u->writer, u->status, records, count, &error);
	if (!error) {
		feed_trouble(u->status, NULL);
	} else if (error != -EAGAIN && error != -EINTR) {
		feed_trouble_errno(u->status, "cannot write", -error);
		unix_disconnect(u);
	}
	return n;
}

static void unix_finish(void *state, uint64_t deadline_ns)
{
	struct unix_feed *u = state;

	(void)deadline_ns;
	if (u->dial.connected)
		feed_writer_end(&u->writer, u->status);
	unix_disconnect(u);
}

static void unix_close(void *state)
{
	struct unix_feed *u = state;

	if (!u)
		return;
	unix_disconnect(u);
	feed_writer_free(&u->writer);
	free(u);
}

const struct feed_ops feed_unix = {
	.scheme = "unix",
	.form = "unix:/path",
	.format = &feed_json,
	.open = unix_open,
	.deliver = unix_deliver,
	.finish = unix_finish,
	.close = unix_close,
};
