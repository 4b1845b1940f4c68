// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif
#define NET_BACKLOG 65535

static void net_fail(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

uint64_t net_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void net_sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

/* ---- the namespace ---- */

bool net_sysctl(const char *name, const char *value)
{
	char path[128];
	bool ok = false;
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		ok = write(fd, value, strlen(value)) == (ssize_t)strlen(value);
		close(fd);
	}
	return ok;
}

void net_begin(int low, int high, int tw_reuse)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	struct rlimit files = { 2 * NET_PORTS, 2 * NET_PORTS };
	char text[32];
	int fd;

	setrlimit(RLIMIT_NOFILE, &files);
	if (unshare(CLONE_NEWNET) < 0)
		net_fail("cannot make a network namespace");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		net_fail("lo");
	close(fd);
	snprintf(text, sizeof(text), "%d %d", low, high);
	if (!net_sysctl("ipv4/ip_local_port_range", text))
		net_fail("ip_local_port_range");
	snprintf(text, sizeof(text), "%d", tw_reuse);
	if (!net_sysctl("ipv4/tcp_tw_reuse", text) || !net_sysctl("core/somaxconn", "65535"))
		net_fail("sysctl");
	net_sysctl("ipv4/tcp_max_syn_backlog", "65535");
	net_sysctl("ipv4/tcp_rfc1337", "1"); /* no reset ends a TIME_WAIT */
}

uint64_t net_counter(const char *name)
{
	static char names[16384], numbers[16384];
	FILE *f = fopen("/proc/thread-self/net/netstat", "re");
	uint64_t found = 0;

	while (f && fgets(names, sizeof(names), f) && fgets(numbers, sizeof(numbers), f)) {
		char *a = NULL, *b = NULL, *x = strtok_r(names, " \n", &a), *y = strtok_r(numbers, " \n", &b);

		for (; x && y; x = strtok_r(NULL, " \n", &a), y = strtok_r(NULL, " \n", &b))
			if (!strcmp(x, name))
				found = strtoull(y, NULL, 10);
	}
	if (f)
		fclose(f);
	return found;
}

uint64_t net_nat_failed(void)
{
	FILE *f = fopen("/proc/thread-self/net/stat/nf_conntrack", "re");
	char line[512], text[20];
	uint64_t sum = 0;

	/* the tenth column; under the names a line for each processor */
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %*s %*s %*s %*s %*s %*s %*s %*s %19s", text) == 1)
			sum += strtoull(text, NULL, 16);
	if (f)
		fclose(f);
	return sum;
}

static bool net_has_state(const char *states)
{
	FILE *f = fopen("/proc/thread-self/net/tcp", "re");
	char line[512], state[4];
	bool found = false;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, " %*s %*s %*s %3s", state) == 1 && strlen(state) == 2)
			found |= strstr(states, state) != NULL;
	if (f)
		fclose(f);
	return found;
}

void net_settle(const char *states)
{
	uint64_t end = net_now_ms() + 20000;

	while (net_has_state(states) && net_now_ms() < end)
		net_sleep_ms(10);
}

/* ---- servers ---- */

socklen_t net_address(union net_address *ret, const char *text, int port)
{
	memset(ret, 0, sizeof(*ret));
	if (strchr(text, ':')) {
		ret->in6.sin6_family = AF_INET6;
		ret->in6.sin6_port = htons((uint16_t)port);
		inet_pton(AF_INET6, text, &ret->in6.sin6_addr);
		return sizeof(ret->in6);
	}
	ret->in4.sin_family = AF_INET;
	ret->in4.sin_port = htons((uint16_t)port);
	inet_pton(AF_INET, text, &ret->in4.sin_addr);
	return sizeof(ret->in4);
}

static void net_option(int fd, int level, int name, int value)
{
	setsockopt(fd, level, name, &value, sizeof(value));
}

