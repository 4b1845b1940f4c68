// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* porttrace service PORT|NAME...: what a port number means, and who has it. */
#include "../cmd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../cleanup.h"
#include "service_report.h"

/* Everything one run owns. */
struct service {
	struct service_options opts;
	struct service_table *names;
	struct netns_facts netns;
	bool has_netns;
	struct usage usage;
	struct report out;
};

static int service_fail(int error, const char *what)
{
	fprintf(stderr, "porttrace: %s: %s\n", what, strerrordesc_np(-error));
	return EXIT_STATUS_FAILED;
}

static int service_end(struct service *svc)
{
	int r = report_end(&svc->out);

	return r == 0 || r == -EPIPE ? EXIT_STATUS_OK : service_fail(r, "cannot write the output");
}

static int service_run(struct service *svc)
{
	uint16_t ports[SERVICE_MAX_QUERIES];
	int r;

	for (size_t i = 0; i < svc->opts.query_count; i++)
		ports[i] = svc->opts.queries[i].ports[0];
	svc->has_netns = netns_read_sysctls(NULL, 0, &svc->netns) == 0;
	r = usage_read(ports, svc->opts.query_count, &svc->usage);
	if (r < 0)
		return service_fail(r, "cannot look at the processes in /proc");
	for (size_t i = 0; i < svc->opts.query_count; i++) {
		struct service_facts facts = { &svc->opts.queries[i], svc->names,
					       svc->has_netns ? &svc->netns : NULL, &svc->usage };

		if (svc->opts.json)
			service_report_json(&svc->out, &facts);
		else
			service_report_text(&svc->out, &facts);
		report_flush(&svc->out);
	}
	return service_end(svc);
}

static int service_main(int argc, char **argv)
{
	static struct service svc; /* large: the bits of all ports, the buffer */
	char err[CLI_ERR_SIZE];
	int status, r = service_table_new(NULL, &svc.names);

	if (r < 0)
		return service_fail(r, "cannot read the service names");
	signal(SIGPIPE, SIG_IGN);
	report_init(&svc.out, STDOUT_FILENO);
	if (service_options_parse(&svc.opts, argc, argv, svc.names, err) < 0) {
		fprintf(stderr, "porttrace: %s\nTry 'porttrace service --help'.\n", err);
		status = EXIT_STATUS_USAGE;
	} else if (svc.opts.help) {
		cli_help(&service_command, &svc.out.b);
		status = service_end(&svc);
	} else {
		status = service_run(&svc);
	}
	usage_free(&svc.usage);
	service_table_free(svc.names);
	return status;
}

const struct command cmd_service = { "service", "what a port number means, and who uses it",
				     service_main };
