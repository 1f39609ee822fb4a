#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# check proves the whole way with a segment that arrives; what is wrong is
# named, with the next command to type, and makes the exit code 1 or worse.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src "$MAIN" --wal-segsize=1
before=$(find "$REPO" -path '*/wal/*' -type f | wc -l)
expect 0 dapk check
assert_match "$OUT" '^ok +pg_dump: |^note +pg_dump: .* is newer than the server' "the look for pg_dump"
after=$(find "$REPO" -path '*/wal/*' -type f | wc -l)
assert_between "$after" $((before + 1)) $((before + 3)) "WAL objects after a check"
find "$REPO" -type f ! -path '*/wal/*' ! -name dapk-repository ! -name README.recovery |
	grep . && fail "check left something in the repository"

wrong() { # REGEX [option...]
	local regex=$1
	shift
	expect 1,2,3,4 dapk check --archive-timeout 5s "$@"
	assert_match "$OUT$ERR" "$regex" "what check says"
	assert_match "$OUT$ERR" 'next:|hint:' "what to type next"
}

note "a pg_dump that is not there is told with its package, and fails nothing"
mkdir "$T/nothing"
expect 0 dapk check --pg-bin-dir "$T/nothing"
assert_match "$OUT" '^note +pg_dump: .*the dump command needs it'
assert_match "$OUT" 'next: .*postgresql-client-'

note "archiving that fails, is empty, is off, goes elsewhere"
archive_with src false
pg_reload src
wrong 'archiv'
archive_with src ''
pg_reload src
wrong 'archive_command'
archive_with src 'true'
pg_reload src
wrong 'segment|arriv'
pg_stop src
pg_start src archive_mode=off
wrong 'archive_mode'
pg_stop src
pg_start src archive_mode=off wal_level=minimal max_wal_senders=0
wrong 'wal_level'
pg_stop src
archive_with src "$BIN --config $CONF archive-push %p"
pg_start src

note "connection, data directory, repository"
wrong 'connect' --conninfo "host=$T/nowhere user=postgres"
pg_new other
wrong 'director|system' --pgdata "$T/other"
wrong 'typo' --repository-url "file://$T/typo"
[ ! -e "$T/typo" ] || fail "check made a repository"

note "and when all is mended it says so"
expect 0 dapk check
