// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"

/* In the forked process: waits, then becomes the command. */
static void child_run(char **argv, int go_fd, int error_fd)
{
	char byte;
	int error;

	if (read(go_fd, &byte, 1) != 1)
		_exit(127);
	signal(SIGPIPE, SIG_DFL);
	execvp(argv[0], argv);
	error = errno;
	if (write(error_fd, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(error == ENOENT ? 127 : 126);
}

int child_prepare(struct child *child, char **argv)
{
	int go[2], error[2];

	*child = (struct child){ .go_fd = -1, .error_fd = -1 };
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) || pipe2(go, O_CLOEXEC))
		return -errno;
	if (pipe2(error, O_CLOEXEC)) {
		close(go[0]);
		close(go[1]);
		return -errno;
	}
	child->pid = fork();
	if (child->pid == 0) {
		close(go[1]);
		child_run(argv, go[0], error[1]);
	}
	close(go[0]);
	close(error[1]);
	child->go_fd = go[1];
	child->error_fd = error[0];
	return child->pid < 0 ? -errno : 0;
}

int child_start(struct child *child)
{
	int error = 0;

	if (write(child->go_fd, "", 1) != 1)
		return -errno;
	if (read(child->error_fd, &error, sizeof(error)) != sizeof(error))
		return 0;
	child->status = error == ENOENT ? 127 : 126;
	return -error;
}

void child_reap(struct child *child)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == child->pid) {
			child->ended = true;
			child->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		}
	child->all_ended = pid < 0 && errno == ECHILD;
}

void child_leave_files_behind(void)
{
	pid_t parent = getpid();

	if (fork() != 0)
		return;
	setsid();
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		close(fd);
	for (int i = 0; i < 500 && getppid() == parent; i++)
		usleep(10000);
	_exit(0);
}

void child_done(struct child *child)
{
	if (!child->pid)
		return;
	cleanup_close(&child->go_fd);
	cleanup_close(&child->error_fd);
	child->go_fd = child->error_fd = -1;
}
