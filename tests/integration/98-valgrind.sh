#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# archive-push and archive-get under valgrind, in all that they usually meet:
# no byte that nobody wrote is read or stored, nothing is freed twice, lost or
# left open, in plain and in encrypted repositories.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

if grep -qa __asan_init "$BIN"; then
	fail "valgrind does not run what AddressSanitizer is built into"
fi
pg_new src "$MAIN" --wal-segsize=1
write_conf src
as_user sed "s,^url = .*,url = file://$T/secret,; s,^state-directory = .*,state-directory = $T/state2," "$CONF" >"$T/secret.conf"
echo "encryption-key-file = $T/key" >>"$T/secret.conf"
expect 0 dapk init
expect 0 as_user "$BIN" --config "$T/secret.conf" init --encrypt
archive_with src false
pg_start src
segs=()
for i in 1 2 3; do
	sql src "CREATE TABLE t$i AS SELECT n, md5(n::text) FROM generate_series(1, 500) n"
	segs+=("$(sql src "SELECT pg_walfile_name(pg_switch_wal())")")
done
sql src CHECKPOINT
mkdir "$T/wal"
cp -a "$T/src/pg_wal/"0* "$T/wal/"
chown -R --reference="$T/src" "$T/wal"

runs=0
clean() { # EXIT-CODE COMMAND...
	local code=$1 log=$T/valgrind.log
	shift
	rm -f "$log"
	expect "$code" as_user valgrind --quiet --error-exitcode=99 --exit-on-first-error=no --leak-check=full \
		--errors-for-leak-kinds=definite,indirect,possible --track-fds=yes --log-file="$log" "$BIN" --config "$CONF" "$@"
	# What it had open from the beginning on is no leak.
	awk '/Open file descriptor/ { held = $0; next } /inherited from parent/ { held = ""; next }
		held != "" { print held; held = "" } !/FILE DESCRIPTORS:|^==[0-9]*== *$/' "$log" >"$T/said"
	[ ! -s "$T/said" ] || fail "$1: $(cat "$T/said")"
	runs=$((runs + 1))
}
push() { clean "$1" archive-push --pgdata "$T/src" "$T/wal/$2"; }
get() { # EXIT-CODE SEGMENT [option...]
	rm -f "$T/got"
	clean "$1" archive-get --pgdata "$T/src" "${@:3}" "$2" "$T/got"
}
for conf in "$CONF" "$T/secret.conf"; do
	CONF=$conf
	note "$(basename "$conf")"
	push 0 "${segs[0]}"
	push 0 "${segs[0]}" # is there already
	push 0 "${segs[1]}"
	as_user sh -c "head -c 4096 /dev/zero | dd of=$T/wal/${segs[1]} conv=notrunc status=none bs=4096 seek=9"
	push 1,3,5 "${segs[1]}" # other bytes under its name
	as_user truncate -s 4096 "$T/wal/${segs[2]}"
	push 1,2,3,5 "${segs[2]}" # cut off
	cp -a "$T/src/pg_wal/${segs[1]}" "$T/src/pg_wal/${segs[2]}" "$T/wal/"
	push 0 "${segs[2]}"
	get 0 "${segs[0]}" --prefetch 0
	cmp "$T/got" "$T/wal/${segs[0]}"
	get 0 "${segs[1]}" --prefetch 2
	get 0 "${segs[2]}" --prefetch 2 # fetched ahead by then, or not
	get 1 00000001000000AB00000001 --prefetch 0
	get 1 00000002.history --prefetch 0
done
note "$runs runs under valgrind"
