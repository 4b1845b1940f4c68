/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What `porttrace pressure` and `porttrace why` share: looks at all namespaces, one after the other. */
#ifndef PORTTRACE_CMD_PRESSURE_H
#define PORTTRACE_CMD_PRESSURE_H

#include "../pressure_cache.h"
#include "../report.h"
#include "../rule.h"
#include "list_history.h"

/* What one look of a namespace leaves to the next. */
struct pressure_before {
	uint32_t netns_inum;
	bool seen; /* at the look that is made now */
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	struct pressure_past past;
	struct pressure_counters counters;
};

#define PRESSURE_FAILURES_MAX 256 /* pools whose failures are counted at a time */
#define PRESSURE_FAILURES_S 10 /* how long a failure counts */

/* Assignments that failed for want of a port, as events told. */
struct pressure_failure {
	uint32_t netns_inum; /* 0 = unknown */
	uint64_t netns_cookie; /* 0 = unknown */
	struct pool_key key;
	uint64_t total;
	uint32_t in_second[PRESSURE_FAILURES_S]; /* a ring: [second % PRESSURE_FAILURES_S] */
	uint64_t second; /* the last one, CLOCK_MONOTONIC; 0 = the place is free */
};

/* A cleared one with its options is ready. Ended with pressure_session_close. */
struct pressure_session {
	uint32_t netns_inum; /* 0 = all */
	bool no_bpf;
	const char *history_path; /* NULL = the usual one, if it is there */
	const struct sockets *ledger; /* of a run whose events feed it; NULL = none. Not owned */
	bool by_cookie; /* the ledger tells namespaces by cookie */
	int (*take)(void *arg, struct snapshot *ret); /* of a recording: gives the ledger's sockets; NULL = live */
	void *take_arg;
	uint64_t recorded_ns; /* CLOCK_REALTIME there, in place of all clocks */
	struct pressure_failure failures[PRESSURE_FAILURES_MAX];
	struct pressure_before *before;
	size_t before_count;
	struct pressure_cache cache; /* what the look before has found */
	bool patient; /* owners are looked for in /proc now and then only: it takes most of a look */
	uint64_t search_ns; /* CLOCK_MONOTONIC: not before this, if patient */
	bool remembers; /* there was a history or a ledger */
	uint64_t took_ns; /* of the processor: the last look; if patient, the last that searched for no owners */
};

/* One look. */
struct pressure_view {
	struct pressure_picture picture;
	struct pressure_netns *netns; /* those of the picture that have sockets */
	struct rule_counters *counters; /* of each */
	size_t count;
	bool remembers; /* a history or a ledger tells of what is not open any more */
	bool counts_failures; /* events told of them */
	uint64_t evicted; /* sockets that the ledger has forgotten for want of room; 0 if there is none */
	bool recorded; /* the sockets are the ledger's own, not the kernel's */
	uint64_t time_ns; /* CLOCK_REALTIME */
};

/* 0 or -errno as snapshot_take; the caller ends *ret with pressure_view_free. Tells on stderr if the history that was
 * asked for cannot be read (-EIO then). */
int pressure_session_look(struct pressure_session *session, struct pressure_view *ret);
/* From here on SIGINT and SIGTERM end a wait, and nothing else. */
void pressure_session_begin(void);
/* Between two looks. 0, or -EINTR if a signal to end came. */
int pressure_session_wait(uint64_t ns);
/* From which pool the port of a failed assignment was asked for. */
struct pool_key pressure_key_of_failure(const struct event *ev);
/*
 * Whether such a failure is for want of a port of this pool. Of a connect() that failed the source address may not be
 * known, and whether it was for want of a port (`unsure`) neither: then the pool to that destination has to be full.
 */
bool pressure_is_pool_of(const struct pressure_pool *pool, const struct pool_key *failure, bool unsure);
/* An event of the run that feeds the session. */
void pressure_session_event(struct pressure_session *session, const struct event *ev);
void pressure_view_free(struct pressure_view *view);
void pressure_session_close(struct pressure_session *session);

/* The rule of a pool, or NULL. */
static inline const struct rule *pressure_view_rule(const struct pressure_view *view, size_t netns,
						    const struct pressure_pool *pool)
{
	return rule_of_pool(&view->netns[netns], pool, &view->counters[netns]);
}

static inline const struct rule *pressure_view_beside(const struct pressure_view *view, size_t netns,
						      const struct pressure_pool *pool, const struct rule *cause)
{
	return rule_beside(&view->netns[netns], pool, &view->counters[netns], cause);
}

/* "connect 10.0.0.5 -> 10.0.3.9:5432", "bind 127.0.0.6 -> any", "udp any" */
void pressure_text_pool(struct buf *b, const struct pool_key *key);
/* The header of a namespace, one line. */
void pressure_text_netns(struct buf *b, const struct pressure_netns *netns);
/* "full in 42s", "wall in 12s, full in 42s", "steady"; nothing if it is not known. */
void pressure_text_course(struct buf *b, const struct pressure_pool *pool);
/* "api[4312] 99%, cron[991] (exited) 1%" */
void pressure_text_owners(struct buf *b, const struct pressure_netns *ns, const struct pressure_pool *pool);
/*
 * Namespaces with at most `most` pools each, and what could not be seen. `all`: those without pressure too. `width`:
 * columns of the terminal, whose lines are made to fit; 0 = as long as they are.
 */
void pressure_text(struct report *out, const struct pressure_view *view, size_t most, bool all, size_t width);
/* What an event tells of the pool that had no port: members, each after a comma. */
void pressure_json_verdict(struct buf *b, const struct pressure_view *view, size_t i, const struct pressure_pool *pool);
void pressure_json(struct report *out, const struct pressure_view *view, size_t most, bool all);

#endif
