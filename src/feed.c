// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The registry: a new feed is one file in feed/ and one row here. */
#include "feed.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "json_lines.h"

static const struct feed_ops *const feed_registry[] = {
	&feed_stdout, &feed_file, &feed_unix, &feed_journal, &feed_syslog, &feed_otlp, &feed_kafka,
};

const struct feed_ops *feed_row(size_t i)
{
	return i < sizeof(feed_registry) / sizeof(feed_registry[0]) ? feed_registry[i] : NULL;
}

const struct feed_ops *feed_find(const char *scheme)
{
	for (size_t i = 0; feed_row(i); i++)
		if (!strcmp(feed_row(i)->scheme, scheme))
			return feed_row(i);
	return NULL;
}

/* ---- status ---- */

void feed_delivered(struct feed_status *status, uint64_t records)
{
	atomic_fetch_add_explicit(&status->delivered, records, memory_order_relaxed);
}

void feed_lost(struct feed_status *status, uint64_t records)
{
	atomic_fetch_add_explicit(&status->lost, records, memory_order_relaxed);
}

void feed_trouble(struct feed_status *status, const char *text)
{
	pthread_mutex_lock(&status->lock);
	snprintf(status->trouble, sizeof(status->trouble), "%s", text ? text : "");
	pthread_mutex_unlock(&status->lock);
}

void feed_trouble_errno(struct feed_status *status, const char *what, int error)
{
	char text[FEED_TROUBLE_SIZE];

	snprintf(text, sizeof(text), "%s: %s", what, strerrordesc_np(error) ? strerrordesc_np(error) : "unknown error");
	feed_trouble(status, text);
}

/* ---- URIs ---- */

static int feed_uri_params(struct feed_uri *uri, char *text, char *err)
{
	char *rest = text, *part;

	while ((part = strsep(&rest, "&"))) {
		char *value = strchr(part, '=');

		if (!*part)
			continue;
		if (uri->param_count == FEED_PARAMS_MAX) {
			snprintf(err, FEED_ERR_SIZE, "more than %d parameters", FEED_PARAMS_MAX);
			return -EINVAL;
		}
		if (value)
			*value++ = '\0';
		uri->params[uri->param_count].name = part;
		uri->params[uri->param_count].value = value ? value : "";
		uri->params[uri->param_count++].used = false;
	}
	return 0;
}

int feed_uri_parse(struct feed_uri *uri, const char *text, char *err)
{
	char *colon, *query;

	memset(uri, 0, sizeof(*uri));
	if (strlen(text) >= sizeof(uri->text)) {
		snprintf(err, FEED_ERR_SIZE, "longer than %zu bytes", sizeof(uri->text) - 1);
		return -EINVAL;
	}
	memcpy(uri->text, text, strlen(text) + 1);
	colon = strchr(uri->text, ':');
	if (!colon) {
		snprintf(err, FEED_ERR_SIZE, "no scheme: begins with a word and a colon, such as file:/path");
		return -EINVAL;
	}
	*colon = '\0';
	uri->scheme = uri->text;
	uri->target = colon + 1;
	query = strchr(colon + 1, '?');
	if (!query)
		return 0;
	*query = '\0';
	return feed_uri_params(uri, query + 1, err);
}

const char *feed_uri_param(struct feed_uri *uri, const char *name)
{
	for (size_t i = 0; i < uri->param_count; i++)
		if (!strcmp(uri->params[i].name, name)) {
			uri->params[i].used = true;
			return uri->params[i].value;
		}
	return NULL;
}

static int feed_uri_port(const char *text, char port[6])
{
	size_t n = strspn(text, "0123456789");

	if (!n || n > 5 || text[n])
		return -EINVAL;
	memcpy(port, text, n + 1);
	return 0;
}

int feed_uri_host(const char *target, const char *default_port, char *host, size_t size, char port[6])
{
	bool bracket = *target == '[';
	const char *begin = target + bracket, *end = bracket ? strchr(begin, ']') : strrchr(begin, ':');
	const char *rest;
	size_t n;

	if (bracket && !end)
		return -EINVAL;
	n = end ? (size_t)(end - begin) : strlen(begin);
	rest = begin + n + bracket;
	if (!n || n >= size || (*rest && *rest != ':'))
		return -EINVAL;
	memcpy(host, begin, n);
	host[n] = '\0';
	return feed_uri_port(*rest ? rest + 1 : default_port, port);
}

/* ---- JSON Lines ---- */

static void feed_json_init(void *state, const struct feed_run *run)
{
	struct json_lines_options opts = { .hostname = run->hostname, .run = run->id, .boot = run->boot };

	json_lines_init(state, &opts);
}

static bool feed_json_event(void *state, const struct event *ev, struct buf *out)
{
	return json_lines_event(state, ev, out);
}

static bool feed_json_stats(void *state, const struct stats *st, struct buf *out)
{
	return json_lines_stats(state, st, out);
}

const struct feed_format feed_json = {
	.state_size = sizeof(struct json_lines),
	.max = JSON_LINES_MAX,
	.init = feed_json_init,
	.event = feed_json_event,
	.stats = feed_json_stats,
};
