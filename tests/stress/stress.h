/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the loads share: sockets on loopback that are counted, and processes. */
#ifndef STRESS_H
#define STRESS_H

#include <netinet/in.h>
#include <stdbool.h>

/* Shared by all processes. */
struct counts {
	unsigned long bind_ok, listen_ok, connect_ok, connect_failed, accept_ok, close_ok;
	volatile int stop;
};

extern struct counts *counts;

void die(const char *what) __attribute__((noreturn));

#define CHECK(call)                     \
	({                              \
		__typeof__(call) r_ = (call); \
		if (r_ < 0)             \
			die(#call);     \
		r_;                     \
	})

void add(unsigned long *count);
struct sockaddr_in loopback(int port);
int bound(void); /* TCP, on a port that the kernel chose */
int listening(struct sockaddr_in *at, int backlog);
int connected(const struct sockaddr_in *at); /* its close resets, so that no TIME_WAIT is left */
void closed(int fd);
/* One connection and its end. */
void cycle(int listener, const struct sockaddr_in *at);
/* Connects until the queue of a listener with backlog 0 is full: it answers no SYN from then on. */
#define FULL_QUEUE 8
void fill_queue(const struct sockaddr_in *at, int fds[FULL_QUEUE]);
void bind_until_stopped(void);
int spawn(void (*run)(void));
int wait_all(void);

/* The loads, each with two numbers. */
void run_accept(int threads, int sockets);
void run_churn(int socket_count, int unused);
void run_kill(int processes, int unused);
void run_abort(int connects, int unused);

#endif
