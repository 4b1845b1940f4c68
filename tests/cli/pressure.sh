#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# porttrace pressure and why: bad input, output that nobody takes, and no privilege. No BPF anywhere.

# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

if [ "$(id -u)" != 0 ] || ! has_program setpriv || ! has_program unshare; then
	skip pressure "needs root, setpriv and unshare"
	exit 0
fi

# refused NAME STATUS PATTERN COMMAND...: nothing on stdout, this on stderr
refused()
{
	local name=$1 wanted=$2 pattern=$3 lines=1 status
	shift 3
	"$PORTTRACE" "$@" >"$T/out" 2>"$T/err"
	status=$?
	expect "exit status" "$wanted" "$status"
	expect_text "stderr" "$pattern" "$(cat "$T/err")"
	grep -q "^Try 'porttrace" "$T/err" && lines=2
	expect "lines on stderr" "$lines" "$(wc -l <"$T/err")"
	[ ! -s "$T/out" ] || wrong "stdout has '$(head -c 80 "$T/out")'"
	verdict "pressure/$name"
}

# A namespace with one UDP socket in it, which pressure --all shows; $holder lives there.
hold()
{
	: >"$T/said"
	# shellcheck disable=SC2016 # for the shell inside
	unshare -n bash -c 'ip link set lo up 2>/dev/null; exec 3<>/dev/udp/127.0.0.1/9; echo ready; exec sleep 60' >"$T/said" 2>&1 &
	holder=$!
	until_true 5 grep -q ready "$T/said"
}

# ---- what is asked for ----

sleep 0 &
gone=$!
wait $gone
refused why_unknown_pid 2 "^porttrace: there is no process $gone$" why --no-bpf $gone
refused why_pid_too_large 2 "there is no process 99999999999" why --no-bpf 99999999999
refused why_pid_0 2 "there is no process 0" why --no-bpf 0
refused why_bad_port 2 "'127.0.0.1:x' is neither a process nor a destination" why --no-bpf 127.0.0.1:x
refused why_port_0 2 "'127.0.0.1:0' is neither" why --no-bpf 127.0.0.1:0
refused why_port_too_large 2 "'127.0.0.1:65536' is neither" why --no-bpf 127.0.0.1:65536
refused why_no_port 2 "'127.0.0.1:' is neither" why --no-bpf 127.0.0.1:
refused why_no_host 2 "':80' is neither" why --no-bpf :80
refused why_empty 2 "'' is neither" why --no-bpf ''
refused why_open_bracket 2 "'\[::1' is neither" why --no-bpf '[::1'
refused why_after_bracket 2 "'\[::1\]80' is neither" why --no-bpf '[::1]80'
refused why_empty_bracket 2 "'\[\]:80' is neither" why --no-bpf '[]:80'
refused why_two 2 "one process or destination at a time" why --no-bpf 1 2
refused why_unresolvable 2 "cannot resolve 'nowhere.invalid': " why --no-bpf nowhere.invalid:80
refused why_long 2 "is neither a process nor a destination" why --no-bpf "$(printf 'a%.0s' {1..400}):80"
refused pressure_operand 2 "" pressure --no-bpf 127.0.0.1
refused pressure_every_0 2 "every" pressure --no-bpf --every x
refused pressure_top_0 2 "top" pressure --no-bpf --top 0
for command in pressure why; do
	refused ${command}_no_namespace 2 "'--netns': /nowhere: No such file or directory$" $command --no-bpf --netns /nowhere
	refused ${command}_no_process 2 "'--netns': $gone: No such process" $command --no-bpf --netns $gone
	refused ${command}_file 2 "'--netns': /etc/passwd: this is no network namespace" $command --no-bpf --netns /etc/passwd
	refused ${command}_no_history 1 "history /nowhere.db: " $command --no-bpf --history /nowhere.db
	refused ${command}_false_history 1 "history /etc/passwd: " $command --no-bpf --history /etc/passwd
done

# ---- a namespace that goes while it is looked at: between the two looks ----

