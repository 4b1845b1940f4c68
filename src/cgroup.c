// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>
#include "cgroup.h"

#define CGROUP_HASH_LEN 64 /* container ids of all OCI engines: SHA-256 or random, in hex */

/* How engines name the group of a container: a component, or the parent's name and the id below. */
static const struct {
	const char *prefix, *runtime;
} cgroup_scopes[] = {
	{ "docker-", "docker" },
	{ "cri-containerd-", "containerd" },
	{ "nerdctl-", "containerd" },
	{ "crio-", "cri-o" },
	{ "libpod-", "podman" },
}, cgroup_parents[] = {
	{ "docker", "docker" },
	{ "actions_job", "docker" }, /* GitHub's runners */
};

#define CGROUP_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* A part of a path, not NUL terminated. */
struct cgroup_part {
	const char *s;
	size_t len;
};

static bool cgroup_is_hex(struct cgroup_part p)
{
	for (size_t i = 0; i < p.len; i++)
		if (!(p.s[i] >= '0' && p.s[i] <= '9') && !(p.s[i] >= 'a' && p.s[i] <= 'f'))
			return false;
	return true;
}

static bool cgroup_is_hash(struct cgroup_part p)
{
	return p.len == CGROUP_HASH_LEN && cgroup_is_hex(p);
}

static bool cgroup_equals(struct cgroup_part p, const char *s)
{
	return p.len == strlen(s) && memcmp(p.s, s, p.len) == 0;
}

static bool cgroup_cut_prefix(struct cgroup_part *p, const char *prefix)
{
	size_t n = strlen(prefix);

	if (p->len < n || memcmp(p->s, prefix, n) != 0)
		return false;
	p->s += n;
	p->len -= n;
	return true;
}

static bool cgroup_cut_suffix(struct cgroup_part *p, const char *suffix)
{
	size_t n = strlen(suffix);

	if (p->len < n || memcmp(p->s + p->len - n, suffix, n) != 0)
		return false;
	p->len -= n;
	return true;
}

/* Copies a part that fits and is visible ASCII throughout; a directory can be named anything. */
static bool cgroup_set(char *to, size_t size, struct cgroup_part p)
{
	if (p.len == 0 || p.len >= size)
		return false;
	for (size_t i = 0; i < p.len; i++)
		if (p.s[i] <= ' ' || p.s[i] > '~')
			return false;
	memcpy(to, p.s, p.len);
	to[p.len] = '\0';
	return true;
}

static bool cgroup_set_container(struct cgroup_facts *facts, struct cgroup_part id,
				 const char *runtime)
{
	if (!cgroup_set(facts->container_id, sizeof(facts->container_id), id))
		return false;
	strcpy(facts->container_runtime, runtime);
	return true;
}

/* The component before the one that begins at `s`. Empty at the root. */
static struct cgroup_part cgroup_parent(const char *path, const char *s)
{
	struct cgroup_part parent = { path, 0 };
	const char *end = s;

	while (end > path && end[-1] == '/')
		end--;
	for (parent.s = end; parent.s > path && parent.s[-1] != '/'; parent.s--)
		;
	parent.len = (size_t)(end - parent.s);
	return parent;
}

/* A pod's uid: 8-4-4-4-12 hex digits, or the 32 digits of a static pod's hash. */
static bool cgroup_set_pod(struct cgroup_facts *facts, struct cgroup_part uid)
{
	char text[EVENT_ID_SIZE];

	if ((uid.len != 36 && uid.len != 32) || !cgroup_set(text, sizeof(text), uid))
		return false;
	for (size_t i = 0; i < uid.len; i++) {
		bool dash = uid.len == 36 && (i == 8 || i == 13 || i == 18 || i == 23);

		if (dash ? text[i] != '-' && text[i] != '_'
			 : !cgroup_is_hex((struct cgroup_part){ text + i, 1 }))
			return false;
		/* systemd reads a dash in a slice's name as a slash, so kubelet writes _. */
		if (dash)
			text[i] = '-';
	}
	strcpy(facts->pod_uid, text);
	return true;
}

/* "kubepods-burstable-pod<uid>.slice", with anything before it (kind: "kubelet-"), or "pod<uid>" */
static bool cgroup_find_pod(struct cgroup_part p, struct cgroup_facts *facts)
{
	const char *kube = memmem(p.s, p.len, "kubepods", 8);
	const char *pod = kube ? memmem(kube, p.len - (size_t)(kube - p.s), "-pod", 4) : NULL;

	if (!pod)
		return cgroup_cut_prefix(&p, "pod") && cgroup_set_pod(facts, p);
	p.len -= (size_t)(pod + 4 - p.s);
	p.s = pod + 4;
	return cgroup_cut_suffix(&p, ".slice") && cgroup_set_pod(facts, p);
}

