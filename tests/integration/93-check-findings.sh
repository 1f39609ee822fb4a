#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# check finds the common mistakes and prints what to type; and of a set-up
# that is as it should be it says nothing else than ok.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

# The repository lies on another file system than the data directory.
as_user mkdir "$T/disk"
if [ "$(id -u)" = 0 ]; then
	tmpfs "$T/disk" 400m
	REPO=$T/disk/repo
else
	DISK=$(mktemp -d /dev/shm/dapk-test.XXXXXX)
	remove_disk() { rm -rf "$DISK"; }
	AT_END+=(remove_disk)
	REPO=$DISK/repo
fi
pg_new src "$MAIN" --wal-segsize=1
pg_conf src "fsync = on" "archive_timeout = 60"
write_conf src
expect 0 dapk init
pg_start src
set_to() { # SETTING VALUE: in force at once
	sql src "ALTER SYSTEM SET $1 = '${2//\'/\'\'}'" >/dev/null
	pg_reload src
}
back() { # SETTING
	sql src "ALTER SYSTEM RESET $1" >/dev/null
	pg_reload src
}
says() { # CODE 'ok|note|FAILED' WHAT REGEX [option...]: that line, and what to type
	local code=$1 kind=$2 what=$3 regex=$4
	shift 4
	expect "$code" dapk check --archive-timeout 2s "$@"
	assert_match "$OUT" "^$kind +$what: .*$regex" "what check says of $what"
	[ "$kind" = ok ] || grep -A 1 -E "^$kind +$what: " <<<"$OUT" | grep -q '^        next: ' ||
		fail "nothing to type next for $what: $OUT"
}
next_is() { assert_contains "$OUT" "        next: $1" "what to type"; } # TEXT

note "a good set-up: no word of warning"
take_backup
expect 0 dapk check
assert_match "$OUT" '^ok +space: .* are free; what a day takes is not known yet'
take_backup
archive_now src
expect 0 dapk check
# Of other majors there is no pg_dump here.
[ "$MAIN" = 15 ] || OUT=$(sed '/^note  *pg_dump: /,+1d' <<<"$OUT")
! grep -vE '^ok |^all is well$' <<<"$OUT" >"$T/findings" || fail "a false alarm: $OUT"
assert_match "$OUT" '^ok +archive_timeout: 60 s: with this server at most that is lost'
assert_match "$OUT" '^ok +space: .* are free, a day takes about'

note "archive_command: each mistake by its text alone"
good=$(sql src "SHOW archive_command")
command_says() { # COMMAND REGEX
	set_to archive_command "$1"
	says 1 FAILED archive_command "$2"
	next_is "ALTER SYSTEM SET archive_command = '$BIN --config $CONF archive-push %p'; SELECT pg_reload_conf();"
}
command_says /bin/true "stores nothing and says that it did"
command_says 'cp %p /nowhere/%f' 'does not call archive-push'
command_says 'pgbackrest --stanza=main archive-push %p' 'another program'
command_says "$BIN --config $CONF archive-push %f" 'does not give %p'
command_says "$good || true" "ends with '\|\| true'"
command_says "bin/dapk-backup archive-push %p" "$T/src/bin/dapk-backup: No such file"
command_says "$T/bin/nothing archive-push %p" "No such file"
command_says "no-such-program archive-push %p" "is not on the server's PATH"
command_says "$BIN --config /nowhere.conf archive-push %p" 'configuration /nowhere.conf: No such'
command_says "$BIN --config $CONF --cluster other archive-push %p" 'into cluster other, and this check is about main'
as_user install -m 600 "$BIN" "$T/bin2" 2>/dev/null || install -m 600 "$BIN" "$T/bin2"
command_says "$T/bin2 archive-push %p" 'Permission denied'
note "one that works and leads elsewhere"
sed "s,^url = .*,url = file://$T/elsewhere," "$CONF" >"$T/elsewhere.conf"
expect 0 as_user "$BIN" --config "$T/elsewhere.conf" init
set_to archive_command "$BIN --config $T/elsewhere.conf archive-push %p"
says 1 FAILED archiving 'has archived it, but not to here'
back archive_command
expect 0,1 dapk check
take_backup

note "archive_timeout: what would be lost, in seconds"
set_to archive_timeout 0
sql src "CREATE TABLE w AS SELECT g, repeat('x', 200) FROM generate_series(1, 20000) AS g" >/dev/null
if [ "$MAIN" -ge 14 ]; then
	sql src "SELECT pg_stat_clear_snapshot()" >/dev/null
	says 0 note archive_timeout 'up to 1.0 MB: the last [0-9]+ s at what it has written'
