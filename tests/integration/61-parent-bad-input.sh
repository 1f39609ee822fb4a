#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A parent that is missing in part, damaged or foreign: it is said, what cannot
# be referred to is stored anew, and what comes out restores to exactly the
# files that were there.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

healed() { # WHAT: the newest backup stands on its own feet where it must
	keep_truth src now
	assert_restores_truth "$LABEL" now
	note "$1: the next backup needs no healing"
	take_backup
	assert_lacks "$ERR" "stored anew" "the message"
	assert_restores_truth "$LABEL" now
}

change() { sql src "UPDATE wide SET v = v || 'z' WHERE id % 1000 = $1" >/dev/null && sql src CHECKPOINT; }

in_repo() { find "$REPO/clusters" -path "*/backups/$1"; }

# Overwrite a byte somewhere: the objects are read-only for good reasons.
spoil() { # FILE OFFSET: another byte than the one that is there
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	# shellcheck disable=SC2059
	printf "\\$(printf %o $((byte ^ 16)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

pg_new src
pg_conf src "autovacuum = off"
write_conf src
dapk init >"$T/init.out"
pg_start src
bench_init src 3
sql src "CREATE TABLE wide AS SELECT g AS id, md5(g::text) || repeat('x', g % 50) AS v FROM generate_series(1, 200000) g;
	CHECKPOINT"
take_backup
first=$LABEL
change 1
take_backup

note "a pack that is missing"
pack=$(in_repo "$(foreign_packs "$LABEL" | sed -n 1p)")
rm "$pack"
change 2
take_backup
assert_contains "$ERR" "is missing: its pages are stored anew" "the message"
assert_lacks "$(foreign_packs "$LABEL")" "${pack##*/backups/}" "the packs referred to"
healed "missing"

note "a pack of a wrong size"
pack=$(in_repo "$(foreign_packs "$LABEL" | sed -n 1p)")
truncate -s -100 "$pack"
change 3
take_backup
assert_contains "$ERR" "is not whole: its pages are stored anew" "the message"
assert_lacks "$(foreign_packs "$LABEL")" "${pack##*/backups/}" "the packs referred to"
healed "wrong size"

note "a pack that is marked damaged"
pack=$(in_repo "$(foreign_packs "$LABEL" | sed -n 1p)")
as_user touch "${pack%.zst}.g0.damaged"
change 4
take_backup
assert_contains "$ERR" "is marked damaged: its pages are stored anew" "the message"
assert_lacks "$(foreign_packs "$LABEL")" "${pack##*/backups/}" "the packs referred to"
healed "marked damaged"

note "a pack whose page sums do not hold: what cannot be compared is stored anew"
pack=$(in_repo "$(foreign_packs "$LABEL" | sed -n 1p)")
size=$(stat -c %s "$pack")
index=$(od -An -tu4 -j $((size - 16)) -N 4 "$pack" | tr -d ' ')
spoil "$pack" $((index - 20)) # the last frame before the index
change 5
take_backup --full-read-every 0
assert_contains "$ERR" "its pages are stored anew" "the message"
assert_lacks "$(foreign_packs "$LABEL")" "${pack##*/backups/}" "the packs referred to"
healed "page sums"

note "a manifest that is damaged, or gone: the next best parent"
parent=$LABEL
manifest=$(find "$(backup_dir "$LABEL")" -name 'manifest-*')
spoil "$manifest" 3000
change 6
take_backup
assert_contains "$ERR" "backup $parent cannot be the parent of this one" "the message"
other=$(commit_of "$LABEL" | jq -r .parent)
assert_ne "$other" "$parent" "the parent"
assert_ne "$other" null "the parent"
assert_contains "$ERR" "parent is backup $other" "the message"
healed "damaged manifest"
manifest=$(find "$(backup_dir "$LABEL")" -name 'manifest-*')
rm "$manifest"
take_backup
assert_contains "$ERR" "cannot be the parent of this one" "the message"

note "a commit that is damaged, and one of another system"
spoil "$(backup_dir "$LABEL")/commit" 300
parent=$LABEL
take_backup
assert_contains "$ERR" "backup $parent cannot be the parent of this one" "the message"
keep_truth src now
assert_restores_truth "$LABEL" now

note "no parent can be used: all is stored, and it is said"
find "$REPO/clusters" -path '*/backups/*/manifest-*' ! -path "*/$LABEL/*" -delete
spoil "$(backup_dir "$LABEL")/commit" 300
take_backup
assert_contains "$ERR" "no earlier backup can be used: all is stored anew" "the message"
assert_eq "$(commit_of "$LABEL" | jq -r .parent)" null "the parent"
assert_eq "$(foreign_packs "$LABEL")" "" "the packs referred to"
assert_restores_truth "$LABEL" now

note "a backup of another system in this one's folder is not believed"
pg_new two
pg_conf two "archive_mode = off"
folder=$(dirname "$(backup_dir "$LABEL")")
[ -d "$folder" ] || fail "no folder of backups"
pg_stop src
cp "$CONF" "$CONF.src"
write_conf two
archive_with two "$BIN --config $CONF archive-push %p"
pg_conf two "archive_mode = on"
pg_start two
strange=$REPO/clusters/main/$MAIN-$(sql two "SELECT system_identifier FROM pg_control_system()")/backups
as_user mkdir -p "$strange"
cp -a "$folder/$LABEL" "$strange/"
parent=$LABEL
take_backup
assert_contains "$ERR" "backup $parent cannot be the parent of this one" "the message"
assert_contains "$ERR" "all is stored anew" "the message"
rm -rf "${strange:?}/$parent"
sql two CHECKPOINT
take_backup
keep_truth two two
assert_restores_truth "$LABEL" two
