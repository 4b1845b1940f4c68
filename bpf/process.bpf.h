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

/* A record that a processor puts together, and how far its path goes. */
struct process_draft {
	__u64 dentry; /* struct dentry * */
	__u64 mount; /* struct mount * */
	__u32 writers; /* counted up by each that begins: only who is alone goes on */
	__u32 reserved;
	struct raw_process rec;
};

/* What a processor has at hand. */
struct process_desk {
	struct process_last last;
	struct process_draft draft;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct process_desk);
} process_desks SEC(".maps");

static __always_inline struct process_desk *process_desk(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&process_desks, &zero);
}

/* The mount on which the one lies whose root is `dentry`, itself if that is the last; 0 = it is not its root. */
static __always_inline __u64 process_upper(__u64 dentry, __u64 mount)
{
	struct mount *mnt = (void *)mount;

	return (__u64)BPF_CORE_READ(mnt, mnt.mnt_root) == dentry ? (__u64)BPF_CORE_READ(mnt, mnt_parent) : 0;
}

/* Where a step of a path leads. */
enum process_step { PROCESS_ON, PROCESS_WHOLE, PROCESS_NO_PATH };

/* Puts one name to the path, or goes from the root of a mount to the place where that lies. Not static, so that the
 * verifier looks at it once, and not in each turn of the loop. */
__noinline int process_step(void)
{
	struct process_desk *desk = process_desk();
	struct process_draft *draft;
	__u64 dentry, mount, upper;
	__u32 used;
	long len;

	if (!desk)
		return PROCESS_NO_PATH;
	draft = &desk->draft;
	dentry = draft->dentry;
	mount = draft->mount;
	upper = process_upper(dentry, mount);
	if (upper) {
		if (upper == mount)
			return PROCESS_WHOLE;
		draft->dentry = (__u64)BPF_CORE_READ((struct mount *)mount, mnt_mountpoint);
		draft->mount = upper;
		return PROCESS_ON;
	}
	used = draft->rec.path_size;
	len = bpf_probe_read_kernel_str(draft->rec.path + (used & (PROCESS_PATH_MAX - 1)), PROCESS_PATH_MAX,
					BPF_CORE_READ((struct dentry *)dentry, d_name.name));
	if (len <= 0 || used + len > PROCESS_PATH_MAX)
		return PROCESS_NO_PATH;
	draft->rec.path_size = (__u16)(used + len);
	draft->dentry = (__u64)BPF_CORE_READ((struct dentry *)dentry, d_parent);
	/* memfd and the like stand in no directory */
	return draft->dentry == dentry ? PROCESS_WHOLE : PROCESS_ON;
}

/* The names on the way from a file up to the root of its mount tree, as d_path() goes (fs/d_path.c). */
static __always_inline void process_read_path(struct process_draft *draft, struct file *exe)
{
	int step = PROCESS_ON;

	draft->rec.path_size = 0;
	draft->dentry = (__u64)BPF_CORE_READ(exe, f_path.dentry);
	draft->mount = (__u64)BPF_CORE_READ(exe, f_path.mnt) -
		       __builtin_preserve_field_info(((struct mount *)0)->mnt, BPF_FIELD_BYTE_OFFSET);
	for (int i = 0; i < PROCESS_MAX_DEPTH && step == PROCESS_ON; i++)
		step = process_step();
	if (step != PROCESS_WHOLE)
		draft->rec.path_size = 0;
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

/* Writes the record of the running process. False if there is no room. */
static __always_inline bool process_draw_up(struct process_draft *draft, __u32 pid, __u32 exec_id, __u64 start_ns,
					    struct mm_struct *mm)
{
	struct raw_process *rec = &draft->rec;

	rec->magic = RAW_EVENT_MAGIC;
	rec->version = RAW_EVENT_VERSION;
	rec->kind = RAW_PROCESS;
	rec->pid = pid;
	rec->process_start_ns = start_ns;
	rec->exec_id = exec_id;
	rec->args_size = 0;
	rec->args_total = rec->reserved = 0;
	process_read_path(draft, BPF_CORE_READ(mm, exe_file));
	process_read_args(rec, mm);
	return !bpf_ringbuf_output(&ring, rec, sizeof(*rec), BPF_RB_NO_WAKEUP);
}

int process_write(__u32 pid, __u32 exec_id, __u64 start_ns);

/*
 * Writes the record of the running process. No event: a lack of room is no loss, it is told with its next one, and so
 * it is where two are at it on one processor. Not static, so that the verifier looks at it once, and not at each call
 * in each state that a caller may be in.
 */
__noinline int process_write(__u32 pid, __u32 exec_id, __u64 start_ns)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct process_key key = { pid, exec_id };
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct process_desk *desk = process_desk();

	if (!mm) /* a kernel thread, or a process on its very last way */
		return 0;
	if (!desk || !emit_has_room(emit_unread(), sizeof(desk->draft.rec), false))
		return 0;
	__sync_fetch_and_add(&desk->draft.writers, 1);
	if (*(volatile __u32 *)&desk->draft.writers == 1 &&
	    process_draw_up(&desk->draft, pid, exec_id, start_ns, mm))
		bpf_map_update_elem(&processes, &key, &start_ns, BPF_ANY);
	__sync_fetch_and_add(&desk->draft.writers, -1);
	return 0;
}

/* The running process is about to have an event. */
static __always_inline void process_tell_as(__u32 pid, __u32 exec_id, __u64 start_ns)
{
	struct process_key key = { pid, exec_id };
	struct process_desk *desk = process_desk();
	struct process_last *last;
	__u64 *told;

	if (!desk)
		return;
	last = &desk->last;
	if (last->start_ns == start_ns && last->pid == key.pid && last->exec_id == key.exec_id)
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
