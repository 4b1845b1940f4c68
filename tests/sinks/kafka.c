// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A Kafka cluster of three brokers, as librdkafka has it for tests: it speaks the protocol on loopback, and
 * does as it is told. Prints its brokers, then "ok" for each line of stdin; ends with it.
 *
 *   topic NAME PARTITIONS     three replicas
 *   down | up                 all brokers
 *   rtt MS                    all brokers answer so much later
 *   fail COUNT ERROR          the next COUNT Produce requests get that error code of the protocol
 *   init COUNT ERROR          the same for InitProducerId
 */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BROKERS 3
#define ERRORS_MAX 64

enum { API_PRODUCE = 0, API_INIT_PRODUCER_ID = 22 };

static void fail_requests(rd_kafka_mock_cluster_t *cluster, int16_t api, int count, int error)
{
	rd_kafka_resp_err_t errors[ERRORS_MAX];

	for (int i = 0; i < count && i < ERRORS_MAX; i++)
		errors[i] = (rd_kafka_resp_err_t)error;
	rd_kafka_mock_push_request_errors_array(cluster, api, count < ERRORS_MAX ? (size_t)count : ERRORS_MAX, errors);
}

static void each_broker(rd_kafka_mock_cluster_t *cluster, const char *what, int number)
{
	for (int32_t id = 1; id <= BROKERS; id++) {
		if (!strcmp(what, "down"))
			rd_kafka_mock_broker_set_down(cluster, id);
		else if (!strcmp(what, "up"))
			rd_kafka_mock_broker_set_up(cluster, id);
		else
			rd_kafka_mock_broker_set_rtt(cluster, id, number);
	}
}

static int obey(rd_kafka_mock_cluster_t *cluster, const char *line)
{
	char word[16], name[128];
	int a = 0, b = 0;

	if (sscanf(line, "topic %127s %d", name, &a) == 2)
		rd_kafka_mock_topic_create(cluster, name, a, BROKERS);
	else if (sscanf(line, "fail %d %d", &a, &b) == 2)
		fail_requests(cluster, API_PRODUCE, a, b);
	else if (sscanf(line, "init %d %d", &a, &b) == 2)
		fail_requests(cluster, API_INIT_PRODUCER_ID, a, b);
	else if (sscanf(line, "rtt %d", &a) == 1)
		each_broker(cluster, "rtt", a);
	else if (sscanf(line, "%15s", word) == 1 && (!strcmp(word, "down") || !strcmp(word, "up")))
		each_broker(cluster, word, 0);
	else
		return -1;
	return 0;
}

int main(void)
{
	char why[256], line[256];
	rd_kafka_t *handle = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), why, sizeof(why));
	rd_kafka_mock_cluster_t *cluster = handle ? rd_kafka_mock_cluster_new(handle, BROKERS) : NULL;

	if (!cluster)
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("%s\n", rd_kafka_mock_cluster_bootstraps(cluster));
	while (fgets(line, sizeof(line), stdin))
		printf("%s\n", obey(cluster, line) ? "unknown" : "ok");
	rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(handle);
	return 0;
}
