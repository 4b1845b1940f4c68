// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "metrics_listen.h"

#include <errno.h>
#include <stdio.h>

#if __has_include(<microhttpd.h>) && !defined(WITHOUT_MICROHTTPD)

#include <arpa/inet.h>
#include <dlfcn.h>
#include <microhttpd.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"

#define METRICS_LISTEN_LIBRARY "libmicrohttpd.so.12"
#define METRICS_LISTEN_FRESH_NS UINT64_C(1000000000) /* so old a text is served as it is */
#define METRICS_LISTEN_PATIENCE_S 5 /* for a new one */
#define METRICS_LISTEN_CONNECTIONS 16
#define METRICS_LISTEN_IDLE_S 10

/* Loaded when it is needed: it brings a dozen libraries, which each run would pay for. */
struct metrics_listen_api {
	struct MHD_Daemon *(*start)(unsigned int flags, uint16_t port, MHD_AcceptPolicyCallback accept,
				    void *accept_arg, MHD_AccessHandlerCallback handler, void *arg, ...);
	void (*stop)(struct MHD_Daemon *daemon);
	struct MHD_Response *(*response)(size_t size, void *data, enum MHD_ResponseMemoryMode mode);
	enum MHD_Result (*header)(struct MHD_Response *response, const char *name, const char *value);
	enum MHD_Result (*queue)(struct MHD_Connection *connection, unsigned int status,
				 struct MHD_Response *response);
	void (*destroy)(struct MHD_Response *response);
	const char *(*value)(struct MHD_Connection *connection, enum MHD_ValueKind kind, const char *name);
};

struct metrics_listen {
	struct metrics_listen_api api;
	void *library;
	struct MHD_Daemon *daemon;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t fresh;
	struct buf texts[METRICS_DIALECT_COUNT];
	uint64_t made, made_ns; /* texts so far; when the last one was made, CLOCK_MONOTONIC */
	bool wanted, ending;
};

const bool metrics_listen_is_built = true;

static int metrics_listen_load(struct metrics_listen *l, char *err)
{
	const struct {
		const char *name;
		void *function;
	} wanted[] = {
		{ "MHD_start_daemon", &l->api.start },
		{ "MHD_stop_daemon", &l->api.stop },
		{ "MHD_create_response_from_buffer", &l->api.response },
		{ "MHD_add_response_header", &l->api.header },
		{ "MHD_queue_response", &l->api.queue },
		{ "MHD_destroy_response", &l->api.destroy },
		{ "MHD_lookup_connection_value", &l->api.value },
	};

	l->library = dlopen(METRICS_LISTEN_LIBRARY, RTLD_NOW | RTLD_LOCAL);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		void *symbol = l->library ? dlsym(l->library, wanted[i].name) : NULL;

		if (!symbol) {
			snprintf(err, METRICS_LISTEN_ERR_SIZE, "it takes " METRICS_LISTEN_LIBRARY ", which cannot be "
				 "loaded: sudo apt install libmicrohttpd12");
			return -ENOSYS;
		}
		memcpy(wanted[i].function, &symbol, sizeof(symbol));
	}
	return 0;
}

/* ---- requests ---- */

/* Waits, with the lock held, until there is a text that is not old, or for as long as one may wait. */
static void metrics_listen_wait(struct metrics_listen *l)
{
	uint64_t before = l->made;
	struct timespec end;

	if (l->made && clock_now_ns(CLOCK_MONOTONIC) < l->made_ns + METRICS_LISTEN_FRESH_NS)
		return;
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += METRICS_LISTEN_PATIENCE_S;
	l->wanted = true;
	while (l->made == before && !l->ending)
		if (pthread_cond_clockwait(&l->fresh, &l->lock, CLOCK_MONOTONIC, &end))
			return;
}

static enum MHD_Result metrics_listen_send(struct metrics_listen *l, struct MHD_Connection *connection,
					   unsigned int status, struct MHD_Response *response, const char *type)
{
	enum MHD_Result r = MHD_NO;

	if (!response)
		return r;
	l->api.header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	r = l->api.queue(connection, status, response);
	l->api.destroy(response);
	return r;
}

static enum MHD_Result metrics_listen_refuse(struct metrics_listen *l, struct MHD_Connection *connection)
{
	static char text[] = "porttrace: GET /metrics\n";

	return metrics_listen_send(l, connection, MHD_HTTP_NOT_FOUND,
				   l->api.response(sizeof(text) - 1, text, MHD_RESPMEM_PERSISTENT), "text/plain");
}

