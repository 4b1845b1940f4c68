#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# How a trace starts and ends: signals, readers that go away, full disks, missing rights, kernels that refuse.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
cli_need_backend

# ---- the reader of a pipe goes away ----

head_ended() { [ -s "$T/head_ended" ]; }

# pipe_to_head OPTION...: porttrace ... | head -3; then nothing happens any more
pipe_to_head()
{
	rm -f "$T/head_ended" "$T/status"
	: >"$T/err"
	{
		"$PORTTRACE" "${options[@]}" "$@" 2>"$T/err" | {
			head -3 >"$T/out"
			now_ms >"$T/head_ended"
		}
		echo "${PIPESTATUS[0]} $(now_ms)" >"$T/status"
	} &
	tracer=$!
}

head_result()
{
	local took
	await 5
	read -r status ended <"$T/status"
	expect "exit status" 0 "$status"
	took=$((ended - $(cat "$T/head_ended")))
	[ $took -le $((2000 * patience)) ] || wrong "ended $took ms after head"
	expect "lines" 3 "$(wc -l <"$T/out")"
}

pipe_to_head -v
if wait_ready; then
	binds 1
	until_true 5 head_ended || wrong "two events and the header did not reach head"
	head_result
	expect "strange lines on stderr" "" "$(grep -vE '^porttrace: .*(backend|ready|tables at the end|cost: )|events shown' "$T/err")"
	balanced
fi
verdict trace/head

pipe_to_head
until_true 10 eval 'binds 2; head_ended' || wrong "nothing reached head"
head_result
expect "stderr" "" "$(cat "$T/err")"
verdict trace/head-says-nothing

# ---- while it starts ----

# What begins with a part of its programs ends in order, and has counted what it met, however much of them is there.
has_begun() { grep -qE 'not all kinds of events|^porttrace: ready' "$T/err" || has_ended "$tracer"; }

for more in 0 0.1 0.3; do
	: >"$T/err"
	"$PORTTRACE" "${options[@]}" -v >"$T/out" 2>"$T/err" &
	tracer=$!
	until_true 10 has_begun || wrong "it did not begin: $(head -c 300 "$T/err")"
	binds 20
	sleep $more
	stop INT
	expect "exit status" 0 "$status"
	balanced
done
expect "kinds that never came" "" "$(grep 'not visible:\|not all kinds of events are seen:' "$T/err")"
verdict trace/ends-while-it-starts

# What the cgroup backend keeps of a socket goes with it.
if [ "$backend" = cgroup ]; then
	start
	for ((i = 0; i < 10; i++)); do within "$load" talk <<<go >/dev/null; done
	within "$load" bound holder 0 >"$T/holder" &
	holder=$!
	until_true 5 grep -q READY "$T/holder" || wrong "the socket that stays open is not there"
	stop INT
	expect "exit status" 0 "$status"
	balanced
	expect "slots: that of the open socket" 1 "$(sed -nE 's/.* slots ([0-9]+).*/\1/p' "$T/err")"
	kill -KILL "$holder"
	wait "$holder" 2>/dev/null
	verdict trace/slots
fi

# nobody there from the start: porttrace | true
: >"$T/err"
"$PORTTRACE" "${options[@]}" 2>"$T/err" > >(:) &
tracer=$!
await 5
expect "exit status" 0 "$status"
expect "stderr" "" "$(cat "$T/err")"
verdict trace/no-reader

# ---- signals ----

start
binds 5
sleep 0.3
stop INT
expect "exit status" 0 "$status"
balanced
expect "events shown" 10 "$shown"
expect "events seen" 10 "$seen"
expect "lines" 11 "$(wc -l <"$T/out")"
expect_text "the closing line" '^10 events shown, 10 seen, 0 lost;' "$(grep 'events shown' "$T/err")"
verdict trace/sigint

start -e bind
binds 5
sleep 0.3
stop TERM
expect "exit status" 0 "$status"
balanced
expect "events shown" 5 "$shown"
verdict trace/sigterm

# what came before the signal is not lost, even if nothing was read yet
start -H
kill -STOP "$tracer"
binds 200
kill -INT "$tracer"
kill -CONT "$tracer"
await 5
expect "exit status" 0 "$status"
balanced
expect "events seen" 400 "$seen"
expect "lines" 400 "$(wc -l <"$T/out")"
verdict trace/sigint-drains

# nohup: a SIGHUP that is ignored at the start stays ignored
trap '' HUP
start
trap - HUP
kill -HUP "$tracer"
until_true 2 has_ended "$tracer" && wrong "ended by a SIGHUP that nohup ignores"
stop INT
verdict trace/nohup

start
stop HUP
expect "exit status" 0 "$status"
verdict trace/sighup

