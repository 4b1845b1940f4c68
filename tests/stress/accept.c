// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Many threads wait in accept(): the return of a function that blocks is what a tracer loses most easily. Some of them
 * have waited since before porttrace started; what they did until then is not counted.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stress.h"

#define EARLY 20
#define STACK_BYTES 65536
#define GO_FILE "/tmp/go"

static int entered; /* threads that are about to call accept() */

static void *accept_one(void *arg)
{
	int listener = *(int *)arg, fd;

	__atomic_fetch_add(&entered, 1, __ATOMIC_RELAXED);
	fd = CHECK(accept(listener, NULL, NULL));
	add(&counts->accept_ok);
	closed(fd);
	return NULL;
}

static void start_threads(pthread_t *threads, int n, int *listeners, int per_listener)
{
	pthread_attr_t attr;

	entered = 0;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	for (int i = 0; i < n; i++)
		if (pthread_create(&threads[i], &attr, accept_one, &listeners[i / per_listener]))
			die("pthread_create");
	pthread_attr_destroy(&attr);
	while (__atomic_load_n(&entered, __ATOMIC_RELAXED) < n)
		usleep(1000);
	usleep(500000); /* the last one is asleep in accept() by then */
}

/* Each connection wakes one thread. The clients stay until all are accepted. */
static void connect_all(pthread_t *threads, int n, const struct sockaddr_in *at, int per_listener)
{
	int *fds = calloc((size_t)n, sizeof(*fds));

	for (int i = 0; i < n; i++)
		fds[i] = connected(&at[i / per_listener]);
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < n; i++)
		closed(fds[i]);
	free(fds);
}

/* `n` threads on n / per_listener listeners. */
static void accept_round(int n, int per_listener)
{
	int count = n / per_listener, *listeners = calloc((size_t)count, sizeof(*listeners));
	struct sockaddr_in *at = calloc((size_t)count, sizeof(*at));
	pthread_t *threads = calloc((size_t)n, sizeof(*threads));

	for (int i = 0; i < count; i++)
		listeners[i] = listening(&at[i], 64);
	start_threads(threads, n, listeners, per_listener);
	connect_all(threads, n, at, per_listener);
	for (int i = 0; i < count; i++)
		closed(listeners[i]);
	free(threads);
	free(at);
	free(listeners);
}

static void wait_for_go(void)
{
	fprintf(stderr, "READY\n");
	while (access(GO_FILE, F_OK))
		usleep(20000);
}

static void early_round(void)
{
	pthread_t threads[EARLY];
	struct sockaddr_in at;
	int listener = listening(&at, 64);

	start_threads(threads, EARLY, &listener, EARLY);
	*counts = (struct counts){ 0 };
	wait_for_go();
	connect_all(threads, EARLY, &at, EARLY);
	closed(listener);
}

void run_accept(int threads, int sockets)
{
	struct rlimit files;

	CHECK(getrlimit(RLIMIT_NOFILE, &files));
	files.rlim_cur = files.rlim_max;
	CHECK(setrlimit(RLIMIT_NOFILE, &files));
	early_round();
	accept_round(threads, threads);
	accept_round(sockets, 1);
}
