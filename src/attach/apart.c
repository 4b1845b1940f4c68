// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "apart.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"

/* What the process says at its end, beside the descriptors. Pointers into the program mean the same in both. */
struct apart_message {
	int result;
	struct attach at;
	char err[1024];
	int fds[ATTACH_MAX_FDS]; /* -1 = none; the others go along in this order */
};

/* The memory for a message's descriptors, aligned. */
union apart_control {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(ATTACH_MAX_FDS * sizeof(int))];
};

static int apart_send(int socket, struct apart_message *message)
{
	union apart_control control = { 0 };
	struct iovec part = { message, sizeof(*message) };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
	int *fds = (int *)CMSG_DATA(&control.head);
	size_t n = 0;

	for (size_t i = 0; i < ATTACH_MAX_FDS; i++)
		if (message->fds[i] >= 0)
			fds[n++] = message->fds[i];
	if (n) {
		control.head.cmsg_len = CMSG_LEN(n * sizeof(int));
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(n * sizeof(int));
	}
	return sendmsg(socket, &header, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void apart_drop(const struct apart_message *message)
{
	for (size_t i = 0; i < ATTACH_MAX_FDS; i++)
		if (message->fds[i] >= 0)
			close(message->fds[i]);
}

static int apart_receive(int socket, struct apart_message *message)
{
	union apart_control control = { 0 };
	struct iovec part = { message, sizeof(*message) };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
				 .msg_controllen = sizeof(control) };
	const int *fds = (const int *)CMSG_DATA(&control.head);
	size_t n = 0, next = 0;
	ssize_t got;

	do
		got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got != (ssize_t)sizeof(*message))
		return -ECHILD;
	if (CMSG_FIRSTHDR(&header))
		n = (control.head.cmsg_len - CMSG_LEN(0)) / sizeof(int);
	for (size_t i = 0; i < ATTACH_MAX_FDS; i++)
		if (message->fds[i] >= 0)
			message->fds[i] = next < n ? fds[next++] : -1;
	if (!(header.msg_flags & MSG_CTRUNC)) /* else RLIMIT_NOFILE has not let all of them in */
		return 0;
	apart_drop(message);
	return -ECHILD;
}

/* In the forked process. */
static void apart_load(const struct attach_ops *ops, const struct attach_options *opts, struct attach *at,
		       struct apart_message *message, int socket)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (size_t i = 0; i < ATTACH_MAX_FDS; i++)
		message->fds[i] = -1;
	message->result = ops->open(opts, at, message->err, sizeof(message->err));
	if (message->result == 0)
		ops->give(at, message->fds);
	if (opts->log)
		fflush(opts->log);
	message->at = *at;
	_exit(apart_send(socket, message) < 0);
}

/* Waits for its end. 0 if it has said something, else -errno, in words too if it is not -ECHILD. */
static int apart_end(pid_t pid, int received, char *err, size_t err_size)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (received == 0 || !WIFSIGNALED(status))
		return received;
	snprintf(err, err_size, "the process that loads the programs was ended by signal %d (%s)", WTERMSIG(status),
		 strsignal(WTERMSIG(status)));
	return -ECANCELED;
}

static int apart_take(const struct attach_ops *ops, const struct apart_message *message, struct attach *at, char *err,
		      size_t err_size)
{
	int r = message->result;

	*at = message->at;
	at->state = NULL;
	snprintf(err, err_size, "%s", message->err);
	if (r < 0)
		return r;
	r = ops->take(at, message->fds);
	if (r < 0) {
		apart_drop(message);
		snprintf(err, err_size, "cannot take over the programs: %s", strerror(-r));
	}
	return r;
}

int apart_open(const struct attach_ops *ops, const struct attach_options *opts, struct attach *at, char *err,
	       size_t err_size)
{
	_free_ struct apart_message *message = calloc(1, sizeof(*message));
	int ends[2], r;
	pid_t pid;

	if (!message || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -ECHILD;
	pid = fork();
	if (pid == 0)
		apart_load(ops, opts, at, message, ends[1]);
	close(ends[1]);
	r = pid < 0 ? -ECHILD : apart_receive(ends[0], message);
	close(ends[0]);
	if (pid > 0)
		r = apart_end(pid, r, err, err_size);
	return r < 0 ? r : apart_take(ops, message, at, err, err_size);
}
