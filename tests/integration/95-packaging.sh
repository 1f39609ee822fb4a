#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# The Debian package: built by "make deb" from what a release has, clean by
# lintian, installed, upgraded and purged in a root directory of its own (a copy
# of this machine's that ends with the test), and what it put there works.
# Then A SERVER SET UP BY README ALONE: the commands of its section "Set up a
# server", as they stand there, on Debian's own cluster "15 main"; those of
# "Recovery in five commands", with a time and a label that are real; and
# whatever README and the pages in docs/ name exists.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/machine.sh
. "$TEST_TOP/tests/lib/machine.sh"

note "README and docs/ name what there is"
python3 "$TEST_TOP/tests/lib/docs.py" "$BIN" "$TEST_TOP" "$TEST_TOP/README.md" "$TEST_TOP"/docs/*.md ||
	fail "README or docs/ names what does not exist"

note "the package is built"
build_package
lintian --fail-on error,warning --allow-root "$T/deb"/*.changes ||
	fail "lintian has something to say"
fields=$(dpkg-deb -f "$DEB" Depends Recommends)
for library in libpq5 libssl3 libarchive13 libcurl4 libexpat1 libssh2-1; do
	assert_contains "$fields" "$library" "what the package asks for"
done
assert_eq "$(dpkg-deb -f "$DEB" Version)" "$("$BIN" --version | cut -d' ' -f2)" "version"

note "it is installed"
machine_new
machine "$(cat <<'END'
dpkg -P dapk-backup >/dev/null 2>&1 || :
rm -rf /var/lib/dapk-backup /var/lib/dapk-backup-state /etc/dapk-backup.conf
dpkg -i /deb/dapk-backup_*.deb
END
)"
machine "stat -c '%n %U %G %a %F' /var/lib/dapk-backup /var/lib/dapk-backup-state" >"$T/dirs"
assert_eq "$(cat "$T/dirs")" "/var/lib/dapk-backup postgres postgres 700 directory
/var/lib/dapk-backup-state postgres postgres 700 directory" "the directories"
machine "$(cat <<'END'
set -e
for file in /usr/bin/dapk-backup /usr/share/dapk-backup/recover.py /etc/dapk-backup.conf \
	/usr/share/bash-completion/completions/dapk-backup \
	/usr/share/zsh/vendor-completions/_dapk-backup \
	/usr/share/man/man1/dapk-backup.1.gz /usr/share/man/man1/dapk-backup-restore.1.gz /usr/share/man/man5/dapk-backup.conf.5.gz /usr/share/man/man5/dapk-backup-format.5.gz \
	/usr/share/doc/dapk-backup/examples/crontab.example; do
	[ -s "$file" ] || { echo "$file is missing"; exit 1; }
done
[ "$(dpkg-query -W -f '${Conffiles}' dapk-backup | grep -c /)" = 1 ]
! ls /etc/systemd/system/*.wants 2>/dev/null | grep dapk-backup
bash -n /usr/share/bash-completion/completions/dapk-backup
zsh -n /usr/share/zsh/vendor-completions/_dapk-backup
su postgres -s /bin/sh -c 'dapk-backup info' 2>&1 | grep -q 'dapk-backup init'
END
)" || fail "what the package installed"

note "its units hold, and are hardened"
jobs=(backup dump verify copy status)
for job in "${jobs[@]}"; do
	machine "ln -s dapk-backup-$job@.service /lib/systemd/system/dapk-backup-$job@main.service
		systemd-analyze verify --man=no --recursive-errors=no dapk-backup-$job@main.service /lib/systemd/system/dapk-backup-$job@.timer
		systemd-analyze security --offline=yes --threshold=20 /lib/systemd/system/dapk-backup-$job@.service | tail -n 1
		rm /lib/systemd/system/dapk-backup-$job@main.service" >"$T/unit" 2>&1 ||
		fail "units of $job: $(cat "$T/unit")"
	assert_match "$(cat "$T/unit")" '^. Overall exposure level.* [01]\.[0-9] OK' "exposure of $job"
	assert_eq "$(wc -l <"$T/unit")" 1 "what systemd says of $job: $(cat "$T/unit")"
done

note "cron's lines are commands that exist"
machine "$(cat <<'END'
set -e
sed -n 's/^#\?[0-9*].* postgres *\(nice \)\?dapk-backup \([a-z]*\) .*/\2/p' \
	/usr/share/doc/dapk-backup/examples/crontab.example >/run/cron
