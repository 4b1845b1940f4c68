-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
--
-- The tables of a fleet: JSON Lines of porttrace (schema 1) go into `inbox`, everything else follows from there.
--
--   dist/fleet/ask dist/fleet/clickhouse/tables.sql
--   ... --data-binary @events.jsonl "$URL/?format_csv_delimiter=%01&query=INSERT+INTO+porttrace.inbox+FORMAT+CSV"
--
-- For ClickHouse 18.16 (Debian 12) and every later one: so no nested JSON, DateTime64, TTL, codec or LowCardinality,
-- which a present one can have: present.sql and kafka.sql.
--
-- Delivery is at least once. A record is identified by (host, run, sequence): what comes twice is merged away later,
-- and FINAL, which queries that count say, does not see it before either.

CREATE DATABASE IF NOT EXISTS porttrace;

-- One line as it was sent. Holds nothing: the views below read what passes.
CREATE TABLE IF NOT EXISTS porttrace.inbox
(
    line String
)
ENGINE = Null;

-- What was sent, for as long as it is kept: to fill a new table, and to look at what the tables below leave out.
CREATE TABLE IF NOT EXISTS porttrace.lines
(
    minute DateTime('UTC'),         -- 1970-01-01 if it could not be read
    host String,
    run String,                     -- agent.ephemeral_id: one start of porttrace
    sequence UInt64,                -- counts the records of that run, without holes
    line String
)
ENGINE = ReplacingMergeTree
PARTITION BY toDate(minute)
ORDER BY (minute, host, run, sequence, cityHash64(line));

-- One row for each thing that happened to a socket. The service's side stands in JSON's `destination`; here the two
-- sides are named as an operator asks for them: `local` is the host's own.
CREATE TABLE IF NOT EXISTS porttrace.events
(
    minute DateTime('UTC'),
    time DateTime('UTC'),
    nanosecond UInt32,
    host String,
    run String,
    sequence UInt64,
    action String,                  -- bind listen connect accept close release
    outcome String,                 -- success failure unknown
    error String,                   -- EADDRNOTAVAIL; '' if none, or not known
    cause String,                   -- port_exhausted, in_use, refused, ...
    reason String,
    duration UInt64,                -- nanoseconds: of a connect until its result, of a close the socket's life
    transport String,               -- tcp udp
    direction String,               -- egress: this host opened it; ingress; '' without a peer
    local_ip String,
    local_port UInt16,              -- of a failed bind: what was wanted; 0: none, or not known
    remote_ip String,
    remote_port UInt16,
    bytes_sent UInt64,
    bytes_received UInt64,
    how String,                     -- explicit bind0 connect autobind inherited
    pool String,                    -- where the kernel took the port from
    half String,                    -- second: the first half of the range was full
    wall UInt8,                     -- the first port of the second half: announced once
    pool_used UInt32,
    pool_capacity UInt32,           -- 0: nobody looked
    ephemeral UInt8,                -- the local port lies in the kernel's range
    service String,                 -- name of the service's port
    pid UInt32,
    process String,
    executable String,
    user String,                    -- the name; the number if there is none
    container String,
    pod String,
    unit String,
    netns UInt64,
    cookie UInt64,                  -- of the socket: the same in all its events, within one run; 0: not known
    state String,                   -- after a close: closed time-wait closing
    holder String,                  -- who had the wanted port: listener bound connection time-wait
    holder_pid UInt32,
    holder_process String
)
ENGINE = ReplacingMergeTree
PARTITION BY toDate(minute)
ORDER BY (minute, host, local_port, time, nanosecond, run, sequence);

-- What a run says of itself: what was seen, and lost on the way to here.
CREATE TABLE IF NOT EXISTS porttrace.stats
(
    minute DateTime('UTC'),
    time DateTime('UTC'),
    host String,
    run String,
    sequence UInt64,
    seen UInt64,
    emitted UInt64,
    filtered UInt64,
    lost_kernel UInt64,
    lost_queue UInt64,
    lost_sink UInt64,
    evicted UInt64
)
ENGINE = ReplacingMergeTree
PARTITION BY toDate(minute)
ORDER BY (minute, host, run, sequence);

-- The rollups: one row a minute. rollup.sql counts a minute anew out of the events that are there, each once, and the
-- row with more events replaces the one with fewer: so neither duplicates nor late records make them wrong. A view on
-- `inbox` would be cheaper and would count each duplicate.

