// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * One scenario of exhausted, or not exhausted, ports, in a network namespace of its own.
 *
 *   load SCENARIO     load --list
 *
 * Tells what the program itself saw as one line of JSON, then "READY", and holds everything until its standard input
 * is closed. What it saw after READY is one more line.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net.h"

#define LOAD_LOW 40000
#define LOAD_HIGH 40099
#define LOAD_HOME "127.0.0.1"
#define LOAD_CLOSING "04 05 08 09 0B" /* states that end in TIME_WAIT: FIN_WAIT1 ... CLOSING */

/* What is done every 20 ms after READY; and once at the end. */
static void (*load_tick)(void);
static void (*load_end)(void);
static bool load_has_step, load_has_fact;
static const char *load_name;

/* ---- what is told ---- */

static unsigned long load_netns(void)
{
	struct stat st = { 0 };

	stat("/proc/self/ns/net", &st);
	return (unsigned long)st.st_ino;
}

static void load_say_head(void)
{
	printf("{\"scenario\":\"%s\",\"pid\":%d,\"netns\":%lu", load_name, (int)getpid(), load_netns());
}

/* Steps first, then facts. */
static void load_step(const char *name, struct net_sum sum)
{
	if (!load_has_step)
		load_say_head();
	printf("%s{\"step\":\"%s\",\"tried\":%d,\"ok\":%d,\"even\":%d,\"first_odd\":%d,",
	       load_has_step ? "," : ",\"steps\":[", name, sum.tried, sum.ok, sum.even, sum.first_odd);
	printf("\"error\":\"%s\",\"at_bind\":%s}", sum.error ? strerrorname_np(sum.error) : "",
	       sum.error_at_bind ? "true" : "false");
	load_has_step = true;
}

static void load_fact(const char *name, long value)
{
	printf("%s\"%s\":%ld", load_has_fact ? "," : load_has_step ? "],\"facts\":{" : ",\"facts\":{", name, value);
	load_has_fact = true;
}

static void load_say_end(void)
{
	puts(load_has_fact ? "}}" : load_has_step ? "]}" : "}");
	load_has_step = load_has_fact = false;
	fflush(stdout);
}

/* ---- short words ---- */

static void load_begin(int tw_reuse)
{
	net_begin(LOAD_LOW, LOAD_HIGH, tw_reuse);
}

static struct net_how load_to(const char *host, int port)
{
	return (struct net_how){ .host = host, .port = port };
}

static struct net_how load_from(const char *source, const char *host, int port)
{
	return (struct net_how){ .source = source, .host = host, .port = port };
}

static struct net_how load_bind(const char *source)
{
	return (struct net_how){ .source = source, .no_connect = true };
}

static struct net_sum load_connects(const char *host, int port, int count)
{
	struct net_how how = load_to(host, port);

	return net_open_many(&how, count);
}

static void load_serve(enum net_server what)
{
	net_serve("0.0.0.0", 8080, what);
	net_serve("0.0.0.0", 8081, what);
}

/* ---- other processes ---- */

static void load_hold(void)
{
	char c;

	while (read(0, &c, 1) > 0)
		;
}

/* A process of this name opens sockets; told as "NAME", its number in *ret_pid. */
static struct net_sum load_child(const char *name, const struct net_how *how, int count, bool exits, pid_t *ret_pid)
{
	struct net_sum sum = { 0 };
	int fds[2];

	fflush(stdout);
	if (pipe(fds) < 0)
		exit(1);
	*ret_pid = fork();
	if (*ret_pid == 0) {
		prctl(PR_SET_NAME, name);
		sum = net_open_many(how, count);
		if (write(fds[1], &sum, sizeof(sum)) != sizeof(sum))
			_exit(1);
		close(fds[1]);
		if (!exits)
			load_hold();
		_exit(0);
	}
	close(fds[1]);
	if (read(fds[0], &sum, sizeof(sum)) != sizeof(sum))
		exit(1);
	close(fds[0]);
	return sum;
}

/* ---- T01 to T09: connections and binds that stay ---- */

static void load_t01(void)
{
	load_begin(0);
	load_serve(NET_KEEP);
	load_step("8080", load_connects(LOAD_HOME, 8080, 101));
}

