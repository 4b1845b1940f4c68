// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Calls that are denied: by Landlock, by a program on a cgroup, by a seccomp filter. */
#define _GNU_SOURCE
#include <sys/utsname.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "workload.h"

/* ---- Landlock, by its system calls ---- */

#define LANDLOCK_CREATE_RULESET 444
#define LANDLOCK_RESTRICT_SELF 446
#define LANDLOCK_BIND_TCP 1ULL
#define LANDLOCK_CONNECT_TCP 2ULL

static int landlock(uint64_t net)
{
	struct {
		uint64_t fs, net;
	} attr = { .net = net };
	int fd = syscall(LANDLOCK_CREATE_RULESET, &attr, sizeof(attr), 0);

	if (fd < 0)
		return -errno;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(LANDLOCK_RESTRICT_SELF, fd, 0))
		return -errno;
	close(fd);
	return 0;
}

/* Asked before anything is done: a scenario that skips itself leaves nothing to compare. */
static bool have_landlock(void)
{
	return syscall(LANDLOCK_CREATE_RULESET, NULL, 0, 1) >= 4;
}

#define NO_LANDLOCK "the kernel has no Landlock rules for the network"

/* A denied bind; UDP is not Landlock's business. */
static int landlock_bind(void *arg)
{
	const struct variant *v = arg;
	struct sock *s = s_open(v->family, SOCK_STREAM), *u = s_open(v->family, SOCK_DGRAM);

	WANT(s && u);
	WANT(landlock(LANDLOCK_BIND_TCP) == 0);
	s->cause = "denied";
	WANT(s_bind(s, v->ip, next_port()) == -EACCES);
	WANT(s_bind(u, v->ip, next_port()) == 0);
	return 0;
}

/* Kernels before 7.x let it pass. */
static int landlock_fastopen(void *arg)
{
	const struct variant *v = arg;
	struct sock *l = s_listener(v->family, v->ip, 3), *c = s_open(v->family, SOCK_STREAM);
	int rc;

	WANT(l && c);
	WANT(landlock(LANDLOCK_CONNECT_TCP) == 0);
	c->cause = "denied";
	rc = s_fastopen(c, v->ip, l->local.port);
	WANT(rc == -EACCES || rc == 0);
	return 0;
}

static int landlock_connect(void *arg)
{
	const struct variant *v = arg;
	struct sock *l = s_listener(v->family, v->ip, 3), *c = s_open(v->family, SOCK_STREAM);

	WANT(l && c);
	WANT(landlock(LANDLOCK_CONNECT_TCP) == 0);
	c->cause = "denied";
	WANT(s_connect(c, v->ip, l->local.port) == -EACCES);
	return 0;
}

static int denied_bind(const struct variant *v)
{
	if (!have_landlock())
		return sc_skip(NO_LANDLOCK);
	return reap(spawn(landlock_bind, (void *)v));
}

static int denied_connect(const struct variant *v)
{
	if (!have_landlock())
		return sc_skip(NO_LANDLOCK);
	return reap(spawn(landlock_connect, (void *)v));
}

static int denied_fastopen(const struct variant *v)
{
	if (!have_landlock())
		return sc_skip(NO_LANDLOCK);
	return reap(spawn(landlock_fastopen, (void *)v));
}

/* ---- programs on a cgroup ---- */

/* Two instructions: return 0, which is no. */
static int deny_program(enum bpf_prog_type type, enum bpf_attach_type attach)
{
	static const struct bpf_insn no[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = { .prog_type = type, .expected_attach_type = attach };

	attr.insns = (uintptr_t)no;
	attr.insn_cnt = ARRAY_SIZE(no);
	attr.license = (uintptr_t) "GPL";
	return syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
}

static int deny_attach(int cgroup, int prog, enum bpf_attach_type attach)
{
	union bpf_attr attr = { .target_fd = cgroup, .attach_bpf_fd = prog, .attach_type = attach,
				.attach_flags = BPF_F_ALLOW_MULTI };

	return syscall(SYS_bpf, BPF_PROG_ATTACH, &attr, sizeof(attr));
}

/* A child of the cgroup that this process is in, in the unified hierarchy. */
static int child_cgroup(char *path, size_t size)
{
	char mount[256] = "", own[512] = "", type[32] = "", line[1024];
	FILE *f = fopen("/proc/self/mounts", "re");

	while (f && fgets(line, sizeof(line), f) && strcmp(type, "cgroup2"))
		sscanf(line, "%*s %255s %31s", mount, type);
	if (strcmp(type, "cgroup2"))
		mount[0] = '\0';
	if (f)
		fclose(f);
	f = fopen("/proc/self/cgroup", "re");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "0::%511s", own);
	if (f)
		fclose(f);
	if (!mount[0] || !own[0])
		return -ENOENT;
	snprintf(path, size, "%s%s/deny-%d", mount, own[1] ? own : "", getpid());
	return mkdir(path, 0755) ? -errno : 0;
}

