// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "parse.h"

#define CLI_WORD_MAX 63
#define CLI_HELP_COLUMN 27

/* ---- mistakes ---- */

/* The sentence quotes what the user typed, and a typed escape sequence must not reach the terminal.
 */
__attribute__((format(printf, 2, 3))) static int cli_mistake(char *err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(err, CLI_ERR_SIZE, format, args);
	va_end(args);
	for (; *err; err++)
		if ((unsigned char)*err < 32 || *err == 127)
			*err = '?';
	return -EINVAL;
}

static size_t cli_min(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Edits (insert, delete, replace, swap of neighbours) from one word to another; only for words up
 * to CLI_WORD_MAX. */
static size_t cli_distance(const char *a, const char *b)
{
	size_t rows[3][CLI_WORD_MAX + 1] = { 0 };
	size_t *before = rows[0], *last = rows[1], *row = rows[2];
	size_t len_b = strlen(b);

	for (size_t j = 0; j <= len_b; j++)
		last[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t *free_row = before;

		row[0] = i;
		for (size_t j = 1; j <= len_b; j++) {
			row[j] = cli_min(cli_min(last[j], row[j - 1]) + 1,
					 last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = cli_min(row[j], before[j - 2] + 1);
		}
		before = last;
		last = row;
		row = free_row;
	}
	return last[len_b];
}

/* How far `name` is from what was typed: 0 a beginning of it, 1 a part, SIZE_MAX hardly meant. */
static size_t cli_far(const char *typed, const char *name)
{
	size_t len = strlen(typed), distance;

	if (len < 2 || len > CLI_WORD_MAX || strlen(name) > CLI_WORD_MAX)
		return SIZE_MAX;
	if (len > 2 && !strncmp(typed, name, len))
		return 0;
	if (len > 3 && strstr(name, typed))
		return 1;
	distance = cli_distance(typed, name);
	return distance <= 1 + len / 4 ? distance : SIZE_MAX;
}

const char *cli_nearest(const char *word, const char *const *words, size_t count)
{
	const char *best = NULL;
	size_t best_far = SIZE_MAX;

	for (size_t i = 0; i < count; i++) {
		size_t far = words[i] ? cli_far(word, words[i]) : SIZE_MAX;

		if (far < best_far) {
			best = words[i];
			best_far = far;
		}
	}
	return best;
}

/* ---- looking up ---- */

static const struct cli_option *cli_find_short(const struct cli_command *cmd, char c)
{
	for (size_t i = 0; i < cmd->option_count; i++)
		if (c && cmd->options[i].short_name == c)
			return &cmd->options[i];
	return NULL;
}

static const struct cli_option *cli_find_long(const struct cli_command *cmd, const char *name,
					      size_t len)
{
	for (size_t i = 0; i < cmd->option_count; i++) {
		const char *long_name = cmd->options[i].long_name;

		if (long_name && strlen(long_name) == len && !memcmp(long_name, name, len))
			return &cmd->options[i];
	}
	return NULL;
}

static const char *cli_nearest_long(const struct cli_command *cmd, const char *name)
{
	const char *best = NULL;

	/* Each duel leaves the nearer of two. */
	for (size_t i = 0; i < cmd->option_count; i++)
		best = cli_nearest(name, (const char *const[]){ best, cmd->options[i].long_name },
				   2);
	return best;
}

static int cli_unknown_long(const struct cli_command *cmd, const char *name, size_t len, char *err)
{
	char word[CLI_WORD_MAX + 1] = "";
	const char *nearest;

	snprintf(word, sizeof(word), "%.*s", (int)cli_min(len, CLI_WORD_MAX), name);
	nearest = cli_nearest_long(cmd, word);
	if (nearest)
		return cli_mistake(err, "unknown option '--%s': did you mean '--%s'?", word,
				   nearest);
	return cli_mistake(err, "unknown option '--%s': '%s --help' lists the options", word,
			   cmd->name);
}

/* `arg` is the whole bundle, "-json": one hyphen may simply have been forgotten. */
static int cli_unknown_short(const struct cli_command *cmd, const char *arg, char c, char *err)
{
	const char *nearest = strlen(arg) > 3 ? cli_nearest_long(cmd, arg + 1) : NULL;

	if (nearest)
		return cli_mistake(err, "unknown option '%.60s': did you mean '--%s'?", arg,
				   nearest);
	if (isalpha((unsigned char)c) && cli_find_short(cmd, c ^ 0x20))
		return cli_mistake(err, "unknown option '-%c': did you mean '-%c'?", c, c ^ 0x20);
	return cli_mistake(err, "unknown option '-%c': '%s --help' lists the options", c,
			   cmd->name);
}

/* ---- parsing ---- */

/* Where the reading of argv stands. Operands are moved to its front. */
struct cli_state {
	const struct cli_command *cmd;
	void *target;
	int argc, at, operand_count;
	char **argv;
	char *err;
	bool done;
};

static int cli_set(struct cli_state *st, const struct cli_option *opt, const char *text)
{
	char why[CLI_ERR_SIZE] = "";
	char name[CLI_WORD_MAX + 1];
	int err = opt->set((char *)st->target + opt->offset, text, why);

	st->done = opt->final;
	if (!err)
		return 0;
	if (opt->long_name)
		snprintf(name, sizeof(name), "--%s", opt->long_name);
	else
		snprintf(name, sizeof(name), "-%c", opt->short_name);
	if (why[0])
		return cli_mistake(st->err, "%s: %s", name, why);
	return cli_mistake(st->err, "%s: bad value '%.60s': expected %s", name, text ? text : "",
			   opt->expects ? opt->expects : opt->arg);
}

/* The argument of an option that stands alone: the next word. NULL if there is none. */
static const char *cli_next(struct cli_state *st)
{
	return st->at + 1 < st->argc ? st->argv[++st->at] : NULL;
}

static int cli_no_value(struct cli_state *st, const char *name, const struct cli_option *opt)
{
	return cli_mistake(st->err, "%s needs a value: %s", name,
			   opt->expects ? opt->expects : opt->arg);
}

static int cli_long(struct cli_state *st, const char *arg)
{
	const char *name = arg + 2, *text = strchr(name, '=');
	size_t len = text ? (size_t)(text - name) : strlen(name);
	const struct cli_option *opt = cli_find_long(st->cmd, name, len);

	if (!opt)
		return cli_unknown_long(st->cmd, name, len, st->err);
	if (!opt->arg && text)
		return cli_mistake(st->err, "--%s takes no value", opt->long_name);
	if (!opt->arg || (opt->optional && !text))
		return cli_set(st, opt, NULL);
	text = text ? text + 1 : cli_next(st);
	return text ? cli_set(st, opt, text) : cli_no_value(st, arg, opt);
}

/* "-x", "-xj", "-p4312", "-xp 4312". */
static int cli_bundle(struct cli_state *st, const char *arg)
{
	int err = 0;

	for (const char *c = arg + 1; *c && !err && !st->done; c++) {
		const struct cli_option *opt = cli_find_short(st->cmd, *c);
		const char name[] = { '-', *c, '\0' };
		const char *text;

		if (!opt)
			return cli_unknown_short(st->cmd, arg, *c, st->err);
		if (!opt->arg || opt->optional) {
			err = cli_set(st, opt, NULL);
			continue;
		}
		text = c[1] ? c + 1 : cli_next(st);
		return text ? cli_set(st, opt, text) : cli_no_value(st, name, opt);
	}
	return err;
}

static int cli_operand(struct cli_state *st, char *word, bool after_dashes)
{
	const char *name = st->cmd->name;

	if (st->cmd->operands == CLI_OPERANDS ||
	    (st->cmd->operands == CLI_COMMAND && after_dashes)) {
		st->argv[++st->operand_count] = word;
		return 0;
	}
	if (st->cmd->operands == CLI_COMMAND)
		return cli_mistake(st->err,
				   "unexpected argument '%.60s': to trace a command, write '%s "
				   "[OPTIONS] -- %.60s'",
				   word, name, word);
	return cli_mistake(st->err, "unexpected argument '%.60s': '%s' takes only options", word,
			   name);
}

static int cli_dashes(struct cli_state *st)
{
	int err = 0;

	if (st->cmd->operands == CLI_COMMAND && st->at + 1 >= st->argc)
		return cli_mistake(st->err, "'--' must be followed by the command to trace");
	while (!err && ++st->at < st->argc)
		err = cli_operand(st, st->argv[st->at], true);
	return err;
}

int cli_parse(const struct cli_command *cmd, void *target, int argc, char **argv, char *err)
{
	struct cli_state st = {
		.cmd = cmd, .target = target, .argc = argc, .argv = argv, .err = err
	};
	int r = 0;

	err[0] = '\0';
	for (st.at = 1; st.at < argc && !r && !st.done; st.at++) {
		char *arg = argv[st.at];

		if (!strcmp(arg, "--"))
			r = cli_dashes(&st);
		else if (arg[0] == '-' && arg[1] == '-')
			r = cli_long(&st, arg);
		else if (arg[0] == '-' && arg[1])
			r = cli_bundle(&st, arg);
		else
			r = cli_operand(&st, arg, false);
	}
	if (r)
		return r;
	if (argc > 0)
		argv[st.operand_count + 1 < argc ? st.operand_count + 1 : argc] = NULL;
	return st.operand_count;
}

/* ---- help ---- */

/* Each line of `text` at `column`; the first goes where the buffer stands. */
static void cli_indented(struct buf *out, const char *text, size_t column)
{
	for (;;) {
		size_t n = strcspn(text, "\n");

		buf_bytes(out, text, n);
		buf_char(out, '\n');
		if (!text[n])
			return;
		text += n + 1;
		buf_pad(out, out->len, column);
	}
}

static void cli_help_usage(const struct cli_command *cmd, struct buf *out)
{
	const char *usage = cmd->usage;

	for (const char *lead = "Usage: "; usage; lead = "       ") {
		size_t n = strcspn(usage, "\n");

		buf_str(out, lead);
		buf_str(out, cmd->name);
		buf_char(out, ' ');
		buf_bytes(out, usage, n);
		buf_char(out, '\n');
		usage = usage[n] ? usage + n + 1 : NULL;
	}
}

static void cli_help_names(const struct cli_option *opt, struct buf *out)
{
	buf_lit(out, "  ");
	if (opt->short_name) {
		buf_char(out, '-');
		buf_char(out, opt->short_name);
	}
	if (opt->long_name) {
		buf_str(out, opt->short_name ? ", --" : "    --");
		buf_str(out, opt->long_name);
	}
	if (opt->arg) {
		buf_str(out, opt->optional ? "[=" : " ");
		buf_str(out, opt->arg);
		buf_str(out, opt->optional ? "]" : "");
	}
}

static void cli_help_option(const struct cli_option *opt, struct buf *out)
{
	size_t from = out->len;

	cli_help_names(opt, out);
	if (out->len - from >= CLI_HELP_COLUMN) {
		buf_char(out, '\n');
		from = out->len;
	}
	buf_pad(out, from, CLI_HELP_COLUMN);
	cli_indented(out, opt->help, CLI_HELP_COLUMN);
}

void cli_help(const struct cli_command *cmd, struct buf *out)
{
	const char *group = "";

	cli_help_usage(cmd, out);
	buf_str(out, cmd->summary);
	buf_char(out, '\n');
	for (size_t i = 0; i < cmd->option_count; i++) {
		const struct cli_option *opt = &cmd->options[i];

		if (strcmp(opt->group, group)) {
			group = opt->group;
			buf_char(out, '\n');
			buf_str(out, group);
			buf_char(out, '\n');
		}
		cli_help_option(opt, out);
	}
	if (cmd->epilog) {
		buf_char(out, '\n');
		buf_str(out, cmd->epilog);
	}
}

/* ---- setters ---- */

int cli_set_true(void *field, const char *text, char *why)
{
	(void)text;
	(void)why;
	*(bool *)field = true;
	return 0;
}

int cli_set_false(void *field, const char *text, char *why)
{
	(void)text;
	(void)why;
	*(bool *)field = false;
	return 0;
}

int cli_set_text(void *field, const char *text, char *why)
{
	(void)why;
	if (!text[0])
		return -EINVAL;
	*(const char **)field = text;
	return 0;
}

int cli_set_count(void *field, const char *text, char *why)
{
	(void)why;
	return parse_u64(text, 1, UINT64_MAX, field);
}

int cli_set_duration(void *field, const char *text, char *why)
{
	(void)why;
	return parse_duration(text, field);
}

int cli_word(const char *what, const char *const *words, size_t count, const char *text, char *why)
{
	int index = parse_word(words, count, text);
	const char *nearest = index < 0 ? cli_nearest(text, words, count) : NULL;
	size_t used;

	if (index >= 0)
		return index;
	if (nearest) {
		snprintf(why, CLI_ERR_SIZE, "unknown %s '%.40s': did you mean '%s'?", what, text,
			 nearest);
		return -EINVAL;
	}
	used = (size_t)snprintf(why, CLI_ERR_SIZE, "unknown %s '%.40s': expected", what, text);
	for (size_t i = 0; i < count && used < CLI_ERR_SIZE; i++)
		used += (size_t)snprintf(why + used, CLI_ERR_SIZE - used, "%s %s", i ? "," : "",
					 words[i]);
	return -EINVAL;
}
