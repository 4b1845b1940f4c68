-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
--
-- Who used port P on host H at time T?
--
--   ask who-had-port.sql host=web-1 port=8080 at='2026-11-22 08:45:53'
--
-- One row for each process and the way it came to the port, with the number of its sockets. A port is used from its
-- assignment until the socket's close; then, if that left it in TIME_WAIT, until the kernel gave it back (porttrace
-- -e all,release says when; without that, 60 s are taken). A close tells the socket's life, so sockets older than the
-- tracer are found too, once they have closed. A socket whose close was not recorded, because the tracer had ended,
-- looks as if it was still open. Looks back 7 days, and 1 day on. (No FINAL: sockets are counted, not events.)
SELECT
    role,
    pid,
    process,
    executable,
    user,
    container,
    unit,
    transport,
    count() AS sockets,
    countIf(closed != 0 AND closed < at_ns) AS in_time_wait,
    toDateTime(intDiv(min(opened), 1000000000), 'UTC') AS first_opened,
    if(countIf(closed = 0) > 0, 'open', toString(toDateTime(intDiv(max(freed), 1000000000), 'UTC'))) AS last_freed,
    max(remote) AS remote_example
FROM
(
    SELECT
        toInt64(toUnixTimestamp({at:DateTime})) * 1000000000 AS at_ns,
        if(countIf(action = 'listen') > 0, 'listen', argMin(action, t)) AS role,
        argMin(pid, t) AS pid,
        argMin(process, t) AS process,
        argMin(executable, t) AS executable,
        argMin(user, t) AS user,
        argMin(container, t) AS container,
        argMin(unit, t) AS unit,
        any(transport) AS transport,
        max(if(remote_ip = '', '', concat(remote_ip, ' ', toString(remote_port)))) AS remote,
        maxIf(t, action = 'close') AS closed,
        maxIf(t, action = 'release') AS released,
        if(released != 0, released, closed + toInt64(countIf(state = 'time-wait') > 0) * 60000000000) AS freed,
        if(countIf(action NOT IN ('close', 'release')) > 0, minIf(t, action NOT IN ('close', 'release')),
            min(t) - toInt64(maxIf(duration, action = 'close'))) AS opened
    FROM
    (
        SELECT *, toInt64(toUnixTimestamp(time)) * 1000000000 + nanosecond AS t
        FROM porttrace.events
        WHERE minute >= {at:DateTime} - 7 * 86400 AND minute <= {at:DateTime} + 86400
            AND host = {host:String} AND local_port = {port:UInt16}
            AND (outcome != 'failure' OR action = 'close')
    )
    GROUP BY run, cookie, if(cookie = 0, sequence, 0)
)
WHERE opened < at_ns + 1000000000 AND (closed = 0 OR freed >= at_ns)
GROUP BY role, pid, process, executable, user, container, unit, transport
ORDER BY first_opened, role, pid;
