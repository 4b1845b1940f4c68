#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# porttrace service, as a user meets it. As root in a network namespace of its own.

# shellcheck disable=SC2181,SC2016 # a status is told together with other findings; jq has variables of its own
set -u
porttrace=$(realpath "${PORTTRACE:-build/porttrace}")
if [ "$(id -u)" = 0 ] && [ -z "${SERVICE_NETNS:-}" ]; then
	SERVICE_NETNS=1 PORTTRACE=$porttrace exec unshare -n bash "$0" "$@"
fi
failed=0
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$dir"' EXIT
chmod 755 "$dir"

verdict() { # STATUS NAME
	if [ "$1" = 0 ]; then
		echo "ok - cli/service/$2"
		return
	fi
	failed=1
	echo "not ok - cli/service/$2"
	sed 's/^/# /' "$dir/out" "$dir/err"
}

skip() { # NAME WHY
	echo "skip - cli/service/$1: $2"
}

# Runs porttrace service; the status must be STATUS, and each line of stdin must stand in what it wrote.
expect() { # NAME STATUS ARG...
	local name=$1 want=$2 line bad=0
	shift 2
	"${as[@]}" "$porttrace" service "$@" >"$dir/out" 2>"$dir/err"
	[ $? = "$want" ] || bad=1
	while IFS= read -r line; do
		cat "$dir/out" "$dir/err" | tr -s ' ' | grep -qF -- "$line" || bad=1
	done
	# what is wrong is said on standard error, and nothing else is
	[ "$want" = 0 ] && [ -s "$dir/err" ] && bad=1
	[ "$want" = 0 ] || [ ! -s "$dir/out" ] || bad=1
	verdict $bad "$name"
}
as=(env)

# Three clients: one is accepted and open, one waits to be accepted, one has been closed from here (TIME_WAIT).
cat >"$dir/server" <<'END'
use Socket;
sub tcp { socket(my $s, AF_INET, SOCK_STREAM, 0) or die; return $s; }
my ($file) = @ARGV;
my $l = tcp();
bind($l, sockaddr_in(0, INADDR_LOOPBACK)) or die "bind: $!";
listen($l, 17) or die;
my ($port) = sockaddr_in(getsockname($l));
socket(my $u, AF_INET, SOCK_DGRAM, 0) or die;
bind($u, sockaddr_in($port, INADDR_LOOPBACK)) or die "udp: $!";
my @clients;
for (1 .. 3) { my $c = tcp(); connect($c, sockaddr_in($port, INADDR_LOOPBACK)) or die "connect: $!"; push @clients, $c; }
my $gone; accept($gone, $l) or die; close($gone);
sysread($clients[0], my $x, 1); close($clients[0]);
my $kept; accept($kept, $l) or die;
open(my $f, '>', "$file.new") or die; print $f $port; close($f);
rename("$file.new", $file);
sleep 60;
END
[ "$(id -u)" != 0 ] || ip link set lo up
perl "$dir/server" "$dir/port" &
server=$!
for _ in $(seq 100); do
	[ -e "$dir/port" ] && break
	sleep 0.1
done
port=$(cat "$dir/port") || { echo 'not ok - cli/service/the server of this test starts'; exit 1; }

expect 'a well-known port' 0 443 <<-END
	443 well-known (0-1023)
	service https (tcp, udp)
	ephemeral no: this namespace hands out
	privileged yes (below 1024 needs CAP_NET_BIND_SERVICE)
	this network namespace only (net:[$(stat -Lc %i /proc/self/ns/net)])
END
expect 'one protocol only' 0 443/udp <<-END
	service https (udp)
END
expect 'a name' 0 HTTPS <<-END
	443 well-known
END
expect 'a name of udp alone' 0 biff <<-END
	512 well-known
	service exec (tcp), biff (udp)
END
expect 'a registered port' 0 6379 <<-END
	6379 registered (1024-49151)
	service redis
	privileged no
END
expect 'a dynamic port' 0 65535 <<-END
	65535 dynamic (49152-65535)
	service none by that number
END
expect 'port 0' 0 0 <<-END
	a program that asks for 0 leaves the choice to the kernel
END
expect 'several ports' 0 22 53/udp <<-END
	22 well-known
	53 well-known
	service domain (udp)
END
expect 'a port in use' 0 "$port" <<-END
	in use tcp 127.0.0.1:$port listen perl ($server), 1 of 17 waiting for accept()
	established perl ($server)
	no process yet: waiting to be accepted
	time-wait no process: free within a minute
	udp 127.0.0.1:$port bound perl ($server)
	as remote tcp 2 connections established perl ($server)
	looked at this network namespace only
