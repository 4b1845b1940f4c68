// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The tracing backend: one row a program; the kernel's BTF says which of them this kernel has. */
#include "attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cleanup.h"
#include "excerpt.h"
#include "porttrace/notes.h"
#include "proc.h"
#include "primer.h"
#include "programs.h"
#include "types.h"
#include "tracing.skel.h"

/* RENAMED: a kernel that lacks the function has it under another row's name. RELEASES, SECCOMP, FOLLOWS: only where
 * asked for; NO_RELEASES: only where these are not. SEARCH_*: only where the events are wanted that say how long the
 * kernel looked for a port. CLOSES: with it all is there that the end of a connection takes. BEGINS: with it the reader
 * may begin. */
enum {
	MODE_F = 1 << 0,
	MODE_X = 1 << 1,
	RENAMED = 1 << 2,
	RELEASES = 1 << 3,
	SECCOMP = 1 << 4,
	SEARCH_CONNECT = 1 << 5,
	SEARCH_BIND = 1 << 6,
	FOLLOWS = 1 << 7,
	CLOSES = 1 << 8,
	BEGINS = 1 << 9,
	NO_RELEASES = 1 << 10,
};
#define TRACING_PRIMED "sock_no_listen" /* of sockets that cannot listen */

enum { OPTIONAL, REQUIRED };
enum { QUIET, CARRIES };

struct tracing_row {
	const char *program;
	const char *target; /* kernel function; NULL = a tracepoint, which every kernel here has */
	const char *what;
	int modes;
	int required;
	int carries; /* CARRIES: a skipped run is a lost event. QUIET: it is none, or is found otherwise */
	const char *unless; /* kernel function: where it is there, this row is not needed */
};

/*
 * In the order in which they are loaded and attached. Each speaks from then on, before the next is there: what it says
 * has to be true without those below, only less. So of two programs of one call that of its return comes first: it says
 * nothing of a call whose beginning was not seen, and no call begins that will not be seen to return.
 */
