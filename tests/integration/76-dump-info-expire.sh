#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# info lists dumps with what they have and what removing one would free;
# expire removes them in two steps as it does backups: what others refer to
# stays, and so does the last good one of each database.
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
sql src "CREATE DATABASE stock"
sql_file src shop <<'SQL'
CREATE TABLE big AS SELECT g AS id, md5(g::text) AS t FROM generate_series(1, 60000) g;
CREATE TABLE small AS SELECT g AS id FROM generate_series(1, 100) g;
SELECT lo_from_bytea(0, 'large') IS NOT NULL;
SQL
sql src "CREATE TABLE one AS SELECT 1 AS n" stock
newest() { find "$REPO/clusters" -path '*/dumps/*/commit' -printf '%T@ %h\n' | sort -n | tail -n 1 | sed 's,.*/,,'; }
dump_dir() { find "$REPO/clusters" -path "*/dumps/$1" -type d; } # LABEL
commits() { find "$REPO/clusters" -path '*/dumps/*/commit' | wc -l; }
take_dump() { # [option...]
	expect 0 dapk dump "$@"
	LABEL=$(newest)
}
json() { # [CODES [LABEL]]
	expect "${1:-0}" dapk info --json "${@:2}"
	jq -e . <<<"$OUT" >/dev/null || fail "info --json is no JSON: $OUT"
}
of() { # LABEL FILTER
	jq -r --arg l "$1" ".incarnations[0].dumps[] | select(.label == \$l) | $2" <<<"$OUT"
}

note "what info says of a dump is so"
take_dump shop
first=$LABEL
rows=$(sql src "SELECT (SELECT count(*) FROM big) + (SELECT count(*) FROM small)" shop)
json
assert_eq "$(of "$first" .database)" shop database
assert_eq "$(of "$first" .rows)" "$rows" rows
assert_eq "$(of "$first" .tables)" 2 tables
assert_eq "$(of "$first" .large_objects)" 1 "large objects"
assert_eq "$(of "$first" .usable)" true usable
assert_eq "$(of "$first" .parent)" null parent
assert_match "$(of "$first" .snapshot_lsn)" '^[0-9A-F]+/[0-9A-F]+$' LSN
stored=$(cat "$(dump_dir "$first")"/* | wc -c)
assert_between "$(of "$first" .frees_bytes)" $((stored * 8 / 10)) "$stored" "what removing the only one frees"
expect 0 dapk info
assert_contains "$OUT" "dumps: 1" info
assert_contains "$OUT" "database shop" info
assert_match "$OUT" "$rows rows and 1 large object"
assert_match "$OUT" 'snapshot 20.* ago\), LSN [0-9A-F]+/'

sql src "INSERT INTO small VALUES (0)" shop
take_dump shop
second=$LABEL
take_dump stock
stock=$LABEL
take_dump --globals
globals=$LABEL
json
assert_eq "$(of "$second" .parent)" "$first" "the parent of the second"
[ "$(of "$second" .frees_bytes)" -lt $((stored / 2)) ] || fail "removing the second would free all"
assert_eq "$(of "$globals" '[.database, .globals] | @json')" '[null,true]' globals
expect 0 dapk info
assert_contains "$OUT" "roles and tablespaces" "globals"

note "one dump with its largest tables"
expect 0 dapk info "$first"
assert_match "$OUT" '60000 rows +public\.big'
assert_lacks "$OUT" "database stock" "the others"
json 0 "$first"
assert_eq "$(jq -r '.dump.items[0].table' <<<"$OUT")" big "the largest"
assert_eq "$(jq -r '.dump.items | length' <<<"$OUT")" 4 items
expect 1 dapk info 1999
assert_clear_error 'no backup or dump'

note "a dump that lost a pack is not said to be good"
pack=$(find "$(dump_dir "$first")" -name 'pack-*' | sort | head -n 1)
mv "$pack" "$T/pack"
json 5
assert_eq "$(of "$first" .usable)" false usable
assert_eq "$(of "$stock" .usable)" true "the other database's"
expect 5 dapk info
assert_match "$OUT" 'unusable .*is not there'
mv "$T/pack" "$pack"

note "labels of dumps are told from those of backups"
expect 1,2 dapk restore -D "$T/new" --backup "$first"
assert_match "$ERR" 'dump'
assert_hint 'load|export'
[ ! -e "$T/new" ] || fail "restore of a dump made a directory"

note "removal: said, listed, done after the grace period"
expect 0 dapk expire --backup "$first" --dry-run
assert_match "$OUT" "dump $first would go: [0-9]+ objects"
assert_match "$OUT" 'packs? of it, .* stays?, since other dumps refer to'
expect 0 dapk expire --backup "$first"
assert_match "$OUT" "dump $first is to go"
json
assert_eq "$(of "$first" .leaving)" true leaving
expect 0 dapk expire
assert_match "$OUT" 'waits, the first until'
assert_eq "$(commits)" 4 "dumps before the grace period has passed"
take_dump shop
third=$LABEL
assert_eq "$(jq -r .parent <<<"$(tail -n +2 "$(dump_dir "$third")/commit")")" "$second" "the third's parent"
expect 0 dapk expire --grace 0s
assert_match "$OUT" '1 dump among them'
assert_eq "$(commits)" 4 "dumps"
expect 0 dapk verify
assert_contains "$OUT" "no damage" "what is left"
expect 0 dapk export "$second" --format plain --output "$T/second.sql"
assert_contains "$(cat "$T/second.sql")" "COPY public.big" "the export of a dump whose parent is gone"
json
assert_eq "$(of "$second" .usable)" true usable

note "not the last one of a database"
expect 1 dapk expire --backup "$stock"
assert_clear_error 'no usable dump of database stock'
assert_hint 'dapk-backup dump stock'
expect 1 dapk expire --backup "$globals"
assert_clear_error 'globals'
take_dump shop -t small
part=$LABEL
expect 0 dapk expire --backup "$second"
expect 1 dapk expire --backup "$third" # one table is not the database
assert_clear_error 'no usable dump of database shop'
expect 0 dapk expire --backup "$part"
expect 0 dapk expire --backup "$stock" --force
expect 0 dapk expire --grace 0s
assert_eq "$(commits)" 2 "dumps"
expect 0 dapk verify
assert_contains "$OUT" "no damage" "what is left"

note "while a dump runs no dump is removed, and backups are looked after all the same"
sql src "INSERT INTO big SELECT g, md5(g::text) || repeat(md5((-g)::text), 20) FROM generate_series(1, 300000) g" shop
"${AS_USER[@]}" "$BIN" --config "$CONF" dump shop --jobs 1 >"$T/dump.out.log" 2>"$T/dump.err.log" &
dump=$!
wait_for 20 "COPY" sql_true src "SELECT EXISTS (SELECT FROM pg_stat_activity
	WHERE application_name LIKE 'dapk%' AND query LIKE 'COPY%')"
kill -STOP "$dump"
expect 6 dapk expire
assert_clear_error "dump on host $(hostname), pid $dump"
expect 0 dapk expire --dry-run
kill -CONT "$dump"
exited "$dump"
assert_eq "$RC" 0 "the dump's exit code: $(cat "$T/dump.err.log")"
expect 0 dapk expire
