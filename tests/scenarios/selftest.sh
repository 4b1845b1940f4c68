#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Proves that check.py can fail: a made-up pair of files passes, each mutation of it must not.
set -eu
here=$(dirname "$0")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0

cat >"$dir/expect" <<'END'
{"meta":"process","scenario":"-","pid":100}
{"scenario":"conn","action":"bind","outcome":"success","pid":100,"tid":100,"ppid":1,"uid":0,"comm":"workload","transport":"tcp","type":"ipv4","role":"none","local":{"ip":"127.0.0.1","port":20001},"requested":{"ip":"127.0.0.1","port":20001},"how":"explicit","cookie":11,"fd":5,"reuseaddr":false,"reuseport":false,"no_port":false,"freebind":false,"transparent":false,"netns":4026531840,"at":1}
{"scenario":"conn","action":"listen","outcome":"success","pid":100,"tid":100,"ppid":1,"uid":0,"comm":"workload","transport":"tcp","type":"ipv4","role":"none","local":{"ip":"127.0.0.1","port":20001},"cookie":11,"fd":5,"reuseaddr":false,"reuseport":false,"no_port":false,"freebind":false,"transparent":false,"netns":4026531840,"backlog":8,"at":2}
{"scenario":"conn","action":"connect","outcome":"success","pid":100,"tid":100,"ppid":1,"uid":0,"comm":"workload","transport":"tcp","type":"ipv4","role":"egress","local":{"ip":"127.0.0.1","port":40871},"remote":{"ip":"127.0.0.1","port":20001},"requested":{"port":0},"how":"connect","range":[32768,60999],"wall":true,"cookie":12,"fd":6,"reuseaddr":true,"reuseport":false,"no_port":false,"freebind":false,"transparent":false,"device":3,"mark":7,"netns":4026531840,"free":["requested.ip"],"at":3,"took":300000}
{"scenario":"conn","action":"accept","outcome":"success","pid":100,"tid":101,"ppid":1,"uid":0,"comm":"workload","transport":"tcp","type":"ipv4","role":"ingress","local":{"ip":"127.0.0.1","port":20001},"remote":{"ip":"127.0.0.1","port":40871},"how":"inherited","creator":{"pid":90,"name":"systemd"},"cookie":13,"netns":4026531840,"cookie_maybe":true,"at":4}
{"scenario":"conn","action":"close","outcome":"success","pid":100,"tid":100,"ppid":1,"uid":0,"comm":"workload","transport":"tcp","type":"ipv4","role":"egress","local":{"ip":"127.0.0.1","port":40871},"remote":{"ip":"127.0.0.1","port":20001},"closed_by":"local","state":"time-wait","bytes":{"local":10,"remote":300},"cookie":12,"netns":4026531840,"at":5,"took":900000}
{"scenario":"conn","action":"close","outcome":"failure","errno":"ECONNRESET","cause":"reset","pid":100,"tid":101,"ppid":1,"uid":0,"comm":"workload","transport":"tcp","type":"ipv4","role":"ingress","local":{"ip":"127.0.0.1","port":20001},"remote":{"ip":"127.0.0.1","port":40871},"closed_by":"remote","state":"closed","exit":"SIGKILL","vpid":7,"bytes":{"local":300,"remote":10},"cookie":13,"netns":4026531840,"at":6}
{"meta":"scenario","scenario":"conn","status":"run","reason":"","start":1800000000000000000,"end":1800000001000000000}
{"scenario":"taken","action":"bind","outcome":"failure","errno":"EADDRINUSE","cause":"in_use","holder":{"kind":"time-wait","pid":77,"name":"nginx","uid":33,"exited":true,"ip":"::","expires":60},"pid":100,"tid":100,"ppid":1,"uid":0,"comm":"workload","transport":"udp","type":"ipv6","role":"none","local":{"ip":"::1","port":20002},"requested":{"ip":"::1","port":20002},"how":"explicit","cookie":14,"fd":7,"reuseaddr":false,"reuseport":false,"no_port":false,"freebind":false,"transparent":false,"v6only":true,"iana":"136","netns":4026531840,"at":7}
{"meta":"scenario","scenario":"taken","status":"run","reason":"","start":1800000001000000000,"end":1800000002000000000}
{"meta":"scenario","scenario":"silent","status":"run","reason":"","start":1800000002000000000,"end":1800000003000000000}
{"meta":"scenario","scenario":"absent","status":"skip","reason":"not here","start":1800000003000000000,"end":1800000003000000000}
END

