#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# verify reads dumps back as it does backups: what damage costs is named by
# database, table and chunk, absence is damage (TRAPS T79), --repair brings back
# what another copy has, and the next dump stores anew what was marked.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_new src
pg_conf src "archive_mode = off"
write_conf src
dapk init >"$T/init.out"
pg_start src
bin=$CLIENTS
[ "${MAJOR[src]}" -le 15 ] || bin=$PG_DIR/clients-18/bin
AS_USER+=("PATH=$bin:$PATH")
sql src "CREATE DATABASE shop"
sql_file src shop <<'SQL'
CREATE TABLE old AS SELECT g AS id, md5(g::text) || md5((g + 1)::text) AS t FROM generate_series(1, 60000) g;
CREATE TABLE small AS SELECT g AS id FROM generate_series(1, 100) g;
CREATE TABLE empty (a int);
SELECT lo_from_bytea(0, decode(repeat(md5('a'), 500), 'hex')) IS NOT NULL;
SQL
newest() { # label of the newest dump
	find "$REPO/clusters" -path '*/dumps/*/commit' -printf '%T@ %h\n' | sort -n | tail -n 1 | sed 's,.*/,,'
}
dump_dir() { find "$REPO/clusters" -path "*/dumps/$1" -type d; } # LABEL
take_dump() { # [option...]
	expect 0 dapk dump "$@"
	LABEL=$(newest)
}
verify() { # CODES [OPTION...]: as JSON
	local codes=$1
	shift
	expect "$codes" dapk verify --json "$@"
	jq -e . <<<"$OUT" >/dev/null || fail "verify --json is no JSON: $OUT"
}
get() { jq -r "$1" <<<"$OUT"; }
of() { # LABEL FILTER
	jq -r --arg l "$1" ".incarnations[0].dumps[] | select(.label == \$l) | $2" <<<"$OUT"
}
flip() { # FILE OFFSET
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	# shellcheck disable=SC2059
	printf "\\x$(printf %02x $((byte ^ 32)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
# Where the payload of the frame of an item begins.
frame_of() { # FILE PATH
	grep -abo "$2" "$1" | head -n 1 | cut -d : -f 1
}
unmark() { find "$REPO/clusters" -name '*.damaged' -delete; }

take_dump shop
first=$LABEL
sql src "INSERT INTO small VALUES (0)" shop
take_dump shop
second=$LABEL
take_dump --globals

note "all is whole"
verify 0
assert_eq "$(get .damaged)" 0 damage
assert_eq "$(get .proved_dumps)" 3 "dumps proved"
assert_eq "$(of "$first" .items)" 5 "items: contents, three tables, large objects"
assert_eq "$(of "$first" .database)" shop "database"
verify 0 --quick
verify 0 "$second"
expect 0 dapk verify
assert_contains "$OUT" "of 3 dumps" verify
assert_contains "$OUT" "no damage" verify
as_user cp -a "$REPO" "$T/copy"

note "a bit in a chunk that both refer to"
pack=$(grep -laF "table/public/old" "$(dump_dir "$first")"/pack-*.zst | head -n 1)
at=$(frame_of "$pack" "table/public/old")
flip "$pack" $((at + 2000))
verify 5
for label in "$first" "$second"; do
	assert_eq "$(of "$label" .damaged)" true "damaged $label"
	assert_eq "$(of "$label" '.list | map(.path) | join(" ")')" "table/public/old" "items of $label"
	assert_eq "$(of "$label" .damaged_chunks)" 1 chunks
done
assert_eq "$(get '.incarnations[0].findings[0].marked')" true marked
expect 5 dapk verify
assert_match "$OUT" "$first, database shop"
assert_match "$OUT" 'table/public/old: 1 chunk,'
assert_match "$OUT" 'next: dapk-backup dump'
expect 5 dapk info
assert_contains "$OUT" "was found to be damaged" "info"
verify 5 --quick

note "the next dump stores anew what was marked"
take_dump shop
verify 5
assert_eq "$(of "$LABEL" .damaged)" false "the new dump"

note "--repair from another copy"
expect 0 dapk verify --repair --repair-from "file://$T/copy"
verify 0
assert_eq "$(get .damaged)" 0 damage
assert_eq "$(of "$first" .proved)" true "the first is proved"

note "a pack, a manifest, a commit that are gone"
for object in pack-01-000000.zst manifest-00.zst; do
	file=$(dump_dir "$LABEL")/$object
	mv "$file" "$T/aside"
	verify 5 --quick
	assert_eq "$(of "$LABEL" .damaged)" true "$object is gone: quick"
	verify 5
	assert_eq "$(of "$LABEL" .damaged)" true "$object is gone"
	mv "$T/aside" "$file"
done
unmark
flip "$(dump_dir "$LABEL")/commit" 300
verify 5
assert_eq "$(of "$LABEL" .commit_damaged)" true "the commit"
flip "$(dump_dir "$LABEL")/commit" 300
verify 0

note "each object of a dump, cut and flipped"
while IFS= read -r file; do
	cp -p "$file" "$T/aside"
	size=$(stat -c %s "$file")
	for at in 0 $((size / 3)) $((size / 2)) $((size - 5)); do
		flip "$file" "$at"
		verify 5
		unmark
		cp -p "$T/aside" "$file"
	done
	truncate -s $((size / 2)) "$file"
	verify 5
	unmark
	cp -p "$T/aside" "$file"
done < <(find "$(dump_dir "$LABEL")" -type f ! -name '*.damaged' ! -name '*.g1.zst' | sort)
verify 0
