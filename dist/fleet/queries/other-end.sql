-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
--
-- A connection comes from, or goes to, this address and port: which processes are its two ends?
--
--   ask other-end.sql ip=10.0.0.9 port=51514 at='2026-11-22 08:45:53'
--
-- Within ten minutes of that time, on whichever hosts run porttrace. Behind NAT the two ends do not have the same
-- addresses.
SELECT time, host, action, outcome, process, pid, container, local_ip, local_port, remote_ip, remote_port
FROM porttrace.events FINAL
WHERE minute >= {at:DateTime} - 660 AND minute <= {at:DateTime} + 600
    AND time >= {at:DateTime} - 600 AND time <= {at:DateTime} + 600
    AND action IN ('connect', 'accept', 'close')
    AND ((local_ip = {ip:String} AND local_port = {port:UInt16})
        OR (remote_ip = {ip:String} AND remote_port = {port:UInt16}))
ORDER BY time, nanosecond, host, sequence;