head='"ecs":{"version":"9.4.0"},"event":{"kind":"event","module":"porttrace","dataset":"porttrace.socket"'
task='"parent":{"pid":1},"name":"workload"},"user":{"id":"0"}'
l='{"ip":"127.0.0.1","port":20001}' c='{"ip":"127.0.0.1","port":40871}'
lb='{"ip":"127.0.0.1","port":20001,"bytes":300}' cb='{"ip":"127.0.0.1","port":40871,"bytes":10}'
cat >"$dir/events" <<END
{"@timestamp":"2027-01-15T08:00:00.100000001Z",$head,"action":"bind","outcome":"success","sequence":1},"network":{"transport":"tcp","type":"ipv4"},"destination":$l,"process":{"pid":100,"thread":{"id":100},$task,"porttrace":{"schema":1,"assignment":{"how":"explicit","requested":$l},"socket":{"cookie":11,"fd":5,"reuseaddr":false,"reuseport":false,"no_port":false,"freebind":false,"transparent":false,"netns":4026531840}}}
{"@timestamp":"2027-01-15T08:00:00.200000001Z",$head,"action":"listen","outcome":"success","sequence":2},"network":{"transport":"tcp","type":"ipv4"},"destination":$l,"process":{"pid":100,"thread":{"id":100},$task,"porttrace":{"schema":1,"socket":{"cookie":11,"fd":5,"reuseaddr":false,"reuseport":false,"no_port":false,"freebind":false,"transparent":false,"netns":4026531840,"backlog":8}}}
{"@timestamp":"2027-01-15T08:00:00.300000001Z",$head,"action":"connect","outcome":"success","sequence":3,"duration":200000,"reason":"wall: so"},"network":{"transport":"tcp","type":"ipv4","direction":"egress"},"source":$c,"destination":$l,"process":{"pid":100,"thread":{"id":100},$task,"porttrace":{"schema":1,"assignment":{"how":"connect","requested":{"port":0}},"pool":{"kind":"connect","half":"second","search_us":20,"wall":true},"socket":{"cookie":12,"fd":6,"reuseaddr":true,"reuseport":false,"no_port":false,"freebind":false,"transparent":false,"device":3,"mark":7,"netns":4026531840}}}
{"@timestamp":"2027-01-15T08:00:00.400000001Z",$head,"action":"accept","outcome":"success","sequence":4},"network":{"transport":"tcp","type":"ipv4","direction":"ingress"},"source":$c,"destination":$l,"process":{"pid":100,"thread":{"id":101},$task,"porttrace":{"schema":1,"creator":{"pid":90,"name":"systemd"},"assignment":{"how":"inherited"},"socket":{"netns":4026531840}}}
{"@timestamp":"2027-01-15T08:00:00.400000002Z",$head,"action":"bind","outcome":"success","sequence":5},"network":{"transport":"tcp","type":"ipv4"},"destination":{"ip":"10.0.0.1","port":99},"process":{"pid":555,"thread":{"id":555},"name":"stranger"},"porttrace":{"schema":1,"socket":{"cookie":99,"netns":4026531840}}}
{"@timestamp":"2027-01-15T08:00:00.500000001Z",$head,"action":"close","outcome":"success","sequence":6},"network":{"transport":"tcp","type":"ipv4","direction":"egress"},"source":$cb,"destination":$lb,"process":{"pid":100,"thread":{"id":100},$task,"porttrace":{"schema":1,"socket":{"cookie":12,"closed_by":"local","state":"time-wait","netns":4026531840}}}
{"@timestamp":"2027-01-15T08:00:00.600000001Z",$head,"action":"close","outcome":"failure","sequence":7,"reason":"reset by the peer"},"error":{"code":"104","type":"ECONNRESET","message":"Connection reset by peer"},"network":{"transport":"tcp","type":"ipv4","direction":"ingress"},"source":$cb,"destination":$lb,"process":{"pid":100,"vpid":7,"thread":{"id":101},$task,"porttrace":{"schema":1,"cause":"reset","exit":"SIGKILL","socket":{"cookie":13,"closed_by":"remote","state":"closed","netns":4026531840}}}
{"@timestamp":"2027-01-15T08:00:01.600000001Z",$head,"action":"bind","outcome":"failure","sequence":8,"reason":"the port is in use"},"error":{"code":"98","type":"EADDRINUSE","message":"Address already in use"},"network":{"transport":"udp","type":"ipv6","iana_number":"136"},"destination":{"ip":"::1","port":20002},"process":{"pid":100,"thread":{"id":100},$task,"porttrace":{"schema":1,"cause":"in_use","holder":{"kind":"time-wait","process":{"pid":77,"name":"nginx"},"user":{"id":"33"},"exited":true,"ip":"::","expires":41},"assignment":{"how":"explicit","requested":{"ip":"::1","port":20002}},"socket":{"cookie":14,"fd":7,"reuseaddr":false,"reuseport":false,"no_port":false,"freebind":false,"transparent":false,"v6only":true,"netns":4026531840}}}
END
echo '8 events shown, 8 seen, 0 lost' >"$dir/stderr"

