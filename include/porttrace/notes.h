/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How many entries the tracing backend's tables have about sockets whose addresses fall on one place
 * (bpf/notes.bpf.h). Shared with src/attach/tracing.c, which looks at the sums.
 */
#ifndef PORTTRACE_PORTTRACE_NOTES_H
#define PORTTRACE_PORTTRACE_NOTES_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define NOTES_BITS 11
#define NOTES_PLACES (1 << NOTES_BITS)

enum note { NOTE_ATTEMPT, NOTE_CLOSE, NOTE_END, NOTE_SEARCH, NOTE_CALL, NOTE_KINDS };

struct notes {
	__u32 count[NOTE_KINDS];
};

#endif
