#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Run a script as root in a virtual machine with one of the kernels of kernels.list.
# See README.md, and --help.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH

boot_tries=3
boot_seconds=120
start_mark='porttrace-vm: the guest script starts'

# 125 is the runner's own failure; every other status is the guest script's.
die()
{
	echo "run.sh: $*" >&2
	exit 125
}

usage()
{
	cat <<-'END'
	usage: tests/vm/run.sh KERNEL [OPTION]... -- GUEST_SCRIPT [ARG]...
	       tests/vm/run.sh KERNEL [OPTION]... --shell

	  KERNEL              a name of tests/vm/kernels.list
	  --add PATH[:DEST]   put a file or directory into the guest, with the shared libraries its
	                      programs need; DEST is /test/NAME unless given, DEST/ is a directory
	  --bin PROGRAM       put an installed program into the guest, with its shared libraries
	  --out DIR           console.log, output.log and results/ go here (build/vm/KERNEL)
	  --append ARGS       more kernel arguments
	  --smp N             processors (2)
	  --mem MIB           memory (2048)
	  --icount            1 processor, time counted in instructions: the same on a slow machine; idle time is
	                      skipped, addresses are not random, and no instruction counts by the byte
	  --accel WHAT        QEMU's accelerator: tcg,thread=single (the default: emulation, one thread for all
	                      processors), tcg,thread=multi (a thread each; crashes now and then, see README.md), kvm
	  --timeout SEC       stop the machine after this time (600)
	  --shell             an interactive shell in the guest; Ctrl-D ends it, Ctrl-A X kills it

	The exit status is the guest script's; 125 if the machine failed (panic, timeout, bad option).
	END
}

parse()
{
	while (($#)); do
		case $1 in
		--add | --bin | --out | --append | --smp | --mem | --accel | --timeout)
			(($# > 1)) || die "$1 needs a value"
			option "$1" "$2"
			shift
			;;
		--icount) icount=1 ;;
		--shell) shell=1 ;;
		-h | --help) usage; exit 0 ;;
		--) shift; command=("$@"); break ;;
		-*) die "unknown option $1 (see --help)" ;;
		*) [[ -z $kernel ]] || die "two kernels: $kernel and $1"; kernel=$1 ;;
		esac
		shift
	done
	[[ $kernel ]] || die "which kernel? (see --help)"
	[[ $shell || ${#command[@]} -gt 0 ]] || die "no guest script: ... -- GUEST_SCRIPT [ARG]..."
}

option()
{
	case $1 in
	--add) adds+=("$2") ;;
	--bin) bins+=("$2") ;;
	--out) out=$2 ;;
	--append) append+=" $2" ;;
	--smp) smp=$2 ;;
	--mem) mem=$2 ;;
	--accel) accel=$2 ;;
	--timeout) seconds=$2 ;;
	esac
}

# --- what is in the guest ---

make_base()
{
	local dir applet

	mkdir -p "$stage"/{dev,proc,sys,run,tmp,root,home/alice,mnt,results,test,etc,var/{log,lib,tmp,cache}}
	mkdir -p "$stage"/usr/{bin,sbin,lib,lib64}
	for dir in bin sbin lib lib64; do
		ln -s "usr/$dir" "$stage/$dir"
	done
	ln -s /run "$stage/var/run"
	busybox --list-full | while read -r applet; do
		ln -sf /usr/bin/busybox "$stage/usr/${applet#usr/}"
	done
	cp --remove-destination "$(type -P busybox)" "$stage/usr/bin/busybox"
	cp "$here/init" "$stage/init"
	chmod 755 "$stage/init"
	chmod 1777 "$stage/var/tmp"
	cp -r "$kernel_dir/lib/modules" "$stage/usr/lib/"
}

make_etc()
{
	local etc=$stage/etc file

	cat >"$etc/passwd" <<-END
	root:x:0:0:root:/root:/bin/sh
	www-data:x:33:33:www-data:/var/www:/bin/false
	alice:x:1000:1000:Alice:/home/alice:/bin/sh
	nobody:x:65534:65534:nobody:/nonexistent:/bin/false
	END
	sed 's/^\([^:]*\):x:[0-9]*:\([0-9]*\):.*/\1:x:\2:/; s/^nobody/nogroup/' "$etc/passwd" >"$etc/group"
	printf '127.0.0.1\tlocalhost vm\n::1\tlocalhost vm\n' >"$etc/hosts"
	printf 'hosts: files\npasswd: files\ngroup: files\nservices: files\n' >"$etc/nsswitch.conf"
	: >"$etc/resolv.conf"
	echo 'options dummy numdummies=0' >"$etc/modprobe.conf"
	for file in services protocols; do
		[[ ! -e /etc/$file ]] || cp "/etc/$file" "$etc/$file"
	done
	chmod 644 "$etc"/*
}

# The shared libraries of programs and libraries, to the same places. ldd knows them all by path;
# what is no ELF file, or static, has none.
add_libraries()
{
	local lib

	{ ldd "$@" 2>/dev/null || true; } |
		sed -n 's/^.*=> \(\/[^ ]*\) (0x.*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (0x.*/\1/p' | sort -u |
		while read -r lib; do
			[[ ! -e $stage$lib ]] || continue
			mkdir -p "$stage${lib%/*}"
			cp -L "$lib" "$stage$lib"
		done
}

