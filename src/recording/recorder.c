// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Makes the blocks of a recording, in memory: a thread of its own writes them (writer.c). When there is no empty block,
 * what comes is left out and counted, until half of them are empty again: that is a gap, and the file tells it.
 */
#include "../recording.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "../cleanup.h"
#include "format.h"
#include "writer.h"

#define RECORDER_KEEP 1 /* a block for the end */
#define RECORDER_KEEP_GAP (WRITER_BLOCKS / 2) /* after a gap there is room for a while */
#define RECORDER_TEXT_SLOTS 16384 /* power of two */

/* A text that the file has: by its address, since those of services and rules stay. */
struct recorder_text {
	const char *text;
	uint64_t number;
};

struct recorder {
	struct writer *writer;
	struct writer_block *block; /* that is being filled; NULL = none */
	bool due; /* it is to be written as soon as nothing else is */
	bool has_gap; /* things are left out */
	struct recording_gap gap; /* of these, if there are any */
	uint64_t left_out, unwritten; /* events: in all gaps; that came after the file had failed */

	uint64_t time_ns, next_time_ns; /* of the batch: in the file, and to be told before the next item */
	int64_t boot_offset_ns, next_offset_ns;
	uint64_t life; /* missed last */
	bool by_cookie; /* after a gap the lives of a reader are numbered otherwise */
	struct facts_process slots[FORMAT_SLOTS];
	bool used[FORMAT_SLOTS];
	uint32_t slot; /* of the last event */
	struct facts_truth truth;
	struct recorder_text texts[RECORDER_TEXT_SLOTS];
	uint64_t text_count;
	uint64_t last[FORMAT_LASTS][FORMAT_WORDS];
};

/* ---- the file ---- */

static int recorder_refuse(char *err, const char *path, int error)
{
	const char *why = error == -ELOOP   ? "it is a symbolic link" :
			  error == -EBUSY   ? "another porttrace writes it" :
			  error == -EEXIST  ? "it is there, and no recording (--force takes it all the same)" :
			  error == -EISDIR  ? "it is a directory" :
			  error == -ENOTSUP ? "it is no file, and whoever reads it could keep the events waiting" :
					      strerrordesc_np(-error);

	snprintf(err, RECORDING_ERR_SIZE, "cannot record into %.300s: %s", path, why);
	return error;
}

/* What is there may be written over: nothing, a recording, or no file at all (/dev/null). */
static int recorder_check(int fd, bool *ret_regular)
{
	char magic[FORMAT_MAGIC_SIZE];
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st))
		return -errno;
	*ret_regular = S_ISREG(st.st_mode);
	if (!*ret_regular && !S_ISCHR(st.st_mode))
		return -ENOTSUP;
	if (!*ret_regular || st.st_size == 0)
		return 0;
	n = pread(fd, magic, sizeof(magic), 0);
	return n == sizeof(magic) && !memcmp(magic, FORMAT_MAGIC, sizeof(magic)) ? 0 : -EEXIST;
}

