#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A backup taken while the server is written to is whole: restored to its own
# end and to the archive's end, every row, index and page agrees. What belongs
# to the running server only is not in it (T31 to T34, T40, T42, T43).
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_new src
pg_conf src "checkpoint_timeout = 30s" "checkpoint_completion_target = 0.1"
write_conf src
dapk init >"$T/init.out"
pg_start src
bench_init src 3
sql src "CREATE EXTENSION amcheck;
	CREATE UNLOGGED TABLE fast (v text); INSERT INTO fast SELECT 'unlogged' FROM generate_series(1, 5000);
	CREATE TABLE nothing (v text); CHECKPOINT"
unlogged=$(sql src "SELECT pg_relation_filepath('fast')")
as_user mkdir -p "$T/src/base/pgsql_tmp"
as_user dd if=/dev/zero of="$T/src/base/pgsql_tmp/pgsql_tmp1.0" bs=8k count=1 status=none
as_user touch "$T/src/backup_manifest" # of an older restore (T45)

note "a dry run starts and writes nothing"
before=$(tree_sum "$REPO")
expect 0 dapk backup --dry-run
[ -n "$OUT" ] || fail "a dry run that says nothing"
assert_eq "$(tree_sum "$REPO")" "$before" "the repository after a dry run"

bench_start src 4
take_backup
first=$LABEL
sql src "CREATE TABLE after_first AS SELECT now() AS at"
take_backup --checkpoint spread --compress-level 1 --jobs 1
second=$LABEL
assert_ne "$second" "$first" "the second label"
bench_stop
archive_now src
sql src "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'dapk%'" | grep -qx 0 ||
	fail "a session of ours is left"
[ ! -e "$T/src/backup_label" ] || fail "backup_label in the running cluster"

note "WAL from start to stop is in the repository when backup says so (T57)"
commit=$(backup_dir "$first")/commit
json=$(tail -n +2 "$commit")
for seg in $(jq -r '.wal.first, .wal.last' <<<"$json"); do
	[ -n "$(stored_wal "$seg")" ] || fail "$seg of the backup is not stored"
done
assert_eq "$(jq -r .damaged_count <<<"$json")" 0 "damaged pages"
assert_eq "$(jq -r .major <<<"$json")" "$MAIN" "major"

note "exclusions"
manifest=$(find "$(backup_dir "$first")" -name 'manifest-*' | sort | xargs zstd -dcq)
paths=$(jq -r 'select(.path != null) | .path' <<<"$manifest")
for gone in postmaster.pid postmaster.opts backup_manifest "$unlogged" pgsql_tmp1.0 pg_internal.init; do
	! grep -qE "(^|/)${gone##*/}\$" <<<"$paths" || fail "the backup holds $gone"
done
grep -qE "^pg_wal/0" <<<"$paths" && fail "the backup holds files of pg_wal"
for must in "${unlogged}_init" global/pg_control PG_VERSION pg_replslot pg_notify pg_stat_tmp \
	pg_wal pg_wal/archive_status pg_snapshots postgresql.conf; do
	grep -qx "$must" <<<"$paths" || fail "the backup lacks $must"
done
assert_contains "$(jq -r 'select(.type == "backup_label") | .data' <<<"$manifest")" 'START' "backup_label"

note "as of the backup's end"
for label in "$first" "$second"; do
	restored new "$MAIN" --backup "$label" --target immediate
	assert_bench_invariant new
	assert_eq "$(sql new "SELECT count(*) FROM fast")" 0 "rows of an unlogged table"
	assert_eq "$(sql new "SELECT count(*) FROM nothing")" 0 "rows of an empty table"
	assert_amcheck new
	if [ "$label" = "$first" ]; then
		assert_eq "$(sql new "SELECT to_regclass('after_first') IS NULL")" t "a later table"
	fi
	pg_stop new
	assert_checksums new
	drop new
done

note "as of the archive's end: everything equal"
dump_db src "$T/src.dump"
restored new "$MAIN"
dump_db new "$T/new.dump"
# Rows of an unlogged table are the one thing that may differ.
sed -i '/^unlogged$/d' "$T/src.dump"
assert_same_dump "$T/src.dump" "$T/new.dump"
assert_bench_invariant new
assert_amcheck new
pg_stop new
assert_checksums new

note "a prefix of the label is enough; info knows both"
expect 0 dapk info
assert_contains "$OUT" "${first:0:16}" "info"
assert_contains "$OUT" "${second:0:16}" "info"
