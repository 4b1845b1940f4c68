// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The acceptance workload: named scenarios, each of which uses sockets and writes down what it
 * did, from its own record only (getsockname(), getpeername(), errno, SO_ERROR, getpid(),
 * gettid(), SO_COOKIE). tests/scenarios/check.py compares the record with what porttrace showed.
 *
 * record.c   writes the expectation file, one JSON object a line
 * links.c    which connections there are, and whose end has been reset
 * ops.c      bind(), connect(), ... which write their own expectation
 * netns.c    an own network namespace and its devices, by rtnetlink
 * sc_*.c     the scenarios, one table a file
 * workload.c options, skipping, running
 */
#ifndef PORTTRACE_TESTS_WORKLOAD_H
#define PORTTRACE_TESTS_WORKLOAD_H

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* What a scenario needs, and how the runner starts it. */
enum {
	NEED_ROOT = 1 << 0,
	NEED_IPV6 = 1 << 1,
	OWN_NETNS = 1 << 2, /* in a child with an own network namespace, lo up */
	AS_NOBODY = 1 << 3, /* in a child with uid 65534 and no capability */
	NEED_TFO = 1 << 4,  /* the client side of TCP fast open */
	SMALL_RANGE = 1 << 5, /* ip_local_port_range of 11 ports, in the own namespace */
};

#define SMALL_RANGE_LO 40000
#define SMALL_RANGE_HI 40010
#define NOBODY_UID 65534

/* How a scenario varies; what a flag means is said by the function that takes it. */
enum {
	V_NONBLOCK = 1 << 0,
	V_EXPLICIT = 1 << 1, /* bind to a port chosen by the program */
	V_ZERO = 1 << 2,     /* bind to port 0 */
	V_NO_PORT = 1 << 3,  /* IP_BIND_ADDRESS_NO_PORT */
	V_V6ONLY = 1 << 4,
	V_FASTOPEN = 1 << 5,
	V_SERVER_FIRST = 1 << 6,
};

struct variant {
	int family;
	int type;
	const char *ip;   /* what is bound or connected to */
	int lfamily;      /* of the listener, 0: same as family */
	const char *lip;  /* where the listener binds, NULL: same as ip */
	unsigned int flags;
	int err;          /* the errno that is wanted, 0: success */
};

struct scenario {
	const char *name;
	int (*fn)(const struct variant *v);
	unsigned int needs;
	struct variant v;
	int (*before)(const struct variant *v); /* runs before READY with --hold */
	const char *cgroup_blind; /* why a cgroup backend cannot see it at all */
};

#define SC(n, f, need, ...) { .name = n, .fn = f, .needs = need, .v = { __VA_ARGS__ } }
#define AT(f, t, i) .family = f, .type = t, .ip = i
#define SC_END { .name = NULL }

extern const struct scenario bind_scenarios[];
extern const struct scenario listen_scenarios[];
extern const struct scenario connect_scenarios[];
extern const struct scenario pending_scenarios[];
extern const struct scenario accept_scenarios[];
extern const struct scenario udp_scenarios[];
extern const struct scenario exhaust_scenarios[];
extern const struct scenario life_scenarios[];
extern const struct scenario noise_scenarios[];
extern const struct scenario end_scenarios[];

/* What a scenario returns besides 0. */
enum { SC_BAD = 1, SC_SKIP = 77 };

int sc_bad(const char *file, int line, const char *what);
int sc_skip(const char *why);

