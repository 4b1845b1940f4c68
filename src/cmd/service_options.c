// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "service_options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../parse.h"

#define SERVICE_TEXT_MAX 64
#define SERVICE_ALL_PROTOS (1u << PROTO_TCP | 1u << PROTO_UDP)

static const struct cli_option service_rows[] = {
	CLI_FLAG("Options:", 'j', "json", cli_set_true, offsetof(struct service_options, json),
		 "JSON Lines, one object a port"),
	{ .group = "Options:",
	  .short_name = 'h',
	  .long_name = "help",
	  .set = cli_set_true,
	  .offset = offsetof(struct service_options, help),
	  .help = "this text",
	  .final = true },
};

const struct cli_command service_command = {
	.name = "porttrace service",
	.usage = "[OPTIONS] PORT|NAME[/tcp|/udp]...",
	.summary = "Explains a port: its class, its service, whether the kernel hands it out, and\n"
		   "who on this machine (in this network namespace) uses it now. Needs neither\n"
		   "root nor BPF; without root the processes of other users are not visible.",
	.operands = CLI_OPERANDS,
	.options = service_rows,
	.option_count = sizeof(service_rows) / sizeof(service_rows[0]),
	.epilog = "Examples:\n"
		  "  porttrace service 8080              what is it, who has it\n"
		  "  porttrace service https 53/udp      by name; of one protocol only\n",
};

/* "443/udp" to "443" and udp. */
static int service_split(const char *text, char *word, unsigned int *ret_protos, char *err)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);

	*ret_protos = SERVICE_ALL_PROTOS;
	if (slash && !strcmp(slash, "/tcp"))
		*ret_protos = 1u << PROTO_TCP;
	else if (slash && !strcmp(slash, "/udp"))
		*ret_protos = 1u << PROTO_UDP;
	else if (slash) {
		snprintf(err, CLI_ERR_SIZE, "'%.60s': after the slash, tcp or udp is expected",
			 text);
		return -EINVAL;
	}
	if (len == 0 || len >= SERVICE_TEXT_MAX) {
		snprintf(err, CLI_ERR_SIZE, "'%.60s' is no port or service", text);
		return -EINVAL;
	}
	snprintf(word, SERVICE_TEXT_MAX, "%.*s", (int)len, text);
	return 0;
}

/* The ports of a name in either protocol, each once. */
static size_t service_find(const struct service_table *names, const char *word,
			   struct service_query *query)
{
	uint16_t found[SERVICE_MAX_PORTS];

	query->port_count = 0;
	for (enum event_proto proto = 0; proto < PROTO_COUNT; proto++) {
		size_t n = query->protos & 1u << proto
				   ? service_ports(names, word, proto, found, SERVICE_MAX_PORTS)
				   : 0;

		for (size_t i = 0, j; i < n; i++) {
			for (j = 0; j < query->port_count && query->ports[j] != found[i]; j++)
				;
			if (j == query->port_count && j < SERVICE_MAX_PORTS)
				query->ports[query->port_count++] = found[i];
		}
	}
	return query->port_count;
}

static int service_unknown(const struct service_table *names, const char *word,
			   struct service_query *query, char *err)
{
	const char *nearest = service_nearest(names, word);

	if (query->protos != SERVICE_ALL_PROTOS) {
		unsigned int protos = query->protos;

		query->protos = SERVICE_ALL_PROTOS;
		if (service_find(names, word, query)) {
			snprintf(err, CLI_ERR_SIZE, "'%s' is a service, but of %s only", word,
				 protos & 1u << PROTO_TCP ? "udp" : "tcp");
			return -EINVAL;
		}
	}
	if (nearest)
		snprintf(err, CLI_ERR_SIZE, "'%s' is no port or service: did you mean '%s'?", word,
			 nearest);
	else
		snprintf(err, CLI_ERR_SIZE,
			 "'%s' is no port or service: expected one such as 8080, https or 443/udp",
			 word);
	return -EINVAL;
}

/* Digits, perhaps with a sign: meant as a number. */
static bool service_is_number(const char *word)
{
	const char *digits = word + (word[0] == '-' || word[0] == '+');

	return digits[0] && !digits[strspn(digits, "0123456789")];
}

int service_parse_query(const char *text, const struct service_table *names, struct service_query *query,
			char *err)
{
	char word[SERVICE_TEXT_MAX];
	uint32_t port;

	query->text = text;
	if (service_split(text, word, &query->protos, err) < 0)
		return -EINVAL;
	if (!parse_u32(word, 0, UINT16_MAX, &port)) {
		query->ports[0] = (uint16_t)port;
		query->port_count = 1;
		return 0;
	}
	if (service_is_number(word)) {
		snprintf(err, CLI_ERR_SIZE, "'%s' is no port: ports go from 0 to 65535", word);
		return -EINVAL;
	}
	return service_find(names, word, query) ? 0 : service_unknown(names, word, query, err);
}

/* What the user typed is quoted back: no control character of it may reach the terminal. */
static int service_clean(char *err)
{
	for (; *err; err++)
		if ((unsigned char)*err < 32 || *err == 127)
			*err = '?';
	return -EINVAL;
}

/* "-1" would be taken for an option. */
static int service_find_negative(int argc, char **argv, char *err)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
		if (argv[i][0] != '-' || !service_is_number(argv[i]))
			continue;
		snprintf(err, CLI_ERR_SIZE, "'%.60s' is no port: ports go from 0 to 65535",
			 argv[i]);
		return -EINVAL;
	}
	return 0;
}

int service_options_parse(struct service_options *opts, int argc, char **argv,
			  const struct service_table *names, char *err)
{
	int operands;

	memset(opts, 0, sizeof(*opts));
	if (service_find_negative(argc, argv, err) < 0)
		return -EINVAL;
	operands = cli_parse(&service_command, opts, argc, argv, err);
	if (operands < 0 || opts->help)
		return operands < 0 ? operands : 0;
	if (operands == 0 || operands > SERVICE_MAX_QUERIES) {
		snprintf(err, CLI_ERR_SIZE,
			 operands ? "at most 64 ports at a time"
				  : "which port? porttrace service 8080, https or 443/udp");
		return -EINVAL;
	}
	for (; opts->query_count < (size_t)operands; opts->query_count++)
		if (service_parse_query(argv[1 + opts->query_count], names,
					&opts->queries[opts->query_count], err) < 0)
			return service_clean(err);
	return 0;
}
