#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A dump that cannot end well leaves no commit and nothing running, says why,
# and the next one works: signals, a killed backend, pg_dump killed, a server
# that goes away, kill -9, a full disk.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/dumps.sh
. "$TEST_TOP/tests/lib/dumps.sh"

REPO=$T/small/repo
tmpfs "$T/small" 600m
dumps_with_repository src
new_db src shop
# Does not compress much.
sql src "CREATE TABLE big AS SELECT n, (SELECT string_agg(md5(n::text || i), '') FROM generate_series(1, 32) i) AS t
		FROM generate_series(1, 60000) n;
	CREATE TABLE small AS SELECT n FROM generate_series(1, 1000) n;
	SELECT lo_from_bytea(0, sha512(n::text::bytea)) FROM generate_series(1, 100) n" shop >/dev/null

in_the_middle() { # [option...]: a dump whose workers copy, stopped
	start_dump shop --jobs 2 "$@"
	until_true src 20 "$copying"
	kill -s STOP "$DUMP_PID"
	sql_true src "SELECT $copying" || fail "the dump was faster than this test"
}
ended_badly() { # CODES REGEX
	end_dump
	[[ ",$1," = *",$RC,"* ]] || fail "exit code $RC, expected $1: $ERR"
	assert_clear_error "$2"
	no_session_left src
	assert_no_dump "${3:-0}"
	assert_eq "$(pgrep -cf "^[^ ]*pg_dump .*$T" || :)" 0 "pg_dumps left"
}

for signal in TERM INT; do
	note "SIG$signal"
	in_the_middle
	kill -s $signal "$DUMP_PID"
	kill -s CONT "$DUMP_PID"
	start=$SECONDS
	[ $signal = INT ] && code=130 || code=143
	ended_badly "$code" 'cancel|interrupt|signal'
	assert_between $((SECONDS - start)) 0 10 "seconds to end"
done

note "the backend of a worker is terminated"
in_the_middle
sql src "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE $our_backends AND query LIKE 'COPY % TO STDOUT%'" >/dev/null
kill -s CONT "$DUMP_PID"
ended_badly 4 'terminating connection|connection|closed'

note "the backend of the leader, which keeps snapshot and locks"
in_the_middle
sql src "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE $our_backends AND state = 'idle in transaction'" >/dev/null
kill -s CONT "$DUMP_PID"
ended_badly 4 'terminating connection|connection|closed|snapshot'

note "a query is cancelled"
in_the_middle
sql src "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE $our_backends AND query LIKE 'COPY % TO STDOUT%'" >/dev/null
kill -s CONT "$DUMP_PID"
ended_badly 4 'cancel'

note "the server goes away"
in_the_middle
pg_stop src immediate
kill -s CONT "$DUMP_PID"
end_dump
assert_eq "$RC" 4 "exit code: $ERR"
assert_no_dump
pg_start src archive_mode=off

note "the disk is full"
mount -o remount,size=24m "$T/small"
start_dump shop
end_dump
assert_eq "$RC" 3 "exit code on a full disk: $ERR"
assert_clear_error 'No space left'
no_session_left src
assert_no_dump
sync
assert_between "$(df --output=used -k "$T/small" | tail -n 1)" 0 4096 "kB that are left on the disk that was full"
mount -o remount,size=600m "$T/small"

note "kill -9, then again: what was left goes, and nothing was in the way"
in_the_middle
kill -s KILL "$DUMP_PID"
exited "$DUMP_PID" 2>/dev/null
no_session_left src
assert_eq "$(dump_commits)" 0 "commits after SIGKILL"
take_dump shop
expect 0 dapk expire --grace=0s # lists it
expect 0 dapk expire --grace=0s # removes it
assert_no_dump 1
load_dump src "$LABEL" back
assert_same_db src shop src back
drop_db src back

note "two at once: one of them waits or says who is at it"
in_the_middle
expect 6 dapk dump shop
assert_clear_error "dump on host $(hostname), pid $DUMP_PID"
kill -s CONT "$DUMP_PID"
end_dump
assert_eq "$RC" 0 "exit code of the first: $ERR"

note "pg_dump is killed, says nothing useful, or dies in the middle of its table of contents"
as_user mkdir "$T/pgbin"
real=$(client_dir "$MAIN")
for how in 'exit 1' 'kill -9 $$' '"$real/pg_dump" "$@" | head -c 3000' 'head -c 5000 /dev/urandom' 'printf "PGDMP\1\143\0"' 'exec sleep 0'; do
	printf '#!/bin/bash\nreal=%s\n[ "$1" != --version ] || exec "$real/pg_dump" --version\n%s\n' "$real" "$how" >"$T/pgbin/pg_dump"
	chmod 755 "$T/pgbin/pg_dump"
	before=$(dump_commits)
	expect 1,4 dapk dump shop --pg-bin-dir "$T/pgbin"
	assert_clear_error 'pg_dump'
	assert_eq "$(dump_commits)" "$before" "commits with a pg_dump that does: $how"
done
