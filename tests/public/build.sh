#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Builds the kernel's test programs of programs.list:  build.sh FETCHED OUT
# FETCHED is what fetch.sh printed. OUT/NAME.log tells why a program could not be built.

set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
fetched=$1
out=$2

build()
{
	local program=$1 source=$2

	[ ! "$out/$program" -nt "$source" ] || return 0
	${CC:-cc} -w -O1 -D_GNU_SOURCE -static -I. -I"$fetched/linux/tools/include" -isystem "$fetched/include" \
		-o "$out/$program" "$source" -lcap -lpthread >"$out/$program.log" 2>&1 && rm "$out/$program.log"
}

mkdir -p "$out"
out=$(cd "$out" && pwd)
# From here, as the programs print the names of their sources.
cd "$fetched/linux/tools/testing/selftests" || exit
awk '$2 ~ /\.c$/ { print $2 }' "$here/programs.list" | sort -u | while read -r source; do
	build "$(basename "$source" .c)" "$source"
done
