-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
--
-- Which processes make the most events, fleet-wide? (And so: what should be filtered at the source?)
--
--   ask busiest.sql from=now-1h to=now limit=20
SELECT process, action, sum(events) AS total, sum(failures) AS failed, uniqExact(host) AS hosts
FROM porttrace.minute_process FINAL
WHERE minute >= toStartOfMinute({from:DateTime}) AND minute < {to:DateTime}
GROUP BY process, action
ORDER BY total DESC, process, action
LIMIT {limit:UInt32};
