#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Makes the topic that porttrace's kafka: sink writes to:  topic.sh BROKER[,BROKER...] [TOPIC [PARTITIONS]]
# Uses Kafka's own kafka-topics.sh (KAFKA_TOPICS names another). DRY_RUN=1 prints the command instead.
#
# PARTITIONS: see docs/fleet-sizing.md; 24 do for 1,000 hosts x 100 events/s. The key of a record is the host's name: so
# a host's records stay in one partition, in order, and a hole in event.sequence is a loss. More partitions later send
# hosts to other ones: for a while a host's records are in two.

set -eu

[ $# -ge 1 ] || { sed -n '4,5s/^# //p' "$0" >&2; exit 2; }
brokers=$1
topic=${2:-porttrace.events}
partitions=${3:-24}

set -- --bootstrap-server "$brokers" --create --if-not-exists --topic "$topic" --partitions "$partitions"
# two of three brokers have each record before it counts as delivered: one may fail, and nothing is lost
set -- "$@" --replication-factor 3 --config min.insync.replicas=2 --config unclean.leader.election.enable=false
# as the producer compressed it: brokers and ClickHouse do not compress anew
set -- "$@" --config compression.type=producer
# long enough to mend what reads it over a weekend; or until the disk's share is full, whichever is first
set -- "$@" --config cleanup.policy=delete --config retention.ms=259200000
# segments of an hour at most: retention drops whole ones
set -- "$@" --config segment.ms=3600000 --config segment.bytes=536870912
# a batch of lines, not a line: one line has at most 4 KiB or so, plus the processes that share a socket
set -- "$@" --config max.message.bytes=1048588
# the time that porttrace gave, not the broker's
set -- "$@" --config message.timestamp.type=CreateTime

if [ -n "${DRY_RUN:-}" ]; then
	echo "${KAFKA_TOPICS:-kafka-topics.sh}" "$@"
else
	exec "${KAFKA_TOPICS:-kafka-topics.sh}" "$@"
fi
