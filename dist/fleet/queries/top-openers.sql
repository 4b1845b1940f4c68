-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
--
-- Who opens the most connections to each destination?
--
--   ask top-openers.sql from=now-1h to=now limit=3
--
-- The first `limit` of each destination, out of the rollup: whole minutes.
SELECT
    remote_ip,
    remote_port,
    transport,
    host,
    process,
    sum(events) AS attempts,
    sum(failures) AS failed,
    sum(exhausted) AS without_port,
    intDiv(sum(duration_sum), sum(events) * 1000) AS mean_us,
    intDiv(max(duration_max), 1000) AS max_us
FROM porttrace.minute_destination FINAL
WHERE minute >= toStartOfMinute({from:DateTime}) AND minute < {to:DateTime}
GROUP BY remote_ip, remote_port, transport, host, process
ORDER BY attempts DESC, remote_ip, remote_port, transport, host, process
LIMIT {limit:UInt32} BY remote_ip, remote_port, transport;
