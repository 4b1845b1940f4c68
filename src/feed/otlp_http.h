/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * HTTP POST for the otlp sink: one request at a time, over a connection that is kept, never waiting longer than
 * asked.
 */
#ifndef PORTTRACE_OTLP_HTTP_H
#define PORTTRACE_OTLP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OTLP_HTTP_BODY_SIZE 4096
#define OTLP_HTTP_ERR_SIZE 160

struct otlp_http;

struct otlp_http_options {
	const char *url; /* http:// or https:// */
	const char *header_file; /* further headers, "Name: value" a line; NULL = none */
	const char *ca_file; /* certificates to trust instead of the system's; NULL = the system's */
	uint64_t timeout_ns; /* of a request, from the connection to the end of the answer */
};

struct otlp_http_answer {
	int status; /* 200; 0 = none came, and `error` says why */
	uint64_t retry_after_s; /* 0 = not said */
	char body[OTLP_HTTP_BODY_SIZE]; /* its beginning, NUL terminated */
	char error[OTLP_HTTP_ERR_SIZE];
};

/* 0, or -errno with a sentence in `err` (FEED_ERR_SIZE bytes). Nothing is sent yet. */
int otlp_http_new(const struct otlp_http_options *opts, struct otlp_http **ret, char *err);
/* Gives up the request. Accepts NULL. */
void otlp_http_free(struct otlp_http *h);

/* Begins a request with a gzipped JSON body, which stays the caller's and must stay there until the answer. */
void otlp_http_post(struct otlp_http *h, const void *body, size_t size);
/*
 * Goes on with it, and waits at most `ms` milliseconds for the other end. True: it is over, and `ret`, which is
 * valid until the next request, says how.
 */
bool otlp_http_wait(struct otlp_http *h, int ms, const struct otlp_http_answer **ret);

#endif
