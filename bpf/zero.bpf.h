/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A 0 that the verifier does not know. Where it knows one on the stack it remembers each byte that is 0, and follows
 * two ways to the end if one writes a byte that the other leaves 0.
 */
#ifndef ZERO_BPF_H
#define ZERO_BPF_H

/* Never written. */
static volatile __u64 unknown_zero = 0;

/* The same number, which the verifier does not know any more: where several ways meet that know different ones, it then
 * goes on by one of them. `zero`: unknown_zero. */
static __always_inline __u64 unknown(__u64 number, __u64 zero)
{
	asm volatile("%0 |= %1" : "+r"(number) : "r"(zero));
	return number;
}

#endif