# A pipe that nobody reads: fd 9 keeps it open. More events than the pipe and the buffers hold.
stuck_start()
{
	rm -f "$T/pipe"
	mkfifo "$T/pipe"
	exec 9<>"$T/pipe"
	stdout=$T/pipe start --json
	binds 2000
	sleep 0.5
}

stuck_start
stop INT
expect "exit status" 0 "$status"
balanced
exec 9>&-
verdict trace/stuck-pipe-sigint

stuck_start
stop TERM
exec 9>&-
verdict trace/stuck-pipe-sigterm

stuck_start
for _ in 1 2 3; do # two that come at once are one
	kill -INT "$tracer" 2>/dev/null
	sleep 0.1
done
await 5
exec 9>&-
verdict trace/stuck-pipe-second-sigint

# a reader that comes back gets every event: slow is not lost
stuck_start
cat <&9 >"$T/out" &
cat=$!
finish
expect "events shown" 4000 "$shown"
expect "lost" 0 "$lost"
sleep 0.3
kill $cat
expect "lines" 4000 "$(wc -l <"$T/out")"
exec 9>&-
verdict trace/slow-reader

# a reader that lives but is slow gets everything after a signal too
slow_reader() { while dd bs=64k count=1 2>/dev/null && sleep 0.02; do :; done; }
stuck_start
slow_reader <&9 >"$T/out" &
slow=$!
stop INT
expect "exit status" 0 "$status"
balanced
expect "events shown" 4000 "$shown"
expect "lost" 0 "$lost"
all_read() { [ "$(wc -l <"$T/out")" = "$shown" ]; }
until_true 3 all_read || wrong "$(wc -l <"$T/out") lines"
kill $slow
exec 9>&-
verdict trace/sigint-slow-reader

# ---- stdout ----

"$PORTTRACE" "${options[@]}" >/dev/full 2>"$T/err" &
tracer=$!
feed 5
await 5
expect "exit status" 1 "$status"
expect_text "the message" 'porttrace: cannot write the output: No space left' "$(cat "$T/err")"
verdict trace/dev-full

stdout=/dev/full start --json
feed 5
await 5
expect "exit status" 1 "$status"
expect_text "the message" 'porttrace: cannot write the output: No space left' "$(cat "$T/err")"
balanced
verdict trace/dev-full-json

mkdir "$T/small"
if mount -t tmpfs -o size=16k none "$T/small" 2>/dev/null; then
	stdout=$T/small/out start
	binds 500
	await 5
	expect "exit status" 1 "$status"
	expect_text "the message" 'cannot write the output: No space left' "$(cat "$T/err")"
	balanced
	# the header, the events that are said to be shown, and at most a part of another line
	expect "lines on the disk" $((shown + 1)) "$(wc -l <"$T/small/out")"
	umount "$T/small"
	verdict trace/disk-full
else
	skip trace/disk-full "no tmpfs can be mounted"
fi

# ---- a program that finds no port tries again and again ----

start -H -e connect
refused=$(within "$load" storm 2500)
finish
expect "connects that found no port" 2500 "$refused"
# a line a second, each with the number of those it stands for
grep ' connect .* \(failed\|EADDRNOTAVAIL\) ' "$T/out" >"$T/failed"
lines=$(wc -l <"$T/failed")
told=$(awk '{ n += match($0, / x[0-9]+$/) ? substr($0, RSTART + 2) : 1 } END { print n + 0 }' "$T/failed")
expect "failures told" "$refused" "$told"
expect "events shown" $((refused + 2)) "$shown"
[ "$lines" -le 200 ] || wrong "$lines lines for a storm"
verdict trace/storm

# the number of a closed stdout must not become that of a map or a link, and be written to
for how in "" --json; do
	: >"$T/err"
	# shellcheck disable=SC2086
	"$PORTTRACE" "${options[@]}" -v $how >&- 2>"$T/err" &
	tracer=$!
	until_true 10 is_ready
	has_ended "$tracer" || feed 3
	await 3
	expect "exit status" 1 "$status"
	expect_text "the message" 'porttrace: .*(output|stdout)' "$(cat "$T/err")"
	verdict "trace/stdout-closed$how"
done

"$PORTTRACE" "${options[@]}" --count 2 >"$T/out" 2>&- <&- &
tracer=$!
feed 5
await 3
expect "exit status" 0 "$status"
expect "lines" 3 "$(wc -l <"$T/out")"
verdict trace/stdin-and-stderr-closed

setsid "$PORTTRACE" "${options[@]}" --count 3 >"$T/out" 2>"$T/err" </dev/null &
tracer=$!
feed 10
await 3
expect "exit status" 0 "$status"
expect "lines" 4 "$(wc -l <"$T/out")"
expect "control sequences" 0 "$(grep -c $'\033' "$T/out")"
verdict trace/no-terminal

# ---- rights and kernels ----

# as_nobody COMMAND...
as_nobody()
{
	if has_program setpriv && setpriv --help 2>&1 | grep -q reuid; then
		setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
	else
		su -s /bin/sh nobody -c "$*"
	fi
}