static const struct tracing_row tracing_rows[] = {
	/* Soon loaded, and of each kind that a mode takes: a kernel that refuses one of them has done so before
	 * anything was told, and another backend can be tried. Accept is the first to speak. */
	{ "t_fork", NULL, "children (--follow)", MODE_F | MODE_X | FOLLOWS, OPTIONAL, QUIET, NULL },
	{ "f_graft", "security_sock_graft", "accept", MODE_F, OPTIONAL, CARRIES, NULL },
	{ "x_accept", "security_sock_graft", "accept", MODE_X, REQUIRED, CARRIES, NULL },
	{ "x_listen", "inet_csk_listen_start", "listen", MODE_X, REQUIRED, QUIET, NULL },
	{ "t_state_classic", NULL, "connect results (TCP)", MODE_X | RELEASES, REQUIRED, QUIET, NULL },
	{ "x_established", "tcp_finish_connect", "connect results (TCP)", MODE_X | NO_RELEASES, REQUIRED, QUIET, NULL },
	{ "x_done", "tcp_done", "connect results (TCP)", MODE_X | NO_RELEASES, REQUIRED, QUIET, NULL },
	{ "x_syn_undone", "inet_bhash2_reset_saddr", "connect results (TCP)", MODE_X | NO_RELEASES | RENAMED, REQUIRED,
	  QUIET, NULL },
	{ "x_syn_sent4", "inet_hash_connect", "connect results (TCP)", MODE_X | NO_RELEASES, REQUIRED, QUIET,
	  "inet_bhash2_reset_saddr" },
	{ "x_syn_sent6", "inet6_hash_connect", "connect results (TCP)", MODE_X | NO_RELEASES, OPTIONAL, QUIET,
	  "inet_bhash2_reset_saddr" },
	{ "t_state", NULL, "connect results (TCP)", MODE_F | MODE_X | BEGINS, REQUIRED, QUIET, NULL },
	{ "f_accept", "inet_csk_accept", "accept that failed", MODE_F, REQUIRED, QUIET, NULL },
	{ "x_accept_failed", "inet_csk_accept", "accept that failed", MODE_X, OPTIONAL, QUIET, NULL },
	{ "x_accept_enter", "inet_csk_accept", "accept that failed", MODE_X, OPTIONAL, QUIET, NULL },
	{ "f_listen", "inet_csk_listen_start", "listen", MODE_F, REQUIRED, CARRIES, NULL },
	{ "f_listen_enter", "inet_csk_listen_start", "listen", MODE_F, REQUIRED, QUIET, NULL },
	{ "x_listen_enter", "inet_csk_listen_start", "listen", MODE_X, REQUIRED, CARRIES, NULL },
	/* the early ones take what the others mark */
	{ "f_bind4_early", "inet_bind", "bind refused early, IPv4", MODE_F, OPTIONAL, QUIET, "inet_bind_sk" },
	{ "f_bind4_early_sk", "inet_bind_sk", "bind refused early, IPv4", MODE_F | RENAMED, OPTIONAL, QUIET, NULL },
	{ "f_bind4", "__inet_bind", "bind, IPv4", MODE_F, REQUIRED, CARRIES, NULL },
	{ "x_bind4_early", "inet_bind", "bind refused early, IPv4", MODE_X, OPTIONAL, QUIET, "inet_bind_sk" },
	{ "x_bind4_early_sk", "inet_bind_sk", "bind refused early, IPv4", MODE_X | RENAMED, OPTIONAL, QUIET, NULL },
	{ "x_bind4_early_enter", "inet_bind", "bind refused early, IPv4", MODE_X, OPTIONAL, QUIET, "inet_bind_sk" },
	{ "x_bind4_early_sk_enter", "inet_bind_sk", "bind refused early, IPv4", MODE_X | RENAMED, OPTIONAL,
	  QUIET, NULL },
	{ "x_bind4", "__inet_bind", "bind, IPv4", MODE_X, REQUIRED, QUIET, NULL },
	{ "x_bind4_enter", "__inet_bind", "bind, IPv4", MODE_X, REQUIRED, CARRIES, NULL },
	/* the end of connections, which is told when all of these are there */
	{ "t_close", "tcp_check_oom", "what a close leaves of the port", MODE_F | MODE_X, REQUIRED, QUIET, NULL },
	{ "x_closed", "inet_csk_destroy_sock", "what a close leaves of the port", MODE_X, REQUIRED, QUIET, NULL },
	{ "t_time_wait", "inet_twsk_hashdance", "TIME_WAIT", MODE_F | MODE_X | RENAMED, OPTIONAL, QUIET, NULL },
	{ "t_time_wait2", "inet_twsk_hashdance_schedule", "TIME_WAIT", MODE_F | MODE_X | RENAMED, OPTIONAL,
	  QUIET, NULL },
	{ "x_time_wait", "inet_twsk_hashdance", "TIME_WAIT", MODE_X | RENAMED, OPTIONAL, QUIET, NULL },
	{ "x_time_wait2", "inet_twsk_hashdance_schedule", "TIME_WAIT", MODE_X | RENAMED, OPTIONAL, QUIET, NULL },
	{ "t_error", "tcp_done_with_error", "errno of connections", MODE_F | MODE_X | RENAMED, OPTIONAL, QUIET, NULL },
	{ "x_error", "tcp_done_with_error", "errno of connections", MODE_X | RENAMED, OPTIONAL, QUIET, NULL },
	{ "f_error_report", "sock_def_error_report", "errno of connects", MODE_F, OPTIONAL, QUIET,
	  "tcp_done_with_error" },
	{ "x_error_report", "sock_def_error_report", "errno of connects", MODE_X, OPTIONAL, QUIET,
	  "tcp_done_with_error" },
	{ "t_put_port", "inet_put_port", "release, TCP", MODE_F | RELEASES, OPTIONAL, CARRIES, NULL },
	{ "x_put_port", "inet_put_port", "release, TCP", MODE_X | RELEASES, OPTIONAL, CARRIES, NULL },
	{ "t_time_wait_end", "inet_twsk_bind_unhash", "release, TIME_WAIT", MODE_F | RELEASES, OPTIONAL,
	  CARRIES, NULL },
	{ "x_time_wait_end", "inet_twsk_bind_unhash", "release, TIME_WAIT", MODE_X | RELEASES, OPTIONAL,
	  CARRIES, NULL },
	{ "t_udp_release", "udp_lib_unhash", "release, UDP", MODE_F | RELEASES, OPTIONAL, CARRIES, NULL },
	{ "x_udp_release", "udp_lib_unhash", "release, UDP", MODE_X | RELEASES, OPTIONAL, CARRIES, NULL },
	{ "t_udp_disconnect", "__udp_disconnect", "release, UDP", MODE_F | RELEASES, OPTIONAL, CARRIES,
	  "udplite_rcv" },
	{ "x_udp_disconnect", "__udp_disconnect", "release, UDP", MODE_X | RELEASES, OPTIONAL, CARRIES,
	  "udplite_rcv" },
	{ "f_disconnect", "tcp_disconnect", "shutdown of listeners, connections never accepted", MODE_F, OPTIONAL,
	  QUIET, NULL },
	{ "x_disconnect", "tcp_disconnect", "shutdown of listeners, connections never accepted", MODE_X, OPTIONAL,
	  QUIET, NULL },
	{ "f_release", "__tcp_close", "close, TCP", MODE_F | CLOSES, REQUIRED, CARRIES, NULL },
	{ "x_release", "inet_release", "close", MODE_X | CLOSES, REQUIRED, CARRIES, NULL },
	{ "f_connect4", "tcp_v4_connect", "connect, TCP over IPv4", MODE_F, REQUIRED, QUIET, NULL },
	{ "f_connect4_enter", "tcp_v4_connect", "connect, TCP over IPv4", MODE_F, REQUIRED, CARRIES, NULL },
	{ "x_connect4", "tcp_v4_connect", "connect, TCP over IPv4", MODE_X, REQUIRED, QUIET, NULL },
	{ "x_connect4_enter", "tcp_v4_connect", "connect, TCP over IPv4", MODE_X, REQUIRED, CARRIES, NULL },
	{ "f_release_udp", "sk_common_release", "close, UDP", MODE_F, REQUIRED, CARRIES, NULL },
	{ "f_release_mptcp", "mptcp_close", "close, MPTCP", MODE_F | RENAMED, OPTIONAL, CARRIES, NULL },
	{ "f_search", "tcp_connect", "port search of connect", MODE_F | SEARCH_CONNECT, OPTIONAL, QUIET, NULL },
	{ "x_search", "tcp_connect", "port search of connect", MODE_X | SEARCH_CONNECT, OPTIONAL, QUIET, NULL },
	{ "f_autobind", "inet_autobind", "ports UDP gets by send or connect", MODE_F, OPTIONAL, CARRIES, NULL },
	{ "x_autobind", "inet_autobind", "ports UDP gets by send or connect", MODE_X, OPTIONAL, QUIET, NULL },
	{ "x_autobind_enter", "inet_autobind", "ports UDP gets by send or connect", MODE_X, OPTIONAL, CARRIES, NULL },
	{ "f_udp_connect", "inet_dgram_connect", "connect, UDP", MODE_F, REQUIRED, CARRIES, NULL },
	{ "x_udp_connect", "inet_dgram_connect", "connect, UDP", MODE_X, REQUIRED, QUIET, NULL },
	{ "x_udp_connect_enter", "inet_dgram_connect", "connect, UDP", MODE_X, REQUIRED, CARRIES, NULL },
	{ "f_bind6_early", "inet6_bind", "bind refused early, IPv6", MODE_F, OPTIONAL, QUIET, "inet6_bind_sk" },
	{ "f_bind6_early_sk", "inet6_bind_sk", "bind refused early, IPv6", MODE_F | RENAMED, OPTIONAL, QUIET, NULL },
	{ "f_bind6", "__inet6_bind", "bind, IPv6", MODE_F, OPTIONAL, CARRIES, NULL },
	{ "x_bind6_early", "inet6_bind", "bind refused early, IPv6", MODE_X, OPTIONAL, QUIET, "inet6_bind_sk" },
	{ "x_bind6_early_sk", "inet6_bind_sk", "bind refused early, IPv6", MODE_X | RENAMED, OPTIONAL, QUIET, NULL },
	{ "x_bind6_early_enter", "inet6_bind", "bind refused early, IPv6", MODE_X, OPTIONAL, QUIET, "inet6_bind_sk" },
	{ "x_bind6_early_sk_enter", "inet6_bind_sk", "bind refused early, IPv6", MODE_X | RENAMED, OPTIONAL,
	  QUIET, NULL },
	{ "x_bind6", "__inet6_bind", "bind, IPv6", MODE_X, OPTIONAL, QUIET, NULL },
	{ "x_bind6_enter", "__inet6_bind", "bind, IPv6", MODE_X, OPTIONAL, CARRIES, NULL },
	{ "f_connect6", "tcp_v6_connect", "connect, TCP over IPv6", MODE_F, OPTIONAL, QUIET, NULL },
	{ "f_connect6_enter", "tcp_v6_connect", "connect, TCP over IPv6", MODE_F, OPTIONAL, CARRIES, NULL },
	{ "x_connect6", "tcp_v6_connect", "connect, TCP over IPv6", MODE_X, OPTIONAL, QUIET, NULL },
	{ "x_connect6_enter", "tcp_v6_connect", "connect, TCP over IPv6", MODE_X, OPTIONAL, CARRIES, NULL },
	{ "f_get_port", "inet_csk_get_port", "port search of bind, TCP", MODE_F | SEARCH_BIND, OPTIONAL, QUIET, NULL },
	{ "f_get_port_enter", "inet_csk_get_port", "port search of bind, TCP", MODE_F | SEARCH_BIND, OPTIONAL,
	  QUIET, NULL },
	{ "x_get_port", "inet_csk_get_port", "port search of bind, TCP", MODE_X | SEARCH_BIND, OPTIONAL, QUIET, NULL },
	{ "x_get_port_enter", "inet_csk_get_port", "port search of bind, TCP", MODE_X | SEARCH_BIND, OPTIONAL,
	  QUIET, NULL },
	{ "f_udp_get_port", "udp_lib_get_port", "port search of bind, UDP", MODE_F | SEARCH_BIND, OPTIONAL,
	  QUIET, NULL },
	{ "f_udp_get_port_enter", "udp_lib_get_port", "port search of bind, UDP", MODE_F | SEARCH_BIND, OPTIONAL,
	  QUIET, NULL },
	{ "x_udp_get_port", "udp_lib_get_port", "port search of bind, UDP", MODE_X | SEARCH_BIND, OPTIONAL,
	  QUIET, NULL },
	{ "x_udp_get_port_enter", "udp_lib_get_port", "port search of bind, UDP", MODE_X | SEARCH_BIND, OPTIONAL,
	  QUIET, NULL },
	{ "f_seccomp", "__seccomp_filter", "refused by seccomp", MODE_F | SECCOMP, REQUIRED, QUIET, NULL },
	{ "x_seccomp", "__seccomp_filter", "refused by seccomp", MODE_X | SECCOMP, REQUIRED, QUIET, NULL },
	{ "f_denied_bind", "security_socket_bind", "bind refused by an LSM", MODE_F, OPTIONAL, QUIET, NULL },
	{ "x_denied_bind", "security_socket_bind", "bind refused by an LSM", MODE_X, OPTIONAL, QUIET, NULL },
	{ "x_denied_bind_enter", "security_socket_bind", "bind refused by an LSM", MODE_X, OPTIONAL, QUIET, NULL },
	{ "f_denied_connect", "security_socket_connect", "connect refused by an LSM", MODE_F, OPTIONAL, QUIET, NULL },
	{ "x_denied_connect", "security_socket_connect", "connect refused by an LSM", MODE_X, OPTIONAL, QUIET, NULL },
	{ "x_denied_connect_enter", "security_socket_connect", "connect refused by an LSM", MODE_X, OPTIONAL,
	  QUIET, NULL },
	{ "f_landlock_check", "current_check_access_socket", "fast open refused by Landlock", MODE_F | RENAMED,
	  OPTIONAL, QUIET, "landlock_log_denial" },
	{ "x_landlock_check", "current_check_access_socket", "fast open refused by Landlock", MODE_X | RENAMED,
	  OPTIONAL, QUIET, "landlock_log_denial" },
	{ "f_landlock", "landlock_log_denial", "fast open refused by Landlock", MODE_F | RENAMED, OPTIONAL,
	  QUIET, NULL },
	{ "x_landlock", "landlock_log_denial", "fast open refused by Landlock", MODE_X | RENAMED, OPTIONAL,
	  QUIET, NULL },
	{ "f_pre_connect4", "tcp_v4_pre_connect", "connect refused by cgroup BPF", MODE_F, OPTIONAL, QUIET, NULL },
	{ "x_pre_connect4", "tcp_v4_pre_connect", "connect refused by cgroup BPF", MODE_X, OPTIONAL, QUIET, NULL },
	{ "x_pre_connect4_enter", "tcp_v4_pre_connect", "connect refused by cgroup BPF", MODE_X, OPTIONAL,
	  QUIET, NULL },
	{ "f_pre_connect6", "tcp_v6_pre_connect", "connect refused by cgroup BPF", MODE_F, OPTIONAL, QUIET, NULL },
	{ "x_pre_connect6", "tcp_v6_pre_connect", "connect refused by cgroup BPF", MODE_X, OPTIONAL, QUIET, NULL },
	{ "x_pre_connect6_enter", "tcp_v6_pre_connect", "connect refused by cgroup BPF", MODE_X, OPTIONAL,
	  QUIET, NULL },
	/* makes the others cheaper, and where it is not there they ask each time */
	{ "f_reserved", "proc_do_large_bitmap", "changes of ip_local_reserved_ports", MODE_F, OPTIONAL, QUIET, NULL },
};
#define TRACING_ROW_COUNT (sizeof(tracing_rows) / sizeof(tracing_rows[0]))
_Static_assert(TRACING_ROW_COUNT <= ATTACH_MAX_PROGRAMS, "attach.programs[] has room for all");

