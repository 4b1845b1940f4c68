// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Load for the command-line tests: what it does is always the same, so that a test can know every event.
 *
 *   cli-load talk [NAME]      the conversation below (tests/cli/talk.txt has its events), as process NAME, in a network
 *                             namespace of its own. Prints READY, then waits for a line on stdin.
 *   cli-load crowd NAME UID   for tests of selections: as process NAME, in a network namespace of its own, the
 *                             conversation and more: other addresses, IPv4 over IPv6, ports that the kernel picks, a
 *                             child as user UID with a child of its own, one that was there before, and one whose
 *                             parent has ended. Prints READY, works after a line on stdin, prints DONE, and all end
 *                             with stdin
 *   cli-load binds N          binds and closes N UDP sockets: 2 N events
 *   cli-load open FIRST LAST  binds a UDP socket to each port from FIRST to LAST, and then closes all, in the order of
 *                             their ports
 *   cli-load hold NAME PORT   listens on all addresses, as process NAME. Prints READY and its process id, then
 *                             waits to be killed
 *   cli-load bound NAME PORT  binds a UDP socket on all addresses, and goes on as `hold` does
 *   cli-load take NAME PORT   tries to bind to all addresses, and ends
 *   cli-load linger NAME PORT SERVER   a connection from PORT to SERVER, both its own, which PORT's side closes first.
 *                             Prints its process id
 *   cli-load pass PARENT CHILD PORT    the parent listens, connects, and closes; the child accepts, and closes last.
 *                             Prints the parent's process id
 *   cli-load storm N          in a network namespace of its own with two ports, both taken: N connects that fail, one
 *                             each millisecond. Prints how many failed for want of a port
 *   cli-load exec CMD ...     CMD as the leader of a session, with SIGINT and SIGHUP as a login shell would leave them
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(call)                           \
	({                                    \
		__typeof__(call) r_ = (call); \
		if (r_ < 0) {                 \
			perror(#call);        \
			exit(1);              \
		}                             \
		r_;                           \
	})

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
	socklen_t len;
};

static struct address loopback(int family, int port)
{
	struct address a = { .len = family == AF_INET ? sizeof(a.v4) : sizeof(a.v6) };

	a.any.sa_family = (sa_family_t)family;
	if (family == AF_INET) {
		a.v4.sin_port = htons((uint16_t)port);
		a.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	} else {
		a.v6.sin6_port = htons((uint16_t)port);
		a.v6.sin6_addr = in6addr_loopback;
	}
	return a;
}

static int bound(int family, int type, int port)
{
	struct address a = loopback(family, port);
	int fd = CHECK(socket(family, type | SOCK_CLOEXEC, 0));

	CHECK(bind(fd, &a.any, a.len));
	return fd;
}

static int listening(int family, int port)
{
	int fd = bound(family, SOCK_STREAM, port);

	CHECK(listen(fd, 8));
	return fd;
}

static void connect_to(int fd, int family, int port)
{
	struct address a = loopback(family, port);

	CHECK(connect(fd, &a.any, a.len));
}

/* bind, connect, accept, close of both ends */
static void visit(int listener, int family, int from, int to)
{
	int client = bound(family, SOCK_STREAM, from), server;
	struct address peer = { .len = sizeof(peer.v6) };

	connect_to(client, family, to);
	server = CHECK(accept(listener, &peer.any, &peer.len));
	close(client);
	close(server);
}

static void expect_failure(int r, int error, const char *what)
{
	if (r == 0 || errno != error) {
		fprintf(stderr, "cli-load: %s: %s\n", what, r ? strerror(errno) : "success");
		exit(1);
	}
}

static void fail_bind(int port)
{
	struct address a = loopback(AF_INET, port);
	int fd = CHECK(socket(AF_INET, SOCK_STREAM, 0));

	expect_failure(bind(fd, &a.any, a.len), EADDRINUSE, "bind");
	close(fd);
}

static void fail_connect(int from, int to)
{
	struct address a = loopback(AF_INET, to);
	int fd = bound(AF_INET, SOCK_STREAM, from);

	expect_failure(connect(fd, &a.any, a.len), ECONNREFUSED, "connect");
	close(fd);
}

static void talk(void)
{
	int web = listening(AF_INET, 8080), web6 = listening(AF_INET6, 443), fd;

	visit(web, AF_INET, 51707, 8080);
	visit(web6, AF_INET6, 41443, 443);
	close(bound(AF_INET, SOCK_DGRAM, 53));
	fd = bound(AF_INET6, SOCK_DGRAM, 5353);
	connect_to(fd, AF_INET6, 1194);
	close(fd);
	fail_bind(8080);
	fail_connect(50001, 6379);
	close(web6);
	close(web);
}

