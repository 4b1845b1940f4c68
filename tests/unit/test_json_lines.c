// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The lines of schema 1 against golden ones, byte for byte, so that none changes by accident. After a change that is
 * wanted (schema 1: something is added), from the root of the tree:
 *
 *   build/tests/unit/test_json_lines --golden >tests/golden/lines.jsonl
 *
 * --words prints the words of each enum of the output, --hostile lines with names of all kinds of bytes: for
 * tests/schema/run, which has them judged by others.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../src/cmd/history_report.h"
#include "../../src/json_lines.h"
#include "../../src/owners.h"
#include "../../src/pressure.h"
#include "../../src/sockdiag.h"
#include "events.h"

#define GOLDEN "tests/golden/lines.jsonl"
#define SECOND UINT64_C(1000000000)
#define LINES_MAX (256 * 1024)

static struct service_table *names;

/* ---- events of every kind, and all that can be said of one ---- */

static void golden_bind(struct event *ev)
{
	*ev = events_bind();
	ev->has_fd = ev->has_options = ev->is_ipv6 = ev->reuseport = true;
	ev->fd = 6;
	ev->ip_version = 6;
	ev->local = ev->requested = events_endpoint("::", 443);
}

static void golden_bind0(struct event *ev)
{
	*ev = events_bind();
	ev->how = HOW_BIND0;
	ev->pool = EVENT_POOL_BIND;
	ev->half = EVENT_HALF_SECOND;
	ev->requested = events_endpoint("127.0.0.1", 0);
	ev->local = events_endpoint("127.0.0.1", 49152);
	ev->local_facts = (struct port_facts){ CLASS_DYNAMIC, true, true, false, NULL };
}

static void golden_bind_in_use(struct event *ev)
{
	*ev = events_bind_in_use();
	strcpy(ev->holder.container_id, "53225e24386f30ac68a58cd57c1689590875e4904f9449d0c19835f68da0c0b6");
}

static void golden_bind_time_wait(struct event *ev)
{
	*ev = events_bind_time_wait();
}

static void golden_bind_unseen(struct event *ev)
{
	*ev = events_bind();
	ev->backend = BACKEND_CGROUP;
	ev->outcome = OUTCOME_FAILURE;
	ev->late = true;
	ev->local = events_endpoint("", -1);
	strcpy(ev->reason, "errno not visible to the cgroup backend");
}

static void golden_listen(struct event *ev)
{
	*ev = events_listen();
	strcpy(events_who(ev)->command_line, "nginx: master process /usr/sbin/nginx");
	strcpy(events_who(ev)->unit, "nginx.service");
	ev->mptcp = true;
}

static void golden_connect(struct event *ev)
{
	*ev = events_connect();
	ev->pool = EVENT_POOL_CONNECT;
	ev->half = EVENT_HALF_FIRST;
	ev->has_search = true;
	ev->search_ns = 2001;
	ev->mark = 7;
	ev->bound_ifindex = 3;
	ev->vpid = 7;
	strcpy(events_who(ev)->container_id, "53225e24386f30ac68a58cd57c1689590875e4904f9449d0c19835f68da0c0b6");
	strcpy(events_who(ev)->container_runtime, "containerd");
	strcpy(events_who(ev)->pod_uid, "c41f7eae-2e5f-42ce-963a-3c9cd9623606");
}

static void golden_wall(struct event *ev)
{
	golden_connect(ev);
	ev->half = EVENT_HALF_SECOND;
	ev->wall = true;
	ev->pool_used = 14117;
	ev->pool_capacity = 28232;
	strcpy(ev->reason, "the first half is full");
}

static void golden_exhausted(struct event *ev)
{
	static const char pool[] =
		",\"range_low\":32768,\"range_high\":60999,\"states\":{\"established\":1000,\"syn-sent\":0,"
		"\"close-wait\":2,\"fin-wait-2\":0,\"time-wait\":27230,\"closing\":0,\"bound\":0},\"owners\":["
		"{\"pid\":4312,\"name\":\"api\",\"exited\":true,\"ports\":28000,\"time_wait\":27000}],"
		"\"other_owners\":1,\"other_ports\":200,\"unattributed\":32,\"remedy\":\"Keep connections.\"";
	static const struct event_verdict verdict = {
		.has_pool = true, .used = 28232, .capacity = 28232, .reserved = 1, .blocked = 2, .next_ms = 312,
		.rule = "P01", .cause = "short-lived connections to one place, closed by this side", .also = "P17",
		.more = 3, .json = pool, .json_len = sizeof(pool) - 1,
	};

	*ev = events_connect_failed();
	ev->cause = CAUSE_PORT_EXHAUSTED;
	ev->pool = EVENT_POOL_CONNECT;
	ev->verdict = &verdict;
	ev->has_truth = true;
	ev->range_low = 32768;
	ev->range_high = 60999;
	strcpy(ev->reason, "no free local port for this destination");
}

