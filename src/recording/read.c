// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Reads recordings, which may hold anything: nothing in them is believed before it is checked. */
#include "../recording.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "../cleanup.h"
#include "format.h"

#define READ_VERDICT_TEXT_MAX 16384
#define READ_VERDICT_JSON_MAX 4096

struct recording_reader {
	recording_read_fn read;
	void *arg;
	int fd; /* -1: of somebody else */
	struct recording_header header;
	struct facts facts;
	uint64_t offset, block_offset; /* in the file: of what is read next; of the block */
	uint8_t *block; /* room bytes, and the slack */
	size_t room;
	struct format_in in;
	int error;
	bool ended; /* its end was told */
	char damage[160];

	uint64_t time_ns;
	int64_t boot_offset_ns;
	uint64_t last[FORMAT_LASTS][FORMAT_WORDS];
	struct facts_process *slots; /* FORMAT_SLOTS; NULL = none yet */
	bool used[FORMAT_SLOTS];
	uint64_t process_count; /* told so far */
	uint32_t slot;
	struct facts_truth truth;
	char **texts; /* [0] is none */
	size_t text_count, text_room;
	uint64_t *lives, life;
	size_t life_count, life_room;
	bool by_cookie; /* the lives are cookies */
	struct netns_facts netns;
	char netns_name[RECORDING_NAME_SIZE];
	char verdict_text[READ_VERDICT_TEXT_MAX], verdict_json[READ_VERDICT_JSON_MAX];
};

/* ---- bytes ---- */

/* All `size` bytes, or as many as there are; -errno. */
static ssize_t recording_read(struct recording_reader *r, void *to, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = r->read(r->arg, (char *)to + done, size - done);

		if (n == -EINTR)
			continue;
		if (n < 0)
			return n;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	r->offset += done;
	return (ssize_t)done;
}

static ssize_t recording_read_fd(void *arg, void *to, size_t size)
{
	ssize_t n = read(*(const int *)arg, to, size);

	return n < 0 ? -errno : n;
}

static uint32_t recording_load32(const uint8_t *from)
{
	uint32_t v;

	memcpy(&v, from, sizeof(v));
	return v;
}

static int recording_fail(struct recording_reader *r, const char *what, uint64_t offset)
{
	snprintf(r->damage, sizeof(r->damage), "%s at byte %llu", what, (unsigned long long)offset);
	return r->error = -EBADMSG;
}

/* ---- the header ---- */

static void recording_keep(char to[RECORDING_TEXT_SIZE], const char *value)
{
	snprintf(to, RECORDING_TEXT_SIZE, "%s", value);
}

static void recording_header_line(struct recording_header *header, const char *key, const char *value)
{
	if (!strcmp(key, "porttrace"))
		recording_keep(header->porttrace, value);
	else if (!strcmp(key, "host"))
		recording_keep(header->hostname, value);
	else if (!strcmp(key, "kernel"))
		recording_keep(header->kernel, value);
	else if (!strcmp(key, "boot"))
		recording_keep(header->boot_id, value);
	else if (!strcmp(key, "run"))
		recording_keep(header->run, value);
	else if (!strcmp(key, "backend"))
		header->backend = strcmp(value, event_backend_names[BACKEND_CGROUP]) ? BACKEND_TRACING : BACKEND_CGROUP;
	else if (!strcmp(key, "netns"))
		header->by_cookie = !strcmp(value, "cookie");
	else if (!strcmp(key, "start"))
		header->start_ns = strtoull(value, NULL, 10);
}

/* Lines of a key and a value; keys that are not known are of later versions. */
static void recording_header_text(struct recording_header *header, char *text)
{
	char *next = NULL;

	for (char *line = strtok_r(text, "\n", &next); line; line = strtok_r(NULL, "\n", &next)) {
		char *space = strchr(line, ' ');

		if (!space)
			continue;
		*space = '\0';
		recording_header_line(header, line, space + 1);
	}
}

