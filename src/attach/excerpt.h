/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The part of the kernel's type information (BTF) that our programs read by, as a file. libbpf fits programs to the
 * kernel by the types they name (CO-RE), and for each of them looks through all that the kernel has; in the excerpt it
 * is quick.
 */
#ifndef PORTTRACE_ATTACH_EXCERPT_H
#define PORTTRACE_ATTACH_EXCERPT_H

struct btf;

/*
 * Writes to `fd`, an empty file: the kernel's structs and unions that have a name which the programs' types have, as
 * large as they are, with the fields whose names occur there. What a pointer points to is left out. 0 or -errno.
 */
int excerpt_write(const struct btf *kernel, const struct btf *programs, int fd);

#endif
