// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The acceptance workload: named scenarios, each of which uses sockets and writes down what it
 * did, from its own record only (getsockname(), getpeername(), errno, SO_ERROR, getpid(),
 * gettid(), SO_COOKIE). tests/scenarios/check.py compares the record with what porttrace showed.
 *
 * record.c   writes the expectation file, one JSON object a line
 * ops.c      bind(), connect(), ... which write their own expectation
 * end.c      bytes, shutdown(), close(), and what is left of a connection then
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
	NEED_MPTCP = 1 << 6,
	NEED_SECCOMP = 1 << 7, /* a porttrace with --seccomp */
	NEED_RELEASE = 1 << 8, /* a porttrace with -e all,release */
	NEED_SOAK = 1 << 9, /* time: minutes */
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
	V_ASYNC = 1 << 7,    /* IOSQE_ASYNC */
	V_SQPOLL = 1 << 8,
	V_READ_ERROR = 1 << 9, /* SO_ERROR is read before close() */
	V_ACCEPT = 1 << 10,
	V_REUSEADDR = 1 << 11,
};

struct variant {
	int family;
	int type;
	const char *ip;   /* what is bound or connected to */
	int lfamily;      /* of the listener, 0: same as family */
	const char *lip;  /* where the listener binds, NULL: same as ip */
	unsigned int flags;
	int err;          /* the errno that is wanted, 0: success */
	int n;            /* how many, how much */
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
extern const struct scenario pool_scenarios[];
extern const struct scenario life_scenarios[];
extern const struct scenario noise_scenarios[];
extern const struct scenario ways_scenarios[];
extern const struct scenario end_scenarios[];
extern const struct scenario mptcp_scenarios[];
extern const struct scenario uring_scenarios[];
extern const struct scenario pass_scenarios[];
extern const struct scenario deny_scenarios[];
extern const struct scenario firewall_scenarios[];
extern const struct scenario cause_scenarios[];
extern const struct scenario release_scenarios[];

/* What a scenario runs in a program of its own, by exec(). */
struct inner {
	const char *name;
	int (*fn)(void);
};

extern const struct inner inners[];

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

/* The task that causes an event. */
struct who {
	pid_t pid, tid, ppid;
	pid_t vpid;     /* in its own pid namespace, if that is another one */
	uid_t uid;
	char comm[32];
	char ended[16]; /* how it ended, if that closed the socket: "exit", "SIGKILL" */
};

/* Who has the port that a bind() or listen() is refused. */
struct holder {
	const char *kind; /* NULL: not known */
	struct who who;
	char ip[INET6_ADDRSTRLEN];
	bool exited;
	int expires;      /* of TIME_WAIT, at most; 0: none */
};

enum closer { CLOSER_NONE, CLOSER_LOCAL, CLOSER_REMOTE };

struct sock {
	int fd;
	int family;
	int type;
	int proto;        /* IPPROTO_MPTCP, IPPROTO_UDPLITE; 0: the type's own */
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
	bool unsent;      /* connect() said 0, and the first write is to send the SYN */
	int64_t connect_ns;
	bool connect_picks; /* this connect() has to pick the local port */
	bool no_fd;       /* not by a 64-bit system call of its own */
	bool other_tid;   /* a thread of the kernel's acts for the process */
	bool accepted;    /* of a client: somebody has called accept() for it */
	bool fin_sent;    /* by shutdown() */
	bool peer_fin;    /* the peer's FIN was there before anything else ended */
	enum closer closer; /* who sent the first FIN or RST */
	int broken;       /* the errno that ended the connection */
	int64_t sent, got; /* payload that the program itself wrote and read */
	int unread;       /* what was there to read besides, when it was looked at */
	const char *cause; /* of a failure to come; NULL: what its errno says */
	bool wall;        /* the port it gets is the first that shows its pool's first half full */
	struct holder held; /* by whom its port will be found in use */
	struct who maker; /* who got the socket its port */
	bool made;
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
	F_TID = 1 << 9,
	F_COOKIE = 1 << 10,
	F_CAUSE = 1 << 11,
	F_FD = 1 << 12,
	F_OPTIONS = 1 << 13,
	F_CLOSED_BY = 1 << 14,
	F_STATE = 1 << 15,
	F_BYTES = 1 << 16,
	F_CREATOR = 1 << 17,
	F_EXIT = 1 << 18,
	F_HOLDER = 1 << 19,
	F_TOOK = 1 << 20,
	F_V6ONLY = 1 << 21,
	F_PORT_FREE = 1 << 22,
};

struct expect {
	const char *action;
	const struct sock *s;
	const struct who *who; /* NULL: the caller */
	const struct who *maker; /* NULL: the socket's */
	enum role role;
	bool failed;
	int err; /* positive errno, 0: none is printed */
	const char *reason;
	struct ep local, remote, requested;
	const char *how;
	int backlog;          /* -1: none */
	const char *cause;    /* NULL: what the errno says of itself */
	enum closer closer;
	const char *state;    /* of the port, after a close */
	int64_t sent, got;    /* payload of a connection that is closed, -1: none */
	int port_free;        /* of a release: -1 not known, 0 no, 1 yes */
	unsigned int free;    /* F_*: not compared */
	bool cookie_maybe;
	bool sync;            /* the call itself said the error, no packet was needed */
	const char *by;       /* what made the kernel bind by itself: connect, sendto */
	const char *note;     /* more for the checker's table of blind spots */
	int64_t at_ns;        /* order within a socket; 0: now */
	int64_t took_ns;      /* upper bound of the event's duration, 0: none */
};

/* record.c */
int rec_open(const char *path, bool append);
const char *rec_path(void);
void rec_scenario(const char *name);
void rec_pause(bool on); /* what happens now, porttrace cannot have seen */
bool rec_paused(void);
void rec_event(const struct expect *e);
void rec_process(void); /* the caller's events are the workload's */
void rec_result(const char *name, const char *status, const char *reason, int64_t start_ns);
void rec_who(struct who *w);
const char *cause_of(const struct expect *e);
int64_t clock_ns(int clock);

/* ops.c */
void rec_given_up(struct sock *s, int64_t at_ns);
struct ep ep_none(void);
struct ep ep_of(const void *sa, socklen_t len);
struct ep ep_port(int port);
struct ep ep_local(int fd);
struct ep ep_peer(int fd);
socklen_t sa_fill(struct sockaddr_storage *ss, int family, const char *ip, int port);
int next_port(void);
int read_number(const char *path, int fallback);
int write_text(const char *path, const char *text);

struct expect expect_of(const struct sock *s, const char *action, int rc);
struct sock *s_open(int family, int type);
struct sock *s_open_proto(int family, int type, int proto);
struct sock *s_new(int fd, int family, int type, int proto); /* a descriptor that is there */
struct sock *s_adopt(const struct sock *from);
struct sock *s_find(bool (*is)(const struct sock *s, const void *arg), const void *arg);
bool s_is_mptcp(const struct sock *s);
void s_held(struct sock *s, const char *kind, const struct sock *by);
void s_made(struct sock *s);       /* the caller gets it its port, unless somebody has before */
void s_forget(struct sock *s);     /* not ours to close any more */
void s_drop(struct sock *s);  /* close a copy, not the last reference */
void s_drop_all(void);
void s_close_all(void);
int s_set(struct sock *s, int level, int name, int value);
int s_bind(struct sock *s, const char *ip, int port);
int s_bind_sa(struct sock *s, const void *sa, socklen_t len, unsigned int free);
int s_listen(struct sock *s, int backlog);
int s_connect(struct sock *s, const char *ip, int port);
int s_connect_sa(struct sock *s, const void *sa, socklen_t len, unsigned int free);
int s_fastopen(struct sock *s, const char *ip, int port);
int s_connect_deferred(struct sock *s, const char *ip, int port);
int s_connect_write(struct sock *s);
int s_connect_result(struct sock *s, int timeout_ms);
int s_connect_early(struct sock *s, int timeout_ms);
int s_disconnect(struct sock *s);
int s_udp_connect(struct sock *s, const char *ip, int port);
int s_sendto(struct sock *s, const char *ip, int port);
int s_sendmsg(struct sock *s, const char *ip, int port);
void rec_connect(struct sock *s, int rc, bool sync, unsigned int free);
void rec_accept(const struct sock *s, const struct sock *ls);
void rec_bind(struct sock *s, int rc, const struct ep *asked, unsigned int free);
void rec_listen(struct sock *s, int rc, int backlog);
void connect_begins(struct sock *s, const void *sa, socklen_t len);
void s_accepted(struct sock *s, const struct sock *ls, const struct ep *peer);
struct sock *s_accept(struct sock *ls, bool want_addr);
int s_accept_error(struct sock *ls);

/* end.c */
extern bool with_release;
extern int (*close_by)(int fd);    /* close(), or what does the same */
void rec_release(const struct sock *s, struct ep remote, int64_t at_ns);
void rec_port_back(const struct sock *was);
void rec_disconnected_release(const struct sock *s);
bool s_wait_gone(const struct sock *was, int timeout_ms);
int64_t s_send(struct sock *s, int n);
int64_t s_recv(struct sock *s, int n);
int s_transfer(struct sock *from, struct sock *to, int n);
int s_error(struct sock *s);       /* SO_ERROR, which also takes it */
int s_linger0(struct sock *s);
int s_shutdown(struct sock *s, int how);
int s_shutdown_listener(struct sock *s, int how);
int s_drop_connection(struct sock *s); /* connect(AF_UNSPEC) on an established one */
void s_look(struct sock *s);       /* what has come from the peer, without taking it */
bool s_wait_end(struct sock *s);   /* until the peer's FIN or RST is here */
int s_close(struct sock *s);
void rec_close(struct sock *s, const struct who *who);
void rec_unaccepted(const struct sock *ls, const struct sock *client, int err,
		    const struct who *who);
void s_found(const struct sock *s); /* accept() has given the other end of a client */

struct sock *s_listener(int family, const char *ip, int backlog);
int s_pair(struct sock *l, const char *ip, struct sock **c, struct sock **a);
pid_t spawn(int (*fn)(void *arg), void *arg);
int reap(pid_t pid);
bool wait_asleep(pid_t pid, pid_t tid);

/* netns.c */
int netns_enter(void);
int netns_up(const char *ifname);
int netns_down(const char *ifname);
int netns_veth(const char *a, const char *b);
int netns_link(const char *name, const char *kind, uint32_t table);
int netns_enslave(const char *name, const char *master);
int netns_addr6(const char *ifname, const char *ip, int plen, uint32_t flags);
int netns_route6(const char *ip, int plen, const char *ifname);
int netns_addr4(const char *ifname, const char *ip, int plen);
int netns_unreachable4(const char *ip, int plen);
int netns_mptcp_endpoint4(const char *ip, uint32_t flags);

#endif