static void golden_refused(struct event *ev)
{
	*ev = events_connect();
	ev->outcome = OUTCOME_FAILURE;
	ev->error = ECONNREFUSED;
	ev->cause = CAUSE_REFUSED;
	ev->how = HOW_EXPLICIT;
	ev->local = ev->requested = events_endpoint("10.0.0.5", 631);
	ev->local_facts = (struct port_facts){ CLASS_WELL_KNOWN, false, true, true, "ipp" };
	strcpy(ev->reason, "refused: nobody listens there");
}

static void golden_unknown(struct event *ev)
{
	*ev = events_connect();
	ev->backend = BACKEND_CGROUP;
	ev->outcome = OUTCOME_UNKNOWN;
	ev->proto = PROTO_UDP;
	ev->protocol = IPPROTO_UDPLITE;
	ev->how = HOW_NONE;
	ev->has_requested = false;
	ev->local = events_endpoint("", -1);
	ev->local_facts = (struct port_facts){ 0 };
	strcpy(ev->reason, "result not seen");
}

static void golden_accept(struct event *ev)
{
	*ev = events_accept();
	ev->confidence = CONFIDENCE_CLOSER;
	ev->creator_pid = 1;
	strcpy(ev->creator_name, "systemd");
}

static void golden_close(struct event *ev)
{
	*ev = events_close();
	ev->has_bytes = true;
	ev->bytes_sent = 104332;
	ev->bytes_received = 812;
	ev->closer = CLOSER_LOCAL;
	ev->close_state = CLOSE_STATE_TIME_WAIT;
	ev->exiting = true;
	ev->exit_signal = SIGKILL;
}

static void golden_close_alone(struct event *ev)
{
	golden_listen(ev);
	ev->kind = EVENT_CLOSE;
	ev->cause = CAUSE_SHUT_DOWN;
	ev->close_state = CLOSE_STATE_CLOSED;
}

static void golden_release(struct event *ev)
{
	*ev = events_close();
	ev->kind = EVENT_RELEASE;
	ev->has_port_free = true;
	ev->port_free = false;
	ev->duration_ns = 60 * SECOND;
}

static void golden_nothing_known(struct event *ev)
{
	*ev = (struct event){ .kind = EVENT_CLOSE };
}

/* ---- sockets as they are ---- */

static void golden_state_listen(struct event *ev)
{
	static const struct owner owners[] = { { 1, 977, 6, "nginx" }, { 1, 978, 6, "" }, { 1, 979, 6, "we\"b" } };

	*ev = events_listen();
	ev->socket_state = "listen";
	ev->owners = owners;
	ev->owner_count = 3;
	ev->has_fd = ev->has_queue = true;
	ev->fd = 6;
	ev->duration_ns = 3600 * SECOND;
}

static void golden_state_time_wait(struct event *ev)
{
	*ev = events_connect();
	ev->kind = EVENT_CLOSE;
	ev->socket_state = "time-wait";
	ev->has_expires = ev->owner_exited = true;
	ev->expires_ms = 41999;
	ev->has_uid = false;
}

static void (*const golden_events[])(struct event *ev) = {
	golden_bind,	  golden_bind0,	     golden_bind_in_use,    golden_bind_time_wait, golden_bind_unseen,
	golden_listen,	  golden_connect,    golden_wall,	    golden_exhausted,	   golden_refused,
	golden_unknown,	  golden_accept,     golden_close,	    golden_close_alone,	   golden_release,
	golden_nothing_known, golden_state_listen, golden_state_time_wait,
};
#define GOLDEN_EVENTS (sizeof(golden_events) / sizeof(golden_events[0]))

/* ---- a run's statistics, and lives ---- */

