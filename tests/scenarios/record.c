// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The expectation file: what the program itself knows about each event that it causes. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "workload.h"

static int rec_fd = -1;
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
	{ F_BACKLOG, "backlog" },	  { F_COOKIE, "cookie" },
};

static const char *const role_names[] = { "none", "egress", "ingress" };

int64_t clock_ns(int clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int rec_open(const char *path)
{
	rec_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	return rec_fd < 0 ? -errno : 0;
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

void rec_who(struct who *w)
{
	*w = (struct who){ getpid(), gettid(), getppid(), getuid(), "", NULL };
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
	struct who self;
	const struct who *w = e->who;

	if (!w) {
		rec_who(&self);
		w = &self;
	}
	fprintf(f, ",\"pid\":%d,\"tid\":%d,\"ppid\":%d,\"uid\":%u,\"comm\":\"%s\"", w->pid, w->tid,
		w->ppid, w->uid, w->comm);
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
}

static void put_flag(FILE *f, const struct sock *s, const char *key, int level, int name)
{
	socklen_t len = sizeof(int);
	int value = 0;

	if (!getsockopt(s->fd, level, name, &value, &len))
		fprintf(f, ",\"%s\":%s", key, value ? "true" : "false");
}

static void put_number(FILE *f, const struct sock *s, const char *key, int name)
{
	socklen_t len = sizeof(int);
	int value = 0;

	if (!getsockopt(s->fd, SOL_SOCKET, name, &value, &len) && value)
		fprintf(f, ",\"%s\":%d", key, value);
}

/* The options that decide what becomes of a bind, listen or connect, and the descriptor, asked from the kernel. */
static void put_options(FILE *f, const struct expect *e)
{
	const struct sock *s = e->s;

	if (e->who || (strcmp(e->action, "bind") && strcmp(e->action, "listen") && strcmp(e->action, "connect")))
		return;
	fprintf(f, ",\"fd\":%d", s->fd);
	put_flag(f, s, "reuseaddr", SOL_SOCKET, SO_REUSEADDR);
	put_flag(f, s, "reuseport", SOL_SOCKET, SO_REUSEPORT);
	put_flag(f, s, "no_port", IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
	put_flag(f, s, "freebind", IPPROTO_IP, IP_FREEBIND);
	put_flag(f, s, "transparent", IPPROTO_IP, IP_TRANSPARENT);
	if (s->family == AF_INET6)
		put_flag(f, s, "v6only", IPPROTO_IPV6, IPV6_V6ONLY);
	put_number(f, s, "mark", SO_MARK);
	put_number(f, s, "device", SO_BINDTOIFINDEX);
}

/* What the program knows of the end of a connection. */
static void put_end(FILE *f, const struct expect *e)
{
	if (!strcmp(e->action, "close") && e->s->counted && !(e->free & F_COOKIE))
		fprintf(f, ",\"sent\":%lld,\"got\":%lld", (long long)e->s->sent, (long long)e->s->got);
	put_string(f, "closed_by", e->closed_by);
	put_string(f, "state", e->state);
	put_string(f, "exit", e->who ? e->who->exit : NULL);
}

static void put_hints(FILE *f, const struct expect *e)
{
	put_string(f, "by", e->by);
	put_string(f, "note", e->note);
	put_fields(f, "free", e->free);
	fprintf(f, "%s%s%s", e->cookie_maybe ? ",\"cookie_maybe\":true" : "",
		e->sync ? ",\"sync\":true" : "", e->s->older ? ",\"older\":true" : "");
	fprintf(f, ",\"at\":%lld", (long long)(e->at_ns ? e->at_ns : clock_ns(CLOCK_MONOTONIC)));
	if (e->took_ns)
		fprintf(f, ",\"took\":%lld", (long long)e->took_ns);
}

void rec_event(const struct expect *e)
{
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
	put_string(f, "cause", e->cause);
	put_task(f, e);
	put_socket(f, e);
	put_options(f, e);
	put_end(f, e);
	put_hints(f, e);
	fputs("}\n", f);
	fclose(f);
	rec_line(line, len);
	free(line);
}

void rec_process(pid_t pid)
{
	char line[160];
	int n = snprintf(line, sizeof(line), "{\"meta\":\"process\",\"scenario\":\"%s\",\"pid\":%d}\n",
			 scenario, pid);

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
