# shellcheck shell=bash
# SPDX-License-Identifier: PostgreSQL
# What scripts/quickstart and scripts/test share: installing what is missing
# and building outside the source tree.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PROG=$(basename "$0")

say() { printf '%s\n' "$*"; }
die() {
	printf '%s: %s\n' "$PROG" "$*" >&2
	exit 1
}

# Build directories and downloads are kept here between runs.
if [ -n "${DAPK_TEST_CACHE:-}" ]; then
	CACHE=$DAPK_TEST_CACHE
elif [ "$(id -u)" = 0 ]; then
	CACHE=/var/cache/dapk-backup-tests # readable for user postgres too
else
	CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/dapk-backup-tests
fi
export DAPK_TEST_CACHE=$CACHE

BUILD_PACKAGES=(autoconf automake pkg-config gcc make libc6-dev xz-utils
	libpq-dev libzstd-dev zlib1g-dev libssl-dev libxxhash-dev libjansson-dev libinih-dev
	libarchive-dev libcurl4-openssl-dev libssh2-1-dev libexpat1-dev)
SERVER_PACKAGES=(postgresql-15 postgresql-client-15)

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "root is needed to install packages; type as root: $*"
	fi
}

# Once, with one more try: mirrors fail now and then.
apt_get() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 \
		-o Acquire::Retries=3 "$@" </dev/null
}

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

install_missing() { # PACKAGE...
	local missing=() p log
	for p in "$@"; do installed "$p" || missing+=("$p"); done
	[ ${#missing[@]} -gt 0 ] || return 0
	command -v apt-get >/dev/null ||
		die "these Debian packages are needed and apt-get is missing: ${missing[*]}"
	say "installing: ${missing[*]}"
	log=$(mktemp)
	if [ -z "${apt_updated:-}" ]; then
		apt_get update >"$log" 2>&1 ||
			say "apt-get update failed; trying with the lists at hand: $(tail -n 2 "$log")"
		apt_updated=1
	fi
	apt_get install --no-install-recommends "${missing[@]}" >"$log" 2>&1 || {
		tail -n 20 "$log" >&2
		rm -f "$log"
		die "apt-get install failed for: ${missing[*]}"
	}
	rm -f "$log"
}

# Debian's server package makes and starts a cluster "main" when it comes
# first. Nobody asked for one here.
install_postgres() {
	local conf=/etc/postgresql-common/createcluster.d/dapk-backup-none.conf
	if ! installed postgresql-15; then
		install_missing postgresql-common
		as_root mkdir -p "$(dirname "$conf")"
		echo 'create_main_cluster = false' | as_root tee "$conf" >/dev/null
		install_missing "${SERVER_PACKAGES[@]}"
		as_root rm -f "$conf"
	fi
	install_missing "${SERVER_PACKAGES[@]}"
	[ -x /usr/lib/postgresql/15/bin/postgres ] ||
		die "PostgreSQL 15 is not at /usr/lib/postgresql/15"
}

# Names of the source's files, sorted: git knows them, a release has no others.
source_files() {
	if [ -e "$TOP/.git" ] && command -v git >/dev/null; then
		git -c safe.directory='*' -C "$TOP" ls-files -co --exclude-standard
	else
		(cd "$TOP" && find . -type f ! -path './build*' ! -path './autom4te.cache/*' \
			! -name '*.o' ! -name '*.a' -printf '%P\n')
	fi | sort -u
}

# A copy of the source that autogen.sh may write into, so that the checkout
# stays as it is. A file is copied when its content differs, and gets the time
# of copying: make then sees the change, whatever times a checkout has.
stage_source() { # FOLDER
	local to=$1 f
	mkdir -p "$to"
	source_files >"$to/.files.new"
	if [ -f "$to/.files" ]; then
		comm -23 "$to/.files" "$to/.files.new" | while IFS= read -r f; do
			rm -f "$to/$f"
		done
	fi
	while IFS= read -r f; do
		[ -f "$TOP/$f" ] || continue
		if ! cmp -s "$TOP/$f" "$to/$f"; then
			mkdir -p "$to/$(dirname "$f")"
			cp "$TOP/$f" "$to/$f" || die "cannot copy $f to $to"
		fi
	done <"$to/.files.new"
	mv "$to/.files.new" "$to/.files"
	[ -x "$to/configure" ] || (cd "$to" && ./autogen.sh)
}

# Configures once, then makes. Standard error and output say what is wrong.
build() { # SOURCE FOLDER [configure option...]
	local src=$1 dir=$2
	shift 2
	mkdir -p "$dir"
	if [ "$(cat "$dir/.options" 2>/dev/null)" != "$*" ] || [ ! -f "$dir/Makefile" ]; then
		(cd "$dir" && "$src/configure" "$@") || return 1
		printf '%s\n' "$*" >"$dir/.options"
	fi
	make -C "$dir" -j"$(nproc)"
}

# The cluster's user must be able to read what is built below the cache.
make_cache() {
	mkdir -p "$CACHE" 2>/dev/null || die "cannot make $CACHE; set DAPK_TEST_CACHE"
	[ -w "$CACHE" ] || die "cannot write to $CACHE; set DAPK_TEST_CACHE"
	CACHE=$(cd "$CACHE" && pwd)
	export DAPK_TEST_CACHE=$CACHE
	BUILD=${DAPK_TEST_BUILD:-$CACHE/build}
	mkdir -p "$BUILD"
}