static void golden_stats(struct json_lines *js, uint64_t sequence, struct buf *out)
{
	static const struct stats_sink sinks[] = {
		{ "kafka:\"a\",b", 9000, 2, 1, 997 },
		{ "file:/tmp/x", 10000, 0, 0, 0 },
	};
	struct stats st = {
		.time_ns = EVENTS_TIME_NS + SECOND, .since_ns = EVENTS_TIME_NS - SECOND, .sequence = sequence,
		.seen = 10012, .emitted = 10000, .filtered = 7, .lost_kernel = 5, .lost_queue = 2, .lost_sink = 1,
	};

	assert_true(json_lines_stats(js, &st, out));
	st.sequence++;
	st.evicted = 42;
	st.lost_ring[2 * EVENT_CLOSE] = 3;
	st.lost_ring[2 * EVENT_CONNECT] = 1;
	st.lost_ring[2 * EVENT_CONNECT + 1] = 1;
	st.sinks = sinks;
	st.sink_count = 2;
	assert_true(json_lines_stats(js, &st, out));
}

static struct history_life golden_life_listening(void)
{
	return (struct history_life){
		.begin_ns = EVENTS_TIME_NS - 60 * SECOND, .since_ns = EVENTS_TIME_NS - 60 * SECOND,
		.seen_ns = EVENTS_TIME_NS - SECOND, .state = LIFE_LISTENING, .held = LIFE_LISTENING,
		.how = HOW_EXPLICIT, .local = events_endpoint("0.0.0.0", 443), .cookie = 4097, .netns_inum = 4026531840,
		.pid = 977, .has_uid = true, .uid = 33, .name = "nginx", .executable = "/usr/sbin/nginx",
		.command_line = "nginx -g", .user = "www-data", .container_id = "53225e24386f", .unit = "nginx.service",
		.boot_id = "c41f7eae-2e5f-42ce-963a-3c9cd9623606",
	};
}

/* A client that has a service's port by chance, and has closed. */
static struct history_life golden_life_over(void)
{
	struct history_life life = golden_life_listening();

	life.begin_ns = 0;
	life.state = LIFE_TIME_WAIT;
	life.held = LIFE_CONNECTED;
	life.how = HOW_CONNECT;
	life.role = ROLE_EGRESS;
	life.local = events_endpoint("10.0.0.5", 6379);
	life.remote = events_endpoint("10.0.0.9", 443);
	life.end_ns = EVENTS_TIME_NS - 30 * SECOND;
	life.cause = CAUSE_RESET;
	life.has_bytes = true;
	life.bytes_sent = 1;
	life.name = "evil\033[2J";
	return life;
}

static void golden_lives(struct buf *out)
{
	static const struct owner also[] = { { 1, 978, 6, "nginx" }, { 1, 979, 6, "" } };
	struct history_view view = { .names = names, .json = true, .now_ns = EVENTS_TIME_NS };
	struct history_life first = golden_life_listening(), second = golden_life_over(), third = second;
	struct history_row rows[] = {
		{ &first, also, 2, false, 0 },
		{ &second, NULL, 0, true, 30 },
		{ &third, NULL, 0, false, 0 },
	};
	struct report *report = calloc(1, sizeof(*report));

	third.state = LIFE_OVER;
	third.free_ns = EVENTS_TIME_NS - 29 * SECOND;
	third.protocol = IPPROTO_UDPLITE;
	report_init(report, -1);
	for (size_t i = 0; i < 3; i++)
		history_report_json(report, &rows[i], &view);
	buf_bytes(out, report->b.data, report->b.len);
	free(report);
}

/* All of them, in one run's order: the lives have no number. */
static void golden_make(struct buf *out)
{
	struct json_lines_options opts = { "web-1", "0f8e2c71d3a94b65", "c41f7eae-2e5f-42ce-963a-3c9cd9623606" };
	struct json_lines js;

	json_lines_init(&js, &opts);
	for (size_t i = 0; i < GOLDEN_EVENTS; i++) {
		struct event ev;

		golden_events[i](&ev);
		ev.sequence = i + 1;
		assert_true(json_lines_event(&js, &ev, out));
	}
	golden_stats(&js, GOLDEN_EVENTS + 1, out);
	golden_lives(out);
	assert_false(out->overflow);
}

