// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "result.h"

#include <string.h>

#include "human.h"
#include "visible.h"

/* In a pool with room a search takes some microseconds. */
#define RESULT_SLOW_SEARCH_NS 100000

static void result_words(struct buf *b, const char *text, size_t max)
{
	if (!strnlen(text, max))
		buf_char(b, '-');
	visible_text(b, text, max);
}

static void result_errno(struct buf *b, int error)
{
	const char *name = strerrorname_np(error);

	if (name) {
		buf_str(b, name);
	} else {
		buf_lit(b, "errno ");
		buf_u64(b, (uint64_t)error);
	}
}

/* "after 1.2s, sent 12, got 3.4k, closed by remote, time-wait, SIGKILL" */
static void result_end(struct buf *b, const struct event *ev)
{
	const char *exit_name = ev->exit_signal ? sigabbrev_np(ev->exit_signal) : NULL;

	if (ev->duration_ns) {
		buf_lit(b, " after ");
		human_duration(b, ev->duration_ns);
	}
	if (ev->has_bytes) {
		buf_lit(b, ", sent ");
		human_bytes(b, ev->bytes_sent);
		buf_lit(b, " got ");
		human_bytes(b, ev->bytes_received);
	}
	if (ev->closer == CLOSER_REMOTE)
		buf_lit(b, ", by peer");
	if (ev->close_state > CLOSE_STATE_CLOSED) {
		buf_lit(b, ", ");
		buf_str(b, close_state_names[ev->close_state]);
	}
	if (ev->exiting) {
		buf_str(b, exit_name ? ", SIG" : ", ");
		buf_str(b, exit_name ? exit_name : "exit");
	}
}

/* "nginx (pid 977)", "curl (pid 8, exited)", "user alice", "an unknown process" */
static void result_holder_process(struct buf *b, const struct holder *holder)
{
	if (!holder->pid && holder->has_uid) {
		buf_lit(b, "user ");
		if (holder->user[0])
			result_words(b, holder->user, sizeof(holder->user));
		else
			buf_u64(b, holder->uid);
		return;
	}
	if (!holder->pid) {
		buf_lit(b, "an unknown process");
		return;
	}
	result_words(b, holder->name, sizeof(holder->name));
	buf_lit(b, " (pid ");
	buf_u64(b, holder->pid);
	buf_str(b, holder->exited ? ", exited)" : ")");
}

/* "in use by nginx (pid 977), listener", "TIME_WAIT of curl (pid 8, exited), free in 42 s" */
static void result_holder(struct buf *b, const struct event *ev)
{
	const struct holder *holder = &ev->holder;
	bool waits = holder->kind == HOLDER_TIME_WAIT;

	buf_str(b, waits ? " TIME_WAIT of " : ev->error ? " in use by " : " port of ");
	result_holder_process(b, holder);
	if (!waits) {
		buf_lit(b, ", ");
		buf_str(b, holder_kind_names[holder->kind]);
	} else if (holder->has_expires) {
		buf_lit(b, ", free in ");
		buf_u64(b, holder->expires_s);
		buf_lit(b, " s");
	}
}

static void result_failure(struct buf *b, const struct event *ev)
{
	const char *words = ev->error > 0 ? strerrordesc_np(ev->error) : NULL;

	if (ev->aborted)
		buf_lit(b, "aborted");
	else if (ev->error > 0)
		result_errno(b, ev->error);
	else
		buf_lit(b, "failed");
	if (ev->has_holder) {
		result_holder(b, ev);
	} else if (ev->reason[0] && (!ev->aborted || ev->wall)) {
		buf_char(b, ' ');
		result_words(b, ev->reason, sizeof(ev->reason));
	} else if (words && !ev->aborted) {
		buf_char(b, ' ');
		buf_str(b, words);
	}
	if (ev->kind == EVENT_CLOSE) {
		result_end(b, ev);
	} else if (ev->duration_ns) {
		buf_lit(b, " after ");
		human_duration(b, ev->duration_ns);
	}
}

static void result_success(struct buf *b, const struct event *ev)
{
	buf_lit(b, "ok");
	if (ev->kind == EVENT_LISTEN && ev->has_backlog) {
		buf_lit(b, " backlog ");
		buf_u64(b, ev->backlog);
	} else if (ev->kind != EVENT_CLOSE && ev->duration_ns) {
		buf_char(b, ' ');
		human_duration(b, ev->duration_ns);
	}
	if (ev->reason[0]) {
		buf_char(b, ' ');
		result_words(b, ev->reason, sizeof(ev->reason));
	}
	if (ev->kind == EVENT_CLOSE)
		result_end(b, ev);
	if (ev->has_port_free)
		buf_str(b, ev->port_free ? ", port free" : ", port still held by others");
}

/* ", connect pool, 2nd half, search 912us": only where the search was not as short as it can be. */
static void result_pool(struct buf *b, const struct event *ev)
{
	bool second = ev->half == EVENT_HALF_SECOND, slow = ev->has_search && ev->search_ns >= RESULT_SLOW_SEARCH_NS;

	if (!ev->pool || (!second && !slow && !ev->pool_capacity))
		return;
	buf_lit(b, ", ");
	buf_str(b, event_pool_names[ev->pool]);
	buf_str(b, second ? " pool, 2nd half" : " pool");
	if (ev->pool_capacity) {
		buf_lit(b, ", ");
		buf_u64(b, ev->pool_used);
		buf_lit(b, " of ");
		buf_u64(b, ev->pool_capacity);
	}
	if (ev->has_search) {
		buf_lit(b, ", search ");
		human_duration(b, ev->search_ns);
	}
}

void result_text(struct buf *b, const struct event *ev, bool wide)
{
	if (ev->outcome == OUTCOME_SUCCESS) {
		result_success(b, ev);
	} else if (ev->outcome == OUTCOME_FAILURE) {
		result_failure(b, ev);
	} else {
		buf_lit(b, "unknown");
		if (ev->reason[0]) {
			buf_char(b, ' ');
			result_words(b, ev->reason, sizeof(ev->reason));
		}
	}
	if (ev->repeats) {
		buf_lit(b, " x");
		buf_u64(b, ev->repeats);
	}
	if (wide)
		result_pool(b, ev);
}
