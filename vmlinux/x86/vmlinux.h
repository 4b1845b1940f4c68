/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel types that porttrace's BPF programs read. Made by vmlinux/make from the BTF of Debian 6.1.0-50-cloud-amd64 and
 * vmlinux/fields.txt: do not edit.
 */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* arch/x86/include/asm/ptrace.h */
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di;
	unsigned long orig_ax, ip, cs, flags, sp, ss;
};

struct local_ports {
	char opaque;
};

typedef struct {
	long counter;
} atomic64_t;

struct ns_common {
	__u32 inum;
};

struct netns_ipv4 {
	struct local_ports ip_local_ports;
	unsigned long *sysctl_local_reserved_ports;
	int sysctl_ip_prot_sock;
};

struct net {
	struct ns_common ns;
	__u32 hash_mix;
	struct netns_ipv4 ipv4;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	union {
		__u8 u6_addr8[16];
	} in6_u;
};

struct hlist_node {
	struct hlist_node *next;
};

struct sock_common {
	__u64 skc_addrpair;
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__u32 skc_portpair;
	__be16 skc_dport;
	__u16 skc_num;
	__u16 skc_family;
	__u8 skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
	int skc_bound_dev_if;
	struct hlist_node skc_bind_node;
	unsigned long skc_flags;
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_type;
	__u8 sk_userlocks;
	__u16 sk_protocol;
	int sk_err;
	__u32 sk_max_ack_backlog;
	struct socket *sk_socket;
	__u8 sk_shutdown;
	__u32 sk_mark;
};

struct socket {
	struct sock *sk;
};

struct inet_sock {
	struct sock sk;
	__be16 inet_sport;
	struct ipv6_pinfo *pinet6;
	int mc_index;
};

struct inet_connection_sock {
	struct inet_bind_bucket *icsk_bind_hash;
	struct tcp_ulp_ops *icsk_ulp_ops;
	void *icsk_ulp_data;
};

struct ipv6_pinfo {
	int mcast_oif;
};

struct tcp_ulp_ops {
	char name[16];
};

struct tcp_sock {
	__u32 rcv_nxt;
	__u32 snd_nxt;
	__u32 write_seq;
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u64 bytes_received;
};

struct inet_timewait_sock {
	struct sock_common __tw_common;
	__u8 tw_substate;
	struct inet_bind_bucket *tw_tb;
};

struct hlist_head {
	struct hlist_node *first;
};

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	void *key;
};

struct inet_bind_bucket {
	possible_net_t ib_net;
	int l3mdev;
	__u16 port;
	char fastreuse;
	char fastreuseport;
	struct hlist_node node;
};

struct inet_bind_hashbucket {
	struct hlist_head chain;
};

struct inet_hashinfo {
	struct inet_bind_hashbucket *bhash;
	__u32 bhash_size;
};

struct inet_timewait_death_row {
	struct inet_hashinfo *hashinfo;
};

struct nsproxy {
	struct net *net_ns;
};

struct ctl_table {
	void *data;
};

struct upid {
	int nr;
};

struct pid {
	__u32 level;
	struct upid numbers[0];
};

struct qstr {
	__u8 *name;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct super_block {
	unsigned long s_magic;
};

struct inode {
	__u16 i_mode;
	struct super_block *i_sb;
};

struct file {
	struct path f_path;
	struct inode *f_inode;
	void *private_data;
};

struct fdtable {
	__u32 max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct mm_struct {
	unsigned long arg_start;
	unsigned long arg_end;
	struct file *exe_file;
};

struct thread_info {
	unsigned long flags;
};

typedef struct {
	__u32 val;
} kuid_t;

struct cred {
	kuid_t uid;
};

struct task_struct {
	struct thread_info thread_info;
	void *stack;
	int tgid;
	__u32 flags;
	int exit_code;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	__u64 start_boottime;
	__u64 self_exec_id;
	struct cred *cred;
	char comm[16];
	struct mm_struct *mm;
	struct files_struct *files;
	struct nsproxy *nsproxy;
};

struct trace_entry {
	__u16 type;
	__u8 flags;
	__u8 preempt_count;
	int pid;
};

struct trace_event_raw_inet_sock_set_state {
	struct trace_entry ent;
	void *skaddr;
	int oldstate;
	int newstate;
	__u16 sport;
	__u16 dport;
	__u16 family;
	__u16 protocol;
};

#pragma clang attribute pop

#endif
