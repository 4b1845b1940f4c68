// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The cgroup backend: one link a hook, on one cgroup. Looks before it attaches, so that nobody's program stops. */
#include "attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "cgroup.skel.h"
#include "cleanup.h"
#include "proc.h"

struct cgroup_row {
	const char *program;
	const char *target;
	enum bpf_attach_type type;
	const char *what;
};

static const struct cgroup_row cgroup_rows[] = {
	{ "c_bind4", "bind4", BPF_CGROUP_INET4_BIND, "bind, IPv4" },
	{ "c_bind6", "bind6", BPF_CGROUP_INET6_BIND, "bind, IPv6" },
	{ "c_bound4", "post_bind4", BPF_CGROUP_INET4_POST_BIND, "bind, IPv4" },
	{ "c_bound6", "post_bind6", BPF_CGROUP_INET6_POST_BIND, "bind, IPv6" },
	{ "c_connect4", "connect4", BPF_CGROUP_INET4_CONNECT, "connect, IPv4" },
	{ "c_connect6", "connect6", BPF_CGROUP_INET6_CONNECT, "connect, IPv6" },
	{ "c_ops", "sockops", BPF_CGROUP_SOCK_OPS, "listen, connect results, connections accepted" },
	{ "c_peer4", "getpeername4", BPF_CGROUP_INET4_GETPEERNAME, "accept, IPv4" },
	{ "c_peer6", "getpeername6", BPF_CGROUP_INET6_GETPEERNAME, "accept, IPv6" },
	{ "c_send4", "sendmsg4", BPF_CGROUP_UDP4_SENDMSG, "ports that UDP sockets get by sending, IPv4" },
	{ "c_send6", "sendmsg6", BPF_CGROUP_UDP6_SENDMSG, "ports that UDP sockets get by sending, IPv6" },
	{ "c_release", "sock_release", BPF_CGROUP_INET_SOCK_RELEASE, "close, and what failed before it" },
	/* The last: it takes slots, which c_ops and c_release free. */
	{ "c_create", "sock_create", BPF_CGROUP_INET_SOCK_CREATE, "owners of sockets" },
};
#define CGROUP_ROW_COUNT (sizeof(cgroup_rows) / sizeof(cgroup_rows[0]))
_Static_assert(CGROUP_ROW_COUNT <= ATTACH_MAX_PROGRAMS, "attach.programs[] has room for all");

/* What is kept of the skeleton, beside each row's program and link. */
enum {
	FD_REST, /* the program that tells of closes which wait */
	FD_RING,
	FD_COUNTERS,
	FD_COUNTS,
	FD_CLOSING,
	FD_SLOTS,
	FD_BSS,
	FD_PARENT, /* with a traced command: directory in which its own cgroup was made; the last, see cgroup_close */
	FD_COUNT,
};

struct cgroup_fds { /* -1 = none */
	int programs[CGROUP_ROW_COUNT];
	int links[CGROUP_ROW_COUNT];
	int others[FD_COUNT];
};
#define CGROUP_FDS (sizeof(struct cgroup_fds) / sizeof(int))
_Static_assert(CGROUP_FDS <= ATTACH_MAX_FDS, "all can be handed over");

struct cgroup {
	struct cgroup_fds fds; /* owned */
	struct cgroup_bpf__bss *bss; /* shared with the programs */
};

/* A mount of the hierarchy that no path leads to (fsmount, 5.2). */
static int cgroup_open_unmounted(void)
{
	_close_ int fs = (int)syscall(SYS_fsopen, "cgroup2", 1 /* FSOPEN_CLOEXEC */);
	int fd;

	if (fs < 0 || syscall(SYS_fsconfig, fs, 6 /* FSCONFIG_CMD_CREATE */, NULL, NULL, 0) < 0)
		return -errno;
	fd = (int)syscall(SYS_fsmount, fs, 1 /* FSMOUNT_CLOEXEC */, 0);
	return fd < 0 ? -errno : fd;
}

