// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Writes a recording of a machine that was never there, as large as is wanted:
 *
 *   make FILE EVENTS [EVENTS-A-SECOND [OPEN]]
 *
 * 4000 a second unless given: 1000 connections, and 60,000 ports in TIME_WAIT. Clients of 8 processes connect to a
 * server of another 8, which accepts; both close. With names, services and the kernel's truth, as the tracing backend
 * tells them; each 64th connection is refused, and each 64th bind finds its port in use.
 *
 * With OPEN another machine: so many connections are opened and stay, and then any of them ends, and another takes its
 * place, until there were EVENTS.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode.h"
#include "porttrace/raw_event.h"
#include "recording.h"

#define START_NS UINT64_C(1790000000000000000)
#define BOOT_NS UINT64_C(1000000000000)

struct maker {
	struct recorder *rec;
	struct decode decode;
	uint64_t left, time_ns, pace_ns, cookie, batch;
};

static struct raw_event maker_record(struct maker *m, int kind, uint64_t socket, unsigned int process)
{
	struct raw_event raw = { .magic = RAW_EVENT_MAGIC, .version = RAW_EVENT_VERSION, .kind = (uint8_t)kind,
				 .flags = RAW_F_TRUTH | RAW_F_LEADER_COMM | RAW_F_FD | RAW_F_OPTIONS };

	m->time_ns += m->pace_ns;
	raw.time_ns = m->time_ns;
	raw.socket_id = 0xffff888000000000ull + socket * 2240 % 0x3fffffff;
	raw.cookie = socket;
	raw.cgroup_id = 4242 + process;
	raw.process_start_ns = 5000000000ull + process * 10000000ull;
	raw.netns_inum = 4026531840u;
	raw.pid = raw.tid = 1000 + process;
	raw.parent_pid = 1;
	raw.exec_id = 2;
	raw.uid = 33;
	raw.fd = (int)(3 + socket % 512);
	raw.family = AF_INET;
	raw.protocol = IPPROTO_TCP;
	raw.range_low = 32768;
	raw.range_high = 60999;
	raw.unprivileged_start = 1024;
	snprintf(raw.comm, sizeof(raw.comm), process < 8 ? "client-%u" : "nginx", process);
	return raw;
}

static void maker_ends(struct raw_event *raw, uint32_t local, uint16_t local_port, uint32_t remote,
		       uint16_t remote_port)
{
	local = htonl(local);
	remote = htonl(remote);
	memcpy(raw->local_addr, &local, 4);
	memcpy(raw->remote_addr, &remote, 4);
	raw->local_port = local_port;
	raw->remote_port = remote_port;
}

/* As the enrichers of a live run would have filled it in. */
static void maker_tell(struct maker *m, const struct raw_event *raw)
{
	unsigned int process = raw->pid - 1000;
	struct event_who who = { 0 };
	struct event ev;

	if (m->batch++ % 1000 == 0) {
		m->decode.boot_offset_ns = (int64_t)(START_NS + m->batch % 7);
		recorder_batch(m->rec, START_NS + m->time_ns, m->decode.boot_offset_ns);
	}
	if (!m->left || decode_event(&m->decode, raw, sizeof(*raw), &ev) < 0)
		return;
	m->left--;
	ev.who = &who;
	snprintf(who.executable, sizeof(who.executable), "/usr/sbin/%s", ev.name);
	snprintf(who.command_line, sizeof(who.command_line), "%s: worker process %u of the site", ev.name, process);
	snprintf(who.user, sizeof(who.user), "www-data");
	snprintf(who.container_id, sizeof(who.container_id), "%064x", process + 0xabc000);
	snprintf(who.container_runtime, sizeof(who.container_runtime), "docker");
	if (ev.local.port == 443)
		ev.local_facts.service = "https";
	if (ev.remote.port == 443)
		ev.remote_facts.service = "https";
	recorder_event(m->rec, raw, &ev);
}

