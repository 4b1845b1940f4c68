// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "proc.h"

/* Of Linux 5.8; older headers do not have them. */
#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#define CAP_BPF 39
#endif

const char *const kernel_status_names[KERNEL_STATUS_COUNT] = {
	[KERNEL_OK] = "ok",
	[KERNEL_LIMITED] = "limited",
	[KERNEL_MISSING] = "missing",
};

/* One row: what to look at. `arg` is the function's own. */
struct kernel_probe {
	const char *id, *what;
	void (*look)(const struct kernel *k, int arg, struct kernel_finding *f);
	int arg;
};

__attribute__((format(printf, 3, 4))) static void
kernel_say(struct kernel_finding *f, enum kernel_status status, const char *format, ...)
{
	va_list args;

	f->status = status;
	va_start(args, format);
	vsnprintf(f->detail, sizeof(f->detail), format, args);
	va_end(args);
}

static void kernel_mend(struct kernel_finding *f, const char *remedy)
{
	snprintf(f->remedy, sizeof(f->remedy), "%s", remedy);
}

/* ---- rights ---- */

static bool kernel_can(const struct kernel *k, int cap)
{
	return !k->in_user_namespace && k->caps >> cap & 1;
}

/* CAP_SYS_ADMIN includes what CAP_BPF and CAP_PERFMON were split off from. */
static bool kernel_may(const struct kernel *k, int cap)
{
	return kernel_can(k, cap) ||
	       ((cap == CAP_BPF || cap == CAP_PERFMON) && kernel_can(k, CAP_SYS_ADMIN));
}

static void kernel_read_rights(struct kernel *k)
{
	char text[4096];
	const char *line;

	if (proc_read(AT_FDCWD, "/proc/self/status", text, sizeof(text)) > 0 &&
	    (line = strstr(text, "\nCapEff:")))
		sscanf(line, "\nCapEff: %" SCNx64, &k->caps);
	if (proc_read(AT_FDCWD, "/proc/self/uid_map", text, sizeof(text)) > 0)
		k->in_user_namespace = strstr(text, "4294967295") == NULL;
}

static void kernel_mend_rights(const struct kernel *k, struct kernel_finding *f)
{
	if (k->in_user_namespace)
		kernel_mend(f, "run it outside of the user namespace (rootless container)");
	else if (geteuid())
		kernel_mend(f, "run it as root: sudo porttrace");
	else
		kernel_mend(
			f,
			"give the container the right: --cap-add BPF --cap-add PERFMON --cap-add "
			"NET_ADMIN --cap-add SYS_PTRACE (docker, podman)");
}

/* ---- trials ---- */

static FILE *kernel_new_log(void)
{
	int fd = memfd_create("porttrace-log", MFD_CLOEXEC);

	return fd < 0 ? NULL : fdopen(fd, "w+");
}

/* The line of libbpf's log that names the program, else the first. */
static void kernel_keep_log(struct kernel_trial *trial, FILE *log)
{
	char line[sizeof(trial->log)], *program = NULL;

	rewind(log);
	while (!program && fgets(line, sizeof(line), log)) {
		program = strstr(line, "libbpf: prog '");
		line[strcspn(line, "\n")] = '\0';
		if (program || !trial->log[0])
			snprintf(trial->log, sizeof(trial->log), "%s", program ? program : line);
	}
}

static void kernel_try(struct kernel_trial *trial, const char *cgroup_path)
{
	struct attach_options opts = { .backend = trial->backend,
				       .mode = trial->mode,
				       .cgroup_path = cgroup_path };
	_free_ struct attach *at = calloc(1, sizeof(*at));
	_fclose_ FILE *log = kernel_new_log();

	opts.log = log;
	if (!at || !opts.log) {
		trial->error = -ENOMEM;
		return;
	}
	trial->error = attach_open(&opts, at, trial->why, sizeof(trial->why));
	trial->program_count = at->program_count;
	memcpy(trial->programs, at->programs, sizeof(trial->programs));
	attach_close(at);
	libbpf_set_print(NULL); /* it knows the log that ends here */
	if (trial->error < 0)
		kernel_keep_log(trial, log);
}

