-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
--
-- Counts the whole minutes of [from, to) into the rollups. To be run each minute, over the last few, so that late
-- records are counted too; any number of times, over any time whose events are still there.
--
--   * * * * * dist/fleet/ask --quiet dist/fleet/clickhouse/rollup.sql from=now-5m to=now

INSERT INTO porttrace.minute_host
SELECT minute, host, action, outcome, count() AS events,
    sum(bytes_sent) AS bytes_sent, sum(bytes_received) AS bytes_received
FROM porttrace.events FINAL
WHERE minute >= toStartOfMinute({from:DateTime}) AND minute < toStartOfMinute({to:DateTime})
GROUP BY minute, host, action, outcome;

INSERT INTO porttrace.minute_process
SELECT minute, host, process, action, count() AS events, countIf(outcome = 'failure') AS failures
FROM porttrace.events FINAL
WHERE minute >= toStartOfMinute({from:DateTime}) AND minute < toStartOfMinute({to:DateTime})
GROUP BY minute, host, process, action;

INSERT INTO porttrace.minute_destination
SELECT
    minute, remote_ip, remote_port, transport, host, process,
    count() AS events,
    countIf(outcome = 'failure') AS failures,
    countIf(cause = 'port_exhausted') AS exhausted,
    countIf(half = 'second') AS second_half,
    sum(duration) AS duration_sum,
    max(duration) AS duration_max
FROM porttrace.events FINAL
WHERE minute >= toStartOfMinute({from:DateTime}) AND minute < toStartOfMinute({to:DateTime}) AND action = 'connect'
GROUP BY minute, remote_ip, remote_port, transport, host, process;

INSERT INTO porttrace.minute_cause
SELECT minute, cause, error, action, host, process, count() AS events
FROM porttrace.events FINAL
WHERE minute >= toStartOfMinute({from:DateTime}) AND minute < toStartOfMinute({to:DateTime}) AND outcome = 'failure'
GROUP BY minute, cause, error, action, host, process;
