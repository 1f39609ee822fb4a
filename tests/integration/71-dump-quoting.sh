#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Names with quotes, newlines, slashes, percent signs, leading dashes and
# unicode, of everything that has a name, and of databases: among them ones
# that look like connection strings and like options (T132).
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/dumps.sh
. "$TEST_TOP/tests/lib/dumps.sh"

dumps_with_repository src
new_db src quoting
fixture src quoting quoting
FORMATS="directory plain" round_trip src quoting

note "one table by its pattern"
take_dump quoting -t '"slash/../../etc".*' -t '"-dash"."-dash"'
expect 0 dapk export "$LABEL" --format plain --output -
assert_contains "$OUT" 'CREATE TABLE "-dash"."-dash"'
assert_contains "$OUT" 'COPY "slash/../../etc"."slash/../../etc"'
assert_lacks "$OUT" 'CREATE TABLE public'
[ -z "$(find "$REPO" -name '*etc*')" ] || fail "a name of the database became a path"

note "databases"
names=('with "quotes" it'\''s' '--all' 'dbname=postgres host=nowhere' 'postgres://nowhere/x' 'back\slash %25 %s'
	'sl/ash/..' $'new\nline' 'ünïcode 日本' ' ' 'a.b.* $HOME' 'UPPER')
for name in "${names[@]}"; do
	sql src "CREATE DATABASE \"${name//\"/\"\"}\" TEMPLATE template0"
	PGDATABASE=$name client src psql -Xqc "CREATE TABLE \"${name//\"/\"\"}\" AS SELECT current_database() AS d"
	take_dump "$name"
	load_dump src "$LABEL" back
	assert_eq "$(PGDATABASE=back client src psql -XqAtc "TABLE \"${name//\"/\"\"}\"")" "$name" "what was in the database"
	drop_db src back
done
expect 0 dapk info --json
found=$(jq -r '[.incarnations[].dumps[].database] | unique[]' <<<"$OUT")
for name in "${names[@]}"; do
	[[ $name = *[$'\n\t']* ]] || assert_contains "$found" "$name" "databases in info --json"
done
expect 0 dapk info
[[ $OUT != *$'new\nline'* ]] || fail "info shows a newline as it is"

note "and into databases of such names"
for name in "${names[@]:0:8}"; do
	expect 0 dapk load "$LABEL" -U postgres --database "$name"
	assert_eq "$(PGDATABASE=$name client src psql -XqAtc "TABLE \"UPPER\"")" UPPER "in $name"
done

note "one that does not exist"
expect 1,4 dapk dump "no such; DROP DATABASE quoting"
assert_clear_error 'no such; DROP'
