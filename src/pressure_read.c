// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "pressure_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "pool_read.h"
#include "proc.h"

/* ---- processes ---- */

static uint32_t pressure_add_process(struct pressure_picture *p, uint32_t pid, bool exited, const char *name)
{
	if (p->process_count == p->process_room) {
		size_t room = p->process_room ? 2 * p->process_room : 64;
		struct pressure_process *grown = reallocarray(p->processes, room, sizeof(*grown));

		if (!grown)
			return 0;
		p->processes = grown;
		p->process_room = room;
	}
	p->processes[p->process_count] = (struct pressure_process){ .pid = pid, .exited = exited };
	snprintf(p->processes[p->process_count].name, PRESSURE_NAME_SIZE, "%s", name);
	return (uint32_t)p->process_count++;
}

/* Those that were seen last come first: sockets of one process stand together. */
static uint32_t pressure_process_of(struct pressure_picture *p, uint32_t pid, const char *name, bool may_be_gone)
{
	for (size_t i = p->process_count; i > 1; i--)
		if (p->processes[i - 1].pid == pid && !strncmp(p->processes[i - 1].name, name, PRESSURE_NAME_SIZE - 1))
			return (uint32_t)i - 1;
	return pressure_add_process(p, pid, may_be_gone && proc_has_ended("/proc", pid, 0), name);
}

static uint32_t pressure_owner_of(struct pressure_picture *p, const struct snapshot_socket *sock,
				  const struct pressure_memory *memory, bool recorded)
{
	const struct owner *owner = &p->snap.owners.list[sock->owner_first];

	if (sock->owner_count)
		return pressure_process_of(p, owner->pid, owner->name, false);
	return memory->pid ? pressure_process_of(p, memory->pid, memory->name, !recorded) : 0;
}

/* ---- namespaces ---- */

static int pressure_add_socket(struct pressure_picture *p, const struct pressure_read_options *opts,
			       const struct snapshot_socket *sock)
{
	struct pool_state *pool = &p->pools[sock->netns];
	struct pressure_memory memory = { 0 };
	int r;

	if (!sock->sock.local.port)
		return 0;
	if (opts->recall)
		opts->recall(opts->arg, sock, &memory);
	r = pool_read_add(pool, &sock->sock, memory.how);
	if (r == 0)
		p->process[sock->netns][pool->count - 1] = pressure_owner_of(p, sock, &memory, opts->take);
	return r;
}

static int pressure_add_netns(struct pressure_picture *p, size_t i, size_t sockets)
{
	const struct snapshot_netns *from = &p->snap.netns[i];

	/* the bind buckets may tell of as many again: sockets that sock_diag does not list */
	p->process[i] = calloc(2 * sockets + POOL_PORTS, sizeof(*p->process[i]));
	if (!p->process[i])
		return -ENOMEM;
	pool_read_facts(&from->facts, &p->pools[i]);
	p->pools[i].no_udp = p->snap.no_udp;
	snprintf(p->inputs[i].name, sizeof(p->inputs[i].name), "%s", from->name);
	p->inputs[i].is_own = from->facts.is_own;
	p->inputs[i].place = i;
	p->inputs[i].pool = &p->pools[i];
	p->inputs[i].process = p->process[i];
	return 0;
}

/* ---- what can only be read inside a namespace ---- */

struct pressure_visit {
	struct pressure_input *in;
	const struct pressure_read_options *opts;
};

/* Two lines of /proc/net/netstat: names, then numbers in the same places. */
static uint64_t pressure_named(char *names, char *numbers, const char *wanted)
{
	char *next_name = NULL, *next_number = NULL;
	char *name = strtok_r(names, " \n", &next_name), *number = strtok_r(numbers, " \n", &next_number);

	while (name && number && strcmp(name, wanted)) {
		name = strtok_r(NULL, " \n", &next_name);
		number = strtok_r(NULL, " \n", &next_number);
	}
	return name && number ? strtoull(number, NULL, 10) : 0;
}

static uint64_t pressure_counter(const char *names, const char *numbers, const char *wanted)
{
	_free_ char *a = strdup(names), *b = strdup(numbers);

	return a && b ? pressure_named(a, b, wanted) : 0;
}

static void pressure_read_netstat(struct pressure_counters *ret)
{
	_fclose_ FILE *f = fopen("/proc/thread-self/net/netstat", "re");
	_free_ char *names = NULL, *numbers = NULL;
	size_t room1 = 0, room2 = 0;

	while (f && getline(&names, &room1, f) > 0 && getline(&numbers, &room2, f) > 0) {
		if (strncmp(names, "TcpExt:", 7))
			continue;
		ret->tw_recycled = pressure_counter(names, numbers, "TWRecycled");
		ret->tw_overflow = pressure_counter(names, numbers, "TCPTimeWaitOverflow");
		ret->syn_retrans = pressure_counter(names, numbers, "TCPSynRetrans");
		ret->aborted = pressure_counter(names, numbers, "TCPAbortOnData");
	}
}

