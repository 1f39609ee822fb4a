# shellcheck shell=bash
# SPDX-License-Identifier: PostgreSQL
# PostgreSQL clusters below the scratch directory.
#
#	pg_new src [major [initdb option...]]	initdb, configuration, archiving
#	pg_start src; pg_stop src [mode]; pg_kill src
#	sql src "SELECT ..."
# For a cluster NAME: data directory $T/NAME, socket directory $T/NAME.sock,
# port ${PORT[NAME]}, programs ${PGBIN[NAME]}. A restored data directory is
# made known with pg_adopt.
declare -A PORT=() PGBIN=() SOCK=() MAJOR=()
BENCH_PID=''
MAIN=${DAPK_TEST_MAJOR:-15} # what scripts/test-full runs the same tests on
CLIENTS=/usr/lib/postgresql/15/bin
PG_DIR=${DAPK_TEST_CACHE:-/var/cache/dapk-backup-tests}
CONF=$T/dapk.conf
REPO=$T/repo
next_port=$((5700 + RANDOM % 100))

[ -x "$CLIENTS/psql" ] || fail "no PostgreSQL 15 at $CLIENTS; run scripts/test"

# The lock is held as long as this test and the servers it starts live, so
# that two runs at once do not take the same port.
free_port() { # sets FREE_PORT
	local dir fd tries
	dir=${TMPDIR:-/tmp}/dapk-test-ports.$(id -u)
	mkdir -p "$dir"
	for ((tries = 0; tries < 100; tries++)); do
		FREE_PORT=$next_port
		next_port=$((next_port == 5799 ? 5700 : next_port + 1))
		exec {fd}>"$dir/$FREE_PORT"
		if flock -n "$fd" && ! (exec 3<>"/dev/tcp/127.0.0.1/$FREE_PORT") 2>/dev/null; then
			return 0
		fi
		exec {fd}>&-
	done
	fail "no free port from 5700 to 5799"
}

pg_bin() { # MAJOR
	local dir=/usr/lib/postgresql/$1/bin
	[ "$1" = 15 ] || dir=$PG_DIR/$1/bin
	[ -x "$dir/postgres" ] || fail "no PostgreSQL $1 at $dir; run scripts/test"
	echo "$dir"
}

# A program that reads data directories of this major; Debian's do up to 16.
program_for() { # MAJOR PROGRAM
	local dir=$CLIENTS
	[ "$1" -le 16 ] || dir=$PG_DIR/clients-$1/bin
	[ -x "$dir/$2" ] || fail "no $2 at $dir; run scripts/test"
	echo "$dir/$2"
}

# Debian's is found by restore --start itself, the others are where we put them.
[ "$MAIN" = 15 ] || AS_USER+=("DAPK_BACKUP_PGBIN=$(pg_bin "$MAIN")")

pg_adopt() { # NAME PORT MAJOR [SOCKET DIRECTORY]: data directory $T/NAME
	PORT[$1]=$2
	MAJOR[$1]=$3
	PGBIN[$1]=$(pg_bin "$3")
	SOCK[$1]=${4:-}
}