static void new_network(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	CHECK(unshare(CLONE_NEWNET));
	fd = CHECK(socket(AF_INET, SOCK_DGRAM, 0));
	CHECK(ioctl(fd, SIOCSIFFLAGS, &lo));
	close(fd);
}

static int talk_main(const char *name)
{
	CHECK(prctl(PR_SET_NAME, name));
	new_network();
	printf("READY\n");
	fflush(stdout);
	if (getchar() != EOF)
		talk();
	return 0;
}

static struct address at(int family, const char *ip, int port)
{
	struct address a = loopback(family, port);

	if (inet_pton(family, ip, family == AF_INET ? (void *)&a.v4.sin_addr : (void *)&a.v6.sin6_addr) != 1)
		exit(1);
	return a;
}

/* Connects to `to`; where nobody listens it fails. */
static void call(int fd, const struct address *to)
{
	if (connect(fd, &to->any, to->len) && errno != ECONNREFUSED) {
		perror("connect");
		exit(1);
	}
	close(fd);
}

/* One connection from a port that the kernel picks. */
static void crowd_visit(int listener, const struct address *to)
{
	int client = CHECK(socket(to->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0)), server;
	struct address peer = { .len = sizeof(peer.v6) };

	CHECK(connect(client, &to->any, to->len));
	server = CHECK(accept(listener, &peer.any, &peer.len));
	close(client);
	close(server);
}

/* Two connections: the server resets one, the client the other. */
static void crowd_reset(int listener, const struct address *to)
{
	struct linger at_once = { .l_onoff = 1 };
	int fds[2];
	char c;

	for (int first = 0; first < 2; first++) {
		fds[1] = CHECK(socket(to->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
		CHECK(connect(fds[1], &to->any, to->len));
		fds[0] = CHECK(accept(listener, NULL, NULL));
		CHECK(setsockopt(fds[first], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)));
		close(fds[first]);
		if (recv(fds[!first], &c, 1, 0) != -1 || errno != ECONNRESET)
			exit(1);
		close(fds[!first]);
	}
}

static void crowd_wait(void)
{
	char c;

	while (read(STDIN_FILENO, &c, 1) > 0)
		;
}

/* A connection that ends in another process than the one that accepted it. */
static void crowd_heir(int listener, const struct address *to)
{
	int client = CHECK(socket(to->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0)), server, alone[2], ended[2];
	char c = 0;

	CHECK(pipe(alone));
	CHECK(pipe(ended));
	CHECK(connect(client, &to->any, to->len));
	server = CHECK(accept(listener, NULL, NULL));
	if (CHECK(fork()) == 0) {
		CHECK(prctl(PR_SET_NAME, "pt-heir"));
		for (int fd = STDERR_FILENO + 1; fd < 64; fd++)
			if (fd != server && fd != alone[0] && fd != ended[1])
				close(fd);
		CHECK(read(alone[0], &c, 1));
		close(server);
		CHECK(write(ended[1], &c, 1));
		crowd_wait();
		_exit(0);
	}
	close(server);
	CHECK(write(alone[1], &c, 1));
	CHECK(read(ended[0], &c, 1));
	close(client);
}

/* IPv4 over an IPv6 socket, another address, both sides' ports picked, none asked for until connect. */
static void crowd_addresses(void)
{
	struct address any6 = at(AF_INET6, "::", 9090), mapped = at(AF_INET6, "::ffff:127.0.0.9", 9090);
	struct address six = at(AF_INET6, "::1", 9090);
	struct address far = at(AF_INET, "127.1.2.3", 0), name = { .len = sizeof(name.v4) };
	int listener = CHECK(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)), one = 1;
	int far_listener = CHECK(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), fd;

	CHECK(bind(listener, &any6.any, any6.len));
	CHECK(listen(listener, 8));
	crowd_visit(listener, &mapped);
	CHECK(bind(far_listener, &far.any, far.len));
	CHECK(listen(far_listener, 8));
	CHECK(getsockname(far_listener, &name.any, &name.len));
	crowd_visit(far_listener, &name);
	crowd_reset(far_listener, &name);
	crowd_reset(listener, &mapped);
	crowd_reset(listener, &six);
	crowd_heir(listener, &six);
	fd = CHECK(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	CHECK(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)));
	far.v4.sin_port = 0;
	CHECK(bind(fd, &far.any, far.len));
	call(fd, &name);
	mapped.v6.sin6_port = htons(443); /* refused: who listens there takes IPv6 alone, or has gone */
	call(CHECK(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)), &mapped);
	fd = CHECK(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	name.v4.sin_port = htons(53);
	CHECK(sendto(fd, "x", 1, 0, &name.any, name.len));
	close(fd);
	close(listener);
	close(far_listener);
}

