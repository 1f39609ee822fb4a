#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A dump into the repository stores nothing twice and leaves nothing when it
# fails. Written as a directory it is what pg_dump would have written: stock
# pg_restore makes the same text of it, with a large table read in ranges by
# several connections, columns and names that need quoting, inheritance,
# partitions, and a table that somebody waits to change (T129, T130, T134).
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
sql src "CREATE DATABASE \"sh'op\""
sql_file src "sh'op" <<'SQL'
CREATE TABLE big AS SELECT g AS id, repeat(md5(g::text), 8) AS t FROM generate_series(1, 450000) g;
CREATE TABLE wide (id int PRIMARY KEY, b text);
ALTER TABLE wide ALTER b SET STORAGE EXTERNAL;
INSERT INTO wide SELECT g, repeat(md5(g::text), 800) FROM generate_series(1, 5000) g;
CREATE TABLE nothing ();
INSERT INTO nothing DEFAULT VALUES;
CREATE TABLE made (a int GENERATED ALWAYS AS (1) STORED);
INSERT INTO made DEFAULT VALUES;
CREATE SCHEMA "a/b %";
CREATE TABLE "a/b %"."q ""x
(y) FROM stdin;" ("a, ""b)" int, t text);
INSERT INTO "a/b %"."q ""x
(y) FROM stdin;" VALUES (1, E'tab\there\nand \\. there'), (2, NULL), (3, '');
CREATE TABLE parent (id int);
CREATE TABLE child (more text) INHERITS (parent);
INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (2, 'x');
CREATE TABLE parted (y int, v text) PARTITION BY RANGE (y);
CREATE TABLE parted_2025 PARTITION OF parted FOR VALUES FROM (2025) TO (2026);
CREATE TABLE parted_rest PARTITION OF parted DEFAULT;
INSERT INTO parted SELECT 2024 + g % 3, g FROM generate_series(1, 1000) g;
CREATE UNLOGGED TABLE fast AS SELECT 1 AS one;
SELECT lo_from_bytea(0, 'large') IS NOT NULL;
SQL

stock() { # OUT [option...]
	as_user "$bin/pg_dump" -h "$(psql_host src)" -p "${PORT[src]}" -U postgres "${@:2}" \
		-d "dbname='sh\\'op'" | grep -avE '^\\(un)?restrict ' >"$1"
}
assert_same() { # DIR OF THE DUMP, option of pg_dump...
	stock "$T/stock" "${@:2}"
	as_user "$bin/pg_restore" -f - "$1" | grep -avE '^\\(un)?restrict ' >"$T/ours"
	cmp -s "$T/stock" "$T/ours" ||
		fail "not what pg_dump prints: $(diff -a "$T/stock" "$T/ours" | cut -c 1-200 | head -n 10)"
}

note "the plan says what there is and stores nothing"
expect 0 dapk dump --dry-run "sh'op"
assert_contains "$OUT" '"public"."big"' "the plan"
[ "${MAJOR[src]}" -lt 14 ] || assert_match "$OUT" '"big".*ranges'
before=$(tree_sum "$REPO")
expect 0 dapk dump --dry-run "sh'op" --table big --progress always
assert_lacks "$OUT" wide "the plan of one table"
assert_eq "$(tree_sum "$REPO")" "$before" "the repository after a dry run"

note "a directory"
expect 0 dapk dump "sh'op" --jobs 3 --output "$T/dir"
assert_same "$T/dir"
expect 1,2,3 dapk dump "sh'op" --output "$T/dir" # it is there

note "into the repository, and again"
expect 0 dapk dump "sh'op" --max-snapshot-age 1ms
assert_contains "$ERR" vacuum "the warning of an old snapshot (T136)"
assert_match "$OUT" '^dump 2'
commit_of_newest() {
	find "$REPO/clusters" -path '*/dumps/*/commit' -printf '%T@ %p\n' | sort -n |
		tail -n 1 | cut -d ' ' -f 2- | xargs -d '\n' tail -n +2
}
first=$(commit_of_newest)
assert_eq "$(jq -r .dump.database <<<"$first")" "sh'op" "database"
assert_eq "$(jq -r .dump.rows <<<"$first")" 456008 "rows"
expect 0 dapk dump "sh'op" --exclude-table-data fast
second=$(commit_of_newest)
assert_eq "$(jq -r .parent <<<"$second")" "$(jq -r .label <<<"$first")" "parent"
assert_eq "$(jq -r '.dump.options[0]' <<<"$second")" --exclude-table-data=fast "options"
[ "$(jq .stored_bytes <<<"$second")" -lt 100000 ] || fail "nothing changed and much was stored"
expect 0 dapk dump --all
assert_contains "$OUT" "database postgres" "every database"

