#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# porttrace list, as a user meets it. As root in a network namespace of its own.

# shellcheck disable=SC2181,SC2016 # a status is told together with other findings; jq has variables of its own
set -u
porttrace=$(realpath "${PORTTRACE:-build/porttrace}")
if [ "$(id -u)" != 0 ]; then
	echo 'skip - cli/list: needs root'
	exit 0
fi
if [ -z "${LIST_NETNS:-}" ]; then
	LIST_NETNS=1 PORTTRACE=$porttrace exec unshare -n bash "$0" "$@"
fi
failed=0
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$dir"' EXIT
chmod 755 "$dir"
here=(--netns $$)

verdict() { # STATUS NAME
	if [ "$1" = 0 ]; then
		echo "ok - cli/list/$2"
		return
	fi
	failed=1
	echo "not ok - cli/list/$2"
	sed 's/^/# /' "$dir/out" "$dir/err" | cat -v | head -20
}

# Runs porttrace list; the status must be STATUS, and each line of stdin must stand in what it wrote.
expect() { # NAME STATUS ARG...
	local name=$1 want=$2 line bad=0
	shift 2
	"${as[@]}" "$porttrace" list "$@" >"$dir/out" 2>"$dir/err"
	[ $? = "$want" ] || bad=1
	while IFS= read -r line; do
		cat "$dir/out" "$dir/err" | tr -s ' ' | grep -qF -- "$line" || bad=1
	done
	[ "$want" = 0 ] || [ ! -s "$dir/out" ] || bad=1
	verdict $bad "$name"
}
as=(env)

# A listener, an accepted connection, one in TIME_WAIT, UDP, a socket that only has a port; under a name that is not
# fit for a terminal.
cat >"$dir/server" <<'END'
use Socket;
sub tcp { socket(my $s, AF_INET, SOCK_STREAM, 0) or die; return $s; }
my ($file) = @ARGV;
$0 = "e\033[31mvil";
my $any = sockaddr_in(0, INADDR_LOOPBACK);
my $l = tcp(); bind($l, $any) or die; listen($l, 17) or die;
my ($port) = sockaddr_in(getsockname($l));
socket(my $u, AF_INET, SOCK_DGRAM, 0) or die; bind($u, sockaddr_in($port, INADDR_LOOPBACK)) or die;
my $b = tcp(); bind($b, $any) or die;
my ($bound) = sockaddr_in(getsockname($b));
my $gone = tcp(); connect($gone, sockaddr_in($port, INADDR_LOOPBACK)) or die; accept(my $a, $l) or die; close($gone);
sysread($a, my $x, 1); close($a);
my $c = tcp(); connect($c, sockaddr_in($port, INADDR_LOOPBACK)) or die; accept(my $kept, $l) or die;
syswrite($c, "hello") == 5 or die; sysread($kept, $x, 5);
open(my $f, '>', "$file.new") or die; print $f "$port $bound\n"; close($f);
rename("$file.new", $file);
sleep 60;
END
ip link set lo up
perl "$dir/server" "$dir/port" &
server=$!
for _ in $(seq 100); do
	[ -e "$dir/port" ] && break
	sleep 0.1
done
read -r port bound <"$dir/port" || { echo 'not ok - cli/list/the server of this test starts'; exit 1; }
name='e\x1b[31mvil'

expect 'a listener' 0 "${here[@]}" -s listen <<-END
	PROTO STATE PID PROCESS LOCAL REMOTE CLASS SERVICE
	tcp listen $server $name 127.0.0.1:$port e -
END
[ "$(wc -l <"$dir/out")" = 2 ] && ! grep -q $'\033' "$dir/out"
verdict $? 'nothing else, and no escape sequence of a name'
expect 'connections, and bytes' 0 "${here[@]}" -s established -o local,remote,sent,received,owners <<-END
	LOCAL REMOTE SENT RECEIVED OWNERS
	127.0.0.1:$port e 127.0.0.1:
	0 5 $name:$server
	5 0 $name:$server
END
expect 'TIME_WAIT, and the command that mends what is missing' 0 "${here[@]}" -s time-wait -o state,pid,left <<-END
	time-wait - 5
	porttrace: who had 1 sockets in time-wait is not known
END
expect 'no remarks' 0 "${here[@]}" -q <<<"time-wait"
[ ! -s "$dir/err" ]
verdict $? 'no remarks: nothing on standard error'
expect 'UDP' 0 "${here[@]}" --udp -H <<<"udp bound $server $name 127.0.0.1:$port e"
[ "$(wc -l <"$dir/out")" = 1 ]
verdict $? 'UDP: no header, nothing else'
if [ "$(printf '6.8\n%s\n' "$(uname -r)" | sort -V | head -1)" = 6.8 ]; then
	expect 'a socket that only has a port' 0 "${here[@]}" -L "$bound" <<<"tcp bound $server $name 127.0.0.1:$bound e -"
