// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * --sink syslog:[/path] and syslog://host[:port][?transport=tcp], with [?facility=local0]: RFC 5424.
 *
 * What counts as delivered, and what can still be lost unseen (the sequence of the JSON shows it):
 * - /dev/log or another path: a datagram that the kernel put into the receiver's queue. What a receiver that is killed
 *   has not read is lost.
 * - udp: a datagram that was sent, when no network error has come back for a while. An error tells that some datagram
 *   was refused, not which one: all of that while count as lost, and none is sent again. What the network, or a
 *   receiver whose buffer is full, drops is lost.
 * - tcp: a message whose last byte the receiver's kernel has acknowledged. When the connection breaks, messages that
 *   were not count as lost, and are not sent again, for they may have arrived; but the one that was only begun is sent
 *   whole on the next connection: the receiver throws away a counted message that was cut. What a receiver that is
 *   killed has not read is lost.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../clock.h"
#include "acks.h"
#include "dial.h"
#include "syslog_frame.h"

#define SYSLOG_PATH "/dev/log"
#define SYSLOG_UDP_PORT "514"
#define SYSLOG_TCP_PORT "601" /* of RFC 5424 over TCP: syslog-conn */
#define SYSLOG_ROOM (64 * 1024)
#define SYSLOG_BATCH 64
#define SYSLOG_ACK_NS 5000000
#define SYSLOG_SETTLE_NS UINT64_C(1000000000)

struct syslog_feed {
	struct dial dial;
	struct feed_status *status;
	struct syslog_frame frame;
	size_t rest_len, rest_done; /* stream: the message in `room` that was begun; bytes of it, bytes written */
	uint64_t held, held_before; /* udp: sent in this second, in the second before it, and not refused so far */
	uint64_t settle_ns; /* CLOCK_MONOTONIC: when this second ends */
	struct acks acks; /* tcp */
	char room[SYSLOG_ROOM];
};

static bool syslog_is_udp(const struct syslog_feed *s)
{
	return s->dial.host[0] && s->dial.type == SOCK_DGRAM;
}

static bool syslog_is_tcp(const struct syslog_feed *s)
{
	return s->dial.host[0] && s->dial.type == SOCK_STREAM;
}

/* ---- opening ---- */

static int syslog_open_host(struct syslog_feed *s, struct feed_uri *uri, char *err)
{
	const char *transport = feed_uri_param(uri, "transport");

	if (!transport || !strcmp(transport, "udp"))
		return dial_init_host(&s->dial, uri->target + 2, SYSLOG_UDP_PORT, SOCK_DGRAM, err);
	if (!strcmp(transport, "tcp"))
		return dial_init_host(&s->dial, uri->target + 2, SYSLOG_TCP_PORT, SOCK_STREAM, err);
	snprintf(err, FEED_ERR_SIZE, "parameter 'transport' is udp or tcp");
	return -EINVAL;
}

static int syslog_open_path(struct syslog_feed *s, struct feed_uri *uri, char *err)
{
	const char *path = uri->target + (uri->target[0] ? strspn(uri->target + 1, "/") : 0); /* "///dev/log" too */
	int r = dial_init_path(&s->dial, path[0] ? path : SYSLOG_PATH, SOCK_DGRAM, err);

	s->dial.stream_too = true;
	return r;
}

static int syslog_open_facility(struct syslog_feed *s, const struct feed_options *opts, char *err)
{
	const char *name = feed_uri_param(opts->uri, "facility");
	int facility = syslog_frame_facility(name ? name : "local0");

	if (facility < 0) {
		snprintf(err, FEED_ERR_SIZE, "parameter 'facility' is one of syslog(3)'s, such as daemon or local0");
		return facility;
	}
	syslog_frame_init(&s->frame, opts->run->hostname, (unsigned int)getpid(), (unsigned int)facility);
	return 0;
}

static int syslog_open(const struct feed_options *opts, void **ret_state, char *err)
{
	struct syslog_feed *s = calloc(1, sizeof(*s));
	int r = -ENOMEM;

	if (s && !strncmp(opts->uri->target, "//", 2) && opts->uri->target[2] != '/')
		r = syslog_open_host(s, opts->uri, err);
	else if (s)
		r = syslog_open_path(s, opts->uri, err);
	if (r == 0)
		r = syslog_open_facility(s, opts, err);
	if (r < 0) {
		free(s);
		return r;
	}
	s->status = opts->status;
	*ret_state = s;
	return 0;
}

/* ---- the connection ---- */

