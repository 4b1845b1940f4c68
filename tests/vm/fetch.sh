#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Get one kernel of kernels.list into the cache and print the directory it is in:
# vmlinuz, the file "release" (uname -r), and lib/modules/ ready for modprobe.
#
# The package comes from the Debian mirror that this machine's apt already uses, with another
# suite. apt runs with its own state, cache and sources: the system's are only read.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${PORTTRACE_CACHE:-${HOME:-/root}/.cache/porttrace}/vm
# shellcheck source=tests/vm/apt.sh
. "$here/apt.sh"

# Modules that the guest can load, with what they depend on. What a kernel has built in, or
# does not have, is skipped. Names may be patterns.
modules="
	virtio_pci virtio_console
	inet_diag tcp_diag udp_diag raw_diag unix_diag netlink_diag af_packet_diag sctp_diag
	veth dummy tun bridge macvlan ipvlan vrf sctp mptcp_diag
	nf_tables nft_* nf_conntrack nf_conntrack_netlink nf_nat nf_reject_* nfnetlink xt_* ip_tables ip6_tables
	iptable_* ip6table_* ipt_* ip6t_* sch_netem sch_ingress cls_bpf act_bpf overlay
"

die()
{
	echo "fetch.sh: $*" >&2
	exit 1
}

usage()
{
	cat <<-'END'
	usage: tests/vm/fetch.sh [--update] NAME
	  NAME      a kernel of tests/vm/kernels.list
	  --update  look for a newer package even if the cache has one
	The cache is below ${PORTTRACE_CACHE:-~/.cache/porttrace}/vm. PORTTRACE_DEBIAN_MIRROR=URL names
	the mirror where the machine's apt does not know one.
	END
}

# The newest package of a suite that matches; the signed one where both are there.
newest_package()
{
	private_apt apt-cache pkgnames | grep -Ex -- "$regex" |
		awk '{ v = $1; u = sub(/-unsigned$/, "", v); print v, 1 - u, $1 }' |
		sort -k1,1V -k2,2n | awk 'END { print $3 }'
}

# Sets $package, with $apt ready to download it. The security suite is for a release whose
# own suite has been emptied.
find_package()
{
	local kind url

	for kind in main security; do
		url=$(mirror "$kind")
		[[ $url ]] || continue
		apt=$cache/apt/$suite-$kind
		case $kind in
		main) make_apt_conf "$suite" "$url" ;;
		security) make_apt_conf "$suite-security" "$url" ;;
		esac
		retry private_apt apt-get -o APT::Update::Error-Mode=any update >&2 || continue
		package=$(newest_package) || package=
		[[ $package ]] && return
	done
	die "no package matches $regex in Debian $suite on the mirror of this machine's apt
(PORTTRACE_DEBIAN_MIRROR=URL names another mirror)"
}

# The image package alone up to 7.1; since then it is empty and needs others.
all_packages()
{
	echo "$package"
	private_apt apt-cache depends "$package" |
		awk '$1 == "Depends:" && $2 ~ /^linux-(base|binary|modules)-[0-9]/ { print $2 }'
}

download()
{
	local names deb

	mapfile -t names < <(all_packages)
	(cd "$work" && retry private_apt apt-get download "${names[@]}" >&2) ||
		die "cannot download ${names[*]}"
	mkdir "$work/deb"
	for deb in "$work"/*.deb; do
		dpkg-deb -x "$deb" "$work/deb"
	done
}

# The wanted modules of tree $1 and all they need, as paths below its directory.
wanted_modules()
{
	local dir=$1 names

	names=$(tr -s ' \t\n' '|' <<<"$modules" | sed 's/^|//; s/|$//; s/\*/[a-z0-9_]*/g')
	awk -v names="^($names)\$" '
		{
			name = $1
			sub(/:$/, "", $1)
			sub(/:$/, "", name); sub(/.*\//, "", name); sub(/\.ko.*/, "", name)
			gsub(/-/, "_", name)
			if (name ~ names)
				for (i = 1; i <= NF; i++)
					print $i
		}' "$dir/modules.dep" | sort -u
}

# busybox's depmod, as busybox's modprobe is what reads the result. It reads plain .ko files only.
take_modules()
{
	local from=$1 to=$2 release=$3 path

	find "$from" -name '*.ko.xz' -print0 | xargs -0r -P 2 -n 64 xz -d
	find "$from" -name '*.ko.zst' -print0 | xargs -0r -P 2 -n 64 zstd -qd --rm
	busybox depmod -b "$work/deb" "$release"
	mkdir -p "$to"
	cp "$from/modules.builtin" "$to/"
	wanted_modules "$from" | while read -r path; do
		mkdir -p "$to/${path%/*}"
		cp "$from/$path" "$to/$path"
	done
	busybox depmod -b "$work/new" "$release"
}

unpack()
{
	local release

	# Merged /usr or not, by release: depmod looks in lib.
	[[ -d $work/deb/lib/modules ]] || ln -s usr/lib "$work/deb/lib"
	release=$(ls "$work/deb/lib/modules") || die "$package has no modules"
	mkdir "$work/new"
	cp "$(find "$work/deb" -name "vmlinuz*" -type f | head -n 1)" "$work/new/vmlinuz" || die "no vmlinuz"
	take_modules "$work/deb/lib/modules/$release" "$work/new/lib/modules/$release" "$release"
	echo "$package" >"$work/new/package"
	echo "$release" >"$work/new/release"
}

main()
{
	local update='' name='' line

	while (($#)); do
		case $1 in
		--update) update=1 ;;
		-h | --help) usage; exit 0 ;;
		-*) die "unknown option $1 (see --help)" ;;
		*) name=$1 ;;
		esac
		shift
	done
	[[ $name ]] || { usage >&2; exit 1; }
	line=$(awk -v name="$name" '!/^#/ && $1 == name { print $2, $3 }' "$here/kernels.list")
	[[ $line ]] || die "no kernel \"$name\" in $here/kernels.list"
	read -r suite regex <<<"$line"

	# By suite and pattern, not by name: rows that differ in their arguments share a kernel.
	dir=$cache/kernels/$suite-$(cksum <<<"$regex $modules" | cut -d' ' -f1)
	mkdir -p "$cache/kernels"
	exec 9>"$dir.lock"
	flock 9
	if [[ ! -e $dir/release || $update ]]; then
		keyring=$(find_keyring)
		work=$(mktemp -d "$cache/fetch.XXXXXX")
		trap 'rm -rf "$work"' EXIT
		find_package
		download
		unpack
		rm -rf "$dir"
		mv "$work/new" "$dir"
	fi
	echo "$dir"
}

main "$@"
