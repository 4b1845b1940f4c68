/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * struct event: one event as every stage after decode sees it.
 *
 * decode fills it from a raw record; enrichers add to it; filter and sinks only read it. A thing that is not
 * known is absent: an empty string, a zero, or a cleared has_* flag, as said at each field.
 */
#ifndef PORTTRACE_EVENT_H
#define PORTTRACE_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct owner;

enum event_kind { EVENT_BIND, EVENT_LISTEN, EVENT_CONNECT, EVENT_ACCEPT, EVENT_CLOSE, EVENT_RELEASE, EVENT_KIND_COUNT };
enum event_outcome { OUTCOME_SUCCESS, OUTCOME_FAILURE, OUTCOME_UNKNOWN, OUTCOME_COUNT };
enum event_how {
	HOW_NONE, /* this event assigned no port */
	HOW_EXPLICIT,
	HOW_BIND0,
	HOW_CONNECT,
	HOW_AUTOBIND,
	HOW_INHERITED,
	HOW_COUNT,
};
/* The pool that the kernel picked a port from, or found none free in. */
enum event_pool {
	EVENT_POOL_NONE, /* it picked none: asked for by number, or inherited */
	EVENT_POOL_CONNECT, /* one for each source address, destination address and destination port */
	EVENT_POOL_BIND, /* one for each source address: bind() to port 0, listen() without bind() */
	EVENT_POOL_UDP,
	EVENT_POOL_COUNT,
};
/* The kernel looks through the ports of one parity first, and through the others only when none of those is free. */
enum event_half { EVENT_HALF_UNKNOWN, EVENT_HALF_FIRST, EVENT_HALF_SECOND, EVENT_HALF_COUNT };
enum event_role { ROLE_UNKNOWN, ROLE_EGRESS /* it connected */, ROLE_INGRESS /* it was accepted */, ROLE_COUNT };
enum event_proto { PROTO_TCP, PROTO_UDP, PROTO_COUNT };
enum event_backend { BACKEND_TRACING, BACKEND_CGROUP, BACKEND_COUNT };
enum port_class { CLASS_NONE, CLASS_WELL_KNOWN, CLASS_REGISTERED, CLASS_DYNAMIC, CLASS_COUNT };

/* Why an event failed, or how a connection ended: what `reason` says, for programs. */
enum event_cause {
	CAUSE_NONE,
	CAUSE_PORT_EXHAUSTED, /* no port left that the kernel could have picked */
	CAUSE_IN_USE, /* the port asked for has another holder */
	CAUSE_PRIVILEGED, /* below ip_unprivileged_port_start */
	CAUSE_NOT_LOCAL, /* the address asked for is not this machine's */
	CAUSE_NO_ADDRESS, /* no source address for this destination: nothing to do with ports */
	CAUSE_TUPLE_CLASH, /* the socket's own port is taken for this very destination */
	CAUSE_DENIED, /* by a security module, a seccomp filter or a cgroup program */
	CAUSE_REFUSED,
	CAUSE_TIMED_OUT,
	CAUSE_UNREACHABLE,
	CAUSE_GIVEN_UP, /* by the program, before an answer came */
	CAUSE_RESET, /* by the peer */
	CAUSE_NEVER_ACCEPTED, /* its listener ended while it waited for accept() */
	CAUSE_SHUT_DOWN, /* a listener that stopped listening; the socket stays open */
	CAUSE_DISCONNECTED, /* dropped by the program; the socket stays open */
	CAUSE_COUNT,
};
/* Is the event's process the one that did it? */
enum event_confidence {
	CONFIDENCE_SURE,
	CONFIDENCE_KERNEL, /* a kernel thread did it, for whom is not known */
	CONFIDENCE_CLOSER, /* it closed the socket; whether it also accepted it is not known */
	CONFIDENCE_COUNT,
};
/* Who sent the first FIN or RST of a connection. */
enum event_closer { CLOSER_NONE, CLOSER_LOCAL, CLOSER_REMOTE, CLOSER_COUNT };
/* What a close left of the socket's hold on its port: none, TIME_WAIT, or a FIN that is still to be answered. */
enum close_state {
	CLOSE_STATE_NONE,
	CLOSE_STATE_CLOSED,
	CLOSE_STATE_TIME_WAIT,
	CLOSE_STATE_CLOSING,
	CLOSE_STATE_COUNT,
};

/* What a socket has that holds a port which somebody else wanted. */
enum holder_kind { HOLDER_LISTENER, HOLDER_BOUND, HOLDER_CONNECTION, HOLDER_TIME_WAIT, HOLDER_KIND_COUNT };

