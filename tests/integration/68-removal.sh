#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Removal in two steps (T76, T80): what is to go stays restorable until its
# time, what others refer to stays, and every backup that is left restores,
# whatever was removed in whatever order.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_with_repository src
bench_init src 2
declare -A DUMP=()
LABELS=()
stones() { find "$REPO/clusters" -path '*/tombstones/*' -type f | wc -l; }
commits() { find "$REPO/clusters" -path '*/backups/*/commit' | wc -l; }
change() { sql src "UPDATE pgbench_accounts SET abalance = $1 WHERE aid % 97 = $(($1 % 97))" >/dev/null; }
backup() { # with what the database was then
	take_backup "$@"
	LABELS+=("$LABEL")
	dump_db src "$T/dump.$LABEL"
	DUMP[$LABEL]=$T/dump.$LABEL
}
restores() { # LABEL
	restored check "$MAIN" --backup "$1" --target immediate
	dump_db check "$T/dump.check"
	assert_same_dump "$T/dump.check" "${DUMP[$1]}"
	drop check
}

note "five backups, each refers to the ones before"
backup
for i in 1 2 3 4; do
	change "$i"
	backup
done
assert_eq "$(commits)" 5 "backups"

note "the first: said what would go, then listed, still restorable"
expect 0 dapk expire --backup "${LABELS[0]}" --dry-run
assert_match "$OUT" 'would go: [0-9]+ objects'
assert_match "$OUT" "^  backups/${LABELS[0]}: [0-9]+ objects, "
expect 0 dapk expire --backup "${LABELS[0]}" --dry-run --verbose
assert_match "$OUT" "^  backups/${LABELS[0]}/commit, [0-9]+ bytes"
assert_match "$OUT" 'packs? of it, .* stays?, since other backups refer to'
assert_eq "$(stones)" 0 "tombstones after a dry run"
expect 0 dapk expire --backup "${LABELS[0]}"
assert_match "$OUT" 'is to go: [0-9]+ objects'
assert_eq "$(stones)" 1 "tombstones"
expect 0 dapk expire
assert_match "$OUT" 'waits, the first until'
assert_eq "$(commits)" 5 "backups before the grace period has passed"
restores "${LABELS[0]}"
expect 0 dapk expire --backup "${LABELS[0]}"
assert_match "$OUT" 'listed already'

note "a backup while the tombstone waits refers to none of what it names"
change 5
backup
commit=$(backup_dir "$LABEL")/commit
grep -o '"backups/[^"]*/pack-[^"]*"' "$REPO"/clusters/*/*/tombstones/* |
	sed 's,.*backups/\([^/]*\)/pack-0*\([0-9]*\)-0*\([0-9]\{1\,\}\)\.zst.*,"label": "\1"\, "attempt": \2\, "number": \3\,,' >"$T/named"
while IFS= read -r line; do
	assert_lacks "$(cat "$commit")" "$line" "the commit"
done <"$T/named"

note "the newest is to go: the next one has another parent, or none of its packs"
expect 0 dapk expire --backup "$LABEL"
gone=$LABEL
change 6
unset 'LABELS[5]'
backup
assert_lacks "$(cat "$(backup_dir "$LABEL")/commit")" "$gone" "the commit"
assert_eq "$(find "$REPO/clusters" -path '*/intents/*' -type f | wc -l)" 0 "intents"

note "its time has come"
expect 0 dapk expire --grace=0s
assert_match "$OUT" 'removed [0-9]+ objects, 2 backups among them'
[ -z "$(backup_dir "$gone")" ] || fail "$gone is still there"
assert_eq "$(commits)" 5 "backups"
for label in "${LABELS[@]:1}"; do restores "$label"; done
expect 1 dapk expire --backup "${LABELS[0]}"
assert_clear_error 'no backup or dump of cluster'
assert_hint info

note "what a removed backup leaves for others is no interrupted backup's: a cancelled one leaves it"
kept=$(find "$(backup_dir "${LABELS[0]}")" -name 'pack-*.zst' | sort)
[ -n "$kept" ] || fail "nothing of ${LABELS[0]} is in use"
change 7
"${AS_USER[@]}" "$BIN" --config "$CONF" backup --max-rate 3MB >"$T/slow.out.log" 2>"$T/slow.err.log" &
slow=$!
wait_for 30 "the copying to begin" grep -q "starts at" "$T/slow.err.log"
assert_lacks "$(cat "$T/slow.err.log")" "interrupted" "what the backup said"
kill -s TERM "$slow"
exited "$slow"
assert_eq "$(find "$(backup_dir "${LABELS[0]}")" -name 'pack-*.zst' | sort)" "$kept" "packs of ${LABELS[0]}"
for label in "${LABELS[@]:1}"; do restores "$label"; done

note "in any order"
order=(3 1 4 2)
for i in "${order[@]}"; do
	expect 0 dapk expire --grace=0s --backup "${LABELS[i]}"
	change $((i + 20))
	backup
	unset "LABELS[i]"
	expect 0 dapk expire --grace=0s
	for label in "${LABELS[@]:1}"; do
		restores "$label"
	done
done

note "not the last one"
left=("${LABELS[@]:1}")
for label in "${left[@]::${#left[@]}-1}"; do
	expect 0 dapk expire --grace=0s --backup "$label"
done
expect 0 dapk expire --grace=0s
assert_eq "$(commits)" 1 "backups"
expect 1 dapk expire --backup "${left[-1]}"
assert_clear_error 'no usable backup'
assert_hint 'dapk-backup backup'
restores "${left[-1]}"

note "while a backup runs nothing is removed"
"${AS_USER[@]}" "$BIN" --config "$CONF" backup --full --max-rate 3MB >"$T/slow.out.log" 2>"$T/slow.err.log" &
slow=$!
wait_for 30 "the copying to begin" grep -q "starts at" "$T/slow.err.log"
expect 6 dapk expire
assert_clear_error "backup on host $(hostname), pid $slow"
expect 0 dapk expire --dry-run
exited "$slow"
assert_eq "$RC" 0 "the backup's exit code"
