// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A raw record as its difference to the last one of its kind and process: 4 bytes say which 8-byte words differ, and of
 * each of those stand the bytes from the lowest to the highest that differ, exclusive-ored, behind a byte that says
 * which.
 */
#include "format.h"

#define RAW_PUT_MAX (sizeof(uint32_t) + FORMAT_WORDS * 9 + 7) /* and bytes that may be written behind the last */

/* `diff` is not 0. */
static inline char *raw_put_word(char *to, uint64_t diff)
{
	unsigned int low = (unsigned int)__builtin_ctzll(diff) / 8;
	unsigned int more = 7 - (unsigned int)__builtin_clzll(diff) / 8 - low;

	*to = (char)(low << 3 | more);
	diff >>= 8 * low;
	memcpy(to + 1, &diff, sizeof(diff));
	return to + 2 + more;
}

void raw_put(struct buf *b, const uint64_t words[FORMAT_WORDS], const uint64_t before[FORMAT_WORDS])
{
	char *begin = buf_room(b, RAW_PUT_MAX), *to;
	uint32_t mask = 0;

	if (!begin)
		return;
	to = begin + sizeof(mask);
	for (size_t i = 0; i < FORMAT_WORDS; i++) {
		uint64_t diff = words[i] ^ before[i];

		if (!diff)
			continue;
		mask |= UINT32_C(1) << i;
		to = raw_put_word(to, diff);
	}
	memcpy(begin, &mask, sizeof(mask));
	buf_took(b, to);
}

/* The lowest bytes of a word, one more than the place in the table. */
#define RAW_BYTES(n) (UINT64_MAX >> (56 - 8 * (n)))
static const uint64_t raw_masks[8] = { RAW_BYTES(0), RAW_BYTES(1), RAW_BYTES(2), RAW_BYTES(3),
				       RAW_BYTES(4), RAW_BYTES(5), RAW_BYTES(6), RAW_BYTES(7) };

void raw_get(struct format_in *in, uint64_t words[FORMAT_WORDS])
{
	const uint8_t *at, *end = in->end;
	unsigned int wrong = 0;
	uint32_t mask;

	format_get_bytes(in, &mask, sizeof(mask));
	if (mask >> FORMAT_WORDS || in->bad) {
		in->bad = true;
		return;
	}
	for (at = in->at; mask && at < end; mask &= mask - 1) {
		unsigned int which = *at, more = which & 7u; /* bytes that differ, but for one */
		uint64_t diff;

		memcpy(&diff, at + 1, sizeof(diff)); /* the slack is there for this */
		at += 2 + more;
		wrong |= which + 8 * more; /* 8 times the highest byte, and a little */
		words[__builtin_ctz(mask)] ^= (diff & raw_masks[more]) << (which & 56);
	}
	if (mask || wrong > 63 || at > end)
		in->bad = true;
	in->at = at > end ? end : at;
}
