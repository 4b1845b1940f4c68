// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "trace_ledger.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "../capture.h"
#include "../cgroup_tree.h"
#include "../cleanup.h"
#include "../clock.h"
#include "../human.h"

#define TRACE_RECONCILE_NS (UINT64_C(10) * 1000000000)
#define TRACE_FORGET_NS (UINT64_C(300) * 1000000000)
#define TRACE_SECOND_LOOK_NS (UINT64_C(500) * 1000000)
#define TRACE_TELL_NS (UINT64_C(2) * 1000000000)
/* A dump may take a 30th of the time at most. */
#define TRACE_LOOK_SHARE 30

/* Since 6.8 sock_diag lists TCP sockets that only have a port (inet_diag: 91051f003948). */
static bool trace_kernel_lists_bound(void)
{
	struct utsname name;
	int major = 0, minor = 0;

	if (uname(&name) || sscanf(name.release, "%d.%d", &major, &minor) != 2)
		return false;
	return major > 6 || (major == 6 && minor >= 8);
}

static void trace_record_netns(struct recorder *rec, const struct snapshot *snap)
{
	for (size_t i = 0; rec && i < snap->namespaces; i++)
		if (snap->netns[i].known)
			recorder_netns(rec, snap->netns[i].name, &snap->netns[i].facts);
}

static uint64_t trace_ledger_every_ns(const struct trace_ledger *tl)
{
	if (tl->audit_every_ns)
		return tl->audit_every_ns;
	return tl->untold_ends && !tl->by_cookie ? TRACE_FORGET_NS : TRACE_RECONCILE_NS;
}

int trace_ledger_start(struct trace_ledger *tl)
{
	struct snapshot_options opts = { 0 };
	struct snapshot snap;
	int r;

	tl->lists_bound = trace_kernel_lists_bound();
	tl->next_ns = clock_now_ns(CLOCK_MONOTONIC) + trace_ledger_every_ns(tl);
	r = snapshot_take(&opts, &snap);
	if (r < 0)
		return r;
	trace_record_netns(tl->pipeline->recorder, &snap);
	r = capture_snapshot(&snap, clock_now_ns(CLOCK_REALTIME), tl->by_cookie, pipeline_socket, tl->pipeline);
	snapshot_free(&snap);
	return r;
}

bool trace_ledger_is_due(const struct trace_ledger *tl, uint64_t now_ns)
{
	return (tl->audit_every_ns || tl->by_cookie || tl->untold_ends || tl->pipeline->history) &&
	       now_ns >= tl->next_ns;
}

/* ---- behind a gap of the recording ---- */

static void trace_tell_socket(void *arg, struct event *ev, uint64_t until_ns)
{
	const struct trace_ledger *tl = arg;
	struct sockets_key key = { .netns = sockets_netns(ev), .proto = ev->proto, .protocol = ev->protocol,
				   .local = ev->local, .remote = ev->remote, .cookie = ev->cookie };
	enum event_how how;
	struct holder holder;

	if (sockets_find_life(tl->pipeline->sockets, &key, &holder, &how)) {
		ev->how = how;
		ev->pid = holder.pid;
		ev->process_start_ns = holder.process_start_ns;
		ev->has_uid = holder.has_uid;
		ev->uid = holder.uid;
		ev->name_is_leader = true;
		memcpy(ev->name, holder.name, sizeof(ev->name));
	}
	recorder_socket(tl->pipeline->recorder, ev, until_ns);
}

/* Whom each socket belongs to is not looked for in /proc: that takes long, and the ring is being filled. */
void trace_ledger_tell(struct trace_ledger *tl, uint64_t now_ns)
{
	struct snapshot_options opts = { .no_owners = true };
	struct snapshot snap;
	uint64_t rest_ns;

	tl->untold = false;
	if (snapshot_take(&opts, &snap) == 0) {
		trace_record_netns(tl->pipeline->recorder, &snap);
		capture_snapshot(&snap, clock_now_ns(CLOCK_REALTIME), tl->by_cookie, trace_tell_socket, tl);
		snapshot_free(&snap);
	}
	rest_ns = (clock_now_ns(CLOCK_MONOTONIC) - now_ns) * TRACE_LOOK_SHARE;
	tl->told_ns = now_ns + (rest_ns > TRACE_TELL_NS ? rest_ns : TRACE_TELL_NS);
}

/* ---- what no event tells ---- */

static void trace_gone(void *arg, const struct sockets_view *view)
{
	struct trace_ledger *tl = arg;
	struct event ev = { .kind = EVENT_CLOSE, .snapshot = true, .life = view->life, .life_state = LIFE_OVER };

	if (!tl->pipeline->history)
		return;
	ev.time_ns = clock_now_ns(CLOCK_REALTIME);
	ev.life_begin_ns = view->begin_ns;
	ev.life_how = view->how;
	ev.proto = view->proto;
	ev.cookie = view->cookie;
	ev.local = view->local;
	ev.remote = view->remote;
	history_add(tl->pipeline->history, &ev);
}

/* ---- audit ---- */

static void trace_print_endpoint(const struct endpoint *end)
{
	static const struct port_facts unknown;
	char text[64] = "";
	struct buf b = { .data = text, .size = sizeof(text) };

	human_endpoint(&b, end, &unknown);
	printf(" %.*s", (int)b.len, text);
}

static void trace_print_difference(const struct audit_difference *d)
{
	static const char *const none = "not there";

	printf("%-9s %s", audit_fault_names[d->fault], event_proto_names[d->proto]);
	trace_print_endpoint(&d->local);
	if (d->remote.has_port && d->remote.port) {
		printf(" ->");
		trace_print_endpoint(&d->remote);
	}
	printf(" netns %llu cookie %llu: kernel %s", (unsigned long long)d->netns, (unsigned long long)d->cookie,
	       d->kernel ? life_state_names[d->kernel] : none);
	if (d->kernel_pid)
		printf(" (pid %u)", d->kernel_pid);
	printf(", ledger %s", d->ledger ? life_state_names[d->ledger] : none);
	if (d->ledger_pid)
		printf(" (pid %u)", d->ledger_pid);
	printf("\n");
}

