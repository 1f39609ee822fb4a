#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# restore --delta makes whatever is there into the backup: pages changed
# behind the file's back (same size and time), files that are longer, shorter,
# empty, of another type or owner, leftovers, an interrupted restore. What it
# may not touch it does not touch (T90 to T93).
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

as_user mkdir "$T/ts1" "$T/ts2"
pg_with_repository src "$MAIN"
bench_init src 5
sql src "CREATE TABLESPACE one LOCATION '$T/ts1'"
sql src "CREATE TABLE in_one TABLESPACE one AS SELECT n, md5(n::text) FROM generate_series(1, 20000) n"
sql src "CREATE TABLE empty (n int)"
take_backup
label=$LABEL
archive_now src
dump_db src "$T/src.dump"
sql src "SELECT pg_create_restore_point('here')" >/dev/null
archive_now src
pg_stop src
cp -a "$T/src" "$T/src.end"

# The backup's files, as a restore into an empty directory has them.
map=(-T "$T/ts1=$T/ts.ref")
expect 0 dapk restore -D "$T/ref" --target-name here "${map[@]}"

# Below DIR, without what each restore makes anew.
listing() { # DIR TABLESPACE
	(
		cd "$1"
		find . -path ./pg_tblspc -prune -o \( ! -name backup_manifest ! -name postgresql.auto.conf \
			-printf '%y %m %P %l\n' \) | sort
		find . -type f ! -name backup_manifest ! -name postgresql.auto.conf -print0 | sort -z | xargs -0 sha256sum
		cd "$2"
		find . -printf '%y %m %P %l\n' | sort
		find . -type f -print0 | sort -z | xargs -0 sha256sum
	)
}
listing "$T/ref" "$T/ts.ref" >"$T/ref.list"

delta() { # NAME [option...]
	local name=$1
	shift
	expect 0 dapk restore --delta -D "$T/$name" --target-name here -T "$T/ts1=$T/ts.$name" "$@"
}

assert_like_reference() { # NAME
	listing "$T/$1" "$T/ts.$1" >"$T/$1.list"
	cmp -s "$T/ref.list" "$T/$1.list" ||
		fail "$1 differs: $(diff "$T/ref.list" "$T/$1.list" | head -n 10)"
	[ -e "$T/$1/global/pg_control" ] || fail "no pg_control"
	[ ! -e "$T/$1/dapk-backup-restore.unfinished" ] || fail "the marker is left"
}

note "into a directory that is not there, and one that is empty"
delta fresh
assert_like_reference fresh
as_user mkdir "$T/void"
delta void
assert_like_reference void

note "nothing differs: nothing is written"
inode=$(stat -c '%i %Y' "$T/fresh/base/1/1259")
delta fresh
assert_match "$OUT" 'equal already'
assert_match "$OUT" '[01] files changed, 0 new' # postgresql.auto.conf
assert_eq "$(stat -c '%i %Y' "$T/fresh/base/1/1259")" "$inode" "an untouched file"
assert_like_reference fresh

