#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Runs in the virtual machine. Collects what the host's tests/kernels/run then compares, below /results.
#   guest.sh scenarios NAME MODE | stress NAME MODE | irq NAME MODE | random NAME MODE ...   (several, each three words)
set -u

# Starts porttrace and waits until it sees everything. $1: directory for its output; the rest: options.
trace_start()
{
	dir=$1
	shift
	/test/porttrace --json -v --backend tracing "$@" >"$dir/events.jsonl" 2>"$dir/stderr" &
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
	PORTTRACE=/test/porttrace PORTTRACE_TEST_BACKEND=tracing timeout 500 bash /test/cli/trace.sh >"/results/$1/log" 2>&1
}

scenarios()
{
	mkdir -p "/results/$1"
	rm -f /tmp/go
	/test/workload --expect "/results/$1/expect.jsonl" --hold --go /tmp/go >"/results/$1/run.log" 2>&1 &
	workload=$!
	while ! grep -q READY "/results/$1/run.log"; do sleep 0.2; done
	trace_start "/results/$1" --attach-mode "$2" || return
	touch /tmp/go
	wait $workload
	trace_stop
}

# One load under trace, with the load's own count as the truth: load NAME MODE WORDS-OF-STRESS...
load()
{
	dir=/results/$1
	mkdir -p "$dir"
	trace_start "$dir" --attach-mode "$2" || return
	shift 2
	/test/stress "$@" >"$dir/load.json"
	trace_stop
	gzip -f "$dir/events.jsonl"
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

while [ $# -ge 3 ]; do
	"$1" "$2" "$3"
	shift 3
done
