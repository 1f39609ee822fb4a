#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# copy: backups, dumps and WAL into another place of the repository, as they
# lie: only what lacks, nothing that does not hold, nothing replaced, and
# complete at any moment; the other place restores alone, and back again.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_new src "$MAIN" --wal-segsize=1
write_conf src
FAR=$T/far
sed -i "s,^repositories = .*,repositories = local\, far," "$CONF"
printf '\n[repository far]\nurl = file://%s\n' "$FAR" >>"$CONF"
expect 0 dapk init
# All goes into the first alone: here it is the command that copies.
archive_with src "$BIN --config $CONF --repository local archive-push %p"
pg_conf src "autovacuum = off" # no WAL but what is wanted
pg_start src
sql src "CREATE TABLE t AS SELECT g AS n, repeat(md5(g::text), 4) AS v FROM generate_series(1, 60000) g"

grow() { # N: rows, a restore point after them, archived
	sql src "INSERT INTO t SELECT $1, repeat(md5(g::text), 9) FROM generate_series(1, 12000) g"
	sql src "UPDATE t SET v = v || 'x' WHERE n % 50 = $1"
	sql src "SELECT pg_create_restore_point('p$1')" >/dev/null
	sql src "SELECT pg_switch_wal()" >/dev/null
	archive_now src
}
local_backup() {
	expect 0 dapk --repository local backup
	LABEL=$(newest_label)
	archive_now src
}
local_dump() {
	expect 0 dapk --repository local dump postgres
	LABEL=$(newest_dump)
	archive_now src
}
newest_dump() {
	find "$REPO" -path '*/dumps/*/commit' -printf '%T@ %h\n' | sort -n | tail -n 1 | sed 's,.*/,,'
}

objects() { # PLACE: everything that is the same in all places
	(cd "$1" && find clusters -type f ! -path '*/leases/*' ! -path '*/intents/*' \
		! -path '*/tombstones/*' ! -path '*/removed/*' ! -name '*.damaged' -print0 |
		sort -z | xargs -0r sha256sum)
}
assert_same_places() {
	diff <(objects "$REPO") <(objects "$FAR") >"$T/places.diff" ||
		fail "the places differ: $(head -n 5 "$T/places.diff")"
}
copied() { # what the summary line says: WAL BACKUPS DUMPS
	sed -En 's/.*: (got|would get) ([0-9]+) WAL files?, ([0-9]+) backups?, ([0-9]+) dumps? .*/\2 \3 \4/p' <<<"$OUT"
}
far_verified() {
	expect 0 dapk --repository far verify
	assert_match "$OUT" 'proved|hold' "verify of the copy"
}
comes_back() { # NAME ROWS [option...]: restored from far alone
	local name=$1 rows=$2
	shift 2
	expect 0 dapk --repository far restore -D "$T/$name" "$@"
	free_port
	pg_adopt "$name" "$FREE_PORT" "$MAIN" "$T"
	pg_start "$name" "port=$FREE_PORT" "unix_socket_directories=$T" "archive_mode=off" >/dev/null
	wait_for 60 "the end of recovery" sql_true "$name" "SELECT NOT pg_is_in_recovery()"
	assert_eq "$(sql "$name" "SELECT count(*) FROM t")" "$rows" "rows in $name"
	drop "$name"
}

grow 1
local_backup
first=$LABEL
grow 2
local_backup
second=$LABEL
local_dump
rows=$(sql src "SELECT count(*) FROM t")

note "a dry run says what would go, and puts nothing"
sum=$(tree_sum "$FAR")
expect 0 dapk copy --dry-run
would=$(copied)
assert_match "$would" ' 2 1$' "backups and dumps that would go"
assert_eq "$(tree_sum "$FAR")" "$sum" "the other place after a dry run"

note "everything, then nothing"
expect 0 dapk copy
assert_eq "$(copied)" "$would" "what was copied"
assert_same_places
expect 0 dapk copy
assert_eq "$(copied)" "0 0 0" "what was copied the second time"
assert_eq "$(find "$FAR" -path '*/intents/*' -o -path '*/leases/*/*' -type f | wc -l)" 0 "leases and intents that are left"
far_verified

note "only what is new: less than the new backup has with its parent's packs"
grow 3
local_backup
third=$LABEL
local_dump
expect 0 dapk --repository local info --json
expect 0 dapk copy --json
assert_eq "$(jq -r '.[0] | "\(.backups) \(.dumps) \(.there.backups) \(.there.dumps)"' <<<"$OUT")" "1 1 2 1" "copied and there"
assert_same_places
rows3=$(sql src "SELECT count(*) FROM t")
comes_back back "$rows3" --target-name p3

note "killed anywhere: no half backup shows, and the next run completes it"
grow 4
local_backup
fourth=$LABEL
label_of_far() { find "$FAR" -path "*/backups/$1/commit"; }
for ((i = 1; i <= 12; i++)); do
	"${AS_USER[@]}" "$BIN" --config "$CONF" copy --max-rate 3MB >/dev/null 2>&1 &
	pid=$!
	sleep "0.$(printf '%02d' $((i * 7 % 60 + 2)))"
	kill -s KILL "$pid" 2>/dev/null || :
	exited "$pid"
	if [ -z "$(label_of_far "$fourth")" ]; then
		expect 0 dapk --repository far verify --quick
	fi
done
expect 0 dapk copy
assert_same_places
far_verified

