#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# What WAL says is believed only where it says everything: after a promotion of
# the same data directory it still does, and after everything else that leaves
# a hole or a doubt all is read, with the reason (T51, T59, T61).
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

read_of() { tail -n +2 "$(backup_dir "$1")/commit" | jq -r .read; } # LABEL

backup_reads() { # all|changes REGEX
	take_backup
	assert_eq "$(read_of "$LABEL")" "$1" "what it read ($ERR)"
	assert_match "$ERR" "$2" "why"
	note "$(grep -oE '(everything is read|WAL since).*' <<<"$ERR")"
}

change() {
	sql src "UPDATE t SET n = n + 1 WHERE n % $((RANDOM % 20 + 5)) = 0"
}

# The restored backup has the pages that the data directory has.
assert_restores() {
	sql src "CHECKPOINT"
	take_backup
	expect 0 dapk restore -D "$T/copy" --backup "$LABEL" --target immediate
	expect 0 python3 "$TEST_TOP/tests/lib/pages.py" compare "$T/src" "$T/copy"
	rm -rf "$T/copy"
}

pg_new src "$MAIN" --wal-segsize=1
pg_conf src "autovacuum = off" "min_wal_size = 2MB" "max_wal_size = 4MB"
write_conf src
dapk init >"$T/init.out"
pg_start src
sql src "CREATE TABLE t AS SELECT g AS n, repeat('x', 300) FROM generate_series(1, 20000) g"
take_backup
change
backup_reads changes 'segments'

note "WAL that is only in the repository any more"
for i in 1 2 3 4 5 6; do
	change
	archive_now src
	sql src "CHECKPOINT"
done
backup_reads changes 'segments'
assert_restores

note "a promotion in between: timeline 2"
change
pg_stop src
as_user touch "$T/src/standby.signal"
pg_start src "restore_command=false"
sql src "SELECT pg_promote()" >/dev/null
wait_for 60 "the promotion" sql_true src "SELECT NOT pg_is_in_recovery()"
pg_stop src
pg_start src
change
backup_reads changes 'segments'
assert_restores

note "full_page_writes off, now or in between"
pg_conf src "full_page_writes = off"
pg_reload src
change
backup_reads all 'full_page_writes is off'
change
pg_conf src "full_page_writes = on"
pg_reload src
wait_for 20 "full_page_writes" sql_true src "SELECT current_setting('full_page_writes') = 'on'"
sql src "SELECT pg_switch_wal()" >/dev/null
backup_reads all 'full_page_writes = off'
change
backup_reads changes 'segments'

note "wal_level = minimal in between"
pg_stop src
pg_start src wal_level=minimal archive_mode=off max_wal_senders=0
sql src "BEGIN; CREATE TABLE unlogged_copy (n int); INSERT INTO unlogged_copy SELECT generate_series(1, 5000); COMMIT"
pg_stop src
pg_start src
backup_reads all 'minimal|neither in pg_wal nor'
assert_restores

note "a gap in the archive"
for i in 1 2 3 4 5 6; do
	change
	archive_now src
	sql src "CHECKPOINT"
	[ "$i" != 2 ] || gap=$(sql src "SELECT last_archived_wal FROM pg_stat_archiver")
done
wait_for 30 "the recycling of $gap" test ! -e "$T/src/pg_wal/$gap"
rm "$REPO"/clusters/*/*/wal/*/*/"$gap"-*
backup_reads all "$gap is neither in pg_wal nor in the repository"
assert_restores

note "the data directory became another one"
change
pg_stop src
as_user cp -a "$T/src" "$T/src.new"
mv "$T/src" "$T/src.old"
mv "$T/src.new" "$T/src"
pg_start src
backup_reads all 'another data directory'
change
backup_reads changes 'segments'

note "checksums turned off"
pg_stop src
as_user "$(program_for "$MAIN" pg_checksums)" --disable -D "$T/src" >/dev/null
pg_start src
backup_reads all 'checksums were turned on or off'
assert_restores