static void load_t02(void)
{
	load_t01();
	load_step("8081", load_connects(LOAD_HOME, 8081, 101));
	load_step("other", load_connects("127.0.0.2", 8080, 101));
	load_step("again", load_connects(LOAD_HOME, 8080, 1));
}

static void load_t03(void)
{
	struct net_how how = load_from(LOAD_HOME, LOAD_HOME, 8080);

	load_begin(0);
	load_serve(NET_KEEP);
	load_step("bind", net_open_many(&how, 101));
	load_step("elsewhere", load_connects(LOAD_HOME, 8081, 1));
}

static void load_t04(void)
{
	struct net_how how = load_from("127.0.0.2", LOAD_HOME, 8080);

	load_t03();
	load_step("other", net_open_many(&how, 101));
}

/* A neighbour has a few connections when somebody else binds the rest of the ports. */
static void load_p04(void)
{
	struct net_how how = load_to(LOAD_HOME, 8081), binds = load_from(LOAD_HOME, LOAD_HOME, 8080);
	pid_t pid;

	load_begin(0);
	load_serve(NET_KEEP);
	load_step("neighbour", load_child("neighbour", &how, 5, false, &pid));
	load_step("bind", net_open_many(&binds, 101));
	load_step("neighbour_more", net_open_many(&how, 1));
	load_fact("neighbour_pid", pid);
}

static void load_t05(void)
{
	static const char *const sources[] = { "127.0.0.1", "127.0.0.2", "127.0.0.3" };
	struct net_sum sum = { 0 };

	load_begin(0);
	load_serve(NET_KEEP);
	for (int i = 0; i < 6; i++) {
		struct net_how how = load_from(sources[i / 2], LOAD_HOME, 8080 + i % 2);
		struct net_sum one;

		how.no_port = true;
		one = net_open_many(&how, 101);
		sum.tried += one.tried;
		sum.ok += one.ok;
		sum.error = one.error;
	}
	load_step("all", sum);
}

static void load_t06(void)
{
	load_begin(0);
	load_serve(NET_KEEP);
	net_sysctl("ipv4/ip_local_reserved_ports", "40010-40019,40050");
	load_step("8080", load_connects(LOAD_HOME, 8080, 101));
}

static void load_reserve_even(void)
{
	char text[256];
	int n = 0;

	load_begin(0);
	load_serve(NET_KEEP);
	for (int port = LOAD_LOW; port <= LOAD_LOW + 38; port += 2)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%d", n ? "," : "", port);
	net_sysctl("ipv4/ip_local_reserved_ports", text);
}

static void load_t07(void)
{
	load_reserve_even();
	load_step("8080", load_connects(LOAD_HOME, 8080, 101));
}

static void load_t07_half(void)
{
	load_reserve_even();
	load_step("8080", load_connects(LOAD_HOME, 8080, 30));
}

static void load_t08(void)
{
	struct net_how how = load_bind("127.0.0.8");

	load_begin(0);
	load_serve(NET_KEEP);
	net_serve("127.0.0.9", 40050, NET_KEEP);
	net_serve("0.0.0.0", 40051, NET_KEEP);
	how.source_port = 40052;
	load_step("bound", net_open_many(&how, 1));
	load_step("8080", load_connects(LOAD_HOME, 8080, 101));
}

static void load_t09(void)
{
	struct net_how how = load_bind(LOAD_HOME);

	load_begin(0);
	load_serve(NET_KEEP);
	load_step("bind", net_open_many(&how, 101));
	load_step("connect", load_connects(LOAD_HOME, 8080, 1));
}

/* ---- T10 to T16: connections that this side closes ---- */

static struct net_how load_closing(const char *host)
{
	struct net_how how = load_to(host, 8080);

	how.close = true;
	return how;
}

static void load_wait_pool(const char *host)
{
	struct net_how how = load_closing(host);

	load_step("close", net_open_many(&how, 100));
	net_settle(LOAD_CLOSING);
	load_step("again", net_open_many(&how, 1));
}

/* Server and client are one process. */
static void load_t10(void)
{
	load_begin(0);
	load_serve(NET_CLOSE_AFTER);
	load_wait_pool(LOAD_HOME);
}

