// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "otlp_http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cleanup.h"
#include "../feed.h"
#include "../version.h"
#include "library.h"

#ifdef HAVE_LIBCURL

#include <curl/curl.h>

#define OTLP_HTTP_LINE_MAX 8192
/* libcurl brings GnuTLS for protocols that are not used here, and that sets itself up as it is loaded: 0.8 MB. */
#define OTLP_HTTP_NO_GNUTLS "GNUTLS_NO_IMPLICIT_INIT"

#define OTLP_HTTP_FUNCTIONS(X)                                                                   \
	X(global_init) X(easy_init) X(easy_cleanup) X(easy_setopt) X(easy_getinfo)               \
	X(easy_strerror) X(multi_init) X(multi_cleanup) X(multi_add_handle)                      \
	X(multi_remove_handle) X(multi_perform) X(multi_poll) X(multi_info_read)                 \
	X(slist_append) X(slist_free_all)

/* libcurl's functions; the same for all feeds, filled in by the first that opens. */
static struct {
#define OTLP_HTTP_POINTER(name) __typeof__(curl_##name) *name;
	OTLP_HTTP_FUNCTIONS(OTLP_HTTP_POINTER)
} curl;

struct otlp_http {
	CURL *easy;
	CURLM *multi;
	struct curl_slist *headers;
	bool busy; /* the easy handle is in the multi handle */
	char why[CURL_ERROR_SIZE];
	size_t body_len;
	struct otlp_http_answer answer;
};

static int otlp_http_load(char *err)
{
#define OTLP_HTTP_FUNCTION(name) { "curl_" #name, &curl.name },
	const struct library_function functions[] = { OTLP_HTTP_FUNCTIONS(OTLP_HTTP_FUNCTION) };
	bool unasked = !getenv(OTLP_HTTP_NO_GNUTLS) && !setenv(OTLP_HTTP_NO_GNUTLS, "1", 0);
	int r = library_load("libcurl.so.4", "libcurl4", functions, sizeof(functions) / sizeof(functions[0]), err);

	if (unasked)
		unsetenv(OTLP_HTTP_NO_GNUTLS);
	if (r == 0 && curl.global_init(CURL_GLOBAL_DEFAULT)) {
		snprintf(err, FEED_ERR_SIZE, "libcurl cannot be initialised");
		r = -EIO;
	}
	return r;
}

static size_t otlp_http_receive(char *data, size_t size, size_t count, void *arg)
{
	struct otlp_http *h = arg;
	size_t room = sizeof(h->answer.body) - 1 - h->body_len, n = size * count < room ? size * count : room;

	memcpy(h->answer.body + h->body_len, data, n);
	h->body_len += n;
	return size * count;
}

/* ---- headers ---- */

static int otlp_http_header(struct otlp_http *h, const char *line)
{
	struct curl_slist *longer = curl.slist_append(h->headers, line);

	if (!longer)
		return -ENOMEM;
	h->headers = longer;
	return 0;
}

static int otlp_http_header_line(struct otlp_http *h, char *line, char *err)
{
	line[strcspn(line, "\r\n")] = '\0';
	if (!*line || *line == '#')
		return 0;
	if (*line != ':' && strchr(line, ':'))
		return otlp_http_header(h, line);
	snprintf(err, FEED_ERR_SIZE, "?headers= has a line that is not 'Name: value'");
	return -EINVAL;
}

static int otlp_http_header_file(struct otlp_http *h, const char *path, char *err)
{
	_fclose_ FILE *file = fopen(path, "re");
	char line[OTLP_HTTP_LINE_MAX];
	int r = 0;

	if (!file) {
		r = -errno;
		snprintf(err, FEED_ERR_SIZE, "cannot read %.128s: %s", path, strerrordesc_np(-r));
	}
	while (r == 0 && fgets(line, sizeof(line), file))
		r = otlp_http_header_line(h, line, err);
	return r;
}

/* No "Expect: 100-continue", which costs a round trip. */
static int otlp_http_headers(struct otlp_http *h, const char *file, char *err)
{
	static const char *const own[] = { "Content-Type: application/json", "Content-Encoding: gzip", "Expect:" };
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(own) / sizeof(own[0]); i++)
		r = otlp_http_header(h, own[i]);
	return r == 0 && file ? otlp_http_header_file(h, file, err) : r;
}

/* ---- opening ---- */

