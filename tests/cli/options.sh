#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Wrong usage ends at once with status 2 and one sentence; --help and --version answer on stdout.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

# refused NAME PATTERN ARG...: status 2; the first line is a sentence that matches; nothing on stdout
refused()
{
	local name=$1 pattern=$2 began
	shift 2
	began=$(now_ms)
	timeout 10 "$PORTTRACE" "$@" >"$T/out" 2>"$T/err" </dev/null
	expect "exit status" 2 $?
	[ $(($(now_ms) - began)) -lt $((1000 * patience)) ] || wrong "took $(($(now_ms) - began)) ms"
	expect_text "the message" "^porttrace: .*($pattern)" "$(head -1 "$T/err")"
	[ "$(wc -l <"$T/err")" -le 3 ] || wrong "more than three lines: $(cat "$T/err")"
	expect "stdout" "" "$(cat "$T/out")"
	verdict "options/$name"
}

# answers NAME PATTERN ARG...: status 0; stdout matches; nothing on stderr
answers()
{
	local name=$1 pattern=$2
	shift 2
	timeout 10 "$PORTTRACE" "$@" >"$T/out" 2>"$T/err" </dev/null
	expect "exit status" 0 $?
	expect_text "stdout" "$pattern" "$(cat "$T/out")"
	expect "stderr" "" "$(cat "$T/err")"
	verdict "options/$name"
}

refused unknown-long "--frobnicate" --frobnicate
refused unknown-short "-[zZ]" -Z
refused misspelled "--json" --jsno
refused misspelled-with-value "--duration" --duratoin 5
refused bad-backend "tracing" --backend tracin
refused bad-event "connect" -e bind,conect
refused bad-event-after-all "release" -e all,relase
refused empty-event "bind,listen" -e all,
refused bad-class "dynamic" --class dinamic
refused bad-color "always" --color allways
refused bad-attach-mode "attach|mode" --attach-mode Y
refused bad-port-name "https" -P htps
refused bad-port-name-in-list "redis" -D 80,rediss
refused bad-port-number "70000" -L 70000
refused bad-port-range "90-80" -P 90-80
refused empty-port "port" -P ""
refused bad-pid "abc" -p abc
refused zero-pid "'?0'?" -p 0
refused bad-duration "5x" -d 5x
refused negative-duration "-5" -d -5
refused zero-count "count" --count 0
refused bad-count "many" --count many
refused bad-ringbuf "5K" --ringbuf 5K
refused missing-value "--count.*(value|needs|N)" --count
refused missing-command "command" --
refused unexpected-value "--json" --json=yes
refused unknown-subcommand "doctor" docter
refused unknown-subcommand-far "frobnicate" frobnicate
refused empty-argument "porttrace" ""
refused bad-option-before-command "--json" --jsno -- true

answers help "--duration" --help
answers help-short "--cgroup" -h
answers help-wins "--cgroup" -x --json --help
answers version "porttrace [0-9]+\\.[0-9]+" --version
answers version-short "libbpf" -V

# every line of the help fits a terminal
"$PORTTRACE" --help >"$T/out"
expect "lines of the help over 80 columns" 0 "$(awk 'length > 80' "$T/out" | wc -l)"
verdict options/help-width

for how in --help --version; do
	"$PORTTRACE" $how >/dev/full 2>"$T/err"
	expect "exit status of $how" 1 $?
done
verdict options/help-disk-full

# a wrong path is the user's mistake, not the kernel's
for where in "--cgroup $T/none" "--netns $T/none" "--netns 4194304"; do
	# shellcheck disable=SC2086
	timeout 10 "$PORTTRACE" --backend cgroup --cgroup "$T/none" $where --duration 100ms >"$T/out" 2>"$T/err"
	expect_text "the exit status for $where" '^[12]$' $?
	expect_text "the message for $where" "No such (file|process)" "$(cat "$T/err")"
done
verdict options/wrong-path

exit $failed
