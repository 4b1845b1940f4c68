#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Does the documentation say what the program does?  tests/docs.sh [BINARY]
# Needs root and cgroup v2 for the commands of README.md and of the guide; without them those are skipped, and that is said.

set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
binary=$(realpath "${1:-${PORTTRACE:-build/porttrace}}")
man=docs/porttrace.8
guide=docs/ephemeral-port-exhaustion.md
failures=0 checks=0
tmp=$(mktemp -d)
cgroup=''

# shellcheck disable=SC2317 # called by trap
cleanup()
{
	[[ ! $cgroup ]] || rmdir "$cgroup"
	rm -rf "$tmp"
}
trap cleanup EXIT

# check WHAT COMMAND...: one result; with the command's output if it fails.
check()
{
	local what=$1

	shift
	checks=$((checks + 1))
	if "$@" >"$tmp/output" 2>&1; then
		echo "ok - docs/$what"
	else
		failures=$((failures + 1))
		echo "not ok - docs/$what: $(paste -sd'|' "$tmp/output")"
	fi
}

# --- options ---

# Lines such as "-p --pid PID": from --help, and from the man page's part about the same command.
options_of_help()
{
	"$binary" ${1:+"$1"} --help | sed -n 's/^  \(-., \)\?\(    \)\?\(--[a-z0-9-]*\).*/\1\3/p' | tr -d , | sort
}

options_of_man()
{
	awk -v want="${1:-OPTIONS}" '
		/^\.S[hs] / { now = ($2 == want || (now && want == "OPTIONS" && $1 == ".Ss")) }
		now && /^\.It Fl / {
			line = ""
			for (i = 2; i < NF; i++)
				if ($i == "Fl")
					line = line (line ? " " : "") "-" $(i + 1)
			print line
		}' "$man" | sort
}

same_options()
{
	options_of_help "$1" >"$tmp/help"
	options_of_man "$1" >"$tmp/man"
	[[ -s $tmp/help ]] || { echo "no options found in --help"; return 1; }
	diff "$tmp/help" "$tmp/man" | sed -n 's/^</only in --help:  /p; s/^>/only in the man page:  /p' | tee "$tmp/differences"
	[[ ! -s $tmp/differences ]]
}

# What a command of main.c is called.
commands()
{
	sed -n 's/^const struct command cmd_[a-z]* = { "\([a-z]*\)".*/\1/p' src/cmd/*.c
}

man_is_clean()
{
	# a word about the manual pages installed here is not about ours
	mandoc -T lint "$1" 2>&1 | grep -v 'mandoc\.db\|referenced manual not found' | tee "$tmp/lint"
	[[ ! -s $tmp/lint ]]
}

# --- names ---

# Files that a document names, whether as a link or in words.
files_exist()
{
	local file missing=0

	while read -r file; do
		compgen -G "$file" >/dev/null || { echo "$1 names $file, which does not exist"; missing=1; }
	done < <({
		grep -oE '\]\([^)#]+' "$1" | sed 's/^](//' | grep -v '^http'
		grep -oE '(src|bpf|include|tests|docs|dist|vmlinux)/[A-Za-z0-9_./*-]*[A-Za-z0-9_/*]' "$1"
	} | sort -u)
	return "$missing"
}

make_targets_exist()
{
	local target missing=0

	while read -r target; do
		grep -qE "^($target|[a-z -]* $target|$target [a-z -]*):" Makefile ||
			{ echo "$1 names 'make $target', which the Makefile does not have"; missing=1; }
	done < <(grep -oE '(^|`|sudo )make [a-z][a-z-]*' "$1" | sed 's/.*make //' | sort -u)
	return "$missing"
}

# The issue of the nine files: the numbered rows of the table, each a link.
way_is_short()
{
	local rows

	rows=$(grep -cE '^\| [0-9]+ \| \[' README.md)
	echo "$rows files"
	((rows >= 5 && rows <= 9))
}

picture_has_columns()
{
	local column count=0

	while read -r column; do
		count=$((count + 1))
		grep -q "[> ]${column}[ <]" docs/porttrace.svg ||
			{ echo "no column $column in docs/porttrace.svg: run dist/picture"; return 1; }
	done < <(sed -n '/^} table_columns/,/^};/s/{ "\([A-Z]*\)"/\n\1\n/gp' src/sink/table.c | grep -E '^[A-Z]+$')
	((count > 5))
}

changelog_has_version()
{
	local version

	version=$("$binary" --version | sed -n '1s/^porttrace //p')
	echo "version $version"
	grep -qE "^## ${version//./\\.}( |$)" CHANGELOG.md
}

# --- commands ---

# Lines of the blocks marked "sh runnable", without comments.
runnable()
{
	awk '/^```sh runnable$/ { on = 1; next } /^```$/ { on = 0 } on' README.md | sed 's/[[:space:]]*#.*//' | grep .
}

