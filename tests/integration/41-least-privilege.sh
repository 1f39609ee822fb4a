#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A role with the rights of docs/database-role.md and no other does the whole
# work, on each major; without one of them the error names what to type.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/dumps.sh
. "$TEST_TOP/tests/lib/dumps.sh"

ROLE_DUMPS='' # given later, by itself

whole_way() { # MAJOR
	local src=src$1 first
	REPO=$T/repo$1 CONF=$T/dapk$1.conf
	dumps_of "$1"
	pg_with_repository "$src" "$1"
	expect 0 dapk check
	assert_lacks "$OUT$ERR" GRANT "what check says"
	take_backup
	first=$LABEL
	sql "$src" "CREATE TABLE kept AS SELECT g AS n FROM generate_series(1, 5000) g"
	take_backup
	[ "$LABEL" != "$first" ] || fail "no second backup"
	assert_lacks "$ERR" GRANT "what backup says"
	may_dump "$src"
	take_dump postgres
	load_dump "$src" "$LABEL" back
	assert_same_db "$src" postgres "$src" back
	expect 0 dapk dump --globals --no-role-passwords
	expect 0 dapk verify
	expect 0 dapk expire --dry-run
	sql_true "$src" "SELECT archived_count > 0 AND failed_count = 0 FROM pg_stat_archiver" ||
		fail "archive-push failed"
	dump_db "$src" "$T/then.dump"
	archive_now "$src"
	pg_stop "$src"
	restored "new$1" "$1" --target latest
	dump_db "new$1" "$T/new.dump"
	assert_same_dump "$T/then.dump" "$T/new.dump"
	drop "new$1"
	note "PostgreSQL $1"
}

for major in ${DAPK_TEST_MAJORS:-13 17 "$MAIN"}; do whole_way "$major"; done
pg_start "src$major"

note "each right is needed, and who lacks it is told what to type"
needs() { # RIGHT COMMAND REGEX: a right as GRANT names it
	sql "src$major" "REVOKE $1 FROM dapk_backup"
	# shellcheck disable=SC2086 # several words
	expect 1,3,4,5 dapk $2
	assert_match "$(tr '\n' ' ' <<<"$OUT$ERR")" "$3" "what $2 says without $1"
	sql "src$major" "GRANT $1 TO dapk_backup"
}
names=('pg_backup_start(text, boolean)' 'pg_backup_stop(boolean)')
[ "$major" -ge 15 ] || names=('pg_start_backup(text, boolean, boolean)' 'pg_stop_backup(boolean, boolean)')
before=$(find "$REPO" -path '*/backups/*/commit' | wc -l)
for f in "${names[@]}" 'pg_switch_wal()' 'pg_create_restore_point(text)'; do
	needs "EXECUTE ON FUNCTION $f" check "GRANT EXECUTE ON FUNCTION ${f%%(*}\("
done
for f in "${names[@]}"; do
	needs "EXECUTE ON FUNCTION $f" backup "hint: in database postgres type: GRANT EXECUTE ON FUNCTION ${f%%(*}\(.* TO dapk_backup;"
done
needs pg_monitor check 'GRANT pg_monitor TO dapk_backup;'
needs pg_monitor backup 'hint: type: GRANT pg_monitor TO dapk_backup;'
assert_eq "$(find "$REPO" -path '*/backups/*/commit' | wc -l)" "$before" "backups of a role without rights"
if [ "$major" -ge 14 ]; then
	needs pg_read_all_data 'dump postgres' 'hint:.* GRANT pg_read_all_data TO dapk_backup;'
fi
sql "src$major" "ALTER TABLE kept ENABLE ROW LEVEL SECURITY"
sql "src$major" "ALTER ROLE dapk_backup NOBYPASSRLS"
expect 4 dapk dump postgres
assert_clear_error 'row-level security'
assert_hint 'ALTER ROLE dapk_backup BYPASSRLS;'
sql "src$major" "ALTER ROLE dapk_backup BYPASSRLS"
take_dump postgres
take_backup

note "large objects: not read by pg_read_all_data, and what helps"
sql "src$major" "SELECT lo_from_bytea(16500, 'first'), lo_from_bytea(16501, 'second')" >/dev/null
sql "src$major" "GRANT SELECT ON LARGE OBJECT 16500 TO dapk_backup"
with=$(dump_commits)
expect 4 dapk dump postgres
assert_clear_error 'permission denied for large object 16501'
assert_hint 'type: ALTER ROLE dapk_backup SET lo_compat_privileges = on;'
assert_eq "$(dump_commits)" "$with" "dumps without their large objects"
expect 0 dapk dump postgres --no-large-objects
sql_file "src$major" postgres <<<"$(role_sql 'dump each large object')"
read_back() { # what the dump has of them
	take_dump postgres
	load_dump "src$major" "$LABEL" lobs
	assert_eq "$(sql "src$major" "SELECT convert_from(lo_get(16500), 'UTF8') || convert_from(lo_get(16501), 'UTF8')" lobs)" \
		firstsecond "large objects of the dump"
	drop_db "src$major" lobs
}
read_back
sql "src$major" "REVOKE SELECT ON LARGE OBJECT 16500, 16501 FROM dapk_backup"
expect 4 dapk dump postgres
may_dump_lobs "src$major"
read_back

note "what only a superuser sees of a database is warned of"
sql "src$major" "CREATE FOREIGN DATA WRAPPER none; CREATE SERVER far FOREIGN DATA WRAPPER none;
	CREATE USER MAPPING FOR postgres SERVER far OPTIONS (password 'hidden')"
expect 0 dapk dump postgres
assert_match "$ERR" 'warning: 1 user mappings .* only a superuser.* USER MAPPING postgres SERVER far' "what dump says"
expect 0 dapk dump postgres -U postgres
assert_lacks "$ERR" 'user mapping' "what a superuser's dump says"
