#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Gets the public test programs into the cache and prints the directory: linux/ (of the kernel's source what the
# tests are built from), include/ (the kernel's headers), python/ (the tests of this machine's Python), and the file
# missing: a line "NAME: reason" for each that is not to be had.
#
#   tests/public/fetch.sh [--update]
# All of it comes as Debian packages, as in tests/vm/fetch.sh; the same variables are read.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${PORTTRACE_CACHE:-${HOME:-/root}/.cache/porttrace}/public
# shellcheck source=tests/vm/apt.sh
. "$here/../vm/apt.sh"

suite=sid # with the newest tests; they run on older kernels too
parts="include testing/selftests/net testing/selftests/landlock testing/selftests/kselftest.h
	testing/selftests/kselftest_harness.h testing/selftests/kselftest_harness"

die()
{
	echo "fetch.sh: $*" >&2
	exit 1
}

# $1: suite. Makes $apt ready for it.
use_suite()
{
	local url

	url=$(mirror main)
	[[ $url ]] || die "this machine's apt knows no Debian mirror (PORTTRACE_DEBIAN_MIRROR=URL names one)"
	apt=$cache/apt/$1
	make_apt_conf "$1" "$url"
	retry private_apt apt-get -o APT::Update::Error-Mode=any update >&2 || die "no package lists of Debian $1"
}

# The newest package whose whole name matches $1.
newest()
{
	private_apt apt-cache pkgnames | grep -Ex -- "$1" | sort -V | tail -n 1
}

missing()
{
	echo "$*" >>"$work/new/missing"
}

# $1: package, $2: directory to unpack it into
unpack()
{
	(cd "$work" && retry private_apt apt-get download "$1" >&2) || die "cannot download $1"
	mkdir -p "$2"
	dpkg-deb -x "$work/$1"_*.deb "$2"
	rm "$work/$1"_*.deb
}

get_linux()
{
	local package part names=()

	package=$(newest 'linux-source-[0-9.]+') || { missing "linux: Debian $suite has no package linux-source-*"; return; }
	unpack "$package" "$work/source"
	for part in $parts; do
		names+=("$package/tools/$part")
	done
	tar -C "$work/source" -xf "$work/source/usr/src/$package.tar.xz" "${names[@]}"
	mv "$work/source/$package" "$work/new/linux"
	unpack linux-libc-dev "$work/headers"
	mkdir "$work/new/include"
	cp -rL "$work"/headers/usr/include/{linux,asm-generic,x86_64-linux-gnu/asm} "$work/new/include/"
}

# No Debian release of today has LTP; its name is looked for in case one gets it.
get_ltp()
{
	if [[ $(newest 'ltp|ltp-(kernel|network)-test|linux-test-project') ]]; then
		missing "ltp: Debian $suite has it, but tests/public does not know how to start it"
	else
		missing "ltp: no package of it in Debian $suite"
	fi
}

get_python()
{
	local version

	version=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])') || return 0
	use_suite "$(. /etc/os-release && echo "${VERSION_CODENAME:-$suite}")"
	if [[ $(newest "libpython${version//./\\.}-testsuite") ]]; then
		unpack "libpython$version-testsuite" "$work/python"
		cp -r "/usr/lib/python$version/test" "$work/new/python" # what the tests are built on is installed already
		mv "$work/python/usr/lib/python$version/test/test_socket.py" "$work/new/python/"
		echo "$version" >"$work/new/python/version"
	else
		missing "python: no package libpython$version-testsuite"
	fi
}

dir=$cache/programs-$(cksum <<<"$suite $parts" | cut -d' ' -f1)
mkdir -p "$cache"
exec 9>"$dir.lock"
flock 9
if [[ ! -e $dir/missing || ${1:-} = --update ]]; then
	keyring=$(find_keyring)
	work=$(mktemp -d "$cache/fetch.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	mkdir "$work/new"
	: >"$work/new/missing"
	use_suite "$suite"
	get_linux
	get_ltp
	get_python
	rm -rf "$dir"
	mv "$work/new" "$dir"
fi
echo "$dir"
