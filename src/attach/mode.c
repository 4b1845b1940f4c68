// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How preemptible the running kernel is, and so how the tracing programs are attached. */
#include "attach.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "cleanup.h"
#include "proc.h"

/* kernel/sched/core.c, since 5.12 with CONFIG_PREEMPT_DYNAMIC: 0 none, 1 voluntary, 2 full, 3 lazy (6.13) */
#define MODE_SYMBOL "preempt_dynamic_mode"

static const char *const mode_names[] = { "none", "voluntary", "full", "lazy" };
#define MODE_NAMES ((int)(sizeof(mode_names) / sizeof(mode_names[0])))

/* "ffffffff9d2c5a40 D preempt_dynamic_mode": its address, 0 = none. libbpf takes a tenth of a second for it. */
static uint64_t mode_find_symbol(void)
{
	_fclose_ FILE *f = fopen("/proc/kallsyms", "re");
	_free_ char *line = NULL;
	uint64_t address = 0;
	size_t room = 0;

	while (f && !address && getline(&line, &room, f) > 0) {
		const char *name = strchr(line, ' ');

		if (name && name[1] && !strcmp(name + 2, " " MODE_SYMBOL "\n"))
			address = strtoull(line, NULL, 16);
	}
	return address;
}

/* Run once, attached to nothing: what stands at the address. -1 on failure. */
static int mode_read_kernel(uint64_t address)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_10, .off = -8, .imm = -1 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_1, .imm = -8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = sizeof(int) },
		{ .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = BPF_REG_3, .imm = (__s32)address },
		{ .imm = (__s32)(address >> 32) },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_probe_read_kernel },
		{ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = BPF_REG_0, .src_reg = BPF_REG_10, .off = -8 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	_close_ int fd = bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "probe_mode", "Dual BSD/GPL", program,
				       sizeof(program) / sizeof(program[0]), NULL);
	LIBBPF_OPTS(bpf_test_run_opts, run);

	return fd < 0 || bpf_prog_test_run_opts(fd, &run) ? -1 : (int)run.retval;
}

/* -1 where the kernel has no such switch, or on failure. */
static int mode_read_switch(void)
{
	uint64_t address = mode_find_symbol();

	return address ? mode_read_kernel(address) : -1;
}

/* Kernel symbols have addresses for root and CAP_SYSLOG alone; this takes CAP_DAC_READ_SEARCH. -1 = not known. */
static int mode_read_file(void)
{
	char text[128], *word;

	if (proc_read(AT_FDCWD, "/sys/kernel/debug/sched/preempt", text, sizeof(text)) < 0)
		return -1;
	word = strchr(text, '(');
	if (!word)
		return -1;
	word[1 + strcspn(word + 1, ")")] = '\0';
	for (int mode = 0; mode < MODE_NAMES; mode++)
		if (!strcmp(word + 1, mode_names[mode]))
			return mode;
	return -1;
}

int attach_detect_mode(enum attach_mode *ret_mode, const char **ret_preempt_name)
{
	int mode = mode_read_file();
	bool preemptible;
	struct utsname uts;

	if (mode < 0 && uname(&uts))
		return -errno;
	preemptible = mode < 0 && strstr(uts.version, "PREEMPT");
	if (preemptible) /* or may be switched to it */
		mode = mode_read_switch();
	if (mode >= 0 && mode < MODE_NAMES) {
		*ret_preempt_name = mode_names[mode];
		*ret_mode = mode >= 2 ? ATTACH_MODE_X : ATTACH_MODE_F;
		return 0;
	}
	/* built one way for good: "PREEMPT" or "PREEMPT_RT" stands in the version when it is preemptible */
	*ret_preempt_name = preemptible ? "full" : "voluntary";
	*ret_mode = preemptible ? ATTACH_MODE_X : ATTACH_MODE_F;
	return 0;
}
