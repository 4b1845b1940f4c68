/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Events as the pipeline would hand them to a sink, and a place to catch what the sink writes. */
#ifndef PORTTRACE_TESTS_EVENTS_H
#define PORTTRACE_TESTS_EVENTS_H

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../src/event.h"
#include "../../src/sink.h"

/* 2026-11-22 08:45:53.001000111 UTC */
#define EVENTS_TIME_NS UINT64_C(1795337153001000111)

static inline struct endpoint events_endpoint(const char *ip, int port)
{
	struct endpoint ep = { .has_port = port >= 0, .port = port >= 0 ? (uint16_t)port : 0 };

	if (inet_pton(AF_INET, ip, ep.addr) == 1)
		ep.ip_version = 4;
	else if (inet_pton(AF_INET6, ip, ep.addr) == 1)
		ep.ip_version = 6;
	return ep;
}

/* What is known of the event's process, to be changed: of this event alone. Two hundred of them stay valid. */
static inline struct event_who *events_who(struct event *ev)
{
	static struct event_who pool[200];
	static size_t next;
	struct event_who *who = &pool[next++ % 200];

	*who = *event_who(ev);
	who->id = 0;
	ev->who = who;
	return who;
}

static inline struct event events_base(enum event_kind kind)
{
	static const struct event_who who = { .executable = "/usr/sbin/nginx", .user = "root" };
	struct event ev = {
		.kind = kind,
		.sequence = 1,
		.time_ns = EVENTS_TIME_NS,
		.ip_version = 4,
		.cookie = 4097,
		.netns_inum = 4026531840,
		.pid = 977,
		.tid = 978,
		.parent_pid = 1,
		.has_uid = true,
		.uid = 0,
		.process_start_real_ns = UINT64_C(1795154400120000000),
		.name = "nginx",
		.who = &who,
	};

	return ev;
}

static inline struct event events_bind(void)
{
	struct event ev = events_base(EVENT_BIND);

	ev.how = HOW_EXPLICIT;
	ev.has_requested = true;
	ev.local = ev.requested = events_endpoint("0.0.0.0", 443);
	ev.local_facts = (struct port_facts){ CLASS_WELL_KNOWN, .service = "https", .privileged = true };
	return ev;
}

static inline struct event events_listen(void)
{
	struct event ev = events_bind();

	ev.kind = EVENT_LISTEN;
	ev.how = HOW_NONE;
	ev.has_requested = false;
	ev.has_backlog = true;
	ev.backlog = 511;
	return ev;
}

static inline struct event events_connect(void)
{
	struct event ev = events_base(EVENT_CONNECT);

	ev.pid = ev.tid = 4312;
	strcpy(ev.name, "api");
	ev.role = ROLE_EGRESS;
	ev.how = HOW_CONNECT;
	ev.has_requested = true;
	ev.requested = events_endpoint("", 0);
	ev.local = events_endpoint("10.0.0.5", 40871);
	ev.remote = events_endpoint("10.0.3.9", 5432);
	ev.local_facts = (struct port_facts){ CLASS_REGISTERED, .service = NULL, .ephemeral = true };
	ev.remote_facts = (struct port_facts){ CLASS_REGISTERED, .service = "postgresql" };
	ev.duration_ns = 1234567;
	return ev;
}

static inline struct event events_connect_failed(void)
{
	struct event ev = events_connect();

	ev.outcome = OUTCOME_FAILURE;
	ev.error = EADDRNOTAVAIL;
	ev.local.has_port = false;
	ev.local_facts = (struct port_facts){ 0 };
	ev.duration_ns = 81233;
	return ev;
}

static inline struct event events_accept(void)
{
	struct event ev = events_base(EVENT_ACCEPT);

	ev.role = ROLE_INGRESS;
	ev.how = HOW_INHERITED;
	ev.local = events_endpoint("10.0.0.5", 443);
	ev.remote = events_endpoint("10.0.0.9", 51514);
	ev.local_facts = (struct port_facts){ CLASS_WELL_KNOWN, .service = "https", .privileged = true };
	ev.remote_facts = (struct port_facts){ CLASS_DYNAMIC, .service = NULL, .ephemeral = true };
	return ev;
}

static inline struct event events_close(void)
{
	struct event ev = events_accept();

	ev.kind = EVENT_CLOSE;
	ev.how = HOW_NONE;
	ev.duration_ns = UINT64_C(10000000000);
	return ev;
}

/* A bind that found its port taken by a listener. */
static inline struct event events_bind_in_use(void)
{
	struct event ev = events_bind();

	ev.outcome = OUTCOME_FAILURE;
	ev.error = EADDRINUSE;
	ev.cause = CAUSE_IN_USE;
	strcpy(ev.reason, "the port is in use");
	ev.has_holder = true;
	ev.holder = (struct holder){ .kind = HOLDER_LISTENER, .pid = 977, .name = "nginx", .has_uid = true };
	ev.holder.uid = 33;
	strcpy(ev.holder.user, "www-data");
	ev.holder.local = events_endpoint("10.0.0.5", 443);
	return ev;
}

/* The same, held by a connection that a process which has ended had closed. */
static inline struct event events_bind_time_wait(void)
{
	struct event ev = events_bind_in_use();

	ev.holder = (struct holder){ .kind = HOLDER_TIME_WAIT, .pid = 8, .name = "curl", .exited = true };
	ev.holder.local = events_endpoint("2001:db8::5", 443);
	ev.holder.has_expires = true;
	ev.holder.expires_s = 42;
	return ev;
}

/* Writes events through a sink and returns what came out, in a buffer that the next call
 * overwrites. */
static inline const char *events_through(const struct sink_ops *ops, struct sink_options opts,
					 const struct event *evs, size_t count)
{
	static char text[256 * 1024];
	void *state = NULL;
	ssize_t n;
	int err;

	opts.fd = memfd_create("sink", MFD_CLOEXEC);
	err = ops->open(&opts, &state);
	for (size_t i = 0; i < count && !err; i++)
		err = ops->event(state, &evs[i]);
	if (!err)
		err = ops->flush(state);
	ops->close(state);
	n = err ? 0 : pread(opts.fd, text, sizeof(text) - 1, 0);
	close(opts.fd);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

#endif
