# shellcheck shell=bash
# SPDX-License-Identifier: PostgreSQL
# A machine to install on: this one's files under an overlay that ends with the
# test, with processes, mounts and network of its own. Nothing of this machine
# is changed.
#
#	build_package		$DEB, in $T/deb
#	have_package		the same, or that of a test before this one
#	machine_new
#	machine "SHELL COMMANDS"	as root; its exit code
#	machine_put FILE...	into its /run
#	machine_server		Debian's cluster "15 main", running
#	readme_section TITLE	README's blocks of code below it, in $T
MACHINE_PID=''
as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# From a tree of its own, as a release is: what git knows, and no more.
# DAPK_TEST_DEB: the folder of one that is built, for quick turns by hand.
build_package() {
	local src=$T/src build=$T/build
	if [ -n "${DAPK_TEST_DEB:-}" ]; then
		cp -r "$DAPK_TEST_DEB" "$T/deb"
		DEB=$(echo "$T"/deb/dapk-backup_*.deb)
		return 0
	fi
	mkdir "$src" "$build"
	(
		cd "$TEST_TOP" || exit
		if [ -e .git ]; then
			git -c safe.directory='*' ls-files -co --exclude-standard
		else
			find . -type f ! -path './build*' -printf '%P\n'
		fi | while IFS= read -r f; do [ ! -f "$f" ] || printf '%s\0' "$f"; done |
			tar -c --null -T - | tar -x -C "$src"
	)
	(
		cd "$src" && ./autogen.sh && cd "$build" || exit
		"$src/configure" -q
		make deb
	) >"$T/deb.log" 2>&1 || fail "make deb: $(tail -n 30 "$T/deb.log")"
	mv "$build/deb" "$T/deb"
	[ -z "$(cd "$src" && find . -path ./autom4te.cache -prune -o -newer "$build/config.status" -type f -print)" ] ||
		fail "make deb left files in the source"
	DEB=$(echo "$T"/deb/dapk-backup_*.deb)
	[ -s "$DEB" ] || fail "no package: $DEB"
	[ -z "${DAPK_TEST_DEBS:-}" ] || cp -r "$T/deb/." "$DAPK_TEST_DEBS"
}

# scripts/test has a folder for what its tests build, empty at its beginning.
have_package() {
	if [ -z "${DAPK_TEST_DEBS:-}" ] || ! ls "$DAPK_TEST_DEBS"/*.deb >/dev/null 2>&1; then
		build_package
		return 0
	fi
	cp -r "$DAPK_TEST_DEBS" "$T/deb"
	DEB=$(echo "$T"/deb/dapk-backup_*.deb)
}

machine_new() {
	local i child
	as_root mkdir -p "$T/machine"
	as_root mount -t tmpfs -o size=2g,mode=755 dapk-test "$T/machine"
	MOUNTS+=("$T/machine")
	AT_END+=(machine_end)
	cat >"$T/machine.sh" <<-END
		set -e
		cd '$T/machine'
		mkdir up work root
		mount -t overlay overlay -o lowerdir=/,upperdir=up,workdir=work root
		mount -t proc proc root/proc
		mount -t sysfs -o ro sysfs root/sys
		mount -t tmpfs -o mode=755 tmpfs root/run
		mount -t tmpfs -o mode=1777 tmpfs root/tmp
		mount --rbind /dev root/dev
		mount -t tmpfs -o mode=1777 tmpfs root/dev/shm
		mkdir root/deb
		cp '$T'/deb/*.deb root/deb/
		ip link set lo up
		exec sleep 100000
	END
	as_root unshare --mount --pid --net --ipc --uts --fork --kill-child \
		bash "$T/machine.sh" >"$T/machine.log" 2>&1 &
	MACHINE_SHELL=$!
	for ((i = 0; i < 200; i++)); do
		# Its first process is the last of the chain.
		MACHINE_PID=$MACHINE_SHELL
		while child=$(pgrep -P "$MACHINE_PID"); do MACHINE_PID=$child; done
		[ "$(cat "/proc/$MACHINE_PID/comm" 2>/dev/null)" != sleep ] || return 0
		alive "$MACHINE_SHELL" || fail "no machine: $(cat "$T/machine.log")"
		sleep 0.05
	done
	MACHINE_PID=''
	fail "the machine does not come: $(cat "$T/machine.log")"
}

machine() { # SHELL COMMANDS [NAME=VALUE...]
	as_root nsenter -t "$MACHINE_PID" --mount --pid --net --ipc --uts \
		chroot "$T/machine/root" env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
		TZ=UTC DEBIAN_FRONTEND=noninteractive "${@:2}" bash -c "$1" </dev/null
}

machine_put() { # FILE...
	local file
	for file; do
		machine "printf %s '$(base64 -w 0 "$file")' | base64 -d >'/run/${file##*/}'"
	done
}

