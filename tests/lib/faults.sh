# shellcheck shell=bash
# SPDX-License-Identifier: PostgreSQL
# Faults one after the other, by tests/fault/faultrun.c: a point is a system
# call, its call site in the program and its number there; a fault is an error,
# half of what a call was to do (short), or the death of all processes (kill).
#
#	faults_list FILE COMMAND...	the points of a run without a fault
#	faults_all|_sites|_sample FILE	"POINT FAULT" a line, to choose from
#	fault POINT FAULT COMMAND...	leaves FAULT_RC, and ERR of the command
#	fault_held WHAT [WRONG]		counts it: held when nothing is WRONG
#	faults_result WHAT LEAST	prints the counts; fails where one is bad
#
#	faults_segment			a segment of cluster src that is not
#					archived; leaves seg, push and get
#
# DAPK_FAULT_POINTS is how many are drawn by faults_sample, DAPK_FAULT_SEED
# draws others.
FAULTS=(EIO ENOSPC EINTR kill short)
FAULT_SEED=${DAPK_FAULT_SEED:-20261124}
FAULT_RC=0

[ -x "${DAPK_FAULTRUN:-}" ] || fail "DAPK_FAULTRUN is not set; run scripts/test $TEST_NAME"
install -m 755 "$DAPK_FAULTRUN" "$T/bin/faultrun"

faultrun() { # FAULTRUN OPTION... -- COMMAND...
	run as_user timeout 60 "$T/bin/faultrun" "$@"
	[ "$RC" != 98 ] || fail "$ERR"
}

faults_list() {
	local file=$1
	shift
	faultrun -l "$T/faults.list" -- "$@"
	[ "$RC" = 0 ] || fail "a run without a fault failed: $* $ERR"
	mv "$T/faults.list" "$file"
}

# Every fault at the points of FILE; half only of what has one.
faults_all() {
	awk -v faults="${FAULTS[*]}" '{ n = split(faults, f); for (i = 1; i <= n; i++)
		if (f[i] != "short" || $2 == "cut") print $1, f[i] }' "$1"
}
# Every fault at the first call of each site.
faults_sites() {
	awk '{ site = $1; sub(/#.*/, "", site); if (seen[site]++ == 0) print }' "$1" >"$1.sites"
	faults_all "$1.sites"
}
faults_sample() { # FILE HOW-MANY
	awk -v s="$FAULT_SEED" 'BEGIN { for (i = 0; i < 9999; i++) print s * 7919 + i }' >"$T/faults.seed"
	faults_all "$1" | shuf -n "${DAPK_FAULT_POINTS:-$2}" --random-source="$T/faults.seed"
}

fault() {
	local point=$1 kind=$2
	shift 2
	faultrun -p "$point" -k "$kind" -- "$@"
	FAULT_RC=$RC FAULT_KIND=$kind
	# Of threads each comes to its call in another order each time.
	if [ "$RC" = 99 ]; then fault_unmet=$((fault_unmet + 1)) FAULT_RC=0; fi
	[ "$FAULT_RC" = 0 ] || fault_hit=$((fault_hit + 1))
}

fault_none() {
	fault_tried=0 fault_good=0 fault_hit=0 fault_unmet=0 fault_broken=() FAULT_KIND=cut
	declare -gA fault_by_kind=() fault_good_by_kind=()
}
fault_none

fault_held() {
	local k=$FAULT_KIND
	fault_tried=$((fault_tried + 1)) fault_by_kind[$k]=$((${fault_by_kind[$k]:-0} + 1))
	if [ -n "${2:-}" ]; then
		fault_broken+=("$1, exit $FAULT_RC: $2")
		note "does not hold: $1, exit $FAULT_RC: $2"
		return
	fi
	fault_good=$((fault_good + 1)) fault_good_by_kind[$k]=$((${fault_good_by_kind[$k]:-0} + 1))
}

faults_result() {
	local k kinds=''
	for k in "${!fault_by_kind[@]}"; do
		kinds+=", $k ${fault_good_by_kind[$k]:-0}/${fault_by_kind[$k]}"
	done
	note "$1: $fault_tried points tried, $fault_good held; $fault_hit of the runs ended with an error, $fault_unmet did not come to the point$kinds"
	[ "$fault_tried" = "$fault_good" ] || fail "$(printf '%s\n' "${fault_broken[@]}")"
	[ "$fault_tried" -ge "$2" ] || fail "only $fault_tried points were tried"
	fault_none
}

# shellcheck disable=SC2034 # push and get are for the test
faults_segment() {
	sql src "CREATE TABLE t AS SELECT n, md5(n::text) FROM generate_series(1, 3000) n"
	archive_with src false
	pg_reload src
	seg=$(sql src "SELECT pg_walfile_name(pg_switch_wal())")
	sql src "CHECKPOINT"
	as_user cp "$T/src/pg_wal/$seg" "$T/$seg"
	push=("$BIN" --config "$CONF" archive-push --pgdata "$T/src" "$T/$seg")
	get=("$BIN" --config "$CONF" archive-get --prefetch 0 --pgdata "$T/src" "$seg" "$T/got")
}