/* Makes an empty cgroup below our own. Its directory, or -errno; the parent's in *ret_parent. */
static int kernel_make_cgroup(struct kernel *k, const char *name, int *ret_parent)
{
	_close_ int root = attach_cgroup_open_dir(NULL), parent = -1;
	char own[sizeof(k->cgroup_at) - 64] = "";
	int fd, r;

	if (root < 0)
		return root;
	r = attach_cgroup_own_path(own, sizeof(own));
	if (r < 0)
		return r;
	snprintf(k->cgroup_at, sizeof(k->cgroup_at), "/%s%s%s", own, own[0] ? "/" : "", name);
	parent = openat(root, own[0] ? own : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0 || mkdirat(parent, name, 0755) < 0)
		return -errno;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		r = -errno;
		unlinkat(parent, name, AT_REMOVEDIR);
		return r;
	}
	*ret_parent = TAKE_FD(parent);
	return fd;
}

/* In a cgroup that holds nobody: what other programs do and see stays as it is. */
static void kernel_try_cgroup(struct kernel *k)
{
	struct kernel_trial *trial = &k->trials[KERNEL_TRIAL_CGROUP];
	_close_ int parent = -1, dir = -1;
	char name[48], path[64];

	snprintf(name, sizeof(name), "porttrace-doctor-%d", (int)getpid());
	dir = kernel_make_cgroup(k, name, &parent);
	if (dir < 0) {
		trial->error = dir;
		snprintf(trial->why, sizeof(trial->why),
			 "cannot make a cgroup to try it in (%s): %s",
			 k->cgroup_at[0] ? k->cgroup_at : "cgroup v2", strerrordesc_np(-dir));
		return;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", dir);
	kernel_try(trial, path);
	unlinkat(parent, name, AT_REMOVEDIR);
}

static void kernel_try_all(struct kernel *k)
{
	sigset_t ending, before;

	/* Ctrl-C waits until the cgroup is gone. */
	sigemptyset(&ending);
	sigaddset(&ending, SIGINT);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGHUP);
	sigprocmask(SIG_BLOCK, &ending, &before);
	k->trials[KERNEL_TRIAL_F].mode = ATTACH_MODE_F;
	k->trials[KERNEL_TRIAL_X].mode = ATTACH_MODE_X;
	k->trials[KERNEL_TRIAL_CGROUP].backend = BACKEND_CGROUP;
	k->trials[KERNEL_TRIAL_CGROUP].blind_spots = attach_cgroup.blind_spots;
	kernel_try(&k->trials[KERNEL_TRIAL_F], NULL);
	kernel_try(&k->trials[KERNEL_TRIAL_X], NULL);
	kernel_try_cgroup(k);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static const struct kernel_trial *kernel_best_tracing(const struct kernel *k)
{
	return &k->trials[k->mode == ATTACH_MODE_X ? KERNEL_TRIAL_X : KERNEL_TRIAL_F];
}

/* As attach_open() does with any_backend. */
static void kernel_choose(struct kernel *k)
{
	const struct kernel_trial *tracing = kernel_best_tracing(k);
	const struct kernel_trial *cgroup = &k->trials[KERNEL_TRIAL_CGROUP];

	k->chosen = tracing->error == 0 ? tracing : cgroup->error == 0 ? cgroup : NULL;
}

/* ---- probes ---- */

static bool kernel_older(const struct kernel *k, unsigned int major, unsigned int minor)
{
	unsigned int a = 0, b = 0;

	return sscanf(k->uts.release, "%u.%u", &a, &b) == 2 &&
	       (a < major || (a == major && b < minor));
}

static void kernel_look_release(const struct kernel *k, int arg, struct kernel_finding *f)
{
	(void)arg;
	if (!kernel_older(k, 5, 10)) {
		kernel_say(f, KERNEL_OK, "%s", k->uts.release);
		return;
	}
	kernel_say(f, KERNEL_LIMITED, "%s: porttrace is tested from 5.10 on", k->uts.release);
	kernel_mend(f, "boot a newer kernel");
}

static void kernel_look_machine(const struct kernel *k, int arg, struct kernel_finding *f)
{
	bool known = !strcmp(k->uts.machine, "x86_64") || !strcmp(k->uts.machine, "aarch64");

	(void)arg;
	kernel_say(f, known ? KERNEL_OK : KERNEL_LIMITED, "%s%s", k->uts.machine,
		   known ? "" : ": porttrace is made for x86_64 and aarch64");
}

static void kernel_look_btf(const struct kernel *k, int arg, struct kernel_finding *f)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int r = -errno;

	(void)k;
	(void)arg;
	if (btf) {
		kernel_say(f, KERNEL_OK, "there, %u types", btf__type_cnt(btf));
		btf__free(btf);
		return;
	}
	kernel_say(f, KERNEL_MISSING,
		   "cannot be read: %s. The tracing backend needs it, the cgroup backend does not",
		   strerrordesc_np(-r));
	kernel_mend(f, "boot a kernel built with CONFIG_DEBUG_INFO_BTF "
		       "(check: ls /sys/kernel/btf/vmlinux)");
}

