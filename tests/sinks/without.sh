#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# A porttrace that was built without libcurl and librdkafka says so, and how to get it, and does everything else.

set -uo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
with=${BUILD:-$root/build} build=${BUILD:-$root/build}-without
log=$(mktemp)
trap 'rm -rf "$log" "$build"' EXIT
# what the libraries change nothing of is not compiled again
if [ -d "$with/src" ]; then
	mkdir -p "$build"
	cp -a "$with/src" "$with/skel" "$with/bpf" "$build"
	grep -rl "HAVE_LIBCURL\|HAVE_RDKAFKA\|library.h" "$root/src" --include='*.c' | sed "s#^$root/\(.*\)c\$#$build/\1o#" | xargs rm -f
fi
if ! nice make -s -C "$root" -j2 BUILD="$build" WITHOUT="libcurl rdkafka" "$build/porttrace" >"$log" 2>&1; then
	echo "not ok - sinks/without: does not build: $(tail -2 "$log")"
	exit 1
fi
said=
for row in "otlp:http://localhost:4318 libcurl libcurl4-openssl-dev" "kafka:localhost/topic librdkafka librdkafka-dev"; do
	read -r uri library package <<<"$row"
	got=$(timeout 10 "$build/porttrace" --sink "$uri" 2>&1)
	status=$?
	[ $status = 1 ] || said+="exit status $status with $uri; "
	[[ $got == *"built without $library. Build it again after: sudo apt install $package"* ]] || said+="$uri: $got; "
done
version=$("$build/porttrace" --version)
[[ $version != *libcurl* && $version != *librdkafka* ]] || said+="$version; "
if grep -q "librdkafka.so\|libcurl.so" "$build/porttrace"; then
	said+="it still knows the libraries; "
fi
if [ -z "$said" ]; then echo "ok - sinks/without"; else echo "not ok - sinks/without: $said"; fi
[ -z "$said" ]
