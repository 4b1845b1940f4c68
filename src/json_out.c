// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "json_out.h"

#include <stdbool.h>
#include <string.h>

#include "utf8.h"

/* Leaves out nothing: what is not a character becomes U+FFFD; controls, C1 too, are escaped. */
static size_t json_odd_char(struct buf *b, const unsigned char *s, size_t n)
{
	static const char hex[] = "0123456789abcdef";
	static const char names[32] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'
	};
	char escape[6] = "\\u00";
	uint32_t c;
	size_t len = utf8_decode(s, n, &c);

	if (!len) {
		buf_lit(b, "\xef\xbf\xbd");
		return 1;
	}
	if (c == '"' || c == '\\' || (c < 32 && names[c])) {
		buf_char(b, '\\');
		buf_char(b, c < 32 ? names[c] : (char)c);
	} else if (c < 32 || (c >= 0x7f && c < 0xa0)) {
		escape[4] = hex[c >> 4];
		escape[5] = hex[c & 15];
		buf_bytes(b, escape, sizeof(escape));
	} else {
		buf_bytes(b, (const char *)s, len);
	}
	return len;
}

static bool json_plain(unsigned char c)
{
	return c >= 32 && c < 0x7f && c != '"' && c != '\\';
}

/* The same of eight bytes at once. */
static bool json_plain_eight(const unsigned char *s)
{
	uint64_t x;

	memcpy(&x, s, sizeof(x));
	return utf8_is_printable_eight(x) && !utf8_has_byte(x, '"') && !utf8_has_byte(x, '\\');
}

void json_text(struct buf *b, const char *text, size_t max)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n = strnlen(text, max), at = 0;

	buf_char(b, '"');
	while (at < n) {
		size_t run = at;

		while (run + 8 <= n && json_plain_eight(s + run))
			run += 8;
		while (run < n && json_plain(s[run]))
			run++;
		buf_bytes(b, text + at, run - at);
		at = run;
		if (at < n)
			at += json_odd_char(b, s + at, n - at);
	}
	buf_char(b, '"');
}

/* What is not known is left out. */
static __attribute__((noinline)) void json_some_endpoint(struct buf *b, const struct endpoint *ep, bool port,
							 uint64_t bytes)
{
	bool first = true;

	buf_char(b, '{');
	if (ep->ip_version) {
		json_key(b, &first, "ip");
		buf_char(b, '"');
		buf_ip(b, ep->addr, ep->ip_version);
		buf_char(b, '"');
	}
	if (port)
		json_member_u64(b, &first, "port", ep->port);
	if (bytes != UINT64_MAX)
		json_member_u64(b, &first, "bytes", bytes);
	buf_char(b, '}');
}

/* An address with a port, which most have, in one go. */
void json_endpoint(struct buf *b, const struct endpoint *ep, bool zero_port, uint64_t bytes)
{
	bool port = ep->has_port && (ep->port || zero_port);
	char *to = buf_ahead(b, 128);

	if (!to || !ep->ip_version || !port) {
		json_some_endpoint(b, ep, port, bytes);
		return;
	}
	memcpy(to, "{\"ip\":\"", 7);
	to = buf_put_ip(to + 7, ep->addr, ep->ip_version);
	memcpy(to, "\",\"port\":", 9);
	to = buf_put_u64(to + 9, ep->port);
	if (bytes != UINT64_MAX) {
		memcpy(to, ",\"bytes\":", 9);
		to = buf_put_u64(to + 9, bytes);
	}
	*to++ = '}';
	buf_took(b, to);
}
