-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
--
-- What fails, why, and since when?
--
--   ask failures-by-cause.sql from=now-6h to=now step=600
--
-- A row for each cause in each `step` seconds, out of the rollup: whole minutes. A cause that is empty was not found
-- out.
SELECT
    toDateTime(intDiv(toUnixTimestamp(minute), {step:UInt32}) * {step:UInt32}, 'UTC') AS start,
    cause,
    error,
    action,
    sum(events) AS failed,
    uniqExact(host) AS hosts,
    uniqExact(host, process) AS processes
FROM porttrace.minute_cause FINAL
WHERE minute >= toStartOfMinute({from:DateTime}) AND minute < {to:DateTime}
GROUP BY start, cause, error, action
ORDER BY start, failed DESC, cause, error, action;
