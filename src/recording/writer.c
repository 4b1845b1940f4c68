// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Each block goes out in one write; one that does not go out whole is cut off again. */
#include "writer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "../clock.h"

#define WRITER_STACK (128 * 1024)
#define WRITER_GRACE_NS UINT64_C(300000000) /* of a file that nobody ended */

struct writer {
	int fd; /* of the thread, once that runs */
	bool regular;
	bool running; /* the thread has not been joined */
	pthread_t thread;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t more;
	struct writer_block *first, *last; /* to be written */
	struct writer_block *empty; /* the last one used first: few pages are ever touched */
	size_t empty_count;
	bool busy, over, abandoned;
	struct writer_counts counts;
	atomic_int error;
	struct writer_block *blocks; /* WRITER_BLOCKS */
};

/* ---- the file: on the thread, but for the header ---- */

static int writer_write(struct writer *w, const char *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = write(w->fd, data + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

static int writer_write_block(struct writer *w, struct writer_block *block)
{
	struct buf *b = &block->items;
	uint32_t size = (uint32_t)(b->len - FORMAT_BLOCK_HEADER_SIZE), crc;

	if (b->overflow)
		return -EMSGSIZE;
	memcpy(b->data, FORMAT_BLOCK_MAGIC, 4);
	format_store32(b->data + 4, size);
	crc = (uint32_t)crc32(0, (const Bytef *)b->data + 4, 4);
	crc = (uint32_t)crc32(crc, (const Bytef *)b->data + FORMAT_BLOCK_HEADER_SIZE, size);
	format_store32(b->data + 8, crc);
	return writer_write(w, b->data, b->len);
}

/* If it cannot be cut, the torn block stays, and a reader will name it. */
static void writer_cut(struct writer *w, uint64_t bytes)
{
	if (w->regular && ftruncate(w->fd, (off_t)bytes))
		w->regular = false;
}

/* What the kernel has taken may still not get to the disk: that shows now, or when the file is closed. */
static int writer_leave(struct writer *w)
{
	int r = w->regular && !atomic_load(&w->error) && fsync(w->fd) ? -errno : 0;

	if (close(w->fd) && !r)
		r = -errno;
	return r;
}

/* ---- the thread ---- */

/* NULL: none will come. */
static struct writer_block *writer_next(struct writer *w)
{
	struct writer_block *block;

	pthread_mutex_lock(&w->lock);
	w->busy = false;
	while (!w->first && !w->over)
		pthread_cond_wait(&w->more, &w->lock);
	block = w->first;
	if (block) {
		w->first = block->next;
		w->busy = true;
	}
	pthread_mutex_unlock(&w->lock);
	return block;
}

static void writer_give_back(struct writer *w, struct writer_block *block)
{
	block->next = w->empty;
	w->empty = block;
	w->empty_count++;
}

/* False: nobody waits for it any more. */
static bool writer_done(struct writer *w, struct writer_block *block, int r)
{
	bool abandoned;

	pthread_mutex_lock(&w->lock);
	abandoned = w->abandoned;
	if (!abandoned) {
		w->counts.waiting -= block->events;
		w->counts.blocks--;
		*(r ? &w->counts.unwritten : &w->counts.written) += block->events;
		w->counts.bytes += r ? 0 : block->items.len;
		atomic_store(&w->error, r);
		writer_give_back(w, block);
	}
	pthread_mutex_unlock(&w->lock);
	return !abandoned;
}

static void *writer_main(void *arg)
{
	struct writer *w = arg;
	struct writer_block *block;
	int r;

	pthread_setname_np(pthread_self(), "porttrace-rec");
	while ((block = writer_next(w))) {
		bool failed = atomic_load(&w->error) != 0;

		r = failed ? atomic_load(&w->error) : writer_write_block(w, block);
		if (r < 0 && !failed)
			writer_cut(w, w->counts.bytes); /* which only this thread changes */
		if (!writer_done(w, block, r))
			return NULL;
	}
	r = writer_leave(w);
	pthread_mutex_lock(&w->lock);
	if (r < 0 && !atomic_load(&w->error))
		atomic_store(&w->error, r);
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* Signals are the main thread's. */
static int writer_start(struct writer *w)
{
	pthread_attr_t attr;
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, WRITER_STACK);
	r = -pthread_create(&w->thread, &attr, writer_main, w);
	w->running = r == 0;
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

/* ---- whoever fills the blocks ---- */

int writer_new(int fd, bool regular, struct writer **ret)
{
	struct writer *w = calloc(1, sizeof(*w));

	if (w)
		w->blocks = malloc(WRITER_BLOCKS * sizeof(*w->blocks));
	if (!w || !w->blocks) {
		free(w);
		close(fd);
		return -ENOMEM;
	}
	w->fd = fd;
	w->regular = regular;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->more, NULL);
	for (size_t i = WRITER_BLOCKS; i; i--)
		writer_give_back(w, &w->blocks[i - 1]);
	*ret = w;
	return 0;
}

int writer_begin(struct writer *w, const char *header, size_t size)
{
	int r = w->regular && ftruncate(w->fd, 0) ? -errno : writer_write(w, header, size);

	w->counts.bytes = size;
	if (r == 0)
		r = writer_start(w);
	atomic_store(&w->error, r);
	return r;
}

struct writer_block *writer_take(struct writer *w, size_t keep)
{
	struct writer_block *block = NULL;

	pthread_mutex_lock(&w->lock);
	if (w->empty_count > keep) {
		block = w->empty;
		w->empty = block->next;
		w->empty_count--;
	}
	pthread_mutex_unlock(&w->lock);
	if (!block)
		return NULL;
	block->events = 0;
	block->items = (struct buf){ .data = block->room, .size = WRITER_ROOM, .len = FORMAT_BLOCK_HEADER_SIZE };
	return block;
}

void writer_put(struct writer *w, struct writer_block *block)
{
	pthread_mutex_lock(&w->lock);
	block->next = NULL;
	if (w->first)
		w->last->next = block;
	else
		w->first = block;
	w->last = block;
	w->counts.waiting += block->events;
	w->counts.blocks++;
	pthread_cond_signal(&w->more);
	pthread_mutex_unlock(&w->lock);
}

bool writer_is_idle(struct writer *w)
{
	bool idle;

	pthread_mutex_lock(&w->lock);
	idle = !w->first && !w->busy;
	pthread_mutex_unlock(&w->lock);
	return idle;
}

int writer_error(const struct writer *w)
{
	return atomic_load_explicit(&w->error, memory_order_relaxed);
}

void writer_count(struct writer *w, struct writer_counts *ret)
{
	pthread_mutex_lock(&w->lock);
	*ret = w->counts;
	ret->error = atomic_load(&w->error);
	pthread_mutex_unlock(&w->lock);
}

/* ---- the end ---- */

static void writer_abandon(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	w->abandoned = true;
	w->counts.unwritten += w->counts.waiting;
	w->counts.waiting = w->counts.blocks = 0;
	if (!atomic_load(&w->error))
		atomic_store(&w->error, -ETIMEDOUT);
	pthread_mutex_unlock(&w->lock);
}

int writer_end(struct writer *w, uint64_t deadline_ns)
{
	struct timespec until = { (time_t)(deadline_ns / 1000000000), (long)(deadline_ns % 1000000000) };

	if (!w->running || w->abandoned)
		return writer_error(w);
	pthread_mutex_lock(&w->lock);
	w->over = true;
	pthread_cond_signal(&w->more);
	pthread_mutex_unlock(&w->lock);
	if (pthread_clockjoin_np(w->thread, NULL, CLOCK_MONOTONIC, &until)) {
		writer_abandon(w);
	} else {
		w->running = false;
		w->fd = -1;
	}
	return writer_error(w);
}

/* What a thread that was left behind may still use stays. */
void writer_free(struct writer *w)
{
	if (!w)
		return;
	writer_end(w, clock_now_ns(CLOCK_MONOTONIC) + WRITER_GRACE_NS);
	if (w->abandoned)
		return;
	if (w->fd >= 0)
		close(w->fd);
	pthread_cond_destroy(&w->more);
	pthread_mutex_destroy(&w->lock);
	free(w->blocks);
	free(w);
}
