/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The items of a block, and how they are packed. A number is 7 bits a byte, the lowest first, the highest bit set in
 * all but the last byte; a signed one has its sign in the lowest bit. A text is its length and its bytes.
 *
 *     file    MAGIC, version (2 bytes), byte order (1), version of the raw record (1), length of the header's text (4),
 *             CRC-32 of the 8 bytes before and of the text (4), text: lines of "key value"
 *     block   "PTBK", length (4), CRC-32 of the length and the items (4), items
 *     item    its kind (1 byte), then as the functions of facts.c and recorder.c say
 */
#ifndef PORTTRACE_RECORDING_FORMAT_H
#define PORTTRACE_RECORDING_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../buf.h"
#include "../facts.h"
#include "../netns.h"
#include "porttrace/raw_event.h"

/* What a transfer as text, or one of 7 bits, spoils. */
#define FORMAT_MAGIC "\211PTR\r\n\032\n"
#define FORMAT_MAGIC_SIZE 8
#define FORMAT_VERSION 2 /* 1: without FORMAT_GAP, FORMAT_MISS_COOKIE */
#define FORMAT_LITTLE_ENDIAN 1
#define FORMAT_HEADER_SIZE 20
#define FORMAT_HEADER_TEXT_MAX 4096
#define FORMAT_BLOCK_MAGIC "PTBK"
#define FORMAT_BLOCK_HEADER_SIZE 12
#define FORMAT_BLOCK_SIZE (128 * 1024) /* that one is closed at */
#define FORMAT_BLOCK_MAX (1024 * 1024) /* that a reader takes */
#define FORMAT_ITEM_MAX (32 * 1024) /* no item is longer */
#define FORMAT_SLACK 8 /* bytes behind a block that may be read */

/* Raised only for what an older reader cannot skip: it refuses the file. */
enum format_item {
	FORMAT_BATCH = 1, /* time, boot offset, both as differences */
	FORMAT_NETNS,
	FORMAT_SOCKET,
	FORMAT_EVENT,
	FORMAT_PROCESS, /* slot, then struct facts_process */
	FORMAT_TEXT, /* the next text, counted from 1 */
	FORMAT_MISS, /* life, as the difference to the last one */
	FORMAT_LOOK,
	FORMAT_END,
	FORMAT_GAP, /* struct recording_gap */
	FORMAT_MISS_COOKIE, /* in place of FORMAT_MISS, from the first gap on */
};

/* Facts of an event. */
enum format_flag {
	FORMAT_F_SAME_PROCESS = 1 << 0, /* as of the event before */
	FORMAT_F_START_DECODED = 1 << 1,
	FORMAT_F_TRUTH = 1 << 2,
	FORMAT_F_SAME_TRUTH = 1 << 3, /* as of the last event that had one */
	FORMAT_F_LOCAL_RESERVED = 1 << 4,
	FORMAT_F_REMOTE_RESERVED = 1 << 5,
	FORMAT_F_SERVICES = 1 << 6, /* both, as numbers of texts; 0 = none */
	FORMAT_F_HOLDER = 1 << 7,
	FORMAT_F_VERDICT = 1 << 8,
	FORMAT_F_INFERRED = 1 << 9,
	FORMAT_F_POOL = 1 << 10,
	FORMAT_F_ALL = (1 << 11) - 1,
};

#define FORMAT_SLOTS 1024 /* processes that are remembered at a time */
#define FORMAT_TEXTS_MAX (4 * 65536)
#define FORMAT_TEXT_MAX 128
#define FORMAT_KINDS 8 /* of raw records */
#define FORMAT_LASTS (FORMAT_KINDS * 32) /* records that others are told as differences to: see format_last() */
#define FORMAT_WORDS (sizeof(struct raw_event) / 8)

_Static_assert(RAW_KIND_COUNT <= FORMAT_KINDS, "the last records of each kind have a place");
_Static_assert(sizeof(struct raw_event) % 8 == 0 && FORMAT_WORDS <= 32, "words, a bit each");

/* A record is most like the last one of its kind and process. */
static inline size_t format_last(unsigned int kind, uint32_t slot)
{
	return kind * 32 + slot % 32;
}

/* ---- packing: into a struct buf, whose overflow says that there was no room ---- */

static inline void format_put_u64(struct buf *b, uint64_t v)
{
	while (v >= 0x80) {
		buf_char(b, (char)(v | 0x80));
		v >>= 7;
	}
	buf_char(b, (char)v);
}

static inline void format_put_s64(struct buf *b, int64_t v)
{
	format_put_u64(b, (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0));
}

static inline void format_put_text(struct buf *b, const char *text, size_t len)
{
	format_put_u64(b, len);
	buf_bytes(b, text, len);
}

/* ---- unpacking: `bad` once something was not as it should be; what is read then is 0 ---- */

struct format_in {
	const uint8_t *at, *end; /* FORMAT_SLACK bytes behind the end can be read */
	bool bad;
};

static inline uint64_t format_get_u64(struct format_in *in)
{
	uint64_t v = 0;

	for (int shift = 0; shift < 64 && in->at < in->end; shift += 7) {
		uint8_t byte = *in->at++;

		v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return v;
	}
	in->bad = true;
	return 0;
}

static inline int64_t format_get_s64(struct format_in *in)
{
	uint64_t v = format_get_u64(in);

	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* A number below `end`. */
static inline uint64_t format_get_below(struct format_in *in, uint64_t end)
{
	uint64_t v = format_get_u64(in);

	if (v < end)
		return v;
	in->bad = true;
	return 0;
}

/* A number of the headers: four bytes, as the machine has them. */
static inline void format_store32(char *to, uint32_t v)
{
	memcpy(to, &v, sizeof(v));
}

static inline void format_get_bytes(struct format_in *in, void *to, size_t n)
{
	if (in->bad || n > (size_t)(in->end - in->at)) {
		in->bad = true;
		memset(to, 0, n);
		return;
	}
	memcpy(to, in->at, n);
	in->at += n;
}

/* Into a field of `size` bytes, whose rest becomes 0: at least one byte. */
static inline size_t format_get_text(struct format_in *in, char *to, size_t size)
{
	size_t n = (size_t)format_get_below(in, size);

	memset(to, 0, size);
	format_get_bytes(in, to, n);
	return n;
}

/* ---- facts.c: the parts that are told as they are ---- */

void facts_put_process(struct buf *b, const struct facts_process *p);
void facts_get_process(struct format_in *in, struct facts_process *ret);
void facts_put_truth(struct buf *b, const struct facts_truth *truth);
void facts_get_truth(struct format_in *in, struct facts_truth *ret);
void facts_put_holder(struct buf *b, const struct holder *holder);
void facts_get_holder(struct format_in *in, struct holder *ret);
void facts_put_socket(struct buf *b, const struct event *ev, uint64_t until_ns);
uint64_t facts_get_socket(struct format_in *in, struct event *ret);
void facts_put_netns(struct buf *b, const char *name, const struct netns_facts *facts);
void facts_get_netns(struct format_in *in, char *name, size_t size, struct netns_facts *ret);

/* ---- raw.c: a record as its difference to another one ---- */

void raw_put(struct buf *b, const uint64_t words[FORMAT_WORDS], const uint64_t before[FORMAT_WORDS]);
/* Changes `words`, which is the one before, into the record. */
void raw_get(struct format_in *in, uint64_t words[FORMAT_WORDS]);

#endif
