// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Sockets of every kind in network namespaces of its own: load NAMESPACES SOCKETS DIRECTORY. For each namespace a
 * child that makes it, fills it (listeners, connections, half-closed ones, TIME_WAIT, UDP, sockets that only have a
 * port; IPv4, IPv6 and v4-mapped), goes on opening and closing while DIRECTORY/churn exists, and is then quiet. Prints
 * "READY", and a JSON object of what each holds into DIRECTORY/N.json. Ends when its standard input does.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_NAMESPACES 256

struct load {
	const char *dir;
	int number, sockets;
	int listener4, listener6;
	unsigned int held, listeners, connections, half, time_wait, udp, bound;
	unsigned int bound_ports[65536];
};

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static int check(int r, const char *what)
{
	if (r < 0)
		die(what);
	return r;
}

static int open_socket(int family, int type)
{
	return check(socket(family, type | SOCK_CLOEXEC, 0), "socket");
}

static socklen_t loopback(int family, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	ret->ss_family = (sa_family_t)family;
	if (family == AF_INET6) {
		v6->sin6_port = htons(port);
		v6->sin6_addr = in6addr_loopback;
		return sizeof(*v6);
	}
	v4->sin_port = htons(port);
	v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sizeof(*v4);
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in6 addr;
	socklen_t len = sizeof(addr);

	check(getsockname(fd, (struct sockaddr *)&addr, &len), "getsockname");
	return ntohs(addr.sin6_port);
}

static void bind_loopback(int fd, int family)
{
	struct sockaddr_storage addr;
	socklen_t len = loopback(family, 0, &addr);

	check(bind(fd, (struct sockaddr *)&addr, len), "bind");
}

static int open_listener(struct load *load, int family)
{
	int fd = open_socket(family, SOCK_STREAM);

	bind_loopback(fd, family);
	check(listen(fd, 4096), "listen");
	load->listeners++;
	return fd;
}

/* A connection through a listener: both ends. `mapped`: from an IPv6 socket to an IPv4 address. */
static void open_connection(struct load *load, int family, bool mapped, int ret[2])
{
	int listener = family == AF_INET6 ? load->listener6 : load->listener4;
	struct sockaddr_storage addr;
	socklen_t len = loopback(family, port_of(listener), &addr);
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&addr;

	ret[0] = open_socket(mapped ? AF_INET6 : family, SOCK_STREAM);
	if (mapped) {
		len = loopback(AF_INET6, port_of(listener), &addr);
		inet_pton(AF_INET6, "::ffff:127.0.0.1", &v6->sin6_addr);
	}
	check(connect(ret[0], (struct sockaddr *)&addr, len), "connect");
	ret[1] = check(accept4(listener, NULL, NULL, SOCK_CLOEXEC), "accept");
}

/* Closed from here first: this end waits. */
static void make_time_wait(struct load *load, int family)
{
	int ends[2];
	char byte;

	open_connection(load, family, false, ends);
	close(ends[0]);
	while (read(ends[1], &byte, 1) > 0)
		;
	close(ends[1]);
	load->time_wait++;
}

static void make_connection(struct load *load, int i)
{
	int ends[2];

	open_connection(load, i % 3 == 1 ? AF_INET6 : AF_INET, i % 3 == 2, ends);
	if (write(ends[0], "hello", 5) != 5)
		die("write");
	if (i % 8 == 0) { /* FIN_WAIT2 here, CLOSE_WAIT there */
		shutdown(ends[0], SHUT_WR);
		load->half++;
	}
	load->connections++;
}

static void make_udp(struct load *load, int i)
{
	int family = i % 2 ? AF_INET6 : AF_INET, fd = open_socket(family, SOCK_DGRAM);
	struct sockaddr_storage addr;
	socklen_t len = loopback(family, 9, &addr);

	bind_loopback(fd, family);
	if (i % 4 < 2)
		check(connect(fd, (struct sockaddr *)&addr, len), "connect udp");
	load->udp++;
}

