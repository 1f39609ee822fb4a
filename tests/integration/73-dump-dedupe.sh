#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# What the last dump has is not stored again: nothing changed, the newest
# rows changed or came, changes everywhere, rows that moved. What was lost of
# an earlier dump is stored anew by the next, and an earlier one that goes
# takes nothing from those that are left.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src
bin=$CLIENTS
[ "${MAJOR[src]}" -le 15 ] || bin=$PG_DIR/clients-18/bin
AS_USER+=("PATH=$bin:$PATH")
# Without vacuum, rows of the same length go to the end, where the newest are;
# else PostgreSQL puts them wherever a page has room.
sql src "ALTER SYSTEM SET autovacuum = off" >/dev/null
pg_reload src
sql_file src postgres <<'SQL'
CREATE DATABASE shop TEMPLATE template0;
\c shop
CREATE TABLE shipments (id uuid PRIMARY KEY, created timestamptz, status text, weight numeric(10,3), doc jsonb);
INSERT INTO shipments SELECT md5(g::text)::uuid, '2025-01-01'::timestamptz + g * interval '31 seconds',
	'packed', g % 1000 / 7.0, jsonb_build_object('city', 'city ' || g % 200, 'zip', g * 7919 % 90000,
	'items', jsonb_build_array(jsonb_build_object('sku', md5((g * 3)::text), 'qty', g % 9)))
	FROM generate_series(1, 200000) g;
CREATE TABLE flags AS SELECT g % 3 AS a, g % 7 < 3 AS b FROM generate_series(1, 400000) g;
CREATE TABLE accounts (aid int PRIMARY KEY, bid int, balance int, filler char(84));
INSERT INTO accounts SELECT g, 1, 0, '' FROM generate_series(1, 300000) g;
CREATE TABLE empty (a int);
SELECT lo_from_bytea(0, convert_to(string_agg(md5(g::text), ''), 'UTF8')) IS NOT NULL FROM generate_series(1, 60000) g;
SQL
dumps() { find "$REPO/clusters" -path '*/dumps/*/commit' -printf '%T@ %h\n' | sort -n; }
dump_dir() { find "$REPO/clusters" -type d -path "*/dumps/$1"; } # LABEL
# All that is new in the repository, of which the packs say what was stored.
stored() { # LABEL
	find "$(dump_dir "$1")" -type f -printf '%s\n' | awk '{ s += $1 } END { print s }'
}
commit_of_dump() { tail -n +2 "$(dump_dir "$1")/commit"; } # LABEL
dump_shop() { # [option...]: leaves LABEL
	expect 0 dapk dump shop "$@"
	LABEL=$(dumps | tail -n 1 | sed 's,.*/,,')
	as_user "$bin/pg_dump" -h "$(psql_host src)" -p "${PORT[src]}" -U postgres shop |
		grep -avE '^\\(un)?restrict ' >"$T/truth.$LABEL"
}
comes_back() { # LABEL
	expect 0 dapk export "$1" --format plain --output "$T/back.sql"
	grep -avE '^\\(un)?restrict ' "$T/back.sql" >"$T/back"
	rm -f "$T/back.sql"
	cmp -s "$T/back" "$T/truth.$1" ||
		fail "dump $1 is not what was dumped: $(diff -a "$T/truth.$1" "$T/back" | cut -c 1-200 | head -n 10)"
}
per_mille() { echo $((1000 * $(stored "$1") / full)); } # LABEL

note "the first dump"
dump_shop
first=$LABEL
full=$(stored "$first")
note "$full bytes of $(commit_of_dump "$first" | jq .original_bytes)"
comes_back "$first"

note "nothing changed: next to nothing"
dump_shop
same=$LABEL
assert_eq "$(commit_of_dump "$same" | jq -r .parent)" "$first" parent
note "$(stored "$same") bytes"
assert_between "$(per_mille "$same")" 0 10 "per mille stored of an unchanged database"
comes_back "$same"

note "the newest 1 % changed, and 1 % came"
sql_file src shop <<'SQL'
UPDATE shipments SET status = 'delivered' WHERE created > (SELECT max(created) - interval '31 seconds' * 2000 FROM shipments);
UPDATE accounts SET balance = aid WHERE aid > 297000;
INSERT INTO shipments SELECT md5((g + 1000000)::text)::uuid, now(), 'delivered', weight,
	doc || '{"city": "a city of the new ones"}' FROM generate_series(1, 2000) g, shipments
	WHERE id = md5((g + 150000)::text)::uuid;
