#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Does tests/coverage find a table that is not up to date? Results of two scenarios on one kernel, and a table of them.

set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export BUILD=$dir/build COVERAGE_FILE=$dir/coverage.md
job=$BUILD/vm/6.1/results/scenarios
failed=0

results()
{
	mkdir -p "$job"
	echo "${2:-6.1.1-1}" >"$BUILD/vm/6.1/results/release"
	echo 'porttrace: tracing backend, fentry mode (kernel preemption: voluntary)' >"$job/stderr"
	printf 'PASS one (2 events)\n%s\nPASS invariants (9 events)\n2 passed\n' "$1" >"$job/check"
}

# is NAME ok|not: what --check says.
is()
{
	local said

	said=$("$here/coverage" --check | tail -1)
	case "$2/$said" in
	ok/"ok - "* | not/"not ok - "*) echo "ok - coverage-checker/$1" ;;
	*)
		echo "not ok - coverage-checker/$1: $said"
		failed=1
		;;
	esac
}

results 'SKIP two: not on this kernel'
is 'no table' not
"$here/coverage" --write >/dev/null
is 'the table of these results' ok
cp "$COVERAGE_FILE" "$dir/first"
"$here/coverage" --write >/dev/null
is 'written twice, the same' "$(cmp -s "$dir/first" "$COVERAGE_FILE" && echo ok || echo not)"
grep -qF '| `two` | not possible here[^1] |' "$COVERAGE_FILE" && grep -qF '[^1]: not on this kernel' "$COVERAGE_FILE" ||
	{ echo "not ok - coverage-checker/a reason is a footnote"; failed=1; }
results 'SKIP two: not on this kernel' 6.1.2-1
is 'another minor release' ok
results 'FAIL two: missing: bind'
is 'a verdict that became worse' not
results 'PASS two (1 events)'
is 'a verdict that became better' not
results 'PASS three (1 events)'
is 'a scenario more, and one less' not
rm -r "$job"
mkdir -p "$BUILD/vm/6.1/results/scenarios-cgroup"
echo 'PASS one (2 events)' >"$BUILD/vm/6.1/results/scenarios-cgroup/check"
is 'a column more' not
"$here/coverage" --write >/dev/null
is 'a column that was not run stays' "$(grep -qF '| scenario | 6.1 F |' "$COVERAGE_FILE" && echo ok || echo not)"
exit $failed
