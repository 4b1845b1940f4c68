/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * 1. attach: puts the BPF programs of one backend into the kernel. Which backend is decided by trying, best first;
 * why a better one was not to be had is kept for the user.
 */
#ifndef PORTTRACE_ATTACH_H
#define PORTTRACE_ATTACH_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "event.h"
#include "porttrace/config.h"
#include "porttrace/count.h"
#include "porttrace/raw_event.h"

struct attach;

enum attach_mode {
	ATTACH_MODE_AUTO,
	ATTACH_MODE_F, /* fentry and fexit: cheapest; loses events on preemptible kernels */
	ATTACH_MODE_X, /* kprobes and both kinds of tracepoint: complete on preemptible kernels */
};

struct attach_options {
	bool any_backend; /* try all, best first; else only `backend` */
	enum event_backend backend;
	enum attach_mode mode;
	bool seccomp; /* also calls that a seccomp filter refuses (tracing backend) */
	const char *cgroup_path; /* only what happens in it; the cgroup backend attaches there. NULL = everywhere */
	bool cgroup_is_place; /* cgroup_path is where the cgroup backend attaches, and selects nothing in the other */
	struct bpf_config config; /* the kernel's part of the filter; attach fills in what the kernel has */
	const struct config_ports *ports; /* its sets of ports; NULL = none. Not owned */
	const uint64_t *other_cgroups; /* ids of cgroups whose processes nobody wants; not owned */
	size_t other_cgroup_count;
	FILE *log; /* a file: libbpf's and the verifier's words, for bug reports; NULL = none; not owned */
	bool early; /* attach_open may return with a part of the programs, and attach_finish brings the rest */
	void (*begun)(void *arg, const struct attach *at); /* for backends: to be called with a part; NULL = by none */
	void *begun_arg;
	const volatile sig_atomic_t *over; /* for backends: set when no more is wanted after `begun`; NULL = never */
	uint32_t ring_bytes; /* power of two, multiple of the page size; 0 = default. How it is used: see attach.c */
};

/* One program of a backend, as `doctor` shows it. */
struct attach_program {
	const char *name; /* of the BPF program */
	const char *target; /* kernel function, tracepoint or cgroup hook */
	const char *what; /* the events it brings, for people */
	bool attached;
	bool carries; /* a run that the kernel skips is a lost event */
	uint64_t runs, run_ns; /* as of then too, since attach_measure_runs; 0 = not measured */
	uint64_t missed; /* runs that the kernel skipped, as of the last attach_read_loss */
	int error; /* negative errno if not attached and wanted; 0 = this kernel or mode does not need it */
};

/* Losses that the kernel counted, summed over CPUs and programs, since attach. */
struct attach_loss {
	struct raw_counters counters;
	uint64_t missed_runs; /* bpf_prog_info.recursion_misses of the programs that carry events */
	uint64_t leftover; /* begun, never ended */
};

/* Of a map "counters", by its descriptor: the sums over all processors. 0 or -errno. */
int attach_sum_counters(int fd, struct raw_counters *ret);

/* Without what has begun and may still be told. */
static inline uint64_t attach_lost(const struct attach_loss *loss)
{
	return loss->counters.lost_ring + loss->counters.lost_state + loss->missed_runs;
}

/* Events that the programs have met, whatever became of them. */
static inline uint64_t attach_seen(const struct attach_loss *loss)
{
	return loss->counters.submitted + loss->counters.filtered + loss->counters.counted + attach_lost(loss) +
	       loss->leftover;
}

/* A table that the programs keep: how many entries it has now. */
struct attach_table {
	const char *name;
	uint64_t count;
};
#define ATTACH_MAX_TABLES 8

#define ATTACH_MAX_FDS 253 /* SCM_MAX_FD, linux/net/scm.h: as many as go into one message */

/* What each backend implements; one const object a file in attach/. */
struct attach_ops {
	enum event_backend backend;
	/* On failure -errno and a sentence in err. */
	int (*open)(const struct attach_options *opts, struct attach *at, char *err, size_t err_size);
	/* Opened in a process of its own (apart.h) where that is possible, the backend gives away its descriptors (-1 =
	 * none), in which all is that it has put into the kernel. Of the other process, `take` makes them the state;
	 * if it fails, they are still the caller's. */
	void (*give)(const struct attach *at, int ret[ATTACH_MAX_FDS]);
	int (*take)(struct attach *at, const int fds[ATTACH_MAX_FDS]);
	/* What came after opts->begun; -1 = nothing, or taken before. NULL = the backend does not call it. */
	void (*take_rest)(struct attach *at, const int fds[ATTACH_MAX_FDS]);
	void (*close)(struct attach *at);
	/* Has the programs tell what they have held back for `older_ns` or longer, as it is now. NULL = they do not. */
	void (*settle)(struct attach *at, uint64_t older_ns);
	/* Events begun whose end was lost, found only at the end of the trace; NULL = none can be. */
	uint64_t (*leftover)(const struct attach *at);
	/* Fills in at most ATTACH_MAX_TABLES; how many. NULL = the kernel keeps what it needs with the sockets. */
	size_t (*tables)(const struct attach *at, struct attach_table *ret);
	const char *blind_spots; /* one line: what this backend cannot see; NULL = nothing */
};

