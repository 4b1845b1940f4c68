#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# --sink: every record is delivered or counted as lost, whatever becomes of a sink, and no sink hurts another.
# Needs jq, python3 and mount(8).

# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"
cli_need_backend
for p in jq python3; do
	has_program $p || { not_ok sink "needs $p"; exit 1; }
done

# sink_line SCHEME: its line at the end -> $delivered $lost $lost_queue
sink_line()
{
	local line
	line=$(grep "^porttrace: sink $1" "$T/err" | grep ' delivered, ' | tail -1)
	if [[ $line =~ ([0-9]+)\ delivered,\ ([0-9]+)\ lost\ \(queue\ ([0-9]+),\ sink\ ([0-9]+)\) ]]; then
		delivered=${BASH_REMATCH[1]} lost=${BASH_REMATCH[2]}
		lost_queue=${BASH_REMATCH[3]}
	else
		wrong "no closing line of $1: $(tail -3 "$T/err")"
		delivered=-1 lost=-1 lost_queue=-1
	fi
}

# whole FILE...: the records of all are JSON, none is there twice; prints their number
whole()
{
	cat "$@" | jq -r '[.agent.ephemeral_id, .event.sequence] | @tsv' >"$T/sequences" || wrong "$1: not JSON"
	sort -u "$T/sequences" | wc -l
	[ "$(sort -u "$T/sequences" | wc -l)" = "$(wc -l <"$T/sequences")" ] || wrong "$1: a record twice"
}
gapless() { jq -s -e '[.[].event.sequence] | . == [range(1; length + 1)]' "$1" >/dev/null || wrong "$1: gaps"; }
balanced_sink() { expect "records of $1" "$2" $((delivered + lost)); }

# ---- files ----

start --sink "file:$T/a.jsonl" --sink "file:$T/b.jsonl" --stats 100ms --metrics-file "$T/metrics"
binds 500
finish
for s in a b; do
	sink_line "file:$T/$s"
	expect "lost by $s" 0 "$lost"
	expect "lines of $s" "$delivered" "$(whole "$T/$s.jsonl")"
	gapless "$T/$s.jsonl"
	expect "events of $s" 1000 "$(jq -c 'select(.event.kind == "event")' "$T/$s.jsonl" | wc -l)"
done
expect "the two files" "$(md5sum <"$T/a.jsonl")" "$(md5sum <"$T/b.jsonl")"
expect "mode" 640 "$(stat -c %a "$T/a.jsonl")"
last=$(jq -c 'select(.event.kind == "metric").porttrace.stats | [.seen, .emitted, .lost_kernel, .lost_queue, .lost_sink]' "$T/a.jsonl" | tail -1)
expect "the last statistics" '[1000,1000,0,0,0]' "$last"
expect "lines of the table" 1001 "$(wc -l <"$T/out")"
grep -qxF "porttrace_sink_records_total{sink=\"file:$T/b.jsonl\",result=\"delivered\"} $delivered" "$T/metrics" ||
	wrong "metrics: $(grep sink_records "$T/metrics")"
verdict sink/two-files

