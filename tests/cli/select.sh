#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# The same filter gives the same events wherever it is evaluated: in the kernel, in porttrace alone (--no-prefilter), and
# in the replay of a recording of everything. All look at the same load (cli-load crowd, twice).
#
#   SELECT_QUICK=1    without the second way: half the tracers, where each takes seconds to start
#   SELECT_SHORT=1    four filters: one with all that the kernel can decide by, that it is accepted and means the same;
#                     and three by which it drops what tells of a socket's beginning

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
cli_need_backend
if ! has_program jq; then
	skip select "needs jq"
	exit 0
fi

hex=0123456789abcdef
box=docker-$hex$hex$hex$hex.scope

# What is the same for all who look: not the times, numbers of lines, and who else had the port. Where the kernel
# drops the beginning of a socket, the tracing backend does not tell how old that was at its end.
plain()
{
	jq -cS --arg ages "$2" '{e: .event | [.action, .outcome, .reason, .code,
			has("duration") and (.action != "close" or $ages == "told")], error: .error, n: .network,
		s: .source, d: .destination, p: [.process.pid, .process.name], u: .user, c: .container.id,
		a: .porttrace.assignment | [.how, .requested], f: [.porttrace.source, .porttrace.destination],
		cause: .porttrace.cause, creator: .porttrace.creator.process.pid,
		end: .porttrace.socket | [.closed_by, .state]}' "$1" | sort
}

# crowd_start NUMBER NAME USER CGROUP: a load that waits; its process id in crowd[NUMBER]
crowd_start()
{
	rm -f "$T/go$1"
	mkfifo "$T/go$1"
	(
		echo "$BASHPID" >"$4/cgroup.procs"
		exec "$load" crowd "$2" "$3" >"$T/crowd$1" <"$T/go$1"
	) &
	eval "exec 2$1>\"\$T/go$1\""
	until_true 5 grep -q READY "$T/crowd$1" || wrong "the load did not start"
	crowd[$1]=$(sed -n 's/READY //p' "$T/crowd$1")
}

# want NAME OPTION...: one more filter. A name with a "+" behind it is not decided in the kernel.
want()
{
	names+=("$1")
	printf '%s\n' "${@:2}" >"$T/filter.${#names[@]}"
}

# trace NAME OPTION...: a tracer that is to be ready
trace()
{
	"$PORTTRACE" "${@:2}" "${options[@]}" -v >"$T/$1.out" 2>"$T/$1.err" &
	tracers+=($!)
	runs+=("$1")
}

all_ready()
{
	local run
	for run in "${runs[@]}"; do
		until_true 60 grep -q 'porttrace: ready' "$T/$run.err" ||
			wrong "$run did not start: $(tail -1 "$T/$run.err")"
	done
}

all_stop()
{
	local pid run
	for pid in "${tracers[@]}"; do
		kill -INT "$pid"
	done
	for pid in "${tracers[@]}"; do
		tracer=$pid
		await 20
		expect "exit status" 0 "$status"
	done
	for run in "${runs[@]}"; do
		cp "$T/$run.err" "$T/err"
		[ "$run" = record ] || balanced
		grep -q ' 0 lost' "$T/err" || wrong "$run: $(grep ' lost' "$T/err")"
	done
}

in_kernel() { sed -nE 's/.* filtered \(kernel ([0-9]+),.*/\1/p' "$T/$1.err"; }

same()
{
	local first
	cmp -s "$T/$1" "$T/$2" && return
	first=$(diff "$T/$1" "$T/$2" | grep '^[-+<>] *{' | head -2 | cut -c1-300 | tr '\n' ' ') # busybox: + and -
	wrong "$1 has $(wc -l <"$T/$1"), $2 $(wc -l <"$T/$2"): $first"
}

