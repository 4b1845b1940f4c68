/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses, durations and sizes as people read them. */
#ifndef PORTTRACE_HUMAN_H
#define PORTTRACE_HUMAN_H

#include "buf.h"
#include "event.h"

/* "10.0.0.5", "[::1]" */
void human_ip(struct buf *b, const struct endpoint *ep);
/* "10.0.0.5:443", "[::1]:40871 e" (inside the ephemeral range), "10.0.0.5:-" (no port yet), "-" (nothing known). */
void human_endpoint(struct buf *b, const struct endpoint *ep, const struct port_facts *facts);
/* The same of one with address and port, at `to`; returns what is behind it. There has to be room for as many bytes, as
 * the place behind may be written too. */
#define HUMAN_ENDPOINT_MAX 96
char *human_put_endpoint(char *to, const struct endpoint *ep, const struct port_facts *facts);
/* "envoy[77]", "envoy[77] (exited)"; `name` of up to `size` bytes may hold anything: control characters are escaped. */
void human_process(struct buf *b, const char *name, size_t size, uint32_t pid, bool exited);
/* "850ns", "81us", "1.2ms", "10.0s", "2m10s", "3h05m", "12d04h"; cut off, not rounded up. */
void human_duration(struct buf *b, uint64_t ns);
/* "12", "3.4k", "1.0M": bytes, cut off. */
void human_bytes(struct buf *b, uint64_t bytes);

#endif
