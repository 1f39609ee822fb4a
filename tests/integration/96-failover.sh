#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Two hosts, one cluster, one repository, as Patroni and its kin run it: each
# host has a configuration and a state directory of its own and archives when
# it is the primary. A switchover while a backup runs, and a failover in which
# a commit is lost; then one can recover to before, between and after them.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository a "$MAIN" --wal-segsize=1
on() { # HOST OPTION...
	local conf=$T/$1.conf
	shift
	as_user "$BIN" --config "$conf" "$@"
}
host_conf() { # HOST SOCKET
	sed "s|^state-directory = .*|state-directory = $T/state.$1|
		s|^pgdata = .*|pgdata = $T/$1|
		s|^conninfo = .*|conninfo = host=$2 port=${PORT[$1]} user=postgres dbname=postgres|" \
		"$CONF" >"$T/$1.conf"
}
host_conf a "$T/a.sock"
add() { sql "$1" "INSERT INTO t VALUES ('$2')" >/dev/null; }
rows() { sql "$1" "SELECT string_agg(v, ' ' ORDER BY n) FROM t"; }
rows_are() { [ "$(rows "$1")" = "$2" ]; }
lsn() { sql "$1" 'SELECT pg_current_wal_insert_lsn()'; }
promoted() { sql_true "$1" 'SELECT NOT pg_is_in_recovery()'; }
follow() { # HOST PRIMARY: what Patroni writes
	sql "$1" "ALTER SYSTEM SET primary_conninfo = 'host=${SOCK[$2]} port=${PORT[$2]} user=postgres'" >/dev/null
}
archive_to() { # HOST: its own configuration, for the time when it is the primary
	sql "$1" "ALTER SYSTEM SET archive_command = '$BIN --config $T/$1.conf archive-push %p'" >/dev/null
	sql "$1" "ALTER SYSTEM SET restore_command = '$BIN --config $T/$1.conf archive-get %f \"%p\"'" >/dev/null
	pg_reload "$1"
}
stored() { [ -n "$(find "$REPO/clusters" -path '*/wal/*' -name "$1")" ]; }

note "host a is the primary, host b comes out of the repository as its standby"
sql a "CREATE TABLE t (v text, n serial)"
add a a1
expect 0 on a backup
restored b "$MAIN" --standby --keep-archiving \
	--primary-conninfo "host=$T/a.sock port=${PORT[a]} user=postgres"
host_conf b "${SOCK[b]}"
archive_to a
archive_to b
wait_for 30 "the standby" rows_are b a1
before=$(lsn a)
add a a2
sql a "CREATE TABLE fill AS SELECT g, repeat(md5(g::text), 40) FROM generate_series(1, 20000) g" >/dev/null
wait_for 30 "the standby" rows_are b 'a1 a2'

note "a switchover while a backup runs: it fails, and leaves nothing that looks like one"
commits=$(find "$REPO/clusters" -path '*/backups/*/commit' | wc -l)
"${AS_USER[@]}" "$BIN" --config "$T/a.conf" backup --full --max-rate 16MB >"$T/switched.out" 2>"$T/switched.log" &
pid=$!
wait_for 20 "packs" eval '[ "$(find "$REPO/clusters" -name "pack-*" | wc -l)" -gt 6 ] || grep -q "starts at" "$T/switched.log"'
pg_stop a
exited "$pid"
assert_eq "$RC" 4 "exit code of the backup that lost its server"
assert_eq "$(find "$REPO/clusters" -path '*/backups/*/commit' | wc -l)" "$commits" "backups"
sql b 'SELECT pg_promote()' >/dev/null
wait_for 30 "the promotion of b" promoted b
add b b1
archive_now b
wait_for 30 "the history of timeline 2" stored '00000002.history-*'

note "the next backup, of the new primary, is whole; the old one follows it"
expect 0 on b backup
assert_eq "$(jq -r .timeline < <(commit_of "$(newest_label)"))" 2 "its timeline"
between=$(lsn b)
add b b2
as_user touch "$T/a/standby.signal"
pg_start a
follow a b
pg_reload a
wait_for 30 "the old primary to follow" rows_are a 'a1 a2 b1 b2'
expect 0 on b check --archive-timeout 30s

note "a failover: the primary dies with a commit that nobody else has"
archive_now b
add b b3
wait_for 30 "a to have all" sql_true a "SELECT pg_last_wal_replay_lsn() >= '$(sql b 'SELECT pg_current_wal_flush_lsn()')'"
sql a "ALTER SYSTEM SET primary_conninfo = ''" >/dev/null
pg_reload a
wait_for 30 "the end of streaming" sql_true b 'SELECT count(*) = 0 FROM pg_stat_replication'
add b lost
pg_kill b
sql a 'SELECT pg_promote()' >/dev/null
wait_for 30 "the promotion of a" promoted a
add a a3
archive_now a
wait_for 30 "the history of timeline 3" stored '00000003.history-*'
stored '00000001*.partial-*' || fail "no .partial of timeline 1"
stored '00000002*.partial-*' || fail "no .partial of timeline 2"

note "the dead primary comes back by a delta restore, without the lost commit"
expect 0 on b restore -D "$T/b" --delta --force --standby --keep-archiving \
	--primary-conninfo "host=$T/a.sock port=${PORT[a]} user=postgres"
pg_start b
SOCK[b]=$(sed -n 5p "$T/b/postmaster.pid")
wait_for 30 "b to follow a" rows_are b 'a1 a2 b1 b2 b3 a3'
expect 0 on a backup
assert_eq "$(jq -r .timeline < <(commit_of "$(newest_label)"))" 3 "its timeline"

note "no conflicts, no gaps; before, between and after"
add a a4
archive_now a
expect 0 on a verify --quick
expect 0 on a info
assert_lacks "$OUT" CONFLICT info
assert_lacks "$OUT" GAP info
cp "$T/a.conf" "$CONF"
restored check "$MAIN" --target-lsn "$before" --timeline 1
assert_eq "$(rows check)" a1 "before both"
drop check
restored check "$MAIN" --target-lsn "$between" --timeline 2
assert_eq "$(rows check)" 'a1 a2 b1' "between both"
drop check
restored check "$MAIN"
assert_eq "$(rows check)" 'a1 a2 b1 b2 b3 a3 a4' "after both"
