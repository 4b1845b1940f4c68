#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Runs in the virtual machine. Each case is real servers and clients, run under strace and porttrace at once;
# what both saw goes to /results/strace/CASE.
#   guest.sh SECONDS CASE...  all of this; nothing is left running so many seconds after the machine's start
#   guest.sh --workload CASE  only the case's programs; this is what is traced
set -u

case_seconds=40
self=/test/guest.sh

# --- what the cases are made of ---

servers=

fail()
{
	echo "guest.sh: $*" >&2
	stop_servers
	exit 1
}

# Runs a server in the background; $!, and thus the one to stop, is the server itself.
serve()
{
	"$@" >/dev/null 2>&1 &
	servers="$! $servers"
}

stop_servers()
{
	for pid in $servers; do
		kill "$pid" 2>/dev/null
		wait "$pid"
	done
	servers=
}

# Waits until a port is taken, without a connection that both tracers would see. $1: a table of /proc/net,
# $2: port, $3: the state's number in that table (0A: listening TCP, 07: UDP without a peer).
wait_port()
{
	hex=$(printf '%04X' "$2")
	tries=0
	until grep -q ": [0-9A-F]*:$hex [0-9A-F:]* $3 " "/proc/net/$1"; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || fail "nobody took port $2 of $1"
		sleep 0.3
	done
}

# $1: the exit status that is wanted; $2: a regular expression that the output must match, so that a command which
# fails for another reason than the one wanted is noticed; the rest: the command
expect()
{
	wanted=$1
	text=$2
	shift 2
	"$@" >/tmp/output 2>&1
	got=$?
	[ "$got" = "$wanted" ] || fail "exit status $got, not $wanted: $*: $(cat /tmp/output)"
	grep -q "$text" /tmp/output || fail "no '$text' in the output: $*: $(cat /tmp/output)"
}

get()
{
	curl -sS --max-time 10 "$@"
}

query()
{
	dig +time=2 +tries=1 +short "$@" porttrace.test A
}

# With its path: busybox has a setpriv of its own, which is not able to change the user.
as_nobody()
{
	/usr/bin/setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

# --- the cases ---

case_curl()
{
	serve python3 -m http.server --bind :: 8000
	wait_port tcp6 8000 0A
	expect 0 'Directory listing' get http://127.0.0.1:8000/ 'http://[::1]:8000/'
	expect 0 'Directory listing' get --local-port 40000-40010 http://127.0.0.1:8000/ http://127.0.0.1:8000/nothing
	expect 7 'Failed to connect' get http://localhost:8009/
}

case_redis()
{
	serve redis-server --port 6379 --save '' --appendonly no --dir /tmp
	wait_port tcp 6379 0A
	wait_port tcp6 6379 0A
	expect 0 OK redis-cli SET port 51707
	expect 0 51707 redis-cli GET port
	expect 0 51707 redis-cli -h ::1 GET port
	expect 1 'Connection refused' redis-cli -p 6399 PING
}

case_nginx()
{
	mkdir -p /tmp/nginx/html
	cp /test/nginx.conf /tmp/nginx/nginx.conf
	echo hello >/tmp/nginx/html/index.html
	serve nginx -p /tmp/nginx -e stderr -c nginx.conf
	wait_port tcp 8081 0A
	wait_port tcp6 8081 0A
	expect 0 'Complete requests: *200$' ab -q -n 200 -c 4 http://127.0.0.1:8081/
	expect 0 'Complete requests: *40$' ab -q -k -n 40 -c 2 'http://[::1]:8081/'
}

case_dig()
{
	serve python3 /test/dns.py serve 5353
	wait_port udp 5353 07
	wait_port udp6 5353 07
	expect 0 192.0.2.53 query @127.0.0.1 -p 5353
	expect 0 192.0.2.53 query @::1 -p 5353
	expect 0 192.0.2.53 query -b 127.0.0.1#5399 @127.0.0.1 -p 5353
	expect 0 192.0.2.53 python3 /test/dns.py ask 5353 127.0.0.1 ::1
	expect 9 'connection refused\|no servers could be reached' query @127.0.0.1 -p 5354
	expect 9 'connection refused\|no servers could be reached' query +tcp @127.0.0.1 -p 5353
}

case_failures()
{
	serve python3 -m http.server --bind 127.0.0.1 8000
	wait_port tcp 8000 0A
	expect 1 'Address already in use' python3 -m http.server --bind 127.0.0.1 8000
	expect 45 'Cannot assign requested address' get --interface 192.0.2.1 http://127.0.0.1:8000/
	expect 1 'Permission denied' as_nobody busybox nc -l -p 443
	expect 1 'Connection refused' busybox nc -w 2 127.0.0.1 8009
	expect 7 'connect to' get 'http://[::1]:8009/' http://198.51.100.7/
	expect 45 'Address already in use' \
		get --local-port 8000 --interface 127.0.0.1 http://127.0.0.1:8000/
}

workload()
{
	"case_$1"
	stop_servers
}

# --- tracing them ---

# What strace is asked for besides the network: which threads make a process, and which descriptors are copies.
calls=network,close,dup,dup2,dup3,fork,vfork,clone,clone3,execve

kill_session()
{
	for stat in /proc/[0-9]*/stat; do
		read -r pid _ _ _ _ session _ <"$stat" && [ "$session" = "$1" ] && kill -KILL "$pid"
	done 2>/dev/null
}

now()
{
	cut -d . -f 1 /proc/uptime
}

# How long the next case may take: a machine that is stopped from outside returns no results at all.
seconds_left()
{
	left=$((end - $(now)))
	[ $left -lt $case_seconds ] || left=$case_seconds
	echo $left
}

# A session of its own is what a case that hangs can be ended by.
run_case()
{
	dir=/results/strace/$1
	limit=$(seconds_left)
	mkdir -p "$dir"
	echo "$(now) s: $1, at most $limit s"
	if [ "$limit" -lt 10 ]; then
		echo "guest.sh: not started, the machine's time is up (PORTTRACE_STRACE_SECONDS)" >"$dir/stderr"
		return
	fi
	setsid sh -c 'echo $$ >/tmp/session; exec "$@"' - \
		/test/porttrace --json -v --backend tracing -- \
		strace -f --seccomp-bpf -yy -ttt -s 16 -e trace=$calls -e signal=none -o "$dir/strace.log" \
		sh $self --workload "$1" >"$dir/events.jsonl" 2>"$dir/stderr" &
	tracer=$!
	(
		sleep "$limit"
		echo "guest.sh: ended after $limit s" >>"$dir/stderr"
		kill_session "$(cat /tmp/session)"
	) &
	watch=$!
	wait $tracer
	echo $? >"$dir/status"
	kill $watch 2>/dev/null
}

if [ "$1" = --workload ]; then
	workload "$2"
	exit
fi
end=$1
shift
for name; do
	run_case "$name"
done
echo "$(now) s: end"