/* Hexadecimal, a line for each processor under a line of names. Not there without conntrack. */
static void pressure_read_conntrack(struct pressure_counters *ret)
{
	_fclose_ FILE *f = fopen("/proc/thread-self/net/stat/nf_conntrack", "re");
	_free_ char *names = NULL, *numbers = NULL;
	size_t room1 = 0, room2 = 0;

	if (!f || getline(&names, &room1, f) <= 0)
		return;
	while (getline(&numbers, &room2, f) > 0) {
		_free_ char *a = strdup(names);
		char *next_name = NULL, *next_number = NULL, *name, *number;

		name = a ? strtok_r(a, " \n", &next_name) : NULL;
		number = strtok_r(numbers, " \n", &next_number);
		for (; name && number; name = strtok_r(NULL, " \n", &next_name),
				       number = strtok_r(NULL, " \n", &next_number))
			if (!strcmp(name, "insert_failed"))
				ret->nat_failed += strtoull(number, NULL, 16);
	}
}

static int pressure_visit_here(void *arg)
{
	struct pressure_visit *visit = arg;
	struct pool_state *pool = visit->in->pool;

	pressure_read_netstat(&visit->in->counters);
	pressure_read_conntrack(&visit->in->counters);
	if (!visit->opts->read_buckets)
		return -ECANCELED;
	return visit->opts->read_buckets(pool, pool->range_low, pool->range_high);
}

/* By a process of it, or by its name. 0 or -errno. */
static int pressure_visit_netns(struct pressure_visit *visit)
{
	uint32_t inum = visit->in->pool->netns_inum, pid = netns_find_process(NULL, inum);
	_close_ int fd = -1;
	char path[128];

	if (pid)
		return netns_run(NULL, pid, inum, pressure_visit_here, visit);
	snprintf(path, sizeof(path), "/run/netns/%s", visit->in->name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : netns_run_fd(fd, pressure_visit_here, visit);
}

static void pressure_visit(struct pressure_picture *p, const struct pressure_read_options *opts, size_t i, size_t room)
{
	struct pressure_visit visit = { .in = &p->inputs[i], .opts = opts };
	struct pool_state *pool = &p->pools[i];

	if (opts->take)
		p->inputs[i].bucket_error = -ECANCELED;
	else if (pool->count)
		p->inputs[i].bucket_error = pressure_visit_netns(&visit);
	if (pool->count > room) /* sockets that the buckets alone tell: more than there is room for */
		pool->count = room;
}

static int pressure_fill_picture(struct pressure_picture *p, const struct pressure_read_options *opts)
{
	size_t n = p->snap.namespaces, *sockets = calloc(n + 1, sizeof(*sockets));
	int r = 0;

	p->count = n;
	p->inputs = calloc(n + 1, sizeof(*p->inputs));
	p->pools = calloc(n + 1, sizeof(*p->pools));
	p->process = calloc(n + 1, sizeof(*p->process));
	if (!sockets || !p->inputs || !p->pools || !p->process)
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < p->snap.count; i++)
		sockets[p->snap.sockets[i].netns]++;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = pressure_add_netns(p, i, sockets[i]);
	for (size_t i = 0; r == 0 && i < p->snap.count; i++)
		r = pressure_add_socket(p, opts, &p->snap.sockets[i]);
	for (size_t i = 0; r == 0 && i < n; i++)
		pressure_visit(p, opts, i, 2 * sockets[i] + POOL_PORTS);
	free(sockets);
	return r;
}

int pressure_read(const struct pressure_read_options *opts, struct pressure_picture *ret)
{
	struct snapshot_options how = {
		.netns_inum = opts->netns_inum, .has_owner = opts->has_owner, .arg = opts->arg
	};
	int r;

	*ret = (struct pressure_picture){ 0 };
	r = opts->take ? opts->take(opts->arg, &ret->snap) : snapshot_take(&how, &ret->snap);
	if (r < 0)
		return r;
	pressure_add_process(ret, 0, false, ""); /* nobody */
	r = ret->process_count ? pressure_fill_picture(ret, opts) : -ENOMEM;
	for (size_t i = 0; r == 0 && i < ret->count; i++) {
		ret->inputs[i].processes = ret->processes;
		ret->inputs[i].process_count = ret->process_count;
	}
	if (r < 0)
		pressure_read_free(ret);
	return r;
}

void pressure_read_free(struct pressure_picture *picture)
{
	for (size_t i = 0; picture->pools && picture->process && i < picture->count; i++) {
		pool_free(&picture->pools[i]);
		free(picture->process[i]);
	}
	free(picture->pools);
	free(picture->process);
	free(picture->inputs);
	free(picture->processes);
	snapshot_free(&picture->snap);
	*picture = (struct pressure_picture){ 0 };
}