int attach_cgroup_open_dir(const char *path)
{
	char mounted[PATH_MAX];
	int fd;

	if (!path && !proc_find_mount("cgroup2", mounted, sizeof(mounted)))
		return cgroup_open_unmounted();
	fd = open(path ? path : mounted, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

void attach_cgroup_look(int dir, struct attach_cgroup_others *ret)
{
	*ret = (struct attach_cgroup_others){ 0 };
	for (size_t i = 0; i < CGROUP_ROW_COUNT; i++) {
		__u32 flags = 0, count = 0;

		if (bpf_prog_query(dir, cgroup_rows[i].type, 0, &flags, NULL, &count))
			ret->unknown++;
		ret->programs += count;
		ret->alone += count && !(flags & BPF_F_ALLOW_MULTI);
	}
}

/*
 * -EBUSY if attaching at `dir` would stop another's program: one in an ancestor that allows to be overridden
 * (kernel/bpf/cgroup.c, compute_effective_progs()).
 */
static int cgroup_check_ancestors(int dir)
{
	_close_ int at = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct attach_cgroup_others others;
	struct stat here, above;

	while (at >= 0 && !fstat(at, &here)) {
		int up = openat(at, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (up < 0 || fstat(up, &above) || above.st_dev != here.st_dev || above.st_ino == here.st_ino) {
			cleanup_close(&up);
			return 0;
		}
		close(at);
		at = up;
		attach_cgroup_look(at, &others);
		if (others.alone)
			return -EBUSY;
	}
	return at < 0 ? -errno : 0;
}

/* Moves every process of `from` to `to`, both open cgroup directories. */
static void cgroup_move_all(int from, int to)
{
	int list = openat(from, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	_close_ int procs = openat(to, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	_fclose_ FILE *f = list >= 0 ? fdopen(list, "re") : NULL;
	int pid;

	while (f && procs >= 0 && fscanf(f, "%d", &pid) == 1)
		dprintf(procs, "%d", pid); /* one that has ended meanwhile does not matter */
}

int attach_cgroup_own_path(char *ret, size_t size)
{
	_fclose_ FILE *f = fopen("/proc/self/cgroup", "re");
	char line[4096];

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "0::/", 4)) {
			snprintf(ret, size, "%s", line + 4);
			return 0;
		}
	}
	return -ENOENT;
}

static int cgroup_open_own(int root)
{
	char own[4096];
	int fd = attach_cgroup_own_path(own, sizeof(own));

	if (fd < 0)
		return fd;
	fd = openat(root, own[0] ? own : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Makes a cgroup for the traced command and its children and puts the command there: sockets belong to the cgroup
 * they are created in, so the hooks see just theirs. Returns its directory or -errno. */
static int cgroup_make_own(struct cgroup *cg, struct attach *at, int below, pid_t command)
{
	_close_ int dir = -1;

	snprintf(at->own_cgroup, sizeof(at->own_cgroup), "porttrace-%d", (int)command);
	if (mkdirat(below, at->own_cgroup, 0755) < 0) {
		at->own_cgroup[0] = '\0';
		return -errno;
	}
	cg->fds.others[FD_PARENT] = openat(below, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = openat(below, at->own_cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	_close_ int procs = openat(dir, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	if (procs < 0 || dprintf(procs, "%d", (int)command) < 0)
		return -errno;
	return TAKE_FD(dir);
}

static void cgroup_remove_own(struct attach *at, int parent)
{
	_close_ int dir = -1;

	if (!at->own_cgroup[0])
		return;
	dir = openat(parent, at->own_cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0)
		cgroup_move_all(dir, parent); /* processes that outlive the trace */
	unlinkat(parent, at->own_cgroup, AT_REMOVEDIR);
	at->own_cgroup[0] = '\0';
}

static int cgroup_attach_all(struct cgroup *cg, struct attach *at, int dir, char *err, size_t err_size)
{
	for (size_t i = 0; i < CGROUP_ROW_COUNT; i++) {
		const struct cgroup_row *row = &cgroup_rows[i];

		at->programs[i].name = row->program;
		at->programs[i].target = row->target;
		at->programs[i].what = row->what;
		cg->fds.links[i] = bpf_link_create(cg->fds.programs[i], dir, row->type, NULL);
		if (cg->fds.links[i] < 0) {
			int r = -errno;

			snprintf(err, err_size, "cannot attach to the cgroup's %s hook: %s", row->target, strerror(-r));
			return r;
		}
		at->programs[i].attached = true;
	}
	at->program_count = CGROUP_ROW_COUNT;
	return 0;
}

/* --- closes of connections that are not over yet ---------------------------------------------------------------- */

#define CGROUP_BATCH 256

static uint64_t cgroup_now_ns(void) /* the programs' clock */
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

#define CGROUP_SLOTS (sizeof(((struct cgroup_bpf__bss *)0)->waiting_cookies) / sizeof(__u64))

/* At most CGROUP_BATCH closes that came `older_ns` or more ago; the programs may delete some meanwhile. */
static size_t cgroup_waiting(const struct cgroup *cg, uint64_t older_ns, uint64_t ret[CGROUP_BATCH])
{
	uint64_t now = cgroup_now_ns(), key, *before = NULL;
	int map_fd = cg->fds.others[FD_CLOSING];
	struct raw_event ev;
	size_t n = 0;

	for (size_t i = 0; i < CGROUP_SLOTS && n < CGROUP_BATCH; i++) {
		key = ((volatile __u64 *)cg->bss->waiting_cookies)[i];
		if (key && ((volatile __u64 *)cg->bss->waiting_times)[i] + older_ns <= now)
			ret[n++] = key;
	}
	while (n < CGROUP_BATCH && !bpf_map_get_next_key(map_fd, before, &key)) {
		if (!bpf_map_lookup_elem(map_fd, &key, &ev) && ev.time_ns + older_ns <= now)
			ret[n++] = key;
		before = &key;
	}
	return n;
}

/* The programs tell them, so that all events come one way and are counted in one place. */
static void cgroup_settle(struct attach *at, uint64_t older_ns)
{
	struct cgroup *cg = at->state;
	char packet[64] = { 0 };
	uint64_t keys[CGROUP_BATCH];
	size_t n, told;

	do {
		n = cgroup_waiting(cg, older_ns, keys);
		told = 0;
		for (size_t i = 0; i < n; i++) {
			LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = packet, .data_size_in = sizeof(packet));

			*(volatile __u64 *)&cg->bss->rest_cookie = keys[i];
			told += !bpf_prog_test_run_opts(cg->fds.others[FD_REST], &run);
		}
	} while (told == CGROUP_BATCH);
}

static uint64_t cgroup_leftover(const struct attach *at)
{
	const struct cgroup *cg = at->state;
	int fd = cg->fds.others[FD_CLOSING];
	uint64_t count = 0, key, *before = NULL;

	for (; !bpf_map_get_next_key(fd, before, &key); before = &key)
		count++;
	for (size_t i = 0; i < CGROUP_SLOTS; i++)
		count += ((volatile __u64 *)cg->bss->waiting_cookies)[i] != 0;
	return count;
}

/* Slots that sockets have now. */
static uint64_t cgroup_slots_taken(const struct cgroup *cg)
{
	union {
		struct { /* as struct slot in bpf/cgroup_state.bpf.h begins */
			uint32_t lock;
			uint8_t over, left, reserved[2];
			uint64_t cookie;
		} head;
		char all[1024];
	} slot;
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info);
	uint64_t count = 0;

	if (bpf_obj_get_info_by_fd(cg->fds.others[FD_SLOTS], &info, &size) || info.value_size > sizeof(slot))
		return UINT64_MAX;
	for (uint32_t i = 0; i < info.max_entries; i++)
		count += !bpf_map_lookup_elem(cg->fds.others[FD_SLOTS], &i, &slot) && slot.head.cookie;
	return count;
}

static size_t cgroup_tables(const struct attach *at, struct attach_table *ret)
{
	ret[0] = (struct attach_table){ "closing", cgroup_leftover(at) };
	ret[1] = (struct attach_table){ "slots", cgroup_slots_taken(at->state) };
	return 2;
}

static void cgroup_tell(const struct cgroup *cg, struct attach *at)
{
	at->armed = &cg->bss->armed;
	at->sleeping = &cg->bss->sleeping;
	at->ring_fd = cg->fds.others[FD_RING];
	at->counters_fd = cg->fds.others[FD_COUNTERS];
	at->counts_fd = cg->fds.others[FD_COUNTS];
	at->count_sets = &cg->bss->count_sets;
	memcpy(at->program_fds, cg->fds.programs, sizeof(cg->fds.programs));
}

static void cgroup_give(const struct attach *at, int ret[ATTACH_MAX_FDS])
{
	const struct cgroup *cg = at->state;

	memcpy(ret, &cg->fds, sizeof(cg->fds));
}

static int cgroup_map_bss(struct cgroup *cg)
{
	cg->bss = mmap(NULL, sizeof(*cg->bss), PROT_READ | PROT_WRITE, MAP_SHARED, cg->fds.others[FD_BSS], 0);
	if (cg->bss != MAP_FAILED)
		return 0;
	cg->bss = NULL;
	return -errno;
}

static int cgroup_take(struct attach *at, const int fds[ATTACH_MAX_FDS])
{
	_free_ struct cgroup *cg = calloc(1, sizeof(*cg));
	int r;

	if (!cg)
		return -ENOMEM;
	memcpy(&cg->fds, fds, sizeof(cg->fds));
	r = cgroup_map_bss(cg);
	if (r < 0)
		return r;
	cgroup_tell(cg, at);
	at->state = TAKE_PTR(cg);
	return 0;
}

static void cgroup_close(struct attach *at)
{
	struct cgroup *cg = at->state;
	int *fds = (int *)&cg->fds;

	for (size_t i = 0; i < CGROUP_FDS - 1; i++) /* FD_PARENT is the last: below it the own cgroup goes first */
		cleanup_close(&fds[i]);
	if (cg->bss)
		munmap(cg->bss, sizeof(*cg->bss));
	cgroup_remove_own(at, cg->fds.others[FD_PARENT]);
	cleanup_close(&cg->fds.others[FD_PARENT]);
	free(cg);
	at->state = NULL;
}

/*
 * May sockops programs ask who runs? Tried with a program that does: libbpf_probe_bpf_helper() knows the verifier's
 * words of old, but not "program of this type cannot use helper", and takes that for a yes.
 */
static bool cgroup_has_ops_process(void)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_current_pid_tgid },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_current_uid_gid },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_current_cgroup_id },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_1, .imm = -RAW_COMM_SIZE },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = RAW_COMM_SIZE },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_current_comm },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	_close_ int fd = bpf_prog_load(BPF_PROG_TYPE_SOCK_OPS, "c_probe", "Dual BSD/GPL", program,
				       sizeof(program) / sizeof(program[0]), NULL);

	return fd >= 0;
}

