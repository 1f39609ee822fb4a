# shellcheck shell=bash
# SPDX-License-Identifier: PostgreSQL
# Logical dumps: databases to dump, and what comes back held against them.
#
#	fixture src db types quoting ...	fills database db from tests/lib/sql
#	take_dump db [option...]		leaves LABEL
#	assert_same_db src db copy db2		schema and rows as pg_dump says them

# The clients that belong to a server: pg_dump of its own major where there is
# one, else of the next (15 for 13 and 14, 17 for 16).
client_dir() { # MAJOR
	case $1 in
	13 | 14 | 15) echo "$CLIENTS" ;;
	16 | 17) echo "$PG_DIR/clients-17/bin" ;;
	*) echo "$PG_DIR/clients-$1/bin" ;;
	esac
}

# The program finds its pg_dump by PATH where Debian has none.
dumps_of() { # MAJOR: from now on
	[ "$1" = 15 ] || AS_USER+=("PATH=$(client_dir "$1"):$PATH")
}
dumps_of "$MAIN"

client() { # NAME PROGRAM [ARGUMENT...]: a stock program on cluster NAME
	as_user "$(client_dir "${MAJOR[$1]}")/$2" -h "$(psql_host "$1")" -p "${PORT[$1]}" \
		-U postgres "${@:3}"
}

fixture() { # NAME DATABASE FILE...: of tests/lib/sql; ROWS for shipments
	local name=$1 db=$2 f
	for f in "${@:3}"; do
		{ echo "\\set rows ${ROWS:-20000}"; cat "$TEST_TOP/tests/lib/sql/$f.sql"; } |
			sql_file "$name" "$db" >/dev/null || fail "fixture $f in $db"
	done
}

new_db() { # NAME DATABASE [option of createdb...]
	client "$1" createdb -T template0 "${@:3}" -- "$2"
}

drop_db() { # NAME DATABASE
	sql "$1" "DROP SUBSCRIPTION IF EXISTS sub" "$2" 2>/dev/null || : # it keeps its database
	client "$1" dropdb --if-exists --force -- "$2"
}

# Everything of a database as pg_dump prints it, rows sorted.
db_text() { # NAME DATABASE FILE [option of pg_dump...]
	PGDATABASE=$2 client "$1" pg_dump "${@:4}" |
		python3 "$TEST_TOP/tests/lib/sortcopy.py" >"$3"
	[ -s "$3" ] || fail "an empty dump of $2"
}

assert_same_text() { # FOUND EXPECTED WHAT; both may be pipes
	cat "$1" >"$T/.found"
	cat "$2" >"$T/.expected"
	cmp -s "$T/.found" "$T/.expected" ||
		fail "${3:-content} differs: $(diff -a "$T/.expected" "$T/.found" | head -n 20 || :)"
}

# The rows alone, each with its table's name: for servers of different majors,
# whose definitions are printed in other words and another order.
rows_text() { # NAME DATABASE FILE
	db_text "$1" "$2" "$3.all" --data-only
	awk '/^COPY .* FROM stdin;$/ { table = $2; next }
		/^\\\.$/ { table = "" } table != "" { print table ": " $0 }' "$3.all" |
		LC_ALL=C sort >"$3"
}

assert_same_db() { # NAME DATABASE NAME2 DATABASE2
	db_text "$1" "$2" "$T/same.1"
	db_text "$3" "$4" "$T/same.2"
	assert_same_text "$T/same.2" "$T/same.1" "database $4"
}

# ------------------------------------------------------------------ our dumps

newest_dump() {
	find "$REPO" -path '*/dumps/*/commit' -printf '%T@ %h\n' |
		sort -n | tail -n 1 | sed 's,.*/,,'
}

dump_dir() { # LABEL
	find "$REPO" -type d -path "*/dumps/$1"
}

dump_commits() { find "$REPO" -path '*/dumps/*/commit' | wc -l; }

dump_bytes() { # LABEL: of packs in its own folder
	find "$(dump_dir "$1")" -name 'pack-*' -printf '%s\n' | awk '{ s += $1 } END { print s + 0 }'
}

take_dump() { # DATABASE [option...]: leaves LABEL
	local db=$1 before
	shift
	before=$(newest_dump)
	expect 0 dapk dump "$@" -- "$db"
	LABEL=$(newest_dump)
	{ [ -n "$LABEL" ] && [ "$LABEL" != "$before" ]; } ||
		fail "dump said 0 and left no commit: $OUT $ERR"
}

# Into an empty database; as a superuser, since owners and rights come back.
load_dump() { # NAME LABEL DATABASE [option...]
	new_db "$1" "$3"
	expect 0 dapk load "$2" "${@:4}" -h "$(psql_host "$1")" -p "${PORT[$1]}" -U postgres --database "$3"
}

