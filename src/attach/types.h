/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the running kernel's type information (BTF) says about some functions and structs. libbpf looks through all of
 * its types, a hundred thousand, for each name; here it is done once for all names.
 */
#ifndef PORTTRACE_ATTACH_TYPES_H
#define PORTTRACE_ATTACH_TYPES_H

#include <stdbool.h>
#include <stdint.h>

struct btf;
struct types;

/* 0; -EOPNOTSUPP if the kernel has no BTF, -ENOMEM. The caller ends it with types_close. */
int types_open(struct types **ret);
void types_close(struct types *types); /* NULL is allowed */

/* Names to be found by types_look; NULL is left out. They must outlive `types`. */
void types_want_function(struct types *types, const char *name);
void types_want_struct(struct types *types, const char *name);
void types_want_typedef(struct types *types, const char *name); /* not NULL */
void types_look(struct types *types);

/* All of them, as libbpf has them; owned by `types`. */
const struct btf *types_btf(const struct types *types);

/* Of names that were wanted: everything else counts as not there. */
bool types_has_function(const struct types *types, const char *name);
/* Their numbers there, 0 if it is not there. */
uint32_t types_function_id(const struct types *types, const char *name);
uint32_t types_struct_id(const struct types *types, const char *name);
uint32_t types_typedef_id(const struct types *types, const char *name);
/* Number of arguments, 0 if the function is not there. */
int types_nargs(const struct types *types, const char *name);
/* Offset in bytes of a struct's field, 0 if there is none. */
unsigned int types_offset(const struct types *types, const char *name, const char *field);

#endif
