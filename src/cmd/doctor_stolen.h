/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the history (src/history.h) knows of service ports that the kernel gave to others. */
#ifndef PORTTRACE_DOCTOR_STOLEN_H
#define PORTTRACE_DOCTOR_STOLEN_H

#include "../overlap.h"

#define DOCTOR_TAKERS_MAX 3

struct doctor_taker {
	enum event_how how; /* connect, autobind or bind0 */
	uint32_t pid; /* 0 = unknown */
	char name[EVENT_NAME_SIZE]; /* any bytes; "" = unknown */
	uint64_t begin_ns; /* CLOCK_REALTIME; 0 = before porttrace looked */
};

/* One port that was taken since the machine was started, as far back as the history goes. */
struct doctor_stolen {
	enum event_proto proto;
	uint16_t port;
	uint64_t times;
	struct doctor_taker takers[DOCTOR_TAKERS_MAX]; /* the last ones, newest first */
	size_t taker_count;
};

struct doctor_history;

/* -ENOENT if nobody keeps one. 0 or -errno; ended with doctor_history_close, which takes NULL. */
int doctor_history_open(struct doctor_history **ret);
void doctor_history_close(struct doctor_history *h);
/* How a socket that is open now got its port; HOW_NONE = not known. `h` NULL = no history. */
enum event_how doctor_history_how(struct doctor_history *h, uint32_t netns_inum, const struct sockdiag_socket *sock);
/*
 * Who else had this port: 1 with *ret filled in, 0 if nobody, or -errno. `h` NULL = 0.
 */
int doctor_history_stolen(struct doctor_history *h, uint32_t netns_inum, const struct overlap_port *port,
			  struct doctor_stolen *ret);

#endif