# What the stock programs make of an export.
restored_by_stock() { # NAME DATABASE FORMAT PATH [option of pg_restore...]
	local skip='^$^' # no line
	# The clients for 16 are 17's, which make a setting that 16 does not have.
	[ "${MAJOR[$1]}" != 16 ] || skip='^SET transaction_timeout = 0;$'
	new_db "$1" "$2"
	if [ "$3" = plain ]; then
		grep -av "$skip" "$4" >"$T/plain.sql"
		PGDATABASE=$2 run client "$1" psql -X -q -o /dev/null -v ON_ERROR_STOP=1 -f "$T/plain.sql"
		[ "$RC" = 0 ] || fail "psql of $4: $ERR"
	elif [ "${MAJOR[$1]}" = 16 ]; then
		as_user "$(client_dir 16)/pg_restore" "${@:5}" -f - "$4" | grep -av "$skip" |
			PGDATABASE=$2 client "$1" psql -X -q -v ON_ERROR_STOP=1 -f - >/dev/null
	else
		run client "$1" pg_restore --exit-on-error -d "$2" "${@:5}" "$4"
		[ "$RC" = 0 ] || fail "pg_restore of $4: $ERR"
		assert_eq "$ERR" "" "what pg_restore said"
	fi
}

# Dump, then back by load and by every export, each held against the source,
# and the plain export against what pg_dump itself prints.
round_trip() { # NAME DATABASE
	local name=$1 db=$2 format out
	take_dump "$db"
	db_text "$name" "$db" "$T/source.text"
	for format in ${FORMATS:-directory custom tar plain}; do
		out=$T/export.$format
		rm -rf "$out"
		expect 0 dapk export "$LABEL" --format "$format" --output "$out"
		restored_by_stock "$name" back "$format" "$out"
		db_text "$name" back "$T/back.text"
		assert_same_text "$T/back.text" "$T/source.text" "$db by $format"
		drop_db "$name" back
		[ "$format" != plain ] || assert_plain_is_stock "$name" "$db" "$out"
	done
	load_dump "$name" "$LABEL" back
	db_text "$name" back "$T/back.text"
	assert_same_text "$T/back.text" "$T/source.text" "$db by load"
	drop_db "$name" back
}

# Rows in pg_dump's order, which no parallel reading may change.
assert_plain_is_stock() { # NAME DATABASE FILE
	PGDATABASE=$2 client "$1" pg_dump >"$T/stock.sql"
	assert_same_text <(grep -avE '^\\(un)?restrict ' "$3") \
		<(grep -avE '^\\(un)?restrict ' "$T/stock.sql") "plain export of $2"
}

# A running cluster and a new repository; nothing archives.
dumps_with_repository() { # NAME [MAJOR [initdb option...]]
	local BACKUP_ROLE=$BACKUP_ROLE
	# There the role gets its rights in each database, schema by schema.
	[ "${2:-$MAIN}" -ge 14 ] || BACKUP_ROLE=postgres
	pg_new "$@"
	pg_conf "$1" "archive_mode = off" "max_locks_per_transaction = 256" \
		"shared_preload_libraries = 'pg_stat_statements'"
	write_conf "$1"
	dapk init >"$T/init.out" || fail "init: $(cat "$T/init.out")"
	pg_start "$1"
}

# ------------------------------------------------- a dump that is looked at while it runs

# Leaves DUMP_PID; what it says goes to $T/dump.out.log and $T/dump.err.log.
start_dump() { # DATABASE [option...]
	"${AS_USER[@]}" "$BIN" --config "$CONF" dump "${@:2}" -- "$1" \
		>"$T/dump.out.log" 2>"$T/dump.err.log" &
	DUMP_PID=$!
	BENCH_PID=$DUMP_PID # what ends with the test
}

# How the dump that was started ended: RC, OUT and ERR.
end_dump() {
	exited "$DUMP_PID"
	BENCH_PID=''
	OUT=$(cat "$T/dump.out.log") ERR=$(cat "$T/dump.err.log")
}

# One session that asks until the condition holds, since the time between two
# psqls is long beside what is waited for.
until_true() { # NAME SECONDS SQL-CONDITION
	sql "$1" "DO \$until\$ DECLARE
			ends timestamptz := clock_timestamp() + interval '$2 seconds';
		BEGIN
			LOOP
				PERFORM pg_stat_clear_snapshot();
				EXIT WHEN $3;
				IF clock_timestamp() > ends THEN RAISE 'waited $2 s'; END IF;
				PERFORM pg_sleep(0.002);
			END LOOP;
		END \$until\$"
}

# Backends of dapk-backup, and whether one copies a table big; pg_dump would
# write "stdout".
our_backends="pid <> pg_backend_pid() AND application_name LIKE 'dapk%'"
copying="EXISTS (SELECT FROM pg_stat_activity WHERE $our_backends AND state = 'active' AND query LIKE 'COPY %big% TO STDOUT%')"

no_session_left() { # NAME
	wait_for 10 "the end of the dump's sessions" sql_true "$1" \
		"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE $our_backends)"
}

# Nothing may look like a dump, and nothing may be left of it.
assert_no_dump() { # [COMMITS]
	assert_eq "$(dump_commits)" "${1:-0}" "commits of dumps"
	assert_eq "$(find "$REPO" -path '*/dumps/*' -name 'pack-*' | sed 's,/[^/]*$,,' | sort -u | wc -l)" \
		"${1:-0}" "folders with packs of dumps"
}
