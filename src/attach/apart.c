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

/* What the process says at its end, and once before if a part is to be had early; beside the descriptors. Pointers into
 * the program mean the same in both. */
struct apart_message {
	int result;
	bool more; /* the rest follows */
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

/* The forked process. */
struct apart_child {
	const struct attach_ops *ops;
	struct apart_message *message;
	int socket;
	bool given[ATTACH_MAX_FDS]; /* went along before */
};

static int apart_say(struct apart_child *child, const struct attach *at)
{
	struct apart_message *message = child->message;

	for (size_t i = 0; i < ATTACH_MAX_FDS; i++)
		message->fds[i] = -1;
	if (message->result == 0)
		child->ops->give(at, message->fds);
	for (size_t i = 0; i < ATTACH_MAX_FDS; i++) {
		if (child->given[i])
			message->fds[i] = -1;
		child->given[i] |= message->fds[i] >= 0;
	}
	message->at = *at;
	return apart_send(child->socket, message);
}

static void apart_begun(void *arg, const struct attach *at)
{
	struct apart_child *child = arg;

	child->message->more = true;
	if (apart_say(child, at) < 0)
		_exit(1);
	child->message->more = false;
}

static volatile sig_atomic_t apart_over; /* in the forked process: the tracer wants no more */

static void apart_on_over(int signal_number)
{
	(void)signal_number;
	apart_over = 1;
}

/* Ctrl-C is for the tracer: this process ends with it, or when all is attached. */
static void apart_run(struct apart_child *child, const struct attach_options *given, struct attach *at)
{
	struct apart_message *message = child->message;
	struct attach_options opts = *given;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR2, apart_on_over);
	opts.over = &apart_over;
	if (opts.early)
		opts.begun = apart_begun;
	opts.begun_arg = child;
	message->result = child->ops->open(&opts, at, message->err, sizeof(message->err));
	if (opts.log)
		fflush(opts.log);
	_exit(apart_say(child, at) < 0);
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
		apart_run(&(struct apart_child){ .ops = ops, .message = message, .socket = ends[1] }, opts, at);
	close(ends[1]);
	r = pid < 0 ? -ECHILD : apart_receive(ends[0], message);
	if (r == 0 && message->more) {
		r = apart_take(ops, message, at, err, err_size);
		at->rest_fd = ends[0];
		at->rest_pid = pid;
		if (r < 0)
			apart_give_up(at);
		return r;
	}
	close(ends[0]);
	if (pid > 0)
		r = apart_end(pid, r, err, err_size);
	return r < 0 ? r : apart_take(ops, message, at, err, err_size);
}

int apart_finish(struct attach *at, char *err, size_t err_size)
{
	_free_ struct apart_message *message = calloc(1, sizeof(*message));
	int r = message ? apart_receive(at->rest_fd, message) : -ENOMEM;

	snprintf(err, err_size, "the process that loads the programs has not loaded all of them");
	if (!message) {
		apart_give_up(at);
		return r;
	}
	close(at->rest_fd);
	at->rest_fd = -1;
	r = apart_end(at->rest_pid, r, err, err_size);
	if (r < 0 || message->result < 0)
		return r < 0 ? r : message->result;
	memcpy(at->programs, message->at.programs, sizeof(at->programs));
	at->ops->take_rest(at, message->fds);
	return 0;
}

void apart_cut_short(struct attach *at)
{
	if (at->rest_fd >= 0)
		kill(at->rest_pid, SIGUSR2);
}

void apart_give_up(struct attach *at)
{
	if (at->rest_fd < 0)
		return;
	close(at->rest_fd);
	at->rest_fd = -1;
	kill(at->rest_pid, SIGKILL);
	while (waitpid(at->rest_pid, NULL, 0) < 0 && errno == EINTR)
		;
}
