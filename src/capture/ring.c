// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The live ring buffer (../ring.c), and what tells when the kernel wakes its reader. */
#include "../capture.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../cleanup.h"
#include "../hurry.h"
#include "../ring.h"

struct capture {
	struct ring *ring;
	/* The ring's own fd is readable whenever something is in it, an epoll of it only once we were woken. */
	int epoll_fd;
	size_t size; /* of the ring, bytes */
	size_t pressed; /* bytes that wait are too many */
	struct hurry hurry;
	capture_fn fn;
	void *arg;
};

static int capture_open_epoll(int ring_fd)
{
	struct epoll_event wanted = { .events = EPOLLIN | EPOLLET };
	_close_ int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0 || epoll_ctl(fd, EPOLL_CTL_ADD, ring_fd, &wanted))
		return -errno;
	return TAKE_FD(fd);
}

/* Also while it reads: what it had to read when it began can take so long that the ring is full before the end. */
static void capture_pace(void *arg)
{
	struct capture *cap = arg;

	hurry_set(&cap->hurry, ring_waiting(cap->ring) > cap->size / (cap->hurry.on ? 64 : 8));
}

static int capture_map(struct capture *cap, int ring_fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info);
	int r;

	if (bpf_obj_get_info_by_fd(ring_fd, &info, &size))
		return -errno;
	cap->size = info.max_entries;
	cap->pressed = info.max_entries / 4 * 3;
	r = ring_open(ring_fd, info.max_entries, &cap->ring);
	if (r == 0)
		ring_on_room(cap->ring, capture_pace, cap);
	return r;
}

int capture_open_ring(int ring_fd, capture_fn fn, void *arg, struct capture **ret)
{
	struct capture *cap = calloc(1, sizeof(*cap));
	int r;

	if (!cap)
		return -ENOMEM;
	cap->fn = fn;
	cap->arg = arg;
	r = cap->epoll_fd = capture_open_epoll(ring_fd);
	if (r >= 0)
		r = capture_map(cap, ring_fd);
	if (r < 0)
		capture_close(cap);
	else
		*ret = cap;
	return r;
}

int capture_fd(const struct capture *cap)
{
	return cap->epoll_fd;
}

int capture_read(struct capture *cap)
{
	capture_pace(cap);
	return ring_read(cap->ring, cap->fn, cap->arg);
}

bool capture_is_pressed(const struct capture *cap)
{
	return ring_waiting(cap->ring) > cap->pressed;
}

bool capture_is_behind(const struct capture *cap)
{
	return ring_waiting(cap->ring) > cap->size / 8;
}

bool capture_is_empty(const struct capture *cap)
{
	return !ring_waiting(cap->ring);
}

void capture_woken(struct capture *cap)
{
	struct epoll_event woken;

	epoll_wait(cap->epoll_fd, &woken, 1, 0);
}

uint64_t capture_most(const struct capture *cap, uint64_t *ret_size)
{
	*ret_size = cap->size;
	return ring_most(cap->ring);
}

void capture_close(struct capture *cap)
{
	if (!cap)
		return;
	ring_close(cap->ring);
	if (cap->epoll_fd >= 0)
		close(cap->epoll_fd);
	free(cap);
}
