/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads text that may hold any bytes: a process name, a path, arguments. */
#ifndef PORTTRACE_UTF8_H
#define PORTTRACE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of eight bytes at once: is one of them `c`? Are all printable ASCII? Who is below n borrows its highest bit. */
#define UTF8_ALL UINT64_C(0x0101010101010101)
#define UTF8_BELOW(x, n) (((x) - UTF8_ALL * (n)) & ~(x) & UTF8_ALL * 0x80)

static inline bool utf8_has_byte(uint64_t x, unsigned char c)
{
	return UTF8_BELOW(x ^ UTF8_ALL * c, 1);
}

static inline bool utf8_is_printable_eight(uint64_t x)
{
	return !(UTF8_BELOW(x, 0x20) | (((x + UTF8_ALL) | x) & UTF8_ALL * 0x80));
}

/*
 * Decodes the character that begins at `s`, of which at most `n` > 0 bytes may be read. Returns its
 * length (1-4) and sets *ret_char; 0 if no valid one begins there (overlong forms and surrogates
 * are not valid).
 */
static inline size_t utf8_decode(const unsigned char *s, size_t n, uint32_t *ret_char)
{
	static const uint32_t lowest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc0 ? 2 : 0;
	uint32_t c = len == 1 ? s[0] : len ? s[0] & (0x7fu >> len) : 0;

	if (len == 0 || len > n || s[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (len > 1 && (c < lowest[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)))
		return 0;
	*ret_char = c;
	return len;
}

#endif
