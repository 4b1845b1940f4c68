/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Processes that are asked for by lists, for both backends. Whoever includes this has `config` (struct bpf_config). */
#ifndef WHO_BPF_H
#define WHO_BPF_H

/* --container: cgroups that are of none that was asked for. Those that come later are left to user space. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CONFIG_MAX_OTHER_CGROUPS); /* the loader's: as many as there are */
	__type(key, __u64); /* cgroup v2 id */
	__type(value, __u8); /* not used */
} other_cgroups SEC(".maps");

static __always_inline bool who_has_pid(__u32 pid)
{
	for (__u32 i = 0; i < CONFIG_MAX_PIDS; i++) {
		if (i >= config.pid_count)
			return false;
		if (config.pids[i] == pid)
			return true;
	}
	return false;
}

static __always_inline bool who_has_uid(__u32 uid)
{
	for (__u32 i = 0; i < CONFIG_MAX_UIDS; i++) {
		if (i >= config.uid_count)
			return false;
		if (config.uids[i] == uid)
			return true;
	}
	return false;
}

/* Zeros stand behind the name. */
static __always_inline bool who_has_comm(const __u64 comm[2])
{
	for (__u32 i = 0; i < CONFIG_MAX_COMMS; i++) {
		if (i >= config.comm_count)
			return false;
		if (config.comms[i][0] == comm[0] && config.comms[i][1] == comm[1])
			return true;
	}
	return false;
}

static __always_inline bool who_has_cgroup(__u64 id)
{
	return !config.other_cgroups || !bpf_map_lookup_elem(&other_cgroups, &id);
}

#endif
