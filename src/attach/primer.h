/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Attaches a program that does nothing to a kernel function that nobody calls. Up to 6.9 the first program at a
 * function makes the kernel wait until every task has once been out of it, a tenth of a second or more; those after it
 * do not. So that is waited for beside other work.
 */
#ifndef PORTTRACE_ATTACH_PRIMER_H
#define PORTTRACE_ATTACH_PRIMER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct primer {
	pthread_t thread;
	bool runs;
	int program_fd, link_fd; /* -1 = none */
};

/* The function's number among the kernel's types, 0 = there is none. What fails is left: it was only to save time. */
void primer_begin(struct primer *primer, uint32_t function_id);
/* Waits for it. The descriptor to be kept as long as there are others, the caller's to close; -1 = none. */
int primer_end(struct primer *primer);

#endif
