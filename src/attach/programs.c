// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "cleanup.h"
#include "porttrace/shared.h"
#include "types.h"

#define PROGRAMS_LICENSE "Dual BSD/GPL" /* bpf/tracing.bpf.c */
#define PROGRAMS_LOG_SIZE (1 << 20)

static const struct programs_section {
	const char *name;
	enum bpf_prog_type type;
	enum bpf_attach_type attach;
} programs_sections[] = {
	{ "fentry+", BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY },
	{ "fexit+", BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT },
	{ "tp_btf+", BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP },
	{ "kprobe+", BPF_PROG_TYPE_KPROBE, 0 },
	{ "kretprobe+", BPF_PROG_TYPE_KPROBE, 0 },
	{ "tp+", BPF_PROG_TYPE_TRACEPOINT, 0 },
	{ "shared+", BPF_PROG_TYPE_UNSPEC, 0 },
};
#define PROGRAMS_SECTIONS (sizeof(programs_sections) / sizeof(programs_sections[0]))

/* As libbpf would have loaded it. */
struct programs_held {
	const struct bpf_program *prog;
	enum bpf_prog_type type;
	struct bpf_prog_load_opts opts;
	struct bpf_insn *insns; /* owned */
	size_t count;
};

struct programs {
	const struct types *types;
	FILE *log;
	struct programs_held held[ATTACH_MAX_PROGRAMS];
	size_t count;
	int handlers[PROGRAMS_SECTIONS];
};

/* "fexit/inet_bind": which of the sections, and what stands behind the slash. */
static const struct programs_section *programs_section(const struct bpf_program *prog, const char **ret_target)
{
	const char *section = bpf_program__section_name(prog), *slash = strchr(section, '/');

	*ret_target = slash ? slash + 1 : "";
	for (size_t i = 0; slash && i < PROGRAMS_SECTIONS; i++) {
		size_t len = strlen(programs_sections[i].name) - 1;

		if ((size_t)(slash - section) == len && !strncmp(section, programs_sections[i].name, len))
			return &programs_sections[i];
	}
	return NULL;
}

/* For libbpf, which would look through all types of the kernel for each program. 0 = not there. */
static __u32 programs_target_id(const struct programs *p, enum bpf_attach_type attach, const char *target)
{
	char name[128];

	if (attach != BPF_TRACE_RAW_TP)
		return types_function_id(p->types, target);
	snprintf(name, sizeof(name), "btf_trace_%s", target);
	return types_typedef_id(p->types, name);
}

static int programs_hold(struct programs_held *held, const struct bpf_program *prog)
{
	held->count = bpf_program__insn_cnt(prog);
	held->insns = calloc(held->count, sizeof(*held->insns));
	if (!held->insns)
		return -ENOMEM;
	memcpy(held->insns, bpf_program__insns(prog), held->count * sizeof(*held->insns));
	held->prog = prog;
	return 0;
}

/* libbpf calls it when a program is about to be loaded, and then loads what has become of it. */
static int programs_prepare(struct bpf_program *prog, struct bpf_prog_load_opts *opts, long cookie)
{
	struct bpf_insn nothing[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
				      { .code = BPF_JMP | BPF_EXIT } };
	struct programs *p = (struct programs *)cookie;
	const char *target;
	const struct programs_section *section = programs_section(prog, &target);
	struct programs_held *held = &p->held[p->count];
	int r = section && p->count < ATTACH_MAX_PROGRAMS ? programs_hold(held, prog) : -E2BIG;

	if (r < 0)
		return r;
	p->count++;
	held->type = section->type;
	held->opts = *opts;
	held->opts.fd_array = NULL; /* of kernel functions, which none calls; libbpf frees it */
	held->opts.expected_attach_type = section->attach;
	if (section->type == BPF_PROG_TYPE_TRACING) {
		held->opts.attach_btf_id = programs_target_id(p, section->attach, target);
		if (!held->opts.attach_btf_id)
			return -ESRCH;
	}
	opts->func_info_cnt = opts->line_info_cnt = 0;
	return bpf_program__set_insns(prog, nothing, sizeof(nothing) / sizeof(nothing[0]));
}

static int programs_attach(const struct bpf_program *prog, long cookie, struct bpf_link **ret)
{
	const char *target, *name, *section = bpf_program__section_name(prog);
	char category[32];

	(void)cookie;
	(void)programs_section(prog, &target);
	name = strchr(target, '/'); /* "sock/inet_sock_set_state" */
	if (!strncmp(section, "tp/", 3) && name) {
		snprintf(category, sizeof(category), "%.*s", (int)(name - target), target);
		*ret = bpf_program__attach_tracepoint(prog, category, name + 1);
	} else if (section[0] == 'k') {
		*ret = bpf_program__attach_kprobe(prog, section[1] == 'r', target);
	} else {
		*ret = bpf_program__attach_trace(prog);
	}
	return *ret ? 0 : -errno;
}

