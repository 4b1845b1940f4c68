// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "doctor_ports.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "../cleanup.h"
#include "../parse.h"

/* ---- sockets ---- */

struct doctor_look {
	struct doctor_ports *ports;
	struct doctor_netns *netns;
};

static int doctor_add_socket(void *arg, const struct sockdiag_socket *sock)
{
	struct doctor_look *look = arg;
	struct overlap *o = &look->netns->overlap;
	struct overlap_port port = { .proto = sock->proto,
				     .port = sock->local.port,
				     .use = sock->proto == PROTO_TCP ? OVERLAP_LISTENER : OVERLAP_BOUND,
				     .inode = sock->inode,
				     .cookie = sock->cookie };
	int r;

	/* A look into the history for each connection would be many: first what needs none. */
	if (!overlap_is_at_risk(&o->facts, port.port) || !overlap_is_service(sock, "", HOW_NONE))
		return 0;
	if (look->ports->services)
		port.service = service_name(look->ports->services, port.port, port.proto);
	if (!overlap_is_service(sock, port.service,
				doctor_history_how(look->ports->history, o->facts.inum, sock)))
		return 0;
	r = overlap_add(o, &port);
	return r < 0 ? r : 0;
}

/* In the namespace's own thread. 0 or -ENOMEM: what cannot be listed is a finding. */
static int doctor_look_at_sockets(void *arg)
{
	struct doctor_look *look = arg;

	for (enum event_proto proto = 0; proto < PROTO_COUNT; proto++) {
		int ipv4 = sockdiag_dump(proto, 4, doctor_add_socket, look);
		int ipv6 = sockdiag_dump(proto, 6, doctor_add_socket, look);
		int r = ipv4 < 0 ? ipv4 : ipv6 == -ENOENT ? 0 : ipv6; /* IPv6 switched off */

		if (r == -ENOMEM)
			return r;
		if (r < 0)
			look->netns->error = r;
	}
	return 0;
}

/* ---- daemons that are not running ---- */

/* In the order in which systemd looks: the first file of a name counts. */
static const char *const doctor_unit_dirs[] = {
	"/etc/systemd/system",	   "/run/systemd/system", "/usr/local/lib/systemd/system",
	"/usr/lib/systemd/system", "/lib/systemd/system",
};

