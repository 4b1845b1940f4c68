// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The live ring buffer. ring_buffer__poll() would wait for wake-ups that are never sent: consume it instead. */
#include "capture.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct capture {
	struct ring_buffer *ring;
	unsigned long *read_to, *written_to; /* bytes: the first two pages of the map (kernel/bpf/ringbuf.c) */
	unsigned long half; /* bytes */
	capture_fn fn;
	void *arg;
	unsigned long until; /* the position at which this read ends */
	int count; /* records of this read */
};

/* Ends the read with the first record that came after it began. */
static int capture_record(void *arg, void *data, size_t size)
{
	struct capture *cap = arg;
	int r = cap->fn(cap->arg, data, size);

	cap->count++;
	if (r < 0)
		return r;
	return (long)(*(volatile unsigned long *)cap->read_to - cap->until) >= 0 ? -EAGAIN : 0;
}

static unsigned long *capture_map(int ring_fd, off_t page)
{
	long size = sysconf(_SC_PAGESIZE);
	void *p = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, ring_fd, page * size);

	return p == MAP_FAILED ? NULL : p;
}

static void capture_unmap(unsigned long *page)
{
	if (page)
		munmap(page, (size_t)sysconf(_SC_PAGESIZE));
}

static int capture_map_positions(struct capture *cap, int ring_fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info);

	if (bpf_obj_get_info_by_fd(ring_fd, &info, &size))
		return -errno;
	cap->half = info.max_entries / 2;
	cap->read_to = capture_map(ring_fd, 0);
	cap->written_to = cap->read_to ? capture_map(ring_fd, 1) : NULL;
	return cap->written_to ? 0 : -errno;
}

int capture_open_ring(int ring_fd, capture_fn fn, void *arg, struct capture **ret)
{
	struct capture *cap = calloc(1, sizeof(*cap));
	int r;

	if (!cap)
		return -ENOMEM;
	cap->fn = fn;
	cap->arg = arg;
	cap->ring = ring_buffer__new(ring_fd, capture_record, cap, NULL);
	r = cap->ring ? capture_map_positions(cap, ring_fd) : -errno;
	if (r < 0)
		capture_close(cap);
	else
		*ret = cap;
	return r;
}

int capture_fd(const struct capture *cap)
{
	return ring_buffer__epoll_fd(cap->ring);
}

int capture_read(struct capture *cap)
{
	int r;

	cap->count = 0;
	cap->until = __atomic_load_n(cap->written_to, __ATOMIC_ACQUIRE);
	r = ring_buffer__consume(cap->ring);
	return r < 0 && r != -EAGAIN ? r : cap->count;
}

bool capture_is_pressed(const struct capture *cap)
{
	return __atomic_load_n(cap->written_to, __ATOMIC_ACQUIRE) - __atomic_load_n(cap->read_to, __ATOMIC_ACQUIRE) >
	       cap->half;
}

void capture_close(struct capture *cap)
{
	if (!cap)
		return;
	capture_unmap(cap->read_to);
	capture_unmap(cap->written_to);
	ring_buffer__free(cap->ring);
	free(cap);
}
