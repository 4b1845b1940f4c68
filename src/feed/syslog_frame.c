// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "syslog_frame.h"

#include <errno.h>
#include <string.h>

#include "../when.h"

#define SYSLOG_INFO 6
#define SYSLOG_WARNING 4
#define SYSLOG_TIME 26 /* characters of "2026-11-22T08:45:53.001000" */
#define SYSLOG_CEE " - @cee: " /* no structured data, and what mmjsonparse and lumberjack readers look for */

static const char *const syslog_facilities[24] = {
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
	NULL, NULL, NULL, NULL, "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
};

int syslog_frame_facility(const char *name)
{
	for (int i = 0; i < 24; i++)
		if (syslog_facilities[i] && !strcmp(syslog_facilities[i], name))
			return i;
	return -EINVAL;
}

void syslog_frame_init(struct syslog_frame *f, const char *hostname, unsigned int pid, unsigned int facility)
{
	size_t n = strnlen(hostname, sizeof(f->hostname) - 1);

	*f = (struct syslog_frame){ .facility = facility, .pid = pid, .hostname = "-" };
	for (size_t i = 0; i < n; i++)
		f->hostname[i] = hostname[i] > ' ' && hostname[i] < 0x7f ? hostname[i] : '?';
}

static void syslog_frame_time(struct buf *out, uint64_t ns)
{
	char text[40];
	struct buf b = { .data = text, .size = sizeof(text) };

	when_iso(&b, ns);
	buf_bytes(out, text, SYSLOG_TIME);
	buf_char(out, 'Z');
}

static void syslog_frame_head(const struct syslog_frame *f, const struct feed_record *rec, struct buf *out)
{
	buf_char(out, '<');
	buf_u64(out, f->facility * 8 + (rec->failed ? SYSLOG_WARNING : SYSLOG_INFO));
	buf_lit(out, ">1 ");
	syslog_frame_time(out, rec->time_ns);
	buf_char(out, ' ');
	buf_str(out, f->hostname);
	buf_lit(out, " porttrace ");
	buf_u64(out, f->pid);
	buf_char(out, ' ');
	buf_str(out, rec->kind < EVENT_KIND_COUNT ? event_kind_names[rec->kind] : "stats");
	buf_lit(out, SYSLOG_CEE);
}

bool syslog_frame_message(const struct syslog_frame *f, const struct feed_record *rec, struct buf *out)
{
	char text[SYSLOG_FRAME_HEAD_MAX];
	struct buf head = { .data = text, .size = sizeof(text) };
	size_t n = rec->size && rec->data[rec->size - 1] == '\n' ? rec->size - 1 : rec->size;

	syslog_frame_head(f, rec, &head);
	if (f->framing == SYSLOG_OCTETS) {
		buf_u64(out, head.len + n);
		buf_char(out, ' ');
	}
	buf_bytes(out, head.data, head.len);
	buf_bytes(out, rec->data, n);
	if (f->framing == SYSLOG_NUL)
		buf_char(out, '\0');
	return !out->overflow;
}
