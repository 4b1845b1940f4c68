#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# The ring: what it loses, by kind and against the load's own count; what it keeps for failures; when the reader wakes; and
# what all of it costs by porttrace's own account.
#
#   RING_SHORT=1    only what hangs on the BPF programs: for an emulated machine, where all else is the same

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
cli_need_backend

# lost_of WORDS: from the closing line, such as "close" or "connect failed"
lost_of()
{
	local n
	n=$(grep ' events shown, ' "$T/err" | sed -nE "s/.*ring full [0-9]+: ([^;]*);.*/\1/p" | tr ',' '\n' | sed -nE "s/^ *([0-9]+) $1\$/\1/p")
	echo "${n:-0}"
}

# shown_of KIND [OUTCOME]
shown_of() { grep -E "\"action\":\"$1\"" "$T/out" | grep -c "\"outcome\":\"${2:-}"; }

made_of() { sed -nE "s/.*\"$1\":([0-9]+).*/\1/p" "$T/load"; }

# wakes: of the reader, so far
wakes() { awk '/^voluntary_ctxt_switches/ { print $2 }' "/proc/$tracer/status"; }

refuse() { within bash -c "for ((i = 0; i < $1; i++)); do (: <>/dev/tcp/127.0.0.1/1) 2>/dev/null; done"; }

# ---- loss by kind ----

sizes="4K 64K 8M"
[ -z "${RING_SHORT:-}" ] || sizes=4K
for size in $sizes; do
	start --ringbuf $size --json
	[ $size = 8M ] || kill -STOP "$tracer"
	within "$stress" preempt 2 200 >"$T/load"
	kill -CONT "$tracer"
	finish
	all=0
	for kind in bind listen connect accept close; do
		n=$(($(lost_of $kind) + $(lost_of "$kind failed")))
		all=$((all + n))
		expect "$kind, shown and lost" "$(made_of $kind)" $(($(grep -c "\"action\":\"$kind\"" "$T/out") + n))
	done
	expect "lost of all kinds" "$lost" $all
	[ $size = 8M ] || [ "$lost" -gt 0 ] || wrong "nothing lost"
	verdict ring/loss-by-kind-$size
done

# ---- room for what failed ----

start --ringbuf 64K --json
kill -STOP "$tracer"
binds 500
refuse 10
kill -CONT "$tracer"
finish
[ "$(lost_of bind)" -gt 0 ] || wrong "no success was lost"
expect "refused connects shown" 10 "$(shown_of connect failure)"
expect "failures lost" "" "$(grep -o '[0-9]* [a-z]* failed' "$T/err")"
verdict ring/room-for-failures

# ---- waking ----

# start_watched CALL OPTION...: with these system calls of porttrace in $T/waits
start_watched()
{
	# -D: the process is porttrace, and strace watches from beside
	printf '#!/bin/sh\nexec strace -D -qq -e trace=%s -o %s %s "$@"\n' "$1" "$T/waits" "$porttrace" >"$T/watched"
	chmod +x "$T/watched"
	shift
	PORTTRACE=$T/watched
	start "$@"
	PORTTRACE=$porttrace
}

woken() { grep -c '= 1 ' "$T/waits"; }
was_woken() { [ "$(woken)" -gt "$1" ]; }

# watch OPTION...: what the reader's waits came to; an event comes while it is idle
watch()
{
	local before

	start_watched ppoll "$@"
	before=$(woken) # by what came with the last programs
	until_true 5 grep -q 'Timeout' "$T/waits" || wrong "the reader does not wait: $(tail -1 "$T/waits")"
	expect "waits that an event ended" "$before" "$(woken)"
	binds 1
	until_true 5 was_woken "$before" || wrong "the event has not woken the reader"
	finish
	expect "shown" 2 "$shown"
}

porttrace=$PORTTRACE
strace=
! has_program strace || ! strace -D -qq -o /dev/null true 2>/dev/null || strace=1
if [ $strace ]; then
	watch
	verdict ring/woken-by-the-first-event
else
	skip ring/woken-by-the-first-event "needs strace"
fi

[ -z "${RING_SHORT:-}" ] || exit $failed

start
until_true 3 test -n "$(wakes)"
sleep 1
began=$(now_ms) before=$(wakes)
sleep 4
woken=$(($(wakes) - before)) took=$(($(now_ms) - began))
[ $woken -le $((4 * took / 1000 + 5)) ] || wrong "$woken wake-ups in $took ms without an event"
[ $woken -gt 0 ] || wrong "no wake-up in $took ms: what is counted is not the reader"
stop INT
verdict ring/idle

if [ $strace ]; then
	watch --immediate
	expect "short waits" 0 "$(grep -c 'tv_nsec=20000000' "$T/waits")"
	verdict ring/immediate
	nice=$(awk '{ print $19 }' /proc/self/stat)
	if [ "$nice" = 0 ]; then
		start_watched setpriority --ringbuf 64K
		kill -STOP "$tracer"
		binds 500
		kill -CONT "$tracer"
		finish
		expect "nice values" "-20 0 " "$(sed -nE 's/^setpriority\(PRIO_PROCESS, 0, (-?[0-9]+)\) += 0$/\1/p' "$T/waits" | tr '\n' ' ')"
		verdict ring/before-others
	else
		skip ring/before-others "has a nice value of its own: $nice"
	fi
