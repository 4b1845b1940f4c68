// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A random life of ports, with a log of its own:  owners-lives LOG MS SEED
 * Workers ("live-N") bind, listen, connect, accept and close; visitors ("visit-N") open and are killed. Prints "READY"
 * when all workers listen, "END NS" when nothing is opened any more, and stays 300 ms longer. Lines of the log, each
 * written after its call, with the time before and after it (CLOCK_REALTIME):
 *
 *   o COOKIE PROTO PID COMM STATE ADDRESS/PORT REMOTE/PORT BEFORE AFTER    it has a port from now on
 *   s ...                                                                  it is in another state
 *   c COOKIE - PID - HOW - - BEFORE AFTER       closed: active (before the peer did), passive (after), plain (no peer)
 *   k 0 - PID - killed - - BEFORE AFTER         the process was, with all that it had open
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS UINT64_C(1000000)
#define WORKERS 6
#define SLOTS 24
#define ACCEPTED 512
#define FIXED_PORT 20000 /* + worker: listens all the time */
#define CHOSEN_PORT 21000
#define CHOSEN_PORTS 120
#define VISITORS 4

struct sock {
	int fd; /* 0 = unused */
	bool udp, linked; /* a connection of TCP */
	uint64_t cookie, close_ns, before_ns;
};

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
	socklen_t len;
};

static int log_fd;
static char comm[16];
static uint64_t end_ns;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "owners-lives: %s: %s: %s\n", comm, what, strerror(errno));
	_exit(1);
}

static int below(int n)
{
	return (int)(random() % n);
}

static void write_log(const char *line, int n)
{
	if (write(log_fd, line, (size_t)n) != n)
		die("log");
}

static void be(const char *kind, int number)
{
	snprintf(comm, sizeof(comm), "%s-%d", kind, number);
	prctl(PR_SET_NAME, comm);
	srandom((unsigned int)(random() + number));
}

/* ---- addresses ---- */

static struct address address(int family, const char *text, int port)
{
	struct address a = { .len = family == AF_INET ? sizeof(a.v4) : sizeof(a.v6) };

	a.any.sa_family = (sa_family_t)family;
	if (family == AF_INET)
		inet_pton(AF_INET, text, &a.v4.sin_addr);
	else
		inet_pton(AF_INET6, text, &a.v6.sin6_addr);
	a.v6.sin6_port = htons((uint16_t)port); /* at the same place in both */
	return a;
}

static struct address some_address(int family, int port)
{
	static const char *const v4[] = { "127.0.0.1", "127.0.0.2", "127.0.0.3", "0.0.0.0" };

	return address(family, family == AF_INET ? v4[below(4)] : below(4) ? "::1" : "::", port);
}

static struct address fixed_address(int worker)
{
	int family = worker % 2 ? AF_INET6 : AF_INET;

	return address(family, family == AF_INET ? "127.0.0.1" : "::1", FIXED_PORT + worker);
}

/* ---- the log ---- */

static void write_address(const struct address *a, char *text, size_t size)
{
	char ip[INET6_ADDRSTRLEN];
	const void *addr = a->any.sa_family == AF_INET ? (const void *)&a->v4.sin_addr : &a->v6.sin6_addr;

	snprintf(text, size, "%s/%d", inet_ntop(a->any.sa_family, addr, ip, sizeof(ip)), ntohs(a->v6.sin6_port));
}

static void tell(char mark, const struct sock *s, const char *state, uint64_t after_ns)
{
	struct address local = { .len = sizeof(local.v6) }, remote = { .len = sizeof(remote.v6) };
	char line[256], here[64], there[64] = "-";
	int n;

	if (getsockname(s->fd, &local.any, &local.len) < 0)
		die("getsockname");
	write_address(&local, here, sizeof(here));
	if (getpeername(s->fd, &remote.any, &remote.len) == 0)
		write_address(&remote, there, sizeof(there));
	n = snprintf(line, sizeof(line), "%c %llu %s %d %s %s %s %s %llu %llu\n", mark, (unsigned long long)s->cookie,
		     s->udp ? "udp" : "tcp", getpid(), comm, state, here, there, (unsigned long long)s->before_ns,
		     (unsigned long long)after_ns);
	write_log(line, n);
}

static void note_cookie(struct sock *s)
{
	socklen_t len = sizeof(s->cookie);

	if (getsockopt(s->fd, SOL_SOCKET, SO_COOKIE, &s->cookie, &len) < 0)
		die("SO_COOKIE");
}