add_tree_libraries()
{
	local files

	mapfile -d '' files < <(find "$1" -type f \( -perm /111 -o -name '*.so*' \) -print0)
	((${#files[@]} == 0)) || add_libraries "${files[@]}"
}

# What a script's first line asks for, if that is a program of this machine and not busybox's sh.
add_interpreter()
{
	local line words

	IFS= read -r line <"$1" 2>/dev/null || return 0
	[[ $line == '#!'* ]] || return 0
	read -ra words <<<"${line#\#!}"
	[[ ${words[0]##*/} != env ]] || words=("${words[@]:1}")
	[[ ${words[0]##*/} == sh ]] || add_bin "${words[0]##*/}"
}

# Debian's own Python, whatever other one stands first in PATH.
add_python()
{
	local program lib

	program=$(readlink -f /usr/bin/python3) || die "--bin python3: no /usr/bin/python3"
	lib=/usr/lib/${program##*/}
	mkdir -p "$stage$lib"
	tar -C "$lib" -cf - --exclude=./test --exclude=./idlelib --exclude=./lib2to3 \
		--exclude=./tkinter --exclude=./ensurepip --exclude='./config-*' . | tar -C "$stage$lib" -xf -
	add_tree_libraries "$lib/lib-dynload"
	cp "$program" "$stage$program"
	add_libraries "$program"
	ln -sf "${program##*/}" "$stage/usr/bin/python3"
}

add_bin()
{
	local path

	if [[ $1 == python3 ]]; then
		add_python
		return
	fi
	path=$(type -P "$1") || die "--bin $1: no such program on this machine"
	mkdir -p "$stage${path%/*}"
	rm -f "$stage$path"
	cp -L "$path" "$stage$path"
	add_libraries "$path"
	add_interpreter "$path"
}

add_path()
{
	local from=${1%%:*} to=

	[[ $1 != *:* ]] || to=${1#*:}
	[[ -e $from ]] || die "--add $from: no such file"
	from=$(realpath "$from")
	[[ $to ]] || to=/test/${from##*/}
	[[ $to == /* ]] || die "--add $1: $to is no absolute path"
	[[ $to != */ || -d $from ]] || to+=${from##*/}
	if [[ -d $from ]]; then
		mkdir -p "$stage$to"
		cp -a "$from/." "$stage$to/"
		add_tree_libraries "$from"
	else
		mkdir -p "$stage${to%/*}"
		rm -f "$stage$to"
		cp -p "$from" "$stage$to"
		add_libraries "$from"
	fi
}

quoted()
{
	local word

	for word; do
		printf " '%s'" "${word//\'/\'\\\'\'}"
	done
}

add_command()
{
	local script=${command[0]} name

	[[ -f $script ]] || die "$script: no such guest script"
	name=${script##*/}
	cp -L "$script" "$stage/test/$name"
	chmod +x "$stage/test/$name"
	add_libraries "$script"
	add_interpreter "$script"
	{
		echo '#!/bin/sh'
		echo "exec$(quoted "./$name" "${command[@]:1}")"
	} >"$stage/test/.command"
	chmod +x "$stage/test/.command"
}

make_initramfs()
{
	local item

	make_base
	make_etc
	for item in "${bins[@]}"; do
		add_bin "$item"
	done
	for item in "${adds[@]}"; do
		add_path "$item"
	done
	((${#command[@]} == 0)) || add_command
	# Not compressed: unpacking costs the emulated machine more than reading.
	(cd "$stage" && find . -print0 | cpio --quiet -0 -o -H newc -R 0:0) >"$work/initramfs"
}

# --- the machine ---

# shellcheck disable=SC2054 # the commas are QEMU's
qemu_arguments()
{
	if [[ $icount ]]; then
		smp=1
		cpu+=,-rdrand,-rdseed,-erms,-fsrm
		args+=(-icount shift=0,sleep=off -rtc base=2025-01-01,clock=vm)
		append+=' nokaslr norandmaps tsc=reliable clocksource=tsc'
	fi
	args+=(-accel "$accel"
		-nodefaults -no-user-config -display none -no-reboot
		-cpu "$cpu" -smp "$smp" -m "$mem"
		-kernel "$kernel_dir/vmlinuz" -initrd "$work/initramfs"
		-device virtio-serial-pci
		-chardev "file,id=results,path=$work/results.tar" -device virtserialport,chardev=results,name=results
		-device virtserialport,chardev=output,name=output
	)
	kernel_arguments="console=ttyS0 panic=-1 oops=panic random.trust_cpu=on cryptomgr.notests"
	if [[ $shell ]]; then
		args+=(-serial mon:stdio -chardev null,id=output)
		kernel_arguments+=" quiet porttrace.shell"
	else
		args+=(-serial "file:$out/console.log" -chardev "stdio,id=output,signal=off,logfile=$out/output.log")
		kernel_arguments+=" loglevel=5"
	fi
	args+=(-append "$kernel_arguments $row_arguments$append")
}

# A machine that hangs in boot is as broken as one that panics in boot; do not wait for the timeout.
boot_watchdog()
{
	local i

	for ((i = 0; i < boot_seconds; i++)); do
		sleep 1
		! grep -qs "$start_mark" "$out/console.log" || return 0
	done
	kill "$1"
}

boot()
{
	local watchdog

	rm -f "$out/console.log" "$out/output.log" "$work"/{results.tar,exit-status}
	timeout -k 5 "$seconds" qemu-system-x86_64 "${args[@]}" <>"$work/silence" 2>"$work/qemu.log" &
	machine=$!
	boot_watchdog "$machine" >/dev/null 2>&1 8>&- &
	watchdog=$!
	qemu_status=0
	wait "$machine" || qemu_status=$?
	machine=
	kill "$watchdog" 2>/dev/null || true
	take_results
}

take_results()
{
	[[ -s $work/results.tar ]] || return 0
	tar -C "$work" -xi --no-same-owner -f "$work/results.tar" 2>"$work/tar.log" || true
	rm -rf "$out/results"
	[[ ! -d $work/results ]] || mv "$work/results" "$out/results"
}

fail()
{
	{
		echo "run.sh: $kernel: $1; the last lines of $out/console.log:"
		tail -n 40 "$out/console.log" | sed 's/^/    /'
		cat "$work/qemu.log"
	} >&2
	exit 125
}

run()
{
	local try

	for ((try = 1; try <= boot_tries; try++)); do
		boot
		[[ ! -s $work/exit-status ]] || exit "$(<"$work/exit-status")"
		((qemu_status != 124)) || fail "stopped after $seconds s (--timeout)"
		[[ -e $out/console.log ]] || fail "QEMU does not start"
		! grep -q "$start_mark" "$out/console.log" || fail "the machine died while the script ran"
		cp "$out/console.log" "$out/console-failed-boot-$try.log"
		echo "run.sh: $kernel: the machine died in boot, try $try of $boot_tries (emulator fault?)" >&2
	done
	fail "the machine dies in boot"
}

run_shell()
{
	qemu-system-x86_64 "${args[@]}" || die "QEMU failed"
	take_results
	exit 0
}

# shellcheck disable=SC2317 # called by trap
cleanup()
{
	[[ -z $machine ]] || kill "$machine" 2>/dev/null || true
	rm -rf "$work"
}

main()
{
	local line

	kernel='' shell='' icount='' append='' out='' machine=''
	smp=2 mem=2048 accel=tcg,thread=single seconds=600
	command=() adds=() bins=() args=()
	parse "$@"
	kernel_dir=$("$here/fetch.sh" "$kernel") || die "no kernel $kernel"
	line=$(awk -v name="$kernel" '!/^#/ && $1 == name' "$here/kernels.list")
	read -r _ _ _ cpu row_arguments <<<"$line"
	[[ $row_arguments != - ]] || row_arguments=''

	out=${out:-$root/build/vm/$kernel}
	mkdir -p "$out"
	out=$(cd "$out" && pwd)
	exec 8>"$out/.lock"
	flock -n 8 || die "$out is in use by another run (--out DIR takes another)"
	rm -rf "$out/results" "$out"/console*.log "$out/output.log"
	work=$(mktemp -d "$out/work.XXXXXX")
	trap cleanup EXIT
	trap 'exit 125' INT TERM HUP
	stage=$work/stage
	mkdir "$stage"
	# QEMU's input: at the end of one it would take its output for closed too.
	mkfifo "$work/silence"

	make_initramfs
	qemu_arguments
	[[ ! $shell ]] || run_shell
	run
}

main "$@"
