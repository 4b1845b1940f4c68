/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whether a table may have an entry about a socket. About most sockets none has one, and a lookup in a hash map that
 * says so costs 140 instructions, a look here ten.
 */
#ifndef NOTES_BPF_H
#define NOTES_BPF_H

#include "porttrace/notes.h"

/* By note_place() of the socket's address. Counted up before an entry is made and down after it is gone: never less
 * than there are. */
struct notes notes[NOTES_PLACES] = {};

/* Fibonacci hashing: each bit of the number moves the highest ones of the product. */
static __always_inline __u64 note_hash(__u64 number)
{
	return number * 0x9e3779b97f4a7c15ULL >> (64 - NOTES_BITS);
}

/* The verifiers let no program multiply a pointer, which the address may be to them: they call the lower half of one a
 * number, if it is moved as such. The same asm() twice is done once. */
static __always_inline __u64 note_place(__u64 key)
{
	register __u64 half asm("r0") = key;

	asm("w0 = w0" : "+r"(half));
	return note_hash(half);
}

static __always_inline __u32 note_count(__u64 place, enum note note)
{
	return *(volatile __u32 *)&notes[place].count[note];
}

static __always_inline void note_add(__u64 place, enum note note)
{
	__sync_fetch_and_add(&notes[place].count[note], 1);
}

static __always_inline void note_drop(__u64 place, enum note note)
{
	__sync_fetch_and_add(&notes[place].count[note], -1);
}

/*
 * Counts an entry that is about to be made; true if it is the only one at its place: then it may stand in an array at
 * that place, which costs a tenth of a hash map. Of two at the same time each sees the other, or one of them does.
 */
static __always_inline bool note_claim(__u64 place, enum note note)
{
	note_add(place, note);
	return note_count(place, note) == 1;
}

#endif
