// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * --sink kafka:host:9092,host2/topic[?config=/path&rdkafka.NAME=VALUE]: one JSON object a message, key = host
 * name, through librdkafka. A message is counted by its delivery report and by nothing else: it is delivered
 * when all in-sync replicas have it. The producer is idempotent: what it sends again makes no second message.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cleanup.h"
#include "../clock.h"
#include "../feed.h"
#include "library.h"

#ifdef HAVE_RDKAFKA

#include <librdkafka/rdkafka.h>

#define KAFKA_TOPIC_MAX 249
#define KAFKA_PARAM "rdkafka."
#define KAFKA_LINE_MAX 4096 /* of ?config= */
#define KAFKA_RENEW_NS UINT64_C(5000000000) /* from one broken producer to the next */
#define KAFKA_RESERVE_NS UINT64_C(300000000) /* of the time to finish: to hear what became of each message */

/* ?config= and ?rdkafka. can change them. What waits long waits in the queue of the feed, so these are small. */
static const char *const kafka_defaults[][2] = {
	{ "client.id", "porttrace" },
	{ "log.queue", "true" }, /* its log comes through poll() */
	{ "enable.idempotence", "true" }, /* so acks=all, and the order is kept */
	{ "linger.ms", "100" },
	{ "compression.codec", "lz4" },
	{ "batch.num.messages", "256" }, /* goes out at once, lest the queue be full before linger.ms has passed */
	{ "queue.buffering.max.messages", "1024" },
	{ "queue.buffering.max.kbytes", "1024" },
	{ "message.timeout.ms", "30000" },
	{ "reconnect.backoff.max.ms", "2000" },
	{ "socket.keepalive.enable", "true" },
};

#define KAFKA_FUNCTIONS(X)                                                                     \
	X(conf_new) X(conf_dup) X(conf_destroy) X(conf_set) X(conf_set_opaque)                 \
	X(conf_set_dr_msg_cb) X(conf_set_error_cb) X(conf_set_log_cb) X(set_log_queue)         \
	X(new) X(destroy) X(opaque) X(topic_new) X(topic_destroy) X(produce) X(poll) X(flush)  \
	X(purge) X(last_error) X(err2str) X(fatal_error)

/* librdkafka's functions; the same for all feeds, filled in by the first that opens. */
static struct {
#define KAFKA_POINTER(name) __typeof__(rd_kafka_##name) *name;
	KAFKA_FUNCTIONS(KAFKA_POINTER)
} kafka;

struct kafka_feed {
	struct feed_status *status;
	rd_kafka_conf_t *conf; /* what each producer is made from */
	rd_kafka_t *producer; /* NULL = to be made anew */
	rd_kafka_topic_t *topic;
	char brokers[STATS_NAME_SIZE], topic_name[KAFKA_TOPIC_MAX + 1];
	const char *host; /* the key; "" = none */
	uint64_t pending; /* messages without a report so far */
	uint64_t renew_ns; /* CLOCK_MONOTONIC: no new producer earlier */
	char said[FEED_TROUBLE_SIZE]; /* the last line of its log: why, where an error only says what */
};

/* ---- what librdkafka tells: all of it from within poll(), so on the feed's thread ---- */

static void kafka_trouble(struct kafka_feed *k, const char *otherwise)
{
	feed_trouble(k->status, k->said[0] ? k->said : otherwise);
}

static void kafka_on_report(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque)
{
	struct kafka_feed *k = opaque;

	(void)producer;
	k->pending--;
	if (!message->err) {
		feed_delivered(k->status, 1);
		feed_trouble(k->status, NULL);
		return;
	}
	feed_lost(k->status, 1);
	if (message->err == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT)
		kafka_trouble(k, "no broker took a record in time");
	else if (message->err != RD_KAFKA_RESP_ERR__PURGE_QUEUE && message->err != RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)
		feed_trouble(k->status, kafka.err2str(message->err));
}

