#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Databases whose bytes are not UTF-8 (T131): SQL_ASCII with any byte above
# 127, LATIN1, EUC_JP; in names too. And in another encoding when asked.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/dumps.sh
. "$TEST_TOP/tests/lib/dumps.sh"

dumps_with_repository src
for encoding in SQL_ASCII LATIN1 EUC_JP; do
	note "$encoding"
	db=db_${encoding,,}
	new_db src "$db" -E $encoding
	case $encoding in
	SQL_ASCII) bytes='\xff\xfe\xe9\x80\xc3' ;;
	LATIN1) bytes='\xe9\xfc\xdf\x80\xff' ;;
	EUC_JP) bytes='\xc6\xfc\xcb\xdc\xb8\xec' ;;
	esac
	# shellcheck disable=SC2059 # the bytes are the format
	{
		printf "SET client_encoding = '$encoding';\n"
		printf "CREATE TABLE \"n$bytes\" (\"c$bytes\" text, k int DEFAULT 1);\n"
		printf "INSERT INTO \"n$bytes\" SELECT 'v$bytes' || n FROM generate_series(1, 500) n;\n"
		printf "COMMENT ON TABLE \"n$bytes\" IS 'k$bytes';\n"
	} | sql_file src "$db"
	take_dump "$db"
	new_db_like() { new_db src "$1" -E $encoding; }
	new_db_like back
	expect 0 dapk load "$LABEL" -U postgres --database back
	db_text src "$db" "$T/a"
	db_text src back "$T/b"
	assert_same_text "$T/b" "$T/a" "$db by load"
	grep -aq "$(printf "v%b" "$bytes")" "$T/b" || fail "the bytes are others than those that were written"
	drop_db src back
	for format in custom plain; do
		rm -rf "$T/x"
		expect 0 dapk export "$LABEL" --format $format --output "$T/x"
		new_db_like back
		if [ $format = plain ]; then
			PGDATABASE=back run client src psql -X -q -o /dev/null -v ON_ERROR_STOP=1 -f "$T/x"
		else
			run client src pg_restore --exit-on-error -d back "$T/x"
		fi
		[ "$RC" = 0 ] || fail "$format: $ERR"
		db_text src back "$T/b"
		assert_same_text "$T/b" "$T/a" "$db by $format"
		drop_db src back
	done
	expect 0 dapk info --json
	jq -e . <<<"$OUT" >/dev/null || fail "info --json is no JSON with $encoding"
	expect 0 dapk info
done

note "LATIN1 as UTF8, into a UTF8 database"
take_dump db_latin1 --encoding UTF8
load_dump src "$LABEL" back
db_text src db_latin1 "$T/a" --encoding UTF8
db_text src back "$T/b"
assert_same_text "$T/b" "$T/a" "LATIN1 as UTF8"
drop_db src back
expect 1,2,4 dapk dump db_sql_ascii --encoding UTF8
assert_clear_error 'invalid byte sequence|encoding'
assert_eq "$(dump_commits)" 4 "commits of dumps"
