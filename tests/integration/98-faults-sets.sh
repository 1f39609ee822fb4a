#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# backup, dump, copy and restore with one system call failing (EIO, ENOSPC,
# EINTR), done by half (short) or killing all processes: exit 0 means that it is
# whole, nothing half is listed, and the rerun succeeds. A seeded sample of the
# points (see tests/lib/faults.sh); with DAPK_FAULT_SITES=1 each fault at every
# distinct call site too, and DAPK_FAULT_COMMANDS says of which commands. How
# many were tried and held is printed. expire: 90-expire-faults.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

# shellcheck source=tests/lib/faults.sh
. "$TEST_TOP/tests/lib/faults.sh"

pg_with_repository src "$MAIN" --wal-segsize=1
sql src "CREATE TABLE t AS SELECT n, md5(n::text) AS v FROM generate_series(1, 3000) n"
take_backup
expect 0 dapk dump postgres
sql src "UPDATE t SET v = 'later' WHERE n % 7 = 0"
archive_now src
{
	sed 's/^repositories = local$/repositories = local, second/' "$CONF"
	printf '\n[repository second]\nurl = file://%s/second\n' "$T"
} >"$T/two.conf"
expect 0 as_user "$BIN" --config "$T/two.conf" init
as_user cp -a "$REPO" "$T/base"
as_user cp -a "$T/second" "$T/base2"
expect 0 dapk restore -D "$T/whole" --target immediate

reset_all() { # the WAL stays: the server does not archive it again
	local wal
	wal=$(cd "$REPO" && echo clusters/main/*/wal)
	rm -rf "$T/wal" "$T/second" "$T/state" "$T/to"
	as_user mv "$REPO/$wal" "$T/wal"
	rm -rf "${REPO:?}"
	as_user cp -a "$T/base" "$REPO"
	rm -rf "${REPO:?}/$wal"
	as_user mv "$T/wal" "$REPO/$wal"
	as_user cp -a "$T/base2" "$T/second"
}
commits() { find "$1" -name commit | wc -l; } # DIR
clean() { # [option...]: verify finds nothing
	run dapk verify --dry-run "$@"
	[ "$RC" = 0 ]
}
same_tree() { # but for what restore writes of itself
	diff -r --no-dereference -x postgresql.auto.conf -x backup_manifest "$T/whole" "$T/to" >"$T/diff" 2>&1
}

do_backup=("$BIN" --config "$CONF" backup --jobs 2)
do_dump=("$BIN" --config "$CONF" dump --jobs 2 postgres)
do_copy=("$BIN" --config "$T/two.conf" copy)
do_restore=("$BIN" --config "$CONF" restore -D "$T/to" --target immediate)

# Each says on standard output what does not hold, and nothing when all does.
check_set() { # RC BEFORE COMMAND...: of backup and dump
	local rc=$1 before=$2 now
	shift 2
	clean || echo "not clean afterwards: $ERR $OUT"
	now=$(commits "$REPO")
	[ "$rc" != 0 ] || [ "$now" -gt "$before" ] || echo "exit 0 and nothing is there"
	run as_user timeout 60 "$@"
	[ "$RC" = 0 ] || echo "the rerun failed: $ERR"
	[ "$(commits "$REPO")" -gt "$now" ] || echo "the rerun left nothing"
	clean || echo "not clean after the rerun: $ERR $OUT"
}
check_backup() { check_set "$1" "$2" "${do_backup[@]}"; }
check_dump() { check_set "$1" "$2" "${do_dump[@]}"; }
check_copy() {
	local second=(--repository-url "file://$T/second")
	[ "$1" != 0 ] || [ "$(commits "$T/second")" = "$2" ] || echo "exit 0 and not all is there"
	clean "${second[@]}" || echo "the copy is not clean: $ERR $OUT"
	run as_user timeout 60 "${do_copy[@]}"
	[ "$RC" = 0 ] || echo "the rerun failed: $ERR"
	[ "$(commits "$T/second")" = "$2" ] || echo "not all is there after the rerun"
	clean "${second[@]}" || echo "the copy is not clean after the rerun: $ERR $OUT"
}
check_restore() {
	[ "$1" != 0 ] || same_tree || echo "exit 0 and it differs: $(head -3 "$T/diff")"
	rm -rf "$T/to"
	run as_user timeout 60 "${do_restore[@]}"
	[ "$RC" = 0 ] && same_tree || echo "the rerun failed: $ERR $(head -3 "$T/diff")"
}

sweep() { # NAME
	local -n command="do_$1"
	local what before chosen=()
	reset_all
	faults_list "$T/points" "${command[@]}"
	mapfile -t chosen < <({
		faults_sample "$T/points" 15
		[ -z "${DAPK_FAULT_SITES:-}" ] || faults_sites "$T/points"
	} | sort -u)
	note "$1: $(wc -l <"$T/points") calls"
	for what in "${chosen[@]}"; do
		reset_all
		before=$(commits "$REPO")
		# shellcheck disable=SC2086 # point and fault
		fault $what "${command[@]}"
		fault_held "$1, $what" "$("check_$1" "$FAULT_RC" "$before" 2>&1)"
	done
	[ "$fault_hit" -gt 0 ] || fail "no point did anything: does faultrun?"
	faults_result "$1" "${DAPK_FAULT_POINTS:-15}"
}

for one in ${DAPK_FAULT_COMMANDS:-backup dump copy restore}; do sweep "$one"; done
