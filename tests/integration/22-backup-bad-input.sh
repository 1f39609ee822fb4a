#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Whatever is wrong before or during a backup: one clear error, a documented
# exit code, soon, no half backup, and what was stored before stays.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
[ "$(id -u)" = 0 ] || fail "this test mounts small file systems and needs root"

pg_with_repository src
sql src "CREATE TABLE t AS SELECT n, md5(n::text) FROM generate_series(1, 20000) n"
take_backup
good=$LABEL
conn="host=$T/src.sock port=${PORT[src]} user=postgres dbname=postgres"

commits() { find "$T" -path '*/backups/*/commit' | sort; }
only_good() {
	assert_eq "$(commits)" "$(backup_dir "$good")/commit" "the commits"
	sql_true src "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'dapk%'" ||
		fail "a session of ours is left"
}
refuses() { # CODES REGEX COMMAND...
	local codes=$1 regex=$2
	shift 2
	expect "$codes" "$@"
	assert_clear_error "$regex"
	only_good
}

note "options, keys and values"
refuses 2 'no-such-option|unknown' dapk backup --no-such-option
refuses 2 'jobs' dapk backup --jobs many
refuses 2 'jobs' dapk backup --jobs -1
refuses 2 'max-rate' dapk backup --max-rate fast
refuses 2 'checkpoint' dapk backup --checkpoint sometimes
refuses 2 'argument|surplus|backup' dapk backup surplus
refuses 2 'backups|unknown|command' dapk backups
refuses 2 'target-time|unknown' dapk backup --target-time now
refuses 2 'none.conf' as_user "$BIN" --config "$T/none.conf" backup
bad_conf() { # REGEX LINE
	printf '%s\n' "$2" | cat - "$CONF" >"$T/bad.conf"
	refuses 2 "bad.conf.*$1|$1.*bad.conf" as_user "$BIN" --config "$T/bad.conf" backup
}
bad_conf 'colour|line 2|:2' $'[global]\ncolour = blue'
bad_conf 'compress-level|line 2|:2' $'[global]\ncompress-level = 99'
bad_conf 'section|:1|line 1|nonsense' $'[nonsense]\nx = 1'
bad_conf ':1|line 1|key' 'no section here'
chmod 000 "$T/bad.conf"
refuses 2 'bad.conf' as_user "$BIN" --config "$T/bad.conf" backup
chmod 644 "$T/bad.conf"
cp "$CONF" "$T/bad.conf"
sed -i 's,^url = .*,url = ftp://x/y,' "$T/bad.conf"
refuses 2 'ftp|url' as_user "$BIN" --config "$T/bad.conf" backup
refuses 2 'colour|DAPK_BACKUP_JOBS' as_user env DAPK_BACKUP_JOBS=colour "$BIN" --config "$CONF" backup

note "the connection"
refuses 4 'connect|no such file' dapk backup --conninfo "host=$T/nowhere port=1 user=postgres"
refuses 4 'connect|refused' dapk backup --conninfo 'host=127.0.0.1 port=5699 user=postgres connect_timeout=5'
refuses 4 'nobody_here' dapk backup --conninfo "host=$T/src.sock port=${PORT[src]} user=nobody_here"
refuses 2,4 'conninfo|colour|connection' dapk backup --conninfo 'colour=blue'
sql src "CREATE ROLE poor LOGIN"
refuses 4 'poor|permission|superuser|privilege' dapk backup --conninfo "host=$T/src.sock port=${PORT[src]} user=poor dbname=postgres"

note "the data directory"
pg_new other
pg_start other
refuses 2,4 'system id|another|other' dapk backup --pgdata "$T/other"
refuses 2,4 'system id|another|other|repository' dapk backup --pgdata "$T/src" \
	--conninfo "host=$T/other.sock port=${PORT[other]} user=postgres dbname=postgres"
refuses 2,3,4 'nothing' dapk backup --pgdata "$T/nothing"
mkdir -p "$T/hollow"
refuses 2,3,4 'hollow|pg_control|PG_VERSION' dapk backup --pgdata "$T/hollow"

note "the wrong user"
refuses 2 'user|owner|postgres|root' "$BIN" --config "$CONF" backup
if id nobody >/dev/null 2>&1; then
	refuses 2,3,4 'user|owner|postgres|permission' setpriv --reuid=nobody --clear-groups \
		"$BIN" --config "$CONF" backup
fi

note "the repository"
refuses 2,3 'repository|typo' dapk backup --repository-url "file://$T/typo"
[ ! -e "$T/typo" ] || fail "backup made a repository"
refuses 2,3 'read|permission|directory' dapk backup --repository-url "file:///proc/1/x"

note "another backup is running"
"${AS_USER[@]}" "$BIN" --config "$CONF" backup --max-rate 4MB 2>"$T/slow.log" >"$T/slow.log" &
slow=$!
copying() { grep -q "starts at" "$T/slow.log"; }
wait_for 20 "the first backup to copy" copying
expect 6 dapk backup
assert_clear_error 'another|running|lock'
stop_pid "$slow" TERM
exited "$slow"
only_good

note "archiving is off, or fails: told soon, not after hours (T57)"
archive_with src false
pg_reload src
start=$SECONDS
refuses 4 'archiv' dapk backup --archive-timeout 4s
assert_between $((SECONDS - start)) 0 30 "seconds until the error"
assert_hint
archive_with src ''
pg_reload src
start=$SECONDS
refuses 1,4 'archive_command' dapk backup --archive-timeout 30s
assert_between $((SECONDS - start)) 0 10 "seconds until the error"
pg_stop src
pg_start src archive_mode=off
refuses 1,4 'archive_mode' dapk backup
assert_hint
pg_stop src
archive_with src "$BIN --config $CONF archive-push %p"
pg_start src

note "an unreadable file"
as_user touch "$T/src/base/unreadable"
chown root "$T/src/base/unreadable"
chmod 000 "$T/src/base/unreadable"
refuses 2,3,4 'unreadable' dapk backup
rm "$T/src/base/unreadable"

note "disk full in the repository"
tmpfs "$T/small" 6m
small_conf=$T/small.conf
sed "s,^url = .*,url = file://$T/small/repo," "$CONF" >"$small_conf"
expect 0 as_user "$BIN" --config "$small_conf" init
sql src "CREATE TABLE big AS SELECT gen_random_uuid() FROM generate_series(1, 300000)"
expect 3 as_user "$BIN" --config "$small_conf" backup --archive-timeout 10s
assert_clear_error 'no space'
only_good
expect 0 as_user "$BIN" --config "$small_conf" info

note "and after all of that a backup works"
take_backup
assert_eq "$(commits | wc -l)" 2 "commits"