/* libbpf before 1.3 frees its list of handlers once more after the last one has gone: one of no program's stays. */
static void programs_keep_handlers(void)
{
	static int stays;

	if (stays <= 0)
		stays = libbpf_register_prog_handler("porttrace-none", BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, NULL);
}

/* As socket filters, for which libbpf does not read the kernel's types, and which the kernel attaches nowhere. */
static void programs_register(struct programs *p)
{
	LIBBPF_OPTS(libbpf_prog_handler_opts, opts, .cookie = (long)p, .prog_prepare_load_fn = programs_prepare,
		    .prog_attach_fn = programs_attach);

	programs_keep_handlers();
	for (size_t i = 0; i < PROGRAMS_SECTIONS; i++)
		p->handlers[i] = libbpf_register_prog_handler(programs_sections[i].name, BPF_PROG_TYPE_SOCKET_FILTER,
							      programs_sections[i].attach, &opts);
}

int programs_new(const struct types *types, FILE *log, struct programs **ret)
{
	struct programs *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->types = types;
	p->log = log;
	programs_register(p);
	*ret = p;
	return 0;
}

static int programs_try(const struct programs_held *held, const struct bpf_prog_load_opts *opts)
{
	return bpf_prog_load(held->type, bpf_program__name(held->prog), PROGRAMS_LICENSE, held->insns, held->count,
			     opts);
}

static const struct programs_held *programs_find(const struct programs *p, const char *section)
{
	for (size_t i = 0; i < p->count; i++)
		if (!strcmp(bpf_program__section_name(p->held[i].prog), section))
			return &p->held[i];
	return NULL;
}

/* What libbpf has made of the one instruction that all like this share: the offset, or where the kernel has no such
 * field a call that no verifier lets pass. */
static void programs_take(struct bpf_insn *insn, const struct bpf_insn *shared)
{
	if (shared->code == (BPF_LD | BPF_IMM | BPF_DW))
		insn[1] = shared[1];
	if (BPF_CLASS(shared->code) == BPF_JMP) {
		*insn = *shared;
		return;
	}
	insn->code = shared->code;
	insn->off = shared->off;
	insn->imm = shared->imm;
}

static int programs_fill(const struct programs *p, struct bpf_insn *insns, size_t count)
{
	const struct programs_held *shared = programs_find(p, SHARED_SECTION);

	for (size_t i = 0; i < count; i++) {
		bool wide = insns[i].code == (BPF_LD | BPF_IMM | BPF_DW);
		int place = shared_place(&insns[i]);

		if (place >= 0 && (!shared || (size_t)place >= shared->count))
			return -EINVAL;
		if (place >= 0)
			programs_take(&insns[i], &shared->insns[place]);
		i += wide;
	}
	return 0;
}

/* Once more, for the verifier's words. */
static void programs_tell(const struct programs *p, const struct programs_held *held, int error)
{
	struct bpf_prog_load_opts opts = held->opts;
	_free_ char *text = p->log ? calloc(1, PROGRAMS_LOG_SIZE) : NULL;
	const char *name = bpf_program__name(held->prog);
	_close_ int fd = -1;

	if (!text)
		return;
	opts.log_buf = text;
	opts.log_size = PROGRAMS_LOG_SIZE;
	opts.log_level = 1;
	fd = programs_try(held, &opts);
	fprintf(p->log, "libbpf: prog '%s': BPF program load failed: %s\nlibbpf: prog '%s': the verifier says:\n%s\n",
		name, strerror(-error), name, text);
}

int programs_load(struct programs *p, struct bpf_program *prog)
{
	const struct programs_held *held = p->held, *end = p->held + p->count;
	int fd, r;

	while (held < end && held->prog != prog)
		held++;
	if (held == end)
		return -ENOENT;
	r = programs_fill(p, held->insns, held->count);
	if (r < 0)
		return r;
	fd = programs_try(held, &held->opts);
	if (fd < 0) {
		programs_tell(p, held, fd);
		return fd;
	}
	if (dup3(fd, bpf_program__fd(prog), O_CLOEXEC) < 0)
		r = -errno;
	close(fd);
	return r;
}

void programs_free(struct programs *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < PROGRAMS_SECTIONS; i++)
		if (p->handlers[i] > 0)
			libbpf_unregister_prog_handler(p->handlers[i]);
	for (size_t i = 0; i < p->count; i++)
		free(p->held[i].insns);
	free(p);
}