static struct buf golden_room(void)
{
	return (struct buf){ .data = calloc(1, LINES_MAX), .size = LINES_MAX };
}

static void lines_are_golden(void **state)
{
	struct buf made = golden_room(), kept = golden_room();
	FILE *f = fopen(GOLDEN, "r");
	char *a, *b;

	(void)state;
	assert_non_null(f);
	kept.len = fread(kept.data, 1, kept.size - 1, f);
	fclose(f);
	golden_make(&made);
	for (a = made.data, b = kept.data; *a && *b; a += strcspn(a, "\n") + 1, b += strcspn(b, "\n") + 1) {
		if (strcspn(a, "\n") == strcspn(b, "\n") && !memcmp(a, b, strcspn(a, "\n")))
			continue;
		print_error("a line has changed; " GOLDEN " has\n%.*s\nand now it is\n%.*s\n", (int)strcspn(b, "\n"), b,
			    (int)strcspn(a, "\n"), a);
		fail();
	}
	assert_true(made.len == kept.len);
	free(made.data);
	free(kept.data);
}

/* ---- names of any bytes ---- */

/* Beginnings of characters, ends of them, and what has to be escaped. */
static const char *const hostile_parts[] = {
	"\n",	"\033[2J", "\"",       "\\",	   "'",		       "\x01",	   "\x7f",	 "\xc2\x9b", "\xff",
	"\xc3", "\xe2\x82", "\xf0\x9f\x90", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\x80", "\xe2\x82\xac", "a",
	"\xf0\x9f\x90\xa7", "\xe2\x80\xae", "\xef\xbb\xbf", "/",  "\t",	       "\r",	   "\xef\xbf\xbe", "},{\"a\":",
};
#define HOSTILE_PARTS (sizeof(hostile_parts) / sizeof(hostile_parts[0]))

/* A part over and over, or parts as they come, from some byte of it on; to the last byte of the room, or one before. */
static void hostile_fill(char *to, size_t size, unsigned int n)
{
	const char *part = hostile_parts[n % HOSTILE_PARTS];
	size_t at = n / HOSTILE_PARTS % 4;

	at = at < strlen(part) ? at : 0;
	for (size_t i = 0; i < size - 1; i++) {
		if (!part[at]) {
			part = n % 5 ? part : hostile_parts[(unsigned int)rand() % HOSTILE_PARTS];
			at = 0;
		}
		to[i] = n % 7 == 6 ? (char)(rand() % 255 + 1) : part[at++];
	}
	to[size - 1] = '\0';
}

#define HOSTILE(field) hostile_fill(field, sizeof(field), n++)

static void hostile_event(struct event *ev, unsigned int n)
{
	golden_events[n % GOLDEN_EVENTS](ev);
	HOSTILE(ev->name);
	HOSTILE(events_who(ev)->executable);
	HOSTILE(events_who(ev)->command_line);
	HOSTILE(events_who(ev)->user);
	HOSTILE(events_who(ev)->container_id);
	HOSTILE(events_who(ev)->container_runtime);
	HOSTILE(events_who(ev)->pod_uid);
	HOSTILE(events_who(ev)->unit);
	HOSTILE(ev->creator_name);
	HOSTILE(ev->holder.name);
	HOSTILE(ev->holder.user);
	HOSTILE(ev->holder.container_id);
	if (ev->reason[0])
		HOSTILE(ev->reason);
	if (n % 3)
		ev->pid = 977;
}

/* As 4 KiB would arrive: whoever fills the event cuts it, so the longest there is. */
static void hostile_make(struct json_lines *js, unsigned int n, struct buf *line)
{
	static char room[JSON_LINES_MAX * 2];
	struct event ev;

	hostile_event(&ev, n);
	ev.sequence = n + 1;
	*line = (struct buf){ .data = room, .size = json_lines_max(&ev) };
	assert_in_range(line->size, 1, sizeof(room));
	assert_true(json_lines_event(js, &ev, line));
}

