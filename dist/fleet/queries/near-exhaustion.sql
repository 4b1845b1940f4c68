-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
--
-- Which hosts are near exhaustion of their ephemeral ports, towards which destination, and who takes them?
--
--   ask near-exhaustion.sql from=now-10m to=now percent=80 limit=50
--
-- One row for each pool of ports: a network namespace of a host, and a destination (none: bind to port 0). It is
-- shown if
--   exhausted    calls found no port, or
--   walls        the first half of the range became full: half the ports are taken, each search is slow from then, or
--   second_half  ports of the second half are given out: it still is, or
--   used_percent of the ports are in use, as porttrace found when it looked, at least so many.
SELECT
    if(exhausted > 0, 'exhausted', if(used_percent >= {percent:UInt8}, 'full soon', 'first half full')) AS level,
    host,
    netns,
    transport,
    remote_ip,
    remote_port,
    countIf(cause = 'port_exhausted') AS exhausted,
    sum(wall) AS walls,
    countIf(half = 'second') AS second_half,
    max(intDiv(pool_used * 100, greatest(pool_capacity, 1))) AS used_percent,
    countIf(outcome = 'success') AS assigned,
    arraySort(groupUniqArray(process)) AS processes
FROM porttrace.events FINAL
WHERE minute >= toStartOfMinute({from:DateTime}) AND time >= {from:DateTime} AND time < {to:DateTime}
    AND (pool != '' OR cause = 'port_exhausted')
GROUP BY host, netns, transport, remote_ip, remote_port
HAVING exhausted > 0 OR second_half > 0 OR used_percent >= {percent:UInt8}
ORDER BY exhausted DESC, used_percent DESC, second_half DESC, host, netns, remote_ip, remote_port
LIMIT {limit:UInt32};
