/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A bounded queue of records between one thread that puts and one that takes; neither ever waits. */
#ifndef PORTTRACE_HISTORY_RING_H
#define PORTTRACE_HISTORY_RING_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct history_ring {
	char *data;
	size_t size; /* a power of two */
	alignas(64) _Atomic uint64_t head; /* bytes put, ever */
	alignas(64) _Atomic uint64_t tail; /* bytes taken, ever */
};

/* 0 or -ENOMEM. Ended with history_ring_free. */
int history_ring_init(struct history_ring *ring, size_t size);
void history_ring_free(struct history_ring *ring);
/* Whether `count` records of together `bytes` bytes fit now. For the thread that puts. */
bool history_ring_has_room(const struct history_ring *ring, size_t count, size_t bytes);
/* Copies one record in; there has to be room. */
void history_ring_put(struct history_ring *ring, uint32_t type, const void *record, uint32_t size);
/* The oldest record, or NULL; valid until history_ring_drop. */
const void *history_ring_peek(struct history_ring *ring, uint32_t *ret_type);
void history_ring_drop(struct history_ring *ring);
size_t history_ring_used(const struct history_ring *ring);

#endif
