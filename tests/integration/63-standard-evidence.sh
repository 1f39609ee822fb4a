#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# What others than this program can check and use: a restored directory
# carries a backup_manifest that pg_verifybackup accepts.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

ts="$T/ts one = \"dir\""
as_user mkdir "$ts"
pg_new src "$MAIN" --wal-segsize=32 # so that a segment has two parts
as_user mkdir "$T/etc"
as_user mv "$T/src/pg_hba.conf" "$T/etc/pg_hba.conf"
pg_conf src "hba_file = '$T/etc/pg_hba.conf'"
write_conf src
dapk init >"$T/init.out"
pg_start src
cat >"$T/src.sql" <<END
CREATE TABLESPACE one LOCATION '$ts';
CREATE TABLE in_one TABLESPACE one AS SELECT n, md5(n::text) FROM generate_series(1, 20000) n;
CREATE TABLE here AS SELECT n, md5(n::text) FROM generate_series(1, 50000) n;
CREATE UNLOGGED TABLE fast (n int) TABLESPACE one;
END
sql_file src postgres <"$T/src.sql"
sql src "ALTER SYSTEM SET maintenance_work_mem = '33MB'"
odd=$'od"d \xff'
as_user bash -c 'echo odd >"$1"' - "$T/src/$odd"
take_backup
first=$LABEL

verifybackup() { # DIR [option...]
	local dir=$1 prog=$CLIENTS/pg_verifybackup
	shift
	[ "$MAIN" = 15 ] || prog=$(program_for "$MAIN" pg_verifybackup)
	run as_user "$prog" -n "$@" "$dir"
}

note "pg_verifybackup of a restored directory, before its server is started"
expect 0 dapk restore -D "$T/new" -T "${ts//=/\\=}=$T/moved"
verifybackup "$T/new"
[ "$RC" = 0 ] || fail "pg_verifybackup: $OUT $ERR"
[ -f "$T/new/$odd" ] || fail "a file with an odd name is not there"

note "and it does look: a changed page and a file too many"
as_user cp "$T/new/global/1262" "$T/1262"
printf x | as_user dd of="$T/new/global/1262" bs=1 seek=100 conv=notrunc status=none
verifybackup "$T/new"
assert_eq "$RC" 1 "exit code of pg_verifybackup"
assert_contains "$ERR" global/1262 "its message"
as_user cp "$T/1262" "$T/new/global/1262"
as_user touch "$T/moved/extra"
verifybackup "$T/new"
assert_contains "$ERR" extra "its message"
as_user rm -rf "$T/new" "$T/moved"

note "recover.py lists what there is"
recover() { # CODE [option...]
	local code=$1
	shift
	expect "$code" as_user python3 "$TEST_TOP/scripts/recover.py" "$REPO" "$@"
}
sql src "CREATE TABLE later AS SELECT n FROM generate_series(1, 1000) n"
archive_now src
dump_db src "$T/src.dump"
rows=$(sql src "SELECT sum(hashtext(md5)) FROM in_one")
oid=$(sql src "SELECT oid FROM pg_tablespace WHERE spcname = 'one'")
recover 0 --list
assert_contains "$OUT" "$LABEL" "the list"

# In the directory of the source's socket, on a port of its own.
start_copy() { # NAME
	free_port
	pg_adopt "$1" "$FREE_PORT" "$MAIN" "$T/src.sock"
	pg_start "$1" archive_mode=off
	wait_for 60 "the end of recovery" sql_true "$1" "SELECT NOT pg_is_in_recovery()"
}

# A pg_checksums that knows this major's tablespaces is not there for all.
checksums_hold() { # NAME
	case $MAIN in
	15 | 17 | 18) assert_checksums "$1" ;;
	esac
}

note "recover.py: a directory that starts on its own"
recover 0 --output "$T/alone"
start_copy alone
assert_eq "$(sql alone "SELECT sum(hashtext(md5)) FROM in_one")" "$rows" "content of a table"
assert_eq "$(sql alone "SELECT pg_tablespace_location($oid)")" "$T/alone.tablespace-$oid" "tablespace"
assert_amcheck alone
pg_stop alone
checksums_hold alone
rm -rf "$T/alone" "$T/alone.tablespace-$oid"