/* Whether this porttrace understands what follows. */
static int recording_check_version(const struct recording_reader *r, const uint8_t head[FORMAT_HEADER_SIZE], char *err)
{
	unsigned int version = head[8] | (unsigned int)head[9] << 8, raw = head[11];

	if (version > FORMAT_VERSION || raw > RAW_EVENT_VERSION) {
		snprintf(err, RECORDING_ERR_SIZE,
			 "is of a newer porttrace%s%s (format %u.%u): this one reads format %u.%u at most",
			 r->header.porttrace[0] ? ", " : "", r->header.porttrace, version, raw,
			 (unsigned int)FORMAT_VERSION, (unsigned int)RAW_EVENT_VERSION);
		return -EPROTONOSUPPORT;
	}
	if (!version || raw < RAW_EVENT_VERSION) {
		snprintf(err, RECORDING_ERR_SIZE,
			 "is of an older porttrace%s%s (format %u.%u): this one reads format %u.%u",
			 r->header.porttrace[0] ? ", " : "", r->header.porttrace, version, raw,
			 (unsigned int)FORMAT_VERSION, (unsigned int)RAW_EVENT_VERSION);
		return -EPROTONOSUPPORT;
	}
	if (head[10] != FORMAT_LITTLE_ENDIAN || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__) {
		snprintf(err, RECORDING_ERR_SIZE, "has the byte order of another kind of machine");
		return -EPROTONOSUPPORT;
	}
	return 0;
}

static int recording_read_header(struct recording_reader *r, char *err)
{
	uint8_t head[FORMAT_HEADER_SIZE + FORMAT_HEADER_TEXT_MAX + 1];
	ssize_t n = recording_read(r, head, FORMAT_HEADER_SIZE);
	uint32_t size, crc;

	if (n < 0) {
		snprintf(err, RECORDING_ERR_SIZE, "cannot be read: %s", strerrordesc_np((int)-n));
		return (int)n;
	}
	if (n < FORMAT_MAGIC_SIZE || memcmp(head, FORMAT_MAGIC, FORMAT_MAGIC_SIZE) != 0) {
		snprintf(err, RECORDING_ERR_SIZE, "is no recording of porttrace");
		return -EINVAL;
	}
	size = n == FORMAT_HEADER_SIZE ? recording_load32(head + 12) : FORMAT_HEADER_TEXT_MAX + 1;
	if (size > FORMAT_HEADER_TEXT_MAX || recording_read(r, head + FORMAT_HEADER_SIZE, size) != (ssize_t)size) {
		snprintf(err, RECORDING_ERR_SIZE, "is cut off or damaged in its header, at byte %llu",
			 (unsigned long long)r->offset);
		return -EBADMSG;
	}
	crc = (uint32_t)crc32(crc32(0, head + 8, 8), head + FORMAT_HEADER_SIZE, size);
	if (crc != recording_load32(head + 16)) {
		snprintf(err, RECORDING_ERR_SIZE, "is damaged in its header, between bytes 8 and %llu",
			 (unsigned long long)r->offset);
		return -EBADMSG;
	}
	head[FORMAT_HEADER_SIZE + size] = '\0';
	recording_header_text(&r->header, (char *)head + FORMAT_HEADER_SIZE);
	return recording_check_version(r, head, err);
}

int recording_open_source(recording_read_fn read, void *arg, struct recording_reader **ret, char *err)
{
	struct recording_reader *r = calloc(1, sizeof(*r));
	int error;

	if (!r) {
		snprintf(err, RECORDING_ERR_SIZE, "cannot be read: %s", strerrordesc_np(ENOMEM));
		return -ENOMEM;
	}
	r->read = read;
	r->arg = arg;
	r->fd = -1;
	error = recording_read_header(r, err);
	if (error < 0)
		recording_close(r);
	else
		*ret = r;
	return error;
}

int recording_open(const char *path, struct recording_reader **ret, char *err)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char why[RECORDING_ERR_SIZE] = "";
	int r = fd < 0 ? -errno : 0;

	if (r == 0)
		r = recording_open_source(recording_read_fd, &fd, ret, why);
	else
		snprintf(why, sizeof(why), "cannot be read: %s", strerrordesc_np(-r));
	snprintf(err, RECORDING_ERR_SIZE, "%.200s %.300s", path, why);
	if (r < 0)
		return r;
	(*ret)->fd = TAKE_FD(fd);
	(*ret)->arg = &(*ret)->fd;
	return 0;
}