cp "$PORTTRACE" "$T/porttrace"
chmod 755 "$T/porttrace"
as_nobody "$T/porttrace" "${options[@]}" --duration 1 >"$T/out" 2>"$T/err"
expect "exit status" 3 $?
expect_text "the message" 'sudo porttrace' "$(cat "$T/err")"
expect "stdout" "" "$(cat "$T/out")"
[ "$(wc -l <"$T/err")" -le 3 ] || wrong "more than three lines: $(cat "$T/err")"
verdict trace/not-root

as_nobody "$T/porttrace" "${options[@]}" -- touch "$T/touched" >"$T/out" 2>"$T/err"
expect "exit status" 3 $?
sleep 0.3
[ ! -e "$T/touched" ] || wrong "the command ran untraced"
verdict trace/not-root-runs-no-command

# Where the kernel has no use for tracing programs, it says why; where it has, it works.
if [ "$backend" = cgroup ]; then
	"$PORTTRACE" --backend tracing --cgroup "$cgroup" --duration 100ms >"$T/out" 2>"$T/err"
	status=$?
	if [ $status != 0 ]; then
		expect_text "the exit status" '^[34]$' $status
		expect_text "the reason" '^porttrace: (cannot .*: .+|.*(kernel|BTF|refuses).*)' "$(head -1 "$T/err")"
		expect_text "the way on" 'doctor' "$(cat "$T/err")"
		expect "stdout" "" "$(cat "$T/out")"
	fi
	verdict trace/tracing-refused

	"$PORTTRACE" --cgroup "$cgroup" --duration 100ms >"$T/out" 2>"$T/err"
	expect "exit status" 0 $?
	if [ $status != 0 ]; then
		told=$(grep -c '^porttrace: using the cgroup backend (.*). Not visible: ' "$T/err")
		expect "lines about the backend" 1 "$told"
		expect "lines on stderr" 2 "$(wc -l <"$T/err")"
	fi
	verdict trace/auto
fi

if [ "$backend" = tracing ] && [ -e /sys/kernel/btf/vmlinux ] && mount -t tmpfs none /sys/kernel/btf 2>/dev/null; then
	"$PORTTRACE" --backend tracing --duration 100ms >"$T/out" 2>"$T/err"
	expect "exit status" 4 $?
	expect_text "the reason" 'BTF' "$(head -1 "$T/err")"
	verdict trace/no-btf
	"$PORTTRACE" --cgroup "$cgroup" --duration 100ms >"$T/out" 2>"$T/err"
	expect "exit status of auto" 0 $?
	told=$(grep -c '^porttrace: using the cgroup backend (.*BTF.*). Not visible: ' "$T/err")
	expect "lines about the backend" 1 "$told"
	expect "lines on stderr" 2 "$(wc -l <"$T/err")"
	umount /sys/kernel/btf
	verdict trace/no-btf-auto
fi

# ---- ports are reserved while it runs ----

# A bind and a close each: with a list that is empty, one that has the port, and an empty one again.
reserved=/proc/sys/net/ipv4/ip_local_reserved_ports
if [ "$backend" = tracing ] && [ -z "$(cat $reserved)" ]; then
	start --json
	within "$load" open 20001 20001
	echo 20001 >$reserved
	within "$load" open 20001 20001
	echo >$reserved
	within "$load" open 20001 20001
	finish
	expect "lines" 6 "$(wc -l <"$T/out")"
	expect "lines of a reserved port" "3 4" "$(awk '/"reserved":true/ { printf "%s%s", s, NR; s = " " }' "$T/out")"
	verdict trace/reserved
else
	skip trace/reserved "needs the tracing backend, and an empty list"
fi

# ---- loss ----

# A ring of one page, and a reader that is stopped: what does not fit is counted, and nothing else.
start --ringbuf 4K --json
kill -STOP "$tracer"
within "$stress" preempt 2 200 >"$T/load"
made=$(tr -c '0-9\n' ' ' <"$T/load" | awk '{ print $1 + $2 + $3 + $5 + $6 }')
kill -CONT "$tracer"
finish
expect "events seen" "$made" "$seen"
[ "$lost" -gt 0 ] || wrong "nothing lost of $made events"
expect "lines" "$shown" "$(wc -l <"$T/out")"
expect_text "the closing line" 'lost \(ring full [1-9]' "$(grep 'events shown' "$T/err")"
verdict trace/loss-counted

start --json
within "$stress" preempt 2 200 >"$T/load"
made=$(tr -c '0-9\n' ' ' <"$T/load" | awk '{ print $1 + $2 + $3 + $5 + $6 }')
finish
expect "events shown" "$made" "$shown"
expect "lost" 0 "$lost"
expect "lines" "$made" "$(wc -l <"$T/out")"
verdict trace/no-loss

exit $failed
