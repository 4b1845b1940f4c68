/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Metrics over HTTP: GET /metrics, on threads of its own. It serves a text that is ready made, so that whoever makes
 * it never waits for a reader. A request that finds the text old asks for a new one and waits for it, a few seconds.
 */
#ifndef PORTTRACE_METRICS_LISTEN_H
#define PORTTRACE_METRICS_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "event.h"
#include "metrics.h"

#define METRICS_LISTEN_ERR_SIZE 256

struct metrics_listen;

extern const bool metrics_listen_is_built; /* libmicrohttpd was there */
/* 0, or -errno with what is wrong in `err`, and what helps. The caller ends *ret with metrics_listen_close. */
int metrics_listen_open(const struct endpoint *address, struct metrics_listen **ret, char *err);
/* Does a request wait for a text? */
bool metrics_listen_is_wanted(struct metrics_listen *listener);
/* Hands over texts, one for each dialect, and gets the ones before instead, to be written again. */
void metrics_listen_publish(struct metrics_listen *listener, struct buf texts[METRICS_DIALECT_COUNT]);
/* Ends requests that are under way; accepts NULL. */
void metrics_listen_close(struct metrics_listen *listener);

#endif
