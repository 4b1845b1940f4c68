// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include "cleanup.h"
#include "service.h"

/* Debian's services(5) is 13 KB and IANA's whole list 1 MB; what stands behind this is not read. */
#define SERVICE_FILE_MAX (4u << 20)
#define SERVICE_NAME_MAX 63

/* A name or alias of the services file. */
struct service_alias {
	const char *name; /* into service_table.text */
	uint16_t port;
	uint8_t proto; /* enum event_proto */
};

/* A name that /etc/services gives to a port; NULL: the place is free. */
struct service_local {
	const char *shown;
	uint16_t port;
	uint8_t proto;
};

#define SERVICE_BLOCK 64 /* ports */
#define SERVICE_BLOCKS (65536 / SERVICE_BLOCK)

struct service_table {
	struct service_local *locals; /* a hash table; half of it is free at least */
	size_t local_count, local_size; /* size: a power of two */
	uint8_t named[65536 / 8]; /* a bit for each port: has it a name, of whichever protocol? Most have none */
	uint16_t blocks[SERVICE_BLOCKS + 1]; /* the first row of IANA's from here on */
	uint16_t renamed[3]; /* by service_renames: places in service_iana_text */
	char *text; /* the file; names in it have been NUL terminated in place */
	struct service_alias *aliases;
	size_t alias_count, alias_room;
};

/* The official names that hardly anybody knows the service by, and the words that are shown
 * instead. */
static const struct {
	const char *official, *shown;
} service_renames[] = {
	{ "bootps", "dhcp" },
	{ "bootpc", "dhcp" },
	{ "ms-sql-s", "ms-sql" },
};
#define SERVICE_RENAME_COUNT (sizeof(service_renames) / sizeof(service_renames[0]))
_Static_assert(sizeof(((struct service_table *)0)->renamed) == SERVICE_RENAME_COUNT * sizeof(uint16_t), "one each");

static const char *service_shown_name(const char *official)
{
	for (size_t i = 0; i < SERVICE_RENAME_COUNT; i++)
		if (strcmp(service_renames[i].official, official) == 0)
			return service_renames[i].shown;
	return official;
}

/* The names go to terminals and into other people's tools: nothing but visible ASCII. */
static bool service_name_is_sane(const char *name)
{
	size_t n = 0;

	for (; name[n]; n++)
		if (name[n] <= ' ' || name[n] > '~' || n >= SERVICE_NAME_MAX)
			return false;
	return n > 0;
}

/* "443/tcp" */
static bool service_parse_port(const char *text, uint16_t *ret_port, enum event_proto *ret_proto)
{
	uint32_t port = 0;
	size_t n = 0;

	for (; text[n] >= '0' && text[n] <= '9' && n < 6; n++)
		port = port * 10 + (uint32_t)(text[n] - '0');
	if (n == 0 || port == 0 || port > UINT16_MAX)
		return false;
	if (strcmp(text + n, "/tcp") == 0)
		*ret_proto = PROTO_TCP;
	else if (strcmp(text + n, "/udp") == 0)
		*ret_proto = PROTO_UDP;
	else
		return false;
	*ret_port = (uint16_t)port;
	return true;
}

