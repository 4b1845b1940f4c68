// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../src/cmd/trace_options.h"

#define MAX_ARGS 32

static struct trace_options opts;
static char err[CLI_ERR_SIZE];
static char *argv_room[MAX_ARGS + 2];

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define parse(...) test_parse((const char *const[]){ __VA_ARGS__, NULL })

static int test_parse(const char *const *args)
{
	int argc = 1;

	argv_room[0] = (char *)"porttrace";
	for (; *args; args++)
		argv_room[argc++] = (char *)*args;
	argv_room[argc] = NULL;
	return trace_options_parse(&opts, argc, argv_room, err);
}

#define good(...)                                        \
	do {                                             \
		if (parse(__VA_ARGS__))                  \
			print_error("%s\n", err);        \
		assert_string_equal(err, "");            \
		assert_int_equal(parse(__VA_ARGS__), 0); \
	} while (0)

#define bad(sentence, ...)                           \
	do {                                         \
		assert_true(parse(__VA_ARGS__) < 0); \
		assert_string_equal(err, sentence);  \
	} while (0)

/* ---- what is asked for ---- */

static void test_defaults(void **state)
{
	(void)state;
	assert_int_equal(test_parse((const char *const[]){ NULL }), 0);
	assert_true(opts.header);
	assert_false(opts.json || opts.numeric || opts.wide || opts.utc || opts.quiet ||
		     opts.verbose);
	assert_true(opts.filter.either.any && opts.filter.local.any && opts.filter.remote.any);
	assert_int_equal(opts.filter.kinds, 0);
	assert_int_equal(opts.backend, TRACE_BACKEND_AUTO);
	assert_int_equal(opts.attach_mode, TRACE_MODE_AUTO);
	assert_int_equal(opts.color, TRACE_COLOR_AUTO);
	assert_null(opts.command);
	assert_int_equal(opts.ringbuf_bytes, 0);
}

static void test_flags(void **state)
{
	(void)state;
	good("-4", "-6", "--tcp", "--udp", "-x", "-n", "-j", "-w", "-H", "--utc", "-q", "-v");
	assert_true(opts.filter.ipv4 && opts.filter.ipv6 && opts.filter.tcp && opts.filter.udp);
	assert_true(opts.filter.failed_only && opts.numeric && opts.json && opts.wide && opts.utc);
	assert_true(opts.quiet && opts.verbose && !opts.header);
	good("--ipv4", "--failed", "--numeric", "--json", "--wide", "--no-header", "--quiet");
	assert_true(opts.filter.ipv4 && opts.filter.failed_only && opts.numeric && opts.json);
	assert_true(opts.wide && !opts.header && opts.quiet && !opts.filter.ipv6);
}

