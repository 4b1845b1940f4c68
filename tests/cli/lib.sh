# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC2034
#
# For the command-line tests: how porttrace is started and stopped, and how a verdict is told. Needs bash and busybox.
#
#   PORTTRACE                 the binary (build/porttrace)
#   PORTTRACE_TEST_BACKEND    cgroup: in a cgroup made for the test, below the cgroup2 mount (the default)
#                             tracing: the whole machine; for virtual machines

set -uo pipefail

cli_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cli_root=$(cd "$cli_here/../.." && pwd)
PORTTRACE=${PORTTRACE:-$cli_root/build/porttrace}
PORTTRACE=$(cd "$(dirname "$PORTTRACE")" && pwd)/$(basename "$PORTTRACE")
backend=${PORTTRACE_TEST_BACKEND:-cgroup}
T=$(mktemp -d)
chmod 755 "$T"
failed=0
tracer=
cgroup=
# an emulated machine is slow: time limits are stretched there
patience=1
[ "$backend" = cgroup ] || patience=6

ok() { echo "ok - cli/$1"; }
not_ok()
{
	echo "not ok - cli/$1: ${*:2}"
	failed=1
}
skip() { echo "skip - cli/$1: ${*:2}"; }

# verdict NAME WHY...: ok if nothing was found wrong since the last verdict, see wrong()
problems=
wrong() { problems+="${problems:+; }$*"; }
verdict()
{
	if [ -z "$problems" ]; then ok "$1"; else not_ok "$1" "$problems"; fi
	problems=
}

# expect WHAT WANTED GOT
expect() { [ "$2" = "$3" ] || wrong "$1 is '$3', not '$2'"; }
# expect_text WHAT PATTERN TEXT: an extended regular expression
expect_text() { [[ $3 =~ $2 ]] || wrong "no '$2' in $1 '${3:0:300}'"; }

