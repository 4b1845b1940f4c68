/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A connection of a feed to a socket's path, or to a host and port: never waited for, made anew when it breaks. */
#ifndef PORTTRACE_FEED_DIAL_H
#define PORTTRACE_FEED_DIAL_H

#include <netdb.h>
#include <sys/un.h>

#include "../feed.h"

struct dial {
	int type; /* SOCK_DGRAM, SOCK_STREAM: what was asked for */
	bool stream_too; /* a path that a stream socket stands at is welcome as well */
	struct sockaddr_un path; /* sun_path "" = a host */
	char host[256], port[6];

	int fd; /* -1 = none */
	bool connected, is_stream;
	struct addrinfo *found, *next; /* of the host: all addresses; those that are still to be tried */
	uint64_t retry_ns, give_up_ns; /* CLOCK_MONOTONIC: no attempt before; of one that is under way */
};

/* 0, or -EINVAL with a sentence in `err`: `path` is not an absolute path that fits. */
int dial_init_path(struct dial *d, const char *path, int type, char *err);
/* "host:port", "[::1]:port", "host". */
int dial_init_host(struct dial *d, const char *target, const char *default_port, int type, char *err);

/*
 * Goes on with the attempt to connect, or begins one, at most once a second. 0: it is connected, at once if it was.
 * -EAGAIN: not now; what is wrong stands in `status`. Looking up a host's name may wait.
 */
int dial_connect(struct dial *d, struct feed_status *status);
/* Waits for room to write, at most until `until_ns` (CLOCK_MONOTONIC). 0, -EAGAIN, or -errno: it is broken. */
int dial_wait(const struct dial *d, uint64_t until_ns);
/* One datagram, for which it waits as dial_wait does. */
int dial_send(const struct dial *d, const struct msghdr *message, uint64_t until_ns);
/* What the network has told since it was asked last: 0 or -errno. */
int dial_error(const struct dial *d);
/* It is broken: dial_connect begins anew. */
void dial_close(struct dial *d);

#endif
