/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A cgroup v2 directory and all below it. */
#ifndef PORTTRACE_CGROUP_TREE_H
#define PORTTRACE_CGROUP_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The ids of the cgroup at `path` and of all below it, sorted upwards: a cgroup's id is its directory's inode (64 bit,
 * kernfs since 5.5). 0 or -errno. The caller frees *ret.
 */
int cgroup_tree_ids(const char *path, uint64_t **ret, size_t *ret_count);
/* The same of those alone for which `wants` says so of their path below `path` ("" or "/a/b"), at most `max`. */
int cgroup_tree_choose(const char *path, bool (*wants)(void *arg, const char *below), void *arg, size_t max,
		       uint64_t **ret, size_t *ret_count);
/* Is this one of them? */
bool cgroup_tree_has(const uint64_t *ids, size_t count, uint64_t id);

#endif