check() { # FILE [OPTION...]
	events=$1
	shift
	"$here/check.py" --expect "$dir/expect" --events "$events" "$@" >"$dir/out" 2>&1
}

verdict() { # NAME ok|bad
	echo "$2 - $1"
	[ "$2" = ok ] || { failed=1; cat "$dir/out"; }
}

passes() { # NAME FILE OPTION...
	name=$1
	shift
	if check "$@" && grep -q '^4 passed, 0 failed, 1 skipped$' "$dir/out"; then
		verdict "$name" ok
	else
		verdict "$name" bad
	fi
}

# Puts the sequence numbers right again, so that only what a mutation is about is wrong.
renumber() {
	awk '{ sub(/"sequence":[0-9]+/, "\"sequence\":" NR); print }'
}

# NAME TEXT: what is on stdin instead of the events must fail, and the report must say TEXT.
fails() {
	cat >"$dir/mutant"
	if cmp -s "$dir/mutant" "$dir/events"; then
		echo "the mutation changed nothing" >"$dir/out"
		verdict "$1" bad
	elif ! check "$dir/mutant" && grep -q "^FAIL $2" "$dir/out"; then
		verdict "$1" ok
	else
		verdict "$1" bad
	fi
}

edit() { # LINE SED-EXPRESSION
	sed "$1 $2" "$dir/events"
}

passes "the pair as it is" "$dir/events"
passes "with the closing line" "$dir/events" --stderr "$dir/stderr"
sed 's/,"search_us":20//' "$dir/events" >"$dir/events_cgroup"
passes "as the cgroup backend" "$dir/events_cgroup" --backend cgroup
if check "$dir/events" --backend cgroup; then
	verdict "a search that the cgroup backend cannot see" bad
else
	verdict "a search that the cgroup backend cannot see" ok
fi

sed 3d "$dir/events" | renumber | fails "a connect is missing" "conn: missing: connect"
sed 8d "$dir/events" | renumber | fails "the failed bind is missing" "taken: missing: bind failure"
sed 6d "$dir/events" | renumber | fails "a close is missing" "conn: missing: close"
sed 3p "$dir/events" | renumber | fails "a connect twice" "conn: extra: .*connect"
sed '5s/"pid":555/"pid":100/' "$dir/events" | fails "an event nobody expects" "conn: extra: .*bind"
edit 8 's/"port":20002}/"port":20003}/' | fails "another port" "taken: .*local.port: expected 20002"
edit 1 's/"destination":{"ip":"127.0.0.1"/"destination":{"ip":"127.0.0.2"/' |
	fails "another address" "conn: .*local.ip"
edit 3 's/"requested":{"port":0}/"requested":{}/' | fails "no request" "conn: .*requested.port"
edit 8 's/"98","type":"EADDRINUSE"/"13","type":"EACCES"/' | fails "another errno" "taken: .*errno"
edit 8 's/"98"/"99"/' | fails "a code that is not its errno" "invariants: .*error"
edit 1 's/"sequence":1}/"sequence":1},"error":{"code":"98","type":"EADDRINUSE","message":"x"}/' |
	fails "an error where none was" "conn: .*errno: expected None"
edit 8 's/"pid":100/"pid":101/' | fails "another pid" "taken: .*pid: expected 100, got 101"
edit 4 's/"id":101/"id":100/' | fails "another tid" "conn: .*tid"
edit 3 's/"name":"workload"/"name":"worker"/' | fails "another comm" "conn: .*comm"
edit 3 's/"user":{"id":"0"/"user":{"id":"7"/' | fails "another uid" "conn: .*uid"
edit 3 's/"pid":1}/"pid":2}/' | fails "another parent" "conn: .*ppid"
edit 3 's/"how":"connect"/"how":"explicit"/' | fails "another how" "conn: .*how"
edit 6 's/"socket"/"assignment":{"how":"connect"},"socket"/' |
	fails "a how too many" "conn: .*how: expected None"
