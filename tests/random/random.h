// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Random socket calls from a seed, and a record of what each returned: the truth that tests/random/check.py
 * compares porttrace with.
 *
 * record.c  the file that all processes write to: a mapping, slots by an atomic counter, so no lock
 * net.c     namespaces, addresses, what a socket tells about itself, and waiting until packets are through
 * calls.c   socket calls that record themselves
 * plan.c    which call comes next
 * family.c  fork, exec, kill, and two processes that meet
 * random.c  options, the processes, the end
 *
 * The truth must be known to the programs, so: a process stays on one CPU and, after each call that sends, lets a
 * datagram of its own pass through the same queue (net_settle), so that no packet is under way when it makes its
 * next call; it connects only to listeners of its own, or to ports where nobody listens; and where two processes
 * have one socket or one connection, only one of them runs.
 */
#ifndef PORTTRACE_TESTS_RANDOM_H
#define PORTTRACE_TESTS_RANDOM_H

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define LEADS 4      /* processes at a time; two in each namespace */
#define NAMESPACES 2
#define SLOTS 14     /* sockets a process has at most */
#define SLOT_FDS 3   /* descriptors of one socket */
#define RANGE_LOW 40000
#define RANGE_HIGH 40039 /* small, so that it is exhausted now and then */
#define OWN_PORTS 8
#define OWN_FIRST(lead) (20000 + (lead) * 100)
#define SHARED_FIRST 21000
#define SHARED_PORTS 8
#define SETTLE_FIRST 22000 /* of the datagrams that net_settle sends */
#define DEAD_PORT 9  /* nobody listens there */
#define NOBODY 65534

enum op {
	OP_START = 1, /* a process begins: arg enum start, arg2 parent */
	OP_SOCKET,
	OP_BIND,
	OP_LISTEN,
	OP_CONNECT,
	OP_ACCEPT,
	OP_CLOSE,
	OP_SEND,      /* given: the destination, if any; arg: bytes */
	OP_RECV,
	OP_SHUTDOWN,
	OP_DUP,
	OP_OPTION,    /* arg: enum socket_option, arg2: value */
	OP_ERROR,     /* SO_ERROR: arg is what it gave */
	OP_FORK,      /* arg: the child */
	OP_EXEC,      /* about to; descriptors with close-on-exec are closed */
	OP_EXIT,      /* about to */
	OP_KILL,      /* about to kill arg */
	OP_END,       /* the process arg has been waited for */
	OP_RESULT,    /* of a connect that was left pending: err, state1 */
};

enum start { START_LEAD, START_CHILD, START_EXEC };

enum socket_option {
	OPT_REUSEADDR = 1,
	OPT_REUSEPORT,
	OPT_NO_PORT,
	OPT_V6ONLY,
	OPT_LINGER0,
	OPT_NONBLOCK,
};

struct addr {
	uint16_t family; /* 0: none */
	uint16_t port;
	uint8_t ip[16];  /* IPv4 in the first four */
};

/* check.py reads it: RECORD there. */
struct rec {
	uint64_t cookie;
	uint64_t other;   /* accept: the new socket; connect: the listener that has it */
	uint64_t time_ns; /* CLOCK_REALTIME, before the call */
	uint32_t op;
	int32_t ret, err; /* err: errno, 0 if it worked */
	uint32_t pid, tid, uid, netns;
	int32_t fd, arg, arg2;
	uint8_t family, type, state0, state1; /* enum of tcp_states.h before and after */
	uint32_t len;     /* of the address that was given */
	struct addr given, local0, local, peer0, peer;
	uint32_t lead, index;
	char comm[16];
	uint8_t options0, options; /* bits of enum socket_option, as getsockopt() says, before and after */
	uint8_t reserved[2];
};
_Static_assert(sizeof(struct rec) == 200, "check.py knows the size");

/* A socket of a process. What can be asked for is not kept here. */
struct slot {
	bool used, nonblock, cloexec, reuseport, v6only, linger0;
	bool speaks4;   /* a TCP socket of IPv6 that tries only v4-mapped addresses */
	bool connected; /* was, and connect(AF_UNSPEC) has not undone it */
	uint8_t family, type, ns;
	int fds[SLOT_FDS];
	int nfds;
	uint64_t cookie;
};

