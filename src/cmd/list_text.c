// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Columns as in the table of events: a longer value pushes what follows, and the next column with room to spare brings
 * the line back into step. "-" is absent.
 */
#include "list_text.h"

#include <ctype.h>
#include <netinet/in.h>
#include <string.h>

#include "../cache.h"
#include "../human.h"
#include "../utf8.h"
#include "../visible.h"

#define LIST_WORD_MAX 64
#define LIST_CONTAINER_SHORT 12 /* as docker ps shows it */

/* One cell being written. */
struct list_cell {
	struct buf *b;
	const struct snapshot_netns *ns;
	size_t invisible; /* bytes so far that take no place on the screen */
	bool wide;
};

/* ---- what can be told as a number ---- */

static bool list_pid(const struct event *ev, uint64_t *ret)
{
	*ret = ev->pid;
	return ev->pid;
}

static bool list_age(const struct event *ev, uint64_t *ret)
{
	*ret = ev->duration_ns;
	return ev->duration_ns;
}

static bool list_sent(const struct event *ev, uint64_t *ret)
{
	*ret = ev->bytes_sent;
	return ev->has_bytes;
}

static bool list_received(const struct event *ev, uint64_t *ret)
{
	*ret = ev->bytes_received;
	return ev->has_bytes;
}

static bool list_queue(const struct event *ev, uint64_t *ret)
{
	*ret = ev->queue;
	return ev->has_queue;
}

static bool list_backlog(const struct event *ev, uint64_t *ret)
{
	*ret = ev->backlog;
	return ev->has_backlog;
}

static bool list_left(const struct event *ev, uint64_t *ret)
{
	*ret = (uint64_t)ev->expires_ms * (NS_PER_SEC / 1000);
	return ev->has_expires;
}

static bool list_fd(const struct event *ev, uint64_t *ret)
{
	*ret = (uint64_t)ev->fd;
	return ev->has_fd;
}

static bool list_cookie(const struct event *ev, uint64_t *ret)
{
	*ret = ev->cookie;
	return ev->cookie;
}

static bool list_mark(const struct event *ev, uint64_t *ret)
{
	*ret = ev->mark;
	return ev->mark;
}

static bool list_device(const struct event *ev, uint64_t *ret)
{
	*ret = ev->bound_ifindex;
	return ev->bound_ifindex;
}

/* ---- cells ---- */

static void list_word(struct list_cell *cell, const char *text, size_t max)
{
	if (!strnlen(text, max))
		buf_char(cell->b, '-');
	cell->invisible += visible_text(cell->b, text, max);
}

static const struct port_facts *list_service_side(const struct event *ev)
{
	return event_service_is_remote(ev) ? &ev->remote_facts : &ev->local_facts;
}

static void list_cell_proto(struct list_cell *cell, const struct event *ev)
{
	buf_str(cell->b, ev->protocol == IPPROTO_UDPLITE ? "udplite" : event_proto_names[ev->proto]);
}

static void list_cell_state(struct list_cell *cell, const struct event *ev)
{
	list_word(cell, ev->socket_state ? ev->socket_state : "", LIST_WORD_MAX);
}

/* "nginx", "nginx+3" (three more have it open), "curl (exited)" */
static void list_cell_process(struct list_cell *cell, const struct event *ev)
{
	list_word(cell, ev->name, sizeof(ev->name));
	if (ev->owner_exited)
		buf_lit(cell->b, " (exited)");
	if (ev->owner_count < 2)
		return;
	buf_char(cell->b, '+');
	buf_u64(cell->b, ev->owner_count - 1);
}

static void list_cell_user(struct list_cell *cell, const struct event *ev)
{
	if (ev->has_uid && !event_who(ev)->user[0])
		buf_u64(cell->b, ev->uid);
	else
		list_word(cell, event_who(ev)->user, sizeof(event_who(ev)->user));
}

static void list_cell_local(struct list_cell *cell, const struct event *ev)
{
	human_endpoint(cell->b, &ev->local, &ev->local_facts);
}

static void list_cell_remote(struct list_cell *cell, const struct event *ev)
{
	human_endpoint(cell->b, &ev->remote, &ev->remote_facts);
}

static void list_cell_class(struct list_cell *cell, const struct event *ev)
{
	list_word(cell, port_class_names[list_service_side(ev)->class], LIST_WORD_MAX);
}

static void list_cell_service(struct list_cell *cell, const struct event *ev)
{
	const char *service = list_service_side(ev)->service;

	list_word(cell, service ? service : "", LIST_WORD_MAX);
}

