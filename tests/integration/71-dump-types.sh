#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Every data type comes back, by load and by each format of export, whatever
# the session's defaults would do to it (DateStyle, IntervalStyle, rounding,
# escapes, time-outs). So do large objects.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/dumps.sh
. "$TEST_TOP/tests/lib/dumps.sh"

dumps_with_repository src
new_db src types
fixture src types types
while read -r name value; do
	for role in postgres "$BACKUP_ROLE"; do sql src "ALTER ROLE $role SET $name = $value"; done
done <<'END'
DateStyle 'German, DMY'
IntervalStyle 'sql_standard'
extra_float_digits -15
bytea_output 'escape'
standard_conforming_strings off
xmloption 'document'
search_path types, pg_temp
TimeZone 'Asia/Kathmandu'
row_security off
lock_timeout '2s'
statement_timeout '20s'
default_transaction_isolation 'serializable'
END

# Whose backslashes mean what they mean to this role.
sql src "SELECT lo_from_bytea(16400, 'large object'), lo_from_bytea(16401, decode('00ff5c27', 'hex'))" types >/dev/null

round_trip src types
expect 0 dapk info
assert_contains "$OUT" types info
