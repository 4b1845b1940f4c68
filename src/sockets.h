/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What earlier events told of a socket that a later one needs: which side opened the connection, and since when it
 * lives. The seed of the ledger. Pure: no I/O, no clock of its own.
 */
#ifndef PORTTRACE_SOCKETS_H
#define PORTTRACE_SOCKETS_H

#include <stddef.h>

#include "event.h"

struct sockets;

/* Remembers at most `limit` sockets; one more and all are forgotten (their closes have no duration then): closes that
 * never came have filled it. */
int sockets_new(size_t limit, struct sockets **ret);
void sockets_free(struct sockets *s); /* accepts NULL */
/* Remembers what `ev` tells of its socket, or fills in what was remembered (role and duration of a close). */
void sockets_track(struct sockets *s, struct event *ev);
size_t sockets_count(const struct sockets *s);

#endif