pg_new() { # NAME [MAJOR [initdb option...]]
	local name=$1 major=${2:-$MAIN}
	shift $(($# < 2 ? $# : 2))
	free_port
	pg_adopt "$name" "$FREE_PORT" "$major" "$T/$name.sock"
	as_user mkdir "$T/$name.sock"
	as_user "${PGBIN[$name]}/initdb" -D "$T/$name" -U postgres -A trust \
		-E UTF8 --locale=C --data-checksums -N "$@" >"$T/$name.initdb.log" 2>&1
	# Sync would only test the disk; a restored cluster takes this over.
	pg_conf "$name" "listen_addresses = '127.0.0.1'" "port = ${PORT[$name]}" \
		"unix_socket_directories = '$T/$name.sock'" "fsync = off" \
		"wal_level = replica" "shared_buffers = 32MB" "max_connections = 30" \
		"archive_mode = on" "archive_timeout = 0" "autovacuum_naptime = 10" \
		"track_commit_timestamp = on" "logging_collector = off" \
		"log_line_prefix = '%m [%p] '" "hot_standby = on" \
		"max_wal_size = 512MB" "checkpoint_timeout = 1h"
	archive_with "$name" "$BIN --config $CONF archive-push %p"
}

pg_conf() { # NAME LINE...
	local name=$1
	shift
	printf '%s\n' "$@" >>"$T/$name/postgresql.conf"
}

archive_with() { # NAME COMMAND: the archive_command from the next (re)load on
	pg_conf "$1" "archive_command = '${2//\'/\'\'}'"
}

# What connects does so as the role of docs/database-role.md, which a cluster has
# from its first start after write_conf on. A test whose work this role cannot do
# sets BACKUP_ROLE=postgres, with the reason, or asks for one command -U postgres.
BACKUP_ROLE=dapk_backup
ROLE_DUMPS=yes ROLE_WANTED=''

role_sql() { # NAME OF THE BLOCK: its statements, as they stand there
	local text
	text=$(awk -v head="\`\`\`sql $1" '$0 == head { on = 1; next } /^```/ { on = 0 } on' \
		"$TEST_TOP/docs/database-role.md")
	[ -n "$text" ] || fail "docs/database-role.md has no block '$1'"
	echo "$text"
}

want_role() { # NAME: now when it runs, else when it starts
	[ "$BACKUP_ROLE" != postgres ] || return 0
	ROLE_WANTED=$1
	! pg_running "$T/$1" || make_role "$1"
}

make_role() { # NAME
	local block='15+'
	[ "${MAJOR[$1]}" -ge 15 ] || block=13-14
	ROLE_WANTED=''
	sql_true "$1" "SELECT NOT pg_is_in_recovery() AND to_regrole('dapk_backup') IS NULL" || return 0
	sql_file "$1" postgres <<<"$(role_sql "$block")"
	[ -n "$ROLE_DUMPS" ] || return 0
	may_dump "$1"
	may_dump_lobs "$1"
}

# Cluster-wide from 14 on; on 13 for what is in this database.
may_dump() { # NAME [DATABASE]
	local block='dump 14+'
	[ "${MAJOR[$1]}" -ge 14 ] || block='dump 13'
	[ "$BACKUP_ROLE" = postgres ] || sql_file "$1" "${2:-postgres}" <<<"$(role_sql "$block")"
}

may_dump_lobs() { # NAME
	sql_file "$1" postgres <<<"$(role_sql 'dump large objects')"
}

pg_start() { # NAME [setting=value...]
	local name=$1 kv args=()
	shift
	for kv in "$@"; do args+=(-c "$kv"); done
	as_user "${PGBIN[$name]}/pg_ctl" -D "$T/$name" -l "$T/$name.log" -w -t 60 \
		-o "-p ${PORT[$name]} ${args[*]}" start >/dev/null ||
		fail "cluster $name does not start: $(tail -n 20 "$T/$name.log")"
	[ "$ROLE_WANTED" != "$name" ] || make_role "$name"
}

pg_stop() { # NAME [MODE]
	as_user "${PGBIN[$1]}/pg_ctl" -D "$T/$1" -m "${2:-fast}" -w -t 90 stop >/dev/null
}

pg_reload() { sql "$1" "SELECT pg_reload_conf()" >/dev/null; }

pg_pid() { head -n 1 "$T/$1/postmaster.pid"; }

# As the power going: no shutdown checkpoint, no last archiving.
pg_kill() { # NAME
	local pid p children
	pid=$(pg_pid "$1")
	children=$(cat "/proc/$pid/task/$pid/children")
	for p in $pid $children; do kill -s KILL "$p" 2>/dev/null || :; done
	# A zombie counts as running for PostgreSQL's lock file: wait for its end.
	for p in $pid $children; do wait_for 20 "the end of $p" test ! -e "/proc/$p"; done
}

pg_running() { # DIR
	local pid
	pid=$(head -n 1 "$1/postmaster.pid" 2>/dev/null) || return 1
	[ -n "$pid" ] && alive "$pid"
}

psql_host() { # NAME: the socket when known, else loopback
	if [ -n "${SOCK[$1]}" ]; then echo "${SOCK[$1]}"; else echo 127.0.0.1; fi
}

sql() { # NAME SQL [DATABASE]
	as_user "$CLIENTS/psql" -X -q -A -t -v ON_ERROR_STOP=1 -h "$(psql_host "$1")" \
		-p "${PORT[$1]}" -U postgres -d "${3:-postgres}" -c "$2"
}

sql_file() { # NAME DATABASE <SQL
	as_user "$CLIENTS/psql" -X -q -A -t -v ON_ERROR_STOP=1 -h "$(psql_host "$1")" \
		-p "${PORT[$1]}" -U postgres -d "$2" -f -
}

sql_true() { [ "$(sql "$@")" = t ]; }

# Finishes the current segment and waits until it is in the repository. With
# something in it: nothing is switched at a segment's first byte, whose name is
# the segment before it up to 16 and the one that begins there from 17 on.
archive_now() { # NAME
	local name=$1 seg
	sql "$name" "SELECT pg_logical_emit_message(false, 'tests', 'x')" >/dev/null
	seg=$(sql "$name" "SELECT pg_walfile_name(pg_switch_wal())")
	wait_for 60 "the archiving of $seg" archived "$name" "$seg"
}

archived() { # NAME SEGMENT
	sql_true "$1" "SELECT coalesce(last_archived_wal, '') >= '$2' FROM pg_stat_archiver" ||
		[ -n "$(stored_wal "$2")" ]
}

stored_wal() { # NAME OF THE WAL FILE: its objects
	find "$REPO/clusters" -path '*/wal/*' -name "$1-*" 2>/dev/null
}

# ------------------------------------------------------------- configuration

# The file that tests use: one cluster, one repository.
write_conf() { # NAME [extra line of the global section...]
	local name=$1
	shift
	{
		printf '[global]\njobs = 2\nstate-directory = %s\n' "$T/state"
		[ $# = 0 ] || printf '%s\n' "$@"
		printf '\n[cluster main]\npgdata = %s\n' "$T/$name"
		printf 'conninfo = host=%s port=%s user=%s dbname=postgres\n' \
			"$T/$name.sock" "${PORT[$name]}" "$BACKUP_ROLE"
		printf 'repositories = local\n\n[repository local]\nurl = file://%s\n' "$REPO"
		[ -z "${DAPK_TEST_ENCRYPT:-}" ] || printf 'encryption-key-file = %s/key\n' "$T"
	} >"$CONF"
	want_role "$name"
}

# A running cluster that archives into a new repository.
pg_with_repository() { # NAME [MAJOR [initdb option...]]
	pg_new "$@"
	write_conf "$1"
	dapk init >"$T/init.out" || fail "init: $(cat "$T/init.out")"
	pg_start "$1"
}

# Takes a backup and leaves its label in LABEL.
take_backup() { # [option...]
	expect 0 dapk backup "$@"
	LABEL=$(newest_label)
	[ -n "$LABEL" ] || fail "backup said 0 and left no commit: $OUT $ERR"
}

# By the time of the commit: labels of one second are in no order.
newest_label() {
	find "$REPO/clusters" -path '*/backups/*/commit' -printf '%T@ %h\n' |
		sort -n | tail -n 1 | sed 's,.*/,,'
}

backup_dir() { # LABEL
	find "$REPO/clusters" -type d -path "*/backups/$1"
}

# ------------------------------------------------------------------- pgbench

bench_init() { # NAME SCALE
	as_user "$CLIENTS/pgbench" -i -q -s "$2" -h "${SOCK[$1]}" -p "${PORT[$1]}" \
		-U postgres postgres >"$T/$1.bench-init.log" 2>&1
}

bench_start() { # NAME [CLIENTS]: until bench_stop
	"${AS_USER[@]}" "$CLIENTS/pgbench" -n -c "${2:-4}" -j 1 -T 3600 -h "${SOCK[$1]}" \
		-p "${PORT[$1]}" -U postgres postgres >"$T/$1.bench.log" 2>&1 &
	BENCH_PID=$!
	wait_for 30 "pgbench's first transactions" sql_true "$1" \
		"SELECT count(*) > 0 FROM pgbench_history"
}

bench_stop() {
	stop_pid "$BENCH_PID" INT
	wait "$BENCH_PID" 2>/dev/null || :
	BENCH_PID=''
}

bench_for() { # NAME TRANSACTIONS
	as_user "$CLIENTS/pgbench" -n -c 2 -j 1 -t "$(($2 / 2))" -h "${SOCK[$1]}" \
		-p "${PORT[$1]}" -U postgres postgres >"$T/$1.bench.log" 2>&1
}

# ------------------------------------------------------------------- restore

# Restores into $T/NAME, starts the server there, waits for the target.
restored() { # NAME MAJOR [option...]
	local name=$1 major=$2 where=()
	shift 2
	free_port
	[ "$major" = 15 ] || where=(env "DAPK_BACKUP_PGBIN=$(pg_bin "$major")")
	expect 0 as_user "${where[@]}" "$BIN" --config "$CONF" restore -D "$T/$name" --start --port "$FREE_PORT" "$@"
	pg_running "$T/$name" || fail "restore --start said 0 and nothing runs"
	pg_adopt "$name" "$FREE_PORT" "$major" "$(sed -n 5p "$T/$name/postmaster.pid")"
}

# Nothing of a refused restore may be left behind.
assert_refused() { # DIR REGEX [option...]
	local dir=$1 regex=$2 before='absent'
	shift 2
	[ ! -e "$dir" ] || before=$(tree_sum "$dir")
	expect 1,2,3,4,5 dapk restore -D "$dir" "$@"
	assert_clear_error "$regex"
	if [ "$before" = absent ]; then
		[ ! -e "$dir" ] || [ -z "$(ls -A "$dir")" ] ||
			fail "a refused restore left something in $dir: $(ls -A "$dir")"
	else
		assert_eq "$(tree_sum "$dir")" "$before" "content of $dir after a refusal"
	fi
}

drop() { # NAME: stop and remove
	! pg_running "$T/$1" || pg_stop "$1" immediate
	rm -rf "${T:?}/$1"
}
