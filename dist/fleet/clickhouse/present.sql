-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
--
-- After tables.sql, on a present ClickHouse (not 18.16): how long is kept, smaller columns, an index. Can be run again.
--
-- How long: rows go by whole parts, when all of a part are over. In 18.16: ALTER TABLE ... DROP PARTITION '2026-11-22'.

ALTER TABLE porttrace.lines MODIFY TTL minute + INTERVAL 3 DAY;
ALTER TABLE porttrace.lines MODIFY SETTING ttl_only_drop_parts = 1;
ALTER TABLE porttrace.events MODIFY TTL minute + INTERVAL 14 DAY;
ALTER TABLE porttrace.events MODIFY SETTING ttl_only_drop_parts = 1;
ALTER TABLE porttrace.stats MODIFY TTL minute + INTERVAL 90 DAY;
ALTER TABLE porttrace.minute_host MODIFY TTL minute + INTERVAL 13 MONTH;
ALTER TABLE porttrace.minute_process MODIFY TTL minute + INTERVAL 13 MONTH;
ALTER TABLE porttrace.minute_destination MODIFY TTL minute + INTERVAL 90 DAY;
ALTER TABLE porttrace.minute_cause MODIFY TTL minute + INTERVAL 13 MONTH;

-- Words of which there are few.
ALTER TABLE porttrace.events
    MODIFY COLUMN action LowCardinality(String),
    MODIFY COLUMN outcome LowCardinality(String),
    MODIFY COLUMN error LowCardinality(String),
    MODIFY COLUMN cause LowCardinality(String),
    MODIFY COLUMN transport LowCardinality(String),
    MODIFY COLUMN direction LowCardinality(String),
    MODIFY COLUMN how LowCardinality(String),
    MODIFY COLUMN pool LowCardinality(String),
    MODIFY COLUMN half LowCardinality(String),
    MODIFY COLUMN service LowCardinality(String),
    MODIFY COLUMN process LowCardinality(String),
    MODIFY COLUMN user LowCardinality(String),
    MODIFY COLUMN unit LowCardinality(String),
    MODIFY COLUMN state LowCardinality(String),
    MODIFY COLUMN holder LowCardinality(String),
    MODIFY COLUMN holder_process LowCardinality(String);

-- What the disk is spent on.
ALTER TABLE porttrace.lines MODIFY COLUMN line String CODEC(ZSTD(3));
ALTER TABLE porttrace.events
    MODIFY COLUMN nanosecond UInt32 CODEC(ZSTD(1)),
    MODIFY COLUMN sequence UInt64 CODEC(Delta, ZSTD(1)),
    MODIFY COLUMN reason String CODEC(ZSTD(1)),
    MODIFY COLUMN duration UInt64 CODEC(ZSTD(1)),
    MODIFY COLUMN local_ip String CODEC(ZSTD(1)),
    MODIFY COLUMN remote_ip String CODEC(ZSTD(1)),
    MODIFY COLUMN remote_port UInt16 CODEC(ZSTD(1)),
    MODIFY COLUMN bytes_sent UInt64 CODEC(ZSTD(1)),
    MODIFY COLUMN bytes_received UInt64 CODEC(ZSTD(1)),
    MODIFY COLUMN pid UInt32 CODEC(ZSTD(1)),
    MODIFY COLUMN executable String CODEC(ZSTD(1)),
    MODIFY COLUMN container String CODEC(ZSTD(1)),
    MODIFY COLUMN pod String CODEC(ZSTD(1)),
    MODIFY COLUMN cookie UInt64 CODEC(ZSTD(1));

-- other-end.sql looks for an address on all hosts.
ALTER TABLE porttrace.events ADD INDEX IF NOT EXISTS by_remote (remote_ip, remote_port) TYPE bloom_filter GRANULARITY 4;
ALTER TABLE porttrace.events ADD INDEX IF NOT EXISTS by_local (local_ip, local_port) TYPE bloom_filter GRANULARITY 4;