now_ms()
{
	local s ns
	read -r s _ </proc/uptime
	ns=${s#*.}
	echo $((${s%.*} * 1000 + 10#$ns * 10))
}

# until_true SECONDS COMMAND...: polls; 1 when it never came true
until_true()
{
	local end=$(($(now_ms) + $1 * patience * 1000))
	shift
	until "$@"; do
		[ "$(now_ms)" -lt $end ] || return 1
		sleep 0.05
	done
}

# A zombie has ended: it only waits for its parent, which is this script.
has_ended()
{
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
	[[ ${stat##*) } == [ZX]* ]]
}

has_program() { command -v "$1" >/dev/null 2>&1; }

cli_cleanup()
{
	local pid i
	for pid in $(jobs -p); do
		kill -KILL "$pid" 2>/dev/null
	done
	wait 2>/dev/null
	if [ -n "$cgroup" ]; then
		# what a command that was traced has left
		for pid in $(cat "$cgroup/cgroup.procs" "$cgroup"/*/cgroup.procs 2>/dev/null); do
			kill -KILL "$pid" 2>/dev/null
		done
		for ((i = 0; i < 50; i++)); do
			rmdir "$cgroup"/*/*/ "$cgroup"/*/ "$cgroup" 2>/dev/null
			[ -d "$cgroup" ] || break
			sleep 0.1
		done
	fi
	rm -rf "$T"
}
trap cli_cleanup EXIT

# Sets $cgroup to an own cgroup and $options to those that choose the backend. Ends the test where that cannot be.
cli_need_backend()
{
	local mount
	mount=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
	if [ "$(id -u)" != 0 ] || [ -z "$mount" ]; then
		skip "$(basename "$0" .sh)" "needs root and a mounted cgroup2 hierarchy"
		exit 0
	fi
	cgroup=$mount/porttrace-cli-$$
	mkdir "$cgroup" || exit 1
	case $backend in
	cgroup) options=(--backend cgroup --cgroup "$cgroup") ;;
	tracing) options=(--backend tracing) ;;
	*)
		echo "PORTTRACE_TEST_BACKEND is cgroup or tracing" >&2
		exit 1
		;;
	esac
	cli_need_load
}

# tests/cli/load.c, tests/stress: beside porttrace, or below it in the build folder; load.c is compiled if missing
cli_need_load()
{
	local dir
	dir=$(dirname "$PORTTRACE")
	load=$(ls "$dir/cli-load" "$dir/tests/cli-load" 2>/dev/null | head -1)
	stress=$(ls "$dir/stress" "$dir/tests/stress" 2>/dev/null | head -1)
	if [ -z "$load" ] || [ "$cli_here/load.c" -nt "$load" ]; then
		load=$T/cli-load
		if ! ${CC:-cc} -D_GNU_SOURCE -O1 -Wall -Wextra -o "$load" "$cli_here/load.c" 2>"$T/cc.log"; then
			not_ok "$(basename "$0" .sh)" "no cli-load beside $PORTTRACE, and none can be compiled"
			exit 1
		fi
	fi
}

# Runs a command inside the test's cgroup; exec, so that $! is the command's own process id.
# $1 can be another cgroup's path.
within()
{
	local dir=$cgroup
	[[ $1 == /* && -e $1/cgroup.procs ]] && dir=$1 && shift
	(
		echo "$BASHPID" >"$dir/cgroup.procs"
		exec "$@"
	)
}

binds() { within "$load" binds "$1"; }

# start OPTION...: porttrace in the background; its output is in $T/out and $T/err; waits until it sees everything.
# stdout=FILE start ...: another stdout
start()
{
	: >"$T/err"
	"$PORTTRACE" "${options[@]}" -v "$@" >"${stdout:-$T/out}" 2>"$T/err" &
	tracer=$!
	wait_ready
}

is_ready() { grep -q '^porttrace: ready' "$T/err" || has_ended "$tracer"; }

wait_ready()
{
	until_true 10 is_ready
	if ! grep -q '^porttrace: ready' "$T/err"; then
		wrong "porttrace did not start: $(head -c 300 "$T/err")"
		return 1
	fi
}

# await SECONDS: waits for the end of porttrace; $status is its exit status, or "none" (it is then killed)
await()
{
	status=none
	if until_true "$1" has_ended "$tracer"; then
		wait "$tracer"
		status=$?
	else
		wrong "still there after $(($1 * patience)) s"
		kill -KILL "$tracer"
		wait "$tracer" 2>/dev/null
	fi
}

# stop [SIGNAL]: ends porttrace by a signal
stop()
{
	kill -"${1:-INT}" "$tracer" 2>/dev/null
	await 5
}

# finish: the usual end of a test that only wants to know what was shown
finish()
{
	sleep 0.2
	stop INT
	expect "exit status" 0 "$status"
	balanced
}

# The closing line (-v): seen = shown + filtered + lost. Sets $shown, $seen, $lost, $filtered.
balanced()
{
	local line
	line=$(grep ' events shown, ' "$T/err")
	shown=0 seen=0 lost=0 filtered=0
	if [[ $line =~ ^([0-9]+)\ events\ shown,\ ([0-9]+)\ seen,\ ([0-9]+)\ lost.*\;\ ([0-9]+)\ filtered ]]; then
		shown=${BASH_REMATCH[1]} seen=${BASH_REMATCH[2]} lost=${BASH_REMATCH[3]} filtered=${BASH_REMATCH[4]}
		expect "shown + filtered + lost" "$seen" $((shown + filtered + lost))
	else
		wrong "no closing line: '$(tail -1 "$T/err")'"
	fi
}

# feed SECONDS: makes events until porttrace has ended
feed()
{
	local end=$(($(now_ms) + $1 * patience * 1000))
	while ! has_ended "$tracer" && [ "$(now_ms)" -lt $end ]; do
		binds 2
		sleep 0.1
	done
}