# The filters of this round, each in three ways.
compare()
{
	local i total args ages
	[ -z "${SELECT_SHORT:-}" ] || "$PORTTRACE" replay --json -q "$T/all.ptr" >"$T/all.out" || wrong "no replay of all"
	plain "$T/all.out" told >"$T/all"
	total=$(wc -l <"$T/all")
	for ((i = 1; i <= ${#names[@]}; i++)); do
		mapfile -t args <"$T/filter.$i"
		ages=told
		case "$backend ${args[*]} " in tracing*" -x "* | tracing*" pt-heir "*) ages=untold ;; esac
		plain "$T/kernel.$i.out" $ages >"$T/kernel.$i"
		"$PORTTRACE" replay --json -q "${args[@]}" "$T/all.ptr" >"$T/replay.$i.out" 2>"$T/replay.$i.err" ||
			wrong "replay: $(cat "$T/replay.$i.err")"
		plain "$T/replay.$i.out" $ages >"$T/replay.$i"
		[ -s "$T/replay.$i" ] && [ "$(wc -l <"$T/replay.$i")" -lt "$total" ] ||
			wrong "the filter leaves $(wc -l <"$T/replay.$i") of $total"
		if [[ ${names[i - 1]} == *+ ]]; then
			names[i - 1]=${names[i - 1]%+}
		else
			[ "$(in_kernel "kernel.$i")" -gt 0 ] || wrong "the kernel has filtered nothing"
		fi
		if [ -z "${SELECT_QUICK:-}" ]; then
			plain "$T/user.$i.out" $ages >"$T/user.$i"
			[ "$(in_kernel "user.$i")" = 0 ] || wrong "the kernel filters in spite of --no-prefilter"
			same kernel.$i user.$i
		fi
		same kernel.$i replay.$i
		echo "# ${names[i - 1]}: $(wc -l <"$T/kernel.$i") of $total, $(in_kernel "kernel.$i") dropped in the kernel"
		verdict "select/${names[i - 1]}"
	done
}

round()
{
	local i args
	tracers=() runs=()
	trace record record "$T/all.ptr"
	[ -n "${SELECT_SHORT:-}" ] || trace all --json
	for ((i = 1; i <= ${#names[@]}; i++)); do
		mapfile -t args <"$T/filter.$i"
		trace kernel.$i --json "${args[@]}"
		[ -n "${SELECT_QUICK:-}" ] || trace user.$i --json --no-prefilter "${args[@]}"
	done
	all_ready
	echo go >&21
	echo go >&22
	until_true 10 grep -q DONE "$T/crowd1" || wrong "the load failed"
	until_true 10 grep -q DONE "$T/crowd2" || wrong "the load failed"
	sleep 1.5 # closes that wait for their end
	all_stop
	compare
	names=()
	exec 21>&- 22>&-
	wait "${crowd[1]}" "${crowd[2]}" 2>/dev/null
}

# begin: two loads, the second in a cgroup below one that looks like a container's
begin()
{
	mkdir -p "$cgroup/$box/inner"
	crowd_start 1 pt-first 65534 "$cgroup"
	crowd_start 2 pt-second-with-a-long-name 12345 "$cgroup/$box/inner"
}

names=() crowd=()
box_kernel='+' # hybrid hosts: only /proc tells
! grep -q '^[1-9]' /proc/self/cgroup && [ "$backend" = tracing ] && box_kernel=''

if [ -n "${SELECT_SHORT:-}" ]; then
	begin
	want all-tests --tcp -4 -p "${crowd[1]}" --follow -u root -c pt-first -D 1-20000 -a 127.0.0.0/8 \
		--class well-known,registered -e connect,close
	want laddr --laddr 127.1.2.3 # what it remembers of listeners is not to be told of a connection
	want failed -x # which side connected is told by the socket alone
	want heir -c pt-heir # the same
	round
	exit $failed
fi

begin
want pid -p "${crowd[1]}"
want pid-follow"$([ "$backend" = tracing ] || echo +)" -p "${crowd[1]}" --follow -c pt-first,pt-early,pt-child,pt-grandchild
want comm -c pt-first,pt-grandchild
want comm-long --comm pt-second-with-a-long-name
want uid -u 12345,nobody
want uid-root-and-comm -u 0 -c pt-first
want heir -c pt-heir
want container"$box_kernel" --container "${hex}0"
[ "$backend" != tracing ] || want cgroup --cgroup "$cgroup/$box"
want netns"$([ "$backend" = tracing ] || echo +)" --netns "${crowd[2]}"
round

begin
want port -P 8080,443
want port-range -P 50000-50111
want lport -L 8080,9090,50000-50200
want lport-zero+ -L 0
want dport -D 443,6379
want dport-ephemeral -D 1024-65535 -e connect,accept
want class-dynamic --class dynamic
want class-two --class well-known,registered -e connect,bind
round

begin
want ipv4 -4
want ipv6 -6
want addr -a 127.1.0.0/16
want addr-v6 -a ::/0
want addr-list -a 127.0.0.9,::1
want laddr --laddr 127.1.2.3
want daddr --daddr 127.0.0.0/9,fe80::/10
want addr-any -a 0.0.0.0
round

begin
want tcp-failed --tcp -x
want failed-dport -x -D 6379
want failed-class -x --class registered
want close-dport -e close -D 443
want event-lport -e bind,listen -L 8000-10000
want udp-v6 --udp -6
want many --tcp -4 -D 1-20000 -a 127.0.0.0/8 -u root -c pt-first -e connect,close
want release-dport -e release -D 6379,443
[ "$backend" = tracing ] || { names=("${names[@]:0:7}"); }
round

# Who descends from whom, also where those between have ended: only a backend that is told of each fork can say.
if [ "$backend" = tracing ]; then
	begin
	names=()
	tracers=() runs=()
	trace follow --json -p "${crowd[1]}" --follow -e bind -L 50100-50130
	all_ready
	echo go >&21
	echo go >&22
	until_true 10 grep -q DONE "$T/crowd1" || wrong "the load failed"
	until_true 10 grep -q DONE "$T/crowd2" || wrong "the load failed"
	sleep 0.5
	all_stop
	# those with two: also ahead of a connect that fails
	expect "followed" "pt-child pt-child pt-early pt-grandchild pt-grandchild pt-orphan" \
		"$(jq -r .process.name "$T/follow.out" | sort | tr '\n' ' ' | sed 's/ $//')"
	exec 21>&- 22>&-
	verdict select/follow
fi

exit $failed