# In front of PATH: a porttrace with the cgroup backend on a cgroup of ours; and a sudo that is root already.
make_shims()
{
	mkdir "$tmp/bin"
	cat >"$tmp/bin/sudo" <<-'END'
	#!/bin/sh
	exec "$@"
	END
	cat >"$tmp/bin/porttrace" <<-END
	#!/bin/bash
	case "\${1-}" in
	pressure | why) exec "$binary" "\$@" --no-bpf ;;
	$(commands | paste -sd'|') | --help | --version) exec "$binary" "\$@" ;;
	esac
	exec "$binary" --backend cgroup --cgroup "$cgroup" "\$@"
	END
	chmod +x "$tmp/bin/"*
}

make_cgroup()
{
	local mounted

	mounted=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
	[[ $(id -u) == 0 && $mounted ]] || return 1
	cgroup=$mounted/porttrace-docs-$$
	mkdir "$cgroup" || { cgroup=''; return 1; }
}

# The command line is understood and does not fail of itself; what a traced command returns is its own affair.
runs()
{
	local status=0

	# two seconds are up: Ctrl-C, after which porttrace ends with 0
	PATH=$tmp/bin:$PATH timeout --preserve-status -k 5 -s INT 2 bash -c "exec $1" || status=$?
	echo "exit status $status"
	case $1 in
	*' -- '*) ((status > 4 && status < 125)) || ((status == 0)) ;;
	*) ((status == 0)) ;;
	esac
}

run_commands()
{
	local line program count=0

	while read -r line; do
		count=$((count + 1))
		program=${line#* -- }
		if ! PATH=$tmp/bin:$PATH command -v "${program%% *}" >/dev/null; then
			echo "skip - docs/README.md: $line: ${program%% *} is not installed"
			continue
		fi
		check "README.md: $line" runs "$line"
	done < <(runnable)
	check "README.md has runnable commands" test "$count" -gt 0
}

# What README.md shows of ports that run out is what the guide shows, and that is tested.
screens_are_the_guides()
{
	local line missing=0

	while read -r line; do
		grep -qxF -- "$line" <(sed 's/^[[:space:]]*//' "$guide") ||
			{ echo "README.md shows what $guide does not: $line"; missing=1; }
	done < <(awk '/^```text$/ { on = 1; next } /^```$/ { on = 0 } on' README.md | sed 's/^[[:space:]]*//' | grep .)
	return "$missing"
}

# All commands of the guide, in order, in namespaces of our own: network, mounts, and a /run without other names.
run_guide()
{
	local program

	for program in python3 ip ss unshare sysctl; do
		command -v "$program" >/dev/null || { echo "skip - docs/guide: needs $program"; return; }
	done
	PATH=$tmp/bin:$PATH unshare --net --mount bash -c 'mount -t tmpfs none /run && mkdir /run/netns &&
		ip link set lo up && exec python3 tests/guide/run.py "$1"' bash "$guide" >"$tmp/guide" 2>&1
	grep -E '^(ok|not ok|skip) ' "$tmp/guide"
	checks=$((checks + $(grep -cE '^(ok|not ok) ' "$tmp/guide")))
	failures=$((failures + $(grep -c '^not ok ' "$tmp/guide")))
	check "guide: its commands" grep -q '^ok - ' "$tmp/guide"
}

check "options: porttrace --help and the man page" same_options ''
for command in $(commands); do
	check "options: porttrace $command --help and the man page" same_options "$command"
done
if command -v mandoc >/dev/null; then
	check "porttrace.8: mandoc -T lint" man_is_clean "$man"
	check "porttrace-json.5: mandoc -T lint" man_is_clean docs/porttrace-json.5
else
	echo "skip - docs/porttrace.8, porttrace-json.5: mandoc is not installed"
fi
for document in README.md CONTRIBUTING.md "$guide"; do
	check "$document: files" files_exist "$document"
	check "$document: make targets" make_targets_exist "$document"
done
check "README.md: an event travels through at most nine files" way_is_short
check "porttrace.svg: columns" picture_has_columns
check "CHANGELOG.md: version" changelog_has_version
check "README.md: screens" screens_are_the_guides
if make_cgroup; then
	make_shims
	run_commands
	run_guide
else
	echo "skip - docs/the commands of README.md and of the guide need root and cgroup v2"
fi
echo "$((checks - failures)) of $checks checks passed"
((failures == 0))