static int enter_cgroup(const char *path)
{
	char procs[2048];

	snprintf(procs, sizeof(procs), "%s/cgroup.procs", path);
	return write_text(procs, "0");
}

struct denial {
	const struct variant *v;
	const char *cgroup;
};

/* v->n: the attach type. A socket belongs to the cgroup in which it is made, so this comes first. */
static int deny_setup(const struct denial *d)
{
	enum bpf_attach_type attach = d->v->n;
	/* Before 5.11 programs count as locked memory, all of root's together. */
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	bool sock = attach == BPF_CGROUP_INET4_POST_BIND || attach == BPF_CGROUP_INET6_POST_BIND;
	int dir = open(d->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC), prog;

	setrlimit(RLIMIT_MEMLOCK, &all);
	prog = deny_program(sock ? BPF_PROG_TYPE_CGROUP_SOCK : BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
			    attach);
	if (dir < 0 || prog < 0 || deny_attach(dir, prog, attach) || enter_cgroup(d->cgroup))
		return sc_skip("no program can be put on a cgroup here");
	close(prog);
	close(dir);
	return 0;
}

static int in_deny_bind(void *arg)
{
	const struct denial *d = arg;
	int rc = deny_setup(d);
	struct sock *s;

	if (rc)
		return rc;
	s = s_open(d->v->family, d->v->type);
	WANT(s);
	s->cause = "denied";
	WANT(s_bind(s, d->v->ip, d->v->flags & V_ZERO ? 0 : next_port()) == -EPERM);
	return 0;
}

static int in_deny_connect(void *arg)
{
	const struct denial *d = arg;
	const struct variant *v = d->v;
	struct sock *s, *l;
	int rc = deny_setup(d);

	if (rc)
		return rc;
	s = s_open(v->family, v->type);
	l = s_listener(v->family, v->ip, 3);
	WANT(s && l);
	s->cause = "denied";
	if (v->type == SOCK_DGRAM)
		WANT(s_udp_connect(s, v->ip, next_port()) == -EPERM);
	else
		WANT(s_connect(s, v->ip, l->local.port) == -EPERM);
	return 0;
}

/* The port is taken before the program says no, and stays. */
static int in_deny_sendmsg(void *arg)
{
	const struct denial *d = arg;
	int rc = deny_setup(d);
	struct sock *s;

	if (rc)
		return rc;
	s = s_open(d->v->family, SOCK_DGRAM);
	WANT(s);
	WANT(s_sendto(s, d->v->ip, next_port()) == -EPERM);
	return 0;
}

static int in_cgroup(const struct variant *v, int (*child)(void *arg))
{
	char path[1024];
	struct denial d = { v, path };
	int rc;

	if (child_cgroup(path, sizeof(path)))
		return sc_skip("no cgroup can be made here");
	rc = reap(spawn(child, &d));
	rmdir(path);
	return rc;
}

/* Up to 5.10 a socket keeps the port that a post_bind program refused it, and does not tell the program. */
static bool keeps_refused_port(const struct variant *v)
{
	struct utsname uts;
	int major = 0, minor = 0;

	if (v->n != BPF_CGROUP_INET4_POST_BIND && v->n != BPF_CGROUP_INET6_POST_BIND)
		return false;
	return !uname(&uts) && sscanf(uts.release, "%d.%d", &major, &minor) == 2 && major == 5 && minor <= 10;
}

static int cgroup_bind(const struct variant *v)
{
	if (keeps_refused_port(v))
		return sc_skip("this kernel leaves a socket the port that it was refused");
	return in_cgroup(v, in_deny_bind);
}

static int cgroup_connect(const struct variant *v)
{
	return in_cgroup(v, in_deny_connect);
}

static int cgroup_sendmsg(const struct variant *v)
{
	return in_cgroup(v, in_deny_sendmsg);
}

/* ---- seccomp ---- */

static int seccomp_denies(int nr, int err)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { ARRAY_SIZE(code), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) ? -errno : 0;
}

#define NO_SECCOMP "the kernel has no seccomp filters"

static int in_seccomp_bind(void *arg)
{
	const struct variant *v = arg;
	struct sock *s = s_open(v->family, v->type);

	WANT(s);
	if (seccomp_denies(SYS_bind, v->err))
		return sc_skip(NO_SECCOMP);
	s->cause = "denied";
	WANT(s_bind(s, v->ip, next_port()) == -v->err);
	return 0;
}

static int in_seccomp_connect(void *arg)
{
	const struct variant *v = arg;
	struct sock *l = s_listener(v->family, v->ip, 3), *c = s_open(v->family, SOCK_STREAM);

	WANT(l && c);
	if (seccomp_denies(SYS_connect, v->err))
		return sc_skip(NO_SECCOMP);
	c->cause = "denied";
	WANT(s_connect(c, v->ip, l->local.port) == -v->err);
	return 0;
}