/* The reader at a path may take a message that was cut for a whole one: that one is not sent again. */
static void syslog_broken(struct syslog_feed *s, int error)
{
	if (syslog_is_udp(s)) {
		feed_lost(s->status, s->held + s->held_before);
		s->held = s->held_before = 0;
	}
	if (syslog_is_tcp(s)) {
		feed_delivered(s->status, acks_take(&s->acks, s->dial.fd));
		feed_lost(s->status, acks_drop(&s->acks));
	}
	if (s->rest_len && !s->dial.host[0]) {
		feed_lost(s->status, 1);
		s->rest_len = 0;
	}
	s->rest_done = 0;
	feed_trouble_errno(s->status, "cannot write", -error);
	dial_close(&s->dial);
}

static int syslog_connect(struct syslog_feed *s)
{
	bool before = s->dial.connected;
	int r = dial_connect(&s->dial, s->status);

	if (r < 0 || before)
		return r;
	s->frame.framing = !s->dial.is_stream ? SYSLOG_DATAGRAM : s->dial.host[0] ? SYSLOG_OCTETS : SYSLOG_NUL;
	if (!syslog_is_udp(s)) /* which connects to anything */
		feed_trouble(s->status, NULL);
	return 0;
}

/* ---- datagrams ---- */

/* A second without a refusal has passed: what was sent before it has arrived, as far as can be told. */
static void syslog_settle(struct syslog_feed *s, uint64_t now_ns)
{
	int r = dial_error(&s->dial);

	if (r < 0) {
		syslog_broken(s, r);
	} else if (now_ns >= s->settle_ns) {
		feed_delivered(s->status, s->held_before);
		if (s->held_before)
			feed_trouble(s->status, NULL);
		s->held_before = s->held;
		s->held = 0;
		s->settle_ns = now_ns + SYSLOG_SETTLE_NS;
	}
}

static void syslog_sent(struct syslog_feed *s)
{
	if (s->dial.host[0])
		s->held++;
	else
		feed_delivered(s->status, 1);
}

static int syslog_datagram(struct syslog_feed *s, const struct feed_record *rec, uint64_t until_ns)
{
	struct buf b = { .data = s->room, .size = sizeof(s->room) };
	struct iovec part;
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	int r;

	syslog_frame_message(&s->frame, rec, &b);
	part = (struct iovec){ b.data, b.len };
	r = dial_send(&s->dial, &message, until_ns);
	if (r == -EMSGSIZE)
		feed_lost(s->status, 1); /* it never will be shorter */
	else if (r == 0)
		syslog_sent(s);
	return r == -EMSGSIZE ? 0 : r;
}

static int syslog_datagrams(struct syslog_feed *s, const struct feed_record *records, size_t count, uint64_t until_ns,
			    size_t *ret_taken)
{
	size_t n = 0;
	int r = 0;

	while (r == 0 && n < count) {
		r = syslog_datagram(s, &records[n], until_ns);
		n += r == 0;
	}
	*ret_taken = n;
	return r;
}

/* ---- streams ---- */

