#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# verify follows WAL from each backup to its consistency and on to the end of
# the archive on each timeline: a segment, a history file or its content that
# is gone or damaged is named with the times that it costs; what is left of
# the window can really be restored.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src "$MAIN" --wal-segsize=1
sql src "CREATE TABLE t (n int, at timestamptz DEFAULT clock_timestamp())"
take_backup
first=$LABEL
for n in 1 2 3 4 5 6; do
	sql src "INSERT INTO t VALUES ($n)"
	[ $n != 3 ] || lost=$(sql src "SELECT pg_walfile_name(pg_current_wal_lsn())")
	archive_now src
	[ $n != 4 ] || { take_backup; second=$LABEL; }
done

verify() { # CODES [OPTION...]: as JSON
	local codes=$1
	shift
	expect "$codes" dapk verify --json "$@"
	jq -e . <<<"$OUT" >/dev/null || fail "verify --json is no JSON: $OUT"
}
get() { jq -r "$1" <<<"$OUT"; }
findings() { get "[.incarnations[0].findings[] | select(.kind == \"$1\") | .object] | join(\" \")"; }
damaged_backups() { get '[.incarnations[0].backups[] | select(.damaged) | .label] | join(" ")'; }

verify 0
assert_eq "$(get '.incarnations[0].windows | length')" 1 "windows"
verify 0 --quick
as_user cp -a "$REPO" "$T/copy"
object=$(stored_wal "$lost")
[ -e "$object" ] || fail "no object of $lost"

note "a segment in the middle is gone"
mv "$object" "$T/hole"
for option in --quick --verbose --wal-only; do
	verify 5 $option
	assert_eq "$(findings gap)" "$lost" "the gap ($option)"
	assert_eq "$(get '.incarnations[0].lost | length')" 1 "times lost ($option)"
	assert_eq "$(damaged_backups)" "" "backups are whole"
done
verify 5
to=$(get '.incarnations[0].findings[] | select(.kind == "gap") | .to_time')
stop=$(tail -n +2 "$(backup_dir "$second")/commit" | jq -r .stop_time)
assert_eq "$to" "$stop" "the gap ends with the second backup"
edge=$(get '.incarnations[0].windows[0].to_time')
expect 5 dapk verify
assert_contains "$OUT" "$lost" "text"
assert_contains "$OUT" LOST "text"
restored new "$MAIN" --target-time "$edge"
drop new

note "repair fetches it from a copy"
verify 0 --repair --repair-from "$T/copy"
verify 0
assert_eq "$(get '.incarnations[0].lost | length')" 0 "times lost"

note "a bit of it flips"
size=$(stat -c %s "$object")
byte=$(od -An -tu1 -j $((size / 2)) -N 1 "$object")
# shellcheck disable=SC2059
printf "\\x$(printf %02x $((byte ^ 1)))" | dd of="$object" bs=1 seek=$((size / 2)) conv=notrunc status=none
verify 0 --quick
verify 5
assert_contains "$(findings wal)" "$lost" "the damaged segment"
assert_eq "$(findings gap)" "$lost" "the gap"
verify 0 --repair --repair-from "$T/copy"
[ -e "${object%.zst}.g1.zst" ] || fail "no new generation: $(ls "$(dirname "$object")")"
verify 0

note "WAL that makes a backup consistent is gone"
need=$(tail -n +2 "$(backup_dir "$first")/commit" | jq -r .wal.last)
mv "$(stored_wal "$need")" "$T/hole"
for option in --quick --verbose; do
	verify 5 $option
	assert_eq "$(damaged_backups)" "$first" "the backup that cannot be restored"
done
mv "$T/hole" "$(stored_wal "$lost" | head -n 1 | xargs dirname)/$(cd "$T/copy" && find . -name "$need-*" -printf '%f')"
verify 0

note "two contents of one name"
other=$(stored_wal "$lost" | sort | head -n 1 | sed 's/-[0-9a-f]*\.\(g1\.\)\{0,1\}zst$/-00000000000000000000000000000000.zst/')
as_user cp "$T/copy/${object#"$REPO"/}" "$other"
verify 5 --quick
assert_eq "$(findings conflict)" "$lost" "the conflict"
verify 5
assert_contains "$(findings conflict)" "$lost" "the conflict"
rm "$other"
verify 0

note "another timeline, and its history gone"
restored new "$MAIN" --keep-archiving
sql new "INSERT INTO t VALUES (100)"
archive_now new
drop new
verify 0
history=$(find "$REPO/clusters" -name '00000002.history-*')
[ -e "$history" ] || fail "no history file"
mv "$history" "$T/history"
verify 5 --quick
assert_eq "$(findings history)" 00000002.history "the history file"
verify 5
assert_eq "$(findings history)" 00000002.history "the history file"
mv "$T/history" "$history"
verify 0

note "storage that cannot be read is no damage"
pack=$(find "$(backup_dir "$first")" -name 'pack-*' | sort | head -n 1)
chmod 000 "$pack"
expect 3 dapk verify
assert_clear_error 'could be read'
expect 3 dapk verify --json
assert_eq "$(findings unread | wc -w)" 1 "objects that could not be read"
[ -z "$(find "$REPO/clusters" -name '*.damaged')" ] || fail "it was marked as damaged"
chmod 600 "$pack"
verify 0