static void cgroup_configure(struct cgroup_bpf *skel, const struct attach_options *opts)
{
	struct bpf_config *config = (struct bpf_config *)&skel->rodata->config;

	*config = opts->config;
	config->has_ops_process = cgroup_has_ops_process();
	config->other_cgroups = opts->other_cgroup_count > 0;
	if (opts->ports)
		skel->bss->port_sets = *opts->ports;
	bpf_map__set_max_entries(skel->maps.other_cgroups, (__u32)opts->other_cgroup_count + 1);
	if (!config->counts)
		bpf_map__set_max_entries(skel->maps.counts, 1);
	if (opts->ring_bytes)
		bpf_map__set_max_entries(skel->maps.ring, opts->ring_bytes);
}

static int cgroup_keep_fd(int fd, int *ret)
{
	*ret = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return *ret < 0 ? -errno : 0;
}

/* The skeleton holds copies of all programs, and is not kept. */
static int cgroup_keep(struct cgroup *cg, const struct cgroup_bpf *skel)
{
	int *others = cg->fds.others, r = 0;

	for (size_t i = 0; i < CGROUP_ROW_COUNT && r == 0; i++) {
		struct bpf_program *prog = bpf_object__find_program_by_name(skel->obj, cgroup_rows[i].program);

		r = cgroup_keep_fd(bpf_program__fd(prog), &cg->fds.programs[i]);
	}
	r = r < 0 ? r : cgroup_keep_fd(bpf_program__fd(skel->progs.c_rest), &others[FD_REST]);
	r = r < 0 ? r : cgroup_keep_fd(bpf_map__fd(skel->maps.ring), &others[FD_RING]);
	r = r < 0 ? r : cgroup_keep_fd(bpf_map__fd(skel->maps.counters), &others[FD_COUNTERS]);
	r = r < 0 ? r : cgroup_keep_fd(bpf_map__fd(skel->maps.counts), &others[FD_COUNTS]);
	r = r < 0 ? r : cgroup_keep_fd(bpf_map__fd(skel->maps.closing), &others[FD_CLOSING]);
	r = r < 0 ? r : cgroup_keep_fd(bpf_map__fd(skel->maps.slots), &others[FD_SLOTS]);
	r = r < 0 ? r : cgroup_keep_fd(bpf_map__fd(skel->maps.bss), &others[FD_BSS]);
	return r < 0 ? r : cgroup_map_bss(cg);
}

