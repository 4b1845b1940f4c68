/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Text from a command line or a file to numbers: strict, the whole text or nothing. Outputs
 * untouched on failure. */
#ifndef PORTTRACE_PARSE_H
#define PORTTRACE_PARSE_H

#include <stddef.h>
#include <stdint.h>

/* Decimal digits only: no sign, no space, no 0x. 0, -EINVAL (not a number) or -ERANGE (not in
 * min..max). */
int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret);
int parse_u32(const char *text, uint32_t min, uint32_t max, uint32_t *ret);

/* "10" (seconds), "1.5s", "500ms", "2m", "1h", "1d" to nanoseconds, more than 0. 0, -EINVAL or
 * -ERANGE. */
int parse_duration(const char *text, uint64_t *ret_ns);

/* "65536", "64K", "8M", "1G" (also KiB, MiB, GiB) to bytes. 0, -EINVAL or -ERANGE. */
int parse_size(const char *text, uint64_t *ret_bytes);

/*
 * Takes the next item off a comma list: copies it to `item` and moves *cursor behind it. 1; 0 at
 * the end; -EINVAL for an empty item ("", "a,,b", "a,"); -E2BIG if it does not fit. To begin,
 * *cursor = the list.
 */
int parse_list_next(const char **cursor, char *item, size_t item_size);

/* The index of `text` in `words`, or -EINVAL. */
int parse_word(const char *const *words, size_t count, const char *text);

#endif
