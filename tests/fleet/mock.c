// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Three Kafka brokers of librdkafka's mock cluster, with the topic of dist/fleet/clickhouse/kafka.sql. Prints their
 * addresses, and ends when its standard input does.
 */
#include <stdio.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

int main(void)
{
	char why[256] = "";
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), why, sizeof(why));
	rd_kafka_mock_cluster_t *cluster = rk ? rd_kafka_mock_cluster_new(rk, 3) : NULL;

	if (!cluster || rd_kafka_mock_topic_create(cluster, "porttrace.events", 24, 3)) {
		fprintf(stderr, "mock: %s\n", why);
		return 1;
	}
	printf("%s\n", rd_kafka_mock_cluster_bootstraps(cluster));
	fflush(stdout);
	while (getchar() != EOF)
		;
	rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(rk);
	return 0;
}
