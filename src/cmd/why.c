// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* porttrace why [PID|DEST]: the diagnosis, and the remedy. */
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../cleanup.h"
#include "../cli.h"
#include "../clock.h"
#include "../cmd.h"
#include "../parse.h"
#include "explain.h"
#include "free_options.h"
#include "help.h"
#include "pressure.h"
#include "replay.h"

#define WHY_APART_NS 1000000000

enum why_status {
	WHY_HEALTHY = 0,
	WHY_PRESSURE = 1,
	WHY_EXHAUSTED = 2,
};

struct why_options {
	bool no_bpf, help;
	const char *netns, *history;
};

#define WHY_AT(field) offsetof(struct why_options, field)

static const struct cli_option why_rows[] = {
	CLI_ARG("Options:", 0, "netns", "PID|PATH", cli_set_text, WHY_AT(netns), "in this network namespace (all)",
		"a process id, or a path such as /run/netns/blue"),
	CLI_ARG("Options:", 0, "history", "PATH", cli_set_text, WHY_AT(history),
		"the history that tells who opened what is in TIME_WAIT\n(/var/lib/porttrace/history.db, if it is "
		"there)",
		"a file of porttrace --history"),
	CLI_FLAG("Options:", 0, "no-bpf", cli_set_true, WHY_AT(no_bpf), "sock_diag and /proc alone"),
	{ .group = "Options:",
	  .short_name = 'h',
	  .long_name = "help",
	  .set = cli_set_true,
	  .offset = WHY_AT(help),
	  .help = "this text",
	  .final = true },
};

static const struct cli_command why_command = {
	.name = "porttrace why",
	.usage = "[OPTIONS] [PID|DEST[:PORT]]",
	.summary = "Says why ports run out: which pool, the cause with what was seen of it, what helps, and\n"
		   "what does not. Of a process, of a destination, or of the whole machine.",
	.operands = CLI_OPERANDS,
	.options = why_rows,
	.option_count = sizeof(why_rows) / sizeof(why_rows[0]),
	.epilog = "Exit status: 0 no pressure, 1 pressure, 2 a pool is exhausted.\n",
};

/* What is asked for. */
struct why_question {
	uint32_t pid;	       /* 0 = of any process */
	struct endpoint to[8]; /* addresses of the destination */
	size_t to_count;       /* 0 = any */
	uint16_t port;	       /* 0 = any */
};

struct why {
	struct why_options opts;
	struct why_question question;
	struct pressure_session session;
	struct report out;
	int status;
	size_t told;
	char cause[4096]; /* what was told of the last pool from its cause on */
	size_t cause_len;
};

/* ---- the question ---- */

static int why_resolve(struct why_question *q, const char *host)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
	int r = getaddrinfo(host, NULL, &hints, &list);

	if (r) {
		fprintf(stderr, "porttrace: cannot resolve '%.60s': %s\n", host, gai_strerror(r));
		return -EINVAL;
	}
	for (struct addrinfo *at = list; at && q->to_count < 8; at = at->ai_next) {
		struct endpoint *to = &q->to[q->to_count++];

		*to = (struct endpoint){ .ip_version = at->ai_family == AF_INET6 ? 6 : 4 };
		if (to->ip_version == 6)
			memcpy(to->addr, &((struct sockaddr_in6 *)(void *)at->ai_addr)->sin6_addr, 16);
		else
			memcpy(to->addr, &((struct sockaddr_in *)(void *)at->ai_addr)->sin_addr, 4);
	}
	freeaddrinfo(list);
	return 0;
}

static int why_bad(const char *text)
{
	fprintf(stderr,
		"porttrace: '%.60s' is neither a process nor a destination: 4312, 10.0.3.9, [::1]:8080, "
		"db.example:5432\n",
		text);
	return -EINVAL;
}

/* "HOST", "HOST:PORT", "[IPV6]:PORT", "IPV6" */
static int why_parse_destination(struct why_question *q, const char *text)
{
	const char *end = text[0] == '[' ? strchr(text, ']') : strrchr(text, ':');
	struct endpoint whole;
	uint32_t port = 0;
	char host[256];

	if (text[0] != '[' && free_parse_address(text, &whole) == 0)
		end = NULL;
	if (text[0] == '[' && !end)
		return why_bad(text);
	snprintf(host, sizeof(host), "%.*s", (int)(end ? end - text : (ptrdiff_t)strlen(text)) - (text[0] == '['),
		 text + (text[0] == '['));
	if (end && text[0] == '[')
		end = end[1] ? end + 1 : NULL;
	if (end && (*end != ':' || parse_u32(end + 1, 1, UINT16_MAX, &port) < 0))
		return why_bad(text);
	if (!host[0] || strlen(text) >= sizeof(host))
		return why_bad(text);
	q->port = (uint16_t)port;
	return why_resolve(q, host);
}