/* What a socket is, as far as its port goes, after an event. */
enum life_state {
	LIFE_NONE, /* no port: the ledger knows nothing */
	LIFE_BOUND,
	LIFE_LISTENING,
	LIFE_CONNECTED, /* or connecting */
	LIFE_TIME_WAIT, /* closed, and nobody has told that the port is free */
	LIFE_OVER, /* closed, the port was given back */
	LIFE_STATE_COUNT,
};

/* "bind", "success", "bind0", "egress", "tcp", "tracing", "well-known"...: the words of the output. */
extern const char *const event_kind_names[EVENT_KIND_COUNT];
extern const char *const event_outcome_names[OUTCOME_COUNT];
extern const char *const event_how_names[HOW_COUNT]; /* [HOW_NONE] is "" */
extern const char *const event_pool_names[EVENT_POOL_COUNT]; /* "connect"; [EVENT_POOL_NONE] is "" */
extern const char *const event_half_names[EVENT_HALF_COUNT]; /* "first"; [EVENT_HALF_UNKNOWN] is "" */
extern const char *const event_role_names[ROLE_COUNT]; /* [ROLE_UNKNOWN] is "" */
extern const char *const event_proto_names[PROTO_COUNT];
extern const char *const event_backend_names[BACKEND_COUNT];
extern const char *const port_class_names[CLASS_COUNT]; /* [CLASS_NONE] is "" */
extern const char *const event_cause_names[CAUSE_COUNT]; /* "port_exhausted"; [CAUSE_NONE] is "" */
extern const char *const event_confidence_names[CONFIDENCE_COUNT]; /* [CONFIDENCE_SURE] is "" */
extern const char *const event_closer_names[CLOSER_COUNT]; /* "local"; [CLOSER_NONE] is "" */
extern const char *const close_state_names[CLOSE_STATE_COUNT]; /* "time-wait"; [CLOSE_STATE_NONE] is "" */
extern const char *const holder_kind_names[HOLDER_KIND_COUNT]; /* "listener", "time-wait" */
extern const char *const life_state_names[LIFE_STATE_COUNT]; /* "listening"; [LIFE_NONE] is "" */

/* An IP address and a port. v4-mapped addresses have been turned into IPv4 by decode. */
struct endpoint {
	uint8_t addr[16]; /* network order; IPv4 in the first four bytes */
	uint8_t ip_version; /* 4 or 6; 0 = address not known */
	bool has_port;
	uint16_t port; /* host order, valid with has_port; 0 is "any" (only in requested) */
};

static inline bool event_is_same_address(const struct endpoint *a, const struct endpoint *b)
{
	return a->ip_version == b->ip_version && !memcmp(a->addr, b->addr, sizeof(a->addr));
}

static inline bool event_is_same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && event_is_same_address(a, b);
}

/* What a port number means, for one endpoint; filled in by enrich/port.c and enrich/service.c. */
struct port_facts {
	enum port_class class : 8;
	bool ephemeral; /* inside the effective range of that socket and namespace at that moment */
	bool reserved; /* in ip_local_reserved_ports */
	bool privileged; /* below ip_unprivileged_port_start */
	const char *service; /* NULL = none; owned by the service table, lives as long as the process */
};

#define EVENT_NAME_SIZE 16
#define EVENT_PATH_SIZE 256
#define EVENT_ID_SIZE 80
#define EVENT_REASON_SIZE 256

/* What is known of a process in words, looked up once for many of its events. "" = unknown; zeros behind each text. */
struct event_who {
	uint64_t id; /* the same number means the same texts, as long as the program runs; 0 = not numbered */
	char executable[EVENT_PATH_SIZE];
	char command_line[EVENT_PATH_SIZE]; /* arguments joined by spaces; may be cut */
	char user[33];
	char container_id[EVENT_ID_SIZE];
	char container_runtime[16]; /* "docker", "containerd", "cri-o", "podman", "lxc" ... */
	char pod_uid[EVENT_ID_SIZE];
	char unit[EVENT_ID_SIZE]; /* systemd unit, "nginx.service" */
};

/* Who has the port, or the pair of endpoints, that an event asked for in vain: one socket, and its process. */
struct holder {
	enum holder_kind kind;
	struct endpoint local;
	enum event_how how; /* how it came by its port; HOW_NONE = unknown */
	uint32_t pid; /* 0 = unknown */
	uint64_t process_start_ns; /* since boot; 0 = unknown */
	uint64_t cgroup_id; /* 0 = unknown */
	char name[EVENT_NAME_SIZE]; /* comm of the thread group leader, any bytes; "" = unknown */
	bool has_uid;
	uint32_t uid;
	char user[33];
	char container_id[EVENT_ID_SIZE];
	bool exited; /* the process has ended, the port is still held */
	bool has_expires;
	uint32_t expires_s; /* seconds left of TIME_WAIT, rounded up; valid with has_expires */
};

