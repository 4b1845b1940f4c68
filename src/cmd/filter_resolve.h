/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the options that select name, looked up on this machine: namespaces, cgroups, processes. */
#ifndef PORTTRACE_CMD_FILTER_RESOLVE_H
#define PORTTRACE_CMD_FILTER_RESOLVE_H

#include "../filter.h"

/* --netns PID|PATH: the namespace's inode and cookie. 0, or -errno with a sentence in err (CLI_ERR_SIZE bytes). */
int filter_resolve_netns(const char *text, struct filter *filter, char *err);
/* --cgroup PATH: is there such a cgroup v2 directory? The same. */
int filter_check_cgroup(const char *path, char *err);
/* --cgroup PATH: its id and those of all below it, as they are now. The same. The caller frees *ret, which the filter
 * refers to. */
int filter_resolve_cgroup(const char *path, struct filter *filter, uint64_t **ret, char *err);
/*
 * --container: cgroups that are of none of these containers, at most `max`: none where the cgroup does not tell (v1
 * hierarchies beside v2). The caller frees *ret, which may be NULL.
 */
void filter_other_cgroups(const struct filter *filter, size_t max, uint64_t **ret, size_t *ret_count);

#endif
