#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# The whole way on each other major: archive, backup under load, recovery to a
# time, and the same content.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

for major in ${DAPK_TEST_MAJORS:-13 14 16 17 18}; do
	src=src$major new=new$major
	REPO=$T/repo$major CONF=$T/dapk$major.conf
	pg_with_repository "$src" "$major"
	expect 0 dapk check
	bench_init "$src" 2
	bench_start "$src" 2
	take_backup
	bench_stop
	bench_for "$src" 200
	sql "$src" "CREATE TABLE kept AS SELECT 1 AS n"
	dump_db "$src" "$T/then.dump"
	target=$(sql "$src" "SELECT clock_timestamp()")
	sleep 0.01
	sql "$src" "DROP TABLE kept"
	sql "$src" "DELETE FROM pgbench_accounts"
	archive_now "$src"
	pg_stop "$src" immediate

	restored "$new" "$major" --target-time "$target"
	dump_db "$new" "$T/new.dump"
	assert_same_dump "$T/then.dump" "$T/new.dump"
	assert_bench_invariant "$new"
	assert_amcheck "$new"
	pg_stop "$new"
	assert_checksums "$new"
	drop "$new"
	rm -rf "$REPO" "${T:?}/$src"
	note "PostgreSQL $major"
done
