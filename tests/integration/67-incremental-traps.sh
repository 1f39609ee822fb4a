#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# What makes size and time of a file lie, and what makes WAL an unfit witness
# (T49 to T51, T59, T61, T65): after each of these the next backup restores to
# exactly what was there.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

same_files() { # WHAT [CLUSTER]
	keep_truth "${2:-src}" now
	assert_restores_truth "$LABEL" now
}

parent_of() { commit_of "$1" | jq -r .parent; } # LABEL

read_of() { commit_of "$1" | jq -r .read; } # LABEL

pg_new src
pg_conf src "autovacuum = off"
write_conf src
dapk init >"$T/init.out"
pg_start src
bench_init src 2
sql_file src postgres <<<"CREATE TABLE a WITH (fillfactor = 80) AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 30000) g;
	CREATE TABLE b WITH (fillfactor = 80) AS SELECT g AS id, md5((g + 7)::text) AS v FROM generate_series(1, 30000) g;
	VACUUM FREEZE a; VACUUM FREEZE b; CHECKPOINT"
take_backup

note "the same size and an older time"
file=$T/src/$(sql src "SELECT pg_relation_filepath('a')")
touch -r "$file" "$T/old-time"
size=$(stat -c %s "$file")
sql src "UPDATE a SET v = 'x' || substr(v, 2) WHERE id = 5; CHECKPOINT"
assert_eq "$(stat -c %s "$file")" "$size" "the file's size"
touch -d '2001-01-01' "$file"
take_backup
assert_eq "$(read_of "$LABEL")" changes "what it read"
same_files "older time"
sql src "UPDATE a SET v = 'y' || substr(v, 2) WHERE id = 5; CHECKPOINT"
touch -r "$T/old-time" "$file"
take_backup --full-read-every 0
assert_eq "$(read_of "$LABEL")" all "what it read"
same_files "the time of before"

note "a file made anew under the same name, which WAL knows nothing of"
other=$T/src/$(sql src "SELECT pg_relation_filepath('b')")
pg_stop src
cp -p "$file" "$T/file-of-a"
cp "$other" "$file"
touch -r "$T/old-time" "$file"
pg_start src
take_backup --full-read-every 0
same_files "another file"
pg_stop src
as_user cp -p "$T/file-of-a" "$file"
pg_start src
take_backup --full-read-every 0
same_files "the old file again"

note "databases made by copying files, dropped and made again; relations truncated and rewritten"
strategy=''
[ "$MAIN" -lt 15 ] || strategy='STRATEGY file_copy'
sql src "CREATE DATABASE copied TEMPLATE postgres $strategy"
sql src "CHECKPOINT"
take_backup
assert_eq "$(read_of "$LABEL")" changes "what it read"
same_files "a copied database"
sql src "DROP DATABASE copied"
sql src "CREATE DATABASE copied TEMPLATE template1"
sql src "BEGIN; TRUNCATE b; INSERT INTO b SELECT g, 'few' FROM generate_series(1, 3000) g; COMMIT"
sql src "BEGIN; CREATE TABLE never (v text); INSERT INTO never SELECT 'x' FROM generate_series(1, 9000); ROLLBACK"
sql src "DELETE FROM a WHERE id > 10000"
sql src "VACUUM a"
sql src "ALTER TABLE a SET (fillfactor = 50)"
sql src "CLUSTER pgbench_accounts USING pgbench_accounts_pkey"
sql src "CHECKPOINT"
take_backup
assert_eq "$(read_of "$LABEL")" changes "what it read"
same_files "dropped, truncated, shrunk"
before_fork=$LABEL

note "checksums turned off and on again: WAL does not tell, everything is read"
pg_stop src
as_user "$(program_for "$MAIN" pg_checksums)" --disable -D "$T/src" >/dev/null
pg_start src
sql src "UPDATE a SET v = 'off' WHERE id % 100 = 3; CHECKPOINT"
take_backup
assert_contains "$ERR" "checksums were turned on or off" "the message"
assert_eq "$(read_of "$LABEL")" all "what it read"
same_files "without checksums"
pg_stop src
as_user "$(program_for "$MAIN" pg_checksums)" --enable -D "$T/src" >/dev/null
pg_start src
take_backup
assert_eq "$(read_of "$LABEL")" all "what it read"
same_files "with checksums again"
after_fork=$LABEL

note "another timeline: the parent is from before the fork, and not the newest"
archive_now src
restored new "$MAIN" --backup "$before_fork" --target immediate
pg_stop src
pg_stop new
sed -i '/archive_mode/d' "$T/new/postgresql.auto.conf"
pg_conf new "archive_mode = on"
cp "$CONF" "$CONF.src"
sed -i "s|^pgdata = .*|pgdata = $T/new|; s|host=[^ ]*|host=${SOCK[new]}|; s|port=[0-9]*|port=${PORT[new]}|" "$CONF"
pg_start new "unix_socket_directories=${SOCK[new]}"
sql new "UPDATE a SET v = 'fork' WHERE id % 50 = 1; CHECKPOINT"
take_backup
assert_eq "$(parent_of "$LABEL")" "$before_fork" "the parent"
assert_contains "$ERR" "read from another data directory" "the message"
assert_eq "$(read_of "$LABEL")" all "what it read"
same_files "a new timeline" new
sql new "UPDATE a SET v = 'on' WHERE id % 50 = 2; CHECKPOINT"
forked=$LABEL
take_backup
assert_eq "$(parent_of "$LABEL")" "$forked" "the parent"
assert_eq "$(read_of "$LABEL")" changes "what it read"
same_files "on the new timeline" new
pg_stop new
