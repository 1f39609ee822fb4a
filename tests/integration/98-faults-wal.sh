#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# archive-push and archive-get with each system call in turn failing (EIO,
# ENOSPC, EINTR), done by half (short) or killing the process: what was
# acknowledged comes back with the same bytes, nothing half is there, a failed
# archive-get never says "not there" (exit 1, on which recovery ends), and the
# rerun succeeds. How many points were tried and held is printed. Every
# DAPK_FAULT_STEP-th one; points: tests/lib/faults.sh.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

# shellcheck source=tests/lib/faults.sh
. "$TEST_TOP/tests/lib/faults.sh"
STEP=${DAPK_FAULT_STEP:-1} # each so many-th point

pg_with_repository src "$MAIN" --wal-segsize=1
faults_segment
as_user cp -a "$REPO" "$T/empty"

one_file() { # only whole objects, and what a killed one may leave: never under a name that counts
	find "$REPO" -path '*/wal/*' -type f -name '*.zst' | wc -l
}
reset_repository() {
	rm -rf "${REPO:?}" "$T/state" "$T/got"
	as_user cp -a "$T/empty" "$REPO"
}
came_back() { # exit code and bytes of a get without a fault
	rm -f "$T/got"
	as_user "${get[@]}" 2>"$T/get.err" && cmp -s "$T/got" "$T/$seg"
}

# Says what is wrong after a push. A sync of the repository that failed: not
# stored. (What is remembered beside, in the state directory, may get lost.)
check_push() { # POINT
	if [ "$FAULT_RC" = 0 ] && [[ $FAULT_KIND = E[IN]O* ]] && grep -qxF "$1" "$T/repository-syncs"; then
		echo "exit 0, and it was not synced"
	elif [ "$FAULT_RC" = 0 ] && ! came_back; then
		echo "exit 0, and it does not come back: $(cat "$T/get.err")"
	elif [ "$(one_file)" -gt 0 ] && ! came_back; then
		echo "something half has a name: $(cat "$T/get.err")"
	elif ! as_user "${push[@]}" 2>"$T/push.err" || ! came_back; then
		echo "the rerun failed: $(cat "$T/push.err")"
	fi
}
check_get() {
	if [ "$FAULT_RC" = 1 ]; then
		echo "says that it is not there: $ERR"
	elif [ "$FAULT_RC" = 0 ] && ! cmp -s "$T/got" "$T/$seg"; then
		echo "exit 0 and other bytes"
	elif [ "$FAULT_RC" != 0 ] && [ "$FAULT_RC" -le 125 ]; then
		echo "exit $FAULT_RC, on which recovery ends: $ERR"
	elif ! came_back; then
		echo "the rerun failed: $(cat "$T/get.err")"
	fi
}

sweep() { # push|get COMMAND...
	local kind=$1 what chosen=()
	shift
	mapfile -t chosen < <(faults_all "$T/points.$kind" | awk -v step="$STEP" 'NR % step == 0')
	for what in "${chosen[@]}"; do
		if [ "$kind" = push ]; then reset_repository; else rm -f "$T/got"; fi
		# shellcheck disable=SC2086 # point and fault
		fault $what "$@"
		fault_held "archive-$kind, $what" "$("check_$kind" "${what% *}")"
	done
	[ "$fault_hit" -ge $((60 / STEP)) ] || fail "only $fault_hit points did anything: does faultrun?"
	faults_result "archive-$kind" $((250 / STEP))
}

reset_repository
faults_list "$T/points.push" "${push[@]}"
came_back || fail "it does not come back without any fault"
# Of the run's syncs the first are the repository's.
reset_repository
as_user strace -f -qq -y -o "$T/trace" -e trace=fsync "${push[@]}" 2>/dev/null
n=$(awk -v repo="<$REPO" 'index($0, repo) > 0 { n = NR } END { print n + 0 }' "$T/trace")
[ "$n" -ge 3 ] || fail "a push with $n syncs in the repository: $(cat "$T/trace")"
sed -n 's/^\(fsync@[^ ]*\).*/\1/p' "$T/points.push" | head -n "$n" >"$T/repository-syncs"
sweep push "${push[@]}"
reset_repository
as_user "${push[@]}"
faults_list "$T/points.get" "${get[@]}"
sweep get "${get[@]}"
