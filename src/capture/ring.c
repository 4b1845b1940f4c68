// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The live ring buffer. ring_buffer__poll() would wait for wake-ups that are never sent: consume it instead. */
#include "capture.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

struct capture {
	struct ring_buffer *ring;
};

int capture_open_ring(int ring_fd, capture_fn fn, void *arg, struct capture **ret)
{
	struct capture *cap = calloc(1, sizeof(*cap));
	int r;

	if (!cap)
		return -ENOMEM;
	cap->ring = ring_buffer__new(ring_fd, (ring_buffer_sample_fn)fn, arg, NULL);
	if (!cap->ring) {
		r = -errno;
		free(cap);
		return r;
	}
	*ret = cap;
	return 0;
}

int capture_fd(const struct capture *cap)
{
	return ring_buffer__epoll_fd(cap->ring);
}

int capture_read(struct capture *cap)
{
	return ring_buffer__consume(cap->ring);
}

void capture_close(struct capture *cap)
{
	if (!cap)
		return;
	ring_buffer__free(cap->ring);
	free(cap);
}
