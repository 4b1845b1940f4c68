#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# porttrace itself with the sinks otlp, kafka and file at once: all get the same, and two that hang take nothing from the third.
# Needs jq, python3 and kcat.

# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
source "$(dirname "$0")/../cli/lib.sh"
cli_need_backend
for p in jq python3 kcat; do
	has_program $p || { skip sinks-live "needs $p"; exit 0; }
done
here=$(cd "$(dirname "$0")" && pwd)

# servers ACT...: a receiver that does so, and a Kafka cluster -> $port $brokers
servers()
{
	mkfifo "$T/receiver.in" "$T/kafka.in"
	python3 "$here/receiver.py" "$@" <"$T/receiver.in" >"$T/receiver.out" &
	receiver=$!
	"$cli_root/build/tests/sinks-kafka" <"$T/kafka.in" >"$T/kafka.out" 2>/dev/null &
	kafka=$!
	exec 8>"$T/receiver.in" 9>"$T/kafka.in"
	echo "topic porttrace 4" >&9
	until_true 10 grep -qs ok "$T/kafka.out" && until_true 10 test -s "$T/receiver.out" || wrong "no servers"
	port=$(head -1 "$T/receiver.out") brokers=$(head -1 "$T/kafka.out")
}

# -> $T/got.json: what the receiver got
servers_end()
{
	exec 8>&- 9>&-
	wait "$receiver" "$kafka"
	tail -1 "$T/receiver.out" >"$T/got.json"
	rm -f "$T"/receiver.* "$T"/kafka.*
}

# account SCHEME: of the line at the end -> $delivered $lost
account()
{
	local line
	line=$(grep "^porttrace: sink $1:" "$T/err" | grep ' delivered, ' | tail -1)
	delivered=-1 lost=-1
	if [[ $line =~ ([0-9]+)\ delivered,\ ([0-9]+)\ lost ]]; then
		delivered=${BASH_REMATCH[1]} lost=${BASH_REMATCH[2]}
	else
		wrong "no closing line of $1: $(tail -3 "$T/err")"
	fi
}

sinks=(--stats 200ms --sink "file:$T/all.jsonl")

servers 200
start "${sinks[@]}" --sink "otlp:http://127.0.0.1:$port" --sink "kafka:$brokers/porttrace"
binds 500 || wrong "the traced program failed"
kill -TERM "$tracer"
await 15
expect "exit status" 0 "$status"
balanced
lines=$(wc -l <"$T/all.jsonl")
for s in file otlp kafka; do
	account $s
	expect "lost by $s" 0 "$lost"
	expect "delivered by $s" "$lines" "$delivered"
done
kcat -C -q -b "$brokers" -t porttrace -o beginning -e >"$T/kafka.jsonl"
expect "messages" "$(md5sum <"$T/all.jsonl")" "$(md5sum <"$T/kafka.jsonl")"
servers_end
expect "complaints of the receiver" '[]' "$(jq -c .complaints "$T/got.json")"
expect "runs" "$(jq -r .agent.ephemeral_id "$T/all.jsonl" | sort -u)" "$(jq -r '.runs[]' "$T/got.json")"
expect "records" "$(jq -s -c '[.[].event.sequence]' "$T/all.jsonl")" "$(jq -c .sequences "$T/got.json")"
verdict sinks-live/all-get-the-same

rm -f "$T/all.jsonl"
servers hang hang hang
echo "rtt 30000" >&9
start "${sinks[@]}" --queue 500 --sink "otlp:http://127.0.0.1:$port?timeout=30s" \
	--sink "kafka:$brokers/porttrace?rdkafka.queue.buffering.max.messages=500"
binds 5000 || wrong "the traced program failed"
kill -TERM "$tracer"
await 15
expect "exit status" 0 "$status"
balanced
expect "events seen" 10000 "$seen"
lines=$(wc -l <"$T/all.jsonl")
expect "events in the file" 10000 "$(jq -c 'select(.event.kind == "event")' "$T/all.jsonl" | wc -l)"
account file
expect "lost by file" 0 "$lost"
for s in otlp kafka; do
	account $s
	expect "delivered and lost by $s" "$lines" $((delivered + lost))
	[ "$lost" -gt 0 ] || wrong "$s did not hang"
done
servers_end
verdict sinks-live/hanging-sinks-hurt-nobody

exit $failed