/* Processes of a recording may have ended since. */
static int why_ask(struct why_question *q, const char *text, bool recorded)
{
	char path[32];
	struct stat st;

	if (!text[0] || text[strspn(text, "0123456789")])
		return why_parse_destination(q, text);
	snprintf(path, sizeof(path), "/proc/%.20s", text);
	if (parse_u32(text, 1, UINT32_MAX, &q->pid) == 0 && (recorded || stat(path, &st) == 0))
		return 0;
	fprintf(stderr, "porttrace: there is no process %.20s\n", text);
	return -ESRCH;
}

/* ---- the answer ---- */

static bool why_has_process(const struct pressure_netns *ns, const struct pressure_pool *pool, uint32_t pid)
{
	for (uint32_t i = 0; i < pool->owner_count; i++)
		if (ns->in.processes[pool->owners[i].process].pid == pid)
			return true;
	return false;
}

static bool why_is_meant(const struct why_question *q, const struct pressure_netns *ns,
			 const struct pressure_pool *pool)
{
	bool to = !q->to_count;

	if (q->pid)
		return why_has_process(ns, pool, q->pid);
	if (pool->key.kind != POOL_CONNECT)
		return to; /* whatever the destination: said where none is asked for */
	for (size_t i = 0; i < q->to_count; i++)
		to |= event_is_same_address(&q->to[i], &pool->key.destination);
	return to && (!q->port || q->port == pool->key.destination.port);
}

static void why_netns(struct why *why, const struct pressure_view *view, size_t i)
{
	struct rule_case c = { .netns = &view->netns[i], .counters = &view->counters[i] };
	const struct rule *rule;

	for (size_t n = 0; (rule = rule_of_netns(&view->netns[i], &view->counters[i], n)); n++) {
		buf_str(&why->out.b, rule->harmless ? "HARMLESS  " : "NOTE      ");
		pressure_text_netns(&why->out.b, &view->netns[i]);
		explain_rule(&why->out.b, rule, &c);
		buf_char(&why->out.b, '\n');
		report_flush(&why->out);
		if (!rule->harmless && why->status == WHY_HEALTHY)
			why->status = WHY_PRESSURE;
		why->told += !rule->harmless;
	}
}

static bool why_has_waits(const struct pressure_view *view)
{
	for (size_t i = 0; i < view->count; i++)
		for (size_t k = 0; k < view->netns[i].count; k++)
			if (view->netns[i].pools[k].ports[PRESSURE_TIME_WAIT] && view->netns[i].pools[k].unattributed)
				return true;
	return false;
}

static bool why_is_blind(const struct pressure_view *view)
{
	for (size_t i = 0; i < view->count; i++)
		if (view->netns[i].in.bucket_error)
			return true;
	return false;
}

/* The same evidence and remedy as of the pool before are not told twice. `from`: where this pool begins. */
static void why_shorten(struct why *why, size_t from)
{
	static const char begin[] = "\n  CAUSE   ";
	struct buf *b = &why->out.b;
	const char *cause = memmem(b->data + from, b->len - from, begin, strlen(begin));
	size_t size = cause ? (size_t)(b->data + b->len - cause) : 0;
	const char *end = size ? memchr(cause + 1, '\n', size - 1) : NULL;

	if (end && size == why->cause_len && !memcmp(cause, why->cause, size)) {
		b->len = (size_t)(end - b->data);
		buf_lit(b, ": as above\n");
		return;
	}
	why->cause_len = size < sizeof(why->cause) ? size : 0;
	memcpy(why->cause, cause ? cause : begin, why->cause_len);
}

