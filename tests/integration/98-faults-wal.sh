#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# archive-push and archive-get with one system call at a time failing (EIO,
# ENOSPC, EINTR) or killing the process: what was acknowledged comes back with
# the same bytes, nothing half is there, a failed archive-get never says "not
# there" (exit 1, on which recovery ends), and the rerun succeeds. Points are
# (call, its number in a thread, fault); how many were tried and held is
# printed. A call that a fault-free run makes N times is failed N times over.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

# Those that reach files: the others (memory, clocks, locks) do not fail on a
# disk or a store that breaks.
CALLS=(openat read pread64 write pwrite64 fsync fdatasync syncfs close mkdir mkdirat link linkat rename renameat
	renameat2 unlink unlinkat fstat newfstatat getdents64 ftruncate fallocate sync_file_range fadvise64 lseek
	flock fcntl statfs fstatfs socket connect)
FAULTS=(error=EIO error=ENOSPC error=EINTR signal=SIGKILL)
STEP=${DAPK_FAULT_STEP:-1} # each so many-th point

pg_with_repository src "$MAIN" --wal-segsize=1
sql src "CREATE TABLE t AS SELECT n, md5(n::text) FROM generate_series(1, 3000) n"
archive_with src false
pg_reload src
seg=$(sql src "SELECT pg_walfile_name(pg_switch_wal())")
sql src "CHECKPOINT"
as_user cp "$T/src/pg_wal/$seg" "$T/$seg"
as_user cp -a "$REPO" "$T/empty"
push=("$BIN" --config "$CONF" archive-push --pgdata "$T/src" "$T/$seg")
get=("$BIN" --config "$CONF" archive-get --prefetch 0 --pgdata "$T/src" "$seg" "$T/got")

count_calls() { # OUT COMMAND...: "CALL N", N the most that one thread makes
	local out=$1
	shift
	as_user strace -f -qq -o "$T/trace" -e trace="$(IFS=,; echo "${CALLS[*]}")" "$@" >/dev/null 2>&1 ||
		fail "a run without a fault failed: $*"
	sed -nE 's/^([0-9]+) +([a-z0-9_]+)\(.*/\1 \2/p' "$T/trace" | sort | uniq -c |
		awk '{ if ($1 > most[$3]) most[$3] = $1 } END { for (c in most) print c, most[c] }' | sort >"$out"
}
one_file() { # only whole objects, and what a killed one may leave: never under a name that counts
	find "$REPO" -path '*/wal/*' -type f -name '*.zst' | wc -l
}
with_fault() { # CALL N FAULT COMMAND...
	local call=$1 n=$2 fault=$3
	shift 3
	run as_user timeout 60 strace -f -qq -o /dev/null -e trace="$call" -e inject="$call:$fault:when=$n" "$@"
}
reset_repository() {
	rm -rf "${REPO:?}" "$T/state" "$T/got"
	as_user cp -a "$T/empty" "$REPO"
}
came_back() { # exit code and bytes of a get without a fault
	rm -f "$T/got"
	as_user "${get[@]}" 2>"$T/get.err" && cmp -s "$T/got" "$T/$seg"
}

held=0 tried=0 hit=0 broken=()
point() { # RESULT WHAT
	tried=$((tried + 1))
	if [ "$1" = 0 ]; then held=$((held + 1)); else broken+=("$2"); fi
}

push_point() { # CALL N FAULT
	local ok=0 what="archive-push, $1 number $2, $3"
	reset_repository
	with_fault "$1" "$2" "$3" "${push[@]}"
	[ "$RC" = 0 ] || hit=$((hit + 1))
	if [ "$RC" = 0 ] && [[ $1 = fsync && $3 =~ ^error=E(IO|NOSPC)$ && $2 -le $repository_syncs ]]; then
		ok=1 what+=": exit 0, and it was not synced"
	elif [ "$RC" = 0 ] && ! came_back; then
		ok=1 what+=": exit 0, and it does not come back: $(cat "$T/get.err")"
	elif [ "$(one_file)" -gt 0 ] && ! came_back; then
		ok=1 what+=": something half has a name: $(cat "$T/get.err")"
	elif ! as_user "${push[@]}" 2>"$T/push.err" || ! came_back; then
		ok=1 what+=": the rerun failed: $(cat "$T/push.err")"
	fi
	point "$ok" "$what"
}

get_point() { # CALL N FAULT
	local ok=0 what="archive-get, $1 number $2, $3"
	rm -f "$T/got"
	with_fault "$1" "$2" "$3" "${get[@]}"
	[ "$RC" = 0 ] || hit=$((hit + 1))
	if [ "$RC" = 1 ]; then
		ok=1 what+=": says that it is not there: $ERR"
	elif [ "$RC" = 0 ] && ! cmp -s "$T/got" "$T/$seg"; then
		ok=1 what+=": exit 0 and other bytes"
	elif [ "$RC" != 0 ] && [ "$RC" -le 125 ]; then
		ok=1 what+=": exit $RC, on which recovery ends: $ERR"
	elif ! came_back; then
		ok=1 what+=": the rerun failed: $(cat "$T/get.err")"
	fi
	point "$ok" "$what"
}

sweep() { # push|get COMMAND...
	local kind=$1 call n i fault at=0
	shift
	held=0 tried=0 hit=0 broken=()
	while read -r call n; do
		for ((i = 1; i <= n; i++)); do
			for fault in "${FAULTS[@]}"; do
				at=$((at + 1))
				[ $((at % STEP)) = 0 ] || continue
				"${kind}_point" "$call" "$i" "$fault"
			done
		done
	done <"$T/calls.$kind"
	note "archive-$kind: $tried points tried of $at, $held held; $hit of them ended the command"
	[ "$tried" = "$held" ] || fail "$(printf '%s\n' "${broken[@]}")"
	[ "$hit" -ge 60 ] || fail "only $hit points did anything: does strace inject?"
}

reset_repository
count_calls "$T/calls.push" "${push[@]}"
came_back || fail "it does not come back without any fault"
# What is remembered beside, in the state directory and after all others, may
# get lost; the rest may not.
reset_repository
as_user strace -f -qq -y -o "$T/trace" -e trace=fsync "${push[@]}" 2>/dev/null
repository_syncs=$(awk -v repo="<$REPO" 'index($0, repo) > 0 { n = NR } END { print n + 0 }' "$T/trace")
[ "$repository_syncs" -ge 3 ] || fail "a push with $repository_syncs syncs in the repository: $(cat "$T/trace")"
reset_repository
sweep push
reset_repository
as_user "${push[@]}"
count_calls "$T/calls.get" "${get[@]}"
sweep get
