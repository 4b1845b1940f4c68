// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "acks.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

/* Without room for another mark, the last one covers these records too: they count a little later. */
void acks_add(struct acks *a, size_t bytes, uint64_t records)
{
	size_t last = (a->first + a->count - 1) % ACKS_MARKS;

	a->written += bytes;
	if (!records)
		return;
	if (a->count < ACKS_MARKS) {
		last = (a->first + a->count++) % ACKS_MARKS;
		a->marks[last].records = 0;
	}
	a->marks[last].end = a->written;
	a->marks[last].records += records;
}

uint64_t acks_take(struct acks *a, int fd)
{
	uint64_t records = 0;
	int unacked = 0;

	if (ioctl(fd, SIOCOUTQ, &unacked) || unacked < 0)
		return 0;
	for (; a->count && a->marks[a->first].end + (uint64_t)unacked <= a->written; a->count--) {
		records += a->marks[a->first].records;
		a->first = (a->first + 1) % ACKS_MARKS;
	}
	return records;
}

uint64_t acks_drop(struct acks *a)
{
	uint64_t records = 0;

	for (; a->count; a->count--) {
		records += a->marks[a->first].records;
		a->first = (a->first + 1) % ACKS_MARKS;
	}
	a->written = 0;
	return records;
}
