#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# porttrace doctor, as a user meets it. What works differs from machine to machine: the tests compare what it says with what
# it does, and with what a trace then does.

# shellcheck disable=SC2181,SC2016 # a status is told together with other findings; jq has variables of its own
set -u
porttrace=$(realpath "${PORTTRACE:-build/porttrace}")
failed=0
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
: >"$dir/err"

verdict() { # STATUS NAME
	if [ "$1" = 0 ]; then
		echo "ok - cli/doctor/$2"
		return
	fi
	failed=1
	echo "not ok - cli/doctor/$2"
	sed 's/^/# /' "$dir/out" "$dir/err"
}

skip() { # NAME WHY
	echo "skip - cli/doctor/$1: $2"
}

cgroups() {
	awk '$3 == "cgroup2" { print $2 }' /proc/self/mounts | xargs -rI{} find {} -type d -name 'porttrace-doctor-*' 2>/dev/null
}

says() { # EXTENDED-REGEX
	grep -qE -- "$1" "$dir/out"
}

"$porttrace" doctor >"$dir/out" 2>"$dir/err"
status=$?
case $status in
0) says '^porttrace works here, with the (tracing|cgroup) backend' ;;
3 | 4) says '^porttrace cannot trace' ;;
*) false ;;
esac
verdict $? 'the first line fits the exit status'
[ ! -s "$dir/err" ]
verdict $? 'nothing on standard error'
says "^  (ok|limited) +kernel +$(uname -r)" && says "^  (ok|limited) +architecture +$(uname -m)"
verdict $? 'kernel and architecture'
says '^  (ok|missing) +kernel type information' && says '^  ok +lockdown' && says '^  (ok|limited|missing) +preemption'
verdict $? 'BTF, lockdown, preemption'
for cap in BPF PERFMON NET_ADMIN SYS_PTRACE SYS_ADMIN; do
	says "^  (ok|limited|missing) +CAP_$cap " || false
	verdict $? "CAP_$cap"
done
says 'tracing backend, mode F' && says 'tracing backend, mode X' && says '^  (ok|missing) +cgroup backend'
verdict $? 'each backend in each mode'
# a remedy is said once, under the first thing that it mends: so behind the first bad line there is one
! says '^  missing' || says '^ +> '
verdict $? 'what is missing has a remedy'
[ -z "$(cgroups)" ]
verdict $? 'the cgroup for the trial is gone'

if [ $status = 0 ]; then
	backend=$(sed -n '1s/.*with the \(tracing\|cgroup\) backend.*/\1/p' "$dir/out")
	if [ "$backend" = tracing ] || [ -n "${DOCTOR_TRACE:-}" ]; then
		"$porttrace" --json --duration 0.1 --backend "$backend" >"$dir/trace" 2>"$dir/err"
		verdict $? 'the backend that it names can trace'
	else
		skip 'the backend that it names can trace' 'would attach to the root cgroup (DOCTOR_TRACE=1 does)'
	fi
	[ "$backend" != cgroup ] || says '^It cannot see: '
	verdict $? 'what the backend cannot see'
	says "^(Tracing|Cgroup) backend +brings"
	verdict $? 'the hooks'
fi

"$porttrace" doctor --json >"$dir/out" 2>"$dir/err"
[ $? = "$status" ] && [ "$(wc -l <"$dir/out")" = 1 ]
verdict $? 'json: one line, the same exit status'
if type jq >/dev/null 2>&1; then
	check() { jq -e "$2" "$dir/out" >"$dir/err" 2>&1; verdict $? "json: $1"; }
	check 'checks' '.checks | length > 15 and all(.id and .what and .detail and (.status | IN("ok", "limited", "missing")))'
	check 'ids are unique' '.checks | (map(.id) | unique | length) == length'
	check 'backends' '[.backends[] | .name + (.mode // "")] == ["tracingF", "tracingX", "cgroup"]'
	check 'what fails has its errno and words' '.backends | all(.works or (.error and .message))'
	check 'what works has hooks, all attached or absent' '.backends | all((.works | not) or
		((.hooks | length) > 10 and (.hooks | all(.attached or .error == "ENOENT"))))'
	check 'the chosen backend works' '(.works | not) or (. as $all | .backends
		| any(.name == $all.backend and .mode == $all.mode and .works))'
	check 'tracing is chosen if it works' '.checks as $c | (.backends | map(select(.name == "tracing" and .works)) | length < 2)
		or .backend == "tracing"'
else
	skip 'json: what it holds' 'no jq'
fi

# ---- ports of services that clients may get: in a network namespace of its own, where alone settings are changed ----

# Behind each of them: a shell in new network and mount namespaces, with /etc/services and the units of the test.
ports_setup='
set -eu
mount --bind "$dir/services" /etc/services
mount -t tmpfs units /etc/systemd/system
touch /etc/systemd/system/dircproxy.service /etc/systemd/system/otherd.service
ln -s /dev/null /etc/systemd/system/masked.service
echo "32768 60999" >/proc/sys/net/ipv4/ip_local_port_range
echo 40010-40019,50000 >/proc/sys/net/ipv4/ip_local_reserved_ports
pids=
hold() {
	"$load" "$@" >"$dir/ready" &
	pids="$pids $!"
	until [ -s "$dir/ready" ] || ! kill -0 $!; do sleep 0.05; done
	rm "$dir/ready"
}
trap '\''kill $pids'\'' EXIT
hold hold pt-named 40050
hold hold pt-reserved 40011
hold hold pt-low 8080
hold bound pt-bacnet 47808
hold bound pt-client 51707
'
in_own_netns() { # SCRIPT
	dir=$dir porttrace=$porttrace load=$load unshare -n -m bash -c "$ports_setup$1" >"$dir/out" 2>"$dir/err"
}