else
	echo 'skip - cli/list/a socket that only has a port: kernels tell of it from 6.8'
fi
expect 'by process' 0 "${here[@]}" -p "$server" -H -o pid <<<"$server"
[ "$(sort -u "$dir/out" | wc -l)" = 1 ]
verdict $? 'by process: of no other'
expect 'by port of the other side' 0 "${here[@]}" -D "$port" -s established -o local <<<LOCAL
[ "$(wc -l <"$dir/out")" = 2 ]
verdict $? 'by port of the other side: one end'
expect 'sorted' 0 "${here[@]}" -p "$server" -H -o received -s established --sort -received <<<5
[ "$(tr -d ' \n' <"$dir/out")" = 50 ]
verdict $? 'sorted: the largest first'
expect 'what the kernel makes of it' 0 "${here[@]}" -L "$port" -s listen -o kernel,class,user <<<"ephemeral"

"$porttrace" list --json "${here[@]}" -q >"$dir/out" 2>"$dir/err"
[ $? = 0 ] && [ "$(jq -r .event.kind "$dir/out" | sort -u)" = state ] && [ ! -s "$dir/err" ] &&
	[ "$(jq -r 'select(.porttrace.socket.state == "listen") | "\(.destination.port) \(.porttrace.socket.backlog) \(.process.pid)"' "$dir/out")" = "$port 17 $server" ]
verdict $? 'JSON'
"$porttrace" list >"$dir/all" 2>"$dir/err"
cp "$dir/all" "$dir/out"
grep -q "127.0.0.1:$port e" "$dir/all" && head -1 "$dir/all" | grep -q NETNS
verdict $? 'all namespaces: with a column that tells them apart'
cp "$porttrace" "$dir/porttrace" # where nobody may run it
as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
porttrace=$dir/porttrace
expect 'without root' 0 <<-END
	tcp listen - - 127.0.0.1:$port
	porttrace: the processes of
	are not visible: sudo porttrace list
END
as=(env)

expect 'a misspelled column' 2 -o lokal <<<"did you mean 'local'?"
expect 'a misspelled option' 2 --listning <<<"did you mean '--listening'?"
expect 'an operand' 2 8080 <<<"unexpected argument '8080'"
mount=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
if [ -n "$mount" ] && mkdir -p "$mount/porttrace-list-$$/below" 2>/dev/null; then
	cgroup=$mount/porttrace-list-$$
	mkfifo "$dir/held"
	sh -c 'echo $$ >"$0/below/cgroup.procs"; exec perl -MSocket -e '"'"'
		socket(my $s, AF_INET, SOCK_DGRAM, 0); bind($s, sockaddr_in(4711, INADDR_LOOPBACK)) or die;
		$| = 1; print "ready\n"; <STDIN>'"'" "$cgroup" <"$dir/held" >"$dir/made" &
	exec 8>"$dir/held"
	until [ -s "$dir/made" ]; do sleep 0.05; done
	"$porttrace" list -q --cgroup "$cgroup" -H -o local >"$dir/out" 2>"$dir/err"
	[ "$(tr -d ' ' <"$dir/out")" = 127.0.0.1:4711 ]
	verdict $? 'of a cgroup and below'
	exec 8>&-
	wait $!
	rmdir "$cgroup/below" "$cgroup"
else
	echo 'skip - cli/list/of a cgroup and below: no cgroup2 hierarchy that can be written'
fi
expect 'no such cgroup' 2 --cgroup /nowhere <<<"option '--cgroup': /nowhere: No such file or directory"

expect 'no such namespace' 2 --netns 0 <<<"option '--netns': No such process"
expect 'no network namespace' 2 --netns /etc/passwd <<<"this is no network namespace"
expect 'no such history' 1 --history "$dir/none" <<<"porttrace: history $dir/none: "
expect 'help' 0 --help <<<'Usage: porttrace list [OPTIONS]'

"$porttrace" list --watch=200ms "${here[@]}" -H -s listen >"$dir/out" 2>"$dir/err" &
watch=$!
sleep 1.5
kill -INT $watch
wait $watch
[ $? = 0 ] && [ "$(grep -c "127.0.0.1:$port" "$dir/out")" -ge 2 ]
verdict $? 'again and again, until Ctrl-C'
"$porttrace" list >/dev/full 2>"$dir/err"
[ $? = 1 ] && grep -q 'cannot write the output: No space left' "$dir/err"
verdict $? 'a full disk'
bash -c 'set -o pipefail; "$1" list | true; exit "${PIPESTATUS[0]}"' - "$porttrace" 2>"$dir/err"
[ $? = 0 ]
verdict $? 'a reader that has gone'
script -qec "stty cols 30; '$porttrace' list -q --netns $$" /dev/null >"$dir/out" 2>"$dir/err"
[ "$(tr -d '\r' <"$dir/out" | awk 'length > 30' | wc -l)" = 0 ] && grep -q listen "$dir/out"
verdict $? 'the width of a terminal'

exit $failed
