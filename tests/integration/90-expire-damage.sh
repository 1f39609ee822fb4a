#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A backup goes for the sake of another only when that one can be restored: not
# when its manifest, or the WAL that makes it consistent, is damaged or gone,
# whether verify has found that out before or not. By retention and by name; and
# a dump only when the newer one has its manifest.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/dumps.sh
. "$(dirname "$0")/../lib/dumps.sh"

pg_with_repository src
sql src "CREATE TABLE t AS SELECT 1 AS n"
take_backup
old=$LABEL
sql src "INSERT INTO t VALUES (2)"
sleep 1.1
take_backup --full
new=$LABEL
first=$(tail -n +2 "$(backup_dir "$new")/commit" | jq -r .wal.first)
sleep 1.1
cp -a "$REPO" "$T/whole"

flip() { # FILE: in its middle, the size stays
	local at
	at=$(($(stat -c %s "$1") / 2))
	printf '\377\376\375\374\373\372' | dd of="$1" bs=1 seek="$at" conv=notrunc status=none
}
manifest() { flip "$(backup_dir "$new")/manifest-00.zst"; }
wal() { flip "$(stored_wal "$first" | head -n 1)"; }
wal_gone() { rm "$(stored_wal "$first" | head -n 1)"; }
manifest_cut() { truncate -s -1 "$(backup_dir "$new")/manifest-00.zst"; }

again() { # the repository as it was
	rm -rf "$REPO"
	cp -a "$T/whole" "$REPO"
}
old_restores() {
	restored check "$MAIN" --backup "$old" --target immediate
	assert_eq "$(sql check 'SELECT count(*) FROM t')" 1 "rows of the older backup"
	drop check
}

note "when nothing is damaged the older one goes, by retention and by name"
expect 0 dapk expire --retain 1s --grace 0
expect 0 dapk expire --retain 1s --grace 0
[ ! -e "$(backup_dir "$old")/commit" ] || fail "the older backup is still there: $OUT"
restored check "$MAIN" --backup "$new" --target immediate
assert_eq "$(sql check 'SELECT count(*) FROM t')" 2 "rows of the newer backup"
drop check
again
expect 0 dapk expire --backup "$old" --grace 0

for damage in manifest manifest_cut wal wal_gone; do
	for verified in no yes; do
		note "$damage, verified: $verified"
		again
		"$damage"
		[ "$verified" = no ] || expect 5 dapk verify
		run dapk expire --backup "$old" --grace 0
		assert_eq "$RC" 1 "exit code of removing it by name"
		assert_match "$ERR" "no usable backup of cluster main would be left"
		assert_hint
		for _ in 1 2 3; do
			expect 0,5 dapk expire --retain 1s --grace 0
			[ -e "$(backup_dir "$old")/commit" ] || fail "the only backup that can be restored is gone"
		done
	done
	old_restores
done

note "damage after the mark holds the second step up"
again
expect 0 dapk expire --backup "$old"
manifest
expect 0,5 dapk expire --grace 0
[ -e "$(backup_dir "$old")/commit" ] || fail "the only backup that can be restored is gone"
old_restores
note "by force it goes"
expect 0 dapk expire --backup "$old" --force --grace 0
expect 0 dapk expire --backup "$new" --force --grace 0

note "dumps: the older one stays while the newer one's manifest is damaged"
rm -rf "$REPO"
cp -a "$T/whole" "$REPO"
take_dump postgres
older=$LABEL
sql src "INSERT INTO t VALUES (3)"
sleep 1.1
take_dump postgres
newer=$LABEL
sleep 1.1
flip "$(dump_dir "$newer")/manifest-00.zst"
for _ in 1 2 3; do
	expect 0,5 dapk expire --retain 1s --grace 0
	[ -e "$(dump_dir "$older")/commit" ] || fail "the only dump that can be loaded is gone"
done
load_dump src "$older" back
assert_eq "$(sql src 'SELECT count(*) FROM t' back)" 2 "rows of the older dump"
run dapk expire --backup "$older" --grace 0
assert_eq "$RC" 1 "exit code of removing it by name"
assert_match "$ERR" "no usable dump of database postgres"
