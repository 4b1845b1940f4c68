#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Runs in the virtual machine. Collects what the host's tests/kernels/run then compares, below /results.
#   guest.sh scenarios NAME MODE | stress NAME MODE | irq NAME MODE | random NAME MODE | audit NAME MODE ...   (several, each three words)
#   guest.sh --soak ...: the long forms
set -u

# Where the events go, if not to the job's directory: a job that makes very many has no room for them.
events=

# Starts porttrace and waits until it sees everything. $1: directory for its output; the rest: options.
trace_start()
{
	dir=$1
	shift
	/test/porttrace --json -v --backend tracing "$@" >"${events:-$dir/events.jsonl}" 2>"$dir/stderr" &
	tracer=$!
	while ! grep -q 'porttrace: ready' "$dir/stderr"; do
		kill -0 "$tracer" 2>/dev/null || return 1
		sleep 0.2
	done
}

trace_stop()
{
	sleep 0.5
	kill -INT "$tracer"
	wait "$tracer"
	echo $? >"$dir/status"
}

# $1: how a test ended that tells verdicts, if not well. One that does not come to its end is a failure, whatever it told.
ended()
{
	[ "$1" -le 1 ] || echo "not ok - ended with $1 before its end"
}

# The same scenarios for the cgroup backend, which sees the sockets made inside one cgroup.
cgroup()
{
	mkdir -p "/results/$1" /sys/fs/cgroup/workload
	rm -f /tmp/go
	sh -c "echo \$\$ >/sys/fs/cgroup/workload/cgroup.procs; exec /test/workload --cgroup \
		--expect /results/$1/expect.jsonl --hold --go /tmp/go" >"/results/$1/run.log" 2>&1 &
	workload=$!
	while ! grep -q READY "/results/$1/run.log"; do sleep 0.2; done
	trace_start "/results/$1" --backend cgroup --cgroup /sys/fs/cgroup/workload || return
	touch /tmp/go
	wait $workload
	trace_stop
}

# How it starts and ends, with the tracing backend. Attaching is slow in an emulator: the other command-line tests
# run natively.
cli()
{
	mkdir -p "/results/$1"
	for script in trace no-udp; do
		PORTTRACE=/test/porttrace PORTTRACE_TEST_BACKEND=tracing timeout 900 bash /test/cli/$script.sh || ended $?
	done >"/results/$1/log" 2>&1
}

# What the ring loses, by kind; what it keeps for failures; that the first event wakes the reader.
ring()
{
	mkdir -p "/results/$1"
	PORTTRACE=/test/porttrace PORTTRACE_TEST_BACKEND=tracing RING_SHORT=1 timeout 900 bash /test/cli/ring.sh >"/results/$1/log" 2>&1 ||
		ended $? >>"/results/$1/log"
}

# Filters: in the kernel and in a replay. A name that ends with -short: a few of them.
filters()
{
	mkdir -p "/results/$1"
	case $1 in *-short) export SELECT_SHORT=1 ;; esac
	PORTTRACE=/test/porttrace PORTTRACE_TEST_BACKEND=tracing SELECT_QUICK=1 timeout 1800 \
		bash /test/cli/select.sh >"/results/$1/log" 2>&1 || ended $? >>"/results/$1/log"
}

# The daemon: rights, sinks, metrics, history, signals.
daemon()
{
	timeout 900 bash /test/daemon/guest "/results/$1" >"/tmp/$1.log" 2>&1 || echo "ended with $?" >>"/tmp/$1.log"
	cp "/tmp/$1.log" "/results/$1/log"
}

# Metrics of events that the kernel counts.
counted()
{
	mkdir -p "/results/$1"
	PORTTRACE=/test/porttrace COUNTED_LOAD=/test/metrics-load timeout 600 bash /test/metrics/counted tracing \
		>"/results/$1/log" 2>&1 || ended $? >>"/results/$1/log"
}

