// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "event_pack.h"

#define EVENT_PACK_SINKS (sizeof(((struct event_unpacked *)NULL)->sinks) / sizeof(struct stats_sink))
#define EVENT_PACK_WORDS_MAX 128
#define EVENT_PACK_IS_WORDS(size) ((size) % sizeof(uint64_t) == 0 && (size) / sizeof(uint64_t) <= EVENT_PACK_WORDS_MAX)

_Static_assert(EVENT_PACK_IS_WORDS(EVENT_FIRST_SIZE), "an event is words");
_Static_assert(EVENT_PACK_IS_WORDS(sizeof(struct event_who)), "who is words");
_Static_assert(EVENT_PACK_IS_WORDS(sizeof(struct holder)), "a holder is words");

/* ---- words: a map with a bit for each, then those that are not 0 ---- */

static void event_pack_words(const void *from, size_t size, struct buf *b)
{
	uint64_t map[EVENT_PACK_WORDS_MAX / 64] = { 0 }, word;
	char *head = buf_ahead(b, sizeof(map) + size), *to;

	if (!head) {
		b->overflow = true;
		return;
	}
	to = head + sizeof(map);
	for (size_t i = 0; i < size / sizeof(word); i++) {
		memcpy(&word, (const char *)from + i * sizeof(word), sizeof(word));
		if (!word)
			continue;
		map[i / 64] |= UINT64_C(1) << (i % 64);
		memcpy(to, &word, sizeof(word));
		to += sizeof(word);
	}
	memcpy(head, map, sizeof(map));
	buf_took(b, to);
}

/* What comes behind them. */
static const char *event_unpack_words(const char *bytes, void *ret, size_t size)
{
	uint64_t map[EVENT_PACK_WORDS_MAX / 64];

	memcpy(map, bytes, sizeof(map));
	bytes += sizeof(map);
	memset(ret, 0, size);
	for (size_t k = 0; k < sizeof(map) / sizeof(map[0]); k++)
		for (; map[k]; map[k] &= map[k] - 1) {
			size_t i = k * 64 + (size_t)__builtin_ctzll(map[k]);

			memcpy((char *)ret + i * sizeof(uint64_t), bytes, sizeof(uint64_t));
			bytes += sizeof(uint64_t);
		}
	return bytes;
}

/* ---- texts of a verdict: NULL stays NULL, another stands behind, with its end ---- */

static void event_pack_text(const char *text, struct buf *b)
{
	if (text)
		buf_bytes(b, text, strlen(text) + 1);
}

static void event_unpack_text(const char **text, const char **bytes)
{
	if (!*text)
		return;
	*text = *bytes;
	*bytes += strlen(*bytes) + 1;
}

/* ---- a verdict ---- */

static void event_pack_verdict(const struct event_verdict *v, struct buf *b)
{
	buf_bytes(b, (const char *)v, sizeof(*v));
	event_pack_text(v->rule, b);
	event_pack_text(v->cause, b);
	event_pack_text(v->also, b);
	buf_bytes(b, v->json, v->json_len);
}

static void event_unpack_verdict(const char *bytes, struct event_verdict *ret)
{
	memcpy(ret, bytes, sizeof(*ret));
	bytes += sizeof(*ret);
	event_unpack_text(&ret->rule, &bytes);
	event_unpack_text(&ret->cause, &bytes);
	event_unpack_text(&ret->also, &bytes);
	ret->json = bytes;
	ret->text = NULL;
	ret->text_len = 0;
}

/* ---- events ---- */

bool event_pack(const struct event *ev, uint64_t observed_ns, struct buf *b)
{
	buf_bytes(b, (const char *)&observed_ns, sizeof(observed_ns));
	event_pack_words(ev, EVENT_FIRST_SIZE, b);
	if (ev->who)
		event_pack_words(ev->who, sizeof(*ev->who), b);
	if (ev->has_holder)
		event_pack_words(&ev->holder, sizeof(ev->holder), b);
	event_pack_text(ev->reason, b);
	if (ev->verdict)
		event_pack_verdict(ev->verdict, b);
	return !b->overflow;
}

void event_unpack(const char *bytes, struct event_unpacked *ret)
{
	struct event *ev = &ret->event;
	const char *begin = bytes;
	size_t reason_size;

	bytes = event_unpack_words(bytes + sizeof(ev->observed_ns), ev, EVENT_FIRST_SIZE);
	memcpy(&ev->observed_ns, begin, sizeof(ev->observed_ns));
	ev->owners = NULL;
	ev->owner_count = 0;
	if (ev->who)
		bytes = event_unpack_words(bytes, &ret->who, sizeof(ret->who));
	ev->who = ev->who ? &ret->who : NULL;
	if (ev->has_holder)
		bytes = event_unpack_words(bytes, &ev->holder, sizeof(ev->holder));
	reason_size = strlen(bytes) + 1;
	memcpy(ev->reason, bytes, reason_size);
	bytes += reason_size;
	if (!ev->verdict)
		return;
	event_unpack_verdict(bytes, &ret->verdict);
	ev->verdict = &ret->verdict;
}

/* ---- statistics ---- */

bool event_pack_stats(const struct stats *st, struct buf *b)
{
	if (st->sink_count > EVENT_PACK_SINKS)
		return false;
	buf_bytes(b, (const char *)st, sizeof(*st));
	buf_bytes(b, (const char *)st->sinks, st->sink_count * sizeof(*st->sinks));
	return !b->overflow;
}

void event_unpack_stats(const char *bytes, struct event_unpacked *ret)
{
	memcpy(&ret->stats, bytes, sizeof(ret->stats));
	memcpy(ret->sinks, bytes + sizeof(ret->stats), ret->stats.sink_count * sizeof(ret->sinks[0]));
	ret->stats.sinks = ret->sinks;
}
