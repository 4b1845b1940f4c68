/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What this kernel and this process's rights allow: found by trying, not by reading versions. */
#ifndef PORTTRACE_KERNEL_H
#define PORTTRACE_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/utsname.h>

#include "attach.h"

enum kernel_status {
	KERNEL_OK,
	KERNEL_LIMITED, /* porttrace runs, with less */
	KERNEL_MISSING, /* something that porttrace or one of its backends needs */
	KERNEL_STATUS_COUNT,
};

extern const char *const kernel_status_names[KERNEL_STATUS_COUNT];

/* The answer to one question. */
struct kernel_finding {
	const char *id; /* for programs: "btf" */
	const char *what; /* for people: "kernel type information (BTF)" */
	enum kernel_status status;
	char detail[512]; /* what was found */
	char remedy[256]; /* what mends it, a command where there is one; "" = nothing to mend */
};

enum kernel_trial_index { KERNEL_TRIAL_F, KERNEL_TRIAL_X, KERNEL_TRIAL_CGROUP, KERNEL_TRIAL_COUNT };

/* One backend in one mode, loaded, attached and taken away again. It stays silent meanwhile. */
struct kernel_trial {
	enum event_backend backend;
	enum attach_mode mode; /* tracing only */
	int error; /* 0 = works; -errno */
	char why[512]; /* why it does not */
	char log[256]; /* libbpf's first word about it; "" = none */
	struct attach_program programs[ATTACH_MAX_PROGRAMS];
	size_t program_count;
	const char *blind_spots; /* NULL = none */
};

#define KERNEL_MAX_FINDINGS 32

struct kernel {
	struct utsname uts;
	uint64_t caps; /* effective */
	bool in_user_namespace; /* where they do not count for BPF */
	enum attach_mode mode; /* that `auto` takes for the tracing backend */
	const char *preemption;
	char cgroup_at[256]; /* where the cgroup backend was tried */
	struct kernel_trial trials[KERNEL_TRIAL_COUNT];
	const struct kernel_trial *chosen; /* that `auto` takes; NULL = none works */
	struct kernel_finding findings[KERNEL_MAX_FINDINGS];
	size_t finding_count;
};

/*
 * Tries and looks at everything. Leaves nothing behind: programs are attached for a moment, those
 * of the cgroup backend to a new, empty cgroup below our own.
 */
void kernel_check(struct kernel *ret);

#endif
