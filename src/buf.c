// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "buf.h"

#include <arpa/inet.h>

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

/* Two digits, of a number below 100. */
static inline uint32_t buf_pair(uint32_t v)
{
	uint16_t pair;

	memcpy(&pair, buf_pairs + 2 * v, sizeof(pair));
	return pair;
}

/* Four digits in a word, of a number below 10000; the first is in the lowest byte: both supported machines are
 * little-endian. */
static inline uint32_t buf_four(uint32_t v)
{
	return buf_pair(v / 100) | buf_pair(v % 100) << 16;
}

/* The same without zeros in front. No branches: most of the time of a line goes into its numbers, and how long they
 * are is guessed wrong too often. */
static inline char *buf_put_four(char *to, uint32_t v)
{
	uint32_t digits = buf_four(v);
	unsigned int zeros = (unsigned int)__builtin_ctz((digits & 0x0f0f0f0f) | 1u << 24) / 8; /* but "0" is a digit */

	digits >>= zeros * 8;
	memcpy(to, &digits, sizeof(digits));
	return to + 4 - zeros;
}

/*
 * The 8 digits of a number below 10^8, the first in the lowest byte. It is parted in two of 4 digits side by side,
 * these in two each, and once more: what is high of x stays where it is, and what is left, x - high * 100, comes
 * behind it.
 */
static inline uint64_t buf_digits(uint32_t v)
{
	uint64_t x = v, high = v / 10000;

	x = (x << 32) + high * (1 - (UINT64_C(10000) << 32));
	high = (x * 5243 >> 19) & 0x0000007f0000007f; /* / 100 */
	x = (x << 16) + high * (1 - (UINT64_C(100) << 16));
	high = (x * 103 >> 10) & 0x000f000f000f000f; /* / 10 */
	return (x << 8) + high * (1 - (UINT64_C(10) << 8)) + UINT64_C(0x3030303030303030);
}

/* 10000 to 99999: what most ports are that the kernel picks. */
static inline char *buf_put_five(char *to, uint32_t v)
{
	uint32_t digits = buf_four(v % 10000);

	*to = (char)('0' + v / 10000);
	memcpy(to + 1, &digits, sizeof(digits));
	return to + 1 + sizeof(digits);
}

#define BUF_EIGHT 100000000 /* the first number of 9 digits */

static inline char *buf_put_eight(char *to, uint32_t v)
{
	uint64_t digits = buf_digits(v);

	memcpy(to, &digits, sizeof(digits));
	return to + sizeof(digits);
}

char *buf_put_u64(char *to, uint64_t v)
{
	uint64_t digits;
	unsigned int zeros;

	if (v < 10000)
		return buf_put_four(to, (uint32_t)v);
	if (v < 100000)
		return buf_put_five(to, (uint32_t)v);
	if (v >= BUF_EIGHT)
		return buf_put_eight(buf_put_u64(to, v / BUF_EIGHT), (uint32_t)(v % BUF_EIGHT));
	digits = buf_digits((uint32_t)v);
	zeros = (unsigned int)__builtin_ctzll(digits & 0x0f0f0f0f) / 8;
	digits >>= zeros * 8;
	memcpy(to, &digits, sizeof(digits));
	return to + sizeof(digits) - zeros;
}

char *buf_put_nano(char *to, uint32_t v)
{
	*to = (char)('0' + v / BUF_EIGHT);
	return buf_put_eight(to + 1, v % BUF_EIGHT);
}

char *buf_put_milli(char *to, uint32_t v)
{
	*to = (char)('0' + v / 100);
	memcpy(to + 1, buf_pairs + 2 * (v % 100), 2);
	return to + 3;
}

void buf_u64_tight(struct buf *b, uint64_t v)
{
	char text[BUF_U64_MAX];

	buf_bytes(b, text, (size_t)(buf_put_u64(text, v) - text));
}

#define BUF_SPACES "                                " /* 32 */

/* Mostly few: then always as many, which is a few moves, and only those that are wanted count. */
void buf_spaces(struct buf *b, size_t n)
{
	char *to = n < sizeof(BUF_SPACES) ? buf_ahead(b, sizeof(BUF_SPACES) - 1) : NULL;

	if (to) {
		memcpy(to, BUF_SPACES, sizeof(BUF_SPACES) - 1);
		buf_took(b, to + n);
		return;
	}
	to = buf_room(b, n);
	if (to)
		memset(to, ' ', n);
}