/* A life, as porttrace who and history show it, with such names. */
static void hostile_life(unsigned int n, struct buf *line)
{
	static struct report report;
	static char room[7][EVENT_PATH_SIZE];
	static const size_t sizes[7] = { EVENT_NAME_SIZE, EVENT_PATH_SIZE, EVENT_PATH_SIZE, 33, EVENT_ID_SIZE,
					 EVENT_ID_SIZE, HISTORY_BOOT_ID_SIZE };
	struct history_view view = { .names = names, .json = true, .now_ns = EVENTS_TIME_NS };
	struct history_life life = golden_life_over();
	struct history_row row = { .life = &life };

	for (unsigned int i = 0; i < 7; i++)
		hostile_fill(room[i], sizes[i], n % 16 == 15 ? n : n + i); /* the same in all, or not */
	life.name = room[0];
	life.executable = room[1];
	life.command_line = room[2];
	life.user = room[3];
	life.container_id = room[4];
	life.unit = room[5];
	life.boot_id = room[6];
	report_init(&report, -1);
	history_report_json(&report, &row, &view);
	*line = (struct buf){ .data = report.data, .len = report.b.len, .size = JSON_LINES_MAX };
}

/* One in eight is a life: it takes a number, and shows none. */
static void hostile_line(struct json_lines *js, unsigned int n, struct buf *line)
{
	if (n % 8 == 7)
		hostile_life(n, line);
	else
		hostile_make(js, n, line);
}

/* At most 4096 bytes, but for a socket that several processes have. */
static void no_byte_breaks_a_line(void **state)
{
	char host[JSON_LINES_HOSTNAME_SIZE];
	struct json_lines js;
	struct buf line;

	(void)state;
	srand(1);
	hostile_fill(host, sizeof(host), 2);
	json_lines_init(&js, &(struct json_lines_options){ .hostname = host });
	for (unsigned int n = 0; n < 4000; n++) {
		hostile_line(&js, n, &line);
		assert_in_range(line.len, 100, line.size);
		assert_int_equal(line.data[line.len - 1], '\n');
		for (size_t i = 0; i + 1 < line.len; i++)
			assert_in_range((unsigned char)line.data[i], 32, 255);
	}
}

static void hostile_print(unsigned int count)
{
	char host[JSON_LINES_HOSTNAME_SIZE];
	struct json_lines js;
	struct buf line;

	srand(2);
	hostile_fill(host, sizeof(host), 2);
	json_lines_init(&js, &(struct json_lines_options){ .hostname = host });
	for (unsigned int n = 0; n < count; n++) {
		hostile_line(&js, n, &line);
		fwrite(line.data, 1, line.len, stdout);
	}
}

/* ---- what is remembered ---- */

/* Some of an event's facts, one at a time or several: each decides words of the line. */
static void remembered_change(struct event *ev)
{
	bool *const flags[] = {
		&ev->late, &ev->is_ipv6, &ev->v6only, &ev->reuseaddr, &ev->reuseport, &ev->no_port, &ev->freebind,
		&ev->transparent, &ev->mptcp, &ev->has_options, &ev->has_port_free, &ev->port_free, &ev->owner_exited,
		&ev->exiting, &ev->has_fd, &ev->has_requested, &ev->has_search, &ev->wall, &ev->has_bytes,
		&ev->local_facts.ephemeral, &ev->local_facts.reserved, &ev->local_facts.privileged,
		&ev->remote_facts.ephemeral, &ev->remote_facts.reserved, &ev->remote_facts.privileged,
	};

	for (int i = rand() % 4; i >= 0; i--)
		*flags[(size_t)rand() % (sizeof(flags) / sizeof(flags[0]))] ^= true;
	switch (rand() % 20) {
	case 0: ev->backend ^= 1; break;
	case 1: ev->cause = (enum event_cause)(rand() % CAUSE_COUNT); break;
	case 2: ev->confidence = (enum event_confidence)(rand() % CONFIDENCE_COUNT); break;
	case 3: ev->how = (enum event_how)(rand() % HOW_COUNT); break;
	case 4: ev->pool = (enum event_pool)(rand() % EVENT_POOL_COUNT); break;
	case 5: ev->half = (enum event_half)(rand() % EVENT_HALF_COUNT); break;
	case 6: ev->closer = (enum event_closer)(rand() % CLOSER_COUNT); break;
	case 7: ev->close_state = (enum close_state)(rand() % CLOSE_STATE_COUNT); break;
	case 8: ev->role = (enum event_role)(rand() % ROLE_COUNT); break;
	case 9: ev->local_facts.class = (enum port_class)(rand() % CLASS_COUNT); break;
	case 10: ev->remote_facts.service = rand() % 2 ? "https" : NULL; break;
	case 11: ev->local_facts.service = rand() % 2 ? "https" : "http"; break;
	case 12: ev->mark = rand() % 2; break;
	case 13: ev->cookie = rand() % 2; break;
	case 14: ev->protocol = rand() % 2 ? IPPROTO_UDPLITE : IPPROTO_TCP; break;
	case 15: ev->ip_version = (uint8_t)(rand() % 3 * 2); break;
	case 16: ev->error = rand() % 2 ? EADDRINUSE : ECONNREFUSED; break;
	case 17: ev->exit_signal = rand() % 16; break;
	case 18: ev->outcome = (enum event_outcome)(rand() % OUTCOME_COUNT); break;
	case 19: ev->netns_inum = 4026531840u + (uint32_t)(rand() % 2); break;
	}
}

