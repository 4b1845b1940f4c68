// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Chooses a backend by trying, and reads what the kernel counted. */
#include "attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "apart.h"
#include "cleanup.h"
#include "ring.h"

#define ATTACH_SETTLE_NS 1000000000 /* what waits longer than this is told as it is */
#define ATTACH_LAST_MS 100 /* the same at the end of the trace */

#define ATTACH_ROOM_RECORDS 4 /* of what failed, at least */

/* Best first. */
static const struct attach_ops *const attach_backends[] = { &attach_tracing, &attach_cgroup };

/* Kernels before 5.11 charge maps against RLIMIT_MEMLOCK. Failure shows itself at load. */
static void attach_raise_memlock(void)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

	setrlimit(RLIMIT_MEMLOCK, &unlimited);
}

/* libbpf's print hook has no argument of ours, so this cannot be in a struct; set for the time of attach_open. */
static FILE *attach_log;

static int attach_print(enum libbpf_print_level level, const char *format, va_list args)
{
	return attach_log && level != LIBBPF_DEBUG ? vfprintf(attach_log, format, args) : 0;
}

/* Where the kernel has no such events, libbpf makes kprobes which outlast the process that made them. */
static bool attach_can_be_apart(const struct attach_ops *ops)
{
	return ops->backend != BACKEND_TRACING || !access("/sys/bus/event_source/devices/kprobe/type", F_OK);
}

static int attach_try(const struct attach_ops *ops, const struct attach_options *opts, struct attach *at, char *err,
		      size_t err_size)
{
	memset(at, 0, sizeof(*at));
	at->ops = ops;
	at->ring_fd = at->counters_fd = at->counts_fd = at->measure_fd = at->rest_fd = -1;
	for (size_t i = 0; i < ATTACH_MAX_PROGRAMS; i++)
		at->program_fds[i] = -1;
	if (attach_can_be_apart(ops)) {
		int r = apart_open(ops, opts, at, err, err_size);

		if (r != -ECHILD)
			return r;
	}
	return ops->open(opts, at, err, err_size);
}

/* The reader is woken when an eighth is full; another eighth is kept for what failed. */
static void attach_divide_ring(struct attach_options *opts)
{
	uint32_t bytes = opts->ring_bytes ? opts->ring_bytes : CONFIG_RING_BYTES;
	uint32_t least = ATTACH_ROOM_RECORDS * (sizeof(struct raw_event) + RING_HEAD_BYTES);

	opts->config.wakeup_bytes = bytes / 8;
	opts->config.room_bytes = bytes - (bytes / 8 > least ? bytes / 8 : least);
}

/* Is there a filter that both backends look at in each event? */
static bool attach_selects(const struct attach_options *opts)
{
	const struct bpf_config *c = &opts->config;

	return c->kinds || c->netns_inum || c->netns_cookie || c->pid_count || c->uid_count || c->comm_count ||
	       c->selects_ends || c->want_tcp || c->want_udp || c->failed_only || opts->other_cgroup_count;
}

static int attach_open_first(const struct attach_options *opts, struct attach *ret, char *err, size_t err_size)
{
	char not_first[512] = "";
	int r = -EOPNOTSUPP;

	attach_log = opts->log;
	libbpf_set_print(attach_print);
	attach_raise_memlock();
	for (size_t i = 0; i < sizeof(attach_backends) / sizeof(attach_backends[0]); i++) {
		const struct attach_ops *ops = attach_backends[i];

		if (!opts->any_backend && ops->backend != opts->backend)
			continue;
		err[0] = '\0';
		r = attach_try(ops, opts, ret, err, err_size);
		if (r == 0) {
			memcpy(ret->not_first, not_first, sizeof(not_first));
			return 0;
		}
		if (!not_first[0])
			snprintf(not_first, sizeof(not_first), "%s", err);
	}
	if (opts->any_backend && not_first[0] && strcmp(not_first, err)) {
		_free_ char *last = strdup(err);

		snprintf(err, err_size, "%s; %s", not_first, last ? last : "");
	}
	return r;
}

int attach_open(const struct attach_options *opts, struct attach *ret, char *err, size_t err_size)
{
	struct attach_options own = *opts;

	attach_divide_ring(&own);
	own.config.selects = attach_selects(opts);
	return attach_open_first(&own, ret, err, err_size);
}

