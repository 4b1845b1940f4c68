#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Who had a port, from the history that a daemon keeps of real sockets, against the log of the programs that had them:
# after a kill -9 in the middle, and of connections in TIME_WAIT whose processes have exited.

# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

beside=$(dirname "$PORTTRACE")
lives=$(ls "$beside/owners-lives" "$beside/tests/owners-lives" 2>/dev/null | head -1)
waits=$(ls "$beside/owners-waits" "$beside/tests/owners-waits" 2>/dev/null | head -1)
if [ -z "$lives" ] || [ -z "$waits" ] || ! has_program python3 || ! has_program ss || ! has_program nsenter; then
	skip owners "needs owners-lives and owners-waits beside $PORTTRACE, python3, ss and nsenter"
	exit 0
fi
cli_need_backend
db=$T/history.db
now_ns() { date +%s%N; }

# load RANGE COMMAND...: in a network namespace of its own; its standard output is $T/said, first "NETNS INODE".
# There TIME_WAIT lasts: no connect takes it over (tcp_tw_reuse), and no reset ends it (tcp_rfc1337), such as one that
# answers an acknowledgement that was sent twice on a busy machine. No hook of the cgroup backend would tell.
load()
{
	: >"$T/said"
	# shellcheck disable=SC2016 # for the shell inside
	within unshare -n bash -c 'ip link set lo up && cd /proc/sys/net/ipv4 && echo 0 >tcp_tw_reuse &&
		echo 1 >tcp_rfc1337 && echo "$1" >ip_local_port_range && echo 100000 >tcp_max_tw_buckets && cd - >/dev/null && shift &&
		echo "NETNS $(stat -Lc %i /proc/self/ns/net)" && exec "$@"' - "$@" >"$T/said" 2>"$T/load.err" &
	loader=$!
}

said() { grep -q "^$1" "$T/said" || has_ended "$loader"; }

# daemon: writes $db; waits until it sees everything
daemon()
{
	: >"$T/err"
	"$PORTTRACE" daemon "${options[@]}" --history "$db" -v >/dev/null 2>"$T/err" &
	tracer=$!
	wait_ready
}

# Does the history speak for this moment?
covers()
{
	[[ $("$PORTTRACE" who 1/udp --at "@$(($1 / 1000000000)).999999999" --history "$db" 2>&1) == *nobody\ had* ]]
}

# ---- a kill in the middle ----

seed=${SEED:-$RANDOM}
echo "# SEED=$seed"
daemon
load '40000 41499' "$lives" "$T/lives" "${LIVES_MS:-18000}" "$seed"
until_true 5 said READY
netns=$(sed -n 's/^NETNS //p' "$T/said")
start=$(now_ns)
sleep 9
killed=$(now_ns)
kill -KILL "$tracer"
wait "$tracer" 2>/dev/null
sleep 1
daemon
ready=$(now_ns)
until_true 20 said END
end=$(sed -n 's/^END //p' "$T/said")
wait "$loader" || wrong "the load ended with $?: $(cat "$T/load.err")"
until_true 10 covers "$end" || wrong "the history does not come up to its end"
if [ -z "$problems" ]; then
	"$cli_root/tests/owners/questions.py" "$PORTTRACE" "$db" "$netns" "$T/lives" "${QUESTIONS:-1000}" "$seed" \
		"$start" "$killed" "$ready" "$end" >"$T/answers" 2>&1
	grep '^# ' "$T/answers"
	for name in loss across questions; do
		line=$(grep -E "^(ok|wrong) $name: " "$T/answers")
		[[ $line == ok* ]] || wrong "${line:-$(tail -1 "$T/answers")}"
		[ -z "$line" ] || echo "# ${line#* }"
		verdict "owners/$name"
	done
else
	verdict owners/questions
fi
stop TERM

# ---- TIME_WAIT of processes that have exited ----

# Has the last FIN been answered?
all_wait() { ! nsenter -t "$pid" -n ss -tanH | grep -qvE '^(LISTEN|TIME-WAIT) '; }

processes=200 connections=50
least=$((processes * connections * 95 / 100))
began=$(now_ms)
db=$T/waits.db
daemon
load '20000 60999' "$waits" "$T/waits" $processes $connections
until_true 20 said END
read -r _ end pid <<<"$(grep '^END' "$T/said")"
until_true 10 covers "${end:-0}" || wrong "the history does not come up to the end of the load: $(cat "$T/load.err")"
until_true 5 all_wait || wrong "connections are left"
nsenter -t "$pid" -n ss -tanH state time-wait >"$T/ss"
"$PORTTRACE" list --history "$db" --netns "$pid" -s time-wait --json >"$T/list" 2>"$T/list.err"
"$cli_root/tests/owners/waits.py" "$T/waits" "$T/ss" "$T/list" $least >"$T/answers" 2>&1 || wrong "$(tail -1 "$T/answers")"
took=$(($(now_ms) - began))
[ $took -lt $((45000 * patience)) ] || wrong "it took $took ms"
echo "# $(tail -1 "$T/answers"); in $took ms"
verdict owners/time_wait_of_exited_processes

# The check must be able to fail.
awk 'NR == 4321 { $3++ } 1' "$T/waits" >"$T/waits.pid"
awk 'NR == 1234 { $4 = "waits-x" } 1' "$T/waits" >"$T/waits.name"
sed 77d "$T/list" >"$T/list.less"
for with in "$T/waits.pid $T/list" "$T/waits.name $T/list" "$T/waits $T/list.less"; do
	"$cli_root/tests/owners/waits.py" "${with% *}" "$T/ss" "${with#* }" $least >"$T/answers" 2>&1 &&
		wrong "$with: $(tail -1 "$T/answers")"
	grep -q '[1-9][0-9]* sockets in TIME_WAIT' "$T/answers" || wrong "$with: $(tail -1 "$T/answers")"
done
verdict owners/a_false_log_is_found
stop TERM

exit $failed
