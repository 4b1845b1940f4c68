#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# A ledger that is full: what it forgets is counted everywhere, exactly. In a pid and a network namespace of its own, so that no
# other sockets are there at the start. Only with the cgroup backend: by the other no command is followed there.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
cli_need_backend
if [ "$backend" != cgroup ] || ! has_program jq; then
	skip ledger "needs the cgroup backend and jq"
	exit 0
fi

alone() { timeout 60 unshare --net --pid --fork --mount-proc "$@"; }

# run OPTION...: 5000 sockets at a time are bound, and closed in the same order
run() { alone "$PORTTRACE" "${options[@]}" -v --json "$@" -- "$load" open 20001 25000 >"$T/out" 2>"$T/err"; }


told() { grep -o '^porttrace: ledger: .*' "$T/err"; }

run --max-sockets 1000 --stats 60 --metrics-file "$T/metrics"
balanced
expect "events shown" 10000 "$shown"
expect "lost" 0 "$lost"
expect "the line" "porttrace: ledger: 4000 sockets forgotten for want of room (open 4000, closed 0): --max-sockets" "$(told)"
expect "statistics" 4000 "$(jq -s '[.[].porttrace.stats | select(.)][-1].evicted' "$T/out")"
expect "metrics" "porttrace_ledger_evicted_total 4000" "$(grep '^porttrace_ledger_evicted_total' "$T/metrics")"
verdict ledger/full

run --max-sockets 5000 --stats 60
expect "the line" "" "$(told)"
expect "statistics" null "$(jq -s '[.[].porttrace.stats | select(.)][-1].evicted' "$T/out")"
verdict ledger/just-full

alone "$PORTTRACE" record "${options[@]}" -v "$T/made.ptr" -- "$load" open 20001 25000 2>"$T/err"
"$PORTTRACE" replay --json --max-sockets 1000 "$T/made.ptr" >"$T/out" 2>"$T/err"
expect "the line" "porttrace: ledger: 4000 sockets forgotten for want of room (open 4000, closed 0): --max-sockets" "$(told)"
"$PORTTRACE" replay "$T/made.ptr" pressure --max-sockets 1000 >"$T/out" 2>"$T/err"
expect_text pressure "Incomplete: 4,000 sockets were forgotten" "$(cat "$T/out")"
"$PORTTRACE" replay "$T/made.ptr" pressure >"$T/out" 2>"$T/err"
expect "pressure with room" "" "$(grep Incomplete "$T/out")"
verdict ledger/replay

for bad in 0 -1 many 1.5; do
	"$PORTTRACE" --max-sockets "$bad" >"$T/out" 2>"$T/err"
	expect "exit status of --max-sockets $bad" 2 $?
	expect_text stderr "--max-sockets: bad value '$bad'" "$(cat "$T/err")"
done
verdict ledger/options

exit $failed
