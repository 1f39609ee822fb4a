#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# What cannot be recovered, or would overwrite something, is refused with the
# reason, and nothing is written (T87, T90, T92, T95, T98, T104).
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src "$MAIN" --wal-segsize=1
sql src "CREATE TABLE t (n int)"
note "no backup yet"
assert_refused "$T/new" 'no backup|backup'
before_all=$(sql src "SELECT clock_timestamp()")
take_backup
json=$(tail -n +2 "$(backup_dir "$LABEL")/commit")
stop_lsn=$(jq -r .stop_lsn <<<"$json")
start_time=$(jq -r .start_time <<<"$json")
start_lsn=$(jq -r .start_lsn <<<"$json")
segments=()
for i in 1 2 3 4 5; do
	sql src "INSERT INTO t VALUES ($i)"
	segments+=("$(sql src "SELECT pg_walfile_name(pg_switch_wal())")")
	sql src "SELECT pg_create_restore_point('p$i')" >/dev/null
done
archive_now src
end_time=$(sql src "SELECT clock_timestamp()")
end_lsn=$(sql src "SELECT pg_current_wal_lsn()")

note "before the first backup's end"
assert_refused "$T/new" 'before|backup' --target-time "$before_all"
assert_hint
assert_refused "$T/new" 'before|backup' --target-time "$start_time"
assert_refused "$T/new" 'before|backup' --target-lsn 0/100000
assert_refused "$T/new" 'before|backup' --target-lsn "$start_lsn"
expect 0 dapk restore -D "$T/new" --target-lsn "$stop_lsn" --dry-run

note "after the archive's end"
assert_refused "$T/new" 'after|archive|reach|later' --target-time '2222-01-01 00:00:00+00'
assert_hint
assert_refused "$T/new" 'after|archive|reach|beyond|later' --target-lsn FF/0
assert_refused "$T/new" 'transaction|xid' --target-xid 4000000000

note "unknown names, labels, timelines, and what is no time"
assert_refused "$T/new" 'nosuchpoint' --target-name nosuchpoint
assert_refused "$T/new" '20010101' --backup 20010101
assert_refused "$T/new" 'timeline' --timeline 7
for bad in yesterday-ish '2026-13-01 00:00:00' '2026-11-22 13am' '' 'now() - 1'; do
	assert_refused "$T/new" 'time' --target-time "$bad"
done
assert_refused "$T/new" 'lsn' --target-lsn nonsense
assert_refused "$T/new" 'xid|number|transaction' --target-xid nonsense
assert_refused "$T/new" 'target' --target-lsn "$end_lsn" --target-time "$end_time"
expect 2 dapk restore --target latest
assert_clear_error 'directory|-D'

note "a gap in the WAL"
hole=$(stored_wal "${segments[2]}")
mv "$hole" "$T/hole"
assert_refused "$T/new" "${segments[2]}" --target latest
assert_refused "$T/new" "${segments[2]}"
assert_refused "$T/new" "${segments[2]}" --target-name p4
note "what lies before the gap is reachable"
restored new "$MAIN" --target-name p1
assert_eq "$(sql new 'SELECT max(n) FROM t')" 1 "rows before the gap"
drop new
expect 0,1 dapk info
assert_contains "$OUT" "${segments[2]}" "the gap in info"
note "what the refusal names is reachable, and the end that it tells too"
run dapk restore -D "$T/new"
last=$(grep -o -- '--target-lsn [0-9A-F/]*' <<<"$OUT$ERR" | head -n 1 | cut -d ' ' -f 2)
restored new "$MAIN" --target-lsn "$last"
assert_eq "$(sql new 'SELECT max(n) FROM t')" 2 "rows up to the gap"
drop new
mv "$T/hole" "$hole"

note "a damaged segment long after the target does not matter (PostgreSQL reads ahead)"
hole=$(stored_wal "${segments[4]}")
cp "$hole" "$T/hole"
printf 'damage' | dd of="$hole" bs=1 seek=2000 conv=notrunc status=none
restored new "$MAIN" --target-name p2
assert_eq "$(sql new 'SELECT max(n) FROM t')" 2 "rows before the damage"
drop new
note "before the end it does, and nothing is written"
expect 5 dapk restore -D "$T/new"
assert_clear_error "${segments[4]}"
[ ! -e "$T/new" ] || fail "a refused restore made the directory"
cp "$T/hole" "$hole"