#define WANT(cond)                                                      \
	do {                                                            \
		if (!(cond))                                            \
			return sc_bad(__FILE__, __LINE__, #cond);       \
	} while (0)

/* An endpoint as porttrace prints it: v4-mapped addresses as IPv4. */
struct ep {
	char ip[INET6_ADDRSTRLEN]; /* "": not known */
	int port;                  /* -1: not known or none */
	bool any;                  /* the wildcard address */
};

enum role { ROLE_NONE, ROLE_EGRESS, ROLE_INGRESS };

struct sock {
	int fd;
	int family;
	int type;
	uint64_t cookie;
	uint64_t netns;
	int64_t born_ns;
	struct ep local, remote;
	enum role role;
	bool used;        /* a slot of the pool */
	bool keep;        /* survives the end of the scenario that made it */
	bool holds_port;
	bool explicit_port; /* the kernel keeps it when a connect fails */
	bool established;
	bool listening;
	bool connecting;  /* connect() called, result not known */
	bool udp_failed;  /* the last connect() of a UDP socket failed */
	bool autobound_by_connect;
	bool older;       /* made before porttrace started */
	int64_t sent, got; /* payload bytes, as this program wrote and as the other end wrote */
	bool counted;      /* they are known */
	const char *closed_by, *state; /* what its close has to say; NULL: not known */
	int end_err;       /* the errno that ended the connection before the close; 0: none */
	int64_t connect_ns;
	bool connect_picks; /* this connect() has to pick the local port */
};

/* The task that causes an event. */
struct who {
	pid_t pid, tid, ppid;
	uid_t uid;
	char comm[32];
	const char *exit; /* how it ended with the socket open: "exit", "SIGKILL"; NULL: it did not */
};

/* Fields which the program cannot know. */
enum {
	F_LOCAL_IP = 1 << 0,
	F_LOCAL_PORT = 1 << 1,
	F_REMOTE_IP = 1 << 2,
	F_REMOTE_PORT = 1 << 3,
	F_REQ_IP = 1 << 4,
	F_REQ_PORT = 1 << 5,
	F_HOW = 1 << 6,
	F_TYPE = 1 << 7,
	F_BACKLOG = 1 << 8,
	F_COOKIE = 1 << 9,
};

struct expect {
	const char *action;
	const struct sock *s;
	const struct who *who; /* NULL: the caller */
	enum role role;
	bool failed;
	int err; /* positive errno, 0: none is printed */
	const char *reason;
	struct ep local, remote, requested;
	const char *how;
	int backlog;          /* -1: none */
	unsigned int free;    /* F_*: not compared */
	bool cookie_maybe;
	bool sync;            /* the call itself said the error, no packet was needed */
	const char *cause;    /* porttrace.cause, NULL: none is compared */
	const char *closed_by, *state; /* of a close; NULL: not compared */
	const char *by;       /* what made the kernel bind by itself: connect, sendto */
	const char *note;     /* more for the checker's table of blind spots */
	int64_t at_ns;        /* order within a socket; 0: now */
	int64_t took_ns;      /* upper bound of the event's duration, 0: none */
};

/* record.c */
int rec_open(const char *path);
void rec_scenario(const char *name);
void rec_pause(bool on); /* what happens now, porttrace cannot have seen */
bool rec_paused(void);
void rec_event(const struct expect *e);
void rec_process(pid_t pid);
void rec_result(const char *name, const char *status, const char *reason, int64_t start_ns);
void rec_who(struct who *w);
int64_t clock_ns(int clock);

/* links.c */
int links_open(void);
void link_connected(const struct sock *s); /* by connect() */
void link_accepted(const struct sock *s);
/* This end is closed, `hard`: by a reset. Says whether it had got a reset itself. */
bool link_closed(const struct sock *s, bool hard);
/* A connection that still waits in the queue of a listener that ends now; false: no more. `*ret_reset`: its peer has
 * reset it already. */
bool link_take_waiting(const struct sock *listener, struct ep *ret_client, struct ep *ret_server, bool *ret_reset);

/* ops.c */
struct ep ep_none(void);
struct ep ep_of(const void *sa, socklen_t len);
struct ep ep_port(int port);
struct ep ep_local(int fd);
struct ep ep_peer(int fd);
socklen_t sa_fill(struct sockaddr_storage *ss, int family, const char *ip, int port);
int next_port(void);
int read_number(const char *path, int fallback);
int write_text(const char *path, const char *text);

struct sock *s_open(int family, int type);
struct sock *s_adopt(const struct sock *from);
void s_forget(struct sock *s);     /* not ours to close any more */
void s_drop_all(void);     /* close inherited copies, no last references */
void s_close_all(void);
int s_set(struct sock *s, int level, int name, int value);
int s_bind(struct sock *s, const char *ip, int port);
int s_bind_sa(struct sock *s, const void *sa, socklen_t len, unsigned int free);
int s_listen(struct sock *s, int backlog);
int s_connect(struct sock *s, const char *ip, int port);
int s_connect_sa(struct sock *s, const void *sa, socklen_t len, unsigned int free);
int s_fastopen(struct sock *s, const char *ip, int port);
int s_connect_result(struct sock *s, int timeout_ms);
int s_disconnect(struct sock *s);
int s_shutdown_listener(struct sock *s);
int s_send(struct sock *s, struct sock *peer, int64_t bytes);
int s_udp_connect(struct sock *s, const char *ip, int port);
int s_sendto(struct sock *s, const char *ip, int port);
struct sock *s_accept(struct sock *ls, bool want_addr);
int s_accept_error(struct sock *ls);
int s_close(struct sock *s);
void rec_close(const struct sock *s, const struct who *who);

struct sock *s_listener(int family, const char *ip, int backlog);
pid_t spawn(int (*fn)(void *arg), void *arg);
int reap(pid_t pid);
bool wait_asleep(pid_t pid, pid_t tid);

/* netns.c */
int netns_enter(void);
int netns_up(const char *ifname);
int netns_down(const char *ifname);
int netns_veth(const char *a, const char *b);
int netns_addr4(const char *ifname, const char *ip, int plen);
int netns_unreachable4(const char *ip, int plen);

#endif