static void make_bound(struct load *load, int i)
{
	int family = i % 2 ? AF_INET6 : AF_INET, fd = open_socket(family, SOCK_STREAM);

	bind_loopback(fd, family);
	load->bound_ports[load->bound++] = port_of(fd);
}

static void fill(struct load *load)
{
	for (int i = 0, made = 0; made < load->sockets; i++) {
		switch (i % 5) {
		case 0: make_connection(load, i / 5); made += 2; break;
		case 1: make_udp(load, i / 5); made++; break;
		case 2: make_bound(load, i / 5); made++; break;
		case 3: make_time_wait(load, i / 5 % 2 ? AF_INET6 : AF_INET); made++; break;
		default: open_listener(load, i / 5 % 2 ? AF_INET6 : AF_INET); made++; break;
		}
	}
}

static void churn(struct load *load)
{
	char path[256];
	int ends[2], fd;

	snprintf(path, sizeof(path), "%s/churn", load->dir);
	for (int i = 0; access(path, F_OK) == 0; i++) {
		open_connection(load, i % 2 ? AF_INET6 : AF_INET, false, ends);
		close(ends[i % 2]);
		close(ends[1 - i % 2]);
		fd = open_socket(AF_INET, SOCK_DGRAM);
		bind_loopback(fd, AF_INET);
		close(fd);
		usleep(20000);
	}
}

static void record(const struct load *load)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%d.json", load->dir, load->number);
	f = fopen(path, "w");
	if (!f)
		die(path);
	fprintf(f, "{\"pid\":%d,\"listeners\":%u,\"connections\":%u,\"half\":%u,", getpid(), load->listeners,
		load->connections, load->half);
	fprintf(f, "\"time_wait\":%u,\"udp\":%u,\"bound\":[", load->time_wait, load->udp);
	for (unsigned int i = 0; i < load->bound; i++)
		fprintf(f, "%s%u", i ? "," : "", load->bound_ports[i]);
	fprintf(f, "]}\n");
	fclose(f);
}

static void loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = open_socket(AF_INET, SOCK_DGRAM);

	check(ioctl(fd, SIOCSIFFLAGS, &ifr), "lo up");
	close(fd);
}

/* Every third namespace has a second process, which shares all of the sockets. */
static void run(struct load *load, int ready_fd)
{
	check(unshare(CLONE_NEWNET), "unshare");
	loopback_up();
	load->listener4 = open_listener(load, AF_INET);
	load->listener6 = open_listener(load, AF_INET6);
	fill(load);
	record(load);
	if (load->number % 3 == 0 && check(fork(), "fork") == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ready_fd);
		for (;;)
			pause();
	}
	if (write(ready_fd, "r", 1) != 1)
		die("pipe");
	churn(load);
	if (write(ready_fd, "q", 1) != 1)
		die("pipe");
	for (;;)
		pause();
}

static void await(int fd, int count, const char *word)
{
	char byte;

	for (int i = 0; i < count; i++)
		if (read(fd, &byte, 1) != 1)
			die("a child ended");
	printf("%s\n", word);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static struct load load;
	struct rlimit files = { 1 << 20, 1 << 20 };
	int namespaces = argc > 3 ? atoi(argv[1]) : 0, pipe_fds[2];
	char byte;

	if (namespaces < 1 || namespaces > MAX_NAMESPACES)
		return 2;
	setrlimit(RLIMIT_NOFILE, &files);
	load.dir = argv[3];
	check(pipe(pipe_fds), "pipe");
	for (int i = 0; i < namespaces; i++) {
		load.number = i;
		load.sockets = atoi(argv[2]) / namespaces;
		if (check(fork(), "fork") == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(0);
			close(pipe_fds[0]);
			run(&load, pipe_fds[1]);
		}
	}
	close(pipe_fds[1]);
	await(pipe_fds[0], namespaces, "READY");
	await(pipe_fds[0], namespaces, "QUIET"); /* after somebody has removed DIRECTORY/churn */
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}
