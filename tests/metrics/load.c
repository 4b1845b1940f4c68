// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Sockets of every kind that the metrics tell apart, in a network namespace of its own, for tests/metrics/counted.
 * Prints its own count, "name=value ...", and READY, holds what it has until its standard input ends.
 *
 * Names: bind, connect, autobind: ports that were assigned; udp_bind: the same by bind() of UDP; failed: connects that
 * found no port, in_use: binds that were refused; waits: TIME_WAITs, as the kernel lists them; netns.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOAD_SERVICE 8080 /* outside of the range */
#define LOAD_FULL 8082
#define LOAD_OTHER 8081 /* nobody listens there */
#define LOAD_RANGE "40000 40099"
#define LOAD_IN_RANGE 40050

static int bound, connected, autobound, udp_bound, failed, in_use;

static void load_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		err(1, "%s", path);
	close(fd);
}

static void load_namespace(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	if (unshare(CLONE_NEWNET))
		err(1, "unshare");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		err(1, "lo");
	close(fd);
	load_write("/proc/sys/net/ipv4/ip_local_port_range", LOAD_RANGE);
	load_write("/proc/sys/net/ipv4/tcp_tw_reuse", "0");
}

static struct sockaddr_in load_address(uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static uint16_t load_port(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	return getsockname(fd, (void *)&a, &len) ? 0 : ntohs(a.sin_port);
}

/* Closed at once: the cgroup backend tells of a failure then. */
static int load_fail(int fd, int *counter, int error)
{
	*counter += errno == error;
	close(fd);
	return -1;
}

/* Counts what became of it. */
static int load_bind(int type, uint16_t port)
{
	struct sockaddr_in a = load_address(port);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (bind(fd, (void *)&a, sizeof(a)))
		return load_fail(fd, &in_use, EADDRINUSE);
	*(type == SOCK_STREAM ? &bound : &udp_bound) += 1;
	return fd;
}

static int load_connect(uint16_t port)
{
	struct sockaddr_in a = load_address(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (!connect(fd, (void *)&a, sizeof(a)) || errno == ECONNREFUSED)
		connected++; /* refused, it had a port all the same */
	else
		return load_fail(fd, &failed, EADDRNOTAVAIL);
	return fd;
}

/* One connection. Its ends are closed in this order; `stays` keeps both. */
static void load_pair(int listener, bool client_first, bool stays)
{
	int client = load_connect(load_port(listener)), server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (stays)
		return;
	close(client_first ? client : server);
	usleep(1000); /* its FIN has come */
	close(client_first ? server : client);
}

static void load_tcp(int listener, int connections)
{
	if (listen(listener, 128))
		err(1, "listen");
	for (int i = 0; i < connections; i++)
		load_pair(listener, i % 3, i % 5 == 0);
}

static void load_binds(void)
{
	for (int i = 0; i < 6; i++)
		close(load_bind(SOCK_STREAM, 0));
	for (int i = 0; i < 3; i++)
		load_bind(SOCK_STREAM, 0);
	load_bind(SOCK_STREAM, LOAD_IN_RANGE);
	load_bind(SOCK_STREAM, LOAD_IN_RANGE); /* in use */
	load_bind(SOCK_STREAM, 9000);
	close(load_bind(SOCK_STREAM, 9001));
}

static void load_udp(void)
{
	struct sockaddr_in a = load_address(LOAD_SERVICE);

	for (int i = 0; i < 9; i++) {
		int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

		autobound += sendto(fd, "", 1, 0, (void *)&a, sizeof(a)) == 1;
		if (i % 2)
			close(fd);
	}
	load_bind(SOCK_DGRAM, 0);
	close(load_bind(SOCK_DGRAM, 0));
	load_bind(SOCK_DGRAM, LOAD_IN_RANGE);
	close(load_bind(SOCK_DGRAM, 9000));
}

/* A connect() to a listener may take over a TIME_WAIT there. */
static int load_waits(void)
{
	FILE *f = fopen("/proc/self/net/tcp", "re");
	char line[256];
	unsigned int state;
	int n = 0;

	while (f && fgets(line, sizeof(line), f))
		n += sscanf(line, "%*s %*s %*s %x", &state) == 1 && state == 6;
	if (f)
		fclose(f);
	return n;
}

/* Until two looks find as many: the last closes may still be under way. */
static int load_settled_waits(void)
{
	int before = -1, now = load_waits();

	for (int i = 0; i < 50 && now != before; i++) {
		usleep(200000);
		before = now;
		now = load_waits();
	}
	return now;
}

static void load_tell(void)
{
	struct stat st;

	if (stat("/proc/self/ns/net", &st))
		err(1, "/proc/self/ns/net");
	printf("bind=%d connect=%d autobind=%d udp_bind=%d failed=%d in_use=%d waits=%d netns=%lu\nREADY\n", bound,
	       connected, autobound, udp_bound, failed, in_use, load_settled_waits(), (unsigned long)st.st_ino);
	fflush(stdout);
}

int main(void)
{
	int listener, other;
	char c;

	load_namespace();
	load_binds();
	listener = load_bind(SOCK_STREAM, LOAD_SERVICE);
	load_tcp(listener, 20);
	other = load_bind(SOCK_STREAM, 0); /* whose connections outlive it */
	load_tcp(other, 10);
	close(other);
	load_udp();
	if (listen(load_bind(SOCK_STREAM, LOAD_FULL), 128))
		err(1, "listen");
	for (int i = 0; i < 5; i++)
		close(load_connect(LOAD_OTHER));
	for (int i = 0; i < 120; i++)
		load_connect(LOAD_FULL); /* more than there are ports */
	load_tell();
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	return 0;
}