extern const struct attach_ops attach_tracing, attach_cgroup;

/* For backends: fills the map of opts->other_cgroups after the load. 0 or -errno. */
int attach_fill_other_cgroups(const struct attach_options *opts, int map_fd);

#define ATTACH_MAX_PROGRAMS 112

struct attach {
	const struct attach_ops *ops; /* the backend in use */
	enum attach_mode mode; /* F or X; tracing only */
	const char *preemption; /* see attach_detect_mode; tracing only */
	void *state; /* the backend's own: skeleton and links */
	int rest_fd; /* readable when attach_finish does not wait; -1 = all is there */
	pid_t rest_pid; /* the process that attaches the rest */
	int ring_fd, counters_fd, counts_fd; /* owned by state */
	const volatile __u32 *count_sets; /* of counts_fd: rises with new ones; owned by state */
	bool *armed; /* the programs' switch, in memory shared with them; owned by state */
	volatile bool *sleeping; /* the reader's: see attach_sleep; as `armed` */
	int measure_fd; /* while it is open the kernel measures each run; -1 = it does not for us */
	uint64_t missed_before; /* recursion_misses at arming */
	struct attach_program programs[ATTACH_MAX_PROGRAMS];
	int program_fds[ATTACH_MAX_PROGRAMS]; /* owned by state; -1 = not loaded */
	size_t program_count;
	char own_cgroup[32]; /* made for the traced command, removed at the end; "" = none; cgroup only */
	char not_first[512]; /* why a better backend is not in use; "" = the best is */
};

/*
 * Loads and attaches. 0, or -errno (of the last backend tried) with a sentence that says what is missing and what
 * mends it. Needs CAP_BPF with CAP_PERFMON (tracing) or CAP_NET_ADMIN (cgroup), or root. The caller ends it with
 * attach_close.
 */
int attach_open(const struct attach_options *opts, struct attach *ret, char *err, size_t err_size);
void attach_close(struct attach *at);
/*
 * With opts.early: waits for the programs that were not attached yet. Each speaks as soon as it is, and what is told
 * before is as true as later, but not all of it is seen. 0, or -errno with a sentence in err: no more will come.
 */
int attach_finish(struct attach *at, char *err, size_t err_size);
/* No more of them are wanted: attach_finish then waits for the one that is being attached, and not for the rest. */
void attach_cut_short(struct attach *at);
/* Attached programs stay silent until armed; after disarming, what they have counted no longer changes. */
int attach_arm(struct attach *at);
void attach_disarm(struct attach *at);
/* To be called now and then: events that wait for something that is long in coming are put into the ring. */
void attach_settle(struct attach *at);
/*
 * A reader that is about to wait says so, then looks whether the ring is empty, and waits: the next event wakes it.
 * When it does not wait, or is awake again, it says that.
 */
void attach_sleep(struct attach *at, bool sleeps);
/* From now on the kernel measures what each run of any BPF program takes, which costs itself: two readings of the
 * clock. Linux 5.8, CAP_SYS_ADMIN. 0 or -errno. */
int attach_measure_runs(struct attach *at);
int attach_read_loss(struct attach *at, struct attach_loss *ret);
/* What was counted instead of being told (config.counts), summed over CPUs. 0 or -errno. */
typedef void (*attach_count_fn)(void *arg, const struct count_key *key, const struct count *sum);
int attach_each_count(const struct attach *at, attach_count_fn fn, void *arg);
/* "fentry" or "kprobe" for the tracing backend, "" else. */
const char *attach_mode_name(const struct attach *at);

/* How preemptible the running kernel is, read from itself: "none", "voluntary", "full" or "lazy". Picks the mode that
 * loses nothing there. 0 or -errno. */
int attach_detect_mode(enum attach_mode *ret_mode, const char **ret_preempt_name);

/* An open directory of the cgroup2 hierarchy: `path`, or its root when NULL, mounted or not. fd or -errno. */
int attach_cgroup_open_dir(const char *path);
/* The path of our own cgroup below that root, without a slash in front; "" = the root itself. 0 or -errno. */
int attach_cgroup_own_path(char *ret, size_t size);

/* BPF programs of anyone at the hooks that the cgroup backend attaches to. */
struct attach_cgroup_others {
	size_t programs;
	size_t alone; /* hooks whose program, attached without BPF_F_ALLOW_MULTI, one below would replace */
	size_t unknown; /* hooks that we may not ask for */
};
/* Asks for the cgroup whose open directory is `dir`; attaches nothing. */
void attach_cgroup_look(int dir, struct attach_cgroup_others *ret);

#endif