/* A line is the same whatever was written before it. */
static void what_is_remembered_is_the_same(void **state)
{
	static char before_room[JSON_LINES_MAX * 2], fresh_room[JSON_LINES_MAX * 2];
	static struct json_lines before, fresh;
	struct json_lines_options opts = { "web-1", "0f8e2c71d3a94b65", NULL };

	(void)state;
	srand(3);
	json_lines_init(&before, &opts);
	for (int n = 0; n < 4000; n++) {
		struct buf a = { .data = before_room, .size = sizeof(before_room) };
		struct buf b = { .data = fresh_room, .size = sizeof(fresh_room) };
		struct event ev;

		golden_events[(size_t)rand() % GOLDEN_EVENTS](&ev);
		for (int i = rand() % 3; i > 0; i--)
			remembered_change(&ev);
		memset(&fresh, 0, sizeof(fresh));
		json_lines_init(&fresh, &opts);
		assert_true(json_lines_event(&before, &ev, &a) && json_lines_event(&fresh, &ev, &b));
		assert_int_equal(a.len, b.len);
		assert_memory_equal(a.data, b.data, a.len);
	}
}

/* ---- the words ---- */

static void words_print(const char *title, const char *const *words, size_t count)
{
	printf("%s", title);
	for (size_t i = 0; i < count; i++)
		if (words[i] && words[i][0])
			printf(" %s", words[i]);
	putchar('\n');
}

#define WORDS(table) words_print(#table, table, sizeof(table) / sizeof((table)[0]))

static void words_print_states(void)
{
	printf("sockdiag_state_names");
	for (int proto = 0; proto < PROTO_COUNT; proto++)
		for (int state = 0; state <= SOCKDIAG_STATE_COUNT; state++)
			printf(" %s", sockdiag_state_name((enum event_proto)proto, (enum sockdiag_state)state));
	putchar('\n');
}

static void words_print_all(void)
{
	WORDS(event_kind_names);
	WORDS(event_outcome_names);
	WORDS(event_how_names);
	WORDS(event_pool_names);
	WORDS(event_half_names);
	WORDS(event_role_names);
	WORDS(event_proto_names);
	WORDS(event_backend_names);
	WORDS(port_class_names);
	WORDS(event_cause_names);
	WORDS(event_confidence_names);
	WORDS(event_closer_names);
	WORDS(close_state_names);
	WORDS(holder_kind_names);
	WORDS(life_state_names);
	WORDS(pressure_state_names);
	words_print_states();
}

static void golden_print(void)
{
	struct buf out = golden_room();

	golden_make(&out);
	fwrite(out.data, 1, out.len, stdout);
	free(out.data);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_golden),
		cmocka_unit_test(no_byte_breaks_a_line),
		cmocka_unit_test(what_is_remembered_is_the_same),
	};
	int status = 0;

	/* no file: the built-in names alone, the same on each machine */
	if (service_table_new("/dev/null", &names) < 0)
		return 1;
	if (argc > 1 && !strcmp(argv[1], "--golden"))
		golden_print();
	else if (argc > 1 && !strcmp(argv[1], "--words"))
		words_print_all();
	else if (argc > 1 && !strcmp(argv[1], "--hostile"))
		hostile_print(argc > 2 ? (unsigned int)atoi(argv[2]) : 1000);
	else
		status = cmocka_run_group_tests_name("json_lines", tests, NULL, NULL);
	service_table_free(names);
	return status;
}
