/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the history knows of the sockets that `porttrace list` shows: since when, how assigned, whose TIME_WAIT. */
#ifndef PORTTRACE_CMD_LIST_HISTORY_H
#define PORTTRACE_CMD_LIST_HISTORY_H

#include "../event.h"
#include "../history.h"

struct list_history;

/*
 * Reads all lives of this boot that may still have their port. 0 or -errno with a sentence in err[HISTORY_ERR_SIZE];
 * -ENOENT if there is no such file. The caller ends *ret with list_history_close, which accepts NULL.
 */
int list_history_open(const char *path, uint64_t now_ns, struct list_history **ret, char *err);
/* Fills in what is known of the event's socket, found by its cookie, and is not in the event yet. */
void list_history_fill(struct list_history *h, uint64_t now_ns, struct event *ev);
void list_history_close(struct list_history *h);

#endif
