#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A backup of a standby (T55): its WAL comes through the primary's archive,
# the list of hosts decides who is asked, and a promotion ends it.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src "$MAIN" --wal-segsize=1
bench_init src 4
sql src "CREATE UNLOGGED TABLE u AS SELECT 1 AS n"
take_backup
restored standby "$MAIN" --standby \
	--primary-conninfo "host=$T/src.sock port=${PORT[src]} user=postgres"
conf_for() { # HOST[,HOST...] PORT[,PORT...]
	sed -i "s|^pgdata = .*|pgdata = $T/standby|
		s|^conninfo = .*|conninfo = host=$1 port=$2 user=postgres dbname=postgres|" "$CONF"
}
both() { conf_for "$T/src.sock,${SOCK[standby]}" "${PORT[src]},${PORT[standby]}"; }
replayed() { # up to what the primary has written now
	local lsn
	lsn=$(sql src "SELECT pg_current_wal_flush_lsn()")
	wait_for 60 "replay up to $lsn" sql_true standby \
		"SELECT pg_last_wal_replay_lsn() >= '$lsn'"
}
commit_has() { grep -q "\"$1\": $2" "$(backup_dir "$LABEL")/commit" || fail "commit lacks $1 $2"; }

note "from the standby, under load on the primary"
both
bench_start src
replayed
take_backup --backup-from=standby
assert_match "$ERR" 'standby that has replayed'
commit_has from_standby true
bench_stop

note "the backup begins and ends where the standby is, and needs no later WAL"
restored one "$MAIN" --backup "$LABEL" --target immediate --action promote
assert_bench_invariant one
assert_amcheck one
assert_eq "$(sql one 'SELECT count(*) FROM u')" 0 "rows of an unlogged table"
drop one

note "and leads to what the primary is later"
bench_for src 200
sql src "TRUNCATE u" # unlogged: empty in every restored cluster
archive_now src
restored two "$MAIN" --backup "$LABEL" --target latest
dump_db src "$T/src.dump"
dump_db two "$T/two.dump"
assert_same_dump "$T/src.dump" "$T/two.dump"
pg_stop two
assert_checksums two
drop two

note "an idle primary: it is told to finish the segment"
replayed
take_backup
assert_match "$ERR" 'standby that has replayed'
commit_has from_standby true

note "roles: the data directory here is the standby's"
expect 1,2,4 dapk backup --backup-from=primary
assert_clear_error 'none of the servers that may be used runs on a data directory'
take_backup --backup-from=prefer-standby
conf_for "$T/src.sock" "${PORT[src]}"
expect 1,2,4 dapk backup --backup-from=standby
assert_clear_error 'is the primary'
assert_hint 'prefer-standby'

note "a host that is down and a foreign one"
conf_for "$T/none.sock,${SOCK[standby]},$T/src.sock" "5432,${PORT[standby]},${PORT[src]}"
take_backup
assert_match "$ERR" 'none.sock:5432 is not used'
pg_new other
pg_start other archive_mode=off
conf_for "${SOCK[standby]},$T/other.sock" "${PORT[standby]},${PORT[other]}"
expect 1,2,4 dapk backup
assert_clear_error 'different clusters'
drop other

note "no primary in reach: a clear wait, which ends when the primary archives"
conf_for "${SOCK[standby]}" "${PORT[standby]}"
bench_for src 20
replayed
before=$(newest_label)
expect 3,4 dapk backup --archive-timeout=3s
assert_clear_error 'primary, which archives it, is not in reach'
assert_hint 'pg_switch_wal'
assert_eq "$(newest_label)" "$before" "newest backup after one that failed"
dapk backup >"$T/wait.out" 2>"$T/wait.err" &
pid=$!
wait_for 30 "the wait" sql_true standby "SELECT true"
sleep 2
archive_now src
exited "$pid"
assert_eq "$RC" 0 "exit code of the backup that waited: $(cat "$T/wait.err")"

note "full_page_writes off on the primary"
both
sql src "ALTER SYSTEM SET full_page_writes = off"
pg_reload src
wait_for 20 "the setting" sql_true src "SELECT current_setting('full_page_writes') = 'off'"
expect 1,2,4 dapk backup --backup-from=standby
assert_clear_error 'full_page_writes is off'
sql src "ALTER SYSTEM RESET full_page_writes"
pg_reload src
wait_for 20 "the setting" sql_true src "SELECT current_setting('full_page_writes') = 'on'"
backup_works() { # the server itself refuses until a restartpoint with it
	sql src "CHECKPOINT" && replayed && dapk backup
}
wait_for 60 "a backup with full_page_writes again" backup_works

note "promoted in the middle"
bench_for src 50
replayed
before=$(newest_label)
dapk backup --max-rate=4MB >"$T/promote.out" 2>"$T/promote.err" &
pid=$!
wait_for 30 "the start" grep -q 'starts at' "$T/promote.err"
sql standby "SELECT pg_promote()" >/dev/null
exited "$pid"
assert_ne "$RC" 0 "exit code after the promotion"
ERR=$(cat "$T/promote.err")
assert_match "$ERR" 'promoted during the'
assert_eq "$(newest_label)" "$before" "newest backup after the promotion"
