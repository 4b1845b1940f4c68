// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "event_pack.h"

#define EVENT_PACK_WORDS (sizeof(struct event) / sizeof(uint64_t))
#define EVENT_PACK_SINKS (sizeof(((struct event_unpacked *)NULL)->sinks) / sizeof(struct stats_sink))

_Static_assert(sizeof(struct event) % sizeof(uint64_t) == 0, "an event is words");

/* ---- words: a map with a bit for each, then those that are not 0 ---- */

static bool event_pack_words(const struct event *ev, struct buf *b)
{
	uint64_t map[(EVENT_PACK_WORDS + 63) / 64] = { 0 }, word;
	char *head = buf_ahead(b, sizeof(map) + sizeof(*ev)), *to;

	if (!head)
		return false;
	to = head + sizeof(map);
	for (size_t i = 0; i < EVENT_PACK_WORDS; i++) {
		memcpy(&word, (const char *)ev + i * sizeof(word), sizeof(word));
		if (!word)
			continue;
		map[i / 64] |= UINT64_C(1) << (i % 64);
		memcpy(to, &word, sizeof(word));
		to += sizeof(word);
	}
	memcpy(head, map, sizeof(map));
	buf_took(b, to);
	return true;
}

/* What comes behind them. */
static const char *event_unpack_words(const char *bytes, struct event *ret)
{
	uint64_t map[(EVENT_PACK_WORDS + 63) / 64];

	memcpy(map, bytes, sizeof(map));
	bytes += sizeof(map);
	memset(ret, 0, sizeof(*ret));
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
	if (!event_pack_words(ev, b))
		return false;
	if (ev->verdict)
		event_pack_verdict(ev->verdict, b);
	return !b->overflow;
}

void event_unpack(const char *bytes, struct event_unpacked *ret)
{
	struct event *ev = &ret->event;
	const char *begin = bytes;

	bytes = event_unpack_words(bytes + sizeof(ev->observed_ns), ev);
	memcpy(&ev->observed_ns, begin, sizeof(ev->observed_ns));
	ev->owners = NULL;
	ev->owner_count = 0;
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
