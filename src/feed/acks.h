/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which of the records that were written to a TCP connection the other host has acknowledged. */
#ifndef PORTTRACE_FEED_ACKS_H
#define PORTTRACE_FEED_ACKS_H

#include <stddef.h>
#include <stdint.h>

#define ACKS_MARKS 1024

/* All zero at the beginning of a connection. */
struct acks {
	uint64_t written; /* bytes */
	struct {
		uint64_t end; /* bytes that were written up to the last of these records */
		uint64_t records;
	} marks[ACKS_MARKS]; /* a ring, in their order */
	size_t first, count;
};

/* So many bytes more have been written, and with them the last byte of so many records. */
void acks_add(struct acks *a, size_t bytes, uint64_t records);
/* Number of records whose last byte was acknowledged since it was asked last. */
uint64_t acks_take(struct acks *a, int fd);
/* The connection is over: number of records that were not, so that nothing is known of them. */
uint64_t acks_drop(struct acks *a);

#endif
