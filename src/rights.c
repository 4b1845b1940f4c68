// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "rights.h"

#include <errno.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct rights_sets {
	struct __user_cap_data_struct half[_LINUX_CAPABILITY_U32S_3];
};

static int rights_get(struct rights_sets *ret)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capget, &header, ret->half) ? -errno : 0;
}

static int rights_set(const struct rights_sets *sets)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capset, &header, sets->half) ? -errno : 0;
}

uint64_t rights_held(void)
{
	struct rights_sets sets;

	return rights_get(&sets) < 0 ? 0 : sets.half[0].permitted | (uint64_t)sets.half[1].permitted << 32;
}

/* Needs CAP_SETPCAP. Without it no_new_privs has to do. */
static void rights_empty_bounding(void)
{
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

int rights_keep(uint64_t caps)
{
	struct rights_sets sets;
	int r = rights_get(&sets);

	if (r < 0)
		return r;
	rights_empty_bounding();
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (int i = 0; i < 2; i++) {
		sets.half[i].permitted &= (uint32_t)(caps >> 32 * i);
		sets.half[i].effective = sets.half[i].permitted;
		sets.half[i].inheritable = 0;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		r = -errno;
	return r < 0 ? r : rights_set(&sets);
}

struct rights_call {
	uint64_t caps;
	int (*fn)(void *arg);
	void *arg;
	int result;
};

static void *rights_main(void *arg)
{
	struct rights_call *call = arg;

	call->result = rights_keep(call->caps);
	if (call->result == 0)
		call->result = call->fn(call->arg);
	return NULL;
}

int rights_run(uint64_t caps, int (*fn)(void *arg), void *arg)
{
	struct rights_call call = { .caps = caps, .fn = fn, .arg = arg };
	pthread_t thread;
	int r = pthread_create(&thread, NULL, rights_main, &call);

	if (r)
		return -r;
	pthread_join(thread, NULL);
	return call.result;
}
