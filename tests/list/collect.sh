#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Thousands of sockets in network namespaces of their own, and what ss and porttrace list say of them, for compare.py.
#
#   collect.sh OUT [NAMESPACES [SOCKETS]]     PORTTRACE and LIST_LOAD are the programs; as root

set -uo pipefail
out=$1 namespaces=${2:-20} sockets=${3:-10000}
porttrace=${PORTTRACE:-build/porttrace}
load=${LIST_LOAD:-build/tests/list-load}
export PATH=$PATH:/usr/sbin:/sbin

mkdir -p "$out"
touch "$out/churn"
uname -r >"$out/release"
coproc LOAD { exec "$load" "$namespaces" "$sockets" "$out" 2>"$out/load.err"; }
# shellcheck disable=SC2153 # bash sets it
load_pid=$LOAD_PID
trap 'kill "$load_pid" 2>/dev/null' EXIT

await() { # WORD SECONDS
	local line
	read -r -t "$2" line <&"${LOAD[0]}" && [ "$line" = "$1" ] && return
	echo "no $1: $(cat "$out/load.err")" >&2
	exit 1
}

# Each namespace through the process of the load that lives in it.
ask_ss() { # NAME
	local i pid
	for ((i = 0; i < namespaces; i++)); do
		pid=$(sed -n 's/^{"pid":\([0-9]*\),.*/\1/p' "$out/$i.json")
		stat -Lc %i "/proc/$pid/ns/net" >"$out/$i.netns"
		nsenter "--net=/proc/$pid/ns/net" ss -tuanpOH >"$out/$i.$1" 2>>"$out/ss.err"
	done
}

await READY 300
# under churn: it must neither fail nor show a socket twice
for i in 1 2 3; do
	"$porttrace" list --json >"$out/churn-$i.jsonl" 2>"$out/churn-$i.err"
	echo $? >"$out/churn-$i.status"
done
rm "$out/churn"
await QUIET 60
sleep 0.5 # the last packets
ask_ss before
"$porttrace" list --json >"$out/list.jsonl" 2>"$out/list.err"
echo $? >"$out/list.status"
ask_ss after
