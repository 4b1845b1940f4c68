/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The programs of an object, loaded one by one in an order of our own. libbpf loads all of them, in the order of the
 * file, before any can be attached; most of that time is the verifier's. Here it fits them to the kernel and loads a
 * stand-in for each, which costs nothing; the program itself takes the stand-in's place when its turn comes.
 */
#ifndef PORTTRACE_ATTACH_PROGRAMS_H
#define PORTTRACE_ATTACH_PROGRAMS_H

#include <stdio.h>

struct bpf_program;
struct programs;
struct types;

/*
 * Up to programs_free, what libbpf opens and loads with sections fentry, fexit, tp_btf, kprobe, kretprobe and tp is
 * held back. `types` has looked for the functions and tracepoints; it and `log` (NULL = none) stay the caller's, and
 * have to stay as long. 0 or -ENOMEM.
 */
int programs_new(const struct types *types, FILE *log, struct programs **ret);
/* Loads a program of an object that has been loaded; bpf_program__fd() and bpf_program__attach() are for it then.
 * 0 or -errno, of which the log tells. */
int programs_load(struct programs *p, struct bpf_program *prog);
void programs_free(struct programs *p); /* NULL is allowed */

#endif