# What is shown live and what its recording shows, with the tracing backend.
replay()
{
	mkdir -p "/results/$1"
	PORTTRACE=/test/porttrace WORKLOAD=/test/workload REPLAY_BACKEND=tracing REPLAY_DIR="/tmp/$1" timeout 1800 \
		bash /test/replay/native >"/results/$1/log" 2>&1 || ended $? >>"/results/$1/log"
	cp "/tmp/$1"/*.err "/tmp/$1/diff" "/results/$1/" 2>/dev/null
}

scenarios()
{
	mkdir -p "/results/$1"
	rm -f /tmp/go
	/test/workload --seccomp --expect "/results/$1/expect.jsonl" --hold --go /tmp/go >"/results/$1/run.log" 2>&1 &
	workload=$!
	while ! grep -q READY "/results/$1/run.log"; do sleep 0.2; done
	trace_start "/results/$1" --seccomp --attach-mode "$2" || return
	touch /tmp/go
	wait $workload
	trace_stop
}

# When ports are given back: only with -e release, and only those scenarios that are about it.
release()
{
	mkdir -p "/results/$1"
	trace_start "/results/$1" -e all,release --attach-mode "$2" || return
	long=
	[ $soak = 0 ] || long=--soak
	/test/workload --release $long --expect "/results/$1/expect.jsonl" >"/results/$1/run.log" 2>&1
	trace_stop
}

# One load under trace, with the load's own count as the truth: load NAME MODE WORDS-OF-STRESS... What is tested is
# whether the kernel runs every program: the ring is large enough for a reader that gets no time in an emulator.
load()
{
	dir=/results/$1
	mkdir -p "$dir"
	trace_start "$dir" --ringbuf 64M --attach-mode "$2" || return
	shift 2
	/test/stress "$@" >"$dir/load.json"
	trace_stop
	gzip -f "$dir/events.jsonl"
}

# Threads that wait in accept(), some of them since before the start.
accept()
{
	mkdir -p "/results/$1"
	rm -f /tmp/go
	/test/stress accept 2000 100 >"/results/$1/load.json" 2>"/results/$1/run.log" &
	load=$!
	while ! grep -q READY "/results/$1/run.log"; do sleep 0.2; done
	trace_start "/results/$1" --ringbuf 64M --attach-mode "$2" || return
	touch /tmp/go
	wait $load
	trace_stop
	gzip -f "$dir/events.jsonl"
}

# Who makes a call: the processes say it themselves.
process()
{
	mkdir -p "/results/$1"
	trace_start "/results/$1" --attach-mode "$2" || return
	/test/process "/results/$1/record.jsonl" >"/results/$1/run.log" 2>&1
	trace_stop
}

# MAP TYPE ELEMENTS, for each table of porttrace's that can have elements.
count_maps()
{
	bpftool map show | sed -nE 's/^([0-9]+): (hash|lru_hash|lru_percpu_hash|percpu_hash)  name ([^ ]+) .*/\1 \2 \3/p' |
		while read -r id type name; do
			echo "$name $type $(bpftool -j map dump id "$id" | grep -o '"key":\["0x' | wc -l)"
		done
}

# NAME SECONDS RESIDENT ALLOCATED, in KiB.
memory_kib() { sed -nE "s/^$1:\s*([0-9]+) kB/\1/p" "/proc/$tracer/status"; }

measure() { echo "$1 $(cut -d. -f1 /proc/uptime) $(memory_kib VmRSS) $(memory_kib VmData)" >>"$dir/memory"; }

churn()
{
	/test/stress kill 100 0 >>"$dir/load.json"
	/test/stress abort 1000 0 >>"$dir/load.json"
	/test/stress churn "$1" 0 >>"$dir/load.json"
	sleep 1
	measure "$2"
}

# Sockets come and go, processes are killed, connects are given up: then every table is as at the start.
maps()
{
	half=10000
	[ $soak = 0 ] || half=500000
	events=/dev/null
	mkdir -p "/results/$1"
	trace_start "/results/$1" --ringbuf 64M --attach-mode "$2" || return
	count_maps >"$dir/maps-before"
	measure start
	churn $half half
	churn $half end
	count_maps >"$dir/maps"
	ls -d /proc/[0-9]*/task/[0-9]* | wc -l >"$dir/threads"
	trace_stop
	events=
}

