#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# info says what there is and to when one can go back, for people and as JSON,
# and its window is true: both of its ends can be restored.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src "$MAIN" --wal-segsize=1
sql src "CREATE TABLE t AS SELECT 1 AS n"
json() { # [CODES]
	expect "${1:-0}" dapk info --json
	jq -e . <<<"$OUT" >/dev/null || fail "info --json is no JSON: $OUT"
	assert_eq "$(jq -s length <<<"$OUT")" 1 "JSON values"
}

note "an empty repository"
json 0,1
expect 0,1 dapk info
[ -n "$OUT" ] || fail "info says nothing"

take_backup
first=$LABEL
sql src "INSERT INTO t VALUES (2)"
sleep 1.1
archive_now src
take_backup
second=$LABEL
sql src "INSERT INTO t VALUES (3)"
sleep 1.1
sql src "SELECT pg_create_restore_point('x')" >/dev/null
archive_now src
json
labels=$(jq -r '[.. | objects | select(has("label")) | .label] | unique | join(" ")' <<<"$OUT")
assert_eq "$labels" "$first $second" "labels"
commit=$(tail -n +2 "$(backup_dir "$first")/commit")
for key in original_bytes stored_bytes start_lsn stop_lsn timeline; do
	found=$(jq -r --arg l "$first" --arg k "$key" \
		'[.. | objects | select(.label? == $l)][0][$k] | tostring' <<<"$OUT")
	assert_eq "$found" "$(jq -r --arg k "$key" '.[$k] | tostring' <<<"$commit")" "$key"
done
assert_eq "$(jq '.incarnations[0].wal[0].gaps | length' <<<"$OUT")" 0 "gaps"
assert_eq "$(jq '.incarnations[0].recovery.possible' <<<"$OUT")" true "recovery"
expect 0 dapk info
for word in "${first:0:16}" "${second:0:16}" timeline; do assert_match "$OUT" "$word" "info"; done

note "a gap shows"
hole=$(find "$REPO/clusters" -path '*/wal/00000001/*' -name '*.zst' ! -name '*backup*' | sort | tail -n 2 | head -n 1)
mv "$hole" "$T/hole"
json 0,1
assert_eq "$(jq '.incarnations[0].wal[0].gaps | length' <<<"$OUT")" 1 "gaps"
assert_contains "$OUT" "$(basename "$hole" | cut -c1-24)" "the missing segment"
mv "$T/hole" "$hole"

note "both ends of the window are true"
json
from=$(jq -r '.incarnations[0].recovery.windows[0].from_time' <<<"$OUT")
to=$(jq -r '.incarnations[0].recovery.windows[-1].to_time' <<<"$OUT")
for time in "$from" "$to"; do
	[[ $time = 20* ]] || fail "'$time' is no time"
	restored new "$MAIN" --target-time "$time"
	drop new
done

note "a backup that lost a part of its manifest is not usable, and said so"
part=$(find "$(backup_dir "$second")" -name 'manifest-00.zst')
mv "$part" "$T/part"
json 5
assert_eq "$(jq -c '[.incarnations[0].backups[].usable]' <<<"$OUT")" '[true,false]' "usable"
assert_contains "$(jq -r '.incarnations[0].backups[1].problem.message' <<<"$OUT")" manifest-00 "the problem"
mv "$T/part" "$part"

note "one that is to go says so"
expect 0 dapk expire --backup "$first"
json
assert_eq "$(jq -c '[.incarnations[0].backups[].leaving]' <<<"$OUT")" '[true,false]' "leaving"
expect 0 dapk info
assert_contains "$OUT" "listed for removal" "info"

note "an unknown cluster, a repository that is none"
expect 1,2 dapk info --cluster nosuch
assert_clear_error 'nosuch'
expect 2,3 dapk info --repository-url "file://$T/typo"
assert_clear_error 'typo'
note "errors as JSON are JSON too"
expect 2,3 dapk info --repository-url "file://$T/typo" --log-format json
jq -e .message <<<"$ERR" >/dev/null || fail "no JSON: $ERR"
