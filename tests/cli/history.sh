#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# porttrace who --at and porttrace history, on histories that tests/history/generate.c writes: no root, no BPF.

# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

make=$(ls "$(dirname "$PORTTRACE")/history-make" "$(dirname "$PORTTRACE")/tests/history-make" 2>/dev/null | head -1)
if [ -z "$make" ] || ! has_program python3; then
	skip history "needs history-make beside $PORTTRACE, and python3"
	exit 0
fi
db=$T/history.db

now_ns() { date +%s%N; }

# asked STATUS ARG...: what porttrace says, in $out and $said
asked()
{
	local want=$1 status
	shift
	"$PORTTRACE" "$@" --history "$db" >"$T/out" 2>"$T/err"
	status=$?
	out=$(cat "$T/out") said=$(cat "$T/err")
	expect "exit status of $*" "$want" "$status"
}

before=$(now_ns)
"$make" "$db" "$T/log1" 60000 &
maker=$!
sleep 4
killed=$(now_ns)
kill -KILL "$maker"
wait "$maker" 2>/dev/null
sleep 0.5
again=$(now_ns)
"$make" "$db" "$T/log2" 2500 || wrong "the second run did not end well"
# it told nothing after that
ended=$(tail -1 "$T/log2" | cut -d' ' -f3)

second=1000000000
# what a kill may cost
loss=$((${LOSS_MS:-1000} * 1000000))
"$cli_root/tests/history/ask.py" "$PORTTRACE" "$db" "${QUESTIONS:-1000}" 1 \
	"$T/log1" $((before + second / 2)) $((killed - loss)) \
	"$T/log2" $((again + second / 2)) $((ended - second / 10)) >"$T/answers" ||
	wrong "$(head -3 "$T/answers" | tr '\n' ' ')"
echo "# $(tail -1 "$T/answers")"
verdict history/questions_after_a_kill

at() { echo "@$(($1 / second)).$(printf %09d $(($1 % second)))"; }

asked 1 who 50001 --at "$(at $((killed + second / 4)))"
expect "output" "" "$out"
expect_text "the gap" "no porttrace was writing at .*; the last before ended .*, the next began" "$said"
verdict history/gap
asked 1 who 50001 --at "$(at $((before - second)))"
expect_text "what is before" "nothing is known of .*: the history begins " "$said"
verdict history/before_it_begins
asked 1 who 49999 --at "$(at $((killed - loss)))"
expect_text "nobody" "nobody had port 49999 at " "$said"
verdict history/nobody

asked 0 history --limit 5 -P 50001
expect "lines" 6 "$(wc -l <"$T/out")"
expect_text "header" "^SINCE +UNTIL +STATE " "$out"
expect_text "limit" "the newest 5 only" "$said"
asked 0 history -c no-such-program -H
expect "output" "" "$out"
asked 0 history -a 10.0.3.9 -P 443 --limit 2 --json
expect "remote ports" "443" "$(sed 's/.*"destination":{"ip":"10.0.3.9","port":\([0-9]*\).*/\1/' "$T/out" | sort -u)"
asked 0 history --stat
expect_text "statistics" "runs +2" "$out"
verdict history/list

head -c 20000 /dev/urandom >"$T/noise.db"
cp "$T/noise.db" "$db"
rm -f "$db-wal" "$db-shm"
asked 1 history
expect_text "a foreign file" "is no history of porttrace" "$said"
asked 1 who 80 --at 12:00
expect_text "a foreign file" "is no history of porttrace" "$said"
db=$T/nowhere.db
asked 1 history
expect_text "no file" "there is no history " "$said"
asked 2 history --since yesterday
expect_text "a wrong time" "'yesterday' is no time" "$said"
asked 2 who 80 --at 2099-01-01
expect_text "the future" "is still to come" "$said"
verdict history/mistakes

# Without SQLite, which is loaded when a file is opened: an empty file stands in its place.
lib=$(ldconfig -p | sed -nE 's/.*libsqlite3\.so\.0 .* => //p' | head -1)
if [ -n "$lib" ] && unshare --mount true 2>/dev/null; then
	: >"$T/empty"
	without() { unshare --mount bash -c 'mount --bind "$1" "$(readlink -f "$2")" && shift 2 && exec "$@"' - "$T/empty" "$lib" "$PORTTRACE" "$@"; }
	without history --history "$T/noise.db" >"$T/out" 2>"$T/err"
	expect "exit status" 1 $?
	expect_text "a history" "libsqlite3.so.0 cannot be loaded: sudo apt install libsqlite3-0" "$(cat "$T/err")"
	expect_text "the version" "SQLite missing" "$(without --version)"
	expect_text "what needs no history" "https" "$(without service 443)"
	expect_text "writing one" "libsqlite3.so.0 cannot be loaded" "$(without --history "$T/none.db" -- true 2>&1)"
	expect "files that stay" "" "$(compgen -G "$T/none.db*")"
	verdict history/without-sqlite
else
	skip history/without-sqlite "needs unshare and ldconfig"
fi

exit $failed