struct kernel_right {
	int cap;
	enum kernel_status without;
	const char *effect;
};

static const struct kernel_right kernel_rights[] = {
	{ CAP_BPF, KERNEL_MISSING, "loads BPF programs" },
	{ CAP_PERFMON, KERNEL_MISSING, "lets them trace the kernel and read process names" },
	{ CAP_NET_ADMIN, KERNEL_MISSING, "attaches the cgroup backend; tracing works without" },
	{ CAP_SYS_PTRACE, KERNEL_LIMITED,
	  "shows program path, container and sockets of other users' processes" },
	{ CAP_SYS_ADMIN, KERNEL_LIMITED, "reads the port settings of other network namespaces" },
};

static void kernel_look_right(const struct kernel *k, int arg, struct kernel_finding *f)
{
	const struct kernel_right *right = &kernel_rights[arg];

	if (kernel_may(k, right->cap)) {
		kernel_say(f, KERNEL_OK, "held: %s%s", right->effect,
			   kernel_can(k, right->cap) ? "" : " (by CAP_SYS_ADMIN)");
		return;
	}
	kernel_say(f, right->without, "not held%s: it %s",
		   k->in_user_namespace ? " outside of this user namespace" : "", right->effect);
	kernel_mend_rights(k, f);
}

/* First line of a file, without its newline; "" if it cannot be read. */
static void kernel_read_line(const char *path, char *ret, size_t size)
{
	if (proc_read(AT_FDCWD, path, ret, size) < 0)
		ret[0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
}

static void kernel_look_unprivileged(const struct kernel *k, int arg, struct kernel_finding *f)
{
	char value[16];

	(void)k;
	(void)arg;
	kernel_read_line("/proc/sys/kernel/unprivileged_bpf_disabled", value, sizeof(value));
	kernel_say(f, KERNEL_OK, "%s (porttrace needs its rights either way)",
		   !value[0]	     ? "unknown"
		   : value[0] == '0' ? "not restricted"
				     : "only with CAP_BPF");
}

static void kernel_look_lockdown(const struct kernel *k, int arg, struct kernel_finding *f)
{
	char value[128], *chosen;

	(void)k;
	(void)arg;
	kernel_read_line("/sys/kernel/security/lockdown", value, sizeof(value));
	chosen = strchr(value, '[');
	if (chosen)
		chosen[strcspn(chosen, "]")] = '\0';
	kernel_say(f, KERNEL_OK, "%s (for information: what loads is found by trying)",
		   chosen ? chosen + 1 : "not readable here");
}

/* Before 5.11 maps are charged against it. */
static bool kernel_lacks_memlock(const struct kernel *k)
{
	struct rlimit limit = { 0, 0 };

	getrlimit(RLIMIT_MEMLOCK, &limit);
	return kernel_older(k, 5, 11) && limit.rlim_cur != RLIM_INFINITY;
}

static void kernel_look_memlock(const struct kernel *k, int arg, struct kernel_finding *f)
{
	struct rlimit limit = { 0, 0 };

	(void)arg;
	if (!kernel_older(k, 5, 11)) {
		kernel_say(f, KERNEL_OK, "not needed: this kernel does not limit BPF memory by it");
		return;
	}
	if (!kernel_lacks_memlock(k)) {
		kernel_say(f, KERNEL_OK, "unlimited, as this kernel needs it");
		return;
	}
	getrlimit(RLIMIT_MEMLOCK, &limit);
	kernel_say(f, KERNEL_MISSING, "%llu KiB: too little for the buffers on this kernel",
		   (unsigned long long)limit.rlim_cur / 1024);
	if (!kernel_may(k, CAP_BPF)) /* root's porttrace raises it itself */
		kernel_mend_rights(k, f);
	else
		kernel_mend(f, "ulimit -l unlimited (in a unit: LimitMEMLOCK=infinity)");
}

static void kernel_look_jit(const struct kernel *k, int arg, struct kernel_finding *f)
{
	char value[16];

	(void)k;
	(void)arg;
	kernel_read_line("/proc/sys/net/core/bpf_jit_enable", value, sizeof(value));
	if (value[0] == '0') {
		kernel_say(f, KERNEL_LIMITED, "off: each event costs the traced programs far more");
		kernel_mend(f, "sudo sysctl net.core.bpf_jit_enable=1");
		return;
	}
	kernel_say(f, KERNEL_OK, "%s", value[0] ? "on" : "not readable here");
}

/* What --cost switches on for as long as it runs. */
static void kernel_look_stats(const struct kernel *k, int arg, struct kernel_finding *f)
{
	char value[16];

	(void)arg;
	kernel_read_line("/proc/sys/kernel/bpf_stats_enabled", value, sizeof(value));
	if (value[0] == '1') {
		kernel_say(f, KERNEL_LIMITED, "on: the kernel reads the clock twice for each run of any BPF program");
		kernel_mend(f, "sudo sysctl kernel.bpf_stats_enabled=0; porttrace --cost does without");
		return;
	}
	kernel_say(f, KERNEL_OK, "off; porttrace --cost %s",
		   kernel_can(k, CAP_SYS_ADMIN) ? "measures while it runs" : "cannot measure it without CAP_SYS_ADMIN");
}

static void kernel_look_preemption(const struct kernel *k, int arg, struct kernel_finding *f)
{
	bool guessed = !kernel_may(k, CAP_BPF) && strstr(k->uts.version, "PREEMPT_DYNAMIC");

	(void)arg;
	if (guessed) {
		kernel_say(f, KERNEL_LIMITED, "set at boot, and not readable without CAP_BPF");
		kernel_mend_rights(k, f);
		return;
	}
	kernel_say(f, KERNEL_OK, "%s: the tracing backend attaches in %s", k->preemption,
		   k->mode == ATTACH_MODE_X ? "mode X (kprobe)" : "mode F (fentry)");
}

/* Where a file system of this type is mounted. */

static void kernel_look_cgroup2(const struct kernel *k, int arg, struct kernel_finding *f)
{
	_close_ int root = attach_cgroup_open_dir(NULL);
	char at[256];

	(void)k;
	(void)arg;
	if (root >= 0 && proc_find_mount("cgroup2", at, sizeof(at)))
		kernel_say(f, KERNEL_OK, "mounted at %s", at);
	else if (root >= 0)
		kernel_say(f, KERNEL_OK, "not mounted; porttrace reaches it without");
	else {
		kernel_say(f, KERNEL_MISSING, "not mounted, and not to be reached without: %s",
			   strerrordesc_np(-root));
		kernel_mend(
			f,
			"sudo mount -t cgroup2 none /sys/fs/cgroup (or another empty directory)");
	}
}

/* libbpf's two ways to place a kprobe, the newer first. */
static bool kernel_has_perf_kprobes(void)
{
	return !access("/sys/bus/event_source/devices/kprobe/type", F_OK);
}

static bool kernel_has_kprobes(void)
{
	return kernel_has_perf_kprobes() || !access("/sys/kernel/tracing/kprobe_events", F_OK) ||
	       !access("/sys/kernel/debug/tracing/kprobe_events", F_OK);
}

static void kernel_look_kprobes(const struct kernel *k, int arg, struct kernel_finding *f)
{
	bool needed = k->mode == ATTACH_MODE_X;

	(void)arg;
	if (kernel_has_kprobes()) {
		kernel_say(f, KERNEL_OK, "there, for mode X");
		return;
	}
	kernel_say(f, needed ? KERNEL_MISSING : KERNEL_OK,
		   "not in this kernel; mode X%s needs them",
		   needed ? ", which its preemption calls for," : "");
	if (needed)
		kernel_mend(f, "boot a kernel built with CONFIG_KPROBE_EVENTS; the cgroup backend "
			       "needs none");
}

static bool kernel_has_tracefs(char *ret_at, size_t size)
{
	return proc_find_mount("tracefs", ret_at, size) ||
	       proc_find_mount("debugfs", ret_at, size);
}

#define KERNEL_MOUNT_TRACEFS "sudo mount -t tracefs tracefs /sys/kernel/tracing"

static void kernel_look_tracefs(const struct kernel *k, int arg, struct kernel_finding *f)
{
	bool needed = k->mode == ATTACH_MODE_X && kernel_has_kprobes() && !kernel_has_perf_kprobes();
	char at[256];

	(void)arg;
	if (kernel_has_tracefs(at, sizeof(at))) {
		kernel_say(f, KERNEL_OK, "mounted at %s", at);
		return;
	}
	kernel_say(f, needed ? KERNEL_MISSING : KERNEL_OK,
		   "not mounted; only mode X needs it, to tell when ports are given back");
	if (needed)
		kernel_mend(f, KERNEL_MOUNT_TRACEFS);
}

/* Asks only; nothing is attached to the root here. */
static void kernel_look_others(const struct kernel *k, int arg, struct kernel_finding *f)
{
	_close_ int root = attach_cgroup_open_dir(NULL);
	struct attach_cgroup_others others;

	(void)arg;
	attach_cgroup_look(root, &others);
	if (others.alone) {
		kernel_say(f, KERNEL_LIMITED,
			   "%zu that let no other program be attached beside them", others.alone);
		kernel_mend(f, "see which: sudo bpftool cgroup tree. Or trace below: porttrace "
			       "--cgroup PATH");
	} else if (others.unknown) {
		kernel_say(f, KERNEL_LIMITED, "cannot be asked for");
		kernel_mend_rights(k, f);
	} else if (others.programs) {
		kernel_say(f, KERNEL_OK,
			   "%zu; the cgroup backend sees addresses as they leave them",
			   others.programs);
	} else {
		kernel_say(f, KERNEL_OK, "none");
	}
}

/* Refused although everything that it takes is held: nothing that a command would change. */
static bool kernel_is_policy(const struct kernel *k, const struct kernel_trial *trial)
{
	int second = trial->backend == BACKEND_CGROUP ? CAP_NET_ADMIN : CAP_PERFMON;

	return (trial->error == -EPERM || trial->error == -EACCES) && kernel_may(k, CAP_BPF) &&
	       kernel_may(k, second);
}

static void kernel_mend_trial(const struct kernel *k, const struct kernel_trial *trial,
			      struct kernel_finding *f)
{
	bool kprobes = trial->backend == BACKEND_TRACING && trial->mode == ATTACH_MODE_X;
	char at[256];

	if (kprobes && trial->error == -ENOENT && !kernel_has_kprobes())
		kernel_mend(f, "none here: see kprobes");
	else if (kprobes && trial->error == -ENOENT && !kernel_has_tracefs(at, sizeof(at)))
		kernel_mend(f, KERNEL_MOUNT_TRACEFS);
	else if (trial->error == -EPERM && kernel_may(k, CAP_BPF) && kernel_lacks_memlock(k))
		kernel_mend(f, "see memory lock limit");
	else if (kernel_is_policy(k, trial))
		kernel_mend(
			f, "none from here: all rights are held, and the kernel's own policy (or a "
			   "container's seccomp profile) refuses");
	else if (trial->error == -EPERM || trial->error == -EACCES)
		kernel_mend_rights(k, f);
	else
		kernel_mend(f, "send the output of: sudo porttrace doctor --json");
}

static size_t kernel_count(const struct kernel_trial *trial, bool attached)
{
	size_t n = 0;

	for (size_t i = 0; i < trial->program_count; i++)
		n += attached ? trial->programs[i].attached : trial->programs[i].error != 0;
	return n;
}

static void kernel_look_trial(const struct kernel *k, int arg, struct kernel_finding *f)
{
	const struct kernel_trial *trial = &k->trials[arg];
	bool spare = arg != KERNEL_TRIAL_CGROUP && trial != kernel_best_tracing(k);
	size_t attached = kernel_count(trial, true), absent = kernel_count(trial, false);

	if (trial->error < 0) {
		kernel_say(f, spare ? KERNEL_LIMITED : KERNEL_MISSING, "%s", trial->why);
		kernel_mend_trial(k, trial, f);
	} else if (absent) {
		kernel_say(f, KERNEL_OK,
			   "works: %zu programs attach; %zu hooks are not in this kernel", attached,
			   absent);
	} else {
		kernel_say(f, KERNEL_OK, "works: all %zu programs attach", attached);
	}
}

/* Protocols beside TCP and UDP: a file, or a line of one, that is there where the kernel has them. */
static const struct {
	const char *path, *line;
	const char *there, *absent;
} kernel_protocols[] = {
	{ "/proc/sys/net/mptcp/enabled", NULL, "traced",
	  "not in this kernel" },
	{ "/proc/net/snmp", "UdpLite:", "traced, as UDP with protocol number 136", "not in this kernel" },
	{ "/proc/sys/net/sctp", NULL, "loaded, but not traced", "not loaded; porttrace does not trace it" },
};

static bool kernel_file_has(const char *path, const char *line_start)
{
	_fclose_ FILE *file = fopen(path, "re");
	char line[512];
	bool has = false;

	while (file && !has && fgets(line, sizeof(line), file))
		has = !strncmp(line, line_start, strlen(line_start));
	return has;
}

static void kernel_look_protocol(const struct kernel *k, int arg, struct kernel_finding *f)
{
	const char *path = kernel_protocols[arg].path, *line = kernel_protocols[arg].line;
	bool there = line ? kernel_file_has(path, line) : !access(path, F_OK);

	(void)k;
	kernel_say(f, KERNEL_OK, "%s", there ? kernel_protocols[arg].there : kernel_protocols[arg].absent);
}

/* The order is that of the report. */
static const struct kernel_probe kernel_probes[] = {
	{ "release", "kernel", kernel_look_release, 0 },
	{ "machine", "architecture", kernel_look_machine, 0 },
	{ "btf", "kernel type information (BTF)", kernel_look_btf, 0 },
	{ "jit", "BPF compiler", kernel_look_jit, 0 },
	{ "bpf_stats", "cost of BPF programs", kernel_look_stats, 0 },
	{ "memlock", "memory lock limit", kernel_look_memlock, 0 },
	{ "unprivileged_bpf", "BPF without rights", kernel_look_unprivileged, 0 },
	{ "lockdown", "lockdown", kernel_look_lockdown, 0 },
	{ "preemption", "preemption", kernel_look_preemption, 0 },
	{ "kprobes", "kprobes", kernel_look_kprobes, 0 },
	{ "tracefs", "tracefs", kernel_look_tracefs, 0 },
	{ "cgroup2", "cgroup v2", kernel_look_cgroup2, 0 },
	{ "cgroup_others", "others' programs at its root", kernel_look_others, 0 },
	{ "cap_bpf", "CAP_BPF", kernel_look_right, 0 },
	{ "cap_perfmon", "CAP_PERFMON", kernel_look_right, 1 },
	{ "cap_net_admin", "CAP_NET_ADMIN", kernel_look_right, 2 },
	{ "cap_sys_ptrace", "CAP_SYS_PTRACE", kernel_look_right, 3 },
	{ "cap_sys_admin", "CAP_SYS_ADMIN", kernel_look_right, 4 },
	{ "tracing_f", "tracing backend, mode F", kernel_look_trial, KERNEL_TRIAL_F },
	{ "tracing_x", "tracing backend, mode X", kernel_look_trial, KERNEL_TRIAL_X },
	{ "cgroup", "cgroup backend", kernel_look_trial, KERNEL_TRIAL_CGROUP },
	{ "mptcp", "MPTCP", kernel_look_protocol, 0 },
	{ "udplite", "UDP-Lite", kernel_look_protocol, 1 },
	{ "sctp", "SCTP", kernel_look_protocol, 2 },
};
#define KERNEL_PROBE_COUNT (sizeof(kernel_probes) / sizeof(kernel_probes[0]))
_Static_assert(KERNEL_PROBE_COUNT <= KERNEL_MAX_FINDINGS, "findings[] has room for all");

void kernel_check(struct kernel *ret)
{
	struct kernel *k = ret;

	memset(k, 0, sizeof(*k));
	libbpf_set_print(NULL); /* refusals are results here */
	uname(&k->uts);
	kernel_read_rights(k);
	if (attach_detect_mode(&k->mode, &k->preemption) < 0) {
		k->mode = ATTACH_MODE_X;
		k->preemption = "unknown";
	}
	kernel_try_all(k);
	kernel_choose(k);
	for (size_t i = 0; i < KERNEL_PROBE_COUNT; i++) {
		struct kernel_finding *f = &k->findings[k->finding_count++];

		f->id = kernel_probes[i].id;
		f->what = kernel_probes[i].what;
		kernel_probes[i].look(k, kernel_probes[i].arg, f);
	}
}
