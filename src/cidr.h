/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Ranges of addresses: "10.0.0.0/8", "fe80::/10", "::1". Pure. */
#ifndef PORTTRACE_CIDR_H
#define PORTTRACE_CIDR_H

#include "event.h"

struct cidr {
	uint8_t addr[16]; /* network order, IPv4 in the first four bytes; bits behind the prefix are 0 */
	uint8_t ip_version; /* 4 or 6 */
	uint8_t bits; /* length of the prefix */
};

/* v4-mapped ranges (::ffff:10.0.0.0/104) become IPv4, as addresses of events have. 0; -EINVAL; -ERANGE: the prefix is
 * longer than the address. *ret is untouched on failure. */
int cidr_parse(const char *text, struct cidr *ret);
/* False if the endpoint's address is not known. */
bool cidr_has(const struct cidr *cidr, const struct endpoint *end);

#endif