CREATE TABLE IF NOT EXISTS porttrace.minute_host
(
    minute DateTime('UTC'),
    host String,
    action String,
    outcome String,
    events UInt64,
    bytes_sent UInt64,
    bytes_received UInt64
)
ENGINE = ReplacingMergeTree(events)
PARTITION BY toStartOfMonth(minute)
ORDER BY (minute, host, action, outcome);

CREATE TABLE IF NOT EXISTS porttrace.minute_process
(
    minute DateTime('UTC'),
    host String,
    process String,
    action String,
    events UInt64,
    failures UInt64
)
ENGINE = ReplacingMergeTree(events)
PARTITION BY toStartOfMonth(minute)
ORDER BY (minute, host, process, action);

-- Connections that were opened, or not, by destination.
CREATE TABLE IF NOT EXISTS porttrace.minute_destination
(
    minute DateTime('UTC'),
    remote_ip String,
    remote_port UInt16,
    transport String,
    host String,
    process String,
    events UInt64,
    failures UInt64,
    exhausted UInt64,
    second_half UInt64,
    duration_sum UInt64,            -- nanoseconds
    duration_max UInt64
)
ENGINE = ReplacingMergeTree(events)
PARTITION BY toStartOfMonth(minute)
ORDER BY (minute, remote_port, remote_ip, transport, host, process);

CREATE TABLE IF NOT EXISTS porttrace.minute_cause
(
    minute DateTime('UTC'),
    cause String,
    error String,
    action String,
    host String,
    process String,
    events UInt64
)
ENGINE = ReplacingMergeTree(events)
PARTITION BY toStartOfMonth(minute)
ORDER BY (minute, cause, error, action, host, process);

-- The views. visitParamExtract* finds the first member of that name, however deep. So a line is cut in two where the
-- object `porttrace` begins: in the first part the names of the objects are there once. A string cannot look like a
-- member: its quotes are escaped. But it can have braces, which visitParamExtractRaw counts: objects with strings of
-- the user's are taken by a regular expression (`object`). WITH and no subquery: 18.16 runs the outermost SELECT of a
-- view only.

CREATE MATERIALIZED VIEW IF NOT EXISTS porttrace.inbox_lines TO porttrace.lines AS
WITH
    substring(line, 1, position(line, ',"porttrace":{"schema":')) AS head
SELECT
    toStartOfMinute(parseDateTimeBestEffortOrZero(visitParamExtractString(line, '@timestamp'), 'UTC')) AS minute,
    visitParamExtractString(visitParamExtractRaw(head, 'host'), 'name') AS host,
    visitParamExtractString(visitParamExtractRaw(head, 'agent'), 'ephemeral_id') AS run,
    visitParamExtractUInt(substring(head, position(head, '"event":{')), 'sequence') AS sequence,
    line
FROM porttrace.inbox;

CREATE MATERIALIZED VIEW IF NOT EXISTS porttrace.inbox_stats TO porttrace.stats AS
WITH
    position(line, ',"porttrace":{"schema":') AS cut,
    substring(line, 1, cut) AS head,
    substring(line, cut + 1) AS tail
SELECT
    toStartOfMinute(time) AS minute,
    parseDateTimeBestEffortOrZero(visitParamExtractString(line, '@timestamp'), 'UTC') AS time,
    visitParamExtractString(visitParamExtractRaw(head, 'host'), 'name') AS host,
    visitParamExtractString(visitParamExtractRaw(head, 'agent'), 'ephemeral_id') AS run,
    visitParamExtractUInt(substring(head, position(head, '"event":{')), 'sequence') AS sequence,
    visitParamExtractUInt(tail, 'seen') AS seen,
    visitParamExtractUInt(tail, 'emitted') AS emitted,
    visitParamExtractUInt(tail, 'filtered') AS filtered,
    visitParamExtractUInt(tail, 'lost_kernel') AS lost_kernel,
    visitParamExtractUInt(tail, 'lost_queue') AS lost_queue,
    visitParamExtractUInt(tail, 'lost_sink') AS lost_sink,
    visitParamExtractUInt(tail, 'evicted') AS evicted
