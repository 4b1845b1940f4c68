// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "cgroup_tree.h"

#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"

static int cgroup_tree_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int cgroup_tree_add(uint64_t **ids, size_t count, uint64_t id)
{
	/* room is doubled at each power of two */
	uint64_t *grown = count & (count - 1) ? *ids : reallocarray(*ids, count ? 2 * count : 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	*ids = grown;
	grown[count] = id;
	return 0;
}

struct cgroup_tree_choice {
	bool (*wants)(void *arg, const char *below); /* NULL = all */
	void *arg;
	size_t path_len, max;
};

/* What goes away during the walk is left out. */
static int cgroup_tree_walk(FTS *fts, const struct cgroup_tree_choice *choice, uint64_t **ids, size_t *count)
{
	FTSENT *entry;
	int r = 0;

	while (r == 0 && *count < choice->max && (errno = 0, entry = fts_read(fts))) {
		if (entry->fts_level == 0 && entry->fts_info != FTS_D && entry->fts_info != FTS_DP)
			return entry->fts_errno ? -entry->fts_errno : -ENOTDIR;
		if (entry->fts_info != FTS_D ||
		    (choice->wants && !choice->wants(choice->arg, entry->fts_path + choice->path_len)))
			continue;
		r = cgroup_tree_add(ids, *count, (uint64_t)entry->fts_statp->st_ino);
		*count += r == 0;
	}
	return r ? r : *count < choice->max ? -errno : 0;
}

int cgroup_tree_choose(const char *path, bool (*wants)(void *arg, const char *below), void *arg, size_t max,
		       uint64_t **ret, size_t *ret_count)
{
	struct cgroup_tree_choice choice = { wants, arg, strlen(path), max };
	char *paths[] = { (char *)path, NULL };
	FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
	_free_ uint64_t *ids = NULL;
	size_t count = 0;
	int r;

	if (!fts)
		return -errno;
	r = cgroup_tree_walk(fts, &choice, &ids, &count);
	fts_close(fts);
	if (r < 0)
		return r;
	qsort(ids, count, sizeof(*ids), cgroup_tree_compare);
	*ret = TAKE_PTR(ids);
	*ret_count = count;
	return 0;
}

int cgroup_tree_ids(const char *path, uint64_t **ret, size_t *ret_count)
{
	return cgroup_tree_choose(path, NULL, NULL, SIZE_MAX, ret, ret_count);
}

bool cgroup_tree_has(const uint64_t *ids, size_t count, uint64_t id)
{
	return count && bsearch(&id, ids, count, sizeof(*ids), cgroup_tree_compare);
}