/* The maps that are looked at later. */
enum {
	MAP_ATTEMPTS,
	MAP_CLOSES,
	MAP_ENDS,
	MAP_HOLDERS,
	MAP_CALLS,
	MAP_MARKS,
	MAP_SEARCHES,
	MAP_TABLES,
	MAP_RING = MAP_TABLES,
	MAP_COUNTERS,
	MAP_COUNTS,
	MAP_BSS,
	MAP_COUNT,
};
_Static_assert((int)MAP_TABLES <= ATTACH_MAX_TABLES, "room for all");

/* Programs, links, maps, the primer. */
#define TRACING_FDS (2 * TRACING_ROW_COUNT + MAP_COUNT + 1)
_Static_assert(TRACING_FDS <= ATTACH_MAX_FDS, "all can be handed over");

/* What the backend owns: in the process that has loaded the programs `skel` and `links`, which own the rest; in one
 * that has taken them over `taken` and `bss`. */
struct tracing {
	struct tracing_bpf *skel;
	struct bpf_program *programs[TRACING_ROW_COUNT]; /* NULL = not used; owned by skel */
	struct bpf_link *links[TRACING_ROW_COUNT];
	int primer_fd; /* primer.h; -1 = none */
	bool is_taken;
	int taken[TRACING_FDS];
	int maps[MAP_COUNT];
	struct tracing_bpf__bss *bss; /* shared with the programs */
};