FROM porttrace.inbox
WHERE position(line, '"dataset":"porttrace.stats"') > 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS porttrace.inbox_events TO porttrace.events AS
WITH
    '(\\{(?:[^{}"]|"(?:[^"\\\\]|\\\\.)*"|\\{(?:[^{}"]|"(?:[^"\\\\]|\\\\.)*")*\\})*\\})' AS object,
    position(line, ',"porttrace":{"schema":') AS cut,
    substring(line, 1, cut) AS head,
    substring(line, cut + 1) AS tail,
    visitParamExtractString(head, '@timestamp') AS stamp,
    extract(head, concat(',"event":', object)) AS event,
    visitParamExtractRaw(head, 'network') AS network,
    visitParamExtractRaw(head, 'source') AS source,
    visitParamExtractRaw(head, 'destination') AS destination,
    visitParamExtractString(network, 'direction') AS way,
    way = 'egress' OR (way = '' AND source != '') AS local_is_source,
    if(local_is_source, source, destination) AS local,
    if(local_is_source, destination, source) AS remote,
    extract(head, concat(',"process":', object)) AS process_object,
    extract(head, concat(',"user":', object)) AS user_object,
    visitParamExtractString(user_object, 'name') AS user_name,
    extract(tail, concat(',"pool":', object)) AS pool_object,
    visitParamExtractRaw(tail, 'source') AS source_facts,
    visitParamExtractRaw(tail, 'destination') AS destination_facts,
    visitParamExtractRaw(tail, 'socket') AS socket,
    extract(tail, concat(',"holder":', object)) AS holder_object
SELECT
    toStartOfMinute(time) AS minute,
    parseDateTimeBestEffortOrZero(stamp, 'UTC') AS time,
    toUInt32OrZero(substring(stamp, 21, 9)) AS nanosecond,
    visitParamExtractString(visitParamExtractRaw(head, 'host'), 'name') AS host,
    visitParamExtractString(visitParamExtractRaw(head, 'agent'), 'ephemeral_id') AS run,
    visitParamExtractUInt(event, 'sequence') AS sequence,
    visitParamExtractString(event, 'action') AS action,
    visitParamExtractString(event, 'outcome') AS outcome,
    visitParamExtractString(visitParamExtractRaw(head, 'error'), 'type') AS error,
    visitParamExtractString(tail, 'cause') AS cause,
    visitParamExtractString(event, 'reason') AS reason,
    visitParamExtractUInt(event, 'duration') AS duration,
    visitParamExtractString(network, 'transport') AS transport,
    way AS direction,
    visitParamExtractString(local, 'ip') AS local_ip,
    toUInt16(visitParamExtractUInt(local, 'port')) AS local_port,
    visitParamExtractString(remote, 'ip') AS remote_ip,
    toUInt16(visitParamExtractUInt(remote, 'port')) AS remote_port,
    visitParamExtractUInt(local, 'bytes') AS bytes_sent,
    visitParamExtractUInt(remote, 'bytes') AS bytes_received,
    visitParamExtractString(visitParamExtractRaw(tail, 'assignment'), 'how') AS how,
    visitParamExtractString(pool_object, 'kind') AS pool,
    visitParamExtractString(pool_object, 'half') AS half,
    visitParamExtractBool(pool_object, 'wall') AS wall,
    toUInt32(visitParamExtractUInt(pool_object, 'used')) AS pool_used,
    toUInt32(visitParamExtractUInt(pool_object, 'capacity')) AS pool_capacity,
    visitParamExtractBool(if(local_is_source, source_facts, destination_facts), 'ephemeral') AS ephemeral,
    visitParamExtractString(destination_facts, 'service') AS service,
    toUInt32(visitParamExtractUInt(process_object, 'pid')) AS pid,
    visitParamExtractString(process_object, 'name') AS process,
    visitParamExtractString(process_object, 'executable') AS executable,
    if(user_name = '', visitParamExtractString(user_object, 'id'), user_name) AS user,
    visitParamExtractString(visitParamExtractRaw(head, 'container'), 'id') AS container,
    visitParamExtractString(visitParamExtractRaw(visitParamExtractRaw(head, 'orchestrator'), 'resource'), 'id') AS pod,
    visitParamExtractString(tail, 'unit') AS unit,
    visitParamExtractUInt(socket, 'netns') AS netns,
    visitParamExtractUInt(socket, 'cookie') AS cookie,
    visitParamExtractString(socket, 'state') AS state,
    visitParamExtractString(holder_object, 'kind') AS holder,
    toUInt32(visitParamExtractUInt(holder_object, 'pid')) AS holder_pid,
    visitParamExtractString(visitParamExtractRaw(holder_object, 'process'), 'name') AS holder_process
FROM porttrace.inbox
WHERE position(line, '"dataset":"porttrace.socket"') > 0 AND position(line, '"kind":"event"') > 0;
