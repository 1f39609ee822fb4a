#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# One instant for all tables, all connections and all ranges of a large table
# (T128), while rows move between tables, between pages and to the table's end,
# and vacuum and truncation work; from the primary and from a standby.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/dumps.sh
. "$TEST_TOP/tests/lib/dumps.sh"

dumps_with_repository src
new_db src bank
# Large enough to be read in ranges: 64 MiB each.
sql_file src bank <<'END'
CREATE TABLE big (id int PRIMARY KEY, v bigint NOT NULL, moves int NOT NULL DEFAULT 0, pad text) WITH (fillfactor = 100);
INSERT INTO big SELECT n, 1000, 0, repeat(md5(n::text), 40) FROM generate_series(1, 120000) n;
CREATE TABLE small (id int PRIMARY KEY, v bigint NOT NULL);
INSERT INTO small SELECT n, 1000 FROM generate_series(1, 1000) n;
CREATE TABLE history (at timestamptz DEFAULT clock_timestamp(), delta bigint);
CREATE TABLE here (id int PRIMARY KEY, pad text);
CREATE TABLE there (LIKE here INCLUDING ALL);
INSERT INTO here SELECT n, md5(n::text) FROM generate_series(1, 20000) n;
VACUUM ANALYZE;
ALTER DATABASE bank SET idle_in_transaction_session_timeout = '1s';
ALTER DATABASE bank SET statement_timeout = '1s';
END
cat >"$T/transfer.pgbench" <<'END'
\set a random(1, 120000)
\set b random(1, 1000)
\set d random(-500, 500)
\set r random(1, 20000)
BEGIN;
UPDATE big SET v = v + :d, moves = moves + 1 WHERE id = :a;
UPDATE small SET v = v - :d WHERE id = :b;
INSERT INTO history (delta) VALUES (:d);
WITH gone AS (DELETE FROM here WHERE id = :r RETURNING *) INSERT INTO there SELECT * FROM gone;
WITH gone AS (DELETE FROM there WHERE id = 20001 - :r RETURNING *) INSERT INTO here SELECT * FROM gone;
COMMIT;
END
truths="SELECT (SELECT sum(v) FROM big) + (SELECT sum(v) FROM small) || ' ' ||
	(SELECT count(DISTINCT id) = count(*) AND count(*) = 120000 FROM big) || ' ' ||
	(SELECT count(*) || ' ' || count(DISTINCT id) FROM (SELECT id FROM here UNION ALL SELECT id FROM there) x) || ' ' ||
	((SELECT sum(v) FROM big) - 120000000 = (SELECT coalesce(sum(delta), 0) FROM history)) || ' ' ||
	((SELECT sum(moves) FROM big) = (SELECT count(*) FROM history))"
expected="121000000 true 20000 20000 true true"
assert_eq "$(sql src "$truths" bank)" "$expected" "the invariants at the start"

load_on() { # until bench_stop
	"${AS_USER[@]}" env PGOPTIONS="-c statement_timeout=0 -c idle_in_transaction_session_timeout=0" \
		"$CLIENTS/pgbench" -n -c 4 -j 1 -T 3600 -f "$T/transfer.pgbench" -h "${SOCK[src]}" \
		-p "${PORT[src]}" -U postgres bank >"$T/src.bench.log" 2>&1 &
	BENCH_PID=$!
	wait_for 30 "the first transfers" sql_true src "SELECT count(*) > 0 FROM history" bank
}

assert_consistent() { # LABEL
	load_dump src "$1" back
	assert_eq "$(sql src "$truths" back)" "$expected" "the invariants in the dump"
	sql src "SELECT coalesce(max(at), '-infinity') FROM history" back >"$T/last"
	drop_db src back
}

expect 0 dapk dump bank --dry-run
assert_match "$OUT" 'big'
load_on
for jobs in 4 2 1; do
	note "with $jobs connections"
	begin=$(sql src "SELECT clock_timestamp()")
	take_dump bank --jobs $jobs
	end=$(sql src "SELECT clock_timestamp()")
	assert_consistent "$LABEL"
	sql_true src "SELECT timestamptz '$(cat "$T/last")' BETWEEN timestamptz '$begin' - interval '1s' AND '$end'" ||
		fail "the dump's last row is of $(cat "$T/last"), the dump ran from $begin to $end"
done

note "vacuum full, truncation and a rewrite of other tables meanwhile"
sql src "CREATE TABLE junk AS SELECT * FROM big LIMIT 20000" bank
start_dump bank --jobs 3
wait_for 30 "the copying" until_true src 5 "$copying"
sql src "VACUUM small" bank
sql src "CREATE TABLE born_later AS SELECT 1 AS n" bank
end_dump
assert_eq "$RC" 0 "exit code: $ERR"
LABEL=$(newest_dump)
bench_stop
assert_consistent "$LABEL"
load_dump src "$LABEL" back
assert_eq "$(sql src "SELECT count(*) FROM pg_class WHERE relname = 'born_later'" back)" 0 "a table that was made after the snapshot"
drop_db src back
no_session_left src

note "from a standby, while it replays"
as_user "$(client_dir "$MAIN")/pg_basebackup" -h "${SOCK[src]}" -p "${PORT[src]}" -U postgres -D "$T/standby" -c fast -X stream
free_port
pg_adopt standby "$FREE_PORT" "$MAIN" "$T/standby.sock"
as_user mkdir "$T/standby.sock"
touch "$T/standby/standby.signal"
chown "$CLUSTER_USER" "$T/standby/standby.signal"
pg_conf standby "port = $FREE_PORT" "unix_socket_directories = '$T/standby.sock'" \
	"primary_conninfo = 'host=$T/src.sock port=${PORT[src]} user=postgres'" \
	"max_standby_streaming_delay = -1"
pg_start standby
load_on
sql src "SELECT pg_switch_wal()" >/dev/null
take_dump bank --jobs 3 -h "${SOCK[standby]}" -p "${PORT[standby]}"
bench_stop
assert_consistent "$LABEL"
tail -n +2 "$(dump_dir "$LABEL")/commit" | jq -e '.dump.snapshot_lsn' >/dev/null || fail "the commit lacks snapshot_lsn"
