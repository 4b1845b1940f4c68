#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Runs in the virtual machine: each program alone, then beside porttrace, then beside porttrace and under strace.
# /results/public/NAME gets plain, traced and strace: output and exit status of each, and strace.log.
#   guest.sh LIMIT SECONDS NAME...  all of this; no run of a program longer than LIMIT seconds, and nothing is left
#                                   running so many SECONDS after the machine's start
#   guest.sh --program COMMAND      one command of programs.list
set -u

results=/results/public
self=/test/guest.sh
# No calls that receive: they tell nothing of a port, and a program may have thousands of them. The last two lines:
# which threads make a process, and which descriptors are copies.
calls=socket,bind,listen,connect,accept,accept4,getsockname,getpeername,getsockopt,setsockopt,sendto,sendmsg,sendmmsg
calls=$calls,shutdown,close,dup,dup2,dup3
calls=$calls,fork,vfork,clone,clone3,execve

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

# A machine that is stopped from outside returns no results at all.
seconds_left()
{
	left=$((end - $(now)))
	[ $left -lt $program_seconds ] || left=$program_seconds
	echo $left
}

# $1: program, $2: plain, traced or strace; the rest: what stands before the program. A session of its own is what a
# program that hangs can be ended by; a network namespace of its own, that no TIME_WAIT of another is in its way.
run()
{
	name=$1
	how=$2
	shift 2
	limit=$(seconds_left)
	[ "$limit" -gt 0 ] || return
	command=$(awk -v name="$name" '$1 == name { sub(/^([^\t ]+[\t ]+){3}/, ""); print }' /test/programs.list)
	mkdir -p "$results/$name"
	: >"$results/$name/$how.out"
	began=$(cut -d ' ' -f 1 /proc/uptime)
	(
		cd /test/bin || exit
		exec setsid "$@" unshare -n sh $self --program "$command"
	) >>"$results/$name/$how.out" 2>&1 </dev/null &
	program=$!
	(
		sleep "$limit"
		echo "guest.sh: ended after $limit s" >>"$results/$name/$how.out"
		kill_session $program
	) &
	watch=$!
	wait $program
	echo $? >"$results/$name/$how.status"
	kill $watch 2>/dev/null
	echo "$name $how: from $began to $(cut -d ' ' -f 1 /proc/uptime)"
}

# Some programs wait a tenth of a second for something, which an emulated machine does not always do in time: a run
# that ends otherwise than the other is done again, and that is told. What porttrace does to a program stays.
again()
{
	tries=0
	until [ $tries = 2 ] || cmp -s "$results/$1/plain.status" "$results/$1/traced.status"; do
		tries=$((tries + 1))
		echo "$2" >>"$results/$1/again"
		run "$1" "$2"
	done
}

trace_start()
{
	/test/porttrace --json -v --backend tracing >$results/events.jsonl 2>$results/stderr &
	tracer=$!
	until grep -q 'porttrace: ready' $results/stderr; do
		kill -0 $tracer 2>/dev/null || return 1
		sleep 0.2
	done
}

trace_stop()
{
	sleep 0.5
	kill -INT $tracer
	wait $tracer
	echo $? >$results/status
}

if [ "$1" = --program ]; then
	ip link set lo up
	eval "$2"
	exit
fi
program_seconds=$1
end=$2
shift 2
mkdir -p $results
for name; do
	run "$name" plain
done
trace_start || exit 0
for name; do
	run "$name" traced
	again "$name" traced
	run "$name" strace strace -f --seccomp-bpf -yy -ttt -s 16 -e trace=$calls -e signal=none \
		-o "$results/$name/strace.log"
done
trace_stop
for name; do
	again "$name" plain
done
exit 0