/* The client has exited, the server is another process. */
static void load_t10_exited(void)
{
	struct net_how how = load_closing(LOAD_HOME);
	pid_t pid;

	load_begin(0);
	load_serve(NET_CLOSE_AFTER);
	load_step("close", load_child("t10-client", &how, 100, true, &pid));
	net_settle(LOAD_CLOSING);
	load_step("again", net_open_many(&how, 1));
	load_fact("client_pid", pid);
}

/* 500 connections, however often it takes; and how long. */
static void load_churn(const struct net_how *how)
{
	uint64_t begin = net_now_ms();
	struct net_sum sum = { 0 };

	while (sum.ok < 500 && net_now_ms() < begin + 15000)
		if (net_open(how, &sum) < 0)
			net_sleep_ms(1);
	load_step("churn", sum);
	load_fact("ms", (long)(net_now_ms() - begin));
	load_fact("recycled", (long)net_counter("TWRecycled"));
}

static void load_t11_tick(void)
{
	struct net_how how = load_closing(LOAD_HOME);

	net_open_many(&how, 3);
}

static void load_t11(void)
{
	struct net_how how = load_closing(LOAD_HOME);

	load_begin(1);
	load_serve(NET_CLOSE_AFTER);
	load_churn(&how);
	load_tick = load_t11_tick;
}

#define LOAD_FAR "10.77.0.2"

static void load_far_side(int in, int out)
{
	char c = 'x';

	prctl(PR_SET_NAME, "far-side");
	net_begin(32768, 60999, 0);
	if (write(out, &c, 1) != 1 || read(in, &c, 1) != 1 ||
	    system("ip addr add " LOAD_FAR "/24 dev ptfar && ip link set ptfar up"))
		_exit(1);
	net_serve("0.0.0.0", 8080, NET_CLOSE_AFTER);
	if (write(out, &c, 1) != 1)
		_exit(1);
	load_hold();
	_exit(0);
}

/* A veth pair to a second namespace, with a server there. */
static void load_begin_veth(int tw_reuse)
{
	int there[2], back[2];
	char c, command[256];
	pid_t pid;

	if (pipe(there) < 0 || pipe(back) < 0)
		exit(1);
	pid = fork();
	if (pid == 0)
		load_far_side(there[0], back[1]);
	load_begin(tw_reuse);
	snprintf(command, sizeof(command),
		 "ip link add ptnear type veth peer name ptfar netns %d && ip addr add 10.77.0.1/24 dev ptnear && "
		 "ip link set ptnear up",
		 (int)pid);
	if (read(back[0], &c, 1) != 1 || system(command) || write(there[1], "x", 1) != 1 || read(back[0], &c, 1) != 1)
		exit(1);
}

static void load_t12(void)
{
	load_begin_veth(2);
	load_wait_pool(LOAD_FAR);
}

static void load_t12_reuse(void)
{
	struct net_how how = load_closing(LOAD_FAR);

	load_begin_veth(1);
	load_churn(&how);
}

static void load_t13(void)
{
	load_begin(1);
	net_sysctl("ipv4/tcp_timestamps", "0");
	load_serve(NET_CLOSE_AFTER);
	load_wait_pool(LOAD_HOME);
}

static struct net_sum load_server_first(int count)
{
	struct net_how how = load_to(LOAD_HOME, 8080);

	load_serve(NET_CLOSE_FIRST);
	how.await_close = true;
	return net_open_many(&how, count);
}

static void load_t14(void)
{
	load_begin(0);
	load_step("8080", load_server_first(5100));
}

static void load_t14_wide(void)
{
	net_begin(32768, 60999, 0);
	load_step("8080", load_server_first(9000));
	net_settle(LOAD_CLOSING);
}

static struct net_how load_aborting(void)
{
	struct net_how how = load_to(LOAD_HOME, 8080);

	how.abort = true;
	return how;
}

static void load_t15_tick(void)
{
	struct net_how how = load_aborting();

	net_open_many(&how, 3);
}

static void load_t15(void)
{
	struct net_how how = load_aborting();

	load_begin(0);
	load_serve(NET_CLOSE_AFTER);
	load_step("8080", net_open_many(&how, 2000));
	load_fact("aborted", (long)net_counter("TCPAbortOnData"));
	load_tick = load_t15_tick;
}

static uint64_t load_t16_closed_ms, load_t16_free_ms;

