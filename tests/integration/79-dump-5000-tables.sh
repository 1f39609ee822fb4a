#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# 5,000 tables, each locked by this program and by pg_dump, there and back; and
# what is said when the server's lock table is too small.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/dumps.sh
. "$TEST_TOP/tests/lib/dumps.sh"

dumps_with_repository src
new_db src many
sql src "DO \$\$ BEGIN FOR i IN 1..5000 LOOP
	EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, v text)', i);
	IF i % 3 > 0 THEN
		EXECUTE format('INSERT INTO t%1\$s SELECT n, md5((n * %1\$s)::text) FROM generate_series(1, %1\$s %% 40) n', i);
	END IF;
	IF i % 500 = 0 THEN COMMIT; END IF;
	END LOOP; END \$\$" many
start=$EPOCHREALTIME
take_dump many --jobs 2
note "dump: $(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }') s"
assert_between "$(find "$REPO" -type f | wc -l)" 1 100 "files in the repository"
expect 0 dapk export "$LABEL" --format custom --output "$T/x.dump"
assert_eq "$(client src pg_restore -l "$T/x.dump" | grep -c 'TABLE DATA')" 5000 "entries of table data"
start=$EPOCHREALTIME
load_dump src "$LABEL" back --jobs 2
note "load: $(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }') s"
assert_same_db src many src back
drop_db src back
note "one more, nothing changed"
stored=$(dump_bytes "$LABEL")
take_dump many
assert_between "$(dump_bytes "$LABEL")" 0 $((stored / 20)) "bytes of the second"

note "too many for the server's lock table"
sql src "ALTER SYSTEM SET max_locks_per_transaction = 10"
pg_stop src
sed -i '/^max_locks/d' "$T/src/postgresql.conf"
pg_start src max_connections=10
before=$(dump_commits)
expect 4 dapk dump many
assert_clear_error 'max_locks_per_transaction'
assert_eq "$(dump_commits)" "$before" "commits of dumps"
