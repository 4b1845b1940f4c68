/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Text of others (a process name, a path) for a terminal. */
#ifndef PORTTRACE_VISIBLE_H
#define PORTTRACE_VISIBLE_H

#include "buf.h"

/*
 * Appends at most `max` bytes of `text`; what is no visible character stands as \xNN. Returns how
 * many of the bytes appended take no place on the screen.
 */
size_t visible_text(struct buf *b, const char *text, size_t max);

#endif