# Debian's cluster "15 main", as its package makes it, and two programs that a
# machine without systemd and sudo lacks; "systemctl enable" leaves the names of
# timers in /run/enabled.
machine_server() {
	machine "$(
		cat <<'END'
set -e
cat >/usr/local/bin/sudo <<'SUDO'
#!/bin/bash
if [ "$1" = -u ]; then
	user=$2
	shift 2
	exec runuser -u "$user" -- "$@"
fi
exec "$@"
SUDO
cat >/usr/local/bin/systemctl <<'SYSTEMCTL'
#!/bin/bash
set -e
verb=$1
shift
for unit; do
	case $verb,$unit in
	*,-*) ;;
	restart,postgresql@15-main* | restart,postgresql) pg_ctlcluster --skip-systemctl-redirect 15 main restart ;;
	enable,dapk-backup-*@main.timer) [ -f "/lib/systemd/system/${unit%%@*}@.timer" ] && echo "$unit" >>/run/enabled ;;
	*) echo "no $verb $unit here" >&2; exit 1 ;;
	esac
done
SYSTEMCTL
chmod 755 /usr/local/bin/*
touch /run/enabled
mkdir -p /var/run/postgresql
chown postgres /var/run/postgresql
rm -rf /etc/postgresql/15/main /var/lib/postgresql/15/main
pg_createcluster 15 main >/dev/null
pg_ctlcluster --skip-systemctl-redirect 15 main start
END
	)" || fail "Debian's cluster"
}

# A configuration file, commands, and lines for cron: readme.conf, readme.sh and
# readme.cron in $T, as README has them.
readme_section() { # TITLE
	local file
	awk -v title="## $1" '/^## / { on = index($0, title) == 1 } on' "$TEST_TOP/README.md" >"$T/section"
	[ -s "$T/section" ] || fail "README.md has no section \"$1\""
	awk -v conf="$T/readme.conf" -v cron="$T/readme.cron" -v commands="$T/readme.sh" '
		{ sub(/\r$/, "") }
		!/^    / && !/^$/ { kind = "" ; next }
		/^$/ { if (kind == conf) print "" >kind; next }
		{
			line = $0
			sub(/^ +/, "", line)
			if (kind != "")
				;
			else if (line ~ /^\[/)
				kind = conf
			else if (line ~ /^[0-9*][0-9*\/]* +[0-9*]/)
				kind = cron
			else
				kind = commands
			print line >kind
		}' "$T/section"
	touch "$T/readme.cron"
	for file in readme.conf readme.sh; do
		[ -s "$T/$file" ] || fail "README's section has no $file"
	done
}

# A clock of its own for all its processes, which machine_clock sets as often
# as wanted: libfaketime's, and file times that follow it (fakestat.c). What a
# program asks each time anew says CLOCK_ENV.
CLOCK_ENV=(FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1)
machine_clock_new() { # DATE TIME
	local lib
	lib=$(find /usr/lib -name libfaketimeMT.so.1 | head -n 1)
	[ -n "$lib" ] || fail "no libfaketime; run scripts/test"
	cc -shared -fPIC -O2 -Wall -Wextra -o "$T/fakestat.so" "$TEST_TOP/tests/lib/fakestat.c" ||
		fail "fakestat.c"
	machine_put "$T/fakestat.so"
	machine_clock "$1"
	machine "mkdir -p /usr/local/lib && mv /run/fakestat.so /usr/local/lib/ &&
		chmod 755 /usr/local/lib/fakestat.so /etc/fakestat /etc/faketimerc &&
		printf '%s\n' /usr/local/lib/fakestat.so '$lib' >/etc/ld.so.preload"
}

# The kernel's stamps may be some milliseconds old, so the setting begins some
# before this. The second file keeps its length: nobody finds it empty.
machine_clock() { # DATE AND TIME, UTC
	local now=${EPOCHREALTIME/./} offset
	offset=$(($(date -u -d "$1" +%s) - now / 1000000))
	machine "printf '%020d %+012d\n' ${now}000 $offset >>/etc/fakestat
		printf '%+012d\n' $offset 1<>/etc/faketimerc"
}

machine_end() { # with its first process all others end
	[ -z "$MACHINE_PID" ] || as_root kill -s KILL "$MACHINE_PID" || :
	wait "$MACHINE_SHELL" 2>/dev/null || :
}
