#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A backup that needs a lost or damaged pack is refused before anything is
# written. With --allow-damage the rest comes back, the lost blocks are zeros
# and no others, each is in the list, and the exit code is 5. A repaired
# generation is as good as the pack itself.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src
sql src "CREATE TABLE big WITH (autovacuum_enabled = off) AS SELECT n, md5(n::text) || md5((n * 7)::text) || md5((n * 13)::text) AS v FROM generate_series(1, 900000) n"
sql src "CREATE TABLE small AS SELECT generate_series(1, 1000) n"
big=$(sql src "SELECT pg_relation_filepath('big')")
sql src "CHECKPOINT" >/dev/null
# One worker: tables one after another, so that some pack has blocks of the big
# one only.
take_backup --jobs 1
label=$LABEL
archive_now src
pg_stop src
expect 0 dapk restore -D "$T/ref" --target immediate

# What differs between DIR and the reference must be what the list names, and
# zero. Prints the number of those blocks, and the files that they are in.
compare() { # DIR
	python3 - "$T/ref" "$1" <<'END'
import os, sys
from urllib.parse import unquote
ref, got = sys.argv[1:]
own = {'backup_manifest', 'postgresql.auto.conf', 'dapk-backup-damage.txt'}
listed = set()
for line in open(got + '/dapk-backup-damage.txt'):
    path, block, n, why = line.split(' ', 3)
    assert block != '-' and why.strip(), line
    listed |= {(unquote(path), int(block) + i) for i in range(int(n))}
seen = set()
for top, _, files in os.walk(ref):
    for f in files:
        path = os.path.relpath(os.path.join(top, f), ref)
        if path in own:
            continue
        a, b = open(os.path.join(ref, path), 'rb').read(), open(os.path.join(got, path), 'rb').read()
        assert len(a) == len(b), path
        for i in range(0, len(a), 8192):
            if (path, i // 8192) in listed:
                assert not any(b[i:i + 8192]), (path, i, 'is no zeros')
                seen.add((path, i // 8192))
            else:
                assert a[i:i + 8192] == b[i:i + 8192], (path, i, 'differs and is not listed')
listed -= {x for x in listed if x[0] in own}
assert seen == listed, listed - seen
print(len(listed), ' '.join(sorted({p for p, _ in listed})))
END
}

note "a pack that is lost: refused before anything is written"
mapfile -t packs < <(find "$(backup_dir "$label")" -name 'pack-*.zst' | sort)
[ ${#packs[@]} -ge 3 ] || fail "only ${#packs[@]} packs"
chosen=''
for pack in "${packs[@]}"; do
	mv "$pack" "$T/pack"
	assert_refused "$T/new" "$(basename "$pack" .zst)" --target immediate
	assert_eq "$RC" 5 "exit code"
	assert_hint allow-damage
	run dapk restore -D "$T/new" --target immediate --allow-damage
	# One with pg_control in it leaves nothing to be started.
	if [ "$RC" = 5 ] && [ -e "$T/new/global/pg_control" ]; then
		assert_match "$OUT" 'DATA IS LOST'
		lost=$(compare "$T/new")
		note "$(basename "$pack"): $lost"
		[ "${lost#* }" != "$big" ] || chosen=$pack
	else
		assert_match "$ERR" 'pg_control'
	fi
	[ "$pack" = "$chosen" ] || rm -rf "$T/new"
	mv "$T/pack" "$pack"
	[ "$pack" != "$chosen" ] || break
done
[ -n "$chosen" ] || fail "no pack has blocks of the big table only"

note "the other tables are there"
free_port
pg_adopt new "$FREE_PORT" "$MAIN" "$T/src.sock"
pg_start new
wait_for 60 "the end of recovery" sql_true new "SELECT NOT pg_is_in_recovery()"
assert_eq "$(sql new 'SELECT count(*) FROM small')" 1000 "rows of another table"
rows=$(sql new "SELECT count(*) FROM big")
assert_between "$rows" 1000 899999 "rows that are left"
pg_stop new
rm -rf "$T/new"

note "delta: pages that cannot be proved are zeros too, the rest stays"
cp -a "$T/ref" "$T/old"
head -c 8192 /dev/urandom | dd of="$T/old/base/1/1259" bs=8192 seek=1 conv=notrunc status=none
mv "$chosen" "$T/pack"
before=$(tree_sum "$T/old")
expect 5 dapk restore --delta -D "$T/old" --target immediate
assert_clear_error "$(basename "$chosen" .zst)"
assert_eq "$(tree_sum "$T/old")" "$before" "an old directory after the refusal"
expect 5 dapk restore --delta -D "$T/old" --target immediate --allow-damage
compare "$T/old" >/dev/null
mv "$T/pack" "$chosen"
expect 0 dapk restore --delta -D "$T/old" --target immediate
[ ! -e "$T/old/dapk-backup-damage.txt" ] || fail "the list is left although nothing is lost any more"

note "a frame that does not hold: found while copying"
cp -p "$chosen" "$T/pack"
size=$(stat -c %s "$chosen")
head -c 100 /dev/urandom | dd of="$chosen" bs=1 seek=$((size / 2)) conv=notrunc status=none
expect 5 dapk restore -D "$T/new" --target immediate
assert_clear_error "$(basename "$chosen" .zst)"
rm -rf "$T/new"
expect 5 dapk restore -D "$T/new" --target immediate --allow-damage
lost=$(compare "$T/new")
assert_between "${lost%% *}" 1 384 "blocks of the frame that is lost"
rm -rf "$T/new"

note "marked damaged: refused; repaired: restored"
as_user touch "${chosen%.zst}.g0.damaged"
assert_refused "$T/new" 'damaged' --target immediate
assert_eq "$RC" 5 "exit code"
cp -p "$T/pack" "${chosen%.zst}.g1.zst"
expect 0 dapk restore -D "$T/new" --target immediate
cmp "$T/new/$big" "$T/ref/$big" || fail "the repaired pack was not used"
expect 0 dapk restore --delta -D "$T/new" --target immediate
rm -rf "$T/new"
rm "${chosen%.zst}.g1.zst" "${chosen%.zst}.g0.damaged"
cp -p "$T/pack" "$chosen"

note "without its manifest or commit there is no backup, whatever is allowed"
mv "$(backup_dir "$label")/manifest-00.zst" "$T/manifest"
assert_refused "$T/new" 'manifest-00' --target immediate --allow-damage
mv "$T/manifest" "$(backup_dir "$label")/manifest-00.zst"

note "and with all of it nothing is lost"
expect 0 dapk restore -D "$T/new" --target immediate --allow-damage
[ ! -e "$T/new/dapk-backup-damage.txt" ] || fail "a list of nothing"
assert_lacks "$OUT" 'LOST'