const struct recording_header *recording_header(const struct recording_reader *r)
{
	return &r->header;
}

const struct facts *recording_facts(const struct recording_reader *r)
{
	return &r->facts;
}

const char *recording_damage(const struct recording_reader *r)
{
	return r->damage;
}

void recording_close(struct recording_reader *r)
{
	if (!r)
		return;
	for (size_t i = 1; i < r->text_count; i++)
		free(r->texts[i]);
	free(r->texts);
	free(r->lives);
	free(r->slots);
	free(r->block);
	if (r->fd >= 0)
		close(r->fd);
	free(r);
}

/* ---- blocks ---- */

static int recording_grow_block(struct recording_reader *r, size_t size)
{
	uint8_t *grown;

	if (size <= r->room)
		return 0;
	grown = realloc(r->block, size + FORMAT_SLACK);
	if (!grown)
		return r->error = -ENOMEM;
	r->block = grown;
	r->room = size;
	return 0;
}

/* The items of a block whose header has been read. 1 or an error. */
static int recording_read_items(struct recording_reader *r, const uint8_t head[FORMAT_BLOCK_HEADER_SIZE])
{
	uint32_t size = recording_load32(head + 4);
	uint64_t at = r->block_offset;
	ssize_t n;

	if (memcmp(head, FORMAT_BLOCK_MAGIC, 4) != 0 || !size || size > FORMAT_BLOCK_MAX)
		return recording_fail(r, "is damaged", at);
	if (recording_grow_block(r, size) < 0)
		return r->error;
	n = recording_read(r, r->block, size);
	if (n < 0)
		return r->error = (int)n;
	if ((size_t)n < size)
		return recording_fail(r, "is cut off in the block", at);
	if (crc32(crc32(0, head + 4, 4), r->block, size) != recording_load32(head + 8))
		return recording_fail(r, "is damaged in the block", at);
	memset(r->block + size, 0, FORMAT_SLACK);
	r->in = (struct format_in){ .at = r->block, .end = r->block + size };
	return 1;
}

/* 1, 0 at the end, or an error. */
static int recording_read_block(struct recording_reader *r)
{
	uint8_t head[FORMAT_BLOCK_HEADER_SIZE];
	ssize_t n;

	r->block_offset = r->offset;
	n = recording_read(r, head, sizeof(head));
	if (n < 0)
		return r->error = (int)n;
	if (n == 0 && r->ended)
		return 0;
	if (n == 0)
		return recording_fail(r, "has no end: the recording was cut off, or is still being made,", r->offset);
	if ((size_t)n < sizeof(head))
		return recording_fail(r, "is cut off in the block", r->block_offset);
	return recording_read_items(r, head);
}

/* ---- items ---- */

static int recording_get_process(struct recording_reader *r)
{
	uint64_t slot = format_get_below(&r->in, FORMAT_SLOTS);

	if (!r->slots)
		r->slots = calloc(FORMAT_SLOTS, sizeof(*r->slots));
	if (!r->slots)
		return -ENOMEM;
	facts_get_process(&r->in, &r->slots[slot]);
	r->slots[slot].who.id = ++r->process_count;
	r->used[slot] = true;
	return 0;
}

