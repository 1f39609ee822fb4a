#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A restored cluster does not archive into its source's repository, unless told
# to; restore's last line says so and how to change it (T102).
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src "$MAIN" --wal-segsize=1
sql src "CREATE TABLE t AS SELECT 1 AS n"
take_backup
archive_now src
before=$(find "$REPO/clusters" -path '*/wal/*' -type f | sort)

restored new "$MAIN"
assert_match "$(printf '%s\n%s\n' "$ERR" "$OUT" | grep . | tail -n 3)" 'archiv' "restore's last lines"
sql new "INSERT INTO t VALUES (2)"
sql new "SELECT pg_switch_wal()" >/dev/null
sql new "INSERT INTO t VALUES (3)"
sql new "SELECT pg_switch_wal()" >/dev/null
assert_ne "$(sql new 'SHOW archive_mode')" always "archive_mode"
pg_stop new
assert_eq "$(find "$REPO/clusters" -path '*/wal/*' -type f | sort)" "$before" \
	"WAL in the repository after the clone wrote some"
note "also after a plain restart by hand"
pg_start new "unix_socket_directories="
SOCK[new]=
sql new "SELECT pg_switch_wal()" >/dev/null
pg_stop new
assert_eq "$(find "$REPO/clusters" -path '*/wal/*' -type f | sort)" "$before" \
	"WAL in the repository after a restart"
drop new

note "check and the source itself are not disturbed"
expect 0 dapk check

note "told to, it archives on a timeline of its own"
pg_stop src
restored new "$MAIN" --keep-archiving
sql new "INSERT INTO t VALUES (2)"
archive_now new
wait_for 30 "the history file" eval '[ -n "$(stored_wal 00000002.history)" ]'
[ -n "$(find "$REPO/clusters" -path '*/wal/00000002/*')" ] || fail "no WAL of timeline 2"
drop new

note "and its rows are in the next restore"
restored again "$MAIN"
assert_eq "$(sql again 'SELECT count(*) FROM t')" 2 "rows"
pg_stop again

note "archiving that was turned on later leads to nothing: check says so, a backup mends it"
rm -rf "${T:?}/src"
restored late "$MAIN"
sql late "INSERT INTO t VALUES (3)"
sql late "SELECT pg_switch_wal()" >/dev/null
pg_stop late
mv "$T/late" "$T/src"
as_user sed -i '/^archive_mode/d' "$T/src/postgresql.auto.conf"
pg_start src
expect 1,2,3,4,5 dapk check
assert_contains "$OUT$ERR" 'dapk-backup backup' "what to type"
take_backup
expect 0 dapk check
