#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Runs in the virtual machine: PARENTS, each with COUNT short-lived processes, without a tracer and then beside porttrace.
set -u

./bench-processes "$1" "$2" >/results/alone
./porttrace --backend tracing --json -v >/results/events 2>/results/said &
while ! grep -qs 'porttrace: ready' /results/said; do
	kill -0 $! || exit 1
	sleep 0.2
done
./bench-processes "$1" "$2" >/results/made
sleep 1
grep VmHWM "/proc/$!/status" >/results/status
kill -INT $!
wait $!
