#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# backup --method stream: the server sends its files; who takes the backup is on
# another host and cannot read them. From PostgreSQL 17 on
# only what changed is sent. All of it is restored and compared.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src "$MAIN" --wal-segsize=1
[ "$MAIN" -lt 17 ] || pg_conf src "summarize_wal = on"
as_user mkdir "$T/ts1" "$T/ts2"
pg_stop src
pg_start src
bench_init src 4
sql src "CREATE TABLESPACE one LOCATION '$T/ts1'"
sql src "CREATE TABLESPACE two LOCATION '$T/ts2'"
sql src "CREATE TABLE t1 TABLESPACE one AS SELECT g AS n, repeat('x', 400) AS f FROM generate_series(1, 20000) g"
sql src "CREATE UNLOGGED TABLE u AS SELECT g AS n FROM generate_series(1, 1000) g"
sql src "CREATE ROLE streamer LOGIN REPLICATION IN ROLE pg_monitor"
sql src "VACUUM"

# As if on another host: the server's directories are not there.
HIDDEN=("$T/src" "$T/ts1" "$T/ts2")
elsewhere() { # COMMAND...; in the background with "how=exec" before it
	if [ "$(id -u)" != 0 ]; then
		${how:-} "${AS_USER[@]}" "$@"
		return
	fi
	# shellcheck disable=SC2016 # expanded by that shell
	${how:-} unshare -m bash -c 'n=$1; shift; for ((; n > 0; n--)); do
		mount -t tmpfs -o size=1M none "$1"; shift; done; exec "$@"' \
		hide "${#HIDDEN[@]}" "${HIDDEN[@]}" "${AS_USER[@]}" "$@"
}
sed "s|^pgdata = .*|method = stream|
	s|^conninfo = .*|conninfo = host=127.0.0.1 port=${PORT[src]} user=streamer dbname=postgres|" \
	"$CONF" >"$T/stream.conf"
stream() { elsewhere "$BIN" --config "$T/stream.conf" backup "$@"; }
take_stream() { # [option...]
	expect 0 stream "$@"
	LABEL=$(newest_label)
}
commit_has() { grep -q "\"$1\": $2" "$(backup_dir "$LABEL")/commit" || fail "commit lacks $1 $2"; }
stored() { # LABEL: bytes of its own packs
	find "$(backup_dir "$1")" -name 'pack-*' -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'
}
restored_equals() { # NAME LABEL: what the source has now
	archive_now src
	restored "$1" "$MAIN" --backup "$2" --target latest --tablespace-map "$T/ts1=$T/$1.ts1" \
		--tablespace-map "$T/ts2=$T/$1.ts2"
	dump_db src "$T/src.dump"
	dump_db "$1" "$T/$1.dump"
	assert_same_dump "$T/src.dump" "$T/$1.dump"
	assert_bench_invariant "$1"
	assert_amcheck "$1"
	pg_stop "$1"
	assert_checksums "$1"
	drop "$1"
	rm -rf "$T/$1.ts1" "$T/$1.ts2"
}

note "by another user, under load"
bench_start src
take_stream
first=$LABEL
bench_stop
commit_has method '"stream"'
commit_has from_standby false
sql src "TRUNCATE u"
restored_equals one "$first"

note "the next one stores what differs"
bench_for src 200
sql src "DELETE FROM t1 WHERE n > 15000"
sql src "VACUUM t1"
sql src "INSERT INTO t1 SELECT g, 'y' FROM generate_series(1, 500) g"
sql src "CREATE TABLE t2 TABLESPACE two AS SELECT 1 AS n"
take_stream
second=$LABEL
commit_has parent "\"$first\""
if [ "$MAIN" -ge 17 ]; then
	commit_has read '"changes"'
else
	commit_has read '"all"'
fi
[ "$(stored "$second")" -lt "$(($(stored "$first") / 2))" ] ||
	fail "second backup stored $(stored "$second"), the first $(stored "$first")"
restored_equals two "$second"

note "mixed with backups of the data directory"
bench_for src 100
take_backup
third=$LABEL
commit_has method '"local"'
bench_for src 100
sql src "CREATE INDEX ON t1 (n)"
take_stream
commit_has parent "\"$third\""
commit_has read '"all"'
restored_equals three "$LABEL"

note "nothing is left when the connection is cut"
count_commits() { find "$REPO" -name commit | wc -l; }
before=$(count_commits)
how=exec stream --max-rate=2MB --full >"$T/cut.out" 2>"$T/cut.err" &
pid=$!
walsender() { sql src "SELECT pid FROM pg_stat_progress_basebackup WHERE phase LIKE 'streaming%'"; }
there() { [ -n "$(walsender)" ]; }
wait_for 30 "the walsender" there
sleep 0.5
sql src "SELECT pg_terminate_backend($(walsender))" >/dev/null
exited "$pid"
ERR=$(cat "$T/cut.err")
assert_ne "$RC" 0 "exit code after the cut"
assert_match "$ERR" 'receive the backup|terminat'
assert_eq "$(count_commits)" "$before" "commits"

note "a cancel ends the server's backup"
how=exec stream --max-rate=2MB --full >"$T/cut.out" 2>"$T/cut.err" &
pid=$!
wait_for 30 "the walsender" there
stop_pid "$pid"
exited "$pid"
wait_for 20 "the end of the walsender" sql_true src "SELECT count(*) = 0 FROM pg_stat_progress_basebackup"
assert_eq "$(count_commits)" "$before" "commits"

note "without the right to replicate"
sql src "CREATE ROLE nobody LOGIN IN ROLE pg_monitor"
expect 4 elsewhere "$BIN" --config "$T/stream.conf" backup -U nobody
assert_clear_error 'replication'
assert_hint 'REPLICATION'
