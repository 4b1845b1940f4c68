// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One JSON object a line, to standard output. */
#include "../sink.h"

#include <errno.h>
#include <stdlib.h>

#include "../json_lines.h"
#include "output.h"

struct json {
	struct output out;
	struct json_lines lines;
};

static int json_open(const struct sink_options *opts, void **ret_state)
{
	struct json_lines_options how = { .hostname = opts->hostname, .run = opts->run, .boot = opts->boot };
	struct json *js = calloc(1, sizeof(*js));

	if (!js)
		return -ENOMEM;
	output_init(&js->out, opts->fd);
	json_lines_init(&js->lines, &how);
	*ret_state = js;
	return 0;
}

static int json_event(void *state, const struct event *ev)
{
	struct json *js = state;
	size_t max = json_lines_max(ev);
	struct buf line;
	int err;

	if (max > OUTPUT_SIZE)
		max = OUTPUT_SIZE;
	err = output_reserve(&js->out, max);
	if (err)
		return err;
	output_line(&js->out, max, &line);
	if (!json_lines_event(&js->lines, ev, &line))
		return -EMSGSIZE;
	output_commit(&js->out, &line);
	return 0;
}

static int json_stats(void *state, const struct stats *st)
{
	struct json *js = state;
	int err = output_reserve(&js->out, JSON_LINES_MAX);
	struct buf line;

	if (err)
		return err;
	output_line(&js->out, JSON_LINES_MAX, &line);
	if (json_lines_stats(&js->lines, st, &line))
		output_commit(&js->out, &line);
	return 0;
}

static int json_flush(void *state)
{
	return output_flush(&((struct json *)state)->out);
}

static void json_close(void *state)
{
	free(state);
}

static size_t json_pending(const void *state)
{
	return output_pending(&((const struct json *)state)->out);
}

const struct sink_ops sink_json = {
	.name = "json",
	.open = json_open,
	.event = json_event,
	.stats = json_stats,
	.flush = json_flush,
	.pending = json_pending,
	.close = json_close,
};