static void maker_connection(struct maker *m, uint64_t i)
{
	uint16_t port = (uint16_t)(32768 + i * 2 % 28232);
	uint32_t client = 0x0a000005, server = 0x0a000309;
	struct raw_event raw = maker_record(m, RAW_CONNECT, ++m->cookie, (unsigned int)(i % 8));
	struct raw_event end;

	raw.flags |= RAW_F_SEARCH | RAW_F_SYN_SENT | RAW_F_EGRESS;
	raw.how = RAW_HOW_CONNECT;
	raw.duration_ns = 40000 + i * 7919 % 100000;
	raw.search_ns = 800 + i % 1000;
	maker_ends(&raw, client, port, server, 443);
	if (i % 64 == 0) {
		raw.error = ECONNREFUSED;
		maker_tell(m, &raw);
		return;
	}
	maker_tell(m, &raw);
	end = maker_record(m, RAW_ACCEPT, ++m->cookie, 8 + (unsigned int)(i % 8));
	end.flags |= RAW_F_INGRESS;
	end.how = RAW_HOW_INHERITED;
	maker_ends(&end, server, 443, client, port);
	maker_tell(m, &end);
	raw.time_ns = m->time_ns += m->pace_ns;
	raw.kind = end.kind = RAW_CLOSE;
	raw.how = end.how = RAW_HOW_NONE;
	raw.flags = (raw.flags & ~(uint32_t)RAW_F_SEARCH) | RAW_F_BYTES;
	end.flags |= RAW_F_BYTES;
	raw.bytes_sent = end.bytes_received = 100 + i % 5000;
	raw.bytes_received = end.bytes_sent = 3000 + i * 31 % 100000;
	raw.closer = RAW_CLOSER_LOCAL;
	raw.after = RAW_AFTER_TIME_WAIT;
	maker_tell(m, &raw);
	end.time_ns = m->time_ns += m->pace_ns;
	end.closer = RAW_CLOSER_REMOTE;
	end.after = RAW_AFTER_CLOSED;
	maker_tell(m, &end);
}

static void maker_bind(struct maker *m, uint64_t i)
{
	struct raw_event raw = maker_record(m, RAW_BIND, ++m->cookie, 8 + (unsigned int)(i % 8));

	raw.flags |= RAW_F_REQUESTED;
	raw.how = RAW_HOW_EXPLICIT;
	raw.requested_family = AF_INET;
	raw.requested_port = 443;
	raw.error = EADDRINUSE;
	maker_tell(m, &raw);
}

/* ---- many that stay ---- */

/* The place of an open connection; `turn`: how many were there before. Each has another address, port and cookie. */
static void maker_open(struct maker *m, uint64_t place, uint64_t turn, int kind)
{
	struct raw_event raw = maker_record(m, kind, place << 24 | (turn + 1), (unsigned int)(place % 8));

	raw.flags |= RAW_F_SYN_SENT | RAW_F_EGRESS;
	raw.socket_id = 0xffff888000000000ull + place * 2240;
	maker_ends(&raw, 0x0a000005 + (uint32_t)(place / 28232), (uint16_t)(32768 + place % 28232), 0x0a000309, 443);
	if (kind == RAW_CONNECT) {
		raw.how = RAW_HOW_CONNECT;
		raw.duration_ns = 40000;
	} else {
		raw.closer = RAW_CLOSER_REMOTE;
		raw.after = RAW_AFTER_CLOSED;
	}
	maker_tell(m, &raw);
}

static int maker_stay(struct maker *m, uint64_t open)
{
	uint8_t *turns = calloc(open, sizeof(*turns));
	uint64_t x = 88172645463325252ull;

	if (!turns)
		return -ENOMEM;
	for (uint64_t i = 0; i < open; i++)
		maker_open(m, i, 0, RAW_CONNECT);
	while (m->left) {
		uint64_t place;

		x ^= x << 13; /* xorshift64 */
		x ^= x >> 7;
		x ^= x << 17;
		place = x % open;
		maker_open(m, place, turns[place], RAW_CLOSE);
		turns[place]++;
		maker_open(m, place, turns[place], RAW_CONNECT);
	}
	free(turns);
	return 0;
}

int main(int argc, char **argv)
{
	struct recording_header header = { .backend = BACKEND_TRACING, .start_ns = START_NS, .hostname = "nowhere",
					   .kernel = "6.1.0", .porttrace = "test" };
	struct recording_end end = { 0 };
	struct maker m = { .time_ns = BOOT_NS };
	char err[RECORDING_ERR_SIZE] = "usage: make FILE EVENTS [EVENTS-A-SECOND [OPEN]]";

	m.decode.boot_offset_ns = (int64_t)START_NS;
	m.left = argc >= 3 ? strtoull(argv[2], NULL, 10) : 0;
	m.pace_ns = 1000000000 / (argc > 3 ? strtoull(argv[3], NULL, 10) : 4000);
	if (!m.left || recorder_open(argv[1], false, &m.rec, err) < 0) {
		fprintf(stderr, "%s\n", err);
		return 2;
	}
	end.seen = m.left;
	recorder_begin(m.rec, &header);
	if (argc > 4 && maker_stay(&m, strtoull(argv[4], NULL, 10)) < 0)
		return 1;
	for (uint64_t i = 1; m.left; i++) {
		maker_connection(&m, i);
		if (i % 64 == 1)
			maker_bind(&m, i);
	}
	end.time_ns = START_NS + m.time_ns;
	if (recorder_end(m.rec, &end, UINT64_MAX) < 0)
		return 1;
	recorder_close(m.rec);
	return 0;
}