[ "$(wc -l </run/cron)" = 6 ]
while read -r command; do dapk-backup help "$command" >/dev/null; done </run/cron
END
)" || fail "crontab.example"

note "an upgrade changes nobody's file and directory, a purge takes no backup"
machine "$(cat <<'END'
set -e
echo '# ours' >>/etc/dapk-backup.conf
chmod 750 /var/lib/dapk-backup
dpkg -i /deb/dapk-backup_*.deb >/dev/null
tail -n 1 /etc/dapk-backup.conf | grep -q ours
[ "$(stat -c %a /var/lib/dapk-backup)" = 750 ]
touch /var/lib/dapk-backup/precious
dpkg -P dapk-backup >/dev/null
[ -e /var/lib/dapk-backup/precious ]
[ ! -e /var/lib/dapk-backup-state ]
[ ! -e /etc/dapk-backup.conf ]
[ ! -e /usr/bin/dapk-backup ]
rm /var/lib/dapk-backup/precious
dpkg -i /deb/dapk-backup_*.deb >/dev/null
chmod 700 /var/lib/dapk-backup
END
)" || fail "upgrade and purge"

# ---------------------------------------- a server set up by README alone

note "Debian's own cluster, and README's commands one after another"
readme_section "Set up a server"
sed -i '/apt\(-get\)\? install/d' "$T/readme.sh" # the package is installed
assert_contains "$(cat "$T/readme.sh")" 'dapk-backup init' "README's commands"
assert_contains "$(cat "$T/readme.sh")" 'archive-push %p' "README's commands"
machine_put "$T"/readme.{conf,sh,cron}
machine_server
machine "$(cat <<'END'
set -e
runuser -u postgres -- psql -q -c 'CREATE TABLE shipments AS SELECT n FROM generate_series(1, 1000) n'
runuser -u postgres -- createdb shop
runuser -u postgres -- psql -q -d shop -c 'CREATE TABLE shipments AS SELECT n FROM generate_series(1, 500) n'
END
)" || fail "the server's databases"
in_readme() { machine "cd / && $1"; }
in_readme 'cp /run/readme.conf /etc/dapk-backup.conf'
expect 0 in_readme 'bash -ex /run/readme.sh'
note "what README promised is there"
expect 0,1 in_readme 'sudo -u postgres dapk-backup status'
assert_contains "$OUT" main "status"
expect 0 in_readme 'sudo -u postgres dapk-backup info'
assert_match "$OUT" '[0-9]{8}T[0-9]{6}Z' "the first backup"

note "the nights: cron's lines and the timers' services, each as it stands"
in_readme "$(cat <<'END'
set -e
sed -n 's/^[0-9*]\S* \+\S\+ \+\S\+ \+\S\+ \+\S\+ \+\(postgres \+\)\?//p' /run/readme.cron >/run/lines
while IFS= read -r line; do
	runuser -u postgres -- sh -c "$line" </dev/null || { echo "cron: $line" >&2; exit 1; }
done </run/lines
for job in backup dump verify; do
	sed -n 's/^ExecStart=-\{0,1\}//p' "/lib/systemd/system/dapk-backup-$job@.service" >/run/lines
	[ -s /run/lines ]
	while IFS= read -r line; do
		runuser -u postgres -- ${line//%i/main} </dev/null || { echo "unit: $line" >&2; exit 1; }
	done </run/lines
done
END
)" >"$T/nights" 2>&1 || fail "a nightly command: $(tail -n 20 "$T/nights")"
expect 0 in_readme 'sudo -u postgres dapk-backup info'
assert_contains "$OUT" postgres "the dump"

