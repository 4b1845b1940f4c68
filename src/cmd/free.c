// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* porttrace free [SRC] DST:PORT: how many more connections can be opened. */
#include "free.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "../bucket.h"
#include "../cleanup.h"
#include "../cmd.h"
#include "../pool_read.h"
#include "help.h"
#include "who_options.h"

/* What it ends with beside the tree's: as a health check, like `why`. */
enum free_status {
	FREE_STATUS_HALF_FULL = 1,
	FREE_STATUS_FULL = 2,
};

union free_address {
	struct sockaddr any;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
};

/* One run. */
struct free_run {
	struct free_options opts;
	struct pool_key key;
	struct pool_state state;
	struct pool_measure measure;
	int bucket_error; /* -errno: why the bind buckets could not be read */
	struct report out;
};

static int free_error(int error, const char *what)
{
	fprintf(stderr, "porttrace: %s: %s\n", what, strerrordesc_np(-error));
	return error == -EPERM || error == -EACCES ? EXIT_STATUS_NOT_PERMITTED : EXIT_STATUS_FAILED;
}

/* ---- addresses ---- */

static void free_from_sockaddr(const union free_address *from, struct endpoint *ret)
{
	*ret = (struct endpoint){ .ip_version = 4, .has_port = true, .port = ntohs(from->in4.sin_port) };
	if (from->any.sa_family == AF_INET) {
		memcpy(ret->addr, &from->in4.sin_addr, 4);
	} else if (IN6_IS_ADDR_V4MAPPED(&from->in6.sin6_addr)) {
		memcpy(ret->addr, &from->in6.sin6_addr.s6_addr[12], 4);
	} else {
		ret->ip_version = 6;
		memcpy(ret->addr, &from->in6.sin6_addr, 16);
	}
}

static socklen_t free_to_sockaddr(const struct endpoint *from, union free_address *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (from->ip_version == 6) {
		ret->in6.sin6_family = AF_INET6;
		ret->in6.sin6_port = htons(from->port);
		memcpy(&ret->in6.sin6_addr, from->addr, 16);
		return sizeof(ret->in6);
	}
	ret->in4.sin_family = AF_INET;
	ret->in4.sin_port = htons(from->port);
	memcpy(&ret->in4.sin_addr, from->addr, 4);
	return sizeof(ret->in4);
}

static const char *free_name(const struct endpoint *ep, char ret[INET6_ADDRSTRLEN])
{
	return inet_ntop(ep->ip_version == 6 ? AF_INET6 : AF_INET, ep->addr, ret, INET6_ADDRSTRLEN);
}

static int free_family(const struct endpoint *ep)
{
	return ep->ip_version == 6 ? AF_INET6 : ep->ip_version == 4 ? AF_INET : AF_UNSPEC;
}

/* The exit status. Of several addresses, the one that a program would try first. */
static int free_resolve(struct free_run *run)
{
	const struct free_options *opts = &run->opts;
	struct addrinfo *list = NULL, hints = { .ai_family = free_family(&opts->source),
						.ai_socktype = opts->udp ? SOCK_DGRAM : SOCK_STREAM,
						.ai_flags = opts->numeric ? AI_NUMERICHOST : 0 };
	union free_address address = { 0 };
	int r = getaddrinfo(opts->host, opts->service, &hints, &list);

	if (r) {
		fprintf(stderr, "porttrace: cannot resolve '%.60s:%.20s': %s\n", opts->host, opts->service,
			r == EAI_SYSTEM ? strerrordesc_np(errno) : gai_strerror(r));
		return EXIT_STATUS_FAILED;
	}
	memcpy(&address, list->ai_addr, list->ai_addrlen < sizeof(address) ? list->ai_addrlen : sizeof(address));
	freeaddrinfo(list);
	free_from_sockaddr(&address, &run->key.destination);
	if (run->key.destination.port)
		return EXIT_STATUS_OK;
	fprintf(stderr, "porttrace: 0 is no port to connect to\n");
	return EXIT_STATUS_USAGE;
}

/* A raw socket takes no port; who may not have one takes a UDP port for a moment. */
static int free_probe_socket(int family)
{
	int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP);

	return fd >= 0 ? fd : socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

/* Is it an address of this namespace? 0 or -errno. */
static int free_bind(int fd, const struct endpoint *source)
{
	union free_address address;
	struct endpoint any_port = *source;
	socklen_t len;

	any_port.port = 0;
	len = free_to_sockaddr(&any_port, &address);
	return bind(fd, &address.any, len) < 0 ? -errno : 0;
}

/* The addresses that a connect() of this namespace would have. No packet is sent. 0 or -errno. */
static int free_route(int fd, struct pool_key *key)
{
	union free_address address;
	uint16_t port = key->destination.port;
	socklen_t len = free_to_sockaddr(&key->destination, &address);

	if (connect(fd, &address.any, len) < 0)
		return -errno;
	len = sizeof(address);
	if (getsockname(fd, &address.any, &len) < 0)
		return -errno;
	free_from_sockaddr(&address, &key->source);
	len = sizeof(address);
	if (getpeername(fd, &address.any, &len) == 0)
		free_from_sockaddr(&address, &key->destination);
	key->source.port = 0;
	key->destination.port = port;
	return 0;
}

