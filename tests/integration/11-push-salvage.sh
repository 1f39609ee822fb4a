#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A dead server's pg_wal still holds what was committed after the last archived
# segment: archive-push --all saves it, and a restore has the last rows.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src "$MAIN" --wal-segsize=1
sql src "CREATE TABLE t (n int); CREATE TABLE filler (v text)"
take_backup
archive_now src

note "archiving breaks, the server goes on, then the machine dies"
archive_with src false
pg_reload src
for i in 1 2 3; do
	sql src "INSERT INTO filler SELECT gen_random_uuid()::text FROM generate_series(1, 20000)"
	sql src "INSERT INTO t VALUES ($i)"
done
sql src "INSERT INTO t VALUES (4711)" # committed and flushed, in the last segment
end=$(sql src "SELECT pg_current_wal_flush_lsn()")
last=$(sql src "SELECT pg_walfile_name(pg_current_wal_flush_lsn())")
pg_kill src
before=$(tree_sum "$T/src")

expect 0 dapk archive-push --all "$T/src/pg_wal"
assert_eq "$(tree_sum "$T/src")" "$before" "the dead server's directory"
assert_match "$OUT$ERR" '[0-9A-F]+/[0-9A-F]+' "the LSN that is reached"
[ -n "$(stored_wal "$last.partial")" ] || fail "the last segment $last is not stored as .partial"

note "a second time it has nothing to do"
before=$(tree_sum "$REPO/clusters")
expect 0 dapk archive-push --all "$T/src/pg_wal"
assert_eq "$(tree_sum "$REPO/clusters")" "$before" "the repository after a second salvage"

note "nothing that was committed is missing after a restore"
mv "$T/src" "$T/gone"
restored new "$MAIN"
assert_eq "$(sql new "SELECT string_agg(n::text, ' ' ORDER BY n) FROM t")" '1 2 3 4711' \
	"rows after the restore"
assert_eq "$(sql new "SELECT count(*) FROM filler")" 60000 "rows of the filler"
assert_eq "$(sql new "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '$end') >= 0")" t \
	"the end of WAL is reached"

note "a file that cannot be stored is found, and is no failure of the storage"
found=
for path in "$T"/gone/pg_wal/????????????????????????; do
	[ -z "$(stored_wal "$(basename "$path")")" ] || found=$path
done
[ -n "$found" ] || fail "no stored segment is left in the dead server's pg_wal"
printf 'other' | dd of="$found" bs=1 seek=600000 conv=notrunc status=none
expect 1 dapk archive-push --all "$T/gone"
assert_clear_error "$(basename "$found")"

note "clear errors"
expect 1,2,3,5 dapk archive-push --all "$T/none"
assert_clear_error 'none'
mkdir "$T/nothing"
expect 1,2,3,5 dapk archive-push --all "$T/nothing"
assert_clear_error 'nothing|no WAL|pg_control'
