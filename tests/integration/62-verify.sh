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
sql src "UPDATE t SET v = 'z' WHERE n % 1000 = 2"
archive_now src
sql src "INSERT INTO t VALUES (0, 'later')"
archive_now src
sum=$(sql src "SELECT md5(string_agg(t::text, '' ORDER BY n, v)) FROM t")
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
verify 1,2,3 nosuch 2>/dev/null || :
as_user cp -a "$REPO" "$T/copy"

note "a bit in the oldest pack, which all three refer to"
pack=$(find "$(backup_dir "$first")" -name 'pack-*.zst' -size +100k | sort | head -n 1)
as_user cp -p "$pack" "$T/saved"
flip "$pack" $(($(stat -c %s "$pack") / 2))
verify 5 --dry-run
[ ! -e "${pack%.zst}.g0.damaged" ] || fail "--dry-run marked the pack"
verify 5
assert_contains "$(get '.incarnations[0].findings[0].object')" "$(basename "$pack")" "the pack"
assert_eq "$(get '.incarnations[0].findings[0].marked')" true marked
[ -e "${pack%.zst}.g0.damaged" ] || fail "no mark: $(ls "$(dirname "$pack")")"
named=$(damaged_backups)
assert_contains "$named" "$first" "the damaged backups"
echo "damaged: $named"
assert_ne "$(of "$first" '.list | length')" 0 "files named"
expect 5 dapk verify
for word in "$first" DAMAGE 'next: dapk-backup'; do assert_contains "$OUT" "$word" "text"; done
expect 5 dapk verify --quick
