#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# restore --standby makes a server that follows the archive, streams when it is
# told its primary, survives an outage of the repository, and is promoted by
# its administrator (T1: lenient on a standby).
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src "$MAIN" --wal-segsize=1
sql src "CREATE TABLE t AS SELECT 1 AS n"
take_backup
sql src "INSERT INTO t VALUES (2)"
archive_now src
count_is() { [ "$(sql "$1" 'SELECT count(*) FROM t')" = "$2" ]; }

note "from the archive alone"
restored standby "$MAIN" --standby
assert_eq "$(sql standby 'SELECT pg_is_in_recovery()')" t "in recovery"
[ -f "$T/standby/standby.signal" ] || fail "no standby.signal"
[ ! -f "$T/standby/recovery.signal" ] || fail "recovery.signal beside standby.signal"
wait_for 30 "the second row" count_is standby 2
sql src "INSERT INTO t VALUES (3)"
archive_now src
wait_for 60 "what is archived later" count_is standby 3

note "the repository goes away: the standby stays up and goes on when it is back"
mv "$REPO" "$REPO.away"
wait_for 60 "a failed attempt" grep -q 'dapk-backup' "$T/standby/"*log* "$T/standby/log/"* "$T/standby.log" /dev/null
pg_running "$T/standby" || fail "the standby died with the repository"
mv "$REPO.away" "$REPO"
sql src "INSERT INTO t VALUES (4)"
archive_now src
wait_for 60 "the fourth row" count_is standby 4
assert_eq "$(sql standby 'SELECT pg_is_in_recovery()')" t "still a standby"
drop standby

note "streaming"
restored standby "$MAIN" --standby \
	--primary-conninfo "host=$T/src.sock port=${PORT[src]} user=postgres application_name=follower"
sql src "INSERT INTO t VALUES (5)" # not archived
wait_for 60 "a row that only streaming brings" count_is standby 5
assert_eq "$(sql src "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'follower'")" 1 \
	"walsenders"
sql standby "SELECT pg_promote()" >/dev/null
wait_for 30 "the promotion" sql_true standby "SELECT NOT pg_is_in_recovery()"
sql standby "INSERT INTO t VALUES (6)"
assert_eq "$(sql standby 'SELECT count(*) FROM t')" 6 "rows after the promotion"
assert_eq "$(sql src 'SELECT count(*) FROM t')" 5 "rows of the primary"

note "what does not go together"
expect 2 dapk restore -D "$T/new" --standby --target-time '2026-01-01 00:00:00+00'
assert_clear_error 'standby'
expect 2 dapk restore -D "$T/new" --primary-conninfo 'host=x'
assert_clear_error 'standby'
[ ! -e "$T/new" ] || fail "a usage error made the directory"
