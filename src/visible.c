// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "visible.h"

#include <stdbool.h>
#include <string.h>

#include "utf8.h"

static bool visible_eight(const unsigned char *s)
{
	uint64_t x;

	memcpy(&x, s, sizeof(x));
	return utf8_is_printable_eight(x);
}

/* What would move the cursor, reverse the line or hide never reaches a terminal raw. */
static bool visible_char(uint32_t c)
{
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return false;
	if ((c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202f) ||
	    (c >= 0x2060 && c <= 0x206f))
		return false;
	return c != 0xad && c != 0xfeff && c != 0x061c && c < 0xe0000;
}

static void visible_escaped(struct buf *b, unsigned char byte)
{
	static const char hex[] = "0123456789abcdef";

	buf_lit(b, "\\x");
	buf_char(b, hex[byte >> 4]);
	buf_char(b, hex[byte & 15]);
}

size_t visible_text(struct buf *b, const char *text, size_t max)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n = strnlen(text, max), len, invisible = 0;
	uint32_t c;

	for (size_t at = 0; at < n; at += len) {
		len = 0;
		while (at + len + 8 <= n && visible_eight(s + at + len))
			len += 8;
		while (at + len < n && s[at + len] >= 0x20 && s[at + len] < 0x7f)
			len++;
		if (len) { /* mostly all of it */
			buf_bytes(b, text + at, len);
			continue;
		}
		len = utf8_decode(s + at, n - at, &c);
		if (len && visible_char(c)) {
			buf_bytes(b, text + at, len);
			invisible += len - 1;
			continue;
		}
		len = 1;
		visible_escaped(b, s[at]);
	}
	return invisible;
}
