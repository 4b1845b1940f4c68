/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A line of JSON as a message of RFC 5424: "<134>1 2026-11-22T08:45:53.001000Z web-1 porttrace 977 bind - @cee: {...}".
 * Six digits of the second, as the RFC has it, and no BOM, behind which no reader looks for @cee.
 */
#ifndef PORTTRACE_FEED_SYSLOG_FRAME_H
#define PORTTRACE_FEED_SYSLOG_FRAME_H

#include "../feed.h"

#define SYSLOG_FRAME_HEAD_MAX 384
/* A message, with its length before it. */
#define SYSLOG_FRAME_MAX (SYSLOG_FRAME_HEAD_MAX + 4096)

enum syslog_framing {
	SYSLOG_DATAGRAM,
	SYSLOG_OCTETS, /* "LENGTH MESSAGE": RFC 6587, octet counting */
	SYSLOG_NUL, /* MESSAGE and a NUL: what syslog(3) does on a stream socket */
};

struct syslog_frame {
	enum syslog_framing framing;
	unsigned int facility; /* 16 = local0 */
	unsigned int pid;
	char hostname[256]; /* printable ASCII, "-" = not known */
};

/* What is no printable ASCII in the host's name becomes "?". */
void syslog_frame_init(struct syslog_frame *f, const char *hostname, unsigned int pid, unsigned int facility);
/* 0-23 of "local0", "daemon"; -EINVAL. */
int syslog_frame_facility(const char *name);
/* Appends one message. False: there is no room. */
bool syslog_frame_message(const struct syslog_frame *f, const struct feed_record *rec, struct buf *out);

#endif