static int in_seccomp_listen(void *arg)
{
	const struct variant *v = arg;
	struct sock *s = s_open(v->family, SOCK_STREAM);

	WANT(s);
	WANT(s_bind(s, v->ip, next_port()) == 0);
	if (seccomp_denies(SYS_listen, v->err))
		return sc_skip(NO_SECCOMP);
	s->cause = "denied";
	WANT(s_listen(s, 3) == -v->err);
	return 0;
}

static int seccomp_bind(const struct variant *v)
{
	return reap(spawn(in_seccomp_bind, (void *)v));
}

static int seccomp_connect(const struct variant *v)
{
	return reap(spawn(in_seccomp_connect, (void *)v));
}

static int seccomp_listen(const struct variant *v)
{
	return reap(spawn(in_seccomp_listen, (void *)v));
}

#define TCP4 AT(AF_INET, SOCK_STREAM, "127.0.0.1")
#define TCP6 AT(AF_INET6, SOCK_STREAM, "::1")
#define UDP4 AT(AF_INET, SOCK_DGRAM, "127.0.0.1")
#define BEFORE_HOOK "the call ends before a cgroup program could run"

const struct scenario deny_scenarios[] = {
	{ .name = "landlock_bind", .fn = denied_bind, .v = { TCP4 }, .cgroup_blind = BEFORE_HOOK },
	{ .name = "landlock_connect", .fn = denied_connect, .v = { TCP4 },
	  .cgroup_blind = BEFORE_HOOK },
	{ .name = "landlock_fastopen", .fn = denied_fastopen, .v = { TCP4 }, .cgroup_blind = BEFORE_HOOK },
	{ .name = "landlock_fastopen_tcp6", .fn = denied_fastopen, .v = { TCP6 },
	  .needs = NEED_IPV6, .cgroup_blind = BEFORE_HOOK },
	{ .name = "landlock_connect_tcp6", .fn = denied_connect, .v = { TCP6 },
	  .needs = NEED_IPV6, .cgroup_blind = BEFORE_HOOK },
	{ .name = "cgroup_bind4", .fn = cgroup_bind, .needs = NEED_ROOT,
	  .v = { TCP4, .n = BPF_CGROUP_INET4_BIND },
	  .cgroup_blind = "a denial by another program looks like any failure" },
	{ .name = "cgroup_bind4_udp", .fn = cgroup_bind, .needs = NEED_ROOT,
	  .v = { UDP4, .n = BPF_CGROUP_INET4_BIND },
	  .cgroup_blind = "a denial by another program looks like any failure" },
	{ .name = "cgroup_bind6", .fn = cgroup_bind, .needs = NEED_ROOT | NEED_IPV6,
	  .v = { TCP6, .n = BPF_CGROUP_INET6_BIND },
	  .cgroup_blind = "a denial by another program looks like any failure" },
	{ .name = "cgroup_post_bind4", .fn = cgroup_bind, .needs = NEED_ROOT,
	  .v = { TCP4, .n = BPF_CGROUP_INET4_POST_BIND },
	  .cgroup_blind = "a denial by another program looks like any failure" },
	{ .name = "cgroup_post_bind4_zero", .fn = cgroup_bind, .needs = NEED_ROOT,
	  .v = { UDP4, .n = BPF_CGROUP_INET4_POST_BIND, .flags = V_ZERO },
	  .cgroup_blind = "a denial by another program looks like any failure" },
	{ .name = "cgroup_connect4", .fn = cgroup_connect, .needs = NEED_ROOT,
	  .v = { TCP4, .n = BPF_CGROUP_INET4_CONNECT },
	  .cgroup_blind = "a denial by another program looks like any failure" },
	{ .name = "cgroup_connect6", .fn = cgroup_connect, .needs = NEED_ROOT | NEED_IPV6,
	  .v = { TCP6, .n = BPF_CGROUP_INET6_CONNECT },
	  .cgroup_blind = "a denial by another program looks like any failure" },
	{ .name = "cgroup_sendmsg4", .fn = cgroup_sendmsg, .needs = NEED_ROOT,
	  .v = { UDP4, .n = BPF_CGROUP_UDP4_SENDMSG },
	  .cgroup_blind = "a denial by another program looks like any failure" },
	SC("seccomp_bind", seccomp_bind, NEED_SECCOMP, TCP4, .err = EPERM),
	SC("seccomp_bind_udp", seccomp_bind, NEED_SECCOMP, UDP4, .err = EACCES),
	SC("seccomp_connect", seccomp_connect, NEED_SECCOMP, TCP4, .err = EPERM),
	SC("seccomp_connect_ENOSYS", seccomp_connect, NEED_SECCOMP, TCP4, .err = ENOSYS),
	SC("seccomp_listen", seccomp_listen, NEED_SECCOMP, TCP4, .err = EPERM),
	SC_END,
};
