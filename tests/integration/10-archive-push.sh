#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# archive-push loses nothing: what it says is stored can be read back, what it
# refuses leaves everything as it was, and its exit codes never hurt the
# archiver (T2 to T9, T13 to T16, T18, T19).
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
[ "$(id -u)" = 0 ] || fail "this test mounts small file systems and needs root"

# The content of a WAL file as the zstd command reads it from its objects.
stored_content() { # NAME
	local first
	first=$(stored_wal "$1" | grep -v '\.part-')
	[ -n "$first" ] || fail "$1 is not stored"
	assert_eq "$(wc -l <<<"$first")" 1 "objects of $1"
	{
		echo "$first"
		find "$(dirname "$first")" -name "$(basename "$first" .zst).part-*.zst" | sort
	} | xargs zstd -dcq
}

assert_stored() { # FILE: below its own name
	cmp -s "$1" <(stored_content "$(basename "$1")") ||
		fail "what is stored of $(basename "$1") is not what was pushed"
}

copy() { # as the cluster's user may read it
	cp "$1" "$2"
	chmod 644 "$2"
}

refused() { # REGEX COMMAND...: a clear failure that touches nothing stored
	local regex=$1 before
	shift
	before=$(tree_sum "$REPO/clusters")
	run "$@"
	assert_between "$RC" 1 125 "exit code of a failing archive-push"
	assert_clear_error "$regex"
	assert_eq "$(tree_sum "$REPO/clusters")" "$before" "the repository's content"
}

new_segment() { # NAME: writes a finished segment, leaves its name in SEG
	sql "$1" "INSERT INTO t SELECT gen_random_uuid()::text FROM generate_series(1, 5000)"
	SEG=$(sql "$1" "SELECT pg_walfile_name(pg_switch_wal())")
	[ -f "$T/$1/pg_wal/$SEG" ] || fail "no segment $SEG"
}

note "segments of 1, 16 and 64 MB"
for size in 64 16 1; do
	src=s$size
	REPO=$T/repo$size CONF=$T/dapk$size.conf
	pg_new $src "$MAIN" --wal-segsize=$size
	archive_with $src false
	write_conf $src
	dapk init >/dev/null
	pg_start $src
	sql $src "CREATE TABLE t (v text)"
	new_segment $src
	dapk archive-push "pg_wal/$SEG" # %p is relative to the data directory
	assert_stored "$T/$src/pg_wal/$SEG"
	assert_eq "$(stat -c %s "$T/$src/pg_wal/$SEG")" $((size << 20)) "segment size"
	note "again: same content, exit 0, nothing new"
	before=$(tree_sum "$REPO/clusters")
	dapk archive-push "$T/$src/pg_wal/$SEG"
	assert_eq "$(tree_sum "$REPO/clusters")" "$before" "the repository after a second push"
	[ $size = 1 ] || pg_stop $src immediate
done
W=$T/s1/pg_wal
mkdir "$T/other"

note "another content under a stored name (T7)"
copy "$W/$SEG" "$T/other/$SEG"
printf 'other' | dd of="$T/other/$SEG" bs=1 seek=600000 conv=notrunc status=none
refused 'differ|another content|different' dapk archive-push "$T/other/$SEG"
assert_hint
assert_contains "$ERR" "$SEG"
assert_stored "$W/$SEG"

note "not what the name says"
new_segment s1
next=$SEG
copy "$W/$next" "$T/other/$next"
truncate -s 700000 "$T/other/$next"
refused 'size|trunc|short|bytes' dapk archive-push "$T/other/$next"
far=${next:0:22}F7
copy "$W/$next" "$T/other/$far"
refused "$far|address|name" dapk archive-push "$T/other/$far"
new_timeline=00000009${next:8}
copy "$W/$next" "$T/other/$new_timeline"
head -c 1048576 /dev/urandom >"$T/other/$next"
refused 'magic|header|not a WAL' dapk archive-push "$T/other/$next"
head -c 1048576 /dev/zero >"$T/other/$next"
refused 'magic|header|not a WAL' dapk archive-push "$T/other/$next"
: >"$T/other/$next"
refused 'size|empty|short|bytes' dapk archive-push "$T/other/$next"
for name in garbage 0000000100000000000000ZZ 00000001000000000000001 "$SEG.tmp" ..; do
	head -c 1048576 "$W/$SEG" >"$T/other/$name" 2>/dev/null || :
	refused 'name|not a WAL|directory' dapk archive-push "$T/other/$name"
done
refused 'no such file' dapk archive-push pg_wal/0000000100000000000000F3
refused 'directory|name' dapk archive-push "$W"

note "of another cluster (wrong system identifier)"
pg_new foreign "$MAIN" --wal-segsize=1
archive_with foreign false
pg_start foreign
sql foreign "CREATE TABLE t (v text)"
new_segment foreign
refused 'is of system|system id' dapk archive-push "$T/foreign/pg_wal/$SEG"
pg_stop foreign immediate

note "the header check can be put aside for servers that encrypt WAL (T18)"
copy "$W/$next" "$T/other/$next"
printf 'xx' | dd of="$T/other/$next" bs=1 seek=0 conv=notrunc status=none
refused 'magic|header|not a WAL' dapk archive-push "$T/other/$next"
expect 0 dapk archive-push --no-wal-header-check "$T/other/$next"
assert_stored "$T/other/$next"

