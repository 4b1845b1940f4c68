#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Every option that selects: the events that it shows are those that awk selects from the list in talk.txt.
# Many traces at once look at the same conversation.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
cli_need_backend

# JSON Lines -> the columns of talk.txt. Local is the source of a connect, and the destination of all others.
columns()
{
	local line action outcome transport version source destination class
	while IFS= read -r line; do
		action=- outcome=- transport=- version=- source=- destination=- class=-
		[[ $line =~ \"action\":\"([a-z]+)\" ]] && action=${BASH_REMATCH[1]}
		[[ $line =~ \"outcome\":\"([a-z]+)\" ]] && outcome=${BASH_REMATCH[1]}
		[[ $line =~ \"transport\":\"([a-z]+)\",\"type\":\"(ipv[46])\" ]] &&
			transport=${BASH_REMATCH[1]} version=${BASH_REMATCH[2]}
		[[ $line =~ \"source\":\{\"ip\":\"[^\"]*\",\"port\":([0-9]+) ]] && source=${BASH_REMATCH[1]}
		[[ $line =~ \"destination\":\{\"ip\":\"[^\"]*\",\"port\":([0-9]+) ]] && destination=${BASH_REMATCH[1]}
		[[ $line =~ \"destination\":\{\"class\":\"([a-z-]+)\" ]] && class=${BASH_REMATCH[1]}
		if [[ $line == *'"direction":"egress"'* ]]; then
			echo "$action $transport $version $source $destination $outcome $class"
		else
			echo "$action $transport $version $destination $source $outcome $class"
		fi
	done
}

# What this backend shows of the conversation: the cgroup backend cannot know the result of a UDP connect.
events()
{
	if [ "$backend" = cgroup ]; then
		sed '/^#/d; /^connect udp/s/success/unknown/' "$cli_here/talk.txt"
	else
		sed '/^#/d' "$cli_here/talk.txt"
	fi
}

# talk_start NUMBER NAME [CGROUP]: a conversation that waits; its process id in talk[NUMBER]
talk_start()
{
	rm -f "$T/go$1"
	mkfifo "$T/go$1"
	(
		echo "$BASHPID" >"${3:-$cgroup}/cgroup.procs"
		exec "$load" talk "$2" >"$T/talk$1" <"$T/go$1"
	) &
	talk[$1]=$!
	eval "exec 2$1>\"\$T/go$1\"" # opens when the other side does
	until_true 5 grep -q READY "$T/talk$1" || wrong "the load did not start"
}

talk_go()
{
	eval "echo go >&2$1; exec 2$1>&-"
	wait "${talk[$1]}" || wrong "the load failed"
	talk[$1]=
}

# want NAME CONDITION OPTION...: one more trace in the next round
want()
{
	names+=("$1")
	conditions+=("$2")
	printf '%s\n' --json "${@:3}" >"$T/options.${#names[@]}"
}

# Starts a trace for each want(), lets $1 be said, compares.
round()
{
	local i tracers=() args
	for ((i = 1; i <= ${#names[@]}; i++)); do
		mapfile -t args <"$T/options.$i"
		"$PORTTRACE" "${options[@]}" -v "${args[@]}" >"$T/out.$i" 2>"$T/err.$i" &
		tracers[i]=$!
	done
	for ((i = 1; i <= ${#names[@]}; i++)); do
		until_true 20 grep -q 'porttrace: ready' "$T/err.$i" ||
			wrong "${names[i - 1]} did not start: $(tail -1 "$T/err.$i")"
	done
	"$@"
	sleep 0.3
	for ((i = 1; i <= ${#names[@]}; i++)); do
		kill -INT "${tracers[i]}"
	done
	for ((i = 1; i <= ${#names[@]}; i++)); do
		tracer=${tracers[i]}
		compare "$i"
	done
	names=() conditions=()
}

compare()
{
	local missing extra
	await 5
	expect "exit status" 0 "$status"
	cp "$T/err.$1" "$T/err"
	balanced
	events | awk "${conditions[$1 - 1]}" | sort >"$T/wanted"
	columns <"$T/out.$1" | sort >"$T/got"
	if ! cmp -s "$T/wanted" "$T/got"; then
		missing=$(comm -23 "$T/wanted" "$T/got" | tr "\n" ",")
		extra=$(comm -13 "$T/wanted" "$T/got" | tr "\n" ",")
		wrong "missing: ${missing:0:200} extra: ${extra:0:200}"
	fi
	[ -s "$T/wanted" ] || [ "${conditions[$1 - 1]}" = 0 ] || wrong "the test selects nothing"
	verdict "filter/${names[$1 - 1]}"
}

names=() conditions=() talk=()

# awk's columns: $1 event $2 transport $3 address family $4 local port $5 remote port $6 outcome $7 class
both_talk()
{
	talk_go 1
	talk_go 2
}

# Two processes with the same conversation in two namespaces; the second in a cgroup below the test's.
two_talks()
{
	mkdir -p "$cgroup/other"
	talk_start 1 pt-first
	talk_start 2 pt-second-with-a-long-name "$cgroup/other"
}

# ---- which process: only the first one's events, each once ----

two_talks
twice=('{ print } { print }')
want everything "${twice[0]}"
want pid 1 -p "${talk[1]}"
want pid-list "${twice[0]}" -p "${talk[1]},${talk[2]}"
want pid-other 0 --pid 1
want comm 1 -c pt-first
want comm-long 1 --comm pt-second-with-a-long-name
want comm-list "${twice[0]}" -c pt-first,pt-second-with-
want comm-other 0 -c pt-fir,pt-second-with
want netns-pid 1 --netns "${talk[1]}"
want netns-path 1 --netns "/proc/${talk[2]}/ns/net"
want netns-own 0 --netns $$
want cgroup-child 1 --cgroup "$cgroup/other"
want cgroup-parent "${twice[0]}" --cgroup "$cgroup"
want pid-and-event '$1 == "bind"' -p "${talk[1]}" -e bind
round both_talk

# ---- which event. awk's columns: $1 event $2 transport $3 family $4 local $5 remote port $6 outcome $7 class ----

one_talk() { talk_go 1; }

talk_start 1 pt-first
want port '$4 == 8080 || $5 == 8080' -P 8080
want port-name '$4 == 443 || $5 == 443' -P https
want port-list '$4 == 53 || $5 == 53 || $4 == 6379 || $5 == 6379' --port domain,6379
want port-range '($4 >= 5000 && $4 <= 8079) || ($5 >= 5000 && $5 <= 8079)' -P 5000-8079
want lport '$4 == 8080' -L 8080
want lport-range '$4 >= 41000 && $4 <= 51707' --lport 41000-51707
want dport '$5 == 443' -D 443
want dport-mixed '$5 == 443 || $5 == 1194 || $5 == 6379 || $5 == 51707' --dport 1194,https,6000-6500,51707
want lport-and-dport '$4 == 51707 && $5 == 8080' -L 51707 -D 8080
want event-bind '$1 == "bind"' -e bind
want event-list '$1 != "bind"' --event listen,connect,accept,close
round one_talk

talk_start 1 pt-first
want ipv4 '$3 == "ipv4"' -4
want ipv6 '$3 == "ipv6"' -6
want ipv4-and-6 1 -4 -6
want tcp '$2 == "tcp"' --tcp
want udp '$2 == "udp"' --udp
want tcp-and-udp 1 --tcp --udp
want failed '$6 != "success"' -x
want failed-bind '$6 == "failure" && $1 == "bind"' --failed -e bind
want class-well-known '$7 == "well-known"' --class well-known
want class-list '$7 == "registered" || $7 == "dynamic"' --class registered,dynamic
want all-kinds '$2 == "tcp" && $3 == "ipv6" && $1 == "connect" && $5 == 443' \
	--tcp -6 -e connect -D https --class well-known
round one_talk

exit $failed