edit 7 's/"cookie":13/"cookie":12/' | fails "another socket" "conn: .*cookie\|conn: missing"
edit 7 's/"cookie":13,//' | fails "a close without its cookie" "conn: .*cookie"
edit 2 's/"backlog":8/"backlog":128/' | fails "another backlog" "conn: .*backlog"
edit 2 's/4026531840/4026531841/' | fails "another namespace" "conn: .*netns"
edit 4 's/"ingress"/"egress"/' | fails "another direction" "conn: .*direction"
edit 8 's/"failure"/"success"/' | fails "another outcome" "taken: .*outcome"
edit 1 's/"fd":5/"fd":6/' | fails "another descriptor" "conn: .*fd: expected 5, got 6"
edit 2 's/"fd":5,//' | fails "no descriptor" "conn: .*fd: expected 5, got None"
edit 6 's/"cookie":12/"cookie":12,"fd":6/' | fails "a descriptor too many" "conn: .*fd: expected None"
for option in reuseaddr reuseport no_port freebind transparent; do
	edit 1 "s/\"$option\":false/\"$option\":true/" | fails "another $option" "conn: .*$option: expected False"
	edit 8 "s/\"$option\":false,*//" | sed 's/,}/}/;s/,,/,/' | fails "no $option" "taken: .*$option: expected False"
done
edit 3 's/"reuseaddr":true/"reuseaddr":false/' | fails "reuseaddr not seen" "conn: .*reuseaddr: expected True"
edit 8 's/"v6only":true/"v6only":false/' | fails "another v6only" "taken: .*v6only"
edit 1 's/"fd":5/"fd":5,"v6only":false/' | fails "v6only of an IPv4 socket" "conn: .*v6only: expected None"
edit 3 's/"device":3/"device":4/' | fails "another device" "conn: .*device"
edit 3 's/"mark":7/"mark":8/' | fails "another mark" "conn: .*mark"
edit 1 's/"fd":5/"fd":5,"mark":0/' | fails "a mark that is none" "conn: .*mark: expected None"
edit 1 's/"fd":5/"fd":5,"mptcp":true/' | fails "MPTCP where it is TCP" "conn: .*mptcp"
edit 8 's/"iana_number":"136"/"iana_number":"17"/' | fails "another protocol number" "taken: .*iana"
edit 8 's/"cause":"in_use"/"cause":"port_exhausted"/' | fails "another cause" "taken: .*cause"
edit 8 's/"cause":"in_use",//' | fails "no cause" "taken: .*cause"
edit 6 's/"schema":1/"schema":1,"cause":"reset"/' | fails "a cause too many" "conn: .*cause: expected None"
edit 8 's/,"reason":"the port is in use"//' | fails "a cause without words" "taken: .*reason"
edit 6 's/"closed_by":"local"/"closed_by":"remote"/' | fails "another closer" "conn: .*closed_by"
edit 6 's/"closed_by":"local",//' | fails "no closer" "conn: .*closed_by"
edit 6 's/"time-wait"/"closed"/' | fails "another state" "conn: .*state"
edit 6 's/"bytes":10/"bytes":11/' | fails "another count of bytes" "conn: .*local.bytes: expected 10, got 11"
edit 7 's/"bytes":10/"bytes":11/' | fails "other bytes received" "conn: .*remote.bytes: expected 10, got 11"
edit 6 's/,"bytes":300//' | fails "no count of bytes" "conn: .*remote.bytes"
edit 7 's/"SIGKILL"/"exit"/' | fails "another end of the process" "conn: .*exit"
edit 6 's/"schema":1/"schema":1,"exit":"exit"/' | fails "an exit too many" "conn: .*exit: expected None"
edit 7 's/"vpid":7/"vpid":8/' | fails "another pid inside" "conn: .*vpid"
edit 7 's/"104","type":"ECONNRESET"/"32","type":"EPIPE"/' | fails "another error at the end" "conn: .*errno"
edit 4 's/"pid":90/"pid":91/' | fails "another creator" "conn: .*creator.pid"
edit 4 's/"creator":{[^}]*},//' | fails "no creator" "conn: .*creator.pid"
edit 6 's/"schema":1/"schema":1,"creator":{"pid":100,"name":"workload"}/' |
	fails "a creator that is the process itself" "conn: .*creator.pid: expected None"
