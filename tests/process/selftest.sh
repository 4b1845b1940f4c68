#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Does check.py find what is wrong? One true event, and each way in which it can be false.

set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0

# "pt" has run "/pt a"; pid 7, thread 8.
record='{"case":"c","action":"connect","cookie":5,"pid":7,"tid":8,"ppid":1,"uid":0,"comm":"7074","exe":"2f7074","args":"2f7074006100"}'
event='{"event":{"action":"connect"},"process":{"pid":7,"thread":{"id":8},"parent":{"pid":1},"name":"pt","executable":"/pt",
"command_line":"/pt a"},"user":{"id":"0"},"porttrace":{"socket":{"cookie":5}}}'

# try NAME WANTED-STATUS RECORD JQ-FILTER: the event, changed by the filter.
try()
{
	local status

	echo "$3" >"$dir/record"
	echo "$event" | jq -c "$4" >"$dir/events"
	python3 "$here/check.py" --record "$dir/record" --events "$dir/events" >"$dir/out" 2>&1
	status=$?
	if [ $status = "$2" ]; then
		echo "ok - process-checker/$1"
	else
		echo "not ok - process-checker/$1: ended with $status: $(tr '\n' ' ' <"$dir/out")"
		failed=1
	fi
}

with() { echo "$record" | jq -c "$1"; }

try 'the truth' 0 "$record" .
try 'an unknown parent is no lie' 0 "$record" 'del(.process.parent)'
try 'a cut command line' 0 "$(with '.args = "61" * 400')" '.process.command_line = "a" * 255'
try 'broken UTF-8' 0 "$(with '.comm = "fffe78"')" '.process.name = "\ufffd\ufffdx"'
try 'a creator and a vpid' 0 "$(with '.creator = 9 | .creator_name = "61" | .vpid = 2')" \
	'.porttrace.creator = {pid: 9, name: "a"} | .process.vpid = 2'
try 'another pid' 1 "$record" '.process.pid = 6'
try 'another thread' 1 "$record" '.process.thread.id = 7'
try 'another parent' 1 "$record" '.process.parent.pid = 2'
try 'another user' 1 "$record" '.user.id = "1"'
try 'another name' 1 "$record" '.process.name = "worker"'
try 'a name where there is none' 1 "$(with '.comm = ""')" .
try 'no executable' 1 "$record" 'del(.process.executable)'
try 'another executable' 1 "$record" '.process.executable = "/other"'
try 'no command line' 1 "$record" 'del(.process.command_line)'
try 'a command line cut too much' 1 "$(with '.args = "61" * 400')" '.process.command_line = "aaa"'
try 'a creator too many' 1 "$record" '.porttrace.creator = {pid: 9}'
try 'no creator' 1 "$(with '.creator = 9 | .creator_name = "61"')" .
try 'no vpid' 1 "$(with '.vpid = 2')" .
try 'a missing event' 1 "$record" '.porttrace.socket.cookie = 6'
try 'an event twice' 1 "$record" '., .'
exit $failed