else
	says 0 note archive_timeout 'up to 1.0 MB: no time bounds it'
fi
next_is "ALTER SYSTEM SET archive_timeout = '1min'"
set_to archive_timeout 7200
says 0 note archive_timeout '7200 s'
back archive_timeout

note "settings that endanger; one that waits for a restart"
set_to fsync off
says 0 note fsync 'is off'
back fsync
set_to full_page_writes off
says 0 note full_page_writes 'is off'
back full_page_writes

note "a hold; a backup that is old; intervals longer than retain"
expect 0 dapk hold --reason 'new disks'
says 0 note hold 'new disks'
next_is 'dapk-backup release'
expect 0 dapk release
DAPK_BACKUP_BACKUP_WARNING=1s says 0 note backups 'is .* old'
DAPK_BACKUP_BACKUP_WARNING=1s DAPK_BACKUP_BACKUP_CRITICAL=1s says 1 FAILED backups 'is .* old'
sed 's/^url = .*/&\nretain = 1s/' "$CONF" >"$T/short.conf"
expect 0 as_user "$BIN" --config "$T/short.conf" check
assert_match "$OUT" '^note +retain: is 0.0 days, and the last two backups are'

note "directories: others' rights, another owner, inside of the data directory"
chmod 755 "$REPO" "$REPO/clusters"
says 0 note repository 'everybody on this host can read'
next_is "chmod -R go-rwx $REPO"
chmod 777 "$REPO"
says 1 FAILED repository 'anybody on this host can remove'
chmod 700 "$REPO" "$REPO/clusters"
if [ "$(id -u)" = 0 ]; then
	dir=$(find "$REPO/clusters" -type d -path '*/wal/*' | head -n 1)
	chown root "$dir"
	chmod 755 "$dir"
	says 1 FAILED repository "$dir belongs to root"
	next_is "as root: chown -R postgres: $REPO"
	chown postgres "$dir"
	chmod 700 "$dir"
	expect 1 setpriv --reuid=nobody --regid=nogroup --clear-groups "$BIN" --config "$CONF" check --archive-timeout 2s
	assert_match "$OUT" "^FAILED +user: uid $(id -u nobody) is not the owner"
	next_is 'sudo -u postgres dapk-backup check'
fi
sed "s,^url = .*,url = file://$T/src/inside," "$CONF" >"$T/inside.conf"
expect 0 as_user "$BIN" --config "$T/inside.conf" init
expect 1 as_user "$BIN" --config "$T/inside.conf" check --archive-timeout 2s
assert_match "$OUT" '^FAILED +repository: .* lies in the data directory'
rm -rf "$T/src/inside"
sed "s,^url = .*,url = file://$T/same," "$CONF" >"$T/same.conf"
expect 0 as_user "$BIN" --config "$T/same.conf" init
expect 1 as_user "$BIN" --config "$T/same.conf" check --archive-timeout 2s
assert_match "$OUT" '^note +disk: .* file system of the data directory only'

if [ "$(id -u)" = 0 ]; then
	note "no room for tomorrow"
	fallocate -l $(($(stat -f -c '%a * %S' "$T/disk") - (40 << 20))) "$T/disk/full"
	says 1 FAILED space 'there is no room for tomorrow'
	rm "$T/disk/full"
fi

note "what a recovery leaves"
as_user touch "$T/src/recovery.signal"
says 1 FAILED recovery 'recovery.signal lies in the data directory'
next_is "rm $T/src/recovery.signal"
rm "$T/src/recovery.signal"

note "a role without rights; the clock of another host"
sql src "CREATE ROLE weak LOGIN" >/dev/null
sed 's/user=[^ ]*/user=weak/' "$CONF" >"$T/weak.conf"
expect 1 as_user "$BIN" --config "$T/weak.conf" check
assert_match "$OUT" '^FAILED +role: weak may not call .*backup'
next_is 'GRANT EXECUTE ON FUNCTION '
expect 0,1 as_user faketime -f +90s "$BIN" --config "$CONF" check
assert_match "$OUT" "^note +clock: the server's is (89|90|91)[.0-9]* s behind this host's"
assert_match "$OUT" "^note +local .*its clock is (89|90|91)[.0-9]* s behind this host's"
expect 0 dapk check
