/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The traced command of `porttrace -- COMMAND`: forked early, let go when everything is attached. */
#ifndef PORTTRACE_CHILD_H
#define PORTTRACE_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

struct child {
	pid_t pid; /* 0 = no command */
	int go_fd; /* write end: the command starts when a byte comes */
	int error_fd; /* read end: errno of a failed exec; end of file when it worked */
	bool ended; /* the command itself */
	bool all_ended; /* and every process that it left behind */
	int status; /* exit status as a shell gives it (128 + signal), valid with ended */
};

/* Forks; the command waits. Makes this process the subreaper of its tree (PR_SET_CHILD_SUBREAPER). 0 or -errno. */
int child_prepare(struct child *child, char **argv);
/* Lets the command run. 0, or the -errno of exec; then child->status is 127 or 126. */
int child_start(struct child *child);
/* Collects what has ended; call it on SIGCHLD. */
void child_reap(struct child *child);
/* Ends a command that was prepared but not started, and closes what is open. */
void child_done(struct child *child);

/*
 * Leaves a copy of this process behind that holds its open files until it has ended, and then a moment more: what is
 * slow about closing them (the kernel waits some 100 ms for each fentry program) happens there, not in front of the
 * person who pressed Ctrl-C. Failure to make the copy only means to wait.
 */
void child_leave_files_behind(void);

#endif
