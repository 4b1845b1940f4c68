// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * --sink otlp:http://host:4318[/path][?headers=/path&ca=/path&timeout=10s&retry=5m]: logs to an OpenTelemetry
 * receiver, by OTLP/HTTP with JSON and gzip. At most one request is under way, and one batch is being
 * collected, which is packed as its records come.
 *
 * A request is sent again when the protocol allows that (429, 502, 503, 504, or no answer at all), until
 * `retry` has passed. An answer that got lost makes duplicates: service.instance.id (the run) and
 * porttrace.sequence tell them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "../clock.h"
#include "../feed.h"
#include "../json_out.h"
#include "../parse.h"
#include "../version.h"
#include "otlp_answer.h"
#include "otlp_http.h"

#define OTLP_BATCH_RECORDS 512
#define OTLP_BATCH_BYTES (1024 * 1024) /* before gzip */
#define OTLP_BATCH_NS UINT64_C(1000000000) /* from its first record until it is sent */
#define OTLP_HEAD_MAX 2048
#define OTLP_TAIL "]}]}]}"
#define OTLP_PATH "/v1/logs"
#define OTLP_URL_SIZE (STATS_NAME_SIZE + sizeof(OTLP_PATH))
#define OTLP_TIMEOUT_NS UINT64_C(10000000000)
#define OTLP_RETRY_NS UINT64_C(300000000000)
#define OTLP_BACKOFF_NS UINT64_C(1000000000) /* the first; twice as much each time */
#define OTLP_BACKOFF_MAX_NS UINT64_C(30000000000)

/* The records of the request that is under way, or waits to be sent again; none = there is no request. */
struct otlp_request {
	size_t records;
	unsigned char *body; /* gzip; as large as that of the batch */
	size_t size; /* bytes */
	bool sent; /* the answer is waited for */
	unsigned int failures;
	uint64_t begin_ns; /* CLOCK_MONOTONIC */
};

struct otlp_feed {
	struct otlp_http *http;
	struct feed_status *status;
	uint64_t timeout_ns, retry_ns;
	uint64_t next_ns; /* CLOCK_MONOTONIC: nothing is sent earlier */
	bool asked_to_wait; /* next_ns is the other end's wish */
	unsigned char *batch; /* gzip of what is collected so far: the head, and records with commas between */
	size_t room, records; /* bytes that it has place for */
	size_t len; /* bytes before gzip */
	char head[OTLP_HEAD_MAX];
	size_t head_len;
	uint64_t due_ns; /* CLOCK_MONOTONIC: so long the batch may wait for more */
	struct otlp_request request;
	z_stream gzip;
	bool has_gzip, ending;
};

/* ---- opening ---- */

static void otlp_attribute(struct buf *b, const char *name, const char *value)
{
	if (!value || !value[0])
		return;
	buf_lit(b, ",{\"key\":\"");
	buf_str(b, name);
	buf_lit(b, "\",\"value\":{\"stringValue\":");
	json_text(b, value, 256);
	buf_lit(b, "}}");
}

/* What stands before the first record of each request. */
static void otlp_head(struct buf *b, const struct feed_run *run)
{
	buf_lit(b, "{\"resourceLogs\":[{\"resource\":{\"attributes\":["
		   "{\"key\":\"service.name\",\"value\":{\"stringValue\":\"porttrace\"}}");
	otlp_attribute(b, "service.version", PORTTRACE_VERSION);
	otlp_attribute(b, "service.instance.id", run->id);
	otlp_attribute(b, "host.name", run->hostname);
	otlp_attribute(b, "porttrace.boot.id", run->boot);
	buf_lit(b, "]},\"scopeLogs\":[{\"scope\":{\"name\":\"porttrace\",\"version\":\"" PORTTRACE_VERSION
		   "\"},\"logRecords\":[");
}

