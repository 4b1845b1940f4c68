/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who uses some ports now, in the caller's network namespace: sockets and their processes. */
#ifndef PORTTRACE_USAGE_H
#define PORTTRACE_USAGE_H

#include "owners.h"
#include "sockdiag.h"

struct usage_socket {
	struct sockdiag_socket sock;
	const struct owner *owners; /* owner_count of them, into usage.owners */
	size_t owner_count;
};

struct usage {
	struct usage_socket *sockets; /* those that have one of the ports, on either side */
	size_t count, room;
	struct owners owners;
	int error[PROTO_COUNT]; /* -errno: why the sockets of this protocol are not all here */
	uint8_t wanted[65536 / 8];
};

/* 0 or -errno; the caller ends it with usage_free. */
int usage_read(const uint16_t *ports, size_t port_count, struct usage *ret);
void usage_free(struct usage *usage);

/* Sockets that differ in nothing a reader asks for; one line of a report. */
struct usage_group {
	const struct usage_socket *first;
	size_t count;
};

/*
 * The sockets that have `port` as their local (else remote) port, of the protocols in the bit mask
 * `protos`: listeners first, TIME_WAIT last. Alike ones are put together: those in TIME_WAIT
 * always, others if there are more than `single_max` sockets. 0 or -errno; *ret is the caller's to
 * free.
 */
int usage_groups(const struct usage *usage, uint16_t port, bool local, unsigned int protos,
		 size_t single_max, struct usage_group **ret, size_t *ret_count);

#endif
