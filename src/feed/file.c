// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * --sink file:/path[?rotate=BYTES&keep=N]: JSON Lines, appended. Opened anew at SIGHUP and when the path leads to
 * another file than ours, so that logrotate(8) may rename it; never written through a symbolic link. A regular file has
 * whole lines even when we are killed (whole.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../parse.h"
#include "writer.h"

#define FILE_STEP WHOLE_ROOM
#define FILE_KEEP 5
#define FILE_TAIL 8192 /* more than a line */
#define FILE_LEFT_MS 1000 /* to wait for who else writes it */
#define FILE_NAP_MS 10
#define FILE_LINE_BEGIN "{\"@timestamp\":"

struct file_feed {
	struct feed_writer writer;
	struct whole whole;
	struct feed_status *status;
	char path[STATS_NAME_SIZE];
	uint64_t rotate_bytes; /* 0 = never */
	uint64_t keep; /* files beside the one that is written */
	dev_t dev;
	ino_t ino;
	off_t size; /* of the file, as far as we have written it */
};

/* ---- opening ---- */

/* Bytes that are read, or -errno; *ret_begin is where in them the last line begins, all if it has its end. */
static ssize_t file_read_end(int fd, off_t size, char tail[FILE_TAIL], size_t *ret_begin)
{
	size_t want = size < FILE_TAIL ? (size_t)size : FILE_TAIL, begin;
	ssize_t n = pread(fd, tail, want, size - (off_t)want);

	for (begin = n > 0 ? (size_t)n : 0; begin && tail[begin - 1] != '\n'; begin--)
		;
	*ret_begin = begin;
	return n < 0 ? -errno : n;
}

/* True: nobody else who writes it has it open. The helper of a porttrace that was killed ends its line at once. */
static bool file_is_left(int fd)
{
	struct timespec nap = { 0, FILE_NAP_MS * 1000000L };

	for (int i = 0; i < FILE_LEFT_MS / FILE_NAP_MS; i++) {
		if (!flock(fd, LOCK_EX | LOCK_NB) || errno != EWOULDBLOCK)
			return true;
		nanosleep(&nap, NULL);
	}
	return false;
}

/*
 * What a killed porttrace left of a line is taken away; a foreign line without an end gets one. One that another
 * porttrace is about to end is left to it: all hold a lock (flock) on what they write. 0 or -errno.
 */
static int file_mend_end(int fd)
{
	char tail[FILE_TAIL];
	size_t begin;
	struct stat st;
	ssize_t n = fstat(fd, &st) ? -errno : file_read_end(fd, st.st_size, tail, &begin);

	if (n <= 0 || begin == (size_t)n || !file_is_left(fd))
		return n < 0 ? (int)n : 0;
	n = fstat(fd, &st) ? -errno : file_read_end(fd, st.st_size, tail, &begin);
	if (n <= 0 || begin == (size_t)n)
		return n < 0 ? (int)n : 0;
	if ((size_t)n - begin > strlen(FILE_LINE_BEGIN) &&
	    !memcmp(tail + begin, FILE_LINE_BEGIN, strlen(FILE_LINE_BEGIN)))
		return ftruncate(fd, st.st_size - n + (off_t)begin) ? -errno : 0;
	return write(fd, "\n", 1) == 1 ? 0 : -errno;
}

/* So is a file that is not there yet. */
static bool file_is_regular(const char *path)
{
	struct stat st;

	return lstat(path, &st) || S_ISREG(st.st_mode);
}

/* A line that could only be begun is taken away again. */
static void file_leave(struct file_feed *f)
{
	struct stat st;

	if (f->writer.fd < 0)
		return;
	if (f->writer.rest_len && !fstat(f->writer.fd, &st) && S_ISREG(st.st_mode) &&
	    ftruncate(f->writer.fd, st.st_size - (off_t)f->writer.rest_done))
		feed_trouble_errno(f->status, "cannot end a line", errno);
	feed_writer_give_up(&f->writer, f->status);
	whole_use(&f->whole, -1);
	close(f->writer.fd);
	f->writer.fd = -1;
}

/* A pipe without a reader is an error (ENXIO), not something to wait for. */
static int file_enter(struct file_feed *f)
{
	static const int how = O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	int fd = open(f->path, how | (file_is_regular(f->path) ? O_RDWR | O_CREAT : O_WRONLY), 0640);
	struct stat st;
	int r = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		r = -errno;
	else if (S_ISREG(st.st_mode))
		r = file_mend_end(fd);
	if (r < 0 || fstat(fd, &st)) {
		close(fd);
		return r < 0 ? r : -EIO;
	}
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	f->size = S_ISREG(st.st_mode) ? st.st_size : 0;
	f->writer.whole = S_ISREG(st.st_mode) ? &f->whole : NULL;
	f->writer.fd = fd;
	if (!f->writer.whole)
		return 0;
	flock(fd, LOCK_SH | LOCK_NB);
	whole_use(&f->whole, fd);
	return 0;
}

static int file_set_uint(struct feed_uri *uri, const char *name, uint64_t *ret, char *err)
{
	const char *text = feed_uri_param(uri, name);

	if (!text)
		return 0;
	if (parse_size(text, ret) == 0 && *ret)
		return 0;
	snprintf(err, FEED_ERR_SIZE, "parameter '%s' needs a number such as %s", name,
		 strcmp(name, "keep") ? "100M" : "5");
	return -EINVAL;
}

static int file_options(struct file_feed *f, const struct feed_options *opts, char *err)
{
	const char *path = opts->uri->target;
	int r;

	if (*path != '/' || strlen(path) >= sizeof(f->path) - 8) {
		snprintf(err, FEED_ERR_SIZE, "needs an absolute path, such as file:/var/log/porttrace.jsonl");
		return -EINVAL;
	}
	strcpy(f->path, path);
	f->keep = FILE_KEEP;
	f->status = opts->status;
	r = file_set_uint(opts->uri, "rotate", &f->rotate_bytes, err);
	if (r == 0)
		r = file_set_uint(opts->uri, "keep", &f->keep, err);
	return r == 0 && f->keep > 999 ? -ERANGE : r;
}

static void file_close(void *state)
{
	struct file_feed *f = state;

	if (!f)
		return;
	file_leave(f);
	whole_close(&f->whole);
	feed_writer_free(&f->writer);
	free(f);
}

static int file_open(const struct feed_options *opts, void **ret_state, char *err)
{
	struct file_feed *f = calloc(1, sizeof(*f));
	int r = f ? 0 : -ENOMEM;

	if (r == 0) {
		feed_writer_init(&f->writer, -1, FILE_STEP);
		r = whole_open(&f->whole);
	}
	if (r == 0)
		r = file_options(f, opts, err);
	if (r == 0) {
		r = file_enter(f);
		if (r == -ENXIO)
			r = 0; /* a reader may come */
		if (r < 0)
			snprintf(err, FEED_ERR_SIZE, "%s", r == -ELOOP ? "is a symbolic link" : strerror(-r));
	}
	if (r < 0)
		file_close(f);
	else
		*ret_state = f;
	return r;
}

/* ---- another file under the same name ---- */

/* Begun lines end in the file that they were begun in. */
static int file_change(struct file_feed *f)
{
	int r = f->writer.fd >= 0 ? feed_writer_end(&f->writer, f->status) : 0;

	if (r == -ENOSPC || r == -EAGAIN)
		return r;
	file_leave(f);
	r = file_enter(f);
	if (r < 0)
		feed_trouble_errno(f->status, "cannot open", -r);
	return r;
}

static int file_follow(struct file_feed *f)
{
	struct stat st;

	if (f->writer.fd >= 0 && !lstat(f->path, &st) && st.st_dev == f->dev && st.st_ino == f->ino)
		return 0;
	return file_change(f);
}

static void file_name(const struct file_feed *f, uint64_t n, char ret[STATS_NAME_SIZE + 8])
{
	if (n)
		snprintf(ret, STATS_NAME_SIZE + 8, "%s.%u", f->path, (unsigned int)n);
	else
		snprintf(ret, STATS_NAME_SIZE + 8, "%s", f->path);
}

/* path.4 -> path.5, ... path -> path.1 */
static int file_rotate(struct file_feed *f)
{
	char from[STATS_NAME_SIZE + 8], to[STATS_NAME_SIZE + 8];
	int r = feed_writer_end(&f->writer, f->status);

	for (uint64_t n = f->keep; r == 0 && n; n--) {
		file_name(f, n - 1, from);
		file_name(f, n, to);
		if (rename(from, to) && (errno != ENOENT || n == 1))
			r = -errno;
	}
	if (r < 0)
		feed_trouble_errno(f->status, "cannot rotate", -r);
	return r < 0 ? r : file_change(f);
}

/* ---- delivering ---- */

/* Records until the file is full. */
static size_t file_fitting(const struct file_feed *f, const struct feed_record *records, size_t count)
{
	uint64_t size = (uint64_t)f->size;
	size_t n = 0;

	while (n < count && (!f->rotate_bytes || size < f->rotate_bytes))
		size += records[n++].size;
	return n;
}

/* 0, or -errno of what stops the writing. */
static int file_rotate_if_full(struct file_feed *f)
{
	struct stat st;

	if (!f->rotate_bytes || fstat(f->writer.fd, &st) || !S_ISREG(st.st_mode))
		return 0;
	f->size = st.st_size;
	return (uint64_t)f->size < f->rotate_bytes ? 0 : file_rotate(f);
}

static size_t file_write(struct file_feed *f, const struct feed_record *records, size_t count)
{
	size_t done = 0;
	int error = file_rotate_if_full(f);

	while (!error && done < count) {
		done += feed_writer_deliver(&f->writer, f->status, records + done,
					    file_fitting(f, records + done, count - done), &error);
		if (!error)
			error = file_rotate_if_full(f);
	}
	if (error && error != -EAGAIN && error != -EINTR)
		feed_trouble_errno(f->status, "cannot write", -error);
	else if (!error)
		feed_trouble(f->status, NULL);
	return done;
}

static size_t file_deliver(void *state, const struct feed_record *records, size_t count)
{
	struct file_feed *f = state;

	return file_follow(f) < 0 ? 0 : file_write(f, records, count);
}

static void file_reopen(void *state)
{
	file_change(state);
}

static void file_finish(void *state, uint64_t deadline_ns)
{
	struct file_feed *f = state;

	(void)deadline_ns;
	if (f->writer.fd >= 0)
		feed_writer_end(&f->writer, f->status);
	file_leave(f);
}

const struct feed_ops feed_file = {
	.scheme = "file",
	.form = "file:/path",
	.format = &feed_json,
	.open = file_open,
	.deliver = file_deliver,
	.finish = file_finish,
	.reopen = file_reopen,
	.close = file_close,
};
