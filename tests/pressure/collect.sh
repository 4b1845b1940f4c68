#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Makes scenarios, each in a namespace of its own, and collects what porttrace says of them, for check.py.
#
#   collect.sh OUT each|all BATCH...
#
# BATCH: scenarios that are there at the same time, as "T01 T02"; "trace": from here on two traces run too. each:
# porttrace is asked of each namespace; all: once of all of them. PORTTRACE, PRESSURE_LOAD: the programs. PRESSURE_BACKEND: the options of the daemon, and of the traces
# that show the failures. PRESSURE_OPTIONS: those of pressure and why. PRESSURE_SECONDS: how long "healthy" is asked.

set -uo pipefail

out=$1 how=$2
shift 2
porttrace=${PORTTRACE:-build/porttrace}
load=${PRESSURE_LOAD:-build/tests/pressure-load}
db=$out/history.db
read -ra backend <<<"${PRESSURE_BACKEND:---backend tracing}"
read -ra options <<<"${PRESSURE_OPTIONS:-}"
options+=(--history "$db")
cgroup=
[[ ${PRESSURE_BACKEND:-} != *--cgroup\ * ]] || cgroup=${PRESSURE_BACKEND##*--cgroup }
daemon=
traces=()
declare -A loads=()

collect_end()
{
	local name
	for name in "${!loads[@]}"; do
		kill -KILL "${loads[$name]}"
	done
	[ -z "$daemon" ] || kill -TERM "$daemon"
	[ ${#traces[@]} = 0 ] || kill -TERM "${traces[@]}"
	wait
} 2>/dev/null # and what bash says of a job that was killed, before it is waited for
trap collect_end EXIT

# until_true SECONDS COMMAND...
until_true()
{
	local tries=$(($1 * 20))
	shift
	until "$@"; do
		((tries-- > 0)) || return 1
		sleep 0.05
	done
}

is_ready() { grep -qs 'porttrace: ready' "$out/daemon.err" || ! kill -0 "$daemon" 2>/dev/null; }
has_said() { grep -qs "$2" "$out/$1.load" || ! kill -0 "${loads[$1]}" 2>/dev/null; }
# Does the history speak for this moment?
covers() { [[ $("$porttrace" who 1/udp --at "@$1.999999999" --history "$db" 2>&1) == *nobody\ had* ]]; }

start_daemon()
{
	"$porttrace" daemon "${backend[@]}" --history "$db" -v >/dev/null 2>"$out/daemon.err" &
	daemon=$!
	until_true 60 is_ready
}

is_tracing() { grep -qs 'porttrace: ready' "$out/$1.err" || ! kill -0 "${traces[-1]}" 2>/dev/null; }

# What failed, and what a rule or a wall is told of: for programs and for people.
start_trace() # NAME PATTERN OPTION...
{
	local name=$1 pattern=$2
	shift 2
	"$porttrace" "${backend[@]}" -v "$@" > >(grep -E "$pattern" >"$out/$name") 2>"$out/$name.err" &
	traces+=($!)
	until_true 60 is_tracing "$name"
}

start_traces()
{
	start_trace events.jsonl '"outcome":"failure"|"half":"second"|"rule":' --json
	start_trace events.text 'EADDR|failed|^    '
}

# Its standard input is open for as long as this shell holds the other end: no other process may.
start_load() # NAME
{
	(
		[ -z "$cgroup" ] || echo "$BASHPID" >"$cgroup/cgroup.procs"
		exec "$load" "$1" <"$out/hold" {hold}>&- >"$out/$1.load" 2>"$out/$1.err"
	) &
	loads[$1]=$!
}

end_loads()
{
	local name

	exec {hold}>&-
	for name in "${!loads[@]}"; do
		wait "${loads[$name]}" || echo "$name ended with $?" >&2
		unset "loads[$name]"
	done
}

ask() # FILE OPTION...
{
	local file=$out/$1
	shift
	"$porttrace" pressure --once --json --all --top 1000 --every 0.2 "${options[@]}" "$@" >"$file.pressure" 2>"$file.pressure.err"
	echo $? >"$file.pressure.status"
	"$porttrace" why "${options[@]}" "$@" >"$file.why" 2>"$file.why.err"
	echo $? >"$file.why.status"
}

ask_one() # NAME
{
	[ "$1" != T30 ] || { ask "$1" && return; } # two namespaces
	ask "$1" --netns "${loads[$1]}"
	"$porttrace" pressure --once --every 0.1 "${options[@]}" --netns "${loads[$1]}" >"$out/$1.text" 2>&1
}

# A healthy machine is so for a while: more than one answer, however long they take.
ask_healthy()
{
	local i=0 end=$((SECONDS + ${PRESSURE_SECONDS:-4}))
	while [ $i -lt 2 ] || [ $SECONDS -lt $end ]; do
		ask "healthy.$((++i))" --netns "${loads[healthy]}"
	done
}

collect_batch() # NAME...
{
	local name asked=()

	exec {hold}<>"$out/hold"
	for name; do start_load "$name"; done
	for name; do until_true 60 has_said "$name" READY || echo "$name does not get ready" >&2; done
	until_true 20 covers "$(date +%s)" || echo "the history does not come up to now" >&2
	if [ "$how" = all ]; then
		for name; do echo "all-$1" >"$out/$name.batch"; done
		ask "all-$1"
	else
		for name; do
			ask_one "$name" &
			asked+=($!)
		done
		wait "${asked[@]}"
	fi
	[[ " $* " != *" healthy "* ]] || ask_healthy
	[[ " $* " != *" T16 "* ]] || sleep 6
	end_loads
}

mkdir -p "$out"
mkfifo "$out/hold"
uname -r >"$out/release"
start_daemon
hold=
for batch; do
	# shellcheck disable=SC2086 # names
	if [ "$batch" = trace ]; then start_traces; else collect_batch $batch; fi
done
kill -TERM "$daemon" "${traces[@]}"
wait
daemon=
traces=()
rm -f "$out/hold" "$db"*
