/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* JSON by hand, for the sink and the reports: strings with escapes, members of objects. */
#ifndef PORTTRACE_JSON_OUT_H
#define PORTTRACE_JSON_OUT_H

#include "buf.h"
#include "event.h"

/* A string, at most `max` bytes of it, in quotes. */
void json_text(struct buf *b, const char *text, size_t max);

/* An endpoint, with what it sent; UINT64_MAX = not known. `zero_port`: port 0 is a fact, not the absence of one. */
void json_endpoint(struct buf *b, const struct endpoint *ep, bool zero_port, uint64_t bytes);

/* Members of an object: `first` says whether a comma is due. */

static inline void json_comma(struct buf *b, bool *first)
{
	if (!*first)
		buf_char(b, ',');
	*first = false;
}

#define json_key(b, first, name)               \
	do {                                   \
		json_comma((b), (first));      \
		buf_lit((b), "\"" name "\":"); \
	} while (0)

#define json_member_u64(b, first, name, value) \
	do {                                   \
		json_key((b), (first), name);  \
		buf_u64((b), (value));         \
	} while (0)

#define json_member_text(b, first, name, value, max)    \
	do {                                            \
		if ((value)[0]) {                       \
			json_key((b), (first), name);   \
			json_text((b), (value), (max)); \
		}                                       \
	} while (0)

/* A word of ours, in which nothing has to be escaped. */
#define json_member_word(b, first, name, value)       \
	do {                                          \
		if ((value)[0]) {                     \
			json_key((b), (first), name); \
			buf_char((b), '"');           \
			buf_str((b), (value));        \
			buf_char((b), '"');           \
		}                                     \
	} while (0)

#define json_member_true(b, first, name, value)       \
	do {                                          \
		if (value) {                          \
			json_key((b), (first), name); \
			buf_lit((b), "true");         \
		}                                     \
	} while (0)

#define json_member_bool(b, first, name, value)               \
	do {                                                  \
		json_key((b), (first), name);                 \
		buf_str((b), (value) ? "true" : "false");     \
	} while (0)

#endif
