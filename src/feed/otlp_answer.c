// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "otlp_answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OTLP_ANSWER_SPACES " \t\r\n"

/* Behind the string that begins at `s`, a quote; at the end of the text if it has none. */
static const char *otlp_answer_skip(const char *s)
{
	for (s++; *s && *s != '"'; s++)
		if (*s == '\\' && s[1])
			s++;
	return *s ? s + 1 : s;
}

/*
 * The value of the first member of that name, wherever it stands; NULL if there is none. What is inside strings
 * is none.
 */
static const char *otlp_answer_member(const char *body, const char *name)
{
	size_t n = strlen(name);

	for (const char *s = body; *s; s++) {
		const char *end, *value;

		if (*s != '"')
			continue;
		end = otlp_answer_skip(s);
		value = end + strspn(end, OTLP_ANSWER_SPACES);
		if (*value == ':' && (size_t)(end - s) == n + 2 && !strncmp(s + 1, name, n))
			return value + 1 + strspn(value + 1, OTLP_ANSWER_SPACES);
		s = end - 1;
	}
	return NULL;
}

/* An int64 is a string in proto3's JSON; a number is to be read too. */
uint64_t otlp_answer_rejected(const char *body)
{
	const char *value = otlp_answer_member(body, "rejectedLogRecords");

	if (!value)
		value = otlp_answer_member(body, "rejected_log_records");
	if (value && *value == '"')
		value++;
	return value && *value >= '0' && *value <= '9' ? strtoull(value, NULL, 10) : 0;
}

void otlp_answer_trouble(int status, const char *body, char ret[FEED_TROUBLE_SIZE])
{
	const char *value = otlp_answer_member(body, "message");
	const char *text = value && *value == '"' ? value + 1 : body;
	const char *end = text == body ? body + strlen(body) : otlp_answer_skip(value);
	size_t n = (size_t)snprintf(ret, FEED_TROUBLE_SIZE, "answered HTTP %d", status), begin = n;

	if (text != body && end[-1] == '"')
		end--;
	for (; text < end && n < FEED_TROUBLE_SIZE - 4; text++) {
		if (n == begin)
			n += (size_t)sprintf(ret + n, ": ");
		ret[n++] = *text >= ' ' && *text < 127 ? *text : ' ';
	}
	ret[n] = '\0';
}
