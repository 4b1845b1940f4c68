#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# porttrace [OPTIONS] -- COMMAND: the command's status, input and children.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
cli_need_backend

# run OPTION... -- COMMAND
run()
{
	timeout $((10 * patience)) "$PORTTRACE" "${options[@]}" -v "$@" >"$T/out" 2>"$T/err"
	status=$?
}

# own_cgroups: what a trace with its own cgroup may not leave behind
own_cgroups() { find "$(dirname "$cgroup")" -maxdepth 4 -type d -name 'porttrace-[0-9]*' 2>/dev/null; }

run -- true
expect "exit status" 0 "$status"
balanced
expect "events" 0 "$seen"
verdict command/status-0

run -- sh -c 'exit 7'
expect "exit status" 7 "$status"
verdict command/status-7

run -- sh -c 'kill -TERM $$'
expect "exit status" 143 "$status"
verdict command/status-signal

# porttrace does without huge pages; the command has what it would have had
if grep -q THP_enabled /proc/self/status; then
	# shellcheck disable=SC2016 # the command's
	run -- sh -c 'grep -h THP_enabled /proc/self/status /proc/$PPID/status'
	expect "huge pages" "$(grep THP_enabled /proc/self/status) THP_enabled:	0 " "$(grep THP "$T/out" | tr '\n' ' ')"
	verdict command/huge-pages
else
	echo "skip - cli/command/huge-pages: this kernel has none"
fi

run -- "$T/none"
expect "exit status" 127 "$status"
expect_text "the message" "porttrace: cannot run $T/none: No such file" "$(cat "$T/err")"
verdict command/not-found

echo data >"$T/file"
chmod 644 "$T/file"
run -- "$T/file"
expect "exit status" 126 "$status"
expect_text "the message" "porttrace: cannot run $T/file: Permission denied" "$(cat "$T/err")"
verdict command/not-executable

echo hello >"$T/in"
run -- sh -c "cat >$T/copy" <"$T/in"
expect "the command's input" hello "$(cat "$T/copy")"
verdict command/stdin

run -H -- "$load" binds 3
expect "exit status" 0 "$status"
balanced
expect "events shown" 6 "$shown"
expect "events seen" 6 "$seen"
expect "lines" 6 "$(wc -l <"$T/out")"
verdict command/events

# another process of the machine is not part of it
run -H -- sh -c "touch $T/go; sleep 1; $load binds 1" &
tracer=$!
until_true 5 test -e "$T/go"
binds 5
wait $tracer
expect "lines" 2 "$(wc -l <"$T/out")"
verdict command/only-its-events

# a child in the background, its parent long gone, and a session of its own
run -H -- sh -c "(sleep 0.5; $load binds 1; setsid sh -c 'sleep 0.3; $load binds 2') & exit 5"
expect "exit status" 5 "$status"
expect "lines" 6 "$(wc -l <"$T/out")"
balanced
verdict command/background-children

run --count 1 -H -- sh -c "$load binds 3; sleep 0.2; exit 9"
expect "lines" 1 "$(wc -l <"$T/out")"
verdict command/count

run -p 1 -- "$load" binds 3
expect "exit status" 0 "$status"
expect "lines" 1 "$(wc -l <"$T/out")"
verdict command/filter

# the inherited limits and signals are the shell's, not porttrace's
run -- sh -c "grep -E '^Sig(Ign|Blk)' /proc/self/status >$T/signals"
timeout 10 sh -c "grep -E '^Sig(Ign|Blk)' /proc/self/status >$T/signals_here"
expect "signals blocked and ignored" "$(cat "$T/signals_here")" "$(cat "$T/signals")"
verdict command/signals-inherited

run -- sh -c "ls -l /proc/self/fd >$T/fds"
timeout 10 sh -c "ls -l /proc/self/fd >$T/fds_here"
expect "number of open files" "$(wc -l <"$T/fds_here")" "$(wc -l <"$T/fds")"
verdict command/descriptors

# Ctrl-C of a terminal reaches both: the command decides, its status counts
"$load" exec "$PORTTRACE" "${options[@]}" -v -- sh -c "$load binds 1; touch $T/ready; exec sleep 100" \
	>"$T/out" 2>"$T/err" &
tracer=$!
until_true 10 test -e "$T/ready"
kill -INT -"$tracer"
await 3
expect "exit status" 130 "$status"
balanced
expect "events seen" 2 "$seen"
verdict command/ctrl-c

rm -f "$T/ready"
"$load" exec "$PORTTRACE" "${options[@]}" -v -- sh -c "trap 'exit 6' INT; touch $T/ready; sleep 100 & wait" \
	>"$T/out" 2>"$T/err" &
tracer=$!
until_true 10 test -e "$T/ready"
kill -INT -"$tracer"
await 3
expect "exit status" 6 "$status"
verdict command/ctrl-c-handled

# SIGTERM of porttrace alone (timeout, a service manager) ends it
rm -f "$T/ready"
start -- sh -c "touch $T/ready; exec sleep 20"
until_true 10 test -e "$T/ready"
stop TERM
verdict command/sigterm

expect "cgroups left" "" "$(own_cgroups)"
verdict command/cgroup-removed

# processes of the command that outlive the trace go on
rm -f "$T/ready"
before=$(own_cgroups)
run --count 1 -- sh -c "$load binds 1; sleep 1; touch $T/ready"
until_true 5 test -e "$T/ready" || wrong "the command did not go on"
expect "cgroups left" "$before" "$(own_cgroups)"
verdict command/outlives

exit $failed
