// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* No record is cut in two: what is left at the end of the room is skipped. */
struct history_ring_header {
	uint32_t type; /* UINT32_MAX: skip */
	uint32_t size; /* with the header, a multiple of 8 */
};
#define HISTORY_RING_SKIP UINT32_MAX

static size_t history_ring_whole(size_t size)
{
	return (sizeof(struct history_ring_header) + size + 7) & ~(size_t)7;
}

int history_ring_init(struct history_ring *ring, size_t size)
{
	ring->data = aligned_alloc(64, size);
	ring->size = size;
	atomic_init(&ring->head, 0);
	atomic_init(&ring->tail, 0);
	return ring->data ? 0 : -ENOMEM;
}

void history_ring_free(struct history_ring *ring)
{
	free(ring->data);
	ring->data = NULL;
}

size_t history_ring_used(const struct history_ring *ring)
{
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);

	return (size_t)(atomic_load_explicit(&ring->head, memory_order_acquire) - tail);
}

bool history_ring_has_room(const struct history_ring *ring, size_t count, size_t bytes)
{
	/* each may need its header, its rounding, and once the end has to be skipped */
	size_t most = bytes + count * (sizeof(struct history_ring_header) + 8);

	return ring->size - history_ring_used(ring) >= 2 * most;
}

static struct history_ring_header *history_ring_at(const struct history_ring *ring, uint64_t position)
{
	return (void *)(ring->data + (position & (ring->size - 1)));
}

void history_ring_put(struct history_ring *ring, uint32_t type, const void *record, uint32_t size)
{
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	size_t whole = history_ring_whole(size), to_end = ring->size - (head & (ring->size - 1));

	if (to_end < whole) {
		*history_ring_at(ring, head) = (struct history_ring_header){ HISTORY_RING_SKIP, (uint32_t)to_end };
		head += to_end;
	}
	*history_ring_at(ring, head) = (struct history_ring_header){ type, (uint32_t)whole };
	memcpy(history_ring_at(ring, head) + 1, record, size);
	atomic_store_explicit(&ring->head, head + whole, memory_order_release);
}

const void *history_ring_peek(struct history_ring *ring, uint32_t *ret_type)
{
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	const struct history_ring_header *header;

	if (atomic_load_explicit(&ring->head, memory_order_acquire) == tail)
		return NULL;
	header = history_ring_at(ring, tail);
	if (header->type == HISTORY_RING_SKIP) {
		tail += header->size;
		atomic_store_explicit(&ring->tail, tail, memory_order_release);
		header = history_ring_at(ring, tail);
	}
	*ret_type = header->type;
	return header + 1;
}

void history_ring_drop(struct history_ring *ring)
{
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

	atomic_store_explicit(&ring->tail, tail + history_ring_at(ring, tail)->size, memory_order_release);
}
