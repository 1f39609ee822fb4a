#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A damaged page is told with file, block, expected and found; the backup is
# kept, marked, and restores everything else (T37 to T41). Pages that are fine
# are not reported: all zeros, short last page, files without checksums.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src
sql src "CREATE TABLE good AS SELECT n, md5(n::text) FROM generate_series(1, 50000) n;
	CREATE TABLE bad AS SELECT n, md5(n::text) FROM generate_series(1, 50000) n;
	CREATE TABLE extended AS SELECT 1 AS n; CHECKPOINT"
file=$(sql src "SELECT pg_relation_filepath('bad')")
extended=$(sql src "SELECT pg_relation_filepath('extended')")
sum_good=$(sql src "SELECT md5(string_agg(good::text, '')) FROM good")

note "a page of zeros, as a crash while extending leaves it, is no damage"
pg_stop src
head -c 8192 /dev/zero >>"$T/src/$extended"
pg_start src
expect 0 dapk backup
clean=$(newest_label)

note "two bad pages: content, and the LSN's own bytes (T41)"
pg_stop src
printf '\x13\x57\x9b' | dd of="$T/src/$file" bs=1 seek=$((7 * 8192 + 4000)) conv=notrunc status=none
printf '\xff\xff\xff\x7f\xff\xff\xff\x7f' |
	dd of="$T/src/$file" bs=1 seek=$((100 * 8192)) conv=notrunc status=none
pg_start src
expect 1 dapk backup --full-read-every 0
assert_contains "$OUT$ERR" "$file" "the report's file"
assert_match "$OUT$ERR" "block 7\b" "the report's block"
assert_match "$OUT$ERR" "block 100\b" "the report's second block"
assert_match "$OUT$ERR" 'expected' "the report"
assert_match "$OUT$ERR" 'found' "the report"
damaged=$(newest_label)
assert_ne "$damaged" "$clean" "the damaged backup's label"

json=$(tail -n +2 "$(backup_dir "$damaged")/commit")
assert_eq "$(jq -r .damaged_count <<<"$json")" 2 "damaged_count of the commit"
assert_eq "$(jq -c '[.damaged[] | [.path, .block]]' <<<"$json")" "[[\"$file\",7],[\"$file\",100]]" \
	"damaged pages of the commit"
assert_eq "$(jq '[.damaged[] | .expected != .found] | all' <<<"$json")" true "expected and found"
expect 0,1 dapk info
assert_match "$OUT" 'damaged' "info"

note "they stay known to a backup that reads only what WAL says has changed"
expect 1 dapk backup
changes=$(tail -n +2 "$(backup_dir "$(newest_label)")/commit")
assert_eq "$(jq -r .read <<<"$changes")" changes "what it read"
assert_eq "$(jq -c .damaged <<<"$changes")" "$(jq -c .damaged <<<"$json")" "its damaged pages"

note "it can be restored; the good table is whole, the page is as it was read"
restored new "$MAIN" --backup "$damaged"
assert_eq "$(sql new "SELECT md5(string_agg(good::text, '')) FROM good")" "$sum_good" "the good table"
run sql new "SELECT count(*) FROM bad"
assert_ne "$RC" 0 "reading the damaged page"
cmp <(dd if="$T/src/$file" bs=8192 skip=7 count=1 status=none) \
	<(dd if="$T/new/$file" bs=8192 skip=7 count=1 status=none) || fail "the damaged page changed"
drop new

note "the clean one still restores by itself"
restored new "$MAIN" --backup "$clean" --target immediate
assert_eq "$(sql new "SELECT count(*) FROM bad")" 50000 "rows in the clean backup"

note "without data checksums nothing is reported"
pg_stop src
as_user "$(program_for "$MAIN" pg_checksums)" --disable -D "$T/src" >/dev/null
pg_start src
expect 0 dapk backup