# load.c: beside porttrace, or below it in the build folder
here=$(dirname "${BASH_SOURCE[0]}")
load=$(ls "$(dirname "$porttrace")/cli-load" "$(dirname "$porttrace")/tests/cli-load" 2>/dev/null | head -1)
if [ -z "$load" ] || [ "$here/load.c" -nt "$load" ]; then
	load=$dir/cli-load
	${CC:-cc} -D_GNU_SOURCE -o "$load" "$here/load.c" 2>"$dir/err" || load=
fi
if [ "$(id -u)" != 0 ] || [ -z "$load" ] || ! unshare -n -m true 2>/dev/null || ! type jq nsenter >/dev/null 2>&1 ||
	[ ! -d /etc/systemd/system ] || [ ! -f /etc/services ]; then
	skip 'ports' 'needs root, load.c, unshare, nsenter, jq, /etc/services and /etc/systemd/system'
else
	printf '%s\n' 'dircproxy 57000/tcp' 'masked 57001/tcp' 'strange 57002/udp other' 'nodaemon 57003/tcp' \
		'dircproxy 80/udp' >"$dir/services"
	line=net.ipv4.ip_local_reserved_ports=40010-40019,40050,47808,50000,57000,57002
	in_own_netns '"$porttrace" doctor || true'
	says '^  warning ports of services +4 in the ephemeral range 32768-60999 and not reserved' &&
		says "> sudo sysctl -w $line\$" && says '^ +tcp 40050 +listened on by pt-named \([0-9]+\)$'
	verdict $? 'ports: the warning, and the line that reserves them'
	says 'udp 47808 +bacnet: bound by pt-bacnet' && ! says 'udp 51707' && ! says 'tcp (8080|40011)'
	verdict $? 'ports: a bound UDP port with a name, none without, none outside of the range or reserved'
	says '57000 +dircproxy: in /etc/services, and dircproxy.service is installed' && says 'udp 57002 .*otherd.service' &&
		! says '5700[13]'
	verdict $? 'ports: services by name whose unit is installed and not masked'
	in_own_netns '"$porttrace" doctor --json || true'
	check 'ports' '.ports[0] | [.at_risk[] | "\(.protocol) \(.port) \(.use)"] == ["tcp 40050 listener", "udp 47808 bound",
		"tcp 57000 named", "udp 57002 named"] and .range == {low: 32768, high: 60999} and .taken == []'
	jq -e --arg line "sudo sysctl -w $line" '.ports[0].remedy == $line' "$dir/out" >/dev/null 2>"$dir/err"
	verdict $? 'json: the line that reserves them'
	in_own_netns 'line=$("$porttrace" doctor --json | jq -r ".ports[0].remedy | ltrimstr(\"sudo sysctl -w \")") || true
		echo "${line#*=}" >/proc/sys/net/ipv4/ip_local_reserved_ports
		cat /proc/sys/net/ipv4/ip_local_reserved_ports; "$porttrace" doctor || true'
	says "^${line#*=}\$" && says '^  ok +ports of services +none is seen in the ephemeral range 32768-60999'
	verdict $? 'ports: the kernel takes the line, and nothing is left to warn of'
	in_own_netns 'nsenter --net="/proc/$PPID/ns/net" "$porttrace" doctor --json || true; readlink /proc/self/ns/net'
	inode=$(sed -n 's/^net:\[\([0-9]*\)\]$/\1/p' "$dir/out")
	sed -i '/^net:/d' "$dir/out"
	jq -e --argjson inode "${inode:-0}" '.ports[1:] | map(select(.netns.inode == $inode)) | length == 1 and all(
		([.at_risk[].port] == [40050, 47808]) and (.remedy | test("^sudo nsenter -t [0-9]+ -n sysctl -w .*=40010")))' \
		"$dir/out" >/dev/null 2>"$dir/err"
	verdict $? 'ports: those of another network namespace, and how to reserve them there'
fi

if [ "$(id -u)" = 0 ]; then
	nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	cp "$porttrace" "$dir/porttrace" # where nobody may run it
	"${nobody[@]}" "$dir/porttrace" doctor >"$dir/out" 2>"$dir/err"
	[ $? = 3 ] && says 'sudo porttrace doctor' && says '^  missing CAP_BPF +not held' && [ ! -s "$dir/err" ]
	verdict $? 'without root: all that can be told, and what to run'
	"${nobody[@]}" "$dir/porttrace" doctor --json >"$dir/out" 2>"$dir/err"
	[ $? = 3 ] && says '"works":false'
	verdict $? 'without root, json'
else
	skip 'without root' 'needs root to leave it'
fi

"$porttrace" doctor --jsn >"$dir/out" 2>"$dir/err"
[ $? = 2 ] && grep -q "did you mean '--json'" "$dir/err"
verdict $? 'a bad option'
"$porttrace" doctor now >"$dir/out" 2>"$dir/err"
[ $? = 2 ] && grep -q "unexpected argument 'now'" "$dir/err"
verdict $? 'an argument'
"$porttrace" doctor --help >"$dir/out" 2>"$dir/err"
[ $? = 0 ] && says '^Usage: porttrace doctor'
verdict $? 'help'
"$porttrace" doctor >/dev/full 2>"$dir/err"
[ $? = 1 ] && grep -q 'cannot write the output: No space left' "$dir/err"
verdict $? 'a full disk'

exit $failed
