# shellcheck shell=bash
# SPDX-License-Identifier: PostgreSQL
# A history of everything that changes relation files, in a random order:
#
#	churn_init src		tables of each kind, a second database, a tablespace
#	churn src SEED ROUNDS	each operation once a round, shuffled by the seed
#
# The cluster needs max_prepared_transactions; a data directory that lives in
# $T/NAME. Tablespaces are $T/NAME.ts*.
CHURN_OPS=(update delete_tail freeze copy_in recreate index reindex truncate
	cluster full full_catalog unlogged sequence file_copy wal_log drop_db same_oid
	tablespace move_table move_db prepared rolled_back toast analyze checkpoint)
CHURN_N=0

churn_init() { # NAME
	local name=$1
	as_user mkdir "$T/$name.ts1"
	sql "$name" "CREATE TABLESPACE ts1 LOCATION '$T/$name.ts1'"
	sql_file "$name" postgres <<-'SQL'
		CREATE EXTENSION IF NOT EXISTS pg_visibility;
		CREATE TABLE rows (id int PRIMARY KEY, v text, n int);
		INSERT INTO rows SELECT g, md5(g::text), g % 97 FROM generate_series(1, 20000) g;
		CREATE INDEX rows_n ON rows (n);
		CREATE INDEX rows_hash ON rows USING hash (v);
		CREATE INDEX rows_brin ON rows USING brin (id);
		CREATE TABLE docs (id serial, d jsonb, p point, a int[]);
		INSERT INTO docs (d, p, a) SELECT jsonb_build_object('k', g % 50, 'v', md5(g::text)),
			point(g % 100, g / 100), ARRAY[g % 7, g % 11] FROM generate_series(1, 4000) g;
		CREATE INDEX docs_gin ON docs USING gin (d);
		CREATE INDEX docs_gist ON docs USING gist (p);
		CREATE INDEX docs_spgist ON docs USING spgist (p);
		CREATE TABLE tail (id int, filler text);
		CREATE TABLE wide (id int PRIMARY KEY, b text);
		ALTER TABLE wide ALTER b SET STORAGE EXTERNAL;
		INSERT INTO wide SELECT g, repeat(md5(g::text), 200) FROM generate_series(1, 100) g;
		CREATE TABLE reborn (id int, v text);
		CREATE TABLE switched (id int PRIMARY KEY, v text);
		CREATE TABLE moved (id int, v text);
		CREATE TABLE quiet AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 30000) g;
		CREATE INDEX quiet_id ON quiet (id);
		CREATE SEQUENCE counter;
		VACUUM;
	SQL
	sql "$name" "CREATE DATABASE other"
	sql "$name" "CREATE TABLE o AS SELECT g AS id FROM generate_series(1, 5000) g" other
	sql "$name" "CREATE DATABASE moving"
	sql "$name" "CREATE TABLE m AS SELECT g AS id FROM generate_series(1, 5000) g" moving
}

churn() { # NAME SEED ROUNDS
	local name=$1 round op ops
	RANDOM=$2
	for ((round = 0; round < $3; round++)); do
		ops=$(for op in "${CHURN_OPS[@]}"; do echo "$RANDOM $op"; done | sort -n | cut -d' ' -f2)
		for op in $ops; do
			CHURN_N=$((CHURN_N + 1))
			"churn_$op" "$name" || fail "churn: $op"
		done
	done
}

