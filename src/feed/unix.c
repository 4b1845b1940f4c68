// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* --sink unix:/path: JSON Lines to whoever listens on a stream socket. A connection that breaks is made anew. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../clock.h"
#include "writer.h"

#define UNIX_RETRY_NS UINT64_C(1000000000)

struct unix_feed {
	struct feed_writer writer;
	struct feed_status *status;
	struct sockaddr_un address;
	uint64_t retry_ns; /* CLOCK_MONOTONIC: no earlier */
};

static int unix_open(const struct feed_options *opts, void **ret_state, char *err)
{
	const char *path = opts->uri->target;
	struct unix_feed *u;

	if (*path != '/' || strlen(path) >= sizeof(u->address.sun_path)) {
		snprintf(err, FEED_ERR_SIZE,
			 "needs an absolute path of at most %zu bytes, such as unix:/run/collector.sock",
			 sizeof(u->address.sun_path) - 1);
		return -EINVAL;
	}
	u = calloc(1, sizeof(*u));
	if (!u)
		return -ENOMEM;
	feed_writer_init(&u->writer, -1, 64 * 1024);
	u->status = opts->status;
	u->address.sun_family = AF_UNIX;
	strcpy(u->address.sun_path, path);
	*ret_state = u;
	return 0;
}

static void unix_disconnect(struct unix_feed *u)
{
	if (u->writer.fd >= 0)
		close(u->writer.fd);
	u->writer.fd = -1;
	feed_writer_give_up(&u->writer, u->status);
}

static int unix_connect(struct unix_feed *u)
{
	uint64_t now_ns = clock_now_ns(CLOCK_MONOTONIC);

	if (u->writer.fd >= 0)
		return 0;
	if (now_ns < u->retry_ns)
		return -EAGAIN;
	u->retry_ns = now_ns + UNIX_RETRY_NS;
	u->writer.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (u->writer.fd >= 0 && !connect(u->writer.fd, (struct sockaddr *)&u->address, sizeof(u->address)))
		return 0;
	feed_trouble_errno(u->status, "cannot connect", errno);
	unix_disconnect(u);
	return -EAGAIN;
}

static size_t unix_deliver(void *state, const struct feed_record *records, size_t count)
{
	struct unix_feed *u = state;
	size_t n = 0;
	int error = unix_connect(u);

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
	if (u->writer.fd >= 0)
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
