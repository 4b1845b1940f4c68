// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "metrics_table.h"

int metrics_new(struct metrics **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	metrics_lines_free(&m->counted);
	metrics_lines_free(&m->looked);
	free(m);
}

/* ---- events ---- */

/* Of a container's id the beginning is enough. Where the table lies differs: nobody can choose names that collide. */
static uint32_t metrics_hash(const struct metrics *m, const struct metrics_key *key)
{
	uint64_t words[(offsetof(struct metrics_key, container) + 16) / sizeof(uint64_t)], hash = (uintptr_t)m;

	memcpy(words, key, sizeof(words));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 29;
	}
	return (uint32_t)(hash >> 32);
}

/* An entry, made if it is not there; NULL = the first `limit` places are taken. */
static struct metrics_entry *metrics_find(struct metrics *m, const struct metrics_key *key, size_t limit)
{
	uint32_t slot = metrics_hash(m, key) % METRICS_SLOTS;

	for (; m->slots[slot]; slot = (slot + 1) % METRICS_SLOTS) {
		struct metrics_entry *e = &m->entries[m->slots[slot] - 1];

		if (!memcmp(&e->key, key, sizeof(*key)))
			return e;
	}
	if (m->count >= limit)
		return NULL;
	m->entries[m->count].key = *key;
	m->slots[slot] = (uint16_t)++m->count;
	return &m->entries[m->count - 1];
}

/* With all others of its kind; at last, whatever its errno. */
static struct metrics_entry *metrics_other(struct metrics *m, const struct metrics_key *key, uint64_t times)
{
	struct metrics_key other = { .what = key->what, .proto = key->proto, .op = key->op, .detail = key->detail,
				     .error = key->error, .is_other = true };
	struct metrics_entry *e = metrics_find(m, &other, METRICS_SETS_MAX + METRICS_OTHERS_MAX / 2);

	m->dropped += times;
	other.error = 0;
	return e ? e : metrics_find(m, &other, METRICS_SETS_MAX + METRICS_OTHERS_MAX);
}

static struct metrics_entry *metrics_place(struct metrics *m, const struct metrics_key *key, uint64_t times)
{
	struct metrics_entry *e = metrics_find(m, key, METRICS_SETS_MAX);

	return e ? e : metrics_other(m, key, times);
}

static enum metrics_op metrics_op_of(const struct event *ev)
{
	if (ev->how == HOW_AUTOBIND)
		return METRICS_OP_AUTOBIND;
	return ev->kind == EVENT_CONNECT ? METRICS_OP_CONNECT :
	       ev->kind == EVENT_LISTEN ? METRICS_OP_LISTEN : METRICS_OP_BIND;
}

static void metrics_key_fill(struct metrics_key *key, const struct event *ev, enum metrics_what what)
{
	*key = (struct metrics_key){ .netns = ev->netns_inum, .what = (uint8_t)what, .proto = (uint8_t)ev->proto,
				     .op = (uint8_t)metrics_op_of(ev) };
	if (what == METRICS_SEARCHED)
		return;
	memccpy(key->comm, ev->name, '\0', sizeof(key->comm));
	memccpy(key->container, event_who(ev)->container_id, '\0', sizeof(key->container));
}

/* Is it about the local port that a call failed, not about the other side? */
static bool metrics_is_of_port(enum event_cause cause)
{
	return cause == CAUSE_PORT_EXHAUSTED || cause == CAUSE_IN_USE || cause == CAUSE_PRIVILEGED ||
	       cause == CAUSE_NOT_LOCAL || cause == CAUSE_NO_ADDRESS || cause == CAUSE_TUPLE_CLASH;
}

static bool metrics_is_failure(const struct event *ev)
{
	if (ev->outcome != OUTCOME_FAILURE)
		return false;
	return ev->kind == EVENT_BIND || metrics_is_of_port(ev->cause) || ev->nothing_sent;
}

/* A connection that is refused had got its port all the same. */
static bool metrics_is_assignment(const struct event *ev)
{
	bool assigned = ev->how != HOW_NONE && ev->how != HOW_INHERITED && ev->local.has_port && ev->local.port;

	return assigned && (ev->outcome == OUTCOME_SUCCESS || ev->kind == EVENT_CONNECT);
}

