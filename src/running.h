/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The porttraces that run on this machine, and what they have cost: as the kernel tells of their maps and programs. */
#ifndef PORTTRACE_RUNNING_H
#define PORTTRACE_RUNNING_H

#include <stddef.h>
#include <stdint.h>

#define RUNNING_PROGRAMS_MAX 64
#define RUNNING_MAX 16

/* One BPF program. Counted while the kernel measures programs (BPF_ENABLE_STATS, or kernel.bpf_stats_enabled). */
struct running_program {
	uint32_t id;
	char name[16]; /* as the kernel has it: cut */
	uint64_t runs, run_ns;
};

/* One process that traces. Counts are since its programs were loaded, times since the process started. */
struct running {
	uint32_t pid;
	uint64_t events; /* that its programs have met, whatever became of them */
	uint64_t lost; /* of those */
	uint64_t cpu_ns; /* of all threads, user and system */
	uint64_t ring_most, ring_bytes; /* waiting at the most, and room */
	size_t program_count;
	struct running_program programs[RUNNING_PROGRAMS_MAX];
};

/*
 * Reads all but this process itself into `ret`, at most RUNNING_MAX, by way of `proc` ("/proc"). How many, or -errno:
 * -EPERM if the kernel does not give away maps by their number (CAP_SYS_ADMIN: kernel/bpf/syscall.c). Those that end
 * meanwhile are left out.
 */
int running_read(const char *proc, struct running ret[RUNNING_MAX]);

/* Lets the kernel measure BPF programs until the descriptor is closed, which the caller does; or -errno (since 5.8). */
int running_measure(void);

#endif