/* A process of its own with a few events; what follows is done by `then` before it waits for the end. */
static void crowd_child(const char *name, int port, int uid, void (*then)(void))
{
	int ready[2];
	char c;

	CHECK(pipe(ready));
	if (CHECK(fork()) == 0) {
		CHECK(prctl(PR_SET_NAME, name));
		if (uid)
			CHECK(setuid((uid_t)uid));
		close(bound(AF_INET, SOCK_STREAM, port));
		fail_connect(port + 1, 6379);
		if (then)
			then();
		CHECK(write(ready[1], "x", 1));
		close(ready[0]);
		close(ready[1]);
		crowd_wait();
		_exit(0);
	}
	CHECK(read(ready[0], &c, 1));
	close(ready[0]);
	close(ready[1]);
}

static void crowd_grandchild(void)
{
	crowd_child("pt-grandchild", 50120, 0, NULL);
}

/* Its parent, which has no event, ends before it begins. */
static void crowd_orphan(void)
{
	int ready[2], go[2];
	char c;

	CHECK(pipe(ready));
	CHECK(pipe(go));
	if (CHECK(fork()) == 0) {
		if (CHECK(fork()) == 0) {
			CHECK(prctl(PR_SET_NAME, "pt-orphan"));
			CHECK(read(go[0], &c, 1));
			close(bound(AF_INET, SOCK_STREAM, 50130));
			CHECK(write(ready[1], "x", 1));
			_exit(0);
		}
		_exit(0);
	}
	CHECK(wait(NULL));
	CHECK(write(go[1], "x", 1));
	CHECK(read(ready[0], &c, 1));
}

static int crowd_main(const char *name, int uid)
{
	int early[2], told[2];
	char c;

	CHECK(prctl(PR_SET_NAME, name));
	new_network();
	CHECK(pipe(early));
	CHECK(pipe(told));
	if (CHECK(fork()) == 0) {
		CHECK(prctl(PR_SET_NAME, "pt-early"));
		CHECK(read(early[0], &c, 1));
		close(bound(AF_INET, SOCK_STREAM, 50100));
		CHECK(write(told[1], "x", 1));
		crowd_wait();
		_exit(0);
	}
	printf("READY %d\n", (int)getpid());
	fflush(stdout);
	CHECK(read(STDIN_FILENO, &c, 1));
	talk();
	crowd_addresses();
	CHECK(write(early[1], "x", 1));
	CHECK(read(told[0], &c, 1));
	crowd_child("pt-child", 50110, uid, crowd_grandchild);
	crowd_orphan();
	printf("DONE\n");
	fflush(stdout);
	crowd_wait();
	return 0;
}

static int exec_main(char **argv)
{
	signal(SIGINT, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	CHECK(setsid());
	execvp(argv[0], argv);
	perror(argv[0]);
	return 127;
}

static int any_socket(int type, int port, int *ret_fd)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	*ret_fd = CHECK(socket(AF_INET, type | SOCK_CLOEXEC, 0));
	return bind(*ret_fd, (struct sockaddr *)&a, sizeof(a));
}

static void end(int signal_number)
{
	(void)signal_number;
	_exit(0);
}

static int hold_main(int type, const char *name, int port)
{
	int fd;

	prctl(PR_SET_NAME, name);
	CHECK(any_socket(type, port, &fd));
	if (type == SOCK_STREAM)
		CHECK(listen(fd, 1));
	signal(SIGTERM, end);
	printf("READY %d\n", (int)getpid());
	fflush(stdout);
	pause();
	return 0;
}

static int take_main(const char *name, int port)
{
	int fd;

	prctl(PR_SET_NAME, name);
	any_socket(SOCK_STREAM, port, &fd);
	return 0;
}

static int linger_main(const char *name, int port, int server_port)
{
	struct address server = loopback(AF_INET, server_port);
	int listener, client, accepted;
	char c;

	prctl(PR_SET_NAME, name);
	listener = bound(AF_INET, SOCK_STREAM, server_port);
	CHECK(listen(listener, 1));
	client = bound(AF_INET, SOCK_STREAM, port);
	CHECK(connect(client, &server.any, server.len));
	accepted = CHECK(accept(listener, NULL, NULL));
	CHECK(shutdown(client, SHUT_WR));
	CHECK(read(accepted, &c, 1));
	CHECK(shutdown(accepted, SHUT_WR));
	CHECK(read(client, &c, 1));
	printf("%d\n", (int)getpid());
	return 0;
}