static void trace_print_round(struct trace_ledger *tl, const struct audit *a)
{
	time_t now = time(NULL);
	char text[32];

	strftime(text, sizeof(text), "%H:%M:%S", localtime(&now));
	for (size_t i = 0; i < a->count; i++)
		if (tl->verbose || a->list[i].fault < AUDIT_DIFFERENCE_COUNT || a->list[i].fault == AUDIT_LOST)
			trace_print_difference(&a->list[i]);
	printf("%s  %zu sockets alike, %zu differences; that no event tells: %zu ended or disconnected, %zu passed on; "
	       "not comparable: %zu that no process has, %zu bound that this kernel does not list, %zu of other "
	       "cgroups; %zu after lost events\n",
	       text, a->compared, audit_differences(a), a->faults[AUDIT_UNSEEN], a->faults[AUDIT_PASSED_ON],
	       a->unaccepted, a->hidden, a->outside, a->faults[AUDIT_LOST]);
	fflush(stdout);
	tl->rounds++;
	tl->differences += audit_differences(a);
	tl->after_loss += a->faults[AUDIT_LOST];
}

static void trace_missed(void *arg, const struct sockets_view *view)
{
	recorder_miss(arg, view->life, view->cookie);
}

/* What is missing in a torn list may be there. */
static int trace_reconcile(struct trace_ledger *tl, const struct snapshot *snap, const struct audit_options *how)
{
	struct recorder *rec = tl->pipeline->recorder;
	struct audit_options opts = *how;
	int r;

	if (snap->torn)
		return 0;
	opts.missed = rec ? trace_missed : NULL;
	opts.missed_arg = rec;
	r = audit_reconcile(tl->pipeline->sockets, snap, &opts, trace_gone, tl);
	if (r == 0 && rec)
		recorder_looked(rec);
	return r;
}

/* What changed while the snapshot was taken equals the ledger of before it or that of after it. 0 or -errno. */
static int trace_compare(struct trace_ledger *tl, const struct snapshot *snap, const struct audit_options *opts,
			 struct audit *ret)
{
	struct audit after;
	int r = audit_compare(tl->pipeline->sockets, snap, opts, ret);

	if (r == 0) /* before events of later than the snapshot are read */
		r = trace_reconcile(tl, snap, opts);
	if (r < 0 || audit_differences(ret) + ret->faults[AUDIT_LOST] == 0)
		return r;
	capture_read(tl->capture);
	r = audit_compare(tl->pipeline->sockets, snap, opts, &after);
	if (r == 0)
		audit_intersect(&after, ret);
	audit_free(ret);
	*ret = after;
	return r;
}

/* Differences of one look may be under way: they count if a second look, after the ring was read, has them too. */
static void trace_audit(struct trace_ledger *tl, const struct snapshot *snap, const struct audit_options *how)
{
	struct audit_options opts = *how;
	_free_ uint64_t *cgroups = NULL;
	struct audit now;

	tl->error = tl->cgroup ? cgroup_tree_ids(tl->cgroup, &cgroups, &opts.cgroup_count) : 0;
	opts.cgroups = cgroups;
	if (!tl->error)
		tl->error = trace_compare(tl, snap, &opts, &now);
	if (tl->error)
		return;
	if (audit_differences(&now) + now.faults[AUDIT_LOST] && !tl->second) {
		audit_free(&tl->first);
		tl->first = now;
		tl->second = true;
		return;
	}
	if (tl->second)
		audit_intersect(&now, &tl->first);
	trace_print_round(tl, &now);
	audit_free(&now);
	tl->second = false;
}

/* An entry is forgotten when two looks have found it in doubt; a torn list puts none in doubt. */
static bool trace_has_lost(struct trace_ledger *tl, const struct snapshot *snap)
{
	struct attach_loss loss;
	uint64_t lost;

	if (attach_read_loss(tl->attach, &loss) == 0) {
		lost = attach_lost(&loss);
		if (lost > tl->lost)
			tl->doubts = 2;
		tl->lost = lost;
	}
	if (!tl->doubts)
		return false;
	tl->doubts -= !snap->torn;
	return true;
}

void trace_ledger_look(struct trace_ledger *tl, uint64_t now_ns)
{
	struct snapshot_options opts = { .only_cookies = !tl->audit_every_ns };
	uint64_t every_ns = trace_ledger_every_ns(tl), took_ns;
	struct snapshot snap;

	tl->error = snapshot_take(&opts, &snap);
	if (!tl->error) {
		struct audit_options how = { .now_ns = clock_now_ns(CLOCK_REALTIME),
					     .by_cookie = tl->by_cookie,
					     .lists_bound = tl->lists_bound,
					     .lossy = trace_has_lost(tl, &snap) };

		if (tl->audit_every_ns)
			trace_audit(tl, &snap, &how);
		else
			tl->error = trace_reconcile(tl, &snap, &how);
		snapshot_free(&snap);
	}
	took_ns = clock_now_ns(CLOCK_MONOTONIC) - now_ns;
	if (!tl->audit_every_ns && every_ns < took_ns * TRACE_LOOK_SHARE)
		every_ns = took_ns * TRACE_LOOK_SHARE;
	tl->next_ns = now_ns + (tl->second ? TRACE_SECOND_LOOK_NS : every_ns);
}

void trace_ledger_close(struct trace_ledger *tl)
{
	audit_free(&tl->first);
}