/* What tracing_configure and tracing_select ask for. */
static void tracing_look(struct types *types)
{
	static const char *const functions[] = {
		"inet_csk_accept",  "inet_csk_listen_start",	"bpf_get_socket_ptr_cookie", "security_sock_graft",
		"__seccomp_filter", "bpf_get_current_task_btf", "bpf_task_pt_regs",	"bpf_rdonly_cast",
	};
	static const char *const structs[] = { "proto_accept_arg", "mptcp_sock", "mptcp_subflow_context",
					       "sock",		   "tcp_sock",	 "socket" };

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		types_want_function(types, functions[i]);
	for (size_t i = 0; i < sizeof(structs) / sizeof(structs[0]); i++)
		types_want_struct(types, structs[i]);
	for (size_t i = 0; i < TRACING_ROW_COUNT; i++) {
		types_want_function(types, tracing_rows[i].target);
		types_want_function(types, tracing_rows[i].unless);
	}
	types_want_function(types, TRACING_PRIMED);
	types_want_typedef(types, "btf_trace_inet_sock_set_state");
	types_want_typedef(types, "btf_trace_sched_process_fork");
	types_look(types);
}

/* Do programs of mode X get bpf_rdonly_cast()? Not before 6.2, and not without the JIT: asked with a program. */
static bool tracing_can_cast(const struct types *types)
{
	struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_1 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2 },
		{ .code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_KFUNC_CALL },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	_close_ int fd = -1;

	insns[1].imm = (__s32)types_struct_id(types, "sock");
	insns[2].imm = (__s32)types_function_id(types, "bpf_rdonly_cast");
	if (insns[2].imm)
		fd = bpf_prog_load(BPF_PROG_TYPE_KPROBE, NULL, "Dual BSD/GPL", insns, sizeof(insns) / sizeof(insns[0]),
				   NULL);
	return fd >= 0;
}