int attach_fill_other_cgroups(const struct attach_options *opts, int map_fd)
{
	uint8_t unused = 0;

	for (size_t i = 0; i < opts->other_cgroup_count; i++)
		if (bpf_map_update_elem(map_fd, &opts->other_cgroups[i], &unused, BPF_ANY))
			return -errno;
	return 0;
}

int attach_finish(struct attach *at, char *err, size_t err_size)
{
	return at->rest_fd < 0 ? 0 : apart_finish(at, err, err_size);
}

void attach_cut_short(struct attach *at)
{
	apart_cut_short(at);
}

void attach_close(struct attach *at)
{
	if (at->ops)
		apart_give_up(at);
	if (at->ops && at->state)
		at->ops->close(at);
	if (at->ops && at->measure_fd >= 0)
		close(at->measure_fd);
	at->measure_fd = -1;
	at->state = NULL;
}

int attach_measure_runs(struct attach *at)
{
	at->measure_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	return at->measure_fd < 0 ? -errno : 0;
}

int attach_sum_counters(int fd, struct raw_counters *ret)
{
	int cpus = libbpf_num_possible_cpus();
	_free_ struct raw_counters *each = NULL;
	uint32_t zero = 0;

	if (cpus < 0)
		return cpus;
	each = calloc((size_t)cpus, sizeof(*each));
	if (!each)
		return -ENOMEM;
	if (bpf_map_lookup_elem(fd, &zero, each))
		return -errno;
	memset(ret, 0, sizeof(*ret));
	for (int i = 0; i < cpus; i++) {
		ret->submitted += each[i].submitted;
		ret->filtered += each[i].filtered;
		ret->counted += each[i].counted;
		ret->lost_ring += each[i].lost_ring;
		ret->lost_state += each[i].lost_state;
		for (size_t k = 0; k < RAW_LOSSES; k++)
			ret->lost[k] += each[i].lost[k];
	}
	return 0;
}

int attach_read_loss(struct attach *at, struct attach_loss *ret)
{
	struct attach_loss loss = {};
	int r = attach_sum_counters(at->counters_fd, &loss.counters);

	if (r < 0)
		return r;
	for (size_t i = 0; i < at->program_count; i++) {
		struct bpf_prog_info info = {};
		__u32 len = sizeof(info);

		/* recursion_misses came in 5.12: an older kernel leaves it 0 */
		if (!at->programs[i].attached || at->program_fds[i] < 0 ||
		    bpf_obj_get_info_by_fd(at->program_fds[i], &info, &len))
			continue;
		at->programs[i].runs = info.run_cnt;
		at->programs[i].run_ns = info.run_time_ns;
		at->programs[i].missed = info.recursion_misses;
		if (at->programs[i].carries)
			loss.missed_runs += info.recursion_misses;
	}
	loss.missed_runs -= at->missed_before;
	loss.leftover = at->ops->leftover ? at->ops->leftover(at) : 0;
	*ret = loss;
	return 0;
}

int attach_arm(struct attach *at)
{
	struct attach_loss before;
	int r = attach_read_loss(at, &before);

	if (r < 0)
		return r;
	at->missed_before = before.missed_runs;
	*(volatile bool *)at->armed = true;
	return 0;
}

void attach_disarm(struct attach *at)
{
	for (int ms = 0; at->ops->settle && at->ops->leftover(at) && ms < ATTACH_LAST_MS; ms += 10)
		usleep(10000);
	*(volatile bool *)at->armed = false;
	usleep(2000); /* hooks that saw the switch on take microseconds */
	if (at->ops->settle)
		at->ops->settle(at, 0);
}

void attach_settle(struct attach *at)
{
	if (at->ops->settle)
		at->ops->settle(at, ATTACH_SETTLE_NS);
}

void attach_sleep(struct attach *at, bool sleeps)
{
	__atomic_store_n(at->sleeping, sleeps, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* the look at the ring comes after it */
}

const char *attach_mode_name(const struct attach *at)
{
	if (at->ops->backend != BACKEND_TRACING)
		return "";
	return at->mode == ATTACH_MODE_X ? "kprobe" : "fentry";
}