note "recover.py: with all WAL, and its restore_command"
recover 0 --output "$T/whole" --tablespace "$oid=$T/moved one" --wal-output "$T/wal dir"
command=$(grep 'restore_command = ' <<<"$OUT")
as_user touch "$T/whole/recovery.signal"
as_user bash -c 'echo "$1" >>"$2"' - "$command" "$T/whole/postgresql.auto.conf"
start_copy whole
dump_db whole "$T/whole.dump"
assert_same_dump "$T/src.dump" "$T/whole.dump"
pg_stop whole
rm -rf "$T/whole" "$T/moved one" "$T/wal dir"

note "recover.py: the last of a chain of incremental backups"
bench_init src 3
for ((i = 0; i < 5; i++)); do
	bench_for src 400
	sql src "UPDATE here SET md5 = 'round $i' WHERE n % 97 = $i"
	take_backup
done
assert_ne "$(grep -o '"parent": *"[^"]*"' "$(backup_dir "$LABEL")/commit")" '' "the parent"
dump_db src "$T/src.dump"
recover 0 --backup "$LABEL" --output "$T/chain"
start_copy chain
dump_db chain "$T/chain.dump"
assert_same_dump "$T/src.dump" "$T/chain.dump"
assert_bench_invariant chain
assert_amcheck chain
pg_stop chain
checksums_hold chain
rm -rf "$T/chain" "$T/chain.tablespace-$oid"

note "recover.py: what verify --repair stored counts instead of what is damaged"
as_user cp -a "$REPO" "$T/copy"
pack=$(find "$(backup_dir "$first")" -name 'pack-*.zst' -size +100k | sort | head -n 1)
manifest=$(backup_dir "$LABEL")/manifest-00.zst
printf XXXX | dd of="$pack" bs=1 seek=50000 conv=notrunc status=none
printf XXXX | dd of="$manifest" bs=1 seek=200 conv=notrunc status=none
recover 1 --output "$T/chain"
assert_contains "$ERR" "$(basename "$manifest")" "the damage"
rm -rf "$T/chain" "$T/chain.tablespace-$oid"
expect 0 dapk verify --repair --repair-from "$T/copy"
{ [ -e "${pack%.zst}.g1.zst" ] && [ -e "${pack%.zst}.g0.damaged" ]; } || fail "no repaired pack"
[ -e "${manifest%.zst}.g1.zst" ] || fail "no repaired manifest"
recover 0 --output "$T/chain"
assert_lacks "$OUT" DAMAGED "its output"
expect 0 dapk export "$LABEL" --output "$T/tar"
rm -rf "$T/chain" "$T/chain.tablespace-$oid" "$T/tar"
rm "${pack%.zst}.g1.zst" "${pack%.zst}.g0.damaged" "${manifest%.zst}.g1.zst"
as_user cp -p "$T/copy/${pack#"$REPO/"}" "$pack"
as_user cp -p "$T/copy/${manifest#"$REPO/"}" "$manifest"

note "pg_verifybackup after restore --delta into a directory that was used"
expect 0 dapk restore -D "$T/new" -T "${ts//=/\\=}=$T/moved"
start_copy new
sql new "UPDATE here SET md5 = 'elsewhere'"
pg_stop new
expect 0 dapk restore --delta -D "$T/new" --backup "$LABEL" -T "${ts//=/\\=}=$T/moved"
verifybackup "$T/new"
[ "$RC" = 0 ] || fail "pg_verifybackup: $OUT $ERR"

note "recover.py: a damaged pack is named, with the files that it costs, and nothing starts"
pack=$(find "$(backup_dir "$first")" -name 'pack-*.zst' -size +100k | sort | head -n 1)
as_user cp "$pack" "$T/pack"
printf XXXX | dd of="$pack" bs=1 seek=50000 conv=notrunc status=none
recover 1 --backup "$first" --output "$T/hurt"
assert_contains "$OUT" "$(basename "$pack") frame " "the damage"
assert_match "$OUT" '^LOST .*: base/' "the files"
[ ! -e "$T/hurt/global/pg_control" ] || fail "a damaged directory has a pg_control"
rm -rf "$T/hurt" "$T/hurt.tablespace-$oid"
rm "$pack"
recover 1 --backup "$first" --output "$T/hurt"
assert_contains "$OUT" "$(basename "$pack") is missing" "the damage"
rm -rf "$T/hurt" "$T/hurt.tablespace-$oid"
as_user cp "$T/pack" "$pack"
recover 2 --output "$T/src"