/* Writes the kernel's number of bpf_rdonly_cast() into the calls of cast() (bpf/compat.bpf.h). */
static int tracing_patch_casts(struct tracing_bpf *skel, const struct types *types)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, skel->obj) {
		size_t count = bpf_program__insn_cnt(prog);
		_free_ struct bpf_insn *insns = malloc(count * sizeof(*insns));
		int r;

		if (!insns)
			return -ENOMEM;
		memcpy(insns, bpf_program__insns(prog), count * sizeof(*insns));
		for (size_t i = 0; i < count; i++)
			if (insns[i].code == (BPF_JMP | BPF_CALL) && insns[i].imm == CONFIG_CALL_CAST) {
				insns[i].src_reg = BPF_PSEUDO_KFUNC_CALL;
				insns[i].imm = (__s32)types_function_id(types, "bpf_rdonly_cast");
			}
		r = bpf_program__set_insns(prog, insns, count);
		if (r < 0)
			return r;
	}
	return 0;
}

static int tracing_configure_casts(struct tracing_bpf *skel, enum attach_mode mode, const struct types *types)
{
	struct bpf_config *config = (struct bpf_config *)&skel->rodata->config;

	if (mode != ATTACH_MODE_X || !tracing_can_cast(types))
		return 0;
	config->sock_type = types_struct_id(types, "sock");
	config->tcp_sock_type = types_struct_id(types, "tcp_sock");
	config->socket_type = types_struct_id(types, "socket");
	return tracing_patch_casts(skel, types);
}

static void tracing_configure(struct tracing_bpf *skel, const struct attach_options *opts, enum attach_mode mode,
			      const struct types *types)
{
	struct bpf_config *config = (struct bpf_config *)&skel->rodata->config;

	*config = opts->config;
	config->accept_nargs = types_nargs(types, "inet_csk_accept");
	config->accept_err_offset = (__u8)types_offset(types, "proto_accept_arg", "err");
	config->listen_nargs = types_nargs(types, "inet_csk_listen_start");
	config->has_cookie_helper = types_has_function(types, "bpf_get_socket_ptr_cookie");
	config->accept_by_graft = types_has_function(types, "security_sock_graft");
	config->seccomp_nargs = types_nargs(types, "__seccomp_filter");
	config->has_task_btf = types_has_function(types, "bpf_get_current_task_btf");
	config->has_task_regs = types_has_function(types, "bpf_task_pt_regs");
	config->mptcp_first_offset = (__u16)types_offset(types, "mptcp_sock", "first");
	config->mptcp_conn_offset = (__u16)types_offset(types, "mptcp_subflow_context", "conn");
	config->under_cgroup = opts->cgroup_path != NULL && !opts->cgroup_is_place;
	config->selects |= config->under_cgroup || config->follow_pid;
	config->other_cgroups = opts->other_cgroup_count > 0;
	config->counts_connects = true;
	if (opts->ports)
		skel->bss->port_sets = *opts->ports;
	bpf_map__set_max_entries(skel->maps.other_cgroups, (__u32)opts->other_cgroup_count + 1);
	if (!config->follow)
		bpf_map__set_max_entries(skel->maps.followed, 1);
	if (!config->counts)
		bpf_map__set_max_entries(skel->maps.counts, 1);
	if (!config->want_release)
		bpf_map__set_max_entries(skel->maps.holders, 1);
	if (mode != ATTACH_MODE_X)
		bpf_map__set_max_entries(skel->maps.calls, 1);
	if (opts->ring_bytes)
		bpf_map__set_max_entries(skel->maps.ring, opts->ring_bytes);
}

/* Is there an event wanted which says how long this search took? */
static bool tracing_wants_search(const struct tracing_row *row, const struct bpf_config *config)
{
	__u32 wanted = config->kinds ? config->kinds : ~0u;

	if (row->modes & SEARCH_CONNECT)
		return wanted & 1u << RAW_CONNECT;
	return !(row->modes & SEARCH_BIND) || wanted & (1u << RAW_BIND | 1u << RAW_LISTEN);
}

/* Does this run need the row, if the kernel has its function? */
static bool tracing_wants(const struct tracing_row *row, const struct attach_options *opts, const struct attach *at,
			  const struct types *types)
{
	int mode_bit = at->mode == ATTACH_MODE_X ? MODE_X : MODE_F;

	if (!(row->modes & mode_bit) || (row->unless && types_has_function(types, row->unless)))
		return false;
	if (!tracing_wants_search(row, &opts->config) || ((row->modes & FOLLOWS) && !opts->config.follow))
		return false;
	if (row->modes & (opts->config.want_release ? NO_RELEASES : RELEASES))
		return false;
	return opts->seccomp || !(row->modes & SECCOMP);
}

