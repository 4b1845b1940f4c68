// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Runs the scenarios: options, what to skip and why, children with own rights and namespaces. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "workload.h"

static const struct scenario *const tables[] = {
	bind_scenarios,	  listen_scenarios,  connect_scenarios, pending_scenarios, accept_scenarios,
	udp_scenarios,	  exhaust_scenarios, pool_scenarios, life_scenarios,	noise_scenarios,
	ways_scenarios,	  end_scenarios,     mptcp_scenarios,	uring_scenarios,   pass_scenarios,
	deny_scenarios,	  firewall_scenarios, cause_scenarios,	release_scenarios,
};

struct options {
	const char *expect;
	const char *only;
	const char *go;
	const char *inner;
	bool cgroup, hold, list, seccomp, release, soak;
};

enum { TIMEOUT_S = 60, TIMEOUT_SOAK_S = 180 };

static timer_t watchdog;
static const char *running = "-";

/* Shared with the children, which are the ones that find out. */
static char *why;
enum { WHY_SIZE = 256 };

int sc_bad(const char *file, int line, const char *what)
{
	const char *base = strrchr(file, '/');

	snprintf(why, WHY_SIZE, "%s:%d: not so: %s (errno %d)", base ? base + 1 : file, line, what,
		 errno);
	return SC_BAD;
}

int sc_skip(const char *reason)
{
	snprintf(why, WHY_SIZE, "%s", reason);
	return SC_SKIP;
}

static bool named(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = list; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
		if (!strncmp(p, name, len) && (p[len] == ',' || !p[len]))
			return true;
	return false;
}

static bool have_ipv6(void)
{
	return access("/proc/self/net/if_inet6", F_OK) == 0 &&
	       read_number("/proc/sys/net/ipv6/conf/lo/disable_ipv6", 1) == 0;
}

/* NULL: nothing is missing. */
static const char *missing(const struct scenario *sc, const struct options *o)
{
	if (o->cgroup && sc->cgroup_blind)
		return sc->cgroup_blind;
	if ((sc->needs & (NEED_ROOT | OWN_NETNS | AS_NOBODY)) && geteuid())
		return "needs root";
	if ((sc->needs & NEED_IPV6) && !have_ipv6())
		return "no IPv6 on lo";
	if ((sc->needs & NEED_TFO) && !(read_number("/proc/sys/net/ipv4/tcp_fastopen", 0) & 1))
		return "net.ipv4.tcp_fastopen is off";
	if ((sc->needs & NEED_SECCOMP) && !o->seccomp)
		return "needs porttrace --seccomp";
	if ((sc->needs & NEED_RELEASE) && !o->release)
		return "needs porttrace -e all,release";
	if (!(sc->needs & NEED_RELEASE) && o->release)
		return "is run without -e release";
	if ((sc->needs & NEED_SOAK) && !o->soak)
		return "takes minutes: only with --soak";
	return NULL;
}

static int small_range(void)
{
	char range[32];

	snprintf(range, sizeof(range), "%d %d", SMALL_RANGE_LO, SMALL_RANGE_HI);
	return write_text("/proc/sys/net/ipv4/ip_local_port_range", range);
}

static int in_child(void *arg)
{
	const struct scenario *sc = arg;

	if ((sc->needs & OWN_NETNS) && netns_enter())
		return sc_skip("no own network namespace here");
	if ((sc->needs & SMALL_RANGE) && small_range())
		return sc_skip("ip_local_port_range cannot be set");
	if (sc->needs & AS_NOBODY) {
		if (setgroups(0, NULL) || setresgid(NOBODY_UID, NOBODY_UID, NOBODY_UID) ||
		    setresuid(NOBODY_UID, NOBODY_UID, NOBODY_UID))
			return sc_skip("cannot become uid 65534");
		/* or /proc/self of this process would be root's */
		prctl(PR_SET_DUMPABLE, 1);
	}
	return sc->fn(&sc->v);
}

static int run_scenario(const struct scenario *sc)
{
	if (sc->needs & (OWN_NETNS | AS_NOBODY))
		return reap(spawn(in_child, (void *)sc));
	return sc->fn(&sc->v);
}

/* ITIMER_REAL belongs to the scenarios. The children die with this process. */
static void on_timeout(int sig)
{
	(void)sig;
	dprintf(STDOUT_FILENO, "BAD %s not done in time\n", running);
	_exit(1);
}

static int watchdog_init(void)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };

	signal(SIGUSR1, on_timeout);
	return timer_create(CLOCK_MONOTONIC, &ev, &watchdog);
}

static void watchdog_feed(const struct scenario *sc)
{
	int seconds = sc->needs & NEED_SOAK ? TIMEOUT_SOAK_S : TIMEOUT_S;
	struct itimerspec in = { .it_value = { .tv_sec = seconds } };

	running = sc->name;
	timer_settime(watchdog, 0, &in, NULL);
}

