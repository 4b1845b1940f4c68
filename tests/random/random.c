// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 *   random --record FILE [--seed N] [--calls N] [--go FILE]
 *
 * Prints READY once nothing more happens before the file of --go is there.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "random.h"

/* Records that are no calls, and calls that a story makes beyond the number wanted. */
#define RECORDS(calls) ((calls) * 2 + 20000)

static pid_t start_lead(int lead)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0)
		family_lead(lead);
	return pid;
}

static void run(void)
{
	pid_t leads[LEADS];
	bool failed = false;
	int status;

	for (int i = 0; i < LEADS; i++)
		leads[i] = start_lead(i);
	for (int i = 0; i < LEADS; i++) {
		pid_t pid = wait(&status);

		if (pid > 0 && status == 0)
			continue;
		fprintf(stderr, "random: process %d ended with status %x\n", pid, status);
		failed = true;
		for (int k = 0; k < LEADS; k++)
			kill(leads[k], SIGKILL);
	}
	record_finish();
	printf("%u calls, %u records, seed %llu\n", shared->calls, shared->next, (unsigned long long)shared->seed);
	if (failed)
		exit(1);
}

static const struct option options[] = {
	{ "record", required_argument, NULL, 'r' }, { "seed", required_argument, NULL, 's' },
	{ "calls", required_argument, NULL, 'n' },  { "go", required_argument, NULL, 'g' },
	{},
};

int main(int argc, char **argv)
{
	const char *record = NULL, *go = NULL;
	unsigned long calls = 10000;
	unsigned long long seed = 1;
	int opt;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 5 && !strcmp(argv[1], "--resume"))
		family_resume(argv[2], atoi(argv[3]), !strcmp(argv[4], "child"));
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'r': record = optarg; break;
		case 's': seed = strtoull(optarg, NULL, 0); break;
		case 'n': calls = strtoul(optarg, NULL, 0); break;
		case 'g': go = optarg; break;
		default: return 2;
		}
	}
	if (!record || record_create(record, RECORDS((uint32_t)calls)))
		die("--record FILE");
	shared->seed = seed;
	shared->wanted = (uint32_t)calls;
	net_make_namespaces();
	puts("READY");
	while (go && access(go, F_OK))
		usleep(100000);
	run();
	return 0;
}
