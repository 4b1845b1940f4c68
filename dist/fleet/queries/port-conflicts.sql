-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
--
-- Who could not get port P on host H, and who had it?
--
--   ask port-conflicts.sql host=web-1 port=8080 from=now-1d to=now
--
-- holder is empty where it was not found out: the reason says why, as far as that is known.
SELECT process, pid, action, error, cause, reason, holder, holder_process, holder_pid,
    count() AS times, min(time) AS first, max(time) AS last
FROM porttrace.events FINAL
WHERE minute >= toStartOfMinute({from:DateTime}) AND time >= {from:DateTime} AND time < {to:DateTime}
    AND host = {host:String} AND local_port = {port:UInt16} AND outcome = 'failure' AND action IN ('bind', 'listen')
GROUP BY process, pid, action, error, cause, reason, holder, holder_process, holder_pid
ORDER BY first, pid, reason;
