/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Why a pool runs out, and what helps: a table of rules over what pressure.h has measured. Pure. A rule is one row:
 * what must hold, the words for what was seen, the remedy, and the advice that does not help.
 */
#ifndef PORTTRACE_RULE_H
#define PORTTRACE_RULE_H

#include "buf.h"
#include "pressure.h"

/* Counters of the kernel: how much they rose between two looks. */
struct rule_counters {
	bool known; /* there were two looks */
	double seconds; /* between them */
	struct pressure_counters rose;
};

struct rule_case {
	const struct pressure_netns *netns;
	const struct pressure_pool *pool; /* NULL: what concerns the namespace as a whole */
	const struct rule_counters *counters; /* never NULL */
};

struct rule {
	const char *id; /* "P01" */
	const char *words; /* "short-lived connections to one place, closed by this side" */
	bool of_pool; /* else of a namespace */
	bool harmless; /* nothing has to be done: no pressure */
	bool (*holds)(const struct rule_case *c);
	void (*evidence)(const struct rule_case *c, struct buf *b); /* what was seen; lines, each ended */
	void (*remedy)(const struct rule_case *c, struct buf *b); /* lines, each ended */
	const char *wrong; /* what does not help; NULL = nothing is worth a warning */
};

/* The rule that explains the pool; NULL = it is under no pressure, or nothing is known. */
const struct rule *rule_of_pool(const struct pressure_netns *netns, const struct pressure_pool *pool,
				const struct rule_counters *counters);
/* One that holds beside `cause` and makes it worse; NULL = none. */
const struct rule *rule_beside(const struct pressure_netns *netns, const struct pressure_pool *pool,
			       const struct rule_counters *counters, const struct rule *cause);
/* The n-th rule that holds for the namespace as a whole; NULL = no more. */
const struct rule *rule_of_netns(const struct pressure_netns *netns, const struct rule_counters *counters, size_t n);
/* "api[4312]", "cron[991] (exited)", "the program that opens them"; control characters are escaped. */
void rule_process(struct buf *b, const struct pressure_netns *netns, uint32_t process);
/* 28232 -> "28,232" */
void rule_number(struct buf *b, uint64_t n);

#endif