note "a pack that is gone is told before anything is written"
pack=$(find "$(backup_dir "$LABEL")" -name 'pack-*' | head -n 1)
mv "$pack" "$T/pack"
expect 5 dapk restore -D "$T/new"
assert_clear_error "$(basename "$pack")"
[ ! -e "$T/new" ] || fail "a refused restore made the directory"
mv "$T/pack" "$pack"

note "the WAL that makes the backup consistent is missing: no target at all"
first=$(jq -r .wal.first <<<"$json")
hole=$(stored_wal "$first" | grep -v backup)
mv "$hole" "$T/hole"
assert_refused "$T/new" "$first" --target immediate
mv "$T/hole" "$hole"

note "directories that hold something"
as_user mkdir "$T/full"
as_user touch "$T/full/something"
assert_refused "$T/full" 'empty'
assert_hint
as_user mkdir "$T/hidden"
as_user touch "$T/hidden/.hidden"
assert_refused "$T/hidden" 'empty'
before=$(pg_pid src)
expect 1,2,3,4,5 dapk restore -D "$T/src"
assert_clear_error 'running|empty|server'
assert_eq "$(pg_pid src)" "$before" "the running server"
assert_eq "$(sql src 'SELECT count(*) FROM t')" 5 "rows of the running server"
echo file >"$T/file"
expect 1,2,3,4,5 dapk restore -D "$T/file"
assert_eq "$(cat "$T/file")" file "a file in the way"
expect 1,2,3,4,5 dapk restore -D /proc/nothing
assert_clear_error '/proc'

note "an empty directory is fine, and its mode becomes PostgreSQL's"
as_user mkdir -m 755 "$T/new"
restored new "$MAIN"
assert_eq "$(stat -c %a "$T/new")" 700 "mode of the data directory"
assert_eq "$(sql new 'SELECT count(*) FROM t')" 5 "rows"
drop new

note "an interrupted restore cannot be started by mistake, nor taken for a whole one (T90, T91)"
for opened in 100 500 900; do
	run as_user strace -f -qq -o /dev/null -e "inject=openat:signal=KILL:when=$opened" \
		"$BIN" --config "$CONF" restore -D "$T/new" --jobs 1
	assert_ne "$RC" 0 "exit code of a killed restore"
	[ ! -s "$T/new/global/pg_control" ] || note "killed after pg_control ($opened)"
	rm -f "$T/new/postmaster.pid"
	if [ -d "$T/new" ] && as_user "${PGBIN[src]}/pg_ctl" -D "$T/new" -l "$T/half.log" -t 10 -w \
		-o "-p $next_port" start >/dev/null 2>&1; then
		fail "PostgreSQL starts in a half restored directory (killed at $opened)"
	fi
	rm -rf "$T/new"
done

note "a start that fails leaves no socket directory in /tmp behind"
as_user mkdir "$T/bad-bin"
cat >"$T/bad-bin/postgres" <<'END'
#!/bin/sh
[ "$1" != -V ] || echo "postgres (PostgreSQL) $FAKE_MAJOR.1"
[ "$1" != -D ] || case " $* " in *" -C "*) ;; *) exit 1 ;; esac
END
chmod 755 "$T/bad-bin/postgres"
long=$T/$(printf 'x%.0s' {1..90})
expect 1,2,3,4,5 as_user env "DAPK_BACKUP_PGBIN=$T/bad-bin" "FAKE_MAJOR=$MAIN" \
	"$BIN" --config "$CONF" restore -D "$long" --start
sockets=$(grep -o '/tmp/dapk-backup-......' <<<"$ERR" | head -n 1)
assert_ne "$sockets" '' "a socket directory was made"
[ ! -e "$sockets" ] || fail "$sockets was left behind"
rm -rf "$long"

note "another cluster of the same name, wrong repository"
assert_refused "$T/new" 'repository|typo' --repository-url "file://$T/typo"
assert_refused "$T/new" 'cluster|nosuch' --cluster nosuch

note "by root (T104): the files would not be PostgreSQL's"
expect 1,2 "$BIN" --config "$CONF" restore -D "$T/roots"
assert_clear_error 'restore does not run as root'
assert_hint 'sudo -u postgres'
[ ! -e "$T/roots" ] || fail "something was restored"

note "a directory that cannot be written"
mkdir "$T/readonly"
chmod 555 "$T/readonly"
assert_refused "$T/readonly/new" 'permission'
