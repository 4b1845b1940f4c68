/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The thread that writes a recording, and the bounded queue of blocks before it. Whoever fills blocks never waits for
 * the disk: there is an empty block, or there is none. Of a failed write nothing stays in the file, as far as that can
 * be, and nothing is written after it.
 */
#ifndef PORTTRACE_RECORDING_WRITER_H
#define PORTTRACE_RECORDING_WRITER_H

#include "format.h"

/* All there are: 24 blocks of 192 KiB, 4.5 MiB, whose pages are there only once they are used. */
#define WRITER_BLOCKS 24
#define WRITER_ROOM (FORMAT_BLOCK_SIZE + 2 * FORMAT_ITEM_MAX)

struct writer_block {
	struct writer_block *next; /* the writer's */
	uint64_t events; /* of `items` */
	struct buf items; /* behind room for the block's header */
	char room[WRITER_ROOM];
};

struct writer;

struct writer_counts {
	uint64_t written, waiting, unwritten; /* events: of each block that was put */
	uint64_t blocks; /* that wait, or are under way */
	uint64_t bytes; /* of the file */
	int error; /* -errno of the file; -ETIMEDOUT: the end was not written in time. 0 = none */
};

/* `fd` is taken over, also on errors; regular: a file that can be cut. 0 or -ENOMEM. */
int writer_new(int fd, bool regular, struct writer **ret);
/* Empties the file, writes its header at once, and starts the thread. 0 or -errno. */
int writer_begin(struct writer *w, const char *header, size_t size);
/* An empty block, owned by the caller until writer_put; NULL if there are only `keep` of them. */
struct writer_block *writer_take(struct writer *w, size_t keep);
/* This block is to be written. */
void writer_put(struct writer *w, struct writer_block *block);
/* Does nothing wait? */
bool writer_is_idle(struct writer *w);
int writer_error(const struct writer *w);
void writer_count(struct writer *w, struct writer_counts *ret);
/*
 * No more will come: waits until all is on disk and the file is closed, but at most until deadline_ns
 * (CLOCK_MONOTONIC). Then the thread is left behind, which the disk does not let go, and what waits is unwritten.
 * 0 or the error of the file.
 */
int writer_end(struct writer *w, uint64_t deadline_ns);
/* Ends it without waiting, if writer_end has not. Accepts NULL. */
void writer_free(struct writer *w);

#endif
