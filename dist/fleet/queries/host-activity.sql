-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
--
-- What did host H do, minute by minute?
--
--   ask host-activity.sql host=web-1 from=now-1h to=now
SELECT minute, action, outcome, events, bytes_sent, bytes_received
FROM porttrace.minute_host FINAL
WHERE minute >= toStartOfMinute({from:DateTime}) AND minute < {to:DateTime} AND host = {host:String}
ORDER BY minute, action, outcome;
