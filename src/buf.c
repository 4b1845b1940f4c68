// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "buf.h"

#include <arpa/inet.h>

void buf_str(struct buf *b, const char *s)
{
	buf_bytes(b, s, strlen(s));
}

static const char buf_pairs[200] = "0001020304050607080910111213141516171819"
				   "2021222324252627282930313233343536373839"
				   "4041424344454647484950515253545556575859"
				   "6061626364656667686970717273747576777879"
				   "8081828384858687888990919293949596979899";

void buf_u64_padded(struct buf *b, uint64_t v, int digits)
{
	char *to = buf_room(b, (size_t)digits);

	if (!to)
		return;
	for (; digits >= 2; digits -= 2, v /= 100)
		memcpy(to + digits - 2, buf_pairs + v % 100 * 2, 2);
	if (digits)
		*to = (char)('0' + v % 10);
}

/* Below 1000. */
static char *buf_put_octet(char *to, uint32_t v)
{
	if (v >= 100) {
		*to++ = (char)('0' + v / 100);
		v %= 100;
	} else if (v < 10) {
		*to++ = (char)('0' + v);
		return to;
	}
	memcpy(to, buf_pairs + v * 2, 2);
	return to + 2;
}

char *buf_put_small(char *to, uint32_t v)
{
	if (v >= 10000) {
		*to++ = (char)('0' + v / 10000);
		v %= 10000;
		memcpy(to, buf_pairs + v / 100 * 2, 2);
		memcpy(to + 2, buf_pairs + v % 100 * 2, 2);
		return to + 4;
	}
	if (v >= 1000) {
		memcpy(to, buf_pairs + v / 100 * 2, 2);
		memcpy(to + 2, buf_pairs + v % 100 * 2, 2);
		return to + 4;
	}
	return buf_put_octet(to, v);
}

static char *buf_put_four(char *to, uint32_t v)
{
	memcpy(to, buf_pairs + v / 100 * 2, 2);
	memcpy(to + 2, buf_pairs + v % 100 * 2, 2);
	return to + 4;
}

char *buf_put_nano(char *to, uint32_t v)
{
	uint32_t high = v / 10000;

	*to++ = (char)('0' + high / 10000);
	return buf_put_four(buf_put_four(to, high % 10000), v % 10000);
}

/* In parts of four digits: most of the time of a line goes into its numbers. */
char *buf_put_u64(char *to, uint64_t v)
{
	uint32_t rest;

	if (v < 100000)
		return buf_put_small(to, (uint32_t)v);
	if (v < 1000000000) {
		rest = (uint32_t)v;
		return buf_put_four(buf_put_small(to, rest / 10000), rest % 10000);
	}
	rest = (uint32_t)(v % 100000000);
	return buf_put_four(buf_put_four(buf_put_u64(to, v / 100000000), rest / 10000), rest % 10000);
}

void buf_u64(struct buf *b, uint64_t v)
{
	char text[BUF_U64_MAX], *to = buf_ahead(b, BUF_U64_MAX);

	if (to)
		buf_took(b, buf_put_u64(to, v));
	else
		buf_bytes(b, text, (size_t)(buf_put_u64(text, v) - text));
}

void buf_pad(struct buf *b, size_t from, size_t column)
{
	size_t have = b->len - from;
	char *to;

	if (have >= column)
		return;
	to = buf_room(b, column - have);
	if (to)
		memset(to, ' ', column - have);
}

char *buf_put_ipv4(char *to, const uint8_t *addr)
{
	to = buf_put_octet(to, addr[0]);
	for (int i = 1; i < 4; i++) {
		*to++ = '.';
		to = buf_put_octet(to, addr[i]);
	}
	return to;
}

void buf_ip(struct buf *b, const uint8_t addr[16], uint8_t ip_version)
{
	char text[INET6_ADDRSTRLEN];

	if (ip_version == 4)
		buf_bytes(b, text, (size_t)(buf_put_ipv4(text, addr) - text));
	else if (ip_version == 6 && inet_ntop(AF_INET6, addr, text, sizeof(text)))
		buf_str(b, text);
}
