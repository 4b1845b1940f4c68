// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "parse.h"
#include "proc.h"

#define SNAPSHOT_TRIES 4 /* of a list that changes under the look at it */

/* What the search for namespaces has come to. */
struct snapshot_walk {
	const struct snapshot_options *opts;
	const char *proc;
	struct snapshot *snap;
	uint32_t *closed; /* inodes of namespaces that could not be entered */
	size_t closed_count;
};

/* ---- sockets of one namespace ---- */

/* One of the kernel's lists. `optional`: a kernel may be without it. */
struct snapshot_list {
	enum event_proto proto;
	uint16_t protocol;
	uint8_t ip_version; /* 0 = both */
	bool optional;
};

static int snapshot_grow(struct snapshot *snap, bool only_cookies)
{
	size_t room = snap->room ? 2 * snap->room : 1024;
	void *grown = only_cookies ? reallocarray(snap->cookies, room, sizeof(*snap->cookies)) :
				     reallocarray(snap->sockets, room, sizeof(*snap->sockets));

	if (!grown)
		return -ENOMEM;
	if (only_cookies)
		snap->cookies = grown;
	else
		snap->sockets = grown;
	snap->room = room;
	return 0;
}

static int snapshot_add(void *arg, const struct sockdiag_socket *sock)
{
	const struct snapshot_walk *walk = arg;
	struct snapshot *snap = walk->snap;
	bool only_cookies = walk->opts->only_cookies;

	if (snap->count == snap->room && snapshot_grow(snap, only_cookies) < 0)
		return -ENOMEM;
	if (only_cookies)
		snap->cookies[snap->count++] = sock->cookie;
	else
		snap->sockets[snap->count++] = (struct snapshot_socket){ .sock = *sock };
	return 0;
}

/* One list; again if it was torn. What the last try brought is kept, and said to be torn. */
static int snapshot_dump_list(struct snapshot_walk *walk, const struct snapshot_list *list, bool *torn)
{
	struct sockdiag_query query = { .proto = list->proto,
					.protocol = list->protocol,
					.ip_version = list->ip_version,
					.detail = walk->opts->detail && list->proto == PROTO_TCP };
	size_t before = walk->snap->count;
	int r = -EINTR;

	for (int i = 0; i < SNAPSHOT_TRIES && r == -EINTR; i++) {
		walk->snap->count = before;
		r = sockdiag_dump_some(&query, snapshot_add, walk);
	}
	*torn |= r == -EINTR;
	return r == -EINTR ? 0 : r;
}

static int snapshot_dump_lists(struct snapshot_walk *walk, bool *torn)
{
	static const struct snapshot_list lists[] = {
		{ PROTO_TCP, 0, 0, false },
		{ PROTO_UDP, 0, 4, true },
		{ PROTO_UDP, 0, 6, true },
		{ PROTO_UDP, IPPROTO_UDPLITE, 4, true },
		{ PROTO_UDP, IPPROTO_UDPLITE, 6, true },
	};
	int r = 0;

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]) && r == 0; i++) {
		r = snapshot_dump_list(walk, &lists[i], torn);
		if (r == -ENOENT && lists[i].optional) {
			walk->snap->no_udp |= lists[i].proto == PROTO_UDP && !lists[i].protocol &&
					      lists[i].ip_version == 4;
			r = 0;
		}
	}
	return r;
}

/* TIME_WAIT has the cookie of the socket that was connected, which may be open still, and have another port by now. */
static bool snapshot_is_twin(const struct sockdiag_socket *a, const struct sockdiag_socket *b)
{
	return a->cookie == b->cookie &&
	       ((!a->waits && !b->waits) ||
		(event_is_same_endpoint(&a->local, &b->local) && event_is_same_endpoint(&a->remote, &b->remote)));
}

/* The slot of a socket in a table of numbers of sockets, each 1 more than its place; 0 = free. */
static size_t snapshot_slot(const struct snapshot *snap, const uint32_t *table, size_t mask,
			    const struct sockdiag_socket *sock)
{
	uint64_t x = sock->cookie * 0x9e3779b97f4a7c15ull;
	size_t slot = (size_t)(x ^ x >> 32) & mask;

	while (table[slot] && !snapshot_is_twin(&snap->sockets[table[slot] - 1].sock, sock))
		slot = (slot + 1) & mask;
	return slot;
}

/* A socket that moved in the lists meanwhile may be in them twice: what was told last holds. */
static int snapshot_drop_twins(struct snapshot *snap, size_t first)
{
	size_t mask = 1, kept = first;
	_free_ uint32_t *table = NULL;

	while (mask < 2 * (snap->count - first))
		mask *= 2;
	table = calloc(mask, sizeof(*table));
	if (!table)
		return -ENOMEM;
	for (size_t i = first; i < snap->count; i++) {
		size_t slot = snapshot_slot(snap, table, mask - 1, &snap->sockets[i].sock);

		if (!table[slot])
			table[slot] = (uint32_t)++kept;
		snap->sockets[table[slot] - 1] = snap->sockets[i];
	}
	snap->count = kept;
	return 0;
}

