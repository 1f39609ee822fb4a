#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# PostgreSQL itself fails when no commit comes after a target time. On a server
# that was idle in the evening "at 22:00" must work all the same, when WAL that
# proves a later point is there.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src "$MAIN" --wal-segsize=1
sql src "CREATE TABLE t AS SELECT 1 AS n"
take_backup
sql src "INSERT INTO t VALUES (2)"
sleep 1.1
evening=$(sql src "SELECT clock_timestamp()")
sleep 1.1

note "a checkpoint follows"
sql src "CHECKPOINT"
archive_now src
restored new "$MAIN" --target-time "$evening"
assert_eq "$(sql new 'SELECT count(*) FROM t')" 2 "rows at an idle time"
assert_eq "$(sql new 'SELECT pg_is_in_recovery()')" f "promoted"
drop new
expect 0 dapk restore -D "$T/new" --target-time "$evening" --dry-run

note "a restore point follows"
sleep 1.1
later=$(sql src "SELECT clock_timestamp()")
sleep 1.1
sql src "SELECT pg_create_restore_point('night')" >/dev/null
archive_now src
restored new "$MAIN" --target-time "$later" --action pause
assert_eq "$(sql new 'SELECT count(*) FROM t')" 2 "rows at a later idle time"
drop new

note "a backup follows, with nothing between"
sleep 1.1
later=$(sql src "SELECT clock_timestamp()")
sleep 1.1
take_backup
restored new "$MAIN" --target-time "$later"
assert_eq "$(sql new 'SELECT count(*) FROM t')" 2 "rows before the second backup"
drop new

note "nothing proves a later point: refused, with the last that is proved"
sleep 1.1
later=$(sql src "SELECT clock_timestamp()")
assert_refused "$T/new" 'after|last|reach|later|archive' --target-time "$later"
assert_hint
