#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# A port that is in use: who has it. And a socket that another process made.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
cli_need_backend

# other ports than those that the run before has left in TIME_WAIT
base=$((46000 + $$ % 100 * 10))

# hold NAME PORT [COMMAND...]: listens in the background; $holder is the process id
hold()
{
	: >"$T/hold"
	within "${@:3}" "$load" hold "$1" "$2" >"$T/hold" &
	until_true 5 grep -q READY "$T/hold" || wrong "the holder did not start"
	read -r _ holder <"$T/hold"
}

# let_go PID: ends a holder
let_go()
{
	kill "$1"
	until_true 5 has_ended "$1"
}

# The one failed bind of process $1.
failed_bind() { grep "\"action\":\"bind\",\"outcome\":\"failure\".*\"name\":\"$1\"" "$T/out"; }

# said NAME WANTED: the holder in the failed bind of process NAME, a pattern
said()
{
	local line
	line=$(failed_bind "$1")
	expect "failed binds of $1" 1 "$(grep -c . <<<"$line")"
	expect_text "the failed bind of $1" "\"holder\":\{$2\}" "${line#*\"socket\":}"
}

# ---- a listener, that we saw come, and one that is older than we ----

hold pt-old $((base + 1))
old=$holder
start --json
within "$load" take pt-new $((base + 1))
sleep $((patience / 2 + 1)) # it is known by the kernel's list only, which is asked when the event is read
let_go "$old"
hold pt-holder $((base + 2))
within "$load" take pt-taker $((base + 2))
within "$load" take pt-again $((base + 2))
sleep $((patience / 2 + 1))
let_go "$holder"
within "$load" take pt-free $((base + 2))
finish
root='"user":\{"id":"0"(,"name":"root")?\},"ip":"0\.0\.0\.0"'
said pt-new "\"kind\":\"listener\",\"process\":\{\"pid\":$old,\"name\":\"pt-old\"\},$root"
verdict holder/older-than-we
said pt-taker "\"kind\":\"listener\",\"process\":\{\"pid\":$holder,\"name\":\"pt-holder\"\},$root"
said pt-again "\"kind\":\"listener\",\"process\":\{\"pid\":$holder,\"name\":\"pt-holder\"\},$root"
expect "failures of pt-free" "" "$(failed_bind pt-free)"
verdict holder/listener

# ---- a listener that has ended by the time when the failure is told ----

start --json
hold pt-holder $((base + 9))
within "$load" take pt-taker $((base + 9))
let_go "$holder"
finish
said pt-taker "\"kind\":\"listener\",\"process\":\{\"pid\":$holder,\"name\":\"pt-holder\"\},.*"
verdict holder/that-ends

# ---- a connection in TIME_WAIT of a process that has ended ----

start --json
client=$(within "$load" linger pt-client $((base + 3)) $((base + 4)))
within "$load" take pt-taker $((base + 3))
finish
said pt-taker "\"kind\":\"time-wait\",\"process\":\{\"pid\":$client,\"name\":\"pt-client\"\},\"user\":\{[^}]*\},\
\"exited\":true,\"expires\":[1-6]?[0-9],\"ip\":\"127\.0\.0\.1\""
verdict holder/time-wait

# ---- in another network namespace, where a port of ours is nobody's ----

if busybox unshare -n true 2>/dev/null; then
	start --json
	hold pt-here $((base + 5))
	here=$holder
	hold pt-there $((base + 5)) busybox unshare -n
	busybox nsenter -t "$holder" -n true || wrong "no namespace to enter"
	within busybox nsenter -t "$holder" -n "$load" take pt-taker $((base + 5))
	within busybox nsenter -t "$holder" -n "$load" take pt-other $((base + 6))
	let_go "$holder"
	let_go "$here"
	finish
	said pt-taker "\"kind\":\"listener\",\"process\":\{\"pid\":$holder,\"name\":\"pt-there\"\},.*"
	expect "failures of pt-other" "" "$(failed_bind pt-other)"
	verdict holder/namespace
else
	skip holder/namespace "no network namespaces here"
fi

# ---- the table ----

start
hold pt-holder $((base + 7))
within "$load" take pt-taker $((base + 7))
let_go "$holder"
finish
if [ "$backend" = cgroup ]; then words="failed port of"; else words="EADDRINUSE in use by"; fi
expect_text "the table" "pt-taker .* $words pt-holder \(pid $holder\), listener" "$(grep pt-taker "$T/out")"
verdict holder/table

# ---- a listener that a child takes over ----

start --json
parent=$(within "$load" pass pt-parent pt-child $((base + 8)))
finish
line=$(grep '"action":"accept"' "$T/out")
expect_text "the accept" '"name":"pt-child"' "$line"
expect_text "the accept" "\"creator\":\{\"pid\":$parent,\"name\":\"pt-parent\"\}" "$line"
expect "creators at the bind" "" "$(grep '"action":"bind"' "$T/out" | grep creator)"
# the child has it last
line=$(grep '"action":"close"' "$T/out" | grep "\"port\":$((base + 8))}" | grep -v '"source"')
expect_text "the listener's close" "\"creator\":\{\"pid\":$parent,\"name\":\"pt-parent\"\}" "$line"
verdict holder/creator

exit $failed