/* That one of many brokers is away is no trouble: another leads then. */
static void kafka_on_error(rd_kafka_t *producer, int error, const char *reason, void *opaque)
{
	struct kafka_feed *k = opaque;

	(void)producer;
	if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
		kafka_trouble(k, reason);
	else if (error != RD_KAFKA_RESP_ERR__TRANSPORT && error != RD_KAFKA_RESP_ERR__RESOLVE)
		feed_trouble(k->status, reason);
}

static void kafka_on_log(const rd_kafka_t *producer, int level, const char *facility, const char *text)
{
	struct kafka_feed *k = producer ? kafka.opaque(producer) : NULL;
	const char *end = !strncmp(text, "[thrd:", 6) ? strstr(text, "]: ") : NULL;

	(void)facility;
	if (k && level <= 4) /* warning */
		snprintf(k->said, sizeof(k->said), "%s", end ? end + 3 : text);
}

/* ---- configuration ---- */

/* An error of librdkafka names the property, and not a value that may be secret. */
static int kafka_set(rd_kafka_conf_t *conf, const char *name, const char *value, char *err)
{
	char why[FEED_ERR_SIZE];
	rd_kafka_conf_res_t r = kafka.conf_set(conf, name, value, why, sizeof(why));

	if (r == RD_KAFKA_CONF_OK)
		return 0;
	snprintf(err, FEED_ERR_SIZE, "librdkafka does not know '%.64s'", name);
	if (r == RD_KAFKA_CONF_INVALID)
		snprintf(err, FEED_ERR_SIZE, "librdkafka does not take this value of '%.64s'", name);
	return -EINVAL;
}

static char *kafka_trim(char *text)
{
	char *end = text + strlen(text);

	while (end > text && strchr(" \t\r\n", end[-1]))
		*--end = '\0';
	return text + strspn(text, " \t");
}

static int kafka_config_line(rd_kafka_conf_t *conf, char *line, char *err)
{
	char *name = kafka_trim(line), *value = strchr(name, '=');

	if (!*name || *name == '#')
		return 0;
	if (!value) {
		snprintf(err, FEED_ERR_SIZE, "?config= has a line that is not NAME=VALUE");
		return -EINVAL;
	}
	*value = '\0';
	return kafka_set(conf, kafka_trim(name), kafka_trim(value + 1), err);
}

/* Lines NAME=VALUE, as in the files of kcat and of Kafka's own programs. */
static int kafka_config_file(rd_kafka_conf_t *conf, const char *path, char *err)
{
	_fclose_ FILE *file = fopen(path, "re");
	char line[KAFKA_LINE_MAX];
	int r = 0;

	if (!file) {
		r = -errno;
		snprintf(err, FEED_ERR_SIZE, "cannot read %.128s: %s", path, strerrordesc_np(-r));
	}
	while (r == 0 && fgets(line, sizeof(line), file))
		r = kafka_config_line(conf, line, err);
	return r;
}

static bool kafka_is_secret(const char *name)
{
	return strstr(name, "password") || strstr(name, "secret") || !strcmp(name, "ssl.key.pem") ||
	       !strcmp(name, "sasl.oauthbearer.config");
}

static int kafka_params(rd_kafka_conf_t *conf, struct feed_uri *uri, char *err)
{
	const char *file = feed_uri_param(uri, "config");
	int r = file ? kafka_config_file(conf, file, err) : 0;

	for (size_t i = 0; r == 0 && i < uri->param_count; i++) {
		const char *name = uri->params[i].name;

		if (strncmp(name, KAFKA_PARAM, strlen(KAFKA_PARAM)))
			continue;
		uri->params[i].used = true;
		name += strlen(KAFKA_PARAM);
		if (kafka_is_secret(name)) {
			snprintf(err, FEED_ERR_SIZE,
				 "everybody can read a command line: put %.64s into a file, and add ?config=/path",
				 name);
			return -EINVAL;
		}
		r = kafka_set(conf, name, uri->params[i].value, err);
	}
	return r;
}