static int otlp_rooms(struct otlp_feed *o, const struct feed_run *run)
{
	struct buf head = { .data = o->head, .size = sizeof(o->head) };

	o->has_gzip = deflateInit2(&o->gzip, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK;
	o->room = o->has_gzip ? deflateBound(&o->gzip, OTLP_HEAD_MAX + OTLP_BATCH_BYTES + sizeof(OTLP_TAIL)) : 0;
	o->batch = malloc(o->room);
	o->request.body = malloc(o->room);
	if (!o->has_gzip || !o->batch || !o->request.body)
		return -ENOMEM;
	otlp_head(&head, run);
	o->head_len = head.len;
	return 0;
}

/* The path is /v1/logs if there is none. */
static int otlp_url(const char *target, char url[OTLP_URL_SIZE], char *err)
{
	size_t scheme = !strncmp(target, "http://", 7) ? 7 : !strncmp(target, "https://", 8) ? 8 : 0;
	const char *host = target + scheme, *path = strchr(host, '/');
	size_t n = path ? (size_t)(path - host) : strlen(host);

	if (!scheme || !n || strpbrk(target, " #")) {
		snprintf(err, FEED_ERR_SIZE, "needs an address, such as otlp:http://localhost:4318");
		return -EINVAL;
	}
	if (memchr(host, '@', n)) {
		snprintf(err, FEED_ERR_SIZE, "everybody can read a command line: put 'Authorization: ...' into a file, "
			 "and add ?headers=/path of it");
		return -EINVAL;
	}
	snprintf(url, OTLP_URL_SIZE, "%.*s%s", (int)(scheme + n), target, path && path[1] ? path : OTLP_PATH);
	return 0;
}

static int otlp_duration(struct feed_uri *uri, const char *name, uint64_t otherwise, uint64_t *ret, char *err)
{
	const char *text = feed_uri_param(uri, name);

	*ret = otherwise;
	if (!text || parse_duration(text, ret) == 0)
		return 0;
	snprintf(err, FEED_ERR_SIZE, "parameter '%s' needs a duration, such as 10s", name);
	return -EINVAL;
}

static int otlp_connect(struct otlp_feed *o, struct feed_uri *uri, char *err)
{
	char url[OTLP_URL_SIZE];
	struct otlp_http_options http = { .url = url };
	int r = otlp_url(uri->target, url, err);

	http.header_file = feed_uri_param(uri, "headers");
	http.ca_file = feed_uri_param(uri, "ca");
	if (r == 0)
		r = otlp_duration(uri, "timeout", OTLP_TIMEOUT_NS, &o->timeout_ns, err);
	if (r == 0)
		r = otlp_duration(uri, "retry", OTLP_RETRY_NS, &o->retry_ns, err);
	http.timeout_ns = o->timeout_ns;
	return r == 0 ? otlp_http_new(&http, &o->http, err) : r;
}

static void otlp_close(void *state)
{
	struct otlp_feed *o = state;

	if (!o)
		return;
	otlp_http_free(o->http);
	if (o->has_gzip)
		deflateEnd(&o->gzip);
	free(o->request.body);
	free(o->batch);
	free(o);
}

static int otlp_open(const struct feed_options *opts, void **ret_state, char *err)
{
	struct otlp_feed *o = calloc(1, sizeof(*o));
	int r = o ? otlp_connect(o, opts->uri, err) : -ENOMEM;

	if (r == 0)
		r = otlp_rooms(o, opts->run);
	if (r < 0) {
		otlp_close(o);
		return r;
	}
	o->status = opts->status;
	*ret_state = o;
	return 0;
}

/* ---- what becomes of a request ---- */

static void otlp_lose(struct otlp_feed *o, const char *why)
{
	feed_lost(o->status, o->request.records);
	o->request.records = 0;
	feed_trouble(o->status, why);
}

/* Some of them may have been refused; which ones is not said. */
static void otlp_accept(struct otlp_feed *o, const struct otlp_http_answer *answer)
{
	uint64_t rejected = otlp_answer_rejected(answer->body), records = o->request.records;
	char why[FEED_TROUBLE_SIZE];

	rejected = rejected < records ? rejected : records;
	feed_delivered(o->status, records - rejected);
	feed_lost(o->status, rejected);
	snprintf(why, sizeof(why), "%u of %u records were rejected", (unsigned int)rejected, (unsigned int)records);
	feed_trouble(o->status, rejected ? why : NULL);
	o->request.records = 0;
	o->next_ns = 0;
}

/* Doubled each time, and spread over half to one and a half of that: not all hosts of a fleet come back at once. */
static uint64_t otlp_backoff(unsigned int failures, uint64_t now_ns)
{
	uint64_t ns = OTLP_BACKOFF_NS << (failures < 6 ? failures : 6);

	ns = ns < OTLP_BACKOFF_MAX_NS ? ns : OTLP_BACKOFF_MAX_NS;
	return ns / 2 + now_ns % ns; /* the nanoseconds of now are chance enough */
}

static void otlp_put_off(struct otlp_feed *o, const struct otlp_http_answer *answer, const char *why, uint64_t now_ns)
{
	uint64_t wait_ns = answer->retry_after_s * 1000000000;

	o->asked_to_wait = wait_ns != 0;
	o->next_ns = now_ns + (wait_ns ? wait_ns : otlp_backoff(o->request.failures++, now_ns));
	if (o->next_ns > o->request.begin_ns + o->retry_ns)
		otlp_lose(o, why);
	else
		feed_trouble(o->status, why);
}

static void otlp_settle(struct otlp_feed *o, const struct otlp_http_answer *answer, uint64_t now_ns)
{
	int status = answer->status;
	char why[FEED_TROUBLE_SIZE];

	o->request.sent = false;
	if (status >= 200 && status < 300) {
		otlp_accept(o, answer);
		return;
	}
	if (status)
		otlp_answer_trouble(status, answer->body, why);
	else
		snprintf(why, sizeof(why), "cannot send: %.128s", answer->error);
	if (!status || status == 429 || status == 502 || status == 503 || status == 504)
		otlp_put_off(o, answer, why, now_ns);
	else
		otlp_lose(o, why);
}

/* ---- from record to request ---- */

/* The room is that of deflateBound(). */
static void otlp_append(struct otlp_feed *o, const char *bytes, size_t size, int flush)
{
	o->gzip.next_in = (unsigned char *)(uintptr_t)bytes;
	o->gzip.avail_in = (uInt)size;
	deflate(&o->gzip, flush);
	o->len += size;
}

static void otlp_begin(struct otlp_feed *o)
{
	deflateReset(&o->gzip);
	o->gzip.next_out = o->batch;
	o->gzip.avail_out = (uInt)o->room;
	o->len = 0;
	otlp_append(o, o->head, o->head_len, Z_NO_FLUSH);
	o->due_ns = clock_now_ns(CLOCK_MONOTONIC) + OTLP_BATCH_NS;
}

/* A record always fits into an empty batch. */
static bool otlp_collect(struct otlp_feed *o, const struct feed_record *rec)
{
	if (o->records == OTLP_BATCH_RECORDS || (o->records && o->len + rec->size > OTLP_BATCH_BYTES))
		return false;
	if (o->records)
		otlp_append(o, ",", 1, Z_NO_FLUSH);
	else
		otlp_begin(o);
	otlp_append(o, rec->data, rec->size, Z_NO_FLUSH);
	o->records++;
	return true;
}

/* The batch becomes the request. */
static void otlp_pack(struct otlp_feed *o, uint64_t now_ns)
{
	struct otlp_request *req = &o->request;
	unsigned char *sent = req->body;

	otlp_append(o, OTLP_TAIL, sizeof(OTLP_TAIL) - 1, Z_FINISH);
	req->body = o->batch;
	o->batch = sent;
	req->size = o->room - o->gzip.avail_out;
	req->records = o->records;
	req->failures = 0;
	req->begin_ns = now_ns;
	o->records = 0;
}

static bool otlp_is_due(const struct otlp_feed *o, bool full, uint64_t now_ns)
{
	return o->records && (full || o->ending || o->records == OTLP_BATCH_RECORDS || now_ns >= o->due_ns);
}

/* Goes on with what is to be sent; waits at most `ms` for an answer. `full`: the batch takes no more. */
static void otlp_advance(struct otlp_feed *o, bool full, int ms)
{
	const struct otlp_http_answer *answer;
	uint64_t now_ns;

	if (o->request.sent && otlp_http_wait(o->http, ms, &answer))
		otlp_settle(o, answer, clock_now_ns(CLOCK_MONOTONIC));
	now_ns = clock_now_ns(CLOCK_MONOTONIC);
	if (!o->request.records && otlp_is_due(o, full, now_ns))
		otlp_pack(o, now_ns);
	if (o->request.records && !o->request.sent && now_ns >= o->next_ns) {
		otlp_http_post(o->http, o->request.body, o->request.size);
		o->request.sent = true;
	}
}

static size_t otlp_deliver(void *state, const struct feed_record *records, size_t count)
{
	uint64_t end_ns = clock_now_ns(CLOCK_MONOTONIC) + FEED_TICK_MS * UINT64_C(1000000), now_ns;
	struct otlp_feed *o = state;
	size_t n = 0;

	for (;;) {
		while (n < count && otlp_collect(o, &records[n]))
			n++;
		now_ns = clock_now_ns(CLOCK_MONOTONIC);
		if (n == count || now_ns >= end_ns)
			break;
		otlp_advance(o, true, (int)((end_ns - now_ns) / 1000000));
		if (!o->request.sent && o->request.records && o->records)
			break; /* it waits to be sent again */
	}
	return n;
}

static void otlp_tick(void *state)
{
	otlp_advance(state, false, 0);
}

static void otlp_rest(void)
{
	struct timespec rest = { .tv_nsec = 10000000 };

	nanosleep(&rest, NULL);
}

/* A request that waits to be tried again is tried now, unless it was the other end that asked for the delay. */
static void otlp_finish(void *state, uint64_t deadline_ns)
{
	struct otlp_feed *o = state;

	o->ending = true;
	o->request.failures = 0;
	if (!o->asked_to_wait)
		o->next_ns = 0;
	while ((o->records || o->request.records) && clock_now_ns(CLOCK_MONOTONIC) < deadline_ns) {
		if (!o->request.sent && o->request.records && o->next_ns >= deadline_ns)
			break;
		otlp_advance(o, true, 20);
		if (!o->request.sent)
			otlp_rest();
	}
	feed_lost(o->status, o->records + o->request.records);
	o->records = o->request.records = 0;
}

const struct feed_ops feed_otlp = {
	.scheme = "otlp",
	.form = "otlp:http://host:4318",
	.format = &feed_otlp_records,
	.open = otlp_open,
	.deliver = otlp_deliver,
	.tick = otlp_tick,
	.finish = otlp_finish,
	.close = otlp_close,
};
