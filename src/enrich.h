/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * 4. enrich: adds to an event what the kernel hooks do not carry. An ordered table of enrichers (enrich.c); each
 * fills its own part of the event and leaves what it cannot find out absent.
 */
#ifndef PORTTRACE_ENRICH_H
#define PORTTRACE_ENRICH_H

#include "event.h"

struct enrich; /* all the enrichers' caches */

struct sockets;
struct facts;

struct enrich_options {
	bool numeric; /* no user and service names (-n) */
	const char *services_path; /* NULL = /etc/services */
	const char *proc_path; /* NULL = /proc; tests give a made-up one */
	const struct sockets *sockets; /* what earlier events told; not owned; NULL = nothing */
	const struct facts *recorded; /* nothing is looked up: this has what was, for each event; NULL = a live run */
};

/* One enricher: `fill` or `describe` is NULL. `state` is what `open` returned. */
struct enricher {
	const char *name;
	int (*open)(const struct enrich_options *opts, void **ret_state); /* 0 or -errno */
	void (*fill)(void *state, struct event *ev);
	/*
	 * Tells of the event's process: ev->who will be `who`. True: for a second, the same holds for each event with
	 * this pid, uid and cgroup, and the same start and number of execve() calls. False: ask again.
	 */
	bool (*describe)(void *state, struct event *ev, struct event_who *who);
	void (*learn)(void *state, const struct process_facts *facts); /* NULL = needs none */
	void (*close)(void *state); /* accepts NULL */
};

extern const struct enricher enrich_process, enrich_user, enrich_container, enrich_port, enrich_service,
	enrich_holder, enrich_recorded;

/* 0 or -errno. The caller owns *ret and ends it with enrich_close, which accepts NULL. */
int enrich_open(const struct enrich_options *opts, struct enrich **ret);
/* ev->who stays as it is until the next call. */
void enrich_event(struct enrich *en, struct event *ev);
/* The same of an event that stands for many, by as many processes of one name and cgroup: of these the container, and
 * of their namespace what is known. */
void enrich_counted(struct enrich *en, struct event *ev);
/* A process told of itself: before its events. */
void enrich_learn(struct enrich *en, const struct process_facts *facts);
void enrich_close(struct enrich *en);

#endif
