// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "when.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "parse.h"

#define WHEN_SECOND_NS UINT64_C(1000000000)
#define WHEN_DAY_S 86400
#define WHEN_TEXT_MAX 64
/* Until the year 2200: beyond it nanoseconds do not fit into 63 bits. */
#define WHEN_MAX_S UINT64_C(7258118400)

/* Exactly `count` digits. */
static bool when_digits(const char **cursor, int count, int *ret)
{
	int v = 0;

	for (int i = 0; i < count; i++) {
		char c = (*cursor)[i];

		if (c < '0' || c > '9')
			return false;
		v = 10 * v + (c - '0');
	}
	*cursor += count;
	*ret = v;
	return true;
}

static bool when_char(const char **cursor, char c)
{
	if (**cursor != c)
		return false;
	(*cursor)++;
	return true;
}

/* ".250": the nanoseconds, and what the last digit stands for. False if there are no digits, or more than nine. */
static bool when_fraction(const char **cursor, uint64_t *ret_ns, uint64_t *ret_unit_ns)
{
	uint64_t unit = WHEN_SECOND_NS, ns = 0;
	int digit;

	while (unit > 1 && when_digits(cursor, 1, &digit)) {
		unit /= 10;
		ns += (uint64_t)digit * unit;
	}
	*ret_ns = ns;
	*ret_unit_ns = unit;
	return unit < WHEN_SECOND_NS && !(**cursor >= '0' && **cursor <= '9');
}

/* "2026-11-25" */
static bool when_date(const char **cursor, struct tm *tm)
{
	int year, month, day;

	if (!when_digits(cursor, 4, &year) || !when_char(cursor, '-') || !when_digits(cursor, 2, &month) ||
	    !when_char(cursor, '-') || !when_digits(cursor, 2, &day) || year < 1970 || month < 1 || month > 12)
		return false;
	tm->tm_year = year - 1900;
	tm->tm_mon = month - 1;
	tm->tm_mday = day;
	return true;
}

/* "12:03:41.250" */
static bool when_clock(const char **cursor, struct tm *tm, uint64_t *ret_ns, uint64_t *ret_unit_ns)
{
	*ret_ns = 0;
	*ret_unit_ns = 60 * WHEN_SECOND_NS;
	tm->tm_sec = 0;
	if (!when_digits(cursor, 2, &tm->tm_hour) || !when_char(cursor, ':') ||
	    !when_digits(cursor, 2, &tm->tm_min) || tm->tm_hour > 23 || tm->tm_min > 59)
		return false;
	if (!when_char(cursor, ':'))
		return true;
	*ret_unit_ns = WHEN_SECOND_NS;
	if (!when_digits(cursor, 2, &tm->tm_sec) || tm->tm_sec > 59)
		return false;
	return !when_char(cursor, '.') || when_fraction(cursor, ret_ns, ret_unit_ns);
}

/* "Z", "+01:00", "-0530", or nothing; then the end. */
static bool when_zone(const char *s, bool *ret_given, int *ret_offset_s)
{
	int hours, minutes, sign = *s == '-' ? -1 : 1;

	*ret_offset_s = 0;
	*ret_given = *s != '\0';
	if (!*s || (*s == 'Z' && !s[1]))
		return true;
	if (*s != '+' && *s != '-')
		return false;
	s++;
	if (!when_digits(&s, 2, &hours) || (when_char(&s, ':'), !when_digits(&s, 2, &minutes)) || *s || hours > 14 ||
	    minutes > 59)
		return false;
	*ret_offset_s = sign * (hours * 3600 + minutes * 60);
	return true;
}

/* Seconds since the epoch, or -1: there is no such day, or it is out of range. */
static int64_t when_seconds(const struct tm *want, bool utc)
{
	struct tm tm = *want;
	int64_t s;

	tm.tm_isdst = -1;
	s = utc ? timegm(&tm) : mktime(&tm);
	return tm.tm_mday != want->tm_mday || s < 0 || (uint64_t)s > WHEN_MAX_S ? -1 : s;
}

static int when_set(struct when *ret, int64_t s, uint64_t ns, uint64_t unit_ns)
{
	if (s < 0 || (uint64_t)s > WHEN_MAX_S)
		return -EINVAL;
	ret->from_ns = (uint64_t)s * WHEN_SECOND_NS + ns;
	ret->to_ns = ret->from_ns + unit_ns - 1;
	return 0;
}

static void when_split(int64_t s, bool utc, struct tm *ret)
{
	time_t t = (time_t)s;

	memset(ret, 0, sizeof(*ret));
	if (utc)
		gmtime_r(&t, ret);
	else
		localtime_r(&t, ret);
}

static void when_set_day(struct tm *tm, int64_t s, bool utc)
{
	struct tm day;

	when_split(s, utc, &day);
	tm->tm_year = day.tm_year;
	tm->tm_mon = day.tm_mon;
	tm->tm_mday = day.tm_mday;
}