note "and it comes back: recovery in five commands"
in_readme "$(cat <<'END'
set -e
shop() { runuser -u postgres -- psql -X -A -t -q -d shop -c "$1"; }
shop 'SELECT pg_switch_wal()' >/dev/null
shop 'SELECT clock_timestamp()' >/run/moment
sleep 1.1
shop 'DELETE FROM shipments WHERE n > 1'
shop 'INSERT INTO shipments VALUES (0)'
segment=$(shop 'SELECT pg_walfile_name(pg_switch_wal())')
for i in $(seq 150); do
	[ "$(shop "SELECT coalesce(last_archived_wal, '') >= '$segment' FROM pg_stat_archiver")" != t ] || exit 0
	sleep 0.1
done
exit 1
END
)" || fail "the accident"
awk '/^## / { on = /^## Recovery in five commands/ } on && /^       sudo/ { sub(/^ +/, ""); print }' \
	"$TEST_TOP/README.md" >"$T/five"
assert_eq "$(wc -l <"$T/five")" 5 "README's recoveries"
moment=$(in_readme 'cat /run/moment')
dump=$(in_readme "runuser -u postgres -- dapk-backup info --json" |
	jq -r '[.. | objects | select(.database? == "shop") | .label] | max')
# What differs between this machine and that of a reader.
for what in "2026-11-22 14:31:07+01=$moment" "20261123T021500Z=$dump" \
	"file:///mnt/backup=file:///var/lib/dapk-backup"; do
	grep -qF "${what%%=*}" "$T/five" || fail "README has no ${what%%=*} any more"
	sed -i "s|${what%%=*}|${what#*=}|" "$T/five"
done
comes_back() { # COMMAND COUNT [SQL]: in the server it starts, if it starts one
	local dir
	dir=$(sed -n 's/.* -D \([^ ]*\) .*/\1/p' <<<"$1")
	in_readme "$(printf 'dir=%s count=%s sql=%q\n' "$dir" "$2" "${3:-SELECT count(*) FROM shipments}"
		printf '%s\n' 'set -e' "$1"
		cat <<'END'
at=()
if [ -n "$dir" ]; then at=(-h "$(sed -n 5p "$dir/postmaster.pid")" -p "$(sed -n 4p "$dir/postmaster.pid")"); fi
found=$(runuser -u postgres -- psql -X -A -t -d shop "${at[@]}" -c "$sql")
[ -z "$dir" ] || runuser -u postgres -- /usr/lib/postgresql/15/bin/pg_ctl -D "$dir" -m immediate stop >/dev/null
[ "$found" = "$count" ] || { echo "$found instead of $count"; exit 1; }
END
	)" >"$T/back" 2>&1 || fail "$1: $(tail -n 20 "$T/back")"
}
mapfile -t five <"$T/five"
comes_back "${five[0]}" 2
comes_back "${five[1]}" 500
comes_back "${five[2]}" 500 'SELECT count(*) FROM rescued.shipments'
in_readme 'mv /etc/dapk-backup.conf /run/aside'
comes_back "${five[3]}" 2
in_readme 'mv /run/aside /etc/dapk-backup.conf'
comes_back "${five[4]}" '500 t' "SELECT count(*) || ' ' || left(pg_is_in_recovery()::text, 1) FROM shipments"

note "from three lines of shell: both get each segment, and the page's commands"
page=$TEST_TOP/docs/migrate-from-shell.md
both=$(sed -n "s/^ *archive_command = '\(dapk-backup .*&&.*\)'$/\1/p" "$page")
[ -n "$both" ] || fail "$page has no archive_command for the way over"
sed -n 's/^ *\(sudo -u postgres .*\)/\1/p' "$page" >"$T/over"
assert_match "$(cat "$T/over")" 'restore -D .* --start' "the page's commands"
in_readme "$(printf 'both=%q over=%q\n' "$both" "$(cat "$T/over")"
	cat <<'END'
set -e
install -d -o postgres /backup/wal
printf '%s\n' "$over" >/run/over
runuser -u postgres -- psql -q -c "ALTER SYSTEM SET archive_command = '$both'" -c 'SELECT pg_reload_conf()' >/dev/null
bash -ex /run/over
ls /backup/wal | grep -qE '^[0-9A-F]{24}$'
END
)" >"$T/over.log" 2>&1 || fail "the way over: $(tail -n 20 "$T/over.log")"