static int recorder_open_file(const char *path, bool force, bool *ret_regular)
{
	_close_ int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0640);
	int r;

	if (fd < 0)
		return -errno;
	r = recorder_check(fd, ret_regular);
	if (r < 0 && !(force && r == -EEXIST))
		return r;
	if (*ret_regular && flock(fd, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	return TAKE_FD(fd);
}

int recorder_open(const char *path, bool force, struct recorder **ret, char *err)
{
	struct recorder *rec;
	struct writer *writer;
	bool regular = false;
	int fd = recorder_open_file(path, force, &regular), r;

	if (fd < 0)
		return recorder_refuse(err, path, fd);
	r = writer_new(fd, regular, &writer);
	if (r < 0)
		return recorder_refuse(err, path, r);
	rec = calloc(1, sizeof(*rec));
	if (!rec) {
		writer_free(writer);
		return recorder_refuse(err, path, -ENOMEM);
	}
	rec->writer = writer;
	*ret = rec;
	return 0;
}

static void recorder_line(struct buf *b, const char *key, const char *value)
{
	buf_str(b, key);
	buf_char(b, ' ');
	for (; *value; value++)
		buf_char(b, *value == '\n' ? ' ' : *value);
	buf_char(b, '\n');
}

static void recorder_header_text(struct buf *b, const struct recording_header *header)
{
	recorder_line(b, "porttrace", header->porttrace);
	recorder_line(b, "backend", event_backend_names[header->backend]);
	recorder_line(b, "netns", header->by_cookie ? "cookie" : "inode");
	buf_lit(b, "start ");
	buf_u64(b, header->start_ns);
	buf_char(b, '\n');
	recorder_line(b, "host", header->hostname);
	recorder_line(b, "kernel", header->kernel);
	recorder_line(b, "boot", header->boot_id);
	recorder_line(b, "run", header->run);
}

int recorder_begin(struct recorder *rec, const struct recording_header *header)
{
	char data[FORMAT_HEADER_SIZE + FORMAT_HEADER_TEXT_MAX] = FORMAT_MAGIC;
	struct buf b = { .data = data, .size = sizeof(data), .len = FORMAT_HEADER_SIZE };
	uint32_t size, crc;

	if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
		return -EOPNOTSUPP;
	recorder_header_text(&b, header);
	size = (uint32_t)(b.len - FORMAT_HEADER_SIZE);
	data[8] = FORMAT_VERSION;
	data[10] = FORMAT_LITTLE_ENDIAN;
	data[11] = RAW_EVENT_VERSION;
	format_store32(data + 12, size);
	crc = (uint32_t)crc32(0, (const Bytef *)data + 8, 8);
	crc = (uint32_t)crc32(crc, (const Bytef *)data + FORMAT_HEADER_SIZE, size);
	format_store32(data + 16, crc);
	return writer_begin(rec->writer, data, b.len);
}

/* ---- blocks ---- */

static bool recorder_has_items(const struct recorder *rec)
{
	return rec->block && rec->block->items.len > FORMAT_BLOCK_HEADER_SIZE;
}

static void recorder_put_block(struct recorder *rec)
{
	writer_put(rec->writer, rec->block);
	rec->block = NULL;
	rec->due = false;
}

/* Small blocks would fill the queue of a disk that does not keep up. */
void recorder_flush(struct recorder *rec)
{
	rec->due = recorder_has_items(rec);
	if (rec->due && writer_is_idle(rec->writer))
		recorder_put_block(rec);
}

/* A place for items, with `keep` blocks left behind it. */
static bool recorder_has_room(struct recorder *rec, size_t keep)
{
	if (rec->block && rec->block->items.len >= FORMAT_BLOCK_SIZE)
		recorder_put_block(rec);
	if (!rec->block)
		rec->block = writer_take(rec->writer, keep);
	return rec->block;
}

/* ---- gaps ---- */

static void recorder_leave_out(struct recorder *rec)
{
	if (!rec->has_gap)
		rec->gap = (struct recording_gap){ .from_ns = rec->next_time_ns };
	rec->has_gap = true;
}

static void recorder_put_gap(struct recorder *rec)
{
	struct buf *b = &rec->block->items;

	buf_char(b, FORMAT_GAP);
	format_put_u64(b, rec->gap.events);
	format_put_u64(b, rec->gap.sockets);
	format_put_u64(b, rec->gap.from_ns);
	format_put_u64(b, rec->next_time_ns);
	rec->has_gap = false;
	rec->by_cookie = true;
}

/* ---- items ---- */

static void recorder_put_batch(struct recorder *rec, struct buf *b)
{
	if (rec->next_time_ns == rec->time_ns && rec->next_offset_ns == rec->boot_offset_ns)
		return;
	buf_char(b, FORMAT_BATCH);
	format_put_s64(b, (int64_t)(rec->next_time_ns - rec->time_ns));
	format_put_s64(b, (int64_t)((uint64_t)rec->next_offset_ns - (uint64_t)rec->boot_offset_ns));
	rec->time_ns = rec->next_time_ns;
	rec->boot_offset_ns = rec->next_offset_ns;
}

/* The place for an item; NULL if nothing is written any more, or it is left out. */
static struct buf *recorder_item(struct recorder *rec)
{
	if (writer_error(rec->writer))
		return NULL;
	if (rec->has_gap || !recorder_has_room(rec, RECORDER_KEEP)) {
		recorder_leave_out(rec);
		return NULL;
	}
	recorder_put_batch(rec, &rec->block->items);
	return &rec->block->items;
}

bool recorder_batch(struct recorder *rec, uint64_t time_ns, int64_t boot_offset_ns)
{
	rec->next_time_ns = time_ns;
	rec->next_offset_ns = boot_offset_ns;
	if (rec->due)
		recorder_flush(rec);
	if (!rec->has_gap || writer_error(rec->writer) || !recorder_has_room(rec, RECORDER_KEEP_GAP))
		return false;
	recorder_put_gap(rec);
	return true;
}

void recorder_netns(struct recorder *rec, const char *name, const struct netns_facts *facts)
{
	struct buf *b = recorder_item(rec);

	if (!b)
		return;
	buf_char(b, FORMAT_NETNS);
	facts_put_netns(b, name, facts);
}

void recorder_socket(struct recorder *rec, const struct event *ev, uint64_t until_ns)
{
	struct buf *b = recorder_item(rec);

	if (!b) {
		rec->gap.sockets++;
		return;
	}
	buf_char(b, FORMAT_SOCKET);
	facts_put_socket(b, ev, until_ns);
}

void recorder_miss(struct recorder *rec, uint64_t life, uint64_t cookie)
{
	struct buf *b = recorder_item(rec);

	if (!b)
		return;
	if (rec->by_cookie) {
		buf_char(b, FORMAT_MISS_COOKIE);
		format_put_u64(b, cookie);
		return;
	}
	buf_char(b, FORMAT_MISS);
	format_put_s64(b, (int64_t)(life - rec->life));
	rec->life = life;
}

void recorder_looked(struct recorder *rec)
{
	struct buf *b = recorder_item(rec);

	if (b)
		buf_char(b, FORMAT_LOOK);
}

/* ---- what repeats ---- */

/* The number of a text in the file, which is told first if it is new; 0 = none, or too many. */
static uint64_t recorder_text(struct recorder *rec, struct buf *b, const char *text)
{
	size_t i = ((uintptr_t)text * 0x9e3779b97f4a7c15ull >> 40) & (RECORDER_TEXT_SLOTS - 1), len;

	if (!text || rec->texts[i].text == text)
		return text ? rec->texts[i].number : 0;
	len = strlen(text);
	if (len >= FORMAT_TEXT_MAX || rec->text_count + 1 >= FORMAT_TEXTS_MAX)
		return 0;
	buf_char(b, FORMAT_TEXT);
	format_put_text(b, text, len);
	rec->texts[i] = (struct recorder_text){ text, ++rec->text_count };
	return rec->text_count;
}

static bool recorder_knows(const struct facts_process *p, const struct event *ev, uint64_t start_real_ns)
{
	return p->start_real_ns == start_real_ns && p->parent_pid == ev->parent_pid &&
	       p->name_is_leader == ev->name_is_leader && !memcmp(p->name, ev->name, sizeof(p->name)) &&
	       event_is_same_who(&p->who, event_who(ev));
}

/* Tells the process if its slot has another one, or has it otherwise. */
static uint32_t recorder_process(struct recorder *rec, struct buf *b, const struct event *ev, bool start_is_decoded)
{
	uint64_t key = ev->process_start_ns ^ (uint64_t)ev->pid << 32 ^ (uint64_t)ev->exec_id << 20 ^ ev->tid;
	uint32_t slot = (uint32_t)(key * 0x9e3779b97f4a7c15ull >> 40) % FORMAT_SLOTS;
	uint64_t start_real_ns = start_is_decoded ? 0 : ev->process_start_real_ns;
	struct facts_process *p = &rec->slots[slot];

	if (rec->used[slot] && recorder_knows(p, ev, start_real_ns))
		return slot;
	*p = (struct facts_process){ start_real_ns, ev->parent_pid, ev->name_is_leader, "", *event_who(ev) };
	memcpy(p->name, ev->name, sizeof(p->name));
	rec->used[slot] = true;
	buf_char(b, FORMAT_PROCESS);
	format_put_u64(b, slot);
	facts_put_process(b, p);
	return slot;
}

/* ---- events ---- */

/* What an event refers to, told before it. */
struct recorder_refs {
	uint32_t flags, slot;
	uint64_t local_service, remote_service, rule, cause, also;
};

static uint32_t recorder_truth_flags(struct recorder *rec, const struct raw_event *raw, const struct event *ev)
{
	struct facts_truth truth = { ev->netns_inum, ev->range_low, ev->range_high, ev->unprivileged_start };
	uint32_t flags = FORMAT_F_TRUTH;

	if (!ev->has_truth || (raw->flags & RAW_F_TRUTH))
		return 0;
	if (!memcmp(&rec->truth, &truth, sizeof(truth)))
		flags |= FORMAT_F_SAME_TRUTH;
	rec->truth = truth;
	return flags | (ev->local_reserved ? FORMAT_F_LOCAL_RESERVED : 0) |
	       (ev->remote_reserved ? FORMAT_F_REMOTE_RESERVED : 0);
}

static struct recorder_refs recorder_refer(struct recorder *rec, struct buf *b, const struct raw_event *raw,
					   const struct event *ev)
{
	uint64_t decoded = raw->process_start_ns ? raw->process_start_ns + (uint64_t)rec->boot_offset_ns : 0;
	bool start_is_decoded = ev->process_start_real_ns == decoded;
	struct recorder_refs refs = { .slot = recorder_process(rec, b, ev, start_is_decoded) };

	refs.flags = (refs.slot == rec->slot ? FORMAT_F_SAME_PROCESS : 0) |
		     (start_is_decoded ? FORMAT_F_START_DECODED : 0) | recorder_truth_flags(rec, raw, ev) |
		     (ev->has_holder ? FORMAT_F_HOLDER : 0) | (ev->verdict ? FORMAT_F_VERDICT : 0) |
		     (ev->pool_capacity ? FORMAT_F_POOL : 0);
	if (!strcmp(ev->reason, FACTS_INFERRED))
		refs.flags |= FORMAT_F_INFERRED;
	refs.local_service = recorder_text(rec, b, ev->local_facts.service);
	refs.remote_service = recorder_text(rec, b, ev->remote_facts.service);
	if (refs.local_service || refs.remote_service)
		refs.flags |= FORMAT_F_SERVICES;
	if (ev->verdict) {
		refs.rule = recorder_text(rec, b, ev->verdict->rule);
		refs.cause = recorder_text(rec, b, ev->verdict->cause);
		refs.also = recorder_text(rec, b, ev->verdict->also);
	}
	rec->slot = refs.slot;
	return refs;
}

static void recorder_put_verdict(struct buf *b, const struct event_verdict *v, const struct recorder_refs *refs)
{
	format_put_u64(b, v->has_pool);
	format_put_u64(b, v->used);
	format_put_u64(b, v->capacity);
	format_put_u64(b, v->reserved);
	format_put_u64(b, v->blocked);
	format_put_u64(b, v->next_ms);
	format_put_u64(b, refs->rule);
	format_put_u64(b, refs->cause);
	format_put_u64(b, refs->also);
	format_put_u64(b, v->more);
	format_put_text(b, v->text, v->text_len);
	format_put_text(b, v->json, v->json_len);
}

static void recorder_put_facts(struct recorder *rec, struct buf *b, const struct event *ev,
			       const struct recorder_refs *refs)
{
	if ((refs->flags & FORMAT_F_TRUTH) && !(refs->flags & FORMAT_F_SAME_TRUTH))
		facts_put_truth(b, &rec->truth);
	if (refs->flags & FORMAT_F_SERVICES) {
		format_put_u64(b, refs->local_service);
		format_put_u64(b, refs->remote_service);
	}
	if (refs->flags & FORMAT_F_HOLDER)
		facts_put_holder(b, &ev->holder);
	if (refs->flags & FORMAT_F_VERDICT)
		recorder_put_verdict(b, ev->verdict, refs);
	if (refs->flags & FORMAT_F_POOL) {
		format_put_u64(b, ev->pool_used);
		format_put_u64(b, ev->pool_capacity);
	}
}

static void recorder_miss_event(struct recorder *rec)
{
	if (writer_error(rec->writer)) {
		rec->unwritten++;
		return;
	}
	rec->left_out++;
	rec->gap.events++;
}

void recorder_event(struct recorder *rec, const void *raw, const struct event *ev)
{
	struct buf *b = recorder_item(rec);
	struct recorder_refs refs;
	uint64_t *last;
	union {
		struct raw_event record;
		uint64_t words[FORMAT_WORDS];
	} own; /* wherever `raw` stands */

	if (!b) {
		recorder_miss_event(rec);
		return;
	}
	memcpy(&own, raw, sizeof(own));
	refs = recorder_refer(rec, b, &own.record, ev);
	last = rec->last[format_last(own.record.kind % FORMAT_KINDS, refs.slot)];
	buf_char(b, FORMAT_EVENT);
	buf_char(b, (char)own.record.kind);
	format_put_u64(b, refs.flags);
	if (!(refs.flags & FORMAT_F_SAME_PROCESS))
		format_put_u64(b, refs.slot);
	raw_put(b, own.words, last);
	memcpy(last, own.words, sizeof(own.words));
	recorder_put_facts(rec, b, ev, &refs);
	rec->block->events++;
}

/* ---- the end ---- */

int recorder_end(struct recorder *rec, const struct recording_end *end, uint64_t deadline_ns)
{
	if (!writer_error(rec->writer) && recorder_has_room(rec, 0)) {
		struct buf *b = &rec->block->items;

		if (rec->has_gap)
			recorder_put_gap(rec);
		buf_char(b, FORMAT_END);
		format_put_u64(b, end->time_ns);
		format_put_u64(b, end->seen);
		format_put_u64(b, end->lost);
	}
	if (rec->block)
		recorder_put_block(rec);
	return writer_end(rec->writer, deadline_ns);
}

void recorder_read_stats(const struct recorder *rec, struct recorder_stats *ret)
{
	uint64_t open = rec->block ? rec->block->events : 0;
	struct writer_counts counts;

	writer_count(rec->writer, &counts);
	*ret = (struct recorder_stats){ .written = counts.written,
					.waiting = counts.error ? counts.waiting : counts.waiting + open,
					.left_out = rec->left_out,
					.unwritten = rec->unwritten + counts.unwritten + (counts.error ? open : 0),
					.blocks = counts.blocks,
					.bytes = counts.bytes,
					.is_late = rec->has_gap,
					.error = counts.error };
}

void recorder_close(struct recorder *rec)
{
	if (!rec)
		return;
	writer_free(rec->writer);
	free(rec);
}