static void load_t16_tick(void)
{
	struct net_how how = load_to(LOAD_HOME, 8080);
	struct net_sum sum = { 0 };

	if (!load_t16_free_ms && net_open(&how, &sum) >= 0)
		load_t16_free_ms = net_now_ms();
}

static void load_t16_end(void)
{
	load_fact("free_after_ms", load_t16_free_ms ? (long)(load_t16_free_ms - load_t16_closed_ms) : -1);
}

static void load_t16(void)
{
	struct net_how how = load_closing(LOAD_HOME);

	load_begin(0);
	net_sysctl("ipv4/tcp_fin_timeout", "8");
	load_serve(NET_KEEP);
	load_t16_closed_ms = net_now_ms();
	load_step("close", net_open_many(&how, 101));
	load_tick = load_t16_tick;
	load_end = load_t16_end;
}

/* ---- T17 to T24: other states, UDP, several processes ---- */

static void load_t17(void)
{
	load_begin(0);
	load_serve(NET_CLOSE_FIRST);
	load_step("8080", load_connects(LOAD_HOME, 8080, 100));
	net_settle("01 04 09"); /* ESTABLISHED, FIN_WAIT1, LAST_ACK */
}

static struct net_how load_unanswered(void)
{
	struct net_how how = load_to(LOAD_HOME, 8090);

	how.no_block = true;
	return how;
}

static void load_t18(void)
{
	struct net_how how = load_unanswered();

	load_begin(0);
	net_serve_nobody(8090);
	load_step("syn", net_open_many(&how, 101));
}

static struct net_sum load_p19_sum;

static void load_p19_tick(void)
{
	struct net_how how = load_unanswered();

	static int ticks;

	if (ticks++ % 25 == 0 && load_p19_sum.tried < 30)
		net_open(&how, &load_p19_sum);
}

/* Some wait for an answer, and send again; ports there are enough. */
static void load_p19(void)
{
	struct net_how how = load_unanswered();

	net_begin(32768, 60999, 0);
	net_serve_nobody(8090);
	load_step("syn", net_open_many(&how, 5));
	load_tick = load_p19_tick;
}

static void load_t19(void)
{
	struct net_how how = { .udp = true, .host = LOAD_HOME, .port = 9000 };
	struct net_how binds = { .udp = true, .source = LOAD_HOME, .no_connect = true };

	load_begin(0);
	load_step("connect", net_open_many(&how, 101));
	how.host = "127.0.0.2";
	load_step("other", net_open_many(&how, 1));
	load_step("bind", net_open_many(&binds, 1));
}

static void load_t20(void)
{
	struct net_how how = { .udp = true, .host = LOAD_HOME, .port = 9000 };

	net_begin(40000, 40100, 0);
	net_sysctl("ipv4/ip_local_reserved_ports", "40010-40019");
	load_step("connect", net_open_many(&how, 102));
}

static struct net_how load_own_range(void)
{
	struct net_how how = load_to(LOAD_HOME, 8080);

	how.range_low = 40010;
	how.range_high = 40019;
	return how;
}

/* A trace looks at a pool only as often as it may. */
static void load_t21_tick(void)
{
	struct net_how how = load_own_range();
	static int ticks;

	if (ticks++ % 25 == 0)
		net_open_many(&how, 1);
}

static void load_t21(void)
{
	struct net_how how = load_own_range();
	struct net_sum sum;

	load_begin(0);
	load_serve(NET_KEEP);
	sum = net_open_many(&how, 11);
	load_step("8080", sum);
	if (sum.error == EADDRNOTAVAIL)
		load_tick = load_t21_tick;
}

static void load_t22(void)
{
	load_begin(0);
	load_serve(NET_KEEP);
	net_serve("::1", 8080, NET_KEEP);
	load_step("ipv4", load_connects(LOAD_HOME, 8080, 101));
	load_step("ipv6", load_connects("::1", 8080, 101));
}

static void load_t23(void)
{
	struct net_how how = load_to(LOAD_HOME, 8080);
	pid_t seventy, thirty, third;

	load_begin(0);
	load_serve(NET_KEEP);
	load_step("seventy", load_child("seventy", &how, 70, false, &seventy));
	load_step("thirty", load_child("thirty", &how, 30, false, &thirty));
	load_step("third", load_child("third", &how, 1, false, &third));
	load_fact("seventy_pid", seventy);
	load_fact("thirty_pid", thirty);
}

