/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How close each pool of ephemeral ports is to running out, who holds it, and when its ports come back: over the states
 * of pool.h, one for each network namespace. Pure: no I/O, no clock.
 */
#ifndef PORTTRACE_PRESSURE_H
#define PORTTRACE_PRESSURE_H

#include "pool.h"

#define PRESSURE_OWNERS 3 /* that are named; the rest is summed */
#define PRESSURE_SECONDS 64 /* of releases that are known ahead: TIME_WAIT lasts 60 s, and a little */
#define PRESSURE_NAME_SIZE 64 /* of a namespace or a process */
#define PRESSURE_POOLS_MAX 64 /* that are measured in one namespace: those with the most ports */

/* What the sockets of a pool do with its ports. */
enum pressure_state {
	PRESSURE_ESTABLISHED,
	PRESSURE_SYN_SENT,
	PRESSURE_CLOSE_WAIT,
	PRESSURE_FIN_WAIT2, /* closed here, not there */
	PRESSURE_TIME_WAIT,
	PRESSURE_CLOSING, /* what is between: FIN_WAIT1, CLOSING, LAST_ACK */
	PRESSURE_BOUND, /* bound, and no more */
	PRESSURE_STATE_COUNT,
};
extern const char *const pressure_state_names[PRESSURE_STATE_COUNT]; /* "established", "syn-sent", ... */

enum pressure_severity { PRESSURE_OK, PRESSURE_WARN, PRESSURE_HIGH, PRESSURE_CRIT, PRESSURE_SEVERITY_COUNT };
extern const char *const pressure_severity_names[PRESSURE_SEVERITY_COUNT]; /* "ok", "warn", "high", "crit" */

/* A process that holds, or has opened, sockets. */
struct pressure_process {
	uint32_t pid;
	bool exited;
	char name[PRESSURE_NAME_SIZE]; /* comm; any bytes */
};

struct pressure_owner {
	uint32_t process; /* in pressure_input.processes; 0 = not known */
	uint32_t ports, time_wait; /* time_wait: of those */
};

/* What will become of a pool if all goes on as it does. */
enum pressure_course {
	PRESSURE_UNKNOWN, /* no look before, or nothing is opened */
	PRESSURE_STEADY,
	PRESSURE_WALL, /* the first half will be full: in `seconds` */
	PRESSURE_FULL, /* no port will be left: in `seconds` */
};

struct pressure_pool {
	struct pool_key key;
	struct pool_measure measure;
	uint64_t id; /* the same at each look */
	uint32_t ports[PRESSURE_STATE_COUNT]; /* of `measure.used`: each port once, by the socket that was seen first */
	struct pressure_owner owners[PRESSURE_OWNERS]; /* the most ports first */
	uint32_t owner_count; /* in owners[] */
	uint32_t others, other_ports; /* owners that are not named, and what they have */
	uint32_t unattributed; /* ports of which no owner is known */
	uint32_t releases[PRESSURE_SECONDS]; /* [n]: ports that TIME_WAIT, FIN_WAIT2 give back in second n from now */
	uint32_t next_ms; /* until the first of them; UINT32_MAX = none is known */
	bool has_rates; /* there was a look before */
	double opens_per_s, frees_per_s;
	uint32_t failures; /* for want of a port, in the last 10 s; 0 also if nobody counts them */
	enum pressure_course course, next_course; /* next_course: after the wall comes the end, perhaps */
	uint32_t seconds, next_seconds;
	enum pressure_severity severity;
};

/* Counters of the kernel since the namespace was made. */
struct pressure_counters {
	uint64_t tw_recycled; /* TWRecycled, /proc/net/netstat */
	uint64_t tw_overflow; /* TCPTimeWaitOverflow */
	uint64_t aborted; /* TCPAbortOnData: closed with SO_LINGER 0, or while data came */
	uint64_t syn_retrans; /* TCPSynRetrans */
	uint64_t nat_failed; /* insert_failed of /proc/net/stat/nf_conntrack, all processors */
};

/* One network namespace, as somebody has read it. */
struct pressure_input {
	struct pool_state *pool; /* not owned */
	const uint32_t *process; /* of each socket of pool->sockets: in `processes`; 0 = not known */
	const struct pressure_process *processes; /* [0]: who is taken for one that is not known; pid 0 = nobody */
	size_t process_count;
	char name[PRESSURE_NAME_SIZE]; /* "blue"; "" = none */
	bool is_own; /* the one that the reader runs in */
	uint32_t members; /* processes in it; 0 = not known */
	size_t place; /* among the namespaces of whoever read it */
	int bucket_error; /* -errno: why the bind buckets could not be read; 0 = they were */
	struct pressure_counters counters;
};

/* A pool of the look before. */
struct pressure_past_pool {
	uint64_t id;
	double opens_per_s, frees_per_s; /* smoothed over some 10 s */
};

/* A socket of the look before. */
struct pressure_past_socket {
	uint64_t cookie, pool; /* pool: its id */
};

/* What one look leaves to the next. A cleared one is the first's. */
struct pressure_past {
	uint64_t time_ns; /* CLOCK_MONOTONIC; 0 = there was none */
	struct pressure_past_socket *sockets; /* by cookie */
	size_t socket_count;
	struct pressure_past_pool *pools; /* by id */
	size_t pool_count;
};

struct pressure_netns {
	struct pressure_input in; /* as given */
	struct pressure_pool *pools; /* the worst first; owned */
	size_t count;
	size_t left_out; /* pools beyond PRESSURE_POOLS_MAX */
	uint32_t blocked[POOL_PORT_COUNT]; /* ports that a bind bucket keeps from every connect(), by reason */
	uint32_t reserved; /* ports inside the range */
	uint32_t listening; /* ports inside the range that somebody listens on */
	uint32_t server_waits; /* TIME_WAITs on ports that are no client's: they take nothing from any pool */
	struct pressure_owner blockers[PRESSURE_OWNERS]; /* who has bound what is kept from connect() */
	uint32_t blocker_count;
};

/*
 * Finds the pools that sockets take ports from, and measures them. `past` is the look before and becomes this one;
 * NULL = there is only one look. 0 or -ENOMEM. The caller ends *ret with pressure_free.
 */
int pressure_look(const struct pressure_input *in, struct pressure_past *past, uint64_t now_ns,
		  struct pressure_netns *ret);
void pressure_free(struct pressure_netns *netns);
void pressure_forget(struct pressure_past *past);
/* The same number for the same pool of a namespace, at each look. */
uint64_t pressure_pool_id(uint32_t netns_inum, const struct pool_key *key);
/* Sets course and severity from the rest: again after `failures` or the rates have been filled in from elsewhere. */
void pressure_judge(struct pressure_pool *pool);
/* The worst first: again after that. */
void pressure_sort(struct pressure_netns *netns);
enum pressure_order { PRESSURE_BY_SEVERITY, PRESSURE_BY_PERCENT, PRESSURE_BY_USED, PRESSURE_BY_OPENS,
		      PRESSURE_BY_FAILURES, PRESSURE_ORDER_COUNT };
extern const char *const pressure_order_names[PRESSURE_ORDER_COUNT]; /* "severity", "percent", ... */
/* The largest first. */
void pressure_sort_by(struct pressure_netns *netns, enum pressure_order order);
/* The ports that are taken, in percent of the capacity, rounded down. 100 only if none is free. */
uint32_t pressure_percent(uint32_t used, uint32_t capacity);
/* The ports that may be used: in use and free; where a bind could not be seen, the larger number. */
static inline uint32_t pressure_capacity(const struct pressure_pool *pool)
{
	return pool->measure.capacity.max;
}

#endif
