// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Asks the running kernel how preemptible it is. Run once by the loader with BPF_PROG_TEST_RUN, attached to
 * nothing.
 */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* kernel/sched/core.c, since 5.12 with CONFIG_PREEMPT_DYNAMIC: 0 none, 1 voluntary, 2 full, 3 lazy (6.13) */
extern const void preempt_dynamic_mode __ksym __weak;

int preempt_mode = -1; /* -1: the kernel has no such switch */

SEC("raw_tp/sys_enter")
int probe_preempt_mode(void *ctx)
{
	if (&preempt_dynamic_mode)
		bpf_probe_read_kernel(&preempt_mode, sizeof(preempt_mode), &preempt_dynamic_mode);
	return 0;
}
