#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A tablespace that was created after the backup: recovery makes it where its
# WAL record says and removes what is there, which on the source's own host is
# the source's. That is refused before anything is written.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

as_user mkdir "$T/ts1" "$T/ts2"
pg_with_repository src
sql src "CREATE TABLESPACE one LOCATION '$T/ts1'"
take_backup
sql src "SELECT pg_create_restore_point('before')" >/dev/null
sql src "CREATE TABLESPACE two LOCATION '$T/ts2'"
sql src "CREATE TABLE in_two TABLESPACE two AS SELECT generate_series(1, 20000) AS n"
sql src "CHECKPOINT"
archive_now src
before=$(tree_sum "$T/ts2")

note "while the source runs"
assert_refused "$T/new" "ts2.* runs on $T/src" -T "$T/ts1=$T/moved"
assert_hint exclusive
assert_eq "$(tree_sum "$T/ts2")" "$before" "the live tablespace"
note "up to before it was created nothing is in the way"
restored new "$MAIN" -T "$T/ts1=$T/moved" --target-name before
pg_stop new
note "a delta of a copy is refused as well"
assert_refused "$T/new" "ts2" --delta -T "$T/ts1=$T/moved"
rm -rf "$T/new" "$T/moved"

note "while it is stopped"
pg_stop src
before=$(tree_sum "$T/ts2")
assert_refused "$T/new" 'would remove' -T "$T/ts1=$T/moved"
assert_eq "$(tree_sum "$T/ts2")" "$before" "the source's tablespace"

note "over the source itself, whose own it is"
restored src "$MAIN" --delta
assert_eq "$(sql src 'SELECT count(*) FROM in_two')" 20000 "rows"
pg_stop src

note "with the place free"
rm -rf "$T/src" "$T/ts2"
expect 0 dapk restore -D "$T/new" -T "$T/ts1=$T/moved" --dry-run
assert_match "$OUT" "note .*tablespace in $T/ts2"
as_user mkdir "$T/ts2"
restored new "$MAIN" -T "$T/ts1=$T/moved"
assert_eq "$(sql new 'SELECT count(*) FROM in_two')" 20000 "rows"
