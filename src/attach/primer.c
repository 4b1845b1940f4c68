// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "primer.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <signal.h>

#include "cleanup.h"

static int primer_load(uint32_t function_id)
{
	struct bpf_insn nothing[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
				      { .code = BPF_JMP | BPF_EXIT } };
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .attach_btf_id = function_id,
		    .expected_attach_type = BPF_TRACE_FENTRY);

	return bpf_prog_load(BPF_PROG_TYPE_TRACING, "f_primer", "Dual BSD/GPL", nothing,
			     sizeof(nothing) / sizeof(nothing[0]), &opts);
}

static void *primer_attach(void *arg)
{
	struct primer *primer = arg;

	primer->link_fd = bpf_raw_tracepoint_open(NULL, primer->program_fd);
	return NULL;
}

/* Signals are for the main loop. */
void primer_begin(struct primer *primer, uint32_t function_id)
{
	sigset_t all, before;

	*primer = (struct primer){ .program_fd = function_id ? primer_load(function_id) : -1, .link_fd = -1 };
	if (primer->program_fd < 0)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	primer->runs = !pthread_create(&primer->thread, NULL, primer_attach, primer);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int primer_end(struct primer *primer)
{
	if (primer->runs)
		pthread_join(primer->thread, NULL);
	primer->runs = false;
	cleanup_close(&primer->program_fd);
	return TAKE_FD(primer->link_fd);
}