static int recording_get_text(struct recording_reader *r)
{
	char text[FORMAT_TEXT_MAX], *copy;
	size_t room = r->text_room ? 2 * r->text_room : 64;

	format_get_text(&r->in, text, sizeof(text));
	if (r->text_count + !r->text_count >= FORMAT_TEXTS_MAX) {
		r->in.bad = true;
		return 0;
	}
	if (r->text_count + 2 > r->text_room) {
		char **grown = reallocarray(r->texts, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		r->texts = grown;
		r->text_room = room;
	}
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	if (!r->text_count)
		r->texts[r->text_count++] = NULL;
	r->texts[r->text_count++] = copy;
	return 0;
}

static const char *recording_text_of(struct recording_reader *r)
{
	uint64_t number = format_get_below(&r->in, r->text_count ? r->text_count : 1);

	return number ? r->texts[number] : NULL;
}

static int recording_keep_life(struct recording_reader *r, uint64_t life)
{
	uint64_t *grown;
	size_t room = r->life_room ? 2 * r->life_room : 64;

	if (r->life_count == r->life_room) {
		grown = reallocarray(r->lives, room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		r->lives = grown;
		r->life_room = room;
	}
	r->lives[r->life_count++] = life;
	return 0;
}

static int recording_get_life(struct recording_reader *r)
{
	r->life += (uint64_t)format_get_s64(&r->in);
	r->in.bad |= r->by_cookie;
	return recording_keep_life(r, r->life);
}

static int recording_get_cookie(struct recording_reader *r)
{
	r->in.bad |= !r->by_cookie;
	return recording_keep_life(r, format_get_u64(&r->in));
}

/* What a look has missed is told without the look only if that was left out. */
static void recording_get_gap(struct recording_reader *r, struct recording_item *ret)
{
	ret->kind = RECORDING_GAP;
	ret->gap.events = format_get_u64(&r->in);
	ret->gap.sockets = format_get_u64(&r->in);
	ret->gap.from_ns = format_get_u64(&r->in);
	ret->gap.to_ns = format_get_u64(&r->in);
	r->life_count = 0;
	r->by_cookie = true;
}

static int recording_compare_lives(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void recording_get_look(struct recording_reader *r, struct recording_item *ret)
{
	if (r->life_count)
		qsort(r->lives, r->life_count, sizeof(*r->lives), recording_compare_lives);
	ret->kind = RECORDING_LOOK;
	ret->lives = r->lives;
	ret->life_count = r->life_count;
	ret->by_cookie = r->by_cookie;
	r->life_count = 0;
}

static void recording_get_batch(struct recording_reader *r, struct recording_item *ret)
{
	r->time_ns += (uint64_t)format_get_s64(&r->in);
	r->boot_offset_ns = (int64_t)((uint64_t)r->boot_offset_ns + (uint64_t)format_get_s64(&r->in));
	ret->kind = RECORDING_BATCH;
	ret->time_ns = r->time_ns;
	ret->boot_offset_ns = r->boot_offset_ns;
}

static void recording_get_end(struct recording_reader *r, struct recording_item *ret)
{
	ret->kind = RECORDING_END;
	ret->end.time_ns = format_get_u64(&r->in);
	ret->end.seen = format_get_u64(&r->in);
	ret->end.lost = format_get_u64(&r->in);
	r->ended = true;
}

/* ---- events ---- */

static void recording_get_verdict(struct recording_reader *r, struct event_verdict *v)
{
	struct format_in *in = &r->in;

	*v = (struct event_verdict){ .has_pool = format_get_u64(in) != 0 };
	v->used = (uint32_t)format_get_u64(in);
	v->capacity = (uint32_t)format_get_u64(in);
	v->reserved = (uint32_t)format_get_u64(in);
	v->blocked = (uint32_t)format_get_u64(in);
	v->next_ms = (uint32_t)format_get_u64(in);
	v->rule = recording_text_of(r);
	v->cause = recording_text_of(r);
	v->also = recording_text_of(r);
	v->more = (uint32_t)format_get_u64(in);
	v->text_len = format_get_text(in, r->verdict_text, sizeof(r->verdict_text));
	v->json_len = format_get_text(in, r->verdict_json, sizeof(r->verdict_json));
	v->text = r->verdict_text;
	v->json = r->verdict_json;
}

static void recording_get_references(struct recording_reader *r, uint64_t flags)
{
	struct facts *facts = &r->facts;

	facts->process = r->used[r->slot] ? &r->slots[r->slot] : NULL;
	facts->start_is_decoded = flags & FORMAT_F_START_DECODED;
	if ((flags & FORMAT_F_TRUTH) && !(flags & FORMAT_F_SAME_TRUTH))
		facts_get_truth(&r->in, &r->truth);
	facts->has_truth = flags & FORMAT_F_TRUTH;
	facts->truth = r->truth;
	facts->local_reserved = flags & FORMAT_F_LOCAL_RESERVED;
	facts->remote_reserved = flags & FORMAT_F_REMOTE_RESERVED;
	facts->local_service = flags & FORMAT_F_SERVICES ? recording_text_of(r) : NULL;
	facts->remote_service = flags & FORMAT_F_SERVICES ? recording_text_of(r) : NULL;
}

static void recording_get_event(struct recording_reader *r, struct recording_item *ret)
{
	struct facts *facts = &r->facts;
	uint64_t flags, *last;
	uint8_t kind = 0;

	format_get_bytes(&r->in, &kind, 1);
	if (kind >= FORMAT_KINDS) {
		r->in.bad = true;
		return;
	}
	flags = format_get_below(&r->in, FORMAT_F_ALL + 1);
	if (!(flags & FORMAT_F_SAME_PROCESS))
		r->slot = (uint32_t)format_get_below(&r->in, FORMAT_SLOTS);
	last = r->last[format_last(kind, r->slot)];
	raw_get(&r->in, last);
	recording_get_references(r, flags);
	facts->has_holder = flags & FORMAT_F_HOLDER;
	if (facts->has_holder)
		facts_get_holder(&r->in, &facts->holder);
	facts->has_verdict = flags & FORMAT_F_VERDICT;
	if (facts->has_verdict)
		recording_get_verdict(r, &facts->verdict);
	facts->inferred = flags & FORMAT_F_INFERRED;
	facts->pool_used = flags & FORMAT_F_POOL ? (uint32_t)format_get_u64(&r->in) : 0;
	facts->pool_capacity = flags & FORMAT_F_POOL ? (uint32_t)format_get_u64(&r->in) : 0;
	ret->kind = RECORDING_EVENT;
	ret->raw = last;
}

/* One item of the block; of those that only tell what later ones refer to, nothing comes out. 0 or -errno. */
static int recording_get_item(struct recording_reader *r, struct recording_item *ret)
{
	switch (*r->in.at++) {
	case FORMAT_BATCH:
		recording_get_batch(r, ret);
		return 0;
	case FORMAT_NETNS:
		facts_get_netns(&r->in, r->netns_name, sizeof(r->netns_name), &r->netns);
		ret->kind = RECORDING_NETNS;
		ret->netns = &r->netns;
		ret->netns_name = r->netns_name;
		return 0;
	case FORMAT_SOCKET:
		r->facts = (struct facts){ 0 }; /* of it nothing was looked up */
		ret->until_ns = facts_get_socket(&r->in, &ret->socket);
		ret->kind = RECORDING_SOCKET;
		return 0;
	case FORMAT_EVENT:
		recording_get_event(r, ret);
		return 0;
	case FORMAT_PROCESS:
		return recording_get_process(r);
	case FORMAT_TEXT:
		return recording_get_text(r);
	case FORMAT_MISS:
		return recording_get_life(r);
	case FORMAT_MISS_COOKIE:
		return recording_get_cookie(r);
	case FORMAT_LOOK:
		recording_get_look(r, ret);
		return 0;
	case FORMAT_GAP:
		recording_get_gap(r, ret);
		return 0;
	case FORMAT_END:
		recording_get_end(r, ret);
		return 0;
	default:
		r->in.bad = true;
		return 0;
	}
}

int recording_next(struct recording_reader *r, struct recording_item *ret)
{
	int error;

	ret->kind = RECORDING_NOTHING;
	while (!r->error && ret->kind == RECORDING_NOTHING) {
		if (r->in.at == r->in.end) {
			int more = recording_read_block(r);

			if (more <= 0)
				return more;
		}
		error = recording_get_item(r, ret);
		if (error < 0)
			return r->error = error;
		if (r->in.bad)
			return recording_fail(r, "holds what no porttrace writes, in the block", r->block_offset);
	}
	return r->error ? r->error : 1;
}
