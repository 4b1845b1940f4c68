/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A record as a datagram of the journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL). The name of a field is
 * the path of the same thing in the JSON, in capitals: source.port is SOURCE_PORT, porttrace.socket.netns is
 * PORTTRACE_SOCKET_NETNS. Values are the bytes as they are; only MESSAGE has been made visible.
 */
#ifndef PORTTRACE_FEED_JOURNAL_FIELDS_H
#define PORTTRACE_FEED_JOURNAL_FIELDS_H

#include "../feed.h"

extern const struct feed_format journal_fields;

/* MESSAGE_ID of each kind of event, and, at [EVENT_KIND_COUNT], of what the run tells of itself: never changed. */
extern const char *const journal_fields_ids[EVENT_KIND_COUNT + 1];

#endif
