/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* 2. capture: where raw records come from. Today the live ring. */
#ifndef PORTTRACE_CAPTURE_H
#define PORTTRACE_CAPTURE_H

#include <stddef.h>

struct capture;

/* Gets each record, in the order of the ring. A negative value ends the reading and is what capture_read returns. */
typedef int (*capture_fn)(void *arg, const void *record, size_t size);

/* Reads the ring behind `ring_fd` (not taken over). 0 or -errno. The caller ends it with capture_close (NULL: none). */
int capture_open_ring(int ring_fd, capture_fn fn, void *arg, struct capture **ret);
/* For epoll: readable when the kernel has woken us. Without wake-ups the ring fills unannounced: read by time too. */
int capture_fd(const struct capture *cap);
/* Hands over everything that is there, without waiting. Number of records, or -errno. */
int capture_read(struct capture *cap);
void capture_close(struct capture *cap);

#endif
