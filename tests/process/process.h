/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who makes a socket call: cases in which that is hard to tell. Each process records what it is itself. */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NOBODY 65534

#define CHECK(call)                                                    \
	({                                                             \
		__typeof__(call) r_ = (call);                          \
		if (r_ < 0)                                            \
			die(#call);                                    \
		r_;                                                    \
	})

/* A word of the command line that is also a step's name, so that the checker finds it again. */
struct step {
	const char *name;
	int (*run)(int argc, char **argv);
};

/* Who is said to have made the socket, and what a pid namespace calls the process; 0: nothing is expected. */
struct beside {
	int creator_pid;
	const char *creator_name;
	int vpid;
};

extern const char *record_path, *case_name;
extern int server_port;
extern const struct step steps[];

void die(const char *what) __attribute__((noreturn));
/* Process ids as the first namespace counts them. -1: as getpid() says. */
void record_as(int pid, int parent_pid);
/* Writes down that the calling thread is about to do `action` with the socket. */
void record(const char *action, int fd);
void record_beside(const char *action, int fd, const struct beside *beside);
/* As record, for a program whose file or memory is gone by then. */
void record_remember(void);

int client_socket(void);
void client_connect(int fd); /* says nothing */
void connect_and_record(void);
/* Runs `fn` in a child process, and waits for its end. */
void in_child(void (*fn)(void));
void wait_for(int pid);
/* exec of a copy of this program at `path` (NULL: itself) with a step and more arguments. */
void exec_step(const char *path, const char *step, const char *const more[]) __attribute__((noreturn));
void copy_self(const char *path);

#endif
