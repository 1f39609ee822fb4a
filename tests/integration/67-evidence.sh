#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A backup that reads only what WAL says has changed is the same as one that
# reads everything: after a random history of everything that changes files,
# its pages are those of the data directory, and recovered to one point both
# kinds have equal pages and an equal dump, sound indexes and visibility maps.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/churn.sh
. "$(dirname "$0")/../lib/churn.sh"

SEED=${DAPK_TEST_SEED:-$RANDOM}
ROUNDS=${DAPK_TEST_ROUNDS:-2}
note "seed $SEED"

read_of() { tail -n +2 "$(backup_dir "$1")/commit" | jq -r .read; } # LABEL

changes_backup() { # what it says it read from
	take_backup
	assert_eq "$(read_of "$LABEL")" changes "what the backup read ($ERR)"
	assert_match "$ERR" "$1" "the source of evidence"
	note "$(grep -o 'WAL since.*' <<<"$ERR")"
}

assert_same_pages() { # DIR DIR WHAT
	run python3 "$TEST_TOP/tests/lib/pages.py" compare "$1" "$2"
	[ "$RC" = 0 ] || fail "$3: $OUT $ERR"
	note "$3: $OUT"
}

# Tablespaces of a copy lie beside it.
maps() { # NAME: sets MAP
	local oid path
	MAP=()
	while IFS='|' read -r oid path; do
		MAP+=(-T "$path=$T/$1.ts/$oid")
	done < <(sql src "SELECT oid, pg_tablespace_location(oid) FROM pg_tablespace
		WHERE pg_tablespace_location(oid) <> ''")
}

# Nothing writes: what was restored, without a record replayed, is what is there.
assert_restores_truth() { # LABEL
	maps copy
	expect 0 dapk restore -D "$T/copy" --backup "$1" --target immediate "${MAP[@]}"
	assert_same_pages "$T/src" "$T/copy" "backup and data directory"
	rm -rf "$T/copy" "$T/copy.ts"
}

databases() { sql "$1" "SELECT datname FROM pg_database WHERE datallowconn AND datname <> 'template1' ORDER BY 1"; }

assert_visibility() { # NAME
	local db bad
	for db in $(databases "$1"); do
		sql "$1" "CREATE EXTENSION IF NOT EXISTS pg_visibility" "$db"
		bad=$(sql "$1" "SELECT oid::regclass, f FROM pg_class, LATERAL (
				SELECT 'visible' AS f FROM pg_check_visible(oid) UNION ALL
				SELECT 'frozen' FROM pg_check_frozen(oid)) c
			WHERE relkind IN ('r', 'm', 't') AND relpersistence = 'p'" "$db")
		assert_eq "$bad" "" "rows that the visibility map of $db in $1 is wrong about"
	done
}

pg_new src
pg_conf src "max_prepared_transactions = 5" "max_wal_size = 256MB" "autovacuum = off"
[ "$MAIN" -lt 17 ] || pg_conf src "summarize_wal = on"
write_conf src
dapk init >"$T/init.out"
pg_start src
churn_init src
bench_init src 2
take_backup
assert_eq "$(read_of "$LABEL")" all "what the first backup read"

note "at rest, twice, the second on top of the first"
churn src "$SEED" "$ROUNDS"
sql src "CHECKPOINT"
source='segments'
[ "$MAIN" -lt 17 ] || source='[1-9][0-9]* summaries'
changes_backup "$source"
assert_restores_truth "$LABEL"
churn src $((SEED + 1)) 1
# From here on WAL itself, some of it only in the repository any more.
[ "$MAIN" -lt 17 ] || {
	pg_conf src "summarize_wal = off"
	pg_reload src
}
archive_now src
archive_now src
sql src "CHECKPOINT"
changes_backup '[1-9][0-9]* segments'
assert_restores_truth "$LABEL"

note "nothing changed"
changes_backup 'segments'
assert_restores_truth "$LABEL"

note "under load, after a crash"
bench_for src 300
pg_kill src
pg_start src
sql src "VACUUM (FREEZE) pgbench_accounts"
bench_start src 2
changes_backup 'segments'
by_changes=$LABEL
take_backup --full
by_all=$LABEL
bench_stop
assert_eq "$(read_of "$LABEL")" all "what --full read"
# A tablespace made now would be made at the same place by both recoveries.
mapfile -t CHURN_OPS < <(printf '%s\n' "${CHURN_OPS[@]}" | grep -v tablespace)
churn src $((SEED + 2)) 1
# A sequence's page on disk may be behind what was logged of it.
sql src "DO \$\$ DECLARE s regclass; BEGIN
	FOR s IN SELECT oid FROM pg_class WHERE relkind = 'S' LOOP PERFORM nextval(s); END LOOP; END \$\$"
sql src "SELECT pg_create_restore_point('here')" >/dev/null
archive_now src
pg_stop src immediate

for name in changes all; do
	label=by_$name
	MAP=()
	for ts in "$T"/src.ts*; do MAP+=(-T "$ts=$T/$name.${ts##*/}"); done
	restored "$name" "$MAIN" --backup "${!label}" --target-name here --action pause "${MAP[@]}"
	pg_stop "$name"
done
assert_same_pages "$T/changes" "$T/all" "recovered to one point"
for name in changes all; do
	pg_start "$name" "unix_socket_directories=$T/$name"
	sql "$name" "SELECT pg_promote()" >/dev/null
	wait_for 60 "the promotion of $name" sql_true "$name" "SELECT NOT pg_is_in_recovery()"
	assert_visibility "$name"
	assert_bench_invariant "$name"
	for db in $(databases "$name"); do
		dump_db "$name" "$T/$name.$db.dump" "$db"
		assert_amcheck "$name" "$db"
	done
done
for db in $(databases all); do
	assert_same_dump "$T/changes.$db.dump" "$T/all.$db.dump"
done
