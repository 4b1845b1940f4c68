// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "ring.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct ring {
	int fd;
	size_t size, page; /* bytes */
	unsigned long *read_to; /* the kernel's: up to here the writers have room again */
	const unsigned long *written_to;
	const char *window; /* the part of the data that is mapped; NULL = none */
	unsigned long window_at; /* where it begins */
	size_t window_size; /* bytes */
	unsigned long at; /* where the next record begins */
	unsigned long given; /* what was written to read_to; lags behind by less than `step` */
	size_t step; /* bytes */
	size_t most; /* bytes that waited */
	void (*on_room)(void *arg); /* NULL = nobody wants to know */
	void *on_room_arg;
	bool reading;
	int error; /* of what cannot be mended */
};

/* ---- mapping ---- */

/* `offset` and `size` in bytes, of whole pages. NULL with errno. */
static void *ring_map(const struct ring *ring, int protection, size_t offset, size_t size)
{
	void *p = mmap(NULL, size, protection, MAP_SHARED, ring->fd, (off_t)offset);

	return p == MAP_FAILED ? NULL : p;
}

static int ring_map_positions(struct ring *ring)
{
	ring->read_to = ring_map(ring, PROT_READ | PROT_WRITE, 0, ring->page);
	if (!ring->read_to)
		return -errno;
	ring->written_to = ring_map(ring, PROT_READ, ring->page, ring->page);
	return ring->written_to ? 0 : -errno;
}

int ring_open(int fd, size_t size, struct ring **ret)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	int r;

	if (!ring)
		return -ENOMEM;
	ring->fd = fd;
	ring->page = (size_t)sysconf(_SC_PAGESIZE);
	ring->size = size;
	ring->step = size / 16 < RING_STEP ? size / 16 : RING_STEP;
	r = size < ring->page || (size & (size - 1)) ? -EINVAL : ring_map_positions(ring);
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

static void ring_unmap(const void *p, size_t size)
{
	if (p)
		munmap((void *)p, size);
}

void ring_close(struct ring *ring)
{
	if (!ring)
		return;
	ring_unmap(ring->read_to, ring->page);
	ring_unmap(ring->written_to, ring->page);
	ring_unmap(ring->window, ring->window_size);
	free(ring);
}

/* Moves the window to the page that `at` is in, and makes it as large as `size` bytes from there need. */
static int ring_move_window(struct ring *ring, unsigned long at, size_t size)
{
	size_t within = at & (ring->page - 1), need = (within + size + ring->page - 1) & ~(ring->page - 1);
	size_t usual = ring->size < RING_WINDOW ? ring->size : RING_WINDOW;
	size_t offset = 2 * ring->page + (at & (ring->size - 1)) - within;

	ring_unmap(ring->window, ring->window_size);
	ring->window_size = need > usual ? need : usual;
	ring->window_at = at - within;
	ring->window = ring_map(ring, PROT_READ, offset, ring->window_size);
	return ring->window ? 0 : -errno;
}

/* The `size` bytes at a position, until the next call; also when they go round the end. NULL with errno. */
static const char *ring_bytes(struct ring *ring, unsigned long at, size_t size)
{
	unsigned long within = at - ring->window_at;

	if (ring->window && within < ring->window_size && size <= ring->window_size - within)
		return ring->window + within;
	return ring_move_window(ring, at, size) < 0 ? NULL : ring->window + (at - ring->window_at);
}

/* ---- reading ---- */

size_t ring_waiting(const struct ring *ring)
{
	return __atomic_load_n(ring->written_to, __ATOMIC_ACQUIRE) - __atomic_load_n(ring->read_to, __ATOMIC_RELAXED);
}

size_t ring_most(const struct ring *ring)
{
	return ring->most;
}

void ring_on_room(struct ring *ring, void (*fn)(void *arg), void *arg)
{
	ring->on_room = fn;
	ring->on_room_arg = arg;
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
	if (ring->on_room)
		ring->on_room(ring->on_room_arg);
	return 0;
}

/* The next record: 1, and what `fn` said of it; 0 if it was given up; -EAGAIN while it is being written; -errno. */
static int ring_next(struct ring *ring, size_t waiting, ring_fn fn, void *arg, int *ret_said)
{
	const char *bytes = ring_bytes(ring, ring->at, RING_HEAD_BYTES);
	uint32_t length = bytes ? __atomic_load_n((const uint32_t *)bytes, __ATOMIC_ACQUIRE) : 0;
	size_t size = length & ~RING_DISCARDED, all = (RING_HEAD_BYTES + size + 7) & ~(size_t)7;

	if (!bytes)
		return -errno;
	if (length & RING_BUSY)
		return -EAGAIN;
	if (all > waiting)
		return -EBADMSG;
	if (!(length & RING_DISCARDED)) {
		bytes = ring_bytes(ring, ring->at, RING_HEAD_BYTES + size);
		if (!bytes)
			return -errno;
		*ret_said = fn(arg, bytes + RING_HEAD_BYTES, size);
	}
	ring->at += all;
	return !(length & RING_DISCARDED);
}

/* Up to `end`. Number of records, what `fn` said, or the ring's own error. */
static int ring_read_to(struct ring *ring, unsigned long end, ring_fn fn, void *arg)
{
	int count = 0, said = 0, r = 0, given;

	while (r >= 0 && said >= 0 && ring->at != end) {
		r = ring_next(ring, end - ring->at, fn, arg, &said);
		count += r > 0;
		if (r >= 0 && ring->at - ring->given >= ring->step)
			r = ring_give_back(ring);
	}
	given = ring_give_back(ring);
	if (given < 0 || r == -EBADMSG)
		ring->error = given < 0 ? given : r;
	if (r < 0 && r != -EAGAIN)
		return r;
	return given < 0 ? given : said < 0 ? said : count;
}

static void ring_set_most(struct ring *ring, size_t most)
{
	ring->most = most;
	__atomic_store_n(&ring->read_to[RING_MOST_WORD], most, __ATOMIC_RELAXED);
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
	if (end - ring->at > ring->most)
		ring_set_most(ring, end - ring->at);
	ring->reading = true;
	r = ring_read_to(ring, end, fn, arg);
	ring->reading = false;
	return r;
}
