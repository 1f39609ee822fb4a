#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A copy of the server that archives into its source's repository is found
# out, from either side, also when its segments have the source's names; and
# archiving that a recovery has left off is told.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src "$MAIN" --wal-segsize=1
sql src "CREATE TABLE t AS SELECT 1 AS n"
take_backup
archive_now src

says() { # CODE KIND WHAT REGEX [CONF]
	expect "$1" as_user "$BIN" --config "${5:-$CONF}" check --archive-timeout 5s
	assert_match "$OUT" "^$2 +$3: .*$4" "what check says"
	grep -A 1 -E "^$2 +$3: " <<<"$OUT" | grep -q '^        next: ' || fail "nothing to type next: $OUT"
}
commits() { # NAME: a commit that is archived
	sql "$1" "INSERT INTO t VALUES (2)"
	archive_now "$1"
}
conf_of() { # NAME: a configuration with the same repository
	sed -e "s,^pgdata = .*,pgdata = $T/$1," \
		-e "s,^conninfo = .*,conninfo = host=$(psql_host "$1") port=${PORT[$1]} user=postgres dbname=postgres," \
		-e "s,^state-directory = .*,state-directory = $T/state.$1," "$CONF" >"$T/$1.conf"
}

note "a copy of the files, started beside: the same timeline"
pg_stop src
as_user cp -a "$T/src" "$T/twin"
as_user mkdir "$T/twin.sock"
free_port
pg_adopt twin "$FREE_PORT" "$MAIN" "$T/twin.sock"
pg_conf twin "port = $FREE_PORT" "unix_socket_directories = '$T/twin.sock'"
conf_of twin
pg_start src
pg_start twin
commits src
commits src
says 1 FAILED 'other servers' 'this server has not written it yet: another one' "$T/twin.conf"
assert_match "$OUT" "next: on the server that is the copy: ALTER SYSTEM SET archive_mode = off"
note "its segments of the source's names are refused, and never taken for arrived"
assert_match "$OUT" '^FAILED +(other servers: segment .* is stored with another content|archiving: )'
pg_stop twin immediate
rm -rf "${T:?}/twin"
expect 0 dapk check
assert_lacks "$OUT" 'other servers' "the source, with nothing of the copy stored"

note "restored, promoted, and archiving is off: told, and the source is not disturbed"
restored late "$MAIN"
conf_of late
says 1 FAILED archive_mode "turned off by 'dapk-backup restore'" "$T/late.conf"
assert_match "$OUT" 'next: .*ALTER SYSTEM RESET archive_mode'
drop late
expect 0 dapk check
assert_lacks "$OUT" 'other servers'

note "a recovery that has paused at its target archives nothing either"
restored late "$MAIN" --target immediate --action pause
conf_of late
says 1 FAILED recovery 'has paused at its target' "$T/late.conf"
assert_match "$OUT" 'next: .*pg_wal_replay_resume'
drop late

note "restored, promoted, and it archives while the source runs: both see it"
restored clone "$MAIN" --keep-archiving
conf_of clone
commits clone
says 1 FAILED 'other servers' "on timeline 2, which left this server's at .*, and this server was running"
commits src
# As if it had been promoted long ago.
touch -d '10 minutes ago' "$T/clone/pg_wal/00000002.history"
says 1 FAILED 'other servers' 'on timeline 1, which this server has left: its last commit is of' "$T/clone.conf"
pg_stop src
pg_start src
says 0 note 'other servers' "timeline 2 is stored, which left this server's, 1, .*restore takes it for the latest"
assert_match "$OUT" 'next: .*restore --timeline 1'

note "a copy that went on as the only server is none"
pg_stop src
touch "$T/clone/pg_wal/00000002.history"
expect 0 as_user "$BIN" --config "$T/clone.conf" backup
expect 0 as_user "$BIN" --config "$T/clone.conf" check
assert_lacks "$OUT" 'other servers'
