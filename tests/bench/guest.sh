#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Runs in the virtual machine: the rows of the file plan, as tests/bench/cost has written it.
#   NAME|HOW|COMMAND|LOAD;LOAD...
# HOW: once (one start for all loads; no COMMAND: the loads alone), each (a start for each load), wrap (COMMAND starts the
# load), stats (each, while the kernel counts what BPF programs cost), start (when the first lines come; no loads). What tests/bench/measure.c prints goes to /results/log behind "NAME|LOAD|"; what the tool wrote
# of losses, and at its end, to /results/said, behind the same.
set -u

out=/tmp/out err=/tmp/err

# The tool's words about losses; its last ones, if that is not much; how many events a recording holds.
keep()
{
	[ -e "$out" ] || return
	case $1 in # it tells of them at its end; busybox's grep takes longer for its lines than all else
	porttrace*) told=$err ;;
	*) told="$out $err" ;;
	esac
	# shellcheck disable=SC2086 # words are wanted
	grep -aHiE 'lost [0-9]|[0-9] lost|dropped' $told | sed "s#^#$1|$2|#" >>/results/said
	tail -n 4 "$err" | cut -c1-300 | sed "s#^#$1|$2|end:#" >>/results/said
	head -n 3 "$out" | cut -c1-300 | sed "s#^#$1|$2|line:#" >>/results/said
	if [ -e /tmp/recording.ptr ]; then
		echo "$1|$2|recorded $(./porttrace replay -q --json /tmp/recording.ptr | wc -l)" >>/results/said
	fi
	rm -f "$out" "$err" /tmp/recording.ptr
}

# $1: name, $2: which loads, for the log; the rest: measure's words
measure()
{
	name=$1 loads=$2
	shift 2
	./measure "$@" >/tmp/measured 2>&1
	sed "s#^#$name|$loads|#" /tmp/measured >>/results/log
	keep "$name" "$loads"
	sleep 3 # programs are detached with a delay
}

# shellcheck disable=SC2086 # words are wanted
each()
{
	old_ifs=$IFS
	IFS=';'
	set -f
	set -- "$1" "$2" "$3" $4
	IFS=$old_ifs
	name=$1 how=$2 command=$3
	shift 3
	for load; do
		case $how in
		wrap) measure "$name" "$load" -w -o $out -e $err $command ./load $load ;;
		stats) measure "$name" "$load" -o $out -e $err -b /tmp/programs $command -- ./load $load
			sed "s#^#$name|$load|#" /tmp/programs >>/results/programs ;;
		*) measure "$name" "$load" -o $out -e $err $command -- ./load $load ;;
		esac
	done
}

# shellcheck disable=SC2046,SC2086 # words are wanted
once()
{
	[ ! "$2" ] || set -- "$@" -o $out -e $err $2
	name=$1 loads=$3
	shift 3
	measure "$name" "$loads" "$@" -- $(echo "./load $loads" | sed 's#;# -- ./load #g')
}

# The pool is not ready for long where there is no RDRAND: until then each connect() makes random numbers anew.
head -c 8 /dev/random >/dev/null
# shellcheck disable=SC3045 # busybox has it
ulimit -n 65536
uname -r >/results/release
# for what compiles its programs itself
ln -s "/usr/src/linux-headers-$(uname -r)" "/lib/modules/$(uname -r)/build"
ln -s /usr/src/linux-headers-*-common "/lib/modules/$(uname -r)/source"
while IFS='|' read -r name how command loads; do
	began=$(cut -d. -f1 /proc/uptime)
	# The kernel follows connections only where somebody asks for it: that belongs to what the tool costs.
	case $command in conntrack*) modprobe nf_conntrack enable_hooks=1 && modprobe nf_conntrack_netlink ;; esac
	case $how in
	once) once "$name" "$command" "$loads" ;;
	start) ./start $command >/tmp/measured 2>&1 </dev/null
		sed "s#^#$name|start|#" /tmp/measured >>/results/log
		sleep 3 ;;
	*)
		[ "$how" != stats ] || echo 1 >/proc/sys/kernel/bpf_stats_enabled
		each "$name" "$how" "$command" "$loads"
		echo 0 >/proc/sys/kernel/bpf_stats_enabled ;;
	esac </dev/null
	case $command in conntrack*) modprobe -r nf_conntrack_netlink && modprobe -r nf_conntrack ;; esac
	echo "$name: $(($(cut -d. -f1 /proc/uptime) - began)) s of its clock"
done <plan
