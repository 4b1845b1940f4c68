// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The expectation file: what the program itself knows about each event that it causes. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "workload.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif
#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif
#ifndef IPPROTO_UDPLITE
#define IPPROTO_UDPLITE 136
#endif

static int rec_fd = -1;
static const char *expect_path;
static bool paused;
static char scenario[64] = "-";

static const struct {
	unsigned int bit;
	const char *name;
} field_names[] = {
	{ F_LOCAL_IP, "local.ip" },	  { F_LOCAL_PORT, "local.port" },
	{ F_REMOTE_IP, "remote.ip" },	  { F_REMOTE_PORT, "remote.port" },
	{ F_REQ_IP, "requested.ip" },	  { F_REQ_PORT, "requested.port" },
	{ F_HOW, "how" },		  { F_TYPE, "type" },
	{ F_BACKLOG, "backlog" },	  { F_TID, "tid" },
	{ F_COOKIE, "cookie" },		  { F_CAUSE, "cause" },
	{ F_FD, "fd" },			  { F_OPTIONS, "options" },
	{ F_CLOSED_BY, "closed_by" },	  { F_STATE, "state" },
	{ F_BYTES, "bytes" },		  { F_CREATOR, "creator" },
	{ F_EXIT, "exit" },		  { F_HOLDER, "holder" },
	{ F_TOOK, "duration" },		  { F_V6ONLY, "v6only" },
	{ F_PORT_FREE, "port_free" },
};

static const char *const role_names[] = { "none", "egress", "ingress" };