static void load_heal(bool close_binders)
{
	struct net_how binds = load_bind("127.0.0.5");
	struct net_sum sum = { 0 };
	int fds[100], r;

	load_begin(0);
	load_serve(NET_KEEP);
	load_step("first", load_connects(LOAD_HOME, 8080, 100));
	for (int i = 0; i < 100; i++)
		fds[i] = net_open(&binds, &sum);
	load_step("bind", sum);
	for (int i = 0; close_binders && i < 100; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	sum = (struct net_sum){ 0 };
	do
		r = net_open(&(struct net_how){ .host = LOAD_HOME, .port = 8081 }, &sum);
	while (r >= 0 && sum.tried < 101);
	load_step("second", sum);
}

static void load_t24(void)
{
	load_heal(true);
}

/* The binders stay. */
static void load_t24_bound(void)
{
	load_heal(false);
}

/* ---- T25 to T31: what is not exhausted ---- */

static void load_t25(void)
{
	struct net_how far = load_bind("10.9.9.9");
	struct net_how clash = { .source = LOAD_HOME, .source_port = 40003, .host = LOAD_HOME, .port = 8080,
				 .reuse = true };

	load_begin(0);
	load_serve(NET_KEEP);
	net_sysctl("ipv6/conf/all/disable_ipv6", "1");
	net_sysctl("ipv6/conf/lo/disable_ipv6", "1");
	load_step("no_address", load_connects("::1", 8080, 1));
	load_step("not_local", net_open_many(&far, 1));
	load_step("clash", net_open_many(&clash, 2));
}

/* The first connection of the pair has been closed. Without timestamps its TIME_WAIT is not taken over. */
static void load_t25_wait(void)
{
	struct net_how clash = load_closing(LOAD_HOME);
	struct net_sum sum = { 0 };

	load_begin(0);
	net_sysctl("ipv4/tcp_timestamps", "0");
	load_serve(NET_CLOSE_AFTER);
	clash.source = LOAD_HOME;
	clash.source_port = 40004;
	clash.reuse = true;
	net_open(&clash, &sum);
	net_settle(LOAD_CLOSING);
	net_open(&clash, &sum);
	load_step("clash", sum);
}

static void load_t26(void)
{
	struct net_how stolen = load_bind("0.0.0.0");

	load_begin(0);
	load_serve(NET_KEEP);
	net_sysctl("ipv4/ip_local_reserved_ports", "39000-39004");
	load_step("8080", load_connects(LOAD_HOME, 8080, 50));
	stolen.source_port = 40020;
	load_step("stolen", net_open_many(&stolen, 1));
	stolen.reuse = true;
	load_step("stolen_reuse", net_open_many(&stolen, 1));
}

static struct net_sum load_t27_sum;

/* Some go on waiting, so that SYNs are sent again and are not translated. */
static void load_t27_tick(void)
{
	struct net_how how = load_to(LOAD_HOME, 8080);
	static int ticks;

	how.no_block = true;
	if (ticks++ % 25 == 0 && load_t27_sum.tried < 60)
		net_open(&how, &load_t27_sum);
}

static void load_t27(void)
{
	struct net_how how = load_to(LOAD_HOME, 8080);
	long failed, ms;
	uint64_t begin;
	bool snat;

	net_begin(32768, 60999, 0);
	load_serve(NET_KEEP);
	snat = net_snat(LOAD_HOME, 50000, 50009);
	net_sysctl("ipv4/tcp_syn_retries", "1");
	load_step("8080", load_connects(LOAD_HOME, 8080, 10));
	begin = net_now_ms();
	load_step("eleventh", net_open_many(&how, 1));
	ms = (long)(net_now_ms() - begin);
	failed = (long)net_nat_failed();
	load_step("8081", load_connects(LOAD_HOME, 8081, 10));
	net_sysctl("ipv4/tcp_syn_retries", "6");
	how.no_block = true;
	load_step("more", net_open_many(&how, 5));
	load_fact("snat", snat);
	load_fact("ms", ms);
	load_fact("nat_failed", failed);
	load_tick = load_t27_tick;
}

static void load_t29_tick(void)
{
	struct net_how how = load_closing(LOAD_HOME);

	net_open_many(&how, 3);
}

static void load_t29(void)
{
	struct net_how how = load_closing(LOAD_HOME);
	struct net_sum sum = { 0 };

	load_begin(0);
	net_sysctl("ipv4/tcp_max_tw_buckets", "20");
	load_serve(NET_CLOSE_AFTER);
	while (sum.tried < 1000)
		if (net_open(&how, &sum) < 0)
			net_sleep_ms(1);
	net_settle(LOAD_CLOSING);
	load_step("8080", sum);
	load_fact("overflow", (long)net_counter("TCPTimeWaitOverflow"));
	load_tick = load_t29_tick;
}

/* A namespace inside: it starts with the defaults. */
static void load_t30(void)
{
	struct net_sum sum = { 0 };
	unsigned long inner = 0;
	int fds[2];
	pid_t pid;

	load_begin(0);
	if (pipe(fds) < 0)
		exit(1);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_NAME, "inner");
		net_begin(32768, 60999, 0);
		load_serve(NET_KEEP);
		sum = load_connects(LOAD_HOME, 8080, 30);
		inner = load_netns();
		if (write(fds[1], &sum, sizeof(sum)) < 0 || write(fds[1], &inner, sizeof(inner)) < 0)
			_exit(1);
		load_hold();
		_exit(0);
	}
	load_serve(NET_KEEP);
	load_step("outer", load_connects(LOAD_HOME, 8080, 101));
	if (read(fds[0], &sum, sizeof(sum)) < 0 || read(fds[0], &inner, sizeof(inner)) < 0)
		exit(1);
	load_step("inner", sum);
	load_fact("inner_pid", pid);
	load_fact("inner_netns", (long)inner);
}