static void metrics_searched(struct metrics *m, const struct event *ev)
{
	static const uint64_t limits_ns[METRICS_BUCKETS] = COUNT_LIMITS_NS;
	struct metrics_entry *e;
	struct metrics_key key;

	metrics_key_fill(&key, ev, METRICS_SEARCHED);
	e = metrics_place(m, &key, 1);
	e->count++;
	e->sum_ns += ev->search_ns;
	for (int i = 0; i < METRICS_BUCKETS; i++)
		if (ev->search_ns <= limits_ns[i]) {
			e->buckets[i]++;
			return;
		}
}

void metrics_event(struct metrics *m, const struct event *ev)
{
	bool failure = metrics_is_failure(ev);
	struct metrics_key key;

	if (ev->kind != EVENT_BIND && ev->kind != EVENT_LISTEN && ev->kind != EVENT_CONNECT)
		return;
	if (ev->has_search)
		metrics_searched(m, ev);
	if (!failure && !metrics_is_assignment(ev))
		return;
	metrics_key_fill(&key, ev, failure ? METRICS_FAILED : METRICS_ASSIGNED);
	key.detail = failure ? (uint8_t)ev->cause : (uint8_t)ev->half;
	key.error = failure ? (uint16_t)ev->error : 0;
	metrics_place(m, &key, 1)->count++;
}

void metrics_counted(struct metrics *m, const struct event *ev, const struct count *count)
{
	struct metrics_key key;
	struct metrics_entry *e;

	metrics_key_fill(&key, ev, METRICS_ASSIGNED);
	key.detail = (uint8_t)ev->half;
	metrics_place(m, &key, count->events)->count += count->events;
	if (!count->searches)
		return;
	metrics_key_fill(&key, ev, METRICS_SEARCHED);
	e = metrics_place(m, &key, count->searches);
	e->count += count->searches;
	e->sum_ns += count->search_ns;
	for (int i = 0; i < METRICS_BUCKETS; i++)
		e->buckets[i] += count->buckets[i];
}

const char *metrics_container(const struct metrics *m, uint32_t netns)
{
	const char *found = NULL;

	for (size_t i = 0; i < m->count; i++) {
		const struct metrics_key *key = &m->entries[i].key;

		if (key->netns != netns || key->is_other || key->what == METRICS_SEARCHED)
			continue;
		if (found && strncmp(found, key->container, sizeof(key->container)))
			return "";
		found = key->container;
	}
	return found ? found : "";
}

/* ---- text ---- */

static const char *const metrics_op_names[] = { "bind", "listen", "connect", "autobind" };

static const char *metrics_cause_name(enum event_cause cause)
{
	return cause == CAUSE_NONE ? "unknown" :
	       cause == CAUSE_PORT_EXHAUSTED ? "exhausted" :
	       cause == CAUSE_TUPLE_CLASH ? "clash" : event_cause_names[cause];
}

static void metrics_label_netns(struct buf *line, const struct metrics_key *key)
{
	if (key->is_other || !key->netns)
		metrics_label(line, "netns", key->is_other ? METRICS_OTHER : "unknown", 16);
	else
		metrics_label_u64(line, "netns", key->netns);
}

static void metrics_write_count(struct metrics *m, const struct metrics_entry *e)
{
	bool failed = e->key.what == METRICS_FAILED;
	struct buf *line = metrics_line(&m->counted, failed ? METRICS_FAILURES : METRICS_ASSIGNMENTS, "");
	const char *error = e->key.error ? strerrorname_np(e->key.error) : NULL;

	metrics_label_netns(line, &e->key);
	metrics_label(line, "container", e->key.is_other ? METRICS_OTHER : e->key.container, sizeof(e->key.container));
	metrics_label(line, "comm", e->key.is_other ? METRICS_OTHER : e->key.comm, sizeof(e->key.comm));
	metrics_label(line, "proto", event_proto_names[e->key.proto], 8);
	metrics_label(line, "op", metrics_op_names[e->key.op], 16);
	if (failed) {
		metrics_label(line, "errno", error ? error : "unknown", 32);
		metrics_label(line, "cause", metrics_cause_name((enum event_cause)e->key.detail), 32);
	} else {
		metrics_label(line, "half", e->key.detail ? event_half_names[e->key.detail] : "na", 16);
	}
	metrics_end(line, e->count);
}

