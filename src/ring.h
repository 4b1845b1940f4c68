/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads a BPF ring buffer. libbpf maps the data twice, so that a record that goes round the end lies in one piece, and
 * both mappings count as resident; here it is mapped once, and such a record is copied.
 *
 * What the kernel gives to mmap() (kernel/bpf/ringbuf.c), each part beginning with a page:
 *
 *     read position | written position | data (and the data again)
 *
 * Positions count all bytes ever; where one stands in the data is its remainder by the size, a power of two. A record
 * is a head of 8 bytes, of which the first 4 are its length, and its bytes, padded to 8. While bit 31 of the length is
 * set it is being written, with bit 30 it was given up.
 */
#ifndef PORTTRACE_RING_H
#define PORTTRACE_RING_H

#include <stddef.h>
#include <stdint.h>

#define RING_BUSY (UINT32_C(1) << 31)
#define RING_DISCARDED (UINT32_C(1) << 30)
#define RING_HEAD_BYTES 8

struct ring;

/* Gets each record in turn; gone after the call. A negative value ends the reading: this record is read. */
typedef int (*ring_fn)(void *arg, const void *record, size_t size);

/*
 * Maps the ring of `size` bytes behind `fd` (not taken over). 0, -EINVAL: no size of a ring, -EBADMSG: no position of a
 * reader, or -errno. The caller ends it with ring_close.
 */
int ring_open(int fd, size_t size, struct ring **ret);
void ring_close(struct ring *ring); /* accepts NULL */

/*
 * Hands over what is there when it begins, up to a record that is still being written. Number of records, those that
 * were given up left out; or what `fn` returned; or -EBUSY: somebody else reads this ring, -EBADMSG: it holds what is
 * no record, -ENOMEM: no room for a record that goes round the end. After one of these three nothing is read any more.
 * Called by `fn` it does nothing: -EBUSY.
 */
int ring_read(struct ring *ring, ring_fn fn, void *arg);
/* Bytes that wait; also while ring_read is under way, then up to RING_STEP too many. */
size_t ring_waiting(const struct ring *ring);

/* ring_read gives room back in such steps: the writers look at the read position with each record. Bytes. */
#define RING_STEP (16 * 1024)

#endif