INSERT INTO flags SELECT 1, true FROM generate_series(1, 4000);
SQL
dump_shop
newest=$LABEL
note "$(per_mille "$newest") per mille"
assert_between "$(per_mille "$newest")" 1 99 "per mille stored after the newest 1 % changed or came"
comes_back "$newest"

note "1 % of a table spread evenly, and 0.1 %: for the record"
sql src "UPDATE shipments SET status = 'sent' WHERE ('x' || left(id::text, 4))::bit(16)::int % 100 = 7" shop >/dev/null
dump_shop
note "$(per_mille "$LABEL") per mille for 1 %"
comes_back "$LABEL"
sql src "UPDATE shipments SET status = 'lost' WHERE ('x' || left(id::text, 6))::bit(24)::int % 1000 = 7" shop >/dev/null
dump_shop
note "$(per_mille "$LABEL") per mille for 0.1 %"
comes_back "$LABEL"

note "the oldest rows go, the table is vacuumed: what is left is found"
sql src "DELETE FROM accounts WHERE aid <= 30000" shop >/dev/null
sql src "VACUUM accounts" shop >/dev/null
dump_shop
gone=$LABEL
assert_between "$(per_mille "$gone")" 0 50 "per mille stored after the oldest rows went"
comes_back "$gone"

note "--full refers to nothing"
dump_shop --full
assert_eq "$(commit_of_dump "$LABEL" | jq -r '[.parent // "", (.packs[].label | select(. != "'"$LABEL"'"))] | unique | join("")')" \
	"" "what a full dump refers to"
comes_back "$LABEL"
dump_shop
base=$LABEL

note "packs of the parent that were lost, cut or are full of zeros are stored anew"
mapfile -t packs < <(commit_of_dump "$base" | jq -r '.packs | sort_by(-.live)[] |
	"\(.label) \(.attempt) \(.number)"' | while read -r label attempt number; do
	printf '%s/pack-%02d-%06d.zst\n' "$(dump_dir "$label")" "$attempt" "$number"
done)
[ "${#packs[@]}" -ge 3 ] || fail "only ${#packs[@]} packs"
mv "${packs[0]}" "$T/lost"
dump_shop
assert_match "$ERR" 'missing: its rows are stored anew'
comes_back "$LABEL"
mv "$T/lost" "${packs[0]}"
cp -p "${packs[1]}" "$T/whole"
truncate -s -100 "${packs[1]}"
dump_shop --full
comes_back "$LABEL"
healed=$LABEL
mapfile -t packs < <(find "$(dump_dir "$healed")" -name 'pack-*' -size +100k | sort)
truncate -s -100 "${packs[0]}"
dump_shop
assert_match "$ERR" 'not whole: its rows are stored anew'
comes_back "$LABEL"
offset=$(($(stat -c %s "${packs[1]}") / 2))
dd if=/dev/zero of="${packs[1]}" bs=1 seek="$offset" count=64 conv=notrunc status=none
expect 5 dapk verify
dump_shop
assert_match "$ERR" 'marked damaged: its rows are stored anew'
comes_back "$LABEL"
last=$LABEL

note "what died without a commit is in nobody's way"
dir=$(dump_dir "$last")
as_user mkdir "${dir%/*}/20200101T000000Z-0123456789abcdef"
as_user touch "${dir%/*}/20200101T000000Z-0123456789abcdef/pack-01-000000.zst"
dump_shop
assert_eq "$(commit_of_dump "$LABEL" | jq -r .parent)" "$last" parent
comes_back "$LABEL"
newer=$LABEL

note "an older dump goes; those that refer to its packs stay whole"
for label in "$healed" "$last"; do
	expect 0 dapk expire --backup "$label" --grace=0s
	expect 0 dapk expire --grace=0s
	[ ! -e "$(dump_dir "$label")/commit" ] || fail "$label is still there"
done
comes_back "$newer"
comes_back "$newest"
dump_shop
assert_eq "$(commit_of_dump "$LABEL" | jq -r .parent)" "$newer" parent
comes_back "$LABEL"
