#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Every kind of object and large objects, there and back, also into another
# server with --create and the roles of --globals; what a selection has is what
# pg_dump's has (T133, T134).
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/dumps.sh
. "$TEST_TOP/tests/lib/dumps.sh"

BACKUP_ROLE=postgres # for subscriptions, passwords of roles, and loads of them
dumps_with_repository src
fixture src postgres roles
new_db src things -O dump_owner
fixture src things objects lobs
sql src "ALTER DATABASE things SET work_mem = '7MB'; COMMENT ON DATABASE things IS 'it''s';
	GRANT CONNECT ON DATABASE things TO dump_reader; ALTER ROLE dump_owner IN DATABASE things SET datestyle = 'German'"
round_trip src things
things=$LABEL

note "into another server: roles first, then --create"
expect 0 dapk dump --globals
globals=$(newest_dump)
expect 0 dapk info
assert_contains "$OUT" "${globals:0:16}" info
pg_new other
pg_start other archive_mode=off
there=(-h "$(psql_host other)" -p "${PORT[other]}")
expect 0 dapk load "$globals" "${there[@]}"
expect 0 dapk load "$things" --create "${there[@]}"
db_text src things "$T/a" --create
db_text other things "$T/b" --create
assert_same_text "$T/b" "$T/a" "the database in another server"
assert_same_text <(client other pg_dumpall --roles-only | grep -v restrict) \
	<(client src pg_dumpall --roles-only | grep -v restrict) roles

note "once more over it: --clean, the database itself and what is in one"
sql other "DROP SUBSCRIPTION sub; DELETE FROM o.hen; DROP TABLE o.secret; CREATE TABLE o.new AS SELECT 1 AS n; SELECT lo_unlink(16400)" things >/dev/null
expect 0 dapk load "$things" --clean --create "${there[@]}"
db_text other things "$T/b" --create
assert_same_text "$T/b" "$T/a" "the database after --clean --create"
new_db src plain
fixture src plain types lobs
take_dump plain
load_dump other "$LABEL" plain
sql other "DELETE FROM types.mixed; DROP TABLE types.own; SELECT lo_unlink(16400), lo_put(16401, 0, 'x')" plain >/dev/null
expect 0 dapk load "$LABEL" --clean --database plain "${there[@]}"
assert_same_db src plain other plain

note "into a database that has it already: stops, says which object, and that nothing more came"
expect 4 dapk load "$things" --database things "${there[@]}"
assert_clear_error 'already exists'
db_text other things "$T/b" --create
assert_same_text "$T/b" "$T/a" "the database after a load that was refused"
drop other

note "what is selected"
while read -r -a options; do
	take_dump things "${options[@]}"
	rm -f "$T/selected.sql"
	expect 0 dapk export "$LABEL" --format plain --output "$T/selected.sql"
	PGDATABASE=things client src pg_dump "${options[@]}" >"$T/stock.sql"
	assert_same_text <(python3 "$TEST_TOP/tests/lib/sortcopy.py" <"$T/selected.sql") \
		<(python3 "$TEST_TOP/tests/lib/sortcopy.py" <"$T/stock.sql") "dump ${options[*]}"
done <<'END'
-t o.measured* -T *_rest
-n o --exclude-table-data o.hen
-N o
--schema-only
--data-only
--section=pre-data
--section=data
--section=post-data
-O -x --no-comments --no-publications --no-subscriptions
--no-unlogged-table-data --no-tablespaces
-t o.generated -b
-B --load-via-partition-root --no-table-access-method
--data-only -t o.secret --disable-dollar-quoting --extra-float-digits=0
-e file_fdw -n o
END

note "what is not there, what cannot be done"
expect 1,2,4 dapk dump things -t 'o.nothing*'
assert_clear_error 'no matching tables'
expect 1,2,4 dapk dump things --strict-names -t o.hen -t o.nothing
assert_clear_error 'o.nothing'
expect 2 dapk dump things --inserts
assert_clear_error 'inserts'

note "row security: only with rights, or as the user may see it"
expect 4 dapk dump things --role dump_owner -t o.secret
assert_clear_error 'row.level security|row security'
take_dump things --role dump_owner -t o.secret --enable-row-security
expect 0 dapk export "$LABEL" --format plain --output -
assert_eq "$(grep -cP '^[0-9]+\tdump_owner\tx$' <<<"$OUT")" 50 "rows of its own"
assert_eq "$(grep -cP '^[0-9]+\tpostgres\tx$' <<<"$OUT" || :)" 0 "rows that a restrictive policy hides"
PGDATABASE=things client src pg_dump --role dump_owner -t o.secret --enable-row-security >"$T/stock.sql"
rm "$T/selected.sql"
expect 0 dapk export "$LABEL" --format plain --output "$T/selected.sql"
assert_same_text <(grep -av restrict "$T/selected.sql") <(grep -av restrict "$T/stock.sql") "dump with row security"