/* Number of bytes that the socket took, or -errno. */
static ssize_t syslog_write(struct syslog_feed *s, const char *data, size_t n, uint64_t until_ns)
{
	int r = dial_wait(&s->dial, until_ns);
	ssize_t written = r < 0 ? r : send(s->dial.fd, data, n, MSG_NOSIGNAL);

	if (r == 0 && written < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	return written;
}

/* So many bytes were written, and with them the last of so many messages. */
static void syslog_written(struct syslog_feed *s, size_t bytes, uint64_t records)
{
	if (syslog_is_tcp(s))
		acks_add(&s->acks, bytes, records);
	else
		feed_delivered(s->status, records);
}

/* Ends the message that was begun. */
static int syslog_end(struct syslog_feed *s, uint64_t until_ns)
{
	while (s->rest_len) {
		ssize_t n = syslog_write(s, s->room + s->rest_done, s->rest_len - s->rest_done, until_ns);

		if (n < 0)
			return (int)n;
		s->rest_done += (size_t)n;
		syslog_written(s, (size_t)n, s->rest_done == s->rest_len);
		if (s->rest_done == s->rest_len)
			s->rest_len = s->rest_done = 0;
	}
	return 0;
}

/* Messages into `room`, as many as fit; where each ends. */
static size_t syslog_gather(struct syslog_feed *s, const struct feed_record *records, size_t count,
			    size_t ends[SYSLOG_BATCH])
{
	struct buf b = { .data = s->room, .size = sizeof(s->room) };
	size_t n = 0;

	while (n < count && n < SYSLOG_BATCH && syslog_frame_message(&s->frame, &records[n], &b))
		ends[n++] = b.len;
	return n;
}

/* Of those, the ones that `written` bytes are of are taken; the last may have been begun only. */
static size_t syslog_take(struct syslog_feed *s, const size_t ends[SYSLOG_BATCH], size_t count, size_t written)
{
	size_t n = 0, begin;

	while (n < count && ends[n] <= written)
		n++;
	begin = n ? ends[n - 1] : 0;
	syslog_written(s, begin, n);
	if (begin == written)
		return n;
	syslog_written(s, written - begin, 0);
	s->rest_len = ends[n] - begin;
	s->rest_done = written - begin;
	memmove(s->room, s->room + begin, s->rest_len);
	return n + 1;
}

static int syslog_stream(struct syslog_feed *s, const struct feed_record *records, size_t count, uint64_t until_ns,
			 size_t *ret_taken)
{
	size_t ends[SYSLOG_BATCH], done = 0;
	int r = syslog_end(s, until_ns);

	while (r == 0 && done < count) {
		size_t n = syslog_gather(s, records + done, count - done, ends);
		ssize_t written = syslog_write(s, s->room, ends[n - 1], until_ns);

		if (written < 0)
			r = (int)written;
		else
			done += syslog_take(s, ends, n, (size_t)written);
		if (r == 0)
			r = syslog_end(s, until_ns);
	}
	*ret_taken = done;
	return r;
}

/* ---- the feed ---- */

static size_t syslog_deliver(void *state, const struct feed_record *records, size_t count)
{
	struct syslog_feed *s = state;
	uint64_t until_ns = clock_now_ns(CLOCK_MONOTONIC) + FEED_TICK_MS * UINT64_C(1000000);
	size_t n;
	int r = syslog_connect(s);

	if (r < 0)
		return 0;
	if (s->dial.is_stream)
		r = syslog_stream(s, records, count, until_ns, &n);
	else
		r = syslog_datagrams(s, records, count, until_ns, &n);
	if (r < 0 && r != -EAGAIN)
		syslog_broken(s, r);
	return n;
}

/* Notices, without events too, that the other end has come, has gone, or takes what was begun. */
static void syslog_tick(void *state)
{
	struct syslog_feed *s = state;
	uint64_t now_ns = clock_now_ns(CLOCK_MONOTONIC);
	int r = 0;

	if (syslog_connect(s) < 0)
		return;
	if (syslog_is_udp(s))
		syslog_settle(s, now_ns);
	if (syslog_is_tcp(s))
		feed_delivered(s->status, acks_take(&s->acks, s->dial.fd));
	if (s->dial.is_stream)
		r = s->rest_len ? syslog_end(s, now_ns) : dial_wait(&s->dial, now_ns);
	if (r < 0 && r != -EAGAIN)
		syslog_broken(s, r);
}

/* Waits for the acknowledgements of what was written. */
static int syslog_finish_tcp(struct syslog_feed *s, uint64_t deadline_ns)
{
	struct timespec rest = { 0, SYSLOG_ACK_NS };
	int r = syslog_end(s, deadline_ns);

	feed_delivered(s->status, acks_take(&s->acks, s->dial.fd));
	while (s->acks.count && (r == 0 || r == -EAGAIN) && clock_now_ns(CLOCK_MONOTONIC) < deadline_ns) {
		nanosleep(&rest, NULL);
		feed_delivered(s->status, acks_take(&s->acks, s->dial.fd));
		r = dial_wait(&s->dial, 0);
	}
	return r;
}

static void syslog_finish(void *state, uint64_t deadline_ns)
{
	struct syslog_feed *s = state;
	int r = 0;

	if (s->dial.connected && syslog_is_udp(s))
		r = dial_error(&s->dial);
	else if (s->dial.connected && syslog_is_tcp(s))
		r = syslog_finish_tcp(s, deadline_ns);
	else if (s->dial.connected)
		r = syslog_end(s, deadline_ns);
	if (r < 0 && r != -EAGAIN)
		syslog_broken(s, r);
	feed_delivered(s->status, s->held + s->held_before);
	feed_lost(s->status, acks_drop(&s->acks) + (s->rest_len != 0));
	s->held = s->held_before = s->rest_len = 0;
}

static void syslog_close(void *state)
{
	struct syslog_feed *s = state;

	if (s)
		dial_close(&s->dial);
	free(s);
}

const struct feed_ops feed_syslog = {
	.scheme = "syslog",
	.form = "syslog://host:port",
	.format = &feed_json,
	.open = syslog_open,
	.deliver = syslog_deliver,
	.tick = syslog_tick,
	.finish = syslog_finish,
	.close = syslog_close,
};
