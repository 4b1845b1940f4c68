/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Writing the history's file, in batches. One thread at a time. For the files of src/history/ only. */
#ifndef PORTTRACE_HISTORY_STORE_H
#define PORTTRACE_HISTORY_STORE_H

#include "db.h"

#define HISTORY_LAG_NS UINT64_C(100000000)

enum history_flags {
	HISTORY_LOCAL_PORT = 1, /* there is one */
	HISTORY_REMOTE_PORT = 2,
	HISTORY_BYTES = 4,
	HISTORY_END = 8, /* a close or release: nothing but the end is new */
};

/* What an event says of its socket's life. */
struct history_record {
	uint64_t life, time_ns, begin_ns; /* as in struct event */
	uint64_t process; /* history_process.id; 0 = unknown */
	uint64_t cookie, netns_cookie, bytes_sent, bytes_received;
	uint32_t netns_inum;
	uint16_t protocol, local_port, remote_port;
	uint8_t proto, state, how, role, cause, flags;
	uint8_t local_version, remote_version;
	uint8_t local_addr[16], remote_addr[16];
};

struct history_process {
	uint64_t id, start_ns;
	uint32_t pid, exec_id, uid;
	bool has_uid;
	char name[EVENT_NAME_SIZE + 1];
	char executable[EVENT_PATH_SIZE], command_line[EVENT_PATH_SIZE];
	char user[33], container_id[EVENT_ID_SIZE], unit[EVENT_ID_SIZE];
};

struct history_store;

/* What is to be forgotten. */
struct history_bounds {
	uint64_t now_ns;
	uint64_t before_ns; /* lives over by then */
	uint64_t max_bytes; /* of the file */
	uint64_t process_floor; /* processes of a lower id that no life has */
	bool age; /* look for the old ones at all */
};

/* Opens the file and begins a run at now_ns. 0 or -errno and a sentence. Ended with history_store_close. */
int history_store_open(const char *path, uint64_t now_ns, struct history_store **ret, char *err);
uint64_t history_store_last_process(const struct history_store *s);
/* Between begin and commit: */
int history_store_begin(struct history_store *s);
int history_store_process(struct history_store *s, const struct history_process *process);
int history_store_life(struct history_store *s, const struct history_record *rec);
/* All that happened before last_ns has been stored. */
int history_store_commit(struct history_store *s, uint64_t last_ns);
void history_store_rollback(struct history_store *s);
/* In transactions of its own; adds the lives that went to *evicted. */
int history_store_evict(struct history_store *s, const struct history_bounds *bounds, uint64_t *evicted);
/* Accepts NULL. */
void history_store_close(struct history_store *s);

/* ---- sockets that an earlier run has seen open: adopt.c ---- */

struct history_adopt;

/* Those that may be there still: of runs since the same boot. 0 or -errno; ended with history_adopt_free. */
int history_adopt_load(sqlite3 *db, const char *boot_id, uint64_t now_ns, struct history_adopt **ret);
/* The row of the same socket, 0 = none. It is this life's from then on. */
uint64_t history_adopt_find(struct history_adopt *a, const struct history_record *rec);
void history_adopt_free(struct history_adopt *a);

#endif