static int service_add_alias(struct service_table *t, struct service_alias alias)
{
	if (t->alias_count == t->alias_room) {
		size_t room = t->alias_room ? 2 * t->alias_room : 512;
		struct service_alias *grown = reallocarray(t->aliases, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		t->aliases = grown;
		t->alias_room = room;
	}
	t->aliases[t->alias_count++] = alias;
	return 0;
}

static void service_mark(struct service_table *t, uint16_t port)
{
	t->named[port / 8] |= (uint8_t)(1 << port % 8);
}

static bool service_is_named(const struct service_table *t, uint16_t port)
{
	return t->named[port / 8] >> port % 8 & 1;
}

/* ---- /etc/services ---- */

/* Its place, or the free one where it would be. */
static struct service_local *service_find_local(const struct service_table *t, uint16_t port, enum event_proto proto)
{
	uint32_t i = (port * 2u + proto) * 2654435761u >> 16;
	struct service_local *local = &t->locals[i & (t->local_size - 1)];

	while (local->shown && (local->port != port || local->proto != proto))
		local = &t->locals[++i & (t->local_size - 1)];
	return local;
}

static int service_grow_locals(struct service_table *t)
{
	struct service_local *old = t->locals;
	size_t old_size = t->local_size, size = old_size ? 2 * old_size : 512;
	struct service_local *grown = calloc(size, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	t->locals = grown;
	t->local_size = size;
	for (size_t i = 0; i < old_size; i++)
		if (old[i].shown)
			*service_find_local(t, old[i].port, old[i].proto) = old[i];
	free(old);
	return 0;
}

/* As getservbyport(3) does it: the first line of a port counts. */
static int service_add_local(struct service_table *t, const struct service_alias *alias)
{
	int r = 2 * t->local_count >= t->local_size ? service_grow_locals(t) : 0;
	struct service_local *local;

	if (r < 0)
		return r;
	local = service_find_local(t, alias->port, (enum event_proto)alias->proto);
	if (local->shown)
		return 0;
	*local = (struct service_local){ service_shown_name(alias->name), alias->port, alias->proto };
	service_mark(t, alias->port);
	t->local_count++;
	return 0;
}

/* "name port/proto [alias...] [# comment]"; a line that does not read so, in any part, is ignored
 * as a whole. */
static int service_add_line(struct service_table *t, char *line)
{
	const char *const blank = " \t\r\f\v";
	char *rest = NULL, *word;
	struct service_alias alias;
	enum event_proto proto;
	size_t first = t->alias_count;
	int err;

	line[strcspn(line, "#")] = '\0';
	alias.name = strtok_r(line, blank, &rest);
	word = strtok_r(NULL, blank, &rest);
	if (!alias.name || !word || !service_parse_port(word, &alias.port, &proto))
		return 0;
	alias.proto = (uint8_t)proto;
	for (; alias.name; alias.name = strtok_r(NULL, blank, &rest)) {
		if (!service_name_is_sane(alias.name)) {
			t->alias_count = first;
			return 0;
		}
		err = service_add_alias(t, alias);
		if (err < 0)
			return err;
	}
	return service_add_local(t, &t->aliases[first]);
}

static int service_add_text(struct service_table *t, char *text, size_t size)
{
	for (char *line = text, *end = text + size, *eol; line < end; line = eol + 1) {
		int err = 0;

		eol = memchr(line, '\n', (size_t)(end - line));
		if (!eol)
			eol = end;
		*eol = '\0';
		if (!memchr(line, '\0', (size_t)(eol - line)))
			err = service_add_line(t, line);
		if (err < 0)
			return err;
	}
	return 0;
}

/* Reads the file, or its first SERVICE_FILE_MAX bytes. *ret_text has room for a NUL behind
 * *ret_size bytes. */
static int service_read_file(const char *path, char **ret_text, size_t *ret_size)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_free_ char *text = NULL;
	size_t size = 0, room = 0;
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	for (; n > 0 && size < SERVICE_FILE_MAX; size += (size_t)n) {
		if (size == room) {
			char *grown = realloc(text, (room = room ? 2 * room : 32768) + 1);

			if (!grown)
				return -ENOMEM;
			text = grown;
		}
		n = read(fd, text + size, room - size);
		if (n < 0)
			return -errno;
	}
	*ret_text = TAKE_PTR(text);
	*ret_size = size;
	return 0;
}

static int service_load_file(struct service_table *t, const char *path)
{
	size_t size = 0;
	int err = service_read_file(path, &t->text, &size);

	if (err < 0)
		return err == -ENOENT ? 0 : err;
	return service_add_text(t, t->text, size);
}

/* ---- IANA's ---- */

static void service_index_iana(struct service_table *t)
{
	size_t row = 0;

	for (size_t block = 0; block <= SERVICE_BLOCKS; block++) {
		while (row < service_iana_count && service_iana[row].port < block * SERVICE_BLOCK)
			service_mark(t, service_iana[row++].port);
		t->blocks[block] = (uint16_t)row;
	}
	for (row = 0; row < service_iana_count && service_iana[row].port < 2048; row++)
		for (size_t i = 0; i < SERVICE_RENAME_COUNT; i++)
			if (!strcmp(service_iana_text + service_iana[row].tcp, service_renames[i].official))
				t->renamed[i] = service_iana[row].tcp;
}

static const char *service_iana_shown(const struct service_table *t, uint16_t place)
{
	if (!place)
		return NULL;
	for (size_t i = 0; i < SERVICE_RENAME_COUNT; i++)
		if (place == t->renamed[i])
			return service_renames[i].shown;
	return service_iana_text + place;
}

static const char *service_iana_name(const struct service_table *t, uint16_t port, enum event_proto proto)
{
	size_t low = t->blocks[port / SERVICE_BLOCK], high = t->blocks[port / SERVICE_BLOCK + 1];

	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct service_iana *row = &service_iana[middle];

		if (row->port == port)
			return service_iana_shown(t, proto == PROTO_TCP ? row->tcp : row->udp);
		if (row->port < port)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static void service_cleanup(struct service_table **t)
{
	service_table_free(*t);
}

int service_table_new(const char *path, struct service_table **ret)
{
	_cleanup_(service_cleanup) struct service_table *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	err = service_grow_locals(t);
	if (err == 0)
		err = service_load_file(t, path ? path : "/etc/services");
	if (err < 0)
		return err;
	service_index_iana(t);
	*ret = TAKE_PTR(t);
	return 0;
}

void service_table_free(struct service_table *t)
{
	if (!t)
		return;
	free(t->aliases);
	free(t->locals);
	free(t->text);
	free(t);
}

const char *service_name(const struct service_table *t, uint16_t port, enum event_proto proto)
{
	const char *shown;

	if (!service_is_named(t, port))
		return NULL;
	shown = service_find_local(t, port, proto)->shown;
	return shown ? shown : service_iana_name(t, port, proto);
}

void service_each_local(const struct service_table *t,
			bool (*fn)(void *arg, const char *name, uint16_t port, enum event_proto proto), void *arg)
{
	for (size_t i = 0; i < t->alias_count; i++)
		if (fn(arg, t->aliases[i].name, t->aliases[i].port, t->aliases[i].proto))
			return;
}

/* Calls `fn` for each known name, the admin's first, until it returns true; tells whether it did.
 */
static bool service_each_name(const struct service_table *t,
			      bool (*fn)(void *arg, const char *name, uint16_t port,
					 enum event_proto proto),
			      void *arg)
{
	for (size_t i = 0; i < t->alias_count; i++)
		if (fn(arg, t->aliases[i].name, t->aliases[i].port, t->aliases[i].proto))
			return true;
	/* Before IANA's: whoever reads a name in the output can give it back. */
	for (uint32_t port = 1; port <= UINT16_MAX; port++)
		for (enum event_proto proto = 0; proto < PROTO_COUNT; proto++) {
			const char *name = service_name(t, (uint16_t)port, proto);

			if (name && fn(arg, name, (uint16_t)port, proto))
				return true;
		}
	for (size_t i = 0; i < service_iana_count; i++) {
		const struct service_iana *row = &service_iana[i];

		if ((row->tcp && fn(arg, service_iana_text + row->tcp, row->port, PROTO_TCP)) ||
		    (row->udp && fn(arg, service_iana_text + row->udp, row->port, PROTO_UDP)))
			return true;
	}
	return false;
}

struct service_search {
	const char *name;
	enum event_proto proto;
	uint16_t *ports;
	size_t count, room;
};

static bool service_is_sought(void *arg, const char *name, uint16_t port, enum event_proto proto)
{
	struct service_search *search = arg;

	if (proto != search->proto || strcasecmp(name, search->name) != 0)
		return false;
	for (size_t i = 0; i < search->count; i++)
		if (search->ports[i] == port)
			return false;
	search->ports[search->count++] = port;
	return search->count == search->room;
}

size_t service_ports(const struct service_table *t, const char *name, enum event_proto proto,
		     uint16_t *ret, size_t room)
{
	struct service_search search = { .name = name, .proto = proto, .ports = ret, .room = room };

	if (room)
		service_each_name(t, service_is_sought, &search);
	return search.count;
}

int service_port(const struct service_table *t, const char *name, enum event_proto proto,
		 uint16_t *ret_port)
{
	return (int)service_ports(t, name, proto, ret_port, 1);
}

static char service_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t service_min(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* How many typing errors lie between two names: a letter more, less, another one, or two exchanged.
 */
static size_t service_distance(const char *a, const char *b)
{
	size_t rows[3][SERVICE_NAME_MAX + 1];
	size_t a_len = strlen(a), b_len = strlen(b);

	for (size_t j = 0; j <= b_len; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t *row = rows[i % 3], *above = rows[(i + 2) % 3],
		       *two_above = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			char x = service_lower(a[i - 1]), y = service_lower(b[j - 1]);

			row[j] = service_min(service_min(above[j], row[j - 1]) + 1,
					     above[j - 1] + (x != y));
			if (i > 1 && j > 1 && x == service_lower(b[j - 2]) &&
			    y == service_lower(a[i - 2]))
				row[j] = service_min(row[j], two_above[j - 2] + 1);
		}
	}
	return rows[a_len % 3][b_len];
}

struct service_nearest {
	const char *name, *found;
	size_t distance; /* of `found`; at first one more than is allowed */
};

static bool service_is_nearer(void *arg, const char *name, uint16_t port, enum event_proto proto)
{
	struct service_nearest *near = arg;
	size_t len = strlen(name), want = strlen(near->name), distance;

	(void)port;
	(void)proto;
	if (len > want + 2 || want > len + 2 || len > SERVICE_NAME_MAX)
		return false;
	distance = service_distance(near->name, name);
	if (distance < near->distance) {
		near->distance = distance;
		near->found = name;
	}
	return near->distance == 0;
}

const char *service_nearest(const struct service_table *t, const char *name)
{
	size_t len = strlen(name);
	struct service_nearest near = { .name = name, .distance = len > 4 ? 3 : 2 };

	if (len < 2 || len > SERVICE_NAME_MAX)
		return NULL;
	service_each_name(t, service_is_nearer, &near);
	return near.found;
}
