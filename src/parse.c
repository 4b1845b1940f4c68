// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "parse.h"

#include <errno.h>
#include <string.h>

static int parse_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : -1;
}

/* Digits from *cursor on; at least one. */
static int parse_digits(const char **cursor, uint64_t *ret)
{
	const char *s = *cursor;
	uint64_t v = 0;

	if (parse_digit(*s) < 0)
		return -EINVAL;
	for (; parse_digit(*s) >= 0; s++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)parse_digit(*s), &v))
			return -ERANGE;
	*cursor = s;
	*ret = v;
	return 0;
}

int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t v;
	int err = parse_digits(&text, &v);

	/* "99999999999999999999x" is no number at all, whatever its digits overflow. */
	if (err == -ERANGE && text[strspn(text, "0123456789")])
		return -EINVAL;
	if (err)
		return err;
	if (*text)
		return -EINVAL;
	if (v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int parse_u32(const char *text, uint32_t min, uint32_t max, uint32_t *ret)
{
	uint64_t v;
	int err = parse_u64(text, min, max, &v);

	if (!err)
		*ret = (uint32_t)v;
	return err;
}

struct parse_unit {
	const char *name;
	uint64_t scale;
};

static int parse_unit(const struct parse_unit *units, const char *name, uint64_t *ret_scale)
{
	for (; units->name; units++) {
		if (!strcmp(units->name, name)) {
			*ret_scale = units->scale;
			return 0;
		}
	}
	return -EINVAL;
}

/* ".25" of `scale`, exactly; more digits than the scale has are dropped. */
static int parse_fraction(const char **cursor, const char **ret_digits, size_t *ret_count)
{
	size_t n;

	*ret_count = 0;
	if (**cursor != '.')
		return 0;
	n = strspn(*cursor + 1, "0123456789");
	if (!n)
		return -EINVAL;
	*ret_digits = *cursor + 1;
	*ret_count = n;
	*cursor += 1 + n;
	return 0;
}

int parse_duration(const char *text, uint64_t *ret_ns)
{
	static const struct parse_unit units[] = {
		{ "", 1000000000 },	{ "s", 1000000000 },	 { "ns", 1 },
		{ "us", 1000 },		{ "ms", 1000000 },	 { "m", 60000000000 },
		{ "h", 3600000000000 }, { "d", 86400000000000 }, { NULL, 0 },
	};
	const char *digits = NULL;
	size_t count = 0;
	uint64_t whole, scale, ns;
	int err = parse_digits(&text, &whole);

	if (!err)
		err = parse_fraction(&text, &digits, &count);
	if (!err)
		err = parse_unit(units, text, &scale);
	if (err)
		return err;
	if (__builtin_mul_overflow(whole, scale, &ns))
		return -ERANGE;
	for (size_t i = 0; i < count && scale; i++) {
		uint64_t part = (uint64_t)parse_digit(digits[i]) * scale / 10;

		if (__builtin_add_overflow(ns, part, &ns))
			return -ERANGE;
		scale /= 10;
	}
	if (!ns)
		return -ERANGE;
	*ret_ns = ns;
	return 0;
}

int parse_size(const char *text, uint64_t *ret_bytes)
{
	static const struct parse_unit units[] = {
		{ "", 1 },	    { "K", 1 << 10 },	{ "k", 1 << 10 }, { "M", 1 << 20 },
		{ "m", 1 << 20 },   { "G", 1 << 30 },	{ "g", 1 << 30 }, { "KiB", 1 << 10 },
		{ "MiB", 1 << 20 }, { "GiB", 1 << 30 }, { NULL, 0 },
	};
	uint64_t v, scale;
	int err = parse_digits(&text, &v);

	if (!err)
		err = parse_unit(units, text, &scale);
	if (err)
		return err;
	if (__builtin_mul_overflow(v, scale, &v))
		return -ERANGE;
	*ret_bytes = v;
	return 0;
}

int parse_list_next(const char **cursor, char *item, size_t item_size)
{
	const char *s = *cursor;
	size_t n;

	if (!s)
		return 0;
	n = strcspn(s, ",");
	if (!n)
		return -EINVAL;
	if (n >= item_size)
		return -E2BIG;
	memcpy(item, s, n);
	item[n] = '\0';
	/* NULL, not the final NUL, is the end: so "a," has an empty second item. */
	*cursor = s[n] ? s + n + 1 : NULL;
	return 1;
}

int parse_word(const char *const *words, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(words[i], text))
			return (int)i;
	return -EINVAL;
}