note "one page in a hundred is garbage, with size and time as before"
python3 - "$T/fresh/base" "$T/ts.fresh" <<'END'
import os, random, sys
random.seed(3)
pages = [(os.path.join(d, f), b)
         for top in sys.argv[1:] for d, _, fs in os.walk(top) for f in fs
         for b in range(os.path.getsize(os.path.join(d, f)) // 8192)]
for path, block in random.sample(pages, len(pages) // 100):
    st = os.stat(path)
    with open(path, 'r+b') as f:
        f.seek(block * 8192)
        f.write(os.urandom(8192))
    os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
END
delta fresh
assert_like_reference fresh

note "files longer, shorter, empty, of other types, with other modes and names"
f=$T/fresh
mapfile -t rel < <(find "$f/base" -type f -size +64k | sort)
[ ${#rel[@]} -gt 12 ] || fail "too few files"
head -c 100000 /dev/urandom >>"${rel[0]}"
truncate -s 12345 "${rel[1]}"
truncate -s 0 "${rel[2]}"
rm "${rel[3]}"
rm "${rel[4]}" && as_user mkdir -p "${rel[4]}/sub/dir" && as_user touch "${rel[4]}/sub/file"
echo precious >"$T/outside" && chown "$CLUSTER_USER" "$T/outside"
rm "${rel[5]}" && as_user ln -s "$T/outside" "${rel[5]}"
rm "${rel[6]}" && as_user mkfifo "${rel[6]}"
chmod 000 "${rel[7]}"
chmod 666 "${rel[8]}"
as_user ln "${rel[9]}" "$T/snapshot" && snapshot=$(head -c 100 /dev/urandom | tee >(dd of="${rel[9]}" conv=notrunc status=none) | sha256sum)
if [ "$(id -u)" = 0 ]; then chown root "${rel[10]}"; fi
as_user touch "$f/base/1/99999" "$f/extra" "$f/postmaster.opts" "$f/standby.signal" "$f/pg_replslot.old"
as_user mkdir -p "$f/pg_replslot/slot" "$f/base/777/x" && as_user touch "$f/pg_replslot/slot/state" "$f/base/777/1"
as_user mkdir -p "$f/pg_stat_tmp" && as_user touch "$f/pg_stat_tmp/x"
as_user touch "$f/base/1/pg_internal.init"
rm -rf "$f/pg_xact" && as_user touch "$f/pg_xact"
rm -rf "$f/pg_subtrans" && as_user ln -s "$T/void" "$f/pg_subtrans"
as_user ln -s "$T/void" "$f/lead"
chmod 500 "$f/base/1"
echo nonsense >"$f/backup_label"
as_user mkdir -p "$T/ts.fresh/PG_12_201909212/5" && as_user touch "$T/ts.fresh/PG_12_201909212/5/1" "$T/ts.fresh/mine"
void_before=$(tree_sum "$T/void")
expect 0 dapk restore --delta --dry-run -D "$f" --target-name here -T "$T/ts1=$T/ts.fresh"
assert_match "$ERR$OUT" 'would be removed'
assert_match "$OUT" 'nothing was written'
[ -e "$f/extra" ] || fail "a dry run removed something"
delta fresh
assert_eq "$(tree_sum "$T/void")" "$void_before" "what a link leads to"
assert_eq "$(cat "$T/outside")" precious "a file that a link leads to"
assert_eq "$(head -c 100 "$T/snapshot" | sha256sum)" "$snapshot" "another name of a file"
[ -e "$T/ts.fresh/PG_12_201909212/5/1" ] || fail "another server's directory in the tablespace is gone"
[ -e "$T/ts.fresh/mine" ] || fail "another's file in the tablespace is gone"
rm -rf "$T/ts.fresh/PG_12_201909212" "$T/ts.fresh/mine"
assert_like_reference fresh

note "mount points stay, wherever they are"
if [ "$(id -u)" = 0 ]; then
	as_user mkdir "$f/extra"
	tmpfs "$f/extra/mounted" 1m
	as_user touch "$f/extra/mounted/file" "$f/extra/other"
	delta fresh
	assert_match "$ERR" 'mount point'
	[ -e "$f/extra/mounted/file" ] || fail "a mount point was emptied"
	[ ! -e "$f/extra/other" ] || fail "the file beside the mount point is left"
	umount "$f/extra/mounted"
	rm -rf "$f/extra"
fi

note "it is killed anywhere, cannot be started then, and goes on"
for after in 0.00 0.02 0.05 0.1 0.2 0.4; do
	python3 - "$f/base" <<'END'
import os, sys
for d, _, fs in os.walk(sys.argv[1]):
    for f in fs:
        os.truncate(os.path.join(d, f), os.path.getsize(os.path.join(d, f)) // 2)
END
	"${AS_USER[@]}" "$BIN" --config "$CONF" restore --delta -D "$f" --target-name here -T "$T/ts1=$T/ts.fresh" >"$T/kill.log" 2>&1 &
	pid=$!
	if [ "$after" = 0.00 ]; then
		for ((i = 0; i < 2000; i++)); do [ -e "$f/global/pg_control" ] || break; sleep 0.002; done
	else
		sleep "$after"
	fi
	kill -s KILL "$pid" 2>/dev/null || :
	wait "$pid" 2>/dev/null || :
	if [ -e "$f/dapk-backup-restore.unfinished" ]; then
		[ ! -e "$f/global/pg_control" ] || ! as_user "${PGBIN[src]}/pg_ctl" -D "$f" -w -t 5 start >/dev/null 2>&1 ||
			fail "half a restore was started"
		expect 1 dapk restore -D "$f" -T "$T/ts1=$T/ts.fresh"
		assert_hint delta
	fi
done
delta fresh
assert_like_reference fresh

note "and it starts, and has what the source had"
sed -i "s/^port = .*/port = 5699/" "$T/fresh/postgresql.conf"
restored fresh "$MAIN" --delta --target-name here -T "$T/ts1=$T/ts.fresh"
dump_db fresh "$T/fresh.dump"
assert_same_dump "$T/src.dump" "$T/fresh.dump"
assert_amcheck fresh

note "a running server is refused"
run dapk restore --delta -D "$T/fresh" --target-name here -T "$T/ts1=$T/ts.fresh"
assert_eq "$RC" 1 "exit code"
assert_clear_error 'server.*running'
sql fresh "SELECT 1" >/dev/null

note "its scratch timeline is not pushed into the source's archive, and not deleted"
sql fresh "CREATE TABLE scratch AS SELECT generate_series(1, 1000)"
pg_kill fresh
before=$(find "$REPO" -path '*/wal/*' | sort | sha256sum)
delta fresh
assert_match "$OUT" 'dapk-backup-kept-wal'
assert_eq "$(find "$REPO" -path '*/wal/*' | sort | sha256sum)" "$before" "the stored WAL"
[ -n "$(find "$T/fresh/pg_wal/dapk-backup-kept-wal" -name '00000002*' -size +0)" ] || fail "the WAL is gone"
kept=$(tree_sum "$T/fresh/pg_wal/dapk-backup-kept-wal")
delta fresh
assert_eq "$(tree_sum "$T/fresh/pg_wal/dapk-backup-kept-wal")" "$kept" "kept WAL after another restore"
rm -rf "$T/fresh/pg_wal/dapk-backup-kept-wal"
assert_like_reference fresh

note "no data directory, another system's"
as_user mkdir "$T/home" && as_user touch "$T/home/thesis"
assert_refused "$T/home" 'no data directory' --delta -T "$T/ts1=$T/ts.home"
as_user "${PGBIN[src]}/initdb" -D "$T/other" -U postgres -N -A trust >/dev/null
assert_refused "$T/other" 'system' --delta -T "$T/ts1=$T/ts.other"
assert_hint force
rm "$T/other/global/pg_control"
assert_refused "$T/other" 'cannot be told' --delta -T "$T/ts1=$T/ts.other"
expect 2 dapk restore --force -D "$T/other"
delta other --force
[ -n "$(find "$T/other/pg_wal/dapk-backup-kept-wal" -name '0000*')" ] || fail "the other system's WAL is gone"
rm -rf "$T/other/pg_wal/dapk-backup-kept-wal"
assert_like_reference other

note "a tablespace that is not this directory's own; a copy beside the running server"
as_user mkdir "$T/notmine" && as_user touch "$T/notmine/file"
assert_refused "$T/fresh" 'not empty' --delta -T "$T/ts1=$T/notmine"
pg_start src
cp -a "$T/src.end" "$T/copy"
assert_refused "$T/copy" 'server that runs' --delta
pg_stop src

note "over the source itself, crashed, with WAL that was never archived"
as_user "${PGBIN[src]}/pg_ctl" -D "$T/src" -w stop >/dev/null 2>&1 || :
archive_with src false
pg_start src
sql src "CREATE TABLE unarchived AS SELECT generate_series(1, 100) n"
sql src "SELECT pg_switch_wal()" >/dev/null
sql src "INSERT INTO unarchived VALUES (4711)"
dump_db src "$T/end.dump"
pg_kill src
[ -e "$T/src/postmaster.pid" ] || fail "no pid file is left by the crash"
restored src "$MAIN" --delta
assert_match "$ERR" 'archived [0-9]+ WAL files'
assert_eq "$(sql src 'SELECT count(*) FROM unarchived')" 101 "rows that were in unarchived WAL only"
dump_db src "$T/back.dump"
assert_same_dump "$T/end.dump" "$T/back.dump"
pg_stop src