/* "<slice>:cri-containerd:<id>": containerd told to use cgroupfs where kubelet uses systemd. */
static bool cgroup_find_colons(struct cgroup_part p, struct cgroup_facts *facts)
{
	const char *const mark = ":cri-containerd:";
	const char *at = memmem(p.s, p.len, mark, strlen(mark));
	struct cgroup_part id;

	if (!at)
		return false;
	id.s = at + strlen(mark);
	id.len = p.len - (size_t)(id.s - p.s);
	if (!cgroup_is_hash(id))
		return false;
	cgroup_find_pod((struct cgroup_part){ p.s, (size_t)(at - p.s) }, facts);
	return cgroup_set_container(facts, id, "containerd");
}

static bool cgroup_find_hash(const char *path, struct cgroup_part p, struct cgroup_facts *facts)
{
	struct cgroup_part parent = cgroup_parent(path, p.s), id;

	for (size_t i = 0; i < CGROUP_COUNT_OF(cgroup_scopes); i++) {
		id = p;
		if (cgroup_cut_prefix(&id, cgroup_scopes[i].prefix) && cgroup_is_hash(id))
			return cgroup_set_container(facts, id, cgroup_scopes[i].runtime);
	}
	if (!cgroup_is_hash(p))
		return false;
	for (size_t i = 0; i < CGROUP_COUNT_OF(cgroup_parents); i++)
		if (cgroup_equals(parent, cgroup_parents[i].prefix))
			return cgroup_set_container(facts, p, cgroup_parents[i].runtime);
	/* Below a pod, several runtimes write the bare id: which one it is cannot be told. */
	return cgroup_find_pod(parent, facts) && cgroup_set_container(facts, p, "");
}

static bool cgroup_find_container(const char *path, struct cgroup_part p,
				  struct cgroup_facts *facts)
{
	struct cgroup_part name = p;

	if (cgroup_cut_prefix(&name, "lxc.payload.") ||
	    cgroup_equals(cgroup_parent(path, p.s), "lxc"))
		return cgroup_set_container(facts, name, "lxc");
	cgroup_cut_suffix(&p, ".scope");
	return cgroup_find_hash(path, p, facts) || cgroup_find_colons(p, facts);
}

/* A systemd unit; `unit` stays empty if it is one that does not fit. */
static bool cgroup_find_unit(struct cgroup_part p, struct cgroup_facts *facts)
{
	struct cgroup_part stem = p;

	if (!cgroup_cut_suffix(&stem, ".service") && !cgroup_cut_suffix(&stem, ".scope"))
		return false;
	/* systemd writes _ before a name that the kernel might use itself ("cpu.service"), or that
	 * begins with one. */
	cgroup_cut_prefix(&p, "_");
	cgroup_set(facts->unit, sizeof(facts->unit), p);
	return true;
}

/*
 * From the end to the beginning: the innermost container counts, and the innermost unit inside of
 * it. A unit outside of the container is the engine's, or the container's own scope, which only
 * repeats its id.
 */
void cgroup_parse_path(const char *path, struct cgroup_facts *ret)
{
	struct cgroup_part p = cgroup_parent(path, path + strlen(path));
	bool unit_done = false;

	memset(ret, 0, sizeof(*ret));
	for (; p.len; p = cgroup_parent(path, p.s)) {
		if (!ret->container_id[0] && cgroup_find_container(path, p, ret))
			unit_done = true;
		if (!unit_done)
			unit_done = cgroup_find_unit(p, ret);
		if (!ret->pod_uid[0])
			cgroup_find_pod(p, ret);
	}
}

/* The path in a line "ID:CONTROLLERS:PATH" and what stands before it; NULL if it is not one. */
static const char *cgroup_line_path(const char *line, struct cgroup_part *ret_controllers)
{
	const char *first = strchr(line, ':'), *second = first ? strchr(first + 1, ':') : NULL;

	if (!second)
		return NULL;
	*ret_controllers = (struct cgroup_part){ first + 1, (size_t)(second - first - 1) };
	return second + 1;
}

/* Which of two hierarchies' facts tell more: a container, then a unit, then which was first. */
static bool cgroup_tells_more(const struct cgroup_facts *a, const struct cgroup_facts *b)
{
	if (!a->container_id[0] != !b->container_id[0])
		return a->container_id[0];
	return !a->container_id[0] && a->unit[0] && !b->unit[0];
}

void cgroup_parse_file(char *text, struct cgroup_facts *ret)
{
	struct cgroup_facts facts, others = { 0 };
	struct cgroup_part controllers;
	char *rest = NULL;

	memset(ret, 0, sizeof(*ret));
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		const char *path = cgroup_line_path(line, &controllers);

		if (!path)
			continue;
		cgroup_parse_path(path, &facts);
		if (controllers.len == 0)
			*ret = facts;
		else if (cgroup_tells_more(&facts, &others) ||
			 (cgroup_equals(controllers, "name=systemd") &&
			  !cgroup_tells_more(&others, &facts)))
			others = facts;
	}
	if (cgroup_tells_more(&others, ret))
		*ret = others;
}

bool cgroup_file_is_hybrid(const char *text)
{
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (*line && strncmp(line, "0::", 3) != 0)
			return true;
	}
	return false;
}
