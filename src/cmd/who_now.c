// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The present, as the kernel has it; what it does not know, such as whose TIME_WAIT it is, from the history. */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "../cleanup.h"
#include "../snapshot.h"
#include "who.h"

/* One socket, joined with what the history has of it. */
struct who_socket {
	struct history_life life;
	char boot_id[HISTORY_BOOT_ID_SIZE];
	char name[EVENT_NAME_SIZE + 1], user[64];
	char texts[4][EVENT_PATH_SIZE]; /* executable, command line, container, unit */
};

static const char *who_copy(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%s", text);
	return to;
}

/* The process that the history has, unless the kernel knows one that has it open now. */
static void who_join_process(struct who_socket *ws, const struct history_life *life)
{
	if (ws->life.pid && ws->life.pid != life->pid)
		return;
	ws->life.pid = life->pid;
	ws->life.process_start_ns = life->process_start_ns;
	if (!ws->name[0])
		who_copy(ws->name, sizeof(ws->name), life->name);
	if (!ws->life.has_uid || ws->life.state == LIFE_TIME_WAIT) {
		ws->life.has_uid = life->has_uid;
		ws->life.uid = life->uid;
		who_copy(ws->user, sizeof(ws->user), life->user);
	}
	ws->life.executable = who_copy(ws->texts[0], EVENT_PATH_SIZE, life->executable);
	ws->life.command_line = who_copy(ws->texts[1], EVENT_PATH_SIZE, life->command_line);
	ws->life.container_id = who_copy(ws->texts[2], EVENT_PATH_SIZE, life->container_id);
	ws->life.unit = who_copy(ws->texts[3], EVENT_PATH_SIZE, life->unit);
}

/* Cookies are only unique since the boot. */
static int who_join(void *arg, const struct history_life *life)
{
	struct who_socket *ws = arg;

	if (strcmp(life->boot_id, ws->boot_id) || life->state == LIFE_OVER || life->proto != ws->life.proto)
		return 0;
	ws->life.begin_ns = life->begin_ns;
	ws->life.since_ns = life->since_ns;
	ws->life.end_ns = life->end_ns;
	ws->life.how = life->how;
	ws->life.role = life->role;
	ws->life.cause = life->cause;
	who_join_process(ws, life);
	return 1;
}

static int who_join_history(struct who *who, struct who_socket *ws)
{
	struct history_query query = { .port = ws->life.local.port, .remote_port = -1, .proto = (int)ws->life.proto,
				       .cookie = ws->life.cookie };
	int r;

	if (!who->history || !ws->life.cookie)
		return 0;
	r = history_find(who->history, &query, who_join, ws);
	return r < 0 ? r : 0;
}

static void who_set_user(struct who_socket *ws, const struct sockdiag_socket *sock)
{
	const struct passwd *user = sock->waits ? NULL : getpwuid(sock->uid);

	ws->life.has_uid = !sock->waits;
	ws->life.uid = sock->uid;
	if (user)
		who_copy(ws->user, sizeof(ws->user), user->pw_name);
}

static void who_fill(struct who_socket *ws, const struct snapshot_socket *ss, const struct owner *owner)
{
	struct history_life *life = &ws->life;

	*life = (struct history_life){
		.proto = ss->sock.proto, .local = ss->sock.local, .remote = ss->sock.remote,
		.cookie = ss->sock.cookie, .netns_inum = ss->netns_inum, .netns_cookie = ss->netns_cookie,
		.state = snapshot_life_state(&ss->sock), .pid = owner ? owner->pid : 0,
		.name = ws->name, .user = ws->user, .executable = "", .command_line = "", .container_id = "",
		.unit = "", .boot_id = "",
	};
	life->held = life->state == LIFE_TIME_WAIT ? LIFE_CONNECTED : life->state;
	if (!ss->sock.remote.port)
		life->remote = (struct endpoint){ 0 };
	ws->user[0] = '\0';
	snprintf(ws->name, sizeof(ws->name), "%.*s", EVENT_NAME_SIZE, owner ? owner->name : "");
	who_set_user(ws, &ss->sock);
}

static int who_show_socket(struct who *who, struct who_socket *ws, const struct snapshot *snap,
			   const struct snapshot_socket *ss)
{
	const struct owner *owners = ss->owner_count ? &snap->owners.list[ss->owner_first] : NULL;
	struct history_row row = { .life = &ws->life };
	int r;

	who_fill(ws, ss, owners);
	r = who_join_history(who, ws);
	if (r < 0)
		return r;
	if (ss->owner_count > 1) {
		row.owners = owners + 1;
		row.owner_count = ss->owner_count - 1;
	}
	row.has_expires = ss->sock.waits;
	row.expires_s = (ss->sock.expires_ms + 999) / 1000;
	who_show(who, &row);
	return who->out.error;
}

/* Those who are in the way first: listeners, bound sockets, connections, TIME_WAIT. */
static int who_show_all(struct who *who, struct who_socket *ws, const struct snapshot *snap)
{
	static const enum life_state order[] = { LIFE_LISTENING, LIFE_BOUND, LIFE_CONNECTED, LIFE_TIME_WAIT };
	int r = 0;

	for (size_t o = 0; o < sizeof(order) / sizeof(order[0]); o++)
		for (size_t i = 0; i < snap->count && !r; i++)
			if (snapshot_life_state(&snap->sockets[i].sock) == order[o] &&
			    who_is_meant(who, snap->sockets[i].sock.local.port, snap->sockets[i].sock.proto))
				r = who_show_socket(who, ws, snap, &snap->sockets[i]);
	return r;
}

int who_now(struct who *who)
{
	struct snapshot_options opts = { .netns_inum = who->opts.netns_inum };
	_cleanup_(snapshot_free) struct snapshot snap = { 0 };
	struct who_socket ws = { 0 };
	int r = snapshot_take(&opts, &snap);

	if (r < 0)
		return r;
	history_boot_id(ws.boot_id);
	r = who_show_all(who, &ws, &snap);
	if (snap.hidden_namespaces)
		fprintf(stderr, "porttrace: %zu network namespaces could not be looked at: not permitted\n",
			snap.hidden_namespaces);
	who->no_udp = snap.no_udp && who->opts.query.protos & 1u << PROTO_UDP;
	if (who->no_udp)
		fprintf(stderr, "porttrace: UDP sockets are not visible: this kernel has no udp_diag "
				"(modprobe udp_diag)\n");
	return r;
}
