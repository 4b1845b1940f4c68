/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Command lines from tables: a row binds one option to one field of the command's options struct;
 * parsing and the help text come from the same rows. Nothing here prints or exits: a mistake comes
 * back as one sentence.
 */
#ifndef PORTTRACE_CLI_H
#define PORTTRACE_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include "buf.h"

#define CLI_ERR_SIZE 256

/*
 * Sets `field` from `text` (NULL for an option without argument). 0 or -errno. Where the row's
 * `expects` cannot say it well, writes to `why` (CLI_ERR_SIZE bytes) what is wrong: "unknown event
 * 'bnd': did you mean 'bind'?".
 */
typedef int (*cli_set_fn)(void *field, const char *text, char *why);

struct cli_option {
	char short_name;       /* 0 = none */
	const char *long_name; /* NULL = none */
	const char *arg;       /* name of the argument in the help; NULL = takes none */
	const char *group;     /* heading in the help; the rows of a group stand together */
	const char *help;      /* lines after the first are indented alike */
	cli_set_fn set;
	size_t offset;	     /* of the field in the options struct */
	const char *expects; /* what a good argument is: "a number of events, 1 or more" */
	bool optional;	     /* its argument may be left out: only "--name=argument" has one */
	bool final;	     /* nothing after it is looked at (--help, --version) */
};

/* Rows: an option with an argument, and one without. */
#define CLI_ARG(heading, c, name, argument, setter, at, text, good)                            \
	{                                                                                      \
		.group = (heading), .short_name = (c), .long_name = (name), .arg = (argument), \
		.help = (text), .set = (setter), .offset = (at), .expects = (good),            \
	}
#define CLI_FLAG(heading, c, name, setter, at, text)                                        \
	{                                                                                   \
		.group = (heading), .short_name = (c), .long_name = (name), .help = (text), \
		.set = (setter), .offset = (at),                                            \
	}

enum cli_operands {
	CLI_NO_OPERANDS,
	CLI_OPERANDS, /* words that are no options, anywhere on the line */
	CLI_COMMAND,  /* only behind "--": a command line of its own */
};

struct cli_command {
	const char *name;  /* as the user types it: "porttrace", "porttrace service" */
	const char *usage; /* what follows the name: "[OPTIONS] [-- COMMAND [ARG...]]"; more lines:
			      each a usage */
	const char *summary;
	enum cli_operands operands;
	const struct cli_option *options;
	size_t option_count;
	const char *epilog; /* end of the help: examples, exit codes; NULL = none */
};

/*
 * Sets fields of `target` from argv[1..]. Returns the number of operands, which then stand at
 * argv[1..n] with NULL behind them; or -EINVAL and a sentence in `err` (CLI_ERR_SIZE bytes, always
 * safe to print).
 */
int cli_parse(const struct cli_command *cmd, void *target, int argc, char **argv, char *err);

/* Appends the help text; `out->overflow` if it did not fit (8 KiB is plenty). */
void cli_help(const struct cli_command *cmd, struct buf *out);

/* The word nearest to a misspelled one, or NULL if none is near enough to be meant. */
const char *cli_nearest(const char *word, const char *const *words, size_t count);

/* Setters for common fields. Others are written beside the struct that they fill. */
int cli_set_true(void *field, const char *text, char *why);	/* bool */
int cli_set_false(void *field, const char *text, char *why);	/* bool */
int cli_set_text(void *field, const char *text, char *why);	/* const char *, not empty */
int cli_set_count(void *field, const char *text, char *why);	/* uint64_t, 1 or more */
int cli_set_duration(void *field, const char *text, char *why); /* uint64_t nanoseconds */

/* For setters of words: the index, or -EINVAL with "unknown `what` 'text': ..." in `why`. */
int cli_word(const char *what, const char *const *words, size_t count, const char *text, char *why);

#endif
