/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Calls that a seccomp filter refuses (--seccomp): the kernel does not run them, so no other hook sees them. All is
 * read from the registers of the call and the table of descriptors.
 */
#ifndef SECCOMP_BPF_H
#define SECCOMP_BPF_H

#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define SOCKFS_MAGIC 0x534F434B
#define MAX_ERRNO 4095

/* The socket behind a descriptor of the running process; NULL = it is none. */
static __always_inline struct sock *seccomp_socket(struct task_struct *task, __u32 fd)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files, *file = NULL;
	struct socket *sock;

	if (fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	files = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK ||
	    BPF_CORE_READ(file, f_inode, i_sb, s_magic) != SOCKFS_MAGIC)
		return NULL;
	sock = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(sock, sk);
}

/* The address that the program passes, still in its own memory. */
static __always_inline void seccomp_read_request(struct request *req, const void *addr, int addr_len)
{
	char copy[SOCKADDR_IN6_SIZE] = {};

	if (addr_len > SOCKADDR_IN6_SIZE)
		addr_len = SOCKADDR_IN6_SIZE;
	if (bpf_probe_read_user(copy, addr_len < SOCKADDR_IN6_SIZE ? SOCKADDR_IN_SIZE : SOCKADDR_IN6_SIZE, addr))
		addr_len = 0;
	sock_read_request(req, copy, addr_len);
}

static __always_inline void seccomp_tell(struct sock *sk, const struct compat_call *call, int error)
{
	struct raw_event *ev = handler_begin(sk, call->kind, error, PTR_PLAIN);
	struct request req;

	if (!ev)
		return;
	ev->flags |= RAW_F_SECCOMP;
	if (call->kind != RAW_ACCEPT)
		sock_fill_options(ev, sk, PTR_PLAIN);
	if (call->kind == RAW_BIND || call->kind == RAW_CONNECT)
		seccomp_read_request(&req, call->addr, call->addr_len);
	if (call->kind == RAW_BIND) {
		handler_request(ev, &req);
		ev->how = req.port ? RAW_HOW_EXPLICIT : RAW_HOW_BIND0;
		ev->local_port = 0;
	} else if (call->kind == RAW_CONNECT) {
		ev->flags |= RAW_F_EGRESS;
		handler_ask_port(ev);
		sock_fill_remote(ev, &req);
	}
	handler_end(ev, sk, PTR_PLAIN);
}

/* __seccomp_filter() returned -1: the call is not run, and returns what the filter, or who watches it, says. 0 and more
 * is a watcher's own success: no refusal. */
static __always_inline void handle_seccomp(int ret)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct compat_call call;
	struct sock *sk;

	if (ret != -1 || !armed || !compat_read_call(task, &call) || call.result >= 0 || call.result < -MAX_ERRNO)
		return;
	sk = seccomp_socket(task, call.fd);
	if (sk && sock_is_traced(sk, PTR_PLAIN))
		seccomp_tell(sk, &call, (int)-call.result);
}

/*
 * landlock_log_denial(): since 6.15, in the process, at each refusal. sendto() with MSG_FASTOPEN connects, and where
 * Landlock refuses that (7.x) nothing else tells; its other refusals have hooks of their own.
 */
static __always_inline void handle_landlock_denial(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct compat_call call;
	struct request req;
	struct sock *sk;

	if (!armed || !compat_read_fastopen(task, &call))
		return;
	sk = seccomp_socket(task, call.fd);
	if (!sk || sock_is_udp(sk, PTR_PLAIN))
		return;
	seccomp_read_request(&req, call.addr, call.addr_len);
	handle_connect_early(sk, &req, -EACCES, PTR_PLAIN);
}

#endif
