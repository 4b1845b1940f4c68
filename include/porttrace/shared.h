/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How an instruction says which one of the section "shared" it takes its place of a field from (bpf/share.c). */
#ifndef PORTTRACE_SHARED_H
#define PORTTRACE_SHARED_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>

#define SHARED_SECTION "shared/fields"

/* A load has no number, all else no offset: there the place in the section stands, from 1. */
static inline bool shared_is_load(const struct bpf_insn *insn)
{
	return BPF_CLASS(insn->code) == BPF_LDX && BPF_MODE(insn->code) == BPF_MEM;
}

static inline bool shared_is_number(const struct bpf_insn *insn)
{
	int class = BPF_CLASS(insn->code);

	return insn->code == (BPF_LD | BPF_IMM | BPF_DW) ||
	       ((class == BPF_ALU || class == BPF_ALU64) && BPF_SRC(insn->code) == BPF_K);
}

static inline bool shared_mark(struct bpf_insn *insn, size_t place)
{
	if (shared_is_load(insn))
		insn->imm = (__s32)place + 1;
	else if (shared_is_number(insn))
		insn->off = (__s16)(place + 1);
	else
		return false;
	return true;
}

/* The place, -1 = none. */
static inline int shared_place(const struct bpf_insn *insn)
{
	if (shared_is_load(insn))
		return insn->imm - 1;
	return shared_is_number(insn) ? insn->off - 1 : -1;
}

#endif
