#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A role with the rights of docs/database-role.md and no other does the whole
# work, on each major; without one of them the error names what to type.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/dumps.sh
. "$TEST_TOP/tests/lib/dumps.sh"

block() { # NAME: the statements of the page
	awk -v head="\`\`\`sql $1" '$0 == head { on = 1; next } /^```/ { on = 0 } on' \
		"$TEST_TOP/docs/database-role.md" >"$T/block.sql"
	[ -s "$T/block.sql" ] || fail "docs/database-role.md has no block '$1'"
	cat "$T/block.sql"
}
as_keeper() { sed -i 's/user=postgres/user=dapk_backup/' "$CONF"; }

whole_way() { # MAJOR
	local src=src$1 names='15+' dumps='dump 14+' first
	[ "$1" -ge 15 ] || names=13-14
	[ "$1" -ge 14 ] || dumps='dump 13'
	REPO=$T/repo$1 CONF=$T/dapk$1.conf
	dumps_of "$1"
	pg_with_repository "$src" "$1"
	sql_file "$src" postgres <<<"$(block "$names")"
	as_keeper
	expect 0 dapk check
	assert_lacks "$OUT$ERR" GRANT "what check says"
	take_backup
	first=$LABEL
	sql "$src" "CREATE TABLE kept AS SELECT g AS n FROM generate_series(1, 5000) g"
	take_backup
	[ "$LABEL" != "$first" ] || fail "no second backup"
	assert_lacks "$ERR" GRANT "what backup says"
	sql_file "$src" postgres <<<"$(block "$dumps")"
	take_dump postgres
	load_dump "$src" "$LABEL" back -U postgres
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
