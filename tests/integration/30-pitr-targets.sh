#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Every kind of target brings back exactly what the source was there: time
# (between commits, exactly at one, exclusive), transaction, LSN, restore point,
# end of the backup, end of the archive; and each action at the target.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src
bench_init src 2
sql src "CREATE EXTENSION amcheck; CREATE TABLE marker (n int, at timestamptz DEFAULT clock_timestamp())"
bench_start src 3
take_backup
bench_stop
mark() { # N: a commit of its own; leaves XID and its commit time AT
	XID=$(sql src "WITH i AS (INSERT INTO marker VALUES ($1) RETURNING 1) SELECT pg_current_xact_id() FROM i")
	AT=$(sql src "SELECT pg_xact_commit_timestamp('$XID'::xid)")
}
markers() { sql "$1" "SELECT coalesce(string_agg(n::text, ' ' ORDER BY n), '') FROM marker"; }

bench_for src 500
mark 1; xid1=$XID at1=$AT
mark 2; xid2=$XID at2=$AT
mark 3; xid3=$XID
# Nothing is written between here and the next lines: all of the targets
# below are the same state, of which this is the dump.
dump_db src "$T/then.dump"
then_time=$(sql src "SELECT clock_timestamp()")
then_lsn=$(sql src "SELECT pg_current_wal_insert_lsn()")
then_name='before the accident'
sql src "SELECT pg_create_restore_point('$then_name')" >/dev/null
sleep 0.01 # so that the next commit has a later time than the target
mark 4
bench_start src 3
sql src "DELETE FROM marker WHERE n <= 3"
bench_stop
mark 5
dump_db src "$T/end.dump"
archive_now src
wait_for 20 "the WAL's end" sql_true src "SELECT pg_current_wal_lsn() > '$then_lsn'"

same_as_then() { # NAME
	dump_db "$1" "$T/new.dump"
	assert_same_dump "$T/then.dump" "$T/new.dump"
	assert_bench_invariant "$1"
}
full_check() { # NAME: stops it
	assert_amcheck "$1"
	pg_stop "$1"
	assert_checksums "$1"
	drop "$1"
}

note "time, LSN, transaction, restore point: the same state"
restored new "$MAIN" --target-time "$then_time"
same_as_then new
assert_eq "$(sql new 'SELECT timeline_id FROM pg_control_checkpoint()')" 2 "timeline after promotion"
assert_match "$OUT$ERR" 'timeline 2' "what restore says was reached"
full_check new
restored new "$MAIN" --target-lsn "$then_lsn"
same_as_then new
drop new
restored new "$MAIN" --target-xid "$xid3"
same_as_then new
drop new
restored new "$MAIN" --target-name "$then_name"
same_as_then new
full_check new

note "another time zone says the same time"
restored new "$MAIN" --target-time "$(date -u -d "$then_time" '+%Y-%m-%d %H:%M:%S.%6N+00')"
same_as_then new
drop new
offset=$(TZ=Asia/Kolkata date -d "$then_time" '+%Y-%m-%d %H:%M:%S.%6N%:z')
assert_contains "$offset" '+05:30'
restored new "$MAIN" --target-time "$offset"
same_as_then new
drop new

note "exactly at a commit's time: with it, or without it (exclusive)"
restored new "$MAIN" --target-time "$at2"
assert_eq "$(markers new)" '1 2' "markers at the second's time"
drop new
restored new "$MAIN" --target-time "$at2" --exclusive
assert_eq "$(markers new)" '1' "markers just before the second"
drop new
restored new "$MAIN" --target-xid "$xid2"
assert_eq "$(markers new)" '1 2' "markers with the second transaction"
drop new
restored new "$MAIN" --target-xid "$xid2" --exclusive
assert_eq "$(markers new)" '1' "markers without the second transaction"
drop new
restored new "$MAIN" --target-time "$at1" --exclusive
assert_eq "$(markers new)" '' "markers before the first"
assert_bench_invariant new
drop new

note "the backup's end, the archive's end"
restored new "$MAIN" --target immediate
assert_eq "$(markers new)" '' "markers at the backup's end"
assert_bench_invariant new
full_check new
for option in '' '--target latest'; do
	# shellcheck disable=SC2086
	restored new "$MAIN" $option
	assert_eq "$(markers new)" '4 5' "markers at the archive's end"
	dump_db new "$T/new.dump"
	assert_same_dump "$T/end.dump" "$T/new.dump"
	full_check new
done

note "pause: readable, in recovery, resumable"
restored new "$MAIN" --target-name "$then_name" --action pause
assert_eq "$(sql new 'SELECT pg_is_in_recovery()')" t "in recovery"
paused="pg_get_wal_replay_pause_state() = 'paused'"
[ "$MAIN" != 13 ] || paused='pg_is_wal_replay_paused()'
wait_for 10 "the pause" sql_true new "SELECT $paused"
same_as_then new
sql new "SELECT pg_wal_replay_resume()" >/dev/null
wait_for 30 "the promotion" sql_true new "SELECT NOT pg_is_in_recovery()"
same_as_then new
drop new

note "shutdown: stops at the target"
free_port
expect 0 dapk restore -D "$T/new" --target-time "$then_time" --action shutdown \
	--start --port "$FREE_PORT"
wait_for 20 "the server's end" eval '! pg_running "$T/new"'
state=$("$(program_for "$MAIN" pg_controldata)" -D "$T/new" | sed -n 's/^Database cluster state: *//p')
assert_eq "$state" 'shut down in recovery' "the cluster's state"
drop new

note "without --start: the administrator starts it"
expect 0 dapk restore -D "$T/new" --target-time "$then_time"
! pg_running "$T/new" || fail "restore without --start started a server"
[ -f "$T/new/recovery.signal" ] || fail "no recovery.signal"
free_port
pg_adopt new "$FREE_PORT" "$MAIN"
pg_start new "unix_socket_directories="
wait_for 30 "the promotion" sql_true new "SELECT NOT pg_is_in_recovery()"
same_as_then new
drop new

note "a dry run proves and writes nothing"
expect 0 dapk restore -D "$T/new" --target-time "$then_time" --dry-run
assert_contains "$OUT$ERR" "${LABEL:0:16}" "the proof"
[ ! -e "$T/new" ] || fail "a dry run made the directory"