static void why_answer(struct why *why, const struct pressure_view *view)
{
	struct buf *b = &why->out.b;
	size_t from;

	for (size_t i = 0; i < view->count; i++) {
		const struct pressure_netns *ns = &view->netns[i];

		for (size_t k = 0; k < ns->count; k++) {
			const struct pressure_pool *pool = &ns->pools[k];
			int status = !pool->measure.free.max	  ? WHY_EXHAUSTED :
				     pool->severity > PRESSURE_OK ? WHY_PRESSURE :
								    WHY_HEALTHY;

			if (!why_is_meant(&why->question, ns, pool) ||
			    (status == WHY_HEALTHY && !pressure_view_rule(view, i, pool)))
				continue;
			why->status = status > why->status ? status : why->status;
			if (status == WHY_HEALTHY)
				why->status = why->status ? why->status : WHY_PRESSURE;
			from = b->len;
			explain_pool(b, view, i, pool);
			why_shorten(why, from);
			buf_char(b, '\n');
			why->told++;
			report_flush(&why->out);
		}
		if (!why->question.pid && !why->question.to_count)
			why_netns(why, view, i);
	}
	if (!why->told)
		buf_lit(b, "No pool of ephemeral ports is under pressure here.\n");
	if (!view->remembers && why_has_waits(view))
		buf_lit(b, "Not known: who opened what is in TIME_WAIT. To know it next time: porttrace daemon\n");
	if (view->picture.snap.no_udp)
		buf_lit(b, "Not visible: UDP. This kernel has no udp_diag: P15 cannot be told.\n");
	if (why_is_blind(view))
		buf_lit(b, "Not visible: what bind() keeps from connect(): P03, P04 and P07 cannot be told.\n");
}

static int why_look(struct why *why, struct pressure_view *view)
{
	int r;

	pressure_session_begin();
	r = pressure_session_look(&why->session, view);
	if (r < 0 || why->session.take)
		return r;
	pressure_view_free(view);
	r = pressure_session_wait(WHY_APART_NS);
	return r < 0 ? r : pressure_session_look(&why->session, view);
}

/* The exit status. */
static int why_run(struct why *why)
{
	struct pressure_view view;
	char path[PATH_MAX];
	int r = 0;

	if (why->opts.netns && !why->session.take)
		r = netns_resolve(why->opts.netns, &why->session.netns_inum, path, sizeof(path));
	if (r < 0) {
		fprintf(stderr, "porttrace: option '--netns': %.200s: %s\n", why->opts.netns,
			r == -EINVAL ? "this is no network namespace" : strerrordesc_np(-r));
		return EXIT_STATUS_USAGE;
	}
	why->session.no_bpf |= why->opts.no_bpf;
	why->session.history_path = why->opts.history;
	r = why_look(why, &view);
	if (r == -EINTR)
		return EXIT_STATUS_OK;
	if (r < 0) {
		if (r != -EIO)
			fprintf(stderr, "porttrace: cannot read the sockets: %s\n", strerrordesc_np(-r));
		return EXIT_STATUS_FAILED;
	}
	why_answer(why, &view);
	pressure_view_free(&view);
	r = report_end(&why->out);
	if (r < 0 && r != -EPIPE) {
		fprintf(stderr, "porttrace: cannot write the output: %s\n", strerrordesc_np(-r));
		return EXIT_STATUS_FAILED;
	}
	return why->status;
}

/* `path`: of a recording; NULL = live. */
static int why_execute(const char *path, int argc, char **argv)
{
	_free_ struct why *why = calloc(1, sizeof(*why));
	char err[CLI_ERR_SIZE] = "cannot start: out of memory";
	int status, n = why ? cli_parse(&why_command, &why->opts, argc, argv, err) : -ENOMEM;
	struct replay rp = { 0 };

	if (n > 1)
		snprintf(err, sizeof(err), "one process or destination at a time");
	if (n < 0 || n > 1) {
		fprintf(stderr, "porttrace: %s\nTry 'porttrace why --help'.\n", err);
		return EXIT_STATUS_USAGE;
	}
	if (why->opts.help)
		return help_print(&why_command);
	signal(SIGPIPE, SIG_IGN);
	report_init(&why->out, STDOUT_FILENO);
	if (n == 1 && why_ask(&why->question, argv[1], path) < 0)
		return EXIT_STATUS_USAGE;
	status = EXIT_STATUS_FAILED;
	if (!path || replay_into_session(&rp, path, &why->session) == 0)
		status = why_run(why);
	pressure_session_close(&why->session);
	replay_close(&rp);
	return status;
}

static int why_main(int argc, char **argv)
{
	return why_execute(NULL, argc, argv);
}

int why_replay(const char *path, int argc, char **argv)
{
	return why_execute(path, argc, argv);
}

const struct command cmd_why = { "why", "why ports run out, and what helps", why_main };