/* The rule that explains a failure, and what was found of the pool if that had no port left. */
struct event_verdict {
	bool has_pool; /* the next five are known */
	uint32_t used, capacity; /* ports */
	uint32_t reserved, blocked; /* ports of the range: by the admin, by bind() */
	uint32_t next_ms; /* until TIME_WAIT gives one back; UINT32_MAX = not known */
	const char *rule, *cause; /* "P01", in words; NULL = not known */
	const char *also; /* a rule that holds beside it, "P17"; NULL = none */
	uint32_t more; /* such failures since it was told last */
	const char *text; /* lines for people, each ended; text_len bytes: none if it was told a moment ago */
	size_t text_len;
	const char *json; /* states, owners and remedy as members of JSON, each after a comma; json_len bytes */
	size_t json_len;
};

struct event {
	/* What is told in words: see JSON_LINES_WORDS_SIZE. A byte each, and none between them. */
	enum event_kind kind : 8;
	enum event_outcome outcome : 8;
	enum event_backend backend : 8;
	enum event_proto proto : 8;
	enum event_role role : 8;
	enum event_how how : 8;
	enum event_cause cause : 8;
	enum event_confidence confidence : 8; /* that pid and name are of the process that did it */
	/* where the kernel looked for a port that it picked: pool_kind.c; its half says where the local port lies */
	enum event_pool pool : 8;
	enum event_half half : 8;
	enum event_closer closer : 8; /* close only, as the next */
	enum close_state close_state : 8;
	uint8_t ip_version; /* 4 or 6, after un-mapping */
	bool is_ipv6; /* an AF_INET6 socket, whatever it talks */
	bool mptcp;
	bool late; /* told later than it happened */
	bool has_options; /* the six below are known */
	bool reuseaddr, reuseport, v6only, freebind, transparent, no_port;
	bool has_port_free; /* release only */
	bool port_free; /* no other socket of this namespace has the port */
	bool owner_exited; /* list only: pid and name are of a process that has ended, as the history tells */
	uint16_t protocol; /* IPPROTO_*, as the kernel has it */
	bool has_requested;
	bool exiting; /* closed by the end of the process */
	bool has_search; /* search_ns is known */
	bool has_bytes; /* bytes_* are known: close only */

	uint64_t sequence; /* given by the sink stage, from 1, without holes */
	uint64_t time_ns; /* CLOCK_REALTIME, since the epoch */
	uint64_t observed_ns; /* the same, when it was given to the queue of the sinks; 0 = just now */
	uint64_t duration_ns; /* connect: latency; close: life of the socket; 0 = unknown */

	int error; /* positive errno; 0 = none, or not seen */
	bool aborted; /* connect given up by the program */

	struct endpoint local; /* on success the assigned one, on failure what is known of it */
	struct endpoint remote;
	struct port_facts local_facts, remote_facts;
	struct endpoint requested; /* the local endpoint that was asked for; valid with has_requested */

	uint64_t search_ns; /* how long the kernel looked for a port, also in vain; valid with has_search */
	bool wall; /* the first event that shows the pool's first half full: wall.c */

	uint64_t socket_id; /* same for all events of one socket while it lives; never printed */
	uint64_t cookie; /* 0 = unknown */
	uint64_t netns_cookie; /* 0 = unknown */
	uint32_t netns_inum; /* 0 = unknown */
	bool has_backlog;
	uint32_t backlog; /* listen only, valid with has_backlog */
	uint32_t mark; /* SO_MARK; 0 = none */
	uint32_t bound_ifindex; /* SO_BINDTODEVICE; 0 = none */
	bool has_fd;
	int fd; /* in the process that called */

	/*
	 * TCP. A connect that failed: the kernel took back the socket's port, unless it was asked for by number. An
	 * accept: the connection was reset while it waited, and has no port any more.
	 */
	bool gave_back;

	/* close only */
	bool never_accepted; /* nothing was told of it before; an entry at its address is another's */
	uint64_t bytes_sent, bytes_received; /* payload that the program wrote / that arrived for it */
	int exit_signal; /* that ended the process; 0 = it exited */