static struct buf *metrics_search_line(struct metrics *m, const struct metrics_entry *e, const char *suffix)
{
	struct buf *line = metrics_line(&m->counted, METRICS_SEARCH, suffix);

	metrics_label_netns(line, &e->key);
	metrics_label(line, "proto", event_proto_names[e->key.proto], 8);
	metrics_label(line, "op", metrics_op_names[e->key.op], 16);
	return line;
}

static void metrics_write_search(struct metrics *m, const struct metrics_entry *e)
{
	static const char *const limits[METRICS_BUCKETS] = { "1e-05", "3e-05", "0.0001", "0.0003", "0.001",
							     "0.003", "0.01",  "0.03" };
	uint64_t sum = 0;

	for (int i = 0; i <= METRICS_BUCKETS; i++) {
		struct buf *line = metrics_search_line(m, e, "_bucket");

		sum = i < METRICS_BUCKETS ? sum + e->buckets[i] : e->count;
		metrics_label(line, "le", i < METRICS_BUCKETS ? limits[i] : "+Inf", 16);
		metrics_end(line, sum);
	}
	metrics_end_real(metrics_search_line(m, e, "_sum"), (double)e->sum_ns / 1e9);
	metrics_end(metrics_search_line(m, e, "_count"), e->count);
}

static void metrics_write_sink(struct metrics *m, const struct stats_sink *sink)
{
	const struct {
		const char *result;
		uint64_t records;
	} rows[] = { { "delivered", sink->delivered },
		     { "lost_queue", sink->lost_queue },
		     { "lost_sink", sink->lost_sink } };
	struct buf *line;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		line = metrics_line(&m->counted, METRICS_SINK, "");
		metrics_label(line, "sink", sink->name, sizeof(sink->name));
		metrics_label(line, "result", rows[i].result, 16);
		metrics_end(line, rows[i].records);
	}
	line = metrics_line(&m->counted, METRICS_SINK_WAITING, "");
	metrics_label(line, "sink", sink->name, sizeof(sink->name));
	metrics_end(line, sink->waiting);
}

static void metrics_write_lost_ring(struct metrics *m, const uint64_t lost[STATS_LOSSES])
{
	for (size_t i = 0; i < STATS_LOSSES; i++) {
		struct buf *line = metrics_line(&m->counted, METRICS_LOST_RING, "");

		metrics_label(line, "event", event_kind_names[i / 2], 16);
		metrics_label(line, "result", i % 2 ? "failure" : "success", 16);
		metrics_end(line, lost[i]);
	}
}

void metrics_update(struct metrics *m, const struct metrics_self *self)
{
	metrics_lines_clear(&m->counted);
	for (size_t i = 0; i < m->count; i++) {
		if (m->entries[i].key.what == METRICS_SEARCHED)
			metrics_write_search(m, &m->entries[i]);
		else
			metrics_write_count(m, &m->entries[i]);
	}
	if (!self)
		return;
	if (self->look_ns)
		metrics_end_real(metrics_line(&m->counted, METRICS_LOOK, ""), (double)self->look_ns / 1e9);
	metrics_end(metrics_line(&m->counted, METRICS_LOST, ""), self->events_lost);
	metrics_write_lost_ring(m, self->lost_ring);
	metrics_end(metrics_line(&m->counted, METRICS_EVICTED, ""), self->evicted);
	metrics_end(metrics_line(&m->counted, METRICS_DROPPED, ""), m->dropped);
	for (size_t i = 0; i < self->sink_count; i++)
		metrics_write_sink(m, &self->sinks[i]);
}

int metrics_text(const struct metrics *m, enum metrics_dialect dialect, struct buf *ret)
{
	ret->len = 0;
	ret->overflow = false;
	for (int f = 0; f < METRICS_FAMILY_COUNT; f++)
		metrics_text_family(ret, (enum metrics_family)f, dialect, &m->looked, &m->counted);
	return metrics_text_end(ret);
}
