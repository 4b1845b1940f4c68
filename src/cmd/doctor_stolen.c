// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which ports of services clients were given, from the history. */
#include "doctor_stolen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../cleanup.h"
#include "../history.h"
#include "../proc.h"

struct doctor_history {
	struct history_reader *reader;
	char boot_id[HISTORY_BOOT_ID_SIZE]; /* namespaces' numbers and cookies are of this boot; "" = not readable */
};

int doctor_history_open(struct doctor_history **ret)
{
	_free_ struct doctor_history *h = calloc(1, sizeof(*h));
	char err[HISTORY_ERR_SIZE];
	int r;

	*ret = NULL;
	if (!h)
		return -ENOMEM;
	r = history_reader_open(HISTORY_DEFAULT_PATH, &h->reader, err);
	if (r < 0)
		return r;
	history_boot_id(h->boot_id);
	*ret = TAKE_PTR(h);
	return 0;
}

void doctor_history_close(struct doctor_history *h)
{
	if (!h)
		return;
	history_reader_close(h->reader);
	free(h);
}

struct doctor_search {
	const struct doctor_history *h;
	enum event_how how;
	uint64_t cookie; /* whose port it is; 0 = nobody has it now */
	struct doctor_stolen *stolen;
};

static bool doctor_is_of_this_boot(const struct doctor_history *h, const struct history_life *life)
{
	return h->boot_id[0] && life->boot_id && !strcmp(h->boot_id, life->boot_id);
}

static int doctor_take_how(void *arg, const struct history_life *life)
{
	struct doctor_search *search = arg;

	if (!doctor_is_of_this_boot(search->h, life))
		return 0;
	search->how = life->how;
	return 1; /* the newest life of the socket is the one that it lives */
}

enum event_how doctor_history_how(struct doctor_history *h, uint32_t netns_inum, const struct sockdiag_socket *sock)
{
	struct history_query query = { .port = sock->local.port,
				       .remote_port = -1,
				       .proto = (int)sock->proto,
				       .netns_inum = netns_inum,
				       .cookie = sock->cookie };
	struct doctor_search search = { .h = h };

	if (h && sock->cookie)
		history_find(h->reader, &query, doctor_take_how, &search);
	return search.how;
}

static int doctor_take_life(void *arg, const struct history_life *life)
{
	struct doctor_search *search = arg;
	struct doctor_stolen *stolen = search->stolen;
	struct doctor_taker *taker = &stolen->takers[stolen->taker_count];
	bool chosen = life->how == HOW_CONNECT || life->how == HOW_AUTOBIND || life->how == HOW_BIND0;

	if (!chosen || !doctor_is_of_this_boot(search->h, life) || (search->cookie && life->cookie == search->cookie))
		return 0;
	stolen->times++;
	if (stolen->taker_count == DOCTOR_TAKERS_MAX)
		return 0;
	stolen->taker_count++;
	*taker = (struct doctor_taker){ .how = life->how, .pid = life->pid, .begin_ns = life->begin_ns };
	if (life->name)
		memcpy(taker->name, life->name, strnlen(life->name, sizeof(taker->name) - 1));
	return 0;
}

int doctor_history_stolen(struct doctor_history *h, uint32_t netns_inum, const struct overlap_port *port,
			  struct doctor_stolen *ret)
{
	struct history_query query = { .port = port->port,
				       .remote_port = -1,
				       .proto = (int)port->proto,
				       .netns_inum = netns_inum };
	struct doctor_search search = { .h = h, .cookie = port->cookie, .stolen = ret };
	int r;

	if (!h)
		return 0;
	*ret = (struct doctor_stolen){ .proto = port->proto, .port = port->port };
	r = history_find(h->reader, &query, doctor_take_life, &search);
	return r < 0 ? r : ret->times > 0;
}
