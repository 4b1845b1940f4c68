/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Service ports that the kernel may give to others: of our network namespace and of all that a process is in. */
#ifndef PORTTRACE_DOCTOR_PORTS_H
#define PORTTRACE_DOCTOR_PORTS_H

#include "../owners.h"
#include "../service.h"
#include "doctor_stolen.h"

struct doctor_netns {
	struct overlap overlap;
	uint32_t pid; /* of a process in it; 0 = it is our own */
	int error; /* -errno: its port settings, or its sockets of one protocol, cannot be read */
	struct doctor_stolen *stolen; /* room for all of overlap.ports; only those that were taken */
	size_t stolen_count;
};

struct doctor_ports {
	struct doctor_netns **list; /* our own first; others only with a port at risk */
	size_t count, room;
	bool hidden; /* there may be more namespaces: to see and enter them takes CAP_SYS_PTRACE, CAP_SYS_ADMIN */
	struct service_table *services; /* NULL = not readable */
	struct doctor_history *history; /* NULL = none */
	struct owners owners; /* of the sockets of all of them */
};

/* 0 or -ENOMEM; the caller ends it with doctor_ports_free. */
int doctor_ports_read(struct doctor_ports *ret);
void doctor_ports_free(struct doctor_ports *ports);

#endif
