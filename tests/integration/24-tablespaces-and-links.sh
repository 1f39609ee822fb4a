#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Tablespaces (moved at restore, names with spaces and quotes), a pg_wal that
# is a symbolic link, a data directory reached through one, and directories
# with awkward names come back as they were (T46, T47, T81, T92, T94).
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

ts1="$T/ts one = \"dir\"" # PostgreSQL itself refuses single quotes
ts2=$T/ts2
as_user mkdir "$ts1" "$ts2"
pg_with_repository src "$MAIN" -X "$T/src-wal"
[ -L "$T/src/pg_wal" ] || fail "pg_wal is no link"
cat >"$T/ts.sql" <<END
CREATE TABLESPACE one LOCATION '${ts1//\'/\'\'}';
CREATE TABLESPACE two LOCATION '$ts2';
CREATE TABLE in_one TABLESPACE one AS SELECT n, md5(n::text) FROM generate_series(1, 20000) n;
CREATE TABLE in_two TABLESPACE two AS SELECT n, md5(n::text) FROM generate_series(1, 20000) n;
CREATE UNLOGGED TABLE fast (n int) TABLESPACE two;
CREATE INDEX ON in_one (n) TABLESPACE two;
CREATE DATABASE "weird ""db" TABLESPACE one;
CREATE EXTENSION amcheck;
END
sql_file src postgres <"$T/ts.sql"
sql src "CREATE TABLE x AS SELECT 'here' AS v" 'weird "db'
note "another major's directory beside ours is not taken along (T46)"
as_user mkdir -p "$ts2/PG_12_201909212/5"
as_user dd if=/dev/urandom of="$ts2/PG_12_201909212/5/1" bs=8k count=1 status=none
ln -s "$T/src" "$T/link"
sed -i "s,^pgdata = .*,pgdata = $T/link," "$CONF"

take_backup
sql src "INSERT INTO in_one SELECT n, 'later' FROM generate_series(1, 1000) n"
archive_now src
dump_db src "$T/src.dump"
pg_stop src
label=$LABEL
manifest=$(find "$(backup_dir "$label")" -name 'manifest-*' | sort | xargs zstd -dcq)
assert_lacks "$manifest" PG_12_201909212 "the manifest"

note "over the source's own tablespaces: refused, and they stay"
before=$(tree_sum "$ts1")
assert_refused "$T/new" 'not empty|tablespace'
assert_eq "$(tree_sum "$ts1")" "$before" "the source's tablespace"

note "mapped, into a directory with an awkward name"
dir="new dir's \"name\""
new1="$T/moved one = x"
escaped=${ts1//=/\\=}
restored "$dir" "$MAIN" --tablespace-map "$escaped=${new1//=/\\=}" -T "$ts2=$T/moved2"
dump_db "$dir" "$T/new.dump"
assert_same_dump "$T/src.dump" "$T/new.dump"
assert_amcheck "$dir"
assert_eq "$(sql "$dir" "SELECT v FROM x" 'weird "db')" here "the database in a tablespace"
found=$(sql "$dir" "SELECT string_agg(pg_tablespace_location(oid), E'\n' ORDER BY spcname) FROM pg_tablespace WHERE spcname IN ('one', 'two')")
assert_eq "$found" "$new1"$'\n'"$T/moved2" "locations of the tablespaces"
[ ! -e "$T/$dir/tablespace_map" ] || fail "tablespace_map is left"
[ -d "$T/$dir/pg_wal" ] || fail "no pg_wal"
sql "$dir" "INSERT INTO in_two SELECT n, 'new' FROM generate_series(1, 1000) n"
pg_stop "$dir"
case $MAIN in
15 | 17 | 18) assert_checksums "$dir" ;;
*) note "no pg_checksums of $MAIN at hand that knows its tablespaces: the server itself read all pages above" ;;
esac
assert_eq "$(tree_sum "$ts1")" "$before" "the source's tablespace"
[ ! -e "$T/src-wal/archive_status" ] || [ "$(readlink -f "$T/$dir/pg_wal")" != "$(readlink -f "$T/src-wal")" ] ||
	fail "the restored cluster writes into the source's pg_wal"
rm -rf "${T:?}/$dir" "$new1" "$T/moved2"

note "a mapping into a directory that is not empty, and one of no tablespace"
mkdir -p "$T/full"
echo precious >"$T/full/file"
assert_refused "$T/new" 'not empty' -T "$escaped=$T/full" -T "$ts2=$T/moved2"
assert_eq "$(cat "$T/full/file")" precious "a file in the way"
[ ! -e "$T/moved2" ] || [ -z "$(ls -A "$T/moved2")" ] || fail "a refused restore filled a tablespace"
assert_refused "$T/new" 'tablespace' -T "$T/unknown=$T/moved2"
expect 2 dapk restore -D "$T/new" -T nonsense
assert_refused "$T/new" 'tablespace|absolute|inside|twice|same' -T "$escaped=$T/moved2" -T "$ts2=$T/moved2"

note "without mapping, once the old places are free"
rm -rf "$T/src" "$T/src-wal"
find "$ts1" "$ts2" -mindepth 1 -delete
rm "$T/link"
sed -i "s,^pgdata = .*,pgdata = $T/src," "$CONF"
restored new "$MAIN"
dump_db new "$T/new.dump"
assert_same_dump "$T/src.dump" "$T/new.dump"
