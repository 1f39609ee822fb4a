#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# verify reads back all that is stored and names what damage costs: backups,
# files, blocks and times. Absence is damage (TRAPS T79). What it says is true:
# the backups that it does not name can be restored, the next backup stores
# anew what it marked, and --repair brings the old ones back.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src "$MAIN" --wal-segsize=1
sql src "CREATE TABLE t AS SELECT n, md5(n::text) AS v FROM generate_series(1, 60000) n"
sql src "CREATE TABLE old AS SELECT n, repeat(md5(n::text), 8) AS v FROM generate_series(1, 20000) n"
sql src "CHECKPOINT"
take_backup
first=$LABEL
sql src "UPDATE t SET v = 'x' WHERE n % 1000 = 0"
take_backup
second=$LABEL
sql src "UPDATE t SET v = 'y' WHERE n % 1000 = 1"
take_backup
third=$LABEL
archive_now src
oldsum=$(sql src "SELECT md5(string_agg(old::text, '' ORDER BY n)) FROM old")

verify() { # CODES [OPTION...]: as JSON
	local codes=$1
	shift
	expect "$codes" dapk verify --json "$@"
	jq -e . <<<"$OUT" >/dev/null || fail "verify --json is no JSON: $OUT"
}
get() { jq -r "$1" <<<"$OUT"; }
flip() { # FILE OFFSET
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	# shellcheck disable=SC2059
	printf "\\x$(printf %02x $((byte ^ 32)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
of() { # LABEL FILTER
	jq -r --arg l "$1" ".incarnations[0].backups[] | select(.label == \$l) | $2" <<<"$OUT"
}
damaged_backups() { get '[.incarnations[0].backups[] | select(.damaged) | .label] | join(" ")'; }
unmark() { find "$REPO/clusters" -name '*.damaged' -delete; }

note "a whole repository"
verify 0
assert_eq "$(get .damaged)" 0 damage
assert_eq "$(get .proved_backups)" 3 "backups proved"
assert_eq "$(get '.incarnations[0].findings | length')" 0 findings
files=$(tail -n +2 "$(backup_dir "$first")/commit" | jq .files)
assert_eq "$(of "$first" .files)" "$files" "files of the first"
verify 0 --quick
assert_eq "$(get .damaged)" 0 "damage seen by --quick"
expect 0 dapk verify
assert_contains "$OUT" "no damage" verify
verify 0 "$second"
expect 1 dapk verify nosuch
assert_clear_error nosuch
as_user cp -a "$REPO" "$T/copy"

note "a bit in an old pack, which all three refer to"
rel=$(sql src "SELECT pg_relation_filepath('old')")
pack=$(grep -laF "$rel" "$(backup_dir "$first")"/pack-*.zst | head -n 1)
flip "$pack" $(($(grep -obUaF "$rel" "$pack" | head -n 1 | cut -d: -f1) + 1500))
verify 5 --dry-run
[ ! -e "${pack%.zst}.g0.damaged" ] || fail "--dry-run marked the pack"
verify 5
assert_contains "$(get '.incarnations[0].findings[0].object')" "$(basename "$pack")" "the pack"
assert_eq "$(get '.incarnations[0].findings[0].marked')" true marked
[ -e "${pack%.zst}.g0.damaged" ] || fail "no mark: $(ls "$(dirname "$pack")")"
for label in "$first" "$second" "$third"; do
	assert_contains "$(damaged_backups)" "$label" "the damaged backups"
	assert_eq "$(of "$label" '[.list[].path] | join(" ")')" "$rel" "the file that $label loses"
	assert_eq "$(of "$label" '.damaged_blocks')" 128 "the blocks that $label loses"
done
assert_ne "$(get '.incarnations[0].lost | length')" 0 "times lost"
expect 5 dapk verify
for word in "$first" "$second" "$third" "$rel" LOST DAMAGE 'next: dapk-backup'; do
	assert_contains "$OUT" "$word" "text"
done
expect 5 dapk verify --quick

note "the next backup stores the pages anew, and is whole"
take_backup
healed=$LABEL
verify 5
assert_lacks "$(damaged_backups)" "$healed" "the damaged backups"
assert_eq "$(of "$healed" .proved)" true "proved"
archive_now src
restored new "$MAIN" --backup "$healed" --target immediate
assert_eq "$(sql new "SELECT md5(string_agg(old::text, '' ORDER BY n)) FROM old")" "$oldsum" "the table"
drop new

note "repair needs another copy, and then brings the old ones back"
expect 5 dapk verify --repair
assert_match "$ERR" "cannot be repaired" "repair without a copy"
verify 0 --repair --repair-from "$T/copy"
assert_eq "$(get .repaired)" 1 repaired
[ -e "${pack%.zst}.g1.zst" ] || fail "no new generation: $(ls "$(dirname "$pack")")"
verify 0
assert_eq "$(damaged_backups)" "" "damaged backups"
restored new "$MAIN" --backup "$third" --target immediate
assert_eq "$(sql new "SELECT md5(string_agg(old::text, '' ORDER BY n)) FROM old")" "$oldsum" "the table"
drop new

note "an index that is gone is made again from the pack itself"
pack=$(find "$(backup_dir "$second")" -name 'pack-*.zst' | sort | head -n 1)
flip "$pack" $(($(stat -c %s "$pack") - 9))
verify 5
assert_contains "$(damaged_backups)" "$second" "the damaged backups"
verify 0 --repair
verify 0

note "packs that are short or gone, a manifest, a commit"
pack=$(find "$(backup_dir "$third")" -name 'pack-*.zst' | sort | head -n 1)
as_user cp -p "$pack" "$T/saved"
truncate -s $(($(stat -c %s "$pack") / 2)) "$pack"
verify 5 --quick
assert_contains "$(damaged_backups)" "$third" "with --quick"
verify 5
assert_contains "$(damaged_backups)" "$third" "cut short"
rm "$pack"
find "$(backup_dir "$third")" -name '*.damaged' -delete
for option in --quick --verbose; do
	verify 5 "$option"
	assert_contains "$(damaged_backups)" "$third" "a pack that is gone ($option)"
	assert_match "$(get '.incarnations[0].findings[0].reason')" "not there" "why"
done
verify 0 --repair --repair-from "$T/copy"
verify 0
verify 0 --quick

manifest=$(backup_dir "$second")/manifest-00.zst
flip "$manifest" 2000
verify 5
assert_eq "$(of "$second" .manifest_damaged)" true "the manifest"
assert_eq "$(damaged_backups)" "$second" "the damaged backups"
verify 0 --repair --repair-from "$T/copy"
[ -e "${manifest%.zst}.g1.zst" ] || fail "no new generation of the manifest"
verify 0
verify 0 --quick

commit=$(backup_dir "$first")/commit
as_user cp -p "$commit" "$T/saved"
flip "$commit" 500
for option in --quick --verbose; do
	verify 5 $option
	assert_eq "$(of "$first" .commit_damaged)" true "the commit"
	assert_eq "$(damaged_backups)" "$first" "the damaged backups"
done
as_user cp -p "$T/saved" "$commit"
verify 0

note "garbage is counted and harmless"
dead=$(dirname "$(backup_dir "$first")")/20200101T000000Z-0123456789abcdef
as_user mkdir "$dead"
as_user cp "$manifest" "$dead/pack-01-000000.zst"
verify 0
assert_ne "$(get '.incarnations[0].unreferenced_objects')" 0 "unreferenced objects"

note "a share is a part"
verify 0
all=$(get .bytes)
verify 0 --share 1/1000
[ "$(get .bytes)" -lt $((all / 2)) ] || fail "a thousandth has $(get .bytes) of $all bytes"
for wrong in 2/3 1/0 30 x 1/99999; do
	expect 2 dapk verify --share $wrong
	assert_clear_error 'share'
done
expect 2 dapk verify --quick --repair
expect 2 dapk verify --repair-from "$T/copy"
