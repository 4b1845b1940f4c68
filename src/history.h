/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who had which port, kept on disk: one row for each life of a socket, in SQLite (WAL), so that the past can be asked
 * while a porttrace writes and after it has been killed. history_add never waits for the disk: a thread of its own
 * writes, four times a second, each time in one transaction.
 */
#ifndef PORTTRACE_HISTORY_H
#define PORTTRACE_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"

#define HISTORY_DEFAULT_PATH "/var/lib/porttrace/history.db"
#define HISTORY_ERR_SIZE 256
#define HISTORY_BOOT_ID_SIZE 64

struct history;

struct history_options {
	const char *path;
	uint64_t max_age_s; /* lives that ended longer ago are forgotten; 0 = 7 days */
	uint64_t max_bytes; /* of the file; the oldest lives go first; 0 = 1 GiB */
	/* Of a recording: when it began (CLOCK_REALTIME). history_note_read is the clock then, and nothing is
	 * forgotten. 0 = a live run. */
	uint64_t recorded_ns;
};

/* What the writer did. */
struct history_stats {
	uint64_t written; /* events */
	uint64_t dropped; /* events: the queue was full, or the disk failed */
	uint64_t evicted; /* lives, by age or size */
	int error; /* the last -errno of the disk; 0 = none */
};

/*
 * Opens (and creates, 0640, folder too) for writing and starts the thread. A file from a newer version is refused with
 * -EPROTONOSUPPORT, one of somebody else with -EINVAL, one that another porttrace writes with -EBUSY. 0 or -errno with
 * a sentence in err[HISTORY_ERR_SIZE]. The caller ends *ret with history_close.
 */
int history_open(const struct history_options *opts, struct history **ret, char *err);
/*
 * Takes what an event tells of its socket's life: ev->life says which, ev->life_state what it is afterwards. Called
 * after enrich and ledger; events without a life (life 0) are left out. Never blocks: what the queue (some 90,000
 * events) has no room for is counted as dropped. Who has a burst to tell, as at the start, calls history_sync between.
 */
void history_add(struct history *h, const struct event *ev);
/*
 * Events of before `now_ns` (CLOCK_REALTIME) have all been added: a reader that is late makes the history answer for
 * less. Without a call it answers for all but the last tenth of a second.
 */
void history_note_read(struct history *h, uint64_t now_ns);
/* All taken so far is on disk when it returns. 0 or -errno. */
int history_sync(struct history *h);
void history_read_stats(const struct history *h, struct history_stats *ret);
/* Writes the rest. Accepts NULL. */
void history_close(struct history *h);

/* ---- asking ---- */

/* One life, as it is known. Strings are owned by the reader and valid until the callback returns; "" = unknown. */
struct history_life {
	uint64_t begin_ns; /* CLOCK_REALTIME; 0 = before porttrace looked */
	uint64_t since_ns; /* the same, or when porttrace first saw it */
	uint64_t end_ns; /* closed by the program; 0 = open when it was last seen */
	uint64_t free_ns; /* the port was free again (TIME_WAIT over); 0 = not yet known */
	uint64_t seen_ns; /* the last moment for which the row speaks: free_ns, else at most its writer's last commit */
	enum event_proto proto;
	uint16_t protocol; /* IPPROTO_* */
	enum life_state state; /* after its last event */
	enum life_state held; /* the last one before it was closed; LIFE_NONE = only the close was seen */
	uint64_t held_since_ns; /* earlier it was bound, no more */
	enum event_how how;
	enum event_role role;
	struct endpoint local, remote; /* has_port false = none */
	uint64_t cookie, netns_cookie; /* 0 = unknown */
	uint32_t netns_inum;
	uint32_t pid, uid; /* has_uid */
	bool has_uid;
	uint64_t process_start_ns; /* since boot; 0 = unknown */
	const char *name, *executable, *command_line, *user, *container_id, *unit;
	bool has_bytes;
	uint64_t bytes_sent, bytes_received;
	enum event_cause cause; /* of its end */
	const char *boot_id; /* "" = forgotten */
};

struct history_query {
	int port; /* local; 0..65535, -1 = any */
	int remote_port; /* -1 = any */
	int proto; /* enum event_proto, -1 = any */
	struct endpoint address; /* local or remote; ip_version 0 = any */
	uint32_t pid; /* 0 = any */
	const char *name; /* NULL = any; of the process */
	uint32_t netns_inum; /* 0 = any */
	uint64_t cookie; /* 0 = any */
	uint64_t from_ns, to_ns; /* lives that had their port at some moment of this span; 0 and 0 = all */
	uint64_t limit; /* rows, newest first; 0 = all */
};

struct history_reader;

/* 0 or -errno with a sentence in err: -ENOENT if there is no such file. Ended with history_reader_close. */
int history_reader_open(const char *path, struct history_reader **ret, char *err);
/*
 * Calls `fn` for each life, newest first; a non-zero result ends it and is returned. 0, that, or -errno: -EBADMSG if
 * the file is damaged.
 */
int history_find(struct history_reader *r, const struct history_query *query,
		 int (*fn)(void *arg, const struct history_life *life), void *arg);
/* What there is, all in all. */
struct history_summary {
	uint64_t lives, open, processes, runs;
	uint64_t first_ns, last_ns; /* what it speaks for; 0 = nothing */
	uint64_t bytes; /* of the file, without its log */
};

/* 0 or -errno. Reads an index through. */
int history_summarise(struct history_reader *r, struct history_summary *ret);
/*
 * Whether a porttrace was writing at `at_ns`: 1 or 0 or -errno. With 0, *ret_before and *ret_after are the end of the
 * span before and the beginning of the one after (0 = none). What has been forgotten is no such span.
 */
int history_covers(struct history_reader *r, uint64_t at_ns, uint64_t *ret_before_ns, uint64_t *ret_after_ns);
/* Accepts NULL. */
void history_reader_close(struct history_reader *r);
/* That of the running kernel, as in history_life; "" if it cannot be read. */
void history_boot_id(char ret[HISTORY_BOOT_ID_SIZE]);

/* The version of SQLite, which is loaded for it; NULL = it is not installed. */
const char *history_sqlite_version(void);

#endif
