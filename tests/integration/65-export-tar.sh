#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# export: a backup as plain tar, which unpacks with tar and starts without
# this program: with tablespaces, through a pipe, of an incremental backup.
# Damage leaves nothing behind.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

ts="$T/ts one"
as_user mkdir "$ts"
pg_new src "$MAIN" -X "$T/src-wal"
as_user mkdir "$T/etc"
as_user mv "$T/src/pg_hba.conf" "$T/etc/pg_hba.conf"
pg_conf src "hba_file = '$T/etc/pg_hba.conf'"
write_conf src
dapk init >"$T/init.out"
pg_start src
cat >"$T/src.sql" <<END
CREATE TABLESPACE one LOCATION '$ts';
CREATE TABLE in_one TABLESPACE one AS SELECT n, md5(n::text) FROM generate_series(1, 20000) n;
CREATE TABLE here AS SELECT n, md5(n::text) FROM generate_series(1, 100000) n;
CREATE EXTENSION amcheck;
END
sql_file src postgres <"$T/src.sql"
odd=$'od"d \xff'
as_user bash -c 'echo odd >"$1"' - "$T/src/$odd"
take_backup
dump_db src "$T/src.dump"
oid=$(sql src "SELECT oid FROM pg_tablespace WHERE spcname = 'one'")

verifybackup() { # DIR
	local prog=$CLIENTS/pg_verifybackup wal=(-n)
	case $MAIN in
	15) wal=() ;; # its pg_waldump reads the WAL that came with it
	*) prog=$(program_for "$MAIN" pg_verifybackup) ;;
	esac
	expect 0 as_user "$prog" "${wal[@]}" "$1"
}

start_copy() { # NAME
	free_port
	pg_adopt "$1" "$FREE_PORT" "$MAIN" "$T/src.sock"
	pg_start "$1" archive_mode=off
	wait_for 60 "the end of recovery" sql_true "$1" "SELECT NOT pg_is_in_recovery()"
	assert_eq "$(sql "$1" "SHOW restore_command")" '' "restore_command"
}

note "what it takes as --output"
expect 2 dapk export "$LABEL"
assert_hint output
expect 1 dapk export nonsense --output "$T/out"
assert_clear_error 'no backup or dump nonsense'
[ ! -e "$T/out" ] || fail "a refused export made its directory"
expect 1 dapk export "$LABEL" --output -
assert_clear_error 'tablespace'
assert_eq "$OUT" '' "standard output"
expect 1 dapk export "$LABEL" --output "$T/one.tar"
assert_hint 'base.tar'
[ ! -e "$T/one.tar" ] || fail "a refused export left a file"

note "into a directory: archives as pg_basebackup -Ft has them"
expect 0 dapk export "$LABEL" --output "$T/out"
assert_contains "$OUT" "$oid.tar: $ts" "the message"
assert_eq "$(cd "$T/out" && echo *)" "$oid.tar backup_manifest base.tar" "files"
assert_eq "$(tar -tf "$T/out/base.tar" | tail -n 1)" global/pg_control "the last file"
names=$(tar -tf "$T/out/base.tar")
for name in backup_label tablespace_map PG_VERSION pg_wal/ dapk-backup-config/pg_hba.conf pg_wal/archive_status/ pg_replslot/ pg_tblspc/; do
	grep -qxF "$name" <<<"$names" || fail "base.tar lacks $name"
done
expect 1 dapk export "$LABEL" --output "$T/out"
assert_clear_error 'exists already'
if [ "$MAIN" -ge 18 ]; then
	note "pg_verifybackup reads them as they are"
	expect 0 as_user "$(program_for "$MAIN" pg_verifybackup)" -n "$T/out"
fi

note "unpacked where the source was lost, it starts on its own"
pg_stop src
mv "$T/src" "$T/src.kept"
mv "$ts" "$T/ts.kept"
as_user mkdir -m 700 "$T/copy" "$ts"
as_user tar -xf "$T/out/base.tar" -C "$T/copy"
as_user tar -xf "$T/out/$oid.tar" -C "$ts"
as_user cp "$T/out/backup_manifest" "$T/copy/"
as_user ln -s "$ts" "$T/copy/pg_tblspc/$oid"
verifybackup "$T/copy"
assert_eq "$(cat "$T/copy/$odd")" odd "a file with an odd name"
assert_eq "$(stat -c '%a %Y' "$T/copy/base/1/PG_VERSION")" \
	"$(stat -c '%a %Y' "$T/src.kept/base/1/PG_VERSION")" "mode and time of a file"