/* Where the peer's FIN has come, its close was the first. */
static bool peer_has_closed(const struct sock *s)
{
	char byte;
	ssize_t n = s->linked ? recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) : -1;

	if (n > 0 || (s->linked && n < 0 && errno != EAGAIN))
		die("a connection broke");
	return n == 0;
}

static void tell_end(char mark, uint64_t cookie, int pid, const char *how, uint64_t before_ns)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "%c %llu - %d - %s - - %llu %llu\n", mark, (unsigned long long)cookie,
			 pid, how, (unsigned long long)before_ns, (unsigned long long)now_ns());

	write_log(line, n);
}

static void close_now(struct sock *s)
{
	const char *how = !s->linked ? "plain" : peer_has_closed(s) ? "passive" : "active";
	uint64_t before = now_ns();

	close(s->fd);
	s->fd = 0;
	tell_end('c', s->cookie, getpid(), how, before);
}

/* ---- opening: each of these tells what it has reached; false = no port, and the socket is closed ---- */

static bool give_up(struct sock *s)
{
	close(s->fd);
	s->fd = 0;
	return false;
}

static void open_socket(struct sock *s, int family, bool udp)
{
	*s = (struct sock){ .udp = udp };
	s->fd = socket(family, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	if (s->fd <= 0)
		die("socket");
	note_cookie(s);
}

static bool bind_to(struct sock *s, struct address a)
{
	s->before_ns = now_ns();
	if (bind(s->fd, &a.any, a.len) < 0)
		return give_up(s);
	tell('o', s, "bound", now_ns());
	return true;
}

static bool bind_some(struct sock *s, int family)
{
	return bind_to(s, some_address(family, below(2) ? CHOSEN_PORT + below(CHOSEN_PORTS) : 0));
}

static void start_listening(struct sock *s)
{
	s->before_ns = now_ns();
	if (listen(s->fd, 256) < 0)
		die("listen");
	tell('s', s, "listening", now_ns());
}

/* `bound`: it has told of its port. */
static bool connect_to(struct sock *s, struct address a, bool bound)
{
	s->before_ns = now_ns();
	if (connect(s->fd, &a.any, a.len) < 0) {
		if (bound || errno != EADDRNOTAVAIL)
			die("connect");
		return give_up(s);
	}
	s->linked = !s->udp;
	tell(bound ? 's' : 'o', s, "connected", now_ns());
	return true;
}

static bool open_udp(struct sock *s)
{
	struct address a = fixed_address(below(WORKERS));

	open_socket(s, a.any.sa_family, true);
	if (!bind_some(s, a.any.sa_family))
		return false;
	return below(3) ? true : connect_to(s, a, true);
}

/* The port comes with the first datagram. */
static bool open_sender(struct sock *s)
{
	struct address a = address(AF_INET, "127.0.0.1", 9);

	open_socket(s, AF_INET, true);
	s->before_ns = now_ns();
	if (sendto(s->fd, "", 0, 0, &a.any, a.len) < 0)
		return give_up(s);
	tell('o', s, "bound", now_ns());
	return true;
}

/* With SO_REUSEADDR also where connections wait in TIME_WAIT; on ports of its own, as two could share them else. */
static bool open_listener(struct sock *s, int number)
{
	int on = 1, family = below(3) ? AF_INET : AF_INET6, port = CHOSEN_PORT + below(CHOSEN_PORTS);

	open_socket(s, family, false);
	if (port % WORKERS == number)
		setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (!bind_to(s, some_address(family, below(3) ? port : 0)))
		return false;
	start_listening(s);
	return true;
}

static bool open_bound(struct sock *s)
{
	int family = below(3) ? AF_INET : AF_INET6;

	open_socket(s, family, false);
	return bind_some(s, family);
}

static bool open_connection(struct sock *s)
{
	struct address a = fixed_address(below(WORKERS));
	bool bound = below(3) == 0;

	open_socket(s, a.any.sa_family, false);
	if (bound && !bind_some(s, a.any.sa_family))
		return false;
	return connect_to(s, a, bound);
}

static bool open_some(struct sock *s, int number)
{
	switch (below(10)) {
	case 0:
	case 1:
		return open_udp(s);
	case 2:
		return open_sender(s);
	case 3:
	case 4:
		return open_listener(s, number);
	case 5:
		return open_bound(s);
	default:
		return open_connection(s);
	}
}

/* ---- workers and visitors ---- */

static void accept_one(int listener, struct sock *list)
{
	struct address peer = { .len = sizeof(peer.v6) };
	struct sock *s = list;

	while (s->fd)
		if (++s == list + ACCEPTED)
			die("too many connections");
	*s = (struct sock){ .linked = true, .before_ns = now_ns() };
	s->fd = accept4(listener, &peer.any, &peer.len, SOCK_CLOEXEC);
	if (s->fd < 0 && errno != EAGAIN)
		die("accept");
	if (s->fd < 0) {
		s->fd = 0;
		return;
	}
	note_cookie(s);
	tell('o', s, "connected", now_ns());
	/* most wait for the peer to close first */
	s->close_ns = s->before_ns + (below(3) ? 10000 : 100 + (uint64_t)below(2000)) * MS;
	accept_one(listener, list);
}

static void step(struct sock *s)
{
	uint64_t now = now_ns();

	if (!s->fd)
		return;
	/* who was left closes at once, or keeps the other side in FIN_WAIT2 for a while */
	if (s->close_ns > now + 300 * MS && peer_has_closed(s))
		s->close_ns = now + (below(4) ? 0 : (uint64_t)below(300)) * MS;
	if (now >= s->close_ns)
		close_now(s);
}

static int open_fixed(int number)
{
	struct sock s;

	open_socket(&s, fixed_address(number).any.sa_family, false);
	if (!bind_to(&s, fixed_address(number)))
		die("bind");
	start_listening(&s);
	fcntl(s.fd, F_SETFL, O_NONBLOCK);
	return s.fd;
}

static void work(int number, int ready_fd)
{
	static struct sock mine[SLOTS], accepted[ACCEPTED];
	int listener;

	be("live", number);
	listener = open_fixed(number);
	if (write(ready_fd, "", 1) != 1)
		die("pipe");
	usleep(200000);
	for (; now_ns() < end_ns + 300 * MS; usleep(3000)) {
		accept_one(listener, accepted);
		for (int i = 0; i < ACCEPTED; i++)
			step(&accepted[i]);
		for (int i = 0; i < SLOTS; i++) {
			step(&mine[i]);
			if (!mine[i].fd && now_ns() < end_ns && below(100) == 0 && open_some(&mine[i], number))
				mine[i].close_ns = now_ns() + (100 + (uint64_t)below(below(8) ? 2900 : 9000)) * MS;
		}
	}
	_exit(0);
}

/* Opens, says so, and waits to be killed. */
static void visit(int number, int ready_fd)
{
	struct sock s[VISITORS];

	be("visit", number);
	for (int i = 0; i < VISITORS; i++)
		open_some(&s[i], -1);
	if (write(ready_fd, "", 1) != 1)
		die("pipe");
	for (;;)
		pause();
}

static void receive_visit(int number)
{
	int ready[2], pid;
	uint64_t before;
	char byte;

	if (pipe2(ready, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		die("fork");
	if (!pid)
		visit(number, ready[1]);
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		die("a visitor");
	close(ready[0]);
	usleep((unsigned int)below(600) * 1000);
	before = now_ns();
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	tell_end('k', 0, pid, "killed", before);
}

static void start_workers(void)
{
	int ready[2];
	char byte;

	if (pipe2(ready, O_CLOEXEC) < 0)
		die("pipe");
	for (int i = 0; i < WORKERS; i++)
		if (!fork())
			work(i, ready[1]);
	close(ready[1]);
	for (int i = 0; i < WORKERS; i++)
		if (read(ready[0], &byte, 1) != 1)
			die("a worker");
}

int main(int argc, char **argv)
{
	int status, failed = 0;

	if (argc != 4)
		return 2;
	log_fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (log_fd < 0)
		die(argv[1]);
	srandom((unsigned int)atoi(argv[3]));
	end_ns = now_ns() + strtoull(argv[2], NULL, 10) * MS;
	start_workers();
	printf("READY\n");
	fflush(stdout);
	for (int i = 0; now_ns() < end_ns - 1000 * MS; i++)
		receive_visit(i);
	if (now_ns() < end_ns)
		usleep((useconds_t)((end_ns - now_ns()) / 1000));
	printf("END %llu\n", (unsigned long long)end_ns);
	fflush(stdout);
	while (waitpid(-1, &status, 0) > 0)
		failed |= status != 0;
	return failed;
}