else
	skip ring/immediate "needs strace"
	skip ring/before-others "needs strace"
fi

# ---- pools, when the stream is not complete ----

# Connections of another network namespace, while the reader is stopped and its ring of one page is full.
exhausted=$(ls "$(dirname "$PORTTRACE")"/{,tests/}pressure-load 2>/dev/null | head -1)
pools()
{
	local load
	mkfifo "$T/stdin"
	start --ringbuf 4K --metrics-file "$T/metrics" --metrics-every 300ms
	kill -STOP "$tracer"
	within unshare -n "$exhausted" "$1" <"$T/stdin" >"$T/held" &
	exec 9>"$T/stdin"
	until_true 20 grep -q READY "$T/held" || wrong "the load is not ready"
	within "$stress" preempt 2 100 >"$T/load"
	kill -CONT "$tracer"
	load=$(sed -nE 's/.*"pid":([0-9]+),"netns.*/\1/p' "$T/held" | head -1)
	netns=$(stat -Lc %i "/proc/$load/ns/net")
	# one line a pool: source, destination, ports. By the kernel's own list, of the side that did connect
	nsenter -t "$load" -n ss -Htan | awk '$5 !~ /\*$/ && $5 ~ /:808[0-9]$/ { sub(/:[0-9]+$/, "", $4); print $4, $5 }' |
		sort | uniq -c | awk '{ print $2, $3, $1 }' >"$T/pools"
	rm -f "$T/metrics"
	until_true 10 grep -qs "pool_used_ports{netns=\"$netns\"" "$T/metrics"
	sed -nE "s/^porttrace_pool_used_ports\{netns=\"$netns\",proto=\"tcp\",kind=\"connect\",src=\"([^\"]*)\",dst=\"([^\"]*)\"\} /\1 \2 /p" \
		"$T/metrics" | sort >"$T/told"
	exec 9>&-
	finish
	rm "$T/stdin"
}

if [ -n "$exhausted" ] && has_program ss && has_program nsenter && has_program unshare; then
	pools T05
	[ "$lost" -gt 1000 ] || wrong "only $lost events lost"
	[ -s "$T/pools" ] || wrong "the kernel has no connections"
	expect "pools" "$(cat "$T/pools")" "$(cat "$T/told")"
	verdict ring/pools-after-loss
else
	skip ring/pools-after-loss "needs pressure-load, ss, nsenter and unshare"
fi

# ---- cost ----

start --cost
binds 200
finish
expect "events of the cost" "$seen" "$(sed -nE 's/^porttrace: cost: ([0-9]+) events in .*/\1/p' "$T/err")"
grep -q '^porttrace: cost: reader .* us an event' "$T/err" || wrong "no cost of the reader"
expect_text "the ring" 'ring at most [1-9][0-9]* of 8388608 bytes' "$(grep 'cost: ring' "$T/err")"
if ! grep -q 'does not measure its programs' "$T/err"; then
	# each bind ran one of its programs
	runs=$(awk '$1 ~ /bound4$|_bind$|_bind_/ && $3 >= 200 { n++ } END { print n + 0 }' "$T/err")
	[ "$runs" -gt 0 ] || wrong "no program that ran for each bind: $(grep -A3 ^PROGRAM "$T/err" | tr '\n' ' ')"
	verdict ring/cost
else
	verdict ring/cost
	skip ring/cost-of-programs "$(grep -o 'does not measure.*' "$T/err")"
fi

# ---- the same of a porttrace that runs, by doctor ----

# of_running FILTER: of what doctor told of the one that we started
of_running() { jq -r --argjson pid "$tracer" ".running.processes[] | select(.pid == \$pid) | $1" "$T/doctor"; }

if has_program jq; then
	start
	while [ ! -e "$T/enough" ]; do binds 2000; done &
	binding=$!
	"$porttrace" doctor --json >"$T/doctor"
	expect "a program of binds ran" true "$(of_running 'any(.programs[]; .runs > 0 and .run_ns > .runs)')"
	expect "events in a second" true "$(of_running '.events > 0 and .events <= .events_total')"
	touch "$T/enough"
	wait "$binding"
	sleep 0.5
	"$porttrace" doctor >"$T/told"
	"$porttrace" doctor --json >"$T/doctor"
	expect "events while nothing happens" 0 "$(of_running .events)"
	finish
	expect "events in all" "$seen" "$(of_running .events_total)"
	expect "lost" "$lost" "$(of_running .lost_total)"
	expect "the ring's high water" "$(sed -nE 's/.*ring at most ([0-9]+) of.*/\1/p' "$T/err")" "$(of_running .ring_most_bytes)"
	expect_text "for people" "process $tracer: 0 events a second, $seen in all; lost $lost" "$(cat "$T/told")"
	"$porttrace" doctor --json >"$T/doctor"
	expect "one that has ended" "" "$(of_running .pid)"
	verdict ring/doctor
else
	skip ring/doctor "needs jq"
fi

exit $failed