note ".history, .backup and .partial files"
printf '1\t0/2000000\tno recovery target specified\n' >"$T/other/00000002.history"
expect 0 dapk archive-push "$T/other/00000002.history"
assert_stored "$T/other/00000002.history"
expect 0 dapk archive-push "$T/other/00000002.history"
printf '1\t0/3000000\tsomething else\n' >"$T/other/00000002.history"
refused 'differ|another content|different' dapk archive-push "$T/other/00000002.history"
as_user "$CLIENTS/psql" -X -q -h "$T/s1.sock" -p "${PORT[s1]}" -U postgres -d postgres \
	-c "SELECT pg_backup_start('x', true)" -c "SELECT pg_backup_stop(false)" >/dev/null 2>&1
backup_file=$(basename "$(find "$W" -name '*.backup')")
expect 0 dapk archive-push "pg_wal/$backup_file"
assert_stored "$W/$backup_file"
new_segment s1
copy "$W/$SEG" "$T/other/$SEG.partial"
expect 0 dapk archive-push "$T/other/$SEG.partial"
assert_stored "$T/other/$SEG.partial"
note "a .partial does not stand in the way of the whole segment"
expect 0 dapk archive-push "pg_wal/$SEG"
assert_eq "$(stored_wal "$SEG" | grep -vc partial)" 1 "objects of $SEG"

note "many pushers of one segment (T9)"
new_segment s1
pids=()
for i in 1 2 3 4 5 6; do
	"${AS_USER[@]}" "$BIN" --config "$CONF" archive-push "pg_wal/$SEG" 2>"$T/push$i.log" &
	pids+=($!)
done
for pid in "${pids[@]}"; do
	exited "$pid"
	assert_eq "$RC" 0 "exit code of a concurrent push"
done
assert_stored "$W/$SEG"

note "killed in the middle, then again (T4, T6)"
for call in fsync fdatasync linkat link renameat2 write pwrite64; do
	new_segment s1
	run as_user strace -f -qq -o "$T/strace.log" -e trace=$call \
		-e inject=$call:signal=KILL "$BIN" --config "$CONF" archive-push "pg_wal/$SEG"
	rm -f "$T/strace.log"
	if [ -n "$(stored_wal "$SEG")" ]; then assert_stored "$W/$SEG"; fi
	expect 0 dapk archive-push "pg_wal/$SEG"
	assert_stored "$W/$SEG"
done

note "errors at write, fsync, link and close give a failure, not a loss (T3, T5)"
for fault in write:error=ENOSPC fsync:error=EIO linkat,link,renameat2:error=EIO; do
	new_segment s1
	run as_user strace -f -qq -o "$T/strace.log" -e "inject=$fault" \
		"$BIN" --config "$CONF" archive-push "pg_wal/$SEG"
	rm -f "$T/strace.log"
	[ "$RC" = 0 ] || assert_between "$RC" 1 125 "exit code after $fault"
	if [ "$RC" = 0 ]; then assert_stored "$W/$SEG"; fi
	expect 0 dapk archive-push "pg_wal/$SEG"
	assert_stored "$W/$SEG"
done

note "disk full"
good_conf=$CONF
tmpfs "$T/small" 900k
REPO=$T/small/repo CONF=$T/small.conf
write_conf s1
dapk init >/dev/null
new_segment s1
as_user dd if=/dev/zero of="$T/small/fill" bs=1k count=780 status=none
refused 'no space' dapk archive-push "pg_wal/$SEG"
[ -z "$(stored_wal "$SEG")" ] || fail "a segment shows up though the disk was full"
rm "$T/small/fill"
expect 0 dapk archive-push "pg_wal/$SEG"
assert_stored "$W/$SEG"

note "repository read only"
new_segment s1
mount -o remount,ro "$T/small"
refused 'read-only' dapk archive-push "pg_wal/$SEG"
mount -o remount,rw "$T/small"
expect 0 dapk archive-push "pg_wal/$SEG"

note "a repository that is not there is not made"
REPO=$T/nowhere/repo CONF=$T/nowhere.conf
write_conf s1
run dapk archive-push "pg_wal/$SEG"
assert_between "$RC" 1 125 "exit code without a repository"
assert_clear_error 'repository|nowhere'
assert_hint
[ ! -e "$T/nowhere" ] || fail "archive-push made $T/nowhere"
mkdir "$T/empty"
REPO=$T/empty CONF=$T/empty.conf
chmod 777 "$T/empty"
write_conf s1
run dapk archive-push "pg_wal/$SEG"
assert_between "$RC" 1 125 "exit code in an empty directory"
assert_clear_error 'repository|empty'
assert_eq "$(ls -A "$T/empty")" '' "the empty directory's content"

note "usage errors stay below 126 too"
for args in '' '--no-such-option x' 'a b'; do
	# shellcheck disable=SC2086
	expect 2 dapk archive-push $args
	[ -n "$ERR" ] || fail "no message"
done
run as_user "$BIN" --config "$T/none.conf" archive-push x
assert_between "$RC" 1 125 "exit code without a configuration file"

note "the archiver counts failures and goes on by itself when the repository is back"
REPO=$T/late/repo CONF=$T/late.conf
write_conf s1
archive_with s1 "$BIN --config $CONF archive-push %p"
sql s1 "SELECT pg_stat_reset_shared('archiver')" >/dev/null
pg_reload s1
new_segment s1
wait_for 30 "a failure that is counted" sql_true s1 \
	"SELECT failed_count > 0 FROM pg_stat_archiver"
as_user mkdir "$T/late"
dapk init >/dev/null
wait_for 90 "the archiver's own retry" sql_true s1 \
	"SELECT last_archived_wal >= '$SEG' FROM pg_stat_archiver"
assert_stored "$W/$SEG"
assert_lacks "$(cat "$T/s1.log")" 'archiver process (PID' "the server's log"
CONF=$good_conf