/* Chooses the programs of this mode that the kernel can take. */
static int tracing_select(struct tracing *tr, const struct attach_options *opts, struct attach *at,
			  const struct types *types, char *err, size_t err_size)
{
	for (size_t i = 0; i < TRACING_ROW_COUNT; i++) {
		const struct tracing_row *row = &tracing_rows[i];
		struct bpf_program *prog = bpf_object__find_program_by_name(tr->skel->obj, row->program);
		bool here = !row->target || types_has_function(types, row->target);
		bool wanted = tracing_wants(row, opts, at, types) && (here || !(row->modes & RENAMED));
		bool use = wanted && here;

		at->programs[i] = (struct attach_program){
			.name = row->program,
			.target = row->target ? row->target : row->modes & FOLLOWS ? "sched_process_fork" :
										 "inet_sock_set_state",
			.what = row->what,
			.carries = row->carries == CARRIES,
			.error = wanted && !here ? -ENOENT : 0,
		};
		bpf_program__set_autoload(prog, use);
		tr->programs[i] = use ? prog : NULL;
		if (wanted && !here && row->required) {
			snprintf(err, err_size, "this kernel has no function %s to trace", row->target);
			return -ENOENT;
		}
	}
	at->program_count = TRACING_ROW_COUNT;
	return 0;
}

/* What a refused load means to the person in front of it. */
static void tracing_explain(int r, char *err, size_t err_size)
{
	if (r == -EPERM || r == -EACCES)
		snprintf(err, err_size,
			 "the kernel refuses tracing programs (%s): needs root or CAP_BPF and CAP_PERFMON, and a "
			 "kernel that allows them",
			 strerror(-r));
	else
		snprintf(err, err_size, "the kernel does not take the tracing programs: %s", strerror(-r));
}

static int tracing_put_in(struct tracing *tr, struct attach *at, struct programs *programs, size_t i, char *err,
			  size_t err_size)
{
	struct bpf_program *prog = tr->programs[i];
	int r = programs_load(programs, prog);

	if (r < 0) {
		at->programs[i].error = r;
		tracing_explain(r, err, err_size);
		return r;
	}
	at->program_fds[i] = bpf_program__fd(prog);
	tr->links[i] = bpf_program__attach(prog);
	at->programs[i].attached = tr->links[i];
	if (tr->links[i])
		return 0;
	at->programs[i].error = -errno;
	if (!tracing_rows[i].required)
		return 0;
	snprintf(err, err_size, "cannot attach to %s: %s", at->programs[i].target, strerror(-at->programs[i].error));
	return at->programs[i].error;
}

/* Of what cannot be put in after it has begun to speak, nothing below is put in: it would not be true alone. */
static void tracing_give_up(const struct tracing *tr, struct attach *at, size_t i, int error)
{
	for (; i < TRACING_ROW_COUNT; i++)
		if (tr->programs[i])
			at->programs[i].error = error;
}

/* For f_reserved, which sees what is read. */
static void tracing_read_reserved(void)
{
	_close_ int fd = open("/proc/sys/net/ipv4/ip_local_reserved_ports", O_RDONLY | O_CLOEXEC);
	char text[64];

	if (fd >= 0 && read(fd, text, sizeof(text)) < 0)
		return; /* each event asks, as it does without */
}

static int tracing_attach_all(struct tracing *tr, const struct attach_options *opts, struct attach *at,
			      struct programs *programs, char *err, size_t err_size)
{
	bool begun = false;

	for (size_t i = 0; i < TRACING_ROW_COUNT; i++) {
		int r;

		if (!tr->programs[i])
			continue;
		r = begun && opts->over && *opts->over ? -ECANCELED :
							 tracing_put_in(tr, at, programs, i, err, err_size);
		if (r < 0 && !begun)
			return r;
		if (r < 0) {
			tracing_give_up(tr, at, i, r);
			return 0;
		}
		if (tracing_rows[i].modes & CLOSES)
			*(volatile bool *)&tr->bss->sees_ends = true;
		if (opts->begun && (tracing_rows[i].modes & BEGINS)) {
			opts->begun(opts->begun_arg, at);
			begun = true;
		}
	}
	tracing_read_reserved();
	return 0;
}

/* How many entries of a map `counts` takes; NULL = all. */
static uint64_t tracing_count(int fd, bool (*counts)(const void *key))
{
	union { uint64_t words[2]; char bytes[16]; } key, last;
	bool first = true;
	uint64_t n = 0;

	while (!bpf_map_get_next_key(fd, first ? NULL : &last, &key)) {
		n += !counts || counts(&key);
		last = key;
		first = false;
	}
	return n;
}

static bool tracing_call_is_event(const void *key)
{
	uint64_t fn = *(const uint64_t *)key >> CALL_FN_SHIFT;

	return *(const uint64_t *)key && CALL_IS_EVENT(fn);
}

/* Calls under way whose return is an event: in the map and in the array beside it. */
static uint64_t tracing_calls(const struct tracing *tr)
{
	uint64_t n = tracing_count(tr->maps[MAP_CALLS], tracing_call_is_event);

	for (size_t i = 0; i < NOTES_PLACES; i++)
		n += tracing_call_is_event(&tr->bss->call_keys[i]);
	return n;
}

/* Entries of a table, of which some may stand in an array beside the map. */
static uint64_t tracing_notes(const struct tracing *tr, enum note note)
{
	uint64_t n = 0;

	for (size_t i = 0; i < NOTES_PLACES; i++)
		n += tr->bss->notes[i].count[note];
	return n;
}