static int run_one(const struct scenario *sc, const struct options *o)
{
	int64_t start = clock_ns(CLOCK_REALTIME);
	const char *lacks = missing(sc, o);
	int rc = SC_SKIP;

	rec_scenario(sc->name);
	watchdog_feed(sc);
	why[0] = '\0';
	if (lacks) {
		sc_skip(lacks);
	} else {
		printf("RUN %s\n", sc->name);
		fflush(stdout);
		rc = run_scenario(sc);
		s_close_all();
	}
	if (rc == SC_SKIP)
		printf("SKIP %s %s\n", sc->name, why);
	else if (rc)
		printf("BAD %s %s\n", sc->name, why[0] ? why : "its process died");
	fflush(stdout);
	rec_result(sc->name, rc == SC_SKIP ? "skip" : rc ? "bad" : "run", why, start);
	return rc && rc != SC_SKIP;
}

static int for_each(int (*fn)(const struct scenario *sc, const struct options *o),
		    const struct options *o)
{
	int failed = 0;

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct scenario *sc = tables[i]; sc->name; sc++)
			if (!o->only || named(o->only, sc->name))
				failed += fn(sc, o);
	return failed;
}

static int list_one(const struct scenario *sc, const struct options *o)
{
	(void)o;
	printf("%s%s%s%s%s%s%s\n", sc->name, sc->needs & NEED_ROOT ? " root" : "",
	       sc->needs & NEED_IPV6 ? " ipv6" : "", sc->needs & OWN_NETNS ? " own-netns" : "",
	       sc->needs & AS_NOBODY ? " as-nobody" : "", sc->before ? " before-start" : "",
	       sc->cgroup_blind ? " cgroup-blind" : "");
	return 0;
}

/* With --hold, porttrace is started after this: what happens now is no event. */
static int before_one(const struct scenario *sc, const struct options *o)
{
	int rc;

	if (!sc->before || missing(sc, o))
		return 0;
	rec_scenario(sc->name);
	why[0] = '\0';
	rec_pause(o->hold);
	rc = sc->before(&sc->v);
	rec_pause(false);
	if (rc)
		printf("BAD %s before the start: %s\n", sc->name, why);
	return rc != 0;
}

static void wait_go(const struct options *o)
{
	char line[64];

	printf("READY\n");
	fflush(stdout);
	if (!o->go) {
		while (fgets(line, sizeof(line), stdin) && !strchr(line, '\n'))
			;
		return;
	}
	while (access(o->go, F_OK))
		usleep(20000);
}

/* The second half of a scenario, after exec(): another program that writes the same record. */
static int run_inner(const struct options *o)
{
	int rc = SC_BAD;

	rec_scenario(o->only);
	for (const struct inner *in = inners; in->name; in++)
		if (!strcmp(in->name, o->inner))
			rc = in->fn();
	s_close_all();
	if (rc)
		fprintf(stderr, "BAD %s --inner %s: %s\n", o->only, o->inner, why);
	return rc;
}

static int usage(FILE *to, int rc)
{
	fputs("usage: workload --expect FILE [--only NAME[,NAME]] [--cgroup]\n"
	      "                [--seccomp] [--release] [--soak] [--hold [--go FILE]]\n"
	      "       workload --list\n"
	      "  --cgroup   skip what a cgroup backend cannot see\n"
	      "  --seccomp  porttrace runs with --seccomp\n"
	      "  --release  porttrace runs with -e all,release: only what is about that\n"
	      "  --soak     also what takes minutes\n"
	      "  --hold     do what must happen before porttrace starts, print READY, wait for a\n"
	      "             line on stdin (or, with --go, for FILE to exist), go on\n",
	      to);
	return rc;
}

static int options_parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "expect", required_argument, NULL, 'e' }, { "only", required_argument, NULL, 'o' },
		{ "cgroup", no_argument, NULL, 'c' },	    { "hold", no_argument, NULL, 'h' },
		{ "go", required_argument, NULL, 'g' },	    { "list", no_argument, NULL, 'l' },
		{ "seccomp", no_argument, NULL, 's' },	    { "release", no_argument, NULL, 'r' },
		{ "inner", required_argument, NULL, 'i' }, { "soak", no_argument, NULL, 'S' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'e': o->expect = optarg; break;
		case 'o': o->only = optarg; break;
		case 'g': o->go = optarg; break;
		case 'c': o->cgroup = true; break;
		case 'h': o->hold = true; break;
		case 'l': o->list = true; break;
		case 's': o->seccomp = true; break;
		case 'r': o->release = true; break;
		case 'S': o->soak = true; break;
		case 'i': o->inner = optarg; break;
		default: return -EINVAL;
		}
	}
	return optind == argc && (o->expect || o->list) ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	int failed;

	if (options_parse(&o, argc, argv))
		return usage(stderr, 2);
	if (o.list)
		return for_each(list_one, &o);
	signal(SIGPIPE, SIG_IGN);
	why = mmap(NULL, WHY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (why == MAP_FAILED || watchdog_init() || rec_open(o.expect, o.inner)) {
		perror(o.expect);
		return 1;
	}
	with_release = o.release;
	rec_process();
	if (o.inner)
		return run_inner(&o);
	next_port();
	failed = for_each(before_one, &o);
	if (o.hold)
		wait_go(&o);
	failed += for_each(run_one, &o);
	return failed ? 1 : 0;
}