stress() { load "$1" "$2" preempt 8 250; }
irq() { load "$1" "$2" irq 600 4; }

# Random calls; tests/random/check.py compares on the host. PORTTRACE_SEED and PORTTRACE_CALLS in the file random.conf.
random()
{
	dir=/results/$1
	mkdir -p "$dir"
	rm -f /tmp/go
	[ ! -e /test/random.conf ] || . /test/random.conf
	/test/random --record "$dir/record" --seed "${PORTTRACE_SEED:-1}" --calls "${PORTTRACE_CALLS:-10000}" \
		--go /tmp/go >"$dir/run.log" 2>&1 &
	workload=$!
	while ! grep -q READY "$dir/run.log"; do sleep 0.2; done
	trace_start "$dir" --attach-mode "$2" || return
	touch /tmp/go
	wait $workload
	echo $? >"$dir/run.status"
	trace_stop
	gzip -1 -f "$dir/events.jsonl" "$dir/record"
}

# Does what porttrace remembers equal the kernel's tables, all through random calls? With --soak for half an hour.
audit()
{
	dir=/results/$1
	mkdir -p "$dir"
	/test/porttrace audit -v --backend tracing --attach-mode "$2" --every 3 >"$dir/audit" 2>"$dir/stderr" &
	tracer=$!
	while ! grep -q 'porttrace: ready' "$dir/stderr"; do
		kill -0 "$tracer" 2>/dev/null || return 1
		sleep 0.2
	done
	end=$(($(cut -d. -f1 /proc/uptime) + (soak ? 1800 : 30)))
	calls=0 seed=$(date +%s)
	while [ "$(cut -d. -f1 /proc/uptime)" -lt $end ]; do
		/test/random --record "$dir/record" --seed $((seed + calls)) --calls 3000 --go / >"$dir/run.log" 2>&1
		calls=$((calls + 3000))
		sleep 2
	done
	sleep 8
	trace_stop
	rm -f "$dir/record"
	echo $calls >"$dir/calls"
}

# porttrace list against ss; compared on the host.
list()
{
	sockets=3000
	[ $soak = 0 ] || sockets=10000
	PORTTRACE=/test/porttrace LIST_LOAD=/test/list-load bash /test/list/collect.sh "/results/$1" 20 $sockets \
		>"/tmp/$1.log" 2>&1 || echo failed >>"/tmp/$1.log"
	cp "/tmp/$1.log" "/results/$1/log"
}

# Is what porttrace free tells what then really can be opened? Random mixes of sockets, each in a namespace of its own.
# FREE_SEED, FREE_MIXES and FREE_ASKS in the file random.conf.
free()
{
	dir=/results/$1
	mkdir -p "$dir"
	[ ! -e /test/random.conf ] || . /test/random.conf
	/test/free /test/porttrace --seed "${FREE_SEED:-1}" --mixes "${FREE_MIXES:-150}" --asks "${FREE_ASKS:-4}" \
		>"$dir/log" 2>&1
}

# What pressure and why say of exhausted ports: each scenario in a namespace of its own, most at the same time. TIME_WAIT
# would be over before the last of many is ready.
pressure()
{
	PORTTRACE=/test/porttrace PRESSURE_LOAD=/test/pressure-load bash /test/pressure/collect.sh "/results/$1" all \
		"T10 T10-exited T13" "T02 T03 T04 P04 T05 T06 T07 T07-half T08 T09 T17 T18 T19 T20 T22 T23 T24 T24-bound P22" \
		trace "T01 T21 T25 T25-wait T26 mixture" "T27 P17 healthy" >"/tmp/$1.log" 2>&1
	cp "/tmp/$1.log" "/results/$1/log"
}

uname -r >/results/release
soak=0
if [ "$1" = --soak ]; then
	soak=1
	shift
fi
while [ $# -ge 3 ]; do
	began=$(cut -d. -f1 /proc/uptime)
	"$1" "$2" "$3"
	echo "$2: $(($(cut -d. -f1 /proc/uptime) - began)) s"
	shift 3
done