static enum MHD_Result metrics_listen_answer(void *arg, struct MHD_Connection *connection, const char *url,
					     const char *method, const char *version, const char *data, size_t *size,
					     void **state)
{
	static const char *const types[METRICS_DIALECT_COUNT] = {
		[METRICS_PROMETHEUS] = "text/plain; version=0.0.4; charset=utf-8",
		[METRICS_OPENMETRICS] = "application/openmetrics-text; version=1.0.0; charset=utf-8",
	};
	struct metrics_listen *l = arg;
	const char *accepts = l->api.value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
	bool open_metrics = accepts && strstr(accepts, "application/openmetrics-text");
	enum metrics_dialect dialect = open_metrics ? METRICS_OPENMETRICS : METRICS_PROMETHEUS;
	struct MHD_Response *response;

	(void)version;
	(void)data;
	(void)size;
	(void)state;
	if (strcmp(method, MHD_HTTP_METHOD_GET) || strcmp(url, "/metrics"))
		return metrics_listen_refuse(l, connection);
	pthread_mutex_lock(&l->lock);
	metrics_listen_wait(l);
	response = l->api.response(l->texts[dialect].len, l->texts[dialect].data, MHD_RESPMEM_MUST_COPY);
	pthread_mutex_unlock(&l->lock);
	return metrics_listen_send(l, connection, MHD_HTTP_OK, response, types[dialect]);
}

bool metrics_listen_is_wanted(struct metrics_listen *listener)
{
	bool wanted;

	pthread_mutex_lock(&listener->lock);
	wanted = listener->wanted;
	pthread_mutex_unlock(&listener->lock);
	return wanted;
}

void metrics_listen_publish(struct metrics_listen *listener, struct buf texts[METRICS_DIALECT_COUNT])
{
	pthread_mutex_lock(&listener->lock);
	for (int d = 0; d < METRICS_DIALECT_COUNT; d++) {
		struct buf before = listener->texts[d];

		listener->texts[d] = texts[d];
		texts[d] = before;
	}
	listener->wanted = false;
	listener->made++;
	listener->made_ns = clock_now_ns(CLOCK_MONOTONIC);
	pthread_cond_broadcast(&listener->fresh);
	pthread_mutex_unlock(&listener->lock);
}

/* ---- begin and end ---- */

/* A socket that listens, or -errno. */
static int metrics_listen_socket(const struct endpoint *address)
{
	_close_ int fd = socket(address->ip_version == 6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(address->port) };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(address->port) };
	bool is_six = address->ip_version == 6;
	int on = 1;

	memcpy(&six.sin6_addr, address->addr, sizeof(six.sin6_addr));
	memcpy(&four.sin_addr, address->addr, sizeof(four.sin_addr));
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, is_six ? (const struct sockaddr *)&six : (const struct sockaddr *)&four,
		 is_six ? sizeof(six) : sizeof(four)) ||
	    listen(fd, METRICS_LISTEN_CONNECTIONS))
		return -errno;
	return TAKE_FD(fd);
}

/* Its threads take no signals: those are for the reader of events. Takes the socket over if it succeeds. */
static int metrics_listen_start(struct metrics_listen *l, int fd)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	l->daemon = l->api.start(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL, 0,
				 NULL, NULL, metrics_listen_answer, l, MHD_OPTION_LISTEN_SOCKET, fd,
				 MHD_OPTION_CONNECTION_LIMIT, (unsigned int)METRICS_LISTEN_CONNECTIONS,
				 MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)METRICS_LISTEN_IDLE_S, MHD_OPTION_END);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return l->daemon ? 0 : -EAGAIN;
}

int metrics_listen_open(const struct endpoint *address, struct metrics_listen **ret, char *err)
{
	struct metrics_listen *l = calloc(1, sizeof(*l));
	_close_ int fd = -1;
	int r;

	if (!l)
		return -ENOMEM;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->fresh, NULL);
	err[0] = '\0';
	r = metrics_listen_load(l, err);
	if (r == 0)
		r = fd = metrics_listen_socket(address);
	if (r >= 0)
		r = metrics_listen_start(l, fd);
	if (r < 0) {
		if (!err[0])
			snprintf(err, METRICS_LISTEN_ERR_SIZE, "%s", strerror(-r));
		metrics_listen_close(l);
		return r;
	}
	TAKE_FD(fd);
	*ret = l;
	return 0;
}

void metrics_listen_close(struct metrics_listen *listener)
{
	if (!listener)
		return;
	pthread_mutex_lock(&listener->lock);
	listener->ending = true;
	pthread_cond_broadcast(&listener->fresh);
	pthread_mutex_unlock(&listener->lock);
	if (listener->daemon)
		listener->api.stop(listener->daemon);
	for (int d = 0; d < METRICS_DIALECT_COUNT; d++)
		free(listener->texts[d].data);
	if (listener->library)
		dlclose(listener->library);
	pthread_cond_destroy(&listener->fresh);
	pthread_mutex_destroy(&listener->lock);
	free(listener);
}

#else /* nothing ever listens */

const bool metrics_listen_is_built = false;

int metrics_listen_open(const struct endpoint *address, struct metrics_listen **ret, char *err)
{
	(void)address;
	(void)ret;
	snprintf(err, METRICS_LISTEN_ERR_SIZE, "porttrace was built without libmicrohttpd. Build it again after: "
		 "sudo apt install libmicrohttpd-dev");
	return -ENOSYS;
}

bool metrics_listen_is_wanted(struct metrics_listen *listener)
{
	(void)listener;
	return false;
}

void metrics_listen_publish(struct metrics_listen *listener, struct buf texts[METRICS_DIALECT_COUNT])
{
	(void)listener;
	(void)texts;
}

void metrics_listen_close(struct metrics_listen *listener)
{
	(void)listener;
}

#endif