note "nothing is left in the repository of a dump that was cancelled"
sql src "UPDATE big SET t = t || 'x'" "sh'op"
before=$(find "$REPO/clusters" -path '*/dumps/*' | sort)
"${AS_USER[@]}" "$BIN" --config "$CONF" dump "sh'op" 2>"$T/cancelled.log" &
dump=$!
wait_for 10 "COPY" sql_true src "SELECT EXISTS (SELECT FROM pg_stat_activity
	WHERE application_name LIKE 'dapk%' AND query LIKE 'COPY%')"
kill -TERM "$dump"
exited "$dump"
assert_eq "$RC" 143 "exit code: $(cat "$T/cancelled.log")"
assert_eq "$(find "$REPO/clusters" -path '*/dumps/*' | sort)" "$before" "what is in dumps/"

note "selections are pg_dump's"
for options in "--schema-only" "--data-only" "-t big -t made" "-T big -x" "-n a/b*" \
	"--exclude-table-data *.big --no-comments" "--section pre-data --section post-data" \
	"--load-via-partition-root -t parted*" "--no-unlogged-table-data -B"; do
	read -ra words <<<"$options"
	rm -rf "$T/part"
	expect 0 dapk dump "sh'op" "${words[@]}" --output "$T/part"
	assert_same "$T/part" "${words[@]}"
done
expect 4 dapk dump "sh'op" -t nosuch --output "$T/none"
assert_clear_error 'no matching tables'
[ ! -e "$T/none" ] || fail "a directory of a dump that failed"

note "what would change how the rows are stored is refused, with the reason"
for option in --inserts --rows-per-insert=5 -Fc -Z9 --clean -C --snapshot=x --on-conflict-do-nothing; do
	expect 2 dapk dump "sh'op" "$option"
	assert_match "$ERR" "dump does not take pg_dump's .*: [-a-z]"
done

note "somebody waits to change a table that is locked already: it is read all the same (T129)"
mkfifo "$T/other"
"${AS_USER[@]}" "$CLIENTS/psql" -X -q -h "$(psql_host src)" -p "${PORT[src]}" -U postgres -d "sh'op" \
	<"$T/other" >"$T/other.log" 2>&1 &
other=$!
exec 7>"$T/other"
echo "BEGIN; LOCK TABLE wide;" >&7
wait_for 10 "the other's lock" sql_true src "SELECT EXISTS (SELECT FROM pg_locks
	WHERE relation = 'wide'::regclass AND mode = 'AccessExclusiveLock')" "sh'op"
"${AS_USER[@]}" "$BIN" --config "$CONF" dump "sh'op" --output "$T/waited" 2>"$T/waited.log" &
dump=$!
waits="SELECT EXISTS (SELECT FROM pg_locks WHERE relation = '%s'::regclass AND NOT granted)"
# shellcheck disable=SC2059
wait_for 10 "the dump's waiting" sql_true src "$(printf "$waits" wide)" "sh'op"
"${AS_USER[@]}" "$CLIENTS/psql" -X -q -h "$(psql_host src)" -p "${PORT[src]}" -U postgres -d "sh'op" \
	-c "ALTER TABLE big ADD COLUMN later int" &
alter=$!
# shellcheck disable=SC2059
wait_for 10 "the ALTER's waiting" sql_true src "$(printf "$waits" big)" "sh'op"
echo "COMMIT;" >&7
exited "$dump"
[ "$RC" = 0 ] || fail "dump: $(cat "$T/waited.log")"
exited "$alter"
exec 7>&-
exited "$other"
as_user "$bin/pg_restore" -f - -a -t big "$T/waited" | grep -acE '^[0-9]+' >"$T/count"
assert_eq "$(cat "$T/count")" 450000 "rows of the table that was to be changed"

note "nothing is left of a dump that was cancelled"
"${AS_USER[@]}" "$BIN" --config "$CONF" dump "sh'op" --output "$T/cancelled" 2>"$T/cancelled.log" &
dump=$!
wait_for 10 "COPY" sql_true src "SELECT EXISTS (SELECT FROM pg_stat_activity
	WHERE application_name LIKE 'dapk%' AND query LIKE 'COPY%')"
kill -TERM "$dump"
exited "$dump"
assert_eq "$RC" 143 "exit code"
[ ! -e "$T/cancelled" ] || fail "a directory is left"
wait_for 10 "the end of our sessions" sql_true src "SELECT NOT EXISTS (SELECT FROM
	pg_stat_activity WHERE application_name LIKE 'dapk%')"

note "a connection that is killed: the error names the table"
"${AS_USER[@]}" "$BIN" --config "$CONF" dump "sh'op" --output "$T/killed" 2>"$T/killed.log" &
dump=$!
wait_for 10 "COPY" sql_true src "SELECT coalesce(bool_or(pg_terminate_backend(pid)), false)
	FROM pg_stat_activity WHERE application_name LIKE 'dapk%' AND query LIKE 'COPY%'"
exited "$dump"
assert_eq "$RC" 4 "exit code"
assert_match "$(cat "$T/killed.log")" 'table "public"'
[ ! -e "$T/killed" ] || fail "a directory is left"
