// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "ring.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct ring {
	unsigned long *read_to; /* the kernel's: up to here the writers have room again */
	const unsigned long *written_to;
	const char *data;
	size_t size, page; /* bytes */
	unsigned long at; /* where the next record begins */
	unsigned long given; /* what was written to read_to; lags behind by less than `step` */
	size_t step; /* bytes */
	char *whole; /* a record that goes round the end */
	size_t whole_size;
	bool reading;
	int error; /* of what cannot be mended */
};

/* ---- mapping ---- */

static int ring_map(struct ring *ring, int fd)
{
	char *p = mmap(NULL, ring->page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	ring->read_to = (unsigned long *)p;
	p = mmap(NULL, ring->page + ring->size, PROT_READ, MAP_SHARED, fd, (off_t)ring->page);
	if (p == MAP_FAILED)
		return -errno;
	ring->written_to = (const unsigned long *)p;
	ring->data = p + ring->page;
	return 0;
}

int ring_open(int fd, size_t size, struct ring **ret)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	int r;

	if (!ring)
		return -ENOMEM;
	ring->page = (size_t)sysconf(_SC_PAGESIZE);
	ring->size = size;
	ring->step = size / 16 < RING_STEP ? size / 16 : RING_STEP;
	r = size < ring->page || (size & (size - 1)) ? -EINVAL : ring_map(ring, fd);
	if (r == 0) {
		ring->at = ring->given = __atomic_load_n(ring->read_to, __ATOMIC_ACQUIRE);
		r = ring->at % RING_HEAD_BYTES ? -EBADMSG : 0;
	}
	if (r < 0)
		ring_close(ring);
	else
		*ret = ring;
	return r;
}

void ring_close(struct ring *ring)
{
	if (!ring)
		return;
	if (ring->read_to)
		munmap(ring->read_to, ring->page);
	if (ring->written_to)
		munmap((void *)ring->written_to, ring->page + ring->size);
	free(ring->whole);
	free(ring);
}

/* ---- reading ---- */

size_t ring_waiting(const struct ring *ring)
{
	return __atomic_load_n(ring->written_to, __ATOMIC_ACQUIRE) - __atomic_load_n(ring->read_to, __ATOMIC_RELAXED);
}

/* If somebody else has moved the position, what was not seen yet may be overwritten already. */
static bool ring_is_shared(const struct ring *ring)
{
	return __atomic_load_n(ring->read_to, __ATOMIC_RELAXED) != ring->given;
}

/* What was read belongs to the writers again. 0 or -EBUSY. */
static int ring_give_back(struct ring *ring)
{
	if (ring_is_shared(ring))
		return -EBUSY;
	__atomic_store_n(ring->read_to, ring->at, __ATOMIC_RELEASE);
	ring->given = ring->at;
	return 0;
}

/* The bytes of a record from `from` on, in one piece; NULL: no memory. */
static const void *ring_piece(struct ring *ring, unsigned long from, size_t size)
{
	size_t at = from & (ring->size - 1), first = ring->size - at;

	if (size <= first)
		return ring->data + at;
	if (size > ring->whole_size) {
		char *grown = realloc(ring->whole, size);

		if (!grown)
			return NULL;
		ring->whole = grown;
		ring->whole_size = size;
	}
	memcpy(ring->whole, ring->data + at, first);
	memcpy(ring->whole + first, ring->data, size - first);
	return ring->whole;
}

/* The next record: 1, and what `fn` said of it; 0 if it was given up; -EAGAIN while it is being written; -errno. */
static int ring_next(struct ring *ring, size_t waiting, ring_fn fn, void *arg, int *ret_said)
{
	const char *head = ring->data + (ring->at & (ring->size - 1));
	uint32_t length = __atomic_load_n((const uint32_t *)head, __ATOMIC_ACQUIRE);
	size_t size = length & ~RING_DISCARDED, all = (RING_HEAD_BYTES + size + 7) & ~(size_t)7;
	const void *record;

	if (length & RING_BUSY)
		return -EAGAIN;
	if (all > waiting)
		return -EBADMSG;
	if (!(length & RING_DISCARDED)) {
		record = ring_piece(ring, ring->at + RING_HEAD_BYTES, size);
		if (!record)
			return -ENOMEM;
		*ret_said = fn(arg, record, size);
	}
	ring->at += all;
	return !(length & RING_DISCARDED);
}

/* Up to `end`. Number of records, what `fn` said, or the ring's own error. */
static int ring_read_to(struct ring *ring, unsigned long end, ring_fn fn, void *arg)
{
	int count = 0, said = 0, r = 0;

	while (r >= 0 && said >= 0 && ring->at != end) {
		r = ring_next(ring, end - ring->at, fn, arg, &said);
		count += r > 0;
		if (r >= 0 && ring->at - ring->given >= ring->step)
			r = ring_give_back(ring);
	}
	if (r >= 0 || r == -EAGAIN)
		r = ring_give_back(ring);
	ring->error = r;
	return r < 0 ? r : said < 0 ? said : count;
}

static int ring_check(const struct ring *ring, unsigned long end)
{
	if (ring_is_shared(ring))
		return -EBUSY;
	return end - ring->at > ring->size || end % RING_HEAD_BYTES ? -EBADMSG : 0;
}

int ring_read(struct ring *ring, ring_fn fn, void *arg)
{
	unsigned long end = __atomic_load_n(ring->written_to, __ATOMIC_ACQUIRE);
	int r;

	if (ring->reading)
		return -EBUSY;
	if (ring->error)
		return ring->error;
	ring->error = ring_check(ring, end);
	if (ring->error)
		return ring->error;
	ring->reading = true;
	r = ring_read_to(ring, end, fn, arg);
	ring->reading = false;
	return r;
}
