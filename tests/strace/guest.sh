#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Runs in the virtual machine. Each case is real servers and clients, run under strace and porttrace at once;
# what both saw goes to /results/strace/CASE.
#   guest.sh CASE...          all of this
#   guest.sh --workload CASE  only the case's programs; this is what is traced
set -u

case_seconds=30
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
		sleep 0.2
	done
}

# $1: the exit status that is wanted; the rest: a command
expect()
{
	wanted=$1
	shift
	"$@" >/tmp/output 2>&1
	got=$?
	[ "$got" = "$wanted" ] || fail "exit status $got, not $wanted: $*: $(cat /tmp/output)"
}

expect_output()
{
	text=$1
	shift
	expect 0 "$@"
	grep -q "$text" /tmp/output || fail "no '$text' in the output: $*: $(cat /tmp/output)"
}

# --- the cases ---

case_curl()
{
	get='curl -sS -o /dev/null --max-time 10'

	serve python3 -m http.server --bind :: 8000
	wait_port tcp6 8000 0A
	expect 0 $get http://127.0.0.1:8000/
	expect 0 $get 'http://[::1]:8000/'
	expect 0 $get http://localhost:8000/
	expect 0 $get --local-port 40000-40010 http://127.0.0.1:8000/ http://127.0.0.1:8000/etc
	expect 7 $get http://127.0.0.1:8009/
	expect 7 $get http://localhost:8009/
}

case_redis()
{
	serve redis-server --port 6379 --save '' --appendonly no --dir /tmp
	wait_port tcp 6379 0A
	wait_port tcp6 6379 0A
	expect_output OK redis-cli SET port 51707
	expect_output 51707 redis-cli GET port
	expect_output 51707 redis-cli -h ::1 GET port
	expect 1 redis-cli -p 6399 PING
}

case_nginx()
{
	mkdir -p /tmp/nginx/html
	cp /test/nginx.conf /tmp/nginx/nginx.conf
	echo hello >/tmp/nginx/html/index.html
	serve nginx -p /tmp/nginx -e stderr -c nginx.conf
	wait_port tcp 8081 0A
	wait_port tcp6 8081 0A
	expect_output 'Complete requests: *200' ab -q -n 200 -c 4 http://127.0.0.1:8081/
	expect_output 'Complete requests: *40' ab -q -k -n 40 -c 2 'http://[::1]:8081/'
}

case_dig()
{
	query='dig +time=1 +tries=1 +retry=0 +short'

	serve python3 /test/dns.py serve 5353
	wait_port udp 5353 07
	wait_port udp6 5353 07
	expect_output 192.0.2.53 $query @127.0.0.1 -p 5353 porttrace.test A
	expect_output 192.0.2.53 $query @::1 -p 5353 porttrace.test A
	expect_output 192.0.2.53 $query -b 127.0.0.1#5399 @127.0.0.1 -p 5353 porttrace.test A
	expect_output 192.0.2.53 python3 /test/dns.py ask 127.0.0.1 5353
	expect_output 192.0.2.53 python3 /test/dns.py ask ::1 5353
	expect 9 $query @127.0.0.1 -p 5354 porttrace.test A
	expect 9 $query +tcp @127.0.0.1 -p 5353 porttrace.test A
}

case_failures()
{
	serve python3 -m http.server --bind 127.0.0.1 8000
	wait_port tcp 8000 0A
	expect 1 python3 -m http.server --bind 127.0.0.1 8000
	expect 1 python3 -m http.server --bind 192.0.2.1 8002
	expect 1 setpriv --reuid 65534 --regid 65534 --clear-groups python3 -m http.server --bind 127.0.0.1 80
	expect 1 setpriv --reuid 65534 --regid 65534 --clear-groups busybox nc -l -p 443
	expect 1 busybox nc -w 2 127.0.0.1 8009
	expect 7 curl -sS --max-time 10 'http://[::1]:8009/'
	expect 7 curl -sS --max-time 10 http://198.51.100.7/
	expect 45 curl -sS --max-time 10 --local-port 8000 --interface 127.0.0.1 http://127.0.0.1:8000/
}

workload()
{
	"case_$1"
	stop_servers
}

# --- tracing them ---

# What strace is asked for besides the network: which threads make a process, and which descriptors are copies.
calls=network,close,dup,dup2,dup3,fcntl,fork,vfork,clone,clone3,execve

kill_session()
{
	for stat in /proc/[0-9]*/stat; do
		read -r pid _ _ _ _ session _ <"$stat" && [ "$session" = "$1" ] && kill -KILL "$pid"
	done 2>/dev/null
}

# A session of its own is what a case that hangs can be ended by.
run_case()
{
	dir=/results/strace/$1
	mkdir -p "$dir"
	echo "case $1 starts at $(cut -d ' ' -f 1 /proc/uptime)"
	setsid sh -c 'echo $$ >/tmp/session; exec "$@"' - \
		/test/porttrace --json -v --backend tracing -- \
		strace -f --seccomp-bpf -yy -ttt -s 16 -e trace=$calls -e signal=none -o "$dir/strace.log" \
		sh $self --workload "$1" >"$dir/events.jsonl" 2>"$dir/stderr" &
	tracer=$!
	(
		sleep $case_seconds
		echo "guest.sh: ended after $case_seconds s" >>"$dir/stderr"
		kill_session "$(cat /tmp/session)"
	) &
	watch=$!
	wait $tracer
	echo $? >"$dir/status"
	kill $watch 2>/dev/null
	echo "case $1 ends at $(cut -d ' ' -f 1 /proc/uptime)"
}

if [ "$1" = --workload ]; then
	workload "$2"
	exit
fi
for name; do
	run_case "$name"
done
