#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# What others than this program can check and use: a restored directory
# carries a backup_manifest that pg_verifybackup accepts.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

ts="$T/ts one = \"dir\""
as_user mkdir "$ts"
pg_with_repository src
cat >"$T/src.sql" <<END
CREATE TABLESPACE one LOCATION '$ts';
CREATE TABLE in_one TABLESPACE one AS SELECT n, md5(n::text) FROM generate_series(1, 20000) n;
CREATE TABLE here AS SELECT n, md5(n::text) FROM generate_series(1, 50000) n;
CREATE UNLOGGED TABLE fast (n int) TABLESPACE one;
END
sql_file src postgres <"$T/src.sql"
sql src "ALTER SYSTEM SET maintenance_work_mem = '33MB'"
odd=$'od"d \xff'
as_user bash -c 'echo odd >"$1"' - "$T/src/base/$odd"
take_backup

verifybackup() { # DIR [option...]
	local dir=$1 prog=$CLIENTS/pg_verifybackup
	shift
	[ "$MAIN" = 15 ] || prog=$(program_for "$MAIN" pg_verifybackup)
	run as_user "$prog" -n "$@" "$dir"
}

note "pg_verifybackup of a restored directory, before its server is started"
expect 0 dapk restore -D "$T/new" -T "${ts//=/\\=}=$T/moved"
verifybackup "$T/new"
[ "$RC" = 0 ] || fail "pg_verifybackup: $OUT $ERR"
[ -f "$T/new/base/$odd" ] || fail "a file with an odd name is not there"

note "and it does look: a changed page and a file too many"
as_user cp "$T/new/global/1262" "$T/1262"
printf x | as_user dd of="$T/new/global/1262" bs=1 seek=100 conv=notrunc status=none
verifybackup "$T/new"
assert_eq "$RC" 1 "exit code of pg_verifybackup"
assert_contains "$ERR" global/1262 "its message"
as_user cp "$T/1262" "$T/new/global/1262"
as_user touch "$T/moved/extra"
verifybackup "$T/new"
assert_contains "$ERR" extra "its message"