static int net_listen(const char *host, int port, int backlog)
{
	union net_address address;
	socklen_t len = net_address(&address, host, port);
	int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	net_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (address.any.sa_family == AF_INET6)
		net_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (bind(fd, &address.any, len) < 0 || listen(fd, backlog) < 0)
		net_fail("cannot listen");
	return fd;
}

static void *net_close_first(void *arg)
{
	int fd;

	while ((fd = accept4((int)(intptr_t)arg, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		close(fd);
	return NULL;
}

static void *net_close_after(void *arg)
{
	char c;
	int fd;

	while ((fd = accept4((int)(intptr_t)arg, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		while (read(fd, &c, 1) > 0)
			;
		close(fd);
	}
	return NULL;
}

int net_serve(const char *host, int port, enum net_server what)
{
	int fd = net_listen(host, port, NET_BACKLOG);
	pthread_t thread;

	if (what != NET_KEEP &&
	    pthread_create(&thread, NULL, what == NET_CLOSE_FIRST ? net_close_first : net_close_after,
			   (void *)(intptr_t)fd))
		net_fail("no thread");
	return fd;
}

void net_serve_nobody(int port)
{
	struct net_how filler = { .host = "127.0.0.1", .port = port, .source = "127.0.0.99", .source_port = 999 };
	struct net_sum sum = { 0 };

	net_listen("127.0.0.1", port, 0);
	net_open(&filler, &sum);
}

/* ---- clients ---- */

static int net_bind(int fd, const struct net_how *how)
{
	union net_address from;
	socklen_t len = net_address(&from, how->source, how->source_port);

	if (how->no_port)
		net_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	return bind(fd, &from.any, len) < 0 ? -errno : 0;
}

static int net_connect(int fd, const struct net_how *how)
{
	union net_address to;
	socklen_t len = net_address(&to, how->host, how->port);

	if (connect(fd, &to.any, len) < 0 && errno != EINPROGRESS)
		return -errno;
	return 0;
}

/* Even, odd: the half that the port was taken from. */
static void net_note_port(int fd, struct net_sum *sum)
{
	union net_address name;
	socklen_t len = sizeof(name);

	if (getsockname(fd, &name.any, &len) < 0)
		return;
	sum->ok++;
	if (ntohs(name.in4.sin_port) % 2 == 0)
		sum->even++;
	else if (!sum->first_odd)
		sum->first_odd = sum->ok;
}

static void net_note_error(int error, bool at_bind, struct net_sum *sum)
{
	if (sum->error)
		return;
	sum->error = error;
	sum->error_at_bind = at_bind;
}

static int net_finish(int fd, const struct net_how *how)
{
	char c;

	if (how->await_close)
		while (read(fd, &c, 1) > 0)
			;
	if (how->abort)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
	if (!how->await_close && !how->abort && !how->close)
		return fd;
	close(fd);
	return 0;
}

int net_open(const struct net_how *how, struct net_sum *sum)
{
	const char *first = how->host ? how->host : how->source;
	int type = (how->udp ? SOCK_DGRAM : SOCK_STREAM) | (how->no_block ? SOCK_NONBLOCK : 0);
	int fd = socket(strchr(first, ':') ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0), r = 0;
	bool at_bind;

	if (fd < 0)
		net_fail("socket");
	sum->tried++;
	if (how->range_low)
		net_option(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, how->range_high << 16 | how->range_low);
	if (how->reuse)
		net_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (how->source)
		r = net_bind(fd, how);
	at_bind = r < 0;
	if (r == 0 && !how->no_connect)
		r = net_connect(fd, how);
	if (r < 0) {
		net_note_error(-r, at_bind, sum);
		close(fd);
		return r;
	}
	net_note_port(fd, sum);
	return net_finish(fd, how);
}

struct net_sum net_open_many(const struct net_how *how, int count)
{
	struct net_sum sum = { 0 };

	while (sum.tried < count && net_open(how, &sum) >= 0)
		;
	return sum;
}