/* The text of an octet, and how long it is. */
#define BUF_DIGIT(n) ((char)('0' + (n) % 10))
#define BUF_OCTET(n)                                                                                     \
	{                                                                                                \
		(n) > 99 ? BUF_DIGIT((n) / 100) : (n) > 9 ? BUF_DIGIT((n) / 10) : BUF_DIGIT(n),          \
		(n) > 99 ? BUF_DIGIT((n) / 10) : BUF_DIGIT(n), BUF_DIGIT(n), 1 + ((n) > 9) + ((n) > 99), \
	}
#define BUF_OCTETS_4(n) BUF_OCTET(n), BUF_OCTET((n) + 1), BUF_OCTET((n) + 2), BUF_OCTET((n) + 3)
#define BUF_OCTETS_16(n) BUF_OCTETS_4(n), BUF_OCTETS_4((n) + 4), BUF_OCTETS_4((n) + 8), BUF_OCTETS_4((n) + 12)
#define BUF_OCTETS_64(n) BUF_OCTETS_16(n), BUF_OCTETS_16((n) + 16), BUF_OCTETS_16((n) + 32), BUF_OCTETS_16((n) + 48)

static const char buf_octets[256][4] = { BUF_OCTETS_64(0), BUF_OCTETS_64(64), BUF_OCTETS_64(128), BUF_OCTETS_64(192) };

static inline char *buf_put_ipv4(char *to, const uint8_t *addr)
{
	for (int i = 0; i < 4; i++) {
		memcpy(to, buf_octets[addr[i]], 4);
		to += buf_octets[addr[i]][3];
		*to++ = '.';
	}
	return to - 1;
}

static char *buf_put_hex16(char *to, unsigned int v)
{
	static const char hex[] = "0123456789abcdef";

	for (int shift = v > 0xfff ? 12 : v > 0xff ? 8 : v > 0xf ? 4 : 0; shift >= 0; shift -= 4)
		*to++ = hex[v >> shift & 15];
	return to;
}

/* The longest run of two or more groups that are 0, the first of several: *ret_len 0 = none. */
static int buf_longest_zeros(const unsigned int groups[8], int *ret_len)
{
	int first = 0;

	*ret_len = 0;
	for (int i = 0, len = 0; i < 8; i++) {
		len = groups[i] ? 0 : len + 1;
		if (len > 1 && len > *ret_len) {
			*ret_len = len;
			first = i - len + 1;
		}
	}
	return first;
}

/* As inet_ntop(3), which takes ten times as long: IPv4 stands at the end of ::a.b.c.d and ::ffff:a.b.c.d. */
static char *buf_put_ipv6(char *to, const uint8_t addr[16])
{
	unsigned int groups[8];
	int from, len;

	for (int i = 0; i < 8; i++)
		groups[i] = (unsigned int)addr[2 * i] << 8 | addr[2 * i + 1];
	from = buf_longest_zeros(groups, &len);
	for (int i = 0; i < 8; i++) {
		bool ipv4 = i == 6 && from == 0 && (len == 6 || (len == 5 && groups[5] == 0xffff));

		if (len && i == from) {
			*to++ = ':';
			i += len - 1;
			if (i == 7)
				*to++ = ':';
			continue;
		}
		if (i)
			*to++ = ':';
		if (ipv4)
			return buf_put_ipv4(to, addr + 12);
		to = buf_put_hex16(to, groups[i]);
	}
	return to;
}

char *buf_put_ip(char *to, const uint8_t addr[16], uint8_t ip_version)
{
	if (ip_version == 4)
		return buf_put_ipv4(to, addr);
	return ip_version == 6 ? buf_put_ipv6(to, addr) : to;
}

void buf_ip(struct buf *b, const uint8_t addr[16], uint8_t ip_version)
{
	char text[BUF_IP_MAX];

	buf_bytes(b, text, (size_t)(buf_put_ip(text, addr, ip_version) - text));
}
