// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "whole.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../cleanup.h"

#define WHOLE_NAME "file-sink"
#define WHOLE_END_MS 1000 /* to wait for the helper's end */

/* So many bytes of the room are to be written; or 0: another file, which goes with it (SCM_RIGHTS), or none. */
struct whole_request {
	uint64_t bytes;
};

struct whole_answer {
	int64_t result; /* bytes that are written, or -errno */
};

union whole_control {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int))];
};

/* ---- writing ---- */

/* Of `size` bytes at `text`: the lines that end before `left` bytes, but at least one. */
static size_t whole_step(const char *text, size_t size, size_t left)
{
	const char *end;

	if (size <= left)
		return size;
	end = memrchr(text, '\n', left);
	if (!end)
		end = memchr(text + left, '\n', size - left);
	return end ? (size_t)(end + 1 - text) : size;
}

/* Until all is written, or nothing more goes. Bytes, or -errno if there are none. */
static ssize_t whole_put(int fd, const char *text, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), done = 0;
	struct stat st;
	ssize_t n = 0;

	if (fstat(fd, &st))
		return -errno;
	while (done < size) {
		size_t left = page - ((size_t)st.st_size + done) % page;

		n = write(fd, text + done, whole_step(text + done, size - done, left));
		if (n == 0 || (n < 0 && errno != EINTR))
			break;
		done += n > 0 ? (size_t)n : 0;
	}
	return done ? (ssize_t)done : n < 0 ? -errno : 0;
}

/* ---- the helper: it has no other thread, so it must not wait for a lock that one had (malloc, stdio) ---- */

struct whole_helper {
	int socket, file; /* file: -1 = none */
	char *room;
	size_t begun; /* bytes of a line without its end, at the end of the file */
};

static ssize_t whole_helper_put(struct whole_helper *h, size_t bytes)
{
	ssize_t written = whole_put(h->file, h->room, bytes);
	size_t n = written > 0 ? (size_t)written : 0;
	const char *newline = memrchr(h->room, '\n', n);

	h->begun = newline ? n - (size_t)(newline + 1 - h->room) : h->begun + n;
	return written;
}

/* A line that will have no end, unless who asked for it has taken it away, or somebody has written behind it. */
static void whole_helper_cut(const struct whole_helper *h)
{
	struct stat st;
	char last;

	if (h->begun && !fstat(h->file, &st) && st.st_size >= (off_t)h->begun &&
	    pread(h->file, &last, 1, st.st_size - 1) == 1 && last != '\n' &&
	    ftruncate(h->file, st.st_size - (off_t)h->begun))
		return; /* the next start takes it away */
}

static void whole_helper_file(struct whole_helper *h, int file)
{
	cleanup_close(&h->file);
	h->file = file;
	h->begun = 0;
}

/* False: who asks has gone. */
static bool whole_helper_serve(struct whole_helper *h)
{
	union whole_control control;
	struct whole_request request;
	struct whole_answer answer = { 0 };
	struct iovec iov = { &request, sizeof(request) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(h->socket, &msg, MSG_CMSG_CLOEXEC);
	struct cmsghdr *header = n == sizeof(request) ? CMSG_FIRSTHDR(&msg) : NULL;
	int file = -1;

	if (n != sizeof(request))
		return n < 0 && errno == EINTR;
	if (header && header->cmsg_type == SCM_RIGHTS)
		memcpy(&file, CMSG_DATA(header), sizeof(file));
	if (request.bytes)
		answer.result = whole_helper_put(h, request.bytes);
	else
		whole_helper_file(h, file);
	if (file < 0 && msg.msg_flags & MSG_CTRUNC) /* it may not be given to us */
		answer.result = -EBADF;
	return send(h->socket, &answer, sizeof(answer), MSG_NOSIGNAL) == sizeof(answer);
}

/* All signals are blocked. Without the files of who made it: what that has attached goes with it. */
static void whole_helper_run(int fd, char *room)
{
	struct whole_helper h = { .socket = STDIN_FILENO, .file = -1, .room = room };

	for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
		if (dup2(fd, i) < 0)
			_exit(1);
	syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, 0);
	setsid();
	prctl(PR_SET_NAME, WHOLE_NAME, 0, 0, 0);
	while (whole_helper_serve(&h))
		;
	whole_helper_cut(&h);
	_exit(0);
}

