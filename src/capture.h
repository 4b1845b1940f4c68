/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* 2. capture: where raw records come from: the live ring, or a recording; and the sockets that were there before. */
#ifndef PORTTRACE_CAPTURE_H
#define PORTTRACE_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recording.h"

struct capture;

/* Gets each record, in the order of the ring. A negative value ends the reading and is what capture_read returns. */
typedef int (*capture_fn)(void *arg, const void *record, size_t size);

/* Reads the ring behind `ring_fd` (not taken over). 0 or -errno. The caller ends it with capture_close (NULL: none). */
int capture_open_ring(int ring_fd, capture_fn fn, void *arg, struct capture **ret);
/* For epoll: readable when the kernel has woken us. Without wake-ups the ring fills unannounced: read by time too. */
int capture_fd(const struct capture *cap);
/* Hands over what is there when it begins, without waiting: it ends, however fast more comes. Number of records, or
 * -errno. Always called by the same thread, which goes before others while it is behind (hurry.h). */
int capture_read(struct capture *cap);
/* Whether more than three quarters of the ring are waiting to be read: there is no time to wait for anything. */
bool capture_is_pressed(const struct capture *cap);
/* Whether more is waiting than an eighth, at which the kernel wakes us (attach.c): that comes only of being late. */
bool capture_is_behind(const struct capture *cap);
/* Whether there is nothing to read. After attach_sleep: if so, the next event makes capture_fd readable. */
bool capture_is_empty(const struct capture *cap);
/* capture_fd was readable: until it is woken again it is no more, whatever the ring holds. */
void capture_woken(struct capture *cap);
/* The most that has waited to be read, and how large the ring is. Bytes. */
uint64_t capture_most(const struct capture *cap, uint64_t *ret_size);
void capture_close(struct capture *cap);

struct snapshot;
struct event;

/*
 * The sockets of a snapshot that have a port, each as the event that would have brought it there, but without a
 * socket_id: with time (of the snapshot), cookie, process, no assignment but of accepted ones, and `snapshot`. Those in
 * TIME_WAIT come last, in the order of their ends (until_ns; of the others 0).
 */
typedef void (*capture_socket_fn)(void *arg, struct event *ev, uint64_t until_ns);
/* by_cookie: namespaces are told by cookie, as the cgroup backend's events tell them. The snapshot has no socket
 * left in the end. 0 or -ENOMEM. */
int capture_snapshot(struct snapshot *snap, uint64_t time_ns, bool by_cookie, capture_socket_fn fn, void *arg);

/* Who gets what a recording holds, in its order. */
struct capture_target {
	capture_fn record;
	capture_socket_fn socket;
	/* What follows was read at `time_ns` (CLOCK_REALTIME), at this difference to CLOCK_BOOTTIME. */
	void (*batch)(void *arg, uint64_t time_ns, int64_t boot_offset_ns);
	void (*netns)(void *arg, const char *name, const struct netns_facts *facts);
	/* A look at the kernel's tables has missed these lives of the ledger, in ascending order; or cookies. */
	void (*look)(void *arg, const uint64_t *lives, size_t count, bool by_cookie);
	/* Something is missing here: of no socket is known what became of it. */
	void (*gap)(void *arg, const struct recording_gap *gap);
};

/* Hands over what comes next in a recording. 1, 0 at its end, or -errno as recording_next. */
int capture_recording(struct recording_reader *r, const struct capture_target *to, void *arg,
		      struct recording_end *ret_end);

#endif
