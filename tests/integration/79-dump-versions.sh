#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Servers of each major: all types, objects and large objects, there and back,
# and from the oldest into the newest.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/dumps.sh
. "$TEST_TOP/tests/lib/dumps.sh"

BACKUP_ROLE=postgres # user mappings' options and subscriptions are a superuser's
for major in ${DAPK_TEST_MAJORS:-13 14 16 17 18}; do
	src=src$major
	REPO=$T/repo$major CONF=$T/dapk$major.conf
	dumps_of "$major"
	dumps_with_repository "$src" "$major"
	fixture "$src" postgres roles
	new_db "$src" all
	fixture "$src" all types objects lobs
	take_dump all
	load_dump "$src" "$LABEL" back
	assert_same_db "$src" all "$src" back
	drop_db "$src" back
	expect 0 dapk export "$LABEL" --format directory --output "$T/x"
	restored_by_stock "$src" back directory "$T/x"
	assert_same_db "$src" all "$src" back
	drop_db "$src" back
	expect 0 dapk dump --globals
	if [ "$major" = 13 ]; then
		oldest=$LABEL globals=$(newest_dump) oldest_conf=$CONF
		rows_text "$src" all "$T/oldest.rows"
	else
		rm -rf "$REPO"
	fi
	pg_stop "$src"
	rm -rf "$T/x"
	note "PostgreSQL $major"
done
if [ -n "${oldest:-}" ]; then
	note "from 13 into $major"
	pg_start "$src"
	drop_db "$src" all
	sql "$src" 'DROP OWNED BY dump_owner, dump_reader; DROP ROLE dump_owner, dump_reader, "quoted ""role"" %/"'
	CONF=$oldest_conf
	expect 0 dapk load "$globals" -h "$T/$src.sock" -p "${PORT[$src]}"
	load_dump "$src" "$oldest" back
	rows_text "$src" back "$T/newest.rows"
	assert_same_text "$T/newest.rows" "$T/oldest.rows" "rows of 13 in $major"
fi
