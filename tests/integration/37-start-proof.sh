#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# restore --start without a target holds the server to the archive: what was
# archived meanwhile is fine, WAL from elsewhere is not.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src "$MAIN" --wal-segsize=1
sql src "CREATE TABLE t AS SELECT 1 AS n"
take_backup
sql src "INSERT INTO t VALUES (2)"
archive_now src

# What the hook does happens between the plan and the server's start.
as_user mkdir "$T/wrap"
cat >"$T/wrap/postgres" <<END
#!/bin/sh
case " \$* " in *" -V "* | *" -C "*) ;; *) . "$T/hook" ;; esac
exec "$(program_for "$MAIN" postgres)" "\$@"
END
chmod 755 "$T/wrap/postgres"
start() { # DIR
	free_port
	"${AS_USER[@]}" "DAPK_BACKUP_PGBIN=$T/wrap" "$BIN" --config "$CONF" \
		restore -D "$1" --start --port "$FREE_PORT"
}

note "the archive grows after the plan"
echo "touch '$T/starting'; while [ ! -e '$T/grown' ]; do sleep 0.1; done" >"$T/hook"
start "$T/new" >"$T/start.out" 2>&1 &
pid=$!
wait_for 60 "the server's start" test -e "$T/starting"
sql src "INSERT INTO t VALUES (3)"
archive_now src
touch "$T/grown"
wait "$pid" || fail "restore: $(cat "$T/start.out")"
pg_adopt new "$(sed -n 4p "$T/new/postmaster.pid")" "$MAIN" "$T/new"
assert_eq "$(sql new 'SELECT count(*) FROM t')" 3 "rows"
drop new

note "WAL that the archive does not have is replayed"
archive_with src false
pg_reload src
wait_for 20 "the setting" eval '[ "$(sql src "SHOW archive_command")" = false ]'
sql src "INSERT INTO t VALUES (4)"
segment=$(sql src "SELECT pg_walfile_name(pg_switch_wal())")
echo "cp '$T/src/pg_wal/$segment' '$T/over/pg_wal/'" >"$T/hook"
free_port
expect 1,2,3,4,5 as_user "DAPK_BACKUP_PGBIN=$T/wrap" "$BIN" --config "$CONF" \
	restore -D "$T/over" --start --port "$FREE_PORT"
assert_clear_error 'went on to LSN'
! pg_running "$T/over" || fail "the server was left running"