static void cgroup_destroy(struct cgroup_bpf **skel)
{
	cgroup_bpf__destroy(*skel);
}

static int cgroup_load(struct cgroup *cg, const struct attach_options *opts, char *err, size_t err_size)
{
	_cleanup_(cgroup_destroy) struct cgroup_bpf *skel = cgroup_bpf__open();
	int r;

	if (!skel) {
		r = -errno;
		snprintf(err, err_size, "cannot open the cgroup programs: %s", strerror(-r));
		return r;
	}
	cgroup_configure(skel, opts);
	r = cgroup_bpf__load(skel);
	if (r == 0)
		r = attach_fill_other_cgroups(opts, bpf_map__fd(skel->maps.other_cgroups));
	if (r == 0)
		r = cgroup_keep(cg, skel);
	if (r < 0)
		snprintf(err, err_size,
			 "the kernel refuses cgroup programs (%s): needs root, or CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON",
			 strerror(-r));
	return r;
}

/* Where to attach: --cgroup, or the root; with a command a new cgroup of its own there, or below ours. */
static int cgroup_open_target(struct cgroup *cg, struct attach *at, const struct attach_options *opts)
{
	_close_ int given = attach_cgroup_open_dir(opts->cgroup_path), self = -1;

	if (given < 0 || !opts->config.follow_pid)
		return given < 0 ? given : TAKE_FD(given);
	if (opts->cgroup_path)
		return cgroup_make_own(cg, at, given, (pid_t)opts->config.follow_pid);
	self = cgroup_open_own(given);
	return self < 0 ? self : cgroup_make_own(cg, at, self, (pid_t)opts->config.follow_pid);
}

