// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "cidr.h"

#include <arpa/inet.h>
#include <errno.h>

#include "parse.h"

#define CIDR_TEXT_MAX INET6_ADDRSTRLEN
#define CIDR_MAPPED_BITS 96

static uint8_t cidr_byte_mask(unsigned int bits, unsigned int byte)
{
	unsigned int in_byte = bits <= 8 * byte ? 0 : bits - 8 * byte;

	return in_byte >= 8 ? 0xff : (uint8_t)(0xff00 >> in_byte);
}

static void cidr_unmap(struct cidr *cidr)
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	if (cidr->ip_version != 6 || cidr->bits < CIDR_MAPPED_BITS || memcmp(cidr->addr, prefix, sizeof(prefix)) != 0)
		return;
	memmove(cidr->addr, cidr->addr + 12, 4);
	memset(cidr->addr + 4, 0, 12);
	cidr->ip_version = 4;
	cidr->bits -= CIDR_MAPPED_BITS;
}

int cidr_parse(const char *text, struct cidr *ret)
{
	size_t len = strcspn(text, "/");
	struct cidr cidr = { .ip_version = memchr(text, ':', len) ? 6 : 4 };
	uint32_t bits = cidr.ip_version == 6 ? 128 : 32;
	char address[CIDR_TEXT_MAX];
	int r = 0;

	if (len >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, len);
	address[len] = '\0';
	if (inet_pton(cidr.ip_version == 6 ? AF_INET6 : AF_INET, address, cidr.addr) != 1)
		return -EINVAL;
	if (text[len])
		r = parse_u32(text + len + 1, 0, bits, &bits);
	if (r < 0)
		return r;
	cidr.bits = (uint8_t)bits;
	cidr_unmap(&cidr);
	for (unsigned int i = 0; i < sizeof(cidr.addr); i++)
		cidr.addr[i] &= cidr_byte_mask(cidr.bits, i);
	*ret = cidr;
	return 0;
}

bool cidr_has(const struct cidr *cidr, const struct endpoint *end)
{
	if (cidr->ip_version != end->ip_version)
		return false;
	for (unsigned int i = 0; 8 * i < cidr->bits; i++)
		if ((end->addr[i] & cidr_byte_mask(cidr->bits, i)) != cidr->addr[i])
			return false;
	return true;
}
