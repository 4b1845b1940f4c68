-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
--
-- Can the answers be trusted? What was lost between the kernel and here, by host and run.
--
--   ask lost.sql from=now-1h to=now
--
--   lost_*   as the run counts itself: in the kernel's ring, in the queue before the sink, by the sink
--   evicted  sockets that its ledger forgot for want of room (--max-sockets): who held their ports was not known any more
--   missing  sequence numbers that are not here, between the first and the last that are: lost in porttrace's queue or
--            sink, or behind it (Kafka, this table)
SELECT host, run, sum(lost_kernel) AS lost_in_kernel, sum(lost_queue) AS lost_in_queue, sum(lost_sink) AS lost_in_sink,
    sum(evicted) AS evicted, sum(span) - sum(here) AS missing
FROM
(
    SELECT host, run, max(lost_kernel) AS lost_kernel, max(lost_queue) AS lost_queue, max(lost_sink) AS lost_sink,
        max(evicted) AS evicted, toInt64(0) AS span, toInt64(0) AS here
    FROM porttrace.stats FINAL
    WHERE minute >= toStartOfMinute({from:DateTime}) AND minute < {to:DateTime}
    GROUP BY host, run
    UNION ALL
    SELECT host, run, toUInt64(0) AS lost_kernel, toUInt64(0) AS lost_queue, toUInt64(0) AS lost_sink,
        toUInt64(0) AS evicted, toInt64(max(sequence) - min(sequence) + 1) AS span, toInt64(uniqExact(sequence)) AS here
    FROM
    (
        SELECT host, run, sequence FROM porttrace.events
        WHERE minute >= toStartOfMinute({from:DateTime}) AND minute < {to:DateTime}
        UNION ALL
        SELECT host, run, sequence FROM porttrace.stats
        WHERE minute >= toStartOfMinute({from:DateTime}) AND minute < {to:DateTime}
    )
    GROUP BY host, run
)
GROUP BY host, run
HAVING lost_in_kernel > 0 OR lost_in_queue > 0 OR lost_in_sink > 0 OR evicted > 0 OR missing > 0
ORDER BY missing DESC, lost_in_kernel DESC, host, run;