note "a label alone, with the WAL that it needs and no more"
rm -rf "$FAR"
expect 0 dapk init
expect 0 dapk copy "$second"
[ -n "$(label_of_far "$second")" ] || fail "the backup that was named is not there"
[ -z "$(label_of_far "$first")" ] || fail "a backup that was not named is there"
segments_far=$(find "$FAR" -path '*/wal/*' -type f | wc -l)
assert_between "$segments_far" 1 20 "WAL files for one backup"
comes_back one "$rows" --target immediate
expect 1 dapk copy 20000101
assert_clear_error '20000101'
expect 0 dapk copy --wal-only
assert_match "$(copied)" '^[1-9][0-9]* 0 0$' "what --wal-only copies"
expect 0 dapk copy
assert_same_places

note "what does not hold at the source is not spread; the rest goes on"
grow 5
local_backup
fifth=$LABEL
local_dump
sixth=$LABEL
pack=$(find "$(backup_dir "$fifth")" -name 'pack-*.zst' | sed -n 1p)
cp -p "$pack" "$T/pack"
size=$(stat -c %s "$pack")
printf 'XXXX' | dd of="$pack" bs=1 seek=$((size / 2)) conv=notrunc status=none
segment=$(find "$REPO" -path '*/wal/*' -name '*.zst' -newer "$(backup_dir "$fourth")/commit" -size +1k | sort | sed -n 1p)
cp -p "$segment" "$T/segment"
printf 'XXXX' | dd of="$segment" bs=1 seek=700 conv=notrunc status=none
expect 5 dapk copy
assert_match "$ERR" "warning: not copied: .*$(basename "$pack")" "the warning about the pack"
assert_match "$ERR" "warning: not copied: .*$(basename "$segment" | cut -c1-24)" "the warning about the segment"
[ -z "$(label_of_far "$fifth")" ] || fail "a backup whose pack is damaged was copied"
[ -n "$(find "$FAR" -path "*/dumps/$sixth/commit")" ] || fail "the dump was not copied"
[ -z "$(find "$FAR" -name "$(basename "$segment")")" ] || fail "a damaged segment was copied"
expect 5 dapk --repository far verify
assert_match "$OUT" "gap $(basename "$segment" | cut -c1-24)" "what the copy lacks"
assert_match "$OUT" '^DAMAGE: 1 finding$' "what the copy lacks"
cp -p "$T/pack" "$pack"
cp -p "$T/segment" "$segment"
expect 0 dapk copy
assert_same_places

note "another content under the same name is a conflict, and stays"
grow 6
segment=$(find "$REPO" -path '*/wal/*' -name '*.zst' -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2-)
name=$(basename "$segment" | cut -c1-24)
zstd -dcq "$segment" >"$T/$name"
printf 'other' | dd of="$T/$name" bs=1 seek=600000 conv=notrunc status=none
chmod 644 "$T/$name"
expect 0 dapk --repository far archive-push "$T/$name"
expect 1 dapk copy
assert_match "$ERR" "warning: not copied: WAL file $name: its content is" "the conflict"
assert_eq "$(find "$FAR" -name "$name-*" | wc -l)" 1 "contents of $name in the copy"
rm "$(find "$FAR" -name "$name-*")"
expect 0 dapk copy
assert_same_places

note "what does not hold at the destination is superseded"
there=$(find "$FAR" -name "$(basename "$segment")")
truncate -s 500 "$there"
expect 0 dapk copy
[ -e "${there%.zst}.g1.zst" ] || fail "no next generation of $(basename "$there")"
cmp "$segment" "${there%.zst}.g1.zst" || fail "the next generation is not the source's"
expect 0 dapk copy
assert_eq "$(copied)" "0 0 0" "what was copied after that"
rm "$there" "${there%.zst}.g1.zst"
expect 0 dapk copy

note "what the other place has removed stays removed, unless it is named"
expect 0 dapk --repository far expire --backup "$first" --grace 0
expect 0 dapk --repository far expire --grace 0
[ -z "$(label_of_far "$first")" ] || fail "the backup was not removed"
expect 0 dapk copy
assert_match "$OUT" '1 stay removed' "the summary"
[ -z "$(label_of_far "$first")" ] || fail "a backup that was removed came back"
expect 0 dapk copy "$first"
[ -n "$(label_of_far "$first")" ] || fail "a backup that was named did not come"
far_verified

note "back: the first place is lost, and made anew from the other"
rm -rf "${REPO:?}"
expect 0 dapk init
expect 0 dapk copy --to local
assert_match "$OUT" '^local: got' "the summary"
assert_same_places
expect 0 dapk --repository local verify
sql src "SELECT pg_switch_wal()" >/dev/null
archive_now src
expect 0 dapk --repository local backup
expect 0 dapk copy
assert_same_places

note "other repositories, bad names, dead places"
sed -i "s,^repositories = .*,repositories = local\, far\, alien\, dead," "$CONF"
as_user mkdir "$T/alien"
expect 0 as_user "$BIN" init --repository-url "$T/alien"
printf '\n[repository alien]\nurl = file://%s\n\n[repository dead]\nurl = file://%s\n' "$T/alien" "$T/dead" >>"$CONF"
expect 1 dapk copy --to alien
assert_clear_error 'not places of one repository'
assert_hint
expect 2 dapk copy --to dead
assert_clear_error 'dead'
assert_hint 'init'
expect 2 dapk copy --to nobody
assert_clear_error 'nobody'
expect 2 dapk copy --to local --from local
expect 2 dapk --repository local copy
assert_clear_error 'only one repository'
run dapk copy
assert_match "$OUT" '^far: got 0 ' "the one that can be reached is brought up to date"
assert_ne "$RC" 0 "exit code with one that cannot be reached"