/* Four ways to write the same. */
static void test_spellings(void **state)
{
	static const char *const ways[][4] = {
		{ "-p", "4312", "-x" },
		{ "-p4312", "-x" },
		{ "-xp4312" },
		{ "-xp", "4312" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(ways); i++) {
		assert_int_equal(test_parse(ways[i]), 0);
		assert_true(opts.filter.failed_only);
		assert_int_equal(opts.filter.pid_count, 1);
		assert_int_equal(opts.filter.pids[0], 4312);
	}
	good("--pid", "4312");
	assert_int_equal(opts.filter.pids[0], 4312);
	good("--pid=4312");
	assert_int_equal(opts.filter.pids[0], 4312);
}

static void test_lists_add_up(void **state)
{
	(void)state;
	good("-p", "1,22", "-p", "333", "-c", "nginx,redis-server", "--comm=systemd-journald");
	assert_int_equal(opts.filter.pid_count, 3);
	assert_int_equal(opts.filter.pids[1], 22);
	assert_int_equal(opts.filter.pids[2], 333);
	assert_int_equal(opts.filter.comm_count, 3);
	assert_string_equal(opts.filter.comms[1], "redis-server");
	assert_string_equal(opts.filter.comms[2], "systemd-journal"); /* as the kernel has it */
}

static void test_words(void **state)
{
	(void)state;
	good("-e", "bind,close", "--event=accept", "--class", "well-known,dynamic");
	assert_int_equal(opts.filter.kinds, 1 << EVENT_BIND | 1 << EVENT_CLOSE | 1 << EVENT_ACCEPT);
	assert_int_equal(opts.filter.classes, 1 << CLASS_WELL_KNOWN | 1 << CLASS_DYNAMIC);
	good("--backend", "cgroup", "--color=never", "--attach-mode", "X");
	assert_int_equal(opts.backend, TRACE_BACKEND_CGROUP);
	assert_int_equal(opts.color, TRACE_COLOR_NEVER);
	assert_int_equal(opts.attach_mode, TRACE_MODE_X);
}

/* "all" is what is shown without the option, wherever it stands in the list. */
static void test_all_events(void **state)
{
	const uint32_t all = (1u << EVENT_RELEASE) - 1, release = 1u << EVENT_RELEASE;

	(void)state;
	good("-e", "all");
	assert_int_equal(opts.filter.kinds, all);
	good("-e", "all,release");
	assert_int_equal(opts.filter.kinds, all | release);
	good("-e", "release,all");
	assert_int_equal(opts.filter.kinds, all | release);
	good("-e", "bind,all,close");
	assert_int_equal(opts.filter.kinds, all);
}

static void test_attach_modes(void **state)
{
	static const struct {
		const char *word;
		enum trace_attach_mode mode;
	} rows[] = { { "auto", TRACE_MODE_AUTO }, { "F", TRACE_MODE_F },
		     { "fentry", TRACE_MODE_F },  { "X", TRACE_MODE_X },
		     { "kprobe", TRACE_MODE_X },  { "f", TRACE_MODE_F },
		     { "x", TRACE_MODE_X } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		good("--attach-mode", rows[i].word);
		assert_int_equal(opts.attach_mode, rows[i].mode);
	}
}

static void test_values(void **state)
{
	(void)state;
	good("-d", "1.5s", "--count", "10", "--ringbuf", "8M", "--cgroup", "/sys/fs/cgroup/a",
	     "--netns", "77");
	assert_int_equal(opts.duration_ns, 1500000000);
	assert_int_equal(opts.count, 10);
	assert_int_equal(opts.ringbuf_bytes, 8 << 20);
	assert_string_equal(opts.cgroup, "/sys/fs/cgroup/a");
	assert_string_equal(opts.netns, "77");
}

static void test_ports(void **state)
{
	(void)state;
	good("-P", "80,8000-8003", "-L", "1", "-L", "2", "-D", "65535");
	assert_true(port_set_has(&opts.filter.either, 80) &&
		    port_set_has(&opts.filter.either, 8003));
	assert_false(port_set_has(&opts.filter.either, 8004) || opts.filter.either.any);
	assert_true(port_set_has(&opts.filter.local, 1) && port_set_has(&opts.filter.local, 2));
	assert_false(port_set_has(&opts.filter.local, 3));
	assert_true(port_set_has(&opts.filter.remote, 65535));
}

static void test_port_names(void **state)
{
	(void)state;
	good("-P", "https,ssh");
	assert_true(port_set_has(&opts.filter.either, 443) &&
		    port_set_has(&opts.filter.either, 22));
	assert_false(port_set_has(&opts.filter.either, 80));
}

/* ---- the command to trace ---- */

static void test_command(void **state)
{
	(void)state;
	good("-x", "--", "curl", "-s", "--", "-j");
	assert_true(opts.filter.failed_only);
	assert_false(opts.json);
	assert_non_null(opts.command);
	assert_string_equal(opts.command[0], "curl");
	assert_string_equal(opts.command[1], "-s");
	assert_string_equal(opts.command[2], "--");
	assert_string_equal(opts.command[3], "-j");
	assert_null(opts.command[4]);
}

static void test_command_needs_dashes(void **state)
{
	(void)state;
	bad("unexpected argument 'curl': to trace a command, write 'porttrace [OPTIONS] -- curl'",
	    "-x", "curl", "-s");
	bad("'--' must be followed by the command to trace", "-x", "--");
	bad("unexpected argument '': to trace a command, write 'porttrace [OPTIONS] -- '", "");
	bad("unexpected argument '-': to trace a command, write 'porttrace [OPTIONS] -- -'", "-");
}

/* ---- mistakes ---- */

static void test_unknown_options(void **state)
{
	(void)state;
	bad("unknown option '--jsno': did you mean '--json'?", "--jsno");
	bad("unknown option '--evnet': did you mean '--event'?", "--evnet=bind");
	bad("unknown option '--dur': did you mean '--duration'?", "--dur", "5");
	bad("unknown option '--header': did you mean '--no-header'?", "--header");
	bad("unknown option '--frobnicate': 'porttrace --help' lists the options", "--frobnicate");
	bad("unknown option '--': 'porttrace --help' lists the options", "--=");
	bad("unknown option '-json': did you mean '--json'?", "-json");
	bad("unknown option '-X': did you mean '-x'?", "-X");
	bad("unknown option '-Z': 'porttrace --help' lists the options", "-Z");
	bad("unknown option '-?': 'porttrace --help' lists the options", "-x\033");
}

static void test_values_missing_or_too_many(void **state)
{
	(void)state;
	bad("--pid needs a value: process ids such as 4312 or 4312,977", "--pid");
	bad("-p needs a value: process ids such as 4312 or 4312,977", "-xp");
	bad("--json takes no value", "--json=yes");
	bad("--cgroup: bad value '': expected a cgroup v2 directory such as "
	    "/sys/fs/cgroup/system.slice",
	    "--cgroup=");
}

static void test_bad_values(void **state)
{
	(void)state;
	bad("--pid: bad value 'nginx': expected process ids such as 4312 or 4312,977", "-p",
	    "nginx");
	bad("--pid: bad value '1,,2': expected process ids such as 4312 or 4312,977", "-p1,,2");
	bad("--pid: bad value '0': expected process ids such as 4312 or 4312,977", "-p", "0");
	bad("--pid: bad value '-1': expected process ids such as 4312 or 4312,977", "-p", "-1");
	bad("--pid: bad value '4194305': expected process ids such as 4312 or 4312,977", "-p",
	    "4194305");
	bad("--duration: bad value '0': expected a time such as 10, 1.5s, 500ms or 2m", "-d", "0");
	bad("--duration: bad value '5 min': expected a time such as 10, 1.5s, 500ms or 2m",
	    "-d5 min");
	bad("--count: bad value '0': expected a number of events, 1 or more", "--count=0");
	bad("--ringbuf: bad value '3M': expected a power of two from 4K to 1G, such as 8M",
	    "--ringbuf", "3M");
	bad("--ringbuf: bad value '2G': expected a power of two from 4K to 1G, such as 8M",
	    "--ringbuf", "2G");
	bad("--ringbuf: bad value '2K': expected a power of two from 4K to 1G, such as 8M",
	    "--ringbuf", "2K");
}

static void test_bad_words(void **state)
{
	(void)state;
	bad("--event: unknown event 'bnd': did you mean 'bind'?", "-e", "listen,bnd");
	bad("--event: unknown event 'xyz': expected bind, listen, connect, accept, close, release", "-e",
	    "xyz");
	bad("--class: unknown class 'wellknown': did you mean 'well-known'?", "--class",
	    "wellknown");
	bad("--class: unknown class 'x': expected well-known, registered, dynamic", "--class",
	    "x,");
	bad("--backend: unknown backend 'ebpf': expected auto, tracing, cgroup", "--backend",
	    "ebpf");
	bad("--attach-mode: unknown attach mode 'kprob': did you mean 'kprobe'?", "--attach-mode",
	    "kprob");
	bad("--attach-mode: unknown attach mode 'Z': expected auto, F, X, fentry, kprobe",
	    "--attach-mode", "Z");
	bad("--color: unknown colour choice 'alwys': did you mean 'always'?", "--color=alwys");
}

static void test_bad_ports(void **state)
{
	(void)state;
	bad("--port: '65536' is no port or service: expected ports such as 80,8000-8099,https",
	    "-P", "65536");
	bad("--lport: '90-80' is no port or service: expected ports such as 80,8000-8099,https",
	    "-L", "22,90-80");
	bad("--dport: 'htps' is no port or service: did you mean 'https'?", "-D", "80,htps");
	assert_true(parse("-D", "") < 0);
	assert_true(parse("-D", "80,") < 0);
	assert_true(parse("-D", "-") < 0);
}

static void test_too_many(void **state)
{
	char list[1000] = "1";

	(void)state;
	for (int i = 2; i <= FILTER_MAX_PIDS; i++)
		sprintf(list + strlen(list), ",%d", i);
	good("-p", list);
	assert_int_equal(opts.filter.pid_count, FILTER_MAX_PIDS);
	bad("--pid: at most 64 processes can be chosen", "-p", list, "-p", "99");
	strcpy(list, "a");
	for (int i = 1; i < FILTER_MAX_COMMS; i++)
		strcat(list, ",a");
	good("-c", list);
	bad("--comm: at most 16 names can be chosen", "-c", list, "-c", "b");
}

/* What a user typed comes back in the sentence; it must not come back alive, nor burst it. */
static void test_hostile(void **state)
{
	static char huge[100000], list[100000];

	(void)state;
	memset(huge, 'x', sizeof(huge) - 1);
	memset(list, ',', sizeof(list) - 1);
	bad("--pid: bad value '?[2J?': expected process ids such as 4312 or 4312,977", "-p",
	    "\033[2J\n");
	bad("unknown option '--?[2J': 'porttrace --help' lists the options", "--\033[2J");
	for (const char *opt = "pcPLDed"; *opt; opt++) {
		char name[] = { '-', *opt, '\0' };

		if (*opt != 'c')
			assert_true(parse(name, huge) < 0);
		assert_true(parse(name, list) < 0);
		assert_in_range(strlen(err), 10, CLI_ERR_SIZE - 1);
	}
	huge[0] = huge[1] = '-';
	assert_true(parse(huge) < 0);
	assert_true(parse(huge + 2) < 0);
	huge[1] = 'y';
	assert_true(parse(huge) < 0);
}

static void test_first_mistake_counts(void **state)
{
	(void)state;
	bad("--count: bad value 'x': expected a number of events, 1 or more", "--count", "x",
	    "--jsno");
}

static void test_help_ends_it(void **state)
{
	(void)state;
	good("-h", "--jsno");
	assert_true(opts.help);
	good("-xh", "curl");
	assert_true(opts.help && opts.filter.failed_only);
	good("--version", "--jsno");
	assert_true(opts.version && !opts.help);
	good("-jVZ");
	assert_true(opts.version && opts.json);
}

/* ---- other commands' shapes ---- */

struct test_lookup {
	bool json;
	const char *path;
};

static const struct cli_option test_rows[] = {
	CLI_FLAG("Show:", 'j', "json", cli_set_true, offsetof(struct test_lookup, json), "JSON"),
	CLI_ARG("Show:", 0, "path", "FILE", cli_set_text, offsetof(struct test_lookup, path),
		"first\nsecond", NULL),
};

static struct cli_command test_command_row = {
	.name = "porttrace service",
	.usage = "PORT",
	.summary = "Explains a port.",
	.operands = CLI_OPERANDS,
	.options = test_rows,
	.option_count = COUNT(test_rows),
};

static void test_operands_anywhere(void **state)
{
	char *argv[] = { (char *)"service", (char *)"80", (char *)"-j", (char *)"443",
			 (char *)"--",	    (char *)"-j", NULL };
	struct test_lookup lookup = { 0 };

	(void)state;
	assert_int_equal(cli_parse(&test_command_row, &lookup, 6, argv, err), 3);
	assert_true(lookup.json);
	assert_string_equal(argv[1], "80");
	assert_string_equal(argv[2], "443");
	assert_string_equal(argv[3], "-j");
	assert_null(argv[4]);
}

static void test_no_operands(void **state)
{
	char *argv[] = { (char *)"doctor", (char *)"80", NULL },
	     *bare[] = { (char *)"doctor", (char *)"--", NULL };
	struct cli_command cmd = test_command_row;
	struct test_lookup lookup = { 0 };

	(void)state;
	cmd.operands = CLI_NO_OPERANDS;
	assert_int_equal(cli_parse(&cmd, &lookup, 2, argv, err), -EINVAL);
	assert_string_equal(err,
			    "unexpected argument '80': 'porttrace service' takes only options");
	assert_int_equal(cli_parse(&cmd, &lookup, 2, bare, err), 0);
	assert_int_equal(cli_parse(&cmd, &lookup, 0, bare + 2, err), 0);
}

/* ---- help ---- */

static char help_room[8192];

static const char *test_help(const struct cli_command *cmd)
{
	struct buf b = { .data = help_room, .size = sizeof(help_room) - 1 };

	cli_help(cmd, &b);
	assert_false(b.overflow);
	help_room[b.len] = '\0';
	return help_room;
}

static void test_help_text(void **state)
{
	(void)state;
	assert_string_equal(test_help(&test_command_row), "Usage: porttrace service PORT\n"
							  "Explains a port.\n"
							  "\n"
							  "Show:\n"
							  "  -j, --json               JSON\n"
							  "      --path FILE          first\n"
							  "                           second\n");
}

/* Every row is in the help, under its heading once, and no line is wider than a terminal. */
static void test_trace_help(void **state)
{
	const char *text = test_help(&trace_command);

	(void)state;
	assert_memory_equal(
		text, "Usage: porttrace [OPTIONS]\n       porttrace [OPTIONS] -- COMMAND", 50);
	for (size_t i = 0; i < trace_command.option_count; i++) {
		const struct cli_option *opt = &trace_command.options[i];
		const char *found;
		char want[64];

		snprintf(want, sizeof(want), "--%s%s%s", opt->long_name, opt->arg ? " " : "",
			 opt->arg ? opt->arg : "");
		found = strstr(text, want);
		assert_non_null(found);
		assert_non_null(memchr(" \n", found[strlen(want)], 2));
		assert_null(strstr(strstr(text, opt->group) + 1, opt->group));
	}
	for (; *text; text = strchr(text, '\n') + 1)
		assert_in_range(strcspn(text, "\n"), 0, 80);
}

/* A name given twice would hide a row. */
static void test_rows_are_unique(void **state)
{
	(void)state;
	for (size_t i = 0; i < trace_command.option_count; i++) {
		for (size_t j = 0; j < i; j++) {
			const struct cli_option *a = &trace_command.options[i],
						*b = &trace_command.options[j];

			assert_string_not_equal(a->long_name, b->long_name);
			assert_false(a->short_name && a->short_name == b->short_name);
		}
		assert_true(!trace_command.options[i].arg == !trace_command.options[i].expects);
	}
}

static void test_nearest(void **state)
{
	static const char *const words[] = { "service", "doctor", NULL, "list" };

	(void)state;
	assert_string_equal(cli_nearest("servcie", words, 4), "service");
	assert_string_equal(cli_nearest("lst", words, 4), "list");
	assert_string_equal(cli_nearest("doc", words, 4), "doctor");
	assert_null(cli_nearest("x", words, 4));
	assert_null(cli_nearest("", words, 4));
	assert_null(cli_nearest("curl", words, 4));
	assert_null(cli_nearest("service", words, 0));
}

/* ---- colour ---- */

static void test_color(void **state)
{
	int terminal = posix_openpt(O_RDWR | O_NOCTTY), file = open("/dev/null", O_WRONLY);

	(void)state;
	unsetenv("NO_COLOR");
	setenv("TERM", "xterm", 1);
	good("-q");
	assert_false(trace_options_color(&opts, file));
	if (terminal >= 0) {
		assert_true(trace_options_color(&opts, terminal));
		setenv("NO_COLOR", "", 1);
		assert_true(trace_options_color(&opts, terminal));
		setenv("NO_COLOR", "1", 1);
		assert_false(trace_options_color(&opts, terminal));
		unsetenv("NO_COLOR");
		setenv("TERM", "dumb", 1);
		assert_false(trace_options_color(&opts, terminal));
		setenv("TERM", "xterm", 1);
		good("--color=never");
		assert_false(trace_options_color(&opts, terminal));
		close(terminal);
	}
	good("--color=always");
	setenv("NO_COLOR", "1", 1);
	assert_true(trace_options_color(&opts, file));
	close(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_spellings),
		cmocka_unit_test(test_lists_add_up),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_all_events),
		cmocka_unit_test(test_attach_modes),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_port_names),
		cmocka_unit_test(test_command),
		cmocka_unit_test(test_command_needs_dashes),
		cmocka_unit_test(test_unknown_options),
		cmocka_unit_test(test_values_missing_or_too_many),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_bad_words),
		cmocka_unit_test(test_bad_ports),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_first_mistake_counts),
		cmocka_unit_test(test_help_ends_it),
		cmocka_unit_test(test_operands_anywhere),
		cmocka_unit_test(test_no_operands),
		cmocka_unit_test(test_help_text),
		cmocka_unit_test(test_trace_help),
		cmocka_unit_test(test_rows_are_unique),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_color),
	};

	return cmocka_run_group_tests_name("cli", tests, NULL, NULL);
}