	bool has_truth; /* range_*, unprivileged_start and the raw reserved bits are known */
	uint16_t range_low, range_high; /* ephemeral range of the namespace, both ends included */
	uint16_t sock_range_low, sock_range_high; /* the socket's own part of it; 0 and 0 = all of it */
	uint16_t unprivileged_start;
	bool local_reserved, remote_reserved;

	uint32_t pid, tid, parent_pid; /* 0 = unknown */
	uint32_t vpid; /* pid in the process's own pid namespace; 0 = the same */
	uint32_t exec_id; /* counts execve() calls; 0 = unknown */
	uint32_t uid; /* valid with has_uid */
	uint64_t cgroup_id; /* 0 = unknown */
	uint64_t process_start_ns; /* since boot; 0 = unknown */
	uint64_t process_start_real_ns; /* CLOCK_REALTIME; 0 = unknown */
	char name[EVENT_NAME_SIZE]; /* comm of the thread group leader; any bytes */
	bool has_uid;
	bool name_is_leader; /* false: name is the calling thread's until enrich/process.c replaces it */
	const struct event_who *who; /* until the next event; NULL = nothing known: event_who(). Not owned */

	/* who bound, connected or accepted the socket first, if that is not `pid`; 0 = it is, or not known */
	uint32_t creator_pid;
	char creator_name[EVENT_NAME_SIZE]; /* any bytes; "" = unknown */
	bool has_holder; /* `holder` below is known */

	bool nothing_sent; /* connect that failed before a SYN was sent, and the backend does not see why */
	uint32_t pool_used, pool_capacity; /* of its pool, when that was looked at last; capacity 0 = not known */
	const struct event_verdict *verdict; /* of a failure that a rule explains; NULL = none. Not owned */
	uint32_t repeats; /* so many that are alike, itself among them, are told by this one; 0 = itself alone */

	/* given by the ledger: which life of a socket this belongs to, from 1; 0 = none. Never printed. */
	uint64_t life;
	enum life_state life_state;
	enum event_how life_how; /* the assignment of its port, by this event or an earlier one */
	uint64_t life_begin_ns; /* CLOCK_REALTIME; 0 = before porttrace looked */
	bool snapshot; /* not an event: the socket was there at the start */

	/* of a socket that `porttrace list` tells of only */
	const char *socket_state; /* "listen", "time-wait"; NULL = this is no such record */
	const struct owner *owners; /* all who have it open (owners.h), `pid` among them; not owned */
	size_t owner_count;
	bool serves_remote; /* no listener has its local port: the service is on the other side */
	bool has_queue;
	uint32_t queue; /* of a listener: connections waiting for accept(); else bytes to read */
	bool has_expires;
	uint32_t expires_ms; /* of TIME_WAIT: left */

	/* Large, and seldom there: decode leaves of them what it finds, but that a text ends. */
	struct holder holder; /* valid with has_holder */
	char reason[EVENT_REASON_SIZE]; /* words for a failure, an unknown outcome, a wall; "" = none */
};

/* The bytes of an event that are always valid. */
#define EVENT_FIRST_SIZE offsetof(struct event, holder)

extern const struct event_who event_nobody; /* nothing is known */

static inline const struct event_who *event_who(const struct event *ev)
{
	return ev->who ? ev->who : &event_nobody;
}

static inline bool event_is_same_who(const struct event_who *a, const struct event_who *b)
{
	const size_t texts = offsetof(struct event_who, executable);

	return a->id && b->id ? a->id == b->id :
				!memcmp((const char *)a + texts, (const char *)b + texts, sizeof(*a) - texts);
}

/* What a backend told of a process ahead of its first event, and of the first after each execve(). */
struct process_facts {
	uint32_t pid;
	uint32_t exec_id;
	uint64_t process_start_ns; /* since boot */
	char executable[EVENT_PATH_SIZE]; /* "" = not known */
	char command_line[EVENT_PATH_SIZE]; /* arguments joined by spaces; may be cut; "" = not known */
};

/* The service side of an event: the remote endpoint of a connection this socket opened, else the local one. */
static inline bool event_service_is_remote(const struct event *ev)
{
	return ev->role == ROLE_EGRESS || ev->kind == EVENT_CONNECT || ev->serves_remote;
}

/* The port that local_facts are about: the local one, else the one asked for in vain. False if there is none. */
static inline bool event_local_port(const struct event *ev, uint16_t *ret)
{
	const struct endpoint *end = ev->local.has_port ? &ev->local : &ev->requested;

	if (!end->has_port || end->port == 0 || (end == &ev->requested && !ev->has_requested))
		return false;
	*ret = end->port;
	return true;
}

#endif