/* ---- who asks ---- */

/* Not fork(): its child would be waited for as the traced command is, and its handlers are not for this. */
static void whole_start(struct whole *w)
{
	sigset_t all, before;
	int pair[2];
	long pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	pid = syscall(SYS_clone, 0, 0, 0, 0, 0);
	if (pid == 0) {
		close(pair[0]);
		whole_helper_run(pair[1], w->room);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return;
	}
	w->socket = pair[0];
	w->helper = (pid_t)pid;
}

/* Its socket ends, so it does. */
static void whole_stop(struct whole *w)
{
	struct timespec nap = { 0, 1000000 };

	if (w->socket < 0)
		return;
	shutdown(w->socket, SHUT_RDWR); /* whoever else may have it */
	close(w->socket);
	w->socket = -1;
	for (int i = 0; i < WHOLE_END_MS && waitpid(w->helper, NULL, WNOHANG | __WALL) == 0; i++)
		nanosleep(&nap, NULL);
	w->helper = 0;
}

/* `file`: -1 = none goes with it. 0, or -errno: there is no helper any more. */
static int whole_ask(struct whole *w, size_t bytes, int file)
{
	union whole_control control = { .header = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
						    .cmsg_len = CMSG_LEN(sizeof(int)) } };
	struct whole_request request = { bytes };
	struct iovec iov = { &request, sizeof(request) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (file >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		memcpy(CMSG_DATA(&control.header), &file, sizeof(file));
	}
	do
		n = sendmsg(w->socket, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* 0, or -errno: there is no helper any more. */
static int whole_hear(struct whole *w, ssize_t *ret)
{
	struct whole_answer answer;
	ssize_t n;

	do
		n = recv(w->socket, &answer, sizeof(answer), 0);
	while (n < 0 && errno == EINTR);
	*ret = n == sizeof(answer) ? (ssize_t)answer.result : 0;
	return n == sizeof(answer) ? 0 : -EPIPE;
}

/* What a helper that has gone has written of it: nobody else writes to the file, or it is not known. */
static ssize_t whole_grown(const struct whole *w, off_t before, size_t bytes)
{
	struct stat st;

	if (fstat(w->file, &st) || st.st_size < before || st.st_size - before > (off_t)bytes)
		return 0;
	return (ssize_t)(st.st_size - before);
}

static ssize_t whole_have_put(struct whole *w, size_t bytes)
{
	ssize_t written;
	struct stat st;

	if (w->socket < 0)
		return whole_put(w->file, w->room, bytes);
	if (fstat(w->file, &st))
		return -errno;
	if (!whole_ask(w, bytes, -1) && !whole_hear(w, &written))
		return written;
	whole_stop(w);
	return whole_grown(w, st.st_size, bytes);
}

ssize_t whole_write(struct whole *w, const struct iovec *lines, int count)
{
	size_t bytes = 0;

	for (int i = 0; i < count && bytes < WHOLE_ROOM; i++) {
		size_t left = WHOLE_ROOM - bytes, n = lines[i].iov_len < left ? lines[i].iov_len : left;

		memcpy(w->room + bytes, lines[i].iov_base, n);
		bytes += n;
	}
	return bytes ? whole_have_put(w, bytes) : 0;
}

void whole_use(struct whole *w, int file)
{
	ssize_t result;

	w->file = file;
	if (file >= 0 && w->socket < 0)
		whole_start(w);
	if (w->socket >= 0 && (whole_ask(w, 0, file) < 0 || whole_hear(w, &result) < 0 || result < 0))
		whole_stop(w);
}

int whole_open(struct whole *w)
{
	void *room = mmap(NULL, WHOLE_ROOM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	*w = (struct whole){ .file = -1, .socket = -1 };
	if (room == MAP_FAILED)
		return -ENOMEM;
	w->room = room;
	return 0;
}

void whole_close(struct whole *w)
{
	if (!w->room)
		return;
	whole_stop(w);
	munmap(w->room, WHOLE_ROOM);
	w->room = NULL;
}