/* A masked unit is a link to /dev/null. */
static bool doctor_has_unit(const char *unit)
{
	struct stat st;
	char path[256];

	for (size_t i = 0; i < sizeof(doctor_unit_dirs) / sizeof(doctor_unit_dirs[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", doctor_unit_dirs[i], unit);
		if (stat(path, &st) == 0)
			return S_ISREG(st.st_mode);
	}
	return false;
}

/* The unit that has a service's name, its name and "d", or its socket. */
static bool doctor_find_unit(const char *service, char ret[OVERLAP_UNIT_SIZE])
{
	static const char *const endings[] = { ".service", "d.service", ".socket" };

	if (strchr(service, '/'))
		return false;
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		snprintf(ret, OVERLAP_UNIT_SIZE, "%s%s", service, endings[i]);
		if (doctor_has_unit(ret))
			return true;
	}
	return false;
}

static bool doctor_add_named(void *arg, const char *name, uint16_t number, enum event_proto proto)
{
	struct overlap *o = arg;
	struct overlap_port port = { .proto = proto, .port = number, .use = OVERLAP_NAMED, .service = name };

	return overlap_is_at_risk(&o->facts, number) && doctor_find_unit(name, port.unit) &&
	       overlap_add(o, &port) < 0;
}

/* ---- namespaces ---- */

static void doctor_netns_free(struct doctor_netns *netns)
{
	if (!netns)
		return;
	overlap_free(&netns->overlap);
	free(netns->stolen);
	free(netns);
}

static void doctor_netns_cleanup(struct doctor_netns **netns)
{
	doctor_netns_free(*netns);
}

static int doctor_keep_netns(struct doctor_ports *ports, struct doctor_netns *netns)
{
	if (ports->count == ports->room) {
		size_t room = ports->room ? 2 * ports->room : 16;
		struct doctor_netns **grown = reallocarray(ports->list, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		ports->list = grown;
		ports->room = room;
	}
	ports->list[ports->count++] = netns;
	return 0;
}

static int doctor_find_stolen(struct doctor_ports *ports, struct doctor_netns *netns)
{
	struct overlap *o = &netns->overlap;

	overlap_sort(o);
	netns->stolen = calloc(o->count + 1, sizeof(*netns->stolen));
	if (!netns->stolen)
		return -ENOMEM;
	for (size_t i = 0; i < o->count; i++)
		if (doctor_history_stolen(ports->history, o->facts.inum, &o->ports[i],
					  &netns->stolen[netns->stolen_count]) > 0)
			netns->stolen_count++;
	return 0;
}

/* Our own is kept whatever it has. */
static int doctor_read_netns(struct doctor_ports *ports, uint32_t pid)
{
	_cleanup_(doctor_netns_cleanup) struct doctor_netns *netns = calloc(1, sizeof(*netns));
	struct doctor_look look = { ports, netns };
	int r;

	if (!netns)
		return -ENOMEM;
	netns->pid = pid;
	netns->error = netns_read_sysctls(NULL, pid, &netns->overlap.facts);
	if (netns->error < 0 && pid)
		return netns->error;
	if (netns->error == 0) {
		r = pid ? netns_run(NULL, pid, netns->overlap.facts.inum, doctor_look_at_sockets, &look)
			: doctor_look_at_sockets(&look);
		if (r < 0)
			return r;
	}
	if (!pid && netns->error == 0 && ports->services)
		service_each_local(ports->services, doctor_add_named, &netns->overlap);
	if (pid && !netns->overlap.count)
		return 0;
	r = doctor_find_stolen(ports, netns);
	if (r == 0)
		r = doctor_keep_netns(ports, netns);
	if (r == 0)
		TAKE_PTR(netns);
	return r;
}

struct doctor_inums {
	uint32_t *list;
	size_t count, room;
};

static void doctor_inums_free(struct doctor_inums *inums)
{
	free(inums->list);
}

/* 1 if it is new, 0, or -ENOMEM. */
static int doctor_add_inum(struct doctor_inums *inums, uint32_t inum)
{
	for (size_t i = 0; i < inums->count; i++)
		if (inums->list[i] == inum)
			return 0;
	if (inums->count == inums->room) {
		size_t room = inums->room ? 2 * inums->room : 64;
		uint32_t *grown = reallocarray(inums->list, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		inums->list = grown;
		inums->room = room;
	}
	inums->list[inums->count++] = inum;
	return 1;
}

/* Processes come and go: only a lack of memory ends the walk. */
static int doctor_read_process(struct doctor_ports *ports, struct doctor_inums *inums, const char *pid_text)
{
	char path[64];
	struct stat st;
	uint32_t pid;
	int r;

	if (parse_u32(pid_text, 1, UINT32_MAX, &pid) < 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%u/ns/net", pid);
	if (stat(path, &st) < 0) {
		ports->hidden |= errno == EACCES || errno == EPERM;
		return 0;
	}
	r = doctor_add_inum(inums, (uint32_t)st.st_ino);
	if (r > 0)
		r = doctor_read_netns(ports, pid);
	if (r == -ESRCH)
		inums->count--; /* by way of the next process in it */
	ports->hidden |= r == -EPERM || r == -EACCES;
	return r == -ENOMEM ? r : 0;
}

static int doctor_read_others(struct doctor_ports *ports)
{
	_cleanup_(doctor_inums_free) struct doctor_inums inums = { 0 };
	_closedir_ DIR *dir = opendir("/proc");
	struct dirent *entry;
	int r = doctor_add_inum(&inums, ports->list[0]->overlap.facts.inum);

	while (r >= 0 && dir && (entry = readdir(dir)))
		r = doctor_read_process(ports, &inums, entry->d_name);
	return r < 0 ? r : 0;
}

/* ---- all ---- */

static int doctor_compare_inode(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int doctor_find_owners(struct doctor_ports *ports)
{
	_free_ uint32_t *inodes = NULL;
	size_t n = 0;

	for (size_t i = 0; i < ports->count; i++)
		n += ports->list[i]->overlap.count;
	inodes = calloc(n + 1, sizeof(*inodes));
	if (!inodes)
		return -ENOMEM;
	n = 0;
	for (size_t i = 0; i < ports->count; i++)
		for (size_t j = 0; j < ports->list[i]->overlap.count; j++)
			if (ports->list[i]->overlap.ports[j].inode)
				inodes[n++] = ports->list[i]->overlap.ports[j].inode;
	qsort(inodes, n, sizeof(*inodes), doctor_compare_inode);
	return owners_read(NULL, inodes, n, &ports->owners) == -ENOMEM ? -ENOMEM : 0;
}

int doctor_ports_read(struct doctor_ports *ret)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	/* Without names and history it says less, and nothing wrong. */
	if (service_table_new(NULL, &ret->services) < 0)
		ret->services = NULL;
	doctor_history_open(&ret->history);
	r = doctor_read_netns(ret, 0);
	if (r == 0)
		r = doctor_read_others(ret);
	if (r == 0)
		r = doctor_find_owners(ret);
	if (r < 0)
		doctor_ports_free(ret);
	return r;
}

void doctor_ports_free(struct doctor_ports *ports)
{
	for (size_t i = 0; i < ports->count; i++)
		doctor_netns_free(ports->list[i]);
	free(ports->list);
	owners_free(&ports->owners);
	service_table_free(ports->services);
	doctor_history_close(ports->history);
	memset(ports, 0, sizeof(*ports));
}