edit 8 's/"kind":"time-wait"/"kind":"listener"/' | fails "another holder" "taken: .*holder.kind"
edit 8 's/"pid":77/"pid":78/' | fails "another holder's pid" "taken: .*holder.pid"
edit 8 's/"nginx"/"apache"/' | fails "another holder's name" "taken: .*holder.name"
edit 8 's/"user":{"id":"33"}/"user":{"id":"0"}/' | fails "another holder's user" "taken: .*holder.uid"
edit 8 's/"exited":true,//' | fails "a holder that lives" "taken: .*holder.exited"
edit 8 's/"expires":41/"expires":61/' | fails "a holder for too long" "taken: .*holder.expires"
edit 8 's/,"expires":41//' | fails "a holder without end" "taken: .*holder.expires"
edit 1 's/"schema":1/"schema":1,"holder":{"kind":"bound"}/' | fails "a holder too many" "conn: .*holder"
edit 3 's/"kind":"connect"/"kind":"bind"/' | fails "another pool" "conn: .*pool: expected 'connect'"
edit 3 's/"pool":{[^}]*},//' | fails "no pool" "conn: .*pool: expected 'connect', got None"
edit 1 's/"schema":1/"schema":1,"pool":{"kind":"bind"}/' | fails "a pool too many" "conn: .*pool: expected None"
edit 3 's/"half":"second"/"half":"first"/' | fails "the other half" "conn: .*half: expected 'second'"
edit 3 's/"half":"second",//' | fails "no half" "conn: .*half: expected 'second', got None"
edit 3 's/,"search_us":20//' | fails "no search" "conn: .*search_us"
edit 3 's/"search_us":20/"search_us":0/' | fails "a search that took no time" "conn: .*search_us"
edit 3 's/"search_us":20/"search_us":300/' | fails "a search longer than the call" "conn: .*search_us"
edit 1 's/"schema":1/"schema":1,"pool":{"search_us":5}/' |
	fails "a search for a port that was asked for" "conn: .*search_us: expected None"
edit 3 's/,"wall":true//' | fails "a wall not announced" "conn: .*wall: expected True"
edit 3 's/"wall: so"/"so"/' | fails "a wall without words" "conn: .*wall: expected True"
edit 8 's/"udp"/"tcp"/' | fails "another transport" "taken: .*transport"
edit 3 's/"duration":200000/"duration":9000000000/' | fails "too long a latency" "conn: .*duration"
edit 3 's/,"duration":200000//' | fails "no latency" "conn: .*duration"
edit 8 's/08:00:01/08:05:00/' | fails "another time" "taken: .*time"
{ sed -n '1,5p;7p' "$dir/events"; sed -n 6p "$dir/events"; sed -n 8p "$dir/events"; } | renumber |
	sed 's/"cookie":99/"cookie":98/' >"$dir/other_order"
if check "$dir/other_order"; then
	verdict "two sockets may end in any order" ok
else
	verdict "two sockets may end in any order" bad
fi
{ sed -n '1,2p;6p' "$dir/events"; sed -n '3,5p;7,8p' "$dir/events"; } | renumber |
	fails "closed before it connected" "conn: order"
edit 5 's/"sequence":5/"sequence":6/' | fails "a hole in the sequence" "invariants: .*sequence"
sed 1,1d "$dir/events" | fails "the sequence does not begin at 1" "invariants: .*sequence"
edit 5 's/Z"/+00:00"/' | fails "a time without Z" "invariants: .*timestamp"
edit 5 's/400000002Z/400Z/' | fails "a time without nanoseconds" "invariants: .*timestamp"
edit 5 's/"ecs":{"version":"9.4.0"},//' | fails "no ecs.version" "invariants: .*ecs"
edit 5 's/}$//' | fails "a broken line" "invariants: .*JSON"
{ sed -n 1,4p "$dir/events"
  sed -n 5p "$dir/events" | sed "s/stranger/$(printf '%04100d' 0)/"
  sed -n '6,$p' "$dir/events"; } | fails "a line too long" "invariants: .*bytes"

sed 's/0 lost/3 lost/' "$dir/stderr" >"$dir/stderr_lost"
if check "$dir/events" --stderr "$dir/stderr_lost"; then
	verdict "lost events" bad
else
	verdict "lost events" ok
fi
sed 's/"scenario":"silent","status":"run"/"scenario":"silent","status":"bad"/' "$dir/expect" >"$dir/e"
mv "$dir/e" "$dir/expect"
if check "$dir/events"; then
	verdict "a workload that failed" bad
else
	verdict "a workload that failed" ok
fi
exit $failed