/* The last time that it was so late: today or yesterday. `now_s` as the clock of that zone shows it. */
static int64_t when_last(struct tm *tm, int64_t now_s, bool utc)
{
	struct tm noon = { .tm_hour = 12 };
	int64_t s;

	when_set_day(tm, now_s, utc);
	s = when_seconds(tm, utc);
	if (s <= now_s)
		return s;
	/* from noon to noon, as days may have 23 or 25 hours */
	when_set_day(&noon, now_s, utc);
	when_set_day(tm, when_seconds(&noon, utc) - WHEN_DAY_S, utc);
	return when_seconds(tm, utc);
}

/* A date, a time of day, or both. */
static int when_calendar(const char *text, uint64_t now_ns, bool utc, struct when *ret)
{
	int64_t s, now_s = (int64_t)(now_ns / WHEN_SECOND_NS);
	uint64_t ns = 0, unit = WHEN_DAY_S * WHEN_SECOND_NS;
	bool dated = strlen(text) > 4 && text[4] == '-', clock = !dated, zoned;
	struct tm tm = { 0 };
	int offset;

	if (dated && !when_date(&text, &tm))
		return -EINVAL;
	if (dated && *text) {
		clock = when_char(&text, ' ') || when_char(&text, 'T');
		if (!clock)
			return -EINVAL;
	}
	if ((clock && !when_clock(&text, &tm, &ns, &unit)) || !when_zone(text, &zoned, &offset))
		return -EINVAL;
	utc = utc || zoned;
	s = dated ? when_seconds(&tm, utc) : when_last(&tm, now_s + offset, utc);
	return s < 0 ? -EINVAL : when_set(ret, s - offset, ns, unit);
}

static int when_epoch(const char *text, struct when *ret)
{
	uint64_t s, ns = 0, unit = WHEN_SECOND_NS;
	char whole[16];
	size_t n = strcspn(text, ".");

	if (n >= sizeof(whole))
		return -EINVAL;
	memcpy(whole, text, n);
	whole[n] = '\0';
	if (parse_u64(whole, 0, WHEN_MAX_S, &s) < 0)
		return -EINVAL;
	text += n;
	if (when_char(&text, '.') && (!when_fraction(&text, &ns, &unit) || *text))
		return -EINVAL;
	return when_set(ret, (int64_t)s, ns, unit);
}

/* "5m ago", "-5m" */
static int when_ago(const char *text, uint64_t now_ns, struct when *ret)
{
	size_t n = strlen(text), tail = strlen(" ago");
	char duration[WHEN_TEXT_MAX];
	uint64_t ns;

	if (*text == '-')
		text++;
	else if (n > tail && !strcmp(text + n - tail, " ago"))
		n -= tail;
	else
		return -EINVAL;
	snprintf(duration, sizeof(duration), "%.*s", (int)n, text);
	if (parse_duration(duration, &ns) < 0 || ns > now_ns)
		return -EINVAL;
	ret->from_ns = ret->to_ns = now_ns - ns;
	return 0;
}

int when_parse(const char *text, uint64_t now_ns, bool utc, struct when *ret)
{
	if (strlen(text) >= WHEN_TEXT_MAX)
		return -EINVAL;
	if (!strcmp(text, "now")) {
		ret->from_ns = ret->to_ns = now_ns;
		return 0;
	}
	if (*text == '@')
		return when_epoch(text + 1, ret);
	if (!when_ago(text, now_ns, ret))
		return 0;
	return when_calendar(text, now_ns, utc, ret);
}

static void when_put_date(struct buf *b, const struct tm *tm, char between)
{
	buf_u64_padded(b, (uint64_t)(tm->tm_year + 1900), 4);
	buf_char(b, '-');
	buf_u64_padded(b, (uint64_t)(tm->tm_mon + 1), 2);
	buf_char(b, '-');
	buf_u64_padded(b, (uint64_t)tm->tm_mday, 2);
	buf_char(b, between);
}

static void when_put_clock(struct buf *b, const struct tm *tm)
{
	buf_u64_padded(b, (uint64_t)tm->tm_hour, 2);
	buf_char(b, ':');
	buf_u64_padded(b, (uint64_t)tm->tm_min, 2);
	buf_char(b, ':');
	buf_u64_padded(b, (uint64_t)tm->tm_sec, 2);
	buf_char(b, '.');
}

void when_text(struct buf *b, uint64_t ns, uint64_t day_of_ns, bool utc)
{
	struct tm tm, day;

	when_split((int64_t)(ns / WHEN_SECOND_NS), utc, &tm);
	when_split((int64_t)(day_of_ns / WHEN_SECOND_NS), utc, &day);
	if (!day_of_ns || day.tm_year != tm.tm_year || day.tm_yday != tm.tm_yday)
		when_put_date(b, &tm, ' ');
	when_put_clock(b, &tm);
	buf_u64_padded(b, ns / 1000000 % 1000, 3);
}

void when_iso(struct buf *b, uint64_t ns)
{
	struct tm tm;

	when_split((int64_t)(ns / WHEN_SECOND_NS), true, &tm);
	when_put_date(b, &tm, 'T');
	when_put_clock(b, &tm);
	buf_u64_padded(b, ns % WHEN_SECOND_NS, 9);
	buf_char(b, 'Z');
}

uint64_t when_now(void)
{
	return clock_now_ns(CLOCK_REALTIME);
}
