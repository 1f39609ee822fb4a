#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A dump comes back without this program: recover.py, which shares no code with
# it, makes an archive that stock pg_restore reads, and says what is lost when
# something is.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/dumps.sh
. "$TEST_TOP/tests/lib/dumps.sh"

recover() { # CODE [option...]
	local code=$1
	shift
	expect "$code" as_user python3 "$TEST_TOP/scripts/recover.py" "$REPO" "$@"
}

pg_new src "$MAIN"
write_conf src
dapk init >"$T/init.out"
pg_start src
new_db src 'shöp "1"'
db='shöp "1"'
sql_file src "$db" >/dev/null <<'END'
CREATE TABLE lines (id int PRIMARY KEY, t text);
INSERT INTO lines SELECT n, md5(n::text) || repeat(md5((n * 7)::text), 4) FROM generate_series(1, 30000) n;
CREATE TABLE "a/b%c" (v text);
INSERT INTO "a/b%c" VALUES (E'tab\tback\\slash\nline'), (NULL), ('\.'), ('ä');
CREATE TABLE nothing (v text);
CREATE TABLE no_columns ();
INSERT INTO no_columns SELECT FROM generate_series(1, 3);
CREATE TABLE long_rows (v text);
INSERT INTO long_rows SELECT string_agg(md5((n * 31 + k)::text), '') FROM generate_series(1, 3) k,
	generate_series(1, 80000) n GROUP BY k;
INSERT INTO long_rows VALUES ('short');
CREATE VIEW v AS SELECT count(*) FROM lines;
SELECT lo_from_bytea(16500, '\x00010203'), lo_from_bytea(16501, ''),
	lo_from_bytea(4000000000, decode(repeat('ab00', 700000), 'hex'));
END
take_dump "$db"
first=$LABEL

back() { # LABEL FILE DATABASE: recovered, loaded, and held against the source
	recover 0 --dump "$1" --output "$2"
	assert_contains "$OUT" "has the manifest's CRCs" "recover.py"
	expect 0 client src pg_restore -l "$2"
	assert_contains "$OUT" "TABLE DATA public lines" "pg_restore -l"
	restored_by_stock src "$3" custom "$2"
	assert_same_db src "$db" src "$3"
	assert_eq "$(sql src "SELECT string_agg(oid || ' ' || md5(lo_get(oid)), ',' ORDER BY oid)
		FROM pg_largeobject_metadata" "$3")" \
		"$(sql src "SELECT string_agg(oid || ' ' || md5(lo_get(oid)), ',' ORDER BY oid)
		FROM pg_largeobject_metadata" "$db")" "large objects"
}

note "recover.py lists dumps"
recover 0 --list
assert_contains "$OUT" "$first" "the list"
assert_contains "$OUT" "database $db, 5 tables" "the list"

note "and makes an archive of one"
back "$first" "$T/one.dump" back1

note "which several processes can read at once"
if [ "$MAIN" != 16 ]; then
	restored_by_stock src back3 custom "$T/one.dump" -j 3
	assert_same_db src "$db" src back3
fi

note "also of one that refers to an older one's packs"
sql src "UPDATE lines SET t = 'new' WHERE id > 29900" "$db"
take_dump "$db"
second=$LABEL
grep -q "\"$first\"" "$(dump_dir "$second")/commit" || fail "the second dump does not refer to the first"
back "$second" "$T/two.dump" back2
recover 2 --dump 20 --output "$T/x.dump" # which of the two?
assert_contains "$ERR" "more than one" "recover.py"
recover 2 --dump "$second" --output "$T/two.dump"
assert_contains "$ERR" "exists" "recover.py"

note "globals come out as text"
expect 0 dapk dump --globals -U postgres
LABEL=$(newest_dump)
recover 0 --dump "$LABEL" --output "$T/globals.sql"
client src pg_dumpall --globals-only >"$T/globals.want"
restrict() { sed -E 's/^(\\(un)?restrict) .*/\1/' "$1"; }
assert_same_text <(restrict "$T/globals.sql") <(restrict "$T/globals.want") globals

note "a byte that changed is found; whole rows of the rest are there"
pack=$(find "$(dump_dir "$first")" -name 'pack-*' -size +200k | sort | head -n 1)
as_user cp "$pack" "$T/pack"
size=$(stat -c %s "$pack")
as_user chmod u+w "$pack"
printf '\xff\x00\xff' | as_user dd of="$pack" bs=1 seek=$((size / 2)) conv=notrunc status=none
recover 1 --dump "$second" --output "$T/bad.dump"
assert_contains "$OUT" "DAMAGED: " "recover.py"
assert_contains "$OUT" "LOST: " "recover.py"
assert_contains "$OUT" "NOT ALL CAME BACK" "recover.py"
[ ! -e "$T/bad.dump" ] || fail "a damaged dump got its name"
restored_by_stock src bad custom "$T/bad.dump.damaged"
db_text src bad "$T/bad.txt"
db_text src "$db" "$T/all.txt"
# Sorted rows: those that came back are a part of those that were there.
assert_eq "$(comm -23 <(sort -u "$T/bad.txt") <(sort -u "$T/all.txt") | wc -l)" 0 "rows that never were"
[ "$(wc -l <"$T/bad.txt")" -lt "$(wc -l <"$T/all.txt")" ] || fail "nothing is lost"
as_user rm -f "$T/bad.dump.damaged"
recover 1 --dump "$second" --output "$T/bad.dump" --allow-damage
[ -s "$T/bad.dump" ] || fail "--allow-damage left no file"

note "so are a pack that is missing and one that was cut"
as_user rm -f "$T/bad.dump" "$pack"
recover 1 --dump "$second" --output "$T/bad.dump"
assert_contains "$OUT" "$(basename "$pack") is missing" "recover.py"
as_user rm -f "$T/bad.dump.damaged"
head -c $((size / 2)) "$T/pack" | as_user tee "$pack" >/dev/null
recover 1 --dump "$second" --output "$T/bad.dump"
as_user cp "$T/pack" "$pack"
as_user rm -f "$T/bad.dump.damaged"
recover 0 --dump "$second" --output "$T/again.dump"
cmp "$T/again.dump" "$T/two.dump" || fail "another archive than before"

note "a manifest that changed is refused"
part=$(dump_dir "$second")/manifest-00.zst
as_user chmod u+w "$part"
printf '\xff\x00' | as_user dd of="$part" bs=1 seek=200 conv=notrunc status=none
recover 1 --dump "$second" --output "$T/x.dump"
assert_contains "$ERR" "wrong SHA-256" "recover.py"