static void load_t31(void)
{
	struct net_how how = load_closing(LOAD_HOME);
	struct net_sum sum = { 0 };

	load_begin(1);
	load_serve(NET_CLOSE_AFTER);
	for (uint64_t at = net_now_ms(); sum.tried < 160; at += 25) {
		net_open(&how, &sum);
		while (net_now_ms() < at + 25)
			net_sleep_ms(1);
	}
	load_step("8080", sum);
}

/* ---- the rules that have no scenario of their own ---- */

static void load_long(void)
{
	net_begin(32768, 60999, 2);
	load_serve(NET_KEEP);
	load_step("8080", load_connects(LOAD_HOME, 8080, 14200));
}

static void load_wall_tick(void)
{
	static struct net_sum sum;
	struct net_how how = load_to(LOAD_HOME, 8080);

	for (int i = 0; i < 20 && sum.tried < 9900; i++)
		net_open(&how, &sum);
}

/* Many in the smallest range that is not a small one, while they become more. */
static void load_wall(void)
{
	net_begin(40000, 59999, 2);
	load_serve(NET_KEEP);
	load_step("8080", load_connects(LOAD_HOME, 8080, 10050));
	load_tick = load_wall_tick;
}

static void load_self(void)
{
	struct net_how how = { .source = LOAD_HOME, .source_port = 40005, .host = LOAD_HOME, .port = 40005 };

	load_begin(2);
	load_step("self", net_open_many(&how, 1));
}

static void load_storm_tick(void)
{
	struct net_how how = load_to(LOAD_HOME, 8080);

	for (int i = 0; i < 3; i++)
		net_open_many(&how, 1);
}

/* The pool is full, and somebody goes on trying. */
static void load_storm(void)
{
	load_t01();
	load_tick = load_storm_tick;
}

/* A full pool, in a range that is not small, of which no state has the share that a rule asks for. */
static void load_mixture(void)
{
	struct net_how closing = load_closing(LOAD_HOME);
	int listener;

	net_begin(40000, 59999, 0);
	net_sysctl("ipv4/ip_local_reserved_ports", "40100-59999");
	listener = net_serve("0.0.0.0", 8080, NET_KEEP);
	load_step("close_wait", load_connects(LOAD_HOME, 8080, 25));
	for (int i = 0; i < 25; i++)
		close(accept(listener, NULL, NULL));
	load_step("fin_wait", net_open_many(&closing, 25));
	load_step("established", load_connects(LOAD_HOME, 8080, 51));
	net_settle("04");
}