static int kafka_conf(struct kafka_feed *k, struct feed_uri *uri, char *err)
{
	int r = 0;

	k->conf = kafka.conf_new();
	for (size_t i = 0; r == 0 && i < sizeof(kafka_defaults) / sizeof(kafka_defaults[0]); i++)
		r = kafka_set(k->conf, kafka_defaults[i][0], kafka_defaults[i][1], err);
	if (r == 0)
		r = kafka_params(k->conf, uri, err);
	if (r == 0)
		r = kafka_set(k->conf, "bootstrap.servers", k->brokers, err);
	kafka.conf_set_opaque(k->conf, k);
	kafka.conf_set_dr_msg_cb(k->conf, kafka_on_report);
	kafka.conf_set_error_cb(k->conf, kafka_on_error);
	kafka.conf_set_log_cb(k->conf, kafka_on_log);
	return r;
}

/* "host:9092,host2/topic" */
static int kafka_target(struct kafka_feed *k, const char *target, char *err)
{
	const char *slash = strrchr(target, '/');
	size_t n = slash ? (size_t)(slash - target) : 0, len = slash ? strlen(slash + 1) : 0;

	if (!n || n >= sizeof(k->brokers) || !len || len > KAFKA_TOPIC_MAX ||
	    strspn(slash + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != len) {
		snprintf(err, FEED_ERR_SIZE, "needs brokers and a topic, such as kafka:host:9092,host2/porttrace");
		return -EINVAL;
	}
	memcpy(k->brokers, target, n);
	memcpy(k->topic_name, slash + 1, len);
	return 0;
}

/* ---- producers ---- */

/* Connects in the background. 0, or -EINVAL with a sentence in `err`. */
static int kafka_start(struct kafka_feed *k, char *err)
{
	rd_kafka_conf_t *conf = kafka.conf_dup(k->conf);

	k->producer = kafka.new(RD_KAFKA_PRODUCER, conf, err, FEED_ERR_SIZE);
	if (!k->producer) {
		kafka.conf_destroy(conf);
		return -EINVAL;
	}
	kafka.set_log_queue(k->producer, NULL);
	k->topic = kafka.topic_new(k->producer, k->topic_name, NULL);
	if (k->topic)
		return 0;
	snprintf(err, FEED_ERR_SIZE, "%s", kafka.err2str(kafka.last_error()));
	kafka.destroy(k->producer);
	k->producer = NULL;
	return -EINVAL;
}

static void kafka_poll(struct kafka_feed *k, int ms)
{
	if (k->producer)
		kafka.poll(k->producer, ms);
}

/* Nothing more is tried; hears until `deadline_ns` what became of each message, and counts it. The rest is lost. */
static void kafka_give_up(struct kafka_feed *k, uint64_t deadline_ns)
{
	if (!k->producer)
		return;
	if (k->pending)
		kafka.purge(k->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	do
		kafka_poll(k, k->pending ? 10 : 0);
	while (k->pending && clock_now_ns(CLOCK_MONOTONIC) < deadline_ns);
	feed_lost(k->status, k->pending);
	k->pending = 0;
}

static void kafka_stop(struct kafka_feed *k)
{
	rd_kafka_t *producer = TAKE_PTR(k->producer);
	rd_kafka_topic_t *topic = TAKE_PTR(k->topic);

	if (!producer)
		return;
	kafka.topic_destroy(topic);
	kafka.destroy(producer);
}

/* A producer that can not keep its promises any more takes nothing for ever: another one is made. */
static void kafka_renew(struct kafka_feed *k)
{
	uint64_t now_ns = clock_now_ns(CLOCK_MONOTONIC);
	char why[FEED_ERR_SIZE];

	if (k->producer && kafka.fatal_error(k->producer, why, sizeof(why))) {
		feed_trouble(k->status, why);
		kafka_give_up(k, now_ns + KAFKA_RESERVE_NS);
		kafka_stop(k);
		k->renew_ns = now_ns + KAFKA_RENEW_NS;
	}
	if (!k->producer && now_ns >= k->renew_ns) {
		k->renew_ns = now_ns + KAFKA_RENEW_NS;
		if (kafka_start(k, why) < 0)
			feed_trouble(k->status, why);
	}
}

/* ---- the feed ---- */

static int kafka_load(char *err)
{
#define KAFKA_FUNCTION(name) { "rd_kafka_" #name, &kafka.name },
	const struct library_function functions[] = { KAFKA_FUNCTIONS(KAFKA_FUNCTION) };

	return library_load("librdkafka.so.1", "librdkafka1", functions, sizeof(functions) / sizeof(functions[0]), err);
}

static void kafka_close(void *state)
{
	struct kafka_feed *k = state;

	if (!k)
		return;
	kafka_stop(k);
	if (k->conf)
		kafka.conf_destroy(k->conf);
	free(k);
}

static int kafka_open(const struct feed_options *opts, void **ret_state, char *err)
{
	struct kafka_feed *k;
	int r = kafka_load(err);

	if (r < 0)
		return r;
	k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	k->status = opts->status;
	k->host = opts->run->hostname;
	r = kafka_target(k, opts->uri->target, err);
	if (r == 0)
		r = kafka_conf(k, opts->uri, err);
	if (r == 0)
		r = kafka_start(k, err);
	if (r < 0)
		kafka_close(k);
	else
		*ret_state = k;
	return r;
}

/* 0; -EAGAIN: not now; another: never. The copy is librdkafka's. */
static int kafka_produce(struct kafka_feed *k, const struct feed_record *rec)
{
	size_t size = rec->size && rec->data[rec->size - 1] == '\n' ? rec->size - 1 : rec->size;
	rd_kafka_resp_err_t error;

	if (!kafka.produce(k->topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, (void *)rec->data, size,
			   k->host[0] ? k->host : NULL, strlen(k->host), NULL))
		return 0;
	error = kafka.last_error();
	if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL)
		return -EAGAIN;
	feed_trouble(k->status, kafka.err2str(error));
	return error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ? -EMSGSIZE : -EAGAIN;
}

/* Until librdkafka's queue is full. */
static size_t kafka_fill(struct kafka_feed *k, const struct feed_record *records, size_t count)
{
	size_t n = 0;

	for (; n < count; n++) {
		int r = kafka_produce(k, &records[n]);

		if (r == -EAGAIN)
			break;
		if (r < 0)
			feed_lost(k->status, 1);
		else
			k->pending++;
	}
	return n;
}

static size_t kafka_deliver(void *state, const struct feed_record *records, size_t count)
{
	struct kafka_feed *k = state;
	size_t n;

	kafka_renew(k);
	if (!k->producer)
		return 0;
	n = kafka_fill(k, records, count);
	if (n < count) {
		kafka_poll(k, FEED_TICK_MS);
		n += kafka_fill(k, records + n, count - n);
	}
	return n;
}

static void kafka_tick(void *state)
{
	struct kafka_feed *k = state;

	kafka_poll(k, 0);
	kafka_renew(k);
}

/* Destroying comes last, and here: where a name server hangs it takes long, and who waits for this thread gives up. */
static void kafka_finish(void *state, uint64_t deadline_ns)
{
	struct kafka_feed *k = state;
	uint64_t flush_ns = deadline_ns - KAFKA_RESERVE_NS, now_ns = clock_now_ns(CLOCK_MONOTONIC);

	if (k->producer && k->pending && now_ns < flush_ns)
		kafka.flush(k->producer, (int)((flush_ns - now_ns) / 1000000));
	kafka_give_up(k, deadline_ns);
	kafka_stop(k);
}

#else

static int kafka_open(const struct feed_options *opts, void **ret_state, char *err)
{
	(void)opts;
	(void)ret_state;
	return library_missing("librdkafka", "librdkafka-dev", err);
}

static size_t kafka_deliver(void *state, const struct feed_record *records, size_t count)
{
	(void)state;
	(void)records;
	(void)count;
	return 0;
}

static void kafka_close(void *state)
{
	(void)state;
}

#define kafka_tick NULL
#define kafka_finish NULL

#endif

const struct feed_ops feed_kafka = {
	.scheme = "kafka",
	.form = "kafka:host:9092,host2/topic",
	.format = &feed_json,
	.open = kafka_open,
	.deliver = kafka_deliver,
	.tick = kafka_tick,
	.finish = kafka_finish,
	.close = kafka_close,
};