static int cgroup_start(struct cgroup *cg, const struct attach_options *opts, struct attach *at, char *err,
			size_t err_size)
{
	_close_ int dir = cgroup_open_target(cg, at, opts);
	int r;

	if (dir < 0) {
		snprintf(err, err_size, "cannot use the cgroup %s: %s",
			 opts->cgroup_path ? opts->cgroup_path : "v2 hierarchy", strerror(-dir));
		return dir;
	}
	r = cgroup_check_ancestors(dir);
	if (r < 0) {
		snprintf(err, err_size,
			 "a cgroup above holds a BPF program that attaching here would switch off: attach at the root");
		return r;
	}
	r = cgroup_load(cg, opts, err, err_size);
	return r < 0 ? r : cgroup_attach_all(cg, at, dir, err, err_size);
}

static int cgroup_open(const struct attach_options *opts, struct attach *at, char *err, size_t err_size)
{
	struct cgroup *cg = calloc(1, sizeof(*cg));
	int r;

	if (!cg)
		return -ENOMEM;
	memset(&cg->fds, -1, sizeof(cg->fds));
	at->state = cg;
	r = cgroup_start(cg, opts, at, err, err_size);
	if (r < 0) {
		cgroup_close(at);
		return r;
	}
	cgroup_tell(cg, at);
	return 0;
}

const struct attach_ops attach_cgroup = {
	.backend = BACKEND_CGROUP,
	.open = cgroup_open,
	.give = cgroup_give,
	.take = cgroup_take,
	.close = cgroup_close,
	.settle = cgroup_settle,
	.leftover = cgroup_leftover,
	.tables = cgroup_tables,
	.blind_spots = "the errno of failed binds and of connects that fail at once, failed accepts, the local port "
		       "and result of UDP connects, what broke a connection, most socket options, how long the kernel "
		       "looked for a port, the end of a process, sockets that were there before",
};