static void pass_child(const char *name, int listener)
{
	struct address peer = { .len = sizeof(peer.v6) };
	char c;
	int fd;

	prctl(PR_SET_NAME, name);
	fd = CHECK(accept(listener, &peer.any, &peer.len));
	CHECK(read(fd, &c, 1)); /* the parent has closed all */
	close(fd);
	close(listener);
	_exit(0);
}

static int pass_main(const char *parent, const char *child, int port)
{
	struct address server = loopback(AF_INET, port);
	int listener, client;
	pid_t pid;

	prctl(PR_SET_NAME, parent);
	listener = bound(AF_INET, SOCK_STREAM, port);
	CHECK(listen(listener, 1));
	pid = CHECK(fork());
	if (pid == 0)
		pass_child(child, listener);
	close(listener);
	client = CHECK(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	CHECK(connect(client, &server.any, server.len));
	close(client);
	printf("%d\n", (int)getpid());
	return waitpid(pid, NULL, 0) == pid ? 0 : 1;
}

static void storm_begin(int port)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	struct address server = loopback(AF_INET, port);
	FILE *range;

	CHECK(unshare(CLONE_NEWNET));
	CHECK(ioctl(CHECK(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), SIOCSIFFLAGS, &lo));
	range = fopen("/proc/sys/net/ipv4/ip_local_port_range", "w");
	if (!range || fprintf(range, "40000 40001") < 0 || fclose(range))
		exit(1);
	CHECK(listen(bound(AF_INET, SOCK_STREAM, port), 8));
	for (int i = 0; i < 2; i++)
		CHECK(connect(CHECK(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), &server.any, server.len));
}

static int storm_main(int count)
{
	struct address server = loopback(AF_INET, 8080);
	int failed = 0;

	storm_begin(8080);
	for (int i = 0; i < count; i++) {
		int fd = CHECK(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

		failed += connect(fd, &server.any, server.len) < 0 && errno == EADDRNOTAVAIL;
		close(fd);
		usleep(1000);
	}
	printf("%d\n", failed);
	return 0;
}

/* ---- many at a time ---- */

static int open_main(int first, int last)
{
	struct rlimit limit = { (rlim_t)(last - first) + 100, (rlim_t)(last - first) + 100 };
	int fds[65536];

	CHECK(setrlimit(RLIMIT_NOFILE, &limit));
	for (int port = first; port <= last; port++)
		fds[port] = bound(AF_INET, SOCK_DGRAM, (uint16_t)port);
	for (int port = first; port <= last; port++)
		CHECK(close(fds[port]));
	return 0;
}

int main(int argc, char **argv)
{
	if (argc >= 2 && !strcmp(argv[1], "talk"))
		return talk_main(argc > 2 ? argv[2] : "cli-load");
	if (argc == 4 && !strcmp(argv[1], "crowd"))
		return crowd_main(argv[2], atoi(argv[3]));
	if (argc == 3 && !strcmp(argv[1], "binds")) {
		for (int i = atoi(argv[2]); i > 0; i--)
			close(bound(AF_INET, SOCK_DGRAM, 0));
		return 0;
	}
	if (argc == 4 && !strcmp(argv[1], "open"))
		return open_main(atoi(argv[2]), atoi(argv[3]));
	if (argc == 3 && !strcmp(argv[1], "storm"))
		return storm_main(atoi(argv[2]));
	if (argc >= 3 && !strcmp(argv[1], "exec"))
		return exec_main(argv + 2);
	if (argc == 4 && !strcmp(argv[1], "hold"))
		return hold_main(SOCK_STREAM, argv[2], atoi(argv[3]));
	if (argc == 4 && !strcmp(argv[1], "bound"))
		return hold_main(SOCK_DGRAM, argv[2], atoi(argv[3]));
	if (argc == 4 && !strcmp(argv[1], "take"))
		return take_main(argv[2], atoi(argv[3]));
	if (argc == 5 && !strcmp(argv[1], "linger"))
		return linger_main(argv[2], atoi(argv[3]), atoi(argv[4]));
	if (argc == 5 && !strcmp(argv[1], "pass"))
		return pass_main(argv[2], argv[3], atoi(argv[4]));
	fprintf(stderr, "usage: see the top of load.c\n");
	return 2;
}
