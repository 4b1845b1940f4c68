// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "filter_resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#include "../cgroup.h"
#include "../cgroup_tree.h"
#include "../cli.h"
#include "../netns.h"
#include "../proc.h"

int filter_resolve_netns(const char *text, struct filter *filter, char *err)
{
	char path[PATH_MAX];
	int r = netns_resolve(text, &filter->netns_inum, path, sizeof(path));

	if (r < 0) {
		snprintf(err, CLI_ERR_SIZE, "option '--netns': %.120s: %s", text,
			 r == -EINVAL ? "not a network namespace" : strerrordesc_np(-r));
		return r;
	}
	filter->netns_cookie = netns_cookie_at(path);
	return 0;
}

int filter_check_cgroup(const char *path, char *err)
{
	struct statfs fs;
	int r = statfs(path, &fs) ? -errno : fs.f_type == CGROUP2_SUPER_MAGIC ? 0 : -ENOTDIR;

	if (r < 0)
		snprintf(err, CLI_ERR_SIZE, "option '--cgroup': %.120s: %s", path,
			 r == -ENOTDIR ? "not a cgroup v2 directory" : strerrordesc_np(-r));
	return r;
}

int filter_resolve_cgroup(const char *path, struct filter *filter, uint64_t **ret, char *err)
{
	int r = filter_check_cgroup(path, err);

	if (r < 0)
		return r;
	r = cgroup_tree_ids(path, ret, &filter->cgroup_count);
	if (r < 0)
		snprintf(err, CLI_ERR_SIZE, "option '--cgroup': %.120s: %s", path, strerrordesc_np(-r));
	else
		filter->cgroups = *ret;
	return r;
}

static bool filter_is_other(void *arg, const char *below)
{
	struct cgroup_facts facts;

	cgroup_parse_path(*below ? below : "/", &facts);
	return !filter_has_container(arg, facts.container_id);
}

static bool filter_cgroup_tells(void)
{
	char text[8192];

	return proc_read(AT_FDCWD, "/proc/self/cgroup", text, sizeof(text)) > 0 && !cgroup_file_is_hybrid(text);
}

void filter_other_cgroups(const struct filter *filter, size_t max, uint64_t **ret, size_t *ret_count)
{
	char root[PATH_MAX];

	*ret = NULL;
	*ret_count = 0;
	if (!filter->container_count || !filter_cgroup_tells() || !proc_find_mount("cgroup2", root, sizeof(root)))
		return;
	if (cgroup_tree_choose(root, filter_is_other, (void *)filter, max, ret, ret_count) < 0)
		*ret_count = 0; /* user space selects */
}