/* What the kernel makes of the local port: "ephemeral,reserved", "privileged". */
static void list_cell_kernel(struct list_cell *cell, const struct event *ev)
{
	const struct port_facts *facts = &ev->local_facts;
	const struct {
		bool is;
		const char *word;
	} words[] = { { facts->ephemeral, "ephemeral" },
		      { facts->reserved, "reserved" },
		      { facts->privileged, "privileged" } };
	size_t before = cell->b->len;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!words[i].is)
			continue;
		if (cell->b->len > before)
			buf_char(cell->b, ',');
		buf_str(cell->b, words[i].word);
	}
	if (cell->b->len == before)
		buf_char(cell->b, '-');
}

static void list_cell_how(struct list_cell *cell, const struct event *ev)
{
	list_word(cell, event_how_names[ev->how], LIST_WORD_MAX);
}

static void list_cell_netns(struct list_cell *cell, const struct event *ev)
{
	if (cell->ns && cell->ns->name[0])
		list_word(cell, cell->ns->name, sizeof(cell->ns->name));
	else if (ev->netns_inum)
		buf_u64(cell->b, ev->netns_inum);
	else
		buf_char(cell->b, '-');
}

static void list_cell_container(struct list_cell *cell, const struct event *ev)
{
	const struct event_who *who = event_who(ev);

	list_word(cell, who->container_id, cell->wide ? sizeof(who->container_id) : LIST_CONTAINER_SHORT);
}

static void list_cell_unit(struct list_cell *cell, const struct event *ev)
{
	list_word(cell, event_who(ev)->unit, sizeof(event_who(ev)->unit));
}

static void list_cell_pod(struct list_cell *cell, const struct event *ev)
{
	list_word(cell, event_who(ev)->pod_uid, sizeof(event_who(ev)->pod_uid));
}

/* "nginx:977,nginx:978" */
static void list_cell_owners(struct list_cell *cell, const struct event *ev)
{
	if (!ev->owner_count)
		buf_char(cell->b, '-');
	for (size_t i = 0; i < ev->owner_count; i++) {
		if (i)
			buf_char(cell->b, ',');
		cell->invisible += visible_text(cell->b, ev->owners[i].name, sizeof(ev->owners[i].name));
		buf_char(cell->b, ':');
		buf_u64(cell->b, ev->owners[i].pid);
	}
}

static void list_cell_executable(struct list_cell *cell, const struct event *ev)
{
	list_word(cell, event_who(ev)->executable, sizeof(event_who(ev)->executable));
}

static void list_cell_command(struct list_cell *cell, const struct event *ev)
{
	list_word(cell, event_who(ev)->command_line, sizeof(event_who(ev)->command_line));
}

/* ---- columns ---- */

/* A cell is written by `write`, or is `number`, which `format` puts into words (NULL = digits). */
static const struct list_text_column {
	size_t width, wide_width; /* without the space that follows */
	void (*write)(struct list_cell *cell, const struct event *ev);
	bool (*number)(const struct event *ev, uint64_t *ret); /* false = absent */
	void (*format)(struct buf *b, uint64_t number);
} list_text_columns[LIST_COLUMN_COUNT] = {
	[LIST_PROTO] = { 5, 5, list_cell_proto, NULL, NULL },
	[LIST_STATE] = { 11, 11, list_cell_state, NULL, NULL },
	[LIST_PID] = { 7, 7, NULL, list_pid, NULL },
	[LIST_PROCESS] = { 15, 17, list_cell_process, NULL, NULL },
	[LIST_USER] = { 10, 10, list_cell_user, NULL, NULL },
	[LIST_LOCAL] = { 21, 49, list_cell_local, NULL, NULL },
	[LIST_REMOTE] = { 21, 49, list_cell_remote, NULL, NULL },
	[LIST_CLASS] = { 10, 10, list_cell_class, NULL, NULL },
	[LIST_SERVICE] = { 11, 15, list_cell_service, NULL, NULL },
	[LIST_KERNEL] = { 10, 18, list_cell_kernel, NULL, NULL },
	[LIST_HOW] = { 9, 9, list_cell_how, NULL, NULL },
	[LIST_AGE] = { 7, 7, NULL, list_age, human_duration },
	[LIST_SENT] = { 7, 7, NULL, list_sent, human_bytes },
	[LIST_RECEIVED] = { 8, 8, NULL, list_received, human_bytes },
	[LIST_QUEUE] = { 6, 6, NULL, list_queue, NULL },
	[LIST_BACKLOG] = { 7, 7, NULL, list_backlog, NULL },
	[LIST_LEFT] = { 7, 7, NULL, list_left, human_duration },
	[LIST_NETNS] = { 12, 15, list_cell_netns, NULL, NULL },
	[LIST_CONTAINER] = { 12, 64, list_cell_container, NULL, NULL },
	[LIST_UNIT] = { 20, 30, list_cell_unit, NULL, NULL },
	[LIST_POD] = { 36, 36, list_cell_pod, NULL, NULL },
	[LIST_OWNERS] = { 20, 40, list_cell_owners, NULL, NULL },
	[LIST_FD] = { 5, 5, NULL, list_fd, NULL },
	[LIST_COOKIE] = { 8, 12, NULL, list_cookie, NULL },
	[LIST_MARK] = { 6, 6, NULL, list_mark, NULL },
	[LIST_DEVICE] = { 6, 6, NULL, list_device, NULL },
	[LIST_EXECUTABLE] = { 24, 40, list_cell_executable, NULL, NULL },
	[LIST_COMMAND] = { 24, 60, list_cell_command, NULL, NULL },
};