/* All that a process knows; in the mapping, so that it outlives exec. */
struct state {
	int lead;
	bool is_child, nobody;
	int ns;
	int settle_fd;
	uint32_t index;      /* number of the next step */
	uint32_t generation; /* children so far */
	uint32_t steps;      /* all that there will be */
	bool killed;         /* a child that does not exit by itself */
	struct slot slots[SLOTS];
	bool borrowed[SLOTS]; /* of a child: its parent has it too */
	bool given[SLOTS];    /* of a child: its parent has had it */
};

/* Two leads of a namespace do one thing together, step by step. */
struct meeting {
	uint32_t step;
	uint32_t failed;
	struct addr at;
};

struct shared {
	uint32_t magic, record_size;
	uint32_t first, capacity; /* of the records: offset, number */
	uint32_t next, calls;
	uint64_t seed;
	uint32_t netns[NAMESPACES];
	int ns_fds[NAMESPACES];
	uint32_t wanted; /* calls */
	uint32_t child_step[LEADS]; /* a child's signals to its parent, and back */
	struct meeting meetings[NAMESPACES];
	struct state leads[LEADS], children[LEADS];
	char path[256];
};

extern struct shared *shared;
extern struct state *self;

/* record.c */
int record_create(const char *path, uint32_t records);
int record_open(const char *path);
void record_finish(void);
struct rec *record_new(enum op op);
void record_comm(void); /* asks for the name of the process, which is then written everywhere */
void die(const char *what);

/* net.c */
void net_make_namespaces(void);
void net_enter(int ns);
struct addr net_local(int fd), net_peer(int fd);
struct addr net_addr(int family, const char *ip, int port);
struct addr net_of(const void *sa, socklen_t len);
socklen_t net_fill(struct sockaddr_storage *ss, const struct addr *a);
bool net_same(const struct addr *a, const struct addr *b);
bool net_is_any(const struct addr *a), net_is_mapped(const struct addr *a);
uint64_t net_cookie(int fd);
int net_state(int fd);
bool net_queue(int fd, unsigned int *ret_length, unsigned int *ret_max);
void net_settle_open(void);
void net_settle(void);

/* calls.c: fds of the slot change with the calls */
struct slot *call_socket(int family, int type, bool nonblock, bool cloexec);
int call_bind(struct slot *s, const struct addr *to, uint32_t len);
int call_listen(struct slot *s, int backlog);
int call_connect(struct slot *s, const struct addr *to, uint32_t len);
void call_disconnect(struct slot *s);
struct slot *call_accept(struct slot *s, bool nonblock, bool cloexec);
void call_close(struct slot *s, int which);
void call_close_all(struct slot *s);
int call_send(struct slot *s, const struct addr *to, int bytes);
void call_recv(struct slot *s);
void call_shutdown(struct slot *s, int how);
void call_dup(struct slot *s);
void call_option(struct slot *s, enum socket_option option, int value);
void call_error(struct slot *s);
bool call_answered(const struct slot *s, int timeout_ms);
void call_result(struct slot *s, int timeout_ms);
struct slot *slot_free(void);
bool slot_listens(const struct slot *s);
bool slot_pending(const struct slot *s);

/* plan.c */
uint32_t draw(uint32_t below);
bool draw_percent(uint32_t percent);
void plan_seed(uint32_t index);
void plan_seed_pair(uint32_t index);
void plan_give_up(void);
struct slot *plan_room(int wanted);
void plan_run(uint32_t steps);
void plan_one(void);
void plan_before_end(bool only_cloexec);

/* family.c */
void family_child(void);
void family_exec(void);
void family_meet(void);
void family_resume(const char *path, int lead, bool child);
void helper_start(void);
void helper_stop(void);
void helper_run(void (*fn)(void));
bool helper_is_me(void);
void family_lead(int lead);
void family_end(void);

#endif
