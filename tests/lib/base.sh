# shellcheck shell=bash
# SPDX-License-Identifier: PostgreSQL
# What every integration test uses: a scratch directory T, running commands as
# the cluster's user, assertions, waiting for conditions, and a clean end.
#
# A test begins with
#	. "$(dirname "$0")/../lib/lib.sh"
# From then on an unexpected failure of any command ends it with the line, and
# whatever was started below T is stopped by pid when it ends. run() and
# expect() leave RC, OUT and ERR (exit code, stdout, stderr).
set -Eeuo pipefail
umask 022
export LC_ALL=C.UTF-8 TZ=UTC
unset PGHOST PGPORT PGUSER PGDATABASE PGPASSWORD PGDATA PGOPTIONS PGSSLMODE \
	PGSERVICE DAPK_BACKUP_CONFIG DAPK_BACKUP_REPOSITORY

TEST_NAME=$(basename "$0" .sh)
TEST_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
RC=0 OUT='' ERR=''

note() { printf '# %3s s: %s\n' "$SECONDS" "$*"; }

fail() {
	local i
	printf 'FAILED: %s\n' "$*" >&2
	for ((i = 1; i < ${#FUNCNAME[@]}; i++)); do
		printf '  in %s at %s:%s\n' "${FUNCNAME[i]}" \
			"$(basename "${BASH_SOURCE[i]}")" "${BASH_LINENO[i - 1]}" >&2
	done
	trap - ERR
	exit 1
}

# Commands inside $(...) report their own failure; only the outermost ends us.
trap 'fail "unexpected exit code $? of: $BASH_COMMAND"' ERR

# ------------------------------------------------------------ scratch space, the user

# Servers refuse to run as root: then everything runs as user postgres. A
# shell's background jobs ignore SIGINT, which these must not take over. In the
# background write "${AS_USER[@]}" COMMAND &, so that $! is the command's pid.
T=$(mktemp -d "${TMPDIR:-/tmp}/dapk-$TEST_NAME.XXXXXX")
chmod 755 "$T"
AS_USER=(env --default-signal=INT --default-signal=QUIT)
CLUSTER_USER=$(id -un)
if [ "$(id -u)" = 0 ]; then
	CLUSTER_USER=postgres
	chown postgres "$T"
	AS_USER=(setpriv --reuid=postgres --regid=postgres --init-groups
		"${AS_USER[@]}" HOME="$T" USER=postgres LOGNAME=postgres)
fi
as_user() { "${AS_USER[@]}" "$@"; }
cd "$T"
MOUNTS=()
AT_END=() # functions that stop what a test's library started

# The binary under test, copied so that the cluster's user may execute it
# even when the build directory is private.
[ -n "${DAPK_BIN:-}" ] || fail "DAPK_BIN is not set; run scripts/test $TEST_NAME"
[ -x "$DAPK_BIN" ] || fail "no executable at DAPK_BIN=$DAPK_BIN"
mkdir "$T/bin"
install -m 755 "$DAPK_BIN" "$T/bin/dapk-backup"
BIN=$T/bin/dapk-backup

tmpfs() { # DIR SIZE: a small file system of its own, to run full
	as_user mkdir -p "$1"
	mount -t tmpfs -o "size=$2,mode=755" dapk-test "$1"
	MOUNTS+=("$1")
	[ "$(id -u)" != 0 ] || chown postgres "$1"
}

# ---------------------------------------------------------------- processes

# kill -0 is true for a zombie too: read the state.
alive() { # PID
	local state
	state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || return 1
	[ -n "$state" ] && [ "$state" != Z ] && [ "$state" != X ]
}

stop_pid() { # PID [SIGNAL]: and wait until it is gone
	local i
	kill -s "${2:-TERM}" "$1" 2>/dev/null || return 0
	for ((i = 0; i < 600; i++)); do
		alive "$1" || return 0
		[ "$i" != 300 ] || kill -s KILL "$1" 2>/dev/null || return 0
		sleep 0.05
	done
	echo "process $1 does not end" >&2
	return 1
}

# Pids of living processes whose command line or working directory is below
# the scratch directory: servers, their archivers, prefetchers, pgbench.
pids_below() { # DIR
	local p pid cwd
	for p in /proc/[0-9]*; do
		pid=${p#/proc/}
		{ [ "$pid" != $$ ] && [ "$pid" != "$BASHPID" ]; } || continue
		cwd=$(readlink "$p/cwd" 2>/dev/null) || continue
		if [[ $(readlink "$p/exe" 2>/dev/null) != */bash &&
			("$cwd/" = "$1"/?*/* ||
			$({ tr '\0' ' ' <"$p/cmdline"; } 2>/dev/null) = *"$1/"*) ]]; then
			alive "$pid" && echo "$pid"
		fi
	done
	return 0
}

nothing_runs() { [ -z "$(pids_below "$T")" ]; }

end_test() {
	local rc=$? pid f left='' i
	trap - ERR EXIT INT TERM
	set +e
	[ -z "${BENCH_PID:-}" ] || stop_pid "$BENCH_PID" INT 2>/dev/null
	while IFS= read -r f; do
		pid=$(head -n 1 "$f" 2>/dev/null)
		[ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd")" = "$(dirname "$f")" ] &&
			stop_pid "$pid" QUIT
	done < <(find "$T" -maxdepth 4 -name postmaster.pid 2>/dev/null)
	for f in "${AT_END[@]}"; do "$f"; done
	# Whatever outlives its server has some seconds to end by itself.
	for ((i = 0; i < 100; i++)); do
		left=$(pids_below "$T")
		[ -n "$left" ] || break
		sleep 0.1
	done
	for pid in $left; do
		echo "left running: $pid $(tr '\0' ' ' <"/proc/$pid/cmdline")" >&2
		stop_pid "$pid" KILL
		[ "$rc" != 0 ] || rc=1
	done
	[ "$rc" = 0 ] || show_logs
	for f in "${MOUNTS[@]}"; do umount -l "$f"; done
	if [ "$rc" != 0 ] && [ -n "${TEST_KEEP:-}" ]; then
		echo "kept: $T" >&2
	else
		rm -rf "$T"
	fi
	[ "$rc" != 0 ] || echo "ok $TEST_NAME"
	exit "$rc"
}
trap end_test EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

show_logs() {
	local f
	if [ -n "$OUT$ERR" ]; then
		printf -- '---- last command: exit %s\n-- stdout\n%s\n-- stderr\n%s\n' \
			"$RC" "$(head -c 3000 <<<"$OUT")" "$(head -c 3000 <<<"$ERR")" >&2
	fi
	while IFS= read -r f; do
		printf -- '---- %s\n' "$f" >&2
		tail -n 12 "$f" >&2
	done < <(find "$T" -maxdepth 2 -name '*.log' ! -name '*initdb.log' ! -name '*bench-init.log' -size +0 2>/dev/null)
}

# ------------------------------------------------- running and asserting

run() { # COMMAND...: sets RC, OUT, ERR; never fails itself
	RC=0
	"$@" >"$T/.out" 2>"$T/.err" || RC=$?
	OUT=$(tr -d '\0' <"$T/.out")
	ERR=$(tr -d '\0' <"$T/.err")
}

expect() { # CODE[,CODE...] COMMAND...: its exit code must be one of these
	local codes=",$1,"
	shift
	run "$@"
	[[ $codes = *",$RC,"* ]] ||
		fail "exit code $RC, expected ${codes//,/ }: $*"$'\n'"$OUT"$'\n'"$ERR"
}

# With DAPK_TEST_ENCRYPT each test's repository is an encrypted one.
dapk() {
	local more=()
	[ -z "${DAPK_TEST_ENCRYPT:-}" ] || [ "${1:-}" != init ] || more=(--encrypt)
	as_user "$BIN" --config "$CONF" "$@" "${more[@]}"
}

assert_eq() { # FOUND EXPECTED WHAT
	[ "$1" = "$2" ] || fail "${3:-value}: found '$1', expected '$2'"
}

assert_ne() { # FOUND OTHER WHAT
	[ "$1" != "$2" ] || fail "${3:-value}: must not be '$2'"
}

assert_contains() { # TEXT PART WHAT
	[[ $1 = *"$2"* ]] || fail "${3:-text} lacks '$2': $(head -c 2000 <<<"$1")"
}

assert_lacks() { # TEXT PART WHAT
	[[ $1 != *"$2"* ]] || fail "${3:-text} has '$2': $(head -c 2000 <<<"$1")"
}

assert_match() { # TEXT REGEX WHAT; letter case does not matter
	grep -qiE -- "$2" <<<"$1" ||
		fail "${3:-text} does not match /$2/: $(head -c 2000 <<<"$1")"
}

assert_between() { # NUMBER LOW HIGH WHAT
	{ [ "$1" -ge "$2" ] && [ "$1" -le "$3" ]; } ||
		fail "${4:-number} is $1, expected $2 to $3"
}

# One clear message on stderr and nothing that looks like a crash of ours.
assert_clear_error() { # REGEX
	[ -n "$ERR" ] || fail "exit $RC without a message on stderr"
	assert_match "$ERR" "$1" "the error"
	[[ ! $ERR =~ (assert|AddressSanitizer|core dumped|please report) ]] ||
		fail "the error looks like a bug of ours: $ERR"
	assert_between "$(grep -c . <<<"$ERR")" 1 12 "lines of the error"
}

# And it says what to type next.
assert_hint() { # [REGEX]
	assert_match "$ERR" 'hint:' "the error's hint"
	[ -z "${1:-}" ] || assert_match "$ERR" "hint:.*$1" "the error's hint"
}

wait_for() { # SECONDS WHAT COMMAND...: until the command succeeds
	local limit=$1 what=$2 end
	shift 2
	end=$((SECONDS + limit))
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || fail "waited ${limit} s for $what: $*"
		sleep 0.05
	done
}

gone() { ! alive "$1"; }

exited() { # PID: reap it, leave its code in RC
	RC=0
	wait "$1" || RC=$?
}

# Everything below DIR with sizes and content, to prove that nothing changed.
tree_sum() { # DIR
	(
		cd "$1" 2>/dev/null || exit 0 # not there: as if it were empty
		find . -printf '%y %m %s %P %l\n' | grep -v '^d' | sort
		find . -type f -print0 | sort -z | xargs -0r sha256sum
	) | sha256sum
}
