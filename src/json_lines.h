/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Events, and what the run tells of itself, as JSON Lines: the one schema (porttrace-json(5)). */
#ifndef PORTTRACE_JSON_LINES_H
#define PORTTRACE_JSON_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "event.h"
#include "stats.h"

/* PIPE_BUF: a line of at most this length never mixes with another writer's. */
#define JSON_LINES_MAX 4096
#define JSON_LINES_HOSTNAME_SIZE 65
#define JSON_LINES_RUN_SIZE 33
#define JSON_LINES_BOOT_SIZE 37

/* "2026-11-22T08:45:53." of the second it was last asked for, behind a quote. */
struct json_lines_clock {
	uint64_t second;
	char text[21];
};

/* ,"netns":4026531840 of the namespace it was last asked for. */
struct json_lines_netns {
	uint32_t inum;
	size_t len;
	char text[32];
};

/* The fields of an event that tell who did it, but for ev->who; they stand together. */
#define JSON_LINES_WHO_FIRST offsetof(struct event, pid)
#define JSON_LINES_WHO_SIZE (offsetof(struct event, who) - JSON_LINES_WHO_FIRST)
#define JSON_LINES_WHO_SLOTS 128 /* 7 bits of a hash */

/* What was written of them last time: half of a line, and the same for each event of a thread. */
struct json_lines_who {
	size_t len; /* 0 = empty */
	char fields[JSON_LINES_WHO_SIZE];
	struct event_who who;
	char text[1024];
};

/* The fields of an event that are told in words; they stand together, and first. */
#define JSON_LINES_WORDS_SIZE (offsetof(struct event, has_bytes) + sizeof(bool))
#define JSON_LINES_FACTS 8
#define JSON_LINES_SHAPE_SLOTS 256 /* a byte of a hash */

/* A part of a line in which are no numbers, as it was written last time. */
enum json_lines_piece_kind {
	JSON_PIECE_EVENT, JSON_PIECE_NETWORK, JSON_PIECE_OUTCOME, JSON_PIECE_PORTS, JSON_PIECE_STATE, JSON_PIECE_COUNT
};

struct json_lines_piece {
	uint32_t len; /* 0 = not written yet */
	char text[252];
};

/* Lines that differ in numbers only, and in who did it. */
struct json_lines_shape {
	uint64_t facts[JSON_LINES_FACTS]; /* all that decides the words */
	struct json_lines_piece pieces[JSON_PIECE_COUNT];
};

struct json_lines {
	struct json_lines_clock clock, start_clock;
	struct json_lines_netns netns;
	char hostname[JSON_LINES_HOSTNAME_SIZE];
	char run[JSON_LINES_RUN_SIZE];
	char boot[JSON_LINES_BOOT_SIZE];
	struct json_lines_who who[JSON_LINES_WHO_SLOTS];
	struct json_lines_shape shapes[JSON_LINES_SHAPE_SLOTS];
};

/* Each may be NULL: then its member is absent. */
struct json_lines_options {
	const char *hostname;
	const char *run; /* tells this run from all others: agent.ephemeral_id */
	const char *boot; /* host.boot.id, of statistics */
};

/* `js` is cleared memory. Copies what it needs. */
void json_lines_init(struct json_lines *js, const struct json_lines_options *opts);

/* Room that the line of this event may need: JSON_LINES_MAX, but for a socket that many processes have. */
size_t json_lines_max(const struct event *ev);

/* Appends one line with its end. Where escapes make it too long, details are left out. False: there is no room. */
bool json_lines_event(struct json_lines *js, const struct event *ev, struct buf *out);
bool json_lines_stats(struct json_lines *js, const struct stats *st, struct buf *out);

#endif