/* Runs in the namespace. The exit status. */
static int free_choose_source(struct free_run *run)
{
	const struct endpoint *given = &run->opts.source;
	char name[INET6_ADDRSTRLEN];
	_close_ int fd = -1;
	int r = 0;

	run->key.source = *given;
	if (run->key.kind == POOL_UDP && !given->ip_version) {
		run->key.source.ip_version = run->key.destination.ip_version;
		return EXIT_STATUS_OK;
	}
	fd = free_probe_socket(free_family(given->ip_version ? given : &run->key.destination));
	if (fd < 0)
		return free_error(-errno, "cannot make a socket");
	if (given->ip_version)
		r = free_bind(fd, given);
	if (r < 0) {
		fprintf(stderr, "porttrace: %s is no address of this network namespace: %s\n", free_name(given, name),
			strerrordesc_np(-r));
		return EXIT_STATUS_FAILED;
	}
	if (run->key.kind == POOL_CONNECT)
		r = free_route(fd, &run->key);
	if (r == 0)
		return EXIT_STATUS_OK;
	fprintf(stderr, "porttrace: there is no way to %s from here: %s\n", free_name(&run->key.destination, name),
		strerrordesc_np(-r));
	return EXIT_STATUS_FAILED;
}

/* ---- a run ---- */

static void free_read_buckets(struct free_run *run)
{
	struct pool_state *s = &run->state;

	if (run->key.kind != POOL_UDP)
		run->bucket_error = bucket_read(s, s->range_low, s->range_high);
	bucket_end();
}

/* Runs in the namespace. The exit status, or -errno. */
static int free_look(void *arg)
{
	struct free_run *run = arg;
	int status = free_choose_source(run), r;

	if (status != EXIT_STATUS_OK)
		return status;
	r = pool_read(NULL, &run->state);
	if (r == 0)
		free_read_buckets(run);
	return r;
}

static int free_enter(struct free_run *run)
{
	char path[PATH_MAX], err[CLI_ERR_SIZE];
	_close_ int fd = -1;
	uint32_t inum;

	if (!run->opts.netns)
		return free_look(run);
	if (!strcmp(run->opts.netns, "all") || who_parse_netns(run->opts.netns, &inum, err) < 0) {
		fprintf(stderr, "porttrace: option '--netns': %s\n",
			strcmp(run->opts.netns, "all") ? err : "one network namespace at a time");
		return EXIT_STATUS_FAILED;
	}
	if (netns_resolve(run->opts.netns, &inum, path, sizeof(path)) < 0)
		return netns_run(NULL, netns_find_process(NULL, inum), inum, free_look, run);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : netns_run_fd(fd, free_look, run);
}

static int free_status(const struct pool_measure *m)
{
	if (!m->free.max)
		return FREE_STATUS_FULL;
	return m->has_half && !m->half_free.max ? FREE_STATUS_HALF_FULL : EXIT_STATUS_OK;
}

static int free_show(struct free_run *run)
{
	struct free_facts facts = { .key = &run->key, .state = &run->state, .measure = &run->measure,
				    .bucket_error = run->bucket_error };
	int r = pool_measure(&run->state, &run->key, &run->measure);

	if (r == -ENOENT) {
		fprintf(stderr, "porttrace: this kernel has no udp_diag: its UDP sockets cannot be listed\n");
		return EXIT_STATUS_NO_KERNEL_SUPPORT;
	}
	if (r < 0)
		return free_error(r, "cannot count the ports");
	if (run->opts.json)
		free_json(&run->out.b, &facts);
	else
		free_text(&run->out.b, &facts);
	r = report_end(&run->out);
	return r < 0 && r != -EPIPE ? free_error(r, "cannot write the output") : free_status(&run->measure);
}

static int free_answer(struct free_run *run)
{
	int r = run->opts.host[0] ? free_resolve(run) : EXIT_STATUS_OK;

	if (r != EXIT_STATUS_OK)
		return r;
	run->key.kind = run->opts.udp ? POOL_UDP : run->opts.bind ? POOL_BIND : POOL_CONNECT;
	run->key.range_low = run->opts.range.low;
	run->key.range_high = run->opts.range.high;
	r = free_enter(run);
	if (r > 0)
		return r;
	if (r == -EINTR) {
		fprintf(stderr, "porttrace: the sockets change too fast to be counted: try again\n");
		return EXIT_STATUS_FAILED;
	}
	return r < 0 ? free_error(r, run->opts.netns ? "cannot look into that network namespace" :
						       "cannot list the sockets") : free_show(run);
}

static int free_main(int argc, char **argv)
{
	static struct free_run run; /* large: a byte a port */
	char err[CLI_ERR_SIZE];
	int status;

	signal(SIGPIPE, SIG_IGN);
	report_init(&run.out, STDOUT_FILENO);
	if (free_options_parse(&run.opts, argc, argv, err) < 0) {
		fprintf(stderr, "porttrace: %s\nTry 'porttrace free --help'.\n", err);
		return EXIT_STATUS_USAGE;
	}
	if (run.opts.help)
		return help_print(&free_command);
	status = free_answer(&run);
	pool_free(&run.state);
	return status;
}

const struct command cmd_free = { "free", "how many more connections can be opened", free_main };