static int otlp_http_setup(struct otlp_http *h, const struct otlp_http_options *opts, char *err)
{
	long ms = (long)(opts->timeout_ns / 1000000);

	curl.easy_setopt(h->easy, CURLOPT_URL, opts->url);
	curl.easy_setopt(h->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl.easy_setopt(h->easy, CURLOPT_POST, 1L);
	curl.easy_setopt(h->easy, CURLOPT_HTTPHEADER, h->headers);
	curl.easy_setopt(h->easy, CURLOPT_USERAGENT, "porttrace/" PORTTRACE_VERSION);
	curl.easy_setopt(h->easy, CURLOPT_NOSIGNAL, 1L);
	curl.easy_setopt(h->easy, CURLOPT_QUICK_EXIT, 1L); /* a name server that hangs holds up nobody at the end */
	curl.easy_setopt(h->easy, CURLOPT_TIMEOUT_MS, ms ? ms : 1L);
	curl.easy_setopt(h->easy, CURLOPT_WRITEFUNCTION, otlp_http_receive);
	curl.easy_setopt(h->easy, CURLOPT_WRITEDATA, h);
	curl.easy_setopt(h->easy, CURLOPT_ERRORBUFFER, h->why);
	if (opts->ca_file && curl.easy_setopt(h->easy, CURLOPT_CAINFO, opts->ca_file)) {
		snprintf(err, FEED_ERR_SIZE, "this libcurl cannot read certificates from a file");
		return -ENOSYS;
	}
	return 0;
}

int otlp_http_new(const struct otlp_http_options *opts, struct otlp_http **ret, char *err)
{
	struct otlp_http *h;
	int r = otlp_http_load(err);

	if (r < 0)
		return r;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->easy = curl.easy_init();
	h->multi = curl.multi_init();
	r = h->easy && h->multi ? otlp_http_headers(h, opts->header_file, err) : -ENOMEM;
	if (r == 0)
		r = otlp_http_setup(h, opts, err);
	if (r < 0)
		otlp_http_free(h);
	else
		*ret = h;
	return r;
}

void otlp_http_free(struct otlp_http *h)
{
	if (!h)
		return;
	if (h->busy)
		curl.multi_remove_handle(h->multi, h->easy);
	if (h->easy)
		curl.easy_cleanup(h->easy);
	if (h->multi)
		curl.multi_cleanup(h->multi);
	curl.slist_free_all(h->headers);
	free(h);
}

/* ---- a request ---- */

void otlp_http_post(struct otlp_http *h, const void *body, size_t size)
{
	memset(&h->answer, 0, sizeof(h->answer));
	h->body_len = 0;
	h->why[0] = '\0';
	curl.easy_setopt(h->easy, CURLOPT_POSTFIELDS, body);
	curl.easy_setopt(h->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
	h->busy = curl.multi_add_handle(h->multi, h->easy) == CURLM_OK;
}

static void otlp_http_done(struct otlp_http *h, CURLcode result)
{
	struct otlp_http_answer *a = &h->answer;
	curl_off_t retry_after = 0;
	long status = 0;

	if (result == CURLE_OK) {
		curl.easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
		curl.easy_getinfo(h->easy, CURLINFO_RETRY_AFTER, &retry_after);
	}
	a->status = (int)status;
	a->retry_after_s = retry_after > 0 ? (uint64_t)retry_after : 0;
	snprintf(a->error, sizeof(a->error), "%.159s", h->why[0] ? h->why : curl.easy_strerror(result));
	curl.multi_remove_handle(h->multi, h->easy);
	h->busy = false;
}

static bool otlp_http_look(struct otlp_http *h)
{
	CURLMsg *message;
	int running, waiting;

	curl.multi_perform(h->multi, &running);
	while ((message = curl.multi_info_read(h->multi, &waiting)))
		if (message->msg == CURLMSG_DONE)
			otlp_http_done(h, message->data.result);
	return !h->busy;
}

bool otlp_http_wait(struct otlp_http *h, int ms, const struct otlp_http_answer **ret)
{
	bool over = otlp_http_look(h);

	if (!over && ms > 0) {
		curl.multi_poll(h->multi, NULL, 0, ms, NULL);
		over = otlp_http_look(h);
	}
	*ret = &h->answer;
	return over;
}

#else

int otlp_http_new(const struct otlp_http_options *opts, struct otlp_http **ret, char *err)
{
	(void)opts;
	(void)ret;
	return library_missing("libcurl", "libcurl4-openssl-dev", err);
}

void otlp_http_free(struct otlp_http *h)
{
	(void)h;
}

void otlp_http_post(struct otlp_http *h, const void *body, size_t size)
{
	(void)h;
	(void)body;
	(void)size;
}

bool otlp_http_wait(struct otlp_http *h, int ms, const struct otlp_http_answer **ret)
{
	(void)h;
	(void)ms;
	(void)ret;
	return false;
}

#endif