/* All kinds, opened and closed, some 150 a second. */
static void load_mixed_tick(void)
{
	struct net_how closing = load_closing(LOAD_HOME), server_first = load_to(LOAD_HOME, 8082);
	struct net_how udp = { .udp = true, .close = true, .host = LOAD_HOME, .port = 9000 };
	struct net_how bound = closing;
	static int ticks;

	bound.source = LOAD_HOME;
	server_first.await_close = true;
	net_open_many(&closing, 1);
	net_open_many(&server_first, 1);
	net_open_many(&udp, 1);
	if (ticks++ % 5 == 0)
		net_open_many(&bound, 1);
}

/* A healthy machine: 30 sockets of all kinds. */
static void load_mixed(void)
{
	struct net_how udp = { .udp = true, .host = LOAD_HOME, .port = 9000 };
	struct net_how binds = load_from(LOAD_HOME, LOAD_HOME, 8081), closing = load_closing(LOAD_HOME);
	struct net_how bound = load_bind(LOAD_HOME);

	net_begin(32768, 60999, 2);
	net_serve("0.0.0.0", 8080, NET_CLOSE_AFTER);
	net_serve("0.0.0.0", 8081, NET_KEEP);
	net_serve("0.0.0.0", 8082, NET_CLOSE_FIRST);
	net_serve("0.0.0.0", 40000, NET_KEEP);
	load_step("connect", load_connects(LOAD_HOME, 8081, 10));
	load_step("udp", net_open_many(&udp, 6));
	load_step("bind", net_open_many(&binds, 5));
	load_step("closing", net_open_many(&closing, 5));
	load_step("bound", net_open_many(&bound, 1));
	load_tick = load_mixed_tick;
}

static const struct load_scenario {
	const char *name;
	void (*run)(void);
} load_scenarios[] = {
	{ "T01", load_t01 },	 { "T02", load_t02 },	      { "T03", load_t03 },
	{ "T04", load_t04 },	 { "P04", load_p04 },	      { "T05", load_t05 },
	{ "T06", load_t06 },	 { "T07", load_t07 },	      { "T07-half", load_t07_half },
	{ "T08", load_t08 },	 { "T09", load_t09 },	      { "T10", load_t10 },
	{ "T11", load_t11 },	 { "T10-exited", load_t10_exited }, { "T12", load_t12 },
	{ "T13", load_t13 },	 { "T12-reuse", load_t12_reuse }, { "T14", load_t14 },
	{ "T15", load_t15 },	 { "T14-wide", load_t14_wide }, { "T16", load_t16 },
	{ "T17", load_t17 },	 { "T18", load_t18 },	      { "P19", load_p19 },
	{ "T19", load_t19 },	 { "T20", load_t20 },	      { "T21", load_t21 },
	{ "T22", load_t22 },	 { "T23", load_t23 },	      { "T24", load_t24 },
	{ "T25", load_t25 },	 { "T24-bound", load_t24_bound }, { "T26", load_t26 },
	{ "T29", load_t29 },	 { "T30", load_t30 },	      { "T31", load_t31 },
	{ "T25-wait", load_t25_wait }, { "T27", load_t27 },	      { "P17", load_storm },
	{ "mixture", load_mixture },
	{ "P11", load_long },	 { "P16", load_wall },	      { "P22", load_self },
	{ "healthy", load_mixed },
};
#define LOAD_COUNT (sizeof(load_scenarios) / sizeof(load_scenarios[0]))

static void load_until_closed(void)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };

	while (poll(&in, 1, 20) == 0)
		if (load_tick)
			load_tick();
}

static void load_run(const struct load_scenario *scenario)
{
	char name[16];

	snprintf(name, sizeof(name), "load-%s", scenario->name);
	prctl(PR_SET_NAME, name);
	load_name = scenario->name;
	scenario->run();
	load_say_end();
	puts("READY");
	fflush(stdout);
	load_until_closed();
	if (!load_end)
		return;
	printf("{\"end\":\"%s\"", scenario->name);
	load_end();
	load_say_end();
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 2 && i < LOAD_COUNT; i++) {
		if (!strcmp(argv[1], "--list"))
			puts(load_scenarios[i].name);
		else if (!strcmp(argv[1], load_scenarios[i].name)) {
			load_run(&load_scenarios[i]);
			return 0;
		}
	}
	if (argc == 2 && !strcmp(argv[1], "--list"))
		return 0;
	fputs("usage: load SCENARIO | --list\n", stderr);
	return 2;
}