static size_t tracing_tables(const struct attach *at, struct attach_table *ret)
{
	static const char *const names[MAP_TABLES] = { "attempts", "closes", "ends",	"holders",
						       "calls",	   "marks",  "searches" };
	const struct tracing *tr = at->state;

	for (size_t i = 0; i < MAP_TABLES; i++)
		ret[i] = (struct attach_table){ names[i], tracing_count(tr->maps[i], NULL) };
	ret[MAP_ATTEMPTS].count = tracing_notes(tr, NOTE_ATTEMPT);
	ret[MAP_CLOSES].count = tracing_notes(tr, NOTE_CLOSE);
	ret[MAP_ENDS].count = tracing_notes(tr, NOTE_END);
	ret[MAP_CALLS].count = tracing_notes(tr, NOTE_CALL);
	ret[MAP_SEARCHES].count += tracing_notes(tr, NOTE_SEARCH);
	return MAP_TABLES;
}

/* Calls that never returned to us, of those whose return is an event, and closes that were not told. */
static uint64_t tracing_leftover(const struct attach *at)
{
	const struct tracing *tr = at->state;

	return tracing_calls(tr) + tracing_notes(tr, NOTE_CLOSE);
}

static void tracing_close(struct attach *at)
{
	struct tracing *tr = at->state;

	if (!tr)
		return;
	for (size_t i = 0; i < TRACING_ROW_COUNT; i++)
		bpf_link__destroy(tr->links[i]);
	cleanup_close(&tr->primer_fd);
	for (size_t i = 0; tr->is_taken && i < TRACING_FDS; i++)
		cleanup_close(&tr->taken[i]);
	if (tr->is_taken)
		munmap(tr->bss, sizeof(*tr->bss));
	tracing_bpf__destroy(tr->skel);
	free(tr);
	at->state = NULL;
}

static int tracing_set_cgroup(struct tracing *tr, const char *path, char *err, size_t err_size)
{
	_close_ int fd = attach_cgroup_open_dir(path);
	uint32_t zero = 0;

	if (fd >= 0 && !bpf_map_update_elem(bpf_map__fd(tr->skel->maps.cgroups), &zero, &fd, BPF_ANY))
		return 0;
	int r = fd < 0 ? fd : -errno;

	snprintf(err, err_size, "%s is no cgroup v2 directory: %s", path, strerror(-r));
	return r;
}

/* With the types that the programs read by in the file `fd`: libbpf finds it by a path, and reads it at the load. */
static int tracing_open_programs(const struct types *types, int fd, struct tracing_bpf **ret)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	opts.btf_custom_path = path;
	*ret = tracing_bpf__open_opts(&opts);
	return *ret ? excerpt_write(types_btf(types), bpf_object__btf((*ret)->obj), fd) : -errno;
}

static int tracing_load(struct tracing *tr, const struct attach_options *opts, struct attach *at,
			const struct types *types, char *err, size_t err_size)
{
	_close_ int fd = memfd_create("porttrace-types", MFD_CLOEXEC);
	int r = fd < 0 ? -errno : tracing_open_programs(types, fd, &tr->skel);

	if (r < 0) {
		snprintf(err, err_size, "cannot open the tracing programs: %s", strerror(-r));
		return r;
	}
	tracing_configure(tr->skel, opts, at->mode, types);
	r = tracing_configure_casts(tr->skel, at->mode, types);
	if (r < 0)
		return r;
	r = tracing_select(tr, opts, at, types, err, err_size);
	if (r < 0)
		return r;
	r = tracing_bpf__load(tr->skel);
	if (r < 0) {
		tracing_explain(r, err, err_size);
		return r;
	}
	r = attach_fill_other_cgroups(opts, bpf_map__fd(tr->skel->maps.other_cgroups));
	if (r < 0) {
		snprintf(err, err_size, "cannot tell the programs which cgroups are left out: %s", strerror(-r));
		return r;
	}
	return opts->cgroup_path ? tracing_set_cgroup(tr, opts->cgroup_path, err, err_size) : 0;
}

static void tracing_adopt(struct tracing *tr)
{
	const struct bpf_map *maps[MAP_COUNT] = {
		[MAP_ATTEMPTS] = tr->skel->maps.attempts, [MAP_CLOSES] = tr->skel->maps.closes,
		[MAP_ENDS] = tr->skel->maps.ends,	  [MAP_HOLDERS] = tr->skel->maps.holders,
		[MAP_CALLS] = tr->skel->maps.calls,	  [MAP_MARKS] = tr->skel->maps.marks,
		[MAP_SEARCHES] = tr->skel->maps.searches, [MAP_RING] = tr->skel->maps.ring,
		[MAP_COUNTERS] = tr->skel->maps.counters, [MAP_COUNTS] = tr->skel->maps.counts,
		[MAP_BSS] = tr->skel->maps.bss,
	};

	for (size_t i = 0; i < MAP_COUNT; i++)
		tr->maps[i] = bpf_map__fd(maps[i]);
	tr->bss = tr->skel->bss;
}

static void tracing_tell(const struct tracing *tr, struct attach *at)
{
	at->armed = &tr->bss->armed;
	at->sleeping = &tr->bss->sleeping;
	at->ring_fd = tr->maps[MAP_RING];
	at->counters_fd = tr->maps[MAP_COUNTERS];
	at->counts_fd = tr->maps[MAP_COUNTS];
	at->count_sets = &tr->bss->count_sets;
}

