#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# What goes to stdout and stderr, and when a trace ends by itself.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
cli_need_backend

# shown_by OPTION...: porttrace over five binds of 127.0.0.1
shown_by()
{
	start "$@" || return
	binds 5
	finish
}

# until_end OPTION...: without -v; events until it has ended by itself
until_end()
{
	"$PORTTRACE" "${options[@]}" "$@" >"$T/out" 2>"$T/err" &
	tracer=$!
	feed 15
	await 3
	expect "exit status" 0 "$status"
}

shown_by --json
expect "lines" 10 "$(wc -l <"$T/out")"
expect "lines that are no event" 0 "$(grep -cvE '^\{"@timestamp":"[^"]*Z",.*\}$' "$T/out")"
if has_program jq; then
	read_by_jq=$(jq -c 'select(.event.kind == "event" and .porttrace.schema == 1)' "$T/out" | wc -l)
	expect "events that jq reads" 10 "$read_by_jq"
	expect "sequence" "1 2 3 4 5 6 7 8 9 10" "$(jq -r .event.sequence "$T/out" | tr '\n' ' ' | sed 's/ $//')"
	expect "backend" "\"$backend\"" "$(jq -c .porttrace.backend "$T/out" | sort -u)"
fi
verdict output/json

grep -q '"user":{"id":"0","name":"root"}' "$T/out" || wrong "no user name without -n"
verdict output/user-name

shown_by --json -n
expect "lines with a user's name" 0 "$(grep -c '"user":{[^}]*"name"' "$T/out")"
expect "lines with a user's id" 10 "$(grep -c '"user":{"id":"0"}' "$T/out")"
verdict output/numeric

shown_by
expect "header lines" 1 "$(grep -c '^TIME  *EVENT' "$T/out")"
expect "binds" 5 "$(grep -cE '^[0-9:.]{12} +bind +udp +[0-9]+ +cli-load +127\.0\.0\.1:[0-9]+ .* bind0 +ok' "$T/out")"
expect "control sequences" 0 "$(grep -c $'\033' "$T/out")"
verdict output/table

shown_by -H
expect "header lines" 0 "$(grep -c TIME "$T/out")"
expect "lines" 10 "$(wc -l <"$T/out")"
verdict output/no-header

until_end -q --count 2
expect "stderr" "" "$(cat "$T/err")"
expect "lines" 3 "$(wc -l <"$T/out")"
verdict output/quiet

until_end --count 3
expect "lines" 4 "$(wc -l <"$T/out")"
expect_text "the closing line" '^3 events shown, [0-9]+ seen, 0 lost$' "$(cat "$T/err")"
verdict output/count

# one burst larger than the count: still just as many
start -H --count 3
binds 20
await 5
expect "exit status" 0 "$status"
expect "lines" 3 "$(wc -l <"$T/out")"
balanced
expect "events shown" 3 "$shown"
verdict output/count-in-a-burst

began=$(now_ms)
timeout 60 "$PORTTRACE" "${options[@]}" --duration 1 >"$T/out" 2>"$T/err"
expect "exit status" 0 $?
took=$(($(now_ms) - began))
[ $took -ge 1000 ] && [ $took -le $((5000 * patience)) ] || wrong "took $took ms"
expect "stderr" "0 events shown, 0 seen, 0 lost" "$(cat "$T/err")"
verdict output/duration

# a busy ring does not put the end off
start --duration 1500ms
feed 4
expect "still running" "" "$(has_ended "$tracer" || echo yes)"
await 1
verdict output/duration-under-load

# ---- time of day ----

# shown_hours OPTION...: the hour and minute of the first event, and of a clock before and after it
clock_check()
{
	local zone=$1 before after time
	shift
	before=$(TZ=$zone date +%H:%M)
	TZ=LOC-05:30 shown_by -H "$@"
	after=$(TZ=$zone date +%H:%M)
	time=$(head -1 "$T/out")
	time=${time:0:5}
	[ "$time" = "$before" ] || [ "$time" = "$after" ] || wrong "time '$time', not $before"
}

clock_check LOC-05:30
verdict output/local-time
clock_check UTC0 --utc
verdict output/utc

# ---- colour ----

shown_by --color always
[ "$(grep -c $'\033\[' "$T/out")" -gt 0 ] || wrong "no colour"
verdict output/color-always

export TERM=xterm
NO_COLOR=1 shown_by --color always
[ "$(grep -c $'\033\[' "$T/out")" -gt 0 ] || wrong "NO_COLOR is stronger than --color always"
verdict output/color-option-wins

# on_terminal OPTION...: porttrace on a pseudo-terminal; its output in $T/out
on_terminal()
{
	script -qec "'$PORTTRACE' ${options[*]} --count 2 $*" /dev/null >"$T/out" 2>"$T/err" </dev/null &
	tracer=$!
	feed 10
	await 3
}

if has_program script && script --version 2>/dev/null | grep -q util-linux; then
	on_terminal
	[ "$(grep -c $'\033\[' "$T/out")" -gt 0 ] || wrong "no colour on a terminal"
	verdict output/color-auto
	on_terminal --color never
	expect "coloured lines" 0 "$(grep -c $'\033\[' "$T/out")"
	verdict output/color-never
	NO_COLOR=1 on_terminal
	expect "coloured lines" 0 "$(grep -c $'\033\[' "$T/out")"
	verdict output/no-color
	NO_COLOR='' on_terminal
	[ "$(grep -c $'\033\[' "$T/out")" -gt 0 ] || wrong "an empty NO_COLOR counts"
	verdict output/no-color-empty
	TERM=dumb on_terminal
	expect "coloured lines" 0 "$(grep -c $'\033\[' "$T/out")"
	verdict output/term-dumb
else
	skip output/color-auto "no script(1)"
fi

exit $failed