rm -f "$T"/*.jsonl
start --json --stats 50ms
binds 200
finish
gapless "$T/out"
[ "$(jq -c 'select(.event.dataset == "porttrace.stats")' "$T/out" | wc -l)" -gt 0 ] || wrong "no statistics"
verdict sink/stats-without-sinks

ln -s "$T/elsewhere" "$T/link.jsonl"
"$PORTTRACE" "${options[@]}" --sink "file:$T/link.jsonl" >/dev/null 2>"$T/err"
expect "exit status" 1 $?
expect_text "the message" "option '--sink': file:$T/link.jsonl: is a symbolic link" "$(cat "$T/err")"
verdict sink/symbolic-link

for bad in 'foo:x|unknown sink .foo:.; there are stdout:' 'file:x|needs an absolute path' 'path|no scheme' \
	"file:$T/x?colour=red|unknown parameter .colour." "file:$T/x?rotate=many|parameter .rotate. needs a number" 'unix:x|needs an absolute path'; do
	timeout 5 "$PORTTRACE" "${options[@]}" --sink "${bad%%|*}" >/dev/null 2>"$T/err"
	expect "exit status of ${bad%%|*}" 2 $?
	expect_text "the message" "option '--sink': .*${bad##*|}" "$(cat "$T/err")"
done
verdict sink/bad-uri

# renamed by logrotate(8), whether it tells us or not; and by ourselves
start --sink "file:$T/log" --sink "file:$T/turn?rotate=20K&keep=3"
for i in 1 2 3 4 5; do
	binds 20
	sleep 0.2
	mv "$T/log" "$T/log.$i"
	[ $i = 3 ] && kill -HUP "$tracer" && until_true 2 test -e "$T/log"
done
binds 20
finish
sink_line "file:$T/log"
expect "lost" 0 "$lost"
expect "records in all files" "$delivered" "$(whole "$T"/log*)"
[ "$(find "$T" -name 'turn*' | wc -l)" = 4 ] || wrong "files kept: $(echo "$T"/turn*)"
cat "$T"/turn* | jq -e . >/dev/null || wrong "a torn line in $T/turn*"
verdict sink/rotation

# the directory goes away, and comes back: what the queue holds is written then
mkdir "$T/dir"
start --sink "file:$T/dir/log"
binds 20
sleep 0.3
mv "$T/dir" "$T/gone"
binds 20
sleep 0.3
expect_text "the trouble" "sink file:$T/dir/log: cannot open: No such file or directory" "$(cat "$T/err")"
mkdir "$T/dir"
until_true 3 test -e "$T/dir/log"
binds 20
finish
sink_line "file:$T/dir"
expect "lost" 0 "$lost"
expect "records" "$delivered" "$(whole "$T/gone/log" "$T/dir/log")"
expect_text "the end of the trouble" "sink file:$T/dir/log: works again" "$(cat "$T/err")"
verdict sink/directory-comes-back

# a full disk, and room again
mkdir "$T/small"
if mount -t tmpfs -o size=64k tmpfs "$T/small"; then
	dd if=/dev/zero of="$T/small/ballast" bs=4k count=8 2>/dev/null
	start --sink "file:$T/small/log" --sink "file:$T/large"
	binds 200
	sleep 0.5
	expect_text "the trouble" 'No space left on device' "$(cat "$T/err")"
	rm "$T/small/ballast"
	sleep 0.5
	finish
	sink_line "file:$T/large"
	expect "lost by the other" 0 "$lost"
	expect "records of the other" "$delivered" "$(whole "$T/large")"
	all=$delivered
	sink_line "file:$T/small"
	balanced_sink "the full one" "$all"
	[ "$lost" -gt 0 ] || wrong "nothing lost in 64 KiB"
	expect "records in the full one" "$delivered" "$(whole "$T/small/log")"
	umount "$T/small"
	verdict sink/full-disk
else
	skip sink/full-disk "no tmpfs can be mounted here"
fi

# killed in the midst of writing; what is torn all the same, the next start takes away (more: tests/sinks/killed)
for i in 1 2 3 4 5 6; do
	start --sink "file:$T/killed"
	binds 4000 &
	sleep 0.$i
	kill -KILL "$tracer"
	wait "$tracer" 2>/dev/null
	wait $!
done
printf '{"@timestamp":"2026-11-2' >>"$T/killed"
start --sink "file:$T/killed"
binds 20
finish
whole "$T/killed" >/dev/null
verdict sink/killed

# ---- sinks that hang ----

# a reader on a socket that takes nothing, then everything
listen_unix()
{
	rm -f "$T/sock"
	python3 - "$T/sock" "$T/received" "$1" <<-'END' &
		import socket, sys, time
		s = socket.socket(socket.AF_UNIX)
		s.bind(sys.argv[1])
		s.listen(1)
		c, _ = s.accept()
		time.sleep(float(sys.argv[3]))
		with open(sys.argv[2], "wb") as f:
		    while data := c.recv(65536):
		        f.write(data)
	END
	listener=$!
	until_true 5 test -S "$T/sock"
}

listen_unix 2
start --sink "unix:$T/sock" --sink "file:$T/beside"
binds 1500
sleep 3
finish
wait "$listener"
sink_line "file:$T/beside"
all=$delivered
expect "lost by the other" 0 "$lost"
sink_line "unix:"
expect "lost by the one that hung" 0 "$lost"
expect "records received" "$all" "$(whole "$T/received")"
verdict sink/slow-reader

listen_unix 60
start --sink "unix:$T/sock" --sink "file:$T/beside2" --queue 500 --fail-on-loss
binds 3000
sleep 0.5
begin=$(now_ms)
stop TERM
took=$(($(now_ms) - begin))
kill "$listener"
expect "exit status" 5 "$status"
[ $took -lt $((6000 * patience)) ] || wrong "the end took $took ms"
sink_line "file:$T/beside2"
all=$delivered
expect "lost by the other" 0 "$lost"
sink_line "unix:"
balanced_sink "the one that hangs" "$all"
[ "$lost_queue" -gt 0 ] || wrong "nothing lost by the queue"
verdict sink/hangs

# a sink that is not there yet: what waits comes first
start --sink "unix:$T/later"
binds 100
sleep 0.3
expect_text "the trouble" 'cannot connect: No such file or directory' "$(cat "$T/err")"
listen_unix 0
mv "$T/sock" "$T/later"
sleep 1.5
finish
wait "$listener"
sink_line "unix:"
expect "lost" 0 "$lost"
expect "records received" "$delivered" "$(whole "$T/received")"
verdict sink/comes-later

# block: nothing is lost by a queue that is too short
listen_unix 1
start --sink "unix:$T/sock" --queue 100 --on-full block
binds 3000
sleep 2
finish
wait "$listener"
sink_line "unix:"
expect "lost" 0 "$lost"
expect "records received" "$delivered" "$(whole "$T/received")"
[ "$delivered" -gt 6000 ] || wrong "delivered: $delivered"
verdict sink/block

# standard output through a queue: a reader that has stopped stops nobody
mkfifo "$T/pipe"
exec 9<>"$T/pipe"
stdout=$T/pipe start --sink stdout: --sink "file:$T/beside3" --queue 1000
binds 3000
sleep 0.5
kill -USR1 "$tracer"
asked() { grep -q 'sink stdout:.* delivered' "$T/err"; }
until_true 2 asked || wrong "no answer to SIGUSR1"
cat <&9 >"$T/out" &
reader=$!
finish
sleep 0.3
kill "$reader"
exec 9>&-
sink_line "file:$T/beside3"
all=$delivered
sink_line stdout:
balanced_sink stdout "$all"
expect "records read" "$delivered" "$(whole "$T/out")"
verdict sink/stdout

exit $failed
