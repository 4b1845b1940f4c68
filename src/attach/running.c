// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "../running.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "../attach.h"
#include "../cleanup.h"
#include "../parse.h"
#include "../proc.h"
#include "../ring.h"

/* ---- one thing of the kernel's ---- */

static int running_take_counters(int fd, struct running *run)
{
	struct attach_loss loss = { 0 };
	int r = attach_sum_counters(fd, &loss.counters);

	run->events = attach_seen(&loss);
	run->lost = attach_lost(&loss);
	return r;
}

/* What the reader leaves for us in its page of the ring: see ring.h. */
static int running_take_ring(int fd, uint32_t bytes, struct running *run)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const unsigned long *words = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 0);

	if (words == MAP_FAILED)
		return -errno;
	run->ring_most = __atomic_load_n(&words[RING_MOST_WORD], __ATOMIC_RELAXED);
	run->ring_bytes = bytes;
	munmap((void *)words, page);
	return 0;
}

/* `id`: of a map of the process. Others than these two are let alone. */
static int running_take_map(uint32_t id, struct running *run)
{
	_close_ int fd = bpf_map_get_fd_by_id(id);
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info);

	if (fd < 0)
		return -errno;
	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		return -errno;
	if (info.type == BPF_MAP_TYPE_PERCPU_ARRAY && !strcmp(info.name, "counters") &&
	    info.value_size == sizeof(struct raw_counters))
		return running_take_counters(fd, run);
	if (info.type == BPF_MAP_TYPE_RINGBUF && !strcmp(info.name, "ring"))
		return running_take_ring(fd, info.max_entries, run);
	return 0;
}

static int running_take_program(uint32_t id, struct running *run)
{
	_close_ int fd = bpf_prog_get_fd_by_id(id);
	struct running_program *program = &run->programs[run->program_count];
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);

	if (fd < 0)
		return -errno;
	if (run->program_count == RUNNING_PROGRAMS_MAX)
		return 0;
	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		return -errno;
	program->id = id;
	memcpy(program->name, info.name, sizeof(program->name) - 1);
	program->runs = info.run_cnt;
	program->run_ns = info.run_time_ns;
	run->program_count++;
	return 0;
}

/* ---- one process ---- */

/* The number behind "map_id:\t" of a text in /proc/PID/fdinfo; 0 = it has none. */
static uint32_t running_number(const char *text, const char *key)
{
	const char *at = strstr(text, key);
	unsigned int n = 0;

	return at && sscanf(at + strlen(key), "%u", &n) == 1 ? n : 0;
}

static int running_take_descriptor(int fdinfo_fd, const char *name, struct running *run)
{
	char text[1024];
	uint32_t id;

	if (proc_read(fdinfo_fd, name, text, sizeof(text)) < 0)
		return 0; /* closed meanwhile */
	id = running_number(text, "\nmap_id:");
	if (id)
		return running_take_map(id, run);
	id = running_number(text, "\nprog_id:");
	/* what is attached by a link has both: the program, which has a descriptor of its own, and the link */
	return id && !running_number(text, "\nlink_id:") ? running_take_program(id, run) : 0;
}

static uint64_t running_cpu_ns(uint32_t pid)
{
	struct timespec used = { 0 };
	clockid_t clock;

	if (clock_getcpuclockid((pid_t)pid, &clock) || clock_gettime(clock, &used))
		return 0;
	return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

/* 1, 0 = it does not trace, or -errno. */
static int running_take_process(int proc_fd, uint32_t pid, struct running *run)
{
	int fdinfo_fd = openat(proc_fd, "fdinfo", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_closedir_ DIR *dir = fdinfo_fd < 0 ? NULL : fdopendir(fdinfo_fd);
	const struct dirent *entry;
	int r = 0;

	memset(run, 0, sizeof(*run));
	run->pid = pid;
	if (!dir)
		return 0;
	while (r == 0 && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			r = running_take_descriptor(dirfd(dir), entry->d_name, run);
	run->cpu_ns = running_cpu_ns(pid);
	if (r == -ENOENT || !run->cpu_ns)
		return 0; /* ended meanwhile */
	return r < 0 ? r : run->ring_bytes && run->program_count;
}

static bool running_is_porttrace(int proc_fd)
{
	char name[32];

	return proc_read(proc_fd, "comm", name, sizeof(name)) > 0 && !strcmp(name, "porttrace\n");
}

int running_measure(void)
{
	int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);

	return fd < 0 ? -errno : fd;
}

int running_read(const char *proc, struct running ret[RUNNING_MAX])
{
	_closedir_ DIR *dir = opendir(proc);
	const struct dirent *entry;
	uint32_t pid;
	int r = 0, count = 0;

	if (!dir)
		return -errno;
	while (r >= 0 && count < RUNNING_MAX && (entry = readdir(dir))) {
		_close_ int proc_fd = -1;

		if (parse_u32(entry->d_name, 1, UINT32_MAX, &pid) < 0 || pid == (uint32_t)getpid())
			continue;
		proc_fd = proc_open(proc, pid, 0);
		if (proc_fd < 0 || !running_is_porttrace(proc_fd))
			continue;
		r = running_take_process(proc_fd, pid, &ret[count]);
		count += r > 0;
	}
	return r < 0 ? r : count;
}
