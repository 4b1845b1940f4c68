/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An append-only byte buffer of fixed room, for the writers on the hot path. Never allocates after
 * buf_init; an append that does not fit sets `overflow` and ends the room, so that nothing more is written and a caller
 * checks once at the end. Who wants to begin again keeps a copy of the struct from before.
 */
#ifndef PORTTRACE_BUF_H
#define PORTTRACE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buf {
	char *data;	  /* owned by whoever made it; not NUL terminated */
	size_t len, size; /* bytes used, bytes of room */
	bool overflow;
};

/* The place for `n` more bytes, or NULL if they do not fit (or an earlier append did not). */
static inline char *buf_room(struct buf *b, size_t n)
{
	if (n > b->size - b->len) {
		b->overflow = true;
		b->size = b->len;
		return NULL;
	}
	b->len += n;
	return b->data + b->len - n;
}

/* Inline: with a literal, the compiler makes the copy a few moves. */
static inline void buf_bytes(struct buf *b, const char *bytes, size_t n)
{
	char *to = buf_room(b, n);

	if (to && n)
		memcpy(to, bytes, n);
}

static inline void buf_char(struct buf *b, char c)
{
	char *to = buf_room(b, 1);

	if (to)
		*to = c;
}

/* For several small things at once: the place for at most `n` bytes, NULL if they do not fit; buf_took says how many it
 * were, by the first that is free again. */
static inline char *buf_ahead(struct buf *b, size_t n)
{
	return n > b->size - b->len ? NULL : b->data + b->len;
}

static inline void buf_took(struct buf *b, const char *end)
{
	b->len = (size_t)(end - b->data);
}

#define BUF_U64_MAX 20 /* bytes of the greatest number */
#define BUF_IP_MAX 46

/*
 * These write at `to`, and return what is behind: a number; an IPv4 (ip_version 4) or IPv6 address, as inet_ntop(3)
 * writes it, nothing for another version. There has to be room for as many bytes as above, as the place behind may be
 * written too.
 */
char *buf_put_u64(char *to, uint64_t v);
char *buf_put_ip(char *to, const uint8_t addr[16], uint8_t ip_version);
char *buf_put_nano(char *to, uint32_t v); /* exactly 9 digits */
char *buf_put_milli(char *to, uint32_t v); /* exactly 3 */

/* Inline: the length of a literal is known. */
static inline void buf_str(struct buf *b, const char *s)
{
	buf_bytes(b, s, strlen(s));
}

/* A number in decimal; with `padded`, exactly `digits` digits, with leading zeros; `tight`: where room is short. */
void buf_u64_tight(struct buf *b, uint64_t v);
static inline void buf_u64(struct buf *b, uint64_t v)
{
	char *to = buf_ahead(b, BUF_U64_MAX);

	if (to)
		buf_took(b, buf_put_u64(to, v));
	else
		buf_u64_tight(b, v);
}
void buf_u64_padded(struct buf *b, uint64_t v, int digits);
/* `n` spaces. */
void buf_spaces(struct buf *b, size_t n);
/* Spaces until `column` bytes after `from` stand. */
static inline void buf_pad(struct buf *b, size_t from, size_t column)
{
	if (b->len - from < column)
		buf_spaces(b, column - (b->len - from));
}
/* The same as buf_put_ip. */
void buf_ip(struct buf *b, const uint8_t addr[16], uint8_t ip_version);

#define buf_lit(b, literal) buf_bytes((b), (literal), sizeof(literal) - 1)

#endif
