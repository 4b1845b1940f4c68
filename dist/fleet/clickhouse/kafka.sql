-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
--
-- After tables.sql, on a present ClickHouse: reads the topic. Change the two names below. Run with 26.7 against
-- librdkafka's mock cluster; against a real Kafka not run by us. Not for 18.16: there it read nothing.
--
-- Each server of the cluster has these tables, with the same group: Kafka gives each its share of the partitions. An
-- offset is committed after the rows are in all tables; what a server had read and not committed when it ended is
-- read again: the tables allow for that.

CREATE TABLE IF NOT EXISTS porttrace.topic
(
    line String
)
ENGINE = Kafka
SETTINGS
    kafka_broker_list = 'kafka-1:9092,kafka-2:9092,kafka-3:9092',
    kafka_topic_list = 'porttrace.events',
    kafka_group_name = 'clickhouse',
    kafka_format = 'LineAsString',          -- the line as it is: a record that is no JSON stops nobody
    kafka_num_consumers = 4,                -- of each server; all together at most as many as partitions
    kafka_thread_per_consumer = 1,
    kafka_max_block_size = 1048576,         -- large blocks: one part each is what MergeTree wants
    kafka_poll_max_batch_size = 65536,
    kafka_flush_interval_ms = 5000;         -- and this is how late the answers are

CREATE MATERIALIZED VIEW IF NOT EXISTS porttrace.topic_inbox TO porttrace.inbox AS
SELECT line
FROM porttrace.topic;
