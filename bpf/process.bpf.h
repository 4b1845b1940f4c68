/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a process runs, told once ahead of its first event: by the time user space reads an event, the process may
 * have ended, and /proc forgotten it.
 */
#ifndef PROCESS_BPF_H
#define PROCESS_BPF_H

#define PROCESS_MAX_DEPTH 40 /* names and mount points in a path; deeper: path not told */
#define PROCESS_PATH_MAX (RAW_PATH_SIZE / 2) /* a name of that length may follow where the path so far ends */

struct process_key {
	__u32 pid;
	__u32 exec_id;
};

/* Processes that have been told; the value is their start. LRU: one that fell out is told again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CONFIG_MAX_PROCESSES);
	__type(key, struct process_key);
	__type(value, __u64);
} processes SEC(".maps");

/* The process that a processor saw last among those: events come in rows, and the lookup costs 150 instructions. */
struct process_last {
	__u32 pid;
	__u32 exec_id;
	__u64 start_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct process_last);
} last_process SEC(".maps");

/* Steps of a path. Each not static, so that the verifier looks at it once, and not in each turn of the loop. */
__u64 process_parent(__u64 dentry);
__u64 process_name(__u64 dentry);
__u64 process_mountpoint(__u64 mount);
__u64 process_upper(__u64 dentry, __u64 mount);

__noinline __u64 process_parent(__u64 dentry)
{
	return (__u64)BPF_CORE_READ((struct dentry *)dentry, d_parent);
}

__noinline __u64 process_name(__u64 dentry)
{
	return (__u64)BPF_CORE_READ((struct dentry *)dentry, d_name.name);
}

__noinline __u64 process_mountpoint(__u64 mount)
{
	return (__u64)BPF_CORE_READ((struct mount *)mount, mnt_mountpoint);
}

/* The mount on which the one lies whose root is `dentry`, itself if that is the last; 0 = it is not its root. */
__noinline __u64 process_upper(__u64 dentry, __u64 mount)
{
	struct mount *mnt = (void *)mount;

	return (__u64)BPF_CORE_READ(mnt, mnt.mnt_root) == dentry ? (__u64)BPF_CORE_READ(mnt, mnt_parent) : 0;
}

/*
 * The names on the way from a file up to the root of its mount tree, as d_path() goes (fs/d_path.c). How much of the
 * path there is stands in the record and not in a variable: the verifier then forgets by which of the ways through the
 * loop it came, and follows one of them.
 */
static __always_inline void process_read_path(struct raw_process *rec, struct file *exe)
{
	__u64 dentry = (__u64)BPF_CORE_READ(exe, f_path.dentry), parent, upper;
	__u64 mount = (__u64)BPF_CORE_READ(exe, f_path.mnt) -
		      __builtin_preserve_field_info(((struct mount *)0)->mnt, BPF_FIELD_BYTE_OFFSET);
	volatile __u16 *size = &rec->path_size;
	__u32 used;
	long len;

	for (int i = 0; i < PROCESS_MAX_DEPTH; i++) {
		upper = process_upper(dentry, mount);
		if (upper) {
			if (upper == mount)
				return;
			dentry = process_mountpoint(mount);
			mount = upper;
			continue;
		}
		used = *size;
		len = bpf_probe_read_kernel_str(rec->path + (used & (PROCESS_PATH_MAX - 1)), PROCESS_PATH_MAX,
						(void *)process_name(dentry));
		if (len <= 0 || used + len > PROCESS_PATH_MAX)
			break;
		*size = (__u16)(used + len);
		parent = process_parent(dentry);
		if (dentry == parent) /* memfd and the like stand in no directory */
			return;
		dentry = parent;
	}
	*size = 0;
}

static __always_inline void process_read_args(struct raw_process *rec, struct mm_struct *mm)
{
	unsigned long start = BPF_CORE_READ(mm, arg_start);
	__u64 size = BPF_CORE_READ(mm, arg_end) - start;

	rec->args_total = size;
	asm volatile("" : "+r"(size)); /* or clang tests one copy and passes another, which the verifiers refuse */
	if (size > RAW_ARGS_SIZE)
		size = RAW_ARGS_SIZE;
	if (!bpf_probe_read_user(rec->args, size, (void *)start))
		rec->args_size = size;
}

int process_write(__u32 pid, __u32 exec_id, __u64 start_ns);

/*
 * Writes the record of the running process. No event: a lack of room is no loss, it is told with its next one. Not
 * static, so that the verifier looks at it once, and not at each call in each state that a caller may be in.
 */
__noinline int process_write(__u32 pid, __u32 exec_id, __u64 start_ns)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct process_key key = { pid, exec_id };
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct raw_process *rec;

	if (!mm) /* a kernel thread, or a process on its very last way */
		return 0;
	if (!emit_has_room(emit_unread(), sizeof(*rec), false))
		return 0;
	rec = bpf_ringbuf_reserve(&ring, sizeof(*rec), 0);
	if (!rec)
		return 0;
	rec->magic = RAW_EVENT_MAGIC;
	rec->version = RAW_EVENT_VERSION;
	rec->kind = RAW_PROCESS;
	rec->pid = pid;
	rec->process_start_ns = start_ns;
	rec->exec_id = exec_id;
	rec->path_size = rec->args_size = 0;
	rec->args_total = rec->reserved = 0;
	process_read_path(rec, BPF_CORE_READ(mm, exe_file));
	process_read_args(rec, mm);
	bpf_ringbuf_submit(rec, BPF_RB_NO_WAKEUP);
	bpf_map_update_elem(&processes, &key, &start_ns, BPF_ANY);
	return 0;
}

/* The running process is about to have an event. */
static __always_inline void process_tell_as(__u32 pid, __u32 exec_id, __u64 start_ns)
{
	struct process_key key = { pid, exec_id };
	__u32 zero = 0;
	__u64 *told;
	struct process_last *last = bpf_map_lookup_elem(&last_process, &zero);

	if (!last || (last->start_ns == start_ns && last->pid == key.pid && last->exec_id == key.exec_id))
		return;
	told = bpf_map_lookup_elem(&processes, &key);
	if (!told || *told != start_ns) {
		process_write(key.pid, key.exec_id, start_ns);
		return;
	}
	last->pid = key.pid;
	last->exec_id = key.exec_id;
	last->start_ns = start_ns;
}

static __always_inline void process_tell_of(struct task_struct *task, enum pointer ptr)
{
	struct task_struct *leader = READ(ptr, task, group_leader);

	process_tell_as(once_pid_tgid() >> 32, (__u32)READ(ptr, task, self_exec_id),
			READ(ptr, leader, start_boottime));
}

/* The same, where the event has no place yet. */
static __always_inline void process_tell(void)
{
	if (config.has_task_btf)
		process_tell_of(bpf_get_current_task_btf(), PTR_WALKED);
	else
		process_tell_of((void *)bpf_get_current_task(), PTR_PLAIN);
}

#endif
