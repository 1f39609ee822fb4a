#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# The Debian package: built by "make deb" from what a release has, clean by
# lintian, installed, upgraded and purged in a root directory of its own (a copy
# of this machine's that ends with the test), and what it put there works.
# Then A SERVER SET UP BY README ALONE: the commands of its section "Set up a
# server", as they stand there, on Debian's own cluster "15 main".
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/machine.sh
. "$TEST_TOP/tests/lib/machine.sh"

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
	/usr/share/man/man1/dapk-backup.1.gz /usr/share/man/man5/dapk-backup.conf.5.gz \
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
[ "$(wc -l </run/cron)" = 5 ]
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