start_copy copy
dump_db copy "$T/copy.dump"
assert_same_dump "$T/src.dump" "$T/copy.dump"
assert_amcheck copy
pg_stop copy
rm -rf "$T/copy" "$ts" "$T/out"
mv "$T/src.kept" "$T/src"
mv "$T/ts.kept" "$ts"

note "an incremental backup, through a pipe"
pg_start src
sql src "UPDATE here SET md5 = 'new' WHERE n % 700 = 0"
sql src "DROP TABLE in_one"
sql src "VACUUM here"
sql src "DROP TABLESPACE one"
take_backup
sql src "UPDATE here SET md5 = 'newer' WHERE n % 900 = 0"
take_backup
dump_db src "$T/src.dump"
as_user mkdir -m 700 "$T/copy"
dapk export "$LABEL" --output - | as_user tar -xf - -C "$T/copy"
verifybackup "$T/copy"
start_copy copy
dump_db copy "$T/copy.dump"
assert_same_dump "$T/src.dump" "$T/copy.dump"
assert_amcheck copy
pg_stop copy
assert_checksums copy
rm -rf "$T/copy"

note "of a later timeline: its history comes along"
pg_stop src
as_user touch "$T/src/standby.signal"
pg_start src
sql src "SELECT pg_promote()" >/dev/null
wait_for 60 "the promotion" sql_true src "SELECT NOT pg_is_in_recovery()"
sql src "CHECKPOINT"
take_backup
dump_db src "$T/src.dump"
as_user mkdir -m 700 "$T/copy"
dapk export "$LABEL" --output - | as_user tar -xf - -C "$T/copy"
[ -f "$T/copy/pg_wal/00000002.history" ] || fail "no history file"
verifybackup "$T/copy"
start_copy copy
dump_db copy "$T/copy.dump"
assert_same_dump "$T/src.dump" "$T/copy.dump"
pg_stop copy
rm -rf "$T/copy"

note "a reader that goes away is an error with a name"
run bash -c '"$@" | head -c 100000 >/dev/null; exit "${PIPESTATUS[0]}"' - \
	"${AS_USER[@]}" "$BIN" --config "$CONF" export "$LABEL" --output -
assert_eq "$RC" 3 "exit code"
assert_clear_error 'standard output.*[Pp]ipe'

note "as one file, without WAL"
expect 0 dapk export "$LABEL" --output "$T/one.tar" --no-wal
names=$(tar -tf "$T/one.tar")
assert_lacks "$names" "pg_wal/0" "an archive without WAL"
grep -qx backup_manifest <<<"$names" || fail "no backup_manifest in the archive"
grep -qx pg_wal/ <<<"$names" || fail "no pg_wal in the archive"
[ ! -e "$T/one.tar.tmp" ] || fail "a temporary file is left"

note "damage: an error, and nothing that could be taken for a backup"
pack=$(find "$REPO/clusters" -name 'pack-*.zst' -size +100k | sort | head -n 1)
printf XXXX | dd of="$pack" bs=1 seek=50000 conv=notrunc status=none
expect 5 dapk export "$LABEL" --output "$T/out"
assert_clear_error "$(basename "$pack")"
[ ! -e "$T/out" ] || fail "a failed export left $(ls "$T/out")"
expect 5 dapk export "$LABEL" --output "$T/two.tar"
{ [ ! -e "$T/two.tar" ] && [ ! -e "$T/two.tar.tmp" ]; } || fail "a failed export left a file"
"${AS_USER[@]}" "$BIN" --config "$CONF" export "$LABEL" --output - >"$T/cut.tar" 2>"$T/cut.err" &&
	fail "a failed export said 0"
names=$(tar -tf "$T/cut.tar" 2>/dev/null || :)
assert_lacks "$names" global/pg_control "what went into the pipe"