churn_update() {
	sql "$1" "UPDATE rows SET n = n + 1 WHERE id % $((RANDOM % 40 + 3)) = 0"
	sql "$1" "UPDATE docs SET d = d || '{\"x\": $RANDOM}', p = point($((RANDOM % 90)), 3)
		WHERE id % $((RANDOM % 50 + 10)) = 1"
	sql "$1" "DELETE FROM rows WHERE id % 37 = $((RANDOM % 37))"
}
churn_delete_tail() {
	sql "$1" "INSERT INTO tail SELECT g, repeat('t', 500) FROM generate_series(1, $((RANDOM % 3000 + 500))) g"
	sql "$1" "DELETE FROM tail WHERE id > $((RANDOM % 400))"
	sql "$1" "VACUUM (TRUNCATE) tail"
	sql "$1" "INSERT INTO tail SELECT g, repeat('u', 500) FROM generate_series(1, $((RANDOM % 1000))) g"
}
churn_freeze() { sql "$1" "VACUUM (FREEZE) $(shuf -n 1 -e rows docs tail wide quiet --random-source=<(yes $RANDOM))"; }
churn_copy_in() {
	{
		echo "COPY tail FROM STDIN;"
		seq -f $'%g\tcopied' $((RANDOM % 5000 + 100))
		echo '\.'
	} | sql_file "$1" postgres
	sql "$1" "CREATE TABLE made$CHURN_N AS SELECT g AS id, md5(g::text) AS v
		FROM generate_series(1, $((RANDOM % 4000 + 10))) g"
}
churn_recreate() {
	sql "$1" "DROP TABLE reborn"
	sql "$1" "CREATE TABLE reborn (id int, v text);
		INSERT INTO reborn SELECT g, 'r$RANDOM' FROM generate_series(1, 800) g"
}
churn_index() {
	sql "$1" "CREATE INDEX i$CHURN_N ON rows (n, id)"
	[ $((RANDOM % 2)) = 0 ] || sql "$1" "CREATE INDEX CONCURRENTLY c$CHURN_N ON docs ((d ->> 'v'))"
	[ $((RANDOM % 2)) = 0 ] || sql "$1" "DROP INDEX i$CHURN_N"
}
churn_reindex() { sql "$1" "REINDEX TABLE $(shuf -n 1 -e rows docs --random-source=<(yes $RANDOM))"; }
churn_truncate() {
	sql "$1" "BEGIN; TRUNCATE reborn; INSERT INTO reborn SELECT g, 'x' FROM generate_series(1, 300) g;
		TRUNCATE reborn; INSERT INTO reborn SELECT g, 'y' FROM generate_series(1, 200) g; COMMIT"
}
churn_cluster() { sql "$1" "CLUSTER rows USING rows_pkey"; }
churn_full() { sql "$1" "VACUUM FULL docs"; }
churn_full_catalog() { sql "$1" "VACUUM FULL $(shuf -n 1 -e pg_class pg_attribute pg_depend pg_database --random-source=<(yes $RANDOM))"; }
churn_unlogged() {
	sql "$1" "ALTER TABLE switched SET UNLOGGED"
	sql "$1" "INSERT INTO switched SELECT g, 's' FROM generate_series(1, 500) g ON CONFLICT (id) DO UPDATE SET v = 'again'"
	[ $((RANDOM % 2)) = 0 ] || sql "$1" "CHECKPOINT"
	sql "$1" "ALTER TABLE switched SET LOGGED"
	sql "$1" "UPDATE switched SET v = 'z' WHERE id % 9 = 0"
}
churn_sequence() {
	sql "$1" "SELECT max(nextval('counter')) FROM generate_series(1, $((RANDOM % 200)))" >/dev/null
	sql "$1" "ALTER SEQUENCE counter INCREMENT $((RANDOM % 3 + 1))"
	sql "$1" "CREATE SEQUENCE s$CHURN_N"
}
churn_file_copy() {
	local strategy=''
	[ "${MAJOR[$1]}" -lt 15 ] || strategy='STRATEGY file_copy'
	sql "$1" "CREATE DATABASE copied$CHURN_N TEMPLATE other $strategy"
	sql "$1" "INSERT INTO o SELECT generate_series(1, 500)" "copied$CHURN_N"
}
churn_wal_log() {
	local strategy=''
	[ "${MAJOR[$1]}" -lt 15 ] || strategy='STRATEGY wal_log'
	sql "$1" "CREATE DATABASE logged$CHURN_N TEMPLATE other $strategy"
	sql "$1" "DELETE FROM o WHERE id % 3 = 0" "logged$CHURN_N"
}
churn_drop_db() {
	local db
	db=$(sql "$1" "SELECT datname FROM pg_database WHERE datname ~ '^(copied|logged)' ORDER BY oid LIMIT 1")
	[ -z "$db" ] || sql "$1" "DROP DATABASE $db"
}
# The same files under the same names, copied without a word about their blocks.
churn_same_oid() {
	[ "${MAJOR[$1]}" -ge 15 ] || return 0
	sql "$1" "DROP DATABASE IF EXISTS same"
	sql "$1" "CREATE DATABASE same OID 900000 TEMPLATE other STRATEGY file_copy"
	[ $((RANDOM % 2)) = 0 ] || sql "$1" "UPDATE o SET id = -id WHERE id < 100" same
}
churn_tablespace() {
	as_user mkdir "$T/$1.ts_$CHURN_N"
	sql "$1" "CREATE TABLESPACE ts_$CHURN_N LOCATION '$T/$1.ts_$CHURN_N'"
	sql "$1" "CREATE TABLE in_ts$CHURN_N TABLESPACE ts_$CHURN_N AS SELECT g AS id FROM generate_series(1, 2000) g"
}
churn_move_table() {
	local where
	where=$(sql "$1" "SELECT CASE WHEN reltablespace = 0 THEN 'ts1' ELSE 'pg_default' END
		FROM pg_class WHERE relname = 'moved'")
	sql "$1" "INSERT INTO moved SELECT g, 'm' FROM generate_series(1, 700) g"
	sql "$1" "ALTER TABLE moved SET TABLESPACE $where"
}
churn_move_db() {
	local where
	where=$(sql "$1" "SELECT CASE WHEN spcname = 'ts1' THEN 'pg_default' ELSE 'ts1' END
		FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE datname = 'moving'")
	# Few pages, so that what was changed at one place is old at the other.
	sql "$1" "UPDATE m SET id = -id WHERE id BETWEEN $((RANDOM % 4000)) AND $((RANDOM % 4000))" moving
	sql "$1" "ALTER DATABASE moving SET TABLESPACE $where"
}
churn_prepared() {
	sql "$1" "BEGIN; CREATE TABLE prep$CHURN_N AS SELECT g AS id FROM generate_series(1, 500) g;
		DROP TABLE reborn; PREPARE TRANSACTION 'p$CHURN_N'"
	if [ $((RANDOM % 2)) = 0 ]; then
		sql "$1" "COMMIT PREPARED 'p$CHURN_N'"
		sql "$1" "CREATE TABLE reborn (id int, v text)"
	else
		sql "$1" "ROLLBACK PREPARED 'p$CHURN_N'"
	fi
}
churn_rolled_back() {
	sql "$1" "BEGIN; CREATE TABLE never AS SELECT g AS id FROM generate_series(1, 500) g;
		SAVEPOINT a; CREATE TABLE never2 AS SELECT g AS id FROM generate_series(1, 500) g;
		ROLLBACK TO a; DROP TABLE tail; ROLLBACK"
	sql "$1" "BEGIN; SAVEPOINT b; CREATE TABLE n$CHURN_N (i int); INSERT INTO n$CHURN_N VALUES (1);
		ROLLBACK TO b; UPDATE rows SET n = 0 WHERE id < 50; COMMIT"
}
churn_toast() { sql "$1" "UPDATE wide SET b = repeat(md5(random()::text), 150) WHERE id % 8 = $((RANDOM % 8))"; }
churn_analyze() {
	sql "$1" "ANALYZE"
	sql "$1" "SELECT count(*) FROM rows" >/dev/null
	sql "$1" "VACUUM rows"
}
churn_checkpoint() { sql "$1" "CHECKPOINT"; }
