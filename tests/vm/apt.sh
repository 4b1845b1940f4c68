# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
#
# Packages of any Debian suite, from the mirror that this machine's apt already uses. apt runs with its own state,
# cache and sources, below $apt; the system's are only read. The caller has die(), $apt and $keyring.
# shellcheck disable=SC2154 # the caller's

tries=4

retry()
{
	local i

	for ((i = 1; i < tries; i++)); do
		"$@" && return 0
		echo "${0##*/}: try $i of $tries failed: $1 ${*: -1}" >&2
		sleep $((i * 3))
	done
	"$@"
}

# The mirrors of this machine's apt: that of its own release, or that of its security suite.
# --print-uris only prints, and knows the sources even where "apt-get update" has never run.
mirror()
{
	local kind=$1 codename re

	# shellcheck source=/dev/null
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	re="/dists/${codename:-sid}/InRelease'\$"
	if [[ $kind == security ]]; then
		re="/dists/[^/]*-security/InRelease'\$"
	elif [[ ${PORTTRACE_DEBIAN_MIRROR:-} ]]; then
		echo "$PORTTRACE_DEBIAN_MIRROR"
		return
	fi
	apt-get update --print-uris 2>/dev/null |
		awk -v re="$re" '$1 ~ re && !url { url = $1 } END { print substr(url, 2) }' |
		sed 's|dists/[^/]*/InRelease.*||'
}

# apt with a private world: nothing of it outside $apt. The machine's apt.conf (proxies) counts.
private_apt()
{
	local tool=$1

	shift
	"$tool" -q -c "$apt/apt.conf" "$@"
}

make_apt_conf()
{
	local source_suite=$1 url=$2

	mkdir -p "$apt"/{state/lists/partial,cache/archives/partial,parts}
	: >"$apt/status"
	echo "deb [arch=amd64 signed-by=$keyring] $url $source_suite main" >"$apt/sources.list"
	cat >"$apt/apt.conf" <<-END
	#clear APT::Update;
	#clear DPkg;
	APT::Architecture "amd64";
	APT::Architectures { "amd64"; };
	APT::Sandbox::User "root";
	Dir::State "$apt/state";
	Dir::State::lists "$apt/state/lists";
	Dir::State::status "$apt/status";
	Dir::Cache "$apt/cache";
	Dir::Cache::archives "$apt/cache/archives";
	Dir::Etc::sourcelist "$apt/sources.list";
	Dir::Etc::sourceparts "$apt/parts";
	Dir::Etc::preferences "/dev/null";
	Dir::Etc::preferencesparts "$apt/parts";
	Acquire::Check-Valid-Until "false";
	Acquire::Languages "none";
	Acquire::Retries "3";
	Acquire::http::Timeout "60";
	END
}

find_keyring()
{
	local file

	for file in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
		[[ -e $file ]] && echo "$file" && return
	done
	die "no Debian archive keyring here: apt-get install debian-archive-keyring"
}
