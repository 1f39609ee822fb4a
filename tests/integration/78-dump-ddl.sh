#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Tables that are dropped, altered or made while a dump runs: the dump is of one
# instant, waits, or ends with a clear error (T129); never a wrong dump, never
# a hang.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/dumps.sh
. "$TEST_TOP/tests/lib/dumps.sh"

dumps_with_repository src
new_db src shop
fill="CREATE TABLE a AS SELECT n, md5(n::text) AS t FROM generate_series(1, 1000) n;
	CREATE TABLE z AS SELECT n, md5(n::text) AS t FROM generate_series(1, 1000) n;
	CREATE TABLE big AS SELECT n, repeat(md5(n::text), 30) AS t FROM generate_series(1, 60000) n"
sql src "$fill" shop

# Another session, which does as it is told: holder "SQL".
mkfifo "$T/holder"
"${AS_USER[@]}" "$CLIENTS/psql" -X -q -h "${SOCK[src]}" -p "${PORT[src]}" -U postgres \
	-d shop <"$T/holder" >"$T/holder.log" 2>&1 &
HOLDER=$!
BENCH_PID=$HOLDER # what ends with the test
exec 7>"$T/holder"
holder() { echo "$1;" >&7; }
held() { sql_true src "SELECT EXISTS (SELECT FROM pg_locks l WHERE relation = '$1'::regclass AND mode = 'AccessExclusiveLock' AND granted)" shop; }
hold() { # TABLE: nobody else gets it until the holder ends its transaction
	holder "BEGIN; LOCK TABLE $1 IN ACCESS EXCLUSIVE MODE"
	wait_for 10 "the lock of $1" held "$1"
}
waits="EXISTS (SELECT FROM pg_stat_activity WHERE $our_backends AND wait_event_type = 'Lock')"
queued() { sql_true src "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = '$1'::regclass AND NOT granted)" shop; }

note "altered, dropped and made while the dump waits for its first locks"
hold a
start_dump shop --jobs 2
until_true src 20 "$waits"
holder "ALTER TABLE a ADD COLUMN more int DEFAULT 7; DROP TABLE z; CREATE TABLE z AS SELECT 1 AS another"
holder "CREATE TABLE born AS SELECT n, 'born' AS t FROM generate_series(1, 500) n; COMMIT"
end_dump
assert_eq "$RC" 0 "exit code: $ERR"
LABEL=$(newest_dump)
load_dump src "$LABEL" back
assert_same_db src shop src back
drop_db src back

note "renamed, and another table under the old name"
hold a
start_dump shop
until_true src 20 "$waits"
holder "ALTER TABLE z RENAME TO z_was; CREATE TABLE z AS SELECT 'new' AS t, 2 AS n; DROP TABLE a; COMMIT"
end_dump
assert_eq "$RC" 0 "exit code: $ERR"
load_dump src "$(newest_dump)" back
assert_same_db src shop src back
drop_db src back

note "a lock that does not come: given up in time, by name"
before=$(dump_commits)
hold z
start=$SECONDS
expect 4,6 dapk dump shop --lock-wait-timeout 2s
assert_clear_error 'lock'
assert_match "$ERR" '\bz\b' "the error"
assert_between $((SECONDS - start)) 1 20 "seconds until it gave up"
holder "ROLLBACK"
assert_eq "$(dump_commits)" "$before" "commits of dumps"

note "an ALTER that waits while workers come to the table: an error, no hang"
for jobs in 1 3; do
	start_dump shop --jobs $jobs
	until_true src 20 "$copying"
	kill -s STOP "$DUMP_PID"
	holder "ALTER TABLE z ADD COLUMN late$jobs int"
	wait_for 10 "the ALTER in the queue" queued z
	kill -s CONT "$DUMP_PID"
	end=$((SECONDS + 60))
	while alive "$DUMP_PID" && [ "$SECONDS" -lt "$end" ]; do sleep 0.1; done
	[ "$SECONDS" -lt "$end" ] || fail "the dump hangs behind an ALTER"
	end_dump
	wait_for 10 "the ALTER" eval "! queued z"
	if [ "$RC" = 0 ]; then # it was at z already
		load_dump src "$(newest_dump)" back
		assert_eq "$(sql src "SELECT count(*) FROM z" back)" 1 "rows of z"
		drop_db src back
	else
		assert_between "$RC" 4 6 "exit code"
		assert_clear_error '\bz\b'
		assert_eq "$(dump_commits)" "$before" "commits of dumps"
	fi
	before=$(dump_commits)
done

note "an ALTER that waits before pg_dump comes to the table"
hold z
start_dump shop --lock-wait-timeout 20s
until_true src 20 "$waits"
"${AS_USER[@]}" "$CLIENTS/psql" -X -q -h "${SOCK[src]}" -p "${PORT[src]}" -U postgres -d shop \
	-c "ALTER TABLE big ADD COLUMN late int" >"$T/alter.log" 2>&1 &
alter=$!
# It has big already (locked before z), or comes to it behind the ALTER.
wait_for 10 "the ALTER in the queue, or done" eval "queued big || ! alive $alter"
holder "COMMIT"
end=$((SECONDS + 60))
while alive "$DUMP_PID" && [ "$SECONDS" -lt "$end" ]; do sleep 0.1; done
[ "$SECONDS" -lt "$end" ] || fail "the dump hangs: it waits for pg_dump, which waits for an ALTER, which waits for the dump"
end_dump
exited "$alter"
assert_eq "$RC" 0 "exit code of the ALTER"
sql_true src "SELECT count(*) = 1 FROM pg_attribute WHERE attrelid = 'big'::regclass AND attname = 'late'" shop ||
	fail "the ALTER was lost"

note "schemas and functions change meanwhile: they are the snapshot's"
start_dump shop
until_true src 20 "$copying"
sql src "CREATE SCHEMA later; CREATE FUNCTION later.f() RETURNS int LANGUAGE sql AS 'SELECT 1'" shop
end_dump
assert_eq "$RC" 0 "exit code: $ERR"
expect 0 dapk export "$(newest_dump)" --format plain --output "$T/x.sql"
! grep -q 'SCHEMA later' "$T/x.sql" || fail "a schema that was made after the snapshot"

note "schemas change their names: no rows of one under the other's name"
sql src "CREATE SCHEMA one; CREATE SCHEMA two; CREATE TABLE one.t AS SELECT 1 AS n; CREATE TABLE two.t AS SELECT 2 AS n" shop
before=$(dump_commits)
start_dump shop --jobs 1
until_true src 20 "$copying"
kill -s STOP "$DUMP_PID"
sql src "ALTER SCHEMA one RENAME TO three; ALTER SCHEMA two RENAME TO one; ALTER SCHEMA three RENAME TO two" shop
kill -s CONT "$DUMP_PID"
end_dump
assert_between "$RC" 4 6 "exit code"
assert_clear_error 'renamed'
assert_eq "$(dump_commits)" "$before" "commits of dumps"
exec 7>&-
exited "$HOLDER"
BENCH_PID=''
no_session_left src
