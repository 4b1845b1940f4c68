#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# A kernel without udp_diag: what cannot be seen is said in one line, and never taken for "nobody". Takes the module
# away, and so runs in a virtual machine only.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
[ "$backend" = tracing ] || exit 0
cli_need_backend

# missing WANTED-STATUS PATTERN COMMAND...
missing()
{
	"$PORTTRACE" "${@:3}" >"$T/out" 2>&1
	expect "exit status" "$1" $?
	expect_text "what $3 says" "$2" "$(cat "$T/out")"
	[ "$(grep -ci udp_diag "$T/out")" = 1 ] || wrong "$3 says it $(grep -ci udp_diag "$T/out") times"
	verdict "no-udp/$3${4:+-${4//[^a-z0-9]/}}"
}

rmmod udp_diag 2>/dev/null
helper=$(cat /proc/sys/kernel/modprobe)
echo >/proc/sys/kernel/modprobe
missing 0 'Not visible: UDP. This kernel has no udp_diag' pressure --once --no-bpf
missing 0 'Not visible: UDP. This kernel has no udp_diag' why --no-bpf
missing 0 'UDP sockets are not listed: this kernel has no udp_diag' list
missing 1 'nobody has port 53/tcp' who 53
missing 1 'UDP sockets are not visible: this kernel has no udp_diag' who 53/udp
missing 4 'this kernel has no udp_diag: its UDP sockets cannot be listed' free --udp 127.0.0.1:53
"$PORTTRACE" who 53/udp 2>&1 | grep -q nobody && wrong "says that nobody has it"
verdict no-udp/never-nobody
echo "$helper" >/proc/sys/kernel/modprobe
exit $failed