static void tracing_free_types(struct types **types)
{
	types_close(*types);
}

static void tracing_free_programs(struct programs **programs)
{
	programs_free(*programs);
}

static int tracing_start(struct tracing *tr, const struct attach_options *opts, struct attach *at,
			 const struct types *types, char *err, size_t err_size)
{
	_cleanup_(tracing_free_programs) struct programs *programs = NULL;
	int r = programs_new(types, opts->log, &programs);

	if (r == 0)
		r = tracing_load(tr, opts, at, types, err, err_size);
	if (r < 0)
		return r;
	tracing_adopt(tr);
	tracing_tell(tr, at);
	return tracing_attach_all(tr, opts, at, programs, err, err_size);
}

static bool tracing_lacks(const char *path)
{
	return faccessat(AT_FDCWD, path, F_OK, AT_EACCESS) && errno == ENOENT;
}

/* Classic tracepoints are found through it, and kprobes where the kernel has no perf events of them. */
static int tracing_need_tracefs(const struct attach_options *opts, char *err, size_t err_size)
{
	if (!opts->config.want_release && !tracing_lacks("/sys/bus/event_source/devices/kprobe/type"))
		return 0;
	if (!tracing_lacks("/sys/kernel/tracing/events") || !tracing_lacks("/sys/kernel/debug/tracing/events"))
		return 0;
	snprintf(err, err_size,
		 "tracing this preemptible kernel takes tracefs, which is not mounted: "
		 "mount -t tracefs tracefs /sys/kernel/tracing");
	return -ENOENT;
}

static int tracing_open_types(struct types **ret, char *err, size_t err_size)
{
	int r = types_open(ret);

	if (r == -EOPNOTSUPP)
		snprintf(err, err_size,
			 "this kernel has no BTF (/sys/kernel/btf/vmlinux): it needs CONFIG_DEBUG_INFO_BTF");
	if (r == 0)
		tracing_look(*ret);
	return r;
}

/* What is asked first costs least: another backend may be waiting for the answer. */
static int tracing_open(const struct attach_options *opts, struct attach *at, char *err, size_t err_size)
{
	_cleanup_(tracing_free_types) struct types *types = NULL;
	struct primer primer;
	struct tracing *tr;
	int r;

	if (attach_detect_mode(&at->mode, &at->preemption) < 0)
		at->mode = ATTACH_MODE_X;
	if (opts->mode != ATTACH_MODE_AUTO)
		at->mode = opts->mode;
	r = at->mode == ATTACH_MODE_X ? tracing_need_tracefs(opts, err, err_size) : 0;
	if (r == 0)
		r = tracing_open_types(&types, err, err_size);
	if (r < 0)
		return r;
	tr = calloc(1, sizeof(*tr));
	if (!tr)
		return -ENOMEM;
	tr->primer_fd = -1;
	at->state = tr;
	primer_begin(&primer, at->mode == ATTACH_MODE_F ? types_function_id(types, TRACING_PRIMED) : 0);
	r = tracing_start(tr, opts, at, types, err, err_size);
	tr->primer_fd = primer_end(&primer);
	if (r < 0)
		tracing_close(at);
	return r;
}

static void tracing_give(const struct attach *at, int ret[ATTACH_MAX_FDS])
{
	const struct tracing *tr = at->state;

	for (size_t i = 0; i < TRACING_ROW_COUNT; i++) {
		*ret++ = at->program_fds[i];
		*ret++ = tr->links[i] ? bpf_link__fd(tr->links[i]) : -1;
	}
	memcpy(ret, tr->maps, sizeof(tr->maps));
	ret[MAP_COUNT] = tr->primer_fd;
}

static int tracing_take(struct attach *at, const int fds[ATTACH_MAX_FDS])
{
	const int *maps = fds + 2 * TRACING_ROW_COUNT;
	struct tracing *tr = calloc(1, sizeof(*tr));
	void *bss;

	if (!tr)
		return -ENOMEM;
	bss = mmap(NULL, sizeof(*tr->bss), PROT_READ | PROT_WRITE, MAP_SHARED, maps[MAP_BSS], 0);
	if (bss == MAP_FAILED) {
		int r = -errno;

		free(tr);
		return r;
	}
	*tr = (struct tracing){ .is_taken = true, .bss = bss, .primer_fd = -1 };
	memcpy(tr->taken, fds, sizeof(tr->taken));
	memcpy(tr->maps, maps, sizeof(tr->maps));
	for (size_t i = 0; i < TRACING_ROW_COUNT; i++)
		at->program_fds[i] = fds[2 * i];
	tracing_tell(tr, at);
	at->state = tr;
	return 0;
}

static void tracing_take_rest(struct attach *at, const int fds[ATTACH_MAX_FDS])
{
	struct tracing *tr = at->state;

	for (size_t i = 0; i < TRACING_FDS; i++)
		if (fds[i] >= 0)
			tr->taken[i] = fds[i];
	for (size_t i = 0; i < TRACING_ROW_COUNT; i++)
		at->program_fds[i] = tr->taken[2 * i];
}

const struct attach_ops attach_tracing = {
	.backend = BACKEND_TRACING,
	.open = tracing_open,
	.give = tracing_give,
	.take = tracing_take,
	.take_rest = tracing_take_rest,
	.close = tracing_close,
	.leftover = tracing_leftover,
	.tables = tracing_tables,
};