int64_t clock_ns(int clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int rec_open(const char *path, bool append)
{
	expect_path = path;
	rec_fd = open(path, O_WRONLY | O_CREAT | (append ? 0 : O_TRUNC) | O_APPEND | O_CLOEXEC,
		      0644);
	return rec_fd < 0 ? -errno : 0;
}

/* For a program that goes on writing after exec(). */
const char *rec_path(void)
{
	return expect_path;
}

void rec_scenario(const char *name)
{
	snprintf(scenario, sizeof(scenario), "%s", name);
}

void rec_pause(bool on)
{
	paused = on;
}

bool rec_paused(void)
{
	return paused;
}

/* One write() a line: several processes and threads append to the file. */
static void rec_line(const char *line, size_t len)
{
	if (rec_fd >= 0 && write(rec_fd, line, len) != (ssize_t)len)
		perror("expectation file");
}

/* process.name is the comm of the thread group leader, which /proc/self/comm names. */
static void own_comm(char *comm, size_t size)
{
	FILE *f = fopen("/proc/self/comm", "re");

	comm[0] = '\0';
	if (!f)
		return;
	if (fgets(comm, size, f))
		comm[strcspn(comm, "\n")] = '\0';
	fclose(f);
}

static pid_t parent_in_proc(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	int ppid = 0;

	while (f && fgets(line, sizeof(line), f) && sscanf(line, "PPid: %d", &ppid) != 1)
		;
	if (f)
		fclose(f);
	return ppid;
}

/* /proc is that of the first pid namespace, and so are its numbers, whatever getpid() says. */
void rec_who(struct who *w)
{
	char link[64] = "";
	int pid, tid;

	*w = (struct who){ .pid = getpid(), .tid = gettid(), .ppid = getppid(), .uid = getuid() };
	if (readlink("/proc/thread-self", link, sizeof(link) - 1) > 0 &&
	    sscanf(link, "%d/task/%d", &pid, &tid) == 2 && pid != w->pid) {
		w->vpid = w->pid;
		w->pid = pid;
		w->tid = tid;
		w->ppid = parent_in_proc();
	}
	own_comm(w->comm, sizeof(w->comm));
}

/* Port 0 is said only of what was asked for: an endpoint without a port has no key. */
static void put_ep(FILE *f, const char *key, const struct ep *ep, int least_port)
{
	bool port = ep->port >= least_port;

	if (!ep->ip[0] && !port)
		return;
	fprintf(f, ",\"%s\":{", key);
	if (ep->ip[0])
		fprintf(f, "\"ip\":\"%s\"%s", ep->ip, port ? "," : "");
	if (port)
		fprintf(f, "\"port\":%d", ep->port);
	fputc('}', f);
}

static void put_fields(FILE *f, const char *key, unsigned int bits)
{
	const char *sep = "";

	if (!bits)
		return;
	fprintf(f, ",\"%s\":[", key);
	for (size_t i = 0; i < ARRAY_SIZE(field_names); i++) {
		if (!(bits & field_names[i].bit))
			continue;
		fprintf(f, "%s\"%s\"", sep, field_names[i].name);
		sep = ",";
	}
	fputc(']', f);
}

static void put_string(FILE *f, const char *key, const char *value)
{
	if (value)
		fprintf(f, ",\"%s\":\"%s\"", key, value);
}

static void put_task(FILE *f, const struct expect *e)
{
	const struct who *maker = e->maker ? e->maker : &e->s->maker;
	struct who self;
	const struct who *w = e->who;

	if (!w) {
		rec_who(&self);
		w = &self;
	}
	fprintf(f, ",\"pid\":%d,\"tid\":%d,\"ppid\":%d,\"uid\":%u,\"comm\":\"%s\"", w->pid, w->tid,
		w->ppid, w->uid, w->comm);
	if (w->vpid)
		fprintf(f, ",\"vpid\":%d", w->vpid);
	if (w->ended[0])
		put_string(f, "exit", w->ended);
	if (maker->pid && maker->pid != w->pid)
		fprintf(f, ",\"creator\":{\"pid\":%d,\"name\":\"%s\"}", maker->pid, maker->comm);
}

/* ---- options ---- */

static int option(const struct sock *s, int level, int name)
{
	socklen_t len = sizeof(int);
	int value = 0;

	return getsockopt(s->fd, level, name, &value, &len) ? 0 : value;
}

static void put_flag(FILE *f, const char *key, int value)
{
	fprintf(f, ",\"%s\":%s", key, value ? "true" : "false");
}

static bool names_options(const struct expect *e)
{
	return !strcmp(e->action, "bind") || !strcmp(e->action, "listen") ||
	       !strcmp(e->action, "connect");
}

/* What the program would be told if it asked for its own options. */
static void put_options(FILE *f, const struct expect *e)
{
	const struct sock *s = e->s;
	int device = option(s, SOL_SOCKET, SO_BINDTOIFINDEX), mark = option(s, SOL_SOCKET, SO_MARK);

	if (!s->no_fd)
		fprintf(f, ",\"fd\":%d", s->fd);
	put_flag(f, "reuseaddr", option(s, SOL_SOCKET, SO_REUSEADDR));
	put_flag(f, "reuseport", option(s, SOL_SOCKET, SO_REUSEPORT));
	put_flag(f, "no_port", option(s, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT));
	put_flag(f, "freebind", option(s, IPPROTO_IP, IP_FREEBIND));
	put_flag(f, "transparent", option(s, IPPROTO_IP, IP_TRANSPARENT));
	if (s->family == AF_INET6)
		put_flag(f, "v6only", option(s, IPPROTO_IPV6, IPV6_V6ONLY));
	if (device)
		fprintf(f, ",\"device\":%d", device);
	if (mark)
		fprintf(f, ",\"mark\":%d", mark);
}

/* ---- pools ---- */

static bool in_own_netns(const struct sock *s)
{
	struct stat st = { 0 };

	return stat("/proc/thread-self/ns/net", &st) == 0 && st.st_ino == s->netns;
}

/* The range that the kernel picks a port from, where it picks one. */
static void put_pool(FILE *f, const struct expect *e)
{
	bool picked = e->how && strcmp(e->how, "explicit") && strcmp(e->how, "inherited");
	unsigned int low, high, own = option(e->s, IPPROTO_IP, IP_LOCAL_PORT_RANGE);
	FILE *range;

	if (!picked)
		return;
	if (own)
		fprintf(f, ",\"own_range\":[%u,%u]", own & 0xffff, own >> 16);
	if (e->s->wall)
		put_flag(f, "wall", true);
	range = in_own_netns(e->s) ? fopen("/proc/sys/net/ipv4/ip_local_port_range", "re") : NULL;
	if (range && fscanf(range, "%u %u", &low, &high) == 2)
		fprintf(f, ",\"range\":[%u,%u]", low, high);
	if (range)
		fclose(range);
}

/* ---- causes, ends, holders ---- */

static const char *bind_cause(const struct expect *e)
{
	bool picks = e->how && strcmp(e->how, "explicit");

	switch (e->err) {
	case EADDRINUSE: return picks ? "port_exhausted" : "in_use";
	case EAGAIN: return "port_exhausted";
	case EADDRNOTAVAIL: return "not_local";
	case EACCES: return "privileged";
	case EPERM: return "denied";
	}
	return NULL;
}

static const char *connect_cause(const struct expect *e)
{
	switch (e->err) {
	case EAGAIN: return "port_exhausted";
	case EADDRNOTAVAIL: return e->s->connect_picks ? "port_exhausted" : "tuple_clash";
	case ECONNREFUSED: return "refused";
	case ETIMEDOUT: return "timed_out";
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
	case EHOSTDOWN: return "unreachable";
	case EPERM: return "denied";
	case 0: return e->failed ? "given_up" : NULL;
	}
	return NULL;
}

static const char *close_cause(const struct expect *e)
{
	switch (e->err) {
	case ECONNRESET:
	case EPIPE:
	case ECONNREFUSED: return "reset";
	case ETIMEDOUT: return "timed_out";
	case ENETUNREACH:
	case EHOSTUNREACH: return "unreachable";
	}
	return NULL;
}

const char *cause_of(const struct expect *e)
{
	if (e->cause)
		return e->cause;
	if (e->failed && e->err && e->s->cause && strcmp(e->action, "close"))
		return e->s->cause;
	if (!strcmp(e->action, "bind") || !strcmp(e->action, "listen"))
		return e->failed ? bind_cause(e) : NULL;
	if (!strcmp(e->action, "connect"))
		return connect_cause(e);
	return !strcmp(e->action, "close") ? close_cause(e) : NULL;
}

static void put_holder(FILE *f, const struct holder *h)
{
	fprintf(f, ",\"holder\":{\"kind\":\"%s\",\"pid\":%d,\"name\":\"%s\",\"uid\":%u,"
		"\"exited\":%s", h->kind, h->who.pid, h->who.comm, h->who.uid,
		h->exited ? "true" : "false");
	if (h->ip[0])
		fprintf(f, ",\"ip\":\"%s\"", h->ip);
	if (h->expires)
		fprintf(f, ",\"expires\":%d", h->expires);
	fputc('}', f);
}

static void put_end(FILE *f, const struct expect *e)
{
	static const char *const closers[] = { NULL, "local", "remote" };

	put_string(f, "closed_by", closers[e->closer]);
	put_string(f, "state", e->state);
	if (e->sent >= 0)
		fprintf(f, ",\"bytes\":{\"local\":%lld,\"remote\":%lld}", (long long)e->sent,
			(long long)e->got);
	if (e->port_free >= 0)
		put_flag(f, "port_free", e->port_free);
}

/* The address that an event is about, not the socket, says ipv4 or ipv6. */
static const char *type_of(const struct expect *e)
{
	const char *ip = e->local.ip;

	if (e->action[0] == 'c' && e->remote.ip[0])
		ip = e->remote.ip;
	if (!ip[0])
		return e->s->family == AF_INET6 ? "ipv6" : "ipv4";
	return strchr(ip, ':') ? "ipv6" : "ipv4";
}

static void put_socket(FILE *f, const struct expect *e)
{
	fprintf(f, ",\"transport\":\"%s\"", e->s->type == SOCK_DGRAM ? "udp" : "tcp");
	if (!(e->free & F_TYPE))
		put_string(f, "type", type_of(e));
	put_string(f, "role", role_names[e->role]);
	put_ep(f, "local", &e->local, 1);
	put_ep(f, "remote", &e->remote, 1);
	put_ep(f, "requested", &e->requested, 0);
	put_string(f, "how", e->how);
	fprintf(f, ",\"cookie\":%llu,\"netns\":%llu", (unsigned long long)e->s->cookie,
		(unsigned long long)e->s->netns);
	if (e->backlog >= 0)
		fprintf(f, ",\"backlog\":%d", e->backlog);
	if (s_is_mptcp(e->s))
		put_flag(f, "mptcp", true);
	if (e->s->proto == IPPROTO_UDPLITE)
		put_string(f, "iana", "136");
}

/*
 * A connection of MPTCP is several of TCP: what each of them says is not its own. Binding makes
 * the first of them v6-only, and the program is not told.
 */
static unsigned int end_unknown(const struct expect *e)
{
	/* A thread of the kernel's may not be done with the close that it has said is done. */
	unsigned int state = e->s->other_tid ? F_STATE : 0;

	return s_is_mptcp(e->s) ? F_STATE | F_BYTES | F_CLOSED_BY | F_V6ONLY : state;
}

static void put_hints(FILE *f, const struct expect *e)
{
	put_string(f, "by", e->by);
	put_string(f, "note", e->note);
	put_fields(f, "free", e->free | (e->s->other_tid ? F_TID : 0) | end_unknown(e));
	fprintf(f, "%s%s%s", e->cookie_maybe ? ",\"cookie_maybe\":true" : "",
		e->sync ? ",\"sync\":true" : "", e->s->older ? ",\"older\":true" : "");
	fprintf(f, ",\"at\":%lld", (long long)(e->at_ns ? e->at_ns : clock_ns(CLOCK_MONOTONIC)));
	if (e->took_ns)
		fprintf(f, ",\"took\":%lld", (long long)e->took_ns);
}

void rec_event(const struct expect *e)
{
	const char *cause = cause_of(e);
	char *line = NULL;
	size_t len = 0;
	FILE *f;

	if (paused)
		return;
	f = open_memstream(&line, &len);
	if (!f)
		return;
	fprintf(f, "{\"scenario\":\"%s\",\"action\":\"%s\",\"outcome\":\"%s\"", scenario, e->action,
		e->failed ? "failure" : "success");
	put_string(f, "errno", e->err ? strerrorname_np(e->err) : NULL);
	put_string(f, "reason", e->reason);
	put_string(f, "cause", cause);
	put_task(f, e);
	put_socket(f, e);
	if (names_options(e))
		put_options(f, e);
	put_pool(f, e);
	put_end(f, e);
	if (cause && (!strcmp(cause, "in_use") || !strcmp(cause, "tuple_clash")) && e->s->held.kind)
		put_holder(f, &e->s->held);
	put_hints(f, e);
	fputs("}\n", f);
	fclose(f);
	rec_line(line, len);
	free(line);
}

void rec_process(void)
{
	struct who self;
	char line[160];
	int n;

	rec_who(&self);
	n = snprintf(line, sizeof(line), "{\"meta\":\"process\",\"scenario\":\"%s\",\"pid\":%d}\n",
		     scenario, self.pid);
	rec_line(line, n);
}

void rec_result(const char *name, const char *status, const char *reason, int64_t start_ns)
{
	char line[512], why[256];
	int n;

	snprintf(why, sizeof(why), "%s", reason);
	for (char *p = why; *p; p++)
		if (*p == '"' || *p == '\\' || (unsigned char)*p < ' ')
			*p = '\'';
	n = snprintf(line, sizeof(line),
		     "{\"meta\":\"scenario\",\"scenario\":\"%s\",\"status\":\"%s\",\"reason\":\"%s\","
		     "\"start\":%lld,\"end\":%lld}\n",
		     name, status, why, (long long)start_ns, (long long)clock_ns(CLOCK_REALTIME));
	rec_line(line, n);
}