static void list_text_cell(struct list_cell *cell, enum list_column column, const struct event *ev)
{
	const struct list_text_column *col = &list_text_columns[column];
	uint64_t number;

	if (col->write)
		col->write(cell, ev);
	else if (!col->number(ev, &number))
		buf_char(cell->b, '-');
	else if (col->format)
		col->format(cell->b, number);
	else
		buf_u64(cell->b, number);
}

static void list_text_head(struct buf *b, enum list_column column)
{
	for (const char *c = list_column_names[column]; *c; c++)
		buf_char(b, (char)toupper((unsigned char)*c));
}

/* Cuts a line at the edge of the screen; all that was appended is visible characters. */
static void list_text_cut(struct buf *b, size_t from, size_t screen_columns)
{
	size_t at = from;
	uint32_t c;

	for (size_t n = 0; n < screen_columns && at < b->len; n++) {
		size_t len = utf8_decode((const unsigned char *)b->data + at, b->len - at, &c);

		at += len ? len : 1;
	}
	if (!b->overflow)
		b->len = at;
}

void list_text_line(struct buf *b, const struct list_table *table, const struct event *ev,
		    const struct snapshot_netns *ns)
{
	struct list_cell cell = { .b = b, .ns = ns, .wide = table->wide };
	size_t from = b->len, end = 0;

	for (size_t i = 0; i < table->columns->count; i++) {
		enum list_column column = table->columns->list[i];
		const struct list_text_column *col = &list_text_columns[column];

		if (i) {
			buf_char(b, ' ');
			buf_pad(b, from, end + cell.invisible);
		}
		if (ev)
			list_text_cell(&cell, column, ev);
		else
			list_text_head(b, column);
		end += (table->wide ? col->wide_width : col->width) + 1;
	}
	if (table->screen_columns)
		list_text_cut(b, from, table->screen_columns);
}

/* ---- sorting ---- */

/* An address as a number and the rest of it: by version, then bytes, then port. */
static void list_text_key_address(struct list_key *key, const struct endpoint *ep)
{
	key->number = ep->ip_version;
	for (size_t i = 0; i < sizeof(ep->addr); i++) { /* a text must not hold NUL */
		key->text[2 * i] = (char)('a' + (ep->addr[i] >> 4));
		key->text[2 * i + 1] = (char)('a' + (ep->addr[i] & 15));
	}
	for (int i = 0; i < 4; i++)
		key->text[2 * sizeof(ep->addr) + (size_t)i] = (char)('a' + (ep->port >> (12 - 4 * i) & 15));
}

void list_text_key(struct list_key *ret, enum list_column column, const struct event *ev,
		   const struct snapshot_netns *ns)
{
	const struct list_text_column *col = &list_text_columns[column];
	struct buf b = { .data = ret->text, .size = sizeof(ret->text) - 1 };
	struct list_cell cell = { .b = &b, .ns = ns };

	memset(ret, 0, sizeof(*ret));
	if (column == LIST_LOCAL || column == LIST_REMOTE)
		list_text_key_address(ret, column == LIST_LOCAL ? &ev->local : &ev->remote);
	else if (!col->number)
		col->write(&cell, ev);
	else if (col->number(ev, &ret->number) && ret->number < UINT64_MAX)
		ret->number++; /* absent ones before 0 */
	else
		ret->number = 0;
}