END
expect 'only its udp side' 0 "$port/udp" <<-END
	in use udp 127.0.0.1:$port bound perl ($server)
END
! grep -q tcp "$dir/out"
verdict $? 'only its udp side: nothing of tcp'

expect 'too large' 2 65536 <<<"'65536' is no port: ports go from 0 to 65535"
expect 'negative' 2 -1 <<<"'-1' is no port: ports go from 0 to 65535"
expect 'negative, behind --' 2 -- -1 <<<"'-1' is no port: ports go from 0 to 65535"
expect 'a number beyond all numbers' 2 99999999999999999999999 <<<"is no port: ports go from 0 to 65535"
expect 'a space in the name' 2 'http s' <<<"'http s' is no port or service: did you mean 'https'?"
expect 'a misspelled name' 2 htpps <<<"did you mean 'https'?"
expect 'no such name' 2 qqqqqqqqqq <<<"'qqqqqqqqqq' is no port or service"
expect 'a name of the other protocol' 2 biff/tcp <<<"'biff' is a service, but of udp only"
expect 'another protocol' 2 53/sctp <<<"after the slash, tcp or udp is expected"
expect 'an empty word' 2 '' <<<"is no port or service"
expect 'no port at all' 2 <<<"which port?"
expect 'a bad option' 2 --jsn 80 <<<"unknown option '--jsn': did you mean '--json'?"
expect 'escape sequences are not repeated' 2 $'\e[31mx' <<<"'?[31mx' is no port or service"
expect 'the second port is bad: nothing of the first is told' 2 80 nosuchservice99 <<<"'nosuchservice99'"
expect 'help' 0 --help <<<'Usage: porttrace service [OPTIONS] PORT|NAME[/tcp|/udp]...'

if [ "$(id -u)" = 0 ]; then
	sysctl -qw net.ipv4.ip_local_port_range='40000 40099' net.ipv4.ip_local_reserved_ports=40005 \
		net.ipv4.ip_unprivileged_port_start=80
	expect 'settings of this namespace' 0 40005 <<-'END'
		ephemeral yes: this namespace hands out 40000-40099
		reserved yes: never handed out
		privileged no (below 80 needs CAP_NET_BIND_SERVICE)
	END
	sysctl -qw net.ipv4.ip_local_port_range="$port $((port + 1))"
	expect 'a listener inside the ephemeral range' 0 "$port" <<<"any connection may get this port before its server starts"
	as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	cp "$porttrace" "$dir/porttrace" && porttrace=$dir/porttrace # where nobody may run it
	expect 'without root' 0 "$port" <<-END
		listen a process of root
		processes of other users (not permitted): sudo porttrace service $port
	END
	as=(env)
else
	skip 'settings of this namespace' 'needs root'
	skip 'a listener inside the ephemeral range' 'needs root'
	skip 'without root' 'needs root'
fi

"$porttrace" service --json "$port" 443 >"$dir/out" 2>"$dir/err"
[ $? = 0 ] && [ "$(wc -l <"$dir/out")" = 2 ]
verdict $? 'json: one line a port'
if type jq >/dev/null 2>&1; then
	check() { jq -se --argjson port "$port" --argjson pid "$server" "$2" "$dir/out" >"$dir/err" 2>&1; verdict $? "json: $1"; }
	check 'what the numbers mean' '.[1] | .port == 443 and .class == "well-known" and .service.tcp == "https" and .privileged == (.netns.unprivileged_start > 443) and (.ephemeral | not)'
	check 'the listener' '.[0].sockets | map(select(.state == "listen")) | length == 1 and .[0].local == {ip: "127.0.0.1", port: $port}
		and .[0].backlog == 17 and .[0].waiting == 1 and .[0].processes == [{pid: $pid, name: "perl"}]'
	check 'connections' '.[0].sockets | map(select(.state == "established") | has("processes")) | sort == [false, true]'
	check 'TIME_WAIT and the other side' '.[0] | .time_wait == 1 and (.as_remote | map(.count) == [2]) and .unreadable == []'
else
	skip 'json: what it holds' 'no jq'
fi

"$porttrace" service "$port" >/dev/full 2>"$dir/err"
[ $? = 1 ] && grep -q 'cannot write the output: No space left' "$dir/err"
verdict $? 'a full disk'
bash -c 'set -o pipefail; "$1" service 80 443 8080 | true; exit "${PIPESTATUS[0]}"' - "$porttrace" 2>"$dir/err"
[ $? = 0 ] && [ ! -s "$dir/err" ]
verdict $? 'a reader that has gone'

exit $failed
