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
sql src "CREATE EXTENSION pg_visibility"
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
restored_equals() { # NAME LABEL [TABLESPACES]: what the source has now
	local from=${3:-$T/}
	archive_now src
	restored "$1" "$MAIN" --backup "$2" --target latest --tablespace-map "${from}ts1=$T/$1.ts1" \
		--tablespace-map "${from}ts2=$T/$1.ts2"
	dump_db src "$T/src.dump"
	dump_db "$1" "$T/$1.dump"
	assert_same_dump "$T/src.dump" "$T/$1.dump"
	assert_bench_invariant "$1"
	assert_amcheck "$1"
	assert_eq "$(sql "$1" "SELECT count(*) FROM pg_class c, LATERAL (
		SELECT t_ctid FROM pg_check_visible(c.oid) UNION ALL
		SELECT t_ctid FROM pg_check_frozen(c.oid)) v
		WHERE c.relkind IN ('r', 'm', 't')")" 0 "wrong bits in visibility maps"
	pg_stop "$1"
	# Debian's program looks for tablespaces of its own major only.
	case $MAIN in 13 | 14 | 16) ;; *) assert_checksums "$1" ;; esac
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

note "a page that is damaged on the server"
sql src "CREATE TABLE hurt AS SELECT repeat('x', 1000) FROM generate_series(1, 100)"
file=$(sql src "SELECT pg_relation_filepath('hurt')")
pg_stop src
printf 'damage' | dd of="$T/src/$file" bs=1 seek=$((8192 * 3 + 4000)) conv=notrunc status=none
pg_start src
expect 1 stream
assert_match "$ERR" "damaged: $file block 3: checksum"
LABEL=$(newest_label)
commit_has damaged_count 1
sql src "DROP TABLE hurt"
take_stream
commit_has damaged_count 0

note "a standby sends them"
restored standby "$MAIN" --standby --backup "$LABEL" \
	--tablespace-map "$T/ts1=$T/s.ts1" --tablespace-map "$T/ts2=$T/s.ts2" \
	--primary-conninfo "host=127.0.0.1 port=${PORT[src]} user=postgres"
sed -i "s|^conninfo = .*|conninfo = host=127.0.0.1,${SOCK[standby]} port=${PORT[src]},${PORT[standby]} user=streamer dbname=postgres|" \
	"$T/stream.conf"
sql src "GRANT EXECUTE ON FUNCTION pg_switch_wal() TO streamer"
bench_for src 200
lsn=$(sql src "SELECT pg_current_wal_flush_lsn()")
wait_for 60 "replay up to $lsn" sql_true standby "SELECT pg_last_wal_replay_lsn() >= '$lsn'"
take_stream --backup-from=standby
commit_has from_standby true
assert_match "$ERR" 'standby that has replayed'
drop standby
restored_equals four "$LABEL" "$T/s."

sed -i "s|^conninfo = .*|conninfo = host=127.0.0.1 port=${PORT[src]} user=streamer dbname=postgres|" \
	"$T/stream.conf"

note "nothing is left when the connection is cut"
count_commits() { find "$REPO" -name commit | wc -l; }
before=$(count_commits)
how="exec" stream --max-rate=2MB --full >"$T/cut.out" 2>"$T/cut.err" &
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
how="exec" stream --max-rate=2MB --full >"$T/cut.out" 2>"$T/cut.err" &
pid=$!
wait_for 30 "the walsender" there
stop_pid "$pid"
exited "$pid"
wait_for 20 "the end of the walsender" sql_true src "SELECT count(*) = 0 FROM pg_stat_progress_basebackup"
assert_eq "$(count_commits)" "$before" "commits"

note "configuration files elsewhere"
as_user mkdir "$T/etc"
as_user mv "$T/src/pg_hba.conf" "$T/etc/"
pg_conf src "hba_file = '$T/etc/pg_hba.conf'"
pg_stop src
pg_start src
take_stream
assert_match "$ERR" 'pg_hba.conf is outside of the data directory and not in'
sql src "GRANT pg_read_server_files TO streamer; GRANT EXECUTE ON FUNCTION pg_read_file(text) TO streamer"
take_stream
assert_lacks "$ERR" 'outside of the data directory'
restored_equals five "$LABEL"

note "without the right to replicate"
sql src "CREATE ROLE nobody LOGIN IN ROLE pg_monitor"
expect 4 elsewhere "$BIN" --config "$T/stream.conf" backup -U nobody
assert_clear_error 'replication'
assert_hint 'REPLICATION'