/* ---- namespaces ---- */

static struct snapshot_netns *snapshot_find_netns(const struct snapshot *snap, uint32_t inum)
{
	for (size_t i = 0; i < snap->namespaces; i++)
		if (snap->netns[i].facts.inum == inum)
			return &snap->netns[i];
	return NULL;
}

static int snapshot_add_netns(struct snapshot *snap, uint32_t inum)
{
	struct snapshot_netns *grown = reallocarray(snap->netns, snap->namespaces + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	snap->netns = grown;
	memset(&grown[snap->namespaces], 0, sizeof(*grown));
	grown[snap->namespaces++].facts.inum = inum;
	return 0;
}

/* Runs in the namespace, the last of snap->netns. */
static int snapshot_read_netns(void *arg)
{
	struct snapshot_walk *walk = arg;
	struct snapshot *snap = walk->snap;
	struct snapshot_netns *ns = &snap->netns[snap->namespaces - 1];
	size_t first = snap->count;
	bool torn = false, own = ns->facts.is_own;
	int r = snapshot_dump_lists(walk, &torn);

	if (r < 0)
		return r;
	snap->torn += torn;
	if (walk->opts->only_cookies)
		return 0;
	ns->known = netns_read_sysctls(walk->proc, 0, &ns->facts) == 0;
	ns->facts.is_own = own; /* in here every one is */
	if (!ns->known)
		ns->facts.cookie = netns_cookie();
	r = snapshot_drop_twins(snap, first);
	for (size_t i = first; i < snap->count; i++) {
		snap->sockets[i].netns_inum = ns->facts.inum;
		snap->sockets[i].netns_cookie = ns->facts.cookie;
		snap->sockets[i].netns = snap->namespaces - 1;
	}
	return r;
}

static bool snapshot_is_closed(const struct snapshot_walk *walk, uint32_t inum)
{
	for (size_t i = 0; i < walk->closed_count; i++)
		if (walk->closed[i] == inum)
			return true;
	return false;
}

static int snapshot_add_closed(struct snapshot_walk *walk, uint32_t inum)
{
	uint32_t *grown = reallocarray(walk->closed, walk->closed_count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	walk->closed = grown;
	grown[walk->closed_count++] = inum;
	walk->snap->hidden_namespaces++;
	return 0;
}

static bool snapshot_is_wanted(const struct snapshot_walk *walk, uint32_t inum)
{
	return (!walk->opts->netns_inum || walk->opts->netns_inum == inum) &&
	       !snapshot_find_netns(walk->snap, inum) && !snapshot_is_closed(walk, inum);
}

static int snapshot_enter(struct snapshot_walk *walk, int ns_fd, uint32_t inum)
{
	size_t before = walk->snap->count;
	int r = snapshot_add_netns(walk->snap, inum);

	if (r < 0)
		return r;
	r = netns_run_fd(ns_fd, snapshot_read_netns, walk);
	if (r == 0 || r == -ENOMEM)
		return r;
	walk->snap->count = before;
	walk->snap->namespaces--;
	return snapshot_add_closed(walk, inum);
}

/* The namespace of a file such as "ns/net", if it is a new one. What is gone or forbidden is none. */
static int snapshot_look(struct snapshot_walk *walk, int dir_fd, const char *path)
{
	_close_ int fd = -1;
	struct stat st;

	if (fstatat(dir_fd, path, &st, 0) < 0 || !snapshot_is_wanted(walk, (uint32_t)st.st_ino))
		return 0;
	fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !snapshot_is_wanted(walk, (uint32_t)st.st_ino))
		return 0;
	return snapshot_enter(walk, fd, (uint32_t)st.st_ino);
}

static int snapshot_own(struct snapshot_walk *walk)
{
	struct netns_facts *facts = calloc(1, sizeof(*facts));
	uint32_t inum = 0;
	int r;

	if (!facts)
		return -ENOMEM;
	if (netns_read_sysctls(walk->proc, 0, facts) == 0)
		inum = facts->inum;
	free(facts);
	if (!snapshot_is_wanted(walk, inum))
		return 0;
	r = snapshot_add_netns(walk->snap, inum);
	if (r < 0)
		return r;
	walk->snap->netns[walk->snap->namespaces - 1].facts.is_own = true;
	return snapshot_read_netns(walk);
}

/* ---- where namespaces are found ---- */

/* A thread may be in another namespace than its process. */
static int snapshot_threads(struct snapshot_walk *walk, int dir_fd)
{
	_close_ int fd = openat(dir_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	char path[64];
	int r = 0;

	if (!dir)
		return 0;
	TAKE_FD(fd);
	while (!r && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%.20s/ns/net", entry->d_name);
		r = snapshot_look(walk, dirfd(dir), path);
	}
	return r;
}

static int snapshot_processes(struct snapshot_walk *walk)
{
	_closedir_ DIR *dir = opendir(walk->proc);
	struct dirent *entry;
	uint32_t pid;
	int r = 0;

	if (!dir)
		return -errno;
	while (!r && (entry = readdir(dir))) {
		_close_ int fd = -1;

		if (parse_u32(entry->d_name, 1, UINT32_MAX, &pid))
			continue;
		fd = proc_open(walk->proc, pid, 0);
		r = fd < 0 ? 0 : snapshot_threads(walk, fd);
	}
	return r;
}

/* proc_pid_mountinfo(5): id, parent, device, root, mount point, ... - type. NULL if it is no network namespace. */
static const char *snapshot_mount_path(char *line)
{
	char *rest = NULL, *root = NULL, *path;
	bool is_nsfs = strstr(line, " - nsfs ");

	root = strtok_r(line, " ", &rest);
	for (int i = 1; i < 4 && root; i++)
		root = strtok_r(NULL, " ", &rest);
	path = root ? strtok_r(NULL, " ", &rest) : NULL;
	return path && is_nsfs && !strncmp(root, "net:[", 5) && !strchr(path, '\\') ? path : NULL;
}

static int snapshot_mount(struct snapshot_walk *walk, const char *path)
{
	const char *name = strrchr(path, '/');
	struct snapshot_netns *ns;
	struct stat st;
	int r = snapshot_look(walk, AT_FDCWD, path);

	if (r < 0 || stat(path, &st) < 0)
		return r;
	ns = snapshot_find_netns(walk->snap, (uint32_t)st.st_ino);
	if (ns && !ns->name[0] && name)
		snprintf(ns->name, sizeof(ns->name), "%s", name + 1);
	return 0;
}

static int snapshot_mounts(struct snapshot_walk *walk)
{
	_free_ char *file = NULL, *line = NULL;
	_fclose_ FILE *f = NULL;
	const char *path;
	size_t room = 0;
	int r = 0;

	if (asprintf(&file, "%s/self/mountinfo", walk->proc) < 0) {
		file = NULL; /* undefined after a failure */
		return -ENOMEM;
	}
	f = fopen(file, "re");
	while (f && r == 0 && getline(&line, &room, f) >= 0) {
		path = snapshot_mount_path(line);
		r = path ? snapshot_mount(walk, path) : 0;
	}
	return r;
}

/* ---- owners ---- */

static int snapshot_compare_inode(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static bool snapshot_lacks_owner(const struct snapshot_walk *walk, const struct snapshot_socket *sock)
{
	return sock->sock.inode && !(walk->opts->has_owner && walk->opts->has_owner(walk->opts->arg, sock));
}

static int snapshot_find_owners(struct snapshot_walk *walk)
{
	struct snapshot *snap = walk->snap;
	_free_ uint32_t *inodes = calloc(snap->count + 1, sizeof(*inodes));
	size_t n = 0;
	int r;

	if (!inodes)
		return -ENOMEM;
	for (size_t i = 0; i < snap->count; i++)
		if (snapshot_lacks_owner(walk, &snap->sockets[i]))
			inodes[n++] = snap->sockets[i].sock.inode;
	if (!n)
		return 0;
	qsort(inodes, n, sizeof(*inodes), snapshot_compare_inode);
	r = owners_read(walk->proc, inodes, n, &snap->owners);
	for (size_t i = 0; i < snap->count && r == 0; i++) {
		struct snapshot_socket *ss = &snap->sockets[i];
		const struct owner *first;

		if (!ss->sock.inode)
			continue;
		ss->owner_count = owners_find(&snap->owners, ss->sock.inode, &first);
		ss->owner_first = ss->owner_count ? (size_t)(first - snap->owners.list) : 0;
	}
	return r;
}

int snapshot_take(const struct snapshot_options *opts, struct snapshot *ret)
{
	struct snapshot snap = { 0 };
	struct snapshot_walk walk = { .opts = opts, .snap = &snap };
	int r;

	walk.proc = opts->proc_path ? opts->proc_path : "/proc";
	r = snapshot_own(&walk);
	if (r == 0)
		r = snapshot_mounts(&walk);
	if (r == 0)
		r = snapshot_processes(&walk);
	if (r == 0 && !opts->no_owners && !opts->only_cookies)
		r = snapshot_find_owners(&walk);
	free(walk.closed);
	if (r < 0)
		snapshot_free(&snap);
	*ret = snap;
	return r;
}

enum life_state snapshot_life_state(const struct sockdiag_socket *sock)
{
	if (sock->waits)
		return LIFE_TIME_WAIT;
	if (sock->state == SOCKDIAG_LISTEN)
		return LIFE_LISTENING;
	return sock->remote.port && (sock->state != SOCKDIAG_CLOSE || sock->proto == PROTO_UDP) ? LIFE_CONNECTED :
												  LIFE_BOUND;
}

void snapshot_free(struct snapshot *snap)
{
	owners_free(&snap->owners);
	free(snap->netns);
	free(snap->sockets);
	free(snap->cookies);
	*snap = (struct snapshot){ 0 };
}