hold
"$PORTTRACE" pressure --once --no-bpf --every 1 --netns $holder >"$T/out" 2>"$T/err" &
tracer=$!
sleep 0.5
{ kill -KILL $holder && wait $holder; } 2>/dev/null
await 5
[[ $status == [01] ]] || wrong "exit status $status"
[ "$(wc -l <"$T/err")" -le 1 ] || wrong "stderr has '$(head -c 200 "$T/err")'"
[ "$status" = 0 ] || expect_text stderr '^porttrace: ' "$(cat "$T/err")"
verdict pressure/vanished_namespace

# ---- output that nobody takes ----

hold
for command in "pressure --once --every 0.1 --all" "pressure --once --every 0.1 --json --all" why; do
	name=${command// --/_}
	# shellcheck disable=SC2086 # words
	"$PORTTRACE" $command --no-bpf --netns $holder >/dev/full 2>"$T/err"
	expect "exit status" 1 $?
	expect stderr "porttrace: cannot write the output: No space left on device" "$(cat "$T/err")"
	verdict "pressure/full_${name}"
	# shellcheck disable=SC2086
	("$PORTTRACE" $command --no-bpf --netns $holder 2>"$T/err"; echo $? >"$T/status") | head -0
	[[ $(cat "$T/status") == [012] ]] || wrong "exit status $(cat "$T/status")"
	expect stderr "" "$(cat "$T/err")"
	verdict "pressure/closed_pipe_${name}"
done

# ---- no privilege ----

for command in "pressure --once --every 0.1" "pressure --once --every 0.1 --json" why; do
	# shellcheck disable=SC2086
	setpriv --reuid nobody --clear-groups "$PORTTRACE" $command >"$T/out" 2>"$T/err"
	status=$?
	[[ $status == [012] ]] || wrong "exit status $status"
	expect stderr "" "$(head -2 "$T/err")"
	[[ $command == *json* ]] || grep -q . "$T/out" || wrong "says nothing"
	verdict "pressure/unprivileged_${command// --/_}"
done
setpriv --reuid nobody --clear-groups "$PORTTRACE" pressure --once --every 0.1 >"$T/out" 2>&1
expect_text "what is not visible" 'Not visible: what bind\(\) keeps from connect\(\)|No pool' "$(cat "$T/out")"
expect_text "namespaces" 'Not visible: .*(namespace|history)' "$(cat "$T/out")"
verdict pressure/unprivileged_says_what_is_missing

# on a terminal: a screen that fits, whatever its size. frame ROWS COLUMNS COMMAND...: the last one
frame()
{
	python3 - "$@" <<-'END'
		import fcntl, os, pty, struct, sys, termios, time
		rows, columns = int(sys.argv[1]), int(sys.argv[2])
		pid, fd = pty.fork()
		if not pid:
		    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
		    os.execv(sys.argv[3], sys.argv[3:])
		got, begin = b"", time.monotonic()
		while time.monotonic() - begin < 60 and got.count(b"\033[2J") < 3:
		    got += os.read(fd, 65536)
		os.kill(pid, 2)
		os.waitpid(pid, 0)
		print(got.split(b"\033[2J")[-2].replace(b"\033[H", b"").decode().replace("\r", ""), end="")
	END
}
# fits ROWS COLUMNS: what is in $T/frame
fits()
{
	local lines widest
	lines=$(grep -c '' "$T/frame")
	widest=$(head -n $(($1 - 1)) "$T/frame" | wc -L)
	[ "$lines" -le "$1" ] || wrong "$lines lines on a screen of $1"
	grep -q 'SEV  POOL' "$T/frame" || wrong "no head: $(head -2 "$T/frame")"
	[ "$2" -lt 80 ] || [ "$(grep '^SEV\|^     [A-Z]\|^ok\|^crit' "$T/frame" | wc -L)" -le "$2" ] || wrong "$widest columns of $2"
}
if has_program python3; then
	for size in "24 80" "24 200" "5 120" "50 100"; do
		# shellcheck disable=SC2086
		frame $size "$PORTTRACE" pressure --no-bpf --all --every 0.2 --netns "$holder" >"$T/frame"
		# shellcheck disable=SC2086
		fits $size
		[ "$size" != "5 120" ] || grep -q 'more lines do not fit on this screen' "$T/frame" || wrong "nothing left out"
		verdict "pressure/screen-${size// /x}"
	done
fi

exit $failed
