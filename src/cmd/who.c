// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* porttrace who PORT [--at TIME]: who has, or had, a port. */
#include "who.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../cleanup.h"
#include "../cmd.h"

#define WHO_ALL_PROTOS (1u << PROTO_TCP | 1u << PROTO_UDP)
#define WHO_TIME_MAX 64

static int who_fail(int error, const char *what)
{
	fprintf(stderr, "porttrace: %s: %s\n", what, strerrordesc_np(-error));
	return error == -EPERM || error == -EACCES ? EXIT_STATUS_NOT_PERMITTED : EXIT_STATUS_FAILED;
}

bool who_is_meant(const struct who *who, uint16_t port, enum event_proto proto)
{
	if (!(who->opts.query.protos & 1u << proto))
		return false;
	for (size_t i = 0; i < who->opts.query.port_count; i++)
		if (who->opts.query.ports[i] == port)
			return true;
	return false;
}

void who_show(struct who *who, const struct history_row *row)
{
	if (!who->header_done && !who->opts.no_header && !who->opts.json)
		history_report_header(&who->out);
	who->header_done = true;
	who->found++;
	history_report_row(&who->out, row, &who->view);
}

/* ---- the past ---- */

static int who_show_life(void *arg, const struct history_life *life)
{
	struct who *who = arg;
	struct history_row row = { .life = life };

	if (who_is_meant(who, life->local.port, life->proto))
		who_show(who, &row);
	return who->out.error;
}

static const char *who_time(const struct who *who, uint64_t ns, char *text)
{
	struct buf b = { .data = text, .size = WHO_TIME_MAX - 1 };

	when_text(&b, ns, who->view.now_ns, who->opts.utc);
	text[b.len] = '\0';
	return text;
}

/* What keeps the answer from being certain, in words. */
static void who_tell_gap(const struct who *who, uint64_t before_ns, uint64_t after_ns)
{
	char at[WHO_TIME_MAX], before[WHO_TIME_MAX], after[WHO_TIME_MAX];

	who_time(who, who->opts.at.from_ns, at);
	who_time(who, before_ns, before);
	who_time(who, after_ns, after);
	if (before_ns && after_ns)
		fprintf(stderr,
			"porttrace: no porttrace was writing at %s; the last before ended %s, the next began %s\n", at,
			before, after);
	else if (before_ns)
		fprintf(stderr, "porttrace: no porttrace was writing at %s; the last before ended %s\n", at, before);
	else if (after_ns)
		fprintf(stderr, "porttrace: nothing is known of %s: the history begins %s\n", at, after);
	else
		fprintf(stderr, "porttrace: the history is empty\n");
}

/* The span of the question has to be covered at both ends. */
static int who_check_cover(const struct who *who, bool *ret_covered)
{
	uint64_t before = 0, after = 0;
	uint64_t to = who->opts.at.to_ns < who->view.now_ns ? who->opts.at.to_ns : who->opts.at.from_ns;
	int r = history_covers(who->history, who->opts.at.from_ns, &before, &after);

	if (r == 1)
		r = history_covers(who->history, to, &before, &after);
	if (r == 0)
		who_tell_gap(who, before, after);
	*ret_covered = r == 1;
	return r < 0 ? r : 0;
}

static int who_past(struct who *who)
{
	struct history_query query = { .remote_port = -1, .proto = -1, .netns_inum = who->opts.netns_inum };
	char at[WHO_TIME_MAX];
	bool covered = false;
	int r = 0;

	query.from_ns = who->opts.at.from_ns;
	query.to_ns = who->opts.at.to_ns;
	if (who->opts.query.protos != WHO_ALL_PROTOS)
		query.proto = who->opts.query.protos & 1u << PROTO_TCP ? PROTO_TCP : PROTO_UDP;
	for (size_t i = 0; i < who->opts.query.port_count && !r; i++) {
		query.port = who->opts.query.ports[i];
		r = history_find(who->history, &query, who_show_life, who);
	}
	report_flush(&who->out);
	if (!r)
		r = who_check_cover(who, &covered);
	if (!r && covered && !who->found)
		fprintf(stderr, "porttrace: nobody had port %u at %s\n", who->opts.query.ports[0],
			who_time(who, who->opts.at.from_ns, at));
	return r;
}

/* ---- a run ---- */

/* The past needs the history; the present is told without it too. */
static int who_open_history(struct who *who)
{
	const char *path = who->opts.history ? who->opts.history : HISTORY_DEFAULT_PATH;
	char err[HISTORY_ERR_SIZE];
	int r = history_reader_open(path, &who->history, err);

	if (!r || (!who->opts.at_text && !who->opts.history && (r == -ENOENT || r == -EACCES)))
		return EXIT_STATUS_OK;
	fprintf(stderr, "porttrace: %s\n", err);
	if (r == -ENOENT && !who->opts.history)
		fprintf(stderr, "A running 'porttrace daemon' keeps one.\n");
	return r == -EACCES ? EXIT_STATUS_NOT_PERMITTED : EXIT_STATUS_FAILED;
}

static int who_end(struct who *who, int r)
{
	int written = report_end(&who->out);

	if (written == -EPIPE || r == -EPIPE)
		return EXIT_STATUS_OK;
	if (written < 0)
		return who_fail(written, "cannot write the output");
	if (r == -EBADMSG)
		return who_fail(r, "the history is damaged");
	if (r < 0)
		return who_fail(r, who->opts.at_text ? "cannot read the history" : "cannot list the sockets");
	return who->opts.help || who->found ? EXIT_STATUS_OK : EXIT_STATUS_FAILED;
}

static int who_run(struct who *who)
{
	int status = who_open_history(who), r;

	if (status != EXIT_STATUS_OK)
		return status;
	if (who->opts.at_text)
		who->view.at_ns = who->opts.at.from_ns;
	r = who->opts.at_text ? who_past(who) : who_now(who);
	if (!r && !who->opts.at_text && !who->found && (!who->no_udp || who->opts.query.protos & 1u << PROTO_TCP))
		fprintf(stderr, "porttrace: nobody has port %u%s\n", who->opts.query.ports[0],
			who->no_udp ? "/tcp" : "");
	return who_end(who, r);
}

static int who_main(int argc, char **argv)
{
	static struct who who; /* large: the buffer */
	char err[CLI_ERR_SIZE];
	int status, r = service_table_new(NULL, &who.names);

	if (r < 0)
		return who_fail(r, "cannot read the service names");
	signal(SIGPIPE, SIG_IGN);
	report_init(&who.out, STDOUT_FILENO);
	who.view.now_ns = when_now();
	if (who_options_parse(&who.opts, argc, argv, who.names, who.view.now_ns, err) < 0) {
		fprintf(stderr, "porttrace: %s\nTry 'porttrace who --help'.\n", err);
		status = EXIT_STATUS_USAGE;
	} else if (who.opts.help) {
		cli_help(&who_command, &who.out.b);
		status = who_end(&who, 0);
	} else {
		who.view.names = who.opts.numeric ? NULL : who.names;
		who.view.utc = who.opts.utc;
		who.view.json = who.opts.json;
		status = who_run(&who);
	}
	history_reader_close(who.history);
	service_table_free(who.names);
	return status;
}

const struct command cmd_who = { "who", "who has, or had, a port", who_main };
