// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * --sink journal:[/path]: systemd's journal, in its native protocol, without libsystemd, whose calls wait for a
 * journald that has stopped. A datagram that the kernel took counts as delivered: journald does not answer. What it
 * still has not read when it is killed, and what its rate limit (RateLimitBurst=) leaves out, is lost unseen; the holes
 * in EVENT_SEQUENCE show it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../cleanup.h"
#include "../clock.h"
#include "dial.h"
#include "journal_fields.h"

#define JOURNAL_PATH "/run/systemd/journal/socket"

struct journal_feed {
	struct dial dial;
	struct feed_status *status;
};

static int journal_open(const struct feed_options *opts, void **ret_state, char *err)
{
	const char *path = opts->uri->target[0] ? opts->uri->target : JOURNAL_PATH;
	struct journal_feed *j = calloc(1, sizeof(*j));
	int r = j ? dial_init_path(&j->dial, path, SOCK_DGRAM, err) : -ENOMEM;

	if (r < 0) {
		free(j);
		return r;
	}
	j->status = opts->status;
	*ret_state = j;
	return 0;
}

/* The journal takes a file that nobody can change any more instead of a datagram that is too long for the socket. */
static int journal_seal(const struct feed_record *rec)
{
	_close_ int fd = memfd_create("porttrace-journal", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (write(fd, rec->data, rec->size) != (ssize_t)rec->size)
		return -EIO;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL))
		return -errno;
	return TAKE_FD(fd);
}

static int journal_send_file(struct journal_feed *j, const struct feed_record *rec, uint64_t until_ns)
{
	_close_ int fd = journal_seal(rec);
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .head = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct msghdr message = { .msg_control = &control, .msg_controllen = sizeof(control) };

	if (fd < 0)
		return fd;
	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	return dial_send(&j->dial, &message, until_ns);
}

static int journal_send(struct journal_feed *j, const struct feed_record *rec, uint64_t until_ns)
{
	struct iovec part = { (void *)rec->data, rec->size };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	int r = dial_send(&j->dial, &message, until_ns);

	return r == -EMSGSIZE ? journal_send_file(j, rec, until_ns) : r;
}

static size_t journal_deliver(void *state, const struct feed_record *records, size_t count)
{
	struct journal_feed *j = state;
	uint64_t until_ns = clock_now_ns(CLOCK_MONOTONIC) + FEED_TICK_MS * UINT64_C(1000000);
	size_t n = 0;
	int r = dial_connect(&j->dial, j->status);

	if (r < 0)
		return 0;
	while (r == 0 && n < count) {
		r = journal_send(j, &records[n], until_ns);
		n += r == 0;
	}
	feed_delivered(j->status, n);
	if (r == 0) {
		feed_trouble(j->status, NULL);
	} else if (r != -EAGAIN) {
		feed_trouble_errno(j->status, "cannot write", -r);
		dial_close(&j->dial);
	}
	return n;
}

/* That journald is not there is known before the first event. */
static void journal_tick(void *state)
{
	struct journal_feed *j = state;

	if (!j->dial.connected && dial_connect(&j->dial, j->status) == 0)
		feed_trouble(j->status, NULL);
}

static void journal_close(void *state)
{
	struct journal_feed *j = state;

	if (j)
		dial_close(&j->dial);
	free(j);
}

const struct feed_ops feed_journal = {
	.scheme = "journal",
	.form = "journal:",
	.format = &journal_fields,
	.open = journal_open,
	.deliver = journal_deliver,
	.tick = journal_tick,
	.close = journal_close,
};
