/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads a BPF ring buffer. libbpf maps all of it, and the data twice, which all counts as resident; here a window is
 * mapped, and moved along. The kernel has the ring's memory in any case.
 *
 * What the kernel gives to mmap() (kernel/bpf/ringbuf.c), each part beginning with a page:
 *
 *     read position | written position | data | the data again: so what goes round the end lies in one piece
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
 * The ring of `size` bytes behind `fd`, which is not taken over and stays open as long. 0, -EINVAL: no size of a ring,
 * -EBADMSG: no position of a reader, or -errno. The caller ends it with ring_close.
 */
int ring_open(int fd, size_t size, struct ring **ret);
void ring_close(struct ring *ring); /* accepts NULL */

/*
 * Hands over what is there when it begins, up to a record that is still being written. Number of records, those that
 * were given up left out; or what `fn` returned; or -EBUSY: somebody else reads this ring, -EBADMSG: it holds what is
 * no record (after these two nothing is read any more); -errno: it cannot be mapped just now. Called by `fn` it does
 * nothing: -EBUSY.
 */
int ring_read(struct ring *ring, ring_fn fn, void *arg);
/* fn(arg) is called each time that ring_read has given room back, RING_STEP bytes at the most; NULL = no more. */
void ring_on_room(struct ring *ring, void (*fn)(void *arg), void *arg);

/* Bytes that wait; also while ring_read is under way, then up to RING_STEP too many. */
size_t ring_waiting(const struct ring *ring);

/* The most that has waited when ring_read began. Bytes. It stands in the page of the read position too, as this word of
 * it, for others who look at the ring: of that page the kernel uses the first word alone (struct bpf_ringbuf, since
 * 5.8). */
size_t ring_most(const struct ring *ring);
#define RING_MOST_WORD 1

/* ring_read gives room back in such steps: the writers look at the read position with each record. Bytes. */
#define RING_STEP (16 * 1024)
/* So much of the data is mapped at once, unless a record is longer. Bytes. */
#define RING_WINDOW (256 * 1024)

#endif
